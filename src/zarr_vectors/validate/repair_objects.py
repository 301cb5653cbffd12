"""Repairs of manifests that are empty, from what the fragments state about their owners."""

from __future__ import annotations

import numpy as np

from zarr_vectors import constants
from zarr_vectors.core.object_index import manifest_puts
from zarr_vectors.encoding.manifests import ManifestTable, encode_manifests
from zarr_vectors.spatial.partition import stable_order
from zarr_vectors.types.kinds import KINDS
from zarr_vectors.typing import IntArray
from zarr_vectors.validate.level_cells import LevelCells
from zarr_vectors.validate.object_rules import LevelObjects, owners_by_manifests
from zarr_vectors.validate.repairs import Changes
from zarr_vectors.validate.run import Examination

__all__ = ["repair_manifests"]


def repair_manifests(found: Examination, changes: Changes) -> None:
    """Give fragments that no manifest names back to the objects that they state, where these have none."""
    assert found.root is not None
    kinds = [KINDS[name].connects for name in found.root.metadata.geometry_types if name in KINDS]
    for number, objects in found.objects.items():
        cells = found.cells[number]
        path = f"{number}/{constants.OBJECT_INDEX}"
        sound = objects.complete and cells.is_whole and not found.findings.errors_at(path, but=("index_count",))
        if not sound or objects.ids is None or cells.owners is None or cells.level.metadata.shared_fragments:
            continue
        fragments, rows = _orphans(cells, objects, objects.ids)
        if "sequence" in kinds:
            fragments, rows = _whole_lines(cells, fragments, rows)
        if len(fragments):
            _write(cells, objects, fragments, rows, changes)
            for row in np.unique(rows).tolist():
                text = f"the manifest of object {objects.ids[row]} is made anew from what its fragments state"
                changes.tell("fragment_unowned", f"{number}/{constants.OBJECT_MANIFESTS}", text, cell=str(row))


def _orphans(cells: LevelCells, objects: LevelObjects, ids: IntArray) -> tuple[IntArray, IntArray]:
    """Fragments of nobody that state an object without any, and the rows of those objects, object after object."""
    none = np.zeros(0, dtype=np.int64)
    assert cells.owners is not None
    if not len(ids):
        return none, none
    unowned = owners_by_manifests(cells, objects) == constants.OWNER_NONE
    order = np.argsort(ids, kind="stable")
    place = np.minimum(np.searchsorted(ids[order], cells.owners), len(ids) - 1)
    row = order[place]
    orphan = unowned & cells.stated & (ids[row] == cells.owners) & ~objects.present[row] & (cells.table.counts > 0)
    # Of an object that has the id which stands for none, nothing tells.
    orphan &= cells.owners != constants.OWNER_NONE
    fragments = np.flatnonzero(orphan)
    # Manifests of all kinds but lines are in numeric order of chunks.
    chunk = np.lexsort(cells.coords.T[::-1])
    rank = np.empty_like(chunk)
    rank[chunk] = np.arange(len(chunk))
    along = rank[cells.table.cell_of[fragments]] if cells.offsets is None else cells.offsets[fragments]
    fragments = fragments[stable_order([row[fragments], along])]
    return fragments, row[fragments]


def _whole_lines(cells: LevelCells, fragments: IntArray, rows: IntArray) -> tuple[IntArray, IntArray]:
    """Those of lines whose fragments follow one another without a gap."""
    if cells.offsets is None:
        return fragments[:0], rows[:0]
    counts = cells.table.counts[fragments]
    before = np.cumsum(counts) - counts
    begins = np.ones(len(rows), dtype=bool)
    begins[1:] = rows[1:] != rows[:-1]
    line = np.cumsum(begins) - 1
    wrong = cells.offsets[fragments] != before - before[begins][line]
    keep = ~np.isin(rows, rows[wrong])
    return fragments[keep], rows[keep]


def _write(cells: LevelCells, objects: LevelObjects, fragments: IntArray, rows: IntArray, changes: Changes) -> None:
    level = cells.level
    every = np.concatenate([objects.fragments, fragments])
    owners = np.concatenate([objects.refs, rows])
    order = np.argsort(owners, kind="stable")
    every, owners = every[order], owners[order]
    cell = cells.table.cell_of[every]
    table = level.tables[constants.OBJECT_MANIFESTS]
    manifests = encode_manifests(ManifestTable(owners, cells.coords[cell], every - cells.firsts[cell]), table.rows)
    puts = manifest_puts(table, manifests, level.vertices.ndim, with_refs=constants.FRAGMENT_REFS in level.tables)
    for path, data in puts:
        if not path.endswith("zarr.json"):
            changes.keep_copy(path)
            changes.puts[path] = data
