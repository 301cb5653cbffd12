"""Freeing the bytes of what nothing names."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import asdict, dataclass
from pathlib import Path

from zarr_vectors import constants
from zarr_vectors.core.listing import level_numbers
from zarr_vectors.core.state import LevelState, open_level, open_root
from zarr_vectors.exceptions import ConventionError
from zarr_vectors.rechunk.levels import LevelsJob
from zarr_vectors.storage.storage import Storage
from zarr_vectors.types.temporary import scratch_folder
from zarr_vectors.typing import JsonObject

__all__ = ["VacuumReport", "vacuum_store"]


@dataclass(frozen=True)
class VacuumReport:
    """What a vacuum did.

    Args:
        rows_dropped: Stored vertices that no fragment named, and of lines those that are of no line.
        objects_dropped: Stored objects (files) that are gone.
        bytes_before: Bytes of the levels before; None where the place does not tell sizes.
        bytes_after: Bytes of the levels afterwards.
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
    """Write all levels anew without what nothing names, as one commit; memory is bounded by shards.

    Raises:
        ConventionError, StoreError: The store is stored in a way in which it cannot be written anew.
        CorruptionError: A cell is gone or corrupt.
    """
    with storage.lock(), scratch_folder() as folder:
        root, documents = open_root(storage, ["0/zarr.json"])
        numbers = level_numbers(storage, root.attributes)
        levels = [open_level(storage, root, n, documents["0/zarr.json"] if not n else None) for n in numbers]
        _check_order(storage, levels)
        work = LevelsJob.as_they_are(storage, root, levels, Path(folder), by_manifests=True)
        before, files = _size(storage, numbers), _count(storage, numbers)
        work.read()
        document = {**root.document, "attributes": dict(root.attributes)}
        document["attributes"].pop(constants.COMMIT_KEY, None)
        work.commit(document)
        left = _count(storage, numbers)
    dropped = sum(len(job.found.dead) for job in work.levels.values())
    return VacuumReport(dropped, max(0, files - left), before, _size(storage, numbers))


def _check_order(storage: Storage, levels: Iterable[LevelState]) -> None:
    """Refuse cells that do not keep the order of their rows.

    Raises:
        ConventionError: A level has such cells.
    """
    for level in levels:
        if level.is_unordered:
            raise ConventionError(
                "the store has Draco cells that do not keep the order of their rows, and cannot be written anew",
                store=storage.url,
                array=level.vertices.path,
                hint="read the store and write it anew",
            )


def _size(storage: Storage, numbers: Iterable[int]) -> int | None:
    sizes = [storage.size(str(number)) for number in numbers]
    known = [size for size in sizes if size is not None]
    return sum(known) if len(known) == len(sizes) else None


def _count(storage: Storage, numbers: Iterable[int]) -> int:
    return sum(len(list(storage.list_keys(str(number), recursive=True))) for number in numbers)
