"""Sorted rows to the stored objects of each array's cells, and what must be remembered of them."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, fields
from pathlib import Path

import numpy as np

from zarr_vectors import constants
from zarr_vectors.encoding.blobs import Blobs, offsets_of
from zarr_vectors.encoding.fragments import encode_ranges
from zarr_vectors.rowwise import take_rows
from zarr_vectors.storage.storage import Put
from zarr_vectors.types.cell_facts import CellFacts
from zarr_vectors.types.cell_plan import CellPlan
from zarr_vectors.types.cell_reach import CellReach
from zarr_vectors.types.fragment_values import first_values
from zarr_vectors.types.places import Places
from zarr_vectors.types.quantise import Packing
from zarr_vectors.types.sort import SortedRows, sort_table
from zarr_vectors.types.table import RowTable
from zarr_vectors.typing import AnyArray, IntArray

__all__ = ["Fragments", "Tally", "cells_of", "encode_sorted", "encode_table", "note", "rows_as_cells"]


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
    facts: CellFacts | None = None
    line_ends: list[AnyArray] = field(default_factory=list)

    @property
    def reach(self) -> CellReach | None:
        """What is learned of links between cells."""
        return None if self.facts is None else self.facts.reach

    def make_places(self, plan: CellPlan, rows: int, folder: Path | None) -> None:
        """Make room for where so many input rows will lie."""
        self.places = Places.of(rows, plan.vertices.grid.cells, folder)
        if self.reach is not None:
            self.places.keep_positions(self.reach.ndim, plan.dtype, folder)

    def note_facts(self, coords: IntArray, cells: Mapping[str, Blobs]) -> None:
        """Remember what an index of the cells tells of them.

        Args:
            cells: Their payloads before they are packed.
        """
        if self.facts is not None:
            self.facts.note(coords, cells)

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

    def positions_between(self, here: IntArray, there: IntArray) -> Callable[[IntArray], AnyArray] | None:
        """What tells, of some of these pairs by their numbers, where lines leave a fragment and reach the next.

        Args:
            here, there: ``(n,)`` the fragments.
        """
        if not self.line_ends:
            return None
        if len(self.line_ends) > 1:
            self.line_ends = [np.concatenate(self.line_ends)]
        ends = self.line_ends[0]

        def positions(which: IntArray) -> AnyArray:
            return np.stack([ends[here[which], 1], ends[there[which], 0]], axis=1)

        return positions


def encode_table(plan: CellPlan, table: RowTable, tally: Tally) -> Iterator[Put]:
    """The stored objects of rows that fill whole shards; sorted once, then gathered and encoded part by part."""
    for part in sort_table(plan, table):
        yield from encode_sorted(plan, part, tally)
        # The next part is sorted before its name is bound again.
        del part


def encode_sorted(plan: CellPlan, part: SortedRows, tally: Tally) -> Iterator[Put]:
    """Encode every array's cells of these rows."""
    none = np.zeros(len(part.coords), dtype=np.int64)
    note(plan, tally, part, first_number=none, first_row=none)
    every = cells_of(plan, part)
    tally.note_facts(part.coords, every)
    for name, cells in tally.packed(part.coords, every).items():
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
    named = part.table.numbers if part.table.rows is None else part.table.rows
    if tally.places is not None and named is not None:
        inside = np.arange(len(part.table)) - np.repeat(offsets_of(part.cell_rows)[:-1] - first_row, part.cell_rows)
        tally.places.put(named, np.repeat(cells, part.cell_rows), inside)
        tally.places.put_positions(named, part.table.positions)
    if part.owners is None:
        return
    numbers = np.arange(len(part.counts)) - np.repeat(offsets_of(part.per_cell)[:-1] - first_number, part.per_cell)
    rows = part.first_rows() + np.repeat(first_row, part.per_cell)
    offsets = np.zeros(0, dtype=np.int32) if part.offsets is None else part.offsets
    if plan.connects == "sequence" and tally.reach is not None:
        begins = offsets_of(part.counts)[:-1]
        ends = np.stack([begins, begins + part.counts - 1], axis=1)
        positions = take_rows(part.table.positions, ends.reshape(-1)).astype(plan.dtype, copy=False)
        tally.line_ends.append(positions.reshape(len(ends), 2, -1))
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
    if part.owners is not None and constants.FRAGMENT_OWNER in plan.arrays:
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
