"""The stage between the data and the search: the features of a frozen backbone, computed once.

If nothing of the backbone is trained and no image is changed at random, it maps an image to the same features in every
training. They take the place of the images, and a training is that of the last layer alone.
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import nn

from losstune.config.schema import Params
from losstune.config.settings import ModelSettings
from losstune.core.errors import LosstuneError
from losstune.core.files import digest, replaced, write_json
from losstune.core.progress import Progress
from losstune.core.seeds import derive_seed
from losstune.core.sources import code_digest
from losstune.data import prepared
from losstune.data.encoded import Images
from losstune.data.manifest import Manifest
from losstune.data.raw import Array
from losstune.models import build_network, weights_files
from losstune.models.backbone import split
from losstune.models.classifier import Classifier
from losstune.models.weights import load_weights
from losstune.stages.device import resolve_device
from losstune.stages.identity import digests_of
from losstune.stages.interrupts import interruptible
from losstune.stages.layout import FEATURES, PREPARED
from losstune.study.provenance import public_versions

HEAD = ModelSettings(name="linear")
"""The model that trains on features: the last layer."""

NOT_USED = "not-used.json"
BATCH_VALUES = 256 * 3 * 64 * 64
"""Maximum number of pixel values in a batch."""


def run(params: Params, folder: Path, root: Path) -> None:
    """Write ``data/features``: the features of all splits, or a note that the study does not use any.

    Features of the same data, backbone and weights are kept.

    Args:
        params: Validated ``params.yaml``.
        folder: Folder of the stage's inputs and outputs.
        root: Folder of the ledger, which is not used here.

    Raises:
        LosstuneError: If the prepared data is missing, or the model does not fit it.
    """
    if not params.uses_features:
        with replaced(folder / FEATURES) as part:
            write_json(part / NOT_USED, {"model.freeze": params.model.freeze})
        is_frozen = params.model.freeze == "backbone"
        reason = "every training changes or reads the samples itself" if is_frozen else "model.freeze is not backbone"
        print(f"features: not used, because {reason}")
        return
    base = prepared.read_manifest(folder / PREPARED)
    source = _source(params, base)
    if _is_current(folder / FEATURES, source):
        print("features: kept")
        return
    backbone = _backbone(params, base)
    device = resolve_device(params.resources.device)
    development = prepared.read_development(folder / PREPARED, verify=True)
    test = prepared.read_test(folder / PREPARED, verify=True)
    parts = (development.train_images, development.validation_images, test.images)
    total = sum(map(len, parts))
    frozen = Classifier(
        backbone, base.mean, base.std, partial(torch.flatten, start_dim=1), images=len(base.input_shape) == 3
    ).to(device)
    done, computed = 0, []
    with interruptible(), Progress(total, "features", unit="sample") as progress:
        for images in parts:
            rows = []
            for batch in _batches(frozen, images, device):
                rows.append(batch)
                done += len(batch)
                progress.update(done)
            computed.append(np.concatenate(rows))
    train, validation, tested = computed
    manifest = prepared.write_features(
        folder / FEATURES,
        base,
        replace(development, train_images=train, validation_images=validation),
        replace(test, images=tested),
        source,
    )
    print(f"features: {manifest.input_shape[0]:,} of each of {total:,} samples; digest {manifest.digest[:12]}")


def read_manifest(params: Params, folder: Path, base: Manifest) -> Manifest:
    """Return the manifest of the features.

    Args:
        params: The study's settings.
        folder: Folder of the study.
        base: Manifest of the prepared data.

    Raises:
        LosstuneError: If there are none, or they were computed from other data or by another backbone.
    """
    if not _is_current(folder / FEATURES, _source(params, base)):
        raise LosstuneError(
            f"{FEATURES}: has no features of this data by this backbone; `dvc repro` or `losstune features` computes "
            "them"
        )
    return prepared.read_manifest(folder / FEATURES)


def whole(
    params: Params, base: Manifest, inputs: Manifest, head_options: Mapping[str, Any], weights: Path
) -> nn.Module:
    """Return the network of backbone and trained last layer, for images.

    Args:
        params: The study's settings.
        base: Manifest of the prepared data.
        inputs: Manifest of the features.
        head_options: The loss's requirements of the last layer, as for :func:`losstune.models.adapt_head`.
        weights: File of the trained last layer.

    Raises:
        LosstuneError: If the file is missing or damaged.
    """
    head = build_network(HEAD, inputs.input_shape, inputs.num_classes, head_options)
    load_weights(head, weights)
    return nn.Sequential(_backbone(params, base), nn.Flatten(), head)


def _backbone(params: Params, base: Manifest) -> nn.Module:
    torch.manual_seed(derive_seed(params.study.seed, "features"))
    settings = params.model.model_copy(update={"freeze": "none"})
    weights = weights_files.read_if_any(settings)
    network = build_network(settings, base.input_shape, base.num_classes, {}, weights)
    return split(network, base.num_classes).backbone


def _batches(frozen: Classifier, images: Images, device: str) -> Iterator[Array]:
    """Yield the features of one batch after another."""
    size = max(1, BATCH_VALUES // math.prod(images.shape[1:]))
    for start in range(0, len(images), size):
        # A copy, because the file is mapped read-only.
        stored = torch.from_numpy(np.array(images[start : start + size])).to(device)
        with torch.inference_mode():
            yield frozen(stored).cpu().numpy()


def _source(params: Params, base: Manifest) -> str:
    """Return the digest of everything that determines the features."""
    own = digests_of(params)
    return digest(
        {
            "data": base.digest,
            "model": params.model.model_dump(mode="json", exclude={"weights", "download", "backbone_factor", "freeze"}),
            "own": {key: own[key] for key in ("model.name", "model.weights") if key in own},
            "seed": params.study.seed,
            "code": code_digest("losstune.models.build", "losstune.models.backbone"),
            "versions": public_versions(("torch", *filter(None, [params.model.library]))),
        }
    )


def _is_current(folder: Path, source: str) -> bool:
    try:
        return prepared.read_manifest(folder).source == source
    except LosstuneError:
        return False
