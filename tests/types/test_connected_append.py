"""Connected geometry appended, streamed and extended reads like the whole written at once."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

import zarr_vectors as zv
from tests.choice import covering
from tests.interop.kind_compare import keys_of, same
from tests.types.clouds import memory
from zarr_vectors.exceptions import ConventionError, InputError
from zarr_vectors.geometry import Geometry, Polylines
from zarr_vectors.types import column_file, links, sort, spill
from zarr_vectors.types.join import concatenate

KINDS = ("line", "polyline", "graph", "skeleton", "mesh")
LAYOUTS = {
    "shards": zv.Layout(chunk_shape=10),
    "no shards": zv.Layout(chunk_shape=10, shard_shape=None),
    "small shards": zv.Layout(chunk_shape=10, shard_shape=3),
}
layouts = pytest.mark.parametrize("layout", LAYOUTS.values(), ids=LAYOUTS)
kinds = pytest.mark.parametrize("kind", KINDS)


def value_of(kind: str, rows: int, first_id: int, *, low: float = 0, high: float = 30) -> Geometry:
    """Two objects, or a few lines, at random in a box, with attributes on vertices and links."""
    rng = np.random.default_rng(first_id)
    positions = rng.uniform(low, high, (rows, 3)).astype("f4")
    columns = {"row": np.arange(rows) + 1000 * first_id}
    if kind == "line":
        return zv.Lines(positions.reshape(-1, 2, 3), attributes=columns, ids=100 * first_id + np.arange(rows // 2))
    if kind == "polyline":
        offsets = np.unique([0, *rng.integers(0, rows, 5).tolist(), rows])
        return Polylines(positions, offsets, attributes=columns, ids=100 * first_id + np.arange(len(offsets) - 1))
    ids = first_id + (np.arange(rows) >= rows // 2)
    weights = {"weight": rng.random(2 * rows)}
    if kind == "graph":
        edges = rng.integers(0, rows, (2 * rows, 2))
        return zv.Graph(positions, edges, edge_attributes=weights, object_ids=ids, attributes=columns)
    if kind == "mesh":
        faces = rng.integers(0, rows, (2 * rows, 3))
        return zv.Mesh(positions, faces, face_attributes=weights, object_ids=ids, attributes=columns)
    parents = np.arange(rows) - 1
    parents[[0, rows // 2, 5]] = -1
    parents[8] = 2
    return zv.Skeleton(positions, parents, object_ids=ids, attributes=columns)


def read(target: Any, **question: Any) -> Any:
    return zv.open(target)[0].read(**question)


@covering("kind, layout, low", KINDS, LAYOUTS, [0, -25])
def test_appended_geometry_stands_beside_what_was_there(kind: str, layout: zv.Layout, low: float) -> None:
    new = value_of(kind, 40, 5, low=low, high=30 if low == 0 else 12)
    target, old = memory(), value_of(kind, 60, 1)
    zv.write(target, old, layout=layout)
    report = zv.write(target, new, mode="append", out_of_bounds="expand")
    assert report.total_vertices == 100
    same(read(target), concatenate([old, new]))
    owners = new.vertex_objects
    assert owners is not None
    last = int(owners[-1])
    same(read(target, object_ids=[last]), new.within(owners == last))


@covering("kind, layout, rows", KINDS, LAYOUTS, [1, 17, 10**9])
def test_a_stream_reads_like_one_value(
    kind: str, layout: zv.Layout, rows: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(spill, "_IN_MEMORY_ROWS", 30)
    monkeypatch.setattr(spill, "_GROUP_ROWS", rows)
    monkeypatch.setattr(column_file, "_READ_ROWS", 13)
    monkeypatch.setattr(sort, "_PART_ROWS", rows)
    monkeypatch.setattr(links, "_IN_MEMORY_RECORDS", 18)
    monkeypatch.setattr(links, "_BLOCK_LINKS", 11)
    parts = [value_of(kind, 20, 1), value_of(kind, 20, 4), value_of(kind, 18, 7)]
    target = memory()
    zv.write(target, iter(parts), layout=layout)
    same(read(target), concatenate(parts))
    more = [value_of(kind, 20, 11), value_of(kind, 20, 14)]
    zv.write(target, iter(more), mode="append", out_of_bounds="expand")
    same(read(target), concatenate([*parts, *more]))


@layouts
def test_lines_are_extended_at_their_end(layout: zv.Layout) -> None:
    rng, target = np.random.default_rng(3), memory()
    old = Polylines(rng.uniform(0, 30, (60, 3)), [0, 20, 20, 60], ids=[4, 9, 2])
    new = Polylines(rng.uniform(0, 30, (10, 3)), [0, 3, 7, 10], ids=[2, 9, 4])
    zv.write(target, old, layout=layout)
    with pytest.raises(InputError, match="exist in the store already"):
        zv.write(target, new, mode="append", out_of_bounds="expand")
    report = zv.write(target, new, mode="append", extend=True, out_of_bounds="expand")
    assert report.extended_objects == 3
    got = dict(zip(read(target).line_ids.tolist(), map(keys_of, read(target).lines()), strict=True))
    assert got[2] == keys_of(np.concatenate([old.line(2), new.line(0)]))
    assert got[9] == keys_of(new.line(1))
    assert got[4] == keys_of(np.concatenate([old.line(0), new.line(2)]))
    everywhere = read(target, bbox=([None] * 3, [None] * 3), mode="vertices")
    assert sorted(everywhere.lengths.tolist()) == [4, 23, 43]


def test_lines_without_ids_are_numbered_on() -> None:
    target = memory()
    line = zv.Lines(np.random.default_rng(0).random((4, 2, 3)))
    assert zv.write(target, line).assigned_ids is None
    assert zv.write(target, line, mode="append", out_of_bounds="expand").assigned_ids == (4, 7)
    assert read(target).line_ids.tolist() == list(range(8))


@kinds
def test_an_empty_store_of_a_kind_takes_its_values(kind: str) -> None:
    target, value = memory(), value_of(kind, 40, 1)
    links_too = {"weight": "float64"} if kind in {"graph", "mesh"} else None
    zv.create(target, kind, bounds=([0] * 3, [30] * 3), attributes={"row": "int64"}, link_attributes=links_too)
    assert read(target).vertex_count == 0
    zv.write(target, value, mode="append")
    same(read(target), value)


@pytest.mark.parametrize("kind", ["graph", "mesh"])
def test_attributes_of_links_must_be_those_of_the_store(kind: str) -> None:
    target, value = memory(), value_of(kind, 40, 1)
    zv.write(target, value)
    name = "edge_attributes" if kind == "graph" else "face_attributes"
    bare = value_of(kind, 40, 5)
    more = {**bare, name: {}}
    fields = {key: more[key] for key in ("positions", "attributes", "object_ids", name)}
    links_of = {"edges": bare["edges"]} if kind == "graph" else {"faces": bare["faces"]}
    maker: Any = zv.Graph if kind == "graph" else zv.Mesh
    zv.write(target, maker(**fields, **links_of), mode="append", out_of_bounds="expand")
    got = read(target)[name]["weight"]
    assert np.isnan(got).sum() == 80
    unknown = maker(**{**fields, name: {"length": np.zeros(80)}}, **links_of)
    with pytest.raises(InputError, match="no attribute 'length'"):
        zv.write(target, unknown, mode="append", extend=True, out_of_bounds="expand")


def test_kinds_that_cannot_share_a_level_are_refused() -> None:
    target = memory()
    zv.write(target, value_of("mesh", 40, 1))
    for kind in ("line", "graph", "skeleton"):
        with pytest.raises(ConventionError, match="cannot be appended"):
            zv.write(target, value_of(kind, 40, 5), mode="append")
    with pytest.raises(ConventionError, match="cannot be appended"):
        zv.write(target, zv.Points(np.zeros((2, 3))), mode="append")


def test_polylines_and_streamlines_share_a_level() -> None:
    target = memory()
    zv.write(target, Polylines(np.array([[[0.0, 0], [1, 1]]])))
    zv.write(target, Polylines(np.array([[[0.0, 0], [1, 0]]]), kind="streamline"), mode="append")
    assert zv.open(target).geometry_types == ("polyline", "streamline")
    assert read(target).line_count == 2
