"""The items of cells, put where they belong while the cells are decompressed: there is no copy in stored order."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from zarr_vectors.encoding.blobs import offsets_of
from zarr_vectors.encoding.limits import check_room
from zarr_vectors.encoding.payload_parts import hand_on_payloads
from zarr_vectors.rowwise import consecutive
from zarr_vectors.typing import ByteArray, IntArray

__all__ = ["ItemPlaces", "place_items"]


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
    is_sound = hand_on_payloads(cells, frames, sizes, placing.place)
    return placing.result if is_sound else None


class _Placing:
    """Items that are being placed.

    Args:
        sizes: ``(n,)`` bytes of the payload of each cell.
        places: Where items go.
    """

    def __init__(self, sizes: IntArray, places: ItemPlaces) -> None:
        self._places = places
        self._first = offsets_of(places.per_cell)[:-1]
        self._item = np.dtype((np.void, places.width))
        self.result = np.empty((int(sizes.sum()) // places.width, places.width), dtype=np.uint8)

    def place(self, cells: IntArray, payloads: list[memoryview]) -> None:
        """Place the items of these cells."""
        run = consecutive(self._first[cells], self._places.per_cell[cells])
        numbers = consecutive(self._places.starts[run], self._places.counts[run])
        items = np.frombuffer(b"".join(payloads), dtype=self._item)
        np.put(self.result.reshape(-1).view(self._item), numbers, items, mode="clip")
