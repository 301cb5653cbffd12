"""Which types of NumPy and Arrow stand for each other; readers and writers of files ask here too."""

from __future__ import annotations

from typing import Any

import numpy as np

from zarr_vectors.exceptions import InputError
from zarr_vectors.geometry.columns import Categorical
from zarr_vectors.optional import require
from zarr_vectors.typing import AnyArray

__all__ = ["category_array", "dtype_of", "first_inexact", "flat_array", "is_text", "native_values"]

_NUMBERS = (
    "bool",
    "int8",
    "int16",
    "int32",
    "int64",
    "uint8",
    "uint16",
    "uint32",
    "uint64",
    "float16",
    "float32",
    "float64",
)
_EXACT = 2**53
"""From here on not every integer is a float64."""


def is_text(arrow_type: Any) -> bool:
    """Whether an Arrow type is one of strings."""
    types = require("pyarrow.types")
    is_view = getattr(types, "is_string_view", lambda _: False)
    return bool(types.is_string(arrow_type) or types.is_large_string(arrow_type) or is_view(arrow_type))


def dtype_of(arrow_type: Any) -> np.dtype[Any] | None:
    """The dtype of an Arrow type of numbers, booleans or times; None for other types.

    Example:
        >>> import pyarrow as pa
        >>> dtype_of(pa.float32()), dtype_of(pa.string())
        (dtype('float32'), None)
    """
    pa, types = require("pyarrow"), require("pyarrow.types")
    for alias in _NUMBERS:
        if arrow_type.equals(pa.type_for_alias(alias)):
            return np.dtype(alias)
    if types.is_timestamp(arrow_type):
        return np.dtype(f"M8[{arrow_type.unit}]")
    if types.is_duration(arrow_type):
        return np.dtype(f"m8[{arrow_type.unit}]")
    if types.is_date(arrow_type):
        return np.dtype("M8[D]")
    return np.dtype(np.float64) if types.is_null(arrow_type) else None


def native_values(name: str, values: AnyArray) -> AnyArray:
    """Values in the byte order of this machine, and times in a unit that Arrow knows; a mask stays.

    Raises:
        InputError: Arrow has no such type: complex and long floats, times finer than nanoseconds.
    """
    if isinstance(values, np.ma.MaskedArray):
        plain = native_values(name, np.ma.getdata(values))
        masked: AnyArray = np.ma.MaskedArray(plain, mask=np.ma.getmaskarray(values))
        return masked
    if values.dtype.kind not in "biufmM" or (values.dtype.kind == "f" and values.dtype.itemsize > 8):
        raise InputError(f"Arrow has no type for attribute {name!r}", got=f"dtype {values.dtype}", hint="leave it out")
    values = np.ascontiguousarray(values, dtype=values.dtype.newbyteorder("="))
    if values.dtype.kind not in "mM":
        return values
    unit, count = np.datetime_data(values.dtype)
    coarser = {"Y": "D", "M": "D", "W": "D", "D": "D"} if values.dtype.kind == "M" else {"W": "s", "D": "s"}
    wanted = {"h": "s", "m": "s", "s": "s", "ms": "ms", "us": "us", "ns": "ns", **coarser}.get(unit)
    if wanted is None:
        raise InputError(
            f"attribute {name!r} has a unit of time that Arrow lacks",
            expected="days to nanoseconds",
            got=f"dtype {values.dtype}",
            hint="cast it, or leave it out",
        )
    return values if unit == wanted and count == 1 else values.astype(f"{values.dtype.kind}8[{wanted}]")


def flat_array(values: AnyArray) -> Any:
    """A 1-D array as an Arrow array, in which masked values are null."""
    mask = np.ma.getmaskarray(values) if np.ma.is_masked(values) else None
    return require("pyarrow").array(np.ma.getdata(values), mask=mask)


def category_array(name: str, column: Categorical) -> Any:
    """Categories as a dictionary array; missing values are null.

    Raises:
        InputError: They are of several types.
    """
    pa = require("pyarrow")
    is_words = all(isinstance(category, str) for category in column.categories)
    try:
        words = pa.array(column.categories, type=pa.string() if is_words else None)
    except (pa.ArrowException, TypeError) as error:
        raise InputError(f"attribute {name!r} has categories of several types", got=str(error)) from error
    codes = pa.array(column.codes.astype(np.int32, copy=False), mask=column.codes < 0)
    return pa.DictionaryArray.from_arrays(codes, words, ordered=column.ordered)


def first_inexact(integers: AnyArray) -> int | None:
    """The first row whose integer is not a float64, or None.

    Example:
        >>> first_inexact(np.array([1, 2**53, 2**53 + 1])), first_inexact(np.array([2**60]))
        (2, None)
    """
    if not integers.size or (int(integers.max()) <= _EXACT and int(integers.min()) >= -_EXACT):
        return None
    # The largest floats below 2**63 and 2**64 round up to numbers that no integer of that width holds.
    limit = 2.0**63 if integers.dtype.kind == "i" else 2.0**64
    floats = integers.astype(np.float64)
    inside = floats < limit
    inexact = ~inside
    inexact[inside] = floats[inside].astype(integers.dtype) != integers[inside]
    rows = np.flatnonzero(inexact)
    return int(rows[0]) if rows.size else None
