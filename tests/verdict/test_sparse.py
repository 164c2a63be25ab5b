"""Fields that are absent from a file if they are empty."""

from __future__ import annotations

from typing import ClassVar

from pydantic import Field

from losstune.verdict.sparse import SparseRow


class Point(SparseRow):
    not_written_if_empty: ClassVar = ("names", "marks")

    value: float
    others: tuple[int, ...] = ()
    names: tuple[str, ...] = ()
    marks: dict[int, float] = Field(default_factory=dict)


def test_only_the_named_fields_are_left_out_and_only_if_empty():
    bare, full = Point(value=0.0), Point(value=0.0, names=("a",), marks={3: 0.0})
    assert bare.model_dump(mode="json") == {"value": 0.0, "others": []}
    assert full.model_dump(mode="json") == {"value": 0.0, "others": [], "names": ["a"], "marks": {"3": 0.0}}
    for point in (bare, full):
        assert Point.model_validate_json(point.model_dump_json()) == point
