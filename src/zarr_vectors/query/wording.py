"""Names and values of conditions: what they may be, and how they are written as text."""

from __future__ import annotations

import re
from datetime import date, datetime, timedelta
from typing import Any

import numpy as np

from zarr_vectors.exceptions import InputError

__all__ = [
    "OWNERS",
    "PLAIN_NAME",
    "WORDS",
    "as_name",
    "as_value",
    "is_missing",
    "name_text",
    "plain_value",
    "value_text",
]

WORDS = frozenset({"and", "or", "not", "in", "is", "null", "between", "true", "false", "nan", "inf"})
"""What text does not take for the name of an attribute unless it is in backticks."""

OWNERS = ("vertex", "fragment", "object", "edge", "face")
"""What may stand in front of a name, with a dot, to say whose attribute is meant."""

PLAIN_NAME = re.compile(rf"(?:(?:{'|'.join(OWNERS)})\.)?[^\W\d]\w*")
"""Names that need no backticks."""

_LONGEST_NUMBER = 13_000
"""Bits of a whole number; Python refuses to write much longer ones as text."""

_ESCAPED = {"\\": "\\\\", "'": "''", "\n": "\\n", "\r": "\\r", "\t": "\\t"}


def name_text(name: str) -> str:
    """The name of an attribute as text takes it.

    Example:
        >>> name_text("intensity"), name_text("vertex.w"), name_text("fragment_attributes/x")
        ('intensity', 'vertex.w', '`fragment_attributes/x`')
    """
    if PLAIN_NAME.fullmatch(name) and name.lower() not in WORDS:
        return name
    return "`" + name.replace("`", "``") + "`"


def value_text(value: bool | int | float | str) -> str:
    """A value as text takes it.

    Example:
        >>> value_text("it's"), value_text(True), value_text(-0.5), value_text(float("inf"))
        ("'it''s'", 'true', '-0.5', 'inf')
    """
    if isinstance(value, str):
        return "'" + "".join(_ESCAPED.get(letter, letter) for letter in value) + "'"
    return str(value).lower() if isinstance(value, bool) else repr(value)


def as_name(name: Any) -> str:
    """The name of an attribute, checked."""
    if not isinstance(name, str) or not name:
        raise InputError("an attribute must be named by text", got=repr(name))
    return name


def plain_value(value: Any) -> Any:
    """A number of numpy as one of Python, a time as text; what is neither as it is.

    Example:
        >>> plain_value(np.datetime64("2024-05-31T12")), plain_value(np.timedelta64(90, "s")), plain_value(np.int8(3))
        ('2024-05-31T12', '90 s', 3)
    """
    if isinstance(value, (np.datetime64, np.timedelta64)) and np.isnat(value):
        return None
    if isinstance(value, np.datetime64):
        return str(value)
    if isinstance(value, np.timedelta64):
        unit, count = np.datetime_data(value.dtype)
        return f"{int(value.astype(np.int64)) * count} {unit}"
    if isinstance(value, timedelta):
        return f"{value // timedelta(microseconds=1)} us"
    if isinstance(value, datetime) and value.tzinfo is not None:
        raise InputError("a time must have no zone", got=repr(value), hint="stored times have none: convert it to UTC")
    if isinstance(value, date):
        return value.isoformat()
    return value.item() if isinstance(value, np.generic) else value


def as_value(name: str, value: Any) -> bool | int | float | str:
    """What an attribute is compared with, checked; numbers of numpy as those of Python, times as text."""
    value = plain_value(value)
    if is_missing(value):
        raise InputError(
            f"nothing is equal to a missing value, nor less or greater: {name!r} cannot be compared with one",
            got=repr(value),
            hint=f"use col({name!r}).is_null(), or in text: {name_text(name)} is null",
        )
    if not isinstance(value, (bool, int, float, str)):
        raise InputError(
            f"attribute {name!r} can only be compared with a number, boolean, text or time", got=repr(value)
        )
    if isinstance(value, int) and value.bit_length() > _LONGEST_NUMBER:
        raise InputError(f"attribute {name!r} is compared with too long a number", got=f"{value.bit_length()} bits")
    return value


def is_missing(value: Any) -> bool:
    """Whether it is None or NaN."""
    return value is None or (isinstance(value, float) and value != value)
