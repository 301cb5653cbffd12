"""Coarsening a piece by the way of its kind, and keeping what comes out within the bounds of the store."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import numpy as np

from zarr_vectors.geometry import Geometry, Graph, Lines, Mesh, Points, Polylines, Skeleton
from zarr_vectors.pyramid.coarse import Coarse, Piece, Policy
from zarr_vectors.pyramid.graph import coarsen_graph
from zarr_vectors.pyramid.lines import coarsen_lines
from zarr_vectors.pyramid.mesh import coarsen_mesh
from zarr_vectors.pyramid.points import coarsen_points
from zarr_vectors.pyramid.skeleton import coarsen_skeleton
from zarr_vectors.types.options import as_bounds
from zarr_vectors.typing import FloatArray

__all__ = ["coarsen", "inside"]


def coarsen(piece: Piece, policy: Policy) -> Coarse:
    """The piece, coarsened by the way of its kind."""
    value = piece.value
    if isinstance(value, Points):
        return coarsen_points(value, policy, piece.weights)
    if isinstance(value, (Polylines, Lines)):
        return coarsen_lines(value, policy, piece.weights)
    if isinstance(value, Skeleton):
        return coarsen_skeleton(value, policy, piece.weights, piece.link_weights)
    if isinstance(value, Graph):
        return coarsen_graph(value, policy, piece.weights, piece.link_weights)
    assert isinstance(value, Mesh)
    return coarsen_mesh(value, policy, piece.weights, piece.link_weights)


def inside(coarse: Coarse, bounds: Any) -> Coarse:
    """With its vertices brought into the store's bounds, where one has been placed beyond them."""
    value = coarse.value
    low, high = as_bounds(bounds, value.ndim)
    positions = value.positions.astype(np.float64)
    cut = np.clip(positions, low, high)
    moved = np.sqrt(((cut - positions) ** 2).sum(axis=1)).max(initial=0.0)
    if not moved:
        return coarse
    placed = replace(value, positions=_as(cut, value, low, high))
    return replace(coarse, value=placed, error=coarse.error + float(moved))


def _as(cut: FloatArray, value: Geometry, low: FloatArray, high: FloatArray) -> Any:
    """Positions in their dtype, and still in the box."""
    dtype = value.positions.dtype
    with np.errstate(over="ignore"):
        if dtype.kind == "f":
            lo, hi = low.astype(dtype), high.astype(dtype)
            lo = np.where(lo.astype(np.float64) < low, np.nextafter(lo, np.inf, dtype=dtype), lo)
            hi = np.where(hi.astype(np.float64) > high, np.nextafter(hi, -np.inf, dtype=dtype), hi)
            return np.clip(cut.astype(dtype), lo, hi)
    return np.clip(np.rint(cut), np.ceil(low), np.floor(high)).astype(dtype)
