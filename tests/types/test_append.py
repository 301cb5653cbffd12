"""Appending keeps every row and adds the new ones, whatever the store is like; and what it refuses."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest

import zarr_vectors as zv
from tests.types.clouds import (
    assert_same_cloud,
    cloud,
    column_values,
    files_of,
    in_input_order,
    joined,
    memory,
    read,
    rows_of,
    same_rows,
    short,
    uniform,
)
from zarr_vectors.exceptions import ChunkingError, InputError, StoreNotFoundError

LAYOUTS = {
    "unsharded": zv.Layout(chunk_shape=4, shard_shape=None),
    "sharded": zv.Layout(chunk_shape=4, shard_shape=2),
    "one shard": zv.Layout(chunk_shape=4, shard_shape=8, compressor="none"),
    "binned": zv.Layout(chunk_shape=4, bin_shape=2, shard_shape=2),
    "ordered": zv.Layout(chunk_shape=4, shard_shape=2, keep_order=True),
    "gzip": zv.Layout(chunk_shape=8, shard_shape=2, compressor=[{"name": "gzip", "configuration": {"level": 1}}]),
}


def part(seed: int, *, owned: bool, rows: int = 80) -> zv.Points:
    """A cloud with attributes of many kinds; objects of their own for each seed."""
    rng = np.random.default_rng(seed)
    attributes = {
        "v": rng.integers(0, 1000, rows),
        "rgb": rng.integers(0, 255, (rows, 3)).astype("u1"),
        "t": np.array(["a", "b", None], dtype=object)[rng.integers(0, 3, rows)],
        "when": rng.integers(0, 9999, rows).astype("M8[s]"),
    }
    return uniform(
        rows, seed, attributes=attributes, object_ids=rng.integers(0, 4, rows) + 10 * seed if owned else None
    )


@pytest.mark.parametrize("owned", [False, True], ids=["plain", "objects"])
@pytest.mark.parametrize("layout", LAYOUTS)
@pytest.mark.parametrize("local", [True, False], ids=["local", "memory"])
def test_append_adds_exactly_the_new_rows(tmp_path: Path, layout: str, owned: bool, local: bool) -> None:
    place = tmp_path / "store" if local else memory()
    parts = [part(seed, owned=owned) for seed in range(3)]
    zv.write(place, parts[0], layout=LAYOUTS[layout], bounds=([0] * 3, [10] * 3))
    for number, more in enumerate(parts[1:], start=2):
        report = zv.write(place, more, mode="append")
        expected = joined(parts[:number])
        assert report.mode == "append"
        assert report.vertex_count == 80
        assert report.total_vertices == zv.open(place)[0].vertex_count == 80 * number
        got = read(place)
        assert same_rows(got, expected)
        assert zv.open(place)[0].count(([0] * 3, [5] * 3)) == (expected.positions <= 5).all(axis=1).sum()
    if owned:
        for one in np.unique(np.asarray(joined(parts).object_ids)):
            mine = joined(parts).take(joined(parts).object_ids == one)
            assert same_rows(read(place, object_ids=[one]), mine)
    if layout == "ordered":
        assert_same_cloud(in_input_order(read(place)), joined(parts))


def test_existing_rows_keep_their_place_before_new_ones_of_the_same_object() -> None:
    place = memory()
    zv.write(place, cloud([[1.0], [2.0]], object_ids=[5, 5]))
    report = zv.write(place, cloud([[1.5]], object_ids=[5]), mode="append", extend=True)
    assert report.extended_objects == 1
    assert report.object_count == 0
    assert read(place, object_ids=[5]).positions.ravel().tolist() == [1.0, 2.0, 1.5]


def test_untouched_stored_objects_keep_their_bytes(tmp_path: Path) -> None:
    place = tmp_path / "store"
    zv.write(place, part(0, owned=True), layout=LAYOUTS["unsharded"], bounds=([0] * 3, [10] * 3))
    before = files_of(place)
    zv.write(place, cloud([[1.0, 1, 1]], part(0, owned=True).take(slice(0, 1)).attributes, [77]), mode="append")
    after = files_of(place)
    changed = {path for path in before if after[path] != before[path]}
    assert {path for path in changed if "/c/" in path and "vertices/" in path} <= {"0/vertices/c/0/0/0"}
    assert set(before) <= set(after)


@pytest.mark.parametrize("ids", [[0, 1, 5], [-7, -3], [2**40], [-(2**63)]])
def test_rows_without_ids_become_one_new_object(ids: list[int]) -> None:
    place = memory()
    zv.write(place, cloud(np.zeros((len(ids), 2)), object_ids=ids))
    report = zv.write(place, cloud(np.zeros((4, 2))), mode="append")
    new = max([*ids, -1]) + 1
    assert report.assigned_ids == (new, new)
    assert report.object_count == 1
    assert read(place, object_ids=[new]).vertex_count == 4


def test_there_is_no_id_above_the_largest() -> None:
    place = memory()
    zv.write(place, cloud([[0.0]], object_ids=[2**63 - 1]))
    with pytest.raises(InputError, match="give object_ids"):
        zv.write(place, cloud([[0.0]]), mode="append")
    zv.write(place, cloud([[0.0]], object_ids=[-(2**63)]), mode="append")
    assert read(place).vertex_count == 2


def test_new_ids_may_lie_before_and_between_the_old() -> None:
    place = memory()
    zv.write(place, cloud(np.zeros((2, 1)), object_ids=[10, 20], object_attributes={"n": [1, 2]}))
    new = cloud(np.zeros((3, 1)), object_ids=[15, 5, 30], object_attributes={"n": {5: 50, 15: 150, 30: 300}})
    zv.write(place, new, mode="append")
    table = zv.open(place)[0].objects
    got = dict(zip(table.ids.tolist(), np.asarray(table.attributes["n"]).tolist(), strict=True))
    assert got == {10: 1, 20: 2, 5: 50, 15: 150, 30: 300}
    assert all(read(place, object_ids=[one]).vertex_count == 1 for one in got)


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
        ({"object_ids": [2, 3], "object_attributes": {"n": [2, 3], "t": ["y", "z"], "w": np.ones((2, 3)), "b": [False, True]}}, "exist in the store already.*extend=True"),
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
    column = np.ma.array([1, 2, 3], mask=[0, 1, 0])
    zv.write(place, cloud(np.zeros((3, 1)), object_ids=[1, 2, 3], object_attributes={"a": column}))
    zv.write(place, cloud([[0.0]], object_ids=[4], object_attributes={"a": [4]}), mode="append")
    got = zv.open(place)[0].objects.attributes["a"]
    assert np.ma.getmaskarray(got).tolist() == [False, True, False, False]
    assert np.ma.getdata(got)[[0, 2, 3]].tolist() == [1, 3, 4]


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


def test_progress_and_report_count_the_new_rows() -> None:
    place = memory()
    calls: list[tuple[int, int | None]] = []
    zv.write(place, uniform(100, 1), bounds=([0] * 3, [10] * 3), layout=zv.Layout(chunk_shape=3))
    report = zv.write(place, uniform(50, 2), mode="append", progress=lambda done, total: calls.append((done, total)))
    assert calls[-1] == (50, 50)
    assert [done for done, _ in calls] == sorted(done for done, _ in calls)
    assert report.grown_from is None
    assert report.chunk_shape == (3, 3, 3)
    assert report.to_json()["total_vertices"] == 150


@pytest.mark.parametrize("owned", [False, True])
def test_appending_no_rows_changes_nothing_that_is_read(owned: bool) -> None:
    place = memory()
    points = part(1, owned=owned)
    zv.write(place, points, layout=LAYOUTS["sharded"])
    before = read(place)
    for nothing in (points.take(slice(0, 0)), cloud(np.zeros((0, 3)))):
        report = zv.write(place, nothing, mode="append", fill={} if nothing.attributes else {"v": 0, "rgb": 0})
        assert (report.vertex_count, report.chunk_count, report.object_count) == (0, 0, 0)
    assert column_values(read(place).positions) == column_values(before.positions)
    assert rows_of(read(place)) == rows_of(before)
