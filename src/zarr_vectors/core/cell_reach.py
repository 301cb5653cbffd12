"""What the boxes of segments, edges and faces that reach out of cells depend on, and whether it is as it was.

Only what leads from a cell into another one can reach out of the box of its vertices. Which cells such links connect is
told by the lists of cells of their segments; where their ends lie, by the vertices of all these cells, and which these
are by records, or, along lines, by the order of fragments.
"""

from __future__ import annotations

from typing import Literal, TypeAlias

import numpy as np

from zarr_vectors import constants
from zarr_vectors.core.cell_index import reach_facts
from zarr_vectors.core.cell_index_reader import CellIndex
from zarr_vectors.core.links import LinkFamily, Segment
from zarr_vectors.core.state import LevelState
from zarr_vectors.storage.cell_array import CellArray
from zarr_vectors.typing import BoolArray, IntArray

__all__ = ["Reaching", "chunks_of_ends", "ordering_arrays", "outgoing", "reach_holds", "reaching"]

Reaching: TypeAlias = Literal["order", "records"]
"""What tells where links lead: the order of fragments along lines, or records."""

_ORDER = (constants.VERTEX_FRAGMENTS, constants.FRAGMENT_OWNER, constants.FRAGMENT_OFFSET)


def reaching(level: LevelState) -> Reaching | None:
    """What tells where the links of a level lead; None where it has none, or only manifests tell."""
    if constants.FRAGMENT_OFFSET in level.cells:
        return "order" if level.tells_order and constants.VERTEX_FRAGMENTS in level.cells else None
    return None if level.links is None else "records"


def ordering_arrays(by: Reaching | None) -> tuple[str, ...]:
    """Names of the arrays beside vertices that decide what is connected."""
    return _ORDER if by == "order" else ()


def outgoing(family: LinkFamily | None) -> list[Segment]:
    """Segments whose links lead from one cell to others."""
    segments = () if family is None else family.segments.values()
    return [segment for segment in segments if segment.offsets.any()]


def chunks_of_ends(segment: Segment, coords: IntArray) -> IntArray:
    """``(n, L, K)`` chunk of each end of the links that lie in these cells of a segment."""
    zero = np.zeros((1, coords.shape[1]), dtype=np.int64)
    chunks: IntArray = coords[:, None, :] + np.concatenate([zero, segment.offsets])[None]
    return chunks


def reach_holds(level: LevelState, index: CellIndex, cells: IntArray) -> BoolArray:
    """``(n,)`` whether the boxes of what reaches out of these cells are still those that the index says.

    A box holds while all cells at the ends of its links, and what tells of these links, are as they were.

    Args:
        cells: ``(n,)`` columns of the index.
    """
    by, segments = reaching(level), outgoing(level.links)
    told = by is not None and index.has(reach_facts(len(level.chunk_shape)))
    if not told or not all(index.describes(segment.array) for segment in segments):
        return np.zeros(len(cells), dtype=bool)
    if index.is_sealed:
        return np.ones(len(cells), dtype=bool)
    # The place -1 of a chunk that the index does not know is the last one here.
    asked, near = (np.zeros(len(index.coords) + 1, dtype=bool) for _ in range(2))
    asked[cells] = near[cells] = True
    parts: list[tuple[CellArray, IntArray, IntArray]] = []
    for segment in segments:
        ends = index.columns_of_ends(segment.array, chunks_of_ends(segment, segment.array.present))
        touching = np.flatnonzero(asked[ends].any(axis=1))
        near[ends[touching]] = True
        parts.append((segment.array, touching, ends[touching]))
    wanted = np.flatnonzero(near[:-1])
    rows = [level.vertices, *(level.cells[name] for name in ordering_arrays(by))]
    linked = parts if by == "records" else []
    found = index.agreeing_each([*((array, wanted) for array in rows), *((array, own) for array, own, _ in linked)])
    same = np.zeros(len(near), dtype=bool)
    same[wanted] = np.all(found[: len(rows)], axis=0)
    holds = same.copy()
    for number, (_, _, ends) in enumerate(parts):
        good = same[ends].all(axis=1)
        good &= found[len(rows) + number] if linked else True
        holds[ends[~good]] = False
    return np.asarray(holds[cells])
