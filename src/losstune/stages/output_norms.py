"""The norm of trained networks' outputs, for losses that depend only on the direction of the outputs.

Records contain no outputs, so they are computed from the weights that the first block of a configuration may keep.
"""

from __future__ import annotations

import math
import sys
from collections.abc import Sequence
from pathlib import Path

import numpy as np
import torch

from losstune.core.errors import LosstuneError
from losstune.core.records import Record
from losstune.data import prepared
from losstune.losses.registry import registry
from losstune.losses.spec import BoundLoss
from losstune.losses.tools.gallery import is_scale_free
from losstune.models import build_network
from losstune.models.classifier import Classifier
from losstune.models.weights import load_weights
from losstune.stages.study import Study
from losstune.study.ledger import open_ledger
from losstune.verdict.blocks import blocks_by_loss
from losstune.verdict.results import Results

MAX_SAMPLES = 256
"""Maximum number of validation samples. The median of these is precise enough for a figure, and large networks take
seconds."""

BATCH = 32


def with_output_norms(results: Results, study: Study, blocks: Sequence[Record]) -> Results:
    """Return the results with :attr:`losstune.verdict.results.LossResult.output_norms` where they can be computed.

    They cannot if the weights are not in the ledger, or if a training loop of the user's own builds a network that is
    not known here.

    Args:
        results: Results of the study.
        study: The study.
        blocks: Records of the confirmation.
    """
    if study.params.training.loop is not None:
        return results
    num_classes = study.inputs.num_classes
    wanted = [
        record
        for loss, records in blocks_by_loss(blocks).items()
        if loss in registry()
        for record in {r.configuration.model_dump_json(): r for r in reversed(records)}.values()  # the first of each
        if is_scale_free(_bound(record), num_classes)
    ]
    if not wanted:
        return results
    norms: dict[str, dict[str, float]] = {}
    try:
        with open_ledger(study.params, study.root) as ledger:
            for record in wanted:
                weights = ledger.weights(record.key)
                norm = None if weights is None else median_norm(study, _bound(record), weights)
                if norm is not None:
                    norms.setdefault(record.configuration.loss, {})[record.number] = norm
    except (LosstuneError, RuntimeError) as error:  # torch raises a RuntimeError
        print(f"report: the norms of the outputs are not known: {error}", file=sys.stderr)
    losses = (result.model_copy(update={"output_norms": norms.get(result.loss, {})}) for result in results.losses)
    return results.model_copy(update={"losses": tuple(losses)})


def median_norm(study: Study, loss: BoundLoss, weights: Path) -> float | None:
    """Return the median norm of a trained network's outputs on the validation split; None if that is not positive."""
    inputs = study.inputs
    network = build_network(study.model, inputs.input_shape, inputs.num_classes, loss.head_options(inputs.num_classes))
    load_weights(network, weights)
    outputs = Classifier(network, inputs.mean, inputs.std, torch.nn.Identity(), images=len(inputs.input_shape) == 3)
    samples = prepared.read_development(study.inputs_folder).validation_images
    rows = np.linspace(0, len(samples) - 1, min(len(samples), MAX_SAMPLES)).astype(int)
    norms: list[float] = []
    with torch.inference_mode():
        for start in range(0, len(rows), BATCH):
            # A copy, because the file is mapped read-only.
            batch = torch.from_numpy(np.array(samples[rows[start : start + BATCH]]))
            norms += torch.linalg.vector_norm(outputs(batch).double(), dim=1).tolist()
    median = float(f"{np.median(norms):.4g}")  # not more digits than the sample supports
    return median if 0.0 < median < math.inf else None


def _bound(record: Record) -> BoundLoss:
    configuration = record.configuration
    return registry()[configuration.loss].bind(configuration.hyperparameters)
