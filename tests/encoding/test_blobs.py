"""Many byte strings in one buffer."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from zarr_vectors.encoding.blobs import Blobs, offsets_of

ITEMS = st.lists(st.binary(max_size=9), max_size=12)


@given(ITEMS)
def test_a_list_survives(items: list[bytes]) -> None:
    blobs = Blobs.from_list(items)
    assert blobs.to_list() == items == [bytes(view) for view in blobs.views()]
    assert [bytes(blobs[number]) for number in range(len(blobs))] == items
    assert (len(blobs), blobs.total, blobs.is_packed) == (len(items), len(b"".join(items)), True)
    assert bytes(blobs.joined()) == blobs.to_array().tobytes() == b"".join(items)


@given(ITEMS, st.data())
def test_rows_are_taken_in_the_order_asked_for(items: list[bytes], data: st.DataObject) -> None:
    rows = data.draw(st.lists(st.integers(0, len(items) - 1), max_size=9) if items else st.just([]))
    taken = Blobs.from_list(items).take(np.array(rows, dtype=np.int64))
    assert taken.to_list() == [items[row] for row in rows]
    assert bytes(taken.joined()) == b"".join(items[row] for row in rows)


@given(st.lists(ITEMS, max_size=4))
def test_parts_are_joined_in_order(parts: list[list[bytes]]) -> None:
    joined = Blobs.concatenate([Blobs.from_list(part) for part in parts])
    assert joined.to_list() == [item for part in parts for item in part]


def test_gaps_are_not_packed_and_not_joined() -> None:
    blobs = Blobs(b"abcdef", np.array([4, 0]), np.array([2, 1]))
    assert not blobs.is_packed
    assert (blobs.to_list(), bytes(blobs.joined())) == ([b"ef", b"a"], b"efa")


@pytest.mark.parametrize("dtype", ["u1", "<f4", ">i8"])
def test_an_array_is_taken_as_its_bytes(dtype: str) -> None:
    rows = np.arange(6).astype(dtype)
    cells = Blobs.packed(rows.view(np.uint8), np.array([2, 4]) * rows.itemsize)
    assert cells.to_list() == [rows[:2].tobytes(), rows[2:].tobytes()]


@given(st.lists(st.integers(0, 2**40), max_size=9))
def test_offsets_are_the_running_sum(sizes: list[int]) -> None:
    assert offsets_of(np.array(sizes, dtype=np.int64)).tolist() == [sum(sizes[:n]) for n in range(len(sizes) + 1)]
