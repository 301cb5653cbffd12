"""Conditions on attributes: what they say of rows and of whole cells, compared with Python's own comparisons."""

from __future__ import annotations

import pickle
from itertools import pairwise
from math import inf, nextafter
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

import zarr_vectors as zv
from tests.query.conditions import columns, plain_rows, plain_values, says, trees
from zarr_vectors.exceptions import AttributeNotFoundError, InputError
from zarr_vectors.geometry import Column, take_column
from zarr_vectors.query.expressions import (
    MOST_NESTED,
    And,
    Compare,
    Expression,
    IsIn,
    IsNull,
    Not,
    Or,
    ValueRanges,
)

NAN = float("nan")


@st.composite
def cases(draw: st.DrawFn) -> tuple[dict[str, Column], Expression, int]:
    rows = draw(st.integers(0, 12))
    given_columns = {name: draw(columns(rows)) for name in ("a", "b")}
    texts = {name: isinstance(column, zv.Categorical) for name, column in given_columns.items()}
    return given_columns, draw(trees(texts)), rows


@given(case=cases())
def test_rows_meet_what_python_says_of_each(case: tuple[dict[str, Column], Expression, int]) -> None:
    given_columns, condition, rows = case
    dtypes = {name: column.dtype for name, column in given_columns.items()}
    expected = [says(condition, row, dtypes) for row in plain_rows(given_columns, rows)]
    assert condition.mask(given_columns).tolist() == [found is True for found in expected]
    assert (~condition).mask(given_columns).tolist() == [found is False for found in expected]


def ranges_of(column: Column, ends: np.ndarray[Any, Any], known: np.ndarray[Any, Any], *, told: bool) -> ValueRanges:
    """What an index would know of a column cut into cells."""
    cells = [take_column(column, slice(start, end)) for start, end in pairwise(ends.tolist())]
    text = isinstance(column, zv.Categorical)
    values = [
        [code for code in cell.codes.tolist() if code >= 0]
        if isinstance(cell, zv.Categorical)
        else [one for one in plain_values(cell) if one is not None]
        for cell in cells
    ]
    return ValueRanges(
        rows=np.diff(ends),
        nulls=np.array([len(cell) - len(some) for cell, some in zip(cells, values, strict=True)], dtype=np.int64),
        low=np.array([float_below(min(some)) if some else np.nan for some in values]),
        high=np.array([-float_below(-max(some)) if some else np.nan for some in values]),
        known=known,
        categories=column.categories if isinstance(column, zv.Categorical) else None,
        dtype=column.dtype if told and not text else None,
    )


def float_below(value: Any) -> float:
    near = float(value)
    return near if near <= value else nextafter(near, -inf)


@given(case=cases(), data=st.data())
def test_cells_are_pruned_of_nothing_that_a_row_meets(
    case: tuple[dict[str, Column], Expression, int], data: st.DataObject
) -> None:
    given_columns, condition, rows = case
    cuts = data.draw(st.lists(st.integers(0, rows), min_size=2, max_size=5))
    ends = np.array([0, *sorted(cuts), rows])
    cells = len(ends) - 1
    ranges = {}
    for name, column in given_columns.items():
        if data.draw(st.booleans()):
            known = np.array(data.draw(st.lists(st.booleans(), min_size=cells, max_size=cells)), dtype=bool)
            ranges[name] = ranges_of(column, ends, known, told=data.draw(st.booleans()))
            if data.draw(st.booleans()):
                ranges[name].low[:] = np.nan
    may, must = condition.prune(ranges, cells)
    met = condition.mask(given_columns)
    for cell, (start, end) in enumerate(pairwise(ends.tolist())):
        assert may[cell] or not met[start:end].any()
        assert not must[cell] or met[start:end].all()


def one_cell(low: float, high: float, nulls: int = 0, **more: Any) -> dict[str, ValueRanges]:
    ends: Any = {"low": np.array([low]), "high": np.array([high])}
    return {"x": ValueRanges(rows=np.array([9]), nulls=np.array([nulls]), known=np.ones(1, bool), **ends, **more)}


@pytest.mark.parametrize("dtype", [None, np.dtype("f4"), np.dtype("i8")])
def test_cells_are_pruned_where_their_ranges_decide(dtype: Any) -> None:
    x = zv.col("x")
    known = one_cell(2.0, 5.0, dtype=dtype)
    for sure in (x >= 2, x < 6, x != 7, ~(x == 7), x.between(1, 9) & (x > 0), (x == 7) | (x < 8), ~x.is_null()):
        assert [each.tolist() for each in sure.prune(known)] == [[True], [True]], sure
    for maybe in (x > 2, x < 5, x == 3, x.isin([1, 4]), x != 4):
        assert [each.tolist() for each in maybe.prune(known)] == [[True], [False]], maybe
    for never in (x < 2, x > 5, x == 7, x.isin([1, 9]), x.is_null(), ~(x < 6), (x > 1) & (x > 6)):
        assert [each.tolist() for each in never.prune(known)] == [[False], [False]], never
    assert [each.tolist() for each in (x < 6).prune(one_cell(2.0, 5.0, nulls=1, dtype=dtype))] == [[True], [False]]
    assert [each.tolist() for each in (x < 6).prune(one_cell(np.nan, np.nan, nulls=9))] == [[False], [False]]
    text = one_cell(1.0, 2.0, categories=("a", "b", "c", "d"))
    assert [each.tolist() for each in x.isin(["b", "c", "d"]).prune(text)] == [[True], [True]]
    assert [each.tolist() for each in (x > "c").prune(text)] == [[False], [False]]


def told(condition: Expression, ranges: dict[str, ValueRanges]) -> tuple[bool, bool]:
    may, must = condition.prune(ranges)
    return bool(may[0]), bool(must[0])


def test_cells_are_pruned_by_numbers_between_two_floats() -> None:
    x, number = zv.col("x"), 2**53 + 1
    below, around = one_cell(2.0**53, 2.0**53, dtype=np.dtype("i8")), one_cell(2.0**53, 2.0**53 + 2)
    assert told(x == number, below) == told(x.isin([number]), below) == told(x >= number, below) == (False, False)
    assert told(x != number, below) == told(x < number, below) == (True, True)
    assert told(x == number, around) == told(x.isin([number]), around) == told(x > number - 1, around) == (True, False)


def test_cells_of_unknown_dtype_may_hold_what_any_dtype_rounds_to() -> None:
    x = zv.col("x")
    for dtype in ("f2", "f4", "f8"):
        low = float(np.dtype(dtype).type(0.1))
        assert told(x == 0.1, one_cell(low, low)) == told(x.isin([0.1, 7]), one_cell(low, low)) == (True, False)
        assert told(x == 0.1, one_cell(low, low, dtype=np.dtype(dtype))) == (True, True)
    assert told(x == 0.1, one_cell(0.1, 0.1, dtype=np.dtype("f4"))) == (False, False)


def test_what_surely_fails_is_surely_met_by_the_opposite() -> None:
    x = zv.col("x")
    assert told(~(x > 3), one_cell(1.0, 5.0)) == (True, False)
    assert told(~(x > 3), one_cell(1.0, 2.0)) == (True, True)
    assert told(~(x > 3), one_cell(4.0, 5.0)) == (False, False)
    assert told(~(x > 3), one_cell(1.0, 2.0, nulls=1)) == (True, False)
    assert told(~x.is_null(), one_cell(1.0, 2.0, nulls=1)) == (True, False)


def test_cells_without_rows_have_none_that_may() -> None:
    none = ValueRanges(
        rows=np.zeros(1, int),
        nulls=np.zeros(1, int),
        low=np.array([np.nan]),
        high=np.array([np.nan]),
        known=np.ones(1, bool),
    )
    for condition in (zv.col("x") > 3, ~(zv.col("x") > 3), zv.col("x").isin([1]), zv.col("x").is_null()):
        assert [each.tolist() for each in condition.prune({"x": none})] == [[False], [True]]
    with pytest.raises(InputError, match="cells must be given"):
        (zv.col("x") > 3).prune({})
    assert (zv.col("y") > 3).prune({}, 2)[0].tolist() == [True, True]


def test_whole_numbers_are_not_rounded() -> None:
    numbers = np.array([2**53, 2**53 + 1, 2**63 - 1], dtype="i8")
    x = zv.col("x")
    assert (x == 2**53 + 1).mask({"x": numbers}).tolist() == [False, True, False]
    assert (x > 2.0**53).mask({"x": numbers}).tolist() == [False, True, True]
    assert (x < 2**63).mask({"x": numbers}).all()
    assert x.isin([2**53, 2**70, 0.5]).mask({"x": numbers}).tolist() == [True, False, False]
    assert (x == 0.1).mask({"x": np.array([0.1, 0.5], dtype="f4")}).tolist() == [True, False]
    assert (x == 10**400).mask({"x": np.array([np.inf])}).tolist() == [False]


def test_conditions_are_composed_in_python() -> None:
    x, y = zv.col("x"), zv.col("y")
    assert (0 < x) == Compare("x", ">", 0)  # noqa: SIM300
    assert (np.float32(0.5) >= x) == Compare("x", "<=", 0.5)
    assert ((x > 1) & (y > 1) & (x < 5)) == And((x > 1, y > 1, x < 5))
    assert ((x > 1) | ((y > 1) | (x < 5))) == Or((x > 1, y > 1, x < 5))
    assert x.isin([1, None, np.nan]) == IsIn("x", (1,)) | IsNull("x")
    assert x.isin([None]) == IsNull("x")
    assert x.isin({2, 1}) == x.isin({1, 2}) == x.isin(np.array([1, 2])) == x.isin(range(1, 3))
    condition = ~((x == "a") & y.between(1, 2))
    assert condition.names == ("x", "y")
    assert pickle.loads(pickle.dumps(condition)) == condition
    assert len({condition, Not(condition.part), x == "a"}) == 2  # type: ignore[attr-defined]
    assert repr(x == "a") == "Compare(name='x', op='==', value='a')"
    assert repr(x) == "col('x')"
    assert hash(x) == hash(zv.col("x"))


@pytest.mark.parametrize(
    ("make", "match"),
    [
        (lambda x: 0 < x < 5, "neither true nor false.*&"),
        (lambda x: (x > 0) and (x < 5), "neither true nor false"),
        (lambda x: not x, "neither true nor false"),
        (lambda x: x == None, "is_null"),  # noqa: E711
        (lambda x: x.between(0, NAN), "is_null"),
        (lambda x: x > zv.col("y"), "not with another attribute"),
        (lambda x: x == (x > 3), "not with another attribute"),
        (lambda x: x == [1], "number, boolean, text or time"),
        (lambda x: x == 1j, "number, boolean, text or time"),
        (lambda x: x.isin("abc"), "must be a list"),
        (lambda x: x.isin(5), "must be a list"),
        (lambda x: x == 10**5000, "too long"),
        (lambda x: Compare(x, "==", 1), "named by text"),
        (lambda x: zv.col(x.name[1:]), "named by text"),
        (lambda x: Compare(x.name, "=~", 1), "must be one of"),
        (lambda x: And((x > 1,)), "at least two"),
        (lambda x: Or((x > 1, x)), "only conditions"),
        (Not, "only a condition"),
    ],
)
def test_what_is_no_condition_is_refused(make: Any, match: str) -> None:
    with pytest.raises(InputError, match=match):
        make(zv.col("x"))
    with pytest.raises(TypeError):
        (zv.col("x") > 1) & True


def test_conditions_are_not_nested_without_end() -> None:
    condition = zv.col("x") > 1
    for _ in range(MOST_NESTED - 1):
        condition = ~condition
    assert condition.names == ("x",)
    assert str(condition).count("not") == MOST_NESTED - 1
    with pytest.raises(InputError, match="nested too deeply"):
        _ = ~condition


def test_what_cannot_be_compared_is_refused() -> None:
    x = zv.col("x")
    numbers, text = np.arange(3), zv.Categorical.from_values(["a", "b", None])
    for condition, column, match in (
        (x == "a", numbers, "'x' of int64"),
        (x.isin(["a", 1]), numbers, "'x' of int64"),
        (x == 3, text, "'x' of text.*quotes"),
        (x < 3, text, "'x' of text"),
        (x.isin([3]), text, "'x' of text"),
        (x < 3, numbers * 1j, "complex"),
        (x == "a day", numbers.astype("M8[D]"), "datetime64"),
        (x == 2020, numbers.astype("M8[D]"), "datetime64"),
        (x == 3, np.zeros((3, 2)), "several channels"),
        (x.is_null(), np.zeros((3, 2)), "several channels"),
    ):
        with pytest.raises(InputError, match=match):
            condition.mask({"x": column})
    with pytest.raises(AttributeNotFoundError, match="'x'"):
        (x > 1).mask({"y": numbers})
    with pytest.raises(InputError, match="'x'"):
        (x > 1).prune(one_cell(0.0, 1.0, categories=("a", "b")))
    assert x.isin(["a", 3]).mask({"x": text}).tolist() == [True, False, False]
    assert (x == 2).mask({"x": numbers * (1 + 0j)}).tolist() == [False, False, True]
    assert x.is_null().mask({"x": np.array(["2020-01-01", "NaT"], dtype="M8[D]")}).tolist() == [False, True]
    assert (x == True).mask({"x": np.array([True, False])}).tolist() == [True, False]  # noqa: E712
