"""Shards and their index."""

from __future__ import annotations

from math import prod
from typing import Any

import numpy as np
import pytest
import zarr
from hypothesis import given
from hypothesis import strategies as st
from zarr.storage import MemoryStore

from zarr_vectors.encoding.blobs import Blobs
from zarr_vectors.encoding.sharding import MISSING, decode_shard_index, encode_shard, index_size, morton_rank

LONGEST = {1: 30, 2: 20, 3: 7, 4: 4}
SHAPES = st.sampled_from(list(LONGEST)).flatmap(lambda ndim: st.tuples(*[st.integers(1, LONGEST[ndim])] * ndim))


@given(SHAPES)
def test_cells_are_ordered_as_zarr_python_orders_them(shape: tuple[int, ...]) -> None:
    content: dict[str, Any] = {}
    cells = prod(shape)
    array = zarr.create_array(
        MemoryStore(content), shape=shape, shards=shape, chunks=(1,) * len(shape), dtype="uint16", compressors=None
    )
    array[...] = np.arange(1, cells + 1, dtype=np.uint16).reshape(shape)
    shard = content["/".join(["c", *"0" * len(shape)])].to_bytes()
    offsets = decode_shard_index(shard[-index_size(cells, True) :], cells)[:, 0]
    assert np.argsort(offsets).tolist() == np.argsort(morton_rank(shape)).tolist()


@pytest.mark.parametrize("index_at_end", [True, False], ids=["index at end", "index first"])
@pytest.mark.parametrize("crc32c", [True, False], ids=["checked", "unchecked"])
@given(SHAPES, st.data())
def test_cells_are_found_through_the_index(
    crc32c: bool, index_at_end: bool, shape: tuple[int, ...], data: st.DataObject
) -> None:
    numbers = data.draw(st.lists(st.integers(0, prod(shape) - 1), unique=True, max_size=9))
    cells = [data.draw(st.binary(max_size=5)) for _ in numbers]
    shard = encode_shard(
        Blobs.from_list(cells), np.array(numbers, dtype=np.int64), shape, crc32c=crc32c, index_at_end=index_at_end
    )
    size = index_size(prod(shape), crc32c)
    raw = shard[-size:] if index_at_end else shard[:size]
    index = decode_shard_index(raw, prod(shape), crc32c=crc32c)
    assert len(shard) == size + sum(map(len, cells))
    for number in range(prod(shape)):
        offset, length = (int(v) for v in index[number])
        if number in numbers:
            assert shard[offset : offset + length] == cells[numbers.index(number)]
        else:
            assert (offset, length) == (MISSING, MISSING)


def test_any_change_of_a_checked_index_is_found() -> None:
    shard = encode_shard(Blobs.from_list([b"abc", b"de"]), np.array([1, 3]), (2, 2))
    raw = shard[-index_size(4, True) :]
    for place in range(8 * len(raw)):
        flipped = bytearray(raw)
        flipped[place // 8] ^= 1 << place % 8
        with pytest.raises(ValueError, match="checksum"):
            decode_shard_index(bytes(flipped), 4)


@pytest.mark.parametrize("size", [0, 16, 67, 69])
def test_an_index_of_another_length_is_refused(size: int) -> None:
    with pytest.raises(ValueError, match=f"{size} bytes, not 68"):
        decode_shard_index(bytes(size), 4)
