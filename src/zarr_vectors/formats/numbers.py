"""Numbers in text, read many lines at once."""

from __future__ import annotations

import re
import warnings
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from zarr_vectors.exceptions import IngestError
from zarr_vectors.typing import AnyArray, ByteArray, FloatArray, IntArray

__all__ = ["BLANK", "BadRowError", "Rows", "TextLines", "blocks_of_lines", "parse_rows", "words_of"]

BLANK = np.isin(np.arange(256), list(b" \t\r\n\v\f"))
"""Whether a byte stands between words."""
BLOCK_BYTES = 1 << 23
NEWLINE = 10
_SPACES = bytes.maketrans(b"\t\r\v\f", b"    ")
_COMMENT = re.compile(rb"#[^\n]*")
_CONTINUED = re.compile(rb"\\ *\n")


class BadRowError(ValueError):
    """A row of a text that cannot be used; the caller knows which line of which file it is."""

    def __init__(self, row: int) -> None:
        super().__init__(row)
        self.row = row


@dataclass(frozen=True)
class Rows:
    """Numbers of lines that may differ in length.

    Args:
        values: ``(T,)`` all numbers.
        counts: ``(L,)`` how many each line has.
    """

    values: FloatArray
    counts: IntArray

    @property
    def starts(self) -> IntArray:
        """``(L,)`` where the numbers of each line begin."""
        starts: IntArray = np.cumsum(self.counts) - self.counts
        return starts


def blocks_of_lines(text: bytes) -> Iterator[bytes]:
    """A text in pieces of whole lines, so that what is made of a piece stays small."""
    at = 0
    while at < len(text):
        end = at + BLOCK_BYTES
        cut = len(text) if end >= len(text) else text.rfind(b"\n", at, end) + 1
        if cut <= at:
            cut = text.find(b"\n", end) + 1 or len(text)
        yield text[at:cut]
        at = cut


def word_counts(text: ByteArray) -> tuple[IntArray, IntArray]:
    """Where words begin, and how many there are in each line; every line ends with LF."""
    blank = BLANK[text]
    begins = ~blank
    begins[1:] &= blank[:-1]
    words = np.flatnonzero(begins)
    return words, np.diff(np.searchsorted(words, np.flatnonzero(text == NEWLINE)), prepend=0)


def parse_rows(text: bytes) -> Rows:
    r"""The numbers of lines that all end with LF; an empty line has none.

    Raises:
        BadRowError: A word is no number.

    Example:
        >>> rows = parse_rows(b"1 2.5\n\n-1e3\n")
        >>> rows.values.tolist(), rows.counts.tolist()
        ([1.0, 2.5, -1000.0], [2, 0, 1])
    """
    values: list[FloatArray] = []
    counts: list[IntArray] = []
    done = 0
    for block in blocks_of_lines(text):
        _, count = word_counts(np.frombuffer(block, np.uint8))
        numbers = _floats(block) if count.any() else np.empty(0)
        if len(numbers) != int(count.sum()):
            raise BadRowError(done + _first_bad(block))
        values.append(numbers)
        counts.append(count)
        done += len(count)
    if not values:
        return Rows(np.empty(0), np.empty(0, np.int64))
    return Rows(np.concatenate(values), np.concatenate(counts))


def _floats(text: bytes) -> FloatArray:
    """All numbers up to the first word that is none."""
    with warnings.catch_warnings():
        # numpy before 2.3 warns where later ones raise.
        warnings.simplefilter("error", DeprecationWarning)
        try:
            return np.fromstring(text, dtype=np.float64, sep=" ")
        except (ValueError, DeprecationWarning):
            return np.empty(0)


def _first_bad(text: bytes) -> int:
    for row, line in enumerate(text.splitlines()):
        for word in line.split():
            try:
                good = b"_" not in word and (float(word), True)[1]
            except ValueError:
                good = False
            if not good:
                return row
    return 0


def words_of(column: AnyArray) -> list[str]:
    """The shortest texts that give the same numbers again in the column's dtype.

    Example:
        >>> words_of(np.array([0.1, 2], np.float32)), words_of(np.array([7], np.uint8))
        (['0.1', '2.0'], ['7'])
    """
    if column.dtype.kind == "f" and column.dtype.itemsize < 8:
        texts: list[str] = column.astype(np.str_).tolist()
        return texts
    return list(map(repr, column.tolist()))


@dataclass(frozen=True)
class TextLines:
    """The lines of a text file that hold anything but comments.

    Args:
        path: The file.
        text: Its bytes without comments; blanks are spaces and lines end with LF.
        starts: ``(L,)`` first character of each line that is not blank.
        ends: ``(L,)`` the LF of each line.
        numbers: ``(L,)`` number of each line in the file, from 1.
        comments: The comments before the first line.
    """

    path: Path
    text: ByteArray
    starts: IntArray
    ends: IntArray
    numbers: IntArray
    comments: list[str]

    @classmethod
    def read(cls, path: Path, *, comments: bool, continued: bool = False) -> TextLines:
        """Read a file whose lines end with LF, CR LF or CR.

        Args:
            comments: Whether ``#`` at the start of a word begins a comment.
            continued: Whether a backslash at the end of a line joins it with the next.

        Raises:
            IngestError: The file is empty.
        """
        raw = path.read_bytes()
        if not raw:
            raise IngestError(f"{path} is empty", expected="text")
        if b"\n" not in raw:
            raw = raw.replace(b"\r", b"\n")
        raw = raw.translate(_SPACES)
        if not raw.endswith(b"\n"):
            raw += b"\n"
        newlines = np.flatnonzero(np.frombuffer(raw, np.uint8) == NEWLINE)
        notes = _leading_comments(raw) if comments else []
        if comments and b"#" in raw:
            raw = _COMMENT.sub(_blanked, raw)
        if continued and b"\\" in raw:
            raw = _CONTINUED.sub(lambda match: b" " * len(match[0]), raw)
            if not raw.endswith(b"\n"):
                raw += b"\n"
        text = np.frombuffer(raw, np.uint8)
        words, counts = word_counts(text)
        held = np.flatnonzero(counts)
        starts = words[(np.cumsum(counts) - counts)[held]]
        ends = np.flatnonzero(text == NEWLINE)[held]
        return cls(path, text, starts, ends, np.searchsorted(newlines, starts) + 1, notes)

    def __len__(self) -> int:
        return len(self.starts)

    def characters(self, at: int) -> ByteArray:
        """``(L,)`` the character of each line that many after the first; LF after its end."""
        characters: ByteArray = self.text[np.minimum(self.starts + at, self.ends)]
        return characters

    def bytes_of(self, rows: AnyArray, skip: int = 0) -> bytes:
        """The text of some lines, the first ``skip`` characters of each replaced by spaces.

        Args:
            rows: Ascending rows, or a mask.
        """
        starts, lengths = self.starts[rows], (self.ends[rows] + 1 - self.starts[rows])
        change = np.zeros(len(self.text) + 1, np.int8)
        change[starts] += 1
        change[starts + lengths] -= 1
        text = self.text[np.cumsum(change[:-1], dtype=np.int8).astype(np.bool_)]
        begins = np.cumsum(lengths) - lengths
        for at in range(skip):
            text[np.minimum(begins + at, begins + lengths - 1 - (lengths > 1))] = ord(" ")
        return text.tobytes()

    def line(self, row: int) -> str:
        """The text of a line, without blanks around it."""
        raw = self.text[self.starts[row] : self.ends[row]].tobytes()
        try:
            return raw.decode("utf-8").strip()
        except UnicodeDecodeError:
            return raw.decode("latin-1").strip()

    def floats(self, rows: IntArray, skip: int, expected: str) -> Rows:
        """The numbers of some lines after a keyword of ``skip`` characters; raises ``IngestError`` naming the line."""
        try:
            return parse_rows(self.bytes_of(rows, skip))
        except BadRowError as error:
            raise self.bad(int(rows[error.row]), expected) from error

    def bad(self, row: int, expected: Any) -> IngestError:
        """The error for a line that cannot be used."""
        got = f"{self.line(row)[:80]!r} in line {self.numbers[row]}"
        return IngestError(f"{self.path} has a line that cannot be used", expected=expected, got=got)


def _blanked(match: re.Match[bytes]) -> bytes:
    """What follows a ``#``, blank from the first one on that begins a word."""
    text, start = match[0], match.start()
    kept = 0 if not start or match.string[start - 1] in b" \n" else text.find(b" #") + 1 or len(text)
    return text[:kept] + b" " * (len(text) - kept)


def _leading_comments(raw: bytes) -> list[str]:
    notes: list[str] = []
    at = 0
    while at < len(raw):
        end = raw.index(b"\n", at)
        line = raw[at:end].strip()
        if line and not line.startswith(b"#"):
            break
        if text := line.lstrip(b"#").strip():
            notes.append(text.decode("utf-8", errors="replace"))
        at = end + 1
    return notes
