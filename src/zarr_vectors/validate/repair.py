"""Putting right what is wrong with a store, as far as the store itself tells what is right."""

from __future__ import annotations

from functools import partial
from typing import Any

from zarr_vectors.exceptions import ReadOnlyError
from zarr_vectors.storage.backend import Transactional
from zarr_vectors.storage.pending import Pending
from zarr_vectors.storage.storage import Batch, Storage
from zarr_vectors.storage.whole import read_whole
from zarr_vectors.validate.problems import Problem, ValidationResult
from zarr_vectors.validate.repair_cells import PresenceRepair, repair_columns
from zarr_vectors.validate.repair_counts import repair_counts
from zarr_vectors.validate.repair_documents import repair_documents
from zarr_vectors.validate.repair_objects import repair_manifests
from zarr_vectors.validate.repairs import Changes, Repair, RepairResult
from zarr_vectors.validate.run import Examination, storage_of

__all__ = ["repair_store"]

_MOST = 5
_LEFT_BY_WRITERS = {
    "commit_pending": "a commit that has happened is published",
    "leftovers": "what a writer that died has staged is removed",
}
_OF_LOADING = frozenset({"document_corrupt", "stray_folder", "level_missing", "commit_unreadable", "published_copy"})
"""Problems that show when documents are read, and that no repair changes."""


def repair_store(store_path: Any, dry_run: bool = True, *, storage_options: Any = None) -> RepairResult:
    """Put right everything but levels that are stale; see ``zarr_vectors.repair``."""
    storage = storage_of(store_path, storage_options, read_only=dry_run)
    if not dry_run and storage.read_only:
        raise ReadOnlyError("the store was opened for reading", store=storage.url, hint="open it with mode='r+'")
    first = Examination(storage, 1)
    if first.nodes is None:
        # Nothing tells what a store without a root is.
        return RepairResult(storage.url, False, (), first.findings.result().problems)
    if dry_run:
        return read_whole(storage, partial(_planned, storage), seen=lambda: storage.seen, again=lambda: None)
    with storage.lock():
        changes, left = _plan(storage)
        if changes is not None and changes:
            storage.commit(_batch(changes))
            left = Examination(Storage(storage.backend), _MOST).findings.result()
    return _result(first.findings.problems, changes, left, applied=True)


def _planned(storage: Storage) -> RepairResult:
    """What would be done."""
    before = Examination(storage, 1).findings.problems
    return _result(before, *_plan(storage), applied=False)


def _result(before: list[Problem], changes: Changes | None, found: ValidationResult, *, applied: bool) -> RepairResult:
    finished = [
        Repair(problem.kind, problem.path, None, "finished", _LEFT_BY_WRITERS[problem.kind])
        for problem in before
        if problem.kind in _LEFT_BY_WRITERS
    ]
    left = tuple(problem for problem in found.problems if not finished or problem.kind not in _LEFT_BY_WRITERS)
    repairs = [] if changes is None else changes.repairs
    return RepairResult(found.store, applied, (*finished, *repairs), left, found.unchecked)


def _plan(storage: Storage) -> tuple[Changes | None, ValidationResult]:
    """What is to be changed, and what would be found then; None where nothing can be."""
    found = Examination(storage, _MOST)
    loading = [problem for problem in found.findings.problems if problem.kind in _OF_LOADING]
    if found.nodes is None or found.root is None:
        return None, found.findings.result()
    changes = Changes(found.nodes)
    problems, unchecked = found.findings.result().problems, found.findings.unchecked
    repair_documents(found.root, storage.name, problems, changes)
    presence = PresenceRepair(storage, changes)
    presence.take(problems)
    if not isinstance(storage.backend, Transactional):
        _move_strays(problems, changes)
    found = Examination(storage, _MOST, changes.nodes)
    presence.settle(found.findings.problems)
    found = Examination(storage, _MOST, changes.nodes)
    repair_manifests(found, changes)
    if changes.puts:
        found = Examination(Pending.on(storage, changes.puts), _MOST, changes.nodes)
    repair_columns(found, changes)
    repair_counts(found, changes)
    return changes, _left(storage, changes, loading, unchecked)


def _left(storage: Storage, changes: Changes, loading: list[Problem], unchecked: dict[str, None]) -> ValidationResult:
    """What will be found when everything has been changed."""
    pending = Pending.on(storage, changes.puts, changes.drops)
    findings = Examination(pending, _MOST, changes.nodes).findings
    moved = {repair.cell for repair in changes.repairs if repair.action == "moved"}
    kept = [
        problem
        for problem in (*loading, *findings.problems)
        if problem.path not in changes.nodes.documents or problem.kind != "stray_folder"
        if problem.kind != "stray_object" and not (problem.kind == "cell_unlisted" and problem.cell in moved)
    ]
    findings.problems[:] = kept
    findings.unchecked |= unchecked
    return findings.result()


def _move_strays(problems: tuple[Problem, ...], changes: Changes) -> None:
    for problem in problems:
        if problem.kind == "stray_object":
            name = problem.message.removesuffix(" is no chunk of the array").removesuffix(" is no chunk of the table")
            target = changes.move(f"{problem.path}/{name}")
            changes.tell(problem.kind, problem.path, f"{name} is moved to {target}", action="moved")


def _batch(changes: Changes) -> Batch:
    puts = {**changes.puts, **changes.documents}
    return Batch(
        puts=list(puts.items()),
        root=lambda: changes.nodes.root,
        copies=[*changes.moves.items(), *changes.copies.items()],
        deletes=[*changes.moves, *changes.drops],
    )
