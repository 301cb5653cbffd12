"""Level 4: whether what a level holds is of the kind that the store names."""

from __future__ import annotations

from math import ceil, log2

import numpy as np

from zarr_vectors import constants
from zarr_vectors.core.shell_checks import convention_problems
from zarr_vectors.core.state import LevelState, RootState
from zarr_vectors.encoding.blobs import offsets_of
from zarr_vectors.types.kinds import KINDS, Connects
from zarr_vectors.typing import BoolArray, IntArray
from zarr_vectors.validate.level_cells import LevelCells, severity_of
from zarr_vectors.validate.link_rules import LevelLinks
from zarr_vectors.validate.object_rules import LevelObjects
from zarr_vectors.validate.problems import Findings

__all__ = ["check_kind", "check_kind_names"]


def check_kind_names(root: RootState, composite: bool, findings: Findings) -> None:
    """Check the kinds that the root names."""
    types = root.metadata.geometry_types
    for name in types:
        if name not in KINDS:
            findings.add("kind_unknown", "", f"geometry_types names {name!r}")
    if not composite:
        for problem in convention_problems(root.metadata.links_convention, types):
            findings.add("kind_convention", "", problem)


def check_kind(
    root: RootState,
    level: LevelState,
    cells: LevelCells,
    objects: LevelObjects,
    links: LevelLinks,
    findings: Findings,
) -> None:
    """Check the geometry of a level."""
    _check_ids(root, level, objects, findings)
    kinds = [KINDS[name] for name in root.metadata.geometry_types if name in KINDS]
    if level.is_composite or not kinds or len({kind.family for kind in kinds}) > 1:
        return
    connects = {kind.connects for kind in kinds}
    path = f"{level.number}/{constants.LINKS}/0"
    if links.family is not None:
        _check_family(kinds[0].geometry_type, connects, links, path, findings)
    _check_degenerate(cells, links, path, findings)
    # Rows of others' Draco cells are not in the order that links count on.
    if level.is_unordered or not cells.is_whole or not links.complete:
        return
    if connects == {"sequence"} and objects.complete:
        _check_lines(level, cells, objects, links, path, findings)
        if {kind.geometry_type for kind in kinds} == {constants.GEOM_LINE} and level.number == 0:
            _check_lengths(level, cells, objects, findings)
    elif connects == {"tree"} and (links.family is not None or level.number == 0):
        _check_tree(root, cells, links, path, findings)


def _check_ids(root: RootState, level: LevelState, objects: LevelObjects, findings: Findings) -> None:
    if root.metadata.object_index_convention != constants.OBJIDX_IDENTITY or objects.ids is None:
        return
    ordered = np.sort(objects.ids)
    wrong = np.flatnonzero(ordered != np.arange(len(ordered)))
    if len(wrong):
        text = f"id {ordered[wrong[0]]} in the place of {wrong[0]}"
        findings.add("identity_ids", f"{level.number}/{constants.OBJECT_INDEX}", text)


def _check_family(kind: str, connects: set[Connects], links: LevelLinks, path: str, findings: Findings) -> None:
    assert links.family is not None
    width = links.family.width
    if connects == {"nothing"}:
        if len(links.ends):
            findings.add("cloud_links", path, f"{len(links.ends)} links between points")
    elif kind == constants.GEOM_MESH:
        if width < 3:
            findings.add("link_width", path, f"faces have {width} corners")
    elif width != 2:
        findings.add("link_width", path, f"links of a {kind} have {width} ends, not 2")


def _check_degenerate(cells: LevelCells, links: LevelLinks, path: str, findings: Findings) -> None:
    ends = links.ends
    same = np.zeros(len(ends), dtype=bool)
    for place in range(ends.shape[1]):
        for other in range(place):
            same |= (ends[:, place] == ends[:, other]) & (ends[:, place] >= 0)
    number = _per_chunk(cells, ends[same, 0])
    findings.add_cells("link_degenerate", path, cells.coords, number > 0, lambda row: f"{number[row]} links")


def _per_chunk(cells: LevelCells, vertices: IntArray) -> IntArray:
    """``(C,)`` how many of these vertices lie in each chunk."""
    chunk = np.searchsorted(cells.bases, vertices, side="right") - 1
    return np.bincount(chunk, minlength=len(cells.coords))


def _outer_rows(cells: LevelCells) -> tuple[IntArray, IntArray]:
    """``(F,)`` first and last vertex of each fragment, by their number among all; 0 for fragments without any."""
    table = cells.table
    base = np.repeat(cells.bases[:-1], table.per_cell)
    first = base + table.starts
    last = first + table.counts - 1
    listed = (table.starts < 0) & (table.counts > 0)
    if listed.any():
        explicit = table.starts < 0
        at = offsets_of(table.counts * explicit)[:-1][listed]
        first[listed] = base[listed] + table.explicit[at]
        last[listed] = base[listed] + table.explicit[at + table.counts[listed] - 1]
    empty = table.counts == 0
    first[empty], last[empty] = 0, 0
    return first, last


def _check_lines(
    level: LevelState, cells: LevelCells, objects: LevelObjects, links: LevelLinks, path: str, findings: Findings
) -> None:
    """Links between chunks repeat which fragment of a line follows which."""
    if level.number:
        # Coarser levels have the order alone.
        return
    filled = cells.table.counts[objects.fragments] > 0
    fragments, refs = objects.fragments[filled], objects.refs[filled]
    chunk = cells.table.cell_of[fragments]
    follows = (refs[1:] == refs[:-1]) & (chunk[1:] != chunk[:-1])
    first, last = _outer_rows(cells)
    expected = np.stack([last[fragments[:-1][follows]], first[fragments[1:][follows]]], axis=1)
    stored = links.ends[links.crossing][:, :2]
    total = int(cells.bases[-1])
    for kind, some, others in (("no link", expected, stored), ("a link too many", stored, expected)):
        missing = ~np.isin(_pair_keys(some, total), _pair_keys(others, total))
        number = _per_chunk(cells, some[missing, 0])

        def message(row: int, kind: str = kind, number: IntArray = number) -> str:
            return f"{kind} at {number[row]} places where a line leaves the chunk"

        # 0.9.2 numbers rows wrongly in chunks that hold whole lines; no reader of ours asks these links.
        findings.add_cells("line_links", path, cells.coords, number > 0, message, severity_of(level))


def _pair_keys(ends: IntArray, total: int) -> IntArray:
    """One number for each pair of vertices, whichever comes first."""
    low, high = np.minimum(ends[:, 0], ends[:, 1]), np.maximum(ends[:, 0], ends[:, 1])
    return np.asarray(low * max(total, 1) + high, dtype=np.int64)


def _check_lengths(level: LevelState, cells: LevelCells, objects: LevelObjects, findings: Findings) -> None:
    counts = cells.table.counts[objects.fragments]
    lengths = np.bincount(objects.refs, counts, minlength=len(objects.present)).astype(np.int64)
    path = f"{level.number}/{constants.OBJECT_MANIFESTS}"
    for row in np.flatnonzero(objects.present & (lengths != 2)).tolist():
        findings.add("line_length", path, f"the line has {lengths[row]} vertices", cell=row)


def _check_tree(root: RootState, cells: LevelCells, links: LevelLinks, path: str, findings: Findings) -> None:
    """Vertices with several parents, and circles."""
    children, parents = links.ends[:, 0], links.ends[:, 1]
    if links.family is not None and links.family.directed:
        # Two writers of 0.9.2 order the ends of links between chunks differently.
        children, parents = np.where(links.crossing, parents, children), np.where(links.crossing, children, parents)
    there = (children >= 0) & (parents >= 0)
    children, parents = children[there], parents[there]
    named, times = np.unique(children, return_counts=True)
    number = _per_chunk(cells, named[times > 1])
    findings.add_cells("skeleton_parents", path, cells.coords, number > 0, lambda row: f"{number[row]} vertices")
    parent = np.full(int(cells.bases[-1]), -1, dtype=np.int64)
    if root.metadata.links_convention != constants.LINKS_EXPLICIT:
        _imply(parent, cells)
    parent[children] = parents
    circling = _per_chunk(cells, np.flatnonzero(_in_circles(parent)))
    findings.add_cells(
        "skeleton_cycle",
        path,
        cells.coords,
        circling > 0,
        lambda row: f"{circling[row]} vertices lead to themselves or to such",
    )


def _imply(parent: IntArray, cells: LevelCells) -> None:
    """The vertex before, in its fragment, is a vertex's parent unless a link says otherwise."""
    rows = cells.table.rows(bases=cells.bases[:-1])
    before = np.empty_like(rows)
    before[1:] = rows[:-1]
    starts = offsets_of(cells.table.counts)[:-1]
    before[starts[starts < len(rows)]] = -1
    named = before >= 0
    parent[rows[named]] = before[named]


def _in_circles(parent: IntArray) -> BoolArray:
    """``(N,)`` whether following parents from each vertex never ends; by doubling the way that is known."""
    count = len(parent)
    far = np.append(np.where(parent < 0, count, parent), count)
    for _ in range(ceil(log2(count + 1)) + 1 if count else 0):
        if (far == count).all():
            break
        far = far[far]
    return np.asarray(far[:-1] != count)
