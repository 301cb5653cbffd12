"""Rows of cells, picked part by part while the cells are decompressed: of what is not wanted, nothing is kept."""

from __future__ import annotations

from collections.abc import Sequence
from functools import partial
from itertools import pairwise

import numpy as np

from zarr_vectors.encoding.blobs import offsets_of
from zarr_vectors.encoding.codecs import decompress_frames
from zarr_vectors.encoding.unpack import HEADER_BYTES, are_chunks
from zarr_vectors.parallel import run_all
from zarr_vectors.rowwise import RowRuns, consecutive
from zarr_vectors.typing import ByteArray, IntArray

__all__ = ["pick_rows"]

_PART_BYTES = 1 << 20
"""What is decompressed at once: little enough to stay in the cache, and enough to be worth the calls."""


def pick_rows(
    cells: IntArray, frames: Sequence[memoryview], sizes: IntArray, width: int, runs: RowRuns
) -> ByteArray | None:
    """``(N, width)`` uint8 rows of the payloads of cells one after another; None if a cell is not sound.

    Args:
        cells: ``(n,)`` numbers of the cells, in any order.
        frames: The vlen-bytes chunk of each, of one item, in a zstd frame.
        sizes: ``(n,)`` bytes of the payload of each cell, by number, which must be whole rows.
        width: Bytes of a row.
        runs: Which rows; each run lies in one cell.

    Example:
        >>> from zarr_vectors.encoding.blobs import Blobs
        >>> from zarr_vectors.encoding.codecs import ByteCodec, vlen_frame
        >>> payloads = Blobs.from_list([b"aabbcc", b"ddee"])
        >>> frames = ByteCodec(zstd=(0, True)).encode(vlen_frame(payloads)).views()
        >>> runs = RowRuns(np.array([4, 1]), np.array([1, 2]))
        >>> pick_rows(np.arange(2), frames, payloads.sizes, 2, runs).tobytes()
        b'eebbcc'
    """
    picking = _Picking(sizes, width, runs)
    number = offsets_of(sizes[cells])[:-1] // _PART_BYTES
    cuts = [0, *(np.flatnonzero(np.diff(number)) + 1).tolist(), len(cells)]
    steps = [partial(picking.pick, cells[start:stop], frames[start:stop]) for start, stop in pairwise(cuts)]
    run_all(steps, threaded=True)
    return picking.result if picking.is_sound else None


class _Picking:
    """Rows that are being picked.

    Args:
        sizes: ``(n,)`` bytes of the payload of each cell.
        width: Bytes of a row.
        runs: Which rows.
    """

    def __init__(self, sizes: IntArray, width: int, runs: RowRuns) -> None:
        self._sizes = sizes
        self.is_sound = True
        self.result = np.empty((len(runs), width), dtype=np.uint8)
        self._item = np.dtype((np.void, width))
        bases = offsets_of(sizes // width)
        cell = np.searchsorted(bases, runs.starts, side="right") - 1
        order = np.argsort(cell, kind="stable")
        self._starts = (runs.starts - bases[cell])[order]
        self._counts = runs.counts[order]
        self._places = offsets_of(runs.counts)[:-1][order]
        self._first = np.searchsorted(cell[order], np.arange(len(sizes) + 1))

    def pick(self, cells: IntArray, frames: Sequence[memoryview]) -> None:
        """Pick the rows of these cells."""
        chunks = [memoryview(chunk) for chunk in decompress_frames(frames) or ()]
        if not are_chunks(chunks, self._sizes[cells]):
            self.is_sound = False
            return
        wanted = self._first[cells + 1] - self._first[cells]
        run = consecutive(self._first[cells], wanted)
        counts = self._counts[run]
        before = offsets_of(counts)
        if not before[-1]:
            return
        table = np.frombuffer(b"".join([chunk[HEADER_BYTES:] for chunk in chunks]), dtype=self._item)
        bases = offsets_of(self._sizes[cells] // self._item.itemsize)[:-1]
        within = np.arange(before[-1])
        rows = np.repeat(np.repeat(bases, wanted) + self._starts[run] - before[:-1], counts) + within
        places = np.repeat(self._places[run] - before[:-1], counts) + within
        target = self.result.reshape(-1).view(self._item)
        np.put(target, places, table.take(rows, mode="clip"), mode="clip")
