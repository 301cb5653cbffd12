"""Attribute columns: numbers as arrays, text and categories as codes."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Any, TypeAlias

import numpy as np

from zarr_vectors.exceptions import InputError
from zarr_vectors.geometry.arrays import describe_ragged
from zarr_vectors.rowwise import take_rows
from zarr_vectors.typing import AnyArray

__all__ = ["Categorical", "Column", "as_column", "same_values", "take_column"]


@dataclass(frozen=True, eq=False)
class Categorical:
    """Text or category values, stored as codes into a list of categories.

    Args:
        codes: ``(n,)`` integers; -1 marks a missing value.
        categories: The distinct values; ``codes`` index into it.
        ordered: Whether the order of ``categories`` means something.

    Example:
        >>> tissue = Categorical.from_values(["axon", "soma", None, "axon"])
        >>> tissue.categories, tissue.codes.tolist()
        (('axon', 'soma'), [0, 1, -1, 0])
        >>> (tissue == "axon").tolist()
        [True, False, False, True]
        >>> np.asarray(tissue).tolist()
        ['axon', 'soma', None, 'axon']
    """

    codes: AnyArray
    categories: tuple[Any, ...]
    ordered: bool = False

    def __post_init__(self) -> None:
        codes = np.asarray(self.codes)
        if codes.ndim != 1 or codes.dtype.kind not in "iu":
            raise InputError("codes must be a 1-D integer array", got=f"{codes.dtype} of shape {codes.shape}")
        if codes.size and (int(codes.min()) < -1 or int(codes.max()) >= len(self.categories)):
            row = int(np.flatnonzero((codes < -1) | (codes >= len(self.categories)))[0])
            raise InputError(
                "codes must index the categories, or be -1 where missing", got=f"{codes[row]} in row {row}"
            )
        object.__setattr__(self, "codes", codes)
        plain = (category.item() if isinstance(category, np.generic) else category for category in self.categories)
        object.__setattr__(self, "categories", tuple(plain))

    @classmethod
    def from_values(cls, values: Any, *, name: str = "values") -> Categorical:
        """Encode text; None and NaN are missing. Categories come out sorted.

        Raises:
            InputError: A value is neither text nor missing.
        """
        codes_of = getattr(values, "codes", None)
        if codes_of is not None and hasattr(values, "categories"):
            return cls(np.asarray(codes_of), tuple(values.categories), bool(getattr(values, "ordered", False)))
        accessor = getattr(values, "cat", None)
        if accessor is not None and hasattr(accessor, "codes"):
            return cls(np.asarray(accessor.codes), tuple(accessor.categories), bool(accessor.ordered))
        # Among a list's items numpy would turn numbers and NaN into text.
        flat = np.asarray(values, dtype=None if hasattr(values, "dtype") else object)
        if flat.ndim != 1:
            raise InputError(f"text attribute {name!r} must be 1-D", got=f"shape {flat.shape}")
        items = np.ma.asarray(values).tolist() if isinstance(values, np.ma.MaskedArray) else flat.tolist()
        lookup: dict[Any, int] = {}
        texts: dict[Any, str] = {}
        for item in _distinct(items, name):
            if _is_missing(item):
                lookup[item] = -1
            else:
                texts[item] = _as_text(item, name, items)
        order = {text: code for code, text in enumerate(sorted(set(texts.values())))}
        lookup |= {item: order[text] for item, text in texts.items()}
        codes = np.fromiter(map(lookup.__getitem__, items), dtype=np.int32, count=len(items))
        return cls(codes, tuple(order))

    @property
    def dtype(self) -> np.dtype[Any]:
        """The dtype of the decoded values."""
        return np.dtype(object)

    @property
    def shape(self) -> tuple[int, ...]:
        """``(n,)``, like an array."""
        return self.codes.shape

    def __len__(self) -> int:
        return len(self.codes)

    def __getitem__(self, index: Any) -> Any:
        if isinstance(index, (int, np.integer)):
            code = int(self.codes[index])
            return None if code < 0 else self.categories[code]
        return replace(self, codes=self.codes[index])

    def __array__(self, dtype: Any = None, copy: bool | None = None) -> AnyArray:
        table = np.empty(len(self.categories) + 1, dtype=object)
        table[:-1] = self.categories
        decoded: AnyArray = table[self.codes]
        return decoded if dtype is None else decoded.astype(dtype)

    def __eq__(self, other: object) -> Any:
        """Element by element, like an array; missing equals nothing but None."""
        if isinstance(other, (str, bytes, int, float, bool)) or other is None:
            code = -1 if other is None else (self.categories.index(other) if other in self.categories else -2)
            return self.codes == code
        return np.asarray(self) == np.asarray(other)

    __hash__ = None  # type: ignore[assignment]

    def __repr__(self) -> str:
        return f"Categorical({len(self)} values, categories={list(self.categories)})"


Column: TypeAlias = AnyArray | Categorical
"""One attribute: an array with a row per element, or categories."""


def as_column(name: str, value: Any, rows: int | None = None, *, what: str = "attribute") -> Column:
    """One attribute as a numeric array or a ``Categorical``; refuses ragged and unknown kinds."""
    if isinstance(value, Categorical):
        column: Column = value
    elif hasattr(value, "categories") or hasattr(getattr(value, "cat", None), "categories"):
        column = Categorical.from_values(value, name=name)
    else:
        column = _as_plain_column(name, value, what)
    if rows is not None and len(column) != rows:
        raise InputError(
            f"{what} {name!r} must have one value per row", expected=f"{rows} rows", got=f"{len(column)} rows"
        )
    return column


def _as_plain_column(name: str, value: Any, what: str) -> Column:
    try:
        array = np.asarray(value)
    except ValueError as error:
        raise InputError(f"{what} {name!r} must be rectangular", got=describe_ragged(value, error)) from error
    if array.ndim == 0:
        raise InputError(f"{what} {name!r} must have one value per row", got="a single value")
    if array.dtype.kind in "USOT":
        return Categorical.from_values(value, name=name)
    if isinstance(value, np.ma.MaskedArray) and np.ma.is_masked(value):
        array = value
        if array.dtype.kind in "fcmM":
            array = np.array(value)
            array[np.ma.getmaskarray(value)] = "NaT" if array.dtype.kind in "mM" else np.nan
    if array.dtype.kind not in "biufcmM":
        raise InputError(f"{what} {name!r} must be numbers, booleans, times or text", got=f"dtype {array.dtype}")
    if 0 in array.shape[1:]:
        raise InputError(f"{what} {name!r} must have at least one channel", got=f"shape {array.shape}")
    return array


def take_column(column: Column, rows: Any) -> Column:
    """These rows of a column."""
    if isinstance(column, Categorical):
        return Categorical(take_rows(column.codes, rows), column.categories, column.ordered)
    return take_rows(column, rows)


def same_values(left: Any, right: Any) -> bool:
    """Whether two columns hold the same values and dtype kind; NaN equals NaN, None only None."""
    if left is None or right is None:
        return left is None and right is None
    if isinstance(left, Categorical) or isinstance(right, Categorical):
        return np.array_equal(np.asarray(left), np.asarray(right))
    if np.ma.is_masked(left) or np.ma.is_masked(right):
        same = np.array_equal(np.ma.getmaskarray(left), np.ma.getmaskarray(right))
        return same and same_values(np.ma.filled(left, 0), np.ma.filled(right, 0))
    left, right = np.asarray(left), np.asarray(right)
    if left.shape != right.shape or left.dtype.kind != right.dtype.kind:
        return False
    return bool(np.array_equal(left, right, equal_nan=left.dtype.kind in "fcmM"))


def _is_missing(item: Any) -> bool:
    return (
        item is None
        or type(item).__name__ in {"NAType", "NaTType"}
        or (isinstance(item, (float, np.floating)) and item != item)
    )


def _distinct(items: list[Any], name: str) -> dict[Any, None]:
    """The items that occur, in order."""
    try:
        return dict.fromkeys(items)
    except TypeError:
        odd = next(item for item in items if not (_is_missing(item) or isinstance(item, (str, bytes))))
        _as_text(odd, name, items)
        raise


def _as_text(item: Any, name: str, items: list[Any]) -> str:
    if isinstance(item, str):
        return str(item)
    row = next(number for number, other in enumerate(items) if other is item)
    if isinstance(item, bytes):
        try:
            return item.decode("utf-8")
        except UnicodeDecodeError as error:
            raise InputError(
                f"attribute {name!r} has bytes that are not UTF-8", got=f"row {row}", hint="decode them to text first"
            ) from error
    raise InputError(
        f"attribute {name!r} must be text or missing where its dtype is object",
        got=f"{type(item).__name__} in row {row}",
        hint="give a numeric dtype to numbers, datetime64 to times",
    )
