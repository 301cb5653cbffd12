"""Closed boxes: taken as users give them, turned into chunk ranges and row masks."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from math import ceil, floor, inf
from typing import Any

import numpy as np

from zarr_vectors.exceptions import InputError
from zarr_vectors.spatial.grid import Grid
from zarr_vectors.typing import AnyArray, BoolArray, CodeArray, FloatArray

__all__ = ["ClosedBox"]

_FLOAT32_EPS = float(np.finfo(np.float32).eps)


@dataclass(frozen=True, eq=False)
class ClosedBox:
    """A box that contains its faces; open sides are infinite.

    Args:
        lo: ``(D,)`` float64, -inf where open.
        hi: ``(D,)`` float64, +inf where open.
        exact: ``(lo, hi)`` of each axis as given, where whole numbers are too large for float64.
    """

    lo: FloatArray
    hi: FloatArray
    exact: tuple[tuple[float, float], ...] | None = None

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
            sides = [(None, None) if value.get(name) is None else value[name] for name in names]
            if any(np.shape(side) != (2,) for side in sides):
                raise InputError("bbox must give (lo, hi) for each axis it names", got=value)
            value = ([side[0] for side in sides], [side[1] for side in sides])
        try:
            lo, hi = (
                [_number(v, open_side) for v in corner] for corner, open_side in zip(value, (-inf, inf), strict=True)
            )
            low, high = np.array(lo, dtype=np.float64), np.array(hi, dtype=np.float64)
        except (TypeError, ValueError, OverflowError) as error:
            raise InputError("bbox must be (lo, hi) or {axis: (lo, hi)}", got=repr(value)) from error
        if low.shape != (len(names),) or high.shape != (len(names),):
            raise InputError(
                "bbox must have one number per axis", expected=f"{len(names)} axes {list(names)}", got=repr(value)
            )
        if np.isnan(low).any() or np.isnan(high).any():
            raise InputError("bbox must not contain NaN", got=repr(value), hint="use None for an open side")
        exact = tuple(zip(lo, hi, strict=True))
        inverted = [axis for axis, (least, most) in enumerate(exact) if least > most]
        if inverted:
            axis = inverted[0]
            raise InputError(f"bbox is inverted on axis {names[axis]!r}", got=f"lo {lo[axis]} above hi {hi[axis]}")
        return cls(low, high, exact if [*low.tolist(), *high.tolist()] != [*lo, *hi] else None)

    def narrowed(self, other: ClosedBox) -> ClosedBox:
        """What both boxes have in common, to find cells by; inside out where they have nothing."""
        return ClosedBox(np.maximum(self.lo, other.lo), np.minimum(self.hi, other.hi))

    def clip_grid(self, grid: Grid, chunk_shape: Sequence[float], rounding: float = 0.0) -> Grid | None:
        """The cells of a grid whose rows may lie in the box.

        Args:
            rounding: By how much a stored position may lie outside its chunk, beside one unit in the last place of
                float32, which means of vertices are rounded to.

        Example:
            >>> ClosedBox.from_user(([2.5], [None]), ("x",)).clip_grid(Grid((0,), (5,)), (1.0,))
            Grid(origin=(2,), shape=(3,))
        """
        origin, shape = [], []
        for low, high, size, start, length in zip(
            self.lo.tolist(), self.hi.tolist(), chunk_shape, grid.origin, grid.shape, strict=True
        ):
            end = start + length
            slack = max(abs(start), abs(end)) * _FLOAT32_EPS * size + rounding  # in this order nothing overflows
            first = floor(min(max((low - slack) / size, start), end))
            last = floor(min(max((high + slack) / size, start - 1), end - 1))
            if first > last:
                return None
            origin.append(first)
            shape.append(last - first + 1)
        return Grid(tuple(origin), tuple(shape))

    def mask(self, positions: AnyArray) -> BoolArray:
        """``(N,)`` whether each position lies in the box, compared without rounding either side."""
        inside = np.ones(len(positions), dtype=bool)
        for axis in range(positions.shape[1]):
            # Two comparisons of what lies apart would take longer than putting it together.
            column = np.ascontiguousarray(positions[:, axis])
            low, high = self.limits(axis, positions.dtype)
            if low is not None:
                inside &= column >= low
            if high is not None:
                inside &= column <= high
        return inside

    def limits(self, axis: int, dtype: np.dtype[Any]) -> tuple[Any, Any]:
        """``(low, high)`` of an axis, rounded inward so that comparing in a dtype is exact; None where open.

        ``low`` lies above ``high`` where the dtype has no value between the sides.

        Example:
            >>> ClosedBox.from_user(([0.5], [None]), ("x",)).limits(0, np.dtype("int32"))
            (1, None)
        """
        lo, hi = (self.lo[axis], self.hi[axis]) if self.exact is None else self.exact[axis]
        return _limits(lo, hi, dtype)

    def outcodes(self, positions: AnyArray) -> CodeArray:
        """Beyond which sides each position lies, compared as :meth:`mask` compares: it is inside where the code is 0.

        Args:
            positions: ``(N, D)`` of any real dtype, D at most 8.

        Returns:
            ``(N,)`` uint16; bit ``2 * axis`` where not at or above ``lo``, bit ``2 * axis + 1`` where not at or below
            ``hi``. NaN is beyond both.

        Example:
            >>> ClosedBox.from_user(([0, 0], [1, 1]), ("x", "y")).outcodes(np.array([[0, 1], [-1, 1], [0, 2]])).tolist()
            [0, 1, 8]
        """
        codes = np.zeros(len(positions), dtype=np.uint16)
        for axis in range(positions.shape[1]):
            low, high = self.limits(axis, positions.dtype)
            if low is not None:
                codes |= ~(positions[:, axis] >= low) * np.uint16(1 << 2 * axis)
            if high is not None:
                codes |= ~(positions[:, axis] <= high) * np.uint16(2 << 2 * axis)
        return codes

    def to_float64(self, positions: AnyArray, codes: CodeArray) -> FloatArray:
        """Positions in float64, with those that rounding would move onto a side kept beyond it.

        Args:
            positions: ``(N, D)`` of any real dtype.
            codes: ``(N,)`` their :meth:`outcodes`.

        Example:
            >>> box, rows = ClosedBox.from_user(([0], [2**53]), ("x",)), np.array([[2**53 + 1]])
            >>> box.to_float64(rows, box.outcodes(rows)).tolist()
            [[9007199254740994.0]]
        """
        floats = positions.astype(np.float64)
        if positions.dtype.itemsize <= 4 or positions.dtype == np.float64:
            return floats
        for axis, column in enumerate(floats.T):
            below, above = codes & (1 << 2 * axis) != 0, codes & (2 << 2 * axis) != 0
            column[below] = np.minimum(column[below], np.nextafter(self.lo[axis], -inf))
            column[above] = np.maximum(column[above], np.nextafter(self.hi[axis], inf))
        return floats


def _limits(lo: float, hi: float, dtype: np.dtype[Any]) -> tuple[Any, Any]:
    """The same limits in the dtype of the positions, rounded inward so that comparing there is exact."""
    if dtype.kind == "f":
        with np.errstate(over="ignore"):
            low, high = dtype.type(lo), dtype.type(hi)
        if float(low) < lo:
            low = np.nextafter(low, dtype.type(np.inf))
        if float(high) > hi:
            high = np.nextafter(high, dtype.type(-np.inf))
        return (None if lo == -inf else low), (None if hi == inf else high)
    info = np.iinfo(dtype)
    low_int = None if lo == -inf else info.max + 1 if lo == inf else ceil(lo)
    high_int = None if hi == inf else info.min - 1 if hi == -inf else floor(hi)
    # Python integers beyond the dtype compare correctly with integer arrays in numpy 2.
    return low_int, high_int


def _number(value: Any, open_side: float) -> float:
    """A corner's number; whole ones stay integers, which have no largest."""
    if value is None:
        return open_side
    return int(value) if isinstance(value, (int, np.integer)) else float(value)
