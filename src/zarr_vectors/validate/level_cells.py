"""What the cells of a level are, as far as other rules need to know it."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property

import numpy as np

from zarr_vectors import constants
from zarr_vectors.core.state import LevelState
from zarr_vectors.encoding.blobs import offsets_of
from zarr_vectors.encoding.fragments import FragmentTable
from zarr_vectors.query.values import RowFinder
from zarr_vectors.typing import BoolArray, FloatArray, IntArray
from zarr_vectors.validate.rules import Severity

__all__ = ["UNKNOWN", "LevelCells", "joined_tables", "severity_of"]

UNKNOWN = -1
"""Rows, or fragments, of a chunk whose cell cannot be read."""
NO_ROW_ID = -1
"""Less than all row ids."""


@dataclass(frozen=True, eq=False)
class LevelCells:
    """Chunks of a level, with their rows and fragments.

    Args:
        level: The level.
        coords: ``(C, K)`` the chunks, in the order in which they were read.
        rows: ``(C,)`` vertices of each chunk; ``UNKNOWN`` where they cannot be read.
        fragments: ``(C,)`` fragments of each chunk; ``UNKNOWN`` where they cannot be read.
        table: The fragments; those that cannot be used have no rows.
        owners: ``(F,)`` the owner that each fragment states; None where fragments state none.
        offsets: ``(F,)`` its place along its line that each fragment states; None where fragments state none.
        stated: ``(F,)`` whether owners and offsets could be read.
        extent: The least and the greatest coordinates; None where there are none.
        counted: Vertices of level 0 that all vertices stand for together; None where that is not told of every one.
        last_row_id: The greatest row id.
    """

    level: LevelState
    coords: IntArray
    rows: IntArray
    fragments: IntArray
    table: FragmentTable
    owners: IntArray | None
    offsets: IntArray | None
    stated: BoolArray
    extent: tuple[FloatArray, FloatArray] | None = None
    counted: int | None = None
    last_row_id: int = NO_ROW_ID

    @cached_property
    def finder(self) -> RowFinder:
        """Finds chunks."""
        return RowFinder(self.coords)

    @cached_property
    def bases(self) -> IntArray:
        """``(C + 1,)`` number of the first vertex of each chunk among all."""
        return offsets_of(np.maximum(self.rows, 0))

    @cached_property
    def firsts(self) -> IntArray:
        """``(C + 1,)`` number of the first fragment of each chunk among all."""
        return offsets_of(self.table.per_cell)

    @property
    def is_whole(self) -> bool:
        """Whether every chunk could be read."""
        return bool((self.rows >= 0).all() and (self.fragments >= 0).all())


def joined_tables(parts: Sequence[FragmentTable]) -> FragmentTable:
    """The fragments of several tables one after another."""
    none = np.zeros(0, dtype=np.int64)
    return FragmentTable(
        np.concatenate([none, *(part.per_cell for part in parts)]),
        np.concatenate([none, *(part.counts for part in parts)]),
        np.concatenate([none, *(part.starts for part in parts)]),
        np.concatenate([none, *(part.explicit for part in parts)]),
    )


def severity_of(level: LevelState) -> Severity | None:
    """How bad it is when a level breaks a rule that this library keeps, others do not, and no reader counts on."""
    declared = constants.ARRAYS_KEY in (level.document.get("attributes") or {})
    return None if declared else "warning"
