"""Changes of a store that has latency: many at once, a bounded number, and none that outlives a failure."""

from __future__ import annotations

import asyncio
from collections.abc import Iterator
from typing import Any

import pytest
from zarr.storage import MemoryStore, WrapperStore

from tests.storage.faults import OLD, SCENARIOS, root_of
from tests.storage.stores import as_buffer
from zarr_vectors.exceptions import StoreError
from zarr_vectors.storage import loop
from zarr_vectors.storage.backend import Get
from zarr_vectors.storage.remote import ZarrBackend
from zarr_vectors.storage.storage import ROOT, Batch, Storage


class Slow(WrapperStore[MemoryStore]):
    """Every change takes a while; the one of ``fails_at`` fails sooner."""

    def __init__(self, store: MemoryStore | None = None, fails_at: str | None = None) -> None:
        super().__init__(store or MemoryStore())
        self.fails_at = fails_at
        self.under_way: list[int] = []
        self.most = self.most_bytes = 0

    async def set(self, key: str, value: Any) -> None:
        if key == self.fails_at:
            raise OSError("the disk is full")
        self.under_way.append(len(value))
        self.most = max(self.most, len(self.under_way))
        self.most_bytes = max(self.most_bytes, sum(self.under_way))
        await asyncio.sleep(0.01)
        await super().set(key, value)
        self.under_way.remove(len(value))


def test_objects_are_put_together_in_bounded_number_and_bytes(monkeypatch: pytest.MonkeyPatch) -> None:
    store = Slow()
    backend = ZarrBackend(store)
    backend.put_all((f"k{number}", bytes(10)) for number in range(100))
    assert len(store._store._store_dict) == 100
    assert store.most == loop.IN_FLIGHT
    monkeypatch.setattr(loop, "_BYTES_IN_FLIGHT", 50)
    store.most = store.most_bytes = 0
    backend.put_all((f"k{number}", bytes(20)) for number in range(9))
    assert (store.most, store.most_bytes) == (2, 40)
    backend.put_all([("larger than all that is allowed at once", bytes(70))])
    assert store.most_bytes == 70


def test_what_makes_the_objects_may_read_and_may_use_its_memory_again() -> None:
    backend = ZarrBackend(Slow())
    memory = bytearray(b"0")

    def puts() -> Iterator[tuple[str, memoryview]]:
        for number in range(9):
            memory[:] = str(number).encode()
            yield f"k{number}", memoryview(memory)
            assert backend.fetch([Get("nothing")]) == [None]

    backend.put_all(puts())
    assert [backend.get_bytes(f"k{number}") for number in range(9)] == [str(number).encode() for number in range(9)]


def test_the_last_of_several_changes_of_one_object_wins() -> None:
    backend = ZarrBackend(Slow())
    backend.put_all(("k", str(number).encode()) for number in range(5))
    assert backend.get_bytes("k") == b"4"


@pytest.mark.parametrize("name", ["create", "change", "replace"])
def test_nothing_lands_behind_the_clean_up_after_a_failure(name: str) -> None:
    scenario = SCENARIOS[name]
    keys = [key for key in scenario.after if key != ROOT]
    store = Slow(MemoryStore({key: as_buffer(data) for key, data in scenario.before.items()}))

    def puts() -> Iterator[tuple[str, bytes]]:
        yield from ((key, b"new") for key in keys)
        raise StoreError("the input ends here")

    with pytest.raises(StoreError, match="ends here"):
        Storage(ZarrBackend(store)).commit(Batch(puts=puts(), root=lambda: root_of(2)))
    assert {key: value.to_bytes() for key, value in store._store._store_dict.items()} == scenario.before
    assert store.most > 1


def test_an_error_of_one_change_is_raised_when_all_others_have_ended() -> None:
    store = Slow(MemoryStore(), fails_at="k5")
    with pytest.raises(StoreError, match="disk is full"):
        ZarrBackend(store).put_all((f"k{number}", b"1") for number in range(90))
    assert store.under_way == []
    assert 5 <= len(store._store._store_dict) < 90


def test_objects_are_published_together() -> None:
    store = Slow(MemoryStore({key: as_buffer(data) for key, data in OLD.items()}))
    puts = {f"a/c/{number}/0": b"1" for number in range(20)}
    Storage(ZarrBackend(store)).commit(Batch(puts=puts.items(), root=lambda: root_of(2)))
    assert store.most >= 16
    assert len(store._store._store_dict) == len({*OLD, *puts})
