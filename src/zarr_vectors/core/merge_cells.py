"""Which cells of chunk-grid arrays a side has changed, and merging arrays whose cells both sides have changed."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from zarr_vectors import constants
from zarr_vectors.core.documents import with_presence
from zarr_vectors.core.merge_documents import CATEGORIES, conflict, merge_documents, merge_sets
from zarr_vectors.metadata.array import ArrayDocument
from zarr_vectors.metadata.base import dump_json
from zarr_vectors.spatial.grid import format_keys
from zarr_vectors.storage.backend import Get
from zarr_vectors.storage.cell_array import grown, renamed
from zarr_vectors.storage.cells import CellArray, read_cells
from zarr_vectors.storage.storage import Put, Storage
from zarr_vectors.typing import BoolArray, IntArray, JsonObject

__all__ = ["ArrayChange", "CellMerge", "changed_cells", "common_rows", "merge_cells", "same_layout"]

_OBJECTS_AT_ONCE = 64
_FACTS = ("dtype", "row_shape", "encoding", "channel_names", "offsets", "has_perm", "link_width", "_FillValue")
"""Attributes of an array without which its cells mean something else."""


@dataclass(frozen=True)
class ArrayChange:
    """What a side did to a chunk-grid array.

    Args:
        array: As the side has it; None where it removed it.
        cells: ``(n, K)`` cells that were put or removed.
        objects: ``(m, K)`` first cell of the stored objects that hold them.
    """

    array: CellArray | None
    cells: IntArray
    objects: IntArray


def changed_cells(
    base: Storage, side: Storage, old: CellArray | None, new: CellArray | None, chunks: IntArray | None
) -> ArrayChange:
    """Compare an array with what it was.

    Args:
        chunks: Indices of the stored objects that may have changed; None for all.
    """
    one = new or old
    assert one is not None
    none = np.zeros((0, one.ndim), dtype=np.int64)
    if old is None or new is None:
        return ArrayChange(new, one.present, _objects_of(one, one.present))
    if old.grid.origin != new.grid.origin or old.block != new.block or chunks is None:
        candidates = np.unique(np.concatenate([old.present, new.present]), axis=0)
    else:
        first = chunks * np.asarray(new.block) + np.asarray(new.grid.origin)
        candidates = np.concatenate([_cells_in(old, first), _cells_in(new, first)])
        candidates = np.unique(candidates, axis=0)
    differs = [part[_differing(base, side, old, new, part)] for part in _bundles(new, candidates) if len(part)]
    cells = np.concatenate([*differs, none])
    return ArrayChange(new, cells, _objects_of(new, cells))


def _cells_in(array: CellArray, first: IntArray) -> IntArray:
    """Cells that are present in the stored objects that begin with these."""
    return array.present[common_rows(_first_of(array, array.present), first)]


def _first_of(array: CellArray, coords: IntArray) -> IntArray:
    """The first cell of the stored object of each cell; absolute, so that a grown grid does not change it."""
    block, origin = np.asarray(array.block), np.asarray(array.grid.origin)
    firsts: IntArray = (coords - origin) // block * block + origin
    return firsts


def _objects_of(array: CellArray, coords: IntArray) -> IntArray:
    return np.unique(_first_of(array, coords), axis=0)


def _bundles(array: CellArray, coords: IntArray) -> Iterator[IntArray]:
    """Cells, those of some stored objects at a time."""
    firsts, number = np.unique(_first_of(array, coords), axis=0, return_inverse=True)
    number = np.asarray(number).reshape(-1)
    order = np.argsort(number, kind="stable")
    cuts = np.searchsorted(number[order], np.arange(_OBJECTS_AT_ONCE, len(firsts), _OBJECTS_AT_ONCE))
    yield from np.split(coords[order], cuts)


def _differing(base: Storage, side: Storage, old: CellArray, new: CellArray, coords: IntArray) -> BoolArray:
    """Which cells are there on one side only, or with other stored bytes."""
    before, after = old.has(coords), new.has(coords)
    differs: BoolArray = before != after
    both = np.flatnonzero(before & after)
    if len(both):
        (was,), (is_now,) = (
            read_cells(storage, [(array, coords[both])], decode=False) for storage, array in ((base, old), (side, new))
        )
        pairs = zip(was.check().cells.views(), is_now.check().cells.views(), strict=True)
        differs[both] = np.fromiter((a != b for a, b in pairs), dtype=bool, count=len(both))
    return differs


def common_rows(coords: IntArray, others: IntArray) -> BoolArray:
    """``(n,)`` which rows are among the others."""
    if not len(coords) or not len(others):
        return np.zeros(len(coords), dtype=bool)
    _, number = np.unique(np.concatenate([coords, others]), axis=0, return_inverse=True)
    number = np.asarray(number).reshape(-1)
    found: BoolArray = np.isin(number[: len(coords)], number[len(coords) :])
    return found


@dataclass
class CellMerge:
    """What brings their changes to an array into ours.

    Args:
        puts: Stored objects and the document.
        copies: Our stored objects that get another name.
        deletes: Names that are not used any more.
    """

    puts: list[Iterator[Put]] = field(default_factory=list)
    copies: list[tuple[str, str]] = field(default_factory=list)
    deletes: list[str] = field(default_factory=list)


def merge_cells(theirs_at: Storage, base: CellArray | None, ours: ArrayChange, theirs: ArrayChange) -> CellMerge:
    """Bring the cells that they changed into our array, and merge the documents.

    Raises:
        ConcurrentEditError: The same stored object has changed on both sides, or one side has changed what the cells
            mean that the other has written.
    """
    mine, other = ours.array, theirs.array
    assert mine is not None
    assert other is not None
    twice = common_rows(theirs.objects, ours.objects)
    if twice.any():
        raise conflict(
            "cells of one shard have changed on both sides, the shard that begins with this one"
            if mine.document.is_sharded
            else "a cell has changed on both sides",
            array=mine.path,
            cell=format_keys(theirs.objects[twice][:1])[0],
        )
    _check_facts(base, ours, theirs)
    merged = grown(mine, other.grid)
    shift = np.asarray(merged.grid.origin) - np.asarray(other.grid.origin)
    if len(theirs.objects) and (shift % np.asarray(merged.block)).any():
        raise conflict("the two sides have cut the array into other shards", array=mine.path)
    document = _document(base, merged, other)
    merge = CellMerge()
    there = other.present[common_rows(_first_of(other, other.present), theirs.objects)]
    kept = _objects_of(other, there)
    gone = theirs.objects[~common_rows(theirs.objects, kept)]
    merge.puts.append(_objects(theirs_at, other, merged, kept))
    merge.puts.append(iter([(f"{merged.path}/zarr.json", dump_json(document.to_json()))]))
    merge.deletes += [merged.object_path(row) for row in merged.locate(gone)[0].tolist()]
    if merged.grid.origin != mine.grid.origin:
        moved = list(renamed(mine, merged))
        written = {merged.object_path(row) for row in merged.locate(theirs.objects)[0].tolist()}
        merge.copies += [(source, target) for source, target in moved if target not in written]
        merge.deletes += [source for source, _ in moved]
    return merge


def _objects(storage: Storage, source: CellArray, target: CellArray, firsts: IntArray) -> Iterator[Put]:
    for start in range(0, len(firsts), _OBJECTS_AT_ONCE):
        part = firsts[start : start + _OBJECTS_AT_ONCE]
        paths = [source.object_path(row) for row in source.locate(part)[0].tolist()]
        found = storage.fetch(Get(path) for path in paths)
        for path, row in zip(paths, target.locate(part)[0].tolist(), strict=True):
            data = found[Get(path)]
            if data is None:
                raise conflict("a stored object is gone", array=source.path, got=path)
            yield target.object_path(row), data


def same_layout(one: CellArray, other: CellArray) -> bool:
    """Whether stored objects of one array can be objects of the other."""
    return _layout(one) == _layout(other)


def _layout(array: CellArray) -> tuple[Any, ...]:
    document = array.document
    return document.data_type, document.codecs, document.chunk_shape, document.chunk_key_encoding


def _check_facts(base: CellArray | None, ours: ArrayChange, theirs: ArrayChange) -> None:
    """Refuse arrays whose cells do not mean the same, unless only those of one side are new."""
    assert ours.array is not None
    assert theirs.array is not None
    if not same_layout(ours.array, theirs.array):
        raise conflict("the sides store the array in different shards or codecs", array=ours.array.path)
    mine, other, old = (_facts(array) for array in (ours.array, theirs.array, base))
    quiet = (other == old and not len(theirs.cells)) or (mine == old and not len(ours.cells))
    if mine != other and not quiet:
        names = [name for name in mine if mine[name] != other.get(name)]
        raise conflict(
            f"the sides store the array's cells in different ways: {', '.join(names)}", array=ours.array.path
        )


def _facts(array: CellArray | None) -> dict[str, Any]:
    return {} if array is None else {name: array.document.attributes.get(name) for name in _FACTS}


def _document(base: CellArray | None, mine: CellArray, other: CellArray) -> ArrayDocument:
    """Our document, on the grid that both need, with what they changed."""
    leave = ("shape", "chunk_grid", constants.CHUNK_GRID_ORIGIN, constants.NONEMPTY_CHUNKS, CATEGORIES)
    old = None if base is None else base.document
    sides = [None if document is None else document.to_json() for document in (old, mine.document, other.document)]
    assert sides[1] is not None
    assert sides[2] is not None
    merged = ArrayDocument.parse(
        merge_documents(sides[0], sides[1], sides[2], path=mine.path, leave=leave), where=mine.path
    )
    keys = [
        list((document.attributes if document else {}).get(constants.NONEMPTY_CHUNKS) or [])
        for document in (old, mine.document)
    ]
    present = merge_sets(keys[0], keys[1], list(other.document.attributes.get(constants.NONEMPTY_CHUNKS) or []))
    categories = _categories(mine, other)
    return with_presence(merged.with_attributes(**categories), sorted(present))


def _categories(mine: CellArray, other: CellArray) -> JsonObject:
    """The longer list of categories, if it begins with the other, so that all codes keep their meaning."""
    lists: list[Sequence[Any]] = [array.document.attributes.get(CATEGORIES) or [] for array in (mine, other)]
    longer, shorter = sorted(lists, key=len, reverse=True)
    if list(longer[: len(shorter)]) != list(shorter):
        raise conflict(
            "both sides have added categories, whose codes contradict each other",
            array=mine.path,
            got=f"{list(shorter)[-3:]} and {list(longer)[-3:]}",
        )
    return {CATEGORIES: list(longer)} if longer else {}
