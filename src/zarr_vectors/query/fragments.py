"""Reading the fragment indexes of chunks, without what lies in the chunks."""

from __future__ import annotations

from zarr_vectors import constants
from zarr_vectors.core.state import LevelState
from zarr_vectors.encoding.fragments import FragmentTable, decode_fragments
from zarr_vectors.exceptions import CorruptionError
from zarr_vectors.spatial.grid import format_keys
from zarr_vectors.storage.cells import read_cells
from zarr_vectors.storage.storage import Storage
from zarr_vectors.typing import IntArray

__all__ = ["read_fragments"]


def read_fragments(storage: Storage, level: LevelState, coords: IntArray) -> FragmentTable:
    """The fragments of chunks.

    Args:
        coords: ``(n, K)`` chunks that hold vertices.

    Raises:
        CorruptionError: A cell is gone or corrupt.
    """
    (read,) = read_cells(storage, [(level.cell_array(constants.VERTEX_FRAGMENTS), coords)])
    table, errors = decode_fragments(read.check().cells)
    if errors:
        cell = min(errors)
        raise CorruptionError(
            "a fragment index is corrupt",
            store=level.store,
            array=read.array.path,
            cell=format_keys(coords[cell : cell + 1])[0],
            got=errors[cell],
        )
    return table
