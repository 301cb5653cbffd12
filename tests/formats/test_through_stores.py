"""From a file through a store to a file again, for the formats of connected geometry: nothing changes on the way."""

from __future__ import annotations

import itertools
from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import zarr_vectors as zv
from tests.cli.running import invoke
from tests.formats.streamline_tools import DATA
from zarr_vectors.axes import Axis
from zarr_vectors.exceptions import ExportError
from zarr_vectors.formats import registry
from zarr_vectors.formats.base import ExportContext, ReadOptions, Source
from zarr_vectors.formats.registry import FORMATS, export, format_at, format_named, format_of, ingest
from zarr_vectors.formats.splitting import split_objects
from zarr_vectors.geometry import Column, Geometry, Graph, Mesh, Polylines, Skeleton

XYZ, MM, NM = (tuple(Axis(name, unit=unit) for name in "xyz") for unit in (None, "millimeter", "nanometer"))
CUBE = np.array([[x, y, z] for x in (0, 1) for y in (0, 1) for z in (0, 1)], np.float32) * 30
QUADS = np.array([[0, 1, 3, 2], [4, 6, 7, 5], [0, 4, 5, 1], [2, 3, 7, 6], [0, 2, 6, 4], [1, 5, 7, 3]])
TRIANGLES = np.concatenate([QUADS[:, [0, 1, 2]], QUADS[:, [0, 2, 3]]])
TWO = np.concatenate([CUBE, CUBE + 100])
OWNERS = np.repeat([0, 1], 8)


@dataclass(frozen=True)
class Case:
    """A file to be made: what to write, to which name, under which format."""

    name: str
    value: Geometry
    format: str | None = None
    axes: tuple[Axis, ...] = XYZ

    def make(self, folder: Path) -> Path:
        path = folder / f"in-{self.name}"
        fmt = format_of(path) if self.format is None else format_named(self.format, path)
        names = {}
        if self.format is not None and "name" in self.value.object_attributes:
            names = dict(enumerate(np.asarray(self.value.object_attributes["name"]).tolist()))
        context = ExportContext(axes=self.axes, bounds=self.value.bounds, names=names)
        fmt.export(path, iter([self.value]), context)
        return path


def wandering(count: int, seed: int = 0) -> np.ndarray[Any, Any]:
    """Vertices that lie in several chunks, in no order."""
    return np.random.default_rng(seed).uniform(-40, 90, (count, 3)).astype(np.float32)


def tracts(**more: Any) -> Polylines:
    return Polylines(wandering(60), [0, 20, 20, 45, 60], kind="streamline", axes=MM, **more)


def mesh(**more: Any) -> Mesh:
    faces = np.concatenate([TRIANGLES, TRIANGLES + 8])
    return Mesh(TWO, faces, object_ids=OWNERS, object_attributes={"name": ["one", "two"]}, **more)


def neurons(**more: Any) -> Skeleton:
    parents = [-1, 0, 1, 2, 1, 4, 5, 5, -1, 8, 9, 8]
    return Skeleton(
        wandering(12),
        parents,
        object_ids=[0] * 8 + [1] * 4,
        attributes={"type": np.arange(12, dtype=np.int32) % 4, "radius": np.arange(12, dtype=np.float32) / 8},
        **more,
    )


def graph(**more: Any) -> Graph:
    return Graph(
        wandering(9).astype(np.float64),
        [[0, 5], [5, 2], [8, 1], [3, 4], [4, 8]],
        attributes={"size": np.arange(9.0), "label": list("abcabcabc")},
        edge_attributes={"weight": np.arange(5.0) / 4},
        **more,
    )


LINES = {
    "attributes": {"fa": np.arange(60, dtype=np.float32)},
    "object_attributes": {"w": np.arange(1, 5, dtype=np.float32)},
}
GROUPS = {"groups": {0: [1, 3], 1: [0]}, "group_attributes": {"name": ["left", "right"]}}
CASES = [
    Case("a.trk", tracts(**LINES), axes=MM),
    Case("a.tck", tracts(), axes=MM),
    Case("a.trx", tracts(**LINES, **GROUPS), axes=MM),
    Case("a.obj", mesh()),
    Case("quads.obj", Mesh(CUBE, QUADS)),
    Case("a.stl", Mesh(CUBE, TRIANGLES)),
    Case("a.off", Mesh(CUBE, QUADS)),
    Case(
        "a.ply",
        Mesh(CUBE, TRIANGLES, attributes={"q": np.arange(8.0)}, face_attributes={"f": np.arange(12, dtype=np.int32)}),
    ),
    Case("two.ply", replace(mesh(), object_attributes={})),
    Case("a.glb", mesh()),
    Case("a.gltf", mesh()),
    Case("a.swc", next(split_objects(neurons()))[1]),
    Case("folder", neurons(object_attributes={"name": ["DA1", "DL4"]}), "swc"),
    Case("numbers", neurons(), "swc"),
    Case("objs", mesh(), "obj"),
    Case("a.geff", graph(directed=True)),
    Case("a.graphml", graph()),
    Case("a.edges.csv", graph(directed=True)),
    Case("skeletons", neurons(object_attributes={"size": [2, 3]}), "precomputed", NM),
    Case("meshes", mesh(groups={0: [0], 1: [0, 1]}, group_attributes={"name": ["red", "blue"]}), "precomputed", NM),
]
REAL = ["standard.trk", "standard.LPS.trk", "complex.trk", "complex_big_endian.trk", "standard.tck"]
REAL += ["simple_big_endian.tck"]


def batches_of(path: Path) -> tuple[Source, list[Geometry]]:
    fmt = format_at(path)
    source = fmt.open(fmt.parts(path)[0], ReadOptions())
    return source, list(source.batches)


def row(table: Mapping[str, Column], at: int) -> dict[str, Any]:
    return {name: plain(np.asarray(column)[at]) for name, column in sorted(table.items())}


def plain(value: Any) -> Any:
    """Numbers by their bits, so that NaN is NaN."""
    array = np.asarray(value)
    return array.tolist() if array.dtype == object else (array.dtype.str[1:], array.shape, array.tobytes())


def said(*batches: Geometry) -> dict[int, Any]:
    """What values say of each object, in an order of its own where the order of vertices and links means nothing."""
    found: dict[int, Any] = {}
    for batch in batches:
        for key, part in split_objects(batch):
            assert key not in found
            found[key] = content(part) | tables(part, key)
    return found


def tables(part: Geometry, key: int) -> dict[str, Any]:
    about = {"object": row(part.object_attributes, 0) if part.object_attributes else {}}
    groups = [number for number, members in part.groups.items() if key in members.tolist()]
    return about | {"groups": [(number, row(part.group_attributes, number)) for number in groups]}


def content(part: Geometry) -> dict[str, Any]:
    vertices = [(plain(point), row(part.attributes, at)) for at, point in enumerate(part.positions)]
    if isinstance(part, Polylines):
        return {"kind": part.kind, "lines": part.lengths.tolist(), "vertices": vertices}
    assert isinstance(part, (Graph, Mesh, Skeleton))
    links = [
        ([vertices[end] for end in ends], row(part.link_attributes, at)) for at, ends in enumerate(part.links.tolist())
    ]
    kind = (part.geometry_type, getattr(part, "directed", None))
    return {"kind": kind, "vertices": sorted(vertices, key=repr), "links": sorted(links, key=repr)}


@pytest.fixture(params=[False, True], ids=["at once", "object by object"])
def through(request: pytest.FixtureRequest, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Callable[..., Path]:
    """Takes a file through a store to a file beside it, and checks everything on the way."""
    if request.param:
        monkeypatch.setattr(registry, "_EXPORT_ROWS", 1)
    numbers = itertools.count()

    def taken(path: Path, target: Path, fmt: str | None = None) -> Path:
        store = f"memory://through-{tmp_path.name}-{next(numbers)}"
        source, batches = batches_of(path)
        ingest(path, store, layout=zv.Layout(chunk_shape=50.0))
        opened = zv.open(store)
        read = opened[0].read()
        assert type(read) is type(batches[0])
        assert said(read) == said(*batches)
        assert opened.headers == source.headers
        assert opened.axes == (source.axes or batches[0].axes)
        assert export(opened, target, format=fmt) == sum(batch.vertex_count for batch in batches)
        again, back = batches_of(target)
        assert said(*back) == said(*batches)
        assert again.headers == source.headers
        assert again.axes == source.axes
        return target

    return taken


@pytest.mark.parametrize("case", CASES, ids=lambda case: case.name)
def test_a_file_goes_through_a_store(case: Case, through: Callable[..., Path], tmp_path: Path) -> None:
    path = case.make(tmp_path)
    out = through(path, tmp_path / f"out-{case.name}", case.format)
    assert sorted(entry.name for entry in tmp_path.iterdir() if entry.name.startswith(".")) == []
    if out.is_dir() and case.format is not None:
        assert sorted(entry.name for entry in out.iterdir()) == sorted(entry.name for entry in path.iterdir())


@pytest.mark.parametrize("name", REAL)
def test_real_streamlines_come_out_byte_by_byte(name: str, through: Callable[..., Path], tmp_path: Path) -> None:
    out = through(DATA / name, tmp_path / name)
    assert out.read_bytes() == (DATA / name).read_bytes()


def stored(value: Any, tmp_path: Path) -> zv.ZVStore:
    store = f"memory://stored-{tmp_path.name}"
    zv.write(store, value, layout=zv.Layout(chunk_shape=50.0))
    return zv.open(store)


def test_batches_have_the_tables_of_their_own_objects(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Objects without vertices come once, whichever way the objects are chosen."""
    known = {"object_attributes": {"w": [1.0, 2.0, 3.0]}, "groups": {0: [2, 1], 1: [0]}}
    store = stored(neurons(objects=[0, 1, 2], **known), tmp_path)
    monkeypatch.setattr(registry, "_EXPORT_ROWS", 1)
    taken: list[Geometry] = []

    def keep(path: Path, batches: Any, __: ExportContext) -> int:
        taken[:] = list(batches)
        path.touch()
        return 0

    monkeypatch.setattr(registry, "format_of", lambda _: replace(format_named("swc", "a.swc"), export=keep))
    for chosen, ids in (({}, [0, 1, 2]), ({"group_ids": 0}, [1, 2]), ({"object_ids": [2, 0]}, [0, 2])):
        export(store, tmp_path / "a.swc", overwrite=True, **chosen)
        objects = np.concatenate([batch.objects for batch in taken])
        assert sorted(objects.tolist()) == ids
        assert np.concatenate([batch.object_attributes["w"] for batch in taken]).tolist() == (objects + 1.0).tolist()
        assert {key for batch in taken for key in batch.groups[0].tolist()} == {1, 2} & set(ids)
    box = ([-50] * 3, [100] * 3)
    export(store, tmp_path / "a.swc", bbox=box, object_attributes=[], groups=False, overwrite=True)
    assert [(batch.object_attributes, batch.groups) for batch in taken] == [({}, {})] * len(taken)


KINDS = {case.value.geometry_type: case.value for case in CASES} | {"point_cloud": zv.Points(CUBE)}


@pytest.mark.parametrize("kind", KINDS)
def test_kinds_that_a_format_cannot_hold_are_refused_before_anything_is_written(kind: str, tmp_path: Path) -> None:
    store = stored(KINDS[kind], tmp_path)
    stored_kind = store[0].kind.geometry_type
    able = [fmt.name for fmt in FORMATS if stored_kind in fmt.kinds]
    for fmt in FORMATS:
        if fmt.name not in able:
            with pytest.raises(ExportError, match=stored_kind) as caught:
                export(store, tmp_path / f"x{fmt.suffixes[0]}")
            assert all(name in str(caught.value) for name in able)
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("name", ["a.trk", "a.tck"])
def test_groups_are_refused_with_a_way_out(name: str, tmp_path: Path) -> None:
    store = stored(tracts(**GROUPS), tmp_path)
    with pytest.raises(ExportError, match=r"\.trx.*groups=False"):
        export(store, tmp_path / name)
    assert list(tmp_path.iterdir()) == []
    assert export(store, tmp_path / name, groups=False) == 60


@pytest.mark.parametrize("mode", [None, "objects", "vertices", "clip"])
def test_what_a_box_selects_goes_out(mode: str | None, tmp_path: Path) -> None:
    store = stored(tracts(**LINES), tmp_path)
    box = ([-40.0] * 3, [30.0] * 3)
    expected = store[0].read(box, mode=mode)
    assert export(store, tmp_path / "a.trk", bbox=box, mode=mode) == expected.vertex_count > 0
    _, (back,) = batches_of(tmp_path / "a.trk")
    assert isinstance(back, Polylines)
    assert back.lengths.tolist() == expected.lengths.tolist()
    np.testing.assert_allclose(back.positions, expected.positions, rtol=0, atol=1e-4)


def convert(*arguments: object) -> None:
    result = invoke("convert", *arguments, "-q")
    assert result.exit_code == 0, result.output


@pytest.mark.parametrize("name", ["a.trk", "a.obj", "folder", "a.edges.csv", "skeletons"])
def test_the_command_line_goes_both_ways(name: str, tmp_path: Path) -> None:
    case = next(case for case in CASES if case.name == name)
    path, out = case.make(tmp_path), tmp_path / f"out-{name}"
    convert(path, tmp_path / "a.zarrvectors", "--chunk-shape", "50")
    convert(tmp_path / "a.zarrvectors", tmp_path / "b.zarrvectors", "--chunk-shape", "70")
    convert(tmp_path / "b.zarrvectors", out, *(["--format", case.format] if case.format else []))
    assert said(*batches_of(out)[1]) == said(*batches_of(path)[1])


def test_the_command_line_leaves_out_what_it_is_told_to(tmp_path: Path) -> None:
    zv.write(tmp_path / "a.zarrvectors", tracts(**LINES, **GROUPS))
    arguments = ["--attributes", "", "--object-attributes", "", "--no-groups", "--bbox=x=:30", "--mode", "clip"]
    convert(tmp_path / "a.zarrvectors", tmp_path / "a.tck", *arguments)
    result = invoke("convert", tmp_path / "a.zarrvectors", tmp_path / "a.obj")
    assert result.exit_code == 1
    assert "obj cannot hold a streamline" in " ".join(result.output.split())
    assert not (tmp_path / "a.obj").exists()
