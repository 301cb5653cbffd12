"""Attributes that a level stores per fragment, replaced by a writer."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from zarr.storage import MemoryStore

import zarr_vectors as zv
from zarr_vectors.exceptions import InputError
from zarr_vectors.geometry import Geometry

LAYOUT = zv.Layout(chunk_shape=2.5, shard_shape=2)
RANDOM = np.random.default_rng(5)
XYZ = RANDOM.uniform(0, 10, (60, 3)).astype("f4")
IDS = np.arange(60) % 4 * 10
LINES = np.array([0, 25, 26, 60])


def values() -> dict[str, Geometry]:
    lines = np.repeat([4, 7, 9], np.diff(LINES))
    return {
        "points": zv.Points(XYZ, {"bundle": IDS + 1, "row": np.arange(60)}, object_ids=IDS),
        "lines": zv.Polylines(XYZ, LINES, ids=[4, 7, 9], attributes={"bundle": lines, "row": np.arange(60)}),
        "graph": zv.Graph(XYZ, [[0, 4], [1, 5]], attributes={"bundle": IDS, "row": np.arange(60)}, object_ids=IDS),
        "bare points": zv.Points(XYZ, {"bundle": np.full(60, 3), "row": np.arange(60)}),
    }


def stored(kind: str, layout: zv.Layout = LAYOUT) -> zv.ZVLevel:
    place = MemoryStore()
    zv.write(place, values()[kind], layout=layout, per_fragment="bundle")
    return zv.open(place, "r+")[0]


def owners(level: zv.ZVLevel) -> Any:
    ids = level.read().object_ids
    return np.zeros(level.vertex_count, dtype=np.int64) if ids is None else ids


@pytest.mark.parametrize("kind", values())
@pytest.mark.parametrize(
    "make", [lambda ids: ids * 2, lambda ids: ids / 7, lambda ids: [f"number {one}" for one in ids]]
)
def test_values_are_replaced_and_stay_per_fragment(kind: str, make: Any) -> None:
    level = stored(kind)
    new = make(owners(level))
    with level.writer(overwrite=True) as writer:
        writer.add_attribute_sync("bundle", new)
    level = zv.open(zv.open_store(level.storage.backend), "r+")[0]
    assert level.attributes["bundle"].per_fragment
    assert np.asarray(level.read().attributes["bundle"]).tolist() == list(new)
    box = ([0, 0, 0], [4, 5, 6])
    inside = ((level.read().positions >= box[0]) & (level.read().positions <= box[1])).all(axis=1)
    found = level.read(bbox=box, mode="vertices").attributes["bundle"]
    assert sorted(np.asarray(found).tolist()) == sorted(np.asarray(new)[inside].tolist())


def test_values_in_the_order_of_the_input() -> None:
    level = stored("points", zv.Layout(chunk_shape=2.5, keep_order=True))
    with level.writer(overwrite=True, order="input") as writer:
        writer.add_attribute_sync("bundle", IDS * 3)
    value = zv.open(level.storage.backend)[0].read()
    assert value.object_ids is not None
    assert (value.attributes["bundle"] == value.object_ids * 3).all()


def test_values_for_vertices_that_are_appended_too() -> None:
    level = stored("points")
    with level.writer(overwrite=True) as writer:
        writer.append_vertices_sync(zv.Points(XYZ[:6], {"bundle": [9] * 6, "row": [0] * 6}, object_ids=[50] * 6))
        writer.add_attribute_sync("bundle", np.append(owners(level) * 2, [99] * 6))
    value = zv.open(level.storage.backend)[0].read()
    assert value.object_ids is not None
    assert (value.attributes["bundle"] == np.where(value.object_ids == 50, 99, value.object_ids * 2)).all()


@pytest.mark.parametrize("kind", ["points", "lines", "bare points"])
def test_values_that_differ_within_a_fragment_are_refused(kind: str) -> None:
    level = stored(kind)
    before = level.read()
    with pytest.raises(InputError, match="not constant within one"), level.writer(overwrite=True) as writer:
        writer.add_attribute_sync("bundle", np.arange(60))
    after = zv.open(level.storage.backend)[0].read()
    assert after.attributes["bundle"].tolist() == before.attributes["bundle"].tolist()


def test_only_where_it_is_said() -> None:
    with pytest.raises(InputError, match="overwrite=True"), stored("points").writer() as writer:
        writer.add_attribute_sync("bundle", np.zeros(60))
