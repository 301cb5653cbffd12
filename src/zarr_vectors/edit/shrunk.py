"""Chunks that lose rows and fragments, while what stays keeps its order: arithmetic of what is where afterwards."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property

import numpy as np

from zarr_vectors.encoding.blobs import Blobs, offsets_of
from zarr_vectors.encoding.fragments import FragmentTable, encode_ranges
from zarr_vectors.types.encode import rows_as_cells
from zarr_vectors.typing import BoolArray, IntArray

__all__ = ["Shrunk", "kept_items", "renumbered"]


def renumbered(keep: BoolArray, per_cell: IntArray, cells: IntArray, numbers: IntArray) -> IntArray:
    """``(n,)`` numbers inside their cells when only some are kept; of those that are not, that of the next kept one.

    Args:
        keep: Which are kept, cell after cell.
        per_cell: ``(C,)`` how many each cell has.
        cells: ``(n,)`` cell of each number that is asked for.
        numbers: ``(n,)`` number inside the cell, up to as many as it has.

    Example:
        >>> keep = np.array([False, True, True, False, True])
        >>> renumbered(keep, np.array([3, 2]), np.array([0, 0, 1]), np.array([1, 2, 1])).tolist()
        [0, 1, 0]
    """
    before = np.concatenate([[0], np.cumsum(keep)])
    bases = offsets_of(per_cell)[:-1][cells]
    return np.asarray(before[bases + numbers] - before[bases])


def kept_items(cells: Blobs, per_cell: IntArray, keep: BoolArray) -> Blobs | None:
    """Payloads with only some of their items; None where they do not have as many items, all of the same size.

    Args:
        cells: One for each cell.
        per_cell: ``(C,)`` items of each.
        keep: Which of all items, cell after cell.
    """
    width = int(cells.total // max(1, len(keep)))
    if not np.array_equal(cells.sizes, per_cell * width):
        return None
    rows = cells.to_array().reshape(len(keep), width)[keep]
    return rows_as_cells(rows, counted(keep, per_cell))


def counted(keep: BoolArray, per_cell: IntArray) -> IntArray:
    """``(C,)`` how many of each cell's items are kept."""
    before = np.concatenate([[0], np.cumsum(keep)])
    ends = offsets_of(per_cell)
    return np.asarray(before[ends[1:]] - before[ends[:-1]])


@dataclass(frozen=True, eq=False)
class Shrunk:
    """Chunks some of whose fragments go, with their rows.

    Args:
        coords: ``(C, K)`` the chunks, in numeric order.
        rows: ``(C,)`` rows of each, as it is.
        table: Their fragments as they are; ranges alone.
        keep: ``(F,)`` which of the fragments stay.
    """

    coords: IntArray
    rows: IntArray
    table: FragmentTable
    keep: BoolArray

    @cached_property
    def keep_rows(self) -> BoolArray:
        """``(R,)`` which of the rows stay, chunk after chunk: all that no fragment names which goes."""
        keep = np.ones(int(self.rows.sum()), dtype=np.bool_)
        keep[self.table.rows(np.flatnonzero(~self.keep), bases=offsets_of(self.rows)[:-1])] = False
        return keep

    @property
    def is_sound(self) -> bool:
        """Whether no fragment that stays names a row that goes, and none is left in a chunk without rows."""
        named = self.table.rows(np.flatnonzero(self.keep), bases=offsets_of(self.rows)[:-1])
        left = counted(self.keep, self.table.per_cell)
        return bool(self.keep_rows[named].all()) and not left[self.rows_left == 0].any()

    @cached_property
    def rows_left(self) -> IntArray:
        """``(C,)`` rows of each chunk that stay."""
        return counted(self.keep_rows, self.rows)

    def fragments(self) -> Blobs:
        """The fragment index of each chunk."""
        cells, table = self.table.cell_of[self.keep], self.table
        starts = self.row(cells, table.starts[self.keep])
        return encode_ranges(counted(self.keep, table.per_cell), starts, table.counts[self.keep])

    def row(self, cells: IntArray, rows: IntArray) -> IntArray:
        """Rows inside their chunks, by what they are now."""
        return renumbered(self.keep_rows, self.rows, cells, rows)

    def fragment(self, cells: IntArray, fragments: IntArray) -> IntArray:
        """Numbers of fragments inside their chunks, by what they are now."""
        return renumbered(self.keep, self.table.per_cell, cells, fragments)

    def stays(self, cells: IntArray, fragments: IntArray) -> BoolArray:
        """``(n,)`` whether there are such fragments, by their numbers inside their chunks, and they stay."""
        known = (fragments >= 0) & (fragments < self.table.per_cell[cells])
        known[known] = self.keep[offsets_of(self.table.per_cell)[:-1][cells[known]] + fragments[known]]
        return known

    def goes(self, cells: Sequence[int] | IntArray, rows: IntArray) -> BoolArray:
        """``(n,)`` whether rows go."""
        return np.asarray(~self.keep_rows[offsets_of(self.rows)[:-1][cells] + rows])
