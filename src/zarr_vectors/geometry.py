"""Geometry values: frozen, backed by numpy, the same going in and coming out.

A value is also a read-only mapping, so ``points["positions"]`` and ``points.positions`` are the same array.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING, Any, TypeAlias

import numpy as np
import numpy.typing as npt

from zarr_vectors.axes import Axis, as_axes
from zarr_vectors.constants import MAX_OBJECTS
from zarr_vectors.exceptions import InputError
from zarr_vectors.rowwise import extremes, take_rows
from zarr_vectors.typing import AnyArray, IntArray

__all__ = ["Categorical", "Column", "Points"]


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


@dataclass(frozen=True, eq=False, repr=False)
class Points(Mapping[str, Any]):
    """A point cloud.

    Args:
        positions: ``(N, D)`` float or integer coordinates, 1 to 4 axes, in world units.
        attributes: ``{name: (N,) or (N, C) array}``; text and pandas categoricals become ``Categorical``.
        object_ids: ``(N,)`` int64 owner of each point; None when the cloud has no objects.
        object_attributes: ``{name: array}`` with a row for each of ``objects``, or ``{name: {object id: value}}``.
        objects: The ids that ``object_attributes`` describe; by default the sorted distinct ``object_ids``.
        groups: ``{group id: object ids}``.
        group_attributes: ``{name: array}`` with a row for each group id from 0, or ``{name: {group id: value}}``.
        axes: Names or ``Axis`` values, one per column.
        row_ids: ``(N,)`` int64 row identity; only reads fill it.
        errors: What could not be read, when reading with ``strict=False``.

    Raises:
        InputError: Shapes or lengths contradict each other.

    Example:
        >>> cloud = Points([[0.0, 1.0], [2.0, 3.0]], attributes={"weight": [1.5, 2.5]})
        >>> cloud.vertex_count, cloud.ndim
        (2, 2)
        >>> cloud["weight"].tolist() == cloud.attributes["weight"].tolist()
        True
    """

    positions: AnyArray
    attributes: Mapping[str, Column] = field(default_factory=dict)
    object_ids: IntArray | None = None
    object_attributes: Mapping[str, Column] = field(default_factory=dict)
    objects: IntArray | None = None
    groups: Mapping[int, IntArray] = field(default_factory=dict)
    group_attributes: Mapping[str, Column] = field(default_factory=dict)
    axes: tuple[Axis, ...] | None = None
    row_ids: IntArray | None = None
    errors: tuple[str, ...] = ()

    if TYPE_CHECKING:
        # What is taken is wider than what is kept.
        def __init__(  # noqa: PLR0913, PLR0917 (one for each field)
            self,
            positions: npt.ArrayLike,
            attributes: Mapping[str, Any] = ...,
            object_ids: npt.ArrayLike | None = ...,
            object_attributes: Mapping[str, Any] = ...,
            objects: npt.ArrayLike | None = ...,
            groups: Mapping[int, Any] = ...,
            group_attributes: Mapping[str, Any] = ...,
            axes: Sequence[Any] | str | None = ...,
            row_ids: npt.ArrayLike | None = ...,
            errors: tuple[str, ...] = ...,
        ) -> None: ...

    def __post_init__(self) -> None:
        positions = as_positions(self.positions)
        rows = len(positions)
        put = object.__setattr__
        for name in ("attributes", "object_attributes", "groups", "group_attributes"):
            put(self, name, _as_mapping(name, getattr(self, name)))
        attributes = {name: as_column(name, values, rows) for name, values in self.attributes.items()}
        put(self, "positions", positions)
        put(self, "attributes", attributes)
        put(self, "axes", None if self.axes is None else as_axes(self.axes, positions.shape[1]))
        if self.object_ids is not None:
            put(self, "object_ids", as_ids("object_ids", self.object_ids, rows))
        if self.row_ids is not None:
            put(self, "row_ids", as_ids("row_ids", self.row_ids, rows))
        if self.objects is not None:
            put(self, "objects", as_ids("objects", self.objects))
        elif self.object_ids is not None and (self.object_attributes or self.groups):
            put(self, "objects", np.unique(self.object_ids))
        self._normalise_tables(put)

    def _normalise_tables(self, put: Any) -> None:
        if self.objects is None:
            if self.object_attributes:
                raise InputError("object_attributes need object_ids", hint="give object_ids, one per point")
            if self.groups:
                raise InputError("groups need object_ids", hint="give object_ids, one per point")
        else:
            table = self.objects.tolist()
            put(
                self,
                "object_attributes",
                {k: _as_table("object", k, v, table) for k, v in self.object_attributes.items()},
            )
        groups = {_group_id(key): as_ids(f"groups[{key!r}]", members) for key, members in self.groups.items()}
        put(self, "groups", groups)
        if self.group_attributes and not groups:
            raise InputError("group_attributes need groups", hint="give groups as {group id: object ids}")
        count = max(groups, default=-1) + 1
        put(
            self,
            "group_attributes",
            {k: _as_table("group", k, v, range(count)) for k, v in self.group_attributes.items()},
        )

    @property
    def vertex_count(self) -> int:
        """Number of points."""
        return len(self.positions)

    @property
    def ndim(self) -> int:
        """Number of axes."""
        return int(self.positions.shape[1])

    @property
    def vertex_attributes(self) -> Mapping[str, Column]:
        """``attributes`` under the name that the format uses."""
        return self.attributes

    @property
    def bounds(self) -> tuple[list[float], list[float]] | None:
        """The closed box of the positions; None for an empty cloud."""
        if not len(self.positions):
            return None
        low, high = extremes(self.positions)
        return low.tolist(), high.tolist()

    def take(self, rows: AnyArray | slice) -> Points:
        """The points of these rows; tables of objects and groups stay whole."""
        return replace(
            self,
            positions=take_rows(self.positions, rows),
            attributes={name: take_column(column, rows) for name, column in self.attributes.items()},
            object_ids=None if self.object_ids is None else take_rows(self.object_ids, rows),
            row_ids=None if self.row_ids is None else take_rows(self.row_ids, rows),
        )

    def __getitem__(self, key: str) -> Any:
        if key in _POINT_KEYS:
            return getattr(self, key)
        return self.attributes[key]

    def __iter__(self) -> Iterator[str]:
        return iter(_POINT_KEYS)

    def __len__(self) -> int:
        return len(_POINT_KEYS)

    def __eq__(self, other: object) -> bool:
        """Whether both hold the same values, rows in the same order; NaN equals NaN."""
        if not isinstance(other, Points):
            return NotImplemented
        return (
            same_values(self.positions, other.positions)
            and same_values(self.object_ids, other.object_ids)
            and same_values(self.row_ids, other.row_ids)
            and same_values(self.objects, other.objects)
            and _same_tables(self.attributes, other.attributes)
            and _same_tables(self.object_attributes, other.object_attributes)
            and _same_tables(self.groups, other.groups)
            and _same_tables(self.group_attributes, other.group_attributes)
        )

    __hash__ = None  # type: ignore[assignment]

    def __repr__(self) -> str:
        parts = [f"{self.vertex_count} points, {self.ndim}-D {self.positions.dtype}"]
        if self.attributes:
            parts.append("attributes " + ", ".join(self.attributes))
        if self.object_ids is not None:
            parts.append("with object ids")
        if self.errors:
            parts.append(f"{len(self.errors)} errors")
        return f"Points({'; '.join(parts)})"


_POINT_KEYS = (
    "positions",
    "attributes",
    "vertex_attributes",
    "object_ids",
    "object_attributes",
    "objects",
    "groups",
    "group_attributes",
    "row_ids",
    "vertex_count",
    "errors",
)


def as_positions(value: Any, name: str = "positions") -> AnyArray:
    """An ``(N, D)`` real array; refuses what would have to be changed to become one."""
    positions = _as_array(name, value)
    if positions.size == 0 and positions.ndim < 2:
        raise InputError(
            f"{name} must be an (N, D) array",
            got=f"shape {positions.shape}",
            hint="for no points pass np.empty((0, 3))",
        )
    if positions.ndim != 2:
        raise InputError(f"{name} must be an (N, D) array", got=f"shape {positions.shape}")
    if not 1 <= positions.shape[1] <= 4:
        raise InputError(f"{name} must have 1 to 4 columns", got=f"{positions.shape[1]} columns")
    if positions.dtype.kind not in "fiu" or positions.dtype.itemsize > 8:
        raise InputError(
            f"{name} must be real numbers of at most 64 bits", got=f"dtype {positions.dtype}", hint="cast them first"
        )
    return positions


def _as_array(name: str, value: Any) -> AnyArray:
    """What numpy makes of a value; refuses ragged rows, and masked entries, which would come out as numbers."""
    try:
        array = np.asarray(value)
    except ValueError as error:
        raise InputError(f"{name} must be rectangular", got=_ragged(value, error)) from error
    if np.ma.is_masked(value):
        row = int(np.argwhere(np.ma.getmaskarray(value))[0, 0])
        raise InputError(f"{name} must not be masked", got=f"a masked entry in row {row}", hint="leave these rows out")
    return array


def _ragged(value: Any, error: ValueError) -> str:
    sizes = [np.size(row) if isinstance(row, (Sequence, np.ndarray)) else 1 for row in value]
    row = next((number for number, size in enumerate(sizes) if size != sizes[0]), 0)
    return f"{sizes[row]} values in row {row}, {sizes[0]} in row 0" if row else str(error)


def as_ids(name: str, value: Any, rows: int | None = None) -> IntArray:
    """A 1-D int64 array; refuses floats, text, booleans and what int64 cannot hold."""
    ids = _as_array(name, sorted(value) if isinstance(value, (set, frozenset)) else value)
    if ids.size == 0 and ids.dtype.kind == "f":
        ids = ids.astype(np.int64)
    if ids.ndim != 1:
        raise InputError(f"{name} must be 1-D", got=f"shape {ids.shape}")
    if ids.dtype.kind not in "iu":
        raise InputError(f"{name} must be integers", got=f"dtype {ids.dtype}", hint="cast them to int64 first")
    if ids.dtype == np.uint64 and ids.size and int(ids.max()) > np.iinfo(np.int64).max:
        row = int(np.argmax(ids > np.uint64(np.iinfo(np.int64).max)))
        raise InputError(f"{name} must fit in int64", got=f"{ids[row]} in row {row}")
    if rows is not None and len(ids) != rows:
        raise InputError(f"{name} must have one entry per row", expected=f"{rows} entries", got=len(ids))
    return ids.astype(np.int64, copy=False)


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
        raise InputError(f"{what} {name!r} must be rectangular", got=_ragged(value, error)) from error
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


def _same_tables(left: Mapping[Any, Any], right: Mapping[Any, Any]) -> bool:
    return left.keys() == right.keys() and all(same_values(left[key], right[key]) for key in left)


def _as_mapping(name: str, value: Any) -> Mapping[Any, Any]:
    if value is not None and not isinstance(value, Mapping):
        raise InputError(f"{name} must be a mapping", got=type(value).__name__, hint="give {name or id: values}")
    return {} if value is None else value


def _as_table(of: str, name: str, value: Any, keys: Sequence[int]) -> Column:
    """A column with a value for each of the ids ``keys``."""
    what = f"{of} attribute"
    if isinstance(value, Mapping):
        known = set(keys)
        unknown = [key for key in value if key not in known]
        missing = [key for key in keys if key not in value]
        if unknown or missing:
            raise InputError(
                f"{what} {name!r} must have a value for every {of} id and for no other",
                got=f"unknown ids {unknown[:5]}" if unknown else f"no value for ids {missing[:5]}",
            )
        value = [value[key] for key in keys]
    column = as_column(name, value, what=what)
    if len(column) != len(keys):
        raise InputError(
            f"{what} {name!r} must have one value per {of} id, ascending",
            expected=f"{len(keys)} values",
            got=len(column),
            hint=f"or give it as {{{of} id: value}}",
        )
    return column


def _group_id(key: Any) -> int:
    if isinstance(key, bool) or not isinstance(key, (int, np.integer)) or not 0 <= key < MAX_OBJECTS:
        raise InputError(
            "group ids must be small integers from 0",
            got=repr(key),
            hint="number the groups from 0, without large gaps",
        )
    return int(key)


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
            raise InputError(f"attribute {name!r} has bytes that are not UTF-8", got=f"row {row}") from error
    raise InputError(
        f"attribute {name!r} must be text or missing where its dtype is object",
        got=f"{type(item).__name__} in row {row}",
        hint="give a numeric dtype to numbers, datetime64 to times",
    )
