"""Rows of a level in memory, and what it takes to line them up."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field, replace

import numpy as np

from zarr_vectors import constants
from zarr_vectors.core.documents import ColumnSpec
from zarr_vectors.exceptions import CorruptionError
from zarr_vectors.geometry import Categorical, Column, take_column
from zarr_vectors.rowwise import RowChoice, take_rows
from zarr_vectors.spatial.grid import number_rows
from zarr_vectors.storage.cells import CellRead
from zarr_vectors.typing import AnyArray, BoolArray, IntArray

__all__ = [
    "RowFinder",
    "Rows",
    "categorical",
    "distinct_numbers",
    "distinct_rows",
    "find_rows",
    "joined_rows",
    "part_of",
    "take_known",
    "with_gaps",
]

_MOST_PLACES = 2**22
"""Blocks of chunks up to this size are worth a table of their places."""


@dataclass
class Rows:
    """Rows of a level.

    Args:
        positions: ``(N, D)``.
        columns: Vertex and fragment attributes by name, ``N`` rows each.
        object_ids: ``(N,)`` owner of each row, -1 for none; None where the level has no objects.
        errors: What could not be read.
        per_fragment: Names of the columns that hold fragment attributes.
        places: ``(N, 2)`` place of each row's chunk among those that hold vertices, and its row in there; None unless
            asked for.
        looked: How many rows were read to find them.
        numbered: Whether the column ``row_id`` holds row ids, which are no attribute.
    """

    positions: AnyArray
    columns: dict[str, Column] = field(default_factory=dict)
    object_ids: IntArray | None = None
    errors: list[str] = field(default_factory=list)
    per_fragment: frozenset[str] = frozenset()
    places: IntArray | None = None
    looked: int = 0
    numbered: bool = False

    def take(self, rows: AnyArray | RowChoice) -> Rows:
        """The rows of an index, a mask, runs or places."""
        if isinstance(rows, np.ndarray) and rows.dtype == bool:
            rows = np.flatnonzero(rows)
        return Rows(
            take_rows(self.positions, rows),
            {name: take_column(column, rows) for name, column in self.columns.items()},
            None if self.object_ids is None else take_rows(self.object_ids, rows),
            self.errors,
            self.per_fragment,
            None if self.places is None else take_rows(self.places, rows),
            self.looked,
            self.numbered,
        )

    @property
    def row_ids(self) -> IntArray | None:
        """``(N,)`` row ids, -1 for none; None where none were read."""
        column = self.columns.get(constants.ROW_ID) if self.numbered else None
        return None if column is None else np.ma.filled(column, -1).reshape(-1)

    @property
    def attributes(self) -> dict[str, Column]:
        """The columns without row ids."""
        columns = dict(self.columns)
        if self.numbered:
            columns.pop(constants.ROW_ID, None)
        return columns

    def without(self, names: Sequence[str]) -> Rows:
        """The rows without some columns."""
        columns = {name: column for name, column in self.columns.items() if name not in names}
        return replace(self, columns=columns, per_fragment=self.per_fragment - set(names))


def joined_rows(parts: Sequence[Rows]) -> Rows:
    """Rows of one level that were read part by part, as one.

    Args:
        parts: At least one; all with the same columns.
    """
    if len(parts) == 1:
        return parts[0]
    first = parts[0]
    owners = [part.object_ids for part in parts if part.object_ids is not None]
    places = [part.places for part in parts if part.places is not None]
    return Rows(
        np.concatenate([part.positions for part in parts]),
        {name: _joined_column([part.columns[name] for part in parts]) for name in first.columns},
        np.concatenate(owners) if len(owners) == len(parts) else None,
        list(dict.fromkeys(error for part in parts for error in part.errors)),
        first.per_fragment,
        np.concatenate(places) if len(places) == len(parts) else None,
        sum(part.looked for part in parts),
        first.numbered,
    )


def _joined_column(columns: Sequence[Column]) -> Column:
    """Columns of one attribute; its values may be missing in some parts."""
    first = columns[0]
    if isinstance(first, Categorical):
        return Categorical(np.concatenate([column.codes for column in columns]), first.categories, first.ordered)  # type: ignore[union-attr]
    masked = any(isinstance(column, np.ma.MaskedArray) for column in columns)
    joined: AnyArray = (np.ma.concatenate if masked else np.concatenate)(columns)
    return joined


def find_rows(haystack: IntArray, needles: IntArray) -> IntArray:
    """``(n,)`` place of each coordinate in a sorted list of coordinates; -1 where it is not there."""
    if not len(haystack) or not len(needles):
        return np.full(len(needles), -1, dtype=np.int64)
    if len(haystack) == len(needles) and np.array_equal(haystack, needles):
        return np.arange(len(needles), dtype=np.int64)
    numbers = number_rows(np.concatenate([haystack, needles]))
    keys, wanted = numbers[: len(haystack)], numbers[len(haystack) :]
    order = np.argsort(keys, kind="stable")
    place = np.minimum(np.searchsorted(keys[order], wanted), len(keys) - 1)
    return np.where(keys[order][place] == wanted, order[place], -1)


class RowFinder:
    """Finds coordinates in a list that is searched many times.

    Args:
        haystack: ``(n, K)`` distinct coordinates.

    Example:
        >>> RowFinder(np.array([[0, 0], [2, 5]])).find(np.array([[2, 5], [1, 1], [9, 9]])).tolist()
        [1, -1, -1]
    """

    def __init__(self, haystack: IntArray) -> None:
        self._haystack = haystack
        self._table: IntArray | None = None
        if len(haystack):
            self._low = haystack.min(axis=0)
            self._span = haystack.max(axis=0) - self._low + 1
            if float(np.prod(self._span.astype(np.float64))) <= _MOST_PLACES:
                self._table = np.full(tuple(self._span.tolist()), -1, dtype=np.int64)
                self._table[tuple((haystack - self._low).T)] = np.arange(len(haystack))

    def find(self, needles: IntArray) -> IntArray:
        """``(m,)`` place of each coordinate in the list; -1 where it is not there."""
        if self._table is None:
            return find_rows(self._haystack, needles)
        local = needles - self._low
        inside = np.ones(len(local), dtype=bool)
        for column, length in zip(local.T, self._span.tolist(), strict=True):
            inside &= (column >= 0) & (column < length)
        found = np.full(len(local), -1, dtype=np.int64)
        found[inside] = self._table[tuple(local[inside].T)]
        return found


def distinct_rows(coords: IntArray) -> IntArray:
    """``(n, K)`` the distinct coordinates in numeric order; numbers are sorted much faster than rows.

    Example:
        >>> distinct_rows(np.array([[1, 0], [0, 5], [1, 0]])).tolist()
        [[0, 5], [1, 0]]
    """
    if not len(coords):
        return coords
    low = coords.min(axis=0)
    span = tuple((coords.max(axis=0) - low + 1).tolist())
    if float(np.prod([float(n) for n in span])) >= 2**62:
        return np.unique(coords, axis=0)
    keys = np.ravel_multi_index(tuple((coords - low).T), span)
    if float(np.prod([float(n) for n in span])) <= _MOST_PLACES:
        taken = np.zeros(int(np.prod(span)), dtype=bool)
        taken[keys] = True
        keys = np.flatnonzero(taken)
    else:
        keys = distinct_numbers(keys)
    return np.asarray(np.stack(np.unravel_index(keys, span), axis=1) + low, dtype=np.int64)


def distinct_numbers(numbers: IntArray) -> IntArray:
    """The distinct numbers in ascending order; repeats mostly follow one another, and are dropped at no cost.

    Example:
        >>> distinct_numbers(np.array([7, 7, 3, 3, 7])).tolist()
        [3, 7]
    """
    if len(numbers) < 2:
        return numbers
    begins = np.ones(len(numbers), dtype=bool)
    np.not_equal(numbers[1:], numbers[:-1], out=begins[1:])
    numbers = np.sort(numbers[begins])
    begins = np.ones(len(numbers), dtype=bool)
    np.not_equal(numbers[1:], numbers[:-1], out=begins[1:])
    return numbers[begins]


def with_gaps(values: AnyArray, spec: ColumnSpec, rows_per_cell: IntArray, has: BoolArray) -> AnyArray:
    """Rows of cells that the attribute has no value for: NaN, NaT, no category, or masked."""
    present = np.repeat(has, rows_per_cell)
    shape = (len(present), *values.shape[1:])
    if spec.categories is not None:
        filled = np.full(shape, -1, dtype=np.int64)
        filled[present] = values
        return filled
    if values.dtype.kind in "fcmM":
        missing = np.array("NaT" if values.dtype.kind in "mM" else np.nan, dtype=values.dtype)
        filled = np.full(shape, missing, dtype=values.dtype)
        filled[present] = values
        return filled
    masked = np.ma.zeros(shape, dtype=values.dtype)
    masked[present] = values
    masked[~present] = np.ma.masked
    return masked


def categorical(values: AnyArray, spec: ColumnSpec, store: str | None, array: str) -> Categorical:
    """Codes as values of their categories.

    Raises:
        CorruptionError: There are codes beyond the categories.
    """
    codes = np.ma.filled(values, -1) if isinstance(values, np.ma.MaskedArray) else values
    try:
        return Categorical(codes, spec.categories or (), spec.ordered)
    except ValueError as error:
        raise CorruptionError(
            "category codes do not fit the categories", store=store, array=array, got=str(error)
        ) from error


def part_of(read: CellRead, coords: IntArray) -> CellRead:
    """The cells of these coordinates among those that were read."""
    place = np.flatnonzero(find_rows(coords, read.coords) >= 0)
    errors = {int(np.searchsorted(place, row)): what for row, what in read.errors.items() if row in set(place.tolist())}
    return CellRead(read.array, read.coords[place], read.cells.take(place), errors)


def take_known(column: Column, rows: IntArray) -> Column:
    """These rows of a column; a row of -1 has no value: NaN, NaT, no category, or masked.

    Example:
        >>> take_known(np.array([1.5, 2.5]), np.array([1, -1])).tolist()
        [2.5, nan]
    """
    missing = rows < 0
    if isinstance(column, Categorical):
        return Categorical(np.append(column.codes, -1)[rows], column.categories, column.ordered)
    if not missing.any():
        return column[rows]
    blank = np.zeros((1, *column.shape[1:]), dtype=column.dtype)
    if column.dtype.kind in "fcmM":
        blank[:] = "NaT" if column.dtype.kind in "mM" else np.nan
        filled: AnyArray = np.concatenate([column, blank])[rows]
        return filled
    gone = np.append(np.ma.getmaskarray(column), np.ones_like(blank, dtype=bool), axis=0)
    masked: AnyArray = np.ma.MaskedArray(np.append(np.ma.getdata(column), blank, axis=0)[rows], mask=gone[rows])
    return masked
