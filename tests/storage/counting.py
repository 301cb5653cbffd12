"""A zarr store that counts what is asked of it, and answers late enough that concurrent requests overlap."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import contextmanager
from typing import Any

from zarr.storage import MemoryStore, WrapperStore

LATENCY = 0.001
TICKS = 5
"""Turns of the event loop without a request after which a round is over. Requests that wait for a place in flight
come within fewer; those of the next round are sent by another thread, which takes far longer.
"""


class CountingStore(WrapperStore[MemoryStore]):
    """A store in memory.

    Attributes:
        requests: Keys that were asked for, in order; listings as ``"list <prefix>"``.
        rounds: How often requests were sent while none was under way.
        most_in_flight: The most requests that were under way at once.
    """

    def __init__(self, store: MemoryStore | None = None, *, listing: bool = True) -> None:
        super().__init__(store or MemoryStore())
        self.listing = listing
        self.in_flight = 0
        self.resting = True
        self.reset()

    def reset(self) -> None:
        self.requests: list[str] = []
        self.rounds = 0
        self.most_in_flight = 0

    @property
    def listings(self) -> list[str]:
        return [request for request in self.requests if request.startswith("list ")]

    @property
    def supports_listing(self) -> bool:
        return self.listing

    @contextmanager
    def _asked(self, what: str) -> Iterator[None]:
        self.requests.append(what)
        self.rounds += self.resting
        self.resting = False
        self.in_flight += 1
        self.most_in_flight = max(self.most_in_flight, self.in_flight)
        try:
            yield
        finally:
            self.in_flight -= 1
            self._settle(TICKS)

    def _settle(self, ticks: int) -> None:
        if self.in_flight:
            return
        if ticks:
            asyncio.get_running_loop().call_soon(self._settle, ticks - 1)
        else:
            self.resting = True

    async def get(self, key: str, prototype: Any, byte_range: Any = None) -> Any:
        with self._asked(key):
            await asyncio.sleep(LATENCY)
            return await super().get(key, prototype, byte_range)

    async def exists(self, key: str) -> bool:
        with self._asked(key):
            await asyncio.sleep(LATENCY)
            return await super().exists(key)

    async def _listed(self, what: str, keys: AsyncIterator[str]) -> AsyncIterator[str]:
        if not self.listing:
            raise NotImplementedError("this store cannot list")
        with self._asked(f"list {what}"):
            await asyncio.sleep(LATENCY)
            found = [key async for key in keys]
        for key in found:
            yield key

    def list(self) -> AsyncIterator[str]:
        return self._listed("", super().list())

    def list_prefix(self, prefix: str) -> AsyncIterator[str]:
        return self._listed(prefix, super().list_prefix(prefix))

    def list_dir(self, prefix: str) -> AsyncIterator[str]:
        return self._listed(prefix, super().list_dir(prefix))


def rounds_of(store: CountingStore, work: Callable[[], Any]) -> int:
    """Rounds that something takes; of a read without the last one, a single small request.

    That one asks for the root document, to find out whether the store has changed meanwhile.
    """
    store.reset()
    work()
    return store.rounds - (store.requests[-1:] == ["zarr.json"])
