"""By what a store is to be chunked, as one value."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from zarr_vectors.exceptions import InputError

__all__ = ["ATTRIBUTE", "COARSER", "DROP", "GROUP", "KEEP", "OBJECT_ID", "SPATIAL", "RechunkSpec"]

GROUP = "group"
OBJECT_ID = "object_id"
SPATIAL = "spatial"
ATTRIBUTE = "attribute"
KEEP, DROP = "keep", "drop"
COARSER = (KEEP, SPATIAL, DROP)
"""What becomes of coarser levels: cut as level 0, cut by space alone, or left out."""
_PREFIX = f"{ATTRIBUTE}:"


@dataclass(frozen=True)
class RechunkSpec:
    """By what a store is to be chunked.

    Args:
        by: ``"group"``, ``"object_id"``, ``"attribute:<name>"`` of an object attribute (or, where there is none of
            that name, of a vertex attribute), or ``"spatial"`` for space alone.
        bins: Ascending lower ends of bins of object ids or attribute values: bin ``i`` holds what is at least
            ``bins[i]`` and less than the next end, the last one all that is larger, the first one all that is smaller
            too. Without them each object id is a bin of its own; so is each value of an attribute if there are at
            most 10, else the quartiles bound four bins.
        spatial_chunk_shape: New edge lengths of chunks in data units, one for all axes or one per axis; by default they
            stay.
        prefix_dim_name: What the axis before the spatial ones is called; by default ``"group"``, ``"object_id"`` or
            ``"attribute"``.
        categorical: Whether each value of an attribute is a bin of its own however many there are; always so for text.
            Ignored with ``bins``.

    Example:
        >>> RechunkSpec("attribute:length", bins=[0, 10, 100]).dimension_name
        'attribute'
    """

    by: str
    bins: Sequence[float] | None = None
    spatial_chunk_shape: float | Sequence[float] | None = None
    prefix_dim_name: str | None = None
    categorical: bool = False

    @property
    def dimension_name(self) -> str:
        """Name of the axis before the spatial ones."""
        return self.prefix_dim_name or self.by.partition(":")[0]

    @property
    def attribute(self) -> str | None:
        """The attribute to chunk by; None for anything else."""
        return self.by.removeprefix(_PREFIX) if self.by.startswith(_PREFIX) else None

    def check(self) -> None:
        """Refuse what cannot be meant.

        Raises:
            InputError: ``by`` is not known, bins are not ascending numbers or stand beside something that has none, or
                a name is no text.
        """
        by: Any = self.by
        name: Any = self.prefix_dim_name
        if not isinstance(by, str) or (by not in {GROUP, OBJECT_ID, SPATIAL} and not self.attribute):
            raise InputError(
                "by is not known", got=repr(by), expected="'group', 'object_id', 'spatial' or 'attribute:<name>'"
            )
        if name is not None and (not isinstance(name, str) or not name):
            raise InputError("prefix_dim_name must be text", got=repr(name))
        if by == SPATIAL and name is not None:
            raise InputError("chunks by space alone have no axis that prefix_dim_name could name")
        if not isinstance(self.categorical, bool):
            raise InputError("categorical must be True or False", got=repr(self.categorical))
        if self.bins is not None:
            self._check_bins(self.bins)

    def _check_bins(self, bins: Any) -> None:
        if self.by in {GROUP, SPATIAL}:
            raise InputError(f"bins are for object ids and attributes, not for by={self.by!r}", got=repr(bins))
        ends = np.asarray(bins)
        if ends.ndim != 1 or not len(ends) or ends.dtype.kind not in "iuf" or not np.isfinite(ends).all():
            raise InputError("bins must be finite numbers, at least one", got=repr(bins))
        if not (ends[1:] > ends[:-1]).all():
            raise InputError("bins must ascend", got=repr(bins))
