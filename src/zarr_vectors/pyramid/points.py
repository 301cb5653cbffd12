"""Fewer points: the mean of each bin, or one of its points."""

from __future__ import annotations

import numpy as np

from zarr_vectors.geometry import Points, take_column
from zarr_vectors.pyramid.aggregate import aggregate_all
from zarr_vectors.pyramid.coarse import Clusters, Coarse, Policy, hashes
from zarr_vectors.pyramid.farthest import farthest
from zarr_vectors.pyramid.linked import owner_groups, vertex_clusters
from zarr_vectors.pyramid.placement import cluster_means
from zarr_vectors.typing import FloatArray, IntArray

__all__ = ["MEAN", "SUBSAMPLE", "coarsen_points"]

MEAN = "mean"
SUBSAMPLE = "subsample"


def coarsen_points(value: Points, policy: Policy, weights: IntArray | None = None) -> Coarse:
    """One point for those of an object in a bin.

    With the method ``"mean"`` it lies at their mean. With ``"subsample"`` it is one of them, drawn by its own position,
    so that a level holds points of the finer one alone, and the same in whatever order they come.

    Args:
        value: Points of whole bins, or of whole objects.
        policy: How; its aggregations are for the method ``"mean"``.
        weights: ``(N,)`` points of level 0 that each stands for; 1 where None.

    Example:
        >>> pairs = Points([[0.0, 0.0], [1.0, 0.0], [5.0, 5.0]], attributes={"height": [1.0, 3.0, 7.0]})
        >>> coarse = coarsen_points(pairs, Policy(bins=np.array([2.0, 2.0]), method="mean"))
        >>> coarse.value.positions.tolist(), coarse.counts.tolist(), coarse.error
        ([[0.5, 0.0], [5.0, 5.0]], [2, 1], 0.5)
    """
    owners = owner_groups(value, policy)
    clusters, numbers = vertex_clusters(value.positions, owners, policy.bins)
    first = clusters.order[clusters.starts]
    if policy.method == SUBSAMPLE:
        chosen = _drawn(value, clusters, policy.seed)
        positions = value.positions[chosen]
        attributes = {name: take_column(column, chosen) for name, column in value.attributes.items()}
    else:
        positions = cluster_means(value.positions, clusters, weights, policy.bins, numbers[first])
        attributes = aggregate_all(value.attributes, clusters, policy.aggregations, weights, value.positions)
    coarse = Points(
        positions,
        attributes,
        None if value.object_ids is None else value.object_ids[first],
        axes=value.axes,
    )
    return Coarse(
        value=coarse,
        parents=clusters.labels,
        counts=clusters.totals(weights),
        error=_error(value, coarse, clusters, numbers, policy.bins, owners),
    )


def _drawn(value: Points, clusters: Clusters, seed: int) -> IntArray:
    """One row of each cluster."""
    lots = hashes(seed, value.positions)
    # Of points in one place the first in the order of rows is as good as any.
    order = np.lexsort([lots, clusters.labels])
    return order[clusters.starts]


def _error(
    value: Points, coarse: Points, clusters: Clusters, numbers: IntArray, bins: FloatArray, owners: IntArray | None
) -> float:
    """How far the farthest point is from the nearest coarse one of its object, or a little more."""
    moved = value.positions.astype(np.float64) - coarse.positions.astype(np.float64)[clusters.labels]
    bounds = np.sqrt(np.einsum("nd,nd->n", moved, moved))
    # Clusters follow each other by object, and inside one by their bin along the first axis.
    first_rows = clusters.order[clusters.starts]
    along, kept = numbers[first_rows, 0], None if owners is None else owners[first_rows]

    def nearest(rows: IntArray) -> FloatArray:
        near = np.empty(len(rows))
        for at, row in enumerate(rows.tolist()):
            low, high = 0, len(along)
            if owners is not None and kept is not None:
                low, high = np.searchsorted(kept, owners[row] + np.array([0, 1]))
            reach = int(np.ceil(bounds[row] / bins[0])) + 1
            ends = np.array([numbers[row, 0] - reach, numbers[row, 0] + reach + 1])
            first, last = low + np.searchsorted(along[low:high], ends)
            apart = coarse.positions[first:last].astype(np.float64) - value.positions[row].astype(np.float64)
            near[at] = np.sqrt(np.einsum("nd,nd->n", apart, apart).min())
        return near

    return farthest(bounds, nearest)
