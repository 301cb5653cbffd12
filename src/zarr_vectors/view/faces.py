"""Faces on the panel of a frame: polygons with light on them, or their pixels where there are very many."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import numpy as np

from zarr_vectors.typing import AnyArray, FloatArray, IntArray
from zarr_vectors.view.frame import Frame
from zarr_vectors.view.links import link_colour, mean_over
from zarr_vectors.view.points import draw_scatter
from zarr_vectors.view.raster import fill_gaps, pixel_of
from zarr_vectors.view.scene import Paint, Scene, open_plane, say_nothing

__all__ = ["FACE_LIMIT", "draw_faces"]

FACE_LIMIT = 100_000
"""With more faces than this, pixels are drawn instead of polygons."""

_OUTLINED = 6_000
_LIGHT = np.array([-0.35, 0.5, 0.79])
_AMBIENT = 0.5
_MOST_SAMPLES = 40_000_000
_BLOCK_SAMPLES = 4_000_000
_GOLDEN = (0.7548776662466927, 0.5698402909980532)
"""Steps of a sequence that fills a square evenly however long it is."""


def draw_faces(frame: Frame, scene: Scene, *, lit: bool) -> None:
    """Draw faces, nearer ones over farther ones; without any, the vertices.

    Args:
        frame: An empty frame with its labels.
        scene: Two coordinates, and faces as its links.
        lit: Whether light falls on them, which takes a depth of the same unit as the axes.
    """
    paint = open_plane(frame, scene)
    if not scene.vertex_count:
        say_nothing(frame, "faces")
        return
    if not len(scene.links):
        draw_scatter(frame, replace(scene, colour=None if scene.per_link else scene.colour), paint)
        return
    scene, colours = _in_order(scene, paint)
    if lit and scene.depth is not None:
        colours = _lit(np.stack([*scene.coordinates, scene.depth], axis=1).astype(np.float64), scene.links, colours)
    if len(scene.links) > FACE_LIMIT:
        _draw_pixels(frame, scene, colours)
    else:
        _draw_polygons(frame, scene, colours, lit=lit)


def _in_order(scene: Scene, paint: Paint) -> tuple[Scene, FloatArray]:
    """The faces from the farthest to the nearest, and their colours."""
    colour = scene.colour if scene.per_link else link_colour(scene.colour, scene.links)
    colours = paint.rows(colour, len(scene.links))
    if scene.depth is None:
        return scene, colours
    order = np.argsort(mean_over(scene.depth, scene.links), kind="stable")
    return replace(scene, links=scene.links[order]), colours[order]


def _lit(points: FloatArray, faces: IntArray, colours: FloatArray) -> FloatArray:
    """Colours in a light from the upper left; both sides of a face are the same."""
    normals = np.zeros((len(faces), 3))
    first = points[faces[:, 0]]
    for corner in range(1, faces.shape[1] - 1):
        normals += np.cross(points[faces[:, corner]] - first, points[faces[:, corner + 1]] - first)
    length = np.linalg.norm(normals, axis=1)
    normals /= np.where(length > 0, length, 1.0)[:, None]
    normals[normals[:, 2] < 0] *= -1
    normals[length == 0] = (0.0, 0.0, 1.0)
    shade = _AMBIENT + (1 - _AMBIENT) * np.clip(normals @ (_LIGHT / np.linalg.norm(_LIGHT)), 0, 1)
    lit = colours.copy()
    lit[:, :3] *= shade[:, None]
    return lit


def _draw_polygons(frame: Frame, scene: Scene, colours: FloatArray, *, lit: bool) -> None:
    from matplotlib.collections import PolyCollection

    points = np.stack(scene.coordinates, axis=1).astype(np.float64)
    verts: Any = points[scene.links]  # an array is turned into paths much faster than a list
    few = len(scene.links) <= _OUTLINED
    edges = colours.copy()
    if few:
        # Darker on a lit body, lighter on a flat one, so that faces can be told apart.
        edges[:, :3] = edges[:, :3] * 0.82 if lit else 0.35 * edges[:, :3] + 0.65
    frame.panel.add_collection(
        PolyCollection(
            verts,
            facecolors=colours,
            edgecolors=edges,
            linewidths=0.35 if few else 0.2,
            joinstyle="round",
            rasterized=True,
        ),
        autolim=False,
    )


def _draw_pixels(frame: Frame, scene: Scene, colours: FloatArray) -> None:
    """Spread points over each triangle, as many as it has pixels; later ones cover earlier ones."""
    shape, extent = frame.panel_pixels(), frame.extent()
    corners, owners = _triangles(scene.links)
    x, y = (values.astype(np.float64) for values in scene.coordinates)
    scale = shape[1] / (extent[1] - extent[0]) * shape[0] / (extent[3] - extent[2])
    a, b, c = corners.T
    area = 0.5 * np.abs((x[b] - x[a]) * (y[c] - y[a]) - (x[c] - x[a]) * (y[b] - y[a])) * scale
    counts = np.ceil(area * min(4.0, _MOST_SAMPLES / max(float(area.sum()), 1.0))).astype(np.int64) + 1
    picture = np.ones((shape[0] * shape[1], 4))
    occupied = np.zeros(shape[0] * shape[1], dtype=bool)
    ends = np.cumsum(counts)
    start = 0
    while start < len(counts):
        done = int(ends[start - 1]) if start else 0
        stop = max(start + 1, int(np.searchsorted(ends, done + _BLOCK_SAMPLES)))
        part = corners[start:stop]
        which, weights = _spread(counts[start:stop])
        at = [(weights * values[part][which]).sum(axis=1) for values in (x, y)]
        pixels = pixel_of(at[0], at[1], extent, shape)
        picture[pixels] = colours[owners[start:stop][which]]
        occupied[pixels] = True
        start = stop
    image, full = picture.reshape(*shape, 4), occupied.reshape(shape)
    for _ in range(2):
        full = fill_gaps(image, full, needed=4)
    frame.add_image(image, full)


def _triangles(faces: IntArray) -> tuple[IntArray, IntArray]:
    """``(T, 3)`` corners, and which face each triangle is of."""
    width = faces.shape[1]
    fans = [faces[:, [0, corner, corner + 1]] for corner in range(1, width - 1)]
    corners = np.stack(fans, axis=1).reshape(-1, 3)
    return corners, np.repeat(np.arange(len(faces)), width - 2)


def _spread(counts: IntArray) -> tuple[IntArray, AnyArray]:
    """Points on triangles: which one each is on, and ``(n, 3)`` weights of its corners."""
    which = np.repeat(np.arange(len(counts)), counts)
    number = np.arange(len(which)) - np.repeat(np.cumsum(counts) - counts, counts)
    u, v = ((0.5 + number * step) % 1.0 for step in _GOLDEN)
    outside = u + v > 1
    u[outside], v[outside] = 1 - u[outside], 1 - v[outside]
    # The first point of all is the middle, which is right for a triangle of one point.
    u[number == 0] = v[number == 0] = 1 / 3
    return which, np.stack([1 - u - v, u, v], axis=1)
