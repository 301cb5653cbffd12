"""Where the vertex lies that stands for several: in their bin, in their dtype."""

from __future__ import annotations

import numpy as np

from zarr_vectors.pyramid.coarse import Clusters, bin_numbers
from zarr_vectors.typing import AnyArray, FloatArray, IntArray

__all__ = ["cluster_means", "mean_shifts", "place", "shifts_from_first", "within_bins"]

_STEPS = 4
"""How often a place that rounding has put across a face of its bin is moved back by the least step of its dtype."""


def cluster_means(
    positions: AnyArray, clusters: Clusters, weights: IntArray | None, bins: FloatArray, numbers: IntArray
) -> AnyArray:
    """The mean position of each cluster.

    Args:
        positions: ``(N, D)`` of floats or integers.
        clusters: Which rows become one; those of one cluster lie in one bin.
        weights: ``(N,)`` what each row counts; 1 where None.
        bins: ``(D,)`` edge lengths of the bins.
        numbers: ``(C, D)`` number of the bin of each cluster, as ``bin_numbers`` says.

    Returns:
        ``(C, D)`` of the dtype of ``positions``, integers rounded to the nearest; each in the bin of its cluster.

    Example:
        >>> from zarr_vectors.pyramid.coarse import clusters_of
        >>> three, bins = np.array([[0.0, 1.0], [1.0, 1.5], [4.0, 0.0]], np.float32), np.array([2.0, 2.0])
        >>> numbers = bin_numbers(three, bins)
        >>> clusters = clusters_of(numbers)
        >>> cluster_means(three, clusters, None, bins, numbers[clusters.order[clusters.starts]]).tolist()
        [[0.5, 1.25], [4.0, 0.0]]
    """
    shifts = mean_shifts(shifts_from_first(positions, clusters), clusters, weights)
    return place(positions, clusters, shifts, bins, numbers)


def shifts_from_first(positions: AnyArray, clusters: Clusters) -> FloatArray:
    """``(N, D)`` how far each row is from the first of its cluster; exact where coordinates are large, too."""
    first = positions.take(clusters.order[clusters.starts], axis=0)
    if positions.dtype.kind in "iu":
        # Those of one bin are near each other, so that their difference fits where they themselves may not.
        return (positions.astype(np.int64) - first.astype(np.int64).take(clusters.labels, axis=0)).astype(np.float64)
    return positions.astype(np.float64) - first.astype(np.float64).take(clusters.labels, axis=0)


def mean_shifts(shifts: FloatArray, clusters: Clusters, weights: IntArray | None) -> FloatArray:
    """``(C, D)`` the mean of the shifts of each cluster, by weight."""
    count = len(clusters)
    amounts = None if weights is None else weights.astype(np.float64)
    whole = clusters.totals(weights).astype(np.float64)
    means = np.empty((count, shifts.shape[1]))
    for axis in range(shifts.shape[1]):
        column = shifts[:, axis] if amounts is None else shifts[:, axis] * amounts
        means[:, axis] = np.bincount(clusters.labels, weights=column, minlength=count) / whole
    return means


def place(positions: AnyArray, clusters: Clusters, shifts: FloatArray, bins: FloatArray, numbers: IntArray) -> AnyArray:
    """The places that are shifted so far from the first row of each cluster, brought into their bins.

    Args:
        positions: ``(N, D)`` of floats or integers.
        clusters: Which rows become one.
        shifts: ``(C, D)``; what leads out of the bin is cut at its face.
        bins, numbers: As in ``cluster_means``.

    Returns:
        ``(C, D)`` of the dtype of ``positions``.
    """
    first = positions.take(clusters.order[clusters.starts], axis=0)
    wide = first.astype(np.float64)
    low, high = numbers * bins, (numbers + 1) * bins
    shifts = np.clip(shifts, np.minimum(low - wide, 0.0), np.maximum(high - wide, 0.0))
    if positions.dtype.kind in "iu":
        info = np.iinfo(positions.dtype)
        # Halves go up, from wherever they are counted.
        moved = first.astype(np.int64) + np.floor(shifts + 0.5).astype(np.int64)
        found = (moved if info.bits == 64 else np.clip(moved, info.min, info.max)).astype(positions.dtype)
    else:
        with np.errstate(over="ignore"):
            found = (wide + shifts).astype(positions.dtype)
    outside = bin_numbers(found, bins) != numbers
    if outside.any():
        rows, axes = np.nonzero(outside)
        found[rows, axes] = _drawn_in(found[rows, axes], first[rows, axes], bins[axes], numbers[rows, axes])
    return found


def within_bins(
    first: AnyArray, means: FloatArray, shifts: FloatArray, bins: FloatArray, numbers: IntArray
) -> FloatArray:
    """What leads from a mean out of the bin, cut where it crosses a face.

    So a vertex stays in a plane in which both ends of its way lie.

    Args:
        first: ``(C, D)`` first row of each cluster.
        means: ``(C, D)`` mean of each cluster, from the first row.
        shifts: ``(C, D)`` where to, from the first row.
        bins, numbers: As in ``cluster_means``.

    Example:
        >>> origin, bins = np.zeros((1, 2)), np.array([1.0, 1.0])
        >>> within_bins(origin, np.array([[0.5, 0.5]]), np.array([[2.5, 0.0]]), bins, np.array([[0, 0]])).tolist()
        [[1.0, 0.375]]
    """
    wide = first.astype(np.float64)
    way = shifts - means
    room = np.where(way > 0, (numbers + 1) * bins - wide - means, numbers * bins - wide - means)
    part = np.divide(room, way, out=np.ones_like(way), where=np.abs(way) > np.abs(room))
    cut: FloatArray = means + way * np.clip(part.min(axis=1, initial=1.0), 0.0, 1.0)[:, None]
    return cut


def _drawn_in(places: AnyArray, inside: AnyArray, bins: FloatArray, numbers: IntArray) -> AnyArray:
    """Single coordinates that lie across a face of their bin, drawn towards others that lie inside."""
    for _ in range(_STEPS):
        outside = _number(places, bins) != numbers
        if not outside.any():
            return places
        places = np.where(outside, _nearer(places, inside), places)
    return np.where(_number(places, bins) == numbers, places, inside)


def _nearer(places: AnyArray, inside: AnyArray) -> AnyArray:
    """The next values that the dtype has towards others."""
    if places.dtype.kind == "f":
        nearer: AnyArray = np.nextafter(places, inside)
        return nearer
    one = places.dtype.type(1)
    return np.where(places > inside, places - one, np.where(places < inside, places + one, places))


def _number(places: AnyArray, bins: FloatArray) -> IntArray:
    return bin_numbers(places[:, None], bins[:, None])[:, 0]
