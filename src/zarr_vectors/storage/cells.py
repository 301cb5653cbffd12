"""Reading cells of chunk-grid arrays: which bytes are needed, and from those bytes to payloads."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from functools import partial

import numpy as np

from zarr_vectors.encoding.blobs import Blobs
from zarr_vectors.encoding.codecs import CellErrors
from zarr_vectors.encoding.sharding import MISSING, decode_shard_index, index_size
from zarr_vectors.encoding.unpack import FRAME_HEAD_BYTES, PART_BYTES, PayloadBuffer, frame_sizes
from zarr_vectors.storage.backend import Get
from zarr_vectors.storage.cell_array import CellArray, CellRead, groups_of_rows
from zarr_vectors.storage.fallback import decode_chunk
from zarr_vectors.storage.storage import ShardIndex, Storage
from zarr_vectors.typing import AnyArray, BoolArray, IntArray

__all__ = ["CellArray", "CellRead", "read_cells"]

_GAP_LOCAL = 64 * 1024
_GAP_REMOTE = 256 * 1024
_THREADED_BYTES = 1 << 20
"""Less stored than this is decoded before threads have started."""
_MOST_THREADS = 8
_FEW_PIECES = 4
_LARGEST_OBJECT = 2**62
_ABSENT = "listed as present, but gone"


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
    plans = _plans(wanted)
    # Others may read the store at the same time, and let go of an index that they find changed.
    known = {path: storage.shard_indexes.get(path) for plan in plans for path in plan.shards}
    indexes = {path: index for path, index in known.items() if index is not None}
    seals = {path: plan.seal_request(path) for plan in plans for path in plan.shards if path in indexes}
    unreadable = _load_shard_indexes(storage, plans, indexes)
    gap = _GAP_LOCAL if storage.backend.is_local else _GAP_REMOTE
    for plan in plans:
        plan.make_requests(indexes, unreadable, gap)
    found = storage.fetch([*seals.values(), *(get for plan in plans for get in plan.requests)])
    changed = [path for path, get in seals.items() if found[get] != indexes[path].seal]
    if changed:
        for path in changed:
            storage.shard_indexes.pop(path, None)
        return read_cells(storage, wanted, decode=decode)
    readings = [_Reading(plan, found, decode) for plan in plans]
    steps = [step for reading in readings for step in reading.steps()]
    _run_all(steps, threaded=sum(reading.nbytes for reading in readings) >= _THREADED_BYTES)
    return [reading.result() for reading in readings]


def _run_all(steps: Sequence[Callable[[], None]], *, threaded: bool) -> None:
    """Take the steps in any order; decompression lets go of the interpreter, so that helping threads do some."""
    waiting = iter(steps)

    def work() -> None:
        for step in waiting:
            step()

    helpers = min(_MOST_THREADS, os.cpu_count() or 1, len(steps)) - 1
    if not threaded or helpers < 1:
        work()
        return
    with ThreadPoolExecutor(max_workers=helpers) as pool:
        helping = [pool.submit(work) for _ in range(helpers)]
        work()
    for done in helping:
        done.result()


def _plans(wanted: Sequence[tuple[CellArray, IntArray]]) -> list[_Plan]:
    plans: list[_Plan] = []
    for array, coords in wanted:
        # Most arrays of a level lie on one grid and are asked for the same cells.
        shared = (plan.places for plan in plans if plan.places.serve(array, coords))
        plans.append(_Plan(array, next(shared, None) or _Places(array, coords)))
    return plans


_Piece = tuple[IntArray, Blobs]


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


class _Plan:
    """How the cells of one array are read."""

    def __init__(self, array: CellArray, places: _Places) -> None:
        self.array = array
        self.places = places
        self.coords = places.coords
        self.number = places.number
        self.errors: CellErrors = {}
        self.requests: list[Get] = []
        self.objects = [(array.object_path(index), members) for index, members in places.groups]
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
            beyond = ~missing & ((entry[:, 0] > _LARGEST_OBJECT) | (entry[:, 1] > _LARGEST_OBJECT))
            self.errors.update(dict.fromkeys(members[missing].tolist(), _ABSENT))
            self.errors.update(dict.fromkeys(members[beyond].tolist(), "its shard is truncated"))
            stored, ranges = members[~missing & ~beyond], entry[~missing & ~beyond].astype(np.int64)
            for part, start, end in _coalesce(ranges, gap):
                self.requests.append(Get(path, start, end - start))
                self._pieces.append((stored[part], ranges[part, 0] - start, ranges[part, 1]))

    def stored(self, found: dict[Get, bytes | None]) -> list[_Piece]:
        """The cells as they are stored, for each buffer that a round brought: rows in order, and their bytes."""
        pieces: list[_Piece] = []
        for get, (members, offset, stated) in zip(self.requests, self._pieces, strict=True):
            data = found[get]
            if data is None:
                self.errors.update(dict.fromkeys(members.tolist(), _ABSENT))
                continue
            size = stated if self.by_ranges else np.full(len(members), len(data), dtype=np.int64)
            short = offset + size > len(data)
            self.errors.update(dict.fromkeys(members[short].tolist(), "its shard is truncated"))
            cells = Blobs(data, np.where(short, 0, offset), np.where(short, 0, size))
            order = np.argsort(members)
            pieces.append((members[order], cells.take(order)))
        return pieces

    def decode_foreign(self, found: dict[Get, bytes | None]) -> Blobs:
        """The payloads, for a codec chain that only zarr-python knows."""
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


class _Reading:
    """The cells of one array, from what a round brought to their payloads."""

    def __init__(self, plan: _Plan, found: dict[Get, bytes | None], decode: bool) -> None:
        self._plan = plan
        self._found = found
        self._decode = decode
        self._pieces: list[_Piece] = []
        self._buffer: PayloadBuffer | None = None
        self._cells: Blobs | None = None

    @property
    def nbytes(self) -> int:
        """Stored bytes of the wanted cells, without those that lie between them."""
        if self._plan.array.codec is None:
            return sum(len(self._found[get] or b"") for get in self._plan.requests)
        return sum(cells.total for _, cells in self._pieces)

    def steps(self) -> list[Callable[[], None]]:
        """What is to be done before the result is there, in any order or at the same time."""
        codec = self._plan.array.codec
        if codec is None:
            return [self._finish]
        self._pieces = self._plan.stored(self._found)
        if not self._decode or codec.zstd is None or codec.crc32c or self._plan.errors:
            return [self._finish]
        self._buffer = PayloadBuffer.for_frames(self._frame_sizes())
        if self._buffer is None:
            return [self._finish]
        return [step for pieces in _bundles(self._pieces) for step in self._filling(self._buffer, pieces)]

    def _frame_sizes(self) -> IntArray:
        sizes = np.full(len(self._plan.coords), -1, dtype=np.int64)
        pieces = self._pieces
        if len(pieces) > _FEW_PIECES:
            # Asked one by one, many small pieces would take longer than their cells.
            heads = [head for _, cells in pieces for head in cells.heads(FRAME_HEAD_BYTES)]
            pieces = [(np.concatenate([rows for rows, _ in pieces]), Blobs.from_list(heads))]
        for rows, cells in pieces:
            sizes[rows] = frame_sizes(cells)
        return sizes

    def _filling(self, buffer: PayloadBuffer, pieces: Sequence[_Piece]) -> list[Callable[[], None]]:
        """Steps of about the same size, from one large piece or several small ones."""
        if len(pieces) > 1:
            return [partial(self._fill_from, buffer, pieces)]
        rows, cells = pieces[0]
        return [partial(self._fill, buffer, rows[part], cells.take(part)) for part in buffer.parts(rows)]

    def _fill_from(self, buffer: PayloadBuffer, pieces: Sequence[_Piece]) -> None:
        rows = np.concatenate([rows for rows, _ in pieces])
        order = np.argsort(rows)
        self._fill(buffer, rows[order], Blobs.concatenate(cells for _, cells in pieces).take(order))

    def _fill(self, buffer: PayloadBuffer, rows: IntArray, cells: Blobs) -> None:
        if not buffer.fill(rows, cells):
            self._buffer = None

    def _finish(self) -> None:
        codec, errors = self._plan.array.codec, self._plan.errors
        if codec is None:
            self._cells = self._plan.decode_foreign(self._found)
            return
        self._cells = self._joined()
        if self._decode:
            self._cells, bad = codec.decode_framed(self._cells)
            errors.update({row: what for row, what in bad.items() if row not in errors})

    def _joined(self) -> Blobs:
        """The stored cells in one buffer; nothing for those that there are none of."""
        starts = np.zeros(len(self._plan.coords), dtype=np.int64)
        sizes = np.zeros(len(self._plan.coords), dtype=np.int64)
        base = 0
        for rows, cells in self._pieces:
            starts[rows] = base + cells.starts
            sizes[rows] = cells.sizes
            base += len(cells.data)
        buffers = [cells.data for _, cells in self._pieces]
        return Blobs(buffers[0] if len(buffers) == 1 else b"".join(buffers), starts, sizes)

    def result(self) -> CellRead:
        """The payloads; cells that could not be filled in quickly are decoded with care."""
        if self._buffer is not None:
            cells = self._buffer.blobs()
        else:
            if self._cells is None:
                self._finish()
            assert self._cells is not None
            cells = self._cells
        return CellRead(self._plan.array, self._plan.coords, cells, self._plan.errors)


def _bundles(pieces: Sequence[_Piece]) -> Iterator[Sequence[_Piece]]:
    """Pieces, small ones several at a time, so that each bundle is worth a step."""
    start, waiting = 0, 0
    for number, (_, cells) in enumerate(pieces):
        waiting += len(cells.data)
        if waiting >= PART_BYTES or number + 1 == len(pieces):
            yield pieces[start : number + 1]
            start, waiting = number + 1, 0


def _load_shard_indexes(storage: Storage, plans: Sequence[_Plan], indexes: dict[str, ShardIndex]) -> dict[str, str]:
    """Fetch, in one round, the indexes of all shards that are not known yet; what is wrong with which, by path."""
    unreadable: dict[str, str] = {}
    wanted: dict[str, tuple[Get, _Plan]] = {}
    for plan in plans:
        for path in plan.shards:
            if path not in indexes:
                index = plan.index_request
                wanted[path] = (Get(path, index.start, index.length), plan)
    found = storage.fetch(get for get, _ in wanted.values())
    for path, (get, plan) in wanted.items():
        sharding = plan.array.document.sharding
        assert sharding is not None
        cells = int(np.prod(plan.array.block))
        raw = found[get]
        if raw is None:
            indexes[path] = ShardIndex(np.full((cells, 2), MISSING, dtype="<u8"), None)
            continue
        try:
            entries = decode_shard_index(raw, cells, crc32c=sharding.index_crc32c)
            indexes[path] = ShardIndex(entries, raw[-4:] if sharding.index_crc32c else raw)
        except ValueError as error:
            unreadable[path] = str(error)
    storage.shard_indexes.update({path: indexes[path] for path in wanted if path in indexes})
    return unreadable


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
