"""A whole small study, fabricated, in which a test sets what each loss scores in each block."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from itertools import product

from losstune.config.load import load_params
from losstune.config.metrics import MetricSettings
from losstune.config.schema import Params
from losstune.core.records import Record, place_of
from losstune.verdict.facts import DataFacts
from losstune.verdict.pipeline import build_results
from losstune.verdict.results import Results
from tests.factories import make_record
from tests.paths import REPOSITORY

ROOT = REPOSITORY
NUM_SEARCHES = 2
EQUALS = {"kl_divergence": "cross_entropy"}
DATA = DataFacts(
    name="digits",
    digest="5f" * 32,
    num_train=1149,
    num_validation=288,
    num_test=360,
    class_names=("zero", "one", "two"),
)


@dataclass
class Study:
    """Settings and records, free to change before the results are built."""

    params: Params
    tune: list[Record]
    confirm: list[Record]
    equals: Mapping[str, str]
    budget: int | None = None

    def results(self) -> Results:
        return build_results(
            self.params, DATA, self.tune, self.confirm, equals=self.equals, protocol="ab12" * 16, budget=self.budget
        )


def make_study(
    scores: Mapping[str, Sequence[float]],
    *,
    baseline: str = "cross_entropy",
    equals: Mapping[str, str] = EQUALS,
    without_winner: Sequence[str] = (),
    alpha: float = 0.05,
    rope: float = 0.005,
    metric: str = "accuracy",
    degraded: float | None = 0.5,
    stopping: str = "fixed",
) -> Study:
    """Two searches of three trials a loss, the second of which wins, and their blocks, in turn, of these accuracies.

    `degraded` is the accuracy of the positive control on each of its blocks; None for none.
    """
    params = load_params(ROOT / "params.yaml")
    num_blocks = len(next(iter(scores.values())))
    params = params.model_copy(
        update={
            "losses": (*scores, *without_winner),
            "baseline": baseline,
            "protocol": "replicated",
            "budget": None,
            "tune": params.tune.model_copy(
                update={"num_searches": NUM_SEARCHES, "trials_per_loss": 3, "metric": metric}
            ),
            "confirm": params.confirm.model_copy(update={"num_blocks": num_blocks, "stopping": stopping}),
            "report": params.report.model_copy(update={"alpha": alpha, "rope": rope}),
        }
    )
    tune, confirm = [], []
    for loss in scores:
        for search, (index, rate) in product(range(NUM_SEARCHES), enumerate((1e-3, 3e-3, 3e-2))):
            tune.append(
                make_record(
                    loss=loss,
                    search=search,
                    index=index,
                    learning_rate=rate,
                    accuracy=0.90 - 0.02 * (index - 1) ** 2,
                    status="diverged" if index == 2 else "finished",
                )
            )
        for block, accuracy in enumerate(scores[loss]):
            confirm.append(make_block(loss, block, accuracy))
    tune += [
        make_record(loss=loss, search=search, index=index, status="diverged")
        for loss in without_winner
        for search in range(NUM_SEARCHES)
        for index in range(3)
    ]
    identical = [
        loss for loss in scores if loss != baseline and equals.get(loss, loss) == equals.get(baseline, baseline)
    ]
    if identical and baseline in scores:
        confirm.append(make_block(identical[0], 0, scores[baseline][0], role="control"))
    if degraded is not None:
        confirm += [make_block(baseline, block, degraded, role="degraded") for block in range(min(num_blocks, 8))]
    return Study(params, tune, confirm, equals)


def place(record: Record) -> int:
    """Where a block, or a control, comes in the order of all."""
    return place_of(record, NUM_SEARCHES)


def make_block(loss: str, block: int, accuracy: float, **replaced) -> Record:
    """The block at that place of all, with the configuration that wins in :func:`make_study`."""
    return make_record(
        loss=loss,
        stage="confirm",
        search=block % NUM_SEARCHES,
        index=block // NUM_SEARCHES,
        accuracy=accuracy,
        seed=1000 + block,
        learning_rate=3e-3,
        **replaced,
    )


def judged_by(study: Study, metric: MetricSettings, value: Callable[[float], float]) -> Study:
    """The same study, judged by a metric of the user's own, which is this function of the accuracy."""
    name = metric.measure.name

    def scored(scores: dict[str, float], has_failed: bool) -> dict[str, float]:
        return scores | {name: metric.measure.worst if has_failed else value(scores["accuracy"])}

    def judged(record: Record) -> Record:
        has_failed = record.status in ("diverged", "failed")
        curve = [epoch.model_copy(update={"validation": scored(epoch.validation, False)}) for epoch in record.curve]
        test = None if record.test is None else scored(record.test, has_failed)
        update = {"validation": scored(record.validation, has_failed), "test": test, "curve": tuple(curve)}
        return record.model_copy(update=update)

    params = study.params.model_copy(update={"tune": study.params.tune.model_copy(update={"metric": metric})})
    return Study(params, [judged(r) for r in study.tune], [judged(r) for r in study.confirm], study.equals)
