"""Values as Arrow tables, data frames and arrays, and back; and what DuckDB, polars and pandas see of them."""

from __future__ import annotations

import json
import sys
from dataclasses import replace
from typing import Any

import duckdb
import numpy as np
import pandas as pd
import polars as pl
import pyarrow as pa
import pytest
from hypothesis import assume, given
from hypothesis import strategies as st

from tests.geometry.columns import array, assert_same_column, assert_same_value, clouds, columns
from tests.query.connected import KINDS, LINKED, values
from zarr_vectors.exceptions import InputError, MissingDependencyError
from zarr_vectors.geometry import Graph, Lines, Mesh, Points, Polylines, Skeleton

LINES: Any = {"line": Lines, "polyline": Polylines, "streamline": Polylines}
CLASSES: Any = {"graph": Graph, "skeleton": Skeleton, "mesh": Mesh}
sql: Any = duckdb.sql
CRS = {"$schema": "https://proj.org/schemas/v0.7/projjson.schema.json", "type": "ProjectedCRS"}


def points(*args: Any, **options: Any) -> Points:
    return Points(*args, **options)


def lines(*args: Any, **options: Any) -> Polylines:
    return Polylines(*args, **options)


def read(value: Any, *args: Any, **options: Any) -> Any:
    return value.to_arrow(*args, **options).read_all()


def seen(rows: Any) -> list[Any]:
    """A column as Python values: NaN and missing as words, bytes order and masks gone."""
    plain = rows.tolist() if hasattr(rows, "tolist") else rows
    return ["nan" if isinstance(one, float) and one != one else one for one in plain]


@given(clouds())
def test_points_come_back_from_arrow(cloud: Points) -> None:
    table = read(cloud)
    assert table.num_rows == cloud.vertex_count
    assert table.column_names[: cloud.ndim] == [axis.name for axis in cloud.axes or ()]
    assert_same_value(Points.from_arrow(table), cloud)
    # In parts, as a stream, and as a batch without its stream's interface.
    assert_same_value(Points.from_arrow(pa.concat_tables([table[:3], table[3:]])), cloud)
    assert_same_value(Points.from_arrow(cloud.to_arrow()), cloud)
    for batch in table.to_batches():
        assert_same_value(Points.from_arrow(batch), cloud)


@given(clouds(), st.booleans())
def test_points_come_back_from_geoarrow(cloud: Points, noted: bool) -> None:
    assume(cloud.positions.dtype.kind == "f" or not (np.abs(cloud.positions.astype("f8")) > 2**53).any())
    table = read(cloud, geometry=True)
    if not noted:
        table = table.replace_schema_metadata(None)
    field = table.schema.field("geometry")
    assert [table.column("geometry").null_count] == [0]
    if cloud.ndim > 1:
        assert field.metadata[b"ARROW:extension:name"] == b"geoarrow.point"
        names = [field.type.field(number).name for number in range(cloud.ndim)]
        assert names == list("xyzm"[: cloud.ndim])
    else:
        assert field.metadata is None
    back = Points.from_arrow(table, "geometry")
    if noted:
        assert_same_value(back, cloud)
        return
    letters = {axis.name: number for number, axis in enumerate(cloud.axes or ())}
    order = [letters.get(letter, number) for number, letter in enumerate("xyzt"[: cloud.ndim])]
    np.testing.assert_array_equal(back.positions, cloud.positions[:, order].astype("f8"))


@given(clouds())
def test_numpy_pandas_and_polars_hold_the_same(cloud: Points) -> None:
    arrays = cloud.to_numpy()
    np.testing.assert_array_equal(arrays.pop("positions"), cloud.positions)
    split = cloud.to_numpy(split=True)
    for number, axis in enumerate(cloud.axes or ()):
        np.testing.assert_array_equal(split.pop(axis.name), cloud.positions[:, number])
    assert list(split) == list(arrays)
    for name, rows in cloud.attributes.items():
        assert seen(arrays[name].reshape(-1)) == seen(np.ma.asarray(rows).reshape(-1))
    assert_same_value(Points.from_pandas(cloud.to_pandas()), cloud)
    # Frames of polars keep only the names of axes, and orders of categories in their own way.
    back = Points.from_arrow(cloud.to_polars(), [axis.name for axis in cloud.axes or ()])
    assert back == cloud


@given(clouds(times=False))
def test_duckdb_sees_what_there_is(cloud: Points) -> None:
    assert sql("select count(*) from cloud").fetchall() == [(cloud.vertex_count,)]
    rows = sql("select * from cloud").fetchall()
    for number, (name, column) in enumerate(cloud.to_numpy(split=True).items()):
        known = np.ma.asarray(column.astype("f4") if column.dtype == np.float16 else column)
        expected = [tuple(seen(row)) for row in known] if known.ndim > 1 else seen(known)
        found = [tuple(seen(list(row[number]))) if known.ndim > 1 else row[number] for row in rows]
        assert (found if known.ndim > 1 else seen(found)) == expected, name


@pytest.mark.parametrize("kind", LINES)
@given(data=st.data())
def test_lines_come_back(kind: str, data: st.DataObject) -> None:
    value = with_columns(data.draw(values(kind)), data)
    whole = value.positions.dtype.kind == "f" or not (np.abs(value.positions.astype("f8")) > 2**53).any()
    for geometry in (True, False) if whole else (False,):
        table = read(value, geometry=geometry)
        assert table.num_rows == value.line_count
        assert_same_value(LINES[kind].from_arrow(table), value)
        assert_same_value(LINES[kind].from_arrow(pa.concat_tables([table[:2], table[2:]])), value)
    if value.line_count and whole and value.ndim > 1:
        assert read(value).schema.field("geometry").metadata[b"ARROW:extension:name"] == b"geoarrow.linestring"
    frame = value.to_pandas()
    assert [len(row) for row in frame["x"]] == value.lengths.tolist()
    rows = value.to_pandas("vertices")
    assert rows["object_id"].tolist() == value.object_ids.tolist()
    apart = value.ids is None or (np.diff(value.ids) != 0).all()
    if apart and (value.lengths > 0).all():
        back = LINES[kind].from_arrow(read(value, "vertices"))
        assert_same_value(back, replace(value, ids=value.line_ids, objects=back.objects, object_attributes={}))


def with_columns(value: Any, data: st.DataObject) -> Any:
    """Lines with attributes of every dtype, of vertices and of objects."""
    draw: Any = data.draw
    objects = columns(draw, value.line_count, "o")
    return replace(value, attributes=columns(draw, value.vertex_count), object_attributes=objects)


@pytest.mark.parametrize("kind", LINKED)
@given(data=st.data())
def test_linked_values_come_back(kind: str, data: st.DataObject) -> None:
    value = data.draw(values(kind))
    named = {f"{value.link_noun[:-1]}_attributes": columns(data.draw, len(value.links))}  # type: ignore[arg-type]
    value = replace(value, **named)
    noun = value.link_noun
    assert_same_value(CLASSES[kind].from_arrow(read(value), read(value, noun)), value)
    ends = value.to_numpy(noun)
    found = ends["vertices"] if kind == "mesh" else np.stack([ends["source"], ends["target"]], axis=1)
    assert found.tolist() == value.links.tolist()
    assert len(value.to_pandas(noun)) == len(value.links)
    assert CLASSES[kind].from_arrow(value).vertex_count == value.vertex_count


@given(data=st.data())
def test_tables_of_objects(data: st.DataObject) -> None:
    ids = data.draw(st.lists(st.integers(-5, 10**12), unique=True, max_size=6))
    attributes = columns(data.draw, len(ids))  # type: ignore[arg-type]
    cloud = Points(np.zeros((0, 2)), object_ids=[], objects=ids, object_attributes=attributes)
    table = read(cloud, "objects")
    assert table.column("object_id").to_pylist() == ids
    for name, rows in attributes.items():
        assert len(table.column(name)) == len(rows)
    assert read(Points([[0.0, 1]], object_ids=[3]), "objects").to_pylist() == [{"object_id": 3}]
    assert read(Points([[0.0, 1]]), "objects").num_rows == 0


def test_lines_without_a_row_of_their_object_have_no_value() -> None:
    tracts = lines(
        [[[0.0, 1]], [[2.0, 3]]], ids=[7, 9], objects=[9], object_attributes={"n": [5], "f": [0.5], "t": ["a"]}
    )
    assert read(tracts, geometry=False).select(["n", "f", "t"]).to_pylist()[1] == {"n": 5, "f": 0.5, "t": "a"}
    first = read(tracts, geometry=False).to_pylist()[0]
    assert first["n"] is None
    assert first["t"] is None
    assert first["f"] != first["f"]


def test_duckdb_polars_and_pandas_take_values_as_they_are() -> None:
    tracts = lines([[[0.0, 0], [3, 4]], [[5.0, 5]]], ids=[7, 9], attributes={"h": np.array([1, 2, 3], "f2")})
    assert tracts.line_count == 2
    found = sql("select object_id, len(geometry), geometry[1].x, list_sum(h) from tracts").fetchall()
    assert found == [(7, 2, 0.0, 3.0), (9, 1, 5.0, 3.0)]
    cloud = points([[0.0, 1], [2, 3]], attributes={"h": np.array([1, 2], "f2"), "c": np.zeros((2, 3), "f2")})
    assert pa.table(cloud).schema.types[2:] == [pa.float32(), pa.list_(pa.float32(), 3)]
    asked = pa.table(cloud, schema=cloud.to_arrow().schema)
    assert asked.schema.types[2] == pa.float16()
    assert pd.DataFrame(pa.table(cloud).to_pandas())["h"].tolist() == [1.0, 2.0]
    assert pl.from_arrow(cloud).struct.unnest()["h"].to_list() == [1.0, 2.0]  # type: ignore[union-attr]


@pytest.mark.parametrize(
    ("crs", "metadata"),
    [
        (None, None),
        (CRS, {"crs": CRS, "crs_type": "projjson"}),
        ("EPSG:4326", {"crs": "EPSG:4326"}),
        ({"wkt": "PROJCRS[]"}, {"crs": "PROJCRS[]"}),
        ({"geotiff_keys": {"1024": 1, "3072": 2992}}, {"crs": "EPSG:2992", "crs_type": "authority_code"}),
        ({"properties": {"name": "EPSG:2992"}}, {"crs": "EPSG:2992", "crs_type": "authority_code"}),
        ({"something": 1}, None),
    ],
)
def test_geometry_knows_its_crs(crs: Any, metadata: Any) -> None:
    schema = points([[0.0, 1]]).to_arrow(geometry=True, crs=crs).schema
    about = schema.field("geometry").metadata.get(b"ARROW:extension:metadata")
    assert (None if about is None else json.loads(about)) == metadata
    assert json.loads(schema.metadata[b"zarr_vectors"]).get("crs") == crs


def test_tables_that_others_have_made() -> None:
    plain = pa.table({"easting": [1, 2], "northing": [0.5, 1.5], "n": pa.array([None, 3], pa.int8()), "s": ["a", None]})
    cloud = Points.from_arrow(plain, ["easting", "northing"])
    assert cloud.positions.tolist() == [[1.0, 0.5], [2.0, 1.5]]
    assert np.ma.asarray(cloud.attributes["n"]).tolist() == [None, 3]
    assert np.asarray(cloud.attributes["s"]).tolist() == ["a", None]
    interleaved = pa.FixedSizeListArray.from_arrays(
        pa.array([1.0, 2, 3, 4]), type=pa.list_(pa.field("xy", pa.float64()), 2)
    )
    field = pa.field("where", interleaved.type, metadata={"ARROW:extension:name": "geoarrow.point"})
    cloud = Points.from_arrow(pa.table([interleaved], schema=pa.schema([field])))
    assert cloud.positions.tolist() == [[1.0, 2.0], [3.0, 4.0]]
    assert Points.from_arrow(pa.table({"p": interleaved}), "p").positions.tolist() == [[1.0, 2.0], [3.0, 4.0]]
    lines = pa.ListArray.from_arrays([0, 2], interleaved)
    field = pa.field("where", lines.type, metadata={"ARROW:extension:name": "geoarrow.linestring"})
    assert Polylines.from_arrow(pa.table([lines], schema=pa.schema([field]))).line(0).tolist() == [[1, 2], [3, 4]]
    assert Polylines.from_arrow(pa.table({"p": lines}), "p").line(0).tolist() == [[1, 2], [3, 4]]
    frame = pd.DataFrame({"x": [0.5], "y": [1.5], "k": pd.Categorical(["b"], ["a", "b"]), "t": ["w"]})
    found = Points.from_pandas(frame, attributes=["t"])
    assert list(found.attributes) == ["t"]
    assert list(Points.from_pandas(frame).attributes) == ["k", "t"], "text is no time"
    assert Points.from_pandas(frame, ["y", "x"]).attributes["k"][0] == "b"
    assert Points.from_arrow(sql("select 1 as x, 2 as y, 'w' as t")).positions.tolist() == [[1, 2]]
    corners = pa.table({"a": [0], "b": [1], "c": [2]})
    assert Mesh.from_arrow(pa.table({"x": [0.0, 1, 2], "y": [0.0, 1, 2]}), corners, ends="abc").faces.tolist() == [
        [0, 1, 2]
    ]


MISSING = pa.table({"x": pa.array([1.0, None]), "y": pa.array([1, None])})
BAD: list[tuple[Any, dict[str, Any], str]] = [
    ({"x": 1}, {}, "no Arrow table"),
    (pa.table({"a": [1]}), {}, "no columns x, y and z.*positions="),
    (pa.table({"xx": [1]}), {"positions": ["x"]}, "no column 'x'.*did you mean 'xx'"),
    (MISSING, {"positions": ["y"]}, "must have a value in every row.*row 1"),
    (pa.table({"x": ["a"]}), {}, "no columns x"),
    (pa.table({"x": ["a"]}), {"positions": ["x"]}, "must hold numbers"),
    (pa.table({"x": [1.0], "y": [2**53 + 1]}), {}, "change as float64"),
    (pa.table({"x": [1.0], "l": [[1]]}), {}, "lists or geometry.*attributes="),
    (pa.table({"x": [1.0], "l": [{"a": "b"}]}), {}, "cannot be an attribute.*attributes="),
    (pa.table([[1.0], [1], [2]], names=["x", "b", "b"]), {}, "several columns have one name"),
    (pa.table({"x": [1.0], "object_id": [0.5]}), {}, "object_id must be integers"),
]


@pytest.mark.parametrize(("table", "options", "message"), BAD)
def test_tables_that_make_no_points(table: Any, options: Any, message: str) -> None:
    with pytest.raises(InputError, match=message):
        Points.from_arrow(table, **options)


def test_lists_must_be_as_long_as_the_lines() -> None:
    table = pa.table({"x": [[1.0, 2], [3.0]], "y": [[1.0, 2], [3.0]], "w": [[1], [2, 3]]})
    with pytest.raises(InputError, match=r"as long as the lines.*expected 2 values in row 0"):
        Polylines.from_arrow(table)
    with pytest.raises(InputError, match=r"in every row.*row 1"):
        Polylines.from_arrow(pa.table({"x": [[1.0], None]}))
    with pytest.raises(InputError, match="need object ids"):
        Polylines.from_arrow(pa.table({"x": [1.0]}))


def test_what_has_no_table_says_so() -> None:
    cloud = points([[0.0, 1]], attributes={"x": [1]})
    with pytest.raises(InputError, match="called 'x'"):
        cloud.to_arrow()
    assert "x" in cloud.to_numpy()
    with pytest.raises(InputError, match=r"no table 'edges'.*'vertices', 'objects'"):
        cloud.to_arrow("edges")
    with pytest.raises(InputError, match="no type for attribute 'c'"):
        points([[0.0, 1]], attributes={"c": [1j]}).to_arrow()
    with pytest.raises(InputError, match="geometry=False"):
        points([[2**53 + 1, 1]]).to_arrow(geometry=True)
    with pytest.raises(InputError, match="table of vertices"):
        lines([[[0.0, 1]]]).to_numpy("lines")
    with pytest.raises(InputError, match="'c_1'"):
        points([[0.0, 1]], attributes={"c": [[1, 2]], "c_1": [1]}).to_pandas()
    with pytest.raises(InputError, match="several columns have one name"):
        Points.from_pandas(pd.DataFrame([[0.0, 1, 2]], columns=["x", "b", "b"]))
    with pytest.raises(InputError, match="no data frame"):
        Points.from_pandas({"x": [1]})


@pytest.mark.parametrize(
    ("module", "extra", "call"),
    [("pyarrow", "arrow", "to_arrow"), ("pandas", "pandas", "to_pandas"), ("polars", "polars", "to_polars")],
)
def test_what_is_not_installed_is_told(module: str, extra: str, call: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, module, None)
    with pytest.raises(MissingDependencyError, match=rf"needs {module}.*zarr-vectors\[{extra}\]"):
        getattr(points([[0.0, 1]]), call)()


@given(data=st.data())
def test_attributes_of_several_axes_of_channels(data: st.DataObject) -> None:
    draw: Any = data.draw
    cube = array(draw, draw(st.sampled_from(["i2", "f8", "?"])), 3, 2, 2)
    cloud = points(np.zeros((3, 2)), {"cube": cube})
    assert_same_column(Points.from_arrow(cloud).attributes["cube"], cube)
    assert_same_column(Points.from_pandas(cloud.to_pandas()).attributes["cube"], cube)
    masked = np.ma.MaskedArray(array(draw, "u2", 4, 2), mask=array(draw, "?", 4, 2))
    cloud = points(np.zeros((4, 2)), {"m": masked})
    assert_same_column(Points.from_arrow(cloud.to_arrow()).attributes["m"], masked)
    assert_same_column(Points.from_pandas(cloud.to_pandas()).attributes["m"], masked)
    sliced = read(cloud)[1:3]
    assert_same_column(Points.from_arrow(sliced).attributes["m"], masked[1:3])


def test_every_kind_comes_back() -> None:
    assert set(KINDS) == {*LINES, *CLASSES}
