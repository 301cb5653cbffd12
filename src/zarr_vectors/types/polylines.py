"""Polylines and streamlines under the names, keywords and result keys of 0.9.2.

What these functions do is what ``zarr_vectors.write`` and ``ZVLevel.read`` do. A box selects whole lines that meet it,
segments that pass through included; ``dtype=None`` keeps the input's dtype; writing into an existing store is refused
unless ``mode`` says how.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from zarr_vectors.geometry import Polylines
from zarr_vectors.storage.urls import StoreLike
from zarr_vectors.types.facade import Query, counts_of, read_facade, write_facade
from zarr_vectors.typing import AnyArray

__all__ = ["read_polylines", "write_polylines"]


def write_polylines(
    store_path: StoreLike,
    polylines: Any,
    *,
    chunk_shape: Any = None,
    bin_shape: Any = None,
    bounds: Any = None,
    vertex_attributes: Mapping[str, Any] | None = None,
    object_attributes: Mapping[str, Any] | None = None,
    fragment_attributes: Mapping[str, Any] | None = None,
    groups: Mapping[int, Any] | None = None,
    group_attributes: Mapping[str, Any] | None = None,
    dtype: Any = None,
    geometry_type: str = "streamline",
    backend: str | None = None,
    chunk_by_attribute: str | None = None,
    out_of_bounds: str = "raise",
    compressor: Any = None,
    shard_shape: Any = "auto",
    object_ids: Any = None,
    mode: str = "create",
    extend: bool = False,
    fill: Mapping[str, Any] | None = None,
    keep_order: bool = False,
    axes: Any = None,
    crs: Any = None,
    storage_options: Mapping[str, Any] | None = None,
) -> dict[str, Any]:
    """Write polylines.

    Args:
        store_path: A path, a URL, or an open zarr store.
        polylines: A list of ``(n, D)`` arrays, or ``zarr_vectors.Polylines``.
        chunk_shape, bin_shape, shard_shape, compressor, keep_order: As in ``Layout``.
        bounds, out_of_bounds, dtype, mode, extend, fill, axes, crs, storage_options: As in ``zarr_vectors.write``.
        vertex_attributes: ``{name: list of arrays, one per line}``, or a row for each vertex.
        object_attributes: A row for each line.
        fragment_attributes: ``{name: {chunk coordinates: (F,) or (F, C)}}``, in the order of the chunk's fragments: its
            bins, or the parts of objects in it, by object id and then along the line. A chunk may be left out.
        groups: ``{group id: object ids}``.
        group_attributes: A row for each group id from 0.
        geometry_type: ``"streamline"`` or ``"polyline"``.
        object_ids: ``(P,)`` id of each line; numbers from 0, or from the next unused id, where not given.

    Returns:
        ``polyline_count``, ``vertex_count``, ``chunk_count``, ``cross_chunk_link_count`` and ``group_count``; and with
        ``out_of_bounds="ignore"`` the number of vertices left out, as ``dropped``.

    Raises:
        InputError: An argument cannot be used; nothing was written.
        OptionError: An option of 0.9.2 that is not offered.

    Example:
        >>> lines = [[[0.0, 0.0], [5.0, 1.0]], [[1.0, 1.0]]]
        >>> write_polylines("memory://polylines-doc", lines, chunk_shape=(4, 4))["cross_chunk_link_count"]
        1
    """
    keywords = locals()
    value = (
        polylines
        if isinstance(polylines, Polylines)
        else Polylines(
            polylines,
            ids=object_ids,
            kind=geometry_type,
            attributes=vertex_attributes or {},
            object_attributes=object_attributes or {},
            groups=groups or {},
            group_attributes=group_attributes or {},
        )
    )
    report = write_facade(store_path, value, keywords)
    return counts_of(
        report,
        keywords,
        polyline_count=report.object_count + report.extended_objects,
        vertex_count=report.vertex_count,
        chunk_count=report.chunk_count,
        cross_chunk_link_count=report.crossing_links,
        group_count=report.group_count,
    )


def read_polylines(
    store_path: StoreLike,
    *,
    level: int = 0,
    object_ids: Any = None,
    group_ids: Any = None,
    bbox: Any = None,
    chunks: Sequence[tuple[int, ...]] | None = None,
    attribute_filter: Mapping[str, Any] | None = None,
    backend: str | None = None,
    mode: str | None = None,
    strict: bool = True,
    storage_options: Mapping[str, Any] | None = None,
) -> dict[str, Any]:
    """Read polylines, or some of them.

    Args:
        store_path: A path, a URL, or an open zarr store.
        level, object_ids, group_ids, bbox, mode, chunks, attribute_filter, strict, storage_options: As in ``Query``.

    Returns:
        ``polylines``, for each object a list of pieces that concatenate to it in traversal order; ``object_ids``;
        ``vertex_attributes`` and ``fragment_attributes``, a row for each vertex; ``ndim``, ``polyline_count`` and
        ``vertex_count``.

    Example:
        >>> _ = write_polylines("memory://polylines-doc-2", [[[0.0, 0.0], [5.0, 1.0]], [[9.0, 9.0]]])
        >>> [len(pieces) for pieces in read_polylines("memory://polylines-doc-2", object_ids=[1, 0])["polylines"]]
        [1, 1]
    """
    query = Query.of(locals())
    value, columns = read_facade(store_path, ("lines",), query)
    assert isinstance(value, Polylines)
    pieces: dict[int, list[AnyArray]] = {}
    for owner, line in zip(value.line_ids.tolist(), value.lines(), strict=True):
        pieces.setdefault(owner, []).append(line)
    return {
        "polylines": list(pieces.values()),
        "object_ids": list(pieces),
        **columns,
        "ndim": value.ndim,
        "polyline_count": len(pieces),
        "vertex_count": value.vertex_count,
    }
