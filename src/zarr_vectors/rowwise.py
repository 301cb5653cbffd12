"""Row operations that numpy does several times faster when asked in another way."""

from __future__ import annotations

from typing import Any

import numpy as np

from zarr_vectors.typing import AnyArray

__all__ = ["extremes", "take_rows"]


def take_rows(array: AnyArray, rows: Any) -> AnyArray:
    """``array[rows]`` for an index array, a mask or a slice; ``take`` copies short rows much faster than indexing.

    Example:
        >>> take_rows(np.array([[1, 2], [3, 4], [5, 6]]), np.array([True, False, True])).tolist()
        [[1, 2], [5, 6]]
    """
    if isinstance(rows, slice):
        return array[rows]
    rows = np.asarray(rows)
    if rows.dtype == bool:
        rows = np.flatnonzero(rows)
    taken: AnyArray = array.take(rows, axis=0)
    return taken


def extremes(rows: AnyArray) -> tuple[AnyArray, AnyArray]:
    """Least and greatest value of each column; NaN where a column holds one. Reduces column by column.

    Example:
        >>> low, high = extremes(np.array([[1, 8], [3, 4]]))
        >>> low.tolist(), high.tolist()
        ([1, 4], [3, 8])
    """
    columns = range(rows.shape[1])
    return (
        np.array([rows[:, axis].min() for axis in columns], dtype=rows.dtype),
        np.array([rows[:, axis].max() for axis in columns], dtype=rows.dtype),
    )
