"""Writes that are interrupted: commits on the lowest level, and what users do."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from typing import Any

import numpy as np

import zarr_vectors as zv
from tests.storage.faults import SCENARIOS, Scenario
from zarr_vectors.storage.storage import Storage
from zarr_vectors.storage.urls import open_backend

LAYOUT = zv.Layout(chunk_shape=10, shard_shape=None)
SHARDED = zv.Layout(chunk_shape=10, shard_shape=2)


def cloud(seed: int, low: float = 0.0) -> zv.Points:
    """A few points of two objects, in about three chunks."""
    rng = np.random.default_rng(seed)
    return zv.Points(
        rng.uniform(low, low + 25, (6, 1)),
        attributes={"weight": rng.uniform(size=6)},
        object_ids=np.repeat([10 * seed, 10 * seed + 1], 3),
        object_attributes={"size": rng.uniform(size=2)},
    )


def create(target: Any) -> None:
    zv.write(target, cloud(1), layout=LAYOUT)


def create_sharded(target: Any) -> None:
    zv.write(target, cloud(1), layout=SHARDED)


def append(target: Any) -> None:
    """Grows the grid toward negative coordinates, so that stored objects get other names."""
    zv.write(target, cloud(2, -30.0), mode="append", out_of_bounds="expand")


def amend(target: Any) -> None:
    """More vertices and more attributes, of what is there and of what is new."""
    with zv.open(target, "r+")[0].writer(out_of_bounds="expand") as writer:
        writer.add_attribute_sync("number", np.arange(6.0))
        writer.append_vertices_sync(cloud(2, -30.0))
        writer.add_object_attribute_sync("name", ["a", "b", "c", "d"])


def replace(target: Any) -> None:
    """Another rank and another cut, so that files stand where folders stood."""
    other = cloud(3)
    wide = zv.Points(np.hstack([other.positions] * 3), attributes={"weight": other.attributes["weight"]})
    zv.write(target, wide, mode="replace", layout=SHARDED)


def stream(target: Any) -> None:
    """Values one after another, from a generator that ends in an error."""

    def values() -> Any:
        yield cloud(4)
        raise RuntimeError("the input ends here")

    zv.write(target, values(), layout=LAYOUT, bounds=([0.0], [30.0]), mode="replace")


def rechunk(target: Any) -> None:
    """In place: chunks of other boxes, with an axis more."""
    zv.rechunk(target, zv.RechunkSpec("object_id", spatial_chunk_shape=(15,)))


def commit(scenario: Scenario, target: Any) -> None:
    Storage(open_backend(target)).commit(scenario.batch())


JOBS: dict[str, Callable[[Any], None]] = {
    "create store": create,
    "create sharded store": create_sharded,
    "append to store": append,
    "amend store": amend,
    "replace store": replace,
    "rechunk store": rechunk,
    **{f"commit {name}": partial(commit, scenario) for name, scenario in SCENARIOS.items()},
}
