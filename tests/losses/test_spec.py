import dataclasses
import inspect
import pickle
import re

import pytest
import torch

from losstune.losses.ranges import Choice, Domain, FloatRange, IntRange
from losstune.losses.registry import get, registry
from losstune.losses.spec import BoundLoss, Hyperparameter
from tests.losses.cases import batch, each_setting, each_spec, gradient


@each_spec
def test_function_and_link_take_the_hyperparameters_by_name(spec):
    names = [hyperparameter.name for hyperparameter in spec.hyperparameters]
    names += ["counts_C"] if spec.needs_counts else []
    weights = ["weight_C"] if spec.weighs_classes else []
    assert list(inspect.signature(spec.function).parameters)[2:] == names + weights
    assert list(inspect.signature(spec.link).parameters)[1:] == names


@each_spec
def test_defaults_lie_in_their_ranges(spec):
    for hyperparameter in spec.hyperparameters:
        assert hyperparameter.range.contains(hyperparameter.default)
        whole = isinstance(hyperparameter.range, IntRange)
        assert isinstance(hyperparameter.range, Choice) or isinstance(hyperparameter.default, int if whole else float)


@each_spec
def test_is_documented_and_cited(spec):
    assert spec.summary.endswith(".")
    assert spec.formula
    assert 1940 < spec.citation.year < 2100
    assert re.match(r"(arXiv:\d{4}\.\d{4,5}|doi:10\.|ISBN |openreview:)", spec.citation.reference)
    assert all([spec.citation.authors, spec.citation.title, spec.citation.equation])
    assert all(hyperparameter.source for hyperparameter in spec.hyperparameters)
    assert "Source:" in spec.function.__doc__


@each_setting
def test_bound_loss_travels_to_another_process(loss):
    logits_NC, target_N = batch()
    again = pickle.loads(pickle.dumps(loss))
    assert torch.equal(again(logits_NC, target_N), loss(logits_NC, target_N))


def test_bind_fills_in_defaults():
    assert get("bi_tempered").bind({"t2": 1.5}).hyperparameters == {"t1": 0.8, "t2": 1.5}
    assert get("cross_entropy").bind().hyperparameters == {}


def test_bound_loss_passes_its_hyperparameters_on():
    logits_NC, target_N = batch()
    focal = get("focal")
    bound = focal.bind({"gamma": 0.5})
    assert torch.equal(bound(logits_NC, target_N), focal.function(logits_NC, target_N, gamma=0.5))
    assert torch.equal(bound.probabilities(logits_NC), focal.link(logits_NC, gamma=0.5))
    assert repr(bound) == "focal(gamma=0.5)"


@pytest.mark.parametrize(
    ("name", "known"), [("focal", "it has gamma"), ("cross_entropy", "it has none"), ("square", "it has k, M")]
)
def test_unknown_hyperparameter_is_refused(name, known):
    with pytest.raises(ValueError, match=f"{name} has no hyperparameter 'gama'; {known}"):
        get(name).bind({"gama": 2.0})


def test_spec_and_bound_loss_are_frozen():
    with pytest.raises(dataclasses.FrozenInstanceError):
        get("focal").name = "other"
    with pytest.raises(dataclasses.FrozenInstanceError):
        BoundLoss(get("focal"), {"gamma": 1.0}).hyperparameters = {}


def border(spec, hyperparameter, *, upper):
    """Return the domain's bound on one side, or None, and whether it belongs to the domain."""
    domain = hyperparameter.domain
    return (domain.high, not domain.excludes_high) if upper else (domain.low, not domain.excludes_low)


BORDERS = [
    pytest.param(spec, hyperparameter, upper, id=f"{spec.name}-{hyperparameter.name}-{'high' if upper else 'low'}")
    for spec in registry().values()
    for hyperparameter in spec.hyperparameters
    for upper in (False, True)
    if border(spec, hyperparameter, upper=upper)[0] is not None
]


@pytest.mark.parametrize(("spec", "hyperparameter", "upper"), BORDERS)
@pytest.mark.parametrize("num_classes", [2, 1000])
def test_is_defined_up_to_the_border_of_its_domain(spec, hyperparameter, upper, num_classes):
    bound, is_inside = border(spec, hyperparameter, upper=upper)
    value = bound if is_inside else bound + (-1e-3 if upper else 1e-3)
    loss = spec.bind({hyperparameter.name: value})
    logits_NC, target_N = batch(num_classes=num_classes, dtype=torch.float32)
    assert torch.isfinite(loss(logits_NC, target_N)).all()
    assert torch.isfinite(gradient(loss, logits_NC, target_N)).all()
    probabilities_NC = loss.probabilities(logits_NC)
    assert (probabilities_NC >= 0).all()
    torch.testing.assert_close(probabilities_NC.sum(1), torch.ones(16), rtol=1e-5, atol=1e-5)


@pytest.mark.parametrize(("spec", "hyperparameter", "upper"), BORDERS)
def test_a_value_outside_the_domain_is_refused(spec, hyperparameter, upper):
    bound, is_inside = border(spec, hyperparameter, upper=upper)
    values = [bound + (1e-6 if upper else -1e-6), float("nan")] + ([] if is_inside else [bound])
    for value in values:
        message = f"{spec.name}: found {hyperparameter.name} {value}, expected {hyperparameter.domain}"
        with pytest.raises(ValueError, match=re.escape(message)):
            spec.bind({hyperparameter.name: value})


@each_spec
def test_every_domain_is_stated(spec):
    assert all(hyperparameter.domain != Domain() for hyperparameter in spec.hyperparameters)


@pytest.mark.parametrize(("default", "high"), [(0.0, 2.0), (1.0, 4.0)])
def test_default_and_range_must_lie_in_the_domain(default, high):
    with pytest.raises(ValueError, match=r"alpha: default and range must be in its domain, a number in \(0, 3\]"):
        Hyperparameter(
            name="alpha",
            default=default,
            range=FloatRange(1.0, high),
            source="proposal",
            domain=Domain(0.0, 3.0, excludes_low=True),
        )
