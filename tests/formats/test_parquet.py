"""Parquet: against pyarrow and pandas, round trips, and files that are broken."""

from __future__ import annotations

import json
import tempfile
from datetime import UTC, datetime
from decimal import Decimal
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.formats.clouds import assert_equal, cloud, clouds, coded, joined, text
from zarr_vectors.axes import Axis, as_axes
from zarr_vectors.exceptions import ExportError, IngestError
from zarr_vectors.formats.base import ExportContext, ReadOptions, Source
from zarr_vectors.formats.parquet import PARQUET
from zarr_vectors.geometry import Categorical, Points

pa = pytest.importorskip("pyarrow")
pq = pytest.importorskip("pyarrow.parquet")
pd = pytest.importorskip("pandas")


def read(path: Path, **options: Any) -> tuple[Source, Points]:
    source = PARQUET.open(path, ReadOptions(**options))
    return source, joined(list(source.batches))


def write(path: Path, **columns: Any) -> Path:
    columns = {"x": [1.5, 2.5], "y": [3.5, 4.5]} | columns
    pq.write_table(pa.table(columns), path)
    return path


def export(path: Path, *batches: Points, axes: Any = None, **context: Any) -> int:
    return PARQUET.export(path, iter(batches), ExportContext(axes=as_axes(axes, batches[0].ndim), **context))


# --- reading -----------------------------------------------------------------------------------------------------


def test_types_become_dtypes(tmp_path: Path) -> None:
    instants = [datetime(2020, 1, 1, 12, tzinfo=UTC), None]
    write(
        tmp_path / "a.parquet",
        object_id=pa.array([7, -7], pa.int32()),
        u8=pa.array([1, 255], pa.uint8()),
        u64=pa.array([2**64 - 1, 0], pa.uint64()),
        f16=pa.array(np.array([1.5, 2.5], np.float16)),
        f32=pa.array([1.5, None], pa.float32()),
        flag=[True, False],
        gap=pa.array([1, None], pa.int16()),
        nothing=pa.nulls(2),
        word=["a", None],
        coded=pa.array(["b", "a"]).dictionary_encode(),
        levels=pa.DictionaryArray.from_arrays(pa.array([1, None]), pa.array(["low", "high"]), ordered=True),
        numbers=pa.array([5, 6], pa.int8()).dictionary_encode(),
        rgb=pa.array([[1, 2, 3], [4, 5, 6]], pa.list_(pa.uint8(), 3)),
        normal=pa.array([[1.0, None], None], pa.list_(pa.float32(), 2)),
        tensor=pa.FixedShapeTensorArray.from_numpy_ndarray(np.arange(4.0).reshape(2, 2)),
        when=pa.array(instants, pa.timestamp("us", "Europe/Berlin")),
        day=pa.array([1, None], pa.date32()),
        took=pa.array([1, None], pa.duration("ns")),
    )
    source, points = read(tmp_path / "a.parquet")
    assert source.rows == 2
    assert source.bounds == ([1.5, 3.5], [2.5, 4.5])
    assert points.object_ids is not None
    assert points.object_ids.tolist() == [7, -7]
    expected: dict[str, Any] = {
        "u8": np.array([1, 255], np.uint8),
        "u64": np.array([2**64 - 1, 0], np.uint64),
        "f16": np.array([1.5, 2.5], np.float16),
        "f32": np.array([1.5, np.nan], np.float32),
        "flag": np.array([True, False]),
        "gap": np.array([1.0, np.nan]),
        "nothing": np.array([np.nan, np.nan]),
        "numbers": np.array([5, 6], np.int8),
        "rgb": np.array([[1, 2, 3], [4, 5, 6]], np.uint8),
        "normal": np.array([[1, np.nan], [np.nan, np.nan]], np.float32),
        "tensor": np.arange(4.0).reshape(2, 2),
        "when": np.array(["2020-01-01T12:00", "NaT"], "M8[us]"),
        "day": np.array(["1970-01-02", "NaT"], "M8[D]"),
        "took": np.array([1, "NaT"], "m8[ns]"),
    }
    for name, values in expected.items():
        column = points.attributes[name]
        assert column.dtype == values.dtype, name
        np.testing.assert_array_equal(np.asarray(column), values)
    assert text(points, "word") == ["a", None]
    assert text(points, "coded") == ["b", "a"]
    levels = points.attributes["levels"]
    assert isinstance(levels, Categorical)
    assert (levels.categories, levels.ordered, levels.codes.tolist()) == (("low", "high"), True, [1, -1])


@pytest.mark.parametrize(
    ("x", "y", "dtype"),
    [
        ("float32", "float32", np.float32),
        ("int16", "int16", np.int16),
        ("int64", "int64", np.int64),
        ("int32", "float32", np.float64),
        ("float32", "float64", np.float64),
        ("uint8", "int8", np.int16),
    ],
)
def test_positions_keep_their_type(tmp_path: Path, x: str, y: str, dtype: Any) -> None:
    write(tmp_path / "a.parquet", x=pa.array([1, 2]).cast(x), y=pa.array([3, 4]).cast(y))
    source, points = read(tmp_path / "a.parquet")
    assert points.positions.dtype == dtype
    assert points.positions.tolist() == [[1, 3], [2, 4]]
    assert source.bounds == ([1, 3], [2, 4])


def test_missing_integers_are_known_before_the_first_batch(tmp_path: Path) -> None:
    table = pa.table({"x": np.arange(100.0), "y": np.arange(100.0), "v": pa.array([*range(99), None])})
    for statistics in (True, False):
        pq.write_table(table, tmp_path / "a.parquet", row_group_size=10, write_statistics=statistics)
        source, points = read(tmp_path / "a.parquet", batch_rows=7)
        assert points.attributes["v"].dtype == np.float64
        np.testing.assert_array_equal(np.asarray(points.attributes["v"]), [*range(99), np.nan])
        assert source.bounds == (([0, 0], [99, 99]) if statistics else None)


def test_batches_and_columns(tmp_path: Path) -> None:
    table = pa.table({name: np.arange(100.0) for name in ("a.b", "a", "lat", "lon", "id")})
    pq.write_table(table.set_column(4, "id", pa.array(range(100))), tmp_path / "a.parquet", row_group_size=30)
    source = PARQUET.open(
        tmp_path / "a.parquet",
        ReadOptions(positions=("lon", "lat"), object_ids="id", attributes=("a",), batch_rows=40),
    )
    batches = list(source.batches)
    assert all(0 < batch.vertex_count <= 40 for batch in batches)
    points = joined(batches)
    assert list(points.attributes) == ["a"]
    np.testing.assert_array_equal(points.positions[:, 0], np.arange(100))
    assert [axis.name for axis in source.axes or ()] == ["lon", "lat"]


def test_categories_of_row_groups_are_joined(tmp_path: Path) -> None:
    names = [f"n{index // 5}" for index in range(50)]
    for column in (pa.array(names), pa.array(names).dictionary_encode(), pa.array(names, pa.large_string())):
        table = pa.table({"x": np.arange(50.0), "y": np.arange(50.0), "n": column})
        pq.write_table(table, tmp_path / "a.parquet", row_group_size=8)
        _, points = read(tmp_path / "a.parquet", batch_rows=9)
        assert text(points, "n") == names


def test_no_rows(tmp_path: Path) -> None:
    write(
        tmp_path / "a.parquet",
        x=pa.array([], pa.float32()),
        y=pa.array([], pa.float32()),
        n=pa.array([], pa.string()),
        rgb=pa.array([], pa.list_(pa.uint8(), 3)),
        object_id=pa.array([], pa.int64()),
    )
    source, points = read(tmp_path / "a.parquet")
    assert (source.rows, source.bounds) == (0, None)
    assert points.positions.dtype == np.float32
    assert points.positions.shape == (0, 2)
    assert points.attributes["rgb"].shape == (0, 3)
    assert isinstance(points.attributes["n"], Categorical)
    assert points.object_ids is not None


def test_pandas_writes_what_is_read(tmp_path: Path) -> None:
    random = np.random.default_rng(2)
    frame = pd.DataFrame({"x": random.random(50), "y": random.random(50), "k": pd.Categorical(["a", "b"] * 25)})
    frame.to_parquet(tmp_path / "a.parquet")
    _, points = read(tmp_path / "a.parquet")
    np.testing.assert_array_equal(points.positions, frame[["x", "y"]].to_numpy())
    assert text(points, "k") == frame["k"].tolist()


# --- files that are broken -----------------------------------------------------------------------------------------


@pytest.mark.parametrize("content", [b"", b"PAR1", b"x,y\n1,2\n", b"PAR1" + bytes(100) + b"PAR1"])
def test_not_parquet(tmp_path: Path, content: bytes) -> None:
    (tmp_path / "a.parquet").write_bytes(content)
    with pytest.raises(IngestError, match=r"a\.parquet is not a Parquet file"):
        PARQUET.open(tmp_path / "a.parquet", ReadOptions())


def test_truncated_and_damaged(tmp_path: Path) -> None:
    random = np.random.default_rng(3)
    export(tmp_path / "a.parquet", cloud(random.random((5000, 2))))
    whole = (tmp_path / "a.parquet").read_bytes()
    flipped = bytearray(whole)
    flipped[len(whole) // 3] ^= 1
    for damaged in (whole[:-1], whole[: len(whole) // 2], bytes(flipped)):
        (tmp_path / "b.parquet").write_bytes(damaged)
        with pytest.raises(IngestError, match=r"b\.parquet is not a Parquet file, is truncated or is damaged"):
            read(tmp_path / "b.parquet")
    with pytest.raises(FileNotFoundError):
        PARQUET.open(tmp_path / "none.parquet", ReadOptions())


def test_damaged_footers_never_end_the_process(tmp_path: Path) -> None:
    write(tmp_path / "a.parquet", i=[1, 2], b=[True, False])
    whole = (tmp_path / "a.parquet").read_bytes()
    footer = int.from_bytes(whole[-8:-4], "little") + 8
    kept = 0
    for at in range(len(whole) - footer, len(whole), 3):
        for flip in (1, 0x40):
            (tmp_path / "b.parquet").write_bytes(whole[:at] + bytes([whole[at] ^ flip]) + whole[at + 1 :])
            try:
                _, points = read(tmp_path / "b.parquet")
            except IngestError:
                continue
            kept += points.vertex_count == 2
    assert kept


@pytest.mark.parametrize(
    ("columns", "message"),
    [
        ({"v": [[1], [2, 3]]}, r"'v' is of a type.*list<.*attributes="),
        ({"v": [{"a": 1}, {"a": 2}]}, r"'v' is of a type.*struct<"),
        ({"v": [b"a", b"b"]}, r"'v' is of a type.*binary"),
        ({"v": [Decimal("1.1"), None]}, r"'v' is of a type.*decimal"),
        ({"v": pa.array([[["a"]], [["b"]]], pa.list_(pa.list_(pa.string(), 1), 1))}, r"'v' is of a type"),
        ({"v": [True, None]}, r"'v' must have a value in every row, because it holds booleans.*row 1.*attributes="),
        ({"v": [1, None], "w": [None, 2**53 + 1]}, r"'w' has integers that change.*9007199254740993 in row 1"),
        (
            {"v": pa.array([[1, 2], [3, None]], pa.list_(pa.int8(), 2))},
            r"'v' must have a value in every channel.*w 1",
        ),
        ({"v": pa.array([None, [True]], pa.list_(pa.bool_(), 1))}, r"'v' must have a value in every channel.*row 0"),
        ({"x": [1.0, None]}, r"'x' must have a value in every row, because it holds coordinates.*row 1"),
        ({"x": ["a", "b"]}, r"coordinates in column 'x' must be numbers.*string"),
        ({"x": [True, False]}, r"coordinates in column 'x' must be numbers.*bool"),
        ({"x": [2**53 + 1, 0]}, r"'x' has integers that change.*row 0"),
        ({"object_id": [1.0, 2.0]}, r"object ids in column 'object_id' must be integers.*double.*attributes="),
        ({"object_id": [1, None]}, r"'object_id' must have a value in every row.*object ids.*row 1"),
        ({"object_id": pa.array([1, 2**63], pa.uint64())}, r"fit in int64.*row 1.*attributes="),
        ({"a/b": [1, 2]}, r"'a/b'.*attributes="),
    ],
)
def test_columns_that_cannot_be_kept(tmp_path: Path, columns: dict[str, Any], message: str) -> None:
    path = write(tmp_path / "a.parquet", **columns)
    with pytest.raises(IngestError, match=rf"a\.parquet.*{message}"):
        read(path)


def test_no_coordinates(tmp_path: Path) -> None:
    pq.write_table(pa.table({"a": [1], "b": [2]}), tmp_path / "a.parquet")
    with pytest.raises(IngestError, match=r"columns a, b.*--positions"):
        read(tmp_path / "a.parquet")


def test_columns_that_are_not_asked_for_do_not_matter(tmp_path: Path) -> None:
    path = write(tmp_path / "a.parquet", v=[[1], [2, 3]], w=[True, None], k=[1, 2])
    _, points = read(path, attributes=("k",))
    assert list(points.attributes) == ["k"]


# --- writing -------------------------------------------------------------------------------------------------------


def test_what_is_written(tmp_path: Path) -> None:
    points = cloud(
        np.array([[1, 2], [3, 4]], dtype=np.float32),
        {"rgb": np.array([[1, 2], [3, 4]], dtype=np.uint8), "n": ["a", None], "hour": np.array([1, 2], "M8[h]")},
        object_ids=[5, 6],
    )
    path = tmp_path / "a.parquet"
    assert export(path, points, points, axes="yx") == 4
    table = pq.read_table(path)
    assert [(field.name, str(field.type)) for field in table.schema] == [
        ("y", "float"),
        ("x", "float"),
        ("object_id", "int64"),
        ("rgb", "fixed_size_list<element: uint8>[2]"),
        ("n", "dictionary<values=string, indices=int32, ordered=0>"),
        ("hour", "timestamp[ms]"),
    ]
    assert table["y"].to_pylist() == [1, 3, 1, 3]
    assert table["n"].to_pylist() == ["a", None, "a", None]
    metadata = pq.read_metadata(path)
    assert metadata.num_row_groups == 2
    assert metadata.row_group(0).column(0).compression == "ZSTD"


def test_masked_values_are_null(tmp_path: Path) -> None:
    masked = {
        "i": np.ma.MaskedArray(np.array([1, 2], ">u2"), [False, True]),
        "c": np.ma.MaskedArray([[1, 2], [3, 4]], [[False, True], [False, False]]),
    }
    points = cloud([[1.0, 2.0], [3.0, 4.0]], masked)
    export(tmp_path / "a.parquet", points.take(slice(0)), points)
    table = pq.read_table(tmp_path / "a.parquet")
    assert table["i"].to_pylist() == [1, None]
    assert table["c"].to_pylist() == [[1, None], [3, 4]]
    _, back = read(tmp_path / "a.parquet", attributes=("i",))
    np.testing.assert_array_equal(np.asarray(back.attributes["i"]), [1, np.nan])


def test_axes_and_crs_come_back(tmp_path: Path) -> None:
    axes = (Axis("w", "second", "time"), Axis("lon", "degree"), Axis("depth"))
    crs = {"wkt": 'GEOGCS["WGS 84"]'}
    points = cloud([[1.0, 2.0, 3.0]], {"x": [4.0], "y": [5.0]})
    export(tmp_path / "a.parquet", points, axes=axes, crs=crs)
    source, back = read(tmp_path / "a.parquet")
    assert source.axes == axes
    assert source.crs == crs
    assert back.positions.tolist() == [[1, 2, 3]]
    source, back = read(tmp_path / "a.parquet", positions=("x", "y"))
    assert back.positions.tolist() == [[4, 5]]
    assert source.axes == as_axes("xy", 2)


@pytest.mark.parametrize(
    "note", [b"{", b"[]", b'{"axes": 3}', b'{"axes": []}', b'{"axes": [{"name": "gone"}], "crs": 1}']
)
def test_notes_that_do_not_fit_are_passed_over(tmp_path: Path, note: bytes) -> None:
    table = pa.table({"x": [1.0], "y": [2.0]}).replace_schema_metadata({b"zarr_vectors": note})
    pq.write_table(table, tmp_path / "a.parquet")
    source, points = read(tmp_path / "a.parquet")
    assert source.axes == as_axes("xy", 2)
    assert source.crs is None
    assert points.positions.tolist() == [[1, 2]]


def test_notes_are_json(tmp_path: Path) -> None:
    export(tmp_path / "a.parquet", cloud([[1.0, 2.0]]))
    note = json.loads(pq.read_metadata(tmp_path / "a.parquet").metadata[b"zarr_vectors"])
    assert note == {"axes": [{"name": "x", "type": "space"}, {"name": "y", "type": "space"}]}


@pytest.mark.parametrize(
    ("attributes", "message"),
    [
        ({"x": [1]}, "name x"),
        ({"c": np.array([1j])}, "'c'.*complex128"),
        ({"d": np.zeros((1, 2, 2))}, "more than one axis of channels"),
        ({"d": np.array([1], "M8[ps]")}, "unit of time"),
        ({"n": coded([0], "a", 1)}, "several types"),
    ],
)
def test_what_cannot_be_written(tmp_path: Path, attributes: dict[str, Any], message: str) -> None:
    with pytest.raises(ExportError, match=message):
        export(tmp_path / "a.parquet", cloud([[1.0, 2.0]], attributes))


@given(st.data())
def test_round_trip(data: st.DataObject) -> None:
    points = clouds(data.draw, times=True)
    cut = data.draw(st.integers(0, points.vertex_count))
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "a.parquet"
        assert export(path, points.take(slice(cut)), points.take(slice(cut, None))) == points.vertex_count
        source, back = read(path, batch_rows=7)
    assert source.rows == points.vertex_count
    assert_equal(back, points)
