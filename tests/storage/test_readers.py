"""A read brings one state of a store, or says that it cannot, while others write."""

from __future__ import annotations

import json
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from zarr.storage import MemoryStore

import zarr_vectors as zv
from tests.storage.running import environment
from tests.storage.stores import open_memory
from zarr_vectors.constants import COMMIT_KEY
from zarr_vectors.exceptions import ConcurrentEditError, CorruptionError
from zarr_vectors.storage import storage as kernel
from zarr_vectors.storage.backend import Get
from zarr_vectors.storage.storage import Storage
from zarr_vectors.types.parametric import read_parametric_tables
from zarr_vectors.types.points import read_points

LAYOUT = zv.Layout(chunk_shape=10, shard_shape=2)
WRITER = """
import sys
import numpy as np
import zarr_vectors as zv
from tests.storage.test_readers import version
print("begun", flush=True)
number = 1
while True:
    number += 1
    if sys.argv[2] == "replace":
        zv.write(sys.argv[1], version(number), mode="replace", layout=zv.Layout(chunk_shape=10, shard_shape=2))
    else:
        zv.write(sys.argv[1], version(number), mode="append")
"""


def version(number: int) -> zv.Points:
    """Points that say by whom they were written, and that have the same value at all places."""
    rng = np.random.default_rng(number)
    ids = np.repeat(60 * number + np.arange(20), 3)
    columns = {"by": np.full(60, number), "again": np.full(60, number)}
    return zv.Points(rng.uniform(0, 40, (60, 2)), attributes=columns, object_ids=ids)


def written() -> MemoryStore:
    store = MemoryStore()
    zv.write(store, version(1), layout=LAYOUT, bounds=([0, 0], [40, 40]))
    return store


def assert_whole(points: zv.Points) -> None:
    """No row is of two writes, and of each write all rows are there or none."""
    by, again = (np.asarray(points.attributes[name]) for name in ("by", "again"))
    assert (by == again).all()
    assert {int(count) for count in np.unique(by, return_counts=True)[1]} == {60}
    for number in np.unique(by).tolist():
        mine = points.positions[by == number]
        assert sorted(mine.tolist()) == sorted(version(number).positions.tolist())


@contextmanager
def before_each_fetch(monkeypatch: pytest.MonkeyPatch, act: Callable[[int], None]) -> Iterator[None]:
    """Do something in the middle of reads."""
    count = iter(range(10_000))
    fetch = Storage.fetch

    def acting(self: Storage, requests: Any) -> Any:
        if self.read_only:
            act(next(count))
        return fetch(self, requests)

    with monkeypatch.context() as patch:
        patch.setattr(kernel.Storage, "fetch", acting)
        yield


@pytest.mark.parametrize("mode", ["append", "replace"])
@pytest.mark.parametrize("at", range(4))
def test_a_read_that_is_overtaken_is_made_again(monkeypatch: pytest.MonkeyPatch, mode: str, at: int) -> None:
    store = written()
    level = zv.open(store)[0]

    def act(number: int) -> None:
        if number == at:
            zv.write(store, version(2), mode=mode, layout=LAYOUT if mode == "replace" else None)

    with before_each_fetch(monkeypatch, act):
        points = level.read()
        assert_whole(points)
        if at < 2:
            assert len(points.positions) == level.vertex_count == (120 if mode == "append" else 60)
            assert 2 in points.attributes["by"]
        assert_whole(level.read())


@pytest.mark.parametrize(
    "read",
    [
        lambda level, _: level.read(),
        lambda level, _: level.read(strict=False),
        lambda level, _: level.read_chunks(level.chunk_keys),
        lambda level, _: level.count(),
        lambda level, _: list(level.iter()),
        lambda _, store: read_points(store),
        lambda _, store: read_parametric_tables(store),
        lambda level, _: level.objects,
        lambda level, _: level.object_index.compute(),
        lambda level, _: level.object_index[60],
    ],
    ids=["read", "not strict", "chunks", "count", "iter", "facade", "parametric", "objects", "index", "object"],
)
def test_a_read_that_is_overtaken_again_and_again_says_so(monkeypatch: pytest.MonkeyPatch, read: Any) -> None:
    store = written()
    level = zv.open(store)[0]
    busy = [False]

    def act(number: int) -> None:
        if not busy[0]:
            busy[0] = True
            zv.write(store, version(number + 2), mode="replace", layout=LAYOUT)
            busy[0] = False

    with before_each_fetch(monkeypatch, act), pytest.raises(ConcurrentEditError, match="changed while it was read"):
        read(level, store)


def test_opening_what_changes_again_and_again_says_so(monkeypatch: pytest.MonkeyPatch) -> None:
    """The documents never fit together: each state lacks a column that the one before had."""
    store = written()
    busy = [False]

    def act(number: int) -> None:
        if not busy[0]:
            busy[0] = True
            value = version(number)
            column = {f"column {number}": np.asarray(value.attributes["by"])}
            zv.write(store, zv.Points(value.positions, attributes=column), mode="replace", layout=LAYOUT)
            busy[0] = False

    with before_each_fetch(monkeypatch, act), pytest.raises(ConcurrentEditError, match="changed while it was read"):
        zv.open(store)


def test_commits_that_are_under_way_at_every_look_are_not_waited_for(monkeypatch: pytest.MonkeyPatch) -> None:
    store = written()
    place = open_memory(store)
    looks = iter(range(10_000))

    def fetch(requests: Sequence[Get]) -> list[bytes | None]:
        """The record of each commit is gone when the reader asks for it."""
        number = next(looks)
        marker = {"id": str(number), "state": "complete", "record": f".zv/{number}/record.json"}
        root = json.dumps({"attributes": {COMMIT_KEY: marker}}).encode()
        return [root if get.path == "zarr.json" else None for get in requests]

    monkeypatch.setattr(place.backend, "fetch", fetch)
    with pytest.raises(ConcurrentEditError, match="changed while it was read"):
        place.read_root()


def test_batches_of_two_states_are_not_mixed() -> None:
    store = written()
    batches = zv.open(store)[0].iter(batch_rows=10)
    next(batches)
    zv.write(store, version(2), mode="append")
    with pytest.raises(ConcurrentEditError):
        list(batches)


def test_what_is_corrupt_in_a_store_that_nobody_changes_is_corruption() -> None:
    store = written()
    level = zv.open(store)[0]
    key = next(key for key in store._store_dict if key.startswith("0/vertices/c/"))
    del store._store_dict[key]
    with pytest.raises(CorruptionError):
        level.read()


def test_an_open_level_sees_what_others_have_written_since() -> None:
    store = written()
    level = zv.open(store)[0]
    zv.write(store, version(2), mode="append")
    assert level.vertex_count == 60, "nothing has been read yet"
    assert len(level.read().positions) == 120
    assert level.vertex_count == 120


def test_blocks_of_two_states_are_not_put_together() -> None:
    pytest.importorskip("dask")
    store = written()
    level = zv.open(store)[0]
    array = level.vertices.to_dask(block_rows=20)
    assert array.compute().shape == (60, 2)
    zv.write(store, version(2), mode="append")
    with pytest.raises(ConcurrentEditError, match="block by block"):
        array.compute()


@pytest.mark.parametrize("mode", ["append", "replace"])
def test_readers_beside_a_process_that_writes_in_a_loop(tmp_path: Path, mode: str) -> None:
    place = tmp_path / "store"
    zv.write(place, version(1), layout=LAYOUT, bounds=([0, 0], [40, 40]))
    command = [sys.executable, "-c", WRITER, str(place), mode]
    writer = subprocess.Popen(command, env=environment(), stdout=subprocess.PIPE, text=True)
    seen: set[int] = set()
    failed: list[BaseException] = []
    end = time.monotonic() + 60

    def look() -> None:
        level = zv.open(place)[0]
        try:
            while len(seen) < 5 and time.monotonic() < end:
                try:
                    points = level.read()
                except ConcurrentEditError:
                    continue
                else:
                    assert_whole(points)
                    seen.update(np.asarray(points.attributes["by"]).tolist())
        except BaseException as error:  # noqa: BLE001 - looked at by the thread that waits
            failed.append(error)

    try:
        assert writer.stdout is not None
        assert writer.stdout.readline() == "begun\n"
        threads = [threading.Thread(target=look) for _ in range(2)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
    finally:
        writer.kill()
        writer.communicate()
    assert failed == []
    assert len(seen) >= 5, "the writer has come between"
