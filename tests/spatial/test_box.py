"""Closed boxes."""

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
from zarr_vectors.exceptions import InputError
from zarr_vectors.spatial.box import ClosedBox
from zarr_vectors.spatial.grid import Grid, chunk_coords

INF = math.inf
FLOATS = ["float16", "float32", "float64", ">f4"]
INTEGERS = ["int8", "int16", "int32", "int64", "uint8", "uint16", "uint32", "uint64"]


def exactly(value: Any) -> Fraction:
    return Fraction(int(value)) if np.asarray(value).dtype.kind in "iu" else Fraction(float(value))


def inside(value: Any, lo: float, hi: float) -> bool:
    """Comparison in rational numbers."""
    above = lo == -INF or (lo != INF and exactly(value) >= Fraction(lo))
    return above and (hi == INF or (hi != -INF and exactly(value) <= Fraction(hi)))


@st.composite
def sides_around(draw: st.DrawFn, values: list[Any], whole: bool) -> tuple[float, float]:
    """Limits on, next to, and far from the values."""
    near = [float(value) for value in values]
    near += [math.nextafter(value, target) for value in near for target in (-INF, INF)]
    choices = [st.sampled_from(near), st.floats(allow_nan=False)]
    if whole:
        choices += [st.sampled_from([int(value) + step for value in values for step in (-1, 0, 1)])]
    one, other = draw(st.one_of(choices)), draw(st.one_of(choices))
    return (one, other) if one <= other else (other, one)


@pytest.mark.parametrize("dtype", FLOATS + INTEGERS)
@given(st.data())
def test_rows_are_compared_without_rounding_either_side(dtype: str, data: st.DataObject) -> None:
    values = data.draw(finite_arrays(dtype, (8,)))
    lo, hi = data.draw(sides_around(list(values), whole=True))
    box = ClosedBox.from_user(([lo], [hi]), ("x",))
    assert box.mask(values[:, None]).tolist() == [inside(value, lo, hi) for value in values]


@pytest.mark.parametrize("dtype", ["int64", "uint64", "float64"])
def test_whole_numbers_beyond_float64_are_exact(dtype: str) -> None:
    edge = 2**53
    rows = np.array([[edge], [edge + 1 if dtype != "float64" else edge + 2], [edge + 2]], dtype=dtype)
    assert ClosedBox.from_user(([edge + 1], [edge + 2]), ("x",)).mask(rows).tolist() == [False, True, True]
    assert ClosedBox.from_user(([-(2**70)], [np.int64(edge)]), ("x",)).mask(rows).tolist() == [True, False, False]
    assert ClosedBox.from_user(([2**64], [2**70]), ("x",)).mask(rows).tolist() == [False] * 3
    with pytest.raises(InputError, match="inverted"):
        ClosedBox.from_user(([edge + 1], [edge]), ("x",))


@pytest.mark.parametrize(
    ("given_box", "lo", "hi"),
    [
        (([0, 1], [2, 3]), [0, 1], [2, 3]),
        (np.array([[0, 1], [2, 3]]), [0, 1], [2, 3]),
        (([None, 1], [2, None]), [-INF, 1], [2, INF]),
        (([-INF, 1], [2, INF]), [-INF, 1], [2, INF]),
        ({"y": (1, None)}, [-INF, 1], [INF, INF]),
        ({"x": None, "y": (1, 3)}, [-INF, 1], [INF, 3]),
        ({"x": np.array([1, 1])}, [1, -INF], [1, INF]),
        ({}, [-INF, -INF], [INF, INF]),
    ],
)
def test_boxes_are_taken_as_corners_or_by_axis(given_box: Any, lo: list[float], hi: list[float]) -> None:
    box = ClosedBox.from_user(given_box, ("x", "y"))
    assert (box.lo.tolist(), box.hi.tolist()) == (lo, hi)


@pytest.mark.parametrize(
    ("given_box", "message"),
    [
        (([0, 0, 0], [1, 1, 1]), "one number per axis"),
        (([0, 0],), "must be"),
        ([0, 0, 1, 1], "must be"),
        ("ab", "must be"),
        (7, "must be"),
        (([0, "a"], [1, 1]), "must be"),
        (([0, 1j], [1, 1]), "must be"),
        (([0, 0], [1, 10**400]), "must be"),
        (([0, math.nan], [1, 1]), "NaN"),
        (([0, 2], [1, 1]), "inverted on axis 'y'"),
        ({"z": (0, 1)}, "does not have"),
        ({"x": 5}, "each axis it names"),
        ({"x": (1, 2, 3)}, "each axis it names"),
        ({"x": (None, math.nan)}, "NaN"),
    ],
)
def test_what_is_no_box_is_refused(given_box: Any, message: str) -> None:
    with pytest.raises(InputError, match=message):
        ClosedBox.from_user(given_box, ("x", "y"))


SIDE = st.one_of(st.floats(-40, 40), st.sampled_from([-INF, INF, 0.0, 3.0, -3.0]))


@given(
    npst.arrays(np.float32, (30, 2), elements=st.floats(-30, 30, width=32)),
    st.tuples(SIDE, SIDE),
    st.tuples(SIDE, SIDE),
)
def test_no_chunk_with_a_row_in_the_box_is_left_out(
    rows: Any, one: tuple[float, float], two: tuple[float, float]
) -> None:
    box = ClosedBox.from_user((list(map(min, one, two)), list(map(max, one, two))), ("x", "y"))
    shape = (3.0, 0.7)
    coords = np.stack(chunk_coords(rows, shape), axis=1)
    grid = Grid.of_bounds(rows.min(axis=0), rows.max(axis=0), shape)
    part = box.clip_grid(grid, shape)
    within = box.mask(rows)
    if part is None:
        assert not within.any()
    else:
        assert grid.covers(part)
        assert part.contains(coords)[within].all()


@pytest.mark.parametrize("side", [1e300, -1e300, INF, -INF])
def test_far_sides_leave_nothing_or_everything(side: float) -> None:
    grid, shape = Grid((-2,), (5,)), (1e-10,)
    assert ClosedBox.from_user(([side], [None]), ("x",)).clip_grid(grid, shape) == (grid if side < 0 else None)
    assert ClosedBox.from_user(([None], [side]), ("x",)).clip_grid(grid, shape) == (grid if side > 0 else None)
