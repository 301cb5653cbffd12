"""Level 3: some cells of a level, checked side by side."""

from __future__ import annotations

from collections.abc import Collection, Mapping
from dataclasses import dataclass, field

import numpy as np

from zarr_vectors import constants
from zarr_vectors.core.documents import ColumnSpec
from zarr_vectors.core.state import LevelState, RootState
from zarr_vectors.encoding.fragments import FragmentTable, decode_fragments
from zarr_vectors.query.draco import unpack_vertices
from zarr_vectors.query.values import find_rows
from zarr_vectors.storage.cell_plan import ABSENT
from zarr_vectors.storage.cells import CellArray, CellRead, read_cells
from zarr_vectors.storage.storage import Storage
from zarr_vectors.typing import BoolArray, FloatArray, IntArray
from zarr_vectors.validate.column_rules import check_column
from zarr_vectors.validate.fragment_rules import FragmentRules
from zarr_vectors.validate.level_cells import NO_ROW_ID, UNKNOWN
from zarr_vectors.validate.position_rules import PositionRules
from zarr_vectors.validate.problems import Findings

__all__ = ["Batch", "Part", "tell_unreadable"]


@dataclass
class Part:
    """What is kept of a batch; see ``LevelCells``. ``widths`` are those of attributes that state another."""

    rows: IntArray
    fragments: IntArray
    table: FragmentTable
    owners: IntArray | None = None
    offsets: IntArray | None = None
    stated: BoolArray = field(default_factory=lambda: np.zeros(0, dtype=bool))
    widths: dict[str, int] = field(default_factory=dict)
    extent: tuple[FloatArray, FloatArray] | None = None
    counted: int | None = None
    last_row_id: int = NO_ROW_ID


def tell_unreadable(read: CellRead, findings: Findings) -> BoolArray:
    """Tell of the cells that could not be read; ``(n,)`` whether each could be."""
    usable = np.ones(len(read.coords), dtype=bool)
    usable[list(read.errors)] = False
    gone = np.array([row for row, what in read.errors.items() if what == ABSENT], dtype=np.int64)
    corrupt = np.array([row for row, what in read.errors.items() if what != ABSENT], dtype=np.int64)
    findings.add_cells("cell_missing", read.array.path, read.coords, gone, lambda row: read.errors[row])
    findings.add_cells("cell_corrupt", read.array.path, read.coords, corrupt, lambda row: read.errors[row])
    return usable


class Batch:
    """Some cells of every array of a level.

    Args:
        arrays: By name below the level.
        full: Names of arrays that have a cell for every chunk.
        coords: ``(n, K)`` the chunks.
    """

    def __init__(
        self,
        storage: Storage,
        root: RootState,
        level: LevelState,
        arrays: Mapping[str, CellArray],
        full: Collection[str],
        findings: Findings,
        coords: IntArray,
    ) -> None:
        self.storage = storage
        self.root = root
        self.level = level
        self.arrays = arrays
        self.findings = findings
        self.coords = coords
        self.listed = {name: coords if name in full else coords[array.has(coords)] for name, array in arrays.items()}

    @np.errstate(all="ignore")
    def check(self) -> Part:
        """Read the cells and check them."""
        wanted = [(array, self.listed[name]) for name, array in self.arrays.items()]
        reads = dict(zip(self.arrays, read_cells(self.storage, wanted), strict=True))
        if self.level.is_draco and constants.VERTEX_FRAGMENTS in reads:
            self._unpack(reads)
        usable = {name: tell_unreadable(read, self.findings) for name, read in reads.items()}
        rows = self._rows(reads[constants.VERTICES], usable[constants.VERTICES])
        part = Part(rows, rows * 0, _no_fragments(len(rows)))
        if constants.VERTEX_FRAGMENTS in reads:
            part = self._fragments(reads[constants.VERTEX_FRAGMENTS], usable[constants.VERTEX_FRAGMENTS], rows)
        positions = PositionRules(self.root, self.level, self.findings)
        binned = part.table if self._is_binned else None
        vertices = reads[constants.VERTICES]
        part.extent = positions.check(vertices, self._at(vertices, rows), self.coords, rows, binned)
        for name, read in reads.items():
            family = name.partition("/")[0]
            if family == constants.VERTEX_ATTRIBUTES:
                self._column(name, read, usable[name], rows, part)
                if name == self._counts:
                    part.counted = self._sum(read, rows)
                if name == self._row_ids:
                    part.last_row_id = self._last(read, usable[name])
            elif family == constants.FRAGMENT_ATTRIBUTES:
                self._column(name, read, usable[name], part.fragments, part)
                self._keep(name, read, usable[name], part)
        return part

    @property
    def _counts(self) -> str | None:
        """The array that tells what vertices of a coarser level stand for."""
        facts = self.level.metadata.pyramid
        return None if facts is None or facts.counts is None else f"{constants.VERTEX_ATTRIBUTES}/{facts.counts}"

    @property
    def _row_ids(self) -> str | None:
        """The array of row ids."""
        return f"{constants.VERTEX_ATTRIBUTES}/{constants.ROW_ID}" if self.level.metadata.numbers_rows else None

    def _last(self, read: CellRead, usable: BoolArray) -> int:
        """The greatest row id; cells that are no row ids are told elsewhere."""
        whole = usable & (read.cells.sizes % 8 == 0)
        if self.level.dtype_of(read.array, "int64") != np.int64:
            return NO_ROW_ID
        values = np.frombuffer(read.cells.take(np.flatnonzero(whole)).joined(), dtype=np.int64)
        return int(values.max(initial=NO_ROW_ID))

    @property
    def _is_binned(self) -> bool:
        metadata = self.root.metadata
        only_points = set(metadata.geometry_types) <= {constants.GEOM_POINT_CLOUD}
        stated = metadata.base_bin_shape is not None and self.level.number == 0
        return only_points and stated and not self.level.has_objects

    def _unpack(self, reads: dict[str, CellRead]) -> None:
        vertices = reads[constants.VERTICES]
        unpacked = unpack_vertices(self.level, vertices, reads[constants.VERTEX_FRAGMENTS])
        reads |= {constants.VERTICES: unpacked.vertices, constants.VERTEX_FRAGMENTS: unpacked.fragments}
        lost = np.array(list(unpacked.lost), dtype=np.int64)
        self.findings.add_cells(
            "vertices_lost", vertices.array.path, vertices.coords, lost, lambda row: unpacked.lost[row]
        )

    def _at(self, read: CellRead, values: IntArray) -> IntArray:
        """Of the cells of a read, what is known of their chunks."""
        return values if read.coords is self.coords else values[find_rows(self.coords, read.coords)]

    def _spread(self, read: CellRead, values: IntArray, absent: int = 0) -> IntArray:
        """Of all chunks of the batch, what is known of the cells of a read."""
        if read.coords is self.coords:
            return values
        spread = np.full(len(self.coords), absent, dtype=np.int64)
        spread[find_rows(self.coords, read.coords)] = values
        return spread

    def _rows(self, read: CellRead, usable: BoolArray) -> IntArray:
        size = len(self.level.chunk_shape) * self.level.position_dtype.itemsize
        sizes = read.cells.sizes
        torn = usable & (sizes % size != 0)
        self.findings.add_cells(
            "row_size",
            read.array.path,
            read.coords,
            torn,
            lambda row: f"{sizes[row]} bytes are not rows of {size} bytes",
        )
        return self._spread(read, np.where(usable & ~torn, sizes // size, UNKNOWN))

    def _fragments(self, read: CellRead, usable: BoolArray, rows: IntArray) -> Part:
        path = read.array.path
        table, errors = decode_fragments(read.cells)
        bad = np.array([row for row in errors if usable[row]], dtype=np.int64)
        self.findings.add_cells("fragment_index", path, read.coords, bad, lambda row: errors[row])
        usable = usable.copy()
        usable[list(errors)] = False
        missing = (self._spread(read, np.ones(len(read.coords), dtype=np.int64)) == 0) & (rows > 0)
        self.findings.add_cells(
            "fragment_index_missing", path, self.coords, missing, lambda row: f"the chunk has {rows[row]} vertices"
        )
        rules = FragmentRules(self.level, read, table, self._at(read, rows), usable, self.findings)
        table = rules.check(self.root.metadata.bins_per_chunk if self._is_binned else None)
        fragments = self._spread(read, np.where(usable, table.per_cell, UNKNOWN))
        fragments[missing] = UNKNOWN
        return Part(rows, fragments, self._whole_table(read, table))

    def _whole_table(self, read: CellRead, table: FragmentTable) -> FragmentTable:
        """The table in the order of the batch's chunks."""
        if read.coords is self.coords:
            return table
        # Cells keep their order where only some of the chunks have any.
        return FragmentTable(self._spread(read, table.per_cell), table.counts, table.starts, table.explicit)

    def _column(self, name: str, read: CellRead, usable: BoolArray, rows: IntArray, part: Part) -> None:
        spec = ColumnSpec.from_attributes(read.array.document.attributes)
        width = check_column(read, spec, self._at(read, rows), usable, self.findings)
        if width is not None and width != spec.channels:
            part.widths[name] = width

    def _sum(self, read: CellRead, rows: IntArray) -> int | None:
        """What an attribute comes to; None where not every vertex has a value that is a whole number."""
        dtype = self.level.dtype_of(read.array, "int64")
        if dtype.kind not in "iu" or read.errors or read.cells.total != int(rows.sum()) * dtype.itemsize:
            return None
        return int(np.frombuffer(read.cells.joined(), dtype=dtype).sum(dtype=np.int64))

    def _keep(self, name: str, read: CellRead, usable: BoolArray, part: Part) -> None:
        """Keep what fragments state about their owners and places."""
        if name not in (constants.FRAGMENT_OWNER, constants.FRAGMENT_OFFSET):
            return
        dtype = self.level.dtype_of(read.array, "int64")
        values = np.full(len(part.table.counts), constants.OWNER_NONE, dtype=np.int64)
        known = np.zeros(len(values), dtype=bool)
        if dtype.kind in "iu":
            per_cell = part.table.per_cell
            good = usable & (read.cells.sizes == self._at(read, per_cell) * dtype.itemsize)
            known = np.repeat(self._spread(read, good.astype(np.int64)).astype(bool), per_cell)
            values[known] = np.frombuffer(read.cells.take(np.flatnonzero(good)).joined(), dtype=dtype)
        else:
            self.findings.add("array_metadata", read.array.path, f"dtype is {dtype}, not one of whole numbers")
        part.stated = known if not len(part.stated) else part.stated & known
        if name == constants.FRAGMENT_OWNER:
            part.owners = values
        else:
            part.offsets = values


def _no_fragments(chunks: int) -> FragmentTable:
    none = np.zeros(0, dtype=np.int64)
    return FragmentTable(np.zeros(chunks, dtype=np.int64), none, none, none)
