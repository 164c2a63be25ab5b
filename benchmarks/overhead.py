"""What losstune costs beyond the trainings themselves: wall-clock of whole studies, everything included.

    python benchmarks/overhead.py --repeats 3

The digits study (cnn, 20 epochs a trial, Sobol points, MLflow on) through ``losstune tune``, in a fresh
folder each time, from the start of the process to its end, against

(a) the same trainings, seed by seed, in a bare multiprocessing loop without Ray, MLflow and records,
(b) the way Ray's own PyTorch guide does it, with Ray's MLflow callback; at the smallest number of trials
only, and
(c) the bare loop again with Ray's actors for processes: what Ray alone costs, without Tune, MLflow and records,
and so the floor under any code that starts Ray.

The runs are interleaved, so that a machine that is slower for a while is so for all. That (a) and (c) do the
same work is checked: their validation accuracies must equal losstune's to the last bit. The aims are printed beside
the ratios. On 2 cores with 40 and 200 trials a repeat takes about 3 minutes, and 5 more with (b).
"""

from __future__ import annotations

import argparse
import json
import os
import shutil
import statistics
import subprocess
import sys
import tempfile
import time
from collections import defaultdict
from collections.abc import Sequence
from pathlib import Path

from ruamel.yaml import YAML

REPOSITORY = Path(__file__).resolve().parent.parent
BASELINES = Path(__file__).resolve().parent / "baselines.py"
LOSSES = ("cross_entropy", "label_smoothing", "focal", "gce", "tsallis_score")
EPOCHS = 20
OURS, BARE, TUTORIAL, ACTORS = "losstune tune", "(a) bare loop", "(b) Ray's guide", "(c) bare Ray actors"

AIMS = {40: 1.15, 200: 1.05}
"""losstune's wall-clock over the bare loop's, by number of trials."""

LEAST_TUTORIAL = 10.0
"""The guide's wall-clock over losstune's."""

Times = dict[tuple[str, int], list[float]]
"""Wall-clock seconds by kind of run and number of trials."""


def main() -> None:
    """Run the benchmark and print its table."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--trials", type=int, nargs="+", default=[40, 200], help="trials of a study, in all")
    parser.add_argument("--repeats", type=int, default=3, help="how often everything is run")
    parser.add_argument("--skip-tutorial", action="store_true", help="leave (b) out")
    options = parser.parse_args()
    sizes = sorted(set(options.trials))
    for size in sizes:
        if size < 1 or size % len(LOSSES):
            parser.error(f"--trials: expected multiples of {len(LOSSES)}, the number of losses, found {size}")
    if os.getloadavg()[0] > 0.5:
        print(f"other work is running here (load {os.getloadavg()[0]:.1f}): ratios will be off", file=sys.stderr)
    times: Times = defaultdict(list)
    with tempfile.TemporaryDirectory(prefix="losstune-overhead-") as temp:
        template = Path(temp) / "template"
        _make_study(template, sizes[0])
        _run([sys.executable, "-m", "losstune", "prepare"], template)
        for repeat in range(1, options.repeats + 1):
            for size in sizes:
                folder = Path(temp) / f"{size}-{repeat}"
                shutil.copytree(template, folder)
                _make_study(folder, size)
                times[OURS, size].append(_run([sys.executable, "-m", "losstune", "tune"], folder)[0])
                jobs, expected = _jobs_of(folder)
                for kind, name in ((BARE, "bare"), (ACTORS, "ray")):
                    command = [sys.executable, str(BASELINES), name, str(folder), str(jobs)]
                    seconds, output = _run(command, folder)
                    times[kind, size].append(seconds)
                    if _accuracies(output) != expected:
                        sys.exit(f"{kind} did other work: its accuracies differ from losstune's at {size} trials")
                if size == sizes[0] and not options.skip_tutorial:
                    command = [sys.executable, str(BASELINES), "tutorial", str(folder), str(jobs)]
                    seconds, output = _run(command, folder)
                    times[TUTORIAL, size].append(seconds)
                    assert len(_accuracies(output)) == size
                for (kind, num), measured in times.items():
                    if num == size:
                        print(f"repeat {repeat}: {kind}, {num} trials: {measured[-1]:.1f} s", flush=True)
                shutil.rmtree(folder)
    print("\n".join(_table(times, sizes)))


def _make_study(folder: Path, num_trials: int) -> None:
    """Write the repository's ``params.yaml``, changed to this benchmark's study."""
    yaml = YAML()
    params = yaml.load(REPOSITORY / "params.yaml")
    params["study"]["name"] = "overhead"
    params["data"]["name"] = "digits"
    params["model"].update({"name": "cnn", "width": 16, "depth": 2})
    params["training"].update({"epochs": EPOCHS, "batch_size": 64, "optimizer": "adamw", "warmup_fraction": 0.0})
    params["training"].update({"schedule": "cosine", "augmentation": "none", "precision": "float32"})
    params["losses"], params["baseline"] = list(LOSSES), LOSSES[0]
    params["search_space"]["losses"] = {}
    params["tune"].update({"num_searches": 2, "trials_per_loss": num_trials // (2 * len(LOSSES))})
    params["tune"].update({"sampler": "sobol", "scheduler": "fifo"})
    params["resources"].update({"executor": "ray", "device": "cpu"})
    params["resources"].update({"max_concurrent": "auto", "ray_address": None})
    params["tracking"].update({"enabled": True, "uri": None, "experiment": None})
    folder.mkdir(exist_ok=True)
    yaml.dump(params, folder / "params.yaml")


def _run(command: Sequence[str], folder: Path) -> tuple[float, str]:
    """Run `command` in `folder`; return its wall-clock in seconds and what it printed."""
    # Nothing of the caller's may reach the study: not a DVC run around this one, nor a tracking server.
    hidden = ("DVC_", "MLFLOW_", "RAY_")
    environment = {name: value for name, value in os.environ.items() if not name.startswith(hidden)}
    start = time.perf_counter()
    done = subprocess.run(command, cwd=folder, env=environment, capture_output=True, text=True, check=False)
    seconds = time.perf_counter() - start
    if done.returncode:
        sys.exit(f"{' '.join(command)} ended with code {done.returncode}:\n{done.stdout}\n{done.stderr}")
    return seconds, done.stdout


def _jobs_of(folder: Path) -> tuple[Path, list[float]]:
    """Return the file of the jobs that the study in `folder` trained, and what accuracy each reached."""
    from losstune.stages.layout import TRIALS, read_records

    # Trial 0 of every loss first, as losstune hands them out.
    records = sorted(read_records(folder / TRIALS), key=lambda record: record.index)
    jobs = folder / "jobs.jsonl"
    rows = [{"configuration": record.configuration.model_dump(), "seed": record.seed} for record in records]
    jobs.write_text("".join(json.dumps(row) + "\n" for row in rows), encoding="utf-8")
    return jobs, [record.validation["accuracy"] for record in records]


def _accuracies(output: str) -> list[float]:
    return [float(value) for value in json.loads(output.strip().splitlines()[-1])]


def _table(times: Times, sizes: Sequence[int]) -> list[str]:
    medians = {key: statistics.median(measured) for key, measured in times.items()}
    lines = ["", f"{'median wall-clock, seconds':<28}" + "".join(f"{size:>8} trials" for size in sizes)]
    for kind in (OURS, BARE, ACTORS, TUTORIAL):
        cells = [f"{medians[kind, size]:15.1f}" if (kind, size) in medians else " " * 15 for size in sizes]
        if any(cell.strip() for cell in cells):
            lines.append(f"{kind:<28}" + "".join(cells))
    for kind, label in ((OURS, "losstune / (a)"), (ACTORS, "(c) / (a)")):
        ratios = [f"{medians[kind, size] / medians[BARE, size]:15.2f}" for size in sizes]
        lines.append(f"{label:<28}" + "".join(ratios))
    aims = [f"{'at most ' + format(AIMS[size], '.2f'):>15}" if size in AIMS else " " * 15 for size in sizes]
    lines.append(f"{'the aim of losstune / (a)':<28}" + "".join(aims))
    if (TUTORIAL, sizes[0]) in medians:
        ratio = medians[TUTORIAL, sizes[0]] / medians[OURS, sizes[0]]
        lines.append(f"{'(b) / losstune':<28}{ratio:15.1f}, the aim is {LEAST_TUTORIAL:.0f} or more")
    if len(sizes) > 1:
        small, large = sizes[0], sizes[-1]
        for kind in (OURS, BARE, ACTORS):
            each = (medians[kind, large] - medians[kind, small]) / (large - small)
            fixed = medians[kind, small] - small * each
            lines.append(f"{kind}: {fixed:.1f} s fixed + {1000 * each:.0f} ms a trial")
    return lines


if __name__ == "__main__":
    main()
