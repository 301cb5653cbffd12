"""Stores in memory: they answer at once, so that nothing is asked through the thread of the loop."""

from __future__ import annotations

from collections.abc import Coroutine, Iterable, Sequence
from typing import Any, TypeVar

from zarr_vectors.storage.backend import Get
from zarr_vectors.storage.loop import IN_FLIGHT, Change
from zarr_vectors.storage.remote import ZarrBackend

__all__ = ["MemoryBackend"]

T = TypeVar("T")


class MemoryBackend(ZarrBackend):
    """A zarr ``MemoryStore``, none of whose subclasses, which may wait for something."""

    def fetch(self, requests: Sequence[Get]) -> list[bytes | None]:
        """Serve the requests one after the other, in the caller's thread."""
        return _now(self._fetch(requests))

    async def _fetch(self, requests: Sequence[Get]) -> list[bytes | None]:
        outcomes: list[bytes | BaseException | None] = []
        for request in requests:
            try:
                outcomes.append(await self._get(request))
            except Exception as error:  # noqa: BLE001 - told with the name of the object
                outcomes.append(error)
        return self._results(requests, outcomes)

    def _change_all(self, changes: Iterable[Change], at_once: int = IN_FLIGHT) -> None:  # noqa: ARG002
        self._check_writable()
        for change in changes:
            _now(change.make())


def _now(work: Coroutine[Any, Any, T]) -> T:
    """What a coroutine comes to that waits for nothing."""
    try:
        work.send(None)
    except StopIteration as done:
        result: T = done.value
        return result
    work.close()
    raise RuntimeError("a store in memory is waiting for something")
