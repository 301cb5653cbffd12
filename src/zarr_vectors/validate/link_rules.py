"""Level 3: families of links, within a level and to others."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from functools import partial
from typing import Any

import numpy as np

from zarr_vectors import constants
from zarr_vectors.core.documents import ColumnSpec
from zarr_vectors.core.links import LinkFamily, Segment, parse_family
from zarr_vectors.core.state import LevelState, RootState
from zarr_vectors.encoding.fragments import decode_fragments
from zarr_vectors.encoding.links import parse_segment
from zarr_vectors.metadata.array import ArrayDocument
from zarr_vectors.parallel import run_all
from zarr_vectors.query.values import find_rows
from zarr_vectors.storage.cells import CellArray, CellRead, read_cells
from zarr_vectors.storage.storage import Storage
from zarr_vectors.typing import BoolArray, IntArray, JsonObject
from zarr_vectors.validate.batch_rules import tell_unreadable
from zarr_vectors.validate.column_rules import check_column
from zarr_vectors.validate.level_cells import LevelCells
from zarr_vectors.validate.nodes import DELTA
from zarr_vectors.validate.problems import Findings
from zarr_vectors.validate.record_rules import Ends, RecordRules

__all__ = ["LevelLinks", "check_links"]

_BUNDLE_RECORDS = 1 << 18
_BUNDLE_CELLS = 1 << 12
_UNKNOWN_CELLS = 256
_THREADED_CELLS = 512
_BESIDE = frozenset({"link_count", "link_fragments", "link_attribute_rows", "category_code", "row_shape"})
"""Problems in spite of which all links are known."""


@dataclass(frozen=True, eq=False)
class LevelLinks:
    """The links of a level.

    Args:
        family: Of the level itself; None where it has none, or it cannot be used.
        ends: ``(E, L)`` vertices of each link within the level, by their number among all of the level, ends as they
            were given; -1 where one is not there. Kept only where rules about kinds are checked.
        crossing: ``(E,)`` whether a link's ends lie in different chunks.
        records: Records of each family by name, and how many links they are, where all of them could be read.
        complete: Whether all links of the level itself could be read.
    """

    family: LinkFamily | None = None
    ends: IntArray = field(default_factory=lambda: np.zeros((0, 2), dtype=np.int64))
    crossing: BoolArray = field(default_factory=lambda: np.zeros(0, dtype=bool))
    records: Mapping[str, tuple[int, int]] = field(default_factory=dict)
    complete: bool = True


def check_links(
    storage: Storage, root: RootState, level: LevelState, cells: Mapping[int, LevelCells], findings: Findings
) -> LevelLinks:
    """Check every family of a level.

    Args:
        cells: Chunks of all levels that could be read.
    """
    found = LevelLinks()
    counts: dict[str, tuple[int, int]] = {}
    for delta, documents in sorted(_families(level.link_documents).items()):
        check = _FamilyCheck(storage, root, level, cells, delta, documents, findings)
        before = len(findings.problems)
        findings.attempt(f"{level.number}/{constants.LINKS}/{delta}", check.check, "link_documents")
        if check.records is not None:
            counts[delta] = check.records
        if delta == "0":
            wrong = [found for found in findings.problems[before:] if found.severity == "error"]
            whole = check.records is not None and all(problem.kind in _BESIDE for problem in wrong)
            found = LevelLinks(check.family, *check.joined(), {}, whole)
    return LevelLinks(found.family, found.ends, found.crossing, counts, found.complete)


def _families(documents: Mapping[str, JsonObject]) -> dict[str, dict[str, JsonObject]]:
    """Documents of links and of their attributes, by the name of the family."""
    families: dict[str, dict[str, JsonObject]] = {}
    for name, document in documents.items():
        parts = name.split("/")
        place = {constants.LINKS: 1, constants.LINK_ATTRIBUTES: 2}.get(parts[0], 1)
        delta = parts[place] if len(parts) > place else "0" if name == constants.LINK_FRAGMENTS else ""
        if DELTA.fullmatch(delta):
            families.setdefault(delta, {})[name] = document
    return families


class _FamilyCheck:
    """One family."""

    def __init__(
        self,
        storage: Storage,
        root: RootState,
        level: LevelState,
        cells: Mapping[int, LevelCells],
        delta: str,
        documents: dict[str, JsonObject],
        findings: Findings,
    ) -> None:
        self.storage = storage
        self.root = root
        self.level = level
        self.cells = cells
        self.delta = delta
        self.documents = documents
        self.findings = findings
        self.path = f"{level.number}/{constants.LINKS}/{delta}"
        self.family: LinkFamily | None = None
        self.records: tuple[int, int] | None = None
        self.ends: list[tuple[IntArray, BoolArray]] = []
        self.counted: list[tuple[int, bool, bool]] = []

    def check(self) -> None:
        """Check documents and records."""
        self._drop_misnamed()
        self.family = parse_family(
            self.level.number, self.documents, self.level.vertices.ndim, self.level.store, int(self.delta)
        )
        if self.family is None:
            return
        self._check_documents(self.family)
        source = self.cells[self.level.number]
        target = self.cells.get(self.level.number + int(self.delta))
        if target is None:
            text = f"it leads to level {self.level.number + int(self.delta)}, which does not exist or cannot be read"
            self.findings.add("link_level_missing", self.path, text)
        elif target.coords.shape[1] != source.coords.shape[1]:
            target = None
        ends = Ends(source, target, self._ratio(target))
        steps = [partial(self._check_bundle, ends, bundle) for bundle in self._bundles(self.family)]
        cells = sum(len(segment.array.present) for segment in self.family.segments.values())
        run_all(steps, threaded=cells >= _THREADED_CELLS)
        self._check_counts()

    def _drop_misnamed(self) -> None:
        """Leave out segments whose names tell no offsets."""
        for name in list(self.documents):
            parts = name.split("/")
            place = {constants.LINKS: 2, constants.LINK_ATTRIBUTES: 3}.get(parts[0], 9)
            if len(parts) <= place:
                continue
            try:
                if len(parts) != place + 1:
                    raise ValueError(f"{'/'.join(parts[place:])!r} is no segment")
                parse_segment(parts[place], self.level.vertices.ndim)
            except ValueError as error:
                self.findings.add("link_documents", f"{self.level.number}/{name}", str(error))
                del self.documents[name]

    def _ratio(self, target: LevelCells | None) -> Any:
        """Chunks of the target level in one of this level, along each axis."""
        if target is None:
            return 1.0
        own, other = (
            np.asarray(shape, dtype=np.float64) for shape in (self.level.chunk_shape, target.level.chunk_shape)
        )
        return np.concatenate([np.ones(self.level.vertices.ndim - len(own)), own / other])

    def _check_documents(self, family: LinkFamily) -> None:
        said = (self.documents.get(f"{constants.LINKS}/{self.delta}") or {}).get("attributes") or {}
        ndim = self.level.vertices.ndim
        if said.get("sid_ndim", ndim) != ndim:
            self._wrong("", f"sid_ndim is {said['sid_ndim']!r}, chunk keys have {ndim} components")
        if said.get("level_delta", int(self.delta)) != int(self.delta):
            self._wrong("", f"level_delta is {said['level_delta']!r}")
        if said.get("store", "canonical") not in ("canonical", "duplicate"):
            self._wrong("", f"store is {said['store']!r}")
        for segment in family.segments.values():
            self._check_segment(family, segment)
        head = f"{constants.LINK_ATTRIBUTES}/"
        for name in self.documents:
            segment_name = name.rpartition("/")[2]
            is_array = name.startswith(head) and name.count("/") == 3
            if is_array and segment_name not in family.segments:
                self.findings.add("link_documents", f"{self.level.number}/{name}", "there are no links of this name")

    def _wrong(self, name: str, message: str) -> None:
        self.findings.add("link_documents", f"{self.path}/{name}".rstrip("/"), message)

    def _check_segment(self, family: LinkFamily, segment: Segment) -> None:
        said = segment.array.document.attributes
        crossing = bool(segment.offsets.any())
        expected = self.delta == "0" and crossing and (family.duplicate or not family.directed)
        if segment.has_perm != expected:
            self._wrong(segment.name, f"has_perm is {segment.has_perm}, by the family's policy it is {expected}")
        if said.get("offsets", segment.offsets.tolist()) != segment.offsets.tolist():
            self._wrong(segment.name, f"offsets are {said['offsets']!r}, its name says {segment.offsets.tolist()}")
        for key, true in (("link_width", family.width), ("level_delta", int(self.delta))):
            if said.get(key, true) != true:
                self._wrong(segment.name, f"{key} is {said[key]!r}, not {true}")
        if self.delta == "0" and not family.directed and not family.duplicate:
            ordered = [[0] * segment.array.ndim, *segment.offsets.tolist()]
            if ordered != sorted(ordered):
                text = "its offsets are not in ascending order from 0, as those of undirected links are"
                self.findings.add("link_order", f"{self.path}/{segment.name}", text)

    def _bundles(self, family: LinkFamily) -> Iterator[list[tuple[Segment, IntArray]]]:
        """Cells of segments, about as many at a time as hold so many records."""
        total = sum(len(segment.array.present) for segment in family.segments.values())
        said = (self.documents.get(f"{constants.LINKS}/{self.delta}") or {}).get("attributes") or {}
        stated = said.get("num_physical_records")
        room = _UNKNOWN_CELLS
        if isinstance(stated, int) and stated > 0:
            room = min(_BUNDLE_CELLS, max(1, _BUNDLE_RECORDS * max(total, 1) // stated))
        bundle: list[tuple[Segment, IntArray]] = []
        left = room
        for segment in family.segments.values():
            coords, start = self._coords(segment), 0
            while start < len(coords):
                bundle.append((segment, coords[start : start + left]))
                start, left = start + len(bundle[-1][1]), left - len(bundle[-1][1])
                if not left:
                    yield bundle
                    bundle, left = [], room
        if bundle:
            yield bundle

    def _coords(self, segment: Segment) -> IntArray:
        """Cells of a segment, and those in which its attributes, or groups, have cells of their own."""
        present = segment.array.present
        arrays = [*segment.attributes.values(), *self._groups_of(segment)]
        extra = [
            array.present[~segment.array.has(array.present)] for array in arrays if not segment.array.has_all_of(array)
        ]
        return present if not any(map(len, extra)) else np.unique(np.concatenate([present, *extra]), axis=0)

    def _groups_of(self, segment: Segment) -> list[CellArray]:
        """The array of groups, where these links have one."""
        document = self.documents.get(constants.LINK_FRAGMENTS)
        if document is None or self.delta != "0" or segment.offsets.any():
            return []
        path = f"{self.level.number}/{constants.LINK_FRAGMENTS}"
        return [CellArray(path, ArrayDocument.parse(document, where=path), self.level.store)]

    @np.errstate(all="ignore")
    def _check_bundle(self, ends: Ends, bundle: Sequence[tuple[Segment, IntArray]]) -> None:
        wanted: list[tuple[CellArray, IntArray]] = []
        for segment, coords in bundle:
            arrays = (segment.array, *segment.attributes.values(), *self._groups_of(segment))
            wanted.extend((array, coords[array.has(coords)]) for array in arrays)
        reads = iter(read_cells(self.storage, wanted))
        for segment, coords in bundle:
            read = next(reads)
            per_cell = self._check_records(ends, segment, read)
            at = find_rows(read.coords, coords)
            rows = np.where(at >= 0, np.append(per_cell, 0)[at], 0)
            for name in segment.attributes:
                self._check_attribute(name, segment, next(reads), coords, rows)
            for _ in self._groups_of(segment):
                self._check_groups(next(reads), coords, rows)

    def _check_records(self, ends: Ends, segment: Segment, read: CellRead) -> IntArray:
        """Records of each cell; -1 where they cannot be read."""
        assert self.family is not None
        usable = tell_unreadable(read, self.findings)
        rules = RecordRules(self.family, segment, self.delta, read, usable, self.findings)
        rules.decode()
        numbers = rules.check(ends)
        first = not self.family.duplicate or rules.is_first_copy
        self.counted.append((int(np.maximum(rules.per_cell, 0).sum()), first, bool((rules.per_cell >= 0).all())))
        if self.delta == "0" and self.findings.level > 3 and first:
            self.ends.append((numbers, np.full(len(numbers), bool(segment.offsets.any()))))
        return rules.per_cell

    def _check_attribute(self, name: str, segment: Segment, read: CellRead, coords: IntArray, rows: IntArray) -> None:
        usable = tell_unreadable(read, self.findings)
        spec = ColumnSpec.from_attributes(segment.attributes[name].document.attributes)
        check_column(read, spec, rows[find_rows(coords, read.coords)], usable, self.findings, "link_attribute_rows")

    def _check_groups(self, read: CellRead, coords: IntArray, rows: IntArray) -> None:
        usable = tell_unreadable(read, self.findings)
        path = read.array.path
        table, errors = decode_fragments(read.cells)
        bad = np.array([row for row in errors if usable[row]], dtype=np.int64)
        self.findings.add_cells("link_fragments", path, read.coords, bad, lambda row: errors[row])
        usable[list(errors)] = False
        own = rows[find_rows(coords, read.coords)]
        wrong = table.rows_per_cell() != own
        if (table.starts >= 0).all():
            limit = np.repeat(own, table.per_cell)
            outside = (table.starts > limit) | (table.counts > limit - table.starts)
        else:
            outside = np.zeros(len(table.counts), dtype=bool)
            listed = np.repeat(np.flatnonzero(table.starts < 0), table.counts[table.starts < 0])
            outside[listed[(table.explicit < 0) | (table.explicit >= own[table.cell_of[listed]])]] = True
        wrong[table.cell_of[outside]] = True
        self.findings.add_cells(
            "link_fragments", path, read.coords, wrong & usable & (own >= 0), lambda row: f"{own[row]} links in others"
        )
        missing = (find_rows(read.coords, coords) < 0) & (rows > 0)
        self.findings.add_cells("link_fragments", path, coords, missing, lambda row: f"no groups of {rows[row]} links")

    def _check_counts(self) -> None:
        if not all(whole for _, _, whole in self.counted):
            return
        records = sum(count for count, _, _ in self.counted)
        links = sum(count for count, first, _ in self.counted if first)
        self.records = records, links
        said = (self.documents.get(f"{constants.LINKS}/{self.delta}") or {}).get("attributes") or {}
        for name, true in (("num_physical_records", records), ("num_links", links)):
            if said.get(name, true) != true:
                self.findings.add("link_count", self.path, f"{name} is {said[name]}, there are {true}")

    def joined(self) -> tuple[IntArray, BoolArray]:
        """All ends, and which of the links cross chunks."""
        width = 2 if self.family is None else self.family.width
        return (
            np.concatenate([np.zeros((0, width), dtype=np.int64), *(ends for ends, _ in self.ends)]),
            np.concatenate([np.zeros(0, dtype=bool), *(crossing for _, crossing in self.ends)]),
        )
