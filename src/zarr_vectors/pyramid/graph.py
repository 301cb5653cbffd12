"""Coarser graphs: the nodes of a bin become one, and the edges between bins stay."""

from __future__ import annotations

from dataclasses import replace

import numpy as np

from zarr_vectors.geometry import Column, Graph, take_column
from zarr_vectors.pyramid.aggregate import aggregate_all
from zarr_vectors.pyramid.coarse import Coarse, Policy, clusters_of
from zarr_vectors.pyramid.distances import distance_to_segments
from zarr_vectors.pyramid.linked import NO_TABLES, owner_groups, vertex_clusters
from zarr_vectors.pyramid.placement import cluster_means
from zarr_vectors.pyramid.reach import farthest_from_links, incidence
from zarr_vectors.typing import AnyArray, FloatArray, IntArray

__all__ = ["coarsen_graph"]


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
    clusters, numbers = vertex_clusters(value.positions, owner_groups(value, policy), policy.bins)
    first = clusters.order[clusters.starts]
    positions = cluster_means(value.positions, clusters, weights, policy.bins, numbers[first])
    ids = value.object_ids
    edges, attributes, counts = _contracted(value, clusters.labels, policy, link_weights)
    coarse = replace(
        value,
        positions=positions,
        edges=edges,
        attributes=aggregate_all(value.attributes, clusters, policy.aggregations, weights, value.positions),
        edge_attributes=attributes,
        object_ids=None if ids is None else ids[first],
        **NO_TABLES,
    )
    return Coarse(
        value=coarse,
        parents=clusters.labels,
        counts=clusters.totals(weights),
        link_counts=counts,
        error=_error(value.positions, clusters.labels, coarse),
    )


def _contracted(
    value: Graph, labels: IntArray, policy: Policy, weights: IntArray | None
) -> tuple[IntArray, dict[str, Column], IntArray]:
    """The edges between clusters, their attributes, and how many edges each stands for."""
    given = labels[value.edges]
    rows = np.flatnonzero(given[:, 0] != given[:, 1])
    ends, fine = given[rows], value.edges[rows]
    if not value.directed:
        turned = ends[:, 0] > ends[:, 1]
        ends = np.where(turned[:, None], ends[:, ::-1], ends)
        fine = np.where(turned[:, None], fine[:, ::-1], fine)
    same = clusters_of(ends)
    amounts = None if weights is None else weights[rows]
    columns = {name: take_column(column, rows) for name, column in value.edge_attributes.items()}
    # Which edge is first is told by where its ends lie, never by its row.
    places = np.concatenate([value.positions[fine[:, 0]], value.positions[fine[:, 1]]], axis=1)
    attributes = aggregate_all(columns, same, policy.aggregations, amounts, places)
    return ends[same.order[same.starts]], attributes, same.totals(amounts)


def _error(fine: AnyArray, labels: IntArray, coarse: Graph) -> float:
    """A distance that no node exceeds from the node that stands for it, or the edges of its object there."""
    nodes, edges, ids = coarse.positions.astype(np.float64), coarse.edges, coarse.object_ids
    if ids is not None:
        edges = edges[ids[edges[:, 0]] == ids[edges[:, 1]]]
    points = fine.astype(np.float64)

    def distance(rows: IntArray, links: IntArray) -> FloatArray:
        return distance_to_segments(points[rows], nodes[edges[links, 0]], nodes[edges[links, 1]])

    bounds = distance_to_segments(points, nodes[labels], nodes[labels])
    return farthest_from_links(bounds, labels, [incidence(edges, len(nodes))], distance)
