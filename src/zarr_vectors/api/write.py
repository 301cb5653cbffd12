"""The verbs that make stores: write and create."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import Any

import numpy as np

from zarr_vectors.exceptions import InputError
from zarr_vectors.geometry import Geometry, Graph, Lines, Mesh, Points, Polylines, Skeleton
from zarr_vectors.spatial.layout import Layout
from zarr_vectors.storage.storage import Storage
from zarr_vectors.storage.urls import StoreLike, open_backend
from zarr_vectors.types.kinds import KINDS, Kind
from zarr_vectors.types.options import Progress, WriteOptions, as_bounds
from zarr_vectors.types.report import WriteReport
from zarr_vectors.types.writer import write_value
from zarr_vectors.typing import AnyArray, Bounds, JsonObject

__all__ = ["create", "write"]


def write(
    target: StoreLike,
    value: Geometry | Iterable[Geometry],
    *,
    mode: str = "create",
    layout: Layout | None = None,
    bounds: Bounds | None = None,
    out_of_bounds: str = "raise",
    axes: Any = None,
    crs: Any = None,
    headers: Mapping[str, JsonObject] | None = None,
    extend: bool = False,
    fill: Mapping[str, Any] | None = None,
    dtype: Any = None,
    per_fragment: Sequence[str] | str = (),
    backend: str | None = None,
    storage_options: Mapping[str, Any] | None = None,
    progress: Progress | None = None,
) -> WriteReport:
    """Write a geometry value, or a stream of values, as one commit: all of it is there, or nothing.

    Args:
        target: A path, a URL, or an open zarr store.
        value: A value, or an iterable of values with the same columns, which is streamed in bounded memory.
        mode: ``"create"`` refuses to touch what exists, ``"append"`` adds rows, ``"replace"`` starts over.
        layout: How a new store is cut and compressed; chosen from the data where not given.
        bounds: Closed box of a new store; by default that of the data.
        out_of_bounds: Rows outside the bounds: ``"raise"``, ``"expand"`` the bounds, or ``"ignore"`` the rows.
        axes: Names or ``Axis`` values, one per column.
        crs: Coordinate reference system, any JSON.
        headers: ``{format: JSON}`` to keep with the store.
        extend: When appending, let rows join objects that exist.
        fill: When appending, ``{attribute: value}`` for attributes that the new rows lack.
        dtype: Of the stored positions; by default that of the input.
        per_fragment: Vertex attributes that are constant within each fragment, the part of an object in a chunk (or the
            bin, or the whole chunk, of points without objects), and are stored once for it; reads repeat them for each
            vertex. A store keeps to it when it is appended to.
        backend: ``"icechunk"`` for an Icechunk repository, where the write is one commit; one that exists in a local
            folder is recognised without it.
        storage_options: For object stores and Icechunk, as in ``open``.
        progress: Called with rows done and rows in all (None where not known).

    Raises:
        InputError: The value or an option cannot be used; nothing was written.
        StoreExistsError: ``mode="create"`` and something is there.
        StoreNotFoundError: ``mode="append"`` and nothing is there.

    Example:
        >>> import numpy as np, zarr_vectors as zv
        >>> cloud = zv.Points(np.array([[1.0, 2.0, 3.0], [4.0, 5.0, 6.0]]), attributes={"label": ["a", "b"]})
        >>> zv.write("memory://write-doc", cloud).vertex_count
        2
        >>> zv.write("memory://write-doc", cloud, mode="append").total_vertices
        4
        >>> owned = zv.Points(cloud.positions, attributes={"bundle": [5, 5]}, object_ids=[1, 1])
        >>> _ = zv.write("memory://write-doc-2", owned, per_fragment=["bundle"])
        >>> zv.open("memory://write-doc-2")[0].read().attributes["bundle"].tolist()
        [5, 5]
    """
    options = WriteOptions(
        mode=mode,
        layout=Layout() if layout is None else layout,
        bounds=bounds,
        out_of_bounds=out_of_bounds,
        axes=axes,
        crs=crs,
        headers=headers or {},
        extend=extend,
        fill=fill or {},
        dtype=dtype,
        per_fragment=per_fragment,
        progress=progress,
    )
    storage = Storage(open_backend(target, storage_options=storage_options, backend=backend))
    return write_value(storage, value, options)


def create(
    target: StoreLike,
    kind: str = "point_cloud",
    *,
    bounds: Bounds,
    attributes: Mapping[str, Any] | None = None,
    dtype: Any = "float32",
    objects: bool = False,
    link_attributes: Mapping[str, Any] | None = None,
    corners: int = 3,
    directed: bool = False,
    per_fragment: Sequence[str] | str = (),
    layout: Layout | None = None,
    axes: Any = None,
    crs: Any = None,
    mode: str = "create",
    backend: str | None = None,
    storage_options: Mapping[str, Any] | None = None,
) -> WriteReport:
    """Make an empty store of one kind, with typed attributes, to be appended to.

    Args:
        target: A path, a URL, or an open zarr store.
        kind: ``"point_cloud"``, ``"line"``, ``"polyline"``, ``"streamline"``, ``"graph"``, ``"skeleton"`` or
            ``"mesh"``.
        bounds: Closed box that rows will lie in.
        attributes: ``{name: dtype}``, ``{name: (dtype, channels)}``, or ``{name: "text"}``.
        dtype: Of the positions.
        objects: Whether points will belong to objects; all other kinds do.
        link_attributes: Attributes of edges or faces, given as ``attributes`` are.
        corners: Corners of a face, for a mesh.
        directed: Whether edges have a direction, for a graph.
        per_fragment: Which of ``attributes`` are stored once for each fragment, as in ``write``.
        layout: How the store is cut; one chunk where not given.

    Raises:
        InputError: An option cannot be used; nothing was written.
        StoreExistsError: Something is there.

    Example:
        >>> import zarr_vectors as zv
        >>> _ = zv.create("memory://create-doc", bounds=([0, 0], [9, 9]), attributes={"i": "float32"})
        >>> zv.open("memory://create-doc")[0].attributes["i"].dtype
        dtype('float32')
    """
    if kind not in list(KINDS):
        raise InputError("kind is not known", got=repr(kind), expected=f"one of {', '.join(KINDS)}")
    if mode == "append":
        raise InputError("create makes a store; it cannot append", hint="use mode='replace', or write the rows")
    if attributes is not None and not isinstance(attributes, Mapping):
        raise InputError("attributes must be {name: dtype}", got=type(attributes).__name__)
    ndim = _rank_of(bounds)
    low, high = as_bounds(bounds, ndim)
    empty = _empty_value(
        KINDS[kind],
        np.empty((0, ndim), dtype=_dtype_of("dtype", dtype)),
        attributes={name: _empty_column(name, given) for name, given in (attributes or {}).items()},
        links={name: _empty_column(name, given) for name, given in (link_attributes or {}).items()},
        options={"objects": objects, "corners": corners, "directed": directed},
    )
    return write(
        target,
        empty,
        mode=mode,
        layout=layout,
        bounds=(low.tolist(), high.tolist()),
        axes=axes,
        crs=crs,
        per_fragment=per_fragment,
        backend=backend,
        storage_options=storage_options,
    )


def _empty_value(
    kind: Kind, positions: AnyArray, attributes: Mapping[str, Any], links: Mapping[str, Any], options: Mapping[str, Any]
) -> Geometry:
    """A value without vertices that has all that its kind may have."""
    if links and kind.connects not in ("tree", "links"):
        raise InputError("link_attributes are for graphs, skeletons and meshes", got=kind.geometry_type)
    none = np.zeros(0, dtype=np.int64)
    if kind.value is Mesh:
        corners = options["corners"]
        if isinstance(corners, bool) or not isinstance(corners, (int, np.integer)) or corners < 3:
            raise InputError("corners must be a whole number from 3", got=repr(corners))
        faces = np.zeros((0, int(corners)), dtype=np.int64)
        return Mesh(positions, faces, attributes=attributes, face_attributes=links, object_ids=none)
    if kind.value is Graph:
        directed = bool(options["directed"])
        return Graph(positions, attributes=attributes, edge_attributes=links, object_ids=none, directed=directed)
    if kind.value is Skeleton:
        return Skeleton(positions, attributes=attributes, edge_attributes=links, object_ids=none)
    if kind.value is Points:
        return Points(positions, attributes=attributes, object_ids=none if options["objects"] else None)
    lines = Lines if kind.value is Lines else Polylines
    return lines(positions, np.zeros(1, dtype=np.int64), attributes=attributes, kind=kind.geometry_type)


def _rank_of(bounds: Any) -> int:
    try:
        return len(bounds[0])
    except (TypeError, IndexError, KeyError) as error:
        raise InputError("bounds must be (min corner, max corner)", got=repr(bounds)) from error


def _empty_column(name: str, given: Any) -> Any:
    dtype, channels = given if isinstance(given, (tuple, list)) and len(given) == 2 else (given, 1)
    if isinstance(channels, bool) or not isinstance(channels, (int, np.integer)) or channels < 1:
        raise InputError(f"attribute {name!r} must have a whole number of channels from 1", got=repr(channels))
    if (isinstance(dtype, str) and dtype in {"text", "str"}) or dtype is str:
        return np.empty(0, dtype=object)
    shape = (0,) if channels == 1 else (0, int(channels))
    return np.empty(shape, dtype=_dtype_of(f"dtype of attribute {name!r}", dtype))


def _dtype_of(what: str, given: Any) -> np.dtype[Any]:
    if given is None:
        raise InputError(f"{what} must be given", hint="for example 'float32', or 'text' for an attribute")
    try:
        dtype: np.dtype[Any] = np.dtype(given)
    except (TypeError, ValueError) as error:
        raise InputError(f"{what} is not one of numpy's", got=repr(given), hint="for example 'float32'") from error
    return dtype
