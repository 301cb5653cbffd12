"""Stores that others change meanwhile, that cannot be listed, that lie on object stores, and that are published."""

from __future__ import annotations

import json
import shutil
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from zarr.storage import MemoryStore

import zarr_vectors as zv
from tests.query.damage import POINTS
from tests.storage.counting import CountingStore
from tests.storage.stores import GOLDEN, as_buffer
from tests.storage.web import served
from tests.validate.spoiling import listed
from zarr_vectors.exceptions import ConcurrentEditError, CorruptionError, ReadOnlyError
from zarr_vectors.storage import storage as kernel
from zarr_vectors.storage.storage import Storage

FLAT = zv.Layout(chunk_shape=8, shard_shape=None)
SHARDED = zv.Layout(chunk_shape=4, shard_shape=2)
Change = Callable[[Path], object]


def append(place: Any) -> None:
    rows = np.full((3, 3), 2.0)
    zv.write(place, zv.Points(rows, object_ids=[99] * 3, attributes={"v": [1, 2, 3], "t": ["a"] * 3}), mode="append")


def replace(place: Any) -> None:
    zv.write(place, zv.Points(np.arange(60.0).reshape(20, 3)), mode="replace", layout=SHARDED)


def written(place: Path, layout: zv.Layout = FLAT) -> Path:
    zv.write(place, POINTS, layout=layout)
    return place


def in_memory(place: Path, *, listing: bool = True) -> CountingStore:
    """What a folder holds, as an object store."""
    files = [path for path in place.rglob("*") if path.is_file()]
    content = {path.relative_to(place).as_posix(): as_buffer(path.read_bytes()) for path in files}
    return CountingStore(MemoryStore({**content}), listing=listing)


@contextmanager
def before_each_fetch(monkeypatch: pytest.MonkeyPatch, act: Callable[[int], object]) -> Iterator[None]:
    """Let another writer act in the middle of what is read; ``act`` gets the number of the round."""
    count, busy = iter(range(10_000)), [False]
    fetch = Storage.fetch

    def acting(self: Storage, requests: Any) -> Any:
        if not busy[0]:
            busy[0] = True
            act(next(count))
            busy[0] = False
        return fetch(self, requests)

    with monkeypatch.context() as patch:
        patch.setattr(kernel.Storage, "fetch", acting)
        yield


@pytest.mark.parametrize("at", [1, 2, 3, 4, 6, 8])
@pytest.mark.parametrize("change", [append, replace], ids=["append", "replace"])
@pytest.mark.parametrize("look", [zv.validate, zv.repair], ids=["validate", "repair"])
def test_what_changes_meanwhile_is_looked_at_once_more(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path, look: Any, change: Any, at: int
) -> None:
    store = written(tmp_path / "store")
    with before_each_fetch(monkeypatch, lambda number: change(store) if number == at else None):
        result = look(store)
    found = result.left if look is zv.repair else result.problems
    assert [str(problem) for problem in found] == []
    assert look is zv.validate or result.repairs == ()


@pytest.mark.parametrize("look", [zv.validate, zv.repair], ids=["validate", "repair"])
def test_what_keeps_changing_is_no_store_with_errors(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path, look: Any
) -> None:
    store = written(tmp_path / "store")
    with (
        before_each_fetch(monkeypatch, lambda number: replace(store) if number % 4 == 1 else None),
        pytest.raises(ConcurrentEditError, match="changed while it was read"),
    ):
        look(store)


def test_what_is_wrong_with_a_store_that_nobody_changes_is_looked_at_once(tmp_path: Path) -> None:
    store = in_memory(written(tmp_path / "store"))
    key = next(key for key in store._store._store_dict if key.startswith("0/vertices/c/"))
    del store._store._store_dict[key]
    assert zv.validate(store).counts["cell_missing"] == 1
    assert store.requests.count("0/zarr.json") == 1


@pytest.mark.parametrize("root", [b"", b"{", b'{"zarr_format": 3, "node_type": "group", "attributes": 7}'])
def test_a_root_that_is_no_document_has_not_changed(tmp_path: Path, root: bytes) -> None:
    store = written(tmp_path / "store")
    (store / "zarr.json").write_bytes(root)
    assert [problem.kind for problem in zv.validate(store).errors] == ["document_corrupt"]
    with pytest.raises(CorruptionError):
        zv.open(store)


class TestUnlisted:
    """Stores whose objects cannot be listed."""

    TOLD = (
        "what writers have left behind (the store cannot list its objects)",
        "nodes that no document names (the store cannot list its objects)",
        "cells of level 0 that no presence list names (the store cannot list its objects)",
    )

    def test_what_was_not_looked_for_is_told(self, tmp_path: Path) -> None:
        result = zv.validate(in_memory(written(tmp_path / "store"), listing=False))
        assert (result.problems, result.unchecked) == ((), self.TOLD)
        assert result.summary().splitlines()[1:] == [f"not looked for: {what}" for what in self.TOLD]
        assert json.loads(json.dumps(result.to_json()))["unchecked"] == list(self.TOLD)

    def test_nothing_is_left_out_where_all_can_be_seen(self, tmp_path: Path) -> None:
        store = written(tmp_path / "store", SHARDED)
        for place in (store, in_memory(store)):
            assert zv.validate(place).unchecked == ()

    def test_what_documents_tell_is_still_checked(self, tmp_path: Path) -> None:
        store = in_memory(written(tmp_path / "store"), listing=False)
        content = store._store._store_dict
        del content[next(key for key in content if key.startswith("0/vertices/c/"))]
        assert not zv.validate(store).ok
        content["0/vertices/c/stray"] = as_buffer(b"")
        assert "stray_object" not in zv.validate(store).counts

    def test_repairs_tell_too(self, tmp_path: Path) -> None:
        listed("0/vertices", lambda keys: keys[::-1])(store := written(tmp_path / "store"))
        result = zv.repair(in_memory(store, listing=False))
        assert [repair.kind for repair in result.repairs] == ["presence_order"]
        assert set(result.unchecked) == set(self.TOLD)
        assert "not looked for: nodes that no document names" in result.summary()
        assert result.to_json()["unchecked"] == list(result.unchecked)

    def test_a_level_that_names_no_arrays_is_looked_at_as_far_as_it_goes(self) -> None:
        result = zv.validate(in_memory(GOLDEN / "points", listing=False))
        assert result.errors == ()
        assert "arrays of level 0 (its document names none of them)" in result.unchecked

    def test_a_web_server(self, tmp_path: Path) -> None:
        pytest.importorskip("obstore")
        written(tmp_path / "store")
        with served(tmp_path) as server:
            result = zv.validate(f"{server.url}/store")
        assert result.problems == ()
        assert len(result.unchecked) == len(self.TOLD)


class TestObjectStores:
    """What is stored and not listed, found by few requests."""

    @pytest.mark.parametrize("layout", [FLAT, SHARDED], ids=["flat", "sharded"])
    def test_cells_that_no_list_names_are_found(self, tmp_path: Path, layout: zv.Layout) -> None:
        store = written(tmp_path / "store", layout)
        keys = json.loads((store / "0/vertices/zarr.json").read_text())["attributes"]["nonempty_chunks"]
        listed("0/vertices", lambda keys: keys[1:])(store)
        (store / "0/groups/c/stray").write_bytes(b"")
        (store / ".zv" / "left").mkdir(parents=True)
        (store / ".zv" / "left" / "a").write_bytes(b"")
        place = in_memory(store)
        result = zv.validate(place)
        found = [problem for problem in result.problems if problem.kind == "cell_unlisted"]
        assert [(problem.path, problem.cell) for problem in found] == [("0/vertices", keys[0])]
        assert [problem.path for problem in result.problems if problem.kind == "stray_object"] == ["0/groups"]
        assert result.counts["leftovers"] == 1
        assert result.counts == zv.validate(store).counts

    def test_a_level_is_listed_once_for_its_cells(self, tmp_path: Path) -> None:
        place = in_memory(written(tmp_path / "store"))
        assert zv.validate(place, 2).ok
        documents = len(place.listings)
        place.reset()
        assert zv.validate(place, 3).ok
        assert len(place.listings) == documents + 1

    def test_presence_lists_are_made_anew(self, tmp_path: Path) -> None:
        store = written(tmp_path / "store")
        whole = zv.open(store)[0].read()
        listed("0/vertices", lambda _: [7])(store)
        place = in_memory(store)
        assert zv.repair(place, dry_run=False).ok
        assert zv.validate(place).problems == ()
        assert zv.open(place)[0].read().positions.tolist() == whole.positions.tolist()


class TestPublished:
    """Stores whose root document holds copies of all others."""

    @pytest.fixture
    def store(self, tmp_path: Path) -> Path:
        store = written(tmp_path / "store")
        with zv.open(store, "r+") as opened:
            opened.publish()
        return store

    @pytest.mark.parametrize("layout", [FLAT, SHARDED], ids=["flat", "sharded"])
    def test_they_are_sound(self, tmp_path: Path, layout: zv.Layout) -> None:
        store = written(tmp_path / "store", layout)
        with zv.open(store, "r+") as opened:
            opened.publish()
        places = [store, in_memory(store), in_memory(store, listing=False)]
        assert [zv.validate(place).problems for place in places] == [()] * 3
        assert [bool(zv.validate(place).unchecked) for place in places] == [False, False, True]

    def test_what_is_wrong_is_found(self, store: Path) -> None:
        (store / "0/vertices/c/0/0/0").unlink()
        (store / "0/stray").mkdir()
        (store / "0/stray/x").write_bytes(b"")
        assert {"cell_missing", "stray_folder"} <= set(zv.validate(store).counts)

    @pytest.mark.parametrize("listing", [True, False])
    @pytest.mark.parametrize(
        ("change", "what"),
        [
            (listed("0/vertices", lambda keys: keys[1:]), "the copy in the root document differs from its document"),
            (lambda store: (store / "0/vertices/zarr.json").unlink(), "a copy of its document, which is gone"),
        ],
    )
    def test_a_copy_that_is_out_of_date_is_found(self, store: Path, change: Change, what: str, listing: bool) -> None:
        change(store)
        result = zv.validate(in_memory(store, listing=listing))
        (problem,) = [problem for problem in result.errors if problem.kind == "published_copy"]
        assert problem.path == "0/vertices"
        assert what in problem.message

    def test_a_document_without_a_copy_is_found_where_it_can_be_seen(self, store: Path) -> None:
        shutil.copytree(store / "0/vertex_attributes/v", store / "0/vertex_attributes/w")
        assert ("published_copy", "0/vertex_attributes/w") in {
            (problem.kind, problem.path) for problem in zv.validate(store).problems
        }

    def test_repair_tells_and_does_nothing_before_it_is_taken_back(self, store: Path) -> None:
        listed("0/vertex_attributes/v", lambda keys: keys[::-1])(store)
        before = {path: path.read_bytes() for path in store.rglob("*") if path.is_file()}
        plan = zv.repair(store)
        assert [repair.kind for repair in plan.repairs] == ["presence_order"]
        assert [problem.kind for problem in plan.left] == ["published_copy"]
        with pytest.raises(ReadOnlyError, match=r"published.*store\.unpublish\(\)"):
            zv.repair(store, dry_run=False)
        assert {path: path.read_bytes() for path in store.rglob("*") if path.is_file()} == before
        with zv.open(store, "r+") as opened:
            opened.unpublish()
        assert zv.repair(store, dry_run=False).ok
        with zv.open(store, "r+") as opened:
            opened.publish()
        assert zv.validate(store).problems == ()
