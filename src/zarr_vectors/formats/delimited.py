"""What the lines of a text table look like: separator, header, comments, and where a line went wrong."""

from __future__ import annotations

import csv
import io
import re
from collections.abc import Iterator
from dataclasses import dataclass
from itertools import islice
from pathlib import Path
from typing import BinaryIO

from zarr_vectors.exceptions import IngestError
from zarr_vectors.formats.base import ReadOptions
from zarr_vectors.formats.columns import has_positions

__all__ = ["BLOCK_BYTES", "Dialect", "explain", "line_of_row", "sniff"]

BLOCK_BYTES = 2**20
"""How much text is parsed at a time; no line may be longer."""

_HEAD_BYTES = 2**20
_SEPARATORS = (",", ";", "\t", "|")
_COMMENTS = ("#", "//")
_LINE_END = re.compile(r"\r\n|\r|\n")
_COMMENT_LINE = re.compile(rb"^(?:#|//)[^\n]*", re.MULTILINE)


@dataclass(frozen=True, kw_only=True)
class Dialect:
    """How a text table is written.

    Args:
        path: The file.
        separator: One character; a space when ``spaced``.
        spaced: Fields are separated by any run of spaces and tabs.
        names: One per column.
        invented: Those of ``names`` that do not come from the file.
        skip: Lines before the first row.
        empty: There are no rows.
    """

    path: Path
    separator: str
    spaced: bool
    names: tuple[str, ...]
    invented: frozenset[str]
    skip: int
    empty: bool

    def open(self) -> BinaryIO:
        """The bytes of the file, with gaps made single spaces when ``spaced``; lines stay where they are."""
        raw = self.path.open("rb")
        return io.BufferedReader(_Respaced(raw), BLOCK_BYTES) if self.spaced else raw

    def rows(self) -> Iterator[tuple[int, list[str]]]:
        """The rows as text with the number of their last line, read slowly and with patience."""
        with io.TextIOWrapper(self.open(), encoding="utf-8", errors="replace", newline="") as text:
            for _ in islice(text, self.skip):
                pass
            reader = csv.reader(text, delimiter=self.separator)
            for row in reader:
                if row:
                    yield self.skip + reader.line_num, row


class _Respaced(io.RawIOBase):
    """Bytes of a file with every gap between fields made one space, and comment lines made empty."""

    def __init__(self, raw: BinaryIO) -> None:
        self._raw = raw
        self._ready = memoryview(b"")
        self._rest = raw.read(3).removeprefix(b"\xef\xbb\xbf")

    def readable(self) -> bool:
        return True

    def close(self) -> None:
        self._raw.close()
        super().close()

    def readinto(self, buffer: object) -> int:
        target = memoryview(buffer)  # type: ignore[arg-type]
        while not self._ready:
            block = self._raw.read(BLOCK_BYTES)
            lines = self._rest + block
            if not lines:
                return 0
            end = max(lines.rfind(b"\n"), lines.rfind(b"\r", 0, -1)) + 1 if block else len(lines)
            if not end and len(lines) > 4 * BLOCK_BYTES:
                end = len(lines)
            self._ready, self._rest = memoryview(_respace(lines[:end])), lines[end:]
        count = min(len(target), len(self._ready))
        target[:count] = self._ready[:count]
        self._ready = self._ready[count:]
        return count


def _respace(lines: bytes) -> bytes:
    lines = lines.replace(b"\r\n", b"\n").replace(b"\r", b"\n")
    if b"\t" in lines or b"  " in lines:
        # Every second part lies between quotes, as long as quotes come in pairs and stay within a line.
        parts = lines.split(b'"')
        lines = b'"'.join(_single_spaced(part) if index % 2 == 0 else part for index, part in enumerate(parts))
    lines = lines.strip(b" ").replace(b"\n ", b"\n").replace(b" \n", b"\n")
    return _COMMENT_LINE.sub(b"", lines) if b"#" in lines or b"//" in lines else lines


def _single_spaced(text: bytes) -> bytes:
    text = text.replace(b"\t", b" ")
    while b"  " in text:
        text = text.replace(b"  ", b" ")
    return text


def sniff(path: Path, options: ReadOptions) -> Dialect:
    """Find out how a text table is written.

    Raises:
        IngestError: The file is empty, or not UTF-8 text.
    """
    text, whole = _head(path)
    comments, start, line = _first_line(text)
    if not line:
        raise IngestError(f"{path} is empty", expected="a header line or rows of numbers")
    separator, spaced = _separator(path, line)
    fields, lines, rest = _first_record(path, text[start:], separator, spaced=spaced)
    given = _given_names(fields, comments, separator, options)
    header = given is fields
    invented = {index: _invented(index, named=any(given)) for index, name in enumerate(given) if not name}
    return Dialect(
        path=path,
        separator=separator,
        spaced=spaced,
        names=tuple(name or invented[index] for index, name in enumerate(given)),
        invented=frozenset(invented.values()),
        skip=len(_LINE_END.findall(text[:start])) + (lines if header else 0),
        empty=header and whole and not _first_line(rest)[2],
    )


def _head(path: Path) -> tuple[str, bool]:
    with path.open("rb") as file:
        head = file.read(_HEAD_BYTES)
        whole = not file.read(1)
    if head[:2] in {b"\xff\xfe", b"\xfe\xff"}:
        raise IngestError(f"{path} is not UTF-8 text", got="UTF-16", hint="save it as UTF-8")
    if b"\0" in head:
        raise IngestError(f"{path} is not text", got=f"a zero byte at {head.index(0)}")
    try:
        text = head.removeprefix(b"\xef\xbb\xbf").decode("utf-8")
    except UnicodeDecodeError as error:
        # A head that was cut may end inside a character.
        if whole or error.end < len(head) - 8:
            raise _not_utf8(path, head[: error.start].count(b"\n") + 1) from error
        text = head[: error.start].decode("utf-8-sig")
    return text, whole


def _not_utf8(path: Path, line: int) -> IngestError:
    return IngestError(f"{path} is not UTF-8 text", got=f"other bytes in line {line}", hint="save it as UTF-8")


def _first_line(text: str) -> tuple[list[str], int, str]:
    """The comments before the first line with content, where that line starts, and the line."""
    comments = []
    for match in re.finditer(r"[^\r\n]+", text):
        line = match[0].strip(" ")
        if line.startswith(_COMMENTS):
            comments.append(line.lstrip("#/ ").strip())
        elif line.strip():
            return comments, match.start(), line
    return comments, len(text), ""


def _separator(path: Path, line: str) -> tuple[str, bool]:
    bare = re.sub(r'"[^"]*"', "", line)
    suffix = path.suffix.lower()
    if suffix == ".tsv" and "\t" in bare:
        return "\t", False
    among = (",", ";") if suffix == ".xyz" else _SEPARATORS
    best = max(among, key=bare.count)
    if best in bare:
        return best, False
    if suffix == ".xyz" or re.search(r"\S[ \t]+\S", line):
        return " ", True
    return ",", False


def _first_record(path: Path, text: str, separator: str, *, spaced: bool) -> tuple[list[str], int, str]:
    """The first fields, the number of lines that they take, and the text behind them."""
    file = io.StringIO(text, newline="")
    if spaced:
        return [field.strip('"') for field in re.findall(r'"[^"]*"|[^ \t\r\n]+', file.readline())], 1, file.read()
    reader = csv.reader(file, delimiter=separator)
    try:
        fields = [field.strip() for field in next(reader)]
    except csv.Error as error:
        raise IngestError(f"{path} cannot be read as a text table", got=f"{error} in its first line") from error
    return fields, reader.line_num, file.read()


def _given_names(fields: list[str], comments: list[str], separator: str, options: ReadOptions) -> list[str]:
    """The names of the columns: ``fields``, or those in the last comment, or an empty one for each column.

    Without a name for coordinates, a line of which half is numbers is no header.
    """
    if _fits(fields, options):
        return fields
    for names in (comments[-1].split(separator), re.split(r"[,;\s]+", comments[-1])) if comments else ():
        stripped = [name.strip(' \t"') for name in names]
        if len(stripped) == len(fields) and _fits(stripped, options):
            return stripped
    return [""] * len(fields) if 2 * sum(map(_is_number, fields)) >= len(fields) else fields


def _fits(names: list[str], options: ReadOptions) -> bool:
    return set(options.positions) <= set(names) if options.positions else has_positions(names)


def _invented(index: int, *, named: bool) -> str:
    return "xyz"[index] if index < 3 and not named else f"column_{index}"


def _is_number(text: str) -> bool:
    try:
        float(text)
    except ValueError:
        return False
    return "_" not in text


def line_of_row(dialect: Dialect, row: int) -> int | None:
    """The line of the file that holds a row, counting lines from 1 and rows from 0."""
    return next((line for line, _ in islice(dialect.rows(), row, row + 1)), None)


def explain(dialect: Dialect, error: Exception) -> IngestError:
    """Find the line that made pyarrow give up."""
    path = dialect.path
    with path.open("rb") as file:
        for number, line in enumerate(file, 1):
            try:
                line.decode("utf-8")
            except UnicodeDecodeError:
                return _not_utf8(path, number)
    if "straddling" in str(error):
        return IngestError(
            f"{path} has a line of more than {BLOCK_BYTES} bytes", hint="look for a quote that is opened and not closed"
        )
    try:
        for number, fields in dialect.rows():
            if len(fields) != len(dialect.names):
                return IngestError(
                    f"{path} has rows of different lengths",
                    expected=f"{len(dialect.names)} fields",
                    got=f"{len(fields)} in line {number}",
                    hint="check the separator, and quote text that contains it",
                )
    except csv.Error:
        pass
    return IngestError(f"{path} cannot be read as a text table", got=str(error))
