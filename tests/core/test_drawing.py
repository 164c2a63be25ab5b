import re
import xml.etree.ElementTree as ET

from matplotlib.figure import Figure

from losstune.core.drawing import COLOURS, drawing_style, svg_of, themed


def drawn(name):
    with drawing_style(name):
        figure = Figure(figsize=(2, 1))
        figure.add_subplot().plot([0, 1], [0, 1], color=COLOURS["better"])
        return svg_of(figure)


def test_themed_figures_take_the_page_s_colours_and_share_no_identifier():
    found = [themed(drawn(name), "a label") for name in ("one", "two")]
    assert not re.search(r"#[0-9a-f]{6}\b", "".join(found))
    identifiers = [name for svg in found for name in re.findall(r' id="([^"]+)"', svg)]
    assert len(identifiers) == len(set(identifiers))
    for svg in found:
        root = ET.fromstring(svg)
        assert (root.get("role"), root.get("aria-label"), root.get("width")) == ("img", "a label", None)
        referred = set(re.findall(r"#([\w-]+)", svg))
        assert referred <= set(identifiers)
