"""The published package zarr-vectors 0.9.2, sharded."""

from __future__ import annotations

from pathlib import Path

from benchmarks.cloud import Cloud
from benchmarks.contestants.peer import box, objects, opened, read, validate, write_with

__all__ = ["box", "objects", "opened", "read", "validate", "write"]


def write(cloud: Cloud, path: Path) -> None:
    write_with(cloud, path, shard_shape=(8, 8, 8))
