"""A value as tables: columns by name, whichever library takes them."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from typing import Any, TypeAlias

import numpy as np

from zarr_vectors.axes import Axis, as_axes
from zarr_vectors.exceptions import InputError
from zarr_vectors.geometry.columns import Categorical, Column, take_column
from zarr_vectors.typing import AnyArray, IntArray, JsonObject

__all__ = [
    "EDGES",
    "FACES",
    "GEOMETRY",
    "LINES",
    "NOTE",
    "OBJECTS",
    "OBJECT_ID",
    "ROW_ID",
    "VERTICES",
    "Coordinates",
    "Ragged",
    "Table",
    "TableColumn",
    "axes_of",
    "check_row_id_name",
    "coordinate_columns",
    "has_row_ids",
    "noted_row_id",
    "rows_for",
    "table_of",
]

VERTICES, LINES, EDGES, FACES, OBJECTS = "vertices", "lines", "edges", "faces", "objects"
GEOMETRY, OBJECT_ID, ROW_ID = "geometry", "object_id", "row_id"

NOTE = "zarr_vectors"
"""Under this name tables say what the columns do not: axes, dtypes, the kind of geometry."""
_ATTRIBUTE = "attribute"


@dataclass(frozen=True, eq=False)
class Coordinates:
    """Positions as one column.

    Args:
        positions: ``(N, D)`` array.
        axes: One for each of its columns.
    """

    positions: AnyArray
    axes: tuple[Axis, ...]

    def __len__(self) -> int:
        return len(self.positions)


@dataclass(frozen=True, eq=False)
class Ragged:
    """A list for each row.

    Args:
        offsets: ``(P + 1,)`` where each list begins among the values.
        values: Of all lists, one after another.
    """

    offsets: IntArray
    values: Column | Coordinates

    def __len__(self) -> int:
        return len(self.offsets) - 1


TableColumn: TypeAlias = Column | Coordinates | Ragged


@dataclass(frozen=True, eq=False)
class Table:
    """Columns of one length.

    Args:
        columns: By name, in order.
        note: What the columns do not say, as JSON.
        geometry: The column that says of itself that it is geometry, if there is one.
    """

    columns: Mapping[str, TableColumn]
    note: JsonObject = field(default_factory=dict)
    geometry: str | None = None

    def __len__(self) -> int:
        return next((len(column) for column in self.columns.values()), 0)


def table_of(pairs: Iterable[tuple[str, TableColumn | None]], note: JsonObject) -> Table:
    """A table of these columns, without those that are None.

    Raises:
        InputError: Two columns have one name.
    """
    found = [(name, column) for name, column in pairs if column is not None]
    repeated = [name for name, times in Counter(name for name, _ in found).items() if times > 1]
    if repeated:
        raise InputError(
            f"more than one column of the table would be called {repeated[0]!r}",
            got=f"columns {[name for name, _ in found]}",
            hint="leave the attribute out, or give it or the axis another name",
        )
    return Table(dict(found), note)


def noted_row_id(attributes: Mapping[str, Column], row_ids: IntArray | None) -> JsonObject:
    """What a note says where an attribute is called as row ids are, so that it comes back as what it is."""
    return {ROW_ID: _ATTRIBUTE} if row_ids is None and ROW_ID in attributes else {}


def has_row_ids(columns: Iterable[str], note: Mapping[str, Any]) -> bool:
    """Whether a column of this name holds row ids, by what is noted beside it."""
    return ROW_ID in columns and note.get(ROW_ID) != _ATTRIBUTE


def check_row_id_name(attributes: Mapping[str, Column], row_ids: IntArray | None) -> None:
    """Refuse an attribute that is called as row ids are, where nothing can be noted beside it.

    Raises:
        InputError: There is one.
    """
    if noted_row_id(attributes, row_ids):
        raise InputError(
            f"an attribute is called {ROW_ID!r}, and would come back as row ids",
            hint="leave it out, or give it another name",
        )


def axes_of(axes: tuple[Axis, ...] | None, positions: AnyArray) -> tuple[Axis, ...]:
    """The axes of positions, by default names where there are none."""
    return as_axes(axes, positions.shape[1])


def coordinate_columns(
    positions: AnyArray, axes: tuple[Axis, ...], offsets: IntArray | None = None
) -> list[tuple[str, TableColumn]]:
    """A column for each axis; of lists where there are offsets."""
    split = [(axis.name, positions[:, number]) for number, axis in enumerate(axes)]
    return [(name, column if offsets is None else Ragged(offsets, column)) for name, column in split]


def rows_for(ids: IntArray, known: IntArray, column: Column) -> Column:
    """The value of each id, from a column with a row for each known one; missing for others.

    Example:
        >>> rows_for(np.array([7, 7, 1]), np.array([5, 7]), np.array([0.5, 0.25])).tolist()
        [0.25, 0.25, nan]
    """
    order = np.argsort(known, kind="stable")
    place = np.minimum(np.searchsorted(known, ids, sorter=order), max(len(known) - 1, 0))
    rows = order[place] if len(known) else np.zeros(len(ids), dtype=np.int64)
    absent = known[rows] != ids if len(known) else np.ones(len(ids), dtype=bool)
    if not absent.any():
        return take_column(column, rows)
    return _with_missing(column, rows, absent)


def _with_missing(column: Column, rows: IntArray, absent: AnyArray) -> Column:
    """These rows of a column, of which some are missing."""
    if isinstance(column, Categorical):
        codes = np.append(column.codes.astype(np.int64), -1)
        return Categorical(codes[np.where(absent, -1, rows)], column.categories, column.ordered)
    padded = column if len(column) else np.zeros((1, *column.shape[1:]), dtype=column.dtype)
    taken: Any = take_column(padded, rows)
    if taken.dtype.kind in "fcmM":
        taken[absent] = "NaT" if taken.dtype.kind in "mM" else np.nan
        return np.asarray(taken)
    mask = np.ma.getmaskarray(taken).copy()
    mask[absent] = True
    masked: AnyArray = np.ma.MaskedArray(np.ma.getdata(taken), mask=mask)
    return masked
