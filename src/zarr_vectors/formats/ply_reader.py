"""How PLY files are read: the vertices in batches of bounded size."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from itertools import islice
from pathlib import Path
from typing import Any, BinaryIO, TextIO

import numpy as np

from zarr_vectors.axes import Axis
from zarr_vectors.exceptions import IngestError
from zarr_vectors.formats.base import ReadOptions
from zarr_vectors.formats.ply_header import BYTE_ORDERS, VERTEX, Element, Header, ordered, truncated
from zarr_vectors.geometry import Points
from zarr_vectors.typing import AnyArray, FloatArray

__all__ = ["ASCII_BLOCK_ROWS", "Lines", "VertexReader", "fill_column", "reader_of", "skip_binary"]

AXES = ("x", "y", "z")
ASCII_BLOCK_ROWS = 1 << 16
SKIP_BYTES = 1 << 20
LONGEST_ROW = (1 << 31) - 1


@dataclass(frozen=True)
class VertexReader:
    """Which properties of the vertices become what."""

    path: Path
    header: Header
    vertices: Element
    positions: tuple[str, ...]
    attributes: tuple[str, ...]
    object_ids: str | None
    batch_rows: int

    def batches(self) -> Iterator[Points]:
        """The vertices; one empty batch when there are none."""
        tables = self._ascii_tables() if self.header.encoding == "ascii" else self._binary_tables()
        if not self.vertices.rows:
            yield self.points(np.empty(0, self.dtype("=")))
        yield from map(self.points, tables)

    def points(self, table: AnyArray) -> Points:
        """The vertices of a table of ``dtype``."""
        names = {*self.positions, *self.attributes} | ({self.object_ids} if self.object_ids else set())
        native = {name: table[name].astype(ordered(table.dtype[name], "=")) for name in names}
        return Points(
            np.stack([native[name] for name in self.positions], axis=1),
            attributes={name: native[name] for name in self.attributes},
            object_ids=native[self.object_ids] if self.object_ids else None,
            axes=tuple(map(Axis, self.positions)),
        )

    def dtype(self, order: str) -> np.dtype[Any]:
        """A field for each property of a vertex."""
        return np.dtype([(prop.name, ordered(prop.dtype, order)) for prop in self.vertices.properties])

    def _sizes(self) -> Iterator[tuple[int, int]]:
        """The first row and the number of rows of each batch."""
        for start in range(0, self.vertices.rows, self.batch_rows):
            yield start, min(self.batch_rows, self.vertices.rows - start)

    def _others(self) -> tuple[list[Element], list[Element]]:
        """The elements before the vertices and those after them, which are passed over: they must be there."""
        at = self.header.elements.index(self.vertices)
        return self.header.elements[:at], self.header.elements[at + 1 :]

    def _binary_tables(self) -> Iterator[AnyArray]:
        order = BYTE_ORDERS[self.header.encoding]
        dtype = self.dtype(order)
        before, after = self._others()
        with self.path.open("rb") as file:
            file.seek(self.header.size)
            for element in before:
                skip_binary(self.path, file, element, order)
            for start, rows in self._sizes():
                yield self.binary_table(file, dtype, start, rows)
            for element in after:
                skip_binary(self.path, file, element, order)

    def binary_table(self, file: BinaryIO, dtype: np.dtype[Any], start: int, rows: int) -> AnyArray:
        """The vertices from ``start``, which the file is at; raises ``IngestError`` when it ends before."""
        raw = file.read(rows * dtype.itemsize)
        if len(raw) < rows * dtype.itemsize:
            got = f"{start + len(raw) // dtype.itemsize} vertices, up to byte {file.tell()}"
            raise truncated(self.path, f"{self.vertices.rows} vertices", got)
        return np.frombuffer(raw, dtype)

    def ascii_table(self, lines: Lines, rows: int) -> AnyArray:
        """The next vertices."""
        table = np.empty(rows, self.dtype("="))
        for block in range(0, rows, ASCII_BLOCK_ROWS):
            lines.parse(table[block : block + ASCII_BLOCK_ROWS])
        return table

    def _ascii_tables(self) -> Iterator[AnyArray]:
        before, after = self._others()
        # latin-1 takes any byte; a CR before the LF is stripped with the spaces around a row.
        with self.path.open(encoding="latin-1", newline=self.header.newline) as file:
            lines = Lines(self.path, file, self.header.lines)
            for element in before:
                lines.skip(element)
            for _, rows in self._sizes():
                yield self.ascii_table(lines, rows)
            for element in after:
                lines.skip(element)


def skip_binary(path: Path, file: BinaryIO, element: Element, order: str) -> None:
    """Pass over an element; rows whose lists are as long as those of the row before are taken many at once."""
    size = path.stat().st_size
    row, block = 0, 1
    while row < element.rows and element.properties:
        start = file.tell()
        fields = _fields_of_row(file, element, order)
        length = sum(width for _, width, _ in fields)
        if not 0 < length <= min(size - start, LONGEST_ROW) or any(
            count is not None and count < 0 for *_, count in fields
        ):
            got = f"{size - start} bytes from byte {start}"
            raise truncated(path, f"row {row} of {element.name}", got)
        wanted = min(block, element.rows - row, max(1, SKIP_BYTES // length), (size - start) // length)
        layout = np.dtype([(f"{at}", dtype or f"V{width}") for at, (dtype, width, _) in enumerate(fields)])
        file.seek(start)
        table = np.frombuffer(file.read(wanted * length), layout)
        alike = np.ones(wanted, np.bool_)
        for at, (_, _, count) in enumerate(fields):
            alike &= True if count is None else table[f"{at}"] == count
        taken = wanted if alike.all() else int(np.argmin(alike))
        file.seek(start + taken * length)
        row += taken
        block = 2 * block if taken == wanted else 1


def _fields_of_row(file: BinaryIO, element: Element, order: str) -> list[tuple[np.dtype[Any] | None, int, int | None]]:
    """Dtype, bytes and value of every length in one row, and between them the bytes of what it is the length of."""
    fields: list[tuple[np.dtype[Any] | None, int, int | None]] = []
    for prop in element.properties:
        count = 1
        if prop.count is not None:
            dtype = ordered(prop.count, order)
            raw = file.read(dtype.itemsize)
            count = int(np.frombuffer(raw, dtype)[0]) if len(raw) == dtype.itemsize else -1
            fields.append((dtype, dtype.itemsize, count))
        if count > 0:
            fields.append((None, count * prop.dtype.itemsize, None))
            file.seek(count * prop.dtype.itemsize, 1)
    return fields


class Lines:
    """The rows of an ascii file with the numbers of their lines; lines without text do not count."""

    def __init__(self, path: Path, file: TextIO, header_lines: int) -> None:
        self.path = path
        texts = ((number, line.strip()) for number, line in enumerate(file, 1))
        self.rows = ((number, text) for number, text in islice(texts, header_lines, None) if text)

    def take(self, what: str, count: int) -> list[tuple[int, str]]:
        """The next ``count`` rows; raises ``IngestError`` when the file ends before."""
        rows = list(islice(self.rows, count))
        if len(rows) < count:
            got = f"the end after {len(rows)} of them" + (f", line {rows[-1][0]}" if rows else "")
            raise truncated(self.path, f"{count} more rows of {what}", got)
        return rows

    def skip(self, element: Element) -> None:
        """Pass over an element, whose rows must be as long as they say."""
        for _ in range(element.rows if element.properties else 0):
            ((number, text),) = self.take(element.name, 1)
            words = text.split()
            at = 0
            for prop in element.properties:
                length = words[at] if prop.count is not None and at < len(words) else "0"
                at += 1 + (int(length) if length.isdecimal() else len(words))
            if at != len(words):
                raise self.bad_row(number, text, f"a row of {element.name}")

    def parse(self, table: AnyArray) -> None:
        """Fill a table; raises ``IngestError`` naming the first line that cannot be used."""
        names = table.dtype.names or ()
        rows = self.take(VERTEX, len(table))
        try:
            values = np.loadtxt([text for _, text in rows], dtype=np.float64, comments=None, ndmin=2)
        except ValueError:
            values = np.empty((0, 0))
        if values.shape != (len(rows), len(names)):
            bad = (row for row in rows if not _is_row_of_numbers(row[1], len(names)))
            raise self.bad_row(*next(bad, rows[0]), f"{len(names)} numbers")
        for column, name in enumerate(names):
            good = fill_column(table, name, values[:, column])
            if not good.all():
                raise self.bad_row(*rows[int(np.argmin(good))], f"{table.dtype[name]} for {name!r}")

    def bad_row(self, number: int, text: str, expected: str) -> IngestError:
        """The error for a row that cannot be used."""
        got = f"{text[:80]!r} in line {number}"
        return IngestError(f"{self.path} has a row that cannot be used", expected=expected, got=got)


def _is_row_of_numbers(text: str, count: int) -> bool:
    words = text.split()
    try:
        return len([float(word) for word in words if "_" not in word]) == len(words) == count
    except ValueError:
        return False


def fill_column(table: AnyArray, name: str, values: FloatArray) -> AnyArray:
    """Cast a column into a table; returns where that kept the value, up to the precision of a float."""
    dtype = table.dtype[name]
    if dtype.kind == "f":
        with np.errstate(over="ignore"):
            table[name] = values
        return np.asarray(np.isfinite(table[name]) == np.isfinite(values))
    info = np.iinfo(dtype)
    good: AnyArray = (values >= info.min) & (values <= info.max) & (np.rint(values) == values)
    table[name] = np.where(good, values, 0)
    return good


def reader_of(path: Path, header: Header, vertices: Element, options: ReadOptions) -> VertexReader:
    """Decide what becomes of each property; raises ``IngestError`` for a wanted one that is not there."""
    dtypes = {prop.name: prop.dtype for prop in vertices.properties}
    positions = options.positions or (AXES if AXES[2] in dtypes else AXES[:2])
    if not set(positions) <= set(dtypes) or not 1 <= len(set(positions)) == len(positions) <= 4:
        expected, hint = f"1 to 4 of {list(dtypes)}", "name the properties that hold the positions"
        raise IngestError(f"{path} cannot give the positions", expected=expected, got=list(positions), hint=hint)
    owners = [name for name, dtype in dtypes.items() if dtype.kind in "iu" and name not in positions]
    owner = options.owner_among(owners)
    if owner is not None and owner not in owners:
        raise IngestError(f"{path} has no integer property {owner!r} for object ids", expected=f"one of {owners}")
    available = [name for name in dtypes if name not in positions and name != owner]
    wanted = available if options.attributes is None else list(options.attributes)
    if unknown := [name for name in wanted if name not in available]:
        raise IngestError(f"{path} lacks wanted attributes", expected=f"some of {available}", got=unknown)
    return VertexReader(path, header, vertices, tuple(positions), tuple(wanted), owner, options.batch_rows)
