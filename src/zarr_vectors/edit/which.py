"""Which vertices an operation is about."""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np

from zarr_vectors.core.state import LevelState, RootState
from zarr_vectors.edit.draft import NONE, Draft, keys_of
from zarr_vectors.exceptions import InputError, ObjectNotFoundError
from zarr_vectors.query.geometry import read_shape
from zarr_vectors.query.selection import Selection
from zarr_vectors.storage.storage import Storage
from zarr_vectors.types.kinds import Kind
from zarr_vectors.types.value import plan_for
from zarr_vectors.typing import IntArray

__all__ = ["Opened", "Which", "check_found"]


@dataclass(frozen=True)
class Opened:
    """A store as it was when editing began.

    Args:
        storage, root, level, kind: The store, its documents, its level 0, and what that holds.
    """

    storage: Storage
    root: RootState
    level: LevelState
    kind: Kind

    def selected(self, selection: Selection, mode: str | None) -> IntArray:
        """Keys of the vertices that a read of this selection brings, in its order."""
        plan = replace(plan_for(self.root, self.kind, mode, ()), link_attributes=())
        chosen = replace(selection, places=True, attributes=())
        return keys_of(read_shape(self.storage, self.level, chosen, plan).rows.places)


@dataclass(frozen=True, kw_only=True, eq=False)
class Which:
    """Vertices, named in one of these ways; all of the level where none is given.

    Args:
        vertices: ``(n, 2)`` object and place in it.
        objects: Whole objects.
        row_ids: ``(n,)`` row ids.
        selection: What a read brings.
        mode: What a box in the selection selects; None for the kind's default.
        keys: Places in which they are stored, as ``keys_of`` says.
    """

    vertices: IntArray | None = None
    objects: IntArray | None = None
    row_ids: IntArray | None = None
    selection: Selection | None = None
    mode: str | None = None
    keys: IntArray | None = None

    @property
    def is_everything(self) -> bool:
        """Whether all vertices are meant."""
        ways = (self.vertices, self.objects, self.row_ids, self.selection, self.keys)
        return all(way is None for way in ways)

    def rows(self, draft: Draft, opened: Opened) -> IntArray:
        """``(n,)`` these vertices of a draft, in the order in which they were named; -1 for those that are removed.

        Raises:
            ObjectNotFoundError: There is no such object.
            InputError: There is no such vertex.
        """
        if self.vertices is not None:
            found = draft.rows_at(self.vertices)
            check_found([f"vertex {place} of object {owner}" for owner, place in self.vertices[found < 0]])
            return found
        if self.row_ids is not None:
            found = draft.rows_with_ids(self.row_ids)
            check_found([f"row id {row_id}" for row_id in self.row_ids[found < 0].tolist()])
            return found
        if self.objects is not None:
            draft.slots_of(self.objects)
            return draft.rows_of_objects(self.objects)
        if self.keys is not None:
            return draft.rows_with_keys(self.keys)
        if self.selection is None:
            return np.arange(len(draft)) if len(draft) else NONE
        return draft.rows_with_keys(opened.selected(self.selection, self.mode))

    def check(self, objects: IntArray) -> None:
        """Refuse objects that there are not.

        Args:
            objects: Ids of the objects that there are.

        Raises:
            ObjectNotFoundError: With the first.
        """
        named = self.objects if self.objects is not None else NONE
        if self.vertices is not None:
            named = self.vertices[:, 0]
        unknown = named[~np.isin(named, objects)]
        if len(unknown):
            raise ObjectNotFoundError(f"there is no object {int(unknown[0])}")


def check_found(gone: list[str]) -> None:
    """Refuse vertices that there are not.

    Args:
        gone: What they are called.

    Raises:
        InputError: With the first, if there is any.
    """
    if gone:
        raise InputError(
            "an edit names a vertex that there is not, or that an operation before it has removed", got=gone[0]
        )
