"""The style of all figures, and their conversion to SVG: equal numbers give equal bytes.

The colours are those of Okabe and Ito, which colour-blind readers can distinguish. Every colour comes from
:data:`COLOURS`, so that an HTML page can replace them by its own.
"""

from __future__ import annotations

import io
import re
from typing import Any

from matplotlib import rc_context
from matplotlib.figure import Figure

COLOURS = {
    "card": "#fefefe",
    "ink": "#1f2430",
    "muted": "#666f7d",
    "line": "#dfe3e8",
    "band": "#eaf1f7",
    "shadow": "#b3bac5",
    "better": "#0072b2",
    "worse": "#d55e00",
    "equivalent": "#009e73",
    "undecided": "#7d8591",
    "control": "#aa4499",
}


def drawing_style(name: str) -> Any:
    """Return a context manager that applies this style; `name` makes the SVG identifiers of a figure unique."""
    return rc_context(
        {
            "svg.hashsalt": f"losstune {name}",
            "svg.fonttype": "none",
            "font.family": "DejaVu Sans",
            "font.size": 8.5,
            "figure.facecolor": COLOURS["card"],
            "axes.facecolor": COLOURS["card"],
            "savefig.facecolor": COLOURS["card"],
            "axes.edgecolor": COLOURS["shadow"],
            "axes.linewidth": 0.8,
            "axes.labelcolor": COLOURS["ink"],
            "axes.labelsize": 9,
            "axes.spines.top": False,
            "axes.spines.right": False,
            "axes.axisbelow": True,
            "axes.unicode_minus": True,
            "text.color": COLOURS["ink"],
            "xtick.color": COLOURS["shadow"],
            "ytick.color": COLOURS["shadow"],
            "xtick.labelcolor": COLOURS["muted"],
            "ytick.labelcolor": COLOURS["muted"],
            "xtick.labelsize": 8,
            "ytick.labelsize": 8,
            "xtick.major.size": 3,
            "ytick.major.size": 0,
            "text.parse_math": False,
        }
    )


def svg_of(figure: Figure) -> str:
    """Return the figure as SVG text without dates and versions."""
    text = io.StringIO()
    figure.savefig(text, format="svg", metadata={"Date": None, "Creator": None})
    return "\n".join(line.rstrip() for line in text.getvalue().splitlines()) + "\n"


def themed(svg: str, label: str) -> str:
    """Return a figure for inlining in HTML: without XML preamble and fixed size, colours as ``var(--fig-ink)``.

    Unreferenced identifiers are removed, because several figures on a page would repeat them.
    """
    svg = svg[svg.index("<svg") :]
    svg = re.sub(r' (?:width|height)="[\d.]+pt"', "", svg, count=2)
    svg = svg.replace("<svg", f'<svg role="img" aria-label="{label}"', 1)
    referred = set(re.findall(r"#([\w-]+)", svg))
    svg = re.sub(r' id="([\w.-]+)"', lambda match: match[0] if match[1] in referred else "", svg)
    for name, colour in COLOURS.items():
        svg = svg.replace(colour, f"var(--fig-{name})")
    return svg
