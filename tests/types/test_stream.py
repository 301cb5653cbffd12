"""An iterable of values gives the store that one value would have given, in memory bounded by the batch."""

from __future__ import annotations

import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
from hypothesis import given
from hypothesis import strategies as st
from zarr.storage import MemoryStore

import zarr_vectors as zv
from tests.choice import covering
from tests.types.clouds import (
    assert_same_cloud,
    cloud,
    files_of,
    in_input_order,
    joined,
    memory,
    read,
    same_rows,
    short,
    uniform,
)
from zarr_vectors.exceptions import InputError
from zarr_vectors.types import column_file, sort, spill

ROWS = {"defaults": None, "one row": 1, "37 rows": 37, "one group": 10**9}


@pytest.fixture(
    params=[
        pytest.param(rows, id=name, marks=[pytest.mark.long] if name == "one group" else [])
        for name, rows in ROWS.items()
    ]
)
def group_rows(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> Any:
    """How many rows are taken at a time, from the library's own choice to one by one."""
    if request.param is not None:
        monkeypatch.setattr(spill, "_IN_MEMORY_ROWS", 20)
        monkeypatch.setattr(spill, "_GROUP_ROWS", request.param)
        monkeypatch.setattr(column_file, "_READ_ROWS", 50)
        monkeypatch.setattr(sort, "_PART_ROWS", request.param)
    return request.param


AT_A_TIME = pytest.mark.usefixtures("group_rows")


def whole(owned: bool) -> zv.Points:
    rng = np.random.default_rng(2)
    words = np.array([f"w{n}" for n in range(40)] + [None], dtype=object)
    return uniform(
        400,
        low=-30,
        high=30,
        attributes={
            "v": rng.integers(-9, 9, 400),
            "t": words[rng.integers(0, 41, 400)],
            "rgb": rng.integers(0, 255, (400, 3)).astype("u1"),
            "when": np.arange(400).astype("M8[ms]"),
        },
        object_ids=rng.integers(-5, 6, 400) * 10**12 if owned else None,
    )


def cut(points: zv.Points, *ends: int) -> Iterator[zv.Points]:
    """Its rows in parts."""
    for start, end in zip((0, *ends), (*ends, points.vertex_count), strict=True):
        yield points.take(slice(start, end))


def content(place: Path) -> dict[str, bytes]:
    """The files, with nothing that depends on the name of the folder."""
    return {path: data for path, data in files_of(place).items() if path != "zarr.json"}


@AT_A_TIME
@covering(
    "group_rows, shard, owned, bins",
    ROWS,
    [None, 2, "auto"],
    {"plain": False, "objects": True},
    [None, 5],
    indirect=["group_rows"],
)
def test_a_stream_makes_the_same_bytes_as_one_value(tmp_path: Path, owned: bool, shard: Any, bins: Any) -> None:
    points = whole(owned)
    layout = zv.Layout(chunk_shape=10, shard_shape=shard, bin_shape=bins, keep_order=True)
    one = zv.write(tmp_path / "one", points, layout=layout)
    many = zv.write(tmp_path / "many", cut(points, 3, 3, 100, 101, 390), layout=layout)
    assert {**one.to_json(), "url": ""} == {**many.to_json(), "url": ""}
    assert content(tmp_path / "one") == content(tmp_path / "many")
    assert_same_cloud(in_input_order(read(tmp_path / "many")), points)


@AT_A_TIME
@pytest.mark.parametrize("owned", [False, True], ids=["plain", "objects"])
def test_a_streamed_append_is_an_append(tmp_path: Path, owned: bool) -> None:
    points = whole(owned)
    places = tmp_path / "one", tmp_path / "many"
    for place in places:
        zv.write(place, points.take(slice(0, 150)), layout=zv.Layout(chunk_shape=10, shard_shape=2, keep_order=True))
    rest = points.take(slice(150, None))
    options: dict[str, Any] = {"mode": "append", "extend": True, "out_of_bounds": "expand"}
    one = zv.write(places[0], rest, **options)
    many = zv.write(places[1], cut(rest, 90, 200), **options)
    assert {**one.to_json(), "url": ""} == {**many.to_json(), "url": ""}
    assert content(places[0]) == content(places[1])
    assert_same_cloud(in_input_order(read(places[1])), points)


@AT_A_TIME
def test_a_streamed_append_without_ids_or_attributes_gets_one_object_and_fills() -> None:
    place = memory()
    zv.write(
        place,
        uniform(5, attributes={"v": np.arange(5), "t": ["a"] * 5}, object_ids=[3] * 5),
        bounds=([0] * 3, [10] * 3),
    )
    bare = uniform(100, 3)
    report = zv.write(place, cut(bare, 60), mode="append", fill={"v": 8})
    assert report.assigned_ids == (4, 4)
    got = read(place, object_ids=[4])
    assert same_rows(got, cloud(bare.positions, {"v": np.full(100, 8), "t": [None] * 100}, [4] * 100))


@AT_A_TIME
def test_rows_outside_the_bounds_are_dropped_from_every_batch() -> None:
    points = whole(False)
    place = memory()
    inside = np.asarray((np.abs(points.positions) <= 12).all(axis=1))
    report = zv.write(place, cut(points, 77, 200), bounds=([-12] * 3, [12] * 3), out_of_bounds="ignore")
    assert report.dropped == 400 - inside.sum()
    assert same_rows(read(place), points.take(inside))


@AT_A_TIME
@pytest.mark.parametrize("ordered", [False, True])
def test_categories_of_all_batches_are_united(ordered: bool) -> None:
    def column(*values: Any, kinds: Any) -> Any:
        return pd.Categorical(values * 10, kinds, ordered=ordered)

    parts = [
        cloud(np.zeros((30, 1)), {"t": column("c", "a", None, kinds=["c", "b", "a"])}),
        cloud(np.zeros((20, 1)), {"t": column("d", "a", kinds=["d", "a"])}),
    ]
    place = memory()
    zv.write(place, iter(parts), layout=zv.Layout(keep_order=True))
    got = in_input_order(read(place)).attributes["t"]
    assert isinstance(got, zv.Categorical)
    assert got.categories == (("c", "b", "a", "d") if ordered else ("a", "b", "c", "d"))
    assert got.ordered == ordered
    assert np.asarray(got).tolist() == ["c", "a", None] * 10 + ["d", "a"] * 10


@AT_A_TIME
def test_categories_that_all_batches_share_keep_their_order() -> None:
    kinds = ["low", "middle", "high"]
    parts = [cloud(np.zeros((30, 1)), {"t": pd.Categorical(["high"] * 30, kinds)}) for _ in range(2)]
    place = memory()
    zv.write(place, iter(parts))
    assert zv.open(place)[0].attributes["t"].categories == tuple(kinds)


@AT_A_TIME
def test_object_tables_of_all_batches_are_united() -> None:
    parts = [
        cloud(
            np.zeros((30, 1)),
            object_ids=[1, 2, 3] * 10,
            object_attributes={"n": [1, 2, 3], "t": ["a", None, "c"]},
            groups={0: [1]},
            group_attributes={"g": [7]},
        ),
        cloud(
            np.zeros((20, 1)),
            object_ids=[9, 3] * 10,
            object_attributes={"n": [3, 9], "t": ["c", "i"]},
            groups={0: [3], 2: [9, 1]},
            group_attributes={"g": [7, 0, 8]},
        ),
    ]
    place = memory()
    zv.write(place, iter(parts))
    level = zv.open(place)[0]
    table = level.objects
    assert table.ids.tolist() == [1, 2, 3, 9]
    assert np.asarray(table.attributes["n"]).tolist() == [1, 2, 3, 9]
    assert np.asarray(table.attributes["t"]).tolist() == ["a", None, "c", "i"]
    assert {group: sorted(members.tolist()) for group, members in table.groups.items()} == {0: [1, 3], 1: [], 2: [1, 9]}
    assert np.asarray(table.group_attributes["g"]).tolist() == [7, 0, 8]
    assert [level.read(object_ids=[one]).vertex_count for one in (1, 2, 3, 9)] == [10, 10, 20, 10]


@AT_A_TIME
def test_a_stream_may_hold_empty_values_and_just_one() -> None:
    points = whole(True)
    nothing = points.take(slice(0, 0))
    for parts in ([nothing, points, nothing], [points], [nothing]):
        place = memory()
        zv.write(place, iter(parts))
        assert same_rows(read(place), joined(parts))


BASE: dict[str, Any] = {"attributes": {"v": np.arange(30), "t": ["a"] * 30}, "object_ids": np.arange(30) % 3}


@AT_A_TIME
@pytest.mark.parametrize(
    ("changes", "told"),
    [
        ({"attributes": {"v": np.arange(30)}}, "'t' of item 1"),
        ({"attributes": {**BASE["attributes"], "x": np.arange(30)}}, "'x' of item 1"),
        ({"attributes": {"v": np.arange(30.0), "t": ["a"] * 30}}, "'v' of item 1.*expected int64, got float64.*same"),
        ({"attributes": {"v": np.zeros((30, 2), int), "t": ["a"] * 30}}, "'v' of item 1"),
        ({"attributes": {"v": ["1"] * 30, "t": ["a"] * 30}}, "'v' of item 1"),
        ({"object_ids": None}, "object ids of item 1.*expected ids of their own, got none"),
        ({"positions": np.zeros((30, 3)), "axes": None}, r"positions of item 1.*float64\[2\], got float64\[3\]"),
        ({"positions": np.zeros((30, 2), "f4")}, "positions of item 1"),
        ({"positions": np.full((30, 2), np.nan)}, "finite"),
        ({"positions": np.full((30, 2), 99.0)}, "outside the bounds"),
        ({"axes": "yx"}, "axes of item 1"),
        ({"groups": {0: [77]}}, "77"),
        ({"object_attributes": {"n": [1, 2, 3]}}, "same object attributes"),
        ({"attributes": {"v": np.ma.array(np.arange(30), mask=np.arange(30) == 4), "t": ["a"] * 30}}, "masked"),
        (
            {"attributes": {"v": np.arange(30), "t": zv.Categorical(np.zeros(30, int), (pd.Interval(0, 1),))}},
            "categories",
        ),
    ],
    ids=short,
)
def test_batches_that_do_not_fit_are_refused_before_the_store_is_touched(
    tmp_path: Path, changes: dict[str, Any], told: str
) -> None:
    first = {"positions": np.zeros((30, 2)), "axes": "xy", **BASE}
    parts = [zv.Points(**first), zv.Points(**{**first, **changes})]
    with pytest.raises(InputError, match=told):
        zv.write(tmp_path / "s", iter(parts), bounds=([0, 0], [9, 9]))
    assert not (tmp_path / "s").exists()


@AT_A_TIME
def test_values_of_one_object_or_group_that_differ_are_refused() -> None:
    def part(value: Any, name: str = "n", group: int = 7) -> zv.Points:
        return cloud(
            np.zeros((15, 1)),
            object_ids=[1] * 15,
            object_attributes={name: [value]},
            groups={0: [1]},
            group_attributes={"g": [group]},
        )

    for other in (part(2), part("1"), part(1.5), part(1, "m"), part(1, group=8)):
        with pytest.raises(InputError, match="attribute"):
            zv.write(memory(), iter([part(1), other]))


def test_bad_rows_of_a_long_stream_are_named_with_their_item(group_rows: int | None) -> None:
    parts = [uniform(30), uniform(30), cloud(np.r_[np.zeros((4, 3)), [[0, np.inf, 0]]])]
    with pytest.raises(InputError, match=r"inf in row \d+, column 1") as caught:
        zv.write(memory(), iter(parts))
    if group_rows is not None:
        assert "item 2" in str(caught.value)
        assert "row 4" in str(caught.value)


@AT_A_TIME
@pytest.mark.parametrize("after", [0, 1, 5])
def test_a_stream_that_fails_leaves_nothing(tmp_path: Path, after: int, monkeypatch: pytest.MonkeyPatch) -> None:
    # Other tests that run at the same time share the system's temporary folder.
    temporary = tmp_path / "temporary"
    temporary.mkdir()
    monkeypatch.setattr(tempfile, "tempdir", str(temporary))

    def values() -> Iterator[zv.Points]:
        for number in range(after):
            yield uniform(30, number)
        raise RuntimeError("the source is gone")

    with pytest.raises(RuntimeError, match="the source is gone"):
        zv.write(tmp_path / "s", values())
    assert not (tmp_path / "s").exists()
    zv.write(tmp_path / "t", uniform(5), bounds=([0] * 3, [10] * 3))
    old = files_of(tmp_path / "t")
    for mode in ("append", "replace"):
        with pytest.raises(RuntimeError, match="the source is gone"):
            zv.write(tmp_path / "t", values(), mode=mode)
        assert files_of(tmp_path / "t") == old
    assert list(temporary.iterdir()) == []


@pytest.mark.parametrize("values", [[], iter([]), [3], [[1.0, 2.0]], "abc", None, 5, {"positions": [[0.0]]}, b"x"])
def test_what_is_no_stream_of_values_is_refused(tmp_path: Path, values: Any) -> None:
    with pytest.raises(InputError, match=r"geometry value|no values"):
        zv.write(tmp_path / "s", values)
    assert not (tmp_path / "s").exists()


def test_a_stream_is_asked_for_its_values_once_and_not_kept(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(spill, "_IN_MEMORY_ROWS", 50)
    asked = []

    def values() -> Iterator[zv.Points]:
        for number in range(10):
            asked.append(number)
            yield uniform(30, number)

    report = zv.write(memory(), values())
    assert asked == list(range(10))
    assert report.vertex_count == 300


@given(st.lists(st.integers(0, 30), min_size=1, max_size=8), st.integers(1, 60), st.booleans())
def test_any_cut_of_a_stream_gives_its_rows(sizes: list[int], group: int, owned: bool) -> None:
    points = whole(owned).take(slice(0, sum(sizes)))
    ends = np.cumsum(sizes)[:-1].tolist()
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(spill, "_IN_MEMORY_ROWS", 10)
        patch.setattr(spill, "_GROUP_ROWS", group)
        place = MemoryStore()
        zv.write(place, cut(points, *ends), layout=zv.Layout(chunk_shape=20, shard_shape=2, keep_order=True))
    assert_same_cloud(in_input_order(read(place)), points)
