"""The table of identical losses against what the search for them finds."""

from __future__ import annotations

from collections import defaultdict

import pytest

from losstune.losses.registry import registry
from losstune.losses.tools.identity import identical_pairs
from losstune.losses.tools.known_pairs import COMPARED, MOST_CLASSES, identical_at, known_to_differ

SOME = (2, 3, 10)


def test_the_table_has_every_loss_whose_value_is_settled_by_its_name():
    assert frozenset(name for name, spec in registry().items() if not spec.needs_counts) == COMPARED


@pytest.mark.parametrize(
    "num_classes",
    [pytest.param(num, marks=() if num in SOME else pytest.mark.slow) for num in range(2, MOST_CLASSES + 1)],
)
def test_the_table_says_what_the_search_finds(num_classes):
    by_head = defaultdict(dict)
    for name in COMPARED:
        spec = registry()[name]
        by_head[spec.head, spec.initial_bias is None][name] = spec.bind()
    found = {frozenset(pair[:2]) for losses in by_head.values() for pair in identical_pairs(losses, (), (num_classes,))}
    assert found == identical_at(num_classes)


def test_only_what_was_compared_is_known():
    assert known_to_differ(["focal", "mine", "gce", "logit_adjusted"], 10) == [("focal", "gce")]
    pair = ("weston_watkins", "crammer_singer")
    assert known_to_differ(pair, 2) == []
    assert known_to_differ(pair, 3) == [pair]
    assert known_to_differ(["kl_divergence", "cross_entropy"], 5) == []
