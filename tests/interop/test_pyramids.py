"""Our pyramids for 0.9.2: it finds no errors in them and reads every level."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest

import zarr_vectors as zv
from tests.interop.peer import Peer
from tests.pyramid.samples import KINDS, sample
from tests.pyramid.test_mesh_levels import two_surfaces
from zarr_vectors.multiresolution.coarsen import coarsen_level

LAYOUT = zv.Layout(chunk_shape=20)


@pytest.mark.parametrize("kind", KINDS)
def test_every_level_is_sound_and_read(kind: str, peer: Peer, tmp_path: Path) -> None:
    place = tmp_path / "store"
    value = sample(kind)
    zv.write(place, value, layout=LAYOUT)
    zv.open(place, "r+").build_pyramid([(2, 1), (2, 2)])
    assert peer.validate(place)["errors"] == []
    facts = peer.call("levels", path=str(place))
    assert facts["numbers"] == [0, 1, 2]
    for level in zv.open(place):
        if kind in ("points", "cloud"):
            got = peer.read_points(place, level=level.number)
            assert rows(got["positions"]) == rows(level.read().positions)


def test_points_that_are_appended_after_bins_were_chosen(peer: Peer, tmp_path: Path) -> None:
    place = tmp_path / "store"
    zv.write(place, sample("cloud"), layout=LAYOUT, bounds=([0] * 3, [100] * 3))
    zv.open(place, "r+").build_pyramid([(2, 1)])
    zv.write(place, sample("cloud", seed=5), mode="append")
    assert peer.validate(place)["errors"] == []
    assert rows(peer.read_points(place)["positions"]) == rows(zv.open(place)[0].read().positions)


def rows(positions: Any) -> list[Any]:
    return sorted(map(tuple, np.asarray(positions).tolist()))


def test_levels_on_top_of_those_of_the_other(peer: Peer, tmp_path: Path) -> None:
    place = tmp_path / "store"
    zv.write(place, sample("points", plain=True), layout=LAYOUT)
    peer.build_pyramid(place, {"factors": [(2.0, 1.0)], "cross_level_storage": "none"})
    made = coarsen_level(place, 1, 2, coarsen_factor=2)
    assert made["max_error"] is None
    # Vertices that objects share are read with each of them.
    assert made["parent_vertices"] > zv.open(place)[1].vertex_count
    assert zv.open(place)[2].read().objects.tolist() == zv.open(place)[0].read().objects.tolist()
    assert peer.validate(place)["errors"] == []
    assert zv.validate(place).ok
    zv.open(place, "r+").build_pyramid([(2, 1)], replace=True)
    assert zv.open(place).levels == [0, 1]
    assert zv.open(place)[1].error_bound is not None
    assert peer.validate(place)["errors"] == []


def test_meshes_keep_their_faces(peer: Peer, tmp_path: Path) -> None:
    place = tmp_path / "store"
    zv.write(place, two_surfaces(objects=True), layout=zv.Layout(chunk_shape=10))
    zv.open(place, "r+").build_pyramid([(2, 1), (2, 1)])
    assert peer.validate(place)["errors"] == []
    for level in zv.open(place):
        ours = level.read()
        got = peer.call("read", path=str(place), reader="mesh", kwargs={"level": level.number})
        assert rows(got["vertices"]) == rows(ours.positions)
        assert triangles(got["vertices"], got["faces"]) == triangles(ours.positions, ours.faces)
        assert len(ours.faces)


def triangles(positions: Any, faces: Any) -> list[Any]:
    """Faces by the places of their corners, however they are turned."""
    corners = np.asarray(positions)[np.asarray(faces)].tolist()
    return sorted(min([*face[turn:], *face[:turn]] for turn in range(3)) for face in corners)


@pytest.mark.parametrize("by", ["object_id", "attribute:kind"])
def test_levels_with_an_axis_before_the_spatial_ones(by: str, peer: Peer, tmp_path: Path) -> None:
    place = tmp_path / "store"
    zv.write(place, sample("points"), layout=LAYOUT)
    zv.rechunk(place, zv.RechunkSpec(by))
    zv.open(place, "r+").build_pyramid([(2, 1), (2, 1)])
    assert peer.validate(place)["errors"] == []
    for level in zv.open(place):
        assert {len(key) for key in level.chunk_keys} == {4}
        got = peer.read_points(place, level=level.number)
        assert rows(got["positions"]) == rows(level.read().positions)


def test_stores_of_the_other_that_are_chunked_by_an_attribute(peer: Peer, tmp_path: Path) -> None:
    place, rng = tmp_path / "store", np.random.default_rng(3)
    keywords = {
        "positions": rng.uniform(0, 100, (300, 3)).astype("f4"),
        "chunk_shape": (25.0, 25.0, 25.0),
        "attributes": {"gene": rng.integers(0, 3, 300)},
        "chunk_by_attribute": "gene",
        "object_ids": np.arange(300) % 4,
    }
    peer.write_points(place, keywords)
    before = zv.open(place)[0].read()
    zv.open(place, "r+").build_pyramid([(8, 1)])
    store = zv.open(place)
    assert store[1].state.metadata.chunk_attribute_values == store[0].state.metadata.chunk_attribute_values
    whole = store[1].read()
    assert whole.attributes["count"].sum() == 300
    assert whole.vertex_count == 12, "one for each object and gene, as a bin holds everything"
    for gene in range(3):
        got = store[1].read(where={"gene": gene})
        assert got.attributes["count"].sum() == (before.attributes["gene"] == gene).sum()
        assert got.vertex_count == (whole.attributes["gene"] == gene).sum() == 4
    assert peer.validate(place)["errors"] == []
    assert zv.validate(place).ok
