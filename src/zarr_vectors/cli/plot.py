"""``zarr-vectors plot``."""

from __future__ import annotations

from dataclasses import dataclass, replace
from pathlib import Path
from typing import Annotated, Any

import numpy as np
import typer

import zarr_vectors as zv
from zarr_vectors.cli.console import checked, count_text, progress_bar, say
from zarr_vectors.cli.options import (
    BoxOption,
    GroupIdsOption,
    LevelOption,
    ModeOption,
    NearOption,
    ObjectIdsOption,
    Picked,
    QuietOption,
    StoreArgument,
    WhereOption,
)
from zarr_vectors.cli.parse import parse_names, parse_size
from zarr_vectors.cli.tally import Tally
from zarr_vectors.geometry import Categorical, Column, Geometry, Mesh, Points
from zarr_vectors.view.colour import DIRECTION, attributes_for
from zarr_vectors.view.plot import plot as draw

__all__ = ["plot"]

MOST_DRAWN = 20_000_000
"""Of more points every n-th is drawn: they would not fit on the picture, and need not fit in memory."""

MOST_CONNECTED = 4_000_000
"""Of more vertices of another kind, every n-th object is read."""


def plot(
    store: StoreArgument,
    picture: Annotated[Path, typer.Argument(metavar="OUT.png", help="The picture to write.", show_default=False)],
    color: Annotated[
        str | None,
        typer.Option(
            "--color",
            "-c",
            help="An attribute of vertices, edges, faces or objects, a channel as normal[2], rgb, an axis, object_id, "
            "or direction: how lines run along x, y and z as red, green and blue. By default the axis looked along "
            "for points, the object for other kinds.",
        ),
    ] = None,
    bbox: BoxOption = None,
    object_ids: ObjectIdsOption = None,
    group_ids: GroupIdsOption = None,
    mode: ModeOption = None,
    where: WhereOption = None,
    near: NearOption = None,
    axes: Annotated[
        str | None, typer.Option("--axes", metavar="X,Y", help="Axes to show; by default the two of largest extent.")
    ] = None,
    level: LevelOption = 0,
    title: Annotated[str | None, typer.Option("--title", help="By default the name of the store.")] = None,
    size: Annotated[str, typer.Option("--size", metavar="WxH", help="Largest width and height, in inches.")] = "8x6",
    cmap: Annotated[str | None, typer.Option("--cmap", help="A colour map of matplotlib, such as magma.")] = None,
    point_size: Annotated[
        float | None,
        typer.Option(
            "--point-size",
            min=0.1,
            max=1000,
            help="Diameter of points or width of lines in 1/72 inch; by default from the density.",
        ),
    ] = None,
    dpi: Annotated[int, typer.Option("--dpi", min=10, max=1200, help="Pixels per inch.")] = 150,
    quiet: QuietOption = False,
) -> None:
    """Draw a store as a PNG: points, lines, graphs, skeletons or meshes, coloured by an attribute."""
    picked = Picked.parse(bbox, object_ids, group_ids, mode=mode, where=where, near=near)
    inches = checked("--size", parse_size, size)
    shown_axes = checked("--axes", parse_names, axes)
    if picture.suffix.lower() != ".png":
        raise typer.BadParameter("the picture must be named *.png", param_hint="OUT.png")
    with zv.open(store) as opened:
        source = opened[level]
        needed = _needed(source, color)
        value, total = _sample(source, picked, needed, quiet=quiet)
        draw(
            value,
            picture,
            color=color,
            axes=shown_axes,
            title=title if title is not None else Path(opened.url).name,
            size=inches,
            dpi=dpi,
            cmap=cmap,
            point_size=point_size,
            unit=needed.unit,
            total=total,
        )
    say(f"{picture}: {_drawn(value, total)}", quiet=quiet)


@dataclass(frozen=True)
class _Needed:
    """What must be read to colour by a name.

    Args:
        attributes: Of vertices.
        links: Attributes of edges or faces.
        of_objects: Whether by an attribute of objects.
        unit: Of the values, where known.
    """

    attributes: list[str]
    links: list[str]
    of_objects: bool = False
    unit: str | None = None


def _needed(level: zv.ZVLevel, color: str | None) -> _Needed:
    """What the colours take.

    Raises:
        AttributeNotFoundError: There is nothing of this name; the hint lists what there is.
    """
    widths = ["radius"] if level.kind.connects == "tree" and "radius" in level.attributes else []
    if color is None:
        return _Needed(widths, [])
    has_segments = level.kind.connects != "nothing" and level.kind.value is not Mesh
    of_objects = list(level.state.object_columns)
    others = [*level.link_attributes, *of_objects, *([DIRECTION] if has_segments else [])]
    names = [axis.name for axis in level.axes]
    found = attributes_for(color, level.attributes, names, has_objects=level.has_objects, others=others)
    unit = level.attributes[found[0]].unit if len(found) == 1 else None
    links = [] if found else [name for name in level.link_attributes if color == name or color.startswith(f"{name}[")]
    return _Needed(
        list(dict.fromkeys([*found, *widths])),
        links,
        not found and not links and any(color == name or color.startswith(f"{name}[") for name in of_objects),
        level.link_attributes[links[0]].unit if links else unit,
    )


def _drawn(value: Geometry, total: int | None) -> str:
    """What the picture is of."""
    if isinstance(value, Points):
        return f"{value.vertex_count:,} of {value.vertex_count if total is None else total:,} points"
    tally = Tally()
    tally.add(value)
    return tally.text if total is None else f"{tally.text}, of {count_text(total, 'object')} in all"


def _sample(level: zv.ZVLevel, picked: Picked, needed: _Needed, *, quiet: bool) -> tuple[Geometry, int | None]:
    """What to draw, and of how many points or objects it is a sample."""
    if level.kind.connects == "nothing":
        points, count = _sample_of_points(level, picked, needed.attributes, quiet=quiet)
        return _with_table(points, level, needed), count
    selection: dict[str, Any] = picked.read
    total: int | None = None
    step = -(-level.vertex_count // MOST_CONNECTED)
    if step > 1 and picked.takes_all_rows and level.object_count > step:
        ids = level.objects.ids
        selection, total = {"object_ids": ids[::step]}, len(ids)
    value = level.read(**selection, attributes=needed.attributes, link_attributes=needed.links)
    return _with_table(value, level, needed), total


def _with_table(value: Geometry, level: zv.ZVLevel, needed: _Needed) -> Geometry:
    """The value, with what is known of its objects where the colours are about that."""
    if not needed.of_objects:
        return value
    table = level.objects
    return replace(value, objects=table.ids, object_attributes=table.attributes)


def _sample_of_points(level: zv.ZVLevel, picked: Picked, attributes: list[str], *, quiet: bool) -> tuple[Points, int]:
    """The points to draw, and how many there are: all of them, or every n-th where they are too many."""
    total = level.count(**picked.read)
    step = -(-total // MOST_DRAWN)
    if step <= 1:
        return level.read(**picked.read, attributes=attributes), total
    batches = []
    seen = 0
    with progress_bar("reading", quiet=quiet) as report:
        for batch in level.iter(**picked.read, attributes=attributes):
            # An index array copies what it picks, so that the batch itself can go.
            batches.append(batch.take(np.arange(-seen % step, batch.vertex_count, step)))
            seen += batch.vertex_count
            if report is not None:
                report(seen, total)
    return _joined(batches), total


def _joined(batches: list[Points]) -> Points:
    """Batches of one level as one value."""
    first = batches[0]

    def join(columns: list[Column]) -> Column:
        head = columns[0]
        if isinstance(head, Categorical):
            codes = np.concatenate([column.codes for column in columns if isinstance(column, Categorical)])
            return Categorical(codes, head.categories, head.ordered)
        return np.concatenate([np.asarray(column) for column in columns])

    owners = [batch.object_ids for batch in batches if batch.object_ids is not None]
    return Points(
        np.concatenate([batch.positions for batch in batches]),
        attributes={name: join([batch.attributes[name] for batch in batches]) for name in first.attributes},
        object_ids=np.concatenate(owners) if owners else None,
        axes=first.axes,
    )
