"""Merging two states of a store that come from a common one: their changes, as one batch on top of ours.

Cells are replayed as they are stored; documents and tables are merged by what they mean. Rows of a chunk, its
fragments, its attributes and the links to it are bound to each other, so that a chunk whose rows one side has changed
must not be touched by the other side at all.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field
from functools import cached_property
from itertools import chain

import numpy as np

from zarr_vectors import constants
from zarr_vectors.core.merge_cells import CellMerge, changed_cells, merge_cells, same_layout
from zarr_vectors.core.merge_checks import Documents, Side, check_sides
from zarr_vectors.core.merge_documents import conflict, merge_documents
from zarr_vectors.core.merge_tables import Tables, is_object_table, merge_object_tables, read_object_tables
from zarr_vectors.core.state import LevelState, open_level, open_root
from zarr_vectors.encoding.blobs import Buffer
from zarr_vectors.metadata.array import ArrayDocument
from zarr_vectors.metadata.base import dump_json
from zarr_vectors.storage.backend import Get
from zarr_vectors.storage.cells import CellArray
from zarr_vectors.storage.storage import ROOT, Batch, Put, Storage
from zarr_vectors.typing import JsonObject

__all__ = ["Side", "merge_changes"]


def merge_changes(base: Storage, ours: Side, theirs: Side) -> Batch:
    """A batch that brings their changes into our state.

    Raises:
        ConcurrentEditError: Something has changed on both sides that cannot be put together.
    """
    return _Merge(base, ours, theirs).batch()


@dataclass
class _Merge:
    base: Storage
    ours: Side
    theirs: Side
    cells: CellMerge = field(default_factory=CellMerge)
    puts: list[Iterator[Put]] = field(default_factory=list)

    @cached_property
    def _documents(self) -> Documents:
        """Documents of all nodes that either side has changed: before, ours, theirs."""
        paths = sorted(self.ours.changes.paths | self.theirs.changes.paths)
        keys = [f"{path}/{ROOT}" if path else ROOT for path in paths]
        found = [storage.read_documents(keys) for storage in (self.base, self.ours.storage, self.theirs.storage)]
        return {path: (found[0][key], found[1][key], found[2][key]) for path, key in zip(paths, keys, strict=True)}

    def batch(self) -> Batch:
        self._compare()
        check_sides(self.ours, self.theirs, self._documents)
        tables = self._levels_with_tables()
        for path in sorted(self.theirs.changes.paths):
            level, _, name = path.partition("/")
            if path and not (level in tables and is_object_table(name)):
                self._merge_node(path)
        for level in sorted(tables):
            self.puts.append(self._merged_tables(level))
        root = self._root()
        puts = chain(*self.puts, *self.cells.puts)
        return Batch(puts=puts, root=lambda: root, copies=self.cells.copies, deletes=self.cells.deletes)

    def _root(self) -> JsonObject:
        base, ours, theirs = self._documents.get("", (None, None, None))
        if ours is None or theirs is None:
            root = self.ours.storage.read_root()[0]
            assert root is not None
            return root
        return merge_documents(base, ours, theirs, path=ROOT)

    # What each side has done

    def _compare(self) -> None:
        for side, at in ((self.ours, 1), (self.theirs, 2)):
            for path in side.changes.paths:
                documents = self._documents[path]
                old, new = _cell_array(path, documents[0], self.base), _cell_array(path, documents[at], side.storage)
                if old is None and new is None:
                    continue
                remade = path in side.changes.remade
                chunks = None if remade else side.changes.chunks.get(path)
                if chunks is None and not remade:
                    one = new or old
                    assert one is not None
                    chunks = np.zeros((0, one.ndim), dtype=np.int64)
                side.cells[path] = changed_cells(self.base, side.storage, old, new, chunks)

    # Nodes

    def _merge_node(self, path: str) -> None:
        base, ours, theirs = self._documents[path]
        if path not in self.ours.changes.paths or self._is_as_before(self.ours, path, ours):
            self._take(path, ours, theirs)
        elif self._is_as_before(self.theirs, path, theirs):
            return
        elif ours is None or theirs is None:
            if ours is not theirs:
                raise conflict("a group or array was removed on one side and changed on the other", array=path)
        elif path in self.ours.cells and path in self.theirs.cells:
            old = _cell_array(path, base, self.base)
            found = merge_cells(self.theirs.storage, old, self.ours.cells[path], self.theirs.cells[path])
            self.cells.puts += found.puts
            self.cells.copies += found.copies
            self.cells.deletes += found.deletes
        elif "group" in (ours.get("node_type"), theirs.get("node_type")):
            merged = merge_documents(base, ours, theirs, path=f"{path}/{ROOT}")
            self.puts.append(iter([(f"{path}/{ROOT}", dump_json(merged))]))
        elif _content(self.ours.storage, path, ours) != _content(self.theirs.storage, path, theirs):
            raise conflict("a table has changed on both sides", array=path)

    def _take(self, path: str, ours: JsonObject | None, theirs: JsonObject | None) -> None:
        """Their node as it is, in place of ours, which is as it was."""
        mine = [] if ours is None else _below(self.ours.storage, path, ours)
        other = [] if theirs is None else _below(self.theirs.storage, path, theirs)
        change = self.theirs.cells.get(path)
        array = None if change is None else change.array
        old = _cell_array(path, ours, self.ours.storage)
        if change and array and old and array.grid == old.grid and same_layout(array, old):
            changed = {array.object_path(row) for row in array.locate(change.objects)[0].tolist()}
            other = [key for key in other if key in changed or key.endswith(f"/{ROOT}")]
            mine = [key for key in mine if key in changed]
        self.cells.deletes += [key for key in mine if key not in set(other)]
        self.puts.append(_copied(self.theirs.storage, other))

    def _is_as_before(self, side: Side, path: str, document: JsonObject | None) -> bool:
        """Whether a node that may have changed has not."""
        before = self._documents[path][0]
        if document is None or before is None or document != before:
            return document is before
        if path in side.cells:
            return not len(side.cells[path].cells)
        return _content(side.storage, path, document) == _content(self.base, path, before)

    # Tables

    def _levels_with_tables(self) -> set[str]:
        """Levels whose tables of objects one side has changed, and the other too, or rows that they may refer to."""
        tables, concerned = [], []
        for side in (self.ours, self.theirs):
            split = [path.partition("/") for path in side.changes.paths]
            tables.append({level for level, _, name in split if level.isdecimal() and is_object_table(name)})
            concerned.append(tables[-1] | {level for level in side.levels if side.rows_changed(level) is not None})
        return (tables[0] & concerned[1]) | (concerned[0] & tables[1])

    def _merged_tables(self, number: str) -> Iterator[Put]:
        states: list[tuple[LevelState | None, Tables]] = []
        for storage in (self.base, self.ours.storage, self.theirs.storage):
            level = _open(storage, int(number))
            states.append((level, read_object_tables(storage, level)))
        level = states[1][0]
        if level is None or states[2][0] is None:
            raise conflict("a level was removed on one side and changed on the other", array=number)
        none = np.zeros((0, level.vertices.ndim), dtype=np.int64)
        touched = [side.rows_changed(number) for side in (self.ours, self.theirs)]
        mine, other = (none if rows is None else rows for rows in touched)
        yield from merge_object_tables(level, states[0][1], states[1][1], states[2][1], touched=(mine, other))


def _cell_array(path: str, document: JsonObject | None, storage: Storage) -> CellArray | None:
    if document is None or constants.NONEMPTY_CHUNKS not in (document.get("attributes") or {}):
        return None
    return CellArray(path, ArrayDocument.parse(document, where=path), storage.url)


def _below(storage: Storage, path: str, document: JsonObject) -> list[str]:
    """The stored objects of a node itself: its document, and its chunks where it is an array."""
    if document.get("node_type") != "array":
        return [f"{path}/{ROOT}"]
    return [key for key in storage.list_keys(path, recursive=True) if key.startswith((f"{path}/c/", f"{path}/{ROOT}"))]


def _content(storage: Storage, path: str, document: JsonObject | None) -> dict[Get, Buffer | None]:
    return {} if document is None else storage.fetch(Get(key) for key in _below(storage, path, document))


def _copied(storage: Storage, keys: list[str]) -> Iterator[Put]:
    for start in range(0, len(keys), 64):
        part = keys[start : start + 64]
        found = storage.fetch(Get(key) for key in part)
        for key in part:
            data = found[Get(key)]
            if data is not None:
                yield key, data


def _open(storage: Storage, number: int) -> LevelState | None:
    root, documents = open_root(storage, [f"{number}/{ROOT}"])
    document = documents[f"{number}/{ROOT}"]
    return None if document is None else open_level(storage, root, number, document)
