"""Versions of stores in Icechunk repositories: commits, branches, forks, and merging what they changed.

Icechunk's history is a line: a merge is one commit on the current branch that brings the other branch's changes, and
remembers in its metadata which these were.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

from zarr_vectors.core.group import Group
from zarr_vectors.core.history import History
from zarr_vectors.core.merge import Side, merge_changes
from zarr_vectors.exceptions import InputError, ReadOnlyError, StoreError
from zarr_vectors.storage.icechunk import DEFAULT_MESSAGE, IcechunkBackend
from zarr_vectors.storage.storage import Storage

__all__ = [
    "branch",
    "commit",
    "discard_changes",
    "fork",
    "merge_branch",
    "merge_forks",
    "rebase",
    "session_for",
    "switch_branch",
]


def commit(group: Group, message: str = DEFAULT_MESSAGE) -> str | None:
    """Commit the changes of an Icechunk store's session; the group stays writable and goes on from the commit.

    Args:
        group: Any group of the store.
        message: Not empty.

    Returns:
        The snapshot's id, that of the last commit if nothing has changed since; None for other stores, where every
        change is durable as soon as it is made.

    Raises:
        ConcurrentEditError: The branch has moved on since the session began; ``rebase`` onto it, and commit again.
        InputError: The message is empty.
        ReadOnlyError: The store was opened for reading.

    Example:
        >>> from zarr_vectors.core.store import create_store
        >>> commit(create_store("memory://commit-doc")) is None
        True
        >>> root = create_store("memory://commit-doc-2", backend="icechunk")
        >>> snapshot = commit(root, "an empty store")
        >>> root.attrs["project"] = "fly"
        >>> commit(root, "name the project") == snapshot
        False
    """
    backend = group.backend
    return backend.commit(message) if isinstance(backend, IcechunkBackend) else None


def discard_changes(group: Group) -> None:
    """Go back to the last commit of an Icechunk store; for other stores, which keep nothing back, nothing happens.

    Args:
        group: Any group of the store.

    Raises:
        ReadOnlyError: The store was opened for reading.

    Example:
        >>> from zarr_vectors.core.store import create_store
        >>> root = create_store("memory://discard-doc", backend="icechunk")
        >>> _ = commit(root)
        >>> root.attrs["project"] = "fly"
        >>> discard_changes(root)
        >>> "project" in root.attrs
        False
    """
    backend = group.backend
    if isinstance(backend, IcechunkBackend):
        backend.discard()
        group.storage.shard_indexes.clear()


def session_for(group: Group) -> Any:
    """The ``icechunk.Session`` behind a group, with all changes that are not committed; None for other stores.

    For what this library has no function for: tags, the list of changes, zarr-python. Ask for it anew each time:
    another one takes its place at each commit, and when a batch has failed.

    Args:
        group: Any group of the store.

    Returns:
        The session, or None.

    Raises:
        StoreError: The repository cannot be reached.

    Example:
        >>> from zarr_vectors.core.store import create_store
        >>> root = create_store("memory://session-doc", backend="icechunk")
        >>> session_for(root).branch, session_for(root).has_uncommitted_changes
        ('main', True)
    """
    backend = group.backend
    return backend.session if isinstance(backend, IcechunkBackend) else None


def branch(group: Group, name: str, *, from_snapshot_id: str | None = None) -> str:
    """Make a branch; the group stays on its own.

    Args:
        group: Any group of the store.
        name: Of the new branch.
        from_snapshot_id: Where it begins; by default at the last commit of the group's session.

    Returns:
        The id of the snapshot that it begins at.

    Raises:
        StoreError: The store is not one of Icechunk, there is such a branch, or there is no such snapshot.

    Example:
        >>> from zarr_vectors.core.store import create_store
        >>> root = create_store("memory://branch-doc", backend="icechunk")
        >>> first = commit(root)
        >>> branch(root, "trial") == first
        True
    """
    backend = _of(group, "branches cannot be made")
    start = from_snapshot_id or backend.snapshot_id
    backend.repository.create_branch(name, start)
    return start


def switch_branch(group: Group, name: str) -> None:
    """Go on with a branch, in this group and all others of the same opened store.

    Changes that are not committed are dropped.

    Args:
        group: Any group of the store.
        name: Of the branch.

    Raises:
        StoreError: The store is not one of Icechunk, or there is no such branch.

    Example:
        >>> from zarr_vectors.core.store import create_store
        >>> root = create_store("memory://switch-doc", backend="icechunk")
        >>> _ = commit(root), branch(root, "trial")
        >>> switch_branch(root, "trial")
        >>> root.attrs["trial"] = True
        >>> _ = commit(root)
        >>> switch_branch(root, "main")
        >>> "trial" in root.attrs
        False
    """
    _of(group, "there are no branches to switch to").switch(name)
    group.storage.shard_indexes.clear()


def merge_branch(group: Group, name: str, *, message: str = "merge branch") -> str:
    """Bring what a branch has changed since it and the current one parted into the current branch.

    Where the current branch has not changed since, it goes on to the other's last commit. Otherwise the other side's
    cells are replayed on top, and documents are merged by what they mean: presence lists are united, counts added up,
    tables of objects joined by id.

    Args:
        group: Any group of the store; without changes that are not committed.
        name: The other branch.
        message: Of the commit, where one is made.

    Returns:
        The id of the snapshot that the current branch is at.

    Raises:
        ConcurrentEditError: The same cell, shard, row of a table or id has changed on both sides, or cells that belong
            together; nothing is committed.
        StoreError: The store is not one of Icechunk, there are uncommitted changes, or there is no such branch.

    Example:
        >>> from zarr_vectors.core.store import create_store
        >>> root = create_store("memory://merge-doc", backend="icechunk")
        >>> _ = commit(root), branch(root, "trial")
        >>> root.attrs["ours"] = 1
        >>> _ = commit(root), switch_branch(root, "trial")
        >>> root.attrs["theirs"] = 2
        >>> _ = commit(root), switch_branch(root, "main")
        >>> _ = merge_branch(root, "trial")
        >>> root.attrs["ours"], root.attrs["theirs"]
        (1, 2)
    """
    backend = _clean(group, "a branch cannot be merged")
    with backend.lock():
        ours, theirs = backend.snapshot_id, backend.repository.tip(name)
        history = History(backend.repository)
        base = history.common(ours, theirs)
        if base == ours != theirs:
            backend.repository.move_branch(backend.view.branch, theirs, expected=ours)
            backend.switch(backend.view.branch)
        elif base != theirs:
            _replay(group.storage, backend, history, (base, ours, theirs))
            _commit_or_discard(backend, message, theirs)
        group.storage.shard_indexes.clear()
        return backend.snapshot_id


def rebase(group: Group, base: str = "main") -> str:
    """Let the current branch begin at the last commit of another, with its own changes on top.

    Onto the branch that the group is on, this brings uncommitted changes to its last commit, where they stay
    uncommitted: what to do after ``commit`` has found that another writer was faster. Onto another branch, the
    commits of the current one become one commit on top of the other's, whose message tells theirs; the branch has to be
    without uncommitted changes.

    Args:
        group: Any group of the store.
        base: A branch.

    Returns:
        The id of the snapshot that the session builds on.

    Raises:
        ConcurrentEditError: As in ``merge_branch``; nothing has changed.
        StoreError: The store is not one of Icechunk, there is no such branch, or there are uncommitted changes that
            another branch would lose.

    Example:
        >>> from zarr_vectors.core.store import create_store, open_store
        >>> root = create_store("memory://rebase-doc", backend="icechunk")
        >>> _ = commit(root)
        >>> other = open_store("memory://rebase-doc", "r+", backend="icechunk")
        >>> root.attrs["ours"], other.attrs["theirs"] = 1, 2
        >>> _ = commit(other), rebase(root), commit(root)
        >>> root.attrs["ours"], root.attrs["theirs"]
        (1, 2)
    """
    backend = _of(group, "there is nothing to rebase")
    _refuse_reading(backend)
    with backend.lock():
        if base == backend.view.branch:
            _rebase_session(group.storage, backend)
        else:
            _rebase_branch(_clean(group, "a branch cannot be rebased"), base)
        group.storage.shard_indexes.clear()
        return backend.snapshot_id


def _rebase_session(storage: Storage, backend: IcechunkBackend) -> None:
    """Bring the session's own changes to the tip of its branch."""
    if backend.repository.tip(backend.view.branch) == backend.snapshot_id:
        return
    if not backend.has_changes:
        backend.switch(backend.view.branch)
        return
    work = backend.on(backend.view.branch)
    saved = backend.snapshot("uncommitted changes")
    history = History(work.repository)
    base = history.common(work.snapshot_id, saved)
    _replay(Storage(work), work, history, (base, work.snapshot_id, saved))
    backend.take_over(work)
    storage.shard_indexes.clear()


def _rebase_branch(backend: IcechunkBackend, onto: str) -> None:
    work, own = backend.on(onto), backend.snapshot_id
    tip, history = work.snapshot_id, History(backend.repository)
    base = history.common(own, tip)
    if base == tip:
        return
    moved = tip
    if base != own:
        known = history.contained(tip)
        messages = [commit.message for commit in history.line(own) if commit.snapshot_id not in known]
        _replay(Storage(work), work, history, (base, tip, own))
        moved = work.snapshot("\n".join(reversed(messages)))
    backend.repository.move_branch(backend.view.branch, moved, expected=own)
    backend.switch(backend.view.branch)


def fork(group: Group) -> IcechunkBackend:
    """A place for a parallel writer: a copy of an Icechunk store's session that can be pickled and sent to a process.

    It is a place like a path: pass it to ``zv.write``, ``zv.open`` or ``open_store``, and bring it back for
    ``merge_forks``. Writers must keep to shards of their own, and to object ids of their own.

    Raises:
        StoreError: The store is not one of Icechunk, or has uncommitted changes.

    Example:
        >>> import zarr_vectors as zv
        >>> from zarr_vectors.core.store import create_store
        >>> root = create_store("memory://fork-doc", bounds=([0], [29]), chunk_shape=(10,), backend="icechunk")
        >>> _ = zv.write(root.backend, zv.Points([[1.0]]), mode="append"), commit(root)
        >>> forks = [fork(root), fork(root)]
        >>> for place, x in zip(forks, (12.0, 25.0)):
        ...     _ = zv.write(place, zv.Points([[x]]), mode="append")
        >>> merge_forks(root, forks)
        >>> _ = commit(root, "two writers")
        >>> zv.open("memory://fork-doc")[0].read().positions.ravel().tolist()
        [1.0, 12.0, 25.0]
    """
    return _of(group, "there is nothing to fork").fork()


def merge_forks(group: Group, forks: Iterable[IcechunkBackend | Group]) -> None:
    """Bring what forks have written into the store that they were made from, without committing it.

    Raises:
        ConcurrentEditError: Two forks, or a fork and the store, have written the same cell, shard, row of a table or
            id; the store is as it was before.
        StoreError: The store is not one of Icechunk.
        InputError: Something is no fork of this store.

    Example:
        See ``fork``.
    """
    backend = _of(group, "there are no forks to merge")
    _refuse_reading(backend)
    with backend.lock(), backend.attempt():
        for number, given in enumerate(forks):
            place = given.backend if isinstance(given, Group) else given
            began = place.forked_from if isinstance(place, IcechunkBackend) else None
            if not isinstance(place, IcechunkBackend) or began is None:
                raise InputError(f"forks[{number}] is not a fork", got=type(given).__name__)
            if began != backend.snapshot_id:
                raise InputError(
                    f"forks[{number}] was made from another commit",
                    expected=backend.snapshot_id,
                    got=began,
                    hint="merge forks before the next commit",
                )
            ours = Side(group.storage, backend.own_changes())
            theirs = Side(Storage(place), place.own_changes())
            group.storage.commit(merge_changes(Storage(backend.at(began)), ours, theirs))
    group.storage.shard_indexes.clear()


def _replay(target: Storage, backend: IcechunkBackend, history: History, states: tuple[str, str, str]) -> None:
    """Write what another state has changed into a session at ours that has no changes of its own.

    Args:
        target: The session, as ``backend``.
        states: The one from which both have parted, ours, and theirs.
    """
    base, ours, theirs = states
    mine = Side(target, history.changes(base, ours))
    other = Side(Storage(backend.at(theirs)), history.changes(base, theirs))
    target.commit(merge_changes(Storage(backend.at(base)), mine, other))


def _commit_or_discard(backend: IcechunkBackend, message: str, merged: str) -> None:
    try:
        backend.commit(message, merged=merged)
    except BaseException:
        backend.discard()
        raise


def _of(group: Group, what: str) -> IcechunkBackend:
    backend = group.backend
    if not isinstance(backend, IcechunkBackend):
        raise StoreError(
            f"{what}: this store is not in an Icechunk repository",
            store=group.url,
            hint="create it with backend='icechunk'",
        )
    return backend


def _clean(group: Group, what: str) -> IcechunkBackend:
    backend = _of(group, what)
    _refuse_reading(backend)
    if backend.has_changes:
        raise StoreError(
            f"{what} while there are uncommitted changes", store=group.url, hint="commit or discard them first"
        )
    return backend


def _refuse_reading(backend: IcechunkBackend) -> None:
    if backend.read_only:
        raise ReadOnlyError("the store was opened for reading", store=backend.url, hint="open it with mode='r+'")
