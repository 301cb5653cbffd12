"""Reading cells of chunk-grid arrays: from the bytes that a round brings to payloads."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from functools import cached_property, partial

import numpy as np

from zarr_vectors.encoding.blobs import Blobs, Buffer
from zarr_vectors.encoding.pick import ItemRuns, pick_items
from zarr_vectors.encoding.place import ItemPlaces, place_items
from zarr_vectors.encoding.unpack import FRAME_HEAD_BYTES, PART_BYTES, PayloadBuffer, frame_sizes, payload_sizes
from zarr_vectors.parallel import run_all
from zarr_vectors.storage.backend import Get
from zarr_vectors.storage.cell_array import CellArray, CellRead
from zarr_vectors.storage.cell_plan import CellPlan, Piece, load_shard_indexes, plans_of
from zarr_vectors.storage.storage import Storage
from zarr_vectors.storage.whole import no_memory
from zarr_vectors.typing import ByteArray, IntArray

__all__ = ["CellArray", "CellRead", "PackedCells", "read_cells", "read_packed"]

_GAP_LOCAL = 16 * 1024
_GAP_REMOTE = 256 * 1024
_THREADED_BYTES = 1 << 20
"""Less stored than this is decoded before threads have started."""
_PACKED_BYTES = 1 << 22
"""Cells of less than this are better decoded as a whole."""
_FEW_PIECES = 4
_MANY_CELLS = 32


class PackedCells:
    """Cells of an array that have been brought, and are decoded when it is known what of them is wanted.

    Args:
        sizes: ``(n,)`` bytes of the payload of each cell.
        cells: ``(n,)`` numbers of the cells, in any order.
        frames: The cells as they are stored, in that order.
        decoded: Decodes all of them.
    """

    def __init__(
        self, sizes: IntArray, cells: IntArray, frames: list[memoryview], decoded: Callable[[], CellRead]
    ) -> None:
        self.sizes = sizes
        self._cells = cells
        self._frames = frames
        self.decoded = decoded

    def items(self, runs: ItemRuns) -> ByteArray | None:
        """``(N, width)`` uint8 items of the payloads; None if a cell is not sound."""
        return pick_items(self._cells, self._frames, self.sizes, runs)

    def placed(self, places: ItemPlaces) -> ByteArray | None:
        """``(N, width)`` uint8 all items of the payloads in their places; None if a cell is not sound."""
        return place_items(self._cells, self._frames, self.sizes, places)


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

    Raises:
        OutOfMemoryError: The cells do not fit into memory, or state sizes that do not.
    """
    with _told_of_memory(storage, wanted):
        found = _decoded(_brought(storage, plans_of(wanted), decode))
    return [found[number] for number in range(len(wanted))]


def read_packed(
    storage: Storage, packed: Sequence[tuple[CellArray, IntArray]], wanted: Sequence[tuple[CellArray, IntArray]]
) -> tuple[list[PackedCells], list[CellRead]]:
    """Read cells as ``read_cells`` does, without decoding those of some arrays.

    Returns:
        The cells of those arrays, and those of the others. Where they are few, or not plain, all are decoded, and come
        with the others after none.

    Raises:
        OutOfMemoryError: The cells do not fit into memory, or state sizes that do not.
    """
    with _told_of_memory(storage, [*packed, *wanted]):
        readings = _brought(storage, plans_of([*packed, *wanted], apart=len(packed)), True)
        waiting = [reading.packed() for reading in readings[: len(packed)]]
        whole = [cells for cells in waiting if cells is not None]
        if len(whole) < len(packed) or sum(int(cells.sizes.sum()) for cells in whole) < _PACKED_BYTES:
            whole = []
        found = _decoded(readings[len(whole) :])
    return whole, [found[number] for number in range(len(whole), len(packed) + len(wanted))]


@contextmanager
def _told_of_memory(storage: Storage, wanted: Sequence[tuple[CellArray, IntArray]]) -> Iterator[None]:
    """Say which cells it was that did not fit."""
    try:
        yield
    except MemoryError as error:
        names = ", ".join(array.path for array, _ in wanted)
        raise no_memory(f"cells of {names}", storage.url, error) from error


def _brought(storage: Storage, plans: Sequence[CellPlan], decode: bool) -> list[_Reading]:
    """The bytes of the cells."""
    while True:
        # Others may read the store at the same time, and let go of an index that they find changed.
        known = {path: storage.shard_indexes.get(path) for plan in plans for path in plan.shards}
        indexes = {path: index for path, index in known.items() if index is not None}
        seals = {path: plan.seal_request(path) for plan in plans for path in plan.shards if path in indexes}
        unreadable = load_shard_indexes(storage, plans, indexes)
        gap = _GAP_LOCAL if storage.backend.is_local else _GAP_REMOTE
        for plan in plans:
            plan.make_requests(indexes, unreadable, gap)
        requests = [*seals.values(), *(get for plan in plans for get in plan.requests)]
        counts = sum(plan.count for plan in plans), max((len(plan.places.coords) for plan in plans), default=0)
        found = storage.fetch_cells(requests, *counts)
        changed = [path for path, get in seals.items() if found[get] != indexes[path].seal]
        if not changed:
            return [_Reading(plan, found, decode) for plan in plans]
        for path in changed:
            storage.shard_indexes.pop(path, None)


def _decoded(readings: Sequence[_Reading]) -> dict[int, CellRead]:
    """The cells of each array, by its number."""
    steps = [step for reading in readings for step in reading.steps()]
    run_all(steps, threaded=sum(reading.nbytes for reading in readings) >= _THREADED_BYTES)
    return {number: read for reading in readings for number, read in reading.results().items()}


class _Reading:
    """The cells of one plan, from what a round brought to their payloads."""

    def __init__(self, plan: CellPlan, found: dict[Get, Buffer | None], decode: bool) -> None:
        self._plan = plan
        self._found = found
        self._decode = decode
        self._buffer: PayloadBuffer | None = None
        self._cells: Blobs | None = None

    @cached_property
    def _pieces(self) -> list[Piece]:
        """The cells as they are stored, with the errors of those that are not there."""
        return self._plan.stored(self._found)

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
        if not self._decode or not self._is_plain:
            return [self._finish]
        self._buffer = PayloadBuffer.for_frames(*self._frame_sizes())
        if self._buffer is None:
            return [self._finish]
        if not self._buffer.splits:
            return [partial(self._fill_all, self._buffer)]
        return [step for pieces in _bundles(self._pieces) for step in self._filling(self._buffer, pieces)]

    @property
    def _is_plain(self) -> bool:
        """Whether all cells are there, as zstd frames."""
        codec = self._plan.array.codec
        if codec is None or codec.zstd is None or codec.crc32c:
            return False
        return bool(self._pieces) and not self._plan.errors

    def packed(self) -> PackedCells | None:
        """The cells as they are, of one array; None where they are not plain."""
        if not self._is_plain:
            return None
        sizes = payload_sizes(*self._frame_sizes())
        if sizes is None:
            return None
        (number,) = self._plan.arrays
        cells = np.concatenate([rows for rows, _ in self._pieces])
        frames = [frame for _, blobs in self._pieces for frame in blobs.views()]
        return PackedCells(sizes, cells, frames, lambda: _decoded([self])[number])

    def _frame_sizes(self) -> tuple[IntArray, IntArray]:
        """What each frame states to hold, and its own bytes."""
        sizes = np.full(self._plan.count, -1, dtype=np.int64)
        stored = np.zeros(self._plan.count, dtype=np.int64)
        for rows, cells in self._pieces:
            stored[rows] = cells.sizes
        pieces = self._pieces
        if len(pieces) > _FEW_PIECES and len(sizes) < _MANY_CELLS * len(pieces):
            # Asked one by one, many small pieces would take longer than their cells.
            heads = [head for _, cells in pieces for head in cells.heads(FRAME_HEAD_BYTES)]
            pieces = [(np.concatenate([rows for rows, _ in pieces]), Blobs.from_list(heads))]
        for rows, cells in pieces:
            sizes[rows] = frame_sizes(cells)
        return sizes, stored

    def _filling(self, buffer: PayloadBuffer, pieces: Sequence[Piece]) -> list[Callable[[], None]]:
        """Steps of about the same size, from one large piece or several small ones."""
        if len(pieces) > 1:
            return [partial(self._fill_from, buffer, pieces)]
        rows, cells = pieces[0]
        return [partial(self._fill, buffer, rows[part], cells.take(part)) for part in buffer.parts(rows)]

    def _fill_all(self, buffer: PayloadBuffer) -> None:
        for rows, cells in self._pieces:
            self._fill(buffer, rows, cells)

    def _fill_from(self, buffer: PayloadBuffer, pieces: Sequence[Piece]) -> None:
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
        starts = np.zeros(self._plan.count, dtype=np.int64)
        sizes = np.zeros(self._plan.count, dtype=np.int64)
        base = 0
        for rows, cells in self._pieces:
            starts[rows] = base + cells.starts
            sizes[rows] = cells.sizes
            base += len(cells.data)
        buffers = [cells.data for _, cells in self._pieces]
        return Blobs(buffers[0] if len(buffers) == 1 else b"".join(buffers), starts, sizes)

    def results(self) -> dict[int, CellRead]:
        """The payloads of each array; cells that could not be filled in quickly are decoded with care."""
        if self._buffer is not None:
            cells = self._buffer.blobs()
        else:
            if self._cells is None:
                self._finish()
            assert self._cells is not None
            cells = self._cells
        coords, errors, reads = self._plan.places.coords, self._plan.errors, {}
        for at, (number, array) in enumerate(self._plan.arrays.items()):
            rows = range(at * len(coords), (at + 1) * len(coords))
            mine = {row - rows.start: what for row, what in errors.items() if row in rows}
            reads[number] = CellRead(array, coords, cells.part(rows.start, rows.stop), mine)
        return reads


def _bundles(pieces: Sequence[Piece]) -> Iterator[Sequence[Piece]]:
    """Pieces, small ones several at a time, so that each bundle is worth a step."""
    start, waiting = 0, 0
    for number, (_, cells) in enumerate(pieces):
        waiting += len(cells.data)
        if waiting >= PART_BYTES or number + 1 == len(pieces):
            yield pieces[start : number + 1]
            start, waiting = number + 1, 0
