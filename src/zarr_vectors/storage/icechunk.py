"""An Icechunk session as a backend: one batch is one transaction.

A batch is written to the session itself. What the batch reads on the way comes from a copy of the session, which
shares its storage, and which takes the session's place if the batch fails. Icechunk's own commit then makes the changes
of a session durable and visible to others.
"""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, nullcontext
from typing import Any

from zarr.storage import MemoryStore

from zarr_vectors.exceptions import ConcurrentEditError, InputError, StoreError, StoreNotFoundError
from zarr_vectors.storage.backend import Get
from zarr_vectors.storage.icechunk_repository import MERGED, Changes, IcechunkRepository, View
from zarr_vectors.storage.local import LocalBackend
from zarr_vectors.storage.remote import ZarrBackend
from zarr_vectors.storage.repositories import REBASE, Place, icechunk, told
from zarr_vectors.storage.transaction import DOCUMENT, NodeTransaction, split_key

__all__ = ["DEFAULT_MESSAGE", "IcechunkBackend"]

DEFAULT_MESSAGE = "zarr-vectors write"


class IcechunkBackend(ZarrBackend):
    """A session of an Icechunk repository.

    Args:
        place: The repository; one that does not exist is made by the first transaction.
        view: What of it is open.
        read_only: Refuse writing.
        autocommit: Commit every transaction to the branch at once, as those do who do not hold the session.
    """

    def __init__(
        self, place: Place, view: View | None = None, *, read_only: bool = False, autocommit: bool = False
    ) -> None:
        view = view or View()
        super().__init__(MemoryStore(), url=place.url, read_only=read_only or view.is_fixed)
        self.place = place
        self.view = view
        self.autocommit = autocommit
        self._guard = threading.RLock()
        self._session: Any = None
        self._forked_from: str | None = None
        self._repository: IcechunkRepository | None = None
        self._open(place.open())

    # Sessions

    def _open(self, handle: Any) -> None:
        if handle is not None:
            self._repository = IcechunkRepository(self.url, handle, self.place.folder)
            self._use(self._repository.session(self.view, read_only=self.read_only))

    @property
    def repository(self) -> IcechunkRepository:
        """The repository of the session.

        Raises:
            StoreNotFoundError: There is none yet.
        """
        if self._repository is None:
            raise StoreNotFoundError("there is no Icechunk repository here", store=self.url)
        return self._repository

    def _use(self, session: Any) -> None:
        self._session = session
        self.store = session.store

    @property
    def session(self) -> Any:
        """The ``icechunk.Session``, writable where the backend is.

        Raises:
            StoreNotFoundError: There is no repository yet.
        """
        repository = self.repository
        if not self.read_only and self._forked_from is None and self._session.read_only:
            # Whoever holds the session has committed it.
            self._use(repository.session(self.view))
        return self._session

    @property
    def has_changes(self) -> bool:
        """Whether the session holds anything that is not committed."""
        return self._session is not None and bool(self.session.has_uncommitted_changes)

    @property
    def snapshot_id(self) -> str:
        """The snapshot that the session builds on."""
        return str(self.session.snapshot_id)

    def discard(self) -> None:
        """Go back to the session's snapshot."""
        self._check_writable()
        with self._guard:
            if self._session is not None:
                self.session.discard_changes()

    def commit(self, message: str, *, merged: str | None = None) -> str:
        """Commit the session's changes and go on with a new session on the same branch; returns the snapshot's id.

        Args:
            message: Not empty.
            merged: A snapshot whose changes this commit brings, to be remembered.
        """
        self._check_writable()
        if not message.strip():
            raise InputError("a commit needs a message", got=repr(message))
        self._refuse_fork("committed", "merge it into the store that it was made from")
        # One that commits at once holds the folder's lock already.
        with self.lock(), nullcontext() if self.autocommit else self.repository.alone():
            return self._commit(message, merged)

    def _commit(self, message: str, merged: str | None = None) -> str:
        if not self.has_changes:
            return self.snapshot_id
        if self.session.branch != self.view.branch:
            raise ConcurrentEditError(
                "the changes cannot be committed: another writer has changed the branch", store=self.url, hint=REBASE
            )
        with told(self.url, "the changes cannot be committed"):
            snapshot = str(self.session.commit(message, None if merged is None else {MERGED: merged}))
        self._use(self.repository.session(self.view))
        return snapshot

    def switch(self, branch: str) -> None:
        """Go on with a session on another branch; changes that are not committed are dropped."""
        self._refuse_fork("switched", "switch the store that it was made from")
        with self._guard:
            view = View(branch)
            self._use(self.repository.session(view, read_only=self.read_only))
            self.view = view

    def at(self, snapshot_id: str) -> IcechunkBackend:
        """The same repository, to be read as it was at a snapshot."""
        return self._beside(View(self.view.branch, snapshot_id=snapshot_id), read_only=True)

    def on(self, branch: str) -> IcechunkBackend:
        """The same repository, to be written from the tip of a branch."""
        return self._beside(View(branch), read_only=False)

    def _beside(self, view: View, *, read_only: bool) -> IcechunkBackend:
        return IcechunkBackend(self._same_place(), view, read_only=read_only)

    def _same_place(self) -> Place:
        handle = None if self._repository is None else self._repository.handle
        return Place(self.url, None, handle, self.place.folder)

    def own_changes(self) -> Changes:
        """What the session has changed since its snapshot."""
        with told(self.url, "the changes cannot be listed"):
            return Changes.of(self.session.status())

    def snapshot(self, message: str) -> str:
        """Save the session's changes as a snapshot that no branch names, and leave the session as it is."""
        copy = self.duplicate()
        with told(self.url, "the changes cannot be saved"):
            return str(copy.session.flush(message))

    # Forks

    def fork(self) -> IcechunkBackend:
        """A backend of its own that can be pickled, written to, and brought back.

        Raises:
            StoreError: There are changes that are not committed.
        """
        self._check_writable()
        self._refuse_fork("forked", "fork the store that it was made from")
        if self.has_changes:
            raise StoreError(
                "a store with uncommitted changes cannot be forked", store=self.url, hint="commit or discard them first"
            )
        return self._with_session(_as_fork(self.duplicate().session), self.snapshot_id)

    @property
    def forked_from(self) -> str | None:
        """The snapshot that a fork began at; None for what is no fork."""
        return self._forked_from

    def _refuse_fork(self, done: str, hint: str) -> None:
        if self._forked_from is not None:
            raise StoreError(f"a fork cannot be {done}", store=self.url, hint=hint)

    def __getstate__(self) -> dict[str, Any]:
        if self._forked_from is None and not self.read_only:
            raise StoreError(
                "a session that can be written cannot be sent to other processes", store=self.url, hint="send forks"
            )
        session = None if self._session is None else self.session
        return {"place": self._same_place(), "view": self.view, "from": self._forked_from, "session": session}

    def __setstate__(self, state: dict[str, Any]) -> None:
        ZarrBackend.__init__(self, MemoryStore(), url=state["place"].url, read_only=state["from"] is None)
        self.place, self.view, self.autocommit = state["place"], state["view"], False
        self._forked_from = state["from"]
        self._guard = threading.RLock()
        self._session = self._repository = None
        if state["session"] is not None:
            self._repository = IcechunkRepository(self.url, self.place.repository, self.place.folder)
            self._use(state["session"])

    # Transactions

    @contextmanager
    def lock(self) -> Iterator[None]:
        """Keep out other writers of this session; those who commit at once start from the tip of their branch."""
        self._check_writable()
        folder = self.place.folder if self.autocommit else None
        with self._guard, nullcontext() if folder is None else LocalBackend(folder).lock():
            if self.autocommit and self._repository is None:
                self._open(self.place.open())
            elif self.autocommit and not self.has_changes:
                self._use(self.repository.session(self.view))
            yield

    @contextmanager
    def transaction(self) -> Iterator[NodeTransaction]:
        """Write to the session; what is read inside the block is as it was before, and so is all if the block fails."""
        self._check_writable()
        if self._repository is None:
            self._open(self.place.create(self.view.branch))
        with self.attempt() as before:
            transaction = NodeTransaction(self._with_session(self.session, self.snapshot_id), self.url)
            self.store = before.store
            yield transaction
            transaction.finish()
            self.store = self.session.store
            if self.autocommit:
                self._commit(DEFAULT_MESSAGE)

    @contextmanager
    def attempt(self) -> Iterator[IcechunkBackend]:
        """Go back to the session as it was, which the context gives, if the block fails."""
        before = self.duplicate()
        try:
            yield before
        except BaseException:
            # Not by discarding and merging: Icechunk 1 cannot merge into a session that knew other shapes of arrays.
            self._use(before.session if self._forked_from is None else _as_fork(before.session))
            raise

    def take_over(self, other: IcechunkBackend) -> None:
        """Go on with another session on the same branch."""
        self._use(other.session)

    def duplicate(self) -> IcechunkBackend:
        """A backend on a session with the same snapshot and the same uncommitted changes."""
        with told(self.url, "the session cannot be copied"):
            session = self.repository.session_at(self.snapshot_id, self.view.branch)
            if self.has_changes:
                session.merge(_as_fork(self.session))
        return self._with_session(session, self.snapshot_id)

    def _with_session(self, session: Any, forked_from: str) -> IcechunkBackend:
        made = IcechunkBackend.__new__(IcechunkBackend)
        made.__setstate__({"place": self._same_place(), "view": self.view, "from": forked_from, "session": session})
        return made

    # Objects

    @property
    def locks_everyone(self) -> bool:
        """Others may commit at any time; Icechunk finds out."""
        return False

    async def _fetch(self, requests: Sequence[Get]) -> list[bytes | None]:
        try:
            return await super()._fetch(requests)
        except StoreError:
            # Icechunk 1 raises at chunks of an array that is gone.
            gone = {array for array in {split_key(get.path)[0] for get in requests} if not await self._has_node(array)}
            if not gone:
                raise
            kept = [get for get in requests if split_key(get.path)[0] not in gone]
            found = dict(zip(kept, await super()._fetch(kept), strict=True))
            return [found.get(get) for get in requests]

    async def _has_node(self, path: str) -> bool:
        return bool(await self.store.exists(f"{path}/{DOCUMENT}" if path else DOCUMENT))

    def exists(self, key: str) -> bool:
        """Whether there is an object."""
        return split_key(key)[1] is not None and super().exists(key)

    def list_prefix(self, prefix: str, *, recursive: bool = False) -> Iterator[str]:
        """Objects below a prefix, sorted."""
        prefix = prefix.strip("/")
        if not recursive:
            yield from self.list_children([prefix])[0]
            return
        node = prefix
        while node and not self.exists(f"{node}/{DOCUMENT}"):
            node = node.rpartition("/")[0]
        # Icechunk lists below nodes only.
        if node or self.exists(DOCUMENT) or not prefix:
            head = prefix and prefix + "/"
            yield from (key for key in super().list_prefix(node, recursive=True) if key.startswith(head))

    def list_children(self, prefixes: Sequence[str]) -> list[list[str]]:
        """Immediate children of several prefixes, listed concurrently."""
        clean = [prefix.strip("/") for prefix in prefixes]

        async def listed() -> list[list[str] | None]:
            return list(await asyncio.gather(*(self._node_children(prefix) for prefix in clean)))

        found = self._ask(listed())
        return [
            self._chunk_children(prefix) if names is None else names for prefix, names in zip(clean, found, strict=True)
        ]

    async def _node_children(self, prefix: str) -> list[str] | None:
        """What a group or array contains; None for what is neither."""
        if prefix and not await self._has_node(prefix):
            return None
        head = prefix and prefix + "/"
        names = [name.strip("/") async for name in self.store.list_dir(prefix)]
        return sorted(head + name + ("" if name == DOCUMENT else "/") for name in names)

    def _chunk_children(self, prefix: str) -> list[str]:
        """What lies below a part of the chunks of an array."""
        head = prefix + "/"
        steps = [key[len(head) :].partition("/") for key in self.list_prefix(prefix, recursive=True)]
        return sorted({head + first + slash for first, slash, _ in steps})

    def close(self) -> None:
        """Sessions have nothing to close."""


def _as_fork(session: Any) -> Any:
    """The session as one that may be merged and pickled.

    ``Session.fork`` does this for sessions without changes only, and by way of a serialisation that in-memory storages
    do not survive.
    """
    return icechunk().session.ForkSession(session._session)  # noqa: SLF001  (there is no public way)
