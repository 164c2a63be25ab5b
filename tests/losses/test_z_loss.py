import torch
import torch.nn.functional as F

from losstune.losses.z_loss import z_loss
from tests.losses.cases import batch, distributions, gradient


def test_is_cross_entropy_plus_the_squared_log_partition():
    logits_NC, target_N = batch()
    log_partition_N = logits_NC.exp().sum(1).log()
    expected_N = F.cross_entropy(logits_NC, target_N, reduction="none") + 0.01 * log_partition_N**2
    torch.testing.assert_close(z_loss(logits_NC, target_N, 0.01), expected_N)


def test_is_cross_entropy_without_the_penalty():
    logits_NC, target_N = batch()
    assert torch.equal(z_loss(logits_NC, target_N, 0.0), F.cross_entropy(logits_NC, target_N, reduction="none"))


def test_log_probabilities_pay_no_penalty():
    log_p_NC = batch()[0].log_softmax(1)
    t_NC = distributions()
    torch.testing.assert_close(z_loss(log_p_NC, t_NC, 1.0), -(t_NC * log_p_NC).sum(1))


def test_pulls_the_log_partition_towards_zero():
    # A shift of all logits, which cross-entropy doesn't notice, changes log-partition and penalty alone.
    logits_NC, target_N = batch()
    shift_N = gradient(lambda z, y: z_loss(z, y, 0.5), logits_NC, target_N).sum(1)
    torch.testing.assert_close(shift_N, logits_NC.logsumexp(1))
