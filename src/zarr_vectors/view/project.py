"""Which axes a picture shows, and along which one looks. Pure numpy."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from zarr_vectors.axes import Axis
from zarr_vectors.exceptions import InputError
from zarr_vectors.geometry import Geometry
from zarr_vectors.typing import AnyArray

__all__ = ["Projection", "finite", "project"]


@dataclass(frozen=True)
class Projection:
    """A way to look at positions.

    Args:
        axes: Of the positions.
        columns: The shown ones, horizontal first.
        depth: The one looked along; None where none is left.
    """

    axes: tuple[Axis, ...]
    columns: tuple[int, ...]
    depth: int | None

    @property
    def shown(self) -> list[Axis]:
        """The shown axes, horizontal first."""
        return [self.axes[column] for column in self.columns]

    @property
    def is_equal(self) -> bool:
        """Whether one unit is as long on both axes."""
        return len({(axis.unit, axis.type) for axis in self.shown}) == 1

    @property
    def is_solid(self) -> bool:
        """Whether the shown axes and the depth span a space in which surfaces have normals."""
        return (
            self.depth is not None
            and len(self.columns) == 2
            and len({(axis.unit, axis.type) for axis in (*self.shown, self.axes[self.depth])}) == 1
        )

    @property
    def toward(self) -> float:
        """1 where the depth axis points at the viewer of a right-handed space, -1 where it points away."""
        if self.depth is None or not self.is_solid:
            return 1.0
        order = [*self.columns, self.depth]
        names = [self.axes[column].name for column in order]
        ranks = ["xyz".index(name) for name in names] if sorted(names) == ["x", "y", "z"] else order
        swaps = sum(ranks[i] > ranks[j] for i in range(3) for j in range(i + 1, 3))
        return -1.0 if swaps % 2 else 1.0

    def coordinates(self, value: Geometry) -> tuple[AnyArray, ...]:
        """One ``(N,)`` array for each shown axis."""
        return tuple(value.positions[:, column] for column in self.columns)

    def depth_of(self, value: Geometry, *, from_above: bool) -> AnyArray | None:
        """``(N,)``: what is higher lies before what is lower; None where there is no depth.

        Args:
            value: Its positions.
            from_above: Whether to look from the upper end of the axis even where that mirrors the space.
        """
        if self.depth is None:
            return None
        depth = value.positions[:, self.depth]
        return depth if from_above or self.toward > 0 else -depth.astype(np.float64)


def finite(value: Geometry) -> Geometry:
    """The vertices whose coordinates are all finite, and what connects them; lines that have others go."""
    positions = value.positions
    # A finite sum takes one pass and settles nearly every cloud; an infinite one may also come from an overflow.
    if positions.dtype.kind != "f" or np.isfinite(positions.sum(dtype=np.float64)):
        return value
    mask = np.asarray(np.isfinite(positions).all(axis=1))
    return value if mask.all() else value.within(mask)


def project(value: Geometry, axes: tuple[Axis, ...], wanted: Sequence[str] | None) -> Projection:
    """Choose what to show: the axes asked for, or the two of largest extent.

    Raises:
        InputError: The axes asked for are not two of those that there are.
    """
    sides = _sides(value)
    columns = _choose_columns(sides, axes, wanted)
    return Projection(axes, columns, _depth_column(sides, axes, columns))


def _sides(value: Geometry) -> list[float]:
    """The extent along each axis."""
    if not value.vertex_count:
        return [0.0] * value.ndim
    columns = [value.positions[:, column] for column in range(value.ndim)]
    return [float(column.max()) - float(column.min()) for column in columns]


def _choose_columns(sides: list[float], known: tuple[Axis, ...], wanted: Sequence[str] | None) -> tuple[int, ...]:
    """The columns to show, horizontal first; by default the two of largest extent, in their own order."""
    names = [axis.name for axis in known]
    if wanted is not None:
        needed = min(2, len(names))
        if len(wanted) != needed or len(set(wanted)) != needed or not set(wanted) <= set(names):
            raise InputError(f"axes must name {needed} of {', '.join(names)}", got=", ".join(wanted))
        return tuple(names.index(name) for name in wanted)
    longest = sorted(range(len(sides)), key=lambda column: (known[column].type == "space", sides[column]), reverse=True)
    if len(names) == 1:
        return (0,)
    first, second = sorted(longest[:2])
    # Axes of images are named z, y, x: there the later one is the horizontal one.
    backwards = {names[first], names[second]} <= {"x", "y", "z"} and names[first] > names[second]
    return (second, first) if backwards else (first, second)


def _depth_column(sides: list[float], known: tuple[Axis, ...], columns: tuple[int, ...]) -> int | None:
    """The axis along which one looks: of those not shown, the spatial one with the largest extent."""
    rest = [column for column in range(len(sides)) if column not in columns]
    if not rest:
        return None
    return max(rest, key=lambda column: (known[column].type == "space", sides[column]))
