"""HTML pages from templates. A page needs no network, and works in dark mode and on paper."""

from __future__ import annotations

import re
from typing import Any

from jinja2 import ChoiceLoader, Environment, PackageLoader, StrictUndefined
from markupsafe import Markup

from losstune import __version__
from losstune.core.drawing import themed
from losstune.verdict import wording


def render(template: str, package: str, /, **values: Any) -> str:
    """Return a template of `package`, or of the report's, filled in."""
    packages = dict.fromkeys((package, "losstune.report"))
    environment = Environment(
        loader=ChoiceLoader([PackageLoader(name, ".") for name in packages]),
        autoescape=True,
        trim_blocks=True,
        lstrip_blocks=True,
        undefined=StrictUndefined,
    )
    environment.filters |= {"minus": _minus, "points": wording.points, "number": wording.number}
    environment.filters |= {"p_value": wording.p_value, "seconds": wording.seconds}
    environment.filters |= {"further_blocks": wording.further_blocks}
    return environment.get_template(template).render(version=__version__, **values).rstrip() + "\n"


def inline(svg: str, label: str) -> Markup:
    """Return a figure for a page, with `label` as what a screen reader says.

    The figures are made by this package from numbers and from names that matplotlib has escaped.
    """
    return Markup(themed(svg, label))


def _minus(text: Any) -> str:
    """Set a true minus sign where a hyphen stands for one."""
    return re.sub(r"(?<![\w.])-(?=\d)", "−", str(text))
