"""What every loss must do, whatever it computes. A new loss is covered by being in the registry."""

from __future__ import annotations

import itertools
import math

import pytest
import torch
from hypothesis import given
from hypothesis import settings as hypothesis_settings
from hypothesis import strategies as st

from losstune.losses.registry import registry
from tests.losses.cases import batch, distributions, each_default, each_setting, gradient

HALF_PRECISIONS = (torch.bfloat16, torch.float16)


@each_setting
@pytest.mark.parametrize("dtype", [torch.float64, torch.float32, *HALF_PRECISIONS])
def test_one_value_per_sample_in_float32_at_least(loss, dtype):
    logits_NC, target_N = batch(dtype=dtype)
    losses_N = loss(logits_NC, target_N)
    assert losses_N.shape == target_N.shape
    assert losses_N.dtype == (torch.float64 if dtype == torch.float64 else torch.float32)


@each_setting
def test_half_precision_costs_no_more_than_rounding_the_logits(loss):
    logits_NC, target_N = batch(dtype=torch.bfloat16)
    torch.testing.assert_close(
        loss(logits_NC, target_N), loss(logits_NC.double(), target_N).float(), rtol=2e-5, atol=2e-5
    )


@each_setting
def test_gradient_is_that_of_the_value(loss):
    logits_NC, target_N = batch(num_samples=6, num_classes=4)
    assert torch.autograd.gradcheck(
        lambda z: loss(z, target_N), logits_NC.requires_grad_(), atol=1e-6, rtol=1e-4
    )


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
def test_samples_do_not_touch_each_other(loss):
    logits_NC, target_N = batch()
    alone_N = torch.cat([loss(logits_NC[i : i + 1], target_N[i : i + 1]) for i in range(len(target_N))])
    torch.testing.assert_close(loss(logits_NC, target_N), alone_N)
    logits_NC.requires_grad_()
    (gradient_NC,) = torch.autograd.grad(loss(logits_NC, target_N)[3], logits_NC)
    touched_N = gradient_NC.abs().sum(1) > 0
    assert not touched_N[torch.arange(len(target_N)) != 3].any()


@each_setting
def test_classes_have_no_order(loss):
    logits_NC, target_N = batch()
    order_C = torch.tensor([3, 0, 4, 1, 2])
    place_C = order_C.argsort()
    torch.testing.assert_close(loss(logits_NC[:, order_C], place_C[target_N]), loss(logits_NC, target_N))
    torch.testing.assert_close(
        loss.probabilities(logits_NC[:, order_C]), loss.probabilities(logits_NC)[:, order_C]
    )


@each_setting
def test_inputs_are_left_alone(loss):
    logits_NC, target_N = batch()
    logits_before_NC, target_before_N = logits_NC.clone(), target_N.clone()
    loss(logits_NC, target_N)
    loss.probabilities(logits_NC)
    assert torch.equal(logits_NC, logits_before_NC)
    assert torch.equal(target_N, target_before_N)


def _infimum(loss, num_classes):
    """Return the smallest value for class 0 that LBFGS finds from several starts, and at them."""
    one_hot_C = torch.eye(num_classes, dtype=torch.float64)[0]
    starts = [one_hot_C, 5 * one_hot_C - 2, 200 * one_hot_C, 400 * one_hot_C - 200, 200 * one_hot_C - 200]
    best = math.inf
    for start_C in starts:
        z_NC = start_C.clone().unsqueeze(0).requires_grad_()
        optimizer = torch.optim.LBFGS(
            [z_NC], max_iter=200, tolerance_grad=1e-12, line_search_fn="strong_wolfe"
        )

        def closure(z_NC=z_NC, optimizer=optimizer):
            optimizer.zero_grad()
            value = loss(z_NC, torch.tensor([0])).sum()
            value.backward()
            return value

        best = min(best, closure().item())
        optimizer.step(closure)
        value = closure().item()
        best = min(best, value) if math.isfinite(value) else best
    return best


@each_setting
@pytest.mark.parametrize("num_classes", [2, 7])
def test_minimum(loss, num_classes):
    declared = loss.spec.properties.minimum
    minimum = declared(num_classes, **loss.hyperparameters) if declared else 0.0
    # Bounded losses reach their minimum; the heavy tails of bi_tempered and the slow links come close at +-200.
    tolerance = 0.05 if loss.spec.name == "bi_tempered" else 1e-5
    assert minimum - 1e-6 <= _infimum(loss, num_classes) <= minimum + tolerance
    for scale in (0.1, 1, 10, 100):
        logits_NC, target_N = batch(256, num_classes, scale=scale)
        assert loss(logits_NC, target_N).min() >= minimum - 1e-9


def _extreme_logits(loss, dtype):
    rows = list(itertools.product([-200.0, -1e-4, 0.0, 200.0], repeat=3))
    if loss.spec.name == "logit_norm" and dtype == torch.float16:
        # At 0 the gradient is 1e7 / tau by definition, and 1e-4 from it 1e4 / tau: no finite float16.
        rows = [row for row in rows if any(abs(value) == 200 for value in row)]
    if loss.hyperparameters.get("power") == 3 and dtype == torch.float16:
        # 3 (1 + 200)^2 by definition: no finite float16 either.
        rows = [[value / 4 for value in row] for row in rows]
    return torch.tensor(rows, dtype=dtype)


@each_setting
@pytest.mark.parametrize("dtype", [torch.float64, torch.float32, *HALF_PRECISIONS])
def test_extreme_logits_give_finite_values_gradients_and_probabilities(loss, dtype):
    logits_NC = _extreme_logits(loss, dtype)
    for label in range(3):
        target_N = torch.full((len(logits_NC),), label)
        assert loss(logits_NC, target_N).isfinite().all()
        assert gradient(loss, logits_NC, target_N).isfinite().all()
    _assert_distribution(loss.probabilities(logits_NC))


@each_setting
def test_safe_inside_bfloat16_autocast(loss):
    torch.manual_seed(0)
    head = torch.nn.Linear(4, 3)
    features_NF = 100 * torch.randn(32, 4)
    target_N = torch.randint(3, (32,))
    with torch.autocast("cpu", dtype=torch.bfloat16):
        logits_NC = head(features_NF)
        losses_N = loss(logits_NC, target_N)
        probabilities_NC = loss.probabilities(logits_NC)
    assert logits_NC.dtype == torch.bfloat16
    assert losses_N.dtype == torch.float32
    torch.testing.assert_close(losses_N, loss(logits_NC.float(), target_N))
    losses_N.mean().backward()
    assert head.weight.grad.isfinite().all()
    _assert_distribution(probabilities_NC)


def _assert_distribution(probabilities_NC):
    assert probabilities_NC.dtype in (torch.float32, torch.float64)
    assert (probabilities_NC >= 0).all()
    torch.testing.assert_close(
        probabilities_NC.sum(1), torch.ones_like(probabilities_NC[:, 0]), rtol=0, atol=1e-5
    )


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
        losses_N.double(),
        loss(logits_NC.double(), target_N),
        rtol=1e-3,
        atol=1e-3 * max(1.0, losses_N.max().item()),
    )


@each_setting
def test_soft_targets_are_taken_or_refused(loss):
    logits_NC, target_N = batch()
    one_hot_NC = torch.nn.functional.one_hot(target_N, 5).double()
    if not loss.spec.soft_targets:
        with pytest.raises(ValueError, match=r"shape \(N,\), found shape \(16, 5\).*soft targets"):
            loss(logits_NC, one_hot_NC)
        return
    torch.testing.assert_close(loss(logits_NC, one_hot_NC), loss(logits_NC, target_N))
    torch.testing.assert_close(gradient(loss, logits_NC, one_hot_NC), gradient(loss, logits_NC, target_N))
    soft_NC = distributions()
    assert torch.autograd.gradcheck(
        lambda z: loss(z, soft_NC), logits_NC.requires_grad_(), atol=1e-6, rtol=1e-4
    )
    single_N = loss(logits_NC.float(), soft_NC)
    assert single_N.dtype == torch.float32
    torch.testing.assert_close(single_N.double(), loss(logits_NC, soft_NC), rtol=1e-4, atol=1e-4)


@each_setting
@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16])
def test_extreme_logits_with_soft_targets(loss, dtype):
    if not loss.spec.soft_targets:
        return
    logits_NC = _extreme_logits(loss, dtype)
    for row in ([1.0, 0.0, 0.0], [0.5, 0.5, 0.0], [0.2, 0.3, 0.5]):
        soft_NC = torch.tensor(row).expand(len(logits_NC), 3)
        assert loss(logits_NC, soft_NC).isfinite().all()
        assert gradient(loss, logits_NC, soft_NC).isfinite().all()


@each_setting
def test_vectorised_over_seeds_as_one_by_one(loss):
    pairs = [batch(seed=seed, dtype=torch.float32) for seed in range(3)]
    logits_SNC = torch.stack([logits_NC for logits_NC, _ in pairs])
    target_SN = torch.stack([target_N for _, target_N in pairs])
    value_and_gradient = torch.func.grad_and_value(lambda z, y: loss(z, y).sum())
    gradients_SNC, values_S = torch.func.vmap(value_and_gradient)(logits_SNC, target_SN)
    for seed, (logits_NC, target_N) in enumerate(pairs):
        torch.testing.assert_close(values_S[seed], loss(logits_NC, target_N).sum())
        torch.testing.assert_close(gradients_SNC[seed], gradient(loss, logits_NC, target_N))
    probabilities_SNC = torch.func.vmap(loss.probabilities)(logits_SNC)
    torch.testing.assert_close(probabilities_SNC[2], loss.probabilities(pairs[2][0]))


@each_setting
def test_never_waits_for_a_device(loss):
    # Tensors without contents: whatever needs a value on the host fails.
    logits_NC = torch.empty(8, 5, device="meta", requires_grad=True)
    target_N = torch.empty(8, dtype=torch.int64, device="meta")
    loss(logits_NC, target_N).mean().backward()
    loss.probabilities(logits_NC)
    if loss.spec.soft_targets:
        loss(logits_NC, torch.empty(8, 5, device="meta")).mean().backward()


@each_default
def test_compiles_in_one_piece(loss):
    # All losses pass through one lambda, whose recompilations are limited.
    torch.compiler.reset()
    logits_NC, target_N = batch(dtype=torch.float32)
    compiled = torch.compile(lambda z, y: loss(z, y), backend="aot_eager", fullgraph=True)
    torch.testing.assert_close(compiled(logits_NC, target_N), loss(logits_NC, target_N))
    torch.testing.assert_close(gradient(compiled, logits_NC, target_N), gradient(loss, logits_NC, target_N))


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
