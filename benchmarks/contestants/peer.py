"""The published package zarr-vectors 0.9.2, unsharded; runs in an environment of its own.

It is imported by name, because its name means this project everywhere else.
"""

from __future__ import annotations

import importlib
from pathlib import Path
from typing import Any

from benchmarks.cloud import ATTRIBUTE, CHUNK, Cloud

__all__ = ["box", "objects", "opened", "read", "validate", "write", "write_with"]

_store: Any = importlib.import_module("zarr_vectors.core.store")
_points: Any = importlib.import_module("zarr_vectors.types.points")
_validate: Any = importlib.import_module("zarr_vectors.validate")


def write(cloud: Cloud, path: Path) -> None:
    write_with(cloud, path, shard_shape=None)


def write_with(cloud: Cloud, path: Path, shard_shape: tuple[int, ...] | None) -> None:
    _points.write_points(
        str(path),
        cloud.positions,
        chunk_shape=(CHUNK,) * 3,
        vertex_attributes={ATTRIBUTE: cloud.attribute},
        object_ids=cloud.object_ids,
        compressor="zstd",
        shard_shape=shard_shape,
    )


def opened(path: Path) -> Any:
    return _store.open_store(str(path))


def read(root: Any) -> Cloud:
    return _cloud(_points.read_points(root, attribute_names=[ATTRIBUTE]))


def box(root: Any, lo: list[float], hi: list[float]) -> Cloud:
    return _cloud(_points.read_points(root, bbox=(lo, hi), attribute_names=[ATTRIBUTE]))


def objects(root: Any, ids: list[int]) -> Cloud:
    return _cloud(_points.read_points(root, object_ids=ids, attribute_names=[ATTRIBUTE]))


def validate(path: Path) -> None:
    result = _validate.validate(str(path), level=3)
    assert result.ok, result.errors


def _cloud(result: dict[str, Any]) -> Cloud:
    columns = result.get("vertex_attributes") or result["attributes"]
    return Cloud(result["positions"], columns[ATTRIBUTE])
