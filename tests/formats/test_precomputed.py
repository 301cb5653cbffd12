"""Neuroglancer precomputed folders, byte by byte and against CloudVolume."""

from __future__ import annotations

import gzip
import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.formats.trees import Level, random_parents, read, write
from zarr_vectors.axes import Axis
from zarr_vectors.exceptions import ExportError, IngestError
from zarr_vectors.formats.base import ReadOptions
from zarr_vectors.formats.precomputed import PRECOMPUTED
from zarr_vectors.formats.precomputed_properties import read_properties
from zarr_vectors.formats.registry import export, format_at, format_named
from zarr_vectors.geometry import Geometry, Graph, Mesh, Skeleton
from zarr_vectors.typing import AnyArray, JsonObject

NM = tuple(Axis(name, unit="nanometer") for name in "xyz")
UM = tuple(Axis(name, unit="micrometer") for name in "xyz")
ROWS = np.arange(12.0, dtype=np.float32).reshape(4, 3)


def skeleton_bytes(positions: AnyArray, edges: Any, *columns: AnyArray) -> bytes:
    edges = np.array(edges, dtype="<u4").reshape(-1, 2)
    counts = np.array([len(positions), len(edges)], dtype="<u4")
    parts = [counts, positions.astype("<f4"), edges, *columns]
    return b"".join(part.tobytes() for part in parts)


def folder_of(path: Path, info: Any, **files: bytes) -> Path:
    path.mkdir()
    (path / "info").write_text(json.dumps(info))
    for name, content in files.items():
        (path / name).write_bytes(content)
    return path


SKELETONS: JsonObject = {"@type": "neuroglancer_skeletons"}
RADII: JsonObject = SKELETONS | {
    "transform": [1, 0, 0, 0, 0, 1, 0, 0, 0, 0, 1, 0],
    "vertex_attributes": [
        {"id": "radius", "data_type": "float32", "num_components": 1},
        {"id": "kind", "data_type": "uint8", "num_components": 2},
    ],
}
MESHES: JsonObject = {"@type": "neuroglancer_legacy_mesh"}


def test_skeletons_are_read(tmp_path: Path) -> None:
    radii, kinds = np.array([1, 2, 3, 4], np.float32), np.arange(8, dtype=np.uint8)
    folder = folder_of(
        tmp_path / "s",
        RADII,
        **{
            "7": skeleton_bytes(ROWS, [[2, 0], [3, 1], [2, 1]], radii, kinds),
            "5": skeleton_bytes(ROWS[:2], [[0, 1]], radii[:2], kinds[:4]),
            "9": skeleton_bytes(ROWS[:0], [], radii[:0], kinds[:0]),
            "12.gz": gzip.compress(skeleton_bytes(ROWS[:1], [], radii[:1], kinds[:2])),
            "notes": b"not a segment",
        },
    )
    assert format_at(folder) is PRECOMPUTED
    source, (value,) = read(PRECOMPUTED, folder)
    assert isinstance(value, Skeleton)
    assert value.objects is not None
    assert value.objects.tolist() == [5, 7, 9, 12]
    assert value.object_ids is not None
    assert value.object_ids.tolist() == [5, 5, 7, 7, 7, 7, 12]
    assert value.parents.tolist() == [-1, 0, -1, 4, 2, 3, -1]
    assert value.positions.dtype == np.float32
    assert value.positions.tolist() == [*ROWS[:2].tolist(), *ROWS.tolist(), *ROWS[:1].tolist()]
    assert np.asarray(value.attributes["radius"]).tolist() == [1, 2, 1, 2, 3, 4, 1]
    assert value.attributes["kind"].shape == (7, 2)
    assert value.attributes["kind"].dtype == np.uint8
    assert source.axes == NM
    assert source.headers == {"precomputed": RADII}


def test_batches_hold_whole_segments(tmp_path: Path) -> None:
    files = {str(key): skeleton_bytes(ROWS[: key % 5], []) for key in range(1, 12)}
    folder = folder_of(tmp_path / "s", SKELETONS, **files)
    _, values = read(PRECOMPUTED, folder, batch_rows=5)
    assert [value.vertex_count for value in values] == [6, 5, 5, 5]
    assert [key for value in values for key in value.objects.tolist()] == list(range(1, 12))
    _, (whole,) = read(PRECOMPUTED, folder)
    assert np.concatenate([value.positions for value in values]).tolist() == whole.positions.tolist()


def test_circles_make_graphs_of_all(tmp_path: Path) -> None:
    ring, path = [[0, 1], [1, 2], [2, 0]], [[0, 1]]
    folder = folder_of(tmp_path / "s", SKELETONS, **{"1": skeleton_bytes(ROWS, path), "2": skeleton_bytes(ROWS, ring)})
    _, values = read(PRECOMPUTED, folder, batch_rows=1)
    assert [type(value) for value in values] == [Graph, Graph]
    assert [value.edges.tolist() for value in values] == [path, ring]


def test_a_transform_leads_to_nanometers_and_back(tmp_path: Path) -> None:
    info = SKELETONS | {"transform": [4, 0, 0, 10, 0, 4, 0, 20, 0, 0.5, 40, 30], "vertex_attributes": []}
    positions = np.random.default_rng(5).random((50, 3)).astype(np.float32) * 1000
    folder = folder_of(tmp_path / "s", info, **{"3": skeleton_bytes(positions, [])})
    source, (value,) = read(PRECOMPUTED, folder)
    wide = positions.astype(np.float64)
    want = np.stack([wide[:, 0] * 4 + 10, wide[:, 1] * 4 + 20, wide[:, 1] * 0.5 + wide[:, 2] * 40 + 30], axis=1)
    np.testing.assert_allclose(value.positions, want, rtol=1e-15)
    write(PRECOMPUTED, tmp_path / "t", value, headers=source.headers)
    assert (tmp_path / "t" / "3").read_bytes() == (folder / "3").read_bytes()
    assert json.loads((tmp_path / "t" / "info").read_text()) == info


@given(st.data())
def test_round_trip(tmp_path_factory: pytest.TempPathFactory, data: st.DataObject) -> None:
    count = data.draw(st.integers(0, 10))
    parents = random_parents(data.draw, count)
    owners = np.full(count, -1)
    while (owners < 0).any():
        owners = np.where(parents < 0, np.arange(count) % 4, owners[parents])
    value = Skeleton(
        np.random.default_rng(count).random((count, 3), dtype=np.float32),
        parents,
        object_ids=owners,
        attributes={"r": np.arange(count, dtype=np.float32), "k": np.arange(2 * count, dtype=np.int16).reshape(-1, 2)},
        objects=[0, 1, 2, 3],
        object_attributes={"name": ["a", "b", "c", "d"], "size": np.array([1, 2, 3, 4], dtype=np.uint16)},
    )
    path = tmp_path_factory.mktemp("p") / "s"
    assert write(PRECOMPUTED, path, value, axes=NM) == count
    _, (back,) = read(PRECOMPUTED, path)
    rows = {point.tobytes(): row for row, point in enumerate(value.positions)}
    order = np.array([rows[point.tobytes()] for point in back.positions], dtype=np.int64)
    assert sorted(order.tolist()) == list(range(count))
    assert back.object_ids.tolist() == owners[order].tolist() == sorted(owners.tolist())
    for name in value.attributes:
        assert back.attributes[name].dtype == value.attributes[name].dtype
        assert back.attributes[name].tolist() == value.attributes[name][order].tolist()
    assert back.objects.tolist() == [0, 1, 2, 3]
    assert np.asarray(back.object_attributes["name"]).tolist() == ["a", "b", "c", "d"]
    assert back.object_attributes["size"].dtype == np.uint16
    # Edges do not say which vertex is the root; the first of each tree is.
    assert {(order[row], order[up] if up >= 0 else -1) for row, up in enumerate(back.parents.tolist())} == set(
        enumerate(parents.tolist())
    )
    again = path.with_name("t")
    write(PRECOMPUTED, again, back, axes=NM)
    assert [f.read_bytes() for f in sorted(again.glob("[0-9]"))] != [] or not count
    _, (same,) = read(PRECOMPUTED, again)
    assert same == back


def tetrahedron(**fields: Any) -> Mesh:
    return Mesh(ROWS, [[0, 1, 2], [3, 2, 1], [0, 2, 3]], **fields)


def test_meshes_go_out_and_come_back(tmp_path: Path) -> None:
    value = Mesh(
        np.concatenate([ROWS, ROWS + 5]),
        [[0, 1, 2], [7, 6, 5], [3, 2, 1]],
        object_ids=[8] * 4 + [2**62] * 4,
        objects=[8, 2**62, 4],
        groups={0: [8, 4], 1: [2**62]},
        group_attributes={"name": ["soma", "axon"]},
    )
    assert write(PRECOMPUTED, tmp_path / "m", value, axes=NM) == 8
    assert json.loads((tmp_path / "m" / "8:0").read_text()) == {"fragments": ["8:0:0"]}
    fragment = (tmp_path / "m" / "8:0:0").read_bytes()
    assert fragment == b"\4\0\0\0" + ROWS.tobytes() + np.array([0, 1, 2, 3, 2, 1], "<u4").tobytes()
    source, (back,) = read(PRECOMPUTED, tmp_path / "m")
    assert isinstance(back, Mesh)
    assert back.objects is not None
    assert back.objects.tolist() == [4, 8, 2**62]
    assert back.positions.tolist() == value.positions.tolist()
    assert back.faces.tolist() == [[0, 1, 2], [3, 2, 1], [7, 6, 5]]
    assert {key: members.tolist() for key, members in back.groups.items()} == {0: [4, 8], 1: [2**62]}
    assert np.asarray(back.group_attributes["name"]).tolist() == ["soma", "axon"]
    assert source.axes == NM


def test_fragments_are_joined(tmp_path: Path) -> None:
    one = b"\3\0\0\0" + ROWS[:3].tobytes() + np.array([2, 1, 0], "<u4").tobytes()
    files = {"5:0": b'{"fragments": ["a", "b"]}', "a": one, "b.gz": gzip.compress(one), "6:0": b'{"fragments": []}'}
    folder = folder_of(tmp_path / "m", MESHES, **files)
    _, (value,) = read(PRECOMPUTED, folder)
    assert value.faces.tolist() == [[2, 1, 0], [5, 4, 3]]
    assert value.objects.tolist() == [5, 6]
    assert value.object_ids.tolist() == [5] * 6


def test_units_are_converted(tmp_path: Path) -> None:
    skeleton = Skeleton(ROWS, [-1, 0, 0, 0], axes=UM)
    write(PRECOMPUTED, tmp_path / "s", skeleton)
    _, (back,) = read(PRECOMPUTED, tmp_path / "s")
    assert back.positions.tolist() == (ROWS.astype(float) * 1000).tolist()
    assert (tmp_path / "s" / "0").read_bytes()[8:56] == ROWS.tobytes()
    write(PRECOMPUTED, tmp_path / "m", tetrahedron(axes=UM))
    _, (back,) = read(PRECOMPUTED, tmp_path / "m")
    assert back.positions.tolist() == (ROWS * 1000).tolist()
    zyx = [Axis(name, unit="nanometer") for name in "zyx"]
    write(PRECOMPUTED, tmp_path / "r", tetrahedron(axes=zyx))
    assert read(PRECOMPUTED, tmp_path / "r")[1][0].positions.tolist() == ROWS[:, ::-1].tolist()


def test_customary_casts(tmp_path: Path) -> None:
    attributes = {"r": [0.1, 2, 3, 4], "k": [1, 2, 3, -4], "b": [True, False, True, True]}
    write(PRECOMPUTED, tmp_path / "s", Skeleton(ROWS.astype(np.float64) / 3, attributes=attributes))
    _, (back,) = read(PRECOMPUTED, tmp_path / "s")
    assert back.positions.tolist() == (ROWS.astype(np.float64) / 3).astype(np.float32).tolist()
    assert {name: column.dtype.name for name, column in back.attributes.items()} == {
        "r": "float32",
        "k": "int32",
        "b": "uint8",
    }
    assert back.attributes["k"].tolist() == [1, 2, 3, -4]


def one(**fields: Any) -> Skeleton:
    return Skeleton(ROWS[:2], [-1, 0], **fields)


@pytest.mark.parametrize(
    ("value", "fact"),
    [
        (one(object_ids=[-1, -1]), "numbered from 0"),
        (one(attributes={"label": ["a", "b"]}), "'label'"),
        (one(attributes={"when": np.array([1, 2], "M8[s]")}), "'when'"),
        (one(attributes={"big": [2**40, 1]}), "'big'"),
        (one(attributes={"big": np.array([1e300, 1])}), "'big'"),
        (one(attributes={"n": np.ma.MaskedArray([1, 2], mask=[True, False])}), "missing"),
        (one(edge_attributes={"w": [1.0]}), "edge attributes"),
        (one(object_ids=[1, 1], object_attributes={"w": [2**40]}), "32 bits"),
        (one(object_ids=[1, 1], object_attributes={"w": [np.nan]}), "missing"),
        (one(object_ids=[1, 1], object_attributes={"w": np.array([None], object)}), "missing"),
        (one(object_ids=[1, 1], groups={0: [1]}, group_attributes={"name": ["two words"]}), "words"),
        (one(object_ids=[1, 1], groups={0: [1]}, group_attributes={"size": [2]}), "tags"),
        (Skeleton(np.full((1, 3), 1e300)), "float32"),
        (Skeleton(np.zeros((1, 2)), axes="xy"), "three axes"),
        (Skeleton(np.zeros((1, 3)), axes=[Axis(name, unit="parsec") for name in "xyz"]), "nanometers"),
        (Graph(ROWS, [[0, 1]], directed=True), "direction"),
        (Graph(ROWS, [[0, 1]], edge_attributes={"w": [1]}), "edge attributes"),
        (tetrahedron(attributes={"w": [1, 2, 3, 4]}), "'w'"),
        (tetrahedron(face_attributes={"w": [1, 2, 3]}), "face attributes"),
        (Mesh(ROWS, [[0, 1, 2, 3]]), "triangles"),
    ],
)
def test_what_the_format_cannot_hold(value: Geometry, fact: str, tmp_path: Path) -> None:
    source = Level(value).level()
    with pytest.raises(ExportError, match=fact):
        export(source, tmp_path / "out", format="precomputed")
    assert list(tmp_path.iterdir()) == []


def test_an_object_in_two_batches_is_refused(tmp_path: Path) -> None:
    with pytest.raises(ExportError, match="two batches"):
        write(PRECOMPUTED, tmp_path / "s", one(object_ids=[1, 1]), one(object_ids=[1, 1]))
    assert format_named("precomputed", tmp_path / "anything") is PRECOMPUTED


GOOD = skeleton_bytes(ROWS, [[0, 1], [1, 2]], np.zeros(4, np.float32), np.zeros(8, np.uint8))


@pytest.mark.parametrize("size", [0, 3, 4, 7, 8, 20, 55, 56, 71, 72, 80, 95, len(GOOD) - 1])
def test_truncated_skeletons(size: int, tmp_path: Path) -> None:
    folder = folder_of(tmp_path / "s", RADII, **{"77": GOOD[:size]})
    with pytest.raises(IngestError, match=r"77 is truncated.*bytes"):
        read(PRECOMPUTED, folder)


@pytest.mark.parametrize(
    ("content", "fact"),
    [
        (GOOD + b"\0", "behind its end"),
        (b"\xff" * 8 + GOOD[8:], "truncated"),
        (GOOD[:64] + b"\4\0\0\0" + GOOD[68:], "at byte 64"),
        (GOOD[:8] + np.array([np.nan], np.float32).tobytes() + GOOD[12:], "finite"),
    ],
)
def test_bad_skeletons(content: bytes, fact: str, tmp_path: Path) -> None:
    folder = folder_of(tmp_path / "s", RADII, **{"77": content})
    with pytest.raises(IngestError, match=fact) as caught:
        read(PRECOMPUTED, folder)
    assert "77" in str(caught.value)


@pytest.mark.parametrize(
    ("files", "fact"),
    [
        ({"5:0": b"{"}, "JSON"),
        ({"5:0": b"[]"}, "JSON"),
        ({"5:0": b"[" * 100_000}, "JSON"),
        ({"5:0": b'{"fragments": "a"}'}, "JSON"),
        ({"5:0": b'{"fragments": [1]}'}, "JSON"),
        ({"5:0": b'{"fragments": ["a"]}'}, "a is not there"),
        ({"5:0": b'{"fragments": ["../a"]}'}, "its own folder"),
        ({"5:0": b'{"fragments": [".."]}'}, "its own folder"),
        ({"5:0": b'{"fragments": ["a"]}', "a": b"\0"}, "truncated"),
        ({"5:0": b'{"fragments": ["a"]}', "a": b"\1\0\0\0" + bytes(11)}, "truncated"),
        ({"5:0": b'{"fragments": ["a"]}', "a": b"\1\0\0\0" + bytes(20)}, "truncated"),
        ({"5:0": b'{"fragments": ["a"]}', "a": b"\1\0\0\0" + bytes(12) + b"\1" + bytes(11)}, "at byte 16"),
        ({"5:0": b'{"fragments": ["a"]}', "a.gz": b"no gzip"}, "uncompressed"),
        ({"5:0": b'{"fragments": ["a"]}', "a.gz": gzip.compress(b"12345678")[:-5]}, "uncompressed"),
    ],
)
def test_bad_meshes(files: dict[str, bytes], fact: str, tmp_path: Path) -> None:
    folder = folder_of(tmp_path / "m", MESHES, **files)
    with pytest.raises(IngestError, match=fact):
        read(PRECOMPUTED, folder)


@pytest.mark.parametrize(
    ("info", "fact"),
    [
        (SKELETONS | {"sharding": {"@type": "neuroglancer_uint64_sharded_v1"}}, "sharded"),
        ({"@type": "neuroglancer_multilod_draco"}, "multi-resolution"),
        ({"scales": [], "skeletons": "skel", "mesh": "mesh"}, "skel or mesh"),
        ({"@type": "other"}, "unknown @type"),
        ([1], "no JSON document"),
        (SKELETONS | {"transform": [1, 2]}, "12 finite numbers"),
        (SKELETONS | {"transform": "123456789012"}, "12 finite numbers"),
        (SKELETONS | {"vertex_attributes": {}}, "list"),
        (SKELETONS | {"vertex_attributes": [5]}, "vertex attribute"),
        (SKELETONS | {"vertex_attributes": [{"id": "r", "data_type": "float64", "num_components": 1}]}, "data_type"),
        (SKELETONS | {"vertex_attributes": [{"id": "r", "data_type": "uint8", "num_components": 0}]}, "data_type"),
        (SKELETONS | {"vertex_attributes": [{"id": "a/b", "data_type": "uint8", "num_components": 1}]}, "data_type"),
        (SKELETONS | {"vertex_attributes": RADII["vertex_attributes"] * 2}, "of one name"),
        (SKELETONS | {"segment_properties": 5}, "path"),
        (SKELETONS | {"segment_properties": "gone"}, "gone"),
    ],
)
def test_bad_info(info: Any, fact: str, tmp_path: Path) -> None:
    folder = folder_of(tmp_path / "s", info)
    with pytest.raises(IngestError, match=fact):
        PRECOMPUTED.open(folder, ReadOptions())


def test_documents_that_are_nested_too_deeply(tmp_path: Path) -> None:
    skeletons = folder_of(tmp_path / "s", SKELETONS | {"segment_properties": "told"})
    told = folder_of(skeletons / "told", {})
    for folder in (told, skeletons):
        (folder / "info").write_bytes(b"[" * 100_000)
    with pytest.raises(IngestError, match="no JSON document"):
        PRECOMPUTED.open(skeletons, ReadOptions())
    with pytest.raises(IngestError, match="does not hold segment properties"):
        read_properties(told)


def properties(*entries: JsonObject, ids: Any = ("3", "1")) -> JsonObject:
    return {"@type": "neuroglancer_segment_properties", "inline": {"ids": list(ids), "properties": list(entries)}}


@pytest.mark.parametrize(
    "info",
    [
        {},
        [],
        properties() | {"@type": "other"},
        properties(ids=["x", "1"]),
        properties(ids=["1", "1"]),
        properties(ids=[str(2**63)]),
        properties({"id": "a", "type": "string", "values": ["x"]}),
        properties({"id": "a", "type": "string", "values": ["x", 5]}),
        properties({"id": "a", "type": "colour", "values": ["x", "y"]}),
        properties({"id": "a", "type": "number", "data_type": "float64", "values": [1, 2]}),
        properties({"id": "a", "type": "number", "data_type": "uint8", "values": [1, 256]}),
        properties({"id": "a", "type": "number", "data_type": "uint8", "values": [1, "x"]}),
        properties({"id": "a/b", "type": "string", "values": ["x", "y"]}),
        properties({"id": "tags", "type": "tags", "tags": ["x"], "values": [[0], [1]]}),
    ],
)
def test_bad_properties(info: Any, tmp_path: Path) -> None:
    folder = folder_of(tmp_path / "segment_properties", info)
    with pytest.raises(IngestError, match="info"), np.errstate(invalid="ignore"):
        read_properties(folder)


def test_segments_without_properties(tmp_path: Path) -> None:
    folder = folder_of(
        tmp_path / "s",
        SKELETONS | {"segment_properties": "p"},
        **{"1": skeleton_bytes(ROWS, []), "2": skeleton_bytes(ROWS, [])},
    )
    entries: list[JsonObject] = [
        {"id": "label", "type": "label", "values": ["three", "one"]},
        {"id": "size", "type": "number", "data_type": "int8", "values": [3, 1]},
        {"id": "mean", "type": "number", "data_type": "float32", "values": [3.5, 1.5]},
    ]
    folder_of(folder / "p", properties(*entries))
    _, (value,) = read(PRECOMPUTED, folder)
    assert np.asarray(value.object_attributes["label"]).tolist() == ["one", None]
    assert value.object_attributes["size"].tolist() == [1, None]
    assert value.object_attributes["mean"][0] == 1.5
    assert np.isnan(value.object_attributes["mean"][1])


def test_an_empty_folder(tmp_path: Path) -> None:
    for name, info in (("s", RADII), ("m", MESHES)):
        _, (value,) = read(PRECOMPUTED, folder_of(tmp_path / name, info))
        assert value.vertex_count == 0
        write(PRECOMPUTED, tmp_path / f"{name}2", value, axes=NM)
        _, (back,) = read(PRECOMPUTED, tmp_path / f"{name}2")
        assert back == value


def test_cloudvolume_agrees_on_skeletons(tmp_path: Path) -> None:
    cloudvolume = pytest.importorskip("cloudvolume", reason="pip install cloud-volume, in an environment of its own")
    info = cloudvolume.CloudVolume.create_new_info(
        1, "segmentation", "uint64", "raw", [1, 1, 1], [0, 0, 0], [64, 64, 64], skeletons="skel"
    )
    volume = cloudvolume.CloudVolume(f"file://{tmp_path}/v", info=info)
    volume.commit_info()
    value = Skeleton(
        ROWS, [-1, 0, 1, 1], object_ids=[42] * 4, attributes={"radius": np.array([1, 2, 3, 4], np.float32)}, axes=NM
    )
    write(PRECOMPUTED, tmp_path / "v" / "skel", value)
    theirs = cloudvolume.CloudVolume(f"file://{tmp_path}/v").skeleton.get(42)
    assert theirs.vertices.tolist() == ROWS.tolist()
    assert {*map(frozenset, theirs.edges.tolist())} == {*map(frozenset, value.edges.tolist())}
    assert theirs.radius.tolist() == [1, 2, 3, 4]
    (tmp_path / "v" / "skel" / "42").unlink()
    volume = cloudvolume.CloudVolume(f"file://{tmp_path}/v")
    volume.skeleton.upload(theirs)
    _, (back,) = read(PRECOMPUTED, tmp_path / "v" / "skel", attributes=("radius",))
    assert back.positions.tolist() == ROWS.tolist()
    assert back.parents.tolist() == value.parents.tolist()
    assert back.attributes["radius"].tolist() == [1, 2, 3, 4]


def test_cloudvolume_agrees_on_meshes(tmp_path: Path) -> None:
    cloudvolume = pytest.importorskip("cloudvolume", reason="pip install cloud-volume, in an environment of its own")
    info = cloudvolume.CloudVolume.create_new_info(
        1, "segmentation", "uint64", "raw", [1, 1, 1], [0, 0, 0], [64, 64, 64], mesh="mesh"
    )
    volume = cloudvolume.CloudVolume(f"file://{tmp_path}/v", info=info)
    volume.commit_info()
    write(PRECOMPUTED, tmp_path / "v" / "mesh", tetrahedron(object_ids=[42] * 4, axes=NM))
    theirs = cloudvolume.CloudVolume(f"file://{tmp_path}/v").mesh.get(42)
    theirs = theirs[42] if isinstance(theirs, dict) else theirs
    assert theirs.vertices.tolist() == ROWS.tolist()
    # CloudVolume sorts triangles, and keeps the order of corners.
    assert sorted(theirs.faces.tolist()) == sorted(tetrahedron().faces.tolist())
    (tmp_path / "v" / "mesh" / "42:0:0").write_bytes(theirs.to_precomputed())
    _, (back,) = read(PRECOMPUTED, tmp_path / "v" / "mesh")
    assert back.faces.tolist() == theirs.faces.tolist()
