"""Whether the cell index of a level says of its cells what is true, where it is believed."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np

from zarr_vectors import constants
from zarr_vectors.core.cell_index import CELLS, INDEX_VERSION, ROWS, CellTable, box_facts, reach_facts
from zarr_vectors.core.cell_index_reader import CellIndex, open_index
from zarr_vectors.core.cell_reach import reach_holds
from zarr_vectors.core.state import LevelState
from zarr_vectors.exceptions import CorruptionError, MetadataError
from zarr_vectors.storage.storage import Storage
from zarr_vectors.types.index_level import learn_level
from zarr_vectors.typing import BoolArray, FloatArray
from zarr_vectors.validate.problems import Findings

__all__ = ["check_index"]

_COMPARED_FROM = 4
"""Level of validation."""


def check_index(storage: Storage, level: LevelState, findings: Findings) -> None:
    """Compare all facts that queries believe with the cells, which are read once more for that."""
    if (level.document.get("attributes") or {}).get(constants.CELL_INDEX_KEY) != INDEX_VERSION:
        return
    index = open_index(storage, level.number)
    if index is None:
        message = "the level says that it has a cell index, and has none"
        findings.add("index_missing", f"{level.number}/{CELLS}", message)
        return
    index.find(index.coords)
    if findings.level < _COMPARED_FROM:
        index.facts(list(index.names))
        return
    try:
        true = learn_level(storage, level).table(index.coords)
    except (CorruptionError, MetadataError) as error:
        # It is told of the array itself.
        findings.leave_out("whether the cell index is right", error)
        return
    names = [name for name in level.vertex_columns if f"{constants.VERTEX_ATTRIBUTES}/{name}/low" in index.names]
    paths = [constants.VERTICES, *(f"{constants.VERTEX_ATTRIBUTES}/{name}" for name in names)]
    held = index.agreeing([level.cells[path] for path in paths], np.arange(len(index.coords)))
    for path, holds in zip(paths, held, strict=True):
        wrong = holds & _wrong(index, path, true.facts, len(level.chunk_shape))
        _tell(findings, index, path, np.asarray(wrong))
    _check_reach(findings, level, index, true)


def _check_reach(findings: Findings, level: LevelState, index: CellIndex, true: CellTable) -> None:
    """The same for boxes of what reaches out of chunks."""
    ndim = len(level.chunk_shape)
    names = reach_facts(ndim)
    if not index.has(names):
        return
    holds = reach_holds(level, index, np.arange(len(index.coords)))
    wrong = holds & _outside(index, true.facts, names[:ndim], names[ndim:])
    message = "the index says of what reaches out of this chunk what is not so"
    findings.add_cells("index_differs", f"{index.level}/{CELLS}", index.coords, wrong, lambda _: message)


def _tell(findings: Findings, index: CellIndex, path: str, wrong: BoolArray) -> None:
    message = f"the index says of {path} in this chunk what is not so"
    findings.add_cells("index_differs", f"{index.level}/{CELLS}", index.coords, wrong, lambda _: message)


def _wrong(index: CellIndex, path: str, true: Mapping[str, FloatArray], ndim: int) -> BoolArray:
    """``(C,)`` of which cells the index says too little of an array; what it does not know is never wrong."""
    exact, low, high = f"{path}/nulls", [f"{path}/low"], [f"{path}/high"]
    if path == constants.VERTICES:
        box = box_facts(ndim)
        exact, low, high = ROWS, box[:ndim], box[ndim:]
    return _outside(index, true, low, high, [exact])


def _outside(
    index: CellIndex,
    true: Mapping[str, FloatArray],
    low: Sequence[str],
    high: Sequence[str],
    exact: Sequence[str] = (),
) -> BoolArray:
    """``(C,)`` of which cells what is true lies beyond what the index says, or is not what it must be exactly."""
    said = index.facts([name for name in (*exact, *low, *high) if name in index.names])
    wrong = np.zeros(len(index.coords), dtype=bool)
    for names, differs in ((exact, np.not_equal), (low, np.greater), (high, np.less)):
        for name in names:
            if name in said and name in true:
                unknown = np.isnan(said[name]) | np.isnan(true[name])
                wrong |= differs(said[name], true[name]) & ~unknown
    return wrong
