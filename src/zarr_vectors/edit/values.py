"""Values on their way into the columns of a draft."""

from __future__ import annotations

from typing import Any

import numpy as np

from zarr_vectors.core.documents import ColumnSpec
from zarr_vectors.exceptions import InputError
from zarr_vectors.geometry import Categorical, Column, as_column, take_column
from zarr_vectors.types.append_columns import filler, merge_categories
from zarr_vectors.types.appended import cast_column
from zarr_vectors.types.check import cast_positions, measure
from zarr_vectors.types.intake import casts_exactly
from zarr_vectors.types.table import column_spec
from zarr_vectors.typing import AnyArray, FloatArray, IntArray

__all__ = ["as_given", "blank", "in_bounds", "joined", "like", "put", "rounded", "spread"]


def as_given(what: str, name: str, values: Any) -> Column:
    """Values as a column; a single one becomes a column of one row.

    Raises:
        InputError: They are no column.
    """
    single = values is None or isinstance(values, (str, bytes)) or np.ndim(values) == 0
    return as_column(name, [values] if single else values, what=what)


def spread(what: str, name: str, column: Column, rows: int) -> Column:
    """A value for each of so many rows: the values themselves, or a single one again and again.

    Raises:
        InputError: There are neither so many values nor one.
    """
    if len(column) == rows:
        return column
    if len(column) != 1:
        raise InputError(
            f"{what} {name!r} must have a value for each row, or one for all",
            expected=f"{rows} values",
            got=f"{len(column)} values",
        )
    return take_column(column, np.zeros(rows, dtype=np.int64))


def like(what: str, name: str, column: Column, old: Column) -> Column:
    """Values in the type of a column that there is; floats are rounded to it, all else must fit.

    Raises:
        InputError: They do not fit.
    """
    if isinstance(old, Categorical):
        missing = not isinstance(column, Categorical) and column.dtype.kind == "f" and bool(np.isnan(column).all())
        if missing:
            return Categorical(np.full(len(column), -1), (), old.ordered)
        if not isinstance(column, Categorical):
            raise InputError(f"{what} {name!r} must be text or categories, as in the store", got=str(column.dtype))
        return column
    shape = old.shape[1:]
    if (
        isinstance(column, np.ndarray)
        and column.shape[1:] != shape
        and int(np.prod(column.shape[1:])) == int(np.prod(shape))
    ):
        column = column.reshape(len(column), *shape)
    if isinstance(column, Categorical) or column.shape[1:] != shape:
        got = "text" if isinstance(column, Categorical) else f"rows of shape {column.shape[1:]}"
        raise InputError(f"{what} {name!r} must be {old.dtype} of shape {shape}, as in the store", got=got)
    return column if column.dtype == old.dtype else cast_column(what, name, column, old.dtype)


def put(old: Column, rows: IntArray, new: Column) -> Column:
    """A column with other values in some rows; new categories come after those that there are."""
    if isinstance(old, Categorical) and isinstance(new, Categorical):
        codes, categories = _united(old, new)
        merged = old.codes.astype(np.int64)
        merged[rows] = codes
        return Categorical(merged, categories, old.ordered)
    values: AnyArray = old.copy() if not isinstance(old, Categorical) else np.asarray(old)
    values[rows] = new
    return values


def joined(what: str, name: str, old: Column, new: Column) -> Column:
    """A column and after it another in its type."""
    new = like(what, name, new, old)
    if isinstance(old, Categorical) and isinstance(new, Categorical):
        codes, categories = _united(old, new)
        return Categorical(np.concatenate([old.codes.astype(np.int64), codes]), categories, old.ordered)
    parts: list[Any] = [old, new]
    both: AnyArray = (np.ma.concatenate if any(map(np.ma.is_masked, parts)) else np.concatenate)(parts)
    return both.astype(old.dtype, copy=False)


def _united(old: Categorical, new: Categorical) -> tuple[IntArray, tuple[Any, ...]]:
    """Codes of the new values among all categories."""
    spec, lookup = merge_categories("", column_spec(old), column_spec(new))
    return lookup[new.codes.astype(np.int64)], spec.categories or ()


def blank(name: str, spec: ColumnSpec, rows: int, fill: dict[str, Any]) -> Column:
    """Rows without a value: what is said to fill them, or what means missing.

    Raises:
        InputError: Neither is there.
    """
    value, stored = filler(name, spec, fill)
    if stored.categories is not None:
        return Categorical(np.full(rows, int(value)), stored.categories, stored.ordered)
    return np.array(np.broadcast_to(value, (rows, *value.shape)))


def rounded(positions: AnyArray, dtype: np.dtype[Any], ndim: int) -> AnyArray:
    """Positions as the store holds them; floats are rounded to its dtype, nothing else is.

    Raises:
        InputError: Another number of axes, coordinates that are not finite, or that the dtype cannot hold.
    """
    if positions.ndim != 2 or positions.shape[1] != ndim:
        raise InputError(f"positions must be (n, {ndim})", got=f"shape {positions.shape}")
    measure(positions)
    if positions.dtype == dtype:
        return positions
    if dtype.kind != "f" and not casts_exactly(positions, dtype):
        raise InputError(
            f"the store's positions are {dtype}, which cannot hold these exactly", got=str(positions.dtype)
        )
    return cast_positions(positions, dtype)


def in_bounds(positions: AnyArray, bounds: tuple[FloatArray, FloatArray], policy: str, store: str | None) -> None:
    """Refuse positions outside the bounds, unless these are to grow.

    Raises:
        InputError: With the first of them.
    """
    if policy == "expand" or not len(positions):
        return
    outside = ((positions < bounds[0]) | (positions > bounds[1])).any(axis=1)
    if outside.any():
        row = int(np.flatnonzero(outside)[0])
        raise InputError(
            "positions lie outside the bounds of the store",
            store=store,
            got=f"{int(outside.sum())} of {len(positions)}, the first at {positions[row].tolist()}",
            expected=f"{bounds[0].tolist()} to {bounds[1].tolist()}",
            hint="use store.edit(out_of_bounds='expand') to grow the bounds",
        )
