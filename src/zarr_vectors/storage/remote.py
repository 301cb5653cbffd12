"""Any ``zarr.abc.store.Store`` as a backend: memory, object stores, zip files and what others bring.

Requests run on an event loop in a thread of our own, so that calling from inside another loop, or from one of
zarr's own threads, cannot deadlock.
"""

from __future__ import annotations

import asyncio
import os
import threading
from collections.abc import Awaitable, Coroutine, Iterable, Iterator, Mapping, Sequence
from concurrent.futures import wait
from contextlib import contextmanager
from typing import Any, TypeVar

from zarr.abc.store import ByteRequest, OffsetByteRequest, RangeByteRequest, Store, SuffixByteRequest
from zarr.buffer import default_buffer_prototype
from zarr.buffer.cpu import Buffer as CpuBuffer
from zarr.storage import MemoryStore

from zarr_vectors.encoding.blobs import Buffer
from zarr_vectors.exceptions import ReadOnlyError, StoreError
from zarr_vectors.storage.backend import Get

__all__ = ["ZarrBackend", "run"]

T = TypeVar("T")
_IN_FLIGHT = 64


class _Loop:
    """One event loop in one daemon thread, made at first use and again after a fork."""

    def __init__(self) -> None:
        self._guard = threading.Lock()
        self._loop: asyncio.AbstractEventLoop | None = None
        self._process = -1

    def run(self, work: Coroutine[Any, Any, T], finish: bool) -> T:
        with self._guard:
            if self._loop is None or self._process != os.getpid():
                self._loop = asyncio.new_event_loop()
                self._process = os.getpid()
                threading.Thread(target=self._loop.run_forever, name="zarr-vectors-io", daemon=True).start()
            loop = self._loop
        future = asyncio.run_coroutine_threadsafe(work, loop)
        try:
            return future.result()
        except BaseException:
            # After an interrupt the work goes on by itself: a change could land behind the clean-up that follows.
            if finish:
                wait([future])
            else:
                future.cancel()
            raise


_loop = _Loop()
_write_lock = threading.RLock()


def run(work: Coroutine[Any, Any, T], *, finish: bool = False) -> T:
    """Run a coroutine on the library's own loop and wait for it; with ``finish`` even when interrupted."""
    return _loop.run(work, finish)


class ZarrBackend:
    """A zarr ``Store``.

    Args:
        store: The store; for one opened through obstore its handle stays reachable as ``store.store``.
        url: Where it is, for messages.
        read_only: Refuse writing.
    """

    is_local = False

    def __init__(self, store: Store, *, url: str | None = None, read_only: bool = False) -> None:
        self.store = store
        self.url = url or str(store)
        self.read_only = read_only or store.read_only
        self.is_static = self.url.startswith(("http://", "https://"))
        self._prototype = default_buffer_prototype()

    @property
    def locks_everyone(self) -> bool:
        """Only memory belongs to this process alone."""
        return isinstance(self.store, MemoryStore)

    def fetch(self, requests: Sequence[Get]) -> list[bytes | None]:
        """Serve all requests concurrently, a bounded number in flight."""
        return run(self._fetch(requests))

    async def _fetch(self, requests: Sequence[Get]) -> list[bytes | None]:
        gate = asyncio.Semaphore(_IN_FLIGHT)

        async def one(request: Get) -> bytes | None:
            async with gate:
                buffer = await self.store.get(request.path, self._prototype, _byte_request(request))
            return None if buffer is None else buffer.to_bytes()

        outcomes = await _outcomes(one(request) for request in requests)
        results: list[bytes | None] = []
        for request, outcome in zip(requests, outcomes, strict=True):
            if isinstance(outcome, (FileNotFoundError, KeyError)):
                results.append(None)
            elif isinstance(outcome, BaseException):
                raise StoreError(f"cannot read {request.path!r}", store=self.url, got=repr(outcome)) from outcome
            else:
                results.append(outcome)
        return results

    def get_bytes(self, key: str) -> bytes:
        """The whole object. Raises ``KeyError`` where there is none."""
        data = self.fetch([Get(key)])[0]
        if data is None:
            raise KeyError(key)
        return data

    def put_bytes(self, key: str, data: Buffer) -> None:
        """Create or overwrite an object."""
        self._write(self.store.set(key, CpuBuffer.from_bytes(bytes(data))))

    replace = put_bytes

    def put_all(self, objects: Mapping[str, Buffer]) -> None:
        """Create or overwrite objects concurrently, a bounded number in flight."""
        self._check_writable()

        async def put() -> None:
            gate = asyncio.Semaphore(_IN_FLIGHT)

            async def one(key: str, data: Buffer) -> None:
                async with gate:
                    await self.store.set(key, CpuBuffer.from_bytes(bytes(data)))

            outcomes = await _outcomes(one(key, data) for key, data in objects.items())
            for outcome in outcomes:
                if isinstance(outcome, BaseException):
                    raise outcome

        self._write(put())

    def move(self, source: str, target: str) -> None:
        """Copy, then delete the source."""
        self.copy(source, target)
        self.delete(source)

    def copy(self, source: str, target: str) -> None:
        """Read and write again."""
        data = self.fetch([Get(source)])[0]
        if data is None:
            raise StoreError("an object to be copied is gone", store=self.url, got=source)
        self.put_bytes(target, data)

    def exists(self, key: str) -> bool:
        """Whether there is an object."""
        return self._ask(self.store.exists(key))

    def delete(self, key: str) -> None:
        """Remove an object; a missing one is no error."""
        if self.exists(key):
            self._write(self.store.delete(key))

    def list_prefix(self, prefix: str, *, recursive: bool = False) -> Iterator[str]:
        """Objects below a prefix, sorted.

        Raises:
            StoreError: The store cannot list.
        """
        if not recursive:
            yield from self.list_children([prefix])[0]
            return
        self._check_listing()
        yield from sorted(self._ask(_collect(self.store.list_prefix(_head(prefix)))))

    def list_children(self, prefixes: Sequence[str]) -> list[list[str]]:
        """Immediate children of several prefixes, listed concurrently.

        Raises:
            StoreError: The store cannot list.
        """
        self._check_listing()
        heads = [_head(prefix) for prefix in prefixes]
        found = self._ask(_gather([_collect(self.store.list_prefix(head)) for head in heads]))
        return [sorted({_child(key, head) for key in keys}) for keys, head in zip(found, heads, strict=True)]

    def _check_listing(self) -> None:
        if not self.store.supports_listing:
            raise StoreError("the store cannot list its objects", store=self.url)

    def size(self, prefix: str) -> int:
        """Bytes of all objects below a prefix."""
        prefix = prefix.strip("/")
        return self._ask(self.store.getsize_prefix(prefix and prefix + "/"))

    def ensure_prefix(self, prefix: str) -> None:
        """Prefixes exist by themselves."""

    def delete_prefix(self, prefix: str) -> None:
        """Remove every object below a prefix."""
        for key in list(self.list_prefix(prefix, recursive=True)):
            self.delete(key)

    def clear(self) -> None:
        """Remove every object."""
        self._write(self.store.clear())

    def close(self) -> None:
        """Close the store, but not one in memory, whose content would have no other owner."""
        if not isinstance(self.store, MemoryStore):
            self.store.close()

    @contextmanager
    def lock(self) -> Iterator[None]:
        """Keep out other writers of this process; two store objects may share one place, so all wait for one lock."""
        self._check_writable()
        with _write_lock:
            yield

    def _ask(self, work: Awaitable[T]) -> T:
        return self._done(run(_outcomes([work])), "the store gives no answer")

    def _write(self, work: Awaitable[None]) -> None:
        self._check_writable(work)
        self._done(run(_outcomes([work]), finish=True), "cannot write to the store")

    def _done(self, outcomes: list[T | BaseException], complaint: str) -> T:
        outcome = outcomes[0]
        if isinstance(outcome, BaseException):
            raise StoreError(complaint, store=self.url, got=repr(outcome)) from outcome
        return outcome

    def _check_writable(self, work: Any = None) -> None:
        if self.read_only:
            if work is not None:
                work.close()
            raise ReadOnlyError("the store was opened for reading", store=self.url, hint="open it with mode='r+'")


async def _outcomes(works: Iterable[Awaitable[T]]) -> list[T | BaseException]:
    """What each came to: every kind of store raises errors of its own."""
    return await asyncio.gather(*works, return_exceptions=True)


def _head(prefix: str) -> str:
    """What keys below a prefix begin with."""
    return prefix.strip("/") and prefix.strip("/") + "/"


def _child(key: str, head: str) -> str:
    """The immediate child that a key lies at or below, with a slash where it is a container."""
    first, slash, _ = key[len(head) :].partition("/")
    return head + first + slash


async def _gather(work: Sequence[Awaitable[T]]) -> list[T]:
    return list(await asyncio.gather(*work))


async def _collect(keys: Any) -> list[str]:
    return [key async for key in keys]


def _byte_request(request: Get) -> ByteRequest | None:
    if request.start is None:
        return None
    if request.start < 0:
        return SuffixByteRequest(-request.start)
    if request.length is None:
        return OffsetByteRequest(request.start)
    return RangeByteRequest(request.start, request.start + request.length)
