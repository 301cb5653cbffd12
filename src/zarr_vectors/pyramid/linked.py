"""What the ways of joining vertices share."""

from __future__ import annotations

from typing import Any

import numpy as np

from zarr_vectors.geometry import Geometry
from zarr_vectors.pyramid.coarse import Clusters, Policy, bin_numbers, clusters_of
from zarr_vectors.typing import AnyArray, FloatArray, IntArray

__all__ = ["NO_TABLES", "owner_groups", "vertex_clusters"]

NO_TABLES: dict[str, Any] = {
    "object_attributes": {},
    "objects": None,
    "groups": {},
    "group_attributes": {},
    "row_ids": None,
    "errors": (),
}
"""The fields of a value that a coarser one does not have: its tables are those of the store."""


def owner_groups(value: Geometry, policy: Policy) -> IntArray | None:
    """``(N,)`` numbers of vertices that may become one, which ascend with the ids of objects; None where all may."""
    ids = value.vertex_objects
    if policy.lead is None:
        return ids
    lead = np.asarray(value.attributes[policy.lead])
    return clusters_of(lead).labels if ids is None else clusters_of(ids, lead).labels


def vertex_clusters(positions: AnyArray, ids: IntArray | None, bins: FloatArray) -> tuple[Clusters, IntArray]:
    """The vertices of one object in one bin, and ``(N, D)`` number of the bin of each vertex."""
    numbers = bin_numbers(positions, bins)
    return clusters_of(numbers) if ids is None else clusters_of(ids, numbers), numbers
