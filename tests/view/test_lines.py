"""Pictures of lines, graphs and skeletons."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest

from tests.choice import covering
from tests.view.looking import collection, legend, segments, texts
from zarr_vectors.axes import Axis
from zarr_vectors.exceptions import AttributeNotFoundError
from zarr_vectors.geometry import Geometry, Graph, Lines, Polylines, Skeleton
from zarr_vectors.view import plot as plotting
from zarr_vectors.view.colour import MISSING, PALETTE
from zarr_vectors.view.frame import Frame
from zarr_vectors.view.plot import plot
from zarr_vectors.view.scene import PLAIN

colors = pytest.importorskip("matplotlib.colors")

RANDOM = np.random.default_rng(8)
MM = tuple(Axis(name, "millimeter") for name in "xyz")


def tracts(count: int = 3, vertices: int = 5, **fields: Any) -> Polylines:
    return Polylines(RANDOM.random((count, vertices, 3)) * [90, 60, 20], kind="streamline", axes=MM, **fields)


def rgb(colour: str) -> list[float]:
    return [float(channel) for channel in colors.to_rgb(colour)]


def colours(frame: Frame) -> list[list[float]]:
    """Those of the segments, in the order in which they were drawn."""
    return [
        [round(float(channel), 6) for channel in row[:3]] for row in collection(frame, "LineCollection").get_color()
    ]


def test_a_line_is_its_segments_coloured_by_object(target: Path, frames: list[Frame]) -> None:
    plot(tracts(ids=[4, 7, 9]), target, dpi=50)
    assert segments(frames[0]).shape == (12, 2, 2)
    assert {tuple(row) for row in colours(frames[0])} == {tuple(np.round(rgb(name), 6)) for name in PALETTE[:3]}
    assert legend(frames[0]) == ["4", "7", "9"]
    assert {"x (mm)", "y (mm)", "3 streamlines · 15 vertices"} <= set(texts(frames[0]))


def test_many_objects_have_no_legend(target: Path, frames: list[Frame]) -> None:
    plot(tracts(30), target, dpi=50)
    assert legend(frames[0]) == []
    assert "30 streamlines · 150 vertices · coloured by object_id" in texts(frames[0])


def test_one_line_is_plain(target: Path, frames: list[Frame]) -> None:
    plot(tracts(1), target, dpi=50)
    assert colours(frames[0]) == [[round(channel, 6) for channel in rgb(PLAIN)]] * 4


@pytest.mark.parametrize("names", ["xyz", "zyx"])
def test_direction_is_red_green_and_blue_along_x_y_and_z(target: Path, frames: list[Frame], names: str) -> None:
    steps = np.array([[1.0, 0, 0], [0, -2, 0], [0, 0, 3]])[:, [("xyz").index(name) for name in names]]
    lines = Lines(np.stack([np.zeros((3, 3)), steps], axis=1), axes=tuple(Axis(name) for name in names))
    plot(lines, target, color="direction", axes=["x", "y"], dpi=50)
    ends = segments(frames[0])
    found = {tuple(np.abs(end[1] - end[0])): colour for end, colour in zip(ends, colours(frames[0]), strict=True)}
    assert found == {(1, 0): [1, 0, 0], (0, 2): [0, 1, 0], (0, 0): [0, 0, 1]}
    assert legend(frames[0]) == ["x", "y", "z"]


def test_direction_in_two_dimensions(target: Path, frames: list[Frame]) -> None:
    plot(Lines(np.array([[[0.0, 0], [3, 4]]])), target, color="direction", dpi=50)
    assert colours(frames[0]) == [[0.6, 0.8, 0.0]]


def test_numbers_of_vertices_are_averaged_along_a_segment(target: Path, frames: list[Frame]) -> None:
    line = Polylines(np.array([[[0.0, 0, 0], [1, 0, 0], [2, 0, 0]]]), attributes={"fa": [0.0, np.nan, np.nan]})
    plot(line, target, color="fa", axes=["x", "y"], dpi=50)
    # What has no value is drawn first.
    assert colours(frames[0])[0] == [round(channel, 6) for channel in rgb(MISSING)]
    assert frames[0].bar is not None
    assert "1 streamline" not in texts(frames[0])


def test_attributes_of_objects(target: Path, frames: list[Frame]) -> None:
    lines = tracts(3, ids=[7, 2, 5], object_attributes={"bundle": ["a", "b", "a"], "length": [1.0, 2.0, 3.0]})
    plot(lines, target, color="bundle", dpi=50)
    assert legend(frames[0]) == ["a", "b"]
    assert (
        sorted(row == [round(channel, 6) for channel in rgb(PALETTE[1])] for row in colours(frames[0])).count(True) == 4
    )
    plot(lines, target, color="length", dpi=50)
    assert frames[1].bar is not None


def test_nearer_segments_are_drawn_later(target: Path, frames: list[Frame]) -> None:
    lines = Lines(np.array([[[0.0, 0, 9], [9, 0, 9]], [[0, 9, 1], [9, 9, 1]]]))
    plot(lines, target, axes=["x", "y"], dpi=50)
    assert segments(frames[0])[:, 0, 1].tolist() == [9, 0]
    # Seen on x and z, y points away from the viewer.
    plot(lines, target, axes=["x", "z"], dpi=50)
    assert segments(frames[1])[:, 0, 1].tolist() == [1, 9]


def test_parts_of_a_line_count_as_one(target: Path, frames: list[Frame]) -> None:
    plot(Polylines(RANDOM.random((3, 4, 2)), ids=[1, 1, 2]), target, dpi=50)
    assert "2 polylines · 12 vertices" in texts(frames[0])


def test_a_line_of_one_vertex_is_a_dot(target: Path, frames: list[Frame]) -> None:
    plot(Polylines([[[0.0, 0.0]], [[1.0, 1.0], [2.0, 1.0]]]), target, dpi=50)
    assert len(segments(frames[0])) == 1
    assert collection(frames[0], "PathCollection").get_offsets().tolist() == [[0, 0]]


def test_lines_that_are_not_finite_are_left_out_and_told(target: Path, frames: list[Frame]) -> None:
    plot(Polylines(np.array([[[0.0, np.nan], [1, 1]], [[1, 1], [2, 2]]])), target, dpi=50)
    assert len(segments(frames[0])) == 1
    assert any("1 polyline without finite coordinates" in text for text in texts(frames[0]))


def test_of_many_lines_whole_ones_are_left_out(
    target: Path, frames: list[Frame], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(plotting, "SEGMENT_LIMIT", 100)
    plot(tracts(100, vertices=5), target, dpi=50)
    assert len(segments(frames[0])) == 100
    assert any(text.startswith("25 of 100 streamlines · 125 vertices") for text in texts(frames[0]))


def test_of_few_long_lines_vertices_are_left_out(
    target: Path, frames: list[Frame], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(plotting, "SEGMENT_LIMIT", 100)
    plot(tracts(2, vertices=1000), target, dpi=50)
    assert 90 <= len(segments(frames[0])) <= 110
    assert any("every 20th vertex" in text for text in texts(frames[0]))


def test_a_sample_says_of_how_many(target: Path, frames: list[Frame]) -> None:
    plot(tracts(3), target, total=9000, dpi=50)
    assert "3 of 9,000 streamlines · 15 vertices" in texts(frames[0])


def test_unknown_colours_list_what_there_is(target: Path) -> None:
    graph = Graph(np.eye(2), [[0, 1]], edge_attributes={"weight": [1.0]}, attributes={"degree": [1, 1]})
    with pytest.raises(AttributeNotFoundError, match="choose one of degree, weight, direction, x, y"):
        plot(graph, target, color="height")


# --- graphs -----------------------------------------------------------------------------------------------------------


def graph(**fields: Any) -> Graph:
    return Graph(RANDOM.random((6, 3)), [[0, 1], [1, 2], [3, 4]], **fields)


def test_a_graph_is_nodes_above_grey_edges(target: Path, frames: list[Frame]) -> None:
    plot(graph(attributes={"v": np.arange(6.0)}), target, color="v", dpi=50)
    edges, nodes = collection(frames[0], "LineCollection"), collection(frames[0], "PathCollection")
    assert len(edges.get_segments()) == 3
    assert len(nodes.get_offsets()) == 6
    assert nodes.get_zorder() > edges.get_zorder()
    assert len(np.unique(edges.get_color(), axis=0)) == 1
    assert len(np.unique(nodes.get_facecolor(), axis=0)) == 6
    assert "6 nodes · 3 edges" in texts(frames[0])


def test_an_attribute_of_edges_colours_edges(target: Path, frames: list[Frame]) -> None:
    plot(graph(edge_attributes={"w": [1.0, 2.0, 3.0]}), target, color="w", dpi=50)
    assert len({tuple(row) for row in colours(frames[0])}) == 3
    assert len(np.unique(collection(frames[0], "PathCollection").get_facecolor(), axis=0)) == 1


def test_a_graph_of_several_objects(target: Path, frames: list[Frame]) -> None:
    plot(graph(object_ids=[1, 1, 1, 2, 2, 3]), target, dpi=50)
    assert legend(frames[0]) == ["1", "2", "3"]
    assert "3 objects · 6 nodes · 3 edges" in texts(frames[0])


def test_of_many_edges_every_so_manieth_is_drawn(
    target: Path, frames: list[Frame], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(plotting, "SEGMENT_LIMIT", 100)
    edges = RANDOM.integers(0, 50, (1000, 2))
    plot(Graph(RANDOM.random((50, 2)), edges, edge_attributes={"w": np.arange(1000.0)}), target, color="w", dpi=50)
    assert len(segments(frames[0])) == 100
    assert any("every 10th edge" in text for text in texts(frames[0]))


# --- skeletons --------------------------------------------------------------------------------------------------------


def tree(**fields: Any) -> Skeleton:
    positions = np.array([[0.0, 0], [10, 0], [20, 0], [10, 10]])
    return Skeleton(positions, [-1, 0, 1, 1], **fields)


def test_a_skeleton_is_as_wide_as_its_radius_says(target: Path, frames: list[Frame]) -> None:
    plot(tree(attributes={"radius": [0.4, 0.2, 0.2, 0.2]}), target, dpi=100)
    widths = sorted(np.asarray(collection(frames[0], "LineCollection").get_linewidth()).tolist())
    per_unit = frames[0].points_per_unit
    assert widths == pytest.approx([0.4 * per_unit, 0.4 * per_unit, 0.6 * per_unit])
    plot(tree(attributes={"radius": [0.4, 0.2, 0.2, 0.2]}), target, dpi=100, point_size=2)
    assert set(np.asarray(collection(frames[1], "LineCollection").get_linewidth()).tolist()) == {2.0}


@pytest.mark.parametrize("radius", [[np.nan] * 4, ["a", "b", "c", "d"], np.ones((4, 2))])
def test_radii_that_are_none(target: Path, radius: Any) -> None:
    plot(tree(attributes={"radius": radius}), target, dpi=50)


def test_roots_are_ringed(target: Path, frames: list[Frame]) -> None:
    plot(tree(), target, dpi=50)
    assert collection(frames[0], "PathCollection").get_offsets().tolist() == [[0, 0]]
    assert "1 skeleton · 4 vertices · 1 root ringed" in texts(frames[0])


def test_classes_of_a_skeleton(target: Path, frames: list[Frame]) -> None:
    plot(tree(attributes={"type": ["soma", "axon", "axon", None]}), target, color="type", dpi=50)
    assert legend(frames[0]) == ["axon", "soma", "no value"]


# --- what there hardly is ---------------------------------------------------------------------------------------------


def kinds(ndim: int, vertices: int) -> list[Geometry]:
    positions = RANDOM.random((vertices, ndim))
    return [
        Polylines(positions, [0, vertices] if vertices else [0]),
        Graph(positions),
        Skeleton(positions),
        Lines(np.zeros((vertices, 2, ndim))),
    ]


@covering("ndim, vertices, color", [1, 2, 3, 4], [0, 1, 2], [None, "direction", "object_id"])
def test_little_or_nothing(target: Path, ndim: int, vertices: int, color: str | None) -> None:
    for value in kinds(ndim, vertices):
        if color != "object_id" or value.vertex_objects is not None:
            plot(value, target, color=color, dpi=40)


def test_one_axis_becomes_a_histogram(target: Path, frames: list[Frame]) -> None:
    plot(Polylines(RANDOM.random((5, 9, 1))), target, dpi=50)
    assert frames[0].panel.get_ylabel() == "vertices"
    assert "5 polylines · 45 vertices" in texts(frames[0])
