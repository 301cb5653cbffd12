"""Which bytes cells are read from: whole objects, or ranges of shards."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import pairwise
from math import prod

import numpy as np

from zarr_vectors.encoding.blobs import Blobs, Buffer, offsets_of
from zarr_vectors.encoding.codecs import CellErrors
from zarr_vectors.encoding.sharding import MISSING, decode_shard_index, index_size
from zarr_vectors.storage.backend import Get
from zarr_vectors.storage.cell_array import CellArray, groups_of_rows
from zarr_vectors.storage.fallback import decode_chunk
from zarr_vectors.storage.storage import ShardIndex, Storage
from zarr_vectors.typing import AnyArray, BoolArray, IntArray

__all__ = ["ABSENT", "CellPlan", "Piece", "load_shard_indexes", "plans_of"]

_JOINED_BYTES = 1 << 22
_FEW_CELLS = 2048
"""Up to so many, cells of several arrays are read as one: each step costs more than the work that it does."""
_LARGEST_OBJECT = 2**62
_NO_CELLS = np.zeros(0, dtype=np.int64)
_NO_ENTRY = np.zeros((0, 2), dtype="<u8")
ABSENT = "listed as present, but gone"
"""What is said of a cell that is not stored."""

Piece = tuple[IntArray, Blobs]
"""Rows of cells, and the cells as they are stored."""


def plans_of(wanted: Sequence[tuple[CellArray, IntArray]], *, apart: int = 0) -> list[CellPlan]:
    """How to read these cells of each array; each of the first may be wanted apart."""
    plans: list[CellPlan] = []
    for number, (array, coords) in enumerate(wanted):
        # Most arrays of a level lie on one grid and are asked for the same cells.
        akin = [plan for plan in plans if plan.places.serve(array, coords)]
        open_plans = [plan for plan in akin if min(plan.arrays) >= apart] if number >= apart else []
        joined = next((plan for plan in open_plans if plan.has_room_for(array)), None)
        if joined is not None:
            joined.add(number, array)
        else:
            plans.append(CellPlan(number, array, akin[0].places if akin else _Places(array, coords)))
    return plans


class _Places:
    """Which stored object each cell lies in, and where in it, for any array on the same grid."""

    def __init__(self, array: CellArray, coords: IntArray) -> None:
        self.coords = coords
        self._grid, self._block = array.grid, array.block
        index, self.number = array.locate(coords)
        self.groups = list(groups_of_rows(index))

    def serve(self, array: CellArray, coords: IntArray) -> bool:
        """Whether they are those of these cells of another array as well."""
        return coords is self.coords and array.grid == self._grid and array.block == self._block


@dataclass(frozen=True, slots=True)
class _Ranges:
    """Which cells lie where in what the requests of a plan bring, request after request.

    Args:
        members: ``(n,)`` number of each cell.
        starts: ``(n,)`` its first byte.
        sizes: ``(n,)`` its bytes; None for all that is brought.
        counts: Cells of each request.
    """

    members: IntArray
    starts: IntArray
    sizes: IntArray | None
    counts: list[int]


class CellPlan:
    """How the same cells of one array, or of several that are stored alike, are read.

    Args:
        number: Which of the wanted arrays it is.
        array: The first of the arrays.
        places: Of the cells.
    """

    def __init__(self, number: int, array: CellArray, places: _Places) -> None:
        self.array = array
        self.places = places
        self.arrays: dict[int, CellArray] = {}
        self.errors: CellErrors = {}
        self.requests: list[Get] = []
        self.objects: list[tuple[str, IntArray]] = []
        self.by_ranges = array.codec is not None and array.document.sharding is not None
        self._ranges = _Ranges(_NO_CELLS, _NO_CELLS, _NO_CELLS, [])
        self.add(number, array)

    def has_room_for(self, array: CellArray) -> bool:
        """Whether cells of another array, which lie in the same places, may be read as if they were of this one."""
        few = (len(self.arrays) + 1) * len(self.places.coords) <= _FEW_CELLS
        return few and self.array.codec is not None and self.array.stored_like(array)

    def add(self, number: int, array: CellArray) -> None:
        """Read the cells of an array too: they get the numbers that follow those of the others."""
        base = len(self.arrays) * len(self.places.coords)
        self.arrays[number] = array
        self.objects += [(array.object_path(index), members + base) for index, members in self.places.groups]

    @property
    def count(self) -> int:
        """Cells of all arrays."""
        return len(self.arrays) * len(self.places.coords)

    @property
    def index_request(self) -> Get:
        """The index of a shard, whose path is left open."""
        sharding = self.array.document.sharding
        assert sharding is not None
        size = index_size(prod(self.array.block), sharding.index_crc32c)
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
        self.errors.clear()
        if not self.by_ranges:
            self.requests = [Get(path) for path, _ in self.objects]
            members = np.concatenate([_NO_CELLS, *(members for _, members in self.objects)])
            self._ranges = _Ranges(members, members * 0, None, [len(members) for _, members in self.objects])
            return
        shards = self._readable(unreadable)
        members = np.concatenate([_NO_CELLS, *(rows for _, rows in shards)])
        number = np.tile(self.places.number, len(self.arrays))
        entry = np.concatenate(
            [_NO_ENTRY, *(indexes[path].entries.take(number[rows], axis=0) for path, rows in shards)]
        )
        shard = np.repeat(np.arange(len(shards)), [len(rows) for _, rows in shards])
        if (entry > _LARGEST_OBJECT).any():
            good = self._stored(members, entry)
            members, entry, shard = members[good], entry[good], shard[good]
        paths = [path for path, _ in shards]
        self.requests, self._ranges = _coalesced(paths, shard, members, entry.astype(np.int64), gap)

    def _stored(self, members: IntArray, entry: AnyArray) -> BoolArray:
        """Which cells their shards have at a place that can be; the others are named in ``errors``."""
        missing = entry[:, 1] == MISSING
        beyond = ~missing & (entry > _LARGEST_OBJECT).any(axis=1)
        self.errors.update(dict.fromkeys(members[missing].tolist(), ABSENT))
        self.errors.update(dict.fromkeys(members[beyond].tolist(), "its shard is truncated"))
        there: BoolArray = ~missing & ~beyond
        return there

    def _readable(self, unreadable: dict[str, str]) -> list[tuple[str, IntArray]]:
        """Paths and members of the shards whose index could be read."""
        for path, members in self.objects:
            if path in unreadable:
                self.errors.update(dict.fromkeys(members.tolist(), unreadable[path]))
        return [(path, members) for path, members in self.objects if path not in unreadable]

    def stored(self, found: dict[Get, Buffer | None]) -> list[Piece]:
        """The cells as they are stored, for each buffer that a round brought: rows in order, and their bytes."""
        parts = [found[get] for get in self.requests]
        there = [data for data in parts if data is not None]
        lengths = np.array([0 if data is None else len(data) for data in parts], dtype=np.int64)
        counts = np.array(self._ranges.counts, dtype=np.int64)
        members, starts, sizes = self._inside(lengths, counts)
        if len(parts) > 1 and len(there) == len(parts) and int(lengths.sum()) <= _JOINED_BYTES:
            # Small pieces cost less as one.
            starts = starts + np.repeat(offsets_of(lengths)[:-1], counts)
            order = np.argsort(members)
            return [(members[order], Blobs(b"".join(there), starts[order], sizes[order]))]
        order = np.lexsort((members, np.repeat(np.arange(len(parts)), counts)))
        members, starts, sizes = members[order], starts[order], sizes[order]
        pieces: list[Piece] = []
        for data, (start, stop) in zip(parts, pairwise(offsets_of(counts).tolist()), strict=True):
            if data is None:
                self.errors.update(dict.fromkeys(members[start:stop].tolist(), ABSENT))
            else:
                pieces.append((members[start:stop], Blobs(data, starts[start:stop], sizes[start:stop])))
        return pieces

    def _inside(self, lengths: IntArray, counts: IntArray) -> tuple[IntArray, IntArray, IntArray]:
        """Number, first byte and bytes of each cell in what its request brought; what reaches beyond is not there."""
        members, starts = self._ranges.members, self._ranges.starts
        limit = np.repeat(lengths, counts)
        if self._ranges.sizes is None:
            return members, starts, limit
        short = starts + self._ranges.sizes > limit
        if not short.any():
            return members, starts, self._ranges.sizes
        self.errors.update(dict.fromkeys(members[short].tolist(), "its shard is truncated"))
        return members, np.where(short, 0, starts), np.where(short, 0, self._ranges.sizes)

    def decode_foreign(self, found: dict[Get, Buffer | None]) -> Blobs:
        """The payloads, for a codec chain that only zarr-python knows."""
        cells: list[bytes] = [b""] * self.count
        for get, (_, members) in zip(self.requests, self.objects, strict=True):
            data = found[get]
            if data is None:
                self.errors.update(dict.fromkeys(members.tolist(), ABSENT))
                continue
            try:
                values = decode_chunk(self.array.document, data).ravel()
                unstored = self._unstored(data, values)
            except ValueError as error:
                self.errors.update(dict.fromkeys(members.tolist(), str(error)))
                continue
            for row in members.tolist():
                cells[row] = bytes(values[self.places.number[row]])
                if unstored[self.places.number[row]]:
                    self.errors[row] = ABSENT
        return Blobs.from_list(cells)

    def _unstored(self, data: Buffer, values: AnyArray) -> BoolArray:
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


def load_shard_indexes(storage: Storage, plans: Sequence[CellPlan], indexes: dict[str, ShardIndex]) -> dict[str, str]:
    """Fetch, in one round, the indexes of all shards that are not known yet; what is wrong with which, by path."""
    unreadable: dict[str, str] = {}
    wanted: dict[str, tuple[Get, CellPlan]] = {}
    for plan in plans:
        for path in plan.shards:
            if path not in indexes:
                index = plan.index_request
                wanted[path] = (Get(path, index.start, index.length), plan)
    found = storage.fetch(get for get, _ in wanted.values())
    for path, (get, plan) in wanted.items():
        sharding = plan.array.document.sharding
        assert sharding is not None
        cells = prod(plan.array.block)
        raw = found[get]
        if raw is None:
            indexes[path] = ShardIndex(np.broadcast_to(np.array(MISSING, dtype="<u8"), (cells, 2)), None)
            continue
        try:
            entries = decode_shard_index(raw, cells, crc32c=sharding.index_crc32c)
            indexes[path] = ShardIndex(entries, bytes(raw[-4:] if sharding.index_crc32c else raw))
        except ValueError as error:
            unreadable[path] = str(error)
    storage.shard_indexes.update({path: indexes[path] for path in wanted if path in indexes})
    return unreadable


def _coalesced(
    paths: Sequence[str], shard: IntArray, members: IntArray, entry: IntArray, gap: int
) -> tuple[list[Get], _Ranges]:
    """Requests for byte ranges of shards, those that lie within ``gap`` of one another joined.

    Args:
        paths: Of the shards.
        shard: ``(n,)`` which of them each cell lies in.
        members: ``(n,)`` number of each cell.
        entry: ``(n, 2)`` its first byte and size.
    """
    if not len(members):
        return [], _Ranges(members, members, members, [])
    order = np.lexsort((entry[:, 0], shard))
    shard, starts, sizes = shard[order], entry[order, 0], entry[order, 1]
    ends = _running_ends(starts + sizes, shard)
    first = np.append(0, np.flatnonzero((starts[1:] > ends[:-1] + gap) | (shard[1:] != shard[:-1])) + 1)
    counts = np.diff(first, append=len(order))
    lengths = ends[first + counts - 1] - starts[first]
    places = zip(shard[first].tolist(), starts[first].tolist(), lengths.tolist(), strict=True)
    requests = [Get(paths[number], start, length) for number, start, length in places]
    return requests, _Ranges(members[order], starts - np.repeat(starts[first], counts), sizes, counts.tolist())


def _running_ends(ends: IntArray, shard: IntArray) -> IntArray:
    """The greatest end so far of each shard, whose ranges follow one another."""
    if (ends[1:] >= ends[:-1]).all() or shard[0] == shard[-1]:
        return np.maximum.accumulate(ends)
    runs = np.flatnonzero(np.append(True, shard[1:] != shard[:-1]))
    return np.concatenate([np.maximum.accumulate(part) for part in np.split(ends, runs[1:])])
