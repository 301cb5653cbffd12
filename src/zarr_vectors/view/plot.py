"""``plot``: geometry of any kind as a PNG, seen along one axis."""

from __future__ import annotations

import io
from collections.abc import Sequence
from os import PathLike
from pathlib import Path

from zarr_vectors.axes import Axis, as_axes
from zarr_vectors.exceptions import InputError
from zarr_vectors.geometry import Geometry, Graph, Mesh, Points, Skeleton
from zarr_vectors.typing import IntArray
from zarr_vectors.view.caption import Shown, caption
from zarr_vectors.view.colour import Colour, Numbers, colour_of
from zarr_vectors.view.faces import draw_faces
from zarr_vectors.view.frame import Frame, open_frame, with_unit
from zarr_vectors.view.lines import draw_graph, draw_polylines, draw_skeleton, radius_of
from zarr_vectors.view.links import colour_of_linked, links_of
from zarr_vectors.view.points import draw_line, draw_points
from zarr_vectors.view.project import Projection, finite, project
from zarr_vectors.view.scene import Scene
from zarr_vectors.view.thin import SEGMENT_LIMIT, object_count, thin

__all__ = ["plot"]


def plot(
    value: Geometry,
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
    """Draw geometry onto two of its axes and save it as PNG.

    What lies nearer is drawn over what lies farther, along the remaining axis. Few points are drawn one by one; many
    are averaged per pixel. Lines, edges and skeletons are drawn as segments, a skeleton as wide as its attribute
    ``radius`` says, with rings around its roots. Of more than some 10^5 segments whole objects are left out, or
    vertices along the lines where there are few objects; the caption says so. Faces have light on them where they
    have a depth. What has one axis only becomes a histogram of its vertices.

    Numbers get a colour bar that spans their 2nd to 98th percentile, classes (text, booleans, integers with few
    distinct values) a legend. What has no value is grey.

    Args:
        value: The geometry; its ``axes`` name and scale the picture.
        path: Ends in ``.png``; the folder exists.
        color: An attribute of vertices, edges, faces or objects, one channel of it (``"normal[2]"``), ``"rgb"`` for
            red, green and blue, an axis, ``"object_id"``, or, for segments, ``"direction"``: how far they run along
            x, y and z as red, green and blue. By default the remaining axis for points, or how dense they are where
            there is none; object ids for other kinds that have several.
        axes: Names of the horizontal and the vertical axis; by default the two with the largest extent.
        title: Written on top.
        size: The largest width and height in inches; the picture shrinks to the shape of the data.
        dpi: Pixels per inch.
        cmap: Name of a matplotlib colour map.
        point_size: Diameter of points, or width of lines, in typographic points; by default from the density.
        unit: Unit of the values of ``color``, for its label.
        total: Number of points, or of objects of another kind, of which ``value`` is a sample, for the caption.

    Returns:
        The path of the picture.

    Raises:
        MissingDependencyError: matplotlib is not installed.
        AttributeNotFoundError: There is nothing named ``color``.
        InputError: Any other argument cannot be used.
    """
    target = _checked_target(path, size, dpi, point_size)
    frame = open_frame(size, dpi)
    known_axes = value.axes or as_axes(None, value.ndim)
    fine = finite(value)
    thinned = thin(fine, SEGMENT_LIMIT)
    shown = thinned.value
    seen = project(shown, known_axes, axes)
    links = links_of(shown)
    colour, per_link = _colour(shown, color, seen, links)

    frame.add_heading(title, caption(Shown(value, fine, thinned, total), colour))
    frame.panel.set_xlabel(_axis_label(seen.shown[0]))
    scene = Scene(
        coordinates=seen.coordinates(shown),
        depth=seen.depth_of(shown, from_above=isinstance(shown, Points)),
        links=links,
        colour=colour,
        per_link=per_link,
        label=_colour_label(colour, unit),
        counted=isinstance(shown, Points),
        cmap=cmap,
        size=point_size,
        equal=seen.is_equal,
    )
    _draw(frame, scene, shown, seen)

    buffer = io.BytesIO()
    frame.figure.savefig(buffer, format="png", metadata={"Title": title} if title else {})
    target.write_bytes(buffer.getvalue())
    return target


def _draw(frame: Frame, scene: Scene, value: Geometry, seen: Projection) -> None:
    """Draw a value in the way of its kind."""
    if len(seen.columns) == 1:
        draw_line(frame, scene, "points" if isinstance(value, Points) else "vertices")
        return
    frame.panel.set_ylabel(_axis_label(seen.shown[1]))
    if isinstance(value, Points):
        draw_points(frame, scene)
    elif isinstance(value, Mesh):
        draw_faces(frame, scene, lit=seen.is_solid)
    elif isinstance(value, Skeleton):
        draw_skeleton(frame, scene, radius_of(value.attributes), value.roots)
    elif isinstance(value, Graph):
        draw_graph(frame, scene)
    else:
        draw_polylines(frame, scene)


def _colour(value: Geometry, name: str | None, seen: Projection, links: IntArray) -> tuple[Colour | None, bool]:
    """What to colour by, and whether that belongs to links; what nobody has asked for must help to see something."""
    if isinstance(value, Points):
        if name is None and seen.depth is not None:
            name = seen.axes[seen.depth].name
        return (None, False) if name is None else (colour_of(value, name, seen.axes), False)
    if name is not None:
        return colour_of_linked(value, name, seen.axes, links)
    several = value.vertex_objects is not None and object_count(value) > 1
    return (colour_of(value, "object_id", seen.axes), False) if several else (None, False)


def _axis_label(axis: Axis) -> str:
    return with_unit(axis.name, axis.unit)


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


def _colour_label(colour: Colour | None, unit: str | None) -> str:
    if colour is None:
        return ""
    return with_unit(colour.label, unit or (colour.unit if isinstance(colour, Numbers) else None))
