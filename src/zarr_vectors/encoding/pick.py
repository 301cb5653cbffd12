"""Parts of cells, picked while the cells are decompressed: of what is not wanted, nothing is kept."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from zarr_vectors.encoding.blobs import offsets_of, records_at
from zarr_vectors.encoding.payload_parts import hand_on_payloads
from zarr_vectors.rowwise import consecutive
from zarr_vectors.typing import AnyArray, ByteArray, IntArray

__all__ = ["ItemRuns", "pick_items"]


@dataclass(frozen=True, eq=False)
class ItemRuns:
    """Runs of items of one size in the payloads of cells; each must lie inside its payload.

    Args:
        cells: ``(R,)`` number of the cell of each run.
        starts: ``(R,)`` its first byte.
        counts: ``(R,)`` its items.
        width: Bytes of an item.
    """

    cells: IntArray
    starts: IntArray
    counts: IntArray
    width: int


def pick_items(cells: IntArray, frames: Sequence[memoryview], sizes: IntArray, runs: ItemRuns) -> ByteArray | None:
    """``(N, width)`` uint8 items of the runs one after another; None if a cell is not sound.

    Args:
        cells: ``(n,)`` numbers of the cells, in any order.
        frames: The vlen-bytes chunk of each, of one item, in a zstd frame.
        sizes: ``(n,)`` bytes of the payload of each cell, by number.
        runs: Which items.

    Example:
        >>> from zarr_vectors.encoding.blobs import Blobs
        >>> from zarr_vectors.encoding.codecs import ByteCodec, vlen_frame
        >>> payloads = Blobs.from_list([b"aabbcc", b"ddee"])
        >>> frames = ByteCodec(zstd=(0, True)).encode(vlen_frame(payloads)).views()
        >>> runs = ItemRuns(np.array([1, 0]), np.array([2, 2]), np.array([1, 2]), 2)
        >>> pick_items(np.arange(2), frames, payloads.sizes, runs).tobytes()
        b'eebbcc'
    """
    picking = _Picking(sizes, runs)
    is_sound = hand_on_payloads(cells, frames, sizes, picking.pick)
    return picking.result if is_sound else None


class _Picking:
    """Items that are being picked.

    Args:
        sizes: ``(n,)`` bytes of the payload of each cell.
        runs: Which items.
    """

    def __init__(self, sizes: IntArray, runs: ItemRuns) -> None:
        self._sizes = sizes
        self._item = np.dtype((np.void, runs.width))
        places = offsets_of(runs.counts)
        self.result = np.empty((int(places[-1]), runs.width), dtype=np.uint8)
        # Numbers of 16 bits are sorted in a fraction of the time.
        few = runs.cells.astype(np.uint16) if len(sizes) <= 2**16 else runs.cells
        order = np.argsort(few, kind="stable")
        self._starts, self._counts, self._places = runs.starts[order], runs.counts[order], places[:-1][order]
        self._first = np.searchsorted(runs.cells[order], np.arange(len(sizes) + 1))
        # Items that lie at multiples of their size are rows of a table.
        self._is_table = not (sizes % runs.width).any() and not (runs.starts % runs.width).any()

    def pick(self, cells: IntArray, payloads: list[memoryview]) -> None:
        """Pick the items of these cells."""
        wanted = self._first[cells + 1] - self._first[cells]
        run = consecutive(self._first[cells], wanted)
        counts = self._counts[run]
        before = offsets_of(counts)
        if not before[-1]:
            return
        bases = np.repeat(offsets_of(self._sizes[cells])[:-1], wanted) + self._starts[run]
        within = np.arange(before[-1])
        items = self._items(b"".join(payloads), bases, before[:-1], counts, within)
        places = np.repeat(self._places[run] - before[:-1], counts) + within
        np.put(self.result.reshape(-1).view(self._item), places, items, mode="clip")

    def _items(
        self, payloads: bytes, starts: IntArray, before: IntArray, counts: IntArray, within: IntArray
    ) -> AnyArray:
        """The items of runs that begin at these bytes of payloads that follow one another."""
        width = self._item.itemsize
        if not self._is_table:
            return records_at(payloads, np.repeat(starts - before * width, counts) + within * width, self._item)
        rows = np.repeat(starts // width - before, counts) + within
        taken: AnyArray = np.frombuffer(payloads, dtype=self._item).take(rows, mode="clip")
        return taken
