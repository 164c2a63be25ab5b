import pytest
import torch
import torch.nn.functional as F
from torchvision.ops import sigmoid_focal_loss

from losstune.losses.focal import focal, link
from tests.losses.cases import batch, gradient


@pytest.mark.parametrize("gamma", [0.0, 0.3, 1.0, 2.0, 5.0])
def test_weighs_cross_entropy_by_a_power_of_the_error(gamma):
    logits_NC, target_N = batch()
    p_N = logits_NC.softmax(1)[range(16), target_N]
    torch.testing.assert_close(focal(logits_NC, target_N, gamma), -((1 - p_N) ** gamma) * p_N.log())


@pytest.mark.parametrize("gamma", [0.5, 2.0])
def test_is_torchvisions_focal_loss_for_two_classes(gamma):
    # softmax over (z, 0) is sigmoid(z), and the true class's term is all that is left of one-vs-rest.
    logits_N = batch(16, 2)[0][:, 0]
    labels_N = torch.arange(16) % 2
    expected_N = sigmoid_focal_loss(logits_N, labels_N.double(), alpha=-1, gamma=gamma)
    logits_NC = torch.stack([torch.zeros_like(logits_N), logits_N], 1)
    torch.testing.assert_close(focal(logits_NC, labels_N, gamma), expected_N)


def test_is_cross_entropy_at_gamma_zero():
    logits_NC, target_N = batch(dtype=torch.float32)
    assert torch.equal(focal(logits_NC, target_N, 0.0), F.cross_entropy(logits_NC, target_N, reduction="none"))
    torch.testing.assert_close(link(logits_NC, 0.0), logits_NC.softmax(1))


@pytest.mark.parametrize("gamma", [0.01, 0.5, 0.99])
def test_certain_sample_has_no_gradient_rather_than_nan(gamma):
    assert gradient(lambda z, y: focal(z, y, gamma), torch.tensor([[200.0, 0.0]]), torch.tensor([0])).eq(0).all()


def test_link_is_surer_than_softmax():
    logits_NC, _ = batch()
    p_NC = logits_NC.softmax(1)
    assert (link(logits_NC, 2.0).amax(1) > p_NC.amax(1)).all()
    assert torch.equal(link(logits_NC, 2.0).argmax(1), p_NC.argmax(1))
