"""``plot``: a point cloud as a PNG, seen along one axis."""

from __future__ import annotations

import io
from collections.abc import Sequence
from os import PathLike
from pathlib import Path

import numpy as np

from zarr_vectors.axes import Axis, as_axes
from zarr_vectors.exceptions import InputError
from zarr_vectors.geometry import Points
from zarr_vectors.view.colour import Colour, Numbers, TrueColour, colour_of
from zarr_vectors.view.draw import Scene, draw_line, draw_plane
from zarr_vectors.view.frame import open_frame, with_unit

__all__ = ["plot"]


def plot(
    points: Points,
    path: str | PathLike[str],
    *,
    color: str | None = None,
    axes: Sequence[str] | None = None,
    title: str | None = None,
    size: tuple[float, float] = (8.0, 6.0),
    dpi: float = 150,
    cmap: str | None = None,
    point_size: float | None = None,
    unit: str | None = None,
    total: int | None = None,
) -> Path:
    """Draw a point cloud onto two of its axes and save it as PNG.

    Few points are drawn one by one, higher ones (on the remaining axis) over lower ones; many are averaged per pixel.
    Numbers get a colour bar that spans their 2nd to 98th percentile, classes (text, booleans, integers with few
    distinct values) a legend. Points without a value are grey. A cloud with one axis becomes a histogram.

    Args:
        points: The cloud; its ``axes`` name and scale the picture.
        path: Ends in ``.png``; the folder exists.
        color: An attribute, one channel of it (``"normal[2]"``), ``"rgb"`` for red, green and blue, an axis, or
            ``"object_id"``. By default the remaining axis, or how dense the points are where there is none.
        axes: Names of the horizontal and the vertical axis; by default the two with the largest extent.
        title: Written on top.
        size: The largest width and height in inches; the picture shrinks to the shape of the data.
        dpi: Pixels per inch.
        cmap: Name of a matplotlib colour map.
        point_size: Diameter of a point in typographic points; by default from the density.
        unit: Unit of the values of ``color``, for its label.
        total: Number of points of which ``points`` is a sample, for the caption.

    Returns:
        The path of the picture.

    Raises:
        MissingDependencyError: matplotlib is not installed.
        AttributeNotFoundError: There is nothing named ``color``.
        InputError: Any other argument cannot be used.
    """
    target = _checked_target(path, size, dpi, point_size)
    frame = open_frame(size, dpi)
    known_axes = points.axes or as_axes(None, points.ndim)
    shown = _finite(points)
    sides = _sides(shown)
    columns = _choose_columns(sides, known_axes, axes)
    depth = _depth_column(sides, known_axes, columns)
    if color is None and depth is not None:
        color = known_axes[depth].name
    colour = None if color is None else colour_of(shown, color, known_axes)

    picked = [known_axes[column] for column in columns]
    frame.add_heading(title, _caption(shown.vertex_count, points.vertex_count, total, colour))
    frame.panel.set_xlabel(with_unit(picked[0].name, picked[0].unit))
    scene = Scene(
        coordinates=tuple(shown.positions[:, column] for column in columns),
        depth=None if depth is None else shown.positions[:, depth],
        colour=colour,
        label=_colour_label(colour, unit),
        cmap=cmap,
        point_size=point_size,
    )
    if len(columns) == 1:
        draw_line(frame, scene)
    else:
        frame.panel.set_ylabel(with_unit(picked[1].name, picked[1].unit))
        draw_plane(frame, scene, equal=(picked[0].unit, picked[0].type) == (picked[1].unit, picked[1].type))

    buffer = io.BytesIO()
    frame.figure.savefig(buffer, format="png", metadata={"Title": title} if title else {})
    target.write_bytes(buffer.getvalue())
    return target


def _checked_target(path: str | PathLike[str], size: tuple[float, float], dpi: float, point_size: float | None) -> Path:
    target = Path(path)
    if target.suffix.lower() != ".png":
        raise InputError("a picture must be named *.png", got=str(path))
    if not target.parent.is_dir():
        raise InputError("the folder of the picture does not exist", got=str(target.parent), hint="make it first")
    if not all(1 <= side <= 100 for side in size):
        raise InputError("size must be a width and a height of 1 to 100 inches", got=size)
    if not 10 <= dpi <= 1200 or size[0] * size[1] * dpi**2 > 4e8:
        raise InputError("dpi must be from 10 to 1200, and the picture at most 400 megapixels", got=dpi)
    if point_size is not None and not 0 < point_size <= 1000:
        raise InputError("point_size must be positive and at most 1000", got=point_size)
    return target


def _finite(points: Points) -> Points:
    """The points whose coordinates are all finite."""
    positions = points.positions
    # A finite sum takes one pass and settles nearly every cloud; an infinite one may also come from an overflow.
    if positions.dtype.kind != "f" or np.isfinite(positions.sum(dtype=np.float64)):
        return points
    return points.take(np.flatnonzero(np.isfinite(positions).all(axis=1)))


def _sides(points: Points) -> list[float]:
    """The extent along each axis."""
    if not points.vertex_count:
        return [0.0] * points.ndim
    columns = [points.positions[:, column] for column in range(points.ndim)]
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


def _colour_label(colour: Colour | None, unit: str | None) -> str:
    if colour is None:
        return ""
    return with_unit(colour.label, unit or (colour.unit if isinstance(colour, Numbers) else None))


def _caption(shown: int, given: int, total: int | None, colour: Colour | None) -> str:
    """What the picture shows, and what it cannot show."""
    whole = given if total is None else total
    noun = "point" if whole == 1 else "points"
    parts = [f"{shown:,} {noun}" if whole == shown else f"{shown:,} of {whole:,} {noun}"]
    if given > shown:
        parts.append(f"{given - shown:,} without finite coordinates")
    if isinstance(colour, Numbers) and (missing := int(np.count_nonzero(~np.isfinite(colour.values)))):
        parts.append(f"{missing:,} without a value in grey")
    if isinstance(colour, TrueColour):
        parts.append(f"coloured by {colour.label}")
    return " · ".join(parts)
