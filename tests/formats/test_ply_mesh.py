"""PLY files with faces are meshes, in all three encodings, and go out as such."""

from __future__ import annotations

import struct
from collections.abc import Iterator
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
    write_mesh,
)
from tests.formats.ply_tools import ORDERS, header
from zarr_vectors.axes import as_axes
from zarr_vectors.exceptions import ExportError, IngestError
from zarr_vectors.formats.base import ExportContext, ReadOptions
from zarr_vectors.formats.meshes import name_column
from zarr_vectors.formats.ply import PLY
from zarr_vectors.geometry import Mesh, Points

ENCODINGS = ["ascii", *ORDERS]
ELEMENTS = """\
element material 1
property list uchar char word
property int kind
element face {}
property uchar quality
property list uchar int {}
property list ushort float uv
property double area
element vertex 4
property double x
property double y
property float z
property int owner
element edge 1
property int a
property int b
"""
VERTICES = [(0, 0, 0, 5), (1, 0, 0, 5), (0, 1, 0, 6), (1, 1, 0.5, 6)]
EVEN = [(1, [0, 1, 2], [0.5, 1], 0.25), (255, [2, 1, 3], [-1, 0], 1e300), (0, [3, 3, 0], [2, 3], -0.0)]
MIXED = [(1, [0, 1, 2], [0.5], 0.25), (2, [0, 1, 3, 2], [], 2.0), (3, [2, 1, 0], [7, 8], 3.0)]


def content_of(encoding: str, faces: Any, *, name: str = "vertex_indices", ends: str = "\n") -> bytes:
    start = header(encoding, ELEMENTS.format(len(faces), name), ends=ends)
    if encoding == "ascii":
        rows = ["2 1 2 9"]
        rows += [" ".join(map(repr, [q, len(v), *v, len(u), *u, a])) for q, v, u, a in faces]
        rows += [" ".join(map(repr, vertex)) for vertex in VERTICES]
        return start + "".join(row + ends for row in [*rows, "1 2"]).encode()
    order = ORDERS[encoding]
    body = struct.pack(f"{order}B2bi", 2, 1, 2, 9)
    for q, v, u, a in faces:
        body += struct.pack(f"{order}BB{len(v)}iH{len(u)}fd", q, len(v), *v, len(u), *u, a)
    body += b"".join(struct.pack(f"{order}ddfi", *vertex) for vertex in VERTICES)
    return start + body + struct.pack(f"{order}2i", 1, 2)


@pytest.mark.parametrize("name", ["vertex_indices", "vertex_index"])
@pytest.mark.parametrize("ends", ["\n", "\r\n", "\r"])
@pytest.mark.parametrize("encoding", ENCODINGS)
def test_faces_between_other_elements(tmp_path: Path, encoding: str, ends: str, name: str) -> None:
    source, mesh = read_text(PLY, tmp_path, content_of(encoding, EVEN, name=name, ends=ends))
    assert mesh.positions.tolist() == [list(vertex[:3]) for vertex in VERTICES]
    assert mesh.faces.tolist() == [[0, 1, 2], [2, 1, 3], [3, 3, 0]]
    np.testing.assert_array_equal(mesh.attributes["owner"], np.array([5, 5, 6, 6], np.int32))
    columns = {name: (column.dtype.name, np.asarray(column).tolist()) for name, column in mesh.face_attributes.items()}
    assert columns == {
        "quality": ("uint8", [1, 255, 0]),
        "uv": ("float32", [[0.5, 1], [-1, 0], [2, 3]]),
        "area": ("float64", [0.25, 1e300, 0.0]),
    }
    assert source.headers["ply"]["dropped"] == []
    assert list(source.headers["ply"]["ignored_elements"]) == ["material", "edge"]


@pytest.mark.parametrize("encoding", ENCODINGS)
def test_polygons_of_several_widths(tmp_path: Path, encoding: str) -> None:
    place = (
        "3 corners, as in line 21, got 4 in line 22" if encoding == "ascii" else "row 0 of face, got 4 in row 1 of face"
    )
    with pytest.raises(IngestError, match=rf"in\.ply.*several widths.*{place}.*triangulate"):
        read_text(PLY, tmp_path, content_of(encoding, MIXED))
    source, mesh = read_text(PLY, tmp_path, content_of(encoding, MIXED), triangulate=True)
    assert mesh.faces.tolist() == [[0, 1, 2], [0, 1, 3], [0, 3, 2], [2, 1, 0]]
    columns = {name: np.asarray(column).tolist() for name, column in mesh.face_attributes.items()}
    assert columns == {"quality": [1, 2, 2, 3], "area": [0.25, 2, 2, 3]}
    assert source.headers["ply"]["dropped"] == ["face property uv"]


def test_what_is_no_mesh_stays_a_cloud(tmp_path: Path) -> None:
    for content in (content_of("ascii", EVEN, name="corners"), content_of("ascii", [])):
        (tmp_path / "in.ply").write_bytes(content)
        batches = list(PLY.open(tmp_path / "in.ply", ReadOptions(batch_rows=2)).batches)
        assert [type(batch) for batch in batches] == [Points, Points]


def test_options(tmp_path: Path) -> None:
    content = content_of("binary_big_endian", EVEN)
    _, mesh = read_text(PLY, tmp_path, content, object_ids="owner", attributes=("area",), positions=("z", "x"))
    assert mesh.object_ids is not None
    assert mesh.object_ids.tolist() == [5, 5, 6, 6]
    assert (list(mesh.attributes), list(mesh.face_attributes)) == ([], ["area"])
    assert mesh.positions.tolist() == [[vertex[2], vertex[0]] for vertex in VERTICES]
    assert not read_text(PLY, tmp_path, content, attributes=())[1].face_attributes
    with pytest.raises(IngestError, match=r"in\.ply.*lacks wanted.*'width'"):
        read_text(PLY, tmp_path, content, attributes=("area", "width"))


@pytest.mark.parametrize("encoding", ENCODINGS)
@pytest.mark.parametrize("faces", [EVEN, MIXED], ids=["even", "mixed"])
def test_truncation_is_found_wherever_it_is(tmp_path: Path, encoding: str, faces: Any) -> None:
    content = content_of(encoding, faces)
    for size in range(len(content) - (encoding == "ascii")):
        with pytest.raises(IngestError, match=r"in\.ply"):
            read_text(PLY, tmp_path, content[:size], triangulate=True)


@pytest.mark.parametrize("encoding", ENCODINGS)
@pytest.mark.parametrize(
    ("corners", "message"),
    [
        ([0, 1, 4], "vertex that there is not.*0 to 3.*vertex 4 in"),
        ([0, -1, 2], "vertex -1 in"),
        ([0, 1], "no polygon.*2 in"),
        ([], "no polygon.*0 in"),
    ],
)
def test_faces_that_cannot_be_are_refused_by_place(tmp_path: Path, encoding: str, corners: Any, message: str) -> None:
    faces = [EVEN[0], (1, corners, [], 0.0), EVEN[1]]
    place = "line 22" if encoding == "ascii" else "row 1 of face"
    with pytest.raises(IngestError, match=rf"in\.ply.*{message} {place}"):
        read_text(PLY, tmp_path, content_of(encoding, faces))


FACES = "element vertex 3\nproperty uchar x\nproperty uchar y\nelement face {}\nproperty list {} {} vertex_indices\n"
ROWS = b"0 0\n1 0\n0 1\n"


@pytest.mark.parametrize(
    ("row", "message"),
    [
        ("3 0 1", "row of face.*'3 0 1' in line 13"),
        ("3 0 1 2 3", "line 13"),
        ("3 0 1 x", "'3 0 1 x' in line 13"),
        ("3 0 1 1.5", "line 13"),
        ("3 0 1 300", "line 13"),
        ("-3 0 1 2", "line 13"),
        ("2.5 0 1 2", "line 13"),
        ("nan 0 1 2", "line 13"),
        ("1e300 0 1 2", "line 13"),
        ("", "truncated.*1 more rows|2 more rows"),
    ],
)
def test_rows_of_text_that_are_not_as_they_say(tmp_path: Path, row: str, message: str) -> None:
    content = header("ascii", FACES.format(2, "char", "uchar")) + ROWS + b"3 0 1 2\n" + row.encode() + b"\n"
    with pytest.raises(IngestError, match=rf"in\.ply.*{message}"):
        read_text(PLY, tmp_path, content)


@pytest.mark.parametrize(
    ("count", "rows", "body"),
    [
        ("int", 2, struct.pack("<i3Bi3B", 3, 0, 1, 2, 2**31 - 1, 0, 1, 2)),
        ("int", 2, struct.pack("<i3Bi3B", 3, 0, 1, 2, -3, 0, 1, 2)),
        ("uint", 1, struct.pack("<I3B", 2**32 - 1, 0, 1, 2)),
        ("uchar", 10, struct.pack("<B3B", 3, 0, 1, 2) * 9),
        ("uchar", 10**15, struct.pack("<B3B", 3, 0, 1, 2) * 9),
    ],
)
def test_lying_counts_are_refused(tmp_path: Path, count: str, rows: int, body: bytes) -> None:
    content = header("binary_little_endian", FACES.format(rows, count, "uchar")) + bytes(6) + body
    with pytest.raises(IngestError, match=r"in\.ply.*truncated"):
        read_text(PLY, tmp_path, content)


def test_many_polygons_of_many_widths(tmp_path: Path) -> None:
    rng = np.random.default_rng(2)
    widths = np.concatenate([np.full(3000, 3), rng.integers(3, 9, 500), np.full(2000, 4)])
    polygons = [rng.integers(0, 3, width).tolist() for width in widths.tolist()]
    wanted = [(p[0], p[at], p[at + 1]) for p in polygons for at in range(1, len(p) - 1)]
    start = header("binary_big_endian", FACES.format(len(widths), "uchar", "ushort")) + bytes(6)
    content = start + b"".join(struct.pack(f">B{len(p)}H", len(p), *p) for p in polygons)
    assert read_text(PLY, tmp_path, content, triangulate=True)[1].faces.tolist() == [list(face) for face in wanted]
    start = header("ascii", FACES.format(len(widths), "uchar", "ushort")) + ROWS
    content = start + b"".join(f"{len(p)} {' '.join(map(str, p))}\n".encode() for p in polygons)
    assert read_text(PLY, tmp_path, content, triangulate=True)[1].faces.tolist() == [list(face) for face in wanted]


@given(
    data=st.data(),
    mesh=bare_meshes(dtypes=(np.float64, np.float32, np.int32, np.uint8), widths=(3, 4, 300), least=1),
    parts=st.integers(1, 3),
)
def test_meshes_go_out_and_come_back(data: st.DataObject, mesh: Mesh, parts: int) -> None:
    if not mesh.face_count:
        mesh = replace(mesh, faces=np.zeros((1, 3), np.int64))
    rng = np.random.default_rng(data.draw(st.integers(0, 2**32 - 1)))
    rows, faces = mesh.vertex_count, mesh.face_count
    mesh = replace(
        mesh,
        attributes={"weight": rng.normal(size=rows), "tag": rng.integers(0, 9, rows, np.uint16)},
        face_attributes={
            "area": rng.normal(size=faces).astype(np.float32),
            "kind": rng.integers(-9, 9, faces, np.int8),
            "uv": rng.normal(size=(faces, 6)),
        },
    )
    kept = data.draw(st.sets(st.sampled_from(sorted(mesh.face_attributes))))
    mesh = replace(mesh, face_attributes={name: mesh.face_attributes[name] for name in sorted(kept)})
    with TemporaryDirectory() as folder:
        back = round_trip(PLY, Path(folder), [mesh] * parts)
    whole = Mesh(
        np.concatenate([mesh.positions] * parts),
        np.concatenate([mesh.faces + rows * part for part in range(parts)]),
        attributes={name: np.concatenate([column] * parts) for name, column in mesh.attributes.items()},
        face_attributes={name: np.concatenate([column] * parts) for name, column in mesh.face_attributes.items()},
        axes="xyz",
    )
    same_mesh(back, whole)


def test_objects_colours_and_comments(tmp_path: Path) -> None:
    colors = np.arange(18, dtype=np.uint8).reshape(6, 3)
    mesh = Mesh(
        CUBE,
        QUADS,
        attributes={"color": np.zeros((8, 4), np.uint8)},
        face_attributes={"rgb": colors, "flag": np.ones(6, np.bool_), "one": np.ones((6, 1), np.float16)},
        object_ids=np.full(8, 7),
    )
    headers = {"ply": {"comments": ["by hand"], "obj_info": ["x"]}}
    path = write_mesh(PLY, tmp_path / "out.ply", [mesh, replace(mesh, object_ids=np.full(8, 9))], headers)
    lines = path.read_bytes().partition(b"end_header\n")[0].decode().splitlines()
    assert [line.strip() for line in lines if not line.startswith("property")] == [
        *("ply", "format binary_little_endian 1.0", "comment by hand", "obj_info x", "comment"),
        *("element vertex 16", "element face 12"),
    ]
    assert [line for line in lines if line.startswith("property")][8:] == [
        "property list uchar int vertex_indices",
        *(f"property uchar {name}" for name in ("red", "green", "blue", "flag")),
        "property list uchar float one",
    ]
    source, back = read_mesh(PLY, path)
    assert back.object_ids is not None
    assert back.object_ids.tolist() == [7] * 8 + [9] * 8
    np.testing.assert_array_equal(back.face_attributes["green"], np.tile(colors[:, 1], 2))
    assert back.face_attributes["one"].shape == (12, 1)
    assert source.headers["ply"]["comments"] == ["by hand"]


MESH = Mesh(CUBE, QUADS)
REFUSED: list[tuple[Any, str]] = [
    ([replace(MESH, face_attributes={"a": np.zeros(6, np.int64)})], "face attribute 'a'.*int64"),
    ([replace(MESH, face_attributes={"a": name_column(["x"] * 6)})], "face attribute 'a'.*text"),
    ([replace(MESH, face_attributes={"a": np.zeros((6, 2, 2))})], "face attribute 'a'.*shape"),
    ([replace(MESH, face_attributes={"vertex_indices": np.zeros(6)})], "distinct words.*vertex_indices"),
    ([replace(MESH, face_attributes={"a b": np.zeros(6)})], "distinct words.*'a b'"),
    ([replace(MESH, object_attributes={"name": np.array(["x"])})], "object attributes.*name"),
    ([replace(MESH, groups={0: np.array([0])})], "groups"),
    ([MESH, replace(MESH, face_attributes={"a": np.zeros(6)})], "same columns"),
    ([MESH, Points(CUBE)], "same columns"),
    ([MESH, Mesh(CUBE, np.zeros((1, 256), np.int64))], "255 corners.*256"),
]


@pytest.mark.parametrize(("meshes", "message"), REFUSED, ids=[str(index) for index in range(len(REFUSED))])
def test_what_ply_cannot_hold_is_refused_and_no_file_left(tmp_path: Path, meshes: Any, message: str) -> None:
    with pytest.raises(ExportError, match=message):
        write_mesh(PLY, tmp_path / "out.ply", meshes)
    assert not list(tmp_path.iterdir())


def test_a_batch_that_fails_leaves_no_file(tmp_path: Path) -> None:
    def batches() -> Iterator[Mesh]:
        yield MESH
        raise OSError("gone")

    with pytest.raises(OSError, match="gone"):
        PLY.export(tmp_path / "out.ply", batches(), ExportContext(axes=as_axes("xyz", 3)))
    assert not list(tmp_path.iterdir())


@pytest.mark.parametrize("name", ["bun_zipper.ply", "cube_att.ply", "stanford_bunny.ply", "dragon_res4.ply"])
def test_real_files_are_as_trimesh_reads_them(tmp_path: Path, name: str) -> None:
    source, mesh = read_mesh(PLY, fetched(name))
    oracle = trimesh.load_mesh(fetched(name), process=False)
    np.testing.assert_array_equal(mesh.positions[mesh.faces], oracle.triangles)
    path = write_mesh(PLY, tmp_path / "out.ply", [mesh], source.headers)
    same_mesh(read_mesh(PLY, path)[1], mesh)
    again = trimesh.load_mesh(path, process=False)
    np.testing.assert_array_equal(again.triangles, oracle.triangles)


def test_a_real_file_of_mixed_polygons() -> None:
    with pytest.raises(IngestError, match=r"box_polygons\.ply.*several widths"):
        PLY.open(fetched("box_polygons.ply"), ReadOptions())
    _, mesh = read_mesh(PLY, fetched("box_polygons.ply"), triangulate=True)
    assert mesh.faces.shape[1] == 3


@pytest.mark.long
def test_the_dragon(tmp_path: Path) -> None:
    _, mesh = read_mesh(PLY, fetched("dragon.ply"))
    assert (mesh.vertex_count, mesh.face_count) == (437_645, 871_414)
    same_mesh(round_trip(PLY, tmp_path, [mesh]), mesh)
