"""Any ``zarr.abc.store.Store`` as a backend: memory, object stores, zip files and what others bring.

Requests run on an event loop in a thread of our own.
"""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Awaitable, Iterable, Iterator, Sequence
from contextlib import contextmanager, suppress
from functools import partial
from typing import Any, TypeVar

from zarr.abc.store import ByteRequest, OffsetByteRequest, RangeByteRequest, Store, SuffixByteRequest
from zarr.buffer import default_buffer_prototype
from zarr.buffer.cpu import Buffer as CpuBuffer
from zarr.storage import MemoryStore

from zarr_vectors.encoding.blobs import Buffer
from zarr_vectors.exceptions import (
    ArrayError,
    ConcurrentEditError,
    CorruptionError,
    MetadataError,
    MissingCellError,
    ReadOnlyError,
    StoreError,
    ZVError,
)
from zarr_vectors.storage.backend import Get, Put, Stamp, Versioned, swap_by_comparing
from zarr_vectors.storage.lease import Lease, holding
from zarr_vectors.storage.loop import IN_FLIGHT, Change, run, run_changes

__all__ = ["ZarrBackend", "run"]

T = TypeVar("T")


_write_lock = threading.RLock()
_OF_CONTENT = (CorruptionError, MetadataError, MissingCellError, ArrayError)
"""Errors about what a store holds."""


class ZarrBackend:
    """A zarr ``Store``.

    Args:
        store: The store; for one opened through obstore its handle stays reachable as ``store.store``.
        url: Where it is, for messages.
        read_only: Refuse writing.
    """

    is_local = False
    has_stamps = False
    copies_at_once = 16
    """Objects in memory at once on their way through it."""

    def __init__(self, store: Store, *, url: str | None = None, read_only: bool = False) -> None:
        self.store = store
        self.url = url or str(store)
        self.read_only = read_only or store.read_only
        self.is_static = self.url.startswith(("http://", "https://"))
        self._prototype = default_buffer_prototype()
        self._leases: dict[int, Lease] = {}

    @property
    def is_shared(self) -> bool:
        """Whether others may write there; memory belongs to this process alone."""
        return not isinstance(self.store, MemoryStore)

    @property
    def locks_everyone(self) -> bool:
        """In a place that is shared, two writers may pass each other unseen."""
        return not self.is_shared

    def fetch(self, requests: Sequence[Get]) -> list[bytes | None]:
        """Serve all requests concurrently, a bounded number in flight."""
        return run(self._fetch(requests))

    async def _fetch(self, requests: Sequence[Get]) -> list[bytes | None]:
        gate = asyncio.Semaphore(IN_FLIGHT)

        async def one(request: Get) -> bytes | None:
            async with gate:
                return await self._get(request)

        return self._results(requests, await _outcomes(one(request) for request in requests))

    async def _get(self, request: Get) -> bytes | None:
        buffer = await self.store.get(request.path, self._prototype, _byte_request(request))
        return None if buffer is None else buffer.to_bytes()

    def _results(self, requests: Sequence[Get], outcomes: Sequence[bytes | BaseException | None]) -> list[bytes | None]:
        results: list[bytes | None] = []
        for request, outcome in zip(requests, outcomes, strict=True):
            if isinstance(outcome, (FileNotFoundError, KeyError)):
                results.append(None)
            elif isinstance(outcome, BaseException):
                raise StoreError(f"cannot read {request.path!r}", store=self.url, got=repr(outcome)) from outcome
            else:
                results.append(outcome)
        return results

    def stamps(self, paths: Sequence[str]) -> Sequence[Stamp | None]:
        """None for all: what a zarr store is made of may tell no version of its objects."""
        return [None] * len(paths)

    def get_bytes(self, key: str) -> bytes:
        """The whole object. Raises ``KeyError`` where there is none."""
        data = self.fetch([Get(key)])[0]
        if data is None:
            raise KeyError(key)
        return data

    def put_bytes(self, key: str, data: Buffer) -> None:
        """Create or overwrite an object."""
        self.put_all([(key, data)])

    replace = put_bytes

    def put_all(self, puts: Iterable[Put]) -> None:
        """Create or overwrite objects concurrently, bounded in number and bytes; they are taken as they are made."""

        def put(key: str, data: Buffer) -> Change:
            # What makes the objects may use their memory again.
            kept = bytes(data)
            return Change(key, len(kept), partial(self._put, key, kept))

        self._change_all(put(key, data) for key, data in puts)

    def copy_all(self, pairs: Iterable[tuple[str, str]]) -> None:
        """Put objects under second keys as well, concurrently.

        Raises:
            StoreError: There is no such object.
        """

        async def copy(source: str, target: str) -> None:
            if not await self._copy(source, target):
                raise StoreError("an object to be copied is gone", store=self.url, got=source)

        self._change_all(
            (Change(target, 0, partial(copy, source, target)) for source, target in pairs), at_once=self.copies_at_once
        )

    def move_all(self, pairs: Iterable[tuple[str, str]]) -> None:
        """Copy concurrently, then delete the sources; one that is gone has been moved before."""
        moved: list[str] = []

        async def move(source: str, target: str) -> None:
            if await self._copy(source, target):
                moved.append(source)

        self._change_all(
            (Change(target, 0, partial(move, source, target)) for source, target in pairs), at_once=self.copies_at_once
        )
        self.delete_all(moved)

    def delete_all(self, keys: Iterable[str]) -> None:
        """Remove objects concurrently; a missing one is no error."""
        self._change_all(Change(key, 0, partial(self._delete, key)) for key in keys)

    def _change_all(self, changes: Iterable[Change], at_once: int = IN_FLIGHT) -> None:
        self._check_writable()
        lease = self._leases.get(threading.get_ident())
        run_changes(changes, at_once=at_once, check=_nothing if lease is None else lease.check)

    async def _put(self, key: str, data: bytes) -> None:
        with self._told(key):
            await self.store.set(key, CpuBuffer.from_bytes(data))

    async def _copy(self, source: str, target: str) -> bool:
        """Whether there is such an object; it is read and written again."""
        (data,) = await self._fetch([Get(source)])
        if data is not None:
            await self._put(target, data)
        return data is not None

    async def _delete(self, key: str) -> None:
        with self._told(key), suppress(FileNotFoundError, KeyError):
            await self.store.delete(key)

    @contextmanager
    def _told(self, key: str, *expected: type[Exception]) -> Iterator[None]:
        """Every kind of store raises errors of its own; those that are expected pass."""
        try:
            yield
        except expected:
            raise
        except Exception as error:
            raise StoreError("cannot write to the store", store=self.url, array=key, got=repr(error)) from error

    def read_versioned(self, key: str) -> Versioned | None:
        """The whole object as it is now; None where there is none."""
        data = self.fetch([Get(key)])[0]
        return None if data is None else Versioned(bytes(data))

    def swap(self, key: str, data: Buffer, expected: Versioned | None) -> Versioned:
        """Overwrite an object that is still as it was."""
        return swap_by_comparing(self, key, data, expected)

    def exists(self, key: str) -> bool:
        """Whether there is an object."""
        return self._ask(self.store.exists(key))

    def delete(self, key: str) -> None:
        """Remove an object; a missing one is no error."""
        self.delete_all([key])

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

    def sizes(self, keys: Sequence[str]) -> list[int | None]:
        """Bytes of each of these objects, asked for concurrently; None where there is none.

        Raises:
            StoreError: The store does not tell.
        """

        async def one(key: str) -> int | None:
            try:
                return await self.store.getsize(key)
            except FileNotFoundError:
                return None

        return self._ask(_gather([one(key) for key in keys]))

    def ensure_prefix(self, prefix: str) -> None:
        """Prefixes exist by themselves."""

    def delete_prefix(self, prefix: str) -> None:
        """Remove every object below a prefix."""
        self._check_writable()
        self.delete_all(list(self.list_prefix(prefix, recursive=True)))

    def clear(self) -> None:
        """Remove every object."""
        self._write(self.store.clear())

    def close(self) -> None:
        """Close the store, but not one in memory, whose content would have no other owner."""
        if not isinstance(self.store, MemoryStore):
            self.store.close()

    @contextmanager
    def lock(self) -> Iterator[None]:
        """Keep out other writers of this process, and in a place that is shared with others those that can be seen.

        Raises:
            ConcurrentEditError: Another writer has been writing for a minute.
        """
        self._check_writable()
        if not self.is_shared:
            # Two store objects may share one place, so that all wait for one lock.
            with _write_lock:
                yield
            return
        thread = threading.get_ident()
        try:
            with holding(self) as lease:
                self._begin(lease)
                self._leases[thread] = lease
                try:
                    yield
                except _OF_CONTENT as error:
                    # What was read without the lock may be of two states, and means nothing.
                    with _because_of(error):
                        lease.check()
                    raise
        finally:
            # It watches over its own removal, too.
            self._leases.pop(thread, None)

    def _begin(self, lease: Lease) -> None:
        """Called when the lease has been taken."""

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


def _nothing() -> None:
    """A place without a lock."""


@contextmanager
def _because_of(error: ZVError) -> Iterator[None]:
    """What is raised names the error that led to it."""
    try:
        yield
    except ConcurrentEditError as lost:
        raise lost from error


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
