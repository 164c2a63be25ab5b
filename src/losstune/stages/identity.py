"""The identity of what a training reads besides the prepared data: the user's own code and pretrained weights."""

from __future__ import annotations

from losstune.config.references import digests
from losstune.config.schema import Params


def digests_of(params: Params) -> dict[str, str]:
    """Return a digest by the key that names it.

    It is that of a callable's code, or of the content of the file that ``model.weights`` names.

    Raises:
        LosstuneError: If a file is missing, or a module is not Python.
    """
    found = digests(params)
    if params.names_model and params.model.weights is not None:
        from losstune.models import weights_files  # imports torch, which a fingerprint does without otherwise

        found["model.weights"] = weights_files.digest_of(params.model)
    return found
