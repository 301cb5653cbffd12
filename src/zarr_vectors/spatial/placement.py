"""Which chunk a link is stored with, and in which order its ends."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from fractions import Fraction

import numpy as np

from zarr_vectors.typing import BoolArray, IntArray

__all__ = ["Placed", "anchors", "canonical_order", "offset_groups"]

_MOST_CHUNKS = 4096
"""Chunks of level 0 along an axis that a chunk of a coarser level may span."""


@dataclass(frozen=True, slots=True)
class Placed:
    """Links whose ends have been put in order.

    Args:
        cells: ``(n, L)`` cell of each end.
        rows: ``(n, L)`` row of each end inside its cell.
        order: ``(n, L)`` which given end stands at each place.
    """

    cells: IntArray
    rows: IntArray
    order: IntArray


def canonical_order(cells: IntArray, rows: IntArray) -> Placed:
    """Put the ends of each link in ascending order of their chunk, then of their row.

    Args:
        cells: ``(n, L)`` numbers of the chunks of the ends, which order as the chunks' coordinates do.
        rows: ``(n, L)`` row of each end inside its chunk.

    Example:
        >>> placed = canonical_order(np.array([[4, 1, 4]]), np.array([[7, 9, 2]]))
        >>> placed.order.tolist(), placed.rows.tolist()
        ([[1, 2, 0]], [[9, 2, 7]])
    """
    if cells.shape[1] == 2:
        swap = (cells[:, 0] > cells[:, 1]) | ((cells[:, 0] == cells[:, 1]) & (rows[:, 0] > rows[:, 1]))
        order = np.empty(cells.shape, dtype=np.int64)
        order[:, 0], order[:, 1] = swap, ~swap
    else:
        by_row = np.argsort(rows, axis=1, kind="stable")
        by_cell = np.argsort(np.take_along_axis(cells, by_row, axis=1), axis=1, kind="stable")
        order = np.take_along_axis(by_row, by_cell, axis=1)
    return Placed(np.take_along_axis(cells, order, axis=1), np.take_along_axis(rows, order, axis=1), order)


def anchors(coords: IntArray, own: Sequence[float], other: Sequence[float]) -> IntArray:
    """The chunks of another level from which the offsets of links between two levels count.

    Args:
        coords: ``(n, K)`` chunks of the level that the links are stored with.
        own: ``(D,)`` edge lengths of its chunks, which are whole multiples of those of level 0.
        other: ``(D,)`` the same of the other level.

    Returns:
        ``(n, K)`` the chunk of the other level in which each begins; an axis before the spatial ones stays.

    Example:
        >>> anchors(np.array([[-1, 3]]), (5.0, 5.0), (10.0, 10.0)).tolist()
        [[-1, 1]]
        >>> anchors(np.array([[-1, 3]]), (10.0, 10.0), (5.0, 5.0)).tolist()
        [[-2, 6]]
    """
    ratios = [Fraction(a / b).limit_denominator(_MOST_CHUNKS) for a, b in zip(own, other, strict=True)]
    times, parts = (np.array([getattr(one, part) for one in ratios]) for part in ("numerator", "denominator"))
    lead = coords.shape[1] - len(ratios)
    return np.concatenate([coords[:, :lead], coords[:, lead:] * times // parts], axis=1)


def offset_groups(coords: IntArray) -> tuple[IntArray, IntArray]:
    """Links by the offsets of their ends.

    Args:
        coords: ``(n, L, K)`` chunk coordinate of each end.

    Returns:
        ``(G, L - 1, K)`` the distinct offsets, and ``(n,)`` which of them each link has.

    Example:
        >>> groups, which = offset_groups(np.array([[[0, 0], [1, 0]], [[3, 3], [4, 3]], [[0, 0], [0, 1]]]))
        >>> groups.tolist(), which.tolist()
        ([[[0, 1]], [[1, 0]]], [1, 1, 0])
    """
    offsets = coords[:, 1:] - coords[:, :1]
    flat = offsets.reshape(len(offsets), offsets.shape[1] * offsets.shape[2])
    which = np.zeros(len(flat), dtype=np.int64)
    for column in flat.T:
        # One column after another: numbers of all columns together might not fit an integer.
        low = int(column.min()) if len(column) else 0
        span = (int(column.max()) if len(column) else 0) - low + 1
        if span > 1:
            which = _numbered(which * span + (column - low))
    first = np.full(int(which.max(initial=-1)) + 1, len(which), dtype=np.int64)
    np.minimum.at(first, which, np.arange(len(which)))
    return offsets[first], which


def _numbered(labels: IntArray) -> IntArray:
    """``(n,)`` the rank of each label among those that occur; by marking them where they are few."""
    most = int(labels.max(initial=0)) + 1
    if most > 4 * len(labels) + 1024:
        return np.asarray(np.unique(labels, return_inverse=True)[1], dtype=np.int64)
    occurs = np.zeros(most, dtype=np.int64)
    occurs[labels] = 1
    return (np.cumsum(occurs) - 1).take(labels)


def same_cell(cells: IntArray) -> BoolArray:
    """``(n,)`` whether all ends of each link lie in one cell."""
    return np.asarray((cells[:, 1:] == cells[:, :1]).all(axis=1))
