"""How many rounds of requests reading takes: the latency on a cloud store."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from zarr.storage import MemoryStore

import zarr_vectors as zv
from tests.storage.counting import CountingStore, rounds_of
from tests.storage.stores import GOLDEN, as_buffer
from zarr_vectors.exceptions import StoreError

LAYOUTS = {
    "sharded": zv.Layout(chunk_shape=10, shard_shape=2),
    "unsharded": zv.Layout(chunk_shape=10, shard_shape=None),
    "gzip": zv.Layout(chunk_shape=10, shard_shape=2, compressor=[{"name": "gzip", "configuration": {"level": 1}}]),
}
INDEX_ROUNDS = {"sharded": 1, "unsharded": 0, "gzip": 0}
"""Rounds for shard indexes; zarr-python's codecs need whole shards, and no index."""
layouts = pytest.mark.parametrize("layout", LAYOUTS)
SHARDED = zv.Layout(chunk_shape=10, shard_shape=4)
BOX = ([6.0, 6.0, None], [24.0, 16.0, 25.0])


def points(objects: Any = None, rows: int = 400) -> zv.Points:
    rng = np.random.default_rng(0)
    ids = None if objects is None else np.sort(rng.choice(objects, rows))
    named = {} if objects is None else {"groups": {0: np.unique(ids)[:3].tolist()}}  # type: ignore[arg-type]
    return zv.Points(
        rng.uniform(0, 40, (rows, 3)),
        attributes={"weight": np.arange(rows), "label": rng.choice(["a", "b"], rows)},
        object_ids=ids,
        **named,  # type: ignore[arg-type]
    )


def written(cloud: zv.Points, layout: str) -> CountingStore:
    store = CountingStore()
    zv.write(store._store, cloud, layout=LAYOUTS[layout], headers={"las": {"a": 1}})
    store.reset()
    return store


@layouts
@pytest.mark.parametrize("objects", [None, np.arange(30)], ids=["plain", "with objects"])
def test_opening_takes_two_rounds_and_no_listing(layout: str, objects: Any) -> None:
    store = written(points(objects), layout)
    assert rounds_of(store, lambda: zv.open(store)) == 2
    assert store.listings == []
    assert len(store.requests) == len(set(store.requests)) <= 12


@layouts
def test_what_a_store_says_of_itself_needs_no_listing(layout: str) -> None:
    store = written(points(np.arange(30)), layout)
    opened = zv.open(store)
    store.reset()
    info = opened.info()
    assert (info["headers"], len(info["levels"]), len(opened)) == (["las"], 1, 1)
    assert store.rounds <= 1
    assert store.listings == []


@layouts
@pytest.mark.parametrize("objects", [None, np.arange(30)], ids=["plain", "with objects"])
def test_a_box_takes_two_rounds_and_one_when_the_indexes_are_known(layout: str, objects: Any) -> None:
    store = written(points(objects), layout)
    level = zv.open(store)[0]
    assert rounds_of(store, lambda: level.read(bbox=BOX)) == 1 + INDEX_ROUNDS[layout]
    assert store.most_in_flight > 1
    assert rounds_of(store, lambda: level.read(bbox=BOX)) == 1
    narrow = ([7.0, 7.0, 5.0], [16.0, 11.0, 10.0])
    assert rounds_of(store, lambda: level.read(bbox=narrow, attributes=["weight"])) == 1
    assert rounds_of(store, lambda: level.count(bbox=narrow)) == 1
    assert store.listings == []


def test_the_last_request_of_a_read_tells_whether_the_store_has_changed() -> None:
    store = written(points(), "sharded")
    level = zv.open(store)[0]
    store.reset()
    level.read(bbox=BOX)
    assert store.rounds == 3
    assert store.requests.index("zarr.json") == len(store.requests) - 1


def test_a_box_that_holds_nothing_takes_no_round() -> None:
    store = written(points(), "sharded")
    level = zv.open(store)[0]
    assert rounds_of(store, lambda: level.read(bbox=([200.0, 0, 0], [300.0, 1, 1]))) == 0


@layouts
@pytest.mark.parametrize(
    "objects",
    [np.arange(30), np.arange(30) + 1000, np.arange(30) ** 3 - 50],
    ids=["ids from 0", "a run of ids", "a table of ids"],
)
def test_objects_by_id_take_three_rounds(layout: str, objects: Any) -> None:
    store = written(points(objects), layout)
    level = zv.open(store)[0]
    wanted = objects[[7, 3]].tolist()
    assert rounds_of(store, lambda: level.read(object_ids=wanted)) == 2 + INDEX_ROUNDS[layout]
    assert rounds_of(store, lambda: level.read(object_ids=wanted)) <= 2
    assert store.listings == []


@pytest.mark.parametrize(
    ("ids", "most"), [(np.arange(17_000), 3), (np.arange(17_000) * 3 - 7, 4)], ids=["run", "table"]
)
def test_many_objects_take_a_round_more_only_where_ids_must_be_searched(ids: Any, most: int) -> None:
    cloud = zv.Points(np.random.default_rng(0).uniform(0, 80, (len(ids), 3)), object_ids=ids)
    store = written(cloud, "sharded")
    level = zv.open(store)[0]
    found: list[Any] = []
    assert rounds_of(store, lambda: found.append(level.read(object_ids=[ids[5], ids[-1]]))) == most
    assert len(found[0].positions) == 2


@layouts
def test_groups_take_one_round_more_than_objects(layout: str) -> None:
    store = written(points(np.arange(30)), layout)
    level = zv.open(store)[0]
    assert rounds_of(store, lambda: level.read(group_ids=[0])) == 3 + INDEX_ROUNDS[layout]


@layouts
def test_a_whole_read_takes_a_round_more_for_the_tables(layout: str) -> None:
    store = written(points(np.arange(30)), layout)
    level = zv.open(store)[0]
    assert rounds_of(store, level.read) == 2 + INDEX_ROUNDS[layout]


def test_a_round_has_a_bounded_number_of_requests_in_flight() -> None:
    store = written(points(), "unsharded")
    level = zv.open(store)[0]
    assert rounds_of(store, level.read) == 1
    assert len(store.requests) > 150
    assert 32 <= store.most_in_flight <= 128


def test_cells_near_one_another_are_one_request() -> None:
    store = written(points(), "sharded")
    level = zv.open(store)[0]
    level.read()
    store.reset()
    level.read()
    arrays, shards = 3, 8
    # One for the cells, and one for the seal that tells whether the shard is still the one whose index is known; and
    # at last the root document.
    assert len(store.requests) == 2 * arrays * shards + 1


def test_a_store_in_a_place_that_cannot_list_is_read() -> None:
    store = written(points(np.arange(30)), "sharded")
    blind = CountingStore(store._store, listing=False)
    opened = zv.open(blind)
    assert len(opened[0].read().positions) == 400
    assert opened.levels == [0]
    assert opened.headers == {"las": {"a": 1}}
    assert blind.listings == []


def peer_store(**options: Any) -> CountingStore:
    """A store of 0.9.2, which does not name its arrays."""
    folder = GOLDEN / "sharded_objects"
    files = [path for path in folder.rglob("*") if path.is_file()]
    content: dict[str, Any] = {path.relative_to(folder).as_posix(): as_buffer(path.read_bytes()) for path in files}
    return CountingStore(MemoryStore(content), **options)


def test_a_store_that_does_not_name_its_arrays_is_listed_at_one_more_round() -> None:
    store = peer_store()
    assert rounds_of(store, lambda: zv.open(store)) == 3
    assert store.listings != []


def test_a_store_that_can_neither_name_nor_list_its_arrays_is_refused() -> None:
    with pytest.raises(StoreError, match="cannot list"):
        zv.open(peer_store(listing=False))


def many_points(objects: int, per_object: int = 20) -> zv.Points:
    """Objects that each lie in few of the 4096 chunks of edge 10."""
    rng = np.random.default_rng(3)
    centres = rng.uniform(2, 158, (objects, 1, 3))
    positions = np.clip(centres + rng.normal(0, 1, (objects, per_object, 3)), 0, 159.9)
    ids = np.repeat(np.arange(objects), per_object)
    return zv.Points(positions.reshape(-1, 3), attributes={"weight": ids * 2}, object_ids=ids)


def test_a_box_over_eight_shards_needs_few_requests() -> None:
    store = CountingStore()
    cloud = many_points(2000)
    zv.write(store._store, zv.Points(cloud.positions, attributes=dict(cloud.attributes)), layout=SHARDED)
    level = zv.open(store)[0]
    store.reset()
    found = level.read(bbox=([20.5] * 3, [59.5] * 3))
    assert len({request for request in store.requests if "/vertices/c/" in request}) == 8
    assert len(found.positions) > 100
    assert len(store.requests) <= 40


def test_a_hundred_compact_objects_need_few_requests() -> None:
    store = CountingStore()
    zv.write(store._store, many_points(1000), layout=zv.Layout(chunk_shape=10, shard_shape=8))
    level = zv.open(store)[0]
    store.reset()
    wanted = np.random.default_rng(4).choice(1000, 100, replace=False)
    found = level.read(object_ids=wanted)
    assert len({request for request in store.requests if "/vertices/c/" in request}) == 8
    assert len(found.positions) == 100 * 20
    assert len(store.requests) <= 150
