"""Which chunk a link is stored with, compared with plain Python."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as npst

from zarr_vectors.spatial.placement import canonical_order, offset_groups, same_cell

FEW = st.integers(0, 3)


def numbers(elements: st.SearchStrategy[int], *, least: int = 2) -> st.SearchStrategy[Any]:
    shape = st.tuples(st.integers(0, 12), st.integers(least, 5))
    return shape.flatmap(lambda given: npst.arrays(np.int64, (2, *given), elements=elements))


@given(numbers(FEW))
def test_ends_are_sorted_by_chunk_and_row_and_equal_ones_stay(drawn: Any) -> None:
    cells, rows = drawn
    placed = canonical_order(cells, rows)
    for number, ends in enumerate(zip(cells.tolist(), rows.tolist(), strict=True)):
        pairs = list(zip(*ends, strict=True))
        expected = sorted(range(len(pairs)), key=pairs.__getitem__)
        assert placed.order[number].tolist() == expected
        assert placed.cells[number].tolist() == [pairs[end][0] for end in expected]
        assert placed.rows[number].tolist() == [pairs[end][1] for end in expected]
    assert placed.order.shape == cells.shape


@given(numbers(st.integers(-(2**62), 2**62)))
def test_ends_far_apart_are_sorted_too(drawn: Any) -> None:
    cells, rows = drawn
    placed = canonical_order(cells, rows)
    assert (placed.cells[:, 1:] >= placed.cells[:, :-1]).all()
    assert np.take_along_axis(cells, placed.order, axis=1).tolist() == placed.cells.tolist()


@given(
    st.tuples(st.integers(1, 9), st.integers(2, 4), st.integers(1, 4)).flatmap(
        lambda shape: npst.arrays(
            np.int64, shape, elements=st.one_of(st.integers(-2, 2), st.sampled_from([-(2**40), 2**40]))
        )
    )
)
def test_links_are_grouped_by_the_offsets_of_their_ends(coords: Any) -> None:
    groups, which = offset_groups(coords)
    offsets = coords[:, 1:] - coords[:, :1]
    assert groups[which].tolist() == offsets.tolist()
    assert len({str(group.tolist()) for group in groups}) == len(groups)
    assert set(which.tolist()) == set(range(len(groups)))


@pytest.mark.parametrize("axes", [1, 3])
def test_no_links_make_no_groups(axes: int) -> None:
    groups, which = offset_groups(np.zeros((0, 2, axes), dtype=np.int64))
    assert groups.shape == (0, 1, axes)
    assert which.shape == (0,)


@given(numbers(FEW, least=1))
def test_links_within_a_cell(drawn: Any) -> None:
    cells, _ = drawn
    assert same_cell(cells).tolist() == [len(set(ends)) == 1 for ends in cells.tolist()]
