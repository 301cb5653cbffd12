"""Level 3: what is stored in an array against what its presence list names."""

from __future__ import annotations

from bisect import bisect_left
from collections.abc import Iterator, Sequence
from math import prod

import numpy as np

from zarr_vectors.core.state import LevelState
from zarr_vectors.encoding.sharding import MISSING
from zarr_vectors.exceptions import StoreError
from zarr_vectors.metadata.array import ArrayDocument
from zarr_vectors.query.values import find_rows
from zarr_vectors.spatial.grid import parse_keys
from zarr_vectors.storage.cell_plan import load_shard_indexes, plans_of
from zarr_vectors.storage.cells import CellArray
from zarr_vectors.storage.storage import Storage
from zarr_vectors.typing import BoolArray, IntArray
from zarr_vectors.validate.problems import Findings

__all__ = ["arrays_of", "check_stored", "stored_names", "unlisted_cells"]

_DOCUMENT = "zarr.json"


def arrays_of(level: LevelState) -> Iterator[CellArray]:
    """Every chunk-grid array of a level, those of links and their attributes too."""
    yield from level.cells.values()
    for name, document in level.link_documents.items():
        if document.get("node_type") == "array":
            path = f"{level.number}/{name}"
            yield CellArray(path, ArrayDocument.parse(document, where=path), level.store)


def check_stored(storage: Storage, level: LevelState, findings: Findings) -> None:
    """Tell of cells that are stored and not listed, and of what is no cell; one listing of the level tells."""
    try:
        keys = storage.list_keys(str(level.number), recursive=True)
    except StoreError as error:
        findings.leave_out(f"cells of level {level.number} that no presence list names", error)
        return
    for array in arrays_of(level):
        if prod(array.block) > 1 and not _has_own_shards(array):
            findings.leave_out(f"cells of {array.path} that its presence list does not name", "of its shards")
        unlisted, stray = unlisted_cells(storage, array, level.vertices, _below(keys, array.path))
        every = np.arange(len(unlisted))
        findings.add_cells(
            "cell_unlisted", array.path, unlisted, every, lambda _: "stored, but not named by nonempty_chunks"
        )
        for name in stray:
            findings.add("stray_object", array.path, f"{name} is no chunk of the array")
    for table in level.tables.values():
        known = {get.path for get in table.requests()}
        for name in _below(keys, table.path):
            if f"{table.path}/{name}" not in known:
                findings.add("stray_object", table.path, f"{name} is no chunk of the table")


def stored_names(storage: Storage, path: str) -> list[str]:
    """What is stored in an array beside its document, below its path.

    Raises:
        StoreError: The store cannot list its objects.
    """
    return _below(storage.list_keys(path, recursive=True), path)


def _below(keys: Sequence[str], path: str) -> list[str]:
    """Of sorted keys, those below a path without its document, from there on."""
    head = f"{path}/"
    start, end = bisect_left(keys, head), bisect_left(keys, f"{path}0")  # 0 follows the slash
    return [key[len(head) :] for key in keys[start:end] if key != f"{head}{_DOCUMENT}"]


def unlisted_cells(
    storage: Storage, array: CellArray, alike: CellArray, names: list[str]
) -> tuple[IntArray, list[str]]:
    """``(n, K)`` cells that are stored and not listed, and names of what is stored and no chunk of the array.

    Args:
        alike: An array that may have the same presence list, which then need not be parsed again.
        names: What is stored in the array, see ``stored_names``.
    """
    index, stray = _indexes(array, names)
    none = np.zeros((0, array.ndim), dtype=np.int64)
    if not len(index):
        return none, stray
    cells = _cells_of(storage, array, index)
    listed = array.document.attributes.get("nonempty_chunks")
    same = listed == alike.document.attributes.get("nonempty_chunks")
    return cells[find_rows((alike if same else array).present, cells) < 0], stray


def _indexes(array: CellArray, names: list[str]) -> tuple[IntArray, list[str]]:
    """``(n, K)`` indexes of stored objects, and the names that are none."""
    head = array.document.chunk_path((0,) * array.ndim).removesuffix("0")
    separator = head[-1:] if array.ndim > 1 else ""
    prefix = "c/" if head.startswith("c") else ""
    keys = [
        name.removeprefix(prefix).replace(separator, ".") if separator else name.removeprefix(prefix) for name in names
    ]
    try:
        index = parse_keys(keys, array.ndim)
    except ValueError:
        return _indexes_one_by_one(array, keys, names)
    inside = _inside(array, index)
    return index[inside], [name for name, good in zip(names, inside.tolist(), strict=True) if not good]


def _indexes_one_by_one(array: CellArray, keys: list[str], names: list[str]) -> tuple[IntArray, list[str]]:
    found, stray = [np.zeros((0, array.ndim), dtype=np.int64)], []
    for key, name in zip(keys, names, strict=True):
        try:
            index = parse_keys([key], array.ndim)
        except ValueError:
            stray.append(name)
            continue
        if _inside(array, index).all():
            found.append(index)
        else:
            stray.append(name)
    return np.concatenate(found), stray


def _inside(array: CellArray, index: IntArray) -> BoolArray:
    counts = [-(-length // step) for length, step in zip(array.grid.shape, array.block, strict=True)]
    inside: BoolArray = np.all((index >= 0) & (index < counts), axis=1)
    return inside


def _has_own_shards(array: CellArray) -> bool:
    """Whether the index of a shard can be read here, and not by zarr-python alone."""
    return array.codec is not None and array.document.sharding is not None


def _cells_of(storage: Storage, array: CellArray, index: IntArray) -> IntArray:
    """``(n, K)`` the cells that these stored objects hold."""
    first: IntArray = index * np.asarray(array.block) + np.asarray(array.grid.origin)
    if prod(array.block) == 1:
        return first
    if not _has_own_shards(array):
        none: IntArray = first[:0]
        return none
    (plan,) = plans_of([(array, first)])
    indexes = {path: known for path in plan.shards if (known := storage.shard_indexes.get(path)) is not None}
    load_shard_indexes(storage, [plan], indexes)
    found = [first[:0]]
    for place, members in plan.objects:
        known = indexes.get(place)
        if known is not None:
            there = np.flatnonzero(known.entries[:, 1] != MISSING)
            found.append(first[members[:1]] + np.stack(np.unravel_index(there, array.block), axis=1))
    cells = np.concatenate(found)
    return np.asarray(cells[array.grid.contains(cells)])
