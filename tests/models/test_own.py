import pytest
import torch
from torch import nn

from losstune.config.settings import ModelSettings
from losstune.core.errors import LosstuneError
from losstune.models import build as build_module
from losstune.models import build_model, own
from losstune.models.own import require_seeded


def build(num_classes, input_shape, width=3):
    return nn.Sequential(nn.Flatten(), nn.Linear(torch.Size(input_shape).numel(), width), nn.Linear(width, num_classes))


def any_keyword(**arguments):
    assert arguments == {"num_classes": 5, "width": 2}
    return nn.Linear(4, 5)


def doubles(num_classes):
    return nn.Linear(4, num_classes, dtype=torch.float64).eval()


def fixed(num_classes):
    torch.manual_seed(7)
    return nn.Linear(4, num_classes)


calls = []


def counting(num_classes):
    calls.append(1)
    layer = nn.Linear(4, num_classes)
    layer.bias.data.fill_(len(calls))
    return layer


@pytest.fixture
def made(monkeypatch):
    for module in (own, build_module):
        monkeypatch.setattr(module, "load", lambda reference, key: globals()[reference.rpartition(":")[2]])

    def make(name, shape=(4,), num_classes=5, **options):
        return build_model(ModelSettings(name=f"mine:{name}", options=options), shape, num_classes)

    return make


def test_it_gets_shape_classes_and_options(made):
    network = made("build", (2, 3, 3), 5, width=7)
    assert [tuple(parameter.shape) for parameter in network.parameters()] == [(7, 18), (7,), (5, 7), (5,)]


def test_a_builder_that_takes_any_keyword_gets_the_classes(made):
    made("any_keyword", width=2)


def test_it_is_in_single_precision_and_trains(made):
    network = made("doubles")
    assert network.weight.dtype == torch.float32
    assert network.training


def test_the_seed_of_torch_decides(made):
    settings = ModelSettings(name="mine:build")
    assert require_seeded(settings, (4,), 5) is None
    assert "same weights for every seed" in (require_seeded(ModelSettings(name="mine:fixed"), (4,), 5) or "")
    with pytest.raises(LosstuneError, match="other weights when it is called again with the same seed"):
        require_seeded(ModelSettings(name="mine:counting"), (4,), 5)
