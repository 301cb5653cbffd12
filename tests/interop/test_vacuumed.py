"""Stores of 0.9.2, and stores that it has edited, after a vacuum: all is there that was there, and the rest is gone."""

from __future__ import annotations

import shutil
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import zarr_vectors as zv
from tests.interop.peer import Peer
from tests.interop.test_cropped import GOLDEN, REFUSED, STORES
from tests.interop.test_cropped import told as content
from tests.rechunk.shapes import tables_of

DAILY = {"binned_objects", "draco", "empty", "groups", "kinds", "owners", "points", "pyramid", "sharded_uneven"}
"""Stores of ``tests/golden`` and folders of such; the others differ from these in ways that rows do not feel."""
BOX = ([0.0] * 3, [100.0] * 3)


def every_read(store: zv.ZVStore) -> list[Any]:
    """What reads bring of all levels, and of some objects one by one."""
    found = []
    for level in store:
        ids = level.objects.ids.tolist() if level.has_objects else []
        found.append((repr(tables_of(level)), content(level.read())))
        found += [content(level.read(object_ids=[one])) for one in ids[:8]]
    return found


def stored(place: Path) -> dict[str, bytes]:
    """All files but for the root, which counts changes, and the cell index, which tells times."""
    files = {path.relative_to(place).as_posix(): path for path in place.rglob("*") if path.is_file()}
    kept = {name: path.read_bytes() for name, path in files.items() if name != "zarr.json" and "cell_index" not in name}
    # Gzip writes the time after its first four bytes.
    return {name: data[:4] + data[8:] if data.startswith(b"\x1f\x8b") else data for name, data in kept.items()}


def marked(golden: Path) -> Any:
    daily = golden.relative_to(GOLDEN).parts[0] in DAILY
    return pytest.param(golden, marks=[] if daily else pytest.mark.long, id=golden.relative_to(GOLDEN).as_posix())


@pytest.mark.parametrize("golden", [marked(golden) for golden in STORES])
def test_a_store_of_0_9_2_holds_what_it_held(golden: Path, peer: Peer, tmp_path: Path) -> None:
    place = tmp_path / "store"
    shutil.copytree(golden, place)
    store = zv.open(place, "r+")
    if golden.name in REFUSED or any(level.state.is_unordered for level in store):
        with pytest.raises(zv.ZVError, match=r"composite|mixes kinds|Draco"):
            store.vacuum()
        assert stored(place) == stored(golden)
        return
    before = every_read(store)
    assert store.vacuum().rows_dropped == 0
    assert every_read(zv.open(place)) == before
    assert store.ndim == 1 or peer.validate(place)["errors"] == []
    known = {problem.kind for problem in zv.validate(golden).problems}
    assert [str(one) for one in zv.validate(place).problems if one.kind not in known] == []
    once = stored(place)
    again = store.vacuum()
    assert (again.rows_dropped, again.objects_dropped, again.bytes_freed) == (0, 0, 0)
    assert stored(place) == once


def paths(count: int = 12) -> tuple[list[Any], Any, Any]:
    """Vertices of some paths, the object of each, and whether it is the first."""
    rng = np.random.default_rng(0)
    lines = [(rng.uniform(30, 70, 3) + np.cumsum(rng.normal(size=(40, 3)), axis=0)).astype("f4") for _ in range(count)]
    owners = np.repeat(np.arange(count), 40)
    return lines, owners, np.arange(len(owners)) % 40 == 0


def value_of(kind: str) -> Any:
    lines, owners, first = paths()
    positions, rows = np.concatenate(lines), np.arange(len(owners))
    after = rows[~first]
    if kind == "polylines":
        return zv.Polylines(lines)
    if kind == "points":
        return zv.Points(positions, object_ids=owners)
    if kind == "skeleton":
        return zv.Skeleton(positions, np.where(first, -1, rows - 1), object_ids=owners)
    if kind == "graph":
        return zv.Graph(positions, np.stack([after - 1, after], axis=1), object_ids=owners)
    inner = after[~first[after - 1]]
    return zv.Mesh(positions, np.stack([inner - 2, inner - 1, inner], axis=1), object_ids=owners)


@pytest.mark.parametrize("kind", ["polylines", "points", "skeleton", "graph", "mesh"])
@pytest.mark.parametrize("atomic", [True, False])
def test_a_store_that_0_9_2_has_edited_reads_the_same(kind: str, atomic: bool, peer: Peer, tmp_path: Path) -> None:
    """Manifests tell what is whose: 0.9.2 does not touch what is stored of it beside fragments."""
    place = tmp_path / "store"
    zv.write(place, value_of(kind), layout=zv.Layout(chunk_shape=20), bounds=BOX)
    chunk = zv.open(place)[0].state.vertices.present[0].tolist()
    first = zv.open(place)[0].read_chunks([chunk]).positions[0]
    steps: list[Any] = [["remove_object", 3]]
    steps += [["remove_vertex", chunk, 0, 0]] if atomic else [["edit_vertex", chunk, 0, 0, (first + 0.01).tolist()]]
    peer.call("edit_store", path=str(place), steps=steps, atomic=atomic)
    level = zv.open(place)[0]
    ids = level.objects.ids.tolist()
    before = [content(level.read(object_ids=[one])) for one in ids]
    positions = sorted(map(tuple, level.read().positions.tolist()))
    store = zv.open(place, "r+")
    done = store.vacuum()
    level = store[0]
    assert level.objects.ids.tolist() == ids
    assert [content(level.read(object_ids=[one])) for one in ids] == before
    if kind == "polylines" and not atomic:
        # Nothing tells what the vertices of no line are part of.
        assert (done.rows_dropped, level.vertex_count) == (40, 12 * 40 - 40)
    else:
        assert done.rows_dropped == 0
        assert sorted(map(tuple, np.unique(level.read().positions, axis=0).tolist())) == sorted(set(positions))
    assert peer.validate(place)["errors"] == []
    assert {problem.kind for problem in zv.validate(place).problems} <= {"fragment_unowned"}
    assert store.vacuum().rows_dropped == 0


def test_the_bytes_of_what_0_9_2_has_removed_are_freed(peer: Peer, tmp_path: Path) -> None:
    place, lines = tmp_path / "store", paths(60)[0]
    zv.write(place, zv.Polylines(lines), layout=zv.Layout(chunk_shape=20, shard_shape=2, compressor="none"), bounds=BOX)
    gone = list(range(0, 60, 2))
    peer.call("edit_store", path=str(place), steps=[["remove_object", one] for one in gone], atomic=False)
    done = zv.open(place, "r+").vacuum()
    assert done.rows_dropped == 30 * 40
    assert done.bytes_freed is not None
    assert done.bytes_freed > 30 * 40 * 12
    assert done.bytes_after == sum(path.stat().st_size for path in (place / "0").rglob("*") if path.is_file())
    left = zv.open(place)[0].read()
    for one, line in zip(left.ids.tolist(), left.lines(), strict=True):
        np.testing.assert_array_equal(line, lines[one] if one % 2 else lines[one][:0])
    assert peer.validate(place)["errors"] == []
    assert zv.validate(place).ok


def test_a_chunk_that_0_9_2_has_taken_away_is_told(peer: Peer, tmp_path: Path) -> None:
    """It leaves manifests that name a fragment which is gone: an object cannot be read, and is not cut in silence."""
    place = tmp_path / "store"
    zv.write(place, value_of("points"), layout=zv.Layout(chunk_shape=20), bounds=BOX)
    level = zv.open(place)[0]
    counts = [level.read_chunks([chunk]).vertex_count for chunk in level.state.vertices.present.tolist()]
    chunk = level.state.vertices.present[int(np.argmin(counts))].tolist()
    while chunk in zv.open(place)[0].state.vertices.present.tolist():
        peer.call("edit_store", path=str(place), steps=[["remove_fragment", chunk, 0]], atomic=True)
    before = stored(place)
    with pytest.raises(zv.exceptions.CorruptionError, match="names a chunk that has no vertices"):
        zv.open(place, "r+").vacuum()
    assert stored(place) == before
