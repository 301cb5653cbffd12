"""Comparing attributes with numbers and text, exactly: row by row, and by what is known of whole cells.

Whole numbers are compared as they are, of any size. A number that is compared with floats is first rounded to their
dtype, so that ``0.1`` is found where a float32 was written as 0.1; one that is too large for it equals nothing. Times
are told as text, and compared exactly whatever the unit. Nothing is known of the times of whole cells.
"""

from __future__ import annotations

import operator
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from fractions import Fraction
from math import ceil, floor, inf, isinf, nextafter
from typing import Any, TypeAlias

import numpy as np

from zarr_vectors.exceptions import InputError
from zarr_vectors.geometry import Categorical, Column
from zarr_vectors.query.times import TIME_HINT, ticks_of
from zarr_vectors.typing import AnyArray, BoolArray, FloatArray, IntArray

__all__ = ["OPERATORS", "Truth", "ValueRanges", "compared", "equal_to_any", "missing_in", "range_compared", "range_in"]

OPERATORS: dict[str, Callable[[Any, Any], Any]] = {
    "==": operator.eq,
    "!=": operator.ne,
    "<": operator.lt,
    "<=": operator.le,
    ">": operator.gt,
    ">=": operator.ge,
}

Truth: TypeAlias = tuple[BoolArray, BoolArray]
"""Which rows meet a condition, and which do not; those with a missing value are in neither."""


@dataclass(frozen=True, eq=False, kw_only=True)
class ValueRanges:
    """What is known of the values of an attribute in each of some cells.

    Args:
        rows: ``(C,)`` int64, rows of each cell.
        nulls: ``(C,)`` int64, how many of them have no value, NaN included.
        low, high: ``(C,)`` float64, no value lies below or above; rounded outward where a value is no float64. NaN
            where this is not known, or where no row has a value.
        known: ``(C,)`` bool, whether the entry can be trusted at all.
        categories: Of an attribute of text: what ``low`` and ``high``, which are codes then, stand for.
        dtype: Of the attribute. Where it is given, less is read than where any dtype must be reckoned with.
    """

    rows: IntArray
    nulls: IntArray
    low: FloatArray
    high: FloatArray
    known: BoolArray
    categories: tuple[Any, ...] | None = None
    dtype: np.dtype[Any] | None = None


def compared(name: str, column: Column, op: str, value: Any) -> Truth:
    """Compare each row with a number, boolean or text.

    Raises:
        InputError: The attribute has several channels, or its values cannot be compared with this one.
    """
    if isinstance(column, Categorical):
        return _by_category(column, _categories_compared(name, column.categories, op, value))
    values, missing = _plain(name, column)
    _check_number(name, values.dtype, op, value)
    values, limit = _comparable(values, op, value)
    met = np.full(len(values), limit) if isinstance(limit, bool) else OPERATORS[limit[0]](values, limit[1])
    return met & ~missing, ~met & ~missing


def _comparable(values: AnyArray, op: str, value: Any) -> tuple[AnyArray, tuple[str, Any] | bool]:
    """Values, times as whole numbers, and what to compare them with."""
    if values.dtype.kind not in "mM":
        return values, _limit(op, value, values.dtype)
    ticks, values = _ticks(value, values.dtype), _counted(values)
    if ticks.denominator == 1:
        return values, (op, int(ticks))
    if op in ("==", "!="):
        return values, op == "!="
    return values, (op, ceil(ticks) if op in ("<", ">=") else floor(ticks))


def _counted(values: AnyArray) -> IntArray:
    """Times as whole numbers of their unit."""
    return values.astype(values.dtype.newbyteorder("="), copy=False).view(np.int64)


def _ticks(value: Any, dtype: np.dtype[Any]) -> Fraction:
    """A time that has been checked, in the unit of a dtype."""
    ticks = ticks_of(value, dtype)
    assert ticks is not None
    return ticks


def equal_to_any(name: str, column: Column, wanted: Sequence[Any]) -> Truth:
    """Whether each row equals one of some values.

    Raises:
        InputError: The attribute has several channels, or its values cannot be compared with these.
    """
    if isinstance(column, Categorical):
        return _by_category(column, _categories_in(name, column.categories, wanted))
    values, missing = _plain(name, column)
    for value in wanted:
        _check_number(name, values.dtype, "in", value)
    if values.dtype.kind in "mM":
        ticks = [_ticks(value, values.dtype) for value in wanted]
        wanted, values = [int(one) for one in ticks if one.denominator == 1], _counted(values)
    met: BoolArray = np.isin(values, _in_dtype(wanted, values.dtype))
    return met & ~missing, ~met & ~missing


def missing_in(name: str, column: Column) -> BoolArray:
    """``(n,)`` rows without a value; NaN and NaT are none.

    Raises:
        InputError: The attribute has several channels.
    """
    return np.asarray(column.codes < 0) if isinstance(column, Categorical) else _plain(name, column)[1]


def range_compared(name: str, ranges: ValueRanges, op: str, value: Any) -> tuple[BoolArray, BoolArray]:
    """``(C,)`` of which cells some value may meet a comparison, and of which every one does. Nulls have no say.

    Raises:
        InputError: The attribute's values cannot be compared with this one.
    """
    if ranges.dtype is not None and ranges.dtype.kind in "mM":
        return np.ones(len(ranges.rows), dtype=bool), np.zeros(len(ranges.rows), dtype=bool)
    if ranges.categories is not None:
        return _by_codes(ranges, _categories_compared(name, ranges.categories, op, value))
    some, every = np.zeros(len(ranges.rows), dtype=bool), np.ones(len(ranges.rows), dtype=bool)
    for dtype in _dtypes_of(name, ranges, op, [value]):
        limit = _limit(op, value, dtype)
        if isinstance(limit, bool):
            some, every = some | limit, every & limit
            continue
        may, must = _against(ranges, limit[0], limit[1])
        some, every = some | may, every & must
    return _where_known(ranges, some, every)


def range_in(name: str, ranges: ValueRanges, wanted: Sequence[Any]) -> tuple[BoolArray, BoolArray]:
    """The same for being equal to one of some values.

    Raises:
        InputError: The attribute's values cannot be compared with these.
    """
    if ranges.dtype is not None and ranges.dtype.kind in "mM":
        return np.ones(len(ranges.rows), dtype=bool), np.zeros(len(ranges.rows), dtype=bool)
    if ranges.categories is not None:
        return _by_codes(ranges, _categories_in(name, ranges.categories, wanted))
    some, every = np.zeros(len(ranges.rows), dtype=bool), np.ones(len(ranges.rows), dtype=bool)
    for dtype in _dtypes_of(name, ranges, "in", wanted):
        around = sorted(_around(value) for value in _in_dtype(wanted, dtype).tolist())
        below = np.array([pair[0] for pair in around], dtype=np.float64)
        above = np.array([pair[1] for pair in around] + [np.nan], dtype=np.float64)
        # The least wanted value that is not below the range: whether it lies in it.
        first = np.searchsorted(below, ranges.low)
        may = above[first] <= ranges.high
        some, every = some | may, every & (may & (ranges.low == ranges.high))
    return _where_known(ranges, some, every)


def _plain(name: str, column: AnyArray) -> tuple[AnyArray, BoolArray]:
    """Values, and which of them are missing; booleans as 0 and 1."""
    if len(column.shape) > 1:
        raise InputError(f"where cannot compare attribute {name!r}, which has several channels")
    values = np.ma.getdata(column)
    missing = np.ma.getmaskarray(column)
    if values.dtype.kind in "fc":
        missing = missing | np.isnan(values)
    elif values.dtype.kind in "mM":
        missing = missing | np.isnat(values)
    return values.view(np.uint8) if values.dtype.kind == "b" else values, missing


def _check_number(name: str, dtype: np.dtype[Any], op: str, value: Any) -> None:
    if dtype.kind in "mM" and np.datetime_data(dtype)[0] != "generic":
        if not isinstance(value, str) or ticks_of(value, dtype) is None:
            raise _not_comparable(name, str(dtype), op, value, TIME_HINT[dtype.kind])
        return
    ordered = op in ("<", "<=", ">", ">=")
    if isinstance(value, str) or dtype.kind not in "iufc" or (dtype.kind == "c" and ordered):
        raise _not_comparable(name, str(dtype), op, value)


def _not_comparable(name: str, what: str, op: str, value: Any, hint: str | None = None) -> InputError:
    hint = "put text in quotes" if what == "text" and not isinstance(value, str) else hint
    return InputError(
        f"where cannot compare attribute {name!r} of {what} with this value", got=f"{op} {value!r}", hint=hint
    )


def _limit(op: str, value: Any, dtype: np.dtype[Any]) -> tuple[str, Any] | bool:
    """A comparison that numpy makes exactly with values of a dtype, and that comes out the same; or what all give."""
    if dtype.kind in "fc":
        return _float_limit(op, value, np.dtype(f"f{dtype.itemsize // 2}") if dtype.kind == "c" else dtype)
    if isinstance(value, float):
        if isinf(value):
            return op == "!=" or (op != "==" and (op in ("<", "<=")) == (value > 0))
        if not value.is_integer():
            if op in ("==", "!="):
                return op == "!="
            return op, (ceil(value) if op in ("<", ">=") else floor(value))
    return op, int(value)


def _float_limit(op: str, value: Any, dtype: np.dtype[Any]) -> tuple[str, Any] | bool:
    limit = _rounded(value, dtype)
    if limit is not None:
        return op, limit
    if op in ("==", "!="):
        return op == "!="
    # Between the largest number and infinity.
    most = np.finfo(dtype).max
    if value > 0:
        return (">", most) if op in (">", ">=") else ("<=", most)
    return ("<", -most) if op in ("<", "<=") else (">=", -most)


def _rounded(value: Any, dtype: np.dtype[Any]) -> Any:
    """A number in a dtype of floats; None where it is too large for it."""
    try:
        with np.errstate(over="ignore"):
            limit = dtype.type(float(value) if dtype.itemsize <= 8 else value)
    except OverflowError:
        return None
    return None if np.isinf(limit) and not (isinstance(value, float) and isinf(value)) else limit


def _in_dtype(wanted: Sequence[Any], dtype: np.dtype[Any]) -> AnyArray:
    """``(n,)`` those of some numbers that values of a dtype can be equal to."""
    if dtype.kind in "fc":
        part = np.dtype(f"f{dtype.itemsize // 2}") if dtype.kind == "c" else dtype
        limits = [_rounded(value, part) for value in wanted]
        return np.array([limit for limit in limits if limit is not None], dtype=dtype)
    info = np.iinfo(dtype)
    whole = [int(value) for value in wanted if not isinstance(value, float) or value.is_integer()]
    return np.array([value for value in whole if info.min <= value <= info.max], dtype=dtype)


_ANY = tuple(np.dtype(name) for name in ("i8", "u8", "f2", "f4", "f8"))


def _dtypes_of(name: str, ranges: ValueRanges, op: str, wanted: Sequence[Any]) -> tuple[np.dtype[Any], ...]:
    """What the values may be."""
    known = ranges.dtype is not None
    dtypes = _ANY if ranges.dtype is None else (np.dtype("u1") if ranges.dtype.kind == "b" else ranges.dtype,)
    for value in wanted:
        _check_number(name, dtypes[0], op if known else "==", value)
    return dtypes


def _against(ranges: ValueRanges, op: str, limit: Any) -> tuple[BoolArray, BoolArray]:
    """Compare ranges with a limit that may lie between two float64."""
    low, high = ranges.low, ranges.high
    below, above = _around(limit)
    if op in ("==", "!="):
        may, must = (low <= below) & (high >= above), (low >= above) & (high <= below)
        return (may, must) if op == "==" else (~must, ~may)
    if op == "<":
        return low < above, high < above
    if op == "<=":
        return low <= below, high <= below
    return (high > below, low > below) if op == ">" else (high >= above, low >= above)


def _around(limit: Any) -> tuple[float, float]:
    """The nearest float64 from below and from above; the number itself twice where it is one."""
    try:
        near = float(limit)
    except OverflowError:
        near = inf if limit > 0 else -inf
    if near == limit:
        return near, near
    return (near, nextafter(near, inf)) if near < limit else (nextafter(near, -inf), near)


def _where_known(ranges: ValueRanges, some: BoolArray, every: BoolArray) -> tuple[BoolArray, BoolArray]:
    dark = np.isnan(ranges.low) | np.isnan(ranges.high)
    return some | dark, every & ~dark


def _by_category(column: Categorical, met: BoolArray) -> Truth:
    """What each category says, for each row."""
    return np.append(met, False)[column.codes], np.append(~met, False)[column.codes]


def _by_codes(ranges: ValueRanges, met: BoolArray) -> tuple[BoolArray, BoolArray]:
    """What each category says, for the codes of each cell."""
    before = np.concatenate([[0], np.cumsum(met)])
    dark = np.isnan(ranges.low) | np.isnan(ranges.high)
    low = np.clip(np.where(dark, 0, ranges.low), 0, len(met)).astype(np.int64)
    high = np.clip(np.where(dark, len(met) - 1, ranges.high) + 1, low, len(met)).astype(np.int64)
    hits = before[high] - before[low]
    return hits > 0, hits == high - low


def _categories_compared(name: str, categories: Sequence[Any], op: str, value: Any) -> BoolArray:
    """``(K,)`` which categories meet a comparison; text is compared by the order of its characters."""
    alike = [isinstance(category, str) == isinstance(value, str) for category in categories or ("",)]
    if not (any(alike) if op in ("==", "!=") else all(alike)):
        raise _not_comparable(name, _type_of(categories), op, value)
    compare = OPERATORS[op]
    return np.array([compare(category, value) for category in categories], dtype=bool)


def _categories_in(name: str, categories: Sequence[Any], wanted: Sequence[Any]) -> BoolArray:
    """``(K,)`` which categories are among some values, of which at least one must be of their type."""
    types = {isinstance(category, str) for category in categories or ("",)}
    if wanted and not any(isinstance(value, str) in types for value in wanted):
        raise _not_comparable(name, _type_of(categories), "in", wanted[0])
    among = set(wanted)
    return np.array([category in among for category in categories], dtype=bool)


def _type_of(categories: Sequence[Any]) -> str:
    return "text" if all(isinstance(category, str) for category in categories) else "categories"
