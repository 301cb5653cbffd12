"""Cells that take the place of others, with what lies beside them in their stored objects."""

from __future__ import annotations

from collections.abc import Iterator

from zarr_vectors.encoding.blobs import Blobs
from zarr_vectors.storage.cell_array import CellArray, cells_beside
from zarr_vectors.storage.cells import read_cells
from zarr_vectors.storage.storage import Put, Storage
from zarr_vectors.typing import IntArray

__all__ = ["cells_instead"]


def cells_instead(storage: Storage, array: CellArray, coords: IntArray, kept: IntArray, cells: Blobs) -> Iterator[Put]:
    """The stored objects of cells that are written in the place of others; where nothing is left, none.

    Args:
        array: The array as it is.
        coords: ``(n, K)`` cells that change.
        kept: ``(m,)`` numbers of those that stay; the others go.
        cells: Payloads, one for each that changes.
    """
    (beside,) = read_cells(storage, [(array, cells_beside(array, array, coords))], decode=False)
    yield from array.encode(coords[kept], cells.take(kept), beside.check())
