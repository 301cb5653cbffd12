"""``write_points`` and ``read_points``: the keywords, result keys and nesting of 0.9.2."""

from __future__ import annotations

import inspect
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import zarr_vectors as zv
from tests.types.clouds import memory, rows_of, uniform
from zarr_vectors.exceptions import (
    AttributeNotFoundError,
    ChunkingError,
    InputError,
    ObjectNotFoundError,
    OptionError,
    StoreExistsError,
    StoreNotFoundError,
)
from zarr_vectors.types.points import read_points, write_points

POINTS = uniform(
    120,
    attributes={"v": np.arange(120), "rgb": np.zeros((120, 3), "u1"), "t": ["a", "b", None] * 40},
    object_ids=np.arange(120) % 4,
    object_attributes={"n": [1.0, 2.0, 3.0, 4.0]},
    groups={0: [1, 2]},
    group_attributes={"g": [5]},
)
KEYWORDS: dict[str, Any] = {
    "vertex_attributes": dict(POINTS.attributes),
    "object_ids": POINTS.object_ids,
    "object_attributes": dict(POINTS.object_attributes),
    "groups": dict(POINTS.groups),
    "group_attributes": dict(POINTS.group_attributes),
}


@pytest.fixture(scope="module")
def place() -> str:
    target = memory()
    write_points(target, POINTS.positions, chunk_shape=(4, 4, 4), **KEYWORDS)
    return target


def test_the_keywords_of_0_9_2_are_there() -> None:
    assert {
        "chunk_shape", "bin_shape", "bounds", "vertex_attributes", "object_ids", "object_attributes",
        "fragment_attributes", "groups", "group_attributes", "dtype", "backend", "chunk_by_attribute", "out_of_bounds",
        "compressor", "shard_shape",
    } <= set(inspect.signature(write_points).parameters)  # fmt: skip
    assert {
        "level", "bbox", "object_ids", "group_ids", "chunks", "attribute_names", "attribute_filter", "backend",
    } <= set(inspect.signature(read_points).parameters)  # fmt: skip


def test_writing_returns_its_counts() -> None:
    target = memory()
    result = write_points(target, POINTS.positions, chunk_shape=(5, 5, 5), bin_shape=(2.5, 2.5, 5))
    assert result == {
        "vertex_count": 120, "chunk_count": 8, "object_count": 0, "group_count": 0, "bins_per_chunk": (2, 2, 1),
    }  # fmt: skip
    assert write_points(memory(), POINTS.positions, **KEYWORDS)["object_count"] == 4
    assert write_points(memory(), POINTS.positions, **KEYWORDS)["group_count"] == 1


def test_rows_that_are_left_out_are_counted() -> None:
    points = np.array([[0.0, 0], [5, 5], [9, 9], [99, 0]])
    place = memory()
    assert write_points(place, points, bounds=([0, 0], [9, 9]), out_of_bounds="ignore")["dropped"] == 1
    done = write_points(place, points, mode="append", out_of_bounds="ignore")
    assert (done["vertex_count"], done["dropped"]) == (3, 1)
    assert "dropped" not in write_points(place, points[:1], mode="append")


def test_reading_returns_positions_and_the_attributes_that_are_named(place: str) -> None:
    result = read_points(place)
    assert set(result) == {"positions", "vertex_attributes", "fragment_attributes", "vertex_count"}
    assert result["vertex_attributes"] == {}
    assert result["vertex_count"] == len(result["positions"]) == 120
    result = read_points(place, attribute_names=["v", "rgb", "t"])
    assert {name: column.shape for name, column in result["vertex_attributes"].items()} == {
        "v": (120,),
        "rgb": (120, 3),
        "t": (120,),
    }
    assert set(result["vertex_attributes"]["t"].tolist()) == {"a", "b", None}
    assert list(read_points(place, attribute_names="rgb")["vertex_attributes"]) == ["rgb"]


@pytest.mark.parametrize(
    "options",
    [
        {"object_ids": [2]},
        {"object_ids": [2, 0]},
        {"group_ids": [0]},
        {"bbox": ([0, 0, 0], [5, 5, 5])},
        {"bbox": (np.array([0, 0, 0]), np.array([5, 5, 5])), "object_ids": [3]},
        {"chunks": [(0, 0, 0), (1, 1, 1)]},
        {"chunks": []},
        {"chunks": [(99, 0, 0)]},
    ],
    ids=str,
)
def test_selections_are_those_of_a_level(place: str, options: dict[str, Any]) -> None:
    result = read_points(place, attribute_names=["v", "rgb", "t"], **options)
    chunks = options.get("chunks")
    if chunks is not None:
        inside = np.isin(np.floor(POINTS.positions / 4) @ [100, 10, 1], [np.dot(c, [100, 10, 1]) for c in chunks])
        assert sorted(result["vertex_attributes"]["v"].tolist()) == np.flatnonzero(inside).tolist()
        return
    expected = zv.open(place)[0].read(**options)
    assert ("object_ids" in result) == ("object_ids" in options or "group_ids" in options)
    got = zv.Points(result["positions"], result["vertex_attributes"], result.get("object_ids"))
    if got.object_ids is None:
        expected = zv.Points(expected.positions, expected.attributes)
    assert rows_of(got) == rows_of(expected)


@pytest.mark.parametrize(
    ("wanted", "expected"),
    [
        ({"v": 7}, [7]),
        ({"t": "a", "v": 3}, [3]),
        ({"t": None}, list(range(2, 120, 3))),
        ({"v": -1}, []),
        ({"rgb": [0, 0, 0], "v": 5}, [5]),
        ({"t": "nothing"}, []),
    ],
    ids=str,
)
def test_an_attribute_filter_keeps_rows_that_equal_it(place: str, wanted: dict[str, Any], expected: list[int]) -> None:
    result = read_points(place, attribute_names=["v"], attribute_filter=wanted)
    assert sorted(result["vertex_attributes"]["v"].tolist()) == expected
    assert result["vertex_count"] == len(expected)


def test_the_keywords_of_write_are_there_too(tmp_path: Path) -> None:
    target = tmp_path / "s"
    write_points(target, [[0.0, 1]], attributes={"v": [1]}, keep_order=True, axes="yx", crs="EPSG:1", dtype="f4")
    with pytest.raises(StoreExistsError):
        write_points(target, [[0.0, 1]])
    write_points(target, [[9.0, 1]], mode="append", out_of_bounds="expand", fill={"v": 5})
    store = zv.open(target)
    assert store.crs == "EPSG:1"
    assert store[0].position_dtype == np.float32
    assert np.asarray(store[0].read().attributes["v"]).tolist() == [1, 5]
    write_points(target, np.zeros((0, 3)), mode="replace")
    assert read_points(target)["positions"].shape == (0, 3)


@pytest.mark.parametrize(
    ("options", "error"),
    [
        ({"fragment_attributes": {"a": [1]}}, InputError),
        ({"chunk_by_attribute": "a"}, OptionError),
        ({"backend": "obstore"}, OptionError),
        ({"chunk_shape": (0, 1, 1)}, ChunkingError),
        ({"chunk_shape": (1, 1)}, ChunkingError),
        ({"shard_shape": (0, 1, 1)}, ChunkingError),
        ({"bin_shape": (3, 3, 3), "chunk_shape": (4, 4, 4)}, ChunkingError),
        ({"compressor": "lzma"}, InputError),
        ({"vertex_attributes": {"a/b": np.zeros(120)}}, InputError),
        ({"object_attributes": {"a": [1]}}, InputError),
    ],
    ids=str,
)
def test_what_is_not_offered_or_wrong_is_refused(
    tmp_path: Path, options: dict[str, Any], error: type[Exception]
) -> None:
    with pytest.raises(error):
        write_points(tmp_path / "s", POINTS.positions, **options)
    assert not (tmp_path / "s").exists()
    assert write_points(memory(), POINTS.positions, backend="local")["vertex_count"] == 120


def test_what_is_not_there_is_told(place: str) -> None:
    for options, error in [
        ({"attribute_names": ["w"]}, AttributeNotFoundError),
        ({"attribute_filter": {"w": 1}}, AttributeNotFoundError),
        ({"object_ids": [9]}, ObjectNotFoundError),
        ({"level": 1}, StoreNotFoundError),
        ({"chunks": [(0.5, 0, 0)]}, InputError),
        ({"chunks": [(0, 0)]}, InputError),
        ({"backend": "obstore"}, OptionError),
    ]:  # fmt: skip
        with pytest.raises(error):
            read_points(place, **options)  # type: ignore[arg-type]
    with pytest.raises(StoreNotFoundError):
        read_points(memory())
