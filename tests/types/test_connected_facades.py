"""The writers and readers under the names of 0.9.2: keywords, result keys and nesting."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from tests.types.clouds import memory
from zarr_vectors.exceptions import ConventionError, InputError, ObjectNotFoundError, OptionError, StoreExistsError
from zarr_vectors.types.graphs import read_graph, write_graph
from zarr_vectors.types.lines import read_lines, write_lines
from zarr_vectors.types.meshes import read_mesh, write_mesh
from zarr_vectors.types.parametric import (
    ParametricTypeDef,
    read_parametric_objects,
    read_parametric_tables,
    write_parametric_objects,
)
from zarr_vectors.types.points import read_points, write_points
from zarr_vectors.types.polylines import read_polylines, write_polylines

CHUNKS: dict[str, Any] = {"chunk_shape": (4, 4)}
PATH = np.array([[0.0, 0], [5, 1], [9, 1], [1, 1]])


def test_polylines_come_as_lists_of_pieces() -> None:
    target = memory()
    done = write_polylines(
        target, [PATH, PATH[:2] + 1], **CHUNKS, vertex_attributes={"w": [np.arange(4), np.arange(2)]}, groups={0: [1]}
    )
    assert done == {
        "polyline_count": 2, "vertex_count": 6, "chunk_count": 3, "cross_chunk_link_count": 4, "group_count": 1,
    }  # fmt: skip
    found = read_polylines(target, object_ids=[1, 0])
    assert found["object_ids"] == [1, 0]
    assert [np.concatenate(pieces).tolist() for pieces in found["polylines"]] == [
        (PATH[:2] + 1).tolist(),
        PATH.tolist(),
    ]
    assert found["vertex_attributes"]["w"].tolist() == [0, 1, 0, 1, 2, 3]
    assert (found["ndim"], found["polyline_count"], found["vertex_count"]) == (2, 2, 6)
    assert read_polylines(target, group_ids=[0])["object_ids"] == [1]
    cut = read_polylines(target, bbox=([4, 0], [6, 1]), mode="vertices")
    assert [piece.tolist() for piece in cut["polylines"][0]] == [[[5.0, 1.0]]]


def test_what_bounds_leave_out_is_counted() -> None:
    box: dict[str, Any] = {**CHUNKS, "bounds": ([0, 0], [8, 8]), "out_of_bounds": "ignore"}
    for kind in ("graph", "skeleton"):
        target = memory()
        graph = write_graph(target, PATH, [[1, 0], [2, 1], [3, 1]], kind=kind, **box)
        assert (graph["dropped"], graph["node_count"], graph["edge_count"], graph["intra_edge_count"]) == (1, 3, 2, 0)
        assert len(read_graph(target)["edges"]) == 2
    mesh = write_mesh(memory(), PATH, [[0, 1, 2], [0, 1, 3]], **box)
    assert (mesh["dropped"], mesh["vertex_count"], mesh["face_count"], mesh["cross_face_count"]) == (1, 3, 1, 1)
    lines = write_polylines(memory(), [PATH, PATH[:2]], **box)
    assert (lines["dropped"], lines["polyline_count"], lines["vertex_count"]) == (4, 1, 2)
    lines = write_lines(memory(), PATH.reshape(2, 2, 2), **box)
    assert (lines["dropped"], lines["line_count"]) == (2, 1)


def test_lines_come_as_end_points() -> None:
    target, ends = memory(), np.array([[[0.0, 0], [9, 9]], [[1, 1], [2, 2]]])
    done = write_lines(target, ends, **CHUNKS, line_attributes={"w": [1, 2]}, vertex_attributes={"t": [[1, 2], [3, 4]]})
    assert done == {"line_count": 2, "chunk_count": 2, "cross_chunk_count": 1}
    found = read_lines(target, bbox=([4, 4], [5, 5]))
    assert (found["endpoints"].tolist(), found["object_ids"]) == ([[[0.0, 0.0], [9.0, 9.0]]], [0])
    assert found["vertex_attributes"]["t"].tolist() == [1, 2]
    with pytest.raises(OptionError, match="the same"):
        write_lines(memory(), ends, line_attributes={"w": [1, 2]}, object_attributes={"w": [1, 2]})


@pytest.mark.parametrize("kind", ["graph", "skeleton"])
def test_graphs_and_skeletons(kind: str) -> None:
    target = memory()
    edges = np.array([[1, 0], [2, 1], [3, 1]])
    done = write_graph(target, PATH, edges, kind=kind, **CHUNKS, edge_attributes={"w": [1.0, 2, 3]})
    assert (done["node_count"], done["edge_count"], done["cross_edge_count"], done["kind"]) == (4, 3, 3, kind)
    found = read_graph(target)
    links = zip(found["edges"], found["link_attributes"]["w"], strict=True)
    told = {tuple(map(tuple, found["positions"][edge])): w for edge, w in links}
    assert told == {tuple(map(tuple, PATH[edge])): w for edge, w in zip(edges, [1.0, 2, 3], strict=True)}
    assert found["object_ids"].tolist() == [0] * 4
    with pytest.raises(ObjectNotFoundError):
        read_graph(target, object_ids=[7])


def test_meshes() -> None:
    target = memory()
    done = write_mesh(target, PATH, [[0, 1, 2], [2, 3, 0]], **CHUNKS, face_attributes={"w": [1, 2]})
    assert (done["face_count"], done["cross_face_count"], done["intra_face_count"]) == (2, 2, 0)
    found = read_mesh(target)
    assert (found["vertex_count"], found["face_count"], found["face_attributes"]["w"].tolist()) == (4, 2, [1, 2])
    assert read_mesh(target, bbox=([0, 0], [1, 1]), mode="vertices")["face_count"] == 0


def test_a_reader_refuses_another_kind() -> None:
    target = memory()
    write_points(target, PATH)
    for reader in (read_polylines, read_lines, read_graph, read_mesh):
        call: Any = reader
        with pytest.raises(ConventionError, match="point_cloud"):
            call(target)
    assert read_points(target)["vertex_count"] == 4


def test_parametric_objects_join_a_store_of_any_kind() -> None:
    target = memory()
    write_mesh(target, PATH, [[0, 1, 2]])
    objects = [
        {"type": "plane", "coefficients": [0, 0, 1, -5], "name": "floor"},
        {"type": "tube", "coefficients": [1, 2]},
    ]
    tube = ParametricTypeDef(3, "tube", ["r", "l"])
    columns = {"a": [1.5, 2.5], "label": ["x", None]}
    done = write_parametric_objects(target, objects, custom_types=[tube], object_attributes=columns, groups={1: [0, 1]})
    assert done == {"object_count": 2, "type_counts": {"plane": 1, "tube": 1}}
    first, second = read_parametric_objects(target)
    assert (first["type"], first["type_id"], first["name"]) == ("plane", 0, "floor")
    assert (first["coefficients"], first["coefficient_names"]) == ([0.0, 0.0, 1.0, -5.0], ["A", "B", "C", "D"])
    assert (second["coefficient_names"], second["name"]) == (["r", "l"], "tube_1")
    with pytest.raises(StoreExistsError, match="mode"):
        write_parametric_objects(target, objects)
    more: dict[str, Any] = {"object_attributes": {"a": [9.0], "label": ["z"]}}
    write_parametric_objects(target, objects[1:], mode="append", **more)
    tables = read_parametric_tables(target)
    assert np.asarray(tables.attributes["a"]).tolist() == [1.5, 2.5, 9.0]
    assert [members.tolist() for members in tables.groups.values()] == [[], [0, 1]]
    write_parametric_objects(target, objects[:1], mode="replace")
    assert [entry["name"] for entry in read_parametric_objects(target)] == ["floor"]
    assert read_parametric_tables(target).attributes == {}
    assert read_mesh(target)["face_count"] == 1


@pytest.mark.parametrize(
    ("objects", "options", "told"),
    [
        ([{"type": "cube", "coefficients": [1]}], {}, "not known"),
        ([{"type": "plane", "coefficients": [1, 2]}], {}, "4 numbers"),
        ([{"type": "plane", "coefficients": [1, 2, 3, np.nan]}], {}, "finite"),
        ([{"type": "plane"}], {}, "type and coefficients"),
        ([{"type": "plane", "coefficients": [1, 2, 3, 4], "name": 5}], {}, "must be text"),
        ([{"type": "plane", "coefficients": [1, 2, 3, 4]}], {"object_attributes": {"a": [1, 2]}}, "one value per row"),
        ([{"type": "plane", "coefficients": [1, 2, 3, 4]}], {"groups": {0: [1]}}, "that there is not"),
        ([], {"custom_types": [ParametricTypeDef(0, "cube", ["a"])]}, "is taken"),
    ],
)
def test_bad_parametric_objects_are_refused_before_anything_is_written(objects: Any, options: Any, told: str) -> None:
    target = memory()
    with pytest.raises(InputError, match=told):
        write_parametric_objects(target, objects, create_new_store=True, **options)
    write_points(target, PATH)
    assert read_parametric_objects(target) == []
