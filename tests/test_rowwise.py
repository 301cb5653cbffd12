"""Runs of rows bring what indexing row by row brings."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from zarr_vectors import rowwise
from zarr_vectors.rowwise import RowPlaces, RowRuns, take_rows
from zarr_vectors.typing import AnyArray, IntArray

TABLES: dict[str, Any] = {
    "rows of three": np.arange(120, dtype="<f4").reshape(40, 3),
    "one column": np.arange(40, dtype=">i2"),
    "texts": np.array([f"row {number}" for number in range(40)]),
    "objects": np.array([f"row {number}" for number in range(40)], dtype=object),
    "masked": np.ma.masked_array(np.arange(40), np.arange(40) % 3 == 0),
    "strided": np.arange(240).reshape(40, 6)[:, ::2],
    "dates": np.arange(40).astype("M8[s]"),
    "no columns": np.zeros((40, 0)),
}
tables = pytest.mark.parametrize("table", list(TABLES.values()), ids=list(TABLES))


@pytest.fixture(autouse=True)
def _small_parts(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(rowwise, "_PART_ROWS", 4)
    monkeypatch.setattr(rowwise, "_THREADED_BYTES", 64)


def in_runs(starts: list[int], counts: list[int]) -> IntArray:
    rows = [start + step for start, count in zip(starts, counts, strict=True) for step in range(count)]
    return np.array(rows, dtype=np.int64)


def assert_same(found: AnyArray, expected: AnyArray) -> None:
    assert found.dtype == expected.dtype
    assert type(found) is type(expected)
    assert found.tolist() == expected.tolist()


@tables
@given(runs=st.lists(st.tuples(st.integers(0, 31), st.integers(0, 9)), max_size=12))
def test_runs_bring_their_rows(table: AnyArray, runs: list[tuple[int, int]]) -> None:
    starts, counts = [start for start, _ in runs], [count for _, count in runs]
    chosen = RowRuns(np.array(starts, dtype=np.int64), np.array(counts, dtype=np.int64))
    rows = in_runs(starts, counts)
    assert len(chosen) == len(rows)
    assert chosen.numbers.tolist() == rows.tolist()
    assert_same(take_rows(table, chosen), table[rows])


@pytest.mark.parametrize("start", [-1, 37])
def test_runs_that_leave_the_table_are_refused(start: int) -> None:
    with pytest.raises(IndexError, match="of a table of 40"):
        RowRuns(np.array([0, start]), np.array([3, 4])).take(TABLES["rows of three"])


@tables
@given(lengths=st.lists(st.integers(0, 9), min_size=1, max_size=12), data=st.data())
def test_places_bring_every_row_to_its_place(table: AnyArray, lengths: list[int], data: st.DataObject) -> None:
    counts = np.array(lengths)
    order = np.array(data.draw(st.permutations(range(len(lengths)))))
    starts = np.zeros(len(lengths), dtype=np.int64)
    starts[order] = np.cumsum(counts[order]) - counts[order]
    places = RowPlaces(starts, counts)
    assert places.is_complete
    part = table[: len(places)] if len(places) <= len(table) else np.resize(table, (len(places), *table.shape[1:]))
    expected = part.copy()
    expected[in_runs(starts.tolist(), lengths)] = part
    assert_same(take_rows(part, places), expected)
    assert_same(part[places.numbers], expected)


@given(st.lists(st.tuples(st.integers(0, 12), st.integers(0, 4)), max_size=5))
def test_places_are_complete_only_if_each_is_taken_once(runs: list[tuple[int, int]]) -> None:
    starts, counts = [start for start, _ in runs], [count for _, count in runs]
    taken = sorted(in_runs(starts, counts).tolist())
    places = RowPlaces(np.array(starts, dtype=np.int64), np.array(counts, dtype=np.int64))
    assert places.is_complete == (taken == list(range(len(taken))))
