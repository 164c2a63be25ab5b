from __future__ import annotations

import pytest
import torch

from losstune.models.mlp import mlp


@pytest.mark.parametrize(("features", "width", "depth", "classes"), [(64, 32, 1, 10), (16, 8, 3, 2)])
def test_number_of_parameters(features, width, depth, classes):
    expected = (features + 1) * width + (depth - 1) * (width + 1) * width + (width + 1) * classes
    assert sum(parameter.numel() for parameter in mlp(features, width, depth, classes).parameters()) == expected


def test_computes_what_it_says():
    torch.manual_seed(0)
    model = mlp(12, 5, 2, 3)
    weights = [parameter.detach().double() for parameter in model.parameters()]
    inputs = torch.randn(4, 3, 2, 2)
    hidden = inputs.double().flatten(1)
    for weight, bias in ((weights[0], weights[1]), (weights[2], weights[3])):
        hidden = (hidden @ weight.T + bias).clamp(min=0)
    torch.testing.assert_close(model(inputs).double(), hidden @ weights[4].T + weights[5], rtol=1e-5, atol=1e-5)
