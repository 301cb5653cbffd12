"""How a pyramid is cut: the bins of level 0, those of coarser levels, and chunks that grow with them."""

from __future__ import annotations

from collections.abc import Sequence
from fractions import Fraction

import numpy as np

from zarr_vectors.exceptions import ChunkingError
from zarr_vectors.pyramid.coarse import bin_numbers
from zarr_vectors.spatial.grid import Grid
from zarr_vectors.spatial.layout import typical_rows
from zarr_vectors.typing import AnyArray, FloatArray, IntArray

__all__ = ["base_bins", "block_multiples", "chunk_multiples", "grown_chunk_shape"]

_MOST_MULTIPLE = 2**20
_MOST_HALVINGS = 18
"""A chunk of 2**18 bins along an axis is as fine as the format's own limit on bins lets it be."""
_OCCUPIED = 0.7
"""Bins are near the spacing of points where about so many of them are occupied for each point."""


def base_bins(chunk_shape: Sequence[float], spacing: float) -> tuple[float, ...]:
    """Bins of level 0, near a spacing: chunks halved again and again, so that they fill them and those of every level.

    Example:
        >>> base_bins((100, 50.0), 7.0)
        (6.25, 6.25)
    """
    edges = []
    for edge in chunk_shape:
        times = int(np.clip(np.floor(np.log2(max(edge / spacing, 1.0)) + 0.5), 0, _MOST_HALVINGS)) if spacing > 0 else 0
        halved = float(edge) / 2**times
        edges.append(halved)
    return tuple(edges)


def point_spacing(positions: AnyArray, chunk_shape: Sequence[float]) -> float:
    """About how far points are from each other: the edge of the bins of which most hold one.

    Args:
        positions: ``(N, D)`` all points of some place that is as full as most.
        chunk_shape: Edge lengths of a chunk, no longer than which any spacing is.
    """
    largest = float(max(chunk_shape))
    distinct = len(np.unique(positions, axis=0))
    edge = largest
    for _ in range(_MOST_HALVINGS):
        bins = np.asarray(base_bins(chunk_shape, edge), dtype=np.float64)
        occupied = len(np.unique(bin_numbers(positions, bins), axis=0))
        if occupied >= _OCCUPIED * distinct:
            break
        edge /= 2
    return edge


def chunk_multiples(chunk_shape: Sequence[float], bins: Sequence[float]) -> IntArray:
    """The least whole numbers of chunks along each axis that are whole numbers of bins.

    Raises:
        ChunkingError: There are none that are small.

    Example:
        >>> chunk_multiples((8.0, 8.0), (16.0, 12.0)).tolist()
        [2, 3]
    """
    found = []
    for edge, inner in zip(chunk_shape, bins, strict=True):
        ratio = Fraction(edge / inner).limit_denominator(_MOST_MULTIPLE)
        times = ratio.denominator
        whole = edge * times / inner
        # Any ratio is near a fraction: only what rounding leaves may be missing.
        if ratio == 0 or abs(whole - round(whole)) > 1e-9 + 1e-13 * whole:
            raise ChunkingError(
                "bins of this factor do not fill any number of chunks",
                got=f"bins of {inner} and chunks of {edge}",
                hint="use whole factors, or a base_bin_shape that divides the chunk so that they do",
            )
        found.append(times)
    return np.array(found, dtype=np.int64)


def block_multiples(chunk_shape: Sequence[float], finer: Sequence[float], bins: Sequence[float]) -> IntArray:
    """How many chunks of the finer level along each axis hold whole bins of the coarser one.

    Args:
        chunk_shape: Of the root.
        finer: Edge lengths of the finer level's chunks, whole numbers of the root's.
        bins: Of the coarser level.
    """
    ratio = np.round(np.asarray(finer, dtype=np.float64) / np.asarray(chunk_shape, dtype=np.float64)).astype(np.int64)
    least = chunk_multiples(chunk_shape, bins)
    return np.lcm(least, ratio) // ratio


def grown_chunk_shape(
    chunk_shape: Sequence[float],
    bins: Sequence[float],
    sample: AnyArray,
    rows: int,
    bounds: tuple[Sequence[float], Sequence[float]],
    wanted: float,
) -> tuple[float, ...]:
    """Chunks of a coarser level, with about as many vertices as those of level 0 have.

    Args:
        chunk_shape: Of the root, of which they are multiples.
        bins: Of the level, which fill them.
        sample: ``(n, D)`` positions of the level, all or some.
        rows: How many positions the level has.
        bounds: Closed box of the store.
        wanted: Vertices that share a chunk with a vertex of level 0, in the mean.
    """
    least = chunk_multiples(chunk_shape, bins)
    root = np.asarray(chunk_shape)
    span = np.asarray(bounds[1], dtype=np.float64) - np.asarray(bounds[0], dtype=np.float64)

    def shape_of(times: IntArray) -> tuple[float, ...]:
        return tuple((root * times).tolist())

    times = least
    while True:
        short = root * times < span
        larger = np.where(short, times * 2, times)
        if not short.any() or _typical(sample, shape_of(larger), bounds, rows) > 1.5 * wanted:
            return shape_of(times)
        times = larger


def _typical(
    sample: AnyArray, shape: tuple[float, ...], bounds: tuple[Sequence[float], Sequence[float]], rows: int
) -> float:
    return typical_rows(sample, shape, Grid.of_bounds(bounds[0], bounds[1], shape), rows)


def rows_beside(sample: AnyArray, shape: Sequence[float], bounds: tuple[FloatArray, FloatArray], rows: int) -> float:
    """Vertices that share a chunk with a vertex, in the mean."""
    return max(1.0, _typical(sample, tuple(shape), (bounds[0].tolist(), bounds[1].tolist()), rows))
