"""The cell index and 0.9.2, which knows nothing of it: it is not disturbed, and what it changes is found."""

from __future__ import annotations

import os
import time
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import zarr_vectors as zv
from tests.interop.peer import Peer
from tests.query.indexed import facts_known

SHARDS = [None, (4, 4, 4)]
CELLS = np.stack(np.meshgrid(*[np.arange(4)] * 3, indexing="ij"), axis=-1).reshape(-1, 3)


@pytest.fixture(params=SHARDS, ids=["unsharded", "sharded"])
def place(request: pytest.FixtureRequest, tmp_path: Path) -> Path:
    """Five vertices in the lowest tenth of every cell, with a weight below 1."""
    rng = np.random.default_rng(0)
    positions = (np.repeat(CELLS, 5, axis=0) * 10 + rng.random((len(CELLS) * 5, 3))).astype("f4")
    cloud = zv.Points(positions, attributes={"weight": rng.random(len(positions)).astype("f4")})
    layout = zv.Layout(chunk_shape=(10, 10, 10), shard_shape=request.param)
    zv.write(tmp_path / "store", cloud, layout=layout, bounds=([0, 0, 0], [40, 40, 40]))
    return tmp_path / "store"


def rows(value: Any) -> list[list[float]]:
    return sorted(np.column_stack([value.positions, value.attributes["weight"]]).tolist())


def check_queries(level: Any) -> None:
    """Every box, read through the index, brings what a mask of everything does."""
    assert level.state.index.get(level.storage) is not None
    every = level.read()
    rng = np.random.default_rng(1)
    for _ in range(20):
        low = rng.random(3) * 30
        high = low + rng.random(3) * 20
        inside = ((every.positions >= low) & (every.positions <= high)).all(axis=1)
        expected = np.column_stack([every.positions, every.attributes["weight"]])[inside]
        assert rows(level.read(bbox=(low, high))) == sorted(expected.tolist())


def later() -> None:
    """Let the clock of the disk go on, which may tick a hundred times a second only."""
    time.sleep(0.02)


def test_what_the_peer_edits_is_found(peer: Peer, place: Path) -> None:
    opened = zv.open(place)[0]
    check_queries(opened)
    assert len(opened.read(bbox=([5, 5, 5], [9, 39, 39])).positions) == 0
    later()
    peer.call("edit_vertices", path=str(place), edits=[[[0, 0, 0], 0, 1, "position", [7.0, 8.0, 9.0]]])
    for level in (opened, zv.open(place)[0]):
        assert len(level.read(bbox=([5, 5, 5], [9, 39, 39])).positions) == 1
        check_queries(level)
    # The first edit changes documents, which the second leaves as they are.
    documents = {path: path.read_bytes() for path in place.rglob("zarr.json")}
    later()
    peer.call("edit_vertices", path=str(place), edits=[[[0, 0, 1], 0, 2, "position", [6.0, 6.0, 18.0]]])
    assert documents == {path: path.read_bytes() for path in place.rglob("zarr.json")}
    for level in (opened, zv.open(place)[0]):
        assert len(level.read(bbox=([5, 5, 15], [9, 9, 19])).positions) == 1
        check_queries(level)
    assert 0 <= facts_known(place) < 1


def test_an_attribute_that_the_peer_edits_is_found(peer: Peer, place: Path) -> None:
    opened = zv.open(place)[0]
    check_queries(opened)
    later()
    peer.call("edit_vertices", path=str(place), edits=[[[1, 2, 3], 0, 0, "weight", 5.0]])
    for level in (opened, zv.open(place)[0]):
        assert level.read(where={"weight": 5.0}).positions.shape == (1, 3)
        assert level.read(bbox=([10, 20, 30], [11, 21, 31]), where={"weight": 5.0}).positions.shape == (1, 3)
        check_queries(level)
    assert 0.5 <= facts_known(place) < 1


def test_the_peer_is_not_disturbed(peer: Peer, place: Path) -> None:
    assert (place / "0/cell_index/cells/zarr.json").exists()
    told = peer.validate(place)
    assert told["ok"]
    assert set(told["warnings"]) <= {"Point cloud but links array exists"}
    assert peer.describe(place)["attributes"] == ["weight"]
    found = peer.read_points(place, attribute_names=["weight"])
    assert len(found["positions"]) == len(CELLS) * 5


def test_our_append_after_the_peers_edit_learns_anew_what_it_writes(peer: Peer, place: Path) -> None:
    later()
    peer.call("edit_vertices", path=str(place), edits=[[[0, 0, 0], 0, 1, "position", [7.0, 8.0, 9.0]]])
    zv.write(place, zv.Points(np.full((3, 3), 25.5, "f4"), attributes={"weight": np.ones(3, "f4")}), mode="append")
    level = zv.open(place)[0]
    assert len(level.read(bbox=([5, 5, 5], [9, 9, 9.5])).positions) == 1
    check_queries(level)
    # Whatever is believed is true.
    facts_known(place)


def test_stamps_that_are_older_than_the_objects_are_not_believed(place: Path) -> None:
    victim = next(path for path in (place / "0/vertices/c").rglob("*") if path.is_file())
    told = victim.stat()
    os.utime(victim, ns=(told.st_atime_ns, told.st_mtime_ns + 1))
    assert facts_known(place) < 1
