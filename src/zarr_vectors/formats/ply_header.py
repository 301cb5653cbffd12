"""The header of PLY files: the tables that a file has, and their columns."""

from __future__ import annotations

import re
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, BinaryIO

import numpy as np

from zarr_vectors.exceptions import IngestError

__all__ = [
    "BYTE_ORDERS",
    "DTYPES",
    "VERTEX",
    "Element",
    "Header",
    "Property",
    "check_size",
    "ordered",
    "read_header",
    "truncated",
]

VERTEX = "vertex"
BYTE_ORDERS = {"ascii": "=", "binary_little_endian": "<", "binary_big_endian": ">"}
PLY_NAMES = ("char", "uchar", "short", "ushort", "int", "uint", "float", "double")
NUMPY_NAMES = ("int8", "uint8", "int16", "uint16", "int32", "uint32", "float32", "float64")
DTYPES = {ply: np.dtype(name) for ply, name in zip(PLY_NAMES + NUMPY_NAMES, NUMPY_NAMES * 2, strict=True)}
MAGIC = re.compile(rb"ply[ \t\r]*?(\n|\r(?!\n))")
LONGEST_LINE = 1 << 16
MOST_DIGITS = 18


@dataclass(frozen=True)
class Property:
    """A value per row; a list of values when ``count`` has the dtype of their number."""

    name: str
    dtype: np.dtype[Any]
    count: np.dtype[Any] | None = None

    @property
    def least_bytes(self) -> int:
        """What a row takes in a binary file; a list may be empty."""
        return int(self.dtype.itemsize if self.count is None else self.count.itemsize)


@dataclass(frozen=True)
class Element:
    """A table of a PLY file: its name, number of rows and properties."""

    name: str
    rows: int
    properties: list[Property] = field(default_factory=list)


@dataclass
class Header:
    """What the header of a file says; ``size`` in bytes, ``lines`` in lines that end with ``newline``."""

    encoding: str = ""
    comments: list[str] = field(default_factory=list)
    obj_info: list[str] = field(default_factory=list)
    elements: list[Element] = field(default_factory=list)
    size: int = 0
    lines: int = 0
    newline: str = "\n"

    def take(self, text: str) -> bool:
        """Take one line of the header; False when it means nothing or contradicts an earlier one."""
        match text.split():
            case []:
                pass
            case ["comment" | "obj_info" as keyword, *_]:
                note = text.strip()[len(keyword) :].strip()
                # Comments without text are what this library pads headers with.
                (self.comments if keyword == "comment" else self.obj_info).extend([note] if note else [])
            case ["format", encoding, "1.0"] if encoding in BYTE_ORDERS and not self.encoding:
                self.encoding = encoding
            case ["element", name, rows] if rows.isascii() and rows.isdigit() and len(rows) <= MOST_DIGITS:
                self.elements.append(Element(name, int(rows)))
                return len({element.name for element in self.elements}) == len(self.elements)
            case ["property", kind, name] if self.elements and kind in DTYPES:
                return self._add(Property(name, DTYPES[kind]))
            case ["property", "list", count, kind, name] if self.elements and {count, kind} <= set(DTYPES):
                return DTYPES[count].kind in "iu" and self._add(Property(name, DTYPES[kind], DTYPES[count]))
            case _:
                return False
        return True

    def _add(self, prop: Property) -> bool:
        properties = self.elements[-1].properties
        properties.append(prop)
        return len({known.name for known in properties}) == len(properties)


def truncated(path: Path, expected: str, got: str) -> IngestError:
    """The error for a file that ends too early."""
    return IngestError(f"{path} is truncated or its header is wrong", expected=expected, got=got)


def ordered(dtype: np.dtype[Any], order: str) -> np.dtype[Any]:
    """A dtype in a byte order."""
    return np.dtype(order + dtype.str[1:])


def read_header(path: Path, file: BinaryIO) -> Header:
    """Read up to the line 'end_header', where it leaves the file; lines end with LF, CR LF or CR.

    Raises:
        IngestError: Not PLY 1.0, truncated, or a line that cannot be used, named by its number.
    """
    start = file.read(64)
    if not start:
        raise IngestError(f"{path} is empty", expected="a PLY header")
    magic = MAGIC.match(start)
    if magic is None:
        raise IngestError(f"{path} is not a PLY file", expected="first line 'ply'", got=repr(start[:20]))
    end = magic[1]
    file.seek(magic.end())
    header = Header(lines=1, newline=end.decode())
    while True:
        line = _read_line(file, end)
        header.lines += 1
        got = f"{line[:80]!r} in line {header.lines}"
        if not line.endswith(end):
            raise truncated(path, "a header that ends with 'end_header'", got)
        if line.split() == [b"end_header"]:
            break
        if not header.take(_text(line)):
            raise IngestError(f"{path} has a header line that cannot be used", expected="PLY 1.0", got=got)
    if not header.encoding:
        raise IngestError(f"{path} does not state its format", expected="a line 'format'", got="none")
    header.size = file.tell()
    return header


def _read_line(file: BinaryIO, end: bytes) -> bytes:
    if end == b"\n":
        return file.readline(LONGEST_LINE)
    # A file of the old Macintosh kind, of which readline knows nothing; its header is short.
    line = b""
    while not line.endswith(end) and len(line) < LONGEST_LINE and (byte := file.read(1)):
        line += byte
    return line


def _text(raw: bytes) -> str:
    try:
        return raw.decode("utf-8")
    except UnicodeDecodeError:
        return raw.decode("latin-1")


def check_size(path: Path, header: Header) -> None:
    """Refuse a file that cannot hold what its header announces; lists count as empty ones."""
    if header.encoding == "ascii":
        # A character and a separator per value; the last line may lack its end.
        least = sum(2 * element.rows * len(element.properties) for element in header.elements) - 1
    else:
        least = sum(e.rows * sum(p.least_bytes for p in e.properties) for e in header.elements)
    held = path.stat().st_size - header.size
    if held < least:
        announced = ", ".join(f"{element.rows} of {element.name}" for element in header.elements)
        raise truncated(path, f"{announced} in {least} bytes or more after the header", f"{held} bytes")
