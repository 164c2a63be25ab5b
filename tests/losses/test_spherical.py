import pytest
import torch
import torch.nn.functional as F

from losstune.losses.gce import gce
from losstune.losses.spherical import spherical
from tests.losses.cases import batch, distributions


def test_is_one_less_the_cosine():
    logits_NC, target_N = batch()
    cosine_N = F.cosine_similarity(logits_NC.softmax(1), F.one_hot(target_N, 5).double())
    torch.testing.assert_close(spherical(logits_NC, target_N, 2.0), 1 - cosine_N)


@pytest.mark.parametrize("alpha", [1.1, 3.0, 5.0])
def test_is_the_pseudospherical_score(alpha):
    logits_NC, target_N = batch()
    p_NC = logits_NC.softmax(1)
    share_N = p_NC[range(16), target_N] / torch.linalg.vector_norm(p_NC, alpha, dim=1)
    torch.testing.assert_close(spherical(logits_NC, target_N, alpha), 1 - share_N ** (alpha - 1))


@pytest.mark.parametrize("alpha", [1.1, 2.0, 5.0])
def test_is_generalised_cross_entropy_of_stretched_logits(alpha):
    logits_NC, target_N = batch()
    q = 1 - 1 / alpha
    torch.testing.assert_close(spherical(logits_NC, target_N, alpha), q * gce(alpha * logits_NC, target_N, q))


def test_becomes_cross_entropy_on_the_scale_of_its_slope():
    logits_NC, target_N = batch()
    expected_N = F.cross_entropy(logits_NC, target_N, reduction="none")
    torch.testing.assert_close(spherical(logits_NC, target_N, 1 + 1e-7) / 1e-7, expected_N, rtol=1e-5, atol=1e-5)


def test_soft_target_counts_by_its_expectation():
    logits_NC, _ = batch()
    t_NC = distributions()
    expected_N = sum(t_NC[:, k] * spherical(logits_NC, torch.full((16,), k), 2.0) for k in range(5))
    torch.testing.assert_close(spherical(logits_NC, t_NC, 2.0), expected_N)


@pytest.mark.parametrize("alpha", [1.1, 2.0, 5.0])
def test_risk_is_smallest_at_the_posterior(alpha):
    # Minimising numerically from afar, as for other losses, stalls at high orders: the risk is flat there.
    eta_NC = distributions()

    def risk(logits_NC):
        return spherical(logits_NC, eta_NC, alpha)

    at_eta_NC = eta_NC.log().requires_grad_()
    (slope_NC,) = torch.autograd.grad(risk(at_eta_NC).sum(), at_eta_NC)
    assert slope_NC.abs().max() < 1e-12
    for seed in range(50):
        assert (risk(batch(seed=seed)[0]) > risk(at_eta_NC)).all()
