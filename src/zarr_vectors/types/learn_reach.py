"""What reaches out of the cells of a level that exists, from its cells."""

from __future__ import annotations

from dataclasses import dataclass, field

import numpy as np

from zarr_vectors import constants
from zarr_vectors.core.cell_reach import chunks_of_ends, ordering_arrays, outgoing
from zarr_vectors.core.links import LinkFamily
from zarr_vectors.core.state import LevelState
from zarr_vectors.encoding.blobs import offsets_of
from zarr_vectors.query.block import Block
from zarr_vectors.query.links import LinkPart, decode_links
from zarr_vectors.query.values import distinct_rows
from zarr_vectors.spatial.placement import same_cell
from zarr_vectors.storage.cells import CellArray
from zarr_vectors.storage.storage import Storage
from zarr_vectors.types.cell_reach import CellReach
from zarr_vectors.types.encode import Fragments, Tally
from zarr_vectors.types.links import followers
from zarr_vectors.typing import BoolArray, IntArray

__all__ = ["ReachLearner"]

_MOST_CELLS = 2**31
"""In a grid with fewer a pair of cells has a number of 64 bits."""


@dataclass
class ReachLearner:
    """Reads what a level's vertices do not tell alone.

    Args:
        storage: The store.
        level: The level.
        reach: Where everything that is learned goes; None for nothing to learn.
    """

    storage: Storage
    level: LevelState
    reach: CellReach | None
    _tally: Tally = field(default_factory=Tally)

    def learn(self, coords: IntArray) -> None:
        """What leads out of some cells, each of which comes once; along lines ``finish`` tells it."""
        if self.reach is None:
            return
        if self.reach.by == "order":
            self._remember_fragments(coords)
        elif self.level.links is not None:
            self._learn_records(self.reach, self.level.links, coords)

    def _learn_records(self, reach: CellReach, family: LinkFamily, coords: IntArray) -> None:
        """Links whose records lie with some cells, wherever they lead."""
        parts = [LinkPart(segment, coords[segment.array.has(coords)]) for segment in outgoing(family)]
        parts = [part for part in parts if len(part.coords)]
        if not parts:
            return
        vertices = self.level.vertices
        chunks = [chunks_of_ends(part.segment, part.coords).reshape(-1, vertices.ndim) for part in parts]
        cells = distinct_rows(np.concatenate(chunks))
        cells = cells[vertices.has(cells)]
        also = [wanted for part in parts for wanted in part.arrays(())]
        block = Block.read(self.storage, self.level, cells, {constants.VERTICES: vertices}, also)
        block.prepare([])
        links = decode_links(family, block, parts, (), partly=True)
        if block.errors:
            # Some link that leads to or from these cells is not known.
            reach.forget(cells)
            return
        whole = links.ends[(links.ends >= 0).all(axis=1)]
        at = _numbers(vertices, block.coords)[np.searchsorted(block.bases, whole, side="right") - 1]
        crossing = np.flatnonzero(~same_cell(at))
        reach.note(vertices.grid, at[crossing], block.positions[whole[crossing]])

    def _remember_fragments(self, coords: IntArray) -> None:
        """The ends of the fragments of some cells; those that cannot be read connect nothing."""
        names = (constants.VERTICES, *ordering_arrays("order"))
        block = Block.read(self.storage, self.level, coords, {name: self.level.cells[name] for name in names})
        block.prepare([])
        table, owners = block.table, block.owners(None)
        if table is None or owners is None:
            return
        filled, ends = np.flatnonzero(table.counts > 0), offsets_of(table.counts)
        rows = table.rows(bases=block.bases[:-1])
        places = np.stack([rows[ends[filled]], rows[ends[filled + 1] - 1]], axis=1)
        self._tally.line_ends.append(block.positions[places])
        cells = _numbers(self.level.vertices, block.coords)[table.cell_of[filled]]
        offsets, counts = block.fragment_values(constants.FRAGMENT_OFFSET)[filled], table.counts[filled]
        none = np.zeros_like(counts)
        self._tally.parts.append(Fragments(owners[filled], cells, none, none, counts, offsets))

    def finish(self) -> None:
        """What leads from fragment to fragment, once all cells have been learned of."""
        if self.reach is None or self.reach.by != "order":
            return
        fragments, grid = self._tally.fragments(), self.level.vertices.grid
        here, there = followers(fragments)
        cells = np.stack([fragments.cells[here], fragments.cells[there]], axis=1).astype(np.int64)
        told = self._is_told(cells)
        positions = self._tally.positions_between(here, there)
        if positions is not None:
            self.reach.note(grid, cells[told], positions(np.flatnonzero(told)))
        self.reach.note(grid, cells[~told], None)

    def _is_told(self, cells: IntArray) -> BoolArray:
        """``(n,)`` whether the lists of cells of segments say that these pairs of cells are connected."""
        vertices = self.level.vertices
        if vertices.grid.cells >= _MOST_CELLS:
            return np.zeros(len(cells), dtype=bool)
        known = [np.zeros(0, dtype=np.int64)]
        for segment in outgoing(self.level.links):
            chunks = chunks_of_ends(segment, segment.array.present)
            inside = vertices.grid.contains(chunks.reshape(-1, vertices.ndim)).reshape(chunks.shape[:2])
            chunks = chunks[inside.all(axis=1)]
            numbers = _numbers(vertices, chunks.reshape(-1, vertices.ndim)).reshape(chunks.shape[:2])
            known.append(_pairs(numbers, vertices.grid.cells))
        return np.isin(_pairs(cells, vertices.grid.cells), np.concatenate(known))


def _numbers(array: CellArray, coords: IntArray) -> IntArray:
    """``(n,)`` C-order numbers of cells in an array's grid."""
    local = coords - np.asarray(array.grid.origin)
    return np.asarray(np.ravel_multi_index(tuple(local.T), array.grid.shape), dtype=np.int64)


def _pairs(cells: IntArray, count: int) -> IntArray:
    """``(n,)`` a number for each pair of cells, in either order."""
    numbers: IntArray = cells.min(axis=1) * count + cells.max(axis=1)
    return numbers
