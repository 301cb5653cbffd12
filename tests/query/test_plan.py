"""What a plan says of a read, against what the read does."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest

import zarr_vectors as zv
from tests.query.connected import KINDS
from tests.query.test_connected_rounds import value_of
from tests.storage.counting import CountingStore
from tests.types.clouds import same_rows, uniform

BOX = ([2.0, 2.0], [11.0, 9.0])
WAYS: list[dict[str, Any]] = [
    {},
    {"bbox": BOX},
    {"bbox": BOX, "mode": "vertices"},
    {"bbox": BOX, "mode": "clip"},
    {"bbox": BOX, "mode": "objects"},
    {"bbox": ([900, 900], [901, 901])},
    {"object_ids": [17, 3]},
    {"object_ids": [17, 3], "bbox": BOX},
    {"group_ids": [0], "attributes": []},
    {"where": {"row": [3, 4]}},
]
CLOUD = uniform(
    900,
    seed=1,
    low=0,
    high=20,
    ndim=2,
    attributes={"row": np.arange(900)},
    object_ids=np.random.default_rng(1).integers(0, 30, 900),
    groups={0: [1, 2]},
)


class _Weighing(CountingStore):
    """Counts the bytes that it gives out, too."""

    nbytes = 0

    async def get(self, key: str, prototype: Any, byte_range: Any = None) -> Any:
        found = await super().get(key, prototype, byte_range)
        self.nbytes += 0 if found is None else len(found)
        return found

    async def getsize(self, key: str) -> int:
        return await self._store.getsize(key)

    def reset(self) -> None:
        super().reset()
        self.nbytes = 0


@pytest.mark.parametrize("shard", [None, 2], ids=["unsharded", "sharded"])
@pytest.mark.parametrize("kind", ["points", *KINDS])
def test_a_read_does_what_its_plan_says(kind: str, shard: int | None) -> None:
    store = _Weighing()
    value = CLOUD if kind == "points" else value_of(kind)
    zv.write(store._store, value, layout=zv.Layout(chunk_shape=2, shard_shape=shard))
    for way in WAYS:
        level = zv.open(store)[0]
        plan = level.plan(**way)
        store.reset()
        level.read(**way)
        assert plan.requests == len(store.requests), way
        assert plan.rounds == store.rounds, way
        assert plan.nbytes == store.nbytes, way


def test_chunks_are_those_that_a_box_touches(tmp_path: Path) -> None:
    zv.write(tmp_path / "s", zv.Points(np.indices((8, 8)).reshape(2, -1).T + 0.5), layout=zv.Layout(chunk_shape=1))
    level = zv.open(tmp_path / "s")[0]
    plan = level.plan(bbox=([2.1, 3.1], [4.9, 3.9]))
    assert (plan.chunks, plan.present) == (3, 64)
    assert plan.steps[-2].what == "cells"
    assert "3 of 64 chunks" in str(plan)
    assert level.explain(bbox=([2.1, 3.1], [4.9, 3.9])) == str(level.plan(bbox=([2.1, 3.1], [4.9, 3.9])))


def test_a_plan_changes_nothing(tmp_path: Path) -> None:
    zv.write(tmp_path / "s", CLOUD, layout=zv.Layout(chunk_shape=2))
    level = zv.open(tmp_path / "s")[0]
    assert level.plan(bbox=BOX) == level.plan(bbox=BOX)
    whole = level.read(bbox=BOX)
    assert level.plan(bbox=BOX).rounds < zv.open(tmp_path / "s")[0].plan(bbox=BOX).rounds
    assert same_rows(level.read(bbox=BOX), whole)
