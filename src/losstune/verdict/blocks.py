"""Group the trainings of the confirmation into blocks, and check that they are complete."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence

from losstune.config.schema import Params
from losstune.core.errors import LosstuneError
from losstune.core.records import Record, place_of

BlockId = tuple[int, int]
"""A search and a block's number within it. Two trainings are paired if they have the same one."""


def block_id(record: Record) -> BlockId:
    """Return the block of a training."""
    return record.search, record.index


def by_loss(records: Iterable[Record]) -> defaultdict[str, list[Record]]:
    """Return each loss's records in their order; an empty list for a loss without any."""
    found: defaultdict[str, list[Record]] = defaultdict(list)
    for record in records:
        found[record.configuration.loss].append(record)
    return found


def blocks_by_loss(confirm_records: Iterable[Record]) -> dict[str, list[Record]]:
    """Return each loss's blocks, ordered by :data:`BlockId`. Controls are left out."""
    found = by_loss(record for record in confirm_records if record.role == "block")
    return {loss: sorted(records, key=block_id) for loss, records in found.items()}


def blocks_of_winners(
    winners: Mapping[str, Sequence[Record]], confirm_records: Iterable[Record], params: Params
) -> dict[str, list[Record]]:
    """Return the blocks of each loss's winners, in order, after checking that they are paired and complete.

    Raises:
        LosstuneError: If blocks are missing, not paired, or not of the search's winning configuration.
    """
    confirmed = blocks_by_loss(confirm_records)
    blocks = {loss: _blocks_of(searches, confirmed.get(loss, []), params) for loss, searches in winners.items()}
    _require_pairing(blocks)
    return blocks


def _blocks_of(searches: Sequence[Record], confirmed: Iterable[Record], params: Params) -> list[Record]:
    """Return the winners' blocks in order: all, or with anytime stopping the first ones without a gap."""
    loss, num_searches = searches[0].configuration.loss, len(searches)
    found = {place_of(record, num_searches): record for record in confirmed}
    num_blocks = params.confirm.num_blocks
    num_expected = len(found) if params.confirm.stopping == "anytime" else num_blocks
    blocks = []
    for place in range(min(max(num_expected, 2), num_blocks)):
        record = found.get(place)
        index, search = divmod(place, num_searches)
        name = f"block {search}.{index}"
        if record is None or record.test is None or params.tune.measure.name not in record.test:
            raise LosstuneError(
                f"{loss} has no test scores for {name} ({num_blocks} in all): finish `losstune confirm`"
            )
        if record.configuration != searches[search].configuration:
            raise LosstuneError(
                f"{name} of {loss} was trained with another configuration than its search's winner: "
                "run `losstune confirm` again"
            )
        blocks.append(record)
    return blocks


def _require_pairing(blocks: Mapping[str, Sequence[Record]]) -> None:
    seeds: dict[tuple[int, int], int] = {}
    for records in blocks.values():
        for record in records:
            if seeds.setdefault((record.search, record.index), record.seed) != record.seed:
                raise LosstuneError(
                    f"block {record.number} was not trained on the same seed for every loss, so it is not paired"
                )
