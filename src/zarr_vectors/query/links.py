"""Reading links: which cells of which segments, and from their records to vertices of a block."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from math import factorial
from typing import Protocol

import numpy as np

from zarr_vectors.core.documents import ColumnSpec
from zarr_vectors.core.links import LinkFamily, Segment
from zarr_vectors.encoding.links import decode_grouped, decode_plain, permutations_at
from zarr_vectors.exceptions import CorruptionError
from zarr_vectors.geometry import Categorical, Column, take_column
from zarr_vectors.query.values import RowFinder, distinct_rows, find_rows, with_gaps
from zarr_vectors.rowwise import take_rows
from zarr_vectors.spatial.grid import Grid, format_keys
from zarr_vectors.storage.cells import CellArray, CellRead
from zarr_vectors.typing import AnyArray, BoolArray, IntArray

__all__ = ["LinkPart", "Links", "RowFrame", "cells_passed_through", "decode_links", "links_among"]


class RowFrame(Protocol):
    """Chunks and how many rows each has: what links are decoded against. A ``Block`` is one."""

    coords: IntArray
    """``(C, K)`` chunks."""
    others: dict[str, CellRead]
    """Cells of links and their attributes, by the path of their array."""
    errors: list[CorruptionError]
    """What cannot be read is added here."""

    @property
    def bases(self) -> IntArray:
        """``(C + 1,)`` where the rows of each chunk begin among those of all."""
        ...


@dataclass(frozen=True)
class LinkPart:
    """Some cells of a segment.

    Args:
        segment: Which segment.
        coords: ``(n, K)`` which of its cells.
    """

    segment: Segment
    coords: IntArray

    def arrays(self, names: Sequence[str]) -> list[tuple[CellArray, IntArray]]:
        """What to read: the records, and the values of attributes that have any for these cells."""
        wanted = [(self.segment.array, self.coords)]
        for name in names:
            array = self.segment.attributes.get(name)
            if array is not None:
                wanted.append((array, self.coords[array.has(self.coords)]))
        return wanted


@dataclass
class Links:
    """Links between vertices that have been read.

    Args:
        ends: ``(E, L)`` vertex rows, ends in the order in which they were given to the store.
        columns: Attributes by name, ``E`` rows each.
        lost: Cells of the block of which some links could not be read.
    """

    ends: IntArray
    columns: dict[str, Column]
    lost: IntArray = field(default_factory=lambda: np.zeros(0, dtype=np.int64))

    def take(self, which: AnyArray) -> Links:
        """These links, by mask or index."""
        return Links(
            take_rows(self.ends, which),
            {name: take_column(column, which) for name, column in self.columns.items()},
            self.lost,
        )

    def where(self, mask: BoolArray) -> Links:
        """The links of a mask; these themselves where it leaves none out."""
        return self if mask.all() else self.take(mask)


def links_among(family: LinkFamily, coords: IntArray, *, partly: bool = False) -> list[LinkPart]:
    """The cells of every segment whose links have all their ends in these chunks.

    Args:
        coords: ``(n, K)`` chunks, sorted.
        partly: Whether one end in these chunks is enough.
    """
    parts = []
    finder = RowFinder(coords)
    for segment in family.segments.values():
        present = segment.array.present
        there = [finder.find(present + offset) >= 0 for offset in _ends(segment)]
        inside = np.any(there, axis=0) if partly else np.all(there, axis=0)
        if inside.any():
            parts.append(LinkPart(segment, present[inside]))
    return parts


def cells_passed_through(family: LinkFamily, part: Grid | None) -> IntArray:
    """``(n, K)`` chunks that hold the ends of links which may pass through a block of chunks.

    A link lies in the convex hull of its ends' chunks; where that misses the block, so does the link.
    """
    found: list[IntArray] = []
    if part is not None:
        low = np.asarray(part.origin)
        for segment in family.segments.values():
            ends = _ends(segment)
            far = ends.max(axis=0)
            shape = part.shape + far - ends.min(axis=0)
            source = segment.array.present_in(Grid(tuple((low - far).tolist()), tuple(shape.tolist())))
            found += [source + offset for offset in ends]
    ndim = len(part.shape) if part is not None else 0
    return distinct_rows(np.concatenate([*found, np.zeros((0, ndim), dtype=np.int64)]))


def _ends(segment: Segment) -> IntArray:
    """``(L, K)`` chunk offset of every end, the first included."""
    zero = np.zeros((1, segment.array.ndim), dtype=np.int64)
    return np.concatenate([zero, segment.offsets])


def decode_links(
    family: LinkFamily, block: RowFrame, parts: Sequence[LinkPart], names: Sequence[str], *, partly: bool = False
) -> Links:
    """Records as vertices of a block, or of anything that tells where rows lie: rows of the buffers of all its cells.

    Records of cells that cannot be read, or that name cells which cannot, are left out and told in the block's errors.

    Args:
        parts: Cells of segments that were read with the block.
        names: Attributes to bring along.
        partly: Whether links of which one end is there are kept; the ends that are not are -1.
    """
    finder = RowFinder(block.coords)
    decoders = [_Decoder(family, block, part, finder) for part in parts]
    decoded = [decoder.decode(names, partly=partly) for decoder in decoders]
    none = np.zeros((0, family.width), dtype=np.int64)
    ends = np.concatenate([none, *(links.ends for links in decoded)])
    columns: dict[str, Column] = {}
    for name in names:
        spec = family.columns[name]
        try:
            columns[name] = _joined([links.columns[name] for links in decoded], spec)
        except ValueError as error:
            raise CorruptionError(
                f"the values of link attribute {name!r} differ in width",
                store=parts[0].segment.array.store,
                got=str(error),
            ) from error
    lost = [cell for decoder in decoders for cell in decoder.lost]
    return Links(ends, columns, np.unique(np.array(lost, dtype=np.int64)))


class _Decoder:
    """One part of a segment."""

    def __init__(self, family: LinkFamily, block: RowFrame, part: LinkPart, finder: RowFinder) -> None:
        self.lost: list[int] = []
        self.finder = finder
        self.family = family
        self.block = block
        self.segment = part.segment
        self.reads = block.others
        self.read = block.others[part.segment.array.path]

    def decode(self, names: Sequence[str], *, partly: bool) -> Links:
        segment, width = self.segment, self.family.width
        columns = width + segment.has_perm
        decode = decode_plain if segment.is_plain else decode_grouped
        records, per_cell, errors = decode(self.read.cells, segment.dtype, columns)
        for cell, what in {**errors, **self.read.errors}.items():
            self._fail(self.read, cell, what)
            self.lost += self.finder.find(self.read.coords[cell] + _ends(segment)).tolist()
        ends = self._ends(records.astype(np.int64), per_cell)
        keep: BoolArray = np.asarray((ends >= 0).any(axis=1) if partly else (ends >= 0).all(axis=1))
        if self.family.duplicate and not segment.is_plain:
            keep &= np.repeat(self._is_first_copy(), per_cell)
        values = {name: self._column(name, per_cell) for name in names}
        links = Links(ends, values)
        return links if keep.all() else links.take(keep)

    def _ends(self, records: IntArray, per_cell: IntArray) -> IntArray:
        """``(n, L)`` buffer rows of the ends, as they were given; -1 for those that are not there."""
        rows = records[:, int(self.segment.has_perm) :]
        bases, counts = self.block.bases, np.diff(self.block.bases)
        ends = np.empty_like(rows)
        for place, offset in enumerate(_ends(self.segment)):
            cell = self.finder.find(self.read.coords + offset)
            known = np.repeat(cell >= 0, per_cell)
            at = np.repeat(np.maximum(cell, 0), per_cell)
            row = rows[:, place]
            beyond = known & ((row < 0) | (row >= counts[at])) if len(counts) else known
            if beyond.any():
                first = int(np.flatnonzero(beyond)[0])
                self._fail_record(first, per_cell, f"a link names row {row[first]}, which its chunk does not have")
            ends[:, place] = np.where(known & ~beyond, bases[at] + row, -1) if len(counts) else -1
        if not self.segment.has_perm:
            return ends
        ranks = records[:, 0]
        unknown = (ranks < 0) | (ranks >= factorial(self.family.width))
        if unknown.any():
            first = int(np.flatnonzero(unknown)[0])
            self._fail_record(first, per_cell, f"a link has the ends in order {ranks[first]}, which there is none of")
            ends[unknown] = -1
            ranks = np.where(unknown, 0, ranks)
        order = permutations_at(ranks, self.family.width)
        given = np.empty_like(ends)
        np.put_along_axis(given, order, ends, axis=1)
        return given

    def _is_first_copy(self) -> BoolArray:
        """Of the copies of a link, the one stored with the least of its chunks counts."""
        chunks = _ends(self.segment)
        least = min(chunks.tolist())
        return np.full(len(self.read.coords), least == chunks[0].tolist())

    def _column(self, name: str, per_cell: IntArray) -> Column:
        spec = self.family.columns[name]
        array = self.segment.attributes.get(name)
        read = None if array is None else self.reads.get(array.path)
        if read is None:
            has = np.zeros(len(per_cell), dtype=bool)
            return _as_column(with_gaps(np.zeros((0, *spec.row_shape), spec.dtype), spec, per_cell, has), spec)
        place = find_rows(read.coords, self.read.coords)
        has = place >= 0
        wanted = per_cell[has]
        sizes = read.cells.sizes[place[has]]
        # A cell that cannot be read counts as empty and has no say.
        filled = (wanted > 0) & (sizes > 0)
        common = spec.channels
        if filled.any():
            common = int(np.bincount(sizes[filled] // (wanted[filled] * spec.dtype.itemsize)).argmax()) or spec.channels
        good = sizes == wanted * max(common, 1) * spec.dtype.itemsize
        for cell, what in read.errors.items():
            self._fail(read, cell, what)
        for cell in np.flatnonzero(~good).tolist():
            at = int(place[has][cell])
            if at not in read.errors:
                self._fail(read, at, f"{sizes[cell]} bytes for {wanted[cell]} rows of {max(common, 1)} {spec.dtype}")
        has[np.flatnonzero(has)[~good]] = False
        shape = spec.row_shape if spec.channels == common else (max(common, 1),)
        joined = read.cells.take(place[has]).joined()
        values = np.frombuffer(joined, dtype=spec.dtype).reshape(-1, *shape)
        try:
            return _as_column(values if has.all() else with_gaps(values, spec, per_cell, has), spec)
        except ValueError as error:
            raise CorruptionError(
                "category codes do not fit the categories",
                store=read.array.store,
                array=read.array.path,
                got=str(error),
            ) from error

    def _fail(self, read: CellRead, cell: int, what: str) -> None:
        self.block.errors.append(
            CorruptionError(
                "a cell cannot be read",
                store=read.array.store,
                array=read.array.path,
                cell=format_keys(read.coords[cell : cell + 1])[0],
                got=what,
                hint="restore it from a copy, or read with strict=False to get what is left",
            )
        )

    def _fail_record(self, record: int, per_cell: IntArray, what: str) -> None:
        self._fail(self.read, int(np.searchsorted(np.cumsum(per_cell), record, side="right")), what)


def _as_column(values: AnyArray, spec: ColumnSpec) -> Column:
    if spec.categories is None:
        return values
    codes = np.ma.filled(values, -1) if isinstance(values, np.ma.MaskedArray) else values
    return Categorical(codes, spec.categories, spec.ordered)


def _joined(columns: Sequence[Column], spec: ColumnSpec) -> Column:
    """Columns of one attribute one after another."""
    texts = [column for column in columns if isinstance(column, Categorical)]
    if spec.categories is not None:
        codes = np.concatenate([np.zeros(0, dtype=np.int64), *(column.codes for column in texts)])
        return Categorical(codes, spec.categories, spec.ordered)
    arrays = [column for column in columns if not isinstance(column, Categorical) and len(column)]
    if not arrays:
        return np.zeros((0, *spec.row_shape), dtype=spec.dtype)
    if len({column.shape[1:] for column in arrays}) > 1:
        raise ValueError(f"rows of {sorted({column.shape[1:] for column in arrays})} elements")
    joined: AnyArray = (np.ma.concatenate if any(map(np.ma.isMaskedArray, arrays)) else np.concatenate)(arrays)
    return joined
