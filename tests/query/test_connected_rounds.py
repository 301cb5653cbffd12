"""How many rounds of requests connected geometry takes to read: the latency on a cloud store."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

import zarr_vectors as zv
from tests.query.connected import KINDS
from tests.storage.counting import CountingStore, rounds_of
from zarr_vectors.geometry import Graph, Mesh, Polylines, Skeleton

kinds = pytest.mark.parametrize("kind", KINDS)
SHARDS = pytest.mark.parametrize("shard", [None, 2], ids=["unsharded", "sharded"])
BOX = ([2.0, 2.0], [11.0, 9.0])


def value_of(kind: str, count: int = 30, *, first: int = 0, step: int = 1, spread: float = 1) -> Any:
    """So many objects of six vertices each, or lines of two, in a hundred chunks."""
    rng = np.random.default_rng(0)
    each = 2 if kind == "line" else 6
    ids = np.arange(count) * step + first
    centres = rng.uniform(0, 20, (count, 1, 2))
    at = (centres + rng.normal(0, spread, (count, each, 2))).reshape(-1, 2)
    attributes = {"row": np.arange(len(at))}
    if kind == "line":
        return zv.Lines(at.reshape(-1, 2, 2), ids=ids, attributes=attributes, groups={0: ids[:2]})
    if kind in {"polyline", "streamline"}:
        offsets = np.arange(count + 1) * 6
        return Polylines(at, offsets, ids=ids, kind=kind, attributes=attributes, groups={0: ids[:2]})
    linked: dict[str, Any] = {"attributes": attributes, "object_ids": np.repeat(ids, 6), "groups": {0: ids[:2]}}
    if kind == "skeleton":
        return Skeleton(at, np.where(np.arange(len(at)) % 6, np.arange(len(at)) - 1, -1), **linked)
    width = 2 if kind == "graph" else 3
    links = (rng.integers(0, 6, (count, 8, width)) + np.arange(count)[:, None, None] * 6).reshape(-1, width)
    weights = {"w": np.arange(len(links))}
    if kind == "graph":
        return Graph(at, links, edge_attributes=weights, **linked)
    return Mesh(at, links, face_attributes=weights, **linked)


def written(value: Any, shard: int | None) -> CountingStore:
    store = CountingStore()
    zv.write(store._store, value, layout=zv.Layout(chunk_shape=2, shard_shape=shard))
    store.reset()
    return store


@kinds
@SHARDS
def test_rounds_of_every_path(kind: str, shard: int | None) -> None:
    store = written(value_of(kind), shard)
    index = 1 if shard else 0
    opened = rounds_of(store, lambda: zv.open(store))
    assert opened == 2
    ways: list[tuple[int, dict[str, Any]]] = [
        (1 + index, {"bbox": BOX, "mode": "vertices"}),
        (1 + index, {"bbox": BOX, "mode": "clip"}),
        (2 + index, {"object_ids": [17, 3]}),
        (3 + index, {"group_ids": [0]}),
        (2 + index, {}),
        # The cells near the box, then the manifests and cells of the objects that it meets.
        (3 + 2 * index, {"bbox": BOX}),
    ]
    for most, options in ways:
        level = zv.open(store)[0]
        found: list[Any] = []
        assert rounds_of(store, lambda: found.append(level.read(**options))) <= most  # noqa: B023
        assert found[0].vertex_count > 0
    assert rounds_of(store, lambda: zv.open(store)[0].read(([500.0, 0], [501.0, 1]), mode="vertices")) == opened


@pytest.mark.parametrize("kind", ["line", "graph"])
@pytest.mark.parametrize(("step", "most"), [(1, 3), (3, 4)], ids=["run", "table"])
def test_a_long_table_of_ids_takes_a_round_more(kind: str, step: int, most: int) -> None:
    store = written(value_of(kind, 17_000, first=-7, step=step, spread=0.01), 2)
    level = zv.open(store)[0]
    found: list[Any] = []
    assert rounds_of(store, lambda: found.append(level.read(object_ids=[16_990 * step - 7, -7]))) == most
    assert found[0].vertex_count == (4 if kind == "line" else 12)
