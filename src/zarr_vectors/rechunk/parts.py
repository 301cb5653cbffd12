"""Lines of which vertices have been taken away: what is left of each, and the ids of these parts."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from zarr_vectors.spatial.partition import stable_order
from zarr_vectors.typing import AnyArray, IntArray

__all__ = ["LineParts", "LineRuns", "NewIds", "number_parts"]


@dataclass(frozen=True, eq=False)
class LineRuns:
    """Vertices that follow one another along their line.

    Args:
        lines: ``(R,)`` id of each run's line.
        starts: ``(R,)`` number of its first vertex along the line.
        counts: ``(R,)`` vertices.
    """

    lines: IntArray
    starts: IntArray
    counts: IntArray

    @classmethod
    def of_rows(cls, lines: IntArray, numbers: IntArray) -> LineRuns:
        """Runs of rows given by line and number along it, as they follow one another.

        Example:
            >>> LineRuns.of_rows(np.array([5, 5, 5, 7]), np.array([0, 1, 4, 5])).starts.tolist()
            [0, 4, 5]
        """
        begins = np.ones(len(lines), dtype=bool)
        begins[1:] = (lines[1:] != lines[:-1]) | (numbers[1:] != numbers[:-1] + 1)
        first = np.flatnonzero(begins)
        return cls(lines[first], numbers[first], np.diff(first, append=len(lines)))

    @classmethod
    def joined(cls, runs: Sequence[LineRuns]) -> LineRuns:
        """All runs of several batches."""
        none = np.zeros(0, dtype=np.int64)
        columns = [[getattr(one, name) for one in runs] for name in ("lines", "starts", "counts")]
        return cls(*(np.concatenate([none, *column]) for column in columns))

    def parts(self) -> LineParts:
        """The parts that these runs make up."""
        order = stable_order([self.lines, self.starts])
        lines, starts, counts = self.lines[order], self.starts[order], self.counts[order]
        begins = np.ones(len(lines), dtype=bool)
        begins[1:] = (lines[1:] != lines[:-1]) | (starts[1:] != starts[:-1] + counts[:-1])
        first = np.flatnonzero(begins)
        lines, starts = lines[first], starts[first]
        return LineParts(lines, starts, _ranks(lines), lines.copy())


def _ranks(lines: IntArray) -> IntArray:
    """``(P,)`` how many parts of the same line come before each, of parts sorted by line."""
    begins = np.ones(len(lines), dtype=bool)
    begins[1:] = lines[1:] != lines[:-1]
    first = np.flatnonzero(begins)
    return np.arange(len(lines)) - np.repeat(first, np.diff(first, append=len(lines)))


@dataclass(eq=False)
class LineParts:
    """What is left of lines.

    Args:
        lines: ``(P,)`` the line that each part is of, ascending.
        starts: ``(P,)`` number of its first vertex along that line.
        ranks: ``(P,)`` parts of the same line before it.
        ids: ``(P,)`` id of each part; that of its line until ``number_parts`` has been called.
    """

    lines: IntArray
    starts: IntArray
    ranks: IntArray
    ids: IntArray

    def of(self, lines: AnyArray, numbers: AnyArray) -> tuple[IntArray, IntArray]:
        """Id of the part, and number along it, of vertices that are left.

        Args:
            lines: ``(n,)`` id of the line of each.
            numbers: ``(n,)`` its number along that line.
        """
        if not len(lines):
            return np.zeros(0, dtype=np.int64), np.zeros(0, dtype=np.int64)
        known, place = np.unique(self.lines, return_inverse=True)
        span = int(max(self.starts.max(), np.max(numbers))) + 1
        keys = place * span + self.starts
        wanted = np.searchsorted(known, lines) * span + numbers
        part = np.searchsorted(keys, wanted, side="right") - 1
        return self.ids[part], np.asarray(numbers - self.starts[part], dtype=np.int64)


@dataclass(frozen=True, eq=False)
class NewIds:
    """Ids that parts of lines have got, on all levels.

    Args:
        ids: ``(n,)`` the ids, ascending.
        lines: ``(n,)`` the line that each stems from.
    """

    ids: IntArray
    lines: IntArray


def number_parts(levels: Sequence[LineParts], first: int) -> NewIds:
    """Give parts their ids: the first of a line keeps the line's, and the n-th has the same on every level.

    Args:
        levels: The parts on each level; their ``ids`` are set.
        first: Where new ids begin.
    """
    pairs = [np.stack([one.lines, one.ranks], axis=1)[one.ranks > 0] for one in levels]
    known = np.unique(np.concatenate([*pairs, np.zeros((0, 2), dtype=np.int64)]), axis=0)
    for one, wanted in zip(levels, pairs, strict=True):
        both = np.unique(np.concatenate([known, wanted]), axis=0, return_inverse=True)[1].ravel()
        one.ids[one.ranks > 0] = first + both[len(known) :]
    return NewIds(first + np.arange(len(known)), known[:, 0])
