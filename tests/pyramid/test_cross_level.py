"""Links between levels: every finer vertex leads to the coarser one that stands for it, and back."""

from __future__ import annotations

import os
from collections import Counter
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import zarr_vectors as zv
from tests.faults.harness import local
from tests.interop.across import links_between, objects_of, positions_of
from tests.interop.zarr_cells import document_of
from tests.types.clouds import files_of
from zarr_vectors.core.store import open_store, remove_resolution_level
from zarr_vectors.geometry import Geometry
from zarr_vectors.pyramid import PyramidOptions, coarsen_one, refresh_levels, run
from zarr_vectors.pyramid.source import Finer
from zarr_vectors.storage.commit import Step
from zarr_vectors.types import spill

LAYOUT = zv.Layout(chunk_shape=(8.0, 8.0), shard_shape=None)
BOTH: dict[str, Any] = {"cross_level_storage": "explicit", "cross_level_depth": -1}
FACTORS: dict[str, Any] = {"factors": [(2.0, 1.0), (2.0, 1.0)], "chunk_scale_factors": [2, (1, 2)]}
Values = dict[str, Callable[[], Geometry]]


def spread(rows: int = 90) -> Any:
    """Places on both sides of the origin, each of them once."""
    places = np.random.default_rng(5).uniform(-16, 16, (rows, 2)).astype("f4")
    places[0], places[1] = (-16, -16), (16, 16)
    return places


def walks() -> list[Any]:
    rng = np.random.default_rng(6)
    return [np.clip(rng.uniform(-1.5, 1.5, (30, 2)).cumsum(axis=0), -16, 16).astype("f4") for _ in range(4)]


def chained(ids: Any) -> Any:
    edges = np.stack([np.arange(len(ids) - 1), np.arange(1, len(ids))], axis=1)
    return edges[ids[edges[:, 0]] == ids[edges[:, 1]]]


IDS = np.repeat([3, 8, 9], 30)
VALUES: Values = {
    "points": lambda: zv.Points(spread()),
    "objects": lambda: zv.Points(spread(), object_ids=IDS),
    "graph": lambda: zv.Graph(spread(), chained(IDS), object_ids=IDS),
    "lines": lambda: zv.Lines(np.stack([spread(20) * 0.8, spread(20) * 0.8 + np.float32(1.5)], axis=1)),
    "streamlines": lambda: zv.Polylines(walks(), ids=[2, 5, 7, 11], kind="streamline"),
    "skeletons": lambda: zv.Skeleton(
        np.concatenate(walks()[:3]), np.where(np.arange(90) % 30, np.arange(90) - 1, -1), object_ids=IDS
    ),
}
MERGED = ("points", "objects", "graph")


def built(place: Path, kind: str, layout: zv.Layout = LAYOUT, **options: Any) -> Path:
    zv.write(place, VALUES[kind](), layout=layout)
    with zv.open(place, "r+") as store:
        store.build_pyramid(**{**FACTORS, **BOTH, **options})
    return place


def owners_of(place: Path, level: int, kind: str) -> dict[Any, int]:
    """The object of each vertex, by its place."""
    if kind == "points":
        return dict.fromkeys(positions_of(place, level), 0)
    return {row: one for one, rows in objects_of(place, level).items() for row in rows}


def check(place: Path, kind: str, pairs: Counter[Any], low: int, high: int) -> None:
    """Whether every vertex of a level leads once to the one of a coarser level that stands for it."""
    fine, coarse = owners_of(place, low, kind), owners_of(place, high, kind)
    assert sorted(ends[0] for ends in pairs.elements()) == positions_of(place, low)
    bins = np.asarray(zv.open(place)[high].bin_shape)
    for near, far in pairs:
        assert fine[near] == coarse[far]
        if kind in MERGED:
            assert (np.floor(np.array(near) / bins) == np.floor(np.array(far) / bins)).all()
        elif near in coarse:
            assert far == near
    if kind in MERGED:
        assert {far for _, far in pairs} == set(coarse)


def pairs_of(place: Path, level: int) -> list[tuple[Any, Any]]:
    """Finer vertices of a level, each with the coarser one that it leads to."""
    return [(ends[0], ends[1]) for ends in links_between(place, level, "+1")]


@pytest.mark.parametrize("kind", VALUES)
def test_every_vertex_leads_to_the_one_that_stands_for_it(kind: str, tmp_path: Path) -> None:
    place = built(tmp_path / "store", kind, zv.Layout(chunk_shape=(8.0, 8.0), shard_shape=2))
    for low, high in ((0, 1), (1, 2), (0, 2)):
        up = links_between(place, low, f"+{high - low}")
        check(place, kind, up, low, high)
        assert links_between(place, high, f"-{high - low}") == Counter(ends[::-1] for ends in up.elements())
    parents = [dict(pairs_of(place, low)) for low in (0, 1)]
    assert links_between(place, 0, "+2") == Counter((near, parents[1][far]) for near, far in parents[0].items())
    assert zv.validate(place, level=5).ok
    root = document_of(place, "")["attributes"]["zarr_vectors"]
    assert (root["cross_level_storage"], root["cross_level_depth"]) == ("explicit", -1)
    assert "multiscale_links" in root["format_capabilities"]


def test_the_end_that_is_nearer_stands_for_a_vertex_of_a_line(tmp_path: Path) -> None:
    place = built(tmp_path / "store", "streamlines", factors=[(4.0, 1.0)], chunk_scale_factors=None)
    lines, kept = objects_of(place, 0), objects_of(place, 1)
    pairs = dict(pairs_of(place, 0))
    left_out = 0
    for one, rows in lines.items():
        at = [row for row, vertex in enumerate(rows) if vertex in kept[one]]
        for row, vertex in enumerate(rows):
            before, after = max(n for n in at if n <= row), min(n for n in at if n >= row)
            left_out += before < row
            ends = [rows[before], rows[after]]
            apart = [float(np.linalg.norm(np.subtract(end, vertex))) for end in ends]
            assert pairs[vertex] in [end for end, far in zip(ends, apart, strict=True) if far <= min(apart) + 1e-5]
    assert left_out > 20


FAMILIES: dict[tuple[str, int], list[Any]] = {
    ("none", 1): [[], [], []],
    ("explicit", 0): [[], [], []],
    ("implicit", 1): [["+1"], ["+1"], []],
    ("implicit", 2): [["+1", "+2"], ["+1"], []],
    ("explicit", 1): [["+1"], ["+1", "-1"], ["-1"]],
    ("explicit", -1): [["+1", "+2"], ["+1", "-1"], ["-1", "-2"]],
}


def families(place: Path) -> list[list[str]]:
    found: list[list[str]] = []
    for level in sorted(path for path in place.iterdir() if path.name.isdecimal()):
        links = level / "links"
        found.append(sorted(p.name for p in links.iterdir() if p.name[0] in "+-") if links.exists() else [])
    return found


@pytest.mark.parametrize("asked", FAMILIES)
def test_families_are_those_that_were_asked_for(asked: tuple[str, int], tmp_path: Path) -> None:
    storage, depth = asked
    place = built(tmp_path / "store", "points", cross_level_storage=storage, cross_level_depth=depth)
    assert families(place) == FAMILIES[asked]
    root = document_of(place, "")["attributes"]["zarr_vectors"]
    assert (root["cross_level_storage"], root["cross_level_depth"]) == asked
    assert ("multiscale_links" in root["format_capabilities"]) == any(FAMILIES[asked])
    assert zv.validate(place, level=5).ok


def test_links_of_larger_levels_come_from_files(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(spill, "_IN_MEMORY_ROWS", 10)
    monkeypatch.setattr(spill, "_GROUP_ROWS", 20)
    monkeypatch.setattr("zarr_vectors.pyramid.across._IN_MEMORY_ROWS", 10)
    monkeypatch.setattr("zarr_vectors.pyramid.across._BLOCK_ROWS", 7)
    monkeypatch.setattr("zarr_vectors.types.links._IN_MEMORY_RECORDS", 10)
    monkeypatch.setattr(run, "Finer", partial(Finer, batch_rows=25))
    for kind in ("points", "streamlines"):
        place = built(tmp_path / kind, kind)
        for low, high in ((0, 1), (0, 2)):
            up = links_between(place, low, f"+{high - low}")
            check(place, kind, up, low, high)
            assert links_between(place, high, f"-{high - low}") == Counter(ends[::-1] for ends in up.elements())


def test_vertices_of_objects_that_are_left_out_have_no_links(tmp_path: Path) -> None:
    place = built(tmp_path / "store", "objects", factors=[(2.0, 3.0)], chunk_scale_factors=None)
    fine, coarse = objects_of(place, 0), objects_of(place, 1)
    (one,) = (one for one, rows in coarse.items() if rows)
    assert sorted(near for near, _ in links_between(place, 0, "+1").elements()) == sorted(fine[one])


def test_a_level_that_is_made_from_another_than_the_next_finer(tmp_path: Path) -> None:
    place = built(tmp_path / "store", "points", factors=[(2.0, 1.0)], chunk_scale_factors=[2])
    storage = zv.open(place, "r+").storage
    coarsen_one(storage, 0, 2, PyramidOptions(factors=[(4.0, 1.0)], **BOTH))
    assert families(place) == [["+1", "+2"], ["-1"], ["-2"]]
    check(place, "points", links_between(place, 0, "+2"), 0, 2)


def test_refresh_builds_links_anew(tmp_path: Path) -> None:
    place = built(tmp_path / "store", "objects", chunk_scale_factors=None)
    before = files_of(place)
    with zv.open(place, "r+") as store:
        report = refresh_levels(store.storage, PyramidOptions(), force=True)
    assert [level.level for level in report.levels] == [1, 2]
    after = files_of(place)
    assert [path for path in before if before[path] != after.get(path)] == ["zarr.json"]
    assert set(after) == set(before)


def test_a_refresh_that_ends_early_leaves_stale_levels_without_dangling_links(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    place = built(tmp_path / "store", "points")
    whole = [links_between(place, 0, "+2"), links_between(place, 1, "+1")]
    with zv.open(place, "r+") as store, monkeypatch.context() as patch:
        patch.setattr("zarr_vectors.pyramid.run.LevelReport.of", lambda _: 1 / 0)
        with pytest.raises(ZeroDivisionError):
            refresh_levels(store.storage, PyramidOptions(), force=True)
    assert families(place) == [["+1", "+2"], ["-1"], ["-2"]]
    assert zv.validate(place, level=5).ok
    with zv.open(place, "r+") as store:
        assert [level.level for level in refresh_levels(store.storage, PyramidOptions(), force=False).levels] == [2]
    assert families(place) == FAMILIES["explicit", -1]
    assert [links_between(place, 0, "+2"), links_between(place, 1, "+1")] == whole


def test_removing_levels_removes_their_links(tmp_path: Path) -> None:
    place = built(tmp_path / "store", "points")
    remove_resolution_level(open_store(place, mode="r+"), 2)
    assert families(place) == [["+1"], ["-1"]]
    assert zv.validate(place, level=5).ok
    remove_resolution_level(open_store(place, mode="r+"), 1)
    assert families(place) == [[]]
    assert "multiscale_links" not in document_of(place, "")["attributes"]["zarr_vectors"]["format_capabilities"]


@pytest.mark.parametrize("kind", ["objects", "streamlines"])
def test_rechunking_keeps_links(kind: str, tmp_path: Path) -> None:
    place = built(tmp_path / "store", kind)
    before = {(n, d): links_between(place, n, d) for n, named in enumerate(families(place)) for d in named}
    zv.rechunk(place, zv.RechunkSpec("spatial", spatial_chunk_shape=(4.0, 16.0)))
    assert {ends: links_between(place, *ends) for ends in before} == before
    assert zv.validate(place, level=5).ok


def test_rows_are_not_appended_under_links(tmp_path: Path) -> None:
    place = built(tmp_path / "store", "points")
    with pytest.raises(zv.exceptions.ConventionError, match="links between levels"):
        zv.write(place, zv.Points(spread(3)), mode="append")


def test_what_cannot_be_linked_is_refused_before_anything_is_written(tmp_path: Path) -> None:
    place = built(tmp_path / "none", "points", cross_level_storage="none")
    storage = zv.open(place, "r+").storage
    with pytest.raises(zv.exceptions.ConventionError, match="made without such links"):
        coarsen_one(storage, 2, 3, PyramidOptions(factors=[(2.0, 1.0)], **BOTH))
    place = built(tmp_path / "near", "points", cross_level_depth=1)
    storage = zv.open(place, "r+").storage
    with pytest.raises(zv.exceptions.ConventionError, match=r"level 0 follow from those to level 2"):
        coarsen_one(storage, 2, 3, PyramidOptions(factors=[(2.0, 1.0)], **BOTH))
    assert not (place / "3").exists()
    zv.write(tmp_path / "bare", VALUES["objects"](), layout=LAYOUT)
    zv.rechunk(tmp_path / "bare", zv.RechunkSpec("object_id"))
    with pytest.raises(zv.exceptions.ConventionError, match="axis before the spatial"):
        zv.open(tmp_path / "bare", "r+").build_pyramid(**{**FACTORS, **BOTH})
    assert families(tmp_path / "bare") == [[]]


@pytest.mark.skipif(not hasattr(os, "fork"), reason="needs fork")
def test_a_killed_build_leaves_whole_levels(tmp_path: Path) -> None:
    with local(tmp_path) as harness:
        harness.at_every_step("add a linked level", ("kill",))
        for step in (Step.PREPARED, Step.REMOVED):
            assert harness.trial("build a linked level anew", {"step": step, "error": "kill"}) == -9
        assert 2 < harness.kept < harness.trials - 2
