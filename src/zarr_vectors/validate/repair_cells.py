"""Repairs of presence lists from what is stored, and of what fragments state from the manifests."""

from __future__ import annotations

from collections.abc import Collection, Iterable
from dataclasses import dataclass, field

import numpy as np

from zarr_vectors import constants
from zarr_vectors.core.documents import presence_list
from zarr_vectors.encoding.blobs import Blobs
from zarr_vectors.exceptions import MetadataError, StoreError
from zarr_vectors.metadata.array import ArrayDocument
from zarr_vectors.spatial.grid import parse_keys
from zarr_vectors.storage.cells import CellArray
from zarr_vectors.storage.storage import Storage
from zarr_vectors.typing import IntArray
from zarr_vectors.validate.object_rules import offsets_by_manifests, owners_by_manifests
from zarr_vectors.validate.problems import Problem
from zarr_vectors.validate.repairs import Changes
from zarr_vectors.validate.run import Examination
from zarr_vectors.validate.stored_rules import stored_names, unlisted_cells

__all__ = ["PresenceRepair", "repair_columns"]

_GIVEN_UP = (f"{constants.VERTEX_ATTRIBUTES}/", f"{constants.FRAGMENT_ATTRIBUTES}/", f"{constants.LINK_ATTRIBUTES}/")
_OWN = (constants.FRAGMENT_OWNER, constants.FRAGMENT_OFFSET)
_CELL_KINDS = frozenset(
    {
        "attribute_rows",
        "cell_corrupt",
        "cell_missing",
        "fragment_index",
        "fragment_index_missing",
        "fragment_rows",
        "fragments_tile",
        "link_attribute_rows",
        "link_chunk",
        "link_records",
        "link_row",
        "position_outside_chunk",
        "row_size",
    }
)
"""Errors that show that a cell does not belong to the others."""


@dataclass
class PresenceRepair:
    """Presence lists, made to name what is stored.

    Args:
        storage: The store.
        changes: What is going to be changed.
        added: Keys that have been added, by array.
    """

    storage: Storage
    changes: Changes
    added: dict[str, set[str]] = field(default_factory=dict)

    def take(self, problems: Collection[Problem]) -> None:
        """Repair what is told of presence lists."""
        rebuilt = {problem.path for problem in problems if problem.kind == "presence_list"}
        for path in sorted(rebuilt):
            self._rebuild(path)
        for problem in problems:
            if problem.cell is None or problem.path in rebuilt:
                continue
            name = problem.path.partition("/")[2]
            if problem.kind == "cell_unlisted":
                self.added.setdefault(problem.path, set()).add(problem.cell)
            elif problem.kind == "cell_missing" and name.startswith(_GIVEN_UP) and name not in _OWN:
                self._set(problem.path, self._keys(problem.path) - {problem.cell})
                text = "the values are gone; the presence list does not name the cell any more"
                self.changes.tell(problem.kind, problem.path, text, cell=problem.cell, action="given up")
        for path, keys in self.added.items():
            self._set(path, self._keys(path) | keys)

    def settle(self, problems: Collection[Problem]) -> None:
        """After an examination with the new lists: keep the cells that fit the others, and put the others aside."""
        wrong = {(problem.path, problem.cell) for problem in problems if problem.kind in _CELL_KINDS}
        for path, keys in self.added.items():
            bad = {key for key in keys if any((part, key) in wrong for part in self._beside(path))}
            for key in sorted(keys - bad):
                self.changes.tell("cell_unlisted", path, "the presence list names the cell", cell=key)
            if bad:
                self._set(path, self._keys(path) - bad)
                self._put_aside(path, bad)

    def _beside(self, path: str) -> Iterable[str]:
        """Arrays that show whether a cell of an array belongs to the others."""
        level, _, name = path.partition("/")
        yield path
        if name == constants.VERTICES:
            yield f"{level}/{constants.VERTEX_FRAGMENTS}"

    def _put_aside(self, path: str, keys: Iterable[str]) -> None:
        array = self._array(path)
        for key in sorted(keys):
            index, _ = array.locate(parse_keys([key], array.ndim))
            if array.document.is_sharded:
                text = "stored in a shard with others, where it stays; it does not fit the other arrays"
                self.changes.tell("cell_unlisted", path, text, cell=key, action="given up")
                continue
            target = self.changes.move(array.object_path(index[0].tolist()))
            self.changes.tell(
                "cell_unlisted", path, f"it does not fit the other arrays: {target}", cell=key, action="moved"
            )

    def _array(self, path: str) -> CellArray:
        return CellArray(path, ArrayDocument.parse(self.changes.nodes.documents[path], where=path), self.storage.url)

    def _keys(self, path: str) -> set[str]:
        return set(self.changes.nodes.documents[path]["attributes"].get("nonempty_chunks") or ())

    def _set(self, path: str, keys: Iterable[str]) -> None:
        self.changes.edit(path)["nonempty_chunks"] = sorted(keys)

    def _rebuild(self, path: str) -> None:
        """Make a presence list from what is stored, where that can be listed."""
        try:
            bare = self._array(path)
            bare = CellArray(path, bare.document.with_attributes(nonempty_chunks=[]), bare.store)
            cells, _ = unlisted_cells(self.storage, bare, bare, stored_names(self.storage, path))
        except (MetadataError, StoreError):
            # Both are told of: a document whose grid cannot be known, and a store that cannot list.
            return
        self.changes.edit(path)["nonempty_chunks"] = presence_list(cells)
        self.changes.tell("presence_list", path, f"the presence list names the {len(cells)} cells that are stored")


def repair_columns(found: Examination, changes: Changes) -> None:
    """Write anew what fragments state about their owners, and places along lines, where manifests say otherwise."""
    kinds = {constants.FRAGMENT_OWNER: "fragment_owner", constants.FRAGMENT_OFFSET: "fragment_offset"}
    for number, objects in found.objects.items():
        cells = found.cells[number]
        # What fragments state may be right where the index is not.
        doubted = found.findings.errors_at(f"{number}/{constants.OBJECT_INDEX}", but=("index_count",))
        if not objects.complete or not cells.is_whole or objects.ids is None or doubted:
            continue
        for name, kind in kinds.items():
            path = f"{number}/{name}"
            wrong = [
                problem
                for problem in found.findings.problems
                if problem.path == path and problem.kind in (kind, "attribute_rows", "cell_missing", "cell_corrupt")
            ]
            if not wrong or name not in cells.level.cells:
                continue
            true = owners_by_manifests if name == constants.FRAGMENT_OWNER else offsets_by_manifests
            array = cells.level.cells[name]
            filled = cells.table.per_cell > 0
            _write(array, cells.coords[filled], cells.table.per_cell[filled], true(cells, objects), changes)
            for problem in wrong:
                changes.tell(kind, path, "written anew from the manifests", cell=problem.cell)


def _write(array: CellArray, coords: IntArray, counts: IntArray, values: IntArray, changes: Changes) -> None:
    dtype = np.dtype(array.document.attributes["dtype"])
    blobs = Blobs.packed(values.astype(dtype).view(np.uint8), counts * dtype.itemsize)
    changes.puts |= dict(array.encode(coords, blobs))
    changes.edit(array.path)["nonempty_chunks"] = presence_list(coords)
