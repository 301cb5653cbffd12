"""The text of an SWC file as columns of numbers."""

from __future__ import annotations

import re
import warnings
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from zarr_vectors.exceptions import IngestError
from zarr_vectors.typing import AnyArray, BoolArray, ByteArray, FloatArray, IntArray

__all__ = ["COLUMNS", "WIDE_NOTE", "SwcText", "is_short", "read_text"]

COLUMNS = ("id", "type", "x", "y", "z", "radius", "parent")
WIDE_NOTE = "float64: "
"""How a comment of ours begins that names columns of float64 whose numbers are so short that float32 holds them."""

_SPACE, _NEWLINE, _HASH = (ord(mark) for mark in " \n#")
_GAP = np.zeros(256, dtype=bool)
_GAP[[*b" \t\v\f\n"]] = True
_NUMERIC = _GAP.copy()
_NUMERIC[[*b"0123456789+-.eEnNaAiIfF"]] = True
_DIGIT = np.zeros(256, dtype=bool)
_DIGIT[[*b"0123456789"]] = True
_EXACT = 2.0**53
_SHORT_DIGITS = 6
"""So many digits come back from float32 whatever they are."""
_BLOCK = 2**12


@dataclass(frozen=True)
class SwcText:
    """The rows of an SWC file.

    Args:
        path: The file.
        comments: The comment lines, without the mark.
        encoding: Of the comments.
        names: One for each column.
        values: ``(N, C)`` numbers.
        tokens: ``(N, C)`` first and last byte of each number in ``text``.
        lines: ``(N,)`` line of each row, from 1.
        text: The bytes.
        wide: Columns that a note says to be float64.
    """

    path: Path
    comments: list[str]
    encoding: str
    names: tuple[str, ...]
    values: FloatArray
    tokens: IntArray
    lines: IntArray
    text: ByteArray
    wide: frozenset[str]

    def token(self, row: int, column: int) -> str:
        """A number as it is written."""
        first, end = self.tokens[row, column]
        return self.text[first:end].tobytes().decode("latin-1")

    def error(self, what: str, row: int, got: str, **facts: Any) -> IngestError:
        """An error that names the line of a row."""
        return IngestError(f"{self.path}: {what}", got=f"{got} in line {self.lines[row]}", **facts)

    def integers(self, name: str) -> IntArray:
        """A column as int64.

        Raises:
            IngestError: One of its numbers is no integer of 64 bits.
        """
        column = self.names.index(name)
        values = self.values[:, column]
        small = np.abs(values) < _EXACT
        whole = small & (values == np.trunc(values))
        result = np.where(whole, values, 0).astype(np.int64)
        for row in np.flatnonzero(~whole).tolist():
            token = self.token(row, column)
            plain = re.fullmatch(r"[+-]?0*[0-9]{1,19}", token)
            if not plain or not -(2**63) <= int(token) < 2**63:
                raise self.error(f"{name} must be an integer of 64 bits", row, repr(token))
            result[row] = int(token)
        return result

    def is_integral(self, name: str) -> bool:
        """Whether a column is written without points and exponents."""
        column = self.tokens[:, self.names.index(name)]
        plain = np.concatenate([[0], np.cumsum(_DIGIT[self.text] | np.isin(self.text, [*b"+-"]))])
        return bool((plain[column[:, 1]] - plain[column[:, 0]] == column[:, 1] - column[:, 0]).all())

    def floats(self, names: tuple[str, ...], *, wide: bool) -> list[AnyArray]:
        """Columns as float32 where that holds what is written, otherwise as float64."""
        columns = [self.names.index(name) for name in names]
        narrow = not wide and not self.wide.intersection(names) and all(self._is_short(index) for index in columns)
        return [self.values[:, index].astype(np.float32 if narrow else np.float64) for index in columns]

    def _is_short(self, column: int) -> bool:
        tokens = self.tokens[:, column]
        digits = np.concatenate([[0], np.cumsum(_DIGIT[self.text])])
        return is_short(self.values[:, column], digits[tokens[:, 1]] - digits[tokens[:, 0]])


def is_short(values: FloatArray, digits: IntArray | None = None) -> bool:
    """Whether numbers are so short that float32 holds them: its shortest text is the same number.

    Args:
        values: ``(N,)`` numbers.
        digits: ``(N,)`` digits that each is written with, where known.

    Example:
        >>> is_short(np.array([0.1, 1234.567])), is_short(np.array([1234.56789]))
        (True, False)
    """
    size = np.abs(values)
    plain = (size == 0) | ((size > 1e-30) & (size < 1e30)) | ~np.isfinite(values)
    rest = np.flatnonzero(~plain) if digits is None else np.flatnonzero(~(plain & (digits <= _SHORT_DIGITS)))
    if digits is None:
        rest = np.arange(len(values))
    for start in range(0, len(rest), _BLOCK):
        some = values[rest[start : start + _BLOCK]]
        with np.errstate(over="ignore"):
            narrow = some.astype(np.float32)
        back = narrow.astype("S32").astype(np.float64)
        if not np.array_equal(back, some, equal_nan=True):
            return False
    return True


def read_text(path: Path) -> SwcText:
    """Read an SWC file.

    Raises:
        IngestError: It is empty or no text, or a line has a field that is no number, or too few or too many fields.
    """
    data = path.read_bytes()
    if not data.strip():
        raise IngestError(f"{path} is empty", expected=f"lines of {' '.join(COLUMNS)}")
    if b"\0" in data:
        raise IngestError(f"{path} is not text", got=f"a zero byte at {data.index(0)}")
    data = data.removeprefix(b"\xef\xbb\xbf").replace(b"\r\n", b"\n").replace(b"\r", b"\n")
    text = np.frombuffer(data if data.endswith(b"\n") else data + b"\n", dtype=np.uint8)
    ends = np.flatnonzero(text == _NEWLINE)
    starts, stops = _words(text)
    line_of = np.searchsorted(ends, starts)
    first = np.concatenate([[True], line_of[1:] != line_of[:-1]])
    noted = np.zeros(len(ends), dtype=bool)
    noted[line_of[first]] = text[starts[first]] == _HASH
    comments, encoding = _comments(data, ends, starts[first][noted[line_of[first]]])
    keep = ~noted[line_of]
    starts, stops, line_of = starts[keep], stops[keep], line_of[keep]
    text = _without(text, ends, noted)
    width = _width(path, line_of)
    _check_characters(path, text, starts, stops, line_of)
    values = _numbers(path, text, starts, stops, line_of)
    names, wide, comments = _names(comments, width)
    return SwcText(
        path=path,
        comments=comments,
        encoding=encoding,
        names=names,
        values=values.reshape(-1, width),
        tokens=np.stack([starts, stops], axis=1).reshape(-1, width, 2),
        lines=line_of[::width] + 1,
        text=text,
        wide=wide,
    )


def _words(text: ByteArray) -> tuple[IntArray, IntArray]:
    """First byte of each word, and the one behind it; text ends with a gap."""
    inside = ~_GAP[text]
    edges = np.flatnonzero(np.diff(np.concatenate([[False], inside]).astype(np.int8)))
    return edges[::2], edges[1::2]


def _comments(data: bytes, ends: IntArray, marks: IntArray) -> tuple[list[str], str]:
    """The comment lines as text; what is no UTF-8 is taken for Latin-1, in which every byte is a letter."""
    lines = [data[mark + 1 : end] for mark, end in zip(marks, ends[np.searchsorted(ends, marks)], strict=True)]
    try:
        return [line.decode() for line in lines], "utf-8"
    except UnicodeDecodeError:
        return [line.decode("latin-1") for line in lines], "latin-1"


def _without(text: ByteArray, ends: IntArray, noted: BoolArray) -> ByteArray:
    """The text with comment lines made blank."""
    if not noted.any():
        return text
    lengths = np.diff(np.concatenate([[-1], ends]))
    return np.where(np.repeat(noted, lengths), np.uint8(_SPACE), text[: ends[-1] + 1])


def _width(path: Path, line_of: IntArray) -> int:
    """The number of columns."""
    if not len(line_of):
        return len(COLUMNS)
    firsts = np.flatnonzero(np.concatenate([[True], line_of[1:] != line_of[:-1]]))
    counts = np.diff(np.concatenate([firsts, [len(line_of)]]))
    width = int(counts[0])
    bad = np.flatnonzero((counts != width) | (counts < len(COLUMNS)))
    if len(bad):
        row = int(bad[0])
        wanted = f"{width}, as in the lines above" if width >= len(COLUMNS) else f"{len(COLUMNS)} or more"
        line = line_of[firsts[row]] + 1
        got = f"{counts[row]} in line {line}"
        raise IngestError(f"{path} has a line with a wrong number of columns", expected=wanted, got=got)
    return width


def _check_characters(path: Path, text: ByteArray, starts: IntArray, stops: IntArray, line_of: IntArray) -> None:
    good = _NUMERIC[text]
    if not good.all():
        at = int(np.argmin(good))
        word = int(np.searchsorted(starts, at, side="right")) - 1
        raise _no_number(path, text, starts[word], stops[word], line_of[word])


def _numbers(path: Path, text: ByteArray, starts: IntArray, stops: IntArray, line_of: IntArray) -> FloatArray:
    """Every word as a number."""
    if not len(starts):
        return np.zeros(0)
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("error")
            values = np.fromstring(text.tobytes().decode("ascii"), sep=" ")
        if len(values) == len(starts):
            return values
    except (ValueError, DeprecationWarning):
        pass
    for first, end, line in zip(starts, stops, line_of, strict=True):
        try:
            float(text[first:end].tobytes())
        except ValueError:
            raise _no_number(path, text, first, end, line) from None
    raise IngestError(f"{path} cannot be read as columns of numbers")


def _no_number(path: Path, text: ByteArray, first: Any, end: Any, line: Any) -> IngestError:
    word = text[first:end].tobytes().decode("utf-8", errors="replace")
    return IngestError(f"{path} has a field that is no number", got=f"{word[:80]!r} in line {int(line) + 1}")


def _names(comments: list[str], width: int) -> tuple[tuple[str, ...], frozenset[str], list[str]]:
    """The names of the columns, those that a note says to be float64, and the comments without that note."""
    names = (*COLUMNS, *(f"column_{index + 1}" for index in range(len(COLUMNS), width)))
    for comment in comments:
        words = tuple(comment.split())
        if words[: len(COLUMNS)] == COLUMNS and len(words) == width == len(set(words)):
            names = words
    notes = [comment for comment in comments if comment.strip().startswith(WIDE_NOTE)]
    wide = frozenset(word for note in notes for word in note.strip().removeprefix(WIDE_NOTE).split())
    if not wide <= set(names):
        return names, frozenset(), comments
    return names, wide, [comment for comment in comments if comment not in notes]
