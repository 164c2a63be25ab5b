import pytest
import torch
import torch.nn.functional as F
from sklearn.metrics import brier_score_loss

from losstune.losses.brier import brier
from losstune.losses.tsallis_score import tsallis_score
from tests.losses.cases import batch, distributions


def test_is_sklearns_brier_score():
    logits_NC, target_N = batch(64)
    p_NC, t_NC = logits_NC.softmax(1), F.one_hot(target_N, 5)
    expected = sum(brier_score_loss(t_NC[:, k], p_NC[:, k]) for k in range(5))
    assert brier(logits_NC, target_N).mean().item() == pytest.approx(expected, rel=1e-12)


def test_is_the_tsallis_score_at_beta_one():
    logits_NC, target_N = batch()
    torch.testing.assert_close(brier(logits_NC, target_N), tsallis_score(logits_NC, target_N, 1.0))


def test_soft_target_is_met_exactly():
    t_NC = distributions()
    assert brier(t_NC.log(), t_NC).max() < 1e-20
    torch.testing.assert_close(
        brier(batch()[0], t_NC), 5 * F.mse_loss(batch()[0].softmax(1), t_NC, reduction="none").mean(1)
    )


def test_bound_is_reached_by_a_hopeless_sample():
    assert brier(torch.tensor([[-200.0, 200.0]]), torch.tensor([0])).item() == 2
