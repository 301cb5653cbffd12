"""Rows of points by chance, of which only the chunks of those that are drawn are read."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field, replace

import numpy as np

from zarr_vectors.core.state import LevelState
from zarr_vectors.exceptions import CorruptionError
from zarr_vectors.query.fragments import read_fragments
from zarr_vectors.query.prune import known_cells
from zarr_vectors.query.rows import rows_in_cells, selected_cells
from zarr_vectors.query.selection import Selection
from zarr_vectors.query.values import Rows, find_rows, joined_rows
from zarr_vectors.storage.storage import Storage
from zarr_vectors.typing import BoolArray, IntArray

__all__ = ["Order", "drawn_rows"]

_MOST_PER_CELL = 2
"""Rows for each chunk from which on nearly all chunks would be read anyway."""
_LEAST_MET = 1 / 8
"""Of the rows that are drawn, how many must be selected for it to be worth drawing more."""
_FEW = 32
"""Drawn rows up to which nothing is said of that."""
_SPARE = 2
_MOST_SHUFFLED = 1 << 20
_BATCH_ROWS = 1_000_000
_MOST_ROWS = 2**60


def drawn_rows(
    storage: Storage, level: LevelState, selection: Selection, count: int, chance: np.random.Generator, *, strict: bool
) -> Rows | None:
    """So many rows of a selection, each set of them as likely as any other; None where all must be looked at for it.

    Rows of all chunks that may hold some are drawn one after another, and those that are not selected left out, until
    there are enough. Whether that is given up hangs on how many of them are selected, never on which these are.
    """
    tiled = level.metadata.fragments_tile and not level.metadata.shared_fragments
    if selection.by_object or selection.chunks is not None or level.is_draco or not tiled:
        return None
    coords = selected_cells(storage, level, selection)
    if count >= _MOST_PER_CELL * len(coords):
        return None
    found = _candidates(storage, level, replace(selection, places=True), coords, strict=strict)
    return None if found is None else found.draw(count, chance)


def _candidates(
    storage: Storage, level: LevelState, selection: Selection, coords: IntArray, *, strict: bool
) -> _Candidates | None:
    """What may be drawn; None where it is not worth it, or what is damaged must be told."""
    whole, sizes = known_cells(storage, level, coords, selection)
    untold = np.flatnonzero(sizes < 0)
    if len(untold):
        try:
            sizes[untold] = read_fragments(storage, level, coords[untold]).rows_per_cell()
        except CorruptionError:
            return None
    if (sizes < 0).any() or sizes.astype(np.float64).sum() > _MOST_ROWS:
        return None
    if selection.rows_meet is not None and 2 * sizes[whole].sum() < sizes.sum():
        return None
    if selection.is_everything and level.keeps_count and sizes.sum() != level.metadata.vertex_count:
        # What is missing is found by reading.
        return None
    return _Candidates(storage, level, selection, coords, sizes, whole, strict)


class Order:
    """Numbers below ``rows`` in an order by chance; how many of them will be asked for need not be known before.

    Example:
        >>> order = Order(10, np.random.default_rng(1))
        >>> first = order.first(3)
        >>> sorted(order.first(10).tolist()), bool((order.first(10)[:3] == first).all())
        ([0, 1, 2, 3, 4, 5, 6, 7, 8, 9], True)
    """

    def __init__(self, rows: int, chance: np.random.Generator) -> None:
        self._rows = rows
        self._chance = chance
        self._short = rows <= _MOST_SHUFFLED
        self._known: IntArray = chance.permutation(rows) if self._short else np.zeros(0, dtype=np.int64)

    @property
    def most(self) -> int:
        """How many can be asked for; the later half of a long order would take too many tries."""
        return self._rows if self._short else self._rows // 2

    def first(self, count: int) -> IntArray:
        """``(count,)`` the first of them."""
        while len(self._known) < count:
            fresh = self._chance.integers(0, self._rows, count - len(self._known) + _SPARE)
            every = np.concatenate([self._known, fresh])
            self._known = every[np.sort(np.unique(every, return_index=True)[1])]
        return self._known[:count]


@dataclass
class _Candidates:
    """Rows of which some are selected, numbered chunk by chunk.

    Args:
        selection: What the rows must meet; it tells places.
        coords: ``(C, K)`` the chunks, in numeric order.
        sizes: ``(C,)`` rows of each.
        whole: ``(C,)`` of which all rows are selected.
    """

    storage: Storage
    level: LevelState
    selection: Selection
    coords: IntArray
    sizes: IntArray
    whole: BoolArray
    strict: bool
    _parts: list[Rows] = field(default_factory=list)
    _numbers: list[IntArray] = field(default_factory=list)

    def draw(self, count: int, chance: np.random.Generator) -> Rows | None:
        """So many of the selected rows; None where too few of those drawn are, or the chunks are not as told."""
        chosen = self._chosen(count, chance)
        if chosen is None:
            return None
        known = np.concatenate([*self._numbers, np.zeros(0, dtype=np.int64)])
        rest = np.setdiff1d(chosen, known)
        if not self._read(rest) or len(np.concatenate(self._numbers)) != len(known) + len(rest):
            return None
        numbers, rows = np.concatenate(self._numbers), joined_rows(self._parts)
        order = np.argsort(numbers)
        return replace(rows.take(order[np.isin(numbers[order], chosen)]), places=None)

    def _chosen(self, count: int, chance: np.random.Generator) -> IntArray | None:
        """Numbers of the rows; those of chunks that are selected in part have been read."""
        ends = np.cumsum(self.sizes)
        order = Order(int(ends[-1]), chance)
        met, drawn = np.zeros(0, dtype=bool), np.zeros(0, dtype=np.int64)
        ask = min(order.most, count if self.whole.all() else count + count // 4 + _SPARE)
        while True:
            fresh = order.first(ask)[len(met) :]
            sure = self.whole[np.searchsorted(ends, fresh, side="right")]
            # Behind as many as are missing nothing will be needed.
            needed = np.cumsum(sure) - sure < count - met.sum()
            fresh, sure = fresh[needed], sure[needed]
            if not self._read(np.sort(fresh[~sure])):
                return None
            drawn = np.concatenate([drawn, fresh])
            met = np.concatenate([met, sure | np.isin(fresh, np.concatenate(self._numbers))])
            if met.sum() >= count or len(met) == int(ends[-1]):
                return drawn[met][:count]
            if ask == order.most or (len(met) > _FEW and met.mean() < _LEAST_MET):
                return None
            rows_for_one = len(met) / max(1, met.sum())
            ask = min(order.most, len(met) + int(1.25 * (count - met.sum()) * rows_for_one) + max(1, _SPARE))

    def _read(self, wanted: IntArray) -> bool:
        """Read rows of these numbers, ascending, and keep those that are selected; whether chunks are as told."""
        begins = np.cumsum(self.sizes) - self.sizes
        cells = np.unique(np.searchsorted(begins + self.sizes, wanted, side="right"))
        stored = find_rows(self.level.vertices.present, self.coords)
        for some in self._steps(cells):
            part = rows_in_cells(self.storage, self.level, self.selection, self.coords[some], strict=self.strict)
            if part.errors or part.looked != self.sizes[some].sum() or part.places is None:
                return False
            numbers = begins[np.searchsorted(stored, part.places[:, 0])] + part.places[:, 1]
            hit = np.flatnonzero(np.isin(numbers, wanted))
            self._parts.append(part.take(hit))
            self._numbers.append(numbers[hit])
        return True

    def _steps(self, cells: IntArray) -> Iterator[IntArray]:
        """Chunks of about a batch of rows at a time, at least once."""
        which = (np.cumsum(self.sizes[cells]) - 1) // _BATCH_ROWS
        yield from np.split(cells, np.flatnonzero(np.diff(which)) + 1)
