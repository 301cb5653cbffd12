"""What the cell index rules out before anything is read: cells whose vertices cannot lie in a box."""

from __future__ import annotations

import numpy as np

from zarr_vectors.core.cell_facts import CellIndex
from zarr_vectors.core.cell_index import box_facts
from zarr_vectors.core.state import LevelState
from zarr_vectors.exceptions import CorruptionError, MetadataError
from zarr_vectors.spatial.box import ClosedBox
from zarr_vectors.storage.storage import Storage
from zarr_vectors.typing import BoolArray, FloatArray, IntArray

__all__ = ["index_of", "without_far_cells"]

_WORTH_LOADING = 8
"""Cells that a box touches, from which on it pays to load the index of a local store."""


def index_of(storage: Storage, level: LevelState, cells: int) -> CellIndex | None:
    """The index of a level for a query of so many cells; None where it cannot help, or would cost more than it saves.

    Reached by requests, an index costs a round to load and another to check; a box alone saves too little for that.
    """
    local = storage.backend.is_local
    if not level.index.is_known and (not local or cells < _WORTH_LOADING):
        return None
    index = level.index.get(storage)
    return index if index is None or local or index.is_sealed else None


def without_far_cells(storage: Storage, level: LevelState, coords: IntArray, box: ClosedBox | None) -> IntArray:
    """Those of the cells whose vertices may lie in a box, in stored coordinates."""
    index = None if box is None or not len(coords) else index_of(storage, level, len(coords))
    if box is None or index is None:
        return coords
    try:
        misses = _missing(index, coords, box)
    except (CorruptionError, MetadataError):
        # A damaged index costs speed alone; ``validate`` tells of it.
        return coords
    far = np.flatnonzero(misses)
    if not len(far):
        return coords
    (holds,) = index.agreeing([level.vertices], index.find(coords[far]))
    keep = np.ones(len(coords), dtype=bool)
    keep[far[holds]] = False
    return coords[keep]


def _missing(index: CellIndex, coords: IntArray, box: ClosedBox) -> BoolArray:
    """``(n,)`` which cells' tight boxes the index knows, and lie apart from a box."""
    ndim = len(box.lo)
    names = box_facts(ndim)
    if not index.has(names):
        return np.zeros(len(coords), dtype=bool)
    place = index.find(coords)
    facts = index.facts(names)
    low, high = (_taken(facts, part, place) for part in (names[:ndim], names[ndim:]))
    # Comparisons with NaN, which stands for the unknown, are false.
    apart = (low > box.hi) | (high < box.lo)
    return np.asarray(apart.any(axis=1) & (place >= 0))


def _taken(facts: dict[str, FloatArray], names: list[str], place: IntArray) -> FloatArray:
    return np.stack([facts[name][place] for name in names], axis=1)
