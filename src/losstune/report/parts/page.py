"""HTML pages from templates. A page needs no network, and supports dark mode and print."""

from __future__ import annotations

import re
from typing import Any

from jinja2 import ChoiceLoader, Environment, PackageLoader, StrictUndefined
from markupsafe import Markup

from losstune import __version__
from losstune.core.drawing import themed
from losstune.verdict import wording


def render(template: str, package: str, /, **values: Any) -> str:
    """Render a template of `package`, or else of the report's package."""
    packages = dict.fromkeys((package, "losstune.report"))
    environment = Environment(
        loader=ChoiceLoader([PackageLoader(name, ".") for name in packages]),
        autoescape=True,
        trim_blocks=True,
        lstrip_blocks=True,
        undefined=StrictUndefined,
    )
    environment.filters |= {"minus": _minus, "number": wording.number}
    environment.filters |= {"p_value": wording.p_value, "seconds": wording.seconds}
    return environment.get_template(template).render(version=__version__, **values).rstrip() + "\n"


def inline(svg: str, label: str) -> Markup:
    """Return a figure for a page, with `label` as its text alternative.

    It is safe markup, because this package draws figures from numbers and from names that matplotlib escapes.
    """
    return Markup(themed(svg, label))


def _minus(text: Any) -> str:
    """Replace hyphens that mean minus by minus signs."""
    return re.sub(r"(?<![\w.])-(?=\d)", "−", str(text))
