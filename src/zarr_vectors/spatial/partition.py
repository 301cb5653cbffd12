"""Sorting rows into cells: the one place that decides in which order rows lie on disk."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from zarr_vectors.typing import AnyArray, BoolArray, IntArray

__all__ = ["Runs", "runs_of", "stable_order"]

_BLOCK_ROWS = 1 << 15
_WORD_BITS = 64
_DIGIT_BITS = 16


def stable_order(keys: Sequence[IntArray]) -> IntArray:
    """The stable order of rows by several integer keys, the first key counting most.

    Keys whose ranges leave room for the number of the row are packed with it into 64 bits: sorting these numbers, which
    numpy does with vector instructions, brings the order with them. Others are sorted digit by digit, as is what has a
    single one.

    Args:
        keys: ``(N,)`` integer arrays of the same length.

    Example:
        >>> stable_order([np.array([1, 0, 1]), np.array([5, 7, -2])]).tolist()
        [1, 2, 0]
    """
    rows = len(keys[0])
    if not rows:
        return np.zeros(0, dtype=np.int64)
    ranges = [(int(key.min()), int(key.max())) for key in keys]
    widths = [(high - low).bit_length() for low, high in ranges]
    if not any(widths):
        return np.arange(rows, dtype=np.int64)
    if _DIGIT_BITS < sum(widths) <= _WORD_BITS - (rows - 1).bit_length():
        return _packed_order(keys, [low for low, _ in ranges], widths)
    return _order_by_digits(keys, ranges)


def _packed_order(keys: Sequence[IntArray], lows: Sequence[int], widths: Sequence[int]) -> IntArray:
    """The order by keys that need so many bits from their least values on."""
    rows = len(keys[0])
    place = (rows - 1).bit_length()
    packed = np.empty(rows, dtype=np.uint64)
    for start in range(0, rows, _BLOCK_ROWS):
        stop = min(start + _BLOCK_ROWS, rows)
        numbers = np.zeros(stop - start, dtype=np.uint64)
        for key, low, width in zip(keys, lows, widths, strict=True):
            numbers <<= np.uint64(width)
            # Differences modulo 2**64 are right whatever the sign and the width of the key.
            numbers |= key[start:stop].astype(np.uint64) - np.uint64(low % 2**_WORD_BITS)
        numbers <<= np.uint64(place)
        numbers |= np.arange(start, stop, dtype=np.uint64)
        packed[start:stop] = numbers
    packed.sort()
    packed &= np.uint64((1 << place) - 1)
    return packed.view(np.int64)


def _order_by_digits(keys: Sequence[IntArray], ranges: Sequence[tuple[int, int]]) -> IntArray:
    """A least-significant-digit radix sort on 16-bit digits, which numpy sorts by radix in linear time.

    Each key costs one pass for every 16 bits that its range needs.
    """
    order: IntArray | None = None
    for key, (low, high) in zip(reversed(keys), reversed(ranges), strict=True):
        span = high - low
        if span >= 1 << 48:
            # More than three digits: one comparison sort is cheaper than four passes, and cannot overflow.
            order = _refine(order, key)
            continue
        shift = 0
        while span >> shift:
            order = _refine(order, _digit_of(key, low, shift))
            shift += _DIGIT_BITS
    assert order is not None
    return order


def _digit_of(key: IntArray, low: int, shift: int) -> AnyArray:
    """``_DIGIT_BITS`` of each key, made block by block so that the wide temporaries stay in the cache."""
    digit = np.empty(len(key), dtype=np.uint16)
    for start in range(0, len(key), _BLOCK_ROWS):
        rows = slice(start, start + _BLOCK_ROWS)
        digit[rows] = (key[rows] - low) >> shift
    return digit


def _refine(order: IntArray | None, digit: AnyArray) -> IntArray:
    if order is None:
        return np.argsort(digit, kind="stable")
    # take() gathers faster than indexing.
    return order.take(np.argsort(digit.take(order), kind="stable"))


@dataclass(frozen=True, slots=True)
class Runs:
    """Consecutive equal rows: where each run starts, and how long it is."""

    starts: IntArray
    counts: IntArray

    def __len__(self) -> int:
        return len(self.starts)


def runs_of(*keys: AnyArray) -> Runs:
    """The runs of rows in which none of the keys changes.

    Example:
        >>> runs = runs_of(np.array([3, 3, 5]), np.array([0, 1, 1]))
        >>> runs.starts.tolist(), runs.counts.tolist()
        ([0, 1, 2], [1, 1, 1])
    """
    rows = len(keys[0])
    if not rows:
        return Runs(np.zeros(0, dtype=np.int64), np.zeros(0, dtype=np.int64))
    changes: BoolArray = np.zeros(rows, dtype=bool)
    changes[0] = True
    for key in keys:
        changes[1:] |= key[1:] != key[:-1]
    starts = np.flatnonzero(changes).astype(np.int64)
    return Runs(starts, np.diff(starts, append=rows))
