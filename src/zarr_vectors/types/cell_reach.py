"""What is learned of the segments, edges and faces that reach out of cells, as they are written."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field

import numpy as np

from zarr_vectors.core.cell_index import CellTable, Linking, box_facts, reach_facts
from zarr_vectors.core.cell_reach import Reaching
from zarr_vectors.encoding.extents import outward
from zarr_vectors.query.values import RowFinder
from zarr_vectors.spatial.grid import Grid
from zarr_vectors.spatial.partition import runs_of, stable_order
from zarr_vectors.types.kinds import Connects
from zarr_vectors.typing import AnyArray, FloatArray, IntArray

__all__ = ["CellReach", "new_reach"]


@dataclass
class CellReach:
    """Boxes of what has an end in a cell.

    Only links between cells must be told of: all others lie in the box of their cell's vertices.

    Args:
        by: What tells where they lead.
        ndim: Components of a position.
        before: ``(n, K)`` cells that the level had before, of whose links only ``old`` tells.
        old: What was known of them, and still holds.
        linking: The arrays of links between cells as they will be; None while nobody tells, and then no box is kept.
    """

    by: Reaching
    ndim: int
    before: IntArray | None = None
    old: CellTable | None = None
    linking: Linking | None = None
    _parts: list[tuple[IntArray, FloatArray, FloatArray]] = field(default_factory=list)

    def note(self, grid: Grid, cells: IntArray, positions: AnyArray | None) -> None:
        """Take links between cells.

        Args:
            grid: Numbers the cells.
            cells: ``(n, L)`` C-order numbers of the cells of their ends.
            positions: ``(n, L, D)`` where the ends lie; None where that is not known, nor then what their cells reach.
        """
        if not len(cells):
            return
        if positions is None:
            self.forget(grid.coords_of(np.unique(cells)))
            return
        numbers = np.ascontiguousarray(cells.T).reshape(-1)
        if grid.cells < 2**31:
            numbers = numbers.astype(np.int32)
        order = stable_order([numbers])
        runs = runs_of(numbers[order])
        # Ends after ends, and so the link of each entry is what is left of its number.
        link = order % len(cells)
        low, high = positions[:, 0], positions[:, 0]
        for end in range(1, positions.shape[1]):
            low, high = np.minimum(low, positions[:, end]), np.maximum(high, positions[:, end])
        least = np.stack([np.minimum.reduceat(axis.take(link), runs.starts) for axis in _columns(low)], axis=1)
        most = np.stack([np.maximum.reduceat(axis.take(link), runs.starts) for axis in _columns(high)], axis=1)
        coords = grid.coords_of(numbers[order[runs.starts]].astype(np.int64))
        self._parts.append((coords, outward(least, -np.inf), outward(most, np.inf)))

    def forget(self, coords: IntArray) -> None:
        """Say that it is not known what has an end in these cells."""
        unknown = np.full((len(coords), self.ndim), np.nan)
        self._parts.append((coords, unknown, unknown))

    def adopt(self, table: CellTable) -> None:
        """Take what is known of cells of another level that become cells of this one, with all their links."""
        facts = reach_facts(self.ndim)
        if all(name in table.facts for name in facts):
            boxes = np.stack([table.facts[name] for name in facts], axis=1)
        else:
            boxes = np.full((len(table.coords), 2 * self.ndim), np.nan)
        self._parts.append((table.coords, boxes[:, : self.ndim], boxes[:, self.ndim :]))

    def facts(self, coords: IntArray, known: Mapping[str, FloatArray]) -> Iterator[tuple[str, FloatArray]]:
        """The boxes of cells; NaN, which any other number gives way to, where something is not known.

        Args:
            coords: ``(C, K)`` the cells.
            known: The boxes of their vertices.
        """
        boxes = [known[name] for name in box_facts(self.ndim)]
        low, high = np.stack(boxes[: self.ndim], axis=1), np.stack(boxes[self.ndim :], axis=1)
        finder = RowFinder(coords)
        for part_coords, least, most in (*self._old_parts(), *self._parts):
            place = finder.find(part_coords)
            there = place >= 0
            place = place[there]
            low[place] = np.minimum(low[place], least[there])
            high[place] = np.maximum(high[place], most[there])
        yield from zip(reach_facts(self.ndim), [*low.T, *high.T], strict=True)

    def _old_parts(self) -> Iterator[tuple[IntArray, FloatArray, FloatArray]]:
        """What the cells that were there before reached."""
        if self.before is None or not len(self.before):
            return
        names = reach_facts(self.ndim)
        boxes = np.full((len(self.before), 2 * self.ndim), np.nan)
        if self.old is not None and all(name in self.old.facts for name in names):
            place = RowFinder(self.old.coords).find(self.before)
            there = place >= 0
            boxes[there] = np.stack([self.old.facts[name][place[there]] for name in names], axis=1)
        yield self.before, boxes[:, : self.ndim], boxes[:, self.ndim :]


def new_reach(connects: Connects, ndim: int) -> CellReach | None:
    """For a level that is written; None where nothing is connected."""
    return None if connects == "nothing" else CellReach("order" if connects == "sequence" else "records", ndim)


def _columns(rows: AnyArray) -> list[AnyArray]:
    """Each axis apart, which numpy goes along several times faster than across."""
    return [np.ascontiguousarray(axis) for axis in rows.T]
