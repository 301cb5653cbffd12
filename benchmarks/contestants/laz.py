"""A LAZ file by laspy, with its fastest backend; the attribute and the object id are extra bytes."""

from __future__ import annotations

from pathlib import Path

import laspy
import numpy as np

from benchmarks.cloud import ATTRIBUTE, OBJECT_ID, STEP, Cloud

__all__ = ["opened", "read", "write"]


def write(cloud: Cloud, path: Path) -> None:
    header = laspy.LasHeader(point_format=0, version="1.2")
    header.scales, header.offsets = np.full(3, STEP), np.zeros(3)
    header.add_extra_dims([laspy.ExtraBytesParams(ATTRIBUTE, "f4"), laspy.ExtraBytesParams(OBJECT_ID, "u4")])
    las = laspy.LasData(header)
    las.xyz = cloud.positions
    las[ATTRIBUTE] = cloud.attribute
    las[OBJECT_ID] = cloud.object_ids
    las.write(str(path))


def opened(path: Path) -> Path:
    return path


def read(path: Path) -> Cloud:
    las = laspy.read(str(path))
    return Cloud(las.xyz, np.asarray(las[ATTRIBUTE]), np.asarray(las[OBJECT_ID]))
