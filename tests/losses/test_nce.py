import torch
import torch.nn.functional as F

from losstune.losses.apl import apl
from losstune.losses.nce import nce
from tests.losses.cases import batch


def test_is_cross_entropy_divided_by_its_sum_over_all_labels():
    logits_NC, target_N = batch()
    all_NC = torch.stack([F.cross_entropy(logits_NC, torch.full((16,), k), reduction="none") for k in range(5)], dim=1)
    torch.testing.assert_close(nce(logits_NC, target_N), all_NC[range(16), target_N] / all_NC.sum(1))


def test_is_symmetric():
    logits_NC, _ = batch(scale=10)
    sum_N = sum(nce(logits_NC, torch.full((16,), k)) for k in range(5))
    torch.testing.assert_close(sum_N, torch.ones_like(sum_N))


def test_is_the_active_half_of_apl():
    logits_NC, target_N = batch()
    error_N = 1 - logits_NC.softmax(1)[range(16), target_N]
    torch.testing.assert_close(nce(logits_NC, target_N) + error_N, apl(logits_NC, target_N, 1.0, 1.0))


def test_bound_is_approached_by_a_hopeless_sample():
    assert nce(torch.tensor([[-200.0, 200.0]]), torch.tensor([0])).item() == 1
