"""Where quantised positions can lie: in each chunk on a cubic lattice from its lower corner.

All chunks of a level have the same step, and a chunk has the same places whatever lies in it. So rows that are added
later do not move those that are there, and one number bounds what rounding moved anywhere in the level.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from math import ceil, log2

import numpy as np

from zarr_vectors.exceptions import ChunkingError, InputError
from zarr_vectors.typing import AnyArray, IntArray

__all__ = ["DEFAULT_BITS", "MOST_BITS", "Lattice", "check_bits"]

DEFAULT_BITS = 11
MOST_BITS = 30
_FINEST = 2.0**-24
"""Steps below this part of a coordinate are lost in float32."""
_SHORTEST, _LONGEST = 1e-30, 1e30
"""Beyond these, float32 has no room for what is computed on the way."""


@dataclass(frozen=True)
class Lattice:
    """The lattice of a level.

    Args:
        quantization_bits: What was asked for: bits for the longest side of the data, or of a chunk if that is shorter.
        step: Between neighbouring places.
        chunk_shape: Edge lengths of a chunk.

    Example:
        >>> lattice = Lattice.of(4, (16.0, 16.0, 5.0), ([0.0, 0, 0], [7.5, 1, 1]))
        >>> lattice.step, lattice.bits, lattice.reach
        (0.5, 6, 31.5)
    """

    quantization_bits: int
    step: float
    chunk_shape: tuple[float, ...]

    @classmethod
    def of(
        cls, quantization_bits: int, chunk_shape: Sequence[float], bounds: tuple[Sequence[float], Sequence[float]]
    ) -> Lattice:
        """The lattice for data in a closed box.

        Raises:
            ChunkingError: Coordinates or chunks are beyond what float32 can be rounded in.
        """
        edges = np.asarray(chunk_shape, dtype=np.float64)
        corners = np.asarray(bounds, dtype=np.float64)
        farthest = max(float(np.abs(corners).max()), float(edges.max()))
        if farthest > _LONGEST or float(edges.max()) < _SHORTEST:
            raise ChunkingError(
                "positions cannot be quantised so far from 0, or in chunks so large or so small",
                got=f"chunk_shape {tuple(chunk_shape)} for {corners.tolist()}",
                expected=f"lengths between {_SHORTEST:g} and {_LONGEST:g}",
                hint="use vertex_encoding='raw'",
            )
        longest = min(float((corners[1] - corners[0]).max()) or float(edges.max()), float(edges.max()))
        step = max(longest / (2**quantization_bits - 1), farthest * _FINEST, _SHORTEST)
        return cls(quantization_bits, step, tuple(float(edge) for edge in edges))

    @property
    def bits(self) -> int:
        """Bits of a coordinate inside its chunk."""
        # One place more at each end: what is rounded up from the last one before a face lies on or behind it.
        return max(1, ceil(log2(max(self.chunk_shape) / self.step + 3)))

    @property
    def reach(self) -> float:
        """From the lowest place of a chunk to the highest, along every axis."""
        return float(self.step * (2**self.bits - 1))

    def origins(self, coords: IntArray) -> AnyArray:
        """``(n, 3)`` float32 lowest place of each chunk; never above its corner.

        Args:
            coords: ``(n, 3)`` chunk coordinates.
        """
        corners = coords * np.asarray(self.chunk_shape)
        nearest = corners.astype(np.float32)
        below = np.nextafter(nearest, np.float32(-np.inf))
        return np.asarray(np.where(nearest > corners, below, nearest), dtype=np.float32)


def check_bits(value: object) -> int:
    """Quantisation bits as an int.

    Raises:
        InputError: Not a whole number from 1 to 30.

    Example:
        >>> check_bits(12)
        12
    """
    if isinstance(value, bool) or not isinstance(value, (int, np.integer)) or not 1 <= value <= MOST_BITS:
        raise InputError(
            "draco_quantization_bits must be a whole number", got=repr(value), expected=f"1 to {MOST_BITS}"
        )
    return int(value)
