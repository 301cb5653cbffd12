"""Connected geometry comes back as it was given: whole, by object and by group, with all of its attributes."""

from __future__ import annotations

from collections import Counter
from itertools import groupby
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

import zarr_vectors as zv
from tests.query.connected import (
    KINDS,
    LAYOUTS,
    LINKED,
    assert_same,
    link_values,
    numbers,
    object_list,
    of_objects,
    owners_of,
    parts_of,
    stored,
    values,
)
from tests.storage.stores import fewer_examples
from zarr_vectors.exceptions import InputError, ObjectNotFoundError, ZVError
from zarr_vectors.geometry import Graph, Mesh, Polylines, Skeleton

kinds = pytest.mark.parametrize("kind", KINDS)
KEEP = zv.Layout(chunk_shape=2, keep_order=True)
SOME = fewer_examples(6)
FEW = fewer_examples(10)


@kinds
@SOME
@given(st.data(), LAYOUTS)
def test_what_is_written_is_what_is_read(kind: str, data: st.DataObject, layout: zv.Layout) -> None:
    value = data.draw(values(kind))
    level = stored(value, layout)
    got = level.read()
    assert_same(got, value)
    assert level.count() == value.vertex_count
    if layout.keep_order:
        assert got.row_ids.tolist() == numbers(got)
    else:
        assert got.row_ids is None
    if isinstance(value, Polylines):
        assert got.line_ids.tolist() == sorted(value.line_ids.tolist())
    batches = list(level.iter(batch_rows=data.draw(st.integers(1, 20))))
    assert sorted(n for batch in batches for n in numbers(batch)) == list(range(value.vertex_count))
    if kind in LINKED:
        assert Counter(link for batch in batches for link in link_values(batch)) == Counter(link_values(value))


@pytest.mark.parametrize("kind", ["graph", "mesh"])
@pytest.mark.parametrize("chunk", [1.5, 100])
def test_batches_lose_no_link_between_objects(kind: str, chunk: float) -> None:
    """Objects 0 to 4 stand alone; a link leads from 5 to 9."""
    rows = np.arange(40)
    width = 2 if kind == "graph" else 3
    within = (rows[::4, None] + np.arange(width)).tolist()
    links = [*within, [23, *([22] if width == 3 else []), 39]]
    value = _linked(kind, np.stack([rows, rows % 4], axis=1), links, object_ids=rows // 4)
    level = stored(value, zv.Layout(chunk_shape=chunk))
    batches = list(level.iter(batch_rows=4))
    assert [sorted(set(owners_of(batch))) for batch in batches] == [[0], [1], [2], [3], [4], [5, 6, 7, 8, 9]]
    assert sorted(link for batch in batches for link in link_values(batch)) == sorted(link_values(value))
    apart = list(level.iter(object_ids=[9, 0, 5], batch_rows=4))
    assert [list(dict.fromkeys(owners_of(batch))) for batch in apart] == [[9, 0, 5]]
    assert len(link_values(apart[0])) == 4
    alone = stored(_linked(kind, value.positions, within, object_ids=rows // 4), zv.Layout(chunk_shape=chunk))
    assert [batch.vertex_count for batch in alone.iter(batch_rows=4)] == [4] * 10


def _linked(kind: str, positions: Any, links: Any, **options: Any) -> Any:
    columns: dict[str, Any] = {"attributes": {"row": np.arange(len(positions))}, **options}
    number = {"link": np.arange(len(links))}
    if kind == "graph":
        return Graph(positions, links, edge_attributes=number, **columns)
    return Mesh(positions, links, face_attributes=number, **columns)


@kinds
@SOME
@given(st.data(), LAYOUTS)
def test_objects_by_id_come_whole_and_in_the_order_asked_for(kind: str, data: st.DataObject, layout: zv.Layout) -> None:
    value = data.draw(values(kind))
    known = object_list(value)
    level = stored(value, layout)
    wanted = data.draw(st.lists(st.sampled_from(known), max_size=8)) if known else []
    distinct = list(dict.fromkeys(wanted))
    got = level.read(object_ids=wanted)
    assert_same(got, of_objects(value, distinct), ordered=True)
    filled = [one for one in distinct if one in owners_of(value)]
    assert [one for one, _ in groupby(owners_of(got))] == filled
    unknown = data.draw(st.integers(-9, 10**12).filter(lambda one: one not in known))
    for ids in ([unknown], [*wanted, unknown]):
        with pytest.raises(KeyError) as caught:
            level.read(object_ids=ids)
        assert isinstance(caught.value, ZVError)
        assert str(unknown) in str(caught.value) or not known


@kinds
@FEW
@given(st.data(), LAYOUTS)
def test_attributes_may_be_chosen_on_every_path(kind: str, data: st.DataObject, layout: zv.Layout) -> None:
    value = data.draw(values(kind, 2))
    level = stored(value, layout)
    box = ([-2.0, None], [3.5, 2.0])
    paths: list[dict[str, Any]] = [{}, {"object_ids": object_list(value)[:2]}]
    paths += [{"bbox": box, "mode": mode} for mode in ("vertices", "objects", "clip")]
    for path in paths:
        full = level.read(**path)
        some = level.read(**path, attributes=["t", "row"], link_attributes="link" if full_links(full) else None)
        none = level.read(**path, attributes=[], link_attributes=[])
        assert sorted(some.attributes) == ["row", "t"]
        assert list(none.attributes) == []
        for other in (some, none):
            assert other.positions.tolist() == full.positions.tolist()
            assert owners_of(other) == owners_of(full)
        assert numbers(some) == numbers(full)
        assert np.asarray(some.attributes["t"]).tolist() == np.asarray(full.attributes["t"]).tolist()
        if kind in LINKED:
            assert sorted(some.link_attributes) == (["link"] if full_links(full) else [])
            assert list(none.link_attributes) == []
            assert none.links.tolist() == some.links.tolist() == full.links.tolist()


def full_links(value: Any) -> bool:
    return not isinstance(value, Polylines) and "link" in value.link_attributes


def zigzag(turns: int, *, chunk: float = 2) -> Any:
    """A line that crosses a chunk with every step, comes back to where it was, and rests within chunks."""
    steps = np.tile([0, chunk, 2 * chunk, chunk], turns) + 0.25
    return np.stack([steps, np.arange(len(steps)) % 5 * 0.1, -steps], axis=1)


@pytest.mark.parametrize("shard", [None, 2, "auto"])
def test_a_line_that_leaves_and_returns_forty_times_is_one_line_in_order(shard: Any) -> None:
    lines = [zigzag(40), zigzag(3)[::-1], zigzag(40)[:1], zigzag(10) + 0.01]
    level = stored(Polylines(lines, ids=[7, 3, -2, 10**15]), zv.Layout(chunk_shape=2, shard_shape=shard))
    got = level.read()
    assert got.line_ids.tolist() == [-2, 3, 7, 10**15]
    for one, line in zip([2, 1, 0, 3], got.lines(), strict=True):
        assert line.tolist() == lines[one].tolist()
    assert level.read(object_ids=[10**15, 7]).line(1).tolist() == lines[0].tolist()
    assert level.read(([0.2, 0, -9], [0.3, 0.05, 0]), object_ids=[7]).line(0).tolist() == lines[0].tolist()


def test_empty_lines_and_lines_of_one_vertex_are_kept_with_their_ids_and_attributes() -> None:
    parts: list[Any] = [[], [[1.0, 1]], [], [[5.0, 5], [9, 9]], []]
    lines = Polylines(
        parts,
        ids=[9, 4, 6, 5, 1],
        object_attributes={"n": [90, 40, 60, 50, 10]},
        groups={0: [9, 4], 1: [6], 2: []},
    )
    level = stored(lines, KEEP)
    got = level.read()
    assert [(one, len(line)) for one, line in zip(got.line_ids.tolist(), got.lines(), strict=True)] == [
        (1, 0), (4, 1), (5, 2), (6, 0), (9, 0),
    ]  # fmt: skip
    assert got.objects.tolist() == [1, 4, 5, 6, 9]
    assert np.asarray(got.object_attributes["n"]).tolist() == [10, 40, 50, 60, 90]
    asked = level.read(object_ids=[9, 5, 1, 4])
    assert (asked.line_ids.tolist(), asked.lengths.tolist()) == ([9, 5, 1, 4], [0, 2, 0, 1])
    assert level.read(group_ids=[0]).line_ids.tolist() == [9, 4]
    assert level.read(group_ids=[1, 0]).line_ids.tolist() == [6, 9, 4]
    assert level.read(group_ids=[2]).line_count == 0
    assert level.read(([0, 0], [2, 2])).line_ids.tolist() == [4]
    assert [batch.line_ids.tolist() for batch in level.iter(batch_rows=1)] == [[1], [4], [5], [6], [9]]


@pytest.mark.parametrize("count", [0, 1])
def test_no_lines_and_only_empty_ones(count: int) -> None:
    lines = Polylines(np.zeros((0, 3), "f4"), [0] * (count + 1), ids=[8] * count)
    level = stored(lines, zv.Layout())
    got = level.read()
    assert (got.line_ids.tolist(), got.positions.shape, got.positions.dtype) == ([8] * count, (0, 3), np.float32)
    assert level.read(([0, 0, 0], [1, 1, 1])).line_count == 0


@kinds
def test_groups_are_read_in_order_with_their_members_once(kind: str) -> None:
    value = example(kind)
    level = stored(value, KEEP)
    assert {group: members.tolist() for group, members in level.read().groups.items()} == {0: [5, 2], 1: [9]}
    for groups, ids in ([0], [5, 2]), ([1, 0], [9, 5, 2]), ([0, 0], [5, 2]):
        got = level.read(group_ids=groups)
        assert_same(got, of_objects(value, ids))
        assert [one for one, _ in groupby(owners_of(got))] == ids
    with pytest.raises(ObjectNotFoundError):
        level.read(group_ids=[2])
    assert_same(level.read(group_ids=[1], object_ids=[2]), of_objects(value, [2, 9]))


@kinds
def test_tables_of_objects_and_groups_come_with_a_whole_read(kind: str) -> None:
    value = example(kind)
    got = stored(value, KEEP).read()
    order = np.argsort(value.objects)
    assert got.objects.tolist() == value.objects[order].tolist()
    for name, column in value.object_attributes.items():
        assert np.asarray(got.object_attributes[name]).tolist() == np.asarray(column[order]).tolist()
        assert got.object_attributes[name].dtype == column.dtype
    assert np.asarray(got.group_attributes["g"]).tolist() == ["left", None]


def example(kind: str) -> Any:
    """Three objects that lie across many chunks."""
    rng = np.random.default_rng(5)
    at = rng.uniform(-8, 8, (60, 2))
    columns = {"row": np.arange(60), "f": rng.normal(size=60).astype("f4")}
    tables: dict[str, Any] = {
        "object_attributes": {"w": np.array([0.5, 1.5, 2.5]), "t": ["nine", None, "two"]},
        "objects": [9, 5, 2],
        "groups": {0: [5, 2], 1: [9]},
        "group_attributes": {"g": ["left", None]},
    }
    owners = np.repeat([9, 5, 2], 20)
    if kind == "line":
        ends = at[:6].reshape(3, 2, 2)
        return zv.Lines(ends, ids=[9, 5, 2], attributes={"row": np.arange(6)}, **tables)
    if kind in {"polyline", "streamline"}:
        return Polylines(at, [0, 20, 40, 60], ids=[9, 5, 2], kind=kind, attributes=columns, **tables)
    linked: dict[str, Any] = {"attributes": columns, "object_ids": owners, **tables}
    if kind == "skeleton":
        parents = np.where(np.arange(60) % 20, np.arange(60) - 1 - np.arange(60) % 20 // 7, -1)
        return Skeleton(at, parents, edge_attributes={"link": np.arange(57)}, **linked)
    links = rng.integers(0, 20, (45, 2 if kind == "graph" else 3)) + np.repeat([0, 20, 40], 15)[:, None]
    if kind == "graph":
        return Graph(at, links, edge_attributes={"link": np.arange(45)}, directed=True, **linked)
    return Mesh(at, links, face_attributes={"link": np.arange(45)}, **linked)


@pytest.mark.parametrize("directed", [False, True])
def test_edges_keep_the_order_of_their_ends_and_all_of_their_copies(directed: bool) -> None:
    at = np.array([[0.5, 0.5], [1.5, 0.5], [-3.5, 0.5], [0.6, 9.5]])
    edges = [[0, 1], [1, 0], [0, 1], [2, 0], [0, 2], [3, 2], [2, 3], [3, 3], [1, 1]]
    graph = Graph(at, edges, directed=directed, edge_attributes={"w": np.arange(9.0)})
    got = stored(graph, KEEP).read()
    found = np.asarray(got.row_ids)[got.edges][np.argsort(got.edge_attributes["w"])]
    assert found.tolist() == edges
    assert got.directed is directed


@pytest.mark.parametrize("width", [3, 4, 5, 6])
def test_faces_keep_their_winding_across_chunks(width: int) -> None:
    rng = np.random.default_rng(width)
    at = rng.uniform(-9, 9, (40, 3))
    faces = np.array([rng.permutation(40)[:width] for _ in range(60)])
    got = stored(Mesh(at, faces, face_attributes={"n": np.arange(60)}), KEEP).read()
    found = np.asarray(got.row_ids)[got.faces][np.argsort(got.face_attributes["n"])]
    assert found.tolist() == faces.tolist()


def test_a_neuron_keeps_its_parents_whatever_the_order_of_its_rows() -> None:
    rng = np.random.default_rng(1)
    parents = np.concatenate([[-1], [rng.integers(max(0, row - 3), row) for row in range(1, 300)]])
    at = np.cumsum(rng.normal(size=(300, 3)), axis=0)
    shuffled = rng.permutation(300)
    place = np.argsort(shuffled)
    mixed = np.where(parents[shuffled] >= 0, place[parents[shuffled]], -1)
    for rows, tree in (at, parents), (at[shuffled], mixed):
        got = stored(Skeleton(rows, tree), KEEP).read()
        back = np.argsort(got.row_ids)
        row_of = np.append(got.row_ids, -1)
        assert row_of[got.parents[back]].tolist() == tree.tolist()
        assert got.positions[back].tolist() == rows.tolist()


def test_an_edge_attribute_without_any_edge_keeps_its_type() -> None:
    graph = Graph(np.zeros((2, 2)), edge_attributes={"w": np.zeros(0, "f4"), "rgb": np.zeros((0, 3), "u1")})
    got = stored(graph, KEEP).read()
    assert {name: (column.dtype, column.shape) for name, column in got.edge_attributes.items()} == {
        "w": (np.dtype("f4"), (0,)),
        "rgb": (np.dtype("u1"), (0, 3)),
    }


@kinds
def test_modes_and_attributes_that_do_not_exist_are_refused(kind: str) -> None:
    level = stored(example(kind), KEEP)
    with pytest.raises(InputError, match="mode"):
        level.read(mode="inside")
    with pytest.raises(KeyError, match="nothing"):
        level.read(attributes=["nothing"])
    if kind in LINKED:
        with pytest.raises(KeyError, match="nothing"):
            level.read(link_attributes=["nothing"])


def test_lines_without_ids_are_numbered_from_0() -> None:
    got = stored(Polylines([zigzag(2), zigzag(1)]), KEEP).read()
    assert [one for one, _ in parts_of_rows(got)] == [0, 1]


def parts_of_rows(value: Any) -> list[tuple[int, list[int]]]:
    return parts_of(zv.Polylines(value.positions, value.offsets, ids=value.ids, attributes={"row": value.row_ids}))


def test_edge_attributes_on_one_axis_are_kept() -> None:
    """The segment inside a chunk is called 0 there, as the family of attributes is."""
    graph = Graph([[0.5], [1.5], [9.5]], [[0, 1], [2, 1]], edge_attributes={"w": [1.5, 2.5]})
    for layout in (KEEP, zv.Layout(chunk_shape=2, shard_shape=2)):
        got = stored(graph, layout).read()
        assert sorted(got.edge_attributes["w"].tolist()) == [1.5, 2.5]
