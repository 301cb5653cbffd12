"""Where the histories of branches meet, merges that commits remember included."""

from __future__ import annotations

from dataclasses import dataclass, field

from zarr_vectors.exceptions import ConcurrentEditError, StoreError
from zarr_vectors.storage.icechunk_repository import Changes, Commit, IcechunkRepository

__all__ = ["History"]


@dataclass
class History:
    """Commits of a repository, read as they are needed.

    Args:
        repository: Where they are.
    """

    repository: IcechunkRepository
    _lines: dict[str, list[Commit]] = field(default_factory=dict)

    def line(self, snapshot_id: str) -> list[Commit]:
        """Commits from this one back to the first, without those of merged branches."""
        if snapshot_id not in self._lines:
            self._lines[snapshot_id] = self.repository.ancestry(snapshot_id)
        return self._lines[snapshot_id]

    def contained(self, snapshot_id: str) -> set[str]:
        """Every snapshot whose changes a state has, itself included."""
        found: set[str] = set()
        waiting = [snapshot_id]
        while waiting:
            start = waiting.pop()
            try:
                line = self.line(start)
            except StoreError:
                if start == snapshot_id:
                    raise
                # A merged branch whose snapshots have expired: what it brought can only be compared cell by cell.
                continue
            for commit in line:
                if commit.snapshot_id in found:
                    break
                found.add(commit.snapshot_id)
                if commit.merged is not None:
                    waiting.append(commit.merged)
        return found

    def common(self, one: str, other: str) -> str:
        """The state from which two have parted.

        Raises:
            ConcurrentEditError: There is none, or there are several because each has merged the other before.
        """
        both = self.contained(one) & self.contained(other)
        older = {snapshot for found in both for snapshot in self.contained(found) - {found}}
        last = both - older
        if len(last) == 1:
            return last.pop()
        raise ConcurrentEditError(
            "the two branches have no single state that they have parted from",
            store=self.repository.url,
            got="none" if not last else f"{len(last)}, as each has merged the other",
            hint="make a new branch from one of them and write the other's changes to it again",
        )

    def changes(self, since: str, until: str) -> Changes:
        """What may differ between a state and a later one that has its changes."""
        line = {commit.snapshot_id for commit in self.line(until)}
        if since in line:
            return self.repository.changes(since, until)
        fork = next(commit.snapshot_id for commit in self.line(since) if commit.snapshot_id in line)
        return self.repository.changes(fork, until) | self.repository.changes(fork, since)
