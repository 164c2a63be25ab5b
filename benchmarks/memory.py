"""What the data costs in memory and in time: workers that share it, and batches from a mapped file.

    python benchmarks/memory.py                    # both parts, about two minutes
    python benchmarks/memory.py --part throughput  # or memory

Memory: a study trains an mlp with four workers on 50,000 images as those of CIFAR-10 (random bytes), and on 200 of
them. The proportional set size of a process counts a page that n processes share as 1/n of it, so the sizes of
processes add up to what they take together. What the workers take beyond the small study, divided by the size of the
training and validation images, is the cost of the data.

Throughput: one epoch of the same data from a copy in the process's memory, as before, and from the mapped file, in
turn; the median of the ratios of their times. Prints JSON.
"""

from __future__ import annotations

import argparse
import contextlib
import json
import os
import statistics
import sys
import tempfile
import threading
import time
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import psutil
import torch

from losstune.config.load import parse_params
from losstune.config.schema import Params
from losstune.core.records import Configuration
from losstune.data.raw import RawData
from losstune.execution.trials import connection
from losstune.losses.registry import get
from losstune.stages import prepare, tune
from losstune.stages.study import open_study, read_arrays
from losstune.stages.workers import find_device
from losstune.training.device_data import DeviceData
from losstune.training.loop import train
from losstune.training.task import Arrays, Task

NUM_IMAGES = 50_000
NUM_WORKERS = 4
OTHER_PROCESSES = ("ray::IDLE", "ray::DashboardAgent", "ray::RuntimeEnvAgent")
MIB = 2**20


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--part", choices=("memory", "throughput", "both"), default="both")
    parser.add_argument("--repeats", type=int, default=9)
    given = parser.parse_args()
    found: dict[str, Any] = {}
    with tempfile.TemporaryDirectory() as temporary, contextlib.redirect_stdout(sys.stderr):
        folder = Path(temporary)
        if given.part != "throughput":
            found["memory"] = _memory(folder)
        if given.part != "memory":
            torch.set_num_threads(1)
            found["throughput"] = {model: _throughput(folder / model, model, given.repeats) for model in ("mlp", "cnn")}
    print(json.dumps(found, indent=1))


def _study(folder: Path, num_images: int, **changes: Any) -> Params:
    generator = np.random.default_rng(0)
    images = generator.integers(0, 256, (num_images, 3, 32, 32), dtype=np.uint8)
    labels = np.arange(num_images, dtype=np.int64) % 10
    test = images[:100], labels[:100]
    names = tuple("abcdefghij")
    values = {
        "data": {"name": "npz"},
        "model": {"name": "mlp", "width": 16, "depth": 1},
        # Long enough that all workers train at once.
        "training": {"epochs": 1 if num_images == NUM_IMAGES else 500, "batch_size": 256, "precision": "float32"},
        "losses": ["cross_entropy", "focal"],
        "tune": {"trials_per_loss": 16},
        "resources": {"max_concurrent": NUM_WORKERS},
        "tracking": {"enabled": False},
    }
    params = parse_params(values | changes)
    folder.mkdir(parents=True)
    prepare.run(params, folder, folder, RawData(images, labels, names, *test))
    return params


def _memory(folder: Path) -> dict[str, Any]:
    sizes = {}
    for name, number in (("small", 200), ("data", NUM_IMAGES)):
        params = _study(folder / name, number)
        sizes[name] = _sizes_of_workers(params, folder / name)
    data = sum(path.stat().st_size for path in (folder / "data/data/prepared/development").glob("*_images.npy"))
    beyond = sizes["data"] - sizes["small"]
    return {
        "images_mib": round(data / MIB, 1),
        "workers": NUM_WORKERS,
        "pss_mib_small": round(sizes["small"] / MIB, 1),
        "pss_mib_data": round(sizes["data"] / MIB, 1),
        "beyond": round(beyond / data, 2),
    }


def _sizes_of_workers(params: Params, folder: Path) -> float:
    """Return the proportional set size of all workers together while they train, in bytes: the largest of a second."""
    vars(connection)["num_cores"] = lambda: NUM_WORKERS  # more workers than this machine may have cores
    found: list[float] = []
    is_over = threading.Event()

    def watch() -> None:
        workers: dict[int, psutil.Process] = {}
        while not is_over.wait(0.25):
            workers |= {process.pid: process for process in psutil.process_iter() if _is_worker(process)}
            sizes = [size for process in workers.values() if (size := _pss(process))]
            if len(sizes) >= NUM_WORKERS:
                found.append(float(sum(sizes)))

    watcher = threading.Thread(target=watch)
    watcher.start()
    try:
        tune.run(params, folder, folder)
    finally:
        is_over.set()
        watcher.join()
    return statistics.quantiles(found, n=20)[-1]


def _is_worker(process: psutil.Process) -> bool:
    try:
        name = " ".join(process.cmdline())
    except psutil.Error:
        return False
    return name.startswith("ray::") and not name.startswith(OTHER_PROCESSES)


def _pss(process: psutil.Process) -> int:
    try:
        return int(process.memory_full_info().pss)
    except psutil.Error:
        return 0


def _throughput(folder: Path, model: str, repeats: int) -> dict[str, float]:
    params = _study(folder, NUM_IMAGES, model={"name": model, "width": 8, "depth": 1})
    mapped = read_arrays(open_study(params, folder, folder, find_device), with_test=False)
    copied = replace(
        mapped,
        train_images=np.array(mapped.train_images),
        validation_images=np.array(mapped.validation_images),
        digest=f"{mapped.digest}, copied",
    )
    task = Task(
        configuration=Configuration(loss="cross_entropy", hyperparameters={}, learning_rate=1e-3, weight_decay=1e-2),
        seeds=(1,),
        model=params.model,
        training=params.training,
        device="cpu",
    )
    times: dict[str, list[float]] = {"copied": [], "mapped": []}
    for _ in range(repeats):
        for name, arrays in (("copied", copied), ("mapped", mapped)):
            times[name].append(_seconds(task, arrays))
    ratios = [copy / file for copy, file in zip(times["copied"], times["mapped"], strict=True)]
    return {
        "images_a_second": round(len(mapped.train_labels) / min(times["mapped"])),
        "of_copied": round(statistics.median(ratios), 3),
    }


def _seconds(task: Task, arrays: Arrays) -> float:
    DeviceData.of(arrays, torch.device("cpu"))  # loading is not part of it
    start = time.perf_counter()
    for _ in train(task, arrays, get("cross_entropy").bind({})):
        pass
    return time.perf_counter() - start


if __name__ == "__main__":
    os.environ.setdefault("OMP_NUM_THREADS", "1")
    main()
