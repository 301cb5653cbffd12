"""Boxes, segments and triangles in rational numbers: slow, right, and unlike the code under test."""

from __future__ import annotations

import math
from collections.abc import Sequence
from fractions import Fraction
from itertools import combinations, product
from typing import Any

import numpy as np
from hypothesis import strategies as st

from zarr_vectors.spatial.box import ClosedBox

Point = Sequence[Fraction]
Side = Fraction | float
"""A rational number, or an infinite float."""

GRID = st.sampled_from([0, 1, 2, 3, 4, 5, 6])
"""Few numbers, so that touching is as likely as crossing."""


def cube(lo: Any, hi: Any) -> ClosedBox:
    return ClosedBox.from_user((lo, hi), "xyzw"[: len(lo)])


def exactly(value: Any) -> Fraction:
    return Fraction(int(value)) if np.asarray(value).dtype.kind in "iu" else Fraction(float(value))


def point(row: Any) -> list[Fraction]:
    return [exactly(value) for value in row]


def sides(box: ClosedBox, margin: float = 0) -> tuple[list[Side], list[Side]]:
    """The box in rational numbers, grown by a margin."""
    given = zip(box.lo.tolist(), box.hi.tolist(), strict=True) if box.exact is None else box.exact
    pairs = [(_side(lo, -margin), _side(hi, margin)) for lo, hi in given]
    return [lo for lo, _ in pairs], [hi for _, hi in pairs]


def _side(value: float, margin: float) -> Side:
    return value if value in (math.inf, -math.inf) else Fraction(value) + Fraction(margin)


def span(start: Point, end: Point, lo: Sequence[Side], hi: Sequence[Side]) -> tuple[Fraction, Fraction] | None:
    """Where a segment enters and leaves a box, or None where it misses it."""
    enter, leave = Fraction(0), Fraction(1)
    for a, b, low, high in zip(start, end, lo, hi, strict=True):
        if a == b:
            if not low <= a <= high:
                return None
            continue
        places = [s if isinstance(s, float) else (s - a) / (b - a) for s in (low, high)]
        if b < a:
            places = [-s if isinstance(s, float) else s for s in places]
        if min(places) == math.inf or max(places) == -math.inf:
            return None
        enter = max(enter, enter if min(places) == -math.inf else Fraction(min(places)))
        leave = min(leave, leave if max(places) == math.inf else Fraction(max(places)))
    return (enter, leave) if enter <= leave else None


def triangle_meets(corners: Sequence[Point], lo: Sequence[Side], hi: Sequence[Side]) -> bool:
    """An edge meets the box, or the plane of the triangle meets the crossing of two sides in triangle and box."""
    if any(span(a, b, lo, hi) for a, b in combinations(corners, 2)):
        return True
    apex, one, other = corners
    u, v = ([b - a for a, b in zip(apex, end, strict=True)] for end in (one, other))
    for k, m in combinations(range(len(apex)), 2):
        turn = u[k] * v[m] - u[m] * v[k]
        for p, q in product((lo[k], hi[k]), (lo[m], hi[m])):
            if turn == 0 or isinstance(p, float) or isinstance(q, float):
                continue
            along = ((p - apex[k]) * v[m] - (q - apex[m]) * v[k]) / turn
            across = (u[k] * (q - apex[m]) - u[m] * (p - apex[k])) / turn
            place = [a + along * du + across * dv for a, du, dv in zip(apex, u, v, strict=True)]
            if min(along, across, 1 - along - across) >= 0 and span(place, place, lo, hi):
                return True
    return False


def clipped_area(corners: Sequence[Point], lo: Sequence[Side], hi: Sequence[Side]) -> Fraction:
    """Twice the signed area that a box in the plane leaves of a triangle, half-plane after half-plane."""
    outline = list(corners)
    for axis, (low, high) in enumerate(zip(lo, hi, strict=True)):
        for side, sign in ((low, 1), (high, -1)):
            if not isinstance(side, float):
                outline = _half(outline, axis, side, sign)
    return sum((a[0] * b[1] - a[1] * b[0] for a, b in zip(outline, outline[1:] + outline[:1], strict=True)), Fraction())


def _half(outline: list[Point], axis: int, side: Fraction, sign: int) -> list[Point]:
    left: list[Point] = []
    for a, b in zip(outline, outline[1:] + outline[:1], strict=True):
        if sign * (a[axis] - side) >= 0:
            left.append(a)
        if (a[axis] - side) * (b[axis] - side) < 0:
            t = (side - a[axis]) / (b[axis] - a[axis])
            left.append([x + t * (y - x) for x, y in zip(a, b, strict=True)])
    return left


@st.composite
def boxes(draw: st.DrawFn, axes: int, numbers: st.SearchStrategy[Any] = GRID) -> ClosedBox:
    """Boxes with open sides, without width on some axes, and with sides between the numbers."""
    pairs = []
    for _ in range(axes):
        side = st.one_of(numbers, numbers.map(lambda value: float(value) + 0.5))
        lo, hi = sorted((draw(side), draw(side)))
        shape = draw(st.sampled_from(["box", "box", "box", "flat", "below", "above", "open"]))
        hi = lo if shape == "flat" else hi
        pairs.append((None if shape in ("below", "open") else lo, None if shape in ("above", "open") else hi))
    low, high = zip(*pairs, strict=True)
    return ClosedBox.from_user((low, high), "xyzw"[:axes])
