"""Level 3: records of links, and the vertices that they name."""

from __future__ import annotations

from dataclasses import dataclass
from math import factorial
from typing import Any

import numpy as np

from zarr_vectors.core.links import LinkFamily, Segment
from zarr_vectors.encoding.blobs import offsets_of
from zarr_vectors.encoding.links import decode_grouped, decode_plain, permutations_at
from zarr_vectors.storage.cells import CellRead
from zarr_vectors.typing import BoolArray, IntArray
from zarr_vectors.validate.level_cells import LevelCells
from zarr_vectors.validate.problems import Findings

__all__ = ["Ends", "RecordRules"]


@dataclass(frozen=True)
class Ends:
    """Where the ends of links lie.

    Args:
        source: Chunks of the level whose links they are.
        target: Chunks of the level of all ends but the first; None where it cannot be read.
        ratio: Chunks of the target level in one of the source, along each axis.
    """

    source: LevelCells
    target: LevelCells | None
    ratio: Any

    def chunks(self, coords: IntArray, place: int, offset: IntArray) -> tuple[LevelCells | None, IntArray]:
        """The level of an end, and its chunk for links of these chunks."""
        if place == 0:
            return self.source, coords
        if self.target is self.source:
            return self.source, coords + offset
        return self.target, np.floor(coords * self.ratio).astype(np.int64) + offset


class RecordRules:
    """Some cells of a segment.

    Args:
        delta: Name of the family.
        read: The cells.
        usable: ``(n,)`` whether each could be read.
    """

    def __init__(
        self,
        family: LinkFamily,
        segment: Segment,
        delta: str,
        read: CellRead,
        usable: BoolArray,
        findings: Findings,
    ) -> None:
        self.family = family
        self.segment = segment
        self.delta = delta
        self.read = read
        self.usable = usable
        self.findings = findings
        self.path = read.array.path

    @property
    def is_plain(self) -> bool:
        """Whether cells hold rows without a header."""
        return self.delta == "0" and self.segment.is_plain

    @property
    def is_first_copy(self) -> bool:
        """Of the copies of a link, the one stored with the least of its chunks counts."""
        chunks = [[0] * self.segment.array.ndim, *self.segment.offsets.tolist()]
        return bool(min(chunks) == chunks[0])

    def decode(self) -> None:
        """Decode the records, and tell of the cells that cannot be decoded."""
        segment, width = self.segment, self.family.width + self.segment.has_perm
        decode = decode_plain if self.is_plain else decode_grouped
        self.records, counts, errors = decode(self.read.cells, segment.dtype, width)
        bad = np.array([row for row in errors if self.usable[row]], dtype=np.int64)
        self.findings.add_cells("link_records", self.path, self.read.coords, bad, lambda row: errors[row])
        good = self.usable.copy()
        good[list(errors)] = False
        self.per_cell = np.where(good, counts, -1)
        self.counts = counts
        self.starts = offsets_of(counts)

    def check(self, ends: Ends) -> IntArray:
        """Check what the records name.

        Returns:
            ``(E, L)`` number of each end among all vertices of its level, ends as they were given; -1 for none.
        """
        rows = self.records[:, int(self.segment.has_perm) :].astype(np.int64)
        numbers = np.full(rows.shape, -1, dtype=np.int64)
        zero = np.zeros(self.segment.array.ndim, dtype=np.int64)
        for place, offset in enumerate([zero, *self.segment.offsets]):
            level, chunks = ends.chunks(self.read.coords, place, offset)
            if level is not None:
                numbers[:, place] = self._check_end(level, chunks, rows[:, place])
        self._check_order(rows)
        return self._as_given(numbers)

    def _check_end(self, level: LevelCells, chunks: IntArray, rows: IntArray) -> IntArray:
        cell = level.finder.find(chunks)
        limit = np.append(level.rows, 0)[cell]
        missing = (limit == 0) & (self.counts > 0)
        self.findings.add_cells(
            "link_chunk",
            self.path,
            self.read.coords,
            missing,
            lambda row: (
                f"it leads to chunk {'.'.join(map(str, chunks[row].tolist()))} of level {level.level.number}, "
                "which has no vertices"
            ),
        )
        limits = np.repeat(limit, self.counts)
        there = limits > 0
        beyond = there & ((rows < 0) | (rows >= limits))
        number = np.diff(offsets_of(beyond.astype(np.int64))[self.starts])

        def message(row: int) -> str:
            first = int(self.starts[row]) + int(np.flatnonzero(beyond[self.starts[row] : self.starts[row + 1]])[0])
            chunk = ".".join(map(str, chunks[row].tolist()))
            return (
                f"{number[row]} links name rows beyond the {limit[row]} of chunk {chunk} of level "
                f"{level.level.number}, the first is row {rows[first]}"
            )

        self.findings.add_cells("link_row", self.path, self.read.coords, number > 0, message)
        bases = np.repeat(level.bases[np.maximum(cell, 0)], self.counts) if len(level.rows) else rows * 0
        return np.where(there & ~beyond, bases + rows, -1)

    def _check_order(self, rows: IntArray) -> None:
        """Ranks of permutations, and the order of ends in one chunk, which undirected links are stored in."""
        if not self.segment.has_perm:
            return
        width = self.family.width
        ranks = self.records[:, 0].astype(np.int64)
        wrong = (ranks < 0) | (ranks >= factorial(width))
        if not self.family.duplicate and not self.family.directed:
            chunks = np.concatenate([np.zeros((1, self.segment.array.ndim), dtype=np.int64), self.segment.offsets])
            for place in range(width - 1):
                if (chunks[place] == chunks[place + 1]).all():
                    wrong |= rows[:, place] > rows[:, place + 1]
        number = np.diff(offsets_of(wrong.astype(np.int64))[self.starts])
        self.findings.add_cells(
            "link_order",
            self.path,
            self.read.coords,
            number > 0,
            lambda row: f"{number[row]} links of {self.counts[row]}",
        )

    def _as_given(self, numbers: IntArray) -> IntArray:
        if not self.segment.has_perm:
            return numbers
        width = self.family.width
        ranks = np.clip(self.records[:, 0].astype(np.int64), 0, factorial(width) - 1)
        given = np.empty_like(numbers)
        np.put_along_axis(given, permutations_at(ranks, width), numbers, axis=1)
        return given
