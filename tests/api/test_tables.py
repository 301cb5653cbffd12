"""Levels as streams of Arrow, and their objects as tables, held against what a read brings."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import duckdb
import numpy as np
import polars as pl
import pyarrow as pa
import pytest
from hypothesis import given
from hypothesis import strategies as st

import zarr_vectors as zv
from tests.query.connected import KINDS, LAYOUTS, LINKED, stored, values
from tests.storage.counting import CountingStore
from tests.storage.stores import fewer_examples
from tests.types.clouds import memory, uniform
from zarr_vectors.exceptions import AttributeNotFoundError, CorruptionError, InputError, ZVError
from zarr_vectors.geometry import Points, Polylines

GOLDEN = Path(__file__).resolve().parents[1] / "golden"
STORES = [path for path in sorted([*GOLDEN.glob("*"), *GOLDEN.glob("kinds/*")]) if (path / "0" / "zarr.json").exists()]
sql: Any = duckdb.sql


def cloud(rows: int = 500, **options: Any) -> Points:
    n = np.arange(rows)
    columns = {
        "w": (n * 0.5).astype("f2"),
        "rgb": np.stack([n, n, n], axis=1).astype("u1"),
        "t": np.array(["a", None, "b"], dtype=object)[n % 3],
    }
    return uniform(rows, seed=1, attributes=columns, **options)


def owned() -> zv.ZVLevel:
    """Points of objects in several chunks, in groups."""
    n = np.arange(500)
    value = cloud(
        object_ids=n % 7 * 10 - 10,
        object_attributes={"volume": np.arange(7.0), "name": list("abcdefg")},
        groups={0: [0, 10], 2: [10, 50]},
    )
    return stored(value, zv.Layout(chunk_shape=4))


@pytest.mark.parametrize("kind", ["point_cloud", *KINDS])
@fewer_examples(3)
@given(data=st.data())
def test_streams_bring_what_a_read_brings(kind: str, data: st.DataObject) -> None:
    value: Any = cloud(data.draw(st.integers(0, 60))) if kind == "point_cloud" else data.draw(values(kind))
    level = stored(value, data.draw(LAYOUTS), bounds=([-20] * value.ndim, [20] * value.ndim))
    rows = data.draw(st.integers(1, 20))
    whole = level.read()
    names = {"point_cloud": ["vertices"], "graph": ["vertices", "edges"], "skeleton": ["vertices", "edges"]}
    for name in names.get(kind, ["vertices", "faces" if kind == "mesh" else "lines"]):
        table = level.to_arrow(table=name, batch_rows=rows).read_all()
        expected = whole.to_arrow(name).read_all()
        assert table.schema.equals(expected.schema, check_metadata=True)
        if kind in LINKED:
            # These come object by object.
            parts = list(level.iter(batch_rows=rows))
            expected = pa.concat_tables(
                [part.to_arrow(name).read_all() for part in parts], promote_options="permissive"
            )
            if name != "vertices":
                firsts = np.cumsum([0, *(part.vertex_count for part in parts)])[:-1]
                ends = [part.links + first for part, first in zip(parts, firsts, strict=True)]
                found = table.to_pydict()
                columns = found["vertices"] if kind == "mesh" else [*zip(found["source"], found["target"], strict=True)]
                assert np.array(columns).reshape(-1, value.links.shape[1]).tolist() == np.concatenate(ends).tolist()
                continue
        assert table.num_rows == expected.num_rows
        assert table.to_pylist() == expected.to_pylist()


def test_duckdb_and_polars_take_levels() -> None:
    given = cloud(5000)
    level = stored(given, zv.Layout(chunk_shape=2))
    high = int((given.positions[:, 2] > 3).sum())
    assert sql("select count(*) from level where z > 3").fetchall() == [(high,)]
    assert sql("select count(*) from level where t = 'a'").fetchall() == [(1667,)]
    inside = level.to_arrow(bbox=([0, 0, 0], [2, 2, 2]), attributes=["w"])
    expected = level.read(bbox=([0, 0, 0], [2, 2, 2])).attributes["w"].astype("f8").sum()
    assert inside.schema.names == ["x", "y", "z", "w"]
    assert inside.read_all().column("w").to_numpy().astype("f8").sum() == expected
    frame = pl.DataFrame(level)
    assert frame.height == 5000
    assert frame["t"].null_count() == 1667


def test_streams_read_batch_by_batch() -> None:
    counting = CountingStore()
    zv.write(counting, cloud(4000), layout=zv.Layout(chunk_shape=2))
    level = zv.open(counting)[0]
    counting.reset()
    reader = level.to_arrow(batch_rows=500)
    assert counting.requests == ["zarr.json"], "the schema follows from what is known, if that is still so"
    first = reader.read_next_batch()
    some = len(counting.requests)
    assert 0 < first.num_rows <= 500
    rest = reader.read_all()
    assert first.num_rows + rest.num_rows == 4000
    assert len(counting.requests) > 4 * some


def test_lines_have_the_attributes_of_their_objects() -> None:
    given = Polylines(
        [np.array([[0.0, 1], [5, 2]]), np.array([[6.0, 2.5]])],
        ids=[7, 9],
        attributes={"w": [1.0, 2, 3]},
        object_attributes={"length": [5.5, 0]},
    )
    level = stored(given, zv.Layout(chunk_shape=4))
    assert sql("select object_id, length, len(geometry), list_sum(w) from level order by 1").fetchall() == [
        (7, 5.5, 2, 3.0),
        (9, 0.0, 1, 3.0),
    ]
    assert level.to_arrow(object_ids=[9], geometry=False).read_all().to_pylist() == [
        {"x": [6.0], "y": [2.5], "object_id": 9, "length": 0.0, "w": [3.0]}
    ]
    assert level.to_arrow(table="objects").read_all().column("vertex_count").to_pylist() == [2, 1]
    assert np.asarray(zv.Polylines.from_arrow(level.to_arrow()).object_attributes["length"]).tolist() == [5.5, 0]
    with pytest.raises(InputError, match="no table 'faces'"):
        level.to_arrow(table="faces")


def test_what_is_cut_at_a_box_is_of_the_dtype_that_it_becomes() -> None:
    level = stored(zv.Polylines([np.array([[0, 0], [10, 10]])]), zv.Layout(chunk_shape=4))
    cut = level.to_arrow(bbox=([2, 2], [5, 5]), mode="clip", geometry=False).read_all()
    assert cut.column("x").to_pylist() == [[2.0, 5.0]]


def test_geometry_of_a_level_knows_its_crs() -> None:
    place = memory()
    zv.write(place, cloud(5), crs={"wkt": "PROJCRS[]"})
    field = zv.open(place)[0].to_arrow(geometry=True).schema.field("geometry")
    assert field.metadata[b"ARROW:extension:metadata"] == b'{"crs": "PROJCRS[]"}'


def test_an_error_on_the_way_reaches_whoever_reads() -> None:
    place = CountingStore()
    zv.write(place, cloud(500), layout=zv.Layout(chunk_shape=4, shard_shape=None))
    level = zv.open(place)[0]
    for key in [key for key in place._store._store_dict if key.startswith("0/vertices/c/")][-1:]:
        del place._store._store_dict[key]
    with pytest.raises(CorruptionError):
        level.to_arrow(batch_rows=10).read_all()
    with pytest.raises(Exception, match="a cell cannot be read"):
        pl.DataFrame(level)


def by_brute_force(level: zv.ZVLevel) -> dict[int, Any]:
    """Count and box of each object, from a read of everything."""
    value = level.read()
    owners = np.asarray(value.object_ids)
    found = {}
    for number in level.objects.ids.tolist():
        rows = value.positions[owners == number].astype("f8")
        if level.state.metadata.shared_fragments:
            rows = level.read(object_ids=[number]).positions
        none = [float("nan")] * value.ndim
        box = (rows.min(axis=0).tolist(), rows.max(axis=0).tolist()) if len(rows) else (none, none)
        found[number] = (len(rows), *box)
    return found


def told_of(level: zv.ZVLevel) -> dict[int, Any]:
    objects = level.objects
    low, high = objects.bounds
    rows = zip(objects.vertex_counts.tolist(), low.tolist(), high.tolist(), strict=True)
    return dict(zip(objects.ids.tolist(), rows, strict=True))


@pytest.mark.parametrize("kind", KINDS)
@fewer_examples(3)
@given(data=st.data())
def test_counts_boxes_and_chunks_of_objects(kind: str, data: st.DataObject) -> None:
    value = data.draw(values(kind))
    level = stored(value, data.draw(LAYOUTS), bounds=([-20] * value.ndim, [20] * value.ndim))
    check_objects(level)


@pytest.mark.parametrize("path", STORES, ids=lambda path: path.name)
def test_objects_of_stores_of_others(path: Path) -> None:
    store = zv.open(path)
    for number in range(len(store)):
        try:
            level = store[number]
            _ = level.kind
            level.read()
        except ZVError:
            continue
        if level.has_objects:
            check_objects(level)
        else:
            assert len(level.objects) == 0
            assert level.objects.bounds[0].shape == (0, len(level.axes))


def check_objects(level: zv.ZVLevel) -> None:
    np.testing.assert_equal(told_of(level), by_brute_force(level))
    index = level.object_index.compute()
    for chunk in level.chunk_keys:
        owners = sorted(number for number, refs in index.items() if any(place == chunk for place, _ in refs))
        assert level.objects_in(chunk).tolist() == owners
    everywhere = sorted(number for number, refs in index.items() if refs)
    assert level.objects_in(level.chunk_keys).tolist() == everywhere
    assert level.objects_in([]).tolist() == []


def test_objects_are_a_table() -> None:
    level = owned()
    objects = level.objects
    assert isinstance(objects, zv.ObjectTable)
    assert objects.columns == ("object_id", "vertex_count", "name", "volume", "groups")
    counts = np.bincount(np.arange(500) % 7).tolist()
    table = objects.to_arrow(bounds=True).read_all()
    assert table.column_names[2:8] == ["x_min", "x_max", "y_min", "y_max", "z_min", "z_max"]
    assert table.column("vertex_count").to_pylist() == counts
    assert table.column("groups").to_pylist() == [[], [0], [0, 2], [], [], [], [2]]
    assert [rows.tolist() for rows in objects["groups"]] == table.column("groups").to_pylist()
    assert objects["volume"].tolist() == list(range(7))
    assert objects["object_id"].tolist() == objects.ids.tolist() == list(range(-10, 60, 10))
    frame = objects.to_pandas()
    assert frame.loc[frame["volume"] > 4, "object_id"].tolist() == [40, 50]
    assert sql("select name from objects where vertex_count = 71 order by 1").fetchall() == [
        ("d",),
        ("e",),
        ("f",),
        ("g",),
    ]
    with pytest.raises(AttributeNotFoundError, match="no attribute 'weight'"):
        objects["weight"]


def test_objects_are_chosen_by_attribute() -> None:
    level = owned()
    objects = level.objects
    _ = objects.bounds
    some = objects.where({"name": ["b", "g"]})
    assert some.ids.tolist() == [0, 50]
    assert some.vertex_counts.tolist() == [72, 71]
    assert {group: ids.tolist() for group, ids in some.groups.items() if len(ids)} == {0: [0], 2: [50]}
    np.testing.assert_array_equal(some.bounds[0], objects.bounds[0][[1, 6]])
    np.testing.assert_array_equal(level.objects.where({"name": ["b", "g"]}).bounds[1], objects.bounds[1][[1, 6]])
    assert objects.of_group(2).ids.tolist() == [10, 50]
    assert level.read(object_ids=some.ids).vertex_count == 143
    assert objects.where({"volume": -1}).to_arrow().read_all().num_rows == 0
    with pytest.raises(AttributeNotFoundError, match="'w'"):
        objects.where({"w": 1})
    with pytest.raises(InputError, match="no group 7"):
        objects.of_group(7)


def test_what_the_catalogue_reads() -> None:
    counting = CountingStore()
    zv.write(counting, cloud(object_ids=np.arange(500) % 7 + 3), layout=zv.Layout(chunk_shape=4))
    level = zv.open(counting)[0]
    counting.reset()
    assert len(level.objects) == 7
    assert len(level.objects_in(level.chunk_keys[0])) == 7
    read = {"/".join(request.split("/")[1:3]) for request in counting.requests if request.startswith("0/")}
    assert read <= {"fragment_attributes/object_id"}, "no manifests"
    _ = level.objects.vertex_counts
    read = {request.split("/")[1] for request in counting.requests if request.startswith("0/")}
    assert "vertices" not in read, "no geometry"


@pytest.mark.parametrize("chunks", [[1.5, 2, 3], [1, 2], "abc", [[[1, 2, 3]]]])
def test_chunks_that_are_none(chunks: Any) -> None:
    with pytest.raises(InputError, match="chunks must be integers, 3 for each"):
        owned().objects_in(chunks)


def test_numbers_of_marks_are_ids_too() -> None:
    ids = np.array([-1, -2, -1, 5])
    level = stored(Points(np.arange(12.0).reshape(4, 3), object_ids=ids), zv.Layout(chunk_shape=100))
    assert level.objects_in(level.chunk_keys).tolist() == [-2, -1, 5]
    check_objects(level)


@pytest.mark.parametrize("name", ["edges", "faces"])
def test_ends_of_later_batches_are_rows_of_the_whole_stream(name: str) -> None:
    corners = np.arange(24.0).reshape(12, 2)
    links = np.arange(12).reshape(6, 2) if name == "edges" else np.arange(12).reshape(4, 3)
    owners = np.repeat([0, 1], 6)
    make = zv.Graph if name == "edges" else zv.Mesh
    place = memory()
    zv.write(place, make(corners, links, object_ids=owners))
    level = zv.open(place)[0]
    vertices = level.to_arrow(table="vertices", batch_rows=1).read_all()
    found = level.to_arrow(table=name, batch_rows=1).read_all()
    x = vertices["x"].to_numpy()
    names = ["source", "target"] if name == "edges" else found.column_names[:1]
    ends = np.array([found[column].to_pylist() for column in names])
    ends = ends.T if name == "edges" else ends[0]
    assert sorted(map(tuple, x[ends].tolist())) == sorted(map(tuple, corners[links][:, :, 0].tolist()))
