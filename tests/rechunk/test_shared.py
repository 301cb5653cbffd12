"""Fragments that several objects name, or one of them several times, stay shared."""

from __future__ import annotations

import json
import shutil
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import zarr

import zarr_vectors as zv
from tests.interop.across import objects_of, positions_of
from tests.interop.zarr_cells import document_of, payloads
from zarr_vectors.core.store import open_store, set_bounds

LAYOUT = zv.Layout(chunk_shape=10, shard_shape=None, compressor="none")
SPATIAL = [zv.RechunkSpec("spatial", spatial_chunk_shape=(edge, edge)) for edge in (2.5, 7, 40)]


def share(store: Path, manifests: dict[int, list[int]], *, told: bool) -> None:
    """Let objects name the fragments of others, one after another.

    Args:
        manifests: Row of the index to the rows whose manifests it gets.
        told: Whether the level says so; else the owners of fragments do, as -2.
    """
    array = zarr.open_array(store / "0/object_index/manifests", mode="r+")
    blobs: Any = np.array(array[...], dtype=object)
    fresh = {row: [bytes(blobs[one]) for one in rows] for row, rows in manifests.items()}
    for row, parts in fresh.items():
        count = sum(int.from_bytes(part[:4], "little") for part in parts)
        blobs[row] = count.to_bytes(4, "little") + b"".join(part[4:] for part in parts)
    array[...] = blobs
    document = store / "0/zarr.json"
    level = json.loads(document.read_text())
    if told:
        level["attributes"]["zarr_vectors_level"]["shared_fragments"] = True
        document.write_text(json.dumps(level))
        return
    root = open_store(store, mode="r+")
    for key, cell in payloads(store, "0/fragment_attributes/object_id").items():
        owners = np.frombuffer(cell, "<i8").copy()
        owners[np.isin(owners, [7])] = -2
        root["0"].write_bytes("fragment_attributes/object_id", key, owners.tobytes())


def cloud() -> zv.Points:
    rng = np.random.default_rng(4)
    ids = np.repeat([7, 8, 9], 20)
    return zv.Points(rng.uniform(0, 40, (60, 2)).astype("f4"), object_ids=ids, attributes={"n": np.arange(60)})


def same(before: Path, after: Path, *, ordered: bool = False) -> None:
    assert positions_of(after, 0) == positions_of(before, 0)
    old, new = objects_of(before, 0), objects_of(after, 0)
    if not ordered:
        old, new = ({one: sorted(rows) for one, rows in each.items()} for each in (old, new))
    assert new == old
    level = zv.open(after)[0]
    for one, rows in new.items():
        assert sorted(map(tuple, level.read(object_ids=[one]).positions.tolist())) == sorted(rows)


@pytest.mark.parametrize("told", [True, False])
def test_points_that_objects_share(told: bool, tmp_path: Path) -> None:
    zv.write(tmp_path / "a", cloud(), layout=LAYOUT)
    share(tmp_path / "a", {1: [1, 0], 2: [0]}, told=told)
    for spec in SPATIAL:
        shutil.rmtree(tmp_path / "b", ignore_errors=True)
        zv.rechunk(tmp_path / "a", spec, tmp_path / "b")
        same(tmp_path / "a", tmp_path / "b")
        zv.rechunk(tmp_path / "b", zv.RechunkSpec("attribute:n", bins=[0, 30]))
        same(tmp_path / "a", tmp_path / "b")
        assert {key[0] for key in zv.open(tmp_path / "b")[0].chunk_keys} == {0, 1}
    assert len(objects_of(tmp_path / "b", 0)[8]) == 40


def test_bins_of_objects_must_hold_what_they_share(tmp_path: Path) -> None:
    zv.write(tmp_path / "a", cloud(), layout=LAYOUT)
    share(tmp_path / "a", {1: [1, 0]}, told=True)
    before = {path: path.read_bytes() for path in (tmp_path / "a").rglob("*") if path.is_file()}
    with pytest.raises(zv.exceptions.ConventionError, match="different bins share vertices"):
        zv.rechunk(tmp_path / "a", zv.RechunkSpec("object_id"))
    assert {path: path.read_bytes() for path in (tmp_path / "a").rglob("*") if path.is_file()} == before
    zv.rechunk(tmp_path / "a", zv.RechunkSpec("object_id", bins=[0, 9]), tmp_path / "b")
    same(tmp_path / "a", tmp_path / "b")
    assert zv.open(tmp_path / "b")[0].state.metadata.leading_axes == 1


def paths() -> zv.Polylines:
    rng = np.random.default_rng(6)
    lines = [np.clip(20 + rng.uniform(-3, 3, (25, 2)).cumsum(axis=0), 0, 40).astype("f4") for _ in range(3)]
    return zv.Polylines(lines, ids=[5, 6, 7])


def test_lines_that_pass_the_same_vertices_again(tmp_path: Path) -> None:
    zv.write(tmp_path / "a", paths(), layout=LAYOUT)
    share(tmp_path / "a", {0: [0, 1, 0], 2: [1]}, told=True)
    assert len(objects_of(tmp_path / "a", 0)[5]) == 75
    for spec in SPATIAL:
        shutil.rmtree(tmp_path / "b", ignore_errors=True)
        zv.rechunk(tmp_path / "a", spec, tmp_path / "b")
        # The vertices of the third line, which nothing names any more, are not part of anything.
        named = {row for rows in objects_of(tmp_path / "a", 0).values() for row in rows}
        assert positions_of(tmp_path / "b", 0) == sorted(named)
        assert objects_of(tmp_path / "b", 0) == objects_of(tmp_path / "a", 0)
        lines = zv.open(tmp_path / "b")[0].read()
        got = {one: line.tolist() for one, line in zip(lines.line_ids.tolist(), lines.lines(), strict=True)}
        assert {one: [list(row) for row in rows] for one, rows in objects_of(tmp_path / "a", 0).items()} == got


def test_parts_of_lines_that_share_vertices(tmp_path: Path) -> None:
    zv.write(tmp_path / "a", paths(), layout=LAYOUT)
    share(tmp_path / "a", {0: [0, 1, 0], 2: [1]}, told=True)
    before = objects_of(tmp_path / "a", 0)
    low, high = (10.0, 10.0), (24.0, 26.0)
    set_bounds(open_store(tmp_path / "a", mode="r+"), (low, high), force=True)
    after = objects_of(tmp_path / "a", 0)
    wanted: dict[int, list[Any]] = {}
    for one, rows in before.items():
        runs: list[list[Any]] = [[]]
        for row in rows:
            inside = all(a <= v <= b for a, v, b in zip(low, row, high, strict=True))
            runs = [*runs[:-1], [*runs[-1], row]] if inside else [*runs, []]
        wanted[one] = [run for run in runs if run]
    assert max(map(len, wanted.values())) > 2
    assert {one: after[one] for one in before} == {one: (runs or [[]])[0] for one, runs in wanted.items()}
    rest = sorted(run for runs in wanted.values() for run in runs[1:])
    assert sorted(rows for one, rows in after.items() if one not in before) == rest
    facts = document_of(tmp_path / "a", "0")["attributes"]["zarr_vectors_level"]
    assert (facts["vertex_count"], facts["shared_fragments"]) == (len(positions_of(tmp_path / "a", 0)), True)
