"""Columns as plain arrays, for libraries that know neither masks nor categories, and the other way round."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import Any

import numpy as np

from zarr_vectors.exceptions import InputError
from zarr_vectors.geometry.columns import Categorical, Column, as_column
from zarr_vectors.geometry.interchange.arrow_types import first_inexact
from zarr_vectors.typing import AnyArray

__all__ = ["column_of_values", "columns_of_records", "plain_column", "records", "values_of"]


def plain_column(name: str, column: Column) -> AnyArray:
    """A column as an array: text as objects, None where it is missing; masked integers as floats, NaN where masked.

    Raises:
        InputError: Integers of a masked column would change as float64, or its booleans are masked.

    Example:
        >>> plain_column("n", np.ma.MaskedArray([1, 2], mask=[False, True])).tolist()
        [1.0, nan]
    """
    if isinstance(column, Categorical) or not np.ma.is_masked(column):
        known = np.asarray(column)
        return known.astype(known.dtype.newbyteorder("="), copy=False)
    plain, mask = np.ma.getdata(column), np.ma.getmaskarray(column)
    row = first_inexact(np.where(mask, 0, plain).reshape(-1)) if plain.dtype.kind in "iu" else None
    if plain.dtype.kind == "b" or row is not None:
        raise InputError(
            f"attribute {name!r} has missing values, which its values leave no room for",
            got=f"dtype {plain.dtype}",
            hint="fill them, or leave the attribute out",
        )
    return np.where(mask, np.nan, plain.astype(np.float64))


def values_of(column: Column) -> list[Any]:
    """Each row as a Python value, a list where there are channels; None where it is missing."""
    if isinstance(column, Categorical):
        return list(np.asarray(column).tolist())
    if column.dtype.kind in "mM" and column.ndim == 1:
        return [None if one != one else one for one in column]
    return list(column.tolist())


def records(columns: Mapping[str, Column], count: int) -> list[dict[str, Any]]:
    """A mapping for each row, without what is missing in it.

    Example:
        >>> records({"n": np.array([1, 2]), "t": Categorical.from_values(["a", None])}, 2)
        [{'n': 1, 't': 'a'}, {'n': 2}]
    """
    if not columns:
        return [{} for _ in range(count)]
    rows = zip(*(values_of(column) for column in columns.values()), strict=True)
    return [{name: one for name, one in zip(columns, row, strict=True) if one is not None} for row in rows]


def column_of_values(name: str, values: Sequence[Any]) -> Column:
    """A column of Python values, of which None are missing.

    Raises:
        InputError: They are of kinds that make no column.

    Example:
        >>> column_of_values("n", [1, None, 3]).tolist(), column_of_values("f", [1.5, None]).tolist()
        ([1, None, 3], [1.5, nan])
    """
    present = [one for one in values if one is not None]
    if not present:
        return np.full(len(values), np.nan)
    some = as_column(name, present)
    if isinstance(some, Categorical):
        return Categorical.from_values(np.array([*values, None], dtype=object)[:-1], name=name)
    if len(present) == len(values):
        return some
    there = np.array([one is not None for one in values])
    filled = np.zeros((len(values), *some.shape[1:]), dtype=some.dtype)
    filled[there] = some
    if some.dtype.kind in "fcmM":
        filled[~there] = "NaT" if some.dtype.kind in "mM" else np.nan
        return filled
    absent = np.broadcast_to(~there.reshape(-1, *[1] * (some.ndim - 1)), filled.shape)
    masked: AnyArray = np.ma.MaskedArray(filled, mask=absent)
    return masked


def columns_of_records(rows: Iterable[Mapping[str, Any]]) -> dict[str, Column]:
    """A column for each name that occurs.

    Example:
        >>> columns_of_records([{"n": 1}, {"n": 2}])["n"].tolist()
        [1, 2]
    """
    listed = list(rows)
    names = dict.fromkeys(name for row in listed for name in row)
    return {str(name): column_of_values(str(name), [row.get(name) for row in listed]) for name in names}
