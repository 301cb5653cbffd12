"""Reading a level from one end to the other, some shards at a time, into records of a temporary file.

Rows are numbered by their place in the buffers of all cells, in the order of reading, so that links, which name cells
and rows inside them, find them without a table of all rows.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field, replace
from typing import Any

import numpy as np

from zarr_vectors import constants
from zarr_vectors.core.state import LevelState
from zarr_vectors.encoding.blobs import offsets_of
from zarr_vectors.geometry import Column
from zarr_vectors.query.block import Block
from zarr_vectors.query.rows import attribute_arrays, check_count, raise_errors
from zarr_vectors.query.values import find_rows
from zarr_vectors.rechunk.line_places import LinePlaces
from zarr_vectors.rechunk.parts import LineRuns
from zarr_vectors.rechunk.scan_plan import Scan, ScanPlan, SeveralOwnersError
from zarr_vectors.rowwise import extremes, row_numbers
from zarr_vectors.storage.cells import CellArray
from zarr_vectors.types.column_file import ColumnFile
from zarr_vectors.typing import AnyArray, BoolArray, FloatArray, IntArray

__all__ = ["scan", "without_lines"]

_BATCH_ROWS = 500_000


def scan(plan: ScanPlan) -> Scan:
    """Read the whole level.

    Raises:
        CorruptionError: A cell is gone or corrupt, or there are fewer rows than the level states.
        SeveralOwnersError: Several objects share a fragment, and the plan does not have their manifests.
        ConventionError: Objects of different bins share a fragment.
    """
    work = _Scanner(plan)
    for coords in _batches(plan.level, work):
        work.add(coords)
    return work.result()


def without_lines(plan: ScanPlan, found: Scan, lines: IntArray) -> Scan:
    """What is left without these lines, or shared fragments of lines, by the ids that rows have."""
    if not len(lines):
        return found
    file = replace(found.rows, path=found.rows.path.with_name("rows-left"))
    left, dead, used = 0, [found.dead], np.zeros_like(found.used)
    for rows in found.rows.read():
        stays = ~np.isin(rows["object_ids"], lines)
        if "rows" in (rows.dtype.names or ()):
            dead.append(rows["rows"][~stays])
        kept = rows[stays]
        used[np.unique(kept["lead"]) if plan.binning.has_axis and len(kept) else 0] |= bool(len(kept))
        left += len(kept)
        with file.path.open("ab") as out:
            kept.tofile(out)
    found.rows.path.unlink(missing_ok=True)
    return replace(found, rows=file, count=left, dead=np.sort(np.concatenate(dead)), used=used)


def _batches(level: LevelState, work: _Scanner) -> Iterator[IntArray]:
    """Present cells, shard after shard, about as many at a time as hold so many rows."""
    present = level.vertices.present
    index, number = level.vertices.locate(present)
    order = np.lexsort((number, *index.T[::-1])) if len(present) else np.zeros(0, dtype=np.int64)
    per_cell = max(1, level.metadata.vertex_count // max(1, len(present)))
    step, start = max(1, _BATCH_ROWS // per_cell), 0
    while start < len(order):
        before = work.read
        # Cells of a block are in numeric order.
        yield present[np.sort(order[start : start + step])]
        start += step
        fitting = _BATCH_ROWS * step // max(1, work.read - before)
        step = max(1, min(2 * step, fitting))


@dataclass
class _Scanner:
    """Takes blocks of cells one after another."""

    plan: ScanPlan
    count: int = 0
    read: int = 0
    numbers: int = 0
    fragments: int = 0
    dead: list[IntArray] = field(default_factory=list)
    runs: list[LineRuns] = field(default_factory=list)
    lost: list[IntArray] = field(default_factory=list)
    low: FloatArray | None = None
    high: FloatArray | None = None

    def __post_init__(self) -> None:
        plan, level = self.plan, self.plan.level
        cells = len(level.vertices.present)
        self.cell_rows = np.zeros(cells, dtype=np.int64)
        self.first = np.zeros(cells, dtype=np.int64)
        self.used = np.zeros(plan.binning.count + 1, dtype=bool)
        self.faces, self.parents = plan.folder / "faces", plan.folder / "parents"
        needs_places = plan.foreign is not None and plan.shared is None and plan.kind.connects == "sequence"
        self.places = LinePlaces.of(plan.storage, level, plan.foreign) if needs_places and plan.foreign else None
        fields: list[Any] = [("positions", level.position_dtype, (len(level.chunk_shape),))]
        fields += [("object_ids", "i8")] if plan.has_objects else []
        is_line = plan.kind.connects == "sequence"
        fields += [("numbers", "i8")] if plan.links or plan.numbered or is_line else []
        fields += [("rows", "i8")] if plan.numbered and is_line else []
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
        assert block.table is not None
        owners, bins = self._owners(block)
        kept = np.arange(len(block.table.counts)) if owners is None else self._kept_fragments(owners)
        counts = block.table.counts[kept]
        picked = block.rows_of_fragments(kept)
        rows = block.gathered(picked, kept)
        places = row_numbers(picked)
        stays = None if plan.cut is None else plan.cut.keeps(rows.positions)
        numbers = self._numbered(block, places, coords)
        values: dict[str, AnyArray] = {"positions": rows.positions}
        if owners is not None:
            named = self.fragments + kept if plan.shared is not None else owners[kept]
            values["object_ids"] = np.repeat(named, counts)
        if plan.binning.has_axis:
            values["lead"] = self._lead(block, None if binned is None else rows.columns[binned], bins, kept)
        if plan.keeps_parts:
            values["parts"] = np.repeat(self.fragments + kept, counts)
        if plan.kind.connects == "sequence":
            values["numbers"] = self._along(block, kept, counts)
        elif plan.links or plan.numbered:
            values["numbers"] = numbers
        if "rows" in (self.file.record.names or ()):
            values["rows"] = numbers
        if plan.kind.connects == "tree":
            self._write_parents(counts, places, stays)
        self._write_faces(block)
        columns = {name: _numbers_of(rows.columns[name]) for name in plan.columns}
        self.read += int(block.table.counts.sum())
        if stays is not None and not stays.all():
            self._take_away(values, numbers, stays)
            values = {name: column[stays] for name, column in values.items()}
            columns = {name: column[stays] for name, column in columns.items()}
        if plan.cut is not None and plan.kind.connects == "sequence":
            self.runs.append(LineRuns.of_rows(values["object_ids"], values["numbers"]))
        self._write_down(values, columns)
        self.fragments += len(block.table.counts)
        self.numbers = self.next

    def _owners(self, block: Block) -> tuple[IntArray | None, IntArray | None]:
        """Owner and bin of each fragment of a block; None where there are no objects, or no bins of them."""
        plan, binning = self.plan, self.plan.binning
        if not plan.has_objects:
            return None, None
        by_object = binning.has_axis and not binning.by_vertex and not binning.stays
        owners = block.owners(plan.foreign)
        assert owners is not None
        if plan.shared is None:
            self._check_owners(owners)
            return owners, binning.of_owners(owners) if by_object else None
        here, numbers = plan.shared.add(block, self.fragments)
        if not by_object:
            return owners, None
        of_refs = binning.of_owners(plan.shared.refs.ids[here])
        return owners, plan.shared.bins_of(block, numbers, of_refs, binning.count)

    def _take_away(self, values: dict[str, AnyArray], numbers: IntArray, stays: BoolArray) -> None:
        """Remember rows that go."""
        self.dead.append(numbers[~stays])
        if self.plan.kind.connects == "sequence":
            self.lost.append(np.unique(values["object_ids"][~stays]))

    def _write_down(self, values: dict[str, AnyArray], columns: dict[str, AnyArray]) -> None:
        count = len(values["positions"])
        self.file.append(count, values, columns)
        self._measure(values["positions"], values.get("lead"))
        self.count += count

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
            raise SeveralOwnersError(
                "several objects of the store share a fragment, so that its vertices cannot be given to bins",
                store=self.plan.level.store,
                array=f"{self.plan.level.number}/{constants.VERTEX_FRAGMENTS}",
                hint="write it anew with an object index, or with vertices of its own for each object",
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

    def _lead(self, block: Block, column: Column | None, bins: IntArray | None, kept: IntArray) -> IntArray:
        binning, table = self.plan.binning, block.table
        assert table is not None
        if column is not None:
            return binning.of_values(column)
        if binning.stays:
            bins = block.coords[table.cell_of, 0] - self.plan.level.vertices.grid.origin[0]
        assert bins is not None
        return np.repeat(bins[kept], table.counts[kept])

    def _along(self, block: Block, kept: IntArray, counts: IntArray) -> IntArray:
        """``(n,)`` number of each row along its line."""
        assert block.table is not None
        if self.plan.shared is not None:
            offsets = np.zeros(len(block.table.counts), dtype=np.int64)
        elif self.places is None:
            offsets = block.fragment_values(constants.FRAGMENT_OFFSET)
            raise_errors(block, strict=True)
        else:
            offsets = self.places.of_fragments(block)
        inside = np.arange(int(counts.sum())) - np.repeat(offsets_of(counts)[:-1], counts)
        return np.repeat(offsets[kept], counts) + inside

    def _write_parents(self, counts: IntArray, picked: IntArray, stays: BoolArray | None) -> None:
        """Numbers of the parents that order implies, one for each number that this block may give out."""
        parents = np.full(self.next - self.numbers, -1, dtype=np.int64)
        if self.plan.implied and len(picked):
            before = np.empty(len(picked), dtype=np.int64)
            before[1:] = self.numbers + picked[:-1]
            starts = offsets_of(counts)[:-1]
            before[starts[starts < len(picked)]] = -1
            named = before >= 0
            if stays is not None:
                named &= stays
                named[1:] &= stays[:-1]
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
        check_count(self.plan.level, self.read, [], strict=True)
        bases = offsets_of(self.cell_rows)
        return Scan(
            rows=self.file,
            count=self.count,
            read=self.read,
            numbers=self.numbers,
            bases=bases,
            shift=self.first - bases[:-1],
            dead=np.sort(np.concatenate([*self.dead, np.zeros(0, dtype=np.int64)])),
            used=self.used,
            low=self.low,
            high=self.high,
            faces=self.faces,
            parents=self.parents,
            runs=LineRuns.joined(self.runs) if self.plan.cut is not None else None,
            lost=np.unique(np.concatenate([*self.lost, np.zeros(0, dtype=np.int64)])),
        )


def _numbers_of(column: Column) -> AnyArray:
    """What is stored of a column: codes of text, numbers as they are."""
    return column if isinstance(column, np.ndarray) else column.codes
