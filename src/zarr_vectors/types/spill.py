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
from zarr_vectors.geometry import Categorical, Column, Points
from zarr_vectors.spatial.partition import stable_order
from zarr_vectors.types.encode import CellPlan
from zarr_vectors.types.intake import (
    Extent,
    Intake,
    Limits,
    admit,
    apply_lookup,
    casts_exactly,
    concatenate_columns,
    memory_intake,
    merge_tables,
    tables_of,
)
from zarr_vectors.types.objects import ObjectTables
from zarr_vectors.types.options import WriteOptions
from zarr_vectors.types.table import RowTable, code_dtype
from zarr_vectors.typing import AnyArray, FloatArray, IntArray

__all__ = ["stream_intake"]

_IN_MEMORY_ROWS = 1_000_000
_GROUP_ROWS = 1_000_000
_READ_ROWS = 500_000
_SAMPLE_PER_BATCH = 4096


def stream_intake(
    values: Iterable[Points], options: WriteOptions, limits: Limits, first_row_id: int | None, folder: Path
) -> Intake:
    """Take in an iterable of values: as one value where it is short, through temporary files where it is long.

    Args:
        folder: Where temporary files may be put.

    Raises:
        InputError: A value cannot be written or does not match the first one; the message says which.
    """
    batches = iter(values)
    head: list[Points] = []
    rows = 0
    for batch in batches:
        if not isinstance(batch, Points):
            raise InputError(
                "every item of a stream must be a geometry value",
                got=f"{type(batch).__name__} as item {len(head)}",
                hint="yield zv.Points(...)",
            )
        head.append(batch)
        rows += batch.vertex_count
        if rows > _IN_MEMORY_ROWS:
            spill = _Spill(options, limits, first_row_id, folder)
            head.reverse()
            while head:
                # Let go of each batch as soon as it is written down.
                spill.add(head.pop())
            for item in batches:
                spill.add(item)
            return spill.finish()
    if not head:
        raise InputError("the stream has no values", hint="for an empty store write zv.Points(np.empty((0, 3)))")
    return memory_intake(_concatenate(head), options, limits, first_row_id)


def _concatenate(values: list[Points]) -> Points:
    """Values as one."""
    first = values[0]
    if len(values) == 1:
        return first
    for number, value in enumerate(values):
        _check_like(first, value, number)
    tables = merge_tables([tables_of(value) for value in values])
    described = bool(tables.attributes) or bool(tables.groups)
    return Points(
        positions=np.concatenate([value.positions for value in values]),
        attributes={
            name: concatenate_columns("attribute", name, [value.attributes[name] for value in values])
            for name in first.attributes
        },
        object_ids=None
        if first.object_ids is None
        else np.concatenate([value.object_ids for value in values if value.object_ids is not None]),
        objects=tables.ids if described else None,
        object_attributes=tables.attributes,
        groups=tables.groups,
        group_attributes=tables.group_attributes,
        axes=first.axes,
    )


def _check_like(first: Points, value: Points, number: int) -> None:
    """Refuse a value that does not have the first one's columns."""

    def shape_of(points: Points) -> dict[str, Any]:
        kinds: dict[str, Any] = {"positions": (points.positions.dtype, points.ndim)}
        kinds["object ids"] = points.object_ids is not None
        kinds["axes"] = None if points.axes is None else [axis.to_json() for axis in points.axes]
        for name, column in points.attributes.items():
            text = isinstance(column, Categorical)
            kinds[f"attribute {name!r}"] = "text" if text else (column.dtype, column.shape[1:])
        return kinds

    expected, got = shape_of(first), shape_of(value)
    for what in {**expected, **got}:
        if expected.get(what) != got.get(what):
            raise InputError(
                f"{what} of item {number} of the stream differs from the first item",
                expected=expected.get(what, "none"),
                got=got.get(what, "none"),
            )


@dataclass
class _Spill:
    """The first pass: check every batch and write it down."""

    options: WriteOptions
    limits: Limits
    first_row_id: int | None
    folder: Path
    first: Points | None = None
    number: int = 0
    rows: int = 0
    dropped: int = 0
    low: FloatArray | None = None
    high: FloatArray | None = None
    samples: list[AnyArray] = field(default_factory=list)
    tables: ObjectTables | None = None
    categories: dict[str, dict[Any, int]] = field(default_factory=dict)
    missing: set[str] = field(default_factory=set)
    uneven: set[str] = field(default_factory=set)
    ordered: dict[str, bool] = field(default_factory=dict)
    record: np.dtype[np.void] | None = None
    names: list[str] = field(default_factory=list)

    @property
    def file(self) -> Path:
        return self.folder / "rows"

    def add(self, batch: Points) -> None:
        """Check one batch and append it to the file."""
        row_id = None if self.first_row_id is None else self.first_row_id + self.rows + self.dropped
        if self.first is not None:
            _check_like(self.first, batch, self.number)
        try:
            points, low, high, dropped = admit(batch, self.options, self.limits, row_id)
        except InputError as error:
            error.message = f"{error.message} in item {self.number} of the stream"
            raise
        if self.first is None:
            self.first = batch.take(slice(0, 0))
            self._declare(points)
        self.number += 1
        self.dropped += dropped
        if low is not None and high is not None:
            self.low = low if self.low is None else np.minimum(self.low, low)
            self.high = high if self.high is None else np.maximum(self.high, high)
        step = max(1, points.vertex_count // _SAMPLE_PER_BATCH)
        self.samples.append(points.positions[::step].copy())
        tables = tables_of(points)
        self.tables = tables if self.tables is None else merge_tables([self.tables, tables])
        self.rows += points.vertex_count
        with self.file.open("ab") as out:
            self._pack(points).tofile(out)
        self.options.notify(self.rows, None)

    def _declare(self, points: Points) -> None:
        fields: list[Any] = [("positions", points.positions.dtype, (points.ndim,))]
        if points.object_ids is not None:
            fields.append(("object_ids", "i8"))
        for number, (name, column) in enumerate(points.attributes.items()):
            if isinstance(column, Categorical):
                self.categories[name] = {}
                self.ordered[name] = column.ordered
                fields.append((f"a{number}", "i4"))
            else:
                fields.append((f"a{number}", column.dtype, column.shape[1:]))
        self.record = np.dtype(fields)
        self.names = list(points.attributes)

    def _pack(self, points: Points) -> AnyArray:
        assert self.record is not None
        packed = np.empty(points.vertex_count, dtype=self.record)
        packed["positions"] = points.positions
        if points.object_ids is not None:
            packed["object_ids"] = points.object_ids
        for number, name in enumerate(self.names):
            packed[f"a{number}"] = self._numbers(name, points.attributes[name])
        return packed

    def _numbers(self, name: str, column: Column) -> AnyArray:
        if not isinstance(column, Categorical):
            return column
        known = self.categories[name]
        if known and column.categories != tuple(known):
            self.uneven.add(name)
        for category in column.categories:
            known.setdefault(category, len(known))
        lookup = np.array([*(known[category] for category in column.categories), -1], dtype=np.int32)
        codes = lookup[column.codes.astype(np.int64)]
        if (codes < 0).any():
            self.missing.add(name)
        return codes

    def finish(self) -> SpillIntake:
        """Ready for the second pass."""
        assert self.first is not None
        assert self.tables is not None
        assert self.record is not None
        options, first = self.options, self.first
        columns: dict[str, ColumnSpec] = {}
        lookups: dict[str, AnyArray] = {}
        for number, name in enumerate(self.names):
            if name not in self.categories:
                columns[name] = ColumnSpec(
                    dtype=self.record[f"a{number}"].base, row_shape=self.record[f"a{number}"].shape
                )
                continue
            seen = list(self.categories[name])
            final = sorted(seen, key=str) if name in self.uneven and not self.ordered[name] else seen
            place = {category: code for code, category in enumerate(final)}
            lookups[name] = np.array([*(place[category] for category in seen), -1], dtype=np.int64)
            columns[name] = ColumnSpec(
                dtype=code_dtype(len(final), name in self.missing), categories=tuple(final), ordered=self.ordered[name]
            )
        return SpillIntake(
            file=self.file,
            record=self.record,
            names=self.names,
            axes=as_axes(options.axes if options.axes is not None else first.axes, first.ndim),
            dtype=options.dtype or first.positions.dtype,
            columns=columns,
            tables=self.tables,
            has_objects=first.object_ids is not None,
            extent=Extent(self.rows, self.low, self.high, np.concatenate(self.samples)),
            dropped=self.dropped,
            lookups=lookups,
        )


@dataclass
class SpillIntake:
    """Rows in a temporary file."""

    file: Path
    record: np.dtype[np.void]
    names: list[str]
    axes: tuple[Axis, ...]
    dtype: np.dtype[Any]
    columns: dict[str, ColumnSpec]
    tables: ObjectTables
    has_objects: bool
    extent: Extent
    dropped: int
    lookups: dict[str, AnyArray]
    one_object: int | None = None
    constants: dict[str, AnyArray] = field(default_factory=dict)

    def object_ids(self) -> IntArray:
        """Sorted distinct ids of the rows."""
        return self.tables.ids

    def set_object_id(self, value: int) -> None:
        """Give all rows to one object."""
        self.one_object = value
        self.tables = replace(self.tables, ids=np.array([value], dtype=np.int64))
        self.has_objects = True

    def add_constant(self, name: str, value: AnyArray, spec: ColumnSpec) -> None:
        """Give every row the same value."""
        self.constants[name] = value
        self.columns[name] = spec

    def casts_exactly(self, name: str | None, dtype: np.dtype[Any]) -> bool:
        """Whether an attribute, or the positions for None, keeps every value in another dtype."""
        column = "positions" if name is None else f"a{self.names.index(name)}"
        return all(casts_exactly(np.ascontiguousarray(rows[column]), dtype) for rows in self._read())

    def recode(self, columns: Mapping[str, ColumnSpec], lookups: Mapping[str, AnyArray]) -> None:
        """Store attributes as these types."""
        for name, lookup in lookups.items():
            inner = self.lookups.get(name)
            self.lookups[name] = lookup if inner is None else lookup[inner]
        self.columns = dict(columns)

    def blocks(self, plan: CellPlan) -> Iterator[RowTable]:
        """The rows, group of shards after group of shards, each read once from its own file."""
        group_of_shard = self._group_shards(plan)
        with tempfile.TemporaryDirectory(dir=self.file.parent) as folder:
            files = self._scatter(plan, group_of_shard, Path(folder))
            for file in files:
                if file.exists():
                    yield self._table(np.fromfile(file, dtype=self.record))
                    file.unlink()

    def _read(self) -> Iterator[AnyArray]:
        with self.file.open("rb") as source:
            while len(rows := np.fromfile(source, dtype=self.record, count=_READ_ROWS)):
                yield rows

    def _shards(self, plan: CellPlan, rows: AnyArray) -> AnyArray:
        positions = np.ascontiguousarray(rows["positions"])
        return plan.keys(positions) // int(np.prod(plan.vertices.block))

    def _group_shards(self, plan: CellPlan) -> tuple[AnyArray, IntArray]:
        """Shard numbers that occur, ascending, and the group of each: about a million rows, never a part of a shard."""
        numbers, counts = np.zeros(0, dtype=np.int64), np.zeros(0, dtype=np.int64)
        for rows in self._read():
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
        for rows in self._read():
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
            for number, name in enumerate(self.names)
        }
        for name, value in self.constants.items():
            same = np.broadcast_to(value, (len(rows), *value.shape))
            columns[name] = apply_lookup(same, self.lookups.get(name), self.columns[name])
        ids: IntArray | None = None
        if self.one_object is not None:
            ids = np.full(len(rows), self.one_object, dtype=np.int64)
        elif self.has_objects:
            ids = np.ascontiguousarray(rows["object_ids"])
        return RowTable(np.ascontiguousarray(rows["positions"]), columns, ids)
