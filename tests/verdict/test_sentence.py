from __future__ import annotations

from tests.report.studies import make_study
from tests.verdict.test_pipeline import CROSS_ENTROPY, GATED, shifted


def sentence(scores, **settings):
    return make_study(scores, **settings).results().verdict.sentence


def test_sentence_for_a_winner():
    assert sentence(GATED) == (
        "On digits with the cnn, use focal: it beats cross_entropy by 2.00 ± 0.00 points of accuracy, "
        "higher in 10 of 10 blocks. Noise floor: kl_divergence and cross_entropy are one objective and differ by "
        "0.02 points here, each tuned by itself."
    )


def test_sentence_for_several_winners_names_the_highest_first():
    more = GATED | {"gce": shifted(0.03), "poly1": shifted(0.01)}
    assert sentence(more).startswith("On digits with the cnn, use gce: it beats cross_entropy by 3.00")
    assert "higher in 10 of 10 blocks; focal and poly1 beat it too. Noise floor:" in sentence(more)


def test_sentence_for_the_baseline():
    scores = {
        "cross_entropy": CROSS_ENTROPY,
        "focal": shifted(0.002, (0.02, -0.02)),
        "square": shifted(-0.03),
    }
    text = sentence(scores)
    assert text.startswith(
        "On digits with the cnn, keep cross_entropy: no loss of 2 was ahead by more than 0.60 points in accuracy "
        "(1 worse, 1 undecided); focal is ahead by 0.60 ± "
    )
    assert text.endswith("more blocks could settle it.")


def test_sentence_for_one_rival():
    assert sentence({"cross_entropy": CROSS_ENTROPY, "square": shifted(-0.03)}) == (
        "On digits with the cnn, keep cross_entropy: square is not shown to beat it; "
        "square is behind by 3.00 ± 0.00 points, which is worse."
    )
    assert sentence({"cross_entropy": CROSS_ENTROPY, "gce": CROSS_ENTROPY}).endswith(
        "gce differs by 0.00 ± 0.00 points, which is equivalent, within ±0.50."
    )
