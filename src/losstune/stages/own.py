"""The user's own code in a study: which keys name it, and its identity."""

from __future__ import annotations

from losstune.config.schema import Params
from losstune.config.settings import OwnSettings
from losstune.core import own_code
from losstune.core.own_code import is_own
from losstune.losses.registry import get
from losstune.study.jobs import OwnCode


def references(params: Params) -> dict[str, str]:
    """Return the reference of every callable of the user's own that a training runs, by its key in ``params.yaml``."""
    training, metric = params.training, params.tune.metric
    found = {"model.name": params.model.name if is_own(params.model.name) else None}
    for key, setting in (
        ("training.augmentation", training.augmentation),
        ("training.loop", training.loop),
        ("tune.metric", metric),
    ):
        found[key] = setting.name if isinstance(setting, OwnSettings) and is_own(setting.name) else None
    found |= {f"losses.{name}": reference for name, reference in params.own_losses.items()}
    return {key: reference for key, reference in found.items() if reference is not None}


def digests(params: Params) -> dict[str, str]:
    """Return the digest of the code of every callable in :func:`references`, by its key.

    Raises:
        LosstuneError: If a file is missing or is not Python.
    """
    return {key: own_code.code_digest(reference, key) for key, reference in references(params).items()}


def own_code_of(params: Params) -> OwnCode:
    """Return the study's own code for workers.

    Raises:
        LosstuneError: If a file is missing or is not Python.
    """
    return OwnCode(bundle=own_code.bundle(references(params).values()), losses=tuple(params.own_losses.values()))


def require_loadable(params: Params) -> None:
    """Import every callable once.

    Raises:
        LosstuneError: With the key and what is wrong.
    """
    for key, reference in references(params).items():
        if not key.startswith("losses."):
            own_code.load(reference, key)


def unverified(params: Params) -> list[str]:
    """Return what losstune could not verify about the study's own code, for the report, one sentence each."""
    losses = list(params.own_losses)
    notes = []
    if losses:
        notes.append(
            f"{', '.join(losses)}: the study's own code. losstune tried it on a few samples, but did not verify its "
            "formula, its gradient or its numerical range; `losstune losses check` does."
        )
    if assumed := [name for name in losses if get(name).assumes_softmax]:
        notes.append(
            f"{', '.join(assumed)}: no link is declared, so the probabilities are softmax of the outputs. NLL, ECE and "
            "Brier score describe the loss only if that is its link."
        )
    return notes
