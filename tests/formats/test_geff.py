"""GEFF, against the geff package and on a lineage."""

from __future__ import annotations

import json
import shutil
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import zarr
from hypothesis import given
from hypothesis import strategies as st

from tests.formats.clouds import categorical
from tests.formats.trees import Level, only, read, write
from tests.storage.stores import fewer_examples
from zarr_vectors.axes import Axis
from zarr_vectors.exceptions import ExportError, IngestError
from zarr_vectors.formats.geff import GEFF
from zarr_vectors.formats.registry import export, format_at, ingest
from zarr_vectors.geometry import Categorical, Graph
from zarr_vectors.storage.foreign import write_foreign

LINEAGE = Path(__file__).parent.parent / "data" / "fetched" / "graph_3d.zarr" / "tracks"
TYX = (Axis("t", "second", "time"), Axis("y", "micrometer"), Axis("x", "micrometer"))
VALUES = {"t": [0.0, 1, 2], "y": [1.5, 2.5, 3.5], "x": [4.0, 5, 6]}


def arrays(**more: Any) -> dict[str, Any]:
    """The arrays of a small graph."""
    found: dict[str, Any] = {"nodes/ids": np.array([7, 5, 9]), "edges/ids": np.array([[7, 5], [5, 9]])}
    found |= {f"nodes/props/{name}/values": np.array(values) for name, values in VALUES.items()}
    found |= {name.replace("__", "/"): np.asarray(values) for name, values in more.items()}
    return {name: values for name, values in found.items() if values.ndim}


def document(**more: Any) -> dict[str, Any]:
    axes = [axis.to_json() for axis in TYX]
    return {"geff": {"geff_version": "1.1.2", "directed": True, "axes": axes, **more}}


def made(path: Path, meta: Any = None, zarr_format: Any = 2, **more: Any) -> Path:
    write_foreign(path, document() if meta is None else meta, arrays(**more), zarr_format=zarr_format)
    return path


@pytest.mark.parametrize("zarr_format", [2, 3])
def test_a_graph_is_read(zarr_format: int, tmp_path: Path) -> None:
    path = made(
        tmp_path / "a.geff",
        zarr_format=zarr_format,
        nodes__props__area__values=[1, 2, 3],
        nodes__props__area__missing=[False, True, False],
        nodes__props__score__values=[0.5, 1.5, 2.5],
        nodes__props__score__missing=[True, False, False],
        nodes__props__label__values=["a", "b", ""],
        nodes__props__label__missing=[False, True, False],
        nodes__props__inertia__values=np.ones((3, 2), np.float32),
        edges__props__weight__values=[0.5, 0.25],
    )
    assert format_at(path) is GEFF
    source, (graph,) = read(GEFF, path)
    assert graph.positions.tolist() == [[0, 1.5, 4], [1, 2.5, 5], [2, 3.5, 6]]
    assert graph.edges.tolist() == [[0, 1], [1, 2]]
    assert graph.directed
    assert source.axes == TYX
    assert graph.attributes["area"].tolist() == [1, None, 3]
    np.testing.assert_array_equal(graph.attributes["score"], [np.nan, 1.5, 2.5])
    assert np.asarray(graph.attributes["label"]).tolist() == ["a", None, ""]
    assert graph.attributes["inertia"].dtype == np.float32
    assert graph.attributes["inertia"].shape == (3, 2)
    assert graph.attributes["node_id"].tolist() == [7, 5, 9]
    assert graph.edge_attributes["weight"].tolist() == [0.5, 0.25]
    assert graph.object_ids is None
    assert source.headers == document()


def test_what_options_name(tmp_path: Path) -> None:
    path = made(tmp_path / "a.geff", nodes__props__track__values=[3, 3, 3], nodes__props__w__values=[1, 2, 3])
    graph = only(GEFF, path, positions=("x", "y"), object_ids="track", attributes=("w",))
    assert graph.positions.tolist() == [[4, 1.5], [5, 2.5], [6, 3.5]]
    assert graph.object_ids.tolist() == [3, 3, 3]
    assert list(graph.attributes) == ["w"]
    with pytest.raises(IngestError, match="two objects"):
        read(GEFF, made(tmp_path / "b.geff", nodes__props__track__values=[3, 3, 4]), object_ids="track")
    with pytest.raises(IngestError, match="gone"):
        read(GEFF, path, attributes=("gone",))
    with pytest.raises(IngestError, match="gone"):
        read(GEFF, path, positions=("x", "gone"))


@fewer_examples(3)
@given(st.data())
def test_round_trip(tmp_path_factory: pytest.TempPathFactory, data: st.DataObject) -> None:
    count, links = data.draw(st.integers(0, 8)), data.draw(st.integers(0, 9))
    rng = np.random.default_rng(data.draw(st.integers(0, 99)))
    words = st.none() | st.text(st.characters(codec="utf-8", exclude_characters="\0"), max_size=4)
    ids = rng.permutation(20)[:count].astype(data.draw(st.sampled_from([np.int64, np.uint8, np.uint64])))
    graph = Graph(
        rng.random((count, 3)).astype(data.draw(st.sampled_from([np.float32, np.float64]))),
        rng.integers(0, max(count, 1), (links if count else 0, 2)),
        directed=data.draw(st.booleans()),
        attributes={
            "node_id": ids,
            "i": np.ma.MaskedArray(
                rng.integers(0, 9, (count, 2), np.int16), mask=np.repeat(ids % 2 == 0, 2).reshape(-1, 2)
            ),
            "b": rng.random(count) > 0.5,
            "l": categorical(data.draw(st.lists(words, min_size=count, max_size=count))),
        },
        edge_attributes={"w": rng.random(links if count else 0, dtype=np.float32)},
        axes=TYX,
    )
    path = tmp_path_factory.mktemp("geff") / "a.geff"
    assert write(GEFF, path, graph) == count
    back = only(GEFF, path)
    if count and ids.tolist() != list(range(count)):
        assert back.attributes["node_id"].dtype == ids.dtype
        assert back == graph
    assert back.edges.tolist() == graph.edges.tolist()
    assert back.positions.dtype == graph.positions.dtype
    assert back.directed == graph.directed
    assert back.axes == TYX


def test_the_document_is_kept_where_it_holds(tmp_path: Path) -> None:
    props = {
        "x": {"identifier": "x", "dtype": "float64", "varlength": False, "description": "where"},
        "gone": {"identifier": "gone", "dtype": "int8", "varlength": False},
    }
    meta = document(node_props_metadata=props, display_hints={"time": "t"}, extra={"lab": 1})
    source, (graph,) = read(GEFF, made(tmp_path / "a.geff", meta))
    write(GEFF, tmp_path / "b.geff", graph, headers=source.headers, axes=source.axes)
    back = json.loads((tmp_path / "b.geff" / ".zattrs").read_text())["geff"]
    assert back["extra"] == {"lab": 1}
    assert back["display_hints"] == {"time": "t"}
    assert back["node_props_metadata"]["x"]["description"] == "where"
    assert "gone" not in back["node_props_metadata"]
    assert back["axes"][0] == {"name": "t", "type": "time", "unit": "second", "min": 0.0, "max": 2.0}


def test_objects_become_a_property(tmp_path: Path) -> None:
    one = Graph(np.zeros((2, 3)), [[0, 1]], object_ids=[4, 4], attributes={"l": ["a", "b"]}, axes="zyx")
    two = Graph(np.ones((2, 3)), [[1, 0]], object_ids=[6, 6], attributes={"l": ["c", "a"]}, axes="zyx")
    assert write(GEFF, tmp_path / "a.geff", one, two) == 4
    back = only(GEFF, tmp_path / "a.geff")
    assert back.edges.tolist() == [[0, 1], [3, 2]]
    assert back.object_ids.tolist() == [4, 4, 6, 6]
    assert np.asarray(back.attributes["l"]).tolist() == ["a", "b", "c", "a"]
    assert list(back.attributes) == ["l"]


def test_no_nodes(tmp_path: Path) -> None:
    empty = Graph(np.zeros((0, 3)), attributes={"w": np.zeros(0), "l": categorical([])}, axes=TYX)
    assert write(GEFF, tmp_path / "a.geff", empty) == 0
    assert only(GEFF, tmp_path / "a.geff") == empty


def graph(**fields: Any) -> Graph:
    return Graph(np.zeros((2, 3)), [[0, 1]], axes=TYX, **fields)


@pytest.mark.parametrize(
    ("value", "fact"),
    [
        (graph(object_attributes={"w": [1]}), "objects"),
        (graph(groups={0: [0]}), "objects"),
        (graph(attributes={"x": [1, 2]}), "name of an axis"),
        (graph(attributes={"a/b": [1, 2]}), "a/b"),
        (graph(attributes={"h": np.zeros(2, np.float16)}), "'h'"),
        (graph(attributes={"when": np.zeros(2, "M8[s]")}), "'when'"),
        (graph(attributes={"t3": np.zeros((2, 2, 2))}), "'t3'"),
        (graph(attributes={"text": Categorical(np.zeros(2, np.int8), ("a\0",))}), "ends with a zero"),
        (graph(attributes={"m": np.ma.MaskedArray(np.ones((2, 2)), mask=[[True, False]] * 2).astype(int)}), "channels"),
        (graph(attributes={"node_id": [1, 1]}), "distinct"),
        (graph(attributes={"object_id": [1, 1]}, object_ids=[3, 3]), "object_id"),
    ],
)
def test_what_geff_cannot_hold(value: Graph, fact: str, tmp_path: Path) -> None:
    with pytest.raises(ExportError, match=fact):
        export(Level(value).level(), tmp_path / "a.geff")
    assert list(tmp_path.iterdir()) == []


def test_batches_of_other_columns_are_refused(tmp_path: Path) -> None:
    with pytest.raises(ExportError, match="same columns"):
        write(GEFF, tmp_path / "a.geff", graph(object_ids=[1, 1]), graph(object_ids=[2, 2], attributes={"w": [1, 2]}))


@pytest.mark.parametrize(
    ("meta", "more", "fact"),
    [
        ({"other": 1}, {}, "no GEFF"),
        ({"geff": 5}, {}, "no GEFF"),
        (document(axes=None), {}, "--positions"),
        (document(axes=[1]), {}, "axes must be a list"),
        (document(axes=[{"name": "q"}]), {}, "'q'"),
        (None, {"nodes__ids": [7, 7, 9]}, "distinct"),
        (None, {"nodes__ids": [0.5, 1, 2]}, "integers"),
        (None, {"nodes__ids": np.array([2**63, 1, 2], np.uint64)}, "int64"),
        (None, {"nodes__ids": [[1, 2], [3, 4]]}, "shape"),
        (None, {"edges__ids": [[7, 5], [5, 8]]}, "edge 1 from 5 to 8"),
        (None, {"edges__ids": [7, 5]}, "shape"),
        (None, {"nodes__props__x__values": [1.0, 2]}, "3 rows"),
        (None, {"nodes__props__x__values": [1.0, np.nan, 2]}, "finite"),
        (None, {"nodes__props__x__values": ["a", "b", "c"]}, "number"),
        (None, {"nodes__props__x__missing": [True, False, False]}, "missing"),
        (None, {"nodes__props__w__values": [1.0, 2]}, "3 rows"),
        (None, {"nodes__props__w__values": np.zeros((3, 1, 1))}, "3 rows"),
        (None, {"nodes__props__w__values": [1, 2, 3], "nodes__props__w__missing": [True]}, "3 rows"),
        (None, {"nodes__props__w__values": [1, 2, 3], "nodes__props__w__data": [1]}, "length"),
        (None, {"nodes__props__w__values": np.zeros(3, "M8[s]")}, "type"),
        (None, {"nodes__props__object_id__values": [1, 1, 2]}, "two objects"),
        (None, {"edges__props__w__values": [1.0, 2, 3]}, "2 rows"),
    ],
)
def test_bad_geffs(meta: Any, more: dict[str, Any], fact: str, tmp_path: Path) -> None:
    path = made(tmp_path / "bad.geff", meta, **more)
    with pytest.raises(IngestError, match=fact) as caught:
        read(GEFF, path)
    assert "bad.geff" in str(caught.value)


def test_damaged_folders(tmp_path: Path) -> None:
    good = made(tmp_path / "good.geff", nodes__props__w__values=[1, 2, 3])
    files = [file.relative_to(good) for file in good.rglob("*") if file.is_file()]
    assert len(files) > 20
    for number, file in enumerate(files):
        for content in (b"", b"\xff\0garbage{", (good / file).read_bytes()[:-2], None):
            bad = tmp_path / f"bad{number}.geff"
            shutil.copytree(good, bad)
            if content is None:
                (bad / file).unlink()
            else:
                (bad / file).write_bytes(content)
            try:
                read(GEFF, bad)
            except IngestError as error:
                assert bad.name in str(error)  # noqa: PT017
            shutil.rmtree(bad)


@pytest.mark.parametrize("name", ["nodes/ids", "edges/ids"])
def test_a_lying_shape(name: str, tmp_path: Path) -> None:
    path = made(tmp_path / "bad.geff")
    document_path = path / name / ".zarray"
    said = json.loads(document_path.read_text())
    said["shape"][0] = 10**13
    document_path.write_text(json.dumps(said))
    with pytest.raises(IngestError, match=r"bad\.geff"):
        read(GEFF, path)


def test_names_that_promise_too_much(tmp_path: Path) -> None:
    (tmp_path / "a.geff").mkdir()
    with pytest.raises(IngestError, match="not what its name says"):
        ingest(tmp_path / "a.geff", tmp_path / "store")


@pytest.mark.skipif(not LINEAGE.exists(), reason="no lineage: run scripts/fetch_real_data.py")
def test_a_real_lineage(tmp_path: Path) -> None:
    assert format_at(LINEAGE) is GEFF
    source, (value,) = read(GEFF, LINEAGE)
    group = zarr.open_group(LINEAGE, mode="r")
    assert (value.node_count, value.edge_count) == (37009, 36916)
    assert [axis.name for axis in source.axes or ()] == ["t", "z", "y", "x"]
    for column, name in enumerate("tzyx"):
        assert value.positions[:, column].tolist() == np.asarray(group[f"nodes/props/{name}/values"]).tolist()
    np.testing.assert_array_equal(value.attributes["node_id"][value.edges], np.asarray(group["edges/ids"]))
    write(GEFF, tmp_path / "b.geff", value, headers=source.headers, axes=source.axes)
    again_source, (again,) = read(GEFF, tmp_path / "b.geff")
    assert again == value
    mine, theirs = again_source.headers["geff"], source.headers["geff"]
    assert [{**a, "min": 0, "max": 0} for a in mine["axes"]] == [{**a, "min": 0, "max": 0} for a in theirs["axes"]]
    assert mine["node_props_metadata"] == theirs["node_props_metadata"]


@pytest.mark.parametrize("zarr_format", [2, 3])
@pytest.mark.filterwarnings("ignore")
def test_geff_agrees(zarr_format: int, tmp_path: Path) -> None:
    geff = pytest.importorskip("geff", reason="pip install geff, in an environment of its own")
    networkx = pytest.importorskip("networkx")
    theirs = networkx.DiGraph()
    for number in range(6):
        place = {"t": float(number), "y": number / 3, "x": -number / 7}
        theirs.add_node(10 + 3 * number, **place, label=f"cell {number}", score=number, ok=bool(number % 2))
        if number % 2:
            theirs.nodes[10 + 3 * number]["extra"] = number / 2
    theirs.add_edge(10, 13, w=1.5)
    theirs.add_edge(13, 19, w=2.5)
    units = ["second", "micrometer", "micrometer"]
    geff.write(
        theirs,
        tmp_path / "a.geff",
        axis_names=["t", "y", "x"],
        axis_units=units,
        axis_types=["time", "space", "space"],
        zarr_format=zarr_format,
    )
    source, (value,) = read(GEFF, tmp_path / "a.geff")
    assert source.axes == TYX
    ids = value.attributes["node_id"]
    assert {(int(ids[a]), int(ids[b])) for a, b in value.edges} == {*theirs.edges}
    for row, node in enumerate(ids.tolist()):
        known = theirs.nodes[node]
        assert value.positions[row].tolist() == [known["t"], known["y"], known["x"]]
        assert value.attributes["label"][row] == known["label"]
        assert value.attributes["score"][row] == known["score"]
        assert np.isnan(value.attributes["extra"][row]) == ("extra" not in known)
    write(GEFF, tmp_path / "b.geff", value, headers=source.headers)
    back, meta = geff.read(tmp_path / "b.geff")
    assert [axis.name for axis in meta.axes] == ["t", "y", "x"]
    assert {*back.edges} == {*theirs.edges}
    assert {node: data["label"] for node, data in back.nodes(data=True)} == {
        node: data["label"] for node, data in theirs.nodes(data=True)
    }
    fresh = Graph(np.zeros((2, 3)), [[0, 1]], attributes={"l": ["a", None]}, axes=TYX)
    write(GEFF, tmp_path / "c.geff", fresh)
    back, meta = geff.read(tmp_path / "c.geff")
    assert {*back.edges} == {(0, 1)}
    assert "l" not in back.nodes[1]
