"""Level 3: where vertices lie."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from zarr_vectors.core.state import LevelState, RootState
from zarr_vectors.encoding.blobs import offsets_of
from zarr_vectors.encoding.fragments import FragmentTable
from zarr_vectors.spatial.grid import bin_numbers
from zarr_vectors.storage.cells import CellRead
from zarr_vectors.typing import AnyArray, BoolArray, FloatArray, IntArray
from zarr_vectors.validate.level_cells import severity_of
from zarr_vectors.validate.problems import Findings

__all__ = ["PositionRules"]

_EPS = float(np.finfo(np.float32).eps)


@dataclass(frozen=True)
class PositionRules:
    """What holds for the positions of a level."""

    root: RootState
    level: LevelState
    findings: Findings

    def check(
        self, read: CellRead, counts: IntArray, coords: IntArray, rows: IntArray, binned: FragmentTable | None
    ) -> tuple[FloatArray, FloatArray] | None:
        """Check the positions of some chunks.

        Args:
            read: Their cells.
            counts: ``(n,)`` rows of each cell; below 0 where they are not known.
            coords: ``(m, K)`` the chunks of the batch.
            rows: ``(m,)`` their rows.
            binned: Their fragments, where these are bins.

        Returns:
            The least and the greatest coordinates; None where there are none.
        """
        filled = np.flatnonzero(counts > 0)
        if not len(filled):
            return None
        ndim = len(self.level.chunk_shape)
        cells = read.cells if len(filled) == len(counts) else read.cells.take(filled)
        values = np.frombuffer(cells.joined(), dtype=self.level.position_dtype).reshape(-1, ndim)
        counts, chunks = counts[filled], read.coords[filled]
        low, high = _extents(values, offsets_of(counts)[:-1])
        low, high = self._finite(values, counts, chunks, low, high)
        self._check_chunks(chunks, low, high)
        self._check_bounds(chunks, low, high)
        if binned is not None and np.array_equal(chunks, coords[rows > 0]):
            self._check_bins(values, chunks, counts, rows, binned)
        return np.fmin.reduce(low, axis=0), np.fmax.reduce(high, axis=0)

    def _finite(
        self, values: AnyArray, counts: IntArray, chunks: IntArray, low: FloatArray, high: FloatArray
    ) -> tuple[FloatArray, FloatArray]:
        """Tell of cells with NaN or infinite coordinates; the extents without those."""
        bad = ~(np.isfinite(low) & np.isfinite(high)).all(axis=1)
        if not bad.any():
            return low, high
        part = values[np.repeat(bad, counts)].astype(np.float64)
        finite = np.isfinite(part)
        starts = offsets_of(counts[bad])[:-1]
        number = np.add.reduceat((~finite.all(axis=1)).astype(np.int64), starts)
        place = np.flatnonzero(bad)
        path = self.level.vertices.path
        self.findings.add_cells(
            "position_not_finite",
            path,
            chunks[place],
            np.arange(len(place)),
            lambda row: f"{number[row]} vertices",
        )
        part[~finite] = np.nan
        low, high = low.copy(), high.copy()
        low[bad] = np.fmin.reduceat(part, starts, axis=0)
        high[bad] = np.fmax.reduceat(part, starts, axis=0)
        return low, high

    def _check_chunks(self, chunks: IntArray, low: FloatArray, high: FloatArray) -> None:
        edges = np.asarray(self.level.chunk_shape, dtype=np.float64)
        places = chunks[:, chunks.shape[1] - len(edges) :].astype(np.float64)
        begin, end = places * edges, (places + 1) * edges
        # A mean rounded to float32 may leave its chunk by one unit in the last place.
        slack = np.maximum(np.abs(begin), np.abs(end)) * _EPS + self.level.rounding
        outside = (np.floor(low / edges) < places) | (np.floor(high / edges) > places)
        bad: BoolArray = np.any(outside & ((low < begin - slack) | (high > end + slack)), axis=1)
        self.findings.add_cells(
            "position_outside_chunk",
            self.level.vertices.path,
            chunks,
            bad,
            lambda row: (
                f"vertices from {low[row].tolist()} to {high[row].tolist()} in a chunk from "
                f"{begin[row].tolist()} to {end[row].tolist()}"
            ),
        )

    def _check_bounds(self, chunks: IntArray, low: FloatArray, high: FloatArray) -> None:
        first, last = (np.asarray(corner, dtype=np.float64) for corner in self.root.metadata.bounds)
        slack = np.maximum(np.abs(first), np.abs(last)) * _EPS + self.level.rounding
        bad: BoolArray = np.any((low < first - slack) | (high > last + slack), axis=1)
        self.findings.add_cells(
            "position_outside_bounds",
            self.level.vertices.path,
            chunks,
            bad,
            lambda row: (
                f"vertices from {low[row].tolist()} to {high[row].tolist()}, bounds are from {first.tolist()} "
                f"to {last.tolist()}"
            ),
            severity_of(self.level),
        )

    def _check_bins(
        self, values: AnyArray, chunks: IntArray, counts: IntArray, rows: IntArray, table: FragmentTable
    ) -> None:
        """Vertices in fragments of other bins, in chunks that have a fragment for every bin."""
        metadata = self.root.metadata
        bins = metadata.bins_per_chunk
        total = int(np.prod(bins))
        if not table.tiles(np.maximum(rows, 0)) or not ((table.per_cell == total) | (rows <= 0)).all():
            return
        fragment = np.arange(len(table.counts)) - np.repeat(offsets_of(table.per_cell)[:-1], table.per_cell)
        numbers = bin_numbers(values, metadata.chunk_shape, metadata.bin_shape, bins)
        wrong = np.add.reduceat(
            (numbers != np.repeat(fragment, table.counts)).astype(np.int64), offsets_of(counts)[:-1]
        )
        self.findings.add_cells(
            "bin_position", self.level.vertices.path, chunks, wrong > 0, lambda row: f"{wrong[row]} vertices"
        )


def _extents(values: AnyArray, starts: IntArray) -> tuple[FloatArray, FloatArray]:
    """``(n, D)`` least and greatest coordinates of each cell, column by column: numpy is slow along short rows."""
    low = np.empty((len(starts), values.shape[1]))
    high = np.empty_like(low)
    for axis in range(values.shape[1]):
        column = np.ascontiguousarray(values[:, axis])
        low[:, axis] = np.minimum.reduceat(column, starts)
        high[:, axis] = np.maximum.reduceat(column, starts)
    return low, high
