"""Bytes-to-bytes codecs that the fast path does not know, undone step by step so that no step makes too much.

Codecs follow one another, and each may make a thousand bytes and more of one: what is undone here is bounded by
``most_content`` of what was stored. What is left of a chain, its array-to-bytes codec above all, is for zarr-python.
"""

from __future__ import annotations

import bz2
import lzma
import zlib
from collections.abc import Callable, Mapping, Sequence
from math import prod
from typing import Any, TypeAlias

import numcodecs.blosc
import numcodecs.lz4
import numpy as np

from zarr_vectors.encoding.blobs import Blobs, Buffer, offsets_of
from zarr_vectors.encoding.codecs import ByteCodec
from zarr_vectors.encoding.limits import most_content
from zarr_vectors.encoding.sharding import MISSING, decode_shard_index, index_size
from zarr_vectors.typing import JsonObject

__all__ = ["BLOSC_HEAD_BYTES", "check_blosc", "gunzip", "unwrapped"]

_MOST_OF_SHARD = 2**30
"""Bytes that the cells of a shard may hold together, however few bytes it is stored in."""
_PER_BYTE = 64
_ZSTD = ByteCodec(zstd=(0, False))
_SHARDING = "sharding_indexed"
_STEP = 1 << 24
_MOST_MEMORY = 2**28
"""What an LZMA stream may ask for its dictionary."""
_INDEX: JsonObject = {"name": "bytes", "configuration": {"endian": "little"}}
BLOSC_HEAD_BYTES = 16
"""So much of a Blosc buffer tells its size."""


_Undo: TypeAlias = Callable[[Buffer, int, Mapping[str, Any]], Buffer]
"""From what is stored, the most that may come out, and the codec's configuration to what it was made of."""


def unwrapped(
    codecs: Sequence[JsonObject], shape: Sequence[int], data: Buffer, promised: int = 0
) -> tuple[list[JsonObject], Buffer]:
    """A stored chunk without its bytes-to-bytes codecs, and the chain that is left; cells of shards too.

    Args:
        codecs: The chain.
        shape: Of the chunk.
        data: As it is stored.
        promised: Bytes of its elements, where these are of one size.

    Raises:
        ValueError: It cannot be undone, or holds too much.

    Example:
        >>> chain = [{"name": "bytes"}, {"name": "gzip"}, {"name": "zstd"}]
        >>> twice = _ZSTD.encode(Blobs.from_list([zlib.compress(bytes(1000), wbits=31)]))[0]
        >>> left, data = unwrapped(chain, (1000,), twice)
        >>> left, len(data)
        ([{'name': 'bytes'}], 1000)
    """
    most = int(most_content(len(data), promised))
    rest = list(codecs)
    while len(rest) > 1 and rest[-1].get("name") in _UNDO:
        codec = rest.pop()
        data = _UNDO[codec["name"]](data, most, codec.get("configuration") or {})
    if rest[-1].get("name") == _SHARDING and _is_wrapped(rest[-1]["configuration"]["codecs"]):
        data = _shard_of_unwrapped(rest[-1]["configuration"], shape, data)
        rest[-1] = _bare(rest[-1])
    return rest, data


def gunzip(data: Buffer) -> bytes:
    """What gzip has packed.

    Raises:
        ValueError: It is cut off or corrupt, or holds more than is believed of so few bytes.

    Example:
        >>> gunzip(zlib.compress(b"abc", wbits=31))
        b'abc'
    """
    try:
        return bytes(_zlib(data, int(most_content(len(data))), {}))
    except zlib.error as error:
        raise ValueError(str(error)) from error


def check_blosc(head: Buffer, size: int) -> None:
    """Refuse a Blosc buffer that states another size than it has: c-blosc believes it, and reads beyond the end.

    Args:
        head: Its first ``BLOSC_HEAD_BYTES``.
        size: Its bytes.

    Raises:
        ValueError: It does, or is too short to state one.

    Example:
        >>> check_blosc(bytes(12) + (500).to_bytes(4, "little"), 100)
        Traceback (most recent call last):
        ...
        ValueError: blosc: 100 bytes, of which the header states 500
    """
    if len(head) < BLOSC_HEAD_BYTES:
        raise ValueError("blosc: the header is cut off")
    stated = int.from_bytes(head[12:16], "little")
    if stated != size:
        raise ValueError(f"blosc: {size} bytes, of which the header states {stated}")


def _is_wrapped(codecs: Sequence[JsonObject]) -> bool:
    """Whether there is anything to undo in the cells of a shard."""
    last = codecs[-1]
    return last["name"] in _UNDO or (last["name"] == _SHARDING and _is_wrapped(last["configuration"]["codecs"]))


def _bare(sharding: JsonObject) -> JsonObject:
    """A sharding codec of cells that have been unwrapped."""
    codecs = list(sharding["configuration"]["codecs"])
    while len(codecs) > 1 and codecs[-1]["name"] in _UNDO:
        codecs.pop()
    if codecs[-1]["name"] == _SHARDING and _is_wrapped(codecs[-1]["configuration"]["codecs"]):
        codecs[-1] = _bare(codecs[-1])
    options = {"codecs": codecs, "index_codecs": [_INDEX], "index_location": "start"}
    return {**sharding, "configuration": {**sharding["configuration"], **options}}


def _shard_of_unwrapped(options: Mapping[str, Any], shape: Sequence[int], data: Buffer) -> bytes:
    """A shard of the same cells, unwrapped, after a plain index."""
    count = prod(shape) // prod(options["chunk_shape"])
    index_codecs = options.get("index_codecs") or [_INDEX, {"name": "crc32c"}]
    names = [codec["name"] for codec in index_codecs]
    plain = names in (["bytes"], ["bytes", "crc32c"])
    if not plain or (index_codecs[0].get("configuration") or {}).get("endian", "little") != "little":
        raise ValueError(f"a shard whose index is packed by {names} cannot be unpacked within bounds")
    size = index_size(count, len(names) > 1)
    raw = data[-size:] if options.get("index_location", "end") == "end" else data[:size]
    index = decode_shard_index(raw, count, crc32c=len(names) > 1).copy()
    there = index[:, 1] != MISSING
    room = max(_MOST_OF_SHARD, _PER_BYTE * len(data))
    cells: list[Buffer] = []
    for start, length in index[there].tolist():
        if start + length > len(data):
            raise ValueError("a cell lies beyond the end of its shard")
        cells.append(unwrapped(options["codecs"], options["chunk_shape"], memoryview(data)[start : start + length])[1])
        room -= len(cells[-1])
        if room < 0:
            raise ValueError("its cells hold too much together")
    sizes = np.fromiter(map(len, cells), dtype=np.int64, count=len(cells))
    index[there] = np.stack([index_size(count, False) + offsets_of(sizes)[:-1], sizes], axis=1)
    return b"".join([index.tobytes(), *cells])


def _streamed(stream: Callable[[Mapping[str, Any]], Any]) -> _Undo:
    """Undo a codec by a decompressor of the standard library; several streams may follow one another."""

    def undo(data: Buffer, most: int, options: Mapping[str, Any]) -> bytes:
        left, parts, room = bytes(data), [], most
        while left:
            source = stream(options)
            while not source.eof:
                parts.append(source.decompress(left, _STEP))
                # Those of bzip2 and LZMA keep what they have not used yet to themselves.
                left = getattr(source, "unconsumed_tail", b"")
                room -= len(parts[-1])
                if room < 0:
                    raise _too_much(most)
                if not parts[-1] and not source.eof:
                    raise ValueError("the stream is cut off")
            left = source.unused_data
        return b"".join(parts)

    return undo


def _zstd(data: Buffer, most: int, _options: Mapping[str, Any]) -> Buffer:
    (cell,), errors = _ZSTD.decode_each(Blobs.from_list([bytes(data)]), most)
    if errors:
        raise ValueError(errors[0])
    if len(cell) > most:
        raise _too_much(most)
    return cell


def _blosc(data: Buffer, most: int, _options: Mapping[str, Any]) -> bytes:
    check_blosc(data[:BLOSC_HEAD_BYTES], len(data))
    _check(int.from_bytes(data[4:8], "little"), most)
    return bytes(numcodecs.blosc.decompress(bytes(data)))


def _lz4(data: Buffer, most: int, _options: Mapping[str, Any]) -> bytes:
    _check(int.from_bytes(data[:4], "little"), most)
    return bytes(numcodecs.lz4.decompress(bytes(data)))


def _crc32c(data: Buffer, _most: int, _options: Mapping[str, Any]) -> Buffer:
    (cell,), errors = ByteCodec(crc32c=True).decode_each(Blobs.from_list([bytes(data)]))
    if errors:
        raise ValueError(errors[0])
    return cell


def _check(size: int, most: int) -> None:
    if size > most:
        raise _too_much(most)


def _too_much(most: int) -> ValueError:
    return ValueError(f"it holds more than {most} bytes, the most that is believed of so few")


def _lzma_stream(options: Mapping[str, Any]) -> lzma.LZMADecompressor:
    kind = options.get("format") or lzma.FORMAT_XZ
    return lzma.LZMADecompressor(kind, None if kind == lzma.FORMAT_RAW else _MOST_MEMORY, options.get("filters"))


_zlib = _streamed(lambda _: zlib.decompressobj(47))
"""Of gzip and zlib alike."""
_UNDO: dict[str, _Undo] = {
    "blosc": _blosc,
    "crc32c": _crc32c,
    "gzip": _zlib,
    "zstd": _zstd,
    "numcodecs.blosc": _blosc,
    "numcodecs.bz2": _streamed(lambda _: bz2.BZ2Decompressor()),
    "numcodecs.gzip": _zlib,
    "numcodecs.lz4": _lz4,
    "numcodecs.lzma": _streamed(_lzma_stream),
    "numcodecs.zlib": _zlib,
    "numcodecs.zstd": _zstd,
}
