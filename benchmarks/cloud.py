"""The point cloud that all contestants get, and the answers that they must give."""

from __future__ import annotations

import json
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

__all__ = ["ATTRIBUTE", "CHUNK", "CSV_COLUMNS", "OBJECT_ID", "Answers", "Cloud", "digest", "make"]

AnyArray = np.ndarray[Any, Any]
Digest = list[int]

EXTENT = 1024
CHUNK = 64
"""Edge of a chunk: 16 x 16 x 16 of them cover the cloud."""
STEP = 1 / 1024
"""Coordinates are multiples of it, so that float32, decimal text and LAZ's scaled integers all hold them exactly."""
OBJECTS_PER_AXIS = 10
OBJECTS = OBJECTS_PER_AXIS**3
BOX_SHARE = 0.01
WANTED_OBJECTS = 100
ATTRIBUTE = "strength"
OBJECT_ID = "object_id"
CSV_COLUMNS = ("x", "y", "z", ATTRIBUTE, OBJECT_ID)


@dataclass(frozen=True)
class Cloud:
    """Points, as arrays.

    Args:
        positions: ``(N, 3)`` float32; readers may bring float64.
        attribute: ``(N,)`` float32.
        object_ids: ``(N,)`` int64; None where a reader does not bring them.
    """

    positions: AnyArray
    attribute: AnyArray
    object_ids: AnyArray | None = None

    @property
    def nbytes(self) -> int:
        arrays = [self.positions, self.attribute, self.object_ids]
        return sum(array.nbytes for array in arrays if array is not None)

    def take(self, rows: AnyArray) -> Cloud:
        """The points of a mask or an index."""
        ids = None if self.object_ids is None else self.object_ids[rows]
        return Cloud(self.positions[rows], self.attribute[rows], ids)

    def save(self, folder: Path) -> None:
        folder.mkdir(parents=True)
        for name, array in vars(self).items():
            np.save(folder / f"{name}.npy", array)

    @classmethod
    def load(cls, folder: Path) -> Cloud:
        return cls(**{name: np.load(folder / f"{name}.npy") for name in ("positions", "attribute", "object_ids")})


@dataclass(frozen=True)
class Answers:
    """What each question must bring.

    Args:
        lo, hi: A closed box that holds one point in a hundred.
        ids: The objects asked for.
        digests: By operation.
        nbytes: Bytes of the input arrays.
        chunks: Chunks that hold points.
        fragments: Pairs of a chunk and an object in it.
    """

    lo: list[float]
    hi: list[float]
    ids: list[int]
    digests: dict[str, Digest]
    nbytes: int
    chunks: int
    fragments: int

    def save(self, folder: Path) -> None:
        (folder / "answers.json").write_text(json.dumps(vars(self)), encoding="utf-8")

    @classmethod
    def load(cls, folder: Path) -> Answers:
        return cls(**json.loads((folder / "answers.json").read_text(encoding="utf-8")))


def digest(cloud: Cloud) -> Digest:
    """Row count and, for each column, the sum of its float32 bit patterns: exact, and the same in any row order."""
    columns = [*cloud.positions.T, cloud.attribute]
    bits = [np.ascontiguousarray(column, dtype="<f4").view("<u4") for column in columns]
    return [len(cloud.positions), *(int(column.sum(dtype=np.uint64)) for column in bits)]


def make(rows: int, ids: str, seed: int = 0) -> tuple[Cloud, Answers]:
    """A cloud in random row order, and its answers.

    Args:
        rows: Number of points.
        ids: ``"compact"`` gives each object a cube of one chunk's volume at an odd place, so that it touches 8
            chunks; ``"random"`` deals the ids out by chance, so that nearly every point is a fragment of its own.
    """
    rng = np.random.default_rng(seed)
    owner = np.arange(rows, dtype=np.int64) % OBJECTS
    rng.shuffle(owner)
    tile = np.stack(np.unravel_index(np.arange(OBJECTS), (OBJECTS_PER_AXIS,) * 3), axis=1)
    slack = EXTENT / OBJECTS_PER_AXIS - CHUNK
    corner = np.round((tile * EXTENT / OBJECTS_PER_AXIS + rng.random((OBJECTS, 3)) * slack) / STEP)
    steps = rng.integers(0, round(CHUNK / STEP), (rows, 3), dtype=np.int32)
    steps += corner[owner].astype(np.int32)
    positions = (steps * np.float32(STEP)).astype(np.float32)
    if ids == "random":
        rng.shuffle(owner)
    cloud = Cloud(positions, rng.random(rows, dtype=np.float32), owner)
    return cloud, _answers(cloud)


def _answers(cloud: Cloud) -> Answers:
    positions, owner = cloud.positions, cloud.object_ids
    assert owner is not None
    middle = np.full(3, EXTENT / 2 - CHUNK / 3)
    reach = np.abs(positions - middle).max(axis=1)
    half = float(np.partition(reach, int(BOX_SHARE * len(reach)))[int(BOX_SHARE * len(reach))])
    lo, hi = middle - half, middle + half
    wanted = np.arange(0, OBJECTS, OBJECTS // WANTED_OBJECTS)
    chunk = np.ravel_multi_index(tuple((positions // CHUNK).astype(np.int64).T), (EXTENT // CHUNK,) * 3)
    inside = np.asarray(((positions >= lo) & (positions <= hi)).all(axis=1))
    box = digest(cloud.take(inside))
    return Answers(
        lo=lo.tolist(),
        hi=hi.tolist(),
        ids=wanted.tolist(),
        digests={
            "read": digest(cloud),
            "box": box,
            "box_again": box,
            "objects": digest(cloud.take(np.isin(owner, wanted))),
        },
        nbytes=cloud.nbytes,
        chunks=len(np.unique(chunk)),
        fragments=len(np.unique(chunk * OBJECTS + owner)),
    )
