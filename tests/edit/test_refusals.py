"""What an edit refuses, and that nothing has changed then."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import zarr_vectors as zv
from zarr_vectors.exceptions import (
    AttributeNotFoundError,
    ConcurrentEditError,
    ConventionError,
    EditError,
    InputError,
    ObjectNotFoundError,
    ReadOnlyError,
)

LAYOUT = zv.Layout(chunk_shape=5, keep_order=True)


def cells() -> zv.Points:
    positions = np.array([[1, 1], [2, 2], [6, 6], [7, 1], [9, 9]], dtype="f4")
    return zv.Points(
        positions,
        {"weight": np.arange(5), "kind": ["a", "b", "a", None, "b"]},
        [4, 4, 9, 9, 9],
        object_attributes={"size": [1.0, 2.0]},
    )


@pytest.fixture
def place(tmp_path: Path) -> Path:
    zv.write(tmp_path / "store", cells(), layout=LAYOUT, bounds=([0, 0], [10, 10]))
    return tmp_path / "store"


def files(place: Path) -> dict[str, bytes]:
    return {str(path.relative_to(place)): path.read_bytes() for path in place.rglob("*") if path.is_file()}


def edit(store: zv.ZVStore, *calls: Callable[[zv.Edit], Any]) -> None:
    """One block of edits."""
    with store.edit() as e:
        for call in calls:
            call(e)


REFUSED: dict[str, tuple[type[zv.ZVError], str, Callable[[zv.Edit], Any]]] = {
    "no such object": (ObjectNotFoundError, "object 5", lambda e: e.move(5, [[1, 1]])),
    "too few positions": (InputError, "a row for each vertex", lambda e: e.move(4, [[1, 1]])),
    "out of bounds": (InputError, "out_of_bounds='expand'", lambda e: e.move(4, [[1, 1], [11, 1]])),
    "moved out of bounds": (InputError, "out_of_bounds='expand'", lambda e: e.move(9, by=[3, 0])),
    "not finite": (InputError, "finite", lambda e: e.move(4, [[1, 1], [np.nan, 1]])),
    "another rank": (InputError, r"\(n, 2\)", lambda e: e.move(4, [[1, 1, 1], [2, 2, 2]])),
    "no such vertex": (InputError, "vertex 2 of object 4", lambda e: e.update([(4, 2)], attributes={"weight": 1})),
    "a vertex twice": (InputError, "twice", lambda e: e.update([(4, 1), (4, 1)], attributes={"weight": [1, 2]})),
    "no such row id": (InputError, "row id 17", lambda e: e.update(row_ids=[17], attributes={"weight": 1})),
    "an attribute that is not there": (
        AttributeNotFoundError,
        "did you mean 'weight'",
        lambda e: e.set_attribute("wieght", 1),
    ),
    "values that do not fit": (InputError, "cannot be cast to int64", lambda e: e.set_attribute("weight", 1.5)),
    "too few values": (InputError, "for each row", lambda e: e.set_attribute("weight", [1, 2])),
    "numbers for text": (InputError, "text or categories", lambda e: e.set_attribute("kind", 1)),
    "an object attribute that is not there": (
        AttributeNotFoundError,
        "did you mean 'size'",
        lambda e: e.set_object_attribute("sise", {4: 1.0}),
    ),
    "an object that is not there": (
        ObjectNotFoundError,
        "object 5",
        lambda e: e.set_object_attribute("size", {5: 1.0}),
    ),
    "nothing to remove": (InputError, "must be given", lambda e: e.remove()),
    "two ways at once": (InputError, "two ways", lambda e: e.remove([(4, 0)], row_ids=[1])),
    "an id that exists": (InputError, "exist already", lambda e: e.add([[1, 1]], object_ids=[4])),
    "another kind": (ConventionError, "cannot be added", lambda e: e.add(zv.Polylines([[[1.0, 1.0], [2.0, 2.0]]]))),
    "no value for an attribute": (InputError, "weight", lambda e: e.add([[1, 1]], object_ids=[5])),
    "a name that is taken": (InputError, "exists already", lambda e: e.add_attribute("kind", 1)),
    "a bad name": (InputError, "cannot be used", lambda e: e.add_attribute("a/b", 1)),
    "a name that is taken for another": (InputError, "exists already", lambda e: e.rename("weight", "kind")),
    "row ids as an attribute": (AttributeNotFoundError, "row_id", lambda e: e.drop_attribute("row_id")),
    "links of points": (InputError, "no edges or faces", lambda e: e.add_links([[(4, 0), (4, 1)]])),
    "a split where nothing is left": (InputError, "nothing would be left", lambda e: e.split(4, at=0)),
    "a merge of one": (InputError, "two different objects", lambda e: e.merge([4])),
    "a merge into another": (InputError, "one of the objects", lambda e: e.merge([4, 9], into=5)),
}


@pytest.mark.parametrize("what", REFUSED)
def test_nothing_changes_where_something_is_refused(what: str, place: Path) -> None:
    error, says, call = REFUSED[what]
    before, store = files(place), zv.open(place, "r+")
    with pytest.raises(error, match=says):
        edit(store, lambda e: e.set_object_attribute("size", 5.0), call)
    assert files(place) == before


def test_a_vertex_that_is_removed_before_is_refused(place: Path) -> None:
    before, store = files(place), zv.open(place, "r+")
    with pytest.raises(InputError, match="removed"):
        edit(store, lambda e: e.remove([(9, 1)]), lambda e: e.update([(9, 1)], attributes={"weight": 1}))
    assert files(place) == before


def test_nothing_changes_where_the_block_raises(place: Path) -> None:
    before, store = files(place), zv.open(place, "r+")
    with pytest.raises(ZeroDivisionError):
        edit(store, lambda e: e.remove(object_ids=[4]), lambda _: 1 / 0)
    assert files(place) == before
    with store.edit():
        pass
    assert files(place) == before


def test_an_edit_is_one_block(place: Path) -> None:
    store = zv.open(place, "r+")
    e = store.edit()
    with pytest.raises(EditError, match="with block"):
        e.remove(object_ids=[4])
    with e:
        e.remove(object_ids=[4])
    with pytest.raises(EditError, match="ended"):
        e.remove(object_ids=[9])
    with pytest.raises(EditError, match="begun already"):
        e.__enter__()
    assert store[0].objects.ids.tolist() == [9]
    with pytest.raises(ReadOnlyError):
        zv.open(place).edit()
    with pytest.raises(InputError, match="out_of_bounds"):
        store.edit(out_of_bounds="ignore")


@pytest.mark.parametrize("other", ["moves", "appends", "changes an object"])
def test_another_writer_is_noticed(other: str, place: Path) -> None:
    store, theirs = zv.open(place, "r+"), zv.open(place, "r+")
    mine = store.edit()
    mine.__enter__().update([(9, 0)], attributes={"weight": 7})
    if other == "appends":
        zv.write(place, zv.Points([[1, 1]], {"weight": [1]}, [20]), mode="append", dtype="f4")
    elif other == "moves":
        edit(theirs, lambda e: e.move(9, by=[0.5, 0]))
    else:
        edit(theirs, lambda e: e.set_object_attribute("size", 9.0))
    before = files(place)
    with pytest.raises(ConcurrentEditError, match="another writer"):
        mine.__exit__(None, None, None)
    assert files(place) == before
    # A store that has been opened anew is edited as it is now.
    with zv.open(place, "r+").edit() as e:
        e.update([(9, 0)], attributes={"weight": 7})
    assert 7 in zv.open(place)[0].read().attributes["weight"]


def test_coarser_levels_that_cannot_follow(place: Path) -> None:
    store = zv.open(place, "r+")
    store.build_pyramid([(2, 1)], cross_level_storage="explicit")
    with pytest.raises(ConventionError, match="links between levels"):
        store.edit()
