"""The boxes of objects, and the objects of chunks."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from zarr_vectors import constants
from zarr_vectors.core.state import LevelState
from zarr_vectors.encoding.blobs import offsets_of
from zarr_vectors.exceptions import CorruptionError
from zarr_vectors.query.block import Block
from zarr_vectors.query.objects import ObjectRefs, all_refs, read_ids
from zarr_vectors.query.rows import raise_errors
from zarr_vectors.query.values import find_rows
from zarr_vectors.rowwise import take_rows
from zarr_vectors.storage.cells import read_cells
from zarr_vectors.storage.storage import Storage
from zarr_vectors.typing import AnyArray, FloatArray, IntArray

__all__ = ["object_boxes", "objects_of_chunks"]

_BATCH_ROWS = 1_000_000


def object_boxes(
    storage: Storage, level: LevelState, offset: Sequence[float] | None = None
) -> tuple[IntArray, FloatArray, FloatArray]:
    """``(O,)`` ids of all objects, and ``(O, D)`` lowest and highest coordinates of the vertices of each.

    Positions are read once, some chunks at a time. Objects without vertices have NaN.

    Args:
        offset: What world coordinates have in addition to stored ones.

    Raises:
        CorruptionError: A cell or a manifest cannot be read.
    """
    ids, refs = all_refs(storage, level)
    shape = (len(ids), len(level.chunk_shape))
    low, high = np.full(shape, np.inf), np.full(shape, -np.inf)
    present = level.vertices.present
    place = find_rows(present, refs.chunks)
    if (place < 0).any():
        raise CorruptionError(
            "a manifest names a chunk that has no vertices", store=level.store, array=level.vertices.path
        )
    order = np.argsort(place, kind="stable")
    refs, place = refs.take(order), place[order]
    step = max(1, _BATCH_ROWS * len(present) // max(1, level.metadata.vertex_count))
    for start in range(0, len(present), step):
        some = slice(*np.searchsorted(place, [start, start + step]).tolist())
        if some.start < some.stop:
            part = refs.take(some)
            least, most = _fragment_boxes(storage, level, present[start : start + step], part)
            np.minimum.at(low, part.numbers, least)
            np.maximum.at(high, part.numbers, most)
    empty = low > high
    moved = np.zeros(shape[1]) if offset is None else np.asarray(offset, dtype=np.float64)
    return ids, np.where(empty, np.nan, low + moved), np.where(empty, np.nan, high + moved)


def _fragment_boxes(
    storage: Storage, level: LevelState, coords: IntArray, refs: ObjectRefs
) -> tuple[FloatArray, FloatArray]:
    """The box of the fragment of each reference into these chunks; upside down where it has no rows."""
    arrays = {
        constants.VERTICES: level.vertices,
        constants.VERTEX_FRAGMENTS: level.cell_array(constants.VERTEX_FRAGMENTS),
    }
    block = Block.read(storage, level, coords, arrays)
    block.prepare(())
    raise_errors(block, strict=True)
    assert block.table is not None
    _, fragments = block.named_by(refs)
    counts = block.table.counts
    positions = take_rows(block.positions, block.rows_of_fragments())
    filled = np.flatnonzero(counts)
    starts = offsets_of(counts)[:-1][filled]
    low = _reduced(np.minimum, positions, starts, filled, len(counts), np.inf)
    high = _reduced(np.maximum, positions, starts, filled, len(counts), -np.inf)
    return low[fragments], high[fragments]


def _reduced(
    reduce: np.ufunc, positions: AnyArray, starts: IntArray, filled: IntArray, fragments: int, empty: float
) -> FloatArray:
    result = np.full((fragments, positions.shape[1]), empty)
    if len(filled):
        result[filled] = reduce.reduceat(positions, starts, axis=0)
    return result


def objects_of_chunks(storage: Storage, level: LevelState, coords: IntArray) -> IntArray:
    """``(n,)`` ids of the objects of which a fragment lies in these chunks, ascending.

    Only what the chunks say of their fragments is read, and the manifests where they say nothing.

    Args:
        coords: ``(C, K)`` chunks; those without vertices have no objects.

    Raises:
        CorruptionError: A cell or a manifest cannot be read.
    """
    coords = coords[level.vertices.has(coords)]
    if not level.has_objects and constants.FRAGMENT_OWNER not in level.cells:
        return np.zeros(0, dtype=np.int64)
    array = level.owner_array
    if array is None or level.metadata.shared_fragments:
        return _by_manifests(storage, level, coords)
    (read,) = read_cells(storage, [(array, coords[array.has(coords)])])
    dtype = level.dtype_of(read.array, "int64")
    owners = np.frombuffer(read.check().cells.joined(), dtype=dtype).astype(np.int64)
    marked = (owners == constants.OWNER_NONE) | (owners == constants.OWNER_SEVERAL)
    found = np.unique(owners[~marked])
    # An object may have the number of a mark, if its manifest says so.
    doubtful = marked if level.has_objects else np.zeros_like(marked)
    if (owners == constants.OWNER_NONE)[doubtful].all() and constants.OWNER_NONE not in _ids(storage, level, doubtful):
        return found
    cell = np.repeat(np.arange(len(read.coords)), read.cells.sizes // dtype.itemsize)
    return np.union1d(found, _by_manifests(storage, level, read.coords[np.unique(cell[doubtful])]))


def _ids(storage: Storage, level: LevelState, doubtful: AnyArray) -> IntArray:
    return read_ids(storage, level) if doubtful.any() else np.zeros(0, dtype=np.int64)


def _by_manifests(storage: Storage, level: LevelState, coords: IntArray) -> IntArray:
    if not level.has_objects or not len(coords):
        return np.zeros(0, dtype=np.int64)
    _, refs = all_refs(storage, level)
    return np.unique(refs.ids[find_rows(coords, refs.chunks) >= 0])
