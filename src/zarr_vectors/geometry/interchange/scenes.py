"""Values as those of trimesh and pyvista, which live in three axes of space."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np

from zarr_vectors.axes import Axis
from zarr_vectors.exceptions import InputError
from zarr_vectors.geometry.columns import Categorical, Column, as_column
from zarr_vectors.geometry.interchange.plain import plain_column
from zarr_vectors.geometry.interchange.tables import OBJECT_ID, ROW_ID, check_row_id_name
from zarr_vectors.optional import require
from zarr_vectors.typing import AnyArray, IntArray

__all__ = [
    "cells_of",
    "in_space",
    "links_of",
    "poly_data",
    "poly_fields",
    "space_columns",
    "surface",
    "triangles",
    "vertex_data",
]


def space_columns(axes: tuple[Axis, ...]) -> list[int] | None:
    """The columns of x, y and z; axes of other names are taken in their order. None where they are not three of space.

    Example:
        >>> space_columns((Axis("z"), Axis("y"), Axis("x"))), space_columns((Axis("x"), Axis("y")))
        ([2, 1, 0], None)
    """
    names = [axis.name.lower() for axis in axes]
    if len(axes) != 3 or any(axis.type == "time" for axis in axes):
        return None
    return [names.index(letter) for letter in "xyz"] if set(names) == set("xyz") else [0, 1, 2]


def in_space(positions: AnyArray, axes: tuple[Axis, ...]) -> AnyArray:
    """``(N, 3)`` float64 positions in the order x, y, z; those of two axes lie at z = 0.

    Raises:
        InputError: There are other axes than two or three of space.
    """
    if len(axes) == 2 and not any(axis.type == "time" for axis in axes):
        positions, axes = np.column_stack([positions, np.zeros(len(positions))]), (*axes, Axis("z"))
    columns = space_columns(axes)
    if columns is None:
        raise InputError("this needs positions of two or three axes of space", got=f"axes {[a.name for a in axes]}")
    return np.ascontiguousarray(positions[:, columns], dtype=np.float64)


def vertex_data(
    attributes: Mapping[str, Column], object_ids: IntArray | None, row_ids: IntArray | None
) -> dict[str, AnyArray]:
    """What is known of each vertex, as plain arrays.

    Raises:
        InputError: An attribute is called like the ids.
    """
    check_row_id_name(attributes, row_ids)
    found = {name: plain_column(name, column) for name, column in attributes.items()}
    for name, ids in ((OBJECT_ID, object_ids), (ROW_ID, row_ids)):
        if ids is not None and name in found:
            raise InputError(f"there are {name}s, and an attribute of that name", hint="leave the attribute out")
        found |= {} if ids is None else {name: ids}
    return found


def triangles(faces: IntArray, attributes: Mapping[str, AnyArray]) -> tuple[IntArray, dict[str, AnyArray]]:
    """``(T, 3)`` triangles of faces, in their winding; those of polygons are fans that have the polygon's values.

    Example:
        >>> triangles(np.array([[0, 1, 2, 3]]), {"n": np.array([7])})
        (array([[0, 1, 2],
               [0, 2, 3]]), {'n': array([7, 7])})
    """
    turns = faces.shape[1] - 2
    corners = np.stack([np.stack([faces[:, 0], faces[:, n], faces[:, n + 1]], axis=1) for n in range(1, turns + 1)], 1)
    return corners.reshape(-1, 3), {name: np.repeat(values, turns, axis=0) for name, values in attributes.items()}


def surface(
    points: AnyArray, faces: IntArray, vertices: Mapping[str, AnyArray], attributes: Mapping[str, AnyArray]
) -> Any:
    """A ``trimesh.Trimesh``; nothing is merged, dropped or turned.

    Raises:
        MissingDependencyError: trimesh is not installed.
    """
    trimesh = require("trimesh")
    corners, of_faces = triangles(faces, attributes)
    return trimesh.Trimesh(
        points, corners, vertex_attributes=dict(vertices), face_attributes=of_faces, process=False, validate=False
    )


def poly_data(
    points: AnyArray,
    cells: Mapping[str, AnyArray],
    vertices: Mapping[str, AnyArray],
    attributes: Mapping[str, AnyArray],
) -> Any:
    """A ``pyvista.PolyData``.

    Args:
        points: ``(N, 3)``.
        cells: Of one sort, ``verts``, ``lines`` or ``faces``: for each its size and its points.
        vertices: Point data.
        attributes: Cell data.

    Raises:
        InputError: VTK holds no such data.
        MissingDependencyError: pyvista is not installed.
    """
    pyvista = require("pyvista")
    poly = pyvista.PolyData()
    poly.points = points
    for name, connections in cells.items():
        if len(connections):
            setattr(poly, name, connections)
    for data, columns in ((poly.point_data, vertices), (poly.cell_data, attributes)):
        for name, values in columns.items():
            plain = _vtk_values(name, values)
            if len(plain):
                # VTK keeps no arrays of nothing.
                data[name] = plain
    return poly


def _vtk_values(name: str, values: AnyArray) -> AnyArray:
    if values.dtype.kind not in "biufO" or values.ndim > 2:
        raise InputError(f"VTK has no type for attribute {name!r}", got=f"dtype {values.dtype}", hint="leave it out")
    if values.dtype.kind == "O":
        return np.array(["" if word is None else word for word in values.tolist()], dtype=np.str_)
    least = np.float32 if values.dtype.kind == "f" else values.dtype
    return np.ascontiguousarray(values, dtype=np.promote_types(values.dtype, least).newbyteorder("="))


def cells_of(cells: Any) -> tuple[IntArray, IntArray]:
    """Where each cell begins, ``(C + 1,)``, and the points of all cells one after another, from a ``vtkCellArray``."""
    pyvista = require("pyvista")
    offsets, points = (pyvista.convert_array(part) for part in (cells.GetOffsetsArray(), cells.GetConnectivityArray()))
    starts = np.asarray(offsets, dtype=np.int64)
    return starts if len(starts) else np.zeros(1, dtype=np.int64), np.asarray(points, dtype=np.int64)


def links_of(cells: Any, width: int | None, what: str) -> IntArray:
    """``(E, L)`` points of cells that all have so many, any number for None.

    Raises:
        InputError: They have several sizes, or another one.
    """
    offsets, points = cells_of(cells)
    sizes = np.unique(np.diff(offsets)).tolist()
    if len(sizes) > 1 or (width is not None and sizes not in ([], [width])):
        raise InputError(f"all {what} must have the same number of points", expected=width, got=f"sizes {sizes}")
    return points.reshape(len(offsets) - 1, sizes[0] if sizes else (width or 3))


def poly_fields(poly: Any) -> tuple[dict[str, Any], dict[str, Column]]:
    """Fields of a value from a ``pyvista.PolyData``: its points and their data; and the data of cells.

    Text comes back as categories; empty text is missing.

    Raises:
        InputError: It is none.
    """
    if not all(hasattr(poly, name) for name in ("points", "point_data", "cell_data")):
        raise InputError("this is no PolyData of pyvista", got=type(poly).__name__)
    columns = _columns(poly.point_data)
    ids = {plural: columns.pop(name, None) for plural, name in (("object_ids", OBJECT_ID), ("row_ids", ROW_ID))}
    return {"positions": np.asarray(poly.points), "attributes": columns, **ids}, _columns(poly.cell_data)


def _columns(data: Any) -> dict[str, Column]:
    # Names with vtk in front are what filters of VTK note for themselves.
    return {name: _column(name, np.asarray(data[name])) for name in list(data) if not name.startswith("vtk")}


def _column(name: str, values: AnyArray) -> Column:
    if values.dtype.kind != "U":
        return values
    words: Categorical | Column = as_column(name, np.array([word or None for word in values.tolist()], dtype=object))
    return words
