"""Cells that stay as they are, in stored objects that an append writes again."""

from __future__ import annotations

import numpy as np

from zarr_vectors.storage.cells import CellArray
from zarr_vectors.typing import AnyArray, IntArray

__all__ = ["cells_beside"]


def cells_beside(old: CellArray, array: CellArray, coords: IntArray) -> IntArray:
    """``(n, K)`` cells of an old array that lie in a stored object of the new one in which these cells are written."""
    if int(np.prod(array.block)) == 1:
        return old.present[:0]
    shape = tuple(-(-np.asarray(array.grid.shape) // np.asarray(array.block)))

    def block_number(which: IntArray) -> AnyArray:
        return np.asarray(np.ravel_multi_index(tuple(array.locate(which)[0].T), shape))

    return _without(old.present[np.isin(block_number(old.present), block_number(coords))], coords)


def _without(coords: IntArray, others: IntArray) -> IntArray:
    gone = {tuple(row) for row in others.tolist()}
    keep = [number for number, row in enumerate(coords.tolist()) if tuple(row) not in gone]
    return coords[np.array(keep, dtype=np.int64)]
