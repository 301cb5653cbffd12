"""A level in memory while it is edited: its vertices, what connects them, and the tables of objects and groups."""

from __future__ import annotations

from dataclasses import dataclass, field

import numpy as np

from zarr_vectors.core.state import LevelState, RootState
from zarr_vectors.exceptions import InputError, ObjectNotFoundError
from zarr_vectors.geometry import Column, Geometry, Lines, take_column
from zarr_vectors.query.links import Links
from zarr_vectors.query.shape import Shape
from zarr_vectors.query.values import Rows
from zarr_vectors.rowwise import take_rows
from zarr_vectors.spatial.partition import stable_order
from zarr_vectors.types.kinds import Kind
from zarr_vectors.types.objects import ObjectTables
from zarr_vectors.types.value import value_of
from zarr_vectors.typing import AnyArray, BoolArray, IntArray

__all__ = ["NONE", "Draft", "find_numbers", "keys_of", "row_id_after"]

NONE = np.zeros(0, dtype=np.int64)
_ROWS_PER_CELL = 2**32
_NEW = -1
"""Key of a vertex that is stored nowhere yet."""


@dataclass
class Draft:
    """``N`` vertices of a level, in any order, and all that is known of them.

    Args:
        kind: What they are.
        positions: ``(N, D)``.
        columns: Attributes, ``N`` rows each.
        owners: ``(N,)`` object of each vertex, -1 for none; None where the level has no objects.
        along: ``(N,)`` place of each vertex in its object.
        born: ``(N, 2)`` object and place by which the vertex is addressed, whatever has become of both.
        keys: ``(N,)`` where the vertex is stored, as ``keys_of`` says; -1 for new ones.
        row_ids: ``(N,)``; None where the level keeps none.
        links: ``(E, L)`` vertices that links connect; a tree's lead from child to parent. None where there are none.
        link_columns: Attributes of links, ``E`` rows each.
        ids: ``(O,)`` ids of the objects.
        object_columns: Attributes of objects, ``O`` rows each.
        groups: Members of each group.
        group_columns: Attributes of groups.
        per_fragment: Names of the attributes that are stored per fragment.
        next_row_id: Where row ids continue.
        read_keys: ``keys`` in the order of a read of everything as it was.
        read_ids: ``ids`` as they were.
        link_born: ``(E,)`` number of each link among those that there were, -1 for new ones.
        links_read: How many links there were.
        renamed: Attributes that have another name or, for None, are gone: whose, which, and the name.
    """

    kind: Kind
    positions: AnyArray
    columns: dict[str, Column]
    owners: IntArray | None
    along: IntArray
    born: IntArray
    keys: IntArray
    row_ids: IntArray | None = None
    links: IntArray | None = None
    link_columns: dict[str, Column] = field(default_factory=dict)
    ids: IntArray = field(default_factory=NONE.copy)
    object_columns: dict[str, Column] = field(default_factory=dict)
    groups: dict[int, IntArray] = field(default_factory=dict)
    group_columns: dict[str, Column] = field(default_factory=dict)
    per_fragment: set[str] = field(default_factory=set)
    next_row_id: int = 0
    read_keys: IntArray = field(default_factory=NONE.copy)
    read_ids: IntArray = field(default_factory=NONE.copy)
    link_born: IntArray = field(default_factory=NONE.copy)
    links_read: int = 0
    renamed: list[tuple[str, str, str | None]] = field(default_factory=list)

    def __len__(self) -> int:
        return len(self.positions)

    def rows_of_objects(self, ids: IntArray) -> IntArray:
        """The vertices of these objects: object by object, in order."""
        owners = self._owners()
        order = np.argsort(ids, kind="stable")
        which = np.flatnonzero(np.isin(owners, ids))
        rank = order[np.searchsorted(ids[order], owners[which])]
        return which[stable_order([rank, self.along[which]])]

    def _owners(self) -> IntArray:
        if self.owners is None:
            raise ObjectNotFoundError("the level has no objects")
        return self.owners

    def slots_of(self, ids: IntArray) -> IntArray:
        """The row of each object in the tables.

        Raises:
            ObjectNotFoundError: There is no such object.
        """
        order = np.argsort(self.ids, kind="stable")
        found = find_numbers(self.ids, order, ids)
        if (found < 0).any():
            raise ObjectNotFoundError(f"there is no object {int(ids[found < 0][0])}")
        return found

    def rows_at(self, addresses: IntArray) -> IntArray:
        """The vertices of these ``(n, 2)`` objects and places, -1 for those that there are not."""
        known = np.concatenate([self.born, addresses])
        low, span = known.min(axis=0, initial=0), np.ptp(known, axis=0) + 1 if len(known) else np.ones(2, dtype=int)
        if float(span[0]) * float(span[1]) < 2**62:
            codes = (known[:, 0] - low[0]) * span[1] + known[:, 1] - low[1]
        else:
            codes = np.unique(known, axis=0, return_inverse=True)[1].reshape(-1)
        born = codes[: len(self)]
        return find_numbers(born, np.argsort(born, kind="stable"), codes[len(self) :])

    def rows_with_ids(self, row_ids: IntArray) -> IntArray:
        """The vertices of these row ids, -1 for those that there are not."""
        if self.row_ids is None:
            raise InputError(
                "the store keeps no row ids", hint="write it with Layout(keep_order=True), or name objects and places"
            )
        return find_numbers(self.row_ids, np.argsort(self.row_ids, kind="stable"), row_ids)

    def rows_with_keys(self, keys: IntArray) -> IntArray:
        """The vertices that are stored in these places, -1 for those that are gone."""
        return find_numbers(self.keys, np.argsort(self.keys, kind="stable"), keys)

    def keep(self, mask: BoolArray) -> None:
        """Let go of the vertices outside a mask, and of the links that lead to them."""
        rows = np.flatnonzero(mask)
        if self.links is not None:
            new = np.full(len(mask), -1, dtype=np.int64)
            new[rows] = np.arange(len(rows))
            ends = new[self.links]
            self.links = ends
            self.keep_links(np.asarray((ends >= 0).all(axis=1)))
        self.positions = take_rows(self.positions, rows)
        self.columns = {name: take_column(column, rows) for name, column in self.columns.items()}
        self.owners = None if self.owners is None else self.owners[rows]
        self.row_ids = None if self.row_ids is None else self.row_ids[rows]
        self.along, self.born, self.keys = self.along[rows], self.born[rows], self.keys[rows]

    def keep_links(self, mask: BoolArray) -> None:
        """Let go of the links outside a mask."""
        assert self.links is not None
        self.links, self.link_born = self.links[mask], self.link_born[mask]
        self.link_columns = {name: take_column(column, mask) for name, column in self.link_columns.items()}

    def links_born_as(self, numbers: IntArray) -> IntArray:
        """The links that had these numbers, -1 for those that are gone."""
        return find_numbers(self.link_born, np.argsort(self.link_born, kind="stable"), numbers)

    def drop_objects(self, ids: IntArray) -> None:
        """Let go of objects in the tables."""
        left = ~np.isin(self.ids, ids)
        self.ids = self.ids[left]
        self.object_columns = {name: take_column(column, left) for name, column in self.object_columns.items()}
        self.groups = {group: members[~np.isin(members, ids)] for group, members in self.groups.items()}

    def copy_objects(self, sources: IntArray, ids: IntArray) -> None:
        """Make objects that have the attributes and groups of others."""
        slots = np.concatenate([np.arange(len(self.ids)), self.slots_of(sources)])
        self.ids = np.concatenate([self.ids, ids])
        self.object_columns = {name: take_column(column, slots) for name, column in self.object_columns.items()}
        self.groups = {
            group: np.concatenate([members, ids[np.isin(sources, members)]]) for group, members in self.groups.items()
        }

    def tables(self) -> ObjectTables:
        """The tables of objects and groups, ids ascending."""
        order = np.argsort(self.ids, kind="stable")
        return ObjectTables(
            ids=self.ids[order],
            attributes={name: take_column(column, order) for name, column in self.object_columns.items()},
            groups=self.groups,
            group_attributes=self.group_columns,
        )

    def value(self, root: RootState, level: LevelState) -> tuple[Geometry, IntArray | None]:
        """The vertices and what connects them as a value, and the row id of each."""
        ordered = self._ordered()
        rows = Rows(ordered.positions, dict(ordered.columns), ordered.owners)
        shape = Shape(rows)
        if self.kind.connects == "sequence":
            assert ordered.owners is not None
            ids = np.sort(self.ids)
            counts = np.bincount(np.searchsorted(ids, ordered.owners), minlength=len(ids))
            shape = Shape(rows, np.concatenate([[0], np.cumsum(counts)]).astype(np.int64), ids)
        elif ordered.links is not None:
            shape = Shape(rows, links=Links(ordered.links, ordered.link_columns))
        family = level.links if self.kind.connects == "links" else None
        return value_of(shape, self.kind, root.axes, family), ordered.row_ids

    def _ordered(self) -> Draft:
        """Lines one after another, their vertices in order; all others as they are."""
        if self.kind.connects != "sequence" or self.owners is None:
            return self
        rows = stable_order([self.owners, self.along])
        return Draft(
            kind=self.kind,
            positions=take_rows(self.positions, rows),
            columns={name: take_column(column, rows) for name, column in self.columns.items()},
            owners=self.owners[rows],
            along=self.along[rows],
            born=self.born[rows],
            keys=self.keys[rows],
            row_ids=None if self.row_ids is None else self.row_ids[rows],
        )

    def check_lines(self) -> None:
        """Refuse straight lines that have not two ends.

        Raises:
            InputError: With the first of them.
        """
        if self.kind.value is not Lines or self.owners is None:
            return
        ids, counts = np.unique(self.owners, return_counts=True)
        odd = np.flatnonzero(counts != 2)
        if len(odd):
            raise InputError(
                "a line must keep its two ends",
                got=f"{counts[odd[0]]} for line {ids[odd[0]]}",
                hint="remove whole lines, by object_ids",
            )


def find_numbers(haystack: IntArray, order: IntArray, needles: IntArray) -> IntArray:
    """``(n,)`` place of each number in a list, which ``order`` sorts; -1 where it is not there."""
    if not len(haystack):
        return np.full(len(needles), -1, dtype=np.int64)
    at = order[np.minimum(np.searchsorted(haystack, needles, sorter=order), len(order) - 1)]
    return np.where(haystack[at] == needles, at, -1)


def keys_of(places: IntArray | None) -> IntArray:
    """``(n,)`` one number for each stored place of ``Rows.places``."""
    return NONE if places is None else places[:, 0] * _ROWS_PER_CELL + places[:, 1]


def row_id_after(level: LevelState, row_ids: IntArray | None) -> int:
    """Where row ids continue: where the level says, and after all of these, which others may have added."""
    return max(level.metadata.next_row_id, 0 if row_ids is None else int(row_ids.max(initial=-1)) + 1)
