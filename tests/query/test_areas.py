"""Reads near a place and within outlines: what they bring is told position by position, with fractions."""

from __future__ import annotations

import json
from fractions import Fraction
from itertools import pairwise
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from zarr.storage import MemoryStore

import zarr_vectors as zv
from tests.query.connected import induced, of_objects
from tests.query.test_where import owners, stored
from tests.rechunk.shapes import LAYOUTS, assert_same_rows, values
from zarr_vectors.exceptions import InputError
from zarr_vectors.query.hits import whole_objects
from zarr_vectors.query.links import Links
from zarr_vectors.query.shape import Shape
from zarr_vectors.query.values import Rows
from zarr_vectors.spatial.area import Ball

KINDS = ["points", "polyline", "graph", "mesh"]


def in_ball(positions: Any, centre: list[float], radius: float) -> Any:
    """Which positions lie in a closed ball, exactly."""
    rows = np.asarray(positions, dtype=np.float64).tolist()
    apart = [sum((Fraction(a) - Fraction(b)) ** 2 for a, b in zip(row, centre, strict=True)) for row in rows]
    return np.array([one <= Fraction(radius) ** 2 for one in apart], dtype=bool)


@pytest.mark.parametrize("kind", KINDS)
@settings(max_examples=5)
@given(data=st.data())
def test_vertices_and_objects_near_a_place(kind: str, data: st.DataObject) -> None:
    value = data.draw(values(kind))
    level = stored(value, data.draw(LAYOUTS))
    whole = level.read()
    halves = st.integers(-12, 12).map(lambda n: n / 2)
    centre = data.draw(st.lists(halves, min_size=value.ndim, max_size=value.ndim))
    radius = data.draw(st.sampled_from([0, 0.5, 2.5, 5, 6.5, 100]))
    side = data.draw(halves)
    near = in_ball(whole.positions, centre, radius)
    cut = np.asarray(whole.positions[:, 0], dtype=np.float64) <= side
    asked: dict[str, Any] = {"near": (centre, radius)}
    both: dict[str, Any] = {**asked, "within": lambda positions: positions[:, 0] <= side}
    for mask, options in ((near, asked), (near & cut, both)):
        expected = induced(whole, mask)
        assert_same_rows(level.read(**options, mode="vertices"), expected)
        assert level.count(**options, mode="vertices") == expected.vertex_count
    box = ([side] + [None] * (value.ndim - 1), [None] * value.ndim)
    boxed = np.asarray(whole.positions[:, 0], dtype=np.float64) >= side
    assert_same_rows(level.read(box, **asked, mode="vertices"), induced(whole, near & boxed))
    known = np.array(owners(whole), dtype=np.int64)
    chosen = sorted(set(known[near].tolist()) & set(known[cut].tolist()))
    expected = of_objects(whole, chosen)
    assert_same_rows(level.read(**both, mode="objects"), expected)
    assert sum(part.vertex_count for part in level.iter(**both, mode="objects", batch_rows=3)) == expected.vertex_count
    assert_same_rows(
        level.read(**both, mode="objects", where="row > 3"), induced(expected, expected.attributes["row"] > 3)
    )
    some = chosen[: len(chosen) // 2 + 1] or sorted(set(known.tolist()))[:1]
    if some:
        got = level.read(**both, mode="objects", object_ids=some)
        assert_same_rows(got, of_objects(whole, [one for one in some if one in chosen]))


def test_without_objects_each_edge_counts_as_one() -> None:
    positions = np.array([[0.0, 0], [9, 0], [30, 0], [31, 0], [0, 1]])
    shape = Shape(Rows(positions), links=Links(np.array([[0, 1], [1, 2], [2, 3]]), {}))
    got = whole_objects(shape, Ball.from_user(([0, 0], 2), ("x", "y")))
    assert got.rows.positions.tolist() == [[0, 0], [9, 0], [0, 1]]
    assert got.links is not None
    assert got.links.ends.tolist() == [[0, 1]]


@given(
    centre=st.lists(st.floats(-1e3, 1e3), min_size=2, max_size=2),
    radius=st.floats(0, 1e3),
    angles=st.lists(st.floats(0, 7), max_size=5),
)
def test_balls_are_exact_at_their_surface(centre: list[float], radius: float, angles: list[float]) -> None:
    around = np.array([[centre[0] + radius * np.cos(a), centre[1] + radius * np.sin(a)] for a in [0, *angles]])
    near = np.concatenate([around, np.nextafter(around, np.inf), np.nextafter(around, -np.inf)])
    ball = Ball.from_user((centre, radius), ("x", "y"))
    assert ball.mask(near).tolist() == in_ball(near, centre, radius).tolist()
    assert ball.box.mask(near)[ball.mask(near)].all()


def test_balls_of_any_size() -> None:
    far = np.array([[1e200, 0.0], [1e200, 1e190], [np.nan, 0], [np.inf, 0], [0, 0], [1e-200, 0], [2e-200, 0]])
    assert Ball.from_user(([0, 0], 1e200), "xy").mask(far).tolist() == [True, False, False, False, True, True, True]
    assert Ball.from_user(([0, 0], 1e-200), "xy").mask(far).tolist() == [False] * 4 + [True, True, False]


def inside_rings(place: list[float], rings: list[list[list[float]]]) -> bool:
    """Whether a position lies in or on rings, one edge after the other."""
    x, y = map(Fraction, place)
    inside = False
    for ring in rings:
        for start, end in zip(ring, [*ring[1:], ring[0]], strict=True):
            (ax, ay), (bx, by) = (tuple(map(Fraction, start)), tuple(map(Fraction, end)))
            turn = (bx - ax) * (y - ay) - (by - ay) * (x - ax)
            if turn == 0 and min(ax, bx) <= x <= max(ax, bx) and min(ay, by) <= y <= max(ay, by):
                return True
            if (ay <= y) != (by <= y):
                inside ^= x < ax + (y - ay) * (bx - ax) / (by - ay)
    return inside


NUMBERS = st.one_of(st.integers(-6, 6).map(float), st.sampled_from([0.1, 0.3, 1 / 3, 1e-9, 5e-324]))
CORNERS = st.lists(NUMBERS, min_size=2, max_size=2)


@given(
    rings=st.lists(st.lists(CORNERS, min_size=3, max_size=6), min_size=1, max_size=3),
    places=st.lists(CORNERS, max_size=8),
)
def test_polygons_are_exact(rings: list[list[list[float]]], places: list[list[float]]) -> None:
    ends = [[(a + b) / 2 for a, b in zip(*pair, strict=True)] for ring in rings for pair in pairwise(ring)]
    every = [*places, *ends, *(corner for ring in rings for corner in ring)]
    polygon = zv.Polygon(rings)
    expected = [inside_rings(place, rings) for place in every]
    assert polygon.mask(np.array(every)).tolist() == expected
    low, high = polygon.box
    assert all(((low <= place) & (place <= high)).all() for place, met in zip(every, expected, strict=True) if met)


def cloud() -> tuple[zv.ZVLevel, Any]:
    positions = np.random.default_rng(3).integers(0, 40, (3000, 3)).astype("f4") / 2
    place = MemoryStore()
    zv.write(place, zv.Points(positions), layout=zv.Layout(chunk_shape=4))
    return zv.open(place)[0], positions


def sorted_rows(positions: Any) -> list[Any]:
    return sorted(map(tuple, positions.tolist()))


def test_outlines_are_read_within() -> None:
    level, positions = cloud()
    square = [[2, 3], [9, 3], [9, 11], [2, 11]]
    x, z = positions[:, 0], positions[:, 2]
    inside = (x >= 2) & (x <= 9) & (z >= 3) & (z <= 11)
    got = level.read(within=zv.Polygon(square, axes=("x", "z")))
    assert sorted_rows(got.positions) == sorted_rows(positions[inside])
    halves = zv.HalfSpaces([[1, 0, 0], [0, -2, 0], [1, 1, 1]], [7, -6, 20])
    inside = (x <= 7) & (positions[:, 1] >= 3) & (positions.sum(axis=1) <= 20)
    assert sorted_rows(level.read(within=halves).positions) == sorted_rows(positions[inside])
    assert sum(part.vertex_count for part in level.iter(within=halves, batch_rows=100)) == inside.sum()
    assert level.count(within=zv.HalfSpaces([[0, 1]], [3], axes=("x", "y"))) == (positions[:, 1] <= 3).sum()
    assert zv.HalfSpaces([[2, 0], [0, -1], [1, 1]], [6, -1, 9]).box[1][0] == pytest.approx(3)


def test_a_function_tells_what_is_read() -> None:
    level, positions = cloud()
    seen: list[Any] = []

    def told(given: Any) -> Any:
        seen.append(given)
        return given[:, 0] > 10

    assert level.count(within=told) == (positions[:, 0] > 10).sum()
    assert {(part.dtype, part.shape[1]) for part in seen} == {(np.dtype("f8"), 3)}

    seen.clear()
    assert level.count(within=SimpleNamespace(box={"x": (12, None)}, mask=told)) == (positions[:, 0] >= 12).sum()
    assert all((part[:, 0] >= 12).all() for part in seen)


@pytest.mark.parametrize("mode", ["vertices", "objects"])
def test_the_world_is_what_is_asked_of(mode: str, tmp_path: Path) -> None:
    positions, offset = np.arange(30.0).reshape(10, 3), np.array([100.0, -200.5, 1e6])
    zv.write(tmp_path / "a", zv.Points(positions, object_ids=np.arange(10) // 2), layout=zv.Layout(chunk_shape=4))
    file = tmp_path / "a" / "zarr.json"
    root = json.loads(file.read_text(encoding="utf-8"))
    root["attributes"]["zarr_vectors"]["coordinate_offset"] = offset.tolist()
    file.write_text(json.dumps(root), encoding="utf-8")
    level = zv.open(tmp_path / "a")[0]
    seen: list[Any] = []

    def told(given: Any) -> Any:
        seen.append(given)
        return given[:, 0] <= 106

    rows = [2] if mode == "vertices" else [2, 3]
    asked: dict[str, Any] = {"near": (positions[2] + offset, 0.5), "within": told, "mode": mode}
    assert sorted_rows(level.read(**asked).positions) == sorted_rows(positions[rows] + offset)
    assert level.count(**asked) == len(rows)
    assert sum(part.vertex_count for part in level.iter(**asked, batch_rows=1)) == len(rows)
    assert all((part[:, 0] >= 100).all() for part in seen)


@pytest.mark.parametrize(
    ("asked", "match"),
    [
        ({"near": 5}, r"near must be \(centre, radius\)"),
        ({"near": ([0, 0], 1)}, "one number per axis"),
        ({"near": ([0, 0, np.nan], 1)}, "one number per axis"),
        ({"near": ([0, 0, 0], -1)}, "radius"),
        ({"near": ([0, 0, 0], np.inf)}, "radius"),
        ({"within": 5}, "within must be"),
        ({"within": lambda places: places[:, 0]}, "boolean for each position"),
        ({"within": lambda places: places > 3}, "boolean for each position"),
        ({"within": lambda places: True}, "boolean for each position"),  # noqa: ARG005
        ({"within": zv.Polygon([[0, 0], [1, 0], [0, 1]], axes=("x", "q"))}, "axis that the store does not have"),
        ({"within": zv.HalfSpaces([[1, 0]], [1])}, "one number per axis"),
        ({"near": ([0, 0, 0], 1), "mode": "clip"}, "only a box can cut"),
        ({"within": zv.Polygon([[0, 0], [1, 0], [0, 1]]), "mode": "clip"}, "only a box can cut"),
    ],
)
def test_what_is_no_place_is_refused(asked: dict[str, Any], match: str) -> None:
    level, _ = cloud()
    for read in (level.read, level.count):
        with pytest.raises(InputError, match=match):
            read(**asked)


@pytest.mark.parametrize(
    ("make", "match"),
    [
        (lambda: zv.Polygon([[0, 0], [1, 1]]), "at least three corners"),
        (lambda: zv.Polygon(5), "must be"),
        (lambda: zv.Polygon([[0, 0], [1, 1], [np.nan, 0]]), "finite"),
        (lambda: zv.Polygon([["a", 0], [1, 1], [2, 0]]), "numbers"),
        (lambda: zv.Polygon([[0, 0], [1, 0], [0, 1]], axes=("x", "x")), "two names"),
        (lambda: zv.HalfSpaces([[0, 0]], [1]), "length"),
        (lambda: zv.HalfSpaces([[1, 0]], [1, 2]), "normals must be"),
        (lambda: zv.HalfSpaces("ab", [1]), "normals must be"),
        (lambda: zv.HalfSpaces([[1, np.inf]], [1]), "finite"),
        (lambda: zv.Polygon([[0, 0], [1, 0], [0, 1]]).mask([1, 2]), r"\(n, 2\) numbers"),
    ],
)
def test_what_is_no_outline_is_refused(make: Any, match: str) -> None:
    with pytest.raises(InputError, match=match):
        make()
