"""Times and spans of time as text, compared exactly with values in any of numpy's units."""

from __future__ import annotations

import re
from fractions import Fraction
from typing import Any

import numpy as np

from zarr_vectors.exceptions import InputError

__all__ = ["TIME_HINT", "ticks_of"]

TIME_HINT = {
    "M": "write a time as text: '2024-05-31' or '2024-05-31T12:00:00.5'",
    "m": "write a span of time as text: '90 s', '5 m' for minutes, '2 D' for days",
}

_TIME = re.compile(r"-?\d{4,9}(-\d\d(-\d\d([T ]\d\d(:\d\d(:\d\d(\.\d{1,18})?)?)?)?)?)?")
_SPAN = re.compile(r"([+-]?\d{1,30}) *([a-zA-Z]{1,2})")
_ATTOS = {"W": 7 * 86400 * 10**18, "D": 86400 * 10**18, "h": 3600 * 10**18, "m": 60 * 10**18}
_ATTOS |= {unit: 10 ** (18 - 3 * power) for power, unit in enumerate(("s", "ms", "us", "ns", "ps", "fs", "as"))}
"""Attoseconds in a unit, of those that are always as long."""
_MONTHS = {"Y": 12, "M": 1}


def ticks_of(text: str, dtype: np.dtype[Any]) -> Fraction | None:
    """A time, or a span of time, counted in the unit of a dtype from where that counts; None if the text tells none.

    A time that is no whole number of years or months lies between those before and after, it is not said where.

    Example:
        >>> ticks_of("1970-01-02T12", np.dtype("M8[D]")), ticks_of("90 s", np.dtype("m8[m]"))
        (Fraction(3, 2), Fraction(3, 2))
    """
    unit, count = np.datetime_data(dtype)
    attos_or_months = _time(text, unit) if dtype.kind == "M" else _span(text, unit)
    if attos_or_months is None:
        return None
    return attos_or_months / ((_MONTHS | _ATTOS)[unit] * count)


def _time(text: str, unit: str) -> Fraction | None:
    """Months since 1970 for a unit of months or years, attoseconds for others."""
    if not _TIME.fullmatch(text):
        return None
    # Fractions of a second are counted apart: numpy does not watch the range of its finer units.
    whole, _, rest = text.partition(".")
    try:
        second = np.datetime64(whole.replace(" ", "T"), "s")
    except ValueError:
        return None
    attos = int(second.astype(np.int64)) * 10**18 + int(rest.ljust(18, "0"))
    if unit not in _MONTHS:
        return Fraction(attos)
    month = second.astype("M8[M]")
    begins = int(month.astype("M8[s]").astype(np.int64)) * 10**18
    return int(month.astype(np.int64)) + (Fraction(1, 2) if attos > begins else Fraction(0))


def _span(text: str, unit: str) -> Fraction | None:
    found = _SPAN.fullmatch(text.strip())
    if found is None:
        return None
    told = found[2]
    known = _MONTHS if unit in _MONTHS else _ATTOS
    if told not in {**_MONTHS, **_ATTOS}:
        return None
    if told not in known:
        raise InputError("months and years are not always as long", got=repr(text), hint=f"write it in {unit!r}")
    return Fraction(int(found[1]) * known[told])
