"""The average of the weights against its definition, and against torch's with the same decay."""

import pytest
import torch
from torch import nn
from torch.optim.swa_utils import AveragedModel, get_ema_multi_avg_fn

from losstune.training.averaging import Average


def steps(network, number):
    """Change the network, as training does."""
    generator = torch.Generator().manual_seed(1)
    for _ in range(number):
        with torch.no_grad():
            for parameter in network.parameters():
                parameter += 0.1 * torch.randn(parameter.shape, generator=generator)
        network(torch.randn(8, 3, generator=generator))
        yield


def network():
    torch.manual_seed(2)
    return nn.Sequential(nn.Linear(3, 4), nn.BatchNorm1d(4))


def test_weights_and_statistics_follow_the_definition():
    net = network()
    model = Average(net, 0.6)
    expected = {}
    for num, _ in enumerate(steps(net, 12)):
        model.update(model.rate(num))
        decay = min(0.6, (1 + num) / (10 + num))
        for name, value in net.state_dict().items():
            if not name.endswith("num_batches_tracked"):
                old = expected.get(name)
                expected[name] = value.clone() if old is None else decay * old + (1 - decay) * value
    found = model.module.state_dict()
    assert {"0.weight", "1.running_mean", "1.running_var"} <= expected.keys()
    for name, value in expected.items():
        torch.testing.assert_close(found[name], value)


@pytest.mark.parametrize("is_tensor", [False, True])
def test_after_the_warm_up_it_is_torchs(is_tensor):
    net = network()
    # From the first step on, the decay of 0.1 is below the bound of the warm-up.
    ours = Average(net, 0.1)
    theirs = AveragedModel(net, multi_avg_fn=get_ema_multi_avg_fn(0.1), use_buffers=True)
    for num, _ in enumerate(steps(net, 6)):
        rate = ours.rate(num)
        ours.update(torch.tensor(rate, dtype=torch.float64) if is_tensor else rate)
        theirs.update_parameters(net)
    expected = theirs.module.state_dict()
    assert ours.module.state_dict().keys() == expected.keys()
    for name, value in ours.module.state_dict().items():
        assert torch.equal(value, expected[name])
