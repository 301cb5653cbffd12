"""Writing Neuroglancer precomputed folders."""

from __future__ import annotations

import json
import math
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from zarr_vectors.axes import Axis
from zarr_vectors.exceptions import ExportError
from zarr_vectors.formats.base import ExportContext
from zarr_vectors.formats.forest import components
from zarr_vectors.formats.precomputed_bytes import DTYPES, Segment, VertexAttribute, encode_fragment, encode_skeleton
from zarr_vectors.formats.precomputed_properties import FOLDER, Gathered
from zarr_vectors.formats.splitting import split_objects
from zarr_vectors.formats.xyz_axes import xyz_columns
from zarr_vectors.geometry import Categorical, Column, Geometry, Graph, Linked, Mesh, Skeleton, take_column
from zarr_vectors.typing import AnyArray, FloatArray

__all__ = ["LEGACY_MESH", "SKELETONS", "as_transform", "export_precomputed"]

SKELETONS = "neuroglancer_skeletons"
LEGACY_MESH = "neuroglancer_legacy_mesh"

_NANOMETERS = {
    "angstrom": 0.1,
    "nanometer": 1.0,
    "micrometer": 1e3,
    "millimeter": 1e6,
    "centimeter": 1e7,
    "meter": 1e9,
}
_LEAVE_OUT = "leave it out with attributes= (--attributes)"
_IDENTITY = np.eye(3, 4)


def as_transform(value: Any) -> FloatArray | None:
    """Twelve numbers as a ``(3, 4)`` matrix; None for anything else.

    Example:
        >>> as_transform([2, 0, 0, 0, 0, 2, 0, 0, 0, 0, 2, 5])[2].tolist()
        [0.0, 0.0, 2.0, 5.0]
    """
    numbers = value if isinstance(value, Sequence) and not isinstance(value, str) and len(value) == 12 else []
    if not numbers or not all(type(number) in {int, float} and math.isfinite(number) for number in numbers):
        return None
    return np.array(numbers, dtype=np.float64).reshape(3, 4)


def export_precomputed(path: Path, first: Geometry, batches: Iterator[Geometry], context: ExportContext) -> int:
    """Write a folder of skeletons or meshes, a file for each object; returns the number of vertices.

    Positions are rounded to float32, the only type of the format, and so are attributes of float64. Integers of 64
    bits are written as 32 bits where they fit, bool as uint8. Axes in a metric unit other than nanometers get a
    transform (skeletons) or are converted (meshes); without a unit they are taken for nanometers. The parents of
    skeletons become edges, which have no direction: read back, the first vertex of a tree is its root. Object
    attributes become segment properties and groups their tags; a CRS has no place.

    Raises:
        ExportError: Negative object ids, or something that the format cannot hold.
    """
    columns = xyz_columns("precomputed", context.axes)
    mesh = isinstance(first, Mesh)
    header = dict(context.headers.get("precomputed") or {})
    kind = LEGACY_MESH if mesh else SKELETONS
    kept = header if header.get("@type") == kind else {}
    transform, inverse = _transforms(context.axes, kept)
    attributes = _attributes(first, kept)
    gathered = Gathered()
    path.mkdir()
    rows, done = 0, set()
    for batch in batches:
        _check(batch, first, attributes)
        gathered.add(batch)
        if not batch.vertex_count and batch.objects is None:
            continue
        for key, value in split_objects(batch):
            if key < 0 or key in done:
                got = f"object {key}" + (" in two batches" if key in done else "")
                raise ExportError("precomputed segments are numbered from 0, each once", got=got)
            done.add(key)
            if isinstance(value, Skeleton):
                value = _roots_first(value)  # noqa: PLW2901
            positions = value.positions[:, columns]
            if mesh:
                moved = positions if transform is None else positions.astype(np.float64) @ transform[:, :3].T
                (path / f"{key}:0:0").write_bytes(encode_fragment(_segment(value, moved, ())))
                (path / f"{key}:0").write_text(json.dumps({"fragments": [f"{key}:0:0"]}))
            else:
                moved = positions if inverse is None else (positions - inverse[:, 3]) @ inverse[:, :3].T
                (path / str(key)).write_bytes(encode_skeleton(_segment(value, moved, attributes)))
            rows += value.vertex_count
    info: dict[str, Any] = {name: entry for name, entry in kept.items() if name not in {"sharding", "spatial_index"}}
    info |= {"@type": kind}
    info.pop("segment_properties", None)
    if not mesh:
        info["transform"] = (_IDENTITY if transform is None else transform).ravel().tolist()
        info["vertex_attributes"] = [entry.to_json() for entry in attributes]
    if gathered.write(path / FOLDER):
        info["segment_properties"] = FOLDER
    (path / "info").write_text(json.dumps(info))
    return rows


def _transforms(axes: Sequence[Axis], kept: Mapping[str, Any]) -> tuple[FloatArray | None, FloatArray | None]:
    """The transform of ``info``, and what makes stored positions from those of the store: offset last."""
    units = {axis.unit for axis in axes}
    unknown = units - {None, *_NANOMETERS}
    if unknown or len(units) > 1:
        raise ExportError(
            "precomputed positions are in nanometers",
            expected=f"one of the units {', '.join(_NANOMETERS)} for all axes",
            got=sorted(map(str, units)),
        )
    factor = _NANOMETERS.get(next(iter(units), None) or "nanometer", 1.0)
    if factor != 1:
        return _IDENTITY * factor, None
    transform = as_transform(kept.get("transform"))
    if transform is None or np.array_equal(transform, _IDENTITY) or not np.linalg.det(transform[:, :3]):
        return None, None
    return transform, np.column_stack([np.linalg.inv(transform[:, :3]), transform[:, 3]])


def _attributes(first: Geometry, header: Mapping[str, Any]) -> tuple[VertexAttribute, ...]:
    """Those of a value, in the order of the header that it came with."""
    order = [entry.get("id") for entry in header.get("vertex_attributes") or () if isinstance(entry, Mapping)]
    found = []
    for name in sorted(first.attributes, key=lambda name: order.index(name) if name in order else len(order)):
        column = first.attributes[name]
        what = f"attribute {name!r}"
        if isinstance(first, Mesh):
            raise ExportError(f"legacy meshes have no vertex attributes, such as {name!r}", hint=_LEAVE_OUT)
        if isinstance(column, Categorical) or column.ndim > 2 or column.dtype.kind not in "biuf":
            got = "text" if isinstance(column, Categorical) else f"{column.dtype} of shape {column.shape}"
            raise ExportError(f"precomputed skeletons cannot hold {what}", expected="numbers", got=got, hint=_LEAVE_OUT)
        dtype = column.dtype.newbyteorder("=")
        name_of = {"b": "uint8", "f": "float32"}.get(dtype.kind, {"int64": "int32", "uint64": "uint32"}.get(dtype.name))
        channels = 1 if column.ndim == 1 else column.shape[1]
        found.append(VertexAttribute(name, DTYPES[name_of or dtype.name], channels))
    return tuple(found)


def _check(batch: Geometry, first: Geometry, attributes: Sequence[VertexAttribute]) -> None:
    if type(batch) is not type(first) or set(batch.attributes) != {entry.name for entry in attributes}:
        raise ExportError("all batches must be of one kind with the same attributes", got=sorted(batch.attributes))
    if isinstance(batch, (Graph, Skeleton)) and batch.edge_attributes:
        raise ExportError("precomputed skeletons cannot hold edge attributes", got=sorted(batch.edge_attributes))
    if isinstance(batch, Graph) and batch.directed:
        raise ExportError("the edges of precomputed skeletons have no direction, those of the graph have")
    if isinstance(batch, Mesh):
        if batch.face_attributes:
            raise ExportError("legacy meshes cannot hold face attributes", got=sorted(batch.face_attributes))
        if len(batch.faces) and batch.faces.shape[1] != 3:
            raise ExportError("legacy meshes have triangles", got=f"faces of {batch.faces.shape[1]} corners")


def _roots_first(value: Skeleton) -> Skeleton:
    """With the roots before all others, unless each is the first of its tree: edges do not say which vertex is one."""
    firsts = components(value.edges, value.vertex_count) == np.arange(value.vertex_count)
    if (value.parents[firsts] < 0).all():
        return value
    order = np.argsort(value.parents >= 0, kind="stable")
    rank = np.empty_like(order)
    rank[order] = np.arange(len(order))
    parents = value.parents[order]
    return Skeleton(
        value.positions[order],
        np.where(parents < 0, -1, rank[parents]),
        attributes={name: take_column(column, order) for name, column in value.attributes.items()},
    )


def _segment(value: Geometry, positions: AnyArray, attributes: Sequence[VertexAttribute]) -> Segment:
    links = value.links if isinstance(value, Linked) else np.zeros((0, 2), dtype=np.int64)
    return Segment(positions, links, {entry.name: _values(value.attributes[entry.name], entry) for entry in attributes})


def _values(column: Column, entry: VertexAttribute) -> AnyArray:
    if isinstance(column, Categorical) or np.ma.is_masked(column):
        raise ExportError(f"precomputed skeletons cannot hold missing values in {entry.name!r}", hint=_LEAVE_OUT)
    values = np.asarray(column)
    with np.errstate(all="ignore"):
        cast = values.astype(entry.dtype)
    lost = cast != values if entry.dtype.kind != "f" else np.isinf(cast) & np.isfinite(values)
    if lost.any():
        row = int(np.argwhere(lost)[0, 0])
        raise ExportError(
            f"precomputed skeletons cannot hold attribute {entry.name!r}",
            expected=f"numbers that fit in {entry.dtype.name}",
            got=f"{values[row]}",
            hint=_LEAVE_OUT,
        )
    return cast
