"""References by column say what the manifests say, or nothing."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from zarr_vectors.encoding.manifests import ManifestTable
from zarr_vectors.encoding.references import decode_references, encode_references

SEAL = b"\1\2\3\4"
NUMBERS = st.sampled_from([0, 1, 200, 300, 70_000, 2**33])
COORDS = st.sampled_from([-(2**40), -70_000, -1, 0, 1, 255, 256, 2**40])


@st.composite
def tables(draw: st.DrawFn) -> tuple[ManifestTable, int, int]:
    """References, how many objects there are, and in how many dimensions."""
    ndim, count = draw(st.integers(1, 4)), draw(st.integers(0, 6))
    per_object = draw(st.lists(st.integers(0, 4), min_size=count, max_size=count))
    total = sum(per_object)
    chunks = draw(st.lists(st.lists(COORDS, min_size=ndim, max_size=ndim), min_size=total, max_size=total))
    fragments = draw(st.lists(NUMBERS, min_size=total, max_size=total))
    table = ManifestTable(
        np.repeat(np.arange(count, dtype=np.int64), per_object),
        np.array(chunks, dtype=np.int64).reshape(-1, ndim),
        np.array(fragments, dtype=np.int64),
    )
    return table, count, ndim


@given(tables(), st.data())
def test_any_objects_come_back(case: tuple[ManifestTable, int, int], data: st.DataObject) -> None:
    table, count, ndim = case
    block = encode_references(table, count, SEAL)
    asked = data.draw(st.lists(st.integers(0, count - 1), max_size=8) if count else st.just([]))
    found = decode_references(block, SEAL, np.array(asked, dtype=np.int64), ndim)
    assert found is not None
    rows = [row for number in asked for row in np.flatnonzero(table.objects == number)]
    owners = [place for place, number in enumerate(asked) for _ in np.flatnonzero(table.objects == number)]
    assert found.objects.tolist() == owners
    assert found.chunks.tolist() == table.chunks[rows].tolist()
    assert found.fragments.tolist() == table.fragments[rows].tolist()


@given(tables(), st.integers(0, 400), st.integers(1, 255))
def test_a_block_that_is_cut_or_changed_brings_nothing_odd(
    case: tuple[ManifestTable, int, int], place: int, change: int
) -> None:
    """The checksum of its chunk finds what was changed; here only that nothing is read beyond the block."""
    table, count, ndim = case
    block = bytearray(encode_references(table, count, SEAL))
    every = np.arange(count)
    for length in {place % len(block), len(block) - 1}:
        assert decode_references(bytes(block[:length]), SEAL, every, ndim) is None
    assert decode_references(bytes(block) + b"\0", SEAL, every, ndim) is None
    block[place % len(block)] ^= change
    found = decode_references(bytes(block), SEAL, every, ndim)
    assert found is None or len(found) == len(table)


def test_only_the_seal_of_its_chunk_opens_a_block() -> None:
    table = ManifestTable(np.array([0]), np.array([[1, 2]]), np.array([3]))
    block = encode_references(table, 1, SEAL)
    for seal in (b"\1\2\3\5", b"", b"\1\2\3"):
        assert decode_references(block, seal, np.array([0]), 2) is None


@pytest.mark.parametrize("asked", [[1], [0, 5]])
def test_objects_that_a_block_does_not_have_are_left_to_the_manifests(asked: list[int]) -> None:
    table = ManifestTable(np.array([0]), np.array([[1, 2]]), np.array([3]))
    assert decode_references(encode_references(table, 1, SEAL), SEAL, np.array(asked), 2) is None
