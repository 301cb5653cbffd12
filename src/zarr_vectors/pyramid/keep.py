"""Which objects a coarser level keeps."""

from __future__ import annotations

import numpy as np

from zarr_vectors.pyramid.coarse import hashes
from zarr_vectors.pyramid.options import PyramidOptions
from zarr_vectors.pyramid.source import Finer
from zarr_vectors.typing import FloatArray, IntArray

__all__ = ["kept_objects"]


def kept_objects(finer: Finer, sparsity: float, options: PyramidOptions, bins: FloatArray) -> IntArray | None:  # noqa: ARG001 (of the strategies that measure)
    """``(n,)`` ids of the objects that stay, in their order; None for all."""
    if sparsity == 1 or not finer.level.has_objects:
        return None
    ids = finer.present
    count = max(1, round(len(ids) / sparsity))
    kept = np.argsort(hashes(options.seed, ids), kind="stable")[:count]
    return ids[np.sort(kept)]
