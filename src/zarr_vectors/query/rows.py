"""Reading rows: from a selection to positions, attributes and owners.

The staircase is: which cells (metadata only), read them (at most two rounds), decode, gather the rows that
fragments name, keep those that the selection wants.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Protocol

import numpy as np

from zarr_vectors import constants
from zarr_vectors.core.state import LevelState
from zarr_vectors.exceptions import CorruptionError, ObjectNotFoundError
from zarr_vectors.query.block import Block
from zarr_vectors.query.draco import check_unordered
from zarr_vectors.query.groups import decode_groups
from zarr_vectors.query.objects import ObjectRefs, all_refs, refs_of
from zarr_vectors.query.prune import narrowed, whole_cells
from zarr_vectors.query.selection import Selection, choose_names
from zarr_vectors.query.values import Rows, distinct_rows, find_rows, joined_rows
from zarr_vectors.query.where import met_by, narrow_cells
from zarr_vectors.spatial.box import ClosedBox
from zarr_vectors.spatial.grid import Grid, format_keys
from zarr_vectors.storage.cells import CellArray
from zarr_vectors.storage.storage import Storage
from zarr_vectors.storage.tables import read_tables
from zarr_vectors.typing import IntArray

__all__ = [
    "attribute_arrays",
    "attribute_names",
    "candidate_cells",
    "cells_of",
    "cells_touched",
    "check_count",
    "count_rows",
    "every_row",
    "first_rows",
    "inside_of",
    "iter_rows",
    "raise_errors",
    "read_rows",
    "rows_in_cells",
    "selected_cells",
    "wanted_refs",
]

_OWNED = constants.FRAGMENT_OWNER
_MOST_ROWS = 1_000_000
"""Looked at together where reading may stop early."""


def attribute_names(level: LevelState) -> list[str]:
    """Vertex and fragment attributes of a level, the one that it is chunked by included."""
    return [*level.row_columns, *level.chunk_columns]


def attribute_arrays(level: LevelState, names: Sequence[str]) -> dict[str, CellArray]:
    """The arrays that hold these attributes, by name below the level."""
    paths = [level.column_path(name) for name in names if name in level.row_columns]
    return {path: level.cells[path] for path in paths}


def candidate_cells(level: LevelState, box: ClosedBox | None) -> IntArray:
    """``(n, K)`` present cells of the vertices array whose rows may lie in the box, in numeric order."""
    return level.vertices.present if box is None else cells_touched(level, box)[0]


def cells_touched(level: LevelState, box: ClosedBox) -> tuple[IntArray, Grid | None]:
    """The same for a box, and the block of cells that it touches, present or not; None where it touches none."""
    vertices, part = level.vertices, _block_touched(level, box)
    return vertices.present[:0] if part is None else vertices.present_in(part), part


def _block_touched(level: LevelState, box: ClosedBox) -> Grid | None:
    """The cells, present or not, that a box touches, which is open along leading axes; None if there are none."""
    grid = level.vertices.grid
    lead = len(grid.shape) - len(box.lo)
    part = box.clip_grid(Grid(grid.origin[lead:], grid.shape[lead:]), level.chunk_shape, level.rounding)
    return None if part is None else Grid(grid.origin[:lead] + part.origin, grid.shape[:lead] + part.shape)


def read_rows(storage: Storage, level: LevelState, selection: Selection, *, strict: bool = True) -> Rows:
    """Read the rows of a selection: chunk order, or the order of the ids where objects are asked for.

    Raises:
        CorruptionError: With ``strict``, a cell is gone or corrupt.
        ObjectNotFoundError: An id or group does not exist.
        AttributeNotFoundError: An attribute does not exist.
    """
    names = choose_names(selection.attributes, attribute_names(level), store=level.store)
    check_unordered(storage, level, names)
    refs = wanted_refs(storage, level, selection, strict=strict)
    coords = selected_cells(storage, level, selection, refs)
    if selection.chunks is not None:
        coords = coords[find_rows(selection.chunks, coords) >= 0] if selection.chunks.size else coords[:0]
    rows = _read(storage, level, coords, names, refs, selection, strict)
    if selection.is_everything:
        check_count(level, len(rows.positions), rows.errors, strict)
    return rows


def selected_cells(
    storage: Storage, level: LevelState, selection: Selection, refs: ObjectRefs | None = None
) -> IntArray:
    """The cells, in numeric order, that may hold rows of a selection.

    Args:
        refs: Fragments of the objects that are asked for; None where none are.
    """
    reach = selection.reach
    coords = candidate_cells(level, reach) if refs is None else cells_of(level, refs, reach)
    return narrowed(storage, level, narrow_cells(coords, selection), selection)


def iter_rows(
    storage: Storage, level: LevelState, selection: Selection, *, batch_rows: int, strict: bool = True
) -> Iterator[Rows]:
    """The rows of a selection in batches of about ``batch_rows``, never more than a chunk above it; at least one."""
    for part in _parts(storage, level, selection, batch_rows, batch_rows, strict):
        yield from _split(part, batch_rows)


def first_rows(storage: Storage, level: LevelState, selection: Selection, count: int, *, strict: bool = True) -> Rows:
    """The first rows of a selection, in the order of ``read_rows``; reading stops when there are enough."""
    parts, left = [], count
    for part in _parts(storage, level, selection, _MOST_ROWS, min(count, _MOST_ROWS), strict):
        parts.append(part if len(part.positions) <= left else part.take(np.arange(left)))
        left -= len(parts[-1].positions)
        if left <= 0:
            break
    return joined_rows(parts)


def _parts(
    storage: Storage, level: LevelState, selection: Selection, most: int, first: int, strict: bool
) -> Iterator[Rows]:
    """The rows of a selection part by part, at least one.

    Args:
        most: About so many rows are looked at for a part.
        first: About so many are for the first; each of the next may take twice as many as the one before.
    """
    names = choose_names(selection.attributes, attribute_names(level), store=level.store)
    check_unordered(storage, level, names)
    refs = wanted_refs(storage, level, selection, strict=strict)
    coords = selected_cells(storage, level, selection) if refs is None else level.vertices.present
    units, known = (len(coords), len(coords)) if refs is None else (len(refs.asked), level.object_slots)
    step = max(1, first // max(1, level.metadata.vertex_count // max(1, known)))
    start, done, errors = 0, 0, False
    while start < max(units, 1):
        some = None if refs is None else refs.part(start, start + step)
        cells = coords[start : start + step]
        if some is not None:
            cells = selected_cells(storage, level, selection, some)
        part = _read(storage, level, cells, names, some, selection, strict)
        start += step
        done, errors = done + len(part.positions), errors or bool(part.errors)
        if selection.is_everything and start >= units:
            check_count(level, done, part.errors, strict, told=errors)
        # Vertices are rarely spread evenly: follow the density that was met last, rising no faster than twofold.
        fitting = most * step // max(1, part.looked)
        step = max(1, min(2 * step, fitting))
        yield part


def count_rows(storage: Storage, level: LevelState, selection: Selection, *, strict: bool = True) -> int:
    """How many rows a selection has; those of cells that it has as a whole are counted by the index alone."""
    if selection.by_object or selection.chunks is not None:
        return sum(len(part.positions) for part in _parts(storage, level, selection, _MOST_ROWS, _MOST_ROWS, strict))
    coords = selected_cells(storage, level, selection)
    whole, found = whole_cells(storage, level, coords, selection)
    if selection.is_everything and not (whole.all() and found == level.metadata.vertex_count):
        # What is missing is found by reading.
        return sum(len(part.positions) for part in _parts(storage, level, selection, _MOST_ROWS, _MOST_ROWS, strict))
    if whole.any():
        coords = coords[~whole]
        if not len(coords):
            return found
    step = max(1, _MOST_ROWS * max(1, len(level.vertices.present)) // max(1, level.metadata.vertex_count))
    for start in range(0, max(1, len(coords)), step):
        found += len(rows_in_cells(storage, level, selection, coords[start : start + step], strict=strict).positions)
    return found


def rows_in_cells(
    storage: Storage, level: LevelState, selection: Selection, coords: IntArray, *, strict: bool = True
) -> Rows:
    """The rows of a selection that lie in these of its cells; objects must not be asked for."""
    names = choose_names(selection.attributes, attribute_names(level), store=level.store)
    return _read(storage, level, coords, names, None, selection, strict)


def check_count(level: LevelState, rows: int, errors: list[str], strict: bool, *, told: bool = False) -> None:
    """Whether a read of everything brought as many rows as the level states, where its statement can be trusted.

    Lists of present chunks may be cut short without contradicting each other; only the count then tells.
    """
    stated = level.metadata.vertex_count
    if rows == stated or errors or told or not level.keeps_count:
        return
    error = CorruptionError(
        "the level does not have as many vertices as it states",
        store=level.store,
        array=level.vertices.path,
        expected=stated,
        got=rows,
        hint="chunks may be missing from its presence lists; restore it from a copy, or read with strict=False",
    )
    if strict:
        raise error
    errors.append(str(error))


def _split(rows: Rows, batch_rows: int) -> Iterator[Rows]:
    count = len(rows.positions)
    if count <= batch_rows:
        yield rows
        return
    for start in range(0, count, batch_rows):
        part = slice(start, start + batch_rows)
        yield Rows(
            rows.positions[part],
            {name: column[part] for name, column in rows.columns.items()},
            None if rows.object_ids is None else rows.object_ids[part],
            rows.errors,
            rows.per_fragment,
            None if rows.places is None else rows.places[part],
            numbered=rows.numbered,
        )


def wanted_refs(storage: Storage, level: LevelState, selection: Selection, *, strict: bool = True) -> ObjectRefs | None:
    """Fragments of the objects that are asked for by id or group, each object once; None where none are."""
    if not selection.by_object:
        return None
    if not level.has_objects:
        return _no_refs(level, selection)
    named = np.zeros(0, dtype=np.int64) if selection.object_ids is None else selection.object_ids
    members = np.zeros(0, dtype=np.int64)
    if selection.group_ids is not None:
        if constants.GROUPS not in level.tables:
            raise ObjectNotFoundError("the level has no groups", store=level.store)
        (blobs,) = read_tables(storage, [(level.tables[constants.GROUPS], None)])
        members = decode_groups(level, blobs).of(selection.group_ids, level.store)
    wanted = np.concatenate([named, members])
    first = np.sort(np.unique(wanted, return_index=True)[1])
    # A group may be a range of ids of which not all exist; an id that the caller names must.
    refs = refs_of(storage, level, wanted[first], (first < len(named)) & (not selection.lenient), strict=strict)
    return refs.among(selection.among)


def _no_refs(level: LevelState, selection: Selection) -> ObjectRefs:
    """No objects of a level that could have some but has none; whoever names one, or has none to name, is told."""
    asked = [ids for ids in (selection.object_ids, selection.group_ids) if ids is not None and len(ids)]
    if asked or _OWNED not in level.cells:
        raise ObjectNotFoundError("the level has no objects", store=level.store)
    none = np.zeros(0, dtype=np.int64)
    return ObjectRefs(none, np.zeros((0, level.vertices.ndim), dtype=np.int64), none, none, none)


def cells_of(level: LevelState, refs: ObjectRefs, box: ClosedBox | None) -> IntArray:
    """The cells that references name, in numeric order, less those that a box rules out."""
    coords = distinct_rows(refs.chunks)
    gone = np.flatnonzero(~level.vertices.has(coords))
    if len(gone):
        raise CorruptionError(
            "a manifest names a chunk that has no vertices",
            store=level.store,
            array=level.vertices.path,
            cell=format_keys(coords[gone[:1]])[0],
            hint="zarr-vectors validate lists all that is wrong; restore the store from a copy",
        )
    if box is None:
        return coords
    part = _block_touched(level, box)
    return coords[:0] if part is None else coords[part.contains(coords)]


def _read(
    storage: Storage,
    level: LevelState,
    coords: IntArray,
    names: Sequence[str],
    refs: ObjectRefs | None,
    selection: Selection,
    strict: bool,
) -> Rows:
    needed = selection.owners or (selection.rows_meet is not None and selection.rows_meet.needs_owners)
    wants_owners = level.has_objects and needed and refs is None
    stated = level.owner_array if wants_owners else None
    foreign = all_refs(storage, level, strict=strict)[1] if wants_owners and stated is None else None
    beside = selection.names_beside(names)
    by_fragment = any(name in level.fragment_columns for name in [*names, *beside])
    arrays = _arrays(level, [*names, *beside], fragments=wants_owners or refs is not None or by_fragment)
    if stated is not None:
        arrays[_OWNED] = stated
    # Where each row lies is told of whole cells only.
    block = Block.read(storage, level, coords, arrays, packed=refs is not None and not selection.places)
    block.tells_places = selection.places
    block.prepare([*names, *beside], refs)
    for known in (refs, foreign):
        block.errors.extend(() if known is None else known.errors)
    rows = block.assemble(refs, foreign)
    raise_errors(block, strict=strict)
    rows.errors = [str(error) for error in block.errors]
    rows.looked = len(rows.positions)
    met = met_by(rows, rows.object_ids, selection)
    if met is not None:
        rows = rows.take(met).without(beside)
    return inside_of(rows, selection)


def _arrays(level: LevelState, names: Sequence[str], *, fragments: bool) -> dict[str, CellArray]:
    """What holds the positions and these attributes, with the fragment indexes where they are needed anyway."""
    arrays = {constants.VERTICES: level.vertices}
    if fragments or not level.metadata.fragments_tile or level.is_draco:
        arrays[constants.VERTEX_FRAGMENTS] = level.cell_array(constants.VERTEX_FRAGMENTS)
    return arrays | attribute_arrays(level, names)


def every_row(storage: Storage, level: LevelState, names: Sequence[str], *, owned: bool = False) -> tuple[Block, Rows]:
    """The rows that a read of everything brings, and the cells that they come from.

    Args:
        owned: Whether fragments are read, with the objects that they state to be of where they do; without them, rows
            have no owners.

    Raises:
        CorruptionError: A cell is gone or corrupt, or rows are missing.
    """
    check_unordered(storage, level, names)
    arrays = _arrays(level, names, fragments=owned)
    if owned and _OWNED in level.cells:
        arrays[_OWNED] = level.cells[_OWNED]
    block = Block.read(storage, level, level.vertices.present, arrays)
    block.prepare(names)
    rows = block.assemble(None, None)
    raise_errors(block, strict=True)
    check_count(level, len(rows.positions), [], strict=True)
    return block, rows


class _Told(Protocol):
    """What tells what could not be read."""

    errors: list[CorruptionError]


def raise_errors(block: _Told, *, strict: bool) -> None:
    """Raise what a block could not read, listing all, if nothing may be left out."""
    if strict and block.errors:
        first = block.errors[0]
        first.problems = tuple(f"{error.array} {error.cell}: {error.got}" for error in block.errors)
        raise first


def inside_of(rows: Rows, selection: Selection) -> Rows:
    """The rows that lie in all places asked for."""
    for place in selection.places_asked if len(rows.positions) else ():
        mask = place.mask(rows.positions)
        rows = rows if mask.all() else rows.take(mask)
    return rows
