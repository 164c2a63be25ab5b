"""A study in a notebook or a script."""

from __future__ import annotations

import sys
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

from torch import Tensor, nn

from losstune.api.references import References
from losstune.api.settings import SOURCE, data_of, settings_of
from losstune.api.verdict import Verdict, read_verdict
from losstune.config.schema import Params
from losstune.core import live_code
from losstune.core.errors import LosstuneError
from losstune.core.library_logging import configure_environment
from losstune.core.local_code import use_study_folder
from losstune.data.sources import check_settings
from losstune.losses.spec import LossSpec
from losstune.stages import whole
from losstune.stages.device import check_device
from losstune.stages.study import check_names


class Study:
    """Which loss should I train this classifier with, and how sure are we?

    Every loss gets the same number of trials, in independent searches on the validation split. The winners are
    retrained on the same fresh seeds and scored on the test split. The rules are registered before. It is the study of
    ``dvc repro``: the same settings give the same ``results.json``. Neither Git, DVC nor MLflow is needed.

    Finished trainings are kept in `folder`. After an interruption, or with other settings, only what is missing is
    trained.

    Args:
        data: Samples and labels, ``(images, labels)``; a map-style dataset of such pairs; a :class:`losstune.Dataset`,
            which may bring its own splits, or a dictionary of these; a function that returns a data set; the path of a
            folder of images or of Hugging Face's ``save_to_disk``, of an ``.npz`` file or of a table (CSV, Parquet); or
            a name such as ``"digits"``. None if `settings` name the data.
        model: A function or class ``build(num_classes, input_shape) -> nn.Module``, or the name of a model, such as
            ``"mlp"``, ``"cnn"`` or ``"torchvision:resnet18"``. None for that of `settings`, or else the default.
        losses: Names of the catalogue (:func:`losstune.losses.list_losses`), functions ``loss(logits, target)`` of one
            value per sample, or ``nn.Module`` classes; see :func:`losstune.loss` for ranges of their hyperparameters.
            None for the usual ones.
        baseline: The loss that the others are compared with; by default ``"cross_entropy"``.
        metric: The name of a metric, such as ``"accuracy"``, ``"balanced_accuracy"``, ``"auroc"`` or ``"nll"``; a
            section, such as ``{"name": "expected_cost", "costs": [[0, 1], [5, 0]]}``; or a function
            ``metric(probabilities, labels) -> float``. Those that are no fractions need ``report.rope`` in `settings`.
        epochs: Epochs of each training.
        seed: Root of all random numbers of the study.
        folder: Folder of the study's files, with the report. One folder holds one study.
        settings: Further settings, as the sections of ``params.yaml`` or as the path of such a file. References
            and relative paths start in the file's folder, or else in the working directory. Functions may stand where
            the file has a reference, such as ``{"training": {"augmentation": my_augment}}``.

    Raises:
        LosstuneError: If an argument is not as described; the message names it, what was found and what is expected.

    Examples:
        >>> study = losstune.Study(data=(images, labels), model=build, losses=["cross_entropy", "focal", my_loss])
        >>> verdict = study.run()
    """

    def __init__(
        self,
        data: Any = None,
        model: str | Callable[..., nn.Module] | None = None,
        losses: Sequence[str | Callable[..., Tensor] | type[nn.Module] | LossSpec] | None = None,
        *,
        baseline: str | Callable[..., Tensor] | None = None,
        metric: str | Callable[..., float] | Mapping[str, Any] | None = None,
        epochs: int | None = None,
        seed: int | None = None,
        folder: str | Path = "losstune-study",
        settings: Mapping[str, Any] | str | Path | None = None,
    ) -> None:
        # References and paths in a file of settings start in its folder.
        self._base = Path(settings).absolute().parent if isinstance(settings, str | Path) else None
        use_study_folder(self._base)
        refer = References()
        named, self._raw = data_of(data)
        given = {
            **named,
            "model.name": model,
            "losses": losses,
            "baseline": baseline,
            "tune.metric": metric,
            "training.epochs": epochs,
            "study.seed": seed,
        }
        self._params = settings_of(settings, given, refer)
        self._live = refer.live
        self._folder = Path(folder).absolute()
        self._check()

    @property
    def params(self) -> Params:
        """All settings, with their defaults."""
        return self._params

    @property
    def folder(self) -> Path:
        """Folder of the study's files."""
        return self._folder

    def run(self) -> Verdict:
        """Train what is missing, and return the verdict.

        Shows progress with the remaining time. Interrupting it loses no finished training; run it again to continue.

        Raises:
            LosstuneError: If the data, the model or a loss is not usable.
            UnfinishedStudyError: If trainings are missing at the end, because workers were lost.
        """
        configure_environment()
        self._check()
        try:
            whole.run(self._params, self._folder, self._folder, self._raw)
        except KeyboardInterrupt:
            print("interrupted; finished trainings are kept: run this again to continue", file=sys.stderr)
            raise
        return read_verdict(self._folder)

    def verdict(self) -> Verdict:
        """Return the verdict of the last finished run, without training anything.

        Raises:
            LosstuneError: If no run has finished.
        """
        return read_verdict(self._folder)

    def __repr__(self) -> str:
        """Return data, model, losses and folder on one line."""
        params = self._params
        return (
            f"Study({params.data.name}, {params.model_label}, {len(params.losses)} losses against {params.baseline}, "
            f"in {self._folder})"
        )

    def _check(self) -> None:
        live_code.use(self._live)
        use_study_folder(self._base)
        try:
            if self._raw is None:
                check_settings(self._params.data)
            check_device(self._params.resources)
        except LosstuneError as error:
            raise LosstuneError(f"{SOURCE}: {error}") from None
        check_names(self._params, SOURCE)
