"""What a writer of a level takes, refuses, publishes and discards."""

from __future__ import annotations

import asyncio
import inspect
import os
import shutil
import subprocess
import sys
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from zarr.storage import MemoryStore

import zarr_vectors as zv
from tests.storage.counting import CountingStore, rounds_of
from tests.storage.faults import Bomb, DiskError, Place
from tests.storage.stores import GOLDEN, REPOSITORY
from tests.types.clouds import assert_same_column, masked, memory, values_of
from zarr_vectors.exceptions import (
    AttributeNotFoundError,
    ConcurrentEditError,
    ConventionError,
    EditError,
    InputError,
    ReadOnlyError,
)
from zarr_vectors.geometry import as_column
from zarr_vectors.storage.storage import Storage

LAYOUT = zv.Layout(chunk_shape=2.5, shard_shape=2)
ROWS = 40


def cloud(*, owned: bool = False, rows: int = ROWS, seed: int = 0, **more: Any) -> zv.Points:
    rng = np.random.default_rng(seed)
    positions = rng.uniform(0, 10, (rows, 3)).astype("f4")
    if not owned:
        return zv.Points(positions, attributes={"row": np.arange(rows)}, **more)
    ids = np.arange(rows) % 4 * 10
    return zv.Points(
        positions,
        {"row": np.arange(rows)},
        ids,
        object_attributes={"size": np.arange(4.0)},
        groups={0: [0, 30]},
        **more,
    )


def stored(value: Any = None, layout: zv.Layout = LAYOUT, **options: Any) -> zv.ZVLevel:
    place = MemoryStore()
    zv.write(place, cloud() if value is None else value, layout=layout, **options)
    return zv.open(place, "r+")[0]


def again(level: zv.ZVLevel) -> zv.ZVLevel:
    """The level, opened anew."""
    return zv.open(level.storage.backend.store, "r+")[level.number]  # type: ignore[attr-defined]


def content(level: zv.ZVLevel) -> dict[str, bytes]:
    store = level.storage.backend.store  # type: ignore[attr-defined]
    return {key: value.to_bytes() for key, value in store._store_dict.items()}


TIMES = np.array(["2020-01-01", "NaT"] * (ROWS // 2), dtype="M8[ns]")
COLUMNS: dict[str, Any] = {
    "float32": np.linspace(0, 1, ROWS, dtype="f4"),
    "float64 with nan": np.where(np.arange(ROWS) % 3, np.pi, np.nan),
    "float16": np.arange(ROWS, dtype="f2"),
    "big-endian": np.arange(ROWS, dtype=">f8"),
    "complex": np.arange(ROWS) * 1j,
    "int8": np.arange(ROWS, dtype="i1") - 20,
    "uint64": np.arange(ROWS, dtype="u8") + 2**63,
    "bool": np.arange(ROWS) % 3 == 0,
    "times": TIMES,
    "durations": np.arange(ROWS).astype("m8[s]"),
    "channels": np.arange(3 * ROWS, dtype="i4").reshape(ROWS, 3),
    "matrices": np.arange(4 * ROWS, dtype="f4").reshape(ROWS, 2, 2),
    "text": ["a", "", "ü", "a"] * (ROWS // 4),
    "missing text": ["a", None] * (ROWS // 2),
    "categories": zv.Categorical(np.arange(ROWS) % 3 - 1, ("low", "high"), ordered=True),
}


@pytest.mark.parametrize("values", COLUMNS.values(), ids=COLUMNS)
@pytest.mark.parametrize("owned", [False, True], ids=["plain", "objects"])
def test_values_of_any_dtype_come_back(values: Any, owned: bool) -> None:
    level = stored(cloud(owned=owned))
    with level.writer() as writer:
        writer.add_attribute_sync("new", values)
    for seen in (level, again(level)):
        assert_same_column(seen.read().attributes["new"], as_column("new", values))
        assert seen.read(attributes="new", bbox=([0] * 3, [5] * 3)).attributes.keys() == {"new"}
    assert sorted(level.attributes) == ["new", "row"]


OBJECT_COLUMNS: dict[str, Any] = {
    "float64": np.array([0.5, np.nan, 2, 3]),
    "int": np.array([4, 3, 2, 1]),
    "masked": masked(np.array([4, 3, 2, 1], dtype="i2"), 1),
    "bool": np.array([True, False, True, True]),
    "text": ["a", "bc", None, "a"],
    "channels": np.arange(8.0).reshape(4, 2),
    "by id": {30: 1.5, 10: 2.5, 0: 3.5, 20: 4.5},
}


@pytest.mark.parametrize("values", OBJECT_COLUMNS.values(), ids=OBJECT_COLUMNS)
def test_object_attributes_of_any_dtype_come_back(values: Any) -> None:
    level = stored(cloud(owned=True))
    with level.writer() as writer:
        writer.add_object_attribute_sync("new", values)
    expected = np.ma.array([3.5, 2.5, 4.5, 1.5] if isinstance(values, dict) else as_column("new", values)).tolist()
    for seen in (level, again(level)):
        assert seen.objects.ids.tolist() == [0, 10, 20, 30]
        np.testing.assert_equal(np.ma.array(seen.objects.attributes["new"]).tolist(), expected)
        assert values_of(seen.objects.attributes["size"]) == [0, 1, 2, 3]
        assert seen.objects.groups[0].tolist() == [0, 30]


def test_a_dtype_that_is_asked_for() -> None:
    level = stored()
    with level.writer() as writer:
        writer.add_attribute_sync("rounded", np.full(ROWS, 0.1), dtype="float32")
        writer.add_attribute_sync("narrow", np.arange(ROWS), dtype="uint8")
        writer.add_attribute_sync("words", ["a"] * ROWS, dtype="text")
        for values, dtype in (
            (np.arange(ROWS) * 100, "uint8"),
            (np.full(ROWS, 0.5), int),
            (np.full(ROWS, 1e300), "f4"),
            (np.arange(ROWS), str),
            (["a"] * ROWS, float),
            (np.arange(ROWS), "no-dtype"),
        ):
            with pytest.raises(InputError, match=r"dtype|cannot be cast"):
                writer.add_attribute_sync("bad", values, dtype=dtype)
    got = level.read().attributes
    assert (got["rounded"].dtype, got["narrow"].dtype) == ("f4", "u1")
    assert "bad" not in got


@pytest.mark.parametrize(
    ("call", "message"),
    [
        (lambda w: w.add_attribute_sync("a", np.arange(ROWS - 1)), "one value per row .*expected 40 rows"),
        (lambda w: w.add_attribute_sync("row", np.arange(ROWS)), "vertex attribute 'row' already.*overwrite=True"),
        (lambda w: w.add_attribute_sync("a/b", np.arange(ROWS)), "cannot be used"),
        (lambda w: w.add_attribute_sync("", np.arange(ROWS)), "cannot be used"),
        (lambda w: w.add_attribute_sync(3, np.arange(ROWS)), "must be text"),
        (lambda w: w.add_attribute_sync("row_id", np.arange(ROWS)), "written by the library"),
        (lambda w: w.add_attribute_sync("a", masked(np.arange(ROWS), 3)), "masked value"),
        (lambda w: w.add_attribute_sync("a", np.zeros(ROWS, dtype="O")), "text or missing"),
        (lambda w: w.add_face_attribute_sync("a", np.arange(3)), "no edges or faces"),
        (lambda w: w.add_object_attribute_sync("a", np.arange(3)), "one value per"),
        (lambda w: w.add_object_attribute_sync("a", {0: 1}), "every object id"),
        (lambda w: w.add_object_attribute_sync("size", np.arange(4)), "already"),
        (lambda w: w.append_vertices_sync([[1, 2]]), "number of axes"),
        (lambda w: w.append_vertices_sync([1, 2, 3]), r"\(N, D\)"),
        (lambda w: w.append_vertices_sync([[1, 2, np.nan]]), "finite"),
        (lambda w: w.append_vertices_sync([[1, 2, 11.0]]), "outside the bounds"),
        (lambda w: w.append_vertices_sync([[1, 2, 0.1]]), "dtype='float32'"),
        (lambda w: w.append_vertices_sync([[1, 2, 3]]), "no attribute 'row'.*fill"),
        (lambda w: w.append_vertices_sync(points([[1, 2, 3]]), object_ids=[20]), "object_ids go with bare"),
        (lambda w: w.append_vertices_sync(points([[1, 2, 3]], 20)), "exist in the store"),
        (lambda w: w.append_vertices_sync(points([[1, 2, 3]], row=[0.5])), "'row' must be int64"),
        (lambda w: w.append_vertices_sync(points([[1, 2, 3]], more=[1])), "no attribute 'more'"),
        (lambda w: w.append_vertices_sync(zv.Graph([[1.0, 2, 3]])), "graph cannot be appended"),
    ],
)
def test_bad_input_is_refused_when_it_is_given(call: Callable[[zv.ZVWriter], Any], message: str) -> None:
    level = stored(cloud(owned=True))
    before = content(level)
    with pytest.raises((InputError, ConventionError), match=message), level.writer() as writer:
        call(writer)
    assert content(level) == before


def points(positions: Any, first: int = 100, **columns: Any) -> zv.Points:
    rows = np.array(positions, dtype="f4")
    ids = first + np.arange(len(rows))
    return zv.Points(rows, {"row": np.arange(len(rows)), **columns}, ids)


def test_a_name_is_given_once() -> None:
    writer = stored().writer()
    writer.add_attribute_sync("a", np.arange(ROWS))
    with pytest.raises(InputError, match="given already"):
        writer.add_attribute_sync("a", np.arange(ROWS))


def test_an_attribute_is_replaced_only_if_asked() -> None:
    level = stored(cloud(owned=True))
    values = [f"word {row % 5}" for row in range(ROWS)]
    with level.writer(overwrite=True) as writer:
        writer.add_attribute_sync("row", values)
        writer.add_object_attribute_sync("size", ["s", "m", "l", "xl"])
    assert values_of(level.read().attributes["row"]) == values
    assert values_of(again(level).objects.attributes["size"]) == ["s", "m", "l", "xl"]
    used = {key for key in content(level) if "/row/" in key}
    fresh = stored(zv.Points(cloud().positions, {"row": values}))
    assert used == {key for key in content(fresh) if "/row/" in key}, "nothing of the old values is left"


def test_an_exception_discards_and_a_clean_end_commits() -> None:
    level = stored()
    before = content(level)
    writer = level.writer()

    def failing() -> None:
        with writer:
            writer.add_attribute_sync("a", np.arange(ROWS))
            raise KeyError("stop")

    with pytest.raises(KeyError):
        failing()
    assert content(level) == before
    with pytest.raises(EditError, match="ended"):
        writer.commit_sync()
    with level.writer() as writer:
        writer.add_attribute_sync("a", np.arange(ROWS))
        assert content(level) == before
    assert "a" in again(level).attributes


def test_commits_within_a_block() -> None:
    level = stored(cloud(owned=True))
    with level.writer(fill={"row": -1}) as writer:
        assert writer.commit_sync() == {"committed": False, "objects_committed": 0}
        assert writer.append_vertices_sync(np.ones((3, 3), dtype="f4")) == {
            "vertices_added": 3,
            "new_objects": 3,
            "chunks_touched": 1,
        }
        assert writer.append_vertices_sync(np.ones((3, 3), dtype="f4"), object_ids=[50, 51, 50])["new_objects"] == 2
        assert writer.commit_sync() == {"committed": True, "objects_committed": 5}
        assert level.vertex_count == ROWS + 6
        writer.add_attribute_sync("b", np.arange(ROWS + 6))
        writer.discard()
        writer.add_attribute_sync("c", np.arange(ROWS + 6))
    assert again(level).objects.ids.tolist() == [0, 10, 20, 30, 31, 32, 33, 50, 51]
    assert sorted(level.attributes) == ["c", "row"]
    assert np.isnan(np.asarray(level.objects.attributes["size"])[4:]).all()


@pytest.mark.parametrize("shards", [None, 2], ids=["no shards", "shards"])
@pytest.mark.parametrize("where", [1.0, -40.0], ids=["inside", "beyond"])
def test_chunks_that_no_appended_vertex_touches_have_their_values(where: float, shards: int | None) -> None:
    value = cloud(rows=200)
    level = stored(value, zv.Layout(chunk_shape=2.5, shard_shape=shards))
    with level.writer(out_of_bounds="expand") as writer:
        writer.add_attribute_sync("again", level.read().attributes["row"])
        writer.append_vertices_sync(zv.Points(np.full((1, 3), where, "f4"), {"row": [-1], "again": [-1]}))
    got = again(level).read()
    assert got.vertex_count == 201
    assert got.attributes["again"].tolist() == got.attributes["row"].tolist()
    kept = [
        {key.replace(f"/{name}/", "/*/") for key in content(level) if f"/{name}/" in key} for name in ("again", "row")
    ]
    assert kept[0] == kept[1], "nothing lies where a grid of before had it"


def test_an_object_is_appended_once() -> None:
    level = stored(cloud(owned=True))
    writer = level.writer()
    writer.append_vertices_sync(points([[1, 2, 3]]))
    with pytest.raises(InputError, match=r"appended already.*first is 100"):
        writer.append_vertices_sync(points([[1, 2, 4]]))
    with level.writer(extend=True) as writer:
        writer.append_vertices_sync(points([[1, 2, 3]], 20))
        writer.append_vertices_sync(points([[1, 2, 4]], 20))
    assert len(level.read(object_ids=20).positions) == ROWS // 4 + 2


def test_object_attributes_of_what_is_there_and_appended() -> None:
    level = stored(cloud(owned=True))
    with level.writer() as writer:
        writer.add_object_attribute_sync("before", [1.0, 2, 3, 4])
        writer.append_vertices_sync(points([[1, 2, 3], [2, 2, 2]], 7))
        writer.add_object_attribute_sync("after", {0: "a", 10: "b", 20: "c", 30: "d", 8: "f", 7: "e"})
        writer.append_vertices_sync(points([[1, 2, 3]], 5))
    table = again(level).objects
    found = dict(zip(table.ids.tolist(), values_of(table.attributes["after"]), strict=True))
    assert found == {0: "a", 10: "b", 20: "c", 30: "d", 7: "e", 8: "f", 5: None}
    found = dict(zip(table.ids.tolist(), values_of(table.attributes["before"]), strict=True))
    assert {key: found[key] for key in (0, 30)} == {0: 1.0, 30: 4.0}
    assert np.isnan([found[key] for key in (5, 7, 8)]).all()


def test_a_whole_number_cannot_be_filled_for_new_objects() -> None:
    writer = stored(cloud(owned=True)).writer()
    writer.add_object_attribute_sync("count", [1, 2, 3, 4])
    with pytest.raises(InputError, match=r"no object attribute 'count'.*fill"):
        writer.append_vertices_sync(points([[1, 2, 3]]))


def test_what_is_written_by_another_is_noticed() -> None:
    level = stored()
    writer = level.writer()
    writer.add_attribute_sync("a", np.arange(ROWS))
    zv.write(level.storage.backend.store, cloud(rows=1), mode="append")  # type: ignore[attr-defined]
    before = content(level)
    with pytest.raises(ConcurrentEditError, match="another writer"):
        writer.commit_sync()
    assert content(level) == before
    level.refresh()
    with level.writer() as writer:
        writer.add_attribute_sync("a", np.arange(ROWS + 1))


def test_two_writers_of_different_attributes_lose_nothing() -> None:
    one = stored()
    two = again(one)
    first, second, third = one.writer(), two.writer(), two.writer()
    first.add_attribute_sync("a", np.arange(ROWS))
    second.add_attribute_sync("b", np.arange(ROWS))
    third.add_attribute_sync("a", np.zeros(ROWS))
    first.commit_sync()
    second.commit_sync()
    with pytest.raises(InputError, match="'a' already"):
        third.commit_sync()
    got = again(one).read().attributes
    assert sorted(got) == ["a", "b", "row"]
    assert got["a"].tolist() == got["b"].tolist() == list(range(ROWS))


def test_a_store_opened_for_reading_has_no_writer() -> None:
    level = zv.open(stored().storage.backend.store)[0]  # type: ignore[attr-defined]
    with pytest.raises(ReadOnlyError, match=r"mode='r\+'"):
        level.writer()
    with pytest.raises(ReadOnlyError):
        zv.ZVWriter(level)


def test_the_store_knows_what_its_level_has_learnt() -> None:
    store = zv.open(stored().storage.backend.store, "r+")  # type: ignore[attr-defined]
    with zv.ZVWriter(store[0]).with_options(out_of_bounds="expand", fill={"row": 0}) as writer:
        writer.append_vertices_sync(np.full((1, 3), 50, dtype="f4"))
    assert store.bounds[1] == [50, 50, 50]
    assert store.info()["levels"][0]["vertex_count"] == ROWS + 1


def test_the_order_of_the_store_from_positions() -> None:
    value = cloud(rows=200)
    level = stored(value)
    with pytest.raises(InputError, match="keep_order"):
        level.row_order()
    with pytest.raises(InputError, match=r"order of level\.read"), level.writer(order="input") as writer:
        writer.add_attribute_sync("a", np.arange(200))
    order = level.row_order(value.positions.astype("f8"))
    assert order.tolist() == level.read().attributes["row"].tolist()
    with pytest.raises(InputError, match=r"not among them.*1 of 200"):
        level.row_order(np.delete(value.positions, 17, axis=0))
    with pytest.raises(InputError, match="more than once"):
        level.row_order(np.concatenate([value.positions, value.positions[:1]]))
    with pytest.raises(InputError, match="columns"):
        level.row_order(value.positions[:, :2])
    with pytest.raises(InputError, match="order is not known"):
        level.writer(order="random")


def test_rows_that_were_left_out_have_row_ids_too() -> None:
    positions = np.array([[1.0, 1], [99, 99], [7, 7]])
    level = stored(
        zv.Points(positions),
        zv.Layout(chunk_shape=4, keep_order=True),
        bounds=([0, 0], [10, 10]),
        out_of_bounds="ignore",
    )
    with level.writer(order="input") as writer:
        writer.add_attribute_sync("a", [10, 11, 12])
        writer.append_vertices_sync(zv.Points([[2.0, 2]], {"a": [13]}))
        writer.add_attribute_sync("b", ["p", "q", "r", "s"])
    got = level.read()
    found = zip(got.positions[:, 0].tolist(), got.attributes["a"].tolist(), values_of(got.attributes["b"]), strict=True)
    assert sorted(found) == [(1, 10, "p"), (2, 13, "s"), (7, 12, "r")]


def test_fragment_attributes_stay_per_fragment() -> None:
    value = cloud(owned=True)
    value = zv.Points(value.positions, {"kind": np.asarray(value.object_ids) // 10}, value.object_ids)
    level = stored(value, per_fragment=["kind"])
    with pytest.raises(InputError, match="per fragment already"), level.writer() as writer:
        writer.add_attribute_sync("kind", np.arange(ROWS))
    with level.writer() as writer:
        writer.add_attribute_sync("row", np.arange(ROWS))
        writer.append_vertices_sync(zv.Points(np.ones((2, 3), dtype="f4"), {"kind": [7, 7], "row": [1, 2]}, [9, 9]))
    level = again(level)
    assert level.attributes["kind"].per_fragment
    assert level.read(object_ids=9).attributes["kind"].tolist() == [7, 7]


def test_an_empty_store_takes_attributes_and_vertices() -> None:
    place = memory()
    zv.create(place, bounds=([0, 0], [9, 9]), attributes={"i": "float32"})
    with zv.open(place, "r+")[0].writer() as writer:
        writer.add_attribute_sync("label", [], dtype="text")
        writer.append_vertices_sync(np.array([[1.0, 2], [3, 4]], dtype="f4"))
    got = zv.open(place)[0].read()
    assert got.vertex_count == 2
    assert values_of(got.attributes["label"]) == [None, None]


def test_the_first_objects_of_a_store_take_attributes() -> None:
    place = memory()
    zv.create(place, bounds=([0, 0], [9, 9]), objects=True)
    with zv.open(place, "r+")[0].writer() as writer:
        with pytest.raises(InputError, match="no objects"):
            writer.add_object_attribute_sync("size", [])
        assert writer.append_vertices_sync(np.ones((2, 2), dtype="f4"))["new_objects"] == 2
        writer.add_object_attribute_sync("size", {0: 1.5, 1: 2.5})
        with pytest.raises(InputError, match="given already"):
            writer.add_object_attribute_sync("size", [3.0, 4.0])
        writer.append_vertices_sync(np.ones((1, 2), dtype="f4"))
    table = zv.open(place)[0].objects
    assert table.ids.tolist() == [0, 1, 2]
    np.testing.assert_equal(values_of(table.attributes["size"]), [1.5, 2.5, np.nan])


def test_a_graph_takes_edges_with_its_vertices_and_nothing_else() -> None:
    graph = zv.Graph(np.eye(3, dtype="f4"), [[0, 1]], edge_attributes={"w": [1.5]})
    level = stored(graph)
    with level.writer(fill={"n": 3}) as writer:
        writer.add_edge_attribute_sync("n", [7])
        writer.append_vertices_sync(np.zeros((2, 3), dtype="f4"))
        with pytest.raises(InputError, match="expected 1 rows"):
            writer.add_edge_attribute_sync("short", [])
        more = zv.Graph(np.ones((2, 3), dtype="f4"), [[1, 0]], object_ids=[8, 8], edge_attributes={"w": [2.5]})
        writer.append_vertices_sync(more)
    got = again(level).read()
    assert sorted(zip(got.edge_attributes["w"].tolist(), got.edge_attributes["n"].tolist(), strict=True)) == [
        (1.5, 7),
        (2.5, 3),
    ]
    assert sorted(set(got.object_ids.tolist())) == [0, 1, 2, 8]


def test_lines_of_bare_positions() -> None:
    level = stored(zv.Polylines([np.zeros((3, 2)), np.ones((2, 2))], ids=[4, 9]))
    with level.writer() as writer:
        writer.append_vertices_sync([[0.5, 0.5], [0.25, 1], [0, 1]], object_ids=[7, 7, 5])
        with pytest.raises(InputError, match="distinct"):
            writer.append_vertices_sync(np.ones((3, 2)), object_ids=[1, 2, 1])
    got = again(level).read(object_ids=[7, 5])
    assert [line.tolist() for line in got.lines()] == [[[0.5, 0.5], [0.25, 1]], [[0, 1]]]
    level = stored(zv.Lines([[[0.0, 0.0], [3.0, 4.0]]]))
    with level.writer() as writer:
        assert writer.append_vertices_sync(np.ones((4, 2)))["new_objects"] == 2
        with pytest.raises(InputError, match="two ends"):
            writer.append_vertices_sync(np.ones((3, 2)))
    assert again(level).read().line_count == 3


@pytest.mark.parametrize("late", [True, False])
@pytest.mark.parametrize("step", [pytest.param(3, marks=pytest.mark.long), 8])
def test_a_failure_at_any_change_leaves_all_or_nothing(late: bool, step: int) -> None:
    """At few of them by default; a commit fails at each in the tests of the storage."""
    place = Place()
    zv.write(place.memory, cloud(rows=8, owned=True), layout=LAYOUT)
    template, before = place.content(), place.visible()
    seen: list[Any] = []
    at = 0
    bomb = Bomb(0)
    while not seen or bomb.went_off:
        place = Place()
        bomb = Bomb(at, late=late)
        place.fill(template)
        level = zv.open(place.memory, "r+")[0]
        level._storage = Storage(place.failing(bomb))
        with suppress(DiskError), level.writer(out_of_bounds="expand") as writer:
            writer.add_attribute_sync("a", np.arange(8))
            writer.append_vertices_sync(points([[-5.0, 1, 1]], a=[3]))
        seen.append(place.visible())
        fresh = zv.open(place.memory)[0]
        if seen[-1] == before:
            assert "a" not in fresh.attributes
        else:
            assert seen[-1] == (seen[-2] if seen[-2] != before else seen[-1]), "there is one other state"
            assert sorted(fresh.read().attributes["a"].tolist()) == [0, 1, 2, 3, 3, 4, 5, 6, 7]
        at += step
    assert seen[0] == before
    assert len(seen) > 30 // step


def test_coroutines_do_the_same_also_together() -> None:
    level = stored(cloud(owned=True))

    async def work() -> dict[str, int]:
        async with level.writer(fill={"row": 0}) as writer:
            names = [f"a{number}" for number in range(8)]
            await asyncio.gather(*(writer.add_attribute(name, np.arange(ROWS) / 2) for name in names))
            await writer.add_node_attribute("node", ["a"] * ROWS)
            await writer.add_object_attribute("o", np.arange(4.0))
            done = await writer.append_vertices(np.ones((2, 3), dtype="f4"))
            await writer.commit()
        with pytest.raises(AttributeNotFoundError):
            await level.aread(attributes="none")
        found = await asyncio.gather(*(level.aread(object_ids=[10]) for _ in range(20)))
        assert all(one == found[0] for one in found)
        return done

    assert asyncio.run(work()) == {"vertices_added": 2, "new_objects": 2, "chunks_touched": 1}
    level = again(level)
    assert len(level.attributes) == 10
    assert values_of(level.objects.attributes["o"])[:4] == [0, 1, 2, 3]


def test_an_exception_in_an_async_block_discards() -> None:
    level = stored()
    before = content(level)

    async def work() -> None:
        async with level.writer() as writer:
            await writer.add_attribute("a", np.arange(ROWS))
            raise KeyError("stop")

    with pytest.raises(KeyError):
        asyncio.run(work())
    assert content(level) == before


def test_a_cancelled_commit_comes_to_its_end() -> None:
    level = stored()

    async def work() -> None:
        async with level.writer() as writer:
            await writer.add_attribute("a", np.arange(ROWS))
            task = asyncio.create_task(writer.commit())
            await asyncio.sleep(0)
            task.cancel()
            with pytest.raises(asyncio.CancelledError):
                await task
            assert "a" in again(level).attributes

    asyncio.run(work())


DEADLOCK = """
import asyncio, os, sys
import numpy as np
from zarr.storage import MemoryStore
import zarr_vectors as zv

if hasattr(os, "sched_setaffinity"):
    os.sched_setaffinity(0, {min(os.sched_getaffinity(0))})
os.cpu_count = lambda: 1
side = int(sys.argv[2])
grid = np.stack(np.meshgrid(*[np.arange(side) + 0.5] * 3, indexing="ij"), axis=-1).reshape(-1, 3)


# A plain one would answer at once, and not through the loop.
class Asked(MemoryStore):
    pass


place = sys.argv[1] or Asked()
zv.write(place, zv.Points(grid), layout=zv.Layout(chunk_shape=1, shard_shape=None))
level = zv.open(place, "r+")[0]
assert level.chunk_count == side**3
with level.writer() as writer:
    writer.add_attribute_sync("a", np.arange(side**3) / 2)
    writer.append_vertices_sync(grid)

async def work():
    # From a coroutine, and from more of them than there are threads in the loop's own pool.
    await asyncio.to_thread(int)
    pool = asyncio.get_running_loop()._default_executor
    assert pool._max_workers < 8
    with level.writer() as writer:
        writer.add_attribute_sync("b", np.arange(2 * side**3))
    store = await zv.aopen(place, "r+")
    async with store[0].writer() as writer:
        await asyncio.gather(*(writer.add_attribute(f"c{number}", np.arange(2 * side**3)) for number in range(8)))
    await asyncio.gather(*(asyncio.to_thread(store[0].read, attributes=[f"c{n}"]) for n in range(8)))
    await asyncio.gather(*(store[0].aread(attributes=[f"c{n}"]) for n in range(8)))

asyncio.run(work())
print(len(zv.open(place)[0].attributes))
"""


@pytest.mark.parametrize("local", [True, False], ids=["local", "zarr store"])
@pytest.mark.parametrize("side", [6, pytest.param(10, marks=pytest.mark.long)], ids=["hundreds", "a thousand"])
def test_nothing_deadlocks_on_one_processor_with_many_chunks(tmp_path: Any, local: bool, side: int) -> None:
    place = str(tmp_path / "store") if local else ""
    done = subprocess.run(
        [sys.executable, "-c", DEADLOCK, place, str(side)],
        env={**os.environ, "PYTHONPATH": str(REPOSITORY / "src")},
        capture_output=True,
        text=True,
        timeout=240,
        check=False,
    )
    assert done.stdout.strip() == "10", done.stderr


def test_requests() -> None:
    counting = CountingStore()
    zv.write(counting, cloud(owned=True), layout=LAYOUT)
    level = zv.open(counting, "r+")[0]
    counting.reset()
    writer = level.writer()
    writer.add_attribute_sync("a", np.arange(ROWS))
    writer.add_object_attribute_sync("o", np.arange(4))
    assert counting.requests == [], "the documents tell how many values there must be"
    assert rounds_of(counting, lambda: level.row_order(cloud().positions)) == 2, "shard indexes, and cells"
    counting.reset()
    writer.commit_sync()
    read = [request for request in counting.requests if request.startswith("0/") and "/c/" in request]
    shards = {request for request in read if request.startswith("0/vertices/")}
    assert len(read) <= 2 * len(shards), "of the geometry, positions alone are read, and each shard once"


def test_levels_of_a_pyramid(tmp_path: Path) -> None:
    shutil.copytree(GOLDEN / "pyramid", tmp_path / "store")
    store = zv.open(str(tmp_path / "store"), "r+")
    assert len(store) > 1
    before = [level.read() for level in store]
    for level in store:
        with level.writer() as writer:
            writer.add_attribute_sync("sum", level.read().positions.sum(axis=1))
        with pytest.raises(ConventionError, match=r"level 0 only|coarser levels"):
            level.writer().append_vertices_sync(level.read().positions[:1])
    for level, old in zip(zv.open(str(tmp_path / "store")), before, strict=True):
        got = level.read()
        assert (got.positions == old.positions).all()
        assert values_of(got.attributes["sum"]) == got.positions.sum(axis=1).tolist()


def test_positions_in_draco_encoding() -> None:
    value = cloud(owned=True)
    level = stored(value, zv.Layout(chunk_shape=2.5, vertex_encoding="draco", keep_order=True))
    with level.writer(order="input", fill={"row": -1}) as writer:
        writer.add_attribute_sync("again", np.arange(ROWS))
        writer.append_vertices_sync(zv.Points(value.positions[:2], {"again": [-1, -1]}, [7, 7]))
        writer.add_attribute_sync("text", [str(row) for row in range(ROWS)] + ["-1", "-1"])
    got = again(level).read()
    assert got.vertex_count == ROWS + 2
    assert got.attributes["again"].tolist() == got.attributes["row"].tolist()
    assert values_of(got.attributes["text"]) == [str(row) for row in got.attributes["row"].tolist()]


def test_signatures_are_those_that_were_asked_for() -> None:
    wanted = {"commit": "()", "append_vertices": "(positions, *, object_ids=None, dtype=None)"}
    wanted |= {f"add_{what}attribute": "(name, values, *, dtype=None)" for what in ("", "node_", "face_", "object_")}
    for name, expected in wanted.items():
        method, twin = getattr(zv.ZVWriter, name), getattr(zv.ZVWriter, f"{name}_sync")
        assert asyncio.iscoroutinefunction(method)
        assert not asyncio.iscoroutinefunction(twin)
        for one in (method, twin):
            found = inspect.signature(one)
            bare = [p.replace(annotation=p.empty) for p in found.parameters.values() if p.name != "self"]
            assert str(found.replace(parameters=bare, return_annotation=found.empty)) == expected
