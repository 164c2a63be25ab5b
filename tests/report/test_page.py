from __future__ import annotations

import base64
import re
from html.parser import HTMLParser
from io import StringIO

import numpy as np
from rich.console import Console

from losstune.report import figures, page, page_rows
from losstune.report.downloads import csv_files
from losstune.report.terminal import print_report
from losstune.verdict.numbers import Score
from tests.report.material import diagnostics_of, with_calibration, with_predictions
from tests.report.pooled import make_example
from tests.report.studies import make_study
from tests.verdict.test_pipeline import CROSS_ENTROPY, GATED, shifted

VOID = {"meta", "br", "use", "path", "rect", "image", "img", "line"}
GATHERED = ("executions", "test_images", "test_labels")


class Outline(HTMLParser):
    """Checks that elements nest, and collects the text of cells, headings and everything that loads something."""

    def __init__(self):
        super().__init__(convert_charrefs=True)
        self.open, self.loads, self.texts = [], [], {}

    def handle_starttag(self, tag, attributes):
        self.loads += [(tag, name, value) for name, value in attributes if name in ("src", "href", "xlink:href")]
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
    diagnostics = diagnostics_of(study, **{name: replaced.pop(name) for name in GATHERED if name in replaced})
    settings = {"commit": "c0ffee" + "0" * 34, "versions": {"torch": "2.15.0", "device": "cpu"}} | replaced
    drawn, files = figures.draw(results, diagnostics), csv_files(results, diagnostics)
    return page.render_page(results, study.params, diagnostics, drawn, files, **settings), results


def test_recall_by_class_frequency_is_shown_where_it_is_known():
    """A training loop of the user's own may return scores alone."""
    study = make_study(GATED)
    results, diagnostics = study.results(), diagnostics_of(study)
    data = results.data.model_copy(update={"class_groups": {"many": results.data.class_names[:1]}})
    without = results.model_copy(update={"data": data})
    recalls = {"many": Score(mean=0.25, low=0.2, high=0.3)}
    losses = tuple(loss.model_copy(update={"group_recalls": recalls}) for loss in results.losses)
    shown = {}
    for is_known, found in ((False, without), (True, without.model_copy(update={"losses": losses}))):
        drawn, files = figures.draw(found, diagnostics), csv_files(found, diagnostics)
        html = page.render_page(found, study.params, diagnostics, drawn, files, commit=None, versions={})
        console = Console(width=110, file=StringIO())
        print_report(found, {}, console)
        shown[is_known] = ("Recall by class frequency" in html, "many" in console.file.getvalue())
    assert shown == {False: (False, False), True: (True, True)}


TEST_SPLIT = {"test_labels": np.array([0, 1, 2]), "test_images": np.zeros((3, 1, 2, 2), dtype=np.uint8)}


def with_test_split(study):
    """Two blocks in which focal gains one example and loses another."""
    predictions = {"cross_entropy": [0, 1, 1], "focal": [0, 0, 2]}
    return with_predictions(study, {(loss, block): found for loss, found in predictions.items() for block in range(2)})


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
    for text in ("93.00%", "2.0 s", "ab12" * 16, "c0ffee", "torch 2.15.0", "5f" * 32, "no winner", "0.003"):
        assert text in found.texts["main"]
    assert "Identity check passed." in found.texts["main"]
    assert "apl has no winner" in found.texts["li"]


def test_page_needs_nothing_from_elsewhere():
    html, _ = render(with_test_split(make_study(GATED)), **TEST_SPLIT)
    found = outline(html)
    assert all(value.startswith(("#", "data:text/csv;", "data:image/png;")) for _, _, value in found.loads)
    assert sum(tag == "img" for tag, _, _ in found.loads) == 2
    assert not re.search(r"@import|url\((?!#)", html)
    assert "https://" not in html.replace("https://matplotlib.org", "")


def test_page_is_the_same_bytes_twice():
    assert render(make_study(GATED))[0] == render(make_study(GATED))[0]


def test_failed_control_gives_no_verdict():
    study = make_study(GATED)
    study.confirm = [record for record in study.confirm if record.role != "control"]
    found = outline(render(study)[0])
    assert found.texts["h1"] == "No verdict"
    assert "Identity check failed." in found.texts["li"]


def test_baseline_without_winner_and_bare_facts():
    study = make_study({"focal": shifted(0.0)}, without_winner=["cross_entropy"])
    html, _ = render(study, executions=[], commit=None, versions={})
    found = outline(html)
    assert found.texts["h1"] == "No verdict"
    assert "outside Git" in found.texts["dd"]


def test_names_from_users_are_escaped():
    study = make_study({"cross_entropy": CROSS_ENTROPY, "<script>alert(1)</script>": shifted(0.02)})
    html, _ = render(study)
    assert html.count("<script>") == 1
    assert "Use <script>alert(1)</script>" in outline(html).texts["h1"]


def test_many_classes_show_the_largest_confusions(monkeypatch):
    study = make_study(GATED)
    monkeypatch.setattr(page_rows, "MAX_CONFUSION_CLASSES", 2)
    html, _ = render(study)
    assert 'class="confusion"' not in html
    assert "The tables list the most frequent confusions." in html


def test_rows_are_called_samples_for_they_need_not_be_images():
    text, _ = render(make_study(GATED))
    assert "360 test samples" in text
    assert "1,149 training samples" in text
    assert "images" not in text


def test_every_csv_file_can_be_saved_from_the_page_and_is_in_it_once():
    study = with_calibration(with_test_split(make_study(GATED)))
    html, results = render(study, **TEST_SPLIT)
    expected = csv_files(results, diagnostics_of(study, **TEST_SPLIT))
    links = dict(re.findall(r'<a download="([\w.]+)" href="([^"]+)">', html))
    assert html.count("<a download=") == len(links) == len(expected)
    for name, text in expected.items():
        assert base64.b64decode(links[name].partition(",")[2]).decode() == text


def test_page_tells_why_the_winner_won():
    html, _ = render(with_test_split(make_study(GATED)), **TEST_SPLIT)
    found = outline(html)
    assert "Why focal won" in found.texts["h2"]
    text = " ".join(found.texts["section"].split())
    assert "focal is right and cross_entropy is wrong on 1.0 of 360 test samples" in text
    assert "two, predicted as one" in found.texts["li"]
    assert "in 2 of 2 blocks" in found.texts["li"]
    assert "At p = 0.9, where a sample is almost learnt, cross_entropy has 10% of its largest gradient" in text


def test_page_names_cost_and_forgiveness_of_every_loss():
    html, _ = render(make_study(GATED))
    rows = re.findall(r'<th scope="row">(\w+)</th><td data-value="2.0">2.0 s ± 0.00 s</td><td>1.00</td>', html)
    assert sorted(rows) == sorted(GATED)
    # Trials at 1e-3 (88%), 3e-3 (90%) and 3e-2 (lost): the second stands for (log 30) / 2 of four decades.
    assert html.count("--share: 18%") == len(GATED)


def test_without_a_loss_beside_the_baseline_there_is_nothing_to_explain():
    html, _ = render(make_study({"cross_entropy": CROSS_ENTROPY}))
    assert "does differently" not in html
    assert "won</h2>" not in html


def test_what_was_lost_is_listed_with_its_cause():
    study = make_study({"cross_entropy": CROSS_ENTROPY, "focal": shifted(0.02)})
    place = next(
        index
        for index, record in enumerate(study.tune)
        if record.configuration.loss == "focal" and record.status == "finished"
    )
    study.tune[place] = study.tune[place].model_copy(update={"status": "failed", "cause": "RuntimeError: no <room>"})
    html, _ = render(study)
    assert html.count("Diverged and failed trainings, by cause") == 1
    assert "<td>failed</td><td>1</td><td></td><td>RuntimeError: no &lt;room&gt;</td>" in html
    outline(html)


def section(html, heading):
    """The text of the section with this heading."""
    return re.sub(r"<[^>]+>|\s+", " ", html.split(f"<h2>{heading}</h2>")[1].split("</section>")[0])


def test_the_page_of_a_pooled_study_explains_its_numbers():
    html, results = render(make_example())
    found = outline(html)
    assert found.texts["h1"] == "Use focal"
    where = section(html, "Where a loss's number comes from")
    assert "A search of 8 trials ends at the trial with the best validation score." in where
    assert f"trials, {len(results.of('cross_entropy').searches)} configurations retrained on " in where
    facts = " ".join(found.texts["li"].split())
    assert "up to 2 searches of 8 trials a loss" in facts
    assert "219 trainings" in facts
    assert "expected result of a search of 8 trials" in section(html, "All losses")
    assert "about 1,100 more trainings" in section(html, "All losses")
    assert f"for {len(results.rounds.looks)} looks at the test split" in section(html, "Controls")
    protocol = section(html, "The protocol")
    assert f"better and worse {results.rounds.fewest_blocks} blocks; budget 220 trainings" in protocol


def test_the_page_of_a_pooled_study_says_what_was_spent_and_what_more_would_buy():
    study = make_example()
    html, _ = render(study)
    text = section(html, "What was spent, and what more would buy")
    assert "Spent: 219 of 220 trainings" in text
    # All trainings of the material begin at once and take two seconds.
    number = len(study.tune) + len(study.confirm)
    assert f"A training took 2.0 s on average, and the study made {30 * number:,} trainings a minute." in text
    assert "settle 2 of 2 undecided losses: gce and js. To buy them, raise budget and run" in text
    assert "those of cross_entropy and kl_divergence, which all losses share" in text
    bare, _ = render(make_example(), executions=[])
    assert "Spent: 219 of 220 trainings. 9 trainings were" in section(bare, "What was spent, and what more would buy")


def test_a_pools_configurations_come_by_weight_and_the_one_to_use_is_marked(monkeypatch):
    study = make_example()
    html, results = render(study)
    table = html.split("<h2>Retrained configurations</h2>")[1].split("</section>")[0]
    assert table.count("★") == 1 + len(results.losses)
    heading = re.search(r"<thead><tr>(.*?)</tr>", table)[1]
    assert re.findall(r"<th[^>]*>([^<]+)", heading)[:4] == ["loss", "trial", "weight", "seeds"]
    best = results.of("focal").searches[0]
    row = re.search(r">focal</th>(.*?)</tr>", table, re.S)[1]
    cells = re.findall(r"<td[^>]*>\s*([^<]+?)\s*</td>", row)
    assert cells[:3] == [f"{best.search}.{best.index} ★", f"{100 * best.weight:.0f}%", str(best.num_blocks)]
    monkeypatch.setattr(page, "MOST_CONFIGURATIONS", 1)
    few = render(study)[0].split("<h2>Retrained configurations</h2>")[1].split("</section>")[0]
    assert few.count('<td class="number">') == len(results.losses)
    assert f">focal<small>and {len(results.of('focal').searches) - 1} more</small></th>" in few


def test_the_page_of_a_replicated_study_has_no_section_on_pools():
    html, _ = render(make_study(GATED))
    assert "Where a loss's number comes from" not in html
    assert "What was spent" not in html
    assert "<h2>Winning configurations</h2>" in html
