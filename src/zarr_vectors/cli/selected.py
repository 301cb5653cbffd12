"""What a query brings, whatever the kind of geometry: counts, rows of vertices, rows of links."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np
import typer

import zarr_vectors as zv
from zarr_vectors.axes import Axis
from zarr_vectors.cli.console import plural
from zarr_vectors.cli.options import Picked
from zarr_vectors.cli.tally import Tally
from zarr_vectors.geometry import Geometry, Linked, Points

__all__ = ["count_of", "link_rows", "vertex_rows"]

BATCH_ROWS = 200_000
_MOST_CORNERS = 4
"""Of a link, that fit into positions."""


def count_of(level: zv.ZVLevel, picked: Picked) -> str:
    """The number of points; of other kinds a line for each thing that is counted."""
    if level.kind.connects == "nothing":
        return str(level.count(**picked.read))
    tally = Tally()
    for value in _values(level, picked, []):
        tally.add(value)
    width = max(len(str(number)) for number in tally.counts.values())
    texts = [(number, plural(noun, number)) for noun, number in tally.counts.items()]
    return "\n".join(f"{number:>{width}} {noun}" for number, noun in texts)


def vertex_rows(level: zv.ZVLevel, picked: Picked, limit: int | None) -> Iterator[Points]:
    """A row for each vertex, with the id of its object; at least one batch, so that columns are known."""
    batch_rows = BATCH_ROWS if limit is None else max(1, min(limit, BATCH_ROWS))
    told = False
    for value in _values(level, picked, picked.attributes, batch_rows):
        told = True
        yield _as_points(value)
    if not told:
        yield _as_points(level.read(**picked.read, attributes=picked.attributes))


def link_rows(level: zv.ZVLevel, picked: Picked) -> tuple[tuple[Axis, ...], Iterator[Points]]:
    """A row for each edge or face: the vertices that it connects, the object of the first one, its attributes.

    Rows of vertices stand where positions do, since all that writes rows takes points.

    Raises:
        typer.BadParameter: This kind has neither edges nor faces.
    """
    if level.kind.connects not in ("links", "tree"):
        raise typer.BadParameter(
            f"a store of {level.kind.geometry_type}s has no edges or faces of its own", param_hint="--links"
        )
    value = level.read(**picked.read, attributes=[], link_attributes=picked.attributes)
    assert isinstance(value, Linked)
    corners = value.links
    names = [f"vertex_{corner}" for corner in range(corners.shape[1])]
    extra = {name: corners[:, at] for at, name in enumerate(names) if at >= _MOST_CORNERS}
    axes = tuple(Axis(name, type="index") for name in names[:_MOST_CORNERS])
    rows = Points(
        corners[:, :_MOST_CORNERS],
        attributes={**extra, **value.link_attributes},
        object_ids=None if value.object_ids is None else value.object_ids[corners[:, 0]],
        axes=axes,
    )
    return axes, iter([rows])


def _values(
    level: zv.ZVLevel, picked: Picked, attributes: list[str] | None, batch_rows: int = BATCH_ROWS
) -> Iterator[Geometry]:
    """Batches of points and lines; other kinds at once, in the order by which ``link_rows`` names their vertices."""
    if level.kind.connects in ("nothing", "sequence"):
        return level.iter(**picked.read, attributes=attributes, batch_rows=batch_rows)
    return iter([level.read(**picked.read, attributes=attributes, link_attributes=[])])


def _as_points(value: Geometry) -> Points:
    if isinstance(value, Points):
        return value
    owners = value.vertex_objects
    return Points(
        value.positions,
        attributes=value.attributes,
        object_ids=None if owners is None else np.asarray(owners),
        axes=value.axes,
    )
