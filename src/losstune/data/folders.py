"""Decide which folders below a root are splits and which are classes, by their names and contents.

A folder is a split if it has the name of one and holds folders instead of images: a class may be called "train", too.
If names and contents disagree, the error message says what to rename.
"""

from __future__ import annotations

import os
import re
import unicodedata
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

from losstune.core.errors import LosstuneError
from losstune.data.raw import printable, require_printable, shortlist
from losstune.data.walk import images_below, is_hidden, is_image, visible

_WORDS = {
    "train": r"train(?:ing)?|trn|train[ _.-]?val",
    "validation": r"val|valid|validate|validation|dev|devel|development",
    "test": r"tests?|testing|tst|eval|evaluation|h[eo]ld[ _.-]?out",
}
_MORE = "sets?|splits?|data|datasets?|images?|imgs?|pictures?|pics?|photos?|samples?|files?|folders?"
_SPLITS = {
    split: re.compile(rf"(?:(?:{_MORE})[ _.-]*)*(?:{words})(?:[ _.-]*(?:{_MORE}))*", re.IGNORECASE)
    for split, words in _WORDS.items()
}
"""Names of splits: a word for the split, optionally with a word for its content, such as ``test_images``."""
_PLAIN = {"train": "train", "validation": "val", "test": "test"}
_ARCHIVES = (".zip", ".tar", ".gz", ".tgz", ".bz2", ".xz", ".zst", ".7z", ".rar")
_BARE = re.compile("|".join(_WORDS.values()), re.IGNORECASE)


@dataclass(frozen=True, slots=True)
class Layout:
    """The folders of one data set.

    Attributes:
        folders: The folders that contain class folders, the training data first, the test split last; or only the
            root.
        classes: For each of `folders`, the class names with the paths of their folders, in order. A split beside the
            training data may lack classes.
        has_test: Whether the last of `folders` is the test split.
        has_validation: Whether the second of `folders` is used as the validation split; else it joins the training
            data, or is the test split.
        notes: How folders are used, and what is not read; one sentence each.
    """

    folders: tuple[Path, ...]
    classes: tuple[Mapping[str, str], ...]
    has_test: bool
    has_validation: bool
    notes: tuple[str, ...]

    @property
    def class_names(self) -> tuple[str, ...]:
        """The classes, in the order of their labels."""
        return tuple(self.classes[0])


def find_layout(root: Path, *, own_validation: bool = False) -> Layout:
    """Find the splits and classes below a root from names alone, without opening an image.

    Args:
        root: The root.
        own_validation: Whether to use a folder of validation images as the validation split.

    Raises:
        LosstuneError: If there are fewer than two classes, the splits' classes differ, or a folder may be a split
            or a class.
        OSError: If a folder cannot be read.
    """
    found = [_Folder.of(entry) for entry in visible(root) if entry.is_dir()]
    splits: dict[str, _Folder] = {}
    for folder in found:
        if folder.split is None or folder.kind != "folders":
            continue
        if folder.split in splits:
            raise LosstuneError(
                f"data.root: {root} has both {splits[folder.split].name} and {folder.name}; expected one"
            )
        splits[folder.split] = folder
    rest = [folder for folder in found if folder not in splits.values()]
    if splits and "train" not in splits:
        raise _no_train(root, _names(splits.values()), rest)
    if not splits:
        _require_no_splits(root, found)
    if own_validation and "validation" not in splits:
        raise LosstuneError(
            f"data.own_validation: found true, and {root} has no val folder with class folders beside a train folder; "
            "expected false"
        )
    folders = tuple(Path(splits[split].path) for split in _WORDS if split in splits) or (root,)
    classes = tuple(_class_folders(folder, is_split=bool(splits)) for folder in folders)
    require_printable(tuple(classes[0]), root)
    _require_known_classes(folders, classes)
    if splits:
        notes = [_roles(splits, own_validation), *_notes_beside(root, splits, rest, classes[0])]
        ignored = [f"{folder.name}/" for folder in rest]
    else:
        notes = [*_notes_of_classes(found), *_notes_of_siblings(root)]
        ignored = []
    for place in dict.fromkeys((root, *folders)):
        ignored += [os.path.relpath(entry.path, root) for entry in visible(place) if not entry.is_dir()]
    ignored += _hidden_folders(root)
    if ignored:
        notes.append(f"Not read in {root}: {shortlist(ignored)}.")
    has_test = "test" in splits if own_validation else len(folders) > 1
    return Layout(folders, classes, has_test, own_validation, tuple(map(printable, notes)))


@dataclass(frozen=True, slots=True)
class _Folder:
    """A folder below the root.

    Attributes:
        path: Path of the folder.
        split: The split that its name stands for, or None.
        near: As `split`; failing that, the split that one word of its name stands for.
        kind: What it contains directly: "folders", "images", "both" or "nothing".
    """

    path: str
    split: str | None
    near: str | None
    kind: str

    @classmethod
    def of(cls, entry: os.DirEntry[str]) -> _Folder:
        has_folders = has_images = False
        with suppress(PermissionError), os.scandir(entry.path) as inside:  # such as lost+found
            for item in inside:
                if not is_hidden(item.name):
                    has_folders = has_folders or item.is_dir()
                    has_images = has_images or is_image(item)
        kinds = {(True, True): "both", (True, False): "folders", (False, True): "images"}
        split = split_named(entry.name)
        # Split names such as seg_train, birdsTest and train2017 into words.
        words = re.findall(r"[A-Z]?[a-z]+|[A-Z]+", entry.name)
        near = {named for word in words if (named := split_named(word))}
        return cls(
            entry.path,
            split,
            split or (next(iter(near)) if len(near) == 1 else None),
            kinds.get((has_folders, has_images), "nothing"),
        )

    @property
    def name(self) -> str:
        return os.path.basename(self.path)


def split_named(name: str) -> str | None:
    """Return the split that a name stands for: train, validation or test; None for another name."""
    return next((split for split, pattern in _SPLITS.items() if pattern.fullmatch(name)), None)


def _hidden_folders(root: Path) -> list[str]:
    with os.scandir(root) as entries:
        return sorted(f"{entry.name}/" for entry in entries if is_hidden(entry.name) and entry.is_dir())


def _no_train(root: Path, splits: str, rest: Iterable[_Folder]) -> LosstuneError:
    cure = "expected train/ with the same class folders"
    for folder in rest:
        if folder.split == "train":
            cure = f"{folder.name} holds images itself, expected only a folder per class in it"
        elif folder.near == "train":
            cure = f"rename {folder.name} to train"
    return LosstuneError(
        f"data.root: {root} has {splits} with class folders in it, but no train; {cure} (classes that are called "
        f"{splits} need other names)"
    )


def _names(folders: Iterable[_Folder]) -> str:
    return shortlist([folder.name for folder in folders]).replace(", ", " and ")


def _require_no_splits(root: Path, found: Sequence[_Folder]) -> None:
    """Reject folders that would become classes but whose names together look like splits."""
    filled = [folder for folder in found if folder.kind != "nothing"]
    trains = [folder for folder in filled if folder.near == "train"]
    others = [folder for folder in filled if folder.near in {"validation", "test"}]
    if not _are_splits(filled, trains, others):
        return
    cures = [
        f"rename {folder.name} to {_PLAIN[str(folder.near)]}" for folder in trains + others if folder.split is None
    ]
    for kind, cure in (
        ("images", "put the images in {} into a folder per class (a table of labels is not read)"),
        ("both", "move the images beside the folders in {} away"),
    ):
        named = [folder for folder in trains + others if folder.kind == kind]
        cures += [cure.format(_names(named))] if named else []
    what = "looks like a split, not like a class" if len(trains + others) == 1 else "look like splits, not like classes"
    raise LosstuneError(
        f"data.root: {root}: {_names(trains + others)} {what}; expected train/, and test/ or val/, each with a folder "
        f"per class: {'; '.join(cures)}; classes need other names"
    )


def _are_splits(filled: list[_Folder], trains: list[_Folder], others: list[_Folder]) -> bool:
    if filled and all(folder.split for folder in filled):
        return True
    if not (trains and others):
        return False
    named = [folder for folder in trains + others if folder.split]
    return (
        len(trains) + len(others) == len(filled)
        or all(any(folder.kind != "images" for folder in side) for side in (trains, others))
        # "train" and "test" may be classes among others; train_images and test_images may not.
        or (
            len({folder.split == "train" for folder in named}) == 2
            and not all(_BARE.fullmatch(folder.name) for folder in named)
        )
    )


def _roles(splits: Mapping[str, _Folder], own_validation: bool) -> str:
    """Return a sentence on how the splits are used."""
    if own_validation:
        names = {split: f"{folder.name}/" for split, folder in splits.items()}
        test = (
            f"{names['test']} is the test split"
            if "test" in names
            else f"the test split is drawn from {names['train']}"
        )
        return f"{names['validation']} is the validation split, {test}."
    train, *others = [f"{splits[split].name}/" for split in _WORDS if split in splits]
    if not others:
        return f"The test split is drawn from {train}, as there is no test/ or val/ with class folders beside it."
    joins = f", {others[0]} joins {train}" if len(others) == 2 else ""
    return f"{others[-1]} is the test split{joins}."


def _notes_beside(
    root: Path, splits: Mapping[str, _Folder], rest: Sequence[_Folder], classes: Mapping[str, str]
) -> Iterator[str]:
    """Yield notes on folders beside the splits that are not read; reject one that may be the missing split."""
    for folder in rest:
        role = folder.near if folder.near in {"validation", "test"} else None
        if role and folder.kind == "images":
            yield f"{folder.name}/ is not read: it holds images without class folders, so their classes are unknown."
            continue
        if folder.kind not in {"folders", "both"}:
            continue
        inside = [entry for entry in visible(folder.path) if entry.is_dir()]
        has_classes = any(
            entry.name in classes and any(is_image(item) for item in visible(entry.path)) for entry in inside
        )
        is_missing = role not in splits if role else len(splits) == 1 and has_classes and folder.near is None
        if is_missing and (has_classes or next(images_below(folder.path), None)):
            away = "; move the images beside its folders away" if folder.kind == "both" else ""
            raise LosstuneError(
                f"data.root: {root}: {folder.name} holds {'the same' if has_classes else 'class'} folders "
                f"{'as' if has_classes else 'beside'} {splits['train'].name}; rename it to {_PLAIN[role or 'test']} "
                f"if it is a split{away}, else move it out of {root}"
                f"{'' if role else '; if both are classes, rename ' + splits['train'].name}"
            )


def _notes_of_classes(found: Sequence[_Folder]) -> Iterator[str]:
    named = [folder for folder in found if folder.split]
    if named:
        yield (
            f"Read as {'a class' if len(named) == 1 else 'classes'}, though named like a split: {_names(named)}. "
            "Splits are beside a train/ and contain a folder per class."
        )


def _notes_of_siblings(root: Path) -> Iterator[str]:
    if split_named(root.name) != "train":
        return
    with suppress(OSError):  # the study does not depend on the folders beside the root
        for folder in [_Folder.of(entry) for entry in visible(root.parent) if entry.is_dir()]:
            if folder.split in {"validation", "test"} and folder.kind == "folders":
                yield f"Not read: {folder.path}; with data.root {root.parent} it would be used as a split."


def _class_folders(folder: Path, *, is_split: bool) -> dict[str, str]:
    classes: dict[str, str] = {}
    entries = visible(folder)
    for entry in entries:
        if not entry.is_dir():
            continue
        # The names are part of the data's digest: normalise accents and replace undecodable bytes.
        name = unicodedata.normalize("NFC", os.fsencode(entry.name).decode("utf-8", "replace"))
        if name in classes:
            raise LosstuneError(f"data.root: {entry.path} and {classes[name]} have the same name in Unicode")
        classes[name] = entry.path
    filled = [name for name, path in classes.items() if not _is_empty(path)]
    inner = _innermost(Path(classes[filled[0]])) if len(filled) == 1 else None
    if len(classes) < 2 or inner:
        found = f"one class folder ({(filled or list(classes))[0]})" if classes else "no class folders"
        raise LosstuneError(
            f"data.root: found {found} in {folder}, expected two or more"
            f"{_guess(folder, inner, entries, is_split=is_split)}"
        )
    return dict(sorted(classes.items()))


def _is_empty(folder: str) -> bool:
    with os.scandir(folder) as entries:
        return not any(not is_hidden(entry.name) and (entry.is_dir() or is_image(entry)) for entry in entries)


def _innermost(folder: Path) -> Path | None:
    """Return the outermost folder at or below `folder` that may contain classes or splits; None if there is none."""
    while True:
        entries = visible(folder)
        folders = [entry for entry in entries if entry.is_dir()]
        if any(map(is_image, entries)) or not folders:
            return None
        if len(folders) > 1 or split_named(folders[0].name) == "train":
            return folder
        folder = Path(folders[0].path)


def _guess(folder: Path, inner: Path | None, entries: Sequence[os.DirEntry[str]], *, is_split: bool) -> str:
    archives = [entry.name for entry in entries if entry.name.lower().endswith(_ARCHIVES)]
    if inner:
        return f"; move what is in {inner} up to {folder}" if is_split else f"; did you mean {inner}?"
    if archives:
        return f"; unpack {shortlist(archives, 3)} first"
    return "; put its images into a folder per class" if any(map(is_image, entries)) else ""


def _require_known_classes(folders: Sequence[Path], classes: Sequence[Mapping[str, str]]) -> None:
    for folder, names in zip(folders[1:], classes[1:], strict=True):
        for name in sorted(names.keys() - classes[0].keys()):
            raise LosstuneError(
                f"data.root: class {name!r} is in {folder} and not in {folders[0]}, expected every class in the "
                "training data"
            )
