"""The items of cells, put where they belong while the cells are decompressed: there is no copy in stored order."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import partial
from itertools import pairwise

import numpy as np

from zarr_vectors.encoding.blobs import offsets_of
from zarr_vectors.encoding.codecs import decompress_frames
from zarr_vectors.encoding.limits import check_room
from zarr_vectors.encoding.unpack import HEADER_BYTES, are_chunks
from zarr_vectors.parallel import run_all
from zarr_vectors.rowwise import consecutive
from zarr_vectors.typing import ByteArray, IntArray

__all__ = ["ItemPlaces", "place_items"]

_PART_BYTES = 1 << 20
"""What is decompressed at once: little enough to stay in the cache, and enough to be worth the calls."""


@dataclass(frozen=True, eq=False)
class ItemPlaces:
    """Where the items of one size in the payloads of cells go. Together they take each place once.

    Args:
        per_cell: ``(n,)`` runs of each cell, which fill its payload one after another.
        starts: ``(R,)`` place of the first item of each run.
        counts: ``(R,)`` its items.
        width: Bytes of an item.
    """

    per_cell: IntArray
    starts: IntArray
    counts: IntArray
    width: int


def place_items(cells: IntArray, frames: Sequence[memoryview], sizes: IntArray, places: ItemPlaces) -> ByteArray | None:
    """``(N, width)`` uint8 items of all cells in their places; None if a cell is not sound.

    Args:
        cells: ``(n,)`` numbers of the cells, in any order.
        frames: The vlen-bytes chunk of each, of one item, in a zstd frame.
        sizes: ``(n,)`` bytes of the payload of each cell, by number.
        places: Where items go.

    Raises:
        MemoryError: There is not enough for them.

    Example:
        >>> from zarr_vectors.encoding.blobs import Blobs
        >>> from zarr_vectors.encoding.codecs import ByteCodec, vlen_frame
        >>> payloads = Blobs.from_list([b"aabbcc", b"dd"])
        >>> frames = ByteCodec(zstd=(0, True)).encode(vlen_frame(payloads)).views()
        >>> places = ItemPlaces(np.array([2, 1]), np.array([3, 0, 2]), np.array([1, 2, 1]), 2)
        >>> place_items(np.arange(2), frames, payloads.sizes, places).tobytes()
        b'bbccddaa'
    """
    check_room(int(sizes.sum()))
    placing = _Placing(sizes, places)
    number = offsets_of(sizes[cells])[:-1] // _PART_BYTES
    cuts = [0, *(np.flatnonzero(np.diff(number)) + 1).tolist(), len(cells)]
    steps = [partial(placing.place, cells[start:stop], frames[start:stop]) for start, stop in pairwise(cuts)]
    run_all(steps, threaded=True)
    return placing.result if placing.is_sound else None


class _Placing:
    """Items that are being placed.

    Args:
        sizes: ``(n,)`` bytes of the payload of each cell.
        places: Where items go.
    """

    def __init__(self, sizes: IntArray, places: ItemPlaces) -> None:
        self.is_sound = True
        self._sizes = sizes
        self._places = places
        self._first = offsets_of(places.per_cell)[:-1]
        self._item = np.dtype((np.void, places.width))
        self.result = np.empty((int(sizes.sum()) // places.width, places.width), dtype=np.uint8)

    def place(self, cells: IntArray, frames: Sequence[memoryview]) -> None:
        """Place the items of these cells."""
        chunks = [memoryview(chunk) for chunk in decompress_frames(frames) or ()]
        if not are_chunks(chunks, self._sizes[cells]):
            self.is_sound = False
            return
        run = consecutive(self._first[cells], self._places.per_cell[cells])
        numbers = consecutive(self._places.starts[run], self._places.counts[run])
        items = np.frombuffer(b"".join([chunk[HEADER_BYTES:] for chunk in chunks]), dtype=self._item)
        np.put(self.result.reshape(-1).view(self._item), numbers, items, mode="clip")
