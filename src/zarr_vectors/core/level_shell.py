"""A level without vertices: its documents."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

from zarr_vectors import constants
from zarr_vectors.core.documents import cell_array_document, dtype_name
from zarr_vectors.core.headers import level_document
from zarr_vectors.metadata.root import LevelMetadata
from zarr_vectors.spatial.grid import Grid
from zarr_vectors.typing import JsonObject

__all__ = ["empty_level"]


def empty_level(
    metadata: LevelMetadata,
    grid: Grid,
    dtype: np.dtype[Any],
    encoding: str,
    codecs: Sequence[JsonObject],
    shard_shape: Sequence[int] | None = None,
) -> dict[str, JsonObject]:
    """The ``zarr.json`` of a level and of its two empty arrays, by path.

    Args:
        metadata: Of the level; its number is in it.
        grid: The chunks that the arrays have cells for.
        dtype: Of the positions.
        encoding: ``"raw"`` or ``"draco"``.
        codecs: Of the cells.
        shard_shape: Chunks per stored object along each axis; None for one.
    """
    arrays: dict[str, JsonObject] = {
        constants.VERTICES: {"zv_array": "vertices", "dtype": dtype_name(dtype), "encoding": encoding},
        constants.VERTEX_FRAGMENTS: {
            "zv_array": "vertex_fragments",
            "encoding": constants.FRAGMENT_INDEX_ENCODING,
        },
    }
    documents = {
        f"{metadata.level}/{name}": cell_array_document(grid, shard_shape, codecs, said).to_json()
        for name, said in arrays.items()
    }
    documents[str(metadata.level)] = level_document(metadata, list(arrays))
    return documents
