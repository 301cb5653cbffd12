"""Finding out what a column of text holds: booleans, integers, floats or text.

The answer is the same however the rows are cut into blocks.
"""

from __future__ import annotations

from enum import StrEnum
from typing import Any

import numpy as np

from zarr_vectors.geometry.interchange.arrow_types import first_inexact
from zarr_vectors.optional import require
from zarr_vectors.typing import AnyArray, ByteArray

__all__ = ["ColumnScan", "Kind", "parse_numbers"]

_MISSING = ("", "NA", "N/A", "n/a", "#N/A", "NULL", "null", "None", "<NA>")
_BOOLEANS = ("true", "True", "TRUE", "false", "False", "FALSE")
_EXACT = 2.0**53


class Kind(StrEnum):
    """What a column holds; the value is the name of the Arrow type."""

    BOOL = "bool"
    INT = "int64"
    UINT = "uint64"
    FLOAT = "float64"
    TEXT = "string"


class ColumnScan:
    """What one column has turned out to hold so far.

    Attributes:
        missing: The first row without a value, or None.
        inexact: The first row whose integer is not a float64, or None.
        fraction: Whether one of the numbers is no integer.
        clean: Whether Arrow's own parser reads every value as it is.
        low: The smallest number.
        high: The largest number; both are NaN where one of the numbers is.
    """

    def __init__(self) -> None:
        self.missing: int | None = None
        self.inexact: int | None = None
        self.clean = True
        self.low: float = np.inf
        self.high: float = -np.inf
        self._numeric = [Kind.INT, Kind.UINT, Kind.FLOAT]
        self._boolean = True
        self._seen = False
        self.fraction = False

    @property
    def kind(self) -> Kind:
        """The narrowest kind that holds every value seen; an empty column is one of floats."""
        if not self._numeric:
            return Kind.BOOL if self._boolean and self.missing is None else Kind.TEXT
        if not self._seen:
            return Kind.FLOAT if self.clean else Kind.TEXT
        return Kind.FLOAT if self.missing is not None else self._numeric[0]

    @property
    def blank(self) -> bool:
        """Whether no row holds anything."""
        return bool(self._numeric) and self.clean and not self._seen

    def add(self, values: Any, first_row: int) -> None:
        """Take in the next block, an Arrow array of strings."""
        self._note_missing(values, first_row)
        self._boolean = self._boolean and _all_booleans(values)
        if self._numeric:
            numbers = self._numbers(values)
            if numbers is None:
                self._numeric = []
            else:
                self._note_missing(numbers, first_row)
                self._note_numbers(numbers, values, first_row)

    def _numbers(self, values: Any) -> Any:
        if self.clean:
            numbers = self._cast(values)
            cleaned = None if numbers is not None else _cleaned(values)
            if cleaned is None or cleaned.equals(values):
                return numbers
        else:
            cleaned = _cleaned(values)
        numbers = self._cast(cleaned)
        if numbers is not None:
            self.clean = False
        return numbers

    def _cast(self, values: Any) -> Any:
        for index, kind in enumerate(self._numeric):
            if kind is Kind.UINT and self.low < 0:
                continue
            numbers = parse_numbers(values, kind)
            if numbers is not None:
                if len(values) > values.null_count:
                    self._numeric = self._numeric[index:]
                return numbers
        return None

    def _note_missing(self, values: Any, first_row: int) -> None:
        if values.null_count and (self.missing is None or self.missing >= first_row):
            self.missing = first_row + int(np.argmax(values.is_null().to_numpy(zero_copy_only=False)))

    def _note_numbers(self, numbers: Any, values: Any, first_row: int) -> None:
        if numbers.null_count == len(numbers):
            return
        self._seen = True
        dense: AnyArray = (numbers.drop_null() if numbers.null_count else numbers).to_numpy(zero_copy_only=False)
        low, high = dense.min().item(), dense.max().item()
        row = None
        if dense.dtype.kind == "f":
            if not self.fraction:
                self.fraction = bool((dense != np.trunc(dense)).any())
                row = None if self.fraction else _first_rounded(values, numbers.to_numpy(zero_copy_only=False))
        elif low < -_EXACT or high > _EXACT:
            row = first_inexact(numbers.fill_null(0).to_numpy(zero_copy_only=False))
        if row is not None and self.inexact is None:
            self.inexact = first_row + row
        if np.isnan(self.low) or np.isnan(low):
            self.low = self.high = np.nan
        else:
            self.low, self.high = min(self.low, low), max(self.high, high)


def parse_numbers(values: Any, kind: Kind, *, clean: bool = True) -> Any:
    """An Arrow array of strings as numbers, or None where that cannot be.

    Args:
        values: The strings; null is missing.
        kind: A kind of numbers.
        clean: False to take spaces around numbers, plus signs and words for missing values.
    """
    pa, pc = require("pyarrow"), require("pyarrow.compute")
    if not clean:
        values = _cleaned(values)
    try:
        numbers = pc.cast(values, kind.value)
    except pa.ArrowInvalid:
        return None
    # Arrow takes 0x1F for an integer; here it is text, so that it stays what it is.
    return None if kind is not Kind.FLOAT and (_bytes_of(values) | 0x20 == ord("x")).any() else numbers


def _bytes_of(values: Any) -> ByteArray:
    """The text of an Arrow array of strings, one behind the other."""
    _, offsets, data = values.buffers()
    if data is None or not len(values):
        return np.empty(0, dtype=np.uint8)
    first, last = np.frombuffer(offsets, dtype=np.int32)[[values.offset, values.offset + len(values)]]
    return np.frombuffer(data, dtype=np.uint8)[first:last]


def _cleaned(values: Any) -> Any:
    pa, pc = require("pyarrow"), require("pyarrow.compute")
    trimmed = pc.utf8_trim_whitespace(values)
    known = pc.if_else(pc.is_in(trimmed, value_set=pa.array(_MISSING)), pa.scalar(None, pa.string()), trimmed)
    return pc.replace_substring_regex(known, pattern=r"^\+([0-9.])", replacement=r"\1")


def _all_booleans(values: Any) -> bool:
    pa, pc = require("pyarrow"), require("pyarrow.compute")
    present = values.drop_null()
    words = pa.array(_BOOLEANS)
    # The first value tells for most columns.
    return all(pc.all(pc.is_in(some, value_set=words)).as_py() is not False for some in (present[:1], present))


def _first_rounded(values: Any, numbers: AnyArray) -> int | None:
    """The first row that is written as an integer and is another one as a float64."""
    for row in np.flatnonzero(np.isfinite(numbers) & (np.abs(numbers) >= _EXACT)).tolist():
        text = values[row].as_py().strip()
        if text.lstrip("+-").isdecimal() and int(text) != int(numbers[row]):
            return row
    return None
