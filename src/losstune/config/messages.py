"""Validation messages: where the mistake is, what was found, what is expected. One line."""

from __future__ import annotations

import datetime
import operator
import re
import types
from collections.abc import Iterable
from dataclasses import dataclass
from typing import Annotated, Any, Literal, Union, get_args, get_origin

from pydantic import BaseModel, ValidationError
from pydantic.fields import FieldInfo
from ruamel.yaml.constructor import DuplicateKeyError
from ruamel.yaml.error import MarkedYAMLError, YAMLError

from losstune.core.errors import did_you_mean
from losstune.core.metric import EXPECTED_COST

_SWITCHES = {"yes": "true", "on": "true", "true": "true", "no": "false", "off": "false", "false": "false"}
_OTHER_WORDS = {
    "gpu": "cuda",
    "fp32": "float32",
    "bf16": "bfloat16",
    "acc": "accuracy",
    "f1": "macro_f1",
    "top5": "top_5_accuracy",
    "top_5": "top_5_accuracy",
    "log_loss": "nll",
    "cross_entropy": "nll",
    "roc_auc": "auroc",
    "auc": "auroc",
    "ap": "average_precision",
    "cohen_kappa": "kappa",
    "qwk": "quadratic_kappa",
    "matthews": "mcc",
}
"""Other names of allowed values that the nearest spelling would not find."""


def explain_validation_error(error: ValidationError, model: type[BaseModel]) -> str:
    """Return one line on the most specific error, with the keys of the other errors at its end.

    Args:
        error: The error of validating against `model`.
        model: The settings class; its sections must be models, too.
    """
    mistakes = _distinct(_Mistake.of(item, model) for item in error.errors(include_url=False))
    first, *others = sorted(mistakes, key=lambda mistake: mistake.rank)
    if not others:
        return first.message(model)
    shown = ", ".join(mistake.key for mistake in others[:3]) + (", ..." if len(others) > 3 else "")
    return f"{first.message(model)} (and {len(others)} more: {shown})"


def explain_yaml_error(error: YAMLError, text: str = "") -> str:
    """Return one line with the position and the problem.

    Args:
        error: The error of parsing `text`.
        text: The file's content.
    """
    for number, line in enumerate(text.splitlines(), start=1):
        if line.startswith(("<<<<<<< ", ">>>>>>> ")):
            return f"line {number}: {line[:7]!r}, a Git merge conflict; keep one of its two sides"
    if not isinstance(error, MarkedYAMLError) or error.problem_mark is None:
        return f"not valid YAML: {_on_one_line(str(error))}"
    problem, mark = str(error.problem), error.problem_mark
    where = f"line {mark.line + 1}"
    if isinstance(error, DuplicateKeyError):
        return f"{where}: the key {problem.split(chr(34))[1]!r} is given twice"
    if "'\\t'" in problem:
        return f"{where}: a tab; YAML is indented with spaces"
    tag = re.search(r"constructor for the tag '(.+)'", problem)
    if tag is not None:
        name = tag[1].replace("tag:yaml.org,2002:", "!!")
        return f"{where}: found the tag {name!r}, expected none: settings are plain values, and no code is run"
    if "unhashable key" in problem:
        return f"{where}, column {mark.column + 1}: a section as a key; put quotes around a text that begins with {{"
    return f"{where}, column {mark.column + 1}: not valid YAML: {_on_one_line(problem)}"


def show(value: Any) -> str:
    """Return `value` in words or as in YAML, in at most 60 characters."""
    if value is None:
        return "nothing"
    if isinstance(value, bool):
        return str(value).lower()
    if isinstance(value, dict):
        return "a section" if value else "an empty section"
    if isinstance(value, list):
        return "a list" if value else "an empty list"
    if isinstance(value, datetime.date):
        return f"the date {value.isoformat()}"
    if isinstance(value, bytes | set):
        return "a set" if isinstance(value, set) else "binary data"
    text = repr(value)
    return text if len(text) <= 60 else text[:57] + "..."


@dataclass(frozen=True)
class _Mistake:
    kind: str
    path: tuple[str | int, ...]
    expects: _Type
    """Type of the value at `path`; for an unknown key, type of the section around it."""
    found: Any
    reason: str

    @classmethod
    def of(cls, item: Any, model: type[BaseModel]) -> _Mistake:
        kind = "extra_forbidden" if item["type"] == "invalid_key" else item["type"]
        if item["loc"] and item["loc"][-1] == "[key]":
            path, expects = _walk(_Type(model), item["loc"][:-2])
            return cls("key_type", (*path, str(item["loc"][-2])), expects, item["input"], "")
        loc = item["loc"][:-1] if kind == "extra_forbidden" else item["loc"]
        path, expects = _walk(_Type(model), loc)
        if kind == "extra_forbidden":
            path = (*path, str(item["loc"][-1]))
        return cls(kind, path, expects, item["input"], str(item.get("ctx", {}).get("error", "")))

    @property
    def key(self) -> str:
        """The path as text, such as ``tune.asha.grace_epochs`` or ``losses[2]``."""
        parts = (f"[{part}]" if isinstance(part, int) else f".{part}" for part in self.path)
        return "".join(parts).removeprefix(".")

    @property
    def rank(self) -> int:
        # Unknown keys come first: a missing key is often one that the user misspelt. Pydantic checks
        # for contradictions between values only once every value is valid.
        return {"extra_forbidden": 0, "missing": 2}.get(self.kind, 1)

    @property
    def is_contradiction(self) -> bool:
        return self.kind == "value_error" and self.expects.model is not None

    def message(self, model: type[BaseModel]) -> str:
        if self.kind == "extra_forbidden":
            allowed = self.expects.keys
            hint = did_you_mean(str(self.path[-1]), allowed) or _elsewhere(self.path[-1], model)
            return f"unknown key '{self.key}'{hint} (allowed here: {', '.join(allowed)})"
        if self.kind == "key_type":
            return f"{self.key}: found {show(self.found)} as a name, expected text; put it in quotes"
        if self.kind == "missing":
            return f"key '{self.key}' is missing, expected {self.expects.expected}"
        if self.is_contradiction:
            return f"{self.key}: {self.reason}" if self.path else self.reason
        return f"{self.key}: found {show(self.found)}, expected {self.expects.expected}{self._hint()}"

    def _hint(self) -> str:
        kinds = self.expects.scalars
        if isinstance(self.found, str):
            switched = _SWITCHES.get(self.found.lower())
            if bool in kinds:
                return f"; write {switched}" if switched else ""
            if kinds & {int, float} and _is_number(self.found):
                return "; remove the quotes"
            meant = _number_meant(self.found)
            if float in kinds and meant is not None and self.expects.allows(meant):
                return f"; write {meant:g}"
            if self.found == EXPECTED_COST:
                return "; it needs its costs"
            meant_word = _OTHER_WORDS.get(self.found.lower())
            if meant_word in self.expects.choices:
                return f"; did you mean '{meant_word}'?"
            return did_you_mean(self.found, self.expects.choices)
        if isinstance(self.found, float) and int in kinds and float not in kinds and self.found.is_integer():
            return f"; write {int(self.found)}" if self.expects.allows(int(self.found)) else ""
        return ""


@dataclass(frozen=True)
class _Type:
    """An annotation with its pydantic constraints."""

    annotation: Any
    metadata: tuple[Any, ...] = ()
    description: str | None = None

    @classmethod
    def of_field(cls, field: FieldInfo) -> _Type:
        return cls(field.annotation, tuple(field.metadata), field.description).plain()

    def plain(self) -> _Type:
        """Return the type without ``Annotated``, with its metadata merged."""
        if get_origin(self.annotation) is not Annotated:
            return self
        inner, *extras = get_args(self.annotation)
        fields = [extra for extra in extras if isinstance(extra, FieldInfo)]
        metadata = [item for field in fields for item in field.metadata]
        description = self.description
        for field in reversed(fields):
            description = description or field.description
        return _Type(inner, (*metadata, *self.metadata), description).plain()

    @property
    def options(self) -> list[_Type]:
        if get_origin(self.annotation) in {Union, types.UnionType}:
            return [_Type(option).plain() for option in get_args(self.annotation)]
        return [self]

    @property
    def model(self) -> type[BaseModel] | None:
        is_model = isinstance(self.annotation, type) and issubclass(self.annotation, BaseModel)
        return self.annotation if is_model else None

    @property
    def keys(self) -> list[str]:
        return [key for option in self.options if option.model for key in option.model.model_fields]

    @property
    def choices(self) -> list[str]:
        literals = [option for option in self.options if get_origin(option.annotation) is Literal]
        return [str(choice) for literal in literals for choice in get_args(literal.annotation)]

    @property
    def scalars(self) -> set[Any]:
        return {option.annotation for option in self.options} & {bool, int, float, str}

    @property
    def expected(self) -> str:
        if self.description:
            return self.description
        words = {
            "null" if option.annotation is types.NoneType else option._expected_alone(): None for option in self.options
        }
        return " or ".join(words)

    def _expected_alone(self) -> str:
        if self.model is not None:
            return f"a section with keys {', '.join(self.keys)}"
        if get_origin(self.annotation) is Literal:
            return f"one of {', '.join(self.choices)}" if len(self.choices) > 1 else self.choices[0]
        if self.annotation is int:
            return f"a whole number{self._bounds(whole=True)}"
        if self.annotation is float:
            return f"a number{self._bounds(whole=False)}" if self._bounds(whole=False) else "a finite number"
        return "true or false" if self.annotation is bool else "text"

    def allows(self, number: float) -> bool:
        """Whether a number is within the bounds of one of the options."""
        holds = {"ge": operator.ge, "gt": operator.gt, "le": operator.le, "lt": operator.lt}
        return any(
            all(holds[name](number, bound) for name, bound in option._limits().items())
            for option in self.options
            if option.annotation in {int, float}
        )

    def _limits(self) -> dict[str, float]:
        return {
            name: getattr(item, name)
            for item in self.metadata
            for name in ("ge", "gt", "le", "lt")
            if getattr(item, name, None) is not None
        }

    def _bounds(self, *, whole: bool) -> str:
        bounds = self._limits()
        low, high = bounds.get("ge", bounds.get("gt")), bounds.get("le", bounds.get("lt"))
        if low is not None and high is not None:
            interval = f"{'[' if 'ge' in bounds else '('}{low:g}, {high:g}{']' if 'le' in bounds else ')'}"
            return f" from {low} to {high}" if whole else f" in {interval}"
        return f" {'>=' if 'ge' in bounds else '>'} {low}" if low is not None else ""


def _walk(start: _Type, loc: Iterable[str | int]) -> tuple[tuple[str | int, ...], _Type]:
    """Follow an error's location to a type. Pydantic inserts tags of union members between the keys; skip them."""
    path: list[str | int] = []
    current = start.plain()
    for part in loc:
        if current.model is not None and part in current.model.model_fields:
            path.append(part)
            current = _Type.of_field(current.model.model_fields[str(part)])
        elif get_origin(current.annotation) in {dict, tuple}:
            path.append(part)
            inner = get_args(current.annotation)[1 if get_origin(current.annotation) is dict else 0]
            current = _Type(inner).plain()
        else:
            members = (option for option in current.options if option.model)
            current = next((one for one in members if one.annotation.__name__ in str(part)), current)
    return tuple(path), current


def _distinct(mistakes: Iterable[_Mistake]) -> list[_Mistake]:
    """Remove mistakes that another mistake explains."""
    by_path: dict[tuple[str | int, ...], _Mistake] = {}
    for mistake in sorted(mistakes, key=lambda mistake: not mistake.is_contradiction):
        by_path.setdefault(mistake.path, mistake)
    everything = list(by_path.values())

    def is_explained(mistake: _Mistake) -> bool:
        depth = len(mistake.path)
        for other in everything:
            # Each member of a union reports an error. The deepest one belongs to the member the user meant.
            if len(other.path) > depth and other.path[:depth] == mistake.path and not mistake.is_contradiction:
                return True
            # A misspelt key is reported both as unknown and as missing.
            is_pair = mistake.kind == "missing" and other.kind == "extra_forbidden"
            is_near = bool(did_you_mean(str(other.path[-1:]), [str(mistake.path[-1:])]))
            if is_pair and is_near and other.path[:-1] == mistake.path[:-1]:
                return True
        return False

    return [mistake for mistake in everything if not is_explained(mistake)]


def _elsewhere(key: str | int, model: type[BaseModel]) -> str:
    places = [f"{section}.{key}" for section, field in model.model_fields.items() if key in _Type.of_field(field).keys]
    return f"; did you mean '{places[0]}'?" if len(places) == 1 else ""


def _number_meant(text: str) -> float | None:
    """Return the number meant by ``0,005`` or ``20%``; None if the text is no number."""
    plain = text.strip().replace(",", ".", 1)
    share = plain.removesuffix("%")
    if not _is_number(share):
        return None
    return float(share) / 100 if share != plain else float(share)


def _is_number(text: str) -> bool:
    try:
        float(text)
    except ValueError:
        return False
    return True


def _on_one_line(text: str) -> str:
    return " ".join(text.split())
