"""How far vertices are from a coarser geometry, measured only where it decides."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from functools import partial
from typing import NamedTuple, Protocol, TypeAlias

import numpy as np

from zarr_vectors.typing import FloatArray, IntArray

__all__ = ["Incidence", "Near", "Wider", "farthest_from_links", "incidence", "neighbours"]

_FIRST_PAIRS = 1 << 12
_MOST_PAIRS = 1 << 16
"""Distances that are taken at once: what they need stays in the cache."""

Distance: TypeAlias = Callable[[IntArray, IntArray], FloatArray]


class Near(Protocol):
    """The links near each vertex."""

    @property
    def counts(self) -> IntArray:
        """``(M,)`` links near each vertex."""

    def expand(self, vertices: IntArray) -> tuple[IntArray, IntArray]:
        """``(P,)`` which of the vertices, in order, and ``(P,)`` a link near it."""


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

    def expand(self, vertices: IntArray) -> tuple[IntArray, IntArray]:
        """As in ``Near``."""
        counts = self.counts[vertices]
        begins = np.cumsum(counts) - counts
        repeated = np.repeat(np.arange(len(vertices)), counts)
        return repeated, self.links[np.arange(len(repeated)) + (self.starts[vertices] - begins)[repeated]]


class Wider:
    """The links at the neighbours of each vertex.

    Args:
        at: The links at each vertex.
        beside: The neighbours of each vertex.
        most: Of a vertex with more links near it than this there are none.
    """

    def __init__(self, at: Incidence, beside: Incidence, most: int = 256) -> None:
        self._at = at
        self._beside = beside
        owners, others = beside.expand(np.arange(len(beside.counts)))
        counts = np.zeros(len(beside.counts), dtype=np.int64)
        np.add.at(counts, owners, at.counts[others])
        self.counts = np.where(counts <= most, counts, 0)

    def expand(self, vertices: IntArray) -> tuple[IntArray, IntArray]:
        """As in ``Near``; only for vertices that have links."""
        first, beside = self._beside.expand(vertices)
        second, links = self._at.expand(beside)
        return first[second], links


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


def neighbours(links: IntArray, vertices: int) -> Incidence:
    """The vertices that have a link with each, as ``links`` of the result.

    Example:
        >>> neighbours(np.array([[0, 1, 2], [2, 1, 3]]), 4).links.tolist()
        [1, 2, 0, 2, 3, 0, 1, 3, 1, 2]
    """
    width = links.shape[1]
    sides = [links[:, [one, two]] for one in range(width) for two in range(width) if one != two]
    ends = np.concatenate([links[:0, :2], *sides])
    keys = np.unique(ends[:, 0] * vertices + ends[:, 1])
    owners = keys // max(vertices, 1)
    counts = np.bincount(owners, minlength=vertices)
    return Incidence(keys - owners * vertices, np.cumsum(counts) - counts, counts)


def farthest_from_links(
    bounds: FloatArray,
    owners: IntArray,
    near: Sequence[Near],
    distance: Distance,
    least: float = 0.0,
) -> float:
    """The largest of the distances of points, each to the nearest of what is known to be near it.

    Args:
        bounds: ``(N,)`` a distance that each point is known not to exceed.
        owners: ``(N,)`` the vertex whose links each point is held against.
        near: The links near each vertex, and those to look at where these do not bring a point near enough.
        distance: Of points from links, both given by their rows, pair by pair.
        least: What is less is not measured again.

    Returns:
        The maximum over the points of the least of their bound and the distances to the links; at most ``least`` more
        than this if that is less.

    Example:
        >>> three = incidence(np.array([[0, 1], [1, 2]]), 3)
        >>> bounds, owners = np.array([5.0, 9.0]), np.array([0, 1])
        >>> farthest_from_links(bounds, owners, [three], lambda points, links: 1.0 + points + links)
        2.0
    """
    if not near:
        return float(bounds.max(initial=0.0))
    counts = near[0].counts[owners]
    worst = farthest_from_links(bounds[counts == 0], owners[counts == 0], near[1:], distance, least)
    waiting = np.flatnonzero(counts > 0)
    small = bounds[waiting] <= max(worst, least)
    worst = max(worst, float(bounds[waiting[small]].max(initial=0.0)))
    # The largest bounds first: as soon as the rest cannot matter, nothing more is measured.
    waiting = waiting[~small]
    waiting = waiting[np.argsort(-bounds[waiting], kind="stable")]
    ends = np.cumsum(counts[waiting])
    first, pairs = 0, _FIRST_PAIRS
    while first < len(waiting):
        if bounds[waiting[first]] <= max(worst, least):
            return max(worst, float(bounds[waiting[first]]))
        done = int(ends[first - 1]) if first else 0
        last = max(first + 1, int(np.searchsorted(ends, done + pairs, side="right")))
        points = waiting[first:last]
        repeated, links = near[0].expand(owners[points])
        begins = ends[first:last] - counts[points] - done
        found = np.minimum.reduceat(distance(points[repeated], links), begins)
        found = np.minimum(found, bounds[points])
        far = found > worst
        rest = points[far]
        worst = max(
            worst, farthest_from_links(found[far], owners[rest], near[1:], partial(_of_rows, distance, rest), least)
        )
        first, pairs = last, min(2 * pairs, _MOST_PAIRS)
    return worst


def _of_rows(distance: Distance, rows: IntArray, points: IntArray, links: IntArray) -> FloatArray:
    """The distances of points that are numbered among some rows."""
    return distance(rows[points], links)
