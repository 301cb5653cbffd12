"""Taking away the vertices outside a box, on all levels, with all that hangs on them."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from itertools import pairwise
from pathlib import Path
from typing import Any

import numpy as np

from zarr_vectors.core.state import LevelState, RootState
from zarr_vectors.exceptions import ConventionError
from zarr_vectors.geometry import Lines, take_column
from zarr_vectors.query.rows import iter_rows
from zarr_vectors.query.selection import Selection
from zarr_vectors.query.tables import LevelTables
from zarr_vectors.rechunk.level import LevelJob
from zarr_vectors.rechunk.levels import LevelsJob
from zarr_vectors.rechunk.parts import NewIds, number_parts
from zarr_vectors.rechunk.scan_plan import Cut
from zarr_vectors.spatial.box import ClosedBox
from zarr_vectors.storage.storage import Storage
from zarr_vectors.types.conventions import check_ids
from zarr_vectors.types.kinds import kind_of_types
from zarr_vectors.types.objects import ObjectTables
from zarr_vectors.types.temporary import scratch_folder
from zarr_vectors.typing import JsonObject

__all__ = ["crop_store", "has_rows_outside"]

_BATCH_ROWS = 500_000


def has_rows_outside(storage: Storage, root: RootState, level: LevelState, box: ClosedBox) -> bool:
    """Whether a level has vertices outside a closed box; only chunks that reach out of it are read.

    Args:
        box: In world coordinates.

    Raises:
        CorruptionError: A cell that has to be read is gone or corrupt.
    """
    cut = Cut(box, root.offset)
    moved = np.zeros(root.metadata.ndim) if root.offset is None else np.asarray(root.offset, dtype=np.float64)
    present = level.vertices.present
    low = present[:, level.metadata.leading_axes :] * np.asarray(level.chunk_shape, dtype=np.float64)
    high = low + np.asarray(level.chunk_shape, dtype=np.float64)
    # What rounding may move: positions out of their chunks, and corners of chunks when the offset is added.
    far = np.maximum(np.abs(low), np.abs(high)) + np.abs(moved)
    slack = level.rounding + far * 2 * float(np.finfo(np.float32).eps)
    inside = (low + moved - slack >= box.lo) & (high + moved + slack <= box.hi)
    crossing = present[~inside.all(axis=1)]
    if not len(crossing):
        return False
    selection = Selection(chunks=crossing, attributes=(), owners=False)
    batches = iter_rows(storage, level, selection, batch_rows=_BATCH_ROWS)
    return any(not cut.keeps(rows.positions).all() for rows in batches)


def crop_store(
    storage: Storage, root: RootState, levels: Sequence[LevelState], box: ClosedBox, document: JsonObject
) -> None:
    """Write all levels anew with the vertices in a closed box, as one commit.

    Every level keeps those of its own vertices that lie in the box. Links that lose an end go, within a level and
    between levels; objects keep their ids, attributes and groups, also without vertices. A line that falls into parts
    keeps its id for the first, and the others become objects of their own with the same attributes and groups; the
    n-th part of a line has the same id on every level. A straight line that loses an end goes. Levels that say how they
    were made are stale afterwards, if the finest has lost vertices.

    Args:
        root: The root as it is to be.
        levels: All levels.
        box: In world coordinates.
        document: The root document as it is to be.

    Raises:
        StoreError, ConventionError: The store cannot be written anew, or a coarser level would be left with more
            vertices than the one before it.
        CorruptionError: A cell is gone or corrupt.
    """
    whole = kind_of_types(root.metadata.geometry_types, storage.url).value is Lines
    with scratch_folder() as folder:
        work = LevelsJob.as_they_are(storage, root, levels, Path(folder), cut=Cut(box, root.offset, whole=whole))
        work.read()
        _check_counts(storage, work.levels)
        _number_parts(storage, root, work.levels)
        _mark_stale(work.levels)
        work.commit(document)


def _check_counts(storage: Storage, jobs: Mapping[int, LevelJob]) -> None:
    """Refuse a box in which a coarser level has more vertices than the one before, unless it had so all along.

    Raises:
        ConventionError: It does.
    """
    numbers = sorted(jobs)
    for finer, coarser in pairwise(numbers):
        one, other = jobs[finer].found, jobs[coarser].found
        if other.count > one.count and other.read <= one.read:
            raise ConventionError(
                f"in these bounds level {coarser} would have more vertices than level {finer}, which it is made from",
                store=storage.url,
                got=f"{other.count} and {one.count} vertices",
                hint="remove coarser levels with remove_resolution_level, set the bounds, and build them again",
            )


def _mark_stale(jobs: Mapping[int, LevelJob]) -> None:
    """Let coarser levels say that the finest, which they tell of, has lost vertices."""
    if jobs[0].found.count == jobs[0].found.read:
        return
    for job in jobs.values():
        made = job.level.metadata.pyramid
        if made is not None:
            job.facts = {**job.facts, "pyramid": made.replace(stale=True).to_json()}


def _number_parts(storage: Storage, root: RootState, jobs: Mapping[int, LevelJob]) -> None:
    """Give the parts of lines their ids, and the levels the objects that they become."""
    cut = [job.parts for job in jobs.values() if job.parts is not None]
    first = max((int(job.tables.ids.max(initial=-1)) for job in jobs.values()), default=-1) + 1
    new = number_parts(cut, first)
    if not len(new.ids):
        return
    for job in jobs.values():
        if job.level.has_objects:
            job.more = _with_parts(job.tables, new)
            check_ids(root.metadata, job.more.ids, storage.url)
    for job in jobs.values():
        facts = job.level.metadata
        parent = jobs.get(-1 if facts.parent_level is None else facts.parent_level)
        if parent is not None and parent.more is not None and facts.inherited_num_objects == parent.level.object_slots:
            job.facts = {**job.facts, "inherited_num_objects": len(parent.more.ids)}


def _with_parts(tables: LevelTables, new: NewIds) -> ObjectTables:
    """The tables with new objects, which have the attributes and groups of the lines that they stem from."""
    known = np.isin(new.lines, tables.ids)
    ids, lines = new.ids[known], new.lines[known]
    order = np.argsort(tables.ids, kind="stable")
    every = np.concatenate([np.arange(len(tables.ids)), order[np.searchsorted(tables.ids[order], lines)]])
    groups: dict[int, Any] = {
        group: np.concatenate([members, ids[np.isin(lines, members)]])
        for group, members in enumerate(tables.groups.members)
    }
    return ObjectTables(
        ids=np.concatenate([tables.ids, ids]),
        attributes={name: take_column(column, every) for name, column in tables.attributes.items()},
        groups=groups,
        group_attributes=tables.group_attributes,
    )
