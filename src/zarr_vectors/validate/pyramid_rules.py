"""Level 5: levels of resolution, one against another."""

from __future__ import annotations

from collections.abc import Mapping
from itertools import pairwise

import numpy as np

from zarr_vectors import constants
from zarr_vectors.core.state import LevelState, RootState
from zarr_vectors.validate.level_cells import LevelCells
from zarr_vectors.validate.link_rules import LevelLinks
from zarr_vectors.validate.made_rules import check_made, is_stale
from zarr_vectors.validate.nodes import Nodes
from zarr_vectors.validate.object_rules import LevelObjects
from zarr_vectors.validate.problems import Findings

__all__ = ["check_pyramid"]

_CLOSE = 1 + 1e-6


def check_pyramid(
    root: RootState,
    nodes: Nodes,
    levels: Mapping[int, LevelState],
    cells: Mapping[int, LevelCells],
    objects: Mapping[int, LevelObjects],
    links: Mapping[int, LevelLinks],
    findings: Findings,
) -> None:
    """Check the levels of a store together."""
    numbers = nodes.levels
    if numbers != list(range(len(numbers))):
        findings.add("level_gap", "", f"there are levels {numbers}")
    _check_parents(levels, findings)
    _check_sizes(root, levels, cells, findings)
    check_made(root, levels, cells, objects, findings)
    for number, level in levels.items():
        parent = level.metadata.parent_level
        if number and parent is not None and parent in objects and number in objects:
            _check_objects(level, objects[parent], objects[number], findings)
    _check_links(root, levels, cells, links, findings)
    _check_capabilities(root, levels, links, findings)


def _check_parents(levels: Mapping[int, LevelState], findings: Findings) -> None:
    for number, level in levels.items():
        parent = level.metadata.parent_level
        if number and (parent is None or parent >= number or parent not in levels):
            findings.add("level_parent", str(number), f"parent_level is {parent}, there are levels {list(levels)}")


def _check_sizes(
    root: RootState, levels: Mapping[int, LevelState], cells: Mapping[int, LevelCells], findings: Findings
) -> None:
    counted = [number for number in sorted(levels) if number in cells]
    rows = {number: int(np.maximum(cells[number].rows, 0).sum()) for number in counted}
    for finer, coarser in pairwise(counted):
        if rows[coarser] > rows[finer] and cells[finer].is_whole:
            text = f"{rows[coarser]} vertices, level {finer} has {rows[finer]}"
            findings.add("level_growth", str(coarser), text)
        fine, coarse = (np.asarray(root.level_bin_shape(number), dtype=np.float64) for number in (finer, coarser))
        if len(fine) == len(coarse) and float(np.prod(coarse)) * _CLOSE < float(np.prod(fine)):
            text = f"bins of {coarse.tolist()}, those of level {finer} are {fine.tolist()}"
            findings.add("level_bins", str(coarser), text)


def _check_objects(level: LevelState, parent: LevelObjects, own: LevelObjects, findings: Findings) -> None:
    path = str(level.number)
    # What a stale level lacks, or has still, is told by its being stale.
    stale = is_stale(level.metadata)
    inherited = level.metadata.inherited_num_objects
    slots = 0 if parent.ids is None else len(parent.ids)
    if inherited is not None and inherited != slots and not stale:
        text = f"inherited_num_objects is {inherited}, its parent has {slots} objects"
        findings.add("level_objects", path, text, severity="warning")
    if not level.metadata.preserves_object_ids or own.ids is None or parent.ids is None or stale:
        return
    strangers = np.setdiff1d(own.ids, parent.ids)
    if len(strangers):
        findings.add("level_objects", path, f"{len(strangers)} ids are not those of its parent, such as {strangers[0]}")
        return
    missing = np.setdiff1d(parent.ids, own.ids)
    if len(missing):
        text = f"{len(missing)} ids of its parent are missing, such as {missing[0]}: it was made before they were added"
        findings.add("level_objects", path, text, severity="warning")
    dropped = parent.ids[~parent.present]
    back = np.intersect1d(own.ids[own.present], dropped)
    if len(back):
        findings.add("level_presence", path, f"{len(back)} objects, such as {back[0]}")


def _check_links(
    root: RootState,
    levels: Mapping[int, LevelState],
    cells: Mapping[int, LevelCells],
    links: Mapping[int, LevelLinks],
    findings: Findings,
) -> None:
    for number in sorted(links):
        for name, (count, _) in links[number].records.items():
            other = number + int(name)
            back = links[other].records.get(f"{-int(name):+d}") if other in links else None
            if int(name) > 0 and back is not None and back[0] != count:
                text = f"{count} links to level {other}, which has {back[0]} back"
                findings.add("level_links", f"{number}/{constants.LINKS}/{name}", text)
    for number, level in levels.items():
        storage, depth = _said_of_links(root, level)
        if storage not in (constants.XLEVEL_IMPLICIT, constants.XLEVEL_EXPLICIT) or depth == 0:
            continue
        made = level.metadata.coarsening_method not in (constants.COARSEN_NONE, constants.COARSEN_MANUAL)
        # A stale level says itself that it is to be built anew, and its links with it.
        made &= not is_stale(level.metadata)
        finer = number - 1
        if not made or finer not in links or not len(cells[number].rows) or not cells[number].rows.any():
            continue
        wanted = [(finer, "+1"), *([(number, "-1")] if storage == constants.XLEVEL_EXPLICIT else [])]
        for owner, name in wanted:
            if owner in links and f"{constants.LINKS}/{name}" not in levels[owner].link_documents:
                text = f"cross_level_storage is {storage!r}, and there is no such family"
                findings.add("level_links", f"{owner}/{constants.LINKS}/{name}", text)


def _said_of_links(root: RootState, level: LevelState) -> tuple[str | None, int | None]:
    """Which links lead to a level, and over how many levels."""
    facts, metadata = level.metadata.pyramid, root.metadata
    if facts is None or facts.cross_level_storage is None:
        return metadata.cross_level_storage, metadata.cross_level_depth
    return facts.cross_level_storage, facts.cross_level_depth


def _check_capabilities(
    root: RootState, levels: Mapping[int, LevelState], links: Mapping[int, LevelLinks], findings: Findings
) -> None:
    used = {
        constants.CAP_PRESERVED_OBJECT_IDS: any(level.metadata.preserves_object_ids for level in levels.values()),
        constants.CAP_SHARED_FRAGMENTS: any(level.metadata.shared_fragments for level in levels.values()),
        constants.CAP_MULTISCALE_LINKS: any(set(found.records) - {"0"} for found in links.values()),
    }
    for token, is_used in used.items():
        if is_used and token not in root.metadata.format_capabilities:
            findings.add("capability", "", f"format_capabilities does not have {token!r}")
