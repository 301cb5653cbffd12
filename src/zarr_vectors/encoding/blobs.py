"""Many byte strings in one buffer: the form in which cells walk through the library."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Any, TypeAlias

import numpy as np

from zarr_vectors.typing import AnyArray, ByteArray, IntArray

__all__ = ["Blobs", "Buffer", "offsets_of", "records_at"]

Buffer: TypeAlias = bytes | bytearray | memoryview


def offsets_of(sizes: IntArray) -> IntArray:
    """``(n + 1,)`` running sum of sizes, beginning with 0.

    Example:
        >>> offsets_of(np.array([2, 0, 3])).tolist()
        [0, 2, 2, 5]
    """
    offsets = np.zeros(len(sizes) + 1, dtype=np.int64)
    np.cumsum(sizes, out=offsets[1:])
    return offsets


def records_at(data: Buffer, starts: IntArray, dtype: np.dtype[Any]) -> AnyArray:
    r"""``(n,)`` one item of ``dtype`` from each byte offset, aligned or not; all must lie inside the buffer.

    Example:
        >>> records_at(b"\1\2\0\3\0", np.array([3, 1]), np.dtype("<u2")).tolist()
        [3, 2]
    """
    places = len(data) - dtype.itemsize + 1
    if places <= 0:
        return np.zeros(0, dtype=dtype)[starts]
    # Overlapping items, one for each byte: numpy then copies whole items rather than bytes, or field by field.
    whole = np.dtype((np.void, dtype.itemsize)) if dtype.names else dtype
    overlapping: AnyArray = np.ndarray((places,), whole, buffer=data, strides=(1,))
    return overlapping[starts].view(dtype)


@dataclass(frozen=True, eq=False)
class Blobs:
    """``n`` byte strings that lie in one buffer, in any order and with any gaps.

    Args:
        data: The buffer.
        starts: ``(n,)`` int64 offset of each string.
        sizes: ``(n,)`` int64 length of each string.

    Example:
        >>> blobs = Blobs.from_list([b"ab", b"", b"cde"])
        >>> len(blobs), bytes(blobs[2]), blobs.take(np.array([2, 0])).to_list()
        (3, b'cde', [b'cde', b'ab'])
    """

    data: Buffer
    starts: IntArray
    sizes: IntArray

    @classmethod
    def from_list(cls, items: Sequence[Buffer]) -> Blobs:
        """Copy byte strings into one buffer."""
        sizes = np.fromiter(map(len, items), dtype=np.int64, count=len(items))
        return cls.packed(b"".join(items), sizes)

    @classmethod
    def packed(cls, data: Buffer | ByteArray, sizes: IntArray) -> Blobs:
        """Byte strings that follow one another without gaps from the start of ``data``."""
        sizes = np.asarray(sizes, dtype=np.int64)
        buffer = np.ascontiguousarray(data).data.cast("B") if isinstance(data, np.ndarray) else data
        return cls(buffer, offsets_of(sizes)[:-1], sizes)

    @classmethod
    def concatenate(cls, parts: Iterable[Blobs]) -> Blobs:
        """All strings of all parts, in order; buffers are joined with what else they hold."""
        parts = list(parts)
        if len(parts) == 1:
            return parts[0]
        none = np.zeros(0, dtype=np.int64)
        bases = offsets_of(np.array([len(part.data) for part in parts], dtype=np.int64))[:-1]
        starts = [none, *(part.starts + base for part, base in zip(parts, bases, strict=True))]
        sizes = [none, *(part.sizes for part in parts)]
        return cls(b"".join(part.data for part in parts), np.concatenate(starts), np.concatenate(sizes))

    def __len__(self) -> int:
        return len(self.starts)

    def __getitem__(self, index: int) -> memoryview:
        start = int(self.starts[index])
        return memoryview(self.data)[start : start + int(self.sizes[index])]

    def views(self) -> list[memoryview]:
        """A view of each string."""
        view = memoryview(self.data)
        starts = self.starts.tolist()
        ends = (self.starts + self.sizes).tolist()
        return [view[start:end] for start, end in zip(starts, ends, strict=True)]

    def heads(self, size: int) -> list[memoryview]:
        """A view of the first bytes of each string, at most ``size``."""
        view = memoryview(self.data)
        ends = (self.starts + np.minimum(self.sizes, size)).tolist()
        return [view[start:end] for start, end in zip(self.starts.tolist(), ends, strict=True)]

    def to_list(self) -> list[bytes]:
        """A copy of each string."""
        return [bytes(view) for view in self.views()]

    def take(self, rows: IntArray) -> Blobs:
        """The strings of these rows; nothing is copied."""
        return Blobs(self.data, self.starts[rows], self.sizes[rows])

    def part(self, start: int, stop: int) -> Blobs:
        """The strings from one row to another, without the bytes around them where they follow one another."""
        if start == 0 and stop == len(self):
            return self
        starts, sizes = self.starts[start:stop], self.sizes[start:stop]
        ends = starts + sizes
        if not len(starts) or (starts[1:] != ends[:-1]).any():
            return Blobs(self.data, starts, sizes)
        first, last = int(starts[0]), int(ends[-1])
        return Blobs(memoryview(self.data)[first:last], starts - first, sizes)

    @property
    def total(self) -> int:
        """Sum of all sizes in bytes."""
        return int(self.sizes.sum())

    @property
    def is_packed(self) -> bool:
        """Whether the strings follow one another without gaps and fill the buffer."""
        return self.total == len(self.data) and bool(np.array_equal(self.starts, offsets_of(self.sizes)[:-1]))

    def joined(self) -> Buffer:
        """The strings one after another; no copy where they already lie so."""
        return self.data if self.is_packed else b"".join(self.views())

    def to_array(self) -> ByteArray:
        """The joined strings as a 1-D uint8 array."""
        return np.frombuffer(self.joined(), dtype=np.uint8)
