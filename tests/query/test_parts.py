"""The first of a selection, some of it by chance, and the nearest to a place; against reads of everything."""

from __future__ import annotations

from collections import Counter
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

import zarr_vectors as zv
from tests.query.connected import KINDS
from tests.query.test_connected_rounds import value_of
from tests.storage.counting import CountingStore
from tests.types.clouds import memory, same_rows, uniform
from zarr_vectors.exceptions import InputError
from zarr_vectors.query import sample

ROWS = 1200
LABELS = np.random.default_rng(3).choice(["a", "b", "c"], ROWS)
POINTS = uniform(
    ROWS,
    seed=3,
    low=-20,
    high=20,
    attributes={"v": np.arange(ROWS), "t": LABELS, "m": np.where(np.arange(ROWS) % 5, np.arange(ROWS), np.nan)},
    object_ids=np.random.default_rng(3).integers(0, 40, ROWS),
    groups={0: [1, 2, 3, 39], 1: []},
)
BOX = ([-15, -10, -20], [3, 12, 20])
WAYS: list[dict[str, Any]] = [
    {},
    {"bbox": BOX},
    {"bbox": ([100] * 3, [101] * 3)},
    {"object_ids": [7, 3, 5]},
    {"group_ids": [0], "bbox": BOX},
    {"where": {"t": "b"}},
    {"where": {"t": "b"}, "bbox": BOX, "attributes": ["m"]},
    {"where": {"v": 77}},
    {"bbox": BOX, "mode": "objects"},
]
ways = pytest.mark.parametrize("way", WAYS, ids=str)


@pytest.fixture(scope="module")
def level() -> zv.ZVLevel:
    place = memory()
    zv.write(place, POINTS, layout=zv.Layout(chunk_shape=8))
    return zv.open(place)[0]


@ways
@pytest.mark.parametrize("limit", [0, 1, 13, 300, 5000])
def test_a_limit_brings_the_first_points(level: zv.ZVLevel, way: dict[str, Any], limit: int) -> None:
    whole = level.read(**way)
    first = level.read(**way, limit=limit)
    assert same_rows(first, whole.take(np.arange(min(limit, whole.vertex_count))))
    assert same_rows(level.head(limit, **way), first)


@ways
@pytest.mark.parametrize("count", [0, 1, 50, 5000])
def test_a_sample_is_a_part_in_reading_order(level: zv.ZVLevel, way: dict[str, Any], count: int) -> None:
    whole = level.read(**{**way, "attributes": ["v", "m"]})
    part = level.sample(count, 4, **{**way, "attributes": ["v", "m"]})
    rows = {int(value): row for row, value in enumerate(whole.attributes["v"])}
    places = [rows[int(value)] for value in part.attributes["v"]]
    assert len(places) == min(count, whole.vertex_count)
    assert (np.diff(places) > 0).all() or set(way) & {"object_ids", "group_ids"} or way.get("mode") == "objects"
    assert same_rows(part, whole.take(np.array(places, dtype=np.int64)))
    assert same_rows(part, level.sample(count, 4, **{**way, "attributes": ["v", "m"]}))


def test_all_rows_are_as_likely_where_all_are_looked_at(level: zv.ZVLevel, monkeypatch: pytest.MonkeyPatch) -> None:
    """Those of which few meet a condition, in several batches; ``test_sampling`` tells of those that are drawn."""
    monkeypatch.setattr(sample, "_BATCH_ROWS", 400)
    met = np.zeros(200)
    for seed in range(100):
        met[np.asarray(level.sample(60, seed, where="v < 200", attributes="v").attributes["v"])] += 1
    # Each row is met 30 times on average; a binomial count lies within five deviations.
    assert met.sum() == 100 * 60
    assert met.min() > 30 - 5 * 21**0.5
    assert met.max() < 30 + 5 * 21**0.5


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("way", [{}, {"bbox": ([2, 2], [11, 9])}, {"object_ids": [9, 2, 5, 1]}], ids=str)
def test_objects_are_chosen_whole(kind: str, way: dict[str, Any]) -> None:
    place = memory()
    zv.write(place, value_of(kind), layout=zv.Layout(chunk_shape=2))
    level = zv.open(place)[0]
    whole = level.read(**way)
    # Objects come in the order of the index, unless they are asked for by id.
    every = way.get("object_ids") or sorted(_counts(whole))
    for count in (0, 1, 3, 99):
        part, chosen = level.read(**way, limit=count), level.sample(count, 1, **way)
        assert _counts(part) == {one: _counts(whole)[one] for one in every[:count]}
        assert set(_counts(chosen)) <= set(every)
        assert len(_counts(chosen)) == min(count, len(every))
        assert all(_counts(whole)[one] == rows for one, rows in _counts(chosen).items())


@pytest.mark.parametrize("kind", KINDS)
def test_a_limit_counts_objects_that_have_something_left(kind: str) -> None:
    place = memory()
    value = value_of(kind)
    zv.write(place, value, layout=zv.Layout(chunk_shape=2))
    level = zv.open(place)[0]
    rows = list(range(6, value.vertex_count, 7))
    whole = level.read(where={"row": rows})
    every = sorted(_counts(whole))
    part = level.read(where={"row": rows}, limit=2)
    assert _counts(part) == {one: _counts(whole)[one] for one in every[:2]}
    chosen = level.sample(2, 5, where={"row": rows})
    assert len(_counts(chosen)) == 2
    assert all(_counts(whole)[one] == count for one, count in _counts(chosen).items())


def _owners(value: Any) -> Any:
    return np.repeat(value.ids, np.diff(value.offsets)) if hasattr(value, "offsets") else value.object_ids


def _counts(value: Any) -> dict[int, int]:
    return dict(Counter(np.asarray(_owners(value)).tolist()))


@ways
@pytest.mark.parametrize("k", [1, 7, 400, 5000])
@pytest.mark.parametrize("point", [(0, 0, 0), (-19.5, 20, 3), (500, -900, 2)])
def test_the_nearest_are_those_of_a_search_through_all(
    level: zv.ZVLevel, way: dict[str, Any], k: int, point: tuple[float, ...]
) -> None:
    whole = level.read(**way)
    expected = np.sort(_away(whole, point))[:k]
    found, distances = level.near(point, k, **way)
    assert np.array_equal(distances, expected)
    assert np.array_equal(_away(found, point), distances)
    if "attributes" not in way:
        rows = np.asarray(found.attributes["v"])
        assert len(set(rows.tolist())) == len(rows)
        assert np.array_equal(np.asarray(POINTS.positions)[rows], found.positions)


def _away(value: Any, point: Any) -> Any:
    return np.sqrt(((np.asarray(value.positions, dtype="f8") - np.asarray(point, dtype="f8")) ** 2).sum(axis=1))


@given(st.data())
def test_the_nearest_on_a_lattice(data: st.DataObject) -> None:
    ndim = data.draw(st.integers(1, 3))
    dtype = data.draw(st.sampled_from(["f4", "f8", "i2", "i8"]))
    flat = data.draw(st.lists(st.integers(-9, 9), min_size=ndim, max_size=40 * ndim))
    positions = np.array(flat[: len(flat) // ndim * ndim], dtype=dtype).reshape(-1, ndim)
    place = memory()
    zv.write(place, zv.Points(positions), layout=zv.Layout(chunk_shape=data.draw(st.integers(1, 5))))
    point = np.array(data.draw(st.lists(st.integers(-30, 30), min_size=ndim, max_size=ndim))) / 2
    k = data.draw(st.integers(1, 12))
    expected = np.sort(_away(zv.Points(positions), point))[:k]
    assert np.array_equal(zv.open(place)[0].near(point, k).distances, expected)


def test_reading_stops_when_there_is_enough() -> None:
    store = CountingStore()
    zv.write(store._store, POINTS, layout=zv.Layout(chunk_shape=4, shard_shape=None))
    level = zv.open(store)[0]
    ask: list[Any] = [
        lambda: level.read(limit=5, attributes=[]),
        lambda: level.near((0, 0, 0), 3, attributes=[]),
        lambda: level.near((0, 0, 0), 3, attributes=[]),
    ]
    for one in ask:
        store.reset()
        one()
        cells = [request for request in store.requests if "/vertices/c/" in request]
        assert 0 < len(cells) < level.chunk_count / 5


def test_what_cannot_be_meant_is_refused(level: zv.ZVLevel) -> None:
    for ask in (
        lambda: level.read(limit=-1),
        lambda: level.read(limit=1.5),  # type: ignore[arg-type]
        lambda: level.head(True),
        lambda: level.sample(-1),
        lambda: level.near((0, 0, 0), 0),
        lambda: level.near((0, 0)),
        lambda: level.near((0, 0, np.nan)),
        lambda: level.near("here"),
        lambda: level.plan(limit=5),
    ):
        with pytest.raises(InputError):
            ask()
    place = memory()
    zv.write(place, value_of("mesh"))
    with pytest.raises(InputError, match="near finds points"):
        zv.open(place)[0].near((0, 0))
