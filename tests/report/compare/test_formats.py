import json
from html.parser import HTMLParser

import pytest

from losstune.report.compare.comparison import Link
from losstune.report.compare.formats import FORMATS, formatted
from losstune.stages.compare import compare_revisions


@pytest.fixture(scope="module")
def noise(history_repo):
    return compare_revisions(history_repo.folder, "base", "noise", force=False)


@pytest.fixture(scope="module")
def forced(history_repo):
    return compare_revisions(history_repo.folder, "base", "metric", force=True)


@pytest.mark.parametrize("form", FORMATS)
def test_every_format_says_all(noise, form):
    text = formatted(noise, form)
    assert text.endswith("\n")
    for word in ("cross_entropy", "focal", "gce", "worse", "data.label_noise", "paired"):
        assert word in text
    assert noise.sentence.split(",")[0] in " ".join(text.split())


@pytest.mark.parametrize("form", FORMATS)
def test_every_format_warns_of_what_was_forced(forced, form):
    assert "tune.metric: accuracy at base, macro_f1 at metric" in formatted(forced, form).replace("\\", "")


def test_the_table_fits_a_terminal(noise):
    assert max(map(len, formatted(noise, "table").splitlines())) <= 110
    assert "\x1b" not in formatted(noise, "table")


def test_json_reads_back(noise):
    values = json.loads(formatted(noise, "json"))
    assert values["sentence"] == noise.sentence
    rows = {row["loss"]: row for row in values["scores"]["losses"]}
    assert rows["focal"]["decision"] == "worse"
    assert rows["focal"]["difference"]["num_blocks"] == [16, 16]


def test_a_name_cannot_write_markup(noise):
    hostile = "a|b <script>alert(1)</script> [x](y)"
    comparison = noise.model_copy(update={"a": noise.a.model_copy(update={"name": hostile, "title": hostile})})
    table = formatted(comparison, "markdown").splitlines()
    assert "a\\|b \\<script\\>" in table[2]
    assert "\\[x\\](y)" in table[2]
    assert "<script>" not in formatted(comparison, "html")
    assert "[x](y)" in formatted(comparison, "table")


def test_html_is_balanced(noise):
    open_tags = []

    class Parser(HTMLParser):
        def handle_starttag(self, tag, attrs):
            if tag != "meta":
                open_tags.append(tag)

        def handle_endtag(self, tag):
            assert open_tags.pop() == tag

    linked = noise.model_copy(update={"links": (Link(revision="base", run="report", url="http://127.0.0.1:5000/#/x"),)})
    Parser().feed(formatted(linked, "html"))
    assert open_tags == []
    assert '<a href="http://127.0.0.1:5000/#/x">report</a>' in formatted(linked, "html")
    assert "[report](http://127.0.0.1:5000/#/x)" in formatted(linked, "markdown")
