"""Straight lines under the names, keywords and result keys of 0.9.2; see ``types.polylines``."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np

from zarr_vectors.geometry import Lines, Polylines
from zarr_vectors.storage.urls import StoreLike
from zarr_vectors.types.facade import Query, counts_of, read_facade, same_as, write_facade

__all__ = ["read_lines", "write_lines"]


def write_lines(
    store_path: StoreLike,
    endpoints: Any,
    *,
    chunk_shape: Any = None,
    bin_shape: Any = None,
    bounds: Any = None,
    vertex_attributes: Mapping[str, Any] | None = None,
    object_attributes: Mapping[str, Any] | None = None,
    dtype: Any = None,
    backend: str | None = None,
    chunk_by_attribute: str | None = None,
    out_of_bounds: str = "raise",
    compressor: Any = None,
    shard_shape: Any = "auto",
    attributes: Mapping[str, Any] | None = None,
    line_attributes: Mapping[str, Any] | None = None,
    object_ids: Any = None,
    groups: Mapping[int, Any] | None = None,
    group_attributes: Mapping[str, Any] | None = None,
    mode: str = "create",
    extend: bool = False,
    fill: Mapping[str, Any] | None = None,
    keep_order: bool = False,
    axes: Any = None,
    crs: Any = None,
    storage_options: Mapping[str, Any] | None = None,
) -> dict[str, Any]:
    """Write straight lines.

    Args:
        store_path: A path, a URL, or an open zarr store.
        endpoints: ``(M, 2, D)`` end points.
        chunk_shape, bin_shape, shard_shape, compressor, keep_order: As in ``Layout``.
        bounds, out_of_bounds, dtype, mode, extend, fill, axes, crs, storage_options: As in ``zarr_vectors.write``.
        vertex_attributes: ``(M, 2)`` values or a row for each end; ``attributes`` is another name for it.
        object_attributes: A row for each line; ``line_attributes`` is another name for it.
        object_ids: ``(M,)`` id of each line; numbers from 0 where not given.
        groups: ``{group id: object ids}``.
        group_attributes: A row for each group id from 0.

    Returns:
        ``line_count``, ``chunk_count`` and ``cross_chunk_count``; and with ``out_of_bounds="ignore"`` the number of
        vertices left out, as ``dropped``.

    Raises:
        InputError: An argument cannot be used; nothing was written.
        OptionError: An option of 0.9.2 that is not offered.

    Example:
        >>> write_lines("memory://lines-doc", [[[0.0, 0.0], [5.0, 1.0]]], chunk_shape=(4, 4))["cross_chunk_count"]
        1
    """
    keywords = locals()
    value = Lines(
        np.asarray(endpoints),
        ids=object_ids,
        attributes=same_as("vertex_attributes", vertex_attributes, "attributes", attributes) or {},
        object_attributes=same_as("object_attributes", object_attributes, "line_attributes", line_attributes) or {},
        groups=groups or {},
        group_attributes=group_attributes or {},
    )
    report = write_facade(store_path, value, keywords)
    return counts_of(
        report,
        keywords,
        line_count=report.object_count + report.extended_objects,
        chunk_count=report.chunk_count,
        cross_chunk_count=report.crossing_links,
    )


def read_lines(
    store_path: StoreLike,
    *,
    level: int = 0,
    object_ids: Any = None,
    bbox: Any = None,
    attribute_filter: Mapping[str, Any] | None = None,
    backend: str | None = None,
    group_ids: Any = None,
    strict: bool = True,
    storage_options: Mapping[str, Any] | None = None,
) -> dict[str, Any]:
    """Read straight lines, or some of them; a box selects whole lines that meet it.

    Args:
        store_path: A path, a URL, or an open zarr store.
        level, object_ids, group_ids, bbox, attribute_filter, strict, storage_options: As in ``Query``.

    Returns:
        ``endpoints`` ``(M, 2, D)``, ``vertex_attributes`` and ``fragment_attributes`` with a row for each end,
        ``line_count``, ``object_ids``.

    Example:
        >>> _ = write_lines("memory://lines-doc-2", [[[0.0, 0.0], [5.0, 1.0]], [[8.0, 8.0], [9.0, 9.0]]])
        >>> read_lines("memory://lines-doc-2", bbox=([2, 0], [3, 1]))["object_ids"]
        [0]
    """
    query = Query.of(locals())
    value, columns = read_facade(store_path, ("lines",), query)
    assert isinstance(value, Polylines)
    lines = Lines(value.positions, value.offsets, ids=value.line_ids)
    return {
        "endpoints": lines.endpoints,
        **columns,
        "line_count": value.line_count,
        "object_ids": value.line_ids.tolist(),
    }
