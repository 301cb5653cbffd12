"""Segments and faces against boxes, compared with rational numbers."""

from __future__ import annotations

import math
from fractions import Fraction
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as npst

from tests.spatial.arrays import finite_arrays
from tests.spatial.exact import GRID, boxes, cube, point, sides, span, triangle_meets
from tests.storage.stores import fewer_examples
from zarr_vectors.exceptions import InputError
from zarr_vectors.spatial.box import ClosedBox
from zarr_vectors.spatial.meet import faces_meet, segment_spans, segments_meet

DTYPES = ["float16", "float32", "float64", ">f4", "int8", "uint16", "int64", "uint64"]
AXES = [1, 2, 3, 4]
NEAR = float(np.float32(0.1))


def on_grid(dtype: str, shape: tuple[int, ...]) -> st.SearchStrategy[Any]:
    return npst.arrays(dtype, shape, elements=GRID.map(np.dtype(dtype).type))


@pytest.mark.parametrize("axes", AXES)
@fewer_examples(3)
@given(st.data())
def test_segments_on_a_grid_meet_as_in_rational_numbers(axes: int, data: st.DataObject) -> None:
    dtype = data.draw(st.sampled_from(DTYPES))
    starts, ends = data.draw(on_grid(dtype, (12, axes))), data.draw(on_grid(dtype, (12, axes)))
    box = data.draw(boxes(axes))
    met, t_in, t_out = segment_spans(starts, ends, box)
    for row, (start, end) in enumerate(zip(starts, ends, strict=True)):
        expected = span(point(start), point(end), *sides(box))
        assert met[row] == (expected is not None)
        if expected is not None and (start != end).any():
            assert (t_in[row], t_out[row]) == pytest.approx([float(t) for t in expected], abs=1e-15)
    assert segments_meet(starts, ends, box).tolist() == met.tolist()
    assert ((t_in == 0) == box.mask(starts) | ~met).all()
    assert ((t_out == 1) == box.mask(ends)).all()
    assert ((t_in >= 0) & (t_in <= t_out) & (t_out <= 1)).all()


@pytest.mark.parametrize("axes", [2, 3, 4])
@fewer_examples(3)
@given(st.data())
def test_triangles_on_a_grid_meet_as_in_rational_numbers(axes: int, data: st.DataObject) -> None:
    dtype = data.draw(st.sampled_from(DTYPES))
    corners = data.draw(on_grid(dtype, (12, 3, axes)))
    box = data.draw(boxes(axes))
    lo, hi = sides(box)
    expected = [triangle_meets([point(corner) for corner in face], lo, hi) for face in corners]
    assert faces_meet(corners, box).tolist() == expected


@pytest.mark.parametrize("axes", AXES)
@fewer_examples(3)
@given(st.data())
def test_faces_meet_where_one_of_their_triangles_does(axes: int, data: st.DataObject) -> None:
    corners, box = data.draw(on_grid("float32", (8, 5, axes))), data.draw(boxes(axes))
    parts = [faces_meet(corners[:, [0, i, i + 1]], box) for i in (1, 2, 3)]
    assert faces_meet(corners, box).tolist() == np.any(parts, axis=0).tolist()


@pytest.mark.parametrize("axes", AXES)
@fewer_examples(3)
@given(st.data())
def test_faces_without_area_meet_as_segments_do(axes: int, data: st.DataObject) -> None:
    starts, ends = data.draw(on_grid("int16", (12, axes))), data.draw(on_grid("int16", (12, axes)))
    box = data.draw(boxes(axes))
    expected = segments_meet(starts, ends, box).tolist()
    middle = (starts + ends) / 2
    for corners in ([starts, ends, ends], [starts, ends, starts], [starts, middle, ends], [ends, ends, starts]):
        assert faces_meet(np.stack(corners, axis=1), box).tolist() == expected


FLOATS = st.floats(-10, 10)


@pytest.mark.parametrize("axes", AXES)
@fewer_examples(3)
@given(st.data())
def test_no_face_or_segment_is_missed_for_rounding(axes: int, data: st.DataObject) -> None:
    corners = data.draw(npst.arrays(np.float64, (6, 3, axes), elements=FLOATS))
    # Sides that go through a corner, an edge or the inside of a face as nearly as float64 can.
    mix = data.draw(npst.arrays(np.float64, (2, 3), elements=st.sampled_from([0.0, 0.3, 0.7, 1.0])))
    places = np.sort((mix / np.maximum(mix.sum(axis=1, keepdims=True), 1)) @ corners[0], axis=0)
    box = data.draw(st.sampled_from([cube(places[0], places[1]), cube(places[0], places[0])]))
    _compare(corners, box, 1e-13)


STEP = st.integers(2**54 // 12 + 1, 2**51 - 1).map(lambda quarter: 4 * quarter + 2)


@pytest.mark.parametrize("axes", [2, 3, 4])
@fewer_examples(3)
@given(st.lists(st.tuples(STEP, STEP), min_size=16, max_size=16))
def test_touching_a_corner_is_seen_where_differences_are_rounded(axes: int, steps: list[tuple[int, int]]) -> None:
    for pair in steps:
        # The corner lies at three fifths of the way exactly, but neither that distance nor the whole fits in 53 bits.
        start = [int(-float(3 * step)) for step in pair]
        corner, end = ([s + times * step for s, step in zip(start, pair, strict=True)] for times in (3, 5))
        assert [int(float(value)) for value in corner + end] == corner + end
        face = np.pad(np.array([start, end, [start[0], end[1]]], dtype=float), [(0, 0), (0, axes - 2)])
        box = cube([corner[0], *[None] * (axes - 1)], [None, corner[1], *[None] * (axes - 2)])
        assert span(point(face[0]), point(face[1]), *sides(box)) == (Fraction(3, 5), Fraction(3, 5))
        for turn in ([0, 1, 2], [1, 0, 2], [2, 1, 0]):
            assert faces_meet(face[None, turn], box).tolist() == [True]
        met, t_in, t_out = segment_spans(face[[0, 1]], face[[1, 0]], box)
        assert met.tolist() == [True, True]
        assert (t_in <= t_out).all()
        assert np.concatenate([t_in, t_out]) == pytest.approx([0.6, 0.4] * 2)


@pytest.mark.parametrize("axes", [2, 3, 4])
def test_what_misses_by_more_than_rounding_does_not_meet(axes: int) -> None:
    face = np.pad([[0.0, 2.0], [2.0, 0.0], [2.0, 2.0]], [(0, 0), (0, axes - 2)])
    for high, met in ((1.0, True), (1 - 1e-13, False)):
        box = cube([None] * axes, [high, 1, *[None] * (axes - 2)])
        assert faces_meet(face[None], box).tolist() == segments_meet(face[:1], face[1:2], box).tolist() == [met]


@pytest.mark.parametrize("axes", AXES)
@fewer_examples(3)
@given(st.data())
def test_numbers_of_any_size_meet_as_in_rational_numbers(axes: int, data: st.DataObject) -> None:
    corners = data.draw(finite_arrays("float64", (18, axes))).reshape(6, 3, axes)
    sides_drawn = np.sort(data.draw(finite_arrays("float64", (2, axes))), axis=0)
    _compare(corners, cube(*sides_drawn), float(np.abs(corners).max()) * 1e-13)


def _compare(corners: Any, box: ClosedBox, margin: float) -> None:
    """What meets the box is found; what is found meets it, or misses it by less than the margin."""
    faces, segments = faces_meet(corners, box), segments_meet(corners[:, 0], corners[:, 1], box)
    exact, grown = sides(box), sides(box, margin)
    for face, face_met, segment_met in zip(corners, faces, segments, strict=True):
        rows = [point(corner) for corner in face]
        assert face_met or not triangle_meets(rows, *exact)
        assert segment_met or span(rows[0], rows[1], *exact) is None
        assert not face_met or triangle_meets(rows, *grown)
        assert not segment_met or span(rows[0], rows[1], *grown) is not None


@pytest.mark.parametrize("dtype", ["int64", "uint64", "float64", "int32"])
@given(st.data())
def test_corners_count_as_the_mask_says(dtype: str, data: st.DataObject) -> None:
    rows = data.draw(finite_arrays(dtype, (8, 1)))
    near = [int(value) + step for value in rows[:, 0].tolist() for step in (-1, 0, 1)]
    lo, hi = sorted((data.draw(st.sampled_from(near)), data.draw(st.sampled_from(near))))
    box = cube([lo], [hi])
    mask = box.mask(rows)
    assert (box.outcodes(rows) == 0).tolist() == mask.tolist()
    assert segments_meet(rows, rows, box).tolist() == mask.tolist()
    met, t_in, t_out = segment_spans(rows[:-1], rows[1:], box)
    assert met[mask[:-1] | mask[1:]].all()
    assert ((t_in == 0) == mask[:-1] | ~met).all()
    assert ((t_out == 1) == mask[1:]).all()
    assert faces_meet(np.stack([rows] * 3, axis=1), box).tolist() == mask.tolist()


def test_whole_numbers_beyond_float64_keep_to_their_side() -> None:
    edge = 2**53
    box = cube([edge + 1, 0], [edge + 9, 1])
    starts, ends = np.array([[edge, 0]] * 2), np.array([[edge, 1], [edge + 1, 1]])
    met, t_in, t_out = segment_spans(starts, ends, box)
    assert met.tolist() == [False, True]
    assert 0 < t_in[1] <= t_out[1] == 1
    assert faces_meet(np.stack([starts, ends, ends - [0, 1]], axis=1), box).tolist() == [False, True]
    # Rounded to the side on the first axis, it would enter where it leaves on the second.
    one, other, box = np.array([[edge + 1, 0]]), np.array([[edge - 3, 9]]), cube([None, None], [edge, 0])
    assert not box.mask(np.concatenate([one, other])).any()
    assert segments_meet(one, other, box).tolist() == segments_meet(other, one, box).tolist() == [False]
    assert segments_meet(one, other - [0, 9], box).tolist() == [True]


def test_an_end_just_outside_is_never_taken_for_the_end_of_the_part_inside() -> None:
    box, far, near = cube([0], [1e290]), np.array([[1e300]]), np.array([[-5e-324]])
    for met, t_in, t_out in (segment_spans(near, far, box), segment_spans(far, near, box)):
        assert met.tolist() == [True]
        assert 0 < t_in[0] < t_out[0] < 1
    for inside in (0.0, 1e280):
        assert 0 < segment_spans(near, np.array([[inside]]), box)[1][0] <= 1
        assert 0 <= segment_spans(np.array([[inside]]), near, box)[2][0] < 1


@pytest.mark.parametrize(
    ("start", "end", "met"),
    [
        ([1, 0, 1], [1, 9, 1], True),  # in an edge of the box
        ([0, 5, 0], [5, 0, 0], False),
        ([0, 2, 1], [2, 0, 1], True),  # touches the edge at (1, 1)
        ([0, 3, 0], [0, 1, 0], True),  # ends in a corner
        ([2, 2, 2], [1, 1, 1], True),
        ([1, 1, 2], [9, 9, 2], False),  # beside the box on an axis without extent
        ([-1, -1, -1], [2, 2, 2], True),
        ([0.5, 0.5, -1], [0.5, 0.5, 9], True),
        ([1, 2, 0.5], [2, 1, 0.5], False),
    ],
)
def test_segments_along_sides_and_at_corners(start: list[float], end: list[float], met: bool) -> None:
    box = cube([0, 0, 0], [1, 1, 1])
    for one, other in ((start, end), (end, start)):
        assert segments_meet(np.array([one], float), np.array([other], float), box).tolist() == [met]


@pytest.mark.parametrize(
    ("corners", "met"),
    [
        ([[-9, 0.5, -9], [9, 0.5, -9], [0, 0.5, 9]], True),  # a side passes through the box, corners far away
        ([[3, -9, -9], [-9, 3, -9], [-9, -9, 3]], False),
        ([[3, 0, 0], [0, 3, 0], [0, 0, 3]], True),  # touches the corner (1, 1, 1)
        ([[3.01, 0, 0], [0, 3.01, 0], [0, 0, 3.01]], False),
        ([[-9, -9, 1], [9, -9, 1], [0, 9, 1]], True),  # lies in a side
        ([[-9, -9, 1.01], [9, -9, 1.01], [0, 9, 1.01]], False),
        ([[1, -9, 2], [1, 9, 0], [5, 0, 1]], True),  # an edge of it touches an edge of the box
        ([[1.01, -9, 2], [1.01, 9, 0], [5, 0, 1]], False),
    ],
)
def test_faces_through_sides_and_at_corners(corners: list[list[float]], met: bool) -> None:
    assert faces_meet(np.array([corners]), cube([0, 0, 0], [1, 1, 1])).tolist() == [met]


@pytest.mark.parametrize("far", [1e300, 1.7e308])
def test_huge_coordinates_do_not_overflow(far: float) -> None:
    box = cube([-1, None, -far], [1, None, far])
    starts, ends = np.array([[-far, -far, -far]] * 2), np.array([[far, far, far], [-far, far, 0]])
    met, t_in, t_out = segment_spans(starts, ends, box)
    assert (met.tolist(), t_in.tolist(), t_out.tolist()) == ([True, False], [0.5, 0.0], [0.5, 0.0])
    third = np.array([[0.0, -far, far]] * 2)
    assert faces_meet(np.stack([starts, ends, third], axis=1), box).tolist() == [True, True]
    wide = np.stack([starts, ends, third], axis=1)[:, :, [0, 1, 2, 0]]
    assert faces_meet(wide, cube([-1, None, -far, -1], [1, None, far, 1])).tolist() == [True, True]


def test_a_box_between_two_floats_is_met_by_what_passes_it() -> None:
    lo = math.nextafter(NEAR, 1)
    box = cube([lo, 0], [math.nextafter(lo, 1), 1])
    one, other = np.float32(NEAR), np.nextafter(np.float32(NEAR), np.float32(1))
    starts, ends = np.array([[one, 0], [one, 0]]), np.array([[other, 0], [one, 1]])
    assert box.mask(np.concatenate([starts, ends])).sum() == 0
    assert segments_meet(starts, ends, box).tolist() == [True, False]
    assert faces_meet(np.stack([starts, ends, starts], axis=1), box).tolist() == [True, False]


@pytest.mark.parametrize("bad", [np.nan, np.inf, -np.inf])
def test_what_is_not_finite_meets_by_its_other_corners_only(bad: float) -> None:
    box = cube([0, 0], [1, 1])
    starts, ends = np.array([[bad, 0.5], [bad, 0.5], [0.5, 0.5]]), np.array([[9, 0.5], [0.5, 0.5], [bad, bad]])
    met, t_in, t_out = segment_spans(starts, ends, box)
    assert (met.tolist(), t_in.tolist(), t_out.tolist()) == ([False, True, True], [0, 1, 0], [0, 1, 0])
    assert faces_meet(np.stack([starts, ends, ends], axis=1), box).tolist() == [False, True, True]


def test_nothing_is_met_by_nothing() -> None:
    box = cube([0, 0], [1, 1])
    assert segments_meet(np.zeros((0, 2)), np.zeros((0, 2)), box).shape == (0,)
    assert faces_meet(np.zeros((0, 3, 2)), box).shape == (0,)
    assert segments_meet(np.zeros((1, 2)), np.ones((1, 2)), cube([math.inf] * 2, [math.inf] * 2)).tolist() == [False]
    with pytest.raises(InputError, match="three corners"):
        faces_meet(np.zeros((1, 2, 2)), box)
