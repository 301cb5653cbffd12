"""Where each row of the input has come to lie, for links that name rows of the input."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from zarr_vectors.exceptions import InputError
from zarr_vectors.rowwise import take_rows
from zarr_vectors.typing import AnyArray, IntArray

__all__ = ["Places"]

_MOST_CELLS = 2**32 - 1


@dataclass
class Places:
    """Cell and row of each of ``N`` input rows.

    Args:
        cells: ``(N,)`` C-order number of the row's cell in the grid.
        rows: ``(N,)`` row inside the cell.
        positions: ``(N, D)`` the position; None where nobody asks for it.
    """

    cells: AnyArray
    rows: AnyArray
    positions: AnyArray | None = None

    @classmethod
    def of(cls, count: int, grid_cells: int, folder: Path | None = None) -> Places:
        """Room for so many rows: in memory, or in files of a folder."""
        dtype: Any = np.uint32 if grid_cells <= _MOST_CELLS else np.int64
        if folder is None or not count:
            return cls(np.zeros(count, dtype=dtype), np.zeros(count, dtype=np.uint32))
        return cls(
            np.memmap(folder / "place-cells", dtype=dtype, mode="w+", shape=(count,)),
            np.memmap(folder / "place-rows", dtype=np.uint32, mode="w+", shape=(count,)),
        )

    def keep_positions(self, ndim: int, dtype: np.dtype[Any], folder: Path | None = None) -> None:
        """Make room for positions too."""
        shape = (len(self.cells), ndim)
        if folder is None or not len(self.cells):
            self.positions = np.zeros(shape, dtype=dtype)
        else:
            self.positions = np.memmap(folder / "place-positions", dtype=dtype, mode="w+", shape=shape)

    def put(self, numbers: AnyArray, cells: AnyArray, rows: AnyArray) -> None:
        """Say where input rows lie."""
        if len(rows) and int(rows.max()) > _MOST_CELLS:
            raise InputError("a chunk has too many vertices", got=int(rows.max()), hint="use smaller chunks")
        self.cells[numbers] = cells
        self.rows[numbers] = rows

    def put_positions(self, numbers: AnyArray, positions: AnyArray) -> None:
        """Say at which positions; nothing happens where nobody asks."""
        if self.positions is not None:
            self.positions[numbers] = positions

    def positions_of(self, ends: IntArray) -> Callable[[IntArray], AnyArray] | None:
        """What tells, of some of these links by their numbers, the ``(m, L, D)`` positions of their ends.

        Args:
            ends: ``(n, L)`` input rows.
        """
        kept = self.positions
        if kept is None:
            return None

        def positions(which: IntArray) -> AnyArray:
            return take_rows(kept, ends[which].reshape(-1)).reshape(len(which), ends.shape[1], kept.shape[1])

        return positions

    def at(self, numbers: IntArray) -> tuple[IntArray, IntArray]:
        """Cells and rows of input rows, in the shape of ``numbers``."""
        flat = numbers.ravel()
        cells = self.cells.take(flat).astype(np.int64).reshape(numbers.shape)
        return cells, self.rows.take(flat).astype(np.int64).reshape(numbers.shape)
