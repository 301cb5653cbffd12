"""Coarser lines: fewer vertices, both ends kept."""

from __future__ import annotations

from dataclasses import replace

import numpy as np

from zarr_vectors.geometry import Lines, Polylines, take_column
from zarr_vectors.pyramid.coarse import Coarse, Policy
from zarr_vectors.pyramid.simplify import simplify
from zarr_vectors.rowwise import take_rows
from zarr_vectors.typing import IntArray

__all__ = ["coarsen_lines"]


def coarsen_lines(value: Polylines | Lines, policy: Policy, weights: IntArray | None = None) -> Coarse:  # noqa: ARG001 (as all kinds)
    """Every line with as few vertices as leave no vertex farther from it than half a bin.

    What is kept of a line does not depend on the other lines. Vertices that are kept have their own attributes; lines
    between two points stay as they are.

    Args:
        value: Whole lines.
        policy: Its ``bins`` measure the tolerance along each axis.
        weights: Not used, as no vertices are merged.

    Returns:
        A vertex that is left out has the nearer end of its segment as parent. ``error`` is the distance, in data
        units, of the farthest vertex to the segment that stands for it.

    Example:
        >>> line = Polylines([[[0.0, 0], [1, 0.1], [2, 0], [2, 5]]], attributes={"t": [0, 1, 2, 3]})
        >>> coarse = coarsen_lines(line, Policy(bins=np.array([1.0, 1.0])))
        >>> coarse.value.positions.tolist(), coarse.value.attributes["t"].tolist(), coarse.parents.tolist()
        ([[0.0, 0.0], [2.0, 0.0], [2.0, 5.0]], [0, 2, 3], [0, 0, 1, 2])
    """
    bare = replace(
        value,
        ids=value.line_ids,
        object_attributes={},
        objects=None,
        groups={},
        group_attributes={},
        row_ids=None,
        errors=(),
    )
    if isinstance(value, Lines):
        return Coarse(value=bare, parents=np.arange(value.vertex_count, dtype=np.int64))
    done = simplify(value.positions, value.offsets, policy.bins)
    rows = np.flatnonzero(done.kept)
    coarse = replace(
        bare,
        positions=take_rows(value.positions, rows),
        offsets=done.offsets,
        attributes={name: take_column(column, rows) for name, column in value.attributes.items()},
    )
    return Coarse(value=coarse, parents=done.nearest, error=done.error)
