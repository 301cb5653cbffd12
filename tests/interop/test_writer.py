"""What a writer adds to stores of either library: 0.9.2 and zarr-python find it on the right vertices and links."""

from __future__ import annotations

import shutil
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import zarr_vectors as zv
from tests.interop.kind_cases import KIND_CASES
from tests.interop.kind_compare import links_of, same, value_of
from tests.interop.peer import Peer
from tests.interop.zarr_cells import payloads
from tests.storage.stores import GOLDEN
from tests.types.clouds import files_of, values_of
from zarr_vectors.exceptions import ConventionError, InputError, StoreError
from zarr_vectors.geometry import Linked, Polylines
from zarr_vectors.typing import AnyArray

KINDS = sorted(folder.name for folder in (GOLDEN / "kinds").iterdir() if (folder / "zarr.json").is_file())
CLOUDS = ("binned_objects", "compressed_blosc", "four_d", "groups", "negative", "owners", "points", "sharded_binned")
OWN = ("lines_sharded", "polylines_flat", "streamlines", "graph", "skeleton_sharded", "mesh_sharded", "quads")


def of_positions(positions: AnyArray) -> AnyArray:
    """A value that only this vertex has."""
    weights = np.array([1.0, 1000.0, 7e5, 3e7])[: positions.shape[1]]
    return np.asarray(np.asarray(positions, dtype="f8") @ weights)


def of_ends(positions: AnyArray, links: AnyArray) -> AnyArray:
    """A value that tells which vertices a link connects, in which order."""
    ends = of_positions(positions)[links]
    return np.asarray((ends * (1 + np.arange(ends.shape[1]))).sum(axis=1))


def add(path: Path) -> Any:
    """Add attributes to all that a store has, worked out from what is read; what is read afterwards."""
    level = zv.open(str(path), "r+")[0]
    value = level.read()
    with level.writer() as writer:
        writer.add_attribute_sync("added", of_positions(value.positions))
        writer.add_attribute_sync("word", [f"w{row % 3}" if row % 5 else None for row in range(value.vertex_count)])
        if isinstance(value, Linked):
            writer.add_face_attribute_sync("ends", of_ends(value.positions, value.links))
        if level.has_objects:
            writer.add_object_attribute_sync("triple", level.objects.ids * 3.0)
    level = zv.open(str(path))[0]
    got = level.read()
    assert values_of(got.attributes["added"]) == of_positions(got.positions).tolist()
    if isinstance(got, Linked):
        assert values_of(got.link_attributes["ends"]) == of_ends(got.positions, got.links).tolist()
    if level.has_objects:
        assert values_of(level.objects.attributes["triple"]) == (level.objects.ids * 3.0).tolist()
    return got


def check_peer(peer: Peer, path: Path, got: Any) -> None:
    """0.9.2 reads the added values beside the same vertices, links and objects."""
    found = peer.call("content", path=str(path), level=0)
    positions = found["positions"]
    assert found["attributes"]["added"].ravel().tolist() == of_positions(positions).tolist()
    assert len(found["attributes"]["word"]) == got.vertex_count
    if isinstance(got, Linked) and len(got.links):
        expected = of_ends(positions, found["links"])
        assert found["link_attributes"]["ends"].ravel().tolist() == expected.tolist()
    if got.has_objects:
        told = peer.describe(path)
        ids = np.asarray(told["object_ids"], dtype="f8")
        assert np.ravel(told["object_attributes"]["triple"]).tolist() == (ids * 3).tolist()


def check_zarr(path: Path) -> None:
    """zarr-python finds as many values in each cell as there are vertices."""
    rows = payloads(path, "0/vertices")
    cells = payloads(path, "0/vertex_attributes/added")
    level = zv.open(str(path))[0]
    size = level.position_dtype.itemsize * len(level.axes)
    assert {key: len(cell) // 8 for key, cell in cells.items()} == {
        key: len(cell) // size for key, cell in rows.items()
    }


def verdict(peer: Peer, path: Path) -> Any:
    found = peer.validate(path)
    return found["errors"], found["warnings"]


@pytest.mark.parametrize("name", CLOUDS)
def test_attributes_added_to_clouds_of_0_9_2(name: str, peer: Peer, tmp_path: Path) -> None:
    path = tmp_path / "store"
    shutil.copytree(GOLDEN / name, path)
    before, value = verdict(peer, path), zv.open(str(path))[0].read()
    got = add(path)
    assert verdict(peer, path) == before
    assert (got.positions == value.positions).all()
    check_zarr(path)
    check_peer(peer, path, got)


REFUSED = {
    "chunked": "directed links",
    "chunked_offset": "directed links",
    "chunked_sharded": "directed links",
    "composite": "composite",
}


@pytest.mark.parametrize("name", KINDS)
def test_attributes_added_to_other_kinds_of_0_9_2(name: str, peer: Peer, tmp_path: Path) -> None:
    path = tmp_path / "store"
    shutil.copytree(GOLDEN / "kinds" / name, path)
    before, files = verdict(peer, path), files_of(path)
    if name in REFUSED:
        with pytest.raises((ConventionError, StoreError), match=REFUSED[name]):
            add(path)
        assert {key: data for key, data in files_of(path).items() if not key.startswith(".zv")} == files
        return
    value = zv.open(str(path))[0].read()
    got = add(path)
    assert verdict(peer, path) == before
    assert links_of(got, attributes=False) == links_of(value, attributes=False)
    if not zv.open(str(path))[0].state.metadata.leading_axes:
        check_peer(peer, path, got)


@pytest.mark.parametrize("name", OWN)
def test_attributes_added_to_our_stores(name: str, peer: Peer, tmp_path: Path) -> None:
    case, path = KIND_CASES[name], tmp_path / "store"
    value = value_of(case.kind, case.writer, case.live())
    zv.write(path, value, layout=zv.Layout(chunk_shape=10, shard_shape=2))
    got = add(path)
    assert verdict(peer, path) == ([], [])
    check_zarr(path)
    check_peer(peer, path, got)
    assert links_of(got, attributes=False) == links_of(value, attributes=False)


@pytest.mark.parametrize("name", ["polylines", "graph", "skeleton", "mesh"])
def test_vertices_and_attributes_appended_together(name: str, peer: Peer, tmp_path: Path) -> None:
    case, path = KIND_CASES[name], tmp_path / "store"
    value = value_of(case.kind, case.writer, case.live())
    owners = value.vertex_objects
    assert owners is not None
    half = owners < int(np.median(owners))
    zv.write(path, value.within(half), layout=zv.Layout(chunk_shape=10))
    level = zv.open(str(path), "r+")[0]
    old, new = level.read(), value.within(~half)
    with level.writer(out_of_bounds="expand") as writer:
        writer.append_vertices_sync(new)
        positions = np.concatenate([old.positions, new.positions])
        writer.add_attribute_sync("added", of_positions(positions))
        writer.add_attribute_sync("word", ["w"] * len(positions))
        if isinstance(old, Linked) and isinstance(new, Linked):
            ends = [of_ends(one.positions, one.links) for one in (old, new)]
            writer.add_face_attribute_sync("ends", np.concatenate(ends))
        ids = np.concatenate([level.objects.ids, np.unique(owners[~half])])
        writer.add_object_attribute_sync("triple", ids * 3.0)
    got = zv.open(str(path))[0].read()
    assert verdict(peer, path) == ([], [])
    check_zarr(path)
    check_peer(peer, path, got)
    same(without_added(got), value)


def without_added(value: Any) -> Any:
    names = {name: column for name, column in value.attributes.items() if name not in ("added", "word")}
    if isinstance(value, Polylines):
        return replace(value, attributes=names)
    field = "face_attributes" if isinstance(value, zv.Mesh) else "edge_attributes"
    links = {name: column for name, column in value.link_attributes.items() if name != "ends"}
    return replace(value, attributes=names, **{field: links})


def test_vertices_appended_to_a_cloud_of_0_9_2(peer: Peer, tmp_path: Path) -> None:
    path, rng = tmp_path / "store", np.random.default_rng(3)
    keywords = {
        "positions": rng.uniform(0, 30, (50, 3)).astype("f4"),
        "vertex_attributes": {"w": np.arange(50, dtype="f4")},
        "object_ids": np.arange(50) % 7,
        "object_attributes": {"s": np.arange(7.0)},
        "chunk_shape": (10, 10, 10),
    }
    peer.write_points(path, keywords)
    level = zv.open(str(path), "r+")[0]
    with level.writer() as writer:
        writer.add_attribute_sync("added", of_positions(level.read().positions))
        more = rng.uniform(5, 25, (20, 3)).astype("f4")
        done = writer.append_vertices_sync(more, object_ids=100 + np.arange(20) % 2)
        assert done["new_objects"] == 2
        writer.add_attribute_sync("word", ["a"] * 70)
        writer.add_object_attribute_sync("triple", [*(3.0 * np.arange(7)), 300.0, 303.0])
        with pytest.raises(InputError, match="already"):
            writer.add_attribute_sync("w", np.zeros(70))
    got = zv.open(str(path))[0].read()
    assert np.isnan(got.attributes["added"]).sum() == 20
    theirs = peer.read_points(path, object_ids=[100, 101], attribute_names=["w"])
    assert {tuple(row) for row in theirs["positions"].tolist()} == {tuple(row) for row in more.tolist()}
    assert peer.validate(path)["errors"] == []
    assert peer.describe(path)["vertex_count"] == 70


def test_draco_cells_of_0_9_2_are_left_alone(tmp_path: Path) -> None:
    path = tmp_path / "store"
    shutil.copytree(GOLDEN / "draco" / "crossing", path)
    level = zv.open(str(path), "r+")[0]
    with pytest.raises(ConventionError, match="Draco"), level.writer() as writer:
        writer.add_attribute_sync("a", np.zeros(level.vertex_count))
    with pytest.raises(ConventionError, match="Draco"), level.writer() as writer:
        writer.add_face_attribute_sync("a", np.zeros(level.link_count or 0))
