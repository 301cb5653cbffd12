"""The frame of a picture: figure, axes, labels, colour bar and legend, fitted to the shape of the data.

Everything goes through matplotlib's objects; its global state (``pyplot``, ``rcParams``) is neither read nor changed
more than drawing text needs.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from zarr_vectors.optional import require
from zarr_vectors.typing import BoolArray, FloatArray

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.cm import ScalarMappable
    from matplotlib.figure import Figure
    from matplotlib.ticker import FuncFormatter

__all__ = ["INK", "Frame", "number_text", "open_frame", "with_unit"]

INK = "#23272e"
_GREY = "#6b7280"
_LINE = "#b6bcc6"
_PAD = 0.14
_BAR_WIDTH = 0.13
_BAR_GAP = 0.16
_BAR_HEAD = 0.30
_MIN_SIDE = 1.4
_STEPS = (1, 2, 2.5, 5, 10)

_UNITS = {
    "angstrom": "Å", "nanometer": "nm", "micrometer": "µm", "millimeter": "mm", "centimeter": "cm", "meter": "m",
    "kilometer": "km", "inch": "in", "foot": "ft", "nanosecond": "ns", "microsecond": "µs", "millisecond": "ms",
    "second": "s", "minute": "min", "hour": "h", "day": "d", "degree": "°",
}  # fmt: skip


@dataclass
class Frame:
    """A figure with one panel and room for a colour bar beside it.

    Args:
        figure: The whole picture.
        panel: Where the data goes.
        size: The largest width and height of the figure, in inches.
        bar: The axes of the colour bar, once there is one.
    """

    figure: Figure
    panel: Axes
    size: tuple[float, float]
    bar: Axes | None = None

    def set_range(self, extent: tuple[float, float, float, float]) -> None:
        """Show exactly this ``(left, right, bottom, top)``."""
        self.panel.set_xlim(extent[0], extent[1])
        self.panel.set_ylim(extent[2], extent[3])

    def add_heading(self, title: str | None, caption: str) -> None:
        """A title and a line of facts below it, flush with the left edge of the panel."""
        self._write_above(caption, 7.0, size=8.5, color=_GREY)
        if title:
            self._write_above(title, 21.0, size=12.5, color=INK, weight="bold")

    def add_bar(self, mappable: ScalarMappable, label: str, *, extend: str = "neither", time: str = "") -> None:
        """A slim colour bar with its label on top; one that exists is replaced."""
        from matplotlib.colors import LogNorm
        from matplotlib.ticker import FuncFormatter, LogLocator

        if self.bar is None:
            self.bar = self.figure.add_axes((0.9, 0.1, 0.02, 0.5))
        self.bar.clear()
        bar = self.figure.colorbar(mappable, cax=self.bar, extend=extend, extendfrac=0.035)
        bar.outline.set_visible(False)
        if isinstance(mappable.norm, LogNorm):
            bar.ax.yaxis.set_major_locator(LogLocator(subs=(1.0, 2.0, 5.0)))
            bar.ax.yaxis.set_major_formatter(FuncFormatter(lambda value, _: f"{value:,g}"))
        else:
            bar.ax.yaxis.set_major_formatter(_number_formatter(bar.ax.yaxis, time))
        bar.ax.tick_params(labelsize=8, labelcolor=INK, color=_LINE, length=2.5, width=0.6, pad=3, which="major")
        bar.ax.tick_params(which="minor", length=0)
        bar.ax.set_title(label, loc="left", fontsize=9, color=INK, pad=10 if extend in ("both", "max") else 7)

    def add_legend(self, label: str, entries: Sequence[tuple[str, str]]) -> None:
        """Classes beside the panel as ``(text, colour)``."""
        from matplotlib.lines import Line2D

        handles = [
            Line2D([], [], linestyle="none", marker="o", markersize=6.5, markeredgewidth=0, color=colour, label=text)
            for text, colour in entries
        ]
        legend = self.panel.legend(
            handles=handles,
            title=label,
            loc="upper left",
            bbox_to_anchor=(1.0, 1.0),
            borderaxespad=0.0,
            borderpad=0.0,
            frameon=False,
            fontsize=8.5,
            labelcolor=INK,
            labelspacing=0.55,
            handlelength=0.8,
            handletextpad=0.6,
            alignment="left",
        )
        legend.set_bbox_to_anchor((1.0 + 0.015, 1.0), transform=self.panel.transAxes)
        legend.get_title().set(fontsize=9, color=INK)

    def fit(self, ratio: float | None) -> None:
        """Shrink the figure to its content and give the panel the shape of the data.

        Args:
            ratio: Height over width of the data where one unit is as long on both axes; None lets the panel fill
                the figure. A ratio too extreme for a readable panel widens the shown range instead.
        """
        width, height = self.size
        box = (0.9, 0.7, max(width - 2.0, _MIN_SIDE), max(height - 1.3, _MIN_SIDE))
        for _ in range(2):
            self._place(box, (width, height))
            self._thin_out_ticks(box[2])
            left, right, bottom, top = self._margins()
            wide, high = self.size[0] - left - right, self.size[1] - bottom - top
            wide, high = max(wide, _MIN_SIDE), max(high, _MIN_SIDE)
            if ratio is not None:
                shrunk = min(wide, high / ratio)
                wide, high = max(shrunk, _MIN_SIDE), max(shrunk * ratio, _MIN_SIDE)
                self._keep_scale(high / wide)
            box = (left, bottom, wide, high)
            width, height = left + wide + right, bottom + high + top
        self._place(box, (width, height))

    def add_image(self, picture: FloatArray, occupied: BoolArray) -> None:
        """Fill the panel with an RGBA picture of its pixels, row 0 at the bottom; white where nothing is."""
        picture[~occupied] = 1.0
        image = (picture * 255).round().astype(np.uint8)
        self.panel.imshow(image, origin="lower", extent=self.extent(), interpolation="nearest", aspect="auto")

    @property
    def points_per_unit(self) -> float:
        """Typographic points that one unit of the horizontal axis is long."""
        left, right = self.panel.get_xlim()
        return float(self.panel.get_window_extent().width) / (right - left) * 72 / self.figure.dpi

    def panel_pixels(self) -> tuple[int, int]:
        """Rows and columns of pixels that the panel covers."""
        window = self.panel.get_window_extent()
        return max(1, round(window.height)), max(1, round(window.width))

    def extent(self) -> tuple[float, float, float, float]:
        """The shown ``(left, right, bottom, top)``."""
        return (*self.panel.get_xlim(), *self.panel.get_ylim())

    def _write_above(self, text: str, points: float, **style: Any) -> None:
        self.panel.annotate(
            text,
            (0, 1),
            (0, points),
            xycoords="axes fraction",
            textcoords="offset points",
            annotation_clip=False,
            **style,
        )

    def _keep_scale(self, ratio: float) -> None:
        """Widen the range of one axis until the data has the shape of the panel."""
        left, right, bottom, top = self.extent()
        wide, high = right - left, top - bottom
        if high / wide < ratio * 0.999:
            margin = (wide * ratio - high) / 2
            self.panel.set_ylim(bottom - margin, top + margin)
        elif high / wide > ratio * 1.001:
            margin = (high / ratio - wide) / 2
            self.panel.set_xlim(left - margin, right + margin)

    def _thin_out_ticks(self, wide: float) -> None:
        """Leave as many ticks on the horizontal axis as labels fit beside one another."""
        from matplotlib.ticker import MaxNLocator

        left, right = self.panel.get_xlim()
        longest = max(len(number_text(side, (right - left) / 8)) for side in (left, right))
        fitting = int(wide / (0.07 * longest + 0.25))
        self.panel.xaxis.set_major_locator(MaxNLocator(max(2, min(9, fitting)), steps=_STEPS))

    def _place(self, box: tuple[float, float, float, float], size: tuple[float, float]) -> None:
        """Set figure size and positions, in inches, on whole pixels so that a picture of pixels stays sharp."""
        dpi = self.figure.dpi
        left, bottom, wide, high = (round(value * dpi) / dpi for value in box)
        size = (math.ceil(size[0] * dpi) / dpi, math.ceil(size[1] * dpi) / dpi)
        self.figure.set_size_inches(*size)
        self.panel.set_position((left / size[0], bottom / size[1], wide / size[0], high / size[1]))
        if self.bar is not None:
            long = max(high - _BAR_HEAD, 0.6)
            self.bar.set_position(
                (
                    (left + wide + _BAR_GAP) / size[0],
                    (bottom + (high - _BAR_HEAD - long)) / size[1],
                    _BAR_WIDTH / size[0],
                    long / size[1],
                )
            )

    def _margins(self) -> tuple[float, float, float, float]:
        """What labels, headings and the colour bar need around the panel: left, right, bottom, top, in inches."""
        dpi = self.figure.dpi
        window = self.panel.get_window_extent()
        boxes = [axes.get_tightbbox() for axes in (self.panel, self.bar) if axes is not None]
        found = [each for each in boxes if each is not None]
        right = max(each.x1 for each in found) - window.x1
        # A colour bar hangs from the panel's top edge, so only the panel's own labels count below.
        return (
            (window.x0 - min(each.x0 for each in found)) / dpi + _PAD,
            right / dpi + _PAD,
            (window.y0 - found[0].y0) / dpi + _PAD,
            (max(each.y1 for each in found) - window.y1) / dpi + _PAD,
        )


def open_frame(size: tuple[float, float], dpi: float) -> Frame:
    """An empty frame in the style of this library.

    Raises:
        MissingDependencyError: matplotlib is not installed.
    """
    canvas = require("matplotlib.backends.backend_agg", "drawing needs")
    figure = require("matplotlib.figure", "drawing needs").Figure(figsize=size, dpi=dpi, facecolor="white")
    canvas.FigureCanvasAgg(figure)
    panel = figure.add_axes((0.15, 0.15, 0.7, 0.7))
    for spine in panel.spines.values():
        spine.set(color=_LINE, linewidth=0.8)
    panel.tick_params(labelsize=8, labelcolor=INK, color=_LINE, length=3, width=0.8, pad=3)
    panel.set_axisbelow(True)
    for axis in (panel.xaxis, panel.yaxis):
        axis.set_major_formatter(_number_formatter(axis))
        axis.label.set(fontsize=9.5, color=INK)
    return Frame(figure, panel, size)


def with_unit(name: str, unit: str | None) -> str:
    """A label with the unit in its usual short form.

    Example:
        >>> with_unit("z", "micrometer")
        'z (µm)'
    """
    return f"{name} ({_UNITS.get(unit, unit)})" if unit else name


def number_text(value: float, step: float) -> str:
    """A tick label with thousands separators and as many decimals as the distance of the ticks asks for.

    Example:
        >>> number_text(636500.0, 250.0), number_text(-0.25, 0.05)
        ('636,500', '−0.25')
    """
    if not math.isfinite(value) or not math.isfinite(step) or step <= 0:
        return f"{value:,g}"
    if abs(value) >= 1e9 or step < 1e-6:
        digits = max(3, 1 + math.ceil(math.log10(max(abs(value) / step, 1.0))))
        text = f"{value:.{min(digits, 12)}g}"
    else:
        decimals = max(0, -math.floor(math.log10(step) + 1e-9))
        if decimals and round(step, decimals) != round(step, 12):
            decimals += 1
        text = f"{value:,.{decimals}f}"
        if float(text.replace(",", "")) == 0:
            text = text.lstrip("-")
    return text.replace("-", "−")


def _time_text(value: float, step: float, dtype: str) -> str:
    """A time as ISO text, no finer than the distance of the ticks."""
    time = np.array(round(value), dtype=np.int64).astype(dtype)
    if time.dtype.kind == "m":
        return str(time)
    day = np.array(1, dtype="m8[D]").astype(dtype.replace("M8", "m8")).astype(np.int64)
    return str(time.astype("M8[D]")) if step >= day else str(time).replace("T", " ")


def _number_formatter(axis: Any, time: str = "") -> FuncFormatter:
    """Tick labels of an axis that look at the distance of its ticks."""
    from matplotlib.ticker import FuncFormatter

    def label(value: float, _: Any) -> str:
        step = float(np.abs(np.diff(axis.get_majorticklocs())).min(initial=math.inf))
        return _time_text(value, step, time) if time else number_text(value, step)

    return FuncFormatter(label)
