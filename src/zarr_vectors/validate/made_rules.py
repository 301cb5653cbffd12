"""Level 5: coarser levels against what they say of how they were made."""

from __future__ import annotations

from collections.abc import Iterator, Mapping

import numpy as np

from zarr_vectors.core.state import LevelState, RootState
from zarr_vectors.metadata.root import LevelMetadata, PyramidFacts
from zarr_vectors.typing import IntArray
from zarr_vectors.validate.level_cells import LevelCells
from zarr_vectors.validate.object_rules import LevelObjects
from zarr_vectors.validate.problems import Findings

__all__ = ["check_made", "is_stale"]

_CLOSE = 1e-6


def is_stale(metadata: LevelMetadata) -> bool:
    """Whether a level says that a finer one has changed."""
    return metadata.pyramid is not None and metadata.pyramid.stale


def check_made(
    root: RootState,
    levels: Mapping[int, LevelState],
    cells: Mapping[int, LevelCells],
    objects: Mapping[int, LevelObjects],
    findings: Findings,
) -> None:
    """Check the levels that say how they were made."""
    for number, level in levels.items():
        facts = level.metadata.pyramid
        if facts is None or not number:
            continue
        parent = _parent(levels, level)
        _check_stale(level, parent, findings)
        if parent is not None:
            _check_factor(root, level, parent, facts, findings)
            _check_error(level, parent, facts, findings)
        _check_count(levels, level, cells, objects, findings)


def _parent(levels: Mapping[int, LevelState], level: LevelState) -> LevelState | None:
    parent = level.metadata.parent_level
    return None if parent is None or parent >= level.number else levels.get(parent)


def _check_stale(level: LevelState, parent: LevelState | None, findings: Findings) -> None:
    if is_stale(level.metadata):
        text = "build it anew with ZVStore.refresh_pyramid, or zarr-vectors pyramid --refresh"
        findings.add("level_stale", str(level.number), text)
    elif parent is not None and is_stale(parent.metadata):
        text = f"level {parent.number}, which it was made from, is stale, and it does not say that it is"
        findings.add("level_stale", str(level.number), text)


def _check_factor(
    root: RootState, level: LevelState, parent: LevelState, facts: PyramidFacts, findings: Findings
) -> None:
    fine, coarse = (np.asarray(root.level_bin_shape(one.number), dtype=np.float64) for one in (parent, level))
    if len(fine) != len(coarse) or len(fine) != len(facts.factor):
        return
    if not np.allclose(fine * facts.factor, coarse, rtol=_CLOSE, atol=0):
        text = f"bins of {coarse.tolist()}, which are not {list(facts.factor)} times {fine.tolist()}"
        findings.add("level_factor", str(level.number), text)


def _check_error(level: LevelState, parent: LevelState, facts: PyramidFacts, findings: Findings) -> None:
    before = 0.0 if parent.metadata.pyramid is None else parent.metadata.pyramid.max_error
    if before is not None and facts.max_error is not None and facts.max_error < before:
        text = f"pyramid.max_error is {facts.max_error}, that of level {parent.number} {before}"
        findings.add("level_error", str(level.number), text)


def _check_count(
    levels: Mapping[int, LevelState],
    level: LevelState,
    cells: Mapping[int, LevelCells],
    objects: Mapping[int, LevelObjects],
    findings: Findings,
) -> None:
    """What the vertices of a level stand for, against the vertices of level 0 of the objects that it keeps."""
    counted = None if level.number not in cells else cells[level.number].counted
    if counted is None or not _tells_all(levels, level) or 0 not in cells or not cells[0].is_whole:
        return
    wanted = _vertices_of(cells[0], objects.get(0), objects.get(level.number))
    if wanted is not None and counted != wanted:
        text = f"they stand for {counted} vertices, of which level 0 has {wanted}"
        facts = level.metadata.pyramid
        name = "" if facts is None else facts.counts
        findings.add("level_count", str(level.number), f"by {name!r} {text}")


def _tells_all(levels: Mapping[int, LevelState], level: LevelState) -> bool:
    """Whether the level, and all that it was made from, tell what their vertices stand for."""
    for one in _ancestry(levels, level):
        if not one.number:
            return True
        facts = one.metadata.pyramid
        if facts is None or facts.counts is None or facts.stale:
            return False
    return False


def _ancestry(levels: Mapping[int, LevelState], level: LevelState) -> Iterator[LevelState]:
    one: LevelState | None = level
    while one is not None:
        yield one
        one = _parent(levels, one)


def _vertices_of(cells: LevelCells, finest: LevelObjects | None, kept: LevelObjects | None) -> int | None:
    """Vertices of level 0 of the objects that a level keeps; None where that cannot be told."""
    if finest is None or kept is None or (finest.ids is None) != (kept.ids is None):
        return None
    if finest.ids is None or kept.ids is None:
        return int(cells.rows.sum()) if not cells.level.has_objects else None
    owned = np.zeros(len(cells.table.counts), dtype=np.bool_)
    owned[finest.fragments] = True
    if not finest.complete or not kept.complete or cells.table.counts[~owned].any():
        return None
    sizes: IntArray = np.zeros(len(finest.ids), dtype=np.int64)
    np.add.at(sizes, finest.refs, cells.table.counts[finest.fragments])
    return int(sizes[np.isin(finest.ids, kept.ids[kept.present])].sum())
