"""Points counted onto pixels."""

from __future__ import annotations

import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from zarr_vectors.view.raster import count_points, fill_gaps, main_class, mean_of, occupied_share, pixel_of

UNIT = (0.0, 1.0, 0.0, 1.0)
SHAPE = (3, 4)


@given(st.lists(st.tuples(st.floats(0, 1), st.floats(0, 1)), max_size=40))
def test_every_point_lands_on_its_pixel(points: list[tuple[float, float]]) -> None:
    x, y = np.array(points, dtype=float).reshape(-1, 2).T
    pixels = pixel_of(x, y, UNIT, SHAPE)
    for pixel, (left, low) in zip(pixels.tolist(), points, strict=True):
        assert pixel == min(int(low * 3), 2) * 4 + min(int(left * 4), 3)
    assert count_points(pixels, SHAPE).sum() == len(points)


def test_coordinates_of_any_number_type() -> None:
    for dtype in (np.float32, np.int16, np.uint8, np.int64, np.uint64):
        values = np.array([0, 5, 10], dtype=dtype)
        assert pixel_of(values, values, (0, 10, 0, 10), (2, 2)).tolist() == [0, 3, 3]


def test_mean_leaves_missing_values_out() -> None:
    pixels = np.array([0, 0, 0, 2, 3])
    means = mean_of(np.array([1.0, 3.0, np.nan, np.nan, np.inf]), pixels, (1, 4))
    assert means[0, 0] == 2
    assert np.isnan(means[0, 1:]).all()


def test_main_class() -> None:
    codes = np.array([0, 1, 1, -1, -1, 2])
    pixels = np.array([0, 0, 0, 0, 1, 3])
    assert main_class(codes, 3, pixels, (1, 4)).tolist() == [[1, -1, -1, 2]]


def test_fill_gaps_grows_or_closes() -> None:
    occupied = np.zeros((5, 5), dtype=bool)
    occupied[1:4, 1:4] = True
    occupied[2, 2] = False
    picture = np.where(occupied, 7, 0)
    closed = fill_gaps(picture, occupied, needed=4)
    assert closed.sum() == 9
    assert (picture[1:4, 1:4] == 7).all()
    assert picture.sum() == 63
    assert fill_gaps(picture, closed, needed=1).all()
    assert (picture == 7).all()


def test_share() -> None:
    grid = np.linspace(0, 1, 200)
    x, y = (side.ravel() for side in np.meshgrid(grid, grid))
    assert occupied_share(x, y, UNIT) == 1
    assert occupied_share(x / 2, y, UNIT) < 0.53
