"""What the groups of one opened store share: its bytes, prefetched cells, and changes that wait."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field

import numpy as np

from zarr_vectors import constants
from zarr_vectors.core.documents import ID_RUN, OWNERS_OF, presence_list, with_presence
from zarr_vectors.core.listing import renamed_arrays
from zarr_vectors.core.pending import Pending
from zarr_vectors.encoding.blobs import Blobs
from zarr_vectors.exceptions import CorruptionError, ReadOnlyError, StoreError
from zarr_vectors.metadata.array import ArrayDocument
from zarr_vectors.metadata.base import dump_json
from zarr_vectors.spatial.grid import format_keys
from zarr_vectors.storage.backend import Backend
from zarr_vectors.storage.cell_array import CellArray, CellRead, cells_beside
from zarr_vectors.storage.cells import read_cells
from zarr_vectors.storage.drivers import check_sendable
from zarr_vectors.storage.storage import ROOT, Batch, Put, Storage
from zarr_vectors.typing import ChunkCoord, IntArray, JsonObject

__all__ = ["NativeShards", "Prefetched", "Session", "check_mode"]


@dataclass(frozen=True)
class NativeShards:
    """How arrays of cells are made inside ``native_sharded_arrays``.

    Args:
        shard_shape: Chunks per stored object along each axis.
        grid_shape: Chunks along each axis.
        origin: Chunk coordinate of the first cell; None for that of the level's bounds.
    """

    shard_shape: tuple[int, ...]
    grid_shape: tuple[int, ...]
    origin: tuple[int, ...] | None


@dataclass
class Prefetched:
    """Cells that a plan brought.

    Args:
        arrays: The planned arrays that there are, by path.
        cells: Payload, or what is wrong with the cell, by array path and chunk coordinate.
        documents: Documents of nodes that have been asked for since.
    """

    arrays: dict[str, CellArray] = field(default_factory=dict)
    cells: dict[tuple[str, ChunkCoord], bytes | CorruptionError] = field(default_factory=dict)
    documents: dict[str, JsonObject | None] = field(default_factory=dict)

    def forget(self, changes: Pending) -> None:
        """Leave what changes have made stale to be read again."""
        self.documents.clear()
        stale = [path for path in self.arrays if path in {*changes.paths()} or changes.is_deleted(path)]
        for path in stale:
            del self.arrays[path]
        self.cells = {key: found for key, found in self.cells.items() if key[0] not in stale}


@dataclass
class Session:
    """An opened store, shared by its groups.

    Args:
        storage: The store's bytes.
        pending: Changes that wait for the end of a batch; None outside one.
        prefetched: Cells of ``batched_reads``; None outside it.
        native: How arrays of cells are made; None outside ``native_sharded_arrays``.
        compressor: Of arrays that are made in a batch and name no other.
    """

    storage: Storage
    pending: Pending | None = None
    prefetched: Prefetched | None = None
    native: NativeShards | None = None
    compressor: object = None

    def __getstate__(self) -> Backend:
        """The place alone: blocks that are open stay here."""
        if self.pending is not None:
            raise StoreError(
                "changes that wait in batched_writes cannot be sent elsewhere",
                store=self.storage.url,
                hint="send the group when the block has ended",
            )
        check_sendable(self.storage.backend)
        return self.storage.backend

    def __setstate__(self, backend: Backend) -> None:
        self.__init__(Storage(backend))  # type: ignore[misc]  # a session is all that its backend is
        self.storage.read_root()

    def documents(self, paths: Sequence[str]) -> dict[str, JsonObject | None]:
        """The ``zarr.json`` of nodes in one round, changes that wait included; None where there is no node."""
        if self.pending is not None:
            known = self.pending.stored
        elif self.prefetched is not None:
            known = self.prefetched.documents
        else:
            return self._stored(paths)
        known |= self._stored([path for path in paths if path not in known])
        if self.pending is None:
            return {path: known[path] for path in paths}
        return {path: self.pending.seen_through(path, known[path]) for path in paths}

    def committed(self, path: str) -> JsonObject | None:
        """A node's ``zarr.json`` as it is stored, without changes that wait; None where there is no node."""
        return self._stored([path])[path]

    def document(self, path: str) -> JsonObject | None:
        """A node's ``zarr.json``, changes that wait included; None where there is no node."""
        return self.documents([path])[path]

    def _stored(self, paths: Sequence[str]) -> dict[str, JsonObject | None]:
        keys = {path: f"{path}/{ROOT}" if path else ROOT for path in paths}
        found = self.storage.read_documents(list(keys.values()))
        return {path: found[key] for path, key in keys.items()}

    def arrays(self, paths: Sequence[str]) -> dict[str, CellArray]:
        """The chunk-grid arrays that there are at these paths, in one round."""
        found: dict[str, CellArray] = {}
        for path, document in self.documents(paths).items():
            if document is not None and document.get("node_type") == "array":
                found[path] = CellArray(path, ArrayDocument.parse(document, where=path), self.storage.url)
        return found

    def array(self, path: str) -> CellArray:
        """A chunk-grid array.

        Raises:
            StoreError: There is no such array.
        """
        known = self.prefetched.arrays if self.prefetched is not None else {}
        found = known.get(path) or self.arrays([path]).get(path)
        if found is None:
            raise StoreError(
                "there is no such array", store=self.storage.url, array=path, hint="create it before its cells"
            )
        return found

    def read_cells(self, plan: Mapping[str, tuple[CellArray, IntArray]]) -> Prefetched:
        """Cells of several arrays in at most two rounds; cells that are not present are left out."""
        wanted = [(array, coords[array.has(coords)]) for array, coords in plan.values()]
        found = Prefetched({path: array for path, (array, _) in plan.items()})
        for read in read_cells(self.storage, wanted):
            for row, (coord, data) in enumerate(zip(read.coords.tolist(), read.cells.to_list(), strict=True)):
                found.cells[read.array.path, tuple(coord)] = read.error(row) if row in read.errors else data
        return found

    @contextmanager
    def changes(self) -> Iterator[Pending]:
        """Changes to make: committed at once, or when the open batch ends."""
        if self.pending is not None:
            yield self.pending
            return
        fresh = Pending()
        yield fresh
        self.flush(fresh)

    def check_writable(self) -> None:
        """Refuse to change a store that was opened for reading.

        Raises:
            ReadOnlyError: It was.
        """
        if self.storage.read_only:
            raise ReadOnlyError(
                "the store was opened for reading", store=self.storage.url, hint="open it with mode='r+'"
            )

    def flush(self, changes: Pending) -> None:
        """Commit changes as one batch, over what is stored by now."""
        with self.storage.lock():
            levels = {path.partition("/")[0] for path in (*changes.paths(), *changes.deletes)}
            indexes = [f"{level}/{constants.OBJECT_INDEX}" for level in levels if _touches_owners(level, changes)]
            stored = self._stored([*dict.fromkeys(["", *levels, *changes.paths(), *indexes])])
            documents = changes.documents_over(stored, self.storage.url)
            puts = [*self._cell_puts(changes, documents, stored), *changes.objects.items()]
            for level in sorted(levels):
                self._level_follows(level, changes, documents, stored)
            for index in indexes:
                _index_follows(index, changes, documents, stored)
            root = documents.pop("", None) or stored[""]
            if root is None:
                raise StoreError("there is no store to write into", store=self.storage.url)
            puts += [(f"{path}/{ROOT}", dump_json(document)) for path, document in documents.items()]
            gone = [key for prefix in changes.deletes for key in self.storage.list_keys(prefix, recursive=True)]
            self.storage.commit(Batch(puts=puts, root=lambda: root, deletes=gone))
        if self.prefetched is not None:
            self.prefetched.forget(changes)

    def _cell_puts(
        self, changes: Pending, documents: dict[str, JsonObject], stored: Mapping[str, JsonObject | None]
    ) -> Iterator[Put]:
        """Stored objects of the cells; the presence lists of their arrays go to ``documents``."""
        written: list[tuple[CellArray, IntArray, Blobs]] = []
        for path, cells in changes.cells.items():
            document = documents.get(path) or (None if changes.is_deleted(path) else stored.get(path))
            if document is None:
                raise StoreError("the array is gone in the meantime", store=self.storage.url, array=path)
            array = CellArray(path, ArrayDocument.parse(document, where=path), self.storage.url)
            coords = np.array(list(cells), dtype=np.int64).reshape(-1, array.ndim)
            check_in_grid(array, coords)
            written.append((array, coords, Blobs.from_list(list(cells.values()))))
            present = np.unique(np.concatenate([array.present, coords]), axis=0)
            documents[path] = with_presence(array.document, presence_list(present)).to_json()
        beside = [(array, cells_beside(array, array, coords)) for array, coords, _ in written]
        reads = read_cells(self.storage, beside, decode=False) if any(len(coords) for _, coords in beside) else []
        kept: list[CellRead | None] = [read.check() for read in reads] or [None] * len(written)
        for (array, coords, blobs), others in zip(written, kept, strict=True):
            yield from array.encode(coords, blobs, others)

    def _level_follows(
        self,
        level: str,
        changes: Pending,
        documents: dict[str, JsonObject],
        stored: Mapping[str, JsonObject | None],
    ) -> None:
        """A level's document names its arrays, and claims nothing that cells put one by one may break."""
        document = documents.get(level) or (None if changes.is_deleted(level) else stored.get(level))
        attributes = dict((document or {}).get("attributes") or {})
        block = attributes.get(constants.LEVEL_KEY)
        if document is None or not isinstance(block, dict):
            return
        tiling = {f"{level}/{constants.VERTICES}", f"{level}/{constants.VERTEX_FRAGMENTS}"}
        if tiling & {*changes.cells}:
            block = {key: value for key, value in block.items() if key != "fragments_tile"}
        attributes[constants.LEVEL_KEY] = block
        if constants.ARRAYS_KEY in attributes:
            head = f"{level}/"
            made = {path.removeprefix(head): new for path, new in documents.items() if path.startswith(head)}
            gone = [path.removeprefix(head) for path in changes.deletes if path.startswith(head)]
            attributes[constants.ARRAYS_KEY] = renamed_arrays(attributes[constants.ARRAYS_KEY], made, gone)
        if attributes != document.get("attributes"):
            documents[level] = {**document, "attributes": attributes}


def _touches_owners(level: str, changes: Pending) -> bool:
    """Whether changes put something one by one that tells whose the fragments of a level are."""
    names = (constants.OBJECT_MANIFESTS, constants.OBJECT_IDS, constants.VERTEX_FRAGMENTS, constants.FRAGMENT_OWNER)
    changed = {*changes.paths(), *changes.deletes}
    return any(f"{level}/{name}" in changed for name in (*names, constants.FRAGMENT_OFFSET))


def _index_follows(
    index: str, changes: Pending, documents: dict[str, JsonObject], stored: Mapping[str, JsonObject | None]
) -> None:
    """An object index claims nothing that manifests, ids and fragments put one by one may break."""
    document = documents.get(index) or (None if changes.is_deleted(index) else stored.get(index))
    attributes = (document or {}).get("attributes") or {}
    kept = {name: value for name, value in attributes.items() if name not in (ID_RUN, OWNERS_OF)}
    if document is not None and kept != attributes:
        documents[index] = {**document, "attributes": kept}


def check_mode(storage: Storage, mode: str) -> None:
    """Refuse to open for writing what is open for reading already.

    Raises:
        ReadOnlyError: It is.
    """
    if mode != "r" and storage.read_only:
        raise ReadOnlyError(
            f"what is open for reading cannot be opened with mode={mode!r}",
            store=storage.url,
            hint="open it for writing in the first place, or pass its URL",
        )


def check_in_grid(array: CellArray, coords: IntArray) -> None:
    """Refuse cells that an array has no place for.

    Raises:
        StoreError: With the first of them.
    """
    outside = ~array.grid.contains(coords)
    if outside.any():
        raise StoreError(
            "the cell is outside the array's grid",
            store=array.store,
            array=array.path,
            cell=format_keys(coords[outside][:1])[0],
            expected=f"from {array.grid.origin}, {array.grid.shape} cells",
        )
