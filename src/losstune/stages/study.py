"""A study for the training stages: settings, prepared data, device, and the identity of each training."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from losstune.advice.prior import Narrowed
from losstune.config.load import data_path
from losstune.config.references import references
from losstune.config.schema import Params
from losstune.config.settings import ModelSettings
from losstune.core import own_code
from losstune.core.errors import LosstuneError, did_you_mean
from losstune.core.metric import SOFT
from losstune.core.own_code import is_own
from losstune.core.records import Configuration, Role, Stage
from losstune.data import files, prepared
from losstune.data.manifest import Manifest
from losstune.losses.registry import aliases, get, known, registry, use_own
from losstune.losses.scale import learning_rate_divisor
from losstune.models import validate_model_name, weights_files
from losstune.stages import features
from losstune.stages.device import FindDevice
from losstune.stages.identity import digests_of
from losstune.stages.layout import FEATURES, PREPARED
from losstune.stages.model_fit import SOME_CLASSES, pretrained_notes, require_model
from losstune.stages.naming import naming
from losstune.stages.own import require_loadable
from losstune.stages.own_checks import check_own
from losstune.stages.prior import prior_note, prior_spaces
from losstune.stages.recipe import require_policy_names, require_recipe
from losstune.study.jobs import Job, make_job
from losstune.study.provenance import public_versions
from losstune.study.registration import Registration, registration_of
from losstune.study.search import Space, centred, space_of
from losstune.training.policies import TRANSFORMS
from losstune.training.task import Arrays, Task, without_samples
from losstune.training.update_rules import RULES


@dataclass(frozen=True, slots=True, kw_only=True)
class Study:
    """The data that the training stages share.

    Attributes:
        params: The settings, with the precision resolved.
        folder: Folder of the outputs, which is the stage's working directory.
        root: Folder of the ledger and of MLflow's database. Differs from `folder` in DVC's temporary copies.
        manifest: Manifest of the prepared data.
        inputs: Manifest of what a training reads: the prepared data, or the features of a frozen backbone.
        device: ``"cpu"`` or ``"cuda"``.
        spaces: Search space of each loss.
        registration: Everything that defines the study.
        versions: Public versions of the libraries that compute the results.
        own: Digest of the user's own code, and of the pretrained weights, by the key that names it.
        narrowed: Ranges that past winners narrowed, with ``tune.prior: advice``.
        notes: What the user should know before trainings start, a sentence each.
    """

    params: Params
    folder: Path
    root: Path
    manifest: Manifest
    inputs: Manifest
    device: str
    spaces: dict[str, Space]
    registration: Registration
    versions: dict[str, str]
    own: dict[str, str]
    narrowed: tuple[Narrowed, ...] = ()
    notes: tuple[str, ...] = ()

    @property
    def protocol_hash(self) -> str:
        """Return the hash of the registration's terms."""
        return self.registration.protocol

    @property
    def model(self) -> ModelSettings:
        """The model that is trained: the study's, or the last layer on the features of a frozen backbone."""
        return features.HEAD if self.params.uses_features else self.params.model

    @property
    def inputs_folder(self) -> Path:
        """Folder of what a training reads."""
        return self.folder / (FEATURES if self.params.uses_features else PREPARED)

    def task(self, configuration: Configuration, seed: int, *, test: bool = False, keep_weights: bool = False) -> Task:
        """Return the task to train a configuration once. What is scored on the test split is never stopped early."""
        params = self.params
        return Task(
            configuration=configuration,
            seeds=(seed,),
            model=self.model,
            training=params.training,
            device=self.device,
            test=test,
            keep_weights=keep_weights,
            metrics=params.tune.further_metrics,
            early_stopping=None if test else params.tune.early_stopping,
            score=params.tune.measure.name,
        )

    def make_job(self, task: Task, stage: Stage, role: Role, search: int, index: int) -> Job:
        """Make a job. The identity of a job of ``tune`` does not depend on the test split."""
        data_digest = self.inputs.digest if task.test else self.inputs.development_digest
        other_losses = {f"losses.{name}" for name in self.params.own_losses if name != task.configuration.loss}
        own = {key: digest for key, digest in self.own.items() if key not in other_losses}
        return make_job(task, stage, role, (index,), data_digest, self.versions, search, own)


def check_names(params: Params, source: str = "params.yaml") -> dict[str, Space]:
    """Check what the schema cannot: that losses and model exist, and that ranges fit their losses.

    Returns:
        The search space of each of the study's losses.

    Raises:
        LosstuneError: The message names the key, what was found and the nearest valid name.
    """
    with naming(source):
        use_own(params.own_losses.values())
    for key, names in (("losses", params.losses), ("search_space.losses", tuple(params.search_space.losses))):
        for name in names:
            if name in aliases():
                spec, alias = aliases()[name]
                at = "".join(f", {item}: {value:g}" for item, value in alias.hyperparameters.items())
                raise LosstuneError(
                    f"{source}: {key}: '{name}' is another name for '{spec.name}'{at} ({alias.relation}, "
                    f"{alias.condition}); expected '{spec.name}', so that no loss is counted twice"
                )
            if not is_own(name) and name not in known():
                raise LosstuneError(
                    f"{source}: {key}: unknown loss '{name}'{did_you_mean(name, list(known()))} "
                    f"(`losstune losses list` names all {len(registry())})"
                )
    with naming(source):
        if params.names_model:
            validate_model_name(params.model.name)
        require_policy_names(params)
        if params.model.weights is not None:
            weights_files.find(params.model)
        require_loadable(params)
        for name in params.search_space.losses:  # including losses that are not in the study
            space_of(get(name), params.search_space)
        return {name: space_of(get(name), params.search_space) for name in params.loss_names}


def centred_spaces(params: Params, num_classes: int, spaces: Mapping[str, Space]) -> dict[str, Space]:
    """Shift the ranges of losses with larger gradients than cross-entropy, if configured.

    Only those shift with which the optimiser's steps depend on the scale of the loss: SGD's learning rate, and weight
    decay where it is an L2 penalty.
    """
    scaled = RULES[params.training.optimizer].scaled
    if not params.search_space.centre_learning_rate or not scaled:
        return dict(spaces)
    return {
        name: centred(space, learning_rate_divisor(get(name).bind(space.fixed), num_classes), scaled)
        for name, space in spaces.items()
    }


def open_study(params: Params, folder: Path, root: Path, find_device: FindDevice) -> Study:
    """Check the names, read the manifest of the prepared data, find the device, and derive what depends on them.

    Args:
        params: Validated ``params.yaml``.
        folder: Folder of the stages' inputs and outputs.
        root: Folder of the ledger.
        find_device: Finds the device from the workers, or, for a stage that trains nothing, from the records, because a
            cluster may no longer exist.

    Raises:
        LosstuneError: If a name is unknown, ``prepare`` has not run, the model does not fit the data, the requested
            device is missing, or a node of the cluster is unsuitable.
    """
    spaces = check_names(params)
    manifest = prepared.read_manifest(folder / PREPARED)
    _require_current(manifest, params)
    if params.names_model:
        require_model(params, spaces, manifest.input_shape, manifest.num_classes)
    notes = pretrained_notes(params, manifest.input_shape, manifest.num_classes)
    check_own(params, manifest.input_shape or None, manifest.num_classes or SOME_CLASSES)
    if manifest.has_samples:
        require_recipe(params, manifest)
    own = digests_of(params)
    versions = public_versions((*_libraries(params), *own_code.libraries(references(params).values())))
    device, precision = find_device(params, folder, versions)
    spaces = centred_spaces(params, manifest.num_classes or SOME_CLASSES, spaces)
    spaces, narrowed = prior_spaces(params, manifest, spaces)
    inputs = features.read_manifest(params, folder, manifest) if params.uses_features else manifest
    training = params.training.model_copy(update={"precision": precision})
    tune = params.tune.with_secondary(SOFT) if manifest.soft_labels is not None else params.tune
    return Study(
        params=params.model_copy(update={"training": training, "tune": tune}),
        folder=folder,
        root=root,
        manifest=manifest,
        inputs=inputs,
        device=device,
        spaces=spaces,
        registration=registration_of(params, manifest.digest, spaces, own.get("model.weights")),
        versions=versions,
        own=own,
        narrowed=narrowed,
        notes=(*notes, *prior_note(params, narrowed)),
    )


def _libraries(params: Params) -> tuple[str, ...]:
    # A library's architectures and transforms may change with its version; losstune's own models use none.
    used = {params.model.library} if params.names_model and params.model.library else set()
    policies = params.training.augmentation if isinstance(params.training.augmentation, tuple) else ()
    if any(policy.name in TRANSFORMS for policy in policies):
        used.add("torchvision")
    return ("torch", *sorted(used))


def _require_current(manifest: Manifest, params: Params) -> None:
    """Raise if the data was prepared under other settings, as far as the manifest shows. DVC checks this itself."""
    noise = manifest.noise.setting if manifest.noise else manifest.label_noise
    for key, found, wanted in (
        ("data.name", manifest.name, params.data.name),
        ("data.label_noise", noise, params.data.model_dump(mode="json")["label_noise"]),
        ("data.long_tail", manifest.long_tail, params.data.long_tail),
    ):
        if found != wanted:
            raise LosstuneError(
                f"{PREPARED}: was prepared with {key} {found!r}, but params.yaml has {wanted!r}; "
                "`dvc repro` or `losstune prepare` writes it again"
            )


def read_arrays(study: Study, *, with_test: bool) -> Arrays:
    """Read the splits. Opens the files of the test split only if `with_test` is true.

    Raises:
        LosstuneError: If a file is missing or damaged.
    """
    manifest = study.inputs
    folder = study.inputs_folder
    root = data_path(study.params.data.root, study.folder).absolute()
    if not manifest.has_samples:
        files.require_same(root, manifest)
        return without_samples(manifest.num_classes, manifest.digest, str(root))
    development = prepared.read_development(folder, verify=True)
    test = prepared.read_test(folder, verify=True) if with_test else None
    return Arrays(
        train_images=development.train_images,
        train_labels=development.train_labels,
        validation_images=development.validation_images,
        validation_labels=development.validation_labels,
        test_images=test.images if test else None,
        test_labels=test.labels if test else None,
        train_targets=development.train_targets,
        validation_targets=development.validation_targets,
        test_targets=test.targets if test else None,
        mean=manifest.mean,
        std=manifest.std,
        num_classes=manifest.num_classes,
        digest=manifest.digest if with_test else manifest.development_digest,
        root=str(root),
        weights=None if study.params.uses_features else weights_files.read_if_any(study.params.model),
    )
