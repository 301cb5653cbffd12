"""Chunk coordinates, chunk keys and grids.

The chunk of a position is ``floor(float64(position) / chunk_shape)`` on each axis: absolute, and possibly negative.
A grid is the block of chunks that an array has cells for; its cell 0 is the chunk ``origin``.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from functools import lru_cache
from itertools import product, repeat
from math import prod

import numpy as np

from zarr_vectors.exceptions import ChunkingError
from zarr_vectors.typing import AnyArray, BoolArray, IntArray

__all__ = [
    "Grid",
    "bin_numbers",
    "chunk_coords",
    "format_keys",
    "number_rows",
    "parse_key_text",
    "parse_keys",
    "rows_among",
]

_FARTHEST = 2**53
"""Beyond it float64 does not tell neighbouring chunks apart."""
_LARGEST_BLOCK = 2**62
"""Cells that are numbered with room to spare in 64 bits."""


@dataclass(frozen=True, slots=True)
class Grid:
    """A block of chunks.

    Args:
        origin: Chunk coordinate of cell 0.
        shape: Number of cells along each axis.

    Example:
        >>> Grid.of_bounds((-5, 0), (16, 9), (10, 10))
        Grid(origin=(-1, 0), shape=(3, 1))
    """

    origin: tuple[int, ...]
    shape: tuple[int, ...]

    @classmethod
    def of_bounds(cls, lo: Sequence[float], hi: Sequence[float], chunk_shape: Sequence[float]) -> Grid:
        """The chunks that an inclusive box touches.

        Raises:
            ChunkingError: They are too far from 0 to be numbered.
        """
        size = np.asarray(chunk_shape, dtype=np.float64)
        with np.errstate(over="ignore"):
            first = np.floor(np.asarray(lo, dtype=np.float64) / size)
            last = np.floor(np.asarray(hi, dtype=np.float64) / size)
        if not (np.abs([first, last]) <= _FARTHEST).all():
            raise ChunkingError(
                "chunks of this shape cannot be numbered so far from 0",
                got=f"chunk_shape {tuple(chunk_shape)} for {tuple(lo)} to {tuple(hi)}",
                hint="use larger chunks, or subtract an offset from the positions",
            )
        return cls(tuple(int(v) for v in first), tuple(int(b) - int(a) + 1 for a, b in zip(first, last, strict=True)))

    @property
    def cells(self) -> int:
        """Number of cells."""
        return prod(self.shape)

    def contains(self, coords: IntArray) -> AnyArray:
        """``(n,)`` whether each chunk coordinate lies in the grid."""
        inside: AnyArray = np.ones(len(coords), dtype=bool)
        for column, start, length in zip(coords.T, self.origin, self.shape, strict=True):
            inside &= (column >= start) & (column < start + length)
        return inside

    def covers(self, other: Grid) -> bool:
        """Whether every cell of ``other`` is a cell of this grid."""
        return all(
            a <= b and a + m >= b + n
            for a, m, b, n in zip(self.origin, self.shape, other.origin, other.shape, strict=True)
        )

    def union(self, other: Grid) -> Grid:
        """The smallest grid that covers both."""
        origin = tuple(min(a, b) for a, b in zip(self.origin, other.origin, strict=True))
        ends = [
            max(a + m, b + n) for a, m, b, n in zip(self.origin, self.shape, other.origin, other.shape, strict=True)
        ]
        return Grid(origin, tuple(end - start for end, start in zip(ends, origin, strict=True)))

    def intersection(self, other: Grid) -> Grid | None:
        """The cells that both have; None where there are none."""
        origin = tuple(max(a, b) for a, b in zip(self.origin, other.origin, strict=True))
        ends = [
            min(a + m, b + n) for a, m, b, n in zip(self.origin, self.shape, other.origin, other.shape, strict=True)
        ]
        shape = tuple(end - start for end, start in zip(ends, origin, strict=True))
        return Grid(origin, shape) if min(shape) > 0 else None

    def coords_of(self, numbers: AnyArray) -> IntArray:
        """``(..., K)`` coordinates of cells by their C-order numbers."""
        local = np.stack(np.unravel_index(numbers.astype(np.int64), self.shape), axis=-1)
        return np.asarray(local + np.asarray(self.origin), dtype=np.int64)

    def all_coords(self) -> IntArray:
        """``(cells, K)`` every chunk coordinate, in C order."""
        coords = np.indices(self.shape, dtype=np.int64).reshape(len(self.shape), -1).T + np.asarray(self.origin)
        return np.ascontiguousarray(coords, dtype=np.int64)

    def all_keys(self) -> list[str]:
        """The key of every chunk, in C order.

        Example:
            >>> Grid((-1, 5), (2, 2)).all_keys()
            ['-1.5', '-1.6', '0.5', '0.6']
        """
        axes = (range(start, start + length) for start, length in zip(self.origin, self.shape, strict=True))
        return list(map(".".join, product(*(map(str, axis) for axis in axes))))


def chunk_coords(
    positions: AnyArray, chunk_shape: Sequence[float], origin: Sequence[int] | None = None
) -> list[AnyArray]:
    """Chunk coordinate of each position, computed in float64.

    Args:
        positions: ``(N, D)``.
        chunk_shape: Edge lengths.
        origin: Chunk coordinate to count from; 0 by default.

    Returns:
        For each axis ``(N,)`` integers. Axes are kept apart because everything that follows goes axis by axis.

    Example:
        >>> [axis.tolist() for axis in chunk_coords(np.array([[-0.5, 12.0]], dtype="f4"), (10, 10))]
        [[-1], [1]]
    """
    coords = []
    for axis, size in enumerate(chunk_shape):
        column = positions[:, axis].astype(np.float64)
        np.divide(column, float(size), out=column)
        np.floor(column, out=column)
        if origin is not None:
            np.subtract(column, float(origin[axis]), out=column)
        coords.append(column.astype(np.int64))
    return coords


def bin_numbers(
    positions: AnyArray, chunk_shape: Sequence[float], bin_shape: Sequence[float], bins: Sequence[int]
) -> IntArray:
    """``(N,)`` row-major number of each position's bin inside its chunk.

    Args:
        positions: ``(N, D)``.
        chunk_shape: Edge lengths of a chunk.
        bin_shape: Edge lengths of a bin; ``bins`` of them make a chunk.
        bins: Bins of a chunk along each axis.

    Example:
        >>> bin_numbers(np.array([[1.0, 6.0], [-1.0, -1.0]]), (10, 10), (5, 5), (2, 2)).tolist()
        [1, 3]
    """
    number = np.zeros(len(positions), dtype=np.int64)
    fine, coarse = chunk_coords(positions, bin_shape), chunk_coords(positions, chunk_shape)
    for count, inner, outer in zip(bins, fine, coarse, strict=True):
        # Rounding of the two divisions may disagree on a face by one bin.
        number = number * count + np.clip(inner - outer * count, 0, count - 1)
    return number


def format_keys(coords: IntArray) -> list[str]:
    """Chunk keys of coordinates.

    Example:
        >>> format_keys(np.array([[-1, 0, 12]]))
        ['-1.0.12']
    """
    key = ".".join(["%d"] * coords.shape[1])
    return list(map(key.__mod__, map(tuple, coords.tolist())))


_SURE_DIGITS = 18
"""Numbers of so many fit 64 bits."""
_NUMBER = b"-0123456789"


@lru_cache(maxsize=8)
def _plain_keys(ndim: int) -> re.Pattern[str]:
    """Keys joined by commas, of numbers that surely fit 64 bits."""
    key = r"\.".join([r"-?[0-9]{1,18}"] * ndim)
    return re.compile(f"{key}(?:,{key})*")


def parse_key_text(text: bytes, ndim: int) -> IntArray | None:
    """``(n, ndim)`` coordinates of chunk keys in the text of a JSON list; None where they are not plain numbers.

    Args:
        text: The list, without spaces.

    Example:
        >>> parse_key_text(b'["-1.0.12","3.4.5"]', 3).tolist()
        [[-1, 0, 12], [3, 4, 5]]
        >>> parse_key_text(b'["-1.0"]', 3) is None
        True
    """
    count = text.count(b'","') + 1
    between = b"[" + ((b'"' + b"." * (ndim - 1) + b'",') * count)[:-1] + b"]"
    if text.translate(None, _NUMBER) != between or not (text.startswith(b'["') and text.endswith(b'"]')):
        return None
    raw = np.frombuffer(text, dtype=np.uint8)
    digits = raw - np.uint8(ord("0"))
    is_digit = digits < 10
    edges = np.flatnonzero(is_digit[1:] != is_digit[:-1]) + 1
    if len(edges) != 2 * count * ndim:
        return None
    starts, ends = edges.reshape(-1, 2).T
    lengths = ends - starts
    longest = int(lengths.max())
    if longest > _SURE_DIGITS or (lengths[digits[starts] == 0] > 1).any():
        return None
    numbers = digits[ends - 1].astype(np.int64)
    for place in range(1, longest):
        longer = np.flatnonzero(lengths > place)
        numbers[longer] += digits[ends[longer] - 1 - place] * np.int64(10**place)
    signs = np.flatnonzero(raw == ord("-"))
    if len(signs):
        # None stands between two digits: then there is one number between any two dots or quotes.
        if is_digit[signs - 1].any() or not ((raw[signs + 1] > ord("0")) & is_digit[signs + 1]).all():
            return None
        numbers[np.searchsorted(starts, signs)] *= -1
    return numbers.reshape(-1, ndim)


def parse_keys(keys: Iterable[str], ndim: int) -> IntArray:
    """``(n, ndim)`` coordinates of chunk keys.

    Raises:
        ValueError: A key is not ``ndim`` integers joined by dots.

    Example:
        >>> parse_keys(["-1.0.12", "3.4.5"], 3).tolist()
        [[-1, 0, 12], [3, 4, 5]]
    """
    keys = list(keys)
    if not keys:
        return np.zeros((0, ndim), dtype=np.int64)
    joined = ",".join(keys)
    if _plain_keys(ndim).fullmatch(joined):
        coords = np.fromstring(joined.replace(",", "."), dtype=np.int64, sep=".").reshape(-1, ndim)
        if len(coords) == len(keys):
            return coords
    # Anything else that Python takes for numbers, and what is wrong with the rest.
    numbers = ".".join(keys).split(".")
    dots = list(map(str.count, keys, repeat(".")))
    if dots.count(ndim - 1) != len(keys):
        bad = next(key for key, count in zip(keys, dots, strict=True) if count != ndim - 1)
        raise ValueError(f"chunk key {bad!r} does not have {ndim} components")
    try:
        return np.array(list(map(int, numbers)), dtype=np.int64).reshape(-1, ndim)
    except OverflowError as error:
        raise ValueError(f"a chunk key is beyond 64 bits: {error}") from error


def number_rows(coords: IntArray) -> IntArray:
    """``(n,)`` numbers that are equal, less or greater as these ``(n, K)`` coordinates are; much faster to sort.

    Example:
        >>> number_rows(np.array([[1, 0], [0, 5], [1, 0]])).tolist()
        [6, 5, 6]
    """
    if not len(coords):
        return np.zeros(0, dtype=np.int64)
    low = coords.min(axis=0)
    # As whole numbers of Python: coordinates may lie farther apart than 64 bits tell.
    span = tuple(b - a + 1 for a, b in zip(low.tolist(), coords.max(axis=0).tolist(), strict=True))
    if prod(span) < _LARGEST_BLOCK:
        return np.asarray(np.ravel_multi_index(tuple((coords - low).T), span), dtype=np.int64)
    return np.asarray(np.unique(coords, axis=0, return_inverse=True)[1], dtype=np.int64).reshape(-1)


def rows_among(coords: IntArray, others: IntArray) -> BoolArray:
    """``(n,)`` whether each of ``(n, K)`` coordinates is one of the others.

    Example:
        >>> rows_among(np.array([[1, 0], [0, 5]]), np.array([[0, 5], [7, 7]])).tolist()
        [False, True]
    """
    numbers = number_rows(np.concatenate([coords, others]))
    return np.isin(numbers[: len(coords)], numbers[len(coords) :])
