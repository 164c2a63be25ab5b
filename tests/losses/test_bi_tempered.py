import math

import pytest
import torch
import torch.nn.functional as F
from scipy.optimize import brentq

from losstune.losses.bi_tempered import bi_tempered, link
from tests.losses.cases import batch, distributions, gradient


def _log_t(x, t):
    return math.log(x) if t == 1 else (x ** (1 - t) - 1) / (1 - t)


def _exp_t(x, t):
    return math.exp(x) if t == 1 else (1 + (1 - t) * x) ** (1 / (1 - t))


def _tempered_softmax(z_C, t2):
    """Solve for the normalisation with scipy; between the values for one class alone and for C equal ones."""
    largest = max(z_C)
    highest = largest - _log_t(1 / len(z_C), t2) + 1e-9
    shift = brentq(lambda s: sum(_exp_t(z - s, t2) for z in z_C) - 1, largest - 1e-9, highest, xtol=1e-14)
    return [_exp_t(z - shift, t2) for z in z_C]


def _expected(z_C, t_C, t1, t2):
    total = 0.0
    for q, t in zip(_tempered_softmax(z_C, t2), t_C, strict=True):
        total -= t * _log_t(q, t1) + (t ** (2 - t1) - q ** (2 - t1)) / (2 - t1)
        total += t * _log_t(t, t1) if t else 0.0
    return total


TEMPERATURES = [(0.8, 1.2), (0.2, 2.0), (1.0, 1.5), (0.5, 1.0), (0.9, 1.01), (0.7, 1.7)]


@pytest.mark.parametrize(("t1", "t2"), TEMPERATURES)
@pytest.mark.parametrize("soft", [False, True])
def test_is_the_bregman_divergence_with_scipys_normalisation(t1, t2, soft):
    logits_NC, target_N = batch(scale=5.0)
    t_NC = distributions() if soft else F.one_hot(target_N, 5).double()
    losses_N = bi_tempered(logits_NC, t_NC if soft else target_N, t1, t2)
    expected = [_expected(z_C, t_C, t1, t2) for z_C, t_C in zip(logits_NC.tolist(), t_NC.tolist(), strict=True)]
    assert losses_N.tolist() == pytest.approx(expected, rel=1e-9, abs=1e-10)


@pytest.mark.parametrize("t2", [1.0, 1.0001, 1.05, 1.2, 1.3, 1.5, 1.51, 1.75, 2.0])
@pytest.mark.parametrize("num_classes", [2, 10, 1000])
@pytest.mark.parametrize("scale", [0.0, 1.0, 30.0, 200.0])
def test_tempered_softmax_is_accurate_after_its_fixed_number_of_steps(t2, num_classes, scale):
    noise_NC, _ = batch(8, num_classes, scale=1.0)
    # Random, in two groups, and all equal but for one: the first steps differ most between these.
    for shape_NC in (noise_NC, noise_NC.sign(), (noise_NC == noise_NC.amax(1, keepdim=True)).double()):
        logits_NC = scale * shape_NC
        exact_NC = torch.tensor([_tempered_softmax(z_C, t2) for z_C in logits_NC.tolist()])
        torch.testing.assert_close(link(logits_NC, 0.8, t2), exact_NC.double(), rtol=1e-6, atol=1e-7)
        torch.testing.assert_close(link(logits_NC.float(), 0.8, t2), exact_NC.float(), rtol=5e-3, atol=1e-5)


def test_is_cross_entropy_at_temperature_one():
    logits_NC, target_N = batch(dtype=torch.float32, scale=10.0)
    expected_N = F.cross_entropy(logits_NC, target_N, reduction="none")
    torch.testing.assert_close(bi_tempered(logits_NC, target_N, 1.0, 1.0), expected_N)
    torch.testing.assert_close(bi_tempered(logits_NC, target_N, 1 - 1e-6, 1 + 1e-6), expected_N, rtol=1e-4, atol=1e-4)
    expected_NC = gradient(F.cross_entropy, logits_NC, target_N) * len(target_N)
    torch.testing.assert_close(gradient(lambda z, y: bi_tempered(z, y, 1.0, 1.0), logits_NC, target_N), expected_NC)


def test_is_kl_divergence_at_temperature_one_with_a_soft_target():
    logits_NC, _ = batch()
    t_NC = distributions()
    expected_N = F.kl_div(logits_NC.log_softmax(1), t_NC, reduction="none").sum(1)
    torch.testing.assert_close(bi_tempered(logits_NC, t_NC, 1.0, 1.0), expected_N)


def test_bound_is_approached_by_a_hopeless_sample():
    # 1/(1-t1) is the supremum; the heavy tail keeps q above 0.
    value = bi_tempered(torch.tensor([[-1e6, 1e6]]), torch.tensor([0]), 0.2, 1.2).item()
    assert value == pytest.approx(1 / 0.8, rel=1e-3)


@pytest.mark.parametrize(("t1", "t2"), [(2.0, 1.2), (0.8, 0.9)])
def test_refuses_temperatures_it_is_not_defined_for(t1, t2):
    logits_NC, target_N = batch()
    with pytest.raises(ValueError, match=r"bi_tempered needs t"):
        bi_tempered(logits_NC, target_N, t1, t2)
