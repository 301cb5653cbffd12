"""The text header of MRtrix track files: ``key: value`` lines between ``mrtrix tracks`` and ``END``."""

from __future__ import annotations

import re
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, BinaryIO

import numpy as np

from zarr_vectors.exceptions import ExportError, IngestError
from zarr_vectors.formats.streamlines import empty_file
from zarr_vectors.typing import JsonObject

__all__ = ["DATATYPES", "MAGIC", "Header", "header_from", "new_header", "read_header"]

MAGIC = "mrtrix tracks"
END = "END"
DATATYPES: dict[str, np.dtype[Any]] = {
    "Float32LE": np.dtype("<f4"),
    "Float32BE": np.dtype(">f4"),
    "Float64LE": np.dtype("<f8"),
    "Float64BE": np.dtype(">f8"),
}
DEFAULT_DATATYPE = "Float32LE"
LONGEST_HEADER = 1 << 22
COUNT_DIGITS = 10


@dataclass(frozen=True, kw_only=True)
class Header:
    """What stands before the data.

    Args:
        text: All lines up to END, with the ends of lines.
        offset: Byte at which the data begin; between text and data are zero bytes.
        encoding: Of the text.
        separator: The three numbers after every streamline as bytes of the file.
        end: The three numbers after the last one.
    """

    text: str
    offset: int
    encoding: str = "utf-8"
    separator: bytes = b""
    end: bytes = b""

    def value(self, key: str) -> str | None:
        """The first value of a key; None where there is none."""
        lines = (line.split(":", 1) for line in self.text.split("\n") if ":" in line)
        return next((value.strip() for name, value in lines if name.strip() == key), None)

    @property
    def datatype(self) -> str:
        """The name of the numbers' type."""
        return self.value("datatype") or DEFAULT_DATATYPE

    @property
    def dtype(self) -> np.dtype[Any]:
        """The dtype of the numbers, in the byte order of the file."""
        return DATATYPES[self.datatype]

    def with_count(self, count: int) -> Header:
        """The same, with another number of streamlines where it tells one; the length of the text stays if it can."""
        kept = self.value("count")
        if kept is None or (kept.isascii() and kept.isdigit() and int(kept) == count):
            return self
        changed = _with(self, "count", f"{count:0{len(kept)}d}")
        if self.value("file") is None:
            return replace(changed, offset=changed.size)
        # The offset stands in the text whose length it depends on; a second round settles its digits.
        while changed.size > changed.offset:
            changed = _with(replace(changed, offset=changed.size), "file", f". {changed.size}")
        return changed

    @property
    def size(self) -> int:
        """Bytes of the text."""
        return len(self.text.encode(self.encoding))

    def to_bytes(self) -> bytes:
        """The bytes before the data."""
        return self.text.encode(self.encoding).ljust(self.offset, b"\0")

    def to_json(self) -> JsonObject:
        """What ``header_from`` takes."""
        document: JsonObject = {"text": self.text, "offset": self.offset, "encoding": self.encoding}
        return document | {"separator": self.separator.hex(), "end": self.end.hex()}


def _with(header: Header, key: str, value: str) -> Header:
    """The same header with another value where the key stands first."""
    pattern = re.compile(rf"^([ \t]*{key}[ \t]*:)[^\r\n]*", re.MULTILINE)
    return replace(header, text=pattern.sub(rf"\g<1> {value}", header.text, count=1))


def read_header(path: Path) -> Header:
    """Read and check the header, and take separator and end from the end of the file.

    Raises:
        IngestError: Not TCK, truncated, of another datatype, or with data in another file.

    Example:
        >>> import tempfile
        >>> with tempfile.TemporaryDirectory() as folder:
        ...     file = Path(folder, "a.tck")
        ...     _ = file.write_bytes(new_header(0).to_bytes() + np.full(3, np.inf, "<f4").tobytes())
        ...     read_header(file).datatype
        'Float32LE'
    """
    size = path.stat().st_size
    with path.open("rb") as file:
        header = _read_text(path, file)
        if header.datatype not in DATATYPES:
            got = repr(header.datatype)
            raise IngestError(f"{path} has a datatype that is not known", expected=f"one of {list(DATATYPES)}", got=got)
        header = replace(header, offset=_offset(path, header))
        triple = 3 * header.dtype.itemsize
        if size < header.offset + triple or (size - header.offset) % triple:
            expected = f"a multiple of {triple} bytes from byte {header.offset} on"
            raise IngestError(f"{path} is truncated", expected=expected, got=f"{size - header.offset} bytes")
        file.seek(max(header.offset, size - 2 * triple))
        last = file.read()
    end = np.frombuffer(last[-triple:], header.dtype)
    if not np.isinf(end).all():
        got = f"{end.tolist()} at byte {size - triple}"
        raise IngestError(f"{path} is truncated", expected="three infinite numbers at the end", got=got)
    return replace(header, separator=last[:-triple], end=last[-triple:])


def _read_text(path: Path, file: BinaryIO) -> Header:
    """The lines up to END; the data are taken to begin after them."""
    lines = [file.readline(LONGEST_HEADER)]
    if not lines[0]:
        raise empty_file(path, f"first line {MAGIC!r}")
    if lines[0].strip() != MAGIC.encode():
        raise IngestError(f"{path} is not a TCK file", expected=f"first line {MAGIC!r}", got=repr(lines[0][:20]))
    left = LONGEST_HEADER
    while lines[-1].endswith(b"\n") and lines[-1].strip() != END.encode():
        lines.append(file.readline(max(left, 1)))
        left -= len(lines[-1])
    if not lines[-1].endswith(b"\n"):
        expected, got = f"a line {END!r} at the end of the header", f"{lines[-1][:60]!r} in line {len(lines)}"
        raise IngestError(f"{path} is truncated or its header is wrong", expected=expected, got=got)
    raw = b"".join(lines)
    try:
        return Header(text=raw.decode(), offset=len(raw))
    except UnicodeDecodeError:
        return Header(text=raw.decode("latin-1"), offset=len(raw), encoding="latin-1")


def _offset(path: Path, header: Header) -> int:
    place = header.value("file")
    if place is None:
        return header.offset
    name, _, offset = place.partition(" ")
    if name != ".":
        raise IngestError(f"{path} has its data in another file", expected="'file: .'", got=repr(place))
    offset = offset.strip()
    if not (offset.isascii() and offset.isdigit() and len(offset) < 19 and int(offset) >= header.offset):
        expected = f"'file: .' and a byte from {header.offset} on"
        raise IngestError(f"{path} does not tell where its data begin", expected=expected, got=repr(place))
    return int(offset)


def new_header(count: int) -> Header:
    """A header of little endian float32, which every reader takes.

    Example:
        >>> new_header(3).text.splitlines()
        ['mrtrix tracks', 'count: 0000000003', 'datatype: Float32LE', 'file: . 67', 'END']
    """
    lines = [MAGIC, f"count: {count:0{COUNT_DIGITS}d}", f"datatype: {DEFAULT_DATATYPE}", "file: . 67", END, ""]
    text = "\n".join(lines)
    return Header(text=text, offset=len(text))


def header_from(document: JsonObject) -> Header:
    """The header that an ingest kept.

    Raises:
        ExportError: The JSON is not what an ingest keeps.

    Example:
        >>> header_from(new_header(3).to_json()).value("count")
        '0000000003'
    """
    try:
        header = Header(
            text=str(document["text"]),
            offset=int(document["offset"]),
            encoding=str(document["encoding"]),
            separator=bytes.fromhex(document["separator"]),
            end=bytes.fromhex(document["end"]),
        )
        size = header.size
    except (KeyError, TypeError, ValueError, LookupError) as error:
        got = repr(error)[:80]
        raise ExportError(
            "headers/tck is not what an ingest keeps", expected="text, offset and more", got=got
        ) from error
    sound = header.text.startswith(MAGIC) and header.text.rstrip().endswith(END) and header.datatype in DATATYPES
    if not sound or not size <= header.offset <= size + LONGEST_HEADER:
        got = f"{header.text[:40]!r} and offset {header.offset}"
        raise ExportError("headers/tck is not what an ingest keeps", expected="a TCK header and its offset", got=got)
    return header
