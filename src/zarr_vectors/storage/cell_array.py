"""Chunk-grid arrays: where their cells lie, and the objects that hold them.

A chunk-grid array holds one vlen-bytes element per chunk of space. Unsharded, each cell is an object; sharded, a
shard holds many cells and an index that says where each one lies.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from functools import cached_property
from math import prod

import numpy as np

from zarr_vectors import constants
from zarr_vectors.encoding.blobs import Blobs, Buffer
from zarr_vectors.encoding.codecs import ByteCodec, CellErrors, known_chain, vlen_frame
from zarr_vectors.encoding.limits import UNBELIEVABLE, most_content
from zarr_vectors.encoding.sharding import encode_shard
from zarr_vectors.exceptions import CorruptionError, InputError, MetadataError
from zarr_vectors.metadata.array import ArrayDocument
from zarr_vectors.spatial.grid import Grid, format_keys, rows_among
from zarr_vectors.storage.fallback import encode_chunk
from zarr_vectors.storage.present import FARTHEST, PresentCells
from zarr_vectors.typing import AnyArray, BoolArray, IntArray

__all__ = ["CellArray", "CellRead", "cells_beside", "groups_of_rows", "grown", "renamed"]


@dataclass(frozen=True)
class CellArray:
    """A chunk-grid array.

    Args:
        path: Below the store's root, for example ``"0/vertices"``.
        document: Its ``zarr.json``.
        store: URL, for messages.
    """

    path: str
    document: ArrayDocument
    store: str | None = None

    @property
    def ndim(self) -> int:
        """Components of a chunk key."""
        return len(self.document.shape)

    @cached_property
    def grid(self) -> Grid:
        """The chunks that the array has cells for.

        Raises:
            MetadataError: Its origin is malformed.
        """
        origin = self.document.attributes.get(constants.CHUNK_GRID_ORIGIN) or [0] * self.ndim
        whole = isinstance(origin, (list, tuple)) and [type(v) for v in origin] == [int] * self.ndim
        if not whole or not all(-FARTHEST <= start <= FARTHEST - length for start, length in self._sides(origin)):
            raise MetadataError(
                "chunk_grid_origin is malformed",
                store=self.store,
                array=self.path,
                expected=f"{self.ndim} whole numbers, with the grid between -2**62 and 2**62",
                got=repr(origin)[:200],
            )
        return Grid(tuple(origin), tuple(self.document.shape))

    def _sides(self, origin: Sequence[int]) -> Iterator[tuple[int, int]]:
        return zip(origin, self.document.shape, strict=True)

    @cached_property
    def block(self) -> tuple[int, ...]:
        """Cells of a stored object along each axis: the shard, or a single cell."""
        return self.document.chunk_shape

    @cached_property
    def codec(self) -> ByteCodec | None:
        """The fast path for the cells; None where zarr-python must decode whole stored chunks."""
        chain = self.document.codecs
        if self.document.is_sharded:
            if self.document.sharding is None:
                return None
            chain = self.document.sharding.inner
        elif any(length != 1 for length in self.block):
            return None
        if not chain or chain[0].get("name") != "vlen-bytes":
            return None
        return known_chain(chain[1:])

    @cached_property
    def _cells(self) -> PresentCells:
        return PresentCells(self.document.attributes.get(constants.NONEMPTY_CHUNKS), self.grid, self.path, self.store)

    @property
    def keys(self) -> frozenset[str] | None:
        """The presence list; None where the array has none.

        Raises:
            MetadataError: It is not a list of texts.
        """
        return self._cells.keys

    @property
    def count(self) -> int | None:
        """How many cells are listed as present; None where the array has no presence list."""
        return self._cells.count

    @property
    def present(self) -> IntArray:
        """``(n, K)`` coordinates of the cells that are present, in numeric order.

        Raises:
            MetadataError: The presence list is malformed, or there is none.
        """
        return self._cells.coords

    def stored_like(self, other: CellArray) -> bool:
        """Whether the stored objects of another array, on the same grid, are made up as those of this one."""
        return self.codec == other.codec and self.document.sharding == other.document.sharding

    def has_all_of(self, other: CellArray) -> bool:
        """Whether every cell that is present in another array is present here, told by the presence lists alone."""
        return self._cells.has_all_of(other._cells)

    def has(self, coords: IntArray) -> BoolArray:
        """``(n,)`` whether each cell is present.

        Raises:
            MetadataError: There is no presence list.
        """
        return self._cells.has(coords)

    def present_in(self, block: Grid) -> IntArray:
        """``(n, K)`` coordinates of the cells that are present in a block of cells, in numeric order.

        Raises:
            MetadataError: The presence list is malformed, or there is none.
        """
        return self._cells.within(block)

    def locate(self, coords: IntArray) -> tuple[IntArray, IntArray]:
        """``(n, K)`` index of the stored object of each cell, and ``(n,)`` C-order number inside it."""
        local = coords - np.asarray(self.grid.origin)
        block = np.asarray(self.block)
        index = local // block
        number = np.ravel_multi_index(tuple((local - index * block).T), self.block) if len(local) else local[:, 0]
        return index, np.asarray(number, dtype=np.int64)

    def object_path(self, index: Sequence[int]) -> str:
        """Path of a stored object."""
        return f"{self.path}/{self.document.chunk_path(index)}"

    def encode(self, coords: IntArray, cells: Blobs, kept: CellRead | None = None) -> Iterator[tuple[str, Buffer]]:
        """The stored objects of these cells, which must be all cells of every object they touch.

        Args:
            coords: ``(n, K)`` which cells.
            cells: Their payloads.
            kept: Other cells of the same objects, as ``read_cells(..., decode=False)`` brought them.
        """
        encoded = None if self.codec is None else self.codec.encode(vlen_frame(cells))
        if encoded is not None and self.codec is not None and self.codec.zstd is not None:
            self._check_believable(coords, cells, encoded)
        if kept is not None and len(kept.coords):
            coords = np.concatenate([coords, kept.coords])
            if encoded is None:
                cells = Blobs.concatenate([cells, kept.cells])
            else:
                encoded = Blobs.concatenate([encoded, kept.cells])
        if not len(coords):
            return
        index, number = self.locate(coords)
        if not self.document.is_sharded and encoded is not None:
            for row, item in zip(index.tolist(), encoded.views(), strict=True):
                yield self.object_path(row), item
            return
        for row, members in groups_of_rows(index):
            if encoded is None:
                part = cells.take(members)
                with_fill = not self.document.is_sharded or bool((part.sizes == 0).any())
                data = encode_chunk(self.document, self._as_chunk(number[members], part), with_fill=with_fill)
            else:
                sharding = self.document.sharding
                assert sharding is not None
                data = encode_shard(
                    encoded.take(members),
                    number[members],
                    self.block,
                    crc32c=sharding.index_crc32c,
                    index_at_end=sharding.index_at_end,
                )
            yield self.object_path(row), data

    def _check_believable(self, coords: IntArray, cells: Blobs, encoded: Blobs) -> None:
        """Refuse to write what would be refused when it is read."""
        bad = np.flatnonzero(cells.sizes > most_content(encoded.sizes))
        if len(bad):
            raise InputError(
                UNBELIEVABLE,
                store=self.store,
                array=self.path,
                cell=format_keys(coords[bad[:1]])[0],
                got=f"{int(cells.sizes[bad[0]]):,} bytes in {int(encoded.sizes[bad[0]]):,}",
                hint="choose a smaller chunk_shape, or compressor='none'",
            )

    def _as_chunk(self, number: IntArray, cells: Blobs) -> AnyArray:
        chunk = np.full(prod(self.block), b"", dtype=object)
        for at, item in zip(number.tolist(), cells.to_list(), strict=True):
            chunk[at] = item
        return chunk.reshape(self.block)


def grown(array: CellArray, needed: Grid) -> CellArray:
    """The array on a grid that covers the needed one; shards stay whole, so that none has to be written again."""
    if array.grid.covers(needed):
        return array
    block = np.asarray(array.block)
    union = array.grid.union(needed)
    shift = -(-(np.asarray(array.grid.origin) - np.asarray(union.origin)) // block) * block
    origin = np.asarray(array.grid.origin) - shift
    shape = np.asarray(union.origin) + np.asarray(union.shape) - origin
    document = array.document.replace(shape=tuple(shape.tolist()))
    document = document.with_attributes(chunk_grid_origin=origin.tolist() if origin.any() else None)
    return CellArray(array.path, document, array.store)


def cells_beside(old: CellArray, array: CellArray, coords: IntArray) -> IntArray:
    """``(n, K)`` cells of an old array that lie in a stored object of the new one in which others are written.

    Args:
        old, array: The array as it is, and as it will be, on a grid that covers the old one.
        coords: ``(m, K)`` the cells that are written, which are left out.
    """
    if prod(array.block) == 1:
        return old.present[:0]
    near = old.present[rows_among(array.locate(old.present)[0], array.locate(coords)[0])]
    return near[~rows_among(near, coords)]


def renamed(old: CellArray, new: CellArray) -> Iterable[tuple[str, str]]:
    """Old and new path of every stored object."""
    if not len(old.present):
        return
    index = np.unique(old.locate(old.present)[0], axis=0)
    first = index * np.asarray(old.block) + np.asarray(old.grid.origin)
    moved = new.locate(first)[0]
    for source, target in zip(index.tolist(), moved.tolist(), strict=True):
        yield old.object_path(source), new.object_path(target)


@dataclass(frozen=True)
class CellRead:
    """What a read of cells brought.

    Args:
        array: Which array.
        coords: ``(n, K)`` which cells.
        cells: Their payloads; empty where there is an error.
        errors: What is wrong with which cell, by row of ``coords``.
    """

    array: CellArray
    coords: IntArray
    cells: Blobs
    errors: CellErrors = field(default_factory=dict)

    def error(self, row: int) -> CorruptionError:
        """The error of one cell, with its place."""
        return CorruptionError(
            "a cell cannot be read",
            store=self.array.store,
            array=self.array.path,
            cell=format_keys(self.coords[row : row + 1])[0],
            got=self.errors[row],
            hint="restore it from a copy, or read with strict=False to get what is left",
        )

    def check(self) -> CellRead:
        """Itself, if every cell could be read.

        Raises:
            CorruptionError: For the first that could not, listing all.
        """
        if not self.errors:
            return self
        rows = sorted(self.errors)
        first = self.error(rows[0])
        first.problems = tuple(
            f"{format_keys(self.coords[row : row + 1])[0]}: {self.errors[row]}" for row in rows[:100]
        )
        raise first


def groups_of_rows(index: IntArray) -> Iterator[tuple[tuple[int, ...], IntArray]]:
    """Groups of equal rows, with the numbers of their members."""
    if not len(index):
        return
    if (index == index[0]).all():
        yield tuple(index[0].tolist()), np.arange(len(index))
        return
    order = np.lexsort(index.T[::-1])
    ordered = index[order]
    changes = np.flatnonzero((ordered[1:] != ordered[:-1]).any(axis=1)) + 1
    for members in np.split(order, changes):
        yield tuple(index[members[0]].tolist()), members
