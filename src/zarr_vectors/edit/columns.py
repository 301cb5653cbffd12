"""Attributes of vertices that are made, dropped or renamed, in levels of every kind, without any other array.

An array that only gets another name is copied as it is stored; values of a new one are lined up with where the vertices
lie, for which their positions are read.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field

import numpy as np

from zarr_vectors import constants
from zarr_vectors.core.cell_index import CellTable, attribute_facts
from zarr_vectors.core.documents import group_document
from zarr_vectors.core.state import LevelState
from zarr_vectors.edit.level_change import LevelChange
from zarr_vectors.edit.object_columns import ObjectColumns
from zarr_vectors.edit.operations import Operation, SetObjectAttribute
from zarr_vectors.edit.scope import find_scope
from zarr_vectors.edit.structure import AddAttribute, Drop, Rename
from zarr_vectors.edit.which import Opened
from zarr_vectors.geometry import take_column
from zarr_vectors.metadata.base import dump_json
from zarr_vectors.query.places import Places, vertex_places
from zarr_vectors.storage.cells import CellArray
from zarr_vectors.storage.storage import Put
from zarr_vectors.types.attributes import Additions, stored_objects, vertex_attribute
from zarr_vectors.types.cell_facts import CellFacts, can_index, facts_of_level
from zarr_vectors.types.table import column_spec

__all__ = ["write_columns"]


def write_columns(opened: Opened, operations: Sequence[Operation]) -> bool:
    """Do all operations by writing the arrays of attributes alone, where that is possible.

    Returns:
        Whether it is done; nothing has been written otherwise.

    Raises:
        InputError: An operation cannot be done; nothing is written.
    """
    if not all(isinstance(one, (AddAttribute, Drop, Rename, SetObjectAttribute)) for one in operations):
        return False
    names = _Names.of(opened.level)
    of_objects: list[Operation] = []
    for one in operations:
        if isinstance(one, (AddAttribute, Drop, Rename)) and one.of == "vertices":
            names.apply(one)
        else:
            of_objects.append(one)
    places = None
    if names.made:
        places = vertex_places(opened.storage, opened.level, opened.kind.connects)
        lined_up = [one for one in names.made.values() if len(one.column) != 1]
        if lined_up and places.picks is not None and len(np.unique(places.picks)) < len(places.picks):
            # Objects share vertices.
            return False
        for operation in lined_up:
            operation.check_length(len(places), "vertices")
    change = _change(opened, of_objects)
    if change is None:
        return False
    names.put_into(change, places)
    change.commit()
    return True


def _change(opened: Opened, of_objects: Sequence[Operation]) -> LevelChange | None:
    """A change of the level that does these operations, and nothing to its vertices; None where that is not known."""
    scope = find_scope(opened, of_objects)
    draft = None if scope is None else scope.draft(scope.chunks, ())
    if scope is None or draft is None:
        return None
    for operation in scope.operations:
        operation.apply(draft, opened)
    level = opened.level
    objects = None if scope.tables is None else ObjectColumns(level, scope.tables, draft)
    facts = facts_of_level(opened.storage, level) if can_index(opened.storage) else None
    return LevelChange(opened, objects, facts, dict(level.cells))


@dataclass(eq=False)
class _Names:
    """What the attributes of vertices are called.

    Args:
        level: The level as it is.
        stored: Name that each attribute had, by the name that it has.
        made: What makes those that there were not, by name.
    """

    level: LevelState
    stored: dict[str, str]
    made: dict[str, AddAttribute] = field(default_factory=dict)

    @classmethod
    def of(cls, level: LevelState) -> _Names:
        """As they are."""
        return cls(level, {name: name for name in level.row_columns})

    def apply(self, operation: AddAttribute | Drop | Rename) -> None:
        """Do one operation."""
        if isinstance(operation, AddAttribute):
            self.made[operation.name] = operation
        elif isinstance(operation, Drop):
            for known in (self.stored, self.made):
                known.pop(operation.name, None)
        elif operation.old in self.stored:
            self.stored[operation.new] = self.stored.pop(operation.old)
        else:
            self.made[operation.new] = self.made.pop(operation.old)

    def _paths(self) -> dict[str, str]:
        """Old name below the level of each array that has been renamed, by the new one."""
        paths = {new: self.level.column_path(old) for new, old in self.stored.items() if new != old}
        return {f"{path.rpartition('/')[0]}/{new}": path for new, path in paths.items()}

    def put_into(self, change: LevelChange, places: Places | None) -> None:
        """Make a change of the level do all of it."""
        level, moved = self.level, self._paths()
        gone = {level.column_path(name) for name in level.row_columns.keys() - set(self.stored.values())}
        for path in gone | set(moved.values()):
            array = change.arrays.pop(path)
            change.deletes.append([f"{array.path}/zarr.json", *stored_objects(array)])
        for path, old in moved.items():
            array, new = level.cells[old], _called(level.cells[old], f"{level.number}/{path}")
            change.arrays[path] = new
            change.copies += zip(stored_objects(array), stored_objects(new), strict=True)
            change.puts.append([_document(new)])
        if change.facts is not None:
            _rename_facts(change.facts, moved, gone)
        if places is not None:
            change.puts.append(self._made_puts(change, places))
        families = (constants.VERTEX_ATTRIBUTES, constants.FRAGMENT_ATTRIBUTES)
        before, now = ({name.partition("/")[0] for name in names} for names in (level.cells, change.arrays))
        for family in families:
            path = f"{level.number}/{family}/zarr.json"
            if family in now - before:
                change.puts.append([(path, dump_json(group_document()))])
            elif family in before - now:
                change.deletes.append([path])

    def _made_puts(self, change: LevelChange, places: Places) -> Iterator[Put]:
        """The arrays of attributes that there were not."""
        added = Additions(facts=change.facts)
        for name, operation in self.made.items():
            column = operation.column
            if len(column) == 1 != len(places):
                column = take_column(column, np.zeros(len(places), dtype=np.int64))
            vertex_attribute(self.level, name, column, column_spec(column), places, added)
        change.arrays |= added.arrays
        return added.objects()


def _called(array: CellArray, path: str) -> CellArray:
    """The array under another name."""
    document = array.document.with_attributes(name=path.rpartition("/")[2])
    return CellArray(path, document, array.store)


def _document(array: CellArray) -> Put:
    return f"{array.path}/zarr.json", dump_json(array.document.to_json())


def _rename_facts(facts: CellFacts, moved: Mapping[str, str], gone: set[str]) -> None:
    """Let what is known of renamed attributes be known of them under their new names, and nothing of those gone.

    Args:
        moved: Old name of each array by the new one.
        gone: Names of arrays that are no more.
    """
    lost = {*gone, *moved.values()}
    kept = {path: spec for path, spec in facts.columns.items() if path not in lost}
    facts.columns = kept | {new: facts.columns[old] for new, old in moved.items() if old in facts.columns}
    if facts.old is None:
        return
    known = facts.old.facts
    told = {name: values for name, values in known.items() if name.rpartition("/")[0] not in lost}
    for new, old in moved.items():
        for to, of in zip(attribute_facts(new), attribute_facts(old), strict=True):
            if of in known:
                told[to] = known[of]
    facts.old = CellTable(facts.old.coords, told)
