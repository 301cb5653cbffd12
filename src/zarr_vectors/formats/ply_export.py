"""How PLY files are written: binary little endian, vertices before faces."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from itertools import chain
from pathlib import Path
from tempfile import TemporaryFile
from typing import IO, Any

import numpy as np

from zarr_vectors.axes import Axis
from zarr_vectors.exceptions import ExportError
from zarr_vectors.formats.base import OBJECT_ID, ExportContext
from zarr_vectors.formats.meshes import axis_names, refuse_others
from zarr_vectors.formats.ply_faces import CORNERS, FACE
from zarr_vectors.formats.ply_header import DTYPES, VERTEX
from zarr_vectors.geometry import Categorical, Column, Mesh, Points
from zarr_vectors.typing import AnyArray

__all__ = ["export_ply"]

OMIT_ATTRIBUTE = "pass attributes without it"
COLORS = ("red", "green", "blue", "alpha")
COLOR_NAMES = {"rgb", "rgba", "color"}
WRITTEN_TYPES = {dtype.name: name for name, dtype in reversed(DTYPES.items())} | {"bool": "uchar", "float16": "float"}
COUNT_DIGITS = 20
SHORT_LIST = 255
COPY_BYTES = 1 << 20


@dataclass(frozen=True)
class _Field:
    """One property to write: a channel of the positions (``column`` is None) or of an attribute."""

    name: str
    dtype: np.dtype[Any]
    column: str | None
    channel: int | None

    def values(self, batch: Points | Mesh) -> AnyArray:
        array = batch.positions if self.column is None else np.asarray(batch.attributes[self.column])
        return array if self.channel is None else array[:, self.channel]


def export_ply(path: Path, batches: Iterator[Points | Mesh], context: ExportContext) -> int:
    """Write a binary little endian PLY file of vertices, and of faces where these are meshes.

    Coordinates keep their dtype. A vertex attribute of C channels becomes ``name_0`` to ``name_{C-1}``, that of a face
    a list; uint8 colours named rgb, rgba or color become red, green, blue and alpha. bool is written as uchar, float16
    as float, object ids as int. Comments come from ``headers["ply"]``; a CRS has no place in PLY.

    Returns:
        The number of vertices.

    Raises:
        ExportError: An attribute or a value that PLY cannot hold unchanged, or tables of objects or groups of a mesh;
            no file is left.
    """
    first = next(batches)
    fields, notes = _fields(first, context.axes), _notes(context)
    owner = [] if first.object_ids is None else [(OBJECT_ID, np.dtype("<i4"))]
    dtype = np.dtype([(entry.name, entry.dtype) for entry in fields] + owner)
    properties = [f"property {WRITTEN_TYPES[dtype[name].name]} {name}" for name in dtype.names or ()]
    faces = FaceWriter(first) if isinstance(first, Mesh) else None
    rows, complete = 0, False
    file = path.open("xb+")
    try:
        # Faces come after all vertices.
        with file, TemporaryFile(dir=path.parent) as spool:
            file.write(_header_bytes(notes, properties, 0, faces))
            for batch in chain([first], batches):
                if _layout(batch) != _layout(first):
                    raise ExportError("all batches must have the same columns", got=sorted(_layout(batch)))
                table = np.empty(batch.vertex_count, dtype)
                for entry in fields:
                    table[entry.name] = entry.values(batch)
                if batch.object_ids is not None:
                    table[OBJECT_ID] = _int32_ids(batch.object_ids, rows)
                file.write(table.tobytes())
                if faces is not None and isinstance(batch, Mesh):
                    faces.write(spool, batch, rows)
                rows += batch.vertex_count
            spool.seek(0)
            while block := spool.read(COPY_BYTES):
                file.write(block)
            file.seek(0)
            file.write(_header_bytes(notes, properties, rows, faces))
        complete = True
    finally:
        if not complete:
            path.unlink(missing_ok=True)
    return rows


class FaceWriter:
    """Writes the faces of batches and counts them.

    Args:
        first: The first batch, which tells the attributes.
    """

    def __init__(self, first: Mesh) -> None:
        self.rows = 0
        self.wide = first.faces.shape[1] > SHORT_LIST
        self.fields: list[tuple[str, np.dtype[Any], str, int | None]] = []
        """Name, dtype (of a list where it has a shape), attribute and channel of each property."""
        for name, column in first.face_attributes.items():
            dtype = _checked_dtype(f"face attribute {name!r}", column)
            if len(column.shape) == 1:
                self.fields.append((name, dtype, name, None))
            elif len(names := _channel_names(name, column)) > 1 and names[0] == COLORS[0]:
                self.fields += [(part, dtype, name, channel) for channel, part in enumerate(names)]
            else:
                self.fields.append((name, np.dtype((dtype, column.shape[1:])), name, None))
        _check_names([CORNERS[0], *(name for name, *_ in self.fields)])

    def lines(self) -> list[str]:
        """The element for the header."""
        lines = [f"element {FACE} {self.rows}", f"property list {'int' if self.wide else 'uchar'} int {CORNERS[0]}"]
        for name, dtype, *_ in self.fields:
            listed = "list uchar " if dtype.shape else ""
            lines.append(f"property {listed}{WRITTEN_TYPES[dtype.base.name]} {name}")
        return lines

    def write(self, spool: IO[bytes], batch: Mesh, before: int) -> None:
        """Append the faces of a batch whose first vertex is that many vertices after the first of the file."""
        refuse_others("PLY", batch, vertex=tuple(batch.attributes), face=tuple(batch.face_attributes))
        width = batch.faces.shape[1]
        if not self.wide and width > SHORT_LIST:
            raise ExportError("PLY cannot hold these faces after shorter ones", expected="255 corners", got=width)
        if before + batch.vertex_count > np.iinfo(np.int32).max:
            raise ExportError("PLY cannot hold faces of so many vertices", expected="at most 2147483647")
        layout: list[Any] = [("#", "<i4" if self.wide else "u1"), (CORNERS[0], "<i4", width)]
        for name, dtype, *_ in self.fields:
            layout += [(f"#{name}", "u1"), (name, dtype)] if dtype.shape else [(name, dtype)]
        table = np.empty(batch.face_count, layout)
        table["#"], table[CORNERS[0]] = width, batch.faces + before
        for name, dtype, attribute, channel in self.fields:
            column = np.asarray(batch.face_attributes[attribute])
            table[name] = column if channel is None else column[:, channel]
            if dtype.shape:
                table[f"#{name}"] = dtype.shape[0]
        spool.write(table.tobytes())
        self.rows += batch.face_count


def _layout(batch: Points | Mesh) -> dict[str, tuple[Any, ...]]:
    ids = {} if batch.object_ids is None else {"object ids": (batch.object_ids.dtype,)}
    columns = {f"attribute {name}": (column.dtype, column.shape[1:]) for name, column in batch.attributes.items()}
    if isinstance(batch, Mesh):
        faces = batch.face_attributes.items()
        columns |= {f"face attribute {name}": (column.dtype, column.shape[1:]) for name, column in faces}
    return {"positions": (batch.geometry_type, batch.positions.dtype, batch.ndim)} | columns | ids


def _fields(first: Points | Mesh, axes: Sequence[Axis]) -> list[_Field]:
    dtype = _written_dtype("the positions", first.positions.dtype, "cast them to int32 or float64 first")
    fields = [_Field(name, dtype, None, axis) for name, axis in axis_names(axes)]
    for name, column in first.attributes.items():
        dtype = _checked_dtype(f"attribute {name!r}", column)
        if len(column.shape) == 1:
            fields.append(_Field(name, dtype, name, None))
        else:
            names = _channel_names(name, column)
            fields += [_Field(part, dtype, name, channel) for channel, part in enumerate(names)]
    _check_names([entry.name for entry in fields] + ([] if first.object_ids is None else [OBJECT_ID]))
    return fields


def _check_names(names: Sequence[str]) -> None:
    for name in names:
        if names.count(name) > 1 or name.split() != [name] or not name.isprintable():
            expected, hint = "distinct words", f"rename the attribute, or {OMIT_ATTRIBUTE}"
            got = f"{name!r} among {names}"
            raise ExportError("PLY cannot have these property names", expected=expected, got=got, hint=hint)


def _checked_dtype(what: str, column: Column) -> np.dtype[Any]:
    text = isinstance(column, Categorical)
    if text or len(column.shape) > 2:
        got = "text" if text else f"shape {column.shape}"
        hint = OMIT_ATTRIBUTE + (", or with its codes as integers" if text else "")
        raise ExportError(f"PLY cannot hold {what}", expected="numbers", got=got, hint=hint)
    return _written_dtype(what, column.dtype, OMIT_ATTRIBUTE)


def _written_dtype(what: str, dtype: np.dtype[Any], hint: str) -> np.dtype[Any]:
    if dtype.name not in WRITTEN_TYPES:
        raise ExportError(
            f"PLY cannot hold {what}", expected="integers of 32 bits or floats", got=dtype.name, hint=hint
        )
    return DTYPES[WRITTEN_TYPES[dtype.name]].newbyteorder("<")


def _channel_names(name: str, column: Column) -> list[str]:
    channels = column.shape[1]
    if name in COLOR_NAMES and column.dtype == np.uint8 and channels in {3, 4}:
        return list(COLORS[:channels])
    return [f"{name}_{channel}" for channel in range(channels)]


def _int32_ids(ids: AnyArray, row: int) -> AnyArray:
    info = np.iinfo(np.int32)
    fits = (ids >= info.min) & (ids <= info.max)
    if not fits.all():
        at = int(np.argmin(fits))
        hint = "renumber the objects, or export to a format with 64-bit integers, such as Parquet"
        got = f"{ids[at]} in row {row + at}"
        raise ExportError("PLY cannot hold these object ids", expected="32-bit integers", got=got, hint=hint)
    return ids.astype(np.int32)


def _notes(context: ExportContext) -> list[str]:
    """The comment and obj_info lines that an ingest kept."""
    kept = context.headers.get("ply") or {}
    notes: list[str] = []
    for keyword, key in (("comment", "comments"), ("obj_info", "obj_info")):
        lines = kept.get(key, [])
        if not isinstance(lines, list):
            expected = f"a list under {key!r}"
            raise ExportError("headers/ply is not what an ingest keeps", expected=expected, got=repr(lines))
        notes += [f"{keyword} {line}" for text in lines for line in str(text).splitlines()]
    return notes


def _header_bytes(notes: Sequence[str], properties: Sequence[str], rows: int, faces: FaceWriter | None) -> bytes:
    """A header whose length does not depend on the counts, so that it can be replaced when they are known."""
    used = len(str(rows)) + (0 if faces is None else len(str(faces.rows)))
    # A comment without text makes up for the digits that the counts do not need.
    padding = "comment" + " " * (1 + (1 if faces is None else 2) * COUNT_DIGITS - used)
    others = [] if faces is None else faces.lines()
    lines = [
        "ply",
        "format binary_little_endian 1.0",
        *notes,
        padding,
        f"element {VERTEX} {rows}",
        *properties,
        *others,
    ]
    return "\n".join([*lines, "end_header", ""]).encode()
