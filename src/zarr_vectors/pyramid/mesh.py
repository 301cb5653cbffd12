"""Coarser meshes: the vertices of a bin become one, where the planes of their faces meet."""

from __future__ import annotations

from dataclasses import replace
from typing import NamedTuple

import numpy as np

from zarr_vectors.geometry import Column, Mesh, take_column
from zarr_vectors.pyramid.aggregate import aggregate_all
from zarr_vectors.pyramid.coarse import Clusters, Coarse, Policy, clusters_of
from zarr_vectors.pyramid.distances import distance_to_triangles, norms
from zarr_vectors.pyramid.faces import Merged, as_triangles, merge_faces
from zarr_vectors.pyramid.linked import NO_TABLES, owner_groups, vertex_clusters
from zarr_vectors.pyramid.lost import settle, staying
from zarr_vectors.pyramid.placement import mean_shifts, place, shifts_from_first, within_bins
from zarr_vectors.pyramid.quadrics import best_shifts
from zarr_vectors.pyramid.reach import Near, Wider, farthest_from_links, incidence, neighbours
from zarr_vectors.typing import AnyArray, FloatArray, IntArray

__all__ = ["Surface", "coarsen_mesh", "mesh_error", "place_clusters"]

_SMALL = 1e-4
"""The part of a bin that is as good as nothing when an error is measured."""


def coarsen_mesh(
    value: Mesh, policy: Policy, weights: IntArray | None = None, link_weights: IntArray | None = None
) -> Coarse:
    """Make one vertex of those of each object in each bin, and keep the faces between three bins.

    The vertex lies where the squared distances to the planes of the faces around it, and at borders to the border, are
    least (quadrics), if that is in the bin; in the plane it is the mean. Faces with the same corners become one; a
    sheet thinner than a bin becomes one layer. Polygons are cut to triangles first.

    A vertex whose faces are all gone goes too, and the nearest of its object stands for it. It stays where that lies
    beyond the bins beside it, as in tubes thinner than a bin; where one that it stands for had no face before; and
    where the object has no face left: then all vertices of the object stay.

    Args:
        value: A mesh; without object ids it is one object.
        policy: Its ``bins`` and ``aggregations``.
        weights: ``(N,)`` vertices of level 0 that each vertex stands for; 1 where None.
        link_weights: ``(F,)`` faces of level 0 that each face stands for; 1 where None.

    Returns:
        Vertices in order of their object, then of their bin. What a face counts in ``link_counts`` are triangles.

    Example:
        >>> corners = [[0.0, 0, 0], [4, 0, 0], [4, 4, 0], [0, 4, 0], [1.0, 1, 0]]
        >>> square = Mesh(corners, [[0, 1, 4], [1, 2, 4], [2, 3, 4], [3, 0, 4]])
        >>> coarse = coarsen_mesh(square, Policy(bins=np.array([2.0, 2.0, 2.0])))
        >>> coarse.value.positions.round(9).tolist()
        [[0.0, 0.0, 0.0], [0.0, 4.0, 0.0], [4.0, 0.0, 0.0], [4.0, 4.0, 0.0]]
        >>> coarse.value.faces.tolist(), coarse.parents.tolist(), round(coarse.error, 9)
        ([[0, 3, 1], [0, 2, 3]], [0, 2, 3, 1, 0], 0.0)
    """
    faces, polygons = as_triangles(value.faces)
    owners = owner_groups(value, policy)
    clusters, numbers = vertex_clusters(value.positions, owners, policy.bins)
    labels, first = clusters.labels, clusters.order[clusters.starts]
    ids = None if value.object_ids is None else value.object_ids[first]
    surface = Surface(value.positions, faces, labels, value.object_ids)
    places = place_clusters(surface, clusters, weights, policy.bins, numbers[first])
    merged = merge_faces(labels[faces], places)
    stands = _stands(faces, labels, merged.corners, None if owners is None else owners[first], numbers[first])
    kept = np.flatnonzero(stands == np.arange(len(stands)))
    new = np.empty(len(stands), dtype=np.int64)
    new[kept] = np.arange(len(kept))
    parents = new[stands][labels]
    whole = clusters if len(kept) == len(clusters) else clusters_of(parents)
    attributes, counts = _face_columns(value, faces, polygons, merged, policy, link_weights)
    coarse = replace(
        value,
        positions=places[kept],
        faces=new[merged.corners],
        attributes=aggregate_all(value.attributes, whole, policy.aggregations, weights, value.positions),
        face_attributes=attributes,
        object_ids=None if ids is None else ids[kept],
        **NO_TABLES,
    )
    return Coarse(
        value=coarse,
        parents=parents,
        counts=whole.totals(weights),
        link_counts=counts,
        error=mesh_error(value.positions, parents, coarse.positions, coarse.faces, policy.bins, coarse.object_ids),
    )


class Surface(NamedTuple):
    """Vertices that are brought to one for each cluster, and the faces around them.

    Args:
        positions: ``(N, D)``.
        faces: ``(F, 3)`` rows of ``positions``: all that touch a vertex of a cluster.
        labels: ``(N,)`` cluster of each vertex; the number of clusters for those that belong to others.
        objects: ``(N,)`` object of each vertex; None for one.
        own: ``(n,)`` the vertices that belong to clusters; None for all.
    """

    positions: AnyArray
    faces: IntArray
    labels: IntArray
    objects: IntArray | None
    own: IntArray | None = None


def place_clusters(
    surface: Surface, clusters: Clusters, weights: IntArray | None, bins: FloatArray, numbers: IntArray
) -> AnyArray:
    """``(C, D)`` best place of each cluster; in other than three dimensions the mean.

    Args:
        surface: The vertices and faces.
        clusters: The clusters of its own vertices.
        weights: ``(n,)`` vertices of level 0 that each of these stands for; 1 where None.
        bins, numbers: As in ``cluster_means``.
    """
    own = surface.own
    positions = surface.positions if own is None else surface.positions[own]
    shifts = shifts_from_first(positions, clusters)
    means = mean_shifts(shifts, clusters, weights)
    if positions.shape[1] != 3 or not len(surface.faces):
        return place(positions, clusters, means, bins, numbers)
    around, known = shifts, means
    if own is not None:
        around = np.zeros(surface.positions.shape)
        around[own] = shifts
        known = np.concatenate([means, np.zeros((1, 3))])
    best = best_shifts(surface.positions, surface.faces, surface.labels, around, known, surface.objects)
    first = positions[clusters.order[clusters.starts]]
    shifts = within_bins(first, means, best[: len(means)], bins, numbers)
    return place(positions, clusters, shifts, bins, numbers)


def _stands(faces: IntArray, labels: IntArray, corners: IntArray, ids: IntArray | None, numbers: IntArray) -> IntArray:
    """``(C,)`` the cluster that stands for each; itself where it stays."""
    count = len(numbers)
    used = np.zeros(len(labels), dtype=np.bool_)
    used[faces] = True
    bare = np.bincount(labels[~used], minlength=count) > 0
    objects = np.zeros(count, dtype=np.int64)
    if ids is not None:
        objects[1:] = np.cumsum(ids[1:] != ids[:-1])
    stay = staying(corners, bare, objects)
    gone = labels[faces[(~stay)[labels][faces].any(axis=1)]]
    links = np.concatenate([gone[:, [0, 1]], gone[:, [1, 2]], gone[:, [2, 0]]])
    return settle(stay, links, objects, numbers)


def _face_columns(
    value: Mesh,
    faces: IntArray,
    polygons: IntArray | None,
    merged: Merged,
    policy: Policy,
    weights: IntArray | None,
) -> tuple[dict[str, Column], IntArray]:
    """The attributes of faces that have become one, and how many they were."""
    rows = merged.rows if polygons is None else polygons[merged.rows]
    amounts = None if weights is None else weights[rows]
    counts = merged.same.totals(amounts)
    if not value.face_attributes:
        return {}, counts
    columns = {name: take_column(column, rows) for name, column in value.face_attributes.items()}
    # Which face is first is told by where it lies, never by its row.
    places = value.positions[faces[merged.rows]].astype(np.float64).mean(axis=1)
    return aggregate_all(columns, merged.same, policy.aggregations, amounts, places), counts


def mesh_error(
    fine: AnyArray,
    parents: IntArray,
    positions: AnyArray,
    faces: IntArray,
    bins: FloatArray,
    ids: IntArray | None = None,
    least: float = 0.0,
) -> float:
    """A distance that no vertex exceeds from the vertex that stands for it, or the faces of its object there.

    Args:
        fine: ``(N, D)`` positions of the vertices.
        parents: ``(N,)`` the coarse vertex that stands for each.
        positions: ``(M, D)`` positions of the coarse vertices.
        faces: ``(F, 3)`` faces between these, with all at those that are in ``parents`` and at their neighbours.
        bins: ``(D,)``.
        ids: ``(M,)`` objects of the coarse vertices; None for one.
        least: What is less is not measured; it may come out as anything up to this, or a small part of a bin.
    """
    vertices = positions.astype(np.float64)
    if ids is not None:
        faces = faces[(ids[faces] == ids[faces[:, :1]]).all(axis=1)]
    points = fine.astype(np.float64)

    def distance(rows: IntArray, links: IntArray) -> FloatArray:
        corners = faces.take(links, axis=0)
        return distance_to_triangles(
            points.take(rows, axis=0), *(vertices.take(corner, axis=0) for corner in corners.T)
        )

    bounds = norms(np.ascontiguousarray((points - vertices[parents]).T))
    at = incidence(faces, len(vertices))
    # In a flat part a vertex may lie beyond the faces at its own place, but then on those beside.
    near: list[Near] = [at, Wider(at, neighbours(faces, len(vertices)))]
    return farthest_from_links(bounds, parents, near, distance, least=max(least, _SMALL * float(bins.min())))
