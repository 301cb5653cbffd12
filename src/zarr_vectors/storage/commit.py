"""The commit protocol: how a batch reaches a store, so that it is there as a whole or not at all.

1. *Stage*: every new object is written below ``.zv/<id>/``, the new root document and the record among them.
2. *Record*: the root document is replaced by itself plus an attribute that names the record, if it is still the one
   that was there when the lock was taken. From here the commit has happened: whoever opens the store reads the staged
   objects instead of the old ones.
3. *Publish*: staged objects move to their places, dropped ones are deleted, the new root document comes last.

A commit that dies before 2 has changed nothing and its stage is swept by the next writer; one that dies in 3 is
finished by the next writer. What fails in 3 is tried again, and if it fails once more ``UnfinishedCommitError`` tells
that the commit holds all the same. A new store needs none of this: it cannot be opened before its root document is
there. Nor do places that have transactions of their own.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from enum import StrEnum
from uuid import uuid4

from zarr_vectors.constants import GENERATION_KEY, JOBS_KEY
from zarr_vectors.exceptions import (
    ConcurrentEditError,
    CorruptionError,
    StoreError,
    StoreExistsError,
    UnfinishedCommitError,
)
from zarr_vectors.metadata.base import dump_json, parse_json
from zarr_vectors.storage.backend import ABSENT, STAGE, Backend, Get, Put, Stamp, Transactional, Versioned
from zarr_vectors.storage.record import ROOT, Record, left_by_writers, marker_of, open_jobs, read_record
from zarr_vectors.typing import JsonObject

__all__ = ["Batch", "Committer", "Stamps", "Step"]

Stamps = Callable[[Sequence[str]], Sequence[Stamp | None]]
"""The stamps that objects will have at their paths when a commit has been published; None where nobody can tell."""

_CREATING = f"{STAGE}/creating"
_JOBS = f'"{JOBS_KEY}"'.encode()
_HAPPENED = "the commit has happened and readers see it, but not everything could be put in its place"


@dataclass(frozen=True, kw_only=True)
class Batch:
    """Everything that one commit changes.

    Args:
        puts: Objects to write, without the root document. May be a generator: it is consumed once, so that a
            data set larger than memory can be committed as one batch.
        root: Makes the new root document; called when every put has been made.
        copies: ``(old path, new path)`` of objects that stay as they are under another name; consumed after ``puts``.
        deletes: Paths to remove; consumed after ``puts``.
        last: Makes more objects to write, from the stamps of all others; called when these have been written.
        replace_all: Remove every object that the batch does not write.
        must_be_new: Refuse to touch a store that exists, even one that another writer has just made.
    """

    puts: Iterable[Put]
    root: Callable[[], JsonObject]
    copies: Iterable[tuple[str, str]] = ()
    deletes: Iterable[str] = ()
    last: Callable[[Stamps], Iterable[Put]] | None = None
    replace_all: bool = False
    must_be_new: bool = False


class Step(StrEnum):
    """What a commit has done last."""

    LOCKED = "locked"
    ANNOUNCED = "announced that a store is being made"
    FILLED = "filled a new store"
    CREATED = "put the root document of a new store"
    STAGED = "staged all objects"
    PREPARED = "staged the root document and the record"
    RECORDED = "named the record in the root document"
    REMOVED = "removed what is dropped"
    MOVED = "moved what was staged into place"
    PUBLISHED = "put the new root document"
    SWEPT = "swept the stage"


def on_step(step: Step) -> None:
    """Called at every step; for tests, which stop, fail or kill a writer there."""


class Committer:
    """Commits batches to one store, while its lock is held.

    Args:
        backend: Where the store is.
    """

    def __init__(self, backend: Backend) -> None:
        self._backend = backend
        self._root: Versioned | None = None

    @property
    def root(self) -> Versioned | None:
        """The root document as it was when the lock was taken, or as it was written since; None where there is none."""
        if not isinstance(self._backend, Transactional):
            return self._root
        raw = self._backend.fetch([Get(ROOT)])[0]
        return None if raw is None else Versioned(bytes(raw))

    def recover(self) -> None:
        """Finish a recorded commit; sweep what was staged and never recorded."""
        backend = self._backend
        if isinstance(backend, Transactional):
            return
        self._root = root = backend.read_versioned(ROOT)
        marker = None if root is None else marker_of(self._parsed(root))
        if root is None and backend.exists(_CREATING):
            self._discard_new()
        elif root is not None and marker is not None:
            record = read_record(backend, marker)
            new_root = backend.fetch([Get(record.staged(ROOT))])[0]
            if new_root is None:
                raise CorruptionError("the root document of a commit is gone", store=backend.url, array=ROOT)
            self._publish(record, bytes(new_root), root)
        elif backend.locks_everyone:
            self._sweep_after(root)
        elif root is not None:
            backend.delete(_CREATING)
        on_step(Step.LOCKED)

    def commit(self, batch: Batch) -> None:
        """Make every change of the batch, or none.

        Raises:
            StoreExistsError: The store must be new and is not, or the place holds something else.
            ConcurrentEditError: Somebody else has changed the root document since the lock was taken.
            UnfinishedCommitError: All changes are made, but not everything could be put in its place.
        """
        transactional = isinstance(self._backend, Transactional)
        exists = self._backend.exists(ROOT) if transactional else self._root is not None
        if exists and batch.must_be_new:
            raise StoreExistsError(
                "there is already something here", store=self._backend.url, hint="use mode='append' or mode='replace'"
            )
        if not exists:
            self._refuse_occupied()
        if isinstance(self._backend, Transactional):
            self._commit_transaction(self._backend, batch)
        elif self._root is not None:
            self._commit_existing(batch, self._root)
        else:
            self._commit_new(batch)

    def _refuse_occupied(self) -> None:
        occupied = next((key for key in self._backend.list_prefix("") if not key.startswith(STAGE)), None)
        if occupied is not None:
            raise StoreExistsError(
                "the folder is not empty and not a Zarr Vectors store",
                store=self._backend.url,
                got=occupied,
                hint="choose another place, or empty it",
            )

    def _commit_transaction(self, backend: Transactional, batch: Batch) -> None:
        """Write into a transaction; what the batch reads on the way is still as it was."""
        written: set[str] = set()
        with backend.transaction() as work:
            if batch.replace_all:
                work.clear()
            for path, data in batch.puts:
                work.put_bytes(path, data)
                written.add(path)
            for source, target in batch.copies:
                work.put_bytes(target, self._backend.get_bytes(source))
                written.add(target)
            for path, data in () if batch.last is None else batch.last(lambda paths: [None] * len(paths)):
                work.put_bytes(path, data)
                written.add(path)
            for path in batch.deletes:
                if path not in written:
                    work.delete(path)
            work.put_bytes(ROOT, dump_json(batch.root()))

    # New stores

    def _commit_new(self, batch: Batch) -> None:
        """Write in place; the root document, put last, makes the store exist."""
        backend = self._backend
        root: bytes | None = None
        try:
            backend.put_bytes(_CREATING, b"{}")
            on_step(Step.ANNOUNCED)
            backend.put_all(batch.puts)
            if batch.last is not None:
                backend.put_all(batch.last(backend.stamps))
            on_step(Step.FILLED)
            root = dump_json(batch.root())
            self._root = backend.swap(ROOT, root, None)
            on_step(Step.CREATED)
        except BaseException:
            current = backend.read_versioned(ROOT)
            # A root document that is not ours is that of a writer who does not heed the lock.
            if current is None or current.data == root:
                self._discard_new()
            raise
        with self._past_return():
            backend.delete_prefix(STAGE)
            on_step(Step.SWEPT)

    def _discard_new(self) -> None:
        """Remove a store that has not come to be. What tells of it goes last, so that this can be done again."""
        self._root = None
        self._backend.delete(ROOT)
        for key in list(self._backend.list_prefix("")):
            if not key.startswith(STAGE):
                self._backend.delete_prefix(key.rstrip("/"))
        self._backend.delete_prefix(STAGE)

    # Stores that exist

    def _commit_existing(self, batch: Batch, old: Versioned) -> None:
        backend = self._backend
        record = Record(uuid4().hex, frozenset(), frozenset())
        try:
            record, new_root = self._stage(batch, record.id, self._parsed(old))
        except BaseException:
            backend.delete_prefix(record.folder)
            raise
        try:
            marked = backend.swap(ROOT, record.marked(self._parsed(old)), old)
        except BaseException as error:
            # An error or an interrupt may come when the root has just been replaced: then the commit has happened.
            found = self._root_after(error, record)
            if found is None:
                backend.delete_prefix(record.folder)
                raise
            if not isinstance(error, Exception):
                error.add_note(_HAPPENED)
                raise
            marked = found
        with self._past_return():
            self._roll_forward(record, new_root, marked)

    @contextmanager
    def _past_return(self) -> Iterator[None]:
        """Tell whoever has made a commit that it has happened, whatever fails from now on."""
        try:
            yield
        except Exception as error:
            raise UnfinishedCommitError(
                _HAPPENED,
                store=self._backend.url,
                got=str(error) or repr(error),
                hint="do not repeat the write; the next writer puts the rest in its place",
            ) from error
        except BaseException as error:
            error.add_note(_HAPPENED)
            raise

    def _roll_forward(self, record: Record, new_root: bytes, marked: Versioned) -> None:
        """Publish what has been recorded; try once more if that fails."""
        try:
            on_step(Step.RECORDED)
            self._publish(record, new_root, marked)
        except Exception:  # noqa: BLE001 - what fails again is raised
            found = self._root_that_names(record)
            if found is not None:
                on_step(Step.RECORDED)
                self._publish(record, new_root, found)
                return
            self._root = self._backend.read_versioned(ROOT)
            # Another root document is that of a writer who has published this commit before its own.
            if self._root is not None and self._root.data == new_root:
                self._sweep(record)

    def _root_after(self, error: BaseException, record: Record) -> Versioned | None:
        """The root document, if it names the record although replacing it has failed."""
        try:
            return self._root_that_names(record)
        except Exception:  # noqa: BLE001 - the error that led here is the cause
            raise StoreError(
                "the store gives no answer any more, so that it is not known whether the commit has happened",
                store=self._backend.url,
                got=str(error) or repr(error),
                hint="open the store and look before you write again",
            ) from error

    def _root_that_names(self, record: Record) -> Versioned | None:
        """The root document, if it names the record."""
        current = self._backend.read_versioned(ROOT)
        marker = None if current is None else marker_of(self._parsed(current))
        return current if isinstance(marker, dict) and marker.get("id") == record.id else None

    def _stage(self, batch: Batch, record_id: str, old_root: JsonObject) -> tuple[Record, bytes]:
        written: list[str] = []

        def staged(path: str) -> str:
            written.append(path)
            return f"{STAGE}/{record_id}/{path}"

        self._backend.put_all((staged(path), data) for path, data in batch.puts)
        self._backend.copy_all((source, staged(target)) for source, target in batch.copies)
        deletes = {*batch.deletes}
        if batch.replace_all:
            there = self._backend.list_prefix("", recursive=True)
            deletes.update(key for key in there if key != ROOT and not key.startswith(STAGE))
        if batch.last is not None:
            more = batch.last(self._stamps_to_be(record_id, frozenset(written), deletes))
            self._backend.put_all((staged(path), data) for path, data in more)
        on_step(Step.STAGED)
        puts = frozenset(written)
        record = Record(record_id, puts | {ROOT}, frozenset(deletes - puts))
        new_root = dump_json(_next_generation(batch.root(), old_root))
        self._backend.put_all([(record.staged(ROOT), new_root), (record.path, record.to_bytes())])
        on_step(Step.PREPARED)
        return record, new_root

    def _stamps_to_be(self, record_id: str, written: Collection[str], deletes: Collection[str]) -> Stamps:
        """The stamps of what is staged, and of what stays: moving an object into its place changes neither."""

        def stamps(paths: Sequence[str]) -> list[Stamp | None]:
            places = [f"{STAGE}/{record_id}/{path}" if path in written else path for path in paths]
            gone = [path in deletes and path not in written for path in paths]
            return [ABSENT if lost else it for lost, it in zip(gone, self._backend.stamps(places), strict=True)]

        return stamps

    def _publish(self, record: Record, new_root: bytes, marked: Versioned) -> None:
        """Move staged objects into place. Every step may be repeated after a crash."""
        backend = self._backend
        # Deletes first: a folder of the old content may stand where a file of the new one goes.
        backend.delete_all(record.deletes)
        on_step(Step.REMOVED)
        backend.move_all((record.staged(path), path) for path in record.puts - {ROOT})
        on_step(Step.MOVED)
        self._root = backend.swap(ROOT, new_root, marked)
        on_step(Step.PUBLISHED)
        self._sweep(record)

    def _sweep(self, record: Record) -> None:
        if self._backend.locks_everyone:
            self._sweep_all()
        else:
            self._backend.delete_prefix(record.folder)
        on_step(Step.SWEPT)

    def _sweep_all(self) -> None:
        """Remove whatever is staged, but for what belongs to jobs that are open."""
        backend = self._backend
        jobs = self._open_jobs()
        if not jobs:
            backend.delete_prefix(STAGE)
            return
        for key in left_by_writers(backend, jobs):
            backend.delete_prefix(key.rstrip("/"))

    def _sweep_after(self, root: Versioned | None) -> None:
        """Remove what a writer has left that did not come to record its commit.

        Where it is reached by requests, one may still be under way: the root document that names its record. That must
        not find the one that it is to replace, so this becomes another one, of the same content.
        """
        backend = self._backend
        if root is not None and backend.is_shared and left_by_writers(backend, self._open_jobs()):
            try:
                self._root = backend.swap(ROOT, root.data + b"\n", root)
            except ConcurrentEditError:
                # It has just arrived.
                self.recover()
                return
        self._sweep_all()

    def _open_jobs(self) -> JsonObject:
        return {} if self._root is None or _JOBS not in self._root.data else open_jobs(self._parsed(self._root))

    def _parsed(self, root: Versioned) -> JsonObject:
        return parse_json(root.data, store=self._backend.url, path=ROOT)


def _next_generation(root: JsonObject, old: JsonObject) -> JsonObject:
    """A root document that differs from all before it, so that readers can tell that there was a commit."""
    number = (old.get("attributes") or {}).get(GENERATION_KEY)
    number = number + 1 if isinstance(number, int) else 1
    return {**root, "attributes": {**(root.get("attributes") or {}), GENERATION_KEY: number}}
