"""How many rows chunks and objects have, from indexes alone: no position or attribute is read."""

from __future__ import annotations

import numpy as np

from zarr_vectors.core.state import LevelState
from zarr_vectors.encoding.blobs import offsets_of
from zarr_vectors.encoding.fragments import FragmentTable
from zarr_vectors.exceptions import StoreError
from zarr_vectors.query.fragments import read_fragments
from zarr_vectors.query.objects import all_refs
from zarr_vectors.query.values import find_rows
from zarr_vectors.storage.storage import Storage
from zarr_vectors.typing import IntArray

__all__ = ["chunk_reaches", "chunk_sizes", "object_sizes"]


def chunk_sizes(storage: Storage, level: LevelState, coords: IntArray | None = None) -> IntArray:
    """``(C,)`` rows that a read brings of each chunk that holds vertices, in numeric order.

    Args:
        coords: ``(C, K)`` the only chunks to tell of.

    Raises:
        CorruptionError: A fragment index cannot be read.
        StoreError: The level's indexes do not tell.
    """
    return _fragments(storage, level, coords).rows_per_cell()


def chunk_reaches(storage: Storage, level: LevelState) -> IntArray:
    """``(C,)`` number after the last stored row that fragments name, of each chunk that holds vertices.

    Other writers let several fragments share rows, or leave rows to none, so that sizes do not tell.

    Raises:
        CorruptionError: A fragment index cannot be read.
        StoreError: The level's indexes do not tell.
    """
    table = _fragments(storage, level)
    ends = table.starts + table.counts
    listed = np.flatnonzero((table.starts < 0) & (table.counts > 0))
    if len(listed):
        first = offsets_of(table.counts[listed])[:-1]
        ends[listed] = np.maximum.reduceat(table.explicit, first) + 1
    reaches = np.zeros(len(table.per_cell), dtype=np.int64)
    named = table.counts > 0
    np.maximum.at(reaches, table.cell_of[named], ends[named])
    return reaches


def object_sizes(storage: Storage, level: LevelState) -> tuple[IntArray, IntArray]:
    """``(O,)`` ids in the order in which a read of lines brings them, and the rows of each.

    Raises:
        CorruptionError: An index cannot be read.
        StoreError: The level's indexes do not tell.
    """
    if not level.has_objects:
        return np.zeros(0, dtype=np.int64), np.zeros(0, dtype=np.int64)
    ids, refs = all_refs(storage, level)
    table = _fragments(storage, level)
    fragments = offsets_of(table.per_cell)[find_rows(level.vertices.present, refs.chunks)] + refs.fragments
    sizes = np.zeros(len(ids), dtype=np.int64)
    np.add.at(sizes, refs.numbers, table.counts[fragments])
    if level.number and level.tells_order:
        order = np.argsort(ids, kind="stable")
        ids, sizes = ids[order], sizes[order]
    return ids, sizes


def _fragments(storage: Storage, level: LevelState, coords: IntArray | None = None) -> FragmentTable:
    level.refuse_composite()
    if level.is_unordered:
        raise StoreError(
            "the indexes of this store do not tell how many rows its Draco cells have",
            store=level.store,
            hint="read it at once, with compute()",
        )
    return read_fragments(storage, level, level.vertices.present if coords is None else coords)
