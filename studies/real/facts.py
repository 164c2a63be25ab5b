"""Write what the page of the study says about time: trainings and seconds of each loss in each study.

    python facts.py                       # reads studies/*/results, writes facts.json
    python facts.py --studies FOLDER      # of another work tree

The records are in DVC's cache only; facts.json is in Git, so that page.py needs nothing else. What it says of studies
whose records are not here is kept.
"""

from __future__ import annotations

import argparse
import json
import statistics
from collections import defaultdict
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

HERE = Path(__file__).resolve().parent
BASELINE = "cross_entropy"
LISTS = (("tune/trials.jsonl", "tune/executions.jsonl"), ("confirm/blocks.jsonl", "confirm/executions.jsonl"))


def facts_of(folder: Path) -> dict[str, Any]:
    """Return what a study's records say: its trainings, their seconds, and what trained them.

    A loss's `relative` is the median, over the trainings that both have, of its seconds over those of cross_entropy.
    Trainings of the same number run at about the same time, so that other work on the machine slows both.
    """
    seconds = defaultdict[str, dict[tuple[str, int, int], float]](dict)
    total, commits, processors = list[float](), set[str](), set[str]()
    for records, executions in LISTS:
        found = {row["key"]: row for row in _rows(folder / "results" / executions)}
        total += [row["duration_sec"] for row in found.values()]
        commits |= {str(row["commit"]) for row in found.values()}
        processors |= {str(row["processor"]) for row in found.values()}
        for record in _rows(folder / "results" / records):
            if record["role"] in ("trial", "block") and record["status"] == "finished" and record["key"] in found:
                place = record["role"], record["search"], record["index"]
                seconds[record["configuration"]["loss"]][place] = found[record["key"]]["duration_sec"]
    return {
        "trainings": len(total),
        "seconds": round(sum(total), 1),
        "commits": sorted(commits),
        "processors": sorted(processors),
        "losses": {loss: _of_loss(values, seconds[BASELINE]) for loss, values in seconds.items()},
    }


def _of_loss(seconds: Mapping[Any, float], baseline: Mapping[Any, float]) -> dict[str, float]:
    pairs = [value / baseline[place] for place, value in seconds.items() if place in baseline]
    median = {"trainings": len(seconds), "median_seconds": round(statistics.median(seconds.values()), 4)}
    return median | ({"relative": round(statistics.median(pairs), 4)} if pairs else {})


def _rows(path: Path) -> Iterator[dict[str, Any]]:
    with path.open(encoding="utf-8") as lines:
        yield from map(json.loads, lines)


def facts_in(studies: Path, known: Mapping[str, Any]) -> dict[str, Any]:
    """Return the facts of all studies that have results and records, and the known ones of the others."""
    found = dict(known)
    for path in studies.glob("*/results.json"):
        if all((path.parent / "results" / name).exists() for pair in LISTS for name in pair):
            found[path.parent.name] = facts_of(path.parent)
    return dict(sorted(found.items()))


def main() -> None:
    """Write the facts."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--studies", type=Path, default=HERE / "studies", help="the folder of the studies")
    path = HERE / "facts.json"
    known = json.loads(path.read_text(encoding="utf-8")) if path.exists() else {}
    found = facts_in(parser.parse_args().studies, known)
    path.write_text(json.dumps(found, indent=1) + "\n", encoding="utf-8")
    print(f"facts.json: {len(found)} studies")


if __name__ == "__main__":
    main()
