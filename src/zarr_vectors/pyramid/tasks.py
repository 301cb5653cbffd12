"""Reading and coarsening as tasks that know where they read, so that any executor can do them."""

from __future__ import annotations

import concurrent.futures
import os
import pickle
from collections import deque
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import Executor, Future, ThreadPoolExecutor
from dataclasses import dataclass
from itertools import chain, islice
from typing import Any, Protocol, TypeVar
from uuid import uuid4

from zarr_vectors.core.state import open_level, open_root
from zarr_vectors.exceptions import InputError
from zarr_vectors.pyramid.coarse import Coarse, Policy
from zarr_vectors.pyramid.methods import coarsen, inside
from zarr_vectors.pyramid.source import Finer, PieceRead, rest_of
from zarr_vectors.storage.storage import ROOT, Storage
from zarr_vectors.storage.urls import detect_scheme
from zarr_vectors.types.kinds import kind_of_types
from zarr_vectors.typing import AnyArray, IntArray

__all__ = ["Crew", "Done", "PieceTask", "Reader", "coarse_pieces"]

_MOST_THREADS = 4
_MOST_AHEAD = 32

T = TypeVar("T")


class Reader(Protocol):
    """A finer level, wherever a task is done."""

    def finer(self) -> Finer:
        """The level, open."""
        ...


@dataclass(frozen=True, eq=False)
class _Here:
    """A level in this process."""

    level: Finer

    def finer(self) -> Finer:
        return self.level


_opened: dict[str, Finer] = {}


@dataclass(frozen=True, eq=False)
class _Anywhere:
    """A level that each process opens for itself, once."""

    storage: Storage
    number: int
    batch_rows: int
    token: str

    def finer(self) -> Finer:
        found = _opened.get(self.token)
        if found is None:
            root, documents = open_root(self.storage, [f"{self.number}/{ROOT}"])
            level = open_level(self.storage, root, self.number, documents[f"{self.number}/{ROOT}"])
            kind = kind_of_types(root.metadata.geometry_types, self.storage.url)
            found = Finer(self.storage, root, level, kind, self.batch_rows)
            _opened.clear()
            _opened[self.token] = found
        return found


@dataclass(frozen=True)
class Crew:
    """Who does the tasks.

    Args:
        executor: Any executor; None for some threads, where there is more than one task.
    """

    executor: Executor | None = None

    @property
    def shares_memory(self) -> bool:
        """Whether tasks are done in this process, by the same interpreter."""
        apart: Any = getattr(concurrent.futures, "InterpreterPoolExecutor", ())
        return self.executor is None or (
            isinstance(self.executor, ThreadPoolExecutor) and not isinstance(self.executor, apart)
        )

    def check(self, storage: Storage) -> None:
        """Refuse a store that other processes cannot open.

        Raises:
            InputError: It lies in the memory of this process, or was opened by others.
        """
        if self.shares_memory:
            return
        backend, hint = storage.backend, "use a ThreadPoolExecutor, or leave executor out"
        if detect_scheme(storage.url) == "memory":
            raise InputError("other processes cannot read a store in memory", got=storage.url, hint=hint)
        try:
            pickle.dumps(backend)
        except Exception as error:
            raise InputError(
                "this store cannot be sent to other processes", got=f"{storage.url}: {error}", hint=hint
            ) from error

    def reader(self, finer: Finer) -> Reader:
        """A level as tasks reach it."""
        if self.shares_memory:
            return _Here(finer)
        return _Anywhere(Storage(finer.storage.backend), finer.level.number, finer.batch_rows, uuid4().hex)

    def in_order(self, tasks: Iterable[Callable[[], T]]) -> Iterator[T]:
        """What tasks give, in their order, with few of them done ahead."""
        waiting = iter(tasks)
        first = list(islice(waiting, 2))
        threads = min(_MOST_THREADS, os.cpu_count() or 1)
        if self.executor is None and (len(first) < 2 or threads < 2):
            yield from (task() for task in chain(first, waiting))
        elif self.executor is None:
            with ThreadPoolExecutor(threads) as pool:
                yield from _ahead(pool, chain(first, waiting), threads)
        else:
            yield from _ahead(self.executor, chain(first, waiting), min(_MOST_AHEAD, (os.cpu_count() or 1) + 1))


def _ahead(executor: Executor, tasks: Iterable[Callable[[], T]], ahead: int) -> Iterator[T]:
    running: deque[Future[T]] = deque()
    try:
        for task in tasks:
            running.append(executor.submit(task))
            if len(running) >= ahead:
                yield running.popleft().result()
        while running:
            yield running.popleft().result()
    finally:
        for future in running:
            future.cancel()


@dataclass(frozen=True, eq=False)
class Done:
    """A piece that was coarsened.

    Args:
        coarse: What it has become; None where links lead out of it, so that it must be read with those that follow.
        read: How many vertices it had.
        places: As of ``Piece``.
        sample: Some of its positions.
    """

    coarse: Coarse | None
    read: int = 0
    places: IntArray | None = None
    sample: AnyArray | None = None


@dataclass(frozen=True, eq=False)
class PieceTask:
    """Read a piece of a finer level and coarsen it.

    Args:
        reader: Of the level.
        read: Which piece.
        policy: How.
        places: Whether to tell where vertices are stored.
    """

    reader: Reader
    read: PieceRead
    policy: Policy
    places: bool

    def __call__(self) -> Done:
        """Do it."""
        finer = self.reader.finer()
        piece, left = finer.read(self.read, places=self.places)
        if left:
            return Done(None)
        coarse = inside(coarsen(piece, self.policy), finer.root.metadata.bounds)
        positions = piece.value.positions
        return Done(coarse, len(positions), piece.places, finer.sampled(positions))


def coarse_pieces(
    crew: Crew, finer: Finer, multiples: IntArray, objects: IntArray | None, policy: Policy, *, places: bool
) -> Iterator[Done]:
    """All pieces of a level, coarsened.

    Args:
        multiples, objects: As of ``Finer.reads``.
        places: As of ``PieceTask``.
    """
    reader, reads = crew.reader(finer), finer.reads(multiples, objects)
    for number, done in enumerate(crew.in_order(PieceTask(reader, read, policy, places) for read in reads)):
        if done.coarse is None:
            # No earlier piece had a link that leads out of it, so none leads back to one.
            yield PieceTask(reader, rest_of(reads[number:]), policy, places)()
            return
        yield done
