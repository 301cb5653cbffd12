"""A batch of several objects as one value for each."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from typing import Any

import numpy as np

from zarr_vectors.exceptions import ExportError
from zarr_vectors.geometry import Geometry, Graph, Mesh, Polylines, Skeleton, take_column
from zarr_vectors.rowwise import take_rows
from zarr_vectors.typing import AnyArray, IntArray

__all__ = ["split_objects"]


def split_objects(batch: Geometry) -> Iterator[tuple[int, Geometry]]:
    """The id and the value of each object, ascending; objects without vertices too.

    Without object ids all vertices are object 0. Vertices and links keep their order.

    Raises:
        ExportError: A link connects two objects.

    Example:
        >>> mesh = Mesh([[0.0, 0], [1, 0], [9, 9], [0, 1]], [[0, 1, 3]], object_ids=[7, 7, 5, 7])
        >>> [(key, part.vertex_count, part.links.tolist()) for key, part in split_objects(mesh)]
        [(5, 1, []), (7, 3, [[0, 1, 2]])]
    """
    owners = batch.vertex_objects
    if owners is None:
        yield 0, batch
        return
    ids = np.union1d(owners, batch.objects) if batch.objects is not None else np.unique(owners)
    if isinstance(batch, Polylines):
        ids = np.union1d(ids, batch.line_ids)
        yield from _lines(batch, ids)
        return
    order = np.argsort(owners, kind="stable")
    cuts = np.searchsorted(owners[order], ids)
    ends = np.searchsorted(owners[order], ids, side="right")
    links = _Links(batch, owners, order)
    for key, first, end in zip(ids.tolist(), cuts.tolist(), ends.tolist(), strict=True):
        rows = order[first:end]
        fields: dict[str, Any] = {
            "positions": take_rows(batch.positions, rows),
            "attributes": {name: take_column(column, rows) for name, column in batch.attributes.items()},
            "row_ids": None if batch.row_ids is None else batch.row_ids[rows],
            "object_ids": owners[rows],
        }
        yield key, replace(batch, **fields, **_tables(batch, key), **links.of(key, first, rows))


def _tables(batch: Geometry, key: int) -> dict[str, Any]:
    """What a batch knows of one object."""
    if batch.objects is None:
        return {}
    groups = {group: members[members == key] for group, members in batch.groups.items() if key in members}
    row = np.flatnonzero(batch.objects == key)
    return {
        "objects": batch.objects[row],
        "object_attributes": {name: take_column(column, row) for name, column in batch.object_attributes.items()},
        "groups": groups,
        "group_attributes": {
            name: take_column(column, slice(max(groups) + 1)) for name, column in batch.group_attributes.items()
        }
        if groups
        else {},
    }


def _lines(batch: Polylines, ids: IntArray) -> Iterator[tuple[int, Geometry]]:
    order = np.argsort(batch.line_ids, kind="stable")
    cuts = np.searchsorted(batch.line_ids[order], ids)
    ends = np.searchsorted(batch.line_ids[order], ids, side="right")
    for key, first, end in zip(ids.tolist(), cuts.tolist(), ends.tolist(), strict=True):
        yield key, replace(batch.take(order[first:end]), **_tables(batch, key))


class _Links:
    """The links of a batch by object."""

    def __init__(self, batch: Geometry, owners: IntArray, order: IntArray) -> None:
        self._batch = batch
        self._rank = np.empty(len(order), dtype=np.int64)
        self._rank[order] = np.arange(len(order))
        self._links: AnyArray = (
            batch.links if isinstance(batch, (Graph, Mesh, Skeleton)) else np.zeros((0, 2), dtype=np.int64)
        )
        of_link = owners[self._links]
        mixed = (of_link != of_link[:, :1]).any(axis=1)
        if mixed.any():
            raise ExportError(
                "a link connects vertices of different objects",
                got=f"objects {np.unique(of_link[np.argmax(mixed)]).tolist()}",
            )
        self._order = np.argsort(of_link[:, 0], kind="stable")
        self._owners = of_link[self._order, 0]

    def of(self, key: int, first: int, rows: IntArray) -> dict[str, Any]:
        """The fields for the links of one object, whose vertices are ``rows``, the first of them being ``first``."""
        start, end = (int(np.searchsorted(self._owners, key, side=side)) for side in ("left", "right"))
        chosen = self._order[start:end]
        links = self._rank[self._links[chosen]] - first
        batch = self._batch
        if isinstance(batch, Graph):
            found = {name: take_column(column, chosen) for name, column in batch.edge_attributes.items()}
            return {"edges": links, "edge_attributes": found}
        if isinstance(batch, Mesh):
            found = {name: take_column(column, chosen) for name, column in batch.face_attributes.items()}
            return {"faces": links, "face_attributes": found}
        if isinstance(batch, Skeleton):
            found = {name: take_column(column, chosen) for name, column in batch.edge_attributes.items()}
            parents = np.full(len(rows), -1, dtype=np.int64)
            parents[links[:, 0]] = links[:, 1]
            return {"parents": parents, "edge_attributes": found}
        return {}
