"""Values: what they take, how they compare, and that they stay what they are."""

from __future__ import annotations

from typing import Any

import numpy as np
import pandas as pd
import pytest
from hypothesis import given
from hypothesis import strategies as st

import zarr_vectors as zv
from tests.types.clouds import cloud, masked, short, uniform
from zarr_vectors.exceptions import InputError
from zarr_vectors.geometry import Categorical, as_ids, same_values

WORDS = st.lists(st.none() | st.text(max_size=4), max_size=30)


@given(WORDS)
def test_text_decodes_to_what_was_encoded(words: list[str | None]) -> None:
    column = Categorical.from_values(words)
    assert np.asarray(column).tolist() == words
    assert list(column.categories) == sorted({word for word in words if word is not None})
    assert [column[row] for row in range(len(column))] == words
    assert Categorical.from_values(np.array(words, dtype=object)).codes.tolist() == column.codes.tolist()


@given(WORDS, st.text(max_size=4) | st.none())
def test_text_compares_row_by_row(words: list[str | None], word: str | None) -> None:
    column = Categorical.from_values(words)
    assert (column == word).tolist() == [item == word for item in words]
    assert bool((column == column[:]).all())


@given(WORDS, st.data())
def test_rows_of_text_are_those_of_the_values(words: list[str | None], data: st.DataObject) -> None:
    column = Categorical.from_values(words)
    rows = data.draw(st.lists(st.integers(0, max(len(words) - 1, 0)), max_size=10)) if words else []
    assert np.asarray(column[np.array(rows, dtype=int)]).tolist() == [words[row] for row in rows]
    assert np.asarray(column[1:4]).tolist() == words[1:4]
    mask = np.array([word is None for word in words], dtype=bool)
    assert np.asarray(column[mask]).tolist() == [None] * int(mask.sum())


@pytest.mark.parametrize(
    ("codes", "told"),
    [
        ([0, 1, 2], "2 in row 2"),
        ([0, -2], "-2 in row 1"),
        (np.array([0, 255], dtype="u1"), "255 in row 1"),
        ([0.0, 1.0], "1-D integer array .got float64"),
        ([[0, 1]], "1-D integer array"),
        (["a"], "1-D integer array"),
    ],
    ids=short,
)
def test_codes_must_index_the_categories(codes: Any, told: str) -> None:
    with pytest.raises(InputError, match=told):
        Categorical(np.asarray(codes), ("a", "b"))


def test_numpy_scalars_among_the_categories_become_plain() -> None:
    column = Categorical(np.array([0, 1]), (np.str_("a"), np.int64(3)))
    assert [type(category) for category in column.categories] == [str, int]


@pytest.mark.parametrize("values", [{3, 1, 2}, frozenset({3, 1, 2}), range(1, 4), (1, 2, 3), np.array([1, 2, 3], "u1")])
def test_ids_may_be_any_collection_of_integers(values: Any) -> None:
    ids = as_ids("ids", values)
    assert ids.tolist() == [1, 2, 3]
    assert ids.dtype == np.int64


@pytest.mark.parametrize("values", [[], np.zeros(0), np.zeros(0, "i4"), ()])
def test_no_ids_are_ids(values: Any) -> None:
    assert as_ids("ids", values).dtype == np.int64
    assert len(as_ids("ids", values)) == 0


@pytest.mark.parametrize(
    ("left", "right", "same"),
    [
        ([1, 2], [1, 2], True),
        ([1, 2], [1, 3], False),
        ([1, 2], [1.0, 2.0], False),
        (np.array([1, 2], "i1"), np.array([1, 2], ">i8"), True),
        ([1.0, np.nan], [1.0, np.nan], True),
        ([1.0, np.nan], [np.nan, 1.0], False),
        (np.array(["NaT"], "M8[s]"), np.array(["NaT"], "M8[ns]"), True),
        ([[1, 2]], [1, 2], False),
        (None, None, True),
        (None, [1], False),
        (masked([1, 2], 0), masked([5, 2], 0), True),
        (masked([1, 2], 0), masked([1, 2], 1), False),
        (masked([1, 2], 0), np.array([1, 2]), False),
        (Categorical.from_values(["a", None]), Categorical(np.array([1, -1]), ("z", "a")), True),
        (Categorical.from_values(["a", None]), Categorical.from_values(["a", "b"]), False),
    ],
    ids=short,
)
def test_columns_compare_by_value(left: Any, right: Any, same: bool) -> None:
    left, right = (
        v if v is None or isinstance(v, (Categorical, np.ma.MaskedArray)) else np.asarray(v) for v in (left, right)
    )
    assert same_values(left, right) is same
    assert same_values(right, left) is same


def full() -> zv.Points:
    return uniform(
        6,
        attributes={"v": np.arange(6), "t": ["a", None] * 3},
        object_ids=[1, 1, 2, 2, 3, 3],
        object_attributes={"n": [1, 2, 3]},
        groups={0: [1, 3]},
        group_attributes={"g": ["x"]},
    )


def test_equal_clouds_are_equal_and_others_are_not() -> None:
    assert full() == full()
    assert full() != full().take(slice(0, 5))
    assert full() != full().take(np.arange(6)[::-1])
    assert full() != uniform(6)
    assert full() != "points"
    changed = zv.Points(**{name: getattr(full(), name) for name in ("positions", "attributes", "object_ids")})
    assert full() != changed


@pytest.mark.parametrize(
    "rows", [slice(1, 4), np.array([0, 5]), np.arange(6) % 2 == 0, np.zeros(0, int), [3, 3]], ids=short
)
def test_taking_rows_takes_every_column_and_leaves_the_tables(rows: Any) -> None:
    points, part = full(), full().take(rows)
    index = np.arange(6)[rows]
    assert part.positions.tolist() == points.positions[index].tolist()
    assert np.asarray(part.attributes["v"]).tolist() == index.tolist()
    assert np.asarray(part.attributes["t"]).tolist() == [["a", None][row % 2] for row in index]
    assert np.asarray(part.object_ids).tolist() == np.asarray(points.object_ids)[index].tolist()
    assert part.objects is not None
    assert part.objects.tolist() == [1, 2, 3]
    assert same_values(part.object_attributes["n"], points.object_attributes["n"])


def test_bounds_and_counts() -> None:
    points = cloud([[3, -1], [0, 5]])
    assert (points.vertex_count, points.ndim) == (2, 2)
    assert points.bounds == ([0.0, -1.0], [3.0, 5.0])
    assert cloud(np.zeros((0, 2))).bounds is None


@pytest.mark.parametrize(
    "positions", [[[1, 2], [3, 4]], ((1.5, 2), (3, 4)), pd.DataFrame({"x": [1.0], "y": [2.0]})], ids=short
)
def test_positions_may_be_anything_that_numpy_takes(positions: Any) -> None:
    assert cloud(positions).positions.shape == np.shape(positions)


def test_arrays_that_need_no_change_are_not_copied() -> None:
    positions, values = np.zeros((5, 3)), np.zeros(5)
    points = cloud(positions, {"v": values}, np.arange(5))
    assert points.positions is positions
    assert points.attributes["v"] is values


def test_none_stands_for_no_attributes_and_no_groups() -> None:
    points = zv.Points(np.zeros((1, 1)), attributes=None, groups=None, object_attributes=None)  # type: ignore[arg-type]
    assert not points.attributes
    assert not points.groups
    assert not points.object_attributes


def test_a_large_table_by_id_takes_no_quadratic_time() -> None:
    ids = np.arange(20_000)
    points = cloud(np.zeros((20_000, 1)), object_ids=ids, object_attributes={"n": {int(one): 1 for one in ids}})
    assert len(points.object_attributes["n"]) == 20_000


@pytest.mark.parametrize("dtype", ["f4", "c8", "M8[s]", "m8[ns]", ">f8"])
def test_masked_values_become_what_means_missing(dtype: str) -> None:
    given = masked(np.arange(3).astype(dtype), 1)
    column = cloud(np.zeros((3, 1)), {"v": given}).attributes["v"]
    assert type(column) is np.ndarray
    assert column.dtype == np.dtype(dtype)
    assert (column != column).tolist() == [False, True, False]
    assert given.mask.tolist() == [False, True, False]
