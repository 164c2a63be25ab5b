"""The documentation site: strict, whole, and the same as on GitHub."""

from __future__ import annotations

import inspect
import re
import runpy
import shutil
from collections import Counter
from html.parser import HTMLParser
from importlib import import_module

import click
import pytest
from markdown_it import MarkdownIt

from losstune.cli.main import cli
from tests.paths import REPOSITORY
from tests.shared import made_once
from tests.site import build_site

DOCS = REPOSITORY / "docs"
HOOKS = runpy.run_path(str(DOCS / "hooks.py"))
DOCUMENTED = sorted(HOOKS["documented_names"]((DOCS / "python.md").read_text(encoding="utf-8")))
GENERATED = {"python.md", "command-reference.md"}


@pytest.fixture(scope="module")
def site(tmp_path_factory):
    def build(folder):
        done = build_site(folder)
        assert done.returncode == 0, done.stderr
        assert "WARNING" not in done.stderr

    return made_once(tmp_path_factory, "site", build)


class Elements(HTMLParser):
    """The tags of a page with their attributes."""

    def __init__(self, text):
        super().__init__()
        self.found = []
        self.feed(text)

    def handle_starttag(self, tag, attrs):
        self.found.append((tag, dict(attrs)))


def elements(path):
    return Elements(path.read_text(encoding="utf-8")).found


def article(path):
    """What the page's source says, without what the theme adds."""
    text = path.read_text(encoding="utf-8")
    text = text[text.index("<article") : text.index("</article>")]
    return re.sub(r'<a class="headerlink".*?</a>|<a id="__codelineno.*?</a>', "", text)


def found_in(reference):
    """Return what a dotted name stands for."""
    parts = reference.split(".")
    for length in range(len(parts), 0, -1):
        try:
            found = import_module(".".join(parts[:length]))
        except ModuleNotFoundError:
            continue
        for part in parts[length:]:
            found = getattr(found, part)
        return found
    raise AssertionError(reference)


def members(one):
    """Return the public methods and properties that a class defines."""
    kinds = (property, classmethod, staticmethod)
    return [
        name
        for name, value in vars(one).items()
        if not name.startswith("_")
        and (inspect.isfunction(value) or isinstance(value, kinds) or hasattr(value, "func"))
    ]


def commands(command, path="losstune"):
    yield path, command
    for name, child in getattr(command, "commands", {}).items():
        yield from commands(child, f"{path}-{name}")


def test_the_reference_has_every_public_name():
    assert HOOKS["public_names"]() >= {"losstune.Job", "losstune.losses.get"}
    assert HOOKS["public_names"]() <= set(DOCUMENTED)


@pytest.mark.parametrize("name", DOCUMENTED)
def test_a_public_name_is_explained(name, site):
    one = found_in(name)
    ids = {attributes.get("id") for _, attributes in elements(site / "python.html")}
    names = [name, *(f"{name}.{member}" for member in members(one))] if inspect.isclass(one) else [name]
    for member in names:
        assert re.match(r"[A-Z].*\S", found_in(member).__doc__ or ""), f"{member} has no docstring"
        assert member in ids


def test_the_examples_of_the_docstrings_are_code(site):
    text = article(site / "python.html")
    assert "<blockquote" not in text, "a section of `>>>` lines is headed Examples"
    assert not re.search(r":(meth|class|attr|func|data|mod):", text)


@pytest.mark.parametrize(("path", "command"), [pytest.param(*found, id=found[0]) for found in commands(cli)])
def test_the_reference_has_every_command_with_its_options(path, command, site):
    text = (site / "command-reference.html").read_text(encoding="utf-8")
    section = text.partition(f'id="{path}"')[2]
    assert section
    for parameter in command.params:
        if isinstance(parameter, click.Option):
            assert all(option in section for option in parameter.opts)


def test_nothing_is_fetched_from_elsewhere(site):
    pages, styles = sorted(site.rglob("*.html")), sorted(site.rglob("*.css"))
    assert len(pages) > 30
    assert not [path for path in site.rglob("*") if path.suffix in (".py", ".pyc")]
    for page in pages:
        for tag, attributes in elements(page):
            for name in ("src", "srcset", "href", "data", "poster"):
                is_fetched = tag != "a" and re.match(r"(\w+:)?//", attributes.get(name) or "")
                assert not is_fetched, (page.name, tag, attributes)
    for style in styles:
        text = style.read_text(encoding="utf-8")
        assert not re.findall(r"(?:@import\s*|url\()\s*['\"]?(?:\w+:)?//[^)]*", text), style.name


@pytest.mark.parametrize("path", sorted(set(DOCS.glob("*.md"))), ids=lambda path: path.stem)
def test_a_page_has_the_same_elements_as_on_github(path, site):
    if path.name in GENERATED:
        pytest.skip("the site generates it")
    github = MarkdownIt("commonmark", {"html": True}).enable("table").render(path.read_text(encoding="utf-8"))
    here = article(site / ("index.html" if path.name == "README.md" else f"{path.stem}.html"))
    tags = [
        Counter(re.findall(r"<(h\d|li|[uo]l|table|tr|pre|blockquote|img|a|p|strong|em)[ >]", one))
        for one in (github, here)
    ]
    assert tags[0] == tags[1]


def test_a_link_out_of_the_pages_leads_to_a_page_that_shows_the_file(site):
    shown = (site / "repository/examples/own/index.html").read_text(encoding="utf-8")
    assert "reviewed_cost" in shown
    assert 'href="../../../your-own.html"' in shown
    assert 'href="repository/CONTRIBUTING.html"' in (site / "index.html").read_text(encoding="utf-8")


def test_what_is_broken_ends_the_build(tmp_path):
    source = tmp_path / "source"
    shutil.copytree(DOCS, source / "docs", ignore=shutil.ignore_patterns("__pycache__", "gallery"))
    shutil.copy(REPOSITORY / "mkdocs.yml", source)  # a link would lead MkDocs back
    for name in ("params.yaml", "README.md", "CONTRIBUTING.md", "CHANGELOG.md", "src", "examples"):
        (source / name).symlink_to(REPOSITORY / name)
    reference = source / "docs/python.md"
    reference.write_text(reference.read_text().replace("::: losstune.Choice\n", "").replace("::: losstune.Job\n", ""))
    with (source / "docs/limits.md").open("a") as file:
        file.write("\n[a](nowhere.md) [b](verdict.md#nowhere) [c](../nowhere.py)\n")
    (source / "docs/forgotten.md").write_text("# No menu has it\n")
    done = build_site(tmp_path / "site", source)
    assert done.returncode != 0
    for problem in (
        "the link 'nowhere.md'|a link 'nowhere.md'",
        "contains a link 'verdict.md#nowhere'",
        r"a link '\.\./nowhere\.py'|relative link '\.\./nowhere\.py'",
        "losstune.Choice",
        "losstune.Job",
        r"forgotten\.md",
    ):
        assert re.search(problem, done.stderr), (problem, done.stderr)
