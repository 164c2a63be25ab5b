import pytest
import torch
import torch.nn.functional as F
from torch import nn

import losstune
from losstune.core.errors import LosstuneError
from losstune.losses import own
from losstune.losses.own import spec_of
from losstune.losses.ranges import Choice, FloatRange, IntRange
from losstune.losses.registry import find, get, known, registry, use_own
from losstune.losses.tools.own import require_usable, same_as
from losstune.losses.tools.suite import findings


def cross_entropy(logits, target):
    return F.cross_entropy(logits, target, reduction="none")


@losstune.loss(gamma=FloatRange(0.5, 5.0), order=IntRange(1, 4))
def plain(logits, target, gamma=2, order=2, unsearched=0.0):
    """A loss for tests.

    More text.
    """
    return gamma * cross_entropy(logits, target) ** order + unsearched


@losstune.loss(scale=Choice((0.5, 1, 2)), link=lambda logits, scale: (scale * logits).softmax(1))
class Scaled(nn.Module):
    def __init__(self, scale=1, reduction="mean"):
        super().__init__()
        self.scale, self.reduction = scale, reduction

    def forward(self, logits, target):
        return F.cross_entropy(self.scale * logits, target, reduction=self.reduction)


def unlike_any(logits, target):
    return cross_entropy(logits, target) + 0.3 * torch.sin(logits.softmax(1).square().sum(1))


@pytest.fixture
def named(monkeypatch):
    """References lead to what this module has, without a file."""
    monkeypatch.setattr(own, "load", lambda reference, key, also=(): globals()[reference.rpartition(":")[2]])
    yield
    use_own([])


def test_a_function(named):
    spec = spec_of("mine:plain")
    assert (spec.name, spec.summary, spec.origin) == ("plain", "A loss for tests.", "mine:plain")
    assert [(item.name, item.default, item.range) for item in spec.hyperparameters] == [
        ("gamma", 2.0, FloatRange(0.5, 5.0)),
        ("order", 2, IntRange(1, 4)),
    ]
    assert isinstance(spec.hyperparameters[0].default, float)  # a search of reals starts at a real
    assert spec.assumes_softmax
    logits, target = torch.randn(5, 3), torch.tensor([0, 1, 2, 0, 1])
    values = spec.bind({"gamma": 3.0})(logits, target)
    torch.testing.assert_close(values, 3.0 * cross_entropy(logits, target) ** 2)
    torch.testing.assert_close(spec.bind().probabilities(logits), logits.softmax(1))


def test_a_module_with_its_own_link(named):
    spec = spec_of("mine:Scaled")
    assert not spec.assumes_softmax
    logits, target = torch.randn(5, 3), torch.tensor([0, 1, 2, 0, 1])
    bound = spec.bind({"scale": 2})
    torch.testing.assert_close(bound(logits, target), cross_entropy(2 * logits, target))
    torch.testing.assert_close(bound.probabilities(logits), (2 * logits).softmax(1))


def test_a_loss_without_the_decorator_has_no_hyperparameters(named):
    assert spec_of("mine:cross_entropy").hyperparameters == ()


FOCAL = get("focal")


def test_a_spec_takes_the_name_in_the_file(named):
    spec = spec_of("mine:FOCAL")
    assert (spec.name, spec.function, spec.has_properties) == ("FOCAL", FOCAL.function, True)


def test_in_use_it_is_known_by_its_name_until_the_next_study(named):
    use_own(["mine:plain"])
    assert get("plain").origin == "mine:plain"
    assert known().keys() - registry().keys() == {"plain"}
    use_own(["mine:Scaled"])
    assert known().keys() - registry().keys() == {"Scaled"}
    assert find("mine:plain")[0].name == "plain"
    with pytest.raises(LosstuneError, match="unknown loss 'plain'"):
        get("plain")


def exponential(logits, target):
    return 3 * torch.expm1(cross_entropy(logits, target)) + 1


def test_it_is_found_identical_to_a_loss_of_the_catalogue(named):
    found = dict(same_as(spec_of("mine:exponential"), registry().values()))
    assert {name: str(how) for name, how in found.items()} == {"exponential": "3 L(z) + 1"}
    assert [name for name, _ in same_as(spec_of("mine:plain"), registry().values())] == ["squared_log"]
    assert same_as(spec_of("mine:unlike_any"), registry().values()) == []


def test_a_good_loss_is_usable(named):
    for name in ("plain", "Scaled", "exponential"):
        require_usable(spec_of(f"mine:{name}"), num_classes=4)


def test_the_suite_measures_what_a_function_does_not_declare(named):
    found = {finding.check: finding for finding in findings(spec_of("mine:exponential"))}
    assert found["convexity"].message.startswith("measured: yes")
    assert found["symmetry"].message.startswith("measured: no")
    assert found["shift"].message.startswith("measured: yes")
    assert found["properness"].message.startswith("measured: no")
    assert not {"minimum", "bound", "soft targets", "masked classes", "hunt"} & found.keys()
