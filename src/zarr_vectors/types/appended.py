"""Vertices on their way to a level that exists, brought to what the level has."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from typing import Any

import numpy as np

from zarr_vectors.core.documents import ColumnSpec
from zarr_vectors.core.state import LevelState
from zarr_vectors.exceptions import InputError
from zarr_vectors.geometry import Categorical, Column, Geometry, Graph, Lines, Linked, Mesh, Points, Polylines, Skeleton
from zarr_vectors.geometry.arrays import as_ids, as_positions
from zarr_vectors.spatial.partition import runs_of
from zarr_vectors.types.append_columns import filler
from zarr_vectors.types.append_tables import missing_rows
from zarr_vectors.types.check import tables_of
from zarr_vectors.types.intake import casts_exactly, numbered
from zarr_vectors.types.kinds import Kind
from zarr_vectors.typing import AnyArray, IntArray

__all__ = [
    "as_value",
    "cast_column",
    "completed",
    "ids_of",
    "link_specs",
    "with_link_columns",
    "with_owner",
    "with_same_tables",
    "with_tables",
]


def as_value(positions: Any, object_ids: Any, level: LevelState, kind: Kind, first_id: int | None) -> Geometry:
    """Bare positions as a value of the level's kind, without edges or faces.

    Args:
        object_ids: ``(N,)`` object of each vertex; vertices of one line follow one another.
        first_id: Where ids start for vertices that come without, each an object of its own; None for no objects.

    Raises:
        InputError: Shapes contradict each other, or the ids of a line do not follow one another.
    """
    positions = as_positions(positions)
    ids: IntArray | None = None
    if object_ids is not None:
        ids = as_ids("object_ids", object_ids, len(positions))
    elif first_id is not None:
        # A line has two ends, and is the least that an object of such a store can be.
        each = 2 if kind.value is Lines else 1
        ids = first_id + np.arange(len(positions), dtype=np.int64) // each
    if kind.value is Points:
        return Points(positions, object_ids=ids)
    if kind.connects == "sequence":
        return _lines(positions, ids, kind)
    if kind.value is Mesh:
        width = 3 if level.links is None else level.links.width
        return Mesh(positions, np.zeros((0, width), dtype=np.int64), object_ids=ids)
    if kind.value is Skeleton:
        return Skeleton(positions, object_ids=ids)
    return Graph(positions, object_ids=ids, directed=level.links is not None and level.links.directed)


def _lines(positions: AnyArray, ids: IntArray | None, kind: Kind) -> Polylines:
    ids = np.zeros(0, dtype=np.int64) if ids is None else ids
    runs = runs_of(ids)
    offsets = np.append(runs.starts, len(positions)).astype(np.int64)
    if kind.value is not Lines:
        return Polylines(positions, offsets, ids=ids[runs.starts], kind=kind.geometry_type)
    odd = np.flatnonzero(runs.counts != 2)
    if len(odd):
        raise InputError(
            "a line must have two ends, which follow one another",
            got=f"{runs.counts[odd[0]]} for line {ids[runs.starts[odd[0]]]}",
        )
    return Lines(positions, offsets, ids=ids[runs.starts])


def with_owner(value: Geometry, first_id: int) -> Geometry:
    """The value with ids where it comes without: lines are numbered, other vertices are one object."""
    if isinstance(value, Polylines):
        return numbered(value, first_id)
    if isinstance(value, (Points, Linked)) and value.object_ids is None:
        return replace(value, object_ids=np.full(value.vertex_count, first_id, dtype=np.int64))
    return value


def ids_of(value: Geometry) -> IntArray:
    """Sorted ids of the objects of a value."""
    return tables_of(value).ids


def completed(
    given: Mapping[str, Column], specs: Mapping[str, ColumnSpec], rows: int, fill: Mapping[str, Any]
) -> dict[str, Column]:
    """All of these attributes, and those given in their types.

    Args:
        given: Attributes with a value for each of so many rows; they fit the types.
        fill: Values for those that are not given.

    Raises:
        InputError: An attribute is missing, and has neither a fill nor a value that means missing.
    """
    columns = dict(given)
    for name, spec in specs.items():
        column = columns.get(name)
        if column is None:
            columns[name] = _filled(name, spec, rows, fill)
        elif spec.categories is None and not isinstance(column, Categorical):
            columns[name] = column.astype(spec.dtype, copy=False)
    return columns


def _filled(name: str, spec: ColumnSpec, rows: int, fill: Mapping[str, Any]) -> Column:
    value, stored = filler(name, spec, fill)
    if stored.categories is not None:
        return Categorical(np.full(rows, int(value)), stored.categories, stored.ordered)
    return np.array(np.broadcast_to(value, (rows, *value.shape)))


def link_specs(level: LevelState) -> Mapping[str, ColumnSpec]:
    """Types of the attributes of a level's links."""
    return {} if level.links is None else level.links.columns


def with_link_columns(value: Linked, columns: Mapping[str, Column]) -> Linked:
    """The value with these attributes of edges or faces."""
    changes: dict[str, Any] = {"face_attributes" if isinstance(value, Mesh) else "edge_attributes": columns}
    return replace(value, **changes)


def with_tables(value: Geometry, more: Mapping[str, Column]) -> Geometry:
    """The value with more object attributes, a row for each of its objects with ids ascending."""
    tables = tables_of(value)
    return replace(value, objects=tables.ids, object_attributes={**tables.attributes, **more})


def with_same_tables(value: Geometry, other: Geometry, fill: Mapping[str, Any]) -> Geometry:
    """The value with every object attribute that another one has; those that it lacks are filled.

    Raises:
        InputError: A whole number is missing and has no fill.
    """
    own, theirs = tables_of(value), tables_of(other)
    lacking = {name: column for name, column in theirs.attributes.items() if name not in own.attributes}
    if not lacking:
        return value
    return with_tables(value, {name: missing_rows(name, c, len(own.ids), fill) for name, c in lacking.items()})


def cast_column(what: str, name: str, column: Column, dtype: Any) -> Column:
    """An attribute in the type that was asked for; floats are rounded to it, nothing else is.

    Args:
        dtype: One of numpy's, or ``"text"``.

    Raises:
        InputError: The dtype is not known, or cannot hold a value.
    """
    text = dtype in ("text", "str") if isinstance(dtype, str) else dtype is str
    try:
        wanted = np.dtype(object if text else dtype)
    except TypeError as error:
        raise InputError("dtype is not one of numpy's", got=repr(dtype), hint="for example 'float32'") from error
    if text and not len(column):
        return Categorical(np.zeros(0, dtype=np.int64), ())
    if isinstance(column, Categorical):
        if wanted.kind not in "OUST":
            raise InputError(f"{what} {name!r} cannot be cast to {wanted}", got="text")
        return column
    fits = casts_exactly(np.ma.getdata(column), wanted) if wanted.kind in "biufcmM" else False
    with np.errstate(all="ignore"):
        cast: AnyArray = column.astype(wanted) if wanted.kind in "biufcmM" else column
    if not fits and column.dtype.kind + wanted.kind in ("ff", "cc"):
        fits = bool((np.isfinite(cast) == np.isfinite(column)).all())
    if not fits:
        raise InputError(
            f"{what} {name!r} cannot be cast to {dtype if text else wanted}",
            got=f"{column.dtype} values that it cannot hold",
            hint="cast them first, if the loss is meant",
        )
    return cast
