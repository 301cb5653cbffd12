"""The cells of a group's arrays, one by one or as a round."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from typing import Any, TypeAlias

import numpy as np

from zarr_vectors import constants
from zarr_vectors.core.documents import cell_array_document
from zarr_vectors.core.node import Node, plain_attributes, whole_numbers
from zarr_vectors.core.session import NativeShards, check_in_grid
from zarr_vectors.encoding.blobs import Buffer
from zarr_vectors.encoding.compression import cell_codecs
from zarr_vectors.exceptions import CorruptionError, InputError, MissingCellError, StoreError
from zarr_vectors.spatial.grid import Grid, format_keys, parse_keys
from zarr_vectors.storage.cells import CellArray
from zarr_vectors.typing import ChunkCoord, IntArray

__all__ = ["CellsOfGroup"]

Key: TypeAlias = "str | ChunkCoord"
"""A chunk key, or the coordinates that it stands for."""


class CellsOfGroup(Node):
    """The part of ``Group`` that has to do with chunk-grid arrays."""

    def create_sharded_chunk_array(
        self,
        array_name: str,
        grid_shape: Sequence[int],
        *,
        shard_shape: Sequence[int] | None = None,
        attributes: Mapping[str, Any] | None = None,
        origin: Sequence[int] | None = None,
        compressor: Any = None,
    ) -> None:
        """Make an array with a cell for each chunk of a grid; an array without cells is made anew.

        Args:
            array_name: Path below the group.
            grid_shape: Chunks along each axis, as ``compute_grid_shape`` gives them.
            shard_shape: Chunks per stored object along each axis; None for one.
            attributes: Of the array.
            origin: Chunk coordinate of the first cell; 0 on every axis by default.
            compressor: As in ``Layout``; that of ``batched_writes`` by default.

        Raises:
            StoreError: An array with cells is there, or the shapes differ in rank.
            InputError: A shape is not whole numbers from 1, or the compressor is not known.
            ReadOnlyError: The store was opened for reading.

        Example:
            >>> import zarr_vectors as zv
            >>> level = zv.create_store("memory://sharded-doc", bounds=([0, 0], [99, 99]), chunk_shape=(10, 10))["0"]
            >>> level.create_sharded_chunk_array("vertex_attributes/w", (10, 10), shard_shape=(4, 4))
            >>> level.write_bytes("vertex_attributes/w", "3.7", b"....")
            >>> level.list_chunks("vertex_attributes/w")
            ['3.7']
        """
        self._session.check_writable()
        shape = whole_numbers("grid_shape", grid_shape, least=1)
        shard = None if shard_shape is None else whole_numbers("shard_shape", shard_shape, least=1)
        start = (0,) * len(shape) if origin is None else whole_numbers("origin", origin)
        for name, given in (("shard_shape", shard or shape), ("origin", start)):
            if len(given) != len(shape):
                raise StoreError(f"{name} and grid_shape differ in rank", got=f"{given} and {shape}")
        codecs = cell_codecs(self._session.compressor if compressor is None else compressor)
        document = cell_array_document(Grid(start, shape), shard, codecs, plain_attributes(attributes or {}))
        full = self._below(array_name)
        waiting = self._session.pending
        old = self._session.document(full)
        listed = ((old or {}).get("attributes") or {}).get(constants.NONEMPTY_CHUNKS)
        if listed or (waiting is not None and waiting.cells.get(full)):
            raise StoreError("an array with cells is there", store=self.url, array=array_name, hint="delete it first")
        with self._session.changes() as changes:
            changes.declare(full, document.to_json())

    @contextmanager
    def native_sharded_arrays(
        self, shard_shape: Sequence[int], grid_shape: Sequence[int], *, origin: Sequence[int] | None = None
    ) -> Iterator[None]:
        """Make the arrays of cells that ``core.arrays`` creates inside the block sharded, on this grid.

        Args:
            shard_shape: Chunks per stored object along each axis.
            grid_shape: Chunks along each axis.
            origin: Chunk coordinate of the first cell; by default that of the level's bounds.

        Returns:
            A context, which gives None.

        Raises:
            StoreError: Inside another ``native_sharded_arrays``, or the shapes differ in rank.

        Example:
            >>> import zarr_vectors as zv
            >>> from zarr_vectors.core.arrays import create_attribute_array
            >>> level = zv.create_store("memory://native-doc", bounds=([0, 0], [99, 99]), chunk_shape=(10, 10))["0"]
            >>> with level.native_sharded_arrays((5, 5), (10, 10)):
            ...     create_attribute_array(level, "intensity")
            >>> level.zarr_group["vertex_attributes/intensity"].shards
            (5, 5)
        """
        if self._session.native is not None:
            raise StoreError("native_sharded_arrays cannot be nested", store=self.url)
        shard, shape = whole_numbers("shard_shape", shard_shape, least=1), whole_numbers("grid_shape", grid_shape, 1)
        start = None if origin is None else whole_numbers("origin", origin)
        if len(shard) != len(shape) or (start is not None and len(start) != len(shape)):
            raise StoreError("shard_shape, grid_shape and origin differ in rank", got=f"{shard}, {shape}, {start}")
        self._session.native = NativeShards(shard, shape, start)
        try:
            yield
        finally:
            self._session.native = None

    def list_chunks(self, name: str) -> list[str]:
        """Keys of the cells that an array has, sorted as text; empty where there is no array."""
        array = self._session.arrays([self._full(name)]).get(self._full(name))
        return [] if array is None or array.keys is None else sorted(array.keys)

    def list_chunk_coords(self, name: str) -> list[ChunkCoord]:
        """The same as coordinates, in numeric order."""
        array = self._session.arrays([self._full(name)]).get(self._full(name))
        return [] if array is None or array.keys is None else [tuple(row) for row in array.present.tolist()]

    def chunk_exists(self, name: str, key: Key) -> bool:
        """Whether an array has a cell.

        Raises:
            StoreError: There is no such array.
        """
        array = self._session.array(self._full(name))
        return bool(array.has(_coords(array, [key]))[0])

    def read_bytes(self, name: str, key: Key) -> bytes:
        """Payload of a cell.

        Raises:
            MissingCellError: The presence list does not name the cell.
            CorruptionError: It does, and the cell is gone or corrupt.
            StoreError: There is no such array.

        Example:
            >>> import zarr_vectors as zv
            >>> level = zv.create_store("memory://read-bytes-doc")["0"]
            >>> level.write_bytes("vertices", "0.0.1", b"")
            >>> level.read_bytes("vertices", (0, 0, 1))
            b''
            >>> level.read_bytes("vertices", "0.0.0")
            Traceback (most recent call last):
            ...
            zarr_vectors.exceptions.MissingCellError: the array has no such cell ...
        """
        array = self._session.array(self._full(name))
        coords = _coords(array, [key])
        place = (array.path, tuple(coords[0].tolist()))
        known = self._session.prefetched.cells if self._session.prefetched is not None else {}
        if place not in known:
            known = self._session.read_cells({array.path: (array, coords)}).cells
        if place not in known:
            raise MissingCellError(
                "the array has no such cell", store=self.url, array=name, cell=format_keys(coords)[0]
            )
        found = known[place]
        if isinstance(found, CorruptionError):
            raise found
        return found

    def write_bytes(self, name: str, key: Key, data: Buffer) -> None:
        """Write a cell, empty or not, and record its presence.

        Raises:
            StoreError: There is no such array, or the cell is outside its grid.
            InputError: The key or the data cannot be meant.
            ReadOnlyError: The store was opened for reading.
        """
        self.write_cells(name, [(key, data)])

    def write_cells(self, name: str, cells: Iterable[tuple[Key, Buffer]] | Mapping[Any, Buffer]) -> int:
        """Write many cells of an array in one commit.

        Args:
            name: Path of the array below the group.
            cells: Keys or coordinates with payloads; a key that comes twice counts with its last payload.

        Returns:
            Number of cells.

        Raises:
            StoreError: There is no such array, or a cell is outside its grid.
            InputError: A key or the data cannot be meant.
            ReadOnlyError: The store was opened for reading.

        Example:
            >>> import zarr_vectors as zv
            >>> level = zv.create_store("memory://write-cells-doc")["0"]
            >>> level.write_cells("vertices", {"0.0.0": b"abc", (0, 0, 1): b"de"})
            2
        """
        self._session.check_writable()
        items = list(cells.items() if isinstance(cells, Mapping) else cells)
        bad = [type(data).__name__ for _, data in items if not isinstance(data, (bytes, bytearray, memoryview))]
        if bad:
            raise InputError("the payload of a cell must be bytes", got=bad[0])
        array = self._session.array(self._full(name))
        coords = _coords(array, [key for key, _ in items])
        check_in_grid(array, coords)
        payloads = {tuple(coord): bytes(data) for coord, (_, data) in zip(coords.tolist(), items, strict=True)}
        with self._session.changes() as changes:
            changes.cells.setdefault(array.path, {}).update(payloads)
        return len(payloads)

    @contextmanager
    def batched_reads(self, plan: Iterable[tuple[str, Iterable[Key]]]) -> Iterator[None]:
        """Fetch the cells of a plan in a round, and serve ``read_bytes`` from them inside the block.

        The documents of the arrays take one round, and the cells one more, or two where they lie in shards. Cells
        that are not in the plan are read one by one, as outside.

        Args:
            plan: ``(array name, chunk keys)``; arrays and cells that there are not are passed over.

        Returns:
            A context, which gives None.

        Raises:
            StoreError: Inside another ``batched_reads``.
            InputError: The plan is not such pairs, or a key cannot be meant.

        Example:
            >>> import zarr_vectors as zv
            >>> level = zv.create_store("memory://batched-reads-doc")["0"]
            >>> level.write_bytes("vertices", "0.0.0", b"abc")
            >>> with level.batched_reads([("vertices", level.list_chunks("vertices"))]):
            ...     level.read_bytes("vertices", "0.0.0")
            b'abc'
        """
        if self._session.prefetched is not None:
            raise StoreError("batched_reads cannot be nested", store=self.url)
        asked: dict[str, list[Key]] = {}
        for name, keys in _pairs(plan):
            asked.setdefault(self._full(name), []).extend(keys)
        arrays = self._session.arrays(list(asked))
        wanted = {path: (array, np.unique(_coords(array, asked[path]), axis=0)) for path, array in arrays.items()}
        self._session.prefetched = self._session.read_cells(wanted)
        try:
            yield
        finally:
            self._session.prefetched = None


def _pairs(plan: Any) -> Iterator[tuple[str, list[Key]]]:
    """The entries of a plan.

    Raises:
        InputError: One is not a name with keys.
    """
    for entry in plan:
        pair = entry if isinstance(entry, Sequence) and not isinstance(entry, str) else ()
        if len(pair) != 2 or not isinstance(pair[0], str) or isinstance(pair[1], str) or not np.iterable(pair[1]):
            raise InputError("a plan is pairs of an array name and a list of chunk keys", got=repr(entry)[:200])
        yield pair[0], list(pair[1])


def _coords(array: CellArray, keys: Sequence[Key]) -> IntArray:
    """``(n, K)`` coordinates of chunk keys.

    Raises:
        InputError: A key has another rank, or is not integers joined by dots.
    """
    try:
        return parse_keys([key if isinstance(key, str) else ".".join(map(str, key)) for key in keys], array.ndim)
    except (TypeError, ValueError) as error:
        raise InputError(
            f"a chunk key must be {array.ndim} integers joined by dots", array=array.path, got=str(error)
        ) from error
