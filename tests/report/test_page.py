from __future__ import annotations

import re
from html.parser import HTMLParser

import pytest

from losstune.report import figures, page
from tests.report.studies import make_study
from tests.report.test_analysis import CROSS_ENTROPY, GATED, shifted

VOID = {"meta", "br", "use", "path", "rect", "image", "line"}


class Outline(HTMLParser):
    """Checks that elements nest, and collects the text of cells, headings and everything that loads something."""

    def __init__(self):
        super().__init__(convert_charrefs=True)
        self.open, self.loads, self.texts = [], [], {}

    def handle_starttag(self, tag, attributes):
        self.loads += [
            (tag, name, value) for name, value in attributes if name in ("src", "href", "xlink:href")
        ]
        if tag not in VOID:
            self.open.append(tag)

    def handle_endtag(self, tag):
        if tag not in VOID:
            assert self.open.pop() == tag

    def handle_data(self, data):
        for tag in self.open:
            self.texts[tag] = self.texts.get(tag, "") + data


def render(study, **replaced):
    results = study.results()
    settings = {
        "durations_sec": {"focal": 0.82},
        "commit": "c0ffee" + "0" * 34,
        "versions": {"torch": "2.15.0", "device": "cpu"},
    } | replaced
    drawn = figures.draw(results, study.tune, study.confirm)
    return page.render_page(results, study.params, study.confirm, drawn, **settings), results


def outline(html):
    parser = Outline()
    parser.feed(html)
    parser.close()
    assert parser.open == []
    return parser


def test_page_opens_with_the_verdict_and_tells_all():
    html, results = render(make_study(GATED, without_winner=["apl"]))
    found = outline(html)
    assert found.texts["h1"] == "Use focal"
    assert results.verdict.sentence.replace("-", "−") in found.texts["p"].replace("-", "−")
    for text in ("93.00%", "0.82 s", "ab12" * 16, "c0ffee", "torch 2.15.0", "5f" * 32, "no winner", "0.003"):
        assert text in found.texts["main"]
    assert "The control held." in found.texts["main"]
    assert "apl has no winner" in found.texts["li"]


def test_page_needs_nothing_from_elsewhere():
    html, _ = render(make_study(GATED))
    found = outline(html)
    assert all(value.startswith("#") for _, _, value in found.loads)
    assert not re.search(r"@import|url\((?!#)", html)
    assert "https://" not in html.replace("https://matplotlib.org", "")


def test_page_is_the_same_bytes_twice():
    assert render(make_study(GATED))[0] == render(make_study(GATED))[0]


def test_failed_control_gives_no_verdict():
    study = make_study(GATED)
    study.confirm = [record for record in study.confirm if record.role != "control"]
    found = outline(render(study)[0])
    assert found.texts["h1"] == "No verdict"
    assert "The control failed." in found.texts["li"]


def test_baseline_without_winner_and_bare_facts():
    study = make_study({"focal": shifted(0.0)}, without_winner=["cross_entropy"])
    html, _ = render(study, durations_sec={}, commit=None, versions={})
    found = outline(html)
    assert found.texts["h1"] == "No verdict"
    assert "outside Git" in found.texts["dd"]


def test_names_from_users_are_escaped():
    study = make_study({"cross_entropy": CROSS_ENTROPY, "<script>alert(1)</script>": shifted(0.02)})
    html, _ = render(study)
    assert html.count("<script>") == 1
    assert "Use <script>alert(1)</script>" in outline(html).texts["h1"]


def test_confusions_are_summed_over_blocks():
    study = make_study({"cross_entropy": CROSS_ENTROPY[:2], "focal": shifted(0.02)[:2]})
    first, second = ((25, 5, 0), (0, 30, 0), (7, 0, 23)), ((20, 0, 10), (0, 30, 0), (0, 0, 30))
    study.confirm = [
        record.model_copy(update={"confusion": first if record.search == 0 else second})
        for record in study.confirm
    ]
    found = page._confusion("focal", study.confirm, study.results())
    assert (found["num_samples"], found["num_errors"]) == (180, 22)
    assert [[count for count, _, _ in cells] for _, cells, _ in found["rows"]] == [
        [45, 5, 10],
        [0, 60, 0],
        [7, 0, 53],
    ]
    assert [recall for _, _, recall in found["rows"]] == ["75.0", "100.0", "88.3"]
    assert found["largest"] == [(("zero", "two"), 10), (("two", "zero"), 7), (("zero", "one"), 5)]


def test_many_classes_show_the_largest_confusions(monkeypatch):
    study = make_study(GATED)
    monkeypatch.setattr(page, "MAX_CONFUSION_CLASSES", 2)
    html, _ = render(study)
    assert 'class="confusion"' not in html
    assert "The most frequent confusions." in html


@pytest.mark.parametrize(
    ("text", "expected"),
    [("-0.10", "−0.10"), ("[-0.10, +0.50]", "[−0.10, +0.50]"), ("5e-05", "5e-05"), ("resnet-8", "resnet-8")],
)
def test_minus(text, expected):
    assert page._minus(text) == expected


def test_rows_are_called_samples_for_they_need_not_be_images():
    text, _ = render(make_study(GATED))
    assert "360 test samples" in text
    assert "1,149 samples to train on" in text
    assert "images" not in text
