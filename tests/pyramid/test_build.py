"""Pyramids of whole stores of every kind: what levels carry, what they hang on, and what is refused."""

from __future__ import annotations

import json
import shutil
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import zarr_vectors as zv
from tests.pyramid.samples import KINDS, level_rows, link_rows, sample, shuffled
from tests.types.clouds import column_values, files_of, memory
from zarr_vectors.multiresolution.coarsen import build_pyramid, coarsen_level
from zarr_vectors.pyramid import source
from zarr_vectors.storage.urls import open_backend

LAYOUT = zv.Layout(chunk_shape=20, bin_shape=2.5)
FACTORS: Any = [(2, 1), ((4, 2, 2), 2)]


def built(value: Any, target: Any = None, factors: Any = FACTORS, layout: zv.Layout = LAYOUT, **options: Any) -> Any:
    """An open store with a pyramid, over bins of 2.5."""
    target = memory() if target is None else target
    bounds = ([0.0] * value.ndim, [100.0] * value.ndim)
    zv.write(target, value, layout=layout, bounds=bounds)
    root = zv.open_store(target, "r+")
    # Only clouds are cut into bins when they are written; the others are told theirs.
    root.attrs["zarr_vectors"] = {**root.attrs["zarr_vectors"], "base_bin_shape": [2.5] * value.ndim}
    if not isinstance(value, zv.Points) or value.object_ids is not None:
        entry = root.attrs["multiscales"]
        half = {"type": "translation", "translation": [1.25] * value.ndim}
        entry[0]["datasets"][0]["coordinateTransformations"][1:] = [half]
        root.attrs["multiscales"] = entry
    store = zv.open(target, "r+")
    store.build_pyramid(factors, **options)
    return store


@pytest.mark.parametrize("kind", KINDS)
def test_what_levels_carry(kind: str) -> None:
    value = sample(kind)
    store = built(value)
    assert store.levels == [0, 1, 2]
    assert not zv.validate(store.url).problems
    finest = store[0].read()
    for level in list(store)[1:]:
        got = level.read()
        assert type(got) is type(value)
        assert got.positions.dtype == value.positions.dtype
        assert got.axes == finest.axes
        assert level.attributes.keys() >= store[0].attributes.keys()
        for name, info in store[0].attributes.items():
            assert level.attributes[name].dtype == info.dtype, name
        known = set(column_values(value.attributes["kind"]))
        assert set(column_values(got.attributes["kind"])) <= known
        assert got.attributes["class"].categories == value.attributes["class"].categories
        assert got.attributes["colour"].shape == (got.vertex_count, 3)
        if kind in ("points", "cloud", "graph", "digraph") and level.number == 1:
            assert got.attributes["count"].sum() == value.vertex_count
        if kind != "cloud":
            check_tables(level, got, finest)
    counts = [level.vertex_count for level in store]
    assert counts == sorted(counts, reverse=True)
    assert counts[2] < counts[0]


def check_tables(level: Any, got: Any, finest: Any) -> None:
    """Objects that are kept have what they had, and groups are those that were."""
    places = np.searchsorted(finest.objects, got.objects)
    assert (finest.objects[places] == got.objects).all()
    for name, column in finest.object_attributes.items():
        kept = np.asarray(column)[places].tolist()
        assert np.asarray(got.object_attributes[name]).tolist() == kept
    for number, members in finest.groups.items():
        kept = got.groups[number].tolist()
        assert kept == [one for one in members.tolist() if one in set(kept)]
        assert set(kept) >= set(members.tolist()) & set(got.objects.tolist())
    assert column_values(got.group_attributes["title"]) == column_values(finest.group_attributes["title"])
    assert level.state.metadata.inherited_num_objects == len(finest.objects)
    assert level.objects.ids.tolist() == finest.objects.tolist()
    for gone in np.setdiff1d(finest.objects, got.objects)[:1]:
        with pytest.raises(zv.exceptions.ObjectNotFoundError):
            level.read(object_ids=[gone])


def test_units_and_descriptions_are_carried(tmp_path: Path) -> None:
    said: dict[str, dict[str, Any]] = {
        "vertex_attributes/heat": {"unit": "kelvin", "description": "how warm"},
        "vertex_attributes/colour": {"channel_names": ["r", "g", "b"]},
        "object_attributes/size": {"unit": "gram"},
        "link_attributes/weight": {"unit": "metre"},
    }
    paths = {}
    zv.write(tmp_path, sample("graph"), layout=LAYOUT)
    for name, facts in said.items():
        # Links within a chunk are on every level.
        found = sorted(tmp_path.glob(f"0/{name}/**/zarr.json"))
        place = max(found, key=lambda path: (len(path.parts), path.parent.name == "0.0.0"))
        document = json.loads(place.read_text())
        document["attributes"].update(facts)
        paths[name] = place.relative_to(tmp_path / "0")
        place.write_text(json.dumps(document))
    zv.open(tmp_path, "r+").build_pyramid([(2, 1), (2, 1)])
    for number in (1, 2):
        for name, facts in said.items():
            place = tmp_path / str(number) / paths[name]
            assert json.loads(place.read_text())["attributes"].items() >= facts.items(), place


@pytest.mark.parametrize(
    ("kind", "dtype"),
    [("points", "float16"), ("cloud", "uint8"), ("polyline", "int16"), ("graph", "float64"), ("skeleton", "int64")],
)
def test_positions_keep_their_dtype(kind: str, dtype: str) -> None:
    store = built(sample(kind, dtype=dtype, plain=True, ndim=2), factors=[(2, 1), (4, 1)])
    for level in store:
        positions = level.read().positions
        assert positions.dtype == dtype
        assert positions.min() >= 0
        assert positions.max() <= 100
    assert zv.validate(store.url).ok


def test_an_attribute_of_the_name_count_stays_what_it_is() -> None:
    value = zv.Points(sample("cloud", plain=True).positions, attributes={"count": np.full(180, 7)})
    store = built(value)
    assert set(store[2].read().attributes["count"]) == {7}
    assert store[2].read().attributes["count_1"].sum() == 180


# What levels do not hang on


def level_sets(store: Any) -> list[Any]:
    """Rows of each level, and its links."""
    values = [level.read() for level in store]
    return [(level_rows(value), None if isinstance(value, zv.Points) else link_rows(value)) for value in values]


@pytest.mark.parametrize("method", [None, "subsample"])
@pytest.mark.parametrize("kind", KINDS)
def test_rows_do_not_depend_on_chunks_batches_or_order(kind: str, method: str | None, monkeypatch: Any) -> None:
    if method and kind not in ("points", "cloud"):
        pytest.skip("a way of points alone")
    value = sample(kind, plain=True, dtype="float64")
    expected = level_sets(built(value, method=method))
    layouts = [zv.Layout(chunk_shape=edges, bin_shape=2.5) for edges in ((100, 5, 25), 200)]
    for layout in layouts:
        assert level_sets(built(value, layout=layout, method=method)) == expected, layout.chunk_shape
    assert level_sets(built(shuffled(value), method=method)) == expected
    monkeypatch.setattr(source.Finer, "__init__", with_rows(source.Finer.__init__, 50))
    # Bins of two chunks, which must come together.
    layout = zv.Layout(chunk_shape=(20, 2.5, 20), bin_shape=2.5)
    assert level_sets(built(value, layout=layout, method=method)) == expected


def with_rows(made: Any, rows: int) -> Any:
    def small(self: Any, *args: Any, **options: Any) -> None:
        made(self, *args, **options)
        self.batch_rows = rows

    return small


@pytest.mark.parametrize("kind", ["cloud", "streamline", "graph"])
def test_the_same_seed_brings_the_same_bytes(kind: str, tmp_path: Path) -> None:
    value = sample(kind, ndim=2)
    zv.write(tmp_path / "a", value, layout=LAYOUT)
    shutil.copytree(tmp_path / "a", tmp_path / "b")
    for name in ("a", "b"):
        zv.open(tmp_path / name, "r+").build_pyramid([(2, 1), (2, 2)], sparsity_seed=5)
    first = files_of(tmp_path / "a")
    assert files_of(tmp_path / "b") == first
    zv.open(tmp_path / "a", "r+").build_pyramid([(2, 1), (2, 2)], sparsity_seed=5, replace=True)
    cells = {path: data for path, data in first.items() if not path.endswith("zarr.json")}
    assert {path: data for path, data in files_of(tmp_path / "a").items() if not path.endswith("zarr.json")} == cells


# Ways in


def test_facades(tmp_path: Path) -> None:
    zv.write(tmp_path / "s", sample("points"), layout=LAYOUT)
    made = coarsen_level(str(tmp_path / "s"), 0, 1, coarsen_factor=2, chunk_scale_factor=(1, 2, 1))
    assert (made["level"], made["parent_level"], made["chunk_shape"]) == (1, 0, (20, 40, 20))
    assert coarsen_level(str(tmp_path / "s"), 1, 2, coarsen_factor=2, sparsity_factor=3)["object_count"] == 2
    with pytest.raises(zv.exceptions.StoreExistsError, match="replace=True"):
        build_pyramid(tmp_path / "s", factors=[(2, 1)])
    report = build_pyramid(tmp_path / "s", factors=[(4, 1)], options={"replace": True, "aggregations": {"heat": "max"}})
    assert [level["level"] for level in report["levels"]] == [1]
    assert zv.open(tmp_path / "s").levels == [0, 1]
    assert zv.validate(tmp_path / "s").ok
    assert not (tmp_path / "s" / "2").exists()


def test_levels_are_chosen_by_default(monkeypatch: Any) -> None:
    monkeypatch.setattr("zarr_vectors.pyramid.run.TOP_VERTICES", 60)
    for kind in KINDS:
        target = memory()
        zv.write(target, sample(kind), layout=zv.Layout(chunk_shape=20))
        store = zv.open(target, "r+")
        report = store.build_pyramid()
        if kind != "line":
            assert report.levels, kind
            assert report.levels[-1].vertex_count <= 60
        for before, after in zip(store, list(store)[1:], strict=False):
            assert after.vertex_count * 2 <= before.vertex_count
        assert zv.validate(target).ok, kind


# What is refused

BAD: list[tuple[dict[str, Any], str]] = [
    ({"factors": [(0.5, 1)]}, "factors"),
    ({"factors": [(0, 1)]}, "factors"),
    ({"factors": [(float("nan"), 1)]}, "factors"),
    ({"factors": [(2, 0.5)]}, "factors"),
    ({"factors": [("2", 1)]}, "factors"),
    ({"factors": ["22"]}, "factors"),
    ({"factors": [None]}, "factors"),
    ({"factors": [2]}, "factors"),
    ({"factors": [(2, 1, 1)]}, "factors"),
    ({"factors": [((2, 2), 1)]}, "factors"),
    ({"factors": [((2, 2, 0), 1)]}, "factors"),
    ({"factors": []}, "factors"),
    ({"factors": "2,1"}, "factors"),
    ({"factors": 2}, "factors"),
    ({"factors": [(2, 1)], "chunk_scale_factors": 2}, "chunk_scale_factors"),
    ({"factors": [(2, 1)], "chunk_scale_factors": [2, 2]}, "chunk_scale_factors"),
    ({"factors": [(2, 1)], "chunk_scale_factors": [0]}, "chunk_scale_factors"),
    ({"factors": [(2, 1)], "chunk_scale_factors": [1.5]}, "chunk_scale_factors"),
    ({"factors": [(2, 1)], "chunk_scale_factors": [(1, 2)]}, "chunk_scale_factors"),
    ({"factors": [(2, 1)], "chunk_scale_factors": ["22"]}, "chunk_scale_factors"),
    ({"factors": [(2, 1), (3, 1)], "chunk_scale_factors": [1, 1]}, "chunk_scale_factors"),
    ({"chunk_scale_factors": [2]}, "chunk_scale_factors"),
    ({"sparsity_strategy": "best"}, "sparsity_strategy"),
    ({"sparsity_attribute": "size"}, "sparsity_attribute"),
    ({"sparsity_seed": 1.5}, "seed"),
    ({"method": "simplify"}, "method"),
    ({"method": "?"}, "method"),
    ({"aggregations": {"heat": "median"}}, "heat"),
    ({"aggregations": {"nothing": "max"}}, "nothing"),
    ({"aggregations": ["heat"]}, "aggregations"),
    ({"aggregations": {"class": "mean"}}, "class"),
    ({"aggregations": {"day": "sum"}}, "day"),
    ({"cross_level_storage": "some"}, "cross_level_storage"),
    ({"cross_level_depth": -2}, "cross_level_depth"),
]


def test_bad_arguments_change_nothing(tmp_path: Path) -> None:
    zv.write(tmp_path / "s", sample("points"), layout=zv.Layout(chunk_shape=20, bin_shape=2.5))
    before = files_of(tmp_path / "s")
    store = zv.open(tmp_path / "s", "r+")
    for options, word in BAD:
        told = {"factors": [(2, 1)], **options} if "chunk_scale_factors" not in options else options
        with pytest.raises(zv.exceptions.InputError, match=word):
            store.build_pyramid(**told)
        assert files_of(tmp_path / "s") == before, options
    with pytest.raises(zv.exceptions.ChunkingError, match="do not fill"):
        store.build_pyramid([(2, 1), (np.pi, 1)])
    assert files_of(tmp_path / "s") == before
    store.build_pyramid([(2, 1)])
    before = files_of(tmp_path / "s")
    for options, word in BAD:
        told = {"factors": [(2, 1)], **options} if "chunk_scale_factors" not in options else options
        with pytest.raises(zv.exceptions.InputError, match=word):
            store.build_pyramid(**told, replace=True)
        assert files_of(tmp_path / "s") == before, options


def test_factors_may_be_anything_that_can_be_gone_through() -> None:
    store = built(sample("cloud", plain=True), factors=((2, 1) for _ in range(2)))
    assert store.levels == [0, 1, 2]


def test_stores_that_get_no_pyramid(tmp_path: Path) -> None:
    zv.write(tmp_path / "s", sample("points"), layout=LAYOUT)
    with pytest.raises(zv.exceptions.ReadOnlyError):
        zv.open(tmp_path / "s").build_pyramid([(2, 1)])
    store = zv.open(tmp_path / "s", "r+")
    store.publish()
    with pytest.raises(zv.exceptions.ReadOnlyError, match="published"):
        store.build_pyramid([(2, 1)])
    empty = memory()
    zv.create(empty, kind="point_cloud", bounds=([0, 0], [1, 1]))
    before = dict(zip_keys(empty))
    with pytest.raises(zv.exceptions.InputError, match="no vertices"):
        zv.open(empty, "r+").build_pyramid([(2, 1)])
    assert dict(zip_keys(empty)) == before
    with pytest.raises(zv.exceptions.StoreNotFoundError, match="no level 4"):
        coarsen_level(empty, 4, 5)
    with pytest.raises(zv.exceptions.InputError, match="target_level"):
        coarsen_level(empty, 0, -1)
    with pytest.raises(zv.exceptions.StoreExistsError):
        coarsen_level(empty, 0, 0)


def zip_keys(url: str) -> Any:
    storage = open_backend(url)
    return [(key, json.dumps(key)) for key in storage.list_prefix("", recursive=True)]


def test_a_sparsity_leaves_nothing_out_where_there_are_no_objects() -> None:
    store = built(sample("cloud"), factors=[(2, 4)])
    facts = store[1].state.metadata
    assert facts.object_sparsity == facts.pyramid.sparsity == 1
    assert store[1].read().attributes["count"].sum() == store[0].vertex_count
