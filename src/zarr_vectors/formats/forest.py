"""What formats ask of graphs: whether they are trees, which way to a root, and in which order.

All of it works on whole arrays; the number of steps grows with the logarithm of the longest path.
"""

from __future__ import annotations

import numpy as np

from zarr_vectors.typing import IntArray

__all__ = ["components", "depths", "first_of_circle", "is_forest", "root_at_first"]


def first_of_circle(parents: IntArray) -> int | None:
    """A vertex whose ancestors lead back to it, or None.

    Args:
        parents: ``(N,)`` row of each vertex's parent, -1 for a root.

    Example:
        >>> first_of_circle(np.array([1, 2, 1])), first_of_circle(np.array([1, -1]))
        (1, None)
    """
    up = np.where(parents < 0, np.arange(len(parents)), parents)
    for _ in range(max(1, len(parents)).bit_length()):
        up = up[up]
    lost = np.flatnonzero(parents[up] >= 0)
    return int(up[lost].min()) if len(lost) else None


def depths(parents: IntArray) -> IntArray:
    """``(N,)`` number of edges from each vertex of a forest to its root.

    Example:
        >>> depths(np.array([1, 2, -1])).tolist()
        [2, 1, 0]
    """
    up = np.where(parents < 0, np.arange(len(parents)), parents)
    steps = (parents >= 0).astype(np.int64)
    while steps[up].any():
        steps = steps + steps[up]
        up = up[up]
    return steps


def components(edges: IntArray, count: int) -> IntArray:
    """``(N,)`` the first vertex of the connected part that each vertex belongs to.

    Args:
        edges: ``(E, 2)`` vertex rows, in either direction.
        count: Number of vertices.

    Example:
        >>> components(np.array([[3, 1], [1, 2]]), 5).tolist()
        [0, 1, 1, 1, 4]
    """
    label = np.arange(count)
    while True:
        ends = label[edges]
        least = ends.min(axis=1)
        lower = label.copy()
        for side in (0, 1):
            np.minimum.at(lower, ends[:, side], least)
        while not np.array_equal(further := lower[lower], lower):
            lower = further
        if np.array_equal(lower, label):
            return label
        label = lower


def is_forest(edges: IntArray, count: int) -> bool:
    """Whether edges, in either direction, make no circle; an edge that is there twice makes one.

    Example:
        >>> is_forest(np.array([[0, 1], [1, 2]]), 3), is_forest(np.array([[0, 1], [1, 2], [2, 0]]), 3)
        (True, False)
    """
    if len(edges) >= max(count, 1):
        return False
    parts = int((components(edges, count) == np.arange(count)).sum())
    return len(edges) == count - parts


def root_at_first(edges: IntArray, count: int) -> IntArray:
    """``(N,)`` the parent of each vertex of a forest, -1 for the first vertex of each tree, which is its root.

    The parents are those that a walk from the roots finds. They are read off a tour that passes every edge once each
    way: the way that comes first leads down.

    Example:
        >>> root_at_first(np.array([[0, 2], [1, 2]]), 4).tolist()
        [-1, 2, 0, -1]
    """
    parents = np.full(count, -1, dtype=np.int64)
    half = len(edges)
    if not half:
        return parents
    source = np.concatenate([edges[:, 0], edges[:, 1]])
    order = np.argsort(source, kind="stable")
    ordered = source[order]
    first = np.concatenate([[True], ordered[1:] != ordered[:-1]])
    starts = np.flatnonzero(first)
    # The way that leaves the same vertex next; after the last one comes the first again.
    behind = np.arange(1, 2 * half + 1)
    behind[np.concatenate([starts[1:] - 1, [2 * half - 1]])] = starts
    around = np.empty(2 * half, dtype=np.int64)
    around[order] = order[behind]
    back = np.concatenate([np.arange(half, 2 * half), np.arange(half)])
    following = around[back]
    # A tour ends where it would leave its root by the first way again.
    roots = components(edges, count)
    first_ways = order[starts[roots[ordered[starts]] == ordered[starts]]]
    end = np.zeros(2 * half, dtype=bool)
    end[first_ways] = True
    ends = end[following]
    following[ends] = np.flatnonzero(ends)
    left = (~ends).astype(np.int64)
    while left[following].any():
        left = left + left[following]
        following = following[following]
    down = left[:half] > left[half:]
    parents[np.where(down, edges[:, 1], edges[:, 0])] = np.where(down, edges[:, 0], edges[:, 1])
    return parents
