"""Edits of what lies near a place or within an area: the same vertices as a mask tells, or their whole objects."""

from __future__ import annotations

import itertools
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest

import zarr_vectors as zv
from zarr_vectors.exceptions import InputError

NUMBERS = itertools.count()
CENTRE, RADIUS = [8.0, 11.0], 6.0
TRIANGLE = zv.Polygon([[3.0, 3.0], [18.0, 4.0], [9.0, 17.0]])
AREAS: dict[str, tuple[dict[str, Any], Callable[[Any], Any]]] = {
    "near": ({"near": (CENTRE, RADIUS)}, lambda p: ((p - CENTRE) ** 2).sum(axis=1) <= RADIUS**2),
    "within": ({"within": TRIANGLE}, TRIANGLE.mask),
    "function": ({"within": lambda p: p[:, 0] > 18}, lambda p: p[:, 0] > 18),
    "all": (
        {"near": (CENTRE, RADIUS), "within": TRIANGLE, "bbox": ([0, 0], [9, 30])},
        lambda p: (((p - CENTRE) ** 2).sum(axis=1) <= RADIUS**2) & TRIANGLE.mask(p) & (p[:, 0] <= 9),
    ),
}


def store_of(kind: str) -> zv.ZVStore:
    rng = np.random.default_rng(3)
    positions, owners = rng.uniform(0, 20, (80, 2)), np.repeat(np.arange(16), 5)
    attributes = {"tag": np.arange(80)}
    value: Any = zv.Points(positions, attributes, owners)
    if kind == "graph":
        ends = np.arange(79)[np.arange(79) % 5 != 4]
        value = zv.Graph(positions, np.stack([ends, ends + 1], axis=1), attributes=attributes, object_ids=owners)
    url = f"memory://edited-places-{next(NUMBERS)}"
    zv.write(url, value, layout=zv.Layout(chunk_shape=5))
    return zv.open(url, "r+")


@pytest.mark.parametrize("mode", ["vertices", "objects", None])
@pytest.mark.parametrize("area", AREAS)
@pytest.mark.parametrize("kind", ["points", "graph"])
def test_what_lies_there_is_changed_and_removed(kind: str, area: str, mode: str | None) -> None:
    store = store_of(kind)
    asked, mask = AREAS[area]
    before = store[0].read()
    owners, tags = np.asarray(before.vertex_objects), np.asarray(before.attributes["tag"])
    inside = np.asarray(mask(before.positions))
    whole = mode == "objects" or (mode is None and kind != "points")
    if whole and area == "all":
        # Objects that meet each place, not only all of them at one vertex.
        inside = np.isin(tags, store[0].read(**asked, mode="objects").attributes["tag"])
    elif whole:
        inside = np.isin(owners, owners[inside])
    assert inside.any()
    assert not inside.all()
    with store.edit() as e:
        e.set_attribute("tag", -1, **asked, mode=mode)
    changed = np.asarray(store[0].read().attributes["tag"])
    assert sorted(changed.tolist()) == sorted(np.where(inside, -1, tags).tolist())
    with store.edit() as e:
        e.remove(**asked, mode=mode)
    after = store[0].read()
    assert sorted(np.asarray(after.attributes["tag"]).tolist()) == sorted(tags[~inside].tolist())
    left = set(owners.tolist()) - (set(owners[inside].tolist()) if whole else set())
    assert set(store[0].objects.ids.tolist()) == left


def test_what_cannot_be_meant_is_refused() -> None:
    store = store_of("points")
    before = store[0].read()
    for match, asked in (
        ("near", {"near": 3.0}),
        ("within must be", {"within": 3}),
        ("two ways", {"within": TRIANGLE, "row_ids": [1]}),
        ("mode must be", {"near": (CENTRE, 1.0), "mode": "clip"}),
        ("near or within", {}),
    ):
        with pytest.raises(InputError, match=match), store.edit() as e:
            e.remove(**asked)
    assert store[0].read() == before
