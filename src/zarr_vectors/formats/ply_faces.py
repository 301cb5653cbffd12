"""How the faces of PLY files are read: rows whose lists may differ in length, many at once."""

from __future__ import annotations

import struct
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, BinaryIO

import numpy as np

from zarr_vectors.formats.base import ReadOptions
from zarr_vectors.formats.meshes import Polygons
from zarr_vectors.formats.numbers import BadRowError, Rows, parse_rows
from zarr_vectors.formats.ply_header import BYTE_ORDERS, Element, Header, Property, ordered, truncated
from zarr_vectors.formats.ply_reader import ASCII_BLOCK_ROWS, Lines, VertexReader, reader_of, skip_binary
from zarr_vectors.geometry import Column, Mesh, take_column
from zarr_vectors.typing import AnyArray, IntArray

__all__ = ["CORNERS", "FACE", "MeshReader", "faces_of", "mesh_reader_of"]

FACE = "face"
CORNERS = ("vertex_indices", "vertex_index")


@dataclass(frozen=True)
class _List:
    """The lists of one property: ``(F,)`` lengths, and all items one after the other; -1 where it is no list."""

    counts: IntArray
    items: AnyArray


def faces_of(header: Header) -> Element | None:
    """The element that makes a file a mesh: faces, some, with their vertices."""
    for element in header.elements:
        lists = {prop.name for prop in element.properties if prop.count is not None and prop.dtype.kind in "iu"}
        if element.name == FACE and element.rows and lists & set(CORNERS):
            return element
    return None


def mesh_reader_of(path: Path, header: Header, vertices: Element, faces: Element, options: ReadOptions) -> MeshReader:
    """Decide what becomes of each property; raises ``IngestError`` for a wanted one that is not there."""
    (corners, *_) = [name for name in CORNERS if any(prop.name == name for prop in faces.properties)]
    others = [prop.name for prop in faces.properties if prop.name != corners]
    if options.attributes is None:
        return MeshReader(
            reader_of(path, header, vertices, options), faces, corners, tuple(others), options.triangulate
        )
    names = {prop.name for prop in vertices.properties}
    wanted = [name for name in options.attributes if name in names or name not in others]
    reader = reader_of(path, header, vertices, replace(options, attributes=tuple(wanted)))
    kept = tuple(name for name in others if name in options.attributes)
    return MeshReader(reader, faces, corners, kept, options.triangulate)


@dataclass(frozen=True)
class MeshReader:
    """Which properties of vertices and faces become what.

    Args:
        vertices: Reads the vertices.
        faces: The element of the faces.
        corners: Its property that lists vertices.
        attributes: Its properties that become attributes of faces; lists that differ in length cannot.
        triangulate: Whether to cut polygons into triangles.
    """

    vertices: VertexReader
    faces: Element
    corners: str
    attributes: tuple[str, ...]
    triangulate: bool

    def read(self) -> tuple[Mesh, list[str]]:
        """The mesh, and the properties of faces that no mesh can hold."""
        ascii_file = self.vertices.header.encoding == "ascii"
        table, columns, numbers = self._ascii_tables() if ascii_file else self._binary_tables()
        points = self.vertices.points(table)
        corners = columns.pop(self.corners)
        where = (lambda face: f"line {numbers[face]}") if len(numbers) else (lambda face: f"row {face} of {FACE}")
        polygons = Polygons(self.vertices.path, corners.counts, corners.items.astype(np.int64), where)
        polygons.check(points.vertex_count)
        faces, parts = polygons.even(triangulate=self.triangulate)
        attributes: dict[str, Column] = {}
        dropped: list[str] = []
        for name in self.attributes:
            column = _as_column(columns[name])
            if column is None:
                dropped.append(name)
            else:
                attributes[name] = column if parts is None else take_column(column, parts)
        mesh = Mesh(
            points.positions,
            faces,
            face_attributes=attributes,
            attributes=points.attributes,
            object_ids=points.object_ids,
            axes=points.axes,
        )
        return mesh, dropped

    def _binary_tables(self) -> tuple[AnyArray, dict[str, _List], IntArray]:
        reader = self.vertices
        order = BYTE_ORDERS[reader.header.encoding]
        table = np.empty(0, reader.dtype(order))
        columns: dict[str, _List] = {}
        with reader.path.open("rb") as file:
            file.seek(reader.header.size)
            for element in reader.header.elements:
                if element is reader.vertices:
                    table = reader.binary_table(file, table.dtype, 0, element.rows)
                elif element is self.faces:
                    columns = _binary_columns(reader.path, file, element, order)
                else:
                    skip_binary(reader.path, file, element, order)
        return table, columns, np.empty(0, np.int64)

    def _ascii_tables(self) -> tuple[AnyArray, dict[str, _List], IntArray]:
        reader = self.vertices
        table, numbers = np.empty(0, reader.dtype("=")), np.empty(0, np.int64)
        columns: dict[str, _List] = {}
        with reader.path.open(encoding="latin-1", newline=reader.header.newline) as file:
            lines = Lines(reader.path, file, reader.header.lines)
            for element in reader.header.elements:
                if element is reader.vertices:
                    table = reader.ascii_table(lines, element.rows)
                elif element is self.faces:
                    columns, numbers = _ascii_columns(lines, element)
                else:
                    lines.skip(element)
        return table, columns, numbers


def _as_column(values: _List) -> AnyArray | None:
    """Lists of one length as ``(F, C)``, single values as ``(F,)``; None for anything else."""
    width = int(values.counts[0])
    if width < 0:
        return values.items
    return values.items.reshape(-1, width) if width and (values.counts == width).all() else None


def _single(items: AnyArray) -> _List:
    """A property that is no list."""
    return _List(np.full(len(items), -1, np.int64), items)


def _ascii_columns(lines: Lines, element: Element) -> tuple[dict[str, _List], IntArray]:
    """All properties of an element, and the line of each row."""
    parts: list[dict[str, _List]] = []
    numbers: list[IntArray] = []
    for start in range(0, element.rows, ASCII_BLOCK_ROWS):
        rows = lines.take(element.name, min(ASCII_BLOCK_ROWS, element.rows - start))
        text = "".join(f"{line}\n" for _, line in rows).encode("latin-1")
        try:
            parsed = parse_rows(text)
        except BadRowError as error:
            raise lines.bad_row(*rows[error.row], f"a row of {element.name}") from error
        columns, bad = _columns_of_rows(parsed, element.properties)
        if bad is not None:
            raise lines.bad_row(*rows[bad], f"a row of {element.name}")
        parts.append(columns)
        numbers.append(np.array([number for number, _ in rows], np.int64))
    whole = {
        prop.name: _List(
            np.concatenate([part[prop.name].counts for part in parts]),
            np.concatenate([part[prop.name].items for part in parts]),
        )
        for prop in element.properties
    }
    return whole, np.concatenate(numbers)


def _columns_of_rows(parsed: Rows, properties: Sequence[Property]) -> tuple[dict[str, _List], int | None]:
    """All properties of some rows of numbers, and the first row that is not as they say, if any."""
    columns: dict[str, _List] = {}
    at, ends = parsed.starts, np.cumsum(parsed.counts)
    values = np.append(parsed.values, np.nan)
    good = np.ones(len(at), np.bool_)
    for prop in properties:
        good &= at < ends
        head = values[np.minimum(at, len(parsed.values))]
        if prop.count is None:
            items, fits = _cast(head, prop.dtype)
            columns[prop.name] = _single(items)
            good &= fits
            at = at + 1
            continue
        good &= (head >= 0) & (head == np.rint(head)) & (head < len(values))
        counts = np.where(good, head, 0).astype(np.int64)
        good &= at + 1 + counts <= ends
        counts = np.where(good, counts, 0)
        owners = np.repeat(np.arange(len(at)), counts)
        turn = np.arange(len(owners)) - (np.cumsum(counts) - counts)[owners]
        items, fits = _cast(values[(at + 1)[owners] + turn], prop.dtype)
        good[owners[~fits]] = False
        columns[prop.name] = _List(counts, items)
        at = at + 1 + counts
    good &= at == ends
    return columns, None if good.all() else int(np.argmin(good))


def _cast(values: AnyArray, dtype: np.dtype[Any]) -> tuple[AnyArray, AnyArray]:
    """Numbers in a dtype, and where that kept them, up to the precision of a float."""
    if dtype.kind == "f":
        with np.errstate(over="ignore"):
            cast = values.astype(dtype)
        return cast, np.isfinite(cast) == np.isfinite(values)
    info = np.iinfo(dtype)
    good = (values >= info.min) & (values <= info.max) & (np.rint(values) == values)
    return np.where(good, values, 0).astype(dtype), good


def _binary_columns(path: Path, file: BinaryIO, element: Element, order: str) -> dict[str, _List]:
    """All properties of an element; leaves the file after it."""
    begin = file.tell()
    data = np.frombuffer(file.read(), np.uint8)
    starts, length = _binary_rows(path, data, element, order, begin)
    columns: dict[str, _List] = {}
    at = starts
    for prop in element.properties:
        if prop.count is None:
            columns[prop.name] = _single(_windows(data, at, prop.dtype, order, 1))
            at = at + prop.dtype.itemsize
            continue
        counts = _windows(data, at, prop.count, order, 1).astype(np.int64)
        at = at + prop.count.itemsize
        columns[prop.name] = _List(counts, _items(data, at, prop.dtype, order, counts))
        at = at + counts * prop.dtype.itemsize
    file.seek(begin + length)
    return columns


def _items(data: AnyArray, at: IntArray, dtype: np.dtype[Any], order: str, counts: IntArray) -> AnyArray:
    """The items of lists that begin at these bytes, one list after the other."""
    lengths = np.unique(counts)
    if len(lengths) == 1:
        return _windows(data, at, dtype, order, int(lengths[0]))
    items = np.empty(int(counts.sum()), dtype)
    places = np.cumsum(counts) - counts
    for length in lengths[lengths > 0].tolist():
        mine = np.flatnonzero(counts == length)
        items[places[mine, None] + np.arange(length)] = _windows(data, at[mine], dtype, order, length).reshape(
            -1, length
        )
    return items


def _windows(data: AnyArray, at: IntArray, dtype: np.dtype[Any], order: str, length: int) -> AnyArray:
    """So many values from each of these bytes on, in native byte order."""
    size = dtype.itemsize * length
    if not size or not len(at):
        return np.empty(0, dtype)
    raw = np.lib.stride_tricks.sliding_window_view(data, size)[at]
    return np.ascontiguousarray(raw).reshape(-1).view(ordered(dtype, order)).astype(dtype)


def _binary_rows(path: Path, data: AnyArray, element: Element, order: str, begin: int) -> tuple[IntArray, int]:
    """Where the rows of an element begin, and the bytes of all; fast where all are as long as the first."""
    walk = _Walk(path, data, element, order, begin)
    length = walk.step(0, 0)
    if length * element.rows <= len(data):
        table = data[: length * element.rows].reshape(element.rows, length)
        if all((table[:, place] == table[0, place]).all() for place in _count_places(data, element, order)):
            return np.arange(element.rows, dtype=np.int64) * length, length * element.rows
    starts = np.empty(element.rows, np.int64)
    at = 0
    for row in range(element.rows):
        starts[row] = at
        at = walk.step(at, row)
    return starts, at


def _count_places(data: AnyArray, element: Element, order: str) -> Iterator[slice]:
    """Where the first row has the lengths of its lists."""
    at = 0
    for prop in element.properties:
        if prop.count is None:
            at += prop.dtype.itemsize
            continue
        place = slice(at, at + prop.count.itemsize)
        yield place
        at = place.stop + int(data[place].view(ordered(prop.count, order))[0]) * prop.dtype.itemsize


class _Walk:
    """Goes from one row to the next by the lengths of its lists."""

    def __init__(self, path: Path, data: AnyArray, element: Element, order: str, begin: int) -> None:
        self.path, self.name, self.begin = path, element.name, begin
        self.data = data.data
        self.parts: list[tuple[int, struct.Struct, int]] = []
        before = 0
        for prop in element.properties:
            if prop.count is None:
                before += prop.dtype.itemsize
            else:
                code = struct.Struct(order + prop.count.char)
                self.parts.append((before, code, prop.dtype.itemsize))
                before = 0
        self.tail = before

    def step(self, at: int, row: int) -> int:
        """Where the row after the one at this byte begins; raises ``IngestError`` where the file ends before."""
        start, size = at, len(self.data)
        for before, code, item in self.parts:
            at += before
            if at + code.size > size:
                break
            (count,) = code.unpack_from(self.data, at)
            at += code.size + count * item
            if count < 0 or at > size:
                break
        else:
            if at + self.tail <= size:
                return at + self.tail
        got = f"{size - start} bytes from byte {self.begin + start}"
        raise truncated(self.path, f"row {row} of {self.name}", got)
