"""How far vertices are from a coarser geometry, measured only where it decides."""

from __future__ import annotations

from collections.abc import Callable
from typing import NamedTuple

import numpy as np

from zarr_vectors.typing import FloatArray, IntArray

__all__ = ["Incidence", "farthest", "incidence"]

_FIRST_PAIRS = 1 << 12
_MOST_PAIRS = 1 << 16
"""Distances that are taken at once: what they need stays in the cache."""


class Incidence(NamedTuple):
    """The links at each vertex.

    Args:
        links: Rows of the links, vertex after vertex.
        starts: ``(M,)`` place in ``links`` of the first link of each vertex.
        counts: ``(M,)`` links of each vertex.
    """

    links: IntArray
    starts: IntArray
    counts: IntArray


def incidence(links: IntArray, vertices: int) -> Incidence:
    """The links at each vertex.

    Args:
        links: ``(E, L)`` rows of vertices.
        vertices: How many there are.

    Example:
        >>> found = incidence(np.array([[0, 1], [1, 2]]), 3)
        >>> found.links.tolist(), found.starts.tolist(), found.counts.tolist()
        ([0, 0, 1, 1], [0, 1, 3], [1, 2, 1])
    """
    counts = np.bincount(links.ravel(), minlength=vertices)
    order = np.argsort(links.ravel(), kind="stable")
    return Incidence(order // links.shape[1], np.cumsum(counts) - counts, counts)


def farthest(
    bounds: FloatArray, owners: IntArray, at: Incidence, distance: Callable[[IntArray, IntArray], FloatArray]
) -> float:
    """The largest of the distances of points, each to the nearest of what is known to be near it.

    Args:
        bounds: ``(N,)`` a distance that each point is known not to exceed.
        owners: ``(N,)`` the vertex whose links each point is held against.
        at: The links at each vertex.
        distance: Of points from links, both given by their rows, pair by pair.

    Returns:
        The maximum over the points of the least of their bound and the distances to the links.

    Example:
        >>> three = incidence(np.array([[0, 1], [1, 2]]), 3)
        >>> farthest(np.array([5.0, 9.0]), np.array([0, 1]), three, lambda points, links: 1.0 + points + links)
        2.0
    """
    counts = at.counts[owners]
    worst = float(bounds[counts == 0].max(initial=0.0))
    waiting = np.flatnonzero((counts > 0) & (bounds > worst))
    # The largest bounds first: as soon as the rest cannot matter, nothing more is measured.
    waiting = waiting[np.argsort(-bounds[waiting], kind="stable")]
    ends = np.cumsum(counts[waiting])
    first, pairs = 0, _FIRST_PAIRS
    while first < len(waiting) and bounds[waiting[first]] > worst:
        done = int(ends[first - 1]) if first else 0
        last = max(first + 1, int(np.searchsorted(ends, done + pairs, side="right")))
        points = waiting[first:last]
        begins = ends[first:last] - counts[points] - done
        repeated = np.repeat(np.arange(len(points)), counts[points])
        places = np.arange(len(repeated)) - begins[repeated] + at.starts[owners[points]][repeated]
        found = np.minimum.reduceat(distance(points[repeated], at.links[places]), begins)
        worst = max(worst, float(np.minimum(found, bounds[points]).max()))
        first, pairs = last, min(2 * pairs, _MOST_PAIRS)
    return worst
