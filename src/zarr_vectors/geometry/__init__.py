"""Geometry values: frozen, backed by numpy, the same going in and coming out.

A value is also a read-only mapping, so ``points["positions"]`` and ``points.positions`` are the same array.
"""

from __future__ import annotations

from zarr_vectors.geometry.arrays import as_ids
from zarr_vectors.geometry.base import Geometry
from zarr_vectors.geometry.columns import Categorical, Column, as_column, same_values, take_column
from zarr_vectors.geometry.graph import Graph
from zarr_vectors.geometry.lines import Lines, Polylines
from zarr_vectors.geometry.links import Linked
from zarr_vectors.geometry.mesh import Mesh
from zarr_vectors.geometry.points import Points
from zarr_vectors.geometry.skeleton import Skeleton, check_forest

__all__ = [
    "Categorical",
    "Column",
    "Geometry",
    "Graph",
    "Lines",
    "Linked",
    "Mesh",
    "Points",
    "Polylines",
    "Skeleton",
    "as_column",
    "as_ids",
    "check_forest",
    "same_values",
    "take_column",
]
