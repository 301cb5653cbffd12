"""What all geometry values share: vertices with attributes, and the tables of objects and groups."""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, fields
from typing import Any, ClassVar

import numpy as np

from zarr_vectors.axes import Axis, as_axes
from zarr_vectors.constants import MAX_OBJECTS
from zarr_vectors.exceptions import InputError
from zarr_vectors.geometry.arrays import as_ids, as_positions
from zarr_vectors.geometry.columns import Column, as_column, same_values
from zarr_vectors.geometry.tabular import Tabular
from zarr_vectors.rowwise import extremes
from zarr_vectors.typing import AnyArray, BoolArray, IntArray

__all__ = ["Geometry"]

Put = Callable[[Any, str, Any], None]
DERIVED: Any = None
"""Default of a field that ``__post_init__`` fills when it is not given."""


@dataclass(frozen=True, eq=False, repr=False)
class Geometry(Tabular, Mapping[str, Any]):
    """Vertices and what is known of them. The kinds of geometry add how vertices are connected.

    Args:
        positions: ``(N, D)`` float or integer coordinates, 1 to 4 axes, in world units.
        attributes: ``{name: (N,) or (N, C) array}``; text and pandas categoricals become ``Categorical``.
        object_attributes: ``{name: array}`` with a row for each of ``objects``, or ``{name: {object id: value}}``.
        objects: The ids that ``object_attributes`` describe; by default those that occur.
        groups: ``{group id: object ids}``.
        group_attributes: ``{name: array}`` with a row for each group id from 0, or ``{name: {group id: value}}``.
        axes: Names or ``Axis`` values, one per column.
        row_ids: ``(N,)`` int64 row identity; only reads fill it.
        errors: What could not be read, when reading with ``strict=False``.
    """

    positions: AnyArray
    attributes: Mapping[str, Column] = field(default_factory=dict, kw_only=True)
    object_attributes: Mapping[str, Column] = field(default_factory=dict, kw_only=True)
    objects: IntArray | None = field(default=None, kw_only=True)
    groups: Mapping[int, IntArray] = field(default_factory=dict, kw_only=True)
    group_attributes: Mapping[str, Column] = field(default_factory=dict, kw_only=True)
    axes: tuple[Axis, ...] | None = field(default=None, kw_only=True)
    row_ids: IntArray | None = field(default=None, kw_only=True)
    errors: tuple[str, ...] = field(default=(), kw_only=True)

    geometry_type: ClassVar[str]
    """The name of the kind in the format."""
    noun: ClassVar[str] = "vertices"
    """What messages call the parts of a value."""
    counted: ClassVar[tuple[str, ...]] = ("vertex_count",)
    """Properties that a value shows as a mapping, besides its fields."""

    def __post_init__(self) -> None:
        put: Put = object.__setattr__
        positions = as_positions(self.positions)
        put(self, "positions", positions)
        for name in ("attributes", "object_attributes", "groups", "group_attributes"):
            put(self, name, as_mapping(name, getattr(self, name)))
        put(self, "attributes", as_columns("attribute", self.attributes, len(positions)))
        put(self, "axes", None if self.axes is None else as_axes(self.axes, positions.shape[1]))
        if self.row_ids is not None:
            put(self, "row_ids", as_ids("row_ids", self.row_ids, len(positions)))
        self._connect(put)
        if self.objects is not None:
            put(self, "objects", as_ids("objects", self.objects))
        elif self.object_attributes or self.groups:
            put(self, "objects", self._default_objects())
        self._normalise_tables(put)

    def _connect(self, put: Put) -> None:
        """Check and normalise what a kind adds; positions and attributes are done."""

    def _default_objects(self) -> IntArray | None:
        """The ids that tables describe where ``objects`` does not say; None where there are no objects."""
        ids = self.vertex_objects
        return None if ids is None else np.unique(ids)

    def _normalise_tables(self, put: Put) -> None:
        if self.objects is None:
            if self.object_attributes:
                raise InputError("object_attributes need object_ids", hint="give object_ids, one per point")
            if self.groups:
                raise InputError("groups need object_ids", hint="give object_ids, one per point")
        else:
            ids = self.objects.tolist()
            tables = {name: as_table("object", name, rows, ids) for name, rows in self.object_attributes.items()}
            put(self, "object_attributes", tables)
        groups = {_group_id(key): as_ids(f"groups[{key!r}]", members) for key, members in self.groups.items()}
        put(self, "groups", groups)
        if self.group_attributes and not groups:
            raise InputError("group_attributes need groups", hint="give groups as {group id: object ids}")
        count = range(max(groups, default=-1) + 1)
        rows = {name: as_table("group", name, given, count) for name, given in self.group_attributes.items()}
        put(self, "group_attributes", rows)

    @property
    @abstractmethod
    def vertex_objects(self) -> IntArray | None:
        """``(N,)`` object id of each vertex; None where there are no objects."""

    @property
    def has_objects(self) -> bool:
        """Whether vertices belong to objects."""
        return self.vertex_objects is not None

    @property
    def vertex_count(self) -> int:
        """Number of vertices."""
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
        """The closed box of the positions; None where there are none."""
        if not len(self.positions):
            return None
        low, high = extremes(self.positions)
        return low.tolist(), high.tolist()

    @abstractmethod
    def within(self, mask: BoolArray) -> Geometry:
        """What is left when only the vertices of a mask stay; tables of objects and groups stay whole."""

    def _keys(self) -> tuple[str, ...]:
        return (*(entry.name for entry in fields(self)), "vertex_attributes", *self.counted)

    def __getitem__(self, key: str) -> Any:
        return getattr(self, key) if key in self._keys() else self.attributes[key]

    def __iter__(self) -> Iterator[str]:
        return iter(self._keys())

    def __len__(self) -> int:
        return len(self._keys())

    def __eq__(self, other: object) -> bool:
        """Whether both hold the same values, rows in the same order; NaN equals NaN."""
        if type(other) is not type(self):
            return NotImplemented
        apart = {"axes", "errors"}
        return all(
            _same(getattr(self, entry.name), getattr(other, entry.name))
            for entry in fields(self)
            if entry.name not in apart
        )

    __hash__ = None  # type: ignore[assignment]

    def __repr__(self) -> str:
        parts = [*self._described(), f"{self.ndim}-D {self.positions.dtype}"]
        if self.attributes:
            parts.append("attributes " + ", ".join(self.attributes))
        if self.has_objects:
            parts.append("with object ids")
        if self.errors:
            parts.append(f"{len(self.errors)} errors")
        return f"{type(self).__name__}({'; '.join(parts)})"

    def _described(self) -> list[str]:
        """The first words of ``repr``."""
        return [f"{self.vertex_count} {self.noun}"]


def _same(left: Any, right: Any) -> bool:
    if isinstance(left, Mapping) and isinstance(right, Mapping):
        return left.keys() == right.keys() and all(same_values(left[key], right[key]) for key in left)
    if isinstance(left, (str, bool)):
        return bool(left == right)
    return same_values(left, right)


def as_mapping(name: str, value: Any) -> Mapping[Any, Any]:
    """A mapping, empty for None.

    Raises:
        InputError: It is anything else.
    """
    if value is not None and not isinstance(value, Mapping):
        raise InputError(f"{name} must be a mapping", got=type(value).__name__, hint="give {name or id: values}")
    return {} if value is None else value


def as_columns(what: str, columns: Mapping[str, Any], rows: int) -> dict[str, Column]:
    """Attributes with a value for each of so many rows."""
    return {name: as_column(name, values, rows, what=what) for name, values in columns.items()}


def as_table(of: str, name: str, value: Any, keys: Sequence[int] | Iterable[int]) -> Column:
    """A column with a value for each of the ids ``keys``."""
    what, keys = f"{of} attribute", list(keys)
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
