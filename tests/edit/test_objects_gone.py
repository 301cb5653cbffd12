"""Objects that are removed, of all kinds: only the chunks around them are written, and hold what they should."""

from __future__ import annotations

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

KINDS = ("points", "polyline", "graph", "skeleton", "mesh")


@pytest.fixture
def in_part(monkeypatch: pytest.MonkeyPatch) -> pytest.MonkeyPatch:
    """Edits that write a whole level fail."""
    part_only(monkeypatch)
    return monkeypatch


LAYOUTS: list[dict[str, Any]] = [{}, {"shard_shape": None, "compressor": "none"}, {"chunk_shape": 40}]


@pytest.mark.parametrize(
    ("kind", "layout"),
    [
        pytest.param(kind, layout, marks=[pytest.mark.long] if (n + step) % 2 and layout else [])
        for n, kind in enumerate(KINDS)
        for step, layout in enumerate(LAYOUTS)
    ],
)
def test_a_part_is_written_and_it_is_as_if_all_were(kind: str, layout: dict[str, Any], tmp_path: Path) -> None:
    places = [made(kind, tmp_path / name, **layout) for name in ("part", "whole")]
    before = seen(places[0])

    def work(e: zv.Edit) -> None:
        e.remove(object_ids=[6, 15])
        e.set_object_attribute("size", {9: -1.0})
        e.remove(where={"name": "no 8"})

    edit(places[0], work, how=part_only)
    cells = data_files(before, "vertices", "vertex_fragments", "vertex_attributes", "links", "link_attributes")
    touched = cells & written(before, seen(places[0]))
    assert touched
    if "chunk_shape" not in layout:
        assert len(touched) < 0.6 * len(cells)
    edit(places[1], work, how=whole_only)
    assert_same(*places)
    assert zv.validate(places[0]).ok
    assert seen(places[0]).keys() == seen(places[1]).keys()


@pytest.mark.parametrize("kind", KINDS)
def test_chunks_become_empty_and_the_index_follows(kind: str, tmp_path: Path, in_part: pytest.MonkeyPatch) -> None:
    place = made(kind, tmp_path)
    ids = np.unique(zv.open(place)[0].read(bbox=([0, 0], [25, 25]), mode="objects").vertex_objects)
    with zv.open(place, "r+").edit() as e:
        e.remove(bbox=([0, 0], [25, 25]), mode="objects")
    level = zv.open(place)[0]
    assert len(ids) == 60 - len(level.objects.ids)
    assert (level.state.vertices.present.max(axis=1) > 1).all()
    assert level.count(bbox=([0, 0], [25, 25]), mode="vertices") == 0
    assert level.count(where="n >= 0") == level.vertex_count == level.read().vertex_count == 600 - 10 * len(ids)
    assert zv.validate(place).ok
    in_part.undo()
    # What is left can be edited, appended to and removed on and on.
    with zv.open(place, "r+").edit() as e:
        e.remove(object_ids=level.objects.ids[:-1])
    assert zv.open(place)[0].read().vertex_count == 10
    assert zv.validate(place).ok


def test_groups_and_row_ids_stay(tmp_path: Path) -> None:
    place = made("graph", tmp_path)
    before = zv.open(place)[0].read()
    with zv.open(place, "r+").edit() as e:
        e.remove(object_ids=[3])
    after = zv.open(place)[0].read()
    assert {group: sorted(members.tolist()) for group, members in after.groups.items()} == {0: [0, 9], 1: [12]}
    where = dict(zip(before.row_ids.tolist(), before.positions.tolist(), strict=True))
    assert all(where[n] == spot for n, spot in zip(after.row_ids.tolist(), after.positions.tolist(), strict=True))


def test_coarser_levels_are_stale(tmp_path: Path, in_part: pytest.MonkeyPatch) -> None:  # noqa: ARG001
    place = made("skeleton", tmp_path)
    store = zv.open(place, "r+")
    store.build_pyramid([(2, 1)])
    with zv.open(place, "r+").edit() as e:
        e.remove(object_ids=[3])
    assert zv.open(place)[1].is_stale
    with pytest.raises(zv.ZVError, match="more vertices"), zv.open(place, "r+").edit() as e:
        e.remove(object_ids=np.arange(1, 55) * 3 + 3)


@fewer_examples(5)
@given(
    kind=st.sampled_from(KINDS),
    ids=st.lists(st.integers(0, 59), min_size=1, max_size=40, unique=True),
    shards=st.sampled_from([None, 2]),
    chunk=st.sampled_from([5, 10, 40]),
)
def test_both_ways_come_to_the_same(
    kind: str, ids: list[int], shards: int | None, chunk: int, tmp_path_factory: pytest.TempPathFactory
) -> None:
    both_ways(kind, ids, shards, chunk, tmp_path_factory)


@pytest.mark.long
@given(
    kind=st.sampled_from(KINDS),
    ids=st.lists(st.integers(0, 59), min_size=1, max_size=40, unique=True),
    shards=st.sampled_from([None, 2]),
    chunk=st.sampled_from([5, 10, 40]),
)
def test_both_ways_often_come_to_the_same(
    kind: str, ids: list[int], shards: int | None, chunk: int, tmp_path_factory: pytest.TempPathFactory
) -> None:
    both_ways(kind, ids, shards, chunk, tmp_path_factory)


def both_ways(kind: str, ids: list[int], shards: int | None, chunk: int, folders: Any) -> None:
    """Remove objects in part and whole, in two blocks, the second of which finds the store as the first left it."""
    places = []
    for how in (part_only, whole_only):
        place = made(kind, folders.mktemp("edit") / "store", shard_shape=shards, chunk_shape=chunk)
        for some in (ids[::2], ids[1::2]):
            edit(place, partial(zv.Edit.remove, object_ids=np.array(some, dtype=np.int64) * 3), how=how)
        places.append(place)
    assert_same(*places)
    assert zv.validate(places[0]).ok
