"""Changes to a store collected and committed together, for the low-level interface of ``Group``."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field

import numpy as np

from zarr_vectors import constants
from zarr_vectors.core.documents import presence_list, with_presence
from zarr_vectors.encoding.blobs import Blobs, Buffer
from zarr_vectors.exceptions import StoreError
from zarr_vectors.metadata.array import ArrayDocument
from zarr_vectors.metadata.base import dump_json
from zarr_vectors.spatial.grid import format_keys
from zarr_vectors.storage.backend import Get
from zarr_vectors.storage.cells import CellArray, CellRead, read_cells
from zarr_vectors.storage.storage import ROOT, Batch, Put, Storage
from zarr_vectors.typing import ChunkCoord, IntArray, JsonObject

__all__ = ["Session"]


@dataclass
class Pending:
    """Changes that have not been committed.

    Args:
        documents: ``zarr.json`` by path.
        cells: Cell payloads by array path and chunk coordinate.
        objects: Other stored objects by path.
        deletes: Prefixes to remove.
    """

    documents: dict[str, JsonObject] = field(default_factory=dict)
    cells: dict[str, dict[ChunkCoord, bytes]] = field(default_factory=dict)
    objects: dict[str, Buffer] = field(default_factory=dict)
    deletes: list[str] = field(default_factory=list)


@dataclass
class Session:
    """What the groups of one opened store share: its bytes, prefetched cells, and changes that wait."""

    storage: Storage
    pending: Pending | None = None
    prefetched: dict[tuple[str, ChunkCoord], bytes] | None = None

    def document(self, path: str) -> JsonObject | None:
        """A node's ``zarr.json``, changes that wait included; None where there is no node."""
        key = f"{path}/{ROOT}" if path else ROOT
        if self.pending is not None and path in self.pending.documents:
            return self.pending.documents[path]
        return self.storage.read_documents([key])[key]

    def array(self, path: str) -> CellArray:
        """A chunk-grid array.

        Raises:
            StoreError: There is no such array.
        """
        document = self.document(path)
        if document is None or document.get("node_type") != "array":
            raise StoreError(
                "there is no such array", store=self.storage.url, array=path, hint="create it before its cells"
            )
        return CellArray(path, ArrayDocument.parse(document, where=path), self.storage.url)

    def change(
        self,
        *,
        documents: Mapping[str, JsonObject] | None = None,
        cells: Mapping[str, Mapping[ChunkCoord, bytes]] | None = None,
        objects: Mapping[str, Buffer] | None = None,
        deletes: list[str] | None = None,
    ) -> None:
        """Make changes: at once as one commit, or when the open batch ends."""
        changes = self.pending if self.pending is not None else Pending()
        changes.documents |= dict(documents or {})
        for path, of_array in (cells or {}).items():
            changes.cells.setdefault(path, {}).update(of_array)
        changes.objects |= dict(objects or {})
        changes.deletes += deletes or []
        if changes is not self.pending:
            self.flush(changes)

    def flush(self, changes: Pending) -> None:
        """Commit changes as one batch."""
        with self.storage.lock():
            puts = list(self._puts(changes))
            root = changes.documents.get("") or self.document("")
            if root is None:
                raise StoreError("there is no store to write into", store=self.storage.url)
            gone = [key for prefix in changes.deletes for key in self.storage.list_keys(prefix, recursive=True)]
            self.storage.commit(Batch(puts=puts, root=lambda: root, deletes=gone))

    def _puts(self, changes: Pending) -> Iterator[Put]:
        documents = dict(changes.documents)
        for path, cells in changes.cells.items():
            array = (
                self.array(path)
                if path not in documents
                else CellArray(path, ArrayDocument.parse(documents[path], where=path), self.storage.url)
            )
            coords = np.array(list(cells), dtype=np.int64).reshape(-1, array.ndim)
            kept = self._kept(array, coords)
            yield from array.encode(coords, Blobs.from_list(list(cells.values())), kept)
            present = np.unique(np.concatenate([array.present, coords]), axis=0)
            documents[path] = with_presence(array.document, presence_list(present)).to_json()
            self._forget_tiling(path, documents)
        for path, document in documents.items():
            if path:
                yield f"{path}/{ROOT}", dump_json(document)
        yield from changes.objects.items()

    def _forget_tiling(self, path: str, documents: dict[str, JsonObject]) -> None:
        """Cells put one by one need not tile any more, nor do they keep the level's count of vertices."""
        level, _, name = path.rpartition("/")
        if name not in (constants.VERTICES, constants.VERTEX_FRAGMENTS):
            return
        document = documents.get(level) or self.document(level)
        block = ((document or {}).get("attributes") or {}).get(constants.LEVEL_KEY) or {}
        if document is not None and "fragments_tile" in block:
            kept = {key: value for key, value in block.items() if key != "fragments_tile"}
            documents[level] = {**document, "attributes": {**document["attributes"], constants.LEVEL_KEY: kept}}

    def _kept(self, array: CellArray, coords: IntArray) -> CellRead | None:
        """Cells that stay and share a stored object with ones that change."""
        if int(np.prod(array.block)) == 1 or not len(array.present):
            return None
        touched = {tuple(row) for row in array.locate(coords)[0].tolist()}
        written = {tuple(row) for row in coords.tolist()}
        beside = [
            number
            for number, (block, cell) in enumerate(
                zip(array.locate(array.present)[0].tolist(), array.present.tolist(), strict=True)
            )
            if tuple(block) in touched and tuple(cell) not in written
        ]
        if not beside:
            return None
        return read_cells(self.storage, [(array, array.present[beside])], decode=False)[0].check()

    def read_cells(self, plan: Mapping[str, list[ChunkCoord]]) -> dict[tuple[str, ChunkCoord], bytes]:
        """Cells of several arrays in at most two rounds; cells that are not present are left out."""
        wanted: list[tuple[CellArray, IntArray]] = []
        for path, coords in plan.items():
            array = self.array(path)
            asked = np.array(coords, dtype=np.int64).reshape(-1, array.ndim)
            wanted.append((array, asked[array.has(asked)]))
        found: dict[tuple[str, ChunkCoord], bytes] = {}
        for read in read_cells(self.storage, wanted):
            read.check()
            for coord, data in zip(read.coords.tolist(), read.cells.to_list(), strict=True):
                found[(read.array.path, tuple(coord))] = data
        return found

    def get_object(self, path: str) -> bytes | None:
        """A stored object."""
        found = self.storage.fetch([Get(path)])[Get(path)]
        return None if found is None else bytes(found)

    def key(self, coord: ChunkCoord) -> str:
        """The chunk key of a coordinate."""
        return format_keys(np.array([coord], dtype=np.int64))[0]
