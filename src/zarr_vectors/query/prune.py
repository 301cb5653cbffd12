"""What the cell index tells of a query before anything is read: which cells need not be, and which count as a whole."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property

import numpy as np

from zarr_vectors import constants
from zarr_vectors.core.cell_index import ROWS, attribute_facts, box_facts, reach_facts
from zarr_vectors.core.cell_index_reader import CellIndex
from zarr_vectors.core.cell_reach import Reaching, reach_holds, reaching
from zarr_vectors.core.state import LevelState
from zarr_vectors.exceptions import CorruptionError, MetadataError
from zarr_vectors.query.compare import ValueRanges
from zarr_vectors.query.row_filter import RowFilter
from zarr_vectors.query.selection import Selection
from zarr_vectors.spatial.box import ClosedBox
from zarr_vectors.storage.cells import CellArray
from zarr_vectors.storage.storage import Storage
from zarr_vectors.typing import BoolArray, FloatArray, IntArray

__all__ = ["known_cells", "narrowed", "whole_cells", "within_reach"]

_WORTH_LOADING = 8
"""Cells from which on it pays to load the index of a local store for a condition."""
_WORTH_FOR_BOX = 512
"""The same for a box alone, which seldom leaves out many of the cells that it touches."""
_WORTH_FOR_REACH = 16
"""The same for a box of connected geometry, which otherwise is looked for in all chunks around it too."""
_MANY_TO_LOAD = 256
"""For so many chunks of a level, that much more."""
_WORTH_ASKING = 32
"""The same where it is reached by requests: a round to load it, and one to check it."""


def narrowed(storage: Storage, level: LevelState, coords: IntArray, selection: Selection) -> IntArray:
    """Those of the cells that may hold rows of a selection, as far as the index tells.

    Args:
        selection: In stored coordinates.
    """
    box, meets = selection.reach, selection.rows_meet
    if (box is None and meets is None) or not len(coords):
        return coords
    index = _index_for(storage, level, len(coords), by_value=meets is not None)
    if index is None:
        return coords
    try:
        view = _View(level, index, coords)
        lost = _lost(view, box, meets)
    except (CorruptionError, MetadataError):
        # A damaged index costs speed alone; ``validate`` tells of it.
        return coords
    return coords if lost is None else coords[~lost]


def within_reach(storage: Storage, level: LevelState, coords: IntArray, box: ClosedBox, by: Reaching) -> IntArray:
    """Those of the cells that something in a box may have an end in: a vertex, segment, edge or face.

    Whatever meets the box has all of its ends in cells that stay.

    Args:
        box: In stored coordinates.
        by: What tells the reader where links lead.
    """
    if not len(coords) or reaching(level) != by:
        return coords
    local, present = storage.backend.is_local, level.vertices.count or 0
    if not level.index.is_known and not (local and len(coords) >= max(_WORTH_FOR_REACH, present // _MANY_TO_LOAD)):
        return coords
    index = level.index.get(storage)
    if index is None or not (local or index.is_sealed):
        return coords
    try:
        view = _View(level, index, coords)
        lost = view.known & view.apart(box, reach_facts(len(level.chunk_shape)))
        cells = np.flatnonzero(lost)
        if len(cells):
            lost[cells] = reach_holds(level, index, view.place[cells])
    except (CorruptionError, MetadataError):
        # A damaged index costs speed alone; ``validate`` tells of it.
        return coords
    return coords[~lost]


def whole_cells(storage: Storage, level: LevelState, coords: IntArray, selection: Selection) -> tuple[BoolArray, int]:
    """``(n,)`` the cells all of whose rows a selection has, and how many rows these are.

    Args:
        coords: ``(n, K)`` cells that may hold rows of it.
        selection: In stored coordinates, and without objects.
    """
    none = np.zeros(len(coords), dtype=bool), 0
    tiled = level.metadata.fragments_tile and not level.metadata.shared_fragments
    if selection.areas or selection.by_object or not tiled or not len(coords):
        return none
    try:
        index = level.index.get(storage)
        if index is None or not index.has([ROWS]):
            return none
        view = _View(level, index, coords)
        whole = view.known & view.inside(selection.box) & view.conditions(selection.rows_meet)[1]
        cells = np.flatnonzero(whole)
        arrays = [level.vertices, level.cell_array(constants.VERTEX_FRAGMENTS), *view.arrays(selection.rows_meet)]
        whole[cells] = view.hold(arrays, cells)
        return whole, int(view.rows[whole].sum())
    except (CorruptionError, MetadataError):
        return none


def known_cells(
    storage: Storage, level: LevelState, coords: IntArray, selection: Selection
) -> tuple[BoolArray, IntArray]:
    """``(n,)`` cells all of whose rows a selection has, and ``(n,)`` int64 how many rows each cell has; -1 if untold.

    Args:
        coords: ``(n, K)`` cells that may hold rows of it.
        selection: In stored coordinates, and without objects.
    """
    free = not selection.places_asked and selection.rows_meet is None
    untold = np.full(len(coords), free), np.full(len(coords), -1, dtype=np.int64)
    try:
        index = level.index.get(storage)
        if index is None or not index.has([ROWS]) or not len(coords):
            return untold
        view = _View(level, index, coords)
        cells = np.flatnonzero(view.known & ~np.isnan(view.rows))
        arrays = [level.vertices, level.cell_array(constants.VERTEX_FRAGMENTS), *view.arrays(selection.rows_meet)]
        holds = view.each_holds(arrays, cells)
        whole = np.zeros(len(coords), dtype=bool)
        if not selection.areas:
            whole[cells] = np.all(holds, axis=0)
            whole &= view.inside(selection.box) & view.conditions(selection.rows_meet)[1]
        cells = cells[holds[0] & holds[1]]
        rows = untold[1].copy()
        rows[cells] = view.rows[cells].astype(np.int64)
        return whole | free, rows
    except (CorruptionError, MetadataError):
        return untold


def _index_for(storage: Storage, level: LevelState, cells: int, *, by_value: bool) -> CellIndex | None:
    """The index of a level for a query of so many cells; None where it cannot help, or would cost more than it saves.

    A box alone saves too little for the rounds that an index costs where it is reached by requests.
    """
    local = storage.backend.is_local
    worth = by_value and cells >= (_WORTH_LOADING if local else _WORTH_ASKING)
    worth |= local and cells >= _WORTH_FOR_BOX
    if not level.index.is_known and not worth:
        return None
    index = level.index.get(storage)
    return index if index is None or local or by_value or index.is_sealed else None


def _lost(view: _View, box: ClosedBox | None, meets: RowFilter | None) -> BoolArray | None:
    """``(n,)`` which cells the selection has no rows of; None for none."""
    far = view.known & view.apart(box)
    unmet = ~far & ~view.conditions(meets)[0]
    lost = far | unmet
    cells = np.flatnonzero(lost)
    if not len(cells):
        return None
    arrays = view.arrays(meets) if unmet.any() else []
    holds = view.each_holds([view.level.vertices, *arrays], cells)
    lost[cells] = holds[0] & (far[cells] | np.all(holds, axis=0))
    return lost


@dataclass(frozen=True)
class _View:
    """What the index says of some cells.

    Args:
        level: The level.
        index: Its index.
        coords: ``(n, K)`` the cells.
    """

    level: LevelState
    index: CellIndex
    coords: IntArray

    @cached_property
    def place(self) -> IntArray:
        """``(n,)`` column of each cell; -1 for those that the index does not know."""
        return self.index.find(self.coords)

    @property
    def known(self) -> BoolArray:
        """``(n,)`` which cells the index knows."""
        return np.asarray(self.place >= 0)

    @cached_property
    def rows(self) -> FloatArray:
        """``(n,)`` rows of each cell; NaN where unknown."""
        return self._facts([ROWS])[0]

    def _facts(self, names: Sequence[str]) -> list[FloatArray]:
        """``(n,)`` of each fact; NaN where the index does not have it. The place -1 brings some other cell's."""
        if not self.index.has(names):
            return [np.full(len(self.coords), np.nan) for _ in names]
        found = self.index.facts(names)
        return [np.where(self.known, found[name][self.place], np.nan) for name in names]

    def _box(self, names: Sequence[str] | None = None) -> tuple[FloatArray, FloatArray]:
        ndim = len(self.level.chunk_shape)
        facts = np.stack(self._facts(names or box_facts(ndim)), axis=1)
        return facts[:, :ndim], facts[:, ndim:]

    def apart(self, box: ClosedBox | None, names: Sequence[str] | None = None) -> BoolArray:
        """``(n,)`` which cells' vertices surely lie outside of a box. Comparisons with NaN, the unknown, are false.

        Args:
            names: Facts of boxes of something else.
        """
        if box is None:
            return np.zeros(len(self.coords), dtype=bool)
        low, high = self._box(names)
        return np.asarray(((low > box.hi) | (high < box.lo)).any(axis=1))

    def inside(self, box: ClosedBox | None) -> BoolArray:
        """``(n,)`` which cells' vertices surely lie in a box."""
        if box is None:
            return ~np.isnan(self.rows)
        if box.exact is not None:
            # Its sides are whole numbers that float64 cannot tell apart.
            return np.zeros(len(self.coords), dtype=bool)
        low, high = self._box()
        return np.asarray(((low >= box.lo) & (high <= box.hi)).all(axis=1) & ~np.isnan(self.rows))

    def conditions(self, meets: RowFilter | None) -> tuple[BoolArray, BoolArray]:
        """``(n,)`` of which cells some row may meet a condition, and of which all surely do."""
        every = np.ones(len(self.coords), dtype=bool)
        if meets is None:
            return every, every
        ranges = {name: self._ranges(name) for name in self._told_names(meets)}
        return meets.condition.prune(ranges, len(self.coords)) if ranges else (every, ~every)

    def _told_names(self, meets: RowFilter) -> list[str]:
        """Attributes of a condition that the index tells of."""
        names = [name for name in meets.names if name in self.level.vertex_columns]
        return [name for name in names if self.index.has(attribute_facts(self.level.column_path(name)))]

    def arrays(self, meets: RowFilter | None) -> list[CellArray]:
        """The arrays that hold them."""
        names = [] if meets is None else self._told_names(meets)
        return [self.level.cells[self.level.column_path(name)] for name in names]

    def _ranges(self, name: str) -> ValueRanges:
        path, spec = self.level.column_path(name), self.level.vertex_columns[name]
        low, high, missing = self._facts(attribute_facts(path))
        array = self.level.cells[path]
        listed = np.ones(len(self.coords), dtype=bool)
        if not array.has_all_of(self.level.vertices):
            listed = array.has(self.coords)
        known = listed & ~np.isnan(self.rows) & ~np.isnan(missing)
        counts = [np.where(known, values, 0).astype(np.int64) for values in (self.rows, missing)]
        return ValueRanges(
            rows=counts[0],
            nulls=counts[1],
            low=low,
            high=high,
            known=known,
            categories=spec.categories,
            dtype=spec.dtype,
        )

    def each_holds(self, arrays: Sequence[CellArray], cells: IntArray) -> list[BoolArray]:
        """For each array, ``(m,)`` of which of these cells the index still tells the truth."""
        return self.index.agreeing(arrays, self.place[cells])

    def hold(self, arrays: Sequence[CellArray], cells: IntArray) -> BoolArray:
        """``(m,)`` of which of these cells it does for all arrays."""
        return np.asarray(np.all(self.each_holds(arrays, cells), axis=0))
