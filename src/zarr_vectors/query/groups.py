"""Groups: which objects belong to each."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from zarr_vectors import constants
from zarr_vectors.core.state import LevelState
from zarr_vectors.encoding.blobs import Blobs
from zarr_vectors.exceptions import CorruptionError, MetadataError, ObjectNotFoundError
from zarr_vectors.storage.tables import TableArray
from zarr_vectors.typing import IntArray

__all__ = ["GroupTable", "decode_groups"]


@dataclass(frozen=True, eq=False)
class GroupTable:
    """Members of each group: object ids, group after group.

    Args:
        members: One array of object ids for each group id from 0.
    """

    members: tuple[IntArray, ...]

    def of(self, group_ids: IntArray, store: str | None = None) -> IntArray:
        """Object ids of these groups, each once, in order.

        Raises:
            ObjectNotFoundError: There is no such group.
        """
        unknown = group_ids[(group_ids < 0) | (group_ids >= len(self.members))]
        if len(unknown):
            raise ObjectNotFoundError(
                "the level has no such group",
                store=store,
                got=unknown[:5].tolist(),
                expected=f"0 to {len(self.members) - 1}",
            )
        joined = np.concatenate([*(self.members[group] for group in group_ids.tolist()), np.zeros(0, dtype=np.int64)])
        return joined[np.sort(np.unique(joined, return_index=True)[1])]


def decode_groups(level: LevelState, blobs: Blobs) -> GroupTable:
    """Members of each group, lists and ranges alike."""
    table = level.tables[constants.GROUPS]
    ranges = _group_ranges(level, table)
    members = []
    for group, blob in enumerate(blobs.views()):
        if len(blob) % 8:
            raise CorruptionError("a group is not a list of int64", store=level.store, array=table.path, cell=group)
        listed = np.frombuffer(blob, dtype="<i8").astype(np.int64)
        span = ranges.get(str(group))
        members.append(np.arange(*span, dtype=np.int64) if span and not len(listed) else listed)
    return GroupTable(tuple(members))


def _group_ranges(level: LevelState, table: TableArray) -> dict[str, tuple[int, int]]:
    """First member of each group that is a run of ids, and the id after the last.

    Raises:
        MetadataError: They are malformed, or name more ids than there may be.
    """
    said = table.document.attributes.get("group_ranges") or {}
    spans = list(said.values()) if isinstance(said, dict) else [None]
    plain = all(
        isinstance(span, (list, tuple)) and len(span) == 2 and all(type(n) is int and abs(n) < 2**62 for n in span)
        for span in spans
        if span
    )
    named = sum(max(0, span[1] - span[0]) for span in spans if span) if plain and isinstance(said, dict) else -1
    if not 0 <= named <= constants.MAX_OBJECTS:
        raise MetadataError(
            "the ranges of ids that groups consist of cannot be used",
            store=level.store,
            array=table.path,
            expected=f"first id and the id after the last of each, and at most {constants.MAX_OBJECTS} ids in all",
            got=repr(said)[:200],
        )
    return {group: (span[0], span[1]) for group, span in said.items() if span}
