"""Rows to cells: sort them into chunks, cut them into fragments, and encode each array's cells."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field, fields, replace
from math import prod
from typing import Any

import numpy as np

from zarr_vectors import constants
from zarr_vectors.core.documents import ColumnSpec
from zarr_vectors.encoding.blobs import Blobs, offsets_of
from zarr_vectors.encoding.fragments import encode_ranges
from zarr_vectors.rowwise import take_rows
from zarr_vectors.spatial.grid import bin_numbers, chunk_coords
from zarr_vectors.spatial.partition import runs_of, stable_order
from zarr_vectors.storage.cells import CellArray
from zarr_vectors.storage.storage import Put
from zarr_vectors.types.fragment_values import GivenFragments, first_values
from zarr_vectors.types.kinds import Connects
from zarr_vectors.types.places import Places
from zarr_vectors.types.quantise import Packing
from zarr_vectors.types.table import RowTable
from zarr_vectors.typing import AnyArray, IntArray

__all__ = ["CellPlan", "Fragments", "Tally", "encode_table"]

_PART_ROWS = 250_000
_BLOCK_ROWS = 1 << 15


@dataclass(frozen=True)
class CellPlan:
    """How the rows of a level become cells.

    Args:
        arrays: Chunk-grid arrays by name below the level, on one grid with one shard shape. The grid may have an axis
            before the spatial ones; every row then says its coordinate there.
        chunk_shape: Edge lengths of a chunk.
        bin_shape: Edge lengths of a bin.
        bins: Bins of a chunk along each axis.
        dtype: Of the stored positions.
        columns: Types of the vertex attributes.
        per_fragment: Types of the attributes that are stored once for each fragment.
        given: Fragment attributes whose values are said chunk by chunk, rather than by the rows.
        has_objects: Whether fragments follow objects rather than bins.
        connects: What connects the vertices.
        whole: Whether the arrays' shards do not coincide, so that rows cannot be written shard by shard.
        explicit: Whether links of a tree are all stored, those too that follow from the order of rows.
    """

    arrays: Mapping[str, CellArray]
    chunk_shape: tuple[float, ...]
    bin_shape: tuple[float, ...]
    bins: tuple[int, ...]
    dtype: np.dtype[Any]
    columns: Mapping[str, ColumnSpec]
    has_objects: bool
    connects: Connects = "nothing"
    whole: bool = False
    explicit: bool = False
    per_fragment: Mapping[str, ColumnSpec] = field(default_factory=dict)
    given: Mapping[str, GivenFragments] = field(default_factory=dict)

    @property
    def vertices(self) -> CellArray:
        """The array that all others follow."""
        return self.arrays[constants.VERTICES]

    def fragment_path(self, name: str) -> str:
        """Where an attribute that is stored per fragment lies; one that has a vertex attribute's name says the path."""
        return f"{constants.FRAGMENT_ATTRIBUTES}/{name.removeprefix(f'{constants.FRAGMENT_ATTRIBUTES}/')}"

    @property
    def binned(self) -> bool:
        """Whether fragments are bins."""
        return not self.has_objects and int(np.prod(self.bins)) > 1

    def keys(self, positions: AnyArray, lead: AnyArray | None = None) -> AnyArray:
        """``(N,)`` number of each row's cell, counting shard by shard.

        Args:
            positions: ``(N, D)``.
            lead: ``(N,)`` coordinates on the axis before the spatial ones, counted from 0; None where there is none.
        """
        tables = self._key_tables()
        origin = self.vertices.grid.origin[-len(self.chunk_shape) :]
        keys = np.zeros(len(positions), dtype=tables[0].dtype)
        for start in range(0, len(positions), _BLOCK_ROWS):
            rows = slice(start, start + _BLOCK_ROWS)
            local = chunk_coords(positions[rows], self.chunk_shape, origin)
            for axis, table in enumerate(tables):
                inside = local[axis] if lead is None else lead[rows] if axis == 0 else local[axis - 1]
                keys[rows] += table.take(inside)
        return keys

    def shards(self, positions: AnyArray, lead: AnyArray | None = None) -> AnyArray:
        """``(N,)`` number of each row's stored object."""
        per_shard = prod(self.vertices.block)
        blocks = [-(-n // b) for n, b in zip(self.vertices.grid.shape, self.vertices.block, strict=True)]
        dtype = np.uint16 if prod(blocks) <= 2**16 else np.int64
        shards = np.empty(len(positions), dtype=dtype)
        for start in range(0, len(positions), _BLOCK_ROWS):
            rows = slice(start, start + _BLOCK_ROWS)
            shards[rows] = self.keys(positions[rows], None if lead is None else lead[rows]) // per_shard
        return shards

    def keys_of(self, coords: IntArray) -> IntArray:
        """``(n,)`` the same number for chunk coordinates."""
        local = coords - np.asarray(self.vertices.grid.origin)
        keys = np.zeros(len(coords), dtype=np.int64)
        for axis, table in enumerate(self._key_tables()):
            keys += table.take(local[:, axis])
        return keys

    @property
    def key_dtype(self) -> np.dtype[Any]:
        """Of cell numbers; shards at the edges of the grid count whole."""
        blocks = [-(-n // b) for n, b in zip(self.vertices.grid.shape, self.vertices.block, strict=True)]
        return np.dtype(np.uint32 if prod(blocks) * prod(self.vertices.block) < 2**32 else np.int64)

    def _key_tables(self) -> list[AnyArray]:
        """For each axis, what a cell's place along it adds to the cell's number."""
        grid, block = self.vertices.grid, self.vertices.block
        blocks = [-(-n // b) for n, b in zip(grid.shape, block, strict=True)]
        per_block = prod(block)
        tables = []
        for axis, length in enumerate(grid.shape):
            index, inner = np.divmod(np.arange(length), block[axis])
            number = index * (prod(blocks[axis + 1 :]) * per_block) + inner * prod(block[axis + 1 :])
            tables.append(number.astype(self.key_dtype))
        return tables

    def coords(self, keys: AnyArray) -> IntArray:
        """``(n, K)`` chunk coordinates of cell numbers."""
        grid, block = self.vertices.grid, np.asarray(self.vertices.block)
        blocks = tuple(-(-np.asarray(grid.shape) // block))
        number, inner = np.divmod(keys.astype(np.int64), int(np.prod(block)))
        index = np.stack(np.unravel_index(number, blocks), axis=1)
        local = np.stack(np.unravel_index(inner, tuple(block)), axis=1)
        return np.asarray(index * block + local + np.asarray(grid.origin), dtype=np.int64)

    def cell_numbers(self, coords: IntArray) -> IntArray:
        """``(n,)`` C-order number in the grid, which orders as the coordinates do."""
        grid = self.vertices.grid
        local = (coords - np.asarray(grid.origin)).T
        return np.asarray(np.ravel_multi_index(tuple(local), grid.shape), dtype=np.int64)

    def numbered_coords(self, numbers: AnyArray) -> IntArray:
        """``(..., K)`` coordinates of such numbers."""
        grid = self.vertices.grid
        local = np.stack(np.unravel_index(numbers.astype(np.int64), grid.shape), axis=-1)
        return np.asarray(local + np.asarray(grid.origin), dtype=np.int64)


@dataclass
class Fragments:
    """Fragments that have an owner, as they were written.

    Args:
        owners: ``(F,)`` object id.
        cells: ``(F,)`` C-order number of the cell.
        numbers: ``(F,)`` number inside the cell.
        first_rows: ``(F,)`` first row inside the cell.
        counts: ``(F,)`` rows.
        offsets: ``(F,)`` number of the first row along its line; empty unless rows are in a sequence.
    """

    owners: AnyArray
    cells: AnyArray
    numbers: AnyArray
    first_rows: AnyArray
    counts: AnyArray
    offsets: AnyArray

    @classmethod
    def joined(cls, parts: Sequence[Fragments]) -> Fragments:
        """Fragments of several parts as one."""
        none = np.zeros(0, dtype=np.int64)
        columns = [[getattr(part, entry.name) for part in parts] or [none] for entry in fields(cls)]
        return cls(*(np.concatenate(column) for column in columns))


@dataclass
class Tally:
    """What has been encoded so far, for what follows: documents, manifests, links."""

    rows: int = 0
    coords: list[IntArray] = field(default_factory=list)
    parts: list[Fragments] = field(default_factory=list)
    places: Places | None = None
    packing: Packing | None = None

    def packed(self, coords: IntArray, cells: dict[str, Blobs]) -> dict[str, Blobs]:
        """Payloads with positions as the level encodes them."""
        if self.packing is None:
            return cells
        return {**cells, constants.VERTICES: self.packing.pack(coords, cells[constants.VERTICES])}

    def present(self, ndim: int) -> IntArray:
        """Coordinates of all cells that were written."""
        return np.concatenate([*self.coords, np.zeros((0, ndim), dtype=np.int64)])

    def fragments(self) -> Fragments:
        """Every fragment that has an owner."""
        if len(self.parts) > 1:
            self.parts = [Fragments.joined(self.parts)]
        return self.parts[0] if self.parts else Fragments.joined([])


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


def encode_table(plan: CellPlan, table: RowTable, tally: Tally) -> Iterator[Put]:
    """The stored objects of rows that fill whole shards; sorted once, then gathered and encoded part by part."""
    for part in sort_table(plan, table):
        yield from encode_sorted(plan, part, tally)
        # The next part is sorted before its name is bound again.
        del part


def sort_table(plan: CellPlan, table: RowTable) -> Iterator[SortedRows]:
    """Rows in storage order, in parts that end where shards end.

    Rows are first told apart by shard and then sorted part by part, so that the temporaries of sorting stay small.
    """
    if not len(table):
        return
    for rows in _parts(plan, table):
        yield _sorted_part(plan, table, rows)


def _sorted_part(plan: CellPlan, table: RowTable, rows: AnyArray | None) -> SortedRows:
    """Some of the rows in storage order, or all."""
    keys = _keys_of(plan, table, rows)
    fine = _fine_key(plan, table, rows)
    order = stable_order([keys] if fine is None else [keys, fine])
    picked = order if rows is None else rows.take(order)
    keys = keys.take(order)
    cells = runs_of(keys)
    part = table.take(picked)
    # With objects the fine key is the id, which has just been gathered.
    fine = part.object_ids if plan.has_objects or fine is None else fine.take(order)
    del order, picked
    cut = _cut(plan, part, plan.coords(keys[cells.starts]), cells.counts, keys, fine)
    # Fragments now say who owns which rows.
    return replace(cut, table=replace(part, object_ids=None, breaks=None))


def _keys_of(plan: CellPlan, table: RowTable, rows: AnyArray | None) -> AnyArray:
    if rows is None:
        return plan.keys(table.positions, table.lead)
    return plan.keys(take_rows(table.positions, rows), None if table.lead is None else take_rows(table.lead, rows))


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


def _fine_key(plan: CellPlan, table: RowTable, rows: IntArray | None) -> AnyArray | None:
    """What orders rows inside a cell: the object, or the bin."""
    if plan.has_objects:
        assert table.object_ids is not None
        return table.object_ids if rows is None else table.object_ids.take(rows)
    if not plan.binned:
        return None
    positions = table.positions if rows is None else take_rows(table.positions, rows)
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


def encode_sorted(plan: CellPlan, part: SortedRows, tally: Tally) -> Iterator[Put]:
    """Encode every array's cells of these rows."""
    none = np.zeros(len(part.coords), dtype=np.int64)
    note(plan, tally, part, first_number=none, first_row=none)
    for name, cells in tally.packed(part.coords, cells_of(plan, part)).items():
        yield from plan.arrays[name].encode(part.coords, cells)
    for name, given in plan.given.items():
        coords, cells = given.cells(part.coords)
        if len(coords):
            yield from plan.arrays[f"{constants.FRAGMENT_ATTRIBUTES}/{name}"].encode(coords, cells)


def note(plan: CellPlan, tally: Tally, part: SortedRows, *, first_number: IntArray, first_row: IntArray) -> None:
    """Remember cells, who owns which of their fragments, and where links will find rows.

    Args:
        first_number: ``(C,)`` fragments that each cell held before.
        first_row: ``(C,)`` rows that each cell held before.
    """
    tally.rows += len(part.table)
    tally.coords.append(part.coords)
    if part.owners is None and tally.places is None:
        return
    cells = plan.cell_numbers(part.coords)
    if plan.vertices.grid.cells < 2**31:
        cells = cells.astype(np.int32)
    if tally.places is not None and part.table.numbers is not None:
        inside = np.arange(len(part.table)) - np.repeat(offsets_of(part.cell_rows)[:-1] - first_row, part.cell_rows)
        tally.places.put(part.table.numbers, np.repeat(cells, part.cell_rows), inside)
    if part.owners is None:
        return
    numbers = np.arange(len(part.counts)) - np.repeat(offsets_of(part.per_cell)[:-1] - first_number, part.per_cell)
    rows = part.first_rows() + np.repeat(first_row, part.per_cell)
    offsets = np.zeros(0, dtype=np.int32) if part.offsets is None else part.offsets
    tally.parts.append(
        Fragments(
            part.owners, np.repeat(cells, part.per_cell), _narrow(numbers), _narrow(rows), _narrow(part.counts), offsets
        )
    )


def _narrow(numbers: IntArray) -> AnyArray:
    """Counts in 32 bits where they fit: there may be many fragments to remember."""
    return numbers.astype(np.int32) if int(numbers.max(initial=0)) < 2**31 else numbers


def cells_of(plan: CellPlan, part: SortedRows) -> dict[str, Blobs]:
    """The payload of each cell, for every array."""
    table = part.table
    positions = np.ascontiguousarray(table.positions, dtype=plan.dtype)
    cells = {
        constants.VERTICES: rows_as_cells(positions, part.cell_rows),
        constants.VERTEX_FRAGMENTS: encode_ranges(part.per_cell, part.first_rows(), part.counts),
    }
    if part.owners is not None:
        cells[constants.FRAGMENT_OWNER] = rows_as_cells(part.owners.astype("<i8"), part.per_cell)
    if constants.FRAGMENT_OFFSET in plan.arrays:
        assert part.offsets is not None
        cells[constants.FRAGMENT_OFFSET] = rows_as_cells(part.offsets.astype("<i8"), part.per_cell)
    for name, spec in plan.columns.items():
        column = np.ascontiguousarray(table.columns[name], dtype=spec.dtype)
        cells[f"{constants.VERTEX_ATTRIBUTES}/{name}"] = rows_as_cells(column, part.cell_rows)
    for name, spec in plan.per_fragment.items():
        column = first_values(table.columns[name], part.counts, spec)
        cells[plan.fragment_path(name)] = rows_as_cells(column, part.per_cell)
    return cells


def rows_as_cells(rows: AnyArray, per_cell: IntArray) -> Blobs:
    """Cut contiguous rows into cells."""
    row_bytes = rows.dtype.itemsize * int(np.prod(rows.shape[1:], dtype=np.int64))
    return Blobs.packed(rows.reshape(-1).view(np.uint8), per_cell * row_bytes)
