"""Attributes by name, of which comparing makes conditions."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any

from zarr_vectors.exceptions import InputError
from zarr_vectors.query.expressions import Compare, Expression, IsIn, IsNull, all_of
from zarr_vectors.query.wording import as_name, is_missing, plain_value

__all__ = ["Attribute", "col"]


class Attribute:
    """The attribute of a name, to be compared; get one from ``col``."""

    __array_ufunc__ = None
    """Numbers of numpy leave comparing to this class."""

    def __init__(self, name: str) -> None:
        self.name = as_name(name)

    def __eq__(self, other: object) -> Expression:  # type: ignore[override]
        return Compare(self.name, "==", _value_of(self.name, other))

    def __ne__(self, other: object) -> Expression:  # type: ignore[override]
        return Compare(self.name, "!=", _value_of(self.name, other))

    def __lt__(self, other: Any) -> Expression:
        return Compare(self.name, "<", _value_of(self.name, other))

    def __le__(self, other: Any) -> Expression:
        return Compare(self.name, "<=", _value_of(self.name, other))

    def __gt__(self, other: Any) -> Expression:
        return Compare(self.name, ">", _value_of(self.name, other))

    def __ge__(self, other: Any) -> Expression:
        return Compare(self.name, ">=", _value_of(self.name, other))

    def __hash__(self) -> int:
        return hash((Attribute, self.name))

    def isin(self, values: Iterable[Any]) -> Expression:
        """It has one of these values; None and NaN among them stand for a missing one.

        Raises:
            InputError: Something else than numbers, booleans, text and times.

        Example:
            >>> print(col("label").isin(["a", None]))
            label in ('a') or label is null
        """
        if isinstance(values, (str, bytes, Mapping)) or not isinstance(values, Iterable):
            raise InputError(f"the values of {self.name!r} must be a list", got=repr(values))
        listed = sorted(values, key=repr) if isinstance(values, (set, frozenset)) else list(values)
        plain = [plain_value(value) for value in listed]
        known = IsIn(self.name, tuple(value for value in plain if not is_missing(value)))
        if len(known.values) == len(plain):
            return known
        return known | self.is_null() if known.values else self.is_null()

    def is_null(self) -> Expression:
        """It has no value, or NaN."""
        return IsNull(self.name)

    def between(self, low: Any, high: Any) -> Expression:
        """It lies between two values, or is one of them.

        Example:
            >>> print(col("z").between(0, 5))
            z >= 0 and z <= 5
        """
        return all_of([self >= low, self <= high])

    def __bool__(self) -> bool:
        raise InputError(f"attribute {self.name!r} is neither true nor false", hint="compare it with a value")

    def __repr__(self) -> str:
        return f"col({self.name!r})"


def col(name: str) -> Attribute:
    """The attribute of a name, to be compared with values by ``== != < <= > >=``, ``isin``, ``between``, ``is_null``.

    Args:
        name: Of an attribute of vertices, fragments, objects, edges or faces.

    Returns:
        What makes conditions for ``where=``; combine these with ``&``, ``|`` and ``~``.

    Raises:
        InputError: The name is not text, or a value is no number, boolean, text or time.

    Example:
        >>> import zarr_vectors as zv
        >>> print((zv.col("w") > 2) & ~zv.col("label").is_null())
        w > 2 and not label is null
    """
    return Attribute(name)


def _value_of(name: str, value: Any) -> Any:
    if isinstance(value, (Attribute, Expression)):
        raise InputError(
            f"attribute {name!r} must be compared with a value, not with another attribute", got=repr(value)
        )
    return value
