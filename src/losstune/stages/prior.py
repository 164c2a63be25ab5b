"""Search ranges by past winners, with ``tune.prior: advice``."""

from __future__ import annotations

from collections.abc import Mapping

from losstune.advice.database import shipped
from losstune.advice.facts import data_of
from losstune.advice.prior import Narrowed, narrowed
from losstune.config.schema import Params
from losstune.core.errors import LosstuneError
from losstune.data.manifest import Manifest
from losstune.study.search import Space
from losstune.tracking import data_name


def prior_spaces(
    params: Params, manifest: Manifest, spaces: Mapping[str, Space]
) -> tuple[dict[str, Space], tuple[Narrowed, ...]]:
    """Return the spaces as ``tune.prior`` has them, and what it changed.

    Only the verdicts that losstune ships count, so that the same settings give the same study on every machine.

    Raises:
        LosstuneError: If past studies cannot be compared with this one.
    """
    if params.tune.prior == "none":
        return dict(spaces), ()
    if not manifest.has_samples:
        raise LosstuneError(
            "params.yaml: tune.prior: found 'advice', but only the training loop knows the data; expected none"
        )
    data = data_of(manifest, data_name(params.data), has_features=params.uses_features)
    found, changes = narrowed(spaces, data, params.training.optimizer, shipped())
    return found, tuple(changes)


def prior_note(params: Params, changes: tuple[Narrowed, ...]) -> list[str]:
    """Return a sentence on what ``tune.prior`` did, for the terminal."""
    if params.tune.prior == "none":
        return []
    losses = len({one.loss for one in changes})
    if not losses:
        return ["tune.prior: no range was narrowed: no loss has the winners of enough similar studies"]
    return [f"tune.prior: the winners of similar studies narrowed the ranges of {losses} losses"]


def narrowed_lines(changes: tuple[Narrowed, ...]) -> list[str]:
    """Return what changed, a line for each loss: ``gce: learning_rate 0.001 to 0.03 (9 studies)``."""
    by_loss: dict[str, list[str]] = {}
    for one in changes:
        bounds = f"{one.searched.low:g} to {one.searched.high:g}"
        by_loss.setdefault(one.loss, []).append(f"{one.name} {bounds} ({one.num_studies} studies)")
    return [f"{loss}: {', '.join(lines)}" for loss, lines in by_loss.items()]
