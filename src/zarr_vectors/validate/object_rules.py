"""Level 3: the object index, and what fragments state about their objects."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from zarr_vectors import constants
from zarr_vectors.core.documents import ID_RUN
from zarr_vectors.core.state import LevelState
from zarr_vectors.encoding.blobs import Blobs, offsets_of
from zarr_vectors.encoding.manifests import ManifestTable, decode_manifests
from zarr_vectors.encoding.references import SEAL_BYTES, decode_references
from zarr_vectors.exceptions import CorruptionError
from zarr_vectors.storage.backend import Get
from zarr_vectors.storage.storage import Storage
from zarr_vectors.typing import BoolArray, IntArray
from zarr_vectors.validate.level_cells import LevelCells
from zarr_vectors.validate.problems import Findings
from zarr_vectors.validate.table_rules import check_tables, read_chunks

__all__ = ["LevelObjects", "check_objects", "offsets_by_manifests", "owners_by_manifests"]

_INDEX_CHUNKS = 8
"""Stored chunks of manifests that are read at once."""


@dataclass(frozen=True, eq=False)
class LevelObjects:
    """The objects of a level.

    Args:
        ids: ``(O,)`` id of each row; None where there are no objects, or the ids cannot be read.
        present: ``(O,)`` whether each row has fragments.
        refs: ``(M,)`` row of the object of each reference, in manifest order.
        fragments: ``(M,)`` number, among all of the level, of the fragment that each names; -1 for none.
        complete: Whether every manifest could be read and every reference leads somewhere.
    """

    ids: IntArray | None = None
    present: BoolArray = field(default_factory=lambda: np.zeros(0, dtype=bool))
    refs: IntArray = field(default_factory=lambda: np.zeros(0, dtype=np.int64))
    fragments: IntArray = field(default_factory=lambda: np.zeros(0, dtype=np.int64))
    complete: bool = False


def check_objects(
    storage: Storage, level: LevelState, cells: LevelCells, findings: Findings, *, has_ids: bool
) -> LevelObjects:
    """Check the index, the tables of objects and groups, and what fragments state.

    Args:
        has_ids: Whether there is a table of ids, usable or not.
    """
    unusable = has_ids and constants.OBJECT_IDS not in level.tables
    ids = _ids(storage, level, findings) if level.has_objects and not unusable else None
    check_tables(storage, level, ids, findings)
    if not level.has_objects:
        return LevelObjects()
    index = _Index(storage, level, cells, findings)
    index.read()
    objects = index.objects(ids)
    _check_header(level, objects, findings)
    _check_owners(level, cells, objects, findings)
    _check_offsets(level, cells, objects, findings)
    return objects


def _ids(storage: Storage, level: LevelState, findings: Findings) -> IntArray | None:
    """``(O,)`` ids; None where they cannot be read."""
    slots = level.object_slots
    table = level.tables.get(constants.OBJECT_IDS)
    if table is None:
        return np.arange(slots, dtype=np.int64)
    if table.rows != slots:
        findings.add("table_rows", table.path, f"{table.rows} ids for {slots} manifests")
        return None
    parts = list(read_chunks(storage, table, findings))
    if any(values is None for _, values in parts):
        return None
    ids = np.concatenate([np.zeros(0, dtype=np.int64), *(values for _, values in parts)]).astype(np.int64)
    header = level.object_index or {}
    values, first, counts = np.unique(ids, return_index=True, return_counts=True)
    for value, row, count in zip(*(part[counts > 1].tolist() for part in (values, first, counts)), strict=True):
        findings.add("object_id_repeated", table.path, f"{count} objects have the id {value}", cell=row)
    path = f"{level.number}/{constants.OBJECT_INDEX}"
    ascending = bool((ids[1:] > ids[:-1]).all())
    if header.get("object_ids_sorted") and not bool((ids[1:] >= ids[:-1]).all()):
        findings.add("index_ids", path, "object_ids_sorted is true, and they are not")
    run = header.get(ID_RUN)
    if isinstance(run, list) and len(run) == 2 and run[1] == slots:
        start = run[0]
        if slots and (ids[0] != start or ids[-1] != start + slots - 1 or not ascending):
            findings.add("index_ids", path, f"{ID_RUN} is {run}, and the ids are others")
    return ids


class _Index:
    """The manifests, read some chunks at a time."""

    def __init__(self, storage: Storage, level: LevelState, cells: LevelCells, findings: Findings) -> None:
        self.storage = storage
        self.level = level
        self.cells = cells
        self.findings = findings
        self.table = level.tables[constants.OBJECT_MANIFESTS]
        self.present = np.zeros(self.table.rows, dtype=bool)
        self.refs: list[IntArray] = []
        self.fragments: list[IntArray] = []
        self.complete = True

    def read(self) -> None:
        """Read and check all manifests."""
        for start, blobs in read_chunks(self.storage, self.table, self.findings):
            if blobs is None:
                self.complete = False
                continue
            self._take(start, blobs)

    def _take(self, start: int, blobs: Blobs) -> None:
        table, errors = decode_manifests(blobs, self.level.vertices.ndim)
        for row, what in errors.items():
            self.findings.add("manifest_corrupt", self.table.path, what, cell=start + row)
        self.present[start + np.unique(table.objects)] = True
        self.present[[start + row for row in errors]] = True
        self.complete = self.complete and not errors
        self._check_references(start, len(blobs), table, bool(errors))
        cell = self.cells.finder.find(table.chunks)
        has_vertices = cell >= 0
        has_vertices[has_vertices] = self.level.vertices.has(table.chunks[has_vertices])
        self._tell("manifest_chunk", start, table, np.flatnonzero(~has_vertices), lambda _: "no vertices in chunk")
        cell = np.where(cell >= 0, cell, 0)
        count = self.cells.fragments[cell] if len(self.cells.fragments) else np.zeros(len(cell), dtype=np.int64)
        known = has_vertices & (count >= 0)
        beyond = np.flatnonzero(known & ((table.fragments < 0) | (table.fragments >= count)))
        self._tell(
            "manifest_fragment",
            start,
            table,
            beyond,
            lambda at: f"fragment {table.fragments[at]} of {count[at]} in chunk",
        )
        good = known & (table.fragments >= 0) & (table.fragments < count)
        self.refs.append(start + table.objects)
        numbers = np.full(len(table), -1, dtype=np.int64)
        numbers[good] = self.cells.firsts[cell[good]] + table.fragments[good]
        self.fragments.append(numbers)
        self.complete = self.complete and bool(good.all())

    def _tell(self, kind: str, start: int, table: ManifestTable, bad: IntArray, message: Callable[[int], str]) -> None:
        for at in bad.tolist():
            chunk = ".".join(map(str, table.chunks[at].tolist()))
            self.findings.add(kind, self.table.path, f"{message(at)} {chunk}", cell=start + int(table.objects[at]))

    def _check_references(self, start: int, rows: int, table: ManifestTable, damaged: bool) -> None:
        """References by column that hold, against the manifests."""
        blocks = self.level.tables.get(constants.FRAGMENT_REFS)
        chunk = start // self.table.chunk_rows
        if blocks is None or not self.table.has_checksum or chunk >= blocks.rows or damaged:
            return
        seal = Get(self.table.requests(np.array([start]))[0].path, -SEAL_BYTES)
        number = np.array([chunk])
        found = self.storage.fetch([seal, *blocks.requests(number)])
        try:
            block = blocks.decode(found, number)[0]
        except CorruptionError:
            # Told as a chunk of a table; manifests say the same.
            return
        current = found[seal]
        ndim = self.level.vertices.ndim
        told = None if current is None else decode_references(block, current, np.arange(rows), ndim)
        if told is not None and not (
            np.array_equal(told.objects, table.objects)
            and np.array_equal(told.chunks, table.chunks)
            and np.array_equal(told.fragments, table.fragments)
        ):
            self.findings.add(
                "references_differ", blocks.path, "the block is sealed, and says something else", cell=chunk
            )

    def objects(self, ids: IntArray | None) -> LevelObjects:
        """What the index says."""
        none = np.zeros(0, dtype=np.int64)
        refs, fragments = (np.concatenate([none, *parts]) for parts in (self.refs, self.fragments))
        return LevelObjects(ids, self.present, refs, fragments, self.complete)


def _check_header(level: LevelState, objects: LevelObjects, findings: Findings) -> None:
    header = level.object_index or {}
    path = f"{level.number}/{constants.OBJECT_INDEX}"
    stated = header.get("num_objects")
    if stated != level.object_slots:
        findings.add("index_count", path, f"num_objects is {stated}, there are {level.object_slots} rows")
    present = int(objects.present.sum())
    stated = header.get("num_present", present)
    if stated != present:
        findings.add("index_count", path, f"num_present is {stated}, {present} objects have fragments")


def owners_by_manifests(cells: LevelCells, objects: LevelObjects) -> IntArray:
    """``(F,)`` id of the owner of each fragment; what stands for none, or several, where it has not one."""
    rows = _owners_of(cells, objects)
    if objects.ids is None or not len(objects.ids):
        return rows
    return np.where(rows >= 0, objects.ids[np.maximum(rows, 0)], rows)


def _owners_of(cells: LevelCells, objects: LevelObjects) -> IntArray:
    """``(F,)`` row of the object of each fragment; -1 for none, -2 for several."""
    rows = np.full(len(cells.table.counts), constants.OWNER_NONE, dtype=np.int64)
    led = objects.fragments >= 0
    fragments, refs = objects.fragments[led], objects.refs[led]
    rows[fragments] = refs
    several = fragments[rows[fragments] != refs]
    rows[several] = constants.OWNER_SEVERAL
    return rows


def _check_owners(level: LevelState, cells: LevelCells, objects: LevelObjects, findings: Findings) -> None:
    rows = _owners_of(cells, objects)
    per_cell = cells.table.per_cell
    if objects.complete:
        unowned = (rows == constants.OWNER_NONE) & (cells.table.counts > 0)
        number = _per_cell(unowned, per_cell)
        path = f"{level.number}/{constants.VERTEX_FRAGMENTS}"
        findings.add_cells("fragment_unowned", path, cells.coords, number > 0, lambda row: f"{number[row]} fragments")
    if cells.owners is None or objects.ids is None or not objects.complete:
        return
    owners = owners_by_manifests(cells, objects)
    # What marks a fragment of no object, or of several, is also an id like others.
    wrong = cells.stated & (owners != cells.owners) & (cells.table.counts > 0)
    number = _per_cell(wrong, per_cell)
    findings.add_cells(
        "fragment_owner",
        f"{level.number}/{constants.FRAGMENT_OWNER}",
        cells.coords,
        number > 0,
        lambda row: _first_of(cells, wrong, row, cells.owners, owners),
    )


def _first_of(cells: LevelCells, wrong: BoolArray, cell: int, stated: Any, true: IntArray) -> str:
    """The first of the wrong fragments of a chunk, in words."""
    first = int(cells.firsts[cell])
    at = first + int(np.flatnonzero(wrong[first : int(cells.firsts[cell + 1])])[0])
    return f"fragment {at - first} states {stated[at]}, by the manifests it is {true[at]}"


def offsets_by_manifests(cells: LevelCells, objects: LevelObjects) -> IntArray:
    """``(F,)`` place of each fragment along its line; as stated, or 0, where no line has it."""
    counts = cells.table.counts[objects.fragments]
    before = offsets_of(counts)[:-1]
    begins = np.ones(len(before), dtype=bool)
    begins[1:] = objects.refs[1:] != objects.refs[:-1]
    places = before - before[begins][np.cumsum(begins) - 1]
    true = np.zeros(len(cells.table.counts), dtype=np.int64) if cells.offsets is None else cells.offsets.copy()
    true[objects.fragments] = places
    return true


def _check_offsets(level: LevelState, cells: LevelCells, objects: LevelObjects, findings: Findings) -> None:
    """Places along lines, of fragments that are named once."""
    if cells.offsets is None or not objects.complete or not len(objects.refs):
        return
    true = offsets_by_manifests(cells, objects)
    once = np.bincount(objects.fragments, minlength=len(true)) == 1
    wrong = cells.stated & once & (true != cells.offsets) & (cells.table.counts > 0)
    number = _per_cell(wrong, cells.table.per_cell)
    findings.add_cells(
        "fragment_offset",
        f"{level.number}/{constants.FRAGMENT_OFFSET}",
        cells.coords,
        number > 0,
        lambda row: _first_of(cells, wrong, row, cells.offsets, true),
    )


def _per_cell(marks: BoolArray, per_cell: IntArray) -> IntArray:
    """``(C,)`` marked fragments of each chunk."""
    return np.diff(offsets_of(marks.astype(np.int64))[offsets_of(per_cell)])
