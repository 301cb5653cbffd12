"""Columns and conditions drawn at random, and what a condition says of a row, one value after the other."""

from __future__ import annotations

import operator
from typing import Any

import numpy as np
from hypothesis import strategies as st

import zarr_vectors as zv
from zarr_vectors.geometry import Column
from zarr_vectors.query.expressions import And, Compare, Expression, IsIn, IsNull, Not, Or

OPERATORS = {
    "==": operator.eq,
    "!=": operator.ne,
    "<": operator.lt,
    "<=": operator.le,
    ">": operator.gt,
    ">=": operator.ge,
}
DTYPES = ("i1", "u1", "i4", "u4", "i8", "u8", "f2", "f4", "f8", ">i4", ">f4", "?")
WORDS = ("", "a", "b", "Ä", "it's", "zz")
EDGES = (
    0,
    1,
    -1,
    3,
    127,
    255,
    2**24 + 1,
    2**31,
    2**53,
    2**53 + 1,
    2**63 - 1,
    2**63,
    2**64 - 1,
    2**64,
    -(2**63),
    10**40,
)
FLOATS = (0.0, -0.0, 0.1, 0.5, 2.5, 1e39, -1e39, 65504.0, 65520.0, 2.0**53, 2.0**63, float("inf"), float("-inf"))

NUMBERS = st.one_of(
    st.sampled_from(EDGES), st.sampled_from(FLOATS), st.integers(-5, 5), st.floats(-5, 5, width=16), st.booleans()
)


@st.composite
def columns(draw: st.DrawFn, rows: int, dtype: str | None = None) -> Column:
    """A column of a dtype, ``"text"`` among them, some of it missing."""
    dtype = draw(st.sampled_from((*DTYPES, "text"))) if dtype is None else dtype
    if dtype == "text":
        codes = draw(st.lists(st.integers(-1, len(WORDS) - 1), min_size=rows, max_size=rows))
        return zv.Categorical(np.array(codes, dtype=np.int64), tuple(draw(st.permutations(list(WORDS)))))
    kind = np.dtype(dtype)
    if kind.kind == "f":
        floats = draw(st.lists(st.sampled_from((*FLOATS, np.nan)), min_size=rows, max_size=rows))
        with np.errstate(over="ignore"):
            return np.array(floats, dtype=np.float64).astype(kind)
    info = None if kind.kind == "b" else np.iinfo(kind)
    fits = [edge for edge in EDGES if (edge in (0, 1) if info is None else info.min <= edge <= info.max)]
    values = np.array(draw(st.lists(st.sampled_from(fits), min_size=rows, max_size=rows)), dtype=kind)
    if draw(st.booleans()):
        return values
    gone = draw(st.lists(st.booleans(), min_size=rows, max_size=rows))
    masked: Column = np.ma.MaskedArray(values, mask=np.array(gone, dtype=bool))
    return masked


def leaves(name: str, *, text: bool) -> st.SearchStrategy[Expression]:
    """Conditions on one attribute."""
    values: st.SearchStrategy[Any] = st.sampled_from(WORDS) if text else NUMBERS
    return st.one_of(
        st.builds(Compare, st.just(name), st.sampled_from(tuple(OPERATORS)), values),
        st.builds(IsIn, st.just(name), st.lists(values, max_size=4).map(tuple)),
        st.builds(IsNull, st.just(name)),
    )


def trees(texts: dict[str, bool]) -> st.SearchStrategy[Expression]:
    """Conditions on attributes of these names, which are of text or not, of any shape."""
    return st.recursive(
        st.one_of(*(leaves(name, text=text) for name, text in texts.items())),
        lambda parts: st.one_of(
            st.builds(Not, parts),
            st.builds(lambda two: And(tuple(two)), st.lists(parts, min_size=2, max_size=3)),
            st.builds(lambda two: Or(tuple(two)), st.lists(parts, min_size=2, max_size=3)),
        ),
        max_leaves=6,
    )


def says(condition: Expression, row: dict[str, Any], dtypes: dict[str, np.dtype[Any]]) -> bool | None:
    """What a condition says of a row of plain values: None where that is neither true nor false."""
    match condition:
        case IsNull(name):
            return row[name] is None
        case Compare(name, op, value):
            return None if row[name] is None else holds(row[name], op, value, dtypes[name])
        case IsIn(name, values):
            return None if row[name] is None else any(holds(row[name], "==", one, dtypes[name]) for one in values)
        case Not(part):
            found = says(part, row, dtypes)
            return None if found is None else not found
        case And(parts) | Or(parts):
            found_all = [says(part, row, dtypes) for part in parts]
            ends = isinstance(condition, Or)
            return ends if ends in found_all else None if None in found_all else not ends
    raise AssertionError(condition)


def holds(given: Any, op: str, value: Any, dtype: np.dtype[Any]) -> bool:
    """Compare as Python does, which is exact; with floats, what they are compared with is rounded first."""
    if dtype.kind == "f":
        with np.errstate(over="ignore"):
            rounded = float(dtype.type(float(value)))
        if np.isfinite(rounded) or value in (np.inf, -np.inf):
            value = rounded
    return bool(OPERATORS[op](given, value))


def plain_rows(given: dict[str, Column], rows: int) -> list[dict[str, Any]]:
    """Rows of columns as values of Python, None where one is missing."""
    lists = {name: plain_values(column) for name, column in given.items()}
    return [{name: values[row] for name, values in lists.items()} for row in range(rows)]


def plain_values(column: Column) -> list[Any]:
    """The values of a column, None where one is missing."""
    if isinstance(column, zv.Categorical):
        return list(np.asarray(column))
    gone = np.ma.getmaskarray(column)
    return [
        None if missing or value != value else value
        for value, missing in zip(np.ma.getdata(column).tolist(), gone.tolist(), strict=True)
    ]
