"""Pictures of point clouds."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import pytest

from tests.choice import covering
from tests.view.looking import texts
from zarr_vectors.axes import Axis
from zarr_vectors.exceptions import AttributeNotFoundError, InputError, MissingDependencyError
from zarr_vectors.geometry import Points
from zarr_vectors.view import points as draw
from zarr_vectors.view.frame import Frame, number_text, with_unit
from zarr_vectors.view.plot import plot

image = pytest.importorskip("matplotlib.image")

RANDOM = np.random.default_rng(5)
GREY = (207, 210, 214)
MIDDLE_OF_VIRIDIS = (33, 145, 140)
FEET = tuple(Axis(name, "foot") for name in "xyz")


def pixels(path: Path) -> npt.NDArray[np.int64]:
    """``(rows, columns, 3)`` from 0 to 255."""
    return np.asarray((image.imread(path)[..., :3] * 255).round().astype(np.int64))


def count_of(path: Path, colour: tuple[int, int, int]) -> int:
    return int((np.abs(pixels(path) - colour).max(axis=-1) <= 3).sum())


def of(positions: Any, **attributes: Any) -> Points:
    return Points(np.asarray(positions, dtype=float), attributes=attributes)


def cloud(count: int = 500, **attributes: Any) -> Points:
    return Points(RANDOM.random((count, 3)) * [200, 100, 30], attributes=attributes, axes=FEET)


def test_plot_is_a_png_no_larger_than_asked(target: Path) -> None:
    assert plot(cloud(), target, size=(6, 5), dpi=80) == target
    assert target.read_bytes().startswith(b"\x89PNG")
    rows, columns, _ = pixels(target).shape
    assert (columns, rows) <= (482, 402)
    assert columns > 400


def test_labels_name_axes_units_attribute_and_count(target: Path, frames: list[Frame]) -> None:
    points = cloud(1500, intensity=RANDOM.random(1500))
    plot(points, target, color="intensity", title="A scan", unit="volt", dpi=50)
    assert {"x (ft)", "y (ft)", "A scan", "1,500 points", "intensity (volt)"} <= set(texts(frames[0]))


def test_the_two_longest_axes_are_shown_and_the_third_is_the_colour(target: Path, frames: list[Frame]) -> None:
    positions = RANDOM.random((50, 3)) * [1, 70, 90]
    plot(of(positions), target, dpi=40)
    panel = frames[0].panel
    assert (panel.get_xlabel(), panel.get_ylabel()) == ("y", "z")
    assert "x" in texts(frames[0])


def test_axes_of_images_are_turned(target: Path, frames: list[Frame]) -> None:
    positions = RANDOM.random((50, 4)) * [1000, 10, 50, 60]
    axes = (Axis("t", "second", "time"), *(Axis(name, "micrometer") for name in "zyx"))
    plot(Points(positions[:, 1:], axes=axes[1:]), target, dpi=40)
    assert (frames[0].panel.get_xlabel(), frames[0].panel.get_ylabel()) == ("x (µm)", "y (µm)")
    plot(Points(positions, axes=axes), target, axes=["t", "x"], dpi=40)
    assert (frames[1].panel.get_xlabel(), frames[1].panel.get_ylabel()) == ("t (s)", "x (µm)")


def test_equal_units_are_equally_long(target: Path, frames: list[Frame]) -> None:
    plot(cloud(), target, dpi=100)
    left, right, bottom, top = frames[0].extent()
    rows, columns = frames[0].panel_pixels()
    assert (right - left) / columns == pytest.approx((top - bottom) / rows, rel=0.02)


@pytest.mark.parametrize("sides", [(1000.0, 1.0), (1.0, 1000.0), (5.0, 0.0), (0.0, 0.0)])
def test_extreme_shapes_keep_a_readable_panel(target: Path, frames: list[Frame], sides: tuple[float, float]) -> None:
    plot(Points(RANDOM.random((30, 2)) * sides + 1e6), target, dpi=60)
    rows, columns = frames[0].panel_pixels()
    assert min(rows, columns) > 60
    left, right, bottom, top = frames[0].extent()
    assert (right - left) / columns == pytest.approx((top - bottom) / rows, rel=0.05)


def test_what_lies_higher_is_drawn_later(target: Path) -> None:
    red, blue = (255, 0, 0), (0, 0, 255)
    for low, high in ((red, blue), (blue, red)):
        points = of([[0, 0, 9.0], [0, 0, 1.0]], c=np.array([high, low], np.uint8))
        plot(points, target, color="c", dpi=60, point_size=30, axes=["x", "y"])
        assert count_of(target, high) > 100
        assert count_of(target, low) == 0


def test_points_without_a_value_are_grey_and_below(target: Path, frames: list[Frame]) -> None:
    points = of([[0, 0, 9.0], [0, 0, 1.0], [1, 1, 1.0]], v=[np.nan, 0.0, np.nan])
    plot(points, target, color="v", axes=["x", "y"], dpi=60, point_size=30)
    assert count_of(target, MIDDLE_OF_VIRIDIS) > 300
    assert "3 points · 2 without a value in grey" in texts(frames[0])
    sized = count_of(target, GREY)
    plot(of([[0, 0, 9.0], [0, 0, 1.0], [1, 1, 1.0]], v=[np.nan, 0.0, 0.0]), target, color="v", dpi=60, point_size=30)
    assert sized > count_of(target, GREY) + 150


def test_classes_get_a_legend(target: Path, frames: list[Frame]) -> None:
    kind = np.array([f"kind {number}" for number in range(30)], dtype=object).repeat(10)
    kind[:3] = None
    plot(cloud(300, kind=list(kind)), target, color="kind", dpi=60)
    legend = frames[0].panel.get_legend()
    assert legend is not None
    entries = [text.get_text() for text in legend.get_texts()]
    assert len(entries) == 13
    assert entries[0].endswith("  10")
    assert entries[-2:] == ["other (19 classes)  187", "no value  3"]
    assert legend.get_title().get_text() == "kind"


@pytest.mark.parametrize("color", [None, "v", "kind", "rgb", "z"])
def test_many_points_are_counted_onto_pixels(target: Path, monkeypatch: pytest.MonkeyPatch, color: str | None) -> None:
    monkeypatch.setattr(draw, "SCATTER_LIMIT", 100)
    count = 5000
    points = cloud(
        count,
        v=np.where(RANDOM.random(count) < 0.1, np.nan, RANDOM.random(count)),
        kind=list(np.array(["a", "b"])[RANDOM.integers(0, 2, count)]),
        red=np.full(count, 200, np.uint16),
        green=np.full(count, 40, np.uint16),
        blue=np.full(count, 10, np.uint16),
    )
    plot(points, target, color=color, dpi=60)
    if color == "rgb":
        assert count_of(target, (200, 40, 10)) > 5000


def test_many_points_on_two_axes_show_their_density(
    target: Path, frames: list[Frame], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(draw, "SCATTER_LIMIT", 100)
    plot(Points(RANDOM.normal(size=(5000, 2))), target, dpi=60)
    assert "points per pixel" in texts(frames[0])


def test_mean_per_pixel_is_the_mean(target: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(draw, "SCATTER_LIMIT", 1)
    colours = np.array([[200, 0, 0], [0, 0, 100]] * 4, np.uint8)
    plot(Points(np.zeros((8, 3)), attributes={"c": colours}), target, color="c", dpi=60, point_size=20)
    assert count_of(target, (100, 0, 50)) > 100


def test_one_axis_becomes_a_histogram(target: Path, frames: list[Frame]) -> None:
    values = RANDOM.normal(size=20_000)
    plot(
        Points(values[:, None], attributes={"w": values}, axes=(Axis("x", "second", "time"),)),
        target,
        color="w",
        dpi=60,
    )
    assert (frames[0].panel.get_xlabel(), frames[0].panel.get_ylabel()) == ("x (s)", "points")
    assert len(frames[0].panel.collections) == 1


@covering("ndim, color", [1, 2, 3, 4], ["x", None, "v", "kind"])
def test_no_points_are_a_labelled_frame(target: Path, frames: list[Frame], ndim: int, color: str | None) -> None:
    points = Points(np.empty((0, ndim)), attributes={"v": np.empty(0, np.float32), "kind": np.empty(0, "U1")})
    plot(points, target, color=color, dpi=50)
    assert "0 points" in texts(frames[0])
    assert frames[0].panel.get_xlabel() == "x"


def test_points_without_finite_coordinates_are_left_out_and_told(target: Path, frames: list[Frame]) -> None:
    plot(of([[0.0, 1.0], [np.nan, 1.0], [1.0, np.inf], [2.0, 2.0]]), target, dpi=50)
    assert "2 of 4 points · 2 without finite coordinates" in texts(frames[0])


def test_a_sample_says_of_how_many(target: Path, frames: list[Frame]) -> None:
    plot(cloud(10), target, total=10_000_000, dpi=50)
    assert "10 of 10,000,000 points" in texts(frames[0])


@pytest.mark.parametrize("dtype", ["i4", "u2", "f4", "f8", "u8"])
def test_positions_of_any_type(target: Path, dtype: str) -> None:
    plot(Points(RANDOM.integers(0, 200, (50, 3)).astype(dtype)), target, dpi=50)


def test_times(target: Path, frames: list[Frame]) -> None:
    days = np.datetime64("2024-01-01", "s") + RANDOM.integers(0, 10**7, 400)
    plot(cloud(400, when=days), target, color="when", dpi=60)
    assert any(text.startswith("2024-0") and len(text) == 10 for text in texts(frames[0]))


@pytest.mark.parametrize(
    ("options", "error", "message"),
    [
        ({"color": "height"}, AttributeNotFoundError, "choose one of v, x, y, z"),
        ({"axes": ["x"]}, InputError, "axes must name 2 of x, y, z"),
        ({"axes": ["x", "x"]}, InputError, "axes"),
        ({"axes": ["x", "q"]}, InputError, "axes"),
        ({"cmap": "rainbows"}, InputError, "cmap"),
        ({"size": (0, 5)}, InputError, "size"),
        ({"size": (float("nan"), 5)}, InputError, "size"),
        ({"dpi": 5}, InputError, "dpi"),
        ({"dpi": 1200, "size": (100, 100)}, InputError, "megapixels"),
        ({"point_size": 0}, InputError, "point_size"),
    ],
)
def test_bad_arguments(target: Path, options: dict[str, Any], error: type[Exception], message: str) -> None:
    with pytest.raises(error, match=message):
        plot(cloud(10, v=np.arange(10.0)), target, **options)
    assert not target.exists()


def test_bad_paths(tmp_path: Path) -> None:
    with pytest.raises(InputError, match=r"\*.png"):
        plot(cloud(), tmp_path / "picture.jpg")
    with pytest.raises(InputError, match="folder"):
        plot(cloud(), tmp_path / "nowhere" / "picture.png")


def test_without_matplotlib(target: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "matplotlib.figure", None)
    with pytest.raises(MissingDependencyError, match=r"pip install 'zarr-vectors\[plot\]'"):
        plot(cloud(), target)


def test_neither_pyplot_nor_settings_are_touched(target: Path) -> None:
    code = f"""if True:
        import sys, matplotlib, numpy as np
        from zarr_vectors.geometry import Points
        from zarr_vectors.view.plot import plot
        settings = lambda: {{key: matplotlib.rcParams[key] for key in matplotlib.rcParams if key != "backend"}}
        before = settings()
        plot(Points(np.random.random((50, 3))), {str(target)!r}, dpi=50)
        assert settings() == before
        assert "matplotlib.pyplot" not in sys.modules
    """
    subprocess.run([sys.executable, "-c", code], check=True)


@pytest.mark.parametrize(
    ("value", "step", "text"),
    [
        (1234567.0, 1000.0, "1,234,567"),
        (0.1, 0.1, "0.1"),
        (0.25, 0.25, "0.25"),
        (2.0, 0.25, "2.00"),
        (-1500.0, 500.0, "−1,500"),
        (-1e-18, 0.2, "0.0"),
        (5e12, 1e12, "5e+12"),
        (3.0, float("inf"), "3"),
    ],
)
def test_tick_labels(value: float, step: float, text: str) -> None:
    assert number_text(value, step) == text


def test_units() -> None:
    assert with_unit("x", "nanometer") == "x (nm)"
    assert with_unit("x", "furlong") == "x (furlong)"
    assert with_unit("x", None) == "x"
