"""The quick way out of zstd: sound cells, part by part, into one buffer.

Frames that state their size tell where each payload will lie before anything is decompressed, so that threads can
fill their parts of one buffer. Whatever is not plain (a frame without a size, a corrupt cell) is refused here and left
to ``ByteCodec.decode_framed``, which takes the cells one by one and says what is wrong with which.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from zarr_vectors.encoding.blobs import Blobs, offsets_of, records_at
from zarr_vectors.encoding.codecs import CAN_BATCH, decompress_batch, decompress_one
from zarr_vectors.encoding.limits import check_room, most_content
from zarr_vectors.typing import AnyArray, ByteArray, IntArray

__all__ = [
    "FRAME_HEAD_BYTES",
    "HEADER_BYTES",
    "PART_BYTES",
    "PayloadBuffer",
    "are_chunks",
    "frame_sizes",
    "payload_sizes",
]

PART_BYTES = 1 << 19
"""What is decompressed at once: little enough to stay in the cache until it has been copied."""
HEADER_BYTES = 8
"""What a vlen-bytes chunk of one item has before its payload."""
_LARGEST = 2**40
_LARGE_CELL = 1 << 13
"""From here on, cells are best decompressed one by one: a copy less is worth more than a call less."""
_HUGE_CELL = 1 << 16
"""From here on, threads get in each other's way no longer when they take cells one by one."""
_SMALL_CELL = 1024
"""Below it the copies of single cells cost more than looking at every word."""
_FRAME_HEAD = np.dtype([("magic", "<u4"), ("flags", "u1"), ("size", "<u8")])
"""Of a zstd frame without window and dictionary; the size is 1, 2, 4 or 8 bytes wide."""
FRAME_HEAD_BYTES = _FRAME_HEAD.itemsize
"""So much of a frame tells its size."""
_MAGIC = 0xFD2FB528
_SINGLE_SEGMENT = 0b00100000
_FLAGS_THAT_MATTER = 0b00101011
"""Single segment, a reserved bit, and how wide the number of the dictionary is."""
_SIZE_MASK = np.array([2**8 - 1, 2**16 - 1, 2**32 - 1, 2**64 - 1], dtype=np.uint64)
_SIZE_BASE = np.array([0, 256, 0, 0])
_KEPT_BYTES = 1 << 24

# glibc keeps freed memory for the next read once it has seen so large a piece come and go; before that, it gives it
# back, and the system clears it page by page for every read, which takes longer than many a read itself.
np.empty(_KEPT_BYTES, dtype=np.uint8)


def frame_sizes(frames: Blobs) -> IntArray:
    """``(n,)`` content size that each zstd frame states; -1 where it states none or is no single-segment frame.

    Example:
        >>> from zarr_vectors.encoding.codecs import ByteCodec
        >>> frames = ByteCodec(zstd=(0, True)).encode(Blobs.from_list([b"abc", b"x" * 1000]))
        >>> frame_sizes(frames).tolist()
        [3, 1000]
    """
    sizes = np.full(len(frames), -1, dtype=np.int64)
    rows = np.flatnonzero(frames.sizes >= _FRAME_HEAD.itemsize)
    heads = records_at(frames.data, frames.starts[rows], _FRAME_HEAD)
    flags = heads["flags"]
    width = flags >> 6
    size = heads["size"] & _SIZE_MASK[width]
    plain = (heads["magic"] == _MAGIC) & (flags & _FLAGS_THAT_MATTER == _SINGLE_SEGMENT) & (size < _LARGEST)
    sizes[rows[plain]] = size[plain].astype(np.int64) + _SIZE_BASE[width[plain]]
    return sizes


def payload_sizes(frame_sizes: IntArray, stored: IntArray) -> IntArray | None:
    """``(n,)`` bytes of the one item of each vlen-bytes chunk in a frame; None where the quick way is closed.

    Args:
        frame_sizes: ``(n,)`` content size that each frame states.
        stored: ``(n,)`` bytes of each frame.
    """
    if not CAN_BATCH or not len(frame_sizes) or int(frame_sizes.min()) < HEADER_BYTES:
        return None
    if (frame_sizes > most_content(stored)).any():
        return None
    return frame_sizes - HEADER_BYTES


class PayloadBuffer:
    """The payloads of many cells, one after another, to be filled in parts.

    Args:
        sizes: ``(n,)`` bytes of each payload.
    """

    def __init__(self, sizes: IntArray) -> None:
        self.sizes = sizes
        self.offsets = offsets_of(sizes)
        self.buffer: ByteArray = np.empty(int(self.offsets[-1]), dtype=np.uint8)
        mean = int(self.offsets[-1]) // max(1, len(sizes))
        self._one_by_one = mean >= _LARGE_CELL
        self.splits = not _LARGE_CELL <= mean < _HUGE_CELL
        """Whether filling it in parts at the same time is any faster."""

    @classmethod
    def for_frames(cls, frame_sizes: IntArray, stored: IntArray) -> PayloadBuffer | None:
        """For vlen-bytes chunks of one item in frames; None where the quick way is closed.

        Args:
            frame_sizes: ``(n,)`` content size that each frame states.
            stored: ``(n,)`` bytes of each frame.

        Raises:
            MemoryError: There is not enough for them.
        """
        sizes = payload_sizes(frame_sizes, stored)
        if sizes is None:
            return None
        check_room(int(frame_sizes.sum()))
        return cls(sizes)

    def parts(self, rows: IntArray) -> list[IntArray]:
        """Split ``rows`` into parts of about ``PART_BYTES``; their places in it."""
        number = offsets_of(self.sizes[rows])[:-1] // PART_BYTES
        return np.split(np.arange(len(rows)), np.flatnonzero(np.diff(number)) + 1)

    def fill(self, rows: IntArray, frames: Blobs) -> bool:
        """Put the payloads of these frames in the places of ascending ``rows``; False if a cell is not sound."""
        if self._one_by_one:
            return self._fill_one_by_one(rows, frames)
        decoded = decompress_batch(frames)
        if decoded is None:
            return False
        packed = _payloads(b"".join(decoded), self.sizes[rows])
        if packed is None:
            return False
        if len(rows) == len(self.sizes):
            self.buffer = packed
            return True
        at = 0
        for run in np.split(rows, np.flatnonzero(np.diff(rows) != 1) + 1):
            start, end = int(self.offsets[run[0]]), int(self.offsets[run[-1] + 1])
            self.buffer[start:end] = packed[at : at + end - start]
            at += end - start
        return True

    def _fill_one_by_one(self, rows: IntArray, frames: Blobs) -> bool:
        heads = []
        places = zip(self.offsets[rows].tolist(), self.sizes[rows].tolist(), frames.views(), strict=True)
        for start, size, frame in places:
            decoded = decompress_one(frame)
            if decoded is None or len(decoded) != size + HEADER_BYTES:
                return False
            heads.append(decoded[:HEADER_BYTES])
            # Unlike a copy of memory views, this lets other threads go on.
            self.buffer[start : start + size] = np.frombuffer(decoded, np.uint8, size, HEADER_BYTES)
        return bool((np.frombuffer(b"".join(heads), "<u8") == self.sizes[rows] << 32 | 1).all())

    def blobs(self) -> Blobs:
        """The payloads, packed."""
        return Blobs.packed(self.buffer, self.sizes)


def are_chunks(chunks: Sequence[memoryview], sizes: IntArray) -> bool:
    """Whether each is a vlen-bytes chunk of one item, with a payload of this size."""
    if list(map(len, chunks)) != (sizes + HEADER_BYTES).tolist():
        return False
    heads = b"".join([chunk[:HEADER_BYTES] for chunk in chunks])
    return bool((np.frombuffer(heads, "<u8") == sizes << 32 | 1).all())


def _payloads(whole: bytes, sizes: IntArray) -> AnyArray | None:
    """Payloads of these sizes, of vlen-bytes chunks of one item; None if the chunks are something else."""
    starts = offsets_of(sizes + HEADER_BYTES)
    heads = starts[:-1]
    if len(whole) != starts[-1] or (records_at(whole, heads, np.dtype("<u8")) != sizes << 32 | 1).any():
        return None
    total = len(whole) - HEADER_BYTES * len(sizes)
    if total >= _SMALL_CELL * len(sizes) or (sizes % 4).any():
        return Blobs(whole, heads + HEADER_BYTES, sizes).to_array()
    words = np.frombuffer(whole, "<u4")
    keep = np.ones(len(words), dtype=bool)
    keep[heads // 4] = False
    keep[heads // 4 + 1] = False
    return words[keep].view(np.uint8)
