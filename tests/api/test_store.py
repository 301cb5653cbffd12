"""An open store and its levels as a person meets them: attributes, info, texts, and what they can be used as."""

from __future__ import annotations

import copy
import json
import pickle
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from zarr.storage import LocalStore, MemoryStore

import zarr_vectors as zv
from tests.types.clouds import cloud, files_of, memory, read, same_rows, uniform
from zarr_vectors import exceptions
from zarr_vectors.exceptions import InputError, ReadOnlyError, StoreNotFoundError, ZVError

POINTS = uniform(
    1200,
    attributes={"v": np.arange(1200, dtype="f4"), "rgb": np.zeros((1200, 3), "u1"), "<b>": ["x", None, "y"] * 400},
    object_ids=np.arange(1200) % 5,
    object_attributes={"n": np.arange(5)},
    groups={0: [1], 1: [2]},
    group_attributes={"g": ["a", "b"]},
    axes=(zv.Axis("z", "micrometer"), "y", "x"),
)


@pytest.fixture(scope="module")
def place(tmp_path_factory: pytest.TempPathFactory) -> Path:
    target = tmp_path_factory.mktemp("api") / "brain & <co>.zarrvectors"
    zv.write(target, POINTS, layout=zv.Layout(chunk_shape=4, shard_shape=2), headers={"las": {"a": 1}}, crs="EPSG:1")
    return target


def test_a_store_tells_what_it_is(place: Path) -> None:
    with zv.open(place) as store:
        assert store.url == place.as_uri()
        assert store.zv_version == zv.FORMAT_VERSION
        assert list(store.geometry_types) == ["point_cloud"]
        assert [axis.to_json() for axis in store.axes] == [
            {"name": "z", "type": "space", "unit": "micrometer"},
            {"name": "y", "type": "space"},
            {"name": "x", "type": "space"},
        ]
        assert store.crs == "EPSG:1"
        assert store.headers == {"las": {"a": 1}}
        assert store.ndim == 3
        assert store.levels == [0]
        assert len(store) == 1
        assert [level.number for level in store] == [0]
        assert store[0] is store[np.int64(0)]  # type: ignore[index]


def test_a_level_tells_what_it_holds(place: Path) -> None:
    level = zv.open(place)[0]
    assert level.vertex_count == 1200
    assert level.chunk_count == len(level.chunk_keys) == 27
    assert level.shard_shape == (2, 2, 2)
    assert level.has_objects
    assert (level.object_count, level.group_count) == (5, 2)
    info = level.attributes
    assert list(info) == sorted(POINTS.attributes)
    assert info["rgb"].channels == 3
    assert info["v"].dtype == np.float32
    assert info["<b>"].categories == ("x", "y")
    assert level.bounds == zv.open(place).bounds


def test_info_is_plain_json_with_everything_in_it(place: Path) -> None:
    info = zv.open(place).info()
    assert json.loads(json.dumps(info, allow_nan=False)) == info
    assert set(info) == {
        "url",
        "zv_version",
        "geometry_types",
        "axes",
        "bounds",
        "crs",
        "levels",
        "headers",
        "published",
    }
    (level,) = info["levels"]
    assert level["vertex_count"] == 1200
    assert (level["chunk_count"], level["shard_count"]) == (27, 8)
    facts = {"dtype": "float32", "channels": 1, "categories": None, "unit": None, "per_fragment": False}
    assert level["attributes"]["v"] == facts
    assert level["attributes"]["<b>"]["categories"] == 2
    assert set(level["object_attributes"]) == {"n"}
    assert set(level["group_attributes"]) == {"g"}
    assert level["bytes"] == sum(path.stat().st_size for path in (Path(place) / "0").rglob("*") if path.is_file())
    for points in (cloud(np.zeros((0, 2))), cloud([[1.0]])):
        other = memory()
        zv.write(other, points)
        json.dumps(zv.open(other).info(), allow_nan=False)


def test_texts_are_short_and_say_what_matters(place: Path) -> None:
    store = zv.open(place)
    for value, told in [
        (store, ["point_cloud", "1,200", place.name.split("<")[0].split(" ")[0]]),
        (store[0], ["1,200", "27", "rgb"]),
        (store[0].read(), ["1200 points", "3-D float64", "rgb", "object ids"]),
        (store[0].read().attributes["<b>"], ["1200", "'x'"]),
        (store.axes[0], ["z", "micrometer"]),
    ]:
        text = repr(value)
        assert len(text) < 400
        assert "\n" not in text
        assert all(word in text for word in told), text


def test_the_html_of_a_store_escapes_names(place: Path) -> None:
    html = zv.open(place)._repr_html_()
    assert html.startswith("<table>")
    assert "&lt;b&gt;" in html
    assert "<b>" not in html
    assert "micrometer" in html
    assert "1,200" in html


def test_a_report_is_plain_json() -> None:
    report = zv.write(memory(), POINTS)
    plain = json.loads(json.dumps(report.to_json()))
    assert plain["vertex_count"] == 1200
    assert plain["mode"] == "create"
    assert plain["bounds"] == [list(corner) for corner in report.bounds]


@pytest.mark.parametrize("make", [MemoryStore, None], ids=["memory", "local"])
def test_an_open_zarr_store_is_a_place(tmp_path: Path, make: Any) -> None:
    target = LocalStore(tmp_path / "s") if make is None else make()
    zv.write(target, POINTS)
    zv.write(target, POINTS, mode="append", extend=True)
    assert zv.open(target)[0].vertex_count == 2400
    if make is None:
        assert zv.open(tmp_path / "s")[0].vertex_count == 2400


@pytest.mark.parametrize("kind", ["path", "text", "url", "slash"])
def test_a_folder_has_many_names(tmp_path: Path, kind: str) -> None:
    folder = tmp_path / "my data ü%20.zv"
    names: dict[str, Any] = {"path": folder, "text": str(folder), "url": folder.as_uri(), "slash": f"{folder}/"}
    zv.write(names[kind], cloud([[1.0]]))
    assert all(read(name).vertex_count == 1 for name in names.values())
    assert [path.name for path in tmp_path.iterdir()] == [folder.name]


@pytest.mark.parametrize("mode", ["r", "r+", "a"])
def test_every_mode_opens_what_is_there_and_nothing_else(place: Path, tmp_path: Path, mode: str) -> None:
    assert zv.open(place, mode)[0].vertex_count == 1200
    with pytest.raises(StoreNotFoundError, match="check the path"):
        zv.open(tmp_path / "none", mode)
    with pytest.raises(FileNotFoundError):
        zv.open(memory(), mode)
    assert not (tmp_path / "none").exists()


@pytest.mark.parametrize("mode", ["w", "x", "", None, "rb", 1])
def test_a_mode_that_is_none_is_refused(place: Path, mode: Any) -> None:
    with pytest.raises(InputError, match=r"mode.*r, r\+, a"):
        zv.open(place, mode)


def test_a_read_only_place_is_not_written(tmp_path: Path) -> None:
    zv.write(tmp_path / "s", cloud([[1.0]]))
    frozen = LocalStore(tmp_path / "s", read_only=True)
    before = files_of(tmp_path / "s")
    for mode in ("append", "replace"):
        with pytest.raises(ReadOnlyError):
            zv.write(frozen, cloud([[1.0]]), mode=mode)
    assert files_of(tmp_path / "s") == before
    assert read(frozen).vertex_count == 1


def test_an_open_store_sees_the_data_that_it_was_opened_on() -> None:
    target = memory()
    zv.write(target, cloud([[1.0], [2.0]]))
    before = zv.open(target)
    zv.write(target, cloud([[1.5]]), mode="append")
    assert before[0].vertex_count == 2
    assert zv.open(target)[0].vertex_count == 3


def test_points_are_a_read_only_mapping(place: Path) -> None:
    points = read(place)
    assert points["positions"] is points.positions
    assert points["v"] is points.attributes["v"]
    assert points["vertex_attributes"] is points.attributes
    assert points["vertex_count"] == 1200
    assert {"positions", "attributes", "object_ids", "groups"} <= set(points)
    assert dict(points)["object_ids"] is points.object_ids
    assert points.get("nothing") is None
    assert "v" in points
    assert "nothing" not in points
    assert len(list(points.values())) == len(points)
    with pytest.raises(KeyError, match="nothing"):
        points["nothing"]
    with pytest.raises(AttributeError):
        points.positions = points.positions  # type: ignore[misc]
    with pytest.raises(TypeError):
        hash(points)


def test_values_survive_a_pickle(place: Path) -> None:
    points = read(place)
    for value in (points, zv.Layout(chunk_shape=3), points.axes, zv.write(memory(), points), points.attributes["<b>"]):
        again = pickle.loads(pickle.dumps(value))
        assert type(again) is type(value)
        if isinstance(value, zv.Points):
            assert again == value
    assert copy.deepcopy(points) == points


@pytest.mark.parametrize("name", exceptions.__all__)
def test_errors_keep_their_facts_through_a_pickle(name: str) -> None:
    facts: dict[str, Any] = {"store": "s", "array": "a", "cell": "0.0", "expected": 1, "got": 2, "hint": "try again"}
    error = getattr(exceptions, name)("it is wrong", problems=("one", "two"), **facts)
    again = pickle.loads(pickle.dumps(error))
    assert type(again) is type(error)
    assert str(again) == str(error)
    assert {key: getattr(again, key) for key in facts} == facts
    assert again.problems == ("one", "two")
    assert isinstance(again, ZVError)
    assert str(error).startswith("it is wrong (store s, array a, cell 0.0, expected 1, got 2)")
    assert str(error).endswith("; try again")


def test_a_store_can_be_read_by_many_threads_at_once(place: Path) -> None:
    level = zv.open(place)[0]
    with ThreadPoolExecutor(4) as pool:
        results = list(pool.map(lambda _: level.read(), range(12)))
    assert all(same_rows(result, POINTS) for result in results[:3])
    assert all(result.vertex_count == 1200 for result in results)
