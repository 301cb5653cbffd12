"""Meshes that 0.9.2 is to write in Draco encoding, by its own keywords; numpy only, as for ``kind_cases``."""

from __future__ import annotations

from typing import Any

import numpy as np

__all__ = ["DRACO_CASES", "READABLE"]

Array = np.ndarray[Any, Any]
EDGE = 10.0
SIDE = 5


def sheet(low: float) -> tuple[Array, Array]:
    """Vertices and triangles of a curved square inside one chunk."""
    x, y = (axis.ravel() for axis in np.meshgrid(np.arange(SIDE), np.arange(SIDE), indexing="ij"))
    vertices = np.stack([x, y, 2 + np.sin(x + 0.3 * y)], axis=1) + low + 0.25
    corner = (np.arange(SIDE - 1)[:, None] * SIDE + np.arange(SIDE - 1)).ravel()
    faces = [
        np.stack([corner, corner + 1, corner + SIDE], 1),
        np.stack([corner + 1, corner + SIDE + 1, corner + SIDE], 1),
    ]
    return vertices.astype(np.float32), np.concatenate(faces)


def sheets(chunk: float = EDGE, **more: Any) -> dict[str, Any]:
    """Two squares that share no chunk of the usual edge."""
    (first, faces), (second, others) = sheet(0.0), sheet(2 * EDGE)
    return {
        "vertices": np.concatenate([first, second]),
        "faces": np.concatenate([faces, others + len(first)]),
        "chunk_shape": (chunk,) * 3,
        "encoding": "draco",
        **more,
    }


OWNERS = np.repeat(np.array([3, 8]), SIDE * SIDE)
DRACO_CASES: dict[str, dict[str, Any]] = {
    "one_object": sheets(),
    "object_per_chunk": sheets(object_ids=OWNERS, draco_quantization_bits=16),
    "objects_in_chunk": sheets(100.0, object_ids=OWNERS),
    "crossing": sheets(faces=np.array([[0, 1, 5], [0, 1, SIDE * SIDE]])),
    "attributes": sheets(vertex_attributes={"row": np.arange(2 * SIDE * SIDE, dtype="i4")}),
    "lost_vertex": sheets(faces=np.array([[0, 1, 2]])),
}
READABLE = ("one_object", "object_per_chunk")
