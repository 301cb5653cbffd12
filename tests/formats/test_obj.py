"""Wavefront OBJ: what files mean, what is refused by line, and that nothing changes on the way out and back."""

from __future__ import annotations

from contextlib import suppress
from dataclasses import replace
from pathlib import Path
from tempfile import TemporaryDirectory
from time import process_time
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
from zarr_vectors.exceptions import ExportError, IngestError
from zarr_vectors.formats.base import ReadOptions
from zarr_vectors.formats.meshes import name_column
from zarr_vectors.formats.obj import OBJ
from zarr_vectors.geometry import Categorical, Mesh, Points

TRIANGLE = "v 0 0 0\nv 1 0 0\nv 0 1 0\n"


def text_of(column: Any) -> list[Any]:
    assert isinstance(column, Categorical)
    return list(np.asarray(column).tolist())


@pytest.mark.parametrize("ends", ["\n", "\r\n", "\r"])
def test_forms_of_corners(tmp_path: Path, ends: str) -> None:
    content = (
        "# by hand\n\n  # again\nmtllib a.mtl\nv 0 0 0 # origin\n\tv  1 0\t0\nv 0 1 0\n"
        "vt 0 0\nvt .5 0 9\nvt 1e0\nvn 0 0 1\nf 1/1/1 2/2/1 3/3/1\nv 0 0 1\nvt 7 7\nvn 1 0 0\n"
        "f -4/-4/-2 \\\n -3/2/1 4/4/2\nf 1/1/ 2//1 4\n"
    )
    source, mesh = read_text(OBJ, tmp_path, content.replace("\n", ends))
    assert mesh.positions.tolist() == [[0, 0, 0], [1, 0, 0], [0, 1, 0], [0, 0, 1]]
    assert mesh.faces.tolist() == [[0, 1, 2], [0, 1, 3], [0, 1, 3]]
    assert np.asarray(mesh.attributes["texcoord"]).tolist() == [[0, 0, 0], [0.5, 0, 9], [1, 0, 0], [7, 7, 0]]
    assert np.asarray(mesh.attributes["normal"]).tolist() == [[0, 0, 1]] * 3 + [[1, 0, 0]]
    assert mesh.object_ids is None
    assert source.headers["obj"] == {
        "comments": ["by hand", "again"],
        "mtllib": ["a.mtl"],
        "dropped": [],
        "ignored_elements": {},
    }


def test_relative_corners_count_from_their_line(tmp_path: Path) -> None:
    _, mesh = read_text(OBJ, tmp_path, TRIANGLE + "f -3 -2 -1\n" + TRIANGLE + "f -3 -2 -1\nf -6 2 -1\n")
    assert mesh.faces.tolist() == [[0, 1, 2], [3, 4, 5], [0, 1, 5]]


def test_comments_begin_with_a_word(tmp_path: Path) -> None:
    content = "#\n" + TRIANGLE + "o a#b #c\nusemtl #d\nf 1 2 3 #4\n#f 1 2\n"
    _, mesh = read_text(OBJ, tmp_path, content)
    assert text_of(mesh.object_attributes["name"]) == ["a#b"]
    assert text_of(mesh.face_attributes["material"]) == [None]
    assert mesh.faces.tolist() == [[0, 1, 2]]


def test_a_face_may_come_before_its_vertices(tmp_path: Path) -> None:
    assert read_text(OBJ, tmp_path, "f 1 2 3\n" + TRIANGLE)[1].faces.tolist() == [[0, 1, 2]]


def test_colours_and_weights(tmp_path: Path) -> None:
    _, mesh = read_text(OBJ, tmp_path, "v 0 0 0 1 0.5 0\nv 1 0 0\nv 0 1 0 0 0 1\n")
    np.testing.assert_array_equal(mesh.attributes["color"], [[1, 0.5, 0], [np.nan] * 3, [0, 0, 1]])
    _, mesh = read_text(OBJ, tmp_path, "v 0 0 0 1 0.5 0 0.25\nv 0 0 0 1 1 1\n")
    np.testing.assert_array_equal(mesh.attributes["color"], [[1, 0.5, 0, 0.25], [1, 1, 1, np.nan]])
    _, mesh = read_text(OBJ, tmp_path, "v 0 0 0 2\nv 1 0 0\nv 0 1 0 1\n")
    assert np.asarray(mesh.attributes["w"]).tolist() == [2, 1, 1]
    assert not read_text(OBJ, tmp_path, "v 0 0 0 1\nv 1 0 0\n")[1].attributes


def test_several_normals_at_a_vertex_are_put_aside(tmp_path: Path) -> None:
    start = TRIANGLE + "vn 0 0 1\nvn 0 0 -1\nvt 1 1\n"
    source, mesh = read_text(OBJ, tmp_path, start + "f 1//1 2//1 3//1\nf 1//2 3//2 2//2\n")
    assert not mesh.attributes
    assert source.headers["obj"]["dropped"] == ["texcoord: no face uses them", "normal: some vertices have several"]
    # Two normals that are the same are one.
    source, mesh = read_text(OBJ, tmp_path, start.replace("-1", "1") + "f 1//1 2//1 3//1\nf 1//2 3//2 2//2\n")
    assert list(mesh.attributes) == ["normal"]
    # A vertex of no corner with a normal has none.
    source, mesh = read_text(OBJ, tmp_path, start + "f 1//2 2//1 3\n")
    np.testing.assert_array_equal(np.asarray(mesh.attributes["normal"])[:, 2], [-1, 1, np.nan])


TWO = TRIANGLE + "f 1 2 3\n{}\n" + TRIANGLE + "f 4 5 6\nf 4 6 5\n"


@pytest.mark.parametrize("keyword", ["o", "g"])
def test_each_o_or_else_each_g_is_an_object(tmp_path: Path, keyword: str) -> None:
    content = f"{keyword} big one\n" + TWO.format(f"{keyword} small")
    for rows in (1, 3, 4, 100):
        source, mesh = read_text(OBJ, tmp_path, content, batch_rows=rows)
        assert mesh.object_ids is not None
        assert mesh.object_ids.tolist() == [0, 0, 0, 1, 1, 1]
        assert text_of(mesh.object_attributes["name"]) == ["big one", "small"]
        assert mesh.faces.tolist() == [[0, 1, 2], [3, 4, 5], [3, 5, 4]]
        assert not mesh.face_attributes
        assert source.rows == 6
    batches = list(OBJ.open(tmp_path / "in.obj", _options(batch_rows=3)).batches)
    assert [batch.vertex_count for batch in batches] == [3, 3]


def _options(**options: Any) -> ReadOptions:
    return ReadOptions(**options)


def test_objects_before_any_name_and_without_one(tmp_path: Path) -> None:
    _, mesh = read_text(OBJ, tmp_path, TWO.format("o late"))
    assert text_of(mesh.object_attributes["name"]) == [None, "late"]
    _, mesh = read_text(OBJ, tmp_path, "o\n" + TWO.format("o"))
    assert mesh.object_ids is None
    source, mesh = read_text(OBJ, tmp_path, "o empty\no full\n" + TRIANGLE + "f 1 2 3\n")
    assert text_of(mesh.object_attributes["name"]) == ["full"]
    assert source.headers["obj"]["dropped"] == ["objects without vertices: empty"]
    # A name that comes again is the same object.
    _, mesh = read_text(OBJ, tmp_path, "o a\n" + TWO.format("o b\no a"))
    assert mesh.object_ids is not None
    assert set(mesh.object_ids.tolist()) == {0}


def test_vertices_before_all_objects_go_to_those_of_their_faces(tmp_path: Path) -> None:
    content = TRIANGLE * 2 + "v 9 9 9\no a\nf 1 2 3\no b\nf 4 5 6\n"
    _, mesh = read_text(OBJ, tmp_path, content)
    assert mesh.object_ids is not None
    assert mesh.object_ids.tolist() == [0, 0, 0, 1, 1, 1, 0]


@pytest.mark.parametrize(("keyword", "attribute"), [("o", "object"), ("g", "group")])
def test_objects_that_share_a_vertex_are_one(tmp_path: Path, keyword: str, attribute: str) -> None:
    content = TRIANGLE + f"v 1 1 0\nf 2 3 4\n{keyword} a b\nf 1 2 3\n{keyword} c\nf 3 2 4\n"
    _, mesh = read_text(OBJ, tmp_path, content)
    assert mesh.object_ids is None
    assert text_of(mesh.face_attributes[attribute]) == [None, "a b", "c"]
    same_mesh(round_trip(OBJ, tmp_path, [mesh]), mesh)


def test_groups_beside_objects_and_materials(tmp_path: Path) -> None:
    content = (
        "o a\n" + TRIANGLE + "usemtl red\nf 1 2 3\ng left\nf 2 3 1\nusemtl\ng\nf 3 1 2\ns 1\nl 1 2 3\np 1\ns off\n"
    )
    source, mesh = read_text(OBJ, tmp_path, content)
    assert text_of(mesh.face_attributes["material"]) == ["red", "red", None]
    assert text_of(mesh.face_attributes["group"]) == [None, "left", None]
    assert source.headers["obj"]["ignored_elements"] == {"s": 2, "l": 1, "p": 1}
    same_mesh(round_trip(OBJ, tmp_path, [mesh]), mesh)


def test_polygons(tmp_path: Path) -> None:
    content = TRIANGLE + "v 1 1 0\nusemtl m\nf 1 2 4 3\nusemtl n\nf 1 2 3\n"
    with pytest.raises(
        IngestError, match=r"in\.obj.*several widths.*4 corners, as in line 6.*3 in line 8.*triangulate"
    ):
        read_text(OBJ, tmp_path, content)
    _, mesh = read_text(OBJ, tmp_path, content, triangulate=True)
    assert mesh.faces.tolist() == [[0, 1, 3], [0, 3, 2], [0, 1, 2]]
    assert text_of(mesh.face_attributes["material"]) == ["m", "m", "n"]
    quad = content.rpartition("usemtl")[0]
    assert read_text(OBJ, tmp_path, quad)[1].faces.tolist() == [[0, 1, 3, 2]]
    assert read_text(OBJ, tmp_path, quad, triangulate=True)[1].faces.tolist() == [[0, 1, 3], [0, 3, 2]]
    pentagon = TRIANGLE * 2 + "f 5 4 3 2 1\n"
    assert read_text(OBJ, tmp_path, pentagon, triangulate=True)[1].faces.tolist() == [[4, 3, 2], [4, 2, 1], [4, 1, 0]]


def test_options(tmp_path: Path) -> None:
    content = TRIANGLE + "vn 0 0 1\nusemtl m\nf 1//1 2//1 3//1\n"
    _, mesh = read_text(OBJ, tmp_path, content, attributes=("material",), positions=("x", "y", "z"))
    assert (list(mesh.attributes), list(mesh.face_attributes)) == ([], ["material"])
    for options, message in (
        ({"attributes": ("color",)}, "lacks wanted.*color"),
        ({"positions": ("x", "y")}, "positions"),
        ({"object_ids": "name"}, "object ids.*name"),
    ):
        with pytest.raises(IngestError, match=rf"in\.obj.*{message}"):
            read_text(OBJ, tmp_path, content, **options)


def test_no_faces_and_no_vertices(tmp_path: Path) -> None:
    _, mesh = read_text(OBJ, tmp_path, TRIANGLE)
    assert (mesh.vertex_count, mesh.face_count) == (3, 0)
    _, mesh = read_text(OBJ, tmp_path, "# nothing")
    assert mesh.positions.shape == (0, 3)
    assert round_trip(OBJ, tmp_path, [mesh]).vertex_count == 0


BAD = [
    (b"", "is empty"),
    (b"\x00\x01\xff", "line 1"),
    ("solid x\n", "'solid x' in line 1"),
    ("v 1 2\n", "3 or 4 or 6 or 7 numbers.*'v 1 2' in line 1"),
    ("\n\nv 1 2 x\n", "'v 1 2 x' in line 3"),
    ("v 1 2 3\nv 1 2 1_0\n", "line 2"),
    ("v 1 2-3 4\n", "line 1"),
    ("v\n", "line 1"),
    ("v 1 2 3 4 5\n", "line 1"),
    ("vn 0 0\n" + TRIANGLE, "3 numbers.*'vn 0 0' in line 1"),
    ("vt\n" + TRIANGLE, "line 1"),
    (TRIANGLE + "\\\nf 1 2\n", "3 corners or more.*2 in line 5"),
    (TRIANGLE + "f\n", "0 in line 4"),
    (TRIANGLE + "f 1 2 3\nf 1 2 4\n", "vertex that there is not.*1 to 3.*got 4 in line 5"),
    (TRIANGLE + "f 1 2 0\n", "got 0 in line 4"),
    (TRIANGLE + "f 1 2 -4\n" + TRIANGLE, "got -4 in line 4"),
    (TRIANGLE + "f 1/1 2/1 3/1\n", "texture coordinate that there is not.*as there is none.*line 4"),
    (TRIANGLE + "vn 0 0 1\nf 1//1 2//2 3//1\n", "normal that there is not.*got 2 in line 5"),
    (TRIANGLE + "f 1 2 3.5\n", "line 4"),
    (TRIANGLE + "f 1 2 a\n", "line 4"),
    (TRIANGLE + "f 1 2 1-3\n", "line 4"),
    (TRIANGLE + "f 1 2 --3\n", "line 4"),
    (TRIANGLE + "f 1 2 3-\n", "line 4"),
    (TRIANGLE + "f /1 2 3\n", "line 4"),
    (TRIANGLE + "f 1 2 3/1/1/1\n", "line 4"),
    (TRIANGLE + "f 1 2 /\n", "line 4"),
    (TRIANGLE + "f 1 2 99999999999999999999999\n", "line 4"),
    (TRIANGLE + "f 1 2 999999999999999999\n", "got 999999999999999999 in line 4"),
    (TRIANGLE + "# c\r\nface 1 2 3\r\n", "'face 1 2 3' in line 5"),
    (TRIANGLE + "f 1 2 3 \\", "line 4"),
    ("f 1 2 3\n", "as there is none"),
]


@pytest.mark.parametrize(("content", "message"), BAD, ids=[str(index) for index in range(len(BAD))])
def test_bad_files_are_refused_by_line(tmp_path: Path, content: Any, message: str) -> None:
    if content == TRIANGLE + "f 1 2 3 \\":
        # A backslash before the end joins nothing.
        assert read_text(OBJ, tmp_path, content)[1].face_count == 1
        return
    with pytest.raises(IngestError, match=rf"in\.obj.*{message}"):
        read_text(OBJ, tmp_path, content)


@given(text=st.text(alphabet="vfogtn 0123/-.#\\\n\t", max_size=60))
def test_any_text_is_read_or_refused(text: str) -> None:
    with TemporaryDirectory() as folder, suppress(IngestError):
        read_text(OBJ, Path(folder), TRIANGLE + text)


@given(data=st.data(), mesh=bare_meshes())
def test_a_mesh_goes_out_and_comes_back(data: st.DataObject, mesh: Mesh) -> None:
    rng = np.random.default_rng(data.draw(st.integers(0, 2**32 - 1)))
    rows, faces = mesh.vertex_count, mesh.face_count
    attributes = {
        "normal": rng.normal(size=(rows, 3)),
        "texcoord": rng.normal(size=(rows, data.draw(st.integers(1, 3)))),
        "color": rng.random((rows, data.draw(st.integers(3, 4)))),
    }
    kept = data.draw(st.sets(st.sampled_from(sorted(attributes))))
    words = st.lists(st.sampled_from([None, "a", "b c", "ä"]), min_size=faces, max_size=faces)
    said = {name: name_column(data.draw(words)) for name in ("group", "material") if data.draw(st.booleans())}
    if faces == 0:
        kept, said = set(), {}
    mesh = replace(mesh, attributes={name: attributes[name] for name in sorted(kept)}, face_attributes=said)
    with TemporaryDirectory() as folder:
        back = round_trip(OBJ, Path(folder), [mesh])
    assert back.positions.tobytes() == mesh.positions.tobytes()
    assert back.faces.tolist() == mesh.faces.tolist()
    for name in kept:
        column = np.asarray(mesh.attributes[name])
        np.testing.assert_array_equal(back.attributes[name], column)
    for name, words_given in said.items():
        if any(text_of(words_given)):
            assert text_of(back.face_attributes[name]) == text_of(words_given)


def two_objects() -> Mesh:
    faces = np.concatenate([QUADS, QUADS + 8])
    names = name_column(["one", "two"])
    ids = np.repeat([3, 7], 8)
    return Mesh(
        np.concatenate([CUBE, CUBE + 5]), faces, object_ids=ids, objects=[3, 7], object_attributes={"name": names}
    )


def test_objects_in_batches_get_vertices_of_their_own(tmp_path: Path) -> None:
    mesh = two_objects()
    both = round_trip(OBJ, tmp_path, [mesh, shifted(mesh, 10)])
    assert both.object_ids is not None
    assert text_of(both.object_attributes["name"]) == ["one", "two"]
    names = name_column(["three", "four"])
    both = round_trip(OBJ, tmp_path, [mesh, replace(shifted(mesh, 10), object_attributes={"name": names})])
    assert both.object_ids is not None
    assert both.object_ids.tolist() == np.repeat([0, 1, 2, 3], 8).tolist()
    assert text_of(both.object_attributes["name"]) == ["one", "two", "three", "four"]
    np.testing.assert_array_equal(both.faces, np.concatenate([QUADS + 8 * at for at in range(4)]))


def test_objects_that_are_mixed_come_one_after_the_other(tmp_path: Path) -> None:
    order = np.arange(16).reshape(2, 8).T.reshape(-1)
    mesh = two_objects()
    new = np.argsort(order)
    assert mesh.object_ids is not None
    mixed = replace(mesh, positions=mesh.positions[order], object_ids=mesh.object_ids[order], faces=new[mesh.faces])
    np.testing.assert_array_equal(round_trip(OBJ, tmp_path, [mixed]).positions, mesh.positions)
    np.testing.assert_array_equal(round_trip(OBJ, tmp_path, [mixed]).faces, mesh.faces)


def test_small_dtypes_find_back_and_axes_find_their_place(tmp_path: Path) -> None:
    mesh = Mesh(CUBE.astype(np.float32) / 3, QUADS, attributes={"color": np.full((8, 3), 51, np.uint8)}, axes="zyx")
    back = round_trip(OBJ, tmp_path, [mesh])
    np.testing.assert_array_equal(back.positions.astype(np.float32), mesh.positions[:, ::-1])
    np.testing.assert_array_equal(back.attributes["color"], np.full((8, 3), 0.2))
    back = round_trip(OBJ, tmp_path, [Mesh(CUBE[:, :2].astype(np.int64), QUADS)])
    np.testing.assert_array_equal(back.positions, CUBE * [1, 1, 0])


def test_headers_come_back(tmp_path: Path) -> None:
    headers = {"obj": {"comments": ["two\nlines"], "mtllib": ["a b.mtl"]}}
    path = write_mesh(OBJ, tmp_path / "out.obj", [Mesh(CUBE, QUADS)], headers)
    assert path.read_text().startswith("# two\n# lines\nmtllib a b.mtl\nv 0.0 0.0 0.0\n")
    with pytest.raises(ExportError, match="headers/obj"):
        write_mesh(OBJ, tmp_path / "bad.obj", [Mesh(CUBE, QUADS)], {"obj": {"comments": "x"}})
    assert not (tmp_path / "bad.obj").exists()


CUBE_MESH = Mesh(CUBE, QUADS)
REFUSED: list[tuple[Any, str]] = [
    (replace(CUBE_MESH, attributes={"weight": np.ones(8)}), "attributes.*weight"),
    (replace(CUBE_MESH, attributes={"color": np.ones((8, 2))}), "'color'.*3 or 4.*shape"),
    (replace(CUBE_MESH, attributes={"color": np.ones((8, 3)), "w": np.ones(8)}), "both"),
    (replace(CUBE_MESH, face_attributes={"area": np.ones(6)}), "face attributes.*area"),
    (replace(CUBE_MESH, face_attributes={"group": np.ones(6)}), "'group'.*text"),
    (replace(CUBE_MESH, face_attributes={"group": name_column(["a\nb"] * 6)}), r"name.*a\\nb"),
    (replace(CUBE_MESH, face_attributes={"group": name_column(["a #b"] * 6)}), "name.*#"),
    (replace(CUBE_MESH, face_attributes={"group": name_column([" a"] * 6)}), "name"),
    (replace(CUBE_MESH, face_attributes={"group": name_column(["a\\"] * 6)}), "name"),
    (replace(CUBE_MESH, object_attributes={"volume": np.ones(1)}), "object attributes.*volume"),
    (replace(CUBE_MESH, object_attributes={"name": np.ones(1)}), "must be text"),
    (replace(CUBE_MESH, groups={0: np.array([0])}), "groups"),
    (replace(CUBE_MESH, object_ids=np.arange(8)), "one object.*face 0"),
    (replace(two_objects(), face_attributes={"object": name_column(["a"] * 12)}), "several objects"),
    (Mesh(np.zeros((3, 4)), [[0, 1, 2]], axes="tzyx"), "4 axes"),
    (Points(CUBE), "holds meshes.*point_cloud"),
]


@pytest.mark.parametrize(("mesh", "message"), REFUSED, ids=[str(index) for index in range(len(REFUSED))])
def test_what_obj_cannot_hold_is_refused_and_no_file_left(tmp_path: Path, mesh: Any, message: str) -> None:
    with pytest.raises(ExportError, match=message):
        write_mesh(OBJ, tmp_path / "out.obj", [mesh])
    assert not list(tmp_path.iterdir())


@pytest.mark.filterwarnings("ignore::RuntimeWarning")
@pytest.mark.parametrize("name", ["bunny.obj", "bunny_norm.obj", "sphere.obj", "mat_test.obj"])
def test_real_files_are_as_trimesh_reads_them(tmp_path: Path, name: str) -> None:
    source, mesh = read_mesh(OBJ, fetched(name), triangulate=True)
    oracle = trimesh.load_mesh(fetched(name), process=False, maintain_order=True)
    assert mesh.positions[mesh.faces].shape == oracle.triangles.shape
    left, right = (np.sort(t.reshape(-1, 9), axis=0) for t in (mesh.positions[mesh.faces], oracle.triangles))
    np.testing.assert_allclose(left, right, atol=1e-9)
    path = write_mesh(OBJ, tmp_path / "out.obj", [mesh], source.headers)
    same_mesh(read_mesh(OBJ, path)[1], mesh)
    again = trimesh.load_mesh(path, process=False, maintain_order=True)
    assert len(again.faces) == mesh.face_count


def test_a_real_file_with_objects_that_share_vertices() -> None:
    source, mesh = read_mesh(OBJ, fetched("cube_att_sub_o.obj"))
    assert mesh.vertex_count == 8
    assert len(set(text_of(mesh.face_attributes["object"]))) > 1
    assert len(source.headers["obj"]["dropped"]) == 2


def test_a_large_file_is_read_by_columns(tmp_path: Path) -> None:
    rng = np.random.default_rng(1)
    mesh = Mesh(rng.normal(size=(20_000, 3)), rng.integers(0, 20_000, (40_000, 3)))
    path = write_mesh(OBJ, tmp_path / "out.obj", [mesh])
    started = process_time()
    back = read_mesh(OBJ, path)[1]
    assert process_time() - started < 6
    np.testing.assert_array_equal(back.faces, mesh.faces)
