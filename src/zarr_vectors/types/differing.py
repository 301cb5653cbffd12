"""Writing only what differs from what is stored already."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field

from zarr_vectors.storage.backend import Get
from zarr_vectors.storage.storage import Put, Storage

__all__ = ["Differing"]

_BYTES = 1 << 23
_OBJECTS = 256
"""Compared at a time, in one round."""


@dataclass
class Differing:
    """Leaves out of a write the objects that are stored with the same bytes.

    What is sorted, cut and compressed in the same way gives the same bytes, so that a level which is made anew differs
    only where its content does.

    Args:
        storage: The store, as it is before the write.
        there: Paths of what is stored, as far as it may stay.
        same: Paths of the objects that have been left out, and must stay.
    """

    storage: Storage
    there: frozenset[str]
    same: set[str] = field(default_factory=set)

    def of(self, puts: Iterable[Put]) -> Iterator[Put]:
        """The objects among these that differ from what is stored, in their order."""
        waiting: list[Put] = []
        size = 0
        for put in puts:
            waiting.append(put)
            size += len(put[1])
            if size >= _BYTES or len(waiting) >= _OBJECTS:
                yield from self._compared(waiting)
                waiting, size = [], 0
        yield from self._compared(waiting)

    def _compared(self, puts: list[Put]) -> Iterator[Put]:
        found = self.storage.fetch(Get(path) for path, _ in puts if path in self.there)
        for path, data in puts:
            stored = found.get(Get(path))
            if stored is not None and len(stored) == len(data) and bytes(stored) == bytes(data):
                self.same.add(path)
            else:
                yield path, data
