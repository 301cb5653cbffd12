"""Changes of a level that exists: attributes for what is there, and more vertices, published as one commit."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field
from functools import cached_property

import numpy as np

from zarr_vectors import constants
from zarr_vectors.core.documents import ColumnSpec, group_document
from zarr_vectors.core.headers import level_document
from zarr_vectors.core.state import LevelState, RootState, open_level, open_root
from zarr_vectors.encoding.fragments import FragmentTable
from zarr_vectors.exceptions import ConcurrentEditError, ConventionError, InputError
from zarr_vectors.geometry import Column, Geometry, take_column
from zarr_vectors.metadata.base import dump_json
from zarr_vectors.query.fragments import read_fragments
from zarr_vectors.query.places import LinkPlaces, Places, link_places, vertex_places
from zarr_vectors.storage.commit import Stamps
from zarr_vectors.storage.pending import Pending
from zarr_vectors.storage.storage import Batch, Put, Storage
from zarr_vectors.types.attributes import (
    Additions,
    check_new_name,
    fragment_attribute,
    link_attribute,
    object_attribute,
    vertex_attribute,
)
from zarr_vectors.types.cell_facts import can_index, facts_of_level
from zarr_vectors.types.kinds import Kind
from zarr_vectors.types.options import WriteOptions
from zarr_vectors.types.stale import stale_puts
from zarr_vectors.types.table import column_spec
from zarr_vectors.types.tree_edges import tree_edges
from zarr_vectors.types.value import plan_for
from zarr_vectors.types.writer import write_value
from zarr_vectors.typing import JsonObject

__all__ = ["Changes", "amend", "count_links", "count_vertices"]

_ORDER_ARRAYS = (
    constants.VERTICES,
    constants.VERTEX_FRAGMENTS,
    constants.FRAGMENT_OWNER,
    constants.FRAGMENT_OFFSET,
)
"""What decides in which order vertices are read."""


@dataclass
class Changes:
    """What waits to be written to a level.

    Args:
        vertices: Attributes of the vertices that are there, in the order of a read of everything.
        links: Attributes of the links that are there, in that order.
        objects: Attributes of the objects that are there, in the order of the object index.
        specs: Stored types of attributes in ``vertices`` and ``links``, wide enough for those of ``appended`` too.
        appended: More vertices, with the attributes that the level has and those in ``vertices``.
        by_row_id: Names in ``vertices`` whose values are given by row id instead.
        overwrite: Whether attributes of the level may be replaced.
    """

    vertices: dict[str, Column] = field(default_factory=dict)
    links: dict[str, Column] = field(default_factory=dict)
    objects: dict[str, Column] = field(default_factory=dict)
    specs: dict[tuple[str, str], ColumnSpec] = field(default_factory=dict)
    appended: Geometry | None = None
    by_row_id: set[str] = field(default_factory=set)
    overwrite: bool = False

    @property
    def is_empty(self) -> bool:
        """Whether there is nothing to write."""
        return self.appended is None and not self.has_attributes

    @property
    def has_attributes(self) -> bool:
        """Whether anything is said of what is there."""
        return bool(self.vertices or self.links or self.objects)


def count_vertices(storage: Storage, level: LevelState, kind: Kind) -> int:
    """Vertices that a read of everything brings; read where the level's own count need not be true."""
    told = level.keeps_count and (kind.connects != "sequence" or level.tells_order)
    return level.metadata.vertex_count if told else len(vertex_places(storage, level, kind.connects))


def count_links(storage: Storage, root: RootState, level: LevelState, kind: Kind) -> int:
    """Links that a read of everything brings."""
    return len(link_places(storage, level, plan_for(root, kind, None, ())))


def amend(storage: Storage, opened: LevelState, kind: Kind, changes: Changes, options: WriteOptions) -> None:
    """Make all changes, or none.

    Args:
        opened: The level as it was when the values were lined up with it.
        options: How to append.

    Raises:
        ConcurrentEditError: Another writer has changed what the values were lined up with.
        InputError, ConventionError: Something cannot be written; nothing has been.
    """
    number = opened.number
    with storage.lock():
        root, documents = open_root(storage, [f"{number}/zarr.json"])
        level = open_level(storage, root, number, documents[f"{number}/zarr.json"])
        if not changes.has_attributes:
            write_value(storage, changes.appended, options)
            return
        _check_same_order(opened, level, changes)
        work = _Amendment(storage, root, level, kind, changes)
        if changes.appended is None and can_index(storage):
            work.added.facts = facts_of_level(storage, level)
        work.line_up()
        if changes.appended is None:
            gone, last = work.added.dropped, None if work.added.facts is None else work.index_puts
            deletes = (path for path in gone)
            storage.commit(Batch(puts=work.puts(), root=lambda: root.document, deletes=deletes, last=last))
        else:
            waiting = dict(work.puts())
            write_value(Pending.on(storage, waiting, work.added.dropped), changes.appended, options)


def _check_same_order(opened: LevelState, level: LevelState, changes: Changes) -> None:
    """Refuse values for a level that has changed since."""

    def facts(state: LevelState) -> JsonObject:
        said: JsonObject = {"count": state.metadata.vertex_count}
        said |= {name: state.cells[name].document for name in _ORDER_ARRAYS if name in state.cells}
        if changes.objects:
            said["objects"] = state.object_index
        if changes.links:
            said["links"] = {n: d for n, d in state.link_documents.items() if n.startswith(constants.LINKS + "/")}
        return said

    if facts(opened) != facts(level):
        raise ConcurrentEditError(
            "another writer has changed the level since it was opened, so that values would go to the wrong rows",
            store=level.store,
            array=str(level.number),
            hint="open the store again and line the values up with what is there now",
        )


@dataclass
class _Amendment:
    """Attributes on their way to a level."""

    storage: Storage
    root: RootState
    level: LevelState
    kind: Kind
    changes: Changes
    added: Additions = field(default_factory=Additions)
    places: Places | None = None

    def line_up(self) -> None:
        """Find where all values go, and check them; nothing is written."""
        level, changes = self.level, self.changes
        self._check_names()
        if changes.links:
            self._line_up_links()
        if changes.vertices or (not self._is_declared and level.metadata.fragments_tile):
            self.places = self._vertex_places()
        for name, column in changes.vertices.items():
            assert self.places is not None
            given = self._by_row_id(name, column, self.places) if name in changes.by_row_id else column
            _check_length("attribute", name, given, len(self.places), level)
            spec = changes.specs["vertices", name]
            if name in level.fragment_columns:
                fragment_attribute(level, name, given, spec, self.places, self._fragments, self.added)
            else:
                vertex_attribute(level, name, given, spec, self.places, self.added)
        for name, column in changes.objects.items():
            _check_length("object attribute", name, column, level.object_slots, level)
            object_attribute(level, name, column, self.added)

    @property
    def _is_declared(self) -> bool:
        return constants.ARRAYS_KEY in (self.level.document.get("attributes") or {})

    def _check_names(self) -> None:
        level, overwrite = self.level, self.changes.overwrite
        links = {} if level.links is None else level.links.columns
        for what, names, known in (
            ("vertex attribute", self.changes.vertices, level.vertex_columns),
            ("link attribute", self.changes.links, links),
            ("object attribute", self.changes.objects, level.object_columns),
        ):
            for name in names:
                check_new_name(level, what, name, known, overwrite=overwrite)

    def _vertex_places(self) -> Places:
        names = [constants.ROW_ID] if self.changes.by_row_id else []
        return vertex_places(self.storage, self.level, self.kind.connects, names)

    @cached_property
    def _fragments(self) -> FragmentTable:
        assert self.places is not None
        return read_fragments(self.storage, self.level, self.places.chunks)

    def _by_row_id(self, name: str, column: Column, places: Places) -> Column:
        ids = places.row_ids
        if ids is None or (len(ids) and (int(ids.min()) < 0 or int(ids.max()) >= len(column))):
            raise InputError(
                f"attribute {name!r} must have a value for every row id",
                store=self.level.store,
                expected="row ids in the level" if ids is None else f"more than {int(ids.max())} values",
                got=None if ids is None else f"{len(column)} values",
            )
        return take_column(column, ids)

    def _line_up_links(self) -> None:
        level, changes = self.level, self.changes
        tree = self.kind.connects == "tree"
        kept = (
            ()
            if not tree or level.links is None
            else [name for name in level.links.columns if name not in changes.links]
        )
        found = link_places(self.storage, level, plan_for(self.root, self.kind, None, kept))
        for name, column in changes.links.items():
            _check_length("link attribute", name, column, len(found), level)
        if tree:
            columns = {**found.columns, **changes.links}
            specs = {name: changes.specs.get(("links", name)) or column_spec(columns[name]) for name in columns}
            tree_edges(self.root, level, found.vertices, found.ends, columns, specs, self.added)
            return
        self._check_stored(found)
        for name, column in changes.links.items():
            link_attribute(level, name, column, changes.specs["links", name], found, self.added)

    def _check_stored(self, found: LinkPlaces) -> None:
        """Refuse links that do not have a record each, or copies of it that can be told."""
        records = sum(int(cells.counts.sum()) for cells in found.held)
        copies = np.arange(records) if found.copies is None else found.copies
        complete = len(copies) == records and np.array_equal(np.unique(copies), np.arange(len(found)))
        if self.level.links is None or not complete:
            raise ConventionError(
                "attributes cannot be added to links that are stored in this way",
                store=self.level.store,
                array=f"{self.level.number}/{constants.LINKS}/0",
                got=f"{records} records of {len(found)} links",
                hint="write the store anew",
            )

    def puts(self) -> Iterator[Put]:
        """All stored objects and documents; the level's own comes last."""
        level, added = self.level, self.added
        yield from added.objects()
        groups = [f"{level.number}/{family}/zarr.json" for family in added.families]
        there = self.storage.read_documents(groups)
        for path, document in there.items():
            if document is None:
                yield path, dump_json(group_document())
        yield from stale_puts(self.storage, self.root, level)
        yield f"{level.number}/zarr.json", dump_json(self._level_document())

    def index_puts(self, stamps: Stamps) -> Iterator[Put]:
        """The level's cell index."""
        arrays = {**self.level.cells, **self.added.arrays}
        gone = {name for name in arrays if name in self.added.gone}
        kept = {name: array for name, array in arrays.items() if name not in gone}
        if self.added.facts is not None:
            yield from self.added.facts.puts(kept, self.level.vertices.present, stamps)

    def _level_document(self) -> JsonObject:
        level, added = self.level, self.added
        declared = (level.document.get("attributes") or {}).get(constants.ARRAYS_KEY) or ()
        names = {*declared, *level.cells, *level.tables, *level.link_documents} - added.gone | added.names
        if level.object_index is not None:
            names.add(constants.OBJECT_INDEX)
        metadata = level.metadata.replace(
            arrays_present=tuple(dict.fromkeys([*level.metadata.arrays_present, *added.families]))
        )
        if not self._is_declared and self.places is not None and metadata.fragments_tile:
            # From here on the count is relied upon, which other writers do not always keep.
            metadata = metadata.replace(vertex_count=len(self.places))
        return level_document(metadata, sorted(names), level.document, indexed=added.facts is not None)


def _check_length(what: str, name: str, column: Column, rows: int, level: LevelState) -> None:
    if len(column) != rows:
        raise InputError(
            f"{what} {name!r} must have one value per row",
            store=level.store,
            expected=f"{rows} rows",
            got=f"{len(column)} rows",
        )
