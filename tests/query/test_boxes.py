"""A box is exact: the rows that a mask over all positions finds, for every dtype and every way to say it."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import example, given
from hypothesis import strategies as st
from zarr.storage import MemoryStore

import zarr_vectors as zv
from tests.types.clouds import cloud, column_values, inside, memory, read, rows_of, same_rows, short, uniform
from zarr_vectors.exceptions import InputError
from zarr_vectors.types.points import read_points

DTYPES = ["f2", "f4", "f8", ">f4", "i1", "u1", "i2", "u2", "i4", "u4", "i8", "u8", ">i2"]


@st.composite
def clouds_and_boxes(draw: st.DrawFn) -> tuple[zv.Points, zv.Layout, Any, Any]:
    """A cloud on a lattice of half chunks, and a box whose sides like to lie on it, beside it, or far off."""
    ndim = draw(st.integers(1, 3))
    dtype = np.dtype(draw(st.sampled_from(DTYPES)))
    low = 0 if dtype.kind == "u" else -30
    step = 1 if dtype.kind in "iu" else 0.5
    lattice = st.integers(low, 30).map(lambda n: n * step)
    numbers = lattice
    if dtype.kind == "f":
        numbers |= st.floats(-15, 15, width=16)
    positions = np.array(draw(st.lists(st.tuples(*[numbers] * ndim), max_size=30)), dtype=dtype).reshape(-1, ndim)
    near = (
        lattice
        | lattice.map(lambda v: float(np.nextafter(v, 1e9)))
        | lattice.map(lambda v: float(np.nextafter(v, -1e9)))
    )
    side = st.none() | near | st.floats(-20, 20) | st.sampled_from([-np.inf, np.inf, -1e300, 1e300, 1e19, -1e19])
    lows, highs = [], []
    for _ in range(ndim):
        a, b = draw(side), draw(side)
        if a is not None and b is not None and a > b:
            a, b = b, a
        lows.append(a)
        highs.append(b)
    layout = zv.Layout(
        chunk_shape=draw(st.sampled_from([0.5, 1, 2.5, 7, 1000])),
        shard_shape=draw(st.sampled_from([None, "auto", 2])),
        bin_shape=None,
        compressor="none",
    )
    ids = draw(st.none() | st.just(np.arange(len(positions)) % 3))
    return cloud(positions, {"row": np.arange(len(positions))}, ids), layout, lows, highs


@given(clouds_and_boxes())
@example((cloud(np.array([[2.0]], "f2")), zv.Layout(), [1e300], [1e300]))
@example((cloud(np.array([[2**63 - 1], [-(2**63)]])), zv.Layout(), [None], [9.3e18]))
def test_a_box_returns_the_rows_of_a_brute_force_mask(given: tuple[zv.Points, zv.Layout, Any, Any]) -> None:
    points, layout, low, high = given
    place = MemoryStore()
    zv.write(place, points, layout=layout)
    level = zv.open(place)[0]
    mask = inside(
        points.positions,
        [-np.inf if v is None else v for v in low],
        [np.inf if v is None else v for v in high],
    )
    expected = points.take(mask)
    assert same_rows(level.read((low, high)), expected)
    assert level.count((low, high)) == mask.sum()
    names = [axis.name for axis in level.axes]
    sides = {name: (a, b) for name, a, b in zip(names, low, high, strict=True) if (a, b) != (None, None)}
    assert same_rows(level.read(sides), expected)


POINTS = uniform(2000, low=-50, high=50, attributes={"v": np.arange(2000)}, object_ids=np.arange(2000) % 13)


@pytest.fixture(scope="module", params=[None, "auto", 2])
def level(request: pytest.FixtureRequest) -> zv.ZVLevel:
    place = memory()
    zv.write(place, POINTS, layout=zv.Layout(chunk_shape=10, shard_shape=request.param), axes=("z", "y", "x"))
    return zv.open(place)[0]


ALL: list[Any] = [
    None,
    {},
    ([None] * 3, [None] * 3),
    ([-50] * 3, [50] * 3),
    (np.full(3, -1e300), np.full(3, 1e300)),
    ([-np.inf] * 3, [np.inf] * 3),
    {"x": None, "y": (None, None)},
    {"x": (-50, None), "y": (None, 50.0), "z": (-1e9, 1e9)},
    np.array([[-50.0] * 3, [50.0] * 3]),
]


@pytest.mark.parametrize("box", ALL, ids=short)
def test_a_box_around_everything_is_a_read_of_everything(level: zv.ZVLevel, box: Any) -> None:
    assert level.count(box) == 2000
    got = level.read(box)
    assert same_rows(got, POINTS)
    assert column_values(got.positions) == column_values(level.read().positions)


@pytest.mark.parametrize(
    "box",
    [
        {"x": (60, 70)},
        {"y": (None, -50.5)},
        ([51] * 3, [1e300] * 3),
        ([np.inf] * 3, [np.inf] * 3),
        {"z": (0.123456, 0.123456)},
    ],
    ids=short,
)
def test_a_box_beside_everything_is_empty_with_the_right_types(level: zv.ZVLevel, box: Any) -> None:
    got = level.read(box)
    assert got.vertex_count == level.count(box) == 0
    assert got.positions.shape == (0, 3)
    assert got.attributes["v"].dtype == np.int64
    assert got.object_ids is not None
    assert len(got.object_ids) == 0


@pytest.mark.parametrize("axes", [("x",), ("y",), ("z",), ("x", "z"), ("z", "y"), ("x", "y", "z")])
def test_a_box_may_name_any_axes(level: zv.ZVLevel, axes: tuple[str, ...]) -> None:
    box = dict.fromkeys(axes, (-20.0, 5.5))
    mask = np.all(
        [
            (POINTS.positions[:, "zyx".index(name)] >= -20) & (POINTS.positions[:, "zyx".index(name)] <= 5.5)
            for name in axes
        ],
        axis=0,
    )
    assert same_rows(level.read(box), POINTS.take(mask))


def test_a_box_on_one_point_finds_it(level: zv.ZVLevel) -> None:
    for row in (0, 7, 1999):
        corner = POINTS.positions[row]
        assert level.read((corner, corner)).attributes["v"] == row


@pytest.mark.parametrize(
    ("box", "told"),
    [
        (([0, 0], [1, 1]), "3 axes"),
        (([0, 0, 0, 0], [1, 1, 1, 1]), "3 axes"),
        (([2, 0, 0], [1, 1, 1]), "inverted on axis 'z'"),
        (([0, np.nan, 0], [1, 1, 1]), "NaN"),
        ({"t": (0, 1)}, "axis"),
        ({"x": 5}, "x"),
        ({"x": (1, 2, 3)}, "lo, hi"),
        ({"x": ("a", "b")}, "bbox"),
        (5, "bbox"),
        ("abc", "bbox"),
        ([0, 0, 0, 1, 1, 1], "bbox"),
        (([0, 0, 0],), "bbox"),
        (([0j, 0, 0], [1, 1, 1]), "bbox"),
    ],
    ids=short,
)
def test_a_box_that_cannot_be_meant_is_refused(level: zv.ZVLevel, box: Any, told: str) -> None:
    with pytest.raises(InputError, match=told):
        level.read(box)
    with pytest.raises(InputError, match=told):
        level.count(box)


def test_a_box_side_may_be_an_array(level: zv.ZVLevel) -> None:
    assert level.count({"x": np.array([-20.0, 5.5])}) == level.count({"x": (-20.0, 5.5)})


@pytest.mark.parametrize("dtype", ["i8", "u8"])
def test_integers_beyond_the_precision_of_a_float_are_compared_exactly(dtype: str) -> None:
    base = 2**60
    positions = np.array([[base - 1], [base], [base + 1]], dtype=dtype)
    place = memory()
    zv.write(place, cloud(positions))
    assert read(place, ([base], [None])).positions.ravel().tolist() == [base, base + 1]
    assert read(place, ([None], [base])).positions.ravel().tolist() == [base - 1, base]


@pytest.mark.parametrize("dtype", ["f2", "f4", "f8", "i4", "u1"])
def test_the_bounds_of_a_store_hold_all_of_its_rows(dtype: str) -> None:
    points = cloud(np.random.default_rng(0).uniform(0, 100, (500, 2)).astype(dtype))
    place = memory()
    zv.write(place, points)
    store = zv.open(place)
    assert rows_of(store[0].read(store.bounds)) == rows_of(points)


def test_the_bounds_of_large_integers_are_rounded_outward() -> None:
    points = cloud(np.array([[2**53 + 1], [2**60 + 3], [-(2**62) - 5], [2**63 - 1]]))
    place = memory()
    zv.write(place, points, layout=zv.Layout(keep_order=True))
    store = zv.open(place)
    assert store[0].count(store.bounds) == 4
    zv.write(place, points, mode="append")
    assert zv.open(place).bounds == store.bounds


def test_a_position_a_rounding_error_beside_a_chunk_face_is_found() -> None:
    edges = np.arange(1, 60) * 0.1
    positions = np.concatenate([edges, np.nextafter(edges, 9), np.nextafter(edges, 0)])[:, None]
    place = memory()
    zv.write(place, cloud(positions), layout=zv.Layout(chunk_shape=0.1))
    level = zv.open(place)[0]
    for value in positions.ravel():
        assert level.count(([value], [value])) == (positions == value).sum()


def test_a_box_among_rows_as_far_as_floats_reach() -> None:
    place, far = memory(), float(np.finfo(np.float64).max)
    positions = np.array([[-far, 0], [0, far], [1, 1], [far, -far]])
    zv.write(place, cloud(positions))
    level = zv.open(place)[0]
    assert level.read(([0, 0], [1, far])).positions.tolist() == [[1, 1], [0, far]]
    assert level.count(([-far, -far], [0, 0])) == 1


@pytest.mark.parametrize("offset", [[100.0, -200.0, 300.5], [0.1, 1e9 + 0.3, -7e6 - 1 / 3]])
def test_an_offset_moves_points(offset: list[float], tmp_path: Path) -> None:
    """Positions and boxes are those of the world, on every path; the faces of a box may go exactly through points."""
    positions = np.random.default_rng(4).uniform(-20, 20, (60, 3)).astype(np.float32)
    owners = np.arange(60) % 7
    zv.write(tmp_path / "a", zv.Points(positions, object_ids=owners), layout=zv.Layout(chunk_shape=10.0))
    file = tmp_path / "a" / "zarr.json"
    root = json.loads(file.read_text(encoding="utf-8"))
    root["attributes"]["zarr_vectors"]["coordinate_offset"] = offset
    file.write_text(json.dumps(root), encoding="utf-8")
    level = zv.open(tmp_path / "a")[0]
    whole = level.read()
    world = {tuple(row) for row in (positions + np.asarray(offset)).tolist()}
    assert {tuple(row) for row in whole.positions.tolist()} == world
    assert {tuple(row) for batch in level.iter(batch_rows=9) for row in batch.positions.tolist()} == world
    for first, last in zip(whole.positions[::3], whole.positions[::-3], strict=True):
        box = (np.minimum(first, last).tolist(), np.maximum(first, last).tolist())
        inside = ((whole.positions >= box[0]) & (whole.positions <= box[1])).all(axis=1)
        wanted = sorted(whole.positions[inside].tolist())
        assert sorted(level.read(box).positions.tolist()) == wanted
        assert sorted(read_points(tmp_path / "a", bbox=box)["positions"].tolist()) == wanted
        assert level.count(box) == len(wanted)
        assert sorted(row for batch in level.iter(box, batch_rows=9) for row in batch.positions.tolist()) == wanted
        assert set(level.read(box, mode="objects").object_ids.tolist()) == set(whole.object_ids[inside].tolist())
