"""Which vertices of lines to keep, so that the others lie near the straight lines between those."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from functools import partial

import numpy as np

from zarr_vectors.parallel import run_all
from zarr_vectors.pyramid.distances import distance_to_segments
from zarr_vectors.rowwise import take_rows
from zarr_vectors.typing import AnyArray, BoolArray, FloatArray, IntArray

__all__ = ["TOLERANCE", "Simplified", "simplify"]

TOLERANCE = 0.5
"""How far a vertex that is left out may be from its line, in bins."""
_BLOCK_ROWS = 1 << 16
"""Vertices that are worked on at once, in whole lines."""
_NOTHING = 1e-200
"""The square of a length in bins that is taken for none."""
_DEEP = 64
"""After so many splits every other one is in the middle, so that a spiral is not unrolled turn by turn."""


@dataclass(frozen=True)
class Simplified:
    """What is kept of lines.

    Args:
        kept: ``(N,)`` whether each vertex is kept.
        offsets: ``(P + 1,)`` int64 where each line begins among the vertices that are kept.
        nearest: ``(N,)`` int64 number, among these, of the nearer end of the segment that stands for each vertex.
        error: No vertex is farther from its segment than this, in the unit of the positions.
    """

    kept: BoolArray
    offsets: IntArray
    nearest: IntArray
    error: float


def simplify(positions: AnyArray, offsets: IntArray, bins: FloatArray) -> Simplified:
    """Lines with fewer vertices, by the way of Ramer, Douglas and Peucker.

    Each line is looked at by itself: what is kept of it does not depend on the others. Both ends are kept, and of a
    closed line that is not within the tolerance at least four vertices.

    Args:
        positions: ``(N, D)`` vertices of all lines one after another, of any type.
        offsets: ``(P + 1,)`` int64, as in ``Polylines``.
        bins: ``(D,)`` unit of each axis in which ``TOLERANCE`` is measured.

    Example:
        >>> bent = np.array([[0.0, 0], [1, 0.1], [2, 0], [2, 5]])
        >>> done = simplify(bent, np.array([0, 4]), np.array([1.0, 1.0]))
        >>> done.kept.tolist(), done.nearest.tolist(), round(done.error, 3)
        ([True, False, True, True], [0, 0, 1, 2], 0.1)
    """
    kept = np.zeros(len(positions), dtype=np.bool_)
    nearest = np.empty(len(positions), dtype=np.int64)
    sizes = np.zeros(len(offsets) - 1, dtype=np.int64)
    errors = [0.0]

    def step(lines: slice) -> None:
        bounds = offsets[lines.start : lines.stop + 1]
        rows = slice(int(bounds[0]), int(bounds[-1]))
        bounds = bounds - bounds[0]
        kept[rows] = stays = _kept(positions[rows], bounds, bins)
        before = np.concatenate([[0], np.cumsum(stays)])
        sizes[lines] = np.diff(before[bounds])
        nearest[rows], error = _nearest(positions[rows], stays, before)
        errors.append(error)

    blocks = list(_blocks(offsets))
    run_all([partial(step, lines) for lines in blocks], threaded=len(blocks) > 1)
    starts = np.concatenate([[0], np.cumsum(sizes)])
    for lines in blocks:
        nearest[offsets[lines.start] : offsets[lines.stop]] += starts[lines.start]
    return Simplified(kept, starts, nearest, max(errors))


def _blocks(offsets: IntArray) -> Iterator[slice]:
    """Lines that follow one another, about as many as make a block."""
    first, lines = 0, len(offsets) - 1
    while first < lines:
        last = int(np.searchsorted(offsets, offsets[first] + _BLOCK_ROWS, side="right")) - 1
        last = max(first + 1, min(last, lines))
        yield slice(first, last)
        first = last


def _kept(positions: AnyArray, offsets: IntArray, bins: FloatArray) -> BoolArray:
    kept = np.zeros(len(positions), dtype=np.bool_)
    filled = np.flatnonzero(np.diff(offsets))
    if not len(filled):
        return kept
    first, last = offsets[:-1][filled], offsets[1:][filled] - 1
    # Measured from the first vertex of each line, so that far from the origin nothing is lost.
    own = np.repeat(first, last - first + 1)
    bent = np.empty((positions.shape[1], len(positions)))
    for axis, size in enumerate(bins):
        column = positions[:, axis].astype(np.float64)
        bent[axis] = (column - column.take(own)) / size
    kept[first] = kept[last] = True
    _split(bent, first, last, kept)
    closed = (last - first >= 3) & (bent[:, last] == 0).all(axis=0)
    if closed.any():
        _open_up(bent, first[closed], last[closed], kept)
    return kept


def _split(bent: FloatArray, first: IntArray, last: IntArray, kept: BoolArray) -> None:
    """Keep the farthest vertex of every segment that is too far from its vertices, and go on with both parts."""
    depth = 0
    while True:
        inner = last - first > 1
        first, last = first[inner], last[inner]
        if not len(first):
            return
        far, worst = _farthest(bent, first, last)
        open_ = worst > TOLERANCE**2
        first, last, at = first[open_], last[open_], far[open_]
        depth += 1
        if depth > _DEEP and depth % 2:
            at = (first + last) // 2
        kept[at] = True
        first, last = np.stack([first, at], axis=1).ravel(), np.stack([at, last], axis=1).ravel()


def _farthest(bent: FloatArray, first: IntArray, last: IntArray) -> tuple[IntArray, FloatArray]:
    """The vertex between the ends of each segment that is farthest from it, the first of several, and how far squared.

    Args:
        bent: ``(D, N)`` vertices, as columns.
        first: ``(S,)`` one end of each segment.
        last: ``(S,)`` the other one, at least two vertices further.
    """
    away, line = _squares(bent, first, last, last)
    begins = np.flatnonzero(np.diff(line, prepend=-1))
    worst = np.maximum.reduceat(away, begins)
    hits = np.flatnonzero(away == worst.take(line))
    return first + 1 + hits.take(np.searchsorted(hits, begins)) - begins, worst


def _squares(bent: FloatArray, first: IntArray, last: IntArray, end: IntArray) -> tuple[FloatArray, IntArray]:
    """Squared distances of the vertices between ``first`` and ``last`` to segments from ``first`` to ``end``.

    Returns:
        Those of all segments one after another, and the number of the segment that each belongs to.
    """
    sizes = last - first - 1
    segment = np.repeat(np.arange(len(first)), sizes)
    rows = (first + 1 - np.cumsum(sizes) + sizes).take(segment)
    rows += np.arange(len(rows))
    starts = bent.take(first, axis=1)
    ways = bent.take(end, axis=1) - starts
    whole = (ways * ways).sum(axis=0)
    # A segment that is nothing next to a bin is its beginning.
    units = ways * np.divide(1, whole, out=np.zeros(len(whole)), where=whole > _NOTHING)
    along, away = np.zeros(len(rows)), np.zeros(len(rows))
    relative = []
    for column, start, unit in zip(bent, starts, units, strict=True):
        place = column.take(rows)
        place -= start.take(segment)
        relative.append(place)
        along += place * unit.take(segment)
    np.clip(along, 0, 1, out=along)
    for place, way in zip(relative, ways, strict=True):
        rest = way.take(segment)
        rest *= along
        rest -= place
        rest *= rest
        away += rest
    return away, segment


def _open_up(bent: FloatArray, first: IntArray, last: IntArray, kept: BoolArray) -> None:
    """Keep a fourth vertex of closed lines that would go from one vertex to another and back."""
    before: IntArray = np.cumsum(kept)
    flat: BoolArray = before[last] - before[first] == 2
    if not flat.any():
        return
    first, last = first[flat], last[flat]
    corner = np.flatnonzero(kept)[before[first]]
    away, line = _squares(bent, first, last, corner)
    begins = np.flatnonzero(np.diff(line, prepend=-1))
    away[begins + corner - first - 1] = -1
    hits = np.flatnonzero(away == np.maximum.reduceat(away, begins)[line])
    fourth = first + 1 + hits[np.searchsorted(hits, begins)] - begins
    kept[fourth] = True
    # Where a segment was near enough to its vertices, its parts need not be.
    two = np.sort([corner, fourth], axis=0)
    _split(bent, np.concatenate([first, *two]), np.concatenate([*two, last]), kept)


def _nearest(positions: AnyArray, kept: BoolArray, before: IntArray) -> tuple[IntArray, float]:
    """For each vertex the number of the nearer end of its segment, and the farthest from its segment that one is."""
    nearest = before[1:] - 1
    dropped = np.flatnonzero(~kept)
    if not len(dropped):
        return nearest, 0.0
    rows = np.flatnonzero(kept)
    left = nearest[dropped]
    points, a, b = (take_rows(positions, taken).astype(np.float64) for taken in (dropped, rows[left], rows[left + 1]))
    error = float(distance_to_segments(points, a, b).max())
    a -= points
    b -= points
    nearer = np.einsum("ij,ij->i", b, b) < np.einsum("ij,ij->i", a, a)
    nearest[dropped[nearer]] += 1
    return nearest, error
