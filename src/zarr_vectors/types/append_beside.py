"""What an append writes anew or takes away, beside the cells that rows come to."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field

import numpy as np

from zarr_vectors.core.cell_index import CellTable
from zarr_vectors.core.documents import ColumnSpec
from zarr_vectors.spatial.grid import rows_among
from zarr_vectors.storage.cell_array import CellArray
from zarr_vectors.typing import IntArray

__all__ = ["Displaced", "objects_with"]


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
        if self.cells is None:
            return written[:0]
        return self.cells[~rows_among(array.locate(self.cells)[0], array.locate(written)[0])]


def objects_with(arrays: Iterable[CellArray], coords: IntArray) -> set[str]:
    """Paths of the stored objects in which these cells lie, as far as the arrays have them."""
    found: set[str] = set()
    for array in arrays:
        index = np.unique(array.locate(coords[array.has(coords)])[0], axis=0)
        found.update(array.object_path(row) for row in index.tolist())
    return found
