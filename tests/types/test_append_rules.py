"""What an append refuses, before anything changes; what it fills in; and how categories grow."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest

import zarr_vectors as zv
from tests.types.clouds import (
    assert_same_cloud,
    cloud,
    files_of,
    in_input_order,
    joined,
    masked,
    memory,
    read,
    short,
    uniform,
)
from zarr_vectors.exceptions import ChunkingError, InputError, StoreNotFoundError


def unchanged(place: Path, points: Any, told: str, error: type[Exception] = InputError, **options: Any) -> None:
    """An append is refused, and the store is as it was."""
    before = files_of(place)
    with pytest.raises(error, match=told):
        zv.write(place, points, mode="append", **options)
    assert files_of(place) == before


@pytest.fixture
def owned(tmp_path: Path) -> Path:
    place = tmp_path / "store"
    points = cloud(
        np.arange(8.0).reshape(4, 2),
        {"v": np.arange(4, dtype="u1"), "t": ["a", "b", "a", "b"], "w": np.ones((4, 4), "f4")},
        [1, 1, 2, 2],
        object_attributes={"n": [1, 2], "t": ["x", "y"], "w": np.ones((2, 3)), "b": [True, False]},
        groups={0: [1], 1: [2]},
        group_attributes={"g": ["first", "second"]},
    )
    zv.write(place, points, axes=(zv.Axis("x", "nanometer"), "y"))
    return place


def more(**changes: Any) -> zv.Points:
    """Rows that fit the store of ``owned``, but for some changes; None leaves a part out."""
    values: dict[str, Any] = {
        "attributes": {"v": [9, 9], "t": ["c", "a"], "w": np.zeros((2, 4))},
        "object_ids": [3, 3],
        "object_attributes": {"n": [3], "t": ["z"], "w": np.ones((1, 3)), "b": [True]},
    }
    for name, value in changes.items():
        if name in {"attributes", "object_attributes"}:
            values[name] = {**values[name], **value}
            values[name] = {key: column for key, column in values[name].items() if column is not None}
        else:
            values[name] = value
    return zv.Points(np.ones((2, 2)), **values)


def test_rows_that_fit_are_taken(owned: Path) -> None:
    report = zv.write(
        owned, more(groups={2: [3, 1]}, group_attributes={"g": ["first", "second", "third"]}), mode="append"
    )
    assert (report.vertex_count, report.object_count, report.group_count) == (2, 1, 3)
    level = zv.open(owned)[0]
    assert level.vertex_count == level.read().vertex_count == 6
    assert np.asarray(level.objects.group_attributes["g"]).tolist() == ["first", "second", "third"]
    assert set(np.asarray(level.read(group_ids=[2]).object_ids).tolist()) == {1, 3}


@pytest.mark.parametrize(
    ("changes", "told"),
    [
        ({"attributes": {"v": None}}, "no attribute 'v'.*fill="),
        ({"attributes": {"z": [1, 2]}}, "no attribute 'z'"),
        ({"attributes": {"v": [1, 256]}}, "'v' must be uint8"),
        ({"attributes": {"v": [1, -1]}}, "'v' must be uint8"),
        ({"attributes": {"v": [1, 0.5]}}, "'v' must be uint8"),
        ({"attributes": {"v": [1, np.nan]}}, "'v' must be uint8"),
        ({"attributes": {"v": ["1", "2"]}}, "'v' must be uint8.*text"),
        ({"attributes": {"v": [[1], [2]], "t": [1, 2]}}, "'t' must be text"),
        ({"attributes": {"v": [[1, 1], [2, 2]]}}, "'v' must have rows of shape"),
        ({"attributes": {"w": np.zeros((2, 2, 2))}}, "'w' must have rows of shape"),
        ({"attributes": {"v": np.zeros(2, "M8[s]")}}, "'v' must be uint8"),
        ({"attributes": {"w": np.full((2, 4), 1j)}}, "'w' must be float32"),
        ({"object_ids": [2, 2]}, "exist in the store already.*extend=True"),
        ({"object_attributes": {"n": None}}, "no object attribute 'n'.*fill="),
        ({"object_attributes": {"n": [0.5]}}, "object attribute 'n' must be int64"),
        ({"object_attributes": {"n": ["1"]}}, "object attribute 'n' must be int64"),
        ({"object_attributes": {"t": [1]}}, "object attribute 't' must be text"),
        ({"object_attributes": {"w": np.ones((1, 4))}}, "object attribute 'w' must be"),
        ({"object_attributes": {"q": [1]}}, "no object attribute 'q'"),
        ({"groups": {2: [3]}}, "group attribute 'g'"),
        ({"groups": {2: [44]}, "group_attributes": {"g": ["first", "second", "third"]}}, "44"),
        ({"groups": {0: [3], 2: [3]}, "group_attributes": {"g": ["other", "second", "third"]}}, "'g' has other values"),
        ({"groups": {2: [3]}, "group_attributes": {"h": ["a", "b", "c"]}}, "group attribute"),
        ({"axes": "yx"}, "axes differ"),
        ({"axes": (zv.Axis("x", "micrometer"), "y")}, "axes differ"),
    ],
    ids=short,
)  # fmt: skip
def test_rows_that_do_not_fit_are_refused_before_anything_changes(
    owned: Path, changes: dict[str, Any], told: str
) -> None:
    unchanged(owned, more(**changes), told)


@pytest.mark.parametrize(
    ("options", "told"),
    [
        ({"bounds": ([0, 0], [9, 9])}, "out_of_bounds='expand'"),
        ({"fill": {"nothing": 1}}, "'nothing'"),
        ({"fill": {"row_id": 1}}, "row_id"),
        ({"dtype": "f4"}, "dtype must be that of the store"),
        ({"axes": "yx"}, "axes differ"),
        ({"axes": "xyz"}, "axes"),
        ({"out_of_bounds": "clip"}, "raise, expand, ignore"),
        ({"headers": {"../../x": {}}}, "header"),
    ],
    ids=short,
)
def test_options_that_cannot_be_meant_are_refused(owned: Path, options: dict[str, Any], told: str) -> None:
    unchanged(owned, more(), told, **options)


@pytest.mark.parametrize(
    ("changes", "told"),
    [({"n": [2, 3]}, "'n' has other values"), ({"t": ["x", "z"]}, "'t' has other values")],
)
def test_extending_an_object_cannot_change_its_attributes(owned: Path, changes: dict[str, Any], told: str) -> None:
    fitting = {"n": [1, 3], "t": ["x", "z"], "w": np.ones((2, 3)), "b": [True, True]}
    points = more(object_ids=[1, 3], object_attributes={**fitting, **changes})
    if changes.get("t") == ["x", "z"]:
        points = more(object_ids=[1, 3], object_attributes={**fitting, "t": ["other", "z"]})
    unchanged(owned, points, told, extend=True)
    zv.write(owned, more(object_ids=[1, 3], object_attributes=fitting), mode="append", extend=True)
    assert read(owned, object_ids=[1]).vertex_count == 3


def test_appending_needs_a_store_and_leaves_no_folder(tmp_path: Path) -> None:
    with pytest.raises(StoreNotFoundError, match="mode='create'"):
        zv.write(tmp_path / "none", uniform(3), mode="append")
    assert not (tmp_path / "none").exists()


def test_ids_cannot_be_appended_to_rows_that_have_none(tmp_path: Path) -> None:
    zv.write(tmp_path / "s", uniform(5), bounds=([0] * 3, [10] * 3))
    unchanged(tmp_path / "s", uniform(5, object_ids=range(5)), "belong to no objects")


def test_positions_that_the_stored_dtype_cannot_hold_are_refused_unless_it_is_named(tmp_path: Path) -> None:
    zv.write(tmp_path / "s", cloud(np.zeros((1, 1), "f4")), bounds=([0], [1]))
    unchanged(tmp_path / "s", cloud([[0.1]]), "dtype='float32'")
    unchanged(tmp_path / "s", cloud([[0.1, 0.1]]), "number of axes")
    zv.write(tmp_path / "s", cloud([[0.5]]), mode="append")
    zv.write(tmp_path / "s", cloud([[0.1]]), mode="append", dtype="f4")
    assert read(tmp_path / "s").positions.ravel().tolist() == [0.0, 0.5, float(np.float32(0.1))]


def test_rows_too_far_off_for_the_grid_are_refused(tmp_path: Path) -> None:
    zv.write(tmp_path / "s", uniform(5), layout=zv.Layout(chunk_shape=1))
    unchanged(tmp_path / "s", uniform(2, low=1e6, high=1e6 + 1), "larger chunks", ChunkingError, out_of_bounds="expand")
    unchanged(tmp_path / "s", uniform(2, low=1e15, high=2e15), "larger chunks", ChunkingError, out_of_bounds="expand")


FILLS: list[tuple[Any, Any, Any]] = [
    (np.arange(3.0), None, np.nan),
    (np.arange(3, dtype="c8"), None, np.nan),
    (np.arange(3).astype("M8[s]"), None, "NaT"),
    (["a", "b", "a"], None, None),
    (["a", "b", "a"], "c", "c"),
    (["a", "b", "a"], "", ""),
    (np.arange(3), 7, 7),
    (np.arange(3, dtype="u1"), 255, 255),
    (np.arange(3, dtype="f4"), 0.1, np.float32(0.1)),
    (np.ones(3, bool), False, False),
    (np.ones((3, 2), "i2"), [4, 5], [4, 5]),
    (np.ones((3, 2), "i2"), 6, [6, 6]),
    (np.arange(3).astype("m8[s]"), np.timedelta64(5, "s"), np.timedelta64(5, "s")),
]


@pytest.mark.parametrize(("column", "fill", "expected"), FILLS, ids=short)
def test_rows_without_an_attribute_get_the_fill_or_what_means_missing(column: Any, fill: Any, expected: Any) -> None:
    place = memory()
    points = cloud(np.zeros((3, 1)), {"a": column})
    zv.write(place, points, layout=zv.Layout(keep_order=True))
    zv.write(place, cloud(np.zeros((2, 1))), mode="append", fill={} if fill is None else {"a": fill})
    got = in_input_order(read(place)).attributes["a"]
    assert got.dtype == points.attributes["a"].dtype
    values = points.attributes["a"]
    tail = [expected] * 2
    whole = [*np.asarray(values).tolist(), *tail] if values.dtype == object else None
    if whole is not None:
        assert np.asarray(got).tolist() == whole
    else:
        wanted = np.concatenate([np.asarray(values), np.array(tail, dtype=values.dtype)])
        np.testing.assert_array_equal(np.asarray(got), wanted)


@pytest.mark.parametrize(
    ("column", "fill"),
    [
        (np.arange(3, dtype="u1"), 256),
        (np.arange(3, dtype="u1"), -1),
        (np.arange(3, dtype="u1"), 0.5),
        (np.arange(3, dtype="u1"), np.nan),
        (np.arange(3, dtype="u1"), None),
        (np.arange(3, dtype="u1"), "1"),
        (np.arange(3, dtype="u1"), 2**70),
        (np.arange(3, dtype="u1"), [1, 2]),
        (np.arange(3, dtype="f4"), 1e300),
        (np.arange(3, dtype="f4"), "x"),
        (np.ones((3, 2)), [1, 2, 3]),
        (np.arange(3).astype("M8[s]"), 5),
        (["a", "b", "a"], 5),
        (["a", "b", "a"], ["a"]),
        (["a", "b", "a"], b"a"),
    ],
    ids=short,
)
def test_a_fill_that_does_not_fit_is_refused(tmp_path: Path, column: Any, fill: Any) -> None:
    zv.write(tmp_path / "s", cloud(np.zeros((3, 1)), {"a": column}))
    unchanged(tmp_path / "s", cloud([[0.0]]), "fill for 'a' does not fit", fill={"a": fill})


@pytest.mark.parametrize(
    ("column", "fill", "expected"),
    [
        ([1.0, 2.0], None, np.nan),
        (np.array([1, 2], "M8[s]"), None, "NaT"),
        (["a", "b"], None, None),
        (["a", "b"], "c", "c"),
        ([1, 2], 9, 9),
        ([True, False], True, True),
        (np.ones((2, 2)), 5, [5.0, 5.0]),
    ],
    ids=short,
)
def test_new_objects_without_an_attribute_get_the_fill_or_what_means_missing(
    column: Any, fill: Any, expected: Any
) -> None:
    place = memory()
    zv.write(place, cloud(np.zeros((2, 1)), object_ids=[4, 5], object_attributes={"a": column}))
    zv.write(place, cloud([[0.0]], object_ids=[6]), mode="append", fill={} if fill is None else {"a": fill})
    got = zv.open(place)[0].objects.attributes["a"]
    assert repr(np.asarray(got)[2:].tolist()) == repr(np.array([expected], dtype=got.dtype).tolist())


def test_missing_integers_of_objects_stay_missing_through_an_append() -> None:
    place = memory()
    column = masked([1, 2, 3], 1)
    zv.write(place, cloud(np.zeros((3, 1)), object_ids=[1, 2, 3], object_attributes={"a": column}))
    zv.write(place, cloud([[0.0]], object_ids=[4], object_attributes={"a": [4]}), mode="append")
    got = zv.open(place)[0].objects.attributes["a"]
    assert np.ma.getmaskarray(np.ma.asarray(got)).tolist() == [False, True, False, False]
    assert np.ma.getdata(np.ma.asarray(got))[[0, 2, 3]].tolist() == [1, 3, 4]


@pytest.mark.parametrize(
    ("first", "second", "categories", "dtype"),
    [
        (["b", "a"], ["c", "a"], ("a", "b", "c"), "u1"),
        (["b", "a"], ["a", "a"], ("a", "b"), "u1"),
        (["b", "a"], [None, "a"], ("a", "b"), "i1"),
        ([None, None], ["b", "a"], ("a", "b"), "i1"),
        (["w000"], ["x", "y"], ("w000", "x", "y"), "u1"),
    ],
)
@pytest.mark.parametrize("shard", [None, 2])
def test_new_categories_go_to_the_end(
    first: Any, second: Any, categories: tuple[str, ...], dtype: str, shard: int | None
) -> None:
    place = memory()
    layout = zv.Layout(chunk_shape=1, shard_shape=shard, keep_order=True)
    zv.write(place, cloud(np.arange(len(first))[:, None] * 4.0, {"t": np.array(first, object)}), layout=layout)
    zv.write(place, cloud(np.zeros((len(second), 1)), {"t": np.array(second, object)}), mode="append")
    level = zv.open(place)[0]
    assert level.attributes["t"].categories == categories
    assert level._state.vertex_columns["t"].dtype == np.dtype(dtype)
    assert np.asarray(in_input_order(level.read()).attributes["t"]).tolist() == [*first, *second]


@pytest.mark.parametrize("shard", [None, 4])
@pytest.mark.parametrize("owned", [False, True])
def test_codes_widen_in_every_chunk_when_categories_no_longer_fit(shard: int | None, owned: bool) -> None:
    place = memory()
    words = np.array([f"w{n:03}" for n in range(300)], dtype=object)
    x = np.arange(300.0)[:, None]
    layout = zv.Layout(chunk_shape=20, shard_shape=shard, keep_order=True)
    ids = np.arange(300) % 5 if owned else None
    first = cloud(x[:250], {"t": words[:250]}, None if ids is None else ids[:250])
    second = cloud(x[250:], {"t": words[250:]}, None if ids is None else ids[250:] + 5)
    third = cloud(x[:1], {"t": np.array([None], object)}, None if ids is None else [99])
    zv.write(place, first, layout=layout, bounds=([0], [300]))
    for points, dtype in ((second, "u2"), (third, "i2")):
        zv.write(place, points, mode="append")
        assert zv.open(place)[0]._state.vertex_columns["t"].dtype == np.dtype(dtype)
    assert_same_cloud(in_input_order(read(place)), joined([first, second, third]))
