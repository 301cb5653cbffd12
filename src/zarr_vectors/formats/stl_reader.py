"""How STL files are read, binary and ascii: facets whose corners become shared vertices."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from zarr_vectors.exceptions import IngestError
from zarr_vectors.formats.meshes import NAME, name_column
from zarr_vectors.formats.numbers import BLANK, TextLines
from zarr_vectors.geometry import Column, Mesh
from zarr_vectors.typing import AnyArray, FloatArray, IntArray, JsonObject

__all__ = ["HEADER_BYTES", "RECORD", "Facets", "facet_normals", "read_stl"]

HEADER_BYTES = 80
RECORD = np.dtype([("normal", "<f4", 3), ("corners", "<f4", (3, 3)), ("attribute", "<u2")])
NORMAL_TOLERANCE = 1e-3
SOLID, FACET, OUTER, VERTEX, END_LOOP, END_FACET, END_SOLID, OTHER = range(8)
WORDS = (b"solid", b"facet", b"outer", b"vertex", b"endloop", b"endfacet", b"endsolid")
LAYOUT = np.array([FACET, OUTER, VERTEX, VERTEX, VERTEX, END_LOOP, END_FACET], np.int8)


@dataclass(frozen=True)
class Facets:
    """What an STL file holds.

    Args:
        normals: ``(F, 3)``.
        corners: ``(F, 3, 3)`` positions.
        attributes: ``(F,)`` uint16, or None.
        solids: ``(F,)`` number of the solid of each facet.
        names: Of the solids.
        facts: For the headers of the source.
    """

    normals: AnyArray
    corners: AnyArray
    attributes: AnyArray | None
    solids: IntArray
    names: list[str | None]
    facts: JsonObject

    def mesh(self) -> Mesh:
        """Vertices shared by the corners of a solid that have the same bits, in order of appearance."""
        count = len(self.corners)
        corners = np.ascontiguousarray(self.corners.reshape(3 * count, 3))
        owners = np.repeat(self.solids, 3)
        first, faces = _shared_rows(corners, owners)
        face_attributes: dict[str, Column] = {}
        given = self.normals[(self.normals != 0).any(axis=1)]
        computed = facet_normals(self.corners)[(self.normals != 0).any(axis=1)]
        if not (np.abs(given - computed) <= NORMAL_TOLERANCE).all():
            face_attributes["normal"] = self.normals
        if self.attributes is not None and self.attributes.any():
            face_attributes["attribute"] = self.attributes
        fields: dict[str, Any] = {}
        used = np.unique(self.solids)
        names = [self.names[solid] for solid in used.tolist()]
        if len(used) > 1 or any(names):
            fields["object_ids"] = np.searchsorted(used, owners[first])
            fields["objects"] = np.arange(len(used))
            fields["object_attributes"] = {NAME: name_column(names)} if any(names) else {}
        return Mesh(corners[first], faces.reshape(-1, 3), face_attributes=face_attributes, axes="xyz", **fields)


def facet_normals(corners: AnyArray) -> FloatArray:
    """``(F, 3)`` unit normals by the right-hand rule; 0 where the corners lie on a line.

    Args:
        corners: ``(F, 3, 3)`` positions.
    """
    corners = corners.astype(np.float64)
    with np.errstate(over="ignore", invalid="ignore", divide="ignore"):
        normals = np.cross(corners[:, 1] - corners[:, 0], corners[:, 2] - corners[:, 0])
        unit: FloatArray = normals / np.linalg.norm(normals, axis=1, keepdims=True)
    unit[~np.isfinite(unit).all(axis=1)] = 0
    return unit


def _shared_rows(rows: AnyArray, owners: IntArray) -> tuple[IntArray, IntArray]:
    """The first of all rows with the same bits and owner, in order, and which of these each row is."""
    bits = rows.view(f"u{rows.dtype.itemsize}")
    order = np.lexsort((bits[:, 2], bits[:, 1], bits[:, 0], owners))
    new = np.ones(len(rows), np.bool_)
    sorted_bits, sorted_owners = bits[order], owners[order]
    new[1:] = (sorted_bits[1:] != sorted_bits[:-1]).any(axis=1) | (sorted_owners[1:] != sorted_owners[:-1])
    # lexsort is stable, so the first of equal rows is the one that comes first.
    first = order[new]
    rank = np.empty(len(first), np.int64)
    rank[np.argsort(first)] = np.arange(len(first))
    number = np.empty(len(rows), np.int64)
    number[order] = rank[np.cumsum(new) - 1]
    return np.sort(first), number


def read_stl(path: Path) -> Facets:
    """Read an STL file; binary is known by its size, as some binary headers begin with ``solid`` too.

    Raises:
        IngestError: Neither binary nor ascii STL, truncated, or a line that cannot be used.
    """
    size = path.stat().st_size
    with path.open("rb") as file:
        start = file.read(HEADER_BYTES + 4)
    count = int.from_bytes(start[HEADER_BYTES:], "little")
    whole = HEADER_BYTES + 4 + RECORD.itemsize * count
    if len(start) == HEADER_BYTES + 4 and size == whole:
        return _read_binary(path, count, start[:HEADER_BYTES])
    if not size:
        raise IngestError(f"{path} is empty", expected="an STL file")
    if start.lstrip()[:5].lower() == WORDS[SOLID] and b"\0" not in start:
        return _read_ascii(path)
    if len(start) < HEADER_BYTES + 4 or count == 0:
        got = f"{size} bytes that begin with {start[:12]!r}"
        raise IngestError(f"{path} is not an STL file, or is truncated", expected="'solid' or a binary header", got=got)
    expected = f"{count} facets in {whole} bytes"
    raise IngestError(f"{path} is truncated or no STL file", expected=expected, got=f"{size} bytes")


def _read_binary(path: Path, count: int, header: bytes) -> Facets:
    table = np.fromfile(path, RECORD, count=count, offset=HEADER_BYTES + 4)
    if len(table) != count:
        raise IngestError(f"{path} is truncated", expected=f"{count} facets", got=len(table))
    native = {name: table[name].astype(table.dtype[name].base.newbyteorder("=")) for name in table.dtype.names or ()}
    facts: JsonObject = {"encoding": "binary", "header": header.rstrip(b"\0 ").decode("latin-1")}
    solids = np.zeros(count, np.int64)
    return Facets(native["normal"], native["corners"], native["attribute"], solids, [None], facts)


def _read_ascii(path: Path) -> Facets:
    lines = TextLines.read(path, comments=False)
    kinds = _kinds(lines)
    facets = _facet_rows(lines, kinds)
    starts, ends = _solid_rows(lines, kinds)
    solids = np.searchsorted(starts, facets, side="right") - 1
    outside = np.flatnonzero((solids < 0) | (facets > ends[np.maximum(solids, 0)]))
    if len(outside):
        raise lines.bad(int(facets[outside[0]]), "facets between 'solid' and 'endsolid'")
    vertices = np.flatnonzero(kinds == VERTEX)
    corners = _triples(lines, vertices, len(WORDS[VERTEX]))
    names = [lines.line(row)[len(WORDS[SOLID]) :].strip() or None for row in starts.tolist()]
    facts: JsonObject = {"encoding": "ascii"}
    used = set(solids.tolist())
    if empty := [name for solid, name in enumerate(names) if solid not in used]:
        facts["dropped"] = [f"solid without facets: {name}" for name in empty]
    return Facets(_normals(lines, facets), corners.reshape(-1, 3, 3), None, solids, names, facts)


def _kinds(lines: TextLines) -> AnyArray:
    """What each line begins with."""
    kinds = np.full(len(lines), OTHER, np.int8)
    length = max(map(len, WORDS)) + 1
    letters = [lines.characters(at) for at in range(length)]
    for kind, word in enumerate(WORDS):
        alike = BLANK[letters[len(word)]]
        for at, letter in enumerate(word):
            alike &= (letters[at] | 0x20) == letter
        kinds[alike] = kind
    bad = np.flatnonzero(kinds == OTHER)
    if len(bad):
        raise lines.bad(int(bad[0]), "a keyword of STL, such as facet or vertex")
    return kinds


def _facet_rows(lines: TextLines, kinds: AnyArray) -> IntArray:
    """The lines at which facets begin, after a check that each has its seven lines."""
    body = np.flatnonzero((kinds != SOLID) & (kinds != END_SOLID))
    places = np.arange(len(body)) % len(LAYOUT)
    wrong = kinds[body] != LAYOUT[places]
    wrong[1:] |= (places[1:] > 0) & (np.diff(body) != 1)
    if wrong.any():
        at = int(np.argmax(wrong))
        raise lines.bad(int(body[at]), repr(WORDS[LAYOUT[places[at]]].decode()))
    if len(body) % len(LAYOUT):
        expected = repr(WORDS[LAYOUT[len(body) % len(LAYOUT)]].decode())
        got = f"the end after line {lines.numbers[-1]}"
        raise IngestError(f"{lines.path} is truncated", expected=expected, got=got)
    return body[:: len(LAYOUT)]


def _solid_rows(lines: TextLines, kinds: AnyArray) -> tuple[IntArray, IntArray]:
    rows = np.flatnonzero((kinds == SOLID) | (kinds == END_SOLID))
    wrong = kinds[rows] != np.where(np.arange(len(rows)) % 2, END_SOLID, SOLID)
    if wrong.any():
        raise lines.bad(int(rows[np.argmax(wrong)]), "'endsolid' after every 'solid'")
    if len(rows) % 2:
        got = f"the end after line {lines.numbers[-1]}"
        raise IngestError(f"{lines.path} is truncated", expected="'endsolid'", got=got)
    return rows[::2], rows[1::2]


def _triples(lines: TextLines, rows: IntArray, skip: int) -> FloatArray:
    parsed = lines.floats(rows, skip, "3 numbers")
    if (parsed.counts != 3).any():
        raise lines.bad(int(rows[np.argmax(parsed.counts != 3)]), "3 numbers")
    return parsed.values.reshape(-1, 3)


def _normals(lines: TextLines, rows: IntArray) -> FloatArray:
    """The numbers after ``facet normal``."""
    words = np.frombuffer(b"normal", np.uint8)
    text = lines.text.copy()
    at = lines.starts[rows] + len(WORDS[FACET])
    while (blank := (text[at] == ord(" "))).any():
        at = at + blank
    for letter, word in enumerate(words):
        wrong = (text[np.minimum(at + letter, lines.ends[rows])] | 0x20) != word
        if wrong.any():
            raise lines.bad(int(rows[np.argmax(wrong)]), "'facet normal' and 3 numbers")
    for letter in range(len(words)):
        text[at + letter] = ord(" ")
    spaced = TextLines(lines.path, text, lines.starts, lines.ends, lines.numbers, lines.comments)
    try:
        return _triples(spaced, rows, len(WORDS[FACET]))
    except IngestError as error:
        raise IngestError(error.message, expected=error.expected, got=str(error.got)) from error
