"""Edits of stores whose manifests are not what fragments state: done right, or refused before anything is written."""

from __future__ import annotations

import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import zarr_vectors as zv
from tests.choice import covering
from tests.edit.damaged import DAMAGES, ONE, OTHER, content, files, made
from tests.edit.stores import whole_only
from zarr_vectors.exceptions import ConventionError, CorruptionError, InputError

KINDS = ["points", "polyline", "graph", "skeleton", "mesh"]
EDITS: dict[str, Callable[[zv.Edit, int], Any]] = {
    "values": lambda e, one: e.set_attribute("n", -5, object_ids=[one]),
    "of the object": lambda e, one: e.set_object_attribute("size", {one: -2.0}),
    "nearby": lambda e, one: e.move(one, by=[0.01, 0]),
    "far": lambda e, one: e.move(one, by=[7.0, 3.0]),
    "gone": lambda e, one: e.remove(object_ids=[one]),
    "less": lambda e, one: e.remove([(one, 1)]),
    "split": lambda e, one: e.split(one, at=1),
    "merged": lambda e, one: e.merge([one, 12]),
    "more": lambda e, _: e.add_attribute("more", 2.0),
}


@covering("damage, kind", list(DAMAGES), KINDS)
def test_a_level_is_refused_as_a_whole(damage: str, kind: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    place = made(kind, tmp_path / "store", damage)
    before = files(place)
    whole_only(monkeypatch)
    with (
        pytest.raises((CorruptionError, ConventionError), match=f"(?s){DAMAGES[damage][1]}") as caught,
        zv.open(place, "r+").edit() as e,
    ):
        e.set_attribute("n", -5, object_ids=[9])
    assert str(place) in str(caught.value.store)
    assert caught.value.hint
    assert files(place) == before


@covering("damage, kind", list(DAMAGES), KINDS)
@pytest.mark.parametrize("one", [ONE, *(pytest.param(one, marks=pytest.mark.long) for one in (OTHER, 9))])
def test_nothing_else_changes(damage: str, kind: str, one: int, tmp_path: Path) -> None:
    """Whatever is written, objects that are not edited are what they were, and what is edited is so as a whole."""
    place = made(kind, tmp_path / "store", damage)
    level = zv.open(place)[0]
    before = {each: content(level, each) for each in level.objects.ids.tolist()}
    whole = files(place)
    for name, work in EDITS.items():
        copy = Path(shutil.copytree(place, tmp_path / name))
        try:
            with zv.open(copy, "r+").edit(out_of_bounds="expand") as e:
                work(e, one)
        except (CorruptionError, ConventionError):
            assert files(copy) == whole, name
            continue
        except InputError:
            assert before[one] == []
            assert files(copy) == whole, name
            continue
        level = zv.open(copy)[0]
        touched = {one, 12} if name == "merged" else {one}
        untouched = [each for each in before if each not in touched]
        assert [content(level, each) for each in untouched] == [before[each] for each in untouched], name
        if name == "gone":
            assert one not in level.objects.ids
            continue
        if name not in ("less", "split", "merged"):
            after = content(level, one)
            assert len(after) == len(before[one]), name
            assert name != "values" or all(n == -5 for _, n, _ in after)


@pytest.mark.parametrize("kind", KINDS)
def test_an_object_that_has_no_vertices_left_is_not_brought_back(kind: str, tmp_path: Path) -> None:
    """What states to be of it makes edits of it impossible, and those that would write it anew; others are done."""
    place = made(kind, tmp_path / "store", "empty")
    level = zv.open(place)[0]
    assert level.read(object_ids=[ONE]).vertex_count == 0
    before, store = files(place), zv.open(place, "r+")
    with pytest.raises(CorruptionError, match="vacuum follows the manifests"), store.edit() as e:
        e.remove(object_ids=[ONE])
    assert files(place) == before
    with store.edit() as e:
        e.set_attribute("n", -5, object_ids=[9])
        e.set_object_attribute("size", {ONE: 7.0})
    assert store[0].read(object_ids=[ONE]).vertex_count == 0
    assert (np.asarray(store[0].read(object_ids=[9]).attributes["n"]) == -5).all()


def test_an_object_that_has_no_vertices_left_is_not_extended(tmp_path: Path) -> None:
    """What states to be of it would be read with what is added."""
    place = made("points", tmp_path / "store", "empty")
    of_object = {"size": [ONE / 3], "name": [f"no {ONE // 3}"]}
    more = zv.Points([[99.0, 99.0]], {"n": [1], "label": ["a"]}, [ONE], object_attributes=of_object)
    before = files(place)
    with pytest.raises(CorruptionError, match=DAMAGES["empty"][1]), zv.open(place, "r+").edit() as e:
        e.add(more, extend=True)
    assert files(place) == before
    zv.open(place, "r+").vacuum()
    with zv.open(place, "r+").edit() as e:
        e.add(more, extend=True)
    assert zv.open(place)[0].read(object_ids=[ONE]).positions.tolist() == [[99.0, 99.0]]


@covering("kind, way", KINDS, ["vacuum", "repair"])
def test_the_way_out_that_is_told(kind: str, way: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    place = made(kind, tmp_path / "store", "empty")
    if way == "vacuum":
        zv.open(place, "r+").vacuum()
    else:
        assert zv.repair(place, dry_run=False).ok
    before = zv.open(place)[0].read()
    whole_only(monkeypatch)
    with zv.open(place, "r+").edit() as e:
        e.set_attribute("n", -5, object_ids=[9])
    level = zv.open(place)[0]
    assert level.read(object_ids=[ONE]).vertex_count == (0 if way == "vacuum" else 10)
    assert (np.asarray(level.read().vertex_objects) == ONE).sum() == (0 if way == "vacuum" else 10)
    got = level.read()
    assert sorted(map(tuple, got.positions.tolist())) == sorted(map(tuple, before.positions.tolist()))
    assert zv.validate(place).ok


def test_vertices_of_no_line_are_told(tmp_path: Path) -> None:
    """Fragments may state that they are of no line, which nothing carries on."""
    place = made("polyline", tmp_path / "store", "short")
    zv.repair(place, dry_run=False)
    before = files(place)
    with pytest.raises(CorruptionError, match=r"vertices of no line.*vacuum"), zv.open(place, "r+").edit() as e:
        e.split(9, at=3)
    assert files(place) == before
    zv.open(place, "r+").vacuum()
    with zv.open(place, "r+").edit() as e:
        e.split(9, at=3)
    assert zv.open(place)[0].read(object_ids=[9]).vertex_count == 3


@pytest.mark.parametrize("kind", KINDS)
def test_a_difference_goes_by_the_manifests(kind: str, tmp_path: Path) -> None:
    sound, damaged = (made(kind, tmp_path / name, name if name != "sound" else None) for name in ("sound", "empty"))
    assert zv.diff(sound, damaged).moved.tolist() == ([ONE] if kind == "polyline" else [-1, ONE])
    assert zv.diff(damaged, damaged).is_empty


@pytest.mark.parametrize("kind", [kind for kind in KINDS if kind != "polyline"])
def test_a_difference_of_what_is_of_no_object_is_told(kind: str, tmp_path: Path) -> None:
    place = made(kind, tmp_path / "store", "empty")
    zv.open(place, "r+").vacuum()
    level = zv.open(place)[0].read()
    loose = np.asarray(level.row_ids)[np.asarray(level.vertex_objects) == -1]
    others = {}
    for name in ("same", "values", "less"):
        others[name] = Path(shutil.copytree(place, tmp_path / name))
        with zv.open(others[name], "r+").edit() as e:
            if name == "values":
                e.set_attribute("n", -5, row_ids=loose[:1])
            elif name == "less":
                e.remove(row_ids=loose[:1])
    assert zv.diff(place, others["same"]).is_empty
    values, less = (zv.diff(place, others[name]) for name in ("values", "less"))
    assert (values.moved.tolist(), values.changed.tolist()) == ([], [-1])
    assert less.moved.tolist() == [-1]
