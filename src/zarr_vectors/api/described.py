"""What a level says about its attributes and objects."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np

from zarr_vectors.core.documents import ColumnSpec
from zarr_vectors.geometry import Column
from zarr_vectors.query.tables import LevelTables
from zarr_vectors.typing import IntArray, Json

__all__ = ["AttributeInfo", "ObjectTable", "info_of", "object_table"]


@dataclass(frozen=True)
class AttributeInfo:
    """The type of an attribute.

    Args:
        dtype: Of one value; ``object`` for text and categories.
        channels: Values per row.
        categories: The values that occur, for text and categories.
        unit: Physical unit, where known.
        per_fragment: Whether it is a fragment attribute: stored once for each part of an object in a chunk, or for each
            bin, and read as a value for each vertex.
    """

    dtype: np.dtype[Any]
    channels: int = 1
    categories: tuple[Json, ...] | None = None
    unit: str | None = None
    per_fragment: bool = False


@dataclass(frozen=True)
class ObjectTable:
    """The objects of a level, without their geometry.

    Args:
        ids: ``(O,)`` object ids.
        attributes: Object attributes, a row for each of ``ids``.
        groups: Group id to object ids.
        group_attributes: Group attributes, a row for each group id from 0.
    """

    ids: IntArray
    attributes: Mapping[str, Column]
    groups: Mapping[int, IntArray]
    group_attributes: Mapping[str, Column]

    def __len__(self) -> int:
        return len(self.ids)


def info_of(spec: ColumnSpec) -> AttributeInfo:
    """The type of a column as users see it."""
    dtype = np.dtype(object) if spec.categories is not None else spec.dtype
    return AttributeInfo(dtype, spec.channels, spec.categories, spec.unit)


def object_table(tables: LevelTables) -> ObjectTable:
    """The tables of objects and groups as users see them."""
    groups = dict(enumerate(tables.groups.members))
    return ObjectTable(tables.ids, tables.attributes, groups, tables.group_attributes)
