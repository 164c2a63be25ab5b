"""The suite passes the catalogue, and fails what is wrong: in a formula, or in what is claimed of it."""

from __future__ import annotations

import math
from dataclasses import replace

import pytest
import torch
import torch.nn.functional as F

from losstune.losses.cross_entropy import softmax_link
from losstune.losses.registry import get
from losstune.losses.spec import Limit, Properties
from losstune.losses.tools.suite import check
from tests.losses.cases import each_spec
from tests.losses.oracles import oracle


def failures(spec):
    return {finding.check: finding.message for finding in check(spec) if not finding.passed}


@each_spec
def test_every_loss_of_the_catalogue_passes(spec):
    assert failures(replace(spec, oracle=oracle(spec.name))) == {}


def claiming(name, **changes):
    spec = get(name)
    return replace(spec, properties=replace(spec.properties, **changes))


@pytest.mark.parametrize(
    ("spec", "failing", "evidence"),
    [
        (claiming("cross_entropy", convex=False), "convexity", "declared not convex: no midpoint above its chord"),
        (claiming("focal", convex=True), "convexity", "above the chord between"),
        (claiming("gce", bound=1.0), "bound", "declared 1, found up to 1.42"),
        (claiming("gce", bound=2.0), "bound", "declared 2, found up to 1.42"),
        (claiming("gce", bound=None), "bound", "declared unbounded"),
        (claiming("cross_entropy", bound=10.0), "bound", "declared 10"),
        (claiming("logit_norm", bound=lambda C: 38.0), "bound", "declared 38, found up to 35.3"),
        (claiming("cross_entropy", smooth=False), "smoothness", "declared not smooth: neither"),
        (claiming("gce", symmetric=True), "symmetry", "the sum over the classes varies"),
        (claiming("nce", symmetric=False), "symmetry", "declared not symmetric"),
        (claiming("square", shift_invariant=True), "shift", "a shift changes the loss"),
        (claiming("focal", shift_invariant=False), "shift", "declared not shift-invariant"),
        (claiming("mae", proper="strictly"), "properness", "comes back as"),
        (claiming("brier", proper="no"), "properness", "declared not to recover the posterior"),
        (claiming("label_smoothing", minimum=None), "minimum", "declared 0, found 0.198515 with 2 classes"),
        (claiming("brier", minimum=lambda num_classes: -0.05), "minimum", "declared -0.05, found"),
        (claiming("brier", minimum=lambda num_classes: -1.0), "minimum", "declared -1, found"),
    ],
    ids=lambda part: part if isinstance(part, str) and " " not in part else "",
)
@pytest.mark.usefixtures("claims_alone")
def test_a_wrong_claim_fails_and_is_told(spec, failing, evidence):
    found = failures(spec)
    assert list(found) == [failing]
    assert evidence in found[failing]


@pytest.mark.parametrize("name", ["maxsup", "exponential", "phuber_ce", "keras_kl_divergence", "weston_watkins"])
@pytest.mark.usefixtures("claims_alone")
def test_a_kink_is_found_where_smoothness_is_claimed(name):
    # The second derivative is right wherever it exists: only a search for jumps tells.
    found = failures(claiming(name, smooth=True))
    assert list(found) == ["smoothness"]
    assert "jumps by" in found["smoothness"]


@pytest.mark.usefixtures("claims_alone")
def test_a_wrong_link_fails():
    spec = replace(get("gce"), link=lambda logits_NC, q: softmax_link(logits_NC))
    assert list(failures(spec)) == ["properness"]


@pytest.mark.usefixtures("claims_alone")
def test_a_link_that_passes_over_the_class_frequencies_fails():
    spec = replace(get("logit_adjusted"), link=lambda logits_NC, tau, counts_C: softmax_link(logits_NC))
    assert list(failures(spec)) == ["properness"]


def test_a_wrong_limit_and_a_wrong_oracle_fail():
    spec = get("poly1")
    wrong = replace(
        spec,
        limits=(Limit(hyperparameters={"eps": 1.0}),),
        oracle=lambda z, y, eps: F.cross_entropy(z, y, reduction="none"),
    )
    found = failures(wrong)
    assert list(found) == ["oracle", "limits"]
    assert "at eps = 1 it differs from cross_entropy by" in found["limits"]


# What holds at the published hyperparameters, with four classes, at usual logits, and not elsewhere.


def focal_without_a_floor(logits_NC, target_N, gamma):
    logits_NC = logits_NC if logits_NC.dtype == torch.float64 else logits_NC.float()
    cross_entropy_N = F.cross_entropy(logits_NC, target_N, reduction="none")
    return (1 - (-cross_entropy_N).exp()) ** gamma * cross_entropy_N


def test_what_breaks_at_other_hyperparameters_is_caught():
    # Below gamma = 1 the slope is infinite where p = 1.
    found = failures(replace(get("focal"), function=focal_without_a_floor))
    assert found.keys() >= {"extreme logits", "hunt"}
    assert "the gradient is not finite at logits" in found["extreme logits"]
    assert "focal(gamma=" in found["hunt"]


def capped(logits_NC, target_N):
    logits_NC = logits_NC if logits_NC.dtype == torch.float64 else logits_NC.float()
    return F.cross_entropy(logits_NC, target_N, reduction="none").clamp_max(500.0)


def test_a_cap_far_out_is_found():
    found = failures(replace(get("cross_entropy"), function=capped, soft_targets=False))
    assert found.keys() >= {"bound", "convexity"}


def test_a_false_claim_to_be_linear_in_the_target_is_found():
    found = failures(replace(get("brier"), linear_in_target=True))
    assert "the loss of a distribution differs from the expected loss" in found["soft targets"]


def for_four_classes(logits_NC, target_N):
    logits_NC = logits_NC if logits_NC.dtype == torch.float64 else logits_NC.float()
    return (logits_NC.softmax(1) - F.one_hot(target_N, 4)).square().sum(1)


def test_what_works_for_four_classes_only_is_caught():
    found = failures(replace(get("brier"), function=for_four_classes, soft_targets=False))
    assert "2 classes: " in found["shapes and types"]


def in_half_precision(logits_NC, target_N):
    log_p_NC = logits_NC.log_softmax(1)
    return -log_p_NC.gather(1, target_N[:, None])[:, 0].to(torch.promote_types(logits_NC.dtype, torch.float32))


def test_a_loss_computed_in_half_precision_is_caught():
    found = failures(replace(get("cross_entropy"), function=in_half_precision, soft_targets=False))
    assert found.keys() >= {"precision"}


# Two mistakes that were published in collections of losses for noisy labels.


def focal_with_detached_weight(logits_NC, target_N, gamma):
    cross_entropy_N = F.cross_entropy(logits_NC, target_N, reduction="none")
    weight_N = (1 - (-cross_entropy_N).exp()).detach()
    return weight_N**gamma * cross_entropy_N


def test_a_probability_detached_from_the_focal_loss_is_caught():
    # Its values are right: only a gradient by differences tells.
    found = failures(replace(get("focal"), function=focal_with_detached_weight))
    assert "gradient" in found
    assert "differs by" in found["gradient"]


def normalised_reverse_cross_entropy(logits_NC, target_N, *, scale):
    # -sum_k p_k log t_k with log 0 = -4, over its sum for all classes as targets, 4 (C - 1).
    if target_N.ndim != 1:
        raise ValueError("not defined for soft targets")
    logits_NC = logits_NC if logits_NC.dtype == torch.float64 else logits_NC.float()
    true_N = logits_NC.softmax(1).gather(1, target_N.unsqueeze(1)).squeeze(1)
    return scale(logits_NC.shape[1]) * 4 * (1 - true_N)


def nrce(scale):
    def function(logits_NC, target_N):
        return normalised_reverse_cross_entropy(logits_NC, target_N, scale=scale)

    return replace(
        get("mae"),
        name="nrce",
        function=function,
        properties=Properties(convex=False, proper="no", symmetric=True, bound=lambda C: 1 / (C - 1)),
        aliases=(),
    )


def test_a_normalised_loss_scaled_the_wrong_way_is_caught():
    assert failures(nrce(lambda C: 1 / (4 * (C - 1)))) == {}
    found = failures(nrce(lambda C: 1 / 4 * (C - 1)))  # a division was meant
    assert list(found) == ["bound"]
    assert "declared 0.333333, found up to 3" in found["bound"]


@pytest.mark.parametrize(
    ("function", "failing"),
    [
        (lambda z, y: F.cross_entropy(z, y), "shapes and types"),
        (lambda z, y: F.cross_entropy(z, y, reduction="none") + z.mean(), "samples apart"),
        (lambda z, y: F.cross_entropy(z, y, reduction="none") + z[:, 0].exp(), "order of classes"),
        (lambda z, y: -z.exp().div(z.exp().sum(1, keepdim=True)).log()[range(len(y)), y], "extreme logits"),
        (lambda z, y: F.cross_entropy(z, y, reduction="none") * (1 if z[0, 0] > 0 else 2), "devices"),
        (lambda z, y: F.cross_entropy(z, y, reduction="none") * math.sqrt(-1), "gradient"),
    ],
)
def test_a_broken_contract_is_caught(function, failing):
    assert failing in failures(replace(get("cross_entropy"), function=function))
