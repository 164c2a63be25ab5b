"""Losses against their formulas written out in plain Python, sample by sample, or against another library."""

from __future__ import annotations

import math

import numpy as np
import pytest
import torch
import torch.nn.functional as F
from scipy.optimize import minimize_scalar
from sklearn.metrics import hinge_loss

from losstune.losses import get
from losstune.losses.registry import aliases, registry
from losstune.losses.scale import gradient_scale
from tests.losses.cases import batch, distributions, gradient
from tests.losses.oracles import one_hot, signed, softmax

# |dL/dz_y| at z = 0 relative to cross-entropy's 1 - 1/C, by hand.
PULLS = {
    "maxsup": lambda C: 1.0,  # at a tie of all, where the largest pulls on each by 1/C, and so does the mean
    "fdiv_fy": lambda C: 1.0,
    # tanh(p - t) p (delta - p) summed: tanh(1/C) (C-1)/C^2 + tanh(1 - 1/C) (C-1)/C^2, over 1 - 1/C.
    "log_cosh": lambda C: (math.tanh(1 / C) + math.tanh(1 - 1 / C)) / C,
    "confidence_penalty": lambda C: 1.0,
    "logit_penalty": lambda C: 1.0,
    "mae": lambda C: 1 / C,
    "sce": lambda C: 0.1 + 4 / C,
    "agce": lambda C: (0.6 + 1 / C) ** -0.4 / C,
    "exponential": lambda C: C,
    "squared_log": lambda C: 2 * math.log(C),
    "keras_kl_divergence": lambda C: 1.0,
    "crammer_singer": lambda C: 1 / (1 - 1 / C),
    "weston_watkins": lambda C: C,
    "ovr_hinge": lambda C: 2 / (1 - 1 / C),
    "absolute": lambda C: 1 / (1 - 1 / C),
}


@pytest.mark.parametrize("num_classes", [10, 100])
@pytest.mark.parametrize("name", list(PULLS))
def test_gradient_scale_by_hand(name, num_classes):
    assert gradient_scale(get(name), num_classes) == pytest.approx(PULLS[name](num_classes), rel=1e-5)


def test_maxsup_is_label_smoothing_where_the_prediction_is_right():
    logits_NC, target_N = batch(200)
    right_N = logits_NC.argmax(1) == target_N
    smoothed_N = F.cross_entropy(logits_NC, target_N, reduction="none", label_smoothing=0.2)
    found_N = get("maxsup", a=0.2)(logits_NC, target_N)
    torch.testing.assert_close(found_N[right_N], smoothed_N[right_N])
    assert (found_N[~right_N] > smoothed_N[~right_N] + 1e-3).all()


@pytest.mark.parametrize(
    ("name", "given"), [("maxsup", {"a": 0.0}), ("confidence_penalty", {"b": 0.0}), ("logit_penalty", {"b": 0.0})]
)
def test_without_its_penalty_it_is_cross_entropy(name, given):
    logits_NC, target_N = batch()
    torch.testing.assert_close(
        get(name, **given)(logits_NC, target_N), F.cross_entropy(logits_NC, target_N, reduction="none")
    )


@pytest.mark.parametrize(("name", "given"), [("confidence_penalty", {"b": 0.3}), ("logit_penalty", {"b": 6e-4})])
@pytest.mark.parametrize("num_classes", [2, 10])
def test_minimum_is_what_scipy_finds_along_the_symmetric_line(name, given, num_classes):
    loss = get(name, **given)

    def value(x):
        centred = [-x / num_classes] * num_classes
        centred[0] += x
        return loss(torch.tensor([centred], dtype=torch.float64), torch.tensor([0])).item()

    found = minimize_scalar(value, bounds=(0, 60), method="bounded", options={"xatol": 1e-10}).fun
    assert loss.spec.properties.minimum(num_classes, **given) == pytest.approx(found, abs=1e-9)


def test_exponential_goes_on_linearly_where_it_would_overflow():
    loss = get("exponential")
    z_NC = torch.tensor([[0.0, 9.0], [0.0, 12.0], [0.0, 13.0], [0.0, 14.0]], dtype=torch.float64)
    values = loss(z_NC, torch.zeros(4, dtype=torch.int64))
    assert values[0].item() == pytest.approx(math.exp(9))
    assert (values[3] - values[2]).item() == pytest.approx((values[2] - values[1]).item(), rel=1e-4)
    assert gradient(loss, z_NC[3:], torch.tensor([0]))[0, 1].item() == pytest.approx(math.exp(10), rel=1e-4)


def test_keras_divergence_gives_up_what_is_surely_wrong():
    z_NC = torch.tensor([[0.0, 20.0, 0.0]], dtype=torch.float64)
    target_N = torch.tensor([0])
    assert get("keras_kl_divergence")(z_NC, target_N).item() == pytest.approx(16.118, abs=1e-3)
    assert gradient(get("keras_kl_divergence"), z_NC, target_N).abs().max() < 1e-6
    assert gradient(get("cross_entropy"), z_NC, target_N)[0, 0].item() == pytest.approx(-1, abs=1e-6)


def test_hinges_are_those_of_other_libraries():
    logits_NC, target_N = batch(64)
    assert get("crammer_singer")(logits_NC, target_N).mean().item() == pytest.approx(
        hinge_loss(target_N.numpy(), logits_NC.numpy(), labels=np.arange(5))
    )
    for power in (1, 2):
        torch.testing.assert_close(
            get("weston_watkins", power=power, margin=2.0)(logits_NC, target_N) / 5,
            F.multi_margin_loss(logits_NC, target_N, p=power, margin=2.0, reduction="none"),
        )


def test_symmetric_cross_entropy_is_a_scaled_poly1():
    logits_NC, target_N = batch()
    torch.testing.assert_close(
        get("sce", alpha=2.0, beta=1.5)(logits_NC, target_N), 2 * get("poly1", eps=3.0)(logits_NC, target_N)
    )


def test_agce_becomes_gce():
    logits_NC, target_N = batch()
    torch.testing.assert_close(get("agce", a=1e-12, q=0.7)(logits_NC, target_N), get("gce", q=0.7)(logits_NC, target_N))


def test_squared_hinge_gives_back_the_posterior():
    eta_NC = distributions()
    torch.testing.assert_close(get("ovr_hinge").probabilities(2 * eta_NC - 1), eta_NC)


def fenchel_young_sparsemax(z, y):
    # max over the simplex of <p, z> - |p|^2 / 2, by the support's size, plus 1/2 - z_y.
    ordered = sorted(z, reverse=True)
    size = max(k for k in range(1, len(z) + 1) if 1 + k * ordered[k - 1] > sum(ordered[:k]))
    threshold = (sum(ordered[:size]) - 1) / size
    p = [max(0.0, value - threshold) for value in z]
    return sum(a * b for a, b in zip(p, z, strict=True)) - sum(a * a for a in p) / 2 + 0.5 - z[y]


def cosine(p, y):
    return p[y] / math.sqrt(sum(value**2 for value in p))


def huber(p, y):
    return sum((a - b) ** 2 / 2 for a, b in zip(p, one_hot(y, len(p)), strict=True))


# The other name's own formula of logits and class, and what the registry says it is of ours.
ALIASES = {
    "total_variation": (lambda z, y: sum(map(abs, np.subtract(softmax(z), one_hot(y, len(z))))) / 2, lambda L: L),
    "l1_softmax": (lambda z, y: sum(map(abs, np.subtract(softmax(z), one_hot(y, len(z))))), lambda L: 2 * L),
    "linf_softmax": (lambda z, y: max(map(abs, np.subtract(softmax(z), one_hot(y, len(z))))), lambda L: L),
    "l2_softmax": (lambda z, y: sum(np.subtract(softmax(z), one_hot(y, len(z))) ** 2), lambda L: L),
    "l2": (lambda z, y: sum(np.subtract(z, one_hot(y, len(z))) ** 2), lambda L: 5 * L),
    "keras_huber": (lambda z, y: huber(softmax(z), y), lambda L: L / 2),
    "keras_cosine_similarity": (lambda z, y: -cosine(softmax(z), y), lambda L: L - 1),
    "keras_poisson": (
        lambda z, y: (
            sum(np.subtract(softmax(z), [t * math.log(p) for t, p in zip(one_hot(y, 5), softmax(z), strict=True)])) / 5
        ),
        lambda L: (L + 1) / 5,
    ),
    "keras_hinge": (lambda z, y: sum(max(0.0, 1 - value) for value in signed(z, y)) / 5, lambda L: L / 5),
    "keras_log_cosh": (
        lambda z, y: sum(math.log(math.cosh(p - t)) for p, t in zip(softmax(z), one_hot(y, len(z)), strict=True)) / 5,
        lambda L: L / 5,
    ),
    "keras_squared_hinge": (lambda z, y: sum(max(0.0, 1 - value) ** 2 for value in signed(z, y)) / 5, lambda L: L / 5),
    "renyi": (
        # D_a(t|p) = log(sum t^a p^(1-a)) / (a - 1) at a = 3.
        lambda z, y: math.log(softmax(z)[y] ** (1 - 3.0)) / (3.0 - 1),
        lambda L: L,
    ),
    "hellinger": (lambda z, y: sum(np.subtract(np.sqrt(softmax(z)), np.sqrt(one_hot(y, 5))) ** 2) / 2, lambda L: L / 2),
    "pearson_chi2": (
        lambda z, y: sum((t - p) ** 2 / p for t, p in zip(one_hot(y, 5), softmax(z), strict=True)),
        lambda L: L,
    ),
    "ovr_squared_hinge": (lambda z, y: sum(max(0.0, 1 - v) ** 2 for v in signed(z, y)), lambda L: L),
    "ovr_cubed_hinge": (lambda z, y: sum(max(0.0, 1 - v) ** 3 for v in signed(z, y)), lambda L: L),
    "sparsemax": (fenchel_young_sparsemax, lambda L: L),
}
TESTED_ELSEWHERE = {
    "balanced_softmax",  # with class counts, in test_class_prior
    "cauchy_schwarz",  # at another temperature, below
}


def test_every_alias_is_proved():
    assert set(aliases()) == set(ALIASES) | TESTED_ELSEWHERE


@pytest.mark.parametrize("name", list(ALIASES))
def test_alias_is_what_its_relation_says(name):
    spec, alias = aliases()[name]
    formula, relation = ALIASES[name]
    logits_NC, target_N = batch(32, 5, scale=1.0)
    expected = [formula(z, y) for z, y in zip(logits_NC.tolist(), target_N.tolist(), strict=True)]
    ours = spec.bind(alias.hyperparameters)(logits_NC, target_N)
    assert relation(ours).tolist() == pytest.approx(expected, rel=1e-9, abs=1e-9)


def test_cauchy_schwarz_is_cross_entropy_at_half_the_temperature():
    logits_NC, target_N = batch(32, 5)
    expected = [-math.log(cosine(softmax(z), y)) for z, y in zip(logits_NC.tolist(), target_N.tolist(), strict=True)]
    found_N = get("cross_entropy")(2 * logits_NC, target_N) / 2
    assert found_N.tolist() == pytest.approx(expected, rel=1e-9)


def test_the_catalogue_holds_what_the_literature_compared():
    names = set(registry()) | set(aliases())
    janocha = {
        *("absolute", "l2", "l1_softmax", "l2_softmax", "linf_softmax", "ovr_hinge", "ovr_squared_hinge"),
        *("ovr_cubed_hinge", "cross_entropy", "squared_log", "tanimoto", "cauchy_schwarz"),
    }
    kornblith = {
        *("cross_entropy", "label_smoothing", "logit_penalty", "logit_norm", "cosine_softmax"),
        *("sigmoid_bce", "square", "dropout", "final_layer_l2"),
    }
    assert len(kornblith) == 9
    assert len(janocha) == 12
    keras = {
        *("cross_entropy", "keras_kl_divergence", "keras_poisson", "keras_cosine_similarity", "keras_huber"),
        *("keras_log_cosh", "keras_hinge", "keras_squared_hinge"),
    }
    assert names >= janocha | kornblith | keras
