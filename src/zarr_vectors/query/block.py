"""Cells of several arrays of a level, decoded side by side into rows."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

from zarr_vectors import constants
from zarr_vectors.core.chunk_axis import chunk_values
from zarr_vectors.core.documents import ColumnSpec
from zarr_vectors.core.state import LevelState
from zarr_vectors.encoding.blobs import offsets_of
from zarr_vectors.encoding.fragments import FragmentTable, decode_fragments, most_named
from zarr_vectors.encoding.place import ItemPlaces
from zarr_vectors.exceptions import CorruptionError, MetadataError
from zarr_vectors.geometry import Column, take_column
from zarr_vectors.query.draco import unpack_vertices
from zarr_vectors.query.kept import Kept, keep_only
from zarr_vectors.query.objects import ObjectRefs
from zarr_vectors.query.owners import fragment_numbers, owners_from_manifests
from zarr_vectors.query.values import Rows, categorical, find_rows, part_of, with_gaps
from zarr_vectors.rowwise import RowChoice, RowPlaces, RowRuns, row_numbers
from zarr_vectors.spatial.grid import format_keys
from zarr_vectors.storage.cells import CellArray, CellRead, PackedCells, read_packed
from zarr_vectors.storage.storage import Storage
from zarr_vectors.typing import AnyArray, BoolArray, IntArray

__all__ = ["Block"]

_OWNED = constants.FRAGMENT_OWNER
_PACKED = (constants.VERTICES, constants.VERTEX_FRAGMENTS)


class Block:
    """Cells of several arrays of a level, decoded side by side."""

    def __init__(self, level: LevelState, coords: IntArray, reads: dict[str, CellRead]) -> None:
        self.level = level
        self.coords = coords
        self.reads = reads
        self.errors: list[CorruptionError] = []
        self.ndim = len(level.chunk_shape)
        self.dtype = level.position_dtype
        self.table: FragmentTable | None = None
        self.columns: dict[str, Column] = {}
        self.picked: RowChoice | None = None
        self._packed: dict[str, PackedCells] = {}
        self._names: Sequence[str] = ()
        self._kept: Kept | None = None
        self.others: dict[str, CellRead] = {}
        self.cell_faces: dict[tuple[int, ...], IntArray] = {}
        self.tells_places = False

    @classmethod
    def read(
        cls,
        storage: Storage,
        level: LevelState,
        coords: IntArray,
        arrays: dict[str, CellArray],
        also: Sequence[tuple[CellArray, IntArray]] = (),
        *,
        packed: bool = False,
    ) -> Block:
        """Read these cells of all arrays, and cells of other arrays with them, in at most two rounds.

        Args:
            packed: Whether positions and fragments, the first of the arrays, are decoded when ``prepare`` is told which
                are wanted.
        """
        listed = {
            name: coords if array.has_all_of(level.vertices) else coords[array.has(coords)]
            for name, array in arrays.items()
        }
        wanted = [*((array, listed[name]) for name, array in arrays.items()), *also]
        apart = len(_PACKED) if packed and not level.is_draco and listed[constants.VERTEX_FRAGMENTS] is coords else 0
        waiting, reads = read_packed(storage, wanted[:apart], wanted[apart:])
        names = [*arrays][len(waiting) :]
        block = cls(level, coords, dict(zip(names, reads, strict=False)))
        block._packed = dict(zip(_PACKED, waiting, strict=False))
        if level.is_draco:
            vertices, fragments = (block.reads[name] for name in (constants.VERTICES, constants.VERTEX_FRAGMENTS))
            unpacked = unpack_vertices(level, vertices, fragments)
            block.reads |= {constants.VERTICES: unpacked.vertices, constants.VERTEX_FRAGMENTS: unpacked.fragments}
            block.cell_faces = unpacked.faces
            for cell, what in unpacked.lost.items():
                block._fail(constants.VERTICES, cell, what)
        block.others = {read.array.path: read for read in reads[len(names) :]}
        return block

    def prepare(self, names: Sequence[str], refs: ObjectRefs | None = None, *, places: bool = False) -> None:
        """Decode everything; cells that cannot be used are left out from here on, and named in ``errors``.

        Args:
            names: Attributes to decode.
            refs: The only fragments whose rows will be gathered, in this order; None for all.
            places: Whether positions that have not been decoded may wait until ``placed`` is told where they go.
        """
        self._names = names
        if self._packed and refs is not None and self._keep_only(names, refs):
            return
        self._decode(_PACKED[1:] if places and self._holds_rows else _PACKED)
        rows_per_cell, usable = self._vertex_rows()
        table = self._fragments(rows_per_cell, usable)
        columns = self._columns(names, table, rows_per_cell, usable)
        if not usable.all():
            self.coords = self.coords[usable]
            self._decode(_PACKED)
            self.reads = {name: part_of(read, self.coords) for name, read in self.reads.items()}
            self.prepare(names)
            return
        self.rows_per_cell, self.table, self.columns = rows_per_cell, table, columns
        if not self.waits:
            self.positions = self._values(constants.VERTICES, self.dtype, (self.ndim,))

    @property
    def waits(self) -> bool:
        """Whether positions wait to be told where they go."""
        return constants.VERTICES in self._packed

    @property
    def _holds_rows(self) -> bool:
        """Whether positions that have not been decoded are whole rows, by their bytes."""
        return self.waits and not (self._packed[constants.VERTICES].sizes % self._row_bytes).any()

    @property
    def _row_bytes(self) -> int:
        return self.dtype.itemsize * self.ndim

    def decode_all(self) -> None:
        """Let positions wait no longer."""
        self.prepare(self._names)

    def _decode(self, names: Sequence[str]) -> None:
        """Decode those of these arrays that have not been."""
        decoded = {name: self._packed.pop(name).decoded() for name in names if name in self._packed}
        self.reads = decoded | self.reads

    def _keep_only(self, names: Sequence[str], refs: ObjectRefs) -> bool:
        """Decode only the rows of these fragments, and attributes of vertices; whether that is possible."""
        if any(name in self.level.fragment_columns for name in names):
            return False
        vertices, fragments = (self._packed[name] for name in _PACKED)
        kept = keep_only(self.coords, refs, vertices, fragments, (self.dtype, self.ndim))
        if kept is None:
            return False
        told, usable = len(self.errors), np.ones(len(self.coords), dtype=bool)
        self.columns = self._columns(names, None, kept.rows_per_cell, usable)
        if usable.all():
            self._kept, self.rows_per_cell, self.table = kept, kept.rows_per_cell, kept.table
        else:
            del self.errors[told:]
        return bool(usable.all())

    def named_by(self, refs: ObjectRefs) -> tuple[IntArray, IntArray]:
        """Which of the references lead to cells of the block, and the fragments that they name."""
        if self._kept is not None and refs is self._kept.refs:
            return self._kept.there, np.arange(len(self._kept.there))
        assert self.table is not None
        cell = find_rows(self.coords, refs.chunks)
        there = np.flatnonzero(cell >= 0)
        return there, self.fragment_numbers(self.table, cell[there], refs.fragments[there])

    def assemble(self, refs: ObjectRefs | None, foreign: ObjectRefs | None) -> Rows:
        """The rows that fragments name: all, or those of references in their order.

        Args:
            foreign: Manifests of all objects, where the store does not say who owns a fragment.
        """
        order: IntArray | None = None
        if refs is None:
            owners = self.owners(foreign)
            whole = self.table is None or self.table.tiles(self.rows_per_cell)
            picked = None if whole else self.rows_of_fragments()
        else:
            there, order = self.named_by(refs)
            owners, picked = refs.ids[there], self.rows_of_fragments(order)
        rows = self.gathered(picked, order)
        if owners is not None and self.table is not None:
            counts = self.table.counts if order is None else self.table.counts[order]
            rows.object_ids = np.repeat(owners, counts)
        return rows

    def placed(self, places: RowPlaces) -> Rows | None:
        """All rows in this order, for fragments that tile their cells; None where a cell that waited is not sound."""
        if not self.waits:
            return self.gathered(places, None)
        assert self.table is not None
        items = ItemPlaces(self.table.per_cell, places.starts, places.counts, self._row_bytes)
        positions = self._packed[constants.VERTICES].placed(items)
        if positions is None:
            return None
        return self.gathered(places, None, positions.reshape(-1).view(self.dtype).reshape(-1, self.ndim))

    def gathered(self, picked: RowChoice | None, fragments: IntArray | None, moved: AnyArray | None = None) -> Rows:
        """Rows of these places in the buffers, which are those of these fragments one after another; None for all.

        Where the fragments are moved as a whole, they are named in the order in which they lie.

        Args:
            moved: ``(N, D)`` positions, where these are in their places already.
        """
        self.picked = picked
        numbered = self.level.keeps_row_ids
        per_fragment = frozenset(self.columns) & frozenset(self.level.fragment_columns)
        named = {name: column for name, column in self.columns.items() if name not in per_fragment}
        if self._kept is not None and picked is self._kept.runs:
            moved = self._kept.positions
        if moved is not None and picked is not None:
            taken = {name: take_column(named[name], picked) for name in named}
            rows = Rows(moved, taken, None, per_fragment=per_fragment, numbered=numbered)
        else:
            places = self._places() if self.tells_places else None
            rows = Rows(self.positions, named, None, per_fragment=per_fragment, places=places, numbered=numbered)
            rows = rows if picked is None else rows.take(picked)
        if per_fragment:
            assert self.table is not None
            numbers = np.arange(len(self.table.counts)) if fragments is None else fragments
            numbers = np.repeat(numbers, self.table.counts[numbers])
            numbers = picked.take(numbers) if isinstance(picked, RowPlaces) else numbers
            whole = {name: take_column(self.columns[name], numbers) for name in per_fragment}
            rows.columns = {name: (whole if name in whole else rows.columns)[name] for name in self.columns}
        return rows

    def _places(self) -> IntArray:
        """``(N, 2)`` place of each stored row's chunk among those that hold vertices, and its row in there."""
        chunks = np.repeat(find_rows(self.level.vertices.present, self.coords), self.rows_per_cell)
        return np.stack([chunks, np.arange(len(chunks)) - np.repeat(self.bases[:-1], self.rows_per_cell)], axis=1)

    @property
    def bases(self) -> IntArray:
        """``(C + 1,)`` where the rows of each cell begin in the buffers of all cells."""
        return offsets_of(self.rows_per_cell)

    def picks(self) -> IntArray:
        """``(N,)`` place in the buffers of each row that ``assemble`` brought."""
        return np.arange(len(self.positions), dtype=np.int64) if self.picked is None else row_numbers(self.picked)

    def faces_in_cells(self) -> IntArray:
        """``(f, 3)`` places in the buffers of the corners of faces that lie in cells of positions."""
        bases = self.bases[:-1].tolist()
        faces = [
            self.cell_faces[tuple(coord)] + base
            for coord, base in zip(self.coords.tolist(), bases, strict=True)
            if tuple(coord) in self.cell_faces
        ]
        return np.concatenate([np.zeros((0, 3), dtype=np.int64), *faces])

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
        place = find_rows(self.coords, read.coords)
        for row, what in sorted(read.errors.items()):
            self._fail(name, int(place[row]), what)
            usable[place[row]] = False

    def _vertex_rows(self) -> tuple[IntArray, BoolArray]:
        usable = np.ones(len(self.coords), dtype=bool)
        size = self._row_bytes
        if self.waits:
            return self._packed[constants.VERTICES].sizes // size, usable
        self._take_errors(constants.VERTICES, usable)
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
            for cell in np.flatnonzero(find_rows(read.coords, self.coords) < 0).tolist():
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
        named = table.rows_per_cell()
        for what, cells in (
            ("a fragment names rows beyond the {rows} of its chunk", table.reaching_beyond(rows_per_cell)),
            ("fragments name {named} times one of {rows} rows", np.flatnonzero(named > most_named(rows_per_cell))),
        ):
            for cell in cells[usable[cells]].tolist():
                got = what.format(rows=rows_per_cell[cell], named=named[cell])
                self._fail(constants.VERTEX_FRAGMENTS, cell, got)
                usable[cell] = False

    def _values(self, name: str, dtype: np.dtype[Any], row_shape: tuple[int, ...]) -> AnyArray:
        joined = self.reads[name].cells.joined()
        return np.frombuffer(joined, dtype=dtype).reshape(-1, *row_shape)

    def _columns(
        self, names: Sequence[str], table: FragmentTable | None, rows_per_cell: IntArray, usable: BoolArray
    ) -> dict[str, Column]:
        """Attributes with a row for each vertex, or for each fragment."""
        columns: dict[str, Column] = {}
        for name in names:
            if name not in self.level.row_columns:
                columns[name] = self._chunk_attribute(name, rows_per_cell)
            elif name in self.level.vertex_columns:
                columns[name] = self._column(name, rows_per_cell, usable)
            elif table is not None:
                columns[name] = self._column(name, table.per_cell, usable)
        return columns

    def _column(self, name: str, rows_per_cell: IntArray, usable: BoolArray) -> Column:
        path, spec = self.level.column_path(name), self.level.row_columns[name]
        self._take_errors(path, usable)
        read = self.reads[path]
        listed = find_rows(read.coords, self.coords)
        has = listed >= 0
        channels = self._channels(path, read, rows_per_cell, listed, spec, usable)
        if not usable.all():
            return np.zeros(0)
        row_shape = spec.row_shape if spec.channels == channels else (channels,)
        values = self._values(path, spec.dtype, row_shape)
        if not has.all():
            values = with_gaps(values, spec, rows_per_cell, has)
        if spec.categories is None:
            return values
        return categorical(values, spec, self.level.store, f"{self.level.number}/{path}")

    def _chunk_attribute(self, name: str, rows_per_cell: IntArray) -> Column:
        """The attribute that the store is chunked by: all rows of a chunk have the value of its leading coordinate."""
        level = self.level
        lead = np.repeat(self.coords[:, 0], rows_per_cell)
        spec = level.chunk_columns[name]
        return chunk_values(level.metadata, spec, lead, store=level.store, array=level.vertices.path)

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
        filled = (listed >= 0) & usable
        for cell in np.flatnonzero(filled & (rows_per_cell == 0)).tolist():
            if read.cells.sizes[listed[cell]]:
                self._fail(path, cell, f"{read.cells.sizes[listed[cell]]} bytes for no rows")
                usable[cell] = False
        has = np.flatnonzero(filled & (rows_per_cell > 0))
        if not len(has):
            return spec.channels
        sizes, rows = read.cells.sizes[listed[has]], rows_per_cell[has]
        width = sizes // (rows * spec.dtype.itemsize)
        exact = width * rows * spec.dtype.itemsize == sizes
        common = spec.channels if (exact & (width == spec.channels)).any() else int(np.bincount(width).argmax())
        for cell in has[~(exact & (width == common))].tolist():
            row = f"{max(common, 1)} {spec.dtype}"
            self._fail(path, cell, f"{read.cells.sizes[listed[cell]]} bytes for {rows_per_cell[cell]} rows of {row}")
            usable[cell] = False
        return max(common, 1)

    def owners(self, foreign: ObjectRefs | None) -> IntArray | None:
        """Owner of each fragment, in reading order; None where nothing tells."""
        if self.table is None or (foreign is None and _OWNED not in self.reads):
            return None
        if foreign is not None:
            return owners_from_manifests(self.level, self.coords, self.table, foreign)
        return self.fragment_values(_OWNED)

    def fragment_values(self, name: str) -> IntArray:
        """An integer for each fragment; -1 for those of a cell that cannot be used, which takes no rows away."""
        table, read = self.table, self.reads[name]
        assert table is not None
        dtype = self.level.dtype_of(read.array, "int64")
        if dtype.kind not in "iu":
            raise MetadataError(
                f"{name} must be integers", store=self.level.store, array=read.array.path, got=str(dtype)
            )
        place = find_rows(read.coords, self.coords)
        sizes = np.where(place >= 0, read.cells.sizes[place], 0) if len(read.coords) else np.zeros_like(place)
        good = sizes == table.per_cell * dtype.itemsize
        for row, what in read.errors.items():
            cell = int(np.flatnonzero(place == row)[0])
            good[cell] = False
            self._fail(name, cell, what)
        for cell in np.flatnonzero(~good & ~np.isin(place, list(read.errors))).tolist():
            self._fail(name, cell, f"{sizes[cell]} bytes for the owners of {table.per_cell[cell]} fragments")
        owners = np.full(len(table.counts), constants.OWNER_NONE, dtype=np.int64)
        stored = read.cells.take(place[good & (place >= 0)]).joined()
        owners[np.repeat(good, table.per_cell)] = np.frombuffer(stored, dtype=dtype)
        return owners

    def fragment_numbers(self, table: FragmentTable, cell: IntArray, fragment: IntArray) -> IntArray:
        """Numbers in the table of fragments given by cell and number inside it."""
        return fragment_numbers(self.level, self.coords, table, cell, fragment)

    def rows_of_fragments(self, order: IntArray | None = None) -> RowRuns | IntArray:
        """Places in the buffers of the rows of these fragments one after another; of all fragments by default."""
        if self._kept is not None:
            return self._kept.runs
        assert self.table is not None
        runs = self.table.runs(order, bases=self.bases[:-1])
        return self.table.rows(order, bases=self.bases[:-1]) if runs is None else runs
