"""One line of the database of verdicts: what one study said about one loss."""

from __future__ import annotations

import math
from typing import Annotated, Literal

from pydantic import Field, model_validator

from losstune.core.records import Row

USUAL_ROPE = 0.005
"""The ROPE of a study that has none: a half point of accuracy."""

Kind = Literal["image", "table", "features"]
Decision = Literal["better", "equivalent", "worse", "undecided"]
Count = Annotated[int, Field(ge=1)]
Share = Annotated[float, Field(ge=0.0, le=1.0)]
Finite = Annotated[float, Field(allow_inf_nan=False)]


class Noise(Row):
    """The wrong labels of a training split.

    Attributes:
        kind: ``symmetric``: any other class is as likely. ``asymmetric``: it depends on the class.
        rate: Share of wrong labels.
        basis: ``measured`` against the true labels, ``assumed`` by the user, or ``none``: nothing is known, and no
            wrong labels are taken for granted.
    """

    kind: Literal["none", "symmetric", "asymmetric"] = "none"
    rate: Share = 0.0
    basis: Literal["measured", "assumed", "none"] = "none"

    @model_validator(mode="after")
    def _is_consistent(self) -> Noise:
        if (self.kind == "none") != (self.rate == 0.0):
            raise ValueError(f"noise: found kind {self.kind} with rate {self.rate:g}, expected both or neither")
        return self


class Data(Row):
    """Facts about a study's data.

    Attributes:
        name: A name for people: the data set's, or the file's.
        digest: Hash of the prepared data.
        kind: Images, a table, or features that something else computed, such as a frozen backbone.
        num_classes: Number of classes.
        num_train: Training samples.
        imbalance: Training samples of the largest class, relative to the smallest.
        noise: Wrong labels of the training split.
    """

    name: str
    digest: str
    kind: Kind
    num_classes: Annotated[int, Field(ge=2)]
    num_train: Count
    imbalance: Annotated[float, Field(ge=1.0, allow_inf_nan=False)]
    noise: Noise = Noise()


class Winner(Row):
    """The configuration that a loss's search ended at: the one to use."""

    hyperparameters: dict[str, int | float]
    learning_rate: Annotated[float, Field(gt=0.0, allow_inf_nan=False)]
    weight_decay: Annotated[float, Field(ge=0.0, allow_inf_nan=False)]


class PastVerdict(Row):
    """What one study said about one loss.

    Attributes:
        schema_version: Version of this line's layout.
        source: Name of the study or the pack.
        commit: Commit that last changed the study's ``results.json``; None outside of Git.
        protocol: Hash of the study's registration.
        data: Facts about its data.
        model: Name of its model.
        optimizer: Its optimiser, which decides what a learning rate means.
        loss: Name of the loss.
        part: Its role in the study, as in ``results.json``.
        metric: The study's metric.
        minimize: Whether lower is better.
        rope: Smallest difference that matters in the study, in units of the metric.
        difference: The loss's score minus cross-entropy's; None for cross-entropy, and if there is none.
        low: Lower bound of its interval; None if it is infinite or there is none.
        high: Upper bound of it.
        error: Standard error of the difference; None if there is none.
        decision: Decision on the loss; None unless it was a candidate.
        winner: Its winning configuration; None if its search had none.
    """

    schema_version: Literal[1] = 1
    source: str
    commit: str | None = None
    protocol: str
    data: Data
    model: str
    optimizer: str
    loss: str
    part: Literal["baseline", "candidate", "control", "alias"]
    metric: str
    minimize: bool = False
    rope: Annotated[float, Field(ge=0.0, allow_inf_nan=False)]
    difference: Finite | None = None
    low: Finite | None = None
    high: Finite | None = None
    error: Annotated[float, Field(gt=0.0, allow_inf_nan=False)] | None = None
    decision: Decision | None = None
    winner: Winner | None = None

    @property
    def unit(self) -> float:
        """The study's ROPE: differences are compared in units of it, whatever the metric."""
        return self.rope or USUAL_ROPE

    @property
    def is_evidence(self) -> bool:
        """Whether it says how good the loss is."""
        return self.part == "candidate" and self.difference is not None and self.error is not None

    @property
    def compressed(self) -> tuple[float, float]:
        """Difference and standard error on the scale of :func:`compress`, positive if the loss is better."""
        assert self.difference is not None
        assert self.error is not None
        in_units = (-1.0 if self.minimize else 1.0) * self.difference / self.unit
        return compress(in_units), self.error / self.unit / math.sqrt(1.0 + in_units**2)


def compress(in_units: float) -> float:
    """Return ``asinh(d)`` of a difference in units of the ROPE.

    It is linear within the ROPE and logarithmic far beyond it, so that a single failure by 30 points does not outweigh
    ten studies. The order of losses stays.
    """
    return math.asinh(in_units)
