"""``losstune pack run``: write the settings of a pack's cells, run their studies, and judge the claims."""

from __future__ import annotations

import io
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from ruamel.yaml import YAML

from losstune.config.load import PARAMS_FILE, load_params
from losstune.config.schema import Params
from losstune.core.errors import LosstuneError
from losstune.core.files import write_atomically
from losstune.core.local_code import use_study_folder
from losstune.data.sources import check_settings
from losstune.packs import outputs
from losstune.packs.claims import judge
from losstune.packs.loading import LoadedPack, PackCell
from losstune.packs.outputs import PackResults, cell_facts
from losstune.stages import report, whole
from losstune.stages.checked import checked_spaces
from losstune.stages.layout import RESULTS
from losstune.stages.naming import naming
from losstune.verdict.results import Results

MARK = "# Written by `losstune pack run`"
HEADER = f"{MARK}, which writes it again. To change settings, copy the pack's folder.\n"


def run(pack: LoadedPack, folder: Path) -> PackResults:
    """Run the cells that are not finished, write ``pack.json`` and ``pack.md``, and print the table.

    A cell is finished if its ``results.json`` was made with the pack's settings. Finished trainings of other cells are
    kept, so that an interrupted pack continues.

    Args:
        pack: The pack.
        folder: Where to write: a folder for each cell, and the ledger that they share.

    Raises:
        LosstuneError: If settings or data are invalid.
        UnfinishedStudyError: If not every training is finished.
    """
    folder = folder.absolute()
    with own_code_of(pack):
        for cell in pack.cells.values():
            check_cell(pack, cell)
        for cell in pack.cells.values():
            if missing_data(pack, cell) is None:
                _run_cell(pack, cell, folder)
    found = judged(pack, folder)
    outputs.write(found, folder)
    outputs.print_pack(found)
    return found


def judged(pack: LoadedPack, folder: Path) -> PackResults:
    """Judge the claims by the cells that have run. Trains nothing.

    Raises:
        LosstuneError: If a ``results.json`` is damaged.
    """
    results = {name: _results(folder / name) for name in pack.cells}
    missing = {name: missing_data(pack, cell) or "not run" for name, cell in pack.cells.items()}
    content = pack.content
    return PackResults(
        name=pack.name,
        title=content.title,
        sources=tuple(source.full for source in content.sources),
        same=content.same,
        smaller=content.smaller,
        cells=tuple(
            cell_facts(name, content.cells[name].stand_in, results[name], missing[name]) for name in pack.cells
        ),
        claims=tuple(
            judge(claim, cell, results[cell], missing[cell]) for claim in content.claims for cell in claim.cells
        ),
    )


def check_cell(pack: LoadedPack, cell: PackCell) -> None:
    """Check what the schema cannot: that losses and model exist, and that the budget pays for the first look.

    Raises:
        LosstuneError: The message names the file and the cell.
    """
    source = f"{pack.file}: cells.{cell.name}"
    with naming(source):
        check_settings(cell.params.data)
    checked_spaces(cell.params, pack.file.parent, source)


def missing_data(pack: LoadedPack, cell: PackCell) -> str | None:
    """Return which data the cell lacks and where it is expected, in words; None if it can run."""
    needs = pack.content.cells[cell.name].needs
    if needs is None or (pack.data is not None and (pack.data / needs.path).exists()):
        return None
    place = "the folder of --data" if pack.data is None else pack.data
    return f"not run: needs {needs.data}, as {needs.path} in {place}"


def _results(place: Path) -> Results | None:
    if not (place / RESULTS).is_file():
        return None
    with naming(str(place)):
        return report.read_results(place, "remove it and run this again")


def _run_cell(pack: LoadedPack, cell: PackCell, folder: Path) -> None:
    place = folder / cell.name
    path = place / PARAMS_FILE
    if (place / RESULTS).is_file() and path.is_file() and _is_same(load_params(path), cell.params):
        print(f"{pack.name}, {cell.name}: finished", flush=True)
        return
    if path.is_file() and not path.read_text(encoding="utf-8").startswith(MARK):
        raise LosstuneError(f"{path}: found settings that no pack wrote, expected none; choose another --folder")
    (place / RESULTS).unlink(missing_ok=True)  # made with other settings
    text = io.StringIO()
    YAML(typ="safe", pure=True).dump(dict(cell.values), text)
    write_atomically(path, HEADER + text.getvalue())
    print(f"{pack.name}, {cell.name}: in {place}", flush=True)
    print(whole.run(cell.params, place, folder).verdict.sentence, flush=True)


def _is_same(found: Params, wanted: Params) -> bool:
    # Data may lie elsewhere on another machine.
    data = found.data.model_copy(update={"root": wanted.data.root})
    return found.model_copy(update={"data": data}) == wanted


@contextmanager
def own_code_of(pack: LoadedPack) -> Iterator[None]:
    """Let references to code, such as ``my_losses.py:tilted``, start in the pack's folder."""
    use_study_folder(pack.file.parent)
    try:
        yield
    finally:
        use_study_folder(None)
