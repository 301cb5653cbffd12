"""Connected objects that move to other chunks: only the chunks that they leave and enter are written."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

import zarr_vectors as zv
from tests.edit.stores import assert_same, data_files, edit, made, part_only, seen, value_of, whole_only, written
from tests.storage.stores import fewer_examples

KINDS = ("polyline", "graph", "skeleton", "mesh")


def order(place: Path) -> list[list[int]]:
    """Row ids of some objects, in the order in which they are read."""
    level = zv.open(place)[0]
    return [level.read(object_ids=[one]).row_ids.tolist() for one in (6, 9, 12)]


def work(e: zv.Edit, value: Any) -> None:
    """Move one object, one vertex of another, and give some of them values."""
    e.move(6, by=[4.0, -4.0])
    e.update([(9, 4)], positions=[[50.0, 50.0]], attributes={"n": -1, "label": "new"})
    e.set_attribute("n", -2, row_ids=[7])
    e.move(12, positions=value.positions[300:310])


@pytest.mark.parametrize("kind", KINDS)
def test_a_part_is_written_and_it_is_as_if_all_were(kind: str, tmp_path: Path) -> None:
    places, value = [made(kind, tmp_path / name) for name in ("part", "whole")], value_of(kind)
    before = seen(places[0])
    edit(places[0], lambda e: work(e, value), how=part_only, out_of_bounds="expand")
    cells = data_files(before, "vertices", "vertex_fragments", "vertex_attributes/n", "links", "link_attributes")
    touched = cells & written(before, seen(places[0]))
    assert 0 < len(touched) < 0.75 * len(cells)
    edit(places[1], lambda e: work(e, value), how=whole_only, out_of_bounds="expand")
    assert_same(*places)
    assert zv.validate(places[0]).ok
    if kind == "polyline":
        assert order(places[0]) == order(places[1])


def test_the_index_follows(tmp_path: Path) -> None:
    place = made("polyline", tmp_path)
    edit(place, lambda e: e.move(6, positions=np.linspace([1.0, 1.0], [99.0, 99.0], 10)), how=part_only)
    level = zv.open(place)[0]
    index = level.state.index.get(zv.open(place).storage)
    assert index is not None
    rows = index.facts(["rows"])["rows"]
    assert not np.isnan(rows).any()
    assert rows.sum() == 600
    assert zv.validate(place).ok


def test_links_to_others_stay(tmp_path: Path) -> None:
    """Where objects are linked to others, nothing is torn apart."""
    value = value_of("graph")
    edges = np.concatenate([value.edges, [[25, 35]]])
    linked = zv.Graph(value.positions, edges, attributes=value.attributes, object_ids=value.object_ids)
    zv.write(tmp_path, linked, layout=zv.Layout(chunk_shape=10, keep_order=True), bounds=([0, 0], [100, 100]))
    with zv.open(tmp_path, "r+").edit() as e:
        e.move(6, positions=value.positions[300:310])
    got = zv.open(tmp_path)[0].read()
    assert len(got.edges) == len(edges)
    assert sorted(map(sorted, got.row_ids[got.edges].tolist())) == sorted(map(sorted, edges.tolist()))


WORK = st.lists(
    st.tuples(st.integers(0, 59), st.integers(0, 9), st.tuples(st.integers(0, 100), st.integers(0, 100))),
    min_size=1,
    max_size=5,
    unique_by=lambda one: one[0],
)


def both_ways(kind: str, moves: list[tuple[int, int, tuple[int, int]]], shards: int | None, folders: Any) -> None:
    """Move vertices in part and whole."""
    places = []
    addresses, spots = [(3 * one, at) for one, at, _ in moves], [spot for _, _, spot in moves]
    for how in (part_only, whole_only):
        place = made(kind, folders.mktemp("edit") / "store", shard_shape=shards)
        edit(place, lambda e: e.update(addresses, positions=spots), how=how)
        places.append(place)
    assert_same(*places)
    assert kind != "polyline" or order(places[0]) == order(places[1])
    assert zv.validate(places[0]).ok


@fewer_examples(5)
@given(kind=st.sampled_from(KINDS), moves=WORK, shards=st.sampled_from([None, 2]))
def test_both_ways_come_to_the_same(
    kind: str, moves: Any, shards: int | None, tmp_path_factory: pytest.TempPathFactory
) -> None:
    both_ways(kind, moves, shards, tmp_path_factory)


@pytest.mark.long
@given(kind=st.sampled_from(KINDS), moves=WORK, shards=st.sampled_from([None, 2]))
def test_both_ways_often_come_to_the_same(
    kind: str, moves: Any, shards: int | None, tmp_path_factory: pytest.TempPathFactory
) -> None:
    both_ways(kind, moves, shards, tmp_path_factory)
