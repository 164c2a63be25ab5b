"""Warn of classes that the verdict says little or nothing about."""

from __future__ import annotations

from losstune.data.manifest import Manifest

LEAST_DIFFERENCE = 0.005
"""A class that changes accuracy by at most this counts as negligible, however small ``report.rope`` is: half a
percentage point."""

RARE = 0.1
"""A class is rare below this fraction of an equal share 1/K. Without it, each of 200 equal classes would be rare."""

MOST_NAMED = 3


def warnings_on(manifest: Manifest, metric: str, rope: float) -> list[str]:
    """Return a sentence on each matter that limits what a verdict on this data says, without a full stop.

    Args:
        manifest: Manifest of the prepared data.
        metric: ``tune.metric``.
        rope: ``report.rope``, the smallest relevant difference.
    """
    return [line for line in (absent(manifest), hint(manifest, metric, rope)) if line]


def absent(manifest: Manifest) -> str | None:
    """Return a sentence on the classes without a sample in the test split; None if there are none."""
    if not manifest.has_samples:
        return None
    names = [name for name, count in zip(manifest.class_names, manifest.counts.test, strict=True) if not count]
    if not names:
        return None
    return f"The test split has no sample of {_named(names)}, so the verdict says nothing about {_it(names)}"


def hint(manifest: Manifest, metric: str, rope: float) -> str | None:
    """Return one sentence on the classes that `metric` hardly depends on, with better metrics; None if there are none.

    Accuracy weights a class by its share of the samples: a model that never predicts a class with share s loses s.
    Accuracy hardly depends on a class if both hold, with K classes, in the validation or the test split:

    - s <= max(rope, :data:`LEAST_DIFFERENCE`): losing the whole class is no relevant difference in this study;
    - s < :data:`RARE` / K: the classes are unequal, not just many.

    Balanced accuracy and macro F1 weight every class by 1/K. Classes without a test sample are those of :func:`absent`.

    Args:
        manifest: Manifest of the prepared data; the study selects on the validation split and compares on the test
            split.
        metric: ``tune.metric``.
        rope: ``report.rope``, the smallest relevant difference.
    """
    if metric != "accuracy" or not manifest.has_samples:
        return None
    counts = manifest.counts
    splits = {"validation": counts.validation, "test": counts.test}
    shares = [
        min((of_split[label] / sum(of_split), split) for split, of_split in splits.items())
        for label in range(manifest.num_classes)
    ]
    limit = max(rope, LEAST_DIFFERENCE)
    unseen = sorted(
        (share, split, name)
        for (share, split), name in zip(shares, manifest.class_names, strict=True)
        if 0 < share <= limit and share < RARE / manifest.num_classes
    )
    if not unseen:
        return None
    share, split, _ = unseen[0]
    return (
        f"tune.metric: accuracy hardly depends on {_named([name for _, _, name in unseen])}: the rarest is "
        f"{_percent(share)} of the {split} split, so a model that never predicts it loses {100 * share:.2g} points, "
        f"and less than {100 * limit:g} is negligible; balanced_accuracy and macro_f1 weight every class equally"
    )


def _named(names: list[str]) -> str:
    shown = ", ".join(f"'{name}'" for name in names[:MOST_NAMED])
    more = f", … ({len(names)} in all)" if len(names) > MOST_NAMED else ""
    return f"the {'class' if len(names) == 1 else 'classes'} {shown}{more}"


def _it(names: list[str]) -> str:
    return "it" if len(names) == 1 else "them"


def _percent(share: float) -> str:
    return f"{100 * share:.2g}%"
