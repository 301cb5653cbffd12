"""Repairs of documents from other documents: names, groups, and what NGFF says."""

from __future__ import annotations

import contextlib
from collections.abc import Collection
from typing import Any

import numpy as np

from zarr_vectors import constants
from zarr_vectors.core.documents import group_document
from zarr_vectors.core.listing import is_named
from zarr_vectors.core.state import RootState
from zarr_vectors.exceptions import MetadataError
from zarr_vectors.metadata.ngff import dataset_entry, level_transform, ome_node
from zarr_vectors.metadata.root import divides
from zarr_vectors.typing import JsonObject
from zarr_vectors.validate.nodes import attributes_of
from zarr_vectors.validate.problems import Problem
from zarr_vectors.validate.repairs import Changes

__all__ = ["repair_documents"]

_NGFF = frozenset({"ngff_scale", "ngff_level", "ngff_stale"})


def repair_documents(root: RootState, name: str, problems: Collection[Problem], changes: Changes) -> None:
    """Repair what documents say of one another.

    Args:
        name: Of the store, for an ``ome`` node that is not there.
    """
    for problem in problems:
        if problem.kind == "group_missing":
            changes.add_node(problem.path, group_document())
            changes.tell(problem.kind, problem.path, "a document of a group is put there")
    # What an array that is gone was is told by nothing but its name.
    bare = {problem.path.partition("/")[0] for problem in problems if problem.kind == "array_missing"}
    for problem in problems:
        if problem.kind in ("arrays_present", "array_unnamed") and problem.path.partition("/")[0] not in bare:
            _repair_names(problem, changes)
        elif problem.kind == "capability":
            _repair_capability(problem, changes)
        elif problem.kind == "presence_order":
            attributes = changes.edit(problem.path)
            attributes["nonempty_chunks"] = sorted(attributes["nonempty_chunks"])
            changes.tell(problem.kind, problem.path, "the presence list is sorted")
    kinds = {problem.kind for problem in problems}
    levels = changes.nodes.levels
    # Where other things are wrong with the root or its levels, NGFF may be all that tells of them.
    if not levels or kinds & {"root_metadata", "level_missing", "ngff_axes", "bin_count"} or not _all_read(changes):
        return
    if kinds & _NGFF:
        _repair_datasets(root, problems, changes)
    if kinds & {"ngff_stale", "ome_missing"}:
        attributes = changes.edit("")
        old = attributes.get("ome")
        attributes["ome"] = ome_node(name, root.axes, levels, old if isinstance(old, dict) else None)
        kind = "ome_missing" if "ome_missing" in kinds else "ngff_stale"
        changes.tell(kind, "", f"the ome node names the levels {levels}")


def _all_read(changes: Changes) -> bool:
    """Whether the document of every level that is there could be read."""
    return not any(path.isdecimal() for path in changes.nodes.corrupt)


def _repair_names(problem: Problem, changes: Changes) -> None:
    number = problem.path.partition("/")[0]
    below = changes.nodes.below(number)
    attributes = changes.edit(number)
    if problem.kind == "arrays_present":
        block = dict(attributes[constants.LEVEL_KEY])
        kept = [name for name in block["arrays_present"] if name in below]
        if kept != block["arrays_present"]:
            attributes[constants.LEVEL_KEY] = {**block, "arrays_present": kept}
            changes.tell(problem.kind, number, "arrays_present names what is there")
        return
    named = set(attributes.get(constants.ARRAYS_KEY) or ())
    there = {name for name, document in below.items() if is_named(name, document)}
    attributes[constants.ARRAYS_KEY] = sorted(named | there)
    changes.tell(problem.kind, number, "the level names all of its arrays")


def _repair_capability(problem: Problem, changes: Changes) -> None:
    attributes = changes.edit("")
    block = dict(attributes[constants.ROOT_KEY])
    stated = list(block.get("format_capabilities") or [])
    tokens = [token for token in sorted(constants.VALID_CAPABILITIES) if repr(token) in problem.message]
    block["format_capabilities"] = [*stated, *(token for token in tokens if token not in stated)]
    attributes[constants.ROOT_KEY] = block
    changes.tell(problem.kind, "", f"format_capabilities states {', '.join(tokens)}")


def _repair_datasets(root: RootState, problems: Collection[Problem], changes: Changes) -> None:
    """One entry for each level, that says its bins."""
    block = root.attributes["multiscales"]
    wrong = {problem.path for problem in problems if problem.kind in ("ngff_scale", "ngff_level")}
    old = {str(entry.get("path")): entry for entry in block[0].get("datasets") or [] if isinstance(entry, dict)}
    entries: list[JsonObject] = []
    for level in changes.nodes.levels:
        path = str(level)
        bins = _bins(root, level, changes) if path in wrong or path not in old else None
        if bins is None:
            entries += [old[path]] if path in old else []
            continue
        scale = (bins / np.asarray(root.metadata.bin_shape, dtype=np.float64)).tolist()
        half = bins / 2 if level or root.offset is None else np.asarray(root.offset)
        entries.append(dataset_entry(level, scale, half.tolist()))
        changes.tell("ngff_scale", path, f"multiscales says bins of {bins.tolist()}")
    others = [entry for path, entry in old.items() if not path.isdecimal()]
    gone = sorted(path for path in old if path.isdecimal() and int(path) not in changes.nodes.levels)
    if len(entries) < len(changes.nodes.levels):
        # An entry of no level may be that of one which has none.
        others += [old[path] for path in gone]
    elif gone:
        kept = changes.keep_copy("zarr.json")
        changes.tell("ngff_stale", "", f"multiscales names no levels that do not exist; as it was, it is in {kept}")
    if len(block[0].get("datasets") or []) > len(old):
        changes.tell("ngff_stale", "", "multiscales has one entry for each level")
    changes.edit("")["multiscales"] = [{**block[0], "datasets": [*entries, *others]}, *block[1:]]


def _bins(root: RootState, level: int, changes: Changes) -> Any:
    """Bins of a level by the first that tells some which fit: translation, scale, the level itself; None for none."""
    base = np.asarray(root.metadata.bin_shape, dtype=np.float64)
    if level == 0:
        return base
    scale: Any = None
    translation: Any = None
    with contextlib.suppress(MetadataError):
        # An entry that cannot be read is what is being made anew.
        scale, translation = level_transform(root.attributes.get("multiscales"), level)
    said = attributes_of(changes.nodes.documents[str(level)]).get(constants.LEVEL_KEY) or {}
    edges = said.get("chunk_shape") or root.metadata.chunk_shape
    told: list[Any] = []
    for value, times in (
        (translation, 2.0),
        (scale, base),
        (said.get("bin_shape"), 1.0),
        (said.get("bin_ratio"), base),
    ):
        with contextlib.suppress(TypeError, ValueError):
            bins = np.asarray(value, dtype=np.float64)
            if bins.shape == base.shape and np.isfinite(bins).all() and (bins > 0).all():
                told.append(bins * times)
    filling = [bins for bins in told if (bins > np.asarray(edges)).any() or divides(edges, bins.tolist())]
    return next(iter([*filling, *told]), None)
