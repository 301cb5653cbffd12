"""What a store knows of its objects, put to the values that hold them."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import replace
from typing import Any

import numpy as np

from zarr_vectors.api.level import ObjectTable, ZVLevel
from zarr_vectors.geometry import Geometry, Polylines
from zarr_vectors.typing import IntArray

__all__ = ["in_batches", "with_tables"]


def in_batches(level: ZVLevel, **selection: Any) -> Iterator[Geometry]:
    """A selection, ready to be written elsewhere: in batches, with the tables of their objects.

    Lines that a box has cut into parts come as one line for each part, with new ids.
    """
    values = level.iter(**selection)
    whole = all(selection.get(name) is None for name in ("bbox", "object_ids", "group_ids"))
    return with_tables(values, level.objects, whole=whole) if level.has_objects else iter(values)


def with_tables(values: Iterable[Geometry], table: ObjectTable, *, whole: bool) -> Iterator[Geometry]:
    """Give every value what the store knows of its objects.

    Args:
        values: Of one level.
        table: The level's.
        whole: Whether the first value also tells of objects without vertices, which no line is.
    """
    for number, value in enumerate(values):
        if isinstance(value, Polylines):
            yield _parts_as_lines(_described(value, value.line_ids, table))
        elif whole and number == 0:
            yield _described(value, table.ids, table)
        else:
            owners = value.vertex_objects
            yield _described(value, table.ids[:0] if owners is None else owners, table)


def _described(value: Geometry, ids: IntArray, table: ObjectTable) -> Geometry:
    ids = ids if ids is table.ids else np.unique(ids)
    ids = ids[np.isin(ids, table.ids)]
    in_order = np.argsort(table.ids, kind="stable")
    rows = in_order[np.searchsorted(table.ids, ids, sorter=in_order)]
    return replace(
        value,
        objects=ids,
        object_attributes={name: column[rows] for name, column in table.attributes.items()},
        groups={group: members[np.isin(members, ids)] for group, members in table.groups.items()},
        group_attributes=table.group_attributes,
    )


def _parts_as_lines(value: Polylines | Geometry) -> Geometry:
    """Lines that came in parts as lines of their own: a store has one line for each id."""
    assert isinstance(value, Polylines)
    assert value.objects is not None
    old = value.line_ids
    if len(np.unique(old)) == len(old):
        return value
    in_order = np.argsort(value.objects, kind="stable")
    rows = in_order[np.searchsorted(value.objects, old, sorter=in_order)]
    new = np.arange(len(old))
    return replace(
        value,
        ids=new,
        objects=new,
        object_attributes={name: column[rows] for name, column in value.object_attributes.items()},
        groups={group: new[np.isin(old, members)] for group, members in value.groups.items()},
    )
