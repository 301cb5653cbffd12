"""Convex polygons that are left of triangles when a box cuts them.

All polygons lie one after the other in flat arrays, and one side of the box after the other cuts them all at once
(Sutherland and Hodgman). What is left of an edge of a triangle depends on that edge alone, so that two triangles
which share an edge are cut there at the same places.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np

from zarr_vectors.rowwise import take_rows
from zarr_vectors.typing import AnyArray, BoolArray, FloatArray, IntArray

__all__ = ["IN_FACE", "Polygons", "clip_triangles", "fan", "fraction"]

IN_FACE = -1
"""Origin of a vertex that lies on no edge of its triangle."""

_SIDE = 3
"""The edge number of an edge that lies in a side of the box."""

_LEAST, _MOST = np.nextafter(0.0, 1.0), np.nextafter(1.0, 0.0)


@dataclass(frozen=True, eq=False)
class Polygons:
    """Convex polygons with E vertices in all, each a part of a triangle and turning the same way.

    A polygon with one or two vertices only touches the box; a triangle with no polygon misses it.

    Args:
        owner: ``(E,)`` int64, ascending: the triangle of each vertex.
        points: ``(E, D)`` float64.
        weights: ``(E, 3)`` float64, each vertex as a combination of the triangle's corners.
        origin: ``(E,)`` int64: 0 to 2 for a corner of the triangle, ``3 + 3 * side + edge`` for a place where an edge
            (0 to 2, from the corner of that number to the next) crosses a side of the box (``2 * axis``, one more
            for the upper side), and ``IN_FACE``.
        edges: ``(E,)`` int64, on which edge of the triangle the way to the next vertex lies; 3 in a side of the box.
    """

    owner: IntArray
    points: FloatArray
    weights: FloatArray
    origin: IntArray
    edges: IntArray

    def runs(self) -> tuple[IntArray, IntArray]:
        """``(first, last)`` row of each polygon.

        Example:
            >>> rows = np.arange(3)[None]
            >>> first, last = clip_triangles(np.eye(3)[None], rows, np.zeros(3), np.ones(3)).runs()
            >>> first.tolist(), last.tolist()
            ([0], [2])
        """
        first = np.flatnonzero(np.diff(self.owner, prepend=-1))
        return first, np.append(first[1:], len(self.owner))[: len(first)] - 1


@dataclass(frozen=True, eq=False)
class _Plane:
    """One side of the boxes: its number, and ``(m,)`` where it lies for each triangle."""

    side: int
    values: FloatArray

    @property
    def axis(self) -> int:
        return self.side // 2

    def level(self, polygons: Polygons) -> IntArray:
        """``(E,)`` 1 for a vertex strictly inside, 0 on the plane, -1 outside."""
        values = self.values[polygons.owner]
        column = polygons.points[:, self.axis]
        above = (column > values).astype(np.int64) - (column < values)
        return -above if self.side % 2 else above


def fan(faces: AnyArray) -> AnyArray:
    """``(F, W - 2, 3)`` the triangles ``(0, i, i + 1)`` of polygons ``(F, W, ...)``; rows keep what lies behind.

    Example:
        >>> fan(np.array([[7, 8, 9, 4]])).tolist()
        [[[7, 8, 9], [7, 9, 4]]]
    """
    middle = np.arange(1, faces.shape[1] - 1)
    return faces[:, np.stack([np.zeros_like(middle), middle, middle + 1], axis=1)]


def fraction(start: FloatArray, end: FloatArray, value: FloatArray) -> FloatArray:
    """How far along from ``start`` to ``end`` a value between them lies, 0 to 1; 0 where they are equal.

    Example:
        >>> fraction(np.array([0.0, 1e308, 5.0]), np.array([4.0, -1e308, 5.0]), np.array([1.0, 0.0, 5.0])).tolist()
        [0.25, 0.5, 0.0]
    """
    # The difference of two finite numbers may overflow; a power of two changes no digit of such large ones.
    scale = np.where(np.maximum(np.abs(start), np.abs(end)) > 2.0**1000, 2.0**-60, 1.0)
    span = end * scale - start * scale
    along: FloatArray = (value * scale - start * scale) / np.where(span == 0, 1.0, span)
    return along


def clip_triangles(points: FloatArray, rows: IntArray, lo: FloatArray, hi: FloatArray) -> Polygons:
    """What closed boxes leave of triangles.

    Args:
        points: ``(m, 3, D)`` finite float64.
        rows: ``(m, 3)`` int64 names of the corners: an edge with the same two names is cut at the same places.
        lo: ``(D,)`` float64, or ``(m, D)`` for a box per triangle; -inf where open.
        hi: The same, inf where open.

    Example:
        >>> corners = np.array([[[0.0, 0.0], [4.0, 0.0], [0.0, 4.0]]])
        >>> lo, hi = np.array([0.0, 0.0]), np.array([1.0, np.inf])
        >>> clip_triangles(corners, np.array([[0, 1, 2]]), lo, hi).points.tolist()
        [[0.0, 0.0], [1.0, 0.0], [1.0, 3.0], [0.0, 4.0]]
    """
    count, _, axes = points.shape
    corner = np.tile(np.arange(3), count)
    owner = np.repeat(np.arange(count), 3)
    polygons = Polygons(owner, points.reshape(-1, axes), np.eye(3)[corner], corner, corner)
    for plane in _planes(np.broadcast_to(lo, (count, axes)), np.broadcast_to(hi, (count, axes))):
        polygons = _cut(polygons, points, rows, plane)
    return polygons


def _planes(lo: FloatArray, hi: FloatArray) -> Iterator[_Plane]:
    for axis in range(lo.shape[1]):
        yield _Plane(2 * axis, lo[:, axis])
        yield _Plane(2 * axis + 1, hi[:, axis])


def _cut(polygons: Polygons, points: FloatArray, rows: IntArray, plane: _Plane) -> Polygons:
    level = plane.level(polygons)
    if (level >= 0).all():
        return polygons
    following = _following(polygons)
    after = level[following]
    leaves = (level > 0) & (after < 0)
    crosses = leaves | ((level < 0) & (after > 0))
    stays = level >= 0
    ends = np.cumsum(stays.astype(np.int64) + crosses)
    source = np.repeat(np.arange(len(level)), np.diff(ends, prepend=0))
    # A vertex that stays comes first, the crossing on the way to the next one behind it.
    fresh = ends[crosses] - 1
    at = np.flatnonzero(crosses)
    cut_points, cut_weights, cut_origin = _crossings(polygons, at, following[at], (points, rows), plane)
    new_points, new_weights = take_rows(polygons.points, source), take_rows(polygons.weights, source)
    new_points[fresh], new_weights[fresh] = cut_points, cut_weights
    origin, edges = polygons.origin[source], polygons.edges[source]
    origin[fresh] = cut_origin
    # Behind a vertex where the outline leaves the box, the way goes along the plane.
    along = leaves | ((level == 0) & (after < 0))
    edges[(ends - 1)[along]] = _SIDE
    return Polygons(polygons.owner[source], new_points, new_weights, origin, edges)


def _following(polygons: Polygons) -> IntArray:
    """``(E,)`` the next vertex of the same polygon."""
    first, last = polygons.runs()
    following = np.arange(1, len(polygons.owner) + 1)
    following[last] = first
    return following


def _crossings(
    polygons: Polygons, at: IntArray, following: IntArray, triangles: tuple[FloatArray, IntArray], plane: _Plane
) -> tuple[FloatArray, FloatArray, IntArray]:
    """Points, weights and origin of the places where outlines cross a plane, between rows ``at`` and ``following``."""
    owner, edge = polygons.owner[at], polygons.edges[at]
    start, end = take_rows(polygons.points, at), take_rows(polygons.points, following)
    start_weights, end_weights = take_rows(polygons.weights, at), take_rows(polygons.weights, following)
    whole = edge < _SIDE
    # On an edge of a triangle, count from its whole length and from the lower row: both its faces then agree.
    one, other = _low_first(triangles[1], owner[whole], edge[whole])
    start[whole], end[whole] = triangles[0][owner[whole], one], triangles[0][owner[whole], other]
    start_weights[whole], end_weights[whole] = np.eye(3)[one], np.eye(3)[other]
    value = plane.values[owner]
    along = np.clip(fraction(start[:, plane.axis], end[:, plane.axis], value), _LEAST, _MOST)[:, None]
    with np.errstate(over="ignore"):
        points = start * (1 - along) + end * along
    points = np.clip(points, np.minimum(start, end), np.maximum(start, end))
    points[:, plane.axis] = value
    origin = np.where(whole, 3 + 3 * plane.side + edge, IN_FACE)
    return points, start_weights * (1 - along) + end_weights * along, origin


def _low_first(rows: IntArray, owner: IntArray, edge: IntArray) -> tuple[IntArray, IntArray]:
    """The two corners of edges of triangles, the one with the lower row first."""
    one, other = edge, (edge + 1) % 3
    swap: BoolArray = rows[owner, one] > rows[owner, other]
    return np.where(swap, other, one), np.where(swap, one, other)
