"""OFF in its variants: colours, normals, counts, and what is refused by line."""

from __future__ import annotations

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
    write_mesh,
)
from zarr_vectors.exceptions import ExportError, IngestError
from zarr_vectors.formats.off import OFF
from zarr_vectors.formats.ply import PLY
from zarr_vectors.geometry import Mesh, Points

BODY = "0 0 0\n1 0 0\n0 1 0\n3 0 1 2\n"


@pytest.mark.parametrize(
    "start",
    [
        "OFF\n3 1 0\n",
        "OFF\n# note\n\n 3\t1 3 # counts\n",
        "OFF 3 1 0\n",
        "OFF3 1 0\n",
        "# note\nOFF\n3 1\n",
        "OFF # x\n3 1 0\n",
    ],
)
@pytest.mark.parametrize("ends", ["\n", "\r\n", "\r"])
def test_where_the_counts_stand(tmp_path: Path, start: str, ends: str) -> None:
    source, mesh = read_text(OFF, tmp_path, (start + BODY).replace("\n", ends))
    assert mesh.positions.tolist() == [[0, 0, 0], [1, 0, 0], [0, 1, 0]]
    assert mesh.faces.tolist() == [[0, 1, 2]]
    assert source.headers == {"off": {"comments": ["note"] if start.startswith("# note") else []}}


@pytest.mark.parametrize(
    ("color", "expected"),
    [
        ("255 0 10", np.array([255, 0, 10], np.uint8)),
        ("255 0 10 7", np.array([255, 0, 10, 7], np.uint8)),
        ("1 0 0", np.array([1, 0, 0], np.uint8)),
        ("1.0 0.0 0.0", np.array([1.0, 0, 0])),
        ("1 .5 0 1", np.array([1, 0.5, 0, 1])),
        ("256 0 0", np.array([256.0, 0, 0])),
    ],
)
def test_colours(tmp_path: Path, color: str, expected: Any) -> None:
    _, mesh = read_text(OFF, tmp_path, f"COFF\n3 1 0\n0 0 0 {color}\n1 0 0 {color}\n0 1 0 {color}\n3 0 1 2 {color}\n")
    for column in (mesh.attributes["color"], mesh.face_attributes["color"]):
        assert column.dtype == expected.dtype
        np.testing.assert_array_equal(column, np.tile(expected, (len(column), 1)))
    same_mesh(round_trip(OFF, tmp_path, [mesh]), mesh)


def test_normals_and_texture_coordinates(tmp_path: Path) -> None:
    _, mesh = read_text(OFF, tmp_path, "STCNOFF\n1 0 0\n1 2 3 0 0 1 9 8 7 6 .5 .25\n")
    assert mesh.positions.tolist() == [[1, 2, 3]]
    columns = {name: np.asarray(column).tolist() for name, column in mesh.attributes.items()}
    assert columns == {"normal": [[0, 0, 1]], "color": [[9, 8, 7, 6]], "texcoord": [[0.5, 0.25]]}
    same_mesh(round_trip(OFF, tmp_path, [mesh]), mesh)


def test_colours_that_only_some_faces_have(tmp_path: Path) -> None:
    start = "OFF\n3 3 0\n" + BODY[:-8]
    _, mesh = read_text(OFF, tmp_path, start + "3 0 1 2\n3 0 1 2 1 2 3\n3 0 1 2 4 5 6 7\n")
    wanted = [[np.nan] * 4, [1, 2, 3, np.nan], [4, 5, 6, 7]]
    np.testing.assert_array_equal(mesh.face_attributes["color"], wanted)
    _, mesh = read_text(OFF, tmp_path, start + "3 0 1 2 5\n3 0 1 2 -1\n3 0 1 2 0\n")
    assert mesh.face_attributes["color_index"].dtype == np.int32
    same_mesh(round_trip(OFF, tmp_path, [mesh]), mesh)
    _, mesh = read_text(OFF, tmp_path, start + "3 0 1 2 5\n3 0 1 2\n3 0 1 2 0\n")
    np.testing.assert_array_equal(mesh.face_attributes["color_index"], [5, np.nan, 0])


def test_polygons(tmp_path: Path) -> None:
    content = "OFF\n4 2 0\n0 0 0\n1 0 0\n0 1 0\n1 1 0\n# faces\n3 0 1 2 9 9 9\n4 0 1 3 2 8 8 8\n"
    with pytest.raises(IngestError, match=r"in\.off.*3 corners, as in line 8.*4 in line 9.*triangulate"):
        read_text(OFF, tmp_path, content)
    _, mesh = read_text(OFF, tmp_path, content, triangulate=True)
    assert mesh.faces.tolist() == [[0, 1, 2], [0, 1, 3], [0, 3, 2]]
    assert np.asarray(mesh.face_attributes["color"])[:, 0].tolist() == [9, 8, 8]


def test_options_and_no_vertices(tmp_path: Path) -> None:
    content = "NOFF\n1 0 0\n1 2 3 0 0 1\n"
    assert not read_text(OFF, tmp_path, content, attributes=())[1].attributes
    with pytest.raises(IngestError, match=r"in\.off.*color"):
        read_text(OFF, tmp_path, content, attributes=("color",))
    _, mesh = read_text(OFF, tmp_path, "OFF 0 0 0")
    assert mesh.positions.shape == (0, 3)
    same_mesh(round_trip(OFF, tmp_path, [mesh]), mesh)


BAD: list[tuple[bytes | str, str]] = [
    (b"", "is empty"),
    ("# only a comment\n", "not an OFF file"),
    (b"\x00\xff", "not an OFF file"),
    ("OFFICE 3 1 0\n", "not an OFF file"),
    ("3 1 0\n" + BODY, "not an OFF file"),
    ("4OFF\n3 1 0\n" + BODY, "kind that is not read"),
    ("nOFF\n3 1 0\n" + BODY, "kind that is not read"),
    ("OFF BINARY\n\x00\x01", "kind that is not read"),
    ("OFF\n", "truncated.*counts"),
    ("OFF\n3\n" + BODY, "number of vertices.*line 2"),
    ("OFF\n3 1 0 0\n" + BODY, "line 2"),
    ("OFF\n3 -1 0\n" + BODY, "line 2"),
    ("OFF\n3 x 0\n" + BODY, "line 2"),
    ("OFF\n3 2 0\n" + BODY, "counts.*3 lines of vertices and 2 of faces.*4 lines"),
    ("OFF\n2 1 0\n" + BODY, "counts"),
    ("OFF\n9999999999999999999 1 0\n" + BODY, "counts"),
    ("OFF\n99999999999999999999 1 0\n" + BODY, "line 2"),
    ("OFF\n3 1 0\n" + BODY.replace("1 0 0", "1 0"), "3 numbers.*line 4"),
    ("OFF\n3 1 0\n" + BODY.replace("1 0 0", "1 0 0 0"), "3 numbers.*line 4"),
    ("OFF\n3 1 0\n" + BODY.replace("1 0 0", "1 0 x"), "line 4"),
    ("COFF\n3 1 0\n" + BODY, "6 numbers.*line 3"),
    ("OFF\n3 1 0\n" + BODY.replace("0 1 2", "0 1 3"), "vertex that there is not.*0 to 2.*vertex 3 in line 6"),
    ("OFF\n3 1 0\n" + BODY.replace("0 1 2", "0 1 -1"), "vertex -1 in line 6"),
    ("OFF\n3 1 0\n" + BODY.replace("0 1 2", "0 1 .5"), "whole numbers.*line 6"),
    ("OFF\n3 1 0\n" + BODY.replace("0 1 2", "0 1 nan"), "line 6"),
    ("OFF\n3 1 0\n" + BODY.replace("0 1 2", "0 1"), "number of corners.*line 6"),
    ("OFF\n3 1 0\n" + BODY.replace("3 0 1 2", "2 0 1"), "no polygon.*2 in line 6"),
    ("OFF\n3 1 0\n" + BODY.replace("3 0 1 2", "-3 0 1 2"), "line 6"),
    ("OFF\n3 1 0\n" + BODY.replace("3 0 1 2", "1e300 0 1 2"), "line 6"),
    ("OFF\n3 1 0\n" + BODY.replace("3 0 1 2", "3 0 1 2 9 9"), "colour.*line 6"),
    ("OFF\n3 2 0\n" + BODY.replace("2\n", "2 7 7 7\n") + "3 0 1 2 7\n", "an index in all lines.*line 6"),
]


@pytest.mark.parametrize(("content", "message"), BAD, ids=[str(index) for index in range(len(BAD))])
def test_bad_files_are_refused_by_line(tmp_path: Path, content: bytes | str, message: str) -> None:
    with pytest.raises(IngestError, match=rf"in\.off.*{message}"):
        read_text(OFF, tmp_path, content)


def test_truncation_is_found_wherever_a_number_is_missing(tmp_path: Path) -> None:
    content = "COFF\n3 2 0\n0 0 0 9 9 9\n1 0 0 9 9 9\n0 1 0 9 9 9\n3 0 1 2\n3 2 1 0"
    for size in range(len(content)):
        with pytest.raises(IngestError, match=r"in\.off"):
            read_text(OFF, tmp_path, content[:size])


@given(text=st.text(alphabet="0123 .-#\nex", max_size=60))
def test_any_text_is_read_or_refused(text: str) -> None:
    with TemporaryDirectory() as folder, suppress(IngestError):
        read_text(OFF, Path(folder), "OFF " + text)


@given(data=st.data(), mesh=bare_meshes(dtypes=(np.float64,)))
def test_a_mesh_goes_out_and_comes_back(data: st.DataObject, mesh: Mesh) -> None:
    rng = np.random.default_rng(data.draw(st.integers(0, 2**32 - 1)))
    rows, faces = mesh.vertex_count, mesh.face_count
    channels = data.draw(st.integers(3, 4))
    attributes = {
        "normal": rng.normal(size=(rows, 3)),
        "color": data.draw(
            st.sampled_from([rng.random((rows, channels)), rng.integers(0, 256, (rows, channels), np.uint8)])
        ),
        "texcoord": rng.normal(size=(rows, 2)),
    }
    kept = data.draw(st.sets(st.sampled_from(sorted(attributes)))) if rows else set()
    shades = {
        "color": rng.integers(0, 256, (faces, channels), np.uint8),
        "color_index": rng.integers(-9, 9, faces, np.int32),
    }
    said = data.draw(st.sampled_from([None, *shades])) if faces else None
    mesh = replace(
        mesh,
        attributes={name: column for name, column in attributes.items() if name in kept},
        face_attributes={} if said is None else {said: shades[said]},
    )
    with TemporaryDirectory() as folder:
        back = round_trip(OFF, Path(folder), [mesh])
    same_mesh(back, mesh)


def test_batches_get_vertices_of_their_own(tmp_path: Path) -> None:
    mesh = Mesh(CUBE.astype(np.float32) / 3, QUADS, axes="zyx")
    back = round_trip(OFF, tmp_path, [mesh, mesh, mesh], {"off": {"comments": ["by hand"]}})
    np.testing.assert_array_equal(back.faces, np.concatenate([QUADS, QUADS + 8, QUADS + 16]))
    np.testing.assert_array_equal(back.positions.astype(np.float32), np.tile(mesh.positions[:, ::-1], (3, 1)))
    assert (tmp_path / "out.off").read_text().startswith("OFF\n# by hand\n24 ")


MESH = Mesh(CUBE, QUADS)
REFUSED: list[tuple[Any, str]] = [
    ([replace(MESH, attributes={"weight": np.ones(8)})], "attributes.*weight"),
    ([replace(MESH, attributes={"color": np.ones((8, 2))})], "'color'.*3 or 4"),
    ([replace(MESH, attributes={"color": np.ones((8, 3), np.uint16)})], "'color'.*uint16"),
    ([replace(MESH, face_attributes={"area": np.ones(6)})], "face attributes.*area"),
    ([replace(MESH, face_attributes={"color": np.ones((6, 3)), "color_index": np.ones(6)})], "both"),
    ([replace(MESH, object_attributes={"name": np.array(["a"])})], "object attributes.*name"),
    ([replace(MESH, groups={0: np.array([0])})], "groups"),
    ([replace(MESH, object_ids=np.full(8, number)) for number in (0, 1)], "one object"),
    ([MESH, replace(MESH, attributes={"normal": np.ones((8, 3))})], "same columns"),
    ([Mesh(np.zeros((3, 4)), [[0, 1, 2]], axes="tzyx")], "4 axes"),
    ([Points(CUBE)], "holds meshes"),
]


@pytest.mark.parametrize(("meshes", "message"), REFUSED, ids=[str(index) for index in range(len(REFUSED))])
def test_what_off_cannot_hold_is_refused_and_no_file_left(tmp_path: Path, meshes: Any, message: str) -> None:
    with pytest.raises(ExportError, match=message):
        write_mesh(OFF, tmp_path / "out.off", meshes)
    assert not list(tmp_path.iterdir())


def test_trimesh_reads_what_is_written_and_the_other_way_round(tmp_path: Path) -> None:
    sphere = trimesh.creation.icosphere(subdivisions=2)
    sphere.export(tmp_path / "in.off")
    _, mesh = read_mesh(OFF, tmp_path / "in.off")
    np.testing.assert_allclose(mesh.positions, sphere.vertices, atol=1e-8)
    np.testing.assert_array_equal(mesh.faces, sphere.faces)
    again = trimesh.load_mesh(write_mesh(OFF, tmp_path / "out.off", [mesh, mesh]), process=False)
    np.testing.assert_array_equal(again.triangles, np.tile(mesh.positions[mesh.faces], (2, 1, 1)))


def test_a_real_mesh_goes_out_and_comes_back(tmp_path: Path) -> None:
    _, mesh = read_mesh(PLY, fetched("dragon_res4.ply"))
    back = round_trip(OFF, tmp_path, [mesh])
    np.testing.assert_array_equal(back.positions.astype(np.float32), mesh.positions)
    np.testing.assert_array_equal(back.faces, mesh.faces)
    oracle = trimesh.load_mesh(tmp_path / "out.off", process=False)
    np.testing.assert_allclose(oracle.triangles, mesh.positions[mesh.faces], atol=1e-7)
