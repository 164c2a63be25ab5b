"""Check the names in a cell of a matrix. Separate from running it, so that the check imports few libraries."""

from __future__ import annotations

from losstune.config.matrix import MATRIX_FILE, MatrixCell
from losstune.data.sources import check_settings
from losstune.stages.checked import checked_spaces
from losstune.stages.naming import naming


def check_cell(cell: MatrixCell) -> None:
    """Check what the schema cannot: that data, model and losses exist and fit together.

    Raises:
        LosstuneError: The message names the key, what was found and the nearest valid name.
    """
    source = f"{MATRIX_FILE}: {cell.name}"
    with naming(source):
        check_settings(cell.params.data)
    checked_spaces(cell.params, cell.folder, source)
