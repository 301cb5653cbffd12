"""The quick way out of zstd brings what the careful one brings, or steps aside."""

from __future__ import annotations

import struct

import numpy as np
import pytest
import zstandard
from hypothesis import given
from hypothesis import strategies as st

from zarr_vectors.encoding import unpack
from zarr_vectors.encoding.blobs import Blobs, records_at
from zarr_vectors.encoding.codecs import ByteCodec, vlen_frame
from zarr_vectors.encoding.unpack import PayloadBuffer, frame_sizes

CHECKED = ByteCodec(zstd=(0, True))
CELLS = [b"", b"a", b"four", b"eight by", b"x" * 300, np.arange(20_000, dtype="<u4").tobytes(), b"\0" * 70_000]


def frames_of(cells: list[bytes]) -> Blobs:
    return CHECKED.encode(vlen_frame(Blobs.from_list(cells)))


def fill_all(frames: Blobs, rows_of_a_part: int | None = None) -> list[bytes] | None:
    """Payloads by the quick way, the parts in reverse; None where it steps aside."""
    buffer = PayloadBuffer.for_frames(frame_sizes(frames), frames.sizes)
    if buffer is None:
        return None
    rows = np.arange(len(frames))
    step = rows_of_a_part or len(rows)
    parts = [rows[start : start + step] for start in range(0, len(rows), step)]
    filled = [buffer.fill(part, frames.take(part)) for part in parts[::-1]]
    return buffer.blobs().to_list() if all(filled) else None


@given(
    st.lists(st.sampled_from(CELLS), min_size=1, max_size=12),
    st.sampled_from([1, 4]),
    st.one_of(st.none(), st.integers(1, 5)),
)
def test_payloads_arrive_in_their_places(cells: list[bytes], width: int, step: int | None) -> None:
    whole = [cell[: len(cell) // width * width] for cell in cells]
    assert fill_all(frames_of(whole), step) == whole


def test_cells_that_are_apart_go_to_their_own_places() -> None:
    cells = [b"%04d" % number * (number % 3) for number in range(60)]
    frames = frames_of(cells)
    buffer = PayloadBuffer.for_frames(frame_sizes(frames), frames.sizes)
    assert buffer is not None
    for rows in (np.arange(0, 60, 2), np.concatenate([np.arange(1, 20, 2), np.arange(21, 60, 2)])):
        # The other half of the buffer lies anywhere.
        assert buffer.fill(rows, Blobs.from_list(frames.take(rows).to_list()))
    assert buffer.blobs().to_list() == cells


def test_parts_are_ranges_of_about_a_size(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(unpack, "PART_BYTES", 100)
    buffer = PayloadBuffer(np.array([30, 30, 30, 30, 250, 0, 10]))
    parts = [part.tolist() for part in buffer.parts(np.arange(7))]
    assert [row for part in parts for row in part] == list(range(7))
    assert parts[0] == [0, 1, 2, 3]
    assert buffer.parts(np.array([4, 6]))[0].tolist() == [0]


@pytest.mark.parametrize("size", [0, 1, 247, 248, 255, 256, 65_535, 65_536, 65_791, 65_792, 100_000])
@pytest.mark.parametrize("checksum", [False, True])
def test_the_size_of_a_frame_is_what_it_states(size: int, checksum: bool) -> None:
    content = np.random.default_rng(size).bytes(size)
    frame = zstandard.ZstdCompressor(write_checksum=checksum).compress(content)
    (found,) = frame_sizes(Blobs.from_list([frame])).tolist()
    assert found == size or (found == -1 and len(frame) < 13)


def test_frames_that_do_not_state_their_size_plainly_have_none() -> None:
    content = b"some content, some content" * 9
    streaming = zstandard.ZstdCompressor(write_content_size=False).compressobj()
    frames = [
        streaming.compress(content) + streaming.flush(),
        b"\x28\xb5\x2f\xfc" + bytes(20),
        bytes.fromhex("28b52ffd e0") + struct.pack("<Q", 2**60) + bytes.fromhex("010000"),
        b"",
        bytes(12),
    ]
    assert frame_sizes(Blobs.from_list(frames)).tolist() == [-1] * 5
    assert frame_sizes(Blobs.from_list([])).tolist() == []


@pytest.mark.parametrize("place", range(0, 8 * 40, 3))
def test_a_damaged_cell_is_never_filled_in(place: int) -> None:
    cells = [struct.pack("<6f", *range(6)), b"another cell", b"x" * 5000]
    stored = [bytearray(frame) for frame in frames_of(cells).to_list()]
    if place // 8 >= len(stored[0]):
        return
    stored[0][place // 8] ^= 1 << place % 8
    # Some bits of a zstd frame header mean nothing to a decoder.
    assert fill_all(Blobs.from_list(stored)) in (None, cells)


@pytest.mark.parametrize("framed", [struct.pack("<II", 2, 4) + b"four", struct.pack("<II", 1, 3) + b"four", b"short"])
def test_what_is_not_a_chunk_of_one_item_is_never_filled_in(framed: bytes) -> None:
    good = bytes(vlen_frame(Blobs.from_list([b"good"]))[0])
    assert fill_all(CHECKED.encode(Blobs.from_list([good, framed]))) is None


def test_records_are_read_from_any_place() -> None:
    data = bytes(range(20))
    dtype = np.dtype([("a", "u1"), ("b", "<u2")])
    assert records_at(data, np.array([17, 0, 1]), dtype).tolist() == [(17, 0x1312), (0, 0x0201), (1, 0x0302)]
    assert records_at(b"x", np.zeros(0, dtype=np.int64), dtype).tolist() == []
    with pytest.raises(IndexError):
        records_at(data, np.array([18]), dtype)
