"""STL meshes, binary and ascii, read and written in plain numpy."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from tempfile import TemporaryFile
from typing import Any, BinaryIO

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
from zarr_vectors.formats.stl_reader import HEADER_BYTES, RECORD, facet_normals, read_stl
from zarr_vectors.geometry import Categorical, Mesh
from zarr_vectors.typing import AnyArray, JsonObject

__all__ = ["STL"]

MOST_FACETS = (1 << 32) - 1
ROWS = 1 << 16


def _open(path: Path, options: ReadOptions) -> Source:
    """Read an STL file.

    Corners of a solid with bit-equal positions become one vertex, in order of appearance; positions are float32 from
    binary files and float64 from text. The facet normals are the face attribute ``normal`` where one of them is
    neither 0 nor, to a thousandth, the normal of its corners. The two bytes after each binary facet are the face
    attribute ``attribute`` where one is not 0. Each solid of an ascii file is an object with its name as object
    attribute ``name``, unless there is one without a name; solids without facets are named in
    ``headers["stl"]["dropped"]``. A mesh must be held whole, and so the file is.

    Raises:
        IngestError: Not STL, or truncated.
    """
    facets = read_stl(path)
    mesh = keep_wanted(path, facets.mesh(), options)
    return Source(
        batches=object_batches(mesh, options.batch_rows),
        rows=mesh.vertex_count,
        axes=as_axes("xyz", 3),
        headers={"stl": facets.facts},
    )


def _export(path: Path, batches: Iterator[Mesh], context: ExportContext) -> int:
    """Write an STL file; returns the number of vertices of the mesh.

    It is binary, or ascii where ``headers["stl"]`` says so or there are several objects or a name, which are solids
    of an ascii file. As is usual, binary STL rounds positions to float32 and no STL holds vertices of no face, nor the
    order of vertices, nor ids of objects. Normals are computed where there is no face attribute ``normal``. A third
    axis that is missing is 0.

    Raises:
        ExportError: Faces that are no triangles, other attributes, groups, or values that STL cannot hold.
    """
    kept = context.headers.get("stl") or {}
    rows, complete = 0, False
    solids: list[tuple[str | None, int]] = []
    file = path.open("xb")
    try:
        # What kind of file it becomes is known when all objects have been seen.
        with file, TemporaryFile(dir=path.parent) as spool:
            dtype: np.dtype[Any] | None = None
            for mesh in batches:
                _check(mesh)
                dtype = dtype or _spool_dtype(mesh)
                solids += _spool(spool, mesh, xyz_positions("STL", mesh, context.axes), dtype)
                rows += mesh.vertex_count
            spool.seek(0)
            named = len(solids) > 1 or any(name is not None for name, _ in solids)
            if named or kept.get("encoding") == "ascii":
                _write_ascii(file, spool, dtype or RECORD, solids)
            else:
                _write_binary(file, spool, dtype or RECORD, sum(count for _, count in solids), kept)
        complete = True
    finally:
        if not complete:
            path.unlink(missing_ok=True)
    return rows


def _spool_dtype(mesh: Mesh) -> np.dtype[Any]:
    wide = mesh.positions.dtype.name not in {"float32", "float16"}
    normal = np.asarray(mesh.face_attributes.get("normal", np.empty(0, np.float32))).dtype
    corner = "<f8" if wide else "<f4"
    return np.dtype(
        [
            ("normal", "<f8" if normal == np.float64 else "<f4", 3),
            ("corners", corner, (3, 3)),
            ("attribute", "<u2"),
        ]
    )


def _spool(spool: BinaryIO, mesh: Mesh, positions: AnyArray, dtype: np.dtype[Any]) -> list[tuple[str | None, int]]:
    """Write the facets of each object; returns names and numbers of facets."""
    names = names_of(mesh)
    solids: list[tuple[str | None, int]] = []
    for owner, _, faces in object_slices(mesh):
        for at in range(0, len(faces), ROWS):
            block = faces[at : at + ROWS]
            table = np.zeros(len(block), dtype)
            table["corners"] = positions[mesh.faces[block]]
            normals = mesh.face_attributes.get("normal")
            table["normal"] = facet_normals(table["corners"]) if normals is None else np.asarray(normals)[block]
            if "attribute" in mesh.face_attributes:
                table["attribute"] = np.asarray(mesh.face_attributes["attribute"])[block]
            spool.write(table.tobytes())
        solids.append((_name(names.get(owner)), len(faces)))
    return solids


def _check(mesh: Mesh) -> None:
    refuse_others("STL", mesh, face=("normal", "attribute"), objects=(NAME,))
    if mesh.face_count and mesh.faces.shape[1] != 3:
        got = f"faces of {mesh.faces.shape[1]} corners"
        raise ExportError("STL holds triangles only", got=got, hint="export to OBJ, OFF or PLY")
    for name, kinds, shape in (("normal", "f", (mesh.face_count, 3)), ("attribute", "u", (mesh.face_count,))):
        column = mesh.face_attributes.get(name)
        if column is None:
            continue
        fits = column.dtype.kind == kinds and (kinds == "f" or column.dtype.itemsize <= 2)
        if isinstance(column, Categorical) or not fits or column.shape != shape:
            expected = "3 floats" if kinds == "f" else "uint16"
            got = f"{column.dtype.name} of shape {column.shape}"
            raise ExportError(f"STL cannot hold face attribute {name!r}", expected=expected, got=got)


def _name(name: Any) -> str | None:
    if name is None:
        return None
    text = str(name)
    if text != text.strip() or not text or not text.isprintable():
        raise ExportError("STL cannot hold this name", expected="one line without blanks around it", got=repr(name))
    return text


def _blocks(spool: BinaryIO, dtype: np.dtype[Any], count: int) -> Iterator[AnyArray]:
    for at in range(0, count, ROWS):
        yield np.frombuffer(spool.read(min(ROWS, count - at) * dtype.itemsize), dtype)


def _write_binary(file: BinaryIO, spool: BinaryIO, dtype: np.dtype[Any], count: int, kept: JsonObject) -> None:
    if count > MOST_FACETS:
        raise ExportError("STL cannot hold so many faces", expected=f"at most {MOST_FACETS}", got=count)
    header = str(kept.get("header", "zarr_vectors")).encode("latin-1", errors="replace")
    file.write(header[:HEADER_BYTES].ljust(HEADER_BYTES, b"\0") + count.to_bytes(4, "little"))
    for block in _blocks(spool, dtype, count):
        table = np.empty(len(block), RECORD)
        with np.errstate(over="ignore"):
            for name in RECORD.names or ():
                table[name] = block[name]
        if (np.isfinite(table["corners"]) != np.isfinite(block["corners"])).any():
            raise ExportError("binary STL cannot hold positions beyond float32")
        file.write(table.tobytes())


def _write_ascii(file: BinaryIO, spool: BinaryIO, dtype: np.dtype[Any], solids: list[tuple[str | None, int]]) -> None:
    facet = ("facet normal {} {} {}\nouter loop\n" + "vertex {} {} {}\n" * 3 + "endloop\nendfacet\n").format
    for name, count in solids or [(None, 0)]:
        title = f" {name}" if name is not None else ""
        file.write(f"solid{title}\n".encode())
        for block in _blocks(spool, dtype, count):
            if block["attribute"].any():
                raise ExportError("ascii STL cannot hold the face attribute 'attribute'", expected="zeros")
            normals, corners = (iter(words_of(block[name].reshape(-1))) for name in ("normal", "corners"))
            rows = zip(*[normals] * 3, *[corners] * 9, strict=True)
            file.writelines(facet(*row).encode() for row in rows)
        file.write(f"endsolid{title}\n".encode())


STL = Format(
    name="stl",
    suffixes=(".stl",),
    description="STL meshes of triangles, binary and ascii",
    open=_open,
    export=_export,
    kinds=(GEOM_MESH,),
)
