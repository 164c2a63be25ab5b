"""Warn if the metric hardly depends on the rarest classes."""

from __future__ import annotations

from losstune.data.manifest import Manifest

LEAST_DIFFERENCE = 0.005
"""A class that is worth less accuracy than this is hardly seen, however small ``report.rope`` is: half a point."""

RARE = 0.1
"""Of an equal share: a class with more is not called rare, or every one of 200 equal classes would be."""

MOST_NAMED = 3


def hint(manifest: Manifest, metric: str, rope: float) -> str | None:
    """Return one sentence on the classes that `metric` hardly sees, and which metric does; None if there are none.

    Accuracy weighs a class by its share of the samples, so a model that never predicts a class of share s loses s
    of it. A class is hardly seen where both hold, with K classes, in the validation or the test split:

    - s <= max(rope, :data:`LEAST_DIFFERENCE`): losing the class whole is no difference to this study;
    - s < :data:`RARE` / K: the classes are unequal, not merely many.

    Balanced accuracy and macro F1 weigh all classes alike, 1/K each.

    Args:
        manifest: Of the prepared data; its validation split is selected on, its test split is judged on.
        metric: ``tune.metric``.
        rope: ``report.rope``, the smallest difference that matters.
    """
    if metric != "accuracy":
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
        if share <= limit and share < RARE / manifest.num_classes
    )
    if not unseen:
        return None
    share, split, _ = unseen[0]
    return (
        f"tune.metric: accuracy hardly sees {_named([name for _, _, name in unseen])}: the rarest is "
        f"{_percent(share)} of the {split} split, so a model that never predicts it loses {100 * share:.2g} points, "
        f"and less than {100 * limit:g} counts for nothing; balanced_accuracy or macro_f1 weighs every class alike"
    )


def _named(names: list[str]) -> str:
    shown = ", ".join(f"'{name}'" for name in names[:MOST_NAMED])
    more = f", … ({len(names)} in all)" if len(names) > MOST_NAMED else ""
    return f"the {'class' if len(names) == 1 else 'classes'} {shown}{more}"


def _percent(share: float) -> str:
    return f"{100 * share:.2g}%"
