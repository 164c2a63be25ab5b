"""Results of the controls, as in ``results.json``."""

from __future__ import annotations

from losstune.core.records import Row
from losstune.verdict.numbers import Difference


class IdentityCheck(Row):
    """The identity check: the baseline's winner, trained with the loss that equals it, must give the same model.

    Attributes:
        loss: The loss that equals the baseline.
        passed: Whether all epochs and test scores agree to the bit on the same seeds.
        detail: What was found, in one line.
    """

    loss: str
    passed: bool
    detail: str


class NoisePair(Row):
    """Two identical losses, tuned separately. Their difference is the noise of the search."""

    loss: str
    equals: str
    difference: Difference


class PositiveControl(Row):
    """The baseline at a hundredth of its learning rate. A study that does not find it worse cannot detect bad losses.

    Attributes:
        learning_rate: Learning rate of the degraded baseline.
        difference: Difference from the baseline over the blocks on which the degraded baseline was trained.
        detected: Whether it is found worse by the same rules as losses; None if the blocks are too few for any
            difference to be found.
    """

    learning_rate: float
    difference: Difference
    detected: bool | None


class Control(Row):
    """The results of all controls.

    Attributes:
        identity: The identity check; None if the study has no loss that equals the baseline.
        positive: The positive control; None if it is switched off.
        pairs: All pairs of identical losses in the study.
        noise_floor: The largest absolute mean difference of a pair; None without a pair.
    """

    identity: IdentityCheck | None
    positive: PositiveControl | None
    pairs: tuple[NoisePair, ...]
    noise_floor: float | None
