"""Making the cell index of a store anew, from its cells."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from functools import partial

import numpy as np

from zarr_vectors import constants
from zarr_vectors.core.cell_index import INDEX_VERSION
from zarr_vectors.core.cell_reach import reaching
from zarr_vectors.core.listing import level_numbers
from zarr_vectors.core.state import LevelState, open_level, open_root
from zarr_vectors.exceptions import StoreError, StoreNotFoundError
from zarr_vectors.metadata.base import dump_json
from zarr_vectors.storage.cell_array import groups_of_rows
from zarr_vectors.storage.cells import read_cells
from zarr_vectors.storage.commit import Stamps
from zarr_vectors.storage.storage import Batch, Put, Storage
from zarr_vectors.types.cell_facts import CellFacts, can_index, facts_of, links_of
from zarr_vectors.types.cell_reach import CellReach
from zarr_vectors.types.learn_reach import ReachLearner
from zarr_vectors.typing import IntArray

__all__ = ["index_levels", "learn_level"]

_CELLS_AT_ONCE = 256
"""About as many are read together, and no object twice unless it holds more."""


def index_levels(storage: Storage, levels: Iterable[int] | None = None) -> dict[int, int]:
    """Make the indexes of these levels anew, or of all, as one commit; the cells of each, by level.

    Cells that cannot be read stay unknown to the index.

    Raises:
        StoreError: The place does not tell when its objects are written, so that no index could be believed.
        StoreNotFoundError: There is no such level.
        ReadOnlyError: The store was opened for reading, or is published.
    """
    with storage.lock():
        root, _ = open_root(storage)
        if not can_index(storage):
            raise StoreError(
                "a cell index could never be believed here: the place does not tell when its objects are written",
                store=storage.url,
                hint="keep the store in a folder, or in an object store opened by its URL",
            )
        known = level_numbers(storage, root.attributes)
        numbers = known if levels is None else list(dict.fromkeys(levels))
        for number in numbers:
            if number not in known:
                raise StoreNotFoundError(f"the store has no level {number}", store=storage.url, got=known)
        states = [open_level(storage, root, number) for number in numbers]
        learned = [(level, learn_level(storage, level)) for level in states if not level.is_composite]
        puts = [_document(level) for level, _ in learned if len(level.vertices.present)]
        storage.commit(Batch(puts=puts, root=lambda: root.document, last=partial(_index_puts, learned)))
    return {level.number: len(level.vertices.present) for level, _ in learned}


def _index_puts(learned: list[tuple[LevelState, CellFacts]], stamps: Stamps) -> Iterator[Put]:
    for level, facts in learned:
        yield from facts.puts(level.cells, level.vertices.present, stamps)


def _document(level: LevelState) -> Put:
    """The level's document, which tells that there is an index."""
    attributes = {**(level.document.get("attributes") or {}), constants.CELL_INDEX_KEY: INDEX_VERSION}
    return f"{level.number}/zarr.json", dump_json({**level.document, "attributes": attributes})


def learn_level(storage: Storage, level: LevelState) -> CellFacts:
    """The facts of all cells of a level, some stored objects at a time."""
    dtype = None if level.is_draco else level.position_dtype
    by, ndim = reaching(level), len(level.chunk_shape)
    reach = None if by is None else CellReach(by, ndim, linking=links_of(level, by))
    facts = facts_of(level.number, ndim, dtype, level.vertex_columns, reach=reach)
    learner = ReachLearner(storage, level, facts.reach)
    for coords in _bundles(level):
        _learn(storage, level, facts, coords)
        learner.learn(coords)
    learner.finish()
    return facts


def _bundles(level: LevelState) -> Iterator[IntArray]:
    """Present cells, those of a stored object of vertices together where they are not too many."""
    vertices, bundle, count = level.vertices, [], 0
    for _, members in groups_of_rows(vertices.locate(vertices.present)[0]):
        for start in range(0, len(members), _CELLS_AT_ONCE):
            part = members[start : start + _CELLS_AT_ONCE]
            bundle.append(part)
            count += len(part)
            if count >= _CELLS_AT_ONCE:
                yield vertices.present[np.sort(np.concatenate(bundle))]
                bundle, count = [], 0
    if bundle:
        yield vertices.present[np.sort(np.concatenate(bundle))]


def _learn(storage: Storage, level: LevelState, facts: CellFacts, coords: IntArray) -> None:
    """The facts of some cells, as far as they can be read."""
    names = [constants.VERTICES] if facts.dtype is not None else []
    names += [name for name in facts.columns if facts.tells_of(name)]
    arrays = [level.cells[name] for name in names]
    reads = read_cells(storage, [(array, coords[array.has(coords)]) for array in arrays])
    for name, read in zip(names, reads, strict=True):
        good = np.ones(len(read.coords), dtype=bool)
        good[list(read.errors)] = False
        facts.note_array(name, read.coords[good], read.cells.take(np.flatnonzero(good)))
