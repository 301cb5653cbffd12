"""What graphs, skeletons and meshes share: vertices connected by links."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, ClassVar

import numpy as np

from zarr_vectors.exceptions import InputError
from zarr_vectors.geometry.arrays import as_array, as_ids
from zarr_vectors.geometry.base import Geometry, Put
from zarr_vectors.geometry.columns import Column, take_column
from zarr_vectors.rowwise import take_rows
from zarr_vectors.typing import BoolArray, IntArray

__all__ = ["Linked", "as_links", "kept_links"]


@dataclass(frozen=True, eq=False, repr=False)
class Linked(Geometry):
    """What graphs, skeletons and meshes share: the owner of each vertex, and links between vertices."""

    object_ids: IntArray | None = field(default=None, kw_only=True)

    link_noun: ClassVar[str] = "edges"

    def _connect(self, put: Put) -> None:
        ids = self.object_ids
        if ids is None and (self.object_attributes or self.groups):
            # Without ids all vertices are one object, and these tables describe it.
            ids = np.zeros(len(self.positions), dtype=np.int64)
        if ids is not None:
            put(self, "object_ids", as_ids("object_ids", ids, len(self.positions)))

    @property
    def vertex_objects(self) -> IntArray | None:
        """``object_ids``."""
        return self.object_ids

    @property
    def links(self) -> IntArray:
        """``(E, L)`` vertex rows that each link connects."""
        raise NotImplementedError

    @property
    def link_attributes(self) -> Mapping[str, Column]:
        """A row for each of ``links``."""
        raise NotImplementedError

    def _of_rows(self, mask: BoolArray) -> tuple[dict[str, Any], IntArray]:
        """The per-vertex fields of the vertices of a mask, and the new row of each old one."""
        rows = np.flatnonzero(mask)
        new = np.full(len(mask), -1, dtype=np.int64)
        new[rows] = np.arange(len(rows))
        kept = {
            "positions": take_rows(self.positions, rows),
            "attributes": {name: take_column(column, rows) for name, column in self.attributes.items()},
            "object_ids": None if self.object_ids is None else take_rows(self.object_ids, rows),
            "row_ids": None if self.row_ids is None else take_rows(self.row_ids, rows),
        }
        return kept, new

    def _described(self) -> list[str]:
        return [f"{self.vertex_count} vertices", f"{len(self.links)} {self.link_noun}"]


def as_links(name: str, value: Any, rows: int, *, width: int | None = None) -> IntArray:
    """``(E, L)`` int64 vertex rows.

    Args:
        width: The ``L`` that it must be; any from 3 where None.

    Raises:
        InputError: Another shape, no integers, or a row that there is not.

    Example:
        >>> as_links("edges", [[0, 1]], 2, width=2).tolist()
        [[0, 1]]
    """
    links = as_array(name, value)
    wanted = f"(E, {width})" if width else "(F, W) with W from 3"
    if links.size == 0 and not len(links):
        least = width or 3
        columns = links.shape[1] if links.ndim == 2 and links.shape[1] >= least and not width else least
        return np.zeros((0, columns), dtype=np.int64)
    if links.ndim != 2 or (links.shape[1] != width if width else links.shape[1] < 3):
        raise InputError(f"{name} must be an {wanted} array", got=f"shape {links.shape}")
    if links.dtype.kind not in "iu":
        raise InputError(f"{name} must be integers", got=f"dtype {links.dtype}", hint="they are rows of the positions")
    if int(links.min()) < 0 or int(links.max()) >= rows:
        at = int(np.flatnonzero(((links < 0) | (links >= rows)).any(axis=1))[0])
        raise InputError(
            f"{name} name a vertex that there is not",
            got=f"{links[at].tolist()} in row {at}",
            expected=f"rows 0 to {rows - 1}",
            hint="rows count from 0; negative ones do not count from the end",
        )
    return links.astype(np.int64, copy=False)


def kept_links(links: IntArray, attributes: Mapping[str, Column], new: IntArray) -> tuple[IntArray, dict[str, Column]]:
    """The links all of whose ends are kept, in new rows."""
    moved = new[links]
    whole = (moved >= 0).all(axis=1)
    return moved[whole], {name: take_column(column, whole) for name, column in attributes.items()}
