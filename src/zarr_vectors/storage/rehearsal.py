"""A read gone through up to its last round, to tell what it costs."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field, fields
from typing import Any

from zarr_vectors.encoding.blobs import Buffer
from zarr_vectors.storage.backend import Backend, Get, Stamp
from zarr_vectors.storage.storage import ROOT, Storage

__all__ = ["Reached", "Rehearsal", "Round"]


@dataclass(frozen=True)
class Round:
    """Requests that are sent together.

    Args:
        what: What they bring.
        requests: How many there are.
        nbytes: What they bring together, in bytes.
        cells: Cells of chunk-grid arrays among that.
        chunks: Chunks that the cells are of.
    """

    what: str
    requests: int
    nbytes: int
    cells: int = 0
    chunks: int = 0


class Reached(Exception):  # noqa: N818 - the end of a rehearsal, not an error
    """The last round has been reached, and is not sent."""


class _Counted:
    """A backend whose rounds are counted; all else is the backend's own."""

    def __init__(self, backend: Backend, rounds: list[Round]) -> None:
        self._backend = backend
        self._rounds = rounds
        self.of_cells: tuple[int, int] | None = None

    def __getattr__(self, name: str) -> Any:
        return getattr(self._backend, name)

    def fetch(self, requests: Sequence[Get]) -> Sequence[Buffer | None]:
        """Serve all requests at once, and write the round down."""
        found = self._backend.fetch(requests)
        nbytes = sum(0 if data is None else len(data) for data in found)
        what = _told(requests) if self.of_cells is None else "cells"
        self._rounds.append(Round(what, len(requests), nbytes, *(self.of_cells or ())))
        return found

    def stamps(self, paths: Sequence[str]) -> Sequence[Stamp | None]:
        """The stamps of objects; where they are not told at once, that is a round as well."""
        if paths and self._backend.has_stamps and not self._backend.is_local:
            self._rounds.append(Round("stamps", len(paths), 0))
        return self._backend.stamps(paths)


@dataclass
class Rehearsal(Storage):
    """A storage that sends all rounds of a read but the last one.

    Args:
        rounds: What has been sent, and then what would have been.
        stages: How many rounds of cells are sent, because the next depends on what they bring.
    """

    rounds: list[Round] = field(default_factory=list)
    stages: int = 0

    @classmethod
    def of(cls, storage: Storage, stages: int) -> Rehearsal:
        """A rehearsal on a storage, which stays as it is."""
        rounds: list[Round] = []
        as_it_is = {entry.name: getattr(storage, entry.name) for entry in fields(Storage)}
        as_it_is |= {"backend": _Counted(storage.backend, rounds), "shard_indexes": dict(storage.shard_indexes)}
        return cls(**as_it_is, rounds=rounds, stages=stages)

    def fetch_cells(self, requests: Iterable[Get], cells: int, chunks: int) -> dict[Get, Buffer | None]:
        """A round of cells; the last one ends the rehearsal.

        Raises:
            Reached: It was the last, and has been written down.
        """
        wanted = list(dict.fromkeys(requests))
        counted: Any = self.backend
        if not wanted:
            return {}
        if self.stages:
            self.stages -= 1
            counted.of_cells = cells, chunks
            try:
                return self.fetch(wanted)
            finally:
                counted.of_cells = None
        self.rounds.append(Round("cells", len(wanted), self._nbytes(wanted), cells, chunks))
        raise Reached

    def _nbytes(self, requests: Sequence[Get]) -> int:
        record = self._record
        whole = [get.path for get in requests if get.start is None]
        if record is not None:
            whole = [record.staged(path) if path in record.puts else path for path in whole]
        sizes = sum(size or 0 for size in self.backend.sizes(whole)) if whole else 0
        return sizes + sum(get.length or abs(get.start) for get in requests if get.start is not None)


def _told(requests: Sequence[Get]) -> str:
    """What requests are for, by the paths of what they ask for."""
    names = {_node(get) for get in requests}
    return ", ".join(sorted(names))


def _node(get: Get) -> str:
    if get.path == ROOT:
        return "root document"
    if get.path.endswith(f"/{ROOT}"):
        return "documents"
    path = get.path.partition("/c/")[0]
    name = path.partition("/")[2]
    return f"shard indexes of {name}" if get.start is not None else name
