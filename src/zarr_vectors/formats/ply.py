"""PLY point clouds: ascii and binary of both byte orders are read, binary little endian is written.

Only the vertices are read. Faces and other elements are named under ``headers["ply"]["ignored_elements"]``.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from itertools import chain
from pathlib import Path
from typing import Any

import numpy as np

from zarr_vectors.axes import Axis
from zarr_vectors.exceptions import ExportError, IngestError
from zarr_vectors.formats.base import ExportContext, Format, ReadOptions, Source
from zarr_vectors.formats.ply_reader import AXES, DTYPES, VERTEX, check_size, read_header, reader_of
from zarr_vectors.geometry import Categorical, Column, Points
from zarr_vectors.typing import AnyArray, JsonObject

__all__ = ["PLY"]

OBJECT_ID = "object_id"
OMIT_ATTRIBUTE = "pass attributes without it"
COLORS = ("red", "green", "blue", "alpha")
COLOR_NAMES = {"rgb", "rgba", "color"}
WRITTEN_TYPES = {dtype.name: name for name, dtype in reversed(DTYPES.items())} | {"bool": "uchar", "float16": "float"}
COUNT_DIGITS = 20


def _open(path: Path, options: ReadOptions) -> Source:
    """Read the header of a PLY file and describe its vertices.

    Positions are the properties x, y and, where it is there, z, or those of ``options.positions``; all other
    properties are attributes. Every dtype is the one in the file; positions of several dtypes get their common one.

    Raises:
        IngestError: Not PLY, truncated, without vertices, with a list per vertex, or without a wanted property.
    """
    with path.open("rb") as file:
        header = read_header(path, file)
    vertices = next((element for element in header.elements if element.name == VERTEX), None)
    if vertices is None:
        got = [element.name for element in header.elements]
        raise IngestError(f"{path} has no vertices", expected=f"an element {VERTEX!r}", got=got)
    if lists := [prop.name for prop in vertices.properties if prop.count is not None]:
        raise IngestError(f"{path} has a list property per vertex", expected="one value per vertex", got=lists)
    check_size(path, header)
    reader = reader_of(path, header, vertices, options)
    others = [element for element in header.elements if element is not vertices]
    ignored = {e.name: {"count": e.rows, "properties": [prop.name for prop in e.properties]} for e in others}
    facts: JsonObject = {"format": header.encoding, "comments": header.comments, "obj_info": header.obj_info}
    return Source(
        batches=reader.batches(),
        rows=vertices.rows,
        axes=tuple(map(Axis, reader.positions)),
        headers={"ply": facts | {"ignored_elements": ignored}},
    )


@dataclass(frozen=True)
class _Field:
    """One property to write: a channel of the positions (``column`` is None) or of an attribute."""

    name: str
    dtype: np.dtype[Any]
    column: str | None
    channel: int | None

    def values(self, batch: Points) -> AnyArray:
        array = batch.positions if self.column is None else np.asarray(batch.attributes[self.column])
        return array if self.channel is None else array[:, self.channel]


def _export(path: Path, batches: Iterator[Points], context: ExportContext) -> int:
    """Write a binary little endian PLY file of vertices; returns their number.

    Coordinates keep their dtype. An attribute of C channels becomes ``name_0`` to ``name_{C-1}``; uint8 colours named
    rgb, rgba or color become red, green, blue and alpha. bool is written as uchar, float16 as float, object ids as int.
    Comments come from ``headers["ply"]``; a CRS has no place in PLY.

    Raises:
        ExportError: An attribute or a value that PLY cannot hold unchanged; no file is left.
    """
    first = next(batches)
    fields, notes = _fields(first, context.axes), _notes(context)
    owner = [] if first.object_ids is None else [(OBJECT_ID, np.dtype("<i4"))]
    dtype = np.dtype([(entry.name, entry.dtype) for entry in fields] + owner)
    rows, complete = 0, False
    file = path.open("xb+")
    try:
        with file:
            file.write(_header_bytes(notes, dtype, 0))
            for batch in chain([first], batches):
                if _layout(batch) != _layout(first):
                    raise ExportError("all batches must have the same columns", got=sorted(_layout(batch)))
                table = np.empty(batch.vertex_count, dtype)
                for entry in fields:
                    table[entry.name] = entry.values(batch)
                if batch.object_ids is not None:
                    table[OBJECT_ID] = _int32_ids(batch.object_ids, rows)
                file.write(table.tobytes())
                rows += batch.vertex_count
            file.seek(0)
            file.write(_header_bytes(notes, dtype, rows))
        complete = True
    finally:
        if not complete:
            path.unlink(missing_ok=True)
    return rows


def _layout(batch: Points) -> dict[str, tuple[Any, ...]]:
    ids = {} if batch.object_ids is None else {"object ids": (batch.object_ids.dtype,)}
    columns = {f"attribute {name}": (column.dtype, column.shape[1:]) for name, column in batch.attributes.items()}
    return {"positions": (batch.positions.dtype, batch.ndim)} | columns | ids


def _fields(first: Points, axes: Sequence[Axis]) -> list[_Field]:
    dtype = _written_dtype("the positions", first.positions.dtype, "cast them to int32 or float64 first")
    fields = [_Field(name, dtype, None, axis) for name, axis in _position_names(axes)]
    for name, column in first.attributes.items():
        text = isinstance(column, Categorical)
        if text or len(column.shape) > 2:
            got = "text" if text else f"shape {column.shape}"
            hint = OMIT_ATTRIBUTE + (", or with its codes as integers" if text else "")
            raise ExportError(f"PLY cannot hold attribute {name!r}", expected="numbers", got=got, hint=hint)
        dtype = _written_dtype(f"attribute {name!r}", column.dtype, OMIT_ATTRIBUTE)
        if len(column.shape) == 1:
            fields.append(_Field(name, dtype, name, None))
        else:
            names = _channel_names(name, column)
            fields += [_Field(part, dtype, name, channel) for channel, part in enumerate(names)]
    names = [entry.name for entry in fields] + ([] if first.object_ids is None else [OBJECT_ID])
    for name in names:
        if names.count(name) > 1 or name.split() != [name] or not name.isprintable():
            expected, hint = "distinct words", f"rename the attribute, or {OMIT_ATTRIBUTE}"
            got = f"{name!r} among {names}"
            raise ExportError("PLY cannot have these property names", expected=expected, got=got, hint=hint)
    return fields


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


def _position_names(axes: Sequence[Axis]) -> list[tuple[str, int]]:
    """The property name and the column of each coordinate, x, y and z first.

    Axes named x, y and z keep their names whatever their order; others are taken as x, y and z in order. A fourth axis
    keeps its name.
    """
    names = [axis.name.lower() for axis in axes]
    if not (set(names) <= set(AXES) or set(AXES) <= set(names)):
        names = [*AXES[: len(names)], *names[len(AXES) :]]
    rank = {name: index for index, name in enumerate(AXES)}
    return [(names[axis], axis) for axis in sorted(range(len(names)), key=lambda axis: rank.get(names[axis], 3))]


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


def _header_bytes(notes: Sequence[str], dtype: np.dtype[Any], rows: int) -> bytes:
    """A header whose length does not depend on ``rows``, so that it can be replaced when they are known."""
    count = str(rows)
    # A comment without text makes up for the digits that the count does not need.
    padding = "comment" + " " * (1 + COUNT_DIGITS - len(count))
    properties = [f"property {WRITTEN_TYPES[dtype[name].name]} {name}" for name in dtype.names or ()]
    lines = ["ply", "format binary_little_endian 1.0", *notes, padding, f"element {VERTEX} {count}", *properties]
    return "\n".join([*lines, "end_header", ""]).encode()


PLY = Format(
    name="ply",
    suffixes=(".ply",),
    description="PLY point clouds (the vertices of a mesh)",
    open=_open,
    export=_export,
)
