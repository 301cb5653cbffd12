"""Pictures of meshes."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from tests.choice import covering
from tests.view.looking import collection, legend, texts
from zarr_vectors.axes import Axis
from zarr_vectors.exceptions import AttributeNotFoundError
from zarr_vectors.geometry import Mesh
from zarr_vectors.typing import AnyArray
from zarr_vectors.view import faces
from zarr_vectors.view.colour import PALETTE
from zarr_vectors.view.frame import Frame
from zarr_vectors.view.plot import plot

image = pytest.importorskip("matplotlib.image")

RANDOM = np.random.default_rng(4)
CUBE = np.array([[x, y, z] for x in (0.0, 1) for y in (0.0, 1) for z in (0.0, 1)])
SIDES = [[0, 1, 3, 2], [4, 6, 7, 5], [0, 4, 5, 1], [2, 3, 7, 6], [0, 2, 6, 4], [1, 5, 7, 3]]


def polygons(frame: Frame) -> list[AnyArray]:
    """Corners of the polygons, in the order in which they were drawn, without the closing one."""
    return [np.asarray(path.vertices[:-1]) for path in collection(frame, "PolyCollection").get_paths()]


def colours(frame: Frame) -> AnyArray:
    return np.asarray(collection(frame, "PolyCollection").get_facecolor())[:, :3]


def squares(depths: list[float]) -> Mesh:
    """Squares one above the other."""
    corners = np.array([[0.0, 0], [1, 0], [1, 1], [0, 1]])
    positions = np.concatenate([np.column_stack([corners, np.full(4, depth)]) for depth in depths])
    return Mesh(positions, np.arange(4 * len(depths)).reshape(-1, 4), face_attributes={"depth": depths})


def test_faces_are_polygons_from_far_to_near(target: Path, frames: list[Frame]) -> None:
    plot(squares([3.0, 1.0, 2.0]), target, color="depth", axes=["x", "y"], dpi=50)
    assert [len(polygon) for polygon in polygons(frames[0])] == [4, 4, 4]
    # Viridis grows lighter.
    assert np.all(np.diff(colours(frames[0]).sum(axis=1)) > 0)
    assert "12 vertices · 3 faces" in texts(frames[0])
    assert frames[0].bar is not None


def test_light_depends_on_the_slope(target: Path, frames: list[Frame]) -> None:
    crooked = CUBE + RANDOM.random((8, 3)) * 0.3
    plot(Mesh(crooked, SIDES), target, axes=["x", "y"], dpi=50)
    assert len(np.unique(colours(frames[0]).round(4), axis=0)) > 2
    turned = [[side[0], *side[:0:-1]] for side in SIDES]
    plot(Mesh(crooked, turned), target, axes=["x", "y"], dpi=50)
    np.testing.assert_allclose(colours(frames[0]), colours(frames[1]), atol=1e-9)


def test_without_a_depth_in_the_same_unit_there_is_no_light(target: Path, frames: list[Frame]) -> None:
    flat = Mesh(RANDOM.random((30, 2)), RANDOM.integers(0, 30, (20, 3)))
    plot(flat, target, dpi=50)
    axes = (Axis("x", "meter"), Axis("y", "meter"), Axis("t", "second", "time"))
    plot(Mesh(CUBE, SIDES, axes=axes), target, dpi=50)
    for frame in frames:
        assert len(np.unique(colours(frame).round(6), axis=0)) == 1


def test_objects_have_colours(target: Path, frames: list[Frame]) -> None:
    mesh = Mesh(np.concatenate([CUBE[:, :2], CUBE[:, :2] + 3]), [[0, 2, 6], [8, 10, 14]], object_ids=[5] * 8 + [6] * 8)
    plot(mesh, target, dpi=50)
    assert legend(frames[0]) == ["5", "6"]
    expected = [[int(name[i : i + 2], 16) / 255 for i in (1, 3, 5)] for name in PALETTE[:2]]
    np.testing.assert_allclose(colours(frames[0]), expected)
    assert "2 meshes · 16 vertices · 2 faces" in texts(frames[0])


def test_attributes_of_vertices_and_classes_of_faces(target: Path, frames: list[Frame]) -> None:
    flat = RANDOM.random((8, 2))
    mesh = Mesh(
        flat, SIDES, attributes={"v": np.arange(8.0)}, face_attributes={"part": ["a", "b", "a", "b", "a", None]}
    )
    plot(mesh, target, color="v", dpi=50)
    plot(mesh, target, color="part", dpi=50)
    assert len(np.unique(colours(frames[0]), axis=0)) > 1
    assert legend(frames[1]) == ["a", "b", "no value"]
    with pytest.raises(AttributeNotFoundError, match=r"choose one of v, part, x, y$"):
        plot(mesh, target, color="direction")


@pytest.mark.parametrize("width", [3, 4, 6])
def test_very_many_faces_are_pixels(
    target: Path, frames: list[Frame], monkeypatch: pytest.MonkeyPatch, width: int
) -> None:
    monkeypatch.setattr(faces, "FACE_LIMIT", 10)
    angles = np.linspace(0, 2 * np.pi, width, endpoint=False)
    corner = np.stack([np.cos(angles), np.sin(angles)], axis=1)
    positions = np.concatenate([np.column_stack([corner, np.full(width, float(depth))]) for depth in range(20)])
    colours = np.zeros((20, 3), np.uint8)
    colours[-1] = (255, 0, 0)
    mesh = Mesh(positions, np.arange(20 * width).reshape(20, width), face_attributes={"c": colours})
    plot(mesh, target, color="c", axes=["x", "y"], dpi=50)
    assert not frames[0].panel.collections
    picture = image.imread(target)[..., :3]
    red = (picture[..., 0] > 0.5) & (picture[..., 1] < 0.1)
    rows, columns = frames[0].panel_pixels()
    left, right, bottom, top = frames[0].extent()
    area = 0.5 * width * np.sin(2 * np.pi / width) / ((right - left) * (top - bottom))
    assert red.sum() == pytest.approx(area * rows * columns, rel=0.03)


def test_blocks_of_pixels_are_all_drawn(target: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(faces, "FACE_LIMIT", 1)
    plot(squares([1.0, 2.0, 3.0]), target, color="depth", axes=["x", "y"], dpi=50)
    whole = image.imread(target)
    monkeypatch.setattr(faces, "_BLOCK_SAMPLES", 10)
    plot(squares([1.0, 2.0, 3.0]), target, color="depth", axes=["x", "y"], dpi=50)
    np.testing.assert_array_equal(image.imread(target), whole)


@covering("ndim, vertices, color", [1, 2, 3, 4], [0, 1, 5], [None, "v", "x"])
def test_without_faces_there_are_vertices(
    target: Path, frames: list[Frame], ndim: int, vertices: int, color: str | None
) -> None:
    mesh = Mesh(RANDOM.random((vertices, ndim)), attributes={"v": np.arange(float(vertices))})
    plot(mesh, target, color=color, dpi=40)
    if ndim > 1 and vertices:
        assert len(collection(frames[0], "PathCollection").get_offsets()) == vertices


def test_degenerate_faces(target: Path) -> None:
    plot(Mesh(CUBE, [[0, 0, 0], [1, 1, 2], [0, 1, 2]]), target, dpi=40)
    plot(Mesh(np.zeros((3, 3)), [[0, 1, 2]]), target, dpi=40)
