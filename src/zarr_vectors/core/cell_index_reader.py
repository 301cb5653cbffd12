"""The cell index of an opened level: loaded when a query can profit from it, believed where stamps agree."""

from __future__ import annotations

from collections.abc import Hashable, Sequence
from dataclasses import dataclass, field, replace
from functools import cached_property
from typing import Any

import numpy as np

from zarr_vectors import constants
from zarr_vectors.core.cell_index import CELLS, INDEX_VERSION, STAMPS, Described, chunk_facts, objects_of
from zarr_vectors.encoding.blobs import Blobs, Buffer
from zarr_vectors.encoding.codecs import known_chain
from zarr_vectors.encoding.sharding import MISSING, decode_shard_index, index_size
from zarr_vectors.exceptions import CorruptionError, MetadataError
from zarr_vectors.metadata.array import ArrayDocument
from zarr_vectors.spatial.grid import Grid
from zarr_vectors.storage.backend import Get
from zarr_vectors.storage.cell_array import CellArray
from zarr_vectors.storage.storage import Storage
from zarr_vectors.storage.tables import TableArray
from zarr_vectors.typing import BoolArray, FloatArray, IntArray

__all__ = ["CellIndex", "LazyIndex", "open_index"]

_END_LOCAL = 1 << 20
_END_REMOTE = 1 << 16
"""Bytes from the end of the facts that are fetched before it is known how many there are."""
_MOST_FACTS = 2**16
_LARGEST_TABLE = 2**62


@dataclass
class CellIndex:
    """What a level's index says.

    Args:
        level: Number of the level.
        storage: The store, from which facts are read when they are asked for.
        document: Of ``cell_index/cells``.
        described: The arrays whose objects have stamps.
        stamps: ``(N, 2)`` size and mark of their stored objects, array after array.
        entries: ``(W, 2)`` where each row of facts lies, and its bytes.
        end: The last bytes of the stored facts.
        length: Bytes of all of them.
    """

    level: int
    storage: Storage
    document: ArrayDocument
    described: list[Described]
    stamps: IntArray
    entries: IntArray
    end: Buffer
    length: int
    _facts: dict[str, FloatArray] = field(default_factory=dict)
    _objects: dict[Hashable, tuple[IntArray, IntArray]] = field(default_factory=dict)
    _told: dict[str, tuple[CellArray, int | None]] = field(default_factory=dict)
    _ends: dict[str, tuple[CellArray, IntArray]] = field(default_factory=dict)

    @cached_property
    def names(self) -> dict[str, int]:
        """The row of each fact."""
        listed = self.document.attributes.get("columns")
        if not isinstance(listed, (list, tuple)) or len(listed) != self.document.shape[0]:
            raise self._malformed("its columns do not fit its shape")
        return {str(name): row for row, name in enumerate(listed)}

    def apart(self, storage: Storage) -> CellIndex:
        """The same, which asks another storage for what it does not know yet."""
        facts, objects = dict(self._facts), dict(self._objects)
        return replace(self, storage=storage, _facts=facts, _objects=objects, _told={}, _ends={})

    @property
    def is_sealed(self) -> bool:
        """Whether all stamps agreed when the store was published, since when nobody changes it."""
        return self.storage.is_published and self.level in self.storage.sealed

    @cached_property
    def coords(self) -> IntArray:
        """``(C, K)`` the cells, in numeric order."""
        names = [name for name in self.names if name.startswith("chunk/")]
        rows = self.facts(chunk_facts(len(names)))
        numbers = np.stack([rows[name] for name in chunk_facts(len(names))], axis=1)
        if not (np.abs(numbers) < 2.0**53).all():
            raise self._malformed("a coordinate is no whole number")
        return numbers.astype(np.int64)

    @cached_property
    def _keys(self) -> tuple[IntArray, IntArray, IntArray]:
        """Lowest coordinates, spans, and the ascending number of each cell in the block that they make."""
        low = self.coords.min(axis=0)
        span = self.coords.max(axis=0) - low + 1
        if float(np.prod(span.astype(np.float64))) >= _LARGEST_TABLE:
            raise self._malformed("its cells lie too far apart")
        return low, span, np.ravel_multi_index(tuple((self.coords - low).T), tuple(span.tolist()))

    def find(self, coords: IntArray) -> IntArray:
        """``(n,)`` column of each cell; -1 for those that the index does not know."""
        low, span, keys = self._keys
        if len(coords) == len(keys) and np.array_equal(coords, self.coords):
            return np.arange(len(coords), dtype=np.int64)
        inside = Grid(tuple(low.tolist()), tuple(span.tolist())).contains(coords)
        found = np.full(len(coords), -1, dtype=np.int64)
        wanted = np.ravel_multi_index(tuple((coords[inside] - low).T), tuple(span.tolist()))
        place = np.searchsorted(keys, wanted)
        found[inside] = np.where(np.append(keys, -1)[place] == wanted, place, -1)
        return found

    def columns_of_ends(self, array: CellArray, chunks: IntArray) -> IntArray:
        """``(n, L)`` column of the chunk of each end of links; found once for an array.

        Args:
            array: Of the links of a segment.
            chunks: ``(n, L, K)`` for each of its present cells.
        """
        name = array.path
        known = self._ends.get(name)
        if known is None or known[0] is not array:
            flat = self.find(chunks.reshape(-1, chunks.shape[2]))
            known = self._ends[name] = array, flat.reshape(chunks.shape[:2])
        return known[1]

    def has(self, names: Sequence[str]) -> bool:
        """Whether the index has all of these facts."""
        return all(name in self.names for name in names)

    def facts(self, names: Sequence[str]) -> dict[str, FloatArray]:
        """``(C,)`` float64 of each cell for each of these facts, which the index must have; read where not yet known.

        Raises:
            CorruptionError: They cannot be read.
        """
        wanted = [name for name in names if name not in self._facts]
        if wanted:
            rows = np.array([self.names[name] for name in wanted], dtype=np.int64)
            self._facts |= dict(zip(wanted, self._decode(self._stored(rows)), strict=True))
        return {name: self._facts[name] for name in names}

    def _stored(self, rows: IntArray) -> list[Buffer]:
        """Rows of facts as they are stored; those at the end are there already."""
        begin = self.length - len(self.end)
        path = f"{self.level}/{CELLS}/c/0/0"
        gets = {row: Get(path, *self.entries[row].tolist()) for row in rows.tolist() if self.entries[row, 0] < begin}
        found = self.storage.fetch(gets.values())
        parts: list[Buffer] = []
        for row in rows.tolist():
            start, size = self.entries[row].tolist()
            data = found[gets[row]] if row in gets else self.end[start - begin : start - begin + size]
            if data is None or len(data) != size:
                raise self._corrupt("its facts are truncated")
            parts.append(data)
        return parts

    def _decode(self, stored: Sequence[Buffer]) -> list[FloatArray]:
        sharding = self.document.any_sharding
        codec = None if sharding is None else known_chain(sharding.inner[1:])
        if codec is None:
            raise self._malformed("its codecs are not known")
        size = self.document.shape[1] * 8
        raw, errors = codec.decode_each(Blobs.from_list(stored), size)
        if errors or any(len(row) != size for row in raw):
            raise self._corrupt(next(iter(errors.values()), "a row of facts has another length"))
        return [np.frombuffer(row, dtype="<f8").astype(np.float64, copy=False) for row in raw]

    # What may be believed

    def agreeing(self, arrays: Sequence[CellArray], cells: IntArray) -> list[BoolArray]:
        """For each array, ``(n,)`` whether the facts that were taken from its part of each cell still hold.

        Args:
            arrays: Arrays of the level as they are.
            cells: ``(n,)`` columns of the index.
        """
        return self.agreeing_each([(array, cells) for array in arrays])

    def agreeing_each(self, asked: Sequence[tuple[CellArray, IntArray]]) -> list[BoolArray]:
        """The same for cells of its own of each array, with a single question of the place.

        Args:
            asked: Arrays, and columns of the index; of arrays of links, places among their present cells.
        """
        if self.is_sealed:
            return [np.ones(len(cells), dtype=bool) for _, cells in asked]
        wanted: list[tuple[IntArray, IntArray] | bool] = []
        paths: list[str] = []
        for array, cells in asked:
            place = self._place(array)
            if place is None or not len(cells) or self.described[place].is_of_presence:
                wanted.append(place is not None)
                continue
            index, which = self._objects_of(place, array)
            objects, member = np.unique(which[cells], return_inverse=True)
            first = sum(one.objects for one in self.described[:place])
            wanted.append((first + objects, np.asarray(member).reshape(-1)))
            paths += [array.object_path(row) for row in index[objects].tolist()]
        told = iter(self.storage.stamps(paths))
        found = []
        for one, (_, cells) in zip(wanted, asked, strict=True):
            if isinstance(one, bool):
                found.append(np.full(len(cells), one))
                continue
            same = [tuple(known) == next(told) for known in self.stamps[one[0]].tolist()]
            found.append(np.array(same, dtype=bool)[one[1]])
        return found

    def describes(self, array: CellArray) -> bool:
        """Whether it describes an array as it is, as far as documents tell."""
        return self._place(array) is not None

    def _place(self, array: CellArray) -> int | None:
        """Which of the described arrays it is; None where it is none, or has its cells in other objects by now."""
        name = array.path.partition("/")[2]
        known = self._told.get(name)
        if known is None or known[0] is not array:
            places = (number for number, one in enumerate(self.described) if one.name == name and one.describes(array))
            known = self._told[name] = array, next(places, None)
        return known[1]

    def _objects_of(self, place: int, array: CellArray) -> tuple[IntArray, IntArray]:
        """Indices of an array's stored objects, and which of them each cell lies in."""
        one = self.described[place]
        # Most arrays have their cells in objects of the same shape.
        key = one.origin, one.shape, one.presence
        if key not in self._objects:
            coords = self.coords if one.presence is None else array.present
            self._objects[key] = objects_of(one.origin, one.shape, coords)
        found = self._objects[key]
        if len(found[0]) != one.objects:
            raise self._malformed("it names other objects than its cells lie in")
        return found

    def _corrupt(self, what: str) -> CorruptionError:
        return CorruptionError("the cell index cannot be read", **self._about(what))

    def _malformed(self, what: str) -> MetadataError:
        return MetadataError("the cell index is malformed", **self._about(what))

    def _about(self, what: str) -> dict[str, Any]:
        hint = "make it anew: store.index(), or zarr-vectors index"
        return {"store": self.storage.url, "array": f"{self.level}/{CELLS}", "got": what, "hint": hint}


@dataclass
class LazyIndex:
    """The index of a level, loaded when it is asked for the first time.

    Args:
        level: Number of the level; None where it has no index.
    """

    level: int | None = None
    _loaded: CellIndex | None = None
    _done: bool = False

    @property
    def is_known(self) -> bool:
        """Whether nothing need be read any more to have it."""
        return self._done or self.level is None

    def get(self, storage: Storage) -> CellIndex | None:
        """The index; None where there is none that can be used, which costs speed alone and is told by ``validate``."""
        if not self._done and self.level is not None:
            try:
                self._loaded = open_index(storage, self.level)
                if self._loaded is not None:
                    self._loaded.find(np.zeros((0, self._loaded.coords.shape[1]), dtype=np.int64))
            except (CorruptionError, MetadataError):
                self._loaded = None
            self._done = True
        if self._loaded is not None:
            self._loaded.storage = storage
        return self._loaded

    def on(self, storage: Storage) -> LazyIndex:
        """The same, as far as it has been loaded, which asks another storage for the rest."""
        loaded = self._loaded
        if loaded is not None:
            # Facts that either reads stay its own.
            loaded = loaded.apart(storage)
        return LazyIndex(self.level, loaded, self._done)

    def __getstate__(self) -> dict[str, Any]:
        """Whoever gets it reads it again."""
        return {"level": self.level, "_loaded": None, "_done": False}


def open_index(storage: Storage, level: int) -> CellIndex | None:
    """Read the documents of a level's index, its stamps and the end of its facts, in one round; None where it has none.

    Raises:
        MetadataError: A document is malformed.
        CorruptionError: The stamps, or where the facts lie, cannot be read.
    """
    end = _END_LOCAL if storage.backend.is_local else _END_REMOTE
    facts, stamps = Get(f"{level}/{CELLS}/c/0/0", -end), Get(f"{level}/{STAMPS}/c/0/0")
    paths = [f"{level}/{name}/zarr.json" for name in (CELLS, STAMPS)]
    documents, found = storage.read_with(paths, [facts, stamps])
    if any(documents[path] is None for path in paths):
        return None
    cells, table = (ArrayDocument.parse(documents[path] or {}, where=path) for path in paths)
    data = found[facts]
    if data is None or found[stamps] is None:
        raise CorruptionError("the cell index is gone", store=storage.url, array=f"{level}/{CELLS}")
    entries, length = _places(storage, level, cells, data)
    table_array = TableArray(f"{level}/{STAMPS}", table, storage.url)
    told = np.asarray(table_array.decode(found, None), dtype=np.int64)
    return CellIndex(level, storage, cells, _described(storage, table, told), told, entries, data, length)


def _places(storage: Storage, level: int, cells: ArrayDocument, end: Buffer) -> tuple[IntArray, int]:
    """Where the rows of facts lie, and the bytes of all that is stored."""
    where = f"{level}/{CELLS}"
    shape, sharding = cells.shape, cells.any_sharding
    usable = (
        cells.attributes.get(constants.CELL_INDEX_KEY) == INDEX_VERSION
        and cells.data_type == "float64"
        and len(shape) == 2
        and 0 < shape[0] <= _MOST_FACTS
        and shape[1] > 0
        and cells.chunk_shape == shape
        and cells.inner_shape == (1, shape[1])
        and sharding is not None
        and sharding.index_at_end
    )
    if not usable or sharding is None:
        raise MetadataError("the cell index is of a form that is not known", store=storage.url, array=where)
    size = index_size(shape[0], sharding.index_crc32c)
    try:
        raw = decode_shard_index(end[-size:], shape[0], crc32c=sharding.index_crc32c)
    except ValueError as error:
        raise CorruptionError(
            "the cell index cannot be read", store=storage.url, array=where, got=str(error)
        ) from error
    if (raw == MISSING).any() or (raw > _LARGEST_TABLE).any():
        raise CorruptionError("the cell index lacks facts", store=storage.url, array=where)
    entries = raw.astype(np.int64)
    length = int(entries.sum(axis=1).max()) + size
    if length < len(end):
        raise CorruptionError("the cell index has another length", store=storage.url, array=where)
    return entries, length


def _described(storage: Storage, document: ArrayDocument, stamps: IntArray) -> list[Described]:
    """The arrays whose objects have stamps, as the document of the stamps says."""
    where = f"{document.attributes.get('arrays')!r}"[:200]
    try:
        found = [
            Described(
                str(one["name"]),
                tuple(int(n) for n in one["origin"]),
                tuple(int(n) for n in one["object_shape"]),
                int(one["objects"]),
                None if one.get("presence") is None else str(one["presence"]),
            )
            for one in document.attributes["arrays"]
        ]
    except (AttributeError, KeyError, TypeError, ValueError) as error:
        raise MetadataError(
            "the cell index does not tell what its stamps are of", store=storage.url, got=where
        ) from error
    bad = any(min(one.shape, default=0) < 1 or one.objects < 0 for one in found)
    if bad or stamps.ndim != 2 or stamps.shape != (sum(one.objects for one in found), 2):
        raise MetadataError("the stamps of the cell index do not fit their arrays", store=storage.url, got=where)
    return found
