"""Stores whose levels are made, and that change afterwards: rows are appended, chunks are cut anew, bounds shrink."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import zarr_vectors as zv
from tests.cli.running import Result
from tests.pyramid.samples import level_rows, link_rows, sample
from tests.pyramid.surfaces import sheet
from tests.pyramid.test_stale import moved
from tests.types.clouds import memory
from zarr_vectors.core.store import open_store, set_bounds
from zarr_vectors.multiresolution.coarsen import coarsen_level
from zarr_vectors.storage.urls import open_backend
from zarr_vectors.typing import JsonObject

LAYOUT = zv.Layout(chunk_shape=20)
FACTORS: Any = [(2, 1), (2, 1)]
LINKED: Any = {"cross_level_storage": "implicit", "cross_level_depth": -1}


def built(value: Any, layout: zv.Layout = LAYOUT, **options: Any) -> str:
    target = memory()
    zv.write(target, value, layout=layout)
    zv.open(target, "r+").build_pyramid(FACTORS, **options)
    return target


def contents(target: str) -> list[Any]:
    """Rows and links of every level."""
    values = [level.read() for level in zv.open(target)]
    return [
        (level_rows(value, floats=False), None if isinstance(value, zv.Points) else link_rows(value))
        for value in values
    ]


def kinds(target: str) -> set[str]:
    return {problem.kind for problem in zv.validate(target).problems}


def test_lines_are_appended_under_stale_levels() -> None:
    for kind in ("line", "streamline"):
        value, more = sample(kind), [moved(sample(kind, seed=seed), 0) for seed in (8, 9)]
        more = [replace(each, ids=value.ids + 1000 * n, objects=value.ids + 1000 * n) for n, each in enumerate(more, 1)]
        target = built(value)
        for each in more:
            zv.write(target, each, mode="append", out_of_bounds="expand")
            assert kinds(target) == {"level_stale"}
        store = zv.open(target, "r+")
        assert [len(level.read().ids) for level in store] == [18, 6, 6]
        store.refresh_pyramid()
        assert kinds(target) == set()
        fresh = memory()
        zv.write(fresh, value, layout=LAYOUT)
        for each in more:
            zv.write(fresh, each, mode="append", out_of_bounds="expand")
        zv.open(fresh, "r+").build_pyramid(FACTORS)
        assert [len(level.read().ids) for level in store] == [18, 18, 18]
        assert store[0].vertex_count == 3 * value.vertex_count
        assert contents(target)[0] == contents(fresh)[0]
        assert {owner for row in contents(target)[2][0] for owner in row[-1:]} == set(store[0].objects.ids.tolist())


@pytest.mark.parametrize("kind", ["cloud", "graph", "streamline"])
def test_chunks_may_change_under_levels(kind: str) -> None:
    target = built(sample(kind))
    before, bins = contents(target), [level.bin_shape for level in zv.open(target)]
    zv.rechunk(target, zv.RechunkSpec("spatial", spatial_chunk_shape=(40, 10, 30)))
    assert contents(target) == before
    assert kinds(target) == set()
    store = zv.open(target, "r+")
    store.refresh_pyramid(force=True)
    assert contents(target) == before
    assert [level.bin_shape for level in store][1:] == bins[1:]
    assert kinds(target) == set()


@pytest.mark.parametrize("kind", ["cloud", "points", "graph", "streamline"])
def test_levels_are_stale_when_bounds_take_vertices_away(kind: str) -> None:
    target = built(sample(kind))
    set_bounds(open_store(target, "r+"), ([0.0] * 3, [100.0] * 3), force=True)
    assert kinds(target) == set()
    set_bounds(open_store(target, "r+"), ([20.0] * 3, [70.0] * 3), force=True)
    store = zv.open(target, "r+")
    assert [level.is_stale for level in store] == [False, True, True]
    assert kinds(target) == {"level_stale"}
    store.refresh_pyramid()
    assert kinds(target) == set()
    if kind != "streamline":
        assert [level.read().attributes["count"].sum() for level in list(store)[1:]] == [store[0].vertex_count] * 2


@pytest.mark.parametrize("kind", ["cloud", "skeleton"])
def test_coordinates_are_moved_by_the_offset(kind: str) -> None:
    value, offset = sample(kind), np.array([1000.0, -50.0, 7.0])
    plain, target = built(value), memory()
    zv.write(target, value, layout=LAYOUT)
    root = zv.open_store(target, "r+")
    root.attrs["zarr_vectors"] = {**root.attrs["zarr_vectors"], "coordinate_offset": offset.tolist()}
    store = zv.open(target, "r+")
    store.build_pyramid(FACTORS)
    for level, other in zip(store, zv.open(plain), strict=True):
        got, expected = level.read(), other.read()
        back = replace(got, positions=(got.positions.astype(np.float64) - offset).astype(np.float32))
        assert level_rows(rounded(back), floats=False) == level_rows(rounded(expected), floats=False)
        assert level.error_bound == other.error_bound
        low = [1000.0, -50.0, 7.0]
        inside = ((got.positions >= low) & (got.positions <= np.add(low, 50))).all(axis=1)
        assert level.read(bbox=(low, np.add(low, 50)), mode="vertices").vertex_count == inside.sum()


def rounded(value: Any) -> Any:
    """Offsets take digits of single precision away."""
    return replace(value, positions=np.round(value.positions, 1))


def test_nothing_says_that_objects_are_left_out_where_there_are_none(tmp_path: Path) -> None:
    zv.write(tmp_path / "s", sample("cloud"), layout=LAYOUT)
    report = zv.open(tmp_path / "s", "r+").build_pyramid([(2, 1), (2, 4)])
    assert [level.sparsity for level in report.levels] == [1, 1]
    coarsen_level(tmp_path / "s", 2, 3, coarsen_factor=2, sparsity_factor=2)
    for level in list(zv.open(tmp_path / "s"))[1:]:
        metadata = level.state.metadata
        assert metadata.pyramid is not None
        assert (metadata.object_sparsity, metadata.pyramid.sparsity) == (1, 1)
        assert metadata.pyramid.sparsity_strategy is None
    assert not zv.validate(tmp_path / "s").problems
    done = Result(["pyramid", tmp_path / "s", "--factors", "2:4", "--replace"])
    assert done.out.splitlines()[-1] == "the store has no objects, of which some could be left out"


def root_of(target: str) -> JsonObject:
    found: JsonObject = zv.open_store(target).attrs["zarr_vectors"]
    return found


def test_a_level_without_links_beside_levels_that_have_some() -> None:
    target = built(sample("points"), **LINKED)
    coarsen_level(target, 2, 3, coarsen_factor=2)
    assert (root_of(target)["cross_level_storage"], root_of(target)["cross_level_depth"]) == ("implicit", -1)
    level = zv.open(target)[3].state.metadata.pyramid
    assert level is not None
    assert (level.cross_level_storage, level.cross_level_depth) == ("none", 1)
    assert kinds(target) == set()
    store = zv.open(target, "r+")
    store.refresh_pyramid(force=True)
    assert [families(target, number) for number in store.levels] == [["+1", "+2"], ["+1"], [], []]
    assert kinds(target) == set()


def families(target: str, number: int) -> list[str]:
    """Of links of a level to others."""
    keys = open_backend(target).list_prefix(f"{number}/links", recursive=True)
    return sorted({key.split("/")[2] for key in keys} - {"0", "zarr.json"})


def test_a_mesh_is_appended_to() -> None:
    value = sheet(20, 20, bump=2.0)
    target = built(value, zv.Layout(chunk_shape=8))
    zv.write(
        target, replace(value, positions=value.positions + np.array([32, 0, 0])), mode="append", out_of_bounds="expand"
    )
    assert kinds(target) == {"level_stale"}
    store = zv.open(target, "r+")
    store.refresh_pyramid()
    assert kinds(target) == set()
    for level in store:
        faces = level.read()
        assert (faces.positions[faces.faces][:, :, 0] >= 32).all(axis=1).sum() * 2 == len(faces.faces)
