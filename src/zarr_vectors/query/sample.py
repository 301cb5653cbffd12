"""A part of a selection by chance: rows of points, objects of all else."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace

import numpy as np

from zarr_vectors.core.state import LevelState
from zarr_vectors.query.batches import shapes_by_object
from zarr_vectors.query.drawing import drawn_rows
from zarr_vectors.query.geometry import objects_selected
from zarr_vectors.query.read_plan import ReadPlan
from zarr_vectors.query.rows import iter_rows
from zarr_vectors.query.selection import Selection
from zarr_vectors.query.shape import Shape
from zarr_vectors.query.values import Rows, joined_rows
from zarr_vectors.storage.storage import Storage
from zarr_vectors.typing import FloatArray, IntArray

__all__ = ["first_objects", "sample_objects", "sample_rows"]

_BATCH_ROWS = 1_000_000
_MOST_OBJECTS = 1 << 16


def sample_rows(
    storage: Storage,
    level: LevelState,
    selection: Selection,
    count: int,
    chance: np.random.Generator,
    *,
    strict: bool = True,
) -> Rows:
    """So many rows of a selection, each set of them as likely as any other; in the order of ``read_rows``.

    Where all rows must be looked at, each draws a number, and those with the smallest are kept, so that no more than a
    batch is in memory.
    """
    found = drawn_rows(storage, level, selection, count, chance, strict=strict)
    if found is not None:
        return found
    kept: list[Rows] = []
    drawn = np.zeros(0)
    for rows in iter_rows(storage, level, selection, batch_rows=_BATCH_ROWS, strict=strict):
        drawn = np.append(drawn, chance.random(len(rows.positions)))
        kept = [joined_rows([*kept, rows])]
        if len(drawn) > count:
            stay = _smallest(drawn, count)
            kept, drawn = [kept[0].take(stay)], drawn[stay]
    return kept[0]


def _smallest(drawn: FloatArray, count: int) -> IntArray:
    """Places of the smallest numbers, ascending."""
    return np.sort(np.argpartition(drawn, count - 1)[:count]) if count else np.zeros(0, dtype=np.int64)


def sample_objects(
    storage: Storage,
    level: LevelState,
    selection: Selection,
    plan: ReadPlan,
    count: int,
    chance: np.random.Generator,
) -> IntArray:
    """Ids of so many objects of which a selection has something, each set of them as likely as any other."""
    ids = np.concatenate([*_ids(storage, level, selection, plan, _MOST_OBJECTS), np.zeros(0, dtype=np.int64)])
    return ids[np.sort(chance.choice(len(ids), min(count, len(ids)), replace=False))]


def first_objects(storage: Storage, level: LevelState, selection: Selection, plan: ReadPlan, count: int) -> IntArray:
    """Ids of the first objects of which a selection has something; reading stops when there are enough."""
    found = np.zeros(0, dtype=np.int64)
    for ids in _ids(storage, level, selection, plan, max(1, count)):
        found = np.append(found, ids)
        if len(found) >= count:
            break
    return found[:count]


def _ids(storage: Storage, level: LevelState, selection: Selection, plan: ReadPlan, step: int) -> Iterator[IntArray]:
    """Ids of the objects of a selection, some at a time; of those whose vertices must meet conditions, if any does."""
    if selection.rows_meet is None and selection.link_condition is None and selection.leads is None:
        yield objects_selected(storage, level, selection, plan)
        return
    bare = replace(selection, attributes=())
    plan = replace(plan, link_attributes=())
    for shape in shapes_by_object(storage, level, bare, plan, step, most=_MOST_OBJECTS):
        yield _present(shape)


def _present(shape: Shape) -> IntArray:
    """Ids of objects of which there are vertices, in reading order."""
    owners = shape.owners
    if owners is None or not len(owners):
        return np.zeros(0, dtype=np.int64)
    # Whole objects come one after another.
    begins = np.ones(len(owners), dtype=bool)
    np.not_equal(owners[1:], owners[:-1], out=begins[1:])
    return owners[begins]
