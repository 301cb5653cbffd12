"""How far points are from line segments and triangles."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np

from zarr_vectors.typing import AnyArray, FloatArray

__all__ = ["distance_to_segments", "distance_to_triangles", "norms", "to_segments"]

_BLOCK_ROWS = 1 << 15
"""Rows that are measured at once, so that what lies between stays in the cache."""
_LARGE = 1e150
"""Beyond this the square of a coordinate may overflow."""


def distance_to_segments(points: AnyArray, a: AnyArray, b: AnyArray) -> FloatArray:
    """Distance of each point to a segment of its own.

    Args:
        points: ``(n, D)`` finite coordinates of any type, which are measured as float64.
        a: ``(n, D)`` one end of each segment.
        b: ``(n, D)`` its other end, which may be the same.

    Returns:
        ``(n,)`` float64.

    Example:
        >>> distance_to_segments(np.array([[1, 2], [9, 0]]), np.zeros((2, 2)), np.array([[4, 0], [4, 0]])).tolist()
        [2.0, 5.0]
    """
    return _in_blocks(_segments, points, a, b)


def distance_to_triangles(points: AnyArray, a: AnyArray, b: AnyArray, c: AnyArray) -> FloatArray:
    """Distance of each point to a triangle of its own, its inside included.

    Args:
        points: ``(n, D)`` finite coordinates of any type, which are measured as float64; at least two axes.
        a: ``(n, D)`` first corner of each triangle.
        b: ``(n, D)`` second corner.
        c: ``(n, D)`` third corner; corners may lie on one line, or be the same.

    Returns:
        ``(n,)`` float64.

    Example:
        >>> corners = (np.array([[0.0, 0, 0]]), np.array([[4.0, 0, 0]]), np.array([[0.0, 4, 0]]))
        >>> distance_to_triangles(np.array([[1.0, 1, 7]]), *corners).tolist()
        [7.0]
    """
    return _in_blocks(_triangles, points, a, b, c)


def norms(columns: FloatArray) -> FloatArray:
    """``(n,)`` lengths of the vectors that are the columns of a ``(D, n)`` array."""
    return np.sqrt(_dot(columns, columns))


def to_segments(p: FloatArray, d: FloatArray) -> FloatArray:
    """``(n,)`` squared distance to segments that begin at the origin.

    Args:
        p: ``(D, n)`` points, as columns.
        d: ``(D, n)`` the other end of each segment.
    """
    along = _ratio(_dot(p, d), _dot(d, d))
    np.clip(along, 0, 1, out=along)
    total = np.zeros(p.shape[1])
    for axis in range(len(p)):
        away = along * d[axis]
        np.subtract(p[axis], away, out=away)
        away *= away
        total += away
    return total


def _segments(p: FloatArray, a: FloatArray, b: FloatArray) -> FloatArray:
    return np.sqrt(to_segments(p - a, b - a))


def _triangles(p: FloatArray, a: FloatArray, b: FloatArray, c: FloatArray) -> FloatArray:
    """The least of the distances to the three sides and, above the inside, to the nearest point of the plane.

    That point is made of the corners with weights from 0 to 1, so that even where a flat triangle makes the weights
    inexact, it is a point of the triangle, and no distance comes out too small.
    """
    p, ab, ac = p - a, b - a, c - a
    best = np.minimum(to_segments(p, ab), to_segments(p, ac))
    best = np.minimum(best, to_segments(p - ab, ac - ab))
    # The weight of c is told by what of c - a is at right angles to b - a.
    side = _dot(ab, ab)
    base = _ratio(_dot(ac, ab), side)
    across = ac - base * ab
    height = _dot(across, across)
    w = _ratio(_dot(p, across), height)
    with np.errstate(invalid="ignore"):
        v = _ratio(_dot(p, ab), side) - w * base
    inside = np.flatnonzero((height > 0) & (v > 0) & (w > 0) & (v + w < 1))
    if len(inside):
        away = p[:, inside] - v[inside] * ab[:, inside] - w[inside] * ac[:, inside]
        best[inside] = np.minimum(best[inside], _dot(away, away))
    return np.sqrt(best)


def _ratio(part: FloatArray, whole: FloatArray) -> FloatArray:
    """How much of the whole a part is; 0 where the whole is nothing."""
    with np.errstate(over="ignore"):
        return np.divide(part, whole, out=np.zeros(len(part)), where=whole > 0)


def _dot(left: FloatArray, right: FloatArray) -> FloatArray:
    total: FloatArray = left[0] * right[0]
    for axis in range(1, len(left)):
        total += left[axis] * right[axis]
    return total


def _in_blocks(measure: Callable[..., FloatArray], *tables: AnyArray) -> FloatArray:
    rows = len(tables[0])
    result = np.empty(rows)
    for first in range(0, rows, _BLOCK_ROWS):
        part = slice(first, min(rows, first + _BLOCK_ROWS))
        columns = [np.ascontiguousarray(table[part].T, dtype=np.float64) for table in tables]
        largest = max(max(column.max(), -column.min()) for column in columns)
        result[part] = measure(*columns) if largest < _LARGE else _scaled(measure, columns)
    return result


def _scaled(measure: Callable[..., FloatArray], columns: list[FloatArray]) -> FloatArray:
    """Each row measured in a unit of its own, a power of two, in which nothing overflows."""
    largest = np.max([np.abs(column).max(axis=0) for column in columns], axis=0)
    power = np.frexp(largest)[1]
    small = measure(*(np.ldexp(column, -power) for column in columns))
    with np.errstate(over="ignore"):
        whole: FloatArray = np.ldexp(small, power)
    return whole
