"""Folders of files, one object per file."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from tests.formats.trees import XYZ, Level, read
from zarr_vectors.api.described import ObjectTable
from zarr_vectors.constants import GEOM_MESH, GEOM_POINT_CLOUD, GEOM_POLYLINE
from zarr_vectors.exceptions import ExportError, IngestError, InputError
from zarr_vectors.formats import registry
from zarr_vectors.formats.base import Format, ReadOptions, Source
from zarr_vectors.formats.folder import files_in, folder_of, names_of
from zarr_vectors.formats.picking import picked
from zarr_vectors.formats.registry import export, format_at, format_named, ingest
from zarr_vectors.formats.splitting import split_objects
from zarr_vectors.formats.swc import SWC
from zarr_vectors.geometry import Categorical, Geometry, Graph, Mesh, Points, Polylines, Skeleton

ONE = "1 1 0.5 0.5 0.5 1 -1\n2 3 1.5 1.5 1.5 1 1\n"
TWO = "# second\n1 1 5.5 0.5 0.5 1 -1\n"


def folder_with(path: Path, **files: str) -> Path:
    path.mkdir()
    for name, text in files.items():
        (path / f"{name}.swc").write_text(text)
    return path


def batches_of(folder: Path, **options: Any) -> list[Any]:
    return read(format_at(folder), folder, **options)[1]


def names(value: Geometry) -> list[Any]:
    return list(np.asarray(value.object_attributes["name"]).tolist())


def test_a_file_is_an_object(tmp_path: Path) -> None:
    folder = folder_with(tmp_path / "f", n10=TWO, n9=ONE, N1=ONE)
    (folder / "readme.txt").write_text("about")
    (folder / ".hidden.swc").write_text("junk")
    source, values = read(format_at(folder), folder)
    assert [value.object_ids.tolist() for value in values] == [[0, 0], [1, 1], [2]]
    assert [names(value) for value in values] == [["N1"], ["n9"], ["n10"]]
    assert source.rows == 5
    assert source.bounds == ([0.5, 0.5, 0.5], [5.5, 1.5, 1.5])
    assert source.axes == XYZ
    assert source.headers == {"swc": {"files": {"n10": {"comments": [" second"]}}}}


def test_integer_names_are_ids(tmp_path: Path) -> None:
    folder = folder_with(tmp_path / "f", **{"720575940621039145": ONE, "-3": TWO, "12": ONE})
    assert {value.objects[0]: names(value) for value in batches_of(folder)} == {
        720575940621039145: ["720575940621039145"],
        -3: ["-3"],
        12: ["12"],
    }


@pytest.mark.parametrize("stems", [("7", "x"), ("7", "007"), ("7", str(2**63)), ("7", "٧")])
def test_other_names_are_not(stems: tuple[str, ...], tmp_path: Path) -> None:
    folder = folder_with(tmp_path / "f", **dict.fromkeys(stems, ONE))
    assert [value.objects.tolist() for value in batches_of(folder)] == [[0], [1]]


def test_files_agree_on_types_and_columns(tmp_path: Path) -> None:
    long = "4 1 0.123456789 0.1 0.5 1 -1 7\n9 1 0 0 0 1 4 8\n"
    folder = folder_with(tmp_path / "f", a="1 1 0.1 0.1 0.1 0.3 -1\n", b=long, c="1 1 0.5 0.5 0.5 1 -1 0.25\n")
    first, second, third = batches_of(folder)
    assert {value.positions.dtype for value in (first, second, third)} == {np.dtype(np.float64)}
    assert first.positions.tolist() == [[0.1, 0.1, 0.1]]
    assert {value.attributes["radius"].dtype for value in (first, second, third)} == {np.dtype(np.float32)}
    assert second.attributes["node_id"].tolist() == [4, 9]
    assert np.ma.getmaskarray(first.attributes["node_id"]).tolist() == [True]
    assert {value.attributes["column_8"].dtype for value in (first, second, third)} == {np.dtype(np.float64)}
    assert np.isnan(first.attributes["column_8"]).all()
    assert second.attributes["column_8"].tolist() == [7, 8]
    assert third.attributes["column_8"].tolist() == [0.25]
    assert [list(value.attributes) for value in (first, second)] == [list(third.attributes)] * 2


def test_integers_that_would_change_are_refused(tmp_path: Path) -> None:
    folder = folder_with(tmp_path / "f", a=f"1 1 0 0 0 1 -1 {2**60 + 1}\n", b="1 1 0 0 0 1 -1 0.5\n")
    with pytest.raises(IngestError, match=r"a\.swc.*column_8"):
        batches_of(folder)


def test_a_bad_file_is_named_before_anything_is_written(tmp_path: Path) -> None:
    folder = folder_with(tmp_path / "f", a=ONE, b=ONE + "3 3\n")
    with pytest.raises(IngestError, match=r"b\.swc.*line 3"):
        ingest(folder, tmp_path / "store")
    assert not (tmp_path / "store").exists()


@pytest.mark.parametrize(
    ("files", "fact"),
    [
        ({}, "no file of a known format"),
        ({"a.docx": ""}, "no file of a known format"),
        ({"a.swc": ONE, "b.ply": ""}, "formats ply, swc"),
        ({"a.las": ""}, "points"),
    ],
)
def test_folders_of_other_things(files: dict[str, str], fact: str, tmp_path: Path) -> None:
    folder = tmp_path / "f"
    folder.mkdir()
    for name, text in files.items():
        (folder / name).write_text(text)
    with pytest.raises(IngestError, match=fact):
        ingest(folder, tmp_path / "store")


def test_ingest_hands_the_batches_to_write(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    folder = folder_with(tmp_path / "f", **{"5": ONE, "6": TWO, "7": ONE})
    taken: list[Any] = []

    def write(_: object, values: Iterator[Geometry], **options: Any) -> None:
        taken.extend(values)
        taken.append(options["headers"])

    monkeypatch.setattr(registry, "write", write)
    ingest(folder, tmp_path / "store", object_ids=[6, 7])
    *values, headers = taken
    assert [value.vertex_count for value in values] == [0, 1, 2]
    assert [value.objects.tolist() for value in values] == [[], [6], [7]]
    assert [names(value) for value in values] == [[], ["6"], ["7"]]
    assert headers == {"swc": {"files": {"6": {"comments": [" second"]}}}}


def test_a_box_leaves_out_objects_without_vertices() -> None:
    value = Skeleton([[0.0, 0.0, 0.0], [9.0, 9.0, 9.0]], [-1, -1], object_ids=[1, 2], object_attributes={"n": [5, 6]})
    (kept,) = picked(Source(batches=[value], axes=XYZ), ([8, 8, 8], [9, 9, 9]), None)
    assert kept.objects is not None
    assert kept.objects.tolist() == [2]
    assert np.asarray(kept.object_attributes["n"]).tolist() == [6]
    (same,) = picked(Source(batches=[value], axes=XYZ), None, None)
    assert same is value


class Several:
    """A format whose files hold what the test says."""

    def __init__(self, **values: Geometry) -> None:
        self.values = values

    def format(self) -> Format:
        return Format(
            name="several",
            suffixes=(".sev",),
            description="",
            open=self.open,
            export=SWC.export,
            kinds=(GEOM_MESH, GEOM_POLYLINE),
        )

    def open(self, path: Path, _: ReadOptions) -> Source:
        value = self.values[path.stem]
        halves: list[Geometry] = [value]
        if value.vertex_objects is not None and not isinstance(value, Polylines):
            halves = [part for _, part in split_objects(value)]
        return Source(batches=halves, axes=value.axes)

    def read(self, folder: Path) -> list[Any]:
        folder.mkdir()
        for name in self.values:
            (folder / f"{name}.sev").touch()
        return read(folder_of(self.format()), folder)[1]


def mesh(*ids: int, **fields: Any) -> Mesh:
    return Mesh(np.zeros((len(ids), 3)), object_ids=ids, **fields)


def test_files_of_several_objects_get_fresh_ids(tmp_path: Path) -> None:
    values = Several(
        **{
            "1": mesh(7, 7, 3, object_attributes={"name": ["x", "y"]}, objects=[7, 3]),
            "2": Mesh(np.zeros((2, 3))),
            "3": mesh(4, 4, object_attributes={"name": ["z"]}),
        }
    ).read(tmp_path / "f")
    assert [value.object_ids.tolist() for value in values] == [[0], [1, 1], [2, 2], [3, 3]]
    assert [names(value) for value in values] == [["y"], ["x"], ["2"], ["3"]]
    assert [np.asarray(value.object_attributes["own_name"]).tolist() for value in values] == [
        ["y"],
        ["x"],
        [None],
        ["z"],
    ]


def test_lines_are_objects(tmp_path: Path) -> None:
    lines = Polylines([np.zeros((2, 3)), np.ones((3, 3))], ids=[9, 4], object_attributes={"w": [1.5, 2.5]})
    values = Several(a=lines, b=Polylines(np.zeros((0, 3)), [0]), c=lines.take(np.array([1]))).read(tmp_path / "f")
    assert [value.ids.tolist() for value in values] == [[1, 0], [], [3]]
    assert values[0].objects.tolist() == [1, 0]
    assert values[0].object_attributes["w"].tolist() == [1.5, 2.5]


@pytest.mark.parametrize(
    ("other", "fact"),
    [
        (Polylines([np.zeros((2, 3))]), "kind"),
        (Mesh(np.zeros((1, 2))), "kind"),
        (Mesh(np.zeros((1, 3)), axes="zyx"), "axes"),
        (mesh(1, groups={0: [1]}), "groups"),
        (mesh(1, attributes={"w": ["text"]}), "'w'"),
        (mesh(1, attributes={"w": [[1.0, 2.0]]}), "'w'"),
        (mesh(1, attributes={"w": [True]}), "'w'"),
        (Mesh(np.zeros((4, 3)), [[0, 1, 2, 3]]), "corners"),
        (Points(np.zeros((1, 3))), "points"),
    ],
)
def test_files_that_do_not_go_together(other: Geometry, fact: str, tmp_path: Path) -> None:
    first = Mesh(np.zeros((3, 3)), [[0, 1, 2]], attributes={"w": [0.5, 1.5, 2.5]})
    with pytest.raises(IngestError, match=fact) as caught:
        Several(a=first, b=other).read(tmp_path / "f")
    assert "b.sev" in str(caught.value)


def test_natural_order(tmp_path: Path) -> None:
    stems = ["b", "a10", "a9", "a1b", "10", "9", "0010"]
    folder = folder_with(tmp_path / "f", **dict.fromkeys(stems, ONE))
    assert [file.stem for file in files_in(folder, SWC)] == ["9", "0010", "10", "a1b", "a9", "a10", "b"]


def neurons() -> Skeleton:
    return Skeleton(
        np.arange(15.0).reshape(5, 3),
        [-1, 2, -1, 0, 2],
        object_ids=[8, 3, 3, 8, 3],
        attributes={"radius": np.arange(5.0)},
        edge_attributes={"e": [1, 3, 4]},
        object_attributes={"name": ["b", "a", "empty"]},
        objects=[8, 3, 5],
        groups={0: [8], 2: [3]},
        group_attributes={"g": [1, 2, 3]},
    )


def test_a_batch_is_split() -> None:
    parts = dict(split_objects(neurons()))
    assert list(parts) == [3, 5, 8]
    three = parts[3]
    assert isinstance(three, Skeleton)
    assert three.positions[:, 0].tolist() == [3, 6, 12]
    assert three.parents.tolist() == [1, -1, 1]
    assert np.asarray(three.edge_attributes["e"]).tolist() == [1, 4]
    assert three.groups.keys() == {2}
    assert np.asarray(three.group_attributes["g"]).tolist() == [1, 2, 3]
    assert [names(part) for part in parts.values()] == [["a"], ["empty"], ["b"]]
    assert parts[5].vertex_count == 0


def test_links_and_lines_are_split_and_strays_refused() -> None:
    graph = Graph(np.zeros((4, 3)), [[3, 0], [2, 1], [0, 3]], object_ids=[1, 2, 2, 1], edge_attributes={"w": [1, 2, 3]})
    parts = [part for _, part in split_objects(graph)]
    assert [part.edges.tolist() for part in parts if isinstance(part, Graph)] == [[[1, 0], [0, 1]], [[1, 0]]]
    with pytest.raises(ExportError, match="different objects"):
        list(split_objects(replace(graph, object_ids=np.array([1, 2, 2, 2]))))
    lines = Polylines([np.zeros((2, 3)), np.ones((3, 3)), np.ones((1, 3))], ids=[9, 4, 9])
    assert [(key, part.vertex_count) for key, part in split_objects(lines)] == [(4, 3), (9, 3)]
    last = np.iinfo(np.int64).max
    assert [key for key, _ in split_objects(mesh(last, 1))] == [1, last]


def level(*batches: Skeleton, **options: Any) -> Level:
    first = batches[0]
    assert first.objects is not None
    table = ObjectTable(first.objects, first.object_attributes, {}, {})
    return Level(*batches, table=table, **options)


def plain(**fields: Any) -> Skeleton:
    return replace(neurons(), edge_attributes={}, groups={}, group_attributes={}, **fields)


def test_a_file_for_each_object_by_name(tmp_path: Path) -> None:
    source = level(plain(), headers={"swc": {"files": {"a": {"comments": [" mine"]}}}}).level()
    assert export(source, tmp_path / "out", format="swc") == 5
    assert sorted(path.name for path in (tmp_path / "out").iterdir()) == ["a.swc", "b.swc", "empty.swc"]
    assert (tmp_path / "out" / "a.swc").read_text().startswith("# mine\n# float64: x y z radius\n1 0 ")
    assert "# name" not in (tmp_path / "out" / "b.swc").read_text()
    back = batches_of(tmp_path / "out")
    assert [names(value) for value in back] == [["a"], ["b"], ["empty"]]
    want = dict(split_objects(plain()))
    assert sorted(back[0].positions.tolist()) == sorted(want[3].positions.tolist())
    assert back[2].vertex_count == 0
    assert [path.name for path in tmp_path.iterdir()] == ["out"]


@pytest.mark.parametrize("given", [["a", "A", "b"], ["a", "x/y", "b"], ["a", "..", "b"], ["a", None, "b"], [1, 2, 3]])
def test_names_that_do_not_serve_leave_ids(given: list[Any], tmp_path: Path) -> None:
    export(level(plain(object_attributes={"name": given})).level(), tmp_path / "out", format="swc")
    assert sorted(path.name for path in (tmp_path / "out").iterdir()) == ["3.swc", "5.swc", "8.swc"]
    assert f"# name: {given[0]}\n" in (tmp_path / "out" / "8.swc").read_text()
    assert names_of(np.array([1]), Categorical.from_values(["x" * 300])) == {}


def test_without_objects_there_is_one_file(tmp_path: Path) -> None:
    value = Skeleton(np.zeros((2, 3)), [-1, 0])
    assert export(Level(value).level(), tmp_path / "out", format="swc") == 2
    assert [path.name for path in (tmp_path / "out").iterdir()] == ["0.swc"]


def test_a_failure_leaves_nothing(tmp_path: Path) -> None:
    bad = plain(attributes={"label": ["x"] * 5})
    with pytest.raises(ExportError, match="label"):
        export(level(bad).level(), tmp_path / "out", format="swc")
    with pytest.raises(ExportError, match="one batch"):
        export(level(plain(), plain()).level(), tmp_path / "out", format="swc")
    assert list(tmp_path.iterdir()) == []


def test_what_is_there_is_kept(tmp_path: Path) -> None:
    out, source = tmp_path / "out", level(plain()).level()
    export(source, out, format="swc")
    (out / "old.swc").write_text(ONE)
    with pytest.raises(ExportError, match="folder exists"):
        export(source, out, format="swc")
    assert export(source, out, format="swc", overwrite=True) == 5
    assert sorted(path.name for path in out.iterdir()) == ["a.swc", "b.swc", "empty.swc"]
    (out / "thesis.tex").write_text("years of work")
    with pytest.raises(ExportError, match="other things"):
        export(source, out, format="swc", overwrite=True)
    assert (out / "thesis.tex").read_text() == "years of work"
    (tmp_path / "file").write_text("x")
    with pytest.raises(ExportError, match="a file is where"):
        export(source, tmp_path / "file", format="swc", overwrite=True)
    assert sorted(path.name for path in tmp_path.iterdir()) == ["file", "out"]


def test_a_suffix_means_a_file(tmp_path: Path) -> None:
    assert format_named("swc", "neuron.swc") is SWC
    with pytest.raises(InputError, match=r"another format.*las"):
        format_named("swc", "scan.las")
    with pytest.raises(InputError, match="not known"):
        format_named("docx", "out")
    with pytest.raises(ExportError, match="one object"):
        export(level(plain()).level(), tmp_path / "all.swc")


def test_points_of_folders_are_no_objects() -> None:
    assert GEOM_POINT_CLOUD not in SWC.kinds
