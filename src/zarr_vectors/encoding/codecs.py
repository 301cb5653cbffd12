"""Codec chains of vlen-bytes arrays: cells to stored bytes and back.

Known chains are ``vlen-bytes`` followed by an optional ``zstd`` and an optional ``crc32c``, as in the Zarr v3 codec
registry; any other chain is left to zarr-python (see ``storage.fallback``).
"""

from __future__ import annotations

import struct
import threading
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import google_crc32c
import numpy as np
import zstandard

from zarr_vectors.encoding.blobs import Blobs, Buffer, records_at
from zarr_vectors.encoding.limits import check_room, most_content
from zarr_vectors.typing import BoolArray, IntArray, JsonObject

__all__ = [
    "CAN_BATCH",
    "ByteCodec",
    "CellErrors",
    "decompress_batch",
    "decompress_frames",
    "decompress_one",
    "known_chain",
    "unframe",
    "vlen_frame",
]

CellErrors = dict[int, str]
"""What is wrong with which cell, by its number in the batch."""

_UNKNOWN_SIZE = 2**64 - 1
_BATCH_CELLS = 32
_DEFAULT_LEVEL = 3
_PLAIN_LEVEL = -7
"""Puts into the frame as it is what does not repeat itself."""
_LEAST_GAIN = 4
"""Up to the default level, a cell must get smaller by one part in so many to be worth unpacking."""
_SAMPLE_STEP = 16
"""One cell in so many, from the largest on, is compressed to find out whether the others are worth trying."""
_THREADED_BYTES = 1 << 20
"""Less than this is done before a thread has started."""
_STREAMED_BYTES = 1 << 12
CAN_BATCH = "multi_decompress_to_buffer" in zstandard.backend_features
"""Whether ``zstandard`` takes many frames at once here; its Python backend does not."""


class _Contexts(threading.local):
    """One compressor per setting and one decompressor for each thread; making them costs more than using them."""

    def __init__(self) -> None:
        self.decompressor = zstandard.ZstdDecompressor()
        self.compressors: dict[tuple[int, bool], zstandard.ZstdCompressor] = {}

    def compressor(self, level: int, checksum: bool) -> zstandard.ZstdCompressor:
        key = (level, checksum)
        if key not in self.compressors:
            self.compressors[key] = zstandard.ZstdCompressor(level=level, write_checksum=checksum)
        return self.compressors[key]


_contexts = _Contexts()


@dataclass(frozen=True, slots=True)
class ByteCodec:
    """The bytes-to-bytes part of a known chain.

    Args:
        zstd: ``(level, checksum)``, or None for no compression. Level 0 means zstd's default.
        crc32c: Whether a CRC32C of the bytes follows them.

    Example:
        >>> codec = ByteCodec(zstd=(0, True))
        >>> decoded, errors = codec.decode(codec.encode(Blobs.from_list([b"abc" * 9, b""])))
        >>> decoded.to_list()[0] == b"abc" * 9, errors
        (True, {})
    """

    zstd: tuple[int, bool] | None = None
    crc32c: bool = False

    def encode(self, blobs: Blobs) -> Blobs:
        """Encode every string on its own."""
        if self.zstd is not None:
            blobs = _compress(blobs, *self.zstd)
        if self.crc32c:
            blobs = Blobs.from_list(
                [bytes(item) + struct.pack("<I", google_crc32c.value(bytes(item))) for item in blobs.views()]
            )
        return blobs

    def decode(self, blobs: Blobs) -> tuple[Blobs, CellErrors]:
        """Decode every string on its own; a bad one comes back empty and is named in the errors."""
        items, errors = self.decode_each(blobs)
        return _gather(items), errors

    def decode_each(self, blobs: Blobs, promised: int = 0) -> tuple[list[memoryview], CellErrors]:
        """The same, each string in a buffer of its own: nothing is copied; ``promised`` as in ``most_content``."""
        errors: CellErrors = {}
        if self.crc32c:
            blobs = _check_crc32c(blobs, errors)
        if self.zstd is None:
            return blobs.views(), errors
        return [memoryview(item) for item in _decompress(blobs, errors, promised)], errors

    def decode_framed(self, blobs: Blobs) -> tuple[Blobs, CellErrors]:
        """Decode every string and take the one item out of the vlen-bytes chunk that it is; payloads come packed."""
        errors: CellErrors = {}
        if self.crc32c:
            blobs = _check_crc32c(blobs, errors)
        if self.zstd is None:
            return unframe(blobs, errors), errors
        return _unframe_items(_decompress(blobs, errors), errors), errors


def known_chain(codecs: Sequence[JsonObject]) -> ByteCodec | None:
    """The bytes-to-bytes part that follows the array-to-bytes codec, or None where zarr-python must help.

    Example:
        >>> known_chain([{"name": "zstd", "configuration": {"level": 5, "checksum": True}}])
        ByteCodec(zstd=(5, True), crc32c=False)
        >>> known_chain([{"name": "gzip"}]) is None
        True
    """
    zstd: tuple[int, bool] | None = None
    rest = list(codecs)
    if rest and rest[0].get("name") == "zstd":
        options = rest.pop(0).get("configuration") or {}
        level = options.get("level", 0)
        if not isinstance(level, int):
            return None
        zstd = (level, bool(options.get("checksum", False)))
    crc32c = bool(rest) and rest[0].get("name") == "crc32c"
    if crc32c:
        rest.pop(0)
    return None if rest else ByteCodec(zstd, crc32c)


def vlen_frame(cells: Blobs) -> Blobs:
    """Put each cell into a vlen-bytes chunk of one item: u32 1, u32 size, payload.

    Example:
        >>> bytes(vlen_frame(Blobs.from_list([b"xy"]))[0]).hex()
        '01000000020000007879'
    """
    headers = np.empty((len(cells), 2), dtype="<u4")
    headers[:, 0] = 1
    headers[:, 1] = cells.sizes
    head = memoryview(headers.tobytes())
    pieces: list[Buffer] = [b""] * (2 * len(cells))
    pieces[0::2] = [head[at : at + 8] for at in range(0, 8 * len(cells), 8)]
    pieces[1::2] = cells.views()
    return Blobs.packed(b"".join(pieces), cells.sizes + 8)


def unframe(framed: Blobs, errors: CellErrors) -> Blobs:
    """Take the one item out of each vlen-bytes chunk; what is not such a chunk is named in ``errors``."""
    good = framed.sizes >= 8
    headers = np.zeros((len(framed), 2), dtype="<u4")
    headers[good] = records_at(framed.data, framed.starts[good], np.dtype("<u8")).view("<u4").reshape(-1, 2)
    matches = good & (headers[:, 0] == 1) & (headers[:, 1] == framed.sizes - 8)
    for number in np.flatnonzero(~matches).tolist():
        errors.setdefault(number, f"not a vlen-bytes chunk of one item ({int(framed.sizes[number])} bytes)")
    return Blobs(framed.data, framed.starts + 8 * matches, (framed.sizes - 8) * matches)


def _unframe_items(items: Sequence[Any], errors: CellErrors) -> Blobs:
    """Strip the vlen-bytes headers while joining, so that payloads are copied only once."""
    views = [memoryview(item) for item in items]
    sizes = np.fromiter(map(len, views), dtype=np.int64, count=len(views))
    heads = b"".join([view[:8] if len(view) >= 8 else bytes(8) for view in views])
    headers = np.frombuffer(heads, dtype="<u4").reshape(-1, 2)
    matches = (headers[:, 0] == 1) & (headers[:, 1] == sizes - 8)
    for number in np.flatnonzero(~matches).tolist():
        errors.setdefault(number, f"not a vlen-bytes chunk of one item ({int(sizes[number])} bytes)")
        views[number] = memoryview(b"")
    return Blobs.packed(b"".join([view[8:] for view in views]), np.where(matches, sizes - 8, 0))


def _compress(blobs: Blobs, level: int, checksum: bool) -> Blobs:
    compressor = _contexts.compressor(level or _DEFAULT_LEVEL, checksum)
    if level > _DEFAULT_LEVEL:
        return _gather(_compressed(blobs, compressor))
    # Noise gets a little smaller, at many times the cost of reading it as it is.
    plain = _contexts.compressor(_PLAIN_LEVEL, checksum)
    sample = blobs.take(np.argsort(blobs.sizes)[::-_SAMPLE_STEP])
    if len(sample) >= _BATCH_CELLS and not _worth_unpacking(sample, _sizes(_compressed(sample, compressor))).any():
        return _gather(_compressed(blobs, plain))
    items = _compressed(blobs, compressor)
    sizes = _sizes(items)
    poor = np.flatnonzero(~_worth_unpacking(blobs, sizes) & (sizes < blobs.sizes))
    if len(poor):
        for row, item in zip(poor.tolist(), _compressed(blobs.take(poor), plain), strict=True):
            items[row] = item
    return _gather(items)


def _worth_unpacking(blobs: Blobs, packed: IntArray) -> BoolArray:
    worth: BoolArray = blobs.sizes - packed >= blobs.sizes // _LEAST_GAIN
    return worth


def _compressed(blobs: Blobs, compressor: zstandard.ZstdCompressor) -> list[Any]:
    """The frame of every string, as a buffer."""
    if CAN_BATCH and len(blobs) >= _BATCH_CELLS:
        source = zstandard.BufferWithSegments(bytes(blobs.joined()), _segments(Blobs.packed(b"", blobs.sizes)))
        threads = -1 if blobs.total >= _THREADED_BYTES else 0
        items: Any = compressor.multi_compress_to_buffer(source, threads=threads)
        return list(items)
    return [compressor.compress(item) for item in blobs.views()]


def decompress_batch(blobs: Blobs, threads: int = 0) -> list[Any] | None:
    """The content of every frame, as buffers; None if one of them is bad or does not state its size."""
    if not len(blobs) or int(blobs.sizes.min()) == 0:
        return None
    try:
        source = zstandard.BufferWithSegments(blobs.data, _segments(blobs))
    except ValueError:
        return None
    return _decompress_many(source, threads)


def decompress_frames(frames: Sequence[memoryview]) -> list[Any] | None:
    """The same for frames in buffers of their own."""
    return _decompress_many(frames, 0) if len(frames) and all(frames) else None


def _decompress_many(source: Any, threads: int) -> list[Any] | None:
    try:
        items: Any = _contexts.decompressor.multi_decompress_to_buffer(source, threads=threads)
        return list(items)
    except (zstandard.ZstdError, ValueError):
        return None


def decompress_one(frame: memoryview) -> memoryview | None:
    """The content of a frame that states its size; None if it is bad."""
    try:
        return memoryview(_contexts.decompressor.decompress(frame))
    except zstandard.ZstdError:
        return None


def _decompress(blobs: Blobs, errors: CellErrors, promised: int = 0) -> list[Any]:
    large = blobs.total >= _THREADED_BYTES
    many = len(blobs) >= _BATCH_CELLS or (large and len(blobs) > 1)
    stated = np.array([_stated(item) for item in blobs.views()], dtype=np.float64)
    most = most_content(blobs.sizes, promised)
    believed = stated <= most
    check_room(int(stated[believed].sum()))
    if CAN_BATCH and many and not errors and believed.all():
        items = decompress_batch(blobs, threads=-1 if large else 0)
        if items is not None:
            return items
    # Also to find out which frame is bad.
    return [_decompress_one(number, item, int(most[number]), errors) for number, item in enumerate(blobs.views())]


def _decompress_one(number: int, item: memoryview, most: int, errors: CellErrors) -> bytes:
    if number in errors:
        return b""
    try:
        if _stated(item) > most:
            errors[number] = f"zstd: {len(item)} bytes cannot hold what the frame states"
            return b""
        if zstandard.get_frame_parameters(item).content_size != _UNKNOWN_SIZE:
            return bytes(_contexts.decompressor.decompress(item))
        content = _decompress_stream(item, most)
        if content is None:
            errors[number] = "zstd frame is truncated"
        return content or b""
    except zstandard.ZstdError as error:
        errors[number] = f"zstd: {error}"
        return b""


def _decompress_stream(item: memoryview, room: int) -> bytes | None:
    """The content of a frame that does not state its size, bit by bit as nothing else bounds it; None if cut off."""
    stream = _contexts.decompressor.decompressobj()
    parts: list[bytes] = []
    for start in range(0, len(item), _STREAMED_BYTES):
        parts.append(stream.decompress(item[start : start + _STREAMED_BYTES]))
        room -= len(parts[-1])
        if room < 0:
            raise zstandard.ZstdError(f"{len(item)} bytes cannot hold what comes out of them")
        if stream.eof:
            return b"".join(parts)
    return None


def _stated(item: memoryview) -> int:
    """What a frame states to hold; 0 where it states nothing."""
    try:
        size = int(zstandard.get_frame_parameters(item).content_size)
    except zstandard.ZstdError:
        return 0
    return 0 if size == _UNKNOWN_SIZE else size


def _check_crc32c(blobs: Blobs, errors: CellErrors) -> Blobs:
    for number, item in enumerate(blobs.views()):
        if len(item) < 4:
            errors[number] = "too short for its CRC32C"
        elif google_crc32c.value(bytes(item[:-4])) != struct.unpack("<I", item[-4:])[0]:
            errors[number] = "CRC32C does not match"
    keep = np.ones(len(blobs), dtype=np.int64)
    keep[list(errors)] = 0
    return Blobs(blobs.data, blobs.starts, (blobs.sizes - 4) * keep)


def _segments(blobs: Blobs) -> bytes:
    table: IntArray = np.stack([blobs.starts, blobs.sizes], axis=1)
    return table.astype("<u8").tobytes()


def _sizes(items: Sequence[Any]) -> IntArray:
    return np.fromiter(map(len, items), dtype=np.int64, count=len(items))


def _gather(items: Sequence[Any]) -> Blobs:
    return Blobs.packed(b"".join(items), _sizes(items))
