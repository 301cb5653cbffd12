"""Repairs of counts, bounds and claims from what the cells hold."""

from __future__ import annotations

from collections.abc import Collection
from typing import Any

import numpy as np

from zarr_vectors import constants
from zarr_vectors.core.documents import ID_RUN, OWNERS_OF, group_document, own_header, owners_agree
from zarr_vectors.typing import IntArray
from zarr_vectors.validate.problems import Problem
from zarr_vectors.validate.repairs import Changes
from zarr_vectors.validate.run import Examination

__all__ = ["repair_counts"]

_STATED = frozenset(
    {
        "vertex_count",
        "next_row_id",
        "index_count",
        "index_ids",
        "link_count",
        "position_outside_bounds",
        "fragments_tile",
    }
)
"""What can be made from the cells."""
_UNREADABLE = frozenset({"cell_missing", "cell_corrupt", "attribute_rows"})


def repair_counts(found: Examination, changes: Changes) -> None:
    """Make documents state what there is."""
    problems = found.findings.problems
    by_kind: dict[str, set[str]] = {}
    for problem in problems:
        by_kind.setdefault(problem.kind, set()).add(problem.path)
    for path in sorted(by_kind.get("vertex_count", ())):
        _repair_vertex_count(found, path, changes)
    for path in sorted(by_kind.get("next_row_id", ())):
        _repair_next_row_id(found, path, changes)
    for path in sorted(by_kind.get("fragments_tile", ())):
        _repair_claim(found, path, changes)
    for path in sorted(by_kind.get("index_count", set()) | by_kind.get("index_ids", set())):
        _repair_index(found, path, changes)
    for number in sorted(found.objects):
        _state_owners(found, number, changes)
    for path in sorted(by_kind.get("link_count", ())):
        _repair_links(found, path, changes)
    damaged = {path for path in by_kind.get("table_corrupt", ()) if path.endswith(f"/{constants.FRAGMENT_REFS}")}
    for path in sorted(damaged | by_kind.get("references_differ", set())):
        _drop_references(found, path, changes)
    _repair_bounds(found, problems, changes)


def _repair_vertex_count(found: Examination, path: str, changes: Changes) -> None:
    cells = found.cells[int(path)]
    # As long as anything else is wrong, the count may be what tells how much there was.
    if not cells.is_whole or found.findings.errors_at(path, but=_STATED):
        return
    rows = int(cells.rows.sum())
    block = dict(changes.edit(path)[constants.LEVEL_KEY])
    lost = cells.level.keeps_count and rows < block.get("vertex_count", 0)
    text = f"vertex_count is {rows}, it was {block.get('vertex_count')}"
    changes.tell("vertex_count", path, text, action="given up" if lost else "fixed")
    changes.edit(path)[constants.LEVEL_KEY] = {**block, "vertex_count": rows}


def _repair_next_row_id(found: Examination, path: str, changes: Changes) -> None:
    """Ids that are given out from now on are new, also where some cannot be read: what is unreadable is told anyway."""
    after = found.cells[int(path)].last_row_id + 1
    block = dict(changes.edit(path)[constants.LEVEL_KEY])
    changes.tell("next_row_id", path, f"{constants.NEXT_ROW_ID} is {after}, it was {block[constants.NEXT_ROW_ID]}")
    changes.edit(path)[constants.LEVEL_KEY] = {**block, constants.NEXT_ROW_ID: after}


def _repair_claim(found: Examination, path: str, changes: Changes) -> None:
    number = path.partition("/")[0]
    if found.findings.errors_at(path, f"{number}/{constants.VERTICES}", but=_STATED):
        return
    block = dict(changes.edit(number)[constants.LEVEL_KEY])
    if block.pop("fragments_tile", None) is not None:
        changes.edit(number)[constants.LEVEL_KEY] = block
        changes.tell("fragments_tile", number, "it is no longer said that fragments tile their chunks")


def _repair_index(found: Examination, path: str, changes: Changes) -> None:
    number = int(path.partition("/")[0])
    objects = found.objects[number]
    owner = f"{number}/{constants.FRAGMENT_OWNER}"
    # What fragments state may be right where the index is not.
    doubted = found.findings.errors_at(path, but=_STATED) or found.findings.errors_at(owner, but=_UNREADABLE)
    if objects.ids is None or not objects.complete or doubted:
        return
    ids, header = objects.ids, changes.edit(path)
    true: dict[str, Any] = {
        "num_objects": len(objects.present),
        "num_present": int(objects.present.sum()),
        "object_ids_sorted": bool((ids[1:] > ids[:-1]).all()),
        ID_RUN: _run_of(ids),
    }
    for name, value in true.items():
        if name in header and header[name] != value:
            changes.tell("index_count", path, f"{name} is {value}, it was {header[name]}")
            header[name] = value
    if header.get(ID_RUN, ()) is None:
        del header[ID_RUN]


def _state_owners(found: Examination, number: int, changes: Changes) -> None:
    """Let a header say again that fragments state the objects of the manifests, once they do."""
    objects, level = found.objects[number], found.levels[number]
    path, owner = f"{number}/{constants.OBJECT_INDEX}", f"{number}/{constants.FRAGMENT_OWNER}"
    document = changes.nodes.documents.get(path)
    if document is None or OWNERS_OF not in (document.get("attributes") or {}) or owners_agree(own_header(document)):
        return
    columns = (owner, f"{number}/{constants.FRAGMENT_OFFSET}")
    wrong = {problem.path for problem in found.findings.problems} & {*columns}
    mended = all(array in {repair.path for repair in changes.repairs} for array in wrong)
    doubted = found.findings.errors_at(path, but=_STATED) or not (objects.complete and mended)
    if doubted or objects.ids is None or not found.cells[number].is_whole or owner.partition("/")[2] not in level.cells:
        return
    header, ids = changes.edit(path), objects.ids
    header[OWNERS_OF] = [header.get("num_objects"), header.get("num_present")]
    if header.get(ID_RUN, ()) != _run_of(ids):
        header.pop(ID_RUN, None)
    changes.nodes.documents[path] = {**group_document(), **changes.nodes.documents[path]}
    changes.tell("fragment_owner", path, "it says again that fragments state the objects of the manifests")


def _run_of(ids: IntArray) -> list[int] | None:
    """What the header says of ids that are a run; None for others."""
    return [int(ids[0]), len(ids)] if len(ids) and (np.diff(ids) == 1).all() else None


def _repair_links(found: Examination, path: str, changes: Changes) -> None:
    number, _, delta = path.partition(f"/{constants.LINKS}/")
    counts = found.links[int(number)].records.get(delta)
    beside = [f"{number}/{name}" for name in (constants.LINK_ATTRIBUTES, constants.LINK_FRAGMENTS)]
    if counts is None or found.findings.errors_at(path, *beside, but=_STATED):
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
    kinds = {problem.kind for problem in problems}
    # A vertex that is not in its chunk tells nothing of bounds.
    if "position_outside_bounds" not in kinds or "position_outside_chunk" in kinds or not extents:
        return
    block = dict(changes.edit("")[constants.ROOT_KEY])
    low, high = (np.asarray(corner, dtype=np.float64) for corner in block["bounds"])
    low = np.fmin.reduce([low, *(first for first, _ in extents)])
    high = np.fmax.reduce([high, *(last for _, last in extents)])
    block["bounds"] = [low.tolist(), high.tolist()]
    changes.edit("")[constants.ROOT_KEY] = block
    changes.tell("position_outside_bounds", "", f"bounds hold all vertices: {block['bounds']}")
