"""What was changed in the data or is special about it, in words."""

from __future__ import annotations

from losstune.config.data import DataSettings, NoiseSettings
from losstune.data.manifest import GroupCounts, Manifest
from losstune.data.raw import shortlist


def details(manifest: Manifest, settings: DataSettings) -> list[str]:
    """Return what was changed in the data or is special about it, a phrase each.

    Args:
        manifest: Manifest of the prepared data.
        settings: ``data`` of ``params.yaml``.
    """
    found = []
    if manifest.long_tail is not None:
        found.append(f"a long tail of {manifest.long_tail:g} to 1 drawn from the training split")
    if manifest.noise is not None:
        rates = ", ".join(
            f"{100 * rate:.3g}% of the {'training' if split == 'train' else split} labels"
            for split, rate in manifest.noise.rates.items()
        )
        found.append(f"{rates} wrong ({_kind(settings)})")
    if manifest.soft_labels is not None:
        ceiling = manifest.soft_labels.ceiling
        found.append(f"soft labels, with a mean entropy of {manifest.soft_labels.entropy:.3f} nats")
        if ceiling < 1.0:
            found[-1] += f"; no model can have an expected accuracy above {100 * ceiling:.2f}% on the test split"
    if manifest.num_groups is not None:
        found.append(_groups(manifest.num_groups))
    if manifest.skipped:
        plural = "" if len(manifest.skipped) == 1 else "s"
        names = shortlist(manifest.skipped, most=3)
        found.append(f"{len(manifest.skipped):,} image{plural} that cannot be read left out ({names})")
    return found


def _groups(num: GroupCounts) -> str:
    if num.test is None:
        return (
            f"{num.train:,} groups in the training split and {num.validation:,} in the validation split, none in both; "
            "those of the test split that the data brings are unknown"
        )
    return (
        f"{num.train:,} groups in the training split, {num.validation:,} in the validation split and {num.test:,} in "
        "the test split, none in two of them"
    )


def _kind(settings: DataSettings) -> str:
    noise = settings.label_noise
    if isinstance(noise, NoiseSettings):
        if noise.matrix is not None:
            return "by a transition matrix"
        return ", ".join(f"{name} as {other}" for name, other in noise.pairs.items())
    return f"as given in {noise}" if isinstance(noise, str) else "symmetric"
