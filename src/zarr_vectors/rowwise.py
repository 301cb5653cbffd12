"""Row operations that numpy does several times faster when asked in another way."""

from __future__ import annotations

from collections.abc import Callable
from functools import cached_property, partial
from itertools import pairwise
from typing import Any, TypeAlias

import numpy as np

from zarr_vectors.parallel import run_all
from zarr_vectors.typing import AnyArray, IntArray

__all__ = ["RowChoice", "RowPlaces", "RowRuns", "consecutive", "extremes", "row_numbers", "take_rows"]

_PART_ROWS = 1 << 16
"""Rows that are gathered at once: their numbers stay in the cache."""
_THREADED_BYTES = 4 << 20

RowChoice: TypeAlias = "RowRuns | RowPlaces | IntArray"
"""Which rows of a table, in which order."""


class _Runs:
    """Runs of row numbers, one after another.

    Args:
        starts: ``(R,)`` first number of each run.
        counts: ``(R,)`` its numbers.
    """

    def __init__(self, starts: IntArray, counts: IntArray) -> None:
        self.starts = starts
        self.counts = counts
        self._ends = np.cumsum(counts)

    def __len__(self) -> int:
        return int(self._ends[-1]) if len(self._ends) else 0

    def _in_order(self, first: int = 0, last: int | None = None) -> IntArray:
        """The numbers of some of the runs, of all by default."""
        return consecutive(self.starts[first:last], self.counts[first:last])

    def _each_part(self, use: Callable[[slice, IntArray], None], *, threaded: bool) -> None:
        """Call with which rows in a row, and their numbers, for parts whose numbers stay in the cache."""
        cuts = np.searchsorted(self._ends, np.arange(_PART_ROWS, len(self), _PART_ROWS), side="right")
        cuts = np.unique(np.concatenate([[0], cuts, [len(self._ends)]])).tolist()

        def step(first: int, last: int) -> None:
            rows = slice(int(self._ends[first] - self.counts[first]), int(self._ends[last - 1]))
            use(rows, self._in_order(first, last))

        run_all([partial(step, first, last) for first, last in pairwise(cuts)], threaded=threaded)


class RowRuns(_Runs):
    """Rows of a table, given as runs of neighbours in any order; runs may overlap.

    Args:
        starts: ``(R,)`` first row of each run.
        counts: ``(R,)`` its rows.

    Example:
        >>> runs = RowRuns(np.array([4, 0]), np.array([2, 1]))
        >>> len(runs), runs.numbers.tolist(), take_rows(np.arange(10) * 10, runs).tolist()
        (3, [4, 5, 0], [40, 50, 0])
    """

    @cached_property
    def numbers(self) -> IntArray:
        """``(N,)`` number of each row."""
        return self._in_order()

    def take(self, table: AnyArray) -> AnyArray:
        """The rows, gathered part by part.

        Raises:
            IndexError: A run leaves the table.
        """
        if len(self) <= _PART_ROWS or not _is_plain(table):
            taken: AnyArray = table.take(self.numbers, axis=0)
            return taken
        low, high = self._extent()
        if low < 0 or high > len(table):
            raise IndexError(f"rows {low} to {high - 1} of a table of {len(table)}")
        result = np.empty((len(self), *table.shape[1:]), dtype=table.dtype)
        source, target = _as_items(table), _as_items(result)

        def gather(rows: slice, numbers: IntArray) -> None:
            # Without "clip", numpy would gather into a buffer of its own first.
            source.take(numbers, axis=0, out=target[rows], mode="clip")

        self._each_part(gather, threaded=result.nbytes >= _THREADED_BYTES)
        return result

    def _extent(self) -> tuple[int, int]:
        """The least row, and the one after the greatest."""
        filled = self.counts > 0
        return int(self.starts[filled].min()), int((self.starts + self.counts)[filled].max())


class RowPlaces(_Runs):
    """All rows of a table in another order, given by where each run of neighbours goes.

    Args:
        starts: ``(R,)`` new place of the first row of each run; the runs follow one another in the table.
        counts: ``(R,)`` rows of each run.

    Example:
        >>> places = RowPlaces(np.array([1, 0]), np.array([2, 1]))
        >>> places.is_complete, take_rows(np.array([10, 20, 30]), places).tolist(), places.numbers.tolist()
        (True, [30, 10, 20], [2, 0, 1])
    """

    @property
    def is_complete(self) -> bool:
        """Whether every place from the first to the last is taken once; only then may rows be taken."""
        starts, counts = self.starts, self.counts
        if not counts.all():
            starts, counts = starts[counts > 0], counts[counts > 0]
        ends = starts + counts
        if not len(starts):
            return True
        if int(starts.min()) != 0 or int(ends.max()) != len(self):
            return False
        begins = np.zeros(len(self) + 1, dtype=bool)
        begins[starts] = True
        begins[-1] = True
        # Each run then reaches at least to the next; with no more rows than places, none reaches further.
        return int(np.count_nonzero(begins)) == len(starts) + 1 and bool(begins[ends].all())

    @cached_property
    def numbers(self) -> IntArray:
        """``(N,)`` row of the table that comes to each place."""
        return self.take(np.arange(len(self), dtype=np.int64))

    def take(self, table: AnyArray) -> AnyArray:
        """The rows in their new order."""
        result: AnyArray = np.empty_like(table)
        if not _is_plain(table):
            result[self._in_order()] = table
            return result
        source, target = _as_items(table), _as_items(result)

        def spread(rows: slice, numbers: IntArray) -> None:
            np.put(target, numbers, source[rows], mode="clip")

        self._each_part(spread, threaded=result.nbytes >= _THREADED_BYTES)
        return result


def consecutive(starts: IntArray, counts: IntArray) -> IntArray:
    """``(sum(counts),)`` the numbers from each start on, so many of each.

    Example:
        >>> consecutive(np.array([7, 2]), np.array([2, 3])).tolist()
        [7, 8, 2, 3, 4]
    """
    if not counts.all():
        starts, counts = starts[counts > 0], counts[counts > 0]
    if not len(counts):
        return np.zeros(0, dtype=np.int64)
    # Every number is one more than the one before, but for the first of each run.
    ends = np.cumsum(counts)
    numbers = np.ones(int(ends[-1]), dtype=np.int64)
    numbers[0] = starts[0]
    numbers[ends[:-1]] = starts[1:] - starts[:-1] - counts[:-1] + 1
    return np.cumsum(numbers, out=numbers)


def _is_plain(table: AnyArray) -> bool:
    """Whether rows are bytes that may be moved as they are."""
    special = table.dtype.hasobject or isinstance(table, np.ma.MaskedArray)
    return not special and table.flags.c_contiguous and table.nbytes > 0


def row_numbers(rows: RowChoice) -> IntArray:
    """``(N,)`` number of each row that is chosen."""
    return rows.numbers if isinstance(rows, RowRuns | RowPlaces) else rows


def _as_items(table: AnyArray) -> AnyArray:
    """A view of a table with one item for each row, which numpy copies at once."""
    return table.reshape(-1).view(np.uint8).view(np.dtype((np.void, table.nbytes // len(table))))


def take_rows(array: AnyArray, rows: Any) -> AnyArray:
    """``array[rows]`` for an index array, a mask, a slice or runs; ``take`` is much faster than indexing short rows.

    Example:
        >>> take_rows(np.array([[1, 2], [3, 4], [5, 6]]), np.array([True, False, True])).tolist()
        [[1, 2], [5, 6]]
    """
    if isinstance(rows, slice):
        return array[rows]
    if isinstance(rows, RowRuns | RowPlaces):
        return rows.take(array)
    rows = np.asarray(rows)
    if rows.dtype == bool:
        rows = np.flatnonzero(rows)
    nbytes = len(rows) * (array.nbytes // max(1, len(array)))
    if nbytes < _THREADED_BYTES or not _is_plain(array):
        taken: AnyArray = array.take(rows, axis=0)
        return taken
    # Rows from all over a table are waited for one by one, which threads do side by side.
    result = np.empty((len(rows), *array.shape[1:]), dtype=array.dtype)

    def gather(start: int) -> None:
        part = slice(start, start + _PART_ROWS)
        result[part] = array.take(rows[part], axis=0)

    run_all([partial(gather, start) for start in range(0, len(rows), _PART_ROWS)], threaded=True)
    return result


def extremes(rows: AnyArray) -> tuple[AnyArray, AnyArray]:
    """Least and greatest value of each column; NaN where a column holds one. Reduces column by column.

    Example:
        >>> low, high = extremes(np.array([[1, 8], [3, 4]]))
        >>> low.tolist(), high.tolist()
        ([1, 4], [3, 8])
    """
    columns = range(rows.shape[1])
    return (
        np.array([rows[:, axis].min() for axis in columns], dtype=rows.dtype),
        np.array([rows[:, axis].max() for axis in columns], dtype=rows.dtype),
    )
