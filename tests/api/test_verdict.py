import pandas as pd
import pytest
import torch
from torch import nn

import losstune
from losstune.api.verdict import Verdict, read_verdict
from losstune.core.errors import LosstuneError
from losstune.stages.layout import RESULTS
from losstune.verdict.results import Results
from tests.api.conftest import cell, make_study
from tests.report.pooled import make_example


@pytest.fixture(scope="session")
def verdict(finished):
    return read_verdict(finished)


def test_the_table_has_the_numbers_of_the_results(verdict, finished):
    results = Results.model_validate_json((finished / RESULTS).read_bytes())
    table = verdict.table()
    assert list(table.index) == [result.loss for result in results.ranked()]
    for result in results.losses:
        row = table.loc[result.loss]
        assert row["accuracy"] == result.scores["accuracy"].mean
        assert row["nll"] == result.scores["nll"].mean
        assert row["scaled_ece"] == result.calibration["scaled"].ece
        assert row["decision"] == result.standing
        assert row["learning_rate"] == result.winner.learning_rate
        assert row["hyperparameters"] == result.winner.hyperparameters
        if result.difference is None:
            assert pd.isna(row["difference"])
        else:
            assert (row["difference"], row["low"], row["high"]) == (
                result.difference.mean,
                result.difference.low,
                result.difference.high,
            )


def test_the_table_of_a_pooled_study_says_why_losses_stopped(tmp_path):
    results = make_example().results()
    table = Verdict(results, tmp_path).table()
    assert "blocks_needed" not in table
    assert (table.loc["gce", "reason"], table.loc["js", "reason"]) == ("budget", "out of reach")
    assert table.loc["gce", "trainings_needed"] == results.of("gce").trainings_needed
    assert "Spent: 219 of 220 trainings." in str(Verdict(results, tmp_path))


def test_the_criterion_is_the_loss_with_its_tuned_hyperparameters(verdict):
    logits, target = torch.randn(6, 10, dtype=torch.float64), torch.arange(6)
    gamma = verdict.configuration("focal").hyperparameters["gamma"]
    p = logits.softmax(1).gather(1, target[:, None]).squeeze(1)
    expected = (-((1 - p) ** gamma) * p.log()).mean()
    torch.testing.assert_close(verdict.criterion("focal")(logits, target), expected)
    summed = verdict.criterion("focal", reduction="sum")(logits, target)
    torch.testing.assert_close(summed, 6 * expected)


def test_without_a_name_it_is_the_loss_of_the_verdict(verdict):
    assert verdict.loss == "cross_entropy"
    criterion = verdict.criterion()
    assert isinstance(criterion, nn.Module)
    logits, target = torch.randn(6, 10), torch.arange(6)
    torch.testing.assert_close(criterion(logits, target), nn.CrossEntropyLoss()(logits, target))


def test_a_loss_of_the_training_counts_gets_them(arrays):
    run = make_study(arrays, losses=["cross_entropy", "logit_adjusted"]).run()
    counts = torch.bincount(torch.tensor(arrays[1]))
    criterion = run.criterion("logit_adjusted")
    assert len(criterion.counts) == len(counts)
    assert criterion.counts.sum() == run.results.data.num_train


def test_the_criterion_of_a_loss_of_the_notebook(arrays):
    source = "def doubled(logits, target):\n    return 2 * F.cross_entropy(logits, target, reduction='none')\n"
    run = make_study(arrays, losses=["cross_entropy", cell(source, "doubled", F=nn.functional)]).run()
    logits, target = torch.randn(6, 10), torch.arange(6)
    torch.testing.assert_close(run.criterion("doubled")(logits, target), 2 * nn.CrossEntropyLoss()(logits, target))


def test_a_loss_that_is_not_in_the_study_is_an_error_that_names_those_that_are(verdict):
    with pytest.raises(
        LosstuneError, match=r"^loss: found 'gce', expected a loss of the study \(cross_entropy, kl_div"
    ):
        verdict.criterion("gce")


def test_a_loss_without_a_winner_is_an_error(verdict):
    results = verdict.results
    losses = tuple(loss.model_copy(update={"winner": None}) for loss in results.losses)
    broken = Verdict(results.model_copy(update={"losses": losses}), verdict.folder)
    with pytest.raises(LosstuneError, match=r"^loss: found 'focal', of which no search has a winner"):
        broken.configuration("focal")


def test_it_shows_itself_as_text(verdict):
    assert repr(verdict) == verdict.sentence
    text = str(verdict)
    assert text.split()[:3] == ["NLL", "ECE", "loss"]
    assert " ".join(verdict.sentence.split()) in " ".join(text.split())
    assert verdict.report.is_file()


def test_it_shows_itself_in_a_notebook(verdict):
    page = verdict._repr_html_()
    assert f"<strong>{verdict.sentence}</strong>" in page
    assert page.count("data:image/svg+xml;base64,") == 1
    for loss in ("focal", "kl_divergence"):
        assert f'<td style="text-align: left">{loss}</td>' in page
    assert "<script" not in page
    assert "http" not in page.replace("data:image", "")
    assert str(verdict.report) in page


def test_names_are_escaped(verdict):
    results = verdict.results
    evil = results.verdict.model_copy(update={"sentence": "<script>alert(1)</script>"})
    page = Verdict(results.model_copy(update={"verdict": evil}), verdict.folder)._repr_html_()
    assert "<script>" not in page


def test_the_public_names_are_these_classes():
    assert losstune.Verdict is Verdict
    assert losstune.Study.__name__ == "Study"
