"""What a cell index must say: computed from the cells themselves, and compared."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np

import zarr_vectors as zv
from zarr_vectors.core.cell_index import ROWS, attribute_facts, box_facts, reach_facts
from zarr_vectors.core.cell_reach import reach_holds
from zarr_vectors.core.state import open_root
from zarr_vectors.query.geometry import read_shape
from zarr_vectors.query.hits import segments_of
from zarr_vectors.query.selection import Selection
from zarr_vectors.storage.cells import read_cells
from zarr_vectors.types.value import plan_for

__all__ = ["facts_known", "index_of", "ranges_of", "reach_known", "true_reach"]


def index_of(place: Path, number: int = 0) -> Any:
    """The index of a level as a fresh open finds it; None where it has none."""
    level = zv.open(place)[number]
    return level.state.index.get(level.storage)


def facts_known(place: Path, number: int = 0) -> float:
    """Check every fact that is believed against the cells; which share of all facts is."""
    level = zv.open(place)[number]
    state, storage = level.state, level.storage
    index = state.index.get(storage)
    assert index is not None
    ndim = len(state.chunk_shape)
    arrays = [state.vertices, *(state.cells[f"vertex_attributes/{name}"] for name in state.vertex_columns)]
    agree = index.agreeing(arrays, np.arange(len(index.coords)))
    known = total = 0
    for array, holds in zip(arrays, agree, strict=True):
        name = array.path.partition("/")[2]
        wanted = [ROWS, *box_facts(ndim)] if name == "vertices" else attribute_facts(name)
        spec = state.vertex_columns.get(name.partition("/")[2])
        if spec is not None and (spec.row_shape != () or spec.dtype.kind not in "biuf"):
            assert not index.has(wanted)
            continue
        facts = index.facts(wanted)
        (read,) = read_cells(storage, [(array, index.coords)])
        for cell, data in enumerate(read.check().cells.to_list()):
            total += 1
            if not holds[cell] or np.isnan(facts[wanted[0] if spec is None else wanted[2]][cell]):
                continue
            known += 1
            said = [float(facts[fact][cell]) for fact in wanted]
            if spec is None:
                rows = np.frombuffer(data, dtype=state.position_dtype).reshape(-1, ndim)
                true = [len(rows), *rows.min(axis=0).tolist(), *rows.max(axis=0).tolist()]
            else:
                true = ranges_of(np.frombuffer(data, dtype=spec.dtype), codes=spec.categories is not None)
            close = np.array(true, dtype=np.float64)
            np.testing.assert_allclose(said, close, rtol=2**-51, err_msg=f"{name} {cell}")
            assert spec is None or spec.dtype.kind != "i" or (int(said[0]) <= true[0] and int(said[1]) >= true[1])
    return known / total


def ranges_of(values: Any, *, codes: bool) -> list[float]:
    """Least, greatest and how many are missing."""
    missing = values < 0 if codes else np.isnan(values) if values.dtype.kind == "f" else np.zeros(len(values), bool)
    there = values[~missing]
    return [*((there.min().item(), there.max().item()) if len(there) else (np.nan, np.nan)), int(missing.sum())]


def true_reach(level: Any) -> Any:
    """``(C, 2, D)`` the box of the vertices of each chunk and of all that has an end there, one after another."""
    root, _ = open_root(level.storage)
    shape = read_shape(level.storage, level.state, Selection(places=True), plan_for(root, level.kind, None, None))
    assert shape.rows.places is not None
    chunk, where = shape.rows.places[:, 0], shape.rows.positions.astype(np.float64)
    if shape.links is not None:
        ends = shape.links.ends
    else:
        ends = segments_of(shape)
    boxes = np.full((len(level.state.vertices.present), 2, where.shape[1]), np.nan)
    for rows in [*([row] for row in range(len(where))), *ends.tolist()]:
        for one in {int(chunk[row]) for row in rows}:
            boxes[one, 0] = np.fmin(boxes[one, 0], where[rows].min(axis=0))
            boxes[one, 1] = np.fmax(boxes[one, 1], where[rows].max(axis=0))
    return boxes


def reach_known(place: Any, number: int = 0) -> float:
    """Check every box of what reaches out of cells that is believed; which share of all cells has one."""
    level = zv.open(place)[number]
    index = level.state.index.get(level.storage)
    assert index is not None
    names = reach_facts(len(level.state.chunk_shape))
    if not index.has(names):
        return 0.0
    assert index.coords.tolist() == level.state.vertices.present.tolist()
    said = np.stack([index.facts(names)[name] for name in names], axis=1).reshape(len(index.coords), 2, -1)
    believed = reach_holds(level.state, index, np.arange(len(index.coords))) & ~np.isnan(said).any(axis=(1, 2))
    true = true_reach(level)
    np.testing.assert_allclose(said[believed], true[believed], rtol=2**-51)
    return float(believed.mean())
