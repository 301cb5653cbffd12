"""Parts of space that positions may lie in: balls, and whatever a user tells by a function or an object."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from fractions import Fraction
from math import isfinite
from typing import Any, Protocol

import numpy as np

from zarr_vectors.exceptions import InputError
from zarr_vectors.spatial.box import ClosedBox
from zarr_vectors.spatial.outlines import HalfSpaces, Polygon
from zarr_vectors.typing import AnyArray, BoolArray, FloatArray

__all__ = ["Area", "Ball", "areas_of"]


class Area(Protocol):
    """A part of space."""

    @property
    def box(self) -> ClosedBox | None:
        """A box around it; None where there is none."""
        ...

    def mask(self, positions: AnyArray) -> BoolArray:
        """``(n,)`` which of ``(n, D)`` positions lie in it."""
        ...


@dataclass(frozen=True, eq=False)
class Ball:
    """All that is no farther from a centre than a radius, told of positions as float64 without any rounding.

    Args:
        centre: ``(D,)`` float64.
        radius: At least 0.
    """

    centre: FloatArray
    radius: float

    @classmethod
    def from_user(cls, near: Any, names: Sequence[str]) -> Ball:
        """Take ``(centre, radius)``.

        Raises:
            InputError: It is something else, or has another rank than the store.

        Example:
            >>> Ball.from_user(([0, 0], 5), ("x", "y")).mask(np.array([[3, 4], [3, 4.5]])).tolist()
            [True, False]
        """
        try:
            centre, radius = near
            place, reach = np.asarray(centre, dtype=np.float64), float(radius)
        except (TypeError, ValueError, OverflowError) as error:
            raise InputError("near must be (centre, radius)", got=repr(near)) from error
        if place.shape != (len(names),) or not np.isfinite(place).all():
            raise InputError(
                "the centre of near must be one number per axis", expected=f"{len(names)} axes {list(names)}", got=near
            )
        if not isfinite(reach) or reach < 0:
            raise InputError("the radius of near must be a number from 0", got=repr(radius))
        return cls(place, reach)

    @property
    def box(self) -> ClosedBox:
        """The box around the ball, rounded outward."""
        low = np.nextafter(self.centre - self.radius, -np.inf)
        return ClosedBox(low, np.nextafter(self.centre + self.radius, np.inf))

    def mask(self, positions: AnyArray) -> BoolArray:
        """``(n,)`` which positions lie in the ball; NaN lies nowhere."""
        places = positions.astype(np.float64, copy=False)
        with np.errstate(all="ignore"):
            apart = np.square(places - self.centre).sum(axis=1)
            limit = np.square(np.float64(self.radius))
            # What rounding may have moved either side by; the last term where squares are too small for float64.
            slack = (apart + limit) * ((len(self.centre) + 8) * np.finfo(np.float64).eps) + 1e-300
            inside: BoolArray = apart < limit - slack
            unsure = ~inside & ~(apart > limit + slack) & np.isfinite(places).all(axis=1)
        if unsure.any():
            distinct, back = np.unique(places[unsure], axis=0, return_inverse=True)
            inside[unsure] = np.array([self._has(place) for place in distinct.tolist()], dtype=bool)[back.ravel()]
        return inside

    def _has(self, place: Sequence[float]) -> bool:
        apart = sum((Fraction(a) - Fraction(b)) ** 2 for a, b in zip(place, self.centre.tolist(), strict=True))
        return apart <= Fraction(self.radius) ** 2


@dataclass(frozen=True, eq=False)
class _OnAxes:
    """A polygon or half-spaces, on some of the axes of a store."""

    outline: Polygon | HalfSpaces
    columns: tuple[int, ...]
    ndim: int

    @property
    def box(self) -> ClosedBox:
        low, high = np.full(self.ndim, -np.inf), np.full(self.ndim, np.inf)
        low[list(self.columns)], high[list(self.columns)] = self.outline.box
        return ClosedBox(low, high)

    def mask(self, positions: AnyArray) -> BoolArray:
        return self.outline.mask(positions[:, list(self.columns)])


@dataclass(frozen=True, eq=False)
class _Told:
    """What a function of the user tells."""

    call: Callable[[FloatArray], Any]
    box: ClosedBox | None

    def mask(self, positions: AnyArray) -> BoolArray:
        inside = np.ones(len(positions), dtype=bool) if self.box is None else self.box.mask(positions)
        if not inside.any():
            return inside
        answer = np.asarray(self.call(positions[inside].astype(np.float64)))
        if answer.dtype != bool or answer.shape != (int(inside.sum()),):
            raise InputError(
                "within must answer with a boolean for each position",
                expected=f"bool of shape ({int(inside.sum())},)",
                got=f"{answer.dtype} of shape {answer.shape}",
            )
        inside[inside] = answer
        return inside


def areas_of(near: Any, within: Any, names: Sequence[str]) -> tuple[Area, ...]:
    """What positions must lie in.

    Args:
        near: ``(centre, radius)``, or None.
        within: A polygon, half-spaces, a function of ``(n, D)`` float64 positions, or an object that has such a
            function as ``mask`` and may have a ``box``; or None.
        names: The axes of the store.

    Raises:
        InputError: One of them cannot be meant.
    """
    areas: list[Area] = [] if near is None else [Ball.from_user(near, names)]
    if isinstance(within, (Polygon, HalfSpaces)):
        areas.append(_on_axes(within, names))
    elif within is not None:
        call = getattr(within, "mask", within)
        if not callable(call):
            raise InputError(
                "within must be a zv.Polygon, zv.HalfSpaces, or a function of positions", got=type(within).__name__
            )
        box = getattr(within, "box", None)
        areas.append(_Told(call, None if box is None else ClosedBox.from_user(box, names)))
    return tuple(areas)


def _on_axes(outline: Polygon | HalfSpaces, names: Sequence[str]) -> _OnAxes:
    wanted = tuple(names) if outline.axes is None else outline.axes
    unknown = [name for name in wanted if name not in names]
    if unknown:
        raise InputError(
            "within names an axis that the store does not have", got=unknown, expected=list(names), hint="choose axes="
        )
    columns = tuple(list(names).index(name) for name in wanted)
    if len(columns) != outline.ndim:
        raise InputError(
            "within must have one number per axis", expected=f"{len(columns)} axes {list(wanted)}", got=outline.ndim
        )
    return _OnAxes(outline, columns, len(names))
