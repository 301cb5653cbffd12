"""Level 3: fragments and the rows that they name."""

from __future__ import annotations

from collections.abc import Sequence
from math import prod

import numpy as np

from zarr_vectors.core.state import LevelState
from zarr_vectors.encoding.blobs import offsets_of
from zarr_vectors.encoding.fragments import FragmentTable
from zarr_vectors.storage.cells import CellRead
from zarr_vectors.typing import BoolArray, IntArray
from zarr_vectors.validate.problems import Findings

__all__ = ["FragmentRules"]

_NO_LIMIT = np.iinfo(np.int64).max


class FragmentRules:
    """The fragment indexes of some chunks.

    Args:
        read: Their cells.
        table: The fragments.
        rows: ``(n,)`` vertices of each chunk; below 0 where they are not known.
        usable: ``(n,)`` whether each index could be decoded.
    """

    def __init__(
        self,
        level: LevelState,
        read: CellRead,
        table: FragmentTable,
        rows: IntArray,
        usable: BoolArray,
        findings: Findings,
    ) -> None:
        self.level = level
        self.read = read
        self.table = table
        self.rows = rows
        self.usable = usable
        self.findings = findings

    def check(self, bins: Sequence[int] | None) -> FragmentTable:
        """Check all; the table, in which fragments that name rows beyond their chunk have none.

        Args:
            bins: Bins of a chunk along each axis, where fragments are bins.
        """
        table, rows = self.table, np.maximum(self.rows, 0)
        whole = bool((self.rows >= 0).all() and self.usable.all())
        tiles = whole and table.tiles(rows)
        if not tiles:
            self._check_claim()
            table = self._within()
            self._check_covered(table)
        if bins is not None:
            over = self.usable & (table.per_cell > prod(bins))
            self._tell("bin_count", over, lambda row: f"{table.per_cell[row]} fragments, {prod(bins)} bins")
        return table

    def _tell(self, kind: str, bad: BoolArray, message: object) -> None:
        self.findings.add_cells(kind, self.read.array.path, self.read.coords, bad, message)  # type: ignore[arg-type]

    def _check_claim(self) -> None:
        """Cells in which fragments are not ranges that follow one another through all rows."""
        if not self.level.metadata.fragments_tile or self.level.is_unordered:
            return
        table = self.table
        known = self.usable & (self.rows >= 0)
        wrong = table.rows_per_cell() != self.rows
        before = offsets_of(table.counts)[:-1]
        first = np.append(before, 0)[offsets_of(table.per_cell)[:-1]]
        expected = before - np.repeat(first, table.per_cell)
        wrong[table.cell_of[table.starts != expected]] = True
        self._tell(
            "fragments_tile", known & wrong, lambda _: "its fragments do not follow one another through all rows"
        )

    def _within(self) -> FragmentTable:
        """The table without fragments that name rows beyond those of their chunk."""
        table = self.table
        limit = np.repeat(np.where(self.rows >= 0, self.rows, _NO_LIMIT), table.per_cell)
        ranges = table.starts >= 0
        # Subtracted, so that no sum overflows.
        outside = ranges & ((table.starts > limit) | (table.counts > limit - table.starts))
        explicit = np.repeat(np.flatnonzero(~ranges), table.counts[~ranges])
        if len(table.explicit):
            beyond = (table.explicit < 0) | (table.explicit >= limit[explicit])
            outside[explicit[beyond]] = True
        if not outside.any():
            return table
        bad = np.bincount(table.cell_of[outside], minlength=len(self.rows)).astype(bool)
        self._tell("fragment_rows", bad, lambda row: f"a fragment names rows beyond the {self.rows[row]} of its chunk")
        counts, starts = table.counts.copy(), table.starts.copy()
        counts[outside], starts[outside] = 0, 0
        return FragmentTable(table.per_cell, counts, starts, table.explicit[~outside[explicit]])

    def _check_covered(self, table: FragmentTable) -> None:
        """Rows that no fragment names, told without listing those that many name many times."""
        rows = np.maximum(self.rows, 0)
        bases = offsets_of(rows)
        known = self.usable & (self.rows > 0)
        ranges = (table.starts >= 0) & np.repeat(self.rows >= 0, table.per_cell)
        base = np.repeat(bases[:-1], table.per_cell)
        steps = np.zeros(int(bases[-1]) + 1, dtype=np.int64)
        np.add.at(steps, (base + table.starts)[ranges], 1)
        np.add.at(steps, (base + table.starts + table.counts)[ranges], -1)
        covered = np.cumsum(steps[:-1]) > 0
        if len(table.explicit):
            listed = table.starts < 0
            numbers = table.explicit + np.repeat(base[listed], table.counts[listed])
            there = np.repeat(np.repeat(self.rows >= 0, table.per_cell)[listed], table.counts[listed])
            covered[numbers[there]] = True
        named = offsets_of(covered.astype(np.int64))[bases]
        left = rows - np.diff(named)
        self._tell("rows_unreferenced", known & (left > 0), lambda row: f"{left[row]} of {rows[row]} rows")
