"""What a store with several levels holds, decoded by hand from what zarr-python finds in its arrays."""

from __future__ import annotations

from collections import Counter
from itertools import pairwise
from pathlib import Path
from typing import Any, TypeAlias

import numpy as np
import zarr

from tests.interop.zarr_cells import document_of, rows_in

__all__ = ["links_between", "objects_of", "positions_of", "rows_by_chunk"]

Point: TypeAlias = tuple[float, ...]


def _cells(store: Path, name: str) -> dict[str, Any]:
    """The bytes of every cell of an array, by chunk key, read in one go; of other arrays what they hold."""
    found: Any = zarr.open_array(store / name, mode="r")[...]
    said = document_of(store, name)["attributes"]
    if "nonempty_chunks" not in said:
        return {"": found.tolist()}
    origin = np.array(said.get("chunk_grid_origin", [0] * found.ndim))
    places = {key: tuple((np.array(key.split("."), dtype=int) - origin).tolist()) for key in said["nonempty_chunks"]}
    cells = {key: found[place] for key, place in places.items()}
    return {key: bytes(cell) for key, cell in cells.items() if len(cell)}


def _ndim(store: Path) -> int:
    return len(document_of(store, "")["attributes"]["zarr_vectors"]["chunk_shape"])


def chunk_shape(store: Path, level: int) -> list[float]:
    """Edge lengths of the chunks of a level."""
    own = document_of(store, str(level))["attributes"]["zarr_vectors_level"].get("chunk_shape")
    shape: list[float] = own or document_of(store, "")["attributes"]["zarr_vectors"]["chunk_shape"]
    return shape


def rows_by_chunk(store: Path, level: int) -> dict[tuple[int, ...], list[Point]]:
    """Positions of every chunk, as they lie in it."""
    dtype = document_of(store, f"{level}/vertices")["attributes"]["dtype"]
    cells = _cells(store, f"{level}/vertices")
    return {
        tuple(map(int, key.split("."))): list(map(tuple, np.frombuffer(cell, dtype).reshape(-1, _ndim(store)).tolist()))
        for key, cell in cells.items()
    }


def positions_of(store: Path, level: int) -> list[Point]:
    """Positions of a level, sorted."""
    return sorted(row for rows in rows_by_chunk(store, level).values() for row in rows)


def links_between(store: Path, level: int, delta: str) -> Counter[tuple[Point, ...]]:
    """Links of a level to another, by the positions of their ends."""
    near, far = rows_by_chunk(store, level), rows_by_chunk(store, level + int(delta))
    ratio = np.array(chunk_shape(store, level)) / np.array(chunk_shape(store, level + int(delta)))
    found: Counter[tuple[Point, ...]] = Counter()
    counted = document_of(store, f"{level}/links/{delta}")["attributes"]
    for path in sorted((store / f"{level}/links/{delta}").iterdir()):
        if not path.is_dir():
            continue
        offsets = [[int(part) for part in one.split(".")] for one in path.name.split("_")]
        assert document_of(store, f"{level}/links/{delta}/{path.name}")["attributes"]["offsets"] == offsets
        for key, cell in _cells(store, f"{level}/links/{delta}/{path.name}").items():
            chunk = tuple(map(int, key.split(".")))
            lead = len(chunk) - len(ratio)
            anchor = [*chunk[:lead], *np.floor(np.array(chunk[lead:]) * ratio + 1e-9).astype(int).tolist()]
            for row in rows_in(cell, 1 + len(offsets), header=True):
                chunks = [tuple(a + o for a, o in zip(anchor, one, strict=True)) for one in offsets]
                ends = [far[other][number] for other, number in zip(chunks, row[1:], strict=True)]
                found[(near[chunk][row[0]], *ends)] += 1
    assert (counted["num_links"], counted["num_physical_records"]) == (found.total(), found.total())
    return found


def _fragments(cell: bytes) -> list[list[int]]:
    """The rows of every fragment of a chunk."""
    count, ranges = np.frombuffer(cell, "<u4", 2, 8).tolist()
    if not count:
        return []
    at = 16 + -(-count // 64) * 8
    is_range = np.unpackbits(np.frombuffer(cell, np.uint8, at - 16, 16), bitorder="little")[:count].tolist()
    spans = iter(np.frombuffer(cell, "<i8", 2 * ranges, at).reshape(-1, 2).tolist())
    at += 16 * ranges
    ends = np.frombuffer(cell, "<u4", count - ranges + 1, at).tolist()
    listed = np.frombuffer(cell, "<i8", ends[-1], at + 4 * len(ends)).tolist()
    lists = iter([listed[a:b] for a, b in pairwise(ends)])
    return [list(range(s[0], s[0] + s[1])) if known and (s := next(spans)) else next(lists) for known in is_range]


def objects_of(store: Path, level: int) -> dict[int, list[Point]]:
    """Positions of every object in the order of its manifest."""
    header = document_of(store, f"{level}/object_index")["attributes"]
    (blobs,) = _cells(store, f"{level}/object_index/manifests").values()
    (ids,) = _cells(store, f"{level}/object_index/object_ids").values()
    rows = rows_by_chunk(store, level)
    fragments = {
        tuple(map(int, key.split("."))): _fragments(cell)
        for key, cell in _cells(store, f"{level}/vertex_fragments").items()
    }
    found = {}
    for one, blob in zip(ids, blobs, strict=True):
        found[int(one)] = [
            rows[chunk][row]
            for chunk, number in _references(blob, header["sid_ndim"])
            for row in fragments[chunk][number]
        ]
    assert header["num_objects"] == len(found)
    assert header["num_present"] == sum(len(blob) > 4 for blob in blobs)
    return found


def _references(blob: bytes, ndim: int) -> list[Any]:
    if not blob:
        return []
    found, at = [], 4
    for _ in range(int.from_bytes(blob[:4], "little")):
        chunk = tuple(np.frombuffer(blob, "<i8", ndim, at).tolist())
        mode, at = blob[at + 8 * ndim], at + 8 * ndim + 1
        assert mode in (0, 1)
        first, *rest = np.frombuffer(blob, "<i8", 1 + mode, at).tolist()
        found += [(chunk, first + n) for n in range(rest[0] if rest else 1)]
        at += 8 * (1 + mode)
    return found
