"""The user's own code in a study: bundled for workers, imported once, and what is not verified about it."""

from __future__ import annotations

from losstune.config.references import references
from losstune.config.schema import Params
from losstune.core import own_code
from losstune.losses.registry import get
from losstune.study.jobs import OwnCode


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
