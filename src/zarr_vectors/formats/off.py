"""OFF meshes (Geomview's object file format) as text, with colours and normals."""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from itertools import chain
from pathlib import Path
from tempfile import TemporaryFile
from typing import IO, Any

import numpy as np

from zarr_vectors.axes import as_axes
from zarr_vectors.constants import GEOM_MESH
from zarr_vectors.exceptions import ExportError, IngestError
from zarr_vectors.formats.base import ExportContext, Format, ReadOptions, Source
from zarr_vectors.formats.meshes import Polygons, keep_wanted, refuse_others, xyz_positions
from zarr_vectors.formats.numbers import Rows, TextLines, words_of
from zarr_vectors.geometry import Categorical, Column, Mesh, take_column
from zarr_vectors.typing import AnyArray, FloatArray, IntArray

__all__ = ["OFF"]

KEYWORD = re.compile(r"(ST)?(C)?(N)?(4?n?)OFF(?=[\s\d]|$)")
COUNT_DIGITS = 20
ROWS = 1 << 16
WIDTHS = {"normal": (3,), "color": (3, 4), "texcoord": (2,)}
"""Attributes of vertices in the order in which a line has them, and their channels."""


def _open(path: Path, options: ReadOptions) -> Source:
    """Read an OFF, COFF, NOFF, CNOFF or STOFF file.

    Positions, normals and texture coordinates are float64 and the attributes ``normal`` and ``texcoord``. Colours are
    the attribute or the face attribute ``color``: uint8 where the file has whole numbers to 255, as it must for that,
    and float64 otherwise; NaN at faces without one. A single number after a face is the face attribute
    ``color_index``. The counts may stand on the line of the keyword; the number of edges is not looked at. A mesh must
    be held whole, and so the file is.

    Raises:
        IngestError: Not OFF, binary, of four or n dimensions, truncated, a face without its vertices, or faces of
            several widths and not ``options.triangulate``.
    """
    lines = TextLines.read(path, comments=True)
    mesh = keep_wanted(path, _Reader.of(lines).mesh(triangulate=options.triangulate), options)
    return Source(
        batches=[mesh],
        rows=mesh.vertex_count,
        axes=as_axes("xyz", 3),
        headers={"off": {"comments": lines.comments}},
    )


@dataclass(frozen=True)
class _Reader:
    """Where the tables of a file are and what a line of a vertex has."""

    lines: TextLines
    body: int
    vertices: int
    faces: int
    has: dict[str, bool]

    @classmethod
    def of(cls, lines: TextLines) -> _Reader:
        """Read keyword and counts; raises ``IngestError`` where they are not there or the file is too short."""
        first = lines.line(0) if len(lines) else ""
        match = KEYWORD.match(first)
        if match is None:
            raise IngestError(f"{lines.path} is not an OFF file", expected="first word OFF", got=repr(first[:20]))
        rest, body = first[match.end() :].split(), 1
        if match[4] or rest[:1] == ["BINARY"]:
            raise IngestError(f"{lines.path} is OFF of a kind that is not read", expected="3-D text", got=first[:20])
        if not rest:
            if len(lines) < 2:
                raise IngestError(f"{lines.path} is truncated", expected="the counts", got="the end after its keyword")
            rest, body = lines.line(1).split(), 2
        counts = [int(word) for word in rest if word.isascii() and word.isdigit() and len(word) < COUNT_DIGITS]
        if len(rest) not in {2, 3} or len(counts) != len(rest):
            raise lines.bad(body - 1, "the number of vertices, faces and edges")
        vertices, faces = counts[:2]
        if len(lines) != body + vertices + faces:
            expected = f"{vertices} lines of vertices and {faces} of faces"
            got = f"{len(lines) - body} lines after the counts"
            raise IngestError(f"{lines.path} is truncated or its counts are wrong", expected=expected, got=got)
        has = {"normal": bool(match[3]), "color": bool(match[2]), "texcoord": bool(match[1])}
        return cls(lines, body, vertices, faces, has)

    def mesh(self, *, triangulate: bool) -> Mesh:
        positions, attributes = self._vertices()
        rows = np.arange(self.body + self.vertices, len(self.lines))
        parsed = self.lines.floats(rows, 0, "the corners of a face")
        counts, corners = self._corners(rows, parsed)
        polygons = Polygons(self.lines.path, counts, corners, lambda face: f"line {self.lines.numbers[rows[face]]}")
        polygons.check(len(positions))
        face_attributes = self._face_colors(rows, parsed, counts)
        faces, parts = polygons.even(triangulate=triangulate)
        if parts is not None:
            face_attributes = {name: take_column(column, parts) for name, column in face_attributes.items()}
        return Mesh(positions, faces, attributes=attributes, face_attributes=face_attributes, axes="xyz")

    def _vertices(self) -> tuple[FloatArray, dict[str, Column]]:
        rows = np.arange(self.body, self.body + self.vertices)
        parsed = self.lines.floats(rows, 0, "numbers")
        least = 3 + sum(WIDTHS[name][0] for name, there in self.has.items() if there)
        widths = [least, least + 1] if self.has["color"] else [least]
        width = int(parsed.counts[0]) if len(rows) else least
        wrong = parsed.counts != (width if width in widths else least)
        if wrong.any():
            raise self.lines.bad(int(rows[np.argmax(wrong)]), f"{width if width in widths else least} numbers")
        table = parsed.values.reshape(len(rows), width)
        attributes: dict[str, Column] = {}
        at = 3
        for name, there in self.has.items():
            if there:
                channels = WIDTHS[name][0] + (name == "color" and width > least)
                column = table[:, at : at + channels].copy()
                words = np.arange(len(rows))[:, None] * width + np.arange(at, at + channels)
                attributes[name] = self._color(rows, words, column) if name == "color" else column
                at += channels
        return np.ascontiguousarray(table[:, :3]), attributes

    def _corners(self, rows: IntArray, parsed: Rows) -> tuple[IntArray, IntArray]:
        """How many corners each face has, and their vertices."""
        starts = parsed.starts
        given = parsed.values[starts]
        wrong = (given < 1) | (given != np.rint(given)) | (given >= parsed.counts)
        if wrong.any():
            raise self.lines.bad(int(rows[np.argmax(wrong)]), "a number of corners and as many vertices")
        counts = given.astype(np.int64)
        turn = np.arange(int(counts.sum())) - np.repeat(np.cumsum(counts) - counts, counts)
        values = parsed.values[np.repeat(starts + 1, counts) + turn]
        with np.errstate(invalid="ignore"):
            corners = values.astype(np.int64)
        if (corners != values).any():
            face = int(np.repeat(np.arange(len(rows)), counts)[np.argmax(corners != values)])
            raise self.lines.bad(int(rows[face]), "vertices as whole numbers")
        return counts, corners

    def _face_colors(self, rows: IntArray, parsed: Rows, counts: IntArray) -> dict[str, Column]:
        """What follows the corners."""
        more = parsed.counts - 1 - counts
        wrong = ~np.isin(more, (0, 1, 3, 4)) | ((more == 1).any() & (more > 1))
        if wrong.any():
            raise self.lines.bad(int(rows[np.argmax(wrong)]), "a colour of 3 or 4 numbers, or an index in all lines")
        channels = int(more.max(initial=0))
        if not channels:
            return {}
        words = (parsed.starts + 1 + counts)[:, None] + np.arange(channels)
        said = np.arange(channels) < more[:, None]
        table = np.where(said, parsed.values[np.where(said, words, 0)], np.nan)
        if channels == 1:
            whole = said.all() and (table == np.rint(table)).all() and (np.abs(table) < 2**31).all()
            return {"color_index": table[:, 0].astype(np.int32) if whole else table[:, 0]}
        return {"color": self._color(rows, np.where(said, words, -1), table)}

    def _color(self, rows: IntArray, words: IntArray, table: FloatArray) -> AnyArray:
        """uint8 where all are said and written as whole numbers to 255.

        Args:
            words: Which word of the lines ``rows`` each number of ``table`` is; -1 where it is not said.
        """
        if not ((table >= 0) & (table <= 255) & (table == np.rint(table))).all():
            return table
        text = self.lines.bytes_of(rows).split()
        if any(not text[word].isdigit() for word in words.reshape(-1).tolist()):
            return table
        return table.astype(np.uint8)


def _export(path: Path, batches: Iterator[Mesh], context: ExportContext) -> int:
    """Write an OFF file of float text that gives the same numbers again; returns the number of vertices.

    The attributes ``normal``, ``color`` and ``texcoord`` of vertices and ``color`` or ``color_index`` of faces are
    written; comments come from ``headers["off"]``. A third axis that is missing is 0.

    Raises:
        ExportError: Several objects, other attributes, or groups; no file is left.
    """
    kept = (context.headers.get("off") or {}).get("comments", [])
    if not isinstance(kept, list):
        raise ExportError("headers/off is not what an ingest keeps", expected="a list", got=repr(kept))
    first = next(batches)
    columns = _check(first)
    keyword = "".join(
        word for word, name in (("ST", "texcoord"), ("C", "color"), ("N", "normal")) if name in first.attributes
    )
    notes = "".join(f"# {line}\n" for text in kept for line in str(text).splitlines())
    owner: set[int] = set()
    rows = faces = 0
    complete = False
    file = path.open("xb+")
    try:
        with file, TemporaryFile(dir=path.parent) as spool:
            file.write(_head(keyword, notes, 0, 0))
            for mesh in chain([first], batches):
                owner |= set(np.unique(mesh.object_ids).tolist()) if mesh.object_ids is not None else {0}
                if len(owner) > 1:
                    raise ExportError("OFF holds one object", got=f"{len(owner)} or more", hint="export to OBJ or GLB")
                if _check(mesh) != columns:
                    raise ExportError("all batches must have the same columns", got=[list(mesh.attributes)])
                names = [name for name in WIDTHS if name in mesh.attributes]
                positions = xyz_positions("OFF", mesh, context.axes)
                _write_rows(file, [positions, *(np.asarray(mesh.attributes[name]) for name in names)])
                _write_faces(spool, mesh, rows)
                rows += mesh.vertex_count
                faces += mesh.face_count
            spool.seek(0)
            while block := spool.read(1 << 20):
                file.write(block)
            file.seek(0)
            file.write(_head(keyword, notes, rows, faces))
        complete = True
    finally:
        if not complete:
            path.unlink(missing_ok=True)
    return rows


def _head(keyword: str, notes: str, vertices: int, faces: int) -> bytes:
    """Keyword and counts, of one length whatever these are."""
    return f"{keyword}OFF\n{notes}{vertices:<{COUNT_DIGITS}} {faces:<{COUNT_DIGITS}} 0\n".encode()


def _check(mesh: Mesh) -> list[Any]:
    """Refuse what OFF cannot hold; returns what all batches must have alike."""
    refuse_others("OFF", mesh, vertex=tuple(WIDTHS), face=("color", "color_index"))
    if len(mesh.face_attributes) > 1:
        raise ExportError("OFF cannot hold both face attributes 'color' and 'color_index'", expected="one of them")
    widths: dict[str, Sequence[int]] = {**WIDTHS, "color_index": (0,)}
    for name, column in chain(mesh.attributes.items(), mesh.face_attributes.items()):
        channels = column.shape[1] if len(column.shape) == 2 else 0
        kinds = "fu" if name == "color" else "fiu"
        known = not isinstance(column, Categorical) and column.dtype.kind in kinds
        if (
            not known
            or channels not in widths[name]
            or (column.dtype.kind == "u" and column.dtype.itemsize > 1 and name == "color")
        ):
            expected = f"numbers in {' or '.join(map(str, widths[name]))} channels, colours as uint8 or floats"
            got = f"{column.dtype.name} of shape {column.shape}"
            raise ExportError(f"OFF cannot hold attribute {name!r}", expected=expected, got=got)
    columns = [(name, column.dtype, column.shape[1:]) for name, column in mesh.attributes.items()]
    return [columns, [(name, column.dtype, column.shape[1:]) for name, column in mesh.face_attributes.items()]]


def _texts(column: AnyArray, rows: slice) -> list[list[str]]:
    table = column.reshape(len(column), -1)[rows]
    return [words_of(table[:, channel]) for channel in range(table.shape[1])]


def _write_rows(file: IO[bytes], columns: Sequence[AnyArray]) -> None:
    for at in range(0, len(columns[0]), ROWS):
        words = [text for column in columns for text in _texts(column, slice(at, at + ROWS))]
        file.writelines(f"{' '.join(row)}\n".encode() for row in zip(*words, strict=True))


def _write_faces(file: IO[bytes], mesh: Mesh, before: int) -> None:
    corners = f"{mesh.faces.shape[1]}" + " %d" * mesh.faces.shape[1]
    for at in range(0, mesh.face_count, ROWS):
        block = slice(at, at + ROWS)
        lines = [corners % tuple(row) for row in (mesh.faces[block] + before).tolist()]
        colors = [text for column in mesh.face_attributes.values() for text in _texts(np.asarray(column), block)]
        file.writelines(f"{' '.join(row)}\n".encode() for row in zip(lines, *colors, strict=True))


OFF = Format(
    name="off",
    suffixes=(".off",),
    description="OFF meshes",
    open=_open,
    export=_export,
    kinds=(GEOM_MESH,),
)
