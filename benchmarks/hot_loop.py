"""How long the trainings of the default study take on one CPU core: this working tree beside another commit.

    python benchmarks/hot_loop.py --base main --repeats 40

Two processes, one a tree, take turns with the same trainings, so that a machine that is slower for a while is so for
both. What is measured is processor time; a training has one thread. The trainings are those of ``params.yaml``
(digits, ``cnn`` of width 16 and depth 2, 15 epochs, float32) for several losses, as ``confirm`` runs them, with test
scores; the same for the ``mlp``; and an epoch of convolutional networks on 512 random images of 32x32 pixels. Each
tree's first training is not counted. The table has the smallest and the median time of each tree, their ratio and the
median of the paired ratios; how far the first epoch's training loss and the test accuracy differ comes with it. It
takes about 2 minutes.
"""

from __future__ import annotations

import argparse
import json
import os
import statistics
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

import numpy as np

REPOSITORY = Path(__file__).resolve().parent.parent
LOSSES = ("cross_entropy", "focal", "gce")
CASES: dict[str, dict[str, Any]] = {
    "digits cnn": {"model": {"name": "cnn", "width": 16, "depth": 2}, "epochs": 15},
    "digits mlp": {"model": {"name": "mlp", "width": 16, "depth": 2}, "epochs": 15},
    "32x32 cnn": {"model": {"name": "cnn", "width": 16, "depth": 2}, "epochs": 1},
    "32x32 resnet": {"model": {"name": "resnet", "width": 16, "depth": 1}, "epochs": 1},
    "32x32 resnet9": {"model": {"name": "resnet9", "width": 16, "depth": 1}, "epochs": 1},
}


def main() -> None:
    """Run the benchmark and print its table."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--base", default="main", help="the commit to compare with")
    parser.add_argument("--repeats", type=int, default=40, help="trainings of each case, for the 32x32 ones a quarter")
    parser.add_argument("--cases", nargs="+", default=list(CASES), choices=CASES, help="what to train")
    parser.add_argument("--worker", action="store_true", help=argparse.SUPPRESS)
    options = parser.parse_args()
    if options.worker:
        _work()
        return
    if os.getloadavg()[0] > 0.5:
        print(f"other work is running here (load {os.getloadavg()[0]:.1f}): ratios will be off", file=sys.stderr)
    with tempfile.TemporaryDirectory(prefix="losstune-hot-loop-") as temp:
        base = Path(temp) / "base"
        git = ["git", "-C", str(REPOSITORY)]
        subprocess.run([*git, "worktree", "add", "--quiet", "--detach", str(base), options.base], check=True)
        try:
            workers = _Worker(base), _Worker(REPOSITORY)
            print(
                f"{'ms of processor time':<22}{'before':>7}{'median':>9}{'after':>9}{'median':>9}{'least':>9}{'ratio':>7}"
            )
            for case in options.cases:
                num = options.repeats if case.startswith("digits") else max(4, options.repeats // 4)
                print(_row(case, workers, num), flush=True)
            for worker in workers:
                worker.end()
        finally:
            subprocess.run([*git, "worktree", "remove", "--force", str(base)], check=True)


class _Worker:
    """A process that trains with the code of a tree."""

    def __init__(self, tree: Path) -> None:
        environment = os.environ | {"PYTHONPATH": str(tree / "src"), "OMP_NUM_THREADS": "1"}
        command = [sys.executable, str(Path(__file__).resolve()), "--worker"]
        self._process = subprocess.Popen(
            command, env=environment, cwd=tree, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
        )
        assert self._process.stdin is not None
        assert self._process.stdout is not None
        self._stdin, self._stdout = self._process.stdin, self._process.stdout
        assert Path(self._stdout.readline().strip()).is_relative_to(tree), f"{tree} does not use its own code"

    def train(self, case: str, loss: str, seed: int) -> tuple[float, float, float]:
        """Return the processor seconds of a training, its first training loss and its test accuracy."""
        self._stdin.write(json.dumps([case, loss, seed]) + "\n")
        self._stdin.flush()
        seconds, train_loss, accuracy = json.loads(self._stdout.readline())
        return seconds, train_loss, accuracy

    def end(self) -> None:
        """End the process."""
        self._stdin.close()
        self._process.wait()


def _row(case: str, workers: tuple[_Worker, _Worker], num: int) -> str:
    times: tuple[list[float], list[float]] = ([], [])
    accuracies: tuple[list[float], list[float]] = ([], [])
    loss_gap = 0.0
    for repeat in range(num + 1):
        loss, seed = LOSSES[repeat % len(LOSSES)], repeat
        found = {}
        for place in (0, 1) if repeat % 2 else (1, 0):
            found[place] = workers[place].train(case, loss, seed)
        loss_gap = max(loss_gap, abs(found[1][1] / found[0][1] - 1))
        for place in (0, 1):
            accuracies[place].append(found[place][2])
            if repeat:
                times[place].append(found[place][0])
    ratio = statistics.median(before / after for before, after in zip(*times, strict=True))
    cells = "".join(f"{1e3 * min(measured):9.1f}{1e3 * statistics.median(measured):9.1f}" for measured in times)
    means = " and ".join(f"{100 * statistics.fmean(values):.2f}" for values in accuracies)
    least = min(times[0]) / min(times[1])
    return f"{case:<20}{cells}{least:9.2f}{ratio:7.2f}   first loss within {loss_gap:.0e}, accuracies {means}%"


def _work() -> None:
    """Train what the lines of the standard input name."""
    import losstune

    print(losstune.__file__, flush=True)
    from losstune.config.settings import ModelSettings, TrainingSettings
    from losstune.core.records import Configuration
    from losstune.losses.registry import get
    from losstune.training.loop import train
    from losstune.training.task import Arrays, Task

    arrays = {"digits": _digits(Arrays), "32x32": _random_images(Arrays)}
    for line in sys.stdin:
        case, loss, seed = json.loads(line)
        task = Task(
            configuration=Configuration(loss=loss, hyperparameters={}, learning_rate=3e-3, weight_decay=1e-2),
            seeds=(seed,),
            model=ModelSettings(**CASES[case]["model"]),
            training=TrainingSettings(
                epochs=CASES[case]["epochs"],
                batch_size=64,
                optimizer="adamw",
                momentum=0.9,
                schedule="cosine",
                warmup_fraction=0.0,
                augmentation="none",
                precision="float32",
            ),
            device="cpu",
            test=True,
        )
        bound = get(loss).bind({})
        start = time.process_time()
        *_, (result,) = train(task, arrays[case.split()[0]], bound)
        seconds = time.process_time() - start
        assert result.test is not None, result.cause
        print(json.dumps([seconds, result.curve[0].train_loss, result.test["accuracy"]]), flush=True)


def _digits(arrays: Any) -> Any:
    """Return digits in splits of the default study's sizes."""
    from sklearn.datasets import load_digits

    digits = load_digits()
    order = np.random.default_rng(0).permutation(len(digits.target))
    return _arrays(arrays, digits.images.astype(np.uint8)[order, None], digits.target.astype(np.int64)[order], 1150)


def _random_images(arrays: Any) -> Any:
    draws = np.random.default_rng(0)
    images = draws.integers(256, size=(768, 3, 32, 32), dtype=np.uint8)
    return _arrays(arrays, images, draws.integers(10, size=768), 512)


def _arrays(arrays: Any, images: Any, labels: Any, num_train: int) -> Any:
    last = num_train + (len(labels) - num_train) * 4 // 9
    parts = slice(0, num_train), slice(num_train, last), slice(last, None)
    mean, std = (getattr(images[:num_train], name)(axis=(0, 2, 3)).tolist() for name in ("mean", "std"))
    (train, validation, test), (train_y, validation_y, test_y) = ([of[p] for p in parts] for of in (images, labels))
    return arrays(
        train_images=train,
        train_labels=train_y,
        validation_images=validation,
        validation_labels=validation_y,
        test_images=test,
        test_labels=test_y,
        mean=tuple(mean),
        std=tuple(std),
        num_classes=10,
        digest=f"benchmark {images.shape}",
    )


if __name__ == "__main__":
    main()
