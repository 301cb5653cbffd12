"""What to read, as one value."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from difflib import get_close_matches
from functools import reduce
from typing import Any

import numpy as np

from zarr_vectors.exceptions import AttributeNotFoundError, InputError
from zarr_vectors.geometry import as_ids
from zarr_vectors.query.expressions import Expression
from zarr_vectors.query.row_filter import RowFilter
from zarr_vectors.spatial.area import Area
from zarr_vectors.spatial.box import ClosedBox
from zarr_vectors.typing import IntArray

__all__ = ["MODES", "Selection", "choose_names"]

MODES = ("vertices", "objects", "clip")
"""What a box selects: vertices inside it, whole objects that meet it, or what is left when cut at it."""


@dataclass(frozen=True, kw_only=True, eq=False)
class Selection:
    """A part of a level: all conditions hold at once.

    Args:
        box: Rows inside this closed box; None for everywhere.
        object_ids: Rows of these objects, in this order; None for all rows.
        group_ids: Rows of the objects of these groups, after those of ``object_ids``.
        chunks: ``(n, K)`` rows of these chunks; None for all.
        attributes: Names of the vertex attributes to bring along; None for all.
        owners: Whether to bring along the object of each row.
        places: Whether to bring along where each row is stored.
        lenient: Whether ids of objects that do not exist are left out, rather than an error.
        areas: Rows in all of these, beside the box.
        where: Condition on attributes, as it was given; what follows is what it comes to.
        among: Of the objects asked for, those of these ids; None for all.
        leads: Rows of chunks with these leading coordinates; None for all.
        rows_meet: What rows must meet of it.
        link_condition: What edges or faces must meet of it; rows that none of these connects are left out.
    """

    box: ClosedBox | None = None
    object_ids: IntArray | None = None
    group_ids: IntArray | None = None
    chunks: IntArray | None = None
    attributes: tuple[str, ...] | None = None
    owners: bool = True
    places: bool = False
    lenient: bool = False
    areas: tuple[Area, ...] = ()
    where: Expression | None = None
    among: IntArray | None = None
    leads: IntArray | None = None
    rows_meet: RowFilter | None = None
    link_condition: Expression | None = None

    @classmethod
    def of(
        cls,
        axes: Sequence[str],
        *,
        bbox: Any = None,
        areas: Sequence[Area] = (),
        object_ids: Any = None,
        group_ids: Any = None,
        chunks: Any = None,
        attributes: Sequence[str] | str | None = None,
        owners: bool = True,
    ) -> Selection:
        """Check what a user gave.

        Raises:
            InputError: A box or ids that cannot be meant.
        """
        names = (attributes,) if isinstance(attributes, str) else attributes
        return cls(
            box=None if bbox is None else ClosedBox.from_user(bbox, axes),
            object_ids=None if object_ids is None else as_ids("object_ids", np.atleast_1d(object_ids)),
            group_ids=None if group_ids is None else as_ids("group_ids", np.atleast_1d(group_ids)),
            chunks=None if chunks is None else _as_chunks(chunks),
            attributes=None if names is None else tuple(names),
            owners=owners,
            areas=tuple(areas),
        )

    @property
    def by_object(self) -> bool:
        """Whether objects are asked for by id or group."""
        return self.object_ids is not None or self.group_ids is not None

    @property
    def is_everything(self) -> bool:
        """Whether no row is left out."""
        return not (self.places_asked or self.chunks is not None or self.by_object or self.where is not None)

    @property
    def places_asked(self) -> tuple[ClosedBox | Area, ...]:
        """The box and the areas."""
        return self.areas if self.box is None else (self.box, *self.areas)

    @property
    def reach(self) -> ClosedBox | None:
        """Outside of this box no row lies in the box and in all areas; None where they may lie anywhere."""
        boxes = [one for one in (self.box, *(area.box for area in self.areas)) if one is not None]
        return reduce(ClosedBox.narrowed, boxes) if boxes else None

    def at(self, place: ClosedBox | Area | None) -> Selection:
        """The same, but for a single place; anywhere for None."""
        box, areas = (place, ()) if isinstance(place, ClosedBox) else (None, () if place is None else (place,))
        return replace(self, box=box, areas=areas)

    def names_beside(self, names: Sequence[str]) -> list[str]:
        """Attributes that must be read for conditions on rows, beside these."""
        return [] if self.rows_meet is None else self.rows_meet.names_beside(names)


def _as_chunks(value: Any) -> IntArray:
    chunks = np.asarray(value)
    if chunks.size == 0:
        return np.zeros((0, 0), dtype=np.int64)
    if chunks.ndim != 2 or chunks.dtype.kind not in "iu":
        raise InputError("chunks must be a list of chunk coordinates", got=repr(value))
    return chunks.astype(np.int64)


def choose_names(
    wanted: Sequence[str] | None, known: Sequence[str], *, store: str | None = None, what: str = "vertex attribute"
) -> list[str]:
    """The attribute names to read.

    Raises:
        AttributeNotFoundError: A name that the level does not have, with the nearest that it has.
    """
    if wanted is None:
        return list(known)
    unknown = [name for name in wanted if name not in known]
    if unknown:
        near = get_close_matches(str(unknown[0]), known, n=1)
        raise AttributeNotFoundError(
            f"the level has no {what} {unknown[0]!r}",
            store=store,
            expected=f"one of {sorted(known)}",
            hint=f"did you mean {near[0]!r}?" if near else None,
        )
    return list(dict.fromkeys(wanted))
