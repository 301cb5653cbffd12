"""Arrays as users give them, checked and brought to the shape and type that values keep."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

from zarr_vectors.exceptions import InputError
from zarr_vectors.typing import AnyArray, IntArray

__all__ = ["as_array", "as_ids", "as_positions", "describe_ragged"]

_RENUMBER = "give smaller ids, and keep these as an attribute"


def as_positions(value: Any, name: str = "positions") -> AnyArray:
    """An ``(N, D)`` real array; refuses what would have to be changed to become one."""
    positions = as_array(name, value)
    if positions.size == 0 and positions.ndim < 2:
        raise InputError(
            f"{name} must be an (N, D) array",
            got=f"shape {positions.shape}",
            hint="for no points pass np.empty((0, 3))",
        )
    if positions.ndim != 2:
        raise InputError(f"{name} must be an (N, D) array", got=f"shape {positions.shape}")
    if not 1 <= positions.shape[1] <= 4:
        raise InputError(f"{name} must have 1 to 4 columns", got=f"{positions.shape[1]} columns")
    if positions.dtype.kind not in "fiu" or positions.dtype.itemsize > 8:
        raise InputError(
            f"{name} must be real numbers of at most 64 bits", got=f"dtype {positions.dtype}", hint="cast them first"
        )
    return positions


def as_array(name: str, value: Any) -> AnyArray:
    """What numpy makes of a value; refuses ragged rows, and masked entries, which would come out as numbers."""
    try:
        array = np.asarray(value)
    except ValueError as error:
        raise InputError(f"{name} must be rectangular", got=describe_ragged(value, error)) from error
    if np.ma.is_masked(value):
        row = int(np.argwhere(np.ma.getmaskarray(value))[0, 0])
        raise InputError(f"{name} must not be masked", got=f"a masked entry in row {row}", hint="leave these rows out")
    return array


def as_ids(name: str, value: Any, rows: int | None = None) -> IntArray:
    """A 1-D int64 array; refuses floats, text, booleans and what int64 cannot hold."""
    ids = as_array(name, sorted(value) if isinstance(value, (set, frozenset)) else value)
    if ids.size == 0 and ids.dtype.kind == "f":
        ids = ids.astype(np.int64)
    if ids.ndim != 1:
        raise InputError(f"{name} must be 1-D", got=f"shape {ids.shape}")
    if ids.dtype.kind not in "iu":
        # Of integers that are too large numpy makes floats, or objects.
        row = _first_too_large(value if isinstance(value, (list, tuple)) else ids.tolist())
        if row is not None:
            raise InputError(f"{name} must fit in int64", got=f"{value[row]} in row {row}", hint=_RENUMBER)
        raise InputError(f"{name} must be integers", got=f"dtype {ids.dtype}", hint="cast them to int64 first")
    if ids.dtype == np.uint64 and ids.size and int(ids.max()) > np.iinfo(np.int64).max:
        row = int(np.argmax(ids > np.uint64(np.iinfo(np.int64).max)))
        raise InputError(f"{name} must fit in int64", got=f"{ids[row]} in row {row}", hint=_RENUMBER)
    if rows is not None and len(ids) != rows:
        raise InputError(f"{name} must have one entry per row", expected=f"{rows} entries", got=len(ids))
    return ids.astype(np.int64, copy=False)


def _first_too_large(values: Sequence[Any]) -> int | None:
    """The first row of integers that int64 cannot hold; None where something else is among them."""
    if not all(isinstance(entry, (int, np.integer)) for entry in values):
        return None
    info = np.iinfo(np.int64)
    return next((row for row, entry in enumerate(values) if not info.min <= entry <= info.max), None)


def describe_ragged(value: Any, error: ValueError) -> str:
    """Which row of a nested sequence has another length than the first."""
    sizes = [len(row) if isinstance(row, (list, tuple)) else np.size(row) for row in value]
    row = next((number for number, size in enumerate(sizes) if size != sizes[0]), 0)
    return f"{sizes[row]} values in row {row}, {sizes[0]} in row 0" if row else str(error)
