"""The low-level interface and 0.9.2: stores changed through it are as whole there as here."""

from __future__ import annotations

import json
import shutil
from collections import Counter
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import zarr_vectors as zv
from tests.interop.kind_compare import keys_of, links_of, told_links
from tests.interop.peer import Peer
from zarr_vectors.core.store import (
    add_resolution_level,
    list_available_ratios,
    list_resolution_levels,
    open_store,
    read_level_metadata,
    read_root_metadata,
    remove_resolution_level,
    set_bounds,
)
from zarr_vectors.geometry import Geometry, Linked, Polylines

GOLDEN = Path(__file__).resolve().parents[1] / "golden"
STORES = {
    path.parent.relative_to(GOLDEN).as_posix(): path.parent
    for path in sorted([*GOLDEN.glob("*/zarr.json"), *GOLDEN.glob("kinds/*/zarr.json")])
}
SHRUNK = [
    *("points", "points_binned", "sharded_uneven", "groups", "text_attributes"),
    *("kinds/graph_directed_duplicate", "kinds/graph_sharded", "kinds/lines", "kinds/polylines"),
    *("kinds/streamlines_sharded", "kinds/skeleton", "kinds/chunked", "kinds/mesh_sharded", "kinds/quads_duplicate"),
]


def copied(name: str, tmp_path: Path) -> Path:
    return Path(shutil.copytree(STORES[name], tmp_path / "store"))


def attribute_rows(value: Geometry) -> Counter[Any]:
    columns = [[str(row) for row in np.asarray(value.attributes[name]).tolist()] for name in sorted(value.attributes)]
    return Counter(zip([tuple(row) for row in value.positions.tolist()], *columns, strict=True))


def link_rows(value: Geometry) -> Counter[str]:
    """Links as text, for which an attribute that is not a number equals itself."""
    return Counter(map(str, links_of(value).elements()))


def half(path: Path) -> tuple[list[float], list[float]]:
    """The lower half of a store's box along its first axis."""
    low, high = (list(corner) for corner in read_root_metadata(open_store(path)).bounds)
    high[0] = (low[0] + high[0]) / 2
    return low, high


@pytest.mark.parametrize("name", SHRUNK)
def test_shrunk_stores_of_0_9_2_are_whole(name: str, peer: Peer, tmp_path: Path) -> None:
    path = copied(name, tmp_path)
    box = half(path)
    want = zv.open(path)[0].read(box, mode="vertices")
    ids = zv.open(path)[0].objects.ids.tolist() if zv.open(path)[0].has_objects else []
    set_bounds(open_store(path, mode="r+"), box, force=True)
    level = zv.open(path)[0]
    got = level.read()
    if isinstance(want, zv.Lines):
        want = want.take(want.lengths == 2)
    assert attribute_rows(got) == attribute_rows(want)
    if isinstance(want, Linked):
        assert link_rows(got) == link_rows(want)
    if isinstance(want, Polylines):
        parts = sorted(keys_of(line) for line in want.lines())
        assert sorted(keys_of(line) for line in got.lines() if len(line)) == parts
    assert set(ids) <= set(level.objects.ids.tolist() if level.has_objects else [])
    assert level.vertex_count == want.vertex_count
    assert peer.validate(path)["errors"] == []
    described = peer.describe(path)
    assert described["vertex_count"] == want.vertex_count
    assert [list(corner) for corner in described["bounds"]] == [list(corner) for corner in box]


@pytest.mark.parametrize(
    "name", ["points", "sharded_uneven", "kinds/mesh_sharded", "kinds/polylines", "kinds/pyramid", "pyramid"]
)
def test_grown_stores_of_0_9_2_are_whole(name: str, peer: Peer, tmp_path: Path) -> None:
    path = copied(name, tmp_path)
    metadata = read_root_metadata(open_store(path))
    low, high = (np.array(corner, dtype=float) for corner in metadata.bounds)
    edge = np.array(metadata.chunk_shape, dtype=float)
    before = peer.validate(path)
    chunks = peer.describe(path)["chunks"]
    want = zv.open(path)[0].read()
    set_bounds(open_store(path, mode="r+"), ((low - 3 * edge).tolist(), (high + 2 * edge).tolist()))
    assert attribute_rows(zv.open(path)[0].read()) == attribute_rows(want)
    assert peer.validate(path)["errors"] == before["errors"]
    assert peer.describe(path)["chunks"] == chunks


def test_levels_are_told_alike(peer: Peer, tmp_path: Path) -> None:
    path = tmp_path / "store"
    root = zv.create_store(path, bounds=([0, 0, 0], [128, 128, 128]), geometry_types=["point_cloud"])
    add_resolution_level(root, 1, (2, 2, 1))
    add_resolution_level(root, 2, 4, object_sparsity=0.5, parent_level=0)
    add_resolution_level(root, 3, 8)
    for _ in range(2):
        told = peer.call("levels", path=str(path))
        numbers = list_resolution_levels(root)
        assert told["numbers"] == numbers
        assert told["entries"] == [str(number) for number in numbers]
        assert [tuple(ratio) for ratio in told["ratios"]] == list_available_ratios(root)
        for number, (bins, ratio, chunk, sparsity, parent, method) in zip(numbers, told["metadata"], strict=True):
            ours = read_level_metadata(root, number)
            # Of level 0 it says no bins, which are those of the root.
            assert (bins if number else ours.bin_shape, chunk) == (
                ours.bin_shape,
                None if ours.chunk_shape is None else list(ours.chunk_shape),
            )
            assert [float(v) for v in ratio or ours.bin_ratio] == ours.bin_ratio
            assert (sparsity, parent, method) == (ours.object_sparsity, ours.parent_level, ours.coarsening_method)
        if 3 in numbers:
            remove_resolution_level(root, 3)
    verdict = peer.validate(path)
    assert verdict["errors"] == []


def test_a_level_of_0_9_2_is_removed_without_trace(peer: Peer, tmp_path: Path) -> None:
    path = copied("kinds/pyramid", tmp_path)
    root = open_store(path, mode="r+")
    last = list_resolution_levels(root)[-1]
    remove_resolution_level(root, last)
    assert peer.call("levels", path=str(path))["entries"] == [str(number) for number in range(last)]
    names = [file.relative_to(path).as_posix() for file in path.rglob("links/*") if file.is_dir()]
    targets = [int(name.partition("/")[0]) + int(name.rpartition("/")[2]) for name in names]
    assert targets
    assert max(targets) < last
    assert peer.validate(path)["errors"] == []


def test_an_explicit_skeleton_is_read_by_0_9_2(peer: Peer, tmp_path: Path) -> None:
    path = tmp_path / "store"
    zv.create_store(path, bounds=([0, 0], [10, 10]), chunk_shape=(5, 5), links_convention="explicit")
    positions = np.array([[1, 1], [2, 2], [8, 8], [3, 3], [9, 9]], dtype="f4")
    zv.write(path, zv.Skeleton(positions, [-1, 0, 1, 1, 2]), mode="append")
    assert peer.validate(path)["errors"] == []
    told = peer.call("read", path=str(path), reader="graph", kwargs={})
    value = zv.open(path)[0].read()
    assert told_links(told["positions"], told["edges"]) == links_of(value)


def test_what_the_group_writes_is_read_by_0_9_2(peer: Peer, tmp_path: Path) -> None:
    path = tmp_path / "store"
    level = zv.create_store(path, bounds=([-20, 0], [19, 39]), chunk_shape=(10, 10))["0"]
    keys = ["-2.0", "-1.3", "0.0", "1.1"]
    with level.batched_writes():
        level.create_sharded_chunk_array(
            "vertex_attributes/w", (4, 4), shard_shape=(2, 2), origin=(-2, 0), attributes={"mine": [1, None]}
        )
        for key in keys:
            level.write_bytes("vertex_attributes/w", key, key.encode() * 9)
        level.write_array("extra/typed", np.arange(12.0).reshape(3, 4), chunks=(2, 3), fill_value=float("nan"))
        level.write_vlen_array("extra/blobs", [b"", b"abc", bytes(70)], chunks=2)
    told = peer.call("group_calls", path=str(path), level=0, array="vertex_attributes/w")
    assert told["keys"] == level.list_chunks("vertex_attributes/w") == sorted(keys)
    assert [cell.tobytes() for cell in told["cells"]] == [key.encode() * 9 for key in sorted(keys)]
    assert told["attributes"] == level.read_array_attrs("vertex_attributes/w")
    assert told["children"] == level.children()
    np.testing.assert_array_equal(told["typed"], np.arange(12.0).reshape(3, 4))
    assert np.isnan(told["fill"])
    assert [blob.tobytes() for blob in told["blobs"]] == [b"", b"abc", bytes(70)]


def test_the_default_shell_is_that_of_0_9_2_but_for_codecs(tmp_path: Path) -> None:
    """``golden/empty`` was made by 0.9.2; what its writer stamped beside the shell is left aside."""
    zv.create_store(tmp_path / "store")
    root = json.loads((tmp_path / "store/zarr.json").read_text())["attributes"]
    assert list(root["zarr_vectors"]) == [
        "zv_version",
        "format_capabilities",
        "chunk_shape",
        "bounds",
        "geometry_types",
    ]
    assert root["zarr_vectors"]["bounds"] == [[0.0] * 3, [128.0] * 3]
    level = json.loads((tmp_path / "store/0/zarr.json").read_text())["attributes"]["zarr_vectors_level"]
    assert level == {
        "level": 0,
        "object_sparsity": 1.0,
        "vertex_count": 0,
        "coarsening_method": "none",
        "parent_level": None,
        "arrays_present": ["vertices"],
    }
