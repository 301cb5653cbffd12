"""What coarser graphs and meshes share."""

from __future__ import annotations

from typing import Any

from zarr_vectors.pyramid.coarse import Clusters, bin_numbers, clusters_of
from zarr_vectors.typing import AnyArray, FloatArray, IntArray

__all__ = ["NO_TABLES", "vertex_clusters"]

NO_TABLES: dict[str, Any] = {
    "object_attributes": {},
    "objects": None,
    "groups": {},
    "group_attributes": {},
    "row_ids": None,
    "errors": (),
}
"""The fields of a value that a coarser one does not have: its tables are those of the store."""


def vertex_clusters(positions: AnyArray, ids: IntArray | None, bins: FloatArray) -> tuple[Clusters, IntArray]:
    """The vertices of one object in one bin, and ``(N, D)`` number of the bin of each vertex."""
    numbers = bin_numbers(positions, bins)
    return clusters_of(numbers) if ids is None else clusters_of(ids, numbers), numbers
