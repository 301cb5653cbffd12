"""Graphs and skeletons under the names, keywords and result keys of 0.9.2; see ``types.polylines``."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from zarr_vectors.exceptions import InputError
from zarr_vectors.geometry import Graph, Linked, Skeleton
from zarr_vectors.storage.urls import StoreLike
from zarr_vectors.types.facade import Query, counts_of, plain_columns, read_facade, same_as, write_facade
from zarr_vectors.types.report import WriteReport

__all__ = ["read_graph", "write_graph"]


def write_graph(
    store_path: StoreLike,
    positions: Any,
    edges: Any,
    *,
    chunk_shape: Any = None,
    bin_shape: Any = None,
    bounds: Any = None,
    kind: str = "graph",
    vertex_attributes: Mapping[str, Any] | None = None,
    link_attributes: Mapping[str, Any] | None = None,
    object_attributes: Mapping[str, Any] | None = None,
    fragment_attributes: Mapping[str, Any] | None = None,
    object_ids: Any = None,
    dtype: Any = None,
    backend: str | None = None,
    chunk_by_attribute: str | None = None,
    out_of_bounds: str = "raise",
    compressor: Any = None,
    shard_shape: Any = "auto",
    is_tree: bool | None = None,
    node_attributes: Mapping[str, Any] | None = None,
    edge_attributes: Mapping[str, Any] | None = None,
    groups: Mapping[int, Any] | None = None,
    group_attributes: Mapping[str, Any] | None = None,
    directed: bool = False,
    mode: str = "create",
    extend: bool = False,
    fill: Mapping[str, Any] | None = None,
    keep_order: bool = False,
    axes: Any = None,
    crs: Any = None,
    storage_options: Mapping[str, Any] | None = None,
) -> dict[str, Any]:
    """Write a graph or a skeleton.

    Args:
        store_path: A path, a URL, or an open zarr store.
        positions: ``(N, D)`` nodes.
        edges: ``(E, 2)`` integer rows; ``[child, parent]`` for a skeleton.
        chunk_shape, bin_shape, shard_shape, compressor, keep_order: As in ``Layout``.
        bounds, out_of_bounds, dtype, mode, extend, fill, axes, crs, storage_options: As in ``zarr_vectors.write``.
        kind: ``"graph"`` or ``"skeleton"``; ``is_tree=True`` means a skeleton too.
        vertex_attributes: A row for each node; ``node_attributes`` is another name for it.
        link_attributes: A row for each edge; ``edge_attributes`` is another name for it.
        object_ids: ``(N,)`` owner of each node; one object where not given.
        object_attributes: A row for each distinct id, ascending, or ``{name: {id: value}}``.
        fragment_attributes: ``{name: {chunk coordinates: (F,) or (F, C)}}``, in the order of the chunk's fragments: its
            bins, or the parts of objects in it, by object id and then along the line. A chunk may be left out.
        groups: ``{group id: object ids}``.
        group_attributes: A row for each group id from 0.
        directed: Whether edges have a direction.

    Returns:
        ``node_count``, ``edge_count``, ``chunk_count``, ``intra_edge_count``, ``cross_edge_count``, ``object_count``
        and ``kind``; and with ``out_of_bounds="ignore"`` the number of nodes left out, as ``dropped``.

    Raises:
        InputError: An argument cannot be used; nothing was written.
        OptionError: An option of 0.9.2 that is not offered.

    Example:
        >>> done = write_graph("memory://graph-doc", [[0.0, 0.0], [5.0, 1.0]], [[0, 1]], chunk_shape=(4, 4))
        >>> done["cross_edge_count"]
        1
    """
    keywords = locals()
    kind = "skeleton" if is_tree and kind == "graph" else kind
    common = {
        "attributes": same_as("vertex_attributes", vertex_attributes, "node_attributes", node_attributes) or {},
        "edge_attributes": same_as("link_attributes", link_attributes, "edge_attributes", edge_attributes) or {},
        "object_ids": object_ids,
        "object_attributes": object_attributes or {},
        "groups": groups or {},
        "group_attributes": group_attributes or {},
    }
    value: Linked
    if kind == "skeleton":
        value = Skeleton.from_edges(positions, edges, **common)
    elif kind == "graph":
        value = Graph(positions, edges, directed=directed, **common)
    else:
        raise InputError("kind is not known", got=repr(kind), expected="graph or skeleton")
    report = write_facade(store_path, value, keywords)
    edges = _edges_inside(value, report) if report.dropped else len(value.links)
    return counts_of(
        report,
        keywords,
        node_count=report.vertex_count,
        edge_count=edges,
        chunk_count=report.chunk_count,
        intra_edge_count=edges - report.crossing_links,
        cross_edge_count=report.crossing_links,
        object_count=report.object_count,
        kind=kind,
    )


def _edges_inside(value: Linked, report: WriteReport) -> int:
    """How many edges are left of a value whose vertices outside the bounds are not written."""
    low, high = (np.asarray(corner) for corner in report.bounds)
    inside = np.all((value.positions >= low) & (value.positions <= high), axis=1)
    return int(np.count_nonzero(inside[value.links].all(axis=1)))


def read_graph(
    store_path: StoreLike,
    *,
    level: int = 0,
    object_ids: Any = None,
    bbox: Any = None,
    chunks: Sequence[tuple[int, ...]] | None = None,
    attribute_filter: Mapping[str, Any] | None = None,
    backend: str | None = None,
    group_ids: Any = None,
    mode: str | None = None,
    strict: bool = True,
    storage_options: Mapping[str, Any] | None = None,
) -> dict[str, Any]:
    """Read a graph or a skeleton, or a part of it.

    Args:
        store_path: A path, a URL, or an open zarr store.
        level, object_ids, group_ids, bbox, mode, chunks, attribute_filter, strict, storage_options: As in ``Query``.

    Returns:
        ``positions``, ``edges`` (``[child, parent]`` for a skeleton), ``node_count``, ``edge_count``,
        ``vertex_attributes`` and ``fragment_attributes``, a row for each node, ``link_attributes`` and ``object_ids``,
        one per node.

    Example:
        >>> _ = write_graph("memory://graph-doc-2", [[0.0, 0.0], [5.0, 1.0]], [[0, 1]])
        >>> read_graph("memory://graph-doc-2", bbox=([2, 0], [3, 1]), mode="vertices")["node_count"]
        0
    """
    query = Query.of(locals())
    value, columns = read_facade(store_path, ("graph", "skeleton"), query)
    assert isinstance(value, Linked)
    return {
        "positions": value.positions,
        "edges": value.links,
        "node_count": value.vertex_count,
        "edge_count": len(value.links),
        **columns,
        "link_attributes": plain_columns(value.link_attributes),
        "object_ids": value.object_ids,
    }
