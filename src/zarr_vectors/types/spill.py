"""Streams larger than memory: rows go to a temporary file once, then to one file for each group of shards."""

from __future__ import annotations

import tempfile
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import numpy as np

from zarr_vectors.axes import Axis, as_axes
from zarr_vectors.core.documents import ColumnSpec
from zarr_vectors.exceptions import InputError
from zarr_vectors.geometry import Column, Geometry, Graph, Linked, Polylines, Skeleton
from zarr_vectors.spatial.partition import stable_order
from zarr_vectors.types.cell_plan import CellPlan
from zarr_vectors.types.check import tables_of
from zarr_vectors.types.column_file import ColumnFile
from zarr_vectors.types.intake import (
    Extent,
    First,
    Intake,
    Limits,
    admit,
    apply_lookup,
    casts_exactly,
    lines_without_ids,
    memory_intake,
    numbered,
)
from zarr_vectors.types.join import check_apart, check_like, concatenate
from zarr_vectors.types.kinds import Kind
from zarr_vectors.types.objects import ObjectTables
from zarr_vectors.types.options import WriteOptions
from zarr_vectors.types.table import LinkTable, RowTable, table_of
from zarr_vectors.types.unite import merge_tables
from zarr_vectors.typing import AnyArray, FloatArray, IntArray

__all__ = ["SpillIntake", "stream_apart", "stream_intake"]

_IN_MEMORY_ROWS = 1_000_000
_GROUP_ROWS = 1_000_000
_SAMPLE_PER_BATCH = 4096
_CARRIED = ("numbers", "breaks", "lead", "parts", "rows")
"""Fields of a record that go into a ``RowTable`` as they are."""


def stream_intake(
    values: Iterable[Geometry], kind: Kind, options: WriteOptions, limits: Limits, first: First, folder: Path
) -> Intake:
    """Take in an iterable of values: as one value where it is short, through temporary files where it is long.

    Args:
        folder: Where temporary files may be put.

    Raises:
        InputError: A value cannot be written or does not match the first one; the message says which.
    """
    batches = iter(values)
    head: list[Geometry] = []
    rows = 0
    for batch in batches:
        if not isinstance(batch, Geometry):
            raise InputError(
                "every item of a stream must be a geometry value",
                got=f"{type(batch).__name__} as item {len(head)}",
                hint="yield zv.Points(...)",
            )
        head.append(batch)
        rows += batch.vertex_count
        if rows > _IN_MEMORY_ROWS:
            spill = _Spill(kind, options, limits, first, folder)
            head.reverse()
            while head:
                # Let go of each batch as soon as it is written down.
                spill.add(head.pop())
            for item in batches:
                spill.add(item)
            return spill.finish()
    if not head:
        raise InputError("the stream has no values", hint="for an empty store write zv.Points(np.empty((0, 3)))")
    return memory_intake(concatenate(head), kind, options, limits, first)


def stream_apart(
    values: Iterable[Geometry],
    links: Iterable[tuple[IntArray, Mapping[str, Column]]],
    kind: Kind,
    options: WriteOptions,
    first: First,
    folder: Path,
) -> SpillIntake:
    """Take in vertices, wherever they are, and after them the links between them, through temporary files.

    Args:
        values: At least one; without links, but with attributes of links of the types that will come.
        links: ``(n, L)`` numbers of vertices among those of all values, and ``n`` values of each attribute.
        folder: Where temporary files may be put.

    Raises:
        InputError: A value cannot be written or does not match the first one.
    """
    spill = _Spill(kind, options, _anywhere, first, folder)
    for value in values:
        spill.add(value)
    assert spill.link_file is not None
    for ends, columns in links:
        spill.link_file.append(len(ends), {"ends": ends}, columns)
    return spill.finish()


def _anywhere(ndim: int) -> None:
    """No bounds."""


def _emptied(value: Geometry) -> Geometry:
    """A value without its rows, to compare others with; taken lines get ids, which those without do not keep."""
    nothing = np.zeros(value.vertex_count, dtype=bool)
    if isinstance(value, Polylines) and value.ids is None:
        return replace(value.within(nothing), ids=None)
    return value.within(nothing)


@dataclass
class _Spill:
    """The first pass: check every batch and write it down."""

    kind: Kind
    options: WriteOptions
    limits: Limits
    first: First
    folder: Path
    model: Geometry | None = None
    number: int = 0
    rows: int = 0
    lines: int = 0
    dropped: int = 0
    low: FloatArray | None = None
    high: FloatArray | None = None
    samples: list[AnyArray] = field(default_factory=list)
    tables: ObjectTables | None = None
    row_file: ColumnFile | None = None
    link_file: ColumnFile | None = None

    def add(self, batch: Geometry) -> None:
        """Check one batch and append it to the files."""
        first = replace(self.first, row_id=self._next_row_id)
        if self.model is not None:
            check_like(self.model, batch, self.number)
        lines = lines_without_ids(batch)
        try:
            numbered_batch = numbered(batch, self.first.line_id + self.lines)
            value, low, high, dropped = admit(numbered_batch, self.kind, self.options, self.limits, first)
            tables = tables_of(value)
            merged = tables if self.tables is None else merge_tables([self.tables, tables])
            check_apart([self.tables, tables] if self.tables is not None else [], self.kind)
        except InputError as error:
            error.message = f"{error.message} in item {self.number} of the stream"
            raise
        if self.model is None:
            self.model = _emptied(batch)
            self._declare(value)
        self._write_down(value)
        self.number += 1
        self.lines += lines
        self.dropped += dropped
        if low is not None and high is not None:
            self.low = low if self.low is None else np.minimum(self.low, low)
            self.high = high if self.high is None else np.maximum(self.high, high)
        step = max(1, value.vertex_count // _SAMPLE_PER_BATCH)
        self.samples.append(value.positions[::step].copy())
        self.tables = merged
        self.rows += value.vertex_count
        self.options.notify(self.rows, None)

    def _declare(self, value: Geometry) -> None:
        fields: list[Any] = [("positions", value.positions.dtype, (value.ndim,))]
        if value.has_objects:
            fields.append(("object_ids", "i8"))
        if self.kind.is_linked:
            fields.append(("numbers", "i8"))
        if self.first.names_rows:
            fields.append(("rows", "i8"))
        if isinstance(value, Skeleton):
            fields.append(("breaks", "?"))
        self.row_file = ColumnFile.declared(self.folder / "rows", fields, value.attributes)
        if isinstance(value, Linked):
            ends = [("ends", "i8", (value.links.shape[1],))]
            self.link_file = ColumnFile.declared(self.folder / "links", ends, value.link_attributes)

    def _write_down(self, value: Geometry) -> None:
        assert self.row_file is not None
        bare = replace(value, attributes={})
        table = table_of(bare, {}, self.kind, self.rows, names_rows=self.first.names_rows)
        fields = {name: getattr(table, name) for name in ("object_ids", "numbers", "breaks", "rows")}
        known = {name: column for name, column in fields.items() if column is not None}
        self.row_file.append(len(table), {"positions": value.positions, **known}, value.attributes)
        if isinstance(value, Linked) and self.link_file is not None:
            links = value.links + self.rows
            self.link_file.append(len(links), {"ends": links}, value.link_attributes)

    @property
    def _next_row_id(self) -> int | None:
        return None if self.first.row_id is None else self.first.row_id + self.rows + self.dropped

    def finish(self) -> SpillIntake:
        """Ready for the second pass."""
        assert self.model is not None
        assert self.tables is not None
        assert self.row_file is not None
        options, model = self.options, self.model
        columns, lookups = self.row_file.specs()
        link_columns, link_lookups = ({}, {}) if self.link_file is None else self.link_file.specs()
        return SpillIntake(
            rows=self.row_file,
            link_file=self.link_file,
            axes=as_axes(options.axes if options.axes is not None else model.axes, model.ndim),
            dtype=options.dtype or model.positions.dtype,
            columns=columns,
            link_columns=link_columns,
            link_width=model.links.shape[1] if isinstance(model, Linked) else 2,
            directed=isinstance(model, Graph) and model.directed,
            tables=self.tables,
            has_objects=model.has_objects,
            extent=Extent(self.rows, self.low, self.high, np.concatenate(self.samples)),
            dropped=self.dropped,
            numbered_lines=self.lines,
            next_row_id=self._next_row_id,
            lookups=lookups,
            link_lookups=link_lookups,
        )


@dataclass
class SpillIntake:
    """Rows and links in temporary files."""

    rows: ColumnFile
    link_file: ColumnFile | None
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
    lookups: dict[str, AnyArray]
    link_lookups: dict[str, AnyArray]
    one_object: int | None = None
    constants: dict[str, AnyArray] = field(default_factory=dict)
    link_constants: dict[str, AnyArray] = field(default_factory=dict)

    @property
    def folder(self) -> Path:
        """Where more temporary files may be put."""
        return self.rows.path.parent

    def links(self) -> Iterator[LinkTable]:
        """The links, some at a time."""
        if self.link_file is None:
            return
        for records in self.link_file.read():
            columns = {
                name: apply_lookup(value, self.link_lookups.get(name), self.link_columns[name])
                for name, value in self._link_values(records)
            }
            yield LinkTable(np.ascontiguousarray(records["ends"]), columns)

    def _link_values(self, records: AnyArray) -> Iterator[tuple[str, AnyArray]]:
        assert self.link_file is not None
        for number, name in enumerate(self.link_file.names):
            yield name, np.ascontiguousarray(records[f"a{number}"])
        for name, value in self.link_constants.items():
            yield name, np.broadcast_to(value, (len(records), *value.shape))

    def object_ids(self) -> IntArray:
        """Sorted distinct ids of the rows."""
        return self.tables.ids

    def lead_by(self, name: str) -> None:
        """Take an attribute for the place of each row on the axis before the spatial ones."""
        self.rows = self.rows.with_field(name, "lead")
        del self.columns[name]

    def set_object_id(self, value: int) -> None:
        """Give all rows to one object."""
        self.one_object = value
        self.tables = replace(self.tables, ids=np.array([value], dtype=np.int64))
        self.has_objects = True

    def add_constant(self, name: str, value: AnyArray, spec: ColumnSpec) -> None:
        """Give every row the same value."""
        self.constants[name] = value
        self.columns[name] = spec

    def add_link_constant(self, name: str, value: AnyArray, spec: ColumnSpec) -> None:
        """Give every link the same value."""
        self.link_constants[name] = value
        self.link_columns[name] = spec

    def casts_exactly(self, name: str | None, dtype: np.dtype[Any]) -> bool:
        """Whether an attribute, or the positions for None, keeps every value in another dtype."""
        column = "positions" if name is None else f"a{self.rows.names.index(name)}"
        return all(casts_exactly(np.ascontiguousarray(rows[column]), dtype) for rows in self.rows.read())

    def recode(self, columns: Mapping[str, ColumnSpec], lookups: Mapping[str, AnyArray]) -> None:
        """Store attributes as these types."""
        for name, lookup in lookups.items():
            inner = self.lookups.get(name)
            self.lookups[name] = lookup if inner is None else lookup[inner]
        self.columns = dict(columns)

    def recode_links(self, columns: Mapping[str, ColumnSpec], lookups: Mapping[str, AnyArray]) -> None:
        """Store attributes of links as these types."""
        for name, lookup in lookups.items():
            inner = self.link_lookups.get(name)
            self.link_lookups[name] = lookup if inner is None else lookup[inner]
        self.link_columns = dict(columns)

    def blocks(self, plan: CellPlan) -> Iterator[RowTable]:
        """The rows, group of shards after group of shards, each read once from its own file."""
        group_of_shard = self._group_shards(plan)
        with tempfile.TemporaryDirectory(dir=self.folder) as folder:
            files = self._scatter(plan, group_of_shard, Path(folder))
            for file in files:
                if file.exists():
                    yield self._table(np.fromfile(file, dtype=self.rows.record))
                    file.unlink()

    def _shards(self, plan: CellPlan, rows: AnyArray) -> AnyArray:
        positions = np.ascontiguousarray(rows["positions"])
        lead = np.ascontiguousarray(rows["lead"]) if "lead" in (rows.dtype.names or ()) else None
        return plan.keys(positions, lead) // int(np.prod(plan.vertices.block))

    def _group_shards(self, plan: CellPlan) -> tuple[AnyArray, IntArray]:
        """Shard numbers that occur, ascending, and the group of each: about a million rows, never a part of a shard."""
        numbers, counts = np.zeros(0, dtype=np.int64), np.zeros(0, dtype=np.int64)
        for rows in self.rows.read():
            found, times = np.unique(self._shards(plan, rows), return_counts=True)
            both, place = np.unique(np.concatenate([numbers, found.astype(np.int64)]), return_inverse=True)
            counts = np.bincount(place, weights=np.concatenate([counts, times]), minlength=len(both)).astype(np.int64)
            numbers = both
        if plan.whole:
            return numbers, np.zeros(len(numbers), dtype=np.int64)
        return numbers, (np.cumsum(counts) - counts) // _GROUP_ROWS

    def _scatter(self, plan: CellPlan, groups: tuple[AnyArray, IntArray], folder: Path) -> list[Path]:
        numbers, group_of = groups
        files = [folder / str(group) for group in range(int(group_of.max(initial=-1)) + 1)]
        for rows in self.rows.read():
            group = group_of[np.searchsorted(numbers, self._shards(plan, rows))]
            order = stable_order([group])
            ends = np.searchsorted(group[order], np.arange(len(files) + 1))
            for number, file in enumerate(files):
                if ends[number] < ends[number + 1]:
                    with file.open("ab") as out:
                        rows[order[ends[number] : ends[number + 1]]].tofile(out)
        return files

    def _table(self, rows: AnyArray) -> RowTable:
        columns = {
            name: apply_lookup(np.ascontiguousarray(rows[f"a{number}"]), self.lookups.get(name), self.columns[name])
            for number, name in enumerate(self.rows.names)
        }
        for name, value in self.constants.items():
            same = np.broadcast_to(value, (len(rows), *value.shape))
            columns[name] = apply_lookup(same, self.lookups.get(name), self.columns[name])
        ids: IntArray | None = None
        if self.one_object is not None:
            ids = np.full(len(rows), self.one_object, dtype=np.int64)
        elif self.has_objects:
            ids = np.ascontiguousarray(rows["object_ids"])
        known = rows.dtype.names or ()
        kept = {name: np.ascontiguousarray(rows[name]) for name in _CARRIED if name in known}
        return RowTable(np.ascontiguousarray(rows["positions"]), columns, ids, **kept)
