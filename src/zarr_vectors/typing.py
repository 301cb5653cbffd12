"""Type aliases shared by all layers."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, TypeAlias

import numpy as np
import numpy.typing as npt

AnyArray: TypeAlias = npt.NDArray[Any]
IntArray: TypeAlias = npt.NDArray[np.int64]
FloatArray: TypeAlias = npt.NDArray[np.float64]
ByteArray: TypeAlias = npt.NDArray[np.uint8]
BoolArray: TypeAlias = npt.NDArray[np.bool_]
CodeArray: TypeAlias = npt.NDArray[np.uint16]

Json: TypeAlias = Any
"""A value that ``json.dumps`` takes."""
JsonObject: TypeAlias = dict[str, Any]

ChunkCoord: TypeAlias = tuple[int, ...]
"""Absolute chunk coordinate, one integer per axis; may be negative."""

Box: TypeAlias = tuple[Sequence[float | None], Sequence[float | None]] | Mapping[str, tuple[float | None, float | None]]
"""A closed box: ``(lo, hi)`` with ``None`` for an open side, or ``{axis name: (lo, hi)}``."""

Bounds: TypeAlias = tuple[Sequence[float], Sequence[float]]
"""An inclusive box with every side given: ``(min corner, max corner)``."""

__all__ = [
    "AnyArray",
    "BoolArray",
    "Bounds",
    "Box",
    "ByteArray",
    "ChunkCoord",
    "CodeArray",
    "FloatArray",
    "IntArray",
    "Json",
    "JsonObject",
]
