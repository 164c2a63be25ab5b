"""Targets of every shape, in both call forms, for every loss: the oracles' values, or an error that says why."""

from __future__ import annotations

import re
from dataclasses import replace

import pytest
import torch
from torch import nn
from torch.nn.functional import one_hot

from losstune.core.errors import LosstuneError
from losstune.losses import get, list_losses
from losstune.losses.registry import registry
from tests.losses.cases import batch, distributions, each_spec, gradient
from tests.losses.oracles import oracle

COUNTS = [9, 8, 7, 6, 5]
WEIGHT = torch.tensor([0.5, 2.0, 1.0, 0.0, 3.0], dtype=torch.float64)
SOFT = [name for name, spec in registry().items() if spec.soft_targets]
LINEAR = [name for name, spec in registry().items() if spec.linear_in_target]
HARD = [name for name in registry() if name not in SOFT]


def wanted(name, logits_NC, target_N):
    counts = {"counts_C": torch.tensor(COUNTS).double()} if registry()[name].needs_counts else {}
    return oracle(name)(logits_NC, target_N, **get(name).hyperparameters, **counts)


def expected(name, logits_NC, t_NC, weight_C):
    """Return sum_k w_k t_k L(z, k); label smoothing, where torch weighs the classes, by its own formula."""
    if name == "label_smoothing":
        return -(weight_C * (0.9 * t_NC + 0.1 / 5) * logits_NC.log_softmax(1)).sum(1)
    each_NC = torch.stack([wanted(name, logits_NC, torch.full((len(logits_NC),), k)) for k in range(5)], 1)
    return (weight_C * t_NC * each_NC).sum(1)


def forms(name, **options):
    """Return both call forms; the second takes options."""
    return [get(name).with_counts(COUNTS), module(name, "none", **options)]


def module(name, reduction="mean", **options):
    return get(name).as_module(reduction, class_counts=COUNTS, **options)


def maps(values_NC):
    """Return 12 rows (N, C) as (2, C, 3, 2)."""
    return values_NC[:12].view(2, 3, 2, -1).movedim(-1, 1)


def assert_close(found, other, tolerance=1e-6):
    torch.testing.assert_close(found, other, rtol=tolerance, atol=tolerance)


@each_spec
def test_maps_of_classes(spec):
    logits_NC, target_N = batch()
    wanted_N = wanted(spec.name, logits_NC[:12], target_N[:12])
    for function in forms(spec.name):
        assert_close(function(maps(logits_NC), target_N[:12].view(2, 3, 2)), wanted_N.view(2, 3, 2))


@pytest.mark.parametrize("name", SOFT)
def test_maps_of_probabilities(name):
    logits_NC, t_NC = batch()[0], distributions()
    rows_N = get(name).with_counts(COUNTS)(logits_NC[:12], t_NC[:12])
    for function in forms(name):
        assert_close(function(maps(logits_NC), maps(t_NC)), rows_N.view(2, 3, 2))


@pytest.mark.parametrize("name", SOFT)
def test_a_loss_is_linear_in_the_target_as_declared(name):
    logits_NC, t_NC = batch()[0], distributions()
    change = get(name).with_counts(COUNTS)(logits_NC, t_NC) - expected(name, logits_NC, t_NC, torch.ones(5).double())
    assert (change.abs().max() < 1e-7) == (name in LINEAR)


@pytest.mark.parametrize("name", LINEAR)
@pytest.mark.parametrize("dtype", [torch.float64, torch.float32, torch.bfloat16], ids=str)
def test_class_weights_hold_for_probabilities(name, dtype):
    logits_NC, t_NC = batch(dtype=dtype)[0], distributions()
    t_NC[0] = torch.eye(5)[3]  # all of its weight is 0
    wanted_N = expected(name, logits_NC.double(), t_NC, WEIGHT)
    tolerance = 1e-6 if dtype == torch.float64 else 1e-3
    for reduction, value in (("none", wanted_N), ("sum", wanted_N.sum()), ("mean", wanted_N.mean())):
        found = module(name, reduction, weight=WEIGHT)(logits_NC, t_NC)
        assert found.dtype == torch.promote_types(dtype, torch.float32)
        assert_close(found.double(), value, tolerance)
    if dtype == torch.float64:
        assert_close(module(name, weight=WEIGHT)(maps(logits_NC), maps(t_NC)), wanted_N[:12].mean())


@pytest.mark.parametrize("eps", [0.0, 0.1])
def test_the_gradient_of_weighted_probabilities_is_torchs(eps):
    logits_NC, t_NC = batch()[0], distributions()
    theirs = nn.CrossEntropyLoss(WEIGHT, label_smoothing=eps)
    for ours in (get("label_smoothing", eps=eps), *([get("cross_entropy")] if eps == 0 else [])):
        found_NC = gradient(ours.as_module(weight=WEIGHT), logits_NC, t_NC)
        assert_close(found_NC, gradient(theirs, logits_NC, t_NC))


@pytest.mark.parametrize("reduction", ["mean", "sum", "none"])
@pytest.mark.parametrize("weight", [None, WEIGHT], ids=["unweighted", "weighted"])
@pytest.mark.parametrize("ignore_index", [-100, 2])
@pytest.mark.parametrize("eps", [0.0, 0.1, 0.3])
def test_label_smoothing_is_torchs_with_every_option(reduction, weight, ignore_index, eps):
    logits_NC, target_N = batch(64)
    target_N[::7] = ignore_index
    ours = get("label_smoothing", eps=eps).as_module(reduction, weight=weight, ignore_index=ignore_index)
    theirs = nn.CrossEntropyLoss(weight, ignore_index=ignore_index, reduction=reduction, label_smoothing=eps)
    assert_close(ours(logits_NC, target_N), theirs(logits_NC, target_N))


@pytest.mark.parametrize("name", [name for name in SOFT if name not in LINEAR])
def test_class_weights_of_a_loss_that_is_not_linear_take_one_hot_rows_only(name):
    logits_NC, target_N = batch()
    wanted_N = WEIGHT[target_N] * wanted(name, logits_NC, target_N)
    assert_close(module(name, "none", weight=WEIGHT)(logits_NC, one_hot(target_N, 5).double()), wanted_N)
    with pytest.raises(ValueError, match=f"weight: found class weights with .*; {name} is not linear in the target"):
        module(name, weight=WEIGHT)(logits_NC, distributions())


@pytest.mark.parametrize("dtype", [torch.float64, torch.float32, torch.bfloat16], ids=str)
@each_spec
def test_one_hot_rows_are_classes(spec, dtype):
    logits_NC, target_N = batch()
    hot_NC, wanted_N = one_hot(target_N, 5).to(dtype), wanted(spec.name, logits_NC, target_N)
    for function in forms(spec.name):
        assert_close(function(logits_NC, hot_NC), wanted_N)
        assert_close(function(maps(logits_NC), maps(hot_NC)), wanted_N[:12].view(2, 3, 2))
    weighted_N = expected(spec.name, logits_NC, hot_NC.double(), WEIGHT)
    assert_close(module(spec.name, weight=WEIGHT)(logits_NC, hot_NC), weighted_N.mean())  # torch's mean of such rows


@pytest.mark.parametrize("name", HARD)
@pytest.mark.parametrize("row", [[0.2] * 5, [1.0, 1.0, 0, 0, 0], [0.0] * 5, [2.0, -1.0, 0, 0, 0], [float("nan")] * 5])
def test_other_rows_are_refused_with_the_losses_that_take_them(name, row):
    logits_NC, target_N = batch()
    t_NC = one_hot(target_N, 5).double()
    t_NC[3] = torch.tensor(row)
    message = f"target: found probabilities, but {name} takes class indices or one-hot rows; losses that take .*: "
    for function in forms(name, weight=WEIGHT):
        with pytest.raises(ValueError, match=message + ", ".join(SOFT) + "$"):
            function(logits_NC, t_NC)


def test_an_ignored_class_has_no_meaning_for_probabilities():
    for name in registry():
        with pytest.raises(ValueError, match="ignore_index: found 2 with probabilities as target, expected class"):
            module(name, ignore_index=2)(batch()[0], distributions())


@each_spec
def test_one_sample_without_a_batch(spec):
    logits_NC, target_N = batch()
    wanted_N = wanted(spec.name, logits_NC, target_N)
    for function in [*forms(spec.name), module(spec.name), module(spec.name, "sum")]:
        assert_close(function(logits_NC[1], target_N[1]), wanted_N[1])
        assert_close(function(logits_NC[1], one_hot(target_N[1], 5).double()), wanted_N[1])


@each_spec
def test_an_empty_batch(spec):
    for z, y in (
        (torch.zeros(0, 5), torch.zeros(0).long()),
        (torch.zeros(0, 5, 3), torch.zeros(0, 3).long()),
        (torch.zeros(0, 5), torch.zeros(0, 5)),
    ):
        shape = (*z.shape[:1], *z.shape[2:])
        assert all(function(z, y).shape == shape for function in forms(spec.name))
        assert module(spec.name)(z, y).isnan()
        assert module(spec.name, "sum")(z, y) == 0


@each_spec
@pytest.mark.parametrize(
    ("logits", "way"),
    [((4,), "torch.stack"), ((4, 1), "torch.cat"), ((4, 1, 2, 2), "torch.cat")],
    ids=["(N,)", "(N, 1)", "(N, 1, H, W)"],
)
def test_one_logit_for_two_classes_is_told_how_to_become_two(spec, logits, way):
    z = torch.linspace(-2, 2, torch.Size(logits).numel()).view(logits)
    y = torch.arange(z.numel()).view(z.squeeze(1).shape if z.ndim > 1 else z.shape) % 2
    for function in (get(spec.name), get(spec.name).with_counts([1, 1]).as_module()):
        for target in (y, y.view(z.shape).float()):
            with pytest.raises(ValueError, match=r"logits: found shape .*one logit per sample") as caught:
                function(z, target)
            assert f"{way}([torch.zeros_like(logits), logits], 1)" in str(caught.value)
    two = eval(str(caught.value).rpartition("classes: ")[2], {"torch": torch, "logits": z})
    found = get("cross_entropy").as_module()(two, y)
    assert_close(found, nn.functional.binary_cross_entropy_with_logits(z.view(y.shape), y.float()))


@pytest.mark.parametrize(
    ("classes", "num_classes", "message"),
    [
        ([1, 3, 5], 5, r"found class 5 for .* 5 classes, expected 0 to 4; classes that count from 1: target - 1"),
        ([0, 7, 2], 5, r"found class 7 .*; 8 classes need 8 logits"),
        ([0, 255, 2], 5, r"found class 255 .*; to leave out samples of class 255: as_module\(ignore_index=255\)"),
        ([0, -1, 2], 5, r"found class -1 .*; to leave out samples of class -1: as_module\(ignore_index=-1\)"),
        ([1, -1, 1], 2, r"found class -1 .*; labels of -1 and 1: \(target \+ 1\) // 2"),
    ],
)
@each_spec
def test_a_class_out_of_range_is_told_on_the_cpu(spec, classes, num_classes, message):
    logits_NC, target_N = batch(3, num_classes)[0], torch.tensor(classes)
    options = {"weight": torch.ones(num_classes), "class_counts": [5] * num_classes}
    for function in (get(spec.name), get(spec.name).as_module(**options)):
        with pytest.raises(ValueError, match=f"target: {message}"):
            function(logits_NC, target_N)


def test_an_error_of_the_function_itself_is_left_alone():
    def broken(logits_NC, target_N):
        raise RuntimeError("of its own")

    loss = replace(registry()["mae"], function=broken).bind()
    for function in (loss, loss.as_module()):
        with pytest.raises(RuntimeError, match="of its own"):
            function(*batch())


@pytest.mark.parametrize(
    ("logits", "target", "message"),
    [
        (torch.zeros(4).long(), torch.zeros(4, 5), r"logits: found torch.int64, .*; the order is \(logits, target\)"),
        ({"logits": 1}, torch.zeros(4).long(), r"logits: found dict, expected a floating-point tensor"),
        (torch.zeros(4, 5), torch.zeros(4, 1).long(), r"found shape \(4, 1\) .*, \(4,\); target\.squeeze\(1\)"),
        (torch.zeros(4, 5), torch.zeros(4, 5).long(), r"\(4,\); one-hot rows must be floating-point: target\.float"),
        (torch.zeros(4, 5), torch.zeros(4, 6), r"expected one probability per class, \(4, 5\)$"),
        (torch.zeros(4, 5), torch.zeros(4, 1), r"class indices must be integers: target\.long\(\)"),
        (torch.zeros(5), torch.tensor(1.0), r"class indices must be integers: target\.long\(\)"),
        (torch.zeros(4, 5, 2), torch.zeros(4).long(), r"expected one class index per sample, \(4, 2\)$"),
    ],
)
def test_what_does_not_fit_says_what_would(logits, target, message):
    for function in (get("focal"), get("focal").as_module()):
        with pytest.raises(ValueError, match=message):
            function(logits, target)


@pytest.mark.parametrize("name", LINEAR)
def test_weighted_probabilities_need_no_values_on_the_host(name):
    ours = module(name, weight=WEIGHT).to("meta")
    assert ours(torch.zeros(3, 5, device="meta"), torch.zeros(3, 5, device="meta")).device.type == "meta"


@pytest.mark.parametrize("target", ["classes", "probabilities"])
@pytest.mark.parametrize("name", ["cross_entropy", "label_smoothing", "z_loss"])
def test_the_module_compiles_as_one_graph(name, target):
    logits_NC, target_N = batch(dtype=torch.float32)
    given = target_N if target == "classes" else distributions().float()
    ours = get(name).as_module(weight=WEIGHT.float())
    torch.compiler.reset()
    compiled = torch.compile(ours, backend="aot_eager", fullgraph=True)
    assert_close(compiled(logits_NC, given), ours(logits_NC, given))
    assert_close(gradient(compiled, logits_NC, given), gradient(ours, logits_NC, given))


def test_losses_for_class_indices_compile_with_one_hot_rows():
    logits_NC, target_N = batch(dtype=torch.float32)
    torch.compiler.reset()
    compiled = torch.compile(get("focal").as_module(), backend="aot_eager")
    assert_close(compiled(logits_NC, one_hot(target_N, 5).float()), get("focal").as_module()(logits_NC, target_N))


def test_list_losses_names_the_catalogue():
    assert list_losses() == sorted(registry())
    assert list_losses("margin") == [name for name, spec in registry().items() if spec.family == "margin"]
    assert list_losses(soft_targets=True) == SOFT
    assert list_losses("log-loss", soft_targets=False) == [
        name for name in HARD if registry()[name].family == "log-loss"
    ]
    with pytest.raises(LosstuneError, match=re.escape("family: found 'hinge', expected one of log-loss, angular")):
        list_losses("hinge")
