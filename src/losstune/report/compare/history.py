"""The verdicts of a study in its Git history."""

from __future__ import annotations

import json
from itertools import zip_longest
from pathlib import Path
from typing import Any

from losstune.core.records import Row
from losstune.report.compare.trees import Tree, find_tree, git, read_blobs
from losstune.verdict.results import RESULTS_VERSION
from losstune.verdict.wording import Units

_BARS = "▁▂▃▄▅▆▇█"
_FIELDS = "%H%x1f%P%x1f%cI%x1f%s"


class Bounds(Row):
    """A mean score and its interval, as far as they are readable."""

    mean: float
    low: float | None = None
    high: float | None = None


class Entry(Row):
    """A verdict in the history.

    Attributes:
        commit: Full SHA; None for the work tree.
        date: Date of the commit, ISO 8601; empty for the work tree.
        message: First line of the commit's message.
        action: ``use``, ``keep`` or ``none``; None if it is not readable.
        winner: The loss to train with; None if there is no verdict.
        metric: Metric of the scores.
        minimize: Whether lower is better.
        percent: Whether it is a fraction.
        baseline: The loss that all are compared with.
        baseline_score: Its test score.
        winner_score: Test score of the winner.
        model: Name of the model.
        data_digest: Hash of the data's content.
        num_folded: Number of next commits that did not change ``results.json``.
        note: Why something is missing, or why it is not comparable with the verdict before; else empty.
    """

    commit: str | None
    date: str
    message: str
    action: str | None = None
    winner: str | None = None
    metric: str | None = None
    minimize: bool = False
    percent: bool = True
    baseline: str | None = None
    baseline_score: Bounds | None = None
    winner_score: Bounds | None = None
    model: str | None = None
    data_digest: str | None = None
    num_folded: int = 0
    note: str = ""

    @property
    def units(self) -> Units:
        """How its scores are shown."""
        return Units(self.metric or "", self.minimize, self.percent)


def history(folder: Path, results: Path, revision: str = "HEAD", most: int | None = None) -> list[Entry]:
    """Return the verdicts along ``git log``, newest first.

    A commit with the same ``results.json`` as one of its parents is folded into the entry before it in time. From HEAD,
    the work tree comes first if its ``results.json`` differs from the commit's.

    Args:
        folder: The study's folder.
        results: Path of ``results.json`` in the folder.
        revision: Revision to start from.
        most: Maximum number of verdicts; None for all.

    Raises:
        LosstuneError: If there is no such revision, or no Git repository.
    """
    tree = find_tree(folder, revision)
    # Before the first commit, there is only the work tree.
    listed = git(folder, "log", f"--format={_FIELDS}", tree.commit) if tree.commit else ""
    rows = [line.split("\x1f") for line in listed.splitlines()]
    ids = _blob_ids(folder, [row[0] for row in rows], results)
    found: list[tuple[dict[str, Any], str]] = []
    num_folded = 0
    for sha, parents, date, message in rows:
        # At the border of a shallow clone the parent is unknown, so the verdict counts as a new one.
        if ids[sha] is None or any(ids.get(parent) == ids[sha] for parent in parents.split()):
            num_folded += ids[sha] is not None
            continue
        facts = {"commit": sha, "date": date, "message": message, "num_folded": num_folded}
        found.append((facts, str(ids[sha])))
        num_folded = 0
    contents = read_blobs(folder, [blob for _, blob in found])
    entries = [_entry(facts, content) for (facts, _), content in zip(found, contents, strict=True)]
    if revision == "HEAD" or tree.is_workspace:
        entries = _workspace(folder, results, tree) + entries
    return _with_breaks(entries)[:most]


def sparkline(values: list[float | None]) -> str:
    """Return one bar per value, scaled from the lowest to the highest value; a space for None.

    Example:
        >>> sparkline([0.0, 0.5, None, 1.0])
        '▁▅ █'
    """
    known = [value for value in values if value is not None]
    if not known:
        return ""
    low, spread = min(known), max(known) - min(known)
    top = len(_BARS) - 1
    middle = top // 2

    def bar(value: float | None) -> str:
        if value is None:
            return " "
        return _BARS[middle if spread == 0 else int((value - low) / spread * top + 0.5)]

    return "".join(map(bar, values))


def _blob_ids(folder: Path, commits: list[str], path: Path) -> dict[str, str | None]:
    """Return the Git object of a file at every commit, or None."""
    request = [f"{commit}:./{path.as_posix()}" for commit in commits]
    # One process for all commits; the answers come in order.
    listed = git(folder, "cat-file", "--batch-check=%(objectname)", request="\n".join(request))
    answers = listed.splitlines()
    return {commit: None if " " in answer else answer for commit, answer in zip(commits, answers, strict=True)}


def _workspace(folder: Path, results: Path, tree: Tree) -> list[Entry]:
    file = folder / results
    if not file.is_file():
        return []
    content = file.read_bytes()
    if tree.commit and read_blobs(folder, [f"{tree.commit}:./{results.as_posix()}"])[0] == content:
        return []
    return [_entry({"commit": None, "date": "", "message": "not committed"}, content)]


def _entry(facts: dict[str, Any], content: bytes | None) -> Entry:
    """Read an entry. From an older layout or a damaged file, read the available fields and add a note."""
    try:
        values = json.loads(content or b"")
    except ValueError:
        values = None
    if not isinstance(values, dict):
        return Entry(**facts, note="results.json is damaged")
    version = values.get("results_version")
    verdict = _dict(values.get("verdict"))
    metric, baseline, winner = (_text(values.get("metric")), _text(values.get("baseline")), _text(verdict.get("loss")))
    return Entry(
        **facts,
        action=_text(verdict.get("action")),
        winner=winner,
        metric=metric,
        # A layout without these has accuracy or another fraction.
        minimize=values.get("minimize") is True,
        percent=values.get("percent") is not False,
        baseline=baseline,
        baseline_score=_score(values, baseline, metric),
        winner_score=_score(values, winner, metric),
        model=_text(values.get("model")),
        data_digest=_text(_dict(values.get("data")).get("digest")),
        note="" if version == RESULTS_VERSION else f"layout {version or 'unknown'}",
    )


def _score(values: dict[str, Any], loss: str | None, metric: str | None) -> Bounds | None:
    listed = values.get("losses")
    for result in listed if isinstance(listed, list) else []:
        if isinstance(result, dict) and result.get("loss") == loss:
            score = _dict(_dict(result.get("scores")).get(metric or ""))
            mean, low, high = (_number(score.get(name)) for name in ("mean", "low", "high"))
            return None if mean is None else Bounds(mean=mean, low=low, high=high)
    return None


def _with_breaks(entries: list[Entry]) -> list[Entry]:
    """Add a note to each entry whose score is not comparable with the one before."""
    noted = []
    for newer, older in zip_longest(entries, entries[1:]):
        notes = [newer.note] if newer.note else []
        if older is not None:
            notes += [
                f"{name}: {before} → {after}"
                for name, before, after in (
                    ("metric", older.metric, newer.metric),
                    ("baseline", older.baseline, newer.baseline),
                    ("model", older.model, newer.model),
                )
                if before is not None and after is not None and before != after
            ]
            if None not in (older.data_digest, newer.data_digest) and older.data_digest != newer.data_digest:
                notes.append("other data")
        noted.append(newer.model_copy(update={"note": "; ".join(notes)}))
    return noted


def _dict(value: object) -> dict[str, Any]:
    return value if isinstance(value, dict) else {}


def _text(value: object) -> str | None:
    return value if isinstance(value, str) else None


def _number(value: object) -> float | None:
    return float(value) if isinstance(value, int | float) and not isinstance(value, bool) else None
