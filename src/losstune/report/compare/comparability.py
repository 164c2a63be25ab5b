"""Check whether two revisions are comparable, that is, measure the same quantity."""

from __future__ import annotations

from losstune.report.compare.changes import text_of_value
from losstune.report.compare.revisions import Revision


def comparability(a: Revision, b: Revision) -> list[str]:
    """Return a line for each difference between the revisions that makes their scores incomparable.

    These define a score: the metric, the content of the test split, the rule that selects winners, and losstune's minor
    version, which counts changes of the protocol. Everything else (search space, seeds, budget, noise in the training
    labels, the split of the other data, model, training, defaults of losses, code) may be the subject of a comparison
    and is listed as a change.

    If a manifest is missing, the test splits count as equal only if all of the data is equal.
    """
    lines = [
        f"{name}: {found_a} at {a.tree.name}, {found_b} at {b.tree.name}"
        for name, found_a, found_b in (
            ("tune.metric", _metric(a), _metric(b)),
            ("selection", a.results.selection, b.results.selection),
            ("losstune's protocol version", _minor(a.version), _minor(b.version)),
        )
        if found_a != found_b and found_a is not None and found_b is not None
    ]
    if a.test_digest is not None and b.test_digest is not None:
        if a.test_digest != b.test_digest:
            lines.append(_data_line("test split", a, b, a.test_digest, b.test_digest))
    elif a.results.data.digest != b.results.data.digest:
        digests = a.results.data.digest, b.results.data.digest
        lines.append(_data_line("data.digest", a, b, *digests) + " (no manifest to compare the test splits by)")
    return lines


def _metric(revision: Revision) -> str:
    """Return the metric, a user's own with its options as far as they are registered."""
    registered = (revision.terms or {}).get("tune.metric")
    return text_of_value(registered) if isinstance(registered, dict) else revision.results.metric


def _data_line(name: str, a: Revision, b: Revision, digest_a: str, digest_b: str) -> str:
    def of(revision: Revision, digest: str) -> str:
        return f"{revision.results.data.name} {digest[:12]} at {revision.tree.name}"

    return f"{name}: {of(a, digest_a)}, {of(b, digest_b)}"


def _minor(version: str | None) -> str | None:
    return None if version is None else ".".join(version.split(".")[:2])
