"""What all kinds of geometry share when they are drawn: a scene, the meaning of its colours, and their key."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

import numpy as np

from zarr_vectors.exceptions import InputError
from zarr_vectors.typing import AnyArray, BoolArray, FloatArray, IntArray
from zarr_vectors.view.colour import MISSING, PALETTE, Classes, Colour, Directions, Numbers, TrueColour, robust_limits
from zarr_vectors.view.frame import Frame

if TYPE_CHECKING:
    from matplotlib.cm import ScalarMappable
    from matplotlib.colors import Colormap

__all__ = [
    "PLAIN",
    "Paint",
    "Scene",
    "add_key",
    "bar_mappable",
    "extend_of",
    "extent_of",
    "missing_of",
    "open_plane",
    "say_nothing",
]

PLAIN = "#3f6fd1"
"""What is drawn where nothing says a colour."""

_OTHER = "#9aa0a8"
_FEW = 2_000
_CHANNELS = ("#e00000", "#00a800", "#0000e0")


def _no_links() -> IntArray:
    return np.zeros((0, 2), dtype=np.int64)


@dataclass(frozen=True, kw_only=True)
class Scene:
    """What to draw.

    Args:
        coordinates: One ``(N,)`` array of finite values for each shown axis.
        depth: ``(N,)``; what is higher is drawn later. None where there is no axis to look along.
        links: ``(E, L)`` vertex rows that belong together: segments for L of 2, otherwise faces.
        colour: What is coloured by; None for nothing.
        per_link: Whether there is a colour for each of ``links`` instead of each vertex.
        label: Stands above the colour bar or legend.
        counted: Whether a legend says how many there are of each class.
        cmap: Name of a colour map; None for the default.
        size: Diameter of points or width of lines in typographic points; None for one that fits the density.
        equal: Whether one unit is as long on both axes.
    """

    coordinates: tuple[AnyArray, ...]
    depth: AnyArray | None
    links: IntArray = field(default_factory=_no_links)
    colour: Colour | None = None
    per_link: bool = False
    label: str = ""
    counted: bool = True
    cmap: str | None = None
    size: float | None = None
    equal: bool = True

    @property
    def vertex_count(self) -> int:
        """Number of vertices."""
        return len(self.coordinates[0])

    @property
    def unlinked(self) -> IntArray:
        """Vertices that no link leads to."""
        linked = np.zeros(self.vertex_count, dtype=bool)
        linked[self.links.ravel()] = True
        return np.flatnonzero(~linked)


@dataclass(frozen=True)
class Paint:
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

    def of(self, colour: Colour | None) -> Any:
        """One RGBA or RGB row per value, or one colour for all."""
        if isinstance(colour, Numbers):
            return self.of_numbers(colour.values)
        if isinstance(colour, Classes):
            return self.of_classes(colour.codes)
        if isinstance(colour, TrueColour):
            return colour.rgb / 255
        return PLAIN

    def rows(self, colour: Colour | None, count: int) -> FloatArray:
        """``(count, 4)`` in 0 to 1: one RGBA row per value, also where one colour holds for all."""
        from matplotlib.colors import to_rgba_array

        rgba = to_rgba_array(self.of(colour))
        return rgba if len(rgba) == count else np.broadcast_to(rgba[:1], (count, 4)).copy()


def extent_of(x: AnyArray, y: AnyArray) -> tuple[float, float, float, float]:
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


def open_plane(frame: Frame, scene: Scene) -> Paint:
    """Fit an empty frame to a scene with two axes, with the key of its colours."""
    extent = extent_of(*scene.coordinates)
    frame.set_range(extent)
    paint = add_key(frame, scene)
    frame.fit((extent[3] - extent[2]) / (extent[1] - extent[0]) if scene.equal else None)
    return paint


def say_nothing(frame: Frame, what: str) -> None:
    """Write into the empty panel that there is nothing to see."""
    frame.panel.text(
        0.5, 0.5, f"no {what}", transform=frame.panel.transAxes, ha="center", va="center", size=14, color=MISSING
    )


def add_key(frame: Frame, scene: Scene) -> Paint:
    """The colour bar or legend that explains the colours."""
    colour = scene.colour
    if isinstance(colour, Classes):
        table = _class_colours(colour, scene.cmap)
        missing = len(colour.codes) - sum(colour.counts)
        named = zip(colour.names, colour.counts, (_hex(rgba) for rgba in table), strict=False)
        entries = [(f"{name}  {count:,}" if scene.counted else name, shown) for name, count, shown in named]
        if missing:
            entries.append((f"no value  {missing:,}" if scene.counted else "no value", MISSING))
        frame.add_legend(scene.label, entries)
        return Paint(table=table)
    if isinstance(colour, Numbers):
        mappable = bar_mappable(scene.cmap, robust_limits(colour.values))
        frame.add_bar(mappable, scene.label, extend=extend_of(colour.values, mappable), time=colour.time)
        return Paint(mappable=mappable)
    if isinstance(colour, Directions):
        frame.add_legend(colour.label, list(zip(colour.axes, _CHANNELS, strict=False)))
    _colormap(scene.cmap)
    return Paint()


def missing_of(colour: Colour | None) -> BoolArray | None:
    """Which values are missing; None where none can be."""
    if isinstance(colour, Numbers):
        return ~np.isfinite(colour.values)
    if isinstance(colour, Classes):
        missing: BoolArray = colour.codes < 0
        return missing
    return None


def bar_mappable(cmap: str | None, limits: tuple[float, float], *, log: bool = False) -> ScalarMappable:
    """What a colour bar shows and numbers are coloured by.

    Raises:
        InputError: There is no colour map of this name.
    """
    from matplotlib.cm import ScalarMappable
    from matplotlib.colors import LogNorm, Normalize

    return ScalarMappable((LogNorm if log else Normalize)(*limits), _colormap(cmap))


def extend_of(values: AnyArray, mappable: ScalarMappable) -> str:
    """Which ends of the colour bar are pointed, since values lie beyond them."""
    low, high = mappable.get_clim()
    with np.errstate(invalid="ignore"):
        below, above = bool((values < low).any()), bool((values > high).any())
    return {(False, False): "neither", (True, False): "min", (False, True): "max", (True, True): "both"}[below, above]


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


def _hex(rgba: FloatArray) -> str:
    return "#" + "".join(f"{round(channel * 255):02x}" for channel in rgba[:3].tolist())
