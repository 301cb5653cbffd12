"""The rows nearest to a place: cell after cell outward, until no other cell can hold a nearer one."""

from __future__ import annotations

import numpy as np

from zarr_vectors.core.state import LevelState
from zarr_vectors.query.rows import read_rows, rows_in_cells, selected_cells
from zarr_vectors.query.selection import Selection
from zarr_vectors.query.values import Rows, joined_rows
from zarr_vectors.storage.storage import Storage
from zarr_vectors.typing import AnyArray, FloatArray, IntArray

__all__ = ["nearest_of", "nearest_rows"]

_SLACK = 1e-6
"""Of a chunk's edge: how far a stored row may lie outside its chunk by rounding, at the least that is told apart."""


def nearest_rows(
    storage: Storage, level: LevelState, selection: Selection, point: FloatArray, count: int, *, strict: bool = True
) -> tuple[Rows, FloatArray]:
    """The rows of a selection nearest to a point, and how far they are.

    Args:
        point: ``(D,)`` float64, in stored coordinates.
        count: How many rows; fewer come where the selection has fewer.

    Returns:
        ``min(count, rows)`` rows, nearest first, and ``(n,)`` float64 distances. Which of rows equally far come is not
        said.
    """
    if selection.by_object or selection.chunks is not None:
        return nearest_of(read_rows(storage, level, selection, strict=strict), point, count)
    coords = selected_cells(storage, level, selection)
    away = _away(level, coords, point)
    order = np.argsort(away, kind="stable")
    coords, away = coords[order], away[order]
    per_cell = max(1, level.metadata.vertex_count // max(1, len(level.vertices.present)))
    stop = max(1, -(-count // per_cell))
    place = 0
    parts: list[Rows] = []
    while place < len(coords) or not parts:
        found = rows_in_cells(storage, level, selection, _in_order(coords[place:stop]), strict=strict)
        rows, distances = nearest_of(joined_rows([*parts, found]), point, count)
        parts, place = [rows], stop
        if len(distances) == count:
            # All cells that may hold a nearer one at once: there is one round more at most.
            stop = int(np.searchsorted(away, distances[-1], side="right"))
            if stop <= place:
                break
        else:
            stop = place * 3
    return parts[0], _distances(parts[0].positions, point)


def _in_order(coords: IntArray) -> IntArray:
    """Chunks in numeric order, in which cells are read."""
    return coords[np.lexsort(coords.T[::-1])] if len(coords) else coords


def _away(level: LevelState, coords: IntArray, point: FloatArray) -> FloatArray:
    """``(n,)`` how far the nearest corner, side or inside of each chunk is from a point; never more than it is."""
    shape = np.asarray(level.chunk_shape, dtype=np.float64)
    low = coords[:, level.metadata.leading_axes :] * shape
    gap = np.maximum(np.maximum(low - point, point - (low + shape)), 0.0)
    # Rounding must not rule out a chunk that holds the nearest row.
    spare = level.rounding + _SLACK * shape + np.abs(point) * np.finfo(np.float32).eps
    away: FloatArray = np.sqrt((np.maximum(gap - spare, 0.0) ** 2).sum(axis=1))
    return away


def nearest_of(rows: Rows, point: FloatArray, count: int) -> tuple[Rows, FloatArray]:
    """The nearest of some rows, and how far they are."""
    distances = _distances(rows.positions, point)
    order = np.argsort(distances, kind="stable")[:count]
    return rows.take(order), distances[order]


def _distances(positions: AnyArray, point: FloatArray) -> FloatArray:
    found: FloatArray = np.sqrt(((positions.astype(np.float64) - point) ** 2).sum(axis=1))
    return found
