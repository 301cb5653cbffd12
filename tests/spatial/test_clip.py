"""Segments and meshes cut at boxes: exact areas, no cracks, and rows of columns at the cuts."""

from __future__ import annotations

import math
from collections import Counter
from itertools import pairwise, product
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as npst

from tests.spatial.exact import GRID, boxes, clipped_area, cube, point, sides, span
from zarr_vectors.exceptions import InputError
from zarr_vectors.spatial.box import ClosedBox
from zarr_vectors.spatial.clip import ClippedFaces, clip_faces, clip_segments, cut_positions
from zarr_vectors.spatial.meet import faces_meet, segments_meet

DTYPES = ["float16", "float32", "float64", ">f4", "int8", "uint16", "int64", "uint64"]
NEAR = np.float32(0.1)


def all_positions(positions: Any, cut: ClippedFaces, box: ClosedBox) -> Any:
    """Input rows and new vertices together, as the triangles number them."""
    return np.concatenate([positions, cut_positions(positions, cut.corners, cut.weights, box)])


def areas(corners: Any) -> Any:
    """Twice the area of triangles ``(n, 3, 2 or 3)``, as vectors; signed numbers in the plane."""
    wide = corners.astype(np.float64)
    one, other = wide[:, 1] - wide[:, 0], wide[:, 2] - wide[:, 0]
    return one[:, 0] * other[:, 1] - one[:, 1] * other[:, 0] if wide.shape[2] == 2 else np.cross(one, other)


def sphere(rounds: int, dtype: str = "float64") -> tuple[Any, Any]:
    """A closed mesh: an octahedron, each face of which is divided into four, round after round."""
    points = [tuple(row) for row in np.concatenate([np.eye(3), -np.eye(3)]).tolist()]
    faces = [(0, 1, 2), (1, 3, 2), (3, 4, 2), (4, 0, 2), (1, 0, 5), (3, 1, 5), (4, 3, 5), (0, 4, 5)]
    number = {place: row for row, place in enumerate(points)}
    for _ in range(rounds):
        finer = []
        for face in faces:
            corners = [np.array(points[row]) for row in face]
            middles = []
            for one, other in zip(corners, corners[1:] + corners[:1], strict=True):
                place = tuple(((one + other) / np.linalg.norm(one + other)).tolist())
                middles.append(number.setdefault(place, len(points)))
                if middles[-1] == len(points):
                    points.append(place)
            (a, b, c), (ab, bc, ca) = face, middles
            finer += [(a, ab, ca), (b, bc, ab), (c, ca, bc), (ab, bc, ca)]
        faces = finer
    return np.array(points, dtype=dtype), np.array(faces, dtype=np.int64)


def wavy(rounds: int, dtype: str, seed: int) -> tuple[Any, Any]:
    """A closed mesh with noise, in coordinates around 0 to 10, its rows in any order."""
    points, faces = sphere(rounds)
    rng = np.random.default_rng(seed)
    order = rng.permutation(len(points))
    rows = np.empty_like(points)
    rows[order] = 5 + 4.5 * points * rng.uniform(0.7, 1.0, (len(points), 1))
    return rows.astype(dtype), order[faces]


def check_open_along_the_cut_only(cut: ClippedFaces, places: Any, box: ClosedBox) -> None:
    """Each directed edge is used once, and backwards too unless it lies in a side of the box."""
    used = Counter((int(a), int(b)) for face in cut.triangles for a, b in zip(face, np.roll(face, -1), strict=True))
    assert set(used.values()) <= {1}
    for a, b in used:
        if (b, a) not in used:
            ends = places[[a, b]]
            on_side = [
                (ends[:, axis] == limit).all()
                for axis in range(places.shape[1])
                for limit in box.limits(axis, places.dtype)
                if limit is not None
            ]
            assert any(on_side), ends


def check_rows_and_weights(positions: Any, faces: Any, cut: ClippedFaces, box: ClosedBox) -> None:
    count = len(positions)
    assert cut.triangles.dtype == cut.face_of.dtype == cut.corners.dtype == np.int64
    assert (np.diff(cut.face_of) >= 0).all()
    assert (cut.weights >= 0).all()
    assert np.abs(cut.weights.sum(axis=1) - 1).max(initial=0) < 2e-15
    # The weights alone lead into the box; the limits that are applied to positions only take rounding away.
    mixed = (positions[cut.corners].astype(float) * cut.weights[:, :, None]).sum(axis=1)
    assert ((mixed > box.lo - 1e-13) & (mixed < box.hi + 1e-13)).all()
    assert (np.diff(np.sort(cut.triangles, axis=1), axis=1) > 0).all()
    assert np.unique(cut.triangles[cut.triangles >= count]).tolist() == list(range(count, count + len(cut.corners)))
    for triangle, face in zip(cut.triangles, cut.face_of, strict=True):
        for vertex in triangle:
            rows = cut.corners[vertex - count][cut.weights[vertex - count] > 0] if vertex >= count else [vertex]
            assert set(map(int, rows)) <= set(faces[face].tolist())


@pytest.mark.parametrize("axes", [1, 2, 3, 4])
@given(st.data())
def test_segments_are_cut_where_rational_numbers_say(axes: int, data: st.DataObject) -> None:
    dtype, box = data.draw(st.sampled_from(DTYPES)), data.draw(boxes(axes))
    grid = npst.arrays(dtype, (12, axes), elements=GRID.map(np.dtype(dtype).type))
    starts, ends = data.draw(grid), data.draw(grid)
    cut = clip_segments(starts, ends, box)
    assert cut.kept.tolist() == segments_meet(starts, ends, box).tolist()
    rows, corners = np.concatenate([starts, ends]), np.flatnonzero(cut.kept)[:, None] + np.array([0, 12])
    for which, t in enumerate((cut.t_in[cut.kept], cut.t_out[cut.kept])):
        places = cut_positions(rows, corners, np.stack([1 - t, t], axis=1), box)
        assert box.mask(places).all()
        for (start, end), place in zip(corners, places, strict=True):
            a, b = point(rows[start]), point(rows[end])
            bounds = span(a, b, *sides(box))
            assert bounds is not None
            expected = [float(x + bounds[which] * (y - x)) for x, y in zip(a, b, strict=True)]
            assert place.tolist() == pytest.approx(expected, rel=float(np.finfo(places.dtype).eps), abs=1e-14)


@given(st.data())
def test_what_is_left_of_triangles_has_the_exact_area(data: st.DataObject) -> None:
    dtype, box = data.draw(st.sampled_from(["float32", "float64", "int8", "uint64"])), data.draw(boxes(2))
    positions = data.draw(npst.arrays(dtype, (9, 2), elements=GRID.map(np.dtype(dtype).type)))
    faces = data.draw(npst.arrays(np.int64, (6, 3), elements=st.integers(0, 8)))
    cut = clip_faces(positions, faces, box)
    check_rows_and_weights(positions, faces, cut, box)
    places = all_positions(positions, cut, box)
    assert box.mask(places[np.unique(cut.triangles)]).all()
    left = areas(places[cut.triangles])
    for face, rows in enumerate(faces):
        expected = float(clipped_area([point(row) for row in positions[rows]], *sides(box)))
        assert left[cut.face_of == face].sum() == pytest.approx(expected, abs=1e-5 if dtype == "float32" else 1e-12)
        assert (left[cut.face_of == face] * np.sign(expected) >= -1e-6).all()


@pytest.mark.parametrize("axes", [2, 3, 4])
@given(st.data())
def test_a_face_that_is_left_meets_the_box(axes: int, data: st.DataObject) -> None:
    box = data.draw(boxes(axes))
    positions = data.draw(npst.arrays(np.float64, (20, axes), elements=st.floats(0, 6)))
    faces = data.draw(npst.arrays(np.int64, (8, 5), elements=st.integers(0, 19)))
    cut = clip_faces(positions, faces, box)
    check_rows_and_weights(positions, faces, cut, box)
    assert box.mask(all_positions(positions, cut, box)[np.unique(cut.triangles)]).all()
    assert faces_meet(positions[faces], box)[cut.face_of].all()


SIDES = st.lists(st.floats(0, 10, width=32), max_size=2, unique=True)


@pytest.mark.parametrize("dtype", ["float32", "float64"])
@given(st.integers(0, 2**32), SIDES, SIDES)
def test_a_grid_of_boxes_takes_a_mesh_apart_without_gap_or_overlap(
    dtype: str, seed: int, across: list[float], along: list[float]
) -> None:
    positions, faces = wavy(2, dtype, seed)
    whole, left, total = areas(positions[faces]), np.zeros((len(faces), 3)), 0.0
    for box in grid_of_boxes(across, along, []):
        cut = clip_faces(positions, faces, box)
        places = all_positions(positions, cut, box)
        check_open_along_the_cut_only(cut, places, box)
        parts = areas(places[cut.triangles])
        total += np.linalg.norm(parts, axis=1).sum()
        np.add.at(left, cut.face_of, parts)
    tolerance = 1e-5 if dtype == "float32" else 1e-12
    assert np.abs(left - whole).max() < tolerance
    assert total == pytest.approx(np.linalg.norm(whole, axis=1).sum(), rel=tolerance)


@pytest.mark.parametrize("dtype", ["float32", "float64", "int32"])
@given(st.integers(0, 2**32), SIDES)
def test_slabs_that_share_a_side_are_cut_there_at_the_same_places(dtype: str, seed: int, inner: list[float]) -> None:
    positions, faces = wavy(2, dtype, seed)
    # Integers would put faces into a side, which both of its slabs hold.
    boxes_ = grid_of_boxes([math.floor(side) + 0.5 for side in inner] if dtype == "int32" else inner, [], [])
    open_edges: Counter[tuple[Any, Any]] = Counter()
    for box in boxes_:
        cut = clip_faces(positions, faces, box)
        open_edges.update(border(cut, all_positions(positions, cut, box)))
    assert all(open_edges[other, one] == times for (one, other), times in open_edges.items())


def grid_of_boxes(*inner: list[float]) -> list[ClosedBox]:
    """Boxes that share their sides and fill the space."""
    edges = [[-math.inf, *sorted(set(places)), math.inf] for places in inner]
    cells = product(*(pairwise(places) for places in edges))
    return [cube(*zip(*cell, strict=True)) for cell in cells]


def border(cut: ClippedFaces, places: Any) -> list[tuple[Any, Any]]:
    """The edges without a partner, by the places of their ends; of edges between equal places there is none."""
    used = {(int(a), int(b)) for face in cut.triangles for a, b in zip(face, np.roll(face, -1), strict=True)}
    ends = [(tuple(places[a].tolist()), tuple(places[b].tolist())) for a, b in used if (b, a) not in used]
    return [(one, other) for one, other in ends if one != other]


@pytest.mark.parametrize("dtype", ["int16", "float32", "float64"])
@given(st.data())
def test_a_mesh_on_a_grid_is_open_along_the_cut_only(dtype: str, data: st.DataObject) -> None:
    """Sides through vertices, along edges and in faces."""
    points, faces = sphere(1)
    positions = (3 + np.rint(3 * points)).astype(dtype)
    box = data.draw(boxes(3))
    cut = clip_faces(positions, faces, box)
    check_rows_and_weights(positions, faces, cut, box)
    check_open_along_the_cut_only(cut, all_positions(positions, cut, box), box)


def test_the_volume_between_cuts_is_kept() -> None:
    """A cube of quads, its sides cut to a frame: the area is known and the triangles turn outward."""
    corners = np.array(list(product([0, 6], repeat=3)))
    quads = np.array([[0, 1, 3, 2], [4, 6, 7, 5], [0, 4, 5, 1], [2, 3, 7, 6], [0, 2, 6, 4], [1, 5, 7, 3]])
    box = cube([None, 1, 2], [None, 4, 4])
    cut = clip_faces(corners, quads, box)
    places = all_positions(corners, cut, box)
    twice = areas(places[cut.triangles])
    assert set(cut.face_of.tolist()) == {0, 1}
    assert twice.sum(axis=0).tolist() == [0, 0, 0]
    assert twice[cut.face_of == 0].sum(axis=0).tolist() == [-12, 0, 0]
    check_open_along_the_cut_only(cut, places, box)


@pytest.mark.parametrize("width", [3, 4, 6])
@given(st.data())
def test_faces_inside_come_through_as_they_are(width: int, data: st.DataObject) -> None:
    positions = data.draw(npst.arrays(np.float32, (9, 3), elements=st.floats(0, 1, width=32)))
    orders = data.draw(st.lists(st.permutations(range(9)), min_size=1, max_size=5))
    faces = np.array([order[:width] for order in orders])
    cut = clip_faces(positions, faces, cube([0, 0, None], [1, 1, None]))
    assert cut.face_of.tolist() == np.repeat(np.arange(len(faces)), width - 2).tolist()
    expected = [[face[0], face[i], face[i + 1]] for face in faces.tolist() for i in range(1, width - 1)]
    assert cut.triangles.tolist() == expected
    assert cut.corners.shape == cut.weights.shape == (0, 3)


def test_what_touches_the_box_only_or_has_no_three_vertices_is_left_out() -> None:
    positions = np.array([[0, 0], [2, 0], [0, 2], [2, 2], [1, 1], [0, 1], [1, -1]])
    faces = np.array([[1, 2, 3], [0, 4, 4], [4, 4, 4], [0, 0, 1], [4, 3, 1], [0, 4, 5]])
    cut = clip_faces(positions, faces, cube([0, 0], [1, 1]))
    assert (cut.triangles.tolist(), cut.face_of.tolist()) == ([[0, 4, 5]], [5])
    assert cut.corners.shape == (0, 3)
    flat = clip_faces(positions, faces, cube([0.5, 0], [0.5, 1]))
    assert (len(flat.triangles), len(flat.corners)) == (0, 0)


def test_a_face_in_a_box_without_width_is_cut_in_its_plane() -> None:
    positions = np.array([[0, 0, 0.1], [4, 0, 0.1], [0, 4, 0.1]])
    box = cube([0, 0, 0.1], [3, 1, 0.1])
    cut = clip_faces(positions, np.array([[0, 1, 2]]), box)
    places = all_positions(positions, cut, box)
    assert areas(places[cut.triangles]).sum(axis=0).tolist() == pytest.approx([0, 0, 6])
    assert (places[:, 2] == 0.1).all()


FLAT = npst.arrays(np.float64, (12, 2), elements=st.floats(0, 9))


@given(FLAT, npst.arrays(np.int64, (12, 3), elements=st.integers(0, 11)), boxes(2), st.floats(0.1, 0.9))
def test_a_mesh_in_a_side_stays_in_it(rows: Any, faces: Any, across: ClosedBox, height: float) -> None:
    positions = np.insert(rows, 2, height, axis=1)
    whole = clip_faces(rows, faces, across)
    for low, high in ((height, 1), (0, height), (height, height), (0, math.nextafter(height, 1))):
        box = ClosedBox(np.append(across.lo, low), np.append(across.hi, high))
        cut = clip_faces(positions, faces, box)
        assert cut.triangles.tolist() == whole.triangles.tolist()
        assert (all_positions(positions, cut, box)[:, 2] == height).all()
    for low, high in ((math.nextafter(height, 1), 1), (0, math.nextafter(height, 0))):
        assert (
            len(
                clip_faces(positions, faces, ClosedBox(np.append(across.lo, low), np.append(across.hi, high))).triangles
            )
            == 0
        )


@given(npst.arrays(np.float64, (12, 3), elements=st.floats(0, 9)), st.floats(1, 8), st.integers(0, 2))
def test_a_box_without_width_leaves_nothing_of_faces_that_pass_it(rows: Any, side: float, axis: int) -> None:
    lo, hi = np.full(3, -math.inf), np.full(3, math.inf)
    lo[axis] = hi[axis] = side
    rows[:, axis] += np.where(rows[:, axis] == side, 1, 0)
    cut = clip_faces(rows, np.arange(12).reshape(4, 3), ClosedBox(lo, hi))
    assert (len(cut.triangles), len(cut.corners)) == (0, 0)


@given(st.data())
def test_an_edge_through_an_edge_of_the_box_is_cut_alike_in_both_faces(data: st.DataObject) -> None:
    number = st.integers(0, 40)
    step = data.draw(npst.arrays(np.int64, 3, elements=st.integers(-9, 9)))
    parts, at = data.draw(st.integers(2, 60)), data.draw(st.integers(1, 60))
    one = data.draw(npst.arrays(np.int64, 3, elements=number))
    apart = data.draw(npst.arrays(np.int64, (2, 3), elements=st.integers(-999, 999)))
    corners = np.concatenate([[one, one + parts * step], apart])
    place = one + min(at, parts) * step
    order = np.array(data.draw(st.permutations(range(4))))
    positions, faces = corners[np.argsort(order)].astype(float), order[[[0, 1, 2], [1, 0, 3], [2, 1, 3], [0, 2, 3]]]
    for below in product([True, False], repeat=2):
        lo = [None if low else int(side) for low, side in zip(below, place, strict=False)]
        hi = [int(side) if low else None for low, side in zip(below, place, strict=False)]
        box = cube([*lo, None], [*hi, None])
        cut = clip_faces(positions, faces, box)
        check_open_along_the_cut_only(cut, all_positions(positions, cut, box), box)


@given(npst.arrays(np.int64, (12, 2), elements=st.integers(-6, 6)), st.integers(-3, 3), st.integers(-3, 3))
def test_whole_numbers_beyond_float64_are_kept_as_the_mask_says(rows: Any, one: int, other: int) -> None:
    positions, faces = rows + 2**53, np.arange(12).reshape(4, 3)
    box = cube([2**53 + min(one, other), None], [2**53 + max(one, other), None])
    cut = clip_faces(positions, faces, box)
    used = np.unique(cut.triangles)
    assert box.mask(positions[used[used < 12]]).all()
    assert box.mask(cut_positions(positions, cut.corners, cut.weights, box)).all() or one % 2 == other % 2 == 1


@given(st.data())
def test_float32_near_the_sides_is_cut_within_the_mask(data: st.DataObject) -> None:
    near = [np.float32(0.1), np.nextafter(NEAR, np.float32(1)), np.nextafter(NEAR, np.float32(0)), np.float32(0), 1]
    positions = data.draw(npst.arrays(np.float32, (9, 2), elements=st.sampled_from(near)))
    values = [0.1, float(NEAR), math.nextafter(float(NEAR), 1), math.nextafter(float(NEAR), 0), 0.5, 1 / 3]
    pair = st.tuples(st.sampled_from(values), st.sampled_from(values)).map(sorted)
    box = cube(*zip(data.draw(pair), data.draw(pair), strict=True))
    faces = data.draw(npst.arrays(np.int64, (6, 3), elements=st.integers(0, 8)))
    cut = clip_faces(positions, faces, box)
    check_rows_and_weights(positions, faces, cut, box)
    places = all_positions(positions, cut, box)
    low, high = zip(*(box.limits(axis, places.dtype) for axis in range(2)), strict=True)
    assert places.dtype == np.float32
    assert box.mask(places[np.unique(cut.triangles)]).all() or np.any(np.array(low) > np.array(high))
    kept = cut.triangles[cut.triangles < 9]
    assert box.mask(positions[kept]).all()


def test_huge_and_tiny_numbers_are_cut_without_overflow() -> None:
    positions = np.array([[-1.7e308, -1.7e308], [1.7e308, -1.7e308], [0, 1.7e308], [1e-300, np.inf]])
    box = cube([-1e308, -1], [1e308, 1])
    cut = clip_faces(positions, np.array([[0, 1, 2], [0, 1, 3]]), box)
    places = all_positions(positions, cut, box)
    assert set(cut.face_of.tolist()) == {0}
    # The box is thinner there than one step of float64, so y may be anything in it.
    assert sorted(places[4:, 0].tolist()) == pytest.approx([-8.5e307] * 2 + [8.5e307] * 2)
    assert box.mask(places[4:]).all()


def test_no_faces_leave_nothing() -> None:
    box = cube([0, 0], [1, 1])
    for faces in (np.zeros((0, 4), dtype=np.int64), np.array([[0, 1, 2]])):
        cut = clip_faces(np.full((3, 2), 9.0), faces, box)
        assert [part.shape for part in (cut.triangles, cut.face_of, cut.corners)] == [(0, 3), (0,), (0, 3)]
    with pytest.raises(InputError, match="three corners"):
        clip_faces(np.zeros((2, 2)), np.array([[0, 1]]), box)
