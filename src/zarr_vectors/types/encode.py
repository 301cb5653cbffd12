"""Rows to cells: sort them into chunks, cut them into fragments, and encode each array's cells."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from math import prod
from typing import Any

import numpy as np

from zarr_vectors import constants
from zarr_vectors.core.documents import ColumnSpec
from zarr_vectors.encoding.blobs import Blobs, offsets_of
from zarr_vectors.encoding.fragments import encode_ranges
from zarr_vectors.spatial.grid import bin_numbers, chunk_coords
from zarr_vectors.spatial.partition import runs_of, stable_order
from zarr_vectors.storage.cells import CellArray
from zarr_vectors.storage.storage import Put
from zarr_vectors.types.table import RowTable
from zarr_vectors.typing import AnyArray, IntArray

__all__ = ["CellPlan", "Tally", "encode_table"]

_PART_ROWS = 1_000_000
_BLOCK_ROWS = 1 << 15


@dataclass(frozen=True)
class CellPlan:
    """How the rows of a level become cells.

    Args:
        arrays: Chunk-grid arrays by name below the level, on one grid with one shard shape.
        chunk_shape: Edge lengths of a chunk.
        bin_shape: Edge lengths of a bin.
        bins: Bins of a chunk along each axis.
        dtype: Of the stored positions.
        columns: Types of the vertex attributes.
        has_objects: Whether fragments follow objects rather than bins.
        whole: Whether the arrays' shards do not coincide, so that rows cannot be written shard by shard.
    """

    arrays: Mapping[str, CellArray]
    chunk_shape: tuple[float, ...]
    bin_shape: tuple[float, ...]
    bins: tuple[int, ...]
    dtype: np.dtype[Any]
    columns: Mapping[str, ColumnSpec]
    has_objects: bool
    whole: bool = False

    @property
    def vertices(self) -> CellArray:
        """The array that all others follow."""
        return self.arrays[constants.VERTICES]

    @property
    def binned(self) -> bool:
        """Whether fragments are bins."""
        return not self.has_objects and int(np.prod(self.bins)) > 1

    def keys(self, positions: AnyArray) -> AnyArray:
        """``(N,)`` number of each row's cell, counting shard by shard."""
        tables = self._key_tables()
        keys = np.zeros(len(positions), dtype=tables[0].dtype)
        for start in range(0, len(positions), _BLOCK_ROWS):
            rows = slice(start, start + _BLOCK_ROWS)
            local = chunk_coords(positions[rows], self.chunk_shape, self.vertices.grid.origin)
            for axis, table in enumerate(tables):
                keys[rows] += table.take(local[axis])
        return keys

    def _key_tables(self) -> list[AnyArray]:
        """For each axis, what a cell's place along it adds to the cell's number."""
        grid, block = self.vertices.grid, self.vertices.block
        blocks = [-(-n // b) for n, b in zip(grid.shape, block, strict=True)]
        per_block = prod(block)
        dtype = np.uint32 if prod(blocks) * per_block < 2**32 else np.int64
        tables = []
        for axis, length in enumerate(grid.shape):
            index, inner = np.divmod(np.arange(length), block[axis])
            number = index * (prod(blocks[axis + 1 :]) * per_block) + inner * prod(block[axis + 1 :])
            tables.append(number.astype(dtype))
        return tables

    def coords(self, keys: AnyArray) -> IntArray:
        """``(n, K)`` chunk coordinates of cell numbers."""
        grid, block = self.vertices.grid, np.asarray(self.vertices.block)
        blocks = tuple(-(-np.asarray(grid.shape) // block))
        number, inner = np.divmod(keys.astype(np.int64), int(np.prod(block)))
        index = np.stack(np.unravel_index(number, blocks), axis=1)
        local = np.stack(np.unravel_index(inner, tuple(block)), axis=1)
        return np.asarray(index * block + local + np.asarray(grid.origin), dtype=np.int64)


@dataclass
class Tally:
    """What has been encoded so far, for the documents that follow."""

    rows: int = 0
    coords: list[IntArray] = field(default_factory=list)
    fragment_owner: list[IntArray] = field(default_factory=list)
    fragment_chunk: list[IntArray] = field(default_factory=list)
    fragment_number: list[IntArray] = field(default_factory=list)

    def present(self, ndim: int) -> IntArray:
        """Coordinates of all cells that were written."""
        return np.concatenate([*self.coords, np.zeros((0, ndim), dtype=np.int64)])

    def fragments(self, ndim: int) -> tuple[IntArray, IntArray, IntArray]:
        """Owner, chunk and number of every fragment that has an owner."""
        none = np.zeros(0, dtype=np.int64)
        return (
            np.concatenate([*self.fragment_owner, none]),
            np.concatenate([*self.fragment_chunk, np.zeros((0, ndim), dtype=np.int64)]),
            np.concatenate([*self.fragment_number, none]),
        )


@dataclass(frozen=True)
class SortedRows:
    """Rows in storage order, and where cells and fragments begin.

    Args:
        table: The rows.
        coords: ``(C, K)`` chunk of each cell.
        cell_rows: ``(C,)`` rows of each cell.
        per_cell: ``(C,)`` fragments of each cell.
        counts: ``(F,)`` rows of each fragment.
        owners: ``(F,)`` object of each fragment, or None.
    """

    table: RowTable
    coords: IntArray
    cell_rows: IntArray
    per_cell: IntArray
    counts: IntArray
    owners: IntArray | None


def encode_table(plan: CellPlan, table: RowTable, tally: Tally) -> Iterator[Put]:
    """The stored objects of rows that fill whole shards; sorted once, then gathered and encoded part by part."""
    for part in sort_table(plan, table):
        yield from encode_sorted(plan, part, tally)


def sort_table(plan: CellPlan, table: RowTable) -> Iterator[SortedRows]:
    """Rows in storage order, in parts that end where shards end."""
    if not len(table):
        return
    keys = plan.keys(table.positions)
    fine = _fine_key(plan, table)
    order = stable_order([keys] if fine is None else [keys, fine])
    keys = keys.take(order)
    cells = runs_of(keys)
    ends = cells.starts + cells.counts
    for first, last in _parts(plan, keys[cells.starts], ends):
        rows = slice(int(cells.starts[first]), int(ends[last - 1]))
        picked = order[rows]
        part = table.take(picked)
        # With objects the fine key is the id, which has just been gathered.
        fine_part = part.object_ids if plan.has_objects or fine is None else fine.take(picked)
        yield _cut(
            plan,
            part,
            plan.coords(keys[cells.starts[first:last]]),
            cells.counts[first:last],
            keys[rows],
            fine_part,
        )


def _fine_key(plan: CellPlan, table: RowTable) -> AnyArray | None:
    """What orders rows inside a cell: the object, or the bin."""
    if plan.has_objects:
        return table.object_ids
    if not plan.binned:
        return None
    numbers = np.empty(len(table), dtype=np.int32)
    for start in range(0, len(table), _BLOCK_ROWS):
        rows = slice(start, start + _BLOCK_ROWS)
        numbers[rows] = bin_numbers(table.positions[rows], plan.chunk_shape, plan.bin_shape, plan.bins)
    return numbers


def _parts(plan: CellPlan, cell_keys: AnyArray, ends: IntArray) -> Iterator[tuple[int, int]]:
    """Ranges of cells of about a million rows each that do not split a shard."""
    if plan.whole:
        yield 0, len(ends)
        return
    shard = cell_keys // np.prod(plan.vertices.block)
    last_of_shard = np.flatnonzero(np.append(shard[1:] != shard[:-1], True))
    first, done = 0, 0
    for last in last_of_shard.tolist():
        if int(ends[last]) - done >= _PART_ROWS or last == len(ends) - 1:
            yield first, last + 1
            first, done = last + 1, int(ends[last])


def _cut(
    plan: CellPlan, table: RowTable, coords: IntArray, cell_rows: IntArray, keys: AnyArray, fine: AnyArray | None
) -> SortedRows:
    """Cut sorted rows into fragments."""
    if plan.has_objects:
        assert fine is not None
        runs = runs_of(keys, fine)
        begins = offsets_of(cell_rows)[:-1]
        per_cell = np.diff(np.searchsorted(runs.starts, begins), append=len(runs))
        return SortedRows(table, coords, cell_rows, per_cell, runs.counts, fine[runs.starts])
    bins = int(np.prod(plan.bins))
    per_cell = np.full(len(coords), bins, dtype=np.int64)
    if fine is None:
        return SortedRows(table, coords, cell_rows, per_cell, cell_rows, None)
    cell = np.repeat(np.arange(len(coords), dtype=np.int64), cell_rows)
    counts = np.bincount(cell * bins + fine, minlength=bins * len(coords)).astype(np.int64)
    return SortedRows(table, coords, cell_rows, per_cell, counts, None)


def encode_sorted(plan: CellPlan, part: SortedRows, tally: Tally) -> Iterator[Put]:
    """Encode every array's cells of these rows."""
    note(tally, part.coords, part.owners, part.per_cell, np.zeros(len(part.coords), dtype=np.int64))
    tally.rows += len(part.table)
    for name, cells in cells_of(plan, part).items():
        yield from plan.arrays[name].encode(part.coords, cells)


def note(tally: Tally, coords: IntArray, owners: IntArray | None, per_cell: IntArray, first_number: IntArray) -> None:
    """Remember cells, and who owns which of their fragments."""
    tally.coords.append(coords)
    if owners is not None:
        number = np.arange(int(per_cell.sum())) - np.repeat(offsets_of(per_cell)[:-1] - first_number, per_cell)
        tally.fragment_owner.append(owners)
        tally.fragment_chunk.append(np.repeat(coords, per_cell, axis=0))
        tally.fragment_number.append(number)


def cells_of(plan: CellPlan, part: SortedRows) -> dict[str, Blobs]:
    """The payload of each cell, for every array."""
    table = part.table
    positions = np.ascontiguousarray(table.positions, dtype=plan.dtype)
    starts = offsets_of(part.counts)[:-1] - np.repeat(offsets_of(part.cell_rows)[:-1], part.per_cell)
    cells = {
        constants.VERTICES: rows_as_cells(positions, part.cell_rows),
        constants.VERTEX_FRAGMENTS: encode_ranges(part.per_cell, starts, part.counts),
    }
    if part.owners is not None:
        cells[constants.FRAGMENT_OWNER] = rows_as_cells(part.owners.astype("<i8"), part.per_cell)
    for name, spec in plan.columns.items():
        column = np.ascontiguousarray(table.columns[name], dtype=spec.dtype)
        cells[f"{constants.VERTEX_ATTRIBUTES}/{name}"] = rows_as_cells(column, part.cell_rows)
    return cells


def rows_as_cells(rows: AnyArray, per_cell: IntArray) -> Blobs:
    """Cut contiguous rows into cells."""
    row_bytes = rows.dtype.itemsize * int(np.prod(rows.shape[1:], dtype=np.int64))
    return Blobs.packed(rows.reshape(-1).view(np.uint8), per_cell * row_bytes)


def concatenate_tables(tables: Sequence[RowTable]) -> RowTable:
    """All rows of tables with the same columns."""
    first = tables[0]
    if len(tables) == 1:
        return first
    return RowTable(
        np.concatenate([table.positions for table in tables]),
        {name: np.concatenate([table.columns[name] for table in tables]) for name in first.columns},
        None
        if first.object_ids is None
        else np.concatenate([table.object_ids for table in tables if table.object_ids is not None]),
    )
