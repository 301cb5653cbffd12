"""GraphML, against networkx in both directions."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import networkx
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.formats.clouds import categorical
from tests.formats.trees import XYZ, Level, only, read, write
from zarr_vectors.exceptions import ExportError, IngestError
from zarr_vectors.formats.graphml import GRAPHML
from zarr_vectors.formats.registry import export
from zarr_vectors.geometry import Graph

HEAD = """<?xml version="1.0"?>
<graphml xmlns="http://graphml.graphdrawing.org/xmlns" xmlns:y="http://www.yworks.com/xml/graphml">
<key id="dx" for="node" attr.name="x" attr.type="double"/>
<key id="dy" for="node" attr.name="y" attr.type="double"><default>0.5</default></key>
<key id="dn" for="node" attr.name="n" attr.type="int"/>
<key id="dl" for="all" attr.name="label" attr.type="string"/>
<key id="dg" for="node" yfiles.type="nodegraphics"/>
<graph edgedefault="directed">
"""
BODY = """<node id="a"><data key="dx">1.5</data><data key="dl">A &amp; B</data><data key="dg"><y:Shape/></data></node>
<node id="b"><data key="dx">2</data><data key="dy">7</data><data key="dn">3</data></node>
<edge source="b" target="a" id="e7"><data key="dl">way</data></edge>
"""
TAIL = "</graph></graphml>\n"


def made(folder: Path, text: str) -> Path:
    path = folder / "bad.graphml"
    path.write_text(text)
    return path


def test_a_graph_is_read(tmp_path: Path) -> None:
    source, (graph,) = read(GRAPHML, made(tmp_path, HEAD + BODY + TAIL))
    assert graph.positions.tolist() == [[1.5, 0.5], [2, 7]]
    assert graph.edges.tolist() == [[1, 0]]
    assert graph.directed
    assert graph.attributes["n"].tolist() == [None, 3]
    assert graph.attributes["n"].dtype == np.int32
    assert np.asarray(graph.attributes["label"]).tolist() == ["A & B", None]
    assert np.asarray(graph.attributes["name"]).tolist() == ["a", "b"]
    assert np.asarray(graph.edge_attributes["label"]).tolist() == ["way"]
    assert np.asarray(graph.edge_attributes["edge_id"]).tolist() == ["e7"]
    assert [axis.name for axis in source.axes or ()] == ["x", "y"]
    assert only(GRAPHML, tmp_path / "bad.graphml", positions=("y", "x")).positions.tolist() == [[0.5, 1.5], [7, 2]]


@pytest.mark.parametrize(
    ("text", "fact"),
    [
        ("", "XML"),
        ("<graphml>", "XML"),
        ('<?xml version="1.0" encoding="UTF1e9998"?><graphml/>', "XML.*unknown encoding"),
        ('<?xml version="1.0" encoding="big5"?><graphml/>', "XML.*multi-byte"),
        ("<svg/>", "no GraphML.*line 1"),
        ("<graphml/>", "no graph"),
        ('<!DOCTYPE g [<!ENTITY a "b">]><graphml/>', "entities"),
        (HEAD + BODY, "XML"),
        (HEAD + BODY.replace('target="a"', 'target="c"') + TAIL, "'c' in line 11"),
        (HEAD + BODY.replace('id="b"', 'id="a"') + TAIL, "'a' in line 10"),
        (HEAD + BODY.replace('target="a"', "") + TAIL, "line 11"),
        (HEAD + BODY.replace('id="b"', "") + TAIL, "line 10"),
        (HEAD + BODY.replace(">3<", ">3.5<") + TAIL, "type int.*line 10"),
        (HEAD + BODY.replace(">3<", ">3000000000<") + TAIL, "int32.*line 10"),
        (HEAD + BODY.replace(">2<", ">east<") + TAIL, "type double.*line 10"),
        (HEAD + BODY.replace(">2<", ">NaN<") + TAIL, "'b' in line 10"),
        (HEAD + BODY.replace('<data key="dx">2</data>', "") + TAIL, "'b' in line 10"),
        (HEAD + BODY.replace('key="dn"', 'key="dx"') + TAIL, "two values.*line 10"),
        (HEAD + BODY.replace('key="dn"', 'key="gone"') + TAIL, "'gone' in line 10"),
        (HEAD + BODY.replace(">3<", "><b/><") + TAIL, "text"),
        (HEAD.replace('"int"', '"complex"') + BODY + TAIL, "'complex' in line 5"),
        (HEAD.replace('"n"', '"x"') + BODY + TAIL, "two keys"),
        (HEAD.replace('"n"', '"a/b"') + BODY + TAIL, "a/b"),
        (HEAD.replace('"x"', '"q"') + BODY + TAIL, "no columns of coordinates"),
        (HEAD + BODY + '<node id="c"><graph edgedefault="directed"/></node>' + TAIL, "one graph"),
        (HEAD + BODY + "<hyperedge/>" + TAIL, "hyperedges"),
        (HEAD + BODY.replace('id="e7"', 'directed="false"') + TAIL, "all be directed"),
    ],
)
def test_bad_files(text: str, fact: str, tmp_path: Path) -> None:
    with pytest.raises(IngestError, match=fact) as caught:
        read(GRAPHML, made(tmp_path, text))
    assert "bad.graphml" in str(caught.value)


def test_truncation_is_found_everywhere(tmp_path: Path) -> None:
    text = HEAD + BODY + TAIL
    for size in range(0, len(text.rstrip()), 7):
        with pytest.raises(IngestError, match=r"bad\.graphml"):
            read(GRAPHML, made(tmp_path, text[:size]))


@given(st.data())
def test_round_trip(tmp_path_factory: pytest.TempPathFactory, data: st.DataObject) -> None:
    count, links = data.draw(st.integers(1, 8)), data.draw(st.integers(0, 9))
    rng = np.random.default_rng(data.draw(st.integers(0, 99)))
    letters = st.characters(codec="utf-8", exclude_categories=["Cc", "Cs"], exclude_characters="\ufffe\uffff")
    words = st.none() | st.text(letters | st.sampled_from("\t\n\r<&\"' "), max_size=5)
    graph = Graph(
        rng.random((count, 3)).astype(data.draw(st.sampled_from([np.float32, np.float64]))),
        rng.integers(0, count, (links, 2)),
        directed=data.draw(st.booleans()),
        attributes={
            "l": categorical(data.draw(st.lists(words, min_size=count, max_size=count))),
            "i": rng.integers(-(2**63), 2**63 - 1, count),
            "m": np.ma.MaskedArray(np.arange(count, dtype=np.int32), mask=rng.random(count) > 0.5),
            "b": rng.random(count) > 0.5,
            "name": categorical([f"node {row}" for row in range(count)]),
        },
        edge_attributes={"w": rng.random(links)},
        object_ids=np.full(count, 3),
        axes=XYZ,
    )
    path = tmp_path_factory.mktemp("graphml") / "g.graphml"
    assert write(GRAPHML, path, graph) == count
    back = only(GRAPHML, path)
    assert back == graph
    assert back.positions.dtype == graph.positions.dtype


def test_no_nodes(tmp_path: Path) -> None:
    assert write(GRAPHML, tmp_path / "g.graphml", Graph(np.zeros((0, 3)), axes=XYZ)) == 0
    assert only(GRAPHML, tmp_path / "g.graphml").node_count == 0


@pytest.mark.parametrize(
    ("fields", "fact"),
    [
        ({"object_attributes": {"w": [1]}}, "objects"),
        ({"attributes": {"x": [1, 2]}}, "name of an axis"),
        ({"attributes": {"c": np.zeros(2, complex)}}, "'c'"),
        ({"attributes": {"u": np.full(2, 2**63, np.uint64)}}, "'u'"),
        ({"attributes": {"a": [[1, 2], [3, 4]], "a_0": [1, 2]}}, "'a_0'"),
        ({"attributes": {"t": ["\0", "b"]}}, "characters"),
    ],
)
def test_what_graphml_cannot_hold(fields: dict[str, Any], fact: str, tmp_path: Path) -> None:
    with pytest.raises(ExportError, match=fact):
        export(Level(Graph(np.zeros((2, 3)), [[0, 1]], **fields)).level(), tmp_path / "g.graphml")
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("kind", [networkx.Graph, networkx.DiGraph, networkx.MultiDiGraph])
def test_networkx_agrees(kind: Any, tmp_path: Path) -> None:
    theirs = kind()
    rng = np.random.default_rng(7)
    for number in range(20):
        x, y, z = rng.random(3).tolist()
        theirs.add_node(f"cell {number}", x=x, y=y, z=z, size=number, ok=number % 2 == 0, tag=f"<{number}>")
    for one, other in rng.integers(0, 20, (30, 2)).tolist():
        theirs.add_edge(f"cell {one}", f"cell {other}", w=float(one) / 7)
    networkx.write_graphml(theirs, tmp_path / "a.graphml")
    graph = only(GRAPHML, tmp_path / "a.graphml")
    names = list(np.asarray(graph.attributes["name"]))
    assert names == list(theirs.nodes)
    assert graph.directed == theirs.is_directed()
    assert graph.positions.tolist() == [[data["x"], data["y"], data["z"]] for _, data in theirs.nodes(data=True)]
    assert [(names[one], names[other]) for one, other in graph.edges] == list(theirs.edges())
    assert graph.edge_attributes["w"].tolist() == [data["w"] for *_, data in theirs.edges(data=True)]
    write(GRAPHML, tmp_path / "b.graphml", graph)
    back = networkx.read_graphml(tmp_path / "b.graphml")
    assert dict(back.nodes(data=True)) == dict(theirs.nodes(data=True))
    assert sorted(back.edges()) == sorted(theirs.edges())
    assert back.is_directed() == theirs.is_directed()
