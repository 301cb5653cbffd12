"""Points that are removed, added and handed on: only the chunks around them are written, and hold what they should."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

import zarr_vectors as zv
from tests.edit.stores import assert_same, data_files, edit, made, part_only, seen, whole_only, written
from tests.storage.stores import fewer_examples

Work = Callable[[zv.Edit], Any]


def more(owned: bool, ids: Any = (1000, 1000)) -> zv.Points:
    """Two points, of which one comes to a chunk that is there."""
    columns: dict[str, Any] = {"n": [-7, -8], "label": ["a", "new"]}
    if not owned:
        return zv.Points([[55.0, 55.0], [0.5, 99.5]], columns)
    known = list(dict.fromkeys(ids))
    table: dict[str, Any] = {"size": np.full(len(known), 5.0), "name": np.array(["x" * 9] * len(known))}
    return zv.Points([[55.0, 55.0], [0.5, 99.5]], columns, list(ids), objects=known, object_attributes=table)


ALWAYS: dict[str, list[Work]] = {
    "remove rows": [lambda e: e.remove(row_ids=[5, 77, 78])],
    "remove box": [lambda e: e.remove(bbox=([30, 30], [50.5, 45]))],
    "remove where": [lambda e: e.remove(bbox=([0, 0], [30, 20]), where="n > 100")],
    "a new category": [
        lambda e: e.remove(row_ids=[3]),
        lambda e: e.set_attribute("label", "other", row_ids=[4, 5]),
    ],
}
OWNED: dict[str, list[Work]] = {
    "remove objects": [lambda e: e.remove(object_ids=[6, 9])],
    "remove by place": [lambda e: e.remove([(6, 0), (6, 3), (9, 9)])],
    "all of an object's vertices": [lambda e: e.remove([(12, n) for n in range(10)])],
    "add": [lambda e: e.add(more(True))],
    "extend": [lambda e: e.add(zv.Points([[55.0, 55.0]], {"n": [-1], "label": ["a"]}, [3]), extend=True)],
    "sizes": [lambda e: e.set_object_attribute("size", {3: -1.0}), lambda e: e.move(6, by=[0.5, 0.5])],
    "an attribute of objects": [lambda e: e.drop_attribute("name", of="objects"), lambda e: e.remove([(6, 1)])],
    "another name": [lambda e: e.rename("name", "called", of="objects"), lambda e: e.remove([(6, 1)])],
    "split": [lambda e: e.split(6, at=[4, 7])],
    "merge": [lambda e: e.merge([9, 6], into=6)],
    "all at once": [
        lambda e: e.remove(object_ids=[6]),
        lambda e: e.add(more(True, (6, 2000))),
        lambda e: e.update([(9, 1)], positions=[[1.0, 1.0]]),
        lambda e: e.move(12, by=[1.0, 1.0]),
        lambda e: e.update([(2000, 0)], attributes={"n": -100}),
    ],
}
FREE: dict[str, list[Work]] = {
    "add": [lambda e: e.add(more(False))],
    "add and remove": [lambda e: e.add(more(False)), lambda e: e.remove(row_ids=[1, 2, 600])],
}
CASES = [("points", name) for name in [*ALWAYS, *OWNED]] + [("cloud", name) for name in [*ALWAYS, *FREE]]


@pytest.mark.parametrize(("kind", "name"), CASES)
def test_a_part_is_written_and_it_is_as_if_all_were(kind: str, name: str, tmp_path: Path) -> None:
    work = {**ALWAYS, **(OWNED if kind == "points" else FREE)}[name]
    place, other = made(kind, tmp_path / "part"), made(kind, tmp_path / "whole")
    before = seen(place)
    edit(place, *work, how=part_only)
    cells = data_files(before, "vertices", "vertex_fragments", "vertex_attributes/n/", "fragment_attributes")
    touched = cells & written(before, seen(place))
    assert 0 < len(touched) < 0.5 * len(cells)
    edit(other, *work, how=whole_only)
    assert_same(place, other)
    assert zv.validate(place).ok
    assert {path for path in seen(place) if "cell_index" not in path} == {
        path for path in seen(other) if "cell_index" not in path
    }


@pytest.mark.parametrize("shards", [None, 2])
@pytest.mark.parametrize("kind", ["cloud", "points"])
def test_chunks_and_shards_become_empty(kind: str, shards: int | None, tmp_path: Path) -> None:
    place = made(kind, tmp_path, shard_shape=shards)
    before, value = seen(place), zv.open(place)[0].read()
    inside = (value.positions <= 20).all(axis=1)
    with zv.open(place, "r+").edit() as e:
        e.remove(bbox=([0, 0], [20, 20]))
    gone = before.keys() - seen(place).keys()
    corners = {"0/vertices/c/0/0"} if shards else {f"0/vertices/c/{x}/{y}" for x in (0, 1) for y in (0, 1)}
    assert {path for path in gone if path.startswith("0/vertices/")} == corners & before.keys() != set()
    left = zv.open(place)[0]
    assert sorted(left.read().row_ids.tolist()) == sorted(value.row_ids[~inside].tolist())
    assert (left.state.vertices.present.max(axis=1) > 1).all()
    assert left.count(bbox=([0, 0], [20, 20])) == 0
    assert zv.validate(place).ok


def test_what_is_emptied_goes_when_the_grid_grows_before_its_origin(tmp_path: Path) -> None:
    place = made("points", tmp_path)
    value = zv.open(place)[0].read(bbox=([0, 0], [20, 20]))
    with zv.open(place, "r+").edit(out_of_bounds="expand") as e:
        e.update(row_ids=value.row_ids[:1], positions=[[-30.0, -5.0]])
        e.remove(row_ids=value.row_ids[1:])
    assert zv.validate(place).ok
    found = zv.open(place)[0].read(bbox=([-100, -100], [20, 20]))
    assert found.row_ids.tolist() == value.row_ids[:1].tolist()
    # Stored objects are those that cells lie in, and no others.
    for array in zv.open(place)[0].state.cells.values():
        wanted = {array.object_path(row) for row in array.locate(array.present)[0].tolist()}
        assert {path for path in seen(place) if path.startswith(f"{array.path}/c/")} == wanted


SOME = st.lists(st.integers(0, 599), min_size=1, max_size=6, unique=True)
OPERATIONS = st.one_of(
    st.tuples(st.just("remove"), SOME),
    st.tuples(st.just("move"), SOME),
    st.tuples(st.just("label"), SOME),
    st.tuples(st.just("objects"), SOME),
    st.tuples(st.just("add"), SOME),
    st.tuples(st.just("size"), SOME),
)


def done(e: zv.Edit, what: str, rows: list[int], owned: bool) -> None:
    """One operation about some rows."""
    rng = np.random.default_rng(rows[0])
    if what == "remove":
        e.remove(row_ids=rows)
    elif what == "move":
        e.update(row_ids=rows, positions=rng.uniform(0, 100, (len(rows), 2)))
    elif what == "label":
        e.set_attribute("label", ["a", "b", "c", None][rows[0] % 4], row_ids=rows)
    elif what == "add":
        value = more(owned, (700 + rows[0], 700 + rows[0]))
        e.add(value, extend=owned)
    elif owned and what == "objects":
        e.remove(object_ids=[rows[0] // 10 * 3])
    elif owned:
        e.set_object_attribute("size", {rows[0] // 10 * 3: -float(rows[0])})


@fewer_examples(5)
@given(owned=st.booleans(), work=st.lists(OPERATIONS, min_size=1, max_size=4), shards=st.sampled_from([None, 2]))
def test_both_ways_come_to_the_same(
    owned: bool, work: list[tuple[str, list[int]]], shards: int | None, tmp_path_factory: pytest.TempPathFactory
) -> None:
    both_ways(owned, work, shards, tmp_path_factory)


@pytest.mark.long
@given(owned=st.booleans(), work=st.lists(OPERATIONS, min_size=1, max_size=4), shards=st.sampled_from([None, 2]))
def test_both_ways_often_come_to_the_same(
    owned: bool, work: list[tuple[str, list[int]]], shards: int | None, tmp_path_factory: pytest.TempPathFactory
) -> None:
    both_ways(owned, work, shards, tmp_path_factory)


def both_ways(
    owned: bool, work: list[tuple[str, list[int]]], shards: int | None, folders: pytest.TempPathFactory
) -> None:
    """Do the same in part and whole."""
    places, failed = [], []
    steps = [partial(done, what=what, rows=rows, owned=owned) for what, rows in work]
    for how in (None, whole_only):
        place = made("points" if owned else "cloud", folders.mktemp("edit") / "store", shard_shape=shards)
        try:
            edit(place, *steps, how=how)
        except zv.ZVError as error:
            failed.append(f"{type(error).__name__}: {error}")
        places.append(place)
    assert len(failed) in (0, 2)
    assert len(set(failed)) < 2
    assert_same(*places)
    assert zv.validate(places[0]).ok
