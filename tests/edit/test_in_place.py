"""Values that change where they are, of all kinds: only their arrays are written, and hold what they should."""

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
from tests.edit.stores import assert_same, edit, made, part_only, seen, value_of, whole_only, written
from tests.storage.stores import fewer_examples

KINDS = ("cloud", "points", "polyline", "graph", "skeleton", "mesh")
Work = Callable[[zv.Edit], Any]

N, LABEL, SPOTS = "0/vertex_attributes/n/c/", "0/vertex_attributes/label/c/", "0/vertices/c/"
ALWAYS: dict[str, tuple[list[Work], list[str]]] = {
    "a box": ([lambda e: e.set_attribute("n", -1, bbox=([0, 0], [30, 30]))], [N]),
    "where": ([lambda e: e.set_attribute("n", -1, where="n < 20")], [N]),
    "everything": ([lambda e: e.set_attribute("label", "b")], [LABEL]),
    "a new category": ([lambda e: e.set_attribute("label", "new", row_ids=[3, 4])], [LABEL]),
    "a value less": ([lambda e: e.set_attribute("label", None, row_ids=[3])], [LABEL]),
    "row ids": ([lambda e: e.update(row_ids=[70, 3], attributes={"n": [5, 6], "label": ["b", "a"]})], [N, LABEL]),
    "positions": ([lambda e: e.update(row_ids=[7], positions=e_position(7))], [SPOTS]),
}
OWNED: dict[str, tuple[list[Work], list[str]]] = {
    "an object": ([lambda e: e.move(6, by=[1e-9, 0.0])], [SPOTS]),
    "places": ([lambda e: e.update([(9, 3), (6, 0)], attributes={"n": [5, 6]})], [N]),
    "objects": ([lambda e: e.set_attribute("n", -np.arange(20), object_ids=[9, 6])], [N]),
    "sizes": ([lambda e: e.set_object_attribute("size", {3: -1.0})], ["0/object_attributes/size/c/"]),
    "names": ([lambda e: e.set_object_attribute("name", {3: "much longer"})], ["0/object_attributes/name/c/"]),
    "more of objects": (
        [lambda e: e.add_attribute("more", {3: "x"}, of="objects"), lambda e: e.set_object_attribute("more", {6: "y"})],
        ["0/object_attributes/more/c/"],
    ),
    "less of objects": ([lambda e: e.drop_attribute("size", of="objects")], ["0/object_attributes/size/c/"]),
    "nothing of objects": (
        [lambda e: e.drop_attribute("size", of="objects"), lambda e: e.drop_attribute("name", of="objects")],
        ["0/object_attributes/size/c/", "0/object_attributes/name/c/"],
    ),
    "another name": (
        [lambda e: e.rename("size", "weight", of="objects"), lambda e: e.set_attribute("n", -1, object_ids=[6])],
        ["0/object_attributes/size/c/", "0/object_attributes/weight/c/", N],
    ),
}
# Each piece of work with one kind; with another one in the long run.
CASES = [
    pytest.param(kinds[(number + 2 * step) % len(kinds)], name, marks=[pytest.mark.long] if step else [])
    for kinds, named in ((KINDS, ALWAYS), (KINDS[1:], OWNED))
    for number, name in enumerate(named)
    for step in (0, 1)
]


def e_position(row: int) -> Any:
    """Where vertex 7 lies, and a little on."""
    return value_of("cloud").positions[[row]] + 1e-9


@pytest.mark.parametrize(("kind", "name"), CASES)
def test_only_arrays_of_values_are_written(kind: str, name: str, tmp_path: Path) -> None:
    work, arrays = {**ALWAYS, **OWNED}[name]
    place, other = made(kind, tmp_path / "part"), made(kind, tmp_path / "whole")
    before = seen(place)
    edit(place, *work, how=part_only)
    touched = {path for path in written(before, seen(place)) if "/c/" in path and "cell_index" not in path}
    assert all(path.startswith(tuple(arrays)) for path in touched), sorted(touched)
    assert all(any(path.startswith(array) for path in touched) for array in arrays)
    edit(other, *work, how=whole_only)
    assert_same(place, other)
    assert zv.validate(place).ok
    assert seen(place).keys() == seen(other).keys()


@pytest.mark.parametrize("kind", ["cloud", "mesh"])
def test_cells_that_do_not_change_stay(kind: str, tmp_path: Path) -> None:
    place = made(kind, tmp_path, shard_shape=None)
    before = seen(place)
    with zv.open(place, "r+").edit() as e:
        e.set_attribute("label", "a")
        e.set_attribute("n", 7, row_ids=[7])
    touched = {path for path in written(before, seen(place)) if path.startswith("0/vertex_attributes/n/c/")}
    assert touched == set()
    with zv.open(place, "r+").edit() as e:
        e.set_attribute("n", -7, row_ids=[7])
    touched = {path for path in written(before, seen(place)) if path.startswith("0/vertex_attributes/n/c/")}
    assert len(touched) == 1


def test_the_index_follows(tmp_path: Path) -> None:
    place = made("cloud", tmp_path)
    with zv.open(place, "r+").edit() as e:
        e.set_attribute("n", 12345, row_ids=[7])
    level = zv.open(place)[0]
    assert level.count(where="n > 10000") == 1
    # One chunk: its positions and all three attributes.
    assert level.plan(where="n > 10000").cells == 4
    assert level.read(where="n > 10000").row_ids.tolist() == [7]


def test_bounds_grow_with_what_moves(tmp_path: Path) -> None:
    zv.write(tmp_path, zv.Points([[5.0, 5.0], [7.0, 7.0]], {}), layout=zv.Layout(chunk_shape=10, keep_order=True))
    with zv.open(tmp_path, "r+").edit(out_of_bounds="expand") as e:
        e.update(row_ids=[0], positions=[[9.0, 1.0]])
    assert zv.open(tmp_path).bounds == ([5.0, 1.0], [9.0, 7.0])
    assert zv.validate(tmp_path).ok


def test_points_stay_in_their_bins(tmp_path: Path) -> None:
    place, other = (made("cloud", tmp_path / name, bin_shape=5) for name in ("part", "whole"))
    spots = zv.open(place)[0].read().positions
    ids = zv.open(place)[0].read().row_ids
    spots = spots // 10 * 10 + (spots + 5) % 10
    for at, how in ((place, part_only), (other, whole_only)):
        edit(at, lambda e: e.update(row_ids=ids[:9], positions=spots[:9]), how=how)
    assert_same(place, other)
    assert zv.validate(place).ok
    # How many points there are in each bin.
    for path in seen(place):
        if path.startswith("0/vertex_fragments/c/"):
            assert (place / path).read_bytes() == (other / path).read_bytes()


ROWS = st.lists(st.integers(0, 599), min_size=1, max_size=6, unique=True)
KINDS_OF_WORK = ("n", "label", "all labels", "nudge", "object", "size")


def done(e: zv.Edit, what: str, rows: list[int], owned: bool) -> None:
    """One operation about some rows."""
    label = ["a", "b", "c", None][rows[0] % 4]
    if what == "n":
        e.update(row_ids=rows, attributes={"n": [-row for row in rows]})
    elif what == "label":
        e.set_attribute("label", label, row_ids=rows)
    elif what == "all labels":
        e.set_attribute("label", label)
    elif what == "nudge":
        e.update(row_ids=rows, positions=value_of("cloud").positions[rows] + 1e-9 * rows[0])
    elif owned and what == "object":
        e.set_attribute("n", np.arange(10), object_ids=[rows[0] // 10 * 3])
    elif owned:
        e.set_object_attribute("size", {rows[0] // 10 * 3: -float(rows[0])})


def both_ways(kind: str, work: list[tuple[str, list[int]]], shards: int | None, folders: Any) -> None:
    """Do the same in part and whole."""
    places = []
    steps = [partial(done, what=what, rows=rows, owned=kind != "cloud") for what, rows in work]
    for how in (None, whole_only):
        place = made(kind, folders.mktemp("edit") / "store", shard_shape=shards)
        edit(place, *steps, how=how)
        places.append(place)
    assert_same(*places)
    assert zv.validate(places[0]).ok


SOME_WORK = st.lists(st.tuples(st.sampled_from(KINDS_OF_WORK), ROWS), min_size=1, max_size=4)


@fewer_examples(5)
@given(kind=st.sampled_from(KINDS), work=SOME_WORK, shards=st.sampled_from([None, 2]))
def test_both_ways_come_to_the_same(
    kind: str, work: list[tuple[str, list[int]]], shards: int | None, tmp_path_factory: pytest.TempPathFactory
) -> None:
    both_ways(kind, work, shards, tmp_path_factory)


@pytest.mark.long
@given(kind=st.sampled_from(KINDS), work=SOME_WORK, shards=st.sampled_from([None, 2]))
def test_both_ways_often_come_to_the_same(
    kind: str, work: list[tuple[str, list[int]]], shards: int | None, tmp_path_factory: pytest.TempPathFactory
) -> None:
    both_ways(kind, work, shards, tmp_path_factory)
