"""What the library asks of a place that holds bytes.

``StorageBackend`` is the plain key-value contract; ``Backend`` adds what the kernel needs: a concurrent round of
gets and of changes, a conditional overwrite, and a lock.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from contextlib import AbstractContextManager
from dataclasses import dataclass
from typing import Any, NamedTuple, Protocol, runtime_checkable

from zarr_vectors.encoding.blobs import Buffer
from zarr_vectors.exceptions import ConcurrentEditError

__all__ = [
    "ABSENT",
    "JOBS",
    "STAGE",
    "Backend",
    "Get",
    "Put",
    "Stamp",
    "StorageBackend",
    "Transaction",
    "Transactional",
    "Versioned",
    "changed_meanwhile",
    "keeps_changing",
    "swap_by_comparing",
]

Put = tuple[str, Buffer]
"""The key of an object, and its bytes."""
STAGE = ".zv"
"""Where a writer keeps what is not yet part of the store; the next one sweeps what a dead one left."""
JOBS = f"{STAGE}/jobs"
"""Where partitioned writers keep theirs until their job ends, a folder for each job that the root document names."""


class Get(NamedTuple):
    """A request for an object or a byte range of it.

    Args:
        path: Key below the store's root.
        start: First byte; negative counts from the end. None for the whole object.
        length: Number of bytes from ``start``; None to the end.
    """

    path: str
    start: int | None = None
    length: int | None = None


class Stamp(NamedTuple):
    """What tells that an object has not been written since: both differ for another one.

    Args:
        size: Its bytes.
        mark: When it was written, in nanoseconds, or a digest of what the place calls this version of it.
    """

    size: int
    mark: int


ABSENT = Stamp(-1, -1)
"""The stamp of an object that is not there."""


@dataclass(frozen=True, slots=True)
class Versioned:
    """An object as it was read or written.

    Args:
        data: Its bytes.
        version: What the place calls this version of it; None where it has no name for it.
    """

    data: bytes
    version: Any = None


@runtime_checkable
class StorageBackend(Protocol):
    """Bytes under forward-slash keys below one URL; the empty key is the root itself.

    ``group.backend`` is one, for local folders, memory, object stores and Icechunk alike. Any object with these methods
    is one to ``isinstance``, which looks at their names only.

    Raises:
        KeyError: By ``get_bytes``, where there is no object.
        ReadOnlyError: By every change, where the place was opened for reading.
        StoreError: By every method, where the place gives no answer, and where it cannot list.

    Example:
        >>> import zarr_vectors as zv
        >>> place = zv.create_store("memory://storage-backend-doc").backend
        >>> isinstance(place, zv.StorageBackend), place.url
        (True, 'memory://storage-backend-doc')
        >>> place.put_bytes("notes/a.txt", b"first")
        >>> place.get_bytes("notes/a.txt"), place.exists("notes/a.txt")
        (b'first', True)
        >>> place.delete("notes/a.txt")
        >>> place.exists("notes/a.txt")
        False
    """

    @property
    def url(self) -> str:
        """Where the root is."""
        ...

    def get_bytes(self, key: str) -> bytes:
        """The whole object. Raises ``KeyError`` where there is none."""
        ...

    def put_bytes(self, key: str, data: Buffer) -> None:
        """Create or overwrite an object."""
        ...

    def exists(self, key: str) -> bool:
        """Whether there is an object at this key."""
        ...

    def delete(self, key: str) -> None:
        """Remove an object; a missing one is no error."""
        ...

    def list_prefix(self, prefix: str, *, recursive: bool = False) -> Iterator[str]:
        """Keys below a prefix, from the root of the store and sorted; none where there is nothing.

        Args:
            prefix: Path of a container; empty for the root.
            recursive: Every object below, rather than the immediate children, of which containers end in ``/``.

        Returns:
            An iterator over keys.

        Raises:
            StoreError: The place cannot list its objects.

        Example:
            >>> import zarr_vectors as zv
            >>> place = zv.create_store("memory://list-prefix-doc").backend
            >>> list(place.list_prefix(""))
            ['0/', 'zarr.json']
            >>> list(place.list_prefix("0/vertices", recursive=True)), list(place.list_prefix("nothing"))
            (['0/vertices/zarr.json'], [])
        """
        ...

    def ensure_prefix(self, prefix: str) -> None:
        """Make a container, where the place has such a thing: a folder on a disk. Elsewhere nothing happens.

        Args:
            prefix: Path of the container; those above it are made too.

        Raises:
            ReadOnlyError: The place was opened for reading.
            StoreError: A file is there.

        Example:
            >>> import tempfile
            >>> import zarr_vectors as zv
            >>> place = zv.create_store(tempfile.mkdtemp() + "/store").backend
            >>> place.ensure_prefix("notes/old")
            >>> list(place.list_prefix("notes"))
            ['notes/old/']
        """
        ...

    def delete_prefix(self, prefix: str) -> None:
        """Remove every object below a prefix; where there is none, nothing happens.

        Args:
            prefix: Path of a container.

        Raises:
            ReadOnlyError: The place was opened for reading.

        Example:
            >>> import zarr_vectors as zv
            >>> place = zv.create_store("memory://delete-prefix-doc").backend
            >>> place.put_bytes("notes/a.txt", b"first")
            >>> place.delete_prefix("notes")
            >>> list(place.list_prefix("notes", recursive=True))
            []
        """
        ...

    def close(self) -> None:
        """Let go of connections and handles."""
        ...


class Backend(StorageBackend, Protocol):
    """A ``StorageBackend`` that can serve the kernel."""

    @property
    def read_only(self) -> bool:
        """Whether writing is refused."""
        ...

    @property
    def is_local(self) -> bool:
        """Whether requests cost microseconds, so that listing and small gaps are cheap."""
        ...

    @property
    def is_static(self) -> bool:
        """Whether it serves files that nobody changes, of stores that are most likely published."""
        ...

    @property
    def is_shared(self) -> bool:
        """Whether what is sent may arrive when whoever sent it is no more, or is taken for dead."""
        ...

    @property
    def locks_everyone(self) -> bool:
        """Whether ``lock`` keeps out every other writer there may be, and not only those of this process."""
        ...

    @property
    def has_stamps(self) -> bool:
        """Whether the place tells by itself that an object has been written again."""
        ...

    def stamps(self, paths: Sequence[str]) -> Sequence[Stamp | None]:
        """The stamps of objects, ``ABSENT`` for those that are not there; None where the place has none."""
        ...

    def fetch(self, requests: Sequence[Get]) -> Sequence[Buffer | None]:
        """Serve all requests at once; None where there is no such object."""
        ...

    def list_children(self, prefixes: Sequence[str]) -> list[list[str]]:
        """Immediate children of several prefixes at once, as ``list_prefix`` gives them."""
        ...

    def size(self, prefix: str) -> int:
        """Bytes below a prefix."""
        ...

    def sizes(self, keys: Sequence[str]) -> list[int | None]:
        """Bytes of each of these objects, asked for at once; None where there is no such object."""
        ...

    def put_all(self, puts: Iterable[Put]) -> None:
        """Create or overwrite objects, taken one by one as they are made, as many at once as pays."""
        ...

    def copy_all(self, pairs: Iterable[tuple[str, str]]) -> None:
        """Put objects under second keys as well."""
        ...

    def move_all(self, pairs: Iterable[tuple[str, str]]) -> None:
        """Put objects under other keys, replacing what is there; one that is gone has been moved before."""
        ...

    def delete_all(self, keys: Iterable[str]) -> None:
        """Remove objects; a missing one is no error."""
        ...

    def replace(self, key: str, data: Buffer) -> None:
        """Overwrite an object so that readers see the old or the new bytes, never a part."""
        ...

    def read_versioned(self, key: str) -> Versioned | None:
        """The whole object as it is now; None where there is none."""
        ...

    def swap(self, key: str, data: Buffer, expected: Versioned | None) -> Versioned:
        """Overwrite an object that is still as it was, in the way of ``replace``.

        Args:
            key: Of the object.
            data: Its new bytes.
            expected: The object as it was read or written last; None for one that must not be there.

        Raises:
            ConcurrentEditError: It is another one by now; nothing has been written.
        """
        ...

    def lock(self) -> AbstractContextManager[None]:
        """Keep other writers out while the context is open."""
        ...


class Transaction(Protocol):
    """What a batch is written to, unseen by anybody until it is complete."""

    def put_bytes(self, key: str, data: Buffer) -> None:
        """Create or overwrite an object."""
        ...

    def delete(self, key: str) -> None:
        """Remove an object; a missing one is no error."""
        ...

    def clear(self) -> None:
        """Remove everything."""
        ...


@runtime_checkable
class Transactional(Protocol):
    """A place that makes all changes of a batch or none by itself."""

    def transaction(self) -> AbstractContextManager[Transaction]:
        """Changes made to what the context gives become visible together when it ends; none if it ends by an error."""
        ...


def swap_by_comparing(backend: Backend, key: str, data: Buffer, expected: Versioned | None) -> Versioned:
    """``Backend.swap`` where the place itself cannot compare: right as long as the lock keeps all others out.

    Raises:
        ConcurrentEditError: The object is another one by now.
    """
    current = backend.read_versioned(key)
    if (current and current.data) != (expected and expected.data):
        raise changed_meanwhile(backend.url, key)
    backend.replace(key, data)
    return Versioned(bytes(data))


def changed_meanwhile(url: str, key: str) -> ConcurrentEditError:
    """The error for an object that is not the one that a commit was built on."""
    return ConcurrentEditError(
        "another writer has changed the store meanwhile, so that nothing was written",
        store=url,
        array=key,
        hint="open the store again and repeat the write",
    )


def keeps_changing(url: str) -> ConcurrentEditError:
    """The error for a read that another writer has overtaken again and again."""
    return ConcurrentEditError(
        "the store was changed while it was read", store=url, hint="read again when the writer is done"
    )
