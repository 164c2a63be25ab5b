"""Which trainings of the confirmation belong together."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable

from losstune.core.records import Configuration, Record

BlockId = tuple[int, int]
"""A search and a block's number within it: what two trainings share that are to be held against each other."""


def block_id(record: Record) -> BlockId:
    """Return the block that a training belongs to."""
    return record.search, record.index


def blocks_by_loss(confirm_records: Iterable[Record]) -> dict[str, list[Record]]:
    """Return each loss's blocks in the order of their identity; controls are none."""
    found: defaultdict[str, list[Record]] = defaultdict(list)
    for record in confirm_records:
        if record.role == "block":
            found[record.configuration.loss].append(record)
    return {loss: sorted(records, key=block_id) for loss, records in found.items()}


def confirmed_configurations(blocks: Iterable[Record]) -> list[tuple[int, Configuration]]:
    """Return the configurations that a loss's blocks were trained with, each with its search."""
    found: list[tuple[int, Configuration]] = []
    for record in blocks:
        pair = (record.search, record.configuration)
        if pair not in found:
            found.append(pair)
    return found
