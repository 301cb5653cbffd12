"""Chunk coordinates, bins, keys and grids."""

from __future__ import annotations

import json
import math
from fractions import Fraction
from itertools import product
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as npst

from tests.spatial.arrays import finite_arrays
from zarr_vectors.exceptions import ChunkingError
from zarr_vectors.spatial.chunking import compute_grid_shape
from zarr_vectors.spatial.grid import (
    Grid,
    bin_numbers,
    chunk_coords,
    format_keys,
    parse_key_text,
    parse_keys,
    rows_among,
)

SMALL = st.integers(-5, 5)
DTYPES = ["float16", "float32", "float64", "int8", "int16", "int32", "int64", "uint8", "uint16", "uint32", "uint64"]


@st.composite
def grids(draw: st.DrawFn, ndim: int = 2) -> Grid:
    origin = draw(st.tuples(*[SMALL] * ndim))
    return Grid(origin, draw(st.tuples(*[st.integers(1, 6)] * ndim)))


def cells_of(grid: Grid) -> set[tuple[int, ...]]:
    return {tuple(row) for row in grid.all_coords().tolist()}


@given(grids(), grids())
def test_grids_are_sets_of_chunks(one: Grid, other: Grid) -> None:
    mine, theirs = cells_of(one), cells_of(other)
    assert one.cells == len(mine) == math.prod(one.shape)
    assert one.covers(other) == (theirs <= mine)
    both = one.intersection(other)
    assert (set() if both is None else cells_of(both)) == mine & theirs
    union = one.union(other)
    assert union.covers(one)
    assert union.covers(other)
    assert [*union.origin] == [min(coords) for coords in zip(*(mine | theirs), strict=True)]
    assert [n + low - 1 for n, low in zip(union.shape, union.origin, strict=True)] == [
        max(coords) for coords in zip(*(mine | theirs), strict=True)
    ]
    wide = union.all_coords()
    assert one.contains(wide).tolist() == [tuple(row) in mine for row in wide.tolist()]


def test_all_coordinates_come_in_c_order() -> None:
    assert Grid((-1, 4), (2, 3)).all_coords().tolist() == [list(cell) for cell in product((-1, 0), (4, 5, 6))]


@pytest.mark.parametrize(
    ("lo", "hi", "chunk_shape", "grid"),
    [
        ([0.0, 0.0], [1000.0, 999.0], [1000, 1000], Grid((0, 0), (2, 1))),
        ([-0.1, -10.0], [0.0, -10.0], [10, 10], Grid((-1, -1), (2, 1))),
        ([5.0], [5.0], [2.5], Grid((2,), (1,))),
        ([-1e9], [1e9], [1e8], Grid((-10,), (21,))),
    ],
)
def test_an_inclusive_box_touches_the_chunk_that_begins_at_its_upper_face(
    lo: list[float], hi: list[float], chunk_shape: list[float], grid: Grid
) -> None:
    assert Grid.of_bounds(lo, hi, chunk_shape) == grid
    assert compute_grid_shape((lo, hi), chunk_shape) == grid.shape


@pytest.mark.parametrize("far", [1e30, -1e17, 1e308])
@pytest.mark.parametrize("edge", [1.0, 1e-300])
def test_chunks_that_cannot_be_numbered_are_refused(far: float, edge: float) -> None:
    lo, hi = sorted([0.0, far])
    with pytest.raises(ChunkingError, match="larger chunks"):
        Grid.of_bounds([lo, 0.0], [hi, 1.0], [edge, 1.0])


@pytest.mark.parametrize("dtype", DTYPES)
@given(st.data())
def test_a_chunk_is_the_floor_of_the_float64_quotient(dtype: str, data: st.DataObject) -> None:
    positions = data.draw(finite_arrays(dtype, (5, 2)))
    size = {"float64": [1e300, 1e299], "float32": [1e30, 3.7e29]}.get(dtype, [2.0**30, 2048.5])
    coords = chunk_coords(positions, size)
    for axis, edge in enumerate(size):
        assert coords[axis].tolist() == [math.floor(float(value) / edge) for value in positions[:, axis]]
    shifted = chunk_coords(positions, size, origin=(-3, 7))
    assert [axis.tolist() for axis in shifted] == [(coords[0] + 3).tolist(), (coords[1] - 7).tolist()]


@given(st.integers(-(10**6), 10**6), st.sampled_from([1, 10, 0.5, 2.5, 0.1, 0.3, 1e-3, 7.7]))
def test_a_value_on_a_face_is_in_the_chunk_that_begins_there(number: int, edge: float) -> None:
    face = number * edge
    (coord,) = chunk_coords(np.array([[face]]), [edge])[0]
    # The product is rounded, so the face may be off by less than one part in 2**52; the quotient rounds back.
    assert coord == math.floor(face / edge)
    if Fraction(face) == number * Fraction(edge):
        assert coord == number


@pytest.mark.parametrize("value", [2**53 + 1, -(2**53) - 1, 2**63 - 1, -(2**63)])
def test_integer_positions_beyond_float64_have_a_chunk_next_to_the_exact_one(value: int) -> None:
    (coord,) = chunk_coords(np.array([[value]]), [1024])[0]
    assert coord == math.floor(float(value) / 1024)
    assert abs(int(coord) - value // 1024) <= 1


@given(
    npst.arrays(np.float64, (20, 2), elements=st.floats(-100, 100)),
    st.sampled_from([((10, 10), (5.0, 2.5), (2, 4)), ((0.3, 3.0), (0.1, 1.0), (3, 3)), ((7, 7), (7, 7), (1, 1))]),
)
def test_bins_of_a_chunk_are_numbered_row_by_row(
    positions: np.ndarray[Any, np.dtype[np.float64]],
    shapes: tuple[tuple[float, ...], tuple[float, ...], tuple[int, ...]],
) -> None:
    chunk, fine, bins = shapes
    numbers = bin_numbers(positions, chunk, fine, bins)
    for row, number in zip(positions, numbers, strict=True):
        local = [math.floor(v / b) - math.floor(v / c) * n for v, c, b, n in zip(row, chunk, fine, bins, strict=True)]
        clipped = [min(max(index, 0), n - 1) for index, n in zip(local, bins, strict=True)]
        assert number == np.ravel_multi_index(clipped, bins)
        assert all(abs(a - b) <= 1 for a, b in zip(local, clipped, strict=True))


@given(st.integers(1, 4).flatmap(lambda n: st.lists(st.tuples(*[st.integers(-(2**62), 2**62)] * n), max_size=6)))
def test_keys_survive(coords: list[tuple[int, ...]]) -> None:
    ndim = len(coords[0]) if coords else 3
    keys = format_keys(np.array(coords, dtype=np.int64).reshape(-1, ndim))
    assert keys == [".".join(map(str, coord)) for coord in coords]
    assert [tuple(row) for row in parse_keys(keys, ndim).tolist()] == coords


@pytest.mark.parametrize(
    "keys",
    [
        *(["0"], ["0.0.0"], ["0.0", "1"], ["0.0.0", "0"], ["a.b"], ["0."], [""], ["1.5.2"], ["9" * 20 + ".0"]),
        *(["0.0,1.1"], ["0.0", "1,1.0"], ["0.-"], ["0.--1"], ["0.1-1"], ["0. 1 2"]),
    ],
)
def test_what_is_no_key_of_the_rank_is_refused(keys: list[str]) -> None:
    with pytest.raises(ValueError, match=r"key|literal"):
        parse_keys(keys, 2)


LISTED = st.lists(st.tuples(*[st.integers(-(10**18) + 1, 10**18 - 1) | st.integers(-12, 120)] * 3), min_size=1)


@given(LISTED)
def test_keys_are_read_from_the_text_of_a_list(coords: list[tuple[int, ...]]) -> None:
    text = json.dumps(format_keys(np.array(coords, dtype=np.int64)), separators=(",", ":")).encode()
    got = parse_key_text(text, 3)
    assert got is not None
    assert got.tolist() == [list(row) for row in coords]
    assert parse_key_text(text, 4) is None or len(coords) % 4 == 0


@given(st.lists(st.text(alphabet="01.-2", max_size=6), min_size=1, max_size=4), st.integers(1, 3))
def test_texts_of_other_keys_are_left_alone(keys: list[str], ndim: int) -> None:
    got = parse_key_text(json.dumps(keys, separators=(",", ":")).encode(), ndim)
    if got is not None:
        assert format_keys(got) == keys


@pytest.mark.parametrize(
    "text",
    [
        *("", "1", '["1.2";"3.4"]', '["1.2"]]', '[ "1.2"]', '["1.2","3.4"', '["1.2"7]', '["01.2"]', '[7"1.","3.4"]'),
        *('["1-2.","3.4"]', '["1.-0"]', '["1.-"]', '["--1.2"]', '["1.2-"]', '["1","2.3.4"]'),
    ],
)
def test_texts_that_are_no_list_of_keys(text: str) -> None:
    assert parse_key_text(text.encode(), 2) is None


COORDS = st.lists(st.tuples(*[st.one_of(st.integers(-2, 2), st.sampled_from([-(2**62), 2**62]))] * 2), max_size=6)


@given(COORDS, COORDS)
def test_coordinates_are_found_among_others(one: list[tuple[int, int]], other: list[tuple[int, int]]) -> None:
    coords, others = (np.array(rows, dtype=np.int64).reshape(-1, 2) for rows in (one, other))
    assert rows_among(coords, others).tolist() == [row in other for row in one]
