"""Level 3: cells of positions, fragments and their attributes, and how they fit together.

Cells are read and checked some at a time, several such batches side by side; what is kept of each is a number or two
for every chunk and fragment.
"""

from __future__ import annotations

from collections.abc import Sequence
from functools import partial

import numpy as np

from zarr_vectors import constants
from zarr_vectors.core.state import LevelState, RootState
from zarr_vectors.parallel import run_all
from zarr_vectors.query.values import distinct_rows
from zarr_vectors.storage.cells import CellArray
from zarr_vectors.storage.storage import Storage
from zarr_vectors.typing import FloatArray, IntArray
from zarr_vectors.validate.batch_rules import Batch, Part
from zarr_vectors.validate.level_cells import NO_ROW_ID, LevelCells, joined_tables
from zarr_vectors.validate.problems import Findings

__all__ = ["check_cells"]

_BATCH_ROWS = 1 << 18
_PROBE_CELLS = 32
_MOST_CELLS = 1 << 14
_THREADED_ROWS = 1 << 17
_FAMILIES = frozenset(
    {
        constants.VERTICES,
        constants.VERTEX_FRAGMENTS,
        constants.VERTEX_ATTRIBUTES,
        constants.FRAGMENT_ATTRIBUTES,
    }
)


def check_cells(storage: Storage, root: RootState, level: LevelState, findings: Findings) -> LevelCells:
    """Check all cells of a level but those of links."""
    arrays = {name: array for name, array in level.cells.items() if name.partition("/")[0] in _FAMILIES}
    coords = _in_reading_order(level.vertices, _all_coords(level.vertices, arrays))
    whole = len(coords) == len(level.vertices.present)
    full = {name for name, array in arrays.items() if whole and array.has_all_of(level.vertices)}
    batch = partial(Batch, storage, root, level, arrays, full, findings)
    parts: dict[int, Part] = {}

    def take(start: int, end: int) -> None:
        parts[start] = batch(coords[start:end]).check()

    begin = 0
    if not level.keeps_count and len(coords) > _PROBE_CELLS:
        # The level does not tell how much its cells hold.
        begin = _PROBE_CELLS
        take(0, begin)
    step = _step(level, parts.get(0))
    steps = [partial(take, start, start + step) for start in range(begin, len(coords), step)]
    run_all(steps, threaded=step * len(steps) * _mean_rows(level, parts.get(0)) >= _THREADED_ROWS)
    cells = _joined(level, coords, [parts[start] for start in sorted(parts)])
    _check_count(level, cells, findings)
    _check_row_ids(level, cells, findings)
    _check_widths(level, [parts[start] for start in sorted(parts)], findings)
    return cells


def _all_coords(vertices: CellArray, arrays: dict[str, CellArray]) -> IntArray:
    """Chunks that any array has a cell for."""
    extra = [array.present[~vertices.has(array.present)] for array in arrays.values() if not vertices.has_all_of(array)]
    if not any(map(len, extra)):
        return vertices.present
    return distinct_rows(np.concatenate([vertices.present, *extra]))


def _in_reading_order(vertices: CellArray, coords: IntArray) -> IntArray:
    """Shard after shard."""
    if not len(coords) or not vertices.document.is_sharded:
        return coords
    index, number = vertices.locate(coords)
    return coords[np.lexsort((number, *index.T[::-1]))]


def _mean_rows(level: LevelState, probe: Part | None) -> int:
    if probe is not None and len(probe.rows):
        return max(1, int(np.maximum(probe.rows, 0).mean()))
    return max(1, level.metadata.vertex_count // max(1, len(level.vertices.present)))


def _step(level: LevelState, probe: Part | None) -> int:
    """Cells of a batch."""
    return min(_MOST_CELLS, max(1, _BATCH_ROWS // _mean_rows(level, probe)))


def _joined(level: LevelState, coords: IntArray, parts: Sequence[Part]) -> LevelCells:
    none = np.zeros(0, dtype=np.int64)
    owned = any(part.owners is not None for part in parts)
    placed = any(part.offsets is not None for part in parts)
    return LevelCells(
        level,
        coords,
        np.concatenate([none, *(part.rows for part in parts)]),
        np.concatenate([none, *(part.fragments for part in parts)]),
        joined_tables([part.table for part in parts]),
        np.concatenate([none, *(part.owners for part in parts if part.owners is not None)]) if owned else None,
        np.concatenate([none, *(part.offsets for part in parts if part.offsets is not None)]) if placed else None,
        np.concatenate([np.zeros(0, dtype=bool), *(part.stated for part in parts)]),
        _extent([part.extent for part in parts if part.extent is not None]),
        _total([part.counted for part in parts]),
        max((part.last_row_id for part in parts), default=NO_ROW_ID),
    )


def _extent(parts: Sequence[tuple[FloatArray, FloatArray]]) -> tuple[FloatArray, FloatArray] | None:
    if not parts:
        return None
    return np.fmin.reduce([low for low, _ in parts]), np.fmax.reduce([high for _, high in parts])


def _total(sums: Sequence[int | None]) -> int | None:
    known = [one for one in sums if one is not None]
    return sum(known) if known and len(known) == len(sums) else None


def _check_count(level: LevelState, cells: LevelCells, findings: Findings) -> None:
    rows = int(np.maximum(cells.rows, 0).sum())
    if not rows and not (cells.rows < 0).any():
        findings.add("no_vertices", str(level.number), "no chunk has vertices")
    stated = level.metadata.vertex_count
    if "vertex_count" not in level.metadata.model_fields_set or rows == stated or not (cells.rows >= 0).all():
        return
    message = f"vertex_count is {stated}, its chunks have {rows} vertices"
    # Others do not keep the count through their edits.
    findings.add("vertex_count", str(level.number), message, severity=None if level.keeps_count else "warning")


def _check_row_ids(level: LevelState, cells: LevelCells, findings: Findings) -> None:
    stated = level.metadata.next_row_id
    if cells.last_row_id >= stated:
        message = f"{constants.NEXT_ROW_ID} is {stated}, the greatest row id {cells.last_row_id}"
        findings.add("next_row_id", str(level.number), message)


def _check_widths(level: LevelState, parts: Sequence[Part], findings: Findings) -> None:
    """Widths of attributes that are not those of their documents; other writers state none for any of theirs."""
    for name in dict.fromkeys(name for part in parts for name in part.widths):
        widths = sorted({part.widths[name] for part in parts if name in part.widths})
        findings.add("row_shape", f"{level.number}/{name}", f"rows have {widths} elements, its document states others")
