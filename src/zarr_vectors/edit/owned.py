"""Whose vertices are, by the manifests of objects, and whether what is stored beside fragments says the same.

Manifests are what the format goes by. What fragments state of their owners is ours: another writer may have changed
manifests since, and of a damaged store neither may be true. An edit that believed one of them would give vertices to
other objects, or leave some out, so that it is refused where they differ.
"""

from __future__ import annotations

import numpy as np

from zarr_vectors import constants
from zarr_vectors.core.state import LevelState
from zarr_vectors.encoding.blobs import offsets_of
from zarr_vectors.encoding.fragments import FragmentTable, decode_fragments
from zarr_vectors.exceptions import ConventionError, CorruptionError
from zarr_vectors.query.objects import ObjectRefs
from zarr_vectors.query.values import find_rows
from zarr_vectors.spatial.grid import format_keys
from zarr_vectors.storage.cells import read_cells
from zarr_vectors.storage.storage import Storage
from zarr_vectors.typing import BoolArray, IntArray

__all__ = ["SHARED_HINT", "check_along", "check_chunks", "check_owners", "fragments_named", "owners_of", "places_along"]

_MOST_TOLD = 20
_RESTORE = "zarr-vectors validate lists all that is wrong; restore the store from a copy"
_FOLLOW = (
    "zarr-vectors vacuum follows the manifests: of lines, what they leave out goes, and of other kinds it stays "
    "without an object; zarr-vectors repair does too, but gives vertices back to an object whose manifest is empty"
)
SHARED_HINT = "write what reads of its objects one by one bring to another store, and edit that"
"""What to do with objects that share vertices."""


def fragments_named(level: LevelState, coords: IntArray, table: FragmentTable, refs: ObjectRefs) -> IntArray:
    """``(M,)`` number in a table of fragments of each that manifests name.

    Args:
        coords: ``(C, K)`` chunks of the fragments.
        table: The fragments.
        refs: What manifests name; all of it must lie in these chunks.

    Raises:
        CorruptionError: There is no such chunk or fragment.
        ConventionError: A fragment with vertices is named twice.
    """
    cell = find_rows(coords, refs.chunks)
    per_cell = np.where(cell >= 0, table.per_cell[cell] if len(coords) else 0, 0)
    lost = np.flatnonzero((refs.fragments < 0) | (refs.fragments >= per_cell))
    if len(lost):
        raise _lost(level, table, cell, refs, lost)
    numbers: IntArray = offsets_of(table.per_cell)[cell] + refs.fragments
    twice = (np.bincount(numbers, minlength=len(table.counts)) > 1) & (table.counts > 0)
    if twice.any():
        number = int(np.flatnonzero(twice)[0])
        ids = np.unique(refs.ids[numbers == number])
        raise ConventionError(
            "objects of the level share vertices, which cannot be edited",
            store=level.store,
            array=f"{level.number}/{constants.OBJECT_MANIFESTS}",
            cell=format_keys(coords[table.cell_of[number]][None])[0],
            got=f"{table.counts[number]} vertices that are named "
            + (f"by objects {', '.join(map(str, ids[:5].tolist()))}" if len(ids) > 1 else f"twice by object {ids[0]}"),
            hint=SHARED_HINT,
        )
    return numbers


def _lost(level: LevelState, table: FragmentTable, cell: IntArray, refs: ObjectRefs, lost: IntArray) -> CorruptionError:
    """What tells of manifests that name what there is not."""
    owner, first = int(refs.ids[lost[0]]), int(lost[0])
    mine = refs.ids == owner
    there = mine.copy()
    there[lost] = False
    found = offsets_of(table.per_cell)[cell[there]] + refs.fragments[there]
    gone = "chunk that has no vertices" if cell[first] < 0 else "fragment that its chunk does not have"
    told = [f"object {one}" for one in np.unique(refs.ids[lost])[:_MOST_TOLD].tolist()]
    return CorruptionError(
        f"the manifest of object {owner} names a {gone}, so that the level cannot be edited",
        store=level.store,
        array=f"{level.number}/{constants.OBJECT_MANIFESTS}",
        cell=format_keys(refs.chunks[first : first + 1])[0],
        expected=f"{int(mine.sum())} fragments",
        got=f"{int(there.sum())} fragments, of {int(table.counts[found].sum())} vertices",
        hint=_RESTORE,
        problems=told,
    )


def owners_of(table: FragmentTable, numbers: IntArray, refs: ObjectRefs) -> IntArray:
    """``(F,)`` object of each fragment by the manifests; a mark where there is none.

    Args:
        table: ``F`` fragments.
        numbers: ``(M,)`` which of them the manifests name.
        refs: What they name.
    """
    owners = np.full(len(table.counts), constants.OWNER_NONE, dtype=np.int64)
    owners[numbers] = refs.ids
    return owners


def check_owners(level: LevelState, table: FragmentTable, owners: IntArray, stated: IntArray | None) -> None:
    """Refuse fragments with vertices that state another object.

    Args:
        table: ``F`` fragments.
        owners: ``(F,)`` the object of each by the manifests.
        stated: ``(F,)`` the object that each states; None where they state nothing.

    Raises:
        CorruptionError: There are some.
    """
    if stated is None:
        return
    differ = (owners != stated) & (table.counts > 0)
    if differ.any():
        raise _differing(level, table, owners, stated, differ)


def _differing(
    level: LevelState, table: FragmentTable, owners: IntArray, stated: IntArray, differ: BoolArray
) -> CorruptionError:
    """What tells of objects with other vertices by their manifests than fragments state."""
    marks = (constants.OWNER_NONE, constants.OWNER_SEVERAL)
    ids = np.unique(np.concatenate([owners[differ], stated[differ]]))
    ids = ids[~np.isin(ids, marks)] if not np.isin(ids, marks).all() else ids
    counts = [
        (one, int(table.counts[owners == one].sum()), int(table.counts[stated == one].sum()))
        for one in ids[:_MOST_TOLD].tolist()
    ]
    told = [
        f"object {one}: {named} vertices by its manifest, {said} by what fragments state" for one, named, said in counts
    ]
    return CorruptionError(
        f"the manifest of object {counts[0][0]} names other vertices than those that state to be of it, so that the "
        "level cannot be edited",
        store=level.store,
        array=f"{level.number}/{constants.FRAGMENT_OWNER}",
        expected=f"{counts[0][1]} vertices by the manifest",
        got=f"{counts[0][2]} that state it",
        hint=_FOLLOW,
        problems=told,
    )


def places_along(
    table: FragmentTable, numbers: IntArray, refs: ObjectRefs, bases: IntArray
) -> tuple[IntArray, IntArray]:
    """``(R,)`` object of each row of some chunks, and its place in there; marks where there is none.

    Args:
        table: The fragments of the chunks.
        numbers: ``(M,)`` those that manifests name, object after object.
        refs: What manifests name.
        bases: ``(C + 1,)`` where the rows of each chunk begin.
    """
    counts = table.counts[numbers]
    before = offsets_of(counts)
    begins = np.ones(len(numbers), dtype=np.bool_)
    begins[1:] = refs.numbers[1:] != refs.numbers[:-1]
    start = before[:-1][begins][np.cumsum(begins) - 1]
    owners = np.full(int(bases[-1]), constants.OWNER_NONE, dtype=np.int64)
    along = np.full(int(bases[-1]), -1, dtype=np.int64)
    rows = table.rows(numbers, bases=bases[:-1])
    owners[rows] = np.repeat(refs.ids, counts)
    along[rows] = np.arange(int(before[-1])) - np.repeat(start, counts)
    return owners, along


def check_along(level: LevelState, owners: IntArray, along: IntArray, places: IntArray) -> None:
    """Refuse lines whose vertices come in another order than manifests tell, and vertices of no line.

    Args:
        owners: ``(N,)`` object of each vertex by the manifests.
        along: ``(N,)`` its place in there by the manifests, -1 for none.
        places: ``(N,)`` its place by what fragments state.

    Raises:
        CorruptionError: There are some.
    """
    wrong = np.flatnonzero(along != places)
    if not len(wrong):
        return
    first, count = int(owners[wrong[0]]), int((owners == owners[wrong[0]]).sum())
    if along[wrong[0]] < 0:
        raise CorruptionError(
            "the level has vertices of no line, and cannot be edited",
            store=level.store,
            array=f"{level.number}/{constants.OBJECT_MANIFESTS}",
            got=f"{int((along < 0).sum())} vertices that no manifest names",
            hint="zarr-vectors vacuum takes them away",
        )
    raise CorruptionError(
        f"fragments of object {first} state another order than its manifest, so that the level cannot be edited",
        store=level.store,
        array=f"{level.number}/{constants.FRAGMENT_OFFSET}",
        got=f"{int((owners[wrong] == first).sum())} of its {count} vertices elsewhere along it",
        hint="zarr-vectors repair and zarr-vectors vacuum follow the manifest",
    )


def check_chunks(storage: Storage, level: LevelState, coords: IntArray, refs: ObjectRefs) -> None:
    """Refuse chunks whose fragments are of other objects by the manifests than they state.

    Args:
        coords: ``(C, K)`` the chunks, all of which hold vertices.
        refs: All that manifests name in these chunks.

    Raises:
        CorruptionError: They are, or a manifest names a fragment that there is not.
        ConventionError: A fragment is named twice.
    """
    wanted = [(level.cell_array(name), coords) for name in (constants.VERTEX_FRAGMENTS, constants.FRAGMENT_OWNER)]
    fragments, owned = (read.check().cells for read in read_cells(storage, wanted))
    table, errors = decode_fragments(fragments)
    if errors or not np.array_equal(owned.sizes, 8 * table.per_cell):
        raise CorruptionError(
            "chunks cannot be edited whose fragments cannot be read, or do not state their objects",
            store=level.store,
            array=f"{level.number}/{constants.FRAGMENT_OWNER}",
            hint=_RESTORE,
        )
    numbers = fragments_named(level, coords, table, refs)
    check_owners(level, table, owners_of(table, numbers, refs), np.frombuffer(owned.joined(), dtype="<i8"))
