"""What is written about the catalogue is what the catalogue says."""

from __future__ import annotations

import ast
import json
import re
import runpy
import subprocess
import sys

import pytest

from tests.paths import REPOSITORY

DEFAULT_STUDIES = (".", "studies/noisy_digits-cnn")
needs_results = pytest.mark.skipif(
    not all((REPOSITORY / folder / "results.json").exists() for folder in DEFAULT_STUDIES), reason="run dvc repro first"
)
EXAMPLES = sorted((REPOSITORY / "docs" / "examples").glob("*.py"))
PAGES = [*(REPOSITORY / name for name in ("README.md", "CONTRIBUTING.md")), *sorted((REPOSITORY / "docs").glob("*.md"))]


def anchors(page):
    """The names that GitHub gives to a page's headings."""
    headings = re.findall(r"^#+ (.*)$", page.read_text(encoding="utf-8"), flags=re.MULTILINE)
    return {re.sub(r"[^\w\- ]", "", heading.lower()).replace(" ", "-") for heading in headings}


def numbers_of(svg):
    return [float(part) for part in re.findall(r"-?\d+\.\d+", svg)]


@pytest.mark.parametrize("page", PAGES, ids=lambda path: path.stem)
def test_every_link_leads_somewhere(page):
    links = re.findall(r"\]\(([^)\s]+)\)", page.read_text(encoding="utf-8"))
    for link in links:
        path, _, anchor = link.partition("#")
        if not link.startswith(("http://", "https://")):
            target = page.parent / path if path else page
            assert target.exists(), link
            assert not anchor or anchor in anchors(target), link


def test_the_index_lists_every_page():
    listed = re.findall(r"\]\((\S+?\.md)\)", (REPOSITORY / "docs" / "README.md").read_text(encoding="utf-8"))
    assert {path.name for path in PAGES[2:]} - {"README.md"} <= set(listed)


def test_the_readme_is_short():
    assert len((REPOSITORY / "README.md").read_text(encoding="utf-8").splitlines()) <= 150


def test_the_architecture_shows_the_packages():
    packages = sorted(path.parent.name for path in (REPOSITORY / "src" / "losstune").glob("*/__init__.py"))
    page = (REPOSITORY / "docs" / "architecture.md").read_text(encoding="utf-8")
    drawing = (REPOSITORY / "docs" / "packages.svg").read_text(encoding="utf-8")
    layout = (REPOSITORY / "CONTRIBUTING.md").read_text(encoding="utf-8")
    assert sorted(re.findall(r"^\| \d \| `(\w+)` \|", page, flags=re.MULTILINE)) == packages
    assert sorted(re.findall(r'class="name"[^>]*>(\w+)<', drawing)) == packages
    assert not [name for name in packages if f"{name}/ " not in layout]


def test_the_page_of_losses_is_current():
    script = runpy.run_path(str(REPOSITORY / "docs" / "make_losses_page.py"))
    assert script["PAGE"].read_text(encoding="utf-8") == script["page"](), "run python docs/make_losses_page.py"


def test_the_gallery_is_current():
    script = runpy.run_path(str(REPOSITORY / "docs" / "make_losses_page.py"))
    assert script["GALLERY"].read_text(encoding="utf-8") == script["gallery"]()
    drawn = script["figures"]()
    assert {path.stem for path in script["FIGURES"].iterdir()} == drawn.keys()
    for name, svg in drawn.items():
        # Coordinates may differ by rounding between machines.
        kept = (script["FIGURES"] / f"{name}.svg").read_text(encoding="utf-8")
        assert numbers_of(kept) == pytest.approx(numbers_of(svg), abs=0.05), (
            f"{name}: run python docs/make_losses_page.py"
        )


def test_the_plain_loop_runs():
    done = subprocess.run(
        [sys.executable, REPOSITORY / "docs" / "examples" / "plain_loop.py"], capture_output=True, text=True, check=True
    )
    criterion, accuracy = done.stdout.splitlines()
    assert criterion == "LossModule(focal(gamma=2.0), reduction='mean')"
    assert float(accuracy.split()[1]) > 0.85


@pytest.mark.parametrize("path", EXAMPLES, ids=lambda path: path.stem)
def test_examples_name_losses_and_hyperparameters_that_exist(path):
    from losstune.losses import get

    calls = [
        node
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8")))
        if isinstance(node, ast.Call) and ast.unparse(node.func) in {"get", "Digits"} and node.args
    ]
    literal = [call for call in calls if isinstance(call.args[0], ast.Constant)]
    assert literal
    for call in literal:
        get(call.args[0].value, **{word.arg: ast.literal_eval(word.value) for word in call.keywords})


@needs_results
@pytest.mark.parametrize("folder", DEFAULT_STUDIES)
def test_readme_and_the_page_of_the_default_study_quote_its_verdict(committed, folder):
    sentence = json.loads((committed / folder / "results.json").read_text(encoding="utf-8"))["verdict"]["sentence"]
    for page in ("README.md", "docs/default-study.md"):
        text = (REPOSITORY / page).read_text(encoding="utf-8").replace("\n> ", " ")
        assert f"<!-- verdict of {folder} --> {sentence}\n<!-- end -->" in text, "run python docs/quote_results.py"


def test_the_page_of_packs_is_current_and_has_every_pack():
    script = runpy.run_path(str(REPOSITORY / "docs" / "quote_results.py"))
    text = (REPOSITORY / "docs" / "packs.md").read_text(encoding="utf-8")
    assert script["quoted"](text) == text, "run python docs/quote_results.py"
    names = {path.parent.name for path in (REPOSITORY / "src/losstune/packs/library").glob("*/pack.yaml")}
    assert set(re.findall(r"<!-- pack of (\S+) -->", text)) == names


@needs_results
def test_quotations_and_figures_of_the_default_studies_are_current(committed):
    script = runpy.run_path(str(REPOSITORY / "docs" / "quote_results.py"))
    script["quoted"].__globals__["RESULTS"] = committed
    assert script["PAGES"] == [page for page in PAGES if page.name != "CONTRIBUTING.md"]
    for page in script["PAGES"]:
        text = page.read_text(encoding="utf-8")
        assert script["quoted"](text) == text, f"{page.name}: run python docs/quote_results.py"
    assert tuple(script["FIGURES"]) == DEFAULT_STUDIES
    for folder, path in script["FIGURES"].items():
        drawn, kept = script["differences_svg"](script["results_of"](folder)), path.read_text(encoding="utf-8")
        assert numbers_of(kept) == pytest.approx(numbers_of(drawn), abs=0.05), "run python docs/quote_results.py"
