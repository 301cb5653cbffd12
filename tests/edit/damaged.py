"""Stores whose manifests are not what fragments state: as other writers leave them, and damaged ones."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np

import zarr_vectors as zv
from tests.edit.stores import value_of
from tests.validate.spoiling import attributes, table
from zarr_vectors.encoding.blobs import Blobs
from zarr_vectors.encoding.manifests import ManifestTable, decode_manifests, encode_manifests
from zarr_vectors.storage.tables import read_tables

__all__ = ["DAMAGES", "ONE", "OTHER", "content", "files", "made"]

ONE, OTHER = 6, 21
"""Objects that are damaged; they have rows 2 and 7 of the index."""
_OBJECTS = 14
_Refs = list[tuple[list[int], int]]


def _change(change: Callable[[_Refs, _Refs], tuple[_Refs, _Refs]]) -> Callable[[Path], object]:
    """Change what the manifests of both objects name."""

    def changed(items: list[Any]) -> None:
        rows = [ONE // 3, OTHER // 3]
        for row, refs in zip(rows, change(*(_decoded(items[row]) for row in rows)), strict=True):
            items[row] = _encoded(refs)

    return table("0/object_index/manifests", changed)


def _decoded(item: Any) -> _Refs:
    found, errors = decode_manifests(Blobs.from_list([item]), 2)
    assert not errors
    assert len(found) > 1
    return list(zip(found.chunks.tolist(), found.fragments.tolist(), strict=True))


def _encoded(refs: _Refs) -> bytes:
    chunks = np.array([chunk for chunk, _ in refs], dtype=np.int64).reshape(-1, 2)
    fragments = np.array([fragment for _, fragment in refs], dtype=np.int64)
    rows = np.zeros(len(refs), dtype=np.int64)
    return bytes(encode_manifests(ManifestTable(rows, chunks, fragments), 1)[0])


def _lose_chunk(place: Path) -> None:
    """Let presence lists forget a chunk of an object, and the level count what is left."""
    level = zv.open(place)[0]
    (items,) = read_tables(level.storage, [(level.state.tables["object_index/manifests"], None)])
    lost = _decoded(items[ONE // 3])[-1][0]
    left = level.vertex_count - level.read_chunks([lost]).vertex_count
    for path in (place / "0").rglob("zarr.json"):
        found = json.loads(path.read_text())
        keys = found.get("attributes", {}).get("nonempty_chunks", [])
        if ".".join(map(str, lost)) in keys:
            keys.remove(".".join(map(str, lost)))
            path.write_text(json.dumps(found))
    attributes("0", "zarr_vectors_level", vertex_count=left)(place)


DAMAGES: dict[str, tuple[Callable[[Path], object], str]] = {
    "empty": (_change(lambda _, other: ([], other)), f"object {ONE}.*0 vertices by the manifest.*10 that state it"),
    "short": (_change(lambda one, other: (one[:-1], other)), f"object {ONE} names other vertices.*10 that state it"),
    "another's": (_change(lambda one, other: (one[:-1], [*other, one[-1]])), f"object {OTHER}: 1. vertices by"),
    "twice": (_change(lambda one, other: ([*one, one[-1]], other)), f"share vertices.*twice by object {ONE}"),
    "shared": (_change(lambda one, other: (one, [*other, one[-1]])), f"share vertices.*objects {ONE}, {OTHER}"),
    "no fragment": (
        _change(lambda one, other: ([*one[:-1], (one[-1][0], 99)], other)),
        f"manifest of object {ONE} names a fragment that its chunk does not have.*fragments.*fragments, of . vertices",
    ),
    "no chunk": (
        _change(lambda one, other: ([*one, ([55, 55], 0)], other)),
        f"manifest of object {ONE} names a chunk that has no vertices.*fragments, of 10 vertices",
    ),
    "no cells": (_lose_chunk, "names a chunk that has no vertices"),
}
"""What is done to a store, and what an edit says of it."""


def made(kind: str, place: Path, damage: str | None) -> Path:
    """A damaged store of small objects, most of which lie in several chunks."""
    layout = zv.Layout(chunk_shape=5, shard_shape=2, keep_order=True)
    zv.write(place, value_of(kind, _OBJECTS), layout=layout, bounds=([0, 0], [100, 100]))
    if damage is not None:
        DAMAGES[damage][0](place)
    return place


def content(level: zv.ZVLevel, one: int) -> Any:
    """The vertices of an object, or the name of the error."""
    try:
        value = level.read(object_ids=[one])
    except zv.ZVError as error:
        return type(error).__name__
    columns = [np.asarray(value.attributes[name]).tolist() for name in ("n", "label")]
    return sorted(zip(value.positions.tolist(), *columns, strict=True))


def files(place: Path) -> dict[str, bytes]:
    """What is stored."""
    return {str(path.relative_to(place)): path.read_bytes() for path in place.rglob("*") if path.is_file()}
