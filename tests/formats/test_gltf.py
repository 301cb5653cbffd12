"""GLB and glTF: scenes as objects, what is refused, and that trimesh agrees in both directions."""

from __future__ import annotations

import base64
import json
import struct
from collections.abc import Iterator
from contextlib import suppress
from dataclasses import replace
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import numpy as np
import pytest
import trimesh
from hypothesis import given
from hypothesis import strategies as st

from tests.formats.mesh_tools import (
    CUBE,
    QUADS,
    bare_meshes,
    fetched,
    read_mesh,
    read_text,
    round_trip,
    same_mesh,
    shifted,
    write_mesh,
)
from zarr_vectors.axes import Axis, as_axes
from zarr_vectors.exceptions import ExportError, IngestError
from zarr_vectors.formats import gltf
from zarr_vectors.formats.base import ExportContext, ReadOptions
from zarr_vectors.formats.gltf import GLTF
from zarr_vectors.formats.meshes import name_column
from zarr_vectors.formats.ply import PLY
from zarr_vectors.geometry import Categorical, Mesh, Points
from zarr_vectors.typing import AnyArray

TRIANGLES = np.array([[0, 1, 2], [2, 1, 3]])
SQUARE = np.array([[0, 0, 0], [1, 0, 0], [0, 1, 0], [1, 1, 0]], np.float32)
CODES = {"b": 5120, "B": 5121, "h": 5122, "H": 5123, "I": 5125, "f": 5126}
TYPES = {1: "SCALAR", 2: "VEC2", 3: "VEC3", 4: "VEC4"}
AXES = tuple(Axis(name, unit="meter") for name in "xyz")


class Scene:
    """A document with one buffer, put together by hand."""

    def __init__(self) -> None:
        self.data = b""
        self.json: dict[str, Any] = {
            "asset": {"version": "2.0"},
            "scene": 0,
            "scenes": [{"nodes": [0]}],
            "nodes": [{"mesh": 0}],
            "meshes": [{"primitives": []}],
            "accessors": [],
            "bufferViews": [],
        }

    def accessor(self, values: Any, code: str, **more: Any) -> int:
        table = np.asarray(values, code).reshape(len(values), -1)
        self.json["bufferViews"].append({"buffer": 0, "byteOffset": len(self.data), "byteLength": table.nbytes})
        self.data += table.astype(table.dtype.newbyteorder("<")).tobytes()
        entry = {
            "bufferView": len(self.json["bufferViews"]) - 1,
            "componentType": CODES[code],
            "count": len(table),
            "type": TYPES[table.shape[1]],
        }
        self.json["accessors"].append(entry | more)
        return len(self.json["accessors"]) - 1

    def primitive(
        self, indices: Any = TRIANGLES, *, code: str = "H", mode: int | None = None, **attributes: int
    ) -> None:
        entry: dict[str, Any] = {"attributes": {"POSITION": self.accessor(SQUARE, "f"), **attributes}}
        if indices is not None:
            entry["indices"] = self.accessor(np.reshape(indices, -1), code)
        self.json["meshes"][0]["primitives"].append(entry | ({} if mode is None else {"mode": mode}))

    def glb(self) -> bytes:
        text = json.dumps(self.json | {"buffers": [{"byteLength": len(self.data)}]}).encode()
        text += b" " * (-len(text) % 4)
        data = self.data + bytes(-len(self.data) % 4)
        body = struct.pack("<II", len(text), 0x4E4F534A) + text + struct.pack("<II", len(data), 0x004E4942) + data
        return struct.pack("<4sII", b"glTF", 2, 12 + len(body)) + body

    def gltf(self, uri: str | None = None) -> bytes:
        inside = "data:application/octet-stream;base64," + base64.b64encode(self.data).decode()
        buffer = {"byteLength": len(self.data), "uri": inside if uri is None else uri}
        return json.dumps(self.json | {"buffers": [buffer]}).encode()


def triangles_of(scene: Any) -> AnyArray:
    """All triangles of a scene as trimesh places them."""
    triangles: AnyArray = scene.to_geometry().triangles
    return triangles


def text_of(column: Any) -> list[Any]:
    assert isinstance(column, Categorical)
    return list(np.asarray(column).tolist())


@pytest.mark.parametrize("code", ["B", "H", "I"])
def test_where_the_buffer_is(tmp_path: Path, code: str) -> None:
    scene = Scene()
    scene.primitive(code=code)
    (tmp_path / "a b.bin").write_bytes(scene.data)
    for content in (scene.glb(), scene.gltf(), scene.gltf("a%20b.bin"), b"\xef\xbb\xbf" + scene.gltf()):
        source, mesh = read_text(GLTF, tmp_path, content)
        np.testing.assert_array_equal(mesh.positions, SQUARE)
        np.testing.assert_array_equal(mesh.faces, TRIANGLES)
        assert mesh.positions.dtype == np.float32
        assert mesh.object_ids is None
        assert source.axes == AXES
        assert source.headers == {"gltf": {"ignored_elements": {}, "dropped": []}}


def test_transforms_add_up_and_mirrors_turn_faces(tmp_path: Path) -> None:
    scene = Scene()
    scene.primitive(NORMAL=scene.accessor(np.tile([0, 0, 1], (4, 1)), "f"))
    half = 0.5**0.5
    scene.json["scenes"] = [{}, {"nodes": [1]}]
    scene.json["scene"] = 1
    scene.json["nodes"] = [
        {"mesh": 0, "name": "low", "scale": [2, 1, -3]},
        # A quarter turn about z, then a shift.
        {"children": [0, 2], "rotation": [0, 0, half, half], "translation": [10, 20, 30]},
        {"mesh": 0, "matrix": [1, 0, 0, 0, 0, 1, 0, 0, 0, 0, 1, 0, 5, 6, 7, 1]},
    ]
    scene.json["meshes"][0]["name"] = "square"
    _, mesh = read_text(GLTF, tmp_path, scene.glb())
    assert mesh.object_ids is not None
    assert mesh.object_ids.tolist() == [0] * 4 + [1] * 4
    assert text_of(mesh.object_attributes["name"]) == ["low", "square"]
    first = [[10, 20, 30], [10, 22, 30], [9, 20, 30], [9, 22, 30]]
    second = [[4, 25, 37], [4, 26, 37], [3, 25, 37], [3, 26, 37]]
    np.testing.assert_allclose(mesh.positions, first + second, atol=1e-12)
    assert mesh.faces.tolist() == [[0, 2, 1], [2, 3, 1], [4, 5, 6], [6, 5, 7]]
    normals = np.asarray(mesh.attributes["normal"])
    np.testing.assert_allclose(normals, [[0, 0, -1]] * 4 + [[0, 0, 1]] * 4, atol=1e-6)
    # By the right-hand rule the faces look where their normals point.
    sides = mesh.positions[mesh.faces]
    cross = np.cross(sides[:, 1] - sides[:, 0], sides[:, 2] - sides[:, 0])
    assert (np.einsum("ij,ij->i", cross, normals[mesh.faces[:, 0]]) > 0).all()
    for rows in (1, 5, 8):
        same_mesh(read_mesh(GLTF, tmp_path / "in.glb", batch_rows=rows)[1], mesh)
    sizes = [batch.vertex_count for batch in GLTF.open(tmp_path / "in.glb", ReadOptions(batch_rows=3)).batches]
    assert sizes == [4, 4]


@pytest.mark.parametrize(
    ("mode", "indices", "faces"),
    [
        (4, None, [[0, 1, 2]]),
        (5, [0, 1, 2, 3, 0], [[0, 1, 2], [1, 3, 2], [2, 3, 0]]),
        (6, [0, 1, 2, 3], [[1, 2, 0], [2, 3, 0]]),
        (5, [0, 1], []),
    ],
)
def test_modes(tmp_path: Path, mode: int, indices: Any, faces: Any) -> None:
    scene = Scene()
    scene.primitive(indices, mode=mode)
    if indices is None:
        scene.json["accessors"][0]["count"] = 3
    scene.json["meshes"][0]["primitives"] += [{"attributes": {"POSITION": 0}, "mode": mode} for mode in (0, 1, 3)]
    source, mesh = read_text(GLTF, tmp_path, scene.glb())
    assert mesh.faces.tolist() == faces
    assert source.headers["gltf"]["ignored_elements"] == {"points": 1, "lines": 1, "line strip": 1}


def test_attributes_that_all_have_alike(tmp_path: Path) -> None:
    scene = Scene()
    colors = np.arange(16).reshape(4, 4)
    for code in "Bf":
        attributes: dict[str, Any] = {
            "COLOR_0": scene.accessor(colors, "B", normalized=True),
            "TEXCOORD_0": scene.accessor(colors[:, :2], code, normalized=code == "B"),
            "_LEVEL": scene.accessor([1, 2, 3, 4], "H"),
            "JOINTS_0": scene.accessor(colors, "B"),
        }
        if code == "B":
            attributes["_ONLY"] = scene.accessor([1, 2, 3, 4], "H")
        scene.primitive(**attributes)
    scene.json["meshes"][0]["primitives"][0]["targets"] = []
    scene.json["skins"] = [{}]
    source, mesh = read_text(GLTF, tmp_path, scene.glb())
    np.testing.assert_array_equal(mesh.attributes["color"], np.tile(colors, (2, 1)).astype(np.uint8))
    np.testing.assert_array_equal(mesh.attributes["LEVEL"], np.tile([1, 2, 3, 4], 2).astype(np.uint16))
    assert sorted(mesh.attributes) == ["LEVEL", "color"]
    assert source.headers["gltf"]["dropped"] == [
        "attribute TEXCOORD_0: not alike in all primitives",
        "attribute JOINTS_0",
        "attribute _ONLY: not alike in all primitives",
        "skins",
        "morph targets",
    ]
    assert not mesh.object_attributes
    assert list(read_text(GLTF, tmp_path, scene.glb(), attributes=("LEVEL",))[1].attributes) == ["LEVEL"]
    for options, message in (({"attributes": ("NO",)}, "NO"), ({"object_ids": "LEVEL"}, "object ids")):
        with pytest.raises(IngestError, match=rf"in\.glb.*{message}"):
            GLTF.open(tmp_path / "in.glb", ReadOptions(**options))


def test_strides_sparse_values_and_small_integers(tmp_path: Path) -> None:
    scene = Scene()
    scene.primitive()
    wide = np.zeros((4, 5), np.float32)
    wide[:, 1:4] = SQUARE
    interleaved = scene.accessor(wide.reshape(-1), "f")
    scene.json["bufferViews"][interleaved]["byteStride"] = 20
    scene.json["accessors"][0] = scene.json["accessors"].pop() | {"type": "VEC3", "count": 4, "byteOffset": 4}
    np.testing.assert_array_equal(read_text(GLTF, tmp_path, scene.glb())[1].positions, SQUARE)
    rows, values = scene.accessor([1, 3], "B"), scene.accessor([[7, 8, 9], [4, 5, 6]], "f")
    views = {"indices": {"bufferView": rows + 1, "componentType": 5121}, "values": {"bufferView": values + 1}}
    scene.json["accessors"][0]["sparse"] = {"count": 2, **views}
    wanted = SQUARE.copy()
    wanted[[1, 3]] = [[7, 8, 9], [4, 5, 6]]
    np.testing.assert_array_equal(read_text(GLTF, tmp_path, scene.glb())[1].positions, wanted)
    del scene.json["accessors"][0]["bufferView"]
    wanted[[0, 2]] = 0
    np.testing.assert_array_equal(read_text(GLTF, tmp_path, scene.glb())[1].positions, wanted)
    scene = Scene()
    scene.primitive()
    scene.accessor(SQUARE * 127, "b", normalized=True)
    scene.json["meshes"][0]["primitives"][0]["attributes"]["POSITION"] = 2
    scene.json["extensionsRequired"] = ["KHR_mesh_quantization"]
    np.testing.assert_array_equal(read_text(GLTF, tmp_path, scene.glb())[1].positions, SQUARE)


def test_nothing_to_see(tmp_path: Path) -> None:
    documents: list[dict[str, Any]] = [{}, {"nodes": [{}]}, {"scenes": [{}]}]
    for document in documents:
        _, mesh = read_text(GLTF, tmp_path, json.dumps({"asset": {"version": "2.0"}} | document).encode())
        assert (mesh.vertex_count, mesh.face_count, mesh.positions.dtype.name) == (0, 0, "float32")
    same_mesh(round_trip(GLTF, tmp_path, [mesh]), mesh)


def broken(change: Any) -> bytes:
    scene = Scene()
    scene.primitive(NORMAL=scene.accessor(SQUARE, "f"))
    change(scene.json)
    return scene.glb()


def put(path: str, value: Any) -> Any:
    def change(document: Any) -> None:
        *keys, last = [int(key) if key.isdigit() else key for key in path.split(".")]
        for key in keys:
            document = document[key]
        document[last] = value

    return change


BAD: list[tuple[bytes, str]] = [
    (b"", "is empty"),
    (b"\x00\x01\xff", "not a glTF file"),
    (b"{", "not a glTF file"),
    (b"[" * 200_000, "not a glTF file"),
    (b"[]", "not glTF"),
    (b"{}", "not glTF.*asset"),
    (b'{"asset":{"version":"1.0"}}', "version.*2.0.*1.0"),
    (b"glTF\x01\x00\x00\x00\x0c\x00\x00\x00", "version 2"),
    (b"glTF\x02\x00\x00\x00\x0c\x00\x00\x00", "JSON chunk first"),
    (broken(put("extensionsRequired", ["KHR_draco_mesh_compression"])), "KHR_draco.*decompress"),
    (broken(put("extensionsRequired", ["EXT_meshopt_compression"])), "EXT_meshopt"),
    (broken(put("nodes.0.extensions", {"EXT_mesh_gpu_instancing": {}})), "gpu_instancing"),
    (broken(put("nodes.0.mesh", 7)), "IndexError"),
    (broken(put("nodes.0.mesh", -1)), "index of the document is -1"),
    (broken(put("nodes.0.mesh", "a")), "index of the document is 'a'"),
    (broken(put("nodes.0.children", [0])), "no tree"),
    (broken(put("nodes", [{"children": [number + 1] * 2} for number in range(40)] + [{}])), "no tree.*places"),
    (broken(put("nodes.0.matrix", [1, 2])), "reshape"),
    (broken(put("nodes.0.rotation", [1, 2])), "ValueError"),
    (broken(put("nodes.0.scale", "abc")), "ValueError"),
    (broken(put("scene", 3)), "IndexError"),
    (broken(put("asset.extras", {"zarr_vectors": {"unit": 3}})), "unit is 3"),
    (broken(put("meshes.0.primitives.0.mode", 9)), "mode 9"),
    (broken(put("meshes.0.primitives.0.attributes.POSITION", 1000)), "IndexError"),
    (broken(put("meshes.0.primitives.0.attributes", {})), "POSITION"),
    (broken(put("accessors.0.componentType", 5130)), "KeyError: 5130"),
    (broken(put("accessors.0.type", "MAT3")), "MAT3"),
    (broken(put("accessors.0.count", 3)), "NORMAL has 3 entries for 4"),
    (broken(put("accessors.1.count", 5)), "bufferView 1 that is too short.*60 bytes"),
    (broken(put("accessors.1.count", 10**18)), "bufferView 1 that is too short"),
    (broken(put("accessors.1.count", -1)), "count -1"),
    (broken(put("accessors.1.byteOffset", -4)), "too short"),
    (broken(put("accessors.1.byteOffset", "4")), "TypeError"),
    (broken(put("accessors.1.type", "VEC2")), "2 channels"),
    (broken(put("accessors.2.count", 5)), "5 corners of triangles"),
    (broken(put("accessors.1", {"componentType": 5126, "count": 4, "type": "VEC3"})), "accessor without data"),
    (
        broken(put("accessors.1", {"componentType": 5126, "count": 10**12, "type": "VEC3", "sparse": {}})),
        "accessor without data",
    ),
    (broken(put("bufferViews.1.byteLength", 10**9)), "too short"),
    (broken(put("bufferViews.1.byteStride", 1)), "too short"),
    (broken(put("bufferViews.1.buffer", 1)), "IndexError"),
]


@pytest.mark.parametrize(("content", "message"), BAD, ids=[str(index) for index in range(len(BAD))])
def test_bad_files_are_refused(tmp_path: Path, content: bytes, message: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(gltf, "MOST_PLACES", 1000)
    with pytest.raises(IngestError, match=rf"in\.glb.*{message}"):
        read_text(GLTF, tmp_path, content)


def test_faces_beyond_the_vertices(tmp_path: Path) -> None:
    scene = Scene()
    scene.primitive([0, 1, 2, 0, 1, 4])
    with pytest.raises(IngestError, match=r"in\.glb.*0 to 3.*vertex 4 in face 1 of object 0"):
        read_text(GLTF, tmp_path, scene.glb())


@pytest.mark.parametrize(
    "uri", ["/etc/passwd", "../in.bin", "http://a/b.bin", "absent.bin", "a\0b", "", "data:,!", "data:"]
)
def test_buffers_of_other_places_are_refused(tmp_path: Path, uri: str) -> None:
    scene = Scene()
    scene.primitive()
    folder = tmp_path / "folder"
    folder.mkdir()
    (tmp_path / "in.bin").write_bytes(scene.data)
    with pytest.raises(IngestError, match=r"in\.glb"):
        read_text(GLTF, folder, scene.gltf(uri))


def test_truncation_is_found_wherever_it_is(tmp_path: Path) -> None:
    scene = Scene()
    scene.primitive()
    for content in (scene.glb(), scene.gltf()):
        for size in range(len(content)):
            with pytest.raises(IngestError, match=r"in\.glb"):
                read_text(GLTF, tmp_path, content[:size])


@given(data=st.data())
def test_any_document_is_read_or_refused(data: st.DataObject) -> None:
    scene = Scene()
    scene.primitive(NORMAL=scene.accessor(SQUARE, "f"))
    places: list[tuple[Any, Any]] = []

    def collect(value: Any) -> None:
        for key in list(value) if isinstance(value, dict) else range(len(value)) if isinstance(value, list) else ():
            places.append((value, key))
            collect(value[key])

    collect(scene.json)
    odd = st.sampled_from([None, -1, 0, 1, 2, 5126, 1e300, "", "VEC3", [], {}, [0], {"a": 1}, True, 2**63])
    for _ in range(data.draw(st.integers(1, 3))):
        holder, key = data.draw(st.sampled_from(places))
        if isinstance(holder, list) or key in holder:
            holder[key] = data.draw(odd)
    with TemporaryDirectory() as folder, suppress(IngestError):
        read_text(GLTF, Path(folder), scene.glb())


@pytest.mark.parametrize("suffix", [".glb", ".gltf"])
@given(data=st.data(), mesh=bare_meshes(dtypes=(np.float32,), widths=(3,), least=1))
def test_meshes_go_out_and_come_back(suffix: str, data: st.DataObject, mesh: Mesh) -> None:
    if not mesh.face_count:
        mesh = replace(mesh, faces=np.zeros((1, 3), np.int64))
    rng = np.random.default_rng(data.draw(st.integers(0, 2**32 - 1)))
    rows = mesh.vertex_count
    attributes: dict[str, Any] = {
        "normal": rng.normal(size=(rows, 3)).astype(np.float32),
        "color": rng.integers(0, 256, (rows, data.draw(st.integers(3, 4))), np.uint8),
        "texcoord": rng.random((rows, 2), np.float32),
        "level": rng.integers(-99, 99, rows, np.int16),
        "pair": rng.integers(0, 99, (rows, 2), np.uint8),
    }
    kept = data.draw(st.sets(st.sampled_from(sorted(attributes))))
    mesh = replace(mesh, attributes={name: column for name, column in attributes.items() if name in kept}, axes=AXES)
    with TemporaryDirectory() as folder:
        path = write_mesh(GLTF, Path(folder) / f"out{suffix}", [mesh])
        same_mesh(read_mesh(GLTF, path)[1], mesh)


def two_objects() -> Mesh:
    faces = np.concatenate([TRIANGLES, TRIANGLES + 4])
    ids, positions = np.repeat([3, 7], 4), np.concatenate([SQUARE, SQUARE + 1])
    names = name_column(['one "', None])
    return Mesh(positions, faces, object_ids=ids, objects=[3, 7], object_attributes={"name": names}, axes="xyz")


@pytest.mark.parametrize("suffix", [".glb", ".gltf"])
def test_objects_in_batches_become_nodes(tmp_path: Path, suffix: str) -> None:
    mesh = two_objects()
    path = write_mesh(GLTF, tmp_path / f"out{suffix}", [mesh, shifted(mesh, 10)])
    _, back = read_mesh(GLTF, path)
    assert back.object_ids is not None
    assert back.object_ids.tolist() == np.repeat([0, 1, 2, 3], 4).tolist()
    assert text_of(back.object_attributes["name"]) == ['one "', None, 'one "', None]
    np.testing.assert_array_equal(back.positions, np.tile(mesh.positions, (2, 1)))
    np.testing.assert_array_equal(back.faces, np.concatenate([mesh.faces, mesh.faces + 8]))
    oracle = trimesh.load_scene(path, process=False)
    assert len(oracle.geometry) == 4
    # trimesh walks the nodes in an order of its own.
    left, right = (np.sort(t.reshape(-1, 9), axis=0) for t in (triangles_of(oracle), back.positions[back.faces]))
    np.testing.assert_array_equal(left, right)


def test_units_stay(tmp_path: Path) -> None:
    for unit in (None, "nanometer"):
        axes = tuple(Axis(name, unit=unit) for name in "zyx")
        path = write_mesh(GLTF, tmp_path / f"{unit}.glb", [Mesh(SQUARE, TRIANGLES, axes=axes)])
        source, back = read_mesh(GLTF, path)
        assert source.axes == tuple(Axis(name, unit=unit) for name in "xyz")
        np.testing.assert_array_equal(back.positions, SQUARE[:, ::-1])


MESH = Mesh(SQUARE, TRIANGLES)
REFUSED: list[tuple[Any, str]] = [
    ([Mesh(CUBE, QUADS)], "triangles only.*4 corners"),
    ([Mesh(CUBE * 1e300, [[0, 1, 2]])], "finite float32"),
    ([Mesh(SQUARE)], "without faces.*object 0"),
    ([replace(MESH, attributes={"a": np.ones(4)})], "'a'.*float64"),
    ([replace(MESH, attributes={"a": np.ones(4, np.uint32)})], "'a'.*uint32"),
    ([replace(MESH, attributes={"a": np.ones((4, 5), np.float32)})], "'a'.*shape"),
    ([replace(MESH, attributes={"a": np.ones((4, 1), np.float32)})], "'a'.*shape"),
    ([replace(MESH, attributes={"a": name_column(["x"] * 4)})], "'a'"),
    ([replace(MESH, attributes={"color": np.ones((4, 2), np.uint8)})], "'color'.*3 or 4"),
    ([replace(MESH, attributes={"": np.ones(4, np.uint8)})], "attribute name"),
    ([replace(MESH, face_attributes={"area": np.ones(2)})], "face attributes.*area"),
    ([replace(MESH, object_attributes={"volume": np.ones(1)})], "object attributes.*volume"),
    ([replace(MESH, groups={0: np.array([0])})], "groups"),
    ([MESH, replace(MESH, attributes={"a": np.ones(4, np.uint8)})], "same columns"),
    ([Mesh(np.zeros((3, 4)), [[0, 1, 2]], axes="tzyx")], "4 axes"),
    ([Points(SQUARE)], "holds meshes"),
]


@pytest.mark.parametrize(("meshes", "message"), REFUSED, ids=[str(index) for index in range(len(REFUSED))])
def test_what_gltf_cannot_hold_is_refused_and_no_file_left(tmp_path: Path, meshes: Any, message: str) -> None:
    with pytest.raises(ExportError, match=message):
        write_mesh(GLTF, tmp_path / "out.glb", meshes)
    assert not list(tmp_path.iterdir())


def test_a_batch_that_fails_leaves_no_file(tmp_path: Path) -> None:
    def batches() -> Iterator[Mesh]:
        yield MESH
        raise OSError("gone")

    with pytest.raises(OSError, match="gone"):
        GLTF.export(tmp_path / "out.glb", batches(), ExportContext(axes=as_axes("xyz", 3)))
    assert not list(tmp_path.iterdir())


@pytest.mark.parametrize("name", ["duck.glb", "cesium_man.glb", "dragon_attenuation.glb"])
def test_real_files_are_as_trimesh_reads_them(tmp_path: Path, name: str) -> None:
    _, mesh = read_mesh(GLTF, fetched(name))
    oracle = trimesh.load_scene(fetched(name), process=False)
    triangles = triangles_of(oracle)
    assert triangles.shape == mesh.positions[mesh.faces].shape
    left, right = (np.sort(t.reshape(-1, 9), axis=0) for t in (mesh.positions[mesh.faces], triangles))
    np.testing.assert_allclose(left, right, atol=1e-5 * np.abs(right).max())
    path = write_mesh(GLTF, tmp_path / "out.glb", [mesh])
    _, back = read_mesh(GLTF, path)
    np.testing.assert_array_equal(back.positions, mesh.positions.astype(np.float32))
    np.testing.assert_array_equal(back.faces, mesh.faces)
    for key, column in mesh.attributes.items():
        np.testing.assert_array_equal(back.attributes[key], column)


def test_draco_and_sparse_in_real_files() -> None:
    with pytest.raises(IngestError, match=r"box_draco\.glb.*KHR_draco_mesh_compression"):
        GLTF.open(fetched("box_draco.glb"), ReadOptions())
    _, mesh = read_mesh(GLTF, fetched("triangle_sparse.gltf"))
    assert (mesh.vertex_count, mesh.face_count) == (14, 12)
    # The three sparse rows stand out of the grid.
    assert mesh.positions[:, 1].max() > 1


def test_what_trimesh_writes_is_read(tmp_path: Path) -> None:
    sphere = trimesh.creation.icosphere(subdivisions=1)
    sphere.visual.vertex_colors = np.arange(4 * len(sphere.vertices), dtype=np.uint8).reshape(-1, 4)
    scene: Any = trimesh.Scene({"ball": sphere})
    scene.export(tmp_path / "in.glb")
    _, mesh = read_mesh(GLTF, tmp_path / "in.glb")
    np.testing.assert_allclose(mesh.positions, sphere.vertices, atol=1e-6)
    np.testing.assert_array_equal(mesh.faces, sphere.faces)
    np.testing.assert_array_equal(mesh.attributes["color"], sphere.visual.vertex_colors)
    assert text_of(mesh.object_attributes["name"]) == ["ball"]


def test_a_large_mesh_goes_out_and_comes_back(tmp_path: Path) -> None:
    _, mesh = read_mesh(PLY, fetched("stanford_bunny.ply"))
    same_mesh(replace(round_trip(GLTF, tmp_path, [mesh]), axes=mesh.axes), mesh)
