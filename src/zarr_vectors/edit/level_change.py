"""One commit that changes some arrays of a level and leaves its rows what they are."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass, field

from zarr_vectors import constants
from zarr_vectors.core.headers import level_document
from zarr_vectors.edit.object_columns import ObjectColumns
from zarr_vectors.edit.which import Opened
from zarr_vectors.metadata.base import dump_json
from zarr_vectors.metadata.root import LevelMetadata
from zarr_vectors.storage.cells import CellArray
from zarr_vectors.storage.commit import Stamps
from zarr_vectors.storage.pending import Pending
from zarr_vectors.storage.storage import Batch, Put
from zarr_vectors.types.cell_facts import CellFacts
from zarr_vectors.types.stale import stale_puts
from zarr_vectors.typing import JsonObject

__all__ = ["LevelChange"]


@dataclass(eq=False)
class LevelChange:
    """What is written to a level.

    Args:
        opened: The store.
        objects: Attributes of objects; None where the level has no objects.
        facts: What the level's index is to say; None for a store that has none.
        arrays: Chunk-grid arrays of vertices as they will be, by name below the level.
        puts: Make the stored objects and the documents of arrays.
        copies: Old and new path of stored objects that have another name from now on.
        deletes: What goes, unless it is written again.
        root: Makes the new root document; None leaves it as it is.
        metadata: Of the level from now on; None leaves it as it is.
        gone: Names below the level of other arrays that are no more.
        more: Names below the level of other arrays that there were not.
    """

    opened: Opened
    objects: ObjectColumns | None
    facts: CellFacts | None
    arrays: dict[str, CellArray]
    puts: list[Iterable[Put]] = field(default_factory=list)
    copies: list[tuple[str, str]] = field(default_factory=list)
    deletes: list[Iterable[str]] = field(default_factory=list)
    root: Callable[[], JsonObject] | None = None
    metadata: LevelMetadata | None = None
    gone: set[str] = field(default_factory=set)
    more: set[str] = field(default_factory=set)

    def commit(self) -> None:
        """Make all changes.

        Raises:
            InputError: The tables cannot hold what they are to; nothing is written.
        """
        opened = self.opened
        if self.objects is not None:
            self.objects.check()
            self.deletes.append(self.objects.deletes())
        root = self.root or (lambda: opened.root.document)
        last = None if self.facts is None else self._index_puts
        deletes = (path for paths in self.deletes for path in paths)
        opened.storage.commit(Batch(puts=self._all_puts(), root=root, copies=self.copies, deletes=deletes, last=last))

    def pending(self) -> Pending:
        """The store as it will be, for another change that is made in the same commit."""
        waiting = dict(self._all_puts())
        return Pending.on(self.opened.storage, waiting, (path for paths in self.deletes for path in paths))

    def _all_puts(self) -> Iterator[Put]:
        opened = self.opened
        for puts in self.puts:
            yield from puts
        if self.objects is not None:
            yield from self.objects.puts()
        yield from stale_puts(opened.storage, opened.root, opened.level)
        yield f"{opened.level.number}/zarr.json", dump_json(self._level_document())

    def _index_puts(self, stamps: Stamps) -> Iterator[Put]:
        """The level's cell index."""
        if self.facts is not None:
            yield from self.facts.puts(self.arrays, self.arrays[constants.VERTICES].present, stamps)

    def _level_document(self) -> JsonObject:
        level, metadata = self.opened.level, self.metadata or self.opened.level.metadata
        names = set((level.document.get("attributes") or {})[constants.ARRAYS_KEY])
        names = (names - self.gone | self.more) - level.cells.keys() | self.arrays.keys()
        if self.objects is not None:
            names = names - self.objects.old_names | self.objects.names
        family, present = constants.VERTEX_ATTRIBUTES, list(metadata.arrays_present)
        if (family in present) != any(name.startswith(f"{family}/") for name in self.arrays):
            present = [name for name in present if name != family] if family in present else [*present, family]
            metadata = metadata.replace(arrays_present=tuple(present))
        return level_document(metadata, sorted(names), level.document, indexed=self.facts is not None)
