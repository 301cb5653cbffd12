"""What becomes of faces whose corners become others."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np

from zarr_vectors.pyramid.coarse import Clusters, clusters_of
from zarr_vectors.pyramid.quadrics import face_normals
from zarr_vectors.typing import AnyArray, BoolArray, IntArray

__all__ = ["Merged", "as_triangles", "merge_faces"]

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
    one, two, three = corners.T
    rows = np.flatnonzero((one != two) & (two != three) & (three != one))
    kept = corners[rows]
    one, two, three = kept.T
    # Sorting the corners turns the face over where the number of swaps is odd.
    sides = 1 - 2 * (((one > two).astype(np.int64) + (two > three) + (one > three)) % 2)
    ordered = np.sort(kept, axis=1)
    same = clusters_of(ordered)
    net = np.bincount(same.labels, weights=sides, minlength=len(same))
    merged = ordered[same.order[same.starts]]
    stay = _staying(merged, net == 0, len(places))
    if not stay.all():
        left = stay[same.labels]
        rows, merged, net = rows[left], merged[stay], net[stay]
        same = clusters_of(same.labels[left])
    thin = np.flatnonzero(net == 0)
    if places.shape[1] == 3:
        net[thin] = face_normals(places, merged[thin]) @ _ASIDE
    turned = net < 0
    merged[turned] = merged[turned][:, [0, 2, 1]]
    return Merged(merged, rows, same)


def _staying(merged: IntArray, thin: BoolArray, count: int) -> BoolArray:
    """All faces but those of thin sheets in which no two vertices are without other faces."""
    if not thin.any():
        return ~thin
    alone = np.ones(count, dtype=np.bool_)
    alone[merged[~thin]] = False
    sheets = merged[thin]
    wide = np.zeros(count, dtype=np.bool_)
    wide[sheets[alone[sheets].sum(axis=1) >= 2]] = True
    stay = ~thin
    stay[thin] = (wide & alone)[sheets].any(axis=1)
    return stay
