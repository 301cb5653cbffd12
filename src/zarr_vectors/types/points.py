"""Point clouds under the names, keywords and result keys of 0.9.2.

These two functions keep its interface; what they do is what ``zarr_vectors.write`` and ``ZVLevel.read`` do. A box is
exact, ``dtype=None`` keeps the input's dtype, and writing into an existing store is refused unless ``mode`` says how.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from zarr_vectors.core.state import open_level, open_root
from zarr_vectors.exceptions import InputError
from zarr_vectors.geometry import Points
from zarr_vectors.query.geometry import read_shape
from zarr_vectors.query.read_plan import ReadPlan
from zarr_vectors.query.selection import Selection
from zarr_vectors.query.where import only_chunks_of
from zarr_vectors.storage.storage import Storage
from zarr_vectors.storage.urls import StoreLike, open_backend
from zarr_vectors.types.facade import counts_of, read_alone, refuse, same_as, split_columns, write_facade
from zarr_vectors.typing import AnyArray

__all__ = ["read_points", "write_points"]


def write_points(
    store_path: StoreLike,
    positions: Any,
    *,
    chunk_shape: Any = None,
    bin_shape: Any = None,
    bounds: Any = None,
    vertex_attributes: Mapping[str, Any] | None = None,
    object_ids: Any = None,
    object_attributes: Mapping[str, Any] | None = None,
    fragment_attributes: Mapping[str, Any] | None = None,
    groups: Mapping[int, Any] | None = None,
    group_attributes: Mapping[str, Any] | None = None,
    dtype: Any = None,
    backend: str | None = None,
    chunk_by_attribute: str | None = None,
    out_of_bounds: str = "raise",
    compressor: Any = None,
    shard_shape: Any = "auto",
    attributes: Mapping[str, Any] | None = None,
    mode: str = "create",
    extend: bool = False,
    fill: Mapping[str, Any] | None = None,
    keep_order: bool = False,
    axes: Any = None,
    crs: Any = None,
    storage_options: Mapping[str, Any] | None = None,
) -> dict[str, Any]:
    """Write a point cloud.

    Args:
        store_path: A path, a URL, or an open zarr store.
        positions: ``(N, D)``.
        chunk_shape, bin_shape, shard_shape, compressor, keep_order: As in ``Layout``.
        bounds, out_of_bounds, dtype, mode, extend, fill, axes, crs, storage_options: As in ``zarr_vectors.write``.
        vertex_attributes: ``{name: (N,) or (N, C)}``; ``attributes`` is another name for it.
        object_ids: ``(N,)`` int64.
        object_attributes: A row for each distinct id, ascending, or ``{name: {id: value}}``.
        fragment_attributes: ``{name: {chunk coordinates: (F,) or (F, C)}}``, in the order of the chunk's fragments: its
            bins, or the parts of objects in it, by object id and then along the line. A chunk may be left out.
        groups: ``{group id: object ids}``.
        group_attributes: A row for each group id from 0.

    Returns:
        ``vertex_count``, ``chunk_count``, ``object_count``, ``group_count`` and ``bins_per_chunk``; and with
        ``out_of_bounds="ignore"`` the number of points left out, as ``dropped``.

    Raises:
        InputError: An argument cannot be used; nothing was written.
        OptionError: An option of 0.9.2 that is not offered.

    Example:
        >>> write_points("memory://points-doc", [[0.0, 0.0], [1.0, 2.0]], chunk_shape=(4, 4))["chunk_count"]
        1
    """
    keywords = locals()
    value = Points(
        positions,
        attributes=same_as("vertex_attributes", vertex_attributes, "attributes", attributes) or {},
        object_ids=object_ids,
        object_attributes=object_attributes or {},
        groups=groups or {},
        group_attributes=group_attributes or {},
    )
    report = write_facade(store_path, value, keywords)
    return counts_of(
        report,
        keywords,
        vertex_count=report.vertex_count,
        chunk_count=report.chunk_count,
        object_count=report.object_count,
        group_count=report.group_count,
        bins_per_chunk=report.bins_per_chunk,
    )


def read_points(
    store_path: StoreLike,
    *,
    level: int = 0,
    bbox: Any = None,
    object_ids: Any = None,
    group_ids: Any = None,
    chunks: Sequence[tuple[int, ...]] | None = None,
    attribute_names: Sequence[str] | None = None,
    attribute_filter: Mapping[str, Any] | None = None,
    backend: str | None = None,
    strict: bool = True,
    storage_options: Mapping[str, Any] | None = None,
) -> dict[str, Any]:
    """Read a point cloud, or a part of it.

    Args:
        store_path: A path, a URL, or an open zarr store.
        level: Resolution level.
        bbox: Closed box, as in ``ZVLevel.read``.
        object_ids, group_ids: Points of these objects and groups.
        chunks: Points of these chunks.
        attribute_names: Vertex and fragment attributes to return; none unless named.
        attribute_filter: ``{attribute: value}``; rows that have exactly these values.

    Returns:
        ``positions``, ``vertex_attributes``, ``fragment_attributes`` (a row for each point as well), ``vertex_count``,
        and ``object_ids`` where objects or groups were asked for.

    Example:
        >>> _ = write_points("memory://points-doc-2", [[0.0, 0.0], [1.0, 2.0]], attributes={"w": [3, 4]})
        >>> read_points("memory://points-doc-2", bbox=([1, 1], [2, 2]), attribute_names=["w"])["vertex_attributes"]
        {'w': array([4])}
    """
    refuse("backend", None if backend == "local" else backend, "the URL's scheme, or storage_options, decides")
    storage = Storage(open_backend(store_path, read_only=True, storage_options=storage_options))

    def read() -> dict[str, Any]:
        first = "0/zarr.json"
        root, documents = open_root(storage, [first])
        state = open_level(storage, root, level, documents[first] if level == 0 else None)
        filters = dict(attribute_filter or {})
        shown = (attribute_names,) if isinstance(attribute_names, str) else tuple(attribute_names or ())
        names = [*shown, *filters]
        selection = Selection.of(
            [axis.name for axis in root.axes],
            bbox=bbox,
            object_ids=object_ids,
            group_ids=group_ids,
            attributes=names,
            chunks=chunks,
            owners=False,
        )
        rank = state.vertices.ndim
        if selection.chunks is not None and selection.chunks.size and selection.chunks.shape[1] != rank:
            raise InputError(
                "chunks must be coordinates of as many axes as the store has", expected=rank, got=repr(chunks)
            )
        selection = only_chunks_of(state, selection, filters)
        plan = ReadPlan(connects="nothing", implied=False, mode="vertices", strict=strict, offset=root.offset)
        rows = read_shape(storage, state, selection, plan).rows
        for name, value in filters.items():
            rows = rows.take(_equals(rows.columns[name], value))
        columns = split_columns(state, {name: rows.columns[name] for name in shown})
        result: dict[str, Any] = {"positions": rows.positions}
        if selection.by_object:
            result["object_ids"] = rows.object_ids
        return {**result, **columns, "vertex_count": len(rows.positions)}

    return read_alone(storage, read)


def _equals(column: Any, value: Any) -> AnyArray:
    same = np.asarray(column == value)
    return np.asarray(same.all(axis=tuple(range(1, same.ndim)))) if same.ndim > 1 else same
