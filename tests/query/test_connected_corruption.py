"""Damage to connected geometry is named, and never makes a connection that was not written."""

from __future__ import annotations

import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import zarr_vectors as zv
from tests.query.connected import link_values, numbers, parts_of
from tests.query.damage import edit, flip, stored
from zarr_vectors.encoding.blobs import Blobs
from zarr_vectors.encoding.codecs import vlen_frame
from zarr_vectors.exceptions import CorruptionError, MetadataError
from zarr_vectors.geometry import Graph, Mesh, Polylines, Skeleton

DAMAGE: dict[str, Callable[[Path], Any]] = {
    "gone": lambda path: path.unlink(),
    "cut": lambda path: path.write_bytes(path.read_bytes()[:-3]),
    "flipped": lambda path: flip(path, path.stat().st_size // 2),
}
damages = pytest.mark.parametrize("damage", DAMAGE)
SHARDS = {"unsharded": None, "sharded": 2}
VERTICES = ["vertices", "vertex_fragments", "vertex_attributes/row", "fragment_attributes/object_id"]


def value_of(kind: str) -> Any:
    """Eighty vertices; parents are rarely the vertex before, but sometimes they are."""
    rng = np.random.default_rng(3)
    at = rng.uniform(0, 8, (80, 2)).round(3)
    columns: dict[str, Any] = {"row": np.arange(80)}
    if kind == "polyline":
        return Polylines(at, [0, 50, 51, 80], ids=[4, 2, 9], attributes=columns)
    if kind == "skeleton":
        parents = [-1, *(row - 1 if row % 4 else int(rng.integers(0, row)) for row in range(1, 80))]
        return Skeleton(at, parents, attributes=columns)
    links = rng.integers(0, 80, (40, 2 if kind == "graph" else 3))
    if kind == "graph":
        return Graph(at, links, attributes=columns, edge_attributes={"link": np.arange(40)})
    return Mesh(at, links, attributes=columns, face_attributes={"link": np.arange(40)})


@pytest.fixture(scope="module")
def originals(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("connected")
    for kind in ("polyline", "graph", "skeleton", "mesh"):
        for name, shard in SHARDS.items():
            zv.write(folder / f"{kind}-{name}", value_of(kind), layout=zv.Layout(chunk_shape=3, shard_shape=shard))
    return folder


@pytest.fixture(params=list(SHARDS))
def copied(request: pytest.FixtureRequest, originals: Path, tmp_path: Path) -> Callable[[str], Path]:
    return lambda kind: Path(shutil.copytree(originals / f"{kind}-{request.param}", tmp_path / kind))


def segments_of(place: Path, family: str) -> list[str]:
    """Arrays of a family that have cells."""
    return sorted(
        folder.relative_to(place / "0").as_posix()
        for folder in (place / "0" / family).iterdir()
        if (folder / "c").is_dir()
    )


def assert_told(place: Path, array: str) -> Any:
    """Strict reads raise, others tell; returned is what is left."""
    level = zv.open(place)[0]
    with pytest.raises(CorruptionError) as caught:
        level.read()
    assert str(caught.value.array).startswith(f"0/{array}")
    assert caught.value.cell is not None or "shard" in caught.value.message
    assert caught.value.store == place.as_uri()
    if "attributes" not in array:
        with pytest.raises(CorruptionError):
            level.count(([None, None], [None, None]))
    left = level.read(strict=False)
    assert any(f"0/{array}" in error for error in left.errors)
    return left


@damages
@pytest.mark.parametrize("array", [*VERTICES, "fragment_attributes/object_offset"])
def test_a_damaged_cell_of_lines_is_told_and_no_line_is_joined_across_it(
    copied: Callable[[str], Path], array: str, damage: str
) -> None:
    place = copied("polyline")
    for path in stored(place, array)[::3]:
        DAMAGE[damage](path)
    level = zv.open(place)[0]
    with pytest.raises(CorruptionError) as caught:
        level.read()
    assert str(caught.value.array).startswith(f"0/{array}")
    value = value_of("polyline")
    row_of = {tuple(at): row for row, at in enumerate(value.positions.tolist())}
    for got in (level.read(strict=False), level.read(([1, 1], [6, 6]), mode="vertices", strict=False)):
        assert any(f"0/{array}" in error for error in got.errors)
        for _, line in enumerate(got.lines()):
            rows = [row_of[tuple(at)] for at in line.tolist()]
            assert rows == list(range(rows[0], rows[0] + len(rows))) if rows else True
            owners = {int(np.searchsorted([50, 51], row, side="right")) for row in rows}
            assert len(owners) <= 1


@damages
@pytest.mark.parametrize("kind", ["graph", "mesh", "skeleton"])
def test_a_damaged_cell_of_links_is_told_and_no_link_is_made_up(
    copied: Callable[[str], Path], kind: str, damage: str
) -> None:
    place = copied(kind)
    whole = {ends for ends, *_ in link_values(value_of(kind))}
    for array in segments_of(place, "links/0")[::9][:2]:
        path = stored(place, array)[0]
        data = path.read_bytes()
        DAMAGE[damage](path)
        left = assert_told(place, array)
        assert sorted(numbers(left)) == list(range(80))
        found = {ends for ends, *_ in link_values(left)}
        assert found < whole
        path.write_bytes(data)
    assert len(zv.open(place)[0].read().links) == len(value_of(kind).links)


@damages
@pytest.mark.parametrize("kind", ["graph", "mesh"])
def test_a_damaged_cell_of_link_attributes_leaves_the_links(
    copied: Callable[[str], Path], kind: str, damage: str
) -> None:
    place = copied(kind)
    value = value_of(kind)
    array = segments_of(place, "link_attributes/link/0")[0]
    DAMAGE[damage](stored(place, array)[0])
    left = assert_told(place, array)
    assert len(left.links) == len(value.links)
    rows = np.array(numbers(left))[left.links]
    known = ~np.ma.getmaskarray(np.ma.asarray(left.link_attributes["link"]))
    assert 0 < known.sum() < len(known)
    assert rows[known].tolist() == value.links[np.asarray(left.link_attributes["link"])[known]].tolist()
    assert len(zv.open(place)[0].read(link_attributes=[]).links) == len(value.links)


@damages
@pytest.mark.parametrize("kind", ["graph", "mesh", "skeleton"])
@pytest.mark.parametrize("array", ["vertices", "vertex_fragments"])
def test_a_damaged_cell_of_vertices_takes_its_links_along(
    copied: Callable[[str], Path], kind: str, array: str, damage: str
) -> None:
    place = copied(kind)
    DAMAGE[damage](stored(place, array)[0])
    left = assert_told(place, array)
    found = {ends for ends, *_ in link_values(left)}
    assert found < {ends for ends, *_ in link_values(value_of(kind))}
    assert 0 < left.vertex_count < 80


@damages
@pytest.mark.parametrize("kind", ["polyline", "graph", "skeleton", "mesh"])
def test_damaged_manifests_are_told_where_they_are_needed(
    copied: Callable[[str], Path], kind: str, damage: str
) -> None:
    place = copied(kind)
    DAMAGE[damage](stored(place, "object_index/manifests")[0])
    level = zv.open(place)[0]
    with pytest.raises(CorruptionError) as caught:
        level.read(object_ids=[4 if kind == "polyline" else 0])
    assert caught.value.array == "0/object_index/manifests"
    assert level.read(([0, 0], [9, 9]), mode="vertices").vertex_count == 80


@pytest.mark.parametrize("kind", ["graph", "mesh"])
def test_links_that_name_chunks_without_vertices_are_told(copied: Callable[[str], Path], kind: str) -> None:
    place = copied(kind)
    arrays = [path.parent for path in (place / "0").rglob("zarr.json") if (path.parent / "c").is_dir()]
    for array in arrays:
        if not array.relative_to(place / "0").parts[0].startswith("link"):
            edit(array / "zarr.json", drop_last_chunk)
    with pytest.raises((CorruptionError, MetadataError)):
        zv.open(place)[0].read()


def drop_last_chunk(document: Any) -> None:
    said = document["attributes"]
    if isinstance(said.get("nonempty_chunks"), list) and len(said["nonempty_chunks"]) > 1:
        said["nonempty_chunks"].pop()


@pytest.mark.parametrize("kind", ["graph", "skeleton", "mesh"])
def test_malformed_documents_of_links_are_told(copied: Callable[[str], Path], kind: str) -> None:
    place = copied(kind)
    family = place / "0/links/0/zarr.json"
    edit(family, lambda document: document["attributes"].update(link_width=7))
    with pytest.raises(MetadataError, match="links"):
        zv.open(place)[0].read()
    edit(family, lambda document: document["attributes"].update(link_width=3 if kind == "mesh" else 2))
    zv.open(place)[0].read()


def test_lines_of_an_undamaged_store_are_whole(copied: Callable[[str], Path]) -> None:
    got = zv.open(copied("polyline"))[0].read()
    assert parts_of(got) == sorted(parts_of(value_of("polyline")))


def test_codes_of_link_attributes_beyond_their_categories_are_told(tmp_path: Path) -> None:
    graph = Graph([[0.0], [1.0]], [[0, 1]], edge_attributes={"t": ["a"]})
    zv.write(tmp_path / "s", graph, layout=zv.Layout(chunk_shape=10, shard_shape=None))
    family = zv.open(tmp_path / "s")[0].state.links
    assert family is not None
    array = family.segments["0"].attributes["t"]
    assert array.codec is not None
    (path,) = stored(tmp_path / "s", "link_attributes/t/0/0")
    path.write_bytes(bytes(array.codec.encode(vlen_frame(Blobs.from_list([bytes([7])])))[0]))
    with pytest.raises(CorruptionError, match="codes") as caught:
        zv.open(tmp_path / "s")[0].read()
    assert caught.value.array == "0/link_attributes/t/0/0"
