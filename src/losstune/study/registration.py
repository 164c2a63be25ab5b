"""The preregistration: what a study promises before the test split is first read, under one hash.

The record fixes baseline, losses, search spaces, budget, metric, ROPE, alpha and the number of blocks or the stopping
rule. ``confirm`` writes it before it trains. ``report`` compares it with what was run, and refuses a verdict if they
differ. If the rules change after the test split was read, a new registration is made, and the verdict says so.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any

from losstune.config.schema import Params
from losstune.config.settings import ModelSettings, TrainingSettings
from losstune.config.tune import TuneSettings
from losstune.core.errors import LosstuneError
from losstune.core.files import digest, write_atomically
from losstune.core.records import Row
from losstune.study.search import Space
from losstune.study.selection import rule
from losstune.study.shared_ledger import SharedLedger

FOLDER = Path(".losstune/registrations")
ROUNDS_VERSION = 1
"""Version of the rules and constants in :mod:`losstune.verdict.rounds`. It rises when a study might end differently."""
_SECTIONS = ("model", "training", "tune", "confirm", "report")
_LATER = {
    *("weights", "download", "freeze", "backbone_factor", "mixup", "cutmix", "class_weights", "betas", "clip_norm"),
    *("accumulation", "step_every", "step_factor", "ema", "patience", "sampling", "soft_labels", "prior"),
}
"""Keys of `model`, `training` and `tune` that earlier versions did not have. At its default, such a key is no term, so
that a study that does not use it keeps its registration."""


class Earlier(Row):
    """An earlier registration of the same study, under which the test split was read.

    Attributes:
        protocol: Its hash.
        differs: One line per difference from the later registration.
    """

    protocol: str
    differs: tuple[str, ...]


class Registration(Row):
    """The terms that a study fixes before the test split is read.

    Attributes:
        terms: Every setting that the verdict depends on, without the code. A key is the path in ``params.yaml``, such
            as ``report.rope``. ``data.digest`` is the content of the data, ``spaces.<loss>.<hyperparameter>`` a range
            that is searched.
        earlier: Registrations of this study under which the test split was read before this one, in order. Empty if the
            plan never changed.
        num_trainings: The budget in trainings, where the terms give it in minutes: it was measured before the
            test split was read, and does not change when the study is run again.
    """

    terms: dict[str, Any]
    earlier: tuple[Earlier, ...] = ()
    num_trainings: int | None = None

    @property
    def protocol(self) -> str:
        """SHA-256 (64 hex digits) of the terms."""
        return digest(self.terms)


def registration_of(
    params: Params, data_digest: str, spaces: Mapping[str, Space], weights_digest: str | None = None
) -> Registration:
    """Return the registration of a study.

    The terms exclude the path of the data, the study's name, resources, tracking, and the order of the losses.

    Args:
        params: The study's settings.
        data_digest: Hash of the content of all prepared splits.
        spaces: The search space of each loss.
        weights_digest: Hash of the content of the pretrained weights, which stands for their path; None without any.
    """
    values = params.model_dump(mode="json")
    terms: dict[str, Any] = {
        "study.seed": params.study.seed,
        "data.name": params.data.name,
        "data.label_noise": values["data"]["label_noise"],
        "data.digest": data_digest,
        "losses": sorted(params.loss_names),
        "baseline": params.baseline,
        "selection": rule(params.tune.measure),
    }
    defaults = {"model": ModelSettings(), "training": TrainingSettings(), "tune": TuneSettings()}
    for section in _SECTIONS:
        standard = defaults[section].model_dump(mode="json") if section in defaults else {}
        for key, value in values[section].items():
            if key not in _LATER or value != standard[key]:
                terms[f"{section}.{key}"] = value
    if params.is_pooled:
        terms |= {
            "protocol": f"pooled, rules {ROUNDS_VERSION}",
            "budget": str(params.budget) if params.budget else None,
        }
        if params.budget is not None:
            del terms["tune.num_searches"], terms["confirm.num_blocks"]
    for key in (
        "model.download",
        "tune.secondary_metrics",
        "report.class_groups",
    ):  # they change no number of the verdict
        terms.pop(key, None)
    if weights_digest is not None:
        terms["model.weights"] = weights_digest
    for loss, space in sorted(spaces.items()):
        for name, searched in space.ranges.items():
            terms[f"spaces.{loss}.{name}"] = f"{searched}, first {space.defaults[name]:g}"
        terms |= {f"spaces.{loss}.{name}": value for name, value in space.fixed.items()}
    return Registration(terms=terms)


def differences(registered: Mapping[str, Any], found: Mapping[str, Any]) -> list[str]:
    """Return one line per term that differs, such as ``report.rope: registered 0.005, found 0.02``."""
    lines = []
    for key in sorted(registered.keys() | found.keys()):
        before, after = registered.get(key, "nothing"), found.get(key, "nothing")
        if before != after:
            lines.append(f"{key}: registered {_text(before)}, found {_text(after)}")
    return lines


def register(
    root: Path, study: str, registration: Registration, was_read: Callable[[Sequence[str]], bool], keys: Iterable[str]
) -> Registration:
    """Add a registration to the study's register, and return it with the earlier ones that were used.

    Each entry is a numbered file that is never changed, so the order of registrations is fixed. Registering the same
    terms again changes nothing.

    Args:
        root: Root of the study, as for the ledger.
        study: The study's name. A register belongs to one study on one data set.
        registration: The terms.
        was_read: Returns whether any training of these keys is finished. If so, the test split was read for them.
        keys: Identities of the first block's trainings under these terms.

    Raises:
        LosstuneError: If the register cannot be written.
    """
    folder = _register_of(root, study, registration)
    earlier: list[Earlier] = []
    paths = sorted(folder.glob("*.json"))
    for path in paths:
        entry = _read_entry(path)
        if entry is None:
            continue
        terms, first_keys = entry["terms"], entry["keys"]
        if digest(terms) == registration.protocol:
            known = entry.get("num_trainings", registration.num_trainings)
            return registration.model_copy(update={"earlier": tuple(earlier), "num_trainings": known})
        if was_read(first_keys):
            differs = tuple(differences(terms, registration.terms))
            earlier.append(Earlier(protocol=digest(terms), differs=differs))
    entry = {"terms": registration.terms, "keys": sorted(keys)}
    if registration.num_trainings is not None:
        entry["num_trainings"] = registration.num_trainings
    content = json.dumps(entry, sort_keys=True, indent=1)
    _enter(folder / f"{len(paths):04d}-{registration.protocol[:12]}.json", content + "\n")
    return registration.model_copy(update={"earlier": tuple(earlier)})


def registered_budget(root: Path, study: str, registration: Registration) -> int | None:
    """Return the number of trainings that was registered for these terms; None if there is none."""
    for path in sorted(_register_of(root, study, registration).glob("*.json")):
        entry = _read_entry(path)
        if entry is not None and digest(entry["terms"]) == registration.protocol:
            return entry.get("num_trainings")
    return None


def take_registrations(root: Path, shared: SharedLedger) -> None:
    """Copy the registrations of other machines. Their test-set accesses count for this machine, too.

    Raises:
        LosstuneError: If the shared register fails, or the study's own cannot be written.
    """
    base = root / FOLDER.parent
    for name, content in shared.read(name for name in shared.registrations if not (base / name).exists()):
        _enter(base / name, content)


def share_registrations(root: Path, shared: SharedLedger) -> None:
    """Send the registrations that the shared register lacks."""
    base = root / FOLDER.parent
    for path in sorted((root / FOLDER).glob("*/*.json")):
        name = path.relative_to(base).as_posix()
        if name not in shared.registrations:
            shared.send_registration(name, base)


def write_registration(path: Path, registration: Registration) -> None:
    """Write the registration with its hash, so that a reader can check it."""
    values = {"protocol": registration.protocol, **registration.model_dump(mode="json")}
    if registration.num_trainings is None:
        del values["num_trainings"]
    write_atomically(path, json.dumps(values, sort_keys=True, indent=2, ensure_ascii=False) + "\n")


def read_registration(path: Path) -> Registration:
    """Read a registration and check it against its hash.

    Raises:
        LosstuneError: If the file is missing or damaged, or its terms do not match its hash.
    """
    try:
        values = json.loads(path.read_text(encoding="utf-8"))
        protocol = values.pop("protocol")
        registration = Registration.model_validate(values)
    except FileNotFoundError:
        raise LosstuneError(f"{path}: no such file; `losstune confirm` writes it (`dvc repro`)") from None
    except (ValueError, KeyError, TypeError, AttributeError) as error:
        reason = str(error).splitlines()[0]
        raise LosstuneError(f"{path}: is damaged ({reason}); `dvc repro` writes it again") from None
    if registration.protocol != protocol:
        raise LosstuneError(
            f"{path}: its terms have the hash {registration.protocol[:12]}, found {str(protocol)[:12]}: it was "
            "edited afterwards, so there is no verdict; `dvc repro -f confirm` registers the settings in params.yaml"
        )
    return registration


def _register_of(root: Path, study: str, registration: Registration) -> Path:
    return root / FOLDER / digest([study, registration.terms["data.digest"]])[:16]


def _enter(path: Path, content: bytes | str) -> None:
    try:
        write_atomically(path, content)
    except OSError as error:
        raise LosstuneError(f"{path.parent}: cannot register the study: {error.strerror or error}") from None


def _read_entry(path: Path) -> dict[str, Any] | None:
    try:
        entry = json.loads(path.read_text(encoding="utf-8"))
        return {"terms": dict(entry["terms"]), "keys": list(entry["keys"]), **entry}
    except (ValueError, KeyError, TypeError, OSError):
        return None


def _text(value: Any) -> str:
    return ", ".join(map(str, value)) if isinstance(value, list) else str(value)
