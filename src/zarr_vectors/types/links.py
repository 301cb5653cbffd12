"""Links on their way to disk: placed with a chunk, sorted into segments, encoded shard by shard."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np

from zarr_vectors import constants
from zarr_vectors.core.cell_index import Linking
from zarr_vectors.core.documents import ColumnSpec, group_document, presence_list, with_presence
from zarr_vectors.core.links import (
    attribute_family_document,
    attribute_segment_attributes,
    family_document,
    segment_attributes,
)
from zarr_vectors.encoding.blobs import Blobs
from zarr_vectors.encoding.fragments import encode_ranges
from zarr_vectors.encoding.links import encode_grouped, format_delta, format_segment, lehmer_ranks
from zarr_vectors.metadata.base import dump_json
from zarr_vectors.spatial.partition import runs_of, stable_order
from zarr_vectors.spatial.placement import canonical_order, offset_groups, same_cell
from zarr_vectors.storage.cells import CellArray
from zarr_vectors.storage.storage import Put
from zarr_vectors.types.cell_plan import CellPlan
from zarr_vectors.types.cell_reach import CellReach
from zarr_vectors.types.encode import Fragments, Tally, rows_as_cells
from zarr_vectors.types.intake import Intake
from zarr_vectors.types.places import Places
from zarr_vectors.types.table import LinkTable
from zarr_vectors.typing import AnyArray, BoolArray, IntArray

__all__ = ["LinkPlan", "LinkSink", "MakeArray", "fill_sink", "followers", "implied"]

_BUCKETS = 64
_IN_MEMORY_RECORDS = 4_000_000
_BLOCK_LINKS = 1 << 17
"""Links placed at a time, so that the temporaries stay in the cache."""

MakeArray = Callable[[str, dict[str, Any]], CellArray]
"""From a name below the level and its attributes to an array on the level's grid."""
EncodeCells = Callable[[CellArray, IntArray, Blobs], Iterator[Put]]
"""How new cells of an array become stored objects; an append merges them with what is there."""


@dataclass(frozen=True)
class LinkPlan:
    """How the links of a level are stored.

    Args:
        level: Number of the level.
        cells: How its vertices are stored.
        width: Ends of each link.
        directed: Whether the order of the ends tells their chunk, rather than the other way round.
        columns: Types of the attributes of links.
        array: Makes an array for a new segment.
        always: Whether the family is written without any link too.
        delta: How much coarser the level is on which all ends but the first lie.
        leaves_implied: Whether links of a tree are left out where the order of rows implies them.
    """

    level: int
    cells: CellPlan
    width: int
    directed: bool
    columns: Mapping[str, ColumnSpec]
    array: MakeArray
    always: bool = True
    leaves_implied: bool = True
    delta: int = 0

    @property
    def family(self) -> str:
        """Name of the family's group below the level."""
        return f"{constants.LINKS}/{self.delta_text}"

    @property
    def delta_text(self) -> str:
        """The name of the delta's groups."""
        return format_delta(self.delta)


def followers(fragments: Fragments) -> tuple[IntArray, IntArray]:
    """``(n,)`` fragments that lines leave for another cell, and those that they reach there.

    Fragments of one object in one chunk that follow each other are connected by their order alone.
    """
    order = stable_order([fragments.owners, fragments.offsets])
    here, there = order[:-1], order[1:]
    owners, cells = fragments.owners, fragments.cells
    linked = (owners[here] == owners[there]) & (cells[here] != cells[there])
    return here[linked], there[linked]


def _between(fragments: Fragments, here: IntArray, there: IntArray) -> tuple[IntArray, IntArray]:
    cells = fragments.cells
    last = fragments.first_rows[here].astype(np.int64) + fragments.counts[here] - 1
    ends = np.stack([cells[here], cells[there]], axis=1).astype(np.int64)
    return ends, np.stack([last, fragments.first_rows[there].astype(np.int64)], axis=1)


def implied(cells: IntArray, rows: IntArray) -> BoolArray:
    """``(n,)`` whether each link from child to parent follows from the order of rows, and need not be said.

    Fragments break before roots, so a vertex that follows its parent directly lies in the parent's fragment.
    """
    return np.asarray((cells[:, 0] == cells[:, 1]) & (rows[:, 0] == rows[:, 1] + 1))


@dataclass
class LinkSink:
    """Takes links in any order and gives them back as stored objects.

    Args:
        plan: How they are stored.
        folder: Where more records than fit into memory are put; None keeps them all there.
        reach: Is told of the links between cells; None where nobody wants to know.
    """

    plan: LinkPlan
    folder: Path | None = None
    reach: CellReach | None = None
    offsets: list[IntArray] = field(default_factory=list)
    present: dict[str, list[IntArray]] = field(default_factory=dict)
    written: int = 0
    crossing: int = 0
    _names: dict[str, int] = field(default_factory=dict)
    _records: list[AnyArray] = field(default_factory=list)
    _waiting: int = 0
    _spilled: bool = False

    def add_table(self, table: LinkTable, places: Places) -> None:
        """Take links that name input rows; implied ones of a tree are left out, unless they have attributes."""
        for start in range(0, len(table), _BLOCK_LINKS):
            block = slice(start, start + _BLOCK_LINKS)
            cells, rows = places.at(table.ends[block])
            ends, columns = table.ends[block], {name: column[block] for name, column in table.columns.items()}
            implies = self.plan.leaves_implied and not self.plan.cells.explicit
            if self.plan.cells.connects == "tree" and not columns and implies:
                said = ~implied(cells, rows)
                ends, cells, rows = ends[said], cells[said], rows[said]
            self.add(cells, rows, columns, places.positions_of(ends))

    def add(
        self,
        cells: IntArray,
        rows: IntArray,
        columns: Mapping[str, AnyArray],
        positions: Callable[[IntArray], AnyArray] | None = None,
    ) -> None:
        """Take links whose ends are given by cell and row.

        Args:
            cells: ``(n, L)`` C-order numbers.
            rows: ``(n, L)`` rows inside these cells.
            columns: ``n`` values of each attribute.
            positions: Tells ``(m, L, D)`` where the ends of some of these links lie; None where nobody knows.
        """
        if not len(cells):
            return
        ranks = np.zeros(len(cells), dtype=np.int64)
        crossing = np.flatnonzero(~same_cell(cells))
        if self.reach is not None and len(crossing):
            known = None if positions is None else positions(crossing)
            self.reach.note(self.plan.cells.vertices.grid, cells[crossing], known)
        if len(crossing) and not self.plan.directed:
            placed = canonical_order(cells[crossing], rows[crossing])
            cells, rows = cells.copy(), rows.copy()
            cells[crossing], rows[crossing] = placed.cells, placed.rows
            ranks[crossing] = lehmer_ranks(placed.order)
        records = np.empty(len(cells), dtype=self._dtype())
        records["segment"] = self._segments(cells, crossing)
        records["key"] = self._keys(cells[:, 0])
        records["rank"], records["rows"] = ranks, rows
        for number, name in enumerate(self.plan.columns):
            records[f"a{number}"] = columns[name]
        self._keep(records)

    def _keys(self, cells: IntArray) -> IntArray:
        """The shard by shard number of cells given in C order; by a table, where it is not larger than the answer."""
        plan = self.plan.cells
        count = plan.vertices.grid.cells
        if count > len(cells):
            return plan.keys_of(plan.numbered_coords(cells))
        return plan.keys_of(plan.numbered_coords(np.arange(count))).take(cells)

    def _segments(self, cells: IntArray, crossing: IntArray) -> IntArray:
        """``(n,)`` number of each link's segment; the one inside a chunk is 0."""
        self._number(np.zeros((self.plan.width - 1, self.plan.cells.vertices.ndim), dtype=np.int64))
        segments = np.zeros(len(cells), dtype=np.int64)
        if len(crossing):
            groups, which = offset_groups(self.plan.cells.numbered_coords(cells[crossing]))
            segments[crossing] = np.array([self._number(offsets) for offsets in groups], dtype=np.int64)[which]
        return segments

    def _number(self, offsets: IntArray) -> int:
        name = format_segment(offsets)
        if name not in self._names:
            self._names[name] = len(self.offsets)
            self.offsets.append(offsets)
        return self._names[name]

    def _dtype(self) -> np.dtype[Any]:
        columns = self.plan.columns.values()
        described = [(f"a{number}", spec.dtype, spec.row_shape) for number, spec in enumerate(columns)]
        # 12 corners have fewer permutations than 32 bits have numbers; a chunk has fewer rows, as Places sees to.
        rank = "u4" if self.plan.width <= 12 else "i8"
        key = self.plan.cells.key_dtype
        head: list[Any] = [("segment", "i4"), ("key", key), ("rank", rank), ("rows", "u4", (self.plan.width,))]
        return np.dtype([*head, *described])

    def _keep(self, records: AnyArray) -> None:
        self._records.append(records)
        self._waiting += len(records)
        if self.folder is not None and self._waiting > _IN_MEMORY_RECORDS:
            self._spill(self.folder)

    def _spill(self, folder: Path) -> None:
        """Scatter the records to files, all of a shard to the same one."""
        for records in self._records:
            bucket = records["key"] // int(np.prod(self.plan.cells.vertices.block)) % _BUCKETS
            order = stable_order([bucket])
            ends = np.searchsorted(bucket[order], np.arange(_BUCKETS + 1))
            for number in np.flatnonzero(np.diff(ends)).tolist():
                with (folder / f"links-{number}").open("ab") as out:
                    records[order[ends[number] : ends[number + 1]]].tofile(out)
        self._records, self._waiting, self._spilled = [], 0, True

    def _batches(self) -> Iterator[AnyArray]:
        """The records, each shard in one batch."""
        if not self._spilled or self.folder is None:
            if self._records:
                records, self._records = np.concatenate(self._records), []
                yield records
            return
        self._spill(self.folder)
        for number in range(_BUCKETS):
            file = self.folder / f"links-{number}"
            if file.exists():
                yield np.fromfile(file, dtype=self._dtype())
                file.unlink()

    def puts(self, encode: EncodeCells) -> Iterator[Put]:
        """Cells of every segment; the documents come from ``documents``."""
        for batch in self._batches():
            records = batch.take(stable_order([batch["segment"], batch["key"].astype(np.int64)]))
            del batch
            segments = runs_of(records["segment"])
            for start, count in zip(segments.starts.tolist(), segments.counts.tolist(), strict=True):
                yield from self._segment_puts(records[start : start + count], encode)

    def _segment_puts(self, records: AnyArray, encode: EncodeCells) -> Iterator[Put]:
        offsets = self.offsets[int(records["segment"][0])]
        cells = runs_of(records["key"])
        coords = self.plan.cells.coords(records["key"][cells.starts])
        self.written += len(records)
        self.crossing += len(records) if offsets.any() else 0
        rows = records["rows"].astype("<i8")
        if not offsets.any() and not self.plan.delta:
            blobs = rows_as_cells(rows, cells.counts)
            ones = np.ones(len(coords), dtype=np.int64)
            fragments = self.array(constants.LINK_FRAGMENTS)
            yield from self._encoded(fragments, coords, encode_ranges(ones, 0 * ones, cells.counts), encode)
        else:
            if not self.plan.directed:
                rows = np.concatenate([records["rank"].astype("<i8")[:, None], rows], axis=1)
            blobs = encode_grouped(rows, cells.counts)
        yield from self._encoded(self.array(self.segment_name(offsets)), coords, blobs, encode)
        for number, name in enumerate(self.plan.columns):
            values = np.ascontiguousarray(records[f"a{number}"])
            array = self.array(self.attribute_name(name, offsets))
            yield from self._encoded(array, coords, rows_as_cells(values, cells.counts), encode)

    def _encoded(self, array: CellArray, coords: IntArray, cells: Blobs, encode: EncodeCells) -> Iterator[Put]:
        self.present.setdefault(array.path.partition("/")[2], []).append(coords)
        yield from encode(array, coords, cells)

    def segment_name(self, offsets: IntArray) -> str:
        """Name of a segment's array below the level."""
        return f"{self.plan.family}/{format_segment(offsets)}"

    def attribute_name(self, name: str, offsets: IntArray) -> str:
        """Name of the array of an attribute's values for a segment."""
        return f"{constants.LINK_ATTRIBUTES}/{name}/{self.plan.delta_text}/{format_segment(offsets)}"

    def array(self, name: str) -> CellArray:
        """The array of a name below the level, on the level's grid."""
        return self.plan.array(name, self._said(name))

    def linking(self, others: Mapping[str, CellArray] | None = None) -> Linking:
        """Which links between cells the level has, when all have been stored.

        Args:
            others: Arrays of segments that were there before, as they are now, by name.
        """
        named = [self.segment_name(offsets) for offsets in self.offsets if offsets.any()]
        before = others or {}
        held = []
        for name in dict.fromkeys([*before, *named]):
            array = before[name] if name in before else self.array(name)
            old = [array.present] if name in before else []
            cells = [*old, *self.present.get(name, []), np.zeros((0, array.ndim), dtype=np.int64)]
            held.append((array, np.unique(np.concatenate(cells), axis=0)))
        return Linking(held, self.plan.cells.connects != "sequence")

    def _said(self, name: str) -> dict[str, Any]:
        family, _, rest = name.partition("/")
        if family == constants.LINK_FRAGMENTS:
            return {"zv_array": constants.LINK_FRAGMENTS, "encoding": constants.FRAGMENT_INDEX_ENCODING}
        offsets = self.offsets[self._names[rest.rpartition("/")[2]]]
        if family == constants.LINKS:
            return segment_attributes(offsets, directed=self.plan.directed, delta=self.plan.delta)
        attribute = rest.partition("/")[0]
        return attribute_segment_attributes(attribute, self.plan.columns[attribute], offsets, self.plan.delta)

    def names(self) -> list[str]:
        """Names below the level of every array and family group."""
        if not self.present and not self.plan.always:
            return []
        zero = np.zeros((self.plan.width - 1, self.plan.cells.vertices.ndim), dtype=np.int64)
        own = {self.plan.family, *self.present}
        if self.plan.always and not self.plan.delta:
            self._number(zero)
            own |= {self.segment_name(zero), constants.LINK_FRAGMENTS}
            # An empty level keeps the types of its attributes.
            own |= {self.attribute_name(name, zero) for name in self.plan.columns}
        return sorted([*own, *self._attribute_groups()])

    def _attribute_groups(self) -> list[str]:
        return [f"{constants.LINK_ATTRIBUTES}/{name}/{self.plan.delta_text}" for name in self.plan.columns]

    def documents(self, old_links: int = 0) -> Iterator[Put]:
        """The documents of arrays that got cells, and of the groups above them.

        Args:
            old_links: Links that were there before.
        """
        names = self.names()
        if not names:
            return
        level, plan = self.plan.level, self.plan
        # With one axis the segment inside a chunk is called 0 too, so a name's end does not tell.
        groups, ndim = set(self._attribute_groups()), plan.cells.vertices.ndim
        total = old_links + self.written
        for name in names:
            if name == plan.family:
                document = family_document(plan.width, ndim, directed=plan.directed, links=total, delta=plan.delta)
            elif name in groups:
                document = attribute_family_document(name.split("/")[1], total, plan.delta)
                yield f"{level}/{name.rpartition('/')[0]}/zarr.json", dump_json(group_document())
            else:
                array = self.array(name)
                fresh = self.present.get(name, [])
                old = [array.present] if len(array.document.attributes[constants.NONEMPTY_CHUNKS]) else []
                both = np.concatenate([*old, *fresh, np.zeros((0, array.ndim), dtype=np.int64)])
                document = with_presence(array.document, presence_list(np.unique(both, axis=0))).to_json()
            yield f"{level}/{name}/zarr.json", dump_json(document)
        yield f"{level}/{constants.LINKS}/zarr.json", dump_json(group_document())
        if plan.columns:
            yield f"{level}/{constants.LINK_ATTRIBUTES}/zarr.json", dump_json(group_document())


def fill_sink(sink: LinkSink, intake: Intake, tally: Tally) -> None:
    """Give a sink all links of an intake whose rows have been encoded."""
    if sink.plan.cells.connects == "sequence":
        here, there = followers(tally.fragments())
        cells, rows = _between(tally.fragments(), here, there)
        for start in range(0, len(cells), _BLOCK_LINKS):
            block = slice(start, start + _BLOCK_LINKS)
            sink.add(cells[block], rows[block], {}, tally.positions_between(here[block], there[block]))
    elif tally.places is not None:
        for table in intake.links():
            sink.add_table(table, tally.places)
