"""How long the report of a large study takes, from records in memory to files, and how large its page is.

    python benchmarks/report.py --trials 10000 --losses 40

The study is made up: every loss has its share of the trials, at learning rates over four decades, and the same number
of blocks of 10 classes and 1,000 test samples. Reading the records and importing the libraries are not counted.
"""

from __future__ import annotations

import argparse
import math
import os
import sys
import time
from collections.abc import Callable, Sequence
from itertools import product
from pathlib import Path
from typing import TypeVar

import numpy as np

from losstune.config.load import load_params
from losstune.config.schema import Params
from losstune.core.labels import pack
from losstune.core.records import Calibration, Configuration, Epoch, Record, Role, Status
from losstune.losses.registry import registry
from losstune.report import figures
from losstune.report.diagnostics import gather
from losstune.report.downloads import csv_files
from losstune.report.page import render_page
from losstune.study.selection import select_winners
from losstune.verdict.facts import DataFacts
from losstune.verdict.pipeline import build_results

REPOSITORY = Path(__file__).resolve().parent.parent
NUM_CLASSES, NUM_TEST, NUM_EPOCHS, NUM_BINS = 10, 1000, 15, 15
LABELS_N = np.arange(NUM_TEST) % NUM_CLASSES
Made = TypeVar("Made")


def main() -> None:
    """Run the benchmark and print its table."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--trials", type=int, default=10_000, help="trials of the study, in all")
    parser.add_argument("--losses", type=int, default=40, help="losses of the study")
    parser.add_argument("--blocks", type=int, default=16, help="blocks of each loss")
    parser.add_argument("--page", type=Path, help="where to write the page, to look at")
    options = parser.parse_args()
    names = [name for name, spec in registry().items() if not spec.equals and name != "cross_entropy"]
    if not 2 <= options.losses <= len(names) + 1:
        parser.error(f"--losses: expected 2 to {len(names) + 1}, found {options.losses}")
    if os.getloadavg()[0] > 0.5:
        print(f"other work is running here (load {os.getloadavg()[0]:.1f}): it will be slower", file=sys.stderr)
    losses = ("cross_entropy", *names[: options.losses - 1])
    params = _params(losses, options.trials // options.losses, options.blocks)
    trials = _trials(params)
    blocks = _blocks(params, trials)
    print(f"{len(trials):,} trials, {len(losses)} losses, {len(blocks):,} trainings of the confirmation\n")
    for name, seconds, processor in _measure(params, trials, blocks, options.page):
        print(f"{name:<20}{seconds:>8.2f} s{processor:>8.2f} s of CPU")


def _measure(
    params: Params, trials: Sequence[Record], blocks: Sequence[Record], path: Path | None
) -> list[tuple[str, float, float]]:
    """Make the report once; return what took how long by the clock, and of all cores."""
    times: list[tuple[str, float, float]] = []

    def timed(name: str, make: Callable[[], Made]) -> Made:
        start, start_processor = time.perf_counter(), time.process_time()
        made = make()
        times.append((name, time.perf_counter() - start, time.process_time() - start_processor))
        return made

    facts = DataFacts(
        name="made up",
        digest="0" * 64,
        num_train=8000,
        num_validation=1000,
        num_test=NUM_TEST,
        class_names=tuple(map(str, range(NUM_CLASSES))),
    )
    results = timed("results", lambda: build_results(params, facts, trials, blocks, equals={}, protocol="0" * 64))
    diagnostics = timed(
        "diagnostics",
        lambda: gather(
            results,
            trials,
            blocks,
            [],
            learning_rates=dict.fromkeys(params.losses, (1e-5, 1e-1)),
            test_images=np.zeros((NUM_TEST, 1, 28, 28), dtype=np.uint8),
            test_labels=LABELS_N,
        ),
    )
    drawn = timed("figures", lambda: figures.draw(results, diagnostics))
    downloads = timed("CSV files", lambda: csv_files(results, diagnostics))
    page = timed("page", lambda: render_page(results, params, diagnostics, drawn, downloads, commit=None, versions={}))
    if path:
        path.write_text(page, encoding="utf-8")
    _, seconds, processor = zip(*times, strict=True)
    times.append(("in all", math.fsum(seconds), math.fsum(processor)))
    print(f"{'the page':<20}{len(page.encode()) / 1e6:>8.2f} MB")
    return times


def _params(losses: tuple[str, ...], num_trials: int, num_blocks: int) -> Params:
    params = load_params(REPOSITORY / "params.yaml")
    return params.model_copy(
        update={
            "losses": losses,
            "baseline": losses[0],
            "protocol": "replicated",
            "budget": None,
            "tune": params.tune.model_copy(update={"trials_per_loss": num_trials // 2, "num_searches": 2}),
            "confirm": params.confirm.model_copy(update={"num_blocks": num_blocks}),
        }
    )


def _trials(params: Params) -> list[Record]:
    rng = np.random.default_rng(1)
    made = []
    for number, loss in enumerate(params.losses):
        for search, index in product(range(params.tune.num_searches), range(params.tune.trials_per_loss)):
            rate = float(10.0 ** rng.uniform(-5, -1))
            score = 0.9 - 0.06 * (math.log10(rate) + 3 - 0.01 * number) ** 2 + 0.01 * float(rng.normal())
            has_failed = rate > 0.03 and rng.random() < 0.5
            made.append(
                _record(loss, "trial", search, index, rate, score, "diverged" if has_failed else "finished", rng)
            )
    return made


def _blocks(params: Params, trials: Sequence[Record]) -> list[Record]:
    rng = np.random.default_rng(2)
    made = []
    num_searches = params.tune.num_searches
    for loss, winners in select_winners(trials, params.tune.measure, num_searches).items():
        for place in range(params.confirm.num_blocks):
            index, search = divmod(place, num_searches)
            rate = winners[search].configuration.learning_rate
            score = 0.88 + 0.005 * float(rng.normal())
            made.append(_record(loss, "block", search, index, rate, score, "finished", rng))
    return made


def _record(
    loss: str, role: Role, search: int, index: int, rate: float, score: float, status: Status, rng: np.random.Generator
) -> Record:
    """Return a training that ended at that score; one of a trial reads no test split."""
    has_failed, is_block = status != "finished", role == "block"
    score = 0.0 if has_failed else min(max(round(score * NUM_TEST) / NUM_TEST, 0.0), 1.0)
    names = ("accuracy", "balanced_accuracy", "macro_f1")
    scores = dict.fromkeys(names, score) | {"nll": 2.0 - score, "brier": 1.0 - score, "ece": 0.05}
    found_N = LABELS_N.copy()
    num_wrong = round((1.0 - score) * NUM_TEST) if is_block else 0
    wrong_N = rng.permutation(NUM_TEST)[:num_wrong]
    found_N[wrong_N] = (found_N[wrong_N] + 1) % NUM_CLASSES
    confusion = np.zeros((NUM_CLASSES, NUM_CLASSES), dtype=np.int64)
    np.add.at(confusion, (LABELS_N, found_N), 1)
    count = NUM_TEST // NUM_BINS
    bins = tuple((count, round(count * (k + 0.5) / NUM_BINS), count * (k + 0.6) / NUM_BINS) for k in range(NUM_BINS))
    calibration = Calibration(nll=scores["nll"], brier=scores["brier"], bins=bins)
    return Record(
        key=f"{loss} {role} {search} {index}",
        stage="confirm" if is_block else "tune",
        role=role,
        search=search,
        index=index,
        seed=index,
        configuration=Configuration(loss=loss, hyperparameters={}, learning_rate=rate, weight_decay=1e-2),
        status=status,
        num_parameters=1000,
        curve=()
        if has_failed
        else tuple(
            Epoch(
                epoch=epoch,
                learning_rate=rate,
                train_loss=1.0 / epoch,
                validation={name: scores[name] * (1.0 - 0.5 / epoch) for name in names},
            )
            for epoch in range(1, NUM_EPOCHS + 1)
        ),
        validation=scores,
        test=scores if is_block else None,
        confusion=tuple(map(tuple, confusion.tolist())) if is_block else None,
        predictions=pack(found_N) if is_block else None,
        calibration=dict.fromkeys(("softmax", "link", "scaled"), calibration) if is_block else None,
        temperature=1.0 if is_block else None,
    )


if __name__ == "__main__":
    main()
