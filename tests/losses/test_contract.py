"""What every loss must do beyond the contract suite of :mod:`losstune.losses.tools`."""

from __future__ import annotations

import math

import pytest
import torch
from hypothesis import given
from hypothesis import settings as hypothesis_settings
from hypothesis import strategies as st

from losstune.losses.registry import registry
from losstune.losses.tools.measure import infimum
from tests.losses.cases import batch, each_setting, gradient


@each_setting
def test_float32_gradient_agrees_with_float64(loss):
    for num_classes in (2, 10, 100):
        logits_NC, target_N = batch(64, num_classes, scale=3.0)
        exact_NC = gradient(loss, logits_NC, target_N)
        scale = exact_NC.abs().max().item()
        torch.testing.assert_close(
            gradient(loss, logits_NC.float(), target_N).double(), exact_NC, rtol=1e-3, atol=2e-5 * scale
        )


@each_setting
@pytest.mark.parametrize("num_classes", [2, 7])
def test_minimum(loss, num_classes):
    declared = loss.spec.properties.minimum
    minimum = declared(num_classes, **loss.hyperparameters) if declared else 0.0
    # Bounded losses reach their minimum; the heavy tails of bi_tempered and the slow links come close at +-200.
    tolerance = 0.05 if loss.spec.name == "bi_tempered" else 1e-5
    assert minimum - 1e-6 <= infimum(loss, num_classes) <= minimum + tolerance
    for scale in (0.1, 1, 10, 100):
        logits_NC, target_N = batch(256, num_classes, scale=scale)
        assert loss(logits_NC, target_N).min() >= minimum - 1e-9


def _assert_distribution(probabilities_NC):
    assert probabilities_NC.dtype in (torch.float32, torch.float64)
    assert (probabilities_NC >= 0).all()
    torch.testing.assert_close(probabilities_NC.sum(1), torch.ones_like(probabilities_NC[:, 0]), rtol=0, atol=1e-5)


@given(data=st.data())
@hypothesis_settings(max_examples=150, deadline=None)
def test_any_logits_and_any_hyperparameters_of_the_range(data):
    spec = data.draw(st.sampled_from(list(registry().values())))
    units = {h.name: data.draw(st.floats(0, 1), label=h.name) for h in spec.hyperparameters}
    loss = spec.bind({h.name: h.range.from_unit(units[h.name]) for h in spec.hyperparameters})
    row = st.lists(st.floats(-200, 200, width=32), min_size=4, max_size=4)
    logits_NC = torch.tensor(data.draw(st.lists(row, min_size=1, max_size=3)), dtype=torch.float32)
    target_N = torch.tensor([data.draw(st.integers(0, 3)) for _ in logits_NC])
    losses_N = loss(logits_NC, target_N)
    assert losses_N.isfinite().all()
    declared = spec.properties.minimum
    minimum = declared(4, **loss.hyperparameters) if declared else 0.0
    assert (losses_N >= minimum - 1e-4).all()
    assert gradient(loss, logits_NC, target_N).isfinite().all()
    _assert_distribution(loss.probabilities(logits_NC))
    torch.testing.assert_close(
        losses_N.double(), loss(logits_NC.double(), target_N), rtol=1e-3, atol=1e-3 * max(1.0, losses_N.max().item())
    )


# The pull on the true logit at z = 0 as a multiple of cross-entropy's, by hand: phi'(1/C) (C-1)/C^2 for a function
# of p_y. It sets the scale of the learning rate that a loss needs.
PULLS = {
    ("cross_entropy", ()): lambda C: 1,
    ("kl_divergence", ()): lambda C: 1,
    ("label_smoothing", (("eps", 0.1),)): lambda C: 0.9,
    ("logit_norm", (("tau", 0.04),)): lambda C: 1 / (0.04 * 1e-7),
    ("sigmoid_bce", ()): lambda C: 0.5 / (1 - 1 / C),
    ("focal", (("gamma", 2.0),)): lambda C: (1 - 1 / C) ** 2 + 2 * (1 - 1 / C) * math.log(C) / C,
    ("poly1", (("eps", 1.0),)): lambda C: 1 + 1 / C,
    ("gce", (("q", 0.7),)): lambda C: C**-0.7,
    ("apl", (("alpha", 1.0), ("beta", 1.0))): lambda C: 1 / (C * math.log(C)) + 1 / C,
    ("js", (("pi", 0.5),)): lambda C: 0.5 * math.log1p(C) / C / (0.5 * math.log(2)),
    ("tsallis_score", (("beta", 0.5),)): lambda C: 1.5 * C**-0.5,
    ("bi_tempered", (("t1", 0.8), ("t2", 1.2))): lambda C: C**-0.4,
    ("entmax", (("alpha", 1.5),)): lambda C: 1,
    ("square", (("k", 1.0), ("M", 1.0))): lambda C: 2 / C / (1 - 1 / C),
    ("squentropy", ()): lambda C: 1,
    ("brier", ()): lambda C: 2 / C,
    ("spherical", (("alpha", 2.0),)): lambda C: C**-0.5,
    ("taylor_ce", (("order", 2),)): lambda C: (2 - 1 / C) / C,
    ("phuber_ce", (("tau", 50.0),)): lambda C: min(1, 50 / C),
    ("nce", ()): lambda C: 1 / (C * math.log(C)),
    ("z_loss", (("lam", 0.01),)): lambda C: 1 - 0.02 * math.log(C) / (C - 1),
}
CATALOGUE_AT_10_AND_100 = {
    "label_smoothing": (0.9, 0.9),
    "sigmoid_bce": (0.56, 0.51),
    "focal": (1.22, 1.07),
    "apl": (0.14, 0.01),
    "js": (0.35, 0.07),
    "tsallis_score": (0.47, 0.15),
    "bi_tempered": (0.40, 0.16),
    "square": (0.22, 0.02),
    "spherical": (0.32, 0.10),
    "taylor_ce": (0.19, 0.02),
    "nce": (0.04, 0.00),
}


@pytest.mark.parametrize("num_classes", [10, 100])
@pytest.mark.parametrize(("key", "pull"), list(PULLS.items()), ids=[name for name, _ in PULLS])
def test_gradient_scale_at_zero_logits(key, pull, num_classes):
    name, hyperparameters = key
    loss = registry()[name].bind(dict(hyperparameters))
    gradient_NC = gradient(loss, torch.zeros(1, num_classes, dtype=torch.float64), torch.tensor([3]))
    relative = -gradient_NC[0, 3].item() / (1 - 1 / num_classes)
    assert relative == pytest.approx(pull(num_classes), rel=1e-6)
    if name in CATALOGUE_AT_10_AND_100:
        assert round(relative, 2) == CATALOGUE_AT_10_AND_100[name][num_classes == 100]
