"""Pyramids of stores that are cut or stored in other ways."""

from __future__ import annotations

from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import zarr_vectors as zv
from tests.pyramid.samples import level_rows, sample
from tests.types.clouds import memory
from tests.validate.spoiling import cell, listed, numbers, put, table
from zarr_vectors.pyramid import run
from zarr_vectors.pyramid.source import Finer

OWNER, MANIFESTS = "0/fragment_attributes/object_id", "0/object_index/manifests"
LAYOUT = zv.Layout(chunk_shape=20)
FACTORS: Any = [(2, 1), (2, 2)]


@pytest.mark.parametrize(
    ("kind", "by"),
    [("points", "object_id"), ("points", "attribute:name"), ("points", "group"), ("streamline", "object_id")],
)
def test_chunks_with_an_axis_before_the_spatial_ones(kind: str, by: str) -> None:
    value, turned, plain = sample(kind), memory(), memory()
    for target in (turned, plain):
        zv.write(target, value, layout=LAYOUT)
    zv.rechunk(turned, zv.RechunkSpec(by, spatial_chunk_shape=(20, 20, 20)))
    for target in (turned, plain):
        root = zv.open_store(target, "r+")
        root.attrs["zarr_vectors"] = {**root.attrs["zarr_vectors"], "base_bin_shape": [2.5] * 3}
    stores = [zv.open(target, "r+") for target in (turned, plain)]
    reports = [store.build_pyramid(FACTORS) for store in stores]
    assert reports[0].levels[0].left_out == ()
    for ours, expected in zip(*stores, strict=True):
        got = ours.read()
        # Chunk keys say the attribute of the objects for their vertices too.
        got = replace(got, attributes={name: got.attributes[name] for name in expected.attributes})
        assert level_rows(got, floats=False) == level_rows(expected.read(), floats=False)
        assert ours.state.metadata.chunk_dims == stores[0][0].state.metadata.chunk_dims
        assert {len(key) for key in ours.chunk_keys} == {4}
    assert {problem.kind for problem in zv.validate(turned).problems} <= {"ngff_scale"}


def test_draco_cells_are_read_and_coarser_levels_are_plain() -> None:
    pytest.importorskip("DracoPy")
    target = memory()
    value = zv.Points(sample("cloud").positions)
    zv.write(target, value, layout=zv.Layout(chunk_shape=20, vertex_encoding="draco"))
    store = zv.open(target, "r+")
    store.build_pyramid(FACTORS)
    assert [level.vertex_encoding for level in store] == ["draco", "raw", "raw"]
    assert store[2].read().attributes["count"].sum() == value.vertex_count
    assert not zv.validate(target).problems


def test_object_rows_in_any_order() -> None:
    target, value = memory(), replace(sample("points"), groups={}, group_attributes={})
    later = replace(value, object_ids=value.object_ids + 500, objects=value.objects + 500)
    zv.write(target, later, layout=LAYOUT)
    zv.write(target, value, mode="append", out_of_bounds="expand")
    store = zv.open(target, "r+")
    store.build_pyramid(FACTORS)
    finest = store[0].read()
    assert (np.diff(finest.objects) < 0).any()
    for level in list(store)[1:]:
        got = level.read()
        names = dict(zip(finest.objects.tolist(), np.asarray(finest.object_attributes["name"]), strict=True))
        assert np.asarray(got.object_attributes["name"]).tolist() == [names[one] for one in got.objects.tolist()]
    assert not zv.validate(target).problems


def test_row_ids_are_left_out_and_said_so() -> None:
    target = memory()
    zv.write(target, sample("points"), layout=zv.Layout(chunk_shape=20, keep_order=True))
    store = zv.open(target, "r+")
    assert store.build_pyramid([(2, 1)]).levels[0].left_out == ("row_id",)
    facts = store[1].state.metadata.pyramid
    assert facts is not None
    assert facts.left_out == ("row_id",)


def test_a_zip_file_is_refused(tmp_path: Path) -> None:
    zv.write(tmp_path / "a.zip", sample("points"))
    before = (tmp_path / "a.zip").read_bytes()
    with pytest.raises(zv.exceptions.ReadOnlyError, match="zip"):
        zv.open(tmp_path / "a.zip", "r+").build_pyramid([(2, 1)])
    assert (tmp_path / "a.zip").read_bytes() == before


@pytest.mark.parametrize("method", ["mean", "subsample"])
def test_points_of_no_object_stay_outside_the_index(tmp_path: Path, method: str) -> None:
    at = np.array([[1.0, 1.0], [2.0, 1.0], [7.0, 7.0], [3.0, 3.0], [12.0, 3.0]], dtype=np.float32)
    zv.write(
        tmp_path / "a", zv.Points(at, object_ids=[5, 5, 5, 6, 6]), layout=zv.Layout(chunk_shape=10, shard_shape=None)
    )
    cell(OWNER, numbers("<i8", put((0, -1))), key="0.0")(tmp_path / "a")
    table(MANIFESTS, lambda manifests: [b"", *manifests[1:]])(tmp_path / "a")
    store = zv.open(tmp_path / "a", "r+")
    finest = store[0].read()
    assert finest.object_ids.tolist() == [-1, -1, -1, 6, 6]
    store.build_pyramid([(4, 1), (1, 2)], method=method)
    for level in list(store)[1:]:
        got = level.read()
        assert set(got.object_ids.tolist()) == {-1, 6}
        assert sorted(got.object_ids.tolist()) == [-1, 6, 6]
        assert len(level.read(object_ids=[5]).positions) == 0
        assert level.read(object_ids=[6]).vertex_count == (got.object_ids == 6).sum()
    problems = [problem for problem in zv.validate(tmp_path / "a").problems if not problem.path.startswith("0/")]
    assert {problem.kind for problem in problems} == {"fragment_unowned"}


@pytest.mark.parametrize("sparsity", [1, 2])
def test_points_of_unknown_objects_are_refused(tmp_path: Path, sparsity: int) -> None:
    at = np.array([[1.0, 1.0], [2.0, 1.0], [12.0, 3.0]], dtype=np.float32)
    layout = zv.Layout(chunk_shape=10, shard_shape=None)
    zv.write(tmp_path / "a", zv.Points(at, object_ids=[5, 6, 6]), layout=layout)
    cell(OWNER, numbers("<i8", put((0, 77))), key="0.0")(tmp_path / "a")
    store = zv.open(tmp_path / "a", "r+")
    with pytest.raises(zv.exceptions.ZVError, match="object index does not have"):
        store.build_pyramid([(4, sparsity)])
    assert store.levels == [0]
    assert not zv.validate(tmp_path / "a").ok


def test_vertices_of_no_object_are_named(tmp_path: Path) -> None:
    graph = sample("graph")
    zv.write(tmp_path / "a", graph, layout=zv.Layout(chunk_shape=20))
    table(MANIFESTS, lambda manifests: [b"", *manifests[1:]])(tmp_path / "a")
    report = zv.open(tmp_path / "a", "r+").build_pyramid([(2, 1)])
    assert "vertices of no object" in report.levels[0].left_out


@pytest.mark.parametrize("kind", ["points", "graph", "streamline"])
def test_numbers_that_whole_chunks_lack_are_left_out_and_said_so(tmp_path: Path, kind: str) -> None:
    count = sample(kind).vertex_count
    value = replace(sample(kind), attributes={"n": np.arange(count), "f": np.linspace(1, 2, count)})
    zv.write(tmp_path / "a", value, layout=LAYOUT)
    for name in ("n", "f"):
        listed(f"0/vertex_attributes/{name}", lambda keys: keys[1:])(tmp_path / "a")
    store = zv.open(tmp_path / "a", "r+")
    assert np.ma.is_masked(store[0].read().attributes["n"])
    assert store.build_pyramid([(2, 1)]).levels[0].left_out == ("n",)
    got = store[1].read().attributes
    assert "n" not in got
    known = got["f"][~np.isnan(got["f"])]
    assert 0 < len(known) <= len(got["f"])
    assert known.min() >= 1


@pytest.mark.parametrize("rows", [10**6, 50])
def test_numbers_that_some_links_lack_are_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, rows: int) -> None:
    monkeypatch.setattr(run, "Finer", partial(Finer, batch_rows=rows))
    graph = sample("graph")
    graph = replace(graph, edge_attributes={"n": np.arange(len(graph.edges)) + 1})
    zv.write(tmp_path / "a", graph, layout=zv.Layout(chunk_shape=20, shard_shape=None))
    listed("0/link_attributes/n/0/0.0.0", lambda keys: keys[1:])(tmp_path / "a")
    store = zv.open(tmp_path / "a", "r+")
    assert np.ma.is_masked(store[0].read().edge_attributes["n"])
    for how in ("mode", "first"):
        with pytest.raises(zv.exceptions.InputError, match="'n' lacks values"):
            store.build_pyramid([(2, 1)], aggregations={"n": how})
    assert store.levels == [0]
