"""Coarser graphs, against a plain loop over nodes and edges."""

from __future__ import annotations

from collections import defaultdict
from dataclasses import replace
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from zarr_vectors.geometry import Categorical, Graph
from zarr_vectors.pyramid.coarse import Coarse, Policy, bin_numbers
from zarr_vectors.pyramid.distances import distance_to_segments
from zarr_vectors.pyramid.graph import coarsen_graph
from zarr_vectors.pyramid.reach import farthest_from_links, incidence
from zarr_vectors.typing import AnyArray, FloatArray, IntArray


@st.composite
def graphs(draw: st.DrawFn) -> tuple[Graph, Policy, IntArray | None, IntArray | None]:
    rows = draw(st.integers(0, 14))
    random = np.random.default_rng(draw(st.integers(0, 2**32)))
    dtype = draw(st.sampled_from(["f4", "f8", "i2", "u1"]))
    positions = random.uniform(0, 12, (rows, 2)).astype(dtype)
    links = draw(st.integers(0, 25)) if rows else 0
    ids = random.integers(3, 6, rows) if draw(st.booleans()) else None
    graph = Graph(
        positions,
        random.integers(0, max(rows, 1), (links, 2)),
        edge_attributes={"length": random.normal(size=links), "kind": random.integers(0, 3, links)},
        attributes={
            "size": random.normal(size=rows).astype("f4"),
            "name": Categorical(random.integers(-1, 2, rows), ("a", "b")),
        },
        object_ids=ids,
        directed=draw(st.booleans()),
    )
    policy = Policy(
        bins=np.array([draw(st.sampled_from([1.0, 3.0, 50.0])), 2.5]), aggregations={"size": "max", "length": "sum"}
    )
    weighted = draw(st.booleans())
    weights = random.integers(1, 5, rows) if weighted else None
    return graph, policy, weights, random.integers(1, 5, links) if weighted else None


def owners(graph: Graph) -> IntArray:
    return np.zeros(graph.node_count, np.int64) if graph.object_ids is None else graph.object_ids


def true_error(fine: Graph, coarse: Graph) -> float:
    """The largest distance of a node to the coarse nodes and edges of its object."""
    own, nodes = owners(coarse), coarse.positions.astype(np.float64)
    worst = 0.0
    for place, owner in zip(fine.positions.astype(np.float64), owners(fine), strict=True):
        near = [float(np.linalg.norm(nodes[own == owner] - place, axis=1).min())]
        edges = coarse.edges[(own[coarse.edges] == owner).all(axis=1)]
        if len(edges):
            near.append(float(distance_to_segments(np.tile(place, (len(edges), 1)), *nodes[edges.T]).min()))
        worst = max(worst, min(near))
    return worst


@given(graphs())
def test_against_a_loop(case: tuple[Graph, Policy, IntArray | None, IntArray | None]) -> None:
    graph, policy, weights, link_weights = case
    coarse = coarsen_graph(graph, policy, weights, link_weights)
    amounts = np.ones(graph.node_count, np.int64) if weights is None else weights
    shares = np.ones(graph.edge_count, np.int64) if link_weights is None else link_weights
    numbers, own = bin_numbers(graph.positions, policy.bins), owners(graph)
    members: dict[Any, list[int]] = defaultdict(list)
    for row in range(graph.node_count):
        members[(own[row], *numbers[row])].append(row)
    value = coarse.value
    assert isinstance(value, Graph)
    assert value.positions.dtype == graph.positions.dtype
    assert value.directed == graph.directed
    assert value.node_count == len(members)
    for row, (key, rows) in enumerate(sorted(members.items())):
        assert np.array_equal(coarse.parents[rows], [row] * len(rows))
        assert tuple(bin_numbers(value.positions[[row]], policy.bins)[0]) == key[1:]
        mean = np.average(graph.positions[rows].astype(float), axis=0, weights=amounts[rows])
        np.testing.assert_allclose(value.positions[row], mean, atol=1e-5 if graph.positions.dtype.kind == "f" else 0.5)
        assert coarse.counts is not None
        assert coarse.counts[row] == amounts[rows].sum()
        assert np.asarray(value.attributes["size"])[row] == np.asarray(graph.attributes["size"])[rows].max()
    edges: dict[tuple[int, int], list[int]] = defaultdict(list)
    for at, (start, end) in enumerate(coarse.parents[graph.edges].tolist()):
        if start != end:
            edges[(start, end) if graph.directed else (min(start, end), max(start, end))].append(at)
    assert [tuple(edge) for edge in value.edges.tolist()] == sorted(edges)
    assert coarse.link_counts is not None
    for at, (_, rows) in enumerate(sorted(edges.items())):
        assert coarse.link_counts[at] == shares[rows].sum()
        lengths = np.asarray(graph.edge_attributes["length"])[rows]
        np.testing.assert_allclose(np.asarray(value.edge_attributes["length"])[at], lengths.sum())
    true = true_error(graph, value)
    assert true <= coarse.error * (1 + 1e-12) <= 1.5 * (policy.bins**2).sum() ** 0.5


@given(graphs())
def test_rows_may_come_in_any_order(case: tuple[Graph, Policy, IntArray | None, IntArray | None]) -> None:
    graph, policy, weights, link_weights = case
    policy = replace(policy, aggregations={"size": "first", "name": "mode", "length": "mean", "kind": "first"})
    random = np.random.default_rng(graph.node_count)
    places, order = random.permutation(graph.node_count), random.permutation(graph.edge_count)
    new = np.argsort(places)
    turn = random.random(graph.edge_count) < (0 if graph.directed else 0.5)
    edges = new[np.where(turn[:, None], graph.edges[:, ::-1], graph.edges)][order]
    other = Graph(
        graph.positions[places],
        edges,
        edge_attributes={name: column[order] for name, column in graph.edge_attributes.items()},
        attributes={name: column[places] for name, column in graph.attributes.items()},
        object_ids=None if graph.object_ids is None else graph.object_ids[places],
        directed=graph.directed,
    )
    # Of several at one place there is no first; what is left must not depend on the order.
    distinct = len(np.unique(graph.positions, axis=0)) == graph.node_count
    one = coarsen_graph(graph, policy, weights, link_weights)
    two = coarsen_graph(
        other,
        policy,
        None if weights is None else weights[places],
        None if link_weights is None else link_weights[order],
    )
    assert np.array_equal(two.parents, one.parents[places])
    assert one.counts is not None
    assert two.counts is not None
    assert one.link_counts is not None
    assert two.link_counts is not None
    assert np.array_equal(one.counts, two.counts)
    assert np.array_equal(one.link_counts, two.link_counts)
    assert isinstance(one.value, Graph)
    assert isinstance(two.value, Graph)
    assert np.array_equal(one.value.edges, two.value.edges)
    np.testing.assert_allclose(one.value.positions, two.value.positions, rtol=1e-6)
    if distinct:
        assert np.array_equal(one.value.attributes["size"], two.value.attributes["size"])
    np.testing.assert_allclose(one.value.edge_attributes["length"], two.value.edge_attributes["length"])
    assert one.error == pytest.approx(two.error)


@given(graphs())
def test_each_object_alone_gives_the_same(case: tuple[Graph, Policy, IntArray | None, IntArray | None]) -> None:
    graph, policy, _, _ = case
    own = owners(graph)
    inner = own[graph.edges[:, 0]] == own[graph.edges[:, 1]]
    graph = replace(
        graph,
        object_ids=own,
        edges=graph.edges[inner],
        edge_attributes={name: column[inner] for name, column in graph.edge_attributes.items()},
    )
    whole = coarsen_graph(graph, policy)
    parts = [coarsen_graph(graph.within(own == owner), policy) for owner in np.unique(own)]
    assert whole.error == max((part.error for part in parts), default=0.0)
    assert joined(parts, "positions", whole.value.positions).tolist() == whole.value.positions.tolist()
    edges = [links_of(part) for part in parts]
    shifts = np.cumsum([0, *(part.value.vertex_count for part in parts)])
    together = [edge + shift for edge, shift in zip(edges, shifts, strict=False)]
    assert np.concatenate([links_of(whole)[:0], *together]).tolist() == links_of(whole).tolist()


def joined(parts: list[Coarse], name: str, like: AnyArray) -> AnyArray:
    return np.concatenate([like[:0], *(getattr(part.value, name) for part in parts)])


def links_of(coarse: Coarse) -> IntArray:
    assert isinstance(coarse.value, Graph)
    return coarse.value.edges


def test_the_error_of_a_chain_is_measured_from_its_edges() -> None:
    places = np.stack([np.arange(200.0), np.sin(np.arange(200.0) / 9)], axis=1)
    chain = Graph(places, np.stack([np.arange(199), np.arange(1, 200)], axis=1))
    coarse = coarsen_graph(chain, Policy(bins=np.array([10.0, 10.0])))
    assert isinstance(coarse.value, Graph)
    true = true_error(chain, coarse.value)
    assert true <= coarse.error <= 3 * true


def test_edges_between_objects_stay_and_promise_nothing() -> None:
    graph = Graph([[0.0], [0.9], [1.0], [4.0]], [[0, 2], [1, 3], [0, 1]], object_ids=[7, 7, 8, 8])
    coarse = coarsen_graph(graph, Policy(bins=np.array([5.0])))
    assert isinstance(coarse.value, Graph)
    assert coarse.value.edges.tolist() == [[0, 1]]
    assert coarse.value.object_ids is not None
    assert coarse.value.object_ids.tolist() == [7, 8]
    assert coarse.link_counts is not None
    assert coarse.link_counts.tolist() == [2]
    assert coarse.error == 1.5


def test_tables_and_row_ids_are_left_to_the_store() -> None:
    graph = Graph(
        [[0.0], [1.0]], object_ids=[4, 5], object_attributes={"mass": [1.0, 2.0]}, groups={0: [4, 5]}, row_ids=[0, 1]
    )
    value = coarsen_graph(graph, Policy(bins=np.array([5.0]))).value
    assert (value.objects, value.object_attributes, value.groups, value.row_ids) == (None, {}, {}, None)


@given(st.integers(0, 2**32))
def test_the_farthest_against_all_pairs(seed: int) -> None:
    random = np.random.default_rng(seed)
    vertices, points = int(random.integers(1, 6)), int(random.integers(0, 40))
    links = random.integers(0, vertices, (int(random.integers(0, 9)), 3))
    table = random.random((points, len(links)))
    bounds, own = random.random(points), random.integers(0, vertices, points)

    def distance(rows: IntArray, which: IntArray) -> FloatArray:
        found: FloatArray = table[rows, which]
        return found

    wanted = [min(bounds[row], *table[row, (links == own[row]).any(axis=1)], np.inf) for row in range(points)]
    assert farthest_from_links(bounds, own, [incidence(links, vertices)], distance) == max(wanted, default=0.0)
