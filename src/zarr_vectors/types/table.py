"""Vertices and links on their way to disk: plain columns, checked, with text as codes."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from zarr_vectors.core.documents import ColumnSpec
from zarr_vectors.exceptions import InputError
from zarr_vectors.geometry import Categorical, Column, Geometry, Linked, Polylines, Skeleton
from zarr_vectors.rowwise import take_rows
from zarr_vectors.types.kinds import Kind
from zarr_vectors.typing import AnyArray, BoolArray, IntArray

__all__ = [
    "LinkTable",
    "RowTable",
    "check_attribute_name",
    "check_categories",
    "check_column",
    "check_finite",
    "check_width",
    "column_codes",
    "column_spec",
    "link_table_of",
    "table_of",
]

LONGEST_NAME = 255
"""Bytes of a file name on the usual file systems."""


@dataclass
class RowTable:
    """``N`` vertices.

    Args:
        positions: ``(N, D)``.
        columns: Attribute name to ``(N,)`` or ``(N, ...)`` numbers; codes for text.
        object_ids: ``(N,)`` integers, or None.
        numbers: ``(N,)`` integers: the number of each vertex along its line, or, where links name vertices, among all
            vertices of the input. None where neither is needed.
        breaks: ``(N,)`` vertices before which a fragment ends whatever stands there: roots, which have no parent.
        lead: ``(N,)`` coordinate of each vertex's chunk on the axis before the spatial ones; None where there is none.
        parts: ``(N,)`` numbers of which a fragment holds only one; None where objects alone tell fragments apart.
        rows: ``(N,)`` number of each vertex among all of the input, where links of other levels name vertices and
            ``numbers`` need not be those; else None.
    """

    positions: AnyArray
    columns: dict[str, AnyArray] = field(default_factory=dict)
    object_ids: IntArray | None = None
    numbers: AnyArray | None = None
    breaks: BoolArray | None = None
    lead: AnyArray | None = None
    parts: AnyArray | None = None
    rows: AnyArray | None = None

    def __len__(self) -> int:
        return len(self.positions)

    def take(self, rows: Any) -> RowTable:
        """The rows of an index, mask or slice."""
        return RowTable(
            take_rows(self.positions, rows),
            {name: take_rows(column, rows) for name, column in self.columns.items()},
            None if self.object_ids is None else take_rows(self.object_ids, rows),
            None if self.numbers is None else take_rows(self.numbers, rows),
            None if self.breaks is None else take_rows(self.breaks, rows),
            None if self.lead is None else take_rows(self.lead, rows),
            None if self.parts is None else take_rows(self.parts, rows),
            None if self.rows is None else take_rows(self.rows, rows),
        )


@dataclass
class LinkTable:
    """``E`` links.

    Args:
        ends: ``(E, L)`` vertices, by their number among all vertices of the input.
        columns: Attribute name to ``(E,)`` or ``(E, ...)`` numbers; codes for text.
    """

    ends: IntArray
    columns: dict[str, AnyArray] = field(default_factory=dict)

    def __len__(self) -> int:
        return len(self.ends)


def check_attribute_name(name: Any, what: str = "attribute") -> None:
    r"""Refuse names that cannot be a folder of their own in every store.

    Raises:
        InputError: The name is empty, not text, contains ``/`` or ``\\``, or is ``.``, ``..`` or ``zarr.json``.
    """
    if not isinstance(name, str):
        raise InputError(f"{what} names must be text", got=repr(name))
    if not name or "/" in name or "\\" in name or name in {".", "..", "zarr.json"} or "\0" in name:
        raise InputError(
            f"{what} name {name!r} cannot be used",
            hint="use a name that is not empty, has no slash, and is not '.', '..' or 'zarr.json'",
        )
    if len(name.encode("utf-8", "replace")) > LONGEST_NAME:
        raise InputError(f"{what} name {name[:40] + '...'!r} is too long", expected=f"at most {LONGEST_NAME} bytes")


def check_column(name: str, column: Column) -> None:
    """Refuse values of a vertex attribute that the format cannot hold.

    Raises:
        InputError: A masked value, a long double, or categories that are not distinct text, finite numbers or booleans.
    """
    if isinstance(column, Categorical):
        check_categories(name, column)
        return
    check_width(name, column)
    if np.ma.is_masked(column):
        raise InputError(
            f"attribute {name!r} has a masked value, which {column.dtype} cannot mark as missing",
            got=f"row {int(np.argwhere(np.ma.getmaskarray(column))[0][0])}",
            hint="fill it, or convert the attribute to float",
        )


def check_width(name: str, column: AnyArray) -> None:
    """Refuse the platform's long doubles, which no other platform need have."""
    if column.dtype.itemsize > (16 if column.dtype.kind == "c" else 8):
        raise InputError(
            f"attribute {name!r} must be numbers of at most 64 bits",
            got=f"dtype {column.dtype}",
            hint="cast them first",
        )


def check_categories(name: str, column: Categorical) -> None:
    """Refuse categories that JSON cannot hold, and repeated ones."""
    for category in column.categories:
        if not isinstance(category, (str, int)) and not (isinstance(category, float) and np.isfinite(category)):
            raise InputError(
                f"categories of attribute {name!r} must be text, finite numbers or booleans",
                got=repr(category),
                hint="convert them to text",
            )
    if len(set(column.categories)) != len(column.categories):
        twice = next(c for number, c in enumerate(column.categories) if c in column.categories[:number])
        raise InputError(f"categories of attribute {name!r} must be distinct", got=f"{twice!r} twice")


def check_finite(positions: AnyArray, low: AnyArray, high: AnyArray) -> None:
    """Refuse NaN and infinite coordinates, which show in the extremes.

    Raises:
        InputError: With the first bad row.
    """
    if np.isfinite(low).all() and np.isfinite(high).all():
        return
    row, axis = (int(n) for n in np.argwhere(~np.isfinite(positions))[0])
    raise InputError(
        "positions must be finite",
        got=f"{positions[row, axis]} in row {row}, column {axis}",
        hint="remove these rows first: positions[np.isfinite(positions).all(axis=1)]",
    )


def column_spec(column: Column, unit: str | None = None) -> ColumnSpec:
    """The stored type of a column; codes take the narrowest integers that hold them."""
    if not isinstance(column, Categorical):
        return ColumnSpec(dtype=column.dtype, row_shape=column.shape[1:], unit=unit)
    missing = bool(len(column.codes)) and bool((column.codes < 0).any())
    return ColumnSpec(
        dtype=code_dtype(len(column.categories), missing),
        categories=column.categories,
        ordered=column.ordered,
        unit=unit,
    )


def code_dtype(categories: int, missing: bool) -> np.dtype[Any]:
    """The narrowest integer that holds so many codes, signed where some are missing.

    Example:
        >>> code_dtype(3, False), code_dtype(200, True)
        (dtype('uint8'), dtype('int16'))
    """
    for size in (1, 2, 4):
        dtype = np.dtype(f"{'i' if missing else 'u'}{size}")
        if categories - 1 <= np.iinfo(dtype).max:
            return dtype
    raise InputError("too many categories", got=categories)


def column_codes(column: Column, spec: ColumnSpec) -> AnyArray:
    """The stored numbers of a column."""
    if isinstance(column, Categorical):
        return column.codes.astype(spec.dtype, copy=False)
    return column


def table_of(
    value: Geometry, columns: Mapping[str, ColumnSpec], kind: Kind, first: int = 0, *, names_rows: bool = False
) -> RowTable:
    """The vertices of a value.

    Args:
        first: Number of the value's first vertex among all vertices of the input.
        names_rows: Whether links of other levels name the vertices.
    """
    numbers: AnyArray | None = None
    if isinstance(value, Polylines):
        numbers = _counted(value.offsets)
    elif kind.is_linked:
        numbers = _counted_from(first, value.vertex_count)
    return RowTable(
        value.positions,
        {name: column_codes(column, columns[name]) for name, column in value.attributes.items()},
        _owners(value),
        numbers,
        value.parents < 0 if isinstance(value, Skeleton) else None,
        rows=_counted_from(first, value.vertex_count) if names_rows else None,
    )


def link_table_of(value: Geometry, columns: Mapping[str, ColumnSpec], first: int = 0) -> LinkTable | None:
    """The links of a value; None for kinds that say none."""
    if not isinstance(value, Linked):
        return None
    named = {name: column_codes(column, columns[name]) for name, column in value.link_attributes.items()}
    return LinkTable(value.links + first if first else value.links, named)


def _dtype_for(most: int) -> type[np.signedinteger[Any]]:
    """32 bits for numbers up to one that fits."""
    return np.int32 if most < 2**31 else np.int64


def _counted_from(first: int, count: int) -> AnyArray:
    return np.arange(first, first + count, dtype=_dtype_for(first + count))


def _counted(offsets: IntArray) -> AnyArray:
    """``(N,)`` number of each vertex along its line, in 32 bits where all vertices can be counted in them."""
    dtype = _dtype_for(int(offsets[-1]))
    numbers: AnyArray = np.repeat(offsets[:-1].astype(dtype), np.diff(offsets))
    return np.subtract(np.arange(len(numbers), dtype=dtype), numbers, out=numbers)


def _owners(value: Geometry) -> IntArray | None:
    if isinstance(value, Polylines):
        return np.repeat(_narrow(value.line_ids), value.lengths)
    return value.vertex_objects


def _narrow(numbers: IntArray) -> AnyArray:
    """The same in 32 bits where they fit: rows carry these numbers through sorting."""
    info = np.iinfo(np.int32)
    fits = not len(numbers) or (int(numbers.min()) >= info.min and int(numbers.max()) <= info.max)
    return numbers.astype(np.int32) if fits else numbers
