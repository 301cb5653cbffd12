"""Cells of chunk-grid arrays, and chunks of one-dimensional tables: from stored objects and back.

A chunk-grid array holds one vlen-bytes element per chunk of space. Unsharded, each cell is an object; sharded, a
shard holds many cells and an index that says where each one lies.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from dataclasses import dataclass, field
from functools import cached_property

import numpy as np

from zarr_vectors.encoding.blobs import Blobs, Buffer
from zarr_vectors.encoding.codecs import ByteCodec, CellErrors, known_chain, vlen_frame
from zarr_vectors.encoding.sharding import MISSING, decode_shard_index, encode_shard, index_size
from zarr_vectors.exceptions import CorruptionError, MetadataError
from zarr_vectors.metadata.array import ArrayDocument
from zarr_vectors.spatial.grid import Grid, format_keys, parse_keys
from zarr_vectors.storage.backend import Get
from zarr_vectors.storage.fallback import decode_chunk, encode_chunk
from zarr_vectors.storage.storage import ShardIndex, Storage
from zarr_vectors.typing import AnyArray, BoolArray, IntArray

__all__ = ["CellArray", "CellRead", "read_cells"]

_GAP_LOCAL = 64 * 1024
_THREADED_BYTES = 4 << 20
_GAP_REMOTE = 256 * 1024
_MAP_CELLS = 2**26
"""Grids up to this size are worth a map of their cells; the bounds of a store may be far wider than its data."""
_LARGEST_OBJECT = 2**62
_ABSENT = "listed as present, but gone"


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
        origin = self.document.attributes.get("chunk_grid_origin") or [0] * self.ndim
        if not isinstance(origin, (list, tuple)) or [type(v) for v in origin] != [int] * self.ndim:
            raise MetadataError(
                "chunk_grid_origin is malformed",
                store=self.store,
                array=self.path,
                expected=f"{self.ndim} whole numbers",
                got=repr(origin),
            )
        return Grid(tuple(origin), tuple(self.document.shape))

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
    def keys(self) -> frozenset[str] | None:
        """The presence list; None where the array has none.

        Raises:
            MetadataError: It is not a list of texts.
        """
        listed = self.document.attributes.get("nonempty_chunks")
        if listed is None:
            return None
        if isinstance(listed, (list, tuple)):
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

    @cached_property
    def present(self) -> IntArray:
        """``(n, K)`` coordinates of the cells that are present, in numeric order.

        Raises:
            MetadataError: The presence list is malformed, or there is none.
        """
        if self.keys is None:
            raise self._no_list()
        try:
            coords = parse_keys(self.keys, self.ndim)
        except ValueError as error:
            raise MetadataError(
                "the presence list is malformed", store=self.store, array=self.path, got=str(error)
            ) from error
        coords = coords[np.lexsort(coords.T[::-1])] if len(coords) else coords
        twice = np.zeros(len(coords), dtype=bool)
        twice[1:] = (coords[1:] == coords[:-1]).all(axis=1)
        for what, bad in (("outside the grid", ~self.grid.contains(coords)), ("twice", twice)):
            if bad.any():
                raise MetadataError(
                    f"the presence list names a cell {what}",
                    store=self.store,
                    array=self.path,
                    cell=format_keys(coords[bad][:1])[0],
                )
        return coords

    def _no_list(self) -> MetadataError:
        return MetadataError(
            "the array has no presence list (nonempty_chunks)",
            store=self.store,
            array=self.path,
            hint="repair the store from its stored chunks before reading it",
        )

    def has_all_of(self, other: CellArray) -> bool:
        """Whether every cell that is present in another array is present here, told by the presence lists alone."""
        listed, others = (array.document.attributes.get("nonempty_chunks") for array in (self, other))
        if listed is not None and listed == others:
            return True
        return self.keys is not None and other.keys is not None and self.keys >= other.keys

    def has(self, coords: IntArray) -> BoolArray:
        """``(n,)`` whether each cell is present.

        Raises:
            MetadataError: There is no presence list.
        """
        if self.keys is None:
            raise self._no_list()
        if len(coords) > len(self.keys) and self.grid.cells <= _MAP_CELLS:
            return self._has_many(coords)
        return np.fromiter((key in self.keys for key in format_keys(coords)), dtype=bool, count=len(coords))

    def _has_many(self, coords: IntArray) -> BoolArray:
        inside = self.grid.contains(coords)
        known = np.zeros(self.grid.shape, dtype=bool)
        known[tuple((self.present - np.asarray(self.grid.origin)).T)] = True
        found = np.zeros(len(coords), dtype=bool)
        found[inside] = known[tuple((coords[inside] - np.asarray(self.grid.origin)).T)]
        return found

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
        for row, members in _by_row(index):
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

    def _as_chunk(self, number: IntArray, cells: Blobs) -> AnyArray:
        chunk = np.full(int(np.prod(self.block)), b"", dtype=object)
        for at, item in zip(number.tolist(), cells.to_list(), strict=True):
            chunk[at] = item
        return chunk.reshape(self.block)


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


def read_cells(
    storage: Storage, wanted: Sequence[tuple[CellArray, IntArray]], *, decode: bool = True
) -> list[CellRead]:
    """Read cells of several arrays in at most two rounds: shard indexes not yet known, then cells.

    With the cells comes the seal of every shard whose index was known before, so that a shard that another writer
    has written again is not read by the places that its cells had.

    Args:
        storage: The store.
        wanted: Arrays, each with the ``(n, K)`` coordinates of cells that its presence list names.
        decode: Whether to decode the cells; without it they come as they are stored, but for codec chains that
            only zarr-python knows.
    """
    plans = [_Plan(array, coords) for array, coords in wanted]
    seals = {path: plan.seal_request(path) for plan in plans for path in plan.shards if path in storage.shard_indexes}
    unreadable = _load_shard_indexes(storage, plans)
    gap = _GAP_LOCAL if storage.backend.is_local else _GAP_REMOTE
    for plan in plans:
        plan.make_requests(storage.shard_indexes, unreadable, gap)
    found = storage.fetch([*seals.values(), *(get for plan in plans for get in plan.requests)])
    changed = [path for path, get in seals.items() if found[get] != storage.shard_indexes[path].seal]
    if changed:
        for path in changed:
            del storage.shard_indexes[path]
        return read_cells(storage, wanted, decode=decode)
    if sum(len(data) for data in found.values() if data is not None) < _THREADED_BYTES:
        return [plan.collect(found, decode) for plan in plans]
    # Decompression lets go of the interpreter, so that one array is unpacked while another is decompressed.
    with ThreadPoolExecutor(max_workers=2) as pool:
        return list(pool.map(lambda plan: plan.collect(found, decode), plans))


class _Plan:
    """How the cells of one array are read."""

    def __init__(self, array: CellArray, coords: IntArray) -> None:
        self.array = array
        self.coords = coords
        self.errors: CellErrors = {}
        self.requests: list[Get] = []
        index, self.number = array.locate(coords)
        self.objects = [(array.object_path(row), members) for row, members in _by_row(index)]
        self.by_ranges = array.codec is not None and array.document.sharding is not None
        self._pieces: list[tuple[IntArray, IntArray, IntArray]] = []

    @property
    def index_request(self) -> Get:
        sharding = self.array.document.sharding
        assert sharding is not None
        size = index_size(int(np.prod(self.array.block)), sharding.index_crc32c)
        return Get("", -size) if sharding.index_at_end else Get("", 0, size)

    @property
    def shards(self) -> list[str]:
        """Paths of the objects that are read by byte ranges."""
        return [path for path, _ in self.objects] if self.by_ranges else []

    def seal_request(self, path: str) -> Get:
        """What tells whether a shard's index is still the same: its checksum, or all of it where it has none."""
        index, sharding = self.index_request, self.array.document.sharding
        assert sharding is not None
        if not sharding.index_crc32c:
            return Get(path, index.start, index.length)
        return Get(path, -4) if sharding.index_at_end else Get(path, (index.length or 4) - 4, 4)

    def make_requests(self, indexes: dict[str, ShardIndex], unreadable: dict[str, str], gap: int) -> None:
        """Whole objects, or the byte ranges of the wanted cells with near ones joined."""
        if not self.by_ranges:
            self.requests = [Get(path) for path, _ in self.objects]
            self._pieces = [(members, members * 0, members * 0) for _, members in self.objects]
            return
        for path, members in self.objects:
            if path in unreadable:
                self.errors.update(dict.fromkeys(members.tolist(), unreadable[path]))
                continue
            entry = indexes[path].entries[self.number[members]]
            missing = entry[:, 1] == MISSING
            beyond = ~missing & (entry > _LARGEST_OBJECT).any(axis=1)
            self.errors.update(dict.fromkeys(members[missing].tolist(), _ABSENT))
            self.errors.update(dict.fromkeys(members[beyond].tolist(), "its shard is truncated"))
            stored, ranges = members[~missing & ~beyond], entry[~missing & ~beyond].astype(np.int64)
            for part, start, end in _coalesce(ranges, gap):
                self.requests.append(Get(path, start, end - start))
                self._pieces.append((stored[part], ranges[part, 0] - start, ranges[part, 1]))

    def collect(self, found: dict[Get, bytes | None], decode: bool) -> CellRead:
        """Decode what the round brought."""
        if self.array.codec is None:
            cells = self._collect_foreign(found)
        else:
            cells = self._collect_encoded(found)
            if decode:
                cells, bad = self.array.codec.decode_framed(cells)
                self.errors.update({row: what for row, what in bad.items() if row not in self.errors})
        return CellRead(self.array, self.coords, cells, self.errors)

    def _collect_encoded(self, found: dict[Get, bytes | None]) -> Blobs:
        starts = np.zeros(len(self.coords), dtype=np.int64)
        sizes = np.zeros(len(self.coords), dtype=np.int64)
        buffers: list[bytes] = []
        base = 0
        for get, (members, offset, stated) in zip(self.requests, self._pieces, strict=True):
            data = found[get]
            if data is None:
                self.errors.update(dict.fromkeys(members.tolist(), _ABSENT))
                continue
            size = stated if self.by_ranges else np.full(len(members), len(data), dtype=np.int64)
            short = offset + size > len(data)
            self.errors.update(dict.fromkeys(members[short].tolist(), "its shard is truncated"))
            starts[members] = np.where(short, 0, base + offset)
            sizes[members] = np.where(short, 0, size)
            buffers.append(data)
            base += len(data)
        return Blobs(buffers[0] if len(buffers) == 1 else b"".join(buffers), starts, sizes)

    def _collect_foreign(self, found: dict[Get, bytes | None]) -> Blobs:
        cells: list[bytes] = [b""] * len(self.coords)
        for get, (_, members) in zip(self.requests, self.objects, strict=True):
            data = found[get]
            if data is None:
                self.errors.update(dict.fromkeys(members.tolist(), _ABSENT))
                continue
            try:
                values = decode_chunk(self.array.document, data).ravel()
                unstored = self._unstored(data, values)
            except ValueError as error:
                self.errors.update(dict.fromkeys(members.tolist(), str(error)))
                continue
            for row in members.tolist():
                cells[row] = bytes(values[self.number[row]])
                if unstored[self.number[row]]:
                    self.errors[row] = _ABSENT
        return Blobs.from_list(cells)

    def _unstored(self, data: bytes, values: AnyArray) -> BoolArray:
        """Which cells an object does not hold, for which zarr-python gives the fill value."""
        if len(values) == 1:
            return np.zeros(1, dtype=bool)
        sharding = self.array.document.sharding
        if sharding is None:
            return np.array([not value for value in values], dtype=bool)
        size = index_size(len(values), sharding.index_crc32c)
        raw = data[-size:] if sharding.index_at_end else data[:size]
        missing: BoolArray = decode_shard_index(raw, len(values), crc32c=sharding.index_crc32c)[:, 1] == MISSING
        return missing


def _load_shard_indexes(storage: Storage, plans: Sequence[_Plan]) -> dict[str, str]:
    """Fetch, in one round, the indexes of all shards that are not known yet; what is wrong with which, by path."""
    unreadable: dict[str, str] = {}
    wanted: dict[str, tuple[Get, _Plan]] = {}
    for plan in plans:
        for path in plan.shards:
            if path not in storage.shard_indexes:
                index = plan.index_request
                wanted[path] = (Get(path, index.start, index.length), plan)
    found = storage.fetch(get for get, _ in wanted.values())
    for path, (get, plan) in wanted.items():
        sharding = plan.array.document.sharding
        assert sharding is not None
        cells = int(np.prod(plan.array.block))
        raw = found[get]
        if raw is None:
            storage.shard_indexes[path] = ShardIndex(np.full((cells, 2), MISSING, dtype="<u8"), None)
            continue
        try:
            entries = decode_shard_index(raw, cells, crc32c=sharding.index_crc32c)
            storage.shard_indexes[path] = ShardIndex(entries, raw[-4:] if sharding.index_crc32c else raw)
        except ValueError as error:
            unreadable[path] = str(error)
    return unreadable


def _by_row(index: IntArray) -> Iterator[tuple[tuple[int, ...], IntArray]]:
    """Groups of equal rows, with the numbers of their members."""
    if not len(index):
        return
    order = np.lexsort(index.T[::-1])
    ordered = index[order]
    changes = np.flatnonzero((ordered[1:] != ordered[:-1]).any(axis=1)) + 1
    for members in np.split(order, changes):
        yield tuple(index[members[0]].tolist()), members


def _coalesce(entry: IntArray, gap: int) -> Iterator[tuple[IntArray, int, int]]:
    """Join byte ranges that lie within ``gap`` of one another: members, first byte, end."""
    if not len(entry):
        return
    order = np.argsort(entry[:, 0], kind="stable")
    starts = entry[order, 0]
    ends = np.maximum.accumulate(starts + entry[order, 1])
    splits = np.flatnonzero(starts[1:] > ends[:-1] + gap) + 1
    for part in np.split(np.arange(len(order)), splits):
        yield order[part], int(starts[part[0]]), int(ends[part[-1]])
