"""Where the vertices are stored that operations name, and a draft of no more than the chunks around them."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace
from functools import cached_property

import numpy as np

from zarr_vectors import constants
from zarr_vectors.core.cell_index import attribute_facts
from zarr_vectors.edit.draft import NONE, Draft, find_numbers, keys_of, row_id_after
from zarr_vectors.edit.operations import AddRows, Operation, Remove, Update
from zarr_vectors.edit.structure import Merge, Split
from zarr_vectors.edit.which import Opened, Which
from zarr_vectors.query.geometry import read_shape
from zarr_vectors.query.objects import refs_of
from zarr_vectors.query.rows import read_rows, wanted_refs
from zarr_vectors.query.selection import Selection
from zarr_vectors.query.tables import LevelTables, read_level_tables
from zarr_vectors.query.values import RowFinder, distinct_rows, find_rows
from zarr_vectors.storage.cells import read_cells
from zarr_vectors.types.cell_facts import still_true
from zarr_vectors.types.check import tables_of
from zarr_vectors.types.value import plan_for
from zarr_vectors.typing import IntArray

__all__ = ["ROWS_PER_CELL", "Scope", "find_scope"]

ROWS_PER_CELL = 2**32
"""Keys of vertices count so many for each chunk."""
_OBJECTS = 2**18
"""Whose manifests are looked at together."""
_LOW, _HIGH, _ = attribute_facts(f"{constants.VERTEX_ATTRIBUTES}/{constants.ROW_ID}")


@dataclass(frozen=True, eq=False)
class Scope:
    """What operations need to know of a level.

    Args:
        opened: The store.
        operations: What is to be done; selections are resolved to where the vertices are stored.
        tables: Of objects and groups; None where the level has no objects.
        cells: ``(n,)`` numbers, among those that hold vertices, of the chunks with vertices that are named.
        named: Where the vertices are stored that are named; None for all.
        objects: ``(o,)`` ids of the objects of which all vertices were looked up.
        keys: ``(m,)`` where their vertices are stored, by the manifests.
        born: ``(m, 2)`` object and place of each of these.
    """

    opened: Opened
    operations: Sequence[Operation]
    tables: LevelTables | None
    cells: IntArray
    named: IntArray | None
    objects: IntArray
    keys: IntArray
    born: IntArray

    @property
    def chunks(self) -> IntArray:
        """``(n, K)`` chunks with vertices that are named."""
        chunks: IntArray = self.opened.level.vertices.present[self.cells]
        return chunks

    def agrees(self, keys: IntArray, owners: IntArray | None) -> bool:
        """Whether all vertices of some chunks state the same of the objects looked up as the manifests do.

        Args:
            keys: ``(n,)`` where the vertices are stored.
            owners: ``(n,)`` the object that each states; None where they state nothing.
        """
        if owners is None or not len(self.objects):
            return True
        at = find_numbers(keys, np.argsort(keys, kind="stable"), self.keys)
        there = at >= 0
        named = np.full(len(keys), constants.OWNER_NONE, dtype=np.int64)
        named[at[there]] = self.born[there, 0]
        mine = np.isin(owners, self.objects)
        mine[at[there]] = True
        return np.array_equal(named[mine], owners[mine])

    def is_shared(self) -> bool:
        """Whether objects that are named have a fragment that another one names too, in which vertices have two owners.

        Raises:
            CorruptionError: A manifest cannot be read.
        """
        if self.tables is None or not len(self.objects):
            return False
        opened, ids, finder = self.opened, self.tables.ids, RowFinder(self.chunks)
        parts = [np.zeros((0, opened.level.vertices.ndim + 1), dtype=np.int64)]
        for start in range(0, len(ids), _OBJECTS):
            some = ids[start : start + _OBJECTS]
            refs = refs_of(opened.storage, opened.level, some, np.zeros(len(some), dtype=np.bool_))
            refs = refs.take(finder.find(refs.chunks) >= 0)
            parts.append(np.column_stack([refs.chunks, refs.fragments]))
        named = np.concatenate(parts)
        return len(distinct_rows(named)) < len(named)

    def draft(self, chunks: IntArray, names: Iterable[str] | None = None) -> Draft | None:
        """All vertices of some chunks, in which the operations can be done.

        None where objects share vertices, or those that are named state something else than their manifests.

        Args:
            chunks: ``(n, K)`` chunks that hold vertices, those of the scope among them.
            names: Attributes that are needed; None for all.
        """
        level, tables = self.opened.level, self.tables
        wanted = None if names is None else tuple(names)
        rows = read_rows(self.opened.storage, level, Selection(chunks=chunks, places=True, attributes=wanted))
        row_ids = rows.row_ids
        keys = keys_of(rows.places)
        if len(np.unique(keys)) != len(keys) or not self.agrees(keys, rows.object_ids):
            return None
        draft = Draft(
            kind=self.opened.kind,
            positions=rows.positions,
            columns=rows.attributes,
            owners=rows.object_ids,
            along=np.full(len(keys), -1, dtype=np.int64),
            born=np.full((len(keys), 2), -1, dtype=np.int64),
            keys=keys,
            row_ids=row_ids,
            per_fragment=set(level.fragment_columns),
            next_row_id=row_id_after(level, row_ids),
            read_keys=keys,
        )
        at = draft.rows_with_keys(self.keys)
        draft.born[at[at >= 0]] = self.born[at >= 0]
        draft.along[at[at >= 0]] = self.born[at >= 0, 1]
        if tables is not None:
            draft.ids = draft.read_ids = tables.ids
            draft.object_columns = dict(tables.attributes)
            draft.groups = dict(enumerate(tables.groups.members))
            draft.group_columns = dict(tables.group_attributes)
        return draft


def find_scope(opened: Opened, operations: Sequence[Operation]) -> Scope | None:
    """Look up what operations name; None where it takes the whole level to tell.

    Raises:
        CorruptionError: A cell is gone or corrupt.
    """
    finder = _Finder(opened)
    found = [finder.resolved(operation) for operation in operations]
    if any(np.isin(finder.extended, finder.named)) or finder.repeated or finder.emptied:
        # What the places are of vertices that come depends on those that the object has, loaded or not.
        return None
    keys = np.concatenate([NONE, *finder.keys])
    if finder.everything:
        cells = np.arange(len(opened.level.vertices.present))
    else:
        cells = np.unique(keys // ROWS_PER_CELL)
    named = None if finder.everything else keys
    return Scope(opened, found, finder.tables, cells, named, *finder.born())


class _Finder:
    """Looks up what operations name.

    Args:
        opened: The store.
        repeated: Whether an object, or several of one operation, have a vertex twice.
        emptied: Whether fragments state an object that has none by its manifest.
    """

    def __init__(self, opened: Opened) -> None:
        self.opened = opened
        self.keys: list[IntArray] = []
        self.everything = False
        self.extended, self.named = NONE, NONE
        self.repeated, self.emptied = False, False
        self._objects: list[tuple[IntArray, IntArray, IntArray]] = []
        self._ids: list[IntArray] = []

    @cached_property
    def tables(self) -> LevelTables | None:
        """Of objects and groups."""
        opened = self.opened
        return read_level_tables(opened.storage, opened.level) if opened.level.has_objects else None

    def resolved(self, operation: Operation) -> Operation:
        """The operation, once it is known which vertices it needs."""
        if isinstance(operation, Remove) and operation.whole:
            ids = operation.objects(self.opened)
            self._load(ids)
            return replace(operation, which=Which(objects=ids))
        if isinstance(operation, (Update, Remove)):
            return replace(operation, which=self._which(operation.which))
        if isinstance(operation, Split):
            self._name(np.array([operation.source]))
        elif isinstance(operation, Merge):
            self._name(operation.ids)
        elif isinstance(operation, AddRows) and self.tables is not None:
            ids = tables_of(operation.value).ids
            ids = ids[np.isin(ids, self.tables.ids)]
            self.extended = np.concatenate([self.extended, ids])
            self.emptied |= bool(len(ids)) and self._are_emptied(ids)
        return operation

    def born(self) -> tuple[IntArray, IntArray, IntArray]:
        """Objects that were looked up, where their vertices are stored, and objects and places of these."""
        keys = np.concatenate([NONE, *(keys for keys, _, _ in self._objects)])
        owners = np.concatenate([NONE, *(owners for _, owners, _ in self._objects)])
        places = np.concatenate([NONE, *(places for _, _, places in self._objects)])
        return np.unique(np.concatenate([NONE, *self._ids])), keys, np.stack([owners, places], axis=1)

    def _are_emptied(self, ids: IntArray) -> bool:
        """Whether one of these objects has vertices that state it, and none by its manifest."""
        refs = wanted_refs(self.opened.storage, self.opened.level, Selection(object_ids=ids, lenient=True))
        return refs is not None and self._are_stated(ids[~np.isin(ids, refs.ids)])

    def _are_stated(self, ids: IntArray) -> bool:
        """Whether any fragment of the level states to be of one of these objects, which have none by their manifests.

        Other writers leave such vertices behind where they remove an object.
        """
        array = self.opened.level.cells.get(constants.FRAGMENT_OWNER)
        if array is None or not len(ids):
            return False
        (read,) = read_cells(self.opened.storage, [(array, array.present)])
        return bool(np.isin(np.frombuffer(read.check().cells.joined(), dtype="<i8"), ids).any())

    def _which(self, which: Which) -> Which:
        if which.vertices is not None:
            self._address(which.vertices)
        elif which.row_ids is not None:
            self.keys.append(self._numbered(which.row_ids))
        elif which.objects is not None:
            self._name(which.objects)
        elif which.selection is not None:
            which = Which(keys=self.opened.selected(which.selection, which.mode))
            assert which.keys is not None
            self.keys.append(which.keys)
        else:
            self.everything = True
        return which

    def _name(self, ids: IntArray) -> None:
        """All vertices of objects are needed, in their order."""
        self.named = np.concatenate([self.named, ids])
        self._load(ids)

    def _load(self, ids: IntArray) -> None:
        """All vertices of objects are needed."""
        keys, owners, places = self._places(ids)
        self._objects.append((keys, owners, places))
        self.keys.append(keys)

    def _address(self, addresses: IntArray) -> None:
        """Some vertices of objects are needed."""
        self.named = np.concatenate([self.named, addresses[:, 0]])
        keys, owners, places = self._places(addresses[:, 0])
        self._objects.append((keys, owners, places))
        # Objects come one after another, in the order of the ids.
        at = np.searchsorted(owners, addresses[:, 0]) + addresses[:, 1]
        known = (at >= 0) & (at < len(owners)) & (addresses[:, 1] >= 0)
        known[known] = owners[at[known]] == addresses[known, 0]
        self.keys.append(keys[at[known]])

    def _places(self, ids: IntArray) -> tuple[IntArray, IntArray, IntArray]:
        """Keys, objects and places of the vertices of objects; of those that are stored."""
        opened, level = self.opened, self.opened.level
        wanted = Selection(object_ids=np.unique(ids), attributes=(), places=True, lenient=True)
        if opened.kind.connects == "sequence":
            shape = read_shape(opened.storage, level, wanted, plan_for(opened.root, opened.kind, None, ()))
            rows, owners = shape.rows, shape.owners
        else:
            rows = read_rows(opened.storage, level, wanted)
            owners = rows.object_ids
        owners, keys = NONE if owners is None else owners, keys_of(rows.places)
        self._ids.append(np.unique(ids))
        self.repeated |= len(np.unique(keys)) != len(keys)
        self.emptied |= self._are_stated(ids[~np.isin(ids, owners)])
        return keys, owners, np.arange(len(owners)) - np.searchsorted(owners, owners)

    def _numbered(self, row_ids: IntArray) -> IntArray:
        """Keys of the vertices with these row ids; of those that are stored."""
        opened, wanted = self.opened, np.unique(row_ids)
        near = Selection(chunks=self._cells_with(wanted), owners=False, places=True, attributes=(constants.ROW_ID,))
        rows = read_rows(opened.storage, opened.level, near)
        assert rows.row_ids is not None
        there = find_numbers(wanted, np.arange(len(wanted)), rows.row_ids) >= 0
        return keys_of(rows.places)[there]

    def _cells_with(self, row_ids: IntArray) -> IntArray:
        """``(n, K)`` chunks that may hold some of these row ids, as far as the level's index tells."""
        present = self.opened.level.vertices.present
        table = still_true(self.opened.storage, self.opened.level)
        if table is None or not {_LOW, _HIGH} <= table.facts.keys():
            return present
        low, high = (table.facts[fact] for fact in (_LOW, _HIGH))
        least = np.searchsorted(row_ids, np.where(np.isnan(low), -np.inf, low))
        most = np.searchsorted(row_ids, np.where(np.isnan(high), np.inf, high), side="right")
        without = table.coords[most <= least]
        return present[find_rows(without, present) < 0] if len(without) else present
