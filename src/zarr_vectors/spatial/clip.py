"""Segments and faces cut at a closed box, and rows of vertex columns where they are cut."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from zarr_vectors.exceptions import InputError
from zarr_vectors.rowwise import take_rows
from zarr_vectors.spatial.box import ClosedBox
from zarr_vectors.spatial.meet import segment_spans
from zarr_vectors.spatial.partition import stable_order
from zarr_vectors.spatial.polygons import IN_FACE, Polygons, clip_triangles, fan
from zarr_vectors.typing import AnyArray, BoolArray, CodeArray, FloatArray, IntArray

__all__ = ["ClippedFaces", "ClippedSegments", "clip_faces", "clip_segments", "cut_positions", "interpolate"]

_SNAP = 16 * float(np.finfo(np.float64).eps)


@dataclass(frozen=True, eq=False)
class ClippedSegments:
    """What a box leaves of n segments.

    Args:
        kept: ``(n,)`` bool, whether anything is left, if only a point.
        t_in: ``(n,)`` float64 in [0, 1] where the part left begins, 0 if and only if the start lies in the box;
            0 too where nothing is left.
        t_out: ``(n,)`` float64 in [0, 1] where it ends, 1 if and only if the end lies in the box; never below ``t_in``.
    """

    kept: BoolArray
    t_in: FloatArray
    t_out: FloatArray


@dataclass(frozen=True, eq=False)
class ClippedFaces:
    """What a box leaves of faces over N vertices: T triangles, with V new vertices where edges are cut.

    Args:
        triangles: ``(T, 3)`` int64; below N a row of the input, from N on row ``N + v`` for the new vertex ``v``. The
            triangles of one face lie together, in the order of the faces, and turn as the face does.
        face_of: ``(T,)`` int64, the face that each triangle is a part of.
        corners: ``(V, 3)`` int64, the input rows between which each new vertex lies.
        weights: ``(V, 3)`` float64, at least 0 with sum 1. A vertex on an edge has a third weight of 0.
    """

    triangles: IntArray
    face_of: IntArray
    corners: IntArray
    weights: FloatArray


def clip_segments(starts: AnyArray, ends: AnyArray, box: ClosedBox) -> ClippedSegments:
    """Cut segments at a box; :func:`~zarr_vectors.spatial.meet.segments_meet` says which of them are kept.

    Args:
        starts: ``(n, D)`` finite positions of any real dtype.
        ends: The same.

    Example:
        >>> box = ClosedBox.from_user(([0, 0], [4, 4]), ("x", "y"))
        >>> cut = clip_segments(np.array([[1, 1], [9, 9]]), np.array([[5, 1], [9, 0]]), box)
        >>> cut.kept.tolist(), cut.t_in.tolist(), cut.t_out.tolist()
        ([True, False], [0.0, 0.0], [0.75, 0.0])
    """
    return ClippedSegments(*segment_spans(starts, ends, box))


def clip_faces(positions: AnyArray, faces: IntArray, box: ClosedBox) -> ClippedFaces:
    """Cut faces, taken as the triangles ``(0, i, i + 1)``, at a box.

    Triangles inside stay as they are, those that only touch the box are left out, and so are those that name a row
    twice. Faces that share an edge share the new vertices on it, so that a closed surface is open along the cut only.

    Args:
        positions: ``(N, D)`` finite positions of any real dtype; a triangle that is cut and has a corner that is not
            finite is left out.
        faces: ``(F, W)`` int64 rows of ``positions``, W at least 3.

    Raises:
        InputError: Faces with fewer than three corners.

    Example:
        >>> box = ClosedBox.from_user(([0, 0], [None, 1]), ("x", "y"))
        >>> cut = clip_faces(np.array([[0, 0], [4, 0], [0, 4]]), np.array([[0, 1, 2]]), box)
        >>> cut.triangles.tolist(), cut.corners.tolist(), cut.weights.tolist()
        ([[0, 1, 3], [0, 3, 4]], [[0, 1, 2], [0, 1, 2]], [[0.0, 0.75, 0.25], [0.75, 0.0, 0.25]])
    """
    if faces.shape[1] < 3:
        raise InputError("a face needs three corners", got=faces.shape[1])
    rows = fan(faces).reshape(-1, 3)
    face_of = np.repeat(np.arange(len(faces)), faces.shape[1] - 2)
    codes = box.outcodes(positions)
    one, two, three = (codes.take(rows[:, corner]) for corner in range(3))
    whole = (one | two | three) == 0
    cut = np.flatnonzero(~whole & (one & two & three == 0))
    pieces = _pieces(positions, rows[cut], codes, box)
    triangles = np.concatenate([rows[whole], pieces.triangles])
    face_of = np.concatenate([face_of[whole], face_of[cut][pieces.face_of]])
    distinct = (triangles != np.roll(triangles, 1, axis=1)).all(axis=1)
    triangles, face_of = triangles[distinct], face_of[distinct]
    order = stable_order([face_of])
    triangles, face_of = take_rows(triangles, order), face_of[order]
    # Number the new vertices that triangles use.
    new = triangles >= len(positions)
    used, number = np.unique(triangles[new] - len(positions), return_inverse=True)
    triangles[new] = len(positions) + number
    return ClippedFaces(triangles, face_of, pieces.corners[used], pieces.weights[used])


def _pieces(positions: AnyArray, rows: IntArray, codes: CodeArray, box: ClosedBox) -> ClippedFaces:
    """What the box leaves of triangles that lie neither inside nor beyond one side; ``face_of`` is the row in ``rows``.

    Every vertex of the polygons is a new vertex here, but triangles use those only that differ.
    """
    corners = rows.reshape(-1)
    points = box.to_float64(take_rows(positions, corners), codes[corners]).reshape(*rows.shape, positions.shape[1])
    finite = np.flatnonzero(np.isfinite(points).all(axis=(1, 2)))
    rows = rows[finite]
    polygons = clip_triangles(points[finite], rows, box.lo, box.hi)
    first, last = polygons.runs()
    middle = np.ones(len(polygons.owner), dtype=bool)
    middle[first] = middle[last] = False
    middles = np.flatnonzero(middle)
    apex = np.repeat(first, np.maximum(last - first - 1, 0))
    owner = polygons.owner
    names = _names(polygons, rows, len(positions))
    triangles = names[np.stack([apex, middles, middles + 1], axis=1)]
    return ClippedFaces(triangles, finite[owner[middles]], rows[owner], polygons.weights)


def _names(polygons: Polygons, rows: IntArray, count: int) -> IntArray:
    """``(E,)`` the input row of each vertex, or ``count`` and the first row of the polygons with the same vertex."""
    origin, owner = polygons.origin, polygons.owner
    names = count + np.arange(len(origin))
    corner = (origin != IN_FACE) & (origin < 3)
    names[corner] = rows[owner[corner], origin[corner]]
    on_edge = np.flatnonzero(origin >= 3)
    side, edge = np.divmod(origin[on_edge] - 3, 3)
    one, other = rows[owner[on_edge], edge], rows[owner[on_edge], (edge + 1) % 3]
    keys = (np.minimum(one, other), np.maximum(one, other), side)
    order = stable_order(keys)
    differs = np.zeros(len(order), dtype=bool)
    differs[:1] = True
    for key in keys:
        differs[1:] |= np.diff(key[order]) != 0
    same = np.cumsum(differs) - 1
    names[on_edge[order]] = count + on_edge[order][differs][same]
    return names


def interpolate(values: AnyArray, corners: IntArray, weights: FloatArray) -> AnyArray:
    """Rows of a vertex column at new vertices.

    Real and complex columns are interpolated in float64 and rounded to their dtype, never leaving the range of the
    corners; all others (integers, bool, codes, dates, text) take the value of the corner with the greatest weight,
    the first of several.

    Args:
        values: ``(N, ...)`` one row per vertex.
        corners: ``(V, C)`` int64 rows of ``values``.
        weights: ``(V, C)`` float64, at least 0 with sum 1. A corner of weight 0 has no say, not even as NaN.

    Returns:
        ``(V, ...)`` in the dtype of ``values``.

    Example:
        >>> corners, weights = np.array([[0, 1]]), np.array([[0.75, 0.25]])
        >>> interpolate(np.array([1.0, 2.0]), corners, weights), interpolate(np.array([1, 2]), corners, weights)
        (array([1.25]), array([1]))
    """
    if values.dtype.kind == "c":
        mixed = np.empty((len(corners), *values.shape[1:]), dtype=values.dtype)
        mixed.real, mixed.imag = (interpolate(part, corners, weights) for part in (values.real, values.imag))
        return mixed
    if values.dtype.kind == "f":
        return _blend(values, corners, weights)[0].astype(values.dtype)
    return take_rows(values, _heaviest(corners, weights))


def cut_positions(positions: AnyArray, corners: IntArray, weights: FloatArray, box: ClosedBox) -> AnyArray:
    """Positions of new vertices where a box cuts: ``box.mask`` is True for all of them.

    A position within rounding of a side is put on it. If the dtype has no value between the two sides of an axis, it
    takes the nearest one above or below them, which the mask cannot accept.

    Args:
        positions: ``(N, D)`` of any real dtype.
        corners: ``(V, C)`` int64 rows of ``positions``.
        weights: ``(V, C)`` float64, at least 0 with sum 1, of vertices that lie in the box but for rounding.

    Returns:
        ``(V, D)`` in the dtype of ``positions``; float64 for integers.

    Example:
        >>> box = ClosedBox.from_user(([None], [0.1]), ("x",))
        >>> cut = cut_positions(np.array([[0], [1]], dtype="float32"), np.array([[0, 1]]), np.array([[0.9, 0.1]]), box)
        >>> cut.dtype.name, float(cut[0, 0]) <= 0.1, box.mask(cut).tolist()
        ('float32', True, [True])
    """
    dtype = positions.dtype if positions.dtype.kind == "f" else np.dtype(np.float64)
    cut, least, most = _blend(positions, corners, weights)
    slack = _SNAP * np.maximum(np.abs(least), np.abs(most))
    with np.errstate(over="ignore"):
        side = np.where(np.abs(cut - box.lo) <= np.abs(cut - box.hi), box.lo, box.hi)
        cut = np.where(np.abs(cut - side) <= slack, np.clip(side, least, most), cut)
    cut = cut.astype(dtype)
    for axis, column in enumerate(cut.T):
        low, high = box.limits(axis, dtype)
        if low is not None:
            np.maximum(column, low, out=column)
        if high is not None:
            np.minimum(column, high, out=column)
    return cut


def _blend(values: AnyArray, corners: IntArray, weights: FloatArray) -> tuple[FloatArray, FloatArray, FloatArray]:
    """Weighted means of rows in float64 with the least and greatest value of their corners, between which they lie."""
    wide = np.result_type(values.dtype, np.float64)
    heaviest = _heaviest(corners, weights)
    least = take_rows(values, heaviest).astype(wide)
    most, total = least.copy(), np.zeros_like(least)
    tail = (1,) * (values.ndim - 1)
    # Infinite and huge values overflow here on the way, and come back by the limits.
    with np.errstate(over="ignore", invalid="ignore"):
        for column in range(corners.shape[1]):
            weight = weights[:, column]
            corner = take_rows(values, np.where(weight > 0, corners[:, column], heaviest)).astype(wide)
            total += np.where((weight > 0).reshape(-1, *tail), corner * weight.reshape(-1, *tail), 0)
            least, most = np.minimum(least, corner), np.maximum(most, corner)
    return np.clip(total, least, most), least, most


def _heaviest(corners: IntArray, weights: FloatArray) -> IntArray:
    """``(V,)`` the corner with the greatest weight of each row, the first of several."""
    chosen: IntArray = np.take_along_axis(corners, weights.argmax(axis=1)[:, None], axis=1)[:, 0]
    return chosen
