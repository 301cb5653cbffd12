"""Which cells an array has, as its presence list says."""

from __future__ import annotations

from contextlib import suppress
from dataclasses import dataclass
from functools import cached_property

import numpy as np

from zarr_vectors.exceptions import MetadataError
from zarr_vectors.metadata.presence import PresenceText
from zarr_vectors.spatial.grid import Grid, format_keys, parse_key_text, parse_keys
from zarr_vectors.typing import BoolArray, IntArray

__all__ = ["FARTHEST", "PresentCells"]

FARTHEST = 2**62
"""Cells of this number and beyond are told apart by their coordinates only."""
_PARSE_COST = 4
"""Looking a key up costs as much as parsing so many."""
_TABLE_COST = 16
"""A table of all cells of the grid is worth it while one in so many is present."""


@dataclass(frozen=True, eq=False)
class PresentCells:
    """The presence list of an array.

    Args:
        listed: The list, as the array's document has it; None where it has none.
        grid: The chunks that the array has cells for.
        array: Its path, for messages.
        store: URL, for messages.
    """

    listed: object
    grid: Grid
    array: str
    store: str | None = None

    @cached_property
    def keys(self) -> frozenset[str] | None:
        """The keys of the cells; None where there is no list.

        Raises:
            MetadataError: It is not a list of texts.
        """
        listed = self.listed
        if listed is None:
            return None
        if isinstance(listed, (list, tuple, PresenceText)):
            with suppress(TypeError):
                "".join(listed)  # the fastest way to see that all are text
                keys = frozenset(listed)
                if len(keys) == len(listed):
                    return keys
        raise MetadataError(
            "the presence list is malformed",
            store=self.store,
            array=self.array,
            expected="a list of chunk keys, each once",
        )

    @property
    def count(self) -> int | None:
        """How many cells are listed; None where there is no list."""
        if isinstance(self.listed, PresenceText):
            return len(self.listed)
        return None if self.keys is None else len(self.keys)

    @cached_property
    def coords(self) -> IntArray:
        """``(n, K)`` coordinates of the cells, in numeric order.

        Raises:
            MetadataError: The list is malformed, or there is none.
        """
        if self._table is not None:
            return _places_in(self._table, self.grid)
        if self._numbers_fit:
            return self._coords_of(self._numbers)
        coords = self._parsed
        coords = coords[np.lexsort(coords.T[::-1])]
        self._refuse("twice", coords[1:][(coords[1:] == coords[:-1]).all(axis=1)])
        return coords

    @cached_property
    def _table(self) -> BoolArray | None:
        """Of the shape of the grid, which cells are present; None where that would be mostly of others."""
        if self.grid.cells > _TABLE_COST * (self.count or 0):
            return None
        numbers = self._numbers_of(self._parsed)
        table = np.zeros(self.grid.shape, dtype=bool)
        table.reshape(-1)[numbers] = True
        if np.count_nonzero(table) < len(numbers):
            self._refuse_repeated(np.sort(numbers))
        return table

    @cached_property
    def _numbers(self) -> IntArray:
        """``(n,)`` ascending numbers of the cells."""
        numbers = np.sort(self._numbers_of(self._parsed))
        self._refuse_repeated(numbers)
        return numbers

    @cached_property
    def _parsed(self) -> IntArray:
        """Coordinates of the keys, all in the grid, as they are listed."""
        coords = parse_key_text(self.listed.text, self._ndim) if isinstance(self.listed, PresenceText) else None
        if coords is None:
            if self.keys is None:
                raise self._no_list()
            try:
                coords = parse_keys(self.keys, self._ndim)
            except ValueError as error:
                raise MetadataError(
                    "the presence list is malformed", store=self.store, array=self.array, got=str(error)
                ) from error
        self._refuse("outside the grid", coords[~self.grid.contains(coords)])
        return coords

    @property
    def _ndim(self) -> int:
        return len(self.grid.shape)

    def _refuse_repeated(self, numbers: IntArray) -> None:
        """Refuse what ascending numbers have more than once."""
        self._refuse("twice", self._coords_of(numbers[1:][numbers[1:] == numbers[:-1]]))

    def _refuse(self, what: str, coords: IntArray) -> None:
        if len(coords):
            raise MetadataError(
                f"the presence list names a cell {what}",
                store=self.store,
                array=self.array,
                cell=format_keys(coords[:1])[0],
            )

    @property
    def _numbers_fit(self) -> bool:
        return self.grid.cells < FARTHEST

    def _numbers_of(self, coords: IntArray) -> IntArray:
        """``(n,)`` C-order number of cells of the grid."""
        numbers = np.zeros(len(coords), dtype=np.int64)
        for axis, (start, length) in enumerate(zip(self.grid.origin, self.grid.shape, strict=True)):
            numbers *= length
            numbers += coords[:, axis] - start
        return numbers

    def _coords_of(self, numbers: IntArray) -> IntArray:
        """``(n, K)`` the way back."""
        coords = np.empty((len(numbers), self._ndim), dtype=np.int64)
        for axis in range(self._ndim - 1, -1, -1):
            numbers, coords[:, axis] = np.divmod(numbers, max(1, self.grid.shape[axis]))
        coords += np.asarray(self.grid.origin)
        return coords

    def _no_list(self) -> MetadataError:
        return MetadataError(
            "the array has no presence list (nonempty_chunks)",
            store=self.store,
            array=self.array,
            hint="repair the store from its stored chunks before reading it",
        )

    def has_all_of(self, other: PresentCells) -> bool:
        """Whether every cell of another array is one of this, told by the lists alone."""
        listed, others = self.listed, other.listed
        if listed is not None and (listed is others or listed == others):
            return True
        return self.keys is not None and other.keys is not None and self.keys >= other.keys

    def has(self, coords: IntArray) -> BoolArray:
        """``(n,)`` whether each cell is present.

        Raises:
            MetadataError: There is no list.
        """
        if self.listed is None:
            raise self._no_list()
        if self._numbers_fit and (isinstance(self.listed, PresenceText) or len(coords) > (self.count or 0)):
            inside = self.grid.contains(coords)
            found = np.zeros(len(coords), dtype=bool)
            numbers = self._numbers_of(coords[inside])
            if self._table is not None:
                found[inside] = self._table.reshape(-1)[numbers]
            else:
                found[inside] = np.append(self._numbers, -1)[np.searchsorted(self._numbers, numbers)] == numbers
            return found
        keys = self.keys or frozenset()
        return np.fromiter((key in keys for key in format_keys(coords)), dtype=bool, count=len(coords))

    def within(self, block: Grid) -> IntArray:
        """``(n, K)`` coordinates of the cells that are present in a block of cells, in numeric order.

        Raises:
            MetadataError: The list is malformed, or there is none.
        """
        part = self.grid.intersection(block)
        if part is None or self.listed is None:
            return self.coords[:0]  # raises where there is no list
        if self._surely_has(part):
            return part.all_coords()
        if isinstance(self.listed, PresenceText) and self._table is not None:
            low = np.asarray(part.origin) - self.grid.origin
            sides = tuple(slice(start, start + n) for start, n in zip(low.tolist(), part.shape, strict=True))
            return _places_in(self._table[sides], part)
        if self.count is None or part.cells * _PARSE_COST > self.count:
            return self.coords[part.contains(self.coords)]
        coords = part.all_coords()
        return coords[self.has(coords)]

    def _surely_has(self, part: Grid) -> bool:
        """Whether a small part of the grid is listed as a whole, told without parsing the list; False says nothing."""
        if "_table" in vars(self) or not isinstance(self.listed, PresenceText):
            return False
        few = part.cells * _PARSE_COST <= len(self.listed)
        return few and self.listed.surely_has(part.all_keys())


def _places_in(table: BoolArray, block: Grid) -> IntArray:
    """``(n, K)`` coordinates of the cells of a block that are marked."""
    return np.asarray(np.argwhere(table) + np.asarray(block.origin), dtype=np.int64)
