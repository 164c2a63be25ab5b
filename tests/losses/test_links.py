"""A link that is exact or a recovery returns the posterior from the outputs that minimise the risk."""

from __future__ import annotations

import inspect

import pytest
import torch

from losstune.losses.registry import registry
from tests.losses.cases import distributions, each_spec

# Beside the defaults, which every loss is tested at.
FURTHER_SETTINGS = {
    "confidence_penalty": [{"b": 0.0}, {"b": 0.3}],
    "logit_penalty": [{"b": 0.01}],
    "sce": [{"alpha": 1.0, "beta": 0.1}, {"alpha": 1.0, "beta": 1.0}],
    "ovr_hinge": [{"power": 3}],
    "label_smoothing": [{"eps": 0.0}, {"eps": 0.3}],
    "logit_norm": [{"tau": 0.2}],
    "focal": [{"gamma": 0.0}, {"gamma": 0.5}, {"gamma": 5.0}],
    "poly1": [{"eps": -1.0}, {"eps": 6.0}],
    "gce": [{"q": 0.0}, {"q": 0.3}],
    "js": [{"pi": 0.05}, {"pi": 0.3}],
    "tsallis_score": [{"beta": 0.05}, {"beta": 2.0}],
    "spherical": [{"alpha": 1.1}, {"alpha": 3.0}],
    "z_loss": [{"lam": 0.0}, {"lam": 0.01}],
    "bi_tempered": [{"t1": 0.5, "t2": 1.6}, {"t1": 1.0, "t2": 1.0}],
    "entmax": [{"alpha": 1.05}, {"alpha": 2.0}, {"alpha": 2.5}],
    "square": [{"k": 15.0, "M": 30.0}, {"k": 50.0, "M": 2.0}],
}


def _link_paragraph(spec):
    return inspect.getmodule(spec.function).__doc__.split("Link:", 1)[1]


def _is_convention(spec):
    return ", a convention" in _link_paragraph(spec)


RECOVERABLE = [
    spec.bind(hyperparameters)
    for spec in registry().values()
    if not _is_convention(spec)
    for hyperparameters in ({}, *FURTHER_SETTINGS.get(spec.name, []))
]


def minimise_risk(loss, eta_NC):
    """Return the outputs (N, C) with the smallest expected loss under each posterior, by LBFGS in float64."""
    generator = torch.Generator().manual_seed(7)
    z_NC = 0.3 * torch.randn(eta_NC.shape, generator=generator, dtype=torch.float64)
    z_NC.requires_grad_()
    optimizer = torch.optim.LBFGS(
        [z_NC],
        max_iter=3000,
        max_eval=5000,
        history_size=50,
        tolerance_grad=1e-10,
        tolerance_change=0,
        line_search_fn="strong_wolfe",
    )
    num_samples, num_classes = eta_NC.shape

    def closure():
        optimizer.zero_grad()
        risks = [loss(z_NC, torch.full((num_samples,), k)) @ eta_NC[:, k] for k in range(num_classes)]
        risk = sum(risks)
        risk.backward()
        return risk

    optimizer.step(closure)
    return z_NC.detach()


@pytest.mark.parametrize("loss", RECOVERABLE, ids=repr)
@pytest.mark.parametrize("num_classes", [2, 4])
def test_recovers_the_posterior_that_was_learnt(loss, num_classes):
    eta_NC = distributions(6, num_classes, concentration=4.0)
    torch.testing.assert_close(loss.probabilities(minimise_risk(loss, eta_NC)), eta_NC, rtol=1e-3, atol=1e-4)


def test_softmax_is_not_what_makes_these_pass():
    # gce at q = 0.7 pulls its outputs far beyond the posterior: read as softmax they are far off.
    eta_NC = distributions(6, 4, concentration=4.0)
    z_NC = minimise_risk(registry()["gce"].bind(), eta_NC)
    assert (z_NC.softmax(1) - eta_NC).abs().max() > 0.2


def test_apl_is_minimal_at_a_corner_whatever_the_posterior():
    # Why its link is a convention: 60% against 40% is learnt as if it were certain.
    loss = registry()["apl"].bind()
    eta_NC = torch.tensor([[0.6, 0.4]], dtype=torch.float64)
    assert minimise_risk(loss, eta_NC).softmax(1)[0, 0] > 0.99


def test_phuber_ce_recovers_what_lies_above_its_threshold():
    # Why its link is a convention all the same: below, the pull is constant and the rarest class is given up.
    eta_NC = torch.tensor([[0.5, 0.3, 0.2]], dtype=torch.float64)
    above = minimise_risk(registry()["phuber_ce"].bind({"tau": 20.0}), eta_NC).softmax(1)
    torch.testing.assert_close(above, eta_NC, rtol=1e-3, atol=1e-4)
    below = minimise_risk(registry()["phuber_ce"].bind({"tau": 2.0}), eta_NC).softmax(1)
    assert below[0, 2] < 0.01


@each_spec
def test_documentation_says_what_the_link_is(spec):
    assert any(kind in _link_paragraph(spec) for kind in ("exact", ", a recovery", ", a convention"))
