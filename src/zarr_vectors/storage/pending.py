"""A batch that is not committed yet, seen by whoever builds another one on top of it."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field

from zarr_vectors.encoding.blobs import Buffer
from zarr_vectors.storage.backend import Get, Stamp
from zarr_vectors.storage.storage import Batch, Put, Storage

__all__ = ["Pending"]


@dataclass
class Pending(Storage):
    """A store as it will be: reads bring what waits to be written, and a commit publishes all of it at once.

    Args:
        backend: Where the bytes of the store are.
        base: The store.
        waiting: Objects that are to be written, by path.
        dropped: Paths that are to be removed.
    """

    base: Storage = field(kw_only=True)
    waiting: Mapping[str, Buffer] = field(kw_only=True)
    dropped: frozenset[str] = field(default=frozenset(), kw_only=True)

    @classmethod
    def on(cls, base: Storage, waiting: Mapping[str, Buffer], dropped: Iterable[str] = ()) -> Pending:
        """The store with these changes."""
        return cls(base.backend, base=base, waiting=waiting, dropped=frozenset(dropped) - waiting.keys())

    def fetch(self, requests: Iterable[Get]) -> dict[Get, Buffer | None]:
        """One round, in which what waits costs no request."""
        wanted = list(dict.fromkeys(requests))
        here: dict[Get, Buffer | None] = {
            get: _part(self.waiting[get.path], get) for get in wanted if get.path in self.waiting
        }
        here |= dict.fromkeys(get for get in wanted if get.path in self.dropped)
        there = super().fetch(get for get in wanted if get not in here)
        return {get: here[get] if get in here else there[get] for get in wanted}

    def stamps(self, paths: Sequence[str]) -> list[Stamp | None]:
        """None for what waits, and for what others have written meanwhile."""
        return [
            None if path in self.waiting else stamp for path, stamp in zip(paths, super().stamps(paths), strict=True)
        ]

    @contextmanager
    def lock(self, *, published: bool = False) -> Iterator[None]:
        """The lock of the store."""
        with self.base.lock(published=published):
            yield

    def commit(self, batch: Batch) -> None:
        """Make every change of the batch and all that waits, or none."""
        self.shard_indexes.clear()
        self.base.commit(batch if batch.replace_all else self._with_waiting(batch))

    def _with_waiting(self, batch: Batch) -> Batch:
        """A batch and what it was built on. Its own puts, copies and deletes come after that, and win."""
        written: set[str] = set()
        copies: list[tuple[str, str]] = []
        deletes: set[str] = set(self.dropped)

        def puts() -> Iterator[Put]:
            for path, data in batch.puts:
                written.add(path)
                yield path, data
            for source, target in batch.copies:
                if source not in self.waiting:
                    copies.append((source, target))
                elif target not in written:
                    written.add(target)
                    yield target, self.waiting[source]
            deletes.update(batch.deletes)
            for path, data in self.waiting.items():
                if path not in written and path not in deletes:
                    yield path, data

        def left() -> Iterator[str]:
            yield from deletes

        # What is left to copy and delete is known only when all puts have been made.
        return Batch(
            puts=puts(),
            root=batch.root,
            copies=iter(copies),
            deletes=left(),
            last=batch.last,
            must_be_new=batch.must_be_new,
        )


def _part(data: Buffer, get: Get) -> bytes:
    """What a request asks of an object."""
    if get.start is None:
        return bytes(data)
    start = get.start if get.start >= 0 else max(0, len(data) + get.start)
    return bytes(data[start : None if get.length is None else start + get.length])
