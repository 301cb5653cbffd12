"""Where a surface ends: edges that have one face."""

from __future__ import annotations

import numpy as np

from zarr_vectors.pyramid.coarse import clusters_of
from zarr_vectors.typing import AnyArray, BoolArray, IntArray

__all__ = ["border_edges"]

_SIDES = ((0, 1), (1, 2), (2, 0))


def border_edges(positions: AnyArray, faces: IntArray, objects: IntArray | None = None) -> tuple[IntArray, IntArray]:
    """The edges that one face has, and no other.

    Vertices of an object at the same place are one here: files that give each face corners of its own describe closed
    surfaces, too.

    Args:
        positions: ``(N, D)``.
        faces: ``(F, 3)`` rows of ``positions``.
        objects: ``(N,)`` object of each vertex; None for one.

    Returns:
        ``(B, 2)`` rows of ``positions``, and ``(B,)`` the face of each edge.

    Example:
        >>> edges, owners = border_edges(np.zeros((4, 2)) + np.arange(4)[:, None], np.array([[0, 1, 2], [2, 1, 3]]))
        >>> edges.tolist(), owners.tolist()
        ([[0, 1], [1, 3], [2, 0], [3, 2]], [0, 1, 0, 1])
    """
    rows = np.arange(len(positions))
    # Which vertices have an edge of one face is told by a sort of numbers alone; few edges are then left to look at.
    keys = np.concatenate([_keys(faces[:, one], faces[:, two], len(rows)) for one, two in _SIDES])
    single = _singles(np.sort(keys))
    near = np.zeros(len(rows), dtype=np.bool_)
    near[single // max(len(rows), 1)] = True
    near[single % max(len(rows), 1)] = True
    edges, owners = _within(faces, near)
    alone = np.isin(_keys(edges[:, 0], edges[:, 1], len(rows)), single)
    edges, owners = edges[alone], owners[alone]
    if not len(edges):
        return edges, owners
    at = np.unique(edges)
    welded = rows.copy()
    owners_at = [] if objects is None else [objects[at]]
    welded[at] = clusters_of(*owners_at, *_as_keys(positions[at])).labels
    keys = _keys(welded[edges[:, 0]], welded[edges[:, 1]], len(rows))
    _, which, times = np.unique(keys, return_inverse=True, return_counts=True)
    left = times[which] == 1
    return edges[left], owners[left]


def _keys(one: IntArray, two: IntArray, count: int) -> IntArray:
    """A number for each edge, the same both ways."""
    return np.minimum(one, two) * count + np.maximum(one, two)


def _singles(keys: IntArray) -> IntArray:
    """Of ascending numbers those that occur once."""
    new = np.ones(len(keys) + 1, dtype=np.bool_)
    np.not_equal(keys[1:], keys[:-1], out=new[1:-1])
    alone: IntArray = keys[new[1:] & new[:-1]] if len(keys) else keys
    return alone


def _within(faces: IntArray, near: BoolArray) -> tuple[IntArray, IntArray]:
    """The sides of faces both of whose ends are marked, and the face of each."""
    marked = near[faces]
    found = [np.flatnonzero(marked[:, one] & marked[:, two]) for one, two in _SIDES]
    edges = [faces[rows][:, side] for rows, side in zip(found, _SIDES, strict=True)]
    return np.concatenate(edges), np.concatenate(found)


def _as_keys(positions: AnyArray) -> list[IntArray]:
    """Integers for each axis that are equal where coordinates are."""
    return [np.unique(column, return_inverse=True)[1].astype(np.int64) for column in positions.T]
