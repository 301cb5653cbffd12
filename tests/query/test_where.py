"""Reads by conditions: what they bring is told row by row in plain Python, for every kind and any tree of them."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from dataclasses import replace
from functools import cache
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from zarr.storage import MemoryStore

import zarr_vectors as zv
from tests.query.conditions import plain_rows, says, trees
from tests.query.connected import induced, of_objects, owners_of
from tests.rechunk.shapes import LAYOUTS, assert_same_rows, narrowed, values, write
from zarr_vectors.exceptions import AttributeNotFoundError, InputError
from zarr_vectors.query.expressions import And, Expression, all_of
from zarr_vectors.query.row_filter import RowFilter
from zarr_vectors.query.values import take_known

KINDS = ["points", "polyline", "graph", "skeleton", "mesh"]
ROWS = {"row": False, "t": True, "f": False, "flag": False}
OBJECTS = {"size": False, "name": True}


def met(condition: Expression, columns: dict[str, Any], rows: int) -> np.ndarray[Any, Any]:
    """Which rows meet a condition, one after the other."""
    dtypes = {name: column.dtype for name, column in columns.items()}
    found = [says(condition, row, dtypes) is True for row in plain_rows(columns, rows)]
    return np.array(found, dtype=bool)


def named(value: Any, names: Sequence[str]) -> dict[str, Any]:
    return {name: value[name] for name in names if name in value}


def owners(value: Any) -> list[int]:
    if isinstance(value, zv.Polylines):
        return list(np.repeat(value.line_ids, value.lengths).tolist())
    return owners_of(value)


def expected_of(whole: Any, tables: Any, condition: Expression) -> Any:
    """What is left of a value: whole objects that meet what asks of objects alone, then rows that meet the rest."""
    parts = condition.parts if isinstance(condition, And) else (condition,)
    of_objects_columns = named(tables.object_attributes, list(OBJECTS))
    pure = [part for part in parts if set(part.names) <= set(of_objects_columns)]
    rest = [part for part in parts if part not in pure]
    value = whole
    if pure:
        good = met(all_of(pure), of_objects_columns, len(tables.objects))
        value = of_objects(whole, np.asarray(tables.objects)[good].tolist())
    if rest:
        place = {one: number for number, one in enumerate([] if tables.objects is None else tables.objects.tolist())}
        rows = [place[one] for one in owners(value)] if of_objects_columns else []
        columns = {name: column[np.array(rows, dtype=int)] for name, column in of_objects_columns.items()}
        columns = {**named(value.attributes, list(ROWS)), **columns}
        value = induced(value, met(all_of(rest), columns, value.vertex_count))
    return value


def by_links(value: Any, condition: Expression) -> Any:
    """The links that meet a condition, and the vertices at their ends."""
    chosen = met(condition, named(value.link_attributes, ["link"]), len(value.links))
    links = value.links[chosen]
    columns = {name: column[chosen] for name, column in value.link_attributes.items()}
    if isinstance(value, zv.Skeleton):
        parents = np.full(value.vertex_count, -1)
        parents[links[:, 0]] = links[:, 1]
        value = replace(value, parents=parents, edge_attributes=columns)
    elif isinstance(value, zv.Mesh):
        value = replace(value, faces=links, face_attributes=columns)
    else:
        value = replace(value, edges=links, edge_attributes=columns)
    connected = np.zeros(value.vertex_count, dtype=bool)
    connected[links.ravel()] = True
    return value.within(connected)


def stored(value: Any, layout: zv.Layout, by: str | None = None) -> zv.ZVLevel:
    place = MemoryStore()
    write(place, value, layout)
    if by is not None:
        zv.rechunk(place, zv.RechunkSpec(f"attribute:{by}", categorical=True))
    return zv.open(place)[0]


def check(level: zv.ZVLevel, where: Any, expected: Any) -> None:
    got = level.read(where=where)
    assert_same_rows(narrowed(got, expected), expected)
    assert level.count(where=where) == expected.vertex_count
    assert sum(part.vertex_count for part in level.iter(where=where, batch_rows=3)) == expected.vertex_count
    bare = level.read(where=where, attributes=[])
    assert (list(bare.attributes), bare.vertex_count) == ([], expected.vertex_count)


@pytest.mark.parametrize("kind", KINDS)
@settings(max_examples=4)
@given(data=st.data())
def test_any_tree_of_conditions_selects_what_each_row_meets(kind: str, data: st.DataObject) -> None:
    value = data.draw(values(kind))
    level = stored(value, data.draw(LAYOUTS), data.draw(st.sampled_from([None, "t", "flag"])))
    whole = level.read()
    condition = data.draw(trees(ROWS | (OBJECTS if value.object_attributes else {})))
    expected = expected_of(whole, value, condition)
    check(level, condition, expected)
    check(level, str(condition), expected)


@pytest.mark.parametrize("kind", ["graph", "skeleton", "mesh"])
@settings(max_examples=4)
@given(data=st.data())
def test_edges_and_faces_are_selected_with_their_vertices(kind: str, data: st.DataObject) -> None:
    value = data.draw(values(kind, named=True, least=1))
    level = stored(value, data.draw(LAYOUTS))
    whole = level.read()
    of_links = data.draw(trees({"link": False}))
    check(level, of_links, by_links(whole, of_links))
    of_rows = data.draw(trees({"row": False, "t": True} | (OBJECTS if value.object_attributes else {})))
    both = expected_of(whole, value, of_rows)
    check(level, of_rows & of_links, by_links(both, of_links))
    got = level.read(where=of_links, link_attributes=[])
    assert got.link_attributes == {}
    assert len(got.links) == len(by_links(whole, of_links).links)


def small(**options: Any) -> zv.ZVLevel:
    """Six points of three objects."""
    value = zv.Points(
        np.arange(12.0).reshape(6, 2),
        attributes={"w": [1, 2, 3, 4, 5, 6], "t": ["a", "b", None, "a", "b", None], "rgb": np.zeros((6, 3))},
        object_ids=[7, 7, 5, 5, 9, 9],
        objects=[5, 7, 9],
        object_attributes={"volume": [1.0, 5.0, np.nan], "tag": ["x", None, "y"]},
    )
    place = MemoryStore()
    zv.write(place, value, **options)
    return zv.open(place)[0]


@pytest.mark.parametrize(
    ("where", "rows"),
    [
        ("volume > 3 or w > 5", [1, 2, 6]),
        ("not (volume > 3 or w = 3)", [4]),
        ("volume > 3 and w > 1", [2]),
        ("not volume > 3", [3, 4]),
        ("volume is null or t = 'a'", [1, 4, 5, 6]),
        ("tag is null and t is not null", [1, 2]),
        ("(tag = 'x' or w < 2) and t is null", [3]),
        ("t >= 'b'", [2, 5]),
        ({"t": None}, [3, 6]),
        ({}, [1, 2, 3, 4, 5, 6]),
        (None, [1, 2, 3, 4, 5, 6]),
    ],
)
def test_objects_and_rows_are_asked_together(where: Any, rows: list[int]) -> None:
    level = small()
    assert sorted(level.read(where=where).attributes["w"].tolist()) == rows
    assert level.count(where=where) == len(rows)
    assert asyncio.run(level.aread(where=where)).vertex_count == len(rows)
    in_some = [row for row in rows if row > 2]
    assert sorted(level.read(where=where, object_ids=[5, 9]).attributes["w"].tolist()) == in_some


def test_rows_of_no_known_object_have_no_value_of_objects() -> None:
    wanted = RowFilter(
        condition=(zv.col("size") > 1) | (zv.col("row") > 5),
        ids=np.array([9, 4]),
        of_objects={"size": np.array([5, 0])},
    )
    rows = {"row": np.array([1, 2, 3, 6])}
    assert wanted.mask(rows, np.array([9, 4, 77, -1]), 4).tolist() == [True, False, False, True]
    assert wanted.mask(rows, None, 4).tolist() == [False, False, False, True]


def test_values_that_objects_lack_stay_missing() -> None:
    sizes = np.ma.MaskedArray([1, 2, 3], mask=[False, True, False])
    got = take_known(sizes, np.array([2, 1, -1, 0]))
    assert isinstance(got, np.ma.MaskedArray)
    assert np.ma.getmaskarray(got).tolist() == [False, True, True, False]
    assert np.ma.getdata(got)[[0, 3]].tolist() == [3, 1]


def test_owners_that_were_read_for_a_condition_are_told_of_as_ever() -> None:
    level = small()
    assert level.read(where="volume > 3 or w > 5").object_ids.tolist() == [7, 7, 9]


@pytest.mark.parametrize(
    ("where", "kind", "match"),
    [
        ("wq > 3", AttributeNotFoundError, "did you mean 'w'"),
        ("volum > 3 or w > 5", AttributeNotFoundError, "did you mean 'volume'"),
        ("w = 'a'", InputError, "cannot compare attribute 'w'"),
        ("t = 5", InputError, "cannot compare attribute 't' of text"),
        ("tag = 5 or w > 3", InputError, "cannot compare attribute 'tag' of text"),
        ("rgb > 5", InputError, "several channels"),
        ("w >", InputError, "cannot be understood"),
        (zv.col("w"), InputError, "compare col\\('w'\\) with a value"),
        (7, InputError, "where must be"),
    ],
)
def test_what_cannot_be_asked_is_refused(where: Any, kind: type[Exception], match: str) -> None:
    level = small()
    for read in (level.read, level.count, lambda **asked: list(level.iter(**asked))):
        with pytest.raises(kind, match=match):
            read(where=where)
    with pytest.raises(kind, match=match):
        level.read(([90, 90], [91, 91]), where=where)


def test_what_a_level_is_chunked_by_is_asked_together_with_rows() -> None:
    value = zv.Points(np.arange(12.0).reshape(6, 2), attributes={"w": [1, 2, 3, 4, 5, 6], "t": list("abcabc")})
    zv.write("memory://where-chunked", value)
    zv.rechunk_by_attribute("memory://where-chunked", "t")
    level = zv.open("memory://where-chunked")[0]
    for where, rows in (
        ("t = 'a' or w > 5", [1, 4, 6]),
        ("t = 'a' and w > 3", [4]),
        ("t > 'a' and t < 'c'", [2, 5]),
        ("not (t = 'a' or w < 3)", [3, 5, 6]),
        ("t in ('a', 'c') and not t = 'c' and w between 2 and 9", [4]),
    ):
        assert sorted(level.read(where=where).attributes["w"].tolist()) == rows
        assert level.count(where=where) == len(rows)


def test_edges_can_only_be_asked_beside_vertices() -> None:
    graph = zv.Graph(
        [[0.0, 0.0], [1.0, 0.0], [2.0, 0.0]],
        [[0, 1], [1, 2]],
        edge_attributes={"w": [1, 2]},
        attributes={"v": [1, 2, 3]},
    )
    zv.write("memory://where-edges", graph)
    level = zv.open("memory://where-edges")[0]
    assert level.read(where="w = 2").attributes["v"].tolist() == [2, 3]
    assert level.read(where="w = 2 and v > 2").vertex_count == 0
    assert level.read(where="w < 3 and v < 3").attributes["v"].tolist() == [1, 2]
    with pytest.raises(InputError, match=r"in one condition.*combined by and"):
        level.read(where="w = 2 or v > 1")
    with pytest.raises(InputError, match="cannot compare attribute 'w'"):
        level.read(where="w = 'a'")
    with pytest.raises(AttributeNotFoundError, match="'x'"):
        level.read(where="x = 2")


@cache
def all_called_x(by: str | None) -> zv.ZVLevel:
    """Vertices, objects and edges have an attribute of one name."""
    graph = zv.Graph(
        [[0.5, 0.0], [1.5, 0.0], [2.5, 0.0], [3.5, 0.0]],
        [[0, 1], [1, 2], [2, 3]],
        attributes={"x": [1, 2, 3, 4], "only": [1, 2, 3, 4]},
        edge_attributes={"x": [10, 20, 30], "length": [1, 1, 2]},
        object_ids=[5, 5, 8, 8],
        objects=[5, 8],
        object_attributes={"x": [100, 200], "volume": [1.0, 2.0]},
    )
    place = f"memory://all-called-x-{by}"
    zv.write(place, graph, layout=zv.Layout(chunk_shape=2))
    if by is not None:
        zv.rechunk_by_attribute(place, by)
    return zv.open(place)[0]


@pytest.mark.parametrize("by", [None, "x", "only"])
@pytest.mark.parametrize(
    ("where", "rows"),
    [
        ("x = 100", [1, 2]),
        ("object.x = 100", [1, 2]),
        ("vertex.x > 2", [3, 4]),
        ("vertex.x > 1 and object.x = 100", [2]),
        ("vertex.x = 4 or object.x = 100", [1, 2, 4]),
        ("vertex.x = 4 or x = 100 or vertex.only = 3", [1, 2, 3, 4]),
        ("not (vertex.x = 1 or object.x = 200)", [2]),
        ("edge.x = 20", [2, 3]),
        ("edge.x >= 20 and vertex.x > 2", [3, 4]),
        ("edge.x >= 20 and edge.length < 2 and object.volume > 0", [2, 3]),
        ("edge.length = 2 and x = 200 and vertex.only < 9", [3, 4]),
        ({"vertex.x": [1, 2], "object.x": 100}, [1, 2]),
        (zv.col("vertex.x").between(2, 3) & (zv.col("edge.x") == 20), [2, 3]),
        ("`vertex.x` = 3", [3]),
    ],
    ids=str,
)
def test_names_tell_whose_attribute_is_meant(where: Any, rows: list[int], by: str | None) -> None:
    level = all_called_x(by)
    assert sorted(level.read(where=where).positions[:, 0].tolist()) == [row - 0.5 for row in rows]
    assert level.count(where=where) == len(rows)
    assert set(level.read(where=where, attributes=[]).attributes) == set()
    if not isinstance(where, dict):
        assert level.count(where=str(where)) == len(rows)


def test_an_attribute_that_is_called_just_so_is_meant_first() -> None:
    cloud = zv.Points(
        np.arange(4.0).reshape(2, 2),
        attributes={"object.x": [1, 2], "x": [3, 4]},
        object_ids=[0, 1],
        objects=[0, 1],
        object_attributes={"x": [5, 6], "vertex.y": [7, 8]},
    )
    place = MemoryStore()
    zv.write(place, cloud)
    level = zv.open(place)[0]
    for where, rows in (
        ("object.x = 1", [0]),
        ("object.x = 2 or x = 5", [0, 2]),
        ("x = 6", [2]),
        ("vertex.x = 3 and `vertex.y` = 7", [0]),
        ("object.x = 1 and vertex.x = 3 and x = 5", [0]),
    ):
        assert level.read(where=where).positions[:, 0].tolist() == rows, where


def test_fragments_and_faces_by_name() -> None:
    lines = zv.Polylines([[[0.5, 0.0], [0.7, 0.0]], [[4.5, 0.0]]], ids=[1, 2], attributes={"x": [1, 2, 3]})
    place = MemoryStore()
    zv.write(place, lines, per_fragment=[], layout=zv.Layout(chunk_shape=4))
    level = zv.open(place)[0]
    with pytest.raises(AttributeNotFoundError, match=r"fragment\.x"):
        level.read(where="fragment.x = 1")
    place = MemoryStore()
    both = replace(lines, attributes={"x": np.array([1, 1, 3]), "y": np.array([1, 2, 3])})
    zv.write(place, both, per_fragment=["x"], layout=zv.Layout(chunk_shape=4))
    level = zv.open(place)[0]
    assert level.count(where="fragment.x = 1") == 2
    assert level.count(where="fragment.x = 1 and vertex.y > 1") == 1
    with pytest.raises(AttributeNotFoundError, match=r"vertex\.x"):
        level.read(where="vertex.x = 1")
    mesh = zv.Mesh(
        [[0.0, 0.0, 0.0], [1.0, 0.0, 0.0], [0.0, 1.0, 0.0], [1.0, 1.0, 0.0]],
        [[0, 1, 2], [1, 2, 3]],
        face_attributes={"x": [1, 2]},
    )
    place = MemoryStore()
    zv.write(place, mesh)
    level = zv.open(place)[0]
    assert level.count(where="face.x = 2") == 3
    with pytest.raises(AttributeNotFoundError, match=r"edge\.x"):
        level.read(where="edge.x = 2")
    graph = all_called_x(None)
    for wrong in ("face.x = 1", "fragment.x = 1", "object.only = 1", "vertex.volume = 1", "edge.only = 1"):
        with pytest.raises(AttributeNotFoundError, match=wrong.partition(" ")[0]):
            graph.read(where=wrong)
    with pytest.raises(InputError, match=r"edges or faces and of something else"):
        graph.read(where="edge.x = 1 or vertex.x = 1")
    with pytest.raises(InputError, match="backticks"):
        graph.read(where="layer.x = 1")


def test_the_catalogue_takes_names_of_objects_too() -> None:
    objects = all_called_x(None).objects
    assert objects.where("object.x > 100").ids.tolist() == objects.where("x > 100").ids.tolist() == [8]
    with pytest.raises(AttributeNotFoundError):
        objects.where("vertex.x = 1")
