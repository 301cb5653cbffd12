"""From what a read brings to geometry values."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from zarr_vectors import constants
from zarr_vectors.axes import Axis
from zarr_vectors.core.links import LinkFamily
from zarr_vectors.core.state import RootState
from zarr_vectors.geometry import Column, Geometry, Graph, Lines, Mesh, Points, Polylines, Skeleton
from zarr_vectors.query.read_plan import ReadPlan
from zarr_vectors.query.shape import Shape
from zarr_vectors.types.kinds import Kind
from zarr_vectors.typing import IntArray

__all__ = ["Tables", "plan_for", "value_of"]


@dataclass(frozen=True, kw_only=True)
class Tables:
    """What is known of objects and groups, to go with a value.

    Args:
        objects: Ids of the objects; None for no tables.
        object_attributes: A row for each of ``objects``.
        groups: Group id to object ids.
        group_attributes: A row for each group id from 0.
    """

    objects: IntArray | None = None
    object_attributes: Mapping[str, Column] = field(default_factory=dict)
    groups: Mapping[int, IntArray] = field(default_factory=dict)
    group_attributes: Mapping[str, Column] = field(default_factory=dict)


def plan_for(
    root: RootState, kind: Kind, mode: str | None, link_attributes: Sequence[str] | str | None, *, strict: bool = True
) -> ReadPlan:
    """How a store's geometry is read.

    Args:
        mode: What a box selects; the kind's default where None.
        link_attributes: Attributes of links to bring along; None for all.

    Raises:
        InputError: The mode is not known.
    """
    return ReadPlan(
        connects=kind.connects,
        implied=root.metadata.links_convention != constants.LINKS_EXPLICIT,
        mode=kind.mode if mode is None else mode,
        link_attributes=(link_attributes,) if isinstance(link_attributes, str) else link_attributes,
        strict=strict,
        offset=root.offset,
    )


def value_of(
    shape: Shape, kind: Kind, axes: tuple[Axis, ...], family: LinkFamily | None, tables: Tables | None = None
) -> Geometry:
    """The value of a kind that a shape is.

    Args:
        family: The level's links, which know whether a graph is directed.
    """
    rows = shape.rows
    tables = Tables() if tables is None else tables
    common: dict[str, Any] = {
        "attributes": rows.attributes,
        "objects": tables.objects,
        "object_attributes": tables.object_attributes,
        "groups": tables.groups,
        "group_attributes": tables.group_attributes,
        "axes": axes,
        "row_ids": rows.row_ids,
        "errors": tuple(rows.errors),
    }
    if kind.connects == "nothing":
        return Points(rows.positions, object_ids=rows.object_ids, **common)
    if kind.connects == "sequence":
        assert shape.offsets is not None
        lines = Lines if kind.value is Lines else Polylines
        return lines(rows.positions, shape.offsets, ids=shape.ids, kind=kind.geometry_type, **common)
    assert shape.links is not None
    common["object_ids"] = rows.object_ids
    ends, attributes = shape.links.ends, shape.links.columns
    if kind.connects == "tree":
        return _skeleton(shape, common)
    if kind.value is Mesh:
        return Mesh(rows.positions, ends, face_attributes=attributes, **common)
    directed = family is not None and family.directed
    return Graph(rows.positions, ends, edge_attributes=attributes, directed=directed, **common)


def _skeleton(shape: Shape, common: Mapping[str, Any]) -> Skeleton:
    """Links lead to each child once, and in any order; attributes go in the order of the children."""
    assert shape.links is not None
    links, children = shape.links, shape.links.ends[:, 0]
    if not (children[1:] >= children[:-1]).all():
        links = links.take(np.argsort(children, kind="stable"))
    parents = np.full(len(shape.rows.positions), -1, dtype=np.int64)
    parents[links.ends[:, 0]] = links.ends[:, 1]
    return Skeleton(shape.rows.positions, parents, edge_attributes=links.columns, **common)
