"""What is learned of cells as they are written, and the index that comes of it."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from zarr_vectors import constants
from zarr_vectors.core.cell_index import (
    ROWS,
    CellTable,
    Linking,
    attribute_facts,
    box_facts,
    described_arrays,
    digest_of,
    index_puts,
    reach_facts,
)
from zarr_vectors.core.cell_index_reader import CellIndex
from zarr_vectors.core.cell_reach import (
    Reaching,
    chunks_of_ends,
    ordering_arrays,
    outgoing,
    reach_holds,
    reaching,
)
from zarr_vectors.core.documents import ColumnSpec, presence_list
from zarr_vectors.core.state import LevelState
from zarr_vectors.encoding.blobs import Blobs
from zarr_vectors.encoding.extents import box_of_cells, range_of_cells
from zarr_vectors.exceptions import CorruptionError, MetadataError
from zarr_vectors.metadata.base import dump_json
from zarr_vectors.query.values import RowFinder
from zarr_vectors.storage.cell_array import CellArray
from zarr_vectors.storage.commit import Stamps
from zarr_vectors.storage.storage import Put, Storage
from zarr_vectors.types.cell_reach import CellReach
from zarr_vectors.typing import BoolArray, FloatArray, IntArray

__all__ = ["CellFacts", "can_index", "facts_of", "facts_of_level", "forget_reach", "links_of", "still_true"]

_LARGEST_ITEM = 8
"""Bytes of a number that float64 can bound."""


def can_index(storage: Storage) -> bool:
    """Whether an index of a store there could ever be believed."""
    return storage.backend.has_stamps


def _is_plain(spec: ColumnSpec) -> bool:
    return spec.row_shape == () and spec.dtype.kind in "biuf" and spec.dtype.itemsize <= _LARGEST_ITEM


@dataclass
class CellFacts:
    """Facts of a level's cells, as they are written.

    Args:
        level: Number of the level.
        ndim: Components of a position.
        dtype: Of the stored positions; None where their cells cannot be read as rows.
        columns: Types of the vertex attributes, by the paths of their arrays below the level.
        old: What was known before, and still holds for cells that are not written.
        reach: What reaches out of cells; None where nobody can tell, or nothing is connected.
    """

    level: int
    ndim: int
    dtype: np.dtype[Any] | None
    columns: Mapping[str, ColumnSpec]
    old: CellTable | None = None
    reach: CellReach | None = None
    _coords: list[IntArray] = field(default_factory=list)
    _parts: list[dict[str, FloatArray]] = field(default_factory=list)

    def note(self, coords: IntArray, cells: Mapping[str, Blobs]) -> None:
        """Take the facts of some cells, each of which comes once.

        Args:
            coords: ``(n, K)`` the cells.
            cells: Their payloads by name of the array, before they are encoded.
        """
        for name in (constants.VERTICES, *self.columns):
            if name in cells:
                self.note_array(name, coords, cells[name])

    def note_array(self, name: str, coords: IntArray, cells: Blobs) -> None:
        """Take the facts of some cells of one array; nothing where it has none that are told."""
        if name == constants.VERTICES and self.dtype is not None:
            facts = self._of_vertices(cells, self.dtype)
        elif name in self.columns and self.tells_of(name):
            facts = _of_attribute(name, self.columns[name], cells)
        else:
            return
        self._coords.append(coords)
        self._parts.append(facts)

    def tells_of(self, path: str) -> bool:
        """Whether facts of an attribute are told."""
        return _is_plain(self.columns[path])

    def _of_vertices(self, cells: Blobs, dtype: np.dtype[Any]) -> dict[str, FloatArray]:
        row = dtype.itemsize * self.ndim
        if (cells.sizes % row).any():
            return {}
        counts = cells.sizes // row
        low, high = box_of_cells(_rows(cells, dtype).reshape(-1, self.ndim), counts)
        return {ROWS: counts.astype(np.float64), **dict(zip(box_facts(self.ndim), [*low.T, *high.T], strict=True))}

    def amended(self, path: str, spec: ColumnSpec, coords: IntArray, cells: Blobs) -> None:
        """Take the facts of an attribute alone, which is new or replaced; other facts of the cells stay."""
        self.columns = {**self.columns, path: spec}
        if self.old is not None:
            self.old = CellTable(self.old.coords, _without(self.old.facts, path))
        self.note_array(path, coords, cells)

    def adopt(self, table: CellTable, changed: Iterable[str]) -> None:
        """Take the facts of cells of another level that become cells of this one.

        Args:
            changed: Paths of attributes whose values change on the way.
        """
        if self.reach is not None:
            self.reach.adopt(table)
        facts = dict(table.facts)
        for path in changed:
            facts = _without(facts, path)
        self._coords.append(table.coords)
        self._parts.append({name: facts[name] for name in self.names() if name in facts})

    def names(self) -> list[str]:
        """All facts of vertices and their attributes that are told, in order."""
        names = [ROWS, *box_facts(self.ndim)]
        for path, spec in self.columns.items():
            names += attribute_facts(path) if _is_plain(spec) else []
        return names

    def table(self, present: IntArray) -> CellTable:
        """The facts of these cells, those of before where nothing new is known."""
        order = np.lexsort(present.T[::-1])
        coords = present[order]
        facts = {name: np.full(len(coords), np.nan) for name in self.names()}
        known = RowFinder(coords)
        if self.old is not None:
            place = known.find(self.old.coords)
            kept = place >= 0
            for name in facts.keys() & self.old.facts.keys():
                facts[name][place[kept]] = self.old.facts[name][kept]
        counts: dict[str, FloatArray] = {}
        for part_coords, part in zip(self._coords, self._parts, strict=True):
            place = known.find(part_coords)
            for name, values in part.items():
                if name not in facts:
                    counts.setdefault(name, np.full(len(coords), np.nan))
                (facts[name] if name in facts else counts[name])[place] = values
        self._forget_misfits(facts, counts)
        if self.reach is not None and self.reach.linking is not None:
            facts |= self.reach.facts(coords, facts)
        return CellTable(coords, facts)

    def _forget_misfits(self, facts: dict[str, FloatArray], counts: Mapping[str, FloatArray]) -> None:
        """Leave cells unknown that do not have as many values of an attribute as rows."""
        for path in self.columns:
            own = counts.get(f"{path}/{ROWS}")
            if own is not None:
                misfit = (own != facts[ROWS]) & ~np.isnan(own) & ~np.isnan(facts[ROWS])
                for name in attribute_facts(path):
                    facts[name][misfit] = np.nan

    def puts(self, arrays: Mapping[str, CellArray], present: IntArray, stamps: Stamps) -> Iterator[Put]:
        """The stored objects of the index.

        Args:
            arrays: Arrays of the level as they will be, by name.
            present: ``(n, K)`` cells that hold vertices.
            stamps: Tells how the stored objects will be.
        """
        linking = None if self.reach is None else self.reach.linking
        names = described_arrays(arrays)
        if self.reach is not None and linking is not None:
            names += [name for name in ordering_arrays(self.reach.by) if name not in names]
        described = {name: arrays[name] for name in names}
        said = {"presence": digest_of(dump_json(presence_list(present)))}
        yield from index_puts(self.level, self.table(present), described, stamps, said, linking)


def _rows(cells: Blobs, dtype: np.dtype[Any]) -> np.ndarray[Any, Any]:
    return np.frombuffer(cells.joined(), dtype=dtype)


def _of_attribute(path: str, spec: ColumnSpec, cells: Blobs) -> dict[str, FloatArray]:
    if (cells.sizes % spec.dtype.itemsize).any():
        return {}
    counts = cells.sizes // spec.dtype.itemsize
    found = range_of_cells(_rows(cells, spec.dtype), counts, codes=spec.categories is not None)
    return {**dict(zip(attribute_facts(path), found, strict=True)), f"{path}/{ROWS}": counts.astype(np.float64)}


def facts_of(
    level: int,
    ndim: int,
    dtype: np.dtype[Any] | None,
    columns: Mapping[str, ColumnSpec],
    old: CellTable | None = None,
    reach: CellReach | None = None,
) -> CellFacts:
    """A place for the facts of a level.

    Args:
        columns: Types of the vertex attributes, by name.
    """
    paths = {f"{constants.VERTEX_ATTRIBUTES}/{name}": spec for name, spec in columns.items()}
    return CellFacts(level, ndim, dtype, paths, old, None if dtype is None else reach)


def facts_of_level(
    storage: Storage,
    level: LevelState,
    columns: Mapping[str, ColumnSpec] | None = None,
    known: CellTable | None = None,
) -> CellFacts:
    """A place for the facts of a level that exists, with those of its index that hold now.

    To be asked while the store is locked, before anything is written.

    Args:
        columns: Types of the vertex attributes as they will be, by name; None for as they are.
        known: What holds now, in place of what the index says.
    """
    columns = level.vertex_columns if columns is None else columns
    ndim, dtype = len(level.chunk_shape), None if level.is_draco else level.position_dtype
    old, by = still_true(storage, level) if known is None else known, reaching(level)
    reach = None if by is None else CellReach(by, ndim, level.vertices.present, old, links_of(level, by))
    return facts_of(level.number, ndim, dtype, columns, old, reach)


def forget_reach(facts: CellFacts, level: LevelState, coords: IntArray) -> None:
    """Say that it is not known what reaches out of cells whose vertices change, nor out of those that links lead to.

    Args:
        level: As it is before.
        coords: ``(n, K)`` the cells whose vertices change.
    """
    if facts.reach is None or not len(coords):
        return
    facts.reach.forget(coords)
    finder = RowFinder(coords)
    for segment in outgoing(level.links):
        ends = chunks_of_ends(segment, segment.array.present)
        touched = (finder.find(ends.reshape(-1, ends.shape[-1])).reshape(ends.shape[:2]) >= 0).any(axis=1)
        facts.reach.forget(ends[touched].reshape(-1, ends.shape[-1]))


def links_of(level: LevelState, by: Reaching) -> Linking:
    """The links between cells that a level has."""
    return Linking([(one.array, one.array.present) for one in outgoing(level.links)], by == "records")


def still_true(storage: Storage, level: LevelState) -> CellTable | None:
    """What the index of a level says, NaN for facts whose objects are not as they were; None where it has none."""
    index = level.index.get(storage)
    try:
        return None if index is None else _still_true(level, index)
    except (CorruptionError, MetadataError):
        # A damaged index, of which ``validate`` tells, is as good as none.
        return None


def _still_true(level: LevelState, index: CellIndex) -> CellTable:
    arrays = [level.vertices, *(level.cells[f"{constants.VERTEX_ATTRIBUTES}/{name}"] for name in level.vertex_columns)]
    agree = index.agreeing(arrays, np.arange(len(index.coords)))
    facts: dict[str, FloatArray] = {}
    for array, holds in zip(arrays, agree, strict=True):
        path = array.path.partition("/")[2]
        own = [ROWS, *box_facts(len(level.chunk_shape))] if path == constants.VERTICES else attribute_facts(path)
        known = index.facts([name for name in own if name in index.names])
        facts |= _where(known, holds & array.has(index.coords))
    if index.has(reach_facts(len(level.chunk_shape))):
        holds = reach_holds(level, index, np.arange(len(index.coords)))
        facts |= _where(index.facts(reach_facts(len(level.chunk_shape))), holds)
    return CellTable(index.coords, facts)


def _without(facts: Mapping[str, FloatArray], path: str) -> dict[str, FloatArray]:
    """Facts without those of an attribute."""
    return {name: values for name, values in facts.items() if name not in attribute_facts(path)}


def _where(facts: Mapping[str, FloatArray], holds: BoolArray) -> dict[str, FloatArray]:
    return {name: np.where(holds, values, np.nan) for name, values in facts.items()}
