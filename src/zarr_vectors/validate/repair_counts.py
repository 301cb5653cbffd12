"""Repairs of counts, bounds and claims from what the cells hold."""

from __future__ import annotations

from collections.abc import Collection

import numpy as np

from zarr_vectors import constants
from zarr_vectors.core.documents import ID_RUN
from zarr_vectors.validate.problems import Problem
from zarr_vectors.validate.repairs import Changes
from zarr_vectors.validate.run import Examination

__all__ = ["repair_counts"]


def repair_counts(found: Examination, changes: Changes) -> None:
    """Make documents state what there is."""
    problems = found.findings.problems
    by_kind: dict[str, set[str]] = {}
    for problem in problems:
        by_kind.setdefault(problem.kind, set()).add(problem.path)
    for path in sorted(by_kind.get("vertex_count", ())):
        _repair_vertex_count(found, path, changes)
    for path in sorted(by_kind.get("fragments_tile", ())):
        _repair_claim(path, changes)
    for path in sorted(by_kind.get("index_count", ())):
        _repair_index(found, path, changes)
    for path in sorted(by_kind.get("link_count", ())):
        _repair_links(found, path, changes)
    damaged = {path for path in by_kind.get("table_corrupt", ()) if path.endswith(f"/{constants.FRAGMENT_REFS}")}
    for path in sorted(damaged | by_kind.get("references_differ", set())):
        _drop_references(found, path, changes)
    _repair_bounds(found, problems, changes)


def _repair_vertex_count(found: Examination, path: str, changes: Changes) -> None:
    cells = found.cells[int(path)]
    if (cells.rows < 0).any():
        return
    rows = int(cells.rows.sum())
    block = dict(changes.edit(path)[constants.LEVEL_KEY])
    changes.tell("vertex_count", path, f"vertex_count is {rows}, it was {block.get('vertex_count')}")
    changes.edit(path)[constants.LEVEL_KEY] = {**block, "vertex_count": rows}


def _repair_claim(path: str, changes: Changes) -> None:
    number = path.partition("/")[0]
    block = dict(changes.edit(number)[constants.LEVEL_KEY])
    if block.pop("fragments_tile", None) is not None:
        changes.edit(number)[constants.LEVEL_KEY] = block
        changes.tell("fragments_tile", number, "it is no longer said that fragments tile their chunks")


def _repair_index(found: Examination, path: str, changes: Changes) -> None:
    number = int(path.partition("/")[0])
    objects = found.objects[number]
    if objects.ids is None:
        return
    ids = objects.ids
    header = changes.edit(path)
    true: dict[str, int | None] = {
        "num_objects": len(objects.present),
        "num_present": int(objects.present.sum()),
        "object_ids_sorted": bool((ids[1:] > ids[:-1]).all()),
    }
    told = {name: value for name, value in true.items() if name in header and header[name] != value}
    run = header.get(ID_RUN)
    if run is not None and (not len(ids) or not np.array_equal(ids, int(ids[0]) + np.arange(len(ids)))):
        del header[ID_RUN]
        told[ID_RUN] = None
    elif run is not None:
        header[ID_RUN] = [int(ids[0]), len(ids)]
    header |= {name: value for name, value in told.items() if name != ID_RUN}
    changes.tell("index_count", path, f"the header states {told or header[ID_RUN]}")


def _repair_links(found: Examination, path: str, changes: Changes) -> None:
    number, _, delta = path.partition(f"/{constants.LINKS}/")
    counts = found.links[int(number)].records.get(delta)
    if counts is None:
        return
    header = changes.edit(path)
    for name, value in zip(("num_physical_records", "num_links"), counts, strict=True):
        if header.get(name, value) != value:
            changes.tell("link_count", path, f"{name} is {value}, it was {header[name]}")
            header[name] = value


def _drop_references(found: Examination, path: str, changes: Changes) -> None:
    """Manifests say all that references by column say."""
    number = path.partition("/")[0]
    table = found.levels[int(number)].tables[constants.FRAGMENT_REFS]
    changes.remove_array(path, [get.path for get in table.requests()])
    attributes = changes.edit(number)
    named = attributes.get(constants.ARRAYS_KEY)
    if isinstance(named, list):
        attributes[constants.ARRAYS_KEY] = [name for name in named if name != constants.FRAGMENT_REFS]
    changes.tell("references_differ", path, "removed: the manifests say the same")


def _repair_bounds(found: Examination, problems: Collection[Problem], changes: Changes) -> None:
    extents = [cells.extent for cells in found.cells.values() if cells.extent is not None]
    outside = any(problem.kind == "position_outside_bounds" for problem in problems)
    if not outside or not extents:
        return
    block = dict(changes.edit("")[constants.ROOT_KEY])
    low, high = (np.asarray(corner, dtype=np.float64) for corner in block["bounds"])
    low = np.fmin.reduce([low, *(first for first, _ in extents)])
    high = np.fmax.reduce([high, *(last for _, last in extents)])
    block["bounds"] = [low.tolist(), high.tolist()]
    changes.edit("")[constants.ROOT_KEY] = block
    changes.tell("position_outside_bounds", "", f"bounds hold all vertices: {block['bounds']}")
