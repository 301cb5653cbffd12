"""Reading rows: from a selection to positions, attributes and owners.

The staircase is: which cells (metadata only), read them (at most two rounds), decode, gather the rows that
fragments name, keep those that the selection wants.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from zarr_vectors import constants
from zarr_vectors.core.documents import ColumnSpec
from zarr_vectors.core.state import LevelState
from zarr_vectors.encoding.blobs import Blobs, offsets_of
from zarr_vectors.encoding.fragments import FragmentTable, decode_fragments
from zarr_vectors.exceptions import CorruptionError, ObjectNotFoundError
from zarr_vectors.geometry import Categorical, Column
from zarr_vectors.query.objects import ObjectRefs, all_refs, decode_groups, refs_of
from zarr_vectors.query.selection import Selection, choose_names
from zarr_vectors.spatial.box import ClosedBox
from zarr_vectors.spatial.grid import Grid, format_keys
from zarr_vectors.storage.cells import CellArray, CellRead, read_cells
from zarr_vectors.storage.storage import Storage
from zarr_vectors.storage.tables import read_tables
from zarr_vectors.typing import AnyArray, BoolArray, FloatArray, IntArray

__all__ = ["EVERY_FRAGMENT_OWNED", "Rows", "candidate_cells", "iter_rows", "read_rows"]

EVERY_FRAGMENT_OWNED = "every_fragment_owned"
"""Attribute of ``fragment_attributes/object_id`` (additive): no value is a sentinel, so that ids may be negative."""

_OWNED = constants.FRAGMENT_OWNER


@dataclass
class Rows:
    """Rows of a level.

    Args:
        positions: ``(N, D)``.
        columns: Vertex attributes by name, ``N`` rows each.
        object_ids: ``(N,)`` owner of each row, -1 for none; None where the level has no objects.
        errors: What could not be read.
    """

    positions: AnyArray
    columns: dict[str, Column] = field(default_factory=dict)
    object_ids: IntArray | None = None
    errors: list[str] = field(default_factory=list)

    def keep(self, mask: BoolArray) -> Rows:
        """The rows that a mask leaves."""
        return Rows(
            self.positions[mask],
            {name: column[mask] for name, column in self.columns.items()},
            None if self.object_ids is None else self.object_ids[mask],
            self.errors,
        )


def candidate_cells(level: LevelState, box: ClosedBox | None) -> IntArray:
    """``(n, K)`` present cells of the vertices array whose rows may lie in the box, in numeric order."""
    vertices = level.vertices
    if box is None:
        return vertices.present
    wide, shape, slack = _in_chunk_space(level, box)
    part = wide.clip_grid(vertices.grid, shape, slack)
    if part is None or vertices.keys is None:
        return vertices.present[:0]
    if part.cells > len(vertices.keys):
        return vertices.present[part.contains(vertices.present)]
    coords = part.all_coords()
    return coords[vertices.has(coords)]


def _in_chunk_space(level: LevelState, box: ClosedBox) -> tuple[ClosedBox, FloatArray, FloatArray]:
    """The box with open sides on leading axes, the chunk shape to match, and the rounding of stored positions."""
    lead = level.vertices.ndim - len(box.lo)
    low = np.concatenate([np.full(lead, -np.inf), box.lo])
    high = np.concatenate([np.full(lead, np.inf), box.hi])
    shape = np.concatenate([np.ones(lead), np.asarray(level.chunk_shape, dtype=np.float64)])
    grid = level.vertices.grid
    reach = np.maximum(np.abs(grid.origin), np.abs(np.asarray(grid.origin) + grid.shape)) * shape
    # A mean rounded to float32 may leave its chunk by one unit in the last place.
    return ClosedBox(low, high), shape, reach * float(np.finfo(np.float32).eps)


def read_rows(storage: Storage, level: LevelState, selection: Selection, *, strict: bool = True) -> Rows:
    """Read the rows of a selection: chunk order, or the order of the ids where objects are asked for.

    Raises:
        CorruptionError: With ``strict``, a cell is gone or corrupt.
        ObjectNotFoundError: An id or group does not exist.
        AttributeNotFoundError: An attribute does not exist.
    """
    names = choose_names(selection.attributes, list(level.vertex_columns), store=level.store)
    refs = _wanted_refs(storage, level, selection)
    coords = candidate_cells(level, selection.box) if refs is None else _cells_of(level, refs, selection.box)
    return _read(storage, level, coords, names, refs, selection.box, strict)


def iter_rows(
    storage: Storage, level: LevelState, selection: Selection, *, batch_rows: int, strict: bool = True
) -> Iterator[Rows]:
    """The rows of a selection in batches of about ``batch_rows``, never more than a chunk above it; at least one."""
    names = choose_names(selection.attributes, list(level.vertex_columns), store=level.store)
    refs = _wanted_refs(storage, level, selection)
    if refs is not None:
        yield from _split(_read(storage, level, _cells_of(level, refs, selection.box), names, refs, selection.box, strict), batch_rows)
        return
    coords = candidate_cells(level, selection.box)
    per_cell = max(1, level.metadata.vertex_count // max(1, len(level.vertices.present)))
    step = max(1, batch_rows // per_cell)
    for start in range(0, max(len(coords), 1), step):
        part = _read(storage, level, coords[start : start + step], names, None, selection.box, strict)
        yield from _split(part, batch_rows)


def _split(rows: Rows, batch_rows: int) -> Iterator[Rows]:
    count = len(rows.positions)
    if count <= batch_rows:
        yield rows
        return
    for start in range(0, count, batch_rows):
        part = slice(start, start + batch_rows)
        yield Rows(
            rows.positions[part],
            {name: column[part] for name, column in rows.columns.items()},
            None if rows.object_ids is None else rows.object_ids[part],
            rows.errors,
        )


def _wanted_refs(storage: Storage, level: LevelState, selection: Selection) -> ObjectRefs | None:
    if not selection.by_object:
        return None
    if not level.has_objects:
        raise ObjectNotFoundError("the level has no objects", store=level.store)
    ids = [] if selection.object_ids is None else [selection.object_ids]
    if selection.group_ids is not None:
        if constants.GROUPS not in level.tables:
            raise ObjectNotFoundError("the level has no groups", store=level.store)
        (blobs,) = read_tables(storage, [(level.tables[constants.GROUPS], None)])
        ids.append(decode_groups(level, blobs).of(selection.group_ids, level.store))
    wanted = np.concatenate(ids)
    first = np.sort(np.unique(wanted, return_index=True)[1])
    return refs_of(storage, level, wanted[first])


def _cells_of(level: LevelState, refs: ObjectRefs, box: ClosedBox | None) -> IntArray:
    """The cells that references name, in numeric order, less those that a box rules out."""
    coords = np.unique(refs.chunks, axis=0)
    gone = np.flatnonzero(~level.vertices.has(coords))
    if len(gone):
        raise CorruptionError(
            "a manifest names a chunk that has no vertices",
            store=level.store,
            array=level.vertices.path,
            cell=format_keys(coords[gone[:1]])[0],
        )
    if box is None:
        return coords
    wide, shape, slack = _in_chunk_space(level, box)
    part = wide.clip_grid(level.vertices.grid, shape, slack)
    return coords[:0] if part is None else coords[part.contains(coords)]


def _read(
    storage: Storage,
    level: LevelState,
    coords: IntArray,
    names: Sequence[str],
    refs: ObjectRefs | None,
    box: ClosedBox | None,
    strict: bool,
) -> Rows:
    owners_stored = level.has_objects and _OWNED in level.cells
    foreign = None
    if level.has_objects and refs is None and not owners_stored:
        foreign = all_refs(storage, level)[1]
    arrays = {constants.VERTICES: level.vertices}
    if level.has_objects or not level.metadata.fragments_tile:
        arrays[constants.VERTEX_FRAGMENTS] = level.cell_array(constants.VERTEX_FRAGMENTS)
    if owners_stored and refs is None:
        arrays[_OWNED] = level.cells[_OWNED]
    for name in names:
        path = f"{constants.VERTEX_ATTRIBUTES}/{name}"
        arrays[path] = level.cells[path]
    block = _Block.read(storage, level, coords, arrays)
    rows = block.assemble(names, refs, foreign)
    if strict and block.errors:
        raise block.errors[0]
    rows.errors = [str(error) for error in block.errors]
    if box is None or not len(rows.positions):
        return rows
    return _inside(rows, box)


def _inside(rows: Rows, box: ClosedBox) -> Rows:
    mask = box.mask(rows.positions)
    return rows if mask.all() else rows.keep(mask)


class _Block:
    """Cells of several arrays of a level, decoded side by side."""

    def __init__(self, level: LevelState, coords: IntArray, reads: dict[str, CellRead]) -> None:
        self.level = level
        self.coords = coords
        self.reads = reads
        self.errors: list[CorruptionError] = []
        self.ndim = len(level.chunk_shape)
        self.dtype = level.position_dtype

    @classmethod
    def read(cls, storage: Storage, level: LevelState, coords: IntArray, arrays: dict[str, CellArray]) -> _Block:
        listed = {name: coords[array.has(coords)] for name, array in arrays.items()}
        reads = read_cells(storage, [(array, listed[name]) for name, array in arrays.items()])
        return cls(level, coords, dict(zip(arrays, reads, strict=True)))

    def assemble(self, names: Sequence[str], refs: ObjectRefs | None, foreign: ObjectRefs | None) -> Rows:
        """Gather the rows; cells that cannot be used are left out and named in ``errors``."""
        rows_per_cell, usable = self._vertex_rows()
        table = self._fragments(rows_per_cell, usable)
        columns = {name: self._column(name, rows_per_cell, usable) for name in names}
        if not usable.all():
            return self._assemble_usable(usable, names, refs, foreign)
        positions = self._values(constants.VERTICES, self.dtype, (self.ndim,))
        owners = self._owners(table, foreign, refs)
        picked, order = self._picked_rows(table, rows_per_cell, refs)
        if picked is not None:
            positions = positions[picked]
            columns = {name: column[picked] for name, column in columns.items()}
        if self.level.metadata.chunk_attribute_name in names:
            pass
        if owners is not None and table is not None:
            counts = table.counts if order is None else table.counts[order]
            owners = np.repeat(owners, counts)
        return Rows(positions, columns, owners)

    def _assemble_usable(
        self, usable: BoolArray, names: Sequence[str], refs: ObjectRefs | None, foreign: ObjectRefs | None
    ) -> Rows:
        """The same without the cells that cannot be used."""
        keep = self.coords[usable]
        reads = {name: _part_of(read, keep) for name, read in self.reads.items()}
        if refs is not None:
            known = _find_rows(keep, refs.chunks) >= 0
            refs = ObjectRefs(refs.ids[known], refs.chunks[known], refs.fragments[known])
        rest = _Block(self.level, keep, reads)
        rows = rest.assemble(names, refs, foreign)
        self.errors.extend(error for error in rest.errors if str(error) not in set(map(str, self.errors)))
        return rows

    def _fail(self, name: str, cell: int, got: str) -> None:
        array = self.reads[name].array
        self.errors.append(
            CorruptionError(
                "a cell cannot be read",
                store=self.level.store,
                array=array.path,
                cell=format_keys(self.coords[cell : cell + 1])[0],
                got=got,
                hint="restore it from a copy, or read with strict=False to get what is left",
            )
        )

    def _take_errors(self, name: str, usable: BoolArray) -> None:
        read = self.reads[name]
        place = _find_rows(self.coords, read.coords)
        for row, what in sorted(read.errors.items()):
            self._fail(name, int(place[row]), what)
            usable[place[row]] = False

    def _vertex_rows(self) -> tuple[IntArray, BoolArray]:
        usable = np.ones(len(self.coords), dtype=bool)
        self._take_errors(constants.VERTICES, usable)
        size = self.ndim * self.dtype.itemsize
        sizes = self.reads[constants.VERTICES].cells.sizes
        for cell in np.flatnonzero(sizes % size).tolist():
            self._fail(constants.VERTICES, cell, f"{sizes[cell]} bytes are not rows of {size} bytes")
            usable[cell] = False
        return sizes // size, usable

    def _fragments(self, rows_per_cell: IntArray, usable: BoolArray) -> FragmentTable | None:
        name = constants.VERTEX_FRAGMENTS
        if name not in self.reads:
            return None
        self._take_errors(name, usable)
        read = self.reads[name]
        if len(read.coords) != len(self.coords):
            for cell in np.flatnonzero(_find_rows(read.coords, self.coords) < 0).tolist():
                self._fail(name, cell, "a chunk with vertices has no fragment index")
                usable[cell] = False
            return None
        table, bad = decode_fragments(read.cells)
        for cell, what in sorted(bad.items()):
            if usable[cell]:
                self._fail(name, cell, what)
                usable[cell] = False
        self._check_fragment_rows(table, rows_per_cell, usable)
        return table

    def _check_fragment_rows(self, table: FragmentTable, rows_per_cell: IntArray, usable: BoolArray) -> None:
        limit = np.repeat(rows_per_cell, table.per_cell)
        outside = (table.counts < 0) | ((table.starts >= 0) & (table.starts + table.counts > limit))
        if len(table.explicit):
            listed = table.starts < 0
            limits = np.repeat(limit[listed], table.counts[listed])
            owner = np.repeat(np.flatnonzero(listed), table.counts[listed])
            outside[owner[(table.explicit < 0) | (table.explicit >= limits)]] = True
        for cell in np.unique(table.cell_of[outside]).tolist():
            if usable[cell]:
                self._fail(constants.VERTEX_FRAGMENTS, cell, f"a fragment names rows beyond the {rows_per_cell[cell]} of its chunk")
                usable[cell] = False

    def _values(self, name: str, dtype: np.dtype[Any], row_shape: tuple[int, ...]) -> AnyArray:
        joined = self.reads[name].cells.joined()
        return np.frombuffer(joined, dtype=dtype).reshape(-1, *row_shape)

    def _column(self, name: str, rows_per_cell: IntArray, usable: BoolArray) -> Column:
        path = f"{constants.VERTEX_ATTRIBUTES}/{name}"
        spec = self.level.vertex_columns[name]
        self._take_errors(path, usable)
        read = self.reads[path]
        listed = _find_rows(read.coords, self.coords)
        has = listed >= 0
        channels = self._channels(path, read, rows_per_cell, listed, spec, usable)
        if not usable.all():
            return np.zeros(0)
        row_shape = spec.row_shape if spec.channels == channels else (channels,)
        values = self._values(path, spec.dtype, row_shape)
        if not has.all():
            values = _with_gaps(values, spec, rows_per_cell, has)
        if spec.categories is None:
            return values
        return self._categorical(path, values, spec)

    def _channels(
        self,
        path: str,
        read: CellRead,
        rows_per_cell: IntArray,
        listed: IntArray,
        spec: ColumnSpec,
        usable: BoolArray,
    ) -> int:
        """Elements per row. The cell sizes tell: other writers state a width that is not true."""
        has = np.flatnonzero((listed >= 0) & usable & (rows_per_cell > 0))
        if not len(has):
            return spec.channels
        sizes, rows = read.cells.sizes[listed[has]], rows_per_cell[has]
        width = sizes // (rows * spec.dtype.itemsize)
        exact = width * rows * spec.dtype.itemsize == sizes
        common = spec.channels if (exact & (width == spec.channels)).any() else int(np.bincount(width).argmax())
        for cell in has[~(exact & (width == common))].tolist():
            self._fail(
                path,
                cell,
                f"{read.cells.sizes[listed[cell]]} bytes for {rows_per_cell[cell]} rows of {max(common, 1)} {spec.dtype}",
            )
            usable[cell] = False
        return max(common, 1)

    def _categorical(self, path: str, values: AnyArray, spec: ColumnSpec) -> Column:
        codes = np.ma.filled(values, -1) if isinstance(values, np.ma.MaskedArray) else values
        try:
            return Categorical(codes, spec.categories or (), spec.ordered)
        except ValueError as error:
            raise CorruptionError(
                "category codes do not fit the categories", store=self.level.store, array=f"{self.level.number}/{path}", got=str(error)
            ) from error

    def _owners(
        self, table: FragmentTable | None, foreign: ObjectRefs | None, refs: ObjectRefs | None
    ) -> IntArray | None:
        """Owner of each fragment that is read, in reading order."""
        if refs is not None:
            inside = _find_rows(self.coords, refs.chunks) >= 0
            return refs.ids[inside]
        if table is None or not self.level.has_objects:
            return None
        if foreign is not None:
            return self._owners_from_manifests(table, foreign)
        read = self.reads[_OWNED]
        owners = np.frombuffer(read.cells.joined(), dtype=self.level.cells[_OWNED].document.attributes.get("dtype", "int64"))
        counts = read.cells.sizes // owners.dtype.itemsize
        for row in read.errors:
            self._fail(_OWNED, int(_find_rows(self.coords, read.coords)[row]), read.errors[row])
        if self.errors or len(counts) != len(table.per_cell) or not np.array_equal(counts, table.per_cell):
            if not self.errors:
                self._fail(_OWNED, 0, "the owners do not match the fragments")
            return np.full(len(table.counts), constants.OWNER_NONE, dtype=np.int64)
        return owners.astype(np.int64)

    def _owners_from_manifests(self, table: FragmentTable, refs: ObjectRefs) -> IntArray:
        owners = np.full(len(table.counts), constants.OWNER_NONE, dtype=np.int64)
        cell = _find_rows(self.coords, refs.chunks)
        here = cell >= 0
        fragment = self._fragment_numbers(table, cell[here], refs.fragments[here])
        ids = refs.ids[here]
        owners[fragment] = ids
        times = np.bincount(fragment, minlength=len(owners))
        shared = np.flatnonzero(times > 1)
        if len(shared):
            different = np.zeros(len(owners), dtype=bool)
            different[fragment[owners[fragment] != ids]] = True
            owners[different] = constants.OWNER_SEVERAL
        return owners

    def _fragment_numbers(self, table: FragmentTable, cell: IntArray, fragment: IntArray) -> IntArray:
        """Numbers in the table of fragments given by cell and number inside it."""
        beyond = np.flatnonzero((fragment < 0) | (fragment >= table.per_cell[cell]))
        if len(beyond):
            at = int(beyond[0])
            raise CorruptionError(
                "a manifest names a fragment that its chunk does not have",
                store=self.level.store,
                array=f"{self.level.number}/{constants.OBJECT_MANIFESTS}",
                cell=format_keys(self.coords[cell[at] : cell[at] + 1])[0],
                got=f"fragment {fragment[at]} of {table.per_cell[cell[at]]}",
            )
        return offsets_of(table.per_cell)[cell] + fragment

    def _picked_rows(
        self, table: FragmentTable | None, rows_per_cell: IntArray, refs: ObjectRefs | None
    ) -> tuple[IntArray | None, IntArray | None]:
        """Row numbers to gather, None for all as they lie; and the fragments they come from, None for all."""
        if table is None:
            return None, None
        if refs is None:
            if table.tiles(rows_per_cell):
                return None, None
            order: IntArray | None = None
            cell_of = table.cell_of
        else:
            cell = _find_rows(self.coords, refs.chunks)
            here = cell >= 0
            order = self._fragment_numbers(table, cell[here], refs.fragments[here])
            cell_of = table.cell_of[order]
        counts = table.counts if order is None else table.counts[order]
        base = offsets_of(rows_per_cell)[:-1][cell_of]
        return table.rows(order) + np.repeat(base, counts), order


def _find_rows(haystack: IntArray, needles: IntArray) -> IntArray:
    """``(n,)`` place of each coordinate in a sorted list of coordinates; -1 where it is not there."""
    if not len(haystack) or not len(needles):
        return np.full(len(needles), -1, dtype=np.int64)
    if len(haystack) == len(needles) and np.array_equal(haystack, needles):
        return np.arange(len(needles), dtype=np.int64)
    low = np.minimum(haystack.min(axis=0), needles.min(axis=0))
    span = tuple((np.maximum(haystack.max(axis=0), needles.max(axis=0)) - low + 1).tolist())
    if float(np.prod([float(n) for n in span])) < 2**62:
        keys = np.ravel_multi_index(tuple((haystack - low).T), span)
        wanted = np.ravel_multi_index(tuple((needles - low).T), span)
    else:
        both = np.unique(np.concatenate([haystack, needles]), axis=0, return_inverse=True)[1].ravel()
        keys, wanted = both[: len(haystack)], both[len(haystack) :]
    order = np.argsort(keys, kind="stable")
    place = np.minimum(np.searchsorted(keys[order], wanted), len(keys) - 1)
    return np.where(keys[order][place] == wanted, order[place], -1)


def _part_of(read: CellRead, coords: IntArray) -> CellRead:
    place = np.flatnonzero(_find_rows(coords, read.coords) >= 0)
    errors = {int(np.searchsorted(place, row)): what for row, what in read.errors.items() if row in set(place.tolist())}
    return CellRead(read.array, read.coords[place], read.cells.take(place), errors)


def _with_gaps(values: AnyArray, spec: ColumnSpec, rows_per_cell: IntArray, has: BoolArray) -> AnyArray:
    """Rows of cells that the attribute has no value for: NaN, NaT, no category, or masked."""
    present = np.repeat(has, rows_per_cell)
    shape = (len(present), *values.shape[1:])
    if spec.categories is not None:
        filled = np.full(shape, -1, dtype=np.int64)
        filled[present] = values
        return filled
    if values.dtype.kind in "fcmM":
        missing = np.array("NaT" if values.dtype.kind in "mM" else np.nan, dtype=values.dtype)
        filled = np.full(shape, missing, dtype=values.dtype)
        filled[present] = values
        return filled
    masked = np.ma.zeros(shape, dtype=values.dtype)
    masked[present] = values
    masked[~present] = np.ma.masked
    return masked
