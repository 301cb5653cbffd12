"""Parquet as someone would lay it out who knows that boxes will be asked for: sorted by chunk, in small row groups."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pyarrow.parquet as pq

from benchmarks.cloud import CHUNK, Cloud
from benchmarks.contestants.parquet import as_table, box, objects, opened, read

__all__ = ["box", "objects", "opened", "read", "write"]

ROW_GROUP = 32_768


def write(cloud: Cloud, path: Path) -> None:
    chunk = (cloud.positions // CHUNK).astype(np.uint16)
    order = np.lexsort(chunk.T[::-1])
    pq.write_table(as_table(cloud.take(order)), path, compression="zstd", row_group_size=ROW_GROUP)
