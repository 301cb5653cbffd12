"""The codec chain of cells, apart from any store; that zarr-python agrees is tested in ``storage``."""

from __future__ import annotations

import struct
from typing import Any

import google_crc32c
import numpy as np
import pytest
import zstandard
from hypothesis import given
from hypothesis import strategies as st

from zarr_vectors.encoding.blobs import Blobs
from zarr_vectors.encoding.codecs import ByteCodec, CellErrors, known_chain, unframe, vlen_frame

CHAINS = [
    ByteCodec(),
    ByteCodec(zstd=(0, False)),
    ByteCodec(zstd=(0, True)),
    ByteCodec(zstd=(19, True)),
    ByteCodec(zstd=(-5, True)),
    ByteCodec(crc32c=True),
    ByteCodec(zstd=(3, True), crc32c=True),
]
CHECKED = [chain for chain in CHAINS if chain.crc32c or (chain.zstd and chain.zstd[1])]
MANY = 40
"""More cells than are decompressed one by one."""


def name_of(codec: ByteCodec) -> str:
    return f"zstd={codec.zstd} crc32c={codec.crc32c}"


def decode_cells(codec: ByteCodec, stored: list[bytes]) -> tuple[list[bytes], CellErrors]:
    decoded, errors = codec.decode(Blobs.from_list(stored))
    return unframe(decoded, errors).to_list(), errors


@pytest.mark.parametrize("codec", CHAINS, ids=name_of)
@given(st.lists(st.binary(max_size=200), max_size=3), st.sampled_from([1, MANY]))
def test_cells_survive(codec: ByteCodec, cells: list[bytes], times: int) -> None:
    stored = codec.encode(vlen_frame(Blobs.from_list(cells * times))).to_list()
    assert decode_cells(codec, stored) == (cells * times, {})


@pytest.mark.parametrize("codec", CHAINS, ids=name_of)
def test_cells_that_lie_scattered_in_a_buffer_are_coded_alike(codec: ByteCodec) -> None:
    cells = Blobs.from_list([b"cell %d" % number for number in range(MANY)])
    rows = np.arange(MANY)[::-3]
    stored = codec.encode(vlen_frame(cells.take(rows)))
    assert stored.to_list() == codec.encode(vlen_frame(Blobs.from_list(cells.take(rows).to_list()))).to_list()
    decoded, errors = codec.decode(stored.take(np.arange(len(rows))[::-1]))
    assert unframe(decoded, errors).to_list() == cells.take(rows[::-1]).to_list()


@pytest.mark.parametrize("others", [0, MANY])
@pytest.mark.parametrize("codec", CHECKED, ids=name_of)
def test_no_flipped_bit_goes_unnoticed_where_there_is_a_checksum(codec: ByteCodec, others: int) -> None:
    cell = struct.pack("<6f", *range(6))
    rest = codec.encode(vlen_frame(Blobs.from_list([b"another cell"] * others))).to_list()
    stored = bytes(codec.encode(vlen_frame(Blobs.from_list([cell])))[0])
    for place in range(8 * len(stored)):
        flipped = bytearray(stored)
        flipped[place // 8] ^= 1 << place % 8
        cells, errors = decode_cells(codec, [bytes(flipped), *rest])
        # Some bits of a zstd frame header mean nothing to a decoder.
        assert errors.keys() == {0} or cells[0] == cell, f"bit {place}"
        assert cells[1:] == [b"another cell"] * others


@pytest.mark.parametrize("codec", CHAINS, ids=name_of)
def test_no_truncated_cell_is_read(codec: ByteCodec) -> None:
    stored = bytes(codec.encode(vlen_frame(Blobs.from_list([b"some cell, some cell, some cell"])))[0])
    for length in range(len(stored)):
        cells, errors = decode_cells(codec, [stored[:length]])
        assert (cells, list(errors)) == ([b""], [0]), f"{length} bytes"


@pytest.mark.parametrize("count", [1, MANY])
def test_frames_of_a_streaming_writer_are_read(count: int) -> None:
    cell = b"stream " * 50
    framed = bytes(vlen_frame(Blobs.from_list([cell]))[0])
    compressor = zstandard.ZstdCompressor(write_content_size=False, write_checksum=True).compressobj()
    frame = compressor.compress(framed) + compressor.flush()
    assert zstandard.get_frame_parameters(frame).content_size == zstandard.CONTENTSIZE_UNKNOWN
    codec = ByteCodec(zstd=(0, True))
    assert decode_cells(codec, [frame] * count) == ([cell] * count, {})
    assert decode_cells(codec, [frame, frame[:-3]])[1] == {1: "zstd frame is truncated"}


def test_a_frame_that_claims_more_memory_than_there_is_is_an_error() -> None:
    # Magic, a single segment with an 8-byte content size, and one empty raw block.
    huge = bytes.fromhex("28b52ffd e0") + struct.pack("<Q", 2**60) + bytes.fromhex("010000")
    good = bytes(ByteCodec(zstd=(0, True)).encode(vlen_frame(Blobs.from_list([b"x"])))[0])
    for others in (0, MANY):
        assert decode_cells(ByteCodec(zstd=(0, True)), [huge, *[good] * others])[1].keys() == {0}


def test_the_frame_and_the_checksum_are_those_of_the_zarr_codecs() -> None:
    framed = bytes.fromhex("01000000 03000000") + b"abc"
    assert bytes(vlen_frame(Blobs.from_list([b"abc"]))[0]) == framed
    checked = ByteCodec(crc32c=True).encode(vlen_frame(Blobs.from_list([b"abc"])))
    assert bytes(checked[0]) == framed + struct.pack("<I", google_crc32c.value(framed))


@pytest.mark.parametrize(
    "framed",
    [
        b"",
        b"\1\0\0\0",
        struct.pack("<II", 2, 0),
        struct.pack("<II", 0, 0),
        struct.pack("<II", 1, 5) + b"four",
        struct.pack("<II", 1, 3) + b"four",
        struct.pack("<I", 2) + struct.pack("<I", 1) + b"a" + struct.pack("<I", 1) + b"b",
    ],
    ids=["nothing", "no size", "two items", "no item", "short", "long", "two items with content"],
)
def test_what_is_not_a_chunk_of_one_item_is_an_error(framed: bytes) -> None:
    errors: CellErrors = {}
    cells = unframe(Blobs.from_list([framed, struct.pack("<II", 1, 2) + b"ok"]), errors)
    assert cells.to_list() == [b"", b"ok"]
    assert errors == {0: f"not a vlen-bytes chunk of one item ({len(framed)} bytes)"}


ZSTD = {"name": "zstd", "configuration": {"level": 5, "checksum": True}}
CRC32C = {"name": "crc32c"}


@pytest.mark.parametrize(
    ("chain", "codec"),
    [
        ([], ByteCodec()),
        ([ZSTD], ByteCodec(zstd=(5, True))),
        ([{"name": "zstd", "configuration": {}}], ByteCodec(zstd=(0, False))),
        ([{"name": "zstd"}], ByteCodec(zstd=(0, False))),
        ([CRC32C], ByteCodec(crc32c=True)),
        ([ZSTD, CRC32C], ByteCodec(zstd=(5, True), crc32c=True)),
        ([CRC32C, ZSTD], None),
        ([ZSTD, ZSTD], None),
        ([{"name": "gzip", "configuration": {"level": 5}}], None),
        ([{"name": "zstd", "configuration": {"level": "high"}}], None),
    ],
)
def test_only_chains_that_are_known_are_taken(chain: list[dict[str, Any]], codec: ByteCodec | None) -> None:
    assert known_chain(chain) == codec


def compressed_block(frame: bytes) -> bool:
    """Whether the first block of a frame without dictionary and window is compressed."""
    width = (1, 2, 4, 8)[frame[4] >> 6]
    assert frame[4] & 0b00100011 == 0b00100000
    return frame[5 + width] >> 1 & 3 == 2


@pytest.mark.parametrize("at", [0, 1, 7, 998, 999])
def test_a_large_cell_among_many_small_ones_is_packed(at: int) -> None:
    """Wherever it stands: what is tried out on some cells is tried on the largest."""
    random = np.random.default_rng(4)
    cells = [random.random(6, dtype="f4").tobytes() for _ in range(1000)]
    cells[at] = random.integers(0, 8, 100_000, dtype="u1").tobytes()
    stored = ByteCodec(zstd=(0, True)).encode(Blobs.from_list(cells))
    assert stored.sizes[at] < len(cells[at]) // 2
    assert ByteCodec(zstd=(0, True)).decode(stored)[0].to_list() == cells


@pytest.mark.parametrize("times", [1, MANY])
def test_cells_that_hardly_get_smaller_are_not_worth_unpacking(times: int) -> None:
    noise = np.random.default_rng(3).random(250, dtype="f4").tobytes()
    cells = [noise, np.arange(300, dtype="<u4").tobytes(), b"tiny"] * times
    assert compressed_block(zstandard.ZstdCompressor(level=3).compress(noise))
    for level, packed in ((0, [False, True, False]), (1, [False, True, False]), (9, [True, True, False])):
        codec = ByteCodec(zstd=(level, True))
        stored = codec.encode(Blobs.from_list(cells))
        decoded, errors = codec.decode(stored)
        assert (decoded.to_list(), errors) == (cells, {})
        assert list(map(compressed_block, stored.to_list())) == packed * times
        assert all(zstandard.get_frame_parameters(frame).has_checksum for frame in stored.to_list())
        assert len(stored[0]) < len(noise) + 20
