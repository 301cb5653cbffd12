"""Appending keeps every row and adds the new ones, whatever the store is like; and what it refuses."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

import zarr_vectors as zv
from tests.types.clouds import (
    assert_same_cloud,
    cloud,
    column_values,
    files_of,
    in_input_order,
    joined,
    memory,
    read,
    rows_of,
    same_rows,
    uniform,
)
from zarr_vectors.exceptions import InputError

LAYOUTS = {
    "unsharded": zv.Layout(chunk_shape=4, shard_shape=None),
    "sharded": zv.Layout(chunk_shape=4, shard_shape=2),
    "one shard": zv.Layout(chunk_shape=4, shard_shape=8, compressor="none"),
    "binned": zv.Layout(chunk_shape=4, bin_shape=2, shard_shape=2),
    "ordered": zv.Layout(chunk_shape=4, shard_shape=2, keep_order=True),
    "gzip": zv.Layout(chunk_shape=8, shard_shape=2, compressor=[{"name": "gzip", "configuration": {"level": 1}}]),
}


def part(seed: int, *, owned: bool, rows: int = 80) -> zv.Points:
    """A cloud with attributes of many kinds; objects of their own for each seed."""
    rng = np.random.default_rng(seed)
    attributes = {
        "v": rng.integers(0, 1000, rows),
        "rgb": rng.integers(0, 255, (rows, 3)).astype("u1"),
        "t": np.array(["a", "b", None], dtype=object)[rng.integers(0, 3, rows)],
        "when": rng.integers(0, 9999, rows).astype("M8[s]"),
    }
    return uniform(
        rows, seed, attributes=attributes, object_ids=rng.integers(0, 4, rows) + 10 * seed if owned else None
    )


@pytest.mark.parametrize("owned", [False, True], ids=["plain", "objects"])
@pytest.mark.parametrize("layout", LAYOUTS)
@pytest.mark.parametrize("local", [True, False], ids=["local", "memory"])
def test_append_adds_exactly_the_new_rows(tmp_path: Path, layout: str, owned: bool, local: bool) -> None:
    place = tmp_path / "store" if local else memory()
    parts = [part(seed, owned=owned) for seed in range(3)]
    zv.write(place, parts[0], layout=LAYOUTS[layout], bounds=([0] * 3, [10] * 3))
    for number, more in enumerate(parts[1:], start=2):
        report = zv.write(place, more, mode="append")
        expected = joined(parts[:number])
        assert report.mode == "append"
        assert report.vertex_count == 80
        assert report.total_vertices == zv.open(place)[0].vertex_count == 80 * number
        got = read(place)
        assert same_rows(got, expected)
        assert zv.open(place)[0].count(([0] * 3, [5] * 3)) == (expected.positions <= 5).all(axis=1).sum()
    if owned:
        for one in np.unique(np.asarray(joined(parts).object_ids)):
            mine = joined(parts).take(joined(parts).object_ids == one)
            assert same_rows(read(place, object_ids=[one]), mine)
    if layout == "ordered":
        assert_same_cloud(in_input_order(read(place)), joined(parts))


def test_existing_rows_keep_their_place_before_new_ones_of_the_same_object() -> None:
    place = memory()
    zv.write(place, cloud([[1.0], [2.0]], object_ids=[5, 5]))
    report = zv.write(place, cloud([[1.5]], object_ids=[5]), mode="append", extend=True)
    assert report.extended_objects == 1
    assert report.object_count == 0
    assert read(place, object_ids=[5]).positions.ravel().tolist() == [1.0, 2.0, 1.5]


def test_untouched_stored_objects_keep_their_bytes(tmp_path: Path) -> None:
    place = tmp_path / "store"
    zv.write(place, part(0, owned=True), layout=LAYOUTS["unsharded"], bounds=([0] * 3, [10] * 3))
    before = files_of(place)
    zv.write(place, cloud([[1.0, 1, 1]], part(0, owned=True).take(slice(0, 1)).attributes, [77]), mode="append")
    after = files_of(place)
    changed = {path for path in before if after[path] != before[path]}
    assert {path for path in changed if "/c/" in path and "vertices/" in path} <= {"0/vertices/c/0/0/0"}
    assert set(before) <= set(after)


@pytest.mark.parametrize("ids", [[0, 1, 5], [-7, -3], [2**40], [-(2**63)]])
def test_rows_without_ids_become_one_new_object(ids: list[int]) -> None:
    place = memory()
    zv.write(place, cloud(np.zeros((len(ids), 2)), object_ids=ids))
    report = zv.write(place, cloud(np.zeros((4, 2))), mode="append")
    new = max([*ids, -1]) + 1
    assert report.assigned_ids == (new, new)
    assert report.object_count == 1
    assert read(place, object_ids=[new]).vertex_count == 4


def test_there_is_no_id_above_the_largest() -> None:
    place = memory()
    zv.write(place, cloud([[0.0]], object_ids=[2**63 - 1]))
    with pytest.raises(InputError, match="give object_ids"):
        zv.write(place, cloud([[0.0]]), mode="append")
    zv.write(place, cloud([[0.0]], object_ids=[-(2**63)]), mode="append")
    assert read(place).vertex_count == 2


def test_new_ids_may_lie_before_and_between_the_old() -> None:
    place = memory()
    zv.write(place, cloud(np.zeros((2, 1)), object_ids=[10, 20], object_attributes={"n": [1, 2]}))
    new = cloud(np.zeros((3, 1)), object_ids=[15, 5, 30], object_attributes={"n": {5: 50, 15: 150, 30: 300}})
    zv.write(place, new, mode="append")
    table = zv.open(place)[0].objects
    got = dict(zip(table.ids.tolist(), np.asarray(table.attributes["n"]).tolist(), strict=True))
    assert got == {10: 1, 20: 2, 5: 50, 15: 150, 30: 300}
    assert all(read(place, object_ids=[one]).vertex_count == 1 for one in got)


def test_progress_and_report_count_the_new_rows() -> None:
    place = memory()
    calls: list[tuple[int, int | None]] = []
    zv.write(place, uniform(100, 1), bounds=([0] * 3, [10] * 3), layout=zv.Layout(chunk_shape=3))
    report = zv.write(place, uniform(50, 2), mode="append", progress=lambda done, total: calls.append((done, total)))
    assert calls[-1] == (50, 50)
    assert [done for done, _ in calls] == sorted(done for done, _ in calls)
    assert report.grown_from is None
    assert list(report.chunk_shape) == [3, 3, 3]
    assert report.to_json()["total_vertices"] == 150


@pytest.mark.parametrize("owned", [False, True])
def test_appending_no_rows_changes_nothing_that_is_read(owned: bool) -> None:
    place = memory()
    points = part(1, owned=owned)
    zv.write(place, points, layout=LAYOUTS["sharded"])
    before = read(place)
    for nothing in (points.take(slice(0, 0)), cloud(np.zeros((0, 3)))):
        report = zv.write(place, nothing, mode="append", fill={} if nothing.attributes else {"v": 0, "rgb": 0})
        assert (report.vertex_count, report.chunk_count, report.object_count) == (0, 0, 0)
    assert column_values(read(place).positions) == column_values(before.positions)
    assert rows_of(read(place)) == rows_of(before)
