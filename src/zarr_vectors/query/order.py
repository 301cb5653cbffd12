"""The order of the vertices of a level, as an order of the rows of someone else."""

from __future__ import annotations

from typing import Any

import numpy as np

from zarr_vectors import constants
from zarr_vectors.core.state import LevelState, RootState
from zarr_vectors.exceptions import InputError
from zarr_vectors.geometry.arrays import as_positions
from zarr_vectors.query.places import vertex_places
from zarr_vectors.storage.storage import Storage
from zarr_vectors.typing import AnyArray, IntArray

__all__ = ["row_order"]


def row_order(storage: Storage, root: RootState, level: LevelState, connects: str, positions: Any = None) -> IntArray:
    """``(N,)`` row of the input that each vertex was, in the order of a read of everything.

    Args:
        connects: What connects the vertices, as in ``ReadPlan``.
        positions: The input, to be found again by its positions; by default the store's row ids tell.

    Raises:
        InputError: The store keeps no row ids, or positions do not tell all vertices apart.
    """
    if positions is None:
        if not level.keeps_row_ids:
            raise InputError(
                "the store does not know in which order its vertices were written",
                store=level.store,
                hint="pass positions, to find them again by these, or write it with Layout(keep_order=True)",
            )
        row_ids = vertex_places(storage, level, connects, [constants.ROW_ID]).row_ids
        assert row_ids is not None
        return row_ids
    given = as_positions(positions)
    stored = vertex_places(storage, level, connects).rows.positions
    if given.shape[1] != stored.shape[1]:
        raise InputError("positions must have as many columns as the store has axes", got=given.shape[1])
    if root.offset is not None:
        stored = stored + np.asarray(root.offset, dtype=np.float64)
    with np.errstate(all="ignore"):
        return _rows_in(given.astype(stored.dtype), stored, level.store)


def _rows_in(given: AnyArray, stored: AnyArray, store: str | None) -> IntArray:
    """Row of each stored position among those given."""
    codes = _codes(np.concatenate([given, stored]))
    of_given, of_stored = codes[: len(given)], codes[len(given) :]
    times = np.bincount(of_given, minlength=len(codes) + 1)
    for what, bad in (("is not among them", times[of_stored] == 0), ("is there more than once", times[of_stored] > 1)):
        if bad.any():
            raise InputError(
                f"positions do not tell which row each vertex was: one {what}",
                store=store,
                got=f"{int(bad.sum())} of {len(stored)} vertices, the first at {stored[int(bad.argmax())].tolist()}",
                hint="write the store with Layout(keep_order=True), which keeps the order",
            )
    place = np.zeros(len(codes) + 1, dtype=np.int64)
    place[of_given] = np.arange(len(given))
    return place[of_stored]


def _codes(rows: AnyArray) -> IntArray:
    """``(n,)`` the same number for equal rows; zeros of either sign are equal."""
    order = np.lexsort(rows.T[::-1])
    ordered = rows[order]
    starts = np.ones(len(rows), dtype=bool)
    starts[1:] = (ordered[1:] != ordered[:-1]).any(axis=1)
    codes = np.empty(len(rows), dtype=np.int64)
    codes[order] = np.cumsum(starts) - 1
    return codes
