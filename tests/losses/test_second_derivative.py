"""Second derivatives of the losses whose gradient is written by hand, against differences of that gradient."""

from __future__ import annotations

import pytest
import torch
from torch.autograd import forward_ad

from losstune.losses import get
from tests.losses.cases import batch, gradient

LOSSES = [
    get("entmax"),
    get("entmax", alpha=2.5),
    get("bi_tempered"),
    get("bi_tempered", t1=0.5, t2=1.0),
    get("fdiv_fy").with_counts([50, 40, 30, 20, 10]),
    get("fdiv_fy", alpha=0.5).with_counts([50, 40, 30, 20, 10]),
    get("fdiv_fy", alpha=1.0).with_counts([50, 40, 30, 20, 10]),
]
STEP = 1e-5
each_loss = pytest.mark.parametrize("loss", LOSSES, ids=repr)


@pytest.fixture
def one():
    logits_NC, target_N = batch(1, 5)
    return logits_NC, target_N


def differences(loss, logits_NC, target_N):
    """Return the Hessian (C, C) of a single sample's loss."""
    rows = [
        (gradient(loss, logits_NC + move_C, target_N) - gradient(loss, logits_NC - move_C, target_N)) / (2 * STEP)
        for move_C in STEP * torch.eye(5, dtype=torch.float64)
    ]
    return torch.cat(rows)


@each_loss
@pytest.mark.parametrize(
    "hessian",
    [
        torch.autograd.functional.hessian,
        lambda f, z: torch.autograd.functional.hessian(f, z, vectorize=True),
        lambda f, z: torch.autograd.functional.hessian(f, z, vectorize=True, outer_jacobian_strategy="forward-mode"),
        lambda f, z: torch.func.hessian(f)(z),
        lambda f, z: torch.func.jacrev(torch.func.jacrev(f))(z),
        lambda f, z: torch.func.jacfwd(torch.func.jacfwd(f))(z),
        lambda f, z: torch.func.jacrev(torch.func.jacfwd(f))(z),
        lambda f, z: torch.func.vmap(torch.func.hessian(f))(z.unsqueeze(0))[0],
    ],
    ids=["functional", "vectorised", "forward", "func", "rev-rev", "fwd-fwd", "rev-fwd", "vmap"],
)
def test_hessian(loss, one, hessian):
    logits_NC, target_N = one
    found = hessian(lambda z_NC: loss(z_NC, target_N).sum(), logits_NC)
    torch.testing.assert_close(found.reshape(5, 5), differences(loss, *one), rtol=1e-5, atol=1e-7)


@each_loss
def test_gradient_penalty(loss, one):
    logits_NC, target_N = one
    logits_NC = logits_NC.clone().requires_grad_()
    losses_N = loss(logits_NC, target_N)
    (gradient_NC,) = torch.autograd.grad(losses_N.sum(), logits_NC, create_graph=True)
    (losses_N.sum() + gradient_NC.square().sum()).backward()
    hessian_CC = differences(loss, logits_NC.detach(), target_N)
    wanted_NC = gradient_NC + 2 * gradient_NC @ hessian_CC
    torch.testing.assert_close(logits_NC.grad, wanted_NC.detach(), rtol=1e-5, atol=1e-7)


@each_loss
def test_products_and_forward_mode(loss, one):
    logits_NC, target_N = one
    vector_NC = logits_NC.cos()

    def risk(z_NC):
        return loss(z_NC, target_N).sum()

    slope = (gradient(loss, *one) * vector_NC).sum()
    torch.testing.assert_close(torch.func.jvp(risk, (logits_NC,), (vector_NC,))[1], slope)
    with forward_ad.dual_level():
        dual = forward_ad.unpack_dual(risk(forward_ad.make_dual(logits_NC, vector_NC)))
    torch.testing.assert_close(dual.tangent, slope)
    wanted_NC = vector_NC @ differences(loss, *one)
    for product in (torch.autograd.functional.hvp, torch.autograd.functional.vhp):
        torch.testing.assert_close(product(risk, logits_NC, vector_NC)[1], wanted_NC, rtol=1e-5, atol=1e-7)


@each_loss
def test_every_derivative_at_once(loss, one):
    logits_NC, target_N = one
    assert torch.autograd.gradgradcheck(
        lambda z_NC: loss(z_NC, target_N), logits_NC.clone().requires_grad_(), check_fwd_over_rev=True, atol=1e-4
    )


@each_loss
def test_the_link_can_be_differentiated(loss, one):
    logits_NC, _ = one
    assert torch.autograd.gradcheck(loss.probabilities, logits_NC.clone().requires_grad_(), atol=1e-4)
    with torch.no_grad():
        assert torch.equal(loss.probabilities(logits_NC), loss.probabilities(logits_NC.clone().requires_grad_()))


def test_a_masked_class_has_no_second_derivative_either(one):
    logits_NC, target_N = one
    logits_NC[0, (int(target_N[0]) + 1) % 5] = -torch.inf
    for loss in LOSSES:
        found = torch.autograd.functional.hessian(lambda z_NC, loss=loss: loss(z_NC, target_N).sum(), logits_NC)
        assert found.isfinite().all()
