"""What is done to attributes, links and whole objects: make, drop and rename them, connect, split and merge them."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Literal, TypeAlias

import numpy as np

from zarr_vectors.edit.draft import Draft
from zarr_vectors.edit.operations import AddRows
from zarr_vectors.edit.values import blank, put
from zarr_vectors.edit.which import Opened, Which
from zarr_vectors.exceptions import InputError
from zarr_vectors.geometry import Column, Points, take_column
from zarr_vectors.types.append_tables import missing_rows
from zarr_vectors.types.table import column_spec
from zarr_vectors.typing import BoolArray, IntArray

__all__ = ["AddAttribute", "AddLinks", "Drop", "Ends", "Merge", "Of", "RemoveLinks", "Rename", "Split", "columns_of"]

Of: TypeAlias = Literal["vertices", "objects", "links"]


def columns_of(draft: Draft, of: Of) -> dict[str, Column]:
    """The attributes of one family."""
    return {"vertices": draft.columns, "objects": draft.object_columns, "links": draft.link_columns}[of]


@dataclass(frozen=True, kw_only=True, eq=False)
class AddAttribute:
    """A new attribute.

    Args:
        of: Whose it is.
        name: Its name.
        column: A value for each that there was when editing began, in the order of a read; or one for all.
        ids: Objects that the values are for, where they are those of objects.
        fill: For what has been added since, ``{name: value}``.
    """

    of: Of
    name: str
    column: Column
    ids: IntArray | None = None
    fill: dict[str, Any] = field(default_factory=dict)

    def apply(self, draft: Draft, opened: Opened) -> None:  # noqa: ARG002 (the draft remembers the order of a read)
        """Make the column."""
        if self.of == "objects":
            self._of_objects(draft)
            return
        count = len(draft) if self.of == "vertices" else len(draft.link_born)
        known = draft.read_keys if self.of == "vertices" else np.arange(draft.links_read)
        if len(self.column) == 1 != len(known):
            columns_of(draft, self.of)[self.name] = take_column(self.column, np.zeros(count, dtype=np.int64))
            return
        self.check_length(len(known), self.of)
        at = draft.rows_with_keys(known) if self.of == "vertices" else draft.links_born_as(known)
        new = blank(self.name, column_spec(self.column), count, self.fill) if (at >= 0).sum() < count else None
        start = take_column(self.column, np.zeros(count, dtype=np.int64)) if new is None else new
        columns_of(draft, self.of)[self.name] = put(start, at[at >= 0], take_column(self.column, at >= 0))

    def _of_objects(self, draft: Draft) -> None:
        ids = draft.read_ids if self.ids is None else self.ids
        column = self.column
        if len(column) == 1 != len(ids):
            column = take_column(column, np.zeros(len(ids), dtype=np.int64))
        if len(column) != len(ids):
            self.check_length(len(ids), self.of)
        known = np.isin(ids, draft.ids)
        if known.sum() == len(draft.ids):
            rows = np.zeros(len(draft.ids), dtype=np.int64)
            start = take_column(column, rows) if len(column) else column
        else:
            start = missing_rows(self.name, column, len(draft.ids), self.fill)
        draft.object_columns[self.name] = put(start, draft.slots_of(ids[known]), take_column(column, known))

    def check_length(self, expected: int, of: str) -> None:
        """Refuse values that are neither one for all nor one for each.

        Raises:
            InputError: They are not.
        """
        if len(self.column) != expected:
            raise InputError(
                f"attribute {self.name!r} must have a value for each of the {of} that there were, or one for all",
                expected=f"{expected} values",
                got=f"{len(self.column)} values",
            )


@dataclass(frozen=True)
class Drop:
    """No attribute any more.

    Args:
        of: Whose it was.
        name: Its name.
    """

    of: Of
    name: str

    def apply(self, draft: Draft, opened: Opened) -> None:  # noqa: ARG002 (only the draft matters)
        """Take the column away."""
        del columns_of(draft, self.of)[self.name]
        draft.per_fragment.discard(self.name)
        draft.renamed.append((self.of, self.name, None))


@dataclass(frozen=True)
class Rename:
    """Another name for an attribute.

    Args:
        of: Whose it is.
        old: Its name.
        new: Its name afterwards.
    """

    of: Of
    old: str
    new: str

    def apply(self, draft: Draft, opened: Opened) -> None:  # noqa: ARG002 (only the draft matters)
        """Give the column its new name, in its place among the others."""
        columns = columns_of(draft, self.of)
        named = {self.new if name == self.old else name: column for name, column in columns.items()}
        columns.clear()
        columns.update(named)
        if self.of == "vertices" and self.old in draft.per_fragment:
            draft.per_fragment = draft.per_fragment - {self.old} | {self.new}
        draft.renamed.append((self.of, self.old, self.new))


@dataclass(frozen=True, kw_only=True, eq=False)
class Ends:
    """The vertices that links connect.

    Args:
        vertices: ``(n, L, 2)`` object and place of each; None where row ids say.
        row_ids: ``(n, L)`` row id of each.
    """

    vertices: IntArray | None = None
    row_ids: IntArray | None = None

    def rows(self, draft: Draft, opened: Opened) -> IntArray:
        """``(n, L)`` these vertices of a draft."""
        if self.vertices is not None:
            flat = Which(vertices=self.vertices.reshape(-1, 2)).rows(draft, opened)
            return flat.reshape(self.vertices.shape[:2])
        assert self.row_ids is not None
        return Which(row_ids=self.row_ids.reshape(-1)).rows(draft, opened).reshape(self.row_ids.shape)

    @property
    def width(self) -> int:
        """Ends of each link."""
        array = self.row_ids if self.vertices is None else self.vertices
        assert array is not None
        return int(array.shape[1])


@dataclass(frozen=True, kw_only=True, eq=False)
class AddLinks:
    """More links.

    Args:
        ends: What they connect; of a skeleton, child and parent.
        attributes: A value for each.
        fill: For attributes that are not given.
    """

    ends: Ends
    attributes: Mapping[str, Column]
    fill: dict[str, Any]

    def apply(self, draft: Draft, opened: Opened) -> None:
        """Put them after those of the draft."""
        rows = self.ends.rows(draft, opened)
        if draft.kind.connects == "tree" and draft.links is not None:
            twice = np.isin(rows[:, 0], draft.links[:, 0]) | (np.bincount(rows[:, 0])[rows[:, 0]] > 1)
            if twice.any():
                child = draft.born[rows[twice][0, 0]].tolist()
                raise InputError(
                    "a vertex of a skeleton has one parent at most",
                    got=f"another one for vertex {child[1]} of object {child[0]}",
                    hint="remove the link to its parent first",
                )
        adder = AddRows(value=Points(draft.positions[:0]), fill=self.fill)
        adder.add_links(draft, rows, self.attributes)


@dataclass(frozen=True, kw_only=True, eq=False)
class RemoveLinks:
    """Fewer links.

    Args:
        ends: What they connect; in any order, unless the graph is directed.
    """

    ends: Ends

    def apply(self, draft: Draft, opened: Opened) -> None:
        """Take them out of the draft.

        Raises:
            InputError: There is no such link.
        """
        assert draft.links is not None
        rows, links = self.ends.rows(draft, opened), draft.links
        directed = opened.level.links is not None and opened.level.links.directed and draft.kind.connects == "links"
        if not directed:
            rows, links = np.sort(rows, axis=1), np.sort(links, axis=1)
        both = np.concatenate([links, rows])
        codes = np.unique(both, axis=0, return_inverse=True)[1].reshape(-1)
        wanted = codes[len(links) :]
        unknown = ~np.isin(wanted, codes[: len(links)])
        if unknown.any():
            ends = draft.born[rows[unknown][0]].tolist()
            raise InputError(
                "there is no such link", got=" to ".join(f"vertex {place} of object {owner}" for owner, place in ends)
            )
        draft.keep_links(~np.isin(codes[: len(links)], wanted))


@dataclass(frozen=True, kw_only=True, eq=False)
class Split:
    """One object as several.

    Args:
        source: Id of the object, which its first part keeps.
        at: ``(n,)`` places of the vertices at which parts begin; of a skeleton, from which subtrees begin.
        ids: ``(n,)`` ids of the other parts, which have the attributes and groups of the object.
    """

    source: int
    at: IntArray
    ids: IntArray

    def apply(self, draft: Draft, opened: Opened) -> None:
        """Give the parts to objects of their own."""
        addresses = np.stack([np.full(len(self.at), self.source), self.at], axis=1)
        begins = Which(vertices=addresses).rows(draft, opened)
        assert draft.owners is not None
        strange = begins[draft.owners[begins] != self.source]
        if len(strange):
            raise InputError(
                f"object {self.source} is split at a vertex that it has no longer",
                got=f"vertex {draft.born[strange[0], 1]}",
            )
        owners, along = draft.owners.copy(), draft.along.copy()
        rows = draft.rows_of_objects(np.array([self.source]))
        if draft.kind.connects == "tree":
            part = self._subtrees(draft, begins, rows)
        else:
            place = np.full(len(draft), -1)
            place[rows] = np.arange(len(rows))
            ordered = np.argsort(place[begins])
            part = np.concatenate([[-1], ordered])[
                np.searchsorted(place[begins][ordered], np.arange(len(rows)), "right")
            ]
        for number, new in enumerate(self.ids.tolist()):
            mine = rows[part == number]
            owners[mine], along[mine] = new, np.arange(len(mine))
        left = rows[part < 0]
        if not len(left):
            raise InputError(f"nothing would be left of object {self.source}", hint="split it at later vertices")
        along[left] = np.arange(len(left))
        draft.owners, draft.along = owners, along
        draft.copy_objects(np.full(len(self.ids), self.source), self.ids)

    @staticmethod
    def _subtrees(draft: Draft, begins: IntArray, rows: IntArray) -> IntArray:
        """Which subtree each vertex of the object is in, -1 for none; the links to the vertices above them go."""
        assert draft.links is not None
        cut: BoolArray = np.isin(draft.links[:, 0], begins)
        draft.keep_links(~cut)
        parent = np.arange(len(draft))
        parent[draft.links[:, 0]] = draft.links[:, 1]
        # Each step doubles the way that is looked up the tree.
        while True:
            above = parent[parent]
            if np.array_equal(above, parent):
                break
            parent = above
        part = np.full(len(draft), -1)
        part[begins] = np.arange(len(begins))
        return np.asarray(part[parent[rows]])


@dataclass(frozen=True, kw_only=True, eq=False)
class Merge:
    """Several objects as one.

    Args:
        ids: The objects, in the order in which lines follow one another.
        into: The one of them that stays.
    """

    ids: IntArray
    into: int

    def apply(self, draft: Draft, opened: Opened) -> None:  # noqa: ARG002 (objects are named by id)
        """Give all vertices to one object, which is in every group that one of them was in."""
        draft.slots_of(self.ids)
        rows = draft.rows_of_objects(self.ids)
        assert draft.owners is not None
        owners, along = draft.owners.copy(), draft.along.copy()
        owners[rows], along[rows] = self.into, np.arange(len(rows))
        draft.owners, draft.along = owners, along
        gone = self.ids[self.ids != self.into]
        for group, members in draft.groups.items():
            if np.isin(gone, members).any() and self.into not in members:
                draft.groups[group] = np.append(members, self.into)
        draft.drop_objects(gone)
