"""Level 3: cells of attributes against the rows that they belong to."""

from __future__ import annotations

import numpy as np

from zarr_vectors.core.documents import ColumnSpec
from zarr_vectors.encoding.blobs import offsets_of
from zarr_vectors.storage.cells import CellRead
from zarr_vectors.typing import BoolArray, IntArray
from zarr_vectors.validate.problems import Findings

__all__ = ["check_column"]


def check_column(
    read: CellRead,
    spec: ColumnSpec,
    rows: IntArray,
    usable: BoolArray,
    findings: Findings,
    kind: str = "attribute_rows",
) -> int | None:
    """Check that each cell has a value for every row, and no codes without a category.

    Args:
        read: The cells.
        rows: ``(n,)`` rows that each cell is to have; below 0 where they are not known.
        usable: ``(n,)`` whether each cell could be read.
        kind: What a cell of another number of rows is told as.

    Returns:
        Elements of a row, as the sizes of the cells tell; None where nothing tells.
    """
    sizes, item = read.cells.sizes, spec.dtype.itemsize
    known = usable & (rows >= 0)
    filled = known & (rows > 0)
    safe = np.maximum(rows, 1)
    width = sizes // (safe * item)
    exact = width * safe * item == sizes
    common: int | None = None
    if filled.any():
        stated = exact & (width == spec.channels)
        # Other writers state a width that is not true: what most cells have counts.
        common = spec.channels if stated[filled].any() else max(1, _most_common(width[filled]))
    bad = filled & ~(exact & (width == (common or 1))) | (known & (rows == 0) & (sizes > 0))
    findings.add_cells(
        kind,
        read.array.path,
        read.coords,
        bad,
        lambda row: f"{sizes[row]} bytes for {rows[row]} rows of {common or spec.channels} {spec.dtype}",
    )
    if spec.categories is not None and spec.dtype.kind in "iu":
        _check_codes(read, spec, np.flatnonzero(filled & ~bad), findings)
    return common


def _most_common(widths: IntArray) -> int:
    values, counts = np.unique(widths, return_counts=True)
    return int(values[counts.argmax()])


def _check_codes(read: CellRead, spec: ColumnSpec, cells: IntArray, findings: Findings) -> None:
    chosen = read.cells.take(cells)
    if not chosen.total:
        return
    codes = np.frombuffer(chosen.joined(), dtype=spec.dtype)
    starts = offsets_of(chosen.sizes // spec.dtype.itemsize)[:-1]
    low = np.minimum.reduceat(codes, starts).astype(np.int64)
    high = np.maximum.reduceat(codes, starts).astype(np.int64)
    count = len(spec.categories or ())
    bad = (low < -1) | (high >= count)
    findings.add_cells(
        "category_code",
        read.array.path,
        read.coords[cells],
        bad,
        lambda row: f"codes from {low[row]} to {high[row]} for {count} categories",
    )
