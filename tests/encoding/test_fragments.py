"""The fragment index."""

from __future__ import annotations

import struct

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from zarr_vectors.encoding.blobs import Blobs, offsets_of
from zarr_vectors.encoding.fragments import FragmentTable, decode_fragments, encode_fragments, encode_ranges

RANGES = st.lists(st.tuples(st.integers(0, 2**31), st.integers(0, 2**31)), max_size=140)
LISTS = st.lists(st.integers(0, 2**40), max_size=6).map(lambda rows: np.array(rows, dtype=np.int64))
SMALL = st.lists(st.one_of(st.tuples(st.integers(0, 50), st.integers(0, 9)), LISTS), max_size=12)


def as_int64(*values: int) -> np.ndarray[tuple[int], np.dtype[np.int64]]:
    return np.array(values, dtype=np.int64)


def rows_of(fragment: object) -> list[int]:
    if isinstance(fragment, tuple):
        return list(range(fragment[0], fragment[0] + fragment[1]))
    assert isinstance(fragment, np.ndarray)
    return [int(row) for row in fragment]


WORKED = {
    "two ranges": (
        [(0, 2), (2, 1)],
        """4746565a 0100 0000 02000000 02000000
        03 00000000000000
        0000000000000000 0200000000000000
        0200000000000000 0100000000000000
        00000000""",
    ),
    "ranges and lists": (
        [(0, 5), as_int64(4, 0, 2), as_int64(1, 2, 3), as_int64(), (0, 0)],
        """4746565a 0100 0000 05000000 03000000
        15 00000000000000
        0000000000000000 0500000000000000 0100000000000000 0300000000000000 0000000000000000 0000000000000000
        00000000 03000000 03000000
        0400000000000000 0000000000000000 0200000000000000""",
    ),
    "none": ([], "4746565a 0100 0000 00000000 00000000"),
}


@pytest.mark.parametrize(("fragments", "hexadecimal"), WORKED.values(), ids=WORKED)
def test_worked_vectors_of_the_format_description(fragments: list[object], hexadecimal: str) -> None:
    blob = bytes.fromhex(hexadecimal)
    assert encode_fragments(fragments) == blob  # type: ignore[arg-type]
    table, errors = decode_fragments(Blobs.from_list([blob]))
    assert errors == {}
    assert table.rows().tolist() == [row for fragment in fragments for row in rows_of(fragment)]
    assert table.counts.tolist() == [len(rows_of(fragment)) for fragment in fragments]


@given(st.lists(RANGES, max_size=4))
def test_ranges_of_many_chunks_are_encoded_as_one_by_one(chunks: list[list[tuple[int, int]]]) -> None:
    pairs = np.array([pair for chunk in chunks for pair in chunk], dtype=np.int64).reshape(-1, 2)
    blobs = encode_ranges(as_int64(*map(len, chunks)), pairs[:, 0], pairs[:, 1])
    assert blobs.to_list() == [encode_fragments(chunk) for chunk in chunks]
    table, errors = decode_fragments(blobs)
    assert errors == {}
    assert (table.starts.tolist(), table.counts.tolist()) == (pairs[:, 0].tolist(), pairs[:, 1].tolist())


@given(st.lists(SMALL, max_size=5))
def test_fragments_of_any_kind_survive(chunks: list[list[object]]) -> None:
    blobs = Blobs.from_list([encode_fragments(chunk) for chunk in chunks])  # type: ignore[arg-type]
    table, errors = decode_fragments(blobs)
    rows = [rows_of(fragment) for chunk in chunks for fragment in chunk]
    assert errors == {}
    assert table.per_cell.tolist() == [len(chunk) for chunk in chunks]
    assert table.rows().tolist() == [row for fragment in rows for row in fragment]
    assert table.cell_of.tolist() == [cell for cell, chunk in enumerate(chunks) for _ in chunk]
    assert table.rows_per_cell().tolist() == [sum(len(rows_of(part)) for part in chunk) for chunk in chunks]
    picked = as_int64(*range(len(rows) - 1, -1, -2))
    assert table.rows(picked).tolist() == [row for number in picked for row in rows[number]]


def test_unaligned_cells_are_read() -> None:
    blob = encode_fragments([(3, 4), (7, 1)])
    for shift in range(8):
        cells = Blobs(bytes(shift) + blob + b"rest", as_int64(shift), as_int64(len(blob)))
        assert decode_fragments(cells)[0].starts.tolist() == [3, 7]


def test_bytes_after_a_blob_are_ignored() -> None:
    table, errors = decode_fragments(Blobs.from_list([encode_fragments([(0, 3)]) + b"more"]))
    assert (errors, table.rows().tolist()) == ({}, [0, 1, 2])


GOOD = encode_fragments([(0, 2), as_int64(5, 3), (2, 4)])
HEADER = struct.Struct("<IHHII")


def with_header(magic: int = 0x5A564647, version: int = 1, flags: int = 0, count: int = 3, ranges: int = 2) -> bytes:
    return HEADER.pack(magic, version, flags, count, ranges) + GOOD[16:]


BROKEN = {
    "nothing": b"",
    "half a header": GOOD[:15],
    "magic": with_header(magic=1),
    "version": with_header(version=2),
    "flags": with_header(flags=1),
    "more ranges than fragments": with_header(ranges=4),
    "bitmap against ranges": with_header(ranges=1),
    "more fragments than bytes": with_header(count=2**31, ranges=2**31),
    "row list cut": GOOD[:-1],
    "offsets descend": GOOD[:56] + struct.pack("<II", 3, 1) + GOOD[64:],
    "offsets beyond the blob": GOOD[:56] + struct.pack("<II", 0, 9) + GOOD[64:],
    "negative start of a range": encode_fragments([(0, 2), (-2, 2)]),
    "negative start among lists": encode_fragments([(-2, 2), as_int64(3, 1)]),
    "negative length": encode_fragments([(4, -1)]),
}


@pytest.mark.parametrize("blob", BROKEN.values(), ids=BROKEN)
@pytest.mark.parametrize("place", [0, 1, 2])
def test_a_broken_blob_is_named_and_leaves_the_others(blob: bytes, place: int) -> None:
    blobs = [GOOD, encode_fragments([(1, 1)])]
    blobs.insert(place, blob)
    table, errors = decode_fragments(Blobs.from_list(blobs))
    assert errors.keys() == {place}
    assert errors[place].startswith("fragment index: ")
    rows = np.split(table.rows(), offsets_of(table.rows_per_cell())[1:-1])
    assert [part.tolist() for number, part in enumerate(rows) if number != place] == [[0, 1, 5, 3, 2, 3, 4, 5], [1]]
    assert rows[place].tolist() == []


@given(st.data())
def test_no_change_of_a_byte_raises_or_names_rows_below_zero(data: st.DataObject) -> None:
    blob = bytearray(data.draw(SMALL.map(encode_fragments)))
    for place in data.draw(st.lists(st.integers(0, len(blob) - 1), max_size=3)):
        blob[place] = data.draw(st.integers(0, 255))
    table, _ = decode_fragments(Blobs.from_list([bytes(blob[: data.draw(st.integers(0, len(blob)))])]))
    assert (table.counts >= 0).all()
    assert (table.starts >= -1).all()


@pytest.mark.parametrize(
    ("starts", "counts", "per_cell", "rows", "tiles"),
    [
        ([0, 2, 0], [2, 1, 4], [2, 1], [3, 4], True),
        ([0, 0, 3], [0, 3, 0], [3], [3], True),
        ([], [], [0], [0], True),
        ([2, 0], [1, 2], [2], [3], False),
        ([0, 1], [2, 2], [2], [3], False),
        ([0, 2], [2, 1], [2], [4], False),
        ([0, -1], [2, 1], [2], [3], False),
    ],
    ids=["in order", "empty ones", "nothing", "out of order", "overlap", "gap at the end", "row list"],
)
def test_fragments_tile_when_they_partition_the_rows_in_order(
    starts: list[int], counts: list[int], per_cell: list[int], rows: list[int], tiles: bool
) -> None:
    table = FragmentTable(as_int64(*per_cell), as_int64(*counts), as_int64(*starts), as_int64(2))
    assert table.tiles(as_int64(*rows)) is tiles
