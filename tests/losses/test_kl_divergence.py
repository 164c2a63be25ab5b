import pytest
import torch
import torch.nn.functional as F

from losstune.losses.cross_entropy import cross_entropy
from losstune.losses.kl_divergence import SPEC, kl_divergence
from tests.losses.cases import batch, distributions, gradient


@pytest.mark.parametrize("dtype", [torch.float64, torch.float32, torch.bfloat16])
@pytest.mark.parametrize("num_classes", [2, 10, 1000])
def test_is_cross_entropy_to_the_bit_on_hard_labels(dtype, num_classes):
    logits_NC, target_N = batch(64, num_classes, dtype, scale=20)
    assert torch.equal(kl_divergence(logits_NC, target_N), cross_entropy(logits_NC, target_N))
    assert torch.equal(gradient(kl_divergence, logits_NC, target_N), gradient(cross_entropy, logits_NC, target_N))
    assert SPEC.equals == "cross_entropy"


def test_is_torchs_kl_div_on_soft_labels():
    logits_NC, _ = batch()
    t_NC = distributions()
    t_NC[0] = torch.tensor([0.5, 0.5, 0, 0, 0])
    expected_N = F.kl_div(logits_NC.log_softmax(1), t_NC, reduction="none").sum(1)
    torch.testing.assert_close(kl_divergence(logits_NC, t_NC), expected_N)


def test_is_zero_where_the_prediction_is_the_target():
    t_NC = distributions()
    torch.testing.assert_close(kl_divergence(t_NC.log(), t_NC), torch.zeros(16, dtype=torch.float64))
