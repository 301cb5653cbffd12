"""Bounds that grow and shrink: grids in every direction, and stores that are whole afterwards."""

from __future__ import annotations

from collections import Counter
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from zarr.storage import MemoryStore

import zarr_vectors as zv
from tests.query.connected import KINDS, LAYOUTS, induced, link_values, numbers, owners_of, parts_of, row_values, values
from tests.types.clouds import assert_same_cloud, inside, rows_of, uniform
from zarr_vectors.core.listing import level_numbers
from zarr_vectors.core.state import open_level, open_root
from zarr_vectors.core.store import add_resolution_level, open_store, read_root_metadata, set_bounds
from zarr_vectors.exceptions import ChunkingError, ConventionError, InputError, MetadataError, ReadOnlyError, StoreError
from zarr_vectors.geometry import Lines, Polylines
from zarr_vectors.storage.storage import Storage
from zarr_vectors.storage.urls import open_backend
from zarr_vectors.types.append_links import link_arrays

SOME = settings(max_examples=settings().max_examples // 12)
LAYOUT = zv.Layout(chunk_shape=2.5, shard_shape=2)


def files_of(store: MemoryStore) -> dict[str, bytes]:
    return {key: value.to_bytes() for key, value in store._store_dict.items()}


def box_of(data: st.DataObject, ndim: int) -> tuple[list[float], list[float]]:
    """A box on the half lattice on which values lie, often cutting through them."""
    low = data.draw(st.lists(st.integers(-13, 4), min_size=ndim, max_size=ndim))
    sides = data.draw(st.lists(st.integers(0, 20), min_size=ndim, max_size=ndim))
    return [v / 2 for v in low], [(v + side) / 2 for v, side in zip(low, sides, strict=True)]


@pytest.mark.parametrize("kind", KINDS)
@SOME
@given(st.data(), LAYOUTS)
def test_what_is_left_after_shrinking(kind: str, data: st.DataObject, layout: zv.Layout) -> None:
    """Compared with what plain Python says is inside; nothing that is left changes."""
    value = data.draw(values(kind))
    store = MemoryStore()
    zv.write(store, value, layout=layout)
    before = zv.open(store)[0]
    ids = before.objects.ids.tolist() if before.has_objects else []
    low, high = box_of(data, value.ndim)
    set_bounds(open_store(store, mode="r+"), (low, high), force=True)
    level = zv.open(store)[0]
    got = level.read()
    assert [list(corner) for corner in read_root_metadata(open_store(store)).bounds] == [low, high]
    mask = inside(value.positions, low, high)
    if isinstance(value, Lines):
        mask = np.repeat(mask.reshape(-1, 2).all(axis=1), 2)
    want = induced(value, mask)
    assert level.vertex_count == got.vertex_count == want.vertex_count
    assert got.positions.dtype == before.position_dtype
    if isinstance(value, Polylines):
        first: dict[int, list[int]] = {}
        for one, rows in parts_of(want):
            first.setdefault(one, rows)
        left = parts_of(got)
        assert sorted(rows for _, rows in left if rows) == sorted(rows for _, rows in parts_of(want))
        assert all(first.get(one, rows) == rows for one, rows in left)
        assert len({one for one, _ in left}) == len(left)
        assert {one for one, rows in left if one not in ids}.isdisjoint(ids)
        assert Counter(row[:-1] for row in row_values(got)) == Counter(row[:-1] for row in row_values(want))
    else:
        assert Counter(row_values(got)) == Counter(row_values(want))
        assert Counter(link_values(got)) == Counter(link_values(want))
        if kind != "skeleton":
            assert level.link_count == len(want.links)
    assert set(ids) <= set(level.objects.ids.tolist())
    if layout.keep_order:
        assert got.row_ids.tolist() == numbers(got)


@SOME
@given(st.data(), st.booleans())
def test_points_that_are_left(data: st.DataObject, owned: bool) -> None:
    rows = data.draw(st.integers(0, 40))
    flat = data.draw(st.lists(st.integers(-10, 10), min_size=2 * rows, max_size=2 * rows))
    points = zv.Points(
        np.array(flat, "f4").reshape(rows, 2) / 2,
        attributes={
            "row": np.arange(rows),
            "word": np.array([["a", None, "c"][row % 3] for row in range(rows)], dtype=object),
        },
        object_ids=np.arange(rows) % 3 if owned else None,
    )
    store = MemoryStore()
    bins = None if owned else 1.25
    zv.write(store, points, layout=zv.Layout(chunk_shape=2.5, bin_shape=bins, keep_order=True))
    low, high = box_of(data, 2)
    set_bounds(open_store(store, mode="r+"), (low, high), force=True)
    level = zv.open(store)[0]
    got = level.read()
    want = points.take(inside(points.positions, low, high))
    assert rows_of(got) == rows_of(want)
    assert got.row_ids is not None
    assert got.row_ids.tolist() == np.asarray(got.attributes["row"]).tolist()
    assert level.vertex_count == want.vertex_count
    more = zv.Points(np.array([low], "f4"), attributes={"row": [99], "word": ["z"]}, object_ids=[1] if owned else None)
    if inside(more.positions, low, high).all():
        zv.write(store, more, mode="append", extend=True)
        again = zv.open(store)[0].read()
        assert again.row_ids is not None
        assert max(again.row_ids) == rows


def test_tables_of_objects_stay_and_parts_join_them() -> None:
    lines = zv.Polylines(
        [
            np.array([[0.0, 0], [1, 0], [9, 0], [2, 0], [9, 0], [3, 0]]),
            np.array([[9.0, 9], [8, 9]]),
            np.array([[1.0, 1], [2, 2]]),
        ],
        ids=[5, 7, 6],
        objects=[5, 6, 7],
        object_attributes={"name": ["five", "six", "seven"], "n": [5, 6, 7]},
        groups={0: [5, 7], 2: [6]},
        group_attributes={"g": ["a", "b", "c"]},
    )
    store = MemoryStore()
    zv.write(store, lines, layout=zv.Layout(chunk_shape=2))
    open_store(store, mode="r+")["0"].write_array_meta("groups", {"group_names": {"0": "near", "2": "far"}})
    set_bounds(open_store(store, mode="r+"), ([0, 0], [4, 4]), force=True)
    assert open_store(store)["0"].read_array_meta("groups")["group_names"] == {"0": "near", "2": "far"}
    level = zv.open(store)[0]
    table = level.objects
    order = np.argsort(table.ids)
    assert table.ids[order].tolist() == [5, 6, 7, 8, 9]
    assert np.asarray(table.attributes["name"])[order].tolist() == ["five", "six", "seven", "five", "five"]
    assert {group: sorted(members.tolist()) for group, members in table.groups.items()} == {
        0: [5, 7, 8, 9],
        1: [],
        2: [6],
    }
    assert np.asarray(table.group_attributes["g"]).tolist() == ["a", "b", "c"]
    parts = {one: level.read(object_ids=[one]).positions.tolist() for one in (5, 6, 8, 9)}
    assert parts == {5: [[0, 0], [1, 0]], 6: [[1, 1], [2, 2]], 8: [[2, 0]], 9: [[3, 0]]}
    assert level.read(object_ids=[7]).vertex_count == 0
    header = open_store(store)["0/object_index"].attrs
    assert (header["num_objects"], header["num_present"]) == (5, 4)


@pytest.mark.parametrize("shard", [None, 2, 3])
@pytest.mark.parametrize("seed", range(4))
def test_growing_moves_no_row_and_takes_new_ones(shard: int | None, seed: int) -> None:
    points = uniform(150, seed, low=-7, high=12, ndim=2, attributes={"n": np.arange(150)})
    store = MemoryStore()
    zv.write(store, points, layout=zv.Layout(chunk_shape=3, shard_shape=shard, keep_order=True))
    before = zv.open(store)[0].read()
    rng = np.random.default_rng(seed)
    low = (-7 - rng.integers(0, 25, 2)).tolist()
    high = (12 + rng.integers(0, 25, 2)).tolist()
    set_bounds(open_store(store, mode="r+"), (low, high))
    root = open_store(store, mode="r+")
    assert_same_cloud(zv.open(store)[0].read(), before)
    for name in ("vertices", "vertex_fragments", "vertex_attributes/n", "vertex_attributes/row_id"):
        array = root.session.array(f"0/{name}")
        corners = np.floor(np.array([low, high]) / 3).astype(np.int64)
        assert array.grid.contains(corners).all()
    root["0"].write_bytes("vertices", tuple(np.floor(np.array(low) / 3).astype(int).tolist()), b"")
    root["0"].write_bytes("vertex_fragments", tuple(np.floor(np.array(low) / 3).astype(int).tolist()), b"")
    zv.write(store, uniform(30, 5, low=low, high=high, ndim=2, attributes={"n": np.arange(30)}), mode="append")


@pytest.mark.parametrize("kind", KINDS)
@SOME
@given(st.data(), LAYOUTS)
def test_growing_keeps_what_is_connected(kind: str, data: st.DataObject, layout: zv.Layout) -> None:
    value = data.draw(values(kind))
    store = MemoryStore()
    zv.write(store, value, layout=layout)
    grow = data.draw(st.lists(st.integers(0, 9), min_size=2 * value.ndim, max_size=2 * value.ndim))
    low, high = zv.open(store).bounds
    new = ([v - n for v, n in zip(low, grow, strict=False)], [v + n for v, n in zip(high, grow[::-1], strict=False)])
    before = zv.open(store)[0].read()
    set_bounds(open_store(store, mode="r+"), new)
    got = zv.open(store)[0].read()
    assert Counter(row_values(got)) == Counter(row_values(before))
    if isinstance(value, Polylines):
        assert parts_of(got) == parts_of(before)
    else:
        assert Counter(link_values(got)) == Counter(link_values(before))
    assert owners_of(got) == owners_of(before)
    state = zv.open(store)[0].state
    corners = np.floor(np.array(new, dtype=float) / np.array(state.chunk_shape)).astype(np.int64)
    assert all(array.grid.contains(corners).all() for array in [*state.cells.values(), *link_arrays(state).values()])


def test_every_level_grows() -> None:
    store = MemoryStore()
    root = zv.create_store(store, bounds=([0, 0], [8, 8]), chunk_shape=(4, 4))
    add_resolution_level(root, 1, 2)
    set_bounds(root, ([-20, 0], [8, 30]))
    storage = Storage(open_backend(store))
    state, _ = open_root(storage)
    for number in level_numbers(storage, state.attributes):
        level = open_level(storage, state, number)
        corners = np.floor(np.array([[-20, 0], [8, 30]]) / np.array(level.chunk_shape)).astype(np.int64)
        assert all(array.grid.contains(corners).all() for array in level.cells.values())


def test_nothing_of_the_old_rows_is_left_on_disk(tmp_path: Path) -> None:
    """A local store is listed when it is opened: a segment that is left over would be taken for links."""
    positions = np.array([[1.0, 1], [2, 2], [7, 7], [8, 1]])
    graph = zv.Graph(positions, [[0, 1], [1, 2], [2, 3]], edge_attributes={"w": [1.5, 2.5, 3.5]})
    zv.write(tmp_path / "s", graph, layout=zv.Layout(chunk_shape=5, shard_shape=None))
    set_bounds(open_store(tmp_path / "s", mode="r+"), ([0, 0], [5, 5]), force=True)
    got = zv.open(tmp_path / "s")[0].read()
    assert got.positions[got.edges].tolist() == [[[1, 1], [2, 2]]]
    assert got.edge_attributes["w"].tolist() == [1.5]
    chunks = {
        path.relative_to(tmp_path / "s/0").as_posix() for path in (tmp_path / "s/0").rglob("c/*/*") if path.is_file()
    }
    assert chunks == {
        f"{name}/c/0/0"
        for name in (
            *("vertices", "vertex_fragments", "link_fragments", "fragment_attributes/object_id"),
            *("links/0/0.0", "link_attributes/w/0/0.0", "cell_index/cells", "cell_index/stamps"),
        )
    }
    segments = [
        path.name for family in ("links/0", "link_attributes/w/0") for path in (tmp_path / "s/0" / family).iterdir()
    ]
    assert sorted(segments) == ["0.0", "0.0", "zarr.json", "zarr.json"]


def test_shrinking_without_rows_outside_changes_the_bounds_alone() -> None:
    store = MemoryStore()
    zv.write(store, zv.Points([[1.0, 1.0]]), bounds=([0, 0], [9, 9]), layout=LAYOUT)
    before = files_of(store)
    set_bounds(open_store(store, mode="r+"), ([0, 0], [1, 1]), force=True)
    after = files_of(store)
    assert {key for key in before if before[key] != after[key]} == {"zarr.json"}
    assert zv.open(store).bounds == ([0, 0], [1, 1])


def test_what_the_store_says_beside_its_rows_stays() -> None:
    store = MemoryStore()
    cloud = zv.Points([[1.0, 1.0], [5.0, 5.0]], attributes={"w": [1, 2]}, axes=[zv.Axis("y", "micrometer"), "x"])
    zv.write(store, cloud, crs="EPSG:1", headers={"las": {"a": 1}}, layout=LAYOUT)
    root = open_store(store, mode="r+")
    root.attrs["user_metadata"] = {"mine": 1}
    root["0"].attrs["mine"] = 2
    root["0"].write_array_meta("vertex_attributes/w", {"unit": "m", "mine": 3, "description": "weight"})
    root["0"].write_array("extra/table", [1, 2, 3])
    root.create_group("parametric", parametric_types={})
    set_bounds(root, ([0, 0], [2, 2]), force=True)
    root = open_store(store)
    assert root.attrs["user_metadata"] == {"mine": 1}
    assert root["0"].attrs["mine"] == 2
    said = root["0"].read_array_attrs("vertex_attributes/w")
    assert (said["unit"], said["mine"], said["description"]) == ("m", 3, "weight")
    assert root["0"].read_array("extra/table").tolist() == [1, 2, 3]
    assert "parametric" in root
    back = zv.open(store)
    assert (back.crs, back.headers, back.axes[0].unit) == ("EPSG:1", {"las": {"a": 1}}, "micrometer")
    assert back[0].shard_shape == (2, 2)


@pytest.mark.parametrize(
    ("bounds", "error", "what"),
    [
        (([0, 0], [1, 1]), StoreError, "force=True"),
        (([-1, 0], [20, 1]), StoreError, "force=True"),
        (([2, 0], [1, 1]), MetadataError, "inverted"),
        (([0, 0, 0], [1, 1, 1]), MetadataError, "rank"),
        (([0, float("nan")], [1, 1]), MetadataError, "finite"),
        (None, MetadataError, "bounds"),
        (([0, 0], ["a", 1]), MetadataError, "numbers"),
        (([-1e9, -1e9], [1e9, 1e9]), ChunkingError, "too many chunks"),
    ],
    ids=["smaller", "smaller-on-one-side", "inverted", "rank", "nan", "none", "text", "far"],
)
def test_bounds_that_are_refused_change_nothing(bounds: Any, error: type[Exception], what: str) -> None:
    store = MemoryStore()
    zv.write(store, uniform(50, ndim=2), layout=LAYOUT)
    before = files_of(store)
    with pytest.raises(error, match=what):
        set_bounds(open_store(store, mode="r+"), bounds)
    assert files_of(store) == before


def test_where_bounds_are_not_changed() -> None:
    store = MemoryStore()
    zv.write(store, uniform(50, ndim=2), layout=LAYOUT)
    with pytest.raises(ReadOnlyError):
        set_bounds(open_store(store), ([-1, -1], [20, 20]))
    root = open_store(store, mode="r+")
    with pytest.raises(InputError, match="root"):
        set_bounds(root["0"], ([-1, -1], [20, 20]))
    with root.batched_writes(), pytest.raises(StoreError, match="batch"):
        set_bounds(root, ([-1, -1], [20, 20]))


def coarse_vertex(store: MemoryStore, row: tuple[float, float]) -> Any:
    """A store whose level 1 has a vertex of its own."""
    root = zv.create_store(store, bounds=([0, 0], [8, 8]), chunk_shape=(4, 4))
    level = add_resolution_level(root, 1, 1)
    key = ".".join(str(int(v // 4)) for v in row)
    level.write_bytes("vertices", key, np.array([row], "f4").tobytes())
    level.write_bytes("vertex_fragments", key, open_fragments())
    return root


def test_coarser_levels_are_cut_alone_where_level_0_is_empty() -> None:
    store = MemoryStore()
    root = coarse_vertex(store, (7.0, 7.0))
    set_bounds(root, ([0, 0], [4, 4]), force=True)
    assert zv.open(store)[1].vertex_count == len(zv.open(store)[1].read().positions) == 0
    assert zv.open(store).bounds == ([0, 0], [4, 4])


def test_a_coarser_level_may_not_be_left_with_more_vertices() -> None:
    """The mean of two vertices outside lies inside."""
    store = MemoryStore()
    root = coarse_vertex(store, (4.5, 4.5))
    for key, row in (("0.0", [1.0, 1.0]), ("1.1", [7.9, 7.9])):
        root["0"].write_bytes("vertices", key, np.array([row], "f4").tobytes())
        root["0"].write_bytes("vertex_fragments", key, open_fragments())
    before = files_of(store)
    with pytest.raises(ConventionError, match=r"level 1 would .* than level 0.*remove_resolution_level"):
        set_bounds(root, ([4, 4], [5, 5]), force=True)
    assert files_of(store) == before
    set_bounds(root, ([0, 0], [5, 5]), force=True)
    assert [zv.open(store)[level].read().positions.tolist() for level in (0, 1)] == [[[1, 1]], [[4.5, 4.5]]]


def open_fragments() -> bytes:
    """The fragment index of one vertex."""
    return bytes.fromhex(
        "4746565a01000000" + "0100000001000000" + "0100000000000000" + "00" * 8 + "01" + "00" * 7 + "00" * 4
    )
