"""Checks and hints of ``losstune check`` that need more than the schema of ``params.yaml``."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

from losstune.config.schema import Params
from losstune.data import imbalance
from losstune.data.manifest import Manifest
from losstune.stages.budgets import require_budget
from losstune.stages.identical_losses import identical_lines, known_class_counts
from losstune.stages.model_fit import check_model, known_input, known_manifest, pretrained_notes
from losstune.stages.naming import naming
from losstune.stages.plan_rows import protocol_notes
from losstune.stages.prior import narrowed_lines, prior_note, prior_spaces
from losstune.stages.recipe import require_recipe, soft_label_notes
from losstune.stages.setting_notes import setting_notes
from losstune.stages.study import centred_spaces, check_names
from losstune.study.search import Space


def checked_spaces(params: Params, folder: Path, source: str = "params.yaml") -> tuple[dict[str, Space], list[str]]:
    """Check that losses and model exist and that they fit the data, as far as it is known.

    Args:
        params: Settings that match the schema.
        folder: Folder of the study, which may have prepared data.
        source: Name of the settings file, for messages.

    Returns:
        The search space of each of the study's losses, and notes on the user's own code.

    Raises:
        LosstuneError: The message names the key, what was found and what is expected.
    """
    spaces = check_names(params, source)
    with naming(source):
        require_budget(params)
    notes = check_model(params, spaces, folder, source)
    manifest = known_manifest(folder)
    if manifest is not None and _may_be_of(params, manifest):
        with naming(source):
            notes += require_recipe(params, manifest)
    return spaces, notes


def hints(params: Params, spaces: Mapping[str, Space], folder: Path) -> list[tuple[str, str]]:
    """Return hints for the user before a study runs: a topic and a line each. They are no errors."""
    found = [*protocol_notes(params), *(("training", line) for line in setting_notes(params))]
    if params.data.label_noise == 0.0 and params.data.noisy_splits != ("train",):
        found.append(("data", "data.noisy_splits has no effect with data.label_noise: 0"))
    found += [("identical losses", line) for line in identical_lines(spaces, known_class_counts(folder))]
    if (known := known_input(params, folder)) is not None:
        found = [*(("weights", line) for line in pretrained_notes(params, known[0], known[1])), *found]
    manifest = known_manifest(folder)
    if manifest is None:
        return found
    if _may_be_of(params, manifest):
        found += [("labels", line) for line in soft_label_notes(params, manifest)]
        _, narrowed = prior_spaces(params, manifest, centred_spaces(params, manifest.num_classes, spaces))
        found += [("prior", line) for line in (*prior_note(params, narrowed), *narrowed_lines(narrowed))]
    lines = imbalance.warnings_on(manifest, params.tune.measure.name, params.report.rope)
    return [*found, *(("classes", line) for line in lines)]


def _may_be_of(params: Params, manifest: Manifest) -> bool:
    return manifest.name == params.data.name and manifest.has_samples
