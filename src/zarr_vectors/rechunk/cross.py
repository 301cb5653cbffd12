"""Links from the vertices of one level to those of another, when rows of either move or go."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from fractions import Fraction
from pathlib import Path
from typing import Any

import numpy as np

from zarr_vectors import constants
from zarr_vectors.core.links import LinkFamily, Segment, parse_family
from zarr_vectors.core.state import LevelState
from zarr_vectors.encoding.links import decode_grouped
from zarr_vectors.exceptions import CorruptionError, StoreError
from zarr_vectors.metadata.base import dump_json, parse_json
from zarr_vectors.query.values import RowFinder
from zarr_vectors.rechunk.scan_plan import Scan
from zarr_vectors.rechunk.target import array_like
from zarr_vectors.rechunk.write import Rewrite
from zarr_vectors.spatial.grid import format_keys
from zarr_vectors.spatial.placement import offset_groups
from zarr_vectors.storage.cells import CellRead, read_cells
from zarr_vectors.storage.storage import Put, Storage
from zarr_vectors.types.cell_plan import CellPlan
from zarr_vectors.types.links import LinkPlan, LinkSink
from zarr_vectors.types.places import Places
from zarr_vectors.typing import AnyArray, IntArray, JsonObject

__all__ = ["CrossFamily", "cross_families", "cross_puts"]

_BATCH_CELLS = 2048
_MOST_CHUNKS = 4096
"""Chunks of level 0 along an axis that a chunk of a coarser level may span."""


@dataclass(frozen=True, eq=False)
class CrossFamily:
    """The links of a level to those of another.

    Args:
        level: Where the first end of each lies, and the links themselves.
        delta: How much coarser the level of the others is.
        links: The family.
        documents: ``zarr.json`` of its arrays and groups, by name below the level.
    """

    level: LevelState
    delta: int
    links: LinkFamily
    documents: Mapping[str, JsonObject]

    @property
    def target(self) -> int:
        """Number of the level of the other ends."""
        return self.level.number + self.delta


def cross_families(
    storage: Storage, level: LevelState, numbers: Sequence[int]
) -> tuple[list[CrossFamily], list[str], list[str]]:
    """The families of a level to other levels.

    Args:
        numbers: The levels that there are to be.

    Returns:
        Those that lead to such a level; names below the level of the groups of all; and of those that lead nowhere.

    Raises:
        StoreError: A family stores its links several times.
    """
    groups = _groups(storage, level.number)
    deltas = sorted({name.rpartition("/")[2] for name in groups if name.startswith(f"{constants.LINKS}/")})
    there = {text for text in deltas if level.number + int(text) in numbers}
    found = []
    for text in sorted(there, key=int):
        own = [name for name in groups if name.rpartition("/")[2] == text]
        documents = _documents(storage, level.number, own)
        family = parse_family(level.number, documents, level.vertices.ndim, level.store, int(text))
        assert family is not None
        if family.duplicate:
            raise StoreError(
                "links between levels that are stored once for each chunk cannot be told in other chunks",
                store=level.store,
                array=f"{level.number}/{constants.LINKS}/{text}",
            )
        found.append(CrossFamily(level, int(text), family, documents))
    return found, groups, [name for name in groups if name.rpartition("/")[2] not in there]


def _groups(storage: Storage, number: int) -> list[str]:
    """Names below a level of the groups of links to other levels, and of their attributes."""
    folders = [f"{number}/{constants.LINKS}"]
    attributes = storage.list_children([f"{number}/{constants.LINK_ATTRIBUTES}"])
    folders += [key.rstrip("/") for keys in attributes.values() for key in keys if key.endswith("/")]
    found = [key.rstrip("/") for keys in storage.list_children(folders).values() for key in keys if key.endswith("/")]
    return sorted(key.split("/", 1)[1] for key in found if key.rpartition("/")[2].startswith(("+", "-")))


def _documents(storage: Storage, number: int, groups: Sequence[str]) -> dict[str, JsonObject]:
    children = storage.list_children([f"{number}/{name}" for name in groups])
    arrays = [key.rstrip("/") for keys in children.values() for key in keys if key.endswith("/")]
    paths = {name: f"{number}/{name}/zarr.json" for name in [*groups, *(key.split("/", 1)[1] for key in arrays)]}
    documents = storage.read_documents(list(paths.values()))
    return {name: document for name, path in paths.items() if (document := documents[path]) is not None}


def _ratio(own: Sequence[float], other: Sequence[float]) -> tuple[IntArray, IntArray]:
    """What chunk coordinates are multiplied and divided by to get from the chunks of one level to those of another.

    Args:
        own: Edge lengths of chunks; those of both levels are multiples of those of level 0.
        other: Of the other level.
    """
    ratios = [Fraction(a / b).limit_denominator(_MOST_CHUNKS) for a, b in zip(own, other, strict=True)]
    return np.array([one.numerator for one in ratios]), np.array([one.denominator for one in ratios])


def _anchors(coords: IntArray, ratio: tuple[IntArray, IntArray]) -> IntArray:
    """``(n, K)`` the chunk of the other level in which a chunk begins; the axis before the spatial ones stays."""
    times, parts = ratio
    lead = coords.shape[1] - len(times)
    return np.concatenate([coords[:, :lead], coords[:, lead:] * times // parts], axis=1)


@dataclass
class _CrossSink(LinkSink):
    """Takes links whose ends but the first lie on another level."""

    other: CellPlan | None = None

    def add_ends(self, ends: IntArray, places: tuple[Places, Places], columns: Mapping[str, AnyArray]) -> None:
        """Take links that name rows of both levels.

        Args:
            ends: ``(n, L)`` rows.
            places: Where the rows of this level, and of the other, have come to lie.
        """
        if not len(ends):
            return
        assert self.other is not None
        cells, rows = places[0].at(ends[:, :1])
        far, far_rows = places[1].at(ends[:, 1:])
        own = self.plan.cells.numbered_coords(cells[:, 0])
        anchors = _anchors(own, _ratio(self.plan.cells.chunk_shape, self.other.chunk_shape))
        groups, which = offset_groups(np.concatenate([anchors[:, None], self.other.numbered_coords(far)], axis=1))
        records = np.empty(len(ends), dtype=self._dtype())
        records["segment"] = np.array([self._number(offsets) for offsets in groups], dtype=np.int64)[which]
        records["key"] = self.plan.cells.keys_of(own)
        records["rank"], records["rows"] = 0, np.concatenate([rows, far_rows], axis=1)
        for number, name in enumerate(self.plan.columns):
            records[f"a{number}"] = columns[name]
        self._keep(records)


@dataclass(frozen=True, eq=False)
class _Stored:
    """Reads the links of a family as numbers of rows."""

    storage: Storage
    family: CrossFamily
    other: LevelState
    scans: tuple[Scan, Scan]

    def read(self) -> Iterator[tuple[IntArray, dict[str, AnyArray]]]:
        """Links of which all ends are left: ``(n, L)`` numbers of rows, and the values of attributes."""
        names = list(self.family.links.columns)
        for segment in self.family.links.segments.values():
            present = segment.array.present
            for start in range(0, len(present), _BATCH_CELLS):
                coords = present[start : start + _BATCH_CELLS]
                wanted = [(segment.array, coords)]
                wanted += [(segment.attributes[name], coords) for name in names if name in segment.attributes]
                reads = read_cells(self.storage, wanted)
                ends, per_cell = self._ends(segment, reads[0])
                values = {name: self._values(segment, name, reads, per_cell) for name in names}
                alive = np.ones(len(ends), dtype=bool)
                for place in range(ends.shape[1]):
                    alive &= ~_among(self.scans[min(place, 1)].dead, ends[:, place])
                yield ends[alive], {name: column[alive] for name, column in values.items()}

    def _ends(self, segment: Segment, read: CellRead) -> tuple[IntArray, IntArray]:
        width = self.family.links.width
        records, per_cell, errors = decode_grouped(read.cells, segment.dtype, width + segment.has_perm)
        for cell, what in {**errors, **read.errors}.items():
            raise _corrupt(read, cell, what)
        rows = records[:, int(segment.has_perm) :].astype(np.int64)
        ends = np.empty_like(rows)
        anchors = _anchors(read.coords, _ratio(self.family.level.chunk_shape, self.other.chunk_shape))
        levels = (self.family.level, *[self.other] * (width - 1))
        chunks = (read.coords, *(anchors + offset for offset in segment.offsets))
        for place, (level, coords) in enumerate(zip(levels, chunks, strict=True)):
            found = self.scans[min(place, 1)]
            place_of = RowFinder(level.vertices.present).find(coords)
            gone = np.flatnonzero((place_of < 0) & (per_cell > 0))
            if len(gone):
                raise _corrupt(read, int(gone[0]), f"a link names a chunk of level {level.number} without vertices")
            at = np.repeat(place_of, per_cell)
            row = rows[:, place]
            beyond = np.flatnonzero((row < 0) | (row >= np.diff(found.bases)[at])) if len(row) else row
            if len(beyond):
                bad = int(np.searchsorted(np.cumsum(per_cell), beyond[0], side="right"))
                raise _corrupt(read, bad, f"a link names row {row[beyond[0]]}, which its chunk does not have")
            ends[:, place] = found.bases[at] + row + found.shift[at]
        return ends, per_cell

    def _values(self, segment: Segment, name: str, reads: Sequence[CellRead], per_cell: IntArray) -> AnyArray:
        """An attribute of the links of some cells.

        Raises:
            CorruptionError: A cell is not there, or has another number of values.
        """
        spec = self.family.links.columns[name]
        read = next((one for one in reads[1:] if one.array.path.split("/")[2] == name), None)
        if read is None:
            raise CorruptionError(
                "links lack an attribute that others of their family have",
                store=self.other.store,
                array=segment.array.path,
                expected=name,
            )
        for cell, what in read.errors.items():
            raise _corrupt(read, cell, what)
        size = spec.dtype.itemsize * spec.channels
        wrong = np.flatnonzero(read.cells.sizes != per_cell * size)
        if len(wrong):
            raise _corrupt(read, int(wrong[0]), f"{read.cells.sizes[wrong[0]]} bytes for {per_cell[wrong[0]]} links")
        return np.frombuffer(read.cells.joined(), dtype=spec.dtype).reshape(-1, *spec.row_shape)


def _among(sorted_numbers: IntArray, numbers: IntArray) -> AnyArray:
    if not len(sorted_numbers):
        return np.zeros(len(numbers), dtype=bool)
    place = np.minimum(np.searchsorted(sorted_numbers, numbers), len(sorted_numbers) - 1)
    return np.asarray(sorted_numbers[place] == numbers)


def _corrupt(read: CellRead, cell: int, what: str) -> CorruptionError:
    return CorruptionError(
        "a cell cannot be read",
        store=read.array.store,
        array=read.array.path,
        cell=format_keys(read.coords[cell : cell + 1])[0],
        got=what,
        hint="restore it from a copy",
    )


def cross_puts(
    storage: Storage, family: CrossFamily, own: Rewrite, other: Rewrite, scans: tuple[Scan, Scan], folder: Path
) -> Iterator[Put]:
    """The stored objects and documents of a family, once the rows of both levels have been written.

    Args:
        own: The level of the family.
        other: The level that it leads to.
        scans: What reading both has brought.
        folder: For temporary files of this family alone.
    """
    assert own.tally.places is not None
    assert other.tally.places is not None
    plan = LinkPlan(
        level=family.level.number,
        cells=own.target.plan,
        width=family.links.width,
        directed=True,
        columns=family.links.columns,
        array=lambda name, said: array_like(own.target, name, family.documents.get(name), said),
        delta=family.delta,
    )
    folder.mkdir()
    sink = _CrossSink(plan, folder, other=other.target.plan)
    for ends, columns in _Stored(storage, family, other.target.level, scans).read():
        sink.add_ends(ends, (own.tally.places, other.tally.places), columns)
    yield from sink.puts(lambda array, coords, cells: array.encode(coords, cells))
    for path, data in sink.documents():
        kept = _with_old(path, bytes(data), family, storage)
        if kept is not None:
            yield kept


def _with_old(path: str, data: bytes, family: CrossFamily, storage: Storage) -> Put | None:
    """A document of the family with what its old one said beside; None for a bare group that is there already."""
    document = parse_json(data, store=storage.url, path=path)
    if document["node_type"] != "group":
        return path, data
    name = path.partition("/")[2].removesuffix("/zarr.json")
    old = family.documents.get(name)
    if old is None:
        return None if storage.read_documents([path])[path] is not None else (path, data)
    said: dict[str, Any] = old.get("attributes") or {}
    # Whether a family is directed is its policy; links between levels keep their order either way.
    policy = {key: said[key] for key in ("directed", "store") if key in said}
    return path, dump_json({**old, "attributes": {**said, **document["attributes"], **policy}})
