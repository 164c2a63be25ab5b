from __future__ import annotations

import re
import xml.etree.ElementTree as ET

import pytest

from losstune.report import figures
from tests.factories import make_record
from tests.report.material import diagnostics_of, with_calibration
from tests.report.studies import make_study
from tests.verdict.test_pipeline import CROSS_ENTROPY, GATED, shifted

SVG = "{http://www.w3.org/2000/svg}"


def texts(svg):
    return ["".join(node.itertext()) for node in ET.fromstring(svg).iter(f"{SVG}text")]


def draw(study):
    return figures.draw(study.results(), diagnostics_of(study))


def test_figures_are_the_same_bytes_twice_and_carry_no_date():
    first, second = draw(make_study(GATED)), draw(make_study(GATED))
    assert first == second
    assert set(first) == {
        "differences.svg",
        "best_of.svg",
        "learning_rate.svg",
        "learning_curves.svg",
        "reliability.svg",
        "weights.svg",
    }
    assert not re.search(r"<dc:date>|20\d\d-\d\d-\d\d", "".join(first.values()))


def test_every_colour_is_of_the_palette():
    study = make_study(GATED | {"square": shifted(-0.02), "gce": shifted(0.0, (0.02, -0.02))})
    for svg in draw(with_calibration(study)).values():
        assert set(re.findall(r"#[0-9a-f]{6}\b", svg)) <= set(figures.COLOURS.values())


@pytest.mark.parametrize("num_losses", [2, 4, 5, 9])
def test_a_panel_per_loss(num_losses):
    scores = {"cross_entropy": CROSS_ENTROPY} | {f"loss{i}": shifted(0.001 * i) for i in range(1, num_losses)}
    drawn = draw(make_study(scores))
    for name in ("learning_rate.svg", "learning_curves.svg", "reliability.svg"):
        assert set(scores) <= set(texts(drawn[name]))


def test_lost_trials_and_losses_without_winner_can_be_drawn():
    study = make_study({"cross_entropy": CROSS_ENTROPY}, without_winner=["apl"])
    study.tune.append(make_record(loss="cross_entropy", index=3, status="stopped", accuracy=0.2))
    for name in ("learning_rate.svg", "learning_curves.svg"):
        assert texts(draw(study)[name]).count("no winner") == 1


def test_nothing_but_lost_trials_can_be_drawn():
    study = make_study({"focal": shifted(0.0)}, without_winner=["cross_entropy"])
    assert "no winner" in texts(draw(study)["learning_rate.svg"])
    assert draw(study)["differences.svg"].startswith("<?xml")


def test_names_are_escaped():
    study = make_study({"cross_entropy": CROSS_ENTROPY, "a<b>&$c_d$": shifted(0.0)})
    for name, svg in draw(study).items():
        assert "a<b>" not in svg
        assert "a<b>&$c_d$" in texts(svg) or name == "weights.svg"  # it is not of the catalogue
