from __future__ import annotations

import copy
import pickle

import pytest
import torch
from torch import nn

from losstune.core.errors import LosstuneError
from losstune.losses import get
from losstune.losses.registry import registry
from tests.losses.cases import batch, distributions, each_spec

WEIGHT = torch.tensor([0.5, 2.0, 1.0, 0.0, 3.0], dtype=torch.float64)


@pytest.mark.parametrize("reduction", ["mean", "sum", "none"])
@pytest.mark.parametrize("weight", [None, WEIGHT])
@pytest.mark.parametrize("ignore_index", [-100, 2])
def test_cross_entropy_is_torchs_own_with_every_option(reduction, weight, ignore_index):
    logits_NC, target_N = batch(64)
    target_N[::7] = ignore_index
    ours = get("cross_entropy").as_module(reduction, weight=weight, ignore_index=ignore_index)
    theirs = nn.CrossEntropyLoss(weight, reduction=reduction, ignore_index=ignore_index)
    torch.testing.assert_close(ours(logits_NC, target_N), theirs(logits_NC, target_N))


@pytest.mark.parametrize("reduction", ["mean", "sum", "none"])
def test_dense_prediction(reduction):
    generator = torch.Generator().manual_seed(0)
    logits = torch.randn(2, 5, 3, 4, generator=generator, dtype=torch.float64)
    target = torch.randint(5, (2, 3, 4), generator=generator)
    target[0, 0, 0] = -100
    ours = get("cross_entropy").as_module(reduction, weight=WEIGHT)
    theirs = nn.CrossEntropyLoss(WEIGHT, reduction=reduction)
    torch.testing.assert_close(ours(logits, target), theirs(logits, target))


def test_soft_targets():
    logits_NC, _ = batch()
    t_NC = distributions()
    torch.testing.assert_close(
        get("cross_entropy").as_module()(logits_NC, t_NC), nn.CrossEntropyLoss()(logits_NC, t_NC)
    )


@each_spec
def test_ignored_samples_have_no_part_whatever_they_hold(spec):
    logits_NC, target_N = batch()
    module = spec.bind().as_module(class_counts=[9, 8, 7, 6, 5])
    expected = module(logits_NC[2:], target_N[2:])
    logits_NC[0], target_N[:2] = torch.nan, -100
    logits_NC.requires_grad_()
    found = module(logits_NC, target_N)
    torch.testing.assert_close(found, expected)
    found.backward()
    assert logits_NC.grad.isfinite().all()
    assert (logits_NC.grad[:2] == 0).all()


@each_spec
def test_survives_pickling_copying_and_moving(spec):
    logits_NC, target_N = batch(dtype=torch.float32)
    module = spec.bind().as_module(weight=torch.rand(5), class_counts=[9, 8, 7, 6, 5])
    for equal_loss in (pickle.loads(pickle.dumps(module)), copy.deepcopy(module)):
        torch.testing.assert_close(equal_loss(logits_NC, target_N), module(logits_NC, target_N))
    moved = module.to("meta")
    assert moved(logits_NC.to("meta"), target_N.to("meta")).device.type == "meta"


def test_class_weights_are_state_as_in_torchs_module():
    logits_NC, target_N = batch(dtype=torch.float32)
    theirs = nn.CrossEntropyLoss(WEIGHT.float())
    ours = get("cross_entropy").as_module(weight=torch.ones(5))
    ours.load_state_dict(theirs.state_dict())
    torch.testing.assert_close(ours(logits_NC, target_N), theirs(logits_NC, target_N))
    assert list(get("focal").as_module().state_dict()) == list(nn.CrossEntropyLoss().state_dict()) == []
    assert ours.double().weight.dtype == torch.float64
    assert not list(ours.parameters())


@pytest.mark.parametrize("target", ["classes", "probabilities"])
def test_autocast_computes_in_float32_as_torchs_module(target):
    logits_NC, target_N = batch(dtype=torch.bfloat16)
    given = target_N if target == "classes" else distributions().float()
    with torch.autocast("cpu", dtype=torch.bfloat16):
        found = get("cross_entropy").as_module(weight=WEIGHT.float())(logits_NC, given)
        theirs = nn.CrossEntropyLoss(WEIGHT.float())(logits_NC, given)
    assert found.dtype == theirs.dtype == torch.float32
    torch.testing.assert_close(found, theirs)


def test_repr_can_be_read():
    module = get("focal", gamma=3.0).as_module("sum", ignore_index=0, weight=torch.ones(5))
    assert repr(module) == ("LossModule(focal(gamma=3.0), reduction='sum', weight=5 classes, ignore_index=0)")


def test_a_loss_of_the_class_prior_wants_to_be_told():
    assert {name for name, spec in registry().items() if spec.needs_counts} == {
        "class_balanced",
        "fdiv_fy",
        "ldam",
        "logit_adjusted",
    }
    with pytest.raises(ValueError, match=r"logit_adjusted needs the class frequencies; pass class_counts"):
        get("logit_adjusted").as_module()


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"reduction": "average"}, r"reduction: found 'average', expected one of mean, sum, none"),
        ({"reduction": torch.ones(5)}, r"reduction: found a tensor, expected .*; class weights: weight=\.\.\."),
        ({"reduction": None}, r"reduction: found None, expected one of mean, sum, none$"),
        ({"weight": torch.ones(2, 2)}, r"weight: expected one value per class, found shape \(2, 2\)"),
    ],
)
def test_bad_options_are_refused(options, message):
    with pytest.raises(ValueError, match=message):
        get("cross_entropy").as_module(**options)


def test_bad_shapes_are_refused():
    module = get("cross_entropy").as_module(weight=WEIGHT)
    with pytest.raises(ValueError, match="logits: found a single number"):
        module(torch.tensor(5.0), torch.tensor(0))
    with pytest.raises(ValueError, match=r"found shape \(3,\) for logits of shape \(4, 5\), expected .*, \(4,\)$"):
        module(torch.zeros(4, 5), torch.zeros(3, dtype=torch.int64))


def test_get_names_the_nearest_loss_and_checks_hyperparameters():
    with pytest.raises(LosstuneError, match="did you mean 'focal'"):
        get("fokal")
    with pytest.raises(ValueError, match="gamma"):
        get("focal", gama=2.0)
