"""``losstune compare``: read two revisions of the study and compare them."""

from __future__ import annotations

from pathlib import Path

from losstune.config.load import load_params
from losstune.report.compare.comparison import Comparison, Link, compare
from losstune.report.compare.revisions import Places, read_revision
from losstune.report.compare.trees import find_tree
from losstune.stages.layout import BLOCK_EXECUTIONS, PREPARED, REGISTRATION, RESULTS

PLACES = Places(
    results=RESULTS, registration=REGISTRATION, manifest=PREPARED / "manifest.json", executions=BLOCK_EXECUTIONS
)


def compare_revisions(folder: Path, name_a: str, name_b: str, *, force: bool) -> Comparison:
    """Compare the study in a folder at two revisions.

    Raises:
        LosstuneError: If a revision is unknown or has no verdict, or the protocols are not comparable and `force` is
            false.
    """
    # Both names are resolved first, so that a mistyped second one is reported at once.
    trees = find_tree(folder, name_a), find_tree(folder, name_b)
    a, b = (read_revision(tree, PLACES) for tree in trees)
    return compare(a, b, force=force)


def with_links(comparison: Comparison, root: Path) -> Comparison:
    """Add the MLflow runs of both revisions. Runs of the commits that trained come first, if MLflow has them.

    Args:
        comparison: The comparison.
        root: Folder of MLflow's database, see :func:`losstune.config.load.study_root`.
    """
    from losstune.tracking import find_runs

    settings = load_params().tracking
    links: list[Link] = []
    notes = list(comparison.notes)
    for revision in (comparison.a, comparison.b):
        runs, problem = find_runs(settings, root, revision.protocol)
        if problem:
            notes.append(f"MLflow, {revision.name}: {problem}")
        links += [
            Link(revision=revision.name, run=run.name, url=run.url, commit=run.commit, versions=run.versions)
            for run in runs
        ]
    notes += _version_notes(comparison, links)
    return comparison.model_copy(update={"links": tuple(links), "notes": tuple(dict.fromkeys(notes))})


def _version_notes(comparison: Comparison, links: list[Link]) -> list[str]:
    """Return a note on the libraries that differ between the runs of the revisions, according to MLflow's tags."""
    found: list[dict[str, set[str]]] = []
    for revision in (comparison.a, comparison.b):
        versions: dict[str, set[str]] = {}
        for link in links:
            if link.revision == revision.name:
                for name, version in link.versions.items():
                    versions.setdefault(name, set()).add(version)
        found.append(versions)
    differing = [
        f"{name} {' and '.join(sorted(found[0][name]))} → {' and '.join(sorted(found[1][name]))}"
        for name in found[0]
        if name in found[1] and found[0][name] != found[1][name]
    ]
    return [f"The versions of the runs differ: {', '.join(differing)}."] if differing else []
