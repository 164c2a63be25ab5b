from __future__ import annotations

import pytest

from losstune.report.panels import label_panels, panels


@pytest.mark.parametrize("num_panels", [1, 4, 5, 9])
def test_panels_share_their_axes_and_none_is_seen_beyond_the_last(num_panels):
    figure, found = panels(num_panels, (1e-4, 1e-1), (0.0, 50.0), x_scale="log")
    assert [axes.get_visible() for axes in found] == [i < num_panels for i in range(len(found))]
    for axes in found[:num_panels]:
        assert (axes.get_xscale(), axes.get_xlim(), axes.get_ylim()) == ("log", (1e-4, 1e-1), (0.0, 50.0))
    assert figure.get_figwidth() == 8.0


def test_a_long_label_is_no_longer_than_the_figure_is_high():
    figure, _ = panels(4, (0, 1), (0, 1))
    label_panels(figure, "x", "expected best validation balanced accuracy, %")
    figure.draw_without_rendering()
    extent = figure.texts[-1].get_window_extent()
    assert 0 <= extent.y0 < extent.y1 <= figure.bbox.height
