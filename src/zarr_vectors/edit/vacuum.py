"""Freeing the bytes of what nothing names."""

from __future__ import annotations

from dataclasses import asdict, dataclass

from zarr_vectors.core.state import open_level, open_root
from zarr_vectors.edit.checks import check_editable
from zarr_vectors.edit.draft import load_draft
from zarr_vectors.edit.rewrite import rewrite
from zarr_vectors.edit.which import Opened
from zarr_vectors.query.places import vertex_places
from zarr_vectors.storage.storage import Storage
from zarr_vectors.types.kinds import kind_of_types
from zarr_vectors.typing import JsonObject

__all__ = ["VacuumReport", "vacuum_store"]


@dataclass(frozen=True)
class VacuumReport:
    """What a vacuum did.

    Args:
        rows_dropped: Stored vertices that no fragment named.
        objects_dropped: Stored objects (files) that are gone.
        bytes_before: Bytes of the level before; None where the place does not tell sizes.
        bytes_after: Bytes of the level afterwards.
    """

    rows_dropped: int
    objects_dropped: int
    bytes_before: int | None
    bytes_after: int | None

    @property
    def bytes_freed(self) -> int | None:
        """How many bytes were freed."""
        return None if self.bytes_before is None or self.bytes_after is None else self.bytes_before - self.bytes_after

    def to_json(self) -> JsonObject:
        """The same as plain values."""
        return {**asdict(self), "bytes_freed": self.bytes_freed}


def vacuum_store(storage: Storage) -> VacuumReport:
    """Write level 0 anew without what nothing names, as one commit.

    Raises:
        ConventionError: The store is stored in a way in which it cannot be edited.
        CorruptionError: A cell is gone or corrupt.
    """
    with storage.lock():
        root, documents = open_root(storage, ["0/zarr.json"])
        level = open_level(storage, root, 0, documents["0/zarr.json"])
        kind = kind_of_types(root.metadata.geometry_types, storage.url)
        check_editable(storage, root, level, kind)
        before, files = storage.size("0"), len(list(storage.list_keys("0", recursive=True)))
        stored = int(vertex_places(storage, level, kind.connects).counts.sum())
        draft = load_draft(storage, root, level, kind)
        rewrite(storage, Opened(storage, root, level, kind), draft, changes=False)
        left = len(list(storage.list_keys("0", recursive=True)))
    return VacuumReport(stored - len(draft), max(0, files - left), before, storage.size("0"))
