"""Fewer objects, vertices or edges than there are, chosen the same way every time. Pure numpy."""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np

from zarr_vectors.geometry import Geometry, Graph, Mesh, Points, Polylines, Skeleton, take_column
from zarr_vectors.typing import BoolArray, IntArray
from zarr_vectors.view.links import links_of

__all__ = ["SEGMENT_LIMIT", "Thinned", "object_count", "thin"]

SEGMENT_LIMIT = 200_000
"""Of more segments than this, only some are drawn."""

_REPRESENTATIVE = 20


@dataclass(frozen=True)
class Thinned:
    """What is left of a value.

    Args:
        value: To be drawn.
        step: Every so manieth vertex or edge is left; 1 for all of them.
        steps_over: What ``step`` counts.
    """

    value: Geometry
    step: int = 1
    steps_over: str = ""


def object_count(value: Geometry) -> int:
    """Objects that have vertices; 1 where there are no object ids."""
    owners = value.line_ids[value.lengths > 0] if isinstance(value, Polylines) else value.vertex_objects
    return min(1, value.vertex_count) if owners is None else len(np.unique(owners))


def thin(value: Geometry, limit: int) -> Thinned:
    """Leave about ``limit`` segments: whole objects where there are many, fewer vertices or edges of each otherwise.

    Points and meshes stay whole; they have other ways to be drawn when they are large.

    Example:
        >>> lines = Polylines(np.zeros((100, 11, 3)))
        >>> thin(lines, 500).value.line_ids[:3].tolist(), thin(lines, 1000).value is lines
        ([0, 2, 4], True)
    """
    segments = 0 if isinstance(value, (Points, Mesh)) else len(links_of(value))
    if segments <= limit:
        return Thinned(value)
    share = -(-segments // limit)
    if object_count(value) >= _REPRESENTATIVE * share:
        value = _every_object(value, share)
    # Objects of very different sizes may leave far more than wanted.
    rest = -(-len(links_of(value)) // (2 * limit)) if share > 1 and len(links_of(value)) < segments else share
    if rest <= 1:
        return Thinned(value)
    if isinstance(value, Polylines):
        return Thinned(_fewer_of_lines(value, rest), rest, "vertex")
    if isinstance(value, Skeleton):
        return Thinned(_fewer_of_trees(value, rest), rest, "vertex")
    assert isinstance(value, Graph)
    attributes = {name: take_column(column, slice(None, None, rest)) for name, column in value.edge_attributes.items()}
    return Thinned(replace(value, edges=value.edges[::rest], edge_attributes=attributes), rest, "edge")


def _every_object(value: Geometry, share: int) -> Geometry:
    """Every so manieth object, in order of the ids."""
    if isinstance(value, Polylines):
        return value.take(_chosen(value.line_ids, share))
    assert value.vertex_objects is not None
    return value.within(_chosen(value.vertex_objects, share))


def _chosen(owners: IntArray, share: int) -> BoolArray:
    rank = np.unique(owners, return_inverse=True)[1]
    return np.asarray(rank % share == 0)


def _fewer_of_lines(value: Polylines, step: int) -> Polylines:
    """Every so manieth vertex of each line, its first and its last one."""
    within = np.arange(value.vertex_count) - np.repeat(value.offsets[:-1], value.lengths)
    keep = within % step == 0
    keep[value.offsets[1:][value.lengths > 0] - 1] = True
    offsets = np.concatenate([[0], np.cumsum(keep)])[value.offsets]
    return replace(
        value,
        positions=value.positions[keep],
        offsets=offsets,
        attributes={name: take_column(column, keep) for name, column in value.attributes.items()},
        row_ids=None,
    )


def _fewer_of_trees(value: Skeleton, step: int) -> Skeleton:
    """Roots, tips, branch points, and every so manieth vertex between; each with the nearest kept ancestor."""
    parents = value.parents
    rows = np.arange(len(parents))
    children = np.bincount(parents[parents >= 0], minlength=len(parents))
    keep = (parents < 0) | (children != 1) | (rows % step == 0)
    up = np.where(keep | (parents < 0), rows, parents)
    # Each round doubles how far the jumps lead; a circle, which no skeleton has, would only end them early.
    for _ in range(max(1, len(parents)).bit_length()):
        up = up[up]
    ancestor = np.where(parents < 0, -1, up[np.maximum(parents, 0)])
    new = np.cumsum(keep) - 1
    kept = ancestor[keep]
    child = np.flatnonzero(parents >= 0)
    return replace(
        value,
        positions=value.positions[keep],
        parents=np.where(kept < 0, -1, new[np.maximum(kept, 0)]),
        attributes={name: take_column(column, keep) for name, column in value.attributes.items()},
        edge_attributes={name: take_column(column, keep[child]) for name, column in value.edge_attributes.items()},
        object_ids=None if value.object_ids is None else value.object_ids[keep],
        row_ids=None,
    )
