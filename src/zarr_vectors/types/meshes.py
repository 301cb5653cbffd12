"""Meshes under the names, keywords and result keys of 0.9.2; see ``types.polylines``."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from zarr_vectors.geometry import Mesh
from zarr_vectors.storage.urls import StoreLike
from zarr_vectors.types.facade import Query, counts_of, plain_columns, read_facade, write_facade

__all__ = ["read_mesh", "write_mesh"]


def write_mesh(
    store_path: StoreLike,
    vertices: Any,
    faces: Any,
    *,
    chunk_shape: Any = None,
    bin_shape: Any = None,
    bounds: Any = None,
    encoding: str = "raw",
    vertex_attributes: Mapping[str, Any] | None = None,
    object_attributes: Mapping[str, Any] | None = None,
    object_ids: Any = None,
    dtype: Any = None,
    draco_quantization_bits: int = 11,
    backend: str | None = None,
    chunk_by_attribute: str | None = None,
    out_of_bounds: str = "raise",
    compressor: Any = None,
    shard_shape: Any = "auto",
    face_attributes: Mapping[str, Any] | None = None,
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
    """Write a mesh.

    Args:
        store_path: A path, a URL, or an open zarr store.
        vertices: ``(N, D)``.
        faces: ``(F, W)`` integer rows of ``vertices``, W from 3.
        chunk_shape, bin_shape, shard_shape, compressor, keep_order: As in ``Layout``.
        bounds, out_of_bounds, dtype, mode, extend, fill, axes, crs, storage_options: As in ``zarr_vectors.write``.
        encoding: ``"raw"`` or ``"draco"``, the ``vertex_encoding`` of ``Layout``; a store that is appended to keeps
            its own.
        draco_quantization_bits: As in ``Layout``; without effect on ``"raw"``.
        vertex_attributes: A row for each vertex.
        face_attributes: A row for each face.
        object_ids: ``(N,)`` owner of each vertex; one object where not given.
        object_attributes: A row for each distinct id, ascending, or ``{name: {id: value}}``.
        groups: ``{group id: object ids}``.
        group_attributes: A row for each group id from 0.

    Returns:
        ``vertex_count``, ``face_count``, ``chunk_count``, ``intra_face_count``, ``cross_face_count`` and ``encoding``;
        and with ``out_of_bounds="ignore"`` the number of vertices left out, as ``dropped``.

    Raises:
        InputError: An argument cannot be used; nothing was written.
        OptionError: An option of 0.9.2 that is not offered.

    Example:
        >>> corners = [[0.0, 0.0, 0.0], [5.0, 0.0, 0.0], [0.0, 5.0, 0.0]]
        >>> write_mesh("memory://mesh-doc", corners, [[0, 1, 2]], chunk_shape=(4, 4, 4))["cross_face_count"]
        1
    """
    keywords = {**locals(), "vertex_encoding": encoding}
    value = Mesh(
        vertices,
        faces,
        attributes=vertex_attributes or {},
        face_attributes=face_attributes or {},
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
        face_count=report.link_count,
        chunk_count=report.chunk_count,
        intra_face_count=report.link_count - report.crossing_links,
        cross_face_count=report.crossing_links,
        encoding=report.vertex_encoding,
    )


def read_mesh(
    store_path: StoreLike,
    *,
    level: int = 0,
    bbox: Any = None,
    object_ids: Any = None,
    chunks: Sequence[tuple[int, ...]] | None = None,
    attribute_filter: Mapping[str, Any] | None = None,
    backend: str | None = None,
    group_ids: Any = None,
    mode: str | None = None,
    strict: bool = True,
    storage_options: Mapping[str, Any] | None = None,
) -> dict[str, Any]:
    """Read a mesh, or a part of it.

    Args:
        store_path: A path, a URL, or an open zarr store.
        level, object_ids, group_ids, bbox, mode, chunks, attribute_filter, strict, storage_options: As in ``Query``.

    Returns:
        ``vertices``, ``faces``, ``vertex_count``, ``face_count``, ``vertex_attributes`` and ``fragment_attributes``, a
        row for each vertex, ``face_attributes`` and ``object_ids``, one per vertex.

    Example:
        >>> _ = write_mesh("memory://mesh-doc-2", [[0.0, 0.0], [5.0, 0.0], [0.0, 5.0]], [[0, 1, 2]])
        >>> read_mesh("memory://mesh-doc-2", bbox=([1, 1], [2, 2]))["face_count"]
        1
    """
    query = Query.of(locals())
    value, columns = read_facade(store_path, ("mesh",), query)
    assert isinstance(value, Mesh)
    return {
        "vertices": value.positions,
        "faces": value.faces,
        "vertex_count": value.vertex_count,
        "face_count": value.face_count,
        **columns,
        "face_attributes": plain_columns(value.face_attributes),
        "object_ids": value.object_ids,
    }
