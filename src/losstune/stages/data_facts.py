"""What the report says about the data."""

from __future__ import annotations

from losstune.config.schema import Params
from losstune.data.details import details
from losstune.data.manifest import Manifest
from losstune.tracking import data_name
from losstune.verdict.class_groups import class_groups
from losstune.verdict.facts import DataFacts


def data_facts(params: Params, manifest: Manifest) -> DataFacts:
    """Return the facts about the prepared data.

    Args:
        params: The study's settings.
        manifest: Manifest of the prepared data.
    """
    counts, names = manifest.counts, manifest.class_names
    groups = class_groups(counts.train, params.report.class_groups)
    return DataFacts(
        name=manifest.name if manifest.has_samples else data_name(params.data),
        digest=manifest.digest,
        num_train=sum(counts.train),
        num_validation=sum(counts.validation),
        num_test=sum(counts.test),
        class_names=names,
        class_groups={group: tuple(names[label] for label in labels) for group, labels in groups.items()},
        details=tuple(details(manifest, params.data)),
        has_soft_labels=manifest.soft_labels is not None,
        num_groups=manifest.num_groups.model_dump() if manifest.num_groups else {},
    )


def groups_note(manifest: Manifest) -> list[str]:
    """Return a note on what intervals mean if the splits keep groups together; none if they do not."""
    if manifest.num_groups is None:
        return []
    return [
        "The splits keep groups together (data.groups). Intervals and p-values are about seeds and searches on this "
        "one split by groups: how much the result depends on the groups in the test split, they do not say."
    ]
