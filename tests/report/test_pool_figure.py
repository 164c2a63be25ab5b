from __future__ import annotations

import xml.etree.ElementTree as ET

import pytest

from losstune.report.pool_figure import LEAST_WORDS, parts, pool_svg
from tests.report.pooled import make_pooled

SVG = "{http://www.w3.org/2000/svg}"


def test_the_parts_of_a_bar_fill_it_in_order():
    for loss in make_pooled().results().losses:
        ends = [start + width for _, start, width in parts(loss)]
        assert [start for _, start, _ in parts(loss)] == pytest.approx([0.0, *ends[:-1]])
        assert ends[-1] == pytest.approx(1.0)
        assert [search for search, _, _ in parts(loss) if search] == list(loss.searches)


def test_each_wide_part_names_its_score_and_its_seeds():
    results = make_pooled().results()
    svg = pool_svg(results)
    texts = [element.text for element in ET.fromstring(svg).iter(f"{SVG}text")]
    for loss in ("cross_entropy", "focal"):
        assert loss in texts
        assert results.units.score(results.of(loss).scores["accuracy"].mean) in texts
        wide = [search for search in results.of(loss).searches if search.weight >= LEAST_WORDS]
        assert wide
        for search in wide:
            assert results.units.score(search.test) in texts
    assert "searches of 8 trials that end at the configuration, %" in texts
    assert "gce" not in texts
    assert svg == pool_svg(results)
