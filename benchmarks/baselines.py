"""What losstune's overhead is measured against: the same trainings with less around them, and with more.

Run by ``overhead.py``, each baseline in a process of its own, so that starting and importing count:

    python benchmarks/baselines.py bare <study folder> <jobs file>
    python benchmarks/baselines.py ray <study folder> <jobs file>
    python benchmarks/baselines.py tutorial <study folder> <jobs file>

The study folder holds ``params.yaml`` and the prepared data. The jobs file holds one JSON object a line, with
a configuration and a seed. Each baseline prints the final validation accuracy of every job, as a JSON list.
"""

from __future__ import annotations

import json
import multiprocessing
import os
import sys
import tempfile
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

from losstune.config.load import PARAMS_FILE, load_params
from losstune.core.records import Configuration

Job = tuple[Configuration, int]
"""A configuration, and the seed to train it with."""

TrainOne = Callable[[Job], float]
"""Trains a job and returns its final validation accuracy."""

_train_one: TrainOne | None = None


def run_bare(
    jobs: Sequence[Job],
    make_train: Callable[[Path], TrainOne],
    folder: Path,
    num_processes: int,
    preload: Sequence[str] = (),
) -> list[float]:
    """Train the jobs in a pool of processes with one thread each: no Ray, no MLflow, no records.

    This is about the least that a parallel search on the CPU can cost. The processes are forked from a server
    that has imported `preload`, so that imports are paid for once; each reads the data once.

    Args:
        jobs: What to train, in the order in which it is handed out.
        make_train: Called once in each process with `folder`; returns the function that trains a job.
        folder: Where settings and data are.
        num_processes: Number of trainings at a time.
        preload: Modules that the training needs.
    """
    context = multiprocessing.get_context("forkserver")
    context.set_forkserver_preload(list(preload))
    os.environ["OMP_NUM_THREADS"] = "1"
    with context.Pool(num_processes, _start_worker, (make_train, folder)) as pool:
        return list(pool.imap(_train_in_worker, jobs, chunksize=1))


def _start_worker(make_train: Callable[[Path], TrainOne], folder: Path) -> None:
    global _train_one
    _train_one = make_train(folder)


def _train_in_worker(job: Job) -> float:
    assert _train_one is not None
    return _train_one(job)


def make_losstune_train(folder: Path) -> TrainOne:
    """Return losstune's own training function, bound to the settings and the data in `folder`."""
    from losstune.losses.registry import get
    from losstune.stages.study import open_study, read_arrays
    from losstune.stages.workers import find_device
    from losstune.training.loop import train
    from losstune.training.task import Task

    study = open_study(load_params(folder / PARAMS_FILE), folder, folder, find_device)
    arrays = read_arrays(study, with_test=False)

    def train_one(job: Job) -> float:
        configuration, seed = job
        task = Task(
            configuration=configuration,
            seeds=(seed,),
            model=study.params.model,
            training=study.params.training,
            device=study.device,
        )
        loss = get(configuration.loss).bind(configuration.hyperparameters)
        *_, results = train(task, arrays, loss)
        return results[0].validation["accuracy"]

    return train_one


def run_ray(jobs: Sequence[Job], make_train: Callable[[Path], TrainOne], folder: Path, num_actors: int) -> list[float]:
    """Train the jobs in Ray actors, one a core, each given its next job as it ends one: no Tune, no MLflow.

    About the least that anything built on Ray can cost, if it starts Ray itself.

    Args:
        jobs: What to train, in the order in which it is handed out.
        make_train: As in :func:`run_bare`.
        folder: Where settings and data are.
        num_actors: Number of trainings at a time.
    """
    import ray
    from ray.util import ActorPool

    class Trainer:
        def __init__(self) -> None:
            self._train_one = make_train(folder)

        def train(self, job: Job) -> float:
            return self._train_one(job)

    os.environ.setdefault("RAY_USAGE_STATS_ENABLED", "0")
    ray.init(address="local", num_cpus=num_actors, include_dashboard=False, log_to_driver=False)
    remote = ray.remote(num_cpus=1)(Trainer)
    pool = ActorPool([remote.remote() for _ in range(num_actors)])
    accuracies = list(pool.map(lambda actor, job: actor.train.remote(job), jobs))
    ray.shutdown()
    return accuracies


def run_tutorial(jobs: Sequence[Job], folder: Path) -> list[float]:
    """Train the jobs as Ray's guide "How to use Tune with PyTorch" does, with Ray's MLflow callback added.

    A function trainable in a fresh process per trial; in it a ``DataLoader`` with worker processes for
    training and one for validation, started anew each epoch; a report with a checkpoint (model and optimiser)
    after every epoch; Ray's default loggers. Two settings are gentler than the guide's, whose 8 workers and 2
    CPUs a trial would be slower still on few cores: 2 workers, and 1 CPU a trial. No trial is stopped early,
    so that the work is the same. Model, data, losses, optimiser, schedule, batch size and epochs are the
    study's.

    Args:
        jobs: What to train.
        folder: Where settings and data are.
    """
    os.environ.setdefault("RAY_USAGE_STATS_ENABLED", "0")
    os.environ.setdefault("MLFLOW_DISABLE_TELEMETRY", "true")
    from ray import tune
    from ray.air.integrations.mlflow import MLflowLoggerCallback

    with tempfile.TemporaryDirectory() as temp:
        tracking_uri = f"sqlite:///{temp}/mlflow.db"
        # The schema first: Ray's processes would otherwise meet over making it.
        import mlflow

        mlflow.set_tracking_uri(tracking_uri)
        mlflow.create_experiment("tutorial", artifact_location=f"{temp}/artifacts")
        tuner = tune.Tuner(
            tune.with_resources(tune.with_parameters(_tutorial_trial, folder=folder), {"cpu": 1}),
            param_space={
                "job": tune.grid_search(
                    [
                        {"number": number, "seed": seed, **configuration.model_dump()}
                        for number, (configuration, seed) in enumerate(jobs)
                    ]
                )
            },
            tune_config=tune.TuneConfig(metric="accuracy", mode="max"),
            run_config=tune.RunConfig(
                name="tutorial",
                storage_path=f"{temp}/results",
                callbacks=[MLflowLoggerCallback(tracking_uri=tracking_uri, experiment_name="tutorial")],
                verbose=0,
            ),
        )
        results = tuner.fit()
        if results.errors:
            raise RuntimeError(f"{len(results.errors)} trials failed: {results.errors[0]}")
        accuracies = {result.config["job"]["number"]: result.metrics["accuracy"] for result in results}
    return [float(accuracies[number]) for number in range(len(jobs))]


def _tutorial_trial(config: dict[str, Any], folder: Path) -> None:
    import torch
    from ray import tune
    from torch.utils.data import DataLoader, TensorDataset

    from losstune.losses.registry import get
    from losstune.models import build_model
    from losstune.stages.study import open_study, read_arrays
    from losstune.stages.workers import find_device

    job, study = config["job"], open_study(load_params(folder / PARAMS_FILE), folder, folder, find_device)
    settings, arrays = study.params.training, read_arrays(study, with_test=False)
    torch.manual_seed(job["seed"])
    mean, std = torch.tensor(arrays.mean).view(-1, 1, 1), torch.tensor(arrays.std).view(-1, 1, 1)

    def dataset(images: Any, labels: Any) -> TensorDataset:
        normalised = (torch.tensor(images).float() - mean) / std
        return TensorDataset(normalised, torch.tensor(labels))

    train_loader = DataLoader(
        dataset(arrays.train_images, arrays.train_labels),
        batch_size=settings.batch_size,
        shuffle=True,
        drop_last=True,
        num_workers=2,
    )
    validation_loader = DataLoader(
        dataset(arrays.validation_images, arrays.validation_labels), batch_size=settings.batch_size, num_workers=2
    )
    network = build_model(study.params.model, arrays.train_images.shape[1:], arrays.num_classes)
    loss = get(job["loss"]).bind(job["hyperparameters"])
    optimizer = torch.optim.AdamW(network.parameters(), lr=job["learning_rate"], weight_decay=job["weight_decay"])
    schedule = torch.optim.lr_scheduler.CosineAnnealingLR(optimizer, settings.epochs * len(train_loader))
    for _ in range(settings.epochs):
        network.train()
        for images, labels in train_loader:
            optimizer.zero_grad()
            loss(network(images), labels).mean().backward()  # type: ignore[no-untyped-call]
            optimizer.step()
            schedule.step()
        network.eval()
        num_correct, total_loss = 0, 0.0
        with torch.no_grad():
            for images, labels in validation_loader:
                logits = network(images)
                num_correct += int((loss.probabilities(logits).argmax(dim=1) == labels).sum())
                total_loss += float(loss(logits, labels).sum())
        num = len(arrays.validation_labels)
        with tempfile.TemporaryDirectory() as checkpoint_folder:
            state = (network.state_dict(), optimizer.state_dict())
            torch.save(state, Path(checkpoint_folder) / "checkpoint.pt")
            tune.report(
                {"loss": total_loss / num, "accuracy": num_correct / num},
                checkpoint=tune.Checkpoint.from_directory(checkpoint_folder),
            )


def main(kind: str, folder: Path, jobs_file: Path) -> None:
    """Run one of the baselines and print the accuracies as a JSON list."""
    rows = [json.loads(line) for line in jobs_file.read_text(encoding="utf-8").splitlines()]
    jobs = [(Configuration(**row["configuration"]), int(row["seed"])) for row in rows]
    num_cores = len(os.sched_getaffinity(0))
    if kind == "bare":
        preload = ("losstune.training.loop", "losstune.stages.study")
        accuracies = run_bare(jobs, make_losstune_train, folder, num_cores, preload)
    elif kind == "ray":
        accuracies = run_ray(jobs, make_losstune_train, folder, num_cores)
    else:
        accuracies = run_tutorial(jobs, folder)
    print(json.dumps(accuracies))


if __name__ == "__main__":
    main(sys.argv[1], Path(sys.argv[2]).resolve(), Path(sys.argv[3]))
