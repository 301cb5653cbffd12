"""Which segments and faces meet a closed box.

Corners are compared exactly, as points of a box are. What lies between them is decided in float64 so that nothing
which meets the box is missed for rounding; what misses it by less than a few roundings may count as meeting it.
"""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np

from zarr_vectors.exceptions import InputError
from zarr_vectors.spatial.box import ClosedBox
from zarr_vectors.spatial.polygons import clip_triangles, fan, fraction
from zarr_vectors.typing import AnyArray, BoolArray, FloatArray

__all__ = ["faces_meet", "segment_spans", "segments_meet"]

_EPS = float(np.finfo(np.float64).eps)
_LEAST, _MOST = np.nextafter(0.0, 1.0), np.nextafter(1.0, 0.0)


def segments_meet(starts: AnyArray, ends: AnyArray, box: ClosedBox) -> BoolArray:
    """``(n,)`` whether each closed segment meets the closed box.

    A segment with an end in the box (by ``box.mask``) meets it; one without length counts as its point.

    Args:
        starts: ``(n, D)`` finite positions of any real dtype; one with an end that is not finite meets only by its
            other end.
        ends: The same.

    Example:
        >>> box = ClosedBox.from_user(([0, 0], [1, 1]), ("x", "y"))
        >>> segments_meet(np.array([[-1, 2], [-1, 2]]), np.array([[2, -1], [2, 2]]), box).tolist()
        [True, False]
    """
    return segment_spans(starts, ends, box)[0]


def segment_spans(starts: AnyArray, ends: AnyArray, box: ClosedBox) -> tuple[BoolArray, FloatArray, FloatArray]:
    """Which segments meet the box and between which places, 0 at the start to 1 at the end.

    Args:
        starts: ``(n, D)`` finite positions of any real dtype.
        ends: The same.

    Returns:
        ``(n,)`` bool, and ``(n,)`` float64 where the part in the box begins and ends: 0 (1) if and only if the start
        (end) lies in the box. Both are 0 for a segment that misses the box.

    Example:
        >>> box = ClosedBox.from_user(([0, None], [2, None]), ("x", "y"))
        >>> met, t_in, t_out = segment_spans(np.array([[-1.0, 0.0]]), np.array([[3.0, 5.0]]), box)
        >>> met.tolist(), t_in.tolist(), t_out.tolist()
        ([True], [0.25], [0.75])
    """
    first, last = box.outcodes(starts), box.outcodes(ends)
    starts_in, ends_in = first == 0, last == 0
    met = starts_in | ends_in
    t_out = np.where(ends_in, 1.0, 0.0)
    t_in = np.where(starts_in, 0.0, t_out)
    # Beyond the same side nothing is left; with both ends inside nothing is cut.
    rows = np.flatnonzero((first & last == 0) & (first | last != 0))
    start, end = box.to_float64(starts[rows], first[rows]), box.to_float64(ends[rows], last[rows])
    finite = (np.isfinite(start) & np.isfinite(end)).all(axis=1)
    rows, start, end = rows[finite], start[finite], end[finite]
    begin, stop = _slabs(start, end, box)
    # Each of the two is right to about three roundings of numbers up to 1.
    met[rows] |= begin <= stop + 4 * _EPS
    middle = begin / 2 + stop / 2
    swapped = begin > stop
    begin[swapped] = stop[swapped] = middle[swapped]
    t_in[rows] = np.where(starts_in[rows], 0.0, np.clip(begin, _LEAST, np.where(ends_in[rows], 1.0, _MOST)))
    t_out[rows] = np.where(ends_in[rows], 1.0, np.clip(stop, np.where(starts_in[rows], 0.0, _LEAST), _MOST))
    t_in[~met] = t_out[~met] = 0.0
    return met, t_in, t_out


def _slabs(start: FloatArray, end: FloatArray, box: ClosedBox) -> tuple[FloatArray, FloatArray]:
    """``(n,)`` the last entry and the first exit over all axes, of segments that lie beyond no side as a whole."""
    low, high = np.maximum(box.lo, np.minimum(start, end)), np.minimum(box.hi, np.maximum(start, end))
    rising, flat = end > start, end == start
    entry = fraction(start, end, np.where(rising, low, high))
    leave = np.where(flat, 1.0, fraction(start, end, np.where(rising, high, low)))
    return entry.max(axis=1), leave.min(axis=1)


def faces_meet(corners: AnyArray, box: ClosedBox) -> BoolArray:
    """``(n,)`` whether each face, taken as the triangles ``(0, i, i + 1)``, meets the closed box.

    A face with a corner in the box (by ``box.mask``) meets it. Triangles without area count as segments or points.
    Two and three axes are decided by separating axes, others by clipping.

    Args:
        corners: ``(n, W, D)`` finite positions of any real dtype; a triangle with a corner that is not finite meets
            only by its other corners.

    Raises:
        InputError: Faces with fewer than three corners.

    Example:
        >>> box = ClosedBox.from_user(([1, 1], [2, 2]), ("x", "y"))
        >>> faces_meet(np.array([[[0, 0], [9, 0], [0, 9]], [[0, 0], [1, 0], [0, 1]]]), box).tolist()
        [True, False]
    """
    count, width, axes = corners.shape
    if width < 3:
        raise InputError("a face needs three corners", got=width)
    codes = box.outcodes(corners.reshape(-1, axes)).reshape(count, width)
    met: BoolArray = (codes == 0).any(axis=1)
    rows = np.flatnonzero(~met & (np.bitwise_and.reduce(codes, axis=1) == 0))
    triangles = fan(corners[rows]).reshape(-1, 3, axes)
    triangle_codes = fan(codes[rows]).reshape(-1, 3)
    face = np.repeat(rows, width - 2)
    near = np.flatnonzero(np.bitwise_and.reduce(triangle_codes, axis=1) == 0)
    points = box.to_float64(triangles[near].reshape(-1, axes), triangle_codes[near].reshape(-1)).reshape(-1, 3, axes)
    finite = np.isfinite(points).all(axis=(1, 2))
    met[face[near[finite]][_triangles_meet(points[finite], box)]] = True
    return met


def _triangles_meet(points: FloatArray, box: ClosedBox) -> BoolArray:
    """``(m,)`` whether triangles ``(m, 3, D)`` that lie beyond no side as a whole meet the box."""
    # Within its own bounds a triangle sees a finite box, and a power of two per axis makes all numbers at most 1.
    least, most = points.min(axis=1), points.max(axis=1)
    lo, hi = np.maximum(box.lo, least), np.minimum(box.hi, most)
    power = -np.frexp(np.maximum(np.abs(least), np.abs(most)))[1]
    points, lo, hi = np.ldexp(points, power[:, None]), np.ldexp(lo, power), np.ldexp(hi, power)
    if points.shape[2] not in (2, 3):
        rows = np.arange(points.shape[0] * 3).reshape(-1, 3)
        left = clip_triangles(points, rows, lo - 16 * _EPS, hi + 16 * _EPS)
        met = np.zeros(len(points), dtype=bool)
        met[left.owner] = True
        return met
    # Rows of columns: numpy adds up long rows several times faster than the few numbers of a point.
    columns, lo, hi = (np.ascontiguousarray(part) for part in (points.transpose(1, 2, 0), lo.T, hi.T))
    met = np.ones(len(points), dtype=bool)
    for normal in _normals(columns):
        met &= ~_apart(normal, columns, lo, hi)
    return met


def _normals(columns: FloatArray) -> Iterator[FloatArray]:
    """``(D, m)`` the axes along which triangles ``(3, D, m)`` and a box can be apart, besides those of the box."""
    edges = [columns[(corner + 1) % 3] - columns[corner] for corner in range(3)]
    if columns.shape[1] == 2:
        for edge in edges:
            yield np.stack([-edge[1], edge[0]])
        return
    yield np.cross(edges[0], edges[1], axis=0)
    for edge in edges:
        for axis in range(3):
            one, other = (axis + 1) % 3, (axis + 2) % 3
            normal = np.zeros_like(edge)
            normal[one], normal[other] = -edge[other], edge[one]
            yield normal


def _apart(normal: FloatArray, columns: FloatArray, lo: FloatArray, hi: FloatArray) -> BoolArray:
    """``(m,)`` whether triangle and box are apart along a direction by more than rounding can pretend."""
    along = (columns * normal).sum(axis=1)
    low, high = lo * normal, hi * normal
    least, most = np.minimum(low, high).sum(axis=0), np.maximum(low, high).sum(axis=0)
    slack = 8 * _EPS * np.abs(normal).sum(axis=0)
    apart: BoolArray = (along.min(axis=0) > most + slack) | (along.max(axis=0) < least - slack)
    return apart
