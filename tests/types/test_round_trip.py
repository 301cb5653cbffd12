"""What is written is what is read: positions, attributes and text of every type."""

from __future__ import annotations

from typing import Any

import numpy as np
import pandas as pd
import pytest

import zarr_vectors as zv
from tests.types.clouds import (
    assert_same_cloud,
    assert_same_column,
    cloud,
    in_input_order,
    masked,
    memory,
    read,
    values_of,
)
from zarr_vectors.typing import AnyArray

ROWS = 60
KEEP = zv.Layout(chunk_shape=4, keep_order=True)
FLOATS = ("f2", "f4", "f8", ">f2", ">f4", ">f8")
INTEGERS = ("i1", "u1", "i2", "u2", "i4", "u4", "i8", "u8", ">i2", ">u4", ">i8")
COMPLEX = ("c8", "c16", ">c8")
TIMES = ("M8[D]", "M8[s]", "M8[ns]", "m8[ms]", "m8[h]", ">M8[us]")


def positions(dtype: str, ndim: int) -> AnyArray:
    rng = np.random.default_rng(ndim)
    low = 0 if np.dtype(dtype).kind == "u" else -12
    return rng.integers(low, 13, (ROWS, ndim)).astype(dtype)


def kept(points: zv.Points, layout: zv.Layout = KEEP) -> zv.Points:
    """Write, read, and put the rows back as they were."""
    place = memory()
    zv.write(place, points, layout=layout)
    return in_input_order(read(place))


@pytest.mark.parametrize("ndim", [1, 2, 3, 4])
@pytest.mark.parametrize("dtype", FLOATS + INTEGERS)
def test_positions_of_every_real_dtype_come_back_exactly(dtype: str, ndim: int) -> None:
    points = cloud(positions(dtype, ndim))
    assert_same_cloud(kept(points), points)


@pytest.mark.parametrize("dtype", ["i1", "u1", "i2", "u4", "i8", "u8", "f2", "f4"])
def test_the_extremes_of_a_position_dtype_come_back(dtype: str) -> None:
    info: Any = np.finfo(dtype) if np.dtype(dtype).kind == "f" else np.iinfo(dtype)
    points = cloud(np.array([[info.min], [info.max], [0]], dtype=dtype))
    assert_same_cloud(kept(points, zv.Layout(keep_order=True)), points)


def test_the_sign_of_zero_and_subnormal_numbers_are_kept() -> None:
    points = cloud(np.array([[-0.0, 0.0], [5e-324, -5e-324], [0.1 + 0.2, 1.0]]))
    assert_same_cloud(kept(points), points)


def numeric(dtype: str, row_shape: tuple[int, ...] = ()) -> AnyArray:
    """Values of a dtype with its extremes, NaN, infinities and NaT among them."""
    kind = np.dtype(dtype).kind
    values = np.random.default_rng(3).integers(0, 100, (ROWS, *row_shape)).astype(np.dtype(dtype))
    odd: list[Any] = []
    if kind in "iu":
        odd = [np.iinfo(dtype).min, np.iinfo(dtype).max]
    elif kind in "fc":
        odd = [np.nan, np.inf, -np.inf, -0.0, 1e-7]
    elif kind in "mM":
        odd = ["NaT"]
    for row, value in enumerate(odd):
        values[row] = value
    return values


@pytest.mark.parametrize("dtype", ["bool", *FLOATS, *INTEGERS, *COMPLEX, *TIMES])
def test_attributes_of_every_dtype_come_back_exactly(dtype: str) -> None:
    points = cloud(positions("f4", 3), {"v": numeric(dtype)})
    assert_same_cloud(kept(points), points)


@pytest.mark.parametrize("row_shape", [(1,), (3,), (2, 2), (1, 3), (2, 1, 2)])
@pytest.mark.parametrize("dtype", ["bool", "u1", "f8", ">i2", "c8", "M8[s]"])
def test_attributes_keep_the_shape_of_their_rows(dtype: str, row_shape: tuple[int, ...]) -> None:
    points = cloud(positions("i4", 2), {"v": numeric(dtype, row_shape)})
    assert_same_cloud(kept(points), points)


NA = object()
TEXTS: dict[str, tuple[Any, list[Any]]] = {
    "list": (["b", "a", "", "ü"], ["b", "a", "", "ü"]),
    "list with None": (["b", None, "a", None], ["b", None, "a", None]),
    "list with NaN": (["b", float("nan"), "a", np.nan], ["b", None, "a", None]),
    "NUL at an end": (["a\0", "\0", "a", "\0a"], ["a\0", "\0", "a", "\0a"]),
    "U": (np.array(["nan", "None", "1", " "]), ["nan", "None", "1", " "]),
    ">U": (np.array(["x", "yy", "z", "x"], dtype=">U2"), ["x", "yy", "z", "x"]),
    "S": (np.array(["ü".encode(), b"a", b"", b"a"]), ["ü", "a", "", "a"]),
    "object": (np.array(["b", None, np.nan, b"q"], dtype=object), ["b", None, None, "q"]),
    "object with float32 NaN": (np.array(["b", np.float32("nan"), "a", "b"], dtype=object), ["b", None, "a", "b"]),
    "masked": (masked(["b", "x", "a", "b"], 1), ["b", None, "a", "b"]),
    "StringDType": (np.array(["b", "a", "", "long" * 30], dtype=np.dtypes.StringDType()), ["b", "a", "", "long" * 30]),
    "StringDType with None": (
        np.array(["b", None, "a", "b"], dtype=np.dtypes.StringDType(na_object=None)),
        ["b", None, "a", "b"],
    ),
    "StringDType with NaN": (
        np.array(["b", np.nan, "a", "b"], dtype=np.dtypes.StringDType(na_object=np.nan)),
        ["b", None, "a", "b"],
    ),
    "pandas Series": (pd.Series(["b", None, "a", "b"]), ["b", None, "a", "b"]),
    "pandas string": (pd.array(["b", None, "a", "b"], dtype="string"), ["b", None, "a", "b"]),
    "pandas Categorical": (pd.Categorical(["b", None, "a", "b"], ["z", "b", "a"]), ["b", None, "a", "b"]),
    "pandas category Series": (pd.Series(["b", None, "a", "b"], dtype="category"), ["b", None, "a", "b"]),
    "pandas numbers": (pd.Categorical([3, None, 1, 3]), [3, None, 1, 3]),
    "all missing": ([None] * 4, [None] * 4),
    "booleans": (zv.Categorical(np.array([0, 1, -1, 0]), (True, False)), [True, False, None, True]),
    "numpy categories": (zv.Categorical(np.array([1, 0, -1, 1]), (np.int64(7), np.int64(9))), [9, 7, None, 9]),
    "unsigned codes": (zv.Categorical(np.array([1, 0, 1, 1], dtype="u1"), ("a", "b")), ["b", "a", "b", "b"]),
}


@pytest.mark.parametrize("kind", TEXTS)
def test_text_of_every_kind_comes_back_with_missing_values_as_none(kind: str) -> None:
    given, expected = TEXTS[kind]
    points = cloud(np.arange(8.0).reshape(4, 2), {"t": given})
    assert np.asarray(points.attributes["t"]).tolist() == expected
    assert np.asarray(kept(points).attributes["t"]).tolist() == expected


def test_categories_keep_their_order_and_those_that_do_not_occur() -> None:
    given = pd.Categorical(["low", "high"], ["low", "middle", "high"], ordered=True)
    got = kept(cloud([[0.0], [1.0]], {"t": given})).attributes["t"]
    assert isinstance(got, zv.Categorical)
    assert got.categories == ("low", "middle", "high")
    assert got.ordered


@pytest.mark.parametrize(
    ("categories", "missing", "dtype"), [(256, False, "u1"), (257, False, "u2"), (128, True, "i1")]
)
def test_codes_are_as_narrow_as_the_categories_allow(categories: int, missing: bool, dtype: str) -> None:
    words = [f"w{number:03}" for number in range(categories)] + ([None] if missing else ["w000"])
    place = memory()
    zv.write(place, cloud(np.zeros((len(words), 1)), {"t": np.array(words, dtype=object)}))
    level = zv.open(place)[0]
    assert level._state.vertex_columns["t"].dtype == np.dtype(dtype)
    assert sorted(map(str, np.asarray(level.read().attributes["t"]).tolist())) == sorted(map(str, words))


def test_numbers_of_pandas_come_back_as_numbers() -> None:
    frame = pd.DataFrame(
        {"x": [1.0, 2.0], "n": [3, 4], "flag": [True, False], "when": pd.to_datetime(["2020", "2021"])}
    )
    points = cloud(frame[["x"]], {name: frame[name] for name in ("n", "flag", "when")})
    got = kept(points)
    assert values_of(got.attributes["n"]) == [3, 4]
    assert values_of(got.attributes["flag"]) == [True, False]
    assert got.attributes["when"].dtype.kind == "M"


@pytest.mark.parametrize(
    "axes",
    [
        "zyx",
        ("t", "channel", "x"),
        (zv.Axis("t", "second", "time"), {"name": "y", "unit": "nanometer"}, zv.Axis("höhe", "metre")),
    ],
)
def test_axes_keep_their_names_units_and_kinds(axes: Any) -> None:
    points = cloud(np.ones((2, 3)), axes=axes)
    place = memory()
    zv.write(place, points)
    assert zv.open(place).axes == points.axes == read(place).axes


def test_axes_given_to_write_rename_those_of_the_value() -> None:
    place = memory()
    zv.write(place, cloud(np.ones((2, 2)), axes="xy"), axes="uv")
    assert [axis.name for axis in zv.open(place).axes] == ["u", "v"]


def test_crs_and_headers_come_back() -> None:
    place = memory()
    crs = {"id": {"authority": "EPSG", "code": 4326}}
    zv.write(place, cloud([[0.0]]), crs=crs, headers={"las": {"version": "1.4", "scale": [0.01]}})
    store = zv.open(place)
    assert store.crs == crs
    assert store.headers == {"las": {"version": "1.4", "scale": [0.01]}}


@pytest.mark.parametrize("ndim", [1, 2, 3, 4])
def test_no_points_keep_their_dtypes(ndim: int) -> None:
    columns = {
        "n": np.zeros((0, 3), "u2"),
        "t": np.zeros(0, "U4"),
        "when": np.zeros(0, "M8[s]"),
        "b": np.zeros(0, bool),
    }
    points = cloud(np.zeros((0, ndim), "f4"), columns)
    got = kept(points, zv.Layout(keep_order=True))
    assert_same_cloud(got, points)


def test_no_points_with_objects_keep_their_tables() -> None:
    points = cloud(np.zeros((0, 2)), object_ids=[], objects=[5, 3], object_attributes={"v": [1, 2]}, groups={0: [3]})
    place = memory()
    zv.write(place, points)
    table = zv.open(place)[0].objects
    assert table.ids.tolist() == [3, 5]
    assert_same_column(table.attributes["v"], np.array([2, 1]))
    assert read(place, object_ids=[5]).vertex_count == 0


@pytest.mark.parametrize("make", [np.asfortranarray, lambda a: a[::2], lambda a: np.broadcast_to(a[:1], a.shape)])
def test_arrays_may_lie_in_memory_in_any_way(make: Any) -> None:
    given = make(np.arange(60.0).reshape(20, 3))
    given.flags.writeable = False
    points = cloud(given, {"v": given[:, 1]})
    assert_same_cloud(kept(points), points)


def test_writing_changes_nothing_in_the_input() -> None:
    given = np.arange(60.0).reshape(20, 3)[::-1].copy()
    before = given.copy()
    zv.write(memory(), cloud(given), layout=KEEP)
    np.testing.assert_array_equal(given, before)


@pytest.mark.parametrize(("given", "dtype"), [("f8", "f4"), ("f8", "f2"), ("f8", "i4"), ("i8", "f4"), ("i8", "i1")])
def test_a_given_dtype_casts_the_positions_and_boxes_follow_the_stored_ones(given: str, dtype: str) -> None:
    points = np.random.default_rng(0).uniform(-90, 90, (300, 2)).astype(given)
    place = memory()
    zv.write(place, cloud(points), dtype=dtype, layout=zv.Layout(chunk_shape=10.3, keep_order=True))
    store = zv.open(place)
    assert_same_column(in_input_order(store[0].read()).positions, points.astype(dtype))
    assert store[0].count(store.bounds) == 300
    for low in range(-90, 90, 7):
        box = ([low + 0.3, -50.0], [low + 5.2, 50.0])
        expected = ((points.astype(dtype) >= box[0]) & (points.astype(dtype) <= box[1])).all(axis=1).sum()
        assert store[0].count(box) == expected
