"""What the formats of meshes share: faces of one width, objects in batches, and what a file cannot hold."""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterator, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np

from zarr_vectors.axes import Axis
from zarr_vectors.exceptions import ExportError, IngestError
from zarr_vectors.formats.base import WITHOUT_GROUPS, WITHOUT_OBJECT_ATTRIBUTES, ReadOptions
from zarr_vectors.geometry import Categorical, Column, Mesh, take_column
from zarr_vectors.typing import AnyArray, IntArray

__all__ = [
    "NAME",
    "XYZ_NAMES",
    "Polygons",
    "axis_names",
    "face_objects",
    "keep_wanted",
    "name_column",
    "names_of",
    "object_batches",
    "object_slices",
    "refuse_others",
    "xyz_positions",
]

NAME = "name"
"""The object attribute that holds the names of objects."""
XYZ_NAMES = ("x", "y", "z")
TRIANGULATE = "read it with ReadOptions(triangulate=True), or --triangulate, which cuts polygons into triangles"


@dataclass(frozen=True)
class Polygons:
    """The faces of a file, which may differ in their number of corners.

    Args:
        path: The file.
        counts: ``(F,)`` number of corners of each face.
        corners: ``(T,)`` vertex rows of all faces, one face after the other.
        place: Says where the file has a face, such as ``"line 7"``.
    """

    path: Path
    counts: IntArray
    corners: IntArray
    place: Callable[[int], str]

    def check(self, vertices: int) -> None:
        """Refuse faces that name a vertex that there is not, or that have less than three corners."""
        bad = np.flatnonzero((self.corners < 0) | (self.corners >= vertices))
        if len(bad):
            face = int(np.searchsorted(np.cumsum(self.counts), bad[0], side="right"))
            got = f"vertex {self.corners[bad[0]]} in {self.place(face)}, counted from 0"
            expected = f"vertices 0 to {vertices - 1}" if vertices else "no faces, as there are no vertices"
            raise IngestError(f"{self.path} has a face with a vertex that there is not", expected=expected, got=got)
        thin = np.flatnonzero(self.counts < 3)
        if len(thin):
            got = f"{self.counts[thin[0]]} in {self.place(int(thin[0]))}"
            raise IngestError(f"{self.path} has a face that is no polygon", expected="3 corners or more", got=got)

    def even(self, *, triangulate: bool) -> tuple[IntArray, IntArray | None]:
        """Faces that all have one width, and of which polygon each is a part; None where each is one.

        Returns:
            ``(F, W)`` vertex rows and ``(F,)`` polygons.

        Raises:
            IngestError: The widths differ and polygons are not to be cut.
        """
        if not len(self.counts):
            return np.zeros((0, 3), np.int64), None
        width = int(self.counts[0])
        odd = np.flatnonzero(self.counts != width)
        if triangulate and (width > 3 or len(odd)):
            return self._fans()
        if len(odd):
            face = int(odd[0])
            raise IngestError(
                f"{self.path} has faces of several widths, and a mesh has one",
                expected=f"{width} corners, as in {self.place(0)}",
                got=f"{self.counts[face]} in {self.place(face)}",
                hint=TRIANGULATE,
            )
        return self.corners.reshape(-1, width), None

    def _fans(self) -> tuple[IntArray, IntArray]:
        parts = self.counts - 2
        polygons = np.repeat(np.arange(len(parts)), parts)
        first = (np.cumsum(self.counts) - self.counts)[polygons]
        turn = np.arange(len(polygons)) - (np.cumsum(parts) - parts)[polygons]
        return self.corners[np.stack([first, first + turn + 1, first + turn + 2], axis=1)], polygons


def name_column(names: Sequence[str | None]) -> Categorical:
    """Names of objects or faces; None where there is none. Categories keep the order in which they appear."""
    known = {name: code for code, name in enumerate(dict.fromkeys(name for name in names if name is not None))}
    codes = np.array([-1 if name is None else known[name] for name in names], np.int32)
    return Categorical(codes, tuple(known))


def object_batches(mesh: Mesh, rows: int) -> Iterator[Mesh]:
    """A mesh in batches of whole objects with about ``rows`` vertices each; each with the tables of its objects."""
    ids, owners = mesh.objects, mesh.object_ids
    if ids is None or owners is None or mesh.vertex_count <= rows:
        yield mesh
        return
    order = np.argsort(ids, kind="stable")
    sizes = np.bincount(np.searchsorted(ids[order], owners), minlength=len(ids))
    batch = (np.cumsum(sizes) - sizes) // rows
    for number in np.unique(batch):
        mine = order[batch == number]
        part = mesh.within(np.isin(owners, ids[mine]))
        tables = {name: take_column(column, mine) for name, column in mesh.object_attributes.items()}
        yield replace(part, objects=ids[mine], object_attributes=tables)


def keep_wanted(path: Path, mesh: Mesh, options: ReadOptions) -> Mesh:
    """A mesh with the attributes of vertices and faces that the options name.

    Raises:
        IngestError: One of them is not there, or the options name other positions than x, y and z, or object ids.
    """
    if options.positions not in {None, XYZ_NAMES}:
        raise IngestError(f"{path} cannot give these positions", expected="x, y, z", got=list(options.positions or ()))
    if options.object_ids is not None:
        raise IngestError(f"{path} has no column of object ids", got=repr(options.object_ids))
    if options.attributes is None:
        return mesh
    available = [*mesh.attributes, *mesh.face_attributes]
    if unknown := [name for name in options.attributes if name not in available]:
        raise IngestError(f"{path} lacks wanted attributes", expected=f"some of {available}", got=unknown)
    return replace(
        mesh,
        attributes={name: column for name, column in mesh.attributes.items() if name in options.attributes},
        face_attributes={name: column for name, column in mesh.face_attributes.items() if name in options.attributes},
    )


def axis_names(axes: Sequence[Axis]) -> list[tuple[str, int]]:
    """The name in a file and the column of each coordinate, x, y and z first.

    Axes named x, y and z keep their names whatever their order; others are taken as x, y and z in order. A fourth axis
    keeps its name.

    Example:
        >>> axis_names([Axis("z"), Axis("y"), Axis("x")])
        [('x', 2), ('y', 1), ('z', 0)]
    """
    names = [axis.name.lower() for axis in axes]
    if not (set(names) <= set(XYZ_NAMES) or set(XYZ_NAMES) <= set(names)):
        names = [*XYZ_NAMES[: len(names)], *names[len(XYZ_NAMES) :]]
    rank = {name: index for index, name in enumerate(XYZ_NAMES)}
    return [(names[axis], axis) for axis in sorted(range(len(names)), key=lambda axis: rank.get(names[axis], 3))]


def xyz_positions(what: str, mesh: Mesh, axes: Sequence[Axis]) -> AnyArray:
    """``(N, 3)`` coordinates in the order x, y, z; an axis that a mesh of two axes lacks is 0.

    Raises:
        ExportError: There are not 2 or 3 axes.
    """
    if mesh.ndim not in {2, 3}:
        raise ExportError(f"{what} cannot hold this mesh", expected="2 or 3 axes", got=f"{mesh.ndim} axes")
    positions = np.zeros((mesh.vertex_count, 3), mesh.positions.dtype)
    for name, column in axis_names(axes):
        positions[:, XYZ_NAMES.index(name)] = mesh.positions[:, column]
    return positions


def refuse_others(
    what: str, mesh: Mesh, *, vertex: Collection[str] = (), face: Collection[str] = (), objects: Collection[str] = ()
) -> None:
    """Raise ``ExportError`` naming what a mesh has beyond the names that a format can hold, or if it is no mesh."""
    if not isinstance(mesh, Mesh):
        raise ExportError(f"{what} holds meshes", got=getattr(mesh, "geometry_type", type(mesh).__name__))
    tables = (
        ("attributes", mesh.attributes, vertex, "pass attributes without them"),
        ("face attributes", mesh.face_attributes, face, "export a mesh without them"),
        ("object attributes", mesh.object_attributes, objects, WITHOUT_OBJECT_ATTRIBUTES),
        ("groups", mesh.groups, (), WITHOUT_GROUPS),
    )
    for noun, given, held, hint in tables:
        if others := [name for name in given if name not in held]:
            expected = f"some of {list(held)}" if held else "none"
            raise ExportError(f"{what} cannot hold these {noun}", expected=expected, got=others, hint=hint)


def names_of(mesh: Mesh) -> dict[int, str | None]:
    """The name of each object that has one."""
    column: Column | None = mesh.object_attributes.get(NAME)
    if column is None or mesh.objects is None:
        return {}
    if not isinstance(column, Categorical):
        raise ExportError(f"the object attribute {NAME!r} must be text", got=column.dtype.name)
    return dict(zip(mesh.objects.tolist(), np.asarray(column).tolist(), strict=True))


def face_objects(mesh: Mesh) -> IntArray:
    """``(F,)`` owner of each face; 0 where the mesh is one object.

    Raises:
        ExportError: A face connects objects.
    """
    if mesh.object_ids is None:
        return np.zeros(mesh.face_count, np.int64)
    owners = mesh.object_ids[mesh.faces]
    apart = np.flatnonzero((owners != owners[:, :1]).any(axis=1))
    if len(apart):
        got = f"objects {np.unique(owners[apart[0]]).tolist()} in face {apart[0]}"
        raise ExportError("a face must belong to one object", got=got)
    return owners[:, 0]


def object_slices(mesh: Mesh) -> Iterator[tuple[int, IntArray, IntArray]]:
    """For each object of a mesh, in order of its first vertex: its id, its vertices and its faces, in their order."""
    vertex_ids = np.zeros(mesh.vertex_count, np.int64) if mesh.object_ids is None else mesh.object_ids
    ids, first = np.unique(vertex_ids, return_index=True)
    vertices, faces = _grouped(vertex_ids, ids), _grouped(face_objects(mesh), ids)
    for at in np.argsort(first):
        yield int(ids[at]), vertices[at], faces[at]


def _grouped(owners: IntArray, ids: IntArray) -> list[IntArray]:
    order = np.argsort(owners, kind="stable")
    return np.split(order, np.searchsorted(owners[order], ids[1:])) if len(ids) else []
