"""The kernel: ``fetch`` one round, ``commit`` one batch."""

from __future__ import annotations

import threading
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from functools import cache, cached_property
from typing import Any

from zarr_vectors.constants import PUBLISHED_KEY
from zarr_vectors.encoding.blobs import Buffer
from zarr_vectors.exceptions import CorruptionError, ReadOnlyError
from zarr_vectors.metadata.base import DocumentParser, parse_json
from zarr_vectors.storage.backend import ABSENT, STAGE, Backend, Get, Put, Stamp, Transactional, keeps_changing
from zarr_vectors.storage.commit import Batch, Committer
from zarr_vectors.storage.published import children_of, published_documents, sealed_levels, without_documents
from zarr_vectors.storage.record import ROOT, Record, marker_of, read_record
from zarr_vectors.storage.urls import store_name
from zarr_vectors.typing import AnyArray, JsonObject

__all__ = ["ROOT", "Batch", "Put", "ShardIndex", "Storage"]

_LOOKS = 10
"""At a root document that names commits under way, before a reader gives up."""


@cache
def _is_transactional(backend: type[Backend]) -> bool:
    # Asked by every read, and slow to find out.
    return issubclass(backend, Transactional)


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
        shard_indexes: Those that are known, by path.
        sealed: Levels of a published store whose cell index need not be checked.
    """

    backend: Backend
    shard_indexes: dict[str, ShardIndex] = field(default_factory=dict)
    sealed: frozenset[int] = frozenset()
    _record: Record | None = None
    _published: dict[str, JsonObject] | None = None
    _seen: frozenset[bytes] = frozenset()
    _depth: int = 0
    _turn: threading.RLock = field(default_factory=threading.RLock, repr=False)

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

    @property
    def is_published(self) -> bool:
        """Whether the root document that was read speaks for all others, and nobody changes the store."""
        return self._published is not None

    def fetch(self, requests: Iterable[Get]) -> dict[Get, Buffer | None]:
        """One round: all requests at once; None where there is no such object."""
        wanted = list(dict.fromkeys(requests))
        if not wanted:
            return {}
        if self._record is None:
            return dict(zip(wanted, self.backend.fetch(wanted), strict=True))
        return self._fetch_through(wanted, self._record)

    def fetch_cells(self, requests: Iterable[Get], cells: int, chunks: int) -> dict[Get, Buffer | None]:  # noqa: ARG002
        """A round that brings so many cells of chunk-grid arrays, of so many chunks."""
        return self.fetch(requests)

    def _fetch_through(self, wanted: list[Get], record: Record) -> dict[Get, Buffer | None]:
        """Staged objects first; one that has been published in the meantime is in its place."""
        staged = [
            Get(record.staged(get.path), get.start, get.length) if get.path in record.puts else get for get in wanted
        ]
        found = dict(zip(wanted, self.backend.fetch(staged), strict=True))
        moved = [get for get in wanted if found[get] is None and get.path in record.puts]
        found |= dict(zip(moved, self.backend.fetch(moved), strict=True)) if moved else {}
        return {get: None if get.path in record.deletes else data for get, data in found.items()}

    def stamps(self, paths: Sequence[str]) -> list[Stamp | None]:
        """What tells whether objects have been written since; None where that cannot be told."""
        record = self._record
        if record is None or not self.backend.has_stamps:
            return list(self.backend.stamps(paths))
        found = list(self.backend.stamps([record.staged(path) if path in record.puts else path for path in paths]))
        moved = [number for number, path in enumerate(paths) if found[number] == ABSENT and path in record.puts]
        for number, stamp in zip(moved, self.backend.stamps([paths[number] for number in moved]), strict=True):
            found[number] = stamp
        gone = [path in record.deletes for path in paths]
        return [ABSENT if deleted else stamp for deleted, stamp in zip(gone, found, strict=True)]

    def read_root(self, also: Sequence[str] = ()) -> tuple[JsonObject | None, dict[str, JsonObject | None]]:
        """The root document, and other documents in the same round; None for those that are not there.

        Reads through a recorded commit, at the cost of two more rounds.

        Raises:
            ConcurrentEditError: A commit after another was under way at every look.
        """
        self._record = self._published = None
        self.shard_indexes.clear()
        if self.backend.is_static:
            # It is most likely published: then nothing more has to be asked for.
            root, _, raw = self._read_documents_with_root([])
            if root is None or self.is_published:
                self._seen = frozenset({raw})
                return root, self._copies(also)
        root, others, raw = self._read_documents_with_root(also)
        seen = {raw}
        for _ in range(_LOOKS):
            marker = marker_of(root)
            if marker is None:
                break
            try:
                self._record = read_record(self.backend, marker)
            except CorruptionError:
                # Since the root was read, whoever publishes the commit may have come to its end and removed the record.
                self._record = None
                root, others, again = self._read_documents_with_root(also)
                if again == raw:
                    raise
                raw, seen = again, {again}
            else:
                root, others, raw = self._read_documents_with_root(also)
                seen = {raw, *(seen if marker_of(root) is None else ())}
        else:
            raise keeps_changing(self.url)
        self._seen = frozenset(seen)
        return root, others

    def _read_documents_with_root(
        self, also: Sequence[str]
    ) -> tuple[JsonObject | None, dict[str, JsonObject | None], bytes]:
        found = self.fetch(Get(path) for path in (ROOT, *also))
        raw = found[Get(ROOT)]
        # It has been seen even if it turns out to be no document.
        self._seen = frozenset({b"" if raw is None else bytes(raw)})
        if raw is None:
            # What lies beside no root is a store in the making, and may be half written.
            return None, dict.fromkeys(also), b""
        documents = self._parsed(found)
        root = documents.pop(ROOT) or {}
        self._published = published_documents(root, store=self.url)
        if self.is_published:
            self.sealed = sealed_levels(root)
            return without_documents(root), self._copies(also), bytes(raw)
        return root, documents, bytes(raw)

    def _copies(self, paths: Sequence[str]) -> dict[str, JsonObject | None]:
        held = self._published or {}
        return {path: held.get(path) for path in paths}

    @property
    def copies(self) -> Mapping[str, JsonObject]:
        """What the root document of a published store says of all others, by path; nothing for other stores."""
        return self._published or {}

    @property
    def seen(self) -> frozenset[bytes]:
        """The root document as it was read last; the same state is known by two while a commit is being published."""
        return self._seen

    def is_current(self, seen: frozenset[bytes]) -> bool:
        """Whether nobody has begun to change the store since its root document was read.

        To be asked when everything has been read: objects change only after the root document has.
        """
        if _is_transactional(type(self.backend)) or self.is_published:
            return True
        raw = self.backend.fetch([Get(ROOT)])[0]
        return (b"" if raw is None else bytes(raw)) in seen

    def read_documents(self, paths: Sequence[str], *, as_text: bool = False) -> dict[str, JsonObject | None]:
        """Parse JSON documents, read in one round; those of a published store are there already.

        Args:
            as_text: Whether presence lists may be left as they are written; those of copies are parsed anyway.
        """
        if self.is_published and ROOT not in paths:
            return self._copies(paths)
        return self._parsed(self.fetch(Get(path) for path in paths), as_text=as_text)

    def read_with(
        self, paths: Sequence[str], gets: Sequence[Get]
    ) -> tuple[dict[str, JsonObject | None], dict[Get, Buffer | None]]:
        """JSON documents and other objects in one round; documents of a published store are there already."""
        wanted = [Get(path) for path in paths] if not self.is_published else []
        found = self.fetch([*wanted, *gets])
        documents = self._copies(paths) if self.is_published else self._parsed({get: found[get] for get in wanted})
        return documents, {get: found[get] for get in gets}

    def read_stored(self, paths: Sequence[str]) -> dict[str, JsonObject | None]:
        """Parse JSON documents where they are stored, read in one round."""
        return self._parsed(self.fetch(Get(path) for path in paths))

    def _parsed(self, found: Mapping[Get, Buffer | None], *, as_text: bool = False) -> dict[str, JsonObject | None]:
        parser = DocumentParser(self.url, as_text=as_text)
        return {
            get.path: None if data is None else parser.parse(bytes(data), path=get.path) for get, data in found.items()
        }

    def list_keys(self, prefix: str, *, recursive: bool = False) -> list[str]:
        """Keys below a prefix, as the last commit left them; the library's own staging is not shown."""
        return self._as_committed(prefix, self.backend.list_prefix(prefix, recursive=recursive), recursive)

    def list_children(self, prefixes: Sequence[str]) -> dict[str, list[str]]:
        """Immediate children of several prefixes, in one round; of a published store, those that are nodes."""
        if self._published is not None:
            return {prefix: children_of(self._published, prefix) for prefix in prefixes}
        return self.list_stored(prefixes)

    def list_stored(self, prefixes: Sequence[str]) -> dict[str, list[str]]:
        """Immediate children of several prefixes as they are stored, in one round."""
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
        return sorted(key for key in keys if not key.startswith(STAGE))

    def size(self, prefix: str) -> int | None:
        """Bytes below a prefix, where that costs no requests; else None."""
        return self.backend.size(prefix) if self.backend.is_local else None

    @contextmanager
    def lock(self, *, published: bool = False) -> Iterator[None]:
        """Keep other writers out, and first finish or sweep what a dead one left behind. A thread may nest it.

        Args:
            published: Whether a published store may be changed.
        """
        if self.read_only:
            raise ReadOnlyError("the store was opened for reading", store=self.url, hint="open it with mode='r+'")
        with self._turn:
            if self._depth:
                yield
                return
            with self.backend.lock():
                self._depth += 1
                try:
                    self._record = None
                    self._committer.recover()
                    if not published:
                        self._refuse_published()
                    yield
                finally:
                    self._depth -= 1

    def _refuse_published(self) -> None:
        there = self._committer.root
        if there is not None and PUBLISHED_KEY.encode() in there.data:
            root = parse_json(there.data, store=self.url, path=ROOT)
            if PUBLISHED_KEY in (root.get("attributes") or {}):
                raise ReadOnlyError(
                    "the store is published, so that nobody changes it",
                    store=self.url,
                    hint="take that back first: store.unpublish(), or zarr-vectors publish --undo",
                )

    def commit(self, batch: Batch) -> None:
        """Make every change of the batch, or none.

        Raises:
            StoreExistsError: The store must be new and is not, or the place holds something else.
            ConcurrentEditError: Another writer has changed the store meanwhile, or does not let go of it.
        """
        with self.lock():
            self.shard_indexes.clear()
            self._committer.commit(batch)

    @cached_property
    def _committer(self) -> Committer:
        return Committer(self.backend)

    def __getstate__(self) -> dict[str, Any]:
        return {key: value for key, value in self.__dict__.items() if key not in ("_turn", "_committer")}

    def __setstate__(self, state: dict[str, Any]) -> None:
        self.__dict__.update(state, _turn=threading.RLock())
