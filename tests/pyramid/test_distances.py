"""Distances to segments and triangles, against a dense sample of each and against cases that can be told by hand."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from zarr_vectors.pyramid.distances import distance_to_segments, distance_to_triangles
from zarr_vectors.typing import FloatArray

STEPS = 60


def rows_of(data: st.DataObject, axes: int, count: int) -> list[FloatArray]:
    """Tables of the same few rows, from a small lattice, so that corners meet and lie on one line."""
    rows = data.draw(st.integers(0, 5))
    number = st.integers(-3, 3).map(float) | st.floats(-3, 3, width=32)
    flat = data.draw(st.lists(number, min_size=count * rows * axes, max_size=count * rows * axes))
    return list(np.array(flat, dtype=np.float64).reshape(count, rows, axes))


def sampled(point: FloatArray, corners: list[FloatArray]) -> tuple[float, float]:
    """The distance to the nearest of many points of a segment or triangle, and how far from it the true one may be."""
    one = np.linspace(0, 1, STEPS)
    if len(corners) == 2:
        weights = np.stack([1 - one, one], axis=1)
    else:
        v, w = (grid.ravel() for grid in np.meshgrid(one, one))
        weights = np.stack([1 - v - w, v, w], axis=1)[v + w <= 1 + 1e-9]
    found = np.linalg.norm(weights @ np.array(corners) - point, axis=1).min()
    size = max(float(np.linalg.norm(corner - corners[0])) for corner in corners)
    return float(found), 2 * size / (STEPS - 1)


@given(st.data(), st.sampled_from([(2, 1), (2, 2), (2, 3), (2, 4), (3, 2), (3, 3), (3, 4)]))
def test_against_a_dense_sample(data: st.DataObject, kind: tuple[int, int]) -> None:
    corners, axes = kind
    points, *tables = rows_of(data, axes, corners + 1)
    measure: Any = distance_to_segments if corners == 2 else distance_to_triangles
    got = measure(points, *tables)
    assert got.dtype == np.float64
    assert got.shape == (len(points),)
    for row, point in enumerate(points):
        found, step = sampled(point, [table[row] for table in tables])
        assert found - step - 1e-9 <= got[row] <= found + 1e-9


def test_the_inside_the_sides_and_the_corners_of_a_triangle() -> None:
    a, b, c = np.array([0.0, 0, 0]), np.array([4.0, 0, 0]), np.array([0.0, 4, 0])
    points = np.array([[1, 1, 2], [2, -3, 0], [3, 3, 0], [-3, -4, 0], [8, -3, 0], [1, 1, 0]])
    got = distance_to_triangles(points, *(np.tile(corner, (6, 1)) for corner in (a, b, c)))
    np.testing.assert_allclose(got, [2, 3, 2**0.5, 5, 5, 0], atol=1e-15)


@pytest.mark.parametrize("far", [1e6, 1e12])
def test_far_from_the_origin_nothing_is_lost(far: float) -> None:
    near = np.array([[0.5, 0.25, 0.125]])
    a, b, c = np.array([[0.0, 0, 0]]), np.array([[1.0, 0, 0]]), np.array([[0.0, 1, 0]])
    assert distance_to_segments(near + far, a + far, b + far) == distance_to_segments(near, a, b)
    assert distance_to_triangles(near + far, a + far, b + far, c + far) == 0.125


@pytest.mark.parametrize("size", [1e-150, 1e100, 1e300])
def test_very_small_and_very_large(size: float) -> None:
    points, a, b = np.array([[1.0, 2, 0], [1, 1, 2]]), np.zeros((2, 3)), np.array([[4.0, 0, 0]] * 2)
    c = np.array([[0.0, 4, 0]] * 2)
    np.testing.assert_allclose(distance_to_segments(points * size, a, b * size), np.array([2, 5**0.5]) * size)
    np.testing.assert_allclose(distance_to_triangles(points * size, a, b * size, c * size), np.array([0, 2]) * size)


def test_one_large_row_does_not_spoil_the_others() -> None:
    points = np.array([[0.0, 3], [0, 3e200]])
    got = distance_to_segments(points, np.zeros((2, 2)), np.array([[1.0, 0], [1e200, 0]]))
    np.testing.assert_allclose(got, [3, 3e200])


def test_segments_too_short_to_have_a_square() -> None:
    points, short = np.array([[1e140, 0.0]]), np.array([[3e-162, 0.0]])
    assert distance_to_segments(points, np.zeros((1, 2)), short) == 1e140
    assert distance_to_triangles(points, np.zeros((1, 2)), short, short[:, ::-1]) == 1e140


def test_many_rows_of_integers() -> None:
    rng = np.random.default_rng(0)
    points, a, b, c = rng.integers(-100, 100, (4, 70_001, 3)).astype(np.int16)
    segments, triangles = distance_to_segments(points, a, b), distance_to_triangles(points, a, b, c)
    assert (triangles <= segments + 1e-9).all()
    last = slice(-5, None)
    np.testing.assert_array_equal(segments[last], distance_to_segments(points[last], a[last], b[last]))
    np.testing.assert_array_equal(triangles[last], distance_to_triangles(points[last], a[last], b[last], c[last]))
