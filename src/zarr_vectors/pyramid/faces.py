"""What becomes of faces whose corners become others."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np

from zarr_vectors.pyramid.coarse import Clusters, clusters_of
from zarr_vectors.pyramid.quadrics import face_normals
from zarr_vectors.typing import AnyArray, BoolArray, IntArray

__all__ = [
    "Gathered",
    "Merged",
    "as_triangles",
    "corners_of_wide",
    "gather_faces",
    "merge_faces",
    "sheets_staying",
    "wound",
]

_ASIDE = np.array([0.48, 0.6, 0.64])
"""The side to which a face looks that has been seen from both alike."""


class Merged(NamedTuple):
    """Faces that have become one.

    Args:
        corners: ``(E, 3)`` distinct corners of each face.
        rows: ``(n,)`` which of the given faces are left in some form.
        same: Which of ``rows`` have become one face.
    """

    corners: IntArray
    rows: IntArray
    same: Clusters


def as_triangles(faces: IntArray) -> tuple[IntArray, IntArray | None]:
    """Polygons as fans around their first corner.

    Args:
        faces: ``(F, W)``, W from 3.

    Returns:
        ``(F * (W - 2), 3)``, and the polygon of each triangle; None where the faces are triangles.

    Example:
        >>> as_triangles(np.array([[4, 5, 6, 7]]))[0].tolist()
        [[4, 5, 6], [4, 6, 7]]
    """
    width = faces.shape[1]
    if width == 3:
        return faces, None
    fans = [faces[:, [0, corner, corner + 1]] for corner in range(1, width - 1)]
    return np.stack(fans, axis=1).reshape(-1, 3), np.repeat(np.arange(len(faces)), width - 2)


class Gathered(NamedTuple):
    """Faces with the same corners.

    Args:
        corners: ``(E, 3)`` distinct corners of each, in ascending order.
        net: ``(E,)`` how many more of the given faces look to the side to which this order looks than to the other.
        rows: ``(n,)`` which of the given faces have an area of their own.
        same: Which of ``rows`` have become one face.
    """

    corners: IntArray
    net: IntArray
    rows: IntArray
    same: Clusters


def gather_faces(corners: IntArray) -> Gathered:
    """Drop faces without an area of their own, and gather those with the same corners.

    Args:
        corners: ``(F, 3)`` what the corners of each face have become.
    """
    one, two, three = corners.T
    rows = np.flatnonzero((one != two) & (two != three) & (three != one))
    kept = corners[rows]
    one, two, three = kept.T
    # Sorting the corners turns the face over where the number of swaps is odd.
    sides = 1 - 2 * (((one > two).astype(np.int64) + (two > three) + (one > three)) % 2)
    ordered = np.sort(kept, axis=1)
    same = clusters_of(ordered)
    net = np.bincount(same.labels, weights=sides, minlength=len(same)).astype(np.int64)
    return Gathered(ordered[same.order[same.starts]], net, rows, same)


def merge_faces(corners: IntArray, places: AnyArray) -> Merged:
    """Drop faces without an area of their own, and make one of those with the same corners.

    The winding is that of the majority. Faces that are seen from both sides alike are a sheet that has become thin: one
    of each two stays, unless nothing but a single vertex sticks out in it.

    Args:
        corners: ``(F, 3)`` what the corners of each face have become.
        places: ``(M, D)`` position of each of these.

    Example:
        >>> merged = merge_faces(np.array([[0, 0, 1], [2, 0, 1], [1, 2, 0]]), np.eye(3))
        >>> merged.corners.tolist(), merged.rows.tolist()
        ([[0, 1, 2]], [1, 2])
    """
    merged, net, rows, same = gather_faces(corners)
    stay = _staying(merged, net == 0, len(places))
    if not stay.all():
        left = stay[same.labels]
        rows, merged, net = rows[left], merged[stay], net[stay]
        same = clusters_of(same.labels[left])
    return Merged(wound(merged, net, places), rows, same)


def wound(corners: IntArray, net: IntArray, places: AnyArray) -> IntArray:
    """Faces that look to the side to which most do; where they are as many, to a side that hangs on their place.

    Args:
        corners: ``(E, 3)`` corners in ascending order.
        net: ``(E,)`` as in ``Gathered``.
        places: ``(M, D)`` position of each corner.
    """
    sides = net.astype(np.float64)
    thin = np.flatnonzero(net == 0)
    if places.shape[1] == 3:
        sides[thin] = face_normals(places, corners[thin]) @ _ASIDE
    return np.where((sides < 0)[:, None], corners[:, [0, 2, 1]], corners)


def _staying(merged: IntArray, thin: BoolArray, count: int) -> BoolArray:
    """All faces but those of thin sheets in which no two vertices are without other faces."""
    if not thin.any():
        return ~thin
    alone = np.ones(count, dtype=np.bool_)
    alone[merged[~thin]] = False
    sheets = merged[thin]
    wide = np.zeros(count, dtype=np.bool_)
    wide[corners_of_wide(sheets, alone)] = True
    stay = ~thin
    stay[thin] = sheets_staying(sheets, alone, wide)
    return stay


def corners_of_wide(sheets: IntArray, alone: BoolArray) -> IntArray:
    """The corners of those faces of thin sheets that are more than a single vertex that sticks out.

    Args:
        sheets: ``(E, 3)`` faces that are seen from both sides alike.
        alone: ``(M,)`` whether a vertex has no other faces than such.
    """
    wide: IntArray = sheets[alone[sheets].sum(axis=1) >= 2]
    return wide


def sheets_staying(sheets: IntArray, alone: BoolArray, wide: BoolArray) -> BoolArray:
    """``(E,)`` which faces of thin sheets stay.

    Args:
        wide: ``(M,)`` whether a vertex is one of ``corners_of_wide``.
    """
    stay: BoolArray = np.asarray((wide & alone)[sheets].any(axis=1))
    return stay
