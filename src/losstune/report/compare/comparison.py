"""The comparison as a value, with everything that the output formats print."""

from __future__ import annotations

from losstune.core.errors import LosstuneError
from losstune.core.records import Row
from losstune.report.compare.changes import Changes, changes_between
from losstune.report.compare.code import code_change, recorded_change
from losstune.report.compare.comparability import comparability
from losstune.report.compare.revisions import Revision
from losstune.report.compare.scores import ScoreComparison, compare_scores
from losstune.report.compare.sentence import sentence_of


class Link(Row):
    """A run in MLflow.

    Attributes:
        revision: Name of the revision.
        run: Name of the run.
        url: URL in MLflow's UI.
        commit: Short commit that logged it; None if it has none.
        versions: Versions of its libraries.
    """

    revision: str
    run: str
    url: str
    commit: str | None = None
    versions: dict[str, str] = {}  # noqa: RUF012  (pydantic copies it)


class RevisionFacts(Row):
    """The identity of a revision, and its verdict.

    Attributes:
        name: Name that the user gave.
        title: The name with the commit.
        commit: Full SHA; None before the first commit.
        is_workspace: Whether it is the work tree.
        is_dirty: Whether the work tree differs from its commit.
        protocol: Hash of its registration.
        trained_at: Commits that trained the blocks, as far as DVC's cache has the executions.
        verdict: Its verdict in a sentence.
    """

    name: str
    title: str
    commit: str | None
    is_workspace: bool
    is_dirty: bool
    protocol: str
    trained_at: tuple[str, ...]
    verdict: str


class Comparison(Row):
    """Two revisions of a study, compared.

    Attributes:
        a: The first revision.
        b: The second revision.
        comparability: Differences of the protocols that make the scores incomparable; empty unless forced.
        changes: The differences.
        scores: The scores of every loss.
        sentence: The result in one sentence.
        notes: Limits of the comparison.
        links: Runs in MLflow, if requested.
    """

    a: RevisionFacts
    b: RevisionFacts
    comparability: tuple[str, ...]
    changes: Changes
    scores: ScoreComparison
    sentence: str
    notes: tuple[str, ...]
    links: tuple[Link, ...] = ()


def compare(a: Revision, b: Revision, *, force: bool = False) -> Comparison:
    """Compare two revisions of a study.

    Raises:
        LosstuneError: If the protocols are not comparable and `force` is false; the message names the differences.
    """
    found = comparability(a, b)
    if found and not force:
        raise LosstuneError(
            f"{a.tree.name} and {b.tree.name} cannot be compared: {'; '.join(found)}; `--force` compares with a warning"
        )
    scores = compare_scores(a, b)
    losses = [loss.loss for loss in scores.losses]
    same = tuple(loss.loss for loss in scores.losses if loss.same_winners)
    code = recorded_change(a.results.code, b.results.code, code_change(a.tree, b.tree, losses))
    name_a, name_b = a.tree.name, b.tree.name
    changes = changes_between(a, b, code, same)
    return Comparison(
        a=_facts(a),
        b=_facts(b),
        comparability=tuple(found),
        changes=changes,
        scores=scores,
        sentence=sentence_of(name_a, name_b, scores),
        notes=(*dict.fromkeys((*a.notes, *b.notes)), *_notes(a, b, scores, changes)),
    )


def _facts(revision: Revision) -> RevisionFacts:
    tree = revision.tree
    return RevisionFacts(
        name=tree.name,
        title=tree.title,
        commit=tree.commit,
        is_workspace=tree.is_workspace,
        is_dirty=tree.is_dirty,
        protocol=revision.results.protocol,
        trained_at=revision.commits,
        verdict=revision.results.verdict.sentence,
    )


def _notes(a: Revision, b: Revision, scores: ScoreComparison, changes: Changes) -> list[str]:
    notes = []
    compared = [loss for loss in scores.losses if loss.difference is not None or loss.is_identical]
    same = [loss for loss in compared if loss.same_winners]
    if same and not all(loss.is_identical for loss in compared):
        which = (
            "Every search" if len(same) == len(compared) else f"The searches of {len(same)} of {len(compared)} losses"
        )
        notes.append(
            f"{which} ended at the same configurations at both revisions, so they share the variation between searches."
        )
    if changes.has_none and not all(loss.is_identical for loss in compared):
        notes.append(
            "The scores differ although settings, data, code and versions are the same. "
            + (
                "Another processor or device may have trained them; their executions, which record it, are missing."
                if changes.hardware is None
                else "Device and processor are the same, too. Versions that constraints.txt does not pin, or kernels "
                "of a GPU, are possible causes."
            )
        )
    elif changes.hardware and changes.model_copy(update={"hardware": ()}).has_none:
        notes.append(
            "Settings, data, code and versions are the same: the scores differ because of "
            f"{' and '.join(change.name for change in changes.hardware)}."
        )
    for setting in ("alpha", "rope"):
        values = getattr(a.results, setting), getattr(b.results, setting)
        if values[0] != values[1]:
            notes.append(
                f"report.{setting} differs ({values[0]:g}, {values[1]:g}); the comparison uses that of {b.tree.name}."
            )
    pooled = [revision.results.is_pooled for revision in (a, b)]
    if pooled[0] != pooled[1]:
        names = [revision.tree.name for revision in (a, b)]
        notes.append(
            f"{names[pooled.index(True)]} pools its searches, {names[pooled.index(False)]} replicates them. Both "
            "estimate the expected score of a search's winner."
        )
    alone = [loss for loss in scores.losses if loss.difference is None and not loss.is_identical]
    if alone:
        notes.append(
            f"Not compared, because blocks{' or a second search' if any(pooled) else ''} are missing at a revision: "
            f"{', '.join(loss.loss for loss in alone)}."
        )
    return notes
