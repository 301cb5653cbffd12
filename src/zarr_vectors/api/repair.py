"""Putting right what is wrong with a store, coarser levels that are out of date included."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

from zarr_vectors import constants, pyramid
from zarr_vectors.types.cell_facts import can_index
from zarr_vectors.types.index_level import index_levels
from zarr_vectors.validate.repair import repair_store
from zarr_vectors.validate.repairs import Repair, RepairResult
from zarr_vectors.validate.run import storage_of, validate_store

__all__ = ["repair"]

_STALE = "level_stale"
_OF_INDEX = frozenset({"index_corrupt", "index_differs", "index_missing"})
_MOST = 5


def repair(store_path: Any, dry_run: bool = True, *, storage_options: Any = None) -> RepairResult:
    """Put right what is wrong with a store, as far as the store itself tells what is right.

    Repaired are presence lists (from what is stored, where the store can be listed), counts, bounds and headers (from
    the cells), what fragments state about their objects (from the manifests), manifests that are empty (from what
    orphan fragments state), NGFF entries, names of arrays, groups without a document, and what dead writers left. All
    these changes are one commit. Nothing that could not be made anew is deleted: what does not belong where it is goes
    to the folder ``lost+found`` inside the store. What cannot be repaired stays as it is, and is told.

    A cell index that is damaged or wrong is made anew, as a commit of its own, where no other errors are left.

    When no errors are left, stale levels are built anew as by ``ZVStore.refresh_pyramid``, each a commit of its own.

    Args:
        store_path: A path, a URL, an open zarr store, or an open store or group of this library.
        dry_run: Only tell what would be done; the store is not changed.
        storage_options: For object stores, as in ``zarr_vectors.open``.

    Returns:
        ``applied``, ``repairs`` (values with ``kind``, ``path``, ``cell``, ``action`` and ``message``), ``left`` (the
        problems that there are afterwards), ``ok``, ``summary()`` and ``to_json()``.

    Raises:
        ReadOnlyError: Without ``dry_run``, for a store that cannot be written, or that is published.
        ConcurrentEditError: Others have changed the store again and again while it was read, or hold its lock.

    Example:
        >>> import zarr_vectors as zv
        >>> _ = zv.write("memory://repair-doc", zv.Points([[0.0, 1.0], [5.0, 2.0]]))
        >>> attrs = zv.open_store("memory://repair-doc", "r+")["0"].attrs
        >>> attrs["zarr_vectors_level"] = {**attrs["zarr_vectors_level"], "vertex_count": 7}
        >>> [str(repair) for repair in repair("memory://repair-doc").repairs]
        ['0: vertex_count is 2, it was 7 (vertex_count)']
        >>> repair("memory://repair-doc", dry_run=False).ok, zv.validate("memory://repair-doc").ok
        (True, True)
    """
    result = _with_index(store_path, dry_run, storage_options)
    stale = [problem for problem in result.left if problem.kind == _STALE]
    if not stale or not result.ok:
        return result
    rebuilt = [
        Repair(_STALE, problem.path, None, "rebuilt", "the level is built anew from the finer one") for problem in stale
    ]
    left = tuple(problem for problem in result.left if problem.kind != _STALE)
    if not dry_run:
        storage = storage_of(store_path, storage_options, read_only=False)
        pyramid.refresh_levels(storage, pyramid.PyramidOptions(), force=False)
        left = validate_store(store_path, _MOST, storage_options).problems
    return replace(result, repairs=(*result.repairs, *rebuilt), left=left)


def _with_index(store_path: Any, dry_run: bool, storage_options: Any) -> RepairResult:
    """Repair all but levels that are stale; the cell index comes after what it tells of."""
    result = repair_store(store_path, dry_run, storage_options=storage_options)
    wrong = [problem for problem in result.left if problem.kind in _OF_INDEX]
    others = [problem for problem in result.left if problem.severity == "error" and problem.kind not in _OF_INDEX]
    storage = storage_of(store_path, storage_options, read_only=dry_run)
    if not wrong or others or not can_index(storage):
        return result
    levels = sorted({int(problem.path.partition("/")[0]) for problem in wrong})
    rebuilt = [
        Repair(
            next(problem.kind for problem in wrong if problem.path.startswith(f"{number}/")),
            f"{number}/{constants.CELL_INDEX}",
            None,
            "rebuilt",
            "the cell index is made anew from the cells",
        )
        for number in levels
    ]
    left = tuple(problem for problem in result.left if problem.kind not in _OF_INDEX)
    if not dry_run:
        index_levels(storage, levels)
        left = validate_store(store_path, _MOST, storage_options).problems
    return replace(result, repairs=(*result.repairs, *rebuilt), left=left)
