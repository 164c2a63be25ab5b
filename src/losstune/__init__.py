"""losstune: which loss function should I train this classifier with, and how sure are we?"""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from losstune.api.study import Study as Study
    from losstune.api.verdict import Verdict as Verdict
    from losstune.core.errors import LosstuneError as LosstuneError
    from losstune.data.own import Dataset as Dataset
    from losstune.losses.own import loss as loss
    from losstune.losses.ranges import Choice as Choice
    from losstune.losses.ranges import FloatRange as FloatRange
    from losstune.losses.ranges import IntRange as IntRange
    from losstune.training.job import Job as Job
    from losstune.training.job import Logits as Logits
    from losstune.training.job import Result as Result
    from losstune.training.job import Stopped as Stopped

__version__ = "0.1.0"

_PUBLIC = {
    "Choice": "losstune.losses.ranges",
    "Dataset": "losstune.data.own",
    "FloatRange": "losstune.losses.ranges",
    "IntRange": "losstune.losses.ranges",
    "Job": "losstune.training.job",
    "Logits": "losstune.training.job",
    "LosstuneError": "losstune.core.errors",
    "Result": "losstune.training.job",
    "Stopped": "losstune.training.job",
    "Study": "losstune.api.study",
    "Verdict": "losstune.api.verdict",
    "loss": "losstune.losses.own",
}
"""The module of each public name. It is imported when the name is first used, as torch takes seconds."""

__all__ = [
    "Choice",
    "Dataset",
    "FloatRange",
    "IntRange",
    "Job",
    "Logits",
    "LosstuneError",
    "Result",
    "Stopped",
    "Study",
    "Verdict",
    "loss",
]


def __getattr__(name: str) -> Any:
    if name in _PUBLIC:
        return getattr(import_module(_PUBLIC[name]), name)
    raise AttributeError(f"module 'losstune' has no attribute {name!r}")
