"""The least and the greatest value of each cell, from rows that are sorted by cell."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np

from zarr_vectors.encoding.blobs import offsets_of
from zarr_vectors.typing import AnyArray, FloatArray, IntArray

__all__ = ["Extent", "box_of_cells", "outward", "range_of_cells"]


class Extent(NamedTuple):
    """What is known of the values of each cell.

    Args:
        low: ``(C,)`` float64 the least value, or one below it that float64 has; NaN where there is none.
        high: ``(C,)`` float64 the greatest, or one above it.
        nulls: ``(C,)`` float64 rows without a value.
    """

    low: FloatArray
    high: FloatArray
    nulls: FloatArray


def outward(values: AnyArray, side: float) -> FloatArray:
    """Values as float64; what it cannot hold becomes the next one towards ``side``, -inf or inf.

    Example:
        >>> outward(np.array([2**53 + 1, 7]), np.inf).tolist()
        [9007199254740994.0, 7.0]
    """
    wide: FloatArray = values.astype(np.float64)
    if values.dtype.kind in "iu" and values.dtype.itemsize == 8:
        # Compared as whole numbers of Python: the way back to 64 bits may overflow.
        exact, rounded = values.ravel().tolist(), wide.ravel().tolist()
        wrong = [int(near) > true if side < 0 else int(near) < true for true, near in zip(exact, rounded, strict=True)]
        return np.where(np.reshape(wrong, wide.shape), np.nextafter(wide, side), wide)
    return wide


def box_of_cells(positions: AnyArray, counts: IntArray) -> tuple[FloatArray, FloatArray]:
    """``(C, D)`` lowest and highest corner of the rows of each cell; NaN where there are none, or where one is NaN.

    Args:
        positions: ``(N, D)``, cell after cell.
        counts: ``(C,)`` rows of each cell.

    Example:
        >>> low, high = box_of_cells(np.array([[0, 5], [2, 1], [9, 9]]), np.array([2, 0, 1]))
        >>> low.tolist(), high.tolist()
        ([[0.0, 1.0], [nan, nan], [9.0, 9.0]], [[2.0, 5.0], [nan, nan], [9.0, 9.0]])
    """
    low = np.full((len(counts), positions.shape[1]), np.nan)
    high = low.copy()
    filled = counts > 0
    if filled.any():
        starts = offsets_of(counts)[:-1][filled]
        low[filled] = outward(np.minimum.reduceat(positions, starts, axis=0), -np.inf)
        high[filled] = outward(np.maximum.reduceat(positions, starts, axis=0), np.inf)
    return low, high


def range_of_cells(values: AnyArray, counts: IntArray, *, codes: bool = False) -> Extent:
    """The range of each cell's values; NaN, and codes below 0, are no values.

    Args:
        values: ``(N,)`` numbers or booleans, cell after cell.
        counts: ``(C,)`` rows of each cell.
        codes: Whether the values are codes of categories.

    Example:
        >>> range_of_cells(np.array([4.0, np.nan, np.nan]), np.array([2, 1]))
        Extent(low=array([ 4., nan]), high=array([ 4., nan]), nulls=array([1., 1.]))
    """
    low = np.full(len(counts), np.nan)
    high, nulls = low.copy(), np.zeros(len(counts))
    filled = counts > 0
    if not filled.any():
        return Extent(low, high, nulls)
    starts = offsets_of(counts)[:-1][filled]
    if values.dtype.kind == "b":
        values = values.view(np.uint8)
    least, most = np.minimum.reduceat(values, starts), np.maximum.reduceat(values, starts)
    if values.dtype.kind == "f" and np.isnan(least).any():
        nulls[filled] = np.add.reduceat(np.isnan(values), starts, dtype=np.int64)
        least, most = np.fmin.reduceat(values, starts), np.fmax.reduceat(values, starts)
    elif codes and values.dtype.kind == "i" and bool((least < 0).any()):
        nulls[filled] = np.add.reduceat(values < 0, starts, dtype=np.int64)
        least = np.minimum.reduceat(np.where(values < 0, np.iinfo(values.dtype).max, values), starts)
    low[filled], high[filled] = outward(least, -np.inf), outward(most, np.inf)
    if codes:
        empty = nulls == counts
        low[empty] = high[empty] = np.nan
    return Extent(low, high, nulls)
