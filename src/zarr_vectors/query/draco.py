"""Cells of positions in Draco encoding, unpacked beside their fragment indexes.

What 0.9.2 writes is read as far as its bytes allow: it puts the faces of a chunk into the chunk's bitstream, without
the order of the rows that links, attributes and fragments count on.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field

import numpy as np

from zarr_vectors import constants
from zarr_vectors.core.links import LinkFamily
from zarr_vectors.core.state import LevelState
from zarr_vectors.encoding.blobs import Blobs
from zarr_vectors.encoding.draco import DracoCell, decode_draco, load_draco
from zarr_vectors.encoding.fragments import decode_fragments, encode_ranges
from zarr_vectors.exceptions import DracoError, FormatError
from zarr_vectors.query.objects import all_refs
from zarr_vectors.query.values import distinct_rows, find_rows
from zarr_vectors.spatial.grid import format_keys
from zarr_vectors.storage.cells import CellRead
from zarr_vectors.storage.storage import Storage
from zarr_vectors.typing import AnyArray, IntArray

__all__ = ["Unpacked", "check_unordered", "unpack_vertices"]

_NOTHING = np.zeros((0, 3), dtype=np.float32)


@dataclass(frozen=True, eq=False)
class Unpacked:
    """Cells of positions as if they were raw.

    Args:
        vertices: Rows of three float32; what cannot be decoded is empty and among the errors.
        fragments: The fragment indexes that go with them.
        faces: Faces that lie in cells of positions, as rows of their own cell, by chunk.
        lost: What cells of positions lack although they can be decoded, by row of ``vertices``.
    """

    vertices: CellRead
    fragments: CellRead
    faces: dict[tuple[int, ...], IntArray] = field(default_factory=dict)
    lost: dict[int, str] = field(default_factory=dict)


def unpack_vertices(level: LevelState, vertices: CellRead, fragments: CellRead) -> Unpacked:
    """Decode cells of positions.

    Args:
        vertices: The bitstreams.
        fragments: Indexes of the same chunks, which say how many rows each bitstream must have.

    Raises:
        MissingDependencyError: DracoPy is not installed.
    """
    if not len(vertices.coords):
        return Unpacked(vertices, fragments)
    load_draco()
    errors = dict(vertices.errors)
    stated = _stated_rows(fragments, vertices.coords)
    cells: list[DracoCell | None] = [None] * len(vertices.coords)
    for number, data in enumerate(vertices.cells.views()):
        if number in errors or stated[number] < 0:
            continue
        try:
            cells[number] = _decoded(level, data, int(stated[number]))
        except DracoError as error:
            errors[number] = f"in Draco encoding: {error.got}"
    positions = [_NOTHING if cell is None else cell.positions for cell in cells]
    sizes = np.array([array.nbytes for array in positions], dtype=np.int64)
    raw = CellRead(vertices.array, vertices.coords, _packed(positions, sizes), errors)
    if not level.is_unordered:
        return Unpacked(raw, fragments)
    faces = {
        tuple(coord): cell.faces
        for coord, cell in zip(vertices.coords.tolist(), cells, strict=True)
        if cell is not None and len(cell.faces)
    }
    rows = sizes // _NOTHING.dtype.itemsize // 3
    lost = {
        number: f"{rows[number]} vertices of the {stated[number]} that were encoded: those of no face, or equal ones"
        for number, cell in enumerate(cells)
        if cell is not None and rows[number] < stated[number]
    }
    return Unpacked(raw, _whole_cells(fragments, vertices.coords, rows), faces, lost)


def _decoded(level: LevelState, data: memoryview, rows: int) -> DracoCell:
    cell = decode_draco(data, rows)
    if not cell.in_order and not level.is_unordered:
        raise DracoError("a cell cannot be decoded", got="rows without their order")
    return cell


def _packed(positions: Sequence[AnyArray], sizes: IntArray) -> Blobs:
    return Blobs.packed(np.concatenate(positions).astype("<f4", copy=False).reshape(-1).view(np.uint8), sizes)


def _stated_rows(fragments: CellRead, coords: IntArray) -> IntArray:
    """``(n,)`` rows of each chunk by its fragment index; -1 where there is none that can be read."""
    table, bad = decode_fragments(fragments.cells)
    ends = np.zeros(len(fragments.coords), dtype=np.int64)
    ranges = table.starts >= 0
    np.maximum.at(ends, table.cell_of[ranges], (table.starts + table.counts)[ranges])
    if len(table.explicit):
        owners = np.repeat(table.cell_of[~ranges], table.counts[~ranges])
        np.maximum.at(ends, owners, table.explicit + 1)
    ends[list({*bad, *fragments.errors})] = -1
    place = find_rows(fragments.coords, coords)
    return np.where(place >= 0, np.append(ends, -1)[place], -1)


def _whole_cells(fragments: CellRead, coords: IntArray, rows: IntArray) -> CellRead:
    """Fragment indexes with one fragment of all rows that there are; those that cannot be read stay."""
    place = find_rows(coords, fragments.coords)
    counts = np.where(place >= 0, rows[place], 0)
    ones = np.ones(len(counts), dtype=np.int64)
    whole = encode_ranges(ones, ones * 0, counts).to_list()
    bad = {*decode_fragments(fragments.cells)[1], *fragments.errors}
    kept = [bytes(fragments.cells[row]) if row in bad else cell for row, cell in enumerate(whole)]
    return CellRead(fragments.array, fragments.coords, Blobs.from_list(kept), fragments.errors)


def check_unordered(
    storage: Storage,
    level: LevelState,
    names: Sequence[str] = (),
    family: LinkFamily | None = None,
    link_names: Sequence[str] = (),
) -> None:
    """Refuse to read what counts on an order of rows that the bitstreams do not have.

    Args:
        names: Attributes of vertices that are to be read.
        family: Links of the level.
        link_names: Attributes of links that are to be read.

    Raises:
        FormatError: Attributes, links between chunks, or several objects in a chunk.
    """
    if not level.is_unordered:
        return
    stored = [name for name in names if name in level.vertex_columns]
    if stored:
        raise _unreadable(level, f"vertex attributes {stored}", "read with attributes=[] to get the rest")
    if link_names:
        raise _unreadable(level, f"attributes of links {list(link_names)}", "read with link_attributes=[]")
    if family is not None:
        if family.width != 3:
            raise _unreadable(level, f"faces of {family.width} corners", None)
        crossing = [name for name, segment in family.segments.items() if len(segment.array.present)]
        if crossing:
            raise _unreadable(
                level, "faces that are stored apart from their vertices, as those between chunks are", None
            )
    if not level.has_objects:
        return
    refs = all_refs(storage, level)[1]
    owned = np.unique(np.concatenate([refs.chunks, refs.ids[:, None]], axis=1), axis=0)[:, :-1]
    twice = np.flatnonzero((owned[1:] == owned[:-1]).all(axis=1))
    if len(twice):
        cell = format_keys(distinct_rows(owned[twice]))[0]
        raise _unreadable(level, f"several objects in chunk {cell}", None)


def _unreadable(level: LevelState, got: str, hint: str | None) -> FormatError:
    way_out = "write it again with encoding='raw' by the software that wrote it, or from the data that it was made of"
    return FormatError(
        "the Draco cells of this store do not keep the order of their rows, so that what refers to rows cannot be read",
        store=level.store,
        array=f"{level.number}/{constants.VERTICES}",
        got=got,
        hint=hint or way_out,
    )
