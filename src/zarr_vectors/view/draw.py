"""Points on the panel of a frame: one by one, averaged per pixel, or as a histogram."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any

import numpy as np

from zarr_vectors.exceptions import InputError
from zarr_vectors.typing import AnyArray, BoolArray, FloatArray
from zarr_vectors.view.colour import MISSING, PALETTE, Classes, Colour, Numbers, TrueColour, robust_limits
from zarr_vectors.view.frame import Frame
from zarr_vectors.view.raster import count_points, fill_gaps, main_class, mean_of, occupied_share, pixel_of

if TYPE_CHECKING:
    from matplotlib.cm import ScalarMappable
    from matplotlib.colors import Colormap

__all__ = ["Scene", "draw_line", "draw_plane"]

SCATTER_LIMIT = 500_000
"""With more points than this they are averaged per pixel instead of being drawn one by one."""

_FEW = 2_000
"""Below this number points are large: they get a margin and an outline."""

_RUG_LIMIT = 5_000
_PLAIN = "#3f6fd1"
_OTHER = "#9aa0a8"
_COVER = ((3_000, 0.4), (60_000, 1.5))
"""Area of the points over the area that they lie in, for two numbers of points: a few stay apart, many close up."""


@dataclass(frozen=True, kw_only=True)
class Scene:
    """What to draw.

    Args:
        coordinates: One ``(N,)`` array of finite values for each shown axis.
        depth: ``(N,)``; what is higher is drawn later. None where there is no axis to look along.
        colour: What the points are coloured by; None for nothing.
        label: Stands above the colour bar or legend.
        cmap: Name of a colour map; None for the default.
        point_size: Diameter in typographic points; None for one that fits the density.
    """

    coordinates: tuple[AnyArray, ...]
    depth: AnyArray | None
    colour: Colour | None
    label: str
    cmap: str | None
    point_size: float | None


@dataclass(frozen=True)
class _Paint:
    """Turns values into RGBA: a colour map with limits for numbers, a table for classes."""

    mappable: ScalarMappable | None = None
    table: FloatArray | None = None

    def of_numbers(self, values: AnyArray) -> FloatArray:
        """``(..., 4)`` in 0 to 1; missing values are grey."""
        assert self.mappable is not None
        return np.asarray(self.mappable.to_rgba(np.ma.masked_invalid(values)), dtype=float)

    def of_classes(self, codes: AnyArray) -> FloatArray:
        """``(..., 4)`` in 0 to 1; -1 is grey."""
        assert self.table is not None
        return self.table[codes]


def draw_plane(frame: Frame, scene: Scene, *, equal: bool) -> None:
    """Draw a cloud seen on two axes, and fit the frame to it.

    Args:
        frame: An empty frame with its labels.
        scene: Two coordinates.
        equal: Whether one unit is as long on both axes.
    """
    x, y = scene.coordinates
    extent = _extent_of(x, y)
    frame.set_range(extent)
    many = len(x) > SCATTER_LIMIT
    paint = _add_key(frame, scene, many)
    frame.fit((extent[3] - extent[2]) / (extent[1] - extent[0]) if equal else None)
    if not len(x):
        frame.panel.text(
            0.5, 0.5, "no points", transform=frame.panel.transAxes, ha="center", va="center", size=14, color=MISSING
        )
    elif many:
        _draw_raster(frame, scene, paint)
    else:
        _draw_scatter(frame, scene, paint)


def draw_line(frame: Frame, scene: Scene) -> None:
    """Draw a cloud with one axis as a histogram with a rug of its points below, and fit the frame."""
    x = scene.coordinates[0]
    frame.panel.set_ylabel("points")
    left, right, _, _ = _extent_of(x, x)
    bins = int(np.clip(np.sqrt(len(x)), 10, 160))
    counts, edges = np.histogram(x, bins=bins, range=(left, right))
    top = 1.08 * max(int(counts.max(initial=1)), 1)
    rug = 0.045 * top
    frame.set_range((left, right, -2 * rug, top))
    frame.panel.axhline(0, color=frame.panel.spines["bottom"].get_edgecolor(), linewidth=0.8)
    paint = _add_key(frame, scene, many=False)
    frame.fit(None)
    frame.panel.stairs(counts, edges, fill=True, color=_PLAIN, alpha=0.28, linewidth=0)
    frame.panel.stairs(counts, edges, color=_PLAIN, linewidth=0.9)
    step = max(1, -(-len(x) // _RUG_LIMIT))
    colours = _colours_of(_every(scene.colour, step), paint)
    frame.panel.vlines(x[::step], -1.75 * rug, -0.35 * rug, colors=colours, linewidth=0.7, alpha=0.8)


def _extent_of(x: AnyArray, y: AnyArray) -> tuple[float, float, float, float]:
    """The range to show: that of the points and a little margin; a side without length gets some."""
    if not len(x):
        return 0.0, 1.0, 0.0, 1.0
    low = np.array([x.min(), y.min()], dtype=float)
    high = np.array([x.max(), y.max()], dtype=float)
    sides = high - low
    longest = sides.max() or max(1.0, float(np.abs(low).max()) * 1e-6)
    share = 0.03 if len(x) < _FEW else 0.015
    margin = np.where(sides > 0, share * longest, 0.5 * longest)
    low, high = low - margin, high + margin
    return float(low[0]), float(high[0]), float(low[1]), float(high[1])


def _add_key(frame: Frame, scene: Scene, many: bool) -> _Paint:
    """The colour bar or legend that explains the colours."""
    colour = scene.colour
    if isinstance(colour, Classes):
        table = _class_colours(colour, scene.cmap)
        entries = [
            (f"{name}  {count:,}", _hex(rgba))
            for name, count, rgba in zip(colour.names, colour.counts, table[:-1], strict=True)
        ]
        missing = len(colour.codes) - sum(colour.counts)
        if missing:
            entries.append((f"no value  {missing:,}", MISSING))
        frame.add_legend(scene.label, entries)
        return _Paint(table=table)
    if isinstance(colour, Numbers):
        mappable = _mappable(scene.cmap, robust_limits(colour.values))
        frame.add_bar(mappable, scene.label, extend=_extend(colour.values, mappable), time=colour.time)
        return _Paint(mappable=mappable)
    if colour is None and many:
        mappable = _mappable(scene.cmap, (1.0, 100.0), log=True)
        frame.add_bar(mappable, "points per pixel")
        return _Paint(mappable=mappable)
    _colormap(scene.cmap)
    return _Paint()


def _draw_scatter(frame: Frame, scene: Scene, paint: _Paint) -> None:
    x, y = scene.coordinates
    colours = _colours_of(scene.colour, paint)
    order = None if scene.depth is None else np.argsort(scene.depth, kind="stable")
    missing = _missing_of(scene.colour)
    if missing is not None and missing.any():
        # Points without a value say least: they go below all others.
        order = np.arange(len(x)) if order is None else order
        order = order[np.argsort(~missing[order], kind="stable")]
    if order is not None:
        x, y = x[order], y[order]
        colours = colours[order] if isinstance(colours, np.ndarray) else colours
    diameter = scene.point_size or _point_size(frame, scene)
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
    )


def _draw_raster(frame: Frame, scene: Scene, paint: _Paint) -> None:
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
        frame.add_bar(paint.mappable, scene.label, extend=_extend(means.ravel(), paint.mappable), time=colour.time)
        picture = paint.of_numbers(means)
    elif isinstance(colour, Classes):
        picture = paint.of_classes(main_class(colour.codes, len(colour.names), pixels, shape))
    elif isinstance(colour, TrueColour):
        channels = [mean_of(colour.rgb[:, channel], pixels, shape) / 255 for channel in range(3)]
        picture = np.stack([*channels, np.ones(shape)], axis=-1)
    else:
        assert paint.mappable is not None
        paint.mappable.set_clim(1, max(10, float(np.percentile(counts[occupied], 99.5))))
        frame.add_bar(paint.mappable, "points per pixel", extend="max")
        picture = paint.of_numbers(counts.astype(float))
    diameter = (scene.point_size or _point_size(frame, scene)) * frame.figure.dpi / 72
    for _ in range(min(round((diameter - 1) / 2), 40)):
        occupied = fill_gaps(picture, occupied, needed=1)
    for _ in range(2):
        occupied = fill_gaps(picture, occupied, needed=4)
    picture[~occupied] = 1.0
    image = (picture * 255).round().astype(np.uint8)
    frame.panel.imshow(image, origin="lower", extent=extent, interpolation="nearest", aspect="auto")


def _point_size(frame: Frame, scene: Scene) -> float:
    """The diameter, in typographic points, that suits the density of the points where there are any."""
    x, y = scene.coordinates
    window = frame.panel.get_window_extent()
    area = window.width * window.height * occupied_share(x, y, frame.extent())
    numbers, covers = zip(*_COVER, strict=True)
    cover = float(np.interp(np.log(len(x)), np.log(numbers), covers))
    diameter = float(np.sqrt(cover * area / len(x))) * 72 / frame.figure.dpi
    return float(np.clip(diameter, 0.45, 7.0))


def _colours_of(colour: Colour | None, paint: _Paint) -> Any:
    """One RGBA row per point, or one colour for all."""
    if isinstance(colour, Numbers):
        return paint.of_numbers(colour.values)
    if isinstance(colour, Classes):
        return paint.of_classes(colour.codes)
    if isinstance(colour, TrueColour):
        return colour.rgb / 255
    return _PLAIN


def _missing_of(colour: Colour | None) -> BoolArray | None:
    if isinstance(colour, Numbers):
        return ~np.isfinite(colour.values)
    if isinstance(colour, Classes):
        missing: BoolArray = colour.codes < 0
        return missing
    return None


def _every(colour: Colour | None, step: int) -> Colour | None:
    if isinstance(colour, Numbers):
        return replace(colour, values=colour.values[::step])
    if isinstance(colour, Classes):
        return replace(colour, codes=colour.codes[::step])
    if isinstance(colour, TrueColour):
        return replace(colour, rgb=colour.rgb[::step])
    return None


def _mappable(cmap: str | None, limits: tuple[float, float], *, log: bool = False) -> ScalarMappable:
    from matplotlib.cm import ScalarMappable
    from matplotlib.colors import LogNorm, Normalize

    return ScalarMappable((LogNorm if log else Normalize)(*limits), _colormap(cmap))


def _colormap(name: str | None) -> Colormap:
    from matplotlib import colormaps

    if name is not None and name not in colormaps:
        raise InputError("cmap must name a colour map of matplotlib", got=repr(name), hint="such as viridis or magma")
    return colormaps[name or "viridis"].with_extremes(bad=MISSING)


def _class_colours(classes: Classes, cmap: str | None) -> FloatArray:
    """``(classes + 1, 4)``; the last row, which -1 finds, is the colour of missing values."""
    from matplotlib.colors import to_rgba_array

    count = len(classes.names)
    if cmap is None:
        colours = to_rgba_array(list(PALETTE[:count]))
    else:
        colours = _colormap(cmap)(np.linspace(0.04, 0.96, max(count, 1)))[:count]
    if classes.other:
        colours[-1] = to_rgba_array(_OTHER)[0]
    return np.concatenate([colours.reshape(-1, 4), to_rgba_array(MISSING)])


def _extend(values: AnyArray, mappable: ScalarMappable) -> str:
    """Which ends of the colour bar are pointed, since values lie beyond them."""
    low, high = mappable.get_clim()
    with np.errstate(invalid="ignore"):
        below, above = bool((values < low).any()), bool((values > high).any())
    return {(False, False): "neither", (True, False): "min", (False, True): "max", (True, True): "both"}[below, above]


def _hex(rgba: FloatArray) -> str:
    return "#" + "".join(f"{round(channel * 255):02x}" for channel in rgba[:3].tolist())
