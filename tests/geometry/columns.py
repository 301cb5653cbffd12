"""Attributes of every dtype at random, and comparisons that also hold dtypes equal."""

from __future__ import annotations

from typing import Any

import numpy as np
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp

from zarr_vectors.axes import as_axes
from zarr_vectors.geometry import Categorical, Column, Geometry, Points
from zarr_vectors.typing import AnyArray

NUMBERS = ["i1", "i2", "i4", "i8", "u1", "u2", "u4", "u8", "f2", "f4", "f8", ">f4", ">i2", "?"]
TIMES = ["M8[s]", "M8[ns]", "m8[ms]"]
POSITIONS = ["f2", "f4", "f8", ">f8", "i1", "i4", "i8", "u2"]
WORDS = ["a", "", "ü w", "a/b", None]
AXES = ["x", "xy", "zyx", "xyzt", "ab"]


def array(draw: st.DrawFn, dtype: str, *shape: int) -> AnyArray:
    """Values of a dtype; halves are drawn as bits, as hypothesis rejects most floats that it draws for 16 bits."""
    kind = np.dtype(dtype)
    drawn: AnyArray = draw(hnp.arrays("u2" if kind.itemsize == 2 and kind.kind == "f" else kind, shape))
    return drawn.view(kind) if drawn.dtype != kind else drawn


def column(draw: st.DrawFn, rows: int, *, masks: bool = True, times: bool = True) -> Any:
    """One attribute of so many rows."""
    sort = draw(st.sampled_from(["number", "number", "channels", "text", "ordered", *(["masked"] * masks)]))
    if sort == "text":
        return Categorical.from_values(
            np.array([*draw(st.lists(st.sampled_from(WORDS), min_size=rows, max_size=rows)), None], dtype=object)[:-1]
        )
    if sort == "ordered":
        codes = draw(st.lists(st.integers(-1, 2), min_size=rows, max_size=rows))
        return Categorical(np.array(codes, dtype=np.int8), ("low", "mid", "high"), ordered=True)
    dtype = draw(st.sampled_from(NUMBERS + TIMES * times))
    if sort == "channels":
        return array(draw, dtype, rows, draw(st.integers(1, 3)))
    values = array(draw, dtype, rows)
    if sort == "masked" and values.dtype.kind in "biu":
        return np.ma.MaskedArray(values, mask=array(draw, "?", rows))
    return values


def columns(draw: st.DrawFn, rows: int, prefix: str = "a", **options: Any) -> dict[str, Any]:
    """Up to five attributes."""
    return {f"{prefix}{number}": column(draw, rows, **options) for number in range(draw(st.integers(0, 5)))}


@st.composite
def clouds(draw: st.DrawFn, /, **options: Any) -> Points:
    """Points with 1 to 4 axes, with and without owners and row ids."""
    rows, axes = draw(st.integers(0, 12)), draw(st.sampled_from(AXES))
    return Points(
        array(draw, draw(st.sampled_from(POSITIONS)), rows, len(axes)),
        columns(draw, rows, **options),
        object_ids=array(draw, "i8", rows) if draw(st.booleans()) else None,
        row_ids=np.arange(rows)[::-1] if draw(st.booleans()) else None,
        axes=axes,
    )


def assert_same_column(got: Column, given: Column) -> None:
    """Equal values, dtypes and masks, apart from byte order."""
    assert isinstance(got, Categorical) == isinstance(given, Categorical)
    if isinstance(got, Categorical) and isinstance(given, Categorical):
        assert np.asarray(got).tolist() == np.asarray(given).tolist()
        assert got.ordered == given.ordered
        return
    got, given = np.ma.asarray(got), np.ma.asarray(given)
    assert got.dtype == given.dtype.newbyteorder("=")
    assert got.shape == given.shape
    masks = np.ma.getmaskarray(got), np.ma.getmaskarray(given)
    np.testing.assert_array_equal(*masks)
    plain = np.ma.getdata(got)[~masks[0]], np.ma.getdata(given)[~masks[0]]
    np.testing.assert_array_equal(*plain)


def assert_same_value(got: Geometry, given: Geometry, *, dtype: bool = True) -> None:
    """Equal values, with equal dtypes, axes and attributes in the same order."""
    assert got == given
    assert as_axes(got.axes, got.ndim) == as_axes(given.axes, given.ndim)
    if dtype:
        assert got.positions.dtype == given.positions.dtype.newbyteorder("=")
    for name in ("attributes", "object_attributes", "edge_attributes", "face_attributes"):
        mine, theirs = getattr(got, name, {}), getattr(given, name, {})
        assert list(mine) == list(theirs)
        for key in mine:
            assert_same_column(mine[key], theirs[key])
