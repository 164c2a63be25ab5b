"""Which keys of ``params.yaml`` name the user's own code, and its identity. Imports no code of the user's."""

from __future__ import annotations

from losstune.config.schema import Params
from losstune.config.settings import OwnSettings
from losstune.core import own_code
from losstune.core.own_code import is_own


def references(params: Params) -> dict[str, str]:
    """Return the reference of every callable of the user's own that a training runs, by its key in ``params.yaml``."""
    training = params.training
    found = {"model.name": params.model.name if is_own(params.model.name) else None}
    for key, setting in (
        ("training.augmentation", training.augmentation),
        ("training.loop", training.loop),
        *params.tune.own_metrics.items(),
    ):
        found[key] = setting.name if isinstance(setting, OwnSettings) and is_own(setting.name) else None
    if isinstance(training.augmentation, tuple):
        found |= {
            f"training.augmentation.{number}": policy.name
            for number, policy in enumerate(training.augmentation)
            if is_own(policy.name)
        }
    found |= {f"losses.{name}": reference for name, reference in params.own_losses.items()}
    return {key: reference for key, reference in found.items() if reference is not None}


def digests(params: Params) -> dict[str, str]:
    """Return the digest of the code of every callable in :func:`references`, by its key.

    Raises:
        LosstuneError: If a file is missing or is not Python.
    """
    return {key: own_code.code_digest(reference, key) for key, reference in references(params).items()}
