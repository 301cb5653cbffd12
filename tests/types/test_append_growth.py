"""Stores grow in every direction, over many appends, and stay what a brute-force list of rows says."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from zarr.storage import MemoryStore

import zarr_vectors as zv
from tests.choice import covering
from tests.types.clouds import (
    assert_same_cloud,
    cloud,
    files_of,
    in_input_order,
    inside,
    joined,
    memory,
    read,
    same_rows,
    uniform,
    values_of,
)
from zarr_vectors.exceptions import InputError, StoreError

SHARDS = [None, 1, 2, 3, "auto"]


@covering(
    "shard, direction, local",
    SHARDS,
    [(1, 1), (-1, -1), (1, -1), (0, -1), (-3, 0)],
    {"local": True, "memory": False},
)
def test_bounds_and_grid_grow_in_every_direction(tmp_path: Path, shard: Any, local: bool, direction: Any) -> None:
    place = tmp_path / "s" if local else memory()
    first = uniform(60, 1, high=30, ndim=2, attributes={"v": np.arange(60)})
    second = cloud(first.positions + np.array(direction) * 33.5, {"v": np.arange(60) + 60})
    zv.write(place, first, layout=zv.Layout(chunk_shape=7, shard_shape=shard, keep_order=True))
    before = zv.open(place).bounds
    report = zv.write(place, second, mode="append", out_of_bounds="expand")
    store = zv.open(place)
    both = joined([first, second])
    assert report.grown_from == (tuple(before[0]), tuple(before[1]))
    assert store.bounds == (both.positions.min(axis=0).tolist(), both.positions.max(axis=0).tolist())
    assert report.bounds == (tuple(store.bounds[0]), tuple(store.bounds[1]))
    assert_same_cloud(in_input_order(store[0].read()), both)
    assert store[0].count(store.bounds) == 120
    for corner in (-40, -10, 5, 30):
        box = ([corner, corner], [corner + 20, corner + 20])
        assert store[0].count(box) == inside(both.positions, *box).sum()


def test_a_shifted_grid_leaves_no_old_files_and_moves_the_rest_as_they_are(tmp_path: Path) -> None:
    place = tmp_path / "s"
    zv.write(place, uniform(200, low=0, high=20, ndim=2), layout=zv.Layout(chunk_shape=5, shard_shape=2))
    before = {data for path, data in files_of(place).items() if "/vertices/c/" in path}
    zv.write(place, cloud([[-8.0, -8.0]]), mode="append", out_of_bounds="expand")
    after = files_of(place)
    stored = {path: data for path, data in after.items() if "/vertices/c/" in path}
    assert before <= set(stored.values())
    level = zv.open(place)[0]
    index = np.unique(level._state.vertices.locate(level._state.vertices.present)[0], axis=0)
    assert set(stored) == {f"0/{level._state.vertices.object_path(row)[2:]}" for row in index.tolist()}
    assert not [path for path in after if path.startswith(".zv")]


@pytest.mark.parametrize("policy", ["raise", "expand", "ignore"])
@pytest.mark.parametrize("mode", ["create", "append"])
def test_rows_outside_the_bounds_follow_the_policy(tmp_path: Path, mode: str, policy: str) -> None:
    place = tmp_path / "s"
    options: dict[str, Any] = {"bounds": ([0, 0], [10, 10])}
    if mode == "append":
        zv.create(place, dtype="f8", attributes={"v": "i8"}, **options)
        options = {}
    points = cloud([[1.0, 1], [11, 1], [10, 10], [5, -0.001]], {"v": [0, 1, 2, 3]})
    before = files_of(place)
    if policy == "raise":
        with pytest.raises(InputError, match=r"2 of 4 rows, first row 1 at \[11.0, 1.0\]"):
            zv.write(place, points, mode=mode, **options)
        assert files_of(place) == before
        assert mode == "append" or not place.exists()
        return
    report = zv.write(place, points, mode=mode, out_of_bounds=policy, **options)
    got = sorted(values_of(read(place).attributes["v"]))
    if policy == "ignore":
        assert (got, report.dropped, report.vertex_count) == ([0, 2], 2, 2)
        assert zv.open(place).bounds == ([0, 0], [10, 10])
    else:
        assert (got, report.dropped) == ([0, 1, 2, 3], 0)
        assert zv.open(place).bounds == ([0, -0.001], [11, 10])


def test_dropped_rows_use_up_their_row_ids() -> None:
    place = memory()
    layout = zv.Layout(keep_order=True)
    points = cloud([[1.0], [11.0], [2.0]])
    zv.write(place, points, bounds=([0], [10]), out_of_bounds="ignore", layout=layout)
    zv.write(place, points, mode="append", out_of_bounds="ignore")
    assert sorted(np.asarray(read(place).row_ids).tolist()) == [0, 2, 3, 5]


def test_dropping_every_row_is_an_empty_write() -> None:
    place = memory()
    report = zv.write(place, cloud([[11.0]]), bounds=([0], [10]), out_of_bounds="ignore")
    assert (report.vertex_count, report.dropped) == (0, 1)
    assert read(place).vertex_count == 0


@pytest.mark.parametrize("declared", [False, True])
@pytest.mark.parametrize("owned", [False, True])
@pytest.mark.parametrize("shard", [None, 2, "auto"])
def test_rows_may_be_appended_to_a_created_store(shard: Any, owned: bool, declared: bool) -> None:
    place = memory()
    layout = zv.Layout(chunk_shape=3, shard_shape=shard, keep_order=True)
    kinds = {"v": "i4", "rgb": ("u1", 3), "t": "text", "c": "bool", "when": "M8[s]"}
    report = zv.create(
        place,
        bounds=([0] * 3, [10] * 3),
        dtype="f8",
        attributes=kinds,
        objects=declared,
        layout=layout,
        axes="zyx",
        crs="x",
    )
    assert report.vertex_count == 0
    assert {name: info.channels for name, info in zv.open(place)[0].attributes.items()} == dict.fromkeys(kinds, 1) | {
        "rgb": 3
    }
    parts = []
    for seed in range(3):
        columns = {
            "v": np.arange(40, dtype="i4"),
            "rgb": np.full((40, 3), seed, "u1"),
            "t": ["a", None] * 20,
            "c": np.arange(40) > 7,
            "when": np.arange(40).astype("M8[s]"),
        }
        parts.append(uniform(40, seed, attributes=columns, object_ids=np.arange(40) % 4 + 10 * seed if owned else None))
        report = zv.write(place, parts[-1], mode="append")
        assert report.mode == "append"
        got = in_input_order(read(place))
        expected = joined(parts)
        if declared and not owned:
            assert report.assigned_ids == (seed, seed)
            expected = cloud(expected.positions, expected.attributes, np.repeat(np.arange(seed + 1), 40))
        assert_same_cloud(got, expected)
    store = zv.open(place)
    assert store.crs == "x"
    assert [axis.name for axis in store.axes] == ["z", "y", "x"]
    assert list(store[0].chunk_shape) == [3, 3, 3]
    assert store.bounds == ([0] * 3, [10] * 3)


def test_appending_nothing_to_a_created_store_leaves_it_open_for_both() -> None:
    for owned in (False, True):
        place = memory()
        zv.create(place, bounds=([0], [9]), dtype="f8", objects=True)
        zv.write(place, cloud(np.zeros((0, 1)), object_ids=[] if owned else None), mode="append")
        zv.write(place, cloud([[1.0]], object_ids=[4]), mode="append")
        assert read(place, object_ids=[4]).vertex_count == 1


KINDS_AND_SHARDS = [(kind, shard) for kind in ("plain", "objects", "bins") for shard in (None, 2, "auto")]


@pytest.mark.parametrize(
    ("local", "kind", "shard"),
    [
        *((False, *both) for both in KINDS_AND_SHARDS),
        (True, "plain", None),
        (True, "objects", 2),
        (True, "bins", "auto"),
    ],
)
def test_appends_at_random_are_the_sum_of_their_rows(tmp_path: Path, local: bool, kind: str, shard: Any) -> None:
    rng = np.random.default_rng(7)
    place = tmp_path / "s" if local else memory()
    layout = zv.Layout(
        chunk_shape=6, shard_shape=shard, bin_shape=2 if kind == "bins" else None, keep_order=True, compressor="none"
    )
    parts: list[zv.Points] = []
    for number in range(11):
        rows = int(rng.integers(0, 40))
        words = np.array([f"w{n}" for n in rng.integers(0, 3 + 20 * number, rows)] + [None], object)[:rows]
        ids = rng.integers(-3, 3 + number, rows) if kind == "objects" else None
        centre = rng.integers(-60, 60, 2)
        points = cloud(centre + rng.uniform(-9, 9, (rows, 2)), {"v": np.full(rows, number), "t": words}, ids)
        mode = "append" if number else "create"
        zv.write(place, points, mode=mode, out_of_bounds="expand", extend=number > 0, layout=layout)
        parts.append(points)
        if number % 5 == 0:
            level = zv.open(place)[0]
            expected = joined(parts)
            assert_same_cloud(in_input_order(level.read()), expected)
            box = ([-20, -30], [25, 10])
            assert level.count(box) == inside(expected.positions, *box).sum()
            for one in np.unique(np.asarray(expected.object_ids))[:4] if ids is not None else []:
                assert same_rows(
                    level.read(object_ids=[one], attributes=["v", "t"]), expected.take(expected.object_ids == one)
                )


@st.composite
def batches(draw: st.DrawFn) -> list[zv.Points]:
    """Small clouds around places far apart, with objects in all or none."""
    owned = draw(st.booleans())
    values = []
    for _ in range(draw(st.integers(1, 5))):
        rows = draw(st.integers(0, 8))
        centre = draw(st.tuples(st.integers(-12, 12), st.integers(-12, 12)))
        spots = draw(st.lists(st.tuples(st.integers(-3, 3), st.integers(-3, 3)), min_size=rows, max_size=rows))
        ids = draw(st.lists(st.integers(-2, 3), min_size=rows, max_size=rows)) if owned else None
        positions = (np.array(spots, dtype="f8").reshape(rows, 2) + centre) / 2
        values.append(cloud(positions, {"v": np.arange(rows)}, ids))
    return values


@given(batches(), st.sampled_from(SHARDS), st.sampled_from([None, 0.5]))
def test_any_appends_are_the_sum_of_their_rows(parts: list[zv.Points], shard: Any, bins: float | None) -> None:
    place = MemoryStore()
    layout = zv.Layout(chunk_shape=1, shard_shape=shard, bin_shape=bins, keep_order=True, compressor="none")
    bounds = ([0, 0], [0, 0])
    zv.write(place, parts[0], layout=layout, bounds=bounds, out_of_bounds="expand")
    for points in parts[1:]:
        zv.write(place, points, mode="append", out_of_bounds="expand", extend=True)
    level = zv.open(place)[0]
    expected = joined(parts)
    assert_same_cloud(in_input_order(level.read()), expected)
    for low in (-4, 0, 2.5):
        box = ([low, low], [low + 3, low + 3])
        assert level.count(box) == inside(expected.positions, *box).sum()
    if expected.object_ids is not None:
        for one in np.unique(expected.object_ids):
            mine = expected.take(expected.object_ids == one)
            assert same_rows(level.read(object_ids=[one]), mine)


def test_an_append_that_fails_halfway_leaves_the_store_as_it_was(tmp_path: Path) -> None:
    place = tmp_path / "s"
    zv.write(place, uniform(300), layout=zv.Layout(chunk_shape=2))
    before = files_of(place)

    def fail(done: int, total: int | None) -> None:
        raise StoreError(f"stop at {done} of {total}")

    with pytest.raises(StoreError, match="stop at"):
        zv.write(place, uniform(300, 1, low=-5), mode="append", out_of_bounds="expand", progress=fail)
    assert files_of(place) == before
    assert read(place).vertex_count == 300
