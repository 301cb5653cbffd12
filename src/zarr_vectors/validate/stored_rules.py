"""Level 3: what is stored in an array against what its presence list names."""

from __future__ import annotations

from collections.abc import Iterator
from math import prod

import numpy as np

from zarr_vectors.core.state import LevelState
from zarr_vectors.encoding.sharding import MISSING
from zarr_vectors.metadata.array import ArrayDocument
from zarr_vectors.query.values import find_rows
from zarr_vectors.spatial.grid import parse_keys
from zarr_vectors.storage.cell_plan import load_shard_indexes, plans_of
from zarr_vectors.storage.cells import CellArray
from zarr_vectors.storage.storage import Storage
from zarr_vectors.typing import BoolArray, IntArray
from zarr_vectors.validate.problems import Findings

__all__ = ["arrays_of", "check_stored", "unlisted_cells"]

_DOCUMENT = "zarr.json"


def arrays_of(level: LevelState) -> Iterator[CellArray]:
    """Every chunk-grid array of a level, those of links and their attributes too."""
    yield from level.cells.values()
    for name, document in level.link_documents.items():
        if document.get("node_type") == "array":
            path = f"{level.number}/{name}"
            yield CellArray(path, ArrayDocument.parse(document, where=path), level.store)


def check_stored(storage: Storage, level: LevelState, findings: Findings) -> None:
    """Tell of cells that are stored and not listed, where the store can be listed at no great cost."""
    if not storage.backend.is_local:
        return
    for array in arrays_of(level):
        unlisted, stray = unlisted_cells(storage, array, level.vertices)
        every = np.arange(len(unlisted))
        findings.add_cells(
            "cell_unlisted", array.path, unlisted, every, lambda _: "stored, but not named by nonempty_chunks"
        )
        for name in stray:
            findings.add("stray_object", array.path, f"{name} is no chunk of the array")
    for table in level.tables.values():
        known = {get.path for get in table.requests()} | {f"{table.path}/{_DOCUMENT}"}
        for key in storage.list_keys(table.path, recursive=True):
            if key not in known:
                findings.add(
                    "stray_object", table.path, f"{key.removeprefix(f'{table.path}/')} is no chunk of the table"
                )


def unlisted_cells(storage: Storage, array: CellArray, alike: CellArray) -> tuple[IntArray, list[str]]:
    """``(n, K)`` cells that are stored and not listed, and names of what is stored and no chunk of the array.

    Args:
        alike: An array that may have the same presence list, which then need not be parsed again.
    """
    names = [key[len(array.path) + 1 :] for key in storage.list_keys(array.path, recursive=True)]
    names = [name for name in names if name != _DOCUMENT]
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


def _cells_of(storage: Storage, array: CellArray, index: IntArray) -> IntArray:
    """``(n, K)`` the cells that these stored objects hold."""
    first: IntArray = index * np.asarray(array.block) + np.asarray(array.grid.origin)
    if prod(array.block) == 1:
        return first
    if array.codec is None or array.document.sharding is None:
        # Only zarr-python tells what it has stored here.
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
