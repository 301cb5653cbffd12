"""Conditions on attributes as values: composed in Python, told as text, met by rows and by whole cells.

They follow SQL: a comparison with a missing value, which NaN is too, is neither true nor false, and rows of which that
is all that can be said are not selected, also by the opposite of the condition.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from functools import reduce

import numpy as np

from zarr_vectors.exceptions import AttributeNotFoundError, InputError
from zarr_vectors.geometry import Column
from zarr_vectors.query.compare import (
    OPERATORS,
    Truth,
    ValueRanges,
    compared,
    equal_to_any,
    missing_in,
    range_compared,
    range_in,
)
from zarr_vectors.query.wording import as_name, as_value, name_text, value_text
from zarr_vectors.typing import BoolArray

__all__ = ["MOST_NESTED", "And", "Compare", "Expression", "IsIn", "IsNull", "Not", "Or", "ValueRanges", "all_of"]

MOST_NESTED = 100
"""Conditions inside one another."""


class Expression:
    """A condition on attributes; combine several with ``&``, ``|`` and ``~``, and get the first ones from ``col``.

    ``str`` gives the text that ``where=`` takes as well.

    Example:
        >>> import zarr_vectors as zv
        >>> bright = (zv.col("intensity") > 100) & ~zv.col("class").isin(["noise", "water"])
        >>> print(bright)
        intensity > 100 and not class in ('noise', 'water')
        >>> bright.names
        ('intensity', 'class')
    """

    depth: int = 1

    @property
    def names(self) -> tuple[str, ...]:
        """The attributes that it asks for, in the order in which it names them."""
        return tuple(dict.fromkeys(_named(self)))

    def renamed(self, names: Mapping[str, str]) -> Expression:
        """The same condition on attributes of other names.

        Args:
            names: The new name of each of ``names``; those that are not there stay.

        Example:
            >>> import zarr_vectors as zv
            >>> print(((zv.col("x") > 3) & ~zv.col("y").is_null()).renamed({"x": "vertex.x"}))
            vertex.x > 3 and not y is null
        """
        return _renamed(self, names)

    def mask(self, columns: Mapping[str, Column]) -> BoolArray:
        """``(n,)`` which rows meet it.

        Args:
            columns: Attributes by name, ``n`` rows each.

        Raises:
            AttributeNotFoundError: One of ``names`` is not there.
            InputError: An attribute cannot be compared with a value, or has several channels.

        Example:
            >>> import numpy as np, zarr_vectors as zv
            >>> (~(zv.col("x") > 3)).mask({"x": np.array([1.0, 5.0, np.nan])}).tolist()
            [True, False, False]
        """
        return _truth(self, columns)[0]

    def prune(self, ranges: Mapping[str, ValueRanges], cells: int | None = None) -> tuple[BoolArray, BoolArray]:
        """Of which cells some row may meet it, and of which every row surely does.

        Args:
            ranges: What is known of attributes by name, ``C`` cells each; nothing is known of others.
            cells: ``C``, where ``ranges`` may be empty.

        Returns:
            Two ``(C,)`` bool arrays, ``(may, must)``; both are right whatever the rows are. A cell without rows has
            none that may, and every one must.

        Raises:
            InputError: As of ``mask``, where the ranges tell; or nothing tells how many cells there are.

        Example:
            >>> import numpy as np, zarr_vectors as zv
            >>> none, all_known = np.zeros(2, dtype=int), np.ones(2, dtype=bool)
            >>> low, high = np.array([0.0, 6.0]), np.array([4.0, 9.0])
            >>> known = ValueRanges(rows=np.array([5, 5]), nulls=none, low=low, high=high, known=all_known)
            >>> may, must = (zv.col("x") > 5).prune({"x": known})
            >>> may.tolist(), must.tolist()
            ([False, True], [False, True])
        """
        if cells is None:
            if not ranges:
                raise InputError("cells must be given where nothing is known of any attribute")
            cells = len(next(iter(ranges.values())).rows)
        (may, _), (must, _) = _likely(self, ranges, cells)
        return may, must

    def __and__(self, other: object) -> Expression:
        return And((self, other)) if isinstance(other, Expression) else NotImplemented

    def __or__(self, other: object) -> Expression:
        return Or((self, other)) if isinstance(other, Expression) else NotImplemented

    def __invert__(self) -> Expression:
        return Not(self)

    def __bool__(self) -> bool:
        raise InputError(
            "a condition on attributes is neither true nor false before it is met by rows",
            got=str(self),
            hint="combine conditions by & and | and ~ with brackets around each, not by and, or, not; "
            "instead of 0 < a < 5 write (a > 0) & (a < 5)",
        )


@dataclass(frozen=True)
class Compare(Expression):
    """An attribute compared with a value.

    Args:
        name: Of the attribute.
        op: ``==``, ``!=``, ``<``, ``<=``, ``>`` or ``>=``.
        value: A number, boolean or text.
    """

    name: str
    op: str
    value: bool | int | float | str

    def __post_init__(self) -> None:
        as_name(self.name)
        if self.op not in OPERATORS:
            raise InputError("a comparison must be one of " + " ".join(OPERATORS), got=repr(self.op))
        object.__setattr__(self, "value", as_value(self.name, self.value))

    def __str__(self) -> str:
        return f"{name_text(self.name)} {self.op} {value_text(self.value)}"


@dataclass(frozen=True)
class IsIn(Expression):
    """An attribute has one of some values.

    Args:
        name: Of the attribute.
        values: Numbers, booleans or text.
    """

    name: str
    values: tuple[bool | int | float | str, ...]

    def __post_init__(self) -> None:
        as_name(self.name)
        object.__setattr__(self, "values", tuple(as_value(self.name, value) for value in self.values))

    def __str__(self) -> str:
        return f"{name_text(self.name)} in ({', '.join(map(value_text, self.values))})"


@dataclass(frozen=True)
class IsNull(Expression):
    """An attribute has no value.

    Args:
        name: Of the attribute.
    """

    name: str

    def __post_init__(self) -> None:
        as_name(self.name)

    def __str__(self) -> str:
        return f"{name_text(self.name)} is null"


@dataclass(frozen=True)
class _Several(Expression):
    """Conditions that are combined; those of the same kind among them become part of this one."""

    parts: tuple[Expression, ...]
    depth: int = field(init=False, repr=False, compare=False, default=1)

    def __post_init__(self) -> None:
        flat: list[Expression] = []
        for part in self.parts:
            if not isinstance(part, Expression):
                raise InputError("only conditions on attributes can be combined", got=repr(part))
            flat += part.parts if isinstance(part, type(self)) else [part]
        if len(flat) < 2:
            raise InputError("at least two conditions must be combined", got=len(flat))
        object.__setattr__(self, "parts", tuple(flat))
        object.__setattr__(self, "depth", _deeper(flat))


@dataclass(frozen=True)
class And(_Several):
    """All of some conditions.

    Args:
        parts: At least two.
    """

    def __str__(self) -> str:
        return " and ".join(f"({part})" if isinstance(part, Or) else str(part) for part in self.parts)


@dataclass(frozen=True)
class Or(_Several):
    """Any of some conditions.

    Args:
        parts: At least two.
    """

    def __str__(self) -> str:
        return " or ".join(map(str, self.parts))


@dataclass(frozen=True)
class Not(Expression):
    """The opposite of a condition; where that is neither true nor false, so is this.

    Args:
        part: The condition.
    """

    part: Expression
    depth: int = field(init=False, repr=False, compare=False, default=1)

    def __post_init__(self) -> None:
        if not isinstance(self.part, Expression):
            raise InputError("only a condition on attributes has an opposite", got=repr(self.part))
        object.__setattr__(self, "depth", _deeper([self.part]))

    def __str__(self) -> str:
        return f"not ({self.part})" if isinstance(self.part, _Several) else f"not {self.part}"


def all_of(parts: Sequence[Expression]) -> Expression:
    """All of some conditions, of which there is at least one."""
    return parts[0] if len(parts) == 1 else And(tuple(parts))


def _named(condition: Expression) -> Iterator[str]:
    match condition:
        case Compare() | IsIn() | IsNull():
            yield condition.name
        case And() | Or():
            for part in condition.parts:
                yield from _named(part)
        case Not():
            yield from _named(condition.part)


def _renamed(condition: Expression, names: Mapping[str, str]) -> Expression:
    match condition:
        case Compare() | IsIn() | IsNull():
            return replace(condition, name=names.get(condition.name, condition.name))
        case And() | Or():
            return type(condition)(tuple(_renamed(part, names) for part in condition.parts))
        case Not():
            return Not(_renamed(condition.part, names))
    raise _unknown_kind(condition)


def _truth(condition: Expression, columns: Mapping[str, Column]) -> Truth:
    """Which rows meet a condition, and which its opposite."""
    match condition:
        case Compare(name, op, value):
            return compared(name, _column(columns, name), op, value)
        case IsIn(name, values):
            return equal_to_any(name, _column(columns, name), values)
        case IsNull(name):
            missing = missing_in(name, _column(columns, name))
            return missing, ~missing
        case Not(part):
            return _truth(part, columns)[::-1]
        case And(parts):
            return reduce(_both, (_truth(part, columns) for part in parts))
        case Or(parts):
            return reduce(_either, (_truth(part, columns) for part in parts))
    raise _unknown_kind(condition)


def _likely(condition: Expression, ranges: Mapping[str, ValueRanges], cells: int) -> tuple[Truth, Truth]:
    """The same of cells: which it may be of some row, and which it must be of every row."""
    match condition:
        case Compare(name, op, value) if name in ranges:
            return _of_values(ranges[name], range_compared(name, ranges[name], op, value))
        case IsIn(name, values) if name in ranges:
            return _of_values(ranges[name], range_in(name, ranges[name], values))
        case IsNull(name) if name in ranges:
            return _of_nulls(ranges[name])
        case Compare() | IsIn() | IsNull():
            may, must = np.ones(cells, dtype=bool), np.zeros(cells, dtype=bool)
            return (may, may), (must, must)
        case Not(part):
            may_be, must_be = _likely(part, ranges, cells)
            return may_be[::-1], must_be[::-1]
        case And(parts) | Or(parts):
            combine = _both if isinstance(condition, And) else _either
            likely = [_likely(part, ranges, cells) for part in parts]
            return reduce(combine, (one[0] for one in likely)), reduce(combine, (one[1] for one in likely))
    raise _unknown_kind(condition)


def _of_values(known: ValueRanges, values: tuple[BoolArray, BoolArray]) -> tuple[Truth, Truth]:
    """What the values of cells say, for their rows: those without a value are on neither side."""
    some, every = values
    filled, full, empty, trusted = known.nulls < known.rows, known.nulls == 0, known.rows == 0, known.known
    may = (some & filled) | ~trusted, (~every & filled) | ~trusted
    return may, (((every & full) | empty) & trusted, ((~some & full) | empty) & trusted)


def _of_nulls(known: ValueRanges) -> tuple[Truth, Truth]:
    some, every = known.nulls > 0, known.nulls == known.rows
    filled, full, trusted = known.nulls < known.rows, known.nulls == 0, known.known
    return (some | ~trusted, filled | ~trusted), (every & trusted, full & trusted)


def _both(left: Truth, right: Truth) -> Truth:
    return left[0] & right[0], left[1] | right[1]


def _either(left: Truth, right: Truth) -> Truth:
    return left[0] | right[0], left[1] & right[1]


def _column(columns: Mapping[str, Column], name: str) -> Column:
    if name not in columns:
        raise AttributeNotFoundError(f"there is no attribute {name!r}", expected=f"one of {sorted(columns)}")
    return columns[name]


def _deeper(parts: Sequence[Expression]) -> int:
    depth = 1 + max(part.depth for part in parts)
    if depth > MOST_NESTED:
        raise InputError("conditions are nested too deeply", expected=f"at most {MOST_NESTED} inside one another")
    return depth


def _unknown_kind(condition: Expression) -> InputError:
    return InputError("a condition must be made by zv.col", got=type(condition).__name__)
