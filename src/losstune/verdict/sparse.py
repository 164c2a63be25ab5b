"""Rows whose optional fields are absent from files that do not need them."""

from __future__ import annotations

from typing import Any, ClassVar

from pydantic import SerializerFunctionWrapHandler, model_serializer

from losstune.core.records import Row


class SparseRow(Row):
    """A row that does not write some of its fields if they are empty.

    Attributes:
        not_written_if_empty: Their names.
    """

    not_written_if_empty: ClassVar[tuple[str, ...]] = ()

    @model_serializer(mode="wrap")
    def _without_empty(self, serialize: SerializerFunctionWrapHandler) -> dict[str, Any]:
        values: dict[str, Any] = serialize(self)
        return {
            name: value
            for name, value in values.items()
            if not _is_empty(value) or name not in self.not_written_if_empty
        }


def _is_empty(value: Any) -> bool:
    return value is None or (isinstance(value, list | tuple | dict) and not value)  # 0 is a value
