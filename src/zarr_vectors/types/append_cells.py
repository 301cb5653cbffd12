"""What a level holds when rows are appended: old rows of a cell join the new ones, and cells beside them stay."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass

import numpy as np

from zarr_vectors import constants
from zarr_vectors.core.documents import ColumnSpec
from zarr_vectors.core.state import LevelState
from zarr_vectors.encoding.blobs import Blobs
from zarr_vectors.encoding.codecs import vlen_frame
from zarr_vectors.exceptions import CorruptionError
from zarr_vectors.query.draco import unpack_vertices
from zarr_vectors.spatial.grid import format_keys, rows_among
from zarr_vectors.storage.cell_array import CellArray, CellRead, cells_beside, groups_of_rows
from zarr_vectors.storage.cells import read_cells
from zarr_vectors.storage.storage import Put, Storage
from zarr_vectors.types.cell_merge import CellMerge, recode
from zarr_vectors.types.cell_plan import CellPlan
from zarr_vectors.types.encode import cells_of
from zarr_vectors.types.fragment_check import check_fragments
from zarr_vectors.types.intake import Intake
from zarr_vectors.types.quantise import Packing
from zarr_vectors.types.sort import SortedRows, sort_table
from zarr_vectors.typing import IntArray

__all__ = ["OldCells"]


@dataclass(frozen=True, eq=False)
class OldCells:
    """What a level holds already, in the cells that an append writes and beside them.

    Args:
        storage: Where the level is.
        level: As it is.
        plan: How its cells will be.
        recoded: Arrays of attributes whose stored type widens, with their new type.
    """

    storage: Storage
    level: LevelState
    plan: CellPlan
    recoded: Mapping[str, ColumnSpec]

    def merged(self, part: SortedRows, packing: Packing | None) -> tuple[dict[str, Blobs], IntArray, IntArray]:
        """Cells of new rows and of what is there, and how many fragments and rows of each are old."""
        fresh = cells_of(self.plan, part)
        old = self.level.vertices.has(part.coords)
        none = np.zeros(len(part.coords), dtype=np.int64)
        if not old.any():
            return fresh, none, none
        cells = CellMerge(self.plan, self.level, part, fresh, old, self.recoded)
        reads = self._read_old(part.coords[old])
        if packing is not None:
            packing.repack(part.coords[old], reads[constants.VERTICES].cells)
        return cells.merge(reads)

    def _read_old(self, coords: IntArray) -> dict[str, CellRead]:
        arrays = self.level.cells
        for array in arrays.values():
            gone = ~array.has(coords)
            if gone.any():
                raise CorruptionError(
                    "a chunk with vertices lacks values in another array, so that rows cannot be appended to it",
                    store=self.storage.url,
                    array=array.path,
                    cell=format_keys(coords[gone][:1])[0],
                    hint="write the missing values first",
                )
        reads = read_cells(self.storage, [(array, coords) for array in arrays.values()])
        found = dict(zip(arrays, reads, strict=True))
        if self.level.is_draco:
            unpacked = unpack_vertices(self.level, found[constants.VERTICES], found[constants.VERTEX_FRAGMENTS].check())
            found[constants.VERTICES] = unpacked.vertices
        return {name: read.check() for name, read in found.items()}

    def check_fragments(self, intake: Intake) -> None:
        """Refuse values that are not constant within a fragment, before anything is written.

        Raises:
            InputError: New rows of a fragment differ, or, where fragments are bins, new rows and old ones.
        """
        check_fragments(self.plan, intake)
        if self.plan.per_fragment and not self.plan.has_objects:
            for table in intake.blocks(self.plan):
                for part in sort_table(self.plan, table):
                    self.merged(part, None)

    def kept(self, coords: IntArray) -> dict[str, CellRead | None]:
        """Cells that stay as they are and lie in stored objects that are written again, of all arrays at once."""
        old = self.level.cells
        beside = {name: cells_beside(old[name], array, coords) for name, array in self.plan.arrays.items()}
        found: dict[str, CellRead | None] = dict.fromkeys(beside)
        for recoding in (False, True):
            wanted = [name for name in beside if len(beside[name]) and (name in self.recoded) == recoding]
            if not wanted:
                continue
            reads = read_cells(self.storage, [(old[name], beside[name]) for name in wanted], decode=recoding)
            found |= {name: self._as_stored(name, read.check()) for name, read in zip(wanted, reads, strict=True)}
        return found

    def kept_beside(self, old: CellArray, array: CellArray, coords: IntArray) -> CellRead | None:
        """Cells of an old array that lie in a stored object of the new one in which these cells are written."""
        beside = cells_beside(old, array, coords)
        if not len(beside):
            return None
        (read,) = read_cells(self.storage, [(old, beside)], decode=False)
        return read.check()

    def _as_stored(self, name: str, read: CellRead) -> CellRead:
        if name not in self.recoded:
            return read
        array = self.plan.arrays[name]
        cells = recode(read.cells, self.level.array_columns[name], array)
        return CellRead(array, read.coords, array.codec.encode(vlen_frame(cells)) if array.codec else cells)

    def widened(self, name: str, touched: IntArray) -> Iterator[Put]:
        """Cells of an attribute whose type widens, in stored objects that no new row touches."""
        array, old = self.plan.arrays[name], self.level.cells[name]
        rest = old.present[~rows_among(array.locate(old.present)[0], array.locate(touched)[0])]
        for _, members in groups_of_rows(array.locate(rest)[0]):
            (read,) = read_cells(self.storage, [(old, rest[members])])
            cells = recode(read.check().cells, self.level.array_columns[name], array)
            yield from array.encode(rest[members], cells)
