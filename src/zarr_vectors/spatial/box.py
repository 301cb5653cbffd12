"""Closed boxes: taken as users give them, turned into chunk ranges and row masks."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from zarr_vectors.exceptions import InputError
from zarr_vectors.spatial.grid import Grid
from zarr_vectors.typing import AnyArray, BoolArray, FloatArray, IntArray

__all__ = ["ClosedBox"]


@dataclass(frozen=True, eq=False)
class ClosedBox:
    """A box that contains its faces; open sides are infinite.

    Args:
        lo: ``(D,)`` float64, -inf where open.
        hi: ``(D,)`` float64, +inf where open.
    """

    lo: FloatArray
    hi: FloatArray

    @classmethod
    def from_user(cls, value: Any, names: Sequence[str]) -> ClosedBox:
        """Take ``(lo, hi)`` with None for open sides, or ``{axis name: (lo, hi)}`` for some of the axes.

        Raises:
            InputError: Wrong rank, NaN, ``lo`` above ``hi``, or an axis that the store does not have.

        Example:
            >>> ClosedBox.from_user({"y": (None, 5)}, ("x", "y")).hi.tolist()
            [inf, 5.0]
        """
        if isinstance(value, Mapping):
            unknown = [name for name in value if name not in names]
            if unknown:
                raise InputError("bbox names an axis that the store does not have", got=unknown, expected=list(names))
            sides = [value.get(name) or (None, None) for name in names]
            if any(len(side) != 2 for side in sides):
                raise InputError("bbox must give (lo, hi) for each axis it names", got=value)
            value = ([side[0] for side in sides], [side[1] for side in sides])
        try:
            lo, hi = value
            low = np.array([-np.inf if v is None else v for v in lo], dtype=np.float64)
            high = np.array([np.inf if v is None else v for v in hi], dtype=np.float64)
        except (TypeError, ValueError) as error:
            raise InputError("bbox must be (lo, hi) or {axis: (lo, hi)}", got=repr(value)) from error
        if low.shape != (len(names),) or high.shape != (len(names),):
            raise InputError(
                "bbox must have one number per axis", expected=f"{len(names)} axes {list(names)}", got=repr(value)
            )
        if np.isnan(low).any() or np.isnan(high).any():
            raise InputError("bbox must not contain NaN", got=repr(value), hint="use None for an open side")
        inverted = np.flatnonzero(low > high)
        if len(inverted):
            axis = int(inverted[0])
            raise InputError(f"bbox is inverted on axis {names[axis]!r}", got=f"lo {low[axis]} above hi {high[axis]}")
        return cls(low, high)

    def clip_grid(self, grid: Grid, chunk_shape: Sequence[float] | FloatArray, slack: FloatArray) -> Grid | None:
        """The cells of a grid whose rows may lie in the box.

        Args:
            slack: ``(D,)`` by how much a stored position may lie outside its chunk by rounding.
        """
        size = np.asarray(chunk_shape, dtype=np.float64)
        first, last = np.asarray(grid.origin), np.asarray(grid.origin) + np.asarray(grid.shape) - 1
        low = np.clip(np.floor((self.lo - slack) / size), first, last + 1).astype(np.int64)
        high = np.clip(np.floor((self.hi + slack) / size), first - 1, last).astype(np.int64)
        if (low > high).any():
            return None
        return Grid(tuple(low.tolist()), tuple((high - low + 1).tolist()))

    def holds_chunks(self, coords: IntArray, chunk_shape: Sequence[float] | FloatArray, slack: FloatArray) -> BoolArray:
        """``(n,)`` whether each chunk lies in the box as a whole, so that its rows need no test."""
        size = np.asarray(chunk_shape, dtype=np.float64)
        inside = (coords * size - slack >= self.lo) & ((coords + 1) * size + slack <= self.hi)
        return np.asarray(inside.all(axis=1))

    def mask(self, positions: AnyArray) -> BoolArray:
        """``(N,)`` whether each position lies in the box, compared without rounding either side."""
        inside = np.ones(len(positions), dtype=bool)
        for axis in range(positions.shape[1]):
            low, high = _limits(self.lo[axis], self.hi[axis], positions.dtype)
            if low is not None:
                inside &= positions[:, axis] >= low
            if high is not None:
                inside &= positions[:, axis] <= high
        return inside


def _limits(lo: float, hi: float, dtype: np.dtype[Any]) -> tuple[Any, Any]:
    """The same limits in the dtype of the positions, rounded inward so that comparing there is exact."""
    if dtype.kind == "f":
        with np.errstate(over="ignore"):
            low, high = dtype.type(lo), dtype.type(hi)
        if float(low) < lo:
            low = np.nextafter(low, dtype.type(np.inf))
        if float(high) > hi:
            high = np.nextafter(high, dtype.type(-np.inf))
        return (None if np.isneginf(lo) else low), (None if np.isposinf(hi) else high)
    info = np.iinfo(dtype)
    low_int = None if np.isneginf(lo) else int(np.ceil(lo)) if np.isfinite(lo) else info.max + 1
    high_int = None if np.isposinf(hi) else int(np.floor(hi)) if np.isfinite(hi) else info.min - 1
    # Python integers beyond the dtype compare correctly with integer arrays in numpy 2.
    return low_int, high_int
