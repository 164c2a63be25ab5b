import pytest

from losstune.report.compare.scores import LossComparison, ScoreComparison, SideDifference
from losstune.report.compare.sentence import sentence_of


def row(loss, decision=None, mean=0.0, low=-0.001, high=0.001, **fields):
    difference = SideDifference(
        mean=mean,
        low=low,
        high=high,
        equivalence_low=low,
        equivalence_high=high,
        p_value=0.5,
        p_blocks=0.5,
        p_search=0.5,
        num_blocks=(16, 16),
    )
    return LossComparison(loss=loss, a=None, b=None, difference=difference, decision=decision, **fields)


def sentence(*rows):
    return sentence_of(
        "main",
        "topic",
        ScoreComparison(
            metric="accuracy", alpha=0.05, rope=0.005, noise_floor=None, design="paired", why="", losses=rows
        ),
    )


@pytest.mark.parametrize(
    ("rows", "expected"),
    [
        (
            [row("cross_entropy", "better", 0.004, 0.002, 0.005), row("gce", "undecided"), row("js", "undecided")],
            "Against main, topic is 0.40 ± 0.20 points better for cross_entropy, undecided for the rest (gce and js).",
        ),
        (
            [row("gce", "worse", -0.03, -0.04, -0.025), row("js", "equivalent")],
            "Against main, topic is 3.00 ± 1.00 points worse for gce, equivalent for js.",
        ),
        ([row(str(number), "undecided") for number in range(6)], "Against main, topic is undecided for all 6 losses."),
        ([row("gce", "equivalent"), row("kl", is_control=True)], "Against main, topic is equivalent for gce."),
        ([row("kl", is_control=True)], "topic and main have no loss in common that could be compared."),
    ],
)  # fmt: skip
def test_sentence(rows, expected):
    assert sentence(*rows) == expected
