"""How the rows of a level become cells: which arrays there are, and which cell a row lies in."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from math import prod
from typing import Any

import numpy as np

from zarr_vectors import constants
from zarr_vectors.core.documents import ColumnSpec
from zarr_vectors.spatial.grid import chunk_coords
from zarr_vectors.storage.cells import CellArray
from zarr_vectors.types.fragment_values import GivenFragments
from zarr_vectors.types.kinds import Connects
from zarr_vectors.typing import AnyArray, IntArray

__all__ = ["CellPlan"]

_BLOCK_ROWS = 1 << 15


@dataclass(frozen=True)
class CellPlan:
    """How the rows of a level become cells.

    Args:
        arrays: Chunk-grid arrays by name below the level, on one grid with one shard shape. The grid may have an axis
            before the spatial ones; every row then says its coordinate there.
        chunk_shape: Edge lengths of a chunk.
        bin_shape: Edge lengths of a bin.
        bins: Bins of a chunk along each axis.
        dtype: Of the stored positions.
        columns: Types of the vertex attributes.
        per_fragment: Types of the attributes that are stored once for each fragment.
        given: Fragment attributes whose values are said chunk by chunk, rather than by the rows.
        has_objects: Whether fragments follow objects rather than bins.
        connects: What connects the vertices.
        whole: Whether the arrays' shards do not coincide, so that rows cannot be written shard by shard.
        explicit: Whether links of a tree are all stored, those too that follow from the order of rows.
    """

    arrays: Mapping[str, CellArray]
    chunk_shape: tuple[float, ...]
    bin_shape: tuple[float, ...]
    bins: tuple[int, ...]
    dtype: np.dtype[Any]
    columns: Mapping[str, ColumnSpec]
    has_objects: bool
    connects: Connects = "nothing"
    whole: bool = False
    explicit: bool = False
    per_fragment: Mapping[str, ColumnSpec] = field(default_factory=dict)
    given: Mapping[str, GivenFragments] = field(default_factory=dict)

    @property
    def vertices(self) -> CellArray:
        """The array that all others follow."""
        return self.arrays[constants.VERTICES]

    def fragment_path(self, name: str) -> str:
        """Where an attribute that is stored per fragment lies; one that has a vertex attribute's name says the path."""
        return f"{constants.FRAGMENT_ATTRIBUTES}/{name.removeprefix(f'{constants.FRAGMENT_ATTRIBUTES}/')}"

    @property
    def binned(self) -> bool:
        """Whether fragments are bins."""
        return not self.has_objects and int(np.prod(self.bins)) > 1

    def keys(self, positions: AnyArray, lead: AnyArray | None = None) -> AnyArray:
        """``(N,)`` number of each row's cell, counting shard by shard.

        Args:
            positions: ``(N, D)``.
            lead: ``(N,)`` coordinates on the axis before the spatial ones, counted from 0; None where there is none.
        """
        tables = self._key_tables()
        origin = self.vertices.grid.origin[-len(self.chunk_shape) :]
        keys = np.zeros(len(positions), dtype=tables[0].dtype)
        for start in range(0, len(positions), _BLOCK_ROWS):
            rows = slice(start, start + _BLOCK_ROWS)
            local = chunk_coords(positions[rows], self.chunk_shape, origin)
            for axis, table in enumerate(tables):
                inside = local[axis] if lead is None else lead[rows] if axis == 0 else local[axis - 1]
                keys[rows] += table.take(inside)
        return keys

    def shards(self, positions: AnyArray, lead: AnyArray | None = None) -> AnyArray:
        """``(N,)`` number of each row's stored object."""
        per_shard = prod(self.vertices.block)
        blocks = [-(-n // b) for n, b in zip(self.vertices.grid.shape, self.vertices.block, strict=True)]
        dtype = np.uint16 if prod(blocks) <= 2**16 else np.int64
        shards = np.empty(len(positions), dtype=dtype)
        for start in range(0, len(positions), _BLOCK_ROWS):
            rows = slice(start, start + _BLOCK_ROWS)
            shards[rows] = self.keys(positions[rows], None if lead is None else lead[rows]) // per_shard
        return shards

    def keys_of(self, coords: IntArray) -> IntArray:
        """``(n,)`` the same number for chunk coordinates."""
        local = coords - np.asarray(self.vertices.grid.origin)
        keys = np.zeros(len(coords), dtype=np.int64)
        for axis, table in enumerate(self._key_tables()):
            keys += table.take(local[:, axis])
        return keys

    @property
    def key_dtype(self) -> np.dtype[Any]:
        """Of cell numbers; shards at the edges of the grid count whole."""
        blocks = [-(-n // b) for n, b in zip(self.vertices.grid.shape, self.vertices.block, strict=True)]
        return np.dtype(np.uint32 if prod(blocks) * prod(self.vertices.block) < 2**32 else np.int64)

    def _key_tables(self) -> list[AnyArray]:
        """For each axis, what a cell's place along it adds to the cell's number."""
        grid, block = self.vertices.grid, self.vertices.block
        blocks = [-(-n // b) for n, b in zip(grid.shape, block, strict=True)]
        per_block = prod(block)
        tables = []
        for axis, length in enumerate(grid.shape):
            index, inner = np.divmod(np.arange(length), block[axis])
            number = index * (prod(blocks[axis + 1 :]) * per_block) + inner * prod(block[axis + 1 :])
            tables.append(number.astype(self.key_dtype))
        return tables

    def coords(self, keys: AnyArray) -> IntArray:
        """``(n, K)`` chunk coordinates of cell numbers."""
        grid, block = self.vertices.grid, np.asarray(self.vertices.block)
        blocks = tuple(-(-np.asarray(grid.shape) // block))
        number, inner = np.divmod(keys.astype(np.int64), int(np.prod(block)))
        index = np.stack(np.unravel_index(number, blocks), axis=1)
        local = np.stack(np.unravel_index(inner, tuple(block)), axis=1)
        return np.asarray(index * block + local + np.asarray(grid.origin), dtype=np.int64)

    def cell_numbers(self, coords: IntArray) -> IntArray:
        """``(n,)`` C-order number in the grid, which orders as the coordinates do."""
        grid = self.vertices.grid
        local = (coords - np.asarray(grid.origin)).T
        return np.asarray(np.ravel_multi_index(tuple(local), grid.shape), dtype=np.int64)

    def numbered_coords(self, numbers: AnyArray) -> IntArray:
        """``(..., K)`` coordinates of such numbers."""
        return self.vertices.grid.coords_of(numbers)
