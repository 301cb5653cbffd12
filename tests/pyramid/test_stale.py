"""Coarser levels after a change of a finer one: stale in the same commit, and built anew on request."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import zarr_vectors as zv
from tests.cli.running import Result
from tests.pyramid.samples import level_rows, sample
from tests.types.clouds import memory, rows_of
from zarr_vectors.core.store import open_store, remove_resolution_level
from zarr_vectors.multiresolution.coarsen import coarsen_level

LAYOUT = zv.Layout(chunk_shape=20)
FACTORS: Any = [(2, 1), (2, 1)]


def moved(value: Any, shift: float) -> Any:
    """Other objects, elsewhere."""
    more: dict[str, Any] = {"positions": value.positions + np.asarray(shift, value.positions.dtype)}
    name = "ids" if isinstance(value, (zv.Lines, zv.Polylines)) else "object_ids"
    if getattr(value, name) is not None:
        more |= {name: getattr(value, name) + 1000, "groups": {}, "group_attributes": {}}
    if not isinstance(value, (zv.Lines, zv.Polylines)) and value.objects is not None:
        more["objects"] = value.objects + 1000
    return replace(value, **more)


def contents(store: Any) -> list[Any]:
    return [(level.bin_shape, level_rows(level.read(), floats=False)) for level in store]


@pytest.mark.parametrize("kind", ["cloud", "points", "graph", "skeleton"])
def test_levels_are_stale_until_they_are_built_anew(kind: str) -> None:
    target, value = memory(), sample(kind)
    zv.write(target, value, layout=LAYOUT)
    store = zv.open(target, "r+")
    store.build_pyramid(FACTORS)
    assert not any(level.is_stale for level in store)
    zv.write(target, moved(sample(kind, seed=9), -70), mode="append", out_of_bounds="expand")
    store = zv.open(target, "r+")
    assert [level.is_stale for level in store] == [False, True, True]
    assert [level["pyramid"] and level["pyramid"].get("stale") for level in store.info()["levels"]] == [
        None,
        True,
        True,
    ]
    told = zv.validate(target).problems
    assert [(problem.kind, problem.path, problem.severity) for problem in told] == [
        ("level_stale", "1", "warning"),
        ("level_stale", "2", "warning"),
    ]
    assert "refresh" in told[0].message
    assert store[0].vertex_count == 2 * value.vertex_count
    assert [level.level for level in store.refresh_pyramid().levels] == [1, 2]
    assert not zv.validate(target).problems
    fresh = contents(store)
    assert not store.refresh_pyramid().levels
    store.build_pyramid(FACTORS, replace=True)
    assert contents(store) == fresh


def test_attributes_that_are_added_come_with_a_refresh() -> None:
    target = memory()
    zv.write(target, sample("streamline"), layout=LAYOUT)
    store = zv.open(target, "r+")
    store.build_pyramid(FACTORS)
    with store[0].writer() as writer:
        writer.add_attribute_sync("fresh", np.arange(float(store[0].vertex_count)))
    store = zv.open(target, "r+")
    assert [level.is_stale for level in store] == [False, True, True]
    store.refresh_pyramid()
    assert "fresh" in store[2].attributes
    assert [level.is_stale for level in store] == [False, False, False]


def test_only_what_hangs_on_a_stale_level_is_built_anew(tmp_path: Path) -> None:
    zv.write(tmp_path, sample("points"), layout=LAYOUT)
    store = zv.open(tmp_path, "r+")
    store.build_pyramid([(2, 1), (2, 1), (2, 1)])
    group = open_store(tmp_path, "r+")["2"]
    facts = group.attrs["zarr_vectors_level"]
    group.attrs["zarr_vectors_level"] = {**facts, "pyramid": {**facts["pyramid"], "stale": True}}
    answer = Result(["info", tmp_path])
    assert "stale" in answer.out
    assert Result(["pyramid", tmp_path, "--refresh"]).code == 0
    assert not any(level.is_stale for level in zv.open(tmp_path))
    group.attrs["zarr_vectors_level"] = {**facts, "pyramid": {**facts["pyramid"], "stale": True}}
    assert [level.level for level in zv.open(tmp_path, "r+").refresh_pyramid().levels] == [2, 3]


def test_a_level_whose_parent_was_removed_is_built_anew_as_coarse_as_it_was() -> None:
    target = memory()
    zv.write(target, sample("points"), layout=LAYOUT)
    store = zv.open(target, "r+")
    store.build_pyramid([(2, 1), (4, 2)])
    bins, objects = store[2].bin_shape, len(store[2].read().objects)
    remove_resolution_level(open_store(target, "r+"), 1)
    store = zv.open(target, "r+")
    assert store.levels == [0, 2]
    store.refresh_pyramid(force=True)
    assert store[2].bin_shape == bins
    assert len(store[2].read().objects) == objects


def test_points_that_are_appended_after_a_pyramid_has_chosen_bins() -> None:
    target, value = memory(), sample("cloud")
    more = replace(sample("cloud", seed=4))
    zv.write(target, value, layout=LAYOUT, bounds=([0] * 3, [100] * 3))
    zv.open(target, "r+").build_pyramid(FACTORS)
    zv.write(target, more, mode="append")
    got = zv.open(target)[0].read()
    assert rows_of(got) == rows_of(value) + rows_of(more)
    low, high = [0.0, 20.0, 30.0], [50.0, 70.0, 77.0]
    inside = ((got.positions >= low) & (got.positions <= high)).all(axis=1)
    assert zv.open(target)[0].read(bbox=(low, high)).vertex_count == inside.sum()
    assert zv.validate(target).ok


def test_a_level_that_is_built_anew_keeps_its_chunks(tmp_path: Path) -> None:
    random = np.random.default_rng(2)
    zv.write(tmp_path, zv.Points(random.uniform(0, 64, (500, 2))), layout=zv.Layout(chunk_shape=8))
    store = zv.open(tmp_path, "r+")
    store.build_pyramid([(2, 1), (2, 1)], chunk_scale_factors=[2, (1, 2)])
    before = [level.chunk_shape for level in store]
    assert before == [(8, 8), (16, 16), (16, 32)]
    store.refresh_pyramid(force=True)
    assert [level.chunk_shape for level in store] == before


def test_a_level_that_is_made_from_a_stale_one_is_stale() -> None:
    target = memory()
    zv.write(target, sample("points"), layout=LAYOUT)
    zv.open(target, "r+").build_pyramid([(2, 1)])
    zv.write(target, moved(sample("points", seed=9), 0), mode="append", out_of_bounds="expand")
    coarsen_level(target, 1, 2, coarsen_factor=2)
    store = zv.open(target, "r+")
    assert [level.is_stale for level in store] == [False, True, True]
    assert {problem.kind for problem in zv.validate(target).problems} == {"level_stale"}
    store.refresh_pyramid()
    assert not zv.validate(target).problems
    assert store[2].read().attributes["count"].sum() == store[0].vertex_count
