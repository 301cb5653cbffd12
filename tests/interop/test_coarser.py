"""Stores with coarser levels of 0.9.2 whose bounds shrink and whose chunks change: it validates all levels."""

from __future__ import annotations

import shutil
from collections import Counter
from collections.abc import Callable
from functools import cache
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import zarr_vectors as zv
from tests.interop.across import links_between, objects_of, positions_of, rows_by_chunk
from tests.interop.peer import Peer
from tests.interop.zarr_cells import document_of
from zarr_vectors.core.store import open_store, set_bounds

LOW, HIGH = (3.0, 4.5, 2.0), (19.0, 17.5, 24.0)
ROWS = 80
Maker = Callable[[Peer, str], Path]


def lines(rng: Any) -> list[Any]:
    """Lines that leave the box and come back."""
    steps = [rng.uniform(-4, 4, (20, 3)).cumsum(axis=0) for _ in range(5)]
    return [np.clip(np.array([9.0, 11, 12]) + step, 0, 24).astype("f4") for step in steps]


def write_arguments(kind: str) -> dict[str, Any]:
    """What 0.9.2 is to write."""
    rng = np.random.default_rng(5)
    positions = rng.uniform(0, 24, (ROWS, 3)).astype("f4")
    ids = np.repeat(np.arange(8) * 3, ROWS // 8)
    common: dict[str, Any] = {
        "chunk_shape": (8.0, 8.0, 8.0),
        "bin_shape": (4.0, 4.0, 4.0),
        **({"shard_shape": 2} if kind in ("points", "lines") else {}),
    }
    if kind == "polylines":
        return {**common, "polylines": lines(rng), "geometry_type": "streamline"}
    if kind == "lines":
        ends = rng.uniform(0, 24, (30, 1, 3)) + rng.uniform(-4, 4, (30, 2, 3))
        return {**common, "endpoints": np.clip(ends, 0, 24).astype("f4")}
    if kind == "graph":
        edges = np.stack([np.arange(ROWS - 1), np.arange(1, ROWS)], axis=1)
        edges = edges[ids[edges[:, 0]] == ids[edges[:, 1]]]
        return {**common, "positions": positions, "edges": edges, "object_ids": ids}
    return {**common, "positions": positions, **({"object_ids": ids} if kind == "points" else {})}


WRITERS = {"points": "points", "cloud": "points", "polylines": "polylines", "lines": "lines", "graph": "graph"}
KINDS = sorted(WRITERS)


@pytest.fixture(scope="module")
def make(tmp_path_factory: pytest.TempPathFactory) -> Maker:
    """Stores of 0.9.2 with two coarser levels, each made once, not to be changed."""
    folder = tmp_path_factory.mktemp("coarser")

    def made(peer: Peer, kind: str) -> Path:
        place = folder / kind
        if not place.exists():
            keywords = write_arguments(kind)
            if WRITERS[kind] == "points":
                peer.write_points(place, keywords)
            else:
                peer.call("write", path=str(place), writer=WRITERS[kind], kwargs=keywords)
            peer.build_pyramid(place, {"factors": [(2.0, 1.0), (2.0, 1.0)], "chunk_scale_factors": [2, 1]})
        return place

    return made


@cache
def told(function: Callable[..., Any], store: Path, *arguments: Any) -> Any:
    """What is decoded of a store that does not change."""
    return function(store, *arguments)


def inside(point: tuple[float, ...]) -> bool:
    return all(a <= v <= b for a, v, b in zip(LOW, point, HIGH, strict=True))


def families(store: Path) -> list[tuple[int, str]]:
    return [(n, d) for n, d in ((0, "+1"), (1, "+1"), (1, "-1"), (2, "-1")) if (store / f"{n}/links/{d}").exists()]


@pytest.mark.parametrize("kind", KINDS)
def test_every_level_is_cut_at_the_box(kind: str, make: Maker, peer: Peer, tmp_path: Path) -> None:
    before, after = make(peer, kind), tmp_path / "after"
    shutil.copytree(before, after)
    set_bounds(open_store(after, mode="r+"), (LOW, HIGH), force=True)
    assert peer.validate(after)["errors"] == []
    assert families(after) == families(before) == [(0, "+1"), (1, "+1"), (1, "-1"), (2, "-1")]
    for level in range(3):
        left = positions_of(after, level)
        if kind == "lines":
            assert all(map(inside, left))
        else:
            assert left == list(filter(inside, told(positions_of, before, level)))
        assert document_of(after, str(level))["attributes"]["zarr_vectors_level"]["vertex_count"] == len(left)
        assert 0 < len(left) < len(told(positions_of, before, level))
        assert sorted(map(tuple, zv.open(after)[level].read().positions.tolist())) == expected_rows(after, level, kind)
    for level, delta in families(before):
        wanted = told(links_between, before, level, delta)
        kept = links_between(after, level, delta)
        if kind == "lines":
            rows = {n: set(positions_of(after, n)) for n in range(3)}
            there = {k: n for k, n in wanted.items() if k[0] in rows[level] and k[1] in rows[level + int(delta)]}
        else:
            there = {ends: times for ends, times in wanted.items() if all(map(inside, ends))}
        assert kept == Counter(there)
        assert 0 < kept.total() < wanted.total()
    if kind != "cloud":
        check_objects(kind, before, after)


def expected_rows(store: Path, level: int, kind: str) -> list[Any]:
    """Rows that a read brings: of lines those of each, as often as it passes."""
    if kind in ("polylines", "lines"):
        return sorted(row for rows in objects_of(store, level).values() for row in rows)
    return positions_of(store, level)


def check_objects(kind: str, before: Path, after: Path) -> None:
    ids = []
    for level in range(3):
        old, new = told(objects_of, before, level), objects_of(after, level)
        ids.append(sorted(new))
        if kind == "polylines":
            parts = parts_of(old)
            assert {one: new[one] for one in old} == {one: (runs or [[]])[0] for one, runs in parts.items()}
            rest = [run for runs in parts.values() for run in runs[1:]]
            assert sorted(rows for one, rows in new.items() if one not in old and rows) == sorted(rest)
        elif kind == "lines":
            assert new == {one: rows if all(map(inside, rows)) else [] for one, rows in old.items()}
        else:
            assert {one: sorted(rows) for one, rows in new.items()} == {
                one: sorted(filter(inside, rows)) for one, rows in old.items()
            }
    assert ids[0] == ids[1] == ids[2]
    assert document_of(after, "1")["attributes"]["zarr_vectors_level"]["inherited_num_objects"] == len(ids[0])


def parts_of(lines: dict[int, list[Any]]) -> dict[int, list[list[Any]]]:
    found = {}
    for one, rows in lines.items():
        runs: list[list[Any]] = [[]]
        for row in rows:
            if inside(row):
                runs[-1].append(row)
            elif runs[-1]:
                runs.append([])
        found[one] = [run for run in runs if run]
    return found


SPECS = {
    "same": zv.RechunkSpec("spatial"),
    "larger": zv.RechunkSpec("spatial", spatial_chunk_shape=(16, 32, 8)),
    "smaller": zv.RechunkSpec("spatial", spatial_chunk_shape=(8, 4, 8)),
    "uneven": zv.RechunkSpec("spatial", spatial_chunk_shape=(12, 12, 12)),
}


@pytest.mark.parametrize(
    ("kind", "spec"),
    [
        ("points", "same"),
        ("cloud", "uneven"),
        ("graph", "larger"),
        ("lines", "uneven"),
        ("polylines", "smaller"),
    ],
)
def test_every_level_is_rechunked(kind: str, spec: str, make: Maker, peer: Peer, tmp_path: Path) -> None:
    before = make(peer, kind)
    report = zv.rechunk(before, SPECS[spec], tmp_path / "after")
    check_same(peer, before, tmp_path / "after", kind)
    assert (report["levels_rechunked"], report["levels_dropped"], report["links_left_out"]) == ([0, 1, 2], [], [])
    zv.rechunk(tmp_path / "after", zv.RechunkSpec("spatial", spatial_chunk_shape=(8, 8, 8)))
    check_same(peer, before, tmp_path / "after", kind)


def check_same(peer: Peer, before: Path, after: Path, kind: str) -> None:
    assert peer.validate(after)["errors"] == []
    for level in range(3):
        assert positions_of(after, level) == told(positions_of, before, level)
        if level:
            assert zv.open(after)[level].bin_shape == zv.open(before)[level].bin_shape
        if kind in ("polylines", "lines"):
            assert objects_of(after, level) == told(objects_of, before, level)
        elif kind != "cloud":
            there, here = told(objects_of, before, level), objects_of(after, level)
            assert {one: sorted(rows) for one, rows in here.items()} == {one: sorted(r) for one, r in there.items()}
    for level, delta in families(before):
        assert links_between(after, level, delta) == told(links_between, before, level, delta)


@pytest.fixture(scope="module")
def apart(peer: Peer, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A store with two coarser levels and links between them, whose objects share no vertices on any."""
    place = tmp_path_factory.mktemp("apart") / "store"
    rng = np.random.default_rng(8)
    ids = np.repeat([0, 3, 4], 30)
    positions = (rng.uniform(0, 20, (90, 3)) + 40.0 * np.array([[0, 0, 0], [1, 0, 0], [2, 0, 0]])[ids // 2]).astype(
        "f4"
    )
    size = {"size": np.array([5.0, 1.0, 5.0])}
    peer.write_points(
        place,
        {
            "positions": positions,
            "object_ids": ids,
            "chunk_shape": (10.0, 10.0, 10.0),
            "shard_shape": 3,
            "object_attributes": size,
            "groups": {0: [3], 1: [0, 4]},
        },
    )
    peer.build_pyramid(place, {"factors": [(2.0, 1.0), (2.0, 1.0)], "chunk_scale_factors": [2, 1]})
    return place


@pytest.mark.parametrize("by", ["object_id", "group", "attribute:size"])
def test_coarser_levels_get_the_bins_of_level_0(by: str, apart: Path, peer: Peer, tmp_path: Path) -> None:
    report = zv.rechunk(apart, zv.RechunkSpec(by, spatial_chunk_shape=(20, 20, 20)), tmp_path / "after")
    assert (report["levels_rechunked"], report["links_left_out"]) == ([0, 1, 2], [])
    check_same(peer, apart, tmp_path / "after", "points")
    store = zv.open(tmp_path / "after")
    for each in store:
        bins = {"object_id": 3, "group": 2, "attribute:size": 2}[by]
        assert {key[0] for key in each.chunk_keys} == set(range(bins))
        assert {len(key) for key in each.chunk_keys} == {4}
    if by == "attribute:size":
        got = [sorted(map(tuple, each.read(where={"size": 1.0}).positions.tolist())) for each in store]
        assert got == [sorted(told(objects_of, apart, level)[3]) for level in range(3)]
    set_bounds(open_store(tmp_path / "after", mode="r+"), ((4, 0, 0), (84, 20, 20)), force=True)
    assert peer.validate(tmp_path / "after")["errors"] == []
    for level in range(3):
        left = [row for row in told(positions_of, apart, level) if 4 <= row[0] <= 84]
        assert positions_of(tmp_path / "after", level) == left
        keys = set(rows_by_chunk(tmp_path / "after", level))
        assert keys <= set(zv.open(tmp_path / "after")[level].chunk_keys)
    zv.rechunk(tmp_path / "after", zv.RechunkSpec("spatial"))
    for level, delta in families(apart):
        wanted = told(links_between, apart, level, delta)
        kept = {ends: n for ends, n in wanted.items() if all(4 <= end[0] <= 84 for end in ends)}
        assert links_between(tmp_path / "after", level, delta) == Counter(kept)


def test_coarser_levels_that_do_not_tell_of_bins(make: Maker, peer: Peer, tmp_path: Path) -> None:
    before = make(peer, "points")
    for spec in (zv.RechunkSpec("object_id"), zv.RechunkSpec("object_id", bins=[0, 9])):
        with pytest.raises(zv.exceptions.ConventionError, match=r"different bins share vertices.*coarser='spatial'"):
            zv.rechunk(before, spec, tmp_path / "no")
        assert not (tmp_path / "no").exists()
    shutil.copytree(before, tmp_path / "spatial")
    report = zv.rechunk(tmp_path / "spatial", zv.RechunkSpec("object_id"), coarser="spatial")
    assert report["links_left_out"] == ["links/+1", "1/links/-1"]
    assert peer.validate(tmp_path / "spatial")["errors"] == []
    assert families(tmp_path / "spatial") == [(1, "+1"), (2, "-1")]
    assert [len(level.chunk_keys[0]) for level in zv.open(tmp_path / "spatial")] == [4, 3, 3]
    for level in range(3):
        assert positions_of(tmp_path / "spatial", level) == told(positions_of, before, level)
    for level, delta in families(tmp_path / "spatial"):
        assert links_between(tmp_path / "spatial", level, delta) == told(links_between, before, level, delta)


@pytest.mark.parametrize("beside", [False, True])
def test_coarser_levels_that_are_dropped(beside: bool, make: Maker, peer: Peer, tmp_path: Path) -> None:
    before, place = make(peer, "points"), tmp_path / "store"
    if not beside:
        shutil.copytree(before, place)
    report = zv.rechunk(
        before if beside else place, zv.RechunkSpec("object_id"), place if beside else None, coarser="drop"
    )
    assert (report["levels_rechunked"], report["levels_dropped"]) == ([0], [1, 2])
    assert peer.validate(place)["errors"] == []
    assert sorted(path.name for path in place.iterdir()) == ["0", "zarr.json"]
    root = document_of(place, "")["attributes"]
    assert [entry["path"] for entry in root["multiscales"][0]["datasets"]] == ["0"]
    assert [node["name"] for node in root["ome"]["nodes"]] == ["0"]
    assert "multiscale_links" not in root["zarr_vectors"]["format_capabilities"]
    assert not (place / "0/links/+1").exists()
    assert positions_of(place, 0) == told(positions_of, before, 0)
    with pytest.raises(zv.exceptions.InputError, match="coarser is not known"):
        zv.rechunk(place, zv.RechunkSpec("object_id"), coarser="some")
