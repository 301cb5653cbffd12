"""The largest of many distances, of which each is costly to know and cheap to bound."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np

from zarr_vectors.typing import FloatArray, IntArray

__all__ = ["farthest"]

TIGHT = 2.0
"""How many times the largest distance the answer may be."""
_FIRST = 64
_MOST = 1024
"""Distances that are looked at first, and in all."""


def farthest(bounds: FloatArray, distances: Callable[[IntArray], FloatArray]) -> float:
    """An upper bound of the largest distance, at most twice as large where few distances show that.

    Args:
        bounds: ``(N,)`` each at least the distance of its row.
        distances: From rows to their distances.

    Example:
        >>> exact = np.array([0.1, 0.2, 1.0])
        >>> farthest(np.array([9.0, 0.2, 1.0]), lambda rows: exact[rows])
        1.0
    """
    if not len(bounds):
        return 0.0
    order, beyond = _largest_first(bounds)
    looked, step, largest = 0, _FIRST, 0.0
    rest = float(bounds[order[0]])
    while looked < len(order) and rest > TIGHT * largest:
        rows = order[looked : looked + step]
        largest = max(largest, float(np.minimum(bounds[rows], distances(rows)).max()))
        looked, step = looked + len(rows), 2 * step
        rest = float(bounds[order[looked]]) if looked < len(order) else beyond
    return max(largest, rest)


def _largest_first(bounds: FloatArray) -> tuple[IntArray, float]:
    """Rows by their bounds, as many as are ever looked at, and the largest bound of all others."""
    if len(bounds) <= _MOST:
        return np.argsort(-bounds, kind="stable"), 0.0
    parted = np.argpartition(-bounds, _MOST)
    rows = parted[:_MOST]
    return rows[np.argsort(-bounds[rows], kind="stable")], float(bounds[parted[_MOST]])
