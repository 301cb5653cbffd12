"""What connects vertices, as rows that belong together, and what such a row is coloured by. Pure numpy."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace

import numpy as np

from zarr_vectors.axes import Axis
from zarr_vectors.exceptions import InputError
from zarr_vectors.geometry import Column, Geometry, Linked, Mesh, Polylines
from zarr_vectors.typing import AnyArray, FloatArray, IntArray
from zarr_vectors.view.colour import (
    DIRECTION,
    Classes,
    Colour,
    Directions,
    Numbers,
    TrueColour,
    attributes_for,
    colour_from,
    colour_of,
    recounted,
)

__all__ = ["colour_of_linked", "link_attributes_of", "link_colour", "links_of", "mean_over"]

_SPACE = (("x", "y", "z"), ("X", "Y", "Z"))


def links_of(value: Geometry) -> IntArray:
    """``(E, L)`` vertex rows: the segments of lines, edges, or faces; none for points.

    Example:
        >>> links_of(Polylines([[[0.0], [1.0], [2.0]], [[5.0], [6.0]]])).tolist()
        [[0, 1], [1, 2], [3, 4]]
    """
    if isinstance(value, Polylines):
        last = np.zeros(value.vertex_count, dtype=bool)
        last[value.offsets[1:][value.lengths > 0] - 1] = True
        starts = np.flatnonzero(~last)
        return np.stack([starts, starts + 1], axis=1)
    return value.links if isinstance(value, Linked) else np.zeros((0, 2), dtype=np.int64)


def link_attributes_of(value: Geometry) -> Mapping[str, Column]:
    """Attributes with a row for each link."""
    return value.link_attributes if isinstance(value, Linked) else {}


def colour_of_linked(value: Geometry, name: str, axes: tuple[Axis, ...], links: IntArray) -> tuple[Colour, bool]:
    """What a name means for a value, and whether it means that of its links instead of its vertices.

    An attribute of vertices comes before one of links, that before one of objects, and any before ``"direction"``.

    Raises:
        AttributeNotFoundError: There is nothing of this name; the hint lists what there is.
        InputError: The attribute has values that no colour can stand for.

    Example:
        >>> line = Polylines([[[0.0, 0.0], [0.0, 2.0]]])
        >>> colour, per_link = colour_of_linked(line, "direction", (Axis("x"), Axis("y")), links_of(line))
        >>> colour.rgb.tolist(), per_link
        ([[0, 255, 0]], True)
    """
    of_links = link_attributes_of(value)
    others = [*of_links, *([] if isinstance(value, Mesh) else [DIRECTION])]
    names = [axis.name for axis in axes]
    has_objects = value.vertex_objects is not None
    known = [*value.object_attributes, *others]
    if attributes_for(name, value.attributes, names, has_objects=has_objects, others=known):
        return colour_of(value, name, axes), False
    for part in of_links:
        if name == part or name.startswith(f"{part}["):
            return colour_from(of_links, name, [part]), True
    if name == DIRECTION and name not in value.object_attributes and name not in names:
        return _directions(value.positions, links, axes), True
    return colour_of(value, name, axes, others), False


def link_colour(colour: Colour | None, links: IntArray) -> Colour | None:
    """Colours of vertices as those of links: the mean of numbers and true colours, the class of the first vertex.

    Example:
        >>> link_colour(Numbers("v", np.array([1.0, 2.0, 4.0])), np.array([[0, 1], [1, 2]])).values.tolist()
        [1.5, 3.0]
    """
    if isinstance(colour, Numbers):
        return replace(colour, values=mean_over(colour.values, links))
    if isinstance(colour, Classes):
        return recounted(colour, colour.codes[links[:, 0]])
    if isinstance(colour, TrueColour):
        mean = sum(colour.rgb[links[:, corner]].astype(np.float32) for corner in range(links.shape[1]))
        return replace(colour, rgb=np.asarray(mean / links.shape[1]).round().astype(np.uint8))
    return None


def mean_over(values: AnyArray, links: IntArray) -> FloatArray:
    """The mean of the values at the vertices of each link; of one without a value, that of the others."""
    total = np.zeros(len(links))
    known = np.zeros(len(links), dtype=np.int64)
    for corner in range(links.shape[1]):
        part = values[links[:, corner]].astype(np.float64)
        fine = np.isfinite(part)
        total += np.where(fine, part, 0.0)
        known += fine
    with np.errstate(invalid="ignore", divide="ignore"):
        return np.asarray(np.where(known > 0, total / known, np.nan))


def _directions(positions: AnyArray, links: IntArray, axes: tuple[Axis, ...]) -> Directions:
    """How segments run: their share along three axes as red, green and blue, as is the custom in tractography."""
    names = [axis.name for axis in axes]
    named = next((trio for trio in _SPACE if set(trio) <= set(names)), None)
    spatial = [column for column, axis in enumerate(axes) if axis.type == "space"] or list(range(len(axes)))
    columns = [names.index(name) for name in named] if named else spatial[:3]
    if not columns:
        raise InputError("there is no axis to tell a direction by")
    step = positions[links[:, 1]][:, columns].astype(np.float64) - positions[links[:, 0]][:, columns]
    length = np.linalg.norm(step, axis=1, keepdims=True)
    share = np.abs(step) / np.where(length > 0, length, 1.0)
    rgb = np.zeros((len(links), 3), dtype=np.uint8)
    rgb[:, : len(columns)] = (share * 255).round().astype(np.uint8)
    return Directions(DIRECTION, rgb, tuple(names[column] for column in columns))
