"""Polygons and half-spaces that a user reads within."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from fractions import Fraction
from typing import Any

import numpy as np

from zarr_vectors.exceptions import InputError
from zarr_vectors.typing import AnyArray, BoolArray, FloatArray

__all__ = ["HalfSpaces", "Polygon"]

_PAIRS = 2**20
"""Positions times edges that are compared at once."""


@dataclass(frozen=True, eq=False)
class Polygon:
    """What a closed outline surrounds, its edges included, whatever the other axes say; for ``within=``.

    A position lies inside where a ray from it crosses the edges of all rings an odd number of times, so that further
    rings are holes, or islands in these. Whether it lies on an edge is told without rounding.

    Args:
        vertices: ``(n, 2)`` corners in order, the last joined to the first; or a list of such rings.
        axes: The names of the two axes.

    Raises:
        InputError: A ring has less than three corners, or something is not finite.

    Example:
        >>> import zarr_vectors as zv
        >>> triangle = zv.Polygon([[0, 0], [4, 0], [0, 4]])
        >>> triangle.mask([[1, 1], [2, 2], [3, 3]]).tolist()
        [True, True, False]
        >>> ring = zv.Polygon([[[0, 0], [9, 0], [9, 9], [0, 9]], [[3, 3], [6, 3], [6, 6], [3, 6]]])
        >>> ring.mask([[1, 1], [4, 4]]).tolist()
        [True, False]
    """

    vertices: Any
    axes: tuple[str, str] = ("x", "y")

    def __post_init__(self) -> None:
        rings = tuple(_as_ring(ring) for ring in _rings(self.vertices))
        axes = tuple(self.axes)
        if len(axes) != 2 or len(set(axes)) != 2 or not all(isinstance(name, str) for name in axes):
            raise InputError("the axes of a polygon must be two names", got=repr(self.axes))
        object.__setattr__(self, "vertices", rings)
        object.__setattr__(self, "axes", axes)

    @property
    def ndim(self) -> int:
        """Axes of a corner."""
        return 2

    @property
    def box(self) -> tuple[FloatArray, FloatArray]:
        """The least and the greatest corner."""
        corners = np.concatenate(self.vertices)
        return corners.min(axis=0), corners.max(axis=0)

    def mask(self, positions: Any) -> BoolArray:
        """``(n,)`` which of ``(n, 2)`` positions on its axes lie in it; NaN lies nowhere.

        Raises:
            InputError: They are not ``(n, 2)`` numbers.
        """
        places = _as_places(positions, 2)
        starts = np.concatenate(self.vertices)
        ends = np.concatenate([np.roll(ring, -1, axis=0) for ring in self.vertices])
        step = max(1, _PAIRS // len(starts))
        parts = [_inside(places[at : at + step], starts, ends) for at in range(0, len(places), step)]
        return np.concatenate([np.zeros(0, dtype=bool), *parts])


@dataclass(frozen=True, eq=False)
class HalfSpaces:
    """All positions x of which ``normals @ x <= offsets`` in every row, computed in float64; for ``within=``.

    Args:
        normals: ``(k, D)``.
        offsets: ``(k,)``.
        axes: The names of the D axes; all of the store by default.

    Raises:
        InputError: They are not finite numbers of these shapes, or a normal has no length.

    Example:
        >>> import zarr_vectors as zv
        >>> below = zv.HalfSpaces([[1, 1, 0]], [10])
        >>> below.mask([[5, 5, 99], [5, 5.5, 0]]).tolist()
        [True, False]
    """

    normals: Any
    offsets: Any
    axes: tuple[str, ...] | None = None

    def __post_init__(self) -> None:
        try:
            normals = np.array(self.normals, dtype=np.float64)
            offsets = np.array(self.offsets, dtype=np.float64)
        except (TypeError, ValueError) as error:
            raise InputError("normals must be (k, D) numbers, offsets (k,)", got=str(error)) from error
        if normals.ndim != 2 or not normals.size or offsets.shape != normals.shape[:1]:
            raise InputError("normals must be (k, D), offsets (k,)", got=f"{normals.shape} and {offsets.shape}")
        if not (np.isfinite(normals).all() and np.isfinite(offsets).all() and normals.any(axis=1).all()):
            raise InputError("normals must be finite and have a length, offsets must be finite")
        object.__setattr__(self, "normals", normals)
        object.__setattr__(self, "offsets", offsets)
        object.__setattr__(self, "axes", None if self.axes is None else tuple(self.axes))

    @property
    def ndim(self) -> int:
        """Axes of a normal."""
        return int(self.normals.shape[1])

    @property
    def box(self) -> tuple[FloatArray, FloatArray]:
        """The sides that half-spaces along an axis give; the rest is open."""
        low, high = np.full(self.ndim, -np.inf), np.full(self.ndim, np.inf)
        for normal, offset in zip(self.normals, self.offsets, strict=True):
            along = np.flatnonzero(normal)
            if len(along) == 1:
                axis = int(along[0])
                with np.errstate(over="ignore"):
                    side = offset / normal[axis]
                # One unit outward in each of the two roundings, of the side and of the product.
                if normal[axis] > 0:
                    high[axis] = min(high[axis], side + 4 * np.spacing(abs(side)))
                else:
                    low[axis] = max(low[axis], side - 4 * np.spacing(abs(side)))
        return low, high

    def mask(self, positions: Any) -> BoolArray:
        """``(n,)`` which of ``(n, D)`` positions on its axes lie in all half-spaces; NaN lies nowhere.

        Raises:
            InputError: They are not ``(n, D)`` numbers.
        """
        places = _as_places(positions, self.ndim)
        inside = np.ones(len(places), dtype=bool)
        with np.errstate(all="ignore"):
            for normal, offset in zip(self.normals, self.offsets, strict=True):
                reach = places[:, 0] * normal[0]
                for axis in range(1, self.ndim):
                    reach += places[:, axis] * normal[axis]
                inside &= reach <= offset
        return inside


def _rings(vertices: Any) -> Sequence[Any]:
    """A list of rings, of one where a single one was given."""
    try:
        listed = list(vertices)
    except TypeError as error:
        raise InputError("vertices of a polygon must be (n, 2) numbers, or a list of such", got=vertices) from error
    return listed if listed and np.ndim(listed[0]) == 2 else [listed]


def _as_ring(ring: Any) -> FloatArray:
    try:
        corners = np.array(ring, dtype=np.float64)
    except (TypeError, ValueError) as error:
        raise InputError("vertices of a polygon must be (n, 2) numbers, or a list of such", got=str(error)) from error
    if corners.ndim != 2 or corners.shape[1] != 2 or len(corners) < 3:
        raise InputError("a ring of a polygon must be at least three corners (n, 2)", got=f"shape {corners.shape}")
    if not np.isfinite(corners).all():
        raise InputError("vertices of a polygon must be finite")
    return corners


def _as_places(positions: Any, ndim: int) -> FloatArray:
    places = np.asarray(positions)
    if places.ndim != 2 or places.shape[1] != ndim or places.dtype.kind not in "iuf":
        raise InputError(f"positions must be (n, {ndim}) numbers", got=f"{places.dtype} of shape {places.shape}")
    return places.astype(np.float64, copy=False)


def _inside(places: FloatArray, starts: FloatArray, ends: FloatArray) -> BoolArray:
    """Whether positions lie inside, or on an edge, by all pairs of a position and an edge."""
    x, y = places[:, :1], places[:, 1:]
    (ax, ay), (bx, by) = starts.T, ends.T
    beside = (np.minimum(ay, by) <= y) & (y <= np.maximum(ay, by))
    row, edge = np.nonzero(beside)
    side = _sides(places[row], starts[edge], ends[edge])
    on_edge = (side == 0) & (np.minimum(ax, bx)[edge] <= x[row, 0]) & (x[row, 0] <= np.maximum(ax, bx)[edge])
    # An edge holds its lower end and not its upper one, so that a ray through a corner counts once.
    crossed = (ay[edge] <= y[row, 0]) != (by[edge] <= y[row, 0])
    ahead = crossed & (side == np.where(by > ay, 1, -1)[edge])
    inside: BoolArray = np.bincount(row[ahead], minlength=len(places)) % 2 == 1
    inside[row[on_edge]] = True
    return inside


def _sides(places: FloatArray, starts: FloatArray, ends: FloatArray) -> AnyArray:
    """``(n,)`` 1 where a position is left of the way from a start to an end, -1 where right, 0 on its line: exactly."""
    with np.errstate(all="ignore"):
        along, to = ends - starts, places - starts
        first, second = along[:, 0] * to[:, 1], along[:, 1] * to[:, 0]
        turn = first - second
        slack = (np.abs(first) + np.abs(second)) * (8 * np.finfo(np.float64).eps)
        unsure = ~(np.abs(turn) > slack) & ~((first == 0) & (second == 0) & _truly_zero(along, to))
    side = np.sign(turn)
    for row in np.flatnonzero(unsure).tolist():
        side[row] = _side(places[row].tolist(), starts[row].tolist(), ends[row].tolist())
    return side


def _truly_zero(along: FloatArray, to: FloatArray) -> BoolArray:
    """Whether products are 0 because a factor is, not because they are too small for float64."""
    by_factor = ((along[:, 0] == 0) | (to[:, 1] == 0)) & ((along[:, 1] == 0) | (to[:, 0] == 0))
    return np.asarray(by_factor)


def _side(place: Sequence[float], start: Sequence[float], end: Sequence[float]) -> int:
    if not np.isfinite(place).all():
        return 2
    (px, py), (ax, ay), (bx, by) = ([Fraction(n) for n in corner] for corner in (place, start, end))
    turn = (bx - ax) * (py - ay) - (by - ay) * (px - ax)
    return (turn > 0) - (turn < 0)
