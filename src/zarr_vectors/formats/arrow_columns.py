"""Columns of Arrow as arrays of NumPy."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from zarr_vectors.exceptions import IngestError
from zarr_vectors.formats.columns import CategoryTable
from zarr_vectors.geometry.interchange.arrow_types import dtype_of, first_inexact, is_text
from zarr_vectors.optional import require
from zarr_vectors.typing import AnyArray

__all__ = ["LEAVE_OUT", "Field", "check_exact", "decode", "decode_text", "field_of"]

LEAVE_OUT = "leave the column out with attributes= (--attributes)"


@dataclass(frozen=True, kw_only=True)
class Field:
    """How one column becomes an array.

    Args:
        name: Of the column.
        dtype: Of the array; None for text.
        channels: None for one value per row.
        widened: Integers become float64, because some are missing.
        ordered: Whether the order of the categories means something.
    """

    name: str
    dtype: np.dtype[Any] | None
    channels: int | None = None
    widened: bool = False
    ordered: bool = False

    @property
    def row_bytes(self) -> int:
        """What a row takes in memory."""
        return 8 * (self.channels or 1)


def field_of(path: Path, name: str, arrow_type: Any) -> Field:
    """How a column of this type becomes an array.

    Raises:
        IngestError: It does not.
    """
    types = require("pyarrow.types")
    arrow_type = getattr(arrow_type, "storage_type", arrow_type)
    channels = None
    if types.is_fixed_size_list(arrow_type):
        channels, arrow_type = arrow_type.list_size, arrow_type.value_type
    ordered = types.is_dictionary(arrow_type) and arrow_type.ordered
    if types.is_dictionary(arrow_type):
        arrow_type = arrow_type.value_type
    if channels is None and is_text(arrow_type):
        return Field(name=name, dtype=None, ordered=ordered)
    dtype = dtype_of(arrow_type)
    if dtype is None or channels == 0:
        raise IngestError(
            f"{path}: column {name!r} is of a type that cannot be an attribute",
            got=str(arrow_type),
            hint=f"cast it, or {LEAVE_OUT}",
        )
    return Field(name=name, dtype=dtype, channels=channels)


def decode_text(values: Any, table: CategoryTable) -> AnyArray:
    """Text, or a dictionary of text, as ``(n,)`` int32 codes of a table."""
    pa, types = require("pyarrow"), require("pyarrow.types")
    values = getattr(values, "storage", values)
    if not types.is_dictionary(values.type):
        values = values.cast(pa.large_string()).dictionary_encode()
    return table.recode(values.indices.fill_null(-1).to_numpy(zero_copy_only=False), values.dictionary.to_pylist())


def decode(path: Path, values: Any, field: Field, first_row: int) -> AnyArray:
    """Everything else as an ``(n,)`` or ``(n, channels)`` array; missing floats are NaN, missing times NaT.

    Raises:
        IngestError: A value is missing where the dtype has none for that, or an integer is no float64.
    """
    pa, types = require("pyarrow"), require("pyarrow.types")
    values = getattr(values, "storage", values)
    rows = len(values)
    missing = values.is_null().to_numpy(zero_copy_only=False) if values.null_count else np.zeros(0, dtype=bool)
    if field.channels is not None:
        _check_channels(path, values, field, first_row)
        values = values.values.slice(values.offset * field.channels, rows * field.channels)
    if types.is_dictionary(values.type):
        values = values.dictionary_decode()
    if types.is_null(values.type):
        values = values.cast(pa.float64())
    if field.widened:
        values = values.fill_null(0)
    decoded: AnyArray = values.to_numpy(zero_copy_only=False)
    if field.widened:
        check_exact(path, field.name, decoded, first_row)
    decoded = decoded.astype(field.dtype, copy=False)
    if field.channels is not None:
        decoded = decoded.reshape(rows, field.channels)
    if missing.any():
        decoded = decoded.copy()
        decoded[missing] = np.nan if decoded.dtype.kind == "f" else np.array("NaT", decoded.dtype)
    return decoded


def _check_channels(path: Path, values: Any, field: Field, first_row: int) -> None:
    """Refuse lists that are missing, or that miss a channel, where the dtype has no value for that."""
    if field.dtype is None or field.dtype.kind in "fmM":
        return
    for row, channels in enumerate(values if values.null_count or values.flatten().null_count else ()):
        if not channels.is_valid or channels.values.null_count:
            raise IngestError(
                f"{path}: column {field.name!r} must have a value in every channel, because it holds {field.dtype}",
                got=f"none in row {first_row + row}",
                hint=f"fill in a value, or {LEAVE_OUT}",
            )


def check_exact(path: Path, name: str, integers: AnyArray, first_row: int) -> None:
    """Refuse integers that are no float64.

    Raises:
        IngestError: There is one.
    """
    row = first_inexact(integers)
    if row is not None:
        raise IngestError(
            f"{path}: column {name!r} has integers that change as float64, which its other values call for",
            got=f"{integers[row]} in row {first_row + row}",
            hint=f"fill in missing values, give all coordinates one type, or {LEAVE_OUT}",
        )
