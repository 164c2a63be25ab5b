"""The first stage: read the data and write three disjoint splits."""

from __future__ import annotations

import json
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import replace
from pathlib import Path

from losstune.config.data import FILES, DataSettings
from losstune.config.load import data_path
from losstune.config.schema import Params
from losstune.core.errors import LosstuneError
from losstune.core.progress import Progress
from losstune.core.seeds import derive_seed
from losstune.data import files, imbalance, noise, prepared, sources, splits
from losstune.data.details import details
from losstune.data.groups import require_apart
from losstune.data.long_tail import long_tail
from losstune.data.raw import Labels, RawData, ReportProgress, describe_classes
from losstune.stages.layout import PREPARED

DECODED = Path(".losstune/decoded")


def run(params: Params, folder: Path, root: Path, raw: RawData | None = None) -> None:
    """Read the data that `params` name, split it, and write ``data/prepared``.

    Args:
        params: Validated ``params.yaml``.
        folder: Folder of the stage's outputs. A relative ``data.root`` starts here.
        root: Folder of the cache of decoded images, which DVC's temporary copies of the study share.
        raw: The data, if it is in memory already.

    Raises:
        LosstuneError: If the data is missing or invalid, or a class is too small to split.
    """
    data_root = data_path(params.data.root, folder)
    settings = params.data.model_copy(update={"root": str(data_root)})
    sources.check_settings(settings)
    if settings.name == FILES:
        print(files.write(folder / PREPARED, data_root, settings).summary())
        return
    is_in_memory = raw is not None
    raw = raw or _load(settings, cache=root / DECODED)
    has_test = raw.test_labels is not None
    for key, is_missing in (("own_validation", raw.validation is None), ("groups", raw.groups is None)):
        if is_missing and (found := getattr(settings, key)):
            raise LosstuneError(f"data.{key}: found {json.dumps(found)}, and the data has none; remove the key")
    try:
        if raw.test_labels is not None:
            splits.require_two_classes(raw.test_labels, raw.class_names, "test split that the data brings")
            if raw.groups is not None and raw.test_groups is not None:
                require_apart(raw.groups, raw.test_groups, "test split that the data brings")
        parts = splits.split(
            raw.labels,
            raw.class_names,
            validation_fraction=settings.validation_fraction,
            test_fraction=None if has_test else settings.test_fraction,
            seed=derive_seed(params.study.seed, "split"),
            validation=raw.validation,
            groups=raw.groups,
        )
    except LosstuneError as error:
        raise LosstuneError(f"data.root: {data_root}: {error}") from None
    if settings.long_tail is not None:
        parts = replace(parts, train=_tail(raw, parts, settings.long_tail, params.study.seed))
    raw = raw.with_features(parts.train)
    manifest = prepared.write(
        folder / PREPARED,
        raw,
        parts,
        name=settings.name,
        noise=noise.noisy_labels(raw, parts, settings, params.study.seed),
        long_tail=settings.long_tail,
    )
    print(manifest.summary("data" if is_in_memory else None))
    print(f"{describe_classes(raw.class_names)}.")
    for note in (*raw.notes, *(f"{detail[0].upper()}{detail[1:]}." for detail in details(manifest, settings))):
        print(note)
    if has_test:
        print("The data has its own test split, so data.test_fraction is ignored.")
    if raw.validation is not None:
        print("The data has its own validation split, so data.validation_fraction is ignored.")
    for line in imbalance.warnings_on(manifest, params.tune.measure.name, params.report.rope):
        print(f"note: {line}.")


def _tail(raw: RawData, parts: splits.Splits, ratio: float, seed: int) -> Labels:
    kept = long_tail(raw.labels[parts.train], len(raw.class_names), ratio, derive_seed(seed, "long_tail"))
    tail: Labels = parts.train[kept]
    return tail


def _load(settings: DataSettings, cache: Path) -> RawData:
    with _progress("decode") as report:
        return sources.load(settings, report, cache=cache)


@contextmanager
def _progress(label: str) -> Iterator[ReportProgress]:
    # The number of images is not known before they are listed, so the bar opens at the first report.
    with ExitStack() as stack:
        bar: Progress | None = None

        def report(done: int, total: int) -> None:
            nonlocal bar
            if bar is None:
                bar = stack.enter_context(Progress(total, label, unit="image"))
            bar.update(done)

        yield report
