"""Graphs as two text tables, also against pandas and networkx."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import networkx
import numpy as np
import pandas as pd
import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.formats.clouds import WORDS, categorical
from tests.formats.trees import Level, only, read, write
from zarr_vectors.axes import Axis
from zarr_vectors.exceptions import ExportError, IngestError
from zarr_vectors.formats.edge_list import EDGE_LIST
from zarr_vectors.formats.registry import export, format_at, format_named, format_of
from zarr_vectors.geometry import Graph

NODES = "id,x (um),y (um),kind\n7,0.5,1,a\n5,1.5,2,b\n9,2.5,3,\n"
EDGES = "source,target,weight\n7,5,0.5\n5,9,2\n"


def pair(folder: Path, nodes: str = NODES, edges: str = EDGES) -> Path:
    (folder / "g.nodes.csv").write_text(nodes)
    (folder / "g.edges.csv").write_text(edges)
    return folder / "g.edges.csv"


def test_either_file_opens_both(tmp_path: Path) -> None:
    path = pair(tmp_path)
    for name in ("g.edges.csv", "g.nodes.csv"):
        assert format_at(tmp_path / name) is EDGE_LIST
        source, (graph,) = read(EDGE_LIST, tmp_path / name)
        assert graph.positions.tolist() == [[0.5, 1], [1.5, 2], [2.5, 3]]
        assert graph.edges.tolist() == [[0, 1], [1, 2]]
        assert graph.edge_attributes["weight"].tolist() == [0.5, 2]
        assert graph.attributes["node_id"].tolist() == [7, 5, 9]
        assert np.asarray(graph.attributes["kind"]).tolist() == ["a", "b", None]
        assert graph.directed
        assert source.axes == (Axis("x", "micrometer"), Axis("y", "micrometer"))
    assert format_of("a.b.EDGES.csv") is EDGE_LIST
    assert format_of("a.csv").name == format_of("edges.csv").name == "csv"
    assert only(EDGE_LIST, path, attributes=("kind",)).attributes.keys() == {"kind"}


def test_text_names_and_objects(tmp_path: Path) -> None:
    nodes = "id,x,y,object_id\nsoma,0,0,3\n12,1,1,3\n"
    graph = only(EDGE_LIST, pair(tmp_path, nodes, "source,target,Type\n12,soma,Undirected\n"))
    assert graph.edges.tolist() == [[1, 0]]
    assert not graph.directed
    assert graph.object_ids.tolist() == [3, 3]
    assert np.asarray(graph.attributes["node_id"]).tolist() == ["soma", "12"]


@pytest.mark.parametrize(
    ("nodes", "edges", "fact"),
    [
        (NODES, "source,target\n7,5\n\n5,8\n", r"edges\.csv.*'8' as target in line 4"),
        (NODES, "source,target\n7,5\n,7\n", r"edges\.csv.*no value as source in line 3"),
        (NODES, "source,target\nx,5\n", "'x' as source in line 2"),
        (NODES, "source,target\n7.5,5\n", "'7.5' as source in line 2"),
        (NODES, "source,target\n99999999999999999999,5\n", "as source in line 2"),
        (NODES, "source,goal\n7,5\n", "no column target"),
        (NODES, "source,target,w,w\n7,5,1,1\n", "more than one column"),
        (NODES, "source,target,a/b\n7,5,1\n", "a/b"),
        (NODES, "source,target,Type\n7,5,Directed\n5,9,Undirected\n", "all be directed"),
        (NODES, "source,target,w\n7,5\n", "line 2"),
        (NODES, f"source,target,w\n7,5,{2**53 + 1}\n5,9,\n", "line 2"),
        (NODES, "", "empty"),
        ("", EDGES, "empty"),
        ("x,y\n1,2\n", EDGES, "no column 'id'"),
        ("id,x,y\n7,1,2\n5,1,2\n7,1,2\n", EDGES, r"nodes\.csv.*7 again in line 4"),
        ("id,x,y\na,1,2\n\nb,1,2\na,1,2\n", EDGES, "a again in line 5"),
        ("id,x,y\n7,1,2\n,1,2\n", EDGES, "no id in line 3"),
        ("id,x,y\n7.5,1,2\n", EDGES, "integers or text"),
        ("id,x,y\n7,1,q\n", EDGES, "'q' in line 2"),
        ("id,x,y,object_id\n7,1,1,1\n5,1,1,1\n9,1,1,2\n", EDGES, "two objects.*line 3"),
        ("id,x,y,node_id\n7,1,1,1\n", "source,target\n", "node_id"),
    ],
)
def test_bad_tables(nodes: str, edges: str, fact: str, tmp_path: Path) -> None:
    with pytest.raises(IngestError, match=fact):
        read(EDGE_LIST, pair(tmp_path, nodes, edges))


@pytest.mark.parametrize("gone", ["g.nodes.csv", "g.edges.csv"])
def test_one_file_is_not_enough(gone: str, tmp_path: Path) -> None:
    path = pair(tmp_path)
    (tmp_path / gone).unlink()
    with pytest.raises(IngestError, match=gone):
        read(EDGE_LIST, path)


@given(st.data())
def test_round_trip(tmp_path_factory: pytest.TempPathFactory, data: st.DataObject) -> None:
    count, links = data.draw(st.integers(1, 8)), data.draw(st.integers(1, 9))
    rng = np.random.default_rng(data.draw(st.integers(0, 99)))
    words = st.lists(st.none() | WORDS, min_size=links, max_size=links)
    names = st.lists(WORDS, min_size=count, max_size=count, unique=True)
    ids = categorical([*data.draw(names)]) if data.draw(st.booleans()) else rng.permutation(20)[:count] - 2**60
    graph = Graph(
        rng.random((count, 3)),
        rng.integers(0, count, (links, 2)),
        directed=data.draw(st.booleans()),
        attributes={"i": rng.integers(-(2**62), 2**62, count), "node_id": ids},
        edge_attributes={"w": rng.random(links), "t": categorical(data.draw(words)), "b": rng.random(links) > 0.5},
        object_ids=np.full(count, 5),
    )
    path = tmp_path_factory.mktemp("edges") / "g.edges.csv"
    assert write(EDGE_LIST, path, graph) == count
    if any(word is not None for word in np.asarray(graph.edge_attributes["t"])):
        assert only(EDGE_LIST, path) == graph


def test_no_edges_and_no_nodes(tmp_path: Path) -> None:
    for name, rows in (("a", 2), ("b", 0)):
        for directed in (True, False):
            path = tmp_path / f"{name}{directed}.edges.csv"
            write(EDGE_LIST, path, Graph(np.zeros((rows, 2)), directed=directed, axes="xy"))
            back = only(EDGE_LIST, path)
            assert (back.node_count, back.edge_count, back.directed) == (rows, 0, directed)


def test_both_files_appear_and_are_replaced(tmp_path: Path) -> None:
    graph = Graph(np.zeros((2, 3)), [[1, 0]], edge_attributes={"v": [[1.5, 2.5]]})
    path = tmp_path / "g.edges.csv"
    assert export(Level(graph).level(), path) == 2
    assert sorted(file.name for file in tmp_path.iterdir()) == ["g.edges.csv", "g.nodes.csv"]
    assert path.read_text() == 'source,target,Type,v_0,v_1\n1,0,"Undirected",1.5,2.5\n'
    path.unlink()
    with pytest.raises(ExportError, match="exists"):
        export(Level(graph).level(), path)
    assert not path.exists()
    assert export(Level(graph).level(), path, overwrite=True) == 2


def test_folders_of_pairs(tmp_path: Path) -> None:
    (tmp_path / "in").mkdir()
    pair(tmp_path / "in")
    fmt = format_at(tmp_path / "in")
    _, (graph,) = read(fmt, tmp_path / "in")
    assert np.asarray(graph.object_attributes["name"]).tolist() == ["g"]
    out = format_named("edge_list", tmp_path / "out")
    write(out, tmp_path / "out", graph, names={0: "h"})
    assert sorted(file.name for file in (tmp_path / "out").iterdir()) == ["h.edges.csv", "h.nodes.csv"]


@pytest.mark.parametrize(
    ("fields", "fact"),
    [
        ({"object_attributes": {"w": [1]}}, "objects"),
        ({"attributes": {"x": [1, 2]}}, "name of another column"),
        ({"attributes": {"id": [1, 2]}}, "name of another column"),
        ({"attributes": {"c": np.zeros(2, complex)}}, "'c'"),
        ({"attributes": {"node_id": [1, 1]}}, "distinct"),
        ({"attributes": {"node_id": [0.5, 1]}}, "distinct"),
        ({"edge_attributes": {"source": [1]}}, "'source'"),
        ({"edge_attributes": {"Type": [1]}}, "'Type'"),
    ],
)
def test_what_edge_lists_cannot_hold(fields: dict[str, Any], fact: str, tmp_path: Path) -> None:
    graph = Graph(np.zeros((2, 3)), [[0, 1]], **fields)
    with pytest.raises(ExportError, match=fact):
        export(Level(graph).level(), tmp_path / "g.edges.csv")
    assert list(tmp_path.iterdir()) == []


def test_pandas_and_networkx_agree(tmp_path: Path) -> None:
    theirs = networkx.gnp_random_graph(30, 0.2, seed=4, directed=True)
    rng = np.random.default_rng(4)
    places = pd.DataFrame({"id": list(theirs), "x": rng.random(30), "y": rng.random(30), "z": rng.random(30)})
    places.sample(frac=1, random_state=1).to_csv(tmp_path / "g.nodes.csv", index=False)
    networkx.to_pandas_edgelist(theirs).to_csv(tmp_path / "g.edges.csv", index=False)
    graph = only(EDGE_LIST, tmp_path / "g.edges.csv")
    ids = graph.attributes["node_id"]
    assert {*map(tuple, ids[graph.edges].tolist())} == {*theirs.edges}
    np.testing.assert_array_equal(graph.positions, places.set_index("id").loc[ids.tolist()].to_numpy())
    write(EDGE_LIST, tmp_path / "h.edges.csv", graph)
    back = networkx.from_pandas_edgelist(pd.read_csv(tmp_path / "h.edges.csv"), create_using=networkx.DiGraph)
    assert {*back.edges} == {*theirs.edges}
