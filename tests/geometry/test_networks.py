"""Graphs and skeletons as networks of networkx and sparse matrices of scipy, and back."""

from __future__ import annotations

import sys
from typing import Any

import networkx as nx
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy import sparse

from tests.geometry.columns import columns
from tests.query.connected import values
from zarr_vectors.exceptions import AttributeNotFoundError, InputError, MissingDependencyError
from zarr_vectors.geometry import Graph, Skeleton


@given(st.data())
def test_graphs_come_back_from_networkx(data: st.DataObject) -> None:
    draw: Any = data.draw
    value: Graph = draw(values("graph"))
    rows = columns(draw, value.node_count, times=False)
    edges = columns(draw, value.edge_count, "e", times=False)
    value = Graph(
        value.positions, value.edges, attributes=rows, edge_attributes=edges, directed=value.directed,
        object_ids=value.object_ids, axes=["x", "y", "z", "t"][: value.ndim],
    )  # fmt: skip
    network = value.to_networkx(multigraph=True)
    assert network.is_directed() == value.directed
    assert list(network.nodes) == list(range(value.node_count))
    assert network.number_of_edges() == value.edge_count
    back = Graph.from_networkx(network)
    assert back.directed == value.directed
    np.testing.assert_array_equal(back.positions.astype("f8").reshape(-1, value.ndim), value.positions.astype("f8"))
    if value.node_count:
        assert [axis.name for axis in back.axes or ()] == [axis.name for axis in value.axes or ()]
        assert (back.object_ids is None) == (value.object_ids is None)
        assert back.object_ids is None or back.object_ids.tolist() == value.object_ids.tolist()  # type: ignore[union-attr]
        for name, column in rows.items():
            assert_alike(back.attributes.get(name), column)
    # networkx has its own order of edges.
    mine, theirs = edge_rows(value), edge_rows(back)
    assert mine == theirs


def assert_alike(got: Any, given: Any) -> None:
    wanted = np.ma.asarray(given).tolist()
    if got is None:
        assert all(one is None for one in wanted)
        return
    found = np.ma.asarray(got).tolist()
    assert repr([plain(one) for one in found]) == repr([plain(one) for one in wanted])


def plain(value: Any) -> Any:
    """NaN, None and lists of None alike: networkx has no place for a missing value."""
    if isinstance(value, list):
        return [plain(one) for one in value]
    if value is None or (isinstance(value, float) and value != value):
        return "missing"
    return float(value) if isinstance(value, (int, float)) else value


def edge_rows(graph: Graph) -> list[str]:
    ends = graph.edges if graph.directed else np.sort(graph.edges, axis=1)
    names = sorted(graph.edge_attributes)
    lists = [np.ma.asarray(graph.edge_attributes[name]).tolist() for name in names]
    rows = zip(ends.tolist(), *lists, strict=True)
    found = [(end, {name: plain(one) for name, one in zip(names, row, strict=True)}) for end, *row in rows]
    return sorted(repr((end, {key: one for key, one in row.items() if one != "missing"})) for end, row in found)


@given(st.data())
def test_skeletons_are_trees_of_networkx(data: st.DataObject) -> None:
    value: Skeleton = data.draw(values("skeleton"))
    network = value.to_networkx()
    assert value.node_count == 0 or nx.is_branching(network)
    assert sorted(node for node, degree in network.in_degree() if not degree) == value.roots.tolist()
    back = Skeleton.from_networkx(network)
    assert back.parents.tolist() == value.parents.tolist()
    if "link" in value.edge_attributes:
        numbers = np.asarray(value.edge_attributes["link"]).tolist()
        assert value.edge_count == 0 or np.asarray(back.edge_attributes["link"]).tolist() == numbers


matrix_of: Any = nx.to_scipy_sparse_array


def graph_of(edges: Any, count: int = 4, **options: Any) -> Graph:
    return Graph(np.arange(2.0 * count).reshape(count, 2), edges, **options)


@given(st.data())
def test_matrices_are_those_of_networkx(data: st.DataObject) -> None:
    kind = data.draw(st.sampled_from(["graph", "skeleton"]))
    value: Any = data.draw(values(kind, named=True))
    network = value.to_networkx(multigraph=True)
    if not value.node_count:
        assert value.to_scipy_sparse().shape == (0, 0)
        return
    expected = matrix_of(network, nodelist=range(value.node_count), weight=None, dtype=np.int64)
    assert (value.to_scipy_sparse() != expected).nnz == 0
    weighted = matrix_of(network, nodelist=range(value.node_count), weight="f", dtype=np.float64)
    np.testing.assert_allclose(value.to_scipy_sparse("f").toarray(), weighted.toarray())


@given(st.data())
def test_graphs_come_back_from_matrices(data: st.DataObject) -> None:
    count, directed = data.draw(st.integers(1, 6)), data.draw(st.booleans())
    pairs = st.tuples(st.integers(0, count - 1), st.integers(0, count - 1))
    edges = data.draw(st.lists(pairs, unique_by=lambda pair: pair if directed else tuple(sorted(pair)), max_size=9))
    dtype = data.draw(st.sampled_from(["f2", "f4", "f8", "i4", "u1", "?"]))
    weights = np.arange(1, len(edges) + 1).astype(dtype)
    given_edges = np.array(edges, dtype=np.int64).reshape(-1, 2)
    graph = graph_of(given_edges, count, edge_attributes={"weight": weights}, directed=directed)
    back = Graph.from_scipy_sparse(graph.to_scipy_sparse("weight"), graph.positions, directed=directed)
    pairs_of = {
        tuple(pair if directed else sorted(pair)): one for pair, one in zip(edges, weights.tolist(), strict=True)
    }
    found = zip(back.edges.tolist(), np.asarray(back.edge_attributes["weight"]).tolist(), strict=True)
    assert {tuple(pair): one for pair, one in found} == pairs_of


def test_networks_that_others_have_made() -> None:
    path: Any = nx.Graph()
    path.add_node("b", y=1.0, x=2.0, kind="soma")
    path.add_node("a", y=3.0, x=4.0, size=3)
    path.add_edge("a", "b")
    graph = Graph.from_networkx(path)
    assert graph.positions.tolist() == [[1.0, 2.0], [3.0, 4.0]]
    assert [axis.name for axis in graph.axes or ()] == ["y", "x"]
    assert np.asarray(graph.attributes["node_id"]).tolist() == ["b", "a"]
    assert np.asarray(graph.attributes["kind"]).tolist() == ["soma", None]
    assert np.ma.asarray(graph.attributes["size"]).tolist() == [None, 3]
    assert graph.edges.tolist() == [[0, 1]]
    numbered = nx.relabel_nodes(path, {"a": 7, "b": 3})
    assert np.asarray(Graph.from_networkx(numbered, ["x", "y"]).attributes["node_id"]).tolist() == [3, 7]
    assert Graph.from_networkx(nx.Graph()).node_count == 0
    assert Graph.from_networkx(nx.Graph(), ["x", "y"]).ndim == 2


def test_what_makes_no_network_or_graph() -> None:
    double = graph_of([[0, 1], [1, 0]], directed=False)
    with pytest.raises(InputError, match=r"connect the same nodes.*multigraph=True"):
        double.to_networkx()
    assert graph_of([[0, 1], [1, 0]], directed=True).to_networkx().number_of_edges() == 2
    assert double.to_scipy_sparse()[0, 1] == 2
    tree = nx.DiGraph([(0, 2), (1, 2)])
    nx.set_node_attributes(tree, {n: (0.0, n) for n in tree}, "pos")
    with pytest.raises(InputError, match="one parent"):
        Skeleton.from_networkx(tree)
    with pytest.raises(InputError, match=r"must be directed.*bfs_tree"):
        Skeleton.from_networkx(tree.to_undirected())
    with pytest.raises(InputError, match="no columns x"):
        Graph.from_networkx(nx.path_graph(2))
    lost: Any = nx.Graph()
    lost.add_node(0, x=1.0)
    lost.add_node(1)
    with pytest.raises(InputError, match=r"no coordinates.*node 1"):
        Graph.from_networkx(lost)
    with pytest.raises(InputError, match="integers or by text"):
        Graph.from_networkx(nx.relabel_nodes(tree, {0: (0, 1)}))
    with pytest.raises(InputError, match="no graph of networkx"):
        Graph.from_networkx([[0, 1]])
    with pytest.raises(InputError, match=r"symmetric.*directed=True"):
        Graph.from_scipy_sparse(sparse.csr_array([[0, 1], [2, 0]]), np.zeros((2, 2)))
    with pytest.raises(InputError, match="square"):
        Graph.from_scipy_sparse(sparse.csr_array([[0, 1]]), np.zeros((2, 2)))
    graph = graph_of([[0, 1]], edge_attributes={"t": ["a"], "rgb": [[1, 2]]})
    with pytest.raises(AttributeNotFoundError, match="no attribute 'w'"):
        graph.to_scipy_sparse("w")
    for name in ("t", "rgb"):
        with pytest.raises(InputError, match="one number for each edge"):
            graph.to_scipy_sparse(name)


@pytest.mark.parametrize(("module", "call"), [("networkx", "to_networkx"), ("scipy.sparse", "to_scipy_sparse")])
def test_what_is_not_installed_is_told(module: str, call: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, module, None)
    name = module.partition(".")[0]
    with pytest.raises(MissingDependencyError, match=rf"needs {name}.*zarr-vectors\[{name}\]"):
        getattr(graph_of([[0, 1]]), call)()
