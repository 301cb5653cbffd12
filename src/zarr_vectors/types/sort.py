"""Rows sorted into storage order, and cut into cells and fragments."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, replace
from math import prod

import numpy as np

from zarr_vectors.encoding.blobs import offsets_of
from zarr_vectors.rowwise import RowRuns, take_rows
from zarr_vectors.spatial.grid import bin_numbers
from zarr_vectors.spatial.partition import runs_of, stable_order
from zarr_vectors.types.cell_plan import CellPlan
from zarr_vectors.types.table import RowTable
from zarr_vectors.typing import AnyArray, IntArray

__all__ = ["SortedRows", "sort_table"]

_PART_ROWS = 250_000
_BLOCK_ROWS = 1 << 15
_LEAST_RUN = 3
"""Rows that neighbours of one cell have on average where they are worth sorting as one."""


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
        offsets: ``(F,)`` number, along its line, of each fragment's first row; None for kinds without lines.
    """

    table: RowTable
    coords: IntArray
    cell_rows: IntArray
    per_cell: IntArray
    counts: IntArray
    owners: IntArray | None
    offsets: AnyArray | None = None

    def first_rows(self) -> IntArray:
        """``(F,)`` first row of each fragment inside its cell."""
        return offsets_of(self.counts)[:-1] - np.repeat(offsets_of(self.cell_rows)[:-1], self.per_cell)


def sort_table(plan: CellPlan, table: RowTable) -> Iterator[SortedRows]:
    """Rows in storage order, in parts that end where shards end.

    Lines, and points as a scanner brings them, stay in a cell for some rows: such neighbours are sorted as one. Other
    rows are first told apart by shard and then sorted part by part, so that the temporaries of sorting stay small.
    """
    if not len(table):
        return
    runs = _cell_runs(plan, table)
    if runs is not None:
        runs = runs.take(stable_order([runs.keys] if runs.fine is None else [runs.keys, runs.fine]))
        for part in _run_parts(plan, runs):
            yield _rows_of_runs(plan, table, part)
        return
    for rows in _parts(plan, table):
        # Rows of a part are taken as they come and then sorted among themselves, so that what is jumped about in stays
        # in the cache.
        yield _sorted(plan, table if rows is None else table.take(rows))


@dataclass(frozen=True)
class _CellRuns:
    """Neighbouring rows of one cell and one fine key.

    Args:
        starts: ``(R,)`` first row of each run.
        counts: ``(R,)`` its rows.
        keys: ``(R,)`` its cell.
        fine: ``(R,)`` what orders it inside the cell, or None.
    """

    starts: IntArray
    counts: IntArray
    keys: AnyArray
    fine: AnyArray | None

    def take(self, which: AnyArray | slice) -> _CellRuns:
        fine = None if self.fine is None else self.fine[which]
        return _CellRuns(self.starts[which], self.counts[which], self.keys[which], fine)


def _cell_runs(plan: CellPlan, table: RowTable) -> _CellRuns | None:
    """All runs of a table; None where rows change their cell so often that runs are of no use."""
    starts: list[IntArray] = []
    keys: list[AnyArray] = []
    fines: list[AnyArray] = []
    found = 0
    for start in range(0, len(table), _BLOCK_ROWS):
        rows = slice(start, start + _BLOCK_ROWS)
        block = plan.keys(table.positions[rows], None if table.lead is None else table.lead[rows])
        fine = _fine_key(plan, table, rows)
        first = runs_of(block, *([] if fine is None else [fine])).starts
        found += len(first)
        if found * _LEAST_RUN > start + len(block):
            return None
        starts.append(first + start)
        keys.append(block[first])
        if fine is not None:
            fines.append(fine[first])
    begins = np.concatenate(starts)
    counts = np.diff(begins, append=len(table))
    return _CellRuns(begins, counts, np.concatenate(keys), np.concatenate(fines) if fines else None)


def _rows_of_runs(plan: CellPlan, table: RowTable, runs: _CellRuns) -> SortedRows:
    """The rows of runs that are in storage order."""
    rows = replace(table, object_ids=None).take(RowRuns(runs.starts, runs.counts))
    keys = np.repeat(runs.keys, runs.counts)
    fine = None if runs.fine is None else np.repeat(runs.fine, runs.counts)
    return _cut_part(plan, rows, keys, fine)


def _run_parts(plan: CellPlan, runs: _CellRuns) -> Iterator[_CellRuns]:
    """Sorted runs with some hundred thousand rows at a time that do not split a shard; all where arrays differ."""
    ends = np.cumsum(runs.counts)
    if plan.whole or ends[-1] <= _PART_ROWS:
        yield runs
        return
    shards = runs_of(runs.keys // prod(plan.vertices.block))
    start = rows = 0
    for end in (shards.starts + shards.counts).tolist():
        if ends[end - 1] - rows >= _PART_ROWS or end == len(runs.keys):
            yield runs.take(slice(start, end))
            start, rows = end, int(ends[end - 1])


def _sorted(plan: CellPlan, table: RowTable) -> SortedRows:
    """The rows in storage order."""
    keys = plan.keys(table.positions, table.lead)
    fine = _fine_key(plan, table, slice(None))
    order = stable_order([keys] if fine is None else [keys, fine])
    part = table.take(order)
    # With objects the fine key is the id, which has just been gathered.
    fine = part.object_ids if plan.has_objects or fine is None else fine.take(order)
    return _cut_part(plan, part, take_rows(keys, order), fine)


def _cut_part(plan: CellPlan, table: RowTable, keys: AnyArray, fine: AnyArray | None) -> SortedRows:
    """Sorted rows as cells and fragments."""
    cells = runs_of(keys)
    cut = _cut(plan, table, plan.coords(keys[cells.starts]), cells.counts, keys, fine)
    # Fragments now say who owns which rows.
    return replace(cut, table=replace(table, object_ids=None, breaks=None))


def _parts(plan: CellPlan, table: RowTable) -> Iterator[AnyArray | None]:
    """Rows of some hundred thousand at a time that do not split a shard, shard after shard; None for all rows."""
    if plan.whole or len(table) <= _PART_ROWS:
        yield None
        return
    shards = plan.shards(table.positions, table.lead)
    order = stable_order([shards])
    if len(order) < 2**32:
        order = order.astype(np.uint32)
    runs = runs_of(shards.take(order))
    del shards
    start = 0
    for end in (runs.starts + runs.counts).tolist():
        if end - start >= _PART_ROWS or end == len(order):
            yield order[start:end]
            start = end


def _fine_key(plan: CellPlan, table: RowTable, rows: slice) -> AnyArray | None:
    """What orders some rows inside a cell: the object, or the bin."""
    if plan.has_objects:
        return None if table.object_ids is None else table.object_ids[rows]
    if not plan.binned:
        return None
    positions = table.positions[rows]
    numbers = np.empty(len(positions), dtype=np.int32)
    for start in range(0, len(positions), _BLOCK_ROWS):
        block = slice(start, start + _BLOCK_ROWS)
        numbers[block] = bin_numbers(positions[block], plan.chunk_shape, plan.bin_shape, plan.bins)
    return numbers


def _cut(
    plan: CellPlan, table: RowTable, coords: IntArray, cell_rows: IntArray, keys: AnyArray, fine: AnyArray | None
) -> SortedRows:
    """Cut sorted rows into fragments."""
    if plan.has_objects:
        assert fine is not None
        runs = runs_of(keys, fine, *_run_keys(plan, table))
        begins = offsets_of(cell_rows)[:-1]
        per_cell = np.diff(np.searchsorted(runs.starts, begins), append=len(runs))
        offsets = None
        if plan.connects == "sequence" and table.numbers is not None:
            offsets = table.numbers[runs.starts]
        return SortedRows(table, coords, cell_rows, per_cell, runs.counts, fine[runs.starts], offsets)
    bins = int(np.prod(plan.bins))
    per_cell = np.full(len(coords), bins, dtype=np.int64)
    if fine is None:
        return SortedRows(table, coords, cell_rows, per_cell, cell_rows, None)
    cell = np.repeat(np.arange(len(coords), dtype=np.int64), cell_rows)
    counts = np.bincount(cell * bins + fine, minlength=bins * len(coords)).astype(np.int64)
    return SortedRows(table, coords, cell_rows, per_cell, counts, None)


def _run_keys(plan: CellPlan, table: RowTable) -> list[AnyArray]:
    """What else ends a fragment than another object: a gap along the line, a root, or another part."""
    parts = [] if table.parts is None else [table.parts]
    if plan.connects == "sequence" and table.numbers is not None:
        return [table.numbers - np.arange(len(table), dtype=table.numbers.dtype), *parts]
    if plan.connects == "tree" and table.breaks is not None:
        return [np.cumsum(table.breaks, dtype=np.int32 if len(table) < 2**31 else np.int64), *parts]
    return parts
