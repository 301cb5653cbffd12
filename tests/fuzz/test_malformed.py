"""Malformed models of the kinds that others collect: each is an error that names the file and the place in it."""

from __future__ import annotations

import base64
import json
import re
import struct
import time
from pathlib import Path
from typing import Any

import pytest

from tests.fuzz.test_crafted import bounded
from zarr_vectors.exceptions import IngestError
from zarr_vectors.formats.registry import ingest

CORNERS = "".join(f"v {n & 1} {n >> 1 & 1} {n >> 2}\n" for n in range(8))
ROWS = "".join(f"{n & 1} {n >> 1 & 1} {n >> 2}\n" for n in range(8))
PLY = "ply\nformat {} 1.0\nelement vertex {}\nproperty float x\nproperty float y\nproperty float z\n"
FACES = "element face {}\nproperty list uchar int vertex_indices\nend_header\n"
THREE = "0 0 0\n1 0 0\n0 1 0\n"
FACET = "facet normal 0 0 1\nouter loop\nvertex 0 0 0\nvertex 1 0 0\nvertex 0 1 0\nendloop\nendfacet\n"


def ply(body: str, *, vertices: Any = 3, faces: Any = 1, form: str = "ascii") -> bytes:
    return (PLY.format(form, vertices) + FACES.format(faces) + body).encode()


def binary(vertices: Any, faces: Any, data: bytes) -> bytes:
    return ply("", vertices=vertices, faces=faces, form="binary_little_endian") + data


def gltf(*, data: bytes = struct.pack("<9f3H", 0, 0, 0, 1, 0, 0, 0, 1, 0, 0, 1, 2), **changes: Any) -> bytes:
    """A triangle, with parts of its document changed."""
    document = {
        "asset": {"version": "2.0"},
        "scene": 0,
        "scenes": [{"nodes": [0]}],
        "nodes": [{"mesh": 0}],
        "meshes": [{"primitives": [{"attributes": {"POSITION": 0}, "indices": 1}]}],
        "accessors": [
            {"bufferView": 0, "componentType": 5126, "count": 3, "type": "VEC3"},
            {"bufferView": 1, "componentType": 5123, "count": 3, "type": "SCALAR"},
        ],
        "bufferViews": [
            {"buffer": 0, "byteLength": 36},
            {"buffer": 0, "byteOffset": 36, "byteLength": 6},
        ],
        "buffers": [{"byteLength": len(data), "uri": "data:;base64," + base64.b64encode(data).decode()}],
        **changes,
    }
    return json.dumps(document).encode()


def accessor(**changes: Any) -> dict[str, Any]:
    second = {"bufferView": 1, "componentType": 5123, "count": 3, "type": "SCALAR"}
    return {"accessors": [{"bufferView": 0, "componentType": 5126, "count": 3, "type": "VEC3", **changes}, second]}


def glb(length: int, chunks: bytes, magic: bytes = b"glTF", version: int = 2) -> bytes:
    return magic + struct.pack("<II", version, length) + chunks


STL = bytes(80)
MODELS: dict[str, tuple[str, bytes, str]] = {
    # OBJ
    "corners that there are not": (".obj", f"{CORNERS}f 4 12 2 1\n".encode(), "line 9"),
    "a corner 0": (".obj", f"{CORNERS}f 1 2 3\nf 0 7 8\n".encode(), "line 10"),
    "a corner before the first": (".obj", f"{CORNERS}f -9 7 6\n".encode(), "line 9"),
    "a face of nothing": (".obj", f"{CORNERS}f 1 2 3\nf\n".encode(), "line 10"),
    "a face of two": (".obj", f"{CORNERS}f 1 2\n".encode(), "line 9"),
    "a vertex of two": (".obj", b"v 1 2\nv 1 2 3\nf 1 2 1\n", "line 1"),
    "a word for a number": (".obj", b"v 1 2 3\nv 1 two 3\nf 1 2 1\n", "line 2"),
    "a huge corner": (".obj", f"{CORNERS}f 1 2 99999999999999999999999\n".encode(), "line 9"),
    "a normal that there is not": (".obj", f"{CORNERS}vn 0 0 1\nf 1//1 2//2 3//1\n".encode(), "line 10"),
    "slashes alone": (".obj", f"{CORNERS}f / // ///\n".encode(), "line 9"),
    "nothing": (".obj", b"", ""),
    # OFF
    "more vertices than memory": (".off", f"OFF\n353535235358 6 0\n{ROWS}4 0 1 3 2\n".encode(), "lines"),
    "faces of nothing": (".off", b"OFF\n3 4\n0.1 0.2 0.3\n0.2 0.3 0.4\n0.3 0.4 0.5\n0\n220\n4\n", "lines"),
    "more corners than the line has": (".off", f"OFF\n8 1 0\n{ROWS}220 0 1\n".encode(), "line 11"),
    "a corner too far": (".off", f"OFF\n8 1 0\n{ROWS}3 0 1 8\n".encode(), "line 11"),
    "a corner below 0": (".off", f"OFF\n8 1 0\n{ROWS}3 0 1 -1\n".encode(), "line 11"),
    "half a vertex": (".off", f"OFF\n8 1 0\n{ROWS[:-4]}\n3 0 1 2\n".encode(), "line 10"),
    "counts below 0": (".off", b"OFF\n-8 1 0\n", "line 2"),
    "a corner of half": (".off", f"OFF\n8 1 0\n{ROWS}3 0 1 0.5\n".encode(), "line 11"),
    # PLY
    "a corner that there is not": (".ply", ply(f"{THREE}3 0 1 3\n"), "line 13"),
    "a face of one": (".ply", ply(f"{THREE}1 0\n"), "line 13"),
    "a list that ends too early": (".ply", ply(f"{THREE}3 0 1\n"), "line 13"),
    "more vertices than lines": (".ply", ply(THREE, vertices=10**12), "lines|truncated"),
    "vertices below 0": (".ply", ply(THREE, vertices=-3), "line 3"),
    "a list below 0": (".ply", ply(f"{THREE}-3 0 1 2\n"), "line 13"),
    "no format": (".ply", ply(THREE).replace(b"format ascii 1.0\n", b""), "'format'"),
    "a type that there is not": (".ply", ply(THREE).replace(b"float y", b"floaty y"), "line 5"),
    "a header without end": (".ply", ply("")[:-11], "header"),
    "bytes that end too early": (".ply", binary(3, 1, bytes(30)), "truncated|bytes"),
    "more vertices than bytes": (".ply", binary(2**40, 0, bytes(36)), "truncated|bytes"),
    "a face of 255": (".ply", binary(3, 1, bytes(36) + b"\xff" + bytes(8)), "truncated|face"),
    "a binary corner": (".ply", binary(3, 1, bytes(36) + struct.pack("<B3i", 3, 0, 1, 2**31 - 1)), "face"),
    # STL
    "more triangles than bytes": (".stl", STL + struct.pack("<I", 2**32 - 1) + bytes(50), "bytes"),
    "half a triangle": (".stl", STL + struct.pack("<I", 2) + bytes(75), "bytes"),
    "a facet without its end": (".stl", f"solid a\n{FACET}facet normal 0 0 1\nouter loop\n".encode(), "line|truncated"),
    "two corners": (".stl", f"solid a\n{FACET}endsolid\n".replace("vertex 0 1 0\n", "").encode(), "line 6"),
    "words": (".stl", f"solid a\n{FACET}endsolid\n".replace("vertex 1 0 0", "vertex one 0 0").encode(), "line 5"),
    # glTF
    "an accessor beyond its bytes": (".gltf", gltf(**accessor(count=10**9)), "bufferView 0"),
    "an accessor below 0": (".gltf", gltf(**accessor(byteOffset=-4)), "bufferView 0"),
    "an accessor of a view that there is not": (".gltf", gltf(**accessor(bufferView=7)), "accessor 0"),
    "an accessor of no type": (".gltf", gltf(**accessor(type="VEC9")), "accessor 0"),
    "a sparse accessor": (".gltf", gltf(**accessor(sparse={"count": 1, "indices": {"bufferView": 0}})), "accessor 0"),
    "indices out of range": (".gltf", gltf(data=struct.pack("<9f3H", *([0.0] * 9), 0, 1, 9)), "vertex 9 in face 0"),
    "nodes in a circle": (".gltf", gltf(nodes=[{"children": [1]}, {"children": [0]}]), "node 0"),
    "nodes that are none": (".gltf", gltf(nodes=7), "node 0"),
    "a matrix of 3": (".gltf", gltf(nodes=[{"mesh": 0, "matrix": [1, 2, 3]}]), "node 0"),
    "a mesh that there is not": (".gltf", gltf(nodes=[{"mesh": 5}]), "node 0"),
    "a buffer that is not base64": (".gltf", gltf(buffers=[{"byteLength": 42, "uri": "data:;base64,@"}]), "buffer 0"),
    "a buffer above the folder": (".gltf", gltf(buffers=[{"byteLength": 42, "uri": "../../x.bin"}]), "x.bin"),
    "no JSON": (".gltf", b'{"asset": {', "JSON"),
    "deep JSON": (".gltf", b'{"asset":' * 5000, "JSON|nested"),
    "a length of 4 GiB": (".glb", glb(2**32 - 1, struct.pack("<I4s", 2**32 - 9, b"JSON")), "bytes|length|truncated"),
    "another version": (".glb", glb(12, b"", version=9), "version"),
    "no chunk": (".glb", glb(12, b""), "chunk|JSON|truncated|bytes"),
}  # fmt: skip


@pytest.mark.parametrize("name", MODELS)
def test_malformed_models_are_refused(tmp_path: Path, name: str) -> None:
    suffix, data, place = MODELS[name]
    path = tmp_path / f"model{suffix}"
    path.write_bytes(data)
    with bounded(), pytest.raises(IngestError) as caught:
        ingest(path, f"memory://malformed-{time.time_ns()}")
    text = str(caught.value)
    assert path.name in text
    assert re.search(place, text), text
    assert len(text) < 2000


def test_the_models_are_malformed_by_what_was_done_to_them(tmp_path: Path) -> None:
    sound = {
        "a.obj": f"{CORNERS}f 1 2 3\n".encode(),
        "a.off": f"OFF\n8 1 0\n{ROWS}3 0 1 2\n".encode(),
        "a.ply": ply(f"{THREE}3 0 1 2\n"),
        "b.ply": binary(3, 1, bytes(36) + struct.pack("<B3i", 3, 0, 1, 2)),
        "a.stl": f"solid a\n{FACET}endsolid\n".encode(),
        "b.stl": STL + struct.pack("<I", 1) + bytes(50),
        "a.gltf": gltf(),
    }
    for name, data in sound.items():
        (tmp_path / name).write_bytes(data)
        ingest(tmp_path / name, f"memory://sound-{name}-{time.time_ns()}")
