"""The cell index: what is known of each cell of a level without reading it.

Two typed arrays below the level, which other software need not know. ``cell_index/cells`` has a row of float64 for
each fact and a column for each cell that held vertices, in numeric order; ``cell_index/stamps`` tells, for every stored
object of the arrays that the facts are of, how it was when the facts were taken. A fact counts only while the object
that it was taken from is still the same.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from hashlib import blake2b

import numpy as np

from zarr_vectors import constants
from zarr_vectors.core.documents import group_document
from zarr_vectors.encoding.blobs import Blobs
from zarr_vectors.encoding.codecs import ByteCodec
from zarr_vectors.encoding.sharding import encode_shard
from zarr_vectors.metadata.array import ArrayDocument
from zarr_vectors.metadata.base import dump_json
from zarr_vectors.spatial.grid import number_rows
from zarr_vectors.storage.backend import Stamp
from zarr_vectors.storage.cell_array import CellArray
from zarr_vectors.storage.commit import Stamps
from zarr_vectors.storage.storage import Put
from zarr_vectors.storage.tables import STORED_WHOLE
from zarr_vectors.typing import FloatArray, IntArray, JsonObject

__all__ = [
    "CELLS",
    "INDEX_VERSION",
    "ROWS",
    "STAMPS",
    "CellTable",
    "Described",
    "Linking",
    "attribute_facts",
    "box_facts",
    "cells_digest",
    "chunk_facts",
    "described_arrays",
    "digest_of",
    "index_puts",
    "objects_of",
    "reach_facts",
]

INDEX_VERSION = 1
CELLS = "cell_index/cells"
STAMPS = "cell_index/stamps"
ROWS = "rows"
UNTOLD = Stamp(-2, -2)
"""In place of a stamp that the place could not tell."""
_CODEC = ByteCodec(zstd=(1, True))
_CODECS: list[JsonObject] = [
    {"name": "bytes", "configuration": {"endian": "little"}},
    {"name": "zstd", "configuration": {"level": 1, "checksum": True}},
]
_STAMP_CODEC = ByteCodec(crc32c=True)
"""Times hardly compress, and so the size of their object does not hang on when a store was written."""
_STAMP_CODECS: list[JsonObject] = [{"name": "bytes", "configuration": {"endian": "little"}}, {"name": "crc32c"}]


def chunk_facts(ndim: int) -> list[str]:
    """Rows that hold the cells' coordinates."""
    return [f"chunk/{axis}" for axis in range(ndim)]


def box_facts(ndim: int, kind: str = "") -> list[str]:
    """Rows that hold the lowest corner, then the highest, of each cell's vertices.

    Example:
        >>> box_facts(2)
        ['low/0', 'low/1', 'high/0', 'high/1']
    """
    return [f"{kind}{side}/{axis}" for side in ("low", "high") for axis in range(ndim)]


def reach_facts(ndim: int) -> list[str]:
    """The same of the vertices and of all segments, edges and faces that have an end in the cell.

    Example:
        >>> reach_facts(1)
        ['reach_low/0', 'reach_high/0']
    """
    return box_facts(ndim, "reach_")


def attribute_facts(path: str) -> list[str]:
    """Rows that hold the range of an attribute and how many rows lack a value.

    Args:
        path: Of its array below the level.
    """
    return [f"{path}/{what}" for what in ("low", "high", "nulls")]


@dataclass(frozen=True)
class CellTable:
    """Facts of cells.

    Args:
        coords: ``(C, K)`` the cells, in numeric order.
        facts: ``(C,)`` float64 by name; NaN where unknown.
    """

    coords: IntArray
    facts: Mapping[str, FloatArray] = field(default_factory=dict)

    def matrix(self) -> tuple[list[str], FloatArray]:
        """Names of the rows, and the ``(W, C)`` values, the coordinates first."""
        names = [*chunk_facts(self.coords.shape[1]), *self.facts]
        rows = [*self.coords.T.astype(np.float64), *self.facts.values()]
        return names, np.stack(rows) if rows else np.zeros((0, 0))


@dataclass(frozen=True)
class Described:
    """An array whose stored objects have stamps.

    Args:
        name: Below the level.
        origin: Chunk coordinate of the first cell of its grid.
        shape: Cells of a stored object along each axis.
        objects: How many stored objects the index names.
        presence: Names the cells that the array had, where the objects are those of its own cells rather than those of
            the cells that hold vertices.
    """

    name: str
    origin: tuple[int, ...]
    shape: tuple[int, ...]
    objects: int
    presence: str | None = None

    @property
    def is_of_presence(self) -> bool:
        """Whether it matters only which cells the array has, not what they hold."""
        return self.presence is not None and not self.objects

    def to_json(self) -> JsonObject:
        """What the document says."""
        return {
            "name": self.name,
            "origin": list(self.origin),
            "object_shape": list(self.shape),
            "objects": self.objects,
            **({} if self.presence is None else {"presence": self.presence}),
        }

    def describes(self, array: CellArray) -> bool:
        """Whether the array still has its cells in the same objects, and the same cells where these are its own."""
        same = self.origin == tuple(array.grid.origin) and self.shape == tuple(array.block)
        return same and (self.presence is None or self.presence == cells_digest(array.present))


@dataclass(frozen=True)
class Linking:
    """The links that lead out of cells, as an index describes them.

    Args:
        arrays: The arrays of their segments, and which cells each has.
        by_record: Whether their records tell what is connected; else the order of fragments does, and records only
            which chunks are.
    """

    arrays: Sequence[tuple[CellArray, IntArray]]
    by_record: bool


def objects_of(origin: Sequence[int], shape: Sequence[int], coords: IntArray) -> tuple[IntArray, IntArray]:
    """``(n, K)`` indices of the stored objects of cells, each once in numeric order, and ``(C,)`` which is whose."""
    index = (coords - np.asarray(origin)) // np.asarray(shape)
    if not len(index):
        return index, np.zeros(0, dtype=np.int64)
    _, first, which = np.unique(number_rows(index), return_index=True, return_inverse=True)
    return index[first], np.asarray(which, dtype=np.int64).reshape(-1)


def digest_of(keys: bytes) -> str:
    """What names the text of a presence list."""
    return blake2b(keys, digest_size=16).hexdigest()


def cells_digest(coords: IntArray) -> str:
    """What names the cells of an array, in numeric order."""
    return digest_of(np.ascontiguousarray(coords, dtype="<i8").tobytes())


def described_arrays(names: Iterable[str]) -> list[str]:
    """Those arrays of a level that facts are taken from, or that decide which rows a read brings."""
    heads = (constants.VERTICES, constants.VERTEX_FRAGMENTS, constants.VERTEX_ATTRIBUTES)
    return [name for name in names if name.partition("/")[0] in heads]


def index_puts(
    level: int,
    table: CellTable,
    arrays: Mapping[str, CellArray],
    stamps: Stamps,
    said: JsonObject | None = None,
    linking: Linking | None = None,
) -> Iterator[Put]:
    """The stored objects and documents of a level's index; nothing for a level without cells.

    Args:
        level: Its number.
        table: The facts.
        arrays: The arrays that they were taken from, by name below the level, as they will be.
        stamps: Tells how the stored objects will be.
        said: More attributes of ``cell_index/cells``.
        linking: The links that boxes of what reaches out of cells are from; None where there are no such boxes.
    """
    if not len(table.coords):
        return
    names, values = table.matrix()
    codecs, ones = _CODECS, [1, values.shape[1]]
    document = ArrayDocument.build(
        shape=values.shape,
        data_type="float64",
        chunk_shape=values.shape,
        cell_shape=ones,
        codecs=codecs,
        fill_value="NaN",
        attributes={
            "zv_array": "cell_index",
            constants.CELL_INDEX_KEY: INDEX_VERSION,
            "columns": names,
            STORED_WHOLE: True,
            **(said or {}),
        },
    )
    raw = np.ascontiguousarray(values, dtype="<f8")
    cells = _CODEC.encode(Blobs.packed(raw.reshape(-1), np.full(len(raw), raw.shape[1] * 8, dtype=np.int64)))
    yield f"{level}/{CELLS}/c/0/0", encode_shard(cells, np.arange(len(raw)), (len(raw), 1))
    yield f"{level}/{CELLS}/zarr.json", dump_json(document.to_json())
    yield from _stamp_puts(level, table.coords, arrays, stamps, linking)
    yield f"{level}/{constants.CELL_INDEX}/zarr.json", dump_json(group_document())


def _stamp_puts(
    level: int, coords: IntArray, arrays: Mapping[str, CellArray], stamps: Stamps, linking: Linking | None
) -> Iterator[Put]:
    described: list[Described] = []
    paths: list[str] = []
    held: list[tuple[CellArray, IntArray, str | None]] = [(array, coords, None) for array in arrays.values()]
    if linking is not None:
        of_none = slice(None if linking.by_record else 0)
        held += [(array, cells[of_none], cells_digest(cells)) for array, cells in linking.arrays]
    for array, cells, presence in held:
        index, _ = objects_of(array.grid.origin, array.block, cells)
        name = array.path.partition("/")[2]
        described.append(Described(name, tuple(array.grid.origin), tuple(array.block), len(index), presence))
        paths += [array.object_path(row) for row in index.tolist()]
    told = np.array([UNTOLD if stamp is None else stamp for stamp in stamps(paths)], dtype="<i8").reshape(-1, 2)
    document = ArrayDocument.build(
        shape=told.shape,
        data_type="int64",
        chunk_shape=[max(1, len(told)), 2],
        codecs=_STAMP_CODECS,
        fill_value=UNTOLD.size,
        attributes={
            "zv_array": "cell_index_stamps",
            "arrays": [one.to_json() for one in described],
            STORED_WHOLE: True,
        },
    )
    yield f"{level}/{STAMPS}/c/0/0", _STAMP_CODEC.encode(Blobs.from_list([told.tobytes()]))[0]
    yield f"{level}/{STAMPS}/zarr.json", dump_json(document.to_json())
