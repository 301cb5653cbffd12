"""What cannot be written is refused before anything is there, with the argument, the first bad row and the way out."""

from __future__ import annotations

import datetime
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest

import zarr_vectors as zv
from tests.types.clouds import cloud, files_of, masked, short
from zarr_vectors.exceptions import ChunkingError, InputError, OptionError
from zarr_vectors.types.points import write_points

P = np.array([[0.0, 0, 0], [1, 2, 3], [5, 5, 5]])
NAN, INF = np.nan, np.inf


def refused(place: Path, told: str, error: type[Exception], points: Any, **options: Any) -> None:
    """Neither a value nor a store comes of it."""
    with pytest.raises(error, match=told) as caught:
        zv.write(place, points() if callable(points) else points, **options)
    assert type(caught.value) is error
    assert len(str(caught.value)) < 600
    assert not place.exists()


@pytest.mark.parametrize(
    ("positions", "told"),
    [
        ([[0, 0], [1, NAN]], r"nan in row 1, column 1\); remove these rows"),
        ([[0, 0], [1, 1], [INF, 0]], r"inf in row 2, column 0"),
        ([[0, -INF]], r"-inf in row 0, column 1"),
        (np.array([[0, 0], [NAN, 0]], dtype="f2"), r"nan in row 1"),
        (np.array([[0, 0], [NAN, 0]], dtype=">f4"), r"nan in row 1"),
        ([1.0, 2.0], r"\(N, D\) array \(got shape \(2,\)\)"),
        (P[None], r"got shape \(1, 3, 3\)"),
        (5.0, r"got shape \(\)"),
        ([], r"np.empty\(\(0, 3\)\)"),
        ([[]], "1 to 4 columns"),
        (np.zeros((2, 5)), "1 to 4 columns .got 5 columns"),
        ([[1.0, 2.0], [3.0]], "rectangular .got 1 values in row 1, 2 in row 0"),
        (P * 1j, "dtype complex128"),
        (P.astype(str), "dtype <U32"),
        (P > 1, "dtype bool"),
        (P.astype(object), "dtype object"),
        (P.astype(np.longdouble), "64 bits"),
        (P.astype("M8[s]"), "datetime64"),
        ([[None, 1.0]], "dtype object"),
        ([[2**70, 1]], "dtype object"),
        (masked(P, 1), "a masked entry in row 1"),
        (None, "positions"),
        ("abc", "positions"),
        ({"x": [1]}, "positions"),
    ],
    ids=short,
)
def test_positions_that_are_no_finite_numbers(tmp_path: Path, positions: Any, told: str) -> None:
    refused(tmp_path / "s", told, InputError, lambda: cloud(positions))


@pytest.mark.parametrize(
    ("ids", "told"),
    [
        ([1, 2], "expected 3 entries, got 2"),
        ([1.0, 2.0, 3.0], "must be integers .got dtype float64"),
        (["1", "2", "3"], "must be integers .got dtype <U1"),
        ([True, False, True], "must be integers .got dtype bool"),
        ([1, None, 2], "must be integers"),
        ([[1], [2], [3]], r"1-D \(got shape \(3, 1\)\)"),
        (np.array([1, 2**63, 3], dtype="u8"), "9223372036854775808 in row 1"),
        ([1, 2, 2**63], "fit in int64.*9223372036854775808 in row 2.*smaller ids"),
        ((1, -(2**70), 3), "fit in int64.*in row 1"),
        (np.array([1, 2**70, 3], dtype=object), "fit in int64.*in row 1"),
        ([1.0, 2**63, 3], "must be integers .got dtype float64"),
        ([[1], [2, 3], [4]], "rectangular"),
        (masked([1, 2, 3], 2), "a masked entry in row 2"),
        (7, "1-D"),
    ],
    ids=short,
)
def test_object_ids_that_are_no_int64(tmp_path: Path, ids: Any, told: str) -> None:
    refused(tmp_path / "s", f"object_ids.*{told}", InputError, lambda: cloud(P, object_ids=ids))


@pytest.mark.parametrize(
    ("column", "told"),
    [
        ([1, 2], "'a' must have one value per row .expected 3 rows, got 2 rows"),
        (np.ones((2, 3)), "one value per row"),
        (5, "a single value"),
        ("abc", "a single value"),
        ([[1], [2, 3], [4]], "rectangular .got 2 values in row 1, 1 in row 0"),
        (["a", 1, "b"], "text or missing.*int in row 1"),
        ([1, None, 2], "int in row 0.*numeric dtype"),
        ([["a"], ["b"], ["c"]], "must be 1-D"),
        (np.array([[1], [2, 3], None], dtype=object), "list in row 0"),
        (np.array([b"\xff", b"a", b"b"]), "not UTF-8 .got row 0"),
        (np.array([b"a", b"a", b"\xc3"]), "not UTF-8 .got row 2"),
        ([datetime.date(2020, 1, 1)] * 3, "date in row 0.*datetime64"),
        (np.zeros(3, dtype=[("x", "i4")]), "numbers, booleans, times or text"),
        (np.zeros((3, 0)), "at least one channel"),
        (P[:, 0].astype(np.longdouble), "at most 64 bits"),
        (P[:, 0].astype(np.clongdouble), "at most 64 bits"),
        (masked([1, 2, 3], 1), "masked value.*row 1"),
        (masked([True, False, True], 2), "masked value.*row 2"),
        (pd.cut(pd.Series([1, 2, 3]), 2), "Interval.*convert them to text"),
        (pd.Categorical(pd.to_datetime(["2020", "2021", "2020"])), "Timestamp"),
        (zv.Categorical(np.array([0, 1, 0]), ("a", "a")), "must be distinct"),
        (zv.Categorical(np.array([0, 1, 0]), ("a", None)), "None"),
        (zv.Categorical(np.array([0, 1, 0]), (1.0, NAN)), "nan"),
    ],
    ids=short,
)
def test_attributes_that_cannot_be_stored(tmp_path: Path, column: Any, told: str) -> None:
    refused(tmp_path / "s", told, InputError, lambda: cloud(P, {"a": column}))


NAMES = ["", "a/b", "/", "..", ".", "zarr.json", "a\\b", "\0", 3, None, "x" * 300, "ü" * 200]


@pytest.mark.parametrize("name", NAMES, ids=short)
@pytest.mark.parametrize("of", ["attributes", "object_attributes", "group_attributes", "headers"])
def test_names_that_are_no_folder(tmp_path: Path, name: Any, of: str) -> None:
    rest: dict[str, Any] = {"object_ids": [1, 2, 3], "groups": {0: [1], 1: [2], 2: [3]}}
    if of == "headers":
        refused(tmp_path / "s", "header name", InputError, cloud(P), headers={name: {}})
    else:
        refused(tmp_path / "s", "attribute name", InputError, lambda: cloud(P, **rest, **{of: {name: [1, 2, 3]}}))


@pytest.mark.parametrize("name", [" ", "ä b%20", "positions", "c", "x" * 255, "a.b", "~", "vertices", "-1"])
def test_names_that_are_a_folder_are_taken(tmp_path: Path, name: str) -> None:
    zv.write(tmp_path / "s", cloud(P, {name: [1, 2, 3]}))
    assert list(zv.open(tmp_path / "s")[0].read().attributes) == [name]


def test_the_name_of_the_row_ids_is_taken(tmp_path: Path) -> None:
    refused(tmp_path / "s", "keep_order=True", InputError, lambda: cloud(P, {"row_id": [1, 2, 3]}))


OWNED: dict[str, Any] = {"object_ids": [3, -1, 3]}


@pytest.mark.parametrize(
    ("parts", "told"),
    [
        ({"object_attributes": {"a": [1]}}, "object_attributes need object_ids"),
        ({"groups": {0: [1]}}, "groups need object_ids"),
        ({"objects": [1, 2], "object_attributes": {"a": [1, 2]}}, "objects need object_ids"),
        ({"objects": [1, 2]}, "objects need object_ids"),
        ({**OWNED, "object_attributes": {"a": [1]}}, "'a' must have one value per object id.*expected 2 values, got 1"),
        ({**OWNED, "object_attributes": {"a": 1}}, "'a'.*a single value"),
        ({**OWNED, "object_attributes": {"a": {3: 1}}}, r"'a'.*no value for ids \[-1\]"),
        ({**OWNED, "object_attributes": {"a": {3: 1, -1: 2, 7: 3}}}, r"'a'.*unknown ids \[7\]"),
        ({**OWNED, "object_attributes": {"a": {"3": 1, -1: 2}}}, r"'a'.*unknown ids \['3'\]"),
        ({**OWNED, "object_attributes": {"a": ["", None]}}, "missing and empty text.*row 1"),
        ({**OWNED, "object_attributes": {"a": ["x\0", "y"]}}, "end in NUL"),
        ({**OWNED, "object_attributes": {"a": pd.Categorical([1, 2])}}, "must be text.*numbers as numbers"),
        ({**OWNED, "object_attributes": {"a": np.ones(2, np.longdouble)}}, "64 bits"),
        ({**OWNED, "object_attributes": {"a": masked([True, False], 1)}}, "masked value.*row 1"),
        ({**OWNED, "object_attributes": {"a": masked([-(2**63), 5], 1)}}, "no row may be -9223372036854775808.*row 0"),
        ({**OWNED, "object_attributes": [1, 2]}, "object_attributes must be a mapping"),
        ({**OWNED, "objects": [3, 3, -1], "object_attributes": {"a": [1, 2, 3]}}, "distinct .got 3"),
        ({**OWNED, "objects": [3], "object_attributes": {"a": [1]}}, r"no row for \[-1\]"),
        ({**OWNED, "groups": {-1: [3]}}, "group ids.*got -1"),
        ({**OWNED, "groups": {"0": [3]}}, "group ids.*'0'"),
        ({**OWNED, "groups": {0.5: [3]}}, "group ids.*0.5"),
        ({**OWNED, "groups": {True: [3]}}, "group ids.*True"),
        ({**OWNED, "groups": {10**12: [3]}}, "group ids.*1000000000000"),
        ({**OWNED, "groups": {0: [3, 77, 78]}}, r"group 0 names.*\[77, 78\].*remove it"),
        ({**OWNED, "groups": {0: [3.0]}}, r"groups\[0\] must be integers"),
        ({**OWNED, "groups": {0: 3}}, r"groups\[0\] must be 1-D"),
        ({**OWNED, "groups": [[3]]}, "groups must be a mapping"),
        ({**OWNED, "group_attributes": {"g": [1]}}, "group_attributes need groups"),
        ({**OWNED, "groups": {0: [3], 2: [-1]}, "group_attributes": {"g": [1, 2]}}, "'g'.*expected 3 values, got 2"),
        ({"attributes": [1, 2, 3]}, "attributes must be a mapping"),
        ({"axes": "xy"}, "axes must name every column"),
        ({"axes": "xxz"}, "distinct"),
        ({"axes": ["x", "y", ""]}, "non-empty"),
        ({"axes": [1, 2, 3]}, "axis must be"),
        ({"axes": 5}, "axes must be names.*got 5.*zv.Axis"),
        ({"axes": {"x"}}, "axes must be names.*in the order"),
        ({"axes": [zv.Axis("x", 5), "y", "z"]}, "unit of axis 'x' must be text .got 5"),  # type: ignore[arg-type]
        ({"axes": [{"name": "x", "type": ["space"]}, "y", "z"]}, r"type of axis 'x' must be text .got \['space'\]"),
    ],
    ids=short,
)
def test_tables_that_contradict_the_points(tmp_path: Path, parts: dict[str, Any], told: str) -> None:
    refused(tmp_path / "s", told, InputError, lambda: cloud(P, **parts))


@pytest.mark.parametrize(
    ("layout", "told"),
    [
        ({"chunk_shape": 0}, "chunk_shape.*above 0.*got 0"),
        ({"chunk_shape": NAN}, "chunk_shape.*got nan"),
        ({"chunk_shape": (1, 2)}, "chunk_shape.*3 numbers"),
        ({"bin_shape": -1}, "bin_shape.*above 0"),
        ({"shard_shape": 0}, "shard_shape.*got 0"),
        ({"compressor": "lzma"}, "compressor.*'lzma'"),
    ],
    ids=short,
)
def test_appends_refuse_layouts_that_fit_no_store(tmp_path: Path, layout: dict[str, Any], told: str) -> None:
    zv.write(tmp_path / "s", cloud(P), bounds=([0, 0, 0], [9, 9, 9]))
    before = files_of(tmp_path)
    for value in (cloud(P), [cloud(P), cloud(P)]):
        with pytest.raises(InputError, match=told):
            zv.write(tmp_path / "s", value, mode="append", layout=zv.Layout(**layout))
        with pytest.raises(InputError, match=told):
            write_points(tmp_path / "s", P, mode="append", **layout)
    assert files_of(tmp_path) == before


@pytest.mark.parametrize(
    ("layout", "told"),
    [
        ({"chunk_shape": 0}, "chunk_shape.*above 0.*got 0"),
        ({"chunk_shape": (1, 0, 1)}, r"chunk_shape.*above 0.*\(1, 0, 1\)"),
        ({"chunk_shape": -1}, "chunk_shape.*got -1"),
        ({"chunk_shape": NAN}, "chunk_shape.*got nan"),
        ({"chunk_shape": INF}, "chunk_shape.*got inf"),
        ({"chunk_shape": (1, 2)}, "chunk_shape.*3 numbers"),
        ({"chunk_shape": (1, 2, 3, 4)}, "chunk_shape.*3 numbers"),
        ({"chunk_shape": "abc"}, "chunk_shape"),
        ({"chunk_shape": True}, "chunk_shape"),
        ({"chunk_shape": 1j}, "chunk_shape"),
        ({"chunk_shape": (None, 1, 1)}, "chunk_shape"),
        ({"chunk_shape": object()}, "chunk_shape"),
        ({"chunk_shape": 1e-3}, "too many chunks.*larger chunks"),
        ({"chunk_shape": 1e-300}, "too many chunks"),
        ({"chunk_shape": 10, "bin_shape": 3}, "bin_shape must divide chunk_shape"),
        ({"chunk_shape": 10, "bin_shape": 20}, "bin_shape must divide chunk_shape"),
        ({"chunk_shape": 10, "bin_shape": 0}, "bin_shape.*above 0"),
        ({"chunk_shape": 10, "bin_shape": (5, 5)}, "bin_shape.*3 numbers"),
        ({"chunk_shape": 10, "bin_shape": 1e-4}, "bin"),
        ({"shard_shape": 0}, "shard_shape.*got 0"),
        ({"shard_shape": -1}, "shard_shape"),
        ({"shard_shape": 2.5}, "shard_shape"),
        ({"shard_shape": "many"}, "shard_shape.*'many'"),
        ({"shard_shape": True}, "shard_shape"),
        ({"shard_shape": (2, 2)}, "shard_shape"),
        ({"shard_shape": 10**6}, "shard_shape"),
    ],
    ids=short,
)
def test_layouts_that_cannot_be_cut(tmp_path: Path, layout: dict[str, Any], told: str) -> None:
    refused(tmp_path / "s", told, ChunkingError, cloud(P), layout=zv.Layout(**layout))


@pytest.mark.parametrize(
    ("options", "told"),
    [
        ({"mode": "overwrite"}, "mode.*create, append, replace.*'overwrite'"),
        ({"mode": None}, "mode"),
        ({"mode": ["create"]}, "mode"),
        ({"out_of_bounds": "clip"}, "out_of_bounds.*raise, expand, ignore.*'clip'"),
        ({"layout": {"chunk_shape": 1}}, "layout must be a Layout"),
        ({"layout": zv.Layout(compressor="lzma")}, "compressor.*'lzma'"),
        ({"layout": zv.Layout(compressor=3)}, "compressor.*3"),
        ({"layout": zv.Layout(compressor=["zstd"])}, "compressor"),
        ({"layout": zv.Layout(compressor=[{"name": "lz77"}])}, "compressor.*lz77"),
        ({"layout": zv.Layout(compressor=[{}])}, "compressor"),
        ({"layout": zv.Layout(compressor=True)}, "compressor"),
        ({"layout": zv.Layout(compressor={"name": "gzip", "configuration": {"level": 99}})}, "'gzip'.*0 to 9"),
        ({"layout": zv.Layout(compressor={"name": "zstd", "configuration": {"level": "a"}})}, "'zstd'.*'a'"),
        ({"bounds": ([9, 9, 9], [0, 0, 0])}, "bounds are inverted.*axis 0"),
        ({"bounds": ([0, 0, NAN], [9, 9, 9])}, "bounds must be finite"),
        ({"bounds": ([0, 0, 0], [9, 9, INF])}, "bounds must be finite"),
        ({"bounds": ([0, 0], [9, 9])}, "bounds.*3 axes"),
        ({"bounds": "abc"}, "bounds"),
        ({"bounds": 5}, "bounds"),
        ({"bounds": {"x": (0, 1)}}, "bounds"),
        ({"bounds": [0, 0, 0, 9, 9, 9]}, "bounds"),
        ({"bounds": ([0, 0, 0], [4, 4, 4])}, r"1 of 3 rows, first row 2 at \[5.0, 5.0, 5.0\].*'expand'.*'ignore'"),
        ({"dtype": "float33"}, "dtype.*'float33'"),
        ({"dtype": "complex64"}, "dtype.*complex64"),
        ({"dtype": "U3"}, "dtype"),
        ({"dtype": bool}, "dtype"),
        ({"axes": "xy"}, "axes.*3 axes"),
        ({"axes": "xxz"}, "axes"),
        ({"axes": 5}, "axes must be names.*got 5"),
        ({"axes": [{"name": "x", "unit": object()}, "y", "z"]}, "unit of axis 'x' must be text"),
        ({"crs": NAN}, "crs.*JSON"),
        ({"crs": Ellipsis}, "crs.*JSON"),
        ({"crs": {"a": np.float32(1)}}, "crs.*JSON"),
        ({"headers": {"las": {"a": NAN}}}, "headers.*JSON"),
        ({"headers": {"las": {"a": b"x"}}}, "headers.*JSON"),
        ({"headers": {"las": 5}}, "headers.*mapping"),
        ({"headers": "las"}, "headers.*mapping"),
        ({"fill": [1]}, "fill.*mapping"),
        ({"progress": 5}, "progress must be callable"),
    ],
    ids=short,
)
def test_options_that_cannot_be_meant(tmp_path: Path, options: dict[str, Any], told: str) -> None:
    refused(tmp_path / "s", told, InputError, cloud(P), **options)
    assert not list(tmp_path.iterdir())


@pytest.mark.parametrize(
    ("dtype", "rows", "told"),
    [
        ("u1", [[0.0], [256.0]], "256.0 in row 1"),
        ("u1", [[0.0], [1.0], [-1.0]], "-1.0 in row 2"),
        ("i4", [[1e300]], "1e[+]300 in row 0"),
        ("f4", [[0.0], [1e300]], "1e[+]300 in row 1"),
        ("f2", [[70000]], "70000 in row 0"),
        ("u1", np.array([[-1]], "i1"), "-1 in row 0"),
        ("i1", np.array([[200]], "u1"), "200 in row 0"),
    ],
    ids=short,
)
def test_a_dtype_that_cannot_hold_the_positions(tmp_path: Path, dtype: str, rows: Any, told: str) -> None:
    refused(tmp_path / "s", f"do not fit into.*{told}.*wider dtype", InputError, cloud(rows), dtype=dtype)


def test_unknown_keywords_are_type_errors(tmp_path: Path) -> None:
    with pytest.raises(TypeError, match="compresor"):
        zv.write(tmp_path / "s", cloud(P), compresor="none")  # type: ignore[call-arg]
    with pytest.raises(TypeError, match="chunks"):
        zv.Layout(chunks=3)  # type: ignore[call-arg]
    with pytest.raises(TypeError, match="attrs"):
        zv.Points(P, attrs={})  # type: ignore[call-arg]
    with pytest.raises(OptionError):
        zv.write(tmp_path / "s", cloud(P), storage_options={"region": "x"})
    with pytest.raises(OptionError, match="give one of them"):
        write_points(tmp_path / "s", P, attributes={}, vertex_attributes={})
    assert not (tmp_path / "s").exists()


@pytest.mark.parametrize("target", ["", 5, None, b"x", "ftp://host/x", "s3x://bucket"])
def test_a_place_that_is_none(target: Any) -> None:
    for use in (lambda: zv.write(target, cloud(P)), lambda: zv.open(target)):
        with pytest.raises(InputError):
            use()
