"""Cells that stay as they are, and cells that go, in stored objects that are written again."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field

import numpy as np

from zarr_vectors.core.cell_index import CellTable
from zarr_vectors.core.documents import ColumnSpec
from zarr_vectors.storage.cells import CellArray
from zarr_vectors.typing import AnyArray, IntArray

__all__ = ["Displaced", "cells_beside", "objects_with"]


@dataclass(frozen=True, kw_only=True, eq=False)
class Displaced:
    """What is stored that an append writes anew or takes away, beside the cells that rows come to.

    Args:
        recoded: Arrays of attributes whose stored type must widen, with their new type.
        cells: ``(n, K)`` cells that are stored and that the level is told without, as what is left of their rows is
            among those that come; None for none. All arrays must then have the same shards.
        paths: Stored objects that go, unless they are written again.
        known: What is known of the cells of the level as it is given; None for what its index says.
    """

    recoded: Mapping[str, ColumnSpec] = field(default_factory=dict)
    cells: IntArray | None = None
    paths: frozenset[str] = field(default_factory=frozenset)
    known: CellTable | None = None

    def vacated(self, array: CellArray, written: IntArray) -> IntArray:
        """The cells that lie in no stored object of an array in which other cells are written."""
        if self.cells is None or not len(written):
            return written[:0] if self.cells is None else self.cells
        both = np.concatenate([array.locate(written)[0], array.locate(self.cells)[0]])
        codes = np.unique(both, axis=0, return_inverse=True)[1].reshape(-1)
        return self.cells[~np.isin(codes[len(written) :], codes[: len(written)])]


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


def objects_with(arrays: Iterable[CellArray], coords: IntArray) -> set[str]:
    """Paths of the stored objects in which these cells lie, as far as the arrays have them."""
    found: set[str] = set()
    for array in arrays:
        index = np.unique(array.locate(coords[array.has(coords)])[0], axis=0)
        found.update(array.object_path(row) for row in index.tolist())
    return found
