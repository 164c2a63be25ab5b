"""Page, figures, tables and terminal: what they name, that they fit, and that they are the same bytes each time."""

from __future__ import annotations

import csv
import io
import re
from html.parser import HTMLParser

import pytest
from rich.console import Console

from losstune.cli import main as cli
from losstune.core.errors import LosstuneError
from losstune.report.across import figures, tables
from losstune.report.across.cells import read_cells
from losstune.report.across.comparison import compare
from losstune.report.across.results import Across
from losstune.report.across.terminal import print_across
from losstune.stages import across as stage
from tests.report.across.studies import LOSSES, random_scores, write_cells, write_study

MANY = (*LOSSES, *(f"loss_{number}" for number in range(10)))


@pytest.fixture
def folders(tmp_path):
    return write_cells(tmp_path, random_scores(8))


@pytest.fixture
def across(folders):
    return compare(read_cells(folders))


def test_the_same_studies_give_the_same_bytes(tmp_path, folders, capsys):
    for output in ("one", "two"):
        stage.run(folders, tmp_path / output)
    ones, twos = (sorted(path for path in (tmp_path / name).rglob("*") if path.is_file()) for name in ("one", "two"))
    assert [path.name for path in ones] == [
        "across.html",
        "across.json",
        "cells.csv",
        "critical_difference.svg",
        "estimates.svg",
        "losses.csv",
        "nemenyi.csv",
        "profiles.csv",
        "profiles.svg",
    ]
    assert [path.read_bytes() for path in ones] == [path.read_bytes() for path in twos]
    first, second = capsys.readouterr().out.split("Full comparison: ")[1:]
    assert first.split("\n", 1)[1] == second.split("\n", 1)[1]


@pytest.mark.parametrize("num_cells", [2, 8])
def test_numbers_survive_the_file_with_their_infinities(tmp_path, num_cells):
    folders = write_cells(tmp_path, random_scores(num_cells))
    stage.run(folders, tmp_path / "out")
    assert Across.model_validate_json((tmp_path / "out/across.json").read_bytes()) == compare(read_cells(folders))


class _Tags(HTMLParser):
    VOID = frozenset({"meta", "br", "path", "use", "rect"})

    def __init__(self):
        super().__init__()
        self.open, self.links = [], []

    def handle_starttag(self, tag, attrs):
        if tag not in self.VOID:
            self.open.append(tag)
        self.links += [value for name, value in attrs if name in ("href", "src", "xlink:href")]

    def handle_endtag(self, tag):
        if tag not in self.VOID:
            assert self.open.pop() == tag


def test_the_page_needs_nothing_else_and_links_the_reports(tmp_path, folders):
    report = folders[2] / "report" / "report.html"
    report.parent.mkdir()
    report.write_text("a report")
    write_study(folders[1], random_scores(8)[1], data="npz", digest="01", action="none")
    stage.run(folders, tmp_path / "out")
    page = (tmp_path / "out/across.html").read_text()
    tags = _Tags()
    tags.feed(page)
    assert tags.open == []
    assert {link for link in tags.links if not link.startswith("#")} == {"../cell2/report/report.html"}
    assert all(name in page for name in (*LOSSES, *(folder.name for folder in folders)))
    assert "not counted" in page
    assert str(tmp_path) not in page.replace(folders[0].as_posix(), "")
    assert "<h1>js, gce, focal over cross_entropy</h1>" in page


def test_a_folders_name_is_text_on_the_page_and_no_markup(tmp_path):
    folders = write_cells(tmp_path / "<b>#1", random_scores(3))
    odd = folders[0].rename(folders[0].parent / "a & <i>b")
    (odd / "report").mkdir()
    (odd / "report" / "report.html").write_text("a report")
    stage.run([odd, *folders[1:]], tmp_path / "out")
    page = (tmp_path / "out/across.html").read_text()
    assert "a &amp; &lt;i&gt;b" in page
    assert 'href="../%3Cb%3E%231/a%20%26%20%3Ci%3Eb/report/report.html"' in page


def test_the_headline_is_short_whatever_was_found(tmp_path, folders):
    pages = []
    same = write_cells(tmp_path / "same", [{loss: [0.9, 0.91] for loss in LOSSES}] * 6)
    more = write_cells(tmp_path / "more", random_scores(12, losses=MANY))
    for number, cells in enumerate((same, more)):
        stage.run(cells, tmp_path / str(number))
        pages.append((tmp_path / str(number) / "across.html").read_text())
    assert "<h1>No loss beats cross_entropy</h1>" in pages[0]
    assert re.search(r"<h1>\d+ losses over cross_entropy</h1>", pages[1])


def test_a_figure_names_every_method_and_has_no_date(across):
    drawn = figures.draw(across)
    assert drawn.keys() == figures.LABELS.keys()
    for svg in drawn.values():
        assert all(loss in svg for loss in ("focal", "gce", "js"))
        assert not re.search(r"\d{4}-\d\d-\d\d", svg)
    ranked = drawn["critical_difference.svg"]
    assert f"critical difference {across.critical_difference:.2f}" in ranked
    assert "kl_divergence" not in ranked
    assert all(f"{loss.mean_rank:.2f}" in ranked for loss in across.methods)


@pytest.mark.parametrize("num_cells", [2, 8])
@pytest.mark.parametrize("losses", [LOSSES, MANY], ids=["few", "many"])
def test_figures_of_few_and_many_are_drawn(tmp_path, num_cells, losses):
    across = compare(read_cells(write_cells(tmp_path, random_scores(num_cells, losses=losses))))
    assert all(svg.startswith("<?xml") for svg in figures.draw(across).values())


def test_tables(across):
    drawn = {name: list(csv.DictReader(io.StringIO(text))) for name, text in tables.draw(across).items()}
    assert [row["loss"] for row in drawn["losses.csv"]] == [loss.loss for loss in across.losses]
    assert drawn["losses.csv"][0]["mean_rank"] == f"{across.losses[0].mean_rank:.6f}"
    assert len(drawn["cells.csv"]) == 8 * 4
    assert len(drawn["profiles.csv"]) == 5 * len(across.thresholds)
    square = drawn["nemenyi.csv"]
    names = [loss.loss for loss in across.methods]
    assert [row["loss"] for row in square] == names
    for i, one in enumerate(names):
        for j, other in enumerate(names):
            assert square[i][other] == square[j][one]
            together = any({one, other} <= set(group) for group in across.groups)
            assert i == j or together == (float(square[i][other]) > across.alpha)


def test_the_terminal_takes_less_than_25_lines(tmp_path, capsys):
    folders = write_cells(tmp_path, random_scores(8, losses=MANY), data="digits")
    across = compare(read_cells(folders))
    text = io.StringIO()
    print_across(across, Console(file=text, width=200))
    lines = text.getvalue().splitlines()
    assert len(lines) < 25
    assert max(map(len, lines)) <= 110
    assert " ".join(text.getvalue().split()).endswith(across.sentence)
    assert "and 6 more losses, see the page" in text.getvalue()
    assert "Verdicts: keep cross_entropy in cell0, cell1, cell2, cell3, cell4, cell5, cell6 and cell7." in " ".join(
        lines
    )


def command(capsys, *arguments):
    with pytest.raises(SystemExit) as ended:
        cli.main(["across", *map(str, arguments)])
    shown = capsys.readouterr()
    return ended.value.code, shown.out, shown.err


@pytest.fixture
def plain(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(cli, "configure_environment", lambda: None)  # it is for a process of its own


@pytest.mark.usefixtures("plain")
def test_the_command_tells_a_mistake_in_one_line_and_writes_nothing(tmp_path, folders, capsys):
    mixed = write_study(tmp_path / "mixed", random_scores(1)[0], metric="macro_f1")
    for arguments, message in (
        ([folders[0], "cell9"], "cell9: no such folder, expected one with a study's results.json; did you mean"),
        ([folders[0]], "found 1 study, expected two or more to compare"),
        ([folders[0], mixed], f"{mixed}/results.json: found metric macro_f1, expected accuracy"),
        ([], "params.yaml: no such file"),
    ):
        code, out, err = command(capsys, *arguments)
        assert (code, out) == (cli.EXIT_MISTAKE, "")
        assert err.startswith(f"losstune: {message}")
        assert err.count("\n") == 1
    assert not (tmp_path / "across").exists()


@pytest.mark.usefixtures("plain")
def test_the_command_writes_where_it_is_told(tmp_path, folders, capsys):
    cli.cli.main(["across", *map(str, folders), "--output", "there"], standalone_mode=False)
    assert "Full comparison: there/across.html" in capsys.readouterr().out
    assert (tmp_path / "there" / "across.json").is_file()


def test_a_cost_is_shown_in_its_units_and_with_its_direction(tmp_path):
    costs = [
        {loss: [50 * (1 - score) for score in blocks] for loss, blocks in cell.items()} for cell in random_scores(8)
    ]
    settings = {"metric": "cost", "minimize": True, "percent": False, "rope": 0.25}
    found = compare(read_cells(write_cells(tmp_path / "cells", costs, **settings)))
    text = io.StringIO()
    print_across(found, Console(file=text, width=110))
    assert "cost: lower is better, so a loss with a negative IQM is ahead." in text.getvalue()
    assert "points" not in text.getvalue()
    drawn = figures.draw(found)
    assert "IQM of cost minus cross_entropy's (lower is better)" in drawn["estimates.svg"]
    assert "τ, cost below cross_entropy (grey: baseline)" in drawn["profiles.svg"]
    stage.run([tmp_path / "cells" / f"cell{number}" for number in range(8)], tmp_path / "out")
    page = (tmp_path / "out/across.html").read_text(encoding="utf-8")
    assert "Lower is better, so a loss with a negative difference is ahead." in page
    assert "in points" not in page


def test_studies_that_cannot_be_ranked_are_a_page_of_links_if_that_is_asked_for(tmp_path, capsys):
    folders = write_cells(tmp_path, random_scores(2, losses=LOSSES[:2]))
    with pytest.raises(LosstuneError, match="expected 3 or more to rank"):
        stage.run(folders, tmp_path / "across")
    for folder in folders:
        (folder / "report").mkdir(parents=True, exist_ok=True)
        (folder / "report/report.html").write_text("a report")
    stage.run(folders, tmp_path / "across", or_links=True)
    page = (tmp_path / "across/across.html").read_text(encoding="utf-8")
    assert "expected 3 or more to rank" in page
    links = [f"../{folder.name}/report/report.html" for folder in folders]
    assert re.findall(r'<a href="([^"]+)"', page) == links
    assert "<h1>2 studies</h1>" in page
    assert "not ranked together" in capsys.readouterr().out
    with pytest.raises(LosstuneError):  # results that are missing stay an error
        stage.run([*folders, tmp_path / "nowhere"], tmp_path / "across", or_links=True)
