"""Link records: ranks of permutations, names of segments, and cells."""

from __future__ import annotations

from itertools import permutations
from math import factorial
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as npst

from zarr_vectors.encoding.blobs import Blobs
from zarr_vectors.encoding.links import (
    decode_grouped,
    decode_plain,
    encode_grouped,
    format_segment,
    lehmer_ranks,
    parse_segment,
    permutations_at,
)

INT64 = np.dtype("<i8")

GROUPED = {
    "format.md 12.4": (
        """0100000000000000 0000000000000000
        0000000000000000 0200000000000000 0000000000000000
        0100000000000000 0300000000000000 0100000000000000""",
        3,
        [[0, 2, 0], [1, 3, 1]],
    ),
    "graph +1.0.0": (
        """0100000000000000 0000000000000000
        0000000000000000 0100000000000000 0000000000000000
        0100000000000000 0100000000000000 0000000000000000""",
        3,
        [[0, 1, 0], [1, 1, 0]],
    ),
    "mesh +1.0.0_+1.+1.0": (
        "0100000000000000 00000000000000000300000000000000 0500000000000000 0000000000000000 0000000000000000",
        4,
        [[3, 5, 0, 0]],
    ),
    "mesh 0.0.0_+1.0.0": (
        "0100000000000000 00000000000000000100000000000000 0400000000000000 0500000000000000 0000000000000000",
        4,
        [[1, 4, 5, 0]],
    ),
    "polylines +2.0.0": (
        "0100000000000000 0000000000000000 0100000000000000 0000000000000000 0400000000000000",
        3,
        [[1, 0, 4]],
    ),
}
"""Cells that 0.9.2 wrote."""


@pytest.mark.parametrize(("hexadecimal", "width", "rows"), GROUPED.values(), ids=GROUPED)
def test_cells_of_the_format_description_and_of_golden_stores(hexadecimal: str, width: int, rows: Any) -> None:
    blob = bytes.fromhex(hexadecimal)
    assert encode_grouped(np.array(rows, dtype=INT64), np.array([len(rows)])).to_list() == [blob]
    found, per_cell, errors = decode_grouped(Blobs.from_list([blob]), INT64, width)
    assert (found.tolist(), per_cell.tolist(), errors) == (rows, [len(rows)], {})


def test_a_plain_cell_of_a_golden_store() -> None:
    blob = bytes.fromhex(
        "030000000000000004000000000000000500000000000000000000000000000001000000000000000200000000000000"
    )
    rows, per_cell, errors = decode_plain(Blobs.from_list([blob]), INT64, 3)
    assert (rows.tolist(), per_cell.tolist(), errors) == ([[3, 4, 5], [0, 1, 2]], [2], {})


@pytest.mark.parametrize("width", [1, 2, 3, 4, 5, 6])
def test_ranks_count_permutations_as_itertools_does(width: int) -> None:
    orders = np.array(list(permutations(range(width))))
    assert lehmer_ranks(orders).tolist() == list(range(factorial(width)))
    assert permutations_at(np.arange(factorial(width)), width).tolist() == orders.tolist()


@given(st.integers(1, 20).flatmap(lambda width: st.permutations(range(width))))
def test_ranks_of_up_to_twenty_ends_go_both_ways(order: list[int]) -> None:
    rank = lehmer_ranks(np.array([order]))
    expected = 0
    unused = sorted(order)
    for place, number in enumerate(order):
        expected += unused.index(number) * factorial(len(order) - 1 - place)
        unused.remove(number)
    assert rank.tolist() == [expected]
    assert permutations_at(rank, len(order)).tolist() == [order]


def test_no_ranks_are_no_permutations() -> None:
    assert permutations_at(np.zeros(0, dtype=np.int64), 3).shape == (0, 3)
    assert lehmer_ranks(np.zeros((0, 3), dtype=np.int64)).tolist() == []


@pytest.mark.parametrize(
    ("name", "offsets"),
    [
        ("0.0.0", [[0, 0, 0]]),
        ("+1.-1.0.0", [[1, -1, 0, 0]]),
        ("0.0.0_+1.0.0", [[0, 0, 0], [1, 0, 0]]),
        ("-1234567890123", [[-1234567890123]]),
        ("0_+10_-10", [[0], [10], [-10]]),
    ],
)
def test_names_of_segments(name: str, offsets: Any) -> None:
    assert format_segment(np.array(offsets)) == name
    assert parse_segment(name, len(offsets[0])).tolist() == offsets


@given(
    npst.arrays(np.int64, st.tuples(st.integers(0, 4), st.integers(1, 4)), elements=st.integers(-(2**40), 2**40)),
)
def test_every_offset_has_a_name_of_its_own(offsets: Any) -> None:
    parsed = parse_segment(format_segment(offsets), offsets.shape[1])
    assert parsed.shape == offsets.shape
    assert parsed.tolist() == offsets.tolist()


@pytest.mark.parametrize(
    ("name", "ndim"),
    [
        ("", 1),
        ("1.0", 2),
        ("+0.0", 2),
        ("-0.0", 2),
        ("+01.0", 2),
        ("0.0", 3),
        ("0.0.0", 2),
        ("0.0_", 2),
        ("_0.0", 2),
        ("0.0_0", 2),
        ("0.a", 2),
        ("0,0", 2),
        ("Self", 1),
        ("+1 .0", 2),
        ("+١.0", 2),
        ("0.0\n", 2),
    ],
)
def test_names_that_are_none(name: str, ndim: int) -> None:
    with pytest.raises(ValueError, match="is not offsets"):
        parse_segment(name, ndim)


CELLS = st.lists(
    st.integers(0, 4).flatmap(lambda rows: npst.arrays("<i8", (rows, 3), elements=st.integers(-(2**62), 2**62))),
    max_size=5,
)


@given(CELLS)
def test_grouped_cells_survive(cells: list[Any]) -> None:
    counts = np.array([len(cell) for cell in cells], dtype=np.int64)
    joined = np.concatenate([np.zeros((0, 3), dtype=INT64), *cells])
    blobs = encode_grouped(joined, counts)
    rows, per_cell, errors = decode_grouped(blobs, INT64, 3)
    assert (rows.tolist(), per_cell.tolist(), errors) == (joined.tolist(), counts.tolist(), {})
    apart = [encode_grouped(cell, np.array([len(cell)]))[0] for cell in cells]
    assert blobs.to_list() == [bytes(cell) for cell in apart]


@given(CELLS)
def test_plain_cells_survive(cells: list[Any]) -> None:
    rows, per_cell, errors = decode_plain(Blobs.from_list([cell.tobytes() for cell in cells]), INT64, 3)
    assert per_cell.tolist() == [len(cell) for cell in cells]
    assert rows.tolist() == [row for cell in cells for row in cell.tolist()]
    assert errors == {}


def test_several_groups_are_one_list_of_rows() -> None:
    """Each append of 0.9.2 adds a group."""
    blob = np.array([3, 0, 16, 16, 1, 2, 3, 4], dtype=INT64).tobytes()
    rows, per_cell, errors = decode_grouped(Blobs.from_list([blob]), INT64, 2)
    assert (rows.tolist(), per_cell.tolist(), errors) == ([[1, 2], [3, 4]], [2], {})


GOOD = np.array([1, 0, 0, 7, 8], dtype=INT64).tobytes()


@pytest.mark.parametrize("size", [size for size in range(len(GOOD)) if size != 16])
def test_a_grouped_cell_that_is_cut_short_is_told_and_the_others_are_read(size: int) -> None:
    rows, per_cell, errors = decode_grouped(Blobs.from_list([GOOD, GOOD[:size], GOOD]), INT64, 3)
    assert list(errors) == [1]
    assert "links" in errors[1]
    assert (rows.tolist(), per_cell.tolist()) == ([[0, 7, 8]] * 2, [1, 0, 1])


@pytest.mark.parametrize("groups", [-1, 5, 2**40, -(2**63), 2**63 - 1])
def test_a_grouped_cell_with_more_groups_than_bytes_is_told(groups: int) -> None:
    bad = np.array([groups, 0, 0, 7, 8], dtype=INT64).tobytes()
    rows, per_cell, errors = decode_grouped(Blobs.from_list([bad, GOOD]), INT64, 3)
    assert list(errors) == [0]
    assert (rows.tolist(), per_cell.tolist()) == ([[0, 7, 8]], [0, 1])


@pytest.mark.parametrize("size", [1, 8, 15, 17, 23])
def test_a_plain_cell_that_is_cut_short_is_told_and_the_others_are_read(size: int) -> None:
    good = np.array([7, 8], dtype=INT64).tobytes()
    rows, per_cell, errors = decode_plain(Blobs.from_list([bytes(size), good]), INT64, 2)
    assert list(errors) == [0]
    assert (rows.tolist(), per_cell.tolist()) == ([[7, 8]], [0, 1])


def test_records_may_be_of_narrower_integers() -> None:
    rows = np.array([[1, 2], [3, 4]], dtype="<u4")
    blobs = encode_grouped(rows, np.array([1, 1]))
    assert blobs.sizes.tolist() == [24, 24]
    assert decode_grouped(blobs, np.dtype("<u4"), 2)[0].tolist() == rows.tolist()
