import entmax as package
import pytest
import torch
import torch.nn.functional as F

from losstune.losses.entmax import entmax, link
from tests.losses.cases import batch, distributions, gradient


@pytest.mark.parametrize("alpha", [1.05, 1.2, 1.5, 1.9, 2.0, 2.2, 2.5, 3.0])
@pytest.mark.parametrize("scale", [0.1, 1.0, 5.0])
def test_is_the_entmax_packages_loss(alpha, scale):
    logits_NC, target_N = batch(scale=scale)
    expected_N = package.entmax_bisect_loss(logits_NC, target_N, alpha, 80)
    torch.testing.assert_close(entmax(logits_NC, target_N, alpha), expected_N, rtol=1e-9, atol=1e-9)
    p_NC = package.entmax_bisect(logits_NC, alpha, n_iter=80)
    torch.testing.assert_close(link(logits_NC, alpha), p_NC, rtol=1e-7, atol=1e-9)


@pytest.mark.parametrize("num_classes", [2, 10, 1000])
@pytest.mark.parametrize(
    ("alpha", "exact"), [(1.5, package.entmax15), (2.0, package.sparsemax)], ids=["entmax15", "sparsemax"]
)
@pytest.mark.parametrize("scale", [0.0, 1.0, 30.0, 200.0])
def test_map_is_the_exact_one_by_sorting(num_classes, alpha, exact, scale):
    noise_NC, _ = batch(8, num_classes, scale=1.0)
    for shape_NC in (noise_NC, noise_NC.sign(), (noise_NC == noise_NC.amax(1, keepdim=True)).double()):
        logits_NC = scale * shape_NC
        expected_NC = exact(logits_NC, dim=1)
        torch.testing.assert_close(link(logits_NC, alpha), expected_NC, rtol=1e-7, atol=1e-9)
        torch.testing.assert_close(link(logits_NC.float(), alpha), expected_NC.float(), rtol=1e-4, atol=2e-6)


@pytest.mark.parametrize("alpha", [1.05, 1.1, 1.21, 1.35, 1.5, 1.51, 1.67, 1.7, 1.84, 1.99, 2.01, 2.5, 3.0])
@pytest.mark.parametrize("num_classes", [2, 10, 1000])
@pytest.mark.parametrize("scale", [0.3, 1.0, 10.0])
def test_map_is_accurate_in_float32_after_its_fixed_number_of_steps(alpha, num_classes, scale):
    noise_NC, _ = batch(8, num_classes, scale=1.0)
    for shape_NC in (noise_NC, noise_NC.sign()):
        logits_NC = (scale * shape_NC).float()
        expected_NC = package.entmax_bisect(logits_NC.double(), alpha, n_iter=80).float()
        # Above 2 the map is not Lipschitz where a class enters: rounding shows.
        torch.testing.assert_close(link(logits_NC, alpha), expected_NC, rtol=1e-3, atol=2e-5 if alpha <= 2 else 1e-3)


def test_becomes_cross_entropy():
    logits_NC, target_N = batch()
    expected_N = F.cross_entropy(logits_NC, target_N, reduction="none")
    torch.testing.assert_close(entmax(logits_NC, target_N, 1 + 1e-5), expected_N, rtol=1e-3, atol=1e-3)
    torch.testing.assert_close(link(logits_NC, 1 + 1e-5), logits_NC.softmax(1), rtol=1e-3, atol=1e-3)


@pytest.mark.parametrize("alpha", [1.5, 2.0, 2.5])
def test_is_zero_once_the_lead_reaches_the_margin(alpha):
    margin = 1 / (alpha - 1)
    logits_NC = torch.tensor([[margin + 1e-6, 0.0, 0.0], [margin - 1e-2, 0.0, 0.0]], dtype=torch.float64)
    losses_N = entmax(logits_NC, torch.tensor([0, 0]), alpha)
    assert losses_N[0] == 0
    assert losses_N[1] > 0
    assert gradient(lambda z, y: entmax(z, y, alpha), logits_NC, torch.tensor([0, 0]))[0].eq(0).all()


def test_soft_target_is_met_with_zero_loss_at_its_own_logits():
    # By the Fenchel-Young inequality: z = t^(alpha-1) / (alpha-1) maps to t.
    t_NC = distributions()
    for alpha in (1.3, 1.5, 2.0, 2.5):
        logits_NC = t_NC.pow(alpha - 1) / (alpha - 1)
        torch.testing.assert_close(link(logits_NC, alpha), t_NC)
        losses_N = entmax(logits_NC, t_NC, alpha)
        torch.testing.assert_close(losses_N, torch.zeros(16, dtype=torch.float64), rtol=0, atol=1e-9)
        assert (entmax(logits_NC + batch()[0], t_NC, alpha) > 1e-3).any()


def test_refuses_alpha_of_one():
    logits_NC, target_N = batch()
    with pytest.raises(ValueError, match=r"entmax needs alpha > 1, found 1\.0; cross_entropy is its limit"):
        entmax(logits_NC, target_N, 1.0)
