"""This library, at its defaults but for the chunk shape that is the same on both sides."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np

import zarr_vectors as zv
from benchmarks.cloud import ATTRIBUTE, CHUNK, OBJECT_ID, Cloud
from zarr_vectors.formats.base import ReadOptions
from zarr_vectors.formats.registry import ingest as ingest_file

__all__ = ["box", "ingest", "objects", "opened", "read", "validate", "write"]


def write(cloud: Cloud, path: Path) -> None:
    points = zv.Points(cloud.positions, attributes={ATTRIBUTE: cloud.attribute}, object_ids=cloud.object_ids)
    zv.write(path, points, layout=zv.Layout(chunk_shape=CHUNK))


def ingest(file: Path, path: Path) -> None:
    """Stream a file into a store whose layout is chosen from the data."""
    options = ReadOptions(positions=("x", "y", "z"), object_ids=OBJECT_ID)
    ingest_file(file, path, options=options)


def opened(path: Path) -> zv.ZVLevel:
    return zv.open(path)[0]


def read(level: zv.ZVLevel) -> Cloud:
    return _cloud(level.read())


def box(level: zv.ZVLevel, lo: list[float], hi: list[float]) -> Cloud:
    return _cloud(level.read(bbox=(lo, hi)))


def objects(level: zv.ZVLevel, ids: list[int]) -> Cloud:
    return _cloud(level.read(object_ids=ids))


def validate(path: Path) -> None:
    zv.validate(path, level=3).check()


def _cloud(points: zv.Points) -> Cloud:
    strength: Any = points.attributes[ATTRIBUTE]
    return Cloud(points.positions, np.asarray(strength), points.object_ids)
