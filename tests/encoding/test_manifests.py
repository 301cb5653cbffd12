"""Object manifests."""

from __future__ import annotations

import struct

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from zarr_vectors.encoding import manifests
from zarr_vectors.encoding.blobs import Blobs
from zarr_vectors.encoding.manifests import ManifestTable, decode_manifests, encode_manifests

INT64 = st.integers(-(2**63), 2**63 - 1)
Reference = tuple[list[int], int]


def table_of(objects: list[list[Reference]], ndim: int) -> ManifestTable:
    owners = [number for number, references in enumerate(objects) for _ in references]
    flat = [reference for references in objects for reference in references]
    return ManifestTable(
        np.array(owners, dtype=np.int64),
        np.array([chunk for chunk, _ in flat], dtype=np.int64).reshape(-1, ndim),
        np.array([fragment for _, fragment in flat], dtype=np.int64),
    )


def references_of(table: ManifestTable) -> list[tuple[int, list[int], int]]:
    return list(zip(table.objects.tolist(), table.chunks.tolist(), table.fragments.tolist(), strict=True))


@given(
    st.integers(1, 4).flatmap(
        lambda ndim: st.tuples(
            st.just(ndim),
            st.lists(st.lists(st.tuples(st.lists(INT64, min_size=ndim, max_size=ndim), INT64), max_size=5), max_size=6),
        )
    ),
    st.sampled_from([1, 3, 1 << 15]),
)
def test_references_survive(case: tuple[int, list[list[Reference]]], part: int) -> None:
    ndim, objects = case
    table = table_of(objects, ndim)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(manifests, "_PART_REFS", part)
        blobs = encode_manifests(table, len(objects))
    assert blobs.sizes.tolist() == [4 + (8 * ndim + 9) * len(references) for references in objects]
    decoded, errors = decode_manifests(blobs, ndim)
    assert errors == {}
    assert references_of(decoded) == references_of(table)


def i64(*values: int) -> bytes:
    return struct.pack(f"<{len(values)}q", *values)


WORKED = (
    struct.pack("<I", 3)
    + i64(-1, 2, 3) + b"\0" + i64(5)
    + i64(0, 0, 0) + b"\1" + i64(2, 3)
    + i64(0, 0, 1) + b"\2" + struct.pack("<I", 3) + i64(4, 1, 9)
)  # fmt: skip


def test_the_worked_vector_of_the_format_description_is_read_between_others() -> None:
    plain = encode_manifests(table_of([[([7, 7, 7], 1)], []], 3), 2).to_list()
    table, errors = decode_manifests(Blobs.from_list([plain[0], WORKED, b"", plain[1], plain[0]]), 3)
    worked = [([-1, 2, 3], 5), *(([0, 0, 0], fragment) for fragment in (2, 3, 4))]
    worked += [([0, 0, 1], fragment) for fragment in (4, 1, 9)]
    assert errors == {}
    assert references_of(table) == [(0, [7, 7, 7], 1), *((1, *reference) for reference in worked), (4, [7, 7, 7], 1)]


BROKEN = {
    "half a count": b"\1\0",
    "fewer blocks than counted": struct.pack("<I", 2) + i64(0, 0, 0) + b"\0" + i64(5),
    "bytes after the last block": struct.pack("<I", 0) + b"x",
    "unknown mode": struct.pack("<I", 1) + i64(0, 0, 0) + b"\7" + i64(5),
    "range beyond any chunk": struct.pack("<I", 1) + i64(0, 0, 0) + b"\1" + i64(0, 2**39),
    "range from below zero": struct.pack("<I", 1) + i64(0, 0, 0) + b"\1" + i64(-1, 2),
    "range beyond 64 bits": struct.pack("<I", 1) + i64(0, 0, 0) + b"\1" + i64(2**63 - 1, 4),
    "range of negative length": struct.pack("<I", 1) + i64(0, 0, 0) + b"\1" + i64(4, -1),
    "list longer than the blob": struct.pack("<I", 1) + i64(0, 0, 0) + b"\2" + struct.pack("<I", 2**31) + i64(1),
    "count beyond the blob": struct.pack("<I", 2**32 - 1) + WORKED[4:],
}


@pytest.mark.parametrize("blob", BROKEN.values(), ids=BROKEN)
@pytest.mark.parametrize("place", [0, 1])
def test_a_broken_manifest_is_named_and_leaves_the_others(blob: bytes, place: int) -> None:
    blobs = [*encode_manifests(table_of([[([1, 2, 3], 4)]], 3), 1).to_list()]
    blobs.insert(place, blob)
    table, errors = decode_manifests(Blobs.from_list(blobs), 3)
    assert errors.keys() == {place}
    assert references_of(table) == [(1 - place, [1, 2, 3], 4)]


def test_every_truncation_is_named() -> None:
    for blob in (WORKED, encode_manifests(table_of([[([1, 2, 3], 4), ([1, 2, 3], 5)]], 3), 1).to_list()[0]):
        for length in range(1, len(blob)):
            table, errors = decode_manifests(Blobs.from_list([blob[:length]]), 3)
            assert (list(errors), len(table)) == ([0], 0), f"{length} bytes"


@given(st.lists(st.tuples(st.integers(0, len(WORKED) - 1), st.integers(0, 255)), max_size=3))
def test_no_change_of_a_byte_raises(changes: list[tuple[int, int]]) -> None:
    blob = bytearray(WORKED)
    for place, value in changes:
        blob[place] = value if place not in range(54, 70) else value & 1
    decode_manifests(Blobs.from_list([bytes(blob)]), 3)
