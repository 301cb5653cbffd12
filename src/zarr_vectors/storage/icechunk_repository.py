"""The branches and snapshots of an Icechunk repository."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager, nullcontext
from dataclasses import dataclass
from typing import Any
from uuid import uuid4

import numpy as np

from zarr_vectors.exceptions import InputError, StoreError
from zarr_vectors.storage.local import LocalBackend
from zarr_vectors.storage.repositories import told
from zarr_vectors.typing import IntArray

__all__ = ["MERGED", "Changes", "Commit", "IcechunkRepository", "View"]

MERGED = "zarr_vectors_merged"
"""In the metadata of a commit: the snapshot that it has merged, as Icechunk gives a commit one parent only."""


@dataclass(frozen=True)
class View:
    """What of a repository to open; at most one of the last two.

    Args:
        branch: To read from or to write to.
        tag: To read from.
        snapshot_id: To read from.
    """

    branch: str = "main"
    tag: str | None = None
    snapshot_id: str | None = None

    @property
    def is_fixed(self) -> bool:
        """Whether it can only be read."""
        return self.tag is not None or self.snapshot_id is not None


@dataclass(frozen=True)
class Commit:
    """A commit in the history of a branch.

    Args:
        snapshot_id: Of the state that it made.
        message: What its author said.
        merged: The snapshot of another branch whose changes it brought, or None.
    """

    snapshot_id: str
    message: str
    merged: str | None


@dataclass(frozen=True)
class Changes:
    """What differs between two states.

    Args:
        nodes: Paths of groups and arrays that were made, removed, or have another document.
        remade: Those of them that were made or removed.
        chunks: ``(n, K)`` indices of stored objects that were put or removed, by array; without those of ``remade``.
    """

    nodes: frozenset[str]
    remade: frozenset[str]
    chunks: dict[str, IntArray]

    def __or__(self, other: Changes) -> Changes:
        arrays = {*self.chunks, *other.chunks}
        joined = {path: [side.chunks[path] for side in (self, other) if path in side.chunks] for path in arrays}
        remade = self.remade | other.remade
        chunks = {path: np.unique(np.concatenate(parts), axis=0) for path, parts in joined.items()}
        return Changes(self.nodes | other.nodes, remade, {path: c for path, c in chunks.items() if path not in remade})

    @classmethod
    def of(cls, diff: Any) -> Changes:
        """Those of an ``icechunk.Diff``.

        Raises:
            StoreError: Nodes were moved.
        """
        if getattr(diff, "moved_nodes", None):
            raise StoreError("nodes of the store were moved, which cannot be merged", got=str(diff.moved_nodes))
        remade = diff.new_groups | diff.new_arrays | diff.deleted_groups | diff.deleted_arrays
        nodes = remade | diff.updated_groups | diff.updated_arrays
        return cls(
            frozenset(path.strip("/") for path in nodes),
            frozenset(path.strip("/") for path in remade),
            {
                path.strip("/"): np.array(chunks, dtype=np.int64)
                for path, chunks in diff.updated_chunks.items()
                if chunks and path not in remade
            },
        )

    @property
    def paths(self) -> frozenset[str]:
        """Every node that is concerned."""
        return self.nodes | frozenset(self.chunks)


@dataclass(frozen=True)
class IcechunkRepository:
    """A repository that is open.

    Args:
        url: For messages.
        handle: The ``icechunk.Repository``.
        folder: Where it is on a local disk, or None.
    """

    url: str
    handle: Any
    folder: str | None

    def session(self, view: View, *, read_only: bool = False) -> Any:
        """A session on what a view says, writable where that can be."""
        with told(self.url, f"there is no {_named(view)}"):
            if view.snapshot_id is not None:
                return self.handle.readonly_session(snapshot_id=view.snapshot_id)
            if view.tag is not None:
                return self.handle.readonly_session(tag=view.tag)
            return self.handle.readonly_session(view.branch) if read_only else self.handle.writable_session(view.branch)

    def session_at(self, snapshot_id: str, branch: str) -> Any:
        """A session to write from a snapshot of a branch that may have moved on since."""
        session = self.handle.writable_session(branch)
        if session.snapshot_id == snapshot_id:
            return session
        passing = f"zv-{uuid4().hex}"
        self.handle.create_branch(passing, snapshot_id)
        try:
            return self.handle.writable_session(passing)
        finally:
            self.handle.delete_branch(passing)

    @contextmanager
    def alone(self) -> Iterator[None]:
        """Keep other processes from committing at the same time, where Icechunk itself does not: in a local folder."""
        with nullcontext() if self.folder is None else LocalBackend(self.folder).lock():
            yield

    def create_branch(self, name: str, snapshot_id: str) -> None:
        """A branch that begins at a snapshot."""
        if not name:
            raise InputError("a branch needs a name", got=repr(name))
        with self.alone(), told(self.url, f"the branch {name!r} cannot be made"):
            if name in self.handle.list_branches():
                raise StoreError(
                    f"there is a branch {name!r} already", store=self.url, hint="choose another name, or switch to it"
                )
            self.handle.create_branch(name, snapshot_id)

    def move_branch(self, branch: str, snapshot_id: str, *, expected: str) -> None:
        """Let a branch be at another snapshot, if it is still where it is expected."""
        with self.alone(), told(self.url, f"the branch {branch!r} cannot be moved"):
            self.handle.reset_branch(branch, snapshot_id, from_snapshot_id=expected)

    def tip(self, branch: str) -> str:
        """The snapshot that a branch is at."""
        with told(self.url, f"there is no {_named(View(branch))}"):
            return str(self.handle.lookup_branch(branch))

    def ancestry(self, snapshot_id: str) -> list[Commit]:
        """Commits from this one back to the first."""
        with told(self.url, "the history cannot be read"):
            return [
                Commit(str(info.id), str(info.message), (info.metadata or {}).get(MERGED))
                for info in self.handle.ancestry(snapshot_id=snapshot_id)
            ]

    def changes(self, since: str, until: str) -> Changes:
        """What has changed from a snapshot to one that builds on it."""
        if since == until:
            return Changes(frozenset(), frozenset(), {})
        with told(self.url, "the changes cannot be listed"):
            return Changes.of(self.handle.diff(from_snapshot_id=since, to_snapshot_id=until))


def _named(view: View) -> str:
    if view.snapshot_id is not None:
        return f"snapshot {view.snapshot_id!r}"
    return f"branch {view.branch!r}" if view.tag is None else f"tag {view.tag!r}"
