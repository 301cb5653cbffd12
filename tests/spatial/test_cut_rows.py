"""Rows of vertex columns, and positions, where a box cuts."""

from __future__ import annotations

import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as npst

from tests.spatial.exact import cube
from zarr_vectors.spatial.clip import clip_segments, cut_positions, interpolate

PAIRS, THIRDS = np.array([[0, 1], [2, 1]]), np.array([[0.5, 0.5], [1 / 3, 2 / 3]])


@pytest.mark.parametrize("dtype", ["float16", "float32", ">f8", "complex64", "complex128"])
def test_real_and_complex_columns_are_interpolated(dtype: str) -> None:
    values = (np.arange(6).reshape(3, 2) ** 2 * (1j if dtype.startswith("c") else 1)).astype(dtype)
    rows = interpolate(values, PAIRS, THIRDS)
    assert rows.dtype == values.dtype
    exact = [[2, 5], [(16 + 2 * 4) / 3, (25 + 2 * 9) / 3]]
    assert np.abs(rows).tolist() == [pytest.approx(row, rel=1e-3) for row in exact]
    assert interpolate(values[:, 0], PAIRS, THIRDS).tolist() == rows[:, 0].tolist()


@pytest.mark.parametrize("dtype", ["int8", "uint64", "bool", "datetime64[s]", "timedelta64[us]", "U3"])
def test_other_columns_take_the_value_of_the_nearer_end(dtype: str) -> None:
    values = np.array([0, 1, 2]).astype(dtype)
    rows = interpolate(values, PAIRS, THIRDS)
    assert rows.dtype == values.dtype
    assert rows.tolist() == values[[0, 1]].tolist()
    assert interpolate(values, PAIRS[:, ::-1], THIRDS).tolist() == values[[1, 2]].tolist()


@given(st.data())
def test_interpolated_values_stay_between_their_corners(data: st.DataObject) -> None:
    values = data.draw(npst.arrays(np.float64, (5, 2), elements=st.floats(allow_nan=False)))
    corners = data.draw(npst.arrays(np.int64, (6, 3), elements=st.integers(0, 4)))
    weights = data.draw(npst.arrays(np.float64, (6, 3), elements=st.sampled_from([0.0, 0.1, 0.7, 1.0])))
    weights[weights.sum(axis=1) == 0] = 1
    weights /= weights.sum(axis=1, keepdims=True)
    rows = interpolate(values, corners, weights)
    for row, names, shares in zip(rows, corners, weights, strict=True):
        used = values[names[shares > 0]]
        mixed = np.isneginf(used).any(axis=0) & np.isposinf(used).any(axis=0)
        assert (mixed | ((row >= used.min(axis=0)) & (row <= used.max(axis=0)))).all()


def test_a_corner_without_weight_has_no_say() -> None:
    values = np.array([0.1, np.nan, np.inf, 3.0])
    corners, weights = np.array([[0, 1, 2], [2, 1, 3], [1, 0, 0]]), np.array([[1, 0, 0], [0.5, 0, 0.5], [0.5, 0.5, 0]])
    assert interpolate(values, corners, weights).tolist()[:2] == [0.1, math.inf]
    assert np.isnan(interpolate(values, corners, weights)[2])
    assert interpolate(values, corners[:0], weights[:0]).shape == (0,)


@pytest.mark.parametrize("dtype", ["float16", "float32", "float64", ">f4", "int8", "uint64"])
@given(st.data())
def test_positions_at_cuts_lie_in_the_box(dtype: str, data: st.DataObject) -> None:
    """Along each segment from a point outside into a box whose sides no dtype holds."""
    side = data.draw(st.floats(1, 9))
    box = cube([side, None], [None, side + 1])
    starts = np.array([[0, 0]] * 4).astype(dtype)
    ends = data.draw(npst.arrays(dtype, (4, 2), elements=st.integers(10, 100).map(np.dtype(dtype).type)))
    cut = clip_segments(starts, ends, box)
    corners = np.stack([np.zeros(4, int), np.arange(1, 5)], axis=1)
    rows = np.concatenate([starts[:1], ends]).astype(dtype)
    for t in (cut.t_in, cut.t_out):
        places = cut_positions(rows, corners, np.stack([1 - t, t], axis=1), box)
        assert places.dtype == (rows.dtype if rows.dtype.kind == "f" else np.float64)
        assert box.mask(places[cut.kept]).all()
        if dtype in ("float64", "uint64"):
            # Sides that float64 holds are hit exactly.
            assert ((places[cut.kept] == [side, side + 1]).any(axis=1)).all()
