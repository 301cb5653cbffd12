"""Sorting rows into cells: the one place that decides in which order rows lie on disk."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from zarr_vectors.typing import AnyArray, BoolArray, IntArray

__all__ = ["Runs", "runs_of", "stable_order"]

_BLOCK_ROWS = 1 << 15


def stable_order(keys: Sequence[IntArray]) -> IntArray:
    """The stable order of rows by several integer keys, the first key counting most.

    A least-significant-digit radix sort on 16-bit digits: numpy sorts ``uint16`` by radix in linear time, several
    times faster than it sorts wider integers. Each key costs one pass for every 16 bits that its range needs.

    Args:
        keys: ``(N,)`` integer arrays of the same length.

    Example:
        >>> stable_order([np.array([1, 0, 1]), np.array([5, 7, -2])]).tolist()
        [1, 2, 0]
    """
    order: IntArray | None = None
    for key in reversed(keys):
        if not len(key):
            return np.zeros(0, dtype=np.int64)
        low, high = int(key.min()), int(key.max())
        span = high - low
        if span >= 1 << 48:
            # More than three digits: one comparison sort is cheaper than four passes, and cannot overflow.
            order = _refine(order, key)
            continue
        shift = 0
        while span >> shift:
            order = _refine(order, _digit_of(key, low, shift))
            shift += 16
    return np.arange(len(keys[0]), dtype=np.int64) if order is None else order


def _digit_of(key: IntArray, low: int, shift: int) -> AnyArray:
    """16 bits of each key, made block by block so that the wide temporaries stay in the cache."""
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
