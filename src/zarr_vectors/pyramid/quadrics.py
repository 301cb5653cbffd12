"""The point that stands best for the vertices of a bin: the nearest to the planes of their faces.

Garland and Heckbert, Surface simplification using quadric error metrics (1997); Lindstrom, Out-of-core simplification
of large polygonal models (2000).
"""

from __future__ import annotations

from functools import partial

import numpy as np

from zarr_vectors.parallel import run_all
from zarr_vectors.pyramid.borders import border_edges
from zarr_vectors.typing import AnyArray, FloatArray, IntArray

__all__ = ["best_shifts", "face_normals"]

_FLAT = 1e-3
"""Where planes say less than this part of what they say in another direction, a vertex stays at the mean."""
_PAIRS = ((0, 0), (0, 1), (0, 2), (1, 1), (1, 2), (2, 2))
_PART_FACES = 1 << 17
_PART_CLUSTERS = 1 << 12


def best_shifts(
    positions: AnyArray,
    faces: IntArray,
    labels: IntArray,
    shifts: FloatArray,
    means: FloatArray,
    objects: IntArray | None = None,
) -> FloatArray:
    """The points with the least squared distances from the planes of faces, weighted by their areas.

    At a border, a plane through its edge at a right angle to the face counts too, so that borders stay where they are.
    In directions of which the planes say nothing, it is the mean.

    Args:
        positions: ``(N, 3)`` of floats or integers.
        faces: ``(F, 3)`` rows of ``positions``.
        labels: ``(N,)`` number of the cluster of each vertex.
        shifts: ``(N, 3)`` each vertex from the origin of its cluster, a point near to it.
        means: ``(C, 3)`` mean of each cluster, from the same origin.
        objects: ``(N,)`` object of each vertex; None for one. Surfaces of several end where they touch.

    Returns:
        ``(C, 3)`` from the same origin.

    Example:
        >>> tent = np.array([[0.0, 0, 4], [1, 0, 3], [4, -4, 0], [4, 4, 0], [-4, 4, 0], [-4, -4, 0]])
        >>> faces = np.array([[0, 2, 1], [1, 2, 3], [0, 1, 3], [0, 3, 4], [0, 4, 5], [0, 5, 2]])
        >>> means = np.array([[0.5, 0, 3.5], *tent[2:]])
        >>> best_shifts(tent, faces, np.array([0, 0, 1, 2, 3, 4]), tent, means)[0].round(9).tolist()
        [0.0, 0.0, 4.0]
    """
    sums = _Sums(labels, shifts, len(means))
    for first in range(0, len(faces), _PART_FACES):
        part = faces[first : first + _PART_FACES]
        normals = face_normals(positions, part)
        lengths = np.sqrt((normals * normals).sum(axis=1))
        # With the area as weight, the product of unit normals is that of these normals by twice their length.
        scaled = normals / np.sqrt(2 * np.where(lengths > 0, lengths, 1.0))[:, None]
        sums.add(part, scaled)
    edges, owners = border_edges(positions, faces, objects)
    if len(edges):
        along = _between(positions, edges[:, 0], edges[:, 1])
        across = np.cross(along, face_normals(positions, faces[owners]))
        lengths = np.sqrt((across * across).sum(axis=1))
        sizes = np.sqrt((along * along).sum(axis=1))
        sums.add(edges, across * (sizes / np.where(lengths > 0, lengths, 1.0))[:, None])
    return sums.solve(means)


def face_normals(positions: AnyArray, faces: IntArray) -> FloatArray:
    """``(F, 3)`` float64 normals of triangles, twice as long as their area."""
    start = faces[:, 0]
    normals: FloatArray = np.cross(_between(positions, start, faces[:, 1]), _between(positions, start, faces[:, 2]))
    return normals


def _between(positions: AnyArray, start: IntArray, end: IntArray) -> FloatArray:
    """Vectors from one row to another, exact where coordinates are large integers, too."""
    wide = np.int64 if positions.dtype.kind in "iu" else np.float64
    ends, starts = positions.take(end, axis=0), positions.take(start, axis=0)
    vectors: FloatArray = (ends.astype(wide) - starts.astype(wide)).astype(np.float64)
    return vectors


class _Sums:
    """Per cluster the sum of the quadrics of planes: a symmetric matrix and a vector."""

    def __init__(self, labels: IntArray, shifts: FloatArray, count: int) -> None:
        self._labels = labels
        self._shifts = shifts
        self._matrices = np.zeros((6, count))
        self._vectors = np.zeros((3, count))

    def add(self, corners: IntArray, normals: FloatArray) -> None:
        """The planes through corners ``(n, K)`` with normals ``(n, 3)``, as long as the root of their weight."""
        count = self._matrices.shape[1]
        products = [normals[:, one] * normals[:, two] for one, two in _PAIRS]
        for corner in corners.T:
            labels = self._labels.take(corner)
            distance = (normals * self._shifts.take(corner, axis=0)).sum(axis=1)
            for entry, product in enumerate(products):
                self._matrices[entry] += np.bincount(labels, weights=product, minlength=count)
            for axis in range(3):
                self._vectors[axis] += np.bincount(labels, weights=normals[:, axis] * distance, minlength=count)

    def solve(self, means: FloatArray) -> FloatArray:
        found = np.empty(means.shape)

        def step(first: int) -> None:
            part = slice(first, first + _PART_CLUSTERS)
            found[part] = self._solved(part, means[part])

        count = len(means)
        run_all([partial(step, first) for first in range(0, count, _PART_CLUSTERS)], threaded=count > _PART_CLUSTERS)
        return found

    def _solved(self, part: slice, means: FloatArray) -> FloatArray:
        matrices = np.empty((len(means), 3, 3))
        for entry, (one, two) in zip(self._matrices, _PAIRS, strict=True):
            matrices[:, one, two] = matrices[:, two, one] = entry[part]
        rest = self._vectors[:, part].T - np.einsum("nij,nj->ni", matrices, means)
        values, axes = np.linalg.eigh(matrices)
        known = values > np.maximum(_FLAT * values[:, 2:], np.finfo(np.float64).tiny)
        inverse = np.divide(1.0, values, out=np.zeros_like(values), where=known)
        moved: FloatArray = means + np.einsum("nij,nj,nkj,nk->ni", axes, inverse, axes, rest, optimize=True)
        return moved
