"""Stores that one request opens, and that nobody changes."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import zarr

import zarr_vectors as zv
from tests.cli.running import invoke
from tests.storage.counting import CountingStore
from tests.storage.stores import GOLDEN, as_buffer
from tests.storage.web import served
from zarr_vectors.core.store import add_resolution_level, set_bounds
from zarr_vectors.exceptions import CorruptionError, OptionError, ReadOnlyError, StoreError

LINES = [np.random.default_rng(0).uniform(0, 40, (30, 3)).cumsum(axis=0) % 40 for _ in range(8)]
LAYOUT = zv.Layout(chunk_shape=10, shard_shape=2)


def points(rows: int = 400) -> zv.Points:
    rng = np.random.default_rng(2)
    ids = np.sort(rng.integers(0, 9, rows))
    return zv.Points(rng.uniform(0, 40, (rows, 3)), attributes={"weight": np.arange(rows)}, object_ids=ids)


VALUES: dict[str, Any] = {"points": points(), "lines": zv.Polylines(LINES, attributes={"w": np.arange(240)})}


@pytest.mark.parametrize("kind", VALUES)
def test_a_published_store_is_opened_in_one_round_and_says_the_same(kind: str) -> None:
    store = CountingStore()
    zv.write(store, VALUES[kind], layout=LAYOUT, headers={"mine": {"a": 1}})
    before = zv.open(store)
    read = before[0].read()
    documents = zv.open(store, "r+").publish()
    assert documents == sum(key.endswith("/zarr.json") for key in store._store._store_dict)
    store.reset()
    after = zv.open(store)
    assert store.rounds == 1
    assert after.is_published
    assert store.listings == []
    told, earlier = after.info(), before.info()
    assert told.pop("published") is not earlier.pop("published")
    assert told == earlier
    assert store.requests[:2] == ["zarr.json", "0/zarr.json"]
    assert np.array_equal(after[0].read().positions, read.positions)
    assert after.headers == {"mine": {"a": 1}}


def test_zarr_reads_the_copies(tmp_path: Path) -> None:
    zv.write(tmp_path / "a", points(), layout=LAYOUT)
    zv.open(tmp_path / "a", "r+").publish()
    group = zarr.open_consolidated(str(tmp_path / "a"))
    assert group["0/vertices"].shape == (4, 4, 4)  # type: ignore[union-attr]
    assert dict(group["0"].attrs) == json.loads((tmp_path / "a/0/zarr.json").read_text())["attributes"]


def append(path: Path) -> None:
    zv.write(path, zv.Points([[1.0, 1, 1]], object_ids=[99]), mode="append", fill={"weight": 0})


def add_attribute(path: Path) -> None:
    with zv.open(path, "r+")[0].writer() as writer:
        writer.add_attribute_sync("more", np.zeros(400))


CHANGES: dict[str, Callable[[Path], Any]] = {
    "append": append,
    "replace": lambda path: zv.write(path, points(10), mode="replace"),
    "attribute": add_attribute,
    "bounds": lambda path: set_bounds(zv.open_store(path, "r+"), ([0] * 3, [90] * 3)),
    "level": lambda path: add_resolution_level(zv.open_store(path, "r+"), 1, [20.0] * 3),
    "rechunk": lambda path: zv.rechunk(path, zv.RechunkSpec("spatial", spatial_chunk_shape=(20, 20, 20))),
    "attrs": lambda path: zv.open_store(path, "r+").attrs.update(mine=1),
}


@pytest.mark.parametrize("how", CHANGES)
def test_a_published_store_is_not_changed_until_that_is_undone(tmp_path: Path, how: str) -> None:
    path = tmp_path / "a"
    zv.write(path, points(), layout=LAYOUT)
    untouched = files(path)
    with zv.open(path, "r+") as store:
        store.publish()
        assert store.is_published
    before = files(path)
    with pytest.raises(ReadOnlyError, match="publish --undo"):
        CHANGES[how](path)
    assert files(path) == before
    with zv.open(path, "r+") as store:
        store.unpublish()
        assert not store.is_published
    assert files(path) == untouched
    CHANGES[how](path)
    assert files(path) != untouched


def files(path: Path) -> dict[str, Any]:
    """What is stored; documents as what they say, but for the number of the commit."""
    stored = {str(file.relative_to(path)): file.read_bytes() for file in path.rglob("*") if file.is_file()}
    found: dict[str, Any] = {
        name: json.loads(data) if name.endswith("zarr.json") else data for name, data in stored.items()
    }
    found["zarr.json"]["attributes"].pop("zarr_vectors_generation", None)
    return found


def test_publishing_twice_and_undoing_what_was_not_done() -> None:
    zv.write("memory://published-twice", points())
    store = zv.open("memory://published-twice", "r+")
    assert store.publish() == store.publish()
    store.unpublish()
    store.unpublish()
    assert not zv.open("memory://published-twice").is_published
    with pytest.raises(ReadOnlyError):
        zv.open("memory://published-twice").publish()
    store.close()


def test_copies_that_are_not_whole_are_corrupt(tmp_path: Path) -> None:
    path = tmp_path / "a"
    zv.write(path, points())
    zv.open(path, "r+").publish()
    document = json.loads((path / "zarr.json").read_text())
    nodes = document["consolidated_metadata"]["metadata"]
    for broken in ({}, {"metadata": 5}, {"metadata": {key: nodes[key] for key in list(nodes)[1:]}}):
        (path / "zarr.json").write_text(json.dumps({**document, "consolidated_metadata": broken}))
        with pytest.raises(CorruptionError, match="publish it anew"):
            zv.open(path)
    del document["attributes"]["zarr_vectors_published"]
    (path / "zarr.json").write_text(json.dumps({**document, "consolidated_metadata": {"metadata": {}}}))
    assert zv.open(path)[0].vertex_count == 400


def test_a_store_of_092_that_cannot_be_listed_is_opened_once_it_is_published() -> None:
    store = CountingStore()
    for path in (GOLDEN / "points").rglob("*"):
        if path.is_file():
            store._store._store_dict[path.relative_to(GOLDEN / "points").as_posix()] = as_buffer(path.read_bytes())
    zv.open(store, "r+").publish()
    store.listing = False
    expected = zv.open(GOLDEN / "points")[0].read()
    found = zv.open(store)[0].read()
    assert np.array_equal(found.positions, expected.positions)
    assert list(found.attributes) == list(expected.attributes)


def test_one_request_opens_a_published_store_on_the_web(tmp_path: Path) -> None:
    zv.write(tmp_path / "a.zarrvectors", points(), layout=LAYOUT)
    zv.write(tmp_path / "b.zarrvectors", points(), layout=LAYOUT)
    zv.open(tmp_path / "a.zarrvectors", "r+").publish()
    with served(tmp_path) as web:
        store = zv.open(f"{web.url}/a.zarrvectors", storage_options={"anon": True})
        assert web.asked == ["a.zarrvectors/zarr.json"]
        box = ([3.0] * 3, [31.0] * 3)
        expected = zv.open(tmp_path / "a.zarrvectors")[0].read(box).positions
        assert np.array_equal(store[0].read(box).positions, expected)
        assert np.array_equal(zv.open(f"{web.url}/b.zarrvectors")[0].read(box).positions, expected)
        web.failures = 2
        assert np.array_equal(zv.open(f"{web.url}/a.zarrvectors")[0].read(box).positions, expected)
        with pytest.raises(StoreError, match="no Zarr Vectors store"):
            zv.open(f"{web.url}/c.zarrvectors")
        with pytest.raises(ReadOnlyError, match="mode='r'"):
            zv.open(f"{web.url}/a.zarrvectors", "r+")


def test_the_command(tmp_path: Path) -> None:
    path = str(tmp_path / "a.zarrvectors")
    zv.write(path, points())
    said = invoke("publish", path)
    assert said.exit_code == 0
    assert "13 documents in one" in said.output
    assert "published" in invoke("info", path).output
    assert invoke("publish", "--undo", "-q", path).output == ""
    assert not zv.open(path).is_published


def test_an_icechunk_repository_is_not_published(tmp_path: Path) -> None:
    pytest.importorskip("icechunk")
    zv.write(tmp_path / "a", points(), backend="icechunk")
    with pytest.raises(OptionError, match="tag a snapshot"):
        zv.open(tmp_path / "a", "r+").publish()
