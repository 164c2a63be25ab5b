"""The suite passes the catalogue, and fails what is wrong: in a formula, or in what is claimed of it."""

from __future__ import annotations

import math
from dataclasses import replace

import pytest
import torch
import torch.nn.functional as F

from losstune.losses.registry import get
from losstune.losses.spec import Properties
from losstune.testing.suite import check
from tests.losses.cases import each_spec


def failures(spec):
    return {finding.check: finding.message for finding in check(spec) if not finding.passed}


@each_spec
def test_every_loss_of_the_catalogue_passes(spec):
    assert failures(spec) == {}


def claiming(name, **changes):
    spec = get(name)
    return replace(spec, properties=replace(spec.properties, **changes))


@pytest.mark.parametrize(
    ("spec", "failing", "evidence"),
    [
        (
            claiming("cross_entropy", convex=False),
            "convexity",
            "declared not convex: no midpoint above its chord",
        ),
        (claiming("focal", convex=True), "convexity", "above the chord between"),
        (claiming("gce", bound=1.0), "bound", "declared 1, found up to 1.42"),
        (claiming("gce", bound=2.0), "bound", "declared 2, found up to 1.42"),
        (claiming("gce", bound=None), "bound", "declared unbounded"),
        (claiming("cross_entropy", bound=10.0), "bound", "declared 10"),
        (claiming("gce", symmetric=True), "symmetry", "the sum over the classes varies"),
        (claiming("nce", symmetric=False), "symmetry", "declared not symmetric"),
        (claiming("square", shift_invariant=True), "shift", "a shift changes the loss"),
        (claiming("focal", shift_invariant=False), "shift", "declared not shift-invariant"),
        (claiming("mae", proper="strictly"), "properness", "comes back as"),
        (claiming("brier", proper="no"), "properness", "declared not to give the posterior back"),
        (claiming("label_smoothing", minimum=None), "minimum", "declared 0, found 0.34"),
        (claiming("brier", minimum=lambda num_classes: -1.0), "minimum", "declared -1, found"),
    ],
    ids=lambda part: part if isinstance(part, str) and " " not in part else "",
)
def test_a_wrong_claim_fails_and_is_told(spec, failing, evidence):
    found = failures(spec)
    assert list(found) == [failing]
    assert evidence in found[failing]


def test_a_wrong_link_fails():
    spec = replace(get("gce"), link=lambda logits_NC, q: logits_NC.softmax(1))
    assert list(failures(spec)) == ["properness"]


# Two mistakes that were published in collections of losses for noisy labels.


def focal_with_detached_weight(logits_NC, target_N, gamma):
    cross_entropy_N = F.cross_entropy(logits_NC, target_N, reduction="none")
    weight_N = (1 - (-cross_entropy_N).exp()).detach()
    return weight_N**gamma * cross_entropy_N


def test_a_probability_detached_from_the_focal_loss_is_caught():
    # Its values are right: only a gradient by differences tells.
    found = failures(replace(get("focal"), function=focal_with_detached_weight))
    assert "gradient" in found
    assert "off by" in found["gradient"]


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
