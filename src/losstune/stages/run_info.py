"""The run of a stage's execution in MLflow: settings, tags and data."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

from losstune.config.data import FILES, OF_ANY_CONTENT, DataSettings
from losstune.config.load import data_path
from losstune.config.settings import ModelSettings, TrainingSettings
from losstune.core.files import digest
from losstune.core.own_code import is_own
from losstune.losses.registry import get
from losstune.stages.study import Study
from losstune.tracking import DatasetInput, StageRun, data_name, experiment_of


def stage_run(study: Study, stage: str) -> StageRun:
    """Return the parent run of a stage's execution."""
    params, manifest = study.params, study.manifest
    counts = manifest.counts
    return StageRun(
        stage=stage,
        key=digest([stage, study.protocol_hash, study.device, study.versions]),
        name=f"{stage} {experiment_of(params)}",
        params=_settings(study),
        tags={"study": params.study.name, "data_digest": manifest.digest, "protocol_hash": study.protocol_hash},
        dataset=DatasetInput(
            name=data_name(params.data),
            digest=manifest.digest,
            source=_source(params.data, study.folder),
            num_rows=sum(counts.train),
            profile={
                "num_validation": sum(counts.validation),
                "num_test": sum(counts.test),
                "num_classes": manifest.num_classes,
                "input_shape": "x".join(str(size) for size in manifest.input_shape),
            },
        ),
        families={name: get(name).family for name in params.loss_names},
        metric=params.tune.measure.name,
        minimize=params.tune.measure.minimize,
        secondary=tuple(metric.name for metric in params.tune.secondary),
    )


def _source(data: DataSettings, folder: Path) -> str:
    if data.name == "digits":
        return "sklearn.datasets.load_digits"
    if data.name in {*OF_ANY_CONTENT, FILES} or is_own(data.name):
        return str(data_path(data.root, folder).resolve())
    return f"torchvision.datasets.{data.name}"


def _data_settings(data: DataSettings) -> Mapping[str, str]:
    """Return the settings that differ from their defaults and say what was made of the data."""
    names = ("label", "drop", "own_validation", "groups", "noisy_splits", "long_tail", "storage", "on_bad_image")
    found = data.model_dump(mode="json", include=set(names), exclude_defaults=True)
    return {name: str(found[name])[:500] for name in names if name in found}  # a table may have many columns


def _model_settings(model: ModelSettings) -> dict[str, str | int | float]:
    found: dict[str, str | int | float] = {"width": model.width, "depth": model.depth}
    if model.weights is not None:
        found |= {"weights": model.weights}
    if model.freeze != "none":
        found |= {"freeze": model.freeze if isinstance(model.freeze, str) else ", ".join(model.freeze)}
    return found | ({"backbone_factor": model.backbone_factor} if model.backbone_factor != 1.0 else {})


def _settings(study: Study) -> Mapping[str, str | int | float]:
    params = study.params
    return {
        "data": study.manifest.name,
        "label_noise": params.data.noise_label,
        **_data_settings(params.data),
        "study_seed": params.study.seed,
        "model": params.model_label,
        **(_model_settings(params.model) if params.names_model else {}),
        "epochs": params.training.epochs,
        "batch_size": params.training.batch_size,
        "optimizer": params.training.optimizer,
        "momentum": params.training.momentum,
        "warmup_fraction": params.training.warmup_fraction,
        "schedule": params.training.schedule,
        "augmentation": params.training.augmentation_label,
        "precision": params.training.precision,
        **_other_settings(params.training),
        "device": study.device,
    }


ALWAYS = {"epochs", "batch_size", "optimizer", "momentum", "warmup_fraction", "schedule", "augmentation", "precision"}
"""Settings of the training that are shown whatever their value is."""


def _other_settings(training: TrainingSettings) -> Mapping[str, str]:
    """Return the further settings of the training that differ from their defaults."""
    defaults = TrainingSettings()
    others = TrainingSettings.model_fields.keys() - ALWAYS - {"loop"}
    return {
        name: str(getattr(training, name))
        for name in sorted(others)
        if getattr(training, name) != getattr(defaults, name)
    }
