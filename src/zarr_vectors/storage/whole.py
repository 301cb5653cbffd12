"""Reads that bring one state of a store, while others write to it."""

from __future__ import annotations

from collections.abc import Callable
from typing import TypeVar

from zarr_vectors.exceptions import CorruptionError, MetadataError, OutOfMemoryError, ZVError
from zarr_vectors.storage.backend import keeps_changing
from zarr_vectors.storage.storage import Storage

__all__ = ["check_current", "no_memory", "open_whole", "read_whole"]

T = TypeVar("T")
_TRIES = 2


def read_whole(
    storage: Storage, work: Callable[[], T], *, seen: Callable[[], frozenset[bytes]], again: Callable[[], object]
) -> T:
    """What a read brings, if the store was the same from its first document to its last cell.

    A last small request tells. If the store has changed, what was read, or why it could not be, means nothing: the
    documents are read once more, and all the rest.

    Args:
        storage: The store.
        work: Reads.
        seen: The state of the store that ``work`` has read.
        again: Reads the documents anew.

    Raises:
        ConcurrentEditError: The store has changed again meanwhile.
        OutOfMemoryError: There is not enough memory.
    """
    for _ in range(_TRIES):
        try:
            found = work()
        except ZVError:
            if storage.is_current(seen()):
                raise
        except MemoryError as error:
            raise no_memory("what was asked for", storage.url, error) from error
        else:
            if storage.is_current(seen()):
                return found
        open_whole(storage, again)
    raise keeps_changing(storage.url)


def open_whole(storage: Storage, work: Callable[[], T]) -> T:
    """What documents say, read once more if they do not fit together because the store has changed meanwhile.

    That they fit without being of one state is found out by the read that follows.

    Raises:
        ConcurrentEditError: They do not fit together even then, as the store has changed again.
    """
    for _ in range(_TRIES):
        try:
            return work()
        except (CorruptionError, MetadataError) as error:
            if storage.is_current(storage.seen):
                raise
            overtaken = error
    raise keeps_changing(storage.url) from overtaken


def check_current(storage: Storage, seen: frozenset[bytes]) -> None:
    """Refuse to go on with a state that has passed.

    Raises:
        ConcurrentEditError: The store has changed.
    """
    if not storage.is_current(seen):
        raise keeps_changing(storage.url)


def no_memory(what: str, store: str | None, error: MemoryError) -> OutOfMemoryError:
    """The error for what does not fit into memory; one that says so already stays as it is."""
    if isinstance(error, OutOfMemoryError):
        return error
    return OutOfMemoryError(
        f"{what} cannot be read: there is not enough memory",
        store=store,
        got=str(error) or None,
        hint="read fewer rows at a time" if store is None else "select less, or read in batches: level.iter()",
    )
