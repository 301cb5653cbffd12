"""Reading a level from one end to the other, some shards at a time, into records of a temporary file.

Rows are numbered by their place in the buffers of all cells, in the order of reading, so that links, which name cells
and rows inside them, find them without a table of all rows.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np

from zarr_vectors import constants
from zarr_vectors.core.documents import ColumnSpec
from zarr_vectors.core.state import LevelState
from zarr_vectors.encoding.blobs import offsets_of
from zarr_vectors.exceptions import StoreError
from zarr_vectors.geometry import Column
from zarr_vectors.query.block import Block
from zarr_vectors.query.objects import ObjectRefs
from zarr_vectors.query.rows import attribute_arrays, check_count, raise_errors
from zarr_vectors.query.values import distinct_rows, find_rows
from zarr_vectors.rechunk.binning import Binning
from zarr_vectors.rowwise import extremes, row_numbers
from zarr_vectors.storage.cells import CellArray
from zarr_vectors.storage.storage import Storage
from zarr_vectors.types.column_file import ColumnFile
from zarr_vectors.types.kinds import Kind
from zarr_vectors.typing import AnyArray, FloatArray, IntArray

__all__ = ["Scan", "ScanPlan", "scan"]

_BATCH_ROWS = 500_000


@dataclass(frozen=True, kw_only=True, eq=False)
class ScanPlan:
    """How a level is read.

    Args:
        storage: Where it is.
        level: The level.
        kind: What it holds.
        columns: Types of the attributes to carry, by the names under which they are read.
        binning: Bins of the new axis.
        foreign: Manifests of all objects, where fragments do not tell their owners or their place along a line.
        implied: Whether a vertex of a tree has the one before as its parent unless a link says otherwise.
        links: Whether links name rows.
        ids: Object ids of the level.
        folder: For temporary files.
    """

    storage: Storage
    level: LevelState
    kind: Kind
    columns: dict[str, ColumnSpec]
    binning: Binning
    foreign: ObjectRefs | None
    implied: bool
    links: bool
    ids: IntArray
    folder: Path

    @property
    def keeps_parts(self) -> bool:
        """Whether new fragments must not join old ones, which may have other attributes."""
        return self.has_objects and bool(self.level.fragment_columns)

    @property
    def has_objects(self) -> bool:
        """Whether rows belong to objects."""
        return self.level.has_objects or constants.FRAGMENT_OWNER in self.level.cells


@dataclass
class Scan:
    """What reading a level brought.

    Args:
        rows: The records.
        count: Rows.
        numbers: Numbers that rows may have; some are not taken.
        bases: ``(C + 1,)`` where the rows of each present cell begin in the buffers of all, in numeric order of cells.
        shift: ``(C,)`` what the number of a row is above its place in those buffers.
        dead: ``(n,)`` ascending numbers of rows that no fragment names.
        used: ``(B,)`` whether each bin has rows.
        low: ``(D,)`` least coordinates, or None.
        high: ``(D,)`` greatest coordinates.
        faces: File of the faces that lay in cells of positions, as numbers of rows; not there where there are none.
        parents: File of the number of each row's parent, -1 for none; of trees only.
    """

    rows: ColumnFile
    count: int
    numbers: int
    bases: IntArray
    shift: IntArray
    dead: IntArray
    used: AnyArray
    low: FloatArray | None
    high: FloatArray | None
    faces: Path
    parents: Path


def scan(plan: ScanPlan) -> Scan:
    """Read the whole level.

    Raises:
        CorruptionError: A cell is gone or corrupt, or there are fewer rows than the level states.
        StoreError: Several objects share a fragment.
    """
    work = _Scanner(plan)
    for coords in _batches(plan.level, work):
        work.add(coords)
    return work.result()


def _batches(level: LevelState, work: _Scanner) -> Iterator[IntArray]:
    """Present cells, shard after shard, about as many at a time as hold so many rows."""
    present = level.vertices.present
    index, number = level.vertices.locate(present)
    order = np.lexsort((number, *index.T[::-1])) if len(present) else np.zeros(0, dtype=np.int64)
    per_cell = max(1, level.metadata.vertex_count // max(1, len(present)))
    step, start = max(1, _BATCH_ROWS // per_cell), 0
    while start < len(order):
        before = work.count
        # Cells of a block are in numeric order.
        yield present[np.sort(order[start : start + step])]
        start += step
        fitting = _BATCH_ROWS * step // max(1, work.count - before)
        step = max(1, min(2 * step, fitting))


@dataclass
class _Scanner:
    """Takes blocks of cells one after another."""

    plan: ScanPlan
    count: int = 0
    numbers: int = 0
    fragments: int = 0
    dead: list[IntArray] = field(default_factory=list)
    low: FloatArray | None = None
    high: FloatArray | None = None

    def __post_init__(self) -> None:
        plan, level = self.plan, self.plan.level
        cells = len(level.vertices.present)
        self.cell_rows = np.zeros(cells, dtype=np.int64)
        self.first = np.zeros(cells, dtype=np.int64)
        self.used = np.zeros(plan.binning.count + 1, dtype=bool)
        self.faces, self.parents = plan.folder / "faces", plan.folder / "parents"
        self.places = None if plan.foreign is None else _LinePlaces.of(plan)
        fields: list[Any] = [("positions", level.position_dtype, (len(level.chunk_shape),))]
        fields += [("object_ids", "i8")] if plan.has_objects else []
        fields += [("numbers", "i8")] if plan.links or plan.kind.connects == "sequence" else []
        fields += [("lead", "i4")] if plan.binning.has_axis else []
        fields += [("parts", "i8")] if plan.keeps_parts else []
        names = list(plan.columns)
        columns = [(f"a{n}", plan.columns[name].dtype, plan.columns[name].row_shape) for n, name in enumerate(names)]
        self.file = ColumnFile(plan.folder / "rows", np.dtype([*fields, *columns]), names)

    def add(self, coords: IntArray) -> None:
        """Read some cells, and write down their rows."""
        plan = self.plan
        binned = plan.binning.attribute if plan.binning.by_vertex else None
        names = [*plan.columns, *([binned] if binned is not None and binned not in plan.columns else [])]
        block = self._read(coords, names)
        table = block.table
        assert table is not None
        owners = block.owners(None, None) if plan.has_objects else None
        if plan.foreign is not None:
            owners = block.owners(plan.foreign, None)
        self._check_owners(owners)
        kept = np.arange(len(table.counts)) if owners is None else self._kept_fragments(owners)
        picked = block.rows_of_fragments(kept)
        counts = table.counts[kept]
        rows = block.gathered(picked, kept)
        places = row_numbers(picked)
        numbers = self._numbered(block, places, coords)
        values: dict[str, AnyArray] = {"positions": rows.positions}
        lead: IntArray | None = None
        if owners is not None:
            values["object_ids"] = np.repeat(owners[kept], counts)
        if plan.binning.has_axis:
            column = None if binned is None else rows.columns[binned]
            lead = values["lead"] = self._lead(column, owners, kept, counts)
        if plan.keeps_parts:
            values["parts"] = np.repeat(self.fragments + kept, counts)
        if plan.kind.connects == "sequence":
            values["numbers"] = self._along(block, kept, counts)
        elif plan.links:
            values["numbers"] = numbers
        if plan.kind.connects == "tree":
            self._write_parents(counts, places)
        self._write_faces(block)
        self.file.append(len(picked), values, {name: _numbers_of(rows.columns[name]) for name in plan.columns})
        self._measure(rows.positions, lead)
        self.count += len(picked)
        self.fragments += len(table.counts)
        self.numbers = self.next

    def _read(self, coords: IntArray, names: list[str]) -> Block:
        plan, level = self.plan, self.plan.level
        arrays: dict[str, CellArray] = {
            constants.VERTICES: level.vertices,
            constants.VERTEX_FRAGMENTS: level.cell_array(constants.VERTEX_FRAGMENTS),
        }
        if plan.foreign is None:
            known = (constants.FRAGMENT_OWNER, constants.FRAGMENT_OFFSET)
            arrays |= {name: level.cells[name] for name in known if name in level.cells}
        arrays |= attribute_arrays(level, names)
        block = Block.read(plan.storage, level, coords, arrays)
        block.prepare(names)
        raise_errors(block, strict=True)
        return block

    def _check_owners(self, owners: IntArray | None) -> None:
        # What marks a fragment of several objects is also an id like others.
        several = constants.OWNER_SEVERAL
        if owners is not None and several not in self.plan.ids and (owners == several).any():
            raise StoreError(
                "several objects of the store share a fragment, so that its vertices cannot be given to bins",
                store=self.plan.level.store,
                array=f"{self.plan.level.number}/{constants.VERTEX_FRAGMENTS}",
                hint="write the data anew with vertices of its own for each object",
            )

    def _kept_fragments(self, owners: IntArray) -> IntArray:
        """Fragments to carry on: of lines those that belong to one, as nothing tells what others are part of."""
        if self.plan.kind.connects == "sequence" and constants.OWNER_NONE not in self.plan.ids:
            return np.flatnonzero(owners != constants.OWNER_NONE)
        return np.arange(len(owners))

    def _numbered(self, block: Block, picked: IntArray, coords: IntArray) -> IntArray:
        """``(n,)`` numbers of rows: those of their places, but for the later ones of several rows from one place."""
        size = int(block.bases[-1])
        first = np.zeros(len(picked), dtype=bool)
        first[np.unique(picked, return_index=True)[1]] = True
        numbers = np.where(first, self.numbers + picked, self.numbers + size + np.cumsum(~first) - 1)
        named = np.zeros(size, dtype=bool)
        named[picked] = True
        self.dead.append(self.numbers + np.flatnonzero(~named))
        cells = find_rows(self.plan.level.vertices.present, coords)
        self.cell_rows[cells] = np.diff(block.bases)
        self.first[cells] = self.numbers + block.bases[:-1]
        self.next = self.numbers + size + int((~first).sum())
        return numbers

    def _lead(self, column: Column | None, owners: IntArray | None, kept: IntArray, counts: IntArray) -> IntArray:
        binning = self.plan.binning
        if column is not None:
            return binning.of_values(column)
        assert owners is not None
        return np.repeat(binning.of_owners(owners[kept]), counts)

    def _along(self, block: Block, kept: IntArray, counts: IntArray) -> IntArray:
        """``(n,)`` number of each row along its line."""
        assert block.table is not None
        if self.places is None:
            offsets = block.fragment_values(constants.FRAGMENT_OFFSET)
            raise_errors(block, strict=True)
        else:
            offsets = self.places.of_fragments(block)
        inside = np.arange(int(counts.sum())) - np.repeat(offsets_of(counts)[:-1], counts)
        return np.repeat(offsets[kept], counts) + inside

    def _write_parents(self, counts: IntArray, picked: IntArray) -> None:
        """Numbers of the parents that order implies, one for each number that this block may give out."""
        parents = np.full(self.next - self.numbers, -1, dtype=np.int64)
        if self.plan.implied and len(picked):
            before = np.empty(len(picked), dtype=np.int64)
            before[1:] = self.numbers + picked[:-1]
            starts = offsets_of(counts)[:-1]
            before[starts[starts < len(picked)]] = -1
            named = before >= 0
            parents[picked[named]] = before[named]
        with self.parents.open("ab") as out:
            parents.tofile(out)

    def _write_faces(self, block: Block) -> None:
        """Faces that lie in cells of positions."""
        faces = block.faces_in_cells()
        if len(faces):
            with self.faces.open("ab") as out:
                (self.numbers + faces).tofile(out)

    def _measure(self, positions: AnyArray, lead: IntArray | None) -> None:
        if not len(positions):
            return
        low, high = (corner.astype(np.float64) for corner in extremes(positions))
        self.low = low if self.low is None else np.minimum(self.low, low)
        self.high = high if self.high is None else np.maximum(self.high, high)
        self.used[np.unique(lead) if lead is not None else 0] = True

    def result(self) -> Scan:
        """Everything that was read."""
        check_count(self.plan.level, self.count, [], strict=True)
        bases = offsets_of(self.cell_rows)
        return Scan(
            rows=self.file,
            count=self.count,
            numbers=self.numbers,
            bases=bases,
            shift=self.first - bases[:-1],
            dead=np.sort(np.concatenate([*self.dead, np.zeros(0, dtype=np.int64)])),
            used=self.used,
            low=self.low,
            high=self.high,
            faces=self.faces,
            parents=self.parents,
        )


def _numbers_of(column: Column) -> AnyArray:
    """What is stored of a column: codes of text, numbers as they are."""
    return column if isinstance(column, np.ndarray) else column.codes


@dataclass(frozen=True, eq=False)
class _LinePlaces:
    """Where the fragments of lines lie along them, from manifests.

    Args:
        refs: Fragments of all objects.
        offsets: ``(M,)`` number of the first vertex of each along its line.
    """

    refs: ObjectRefs
    offsets: IntArray

    @classmethod
    def of(cls, plan: ScanPlan) -> _LinePlaces | None:
        """Read how long all fragments are; None for what are no lines."""
        refs = plan.foreign
        if refs is None or plan.kind.connects != "sequence":
            return None
        counts = np.zeros(len(refs.ids), dtype=np.int64)
        coords = distinct_rows(refs.chunks)
        step = _BATCH_ROWS // 64
        for start in range(0, len(coords), step):
            part = coords[start : start + step]
            arrays = {
                constants.VERTICES: plan.level.vertices,
                constants.VERTEX_FRAGMENTS: plan.level.cell_array(constants.VERTEX_FRAGMENTS),
            }
            block = Block.read(plan.storage, plan.level, part, arrays)
            block.prepare(())
            raise_errors(block, strict=True)
            assert block.table is not None
            cell = find_rows(part, refs.chunks)
            here = np.flatnonzero(cell >= 0)
            numbers = block.fragment_numbers(block.table, cell[here], refs.fragments[here])
            counts[here] = block.table.counts[numbers]
        before = offsets_of(counts)[:-1]
        begins = np.ones(len(counts), dtype=bool)
        begins[1:] = refs.numbers[1:] != refs.numbers[:-1]
        line = np.cumsum(begins) - 1
        return cls(refs, before - before[begins][line] if len(before) else before)

    def of_fragments(self, block: Block) -> IntArray:
        """``(F,)`` the same for the fragments of a block; 0 for those of no line."""
        assert block.table is not None
        offsets = np.zeros(len(block.table.counts), dtype=np.int64)
        cell = find_rows(block.coords, self.refs.chunks)
        here = np.flatnonzero(cell >= 0)
        numbers = block.fragment_numbers(block.table, cell[here], self.refs.fragments[here])
        offsets[numbers] = self.offsets[here]
        return offsets
