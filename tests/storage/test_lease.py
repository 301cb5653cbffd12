"""The lock of places that many machines write to."""

from __future__ import annotations

import asyncio
import json
import threading
import time
from contextlib import nullcontext
from typing import Any

import numpy as np
import pytest
from zarr.storage import MemoryStore, ObjectStore, WrapperStore

import zarr_vectors as zv
from tests.storage import jobs
from tests.storage.faults import OLD, SCENARIOS, root_of
from zarr_vectors.exceptions import ConcurrentEditError, CorruptionError, MetadataError, StoreError, ZVError
from zarr_vectors.storage import commit, lease
from zarr_vectors.storage.backend import Get
from zarr_vectors.storage.commit import Batch, Step
from zarr_vectors.storage.lease import LEASE_KEY, Lease
from zarr_vectors.storage.memory import MemoryBackend
from zarr_vectors.storage.objects import ObstoreBackend, zarr_backend
from zarr_vectors.storage.record import Record
from zarr_vectors.storage.remote import ZarrBackend
from zarr_vectors.storage.storage import ROOT, Storage

obstore = pytest.importorskip("obstore")
KINDS = pytest.mark.parametrize("kind", ["obstore", "foreign"])


class Place:
    """What several machines, each with a backend of its own, see of one place."""

    def __init__(self, kind: str) -> None:
        self.store: Any = obstore.store.MemoryStore() if kind == "obstore" else MemoryStore()
        self.kind = kind

    def backend(self) -> ZarrBackend:
        if self.kind == "obstore":
            return zarr_backend(ObjectStore(self.store))
        return ZarrBackend(WrapperStore(self.store), url="foreign://place")


@pytest.fixture
def quick(monkeypatch: pytest.MonkeyPatch) -> pytest.MonkeyPatch:
    """Leases that run out within the time of a test."""
    monkeypatch.setattr(lease, "LEASE_SECONDS", 0.4)
    monkeypatch.setattr(lease, "DEAD_SECONDS", 0.4)
    return monkeypatch


def abandoned(backend: ZarrBackend) -> None:
    """The lease of a process that is no more."""
    backend.put_bytes(LEASE_KEY, json.dumps({"owner": "dead", "beat": 3}).encode())


@KINDS
def test_one_holds_it_at_a_time(kind: str) -> None:
    place = Place(kind)
    inside: list[int] = []
    most: list[int] = []

    def hold(number: int) -> None:
        # Threads of one process would wait for a lock in memory already.
        held = Lease(place.backend())
        inside.append(number)
        most.append(len(inside))
        time.sleep(0.02)
        inside.remove(number)
        held.end()

    threads = [threading.Thread(target=hold, args=(number,)) for number in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert most == [1] * 4
    assert not place.backend().exists(LEASE_KEY)


@KINDS
@pytest.mark.usefixtures("quick")
def test_that_of_the_dead_is_taken_over_and_not_sooner(kind: str) -> None:
    place = Place(kind)
    abandoned(place.backend())
    began = time.monotonic()
    Lease(place.backend()).end()
    assert time.monotonic() - began >= 0.4


@KINDS
def test_that_of_the_living_is_renewed_and_not_taken_over(kind: str, quick: pytest.MonkeyPatch) -> None:
    place = Place(kind)
    # Renewals must come in time on a busy machine, too.
    quick.setattr(lease, "LEASE_SECONDS", 1.5)
    quick.setattr(lease, "DEAD_SECONDS", 1.5)
    quick.setattr(lease, "_PATIENCE_SECONDS", 3.5)
    held = Lease(place.backend())
    with pytest.raises(ConcurrentEditError, match="another writer has been writing"):
        Lease(place.backend())
    assert held.is_sure
    held.end()
    Lease(place.backend()).end()


@KINDS
def test_one_that_was_removed_or_overwritten_is_no_longer_counted_on(kind: str, quick: pytest.MonkeyPatch) -> None:
    place = Place(kind)
    for how in ("removed", "overwritten"):
        held = Lease(place.backend())
        quick.setattr(lease, "LEASE_SECONDS", 30.0)
        place.backend().delete(LEASE_KEY) if how == "removed" else abandoned(place.backend())
        held._renewing.join(10)
        with pytest.raises(ConcurrentEditError, match="lock on the store was lost"):
            held.check()
        held.end()
        quick.setattr(lease, "LEASE_SECONDS", 0.4)
    assert place.backend().exists(LEASE_KEY), "it is another writer's now"


@KINDS
def test_one_that_has_run_out_is_renewed_where_nobody_has_taken_it(kind: str, quick: pytest.MonkeyPatch) -> None:
    """A machine that was asleep goes on; where two may pass each other unseen, it cannot know."""
    quick.setattr(Lease, "_renew", lambda _: None)
    place = Place(kind)
    held = Lease(place.backend())
    time.sleep(0.5)
    ran_out = not held.is_sure
    assert ran_out
    if kind == "obstore":
        held.check()
        assert held.is_sure
        time.sleep(0.5)
        abandoned(place.backend())
    for _ in range(2):
        with pytest.raises(ConcurrentEditError, match="lock on the store was lost"):
            held.check()
    held.end()


def test_what_is_slept_through_does_not_make_a_holder_dead(quick: pytest.MonkeyPatch) -> None:
    """All machines were asleep: whoever waits wakes up first, and may not take over what its holder goes on with."""
    quick.setattr(lease, "LEASE_SECONDS", 4.0)
    quick.setattr(lease, "DEAD_SECONDS", 4.0)
    quick.setattr(lease, "_LONGEST_TURN", 0.1)
    clock, asleep = lease._now, [0.0]
    quick.setattr(lease, "_now", lambda: clock() + asleep[0])
    place, taken = Place("obstore"), threading.Event()
    held = Lease(place.backend())

    def wait() -> None:
        Lease(place.backend()).end()
        taken.set()

    waiting = threading.Thread(target=wait)
    waiting.start()
    time.sleep(0.3)
    asleep[0] = 60.0
    assert not taken.wait(0.3)
    held.check()
    assert held.is_sure
    held.end()
    waiting.join(10)
    assert taken.is_set()


@KINDS
def test_a_change_that_takes_longer_than_the_lease_is_given_up(kind: str, quick: pytest.MonkeyPatch) -> None:
    """Clients repeat requests for minutes; by then another writer may be at work."""
    backend = Place(kind).backend()
    given_up = threading.Event()

    async def stall(*_: Any, **__: Any) -> None:
        try:
            await asyncio.sleep(30)
        except asyncio.CancelledError:
            given_up.set()
            raise

    with backend.lock():
        quick.setattr(backend, "swap", fails)
        quick.setattr(backend, "_put", stall)
        began = time.monotonic()
        with pytest.raises(ConcurrentEditError, match="lock on the store was lost") as caught:
            backend.put_all([("a", b"1"), ("b", b"2")])
        assert time.monotonic() - began < 20
        assert given_up.is_set()
        assert isinstance(caught.value.__cause__, StoreError)
        assert "the server is gone" in str(caught.value)
    assert not backend.exists("a")


@pytest.mark.parametrize("error", [CorruptionError("a cell cannot be read"), MetadataError("a document is malformed")])
def test_what_was_read_after_the_lease_was_lost_is_no_corruption(error: ZVError, quick: pytest.MonkeyPatch) -> None:
    quick.setattr(Lease, "_renew", lambda _: None)
    place = Place("obstore")
    backend = place.backend()

    def read() -> None:
        with backend.lock():
            time.sleep(0.5)
            abandoned(place.backend())
            raise error

    with pytest.raises(ConcurrentEditError, match="lock on the store was lost") as caught:
        read()
    assert caught.value.__cause__ is error
    place.backend().delete(LEASE_KEY)
    with pytest.raises(type(error)), place.backend().lock():
        raise error


def fails(key: str, *_: Any) -> Any:
    raise StoreError("the server is gone", got=key)


def test_a_lease_that_cannot_be_removed_fails_no_write(monkeypatch: pytest.MonkeyPatch) -> None:
    backend = Place("obstore").backend()

    monkeypatch.setattr(backend, "delete", fails)
    jobs.create(backend)
    assert zv.open(backend)[0].vertex_count == 6


@KINDS
@pytest.mark.parametrize("step", [Step.STAGED, Step.PREPARED, Step.RECORDED, Step.REMOVED, Step.MOVED])
def test_a_writer_that_was_asleep_changes_nothing(kind: str, step: Step, quick: pytest.MonkeyPatch) -> None:
    """Its lease runs out in the middle of a commit, and others take their turns, who finish it if it was recorded.

    Then it has been made, and no error says otherwise.
    """
    place = Place(kind)
    place.backend().put_all(OLD.items())
    renew = Lease._renew
    quick.setattr(Lease, "_renew", lambda _: None)
    quick.setattr(lease, "LEASE_SECONDS", 30.0)

    def sleep(reached: Step) -> None:
        if reached == step:
            quick.setattr(commit, "on_step", lambda _: None)
            time.sleep(0.5)
            quick.setattr(lease, "LEASE_SECONDS", 30.0)
            quick.setattr(Lease, "_renew", renew)
            for number in (5, 6):
                puts = [(key, str(number).encode()) for key in ("a/x", "a/c/0/0")]
                Storage(place.backend()).commit(Batch(puts=puts, root=lambda: root_of(6)))
            quick.setattr(lease, "LEASE_SECONDS", 0.4)

    quick.setattr(commit, "on_step", sleep)
    recorded = step in (Step.RECORDED, Step.REMOVED, Step.MOVED)
    with nullcontext() if recorded else pytest.raises(ConcurrentEditError):
        Storage(place.backend()).commit(
            Batch(puts=[("a/x", b"late"), ("a/y", b"late")], root=lambda: root_of(9), deletes=["a/c/0/0"])
        )
    quick.setattr(lease, "LEASE_SECONDS", 30.0)
    storage = Storage(place.backend())
    assert storage.read_root()[0] == root_of(6, 3 if recorded else 2)
    found = storage.fetch([Get("a/x"), Get("a/y"), Get("a/c/0/0")])
    assert list(found.values()) == [b"6", b"late" if recorded else None, b"6"]
    with storage.lock():
        pass
    left = set(place.backend().list_prefix("", recursive=True)) - {*OLD, "a/x", "a/y"}
    # What a dead writer has staged stays where nobody can be sure that it is dead.
    assert all(key.startswith(".zv/") for key in left)
    assert not left or kind == "foreign"


@KINDS
def test_a_root_document_that_somebody_else_has_changed_is_not_overwritten(kind: str) -> None:
    place = Place(kind)
    place.backend().put_all(OLD.items())

    def meddle() -> Any:
        place.backend().put_bytes(ROOT, b'{"attributes": {"by": "0.9.2"}}')
        return root_of(2)

    with pytest.raises(ConcurrentEditError, match="changed the store meanwhile"):
        Storage(place.backend()).commit(Batch(puts=[("a/x", b"1")], root=meddle))
    assert place.backend().get_bytes(ROOT) == b'{"attributes": {"by": "0.9.2"}}'
    assert sorted(place.backend().list_prefix("", recursive=True)) == sorted(OLD)


@pytest.mark.usefixtures("quick")
def test_a_root_document_that_arrives_late_does_not_bring_a_swept_commit_back() -> None:
    """Its sender was asleep for so long that others took it for dead."""
    place = Place("obstore")
    asleep = place.backend()
    asleep.put_all(OLD.items())
    record = Record("late", frozenset({"a/x", ROOT}), frozenset())
    asleep.put_all([(record.staged("a/x"), b"late"), (record.staged(ROOT), b"{}"), (record.path, record.to_bytes())])
    expected = asleep.read_versioned(ROOT)
    abandoned(asleep)
    with Storage(place.backend()).lock():
        pass
    with pytest.raises(ConcurrentEditError):
        asleep.swap(ROOT, record.marked(root_of(0)), expected)
    assert sorted(place.backend().list_prefix("", recursive=True)) == sorted(OLD)
    assert Storage(place.backend()).read_root()[0] == json.loads(OLD[ROOT])


@pytest.mark.usefixtures("quick")
def test_a_root_document_that_arrives_just_now_is_heeded(monkeypatch: pytest.MonkeyPatch) -> None:
    place = Place("obstore")
    asleep, awake = place.backend(), place.backend()
    asleep.put_all(OLD.items())
    record = Record("late", frozenset({"a/x", ROOT}), frozenset())
    root = json.dumps(root_of(9)).encode()
    asleep.put_all([(record.staged("a/x"), b"late"), (record.staged(ROOT), root), (record.path, record.to_bytes())])
    expected, swap = asleep.read_versioned(ROOT), awake.swap

    def overtaken(key: str, data: bytes, old: Any) -> Any:
        if key == ROOT:
            monkeypatch.setattr(awake, "swap", swap)
            asleep.swap(ROOT, record.marked(root_of(0)), expected)
        return swap(key, data, old)

    monkeypatch.setattr(awake, "swap", overtaken)
    with Storage(awake).lock():
        pass
    assert place.backend().get_bytes("a/x") == b"late"
    assert Storage(place.backend()).read_root()[0] == root_of(9)
    assert not list(place.backend().list_prefix(".zv", recursive=True))


def test_a_store_that_somebody_else_has_made_meanwhile_stays() -> None:
    place = Place("obstore")

    def meddle() -> Any:
        place.backend().put_bytes(ROOT, b"theirs")
        return root_of(2)

    with pytest.raises(ConcurrentEditError):
        Storage(place.backend()).commit(Batch(puts=[("a/x", b"1")], root=meddle))
    assert place.backend().get_bytes(ROOT) == b"theirs"


def test_a_conditional_put_whose_answer_was_lost_is_recognised(monkeypatch: pytest.MonkeyPatch) -> None:
    backend = Place("obstore").backend()
    put = obstore.put_async

    async def twice(*args: Any, **options: Any) -> Any:
        await put(*args, **options)
        return await put(*args, **options)

    monkeypatch.setattr(obstore, "put_async", twice)
    first = backend.swap("k", b"1", None)
    second = backend.swap("k", b"2", first)
    assert second.data == backend.get_bytes("k") == b"2"
    monkeypatch.undo()
    assert backend.swap("k", b"3", second).data == b"3"


def test_a_place_that_does_not_heed_conditions_is_found_out(monkeypatch: pytest.MonkeyPatch) -> None:
    put = obstore.put_async

    async def heedless(store: Any, path: str, data: Any, **_: Any) -> Any:
        return await put(store, path, data)

    monkeypatch.setattr(obstore, "put_async", heedless)
    place = Place("obstore")
    backend = place.backend()
    assert isinstance(backend, ObstoreBackend)
    told = [backend.locks_everyone]
    jobs.create(backend)
    assert [*told, backend.locks_everyone] == [True, False]
    jobs.append(backend)
    assert zv.open(place.backend())[0].vertex_count == 12
    assert not place.backend().exists(LEASE_KEY)


def test_only_stores_that_can_are_asked_for_conditions(tmp_path: Any) -> None:
    disk = zarr_backend(ObjectStore(obstore.store.LocalStore(tmp_path)))
    assert type(disk) is ZarrBackend
    jobs.create(disk)
    jobs.append(disk)
    assert zv.open(tmp_path)[0].vertex_count == 12
    assert type(zarr_backend(MemoryStore())) is MemoryBackend


def test_copies_and_deletions_of_an_object_store() -> None:
    backend = Place("obstore").backend()
    backend.put_all([("a", b"1"), ("b", b"2")])
    backend.copy_all([("a", "c")])
    backend.move_all([("b", "d"), ("gone", "nowhere")])
    backend.delete_all(["a", "not there"])
    assert backend.fetch([Get(key) for key in "abcd"]) == [None, None, b"1", b"2"]
    with pytest.raises(StoreError, match="gone"):
        backend.copy_all([("not there", "x")])


@pytest.mark.parametrize("name", SCENARIOS)
def test_a_commit_on_an_object_store(name: str) -> None:
    place, scenario = Place("obstore"), SCENARIOS[name]
    place.backend().put_all(scenario.before.items())
    Storage(place.backend()).commit(scenario.batch())
    backend = place.backend()
    keys = list(backend.list_prefix("", recursive=True))
    assert dict(zip(keys, backend.fetch([Get(key) for key in keys]), strict=True)) == scenario.after


def test_threads_that_share_a_store_object_take_turns() -> None:
    storage = Storage(Place("obstore").backend())
    storage.commit(Batch(puts=[], root=lambda: root_of(0)))
    first_is_in, done = threading.Event(), []

    def first() -> None:
        with storage.lock(), storage.lock():
            first_is_in.set()
            time.sleep(0.05)
            done.append("first")

    thread = threading.Thread(target=first)
    thread.start()
    first_is_in.wait(10)
    with storage.lock():
        done.append("second")
    thread.join()
    assert done == ["first", "second"]


def test_machines_that_append_at_once_lose_nothing() -> None:
    place = Place("obstore")
    zv.write(place.backend(), zv.Points(np.zeros((1, 2))), bounds=([0, 0], [99, 99]))
    failed: list[Any] = []

    def append(number: int) -> None:
        try:
            for _ in range(3):
                zv.write(place.backend(), zv.Points(np.full((2, 2), float(number))), mode="append")
        except zv.ZVError as error:
            failed.append(error)

    threads = [threading.Thread(target=append, args=(number,)) for number in range(3)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert failed == []
    assert len(zv.open(place.backend())[0].read().positions) == 19


@pytest.mark.usefixtures("quick")
def test_a_lease_that_says_nothing_is_that_of_the_dead() -> None:
    place = Place("obstore")
    place.backend().put_all([(LEASE_KEY, b"not json"), *((key, data) for key, data in OLD.items())])
    Lease(place.backend()).end()
    assert not place.backend().exists(LEASE_KEY)
