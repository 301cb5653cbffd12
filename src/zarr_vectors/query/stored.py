"""Reading a level in parts that know nothing of each other: chunks of vertices, and cells of links.

What a whole read tells by the order of its rows is told here by where they are stored.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field

import numpy as np

from zarr_vectors import constants
from zarr_vectors.core.links import LinkFamily
from zarr_vectors.core.state import LevelState
from zarr_vectors.encoding.blobs import offsets_of
from zarr_vectors.exceptions import CorruptionError
from zarr_vectors.query.block import Block
from zarr_vectors.query.fragments import read_fragments
from zarr_vectors.query.links import LinkPart, Links, decode_links
from zarr_vectors.query.objects import all_refs
from zarr_vectors.query.rows import attribute_arrays, raise_errors
from zarr_vectors.query.values import RowFinder, Rows, distinct_rows
from zarr_vectors.storage.cells import CellArray, CellRead, read_cells
from zarr_vectors.storage.storage import Storage
from zarr_vectors.typing import IntArray

__all__ = ["LinkCells", "StoredRows", "link_cells", "read_link_cells", "read_stored_rows", "rows_are_single"]


_LINKS_PER_ROW = 4
"""Where a store does not say how many links it has."""


@dataclass(frozen=True)
class StoredRows:
    """The vertices of some chunks.

    Args:
        rows: Those that fragments name, with their objects.
        at: ``(n,)`` place of each of them among the stored rows of all these chunks.
        sizes: ``(C,)`` stored rows of each chunk, in the order in which the chunks were asked for.
    """

    rows: Rows
    at: IntArray
    sizes: IntArray


@dataclass(frozen=True, eq=False)
class LinkCells:
    """Some cells of links.

    Args:
        parts: Which cells of which segments.
        chunks: ``(C, K)`` the chunks in which ends of their links lie.
    """

    parts: tuple[LinkPart, ...]
    chunks: IntArray


def rows_are_single(storage: Storage, level: LevelState) -> bool:
    """Whether each stored row up to the last that a fragment names is named once, in order, so that it has one owner.

    Raises:
        CorruptionError: A fragment index cannot be read.
    """
    if level.is_unordered or level.metadata.shared_fragments:
        return False
    if level.metadata.fragments_tile:
        return True
    table = read_fragments(storage, level, level.vertices.present)
    return table.tiles(table.rows_per_cell())


def read_stored_rows(storage: Storage, level: LevelState, chunks: IntArray, names: Sequence[str]) -> StoredRows:
    """The vertices of chunks.

    Args:
        chunks: ``(C, K)`` distinct chunks that hold vertices, in any order.
        names: Attributes to bring along.

    Raises:
        CorruptionError: A cell is gone or corrupt.
    """
    arrays: dict[str, CellArray] = {
        constants.VERTICES: level.vertices,
        constants.VERTEX_FRAGMENTS: level.cell_array(constants.VERTEX_FRAGMENTS),
    }
    foreign = None
    if level.owner_array is not None:
        arrays[constants.FRAGMENT_OWNER] = level.owner_array
    elif level.has_objects:
        foreign = all_refs(storage, level)[1]
    block = Block.read(storage, level, chunks, arrays | attribute_arrays(level, names))
    block.tells_places = True
    block.prepare(names)
    rows = block.assemble(None, foreign)
    raise_errors(block, strict=True)
    return StoredRows(rows, block.picks(), block.rows_per_cell)


def link_cells(family: LinkFamily, chunks: IntArray, sizes: IntArray, at_once: int) -> Iterator[LinkCells]:
    """All cells of all segments, in parts of at most about so many links.

    Args:
        chunks: ``(C, K)`` chunks that hold vertices.
        sizes: ``(C,)`` vertices of each, by which the links of their cells are estimated.
        at_once: From 1.
    """
    finder = RowFinder(chunks)
    rows = max(1, int(sizes.sum()))
    links = family.links or _LINKS_PER_ROW * rows
    crossing = sum(len(segment.array.present) for segment in family.segments.values() if not segment.is_plain)
    parts: list[LinkPart] = []
    room = float(at_once)
    for segment in family.segments.values():
        present = segment.array.present
        place = finder.find(present)
        expected = np.where(place >= 0, sizes[place], 0) * (links / rows)
        if not segment.is_plain:
            expected = np.minimum(expected, links / crossing)
        sums = np.cumsum(np.maximum(expected, 1.0))
        start = 0
        while start < len(present):
            done = float(sums[start - 1]) if start else 0.0
            end = int(np.searchsorted(sums, done + room, side="right"))
            end = end if parts else max(end, start + 1)
            if end > start:
                parts.append(LinkPart(segment, present[start:end]))
                room -= float(sums[end - 1]) - done
            start = end
            if start < len(present):
                # A part has each segment once.
                yield LinkCells(tuple(parts), _chunks_of(parts))
                parts, room = [], float(at_once)
    if parts:
        yield LinkCells(tuple(parts), _chunks_of(parts))


def _chunks_of(parts: Sequence[LinkPart]) -> IntArray:
    ends: list[IntArray] = []
    for part in parts:
        ends += [part.coords, *(part.coords + offset for offset in part.segment.offsets)]
    return distinct_rows(np.concatenate(ends))


@dataclass
class _Frame:
    """Chunks and their rows, as links are decoded against them."""

    coords: IntArray
    sizes: IntArray
    others: dict[str, CellRead]
    errors: list[CorruptionError] = field(default_factory=list)

    @property
    def bases(self) -> IntArray:
        return offsets_of(self.sizes)


def read_link_cells(
    storage: Storage, family: LinkFamily, cells: LinkCells, sizes: IntArray, names: Sequence[str]
) -> Links:
    """The links of some cells, whose ends are numbered among the stored rows of ``cells.chunks``.

    Args:
        sizes: ``(C,)`` stored rows of each of these chunks; 0 for a chunk without vertices.
        names: Attributes to bring along.

    Returns:
        Ends in chunks without vertices are -1.

    Raises:
        CorruptionError: A cell is gone or corrupt, or names a row that its chunk does not have.
    """
    filled = np.flatnonzero(sizes > 0)
    reads = read_cells(storage, [one for part in cells.parts for one in part.arrays(names)])
    frame = _Frame(cells.chunks[filled], sizes[filled], {read.array.path: read for read in reads})
    links = decode_links(family, frame, cells.parts, names, partly=True)
    raise_errors(frame, strict=True)
    return links
