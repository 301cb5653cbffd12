"""What a value must be to be written, and what is known of it before it is."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

from zarr_vectors import constants
from zarr_vectors.axes import Axis, as_axes
from zarr_vectors.exceptions import InputError
from zarr_vectors.geometry import Column, Geometry, Linked, Mesh, Polylines, Skeleton, check_forest
from zarr_vectors.rowwise import extremes
from zarr_vectors.types.kinds import Kind, kind_of_value
from zarr_vectors.types.objects import ObjectTables
from zarr_vectors.types.options import WriteOptions
from zarr_vectors.types.quantise import check_quantisable
from zarr_vectors.types.table import check_attribute_name, check_column, check_finite
from zarr_vectors.types.unite import distinct
from zarr_vectors.typing import AnyArray, BoolArray, FloatArray, IntArray

__all__ = [
    "cast_positions",
    "check_same_axes",
    "check_value",
    "check_vertex_attribute_name",
    "keep_inside",
    "measure",
    "tables_of",
]

MOST_CORNERS = 20
"""Permutations of more corners than this have no rank in 64 bits."""


def check_value(value: Geometry, kind: Kind, options: WriteOptions, *, takes_row_id: bool = False) -> None:
    """Refuse what cannot be written.

    Args:
        takes_row_id: Whether an attribute may have the name of the row ids, as one of another writer has.

    Raises:
        InputError: A value of another kind, a bad attribute name or column, objects without ids of their vertices,
            axes that are not those of the store, connections that contradict each other, or positions that the wanted
            encoding cannot hold.
    """
    if kind_of_value(value) != kind:
        raise InputError(
            "all values must be of one kind", expected=kind.geometry_type, got=kind_of_value(value).geometry_type
        )
    if options.mode != "append" and options.layout.is_draco:
        check_quantisable(value.ndim, options.dtype or value.positions.dtype)
    for name, column in value.attributes.items():
        if name != constants.ROW_ID or not takes_row_id:
            check_vertex_attribute_name(name)
        check_column(name, column)
    if value.objects is not None and not value.has_objects:
        raise InputError("objects need object_ids", hint="give object_ids, one per vertex")
    if options.mode == "append" and value.axes is not None and options.axes is not None:
        check_same_axes(value.axes, as_axes(options.axes, len(options.axes)))
    if isinstance(value, Linked):
        _check_links(value)
    if isinstance(value, Polylines):
        _check_distinct_lines(value.line_ids)


def check_vertex_attribute_name(name: str) -> None:
    """Refuse what no attribute of vertices can be called.

    Raises:
        InputError: It can be no folder, or is the name of the row ids.
    """
    check_attribute_name(name)
    if name == constants.ROW_ID:
        raise InputError(
            f"attribute {constants.ROW_ID!r} is written by the library, with Layout(keep_order=True)",
            hint="rename it",
        )


def _check_links(value: Linked) -> None:
    for name, column in value.link_attributes.items():
        check_attribute_name(name, f"{value.link_noun.removesuffix('s')} attribute")
        check_column(name, column)
    if value.links.shape[1] > MOST_CORNERS:
        raise InputError("faces have too many corners", got=value.links.shape[1], expected=f"at most {MOST_CORNERS}")
    if isinstance(value, Mesh) and value.ndim < 2:
        raise InputError("a mesh must have at least 2 axes", got=f"{value.ndim}-D positions")
    if not isinstance(value, Skeleton):
        return
    check_forest(value.parents)
    if value.object_ids is not None:
        child, parent = value.links.T
        strange = np.flatnonzero(value.object_ids[child] != value.object_ids[parent])
        if len(strange):
            vertex = int(child[strange[0]])
            raise InputError(
                "a vertex of a skeleton and its parent must belong to one object",
                got=f"vertex {vertex} of object {value.object_ids[vertex]} with a parent of "
                f"object {value.object_ids[value.parents[vertex]]}",
            )


def _check_distinct_lines(ids: IntArray) -> None:
    ordered = np.sort(ids)
    twice = ordered[1:][ordered[1:] == ordered[:-1]]
    if len(twice):
        raise InputError(
            "ids of lines must be distinct",
            got=f"{twice[0]} more than once",
            hint="a line of several parts that do not touch is several lines; give them a group",
        )


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


def tables_of(value: Geometry) -> ObjectTables:
    """The object and group tables of a value, ids ascending."""
    ids = np.zeros(0, dtype=np.int64)
    if isinstance(value, Polylines):
        ids = np.unique(value.line_ids)
    elif value.vertex_objects is not None:
        ids = distinct(value.vertex_objects)
    attributes: dict[str, Column] = dict(value.object_attributes)
    if value.objects is not None:
        order = np.argsort(value.objects, kind="stable")
        described = value.objects[order]
        if (np.diff(described) == 0).any():
            raise InputError("objects must be distinct", got=int(described[:-1][np.diff(described) == 0][0]))
        unknown = ids[~np.isin(ids, described)]
        if len(unknown) and attributes:
            raise InputError(
                "object_attributes do not describe every object",
                got=f"no row for {unknown[:5].tolist()}",
                hint="name these in objects too, with a value of each attribute",
            )
        ids = np.union1d(ids, described)
        attributes = {name: column[order] for name, column in attributes.items()}
    return ObjectTables(ids=ids, attributes=attributes, groups=value.groups, group_attributes=value.group_attributes)


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
