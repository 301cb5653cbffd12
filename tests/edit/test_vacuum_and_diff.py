"""Freeing what nothing names, and telling what two stores hold differently."""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import replace
from itertools import pairwise
from pathlib import Path
from typing import Any

import google_crc32c
import numpy as np
import pytest

import zarr_vectors as zv
from tests.cli.running import Result
from zarr_vectors.core.store import open_store

LAYOUT = zv.Layout(chunk_shape=50, shard_shape=None, compressor="none", keep_order=True)


def cloud(seed: int = 0) -> zv.Points:
    rng = np.random.default_rng(seed)
    return zv.Points(
        rng.uniform(0, 100, (60, 2)),
        {"weight": rng.uniform(size=60), "kind": [["a", "b", None][n % 3] for n in range(60)]},
        np.arange(60) % 4,
        object_attributes={"size": np.arange(4.0)},
    )


def test_dead_rows_and_files_go(tmp_path: Path) -> None:
    """Rows that no fragment names, as 0.9.2 leaves them, and a file of a chunk that is not listed."""
    place = tmp_path / "store"
    zv.write(place, cloud(), layout=LAYOUT, bounds=([0, 0], [100, 100]))
    store = zv.open(place, "r+")
    before = store[0].read()
    attrs = open_store(place, mode="r+")["0"].attrs
    said = dict(attrs["zarr_vectors_level"])
    del said["fragments_tile"]
    attrs["zarr_vectors_level"] = said
    level = zv.open(place)[0].state
    first = level.vertices.present[:1]
    rows = int(store[0].read_chunks(first, attributes=[]).vertex_count)
    for array in level.cells.values():
        if array.path.split("/")[1] in ("vertices", "vertex_attributes"):
            path = place / array.path / "c" / "/".join(map(str, (first - np.asarray(array.grid.origin))[0].tolist()))
            add_rows(path, rows, 50)
    (place / "0" / "vertices" / "c" / "7").mkdir()
    (place / "0" / "vertices" / "c" / "7" / "7").write_bytes(b"x" * 5000)
    assert zv.open(place)[0].read() == before
    done = zv.open(place, "r+").vacuum()
    assert (done.rows_dropped, done.objects_dropped) == (50, 1)
    assert done.bytes_freed is not None
    assert done.bytes_freed > 5000 + 50 * 16
    assert done.bytes_after == sum(p.stat().st_size for p in (place / "0").rglob("*") if p.is_file())
    after = zv.open(place)[0].read()
    assert after == before
    assert zv.validate(place).ok
    again = zv.open(place, "r+").vacuum()
    assert (again.rows_dropped, again.objects_dropped) == (0, 0)


def add_rows(path: Path, rows: int, more: int) -> None:
    """Repeat the first row of a stored cell at its end: one item, framed, and a checksum over it."""
    framed = path.read_bytes()[:-4]
    payload = framed[8:]
    longer = payload + payload[: len(payload) // rows] * more
    data = framed[:4] + len(longer).to_bytes(4, "little") + longer
    path.write_bytes(data + google_crc32c.value(data).to_bytes(4, "little"))


def test_vacuum_leaves_coarser_levels_as_they_are(tmp_path: Path) -> None:
    zv.write(tmp_path / "store", cloud(), layout=LAYOUT)
    store = zv.open(tmp_path / "store", "r+")
    store.build_pyramid([(2, 1)])
    store.vacuum()
    assert not store[1].is_stale
    with pytest.raises(zv.exceptions.ReadOnlyError):
        zv.open(tmp_path / "store").vacuum()


def test_diff_of_objects() -> None:
    value = cloud()
    zv.write("memory://diff-a", value, layout=LAYOUT, bounds=([0, 0], [100, 100]))
    zv.write("memory://diff-b", value, layout=zv.Layout(chunk_shape=20, keep_order=True), bounds=([0, 0], [100, 100]))
    assert zv.diff("memory://diff-a", "memory://diff-b").is_empty
    with zv.open("memory://diff-b", "r+").edit(fill={"size": 0.0}) as e:
        e.remove(object_ids=[0])
        e.update([(1, 2)], positions=[[3.0, 4.0]])
        e.set_attribute("kind", "c", object_ids=[2])
        e.add([[1.0, 1.0]], object_ids=[9])
    found = zv.diff("memory://diff-a", "memory://diff-b")
    told = found.to_json()
    assert told["by"] == "object"
    assert (told["added"], told["removed"], told["moved"], told["changed"]) == ([9], [0], [1], [2])
    assert told["attributes"] == ["vertices/kind"]
    back = zv.diff("memory://diff-b", "memory://diff-a").to_json()
    assert (back["added"], back["removed"]) == ([0], [9])
    with zv.open("memory://diff-b", "r+").edit() as e:
        e.set_object_attribute("size", {3: 77.0})
        e.drop_attribute("weight")
    told = zv.diff("memory://diff-a", "memory://diff-b").to_json()
    assert (told["changed"], told["attributes"]) == ([2, 3], ["objects/size", "vertices/kind", "vertices/weight"])


@pytest.mark.parametrize("keep_order", [True, False])
def test_diff_of_points_without_objects(keep_order: bool) -> None:
    value = replace(cloud(), object_ids=None, objects=None, object_attributes={})
    layout = zv.Layout(chunk_shape=30, keep_order=keep_order)
    for name in "ab":
        zv.write(f"memory://diff-p{name}-{keep_order}", value, layout=layout, bounds=([0, 0], [100, 100]))
    a, b = (f"memory://diff-p{name}-{keep_order}" for name in "ab")
    assert zv.diff(a, b).is_empty
    with zv.open(b, "r+").edit() as e:
        e.remove(bbox=(value.positions[7], value.positions[7]))
        e.set_attribute("weight", -1.0, bbox=(value.positions[5], value.positions[5]))
    found = zv.diff(a, b)
    assert (len(found.added), len(found.removed), len(found.changed)) == (0, 1, 1)
    assert found.attributes == ("vertices/weight",)
    if keep_order:
        assert (found.removed.tolist(), found.changed.tolist()) == ([7], [5])


def test_diff_of_edges_and_lines() -> None:
    graph = zv.Graph(np.array([[0.0, 0], [1, 0], [2, 0], [9, 9]]), [[0, 1], [1, 2]], edge_attributes={"w": [1, 2]})
    graph = replace(graph, object_ids=np.array([0, 0, 0, 5]))
    for name in "ab":
        zv.write(f"memory://diff-g{name}", graph)
    with zv.open("memory://diff-gb", "r+").edit() as e:
        e.remove_links([[(0, 0), (0, 1)]])
    found = zv.diff("memory://diff-ga", "memory://diff-gb")
    assert (found.moved.tolist(), found.changed.tolist()) == ([], [0])
    line = zv.Polylines([[[0.0, 0.0], [1.0, 0.0]], [[5.0, 5.0], [6.0, 6.0]]], ids=[3, 4])
    zv.write("memory://diff-la", line)
    zv.write("memory://diff-lb", replace(line, positions=line.positions[[1, 0, 2, 3]]))
    assert zv.diff("memory://diff-la", "memory://diff-lb").moved.tolist() == [3]
    with pytest.raises(zv.exceptions.ConventionError, match="different kinds"):
        zv.diff("memory://diff-la", "memory://diff-ga")


def test_diff_of_two_snapshots(tmp_path: Path) -> None:
    """Of one repository: what has come, gone, moved and changed, by snapshot, in both directions."""
    pytest.importorskip("icechunk")
    place = tmp_path / "repository"
    zv.write(place, cloud(), layout=LAYOUT, bounds=([0, 0], [100, 100]), backend="icechunk")
    told = []
    edits: list[Callable[[zv.Edit], object]] = [
        lambda e: e.add([[1.0, 1.0], [2.0, 2.0]], object_ids=[9, 9]),
        lambda e: e.remove(object_ids=[3]),
        lambda e: e.update([(1, 2)], positions=[[3.0, 4.0]]),
        lambda e: e.set_attribute("kind", "c", object_ids=[2]),
        lambda e: e.set_object_attribute("size", {0: 77.0}),
        lambda e: e.drop_attribute("weight"),
    ]
    snapshots = [storage_of(place).snapshot_id]
    for one in edits:
        with zv.open(place, "r+").edit(fill={"size": 0.0, "weight": 0.0, "kind": "a"}) as e:
            one(e)
        snapshots.append(storage_of(place).snapshot_id)
    stores = [zv.open(place, storage_options={"snapshot_id": one}) for one in snapshots]
    for before, after in pairwise(stores):
        assert zv.diff(before, before).is_empty
        found = zv.diff(before, after).to_json()
        told.append([found[name] for name in ("added", "removed", "moved", "changed", "attributes")])
        back = zv.diff(after, before).to_json()
        assert (back["added"], back["removed"]) == (found["removed"], found["added"])
        assert [back[name] for name in ("moved", "changed", "attributes")] == told[-1][2:]
    assert told == [
        [[9], [], [], [], []],
        [[], [3], [], [], []],
        [[], [], [1], [], []],
        [[], [], [], [2], ["vertices/kind"]],
        [[], [], [], [0], ["objects/size"]],
        [[], [], [], [], ["vertices/weight"]],
    ]
    whole = zv.diff(stores[0], place).to_json()
    assert [whole[name] for name in ("added", "removed", "moved", "changed")] == [[9], [3], [1], [0, 2]]
    assert whole["attributes"] == ["objects/size", "vertices/kind", "vertices/weight"]


def storage_of(place: Path) -> Any:
    return zv.open(place).storage.backend


def test_the_commands(tmp_path: Path) -> None:
    for name in "ab":
        zv.write(tmp_path / name, cloud(), layout=LAYOUT)
    a, b = tmp_path / "a", tmp_path / "b"
    assert Result(["diff", a, b]).code == 0
    with zv.open(b, "r+").edit() as e:
        e.remove(object_ids=[3])
    done = Result(["diff", a, b])
    assert (done.code, done.out.strip()) == (1, "objects: 0 added, 1 removed, 0 moved, 0 changed")
    assert json.loads(Result(["diff", a, b, "--json"]).out)["removed"] == [3]
    (b / "0" / "vertices" / "c" / "9").write_bytes(b"x" * 100)
    told = json.loads(Result(["vacuum", b, "--json"]).out)
    assert (told["objects_dropped"], told["bytes_freed"]) == (1, 100)
    assert Result(["vacuum", b]).out.startswith("0 rows and 0 files dropped, 0 of ")
