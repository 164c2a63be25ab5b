"""What was changed in the data or is special about it, in words."""

from __future__ import annotations

from losstune.config.data import DataSettings, NoiseSettings
from losstune.data.manifest import Manifest


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
        rates = ", ".join(f"{100 * rate:.3g}% of the {split} labels" for split, rate in manifest.noise.rates.items())
        found.append(f"{rates} wrong ({_kind(settings)})")
    if manifest.soft_labels is not None:
        found.append(
            f"soft labels, with a mean entropy of {manifest.soft_labels.entropy:.3f} nats; no model can have an "
            f"expected accuracy above {100 * manifest.soft_labels.ceiling:.2f}% on the test split"
        )
    return found


def _kind(settings: DataSettings) -> str:
    noise = settings.label_noise
    if isinstance(noise, NoiseSettings):
        if noise.matrix is not None:
            return "by a transition matrix"
        return ", ".join(f"{name} as {other}" for name, other in noise.pairs.items())
    return f"as given in {noise}" if isinstance(noise, str) else "symmetric"
