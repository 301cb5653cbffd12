"""One Parquet file by pyarrow, at its defaults but for zstd."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq

from benchmarks.cloud import ATTRIBUTE, OBJECT_ID, Cloud

__all__ = ["as_table", "box", "objects", "opened", "read", "write"]

AXES = ("x", "y", "z")


def as_table(cloud: Cloud) -> Any:
    columns = {name: np.ascontiguousarray(cloud.positions[:, axis]) for axis, name in enumerate(AXES)}
    return pa.table({**columns, ATTRIBUTE: cloud.attribute, OBJECT_ID: cloud.object_ids})


def write(cloud: Cloud, path: Path) -> None:
    pq.write_table(as_table(cloud), path, compression="zstd")


def opened(path: Path) -> Path:
    return path


def read(path: Path) -> Cloud:
    return _cloud(pq.read_table(path))


def box(path: Path, lo: list[float], hi: list[float]) -> Cloud:
    sides = zip(AXES, lo, hi, strict=True)
    filters = [bound for name, low, high in sides for bound in ((name, ">=", low), (name, "<=", high))]
    return _cloud(pq.read_table(path, filters=filters))


def objects(path: Path, ids: list[int]) -> Cloud:
    return _cloud(pq.read_table(path, filters=[(OBJECT_ID, "in", ids)]))


def _cloud(table: Any) -> Cloud:
    """The arrays that the other contestants bring: a row of three coordinates for each point."""
    positions = np.empty((table.num_rows, 3), dtype=np.float32)
    for axis, name in enumerate(AXES):
        positions[:, axis] = table[name].to_numpy()
    return Cloud(positions, table[ATTRIBUTE].to_numpy(), table[OBJECT_ID].to_numpy())
