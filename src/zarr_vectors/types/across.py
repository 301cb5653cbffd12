"""Links from the vertices of one level to those of another, on their way to disk."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Protocol

import numpy as np

from zarr_vectors import constants
from zarr_vectors.core.state import LevelState
from zarr_vectors.spatial.placement import anchors, offset_groups
from zarr_vectors.storage.storage import Put
from zarr_vectors.types.cell_plan import CellPlan
from zarr_vectors.types.links import LinkSink, MakeArray
from zarr_vectors.types.places import Places
from zarr_vectors.typing import AnyArray, IntArray

__all__ = ["Across", "CrossSink", "stored_cells"]


class Across(Protocol):
    """What links a new level to others."""

    def puts(self, plan: CellPlan, places: Places, array: MakeArray) -> Iterator[Put]:
        """The stored objects and documents of the links.

        Args:
            plan: How the level's rows have become cells.
            places: Where the rows of the input have come to lie.
            array: Makes arrays on the level's grid.
        """
        ...


@dataclass
class CrossSink(LinkSink):
    """Takes links whose ends but the first lie on another level.

    Args:
        other: How the rows of that level are stored.
    """

    other: CellPlan | None = None

    def add_across(
        self, own: tuple[IntArray, IntArray], far: tuple[IntArray, IntArray], columns: Mapping[str, AnyArray]
    ) -> None:
        """Take links whose ends are given by cell and row.

        Args:
            own: ``(n,)`` C-order numbers of cells of the level itself, and rows inside them.
            far: ``(n, L - 1)`` the same of the other level.
            columns: ``n`` values of each attribute.
        """
        if not len(own[0]):
            return
        assert self.other is not None
        coords = self.plan.cells.numbered_coords(own[0])
        begins = anchors(coords, self.plan.cells.chunk_shape, self.other.chunk_shape)
        groups, which = offset_groups(np.concatenate([begins[:, None], self.other.numbered_coords(far[0])], axis=1))
        records = np.empty(len(coords), dtype=self._dtype())
        records["segment"] = np.array([self._number(offsets) for offsets in groups], dtype=np.int64)[which]
        records["key"] = self.plan.cells.keys_of(coords)
        records["rank"], records["rows"] = 0, np.concatenate([own[1][:, None], far[1]], axis=1)
        for number, name in enumerate(self.plan.columns):
            records[f"a{number}"] = columns[name]
        self._keep(records)


def stored_cells(level: LevelState) -> CellPlan:
    """How the vertices of a level are cut into cells, for links that name them."""
    return CellPlan(
        arrays={constants.VERTICES: level.vertices},
        chunk_shape=level.chunk_shape,
        bin_shape=level.chunk_shape,
        bins=(1,) * len(level.chunk_shape),
        dtype=level.position_dtype,
        columns={},
        has_objects=level.has_objects,
    )
