"""Hooks of MkDocs, for what the pages in ``docs/`` mean on GitHub and have to mean on the site, too.

A link to a file of the repository that is no page, such as ``../examples/own/my_losses.py``, leads to a page that shows
the file.
"""

from __future__ import annotations

import inspect
import json
import re
import textwrap
from pathlib import Path
from posixpath import dirname, join, normpath, relpath

import click
from mkdocs.config.defaults import MkDocsConfig
from mkdocs.plugins import get_plugin_logger
from mkdocs.structure.files import File, Files, InclusionLevel
from mkdocs.structure.pages import Page
from pymdownx.slugs import slugify

import losstune
from losstune import losses
from losstune.cli.main import cli

ROOT = Path(__file__).parents[1]
SHOWN = "repository"
"""The site's folder of the pages that show files of the repository."""

LANGUAGES = {".py": "python", ".yaml": "yaml", ".yml": "yaml", ".lock": "yaml"}
LINK = re.compile(r"(?<=\]\()(?!\w+:)([^)\s#]+)")
ROLE = re.compile(r":(?:attr|class|data|func|meth|mod):<code>([\w.]+)</code>")
HELP = re.compile("\b\n(?P<lines>(?:.+\n?)+)|`[^`]*`|(?P<mark>[*<])")
"""In a command's help: the lines of a paragraph that Click does not wrap, code, and what Markdown takes for a mark."""

log = get_plugin_logger("losstune")


def on_config(config: MkDocsConfig) -> None:
    """Give headings the anchors that GitHub gives them, and make the commands' help Markdown."""
    config.mdx_configs["toc"]["slugify"] = slugify(case="lower")
    _make_markdown(cli)


def _make_markdown(command: click.Command) -> None:
    command.help = HELP.sub(_as_markdown, inspect.cleandoc(command.help or ""))
    for one in getattr(command, "commands", {}).values():
        _make_markdown(one)


def _as_markdown(found: re.Match[str]) -> str:
    if found["lines"]:
        return textwrap.indent(found["lines"], "    ")
    return f"&#{ord(found['mark'])};" if found["mark"] else found[0]


def on_files(files: Files, config: MkDocsConfig) -> None:
    """Add a page for each file of the repository that a page links to, and for those that these pages link to."""
    waiting = [(f"docs/{file.src_uri}", file.content_string) for file in files.documentation_pages()]
    while waiting:
        source, text = waiting.pop()
        for target in sorted({_target(source, link) for link in LINK.findall(text)}):
            path = _site_path(target)
            if path.startswith(f"{SHOWN}/") and (ROOT / target).exists() and path not in files.src_uris:
                source, content = _shown(target)
                page = _relinked(content, source, path)
                files.append(File.generated(config, path, content=page, inclusion=InclusionLevel.NOT_IN_NAV))
                waiting.append((source, content))


def on_page_markdown(markdown: str, page: Page, config: MkDocsConfig, files: Files) -> str:
    """Let links lead to the pages of the site; warn of a public name that the Python reference lacks."""
    path = page.file.src_uri
    if path == "README.md":
        page.meta["hide"] = ["navigation"]  # it is alone there
    if path == "python.md":
        for name in sorted(public_names() - documented_names(markdown)):
            log.warning("docs/python.md: expected `::: %s`, as it is a public name", name)
    return markdown if path.startswith(f"{SHOWN}/") else _relinked(markdown, f"docs/{path}", path)


def on_page_content(html: str, page: Page, config: MkDocsConfig, files: Files) -> str:
    """Make links of the docstrings' roles, such as ``:class:`losstune.Dataset```."""
    return ROLE.sub(_reference, html)


def _reference(found: re.Match[str]) -> str:
    head, dot, rest = found[1].partition(".")
    name = {public.rpartition(".")[2]: public for public in public_names()}.get(head, head) + dot + rest
    return f'<autoref identifier="{name}" optional><code>{found[1]}</code></autoref>'


def public_names() -> set[str]:
    """Return the names that users may import."""
    return {f"{module.__name__}.{name}" for module in (losstune, losses) for name in module.__all__}


def documented_names(markdown: str) -> set[str]:
    """Return the names that a page of the reference documents."""
    return set(re.findall(r"^::: ([\w.]+)$", markdown, flags=re.MULTILINE))


def _target(source: str, link: str) -> str:
    return normpath(join(dirname(source), link))


def _site_path(target: str) -> str:
    """Return where a file of the repository is on the site: itself, or the page that shows it."""
    if target.startswith("docs/") and target.endswith((".md", ".svg")):
        return target.removeprefix("docs/")
    name = target.lstrip(".")
    if (ROOT / target).is_dir():
        return f"{SHOWN}/{name}/README.md"
    return f"{SHOWN}/{name}" if target.endswith(".md") else f"{SHOWN}/{name}.md"


def _relinked(markdown: str, source: str, path: str) -> str:
    def link(found: re.Match[str]) -> str:
        target = _target(source, found[1])
        return relpath(_site_path(target), dirname(path) or ".") if (ROOT / target).exists() else found[1]

    return LINK.sub(link, markdown)


def _shown(target: str) -> tuple[str, str]:
    """Return the Markdown that shows a file or folder, and the path that its links start from."""
    path = ROOT / target
    if path.suffix == ".md":
        return target, path.read_text(encoding="utf-8")
    if path.suffix == ".ipynb":
        return target, _notebook(path)
    if path.is_file():
        return target, f"---\nhide: [toc]\n---\n# `{target}`\n{_code(path)}"
    readme = path / "README.md"
    text = readme.read_text(encoding="utf-8") if readme.exists() else f"# `{target}`\n"
    for one in sorted(path.iterdir()):
        if one.is_dir() and one.name[0] not in "._":
            text += f"\n## [{one.name}/]({one.name})\n"
        elif one.suffix in LANGUAGES:
            text += f"\n## `{one.name}`\n{_code(one)}"
    return f"{target}/README.md", text


def _code(path: Path) -> str:
    return f"\n````{LANGUAGES.get(path.suffix, 'text')}\n{path.read_text(encoding='utf-8')}````\n"


def _notebook(path: Path) -> str:
    parts = []
    for cell in json.loads(path.read_text(encoding="utf-8"))["cells"]:
        source = "".join(cell["source"])
        parts.append(source if cell["cell_type"] == "markdown" else f"````python\n{source}\n````")
        for output in cell.get("outputs", []):
            data = output.get("data", {"text/plain": output.get("text", "")})
            html, text = ("".join(data.get(kind, "")).strip() for kind in ("text/html", "text/plain"))
            parts.append(f'<div class="output">{html}</div>' if html else f"````text\n{text}\n````" if text else "")
    return "\n\n".join(parts)
