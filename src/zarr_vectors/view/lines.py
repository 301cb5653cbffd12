"""Segments on the panel of a frame: lines, the edges of graphs, and skeletons."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from typing import Any

import numpy as np

from zarr_vectors.geometry import Column
from zarr_vectors.typing import AnyArray, FloatArray, IntArray
from zarr_vectors.view.colour import MISSING, Colour
from zarr_vectors.view.frame import INK, Frame
from zarr_vectors.view.links import link_colour, mean_over
from zarr_vectors.view.points import draw_scatter
from zarr_vectors.view.scene import Paint, Scene, open_plane, say_nothing

__all__ = ["draw_graph", "draw_polylines", "draw_skeleton", "radius_of"]

_EDGE = "#b9c0cb"
_COVER = 0.55
_MOST_NODES = 50_000
_MOST_MARKS = 5_000


def draw_polylines(frame: Frame, scene: Scene) -> None:
    """Draw segments, nearer ones over farther ones; a line of one vertex is a dot."""
    paint = open_plane(frame, scene)
    if not scene.vertex_count:
        say_nothing(frame, "lines")
        return
    width = scene.size or _width(frame, scene)
    _add_segments(frame, scene, paint.rows(_per_link(scene), len(scene.links)), width)
    _add_loose(frame, scene, paint, width)


def draw_graph(frame: Frame, scene: Scene) -> None:
    """Draw edges, and nodes above them. Where colours are those of nodes, edges are grey, and the other way round."""
    paint = open_plane(frame, scene)
    if not scene.vertex_count:
        say_nothing(frame, "nodes")
        return
    by_node = scene.colour is not None and not scene.per_link and not scene.label.startswith("object_id")
    width = scene.size or min(_width(frame, scene, least=0.08), 1.1)
    edges = Paint().rows(None, len(scene.links)) if by_node else paint.rows(_per_link(scene), len(scene.links))
    if by_node or scene.colour is None:
        edges[:] = _rgba(_EDGE)
    _add_segments(frame, scene, edges, width)
    if scene.vertex_count > _MOST_NODES and not by_node:
        _add_loose(frame, scene, paint, width)
        return
    nodes = replace(scene, colour=None if scene.per_link else scene.colour, size=_node_size(scene))
    draw_scatter(frame, nodes, paint, plain=INK if scene.per_link else None)


def draw_skeleton(frame: Frame, scene: Scene, radius: AnyArray | None, roots: IntArray) -> None:
    """Draw edges as wide as the trees are there, and mark roots with rings.

    Args:
        frame: An empty frame with its labels.
        scene: Two coordinates, and links from child to parent.
        radius: ``(N,)`` in the unit of the axes; None where it is not known.
        roots: Vertex rows.
    """
    paint = open_plane(frame, scene)
    if not scene.vertex_count:
        say_nothing(frame, "skeletons")
        return
    width: Any = scene.size or float(np.clip(_width(frame, scene), 0.6, 1.6))
    if radius is not None and scene.size is None and scene.equal:
        known = np.nan_to_num(mean_over(radius, scene.links))
        width = np.clip(2 * known * frame.points_per_unit, 0.6, 200.0)
    _add_segments(frame, scene, paint.rows(_per_link(scene), len(scene.links)), width)
    _add_loose(frame, scene, paint, 1.5)
    if len(roots) <= _MOST_MARKS:
        x, y = scene.coordinates
        size = 6.5 if len(roots) <= 100 else 3.5
        frame.panel.scatter(x[roots], y[roots], s=size**2, c="white", edgecolors=INK, linewidths=1.1, zorder=5)


def radius_of(attributes: Mapping[str, Column]) -> AnyArray | None:
    """The attribute ``radius``, where it is a number for each vertex."""
    column = attributes.get("radius")
    plain = isinstance(column, np.ndarray) and column.ndim == 1 and column.dtype.kind in "iuf"
    return np.asarray(column) if plain else None


def _per_link(scene: Scene) -> Colour | None:
    return scene.colour if scene.per_link else link_colour(scene.colour, scene.links)


def _add_segments(frame: Frame, scene: Scene, colours: FloatArray, width: float | FloatArray) -> None:
    from matplotlib.collections import LineCollection

    if not len(scene.links):
        return
    points = np.stack(scene.coordinates, axis=1).astype(np.float64)
    links, widths = scene.links, np.broadcast_to(np.asarray(width, dtype=float), (len(scene.links),))
    # Segments without a value say least: they go below all others.
    grey = (np.abs(colours[:, :3] - _rgba(MISSING)[:3]) < 1e-6).all(axis=1)
    depth = np.zeros(len(links)) if scene.depth is None else mean_over(scene.depth, links)
    order = np.lexsort((depth, ~grey))
    frame.panel.add_collection(
        LineCollection(
            list(points[links[order]]),
            colors=colours[order],
            linewidths=widths[order] if isinstance(width, np.ndarray) else width,
            capstyle="round",
            rasterized=True,
        ),
        autolim=False,
    )


def _add_loose(frame: Frame, scene: Scene, paint: Paint, width: float) -> None:
    """Vertices that no segment reaches, as dots."""
    rows = scene.unlinked
    if not len(rows):
        return
    x, y = scene.coordinates
    colours = paint.rows(None if scene.per_link else scene.colour, scene.vertex_count)[rows]
    frame.panel.scatter(
        x[rows], y[rows], s=max(2.5, 2.5 * width) ** 2, c=colours, linewidths=0, rasterized=True, zorder=3
    )


def _width(frame: Frame, scene: Scene, least: float = 0.35) -> float:
    """The width, in typographic points, at which all segments together cover about half of the panel."""
    if not len(scene.links):
        return 1.0
    window = frame.panel.get_window_extent()
    left, right, bottom, top = frame.extent()
    x, y = scene.coordinates
    a, b = scene.links.T
    dx = (x[b].astype(float) - x[a]) * (window.width / (right - left))
    dy = (y[b].astype(float) - y[a]) * (window.height / (top - bottom))
    length = max(float(np.hypot(dx, dy).sum()), 1.0)
    width = _COVER * window.width * window.height / length * 72 / frame.figure.dpi
    return float(np.clip(width, least, 1.5))


def _node_size(scene: Scene) -> float:
    """Smaller the more nodes there are."""
    return float(np.clip(40 / np.sqrt(max(scene.vertex_count, 1)), 1.2, 6.0))


def _rgba(colour: str) -> FloatArray:
    from matplotlib.colors import to_rgba

    return np.asarray(to_rgba(colour), dtype=float)
