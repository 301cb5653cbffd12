"""Links of chunks that lose rows: those that lead to such a row go, all others name their ends by other numbers."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass, field

import numpy as np

from zarr_vectors import constants
from zarr_vectors.core.documents import presence_list, with_presence
from zarr_vectors.core.links import LinkFamily
from zarr_vectors.core.state import LevelState
from zarr_vectors.edit.cell_puts import cells_instead
from zarr_vectors.edit.shrunk import Shrunk, counted, kept_items, renumbered
from zarr_vectors.encoding.blobs import Blobs
from zarr_vectors.encoding.fragments import decode_fragments, encode_ranges
from zarr_vectors.encoding.links import decode_grouped, decode_plain, encode_grouped
from zarr_vectors.metadata.base import dump_json
from zarr_vectors.query.links import LinkPart, links_among
from zarr_vectors.query.values import RowFinder, find_rows
from zarr_vectors.storage.cell_array import CellArray
from zarr_vectors.storage.cells import read_cells
from zarr_vectors.storage.storage import Put, Storage
from zarr_vectors.types.append_beside import objects_with
from zarr_vectors.types.append_links import link_arrays
from zarr_vectors.types.encode import rows_as_cells
from zarr_vectors.typing import BoolArray, IntArray

__all__ = ["ShrunkLinks"]


@dataclass(eq=False)
class ShrunkLinks:
    """The links of a level of which some chunks lose rows.

    Args:
        storage, level: The level as it is.
        chunks: What becomes of the chunks.
        fit: Whether all links are stored as this library stores them.
        gone: Names below the level of arrays that are no more.
        deletes: Stored objects that go, unless they are written again.
        lost: How many links go.
        torn: Whether such a link has an end that stays.
    """

    storage: Storage
    level: LevelState
    chunks: Shrunk
    fit: bool = True
    gone: set[str] = field(default_factory=set)
    deletes: set[str] = field(default_factory=set)
    lost: int = 0
    torn: bool = False
    _puts: list[Callable[[], Iterator[Put]]] = field(default_factory=list)

    def __post_init__(self) -> None:
        family = self.level.links
        if family is None:
            return
        self._arrays = link_arrays(self.level)
        odd = [one for one in family.segments.values() if one.dtype != np.dtype("<i8")]
        across = [name for name in self._arrays if name.split("/")[:2] not in self._families(family)]
        if family.duplicate or odd or across:
            self.fit = False
            return
        for part in links_among(family, self.chunks.coords, partly=True):
            self._shrink(family, part)

    @property
    def is_empty(self) -> bool:
        """Whether there are no arrays of links left, where there were some."""
        family = self.level.links
        names = set() if family is None else {one.array.path.partition("/")[2] for one in family.segments.values()}
        return bool(names) and names <= self.gone

    @staticmethod
    def _families(family: LinkFamily) -> list[list[str]]:
        """Beginnings of the names of arrays of links within the level."""
        attributes = [[constants.LINK_ATTRIBUTES, name] for name in family.columns]
        return [[constants.LINKS, "0"], [constants.LINK_FRAGMENTS], *attributes]

    def puts(self) -> Iterator[Put]:
        """The stored objects and documents that change."""
        for puts in self._puts:
            yield from puts()
        for name, document in self.level.link_documents.items():
            said = document.get("attributes") or {}
            if document.get("node_type") == "group" and self.lost and said.get("num_links") is not None:
                counts = {key: said[key] - self.lost for key in ("num_links", "num_physical_records") if key in said}
                told = {**document, "attributes": {**said, **counts}}
                yield f"{self.level.number}/{name}/zarr.json", dump_json(told)

    def _shrink(self, family: LinkFamily, part: LinkPart) -> None:
        """What becomes of some cells of a segment, and of what goes with them."""
        segment, coords = part.segment, part.coords
        (read,) = read_cells(self.storage, [(segment.array, coords)])
        decode = decode_plain if segment.is_plain else decode_grouped
        records, per_cell, errors = decode(read.check().cells, segment.dtype, family.width + segment.has_perm)
        keep, stays = np.ones(len(records), dtype=np.bool_), np.zeros(len(records), dtype=np.bool_)
        now = records.astype("<i8")
        finder = RowFinder(self.chunks.coords)
        for place, offset in enumerate(np.concatenate([np.zeros((1, coords.shape[1]), int), segment.offsets])):
            column = place + segment.has_perm
            cell = np.repeat(finder.find(coords + offset), per_cell)
            inside = np.flatnonzero(cell >= 0)
            cell, row = cell[inside], now[inside, column]
            if errors or ((row < 0) | (row >= self.chunks.rows[cell])).any():
                self.fit = False
                return
            goes = np.zeros(len(records), dtype=np.bool_)
            goes[inside] = self.chunks.goes(cell, row)
            keep, stays = keep & ~goes, stays | ~goes
            now[inside, column] = self.chunks.row(cell, row)
        left = counted(keep, per_cell)
        self.lost += int((~keep).sum())
        self.torn |= bool((stays & ~keep).any())
        cells = rows_as_cells(now[keep], left) if segment.is_plain else encode_grouped(now[keep], left)
        emptied = coords[left == 0]
        vanishes = not segment.is_plain and len(emptied) == len(segment.array.present)
        self._replace(segment.array, coords, cells, left, vanishes=vanishes)
        for array in segment.attributes.values():
            self._shrink_values(array, coords, per_cell, keep, vanishes=vanishes)
        if segment.is_plain and constants.LINK_FRAGMENTS in self._arrays:
            self._shrink_groups(coords, per_cell, keep)

    def _shrink_values(
        self, array: CellArray, coords: IntArray, per_cell: IntArray, keep: BoolArray, *, vanishes: bool
    ) -> None:
        """The same for values of an attribute."""
        if not array.has(coords).all() or (len(array.present) > len(coords) and vanishes):
            self.fit = False
            return
        (read,) = read_cells(self.storage, [(array, coords)])
        cells = kept_items(read.check().cells, per_cell, keep)
        if cells is None:
            self.fit = False
            return
        self._replace(array, coords, cells, counted(keep, per_cell), vanishes=vanishes)

    def _shrink_groups(self, coords: IntArray, per_cell: IntArray, keep: BoolArray) -> None:
        """The same for groups of links, which are fragments of the records."""
        array = self._arrays[constants.LINK_FRAGMENTS]
        there = array.has(coords)
        (read,) = read_cells(self.storage, [(array, coords[there])])
        table, errors = decode_fragments(read.check().cells)
        ends = table.starts + table.counts
        where = np.flatnonzero(there)[table.cell_of]
        if not there.all() or errors or (table.starts < 0).any() or (ends > per_cell[where]).any():
            self.fit = False
            return
        starts = renumbered(keep, per_cell, where, table.starts)
        counts = renumbered(keep, per_cell, where, ends) - starts
        full = counts > 0
        groups = np.bincount(where[full], minlength=len(coords)).astype(np.int64)
        blobs = encode_ranges(groups, starts[full], counts[full])
        self._replace(array, coords, blobs, counted(keep, per_cell), vanishes=False)

    def _replace(self, array: CellArray, coords: IntArray, cells: Blobs, left: IntArray, *, vanishes: bool) -> None:
        """Note cells that take the place of others, or go where nothing is left in them."""
        self.deletes |= objects_with([array], coords)
        if vanishes:
            self.gone.add(array.path.partition("/")[2])
            self.deletes.add(f"{array.path}/zarr.json")
            return
        full = np.flatnonzero(left > 0)
        self._puts.append(lambda: cells_instead(self.storage, array, coords, full, cells))
        if len(full) < len(coords):
            kept = array.present[find_rows(coords[left == 0], array.present) < 0]
            document = with_presence(array.document, presence_list(kept))
            self._puts.append(lambda: iter([(f"{array.path}/zarr.json", dump_json(document.to_json()))]))
