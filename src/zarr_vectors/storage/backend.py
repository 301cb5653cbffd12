"""What the library asks of a place that holds bytes.

``StorageBackend`` is the plain key-value contract; ``Backend`` adds what the kernel needs: a concurrent round of
gets, a rename, and a lock.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import AbstractContextManager
from dataclasses import dataclass
from typing import Protocol, runtime_checkable

from zarr_vectors.encoding.blobs import Buffer

__all__ = ["STAGE", "Backend", "Get", "StorageBackend", "Transaction", "Transactional"]

STAGE = ".zv"
"""Where a writer keeps what is not yet part of the store; the next one sweeps what a dead one left."""


@dataclass(frozen=True, slots=True)
class Get:
    """A request for an object or a byte range of it.

    Args:
        path: Key below the store's root.
        start: First byte; negative counts from the end. None for the whole object.
        length: Number of bytes from ``start``; None to the end.
    """

    path: str
    start: int | None = None
    length: int | None = None


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
    def locks_everyone(self) -> bool:
        """Whether ``lock`` keeps out every other writer there may be, and not only those of this process."""
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

    def move(self, source: str, target: str) -> None:
        """Put an object under another key, replacing what is there."""
        ...

    def copy(self, source: str, target: str) -> None:
        """Put an object under a second key as well."""
        ...

    def replace(self, key: str, data: Buffer) -> None:
        """Overwrite an object so that readers see the old or the new bytes, never a part."""
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
