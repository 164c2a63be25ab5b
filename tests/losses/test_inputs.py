"""Targets of any whole numbers, weights, counts, hyperparameters: torch's values, or an error that says why."""

from __future__ import annotations

import re

import numpy as np
import pytest
import torch
from torch import nn

from losstune.losses import get
from losstune.losses.class_balanced import class_balanced_weights
from losstune.losses.registry import registry
from tests.losses.cases import batch, each_spec
from tests.losses.oracles import oracle

INTEGERS = [torch.uint8, torch.int8, torch.int16, torch.int32, torch.int64, torch.uint16]
COUNTS = [500, 200, 150, 100, 50]
SHARES = [0.5, 0.2, 0.15, 0.1, 0.05]
COUNTED = [name for name, spec in registry().items() if spec.needs_counts]


@each_spec
@pytest.mark.parametrize("dtype", INTEGERS, ids=str)
def test_targets_of_any_whole_numbers_give_the_oracles_values(spec, dtype):
    logits_NC, target_N = batch(5)  # as many samples as classes, where a mask would have the right shape
    counts = {"counts_C": torch.tensor(COUNTS).double()} if spec.needs_counts else {}
    wanted_N = oracle(spec.name)(logits_NC, target_N, **spec.defaults, **counts)
    loss = spec.bind().with_counts(COUNTS)
    torch.testing.assert_close(loss(logits_NC, target_N.to(dtype)), wanted_N, rtol=1e-6, atol=1e-7)
    module = spec.bind().as_module("none", weight=torch.tensor(SHARES), class_counts=COUNTS)
    weighted_N = torch.tensor([SHARES[y] for y in target_N.tolist()]) * wanted_N
    if spec.weighs_classes:  # label smoothing weighs the classes of the smoothed target
        smooth_NC = 0.9 * nn.functional.one_hot(target_N, 5) + 0.1 / 5
        weighted_N = -(torch.tensor(SHARES) * smooth_NC * logits_NC.log_softmax(1)).sum(1)
    torch.testing.assert_close(module(logits_NC, target_N.to(dtype)), weighted_N, rtol=1e-6, atol=1e-7)


@pytest.mark.parametrize("dtype", INTEGERS, ids=str)
@pytest.mark.parametrize("ignore_index", [-100, 2, 255])
def test_cross_entropy_is_torchs_for_any_whole_numbers(dtype, ignore_index):
    logits_NC, target_N = batch(64)
    if torch.iinfo(dtype).min <= ignore_index <= torch.iinfo(dtype).max:
        target_N[::7] = ignore_index
    weight_C = torch.tensor(SHARES, dtype=torch.float64)
    ours = get("cross_entropy").as_module(weight=weight_C, ignore_index=ignore_index)
    theirs = nn.CrossEntropyLoss(weight_C, ignore_index=ignore_index)
    torch.testing.assert_close(ours(logits_NC, target_N.to(dtype)), theirs(logits_NC, target_N))


@pytest.mark.parametrize("target", [torch.tensor([True, False]), torch.zeros(2, dtype=torch.complex64)])
def test_truth_values_are_no_classes(target):
    for function in (get("cross_entropy"), get("cross_entropy").as_module()):
        with pytest.raises(ValueError, match=r"target: found torch\.\w+, expected class indices"):
            function(torch.zeros(2, 5), target)


def test_a_list_is_no_target_and_floating_indices_are_told():
    with pytest.raises(ValueError, match="target: found list, expected a tensor"):
        get("focal")(torch.zeros(2, 5), [0, 1])
    with pytest.raises(ValueError, match=r"class indices must be integers: target\.long\(\)"):
        get("focal").as_module()(torch.zeros(2, 5), torch.zeros(2))


@pytest.mark.parametrize("weight", [[1.0] * 5, np.ones(5), 2.0], ids=["list", "array", "number"])
def test_weights_are_a_tensor(weight):
    with pytest.raises(ValueError, match=r"weight: found \w+, expected a tensor of shape \(C,\)"):
        get("cross_entropy").as_module(weight=weight)


def test_weights_of_another_number_of_classes_are_refused():
    logits_NC, target_N = batch()
    for num in (4, 9):
        with pytest.raises(ValueError, match=f"weight: found {num} values for logits of 5 classes"):
            get("cross_entropy").as_module(weight=torch.ones(num))(logits_NC, target_N)
    with pytest.raises(ValueError, match="weight: expected finite numbers"):
        get("cross_entropy").as_module(weight=torch.tensor([1.0, torch.nan]))


@pytest.mark.parametrize("name", COUNTED)
def test_counts_of_another_number_of_classes_are_refused(name):
    logits_NC, target_N = batch()
    message = "class_counts: found 9 values for logits of 5 classes"
    for function in (get(name).with_counts([9] * 9), get(name).as_module(class_counts=[9] * 9)):
        with pytest.raises(ValueError, match=message):
            function(logits_NC, target_N)
    with pytest.raises(ValueError, match=message):
        get(name).with_counts([9] * 9).probabilities(logits_NC)


@pytest.mark.parametrize("name", [name for name in COUNTED if name != "class_balanced"])
def test_shares_do_as_well_as_counts_where_only_ratios_matter(name):
    logits_NC, target_N = batch()
    wanted_N = oracle(name)(logits_NC, target_N, **get(name).hyperparameters, counts_C=torch.tensor(COUNTS).double())
    of_shares = get(name).with_counts(torch.tensor(SHARES, dtype=torch.float64))
    torch.testing.assert_close(of_shares(logits_NC, target_N), wanted_N, rtol=1e-6, atol=1e-7)
    torch.testing.assert_close(
        get(name).as_module("none", class_counts=SHARES)(logits_NC, target_N), wanted_N, rtol=1e-5, atol=1e-6
    )
    with pytest.raises(ValueError, match="frequencies of which one is 0"):
        get(name).with_counts([0.5, 0.5, 0, 0, 0])


def test_shares_are_refused_where_the_counts_matter():
    message = r"class_counts: found \[0\.5, 0\.2, .*\], which are frequencies; this loss needs counts"
    with pytest.raises(ValueError, match=message):
        get("class_balanced").as_module(class_counts=SHARES)
    with pytest.raises(ValueError, match=message):
        class_balanced_weights(torch.tensor(SHARES), 0.999)


def test_a_class_without_samples_counts_as_one_with_a_sample():
    logits_NC, target_N = batch()
    for name in COUNTED:
        found_N, wanted_N = (get(name).with_counts([500, 200, few, 100, 50]) for few in (0, 1))
        assert torch.equal(found_N(logits_NC, target_N), wanted_N(logits_NC, target_N))


@pytest.mark.parametrize(
    ("counts", "message"),
    [
        ([1, -2, 3], "expected finite numbers of at least 0, found"),
        ([1, float("nan"), 3], "expected finite numbers of at least 0, found"),
        ([0, 0, 0], "all are 0"),
        ([[1, 2, 3]], r"expected one number per class, found shape \(1, 3\)"),
        (7, r"expected one number per class, found shape \(\)"),
        ("many", "found 'many', expected the number of training samples"),
        ([True, False], "found torch.bool, expected numbers"),
    ],
)
def test_counts_that_are_none_are_refused(counts, message):
    with pytest.raises(ValueError, match=f"class_counts: {message}"):
        get("logit_adjusted").as_module(class_counts=counts)


@pytest.mark.parametrize(
    ("value", "found"),
    [("2", r"'2' \(str\)"), (True, r"True \(bool\)"), (None, r"None \(NoneType\)"), (torch.tensor(2.0), "tensor")],
)
def test_a_hyperparameter_that_is_no_number_is_told(value, found):
    with pytest.raises(ValueError, match=f"focal: found gamma {found}.*, expected a number"):
        get("focal", gamma=value)


@pytest.mark.parametrize("value", [float("nan"), float("inf"), -1])
def test_a_hyperparameter_outside_its_domain_is_told(value):
    with pytest.raises(ValueError, match=f"focal: found gamma {value}, expected a number"):
        get("focal", gamma=value)


@pytest.mark.parametrize("loss", ["focal", "cross_entropy"])
@pytest.mark.parametrize(
    ("name", "hint"),
    [
        *((name, "as_module(weight=torch.tensor([...]))") for name in ("weight", "class_weight", "class_weights")),
        *((name, "as_module('mean'), 'sum' or 'none'") for name in ("reduction", "reduce", "size_average")),
        *((name, "get('ldam').as_module(class_counts=[...])") for name in ("cls_num_list", "samples_per_class")),
        *((name, "get('label_smoothing', eps=...)") for name in ("label_smoothing", "smoothing")),
        ("alpha", "as_module(weight=torch.tensor([...]))"),
        ("ignore_index", "as_module(ignore_index=...)"),
        ("num_classes", "the number of classes is that of the logits"),
        ("from_logits", "every loss takes logits"),
    ],
)
def test_arguments_of_other_libraries_are_told_their_place(loss, name, hint):
    with pytest.raises(ValueError, match=f"{loss} has no hyperparameter '{name}'; it has .*{re.escape(hint)}$"):
        get(loss, **{name: [1.0]})
    if name not in {"weight", "reduction", "ignore_index"}:
        with pytest.raises(TypeError, match=f"as_module has no option '{name}'; .*{re.escape(hint)}$"):
            get(loss).as_module(**{name: [1.0]})


def test_options_that_are_none_are_told():
    with pytest.raises(TypeError, match=r"no option 'gamma'; it is a hyperparameter: get\('focal', gamma=\.\.\.\)"):
        get("focal").as_module(gamma=1.0)
    with pytest.raises(TypeError, match="no option 'wieght'; it has reduction, weight, ignore_index, class_counts"):
        get("focal").as_module(wieght=torch.ones(5))


def test_numpys_numbers_are_numbers():
    assert get("focal", gamma=np.float32(0.5)).hyperparameters == {"gamma": 0.5}
    assert repr(get("taylor_ce", order=np.int64(3))) == "taylor_ce(order=3)"
