from __future__ import annotations

import io
import re

import pytest
from rich.console import Console

from losstune.losses.registry import registry
from losstune.report.spending import Spending
from losstune.report.terminal import print_report
from tests.report.pooled import make_example
from tests.report.studies import make_study
from tests.verdict.test_pipeline import CROSS_ENTROPY, GATED, shifted


def printed(results, durations_sec=None, spending=None, **settings):
    console = Console(file=io.StringIO(), **settings)
    print_report(results, durations_sec or {}, console, spending=spending)
    return console.file.getvalue()


def test_plain_text_within_110_columns_that_ends_in_the_verdict():
    long_named = GATED | {"a_loss_with_a_rather_long_name": shifted(-0.011, (0.01, -0.02, 0.011))}
    results = make_study(long_named).results()
    text = printed(results, {"focal": 0.8, "cross_entropy": 75.0})
    assert "\x1b" not in text
    assert max(map(len, text.splitlines())) <= 110
    assert " ".join(text.split()).endswith(results.verdict.sentence)
    rows = [line.split() for line in text.splitlines()]
    assert ["focal", "93.00%", "+2.00", "[+2.00,", "+2.00]", "0.004", "better"] in [row[:7] for row in rows]
    assert any(row[:1] == ["cross_entropy"] and "75" in row for row in rows)


def test_the_longest_name_of_the_catalogue_takes_one_line_at_100_columns():
    longest = max(registry(), key=len)
    results = make_study(GATED | {longest: shifted(-0.011, (0.01, -0.02, 0.011))}).results()
    text = printed(results, {"focal": 0.8, longest: 7500.0}, force_terminal=True, width=100, color_system=None)
    lines = [re.sub(r"\x1b\[\d*m", "", line) for line in text.splitlines()]
    assert any(line.startswith(f"{longest} ") and line.split()[-1] == "h" for line in lines)
    assert max(map(len, lines)) <= 100


def test_best_loss_comes_first_and_losses_without_a_winner_last():
    results = make_study(GATED | {"gce": shifted(-0.02)}, without_winner=["apl"]).results()
    lines = printed(results).splitlines()
    order = [name for line in lines[:8] for name in ("focal", "gce", "apl") if line.strip().startswith(name)]
    assert order == ["focal", "gce", "apl"]
    assert any("apl" in line and "no winner" in line for line in lines)


def test_names_are_not_read_as_markup():
    study = make_study({"cross_entropy": CROSS_ENTROPY, "my[red]loss": shifted(0.02)})
    assert "use my[red]loss:" in printed(study.results())


def test_colours_on_a_terminal_only():
    assert "\x1b[" in printed(make_study(GATED).results(), force_terminal=True, width=200, color_system="standard")


def test_failed_control_is_said():
    study = make_study(GATED)
    study.confirm = [record for record in study.confirm if record.role != "control"]
    text = printed(study.results())
    assert "Control FAILED: kl_divergence as cross_entropy, it was not trained." in text
    assert "no verdict" in text


@pytest.mark.parametrize("num_losses", [3, 14, 15, 16, 20])
@pytest.mark.parametrize("num_without", [0, 7])
def test_fits_on_a_terminal_of_25_lines_with_what_the_verdict_rests_on(num_losses, num_without):
    # The baseline and its identical loss come last, so that they are the first to be left out.
    better = {f"loss_{i}": shifted(0.01 + 0.001 * i, (0.01, -0.02, 0.011)) for i in range(num_losses - 2)}
    scores = {"cross_entropy": CROSS_ENTROPY, "kl_divergence": shifted(-0.001)} | better
    results = make_study(scores, without_winner=[f"lost_{i}" for i in range(num_without)]).results()
    text = printed(results, dict.fromkeys(scores, 1.0))
    lines = text.splitlines()
    assert len(lines) <= 23
    starts = [line.split()[0] for line in lines[: lines.index("")]]
    assert {"cross_entropy", "kl_divergence", results.ranked()[0].loss} <= set(starts)
    assert " ".join(text.split()).endswith(results.verdict.sentence)
    num_hidden = num_losses + num_without - sum(start in scores or start.startswith("lost_") for start in starts)
    assert (f"... and {num_hidden} more losses, see the page" in text) == (num_hidden > 0)
    assert num_hidden == 0 or len(lines) == 23


def test_as_many_losses_are_shown_as_fit():
    results = make_study({"cross_entropy": CROSS_ENTROPY} | {f"loss_{i}": shifted(0.001 * i) for i in range(39)})
    assert len(printed(results.results()).splitlines()) == 23


def test_a_pooled_study_says_what_was_spent_and_what_the_next_half_hour_would_buy():
    results = make_example().results()
    text = " ".join(printed(results, spending=Spending(num_timed=40, core_min=2.0, wall_min=1.0)).split())
    assert (
        "Spent: 219 of 220 trainings, 2.0 min of training time. The next 30 minutes would buy about 1,200 trainings "
        "and probably settle 1 of 2 undecided losses: gce." in text
    )
    assert "undecided, +1,100" in text
    assert "[unbounded]" in text
    assert "Spent: 219 of 220 trainings. Set aside" in " ".join(printed(results).split())
