"""Chunk-grid arrays: where their cells lie, and the objects that hold them.

A chunk-grid array holds one vlen-bytes element per chunk of space. Unsharded, each cell is an object; sharded, a
shard holds many cells and an index that says where each one lies.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from functools import cached_property

import numpy as np

from zarr_vectors import constants
from zarr_vectors.encoding.blobs import Blobs, Buffer
from zarr_vectors.encoding.codecs import ByteCodec, CellErrors, known_chain, vlen_frame
from zarr_vectors.encoding.limits import UNBELIEVABLE, most_content
from zarr_vectors.encoding.sharding import encode_shard
from zarr_vectors.exceptions import CorruptionError, InputError, MetadataError
from zarr_vectors.metadata.array import ArrayDocument
from zarr_vectors.metadata.presence import PresenceText
from zarr_vectors.spatial.grid import Grid, format_keys, parse_key_text, parse_keys
from zarr_vectors.storage.fallback import encode_chunk
from zarr_vectors.typing import AnyArray, BoolArray, IntArray

__all__ = ["CellArray", "CellRead", "groups_of_rows", "grown", "renamed"]

_PARSE_COST = 4
"""Looking a key up costs as much as parsing so many."""
_FARTHEST = 2**62


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
        if not whole or not all(-_FARTHEST <= start <= _FARTHEST - length for start, length in self._sides(origin)):
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

    @property
    def _listed(self) -> object:
        return self.document.attributes.get(constants.NONEMPTY_CHUNKS)

    @cached_property
    def keys(self) -> frozenset[str] | None:
        """The presence list; None where the array has none.

        Raises:
            MetadataError: It is not a list of texts.
        """
        listed = self._listed
        if listed is None:
            return None
        if isinstance(listed, (list, tuple, PresenceText)):
            with suppress(TypeError):
                "".join(listed)  # the fastest way to see that all are text
                keys = frozenset(listed)
                if len(keys) == len(listed):
                    return keys
        raise MetadataError(
            "the presence list is malformed",
            store=self.store,
            array=self.path,
            expected="a list of chunk keys, each once",
        )

    @property
    def count(self) -> int | None:
        """How many cells are listed as present; None where the array has no presence list."""
        if isinstance(self._listed, PresenceText):
            return len(self._listed)
        return None if self.keys is None else len(self.keys)

    @cached_property
    def present(self) -> IntArray:
        """``(n, K)`` coordinates of the cells that are present, in numeric order.

        Raises:
            MetadataError: The presence list is malformed, or there is none.
        """
        if self._numbers_fit:
            return self._coords_of(self._numbers)
        coords = self._parsed()
        coords = coords[np.lexsort(coords.T[::-1])]
        self._refuse("twice", coords[1:][(coords[1:] == coords[:-1]).all(axis=1)])
        return coords

    @cached_property
    def _numbers(self) -> IntArray:
        """``(n,)`` ascending numbers of the cells that are present."""
        numbers = np.sort(self._numbers_of(self._parsed()))
        self._refuse("twice", self._coords_of(numbers[1:][numbers[1:] == numbers[:-1]]))
        return numbers

    def _parsed(self) -> IntArray:
        """Coordinates of the keys, all in the grid, as they are listed."""
        listed = self._listed
        coords = parse_key_text(listed.text, self.ndim) if isinstance(listed, PresenceText) else None
        if coords is None:
            if self.keys is None:
                raise self._no_list()
            try:
                coords = parse_keys(self.keys, self.ndim)
            except ValueError as error:
                raise MetadataError(
                    "the presence list is malformed", store=self.store, array=self.path, got=str(error)
                ) from error
        self._refuse("outside the grid", coords[~self.grid.contains(coords)])
        return coords

    def _refuse(self, what: str, coords: IntArray) -> None:
        if len(coords):
            raise MetadataError(
                f"the presence list names a cell {what}",
                store=self.store,
                array=self.path,
                cell=format_keys(coords[:1])[0],
            )

    @property
    def _numbers_fit(self) -> bool:
        return self.grid.cells < _FARTHEST

    def _numbers_of(self, coords: IntArray) -> IntArray:
        """``(n,)`` C-order number of cells of the grid."""
        numbers = np.zeros(len(coords), dtype=np.int64)
        for axis, (start, length) in enumerate(zip(self.grid.origin, self.grid.shape, strict=True)):
            numbers *= length
            numbers += coords[:, axis] - start
        return numbers

    def _coords_of(self, numbers: IntArray) -> IntArray:
        """``(n, K)`` the way back."""
        coords = np.empty((len(numbers), self.ndim), dtype=np.int64)
        for axis in range(self.ndim - 1, -1, -1):
            numbers, coords[:, axis] = np.divmod(numbers, max(1, self.grid.shape[axis]))
        coords += np.asarray(self.grid.origin)
        return coords

    def _no_list(self) -> MetadataError:
        return MetadataError(
            "the array has no presence list (nonempty_chunks)",
            store=self.store,
            array=self.path,
            hint="repair the store from its stored chunks before reading it",
        )

    def stored_like(self, other: CellArray) -> bool:
        """Whether the stored objects of another array, on the same grid, are made up as those of this one."""
        return self.codec == other.codec and self.document.sharding == other.document.sharding

    def has_all_of(self, other: CellArray) -> bool:
        """Whether every cell that is present in another array is present here, told by the presence lists alone."""
        listed, others = self._listed, other._listed
        if listed is not None and (listed is others or listed == others):
            return True
        return self.keys is not None and other.keys is not None and self.keys >= other.keys

    def has(self, coords: IntArray) -> BoolArray:
        """``(n,)`` whether each cell is present.

        Raises:
            MetadataError: There is no presence list.
        """
        if self._listed is None:
            raise self._no_list()
        if self._numbers_fit and (isinstance(self._listed, PresenceText) or len(coords) > (self.count or 0)):
            inside = self.grid.contains(coords)
            found = np.zeros(len(coords), dtype=bool)
            numbers = self._numbers_of(coords[inside])
            place = np.searchsorted(self._numbers, numbers)
            found[inside] = np.append(self._numbers, -1)[place] == numbers
            return found
        keys = self.keys or frozenset()
        return np.fromiter((key in keys for key in format_keys(coords)), dtype=bool, count=len(coords))

    def present_in(self, low: IntArray, high: IntArray) -> IntArray:
        """``(n, K)`` coordinates of the cells that are present in a block of cells, in numeric order.

        Args:
            low: ``(K,)`` its least coordinates.
            high: ``(K,)`` its greatest coordinates.
        """
        first = np.asarray(self.grid.origin)
        low, high = np.maximum(low, first), np.minimum(high, first + self.grid.shape - 1)
        if (high < low).any():
            return np.zeros((0, self.ndim), dtype=np.int64)
        block = Grid(tuple(low.tolist()), tuple((high - low + 1).tolist()))
        if self.count is None or block.cells * _PARSE_COST > self.count:
            return self.present[block.contains(self.present)]
        coords = block.all_coords()
        return coords[self.has(coords)]

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
        chunk = np.full(int(np.prod(self.block)), b"", dtype=object)
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
    order = np.lexsort(index.T[::-1])
    ordered = index[order]
    changes = np.flatnonzero((ordered[1:] != ordered[:-1]).any(axis=1)) + 1
    for members in np.split(order, changes):
        yield tuple(index[members[0]].tolist()), members
