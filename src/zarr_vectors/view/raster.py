"""Many points on few pixels: what each pixel of a picture shows. Pure numpy."""

from __future__ import annotations

import numpy as np

from zarr_vectors.typing import AnyArray, BoolArray, FloatArray, IntArray

__all__ = ["count_points", "fill_gaps", "main_class", "mean_of", "occupied_share", "pixel_of"]

_SAMPLE = 500_000
_BLOCK = 65_536
_NEIGHBOURS = ((-1, 0), (1, 0), (0, -1), (0, 1), (-1, -1), (-1, 1), (1, -1), (1, 1))


def pixel_of(x: AnyArray, y: AnyArray, extent: tuple[float, float, float, float], shape: tuple[int, int]) -> IntArray:
    """The flat index of the pixel below each point; row 0 is the bottom of the picture.

    Args:
        x: ``(N,)`` coordinates inside the extent, and so ``y``.
        y: See ``x``.
        extent: ``(left, right, bottom, top)``.
        shape: ``(rows, columns)`` of the picture.

    Returns:
        ``(N,)`` int64.

    Example:
        >>> pixel_of(np.array([0.0, 1.0]), np.array([0.0, 1.0]), (0, 1, 0, 1), (2, 2)).tolist()
        [0, 3]
    """
    left, right, bottom, top = extent
    rows, columns = shape
    pixels = np.empty(len(x), dtype=np.int64)
    # Block by block, so that what lies between coordinates and pixels stays in the processor's cache.
    for start in range(0, len(x), _BLOCK):
        block = slice(start, start + _BLOCK)
        column = ((x[block] - left) * (columns / (right - left))).astype(np.int32)
        row = ((y[block] - bottom) * (rows / (top - bottom))).astype(np.int32)
        np.clip(column, 0, columns - 1, out=column)
        np.clip(row, 0, rows - 1, out=row)
        pixels[block] = row * np.int32(columns) + column
    return pixels


def count_points(pixels: IntArray, shape: tuple[int, int]) -> IntArray:
    """Points on each pixel, as a picture."""
    return np.bincount(pixels, minlength=shape[0] * shape[1]).reshape(shape)


def mean_of(values: AnyArray, pixels: IntArray, shape: tuple[int, int]) -> FloatArray:
    """The mean of the finite values on each pixel, as a picture; NaN where there are none."""
    known = np.isfinite(values)
    if not known.all():
        values, pixels = values[known], pixels[known]
    size = shape[0] * shape[1]
    sums = np.bincount(pixels, weights=values, minlength=size)
    counts = np.bincount(pixels, minlength=size)
    with np.errstate(invalid="ignore"):
        return np.asarray(sums / counts).reshape(shape)


def main_class(codes: AnyArray, classes: int, pixels: IntArray, shape: tuple[int, int]) -> IntArray:
    """The most frequent code from 0 on each pixel, as a picture; -1 where there is none."""
    known = codes >= 0
    size = shape[0] * shape[1]
    votes = np.bincount(pixels[known] * classes + codes[known], minlength=size * classes).reshape(size, classes)
    winner = votes.argmax(axis=1)
    winner[votes.max(axis=1) == 0] = -1
    picture: IntArray = winner.reshape(shape)
    return picture


def fill_gaps(picture: AnyArray, occupied: BoolArray, *, needed: int) -> BoolArray:
    """Give empty pixels the content of a neighbour, in place.

    Args:
        picture: ``(rows, columns, ...)``, changed in place.
        occupied: ``(rows, columns)``; which pixels show a point.
        needed: How many of the eight neighbours must show a point. 1 makes every point larger, 4 closes pin-holes
            and keeps edges where they are.

    Returns:
        ``(rows, columns)``; which pixels show something now.
    """
    framed = np.pad(occupied, 1)
    rows, columns = occupied.shape
    views = [framed[1 + dy : 1 + dy + rows, 1 + dx : 1 + dx + columns] for dy, dx in _NEIGHBOURS]
    around = np.zeros(occupied.shape, dtype=np.int8)
    for view in views:
        around += view
    open_pixels = ~occupied & (around >= needed)
    filled = occupied | open_pixels
    for view, (dy, dx) in zip(views, _NEIGHBOURS, strict=True):
        row, column = np.nonzero(open_pixels & view)
        picture[row, column] = picture[row + dy, column + dx]
        open_pixels[row, column] = False
    return filled


def occupied_share(x: AnyArray, y: AnyArray, extent: tuple[float, float, float, float], cells: int = 48) -> float:
    """The part of the extent that the points really cover, from 0 to 1, judged on a coarse grid."""
    step = max(1, len(x) // _SAMPLE)
    pixels = pixel_of(x[::step], y[::step], extent, (cells, cells))
    return float(np.count_nonzero(np.bincount(pixels, minlength=cells * cells))) / (cells * cells)
