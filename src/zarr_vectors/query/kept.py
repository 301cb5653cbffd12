"""The rows of some objects, decoded without the rest of their cells."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np

from zarr_vectors.encoding.blobs import offsets_of
from zarr_vectors.encoding.fragments import FragmentTable, pick_ranges
from zarr_vectors.encoding.pick import ItemRuns
from zarr_vectors.query.objects import ObjectRefs
from zarr_vectors.query.values import find_rows
from zarr_vectors.rowwise import RowRuns
from zarr_vectors.storage.cells import PackedCells
from zarr_vectors.typing import AnyArray, IntArray

__all__ = ["Kept", "keep_only"]


@dataclass(frozen=True, eq=False)
class Kept:
    """The only rows of a block whose positions have been decoded.

    Args:
        refs: What named them.
        there: ``(M,)`` which of the references lead to cells of the block.
        table: The fragments that they name, in that order; they are not told by cells.
        rows_per_cell: ``(C,)`` rows of each cell.
        runs: Places of the rows in the buffers of all cells.
        positions: ``(N, D)``.
    """

    refs: ObjectRefs
    there: IntArray
    table: FragmentTable
    rows_per_cell: IntArray
    runs: RowRuns
    positions: AnyArray


def keep_only(
    coords: IntArray, refs: ObjectRefs, vertices: PackedCells, fragments: PackedCells, row: tuple[np.dtype[Any], int]
) -> Kept | None:
    """Decode the rows that references name; None where something is not as it mostly is, or not as it must be.

    Args:
        coords: ``(C, K)`` chunks of the cells.
        refs: Which fragments.
        vertices: Cells of positions.
        fragments: Their fragment indexes.
        row: The dtype and the columns of positions.
    """
    dtype, ndim = row
    width = dtype.itemsize * ndim
    if (vertices.sizes % width).any():
        return None
    rows_per_cell = vertices.sizes // width
    cell = find_rows(coords, refs.chunks)
    there = np.flatnonzero(cell >= 0)
    cell = cell[there]
    ranges = pick_ranges(fragments.items, fragments.sizes, cell, refs.fragments[there], rows_per_cell)
    if ranges is None:
        return None
    starts, counts = ranges
    rows = vertices.items(ItemRuns(cell, starts * width, counts, width))
    if rows is None:
        return None
    table = FragmentTable(np.zeros(len(coords), dtype=np.int64), counts, starts, starts[:0])
    runs = RowRuns(offsets_of(rows_per_cell)[cell] + starts, counts)
    return Kept(refs, there, table, rows_per_cell, runs, rows.reshape(-1).view(dtype).reshape(-1, ndim))
