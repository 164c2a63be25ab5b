"""Data of one's own: `data: {name: "my_data.py:load_csv", root: flowers.csv, options: {label: species}}`."""

import csv
from pathlib import Path

import numpy as np

import losstune


def load_csv(root: str, label: str = "label") -> losstune.Dataset:
    """Read a table with a header: one column of class names, all others numbers."""
    with Path(root).open(newline="", encoding="utf-8") as file:
        rows = list(csv.DictReader(file))
    features = [name for name in rows[0] if name != label]
    samples = np.array([[float(row[name]) for name in features] for row in rows], dtype=np.float32)
    return losstune.Dataset(train=(samples, [row[label] for row in rows]))
