"""Stores that we write: 0.9.2 opens them, finds no errors, and reads the same rows and tables as we do."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import zarr_vectors as zv
from tests.interop.cases import CASES, CRC32C, SPARSE_IDS
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
from zarr_vectors.types.points import read_points, write_points

GOLDEN = Path(__file__).resolve().parents[1] / "golden"
ALLOWED_WARNINGS = {
    "Point cloud but links array exists",  # of every point cloud: 0.9.2 takes a missing path for an empty array
    "resolution_0: no chunk data",  # of an empty cloud
}
# 0.9.2 reads a fragment of one axis as 1-D and then finds its shape wrong, in its own stores too.
ONE_AXIS_ERROR = re.compile(r"resolution_0: chunk \(-?\d+,\) fragment\[\d+\] shape \(\d+,\)")


@dataclass(frozen=True)
class Variant:
    """A case of the matrix, stored in some other way than the case says."""

    case: str
    suffix: str = ""
    layout: Mapping[str, Any] = field(default_factory=dict)

    def __str__(self) -> str:
        return self.case + self.suffix


AUTOMATIC = {"shard_shape": "auto"}
VARIANTS = [
    *(Variant(name) for name, case in CASES.items() if case.live),
    *(
        Variant(name, "-auto-shards", AUTOMATIC)
        for name in ("negative", "one_d", "four_d", "groups", "text_attributes")
    ),
    *(Variant(name, "-uncompressed", {"compressor": "none"}) for name in ("negative", "groups", "sharded_objects")),
    Variant("objects", "-shards-of-3", {"shard_shape": 3, "compressor": "blosc"}),
]


@dataclass(frozen=True)
class Written:
    """A store of ours and what went into it."""

    path: Path
    keywords: Keywords
    rows: Rows

    @property
    def ndim(self) -> int:
        return int(self.keywords["positions"].shape[1])

    @property
    def names(self) -> list[str]:
        return sorted(self.keywords.get("vertex_attributes", {}))


def with_known_groups(keywords: Keywords) -> dict[str, Any]:
    """The same keywords with no group naming an object that does not exist: we refuse what 0.9.2 takes."""
    groups = keywords.get("groups", {})
    known = {group: [member for member in members if member in SPARSE_IDS] for group, members in groups.items()}
    return {**keywords, "groups": known} if groups else dict(keywords)


def as_points(keywords: Keywords) -> zv.Points:
    return zv.Points(
        keywords["positions"],
        attributes=keywords.get("vertex_attributes", {}),
        object_ids=keywords.get("object_ids"),
        object_attributes=keywords.get("object_attributes", {}),
        groups=keywords.get("groups", {}),
        group_attributes=keywords.get("group_attributes", {}),
    )


def as_layout(keywords: Keywords, changes: Mapping[str, Any]) -> zv.Layout:
    given = {name: keywords.get(name) for name in ("chunk_shape", "bin_shape", "shard_shape", "compressor")}
    return zv.Layout(**{**given, **changes})


@pytest.fixture(scope="module")
def written(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Written:
    variant: Variant = request.param
    keywords = with_known_groups(CASES[variant.case].large())
    path = tmp_path_factory.mktemp("ours") / f"{variant}.zarrvectors"
    layout = as_layout(keywords, variant.layout)
    zv.write(str(path), as_points(keywords), layout=layout, bounds=keywords.get("bounds"))
    return Written(path, keywords, input_rows(keywords))


ONE_AXIS = "one_d"
"""The case whose boxes 0.9.2 cannot filter, whoever wrote it."""


def variants(*, objects: bool = False, groups: bool = False, peer_boxes: bool = False) -> pytest.MarkDecorator:
    """Run a test for the variants that have what it is about."""
    wanted = []
    for variant in VARIANTS:
        case = CASES[variant.case]
        needed = {"object_ids"} if objects else set()
        needed |= {"groups"} if groups else set()
        if needed <= case.golden().keys() and (case.name != ONE_AXIS or not peer_boxes):
            wanted.append(variant)
    return pytest.mark.parametrize("written", wanted, indirect=True, ids=str)


def assert_valid(peer: Peer, path: Path, ndim: int = 3) -> None:
    verdict = peer.validate(path, level=5)
    errors = [text for text in verdict["errors"] if ndim > 1 or not ONE_AXIS_ERROR.fullmatch(text)]
    assert errors == []
    assert set(verdict["warnings"]) <= ALLOWED_WARNINGS


def assert_peer_reads(peer: Peer, path: Path, expected: Rows, ndim: int) -> None:
    """0.9.2 reads these rows, whole and by object, in the same order as we do when whole."""
    names = [name.removeprefix("attribute ") for name in expected.columns if name.startswith("attribute ")]
    theirs = rows_of(peer.read_points(path, attribute_names=names), ndim)
    theirs.assert_equals(expected.without("object_ids"), ordered=False)
    with zv.open(str(path)) as store:
        rows_of(store[0].read(attributes=names), ndim, ids=False).assert_equals(theirs, ordered=True)
    if "object_ids" in expected.columns:
        ids = np.unique(expected.columns["object_ids"]).tolist()
        theirs = rows_of(peer.read_points(path, attribute_names=names, object_ids=ids), ndim)
        theirs.assert_equals(expected, ordered=False)


@variants()
def test_peer_finds_no_errors(written: Written, peer: Peer) -> None:
    assert_valid(peer, written.path, written.ndim)


@variants()
def test_peer_reads_the_same_rows(written: Written, peer: Peer) -> None:
    assert_peer_reads(peer, written.path, written.rows, written.ndim)


@variants(peer_boxes=True)
def test_peer_reads_the_same_boxes(written: Written, peer: Peer) -> None:
    rows = written.rows.without("object_ids")
    with zv.open(str(written.path)) as store:
        for name, box in boxes(written.keywords).items():
            theirs = rows_of(peer.read_points(written.path, attribute_names=written.names, bbox=box), written.ndim)
            theirs.assert_equals(rows.take(inside(rows, box)), ordered=False)
            ours = rows_of(store[0].read(bbox=box, attributes=written.names), written.ndim, ids=False)
            ours.assert_equals(theirs, ordered=False)
            assert store[0].count(bbox=box) == len(theirs), name


@variants(objects=True)
def test_peer_reads_the_same_objects(written: Written, peer: Peer) -> None:
    ids = np.unique(written.keywords["object_ids"])
    box = boxes(written.keywords)["middle"]
    with zv.open(str(written.path)) as store:
        for wanted in (ids[:1].tolist(), ids[-1:].tolist(), ids[::2].tolist(), ids[:2][::-1].tolist()):
            for region in (None, box):
                rows = written.rows.take(owned(written.rows, wanted))
                rows = rows if region is None else rows.take(inside(rows, region))
                theirs = peer.read_points(written.path, attribute_names=written.names, object_ids=wanted, bbox=region)
                rows_of(theirs, written.ndim).assert_equals(rows, ordered=False)
                ours = store[0].read(bbox=region, object_ids=wanted, attributes=written.names)
                rows_of(ours, written.ndim).assert_equals(rows, ordered=False)


@variants(groups=True)
def test_peer_reads_the_same_groups(written: Written, peer: Peer) -> None:
    groups = written.keywords["groups"]
    with zv.open(str(written.path)) as store:
        for wanted in [[group] for group in groups] + [sorted(groups)]:
            rows = written.rows.take(owned(written.rows, {member for group in wanted for member in groups[group]}))
            theirs = peer.read_points(written.path, attribute_names=written.names, group_ids=wanted)
            rows_of(theirs, written.ndim).assert_equals(rows, ordered=False)
            ours = store[0].read(group_ids=wanted, attributes=written.names)
            rows_of(ours, written.ndim).assert_equals(rows, ordered=False)


@variants()
def test_peer_sees_the_same_metadata_and_tables(written: Written, peer: Peer) -> None:
    described = peer.describe(written.path)
    assert_same_tables(described, expected_tables(written.keywords))
    with zv.open(str(written.path)) as store:
        assert_same_tables(tables_of(store[0].read()), expected_tables(written.keywords))
        assert described["levels"] == store.levels == [0]
        assert described["zv_version"] == store.zv_version
        assert [axis["name"] for axis in described["axes"]] == [axis.name for axis in store.axes]
        np.testing.assert_array_equal(described["bounds"], store.bounds)
        np.testing.assert_array_equal(described["chunk_shape"], store[0].chunk_shape)
    assert described["geometry_types"] == ["point_cloud"]
    assert described["vertex_count"] == len(written.rows)
    assert described["attributes"] == written.names
    cells = np.floor(written.keywords["positions"].astype(np.float64) / described["chunk_shape"]).astype(np.int64)
    assert sorted(described["chunks"]) == sorted({tuple(cell) for cell in cells.tolist()})


@variants(objects=True)
def test_stored_owners_agree_with_the_manifests(written: Written, peer: Peer) -> None:
    owners = peer.owners(written.path)
    assert owners["stored"].keys() == owners["derived"].keys()
    for chunk, derived in owners["derived"].items():
        np.testing.assert_array_equal(owners["stored"][chunk], derived)


@pytest.mark.parametrize("name", ["plain", "float64", "text_attributes", "groups", "sharded_objects", "binned"])
def test_the_facades_write_and_report_like_those_of_0_9_2(name: str, peer: Peer, tmp_path: Path) -> None:
    keywords = with_known_groups(CASES[name].large(rows=300, chunks=3))
    report = peer.write_points(tmp_path / "theirs", keywords)
    ours = write_points(str(tmp_path / "ours"), **keywords)
    assert {key: ours[key] for key in report} == report
    assert_valid(peer, tmp_path / "ours")
    assert_peer_reads(peer, tmp_path / "ours", input_rows(keywords), keywords["positions"].shape[1])
    result = read_points(str(tmp_path / "ours"), attribute_names=sorted(keywords.get("vertex_attributes", {})))
    theirs = peer.read_points(tmp_path / "ours", attribute_names=sorted(keywords.get("vertex_attributes", {})))
    assert theirs.keys() <= set(result)
    assert result["vertex_count"] == theirs["vertex_count"] == len(keywords["positions"])


# The cases that 0.9.2 stored without a compressor, whose output would depend on the version of its library.
UNCOMPRESSED = [name for name, case in CASES.items() if case.golden().get("compressor", []) in ([], CRC32C)]


def cell_files(store: Path) -> dict[str, bytes]:
    """The stored objects of the chunk-grid arrays that both packages write."""
    level = store / "0"
    families = [level / "vertices" / "c", level / "vertex_fragments" / "c", level / "vertex_attributes"]
    return {
        path.relative_to(level).as_posix(): path.read_bytes()
        for family in families
        for path in sorted(family.rglob("*"))
        if path.is_file() and path.name != "zarr.json"
    }


@pytest.mark.parametrize("name", UNCOMPRESSED)
def test_our_cells_have_the_bytes_of_the_golden_ones(name: str, tmp_path: Path) -> None:
    keywords = with_known_groups(CASES[name].golden())
    layout = as_layout(keywords, {"compressor": keywords.get("compressor", [])})
    zv.write(str(tmp_path / "ours"), as_points(keywords), layout=layout, bounds=keywords.get("bounds"))
    ours, theirs = cell_files(tmp_path / "ours"), cell_files(GOLDEN / name)
    assert ours.keys() == theirs.keys()
    assert [path for path in theirs if ours[path] != theirs[path]] == []


def three_batches() -> list[Keywords]:
    """Three parts of a cloud with objects, each further out than the one before, toward negative coordinates too."""
    keywords = CASES["objects"].large(rows=600, chunks=3)
    parts: list[Keywords] = []
    for number, shift in enumerate(([0.0, 0.0, 0.0], [-45.0, 5.0, -20.0], [75.0, -30.0, 0.0])):
        rows = slice(number * 200, number * 200 + 200)
        parts.append(
            {
                "positions": keywords["positions"][rows] + np.array(shift, dtype=np.float32),
                "object_ids": keywords["object_ids"][rows],
                "vertex_attributes": {"row": keywords["vertex_attributes"]["row"][rows]},
                "chunk_shape": keywords["chunk_shape"],
            }
        )
    return parts


def joined(parts: list[Keywords]) -> Rows:
    tables = [input_rows(part) for part in parts]
    return Rows({name: np.concatenate([table.columns[name] for table in tables]) for name in tables[0].columns})


@pytest.mark.parametrize("shard_shape", [None, 2, "auto"])
def test_a_store_grown_by_append(shard_shape: Any, peer: Peer, tmp_path: Path) -> None:
    path, parts = tmp_path / "grown", three_batches()
    layout = as_layout(parts[0], {"shard_shape": shard_shape})
    zv.write(str(path), as_points(parts[0]), layout=layout)
    for part in parts[1:]:
        zv.write(str(path), as_points(part), mode="append", out_of_bounds="expand", extend=True)
    assert_valid(peer, path)
    assert_peer_reads(peer, path, joined(parts), 3)


@pytest.mark.parametrize("shard_shape", [None, 2, "auto"])
def test_a_streamed_store(shard_shape: Any, peer: Peer, tmp_path: Path) -> None:
    path, parts = tmp_path / "streamed", three_batches()
    expected = joined(parts)
    low, high = (expected.columns["positions"].min(axis=0).tolist(), expected.columns["positions"].max(axis=0).tolist())
    layout = as_layout(parts[0], {"shard_shape": shard_shape})
    zv.write(str(path), (as_points(part) for part in parts), layout=layout, bounds=(low, high))
    assert_valid(peer, path)
    assert_peer_reads(peer, path, expected, 3)


@pytest.mark.parametrize("shard_shape", [None, "auto"])
@pytest.mark.parametrize(("before", "after"), [("groups", "two_d"), ("two_d", "groups"), ("negative", "plain")])
def test_a_replaced_store(before: str, after: str, shard_shape: Any, peer: Peer, tmp_path: Path) -> None:
    path, sharded = tmp_path / "replaced", {"shard_shape": shard_shape}
    first, second = (with_known_groups(CASES[name].large(300, 3)) for name in (before, after))
    zv.write(str(path), as_points(first), layout=as_layout(first, sharded))
    zv.write(str(path), as_points(second), mode="replace", layout=as_layout(second, sharded))
    assert_valid(peer, path)
    assert_peer_reads(peer, path, input_rows(second), second["positions"].shape[1])
    assert_same_tables(peer.describe(path), expected_tables(second))


def test_a_pyramid_that_0_9_2_builds_on_our_store(peer: Peer, tmp_path: Path) -> None:
    path, keywords = tmp_path / "pyramid", CASES["objects"].large(600, 3)
    zv.write(str(path), as_points(keywords), layout=as_layout(keywords, {}))
    peer.build_pyramid(path, {"factors": [(2.0, 2.0)], "sparsity_seed": 1})
    assert_valid(peer, path)
    assert_peer_reads(peer, path, input_rows(keywords), 3)
    ids = np.unique(keywords["object_ids"]).tolist()
    with zv.open(str(path)) as store:
        assert store.levels == [0, 1]
        whole, by_object = store[1].read(), store[1].read(object_ids=ids)
    rows_of(whole, 3, ids=False).assert_equals(rows_of(peer.read_points(path, level=1), 3), ordered=True)
    theirs = rows_of(peer.read_points(path, level=1, object_ids=ids), 3)
    rows_of(by_object, 3).assert_equals(theirs, ordered=False)


def test_a_typed_empty_store_that_is_filled(peer: Peer, tmp_path: Path) -> None:
    path, keywords = tmp_path / "created", CASES["negative"].large(300, 3)
    low, high = (corner.tolist() for corner in (keywords["positions"].min(axis=0), keywords["positions"].max(axis=0)))
    zv.create(
        str(path), kind="point_cloud", bounds=(low, high), attributes={"row": "int32"}, layout=as_layout(keywords, {})
    )
    assert_valid(peer, path)
    assert peer.read_points(path, attribute_names=["row"])["vertex_count"] == 0
    zv.write(str(path), as_points(keywords), mode="append")
    assert_valid(peer, path)
    assert_peer_reads(peer, path, input_rows(keywords), 3)


def test_what_we_add_does_not_disturb(peer: Peer, tmp_path: Path) -> None:
    path, keywords = tmp_path / "extras", CASES["objects"].large(300, 3)
    axes = [{"name": "z", "type": "space", "unit": "micrometer"}, "y", "x"]
    zv.write(
        str(path),
        as_points(keywords),
        layout=as_layout(keywords, {"keep_order": True}),
        axes=axes,
        crs={"type": "name", "properties": {"name": "EPSG:2992"}},
        headers={"las": {"version": "1.2", "point_format": 3}},
    )
    assert_valid(peer, path)
    described = peer.describe(path)
    assert described["axes"] == [axes[0], {"name": "y", "type": "space"}, {"name": "x", "type": "space"}]
    assert described["crs"] == {"type": "name", "properties": {"name": "EPSG:2992"}}
    assert described["attributes"] == ["row", "row_id"]
    rows = input_rows(keywords)
    numbered = Rows({**rows.columns, "attribute row_id": np.arange(len(rows), dtype=np.int64)})
    read = peer.read_points(path, attribute_names=["row", "row_id"], object_ids=list(SPARSE_IDS))
    rows_of(read, 3).assert_equals(numbered, ordered=False)
