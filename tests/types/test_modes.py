"""Creating refuses what exists, replacing leaves nothing of the old, and a failure leaves everything."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import zarr

import zarr_vectors as zv
from tests.types.clouds import cloud, files_of, memory, read, same_rows, short, uniform
from zarr_vectors.exceptions import FormatError, InputError, StoreError, StoreExistsError, StoreNotFoundError

OLD = uniform(
    200,
    1,
    attributes={"old": np.arange(200), "both": np.arange(200)},
    object_ids=np.arange(200) % 9,
    object_attributes={"n": np.arange(9)},
    groups={0: [1]},
    group_attributes={"g": [1]},
)
NEW = uniform(30, 2, ndim=2, attributes={"both": np.ones(30, "f4"), "new": ["a"] * 30})


@pytest.fixture
def place(tmp_path: Path) -> Path:
    zv.write(tmp_path / "s", OLD, layout=zv.Layout(chunk_shape=2), headers={"las": {"a": 1}}, crs="old")
    return tmp_path / "s"


def test_creating_where_a_store_is_is_refused(place: Path) -> None:
    before = files_of(place)
    with pytest.raises(StoreExistsError, match="mode='append' or mode='replace'"):
        zv.write(place, NEW)
    with pytest.raises(FileExistsError):
        zv.create(place, bounds=([0], [1]))
    assert files_of(place) == before
    remote = memory()
    zv.write(remote, OLD)
    with pytest.raises(StoreExistsError):
        zv.write(remote, NEW)
    assert read(remote).vertex_count == 200


def test_replacing_leaves_nothing_of_the_old(place: Path, tmp_path: Path) -> None:
    report = zv.write(place, NEW, mode="replace")
    zv.write(tmp_path / "fresh" / "s", NEW)
    replaced, fresh = files_of(place), files_of(tmp_path / "fresh" / "s")
    roots = [json.loads(files.pop("zarr.json")) for files in (replaced, fresh)]
    assert roots[0]["attributes"].pop("zarr_vectors_generation") == 1
    assert (replaced, roots[0]) == (fresh, roots[1])
    assert not [path for path in place.rglob("*") if path.is_dir() and not any(path.iterdir())]
    assert report.mode == "replace"
    assert report.total_vertices == 30
    store = zv.open(place)
    assert same_rows(store[0].read(), NEW)
    assert store.headers == {}
    assert store.crs is None


def test_replacing_in_memory_leaves_nothing_of_the_old() -> None:
    remote, fresh = memory(), memory()
    zv.write(remote, OLD)
    zv.write(remote, NEW, mode="replace")
    zv.write(fresh, NEW)
    assert zv.open(remote).info()["levels"] == zv.open(fresh).info()["levels"]
    assert same_rows(read(remote), NEW)


def test_replacing_what_is_not_there_creates_it(tmp_path: Path) -> None:
    zv.write(tmp_path / "a" / "b" / "s", NEW, mode="replace")
    assert same_rows(read(tmp_path / "a" / "b" / "s"), NEW)


def test_a_replace_that_fails_leaves_the_old(place: Path) -> None:
    before = files_of(place)
    wrong: list[Any] = [cloud([[np.nan]]), uniform(3).positions, None, "x"]
    for bad in wrong:
        with pytest.raises(InputError):
            zv.write(place, bad, mode="replace")

    def stop(*_: Any) -> None:
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        zv.write(place, NEW, mode="replace", progress=stop)
    assert files_of(place) == before


def test_a_create_that_fails_leaves_no_folder(tmp_path: Path) -> None:
    def stop(*_: Any) -> None:
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        zv.write(tmp_path / "s", OLD, progress=stop)
    assert not (tmp_path / "s").exists()


def test_a_store_may_be_made_in_an_empty_folder(tmp_path: Path) -> None:
    (tmp_path / "s").mkdir()
    zv.write(tmp_path / "s", NEW)
    assert read(tmp_path / "s").vertex_count == 30


@pytest.mark.parametrize("mode", ["create", "replace", "append"])
def test_a_folder_that_holds_something_else_is_left_alone(tmp_path: Path, mode: str) -> None:
    (tmp_path / "s").mkdir()
    (tmp_path / "s" / "thesis.txt").write_text("ten years")
    error = StoreNotFoundError if mode == "append" else StoreExistsError
    with pytest.raises(error):
        zv.write(tmp_path / "s", NEW, mode=mode)
    assert files_of(tmp_path / "s") == {"thesis.txt": b"ten years"}


@pytest.mark.parametrize("mode", ["create", "replace", "append"])
def test_a_zarr_group_that_is_no_store_is_left_alone(tmp_path: Path, mode: str) -> None:
    zarr.create_group(tmp_path / "s", attributes={"mine": 1})
    before = files_of(tmp_path / "s")
    with pytest.raises((StoreExistsError, StoreNotFoundError)):
        zv.write(tmp_path / "s", NEW, mode=mode)
    assert files_of(tmp_path / "s") == before


@pytest.mark.parametrize("mode", ["create", "replace", "append"])
def test_a_place_that_is_a_file_is_left_alone(tmp_path: Path, mode: str) -> None:
    (tmp_path / "s").write_text("ten years")
    with pytest.raises(StoreError):
        zv.write(tmp_path / "s", NEW, mode=mode)
    with pytest.raises(StoreError):
        zv.open(tmp_path / "s")
    assert (tmp_path / "s").read_text() == "ten years"


@pytest.mark.parametrize("mode", ["replace", "append"])
def test_a_store_of_another_version_is_left_alone(place: Path, mode: str) -> None:
    root = place / "zarr.json"
    root.write_text(root.read_text().replace('"0.9.2"', '"0.8.1"'))
    before = files_of(place)
    with pytest.raises(FormatError, match=r"0\.8\.1"):
        zv.write(place, NEW, mode=mode)
    assert files_of(place) == before


@pytest.mark.parametrize(
    ("options", "told"),
    [
        ({"kind": "meshes"}, "kind.*'meshes'"),
        ({"kind": None}, "kind"),
        ({"kind": ["point_cloud"]}, "kind"),
        ({"bounds": None}, "bounds"),
        ({"bounds": 5}, "bounds"),
        ({"bounds": ([1], [0])}, "inverted"),
        ({"bounds": ([0], [np.nan])}, "finite"),
        ({"bounds": ([0, 0], [1])}, "axes"),
        ({"bounds": ([0] * 5, [1] * 5)}, "1 to 4"),
        ({"dtype": "float33"}, "dtype.*'float33'"),
        ({"dtype": "U3"}, "real numbers"),
        ({"dtype": None}, "dtype must be given"),
        ({"attributes": {"v": "float33"}}, "'v'.*'float33'"),
        ({"attributes": {"v": None}}, "'v' must be given"),
        ({"attributes": {"v": ("f4", 0)}}, "'v'.*channels"),
        ({"attributes": {"v": ("f4", -1)}}, "'v'.*channels"),
        ({"attributes": {"v": ("f4", 2.0)}}, "'v'.*channels"),
        ({"attributes": {"v": ("f4", 2, 2)}}, "'v'"),
        ({"attributes": {"a/b": "f4"}}, "'a/b'"),
        ({"attributes": {"row_id": "i8"}}, "row_id"),
        ({"attributes": ["v"]}, "attributes must be"),
        ({"mode": "append"}, "cannot append"),
        ({"mode": "x"}, "mode"),
        ({"layout": {"chunk_shape": 1}}, "Layout"),
        ({"axes": "xyz"}, "axes"),
    ],
    ids=short,
)
def test_a_store_that_cannot_be_meant_is_not_created(tmp_path: Path, options: dict[str, Any], told: str) -> None:
    with pytest.raises(InputError, match=told):
        zv.create(tmp_path / "s", **{"bounds": ([0], [1]), **options})
    assert not (tmp_path / "s").exists()


def test_a_created_store_says_what_it_will_hold() -> None:
    place = memory()
    kinds = {"v": "float32", "rgb": ("uint8", 3), "t": "text", "s": str, "when": "M8[ns]", "c": ["i2", 2]}
    zv.create(place, bounds=([0, -1], [9, 9]), attributes=kinds, layout=zv.Layout(chunk_shape=2))
    store = zv.open(place)
    assert store.bounds == ([0.0, -1.0], [9.0, 9.0])
    assert list(store.geometry_types) == ["point_cloud"]
    level = store[0]
    assert level.vertex_count == level.chunk_count == 0
    assert {name: (str(info.dtype), info.channels) for name, info in level.attributes.items()} == {
        "v": ("float32", 1), "rgb": ("uint8", 3), "t": ("object", 1), "s": ("object", 1), "when": ("datetime64[ns]", 1),
        "c": ("int16", 2),
    }  # fmt: skip
    assert level.read().vertex_count == 0
    zv.create(place, bounds=([0], [1]), mode="replace")
    assert zv.open(place).ndim == 1
