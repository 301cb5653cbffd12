"""Wavefront OBJ meshes, read and written in plain numpy."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from itertools import chain
from pathlib import Path
from typing import Any, TextIO

import numpy as np

from zarr_vectors.axes import as_axes
from zarr_vectors.constants import GEOM_MESH
from zarr_vectors.exceptions import ExportError
from zarr_vectors.formats.base import ExportContext, Format, ReadOptions, Source
from zarr_vectors.formats.meshes import (
    NAME,
    keep_wanted,
    names_of,
    object_batches,
    object_slices,
    refuse_others,
    xyz_positions,
)
from zarr_vectors.formats.numbers import words_of
from zarr_vectors.formats.obj_reader import ObjFile
from zarr_vectors.geometry import Categorical, Mesh
from zarr_vectors.typing import AnyArray, IntArray

__all__ = ["OBJ"]

STATES = {"object": "o", "group": "g", "material": "usemtl"}
"""Attributes of faces, and the statements that say them."""
ROWS = 1 << 16


def _open(path: Path, options: ReadOptions) -> Source:
    """Read an OBJ file.

    Positions are float64. Colours after the coordinates become the attribute ``color``, weights other than 1 ``w``.
    Each ``o`` is an object, or each ``g`` where there is no ``o``, with its name as object attribute ``name``; where
    two share a vertex, the file is one object and the face attribute ``object`` or ``group`` says which. Beside ``o``
    the groups are the face attribute ``group``, and ``usemtl`` is ``material``. Texture coordinates and normals become
    the attributes ``texcoord`` and ``normal`` if every vertex has one and the same at all its corners, NaN at vertices
    of no face; otherwise they are named in ``headers["obj"]["dropped"]``. Lines, points, smoothing groups and curves
    are counted in ``headers["obj"]["ignored_elements"]``. A mesh must be held whole, and so the file is.

    Raises:
        IngestError: Not OBJ, a face without its vertices, or faces of several widths and not ``options.triangulate``.
    """
    file = ObjFile(path)
    mesh = keep_wanted(path, file.mesh(triangulate=options.triangulate), options)
    return Source(
        batches=object_batches(mesh, options.batch_rows),
        rows=mesh.vertex_count,
        axes=as_axes("xyz", 3),
        headers={"obj": file.facts},
    )


def _export(path: Path, batches: Iterator[Mesh], context: ExportContext) -> int:
    """Write an OBJ file of float text that gives the same numbers again; returns the number of vertices.

    What ``open`` makes of a file is written as it was: ``color`` (uint8 as parts of 255), ``w``, ``normal`` and
    ``texcoord`` of vertices, ``object``, ``group`` and ``material`` of faces, ``name`` of objects. Objects come one
    after the other, so that vertices and faces move together when they were not; their ids are not said. Comments and
    material libraries come from ``headers["obj"]``. A third axis that is missing is 0.

    Raises:
        ExportError: Other attributes, groups, or a name that OBJ cannot hold; no file is left.
    """
    kept = context.headers.get("obj") or {}
    rows, complete = 0, False
    file = path.open("x", encoding="utf-8", newline="\n")
    try:
        with file:
            for keyword, key in (("#", "comments"), ("mtllib", "mtllib")):
                lines = kept.get(key, [])
                if not isinstance(lines, list):
                    raise ExportError("headers/obj is not what an ingest keeps", expected="lists", got=repr(lines))
                file.writelines(f"{keyword} {line}\n" for text in lines for line in str(text).splitlines())
            file.write("# zarr_vectors\n" if not kept.get("comments") else "")
            for mesh in batches:
                _check(mesh)
                _write(file, mesh, xyz_positions("OBJ", mesh, context.axes), rows)
                rows += mesh.vertex_count
        complete = True
    finally:
        if not complete:
            path.unlink(missing_ok=True)
    return rows


def _check(mesh: Mesh) -> None:
    refuse_others("OBJ", mesh, vertex=("color", "w", "normal", "texcoord"), face=tuple(STATES), objects=(NAME,))
    widths = {"color": (3, 4), "normal": (3,), "texcoord": (1, 2, 3), "w": (0,)}
    for name, column in mesh.attributes.items():
        channels = column.shape[1] if len(column.shape) == 2 else 0
        if isinstance(column, Categorical) or column.dtype.kind not in "fiu" or channels not in widths[name]:
            expected = f"numbers in {' or '.join(map(str, widths[name]))} channels"
            got = f"{column.dtype.name} of shape {column.shape}"
            raise ExportError(f"OBJ cannot hold attribute {name!r}", expected=expected, got=got)
    if "w" in mesh.attributes and "color" in mesh.attributes:
        raise ExportError("OBJ cannot hold both attributes 'w' and 'color'", expected="one of them")
    for name, column in mesh.face_attributes.items():
        if not isinstance(column, Categorical):
            raise ExportError(f"OBJ cannot hold face attribute {name!r}", expected="text", got=column.dtype.name)
    if "object" in mesh.face_attributes and len(np.unique(mesh.object_ids if mesh.object_ids is not None else ())) > 1:
        raise ExportError("OBJ cannot hold the face attribute 'object' beside several objects")


def _write(file: TextIO, mesh: Mesh, positions: AnyArray, before: int) -> None:
    names = names_of(mesh)
    lone = mesh.object_ids is None
    new = np.empty(mesh.vertex_count, np.int64)
    done = before
    for owner, vertices, faces in object_slices(mesh):
        new[vertices] = np.arange(done + 1, done + 1 + len(vertices))
        done += len(vertices)
        # Without o, a reader would take groups for objects.
        if "object" not in mesh.face_attributes and (not lone or "group" in mesh.face_attributes):
            file.write(_statement("o", names.get(owner)))
        _write_vertices(file, mesh, positions, vertices)
        slots = [name in mesh.attributes for name in ("texcoord", "normal")]
        for start, end, state in _runs(mesh, faces):
            file.write(state)
            for at in range(start, end, ROWS):
                _write_faces(file, new[mesh.faces[faces[at : min(at + ROWS, end)]]], slots)


def _write_vertices(file: TextIO, mesh: Mesh, positions: AnyArray, vertices: IntArray) -> None:
    columns = [positions]
    for name in ("w", "color"):
        if name in mesh.attributes:
            column = np.asarray(mesh.attributes[name])
            columns.append(column / 255.0 if column.dtype == np.uint8 and name == "color" else column)
    _write_rows(file, "v", columns, vertices)
    for keyword, name in (("vt", "texcoord"), ("vn", "normal")):
        if name in mesh.attributes:
            _write_rows(file, keyword, [np.asarray(mesh.attributes[name])], vertices)


def _write_rows(file: TextIO, keyword: str, columns: Sequence[AnyArray], rows: IntArray) -> None:
    for at in range(0, len(rows), ROWS):
        block = [column.reshape(len(column), -1)[rows[at : at + ROWS]] for column in columns]
        words = [words_of(table[:, channel]) for table in block for channel in range(table.shape[1])]
        file.writelines(f"{keyword} {' '.join(row)}\n" for row in zip(*words, strict=True))


def _write_faces(file: TextIO, faces: IntArray, slots: Sequence[bool]) -> None:
    texture, normal = slots
    corner = "%d" + ("/%d" if texture else "/" if normal else "") + ("/%d" if normal else "")
    line = "f" + f" {corner}" * faces.shape[1] + "\n"
    rows = np.repeat(faces, 1 + texture + normal, axis=1)
    file.writelines(line % tuple(row) for row in rows.tolist())


def _runs(mesh: Mesh, faces: IntArray) -> Iterator[tuple[int, int, str]]:
    """Stretches of faces with the same statements, and these where they change; all come out together."""
    said = {name: column for name, column in mesh.face_attributes.items() if isinstance(column, Categorical)}
    codes = np.stack([column.codes[faces] for column in said.values()], axis=1) if said else np.empty((len(faces), 0))
    changes = np.flatnonzero((codes[1:] != codes[:-1]).any(axis=1)) + 1
    last: dict[str, Any] = {}
    for start, end in zip(chain([0], changes.tolist()), chain(changes.tolist(), [len(faces)]), strict=True):
        state = ""
        for name, keyword in STATES.items():
            if name in said and start < end:
                text = said[name][int(faces[start])]
                state += _statement(keyword, text) if name not in last or last[name] != text else ""
                last[name] = text
        yield start, end, state


def _statement(keyword: str, name: Any) -> str:
    if name is None:
        return f"{keyword}\n"
    text = str(name)
    if text != text.strip() or not text or not text.isprintable() or text.endswith("\\"):
        raise ExportError("OBJ cannot hold this name", expected="one line without blanks around it", got=repr(name))
    if text.startswith("#") or " #" in text:
        raise ExportError("OBJ cannot hold this name", expected="no word that begins with '#'", got=repr(name))
    return f"{keyword} {text}\n"


OBJ = Format(
    name="obj",
    suffixes=(".obj",),
    description="Wavefront OBJ meshes",
    open=_open,
    export=_export,
    kinds=(GEOM_MESH,),
)
