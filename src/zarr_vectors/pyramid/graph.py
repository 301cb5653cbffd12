"""Coarser graphs: the nodes of a bin become one, and the edges between bins stay."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from typing import NamedTuple

import numpy as np

from zarr_vectors.geometry import Column, Graph, take_column
from zarr_vectors.pyramid.aggregate import aggregate_all
from zarr_vectors.pyramid.coarse import Coarse, Policy, clusters_of
from zarr_vectors.pyramid.distances import distance_to_segments
from zarr_vectors.pyramid.linked import NO_TABLES, owner_groups, vertex_clusters
from zarr_vectors.pyramid.placement import cluster_means
from zarr_vectors.pyramid.reach import farthest_from_links, incidence
from zarr_vectors.typing import AnyArray, FloatArray, IntArray

__all__ = ["MergedEdges", "coarsen_graph", "contract_nodes", "graph_error", "merge_edges"]


def coarsen_graph(
    value: Graph, policy: Policy, weights: IntArray | None = None, link_weights: IntArray | None = None
) -> Coarse:
    """Contract the nodes of each object in each bin to one, at their mean.

    An edge stays where its ends are in two bins or of two objects; those that then connect the same nodes become one.
    In a directed graph the way back is another edge.

    Args:
        value: A graph; without object ids it is one object.
        policy: Its ``bins`` and ``aggregations``.
        weights: ``(N,)`` nodes of level 0 that each node stands for; 1 where None.
        link_weights: ``(E,)`` edges of level 0 that each edge stands for; 1 where None.

    Returns:
        Nodes in order of their object, then of their bin. Undirected edges have the lesser row first.

    Example:
        >>> path = Graph([[0.0], [1.0], [2.5], [3.5]], [[0, 1], [1, 2], [3, 2], [2, 1]])
        >>> coarse = coarsen_graph(path, Policy(bins=np.array([2.0])))
        >>> coarse.value.positions.tolist(), coarse.value.edges.tolist()
        ([[0.5], [3.0]], [[0, 1]])
        >>> coarse.parents.tolist(), coarse.counts.tolist(), coarse.link_counts.tolist(), coarse.error
        ([0, 0, 1, 1], [2, 2], [2], 0.5)
    """
    nodes = contract_nodes(value, policy, weights)
    merged = merge_edges(
        nodes.parents[value.edges],
        value.positions[value.edges],
        value.edge_attributes,
        policy,
        link_weights,
        directed=value.directed,
    )
    assert isinstance(nodes.value, Graph)
    coarse = replace(nodes.value, edges=merged.ends, edge_attributes=merged.columns)
    error = graph_error(value.positions, nodes.parents, coarse.positions, coarse.edges, coarse.object_ids)
    return replace(nodes, value=coarse, link_counts=merged.counts, error=error)


def contract_nodes(value: Graph, policy: Policy, weights: IntArray | None = None) -> Coarse:
    """The nodes of a coarser graph, without edges and without a measure of how far they are; as ``coarsen_graph``."""
    clusters, numbers = vertex_clusters(value.positions, owner_groups(value, policy), policy.bins)
    first = clusters.order[clusters.starts]
    ids = value.object_ids
    coarse = replace(
        value,
        positions=cluster_means(value.positions, clusters, weights, policy.bins, numbers[first]),
        edges=value.edges[:0],
        attributes=aggregate_all(value.attributes, clusters, policy.aggregations, weights, value.positions),
        edge_attributes={name: take_column(column, slice(0, 0)) for name, column in value.edge_attributes.items()},
        object_ids=None if ids is None else ids[first],
        **NO_TABLES,
    )
    return Coarse(value=coarse, parents=clusters.labels, counts=clusters.totals(weights))


class MergedEdges(NamedTuple):
    """Edges that have become one.

    Args:
        ends: ``(E, 2)`` coarse ends of each.
        columns: Attributes of each.
        counts: ``(E,)`` how many edges of level 0 each stands for.
    """

    ends: IntArray
    columns: dict[str, Column]
    counts: IntArray


def merge_edges(
    ends: IntArray,
    places: AnyArray,
    columns: Mapping[str, Column],
    policy: Policy,
    weights: IntArray | None,
    *,
    directed: bool,
) -> MergedEdges:
    """Drop edges with one coarse end, and make one of those with the same ends.

    Args:
        ends: ``(n, 2)`` what the ends of each edge have become.
        places: ``(n, 2, D)`` positions of the finer ends.
        columns: Attributes of the edges.
        policy: Its ``aggregations``.
        weights: ``(n,)`` edges of level 0 that each stands for; 1 where None.
        directed: Whether the way back is another edge; if not, each has its lesser end first.
    """
    rows = np.flatnonzero(ends[:, 0] != ends[:, 1])
    ends, fine = ends[rows], places[rows]
    if not directed:
        turned = ends[:, 0] > ends[:, 1]
        ends = np.where(turned[:, None], ends[:, ::-1], ends)
        fine = np.where(turned[:, None, None], fine[:, ::-1], fine)
    same = clusters_of(ends)
    amounts = None if weights is None else weights[rows]
    taken = {name: take_column(column, rows) for name, column in columns.items()}
    # Which edge is first is told by where its ends lie, never by its row.
    found = aggregate_all(taken, same, policy.aggregations, amounts, np.concatenate([fine[:, 0], fine[:, 1]], axis=1))
    return MergedEdges(ends[same.order[same.starts]], found, same.totals(amounts))


def graph_error(
    fine: AnyArray,
    labels: IntArray,
    positions: AnyArray,
    edges: IntArray,
    ids: IntArray | None = None,
    least: float = 0.0,
) -> float:
    """A distance that no node exceeds from the node that stands for it, or the edges of its object there.

    Args:
        fine: ``(N, D)`` positions of the nodes.
        labels: ``(N,)`` the coarse node that stands for each.
        positions: ``(M, D)`` positions of the coarse nodes.
        edges: ``(E, 2)`` edges between these, with all of those at the nodes that are in ``labels``.
        ids: ``(M,)`` their objects; None for one.
        least: What is less is not measured; it may come out as anything up to this.
    """
    nodes = positions.astype(np.float64)
    if ids is not None:
        edges = edges[ids[edges[:, 0]] == ids[edges[:, 1]]]
    points = fine.astype(np.float64)

    def distance(rows: IntArray, links: IntArray) -> FloatArray:
        return distance_to_segments(points[rows], nodes[edges[links, 0]], nodes[edges[links, 1]])

    bounds = distance_to_segments(points, nodes[labels], nodes[labels])
    return farthest_from_links(bounds, labels, [incidence(edges, len(nodes))], distance, least)
