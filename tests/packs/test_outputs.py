import pytest

from losstune.packs.claims import Judgement
from losstune.packs.outputs import CellFacts, PackResults, markdown


def judgement(outcome, cell="digits", **facts):
    return Judgement(
        id="a", text="A | claim.", place="Table 1", cell=cell, loss="focal", versus="cross_entropy",
        direction="better", metric="accuracy", published=None, outcome=outcome, **facts,
    )  # fmt: skip


def results(*claims, stand_in="a stand-in"):
    cells = (
        CellFacts(name="digits", stand_in=stand_in, verdict="Keep cross_entropy."),
        CellFacts(name="cifar10", stand_in=None, missing="not run: needs CIFAR-10"),
    )
    return PackResults(name="p", title="T", sources=("S.",), same=("a",), smaller=("b",), cells=cells, claims=claims)


@pytest.mark.parametrize(
    ("outcomes", "sentence"),
    [
        (
            ["agrees"],
            "Of 1 comparison with a published claim on smaller stand-ins, 1 agrees, 0 disagree and 0 are undecided.",
        ),
        (
            ["agrees", "agrees", "disagrees", "undecided"],
            "Of 4 comparisons with a published claim on smaller stand-ins, 2 agree, 1 disagrees and 1 is undecided.",
        ),
    ],
)
def test_the_summary_counts(outcomes, sentence):
    assert results(*map(judgement, outcomes)).summary == sentence


def test_the_summary_says_what_has_not_run():
    assert results(judgement("agrees"), judgement("undecided", "cifar10")).summary.endswith(" 1 more was not run.")
    assert results(judgement("undecided", "cifar10")).summary == "No cell has run."
    assert "stand-in" not in results(judgement("agrees"), stand_in=None).summary


def test_the_page_has_a_row_for_each_claim():
    page = markdown(results(judgement("disagrees", decision="worse", ours="-1.00 [-2.00, -0.50] points", reason="r")))
    assert "| A / claim. | Table 1 | digits | -1.00 [-2.00, -0.50] points | **disagrees**: found worse; r |" in page
    assert "- **cifar10**: the published data; not run: needs CIFAR-10" in page
