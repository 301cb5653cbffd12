"""Values on their way in: checked, measured, and ready to be asked for whole shards of rows."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, Protocol

import numpy as np

from zarr_vectors import constants
from zarr_vectors.axes import Axis, as_axes
from zarr_vectors.core.documents import ColumnSpec
from zarr_vectors.geometry import Geometry, Graph, Linked, Polylines
from zarr_vectors.types.cell_plan import CellPlan
from zarr_vectors.types.check import cast_positions, check_value, keep_inside, measure, tables_of
from zarr_vectors.types.kinds import Kind
from zarr_vectors.types.objects import ObjectTables
from zarr_vectors.types.options import WriteOptions
from zarr_vectors.types.table import LinkTable, RowTable, column_spec, link_table_of, table_of
from zarr_vectors.typing import AnyArray, FloatArray, IntArray

__all__ = [
    "Extent",
    "First",
    "Intake",
    "Limits",
    "MemoryIntake",
    "admit",
    "lines_without_ids",
    "memory_intake",
    "numbered",
]


Limits = Callable[[int], "tuple[FloatArray, FloatArray] | None"]


@dataclass(frozen=True)
class First:
    """Where numbers continue.

    Args:
        row_id: The first row id; None for no row ids.
        line_id: The first id of lines that come without.
        names_rows: Whether rows of every kind get the number that they have in the input, by which links name them.
        takes_row_id: Whether an attribute may have the name of the row ids, as one of another writer has.
    """

    row_id: int | None = None
    line_id: int = 0
    names_rows: bool = False
    takes_row_id: bool = False


@dataclass(frozen=True)
class Extent:
    """How much data there is, and where.

    Args:
        rows: Number of rows.
        low: ``(D,)`` least coordinates, as float64; None for no rows.
        high: ``(D,)`` greatest coordinates.
        sample: Some positions, or all.
    """

    rows: int
    low: FloatArray | None
    high: FloatArray | None
    sample: AnyArray


class Intake(Protocol):
    """Checked rows, wherever they are.

    ``next_row_id`` is where row ids continue after them; None where they have none.
    """

    axes: tuple[Axis, ...]
    dtype: np.dtype[Any]
    columns: dict[str, ColumnSpec]
    link_columns: dict[str, ColumnSpec]
    link_width: int
    directed: bool
    tables: ObjectTables
    has_objects: bool
    extent: Extent
    dropped: int
    numbered_lines: int
    next_row_id: int | None

    @property
    def folder(self) -> Path | None:
        """Where more temporary files may be put; None where all fits into memory."""
        ...

    def links(self) -> Iterator[LinkTable]:
        """The links, in tables of any size."""
        ...

    def blocks(self, plan: CellPlan) -> Iterator[RowTable]:
        """The rows, in tables of which each fills its shards alone."""
        ...

    def object_ids(self) -> IntArray:
        """Sorted distinct ids of the rows."""
        ...

    def lead_by(self, name: str) -> None:
        """Take an attribute for the place of each row on the axis before the spatial ones; it is no attribute then."""
        ...

    def set_object_id(self, value: int) -> None:
        """Give all rows, which have no ids, to one object."""
        ...

    def add_constant(self, name: str, value: AnyArray, spec: ColumnSpec) -> None:
        """Give every row the same value of an attribute that it lacks."""
        ...

    def add_link_constant(self, name: str, value: AnyArray, spec: ColumnSpec) -> None:
        """Give every link the same value of an attribute that it lacks."""
        ...

    def casts_exactly(self, name: str | None, dtype: np.dtype[Any]) -> bool:
        """Whether an attribute, or the positions for None, keeps every value in another dtype."""
        ...

    def recode(self, columns: Mapping[str, ColumnSpec], lookups: Mapping[str, AnyArray]) -> None:
        """Store attributes as these types, codes going through a lookup table."""
        ...

    def recode_links(self, columns: Mapping[str, ColumnSpec], lookups: Mapping[str, AnyArray]) -> None:
        """The same for attributes of links."""
        ...


@dataclass
class MemoryIntake:
    """Rows of one value in memory."""

    table: RowTable
    link_table: LinkTable | None
    axes: tuple[Axis, ...]
    dtype: np.dtype[Any]
    columns: dict[str, ColumnSpec]
    link_columns: dict[str, ColumnSpec]
    link_width: int
    directed: bool
    tables: ObjectTables
    has_objects: bool
    extent: Extent
    dropped: int = 0
    numbered_lines: int = 0
    next_row_id: int | None = None

    @property
    def folder(self) -> Path | None:
        """All is in memory."""
        return None

    def links(self) -> Iterator[LinkTable]:
        """The links, as one table."""
        if self.link_table is not None:
            yield self.link_table

    def blocks(self, plan: CellPlan) -> Iterator[RowTable]:  # noqa: ARG002 (one table suits every plan)
        """The rows, as one table."""
        yield self.table

    def object_ids(self) -> IntArray:
        """Sorted distinct ids of the rows."""
        return self.tables.ids

    def lead_by(self, name: str) -> None:
        """Take an attribute for the place of each row on the axis before the spatial ones."""
        self.table.lead = self.table.columns.pop(name)
        del self.columns[name]

    def set_object_id(self, value: int) -> None:
        """Give all rows to one object."""
        self.table.object_ids = np.full(len(self.table), value, dtype=np.int64)
        self.tables = replace(self.tables, ids=np.array([value], dtype=np.int64))
        self.has_objects = True

    def add_constant(self, name: str, value: AnyArray, spec: ColumnSpec) -> None:
        """Give every row the same value."""
        self.table.columns[name] = np.broadcast_to(value, (len(self.table), *value.shape))
        self.columns[name] = spec

    def add_link_constant(self, name: str, value: AnyArray, spec: ColumnSpec) -> None:
        """Give every link the same value."""
        if self.link_table is not None:
            shape = (len(self.link_table), *value.shape)
            self.link_table.columns[name] = np.broadcast_to(value, shape)
        self.link_columns[name] = spec

    def casts_exactly(self, name: str | None, dtype: np.dtype[Any]) -> bool:
        """Whether an attribute, or the positions for None, keeps every value in another dtype."""
        return casts_exactly(self.table.positions if name is None else self.table.columns[name], dtype)

    def recode(self, columns: Mapping[str, ColumnSpec], lookups: Mapping[str, AnyArray]) -> None:
        """Store attributes as these types."""
        for name, spec in columns.items():
            column = self.table.columns[name]
            self.table.columns[name] = apply_lookup(column, lookups.get(name), spec)
        self.columns = dict(columns)

    def keep_row_ids(self, row_ids: IntArray | None, next_row_id: int) -> None:
        """Let the rows have the ``(N,)`` ids that they had before, None for none; where these continue."""
        if row_ids is not None:
            self.table.columns[constants.ROW_ID] = row_ids
            self.columns[constants.ROW_ID] = ColumnSpec(dtype=np.dtype(np.int64))
            self.next_row_id = next_row_id

    def recode_links(self, columns: Mapping[str, ColumnSpec], lookups: Mapping[str, AnyArray]) -> None:
        """Store attributes of links as these types."""
        for name, spec in columns.items():
            if self.link_table is not None:
                column = self.link_table.columns[name]
                self.link_table.columns[name] = apply_lookup(column, lookups.get(name), spec)
        self.link_columns = dict(columns)


def casts_exactly(values: AnyArray, dtype: np.dtype[Any]) -> bool:
    """Whether every value survives a cast and the way back; NaN does.

    Example:
        >>> casts_exactly(np.array([1.0, 2.5]), np.dtype("f4")), casts_exactly(np.array([0.1]), np.dtype("f4"))
        (True, False)
    """
    if np.can_cast(values.dtype, dtype, casting="safe"):
        return True
    kinds = values.dtype.kind + dtype.kind
    if values.dtype.kind != dtype.kind and (values.dtype.kind == "c" or "m" in kinds or "M" in kinds):
        return False
    with np.errstate(all="ignore"):
        back = values.astype(dtype).astype(values.dtype)
    if values.dtype.kind in "iu" and dtype.kind in "iu" and values.size:
        info = np.iinfo(dtype)
        return int(values.min()) >= info.min and int(values.max()) <= info.max
    return bool(np.array_equal(back, values, equal_nan=values.dtype.kind in "fcmM"))


def apply_lookup(column: AnyArray, lookup: AnyArray | None, spec: ColumnSpec) -> AnyArray:
    """Codes through a lookup table whose last entry stands for missing, and to the stored type."""
    return (column if lookup is None else lookup[column.astype(np.int64)]).astype(spec.dtype, copy=False)


def with_row_ids(value: Geometry, first: int | None) -> Geometry:
    """The value with a ``row_id`` attribute that counts from ``first``; None leaves it out."""
    if first is None:
        return value
    row_ids = np.arange(first, first + value.vertex_count, dtype=np.int64)
    return replace(value, attributes={**value.attributes, constants.ROW_ID: row_ids})


def lines_without_ids(value: Geometry) -> int:
    """How many lines a value has that come without ids."""
    return value.line_count if isinstance(value, Polylines) and value.ids is None else 0


def numbered(value: Geometry, first: int) -> Geometry:
    """Lines without ids get those from ``first`` on, and so do their tables; other values stay."""
    if not isinstance(value, Polylines) or not lines_without_ids(value):
        return value
    return replace(
        value,
        ids=value.line_ids + first,
        objects=None if value.objects is None else value.objects + first,
        groups={group: members + first for group, members in value.groups.items()},
    )


def admit(
    value: Geometry, kind: Kind, options: WriteOptions, limits: Limits, first: First
) -> tuple[Geometry, FloatArray | None, FloatArray | None, int]:
    """Check a value, number its rows, and leave out those that the bounds exclude: value, least, greatest, dropped."""
    check_value(value, kind, options, takes_row_id=first.takes_row_id)
    value = with_row_ids(value, first.row_id)
    low, high = measure(value.positions)
    if options.dtype is not None and options.dtype != value.positions.dtype:
        # Cast before anything is decided by the coordinates, so that chunks and bounds are those of the stored ones.
        value = replace(value, positions=cast_positions(value.positions, options.dtype))
        low, high = measure(value.positions)
    bounds = limits(value.ndim)
    inside = None if bounds is None else keep_inside(value.positions, low, high, bounds, options.out_of_bounds)
    if inside is None or inside.all():
        return value, low, high, 0
    kept = value.within(inside)
    return kept, *measure(kept.positions), value.vertex_count - kept.vertex_count


def memory_intake(value: Geometry, kind: Kind, options: WriteOptions, limits: Limits, first: First) -> MemoryIntake:
    """Check a value and measure it.

    Args:
        limits: From a number of axes to the bounds that rows must lie in; None for anywhere.
        first: Where numbers of rows and lines continue.
    """
    lines = lines_without_ids(value)
    value, low, high, dropped = admit(numbered(value, first.line_id), kind, options, limits, first)
    columns = {name: column_spec(column) for name, column in value.attributes.items()}
    links = value.link_attributes if isinstance(value, Linked) else {}
    link_columns = {name: column_spec(column) for name, column in links.items()}
    axes = as_axes(options.axes if options.axes is not None else value.axes, value.ndim)
    link_table = link_table_of(value, link_columns)
    return MemoryIntake(
        table=table_of(value, columns, kind, names_rows=first.names_rows),
        link_table=link_table,
        axes=axes,
        dtype=options.dtype or value.positions.dtype,
        columns=columns,
        link_columns=link_columns,
        link_width=2 if link_table is None else link_table.ends.shape[1],
        directed=isinstance(value, Graph) and value.directed,
        tables=tables_of(value),
        has_objects=value.has_objects,
        extent=Extent(value.vertex_count, low, high, value.positions),
        dropped=dropped,
        numbered_lines=lines,
        next_row_id=None if first.row_id is None else first.row_id + value.vertex_count + dropped,
    )
