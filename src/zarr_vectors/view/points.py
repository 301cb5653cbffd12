"""Points on the panel of a frame: one by one, averaged per pixel, or as a histogram."""

from __future__ import annotations

from dataclasses import replace

import numpy as np

from zarr_vectors.typing import BoolArray
from zarr_vectors.view.colour import Classes, Colour, Numbers, TrueColour, robust_limits
from zarr_vectors.view.frame import Frame
from zarr_vectors.view.raster import count_points, fill_gaps, main_class, mean_of, occupied_share, pixel_of
from zarr_vectors.view.scene import (
    PLAIN,
    Paint,
    Scene,
    add_key,
    bar_mappable,
    extend_of,
    extent_of,
    missing_of,
    open_plane,
    say_nothing,
)

__all__ = ["draw_line", "draw_points", "draw_scatter"]

SCATTER_LIMIT = 500_000
"""With more points than this they are averaged per pixel instead of being drawn one by one."""

_FEW = 2_000
"""Below this number points are large: they get a margin and an outline."""

_RUG_LIMIT = 5_000
_COVER = ((3_000, 0.4), (60_000, 1.5))
"""Area of the points over the area that they lie in, for two numbers of points: a few stay apart, many close up."""


def draw_points(frame: Frame, scene: Scene) -> None:
    """Draw a cloud seen on two axes, and fit the frame to it."""
    many = scene.vertex_count > SCATTER_LIMIT
    by_density = scene.colour is None and many
    if by_density:
        frame.add_bar(bar_mappable(scene.cmap, (1.0, 100.0), log=True), "points per pixel")
    paint = open_plane(frame, scene)
    if not scene.vertex_count:
        say_nothing(frame, "points")
    elif many:
        _draw_raster(frame, scene, paint)
    else:
        draw_scatter(frame, scene, paint)


def draw_line(frame: Frame, scene: Scene, noun: str = "points") -> None:
    """Draw points with one axis as a histogram with a rug of its points below, and fit the frame."""
    x = scene.coordinates[0]
    frame.panel.set_ylabel(noun)
    left, right, _, _ = extent_of(x, x)
    bins = int(np.clip(np.sqrt(len(x)), 10, 160))
    counts, edges = np.histogram(x, bins=bins, range=(left, right))
    top = 1.08 * max(int(counts.max(initial=1)), 1)
    rug = 0.045 * top
    frame.set_range((left, right, -2 * rug, top))
    frame.panel.axhline(0, color=frame.panel.spines["bottom"].get_edgecolor(), linewidth=0.8)
    paint = add_key(frame, scene)
    frame.fit(None)
    frame.panel.stairs(counts, edges, fill=True, color=PLAIN, alpha=0.28, linewidth=0)
    frame.panel.stairs(counts, edges, color=PLAIN, linewidth=0.9)
    step = max(1, -(-len(x) // _RUG_LIMIT))
    colours = paint.of(_every(scene.colour, step))
    frame.panel.vlines(x[::step], -1.75 * rug, -0.35 * rug, colors=colours, linewidth=0.7, alpha=0.8)


def draw_scatter(frame: Frame, scene: Scene, paint: Paint, *, plain: str | None = None) -> None:
    """Draw each point as a disc, higher ones over lower ones.

    Args:
        frame: Fitted to the scene.
        scene: Two coordinates.
        paint: Its colours.
        plain: The colour of all points where the scene has none.
    """
    x, y = scene.coordinates
    colours = plain if plain and scene.colour is None else paint.of(scene.colour)
    order = None if scene.depth is None else np.argsort(scene.depth, kind="stable")
    missing = missing_of(scene.colour)
    if missing is not None and missing.any():
        # Points without a value say least: they go below all others.
        order = np.arange(len(x)) if order is None else order
        order = order[np.argsort(~missing[order], kind="stable")]
    if order is not None:
        x, y = x[order], y[order]
        colours = colours[order] if isinstance(colours, np.ndarray) else colours
    diameter = scene.size or _point_size(frame, scene)
    outlined = len(x) < _FEW and diameter > 3
    frame.panel.scatter(
        x,
        y,
        s=diameter**2,
        c=colours,
        marker="o" if diameter * frame.figure.dpi / 72 > 2.5 else "s",
        linewidths=0.35 if outlined else 0,
        edgecolors="white" if outlined else "none",
        rasterized=True,
        zorder=3,
    )


def _draw_raster(frame: Frame, scene: Scene, paint: Paint) -> None:
    x, y = scene.coordinates
    shape, extent = frame.panel_pixels(), frame.extent()
    pixels = pixel_of(x, y, extent, shape)
    counts = count_points(pixels, shape)
    occupied: BoolArray = counts > 0
    colour = scene.colour
    if isinstance(colour, Numbers):
        means = mean_of(colour.values, pixels, shape)
        assert paint.mappable is not None
        paint.mappable.set_clim(*robust_limits(means.ravel()))
        frame.add_bar(paint.mappable, scene.label, extend=extend_of(means.ravel(), paint.mappable), time=colour.time)
        picture = paint.of_numbers(means)
    elif isinstance(colour, Classes):
        picture = paint.of_classes(main_class(colour.codes, len(colour.names), pixels, shape))
    elif isinstance(colour, TrueColour):
        channels = [mean_of(colour.rgb[:, channel], pixels, shape) / 255 for channel in range(3)]
        picture = np.stack([*channels, np.ones(shape)], axis=-1)
    else:
        most = max(10.0, float(np.percentile(counts[occupied], 99.5)))
        density = Paint(bar_mappable(scene.cmap, (1.0, most), log=True))
        assert density.mappable is not None
        frame.add_bar(density.mappable, "points per pixel", extend="max")
        picture = density.of_numbers(counts.astype(float))
    diameter = (scene.size or _point_size(frame, scene)) * frame.figure.dpi / 72
    for _ in range(min(round((diameter - 1) / 2), 40)):
        occupied = fill_gaps(picture, occupied, needed=1)
    for _ in range(2):
        occupied = fill_gaps(picture, occupied, needed=4)
    frame.add_image(picture, occupied)


def _point_size(frame: Frame, scene: Scene) -> float:
    """The diameter, in typographic points, that suits the density of the points where there are any."""
    x, y = scene.coordinates
    window = frame.panel.get_window_extent()
    area = window.width * window.height * occupied_share(x, y, frame.extent())
    numbers, covers = zip(*_COVER, strict=True)
    cover = float(np.interp(np.log(len(x)), np.log(numbers), covers))
    diameter = float(np.sqrt(cover * area / len(x))) * 72 / frame.figure.dpi
    return float(np.clip(diameter, 0.45, 7.0))


def _every(colour: Colour | None, step: int) -> Colour | None:
    if isinstance(colour, Numbers):
        return replace(colour, values=colour.values[::step])
    if isinstance(colour, Classes):
        return replace(colour, codes=colour.codes[::step])
    if isinstance(colour, TrueColour):
        return replace(colour, rgb=colour.rgb[::step])
    return None
