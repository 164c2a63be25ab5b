"""Facts about a study's data, code and rounds, as in ``results.json``."""

from __future__ import annotations

from pydantic import Field

from losstune.core.records import Row


class DataFacts(Row):
    """What the report says about the data.

    Attributes:
        name: Name, as in ``data.name``.
        digest: Hash of the prepared arrays.
        num_train: Training samples; 0, as for the other splits, if only the training loop knows them.
        num_validation: Validation samples, for selection.
        num_test: Test samples, for confirmation.
        class_names: Names of the classes, in the order of the labels; empty if only the training loop knows them.
        class_groups: Names of the classes by their frequency in the training split: many, medium, few; empty if they
            are not shown.
        details: What was changed in the data or is special about it, a phrase each.
        has_soft_labels: Whether a sample has a distribution over the classes.
        num_groups: Groups in each split, none of which is in two; None for a test split that the data brings without
            groups. Empty if the splits keep no groups together.
    """

    name: str
    digest: str
    num_train: int
    num_validation: int
    num_test: int
    class_names: tuple[str, ...]
    class_groups: dict[str, tuple[str, ...]] = Field(default_factory=dict)
    details: tuple[str, ...] = ()
    has_soft_labels: bool = False
    num_groups: dict[str, int | None] = Field(default_factory=dict)


class CodeFacts(Row):
    """Digests of the code that trained, so that revisions of a study can be compared without its source.

    Attributes:
        training: losstune's training loop and all that it imports.
        losses: The module of each loss of the catalogue.
        own: The user's own code, by the key that names it, such as ``model.name``.
    """

    training: str
    losses: dict[str, str]
    own: dict[str, str]


class Rounds(Row):
    """What a pooled study spent, and how its rounds went.

    Attributes:
        num_trainings: Trainings of the whole study.
        num_controls: Those of the identity control and the positive control among them.
        budget: The most trainings; None if the settings limit searches and blocks.
        fewest_searches: Fewest searches of a loss for a decision.
        fewest_blocks: Fewest blocks for calling a loss better or worse.
        looks: Number of candidates that each look judged, from the first, which only sets losses aside.
        yardsticks: The losses that got every round: the baseline, and those whose difference is the noise floor.
    """

    num_trainings: int
    num_controls: int
    budget: int | None
    fewest_searches: int
    fewest_blocks: int
    looks: tuple[int, ...]
    yardsticks: tuple[str, ...]
