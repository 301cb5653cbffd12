"""STL, binary and ascii: shared vertices, solids, normals, and what is refused."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import suppress
from dataclasses import replace
from io import BytesIO
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
    bare_meshes,
    fetched,
    read_mesh,
    read_text,
    round_trip,
    same_mesh,
    shifted,
    write_mesh,
)
from zarr_vectors.axes import as_axes
from zarr_vectors.exceptions import ExportError, IngestError
from zarr_vectors.formats.base import ExportContext, ReadOptions
from zarr_vectors.formats.meshes import name_column
from zarr_vectors.formats.stl import STL
from zarr_vectors.formats.stl_reader import RECORD
from zarr_vectors.geometry import Categorical, Mesh, Points

TRIANGLES = np.array([[0, 1, 2], [2, 1, 3]])
SQUARE = np.array([[0, 0, 0], [1, 0, 0], [0, 1, 0], [1, 1, 0]], np.float32)
FACET = "facet normal 0 0 1\n outer loop\n  vertex 0 0 0\n  vertex 1 0 0\n  vertex 0 1 0\n endloop\nendfacet\n"


def binary(
    corners: Any, *, header: bytes = b"", normals: Any = 0, attributes: Any = 0, count: int | None = None
) -> bytes:
    table = np.zeros(len(corners), RECORD)
    table["corners"], table["normal"], table["attribute"] = corners, normals, attributes
    number = len(corners) if count is None else count
    return header.ljust(80, b"\0") + number.to_bytes(4, "little") + table.tobytes()


def text_of(column: Any) -> list[Any]:
    assert isinstance(column, Categorical)
    return list(np.asarray(column).tolist())


@pytest.mark.parametrize("header", [b"", b"solid but binary", b"solid", b"  "])
def test_binary_is_known_by_its_size(tmp_path: Path, header: bytes) -> None:
    source, mesh = read_text(STL, tmp_path, binary(SQUARE[TRIANGLES], header=header, normals=[0, 0, 1]))
    np.testing.assert_array_equal(mesh.positions, SQUARE)
    assert mesh.positions.dtype == np.float32
    assert mesh.faces.tolist() == [[0, 1, 2], [2, 1, 3]]
    assert mesh.object_ids is None
    assert not mesh.face_attributes
    assert source.headers == {"stl": {"encoding": "binary", "header": header.decode().rstrip()}}


def test_only_bit_equal_corners_are_shared(tmp_path: Path) -> None:
    corners = SQUARE[TRIANGLES].copy()
    corners[1, 0, 0] = -0.0
    corners[1, 1, 0] = np.nextafter(np.float32(1), np.float32(2))
    _, mesh = read_text(STL, tmp_path, binary(corners))
    assert mesh.faces.tolist() == [[0, 1, 2], [3, 4, 5]]
    corners[:] = np.nan
    assert read_text(STL, tmp_path, binary(corners))[1].faces.tolist() == [[0, 0, 0], [0, 0, 0]]


def test_normals_and_attribute_bytes_are_kept_where_they_say_something(tmp_path: Path) -> None:
    corners = SQUARE[TRIANGLES]
    assert not read_text(STL, tmp_path, binary(corners, normals=[[0, 0, 1], [0, 0, 0]]))[1].face_attributes
    assert not read_text(STL, tmp_path, binary(corners, normals=[1e-4, 0, 1]))[1].face_attributes
    _, mesh = read_text(STL, tmp_path, binary(corners, normals=[[0, 0, 1], [0, 0.1, 1]], attributes=[0, 7]))
    np.testing.assert_array_equal(mesh.face_attributes["normal"], np.array([[0, 0, 1], [0, 0.1, 1]], np.float32))
    np.testing.assert_array_equal(mesh.face_attributes["attribute"], np.array([0, 7], np.uint16))
    same_mesh(round_trip(STL, tmp_path, [mesh]), mesh)
    # A facet without area has no normal to compare with.
    assert "normal" in read_text(STL, tmp_path, binary(corners * 0, normals=[0, 0, 1]))[1].face_attributes


@pytest.mark.parametrize("ends", ["\n", "\r\n", "\r"])
def test_solids_are_objects(tmp_path: Path, ends: str) -> None:
    content = (
        f"solid first part\n{FACET}endsolid first part\n\n  SOLID\n{FACET.upper()}{FACET}EndSolid\nsolid c\nendsolid\n"
    )
    source, mesh = read_text(STL, tmp_path, content.replace("\n", ends))
    assert mesh.object_ids is not None
    assert mesh.object_ids.tolist() == [0, 0, 0, 1, 1, 1]
    assert mesh.faces.tolist() == [[0, 1, 2], [3, 4, 5], [3, 4, 5]]
    assert mesh.positions.dtype == np.float64
    assert text_of(mesh.object_attributes["name"]) == ["first part", None]
    assert source.headers["stl"] == {"encoding": "ascii", "dropped": ["solid without facets: c"]}
    batches = list(STL.open(tmp_path / "in.stl", ReadOptions(batch_rows=2)).batches)
    assert [batch.vertex_count for batch in batches] == [3, 3]
    same_mesh(read_mesh(STL, tmp_path / "in.stl", batch_rows=2)[1], mesh)


def test_a_solid_without_a_name_is_no_object(tmp_path: Path) -> None:
    source, mesh = read_text(STL, tmp_path, f"solid\n{FACET}endsolid")
    assert mesh.object_ids is None
    assert source.headers["stl"] == {"encoding": "ascii"}
    same_mesh(round_trip(STL, tmp_path, [mesh], source.headers), mesh)
    assert (tmp_path / "out.stl").read_bytes().startswith(b"solid\nfacet normal 0.0 0.0 1.0\n")


def test_no_facets(tmp_path: Path) -> None:
    for content in (binary(SQUARE[TRIANGLES][:0]), b"solid\nendsolid\n"):
        _, mesh = read_text(STL, tmp_path, content)
        assert (mesh.vertex_count, mesh.face_count) == (0, 0)
        assert round_trip(STL, tmp_path, [mesh]).vertex_count == 0


TEXT = f"solid a\n{FACET}{FACET}endsolid a\n"
BAD: list[tuple[bytes | str, str]] = [
    (b"", "is empty"),
    (b"\x00" * 40, "not an STL file"),
    (b"\x00" * 100, "not an STL file"),
    (binary(SQUARE[TRIANGLES], count=3), "3 facets in 234 bytes.*184 bytes"),
    (binary(SQUARE[TRIANGLES], count=1), "1 facets in 134 bytes"),
    (binary(SQUARE[TRIANGLES], count=2**32 - 1), "4294967295 facets"),
    (binary(SQUARE[TRIANGLES], header=b"solid", count=2**32 - 1), "4294967295 facets"),
    ("solid a\n", "truncated.*'endsolid'.*line 1"),
    ("solid a\nsolid b\nendsolid\n", "line 2"),
    ("solid a\nendsolid\nendsolid\n", "line 3"),
    (f"solid a\nendsolid\n{FACET}", "'solid' and 'endsolid'.*line 3"),
    (TEXT.replace("vertex 0 1 0\n", "vertex 0 1 0 0\n"), "3 numbers.*line 6"),
    (TEXT.replace("vertex 0 1 0\n", "vertex 0 1\n"), "3 numbers.*line 6"),
    (TEXT.replace("vertex 0 1 0\n", "vertex 0 1 x\n"), "line 6"),
    (TEXT.replace("vertex 0 1 0\n", "vertices 0 1 0\n"), "keyword of STL.*line 6"),
    (TEXT.replace("vertex 0 1 0\n", "\n"), "'vertex'.*endloop.*line 7"),
    (TEXT.replace("vertex 0 1 0\n", "vertex 0 1 0\nvertex 0 1 0\n"), "'endloop'.*line 7"),
    (TEXT.replace("outer loop\n", "\n"), "'outer'.*line 4"),
    (TEXT.replace("normal 0 0 1", "0 0 1"), "facet normal.*line 2"),
    (TEXT.replace("normal 0 0 1", "normal 0 0"), "line 2"),
    (TEXT.replace("normal 0 0 1", "normal a 0 1"), "line 2"),
    (TEXT.replace("facet normal 0 0 1", "facet"), "line 2"),
    (TEXT.replace(" endloop\n", "endsolid\nsolid\nendloop\n"), "'endloop'.*line 9"),
    ("solid a\nendsolid\n\x07\n", "line 3"),
]


@pytest.mark.parametrize(("content", "message"), BAD, ids=[str(index) for index in range(len(BAD))])
def test_bad_files_are_refused(tmp_path: Path, content: bytes | str, message: str) -> None:
    with pytest.raises(IngestError, match=rf"in\.stl.*{message}"):
        read_text(STL, tmp_path, content)


def test_truncation_is_found_wherever_it_is(tmp_path: Path) -> None:
    for content in (binary(SQUARE[TRIANGLES]), binary(SQUARE[TRIANGLES], header=b"solid x")):
        for size in range(len(content)):
            with pytest.raises(IngestError, match=r"in\.stl"):
                read_text(STL, tmp_path, content[:size])
    # The name after endsolid may be cut.
    for size in range(TEXT.rindex("endsolid") + len("endsolid")):
        with pytest.raises(IngestError, match=r"in\.stl"):
            read_text(STL, tmp_path, TEXT[:size])


@given(content=st.binary(max_size=200) | st.text(alphabet="solidfacetnrmuvxp 01\n", max_size=99).map(str.encode))
def test_any_bytes_are_read_or_refused(content: bytes) -> None:
    with TemporaryDirectory() as folder, suppress(IngestError):
        read_text(STL, Path(folder), b"solid" + content)


@given(mesh=bare_meshes(dtypes=(np.float32, np.float64), widths=(3,)), encoding=st.sampled_from(["ascii", "binary"]))
def test_triangles_go_out_and_come_back(mesh: Mesh, encoding: str) -> None:
    if encoding == "binary":
        with np.errstate(over="ignore"):
            fits = np.isfinite(mesh.positions.astype(np.float32)).all()
        if not fits:
            mesh = replace(mesh, positions=mesh.positions % 1)
    with TemporaryDirectory() as folder:
        back = round_trip(STL, Path(folder), [mesh], {"stl": {"encoding": encoding}})
    written = mesh.positions.astype(np.float32 if encoding == "binary" else mesh.positions.dtype)
    assert back.positions.astype(written.dtype)[back.faces].tobytes() == written[mesh.faces].tobytes()
    first = back.faces.reshape(-1)
    assert (np.diff(np.maximum.accumulate(first), prepend=-1) <= 1).all()


def two_objects() -> Mesh:
    faces = np.concatenate([TRIANGLES, TRIANGLES + 4])
    names = name_column(["one", None])
    ids, positions = np.repeat([3, 7], 4), np.concatenate([SQUARE, SQUARE])
    return Mesh(positions, faces, object_ids=ids, objects=[3, 7], object_attributes={"name": names}, axes="xyz")


def test_objects_become_solids_of_an_ascii_file(tmp_path: Path) -> None:
    mesh = two_objects()
    back = round_trip(STL, tmp_path, [mesh, shifted(mesh, 10)])
    assert back.object_ids is not None
    assert back.object_ids.tolist() == np.repeat([0, 1, 2, 3], 4).tolist()
    assert text_of(back.object_attributes["name"]) == ["one", None, "one", None]
    np.testing.assert_array_equal(back.positions, np.concatenate([mesh.positions] * 2))
    # That there are several may be known late.
    lone = [Mesh(SQUARE, TRIANGLES, object_ids=[number] * 4, axes="xyz") for number in range(2)]
    back = round_trip(STL, tmp_path, lone)
    assert back.object_ids is not None
    assert back.object_ids.tolist() == [0] * 4 + [1] * 4
    assert round_trip(STL, tmp_path, lone[:1]).positions.dtype == np.float32


def test_binary_header_comes_back(tmp_path: Path) -> None:
    mesh = Mesh(SQUARE, TRIANGLES, axes="xyz")
    headers = {"stl": {"encoding": "binary", "header": "made by \xe9" + "x" * 100}}
    path = write_mesh(STL, tmp_path / "out.stl", [mesh], headers)
    assert path.read_bytes()[:80] == headers["stl"]["header"].encode("latin-1")[:80]
    same_mesh(read_mesh(STL, path)[1], mesh)


MESH = Mesh(SQUARE, TRIANGLES)
REFUSED: list[tuple[Any, str]] = [
    (Mesh(CUBE, [[0, 1, 2, 3]]), "triangles only.*4 corners"),
    (Mesh(CUBE * 1e300, [[0, 1, 2]]), "beyond float32"),
    (replace(MESH, attributes={"weight": np.ones(4)}), "attributes.*weight"),
    (replace(MESH, face_attributes={"area": np.ones(2)}), "face attributes.*area"),
    (replace(MESH, face_attributes={"normal": np.ones(2)}), "'normal'.*3 floats"),
    (replace(MESH, face_attributes={"attribute": np.ones(2, np.int64)}), "'attribute'.*uint16"),
    (replace(two_objects(), face_attributes={"attribute": np.ones(4, np.uint16)}), "ascii STL.*'attribute'"),
    (replace(MESH, object_attributes={"volume": np.ones(1)}), "object attributes.*volume"),
    (replace(MESH, object_attributes={"name": name_column(["a\nb"])}), "name"),
    (replace(MESH, groups={0: np.array([0])}), "groups"),
    (replace(MESH, object_ids=np.arange(4)), "one object"),
    (Mesh(np.zeros((3, 4)), [[0, 1, 2]], axes="tzyx"), "4 axes"),
    (Points(SQUARE), "holds meshes"),
]


@pytest.mark.parametrize(("mesh", "message"), REFUSED, ids=[str(index) for index in range(len(REFUSED))])
def test_what_stl_cannot_hold_is_refused_and_no_file_left(tmp_path: Path, mesh: Any, message: str) -> None:
    with pytest.raises(ExportError, match=message):
        write_mesh(STL, tmp_path / "out.stl", [mesh])
    assert not list(tmp_path.iterdir())


def test_a_batch_that_fails_leaves_no_file(tmp_path: Path) -> None:
    def batches() -> Iterator[Mesh]:
        yield MESH
        raise OSError("gone")

    with pytest.raises(OSError, match="gone"):
        STL.export(tmp_path / "out.stl", batches(), ExportContext(axes=as_axes("xyz", 3)))
    assert not list(tmp_path.iterdir())


@pytest.mark.parametrize("name", ["bunny.stl", "sphere.stl", "sphere_ascii.stl"])
def test_real_files_are_as_trimesh_reads_them(tmp_path: Path, name: str) -> None:
    source, mesh = read_mesh(STL, fetched(name))
    oracle = trimesh.load_mesh(fetched(name), process=False)
    np.testing.assert_array_equal(mesh.positions[mesh.faces], oracle.triangles)
    assert not mesh.face_attributes
    assert mesh.vertex_count < mesh.face_count
    path = write_mesh(STL, tmp_path / "out.stl", [mesh], source.headers)
    same_mesh(read_mesh(STL, path)[1], mesh)
    again = trimesh.load_mesh(BytesIO(path.read_bytes()), file_type="stl", process=False)
    np.testing.assert_array_equal(again.triangles, oracle.triangles)
    np.testing.assert_allclose(again.face_normals, oracle.face_normals, atol=1e-4)


def test_what_trimesh_writes_is_read(tmp_path: Path) -> None:
    sphere = trimesh.creation.icosphere(subdivisions=2)
    for kind in ("stl", "stl_ascii"):
        sphere.export(tmp_path / "in.stl", file_type=kind)
        _, mesh = read_mesh(STL, tmp_path / "in.stl")
        assert (mesh.vertex_count, mesh.face_count) == (len(sphere.vertices), len(sphere.faces))
        np.testing.assert_allclose(mesh.positions[mesh.faces], sphere.triangles, atol=1e-6)
        assert not mesh.face_attributes
