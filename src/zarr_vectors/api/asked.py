"""What a user asks of a level, as one value."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace
from typing import Any

from zarr_vectors import constants
from zarr_vectors.core.state import LevelState, RootState
from zarr_vectors.exceptions import InputError
from zarr_vectors.query.read_plan import ReadPlan
from zarr_vectors.query.selection import Selection
from zarr_vectors.query.where import conditions_of, resolve
from zarr_vectors.spatial.area import areas_of
from zarr_vectors.storage.storage import Storage
from zarr_vectors.types.kinds import Kind
from zarr_vectors.types.value import plan_for

__all__ = ["Asked"]


@dataclass(frozen=True, kw_only=True, eq=False)
class Asked:
    """The arguments of ``ZVLevel.read``, which tells what they mean, as they were given.

    Args:
        chunks: Coordinates of chunks; None for all.
        owners: Whether to bring along the object of each row, and its row id.
    """

    bbox: Any = None
    object_ids: Any = None
    group_ids: Any = None
    where: Any = None
    near: Any = None
    within: Any = None
    attributes: Sequence[str] | str | None = None
    mode: str | None = None
    link_attributes: Sequence[str] | str | None = None
    limit: int | None = None
    strict: bool = True
    chunks: Any = None
    owners: bool = True

    def selection(self, storage: Storage, root: RootState, level: LevelState) -> Selection:
        """What to read of a level; tables of objects are read where conditions ask for them.

        Raises:
            InputError: Something cannot be meant.
            AttributeNotFoundError: A condition names an attribute that does not exist.
        """
        axes = [axis.name for axis in root.axes]
        selection = Selection.of(
            axes,
            bbox=self.bbox,
            areas=areas_of(self.near, self.within, axes),
            object_ids=self.object_ids,
            group_ids=self.group_ids,
            chunks=self.chunks,
            attributes=self._names(level),
            owners=self.owners,
        )
        return resolve(storage, level, replace(selection, where=conditions_of(self.where)))

    def plan(self, root: RootState, kind: Kind) -> ReadPlan:
        """How to read it.

        Raises:
            InputError: The mode is not known, or cuts at something else than a box.
        """
        if self.mode == "clip" and not (self.near is None and self.within is None):
            raise InputError("only a box can cut", hint='leave out near and within, or choose mode "vertices"')
        return plan_for(root, kind, self.mode, self.link_attributes, strict=self.strict)

    def _names(self, level: LevelState) -> list[str] | None:
        """The attributes to bring along, and the row ids of rows that are not only counted."""
        if self.attributes is None:
            return None
        given = [self.attributes] if isinstance(self.attributes, str) else self.attributes
        if not isinstance(given, Iterable):
            raise InputError("attributes must be names of vertex attributes, or None for all", got=repr(given))
        row_ids = [constants.ROW_ID] if self.owners and level.keeps_row_ids else []
        return [*given, *row_ids]
