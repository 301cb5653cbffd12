"""Synthetic streamlines, skeletons and a mesh, as plain arrays in one .npz file, with the questions asked of them."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np

__all__ = ["KINDS", "make"]

SEED = 7


def make(kind: str, size: int, path: Path) -> dict[str, Any]:
    """Save the arrays of a kind; facts about them.

    Args:
        size: Lines of 100 points, skeletons of 1000 nodes, or about so many faces.
    """
    arrays = KINDS[kind](np.random.default_rng(SEED), size)
    low, high = arrays["positions"].min(axis=0), arrays["positions"].max(axis=0)
    side = np.full(3, 0.01 ** (1 / 3)) if kind != "mesh" else np.array([0.1, 0.1, 1.0])
    centre = low + (high - low) * (0.3 if kind != "mesh" else np.array([0.3, 0.3, 0.5]))
    arrays["lo"], arrays["hi"] = centre - (high - low) * side / 2, centre + (high - low) * side / 2
    np.savez(path, **arrays)
    return {
        "nbytes": int(
            sum(
                arrays[name].nbytes
                for name in ("positions", "offsets", "parents", "faces", "object_ids")
                if name in arrays
            )
        )
    }


def streamlines(random: np.random.Generator, size: int) -> dict[str, Any]:
    """Smooth random walks of 100 points."""
    heading = random.normal(size=(size, 1, 3))
    heading /= np.linalg.norm(heading, axis=2, keepdims=True)
    steps = 0.8 * heading + random.normal(0, 0.15, (size, 100, 3))
    points = random.uniform(0, 180, (size, 1, 3)) + np.cumsum(steps, axis=1)
    return {
        "positions": points.reshape(-1, 3).astype(np.float32),
        "offsets": np.arange(0, 100 * size + 1, 100),
        "chunk": np.array([16.0] * 3),
        "ids": np.linspace(0, size - 1, 100).astype(np.int64),
    }


def skeletons(random: np.random.Generator, size: int) -> dict[str, Any]:
    """Trees of 1000 nodes with 30 branches each, parents before children."""
    nodes = 1000
    parents = np.tile(np.arange(nodes) - 1, (size, 1))
    branches = np.sort(random.integers(1, nodes, (size, 30)), axis=1)
    np.put_along_axis(parents, branches, (branches * random.random(branches.shape)).astype(np.int64), axis=1)
    parents[:, 0] = -1
    positions = np.zeros((size, nodes, 3))
    positions[:, 0] = random.uniform(0, 1000, (size, 3))
    steps = random.normal(size=(size, nodes, 3))
    for node in range(1, nodes):
        positions[:, node] = positions[np.arange(size), parents[:, node]] + steps[:, node]
    first = nodes * np.arange(size)[:, None]
    return {
        "positions": positions.reshape(-1, 3).astype(np.float32),
        "parents": np.where(parents < 0, -1, parents + first).ravel(),
        "object_ids": np.repeat(np.arange(size), nodes),
        "chunk": np.array([70.0] * 3),
        "ids": np.arange(0, size, max(1, size // 100)),
    }


def mesh(random: np.random.Generator, size: int) -> dict[str, Any]:
    """A wavy height field of triangles, in about 4096 chunks at a million faces."""
    edge = int(np.sqrt(size / 2)) + 1
    x, y = np.meshgrid(np.arange(edge), np.arange(edge), indexing="ij")
    z = 40 * np.sin(x / 40) * np.cos(y / 40) + random.normal(0, 0.3, x.shape)
    corner = (x[:-1, :-1] * edge + y[:-1, :-1]).ravel()
    lower = np.stack([corner, corner + edge, corner + 1], axis=1)
    upper = np.stack([corner + 1, corner + edge, corner + edge + 1], axis=1)
    return {
        "positions": np.stack([x, y, z], axis=-1).reshape(-1, 3).astype(np.float32),
        "faces": np.concatenate([lower, upper]),
        "chunk": np.array([edge / 56.0, edge / 56.0, 40.0]),
        "ids": np.array([0]),
    }


KINDS = {"streamlines": streamlines, "skeletons": skeletons, "mesh": mesh}
