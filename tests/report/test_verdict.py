from __future__ import annotations

from tests.report.studies import make_study
from tests.report.test_analysis import CROSS_ENTROPY, GATED, shifted


def sentence(scores, **settings):
    return make_study(scores, **settings).results().verdict.sentence


def test_sentence_for_a_winner():
    assert sentence(GATED) == (
        "On digits with the cnn, use focal: +2.00 points [+2.00, +2.00] of accuracy over cross_entropy, "
        "Holm p 0.002, higher in 10 of 10 blocks."
    )


def test_sentence_for_several_winners_names_the_highest_first():
    more = GATED | {"gce": shifted(0.03), "poly1": shifted(0.01)}
    assert sentence(more).startswith("On digits with the cnn, use gce: +3.00 points")
    assert sentence(more).endswith("higher in 10 of 10 blocks; focal and poly1 beat it too.")


def test_sentence_for_the_baseline():
    scores = {
        "cross_entropy": CROSS_ENTROPY,
        "focal": shifted(0.002, (0.02, -0.02)),
        "square": shifted(-0.03),
    }
    text = sentence(scores)
    assert text.startswith(
        "On digits with the cnn, keep cross_entropy: none of 2 other losses beats it in accuracy "
        "(1 worse, 1 undecided); the closest, focal, is undecided at +0.20 points ["
    )
    assert text.endswith("more blocks would settle it.")


def test_sentence_for_one_rival():
    assert sentence({"cross_entropy": CROSS_ENTROPY, "square": shifted(-0.03)}) == (
        "On digits with the cnn, keep cross_entropy: square does not beat it in accuracy; "
        "it is worse at -3.00 points [-3.00, -3.00]."
    )
    assert sentence({"cross_entropy": CROSS_ENTROPY, "gce": CROSS_ENTROPY}).endswith(
        "it is equivalent at +0.00 points [+0.00, +0.00], within ±0.50."
    )
