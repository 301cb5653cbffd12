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
from zarr_vectors.metadata.ngff import dataset_entry, level_transform, ome_node
from zarr_vectors.validate.nodes import attributes_of, is_group
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
        elif problem.kind in ("arrays_present", "array_unnamed"):
            _repair_names(problem, changes)
        elif problem.kind == "capability":
            _repair_capability(problem, changes)
        elif problem.kind == "presence_order":
            attributes = changes.edit(problem.path)
            attributes["nonempty_chunks"] = sorted(attributes["nonempty_chunks"])
            changes.tell(problem.kind, problem.path, "the presence list is sorted")
    kinds = {problem.kind for problem in problems}
    if kinds & _NGFF:
        _repair_datasets(root, problems, changes)
    if kinds & {"ngff_stale", "ome_missing"}:
        attributes = changes.edit("")
        old = attributes.get("ome")
        attributes["ome"] = ome_node(name, root.axes, changes.nodes.levels, old if isinstance(old, dict) else None)
        kind = "ome_missing" if "ome_missing" in kinds else "ngff_stale"
        changes.tell(kind, "", f"the ome node names the levels {changes.nodes.levels}")


def _repair_names(problem: Problem, changes: Changes) -> None:
    number = problem.path.partition("/")[0]
    below = changes.nodes.below(number)
    attributes = changes.edit(number)
    if problem.kind == "arrays_present":
        block = dict(attributes[constants.LEVEL_KEY])
        block["arrays_present"] = [name for name in block["arrays_present"] if name in below]
        attributes[constants.LEVEL_KEY] = block
        changes.tell(problem.kind, number, "arrays_present names what is there")
        return
    named = set(attributes.get(constants.ARRAYS_KEY) or ())
    there = {name for name, document in below.items() if is_named(name, document) and not is_group(document)}
    groups = {name for name, document in below.items() if is_named(name, document) and is_group(document)}
    attributes[constants.ARRAYS_KEY] = sorted(named | there | groups)
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
    entries = []
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
    foreign = [entry for path, entry in old.items() if not path.isdecimal()]
    if len(entries) + len(foreign) != len(block[0].get("datasets") or []):
        changes.tell("ngff_stale", "", "multiscales has one entry for each level that exists")
    changes.edit("")["multiscales"] = [{**block[0], "datasets": [*entries, *foreign]}, *block[1:]]


def _bins(root: RootState, level: int, changes: Changes) -> Any:
    """Bins of a level by the first that tells them: the translation, the scale, the level itself; None for none."""
    base = np.asarray(root.metadata.bin_shape, dtype=np.float64)
    if level == 0:
        return base
    scale, translation = level_transform(root.attributes.get("multiscales"), level)
    said = attributes_of(changes.nodes.documents[str(level)]).get(constants.LEVEL_KEY) or {}
    for value, times in (
        (translation, 2.0),
        (scale, base),
        (said.get("bin_shape"), 1.0),
        (said.get("bin_ratio"), base),
    ):
        with contextlib.suppress(TypeError, ValueError):
            bins = np.asarray(value, dtype=np.float64)
            if bins.shape == base.shape and np.isfinite(bins).all() and (bins > 0).all():
                return bins * times
    return None
