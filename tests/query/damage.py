"""Stores to be damaged, and ways to damage them."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np

import zarr_vectors as zv
from tests.types.clouds import uniform

POINTS = uniform(
    300,
    attributes={"v": np.arange(300), "t": ["a", "b", None] * 100},
    object_ids=np.arange(300) % 11 * 3,
    object_attributes={"n": np.arange(11.0), "t": [f"object {n}" for n in range(11)]},
    groups={0: [3, 6], 2: [0]},
    group_attributes={"g": [1, 2, 3]},
)
LAYOUTS = {
    "unsharded": zv.Layout(chunk_shape=4, shard_shape=None),
    "sharded": zv.Layout(chunk_shape=4, shard_shape=2),
    "uncompressed": zv.Layout(chunk_shape=4, shard_shape=2, compressor="none"),
    "gzip": zv.Layout(
        chunk_shape=4, shard_shape=2, compressor=[{"name": "gzip", "configuration": {"level": 1}}, {"name": "crc32c"}]
    ),
}
CELLS = ["vertices", "vertex_fragments", "vertex_attributes/v", "vertex_attributes/t", "fragment_attributes/object_id"]
TABLES = ["object_index/object_ids", "object_index/manifests", "object_attributes/n", "object_attributes/t", "groups"]


def stored(place: Path, array: str) -> list[Path]:
    return sorted(path for path in (place / "0" / array / "c").rglob("*") if path.is_file())


def flip(path: Path, at: int) -> None:
    data = bytearray(path.read_bytes())
    data[at % len(data)] ^= 0x10
    path.write_bytes(data)


def touch_all(place: Path) -> None:
    """Read everything there is, by every way to read it."""
    level = zv.open(place)[0]
    level.read()
    level.read(object_ids=[3, 30])
    level.read(group_ids=[0])
    _ = level.objects


def edit(path: Path, change: Callable[[Any], None]) -> None:
    document = json.loads(path.read_text())
    change(document)
    path.write_text(json.dumps(document))
