"""Results of the controls, as in ``results.json``."""

from __future__ import annotations

from losstune.core.records import Row
from losstune.verdict.numbers import Difference


class IdentityCheck(Row):
    """The gate: the baseline's winner, trained with the loss that equals it, must be the same model.

    Attributes:
        loss: The loss that equals the baseline.
        passed: Whether, on the same seeds, every epoch and every test score agree to the bit.
        detail: What was found, in one line.
    """

    loss: str
    passed: bool
    detail: str


class NoisePair(Row):
    """Two identical losses, tuned separately: whatever they differ by is the noise of the search."""

    loss: str
    equals: str
    difference: Difference


class PositiveControl(Row):
    """The baseline at a hundredth of its learning rate: a study that does not find it worse can find nothing.

    Attributes:
        learning_rate: Of the degraded baseline.
        difference: Against the baseline, over the blocks on which it was trained.
        detected: Whether it is found worse by the rules that hold for losses; None where the blocks are too few for
            any difference to be found.
    """

    learning_rate: float
    difference: Difference
    detected: bool | None


class Control(Row):
    """The evidence that the study can be trusted.

    Attributes:
        identity: The gate; None if the study has no loss that equals the baseline.
        positive: The positive control; None if it is switched off.
        pairs: All pairs of identical losses in the study.
        noise_floor: The largest mean difference of a pair, absolute; None without a pair.
    """

    identity: IdentityCheck | None
    positive: PositiveControl | None
    pairs: tuple[NoisePair, ...]
    noise_floor: float | None
