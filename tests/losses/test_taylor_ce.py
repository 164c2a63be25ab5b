import pytest
import torch
import torch.nn.functional as F

from losstune.losses.registry import get
from losstune.losses.taylor_ce import taylor_ce
from tests.losses.cases import batch


@pytest.mark.parametrize("order", [1, 2, 10])
def test_is_the_series_of_the_logarithm(order):
    logits_NC, target_N = batch()
    error_N = 1 - logits_NC.softmax(1)[range(16), target_N]
    expected_N = sum(error_N**i / i for i in range(1, order + 1))
    torch.testing.assert_close(taylor_ce(logits_NC, target_N, order), expected_N)


def test_first_order_is_half_the_absolute_error():
    logits_NC, target_N = batch()
    expected_N = (logits_NC.softmax(1) - F.one_hot(target_N, 5)).abs().sum(1) / 2
    torch.testing.assert_close(taylor_ce(logits_NC, target_N, 1), expected_N)


def test_becomes_cross_entropy():
    logits_NC, target_N = batch(scale=1.0)
    expected_N = F.cross_entropy(logits_NC, target_N, reduction="none")
    torch.testing.assert_close(taylor_ce(logits_NC, target_N, 5000), expected_N)


def test_bound_is_a_harmonic_number():
    logits_NC = torch.tensor([[-200.0, 200.0]])
    assert taylor_ce(logits_NC, torch.tensor([0]), 4).item() == pytest.approx(1 + 1 / 2 + 1 / 3 + 1 / 4)


def test_a_broken_order_is_refused():
    with pytest.raises(ValueError, match=r"taylor_ce: found order 2.5, expected a whole number >= 1"):
        get("taylor_ce").bind({"order": 2.5})
