"""Sorting rows and finding runs."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as npst

from zarr_vectors.spatial.partition import runs_of, stable_order

DTYPES = ["int8", "int16", "int32", "int64", "uint8", "uint16", "uint32", "uint64"]
SPANS = [0, 1, 255, 2**16 - 1, 2**16, 2**32, 2**48 - 1, 2**48, 2**63]


@st.composite
def keys(draw: st.DrawFn, rows: int) -> Any:
    dtype: np.dtype[Any] = np.dtype(draw(st.sampled_from(DTYPES)))
    info = np.iinfo(dtype)
    low = draw(st.integers(int(info.min), int(info.max)))
    high = min(int(info.max), low + draw(st.sampled_from(SPANS)))
    return draw(npst.arrays(dtype, rows, elements=st.integers(low, high)))


@given(st.integers(0, 40).flatmap(lambda rows: st.lists(keys(rows), min_size=1, max_size=4)))
def test_the_order_is_that_of_lexsort(columns: list[Any]) -> None:
    assert stable_order(columns).tolist() == np.lexsort(columns[::-1]).tolist()


@pytest.mark.parametrize("span", SPANS)
def test_equal_rows_keep_their_order_in_every_number_of_passes(span: int) -> None:
    rng = np.random.default_rng(span % 1000)
    column = rng.choice(np.array([0, span // 2, span - 1 if span else 0], dtype=np.int64), 5000) - span // 2
    fine = rng.integers(-3, 3, 5000)
    assert np.array_equal(stable_order([column, fine]), np.lexsort([fine, column]))


@given(npst.arrays(np.int64, st.integers(0, 30), elements=st.integers(0, 2)), st.booleans())
def test_runs_end_where_a_key_changes(first: Any, two: bool) -> None:
    columns = [first, first[::-1] // 2] if two else [first]
    rows = list(zip(*(column.tolist() for column in columns), strict=True))
    starts = [n for n in range(len(rows)) if n == 0 or rows[n] != rows[n - 1]]
    runs = runs_of(*columns)
    assert (runs.starts.tolist(), len(runs)) == (starts, len(starts))
    assert runs.counts.tolist() == np.diff([*starts, len(rows)]).tolist()
