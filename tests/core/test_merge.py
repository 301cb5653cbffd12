"""Merging branches: what both sides did is there, or a conflict is found and nothing has changed."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

import zarr_vectors as zv
from tests.core.ice import (
    add_attribute,
    append,
    on_branch,
    opened,
    place,
    places,
    points,
    rows_of,
    session_of,
    stored,
)
from tests.core.test_versions import KINDS, any_value, same
from tests.types.clouds import memory
from zarr_vectors import constants
from zarr_vectors.core.group import Group
from zarr_vectors.core.merge_documents import merge_documents
from zarr_vectors.core.store import (
    branch,
    commit,
    merge_branch,
    rebase,
    session_for,
    switch_branch,
)
from zarr_vectors.exceptions import ConcurrentEditError
from zarr_vectors.types.join import concatenate

pytest.importorskip("icechunk")

WIDE = ([0.0, 0.0], [99.0, 99.0])
PLAIN = zv.Layout(chunk_shape=10, shard_shape=None)
SHARDED = zv.Layout(chunk_shape=10, shard_shape=2)
layouts = pytest.mark.parametrize("layout", [PLAIN, SHARDED], ids=["cells", "shards"])
Change = Callable[[Group], None]


def fresh(layout: zv.Layout = PLAIN, value: Any = None, **options: Any) -> Group:
    value = points((1, 1), (2, 55), i=[1, 2]) if value is None else value
    return stored(memory(), value, layout, **{"bounds": WIDE, **options})


def parted(root: Group, ours: Change, theirs: Change) -> Group:
    """Commit one change on the branch ``other`` and the other one on main."""
    branch(root, "other")
    with on_branch(root, "other"):
        theirs(root)
    ours(root)
    commit(root, "ours")
    return root


def appends(value: Any, **options: Any) -> Change:
    return lambda root: append(root, value, **options)


def level_of(root: Group, **options: Any) -> Any:
    return zv.open(session_of(root), **options)[0]


@pytest.mark.parametrize("shard", [None, 2])
@pytest.mark.parametrize("kind", KINDS)
def test_appends_to_disjoint_places_are_united(kind: str, shard: int | None) -> None:
    """Both sides grow the grid, each in another direction."""
    base = any_value(kind, 20, 1, high=9)
    ours, theirs = any_value(kind, 20, 11, low=40, high=49), any_value(kind, 20, 21, low=-39, high=-30)
    root = stored(memory(), base, zv.Layout(chunk_shape=10, shard_shape=shard))
    parted(root, appends(ours, out_of_bounds="expand"), appends(theirs, out_of_bounds="expand"))
    merge_branch(root, "other", message="both")
    level = level_of(root)
    values = [base, ours, theirs]
    if kind == "point":
        plain = memory()
        zv.write(plain, base)
        for value in values[1:]:
            zv.write(plain, value, mode="append", out_of_bounds="expand")
        same(level.read(), zv.open(plain)[0].read())
    else:
        same(level.read(), concatenate(values))
    assert (level.vertex_count, level.object_count) == (60, sum(len(set(v.vertex_objects.tolist())) for v in values))
    for value in values:
        wanted = sorted(set(value.vertex_objects.tolist()))
        assert level.read(object_ids=wanted).vertex_count == value.vertex_count
    append(root, any_value(kind, 20, 31, low=-30, high=40), out_of_bounds="expand")
    assert level_of(root).vertex_count == 80
    assert session_of(root).repository.handle.lookup_snapshot(session_for(root).snapshot_id).message == "both"


@layouts
def test_new_attributes_of_both_sides_are_there(layout: zv.Layout) -> None:
    root = fresh(layout)
    parted(root, lambda r: add_attribute(r, "ours", 1.5), lambda r: add_attribute(r, "theirs", 7, "int32"))
    merge_branch(root, "other")
    read = level_of(root).read()
    assert read.attributes["ours"].tolist() == [1.5, 1.5]
    assert read.attributes["theirs"].tolist() == [7, 7]
    assert "0/vertex_attributes/theirs" not in root["0"].attrs[constants.ARRAYS_KEY]


@layouts
@pytest.mark.parametrize("attribute_is_ours", [True, False])
def test_a_new_attribute_and_new_rows_are_united(layout: zv.Layout, attribute_is_ours: bool) -> None:
    root = fresh(layout)
    changes: list[Change] = [lambda r: add_attribute(r, "b", 7.0), appends(points((95, 95), i=[3]))]
    parted(root, *changes if attribute_is_ours else changes[::-1])
    merge_branch(root, "other")
    read = level_of(root).read()
    order = np.argsort(read.attributes["i"])
    assert read.positions[order].tolist() == [[1, 1], [2, 55], [95, 95]]
    np.testing.assert_array_equal(read.attributes["b"][order], [7, 7, np.nan])


@places
def test_what_was_merged_is_durable(where: str, tmp_path: Path) -> None:
    target = place(where, tmp_path)
    root = stored(target, points((1, 1)), PLAIN, bounds=WIDE)
    parted(root, appends(points((15, 15))), appends(points((25, 25))))
    merged = merge_branch(root, "other")
    assert zv.open(target)[0].read().vertex_count == 3
    assert merge_branch(root, "other") == merged
    with on_branch(root, "other"):
        assert rows_of(root) == [[1, 1], [25, 25]]
        append(root, points((35, 35)))
    append(root, points((45, 45)))
    commit(root)
    merge_branch(root, "other")
    assert rows_of(root) == [[1, 1], [15, 15], [25, 25], [35, 35], [45, 45]]
    assert zv.open(target)[0].vertex_count == 5
    switch_branch(root, "other")
    assert merge_branch(root, "main") == session_of(root).repository.tip("main")


def test_branches_that_have_merged_each_other_are_told_apart_no_more() -> None:
    root = stored(memory(), points((1, 1)), PLAIN, bounds=WIDE)
    parted(root, appends(points((15, 15))), appends(points((25, 25))))
    branch(root, "main before")
    merge_branch(root, "other")
    with on_branch(root, "other"):
        merge_branch(root, "main before")
        append(root, points((35, 35)))
    append(root, points((45, 45)))
    commit(root)
    refused(root, "no single state")


def test_counts_are_added_even_if_both_sides_added_the_same_number() -> None:
    root = fresh()
    parted(root, appends(points((15, 15), i=[3])), appends(points((25, 25), i=[4])))
    merge_branch(root, "other")
    assert level_of(root).vertex_count == 4 == level_of(root).read().vertex_count


def test_object_tables_are_joined_by_id() -> None:
    attributes: dict[str, Any] = {"size": [1.5, 2.5], "name": ["a", "b"], "rank": [1, 2]}
    value = zv.Points(
        np.array([[1.0, 1.0], [2.0, 55.0]]),
        object_ids=[5, 3],
        object_attributes={name: dict(zip([3, 5], column[::-1], strict=True)) for name, column in attributes.items()},
        groups={0: [3], 1: [5]},
    )
    root = fresh(value=value)

    def grown(position: float, number: int, name: str, group: int) -> Change:
        return appends(
            zv.Points(
                np.array([[position, position]]),
                object_ids=[number],
                object_attributes={"size": {number: 9.0}, "name": {number: name}, "rank": {number: number}},
                groups={group: [number]},
            )
        )

    parted(root, grown(15, 4, "long name of ours", 0), grown(25, 9, "x", 1))
    merge_branch(root, "other")
    level = level_of(root)
    read = level.read()
    assert sorted(set(read.object_ids.tolist())) == [3, 4, 5, 9]
    table = level.objects
    found = {
        int(number): (size, name, int(rank))
        for number, size, name, rank in zip(
            table.ids,
            table.attributes["size"],
            np.asarray(table.attributes["name"]),
            table.attributes["rank"],
            strict=True,
        )
    }
    assert found == {
        3: (2.5, "b", 2),
        5: (1.5, "a", 1),
        4: (9.0, "long name of ours", 4),
        9: (9.0, "x", 9),
    }
    assert {g: sorted(level.read(group_ids=[g]).object_ids.tolist()) for g in (0, 1)} == {0: [3, 4], 1: [5, 9]}


def owned(position: float, number: int, **values: Any) -> zv.Points:
    return zv.Points(
        np.array([[position, position]]),
        object_ids=[number],
        object_attributes={name: {number: value} for name, value in values.items()},
    )


def test_the_first_objects_of_both_sides_are_joined() -> None:
    target = memory()
    zv.create(target, objects=True, layout=PLAIN, bounds=WIDE, backend="icechunk")
    root = opened(target)
    parted(root, appends(owned(25, 3)), appends(owned(15, 2)))
    merge_branch(root, "other")
    assert sorted(level_of(root).read().object_ids.tolist()) == [2, 3]


def test_objects_that_did_not_know_of_a_new_column_have_no_value_in_it() -> None:
    def add_rank(root: Group, dtype: str = "i4") -> None:
        level, name = root["0"], "object_attributes/rank"
        said = {"zv_array": "object_attribute", "name": "rank", "dtype": dtype, "shape": [1]}
        values = np.array([1], dtype=dtype)
        with level.batched_writes():
            level.write_array(name, values, attributes={**said, "every_row_present": True})
            level.write_array_meta("", {constants.ARRAYS_KEY: sorted({*level.attrs[constants.ARRAYS_KEY], name})})

    root = parted(fresh(value=owned(1, 1, size=2.5)), add_rank, appends(owned(15, 2, size=3.5)))
    merge_branch(root, "other")
    table = level_of(root).objects
    assert dict(zip(table.ids.tolist(), table.attributes["rank"].tolist(), strict=True)) == {1: 1, 2: None}
    root = fresh(value=owned(1, 1, size=2.5))
    refused(parted(root, lambda r: add_rank(r, "bool"), appends(owned(15, 2, size=3.5))), "mark them as absent")


def test_many_objects_are_joined_across_chunks_of_manifests() -> None:
    rows = 9000

    def many(position: float, first: int) -> zv.Points:
        return zv.Points(np.full((rows, 2), position), object_ids=np.arange(first, first + rows))

    root = parted(fresh(value=many(1, 0)), appends(many(25, 2 * rows)), appends(many(15, rows)))
    merge_branch(root, "other")
    level = level_of(root)
    assert level.object_count == 3 * rows == level.read().vertex_count
    assert level.read(object_ids=[rows, 3 * rows - 1]).positions.tolist() == [[15, 15], [25, 25]]


def test_the_same_new_group_is_a_conflict() -> None:
    def grouped(position: float, number: int, group: int) -> zv.Points:
        return zv.Points(np.array([[position, position]]), object_ids=[number], groups={group: [number]})

    root = parted(fresh(value=grouped(1, 1, 0)), appends(grouped(25, 3, 1)), appends(grouped(15, 2, 1)))
    refused(root, "changed on both sides")


def test_categories_that_one_side_added_are_kept_and_two_that_contradict_are_refused() -> None:
    def of(position: float, text: str) -> zv.Points:
        return zv.Points(np.array([[position, position]]), attributes={"kind": [text]})

    root = fresh(value=of(1, "a"))
    parted(root, appends(of(15, "b")), appends(of(25, "a")))
    merge_branch(root, "other")
    assert sorted(np.asarray(level_of(root).read().attributes["kind"]).tolist()) == ["a", "a", "b"]
    root = fresh(value=of(1, "a"))
    parted(root, appends(of(15, "b")), appends(of(25, "c")))
    refused(root, "categories")


def refused(root: Group, match: str) -> None:
    """A merge and a rebase that find a conflict leave both branches and the session as they were."""
    tips = [session_of(root).repository.tip(name) for name in ("main", "other")]
    before = {key: root.backend.get_bytes(key) for key in root.backend.list_prefix("", recursive=True)}
    with pytest.raises(ConcurrentEditError, match=match) as caught:
        merge_branch(root, "other")
    assert caught.value.hint
    switch_branch(root, "other")
    with pytest.raises(ConcurrentEditError, match=match):
        rebase(root, "main")
    switch_branch(root, "main")
    assert [session_of(root).repository.tip(name) for name in ("main", "other")] == tips
    assert not session_for(root).has_uncommitted_changes
    assert {key: root.backend.get_bytes(key) for key in root.backend.list_prefix("", recursive=True)} == before


@layouts
@pytest.mark.parametrize(
    ("ours", "theirs", "match"),
    [
        (points((15, 15), i=[3]), points((16, 16), i=[4]), "changed"),
        (points((1, 1), i=[3]), points((3, 3), i=[4]), "changed"),
    ],
    ids=["a new cell", "an old cell"],
)
def test_the_same_cell_is_a_conflict(layout: zv.Layout, ours: zv.Points, theirs: zv.Points, match: str) -> None:
    refused(parted(fresh(layout), appends(ours), appends(theirs)), match)


def test_two_cells_of_one_shard_are_a_conflict_and_of_two_shards_are_not() -> None:
    new = points((25, 25), i=[3])
    refused(parted(fresh(SHARDED), appends(new), appends(points((35, 35), i=[4]))), "shard")
    root = parted(fresh(SHARDED), appends(new), appends(points((45, 45), i=[4])))
    merge_branch(root, "other")
    assert level_of(root).read().vertex_count == 4


def test_the_same_new_id_is_a_conflict() -> None:
    root = fresh(value=points((1, 1), ids=[1]))
    parted(root, appends(points((15, 15), ids=[2])), appends(points((25, 25), ids=[2])))
    refused(root, "same id")


def test_an_object_extended_on_both_sides_is_a_conflict_and_on_one_is_not() -> None:
    root = fresh(value=points((1, 1), ids=[1]))
    more = points((15, 15), ids=[1])
    parted(root, appends(more, extend=True), appends(points((25, 25), ids=[1]), extend=True))
    refused(root, "both sides")
    root = fresh(value=points((1, 1), ids=[1]))
    parted(root, appends(more, extend=True), appends(points((25, 25), ids=[2])))
    merge_branch(root, "other")
    assert level_of(root).read(object_ids=[1]).vertex_count == 2


def test_rows_numbered_on_both_sides_are_a_conflict() -> None:
    layout = zv.Layout(chunk_shape=10, shard_shape=None, keep_order=True)
    refused(parted(fresh(layout), appends(points((15, 15), i=[3])), appends(points((25, 25), i=[4]))), "next_row_id")


@layouts
def test_values_for_rows_that_the_other_side_changed_are_a_conflict(layout: zv.Layout) -> None:
    refused(parted(fresh(layout), lambda r: add_attribute(r, "b", 7.0), appends(points((1, 1), i=[3]))), "other rows")


def test_the_same_new_attribute_is_a_conflict() -> None:
    refused(parted(fresh(), lambda r: add_attribute(r, "b", 1.0), lambda r: add_attribute(r, "b", 2.0)), "both sides")


def test_a_widened_attribute_and_new_cells_are_a_conflict() -> None:
    def of(position: float, *texts: str | None) -> zv.Points:
        return zv.Points(np.full((len(texts), 2), position), attributes={"kind": list(texts)})

    root = fresh(value=of(1, "a"))
    parted(root, appends(of(15, None)), appends(of(25, "a")))
    refused(root, "in different ways")


def test_links_to_rows_that_the_other_side_changed_are_a_conflict() -> None:
    def two(*corners: float) -> zv.Graph:
        positions = np.array([[x, x] for x in corners])
        return zv.Graph(positions, [[0, 1]], object_ids=np.full(2, int(corners[0])))

    root = fresh(value=two(1, 12))
    level = root["0"]

    def link(_: Group) -> None:
        segment = (
            next(key for key in level.storage.list_keys("0/links/0") if "+1.+1" in key).strip("/").split("0/", 1)[1]
        )
        data = level.read_bytes(segment, "0.0")
        level.write_bytes(segment, "0.0", data + data[-24:])

    parted(root, link, appends(two(13, 14)))
    refused(root, "links were made")


def test_values_for_links_that_the_other_side_changed_are_a_conflict() -> None:
    graph = zv.Graph(np.array([[1.0, 1.0], [2.0, 2.0]]), [[0, 1]], edge_attributes={"w": [1.0]}, object_ids=[1, 1])
    root = fresh(value=graph)
    level = root["0"]

    def more_links(_: Group) -> None:
        level.write_bytes("links/0/0.0", "0.0", level.read_bytes("links/0/0.0", "0.0") * 2)

    def other_value(_: Group) -> None:
        level.write_bytes("link_attributes/w/0/0.0", "0.0", np.full(1, 9.0).tobytes())

    refused(parted(root, more_links, other_value), "links of a chunk")


def test_another_chunk_shape_and_new_cells_are_a_conflict() -> None:
    def replace(root: Group) -> None:
        layout = zv.Layout(chunk_shape=20, shard_shape=None)
        zv.write(session_of(root), points((1, 1), i=[1]), mode="replace", layout=layout, bounds=WIDE)

    refused(parted(fresh(), replace, appends(points((95, 95), i=[3]))), "chunk_shape")
    root = parted(fresh(), replace, lambda r: r.attrs.update(title="new"))
    merge_branch(root, "other")
    assert (rows_of(root), root.attrs["title"]) == ([[1, 1]], "new")


def test_a_group_that_one_side_removed_and_the_other_filled_is_a_conflict() -> None:
    root = fresh()
    root.create_group("notes")
    commit(root)

    def fill(root: Group) -> None:
        root.create_group("notes/more")

    refused(parted(root, lambda r: r.delete_subtree("notes"), fill), "removed")
    refused_the_other_way = fresh()
    refused_the_other_way.create_group("notes")
    commit(refused_the_other_way)
    refused(parted(refused_the_other_way, fill, lambda r: r.delete_subtree("notes")), "removed")


def test_coarser_levels_of_rows_that_the_other_side_changed_are_a_conflict() -> None:
    def coarser(root: Group) -> None:
        root.create_group("1")

    refused(parted(fresh(), coarser, appends(points((15, 15), i=[3]))), "coarser")


def test_contracted_bounds_and_new_rows_are_a_conflict() -> None:
    def contract(root: Group) -> None:
        block = dict(root.attrs[constants.ROOT_KEY])
        root.attrs[constants.ROOT_KEY] = {**block, "bounds": [[0.0, 0.0], [60.0, 60.0]]}

    refused(parted(fresh(), contract, appends(points((95, 95), i=[3]))), "contracted")


def test_what_was_removed_on_one_side_and_changed_on_the_other_is_a_conflict() -> None:
    root = fresh()
    add_attribute(root, "b", 1.0)
    commit(root)
    array = "vertex_attributes/b"
    refused(
        parted(
            root,
            lambda r: r["0"].delete_subtree(array),
            lambda r: r["0"].write_bytes(array, "0.0", b"1" * 8),
        ),
        "removed",
    )
    root = fresh()
    root["0"].write_array("table", np.arange(3))
    commit(root)
    parted(root, lambda r: r["0"].delete_subtree("table"), lambda r: r.attrs.update(theirs=1))
    merge_branch(root, "other")
    assert "table" not in root["0"]
    assert root.attrs["theirs"] == 1


def test_plain_tables_and_attributes_may_change_on_one_side() -> None:
    root = fresh()
    root["0"].write_array("table", np.arange(3))
    root.attrs["title"] = "old"
    commit(root)

    def change(value: int, title: str) -> Change:
        def made(root: Group) -> None:
            root["0"].write_array("table", np.full(value, value))
            root.attrs["title"] = title

        return made

    parted(root, lambda r: r.attrs.update(other="ours"), change(5, "new"))
    merge_branch(root, "other")
    assert root["0"].read_array("table").tolist() == [5] * 5
    assert (root.attrs["title"], root.attrs["other"]) == ("new", "ours")
    parted_again = stored(memory(), points((1, 1)), PLAIN)
    parted(parted_again, change(3, "a"), change(4, "a"))
    refused(parted_again, "table")
    again = stored(memory(), points((1, 1)), PLAIN)
    parted(again, change(3, "a"), change(3, "b"))
    refused(again, "title")


BOX = {"chunk_shape": [10.0], "bounds": [[0.0], [50.0]]}


@pytest.mark.parametrize(
    ("base", "ours", "theirs", "merged"),
    [
        ({"a": 1}, {"a": 1, "b": 2}, {"a": 1, "c": 3}, {"a": 1, "b": 2, "c": 3}),
        ({"a": 1, "b": 2}, {"a": 1}, {"a": 1, "b": 2, "c": 3}, {"a": 1, "c": 3}),
        ({"a": {"x": 1, "y": 1}}, {"a": {"x": 2, "y": 1}}, {"a": {"x": 1, "y": 2}}, {"a": {"x": 2, "y": 2}}),
        ({"n": {"num_links": 4}}, {"n": {"num_links": 9}}, {"n": {"num_links": 9}}, {"n": {"num_links": 14}}),
        (None, {"num_links": 3}, {"num_links": 3}, {"num_links": 6}),
        (
            BOX,
            {**BOX, "bounds": [[-5.0], [50.0]]},
            {**BOX, "bounds": [[0.0], [70.0]]},
            {**BOX, "bounds": [[-5.0], [70.0]]},
        ),
        ({"fragments_tile": True}, {"fragments_tile": True, "a": 1}, {"b": 1}, {"a": 1, "b": 1}),
        (
            {"m": [{"datasets": [{"path": "0", "s": 1}]}]},
            {"m": [{"datasets": [{"path": "0", "s": 1}, {"path": "1", "s": 2}]}]},
            {"m": [{"datasets": [{"path": "0", "s": 3}]}]},
            {"m": [{"datasets": [{"path": "0", "s": 3}, {"path": "1", "s": 2}]}]},
        ),
        (
            {"geometry_types": ["graph"]},
            {"geometry_types": ["graph", "skeleton"]},
            {"geometry_types": ["graph", "a"]},
            {"geometry_types": ["graph", "skeleton", "a"]},
        ),
    ],
)
def test_documents_are_merged_by_what_they_mean(base: Any, ours: Any, theirs: Any, merged: Any) -> None:
    assert merge_documents(base, ours, theirs, path="a") == merged


@pytest.mark.parametrize(
    ("base", "ours", "theirs"),
    [
        ({"a": 1}, {"a": 2}, {"a": 3}),
        ({"a": 1}, {}, {"a": 2}),
        ({"a": [1]}, {"a": [1, 2]}, {"a": [1, 3]}),
        ({"next_row_id": 4}, {"next_row_id": 5}, {"next_row_id": 5}),
        (BOX, {**BOX, "bounds": [[5.0], [50.0]]}, {**BOX, "bounds": [[0.0], [70.0]]}),
    ],
)
def test_documents_that_contradict_each_other_are_refused(base: Any, ours: Any, theirs: Any) -> None:
    for one, other in ((ours, theirs), (theirs, ours)):
        with pytest.raises(ConcurrentEditError, match="both sides have changed"):
            merge_documents(base, one, other, path="a")


# A model: each branch is a set of cells that hold numbers, on top of what it was when it parted.

NAMES = ("main", "a", "b")
steps = st.lists(
    st.one_of(
        st.tuples(st.just("append"), st.sampled_from(NAMES), st.integers(-2, 4)),
        st.tuples(st.just("merge"), st.sampled_from(NAMES), st.sampled_from(NAMES)),
        st.tuples(st.just("rebase"), st.sampled_from(NAMES), st.sampled_from(NAMES)),
    ),
    min_size=1,
    max_size=8,
)


class Model:
    """Commits by number: what each cell holds, and the commits that it builds on; branches by the last of theirs."""

    def __init__(self, first: dict[int, tuple[int, ...]]) -> None:
        self.commits: list[tuple[dict[int, tuple[int, ...]], tuple[int, ...]]] = [(first, ())]
        self.at = dict.fromkeys(NAMES, 0)

    def state(self, name: str) -> dict[int, tuple[int, ...]]:
        return self.commits[self.at[name]][0]

    def commit(self, name: str, state: dict[int, tuple[int, ...]], *parents: int) -> None:
        self.commits.append((state, parents))
        self.at[name] = len(self.commits) - 1

    def past(self, number: int) -> set[int]:
        return {number}.union(*(self.past(parent) for parent in self.commits[number][1]))

    def parted(self, one: str, other: str) -> set[int]:
        both = self.past(self.at[one]) & self.past(self.at[other])
        return {n for n in both if not any(n in self.past(m) for m in both - {n})}

    def united(self, base: int, ours: str, theirs: str) -> dict[int, tuple[int, ...]] | None:
        """The merged state; None for a conflict."""
        was, mine, other = self.commits[base][0], self.state(ours), self.state(theirs)
        changed = [{cell for cell in side if side[cell] != was.get(cell)} for side in (mine, other)]
        return None if changed[0] & changed[1] else {**mine, **{cell: other[cell] for cell in changed[1]}}


@settings(max_examples=settings().max_examples // 4)
@given(steps=steps, shard=st.sampled_from([None, 1]))
def test_any_sequence_of_appends_and_merges_is_as_in_a_model(steps: list[tuple[Any, ...]], shard: int | None) -> None:
    layout = zv.Layout(chunk_shape=10, shard_shape=shard)
    root = stored(memory(), zv.Points([[5.0]], attributes={"n": [0]}), layout)
    model = Model({0: (0,)})
    branch(root, "a")
    branch(root, "b")
    for number, (what, one, other) in enumerate(steps, 1):
        switch_branch(root, one)
        if what == "append":
            value = zv.Points([[10.0 * other + number / 10]], attributes={"n": [number]})
            append(root, value, out_of_bounds="expand")
            commit(root)
            state = model.state(one)
            model.commit(one, {**state, other: (*state.get(other, ()), number)}, model.at[one])
        elif one != other:
            _joined(root, model, what, one, other)
        check(root, model.state(one))
    for name in NAMES:
        switch_branch(root, name)
        check(root, model.state(name))


def _joined(root: Group, model: Model, what: str, one: str, other: str) -> None:
    ours, theirs, bases = model.at[one], model.at[other], model.parted(one, other)
    parents: tuple[int, ...]
    if bases == {theirs}:
        state, parents = model.state(one), (ours,)
    elif bases == {ours}:
        state, parents = model.state(other), (theirs,)
    elif len(bases) > 1:
        state, parents = None, ()
    elif what == "merge":
        state, parents = model.united(min(bases), one, other), (ours, theirs)
    else:
        state, parents = model.united(min(bases), other, one), (theirs,)
    if state is None:
        with pytest.raises(ConcurrentEditError):
            merge_branch(root, other) if what == "merge" else rebase(root, other)
        return
    merge_branch(root, other) if what == "merge" else rebase(root, other)
    if bases in ({ours}, {theirs}):
        model.at[one] = theirs if bases == {ours} else ours
    else:
        model.commit(one, state, *parents)


def check(root: Group, state: dict[int, tuple[int, ...]]) -> None:
    level = level_of(root)
    read = level.read()
    found: dict[int, list[int]] = {}
    for x, n in zip(read.positions[:, 0].tolist(), read.attributes["n"].tolist(), strict=True):
        found.setdefault(int(x // 10), []).append(n)
    assert {cell: tuple(sorted(numbers)) for cell, numbers in found.items()} == {
        cell: tuple(sorted(numbers)) for cell, numbers in state.items()
    }
    assert level.vertex_count == sum(map(len, state.values()))
