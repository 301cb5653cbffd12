"""Coarser meshes: the vertices of a bin become one, where the planes of their faces meet."""

from __future__ import annotations

from dataclasses import replace

import numpy as np

from zarr_vectors.geometry import Column, Mesh, take_column
from zarr_vectors.pyramid.aggregate import aggregate_all
from zarr_vectors.pyramid.coarse import Clusters, Coarse, Policy, clusters_of
from zarr_vectors.pyramid.distances import distance_to_triangles, norms
from zarr_vectors.pyramid.faces import Merged, as_triangles, merge_faces
from zarr_vectors.pyramid.linked import NO_TABLES, owner_groups, vertex_clusters
from zarr_vectors.pyramid.lost import stand_ins, staying
from zarr_vectors.pyramid.placement import mean_shifts, place, shifts_from_first, within_bins
from zarr_vectors.pyramid.quadrics import best_shifts
from zarr_vectors.pyramid.reach import Near, Wider, farthest_from_links, incidence, neighbours
from zarr_vectors.typing import AnyArray, FloatArray, IntArray

__all__ = ["coarsen_mesh"]

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
    places = _places(value.positions, faces, clusters, weights, policy.bins, numbers[first])
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
        error=_error(value.positions, parents, coarse, policy.bins),
    )


def _places(
    positions: AnyArray,
    faces: IntArray,
    clusters: Clusters,
    weights: IntArray | None,
    bins: FloatArray,
    numbers: IntArray,
) -> AnyArray:
    """``(C, D)`` best place of each cluster; in other than three dimensions the mean."""
    shifts = shifts_from_first(positions, clusters)
    means = mean_shifts(shifts, clusters, weights)
    if positions.shape[1] != 3 or not len(faces):
        return place(positions, clusters, means, bins, numbers)
    best = best_shifts(positions, faces, clusters, shifts, means)
    first = positions[clusters.order[clusters.starts]]
    return place(positions, clusters, within_bins(first, means, best, bins, numbers), bins, numbers)


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
    if stay.all():
        return np.arange(count)
    gone = labels[faces[(~stay)[labels][faces].any(axis=1)]]
    links = np.concatenate([gone[:, [0, 1]], gone[:, [1, 2]], gone[:, [2, 0]]])
    stands = stand_ins(stay, links, objects)
    # What nothing in a bin beside it stands for stays as a vertex, so that small parts do not go without a trace.
    apart = (np.abs(numbers - numbers[stands]) > 1).any(axis=1)
    return stand_ins(stay | apart, links, objects) if apart.any() else stands


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


def _error(fine: AnyArray, parents: IntArray, coarse: Mesh, bins: FloatArray) -> float:
    """A distance that no vertex exceeds from the vertex that stands for it, or the faces of its object there."""
    vertices, faces, ids = coarse.positions.astype(np.float64), coarse.faces, coarse.object_ids
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
    return farthest_from_links(bounds, parents, near, distance, least=_SMALL * float(bins.min()))
