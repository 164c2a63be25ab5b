"""Check that the recipe of a training fits the data, before anything trains."""

from __future__ import annotations

from losstune.config.metrics import CostSettings
from losstune.config.schema import Params
from losstune.core.errors import LosstuneError, did_you_mean
from losstune.core.local_code import EXPECTED
from losstune.core.own_code import is_own
from losstune.data.manifest import Manifest
from losstune.losses.registry import get
from losstune.training.augmentation import require_policies
from losstune.training.decision_metrics import TOP
from losstune.training.objective import takes_mixture
from losstune.training.policies import NAMES
from losstune.training.soft_labels import takes_soft_labels
from losstune.verdict import wording


def require_policy_names(params: Params) -> None:
    """Check that there is a policy of every name in the list of augmentations.

    Raises:
        LosstuneError: If there is none; the message gives the nearest name.
    """
    policies = params.training.augmentation
    for number, policy in enumerate(policies if isinstance(policies, tuple) else ()):
        if policy.name not in NAMES and not is_own(policy.name):
            raise LosstuneError(
                f"training.augmentation[{number}]: found {policy.name!r}, expected {', '.join(NAMES)} or {EXPECTED}"
                f"{did_you_mean(policy.name, NAMES)}"
            )


def require_recipe(params: Params, manifest: Manifest) -> list[str]:
    """Check augmentation, mixing, class weights, soft labels and metrics.

    Returns:
        Notes for the user, one sentence each.

    Raises:
        LosstuneError: The message names the key, what was found and what is expected.
    """
    training, notes = params.training, []
    if isinstance(training.augmentation, tuple):
        notes = require_policies(training.augmentation, manifest.input_shape, manifest.dtype)
    if params.may_have("cutmix") and len(manifest.input_shape) != 3:
        found = "a search range" if "cutmix" in params.search_space.training else f"{training.cutmix:g}"
        raise LosstuneError(
            f"training.cutmix: found {found}, expected 0: it takes images, and the data has "
            f"{manifest.input_shape[0]} features; mixup takes both"
        )
    weights = training.class_weights
    if isinstance(weights, tuple) and len(weights) != manifest.num_classes:
        raise LosstuneError(
            f"training.class_weights: found {len(weights)} numbers, expected {manifest.num_classes}, one for each "
            "class in the order of the data"
        )
    _require_metrics(params, manifest.num_classes)
    soft_label_notes(params, manifest)
    return notes


def soft_label_notes(params: Params, manifest: Manifest) -> list[str]:
    """Return sentences on losses that are not trained on the data's soft labels.

    Raises:
        LosstuneError: If a loss cannot be trained on them and the settings do not say what else.
    """
    if manifest.soft_labels is None:
        return []
    setting, specs = params.training.soft_labels, {name: get(name) for name in params.loss_names}
    if setting == "mode":
        return ["The data has soft labels, and every loss is trained on the likeliest class of a sample."]
    hard = [name for name, spec in specs.items() if not takes_soft_labels(spec, manifest.num_classes)]
    if hard and setting == "require":
        raise LosstuneError(
            f"losses: found {wording.enumeration(hard)}, but the prepared data has soft labels, and "
            f"{'it takes' if len(hard) == 1 else 'they take'} one class for each sample; remove "
            f"{'it' if len(hard) == 1 else 'them'}, or train on the likeliest class with training.soft_labels: "
            "mode_if_needed"
        )
    curved = [name for name, spec in specs.items() if name not in hard and not spec.linear_in_target]
    if curved and params.training.class_weights != "none":
        raise LosstuneError(
            f"training.class_weights: found {params.training.class_weights!r}, but the prepared data has soft labels, "
            f"and {wording.enumeration(curved)} {'is' if len(curved) == 1 else 'are'} not linear in them, so that "
            "weights of classes are not defined; expected none, or training.soft_labels: mode"
        )
    verb = "is" if len(hard) == 1 else "are"
    return [f"{wording.enumeration(hard)} {verb} trained on the likeliest class of a sample."] if hard else []


def _require_metrics(params: Params, num_classes: int) -> None:
    for key, metric in params.tune.metrics.items():
        if metric == "top_5_accuracy" and num_classes <= TOP:
            raise LosstuneError(
                f"{key}: found {metric!r}, expected another metric: of {num_classes} classes, each is among the {TOP} "
                "most probable ones"
            )
        if isinstance(metric, CostSettings) and len(metric.costs) != num_classes:
            raise LosstuneError(
                f"{key}.costs: found {len(metric.costs)} rows, expected {num_classes}, one for each class in the order "
                "of the data"
            )


def mixing_note(params: Params) -> list[str]:
    """Return a sentence on how each loss is used with mixed samples; none if samples are not mixed."""
    names = [label for key, label in (("mixup", "mixup"), ("cutmix", "CutMix")) if params.may_have(key)]
    if not names:
        return []
    has_weights = params.training.class_weights != "none"
    takers = [name for name in params.loss_names if takes_mixture(get(name), has_weights=has_weights)]
    others = "lambda L(y) + (1 - lambda) L(y') for the two labels of a mixed sample"
    start = f"With {' or '.join(names)}, "
    if not takers:
        return [f"{start}every loss minimises {others}."]
    verb = "gets" if len(takers) == 1 else "get"
    return [
        f"{start}{wording.enumeration(takers)} {verb} the mixed distribution as target; every other loss minimises "
        f"{others}."
    ]
