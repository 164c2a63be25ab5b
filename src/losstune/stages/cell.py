"""``losstune study``: one study of a matrix, from its data to its verdict, in a folder of its own."""

from __future__ import annotations

from pathlib import Path

from losstune.config.matrix import MatrixCell
from losstune.stages import confirm, prepare, report, tune
from losstune.stages.cell_names import check_cell


def run(cell: MatrixCell, folder: Path, root: Path) -> None:
    """Prepare, tune, confirm and report one cell.

    The ledger is the root's, shared by all cells: a training is known by what determines it, so none is mistaken for
    another cell's, and what two cells have in common is trained once.

    Args:
        cell: The study.
        folder: That of ``matrix.yaml``, below which the cell's own is.
        root: Where the ledger and MLflow's database are.

    Raises:
        LosstuneError: If something is wrong with settings or data.
        UnfinishedStudyError: If not every training is finished.
    """
    check_cell(cell)
    print(f"{cell.name}: in {cell.folder}", flush=True)
    # First, or a data.root that leads up from it leads nowhere.
    (folder / cell.folder).mkdir(parents=True, exist_ok=True)
    for stage in (prepare, tune, confirm, report):
        stage.run(cell.params, folder / cell.folder, root)
