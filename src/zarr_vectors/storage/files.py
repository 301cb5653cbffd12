"""Reading parts of open files."""

from __future__ import annotations

import os
from collections.abc import Sequence

import numpy as np

from zarr_vectors.encoding.blobs import Buffer
from zarr_vectors.storage.backend import Get

__all__ = ["Room", "read_part"]

_SMALL_BYTES = 1 << 12
_LEAST_ROOM = 8 << 20
_MOST_ROOM = 64 << 20


class Room:
    """Memory for what the ranges of a round bring, taken at once: the system is slow to give many small pieces.

    What is small comes as bytes of its own, so that keeping it does not keep the rest.
    """

    def __init__(self, requests: Sequence[Get]) -> None:
        self._wanted = sum(get.length for get in requests if get.length is not None and get.length >= _SMALL_BYTES)
        self._left = self._wanted
        self._view = memoryview(b"")

    def take(self, length: int) -> memoryview | None:
        """So many bytes to be written to; None where they are better made one by one."""
        if length < _SMALL_BYTES or self._wanted < _LEAST_ROOM:
            return None
        if len(self._view) < length:
            self._view = np.empty(max(length, min(self._left, _MOST_ROOM)), dtype=np.uint8).data
        part, self._view = self._view[:length], self._view[length:]
        self._left -= length
        return part


def read_part(handle: int, size: int, request: Get, room: Room) -> Buffer:
    """What a request asks of an open file of this size."""
    start = request.start or 0
    if start < 0:
        start = max(0, size + start)
    # Memory is taken for what is asked; a corrupt index may ask for more than there is.
    length = size - start if request.length is None else min(request.length, size - start)
    part = None if request.length is None else room.take(length)
    return _read_bytes(handle, start, length) if part is None else _read_into(part, handle, start)


def _read_bytes(handle: int, start: int, length: int) -> bytes:
    part = os.pread(handle, length, start) if length > 0 else b""
    if len(part) >= length:
        return part
    parts = [part]
    while part and len(part) < length:
        start += len(part)
        length -= len(part)
        part = os.pread(handle, length, start)
        parts.append(part)
    return b"".join(parts)


def _read_into(part: memoryview, handle: int, start: int) -> memoryview:
    done = 0
    while done < len(part):
        count = os.preadv(handle, [part[done:]], start + done)
        if not count:
            break
        done += count
    return part[:done]
