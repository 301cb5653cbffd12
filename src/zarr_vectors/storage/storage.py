"""The kernel: ``fetch`` one round, ``commit`` one batch.

How a commit reaches an existing store, so that it is there as a whole or not at all:

1. *Stage*: every new object is written below ``.zv/<id>/``, the new root document and the record among them.
2. *Record*: the root document is replaced by itself plus an attribute that names the record. From here the commit
   has happened: whoever opens the store reads the staged objects instead of the old ones.
3. *Publish*: staged objects move to their places, dropped ones are deleted, the new root document comes last.

A commit that dies before 2 has changed nothing and its stage is swept by the next writer; one that dies in 3 is
finished by the next writer. A new store needs none of this: it cannot be opened before its root document is there.
Nor do places that have transactions of their own.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Any
from uuid import uuid4

from zarr_vectors.constants import COMMIT_KEY
from zarr_vectors.encoding.blobs import Buffer
from zarr_vectors.exceptions import CorruptionError, ReadOnlyError, StoreExistsError
from zarr_vectors.metadata.base import DocumentParser, dump_json, parse_json
from zarr_vectors.storage.backend import STAGE, Backend, Get, Put, Transactional
from zarr_vectors.storage.urls import store_name
from zarr_vectors.typing import AnyArray, JsonObject

__all__ = ["ROOT", "Batch", "Put", "ShardIndex", "Storage"]

ROOT = "zarr.json"
_CREATING = f"{STAGE}/creating"


@dataclass(frozen=True, kw_only=True)
class Batch:
    """Everything that one commit changes.

    Args:
        puts: Objects to write, without the root document. May be a generator: it is consumed once, so that a
            data set larger than memory can be committed as one batch.
        root: Makes the new root document; called when every put has been made.
        copies: ``(old path, new path)`` of objects that stay as they are under another name; consumed after ``puts``.
        deletes: Paths to remove; consumed after ``puts``.
        replace_all: Remove every object that the batch does not write.
        must_be_new: Refuse to touch a store that exists, even one that another writer has just made.
    """

    puts: Iterable[Put]
    root: Callable[[], JsonObject]
    copies: Iterable[tuple[str, str]] = ()
    deletes: Iterable[str] = ()
    replace_all: bool = False
    must_be_new: bool = False


@dataclass(frozen=True, slots=True)
class _Record:
    """A commit that has happened and may not be published yet."""

    id: str
    puts: frozenset[str]
    deletes: frozenset[str]

    def staged(self, path: str) -> str:
        return f"{STAGE}/{self.id}/{path}"


@dataclass(frozen=True, slots=True)
class ShardIndex:
    """Where the cells of a shard lie.

    Args:
        entries: ``(cells, 2)`` offset and size of each.
        seal: The stored bytes that change when the index does; None where there was no shard.
    """

    entries: AnyArray
    seal: bytes | None


@dataclass
class Storage:
    """A store's bytes: rounds of reading, batches of writing.

    Args:
        backend: Where the bytes are.
    """

    backend: Backend
    shard_indexes: dict[str, ShardIndex] = field(default_factory=dict)
    _record: _Record | None = None
    _depth: int = 0

    @property
    def url(self) -> str:
        """Where the store is."""
        return self.backend.url

    @property
    def name(self) -> str:
        """The store's name, from its URL."""
        return store_name(self.url)

    @property
    def read_only(self) -> bool:
        """Whether writing is refused."""
        return self.backend.read_only

    def fetch(self, requests: Iterable[Get]) -> dict[Get, Buffer | None]:
        """One round: all requests at once; None where there is no such object."""
        wanted = list(dict.fromkeys(requests))
        if not wanted:
            return {}
        if self._record is None:
            return dict(zip(wanted, self.backend.fetch(wanted), strict=True))
        return self._fetch_through(wanted, self._record)

    def _fetch_through(self, wanted: list[Get], record: _Record) -> dict[Get, Buffer | None]:
        """Staged objects first; one that has been published in the meantime is in its place."""
        staged = [
            Get(record.staged(get.path), get.start, get.length) if get.path in record.puts else get for get in wanted
        ]
        found = dict(zip(wanted, self.backend.fetch(staged), strict=True))
        moved = [get for get in wanted if found[get] is None and get.path in record.puts]
        found |= dict(zip(moved, self.backend.fetch(moved), strict=True)) if moved else {}
        return {get: None if get.path in record.deletes else data for get, data in found.items()}

    def read_root(self, also: Sequence[str] = ()) -> tuple[JsonObject | None, dict[str, JsonObject | None]]:
        """The root document, and other documents in the same round; None for those that are not there.

        Reads through a recorded commit, at the cost of two more rounds.
        """
        self._record = None
        self.shard_indexes.clear()
        root, others = self._read_documents_with_root(also)
        while (marker := _marker_of(root)) is not None:
            try:
                self._record = self._read_record(marker)
            except CorruptionError:
                # Since the root was read, whoever publishes the commit may have come to its end and removed the record.
                root, others = self._read_documents_with_root(also)
                if _marker_of(root) == marker:
                    raise
            else:
                return self._read_documents_with_root(also)
        return root, others

    def _read_documents_with_root(self, also: Sequence[str]) -> tuple[JsonObject | None, dict[str, JsonObject | None]]:
        found = self.fetch(Get(path) for path in (ROOT, *also))
        if found[Get(ROOT)] is None:
            # What lies beside no root is a store in the making, and may be half written.
            return None, dict.fromkeys(also)
        documents = self._parsed(found)
        return documents.pop(ROOT), documents

    def read_documents(self, paths: Sequence[str]) -> dict[str, JsonObject | None]:
        """Parse JSON documents, read in one round."""
        return self._parsed(self.fetch(Get(path) for path in paths))

    def _parsed(self, found: Mapping[Get, Buffer | None]) -> dict[str, JsonObject | None]:
        parser = DocumentParser(self.url)
        return {
            get.path: None if data is None else parser.parse(bytes(data), path=get.path) for get, data in found.items()
        }

    def list_keys(self, prefix: str, *, recursive: bool = False) -> list[str]:
        """Keys below a prefix, as the last commit left them; the library's own staging is not shown."""
        return self._as_committed(prefix, self.backend.list_prefix(prefix, recursive=recursive), recursive)

    def list_children(self, prefixes: Sequence[str]) -> dict[str, list[str]]:
        """Immediate children of several prefixes, in one round."""
        found = self.backend.list_children(prefixes)
        return {prefix: self._as_committed(prefix, keys, False) for prefix, keys in zip(prefixes, found, strict=True)}

    def _as_committed(self, prefix: str, listed: Iterable[str], recursive: bool) -> list[str]:
        keys = set(listed)
        if self._record is not None:
            head = prefix.strip("/") + "/" if prefix.strip("/") else ""
            for path in self._record.puts:
                if path.startswith(head):
                    first, slash, _ = path[len(head) :].partition("/")
                    keys.add(path if recursive else head + first + slash)
            keys -= self._record.deletes
        return sorted(key for key in keys if not key.startswith(STAGE + "/"))

    def size(self, prefix: str) -> int | None:
        """Bytes below a prefix, where that costs no requests; else None."""
        return self.backend.size(prefix) if self.backend.is_local else None

    @contextmanager
    def lock(self) -> Iterator[None]:
        """Keep other writers out, and first finish or sweep what a dead one left behind. May be nested."""
        if self.read_only:
            raise ReadOnlyError("the store was opened for reading", store=self.url, hint="open it with mode='r+'")
        if self._depth:
            yield
            return
        with self.backend.lock():
            self._depth += 1
            try:
                if not isinstance(self.backend, Transactional):
                    self._recover()
                yield
            finally:
                self._depth -= 1

    def commit(self, batch: Batch) -> None:
        """Make every change of the batch, or none."""
        with self.lock():
            self.shard_indexes.clear()
            exists = self.backend.exists(ROOT)
            if exists and batch.must_be_new:
                raise StoreExistsError(
                    "there is already something here", store=self.url, hint="use mode='append' or mode='replace'"
                )
            if not exists:
                self._refuse_occupied()
            if isinstance(self.backend, Transactional):
                self._commit_transaction(self.backend, batch)
            elif exists:
                self._commit_existing(batch)
            else:
                self._commit_new(batch)

    def _refuse_occupied(self) -> None:
        occupied = next((key for key in self.backend.list_prefix("") if not key.startswith(STAGE)), None)
        if occupied is not None:
            raise StoreExistsError(
                "the folder is not empty and not a Zarr Vectors store",
                store=self.url,
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
                work.put_bytes(target, self.backend.get_bytes(source))
                written.add(target)
            for path in batch.deletes:
                if path not in written:
                    work.delete(path)
            work.put_bytes(ROOT, dump_json(batch.root()))

    def _commit_new(self, batch: Batch) -> None:
        """Write in place; the root document, put last, makes the store exist."""
        try:
            self.backend.put_bytes(_CREATING, b"{}")
            self.backend.put_all(batch.puts)
            self.backend.replace(ROOT, dump_json(batch.root()))
        except BaseException:
            self._discard_new()
            raise
        self.backend.delete_prefix(STAGE)

    def _discard_new(self) -> None:
        """Remove a store that has not come to be. What tells of it goes last, so that this can be done again."""
        self.backend.delete(ROOT)
        for key in list(self.backend.list_prefix("")):
            if not key.startswith(STAGE):
                self.backend.delete_prefix(key.rstrip("/"))
        self.backend.delete_prefix("")

    def _commit_existing(self, batch: Batch) -> None:
        record_id = uuid4().hex
        stage = f"{STAGE}/{record_id}"
        try:
            record, new_root = self._stage(batch, record_id)
            old_root = self._current_root()
            marker = {"id": record_id, "state": "complete", "record": f"{stage}/record.json"}
            attributes = {**(old_root.get("attributes") or {}), COMMIT_KEY: marker}
            self.backend.replace(ROOT, dump_json({**old_root, "attributes": attributes}))
        except BaseException:
            # An interrupt may arrive when the root has just been replaced: then the commit has happened.
            recorded = _marker_of(self._current_root()) or {}
            if recorded.get("id") != record_id:
                self.backend.delete_prefix(stage)
            raise
        self._publish(record, bytes(new_root))

    def _current_root(self) -> JsonObject:
        return parse_json(self.backend.get_bytes(ROOT), store=self.url, path=ROOT)

    def _stage(self, batch: Batch, record_id: str) -> tuple[_Record, bytes]:
        written: list[str] = []

        def staged(path: str) -> str:
            written.append(path)
            return f"{STAGE}/{record_id}/{path}"

        self.backend.put_all((staged(path), data) for path, data in batch.puts)
        self.backend.copy_all((source, staged(target)) for source, target in batch.copies)
        puts = frozenset(written)
        deletes = {*batch.deletes}
        if batch.replace_all:
            deletes.update(key for key in self.list_keys("", recursive=True) if key != ROOT)
        record = _Record(record_id, puts | {ROOT}, frozenset(deletes - puts))
        new_root = dump_json(batch.root())
        self.backend.put_bytes(record.staged(ROOT), new_root)
        document = {"puts": sorted(record.puts), "deletes": sorted(record.deletes)}
        self.backend.put_bytes(f"{STAGE}/{record_id}/record.json", dump_json(document))
        return record, new_root

    def _publish(self, record: _Record, new_root: bytes) -> None:
        """Move staged objects into place. Every step may be repeated after a crash."""
        # Deletes first: a folder of the old content may stand where a file of the new one goes.
        self.backend.delete_all(record.deletes)
        self.backend.move_all((record.staged(path), path) for path in record.puts - {ROOT})
        self.backend.replace(ROOT, new_root)
        self._record = None
        self.backend.delete_prefix(STAGE)

    def _recover(self) -> None:
        """Finish a recorded commit; sweep what was staged and never recorded."""
        self._record = None
        raw = self.backend.fetch([Get(ROOT)])[0]
        if raw is None and self.backend.exists(_CREATING):
            self._discard_new()
            return
        marker = None if raw is None else _marker_of(parse_json(bytes(raw), store=self.url, path=ROOT))
        if marker is not None:
            record = self._read_record(marker)
            new_root = self.backend.fetch([Get(record.staged(ROOT))])[0]
            if new_root is None:
                raise CorruptionError("the root document of a commit is gone", store=self.url, array=ROOT)
            self._publish(record, bytes(new_root))
        elif self.backend.locks_everyone:
            self.backend.delete_prefix(STAGE)
        elif raw is not None:
            self.backend.delete(_CREATING)

    def _read_record(self, marker: Any) -> _Record:
        try:
            document = json.loads(self.backend.get_bytes(marker["record"]))
            record = _Record(marker["id"], frozenset(document["puts"]), frozenset(document["deletes"]))
            for path in record.puts | record.deletes | {record.id}:
                # Publishing moves and deletes what the record names: it must not reach beyond the store.
                if path.startswith("/") or ".." in path.split("/"):
                    raise ValueError(f"{path!r} leads out of the store")
        except (KeyError, TypeError, ValueError, AttributeError) as error:
            raise CorruptionError(
                "the record of a commit cannot be read", store=self.url, array=ROOT, got=repr(error)
            ) from error
        return record


def _marker_of(root: JsonObject | None) -> Any:
    """What a root document says about a commit that is being published; None where there is none."""
    attributes = (root or {}).get("attributes")
    return attributes.get(COMMIT_KEY) if isinstance(attributes, dict) else None
