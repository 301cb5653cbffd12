"""Commits, branches, snapshots and forks of stores in Icechunk repositories."""

from __future__ import annotations

import inspect
import pickle
from collections.abc import Iterator
from concurrent.futures import ProcessPoolExecutor, ThreadPoolExecutor
from multiprocessing import get_context
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import zarr

import zarr_vectors as zv
from tests.core.ice import append, on_branch, opened, place, places, points, rows_of, session_of, stored
from tests.interop import kind_compare
from tests.types.clouds import memory, same_rows
from tests.types.test_connected_append import value_of
from zarr_vectors.core import store as core_store
from zarr_vectors.core.store import (
    branch,
    commit,
    create_store,
    discard_changes,
    fork,
    list_resolution_levels,
    merge_branch,
    merge_forks,
    open_store,
    rebase,
    session_for,
    switch_branch,
)
from zarr_vectors.exceptions import (
    ConcurrentEditError,
    InputError,
    OptionError,
    ReadOnlyError,
    StoreError,
    StoreExistsError,
    StoreNotFoundError,
)
from zarr_vectors.storage import transaction
from zarr_vectors.storage.icechunk import IcechunkBackend
from zarr_vectors.storage.urls import open_backend

icechunk = pytest.importorskip("icechunk")

KINDS = ("point", "line", "polyline", "graph", "skeleton", "mesh")
CHUNKED = zv.Layout(chunk_shape=10, shard_shape=None)


def same(got: Any, expected: Any) -> None:
    if isinstance(got, zv.Points):
        assert same_rows(got, expected)
    else:
        kind_compare.same(got, expected)


def any_value(kind: str, rows: int, first: int, **box: float) -> Any:
    if kind != "point":
        return value_of(kind, rows, first, **box)
    rng = np.random.default_rng(first)
    low, high = box.get("low", 0), box.get("high", 30)
    columns = {"row": np.arange(rows) + 1000 * first}
    return zv.Points(rng.uniform(low, high, (rows, 3)), attributes=columns, object_ids=np.arange(rows) % 3 + first)


@places
def test_a_created_store_is_there_for_others_when_it_is_committed(where: str, tmp_path: Path) -> None:
    target = place(where, tmp_path)
    root = create_store(target, bounds=([0, 0], [100, 50]), chunk_shape=(10, 10), backend="icechunk")
    assert (list(root), list_resolution_levels(root), root["0"].children()) == (
        ["0"],
        [0],
        ["vertex_fragments", "vertices"],
    )
    with pytest.raises(StoreNotFoundError):
        opened(target, "r")
    first = commit(root, "an empty store")
    other = opened(target, "r")
    assert list(other) == ["0"]
    assert session_for(other).snapshot_id == first
    with pytest.raises(StoreError, match="already something here"):
        create_store(target, backend="icechunk")


@places
def test_the_session_stays_writable_after_a_commit(where: str, tmp_path: Path) -> None:
    target = place(where, tmp_path)
    root = stored(target, points((1, 1)), CHUNKED)
    level = root["0"]
    snapshots = []
    for number in range(3):
        append(root, points((1, 1)))
        level.attrs["n"] = number
        snapshots.append(commit(root, f"number {number}"))
    assert len(set(snapshots)) == 3
    assert commit(root) == snapshots[-1]
    assert rows_of(opened(target, "r")) == [[1, 1]] * 4
    assert opened(target, "r")["0"].attrs["n"] == 2


@places
def test_changes_are_seen_by_nobody_else_until_the_commit_and_discarded_at_will(where: str, tmp_path: Path) -> None:
    target = place(where, tmp_path)
    root = stored(target, points((1, 1)), CHUNKED, bounds=([0, 0], [20, 20]))
    level = root["0"]
    append(root, points((15, 15)))
    level.write_bytes("vertices", "0.0", b"0" * 16)
    assert rows_of(opened(target, "r")) == [[1, 1]]
    discard_changes(root)
    assert rows_of(root) == [[1, 1]]
    assert len(level.read_bytes("vertices", "0.0")) == 16
    assert level.list_chunks("vertices") == ["0.0"]
    assert not session_for(root).has_uncommitted_changes


@places
def test_a_failed_batch_leaves_the_session_as_it_was(where: str, tmp_path: Path) -> None:
    root = stored(place(where, tmp_path), points((1, 1)), CHUNKED, bounds=([0, 0], [20, 20]))
    append(root, points((2, 2)))

    def values() -> Any:
        yield points((3, 3))
        yield points((15, 15))
        raise RuntimeError("the source is exhausted too early")

    with pytest.raises(RuntimeError, match="too early"):
        zv.write(session_of(root), values(), mode="append")
    with pytest.raises(ZeroDivisionError), root.batched_writes():
        root["0"].write_bytes("vertices", "1.1", b"0" * (16 // 0))
    assert rows_of(root) == [[1, 1], [2, 2]]
    assert root["0"].list_chunks("vertices") == ["0.0"]
    commit(root)
    assert rows_of(root) == [[1, 1], [2, 2]]


@pytest.mark.parametrize("fail_at", range(0, 16, 3))
def test_a_batch_that_storage_breaks_off_leaves_the_session_as_it_was(
    fail_at: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    root = stored(memory(), any_value("graph", 20, 1, high=12), CHUNKED)
    before = {key: root.backend.get_bytes(key) for key in root.backend.list_prefix("", recursive=True)}
    calls = iter(range(1000))
    put = IcechunkBackend.put_all

    def failing(self: Any, objects: Any) -> None:
        if next(calls) == fail_at:
            raise KeyboardInterrupt
        put(self, objects)

    monkeypatch.setattr(IcechunkBackend, "put_all", failing)
    monkeypatch.setattr(transaction, "AT_ONCE", 3)
    with pytest.raises(KeyboardInterrupt):
        append(root, any_value("graph", 20, 5, high=12), out_of_bounds="expand")
    monkeypatch.undo()
    assert {key: root.backend.get_bytes(key) for key in root.backend.list_prefix("", recursive=True)} == before
    append(root, any_value("graph", 20, 5, high=12), out_of_bounds="expand")
    assert zv.open(session_of(root))[0].vertex_count == 40


@pytest.mark.parametrize(("kind", "where"), [*((kind, "local") for kind in KINDS), ("graph", "memory")])
def test_every_kind_is_written_appended_and_read(kind: str, where: str, tmp_path: Path) -> None:
    target, old = place(where, tmp_path), any_value(kind, 20, 1, high=12)
    new = any_value(kind, 20, 5, low=-8, high=5)
    layout = zv.Layout(chunk_shape=10, shard_shape=3 if where == "local" else None)
    zv.write(target, old, layout=layout, backend="icechunk")
    zv.write(target, new, mode="append", out_of_bounds="expand")
    plain = memory()
    zv.write(plain, old, layout=layout)
    zv.write(plain, new, mode="append", out_of_bounds="expand")
    same(zv.open(target)[0].read(), zv.open(plain)[0].read())
    same(zv.open(target)[0].read(bbox=([0, 0, 0], [9, 9, 9])), zv.open(plain)[0].read(bbox=([0, 0, 0], [9, 9, 9])))
    zv.write(target, new, mode="replace", layout=CHUNKED)
    same(zv.open(target)[0].read(), new)


@places
def test_old_snapshots_tags_and_branches_can_be_read(where: str, tmp_path: Path) -> None:
    target = place(where, tmp_path)
    root = stored(target, points((1, 1)), CHUNKED)
    first = session_for(root).snapshot_id
    session_of(root).repository.handle.create_tag("v1", first)
    append(root, points((1, 1)))
    second = commit(root)
    branch(root, "old", from_snapshot_id=first)
    for said, count in (({"snapshot_id": first}, 1), ({"tag": "v1"}, 1), ({"branch": "old"}, 1), ({}, 2)):
        assert len(rows_of(opened(target, "r", **said))) == count
        assert zv.open(target, storage_options=said)[0].vertex_count == count
    assert len(rows_of(opened(target, "r", snapshot_id=second))) == 2
    old = opened(target, "r", snapshot_id=first)
    for change in (
        lambda: append(old, points((1, 1))),
        lambda: old.attrs.update(a=1),
        lambda: commit(old),
        lambda: discard_changes(old),
        lambda: merge_branch(old, "old"),
        lambda: rebase(old),
        lambda: merge_forks(old, []),
        lambda: fork(old),
    ):
        with pytest.raises(ReadOnlyError):
            change()
    for said in ({"snapshot_id": first}, {"tag": "v1"}):
        with pytest.raises(OptionError, match="can only be read"):
            opened(target, "r+", **said)
    for said in ({"snapshot_id": "0000"}, {"tag": "v2"}, {"branch": "none"}):
        with pytest.raises(StoreError, match=r"there is no (branch|tag|snapshot)"):
            opened(target, "r", **said)


@places
def test_switching_a_branch_reaches_all_groups_of_the_store(where: str, tmp_path: Path) -> None:
    root = stored(place(where, tmp_path), points((1, 1)), CHUNKED)
    level = root["0"]
    tip = session_for(root).snapshot_id
    assert branch(root, "trial") == tip
    switch_branch(root, "trial")
    append(level, points((2, 2)), out_of_bounds="expand")
    level.attrs["seen"] = True
    commit(level)
    switch_branch(level, "main")
    assert rows_of(root) == [[1, 1]]
    assert "seen" not in level.attrs
    root.attrs["dropped"] = 1
    switch_branch(root, "trial")
    assert rows_of(level) == [[1, 1], [2, 2]]
    assert level.attrs["seen"]
    switch_branch(root, "main")
    assert "dropped" not in root.attrs
    with pytest.raises(StoreError, match="already"):
        branch(root, "trial")
    with pytest.raises(StoreError, match="cannot be made"):
        branch(root, "other", from_snapshot_id="no snapshot")
    with pytest.raises(StoreError, match="none"):
        switch_branch(root, "none")
    assert session_for(root).branch == "main"


@places
def test_a_commit_on_a_branch_that_has_moved_is_refused_and_rebase_brings_it_there(where: str, tmp_path: Path) -> None:
    target = place(where, tmp_path)
    one = stored(target, points((1, 1)), CHUNKED, bounds=([0, 0], [50, 50]))
    two = opened(target)
    append(one, points((15, 15)))
    append(two, points((25, 25)))
    commit(one, "one")
    with pytest.raises(ConcurrentEditError, match="another writer"):
        commit(two, "two")
    assert rows_of(two) == [[1, 1], [25, 25]]
    rebase(two)
    assert rows_of(two) == [[1, 1], [15, 15], [25, 25]]
    assert rows_of(opened(target, "r")) == [[1, 1], [15, 15]]
    commit(two, "two")
    assert rows_of(opened(target, "r")) == [[1, 1], [15, 15], [25, 25]]
    assert zv.open(target)[0].vertex_count == 3


@places
def test_a_rebase_that_meets_a_conflict_changes_nothing(where: str, tmp_path: Path) -> None:
    target = place(where, tmp_path)
    one = stored(target, points((1, 1)), CHUNKED, bounds=([0, 0], [50, 50]))
    two = opened(target)
    append(one, points((2, 2)))
    append(two, points((3, 3)))
    tip = commit(one)
    with pytest.raises(ConcurrentEditError):
        rebase(two)
    assert rows_of(two) == [[1, 1], [3, 3]]
    assert session_for(two).has_uncommitted_changes
    assert session_for(opened(target, "r")).snapshot_id == tip


@places
def test_a_branch_is_rebased_onto_another(where: str, tmp_path: Path) -> None:
    target = place(where, tmp_path)
    root = stored(target, points((1, 1)), CHUNKED, bounds=([0, 0], [50, 50]))
    branch(root, "trial")
    append(root, points((15, 15)))
    main = commit(root)
    switch_branch(root, "trial")
    for number, message in ((25, "first"), (35, "second")):
        append(root, points((number, number)))
        commit(root, message)
    append(root, points((45, 45)))
    with pytest.raises(StoreError, match="uncommitted"):
        rebase(root, "main")
    discard_changes(root)
    moved = rebase(root, "main")
    history = list(session_of(root).repository.handle.ancestry(branch="trial"))
    assert [info.id for info in history[:2]] == [moved, main]
    assert history[0].message == "first\nsecond"
    assert rows_of(root) == [[1, 1], [15, 15], [25, 25], [35, 35]]
    assert session_for(root).branch == "trial"
    assert rows_of(opened(target, "r")) == [[1, 1], [15, 15]]
    assert rebase(root, "main") == moved
    branch(root, "behind", from_snapshot_id=main)
    switch_branch(root, "behind")
    assert rebase(root, "trial") == moved
    with pytest.raises(StoreError, match="there is no branch 'none'"):
        rebase(root, "none")


@places
def test_merging_goes_forward_where_it_can(where: str, tmp_path: Path) -> None:
    root = stored(place(where, tmp_path), points((1, 1)), CHUNKED)
    branch(root, "trial")
    here = session_for(root).snapshot_id
    assert merge_branch(root, "trial") == here
    with on_branch(root, "trial"):
        append(root, points((1, 1)))
    there = session_of(root).repository.handle.lookup_branch("trial")
    assert merge_branch(root, "trial") == there
    assert rows_of(root) == [[1, 1], [1, 1]]
    append(root, points((1, 1)))
    with pytest.raises(StoreError, match="uncommitted"):
        merge_branch(root, "trial")
    later = commit(root)
    assert merge_branch(root, "trial") == later


def test_plain_stores_have_no_versions() -> None:
    root = create_store(memory())
    assert commit(root, "nothing") is None
    assert session_for(root) is None
    discard_changes(root)
    for call in (
        lambda: branch(root, "a"),
        lambda: switch_branch(root, "a"),
        lambda: merge_branch(root, "a"),
        lambda: rebase(root),
        lambda: fork(root),
        lambda: merge_forks(root, []),
    ):
        with pytest.raises(StoreError, match="not in an Icechunk repository"):
            call()


@places
def test_zarr_python_reads_and_writes_the_session(where: str, tmp_path: Path) -> None:
    root = stored(place(where, tmp_path), points((1, 1)), zv.Layout(chunk_shape=10, compressor="none"))
    group = zarr.open_group(session_for(root).store, mode="r+")
    append(root, points((1, 1)))
    vertices: Any = zarr.open_array(session_for(root).store, path="0/vertices", mode="r")
    assert vertices[0, 0] == np.ones(4).tobytes()
    group.attrs["by"] = "zarr-python"
    assert root.attrs["by"] == "zarr-python"
    root.attrs["also"] = 1
    assert root.attrs["by"] == "zarr-python"
    session_for(root).commit("by hand")
    root.attrs["more"] = 2
    commit(root)
    assert {"by", "also", "more"} <= set(root.attrs)


@pytest.fixture(scope="module")
def pool() -> Iterator[ProcessPoolExecutor]:
    with ProcessPoolExecutor(2, mp_context=get_context("spawn")) as made:
        yield made


def written(backend: Any, low: float, first: int) -> Any:
    """What a worker does: it gets a fork and sends it back."""
    zv.write(backend, any_value("graph", 20, first, low=low, high=low + 9), mode="append")
    return backend


@pytest.mark.parametrize(("where", "shard"), [("local", 2), ("memory", None)])
def test_forks_written_in_processes_are_one_commit(
    where: str, shard: int | None, tmp_path: Path, pool: ProcessPoolExecutor
) -> None:
    target = place(where, tmp_path)
    base = any_value("graph", 20, 1, high=9)
    layout = zv.Layout(chunk_shape=10, shard_shape=shard)
    root = stored(target, base, layout, bounds=([0, 0, 0], [99, 99, 99]))
    lows, firsts = (20.0, 40.0, 60.0), (11, 21, 31)
    forks = [fork(root) for _ in lows]
    if where == "local":
        forks = list(pool.map(written, forks, lows, firsts))
    else:
        with ThreadPoolExecutor(2) as threads:
            forks = list(threads.map(written, forks, lows, firsts))
    assert zv.open(session_of(root))[0].vertex_count == 20
    merge_forks(root, forks)
    commit(root, "three writers")
    plain = memory()
    zv.write(plain, base, layout=layout, bounds=([0, 0, 0], [99, 99, 99]))
    for low, first in zip(lows, firsts, strict=True):
        zv.write(plain, any_value("graph", 20, first, low=low, high=low + 9), mode="append")
    got, expected = zv.open(target)[0], zv.open(plain)[0]
    assert (got.vertex_count, got.link_count, got.object_count) == (80, 160, 8)
    same(got.read(), expected.read())
    history = [info.message for info in session_of(root).repository.handle.ancestry(branch="main")]
    assert history[:2] == ["three writers", "zarr-vectors write"]


@places
def test_forks_that_overlap_are_refused_and_nothing_is_merged(where: str, tmp_path: Path) -> None:
    root = stored(place(where, tmp_path), points((1, 1)), CHUNKED, bounds=([0, 0], [50, 50]))
    forks = [fork(root) for _ in range(3)]
    for made, at in zip(forks, (15, 25, 25), strict=True):
        zv.write(made, points((at, at)), mode="append")
    with pytest.raises(ConcurrentEditError, match="nothing was merged"):
        merge_forks(root, forks)
    assert rows_of(root) == [[1, 1]]
    assert not session_for(root).has_uncommitted_changes
    merge_forks(root, forks[:2])
    assert rows_of(root) == [[1, 1], [15, 15], [25, 25]]
    with pytest.raises(StoreError, match="uncommitted"):
        fork(root)
    commit(root)
    with pytest.raises(InputError, match="another commit"):
        merge_forks(root, forks[2:])
    with pytest.raises(InputError, match="not a fork"):
        merge_forks(root, [root])
    made = fork(root)
    with pytest.raises(ZeroDivisionError):
        zv.write(made, broken(35), mode="append")
    assert pickle.loads(pickle.dumps(made)).forked_from == made.forked_from
    for refused in (made.fork, lambda: made.commit("a"), lambda: made.switch("main")):
        with pytest.raises(StoreError, match="fork"):
            refused()
    with pytest.raises(StoreError, match="cannot be sent"):
        pickle.dumps(root.backend)


def test_writers_in_processes_lose_nothing(tmp_path: Path, pool: ProcessPoolExecutor) -> None:
    target = place("local", tmp_path)
    zv.write(target, points((1, 1)), layout=CHUNKED, backend="icechunk")
    list(pool.map(_append_one, [target] * 4))
    assert zv.open(target)[0].vertex_count == 5


def _append_one(target: str) -> None:
    zv.write(target, points((1, 1)), mode="append")


def test_a_writer_that_was_overtaken_is_told() -> None:
    target = place("memory", Path())
    root = stored(target, points((1, 1)), CHUNKED)

    def values() -> Any:
        yield points((1, 1))
        root.attrs["faster"] = True
        commit(root)

    with pytest.raises(ConcurrentEditError, match="another writer"):
        zv.write(target, values(), mode="append")
    assert rows_of(opened(target, "r")) == [[1, 1]]
    zv.write(target, points((1, 1)), mode="append")
    assert rows_of(opened(target, "r")) == [[1, 1]] * 2


def test_a_write_whose_commit_fails_is_no_part_of_the_next(monkeypatch: pytest.MonkeyPatch) -> None:
    target = memory()
    zv.write(target, points((1, 1)), layout=CHUNKED, backend="icechunk")
    place = open_backend(target)

    def failing(*_: Any) -> str:
        raise StoreError("the network is gone")

    with monkeypatch.context() as patched:
        patched.setattr(IcechunkBackend, "_commit", failing)
        with pytest.raises(StoreError, match="network"):
            zv.write(place, points((1, 1)), mode="append")
    zv.write(place, points((1, 1)), mode="append")
    assert zv.open(target)[0].vertex_count == 2


def test_batches_that_grow_the_grid_again_and_again_can_be_taken_back() -> None:
    root = stored(memory(), points((1, 1)), CHUNKED)
    for corner in (15, -15, 35, -35):
        append(root, points((corner, corner)), out_of_bounds="expand")
        with pytest.raises(ZeroDivisionError):
            zv.write(session_of(root), broken(corner * 3), mode="append", out_of_bounds="expand")
    expected = [[corner, corner] for corner in (-35, -15, 1, 15, 35)]
    assert rows_of(root) == expected
    commit(root)
    assert rows_of(root) == expected


def broken(corner: float) -> Iterator[zv.Points]:
    yield points((corner, corner))
    yield points((1 // 0, 1))


@places
def test_an_overtaken_session_can_be_written_and_rebased(where: str, tmp_path: Path) -> None:
    target = place(where, tmp_path)
    one = stored(target, points((1, 1)), CHUNKED, bounds=([-99, -99], [99, 99]))
    two = opened(target)
    append(one, points((15, 15)))
    commit(one)
    for corner in (25, -25):
        append(two, points((corner, corner)))
        with pytest.raises(ZeroDivisionError):
            zv.write(session_of(two), broken(45), mode="append")
        with pytest.raises(ConcurrentEditError, match="another writer"):
            commit(two)
    rebase(two)
    commit(two)
    assert rows_of(opened(target, "r")) == [[-25, -25], [1, 1], [15, 15], [25, 25]]


def test_a_new_repository_can_begin_on_another_branch() -> None:
    target = memory()
    zv.write(target, points((1, 1)), backend="icechunk", storage_options={"branch": "trial"})
    assert zv.open(target, storage_options={"branch": "trial"})[0].vertex_count == 1
    with pytest.raises(StoreNotFoundError):
        zv.open(target)


def test_a_repository_is_known_by_its_layout_or_by_a_keyword(tmp_path: Path) -> None:
    target = tmp_path / "repository"
    zv.write(target, points((1, 1)), backend="icechunk")
    assert zv.open(target)[0].vertex_count == 1
    assert zv.open(target.as_uri())[0].vertex_count == 1
    assert list(open_store(target)) == ["0"]
    assert zv.write(target, points((1, 1)), mode="append").total_vertices == 2
    for plain_way in ({"path": target, "backend": "local"}, {"path": zarr.storage.LocalStore(target)}):
        with pytest.raises(StoreNotFoundError, match="backend='icechunk'"):
            open_store(**plain_way)
    plain = tmp_path / "plain"
    zv.write(plain, points((1, 1)))
    with pytest.raises(StoreNotFoundError):
        zv.open(plain, backend="icechunk")
    with pytest.raises(StoreExistsError, match="not an Icechunk repository"):
        zv.write(plain, points((1, 1)), backend="icechunk")
    with pytest.raises(StoreNotFoundError):
        zv.write(tmp_path / "nothing", points((1, 1)), mode="append", backend="icechunk")
    assert not (tmp_path / "nothing").exists()
    with pytest.raises(StoreError, match="not offered"):
        zv.open(plain, backend="s3")
    with pytest.raises(StoreError, match="for folders"):
        zv.open("memory://a", backend="local")
    with pytest.raises(InputError, match="not offered for this URL"):
        zv.open("ftp://a", backend="icechunk")
    with pytest.raises(OptionError, match="region"):
        open_store(target, backend="icechunk", region="eu")
    with pytest.raises(OptionError, match="colour"):
        open_store("s3://bucket/a", backend="icechunk", colour="red")


def test_bad_arguments_leave_no_repository_behind(tmp_path: Path) -> None:
    with pytest.raises(zv.ZVError):
        create_store(tmp_path / "a", vertex_encoding="bogus", backend="icechunk")
    with pytest.raises(OptionError):
        create_store(tmp_path / "a", colour="red", backend="icechunk")
    with pytest.raises(InputError):
        zv.write(tmp_path / "a", zv.Points([[np.nan]]), backend="icechunk")
    assert list(tmp_path.iterdir()) == []
    root = create_store(tmp_path / "a", backend="icechunk")
    with pytest.raises(InputError, match="message"):
        commit(root, " ")


def test_a_repository_or_storage_that_is_open_can_be_passed() -> None:
    repository = icechunk.Repository.create(icechunk.in_memory_storage())
    root = create_store(repository, backend="icechunk")
    commit(root)
    assert zv.open(repository)[0].vertex_count == 0
    storage = icechunk.in_memory_storage()
    zv.write(storage, points((1, 1)))
    assert zv.open(storage)[0].vertex_count == 1
    store = repository.writable_session("main").store
    assert zv.open(store)[0].vertex_count == 0
    with pytest.raises(ReadOnlyError):
        zv.write(store, points((1, 1)), mode="replace")


def test_the_signatures_are_those_that_were_asked_for() -> None:
    asked = {
        "branch": "(group, name, *, from_snapshot_id=None)",
        "commit": "(group, message='zarr-vectors write')",
        "discard_changes": "(group)",
        "merge_branch": "(group, name, *, message='merge branch')",
        "rebase": "(group, base='main')",
        "session_for": "(group)",
        "switch_branch": "(group, name)",
    }
    for name, text in asked.items():
        signature = inspect.signature(getattr(core_store, name))
        plain = [one.replace(annotation=inspect.Parameter.empty) for one in signature.parameters.values()]
        bare = signature.replace(parameters=plain, return_annotation=inspect.Signature.empty)
        assert str(bare) == text
