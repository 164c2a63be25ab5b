"""``losstune study``: run one study of a matrix, from data to verdict, in its own folder."""

from __future__ import annotations

from pathlib import Path

from losstune.config.matrix import MatrixCell
from losstune.stages import confirm, features, prepare, report, tune
from losstune.stages.cell_names import check_cell


def run(cell: MatrixCell, folder: Path, root: Path) -> None:
    """Run all stages of one cell.

    All cells share the ledger of the root. A training is identified by everything that determines it, so cells cannot
    mix up their trainings, and a training that two cells need is done once.

    Args:
        cell: The study of the matrix.
        folder: Folder of ``matrix.yaml``, which contains the cell's folder.
        root: Folder of the ledger and of MLflow's database.

    Raises:
        LosstuneError: If settings or data are invalid.
        UnfinishedStudyError: If not every training is finished.
    """
    check_cell(cell)
    print(f"{cell.name}: in {cell.folder}", flush=True)
    # First, because a data.root such as ../data needs an existing folder.
    (folder / cell.folder).mkdir(parents=True, exist_ok=True)
    for stage in (prepare, features, tune, confirm, report):
        stage.run(cell.params, folder / cell.folder, root)
