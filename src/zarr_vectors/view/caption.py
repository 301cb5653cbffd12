"""What a picture shows, and what it cannot show, in a line. Pure."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from zarr_vectors.geometry import Geometry, Graph, Mesh, Points, Polylines, Skeleton
from zarr_vectors.view.colour import Colour, Directions, Numbers, TrueColour
from zarr_vectors.view.thin import Thinned, object_count

__all__ = ["Shown", "caption"]

_PLURALS = {"vertex": "vertices", "mesh": "meshes"}


@dataclass(frozen=True)
class Shown:
    """How what is drawn came about.

    Args:
        given: What was asked for.
        finite: What has finite coordinates.
        thinned: What is drawn.
        total: Points, or objects of another kind, of which ``given`` is a sample; None where it is all.
    """

    given: Geometry
    finite: Geometry
    thinned: Thinned
    total: int | None = None


def caption(shown: Shown, colour: Colour | None) -> str:
    """The facts, separated by dots."""
    parts = _counts(shown)
    lost = shown.given.vertex_count - shown.finite.vertex_count
    if lost and isinstance(shown.given, Polylines):
        lines = shown.given.line_count - shown.finite.line_count if isinstance(shown.finite, Polylines) else 0
        parts.append(f"{_count(lines, shown.given.kind)} without finite coordinates")
    elif lost:
        parts.append(f"{lost:,} without finite coordinates")
    if isinstance(colour, Numbers) and (missing := int(np.count_nonzero(~np.isfinite(colour.values)))):
        parts.append(f"{missing:,} without a value in grey")
    if isinstance(colour, TrueColour) and not isinstance(colour, Directions):
        label = colour.label if isinstance(shown.given, Points) else colour.label.partition(" (")[0]
        parts.append(f"coloured by {label}")
    return " · ".join(parts)


def _counts(shown: Shown) -> list[str]:
    value = shown.thinned.value
    if isinstance(value, Points):
        whole = shown.given.vertex_count if shown.total is None else shown.total
        return [_of(value.vertex_count, whole, "point")]
    objects, whole = object_count(value), object_count(shown.finite) if shown.total is None else shown.total
    if isinstance(value, Polylines):
        parts = [_of(objects, whole, value.kind), _count(value.vertex_count, "vertex")]
    elif isinstance(value, Skeleton):
        parts = [_of(objects, whole, "skeleton"), _count(value.vertex_count, "vertex")]
        parts.append(f"{_count(len(value.roots), 'root')} ringed")
    elif isinstance(value, Graph):
        parts = [_of(objects, whole, "object")] if whole > 1 else []
        parts += [_count(value.node_count, "node"), _count(value.edge_count, "edge")]
    else:
        assert isinstance(value, Mesh)
        parts = [_of(objects, whole, "mesh")] if whole > 1 else []
        parts += [_count(value.vertex_count, "vertex"), _count(value.face_count, "face")]
    if shown.thinned.step > 1:
        parts.append(f"every {_ordinal(shown.thinned.step)} {shown.thinned.steps_over}")
    return parts


def _of(shown: int, whole: int, noun: str) -> str:
    return _count(whole, noun) if shown >= whole else f"{shown:,} of {_count(whole, noun)}"


def _count(number: int, noun: str) -> str:
    return f"{number:,} {noun if number == 1 else _PLURALS.get(noun, noun + 's')}"


def _ordinal(number: int) -> str:
    """A number in an order.

    Example:
        >>> [_ordinal(number) for number in (2, 3, 4, 11, 21)]
        ['2nd', '3rd', '4th', '11th', '21st']
    """
    ending = {1: "st", 2: "nd", 3: "rd"}.get(number % 10, "th") if number % 100 not in (11, 12, 13) else "th"
    return f"{number:,}{ending}"
