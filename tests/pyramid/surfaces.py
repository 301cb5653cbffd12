"""Surfaces to coarsen, and what is true of them, told by plain loops."""

from __future__ import annotations

from collections import Counter

import numpy as np

from zarr_vectors.geometry import Mesh
from zarr_vectors.pyramid.distances import distance_to_triangles
from zarr_vectors.typing import AnyArray, FloatArray, IntArray


def quads(rows: int, columns: int, *, around: tuple[bool, bool]) -> IntArray:
    """Four corners of each cell of a grid of vertices, which closes on itself along some of its axes."""
    numbers = np.arange(rows * columns).reshape(rows, columns)
    one, two = (np.roll(numbers, -1, axis=axis) for axis in (0, 1))
    cells = np.stack([numbers, one, np.roll(one, -1, axis=1), two], axis=-1)
    return cells[: rows if around[0] else rows - 1, : columns if around[1] else columns - 1].reshape(-1, 4)


def halves(cells: IntArray) -> IntArray:
    return np.concatenate([cells[:, [0, 1, 2]], cells[:, [0, 2, 3]]])


def torus(rows: int = 60, columns: int = 30, large: float = 10.0, small: float = 4.0) -> Mesh:
    u, v = (np.arange(count) * 2 * np.pi / count for count in (rows, columns))
    around = large + small * np.cos(v)
    places = np.stack(
        [np.outer(np.cos(u), around), np.outer(np.sin(u), around), np.tile(small * np.sin(v), (rows, 1))], axis=-1
    )
    return Mesh(places.reshape(-1, 3).astype(np.float32), halves(quads(rows, columns, around=(True, True))))


def sphere(rows: int = 40, columns: int = 60, radius: float = 10.0) -> Mesh:
    u, v = np.arange(1, rows) * np.pi / rows, np.arange(columns) * 2 * np.pi / columns
    ring = np.stack(
        [np.outer(np.sin(u), np.cos(v)), np.outer(np.sin(u), np.sin(v)), np.outer(np.cos(u), v * 0 + 1)], -1
    )
    places = np.concatenate([ring.reshape(-1, 3), [[0, 0, 1], [0, 0, -1]]]) * radius
    faces = halves(quads(rows - 1, columns, around=(False, True)))
    top, after = np.arange(columns), np.roll(np.arange(columns), -1)
    bottom = (rows - 2) * columns
    caps = [
        np.stack([top * 0 + len(places) - 2, top, after], 1),
        np.stack([top * 0 + len(places) - 1, bottom + after, bottom + top], 1),
    ]
    return Mesh(places, np.concatenate([faces, *caps]))


def sheet(rows: int = 30, columns: int = 20, bump: float = 0.0) -> Mesh:
    """A square with a border, in the plane or with a bump."""
    x, y = np.meshgrid(np.arange(float(rows)), np.arange(float(columns)), indexing="ij")
    z = bump * np.sin(x / 4) * np.cos(y / 5)
    return Mesh(np.stack([x, y, z], axis=-1).reshape(-1, 3), halves(quads(rows, columns, around=(False, False))))


def box(steps: int = 12, size: tuple[float, float, float] = (1.0, 1.0, 1.0)) -> Mesh:
    """A closed box from the origin, each side of it cut into squares."""
    numbers: dict[tuple[int, ...], int] = {}
    faces = []
    for axis in range(3):
        for end in (0, steps):
            for i in range(steps):
                for j in range(steps):
                    ring = [(i, j), (i + 1, j), (i + 1, j + 1), (i, j + 1)]
                    corners = [
                        tuple(np.roll([end, *corner], axis).tolist()) for corner in (ring if end else ring[::-1])
                    ]
                    faces.append([numbers.setdefault(corner, len(numbers)) for corner in corners])
    return Mesh(np.array(list(numbers), dtype=np.float64) / steps * size, halves(np.array(faces)))


def edge_counts(faces: IntArray) -> Counter[tuple[int, int]]:
    """How many faces each edge has."""
    counts: Counter[tuple[int, int]] = Counter()
    for face in faces.tolist():
        for one, two in zip(face, face[1:] + face[:1], strict=True):
            counts[min(one, two), max(one, two)] += 1
    return counts


def owners(mesh: Mesh) -> IntArray:
    return np.zeros(mesh.vertex_count, np.int64) if mesh.object_ids is None else mesh.object_ids


def distances(places: AnyArray, vertices: AnyArray, faces: IntArray) -> FloatArray:
    """The distance of each place to the nearest of all vertices and triangles."""
    vertices = vertices.astype(np.float64)
    nearest = np.empty(len(places))
    for first in range(0, len(places), 100):
        some = places[first : first + 100].astype(np.float64)
        found = np.sqrt(((vertices - some[:, None]) ** 2).sum(axis=2)).min(axis=1)
        if len(faces):
            corners = [np.tile(vertices[corner], (len(some), 1)) for corner in faces.T]
            flat = distance_to_triangles(np.repeat(some, len(faces), axis=0), *corners)
            found = np.minimum(found, flat.reshape(len(some), -1).min(axis=1))
        nearest[first : first + 100] = found
    return nearest


def true_error(fine: Mesh, coarse: Mesh) -> float:
    """The largest distance of a vertex to the coarse surface of its object."""
    worst = 0.0
    for owner in np.unique(owners(fine)):
        mine = owners(coarse) == owner
        new = np.cumsum(mine) - 1
        faces = new[coarse.faces[mine[coarse.faces].all(axis=1)]]
        worst = max(worst, distances(fine.positions[owners(fine) == owner], coarse.positions[mine], faces).max())
    return float(worst)


def volume(mesh: Mesh) -> float:
    """What a closed surface encloses; negative where it is turned inside out."""
    one, two, three = (mesh.positions.astype(np.float64)[corner] for corner in mesh.faces.T)
    return float((one * np.cross(two, three)).sum() / 6)
