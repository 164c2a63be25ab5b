"""Facts about prepared data, as the database has them."""

from __future__ import annotations

from losstune.advice.records import Data, Kind, Noise
from losstune.data.manifest import Manifest


def data_of(manifest: Manifest, name: str, *, has_features: bool) -> Data:
    """Return the facts about prepared data.

    Args:
        manifest: Its manifest; it has samples.
        name: Its name, for people.
        has_features: Whether a training reads features of a frozen backbone.
    """
    counts = manifest.counts.train
    if manifest.noise is not None and manifest.noise.transitions is not None:
        counts = tuple(map(sum, manifest.noise.transitions))  # of the true classes
    return Data(
        name=name,
        digest=manifest.digest,
        kind=kind_of(manifest.input_shape, manifest.name, has_features=has_features),
        num_classes=manifest.num_classes,
        num_train=sum(counts),
        imbalance=max(counts) / max(1, min(counts)),
        noise=_noise(manifest),
    )


def kind_of(shape: tuple[int, ...], source: str, *, has_features: bool) -> Kind:
    """Return the kind of data with samples of this shape from this source, such as ``table``."""
    if has_features:
        return "features"
    if len(shape) == 3:
        return "image"
    return "table" if source == "table" else "features"


def _noise(manifest: Manifest) -> Noise:
    if manifest.noise is None:
        rate, setting = manifest.label_noise, manifest.label_noise
    else:
        rate, setting = manifest.noise.rates.get("train", 0.0), manifest.noise.setting
    if rate == 0.0:
        return Noise()
    return Noise(kind="symmetric" if isinstance(setting, int | float) else "asymmetric", rate=rate, basis="measured")
