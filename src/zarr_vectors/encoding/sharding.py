"""Shards of the Zarr v3 ``sharding_indexed`` codec: many encoded cells and an index in one object."""

from __future__ import annotations

import struct
from functools import lru_cache
from math import prod

import google_crc32c
import numpy as np

from zarr_vectors.encoding.blobs import Blobs, Buffer, offsets_of
from zarr_vectors.typing import AnyArray, IntArray

__all__ = ["MISSING", "decode_shard_index", "encode_shard", "index_size", "morton_rank"]

MISSING = 2**64 - 1


def index_size(cells: int, crc32c: bool) -> int:
    """Bytes of the index of a shard of so many cells."""
    return 16 * cells + 4 * crc32c


@lru_cache(maxsize=64)
def morton_rank(shape: tuple[int, ...]) -> IntArray:
    """``(prod(shape),)`` place of each cell, by C-order number, in the Morton order that zarr-python writes.

    Bits of the coordinates are interleaved, lowest first, each axis taking part only as long as its length needs.

    Example:
        >>> morton_rank((2, 2)).tolist()
        [0, 2, 1, 3]
    """
    coords = np.stack(np.unravel_index(np.arange(prod(shape)), shape), axis=1).astype(np.int64)
    bits = [(length - 1).bit_length() for length in shape]
    code = np.zeros(len(coords), dtype=np.int64)
    place = 0
    for bit in range(max(bits, default=0)):
        for axis, width in enumerate(bits):
            if bit < width:
                code |= ((coords[:, axis] >> bit) & 1) << place
                place += 1
    rank = np.empty(len(code), dtype=np.int64)
    rank[np.argsort(code, kind="stable")] = np.arange(len(code))
    rank.flags.writeable = False
    return rank


def encode_shard(
    cells: Blobs, numbers: IntArray, shape: tuple[int, ...], *, crc32c: bool = True, index_at_end: bool = True
) -> bytes:
    """Lay encoded cells into a shard with its index.

    Args:
        cells: The encoded cells.
        numbers: ``(n,)`` C-order number of each cell inside the shard.
        shape: Cells of the shard along each axis.
        crc32c: Whether a CRC32C follows the index.
        index_at_end: Whether the index follows the cells, or comes before them.

    Example:
        >>> shard = encode_shard(Blobs.from_list([b"abc"]), np.array([1]), (2,))
        >>> decode_shard_index(shard[-36:], 2)[:, 1].tolist() == [MISSING, 3]
        True
    """
    order = np.argsort(morton_rank(shape)[numbers])
    cells, numbers = cells.take(order), numbers[order]
    index = np.full((prod(shape), 2), MISSING, dtype="<u8")
    index[numbers, 0] = offsets_of(cells.sizes)[:-1] + (0 if index_at_end else index_size(prod(shape), crc32c))
    index[numbers, 1] = cells.sizes
    raw = index.tobytes()
    tail = struct.pack("<I", google_crc32c.value(raw)) if crc32c else b""
    items = [cells.data] if cells.is_packed else cells.views()
    return b"".join([*items, raw, tail] if index_at_end else [raw, tail, *items])


def decode_shard_index(raw: Buffer, cells: int, *, crc32c: bool = True) -> AnyArray:
    """``(cells, 2)`` uint64 offset and size of each cell; both ``MISSING`` where there is none.

    Raises:
        ValueError: Wrong length, or the checksum does not match.
    """
    if len(raw) != index_size(cells, crc32c):
        raise ValueError(f"shard index has {len(raw)} bytes, not {index_size(cells, crc32c)}")
    body = bytes(raw[: 16 * cells])
    if crc32c and google_crc32c.value(body) != struct.unpack("<I", raw[16 * cells :])[0]:
        raise ValueError("checksum of the shard index does not match")
    return np.frombuffer(body, dtype="<u8").reshape(cells, 2)
