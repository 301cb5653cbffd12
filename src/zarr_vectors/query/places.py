"""Where the vertices and links lie that a read of everything brings, in its order.

Attributes that are added to a level are given in that order, and stored cell by cell.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace

import numpy as np

from zarr_vectors.core.links import LinkFamily, Segment
from zarr_vectors.core.state import LevelState
from zarr_vectors.encoding.blobs import offsets_of
from zarr_vectors.encoding.links import decode_grouped, decode_plain
from zarr_vectors.exceptions import InputError
from zarr_vectors.geometry import Column
from zarr_vectors.query.block import Block
from zarr_vectors.query.geometry import read_connected
from zarr_vectors.query.links import LinkPart, decode_links
from zarr_vectors.query.read_plan import ReadPlan
from zarr_vectors.query.rows import every_row
from zarr_vectors.query.values import Rows, find_rows
from zarr_vectors.rowwise import row_numbers, take_rows
from zarr_vectors.storage.storage import Storage
from zarr_vectors.typing import AnyArray, IntArray

__all__ = ["LinkCells", "LinkPlaces", "Places", "link_places", "vertex_places"]


@dataclass(frozen=True, eq=False)
class Places:
    """Where vertices lie.

    Args:
        chunks: ``(C, K)`` chunks that hold vertices, in numeric order.
        counts: ``(C,)`` rows of each.
        picks: ``(N,)`` row of each vertex among the rows of all chunks one after another; None for all as they lie.
        rows: The vertices themselves.
    """

    chunks: IntArray
    counts: IntArray
    picks: IntArray | None
    rows: Rows

    def __len__(self) -> int:
        return len(self.rows.positions)

    @property
    def row_ids(self) -> IntArray | None:
        """``(N,)`` row ids, if they were read."""
        return self.rows.row_ids

    def stored(self, values: AnyArray, missing: AnyArray, name: str) -> AnyArray:
        """``(sum(counts), ...)`` values in the order in which they are stored.

        Args:
            values: ``(N, ...)`` a value for each vertex.
            missing: What rows get that no read brings.

        Raises:
            InputError: A row that is read as several vertices is given several values.
        """
        if self.picks is None:
            return values
        total = int(self.counts.sum())
        stored = np.empty((total, *values.shape[1:]), dtype=values.dtype)
        stored[:] = missing
        stored[self.picks] = values
        if len(values) > 1 and int(np.bincount(self.picks, minlength=total).max()) > 1:
            back = take_rows(stored, self.picks).view(np.uint8).reshape(len(values), -1)
            odd = (back != np.ascontiguousarray(values).view(np.uint8).reshape(len(values), -1)).any(axis=1)
            if odd.any():
                raise InputError(
                    f"attribute {name!r} has two values for one stored vertex, which several fragments share",
                    got=f"another value in row {int(np.flatnonzero(odd)[0])} than in a later one",
                )
        return stored

    def cells(self, vertices: IntArray) -> tuple[IntArray, IntArray]:
        """Number among ``chunks``, and row inside the chunk, of each of these vertices."""
        picks = vertices if self.picks is None else self.picks[vertices]
        bases = offsets_of(self.counts)
        cell = np.searchsorted(bases, picks, side="right") - 1
        return cell, picks - bases[cell]


@dataclass(frozen=True, eq=False)
class LinkCells:
    """How many links the cells of a segment hold.

    Args:
        segment: Which segment.
        chunks: ``(n, K)`` its cells, in numeric order.
        counts: ``(n,)`` links of each.
    """

    segment: Segment
    chunks: IntArray
    counts: IntArray


def vertex_places(storage: Storage, level: LevelState, connects: str, names: Sequence[str] = ()) -> Places:
    """Where all vertices lie; those of lines come line by line, all others chunk by chunk.

    Args:
        connects: What connects them, as in ``ReadPlan``.
        names: Attributes to read with them.

    Raises:
        CorruptionError: A cell is gone or corrupt.
    """
    level.refuse_composite()
    if connects != "sequence":
        return _places(*every_row(storage, level, names))
    plan = ReadPlan(connects=connects, implied=True, mode="objects", link_attributes=())
    block, shape, _ = read_connected(storage, level, plan, names)
    return _places(block, shape.rows)


def _places(block: Block, rows: Rows) -> Places:
    picks = None if block.picked is None else row_numbers(block.picked)
    return Places(block.coords, block.rows_per_cell, picks, rows)


@dataclass(frozen=True, eq=False)
class LinkPlaces:
    """Where all links lie.

    Args:
        vertices: Where the vertices lie.
        ends: ``(E, L)`` vertices of each link.
        columns: Attributes of the links.
        held: The cells that hold links, segment by segment. Links that follow from the order of a tree's vertices lie
            in none.
        copies: ``(R,)`` number of the link that each record in the cells is a copy of, -1 where there is none; of links
            with the same ends, one has all copies. None where each link has one record, in order.
    """

    vertices: Places
    ends: IntArray
    columns: Mapping[str, Column]
    held: list[LinkCells]
    copies: IntArray | None = None

    def __len__(self) -> int:
        return len(self.ends)


def link_places(storage: Storage, level: LevelState, plan: ReadPlan) -> LinkPlaces:
    """Where all links lie: those of graphs and meshes segment by segment, a tree's in the order of the children.

    Raises:
        CorruptionError: A cell is gone or corrupt.
    """
    block, shape, parts = read_connected(storage, level, plan)
    assert shape.links is not None
    links = shape.links
    if plan.connects == "tree":
        links = links.take(np.argsort(links.ends[:, 0], kind="stable"))
    held = [] if level.links is None else _link_cells(level.links, block, parts)
    vertices = _places(block, shape.rows)
    copies = None
    if level.links is not None and level.links.duplicate:
        every = decode_links(replace(level.links, duplicate=False), block, parts, ()).ends
        copies = find_rows(links.ends if vertices.picks is None else vertices.picks[links.ends], every)
    return LinkPlaces(vertices, links.ends, links.columns, held, copies)


def _link_cells(family: LinkFamily, block: Block, parts: Sequence[LinkPart]) -> list[LinkCells]:
    """What the cells of segments hold that were read with a block."""
    held = []
    for part in parts:
        read = block.others[part.segment.array.path].check()
        decode = decode_plain if part.segment.is_plain else decode_grouped
        _, counts, _ = decode(read.cells, part.segment.dtype, family.width + part.segment.has_perm)
        held.append(LinkCells(part.segment, part.coords, counts))
    return held
