"""Repeat a study of the matrix with other seeds: splits, search and trainings are all drawn anew.

    make study-real AGAIN=wine      # writes studies/wine_again-mlp; `python page.py` then shows both results

The study itself, which makes its data, has to have run. A true difference is found again; luck is not. The comparison
of all studies leaves the repetition out.
"""

from __future__ import annotations

import argparse
import tempfile
from pathlib import Path

from ruamel.yaml import YAML

from losstune.config.load import load_params, study_root
from losstune.config.matrix import MatrixCell, load_matrix

HERE = Path(__file__).resolve().parent
SUFFIX = "_again"


def cell_again(data: str) -> MatrixCell:
    """Return the cell of an entry under another name, from which its seed follows."""
    yaml = YAML(typ="safe", pure=True)
    matrix = yaml.load(HERE / "matrix.yaml")["matrix"]
    if data not in matrix["data"]:
        raise SystemExit(f"{data}: no such study, expected one of {', '.join(matrix['data'])}")
    entry = matrix["data"][data]
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder, "matrix.yaml")
        yaml.dump({"matrix": {"data": {data + SUFFIX: entry}, "model": matrix["model"]}}, path)
        (cell,) = load_matrix(load_params(HERE / "params.yaml"), path)
    return cell


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("data", help="a data set of matrix.yaml")
    again = cell_again(parser.parse_args().data)
    from losstune.stages import cell as stage  # imports torch

    stage.run(again, HERE, study_root())
