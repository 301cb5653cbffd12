"""What there is of a geometry, in the words of its kind: streamlines, edges, faces."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np

from zarr_vectors.cli.console import count_text
from zarr_vectors.geometry import Geometry, Graph, Linked, Mesh, Points, Polylines, Skeleton

__all__ = ["Tally", "level_text", "tally_text"]


class Tally:
    """Counts what passes by.

    Example:
        >>> from zarr_vectors.geometry import Lines
        >>> tally = Tally()
        >>> tally.add(Lines([[[0.0, 0.0], [1.0, 1.0]]]))
        >>> tally.counts, tally.text
        ({'line': 1, 'vertex': 2}, '1 line, 2 vertices')
    """

    def __init__(self) -> None:
        self.counts: dict[str, int] = {}

    @property
    def text(self) -> str:
        """All counts as a phrase."""
        return tally_text(self.counts)

    def add(self, value: Geometry) -> None:
        """Count a value, whose objects no other value shares."""
        for noun, number in _counts_of(value).items():
            self.counts[noun] = self.counts.get(noun, 0) + number


def tally_text(counts: Mapping[str, int]) -> str:
    """Counts as a phrase.

    Example:
        >>> tally_text({"streamline": 300, "vertex": 14576})
        '300 streamlines, 14,576 vertices'
    """
    return ", ".join(count_text(number, noun) for noun, number in counts.items())


def level_text(level: Mapping[str, Any]) -> str:
    """What a level holds, by its entry in ``ZVStore.info``.

    Example:
        >>> level_text({"vertex_count": 20, "geometry_type": "graph", "edge_count": 7, "object_count": 1})
        '20 nodes, 7 edges'
    """
    kind, vertices, objects = level.get("geometry_type"), level["vertex_count"], level["object_count"]
    if kind in (None, Points.geometry_type):
        return count_text(vertices, "point")
    if level.get("line_count") is not None:
        return tally_text({kind: level["line_count"], "vertex": vertices})
    counts = {kind: objects} if kind == Skeleton.geometry_type else {"object": objects} if objects > 1 else {}
    counts["node" if kind == Graph.geometry_type else "vertex"] = vertices
    links = {noun: level[f"{noun}_count"] for noun in ("edge", "face") if level.get(f"{noun}_count") is not None}
    return tally_text({**counts, **links})


def _counts_of(value: Geometry) -> dict[str, int]:
    if isinstance(value, Points):
        return {"point": value.vertex_count}
    owners = value.line_ids if isinstance(value, Polylines) else value.vertex_objects
    objects = min(1, value.vertex_count) if owners is None else len(np.unique(owners))
    if isinstance(value, Polylines):
        return {value.kind: objects, "vertex": value.vertex_count}
    assert isinstance(value, Linked)
    vertices = "node" if isinstance(value, Graph) else "vertex"
    counts = {"skeleton" if isinstance(value, Skeleton) else "object": objects, vertices: value.vertex_count}
    counts["face" if isinstance(value, Mesh) else "edge"] = len(value.links)
    return counts
