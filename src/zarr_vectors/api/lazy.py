"""Columns of a level that are read when they are asked for, at once or block by block with dask."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from operator import attrgetter
from typing import Any
from uuid import uuid4

import numpy as np

from zarr_vectors.api.described import AttributeInfo
from zarr_vectors.api.readable import BLOCK_ROWS, ReadableLevel, block_begins, dask_array, position_dtype
from zarr_vectors.exceptions import ConcurrentEditError, InputError, MissingCellError
from zarr_vectors.geometry import Column, Geometry, as_ids
from zarr_vectors.query.sizes import chunk_sizes, object_sizes
from zarr_vectors.typing import AnyArray, IntArray

__all__ = ["LazyAttribute", "LazyChunk", "LazyRows", "lazy_attribute", "lazy_vertices"]


class LazyRows:
    """A column with a row for each vertex, in the order of ``level.read()``; nothing is read until it is computed.

    Args:
        level: The level.
        names: Attributes that must be read for it.
        pick: The column of a value.
        dtype: Of its elements.
        row_shape: Of a row.

    Example:
        >>> import zarr_vectors as zv
        >>> xy = [[0.0, 1.0], [5.0, 2.0], [6.0, 2.5]]
        >>> _ = zv.write("memory://lazy-doc", zv.Points(xy), layout=zv.Layout(chunk_shape=4))
        >>> level = zv.open("memory://lazy-doc")[0]
        >>> level.vertices.shape, level.vertices[1, 0].compute().tolist()
        ((3, 2), [[5.0, 2.0], [6.0, 2.5]])
        >>> level.vertices.to_dask().mean(axis=0).compute().tolist() == level.vertices.compute().mean(axis=0).tolist()
        True
    """

    def __init__(
        self,
        level: ReadableLevel,
        names: Sequence[str],
        pick: Callable[[Geometry], Column],
        dtype: np.dtype[Any],
        row_shape: tuple[int, ...],
    ) -> None:
        self._level = level
        self._names = tuple(names)
        self._pick = pick
        self.dtype = dtype
        self._row_shape = row_shape

    @property
    def shape(self) -> tuple[int, ...]:
        """Shape as the level's documents state it."""
        return (self._level.vertex_count, *self._row_shape)

    @property
    def ndim(self) -> int:
        """Number of dimensions."""
        return 1 + len(self._row_shape)

    def __len__(self) -> int:
        return self._level.vertex_count

    def compute(self) -> Column:
        """Read all rows."""
        return self._pick(self._level.read(attributes=self._names, link_attributes=()))

    def __array__(self, dtype: Any = None, copy: bool | None = None) -> AnyArray:
        return np.asarray(self.compute(), dtype=dtype)

    def __getitem__(self, chunk: Any) -> LazyChunk:
        """The rows of one chunk, by its coordinates.

        Raises:
            MissingCellError: The chunk holds no vertices.
        """
        try:
            coords = as_ids("chunk coordinates", np.atleast_1d(chunk))[None]
        except InputError as error:
            raise InputError(
                "rows are taken chunk by chunk, with chunk coordinates", got=repr(chunk), hint="or all with compute()"
            ) from error
        vertices = self._level.state.vertices
        if coords.shape[1] != vertices.ndim or not vertices.has(coords).all():
            raise MissingCellError(
                "there are no vertices in this chunk", store=self._level.storage.url, cell=tuple(coords[0].tolist())
            )
        return LazyChunk(self._level, coords, self._names, self._pick)

    def to_dask(self, block_rows: int = BLOCK_ROWS) -> Any:
        """A dask array of all rows; indexes are read to know how many there are in each block, and nothing else.

        Args:
            block_rows: About how many rows are read at a time; a chunk, or a line, is not split.

        Raises:
            MissingDependencyError: dask is not installed.
        """
        array = dask_array()
        blocks = _Blocks.of(self._level, self._names, self._pick, block_rows)
        sizes = tuple(blocks.sizes.tolist())
        if not sum(sizes):
            return array.from_array(np.asarray(self.compute()), chunks=-1)
        row_shape = self._row_shape if self._level.state.keeps_count else np.shape(blocks.read(0))[1:]
        return array.map_blocks(
            blocks,
            chunks=(sizes, *((length,) for length in row_shape)),
            dtype=self.dtype,
            meta=np.empty((0,) * (1 + len(row_shape)), dtype=self.dtype),
            name=f"zarr-vectors-{uuid4().hex}",
        )

    def __repr__(self) -> str:
        return f"LazyRows({self.shape}, {self.dtype})"


@dataclass(frozen=True)
class LazyChunk:
    """The rows of one chunk."""

    level: ReadableLevel
    coords: IntArray
    names: tuple[str, ...]
    pick: Callable[[Geometry], Column]

    def compute(self) -> Column:
        """Read them."""
        return self.pick(self.level.read_chunks(self.coords, attributes=self.names))


@dataclass(frozen=True)
class LazyAttribute(AttributeInfo):
    """The type of an attribute, and its values when they are asked for.

    Args:
        rows: The values.
    """

    rows: LazyRows | None = field(default=None, compare=False, repr=False)

    def _rows(self) -> LazyRows:
        if self.rows is None:
            raise InputError("this attribute does not belong to a level")
        return self.rows

    def compute(self) -> Column:
        """Read the values of all vertices, in the order of ``level.read()``."""
        return self._rows().compute()

    def __getitem__(self, chunk: Any) -> LazyChunk:
        return self._rows()[chunk]

    def to_dask(self, block_rows: int = BLOCK_ROWS) -> Any:
        """A dask array, as ``LazyRows.to_dask`` makes it; text is an array of objects."""
        return self._rows().to_dask(block_rows)


@dataclass(frozen=True, eq=False)
class _Blocks:
    """Reads a column block by block: chunks, or objects where lines come object by object."""

    level: ReadableLevel
    names: tuple[str, ...]
    pick: Callable[[Geometry], Column]
    units: IntArray
    firsts: IntArray
    sizes: IntArray
    by_object: bool
    seen: frozenset[bytes]

    @classmethod
    def of(
        cls, level: ReadableLevel, names: tuple[str, ...], pick: Callable[[Geometry], Column], block_rows: int
    ) -> _Blocks:
        by_object, seen = level.kind.connects == "sequence", level.root.seen
        if by_object:
            units, sizes = object_sizes(level.storage, level.state)
        else:
            units, sizes = level.state.vertices.present, chunk_sizes(level.storage, level.state)
        firsts = block_begins(sizes, block_rows)
        sums = np.add.reduceat(sizes, firsts) if len(firsts) else np.zeros(0, dtype=np.int64)
        return cls(level, names, pick, units, np.append(firsts, len(units)), sums, by_object, seen)

    def read(self, number: int) -> AnyArray:
        """The rows of one block."""
        units = self.units[self.firsts[number] : self.firsts[number + 1]]
        if self.by_object:
            value = self.level.read(object_ids=units, attributes=self.names, link_attributes=())
        else:
            value = self.level.read_chunks(units, attributes=self.names)
        if self.level.root.seen != self.seen:
            raise ConcurrentEditError(
                "the store was changed while it was read block by block",
                store=self.level.storage.url,
                hint="make the dask array anew",
            )
        column = self.pick(value)
        return column if isinstance(column, np.ndarray) else np.asarray(column)

    def __call__(self, block_id: tuple[int, ...] = (0,)) -> AnyArray:
        return self.read(block_id[0])


@dataclass(frozen=True)
class _Named:
    """Picks an attribute of a value; unlike a local function, it can be pickled."""

    name: str

    def __call__(self, value: Geometry) -> Column:
        return value.attributes[self.name]


def lazy_vertices(level: ReadableLevel) -> LazyRows:
    """The positions of a level."""
    return LazyRows(level, (), attrgetter("positions"), position_dtype(level), (len(level.root.axes),))


def lazy_attribute(level: ReadableLevel, name: str, info: AttributeInfo, row_shape: tuple[int, ...]) -> LazyAttribute:
    """An attribute of a level."""
    rows = LazyRows(level, (name,), _Named(name), info.dtype, row_shape)
    return LazyAttribute(info.dtype, info.channels, info.categories, info.unit, info.per_fragment, rows)
