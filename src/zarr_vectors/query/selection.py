"""What to read, as one value."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from difflib import get_close_matches
from typing import Any

import numpy as np

from zarr_vectors.exceptions import AttributeNotFoundError, InputError
from zarr_vectors.geometry import as_ids
from zarr_vectors.spatial.box import ClosedBox
from zarr_vectors.typing import IntArray

__all__ = ["MODES", "Condition", "Selection", "choose_names"]

MODES = ("vertices", "objects", "clip")
"""What a box selects: vertices inside it, whole objects that meet it, or what is left when cut at it."""


@dataclass(frozen=True)
class Condition:
    """An attribute has one of some values.

    Args:
        name: Of the attribute.
        values: The values; None for missing.
    """

    name: str
    values: tuple[Any, ...]


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
        where: Conditions on attributes, as they were given.
        among: Of the objects asked for, those of these ids; None for all.
        leads: Rows of chunks with these leading coordinates; None for all.
        row_conditions: Those of the conditions that rows must meet.
    """

    box: ClosedBox | None = None
    object_ids: IntArray | None = None
    group_ids: IntArray | None = None
    chunks: IntArray | None = None
    attributes: tuple[str, ...] | None = None
    owners: bool = True
    places: bool = False
    lenient: bool = False
    where: tuple[Condition, ...] = ()
    among: IntArray | None = None
    leads: IntArray | None = None
    row_conditions: tuple[Condition, ...] = ()

    @classmethod
    def of(
        cls,
        axes: Sequence[str],
        *,
        bbox: Any = None,
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
        )

    @property
    def by_object(self) -> bool:
        """Whether objects are asked for by id or group."""
        return self.object_ids is not None or self.group_ids is not None

    @property
    def is_everything(self) -> bool:
        """Whether no row is left out."""
        return self.box is None and self.chunks is None and not self.by_object and not self.where

    def names_beside(self, names: Sequence[str]) -> list[str]:
        """Attributes that must be read for conditions on rows, beside these."""
        return list(dict.fromkeys(one.name for one in self.row_conditions if one.name not in names))


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
