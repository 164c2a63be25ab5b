"""``losstune advise``: which losses are worth a trial on the user's data, by past verdicts."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import get_args

from losstune.advice.choice import FEWEST_NAMES, FEWEST_STUDIES, Advice, LossAdvice, advise
from losstune.advice.database import known, merged, read
from losstune.advice.facts import data_of, kind_of
from losstune.advice.records import USUAL_ROPE, Data, Decision, Noise, PastVerdict
from losstune.config.data import OF_ANY_CONTENT, DataSettings, NoiseSettings
from losstune.config.load import PARAMS_FILE, data_path, load_params
from losstune.config.matrix import MATRIX_FILE, STUDIES, load_matrix
from losstune.config.schema import Params
from losstune.core.errors import LosstuneError, printable
from losstune.data.survey import Survey, survey
from losstune.losses.registry import registry
from losstune.losses.tools.sets import CONTROL, SCREEN, losses_of
from losstune.stages.model_fit import known_manifest
from losstune.tracking import data_name
from losstune.verdict.wording import count

MOST_PIXELS = 64
TRAINING_SHARE = 0.64
"""The part of all samples that is left for training after both splits, as they are by default."""

ORDER = get_args(Decision)
KINDS = {"image": "images", "table": "a table", "features": "features"}


def rows(path: str, noise: float | None, files: Iterable[Path]) -> Iterator[tuple[str, str]]:
    """Yield rows for the terminal: a name and a text.

    Args:
        path: The data, as for ``losstune init``, or a study's folder.
        noise: Share of wrong labels that the user assumes; None if nothing is known.
        files: Databases besides the shipped one and the user's own.

    Raises:
        LosstuneError: If path or databases are wrong, or the data's numbers are not known.
    """
    verdicts = known()
    for file in files:
        verdicts = merged(verdicts, read(file))
    data = data_at(path, noise)
    yield "data", f"{data.name}: {_described(data)}"
    advice = advise(data, _of_catalogue(verdicts))
    yield "evidence", f"{count(advice.num_studies, 'study', 'studies')} in the database; {like_text(advice)}"
    if advice.is_enough:
        yield from _evidence(advice)
        names = (*CONTROL, *advice.chosen)
    else:
        yield (
            "",
            f"too little for advice, which takes {FEWEST_STUDIES} studies like this of {FEWEST_NAMES} data sets: "
            "these are the losses of `losstune init --losses screen`",
        )
        names = losses_of(SCREEN)
    yield "losses", f"losses: [{', '.join(names)}]"


def advice_for(found: Survey) -> Advice | None:
    """Return the advice for data that was looked at; None if its numbers are not known."""
    data = _of_survey(found, "data", Noise())
    return advise(data, _of_catalogue(known())) if data is not None else None


def _of_catalogue(verdicts: Iterable[PastVerdict]) -> list[PastVerdict]:
    """Return the verdicts on losses that a study can name: a file may be of another version of losstune."""
    return [one for one in verdicts if one.loss in registry()]


def like_text(advice: Advice) -> str:
    """Return how many studies are like the user's, such as ``9 studies like this (digits, mnist)``."""
    # A database may be someone else's, and a terminal obeys control characters.
    names = f" ({printable(', '.join(advice.names_like))})" if advice.names_like else ""
    return f"{count(advice.num_like, 'study', 'studies')} like this{names}"


def data_at(path: str, noise: float | None) -> Data:
    """Return the facts about data, or about that of a study.

    Raises:
        LosstuneError: If there is none, or its numbers are not known yet.
    """
    if noise is not None and not 0.0 <= noise < 1.0:
        raise LosstuneError(f"--noise: found {noise:g}, expected a share of wrong labels in [0, 1)")
    assumed = Noise(kind="symmetric", rate=noise, basis="assumed") if noise else None
    folder = Path(path)
    if (params := settings_of(folder)) is not None:
        data = _of_study(folder, params, assumed)
    elif path == ".":
        raise LosstuneError(f"{PARAMS_FILE}: no such file; expected a study in this folder, or data as PATH")
    else:
        data = _of_survey(survey(path, most_pixels=MOST_PIXELS), Path(path).stem or path, assumed or Noise())
    if data is None:
        raise LosstuneError(
            f"{path}: its classes and samples are known once it is read; expected a study's folder after "
            "`losstune prepare`"
        )
    return data


def settings_of(folder: Path) -> Params | None:
    """Return the settings of the study in a folder, or of the matrix's cell whose folder it is; None if it is none.

    Raises:
        LosstuneError: If they are wrong.
    """
    if (folder / PARAMS_FILE).is_file():
        return load_params(folder / PARAMS_FILE)
    cell = folder.absolute()
    above = cell.parent.parent
    if cell.parent.name == str(STUDIES) and (above / MATRIX_FILE).is_file() and (above / PARAMS_FILE).is_file():
        cells = load_matrix(load_params(above / PARAMS_FILE), above / MATRIX_FILE)
        return next((found.params for found in cells if found.name == cell.name), None)
    return None


def _of_study(folder: Path, params: Params, assumed: Noise | None) -> Data | None:
    name = data_name(params.data)
    manifest = known_manifest(folder)
    if manifest is None:
        source = str(data_path(params.data.root, folder)) if params.data.name in OF_ANY_CONTENT else params.data.name
        noise = assumed or _noise_of(params.data)
        return _of_survey(survey(source, most_pixels=MOST_PIXELS), name, noise, has_features=params.uses_features)
    if not manifest.has_samples:
        return None
    data = data_of(manifest, name, has_features=params.uses_features)
    return data.model_copy(update={"noise": assumed}) if assumed else data


def _noise_of(settings: DataSettings) -> Noise:
    noise = settings.label_noise
    if isinstance(noise, NoiseSettings) and noise.rate is not None:
        return Noise(kind="asymmetric", rate=noise.rate, basis="assumed")
    return Noise(kind="symmetric", rate=noise, basis="assumed") if isinstance(noise, float) and noise else Noise()


def _of_survey(found: Survey, name: str, noise: Noise, *, has_features: bool = False) -> Data | None:
    if found.input_shape is None or not found.class_counts:
        return None
    return Data(
        name=name,
        digest="",
        kind=kind_of(found.input_shape, str(found.settings["name"]), has_features=has_features),
        num_classes=len(found.class_counts),
        num_train=max(1, round(TRAINING_SHARE * sum(found.class_counts))),
        imbalance=found.imbalance,
        noise=noise,
    )


def _described(data: Data) -> str:
    noise = data.noise
    wrong = {
        "none": "no wrong labels assumed (--noise)",
        "assumed": f"{100 * noise.rate:.3g}% wrong labels assumed",
        "measured": f"{100 * noise.rate:.3g}% wrong labels ({noise.kind})",
    }[noise.basis]
    unequal = f"the largest with {data.imbalance:.3g} times the smallest"
    return f"{KINDS[data.kind]}, {data.num_classes} classes, {unequal}; {data.num_train:,} training samples; {wrong}"


def _evidence(advice: Advice) -> Iterator[tuple[str, str]]:
    by_loss = {one.loss: one for one in advice.losses}
    worth = [by_loss[loss] for loss in advice.chosen if by_loss[loss].is_worth_a_trial]
    fillers = [by_loss[loss] for loss in advice.chosen if not by_loss[loss].is_worth_a_trial]
    others = [one for one in advice.losses if one.loss not in advice.chosen]
    maybe, poor = ([one for one in others if one.is_worth_a_trial is worth_it] for worth_it in (True, False))
    if not worth:
        yield "", "no loss is likely to beat cross_entropy on such data by more than it matters"
    for name, losses in (("try", worth), ("as good", fillers), ("maybe", maybe), ("skip", poor)):
        for number, one in enumerate(losses):
            yield (name if number == 0 else "", _line(one))


def _line(one: LossAdvice) -> str:
    decided = ", ".join(f"{decision} in {one.decisions[decision]}" for decision in ORDER if decision in one.decisions)
    tried = f"{count(one.num_like, 'study', 'studies')} like this" + (f": {decided}" if decided else "")
    points = [100 * USUAL_ROPE * value for value in (one.gain, one.low, one.high)]
    return (
        f"{one.loss}: {tried}; expected {points[0]:+.1f} points [{points[1]:+.1f}, {points[2]:+.1f}], better with "
        f"{100 * one.better:.0f}%"
    )
