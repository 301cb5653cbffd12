"""Whose fragments are, by the manifests of the objects."""

from __future__ import annotations

import numpy as np

from zarr_vectors import constants
from zarr_vectors.core.state import LevelState
from zarr_vectors.encoding.blobs import offsets_of
from zarr_vectors.encoding.fragments import FragmentTable
from zarr_vectors.exceptions import CorruptionError
from zarr_vectors.query.objects import ObjectRefs
from zarr_vectors.query.values import find_rows
from zarr_vectors.spatial.grid import format_keys
from zarr_vectors.typing import IntArray

__all__ = ["fragment_numbers", "owners_from_manifests"]


def owners_from_manifests(level: LevelState, coords: IntArray, table: FragmentTable, refs: ObjectRefs) -> IntArray:
    """``(F,)`` object of each fragment of some cells; a mark where there is none, or where there are several.

    Args:
        coords: ``(C, K)`` the cells.
        table: Their fragments.
        refs: Manifests of all objects.
    """
    owners = np.full(len(table.counts), constants.OWNER_NONE, dtype=np.int64)
    cell = find_rows(coords, refs.chunks)
    here = cell >= 0
    fragment = fragment_numbers(level, coords, table, cell[here], refs.fragments[here])
    ids = refs.ids[here]
    owners[fragment] = ids
    times = np.bincount(fragment, minlength=len(owners))
    shared = np.flatnonzero(times > 1)
    if len(shared):
        different = np.zeros(len(owners), dtype=bool)
        different[fragment[owners[fragment] != ids]] = True
        owners[different] = constants.OWNER_SEVERAL
    return owners


def fragment_numbers(
    level: LevelState, coords: IntArray, table: FragmentTable, cell: IntArray, fragment: IntArray
) -> IntArray:
    """``(n,)`` numbers in the table of fragments given by cell and number inside it.

    Raises:
        CorruptionError: A cell does not have so many fragments.
    """
    beyond = np.flatnonzero((fragment < 0) | (fragment >= table.per_cell[cell]))
    if len(beyond):
        at = int(beyond[0])
        raise CorruptionError(
            "a manifest names a fragment that its chunk does not have",
            store=level.store,
            array=f"{level.number}/{constants.OBJECT_MANIFESTS}",
            cell=format_keys(coords[cell[at] : cell[at] + 1])[0],
            got=f"fragment {fragment[at]} of {table.per_cell[cell[at]]}",
        )
    return offsets_of(table.per_cell)[cell] + fragment
