"""What zarr-python finds in the arrays of a store: the way of any other tool, apart from ours."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import zarr

__all__ = ["array_names", "document_of", "payloads", "rows_in"]


def array_names(store: Path, below: str = "") -> list[str]:
    """Path in the store of every array below a group, sorted."""
    return sorted(
        path.parent.relative_to(store).as_posix()
        for path in (store / below).rglob("zarr.json")
        if json.loads(path.read_text(encoding="utf-8"))["node_type"] == "array"
    )


def document_of(store: Path, node: str) -> dict[str, Any]:
    """The ``zarr.json`` of a node."""
    document: dict[str, Any] = json.loads((store / node / "zarr.json").read_text(encoding="utf-8"))
    return document


def payloads(store: Path, name: str) -> dict[str, Any]:
    """The bytes of every cell that is not empty, by chunk key; of other arrays, what they hold, under ``""``."""
    array = zarr.open_array(store / name, mode="r")
    said = document_of(store, name)["attributes"]
    if "nonempty_chunks" not in said:
        found = np.asarray(array[...])
        return {"": [bytes(item) for item in found] if found.dtype.kind == "O" else found.tolist()}
    origin = said.get("chunk_grid_origin", [0] * array.ndim)
    cells = {key: _item(array[where]) for key, where in _places(said["nonempty_chunks"], origin)}
    return {key: cell for key, cell in cells.items() if cell}


def rows_in(cell: bytes, width: int, *, header: bool) -> list[list[int]]:
    """The rows of a cell of links, decoded by hand."""
    values = np.frombuffer(cell, dtype="<i8")
    return values[1 + int(values[0]) if header else 0 :].reshape(-1, width).tolist()


def _item(cell: Any) -> bytes:
    """The bytes of one element; out of a shard they come in an array of an array, whose ``item`` drops zeros."""
    while isinstance(cell, np.ndarray) and cell.dtype.kind == "O":
        cell = cell.item()
    return cell.tobytes() if isinstance(cell, np.ndarray) else bytes(cell)


def _places(keys: list[str], origin: list[int]) -> Iterator[tuple[str, tuple[int, ...]]]:
    for key in keys:
        yield key, tuple(int(part) - first for part, first in zip(key.split("."), origin, strict=True))
