"""Stores that 0.9.2 writes: we return the same rows and tables. Those of ``tests/golden`` need no 0.9.2 for it."""

from __future__ import annotations

import json
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import zarr_vectors as zv
from tests.interop.cases import CASES
from tests.interop.compare import (
    Keywords,
    Rows,
    assert_same_tables,
    boxes,
    expected_tables,
    input_rows,
    inside,
    owned,
    rows_of,
    tables_of,
)
from tests.interop.peer import Peer
from tests.interop.peer_server import unpack
from zarr_vectors.types.points import read_points

GOLDEN = Path(__file__).resolve().parents[1] / "golden"
# Where this repository was made, the stores that its golden ones repeat lie beside it.
REFERENCE = Path(__file__).resolve().parents[3] / "shared" / "reference" / "golden"
STORES = sorted(path.name.removesuffix(".expected.json") for path in GOLDEN.glob("*.expected.json"))
LIVE = [name for name, case in CASES.items() if case.live]


@dataclass(frozen=True)
class Stored:
    """A store of 0.9.2, the keywords it was written with, and what 0.9.2 reads of each level."""

    path: Path
    keywords: Keywords
    levels: list[dict[str, Any]]

    @property
    def rows(self) -> Rows:
        return input_rows(self.keywords)

    @property
    def ndim(self) -> int:
        return int(self.keywords["positions"].shape[1])


def golden(name: str, folder: Path = GOLDEN) -> Stored:
    expected = unpack(json.loads((GOLDEN / f"{name}.expected.json").read_text(encoding="utf-8")), {})
    return Stored(folder / name, expected["input"], expected["levels"])


@pytest.fixture(scope="module")
def live(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory, peer: Peer) -> Stored:
    case = CASES[request.param]
    path = tmp_path_factory.mktemp("theirs") / f"{case.name}.zarrvectors"
    keywords = case.large()
    peer.write_points(path, keywords)
    if case.pyramid is not None:
        peer.build_pyramid(path, case.pyramid)
    levels: list[dict[str, Any]] = []
    for level in peer.describe(path)["levels"]:
        described = peer.describe(path, level)
        names = described["attributes"]
        levels.append({"describe": described, "read": peer.read_points(path, level=level, attribute_names=names)})
        if described["object_ids"] is not None:
            ids = described["object_ids"].tolist()
            levels[-1]["read_objects"] = peer.read_points(path, level=level, attribute_names=names, object_ids=ids)
    return Stored(path, keywords, levels)


def check_levels(stored: Stored) -> None:
    """Rows in the order of 0.9.2, rows by object, and tables, of each level."""
    with zv.open(str(stored.path)) as store:
        assert store.levels == list(range(len(stored.levels)))
        for level, expected in zip(store, stored.levels, strict=True):
            points = level.read()
            theirs = rows_of(expected["read"], stored.ndim)
            rows_of(points, stored.ndim, ids=False).assert_equals(theirs, ordered=True)
            assert level.vertex_count == level.count() == len(theirs)
            assert_same_tables(tables_of(points), expected["describe"])
            assert sorted(level.attributes) == expected["describe"]["attributes"]
            if "read_objects" in expected:
                ids = expected["describe"]["object_ids"].tolist()
                by_object = rows_of(level.read(object_ids=ids), stored.ndim)
                by_object.assert_equals(rows_of(expected["read_objects"], stored.ndim), ordered=False)


def check_metadata(stored: Stored) -> None:
    described = stored.levels[0]["describe"]
    with zv.open(str(stored.path)) as store:
        assert store.zv_version == described["zv_version"]
        assert [axis.to_json() for axis in store.axes] == described["axes"]
        assert list(store.geometry_types) == described["geometry_types"]
        np.testing.assert_array_equal(store.bounds, described["bounds"])
        np.testing.assert_array_equal(store[0].chunk_shape, described["chunk_shape"])


def check_input(stored: Stored) -> None:
    """Every row that was written comes back, with the id of its object."""
    with zv.open(str(stored.path)) as store:
        points = store[0].read()
        rows_of(points, stored.ndim).assert_equals(stored.rows, ordered=False)
        assert_same_tables(tables_of(points), expected_tables(stored.keywords))
        batches = [rows_of(batch, stored.ndim) for batch in store[0].iter(batch_rows=7)]
        names = stored.rows.columns
        together = Rows({name: np.concatenate([batch.columns[name] for batch in batches]) for name in names})
        together.assert_equals(stored.rows, ordered=False)


def check_boxes(stored: Stored) -> None:
    with zv.open(str(stored.path)) as store:
        for name, box in boxes(stored.keywords).items():
            expected = stored.rows.take(inside(stored.rows, box))
            rows_of(store[0].read(bbox=box), stored.ndim).assert_equals(expected, ordered=False)
            assert store[0].count(bbox=box) == len(expected), name


def check_objects(stored: Stored) -> None:
    if "object_ids" not in stored.keywords:
        return
    ids = np.unique(stored.keywords["object_ids"])
    groups = stored.keywords.get("groups", {})
    box = boxes(stored.keywords)["middle"]
    with zv.open(str(stored.path)) as store:
        for wanted in (ids[:1].tolist(), ids[-1:].tolist(), ids[::2].tolist()):
            expected = stored.rows.take(owned(stored.rows, wanted))
            rows_of(store[0].read(object_ids=wanted), stored.ndim).assert_equals(expected, ordered=False)
            expected = expected.take(inside(expected, box))
            read = store[0].read(bbox=box, object_ids=wanted)
            rows_of(read, stored.ndim).assert_equals(expected, ordered=False)
        for group, members in groups.items():
            expected = stored.rows.take(owned(stored.rows, members))
            rows_of(store[0].read(group_ids=[group]), stored.ndim).assert_equals(expected, ordered=False)
            assert store[0].count(group_ids=[group]) == len(expected)


CHECKS = pytest.mark.parametrize(
    "check",
    [check_metadata, check_levels, check_input, check_boxes, check_objects],
    ids=["metadata", "levels", "input", "boxes", "objects"],
)


@CHECKS
@pytest.mark.parametrize("name", STORES)
def test_golden(name: str, check: Any) -> None:
    check(golden(name))


@CHECKS
@pytest.mark.parametrize("name", ["points", "points_binned"])
def test_reference(name: str, check: Any) -> None:
    if not (REFERENCE / name).is_dir():
        pytest.skip("the reference stores are not beside this repository; tests/golden has their like")
    check(golden(name, REFERENCE))


@CHECKS
@pytest.mark.parametrize("live", LIVE, indirect=True)
def test_live(live: Stored, check: Any) -> None:
    check(live)


@pytest.mark.parametrize("live", [name for name in LIVE if CASES[name].peer_boxes], indirect=True)
def test_the_facade_reads_like_that_of_0_9_2(live: Stored, peer: Peer) -> None:
    names = live.levels[0]["describe"]["attributes"]
    box = boxes(live.keywords)["between points" if len(live.rows) else "everything"]
    selections: list[dict[str, Any]] = [{}, {"attribute_names": names}, {"attribute_names": names, "bbox": box}]
    if "object_ids" in live.keywords:
        ids = np.unique(live.keywords["object_ids"])[::2].tolist()
        selections += [{"object_ids": ids}, {"object_ids": ids, "bbox": box, "attribute_names": names}]
    if "groups" in live.keywords:
        selections.append({"group_ids": [0, 4], "attribute_names": names})
    for selection in selections:
        theirs, ours = peer.read_points(live.path, **selection), read_points(str(live.path), **selection)
        assert theirs.keys() <= set(ours)
        assert ours["vertex_count"] == theirs["vertex_count"]
        keep_ids = "object_ids" in theirs
        ours_rows, their_rows = rows_of(ours, live.ndim, ids=keep_ids), rows_of(theirs, live.ndim, ids=keep_ids)
        ours_rows.assert_equals(their_rows, ordered=not keep_ids)


def test_the_golden_stores_are_complete() -> None:
    """Each has its expectations, and each case has its store; ``make golden`` makes what is missing."""
    folders = sorted(path.name for path in GOLDEN.iterdir() if (path / "zarr.json").is_file())
    assert folders == STORES == sorted(CASES)
