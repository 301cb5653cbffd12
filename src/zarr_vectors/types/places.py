"""Where each row of the input has come to lie, for links that name rows of the input."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from zarr_vectors.exceptions import InputError
from zarr_vectors.typing import AnyArray, IntArray

__all__ = ["Places"]

_MOST_CELLS = 2**32 - 1


@dataclass
class Places:
    """Cell and row of each of ``N`` input rows.

    Args:
        cells: ``(N,)`` C-order number of the row's cell in the grid.
        rows: ``(N,)`` row inside the cell.
    """

    cells: AnyArray
    rows: AnyArray

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

    def put(self, numbers: AnyArray, cells: AnyArray, rows: AnyArray) -> None:
        """Say where input rows lie."""
        if len(rows) and int(rows.max()) > _MOST_CELLS:
            raise InputError("a chunk has too many vertices", got=int(rows.max()), hint="use smaller chunks")
        self.cells[numbers] = cells
        self.rows[numbers] = rows

    def at(self, numbers: IntArray) -> tuple[IntArray, IntArray]:
        """Cells and rows of input rows, in the shape of ``numbers``."""
        flat = numbers.ravel()
        cells = self.cells.take(flat).astype(np.int64).reshape(numbers.shape)
        return cells, self.rows.take(flat).astype(np.int64).reshape(numbers.shape)
