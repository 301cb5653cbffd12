"""The payloads of cells, handed on part by part while the cells are decompressed, and not kept."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from functools import partial
from itertools import pairwise

import numpy as np

from zarr_vectors.encoding.blobs import offsets_of
from zarr_vectors.encoding.codecs import decompress_frames
from zarr_vectors.encoding.unpack import HEADER_BYTES, are_chunks
from zarr_vectors.parallel import run_all
from zarr_vectors.typing import IntArray

__all__ = ["hand_on_payloads"]

_PART_BYTES = 1 << 20
"""What is decompressed at once: little enough to stay in the cache, and enough to be worth the calls."""


def hand_on_payloads(
    cells: IntArray,
    frames: Sequence[memoryview],
    sizes: IntArray,
    take: Callable[[IntArray, list[memoryview]], None],
) -> bool:
    """Call ``take`` with the payloads of all cells, part by part; False if a cell is not sound.

    Args:
        cells: ``(n,)`` numbers of the cells, in any order.
        frames: The vlen-bytes chunk of each, of one item, in a zstd frame.
        sizes: ``(n,)`` bytes of the payload of each cell, by number.
        take: Gets ``(m,)`` numbers of some cells and their payloads; several threads call it side by side.
    """
    all_sound = True

    def hand_on(start: int, stop: int) -> None:
        nonlocal all_sound
        chunks = [memoryview(chunk) for chunk in decompress_frames(frames[start:stop]) or ()]
        if are_chunks(chunks, sizes[cells[start:stop]]):
            take(cells[start:stop], [chunk[HEADER_BYTES:] for chunk in chunks])
        else:
            all_sound = False

    number = offsets_of(sizes[cells])[:-1] // _PART_BYTES
    cuts = [0, *(np.flatnonzero(np.diff(number)) + 1).tolist(), len(cells)]
    run_all([partial(hand_on, start, stop) for start, stop in pairwise(cuts)], threaded=True)
    return all_sound
