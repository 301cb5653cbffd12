"""What is done for a block of a large mesh, or for faces that have come together, as tasks for any executor."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np

from zarr_vectors.geometry import Column, take_column
from zarr_vectors.pyramid.aggregate import aggregate_all
from zarr_vectors.pyramid.coarse import Policy, bin_numbers, clusters_of
from zarr_vectors.pyramid.faces import gather_faces
from zarr_vectors.pyramid.mesh import Surface, mesh_error, place_clusters
from zarr_vectors.pyramid.scratch import RecordColumns
from zarr_vectors.pyramid.tasks import Reader
from zarr_vectors.query.stored import read_stored_rows
from zarr_vectors.types.unite import concatenate_columns
from zarr_vectors.typing import AnyArray, BoolArray, FloatArray, IntArray

__all__ = ["AttributeTask", "FaceTask", "GatheredFaces", "Guests", "MergeTask", "MeshErrorTask", "PlaceTask"]


@dataclass(frozen=True, eq=False)
class PlaceTask:
    """Place the clusters of a block.

    Args:
        surface: Its vertices, and the faces that touch them.
        weights: ``(n,)`` vertices of level 0 that each of its own vertices stands for; 1 where None.
        bins: ``(D,)``.
    """

    surface: Surface
    weights: IntArray | None
    bins: FloatArray

    def __call__(self) -> tuple[AnyArray, BoolArray]:
        """Positions of the clusters, and whether each has a vertex that has no face."""
        surface = self.surface
        assert surface.own is not None
        clusters = clusters_of(surface.labels[surface.own])
        first = surface.positions[surface.own[clusters.order[clusters.starts]]]
        places = place_clusters(surface, clusters, self.weights, self.bins, bin_numbers(first, self.bins))
        used = np.zeros(len(surface.positions), dtype=np.bool_)
        used[surface.faces] = True
        return places, np.bincount(clusters.labels[~used[surface.own]], minlength=len(clusters)) > 0


@dataclass(frozen=True)
class GatheredFaces:
    """Faces with the same corners.

    Args:
        corners: ``(E, 3)`` in ascending order.
        net: As of ``Gathered``.
        columns: Attributes of each.
        counts: ``(E,)`` faces of level 0 that each stands for.
    """

    corners: IntArray
    net: IntArray
    columns: dict[str, Column]
    counts: IntArray


@dataclass(frozen=True, eq=False)
class FaceTask:
    """Bring together faces that become one.

    Args:
        corners: ``(n, 3)`` coarse corners, numbered in their order.
        places: ``(n, D)`` middle of each face; without axes where nothing hangs on it.
        records: The faces.
        columns: Their attributes.
        weighted: Whether faces stand for several of level 0.
        policy: How.
    """

    corners: IntArray
    places: AnyArray
    records: AnyArray
    columns: RecordColumns
    weighted: bool
    policy: Policy

    def __call__(self) -> GatheredFaces:
        """Do it."""
        # All have three corners, so that each is in a cluster.
        found = gather_faces(self.corners)
        weights = np.ascontiguousarray(self.records["weight"]) if self.weighted else None
        columns = aggregate_all(
            self.columns.take(self.records), found.same, self.policy.aggregations, weights, self.places
        )
        return GatheredFaces(found.corners, found.net, columns, found.same.totals(weights))


@dataclass(frozen=True, eq=False)
class AttributeTask:
    """Read attributes of some vertices of a block.

    Args:
        reader: Of the level.
        chunks: The block.
        names: The attributes.
        rows: ``(n,)`` numbers of vertices among the stored ones of the block.
    """

    reader: Reader
    chunks: IntArray
    names: tuple[str, ...]
    rows: IntArray

    def __call__(self) -> dict[str, Column]:
        """A row for each vertex."""
        finer = self.reader.finer()
        stored = read_stored_rows(finer.storage, finer.level, self.chunks, self.names)
        place = np.full(int(stored.sizes.sum()), -1, dtype=np.int64)
        place[stored.at] = np.arange(len(stored.at))
        return {name: take_column(column, place[self.rows]) for name, column in stored.rows.columns.items()}


@dataclass(frozen=True, eq=False)
class Guests:
    """Vertices of other blocks for which a vertex of this one stands.

    Args:
        parents: ``(n,)`` which does.
        positions: ``(n, D)``.
        weights: ``(n,)`` vertices of level 0 that each stands for; None for one.
        columns: Their attributes.
    """

    parents: IntArray
    positions: AnyArray
    weights: IntArray | None
    columns: Mapping[str, Column]


@dataclass(frozen=True, eq=False)
class MergeTask:
    """Bring together the attributes of vertices that become one.

    Args:
        read: Brings the attributes of the block's own vertices; None where there are none.
        own: Its own vertices.
        guests: Those of other blocks.
        policy: How.
    """

    read: AttributeTask | None
    own: Guests
    guests: Guests
    policy: Policy

    def __call__(self) -> tuple[dict[str, Column], IntArray]:
        """Attributes of the coarse vertices, and how many vertices of level 0 each stands for."""
        columns: dict[str, Column] = {} if self.read is None else self.read()
        parents, positions, weights = self.own.parents, self.own.positions, self.own.weights
        if len(self.guests.parents):
            parents = np.concatenate([parents, self.guests.parents])
            positions = np.concatenate([positions, self.guests.positions])
            if weights is not None and self.guests.weights is not None:
                weights = np.concatenate([weights, self.guests.weights])
            columns = {
                name: concatenate_columns("attribute", name, [column, self.guests.columns[name]])
                for name, column in columns.items()
            }
        clusters = clusters_of(parents)
        return aggregate_all(columns, clusters, self.policy.aggregations, weights, positions), clusters.totals(weights)


@dataclass(frozen=True, eq=False)
class MeshErrorTask:
    """Measure how far the vertices of a block are; the arguments are those of ``mesh_error``."""

    fine: AnyArray
    parents: IntArray
    positions: AnyArray
    faces: IntArray
    bins: FloatArray
    least: float

    def __call__(self) -> float:
        """Do it."""
        return mesh_error(self.fine, self.parents, self.positions, self.faces, self.bins, least=self.least)
