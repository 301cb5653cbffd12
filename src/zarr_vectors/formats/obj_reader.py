"""How Wavefront OBJ files are read: whole columns of vertices and faces at once."""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np

from zarr_vectors.exceptions import IngestError
from zarr_vectors.formats.meshes import NAME, Polygons, name_column
from zarr_vectors.formats.numbers import BLANK, BadRowError, TextLines, blocks_of_lines, word_counts
from zarr_vectors.geometry import Categorical, Column, Mesh, take_column
from zarr_vectors.typing import AnyArray, BoolArray, FloatArray, IntArray, JsonObject

__all__ = ["ABSENT", "ObjFile", "parse_corners"]

ABSENT = np.iinfo(np.int64).min
VERTEX, TEXTURE, NORMAL, FACE, OTHER = range(5)
CORNER_KINDS = (VERTEX, TEXTURE, NORMAL)
DIGITS = 18
STATES = ("o", "g", "usemtl")
IGNORED = {
    "vp",
    "l",
    "p",
    "s",
    "cstype",
    "deg",
    "bmat",
    "step",
    "curv",
    "curv2",
    "surf",
    "parm",
    "trim",
    "hole",
    "scrv",
    "sp",
    "end",
    "con",
    "mg",
    "bevel",
    "c_interp",
    "d_interp",
    "lod",
    "usemap",
    "maplib",
    "shadow_obj",
    "trace_obj",
    "ctech",
    "stech",
    "call",
    "csh",
}
"""Statements of which nothing is kept but their number."""


def parse_corners(text: bytes) -> tuple[IntArray, IntArray]:
    r"""The corners of faces, one face per line, without keywords.

    Returns:
        ``(T, 3)`` numbers of vertex, texture coordinate and normal as written, ``ABSENT`` where there is none, and
        ``(L,)`` how many corners each line has.

    Raises:
        BadRowError: A word is not ``v``, ``v/vt``, ``v//vn`` or ``v/vt/vn`` of whole numbers.

    Example:
        >>> corners, counts = parse_corners(b"1 2/5 -1/-2/-3\n")
        >>> (corners == ABSENT).tolist(), corners[2].tolist(), counts.tolist()
        ([[False, True, True], [False, False, True], [False, False, False]], [-1, -2, -3], [3])
    """
    corners, counts = [np.empty((0, 3), np.int64)], [np.empty(0, np.int64)]
    done = 0
    for block in blocks_of_lines(text):
        try:
            numbers, count = _corners_of(block)
        except BadRowError as error:
            raise BadRowError(done + error.row) from error
        corners.append(numbers)
        counts.append(count)
        done += len(count)
    return np.concatenate(corners), np.concatenate(counts)


def _corners_of(block: bytes) -> tuple[IntArray, IntArray]:
    text = np.frombuffer(block, np.uint8)
    words, counts = word_counts(text)
    digit, slash, minus = (text - ord("0")) < 10, text == ord("/"), text == ord("-")
    after = np.append(digit[1:], False)
    before = np.concatenate([[True], (BLANK[text] | slash)[:-1]])
    bad = ~(digit | slash | BLANK[text] | (minus & before & after))
    heads = digit & ~np.concatenate([[False], digit[:-1]])
    starts, ends = np.flatnonzero(heads), np.flatnonzero(digit & ~after) + 1
    word = np.searchsorted(words, starts, side="right") - 1
    slashes = np.flatnonzero(slash)
    slot = np.searchsorted(slashes, starts) - np.searchsorted(slashes, words)[word]
    bad[starts[(slot > 2) | (ends - starts > DIGITS)]] = True
    numbers = np.full((len(words), 3), ABSENT, np.int64)
    kept = np.minimum(slot, 2)
    numbers[word, kept] = _integers(text, starts, ends) * np.where(minus[starts - 1] & (starts > 0), -1, 1)
    bad[words[numbers[:, 0] == ABSENT]] = True
    if bad.any():
        raise BadRowError(block.count(b"\n", 0, int(np.argmax(bad))))
    return numbers, counts


def _integers(text: AnyArray, starts: IntArray, ends: IntArray) -> IntArray:
    """The runs of digits between these places as numbers; those that are too long come out wrong."""
    lengths = ends - starts
    values = np.zeros(len(starts), np.int64)
    for at in range(min(DIGITS, int(lengths.max(initial=0)))):
        longer = lengths > at
        digits = text[np.minimum(starts + at, len(text) - 1)].astype(np.int64) - ord("0")
        values = np.where(longer, values * 10 + digits, values)
    return values


@dataclass
class _State:
    """The lines that say what the faces after them belong to."""

    rows: list[int] = field(default_factory=list)
    names: list[str | None] = field(default_factory=list)

    def names_at(self, rows: IntArray) -> Categorical:
        """The name in force at each of these lines; missing before the first and where it has no text."""
        column = name_column([*self.names, None])
        return Categorical(column.codes[np.searchsorted(self.rows, rows) - 1], column.categories)


class ObjFile:
    """The lines of an OBJ file, sorted by what they say.

    Args:
        path: The file.

    Raises:
        IngestError: Empty, or with a line that is not OBJ.
    """

    def __init__(self, path: Path) -> None:
        self.path = path
        self.lines = TextLines.read(path, comments=True, continued=True)
        first, second, third = (self.lines.characters(at) for at in range(3))
        self.kinds = np.full(len(self.lines), OTHER, np.int8)
        vertex = first == ord("v")
        self.kinds[vertex & BLANK[second]] = VERTEX
        self.kinds[vertex & (second == ord("t")) & BLANK[third]] = TEXTURE
        self.kinds[vertex & (second == ord("n")) & BLANK[third]] = NORMAL
        self.kinds[(first == ord("f")) & BLANK[second]] = FACE
        self.states = {keyword: _State() for keyword in STATES}
        self.libraries: list[str] = []
        self.ignored: Counter[str] = Counter()
        self.dropped: list[str] = []
        self._read_others()

    def _read_others(self) -> None:
        for row in np.flatnonzero(self.kinds == OTHER).tolist():
            keyword, _, rest = self.lines.line(row).partition(" ")
            if keyword in self.states:
                self.states[keyword].rows.append(row)
                self.states[keyword].names.append(rest.strip() or None)
            elif keyword == "mtllib":
                self.libraries.append(rest.strip())
            elif keyword in IGNORED:
                self.ignored[keyword] += 1
            else:
                raise self.lines.bad(row, "a statement of OBJ, such as v or f")

    def rows_of(self, kind: int) -> IntArray:
        """The lines of a kind."""
        return np.flatnonzero(self.kinds == kind)

    @property
    def facts(self) -> JsonObject:
        """What export can restore, and what was left out."""
        facts: JsonObject = {"comments": self.lines.comments, "mtllib": self.libraries, "dropped": self.dropped}
        return facts | {"ignored_elements": dict(self.ignored)}

    def mesh(self, *, triangulate: bool) -> Mesh:
        """The whole file as one value; objects have ids from 0."""
        positions, attributes = self._vertices()
        rows = self.rows_of(FACE)
        try:
            corners, counts = parse_corners(self.lines.bytes_of(rows, skip=1))
        except BadRowError as error:
            raise self.lines.bad(int(rows[error.row]), "corners such as 1, 1/2, 1//3 or 1/2/3") from error
        for slot, kind in enumerate(CORNER_KINDS):
            corners[:, slot] = self._resolved(corners[:, slot], kind, rows, counts)
        polygons = Polygons(self.path, counts, corners[:, 0], lambda face: f"line {self.lines.numbers[rows[face]]}")
        polygons.check(len(positions))
        for slot, name, sizes in ((TEXTURE, "texcoord", (1, 2, 3)), (NORMAL, "normal", (3,))):
            self._add_shared(attributes, name, (corners[:, 0], corners[:, slot]), sizes)
        objects, face_attributes = self._objects(polygons, rows)
        faces, parts = polygons.even(triangulate=triangulate)
        if parts is not None:
            face_attributes = {name: take_column(column, parts) for name, column in face_attributes.items()}
        return Mesh(positions, faces, attributes=attributes, face_attributes=face_attributes, axes="xyz", **objects)

    def _columns(self, kind: int, skip: int, sizes: tuple[int, ...], pad: float) -> tuple[FloatArray, IntArray]:
        """The numbers of the lines of a kind as ``(n, most)``, and how many each has; where it has less, ``pad``."""
        rows = self.rows_of(kind)
        expected = f"{' or '.join(map(str, sizes))} numbers"
        parsed = self.lines.floats(rows, skip, expected)
        bad = np.flatnonzero(~np.isin(parsed.counts, sizes))
        if len(bad):
            raise self.lines.bad(int(rows[bad[0]]), expected)
        width = int(parsed.counts.max(initial=sizes[-1] if kind == VERTEX else sizes[0]))
        table = np.full((len(rows), width), pad)
        for count in np.unique(parsed.counts):
            mine = np.flatnonzero(parsed.counts == count)
            table[mine, :count] = parsed.values[parsed.starts[mine, None] + np.arange(count)]
        return table, parsed.counts

    def _vertices(self) -> tuple[FloatArray, dict[str, Column]]:
        """Positions, and the weights or colours that some vertices have."""
        table, counts = self._columns(VERTEX, 1, (3, 4, 6, 7), np.nan)
        attributes: dict[str, Column] = {}
        weights = np.where(counts == 4, table[:, min(3, table.shape[1] - 1)], 1.0)
        if (weights != 1).any():
            attributes["w"] = weights
        if (counts >= 6).any():
            channels = int(counts.max()) - 3
            colors = table[:, 3 : 3 + channels].copy()
            colors[counts < 6] = np.nan
            attributes["color"] = colors
        return np.ascontiguousarray(table[:, :3]), attributes

    def _resolved(self, given: IntArray, kind: int, rows: IntArray, counts: IntArray) -> IntArray:
        """Numbers of a file as rows from 0: positive ones count from 1, negative ones back from the face's line."""
        before = np.repeat(np.cumsum(self.kinds == kind)[rows], counts)
        total = int((self.kinds == kind).sum())
        resolved = np.where(given > 0, given - 1, before + np.where(given == ABSENT, 0, given))
        absent = given == ABSENT
        bad = np.flatnonzero(~absent & ((given == 0) | (resolved < 0) | (resolved >= total)))
        if len(bad):
            face = int(np.searchsorted(np.cumsum(counts), bad[0], side="right"))
            noun = {VERTEX: "vertex", TEXTURE: "texture coordinate", NORMAL: "normal"}[kind]
            raise IngestError(
                f"{self.path} has a face with a {noun} that there is not",
                expected=f"1 to {total}, or back from -1" if total else f"no {noun}, as there is none",
                got=f"{given[bad[0]]} in line {self.lines.numbers[rows[face]]}",
            )
        return np.where(absent, ABSENT, resolved)

    def _add_shared(
        self, attributes: dict[str, Column], name: str, corners: tuple[IntArray, IntArray], sizes: tuple[int, ...]
    ) -> None:
        """Texture coordinates or normals as an attribute, if every vertex has the same at all its corners."""
        # By the specification a texture coordinate that is not said is 0.
        table, _ = self._columns(TEXTURE if name == "texcoord" else NORMAL, 2, sizes, 0.0)
        if not len(table):
            return
        shared = _shared(table, *corners, self.rows_of(VERTEX).size)
        if isinstance(shared, str):
            self.dropped.append(f"{name}: {shared}")
        else:
            attributes[name] = shared

    def _objects(self, polygons: Polygons, rows: IntArray) -> tuple[dict[str, Any], dict[str, Column]]:
        """What ``o`` and ``g`` say: fields of the mesh, and attributes of its faces."""
        named = {keyword: state.names_at(rows) for keyword, state in self.states.items() if state.rows}
        attributes: dict[str, Column] = {"material": named["usemtl"]} if "usemtl" in named else {}
        keyword = "o" if "o" in named else "g"
        if keyword == "o" and "g" in named:
            attributes["group"] = named["g"]
        if keyword not in named:
            return {}, attributes
        owners = self._owners(self.states[keyword], polygons, named[keyword])
        if owners is None:
            attributes["object" if keyword == "o" else "group"] = named[keyword]
            return {}, attributes
        codes, ids = np.unique(owners, return_inverse=True)
        names = [None if code < 0 else named[keyword].categories[code] for code in codes.tolist()]
        if empty := [name for name in named[keyword].categories if name not in names]:
            self.dropped.append(f"objects without vertices: {', '.join(empty)}")
        if len(names) > 1 or names != [None]:
            tables = {NAME: name_column(names)} if any(names) else {}
            return {"object_ids": ids, "objects": np.arange(len(names)), "object_attributes": tables}, attributes
        return {}, attributes

    def _owners(self, state: _State, polygons: Polygons, faces: Categorical) -> IntArray | None:
        """The name of each vertex, that of its faces; None where two share a vertex."""
        lines = self.rows_of(VERTEX)
        if not len(lines):
            return None
        owners = state.names_at(lines).codes.astype(np.int64)
        if not (faces.codes < 0).any():
            owners[owners < 0] = faces.codes[0] if len(faces) else -1
        of_corners = np.repeat(faces.codes, polygons.counts).astype(np.int64)
        owners[polygons.corners] = of_corners
        return owners if (owners[polygons.corners] == of_corners).all() else None


def _shared(table: FloatArray, vertices: IntArray, numbers: IntArray, rows: int) -> FloatArray | str:
    """The row of a table for each vertex, NaN where no corner has one; else why there is none."""
    used = numbers != ABSENT
    if not used.any():
        return "no face uses them"
    vertices, numbers = vertices[used], numbers[used]
    if len(table) == rows and (vertices == numbers).all():
        return table
    row = np.full(rows, -1, np.int64)
    row[vertices] = numbers
    same: BoolArray = row[vertices] == numbers
    if not same.all():
        left, right = table[row[vertices[~same]]], table[numbers[~same]]
        if left.tobytes() != right.tobytes():
            return "some vertices have several"
    values = np.full((rows, table.shape[1]), np.nan)
    values[row >= 0] = table[row[row >= 0]]
    return values
