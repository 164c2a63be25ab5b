import math

import pytest
import torch
import torch.nn.functional as F

from losstune.losses.phuber_ce import phuber_ce
from tests.losses.cases import batch, gradient


def _at(p):
    """Return logits of two classes that give the first the probability `p`."""
    return torch.tensor([[math.log(p), math.log1p(-p)]], dtype=torch.float64)


FIRST = torch.tensor([0])


@pytest.mark.parametrize("p", [0.11, 0.5, 0.99])
def test_is_the_log_loss_above_the_threshold(p):
    assert phuber_ce(_at(p), FIRST, 10.0).item() == pytest.approx(-math.log(p))


@pytest.mark.parametrize("p", [1e-9, 0.01, 0.09])
def test_is_the_tangent_of_the_log_loss_below_the_threshold(p):
    tangent = -math.log(0.1) - 10 * (p - 0.1)
    assert phuber_ce(_at(p), FIRST, 10.0).item() == pytest.approx(tangent)


def test_is_smooth_at_the_threshold():
    loss = lambda z, y: phuber_ce(z, y, 10.0)  # noqa: E731
    below_NC, above_NC = (gradient(loss, _at(0.1 + step), FIRST) for step in (-1e-9, 1e-9))
    torch.testing.assert_close(below_NC, above_NC)
    torch.testing.assert_close(above_NC, gradient(F.cross_entropy, _at(0.1), FIRST))


def test_limits_are_absolute_error_and_cross_entropy():
    logits_NC, target_N = batch()
    p_N = logits_NC.softmax(1)[range(16), target_N]
    torch.testing.assert_close(phuber_ce(logits_NC, target_N, 1.0), 1 - p_N)
    torch.testing.assert_close(phuber_ce(logits_NC, target_N, 1e9), -p_N.log())


def test_bound_is_reached_by_a_hopeless_sample():
    value = phuber_ce(torch.tensor([[-200.0, 200.0]]), FIRST, 10.0).item()
    assert value == pytest.approx(1 + math.log(10))
