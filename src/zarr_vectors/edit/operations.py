"""What is done to vertices and objects: change, remove and add them."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Protocol

import numpy as np

from zarr_vectors.edit.draft import NONE, Draft, find_numbers
from zarr_vectors.edit.values import blank, in_bounds, joined, like, put, rounded, spread
from zarr_vectors.edit.which import Opened, Which
from zarr_vectors.exceptions import InputError
from zarr_vectors.geometry import Column, Geometry, Linked, same_values, take_column
from zarr_vectors.query.geometry import objects_selected
from zarr_vectors.types.append_tables import missing_rows
from zarr_vectors.types.check import tables_of
from zarr_vectors.types.options import as_bounds
from zarr_vectors.types.table import column_spec
from zarr_vectors.types.value import plan_for
from zarr_vectors.typing import AnyArray, IntArray

__all__ = ["AddRows", "Operation", "Remove", "SetObjectAttribute", "Update"]


class Operation(Protocol):
    """One thing to do."""

    def apply(self, draft: Draft, opened: Opened) -> None:
        """Do it to a draft.

        Args:
            opened: The store as it was when editing began, which addresses and selections are meant for.
        """
        ...


@dataclass(frozen=True, kw_only=True, eq=False)
class Update:
    """Other positions or values for vertices.

    Args:
        which: The vertices.
        positions: ``(n, D)``, or None.
        shift: ``(D,)`` to add to positions, or None.
        attributes: A value for each, or one for all.
        out_of_bounds: ``"raise"`` where a shift must not lead out of the bounds.
    """

    which: Which
    positions: AnyArray | None = None
    shift: AnyArray | None = None
    attributes: Mapping[str, Column] = field(default_factory=dict)
    out_of_bounds: str = "raise"

    def apply(self, draft: Draft, opened: Opened) -> None:
        """Put the values into the draft."""
        named = self.which.rows(draft, opened)
        there = named >= 0
        rows = named[there]
        if len(np.unique(rows)) != len(rows):
            raise InputError("an update names a vertex twice")
        if self.positions is not None:
            if len(self.positions) != len(named):
                raise InputError(
                    "positions must have a row for each vertex that is moved",
                    expected=f"{len(named)} rows",
                    got=f"{len(self.positions)} rows",
                    hint="to change the number of vertices, remove some, or add more with extend=True",
                )
            draft.positions = draft.positions.copy()
            draft.positions[rows] = self.positions[there]
        if self.shift is not None:
            draft.positions = draft.positions.copy()
            ndim = opened.root.metadata.ndim
            moved = rounded(draft.positions[rows] + self.shift, draft.positions.dtype, ndim)
            in_bounds(moved, as_bounds(opened.root.metadata.bounds, ndim), self.out_of_bounds, opened.level.store)
            draft.positions[rows] = moved
        for name, column in self.attributes.items():
            old = draft.columns[name]
            values = spread("attribute", name, _as_rows(column, old), len(named))
            draft.columns[name] = put(old, rows, like("attribute", name, take_column(values, there), old))


def _as_rows(column: Column, old: Column) -> Column:
    """A single value of several channels as one row."""
    shape = old.shape[1:]
    return column[None] if shape and column.shape == shape and isinstance(column, np.ndarray) else column


@dataclass(frozen=True, kw_only=True, eq=False)
class Remove:
    """Take vertices away, with the links that lead to them; or whole objects.

    Args:
        which: The vertices.
        whole: Whether the objects go as well, with all that is known of them.
    """

    which: Which
    whole: bool = False

    def apply(self, draft: Draft, opened: Opened) -> None:
        """Take them out of the draft."""
        if not self.whole:
            rows = self.which.rows(draft, opened)
        else:
            ids = self.objects(opened)
            ids = ids[np.isin(ids, draft.ids)]
            rows = draft.rows_of_objects(ids)
            draft.drop_objects(ids)
        mask = np.ones(len(draft), dtype=bool)
        mask[rows[rows >= 0]] = False
        draft.keep(mask)

    def objects(self, opened: Opened) -> IntArray:
        """Ids of the objects that go as a whole."""
        if self.which.objects is not None:
            return self.which.objects
        assert self.which.selection is not None
        plan = plan_for(opened.root, opened.kind, self.which.mode, ())
        return objects_selected(opened.storage, opened.level, self.which.selection, plan)


@dataclass(frozen=True, kw_only=True, eq=False)
class AddRows:
    """More vertices, of new objects or of objects that there are.

    Args:
        value: The vertices; where the level has objects, with their ids.
        fill: Values for attributes that the value lacks.
        extend: Whether objects may exist already.
    """

    value: Geometry
    fill: dict[str, Any]
    extend: bool = False

    def apply(self, draft: Draft, opened: Opened) -> None:  # noqa: ARG002 (what is added is no part of it)
        """Put them after the vertices of the draft."""
        value, count, first = self.value, self.value.vertex_count, len(draft)
        if draft.owners is not None:
            self._add_objects(draft)
        owners = value.vertex_objects
        places = np.full(count, -1) if owners is None else _next_places(draft, owners)
        draft.positions = np.concatenate([draft.positions, value.positions])
        columns = {}
        for name, old in draft.columns.items():
            given = value.attributes.get(name)
            new = blank(name, column_spec(old), count, self.fill) if given is None else given
            columns[name] = joined("attribute", name, old, new)
        draft.columns = columns
        draft.along = np.concatenate([draft.along, places])
        born = np.full(count, -1) if owners is None else owners
        draft.born = np.concatenate([draft.born, np.stack([born, places], axis=1)])
        draft.keys = np.concatenate([draft.keys, np.full(count, -1)])
        if draft.owners is not None:
            draft.owners = np.concatenate([draft.owners, born])
        if draft.row_ids is not None:
            draft.row_ids = np.concatenate([draft.row_ids, draft.next_row_id + np.arange(count)])
            draft.next_row_id += count
        if isinstance(value, Linked) and draft.links is not None:
            self.add_links(draft, value.links + first, value.link_attributes)

    def add_links(self, draft: Draft, links: IntArray, given: Mapping[str, Column]) -> None:
        """Put links after those of the draft."""
        assert draft.links is not None
        if len(links) and links.shape[1] != draft.links.shape[1] and not len(draft.links):
            draft.links = np.zeros((0, links.shape[1]), dtype=np.int64)
        if len(links) and links.shape[1] != draft.links.shape[1]:
            raise InputError(
                "links must have as many ends as those of the store", expected=draft.links.shape[1], got=links.shape[1]
            )
        if len(links):
            draft.links = np.concatenate([draft.links, links])
            draft.link_born = np.concatenate([draft.link_born, np.full(len(links), -1)])
        columns = {}
        for name, old in draft.link_columns.items():
            new = given.get(name)
            new = blank(name, column_spec(old), len(links), self.fill) if new is None else new
            columns[name] = joined("link attribute", name, old, new)
        draft.link_columns = columns

    def _add_objects(self, draft: Draft) -> None:
        tables = tables_of(self.value)
        new = ~np.isin(tables.ids, draft.ids)
        if not self.extend and not new.all():
            raise InputError(
                "object_ids exist already",
                got=int(tables.ids[~new][0]),
                hint="use other ids, or extend=True to add vertices to these objects",
            )
        columns = {}
        for name, old in draft.object_columns.items():
            given = tables.attributes.get(name)
            if given is None:
                more = missing_rows(name, old, int(new.sum()), self.fill)
            else:
                more = take_column(given, new)
                known = take_column(old, draft.slots_of(tables.ids[~new]))
                if not same_values(known, like("object attribute", name, take_column(given, ~new), known)):
                    raise InputError(f"object attribute {name!r} differs for objects that exist already")
            columns[name] = joined("object attribute", name, old, more)
        draft.ids = np.concatenate([draft.ids, tables.ids[new]])
        draft.object_columns = columns
        self._add_groups(draft)

    def _add_groups(self, draft: Draft) -> None:
        groups, count = self.value.groups, max(draft.groups, default=-1) + 1
        for group, members in groups.items():
            known = draft.groups.get(group, NONE)
            draft.groups[group] = np.concatenate([known, members[~np.isin(members, known)]])
        more = np.arange(count, max(draft.groups, default=-1) + 1)
        if not len(more):
            return
        draft.groups = {group: draft.groups.get(group, NONE) for group in range(count + len(more))}
        given = self.value.group_attributes
        for name, old in (draft.group_columns if count else dict(given)).items():
            if not count:
                draft.group_columns[name] = old
            elif name in given and len(given[name]) > int(more[-1]):
                draft.group_columns[name] = joined("group attribute", name, old, take_column(given[name], more))
            else:
                draft.group_columns[name] = joined("group attribute", name, old, missing_rows(name, old, len(more), {}))


def _next_places(draft: Draft, owners: IntArray) -> IntArray:
    """Places of new vertices, which follow those that their objects have or had."""
    order = np.argsort(owners, kind="stable")
    ids, first, counts = np.unique(owners[order], return_index=True, return_counts=True)
    counted = np.arange(len(owners)) - np.repeat(first, counts)
    base = np.zeros(len(ids), dtype=np.int64)
    if draft.owners is not None and len(draft):
        both = np.concatenate([np.stack([draft.owners, draft.along], axis=1), draft.born])
        slot = find_numbers(ids, np.arange(len(ids)), both[:, 0])
        np.maximum.at(base, slot[slot >= 0], both[slot >= 0, 1] + 1)
    places = np.empty(len(owners), dtype=np.int64)
    places[order] = counted + np.repeat(base, counts)
    return places


@dataclass(frozen=True, kw_only=True, eq=False)
class SetObjectAttribute:
    """Other values of an attribute of objects.

    Args:
        name: Of the attribute.
        column: A value for each object, or one for all.
        ids: Which objects; all where None.
    """

    name: str
    column: Column
    ids: IntArray | None = None

    def apply(self, draft: Draft, opened: Opened) -> None:  # noqa: ARG002 (objects are named by id)
        """Put the values into the table."""
        slots = np.arange(len(draft.ids)) if self.ids is None else draft.slots_of(self.ids)
        old, what = draft.object_columns[self.name], "object attribute"
        values = spread(what, self.name, _as_rows(self.column, old), len(slots))
        draft.object_columns[self.name] = put(old, slots, like(what, self.name, values, old))
