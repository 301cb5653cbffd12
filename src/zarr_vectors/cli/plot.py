"""``zarr-vectors plot``."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import numpy as np
import typer

import zarr_vectors as zv
from zarr_vectors.cli.console import checked, progress_bar, say
from zarr_vectors.cli.options import (
    BoxOption,
    GroupIdsOption,
    LevelOption,
    ObjectIdsOption,
    Picked,
    QuietOption,
    StoreArgument,
)
from zarr_vectors.cli.parse import parse_names, parse_size
from zarr_vectors.geometry import Categorical, Column, Points
from zarr_vectors.view.colour import attributes_for
from zarr_vectors.view.plot import plot as draw

__all__ = ["plot"]

MOST_DRAWN = 20_000_000
"""Of more points every n-th is drawn: they would not fit on the picture, and need not fit in memory."""


def plot(
    store: StoreArgument,
    picture: Annotated[Path, typer.Argument(metavar="OUT.png", help="The picture to write.", show_default=False)],
    color: Annotated[
        str | None,
        typer.Option(
            "--color",
            "-c",
            help="An attribute, a channel as normal[2], rgb, an axis, or object_id. By default the axis looked along.",
        ),
    ] = None,
    bbox: BoxOption = None,
    object_ids: ObjectIdsOption = None,
    group_ids: GroupIdsOption = None,
    axes: Annotated[
        str | None, typer.Option("--axes", metavar="X,Y", help="Axes to show; by default the two of largest extent.")
    ] = None,
    level: LevelOption = 0,
    title: Annotated[str | None, typer.Option("--title", help="By default the name of the store.")] = None,
    size: Annotated[str, typer.Option("--size", metavar="WxH", help="Largest width and height, in inches.")] = "8x6",
    cmap: Annotated[str | None, typer.Option("--cmap", help="A colour map of matplotlib, such as magma.")] = None,
    point_size: Annotated[
        float | None,
        typer.Option("--point-size", min=0.1, max=1000, help="Diameter in 1/72 inch; by default from the density."),
    ] = None,
    dpi: Annotated[int, typer.Option("--dpi", min=10, max=1200, help="Pixels per inch.")] = 150,
    quiet: QuietOption = False,
) -> None:
    """Draw the points of a store as a PNG, coloured by an attribute."""
    picked = Picked.parse(bbox, object_ids, group_ids)
    inches = checked("--size", parse_size, size)
    shown_axes = checked("--axes", parse_names, axes)
    if picture.suffix.lower() != ".png":
        raise typer.BadParameter("the picture must be named *.png", param_hint="OUT.png")
    with zv.open(store) as opened:
        source = opened[level]
        names = [axis.name for axis in opened.axes]
        needed = (
            attributes_for(color, source.attributes, names, has_objects=source.has_objects) if color is not None else []
        )
        points, total = _sample(source, picked, needed, quiet=quiet)
        draw(
            points,
            picture,
            color=color,
            axes=shown_axes,
            title=title if title is not None else Path(opened.url).name,
            size=inches,
            dpi=dpi,
            cmap=cmap,
            point_size=point_size,
            unit=source.attributes[needed[0]].unit if len(needed) == 1 else None,
            total=total,
        )
    say(f"{picture}: {points.vertex_count:,} of {total:,} points", quiet=quiet)


def _sample(level: zv.ZVLevel, picked: Picked, attributes: list[str], *, quiet: bool) -> tuple[Points, int]:
    """The points to draw, and how many there are: all of them, or every n-th where they are too many."""
    total = level.count(**picked.rows)
    step = -(-total // MOST_DRAWN)
    if step <= 1:
        return level.read(**picked.rows, attributes=attributes), total
    batches = []
    seen = 0
    with progress_bar("reading", quiet=quiet) as report:
        for batch in level.iter(**picked.rows, attributes=attributes):
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
