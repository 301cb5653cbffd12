"""Coarser levels of stores whose chunks have an axis before the spatial ones: they have it too."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import zarr_vectors as zv
from tests.pyramid.samples import level_rows, link_rows, sample
from tests.pyramid.test_mesh_levels import two_surfaces
from tests.types.clouds import column_values, memory
from zarr_vectors.core.store import open_store, set_bounds
from zarr_vectors.types import spill

LAYOUT = zv.Layout(chunk_shape=20, shard_shape=None)
FACTORS: Any = [(2, 1), (2, 1)]


def built(value: Any, by: str | None, target: Any = None, layout: zv.Layout = LAYOUT, **options: Any) -> Any:
    """A store with levels, chunked by something where that is told, with bins that do not hang on that."""
    target = memory() if target is None else target
    zv.write(target, value, layout=layout)
    if by is not None:
        zv.rechunk(target, zv.RechunkSpec(by))
    root = zv.open_store(target, "r+")
    root.attrs["zarr_vectors"] = {**root.attrs["zarr_vectors"], "base_bin_shape": [2.5] * 3}
    store = zv.open(target, "r+")
    store.build_pyramid(FACTORS, **options)
    return store


def problems(store: Any) -> set[str]:
    return {problem.kind for problem in zv.validate(store.url).problems} - {"ngff_scale"}


def contents(store: Any) -> list[Any]:
    return [level_rows(level.read(), floats=False) for level in store]


@pytest.mark.parametrize(
    ("kind", "name", "method"),
    [("points", "kind", None), ("cloud", "class", "subsample"), ("graph", "class", None)],
)
def test_vertices_of_different_values_are_not_merged(kind: str, name: str, method: str | None) -> None:
    value = with_few(sample(kind), name)
    store = built(value, f"attribute:{name}", method=method)
    column = column_values(value.attributes[name])
    finest = store[0].state.metadata
    for one in set(column):
        alone = built(value.within(np.array([each == one for each in column])), None, method=method)
        for level, expected in zip(store, alone, strict=True):
            got = level.read(where={name: one})
            assert level_rows(got, floats=False) == level_rows(expected.read(), floats=False)
    for level in list(store)[1:]:
        metadata = level.state.metadata
        assert metadata.chunk_dims == finest.chunk_dims
        assert metadata.chunk_attribute_values == finest.chunk_attribute_values
        whole = level.read()
        assert whole.attributes["count"].sum() == value.vertex_count
        values = column_values(whole.attributes[name])
        assert set(values) == set(column)
    assert not problems(store)


def test_reads_of_a_value_touch_no_other_chunks(tmp_path: Path) -> None:
    store = built(sample("points"), "attribute:kind", tmp_path / "store")
    values = store[1].state.metadata.chunk_attribute_values
    kept = [level_rows(level.read(where={"kind": "oak"}), floats=False) for level in store]
    for number in (1, 2):
        cells = tmp_path / "store" / str(number) / "vertices" / "c"
        for folder in cells.iterdir():
            if folder.name != str(values.index("oak")):
                for path in folder.rglob("*"):
                    if path.is_file():
                        path.unlink()
    store = zv.open(tmp_path / "store")
    assert [level_rows(level.read(where={"kind": "oak"}), floats=False) for level in store] == kept
    with pytest.raises(zv.exceptions.ZVError):
        store[1].read()


def with_few(value: Any, *names: str) -> Any:
    """Fewer attributes take less time."""
    links: Any = {} if not hasattr(value, "edge_attributes") else {"edge_attributes": {}}
    tables: Any = {"object_attributes": {}, "groups": {}, "group_attributes": {}}
    return replace(value, attributes={name: value.attributes[name] for name in names}, **tables, **links)


@pytest.mark.parametrize("kind", ["points", "cloud", "streamline", "graph", "skeleton"])
def test_every_kind_has_the_axis_from_memory_and_from_files(kind: str, monkeypatch: pytest.MonkeyPatch) -> None:
    value, by = with_few(sample(kind), "kind", "heat"), "attribute:kind" if kind == "cloud" else "object_id"
    layout = zv.Layout(chunk_shape=20, shard_shape=3)
    store = built(value, by, layout=layout)
    monkeypatch.setattr(spill, "_IN_MEMORY_ROWS", 20)
    spilt = built(value, by, layout=layout)
    assert contents(spilt) == contents(store)
    assert [level.chunk_keys for level in spilt] == [level.chunk_keys for level in store]
    if kind not in ("points", "cloud"):
        assert [link_rows(level.read()) for level in spilt] == [link_rows(level.read()) for level in store]
    assert not problems(store)


def test_a_mesh_by_an_attribute_of_its_vertices() -> None:
    store = built(two_surfaces(objects=True), "attribute:label", layout=zv.Layout(chunk_shape=10))
    for level in store:
        got = level.read()
        assert len(got.faces)
        labels = got.attributes["label"]
        if level.number:
            assert got.attributes["count"].sum() == store[0].vertex_count
        for one in range(5):
            assert level.read(where={"label": one}, mode="vertices").vertex_count == (labels == one).sum()
    assert not problems(store)


def test_numbers_of_an_axis_stay_what_they_are() -> None:
    value = zv.Points(
        np.random.default_rng(0).uniform(0, 10, (300, 3)), attributes={"dose": np.repeat([0.1, 0.3, 1 / 3], 100)}
    )
    store = built(value, "attribute:dose")
    for level in store:
        got = level.read()
        assert set(got.attributes["dose"].tolist()) == {0.1, 0.3, 1 / 3}
        assert level.read(where={"dose": 0.1}).vertex_count == (got.attributes["dose"] == 0.1).sum()
    with pytest.raises(zv.exceptions.InputError, match="'dose'"):
        store.build_pyramid(FACTORS, replace=True, aggregations={"dose": "sum"})
    assert store.levels == [0, 1, 2]


def test_levels_follow_when_the_store_is_cut_anew() -> None:
    store = built(sample("points"), "attribute:kind")
    before = contents(store)
    store.refresh_pyramid(force=True)
    assert contents(store) == before
    set_bounds(open_store(store.url, "r+"), ([20.0] * 3, [80.0] * 3), force=True)
    store = zv.open(store.url, "r+")
    assert [level.is_stale for level in store] == [False, True, True]
    store.refresh_pyramid()
    assert store[2].read().attributes["count"].sum() == store[0].vertex_count
    assert {len(key) for level in store for key in level.chunk_keys} == {4}
    zv.rechunk(store.url, zv.RechunkSpec("spatial"))
    store = zv.open(store.url, "r+")
    assert {len(key) for level in store for key in level.chunk_keys} == {3}
    assert store[2].read().attributes["count"].sum() == store[0].vertex_count
    assert not problems(store)
