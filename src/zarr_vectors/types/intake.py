"""Values on their way in: checked, measured, and ready to be asked for whole shards of rows."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any, Protocol

import numpy as np

from zarr_vectors import constants
from zarr_vectors.axes import Axis, as_axes
from zarr_vectors.core.documents import ColumnSpec
from zarr_vectors.exceptions import InputError
from zarr_vectors.geometry import Categorical, Column, Points, same_values
from zarr_vectors.rowwise import extremes
from zarr_vectors.types.encode import CellPlan
from zarr_vectors.types.objects import ObjectTables
from zarr_vectors.types.options import WriteOptions
from zarr_vectors.types.table import (
    RowTable,
    check_attribute_name,
    check_column,
    check_finite,
    column_spec,
    table_of,
)
from zarr_vectors.typing import AnyArray, BoolArray, FloatArray, IntArray

__all__ = ["Extent", "Intake", "MemoryIntake", "check_points", "keep_inside", "merge_tables", "tables_of"]


_BLOCK_ROWS = 1 << 15
Limits = Callable[[int], "tuple[FloatArray, FloatArray] | None"]


@dataclass(frozen=True)
class Extent:
    """How much data there is, and where.

    Args:
        rows: Number of rows.
        low: ``(D,)`` least coordinates, as float64; None for no rows.
        high: ``(D,)`` greatest coordinates.
        sample: Some positions, or all.
    """

    rows: int
    low: FloatArray | None
    high: FloatArray | None
    sample: AnyArray


class Intake(Protocol):
    """Checked rows, wherever they are."""

    axes: tuple[Axis, ...]
    dtype: np.dtype[Any]
    columns: dict[str, ColumnSpec]
    tables: ObjectTables
    has_objects: bool
    extent: Extent
    dropped: int

    def blocks(self, plan: CellPlan) -> Iterator[RowTable]:
        """The rows, in tables of which each fills its shards alone."""
        ...

    def object_ids(self) -> IntArray:
        """Sorted distinct ids of the rows."""
        ...

    def set_object_id(self, value: int) -> None:
        """Give all rows, which have no ids, to one object."""
        ...

    def add_constant(self, name: str, value: AnyArray, spec: ColumnSpec) -> None:
        """Give every row the same value of an attribute that it lacks."""
        ...

    def casts_exactly(self, name: str | None, dtype: np.dtype[Any]) -> bool:
        """Whether an attribute, or the positions for None, keeps every value in another dtype."""
        ...

    def recode(self, columns: Mapping[str, ColumnSpec], lookups: Mapping[str, AnyArray]) -> None:
        """Store attributes as these types, codes going through a lookup table."""
        ...


@dataclass
class MemoryIntake:
    """Rows of one value in memory."""

    table: RowTable
    axes: tuple[Axis, ...]
    dtype: np.dtype[Any]
    columns: dict[str, ColumnSpec]
    tables: ObjectTables
    has_objects: bool
    extent: Extent
    dropped: int = 0
    lookups: Mapping[str, AnyArray] = field(default_factory=dict)

    def blocks(self, plan: CellPlan) -> Iterator[RowTable]:  # noqa: ARG002 (one table suits every plan)
        """The rows, as one table."""
        yield self.table

    def object_ids(self) -> IntArray:
        """Sorted distinct ids of the rows."""
        return self.tables.ids

    def set_object_id(self, value: int) -> None:
        """Give all rows to one object."""
        self.table.object_ids = np.full(len(self.table), value, dtype=np.int64)
        self.tables = replace(self.tables, ids=np.array([value], dtype=np.int64))
        self.has_objects = True

    def add_constant(self, name: str, value: AnyArray, spec: ColumnSpec) -> None:
        """Give every row the same value."""
        self.table.columns[name] = np.broadcast_to(value, (len(self.table), *value.shape))
        self.columns[name] = spec

    def casts_exactly(self, name: str | None, dtype: np.dtype[Any]) -> bool:
        """Whether an attribute, or the positions for None, keeps every value in another dtype."""
        return casts_exactly(self.table.positions if name is None else self.table.columns[name], dtype)

    def recode(self, columns: Mapping[str, ColumnSpec], lookups: Mapping[str, AnyArray]) -> None:
        """Store attributes as these types."""
        for name, spec in columns.items():
            column = self.table.columns[name]
            self.table.columns[name] = apply_lookup(column, lookups.get(name), spec)
        self.columns = dict(columns)


def casts_exactly(values: AnyArray, dtype: np.dtype[Any]) -> bool:
    """Whether every value survives a cast and the way back; NaN does.

    Example:
        >>> casts_exactly(np.array([1.0, 2.5]), np.dtype("f4")), casts_exactly(np.array([0.1]), np.dtype("f4"))
        (True, False)
    """
    if np.can_cast(values.dtype, dtype, casting="safe"):
        return True
    kinds = values.dtype.kind + dtype.kind
    if values.dtype.kind != dtype.kind and (values.dtype.kind == "c" or "m" in kinds or "M" in kinds):
        return False
    with np.errstate(all="ignore"):
        back = values.astype(dtype).astype(values.dtype)
    if values.dtype.kind in "iu" and dtype.kind in "iu" and values.size:
        info = np.iinfo(dtype)
        return int(values.min()) >= info.min and int(values.max()) <= info.max
    return bool(np.array_equal(back, values, equal_nan=values.dtype.kind in "fcmM"))


def apply_lookup(column: AnyArray, lookup: AnyArray | None, spec: ColumnSpec) -> AnyArray:
    """Codes through a lookup table whose last entry stands for missing, and to the stored type."""
    return (column if lookup is None else lookup[column.astype(np.int64)]).astype(spec.dtype, copy=False)


def check_points(points: Any, options: WriteOptions) -> Points:
    """Refuse what cannot be written.

    Raises:
        InputError: Not a value that can be written, a bad attribute name or column, objects without ids of their
            points, or axes that are not those of the store.
    """
    if not isinstance(points, Points):
        raise InputError(
            "this is not a geometry value", got=type(points).__name__, hint="wrap positions in zv.Points(positions)"
        )
    for name, column in points.attributes.items():
        check_attribute_name(name)
        check_column(name, column)
    if points.objects is not None and points.object_ids is None:
        raise InputError("objects need object_ids", hint="give object_ids, one per point")
    if options.mode == "append" and points.axes is not None and options.axes is not None:
        check_same_axes(points.axes, as_axes(options.axes, len(options.axes)))
    if constants.ROW_ID in points.attributes:
        raise InputError(
            f"attribute {constants.ROW_ID!r} is written by the library, with Layout(keep_order=True)",
            hint="rename it",
        )
    return points


def check_same_axes(given: Sequence[Axis], stored: Sequence[Axis]) -> None:
    """Refuse rows whose axes have other names or units than the store's; a unit that one side lacks is no difference.

    Raises:
        InputError: They differ.
    """
    same = len(given) == len(stored) and all(
        a.name == b.name and (not a.unit or not b.unit or a.unit == b.unit) for a, b in zip(given, stored, strict=True)
    )
    if not same:
        raise InputError(
            "axes differ from those of the store",
            expected=[axis.to_json() for axis in stored],
            got=[axis.to_json() for axis in given],
            hint="reorder and convert the columns of the positions first",
        )


def measure(positions: AnyArray) -> tuple[FloatArray, FloatArray] | tuple[None, None]:
    """Least and greatest coordinates.

    Raises:
        InputError: A coordinate is NaN or infinite, with the first bad row.
    """
    if not len(positions):
        return None, None
    low, high = extremes(positions)
    check_finite(positions, low, high)
    return _as_float(low, -np.inf), _as_float(high, np.inf)


def _as_float(corner: AnyArray, outward: float) -> FloatArray:
    """A corner as float64; integers that it cannot hold are rounded outward, so that the box still holds them."""
    rounded = corner.astype(np.float64)
    for axis, (exact, number) in enumerate(zip(corner.tolist(), rounded.tolist(), strict=True)):
        if (number < exact) if outward > 0 else (number > exact):
            rounded[axis] = np.nextafter(number, outward)
    return rounded


def tables_of(points: Points) -> ObjectTables:
    """The object and group tables of a value, ids ascending."""
    ids = np.zeros(0, dtype=np.int64)
    if points.object_ids is not None:
        ids = distinct(points.object_ids)
    attributes: dict[str, Column] = dict(points.object_attributes)
    if points.objects is not None:
        order = np.argsort(points.objects, kind="stable")
        described = points.objects[order]
        if (np.diff(described) == 0).any():
            raise InputError("objects must be distinct", got=int(described[:-1][np.diff(described) == 0][0]))
        unknown = ids[~np.isin(ids, described)]
        if len(unknown) and attributes:
            raise InputError("object_attributes do not describe every object", got=f"no row for {unknown[:5].tolist()}")
        ids = np.union1d(ids, described)
        attributes = {name: column[order] for name, column in attributes.items()}
    return ObjectTables(ids=ids, attributes=attributes, groups=points.groups, group_attributes=points.group_attributes)


def distinct(ids: IntArray) -> IntArray:
    """Sorted distinct ids; by marking where they are dense, which is much faster than sorting."""
    if not len(ids):
        return ids
    low, high = int(ids.min()), int(ids.max())
    if high - low <= 4 * len(ids) + 1024:
        seen = np.zeros(high - low + 1, dtype=bool)
        for start in range(0, len(ids), _BLOCK_ROWS):
            seen[ids[start : start + _BLOCK_ROWS] - low] = True
        return np.flatnonzero(seen).astype(np.int64) + low
    return np.unique(ids)


def merge_tables(parts: Sequence[ObjectTables]) -> ObjectTables:
    """The tables of several values as one.

    Raises:
        InputError: Two values describe one object or group differently, or not all have the same attributes.
    """
    described = [part for part in parts if len(part.ids)]
    if len(described) <= 1:
        return described[0] if described else parts[0]
    ids = distinct(np.concatenate([part.ids for part in described]))
    names = list(described[0].attributes)
    if any(set(part.attributes) != set(names) for part in described):
        raise InputError("all values must have the same object attributes", expected=sorted(names))
    attributes = {
        name: _merge_rows("object attribute", name, ids, [(part.ids, part.attributes[name]) for part in described])
        for name in names
    }
    groups: dict[int, IntArray] = {}
    for part in described:
        for group, members in part.groups.items():
            groups[group] = np.union1d(groups[group], members) if group in groups else members
    return ObjectTables(ids=ids, attributes=attributes, groups=groups, group_attributes=_merge_group_rows(described))


def _merge_group_rows(parts: Sequence[ObjectTables]) -> dict[str, Column]:
    """Group attributes of several values: each describes its own groups, and the longest the ids between them."""
    parts = [part for part in parts if part.groups]
    if not parts:
        return {}
    names = set(parts[0].group_attributes)
    if any(set(part.group_attributes) != names for part in parts):
        raise InputError("all values must have the same group attributes", expected=sorted(names))
    longest = max(parts, key=lambda part: max(part.groups))
    own = [np.array(sorted(part.groups), dtype=np.int64) for part in parts]
    holes = np.setdiff1d(np.arange(max(longest.groups) + 1), np.concatenate(own))
    merged: dict[str, Column] = {}
    for name in names:
        rows = [(ids, part.group_attributes[name][ids]) for ids, part in zip(own, parts, strict=True)]
        rows.append((holes, longest.group_attributes[name][holes]))
        merged[name] = _merge_rows("group attribute", name, np.arange(max(longest.groups) + 1), rows)
    return merged


def _merge_rows(what: str, name: str, ids: IntArray, parts: Sequence[tuple[IntArray, Column]]) -> Column:
    owner = np.concatenate([part_ids for part_ids, _ in parts])
    column = concatenate_columns(what, name, [values for _, values in parts])
    first = np.unique(owner, return_index=True)[1]
    merged: Column = column[first]
    again = merged[np.searchsorted(ids, owner)]
    if not same_values(again, column):
        raise InputError(f"{what} {name!r} has different values for one id in different values of the stream")
    return merged


def concatenate_columns(what: str, name: str, columns: Sequence[Column]) -> Column:
    """Columns after one another; categories that differ are united, sorted unless their order means something.

    Raises:
        InputError: Their types differ.
    """
    kinds = ["text" if isinstance(column, Categorical) else f"{column.dtype} {column.shape[1:]}" for column in columns]
    if len(set(kinds)) > 1:
        raise InputError(
            f"{what} {name!r} must be of one type throughout", got=f"{kinds[0]} and {set(kinds) - {kinds[0]}}"
        )
    texts = [column for column in columns if isinstance(column, Categorical)]
    if not texts:
        arrays = [column for column in columns if not isinstance(column, Categorical)]
        joined: AnyArray = (np.ma.concatenate if any(map(np.ma.is_masked, arrays)) else np.concatenate)(arrays)
        return joined
    categories = unite_categories([column.categories for column in texts], ordered=texts[0].ordered)
    place = {category: code for code, category in enumerate(categories)}
    codes = [
        np.array([*(place[category] for category in column.categories), -1], dtype=np.int32)[
            column.codes.astype(np.int64)
        ]
        for column in texts
    ]
    return Categorical(np.concatenate(codes), categories, texts[0].ordered)


def unite_categories(lists: Sequence[tuple[Any, ...]], *, ordered: bool) -> tuple[Any, ...]:
    """The categories of several columns: as they are where all agree, else in order of appearance or sorted.

    Example:
        >>> unite_categories([("b", "a"), ("b", "a")], ordered=False), unite_categories([("b",), ("a",)], ordered=False)
        (('b', 'a'), ('a', 'b'))
    """
    seen = tuple(dict.fromkeys(category for categories in lists for category in categories))
    return seen if ordered or all(categories == lists[0] for categories in lists) else tuple(sorted(seen, key=str))


def cast_positions(positions: AnyArray, dtype: np.dtype[Any]) -> AnyArray:
    """Finite positions in another dtype, rounded where need be.

    Raises:
        InputError: A coordinate is beyond the range of the dtype, with the first bad row.
    """
    with np.errstate(all="ignore"):
        cast = positions.astype(dtype)
        if dtype.kind == "f":
            bad = ~np.isfinite(cast)
        elif positions.dtype.kind == "f":
            bad = ~(np.abs(cast.astype(positions.dtype) - positions) < 1)
        else:
            info = np.iinfo(dtype)
            bad = (positions < info.min) | (positions > info.max)
    if bad.any():
        row, axis = (int(n) for n in np.argwhere(bad)[0])
        raise InputError(
            f"positions do not fit into {dtype}",
            got=f"{positions[row, axis]} in row {row}, column {axis}",
            hint="choose a wider dtype",
        )
    return cast


def keep_inside(
    positions: AnyArray,
    low: FloatArray | None,
    high: FloatArray | None,
    bounds: tuple[FloatArray, FloatArray],
    policy: str,
) -> BoolArray | None:
    """Which rows lie in the bounds; None for all.

    Raises:
        InputError: With the policy ``"raise"``, a row lies outside.
    """
    lo, hi = bounds
    if low is None or high is None or policy == "expand" or ((low >= lo).all() and (high <= hi).all()):
        return None
    inside: BoolArray = np.ones(len(positions), dtype=bool)
    for axis in range(positions.shape[1]):
        column = positions[:, axis].astype(np.float64)
        inside &= (column >= lo[axis]) & (column <= hi[axis])
    if policy == "raise" and not inside.all():
        row = int(np.flatnonzero(~inside)[0])
        raise InputError(
            "positions lie outside the bounds",
            got=f"{int((~inside).sum())} of {len(inside)} rows, first row {row} at {positions[row].tolist()}",
            expected=f"{lo.tolist()} to {hi.tolist()}",
            hint="use out_of_bounds='expand' to grow the bounds, or 'ignore' to leave these rows out",
        )
    return inside


def with_row_ids(points: Points, first: int | None) -> Points:
    """The value with a ``row_id`` attribute that counts from ``first``; None leaves it out."""
    if first is None:
        return points
    row_ids = np.arange(first, first + points.vertex_count, dtype=np.int64)
    return replace(points, attributes={**points.attributes, constants.ROW_ID: row_ids})


def admit(
    points: Points, options: WriteOptions, limits: Limits, first_row_id: int | None
) -> tuple[Points, FloatArray | None, FloatArray | None, int]:
    """Check a value, number its rows, and leave out those that the bounds exclude: value, least, greatest, dropped."""
    points = with_row_ids(check_points(points, options), first_row_id)
    low, high = measure(points.positions)
    if options.dtype is not None and options.dtype != points.positions.dtype:
        # Cast before anything is decided by the coordinates, so that chunks and bounds are those of the stored ones.
        points = replace(points, positions=cast_positions(points.positions, options.dtype))
        low, high = measure(points.positions)
    bounds = limits(points.ndim)
    inside = None if bounds is None else keep_inside(points.positions, low, high, bounds, options.out_of_bounds)
    if inside is None or inside.all():
        return points, low, high, 0
    points = points.take(inside)
    return points, *measure(points.positions), int((~inside).sum())


def memory_intake(points: Points, options: WriteOptions, limits: Limits, first_row_id: int | None) -> MemoryIntake:
    """Check a value and measure it.

    Args:
        limits: From a number of axes to the bounds that rows must lie in; None for anywhere.
        first_row_id: Where row ids continue; None for no row ids.
    """
    points, low, high, dropped = admit(points, options, limits, first_row_id)
    columns = {name: column_spec(column) for name, column in points.attributes.items()}
    axes = as_axes(options.axes if options.axes is not None else points.axes, points.ndim)
    return MemoryIntake(
        table=table_of(points, columns),
        axes=axes,
        dtype=options.dtype or points.positions.dtype,
        columns=columns,
        tables=tables_of(points),
        has_objects=points.object_ids is not None,
        extent=Extent(points.vertex_count, low, high, points.positions),
        dropped=dropped,
    )
