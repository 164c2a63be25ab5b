"""What a GPU makes of losstune's trainings. One command, under 4 minutes on an H100:

    python benchmarks/gpu.py

1. ``digits``: trainings an hour of the default study's ``cnn`` and of the ``mlp``: one at a time with every step
   launched from Python, one at a time with captured steps, and packed, as many side by side as are quickest. The aim is
   30 times as many packed as launched one at a time.
2. ``resnet9``: seconds to 94% on CIFAR-10's test images: captured, median of 3 seeds, and launched, 1 seed.
3. ``losses``: time of every loss's forward and backward pass on logits (1024, 1000) in bfloat16, as a ratio to
   ``F.cross_entropy``, both captured.
4. ``step``: a step of many ``cnn``: branches of a graph, and stacked networks (``torch.func.vmap``) in a graph.
5. ``use``: utilisation of the GPU, and time of the host a step, while packs train.
6. ``study``, by name only, up to 8 minutes: five losses, two searches of six trials and eight blocks on CIFAR-10.

Parts 2 and 6 need CIFAR-10 as an image folder (train/ and test/, a folder a class), or a .tar.gz of one: ``--cifar10``.
``--device cpu --quick`` tries the script itself without a GPU.
"""

from __future__ import annotations

import argparse
import dataclasses
import os
import statistics
import subprocess
import sys
import tarfile
import tempfile
import threading
import time
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from functools import cache
from pathlib import Path
from typing import Any

import numpy as np
import torch
import torch.nn.functional as F
from PIL import Image
from torch import nn
from torch.func import functional_call, grad, stack_module_state, vmap

from losses import seconds as seconds_each
from losstune.config.load import load_params
from losstune.config.settings import ModelSettings, TrainingSettings
from losstune.core.records import Configuration
from losstune.losses.registry import get, names
from losstune.training import width as widths
from losstune.training.device_data import DeviceData
from losstune.training.device_steps import DeviceSteps
from losstune.training.graphs import NUM_STREAMS, Called, Captured, Repeated
from losstune.training.loop import train
from losstune.training.side_by_side import train_side_by_side
from losstune.training.task import Arrays, Task, TrainingResult
from losstune.training.training import Training

REPOSITORY = Path(__file__).resolve().parent.parent
CIFAR10 = REPOSITORY / ".gpu" / "cifar10.tar.gz"
LOSSES = ("cross_entropy", "kl_divergence", "label_smoothing", "focal", "gce")
PARTS = ("digits", "resnet9", "losses", "step", "use", "study")
PACKED_AIM = 30
NUM_TRIALS, NUM_SEARCHES, NUM_BLOCKS, STUDY_AIM, STUDY_SEC = 6, 2, 8, 0.92, 480
WARM_UP, NUM_CALLS = 3, 20

RESNET9 = {"name": "resnet9", "width": 64, "depth": 1}
RESNET9_TRAINING = {
    "batch_size": 512,
    "optimizer": "sgd",
    "momentum": 0.9,
    "schedule": "one_cycle",
    "warmup_fraction": 0.25,
    "precision": "bfloat16",
    "augmentation": [{"name": "crop"}, {"name": "flip"}, {"name": "cutout", "options": {"size": 0.25}}],
}
RESNET9_CONFIGURATION = {"learning_rate": 0.4, "weight_decay": 5e-4, "loss": "label_smoothing"}
"""As in David Page's entry to DAWNBench, whose losses are summed: 0.4 and 5e-4 for the mean."""


def main() -> None:
    """Run the parts and print their figures."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--parts", nargs="+", choices=PARTS, default=PARTS[:-1], help="all but the study by default")
    parser.add_argument("--device", choices=("cuda", "cpu"), default="cuda")
    parser.add_argument("--cifar10", type=Path, default=CIFAR10, help="an image folder or a .tar.gz of one")
    parser.add_argument("--epochs", type=int, default=20, help="of resnet9")
    parser.add_argument("--quick", action="store_true", help="a few short trainings, for trying the script")
    options = parser.parse_args()
    print(f"{_hardware(options.device)}, torch {torch.__version__}, {_commit()}", flush=True)
    for part in options.parts:
        start = time.perf_counter()
        print(f"\n{part}", flush=True)
        if part == "digits":
            digits(options.device, quick=options.quick)
        elif part == "losses":
            losses(options.device, quick=options.quick)
        elif part == "step":
            step(options.device, quick=options.quick)
        elif part == "use":
            use(options.device, quick=options.quick)
        elif not options.cifar10.exists():
            print(f"  left out: no CIFAR-10 at {options.cifar10}")
        elif part == "resnet9":
            resnet9(options.device, _cifar10(options.cifar10, options.quick), 1 if options.quick else options.epochs)
        else:
            study(options.device, options.cifar10, quick=options.quick)
        print(f"  ({part} took {time.perf_counter() - start:.0f} s)", flush=True)


def digits(device: str, *, quick: bool) -> None:
    """Time trainings of the default study: launched, captured, and packed."""
    arrays = _digits()
    for model in ("cnn", "mlp"):
        kinds = {"launched": 2 if quick else 6, "captured": 2 if quick else 12, "packed": 6 if quick else 21 + 3 * 64}
        rates = {}
        for kind, number in kinds.items():
            tasks = [_digits_task(model, device, seed, quick=quick) for seed in range(number)]
            tasks[0:0] = [tasks[0]] * WARM_UP if kind != "packed" else []
            ends = _run(tasks, arrays, kind)
            # Without the warm-up, and of packs without those that are still growing.
            first = WARM_UP if kind != "packed" else min(21, number // 2)
            rates[kind] = 3600 * (len(ends) - first) / (ends[-1] - ends[first - 1])
        size = max(width.size for width in widths._widths.values())
        print(
            f"  {model}: {rates['launched']:,.0f} trainings an hour launched, {rates['captured']:,.0f} captured "
            f"({rates['captured'] / rates['launched']:.1f} x), {rates['packed']:,.0f} packed by {size} "
            f"({rates['packed'] / rates['launched']:.1f} x, aim {PACKED_AIM})",
            flush=True,
        )


def resnet9(device: str, arrays: Arrays, epochs: int) -> None:
    """Train resnet9 on CIFAR-10: captured with three seeds, launched with one."""
    for kind, number in (("captured", 3), ("launched", 1)):
        seconds, accuracies, reached = [], [], []
        for seed in range(number):
            task = _task(RESNET9, RESNET9_TRAINING | {"epochs": epochs}, RESNET9_CONFIGURATION, device, seed)
            task = dataclasses.replace(task, test=True)
            start = time.perf_counter()
            (result,) = _results([task], arrays, kind)
            seconds.append(time.perf_counter() - start)
            accuracies.append(result.test["accuracy"] if result.test else 0.0)
            reached.append(next((e.epoch for e in result.curve if e.validation["accuracy"] >= 0.94), None))
        print(
            f"  {kind}: {epochs} epochs in {statistics.median(seconds):.1f} s (median of {_list(seconds, 1)}), "
            f"{100 * statistics.median(accuracies):.2f}% on the test images, 94% first in epochs {reached}",
            flush=True,
        )


def losses(device: str, *, quick: bool) -> None:
    """Time every loss beside cross-entropy."""
    shape = (64, 10) if quick else (1024, 1000)
    logits = torch.randn(shape, device=device, dtype=torch.bfloat16, requires_grad=True)
    target = torch.arange(shape[0], device=device) % shape[1]

    def repeated(function: object) -> Repeated:
        def step() -> None:
            assert callable(function)
            (gradient,) = torch.autograd.grad(function(logits, target).mean(), logits)
            gradients.copy_(gradient)

        gradients = torch.empty_like(logits)
        (stream,) = _streams(1, device)
        with torch.cuda.stream(stream):
            for _ in range(WARM_UP):
                step()
        return _repeated([step], [stream], device)

    reference = repeated(lambda z, y: F.cross_entropy(z, y, reduction="none"))
    ratios = {}
    for name in names():
        loss = get(name).bind({}).with_counts(torch.ones(shape[1], device=device))
        ours = repeated(loss)
        ratios[name] = statistics.median(
            seconds_each(ours, NUM_CALLS, device) / seconds_each(reference, NUM_CALLS, device)
            for _ in range(3 if quick else 7)
        )
    microseconds = 1e6 * seconds_each(reference, NUM_CALLS, device)
    print(f"  F.cross_entropy on {shape}: {microseconds:.0f} us forward and backward")
    ordered = sorted(ratios.items(), key=lambda item: -item[1])
    print("  ratios to it: " + ", ".join(f"{name} {ratio:.1f}" for name, ratio in ordered), flush=True)


def step(device: str, *, quick: bool) -> None:
    """Time a step of one loss for many networks in two ways."""
    for number in (1, 4) if quick else (1, 16, 64):
        tasks = [_digits_task("cnn", device, LOSSES.index("cross_entropy"), quick=True) for _ in range(number)]
        data = DeviceData.of(_digits(), torch.device(device))
        branches = [DeviceSteps(Training(task, 0, get("cross_entropy").bind({}), data, None)) for task in tasks]
        streams = _streams(min(number, NUM_STREAMS), device)
        for place, branch in enumerate(branches):
            with torch.cuda.stream(streams[place % NUM_STREAMS]):
                branch.try_out()
                branch.begin_epoch()
        functions = [branch.step for branch in branches]
        repeated = _repeated(functions, [streams[place % NUM_STREAMS] for place in range(number)], device)
        times = [seconds_each(repeated, branches[0].num_updates, device)]
        stacked = _stacked_step(number, device)
        with torch.cuda.stream(streams[0]):
            for _ in range(WARM_UP):
                stacked()
        times.append(seconds_each(_repeated([stacked], streams[:1], device), NUM_CALLS, device))
        each = [1e6 * seconds / number for seconds in times]
        print(
            f"  {number:3} networks: {each[0]:.0f} us a step and network as branches, {each[1]:.0f} us stacked",
            flush=True,
        )


def _stacked_step(number: int, device: str) -> Callable[[], None]:
    """Return a step of networks whose tensors are stacked: gradients by vmap, and one update of all."""
    networks = [_plain_cnn().to(device) for _ in range(number)]
    parameters, buffers = stack_module_state(networks)
    inputs, target = torch.randn(number, 64, 1, 8, 8, device=device), torch.randint(10, (number, 64), device=device)
    values = [parameter.detach() for parameter in parameters.values()]
    means, squares = ([torch.zeros_like(value) for value in values] for _ in range(2))
    counts = [torch.zeros((), device=device) for _ in values]

    def loss(state: dict[str, torch.Tensor], kept: dict[str, torch.Tensor], x: torch.Tensor, y: torch.Tensor) -> Any:
        return F.cross_entropy(functional_call(networks[0], (state, kept), (x,)), y)

    def take() -> None:
        state = dict(zip(parameters, values, strict=True))
        gradients = list(vmap(grad(loss))(state, buffers, inputs, target).values())
        torch._foreach_add_(counts, 1)
        options: dict[str, Any] = {"lr": 1e-3, "beta1": 0.9, "beta2": 0.999, "weight_decay": 0.0, "eps": 1e-8}
        torch._fused_adamw_(values, gradients, means, squares, [], counts, amsgrad=False, maximize=False, **options)

    return take


def _plain_cnn() -> nn.Sequential:
    # The layers of the default study's cnn. What that does for a CPU's memory format, vmap can't do.
    layers: list[nn.Module] = []
    for channels, out in ((1, 16), (16, 32)):
        convolution = nn.Conv2d(channels, out, 3, padding=1, bias=False)
        layers += [convolution, nn.BatchNorm2d(out), nn.MaxPool2d(2), nn.ReLU()]
    return nn.Sequential(*layers, nn.Flatten(), nn.Linear(32 * 2 * 2, 10))


def _streams(number: int, device: str) -> list[Any]:
    return [torch.cuda.Stream() if device == "cuda" else None for _ in range(number)]  # type: ignore[no-untyped-call]


def _repeated(functions: Sequence[Callable[[], None]], streams: Sequence[Any], device: str) -> Repeated:
    if device == "cpu":
        return Called(functions)
    torch.cuda.synchronize()
    return Captured(functions, streams, torch.cuda.graph_pool_handle())


def use(device: str, *, quick: bool) -> None:
    """Say how busy the GPU is while packs train, and how long the host takes for a step of a pack."""
    arrays, number = _digits(), 4 if quick else 64
    tasks = [_digits_task("cnn", device, seed, quick=quick) for seed in range(number)]
    counted: list[float] = []
    real = Captured.__call__

    def timed(self: Captured) -> torch.Tensor | None:
        start = time.perf_counter()
        result = real(self)
        counted.append(time.perf_counter() - start)
        return result

    Captured.__call__ = timed  # type: ignore[method-assign]
    try:
        with _utilisation(device) as percents:
            start = time.perf_counter()
            list(_outcomes(tasks * (1 if quick else 3), arrays, number))
            seconds = time.perf_counter() - start
    finally:
        Captured.__call__ = real  # type: ignore[method-assign]
    busy = f"{statistics.mean(percents):.0f}% of the time" if percents else "unknown (no nvidia-smi)"
    host = f"{1e6 * statistics.median(counted):.0f} us of the host" if counted else "not captured on a CPU"
    print(f"  {number} cnn side by side: GPU busy {busy}; a step of all: {host}; {seconds:.1f} s in all", flush=True)


def study(device: str, cifar10: Path, *, quick: bool) -> None:
    """Run a study on CIFAR-10 from data to verdict, without Ray, MLflow and DVC."""
    from ruamel.yaml import YAML

    with tempfile.TemporaryDirectory() as temp:
        folder, yaml = Path(temp), YAML()
        params = yaml.load(REPOSITORY / "params.yaml")
        params["study"]["name"] = "cifar10"
        params["data"].update(name="imagefolder", root=str(_unpacked(cifar10, folder)))
        params["model"].update(RESNET9 | {"width": 8 if quick else 32})
        params["training"].update(RESNET9_TRAINING | {"epochs": 1 if quick else 10})
        params["losses"] = list(LOSSES)
        params["search_space"]["learning_rate"].update(low=0.02, high=2.0, default=0.4)
        params["search_space"]["weight_decay"].update(low=5e-5, high=5e-3, default=5e-4)
        params["search_space"]["losses"] = {}
        params["tune"].update(num_searches=NUM_SEARCHES, trials_per_loss=NUM_TRIALS)
        params["confirm"]["num_blocks"] = NUM_BLOCKS
        params["resources"].update(executor="inline", device=device)
        params["tracking"]["enabled"] = False
        yaml.dump(params, folder / "params.yaml")
        start = time.perf_counter()
        for stage in ("prepare", "tune", "confirm", "report"):
            done = subprocess.run(
                [sys.executable, "-m", "losstune", stage], cwd=folder, capture_output=True, text=True, check=False
            )
            if done.returncode:
                print(f"  {stage} failed: {done.stderr[-1500:]}")
                return
            print(f"  {stage}: {time.perf_counter() - start:.0f} s since the start", flush=True)
        print("  " + done.stdout.strip().replace("\n", "\n  "))
        print(f"  aims: {STUDY_AIM:.0%} or better, {STUDY_SEC} s")


def _run(tasks: Sequence[Task], arrays: Arrays, kind: str) -> list[float]:
    """Return when each training ended, in seconds."""
    widths._widths.clear()
    DeviceData.forget()
    ends = []
    if kind == "launched":
        for task in tasks:
            _results([task], arrays, kind)
            ends.append(time.perf_counter())
        return ends
    for _ in _outcomes(tasks, arrays, 1 if kind == "captured" else None):
        ends.append(time.perf_counter())
    return ends


def _results(tasks: Sequence[Task], arrays: Arrays, kind: str) -> list[TrainingResult]:
    if kind == "captured":
        return list(_outcomes(tasks, arrays, 1))
    results = []
    for task in tasks:
        *_, (result,) = train(task, arrays, get(task.configuration.loss).bind({}))
        results.append(result)
    return results


def _outcomes(tasks: Sequence[Task], arrays: Arrays, width: int | None) -> Iterator[TrainingResult]:
    bound = [get(task.configuration.loss).bind({}) for task in tasks]
    for ended in train_side_by_side(tasks, bound, arrays, (), lambda number, result: True, width):
        if not isinstance(ended.outcome, TrainingResult) or ended.note:
            sys.exit(f"{tasks[ended.number].configuration.loss}: {ended.outcome!r} {ended.note or ''}")
        yield ended.outcome


def _task(
    model: dict[str, object], training: dict[str, object], configuration: dict[str, object], device: str, seed: int
) -> Task:
    return Task(
        configuration=Configuration.model_validate({"hyperparameters": {}} | configuration),
        seeds=(seed,),
        model=ModelSettings.model_validate(model),
        training=TrainingSettings.model_validate(training),
        device=device,
    )


def _digits_task(model: str, device: str, seed: int, *, quick: bool) -> Task:
    params = load_params(REPOSITORY / "params.yaml")
    training = params.training.model_dump() | {"precision": "float32"} | ({"epochs": 2} if quick else {})
    settings = params.model.model_dump() | {"name": model} | ({"width": 64} if model == "mlp" else {})
    configuration = {"loss": LOSSES[seed % len(LOSSES)], "learning_rate": 1e-3, "weight_decay": 1e-2}
    return _task(settings, training, configuration, device, seed)


@cache
def _digits() -> Arrays:
    """Return scikit-learn's digits, or, where it is not installed, random images of the same shape."""
    try:
        from sklearn.datasets import load_digits
    except ImportError:
        generator = np.random.default_rng(0)
        images = generator.integers(0, 17, (1797, 1, 8, 8)).astype(np.uint8)
        labels = generator.integers(0, 10, 1797)
    else:
        found = load_digits()
        images, labels = found.images.astype(np.uint8)[:, None], found.target.astype(np.int64)
    return _arrays(images[:1150], labels[:1150], images[1150:1437], labels[1150:1437], None, None, "digits")


def _cifar10(source: Path, quick: bool) -> Arrays:
    """Return CIFAR-10: the test images are also those of validation, because nothing is selected here."""
    with tempfile.TemporaryDirectory() as temp:
        folder = _unpacked(source, Path(temp))
        train_split, test_split = (_images(folder / split, 500 if quick else None) for split in ("train", "test"))
    return _arrays(*train_split, *test_split, *test_split, digest="CIFAR-10")


def _images(folder: Path, most: int | None) -> tuple[np.ndarray, np.ndarray]:
    paths = sorted(folder.glob("*/*"))
    classes = sorted({path.parent.name for path in paths})
    paths = paths[:: 1 if most is None else max(1, len(paths) // most)]
    with ThreadPoolExecutor(os.cpu_count()) as pool:
        images = list(pool.map(lambda path: np.asarray(Image.open(path).convert("RGB")), paths))
    return np.stack(images).transpose(0, 3, 1, 2).copy(), np.array([classes.index(path.parent.name) for path in paths])


def _unpacked(source: Path, folder: Path) -> Path:
    """Return the folder that has ``train``."""
    if source.is_dir():
        return source.resolve()
    with tarfile.open(source) as archive:
        archive.extractall(folder / "cifar10", filter="data")
    return next(path.parent for path in sorted((folder / "cifar10").rglob("train")) if path.is_dir())


def _arrays(
    images: np.ndarray,
    labels: np.ndarray,
    validation_images: np.ndarray,
    validation_labels: np.ndarray,
    test_images: np.ndarray | None,
    test_labels: np.ndarray | None,
    digest: str,
) -> Arrays:
    axes = (0, 2, 3)
    return Arrays(
        train_images=images,
        train_labels=labels.astype(np.int64),
        validation_images=validation_images,
        validation_labels=validation_labels.astype(np.int64),
        test_images=test_images,
        test_labels=None if test_labels is None else test_labels.astype(np.int64),
        mean=tuple(images.mean(axes, dtype=np.float64).tolist()),
        std=tuple(images.std(axes, dtype=np.float64).tolist()),
        num_classes=10,
        digest=digest,
    )


@contextmanager
def _utilisation(device: str) -> Iterator[list[float]]:
    """Yield a list that fills with the utilisation of the GPU, in percent, ten times a second."""
    percents: list[float] = []
    if device == "cpu":
        yield percents
        return
    query = ["nvidia-smi", "--query-gpu=utilization.gpu", "--format=csv,noheader,nounits", "-lms", "100"]
    try:
        process = subprocess.Popen(query, stdout=subprocess.PIPE, text=True)
    except FileNotFoundError:
        yield percents
        return

    def read() -> None:
        assert process.stdout is not None
        percents.extend(float(line) for line in process.stdout if line.strip().isdigit())

    thread = threading.Thread(target=read, daemon=True)
    thread.start()
    try:
        yield percents
    finally:
        process.terminate()
        thread.join(5)


def _hardware(device: str) -> str:
    return torch.cuda.get_device_name() if device == "cuda" else "CPU"


def _commit() -> str:
    done = subprocess.run(
        ["git", "rev-parse", "--short", "HEAD"], cwd=REPOSITORY, capture_output=True, text=True, check=False
    )
    return f"commit {done.stdout.strip()}" if done.returncode == 0 else "commit unknown"


def _list(values: Sequence[float], digits: int) -> str:
    return ", ".join(f"{value:.{digits}f}" for value in values)


if __name__ == "__main__":
    main()
