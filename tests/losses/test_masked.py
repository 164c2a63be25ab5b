"""Classes masked by a logit of minus infinity, against the formulas on the classes that are left."""

from __future__ import annotations

import pytest
import torch

from losstune.losses import get
from losstune.losses.registry import registry
from losstune.losses.tools.catalogue import description
from tests.losses.cases import batch, distributions, gradient
from tests.losses.oracles import oracle

# Of these the formula on the other classes is the limit: nothing in it depends on the number of classes.
AS_IF_ABSENT = [
    *("agce", "bi_tempered", "brier", "confidence_penalty", "cosine_softmax", "cross_entropy", "crammer_singer"),
    *("entmax", "exponential", "focal", "gce", "js", "kl_divergence", "mae", "ovr_hinge", "phuber_ce", "poly1", "sce"),
    *("sigmoid_bce", "spherical", "squared_log", "tanimoto", "taylor_ce", "tsallis_score", "weston_watkins", "z_loss"),
]
MASKED = 4


def masked_batch():
    logits_NC, target_N = batch(num_classes=5)
    target_N = target_N.clamp_max(3)
    hidden_NC = logits_NC.clone()
    hidden_NC[:, MASKED] = -torch.inf
    return logits_NC, hidden_NC, target_N


@pytest.mark.parametrize("name", AS_IF_ABSENT)
def test_a_masked_class_is_as_if_absent(name):
    logits_NC, hidden_NC, target_N = masked_batch()
    wanted_N = oracle(name)(logits_NC[:, :MASKED], target_N, **get(name).hyperparameters)
    for dtype, tolerance in ((torch.float64, 1e-6), (torch.float32, 1e-4)):
        found_N = get(name)(hidden_NC.to(dtype), target_N).double()
        torch.testing.assert_close(found_N, wanted_N, rtol=tolerance, atol=tolerance)
    found_NC, wanted_NC = (gradient(get(name), hidden_NC, target_N), gradient(get(name), logits_NC[:, :4], target_N))
    torch.testing.assert_close(found_NC[:, :4], wanted_NC, rtol=1e-6, atol=1e-8)
    assert (found_NC[:, MASKED] == 0).all()


@pytest.mark.parametrize("name", [name for name, spec in registry().items() if spec.properties.masked != "infinite"])
@pytest.mark.parametrize("dtype", [torch.float64, torch.float32, torch.bfloat16, torch.float16], ids=str)
def test_nothing_is_nan(name, dtype):
    _, hidden_NC, target_N = masked_batch()
    loss = get(name).with_counts([50, 40, 30, 20, 10])
    targets = [target_N]
    if loss.spec.soft_targets:
        targets.append(torch.nn.functional.pad(distributions(num_classes=4), (0, 1)))
    for target in targets:
        assert loss(hidden_NC.to(dtype), target).isfinite().all()
        gradient_NC = gradient(loss, hidden_NC.to(dtype), target)
        assert gradient_NC.isfinite().all()
        assert (gradient_NC[:, MASKED].abs() < 1e-5).all()
    shares_NC = loss.probabilities(hidden_NC.to(dtype))
    assert shares_NC.isfinite().all()
    # logit_norm's limit has no zeros, and ovr_hinge's link makes all classes equal where all are below the margin.
    assert (shares_NC[:, MASKED] < 1e-6).all() or name in {"logit_norm", "ovr_hinge"}


@pytest.mark.parametrize("name", ["absolute", "label_smoothing", "logit_penalty", "maxsup", "square", "squentropy"])
def test_what_has_no_limit_is_infinite_and_says_so(name):
    _, hidden_NC, target_N = masked_batch()
    assert (get(name)(hidden_NC, target_N) == torch.inf).all()
    _, rows, _ = description(name)
    assert dict(rows)["masked"] == "a logit of minus infinity makes the loss infinite"


def test_what_learns_nothing_says_so():
    flat = {name for name, spec in registry().items() if spec.properties.masked == "flat"}
    assert flat == {"logit_norm", "nce"}
    for name in flat:
        assert "all gradients are 0" in dict(description(name)[1])["masked"]


def test_label_smoothing_without_smoothing_takes_masks():
    logits_NC, hidden_NC, target_N = masked_batch()
    wanted_N = oracle("cross_entropy")(logits_NC[:, :4], target_N)
    torch.testing.assert_close(get("label_smoothing", eps=0.0)(hidden_NC, target_N), wanted_N)
