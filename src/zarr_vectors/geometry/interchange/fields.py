"""From the columns of a table to the fields of a value."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from difflib import get_close_matches
from typing import Any

import numpy as np

from zarr_vectors.axes import Axis, as_axes
from zarr_vectors.exceptions import InputError
from zarr_vectors.geometry.arrays import as_ids
from zarr_vectors.geometry.columns import Categorical, Column, take_column
from zarr_vectors.geometry.interchange.arrow_out import struct_order
from zarr_vectors.geometry.interchange.arrow_types import first_inexact
from zarr_vectors.geometry.interchange.tables import (
    GEOMETRY,
    OBJECT_ID,
    ROW_ID,
    Coordinates,
    Ragged,
    Table,
    TableColumn,
    has_row_ids,
)
from zarr_vectors.typing import AnyArray, IntArray, JsonObject

__all__ = ["Choice", "is_coordinate", "line_fields", "link_fields", "noted_axes", "vertex_fields"]

_LETTERS = ("x", "y", "z", "t")


@dataclass(frozen=True, kw_only=True)
class Choice:
    """Which column of a table is what.

    Args:
        positions: Columns of the coordinates in axis order, or one column of geometry; None to find them.
        attributes: Columns that become attributes; None for all that are left.
        object_ids: Column of the object ids; None for one called ``object_id``, if there is one.
    """

    positions: Sequence[str] | str | None = None
    attributes: Sequence[str] | None = None
    object_ids: str | None = None


def vertex_fields(table: Table, choice: Choice) -> dict[str, Any]:
    """Fields of a value from a table with a row for each vertex.

    Raises:
        InputError: There are no coordinates, or a column is not what it is asked for.
    """
    names = _position_names(table, choice)
    positions, axes = _positions(table, names)
    owners = _id_column(table, choice)
    numbers = _row_id_column(table, choice)
    left = _left(table, choice, {*names, owners, numbers})
    return {
        "positions": positions,
        "axes": axes,
        "object_ids": None if owners is None else as_ids(owners, _plain(table, owners)),
        "row_ids": None if numbers is None else as_ids(numbers, _plain(table, numbers)),
        "attributes": {name: _plain(table, name) for name in left},
    }


def line_fields(table: Table, choice: Choice) -> dict[str, Any]:
    """Fields of lines: from a table with a row for each line, or one whose rows are vertices, line after line.

    Raises:
        InputError: There are no coordinates, or a column is not what it is asked for.
    """
    names = _position_names(table, choice)
    kind = {"kind": table.note["kind"]} if isinstance(table.note.get("kind"), str) else {}
    if not isinstance(_column(table, names[0]), Ragged):
        return _lines_of_rows(vertex_fields(table, choice)) | kind
    offsets, positions, axes = _ragged_positions(table, names)
    owners = _id_column(table, choice)
    ids = None if owners is None else as_ids(owners, _plain(table, owners))
    numbered = _row_id_column(table, choice)
    columns = {name: _column(table, name) for name in _left(table, choice, {*names, owners, numbered})}
    first = np.arange(len(offsets) - 1) if ids is None else np.sort(np.unique(ids, return_index=True)[1])
    rows = {name: _values_of(name, column, offsets) for name, column in columns.items() if isinstance(column, Ragged)}
    whole = {name: column for name, column in columns.items() if not isinstance(column, Ragged)}
    numbers = None if numbered is None else _column(table, numbered)
    return {
        "positions": positions,
        "offsets": offsets,
        "axes": axes,
        "ids": ids,
        "row_ids": as_ids(ROW_ID, _values_of(ROW_ID, numbers, offsets)) if isinstance(numbers, Ragged) else None,
        "attributes": rows,
        "object_attributes": {name: take_column(_is_plain(name, column), first) for name, column in whole.items()},
        **kind,
    }


def link_fields(table: Table, ends: Sequence[str], attributes: Sequence[str] | None = None) -> tuple[Any, Any]:
    """Rows that links connect, and their attributes.

    Args:
        ends: The columns of the ends; or one, of several channels.
    """
    parts = [_plain(table, name) for name in ends]
    links = parts[0] if len(parts) == 1 else np.stack([np.asarray(part) for part in parts], axis=1)
    left = _left(table, Choice(attributes=attributes), set(ends))
    return links, {name: _plain(table, name) for name in left}


def noted_axes(note: JsonObject) -> tuple[Axis, ...] | None:
    """The axes that a note of ours names; None where there is none."""
    noted = note.get("axes")
    if not isinstance(noted, list) or not 1 <= len(noted) <= 4:
        return None
    try:
        return as_axes(noted, len(noted))
    except InputError:
        # Not a note of ours: the columns are found by their names.
        return None


def _position_names(table: Table, choice: Choice) -> list[str]:
    if choice.positions is not None:
        return [choice.positions] if isinstance(choice.positions, str) else list(choice.positions)
    if table.geometry is not None:
        return [table.geometry]
    axes = noted_axes(table.note)
    if axes is not None and all(axis.name in table.columns for axis in axes):
        return [axis.name for axis in axes]
    if axes is not None and GEOMETRY in table.columns:
        # Of a single axis, which GeoArrow has no name for.
        return [GEOMETRY]
    found = [
        letter
        for letter in _LETTERS
        if letter in table.columns and letter not in (choice.attributes or ()) and is_coordinate(table.columns[letter])
    ]
    if "x" not in found:
        raise InputError(
            "there are no columns x, y and z, and none of geometry",
            got=f"columns {list(table.columns)}",
            hint="name those of the coordinates with positions=",
        )
    return found


def is_coordinate(column: TableColumn) -> bool:
    """Whether a column could be one of coordinates: other tables call anything ``t``."""
    values = column.values if isinstance(column, Ragged) else column
    return isinstance(values, np.ndarray) and values.ndim == 1 and values.dtype.kind in "iuf"


def _column(table: Table, name: str) -> TableColumn:
    if name in table.columns:
        return table.columns[name]
    near = get_close_matches(str(name), list(table.columns), n=1)
    raise InputError(
        f"there is no column {name!r}",
        got=f"columns {list(table.columns)}",
        hint=f"did you mean {near[0]!r}?" if near else None,
    )


def _plain(table: Table, name: str) -> Column:
    return _is_plain(name, _column(table, name))


def _is_plain(name: str, column: TableColumn) -> Column:
    if isinstance(column, (Ragged, Coordinates)):
        raise InputError(f"column {name!r} holds lists or geometry", hint="leave it out with attributes=")
    return column


def _left(table: Table, choice: Choice, taken: Iterable[str | None]) -> list[str]:
    if choice.attributes is None:
        return [name for name in table.columns if name not in set(taken)]
    names = [choice.attributes] if isinstance(choice.attributes, str) else list(choice.attributes)
    return list(dict.fromkeys(names))


def _row_id_column(table: Table, choice: Choice) -> str | None:
    is_asked = ROW_ID in (choice.attributes or ())
    return ROW_ID if has_row_ids(table.columns, table.note) and not is_asked else None


def _id_column(table: Table, choice: Choice) -> str | None:
    if choice.object_ids is not None:
        return choice.object_ids
    return OBJECT_ID if OBJECT_ID in table.columns and OBJECT_ID not in (choice.attributes or ()) else None


def _positions(table: Table, names: Sequence[str]) -> tuple[AnyArray, tuple[Axis, ...] | None]:
    if len(names) == 1:
        whole = _column(table, names[0])
        if isinstance(whole, Coordinates):
            return _as_noted(whole, table.note)
        column = _is_plain(names[0], whole)
        if isinstance(column, np.ndarray) and column.ndim == 2:
            return column, noted_axes(table.note) if column.shape[1] == len(table.note.get("axes", ())) else None
    return _stacked([_plain(table, name) for name in names], names), _axes_named(names, table.note)


def _ragged_positions(table: Table, names: Sequence[str]) -> tuple[IntArray, AnyArray, tuple[Axis, ...] | None]:
    parts = [_column(table, name) for name in names]
    first = parts[0]
    assert isinstance(first, Ragged)
    if len(names) == 1 and isinstance(first.values, Coordinates):
        return first.offsets, *_as_noted(first.values, table.note)
    values = [_values_of(name, part, first.offsets) for name, part in zip(names, parts, strict=True)]
    if len(values) == 1 and isinstance(values[0], np.ndarray) and values[0].ndim == 2:
        return first.offsets, values[0], noted_axes(table.note)
    return first.offsets, _stacked(values, names), _axes_named(names, table.note)


def _values_of(name: str, column: TableColumn, offsets: IntArray) -> Column:
    """The values of lists that are as long as the lines."""
    if not isinstance(column, Ragged) or isinstance(column.values, Coordinates):
        raise InputError(f"column {name!r} must hold a list of numbers for each line", hint="as that of x does")
    if not np.array_equal(column.offsets, offsets):
        row = int(np.argmax(np.diff(column.offsets) != np.diff(offsets)))
        raise InputError(
            f"the lists of column {name!r} must be as long as the lines",
            expected=f"{np.diff(offsets)[row]} values in row {row}",
            got=int(np.diff(column.offsets)[row]),
        )
    return column.values


def _as_noted(whole: Coordinates, note: JsonObject) -> tuple[AnyArray, tuple[Axis, ...] | None]:
    """Coordinates in the order, with the names and of the dtype that a value had which they were made of."""
    axes = noted_axes(note)
    if axes is None or len(axes) != len(whole.axes):
        return whole.positions, whole.axes
    labels, order = [axis.name for axis in whole.axes], struct_order(axes)
    if set(labels) != set(order):
        return whole.positions, whole.axes
    columns = np.argsort([order[label] for label in labels])
    return _cast(whole.positions[:, columns], note.get("dtype")), axes


def _cast(positions: AnyArray, dtype: Any) -> AnyArray:
    try:
        wanted = np.dtype(dtype)
    except TypeError:
        # Not a note of ours: the columns keep the type that they have.
        return positions
    if dtype is None or wanted.kind not in "iuf":
        return positions
    with np.errstate(over="ignore", invalid="ignore"):
        narrowed: AnyArray = positions.astype(wanted)
    # Whoever has changed the coordinates since keeps what they are now.
    return narrowed if np.array_equal(narrowed.astype(positions.dtype), positions, equal_nan=True) else positions


def _stacked(parts: Sequence[Column], names: Sequence[str]) -> AnyArray:
    for name, part in zip(names, parts, strict=True):
        if isinstance(part, Categorical) or part.ndim != 1 or part.dtype.kind not in "iuf":
            raise InputError(
                f"column {name!r} must hold numbers, as it is taken for coordinates",
                got="text" if isinstance(part, Categorical) else f"{part.dtype} of shape {part.shape}",
                hint="name the columns of the coordinates with positions=",
            )
        if np.ma.is_masked(part):
            row = int(np.argmax(np.ma.getmaskarray(part)))
            raise InputError(f"column {name!r} must have a value in every row", got=f"none in row {row}")
    arrays = [np.asarray(part) for part in parts]
    dtype = np.result_type(*arrays)
    for name, array in zip(names, arrays, strict=True):
        row_or_none = first_inexact(array) if array.dtype.kind in "iu" and dtype.kind == "f" else None
        if row_or_none is not None:
            raise InputError(
                f"column {name!r} has integers that change as float64, which the other coordinates call for",
                got=f"{array[row_or_none]} in row {row_or_none}",
                hint="give all coordinates one type",
            )
    return np.stack([array.astype(dtype, copy=False) for array in arrays], axis=1)


def _axes_named(names: Sequence[str], note: JsonObject) -> tuple[Axis, ...]:
    noted = {axis.name: axis for axis in noted_axes(note) or ()}
    return tuple(noted.get(name, Axis(name, type="time" if name in {"t", "time"} else "space")) for name in names)


def _lines_of_rows(fields: dict[str, Any]) -> dict[str, Any]:
    """Rows that follow each other with one object id are a line."""
    owners = fields.pop("object_ids")
    if owners is None:
        raise InputError("rows of vertices need object ids to be lines", hint="name their column with object_ids=")
    begins = np.flatnonzero(np.diff(owners, prepend=owners[:1] - 1)) if len(owners) else np.zeros(0, dtype=np.int64)
    return fields | {"offsets": np.append(begins, len(owners)), "ids": owners[begins]}
