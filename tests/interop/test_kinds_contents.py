"""Lines, graphs, skeletons and meshes that we write: all that 0.9.2 finds in them, by every way that it reads."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import zarr_vectors as zv
from tests.interop.compare import assert_same_tables, tables_of
from tests.interop.kind_cases import KIND_CASES, Space
from tests.interop.kind_compare import keys_of, links_of, told_links, value_of, vertices_of
from tests.interop.peer import Peer
from zarr_vectors.geometry import Geometry, Linked, Polylines, Skeleton
from zarr_vectors.spatial.box import ClosedBox

ALLOWED_WARNINGS: set[str] = set()
"""What 0.9.2 may warn of in connected stores of ours."""


@dataclass(frozen=True)
class Variant:
    """A store of ours.

    Args:
        name: Names the test.
        make: The value.
        layout: How it is stored.
        parts: Number of values that are streamed; 0 writes one value at once.
    """

    name: str
    make: Callable[[], Geometry]
    layout: Mapping[str, Any] = field(default_factory=dict)
    parts: int = 0

    def __str__(self) -> str:
        return self.name


def from_case(name: str) -> Callable[[], Geometry]:
    """The value of a case over three chunks along an axis."""
    case = KIND_CASES[name]
    space = Space(max(case.space.objects, 4) if case.kind != "mesh" else 2, 3, case.space.ndim, case.space.low)
    return lambda: value_of(case.kind, case.writer, replace(case, space=space).golden())


def forest() -> Geometry:
    """Objects of several trees, roots anywhere, one tree a single vertex; weights on every edge."""
    rng = np.random.default_rng(3)
    parents = np.array([4, 0, -1, 2, -1, 3, 4, 4, -1, 10, 8, -1])
    ids = np.array([5, 5, 5, 5, 5, 5, 5, 5, 9, 9, 9, 5])
    positions = (rng.random((12, 3)) * 20).astype("f4")
    weights = np.arange(8) / 4
    radii = np.arange(12, dtype="f4")
    return Skeleton(
        positions, parents, object_ids=ids, attributes={"radius": radii}, edge_attributes={"weight": weights}
    )


def bare_forest() -> Geometry:
    """The same without attributes of edges, so that edges are left out where they are implied."""
    whole = forest()
    assert isinstance(whole, Skeleton)
    return replace(whole, edge_attributes={})


def odd_polylines() -> Geometry:
    """Empty lines, lines of one vertex, one that stays on a chunk's face, ids in no order."""
    lines: list[Any] = [
        np.zeros((0, 2)),
        [[1.0, 1.0]],
        [[10.0, 0.0], [10.0, 9.0], [10.0, 12.0]],
        np.zeros((0, 2)),
        [[-3, 1], [3, 1]],
    ]
    weight = {"weight": np.arange(5, dtype="i4")}
    return Polylines(lines, ids=[8, 2, 40, 5, -7], object_attributes=weight, groups={0: [40, 8], 2: [-7]})


def lone_vertices() -> Geometry:
    return zv.Graph(np.array([[1.0, 2], [14, 3], [25, 4]]), object_ids=[3, 1, 1])


def float64_graph() -> Geometry:
    positions = np.array([[4.0e6 + 0.125, 1], [4.0e6 + 13.5, 3], [4.0e6 + 25, 4.25]])
    return zv.Graph(positions, [[0, 2], [2, 1]], edge_attributes={"kind": np.array([3, 200], dtype="u1")})


AUTO, SHARDED, PLAIN = {"shard_shape": "auto"}, {"shard_shape": 2}, {"compressor": "none"}
CASES = [
    "lines", "lines_flat", "polylines", "polylines_flat", "streamlines", "graph", "graph_flat", "graph_directed",
    "skeleton", "skeleton_flat", "mesh", "mesh_flat", "quads", "quads_canonical", "faces_directed",
]  # fmt: skip
VARIANTS = [
    *(Variant(name, from_case(name)) for name in CASES),
    *(Variant(f"{name}-sharded", from_case(name), SHARDED) for name in ("lines_sharded", "streamlines_sharded")),
    *(Variant(f"{name}-sharded", from_case(name), SHARDED) for name in ("graph_sharded", "skeleton_sharded")),
    Variant("mesh_sharded-sharded", from_case("mesh_sharded"), {**SHARDED, **PLAIN}),
    *(Variant(f"{name}-auto", from_case(name), AUTO) for name in ("streamlines", "graph", "skeleton", "mesh")),
    *(Variant(f"{name}-streamed", from_case(name), parts=3) for name in ("streamlines", "graph", "skeleton", "mesh")),
    Variant("lines-streamed", from_case("lines_flat"), SHARDED, parts=2),
    Variant("forest", forest),
    Variant("bare-forest", bare_forest, SHARDED),
    Variant("odd-polylines", odd_polylines),
    Variant("lone-vertices", lone_vertices),
    Variant("float64-graph", float64_graph, PLAIN),
]


@dataclass(frozen=True)
class Written:
    path: Path
    value: Any

    @property
    def reader(self) -> str:
        return {"line": "lines", "graph": "graph", "skeleton": "graph", "mesh": "mesh"}.get(
            self.value.kind if isinstance(self.value, Polylines) else self.value.geometry_type, "polylines"
        )


def parts_of(value: Any, count: int) -> list[Any]:
    """A value in parts of whole objects, each with the rows of tables of its own objects."""
    owners = value.vertex_objects
    ids = value.line_ids if isinstance(value, Polylines) else np.unique(owners)
    bare = replace(value, object_attributes={}, objects=None, groups={}, group_attributes={})
    return [bare.within(np.isin(owners, part)) for part in np.array_split(np.sort(ids), count)]


@pytest.fixture(scope="module")
def written(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Written:
    variant: Variant = request.param
    path, value = tmp_path_factory.mktemp("ours") / variant.name, variant.make()
    layout = zv.Layout(**{"chunk_shape": (10.0,) * value.ndim, "shard_shape": None, **variant.layout})
    if variant.parts:
        zv.write(str(path), iter(parts_of(value, variant.parts)), layout=layout, bounds=value.bounds)
        value = replace(value, object_attributes={}, objects=None, groups={}, group_attributes={})
    else:
        zv.write(str(path), value, layout=layout)
    return Written(path, value)


EACH = pytest.mark.parametrize("written", VARIANTS, indirect=True, ids=str)


def chosen(*kinds: Any) -> pytest.MarkDecorator:
    some = [variant for variant in VARIANTS if isinstance(variant.make(), kinds)]
    return pytest.mark.parametrize("written", some, indirect=True, ids=str)


@EACH
def test_peer_finds_no_errors(written: Written, peer: Peer) -> None:
    verdict = peer.validate(written.path, level=5)
    assert verdict["errors"] == []
    assert set(verdict["warnings"]) <= ALLOWED_WARNINGS


@EACH
def test_peer_finds_every_vertex_link_and_attribute(written: Written, peer: Peer) -> None:
    """By its low-level functions, which know owners and attributes too."""
    found, value = peer.call("content", path=str(written.path), level=0), written.value
    names = sorted(value.attributes)
    assert sorted(found["attributes"]) == names
    rows = zip(*([tuple(np.ravel(row)) for row in found["attributes"][name]] for name in names), strict=True)
    told = zip(keys_of(found["positions"]), owners_in(found, value), rows if names else no_rows(found), strict=True)
    assert Counter(told) == vertices_of(value)
    if isinstance(value, Polylines):
        assert told_pairs(found) == crossing_pairs(value)
        return
    columns = [found["link_attributes"][name] for name in sorted(found["link_attributes"])]
    links = Counter() if found["links"] is None else told_links(found["positions"], found["links"], columns)
    if isinstance(value, Skeleton) and not value.edge_attributes:
        assert links <= links_of(value)
    else:
        assert links == links_of(value)


def owners_in(found: Mapping[str, Any], value: Geometry) -> list[int]:
    ids: list[int] = found["object_ids"].tolist()
    return ids if value.vertex_objects is not None else [0] * len(ids)


def no_rows(found: Mapping[str, Any]) -> list[tuple[()]]:
    return [()] * len(found["positions"])


def told_pairs(found: Mapping[str, Any]) -> Counter[Any]:
    """Stored links of lines, which only repeat what the order of fragments says."""
    return Counter() if found["links"] is None else told_links(found["positions"], found["links"])


def crossing_pairs(value: Polylines) -> Counter[Any]:
    """The segments of lines whose ends lie in two chunks."""
    follows = np.ones(value.vertex_count, dtype=bool)
    follows[value.offsets[:-1][value.lengths > 0]] = False
    ends = np.flatnonzero(follows)
    cell = np.floor(value.positions.astype(np.float64) / 10.0)
    links = np.stack([ends - 1, ends], axis=1)[(cell[ends] != cell[ends - 1]).any(axis=1)]
    return told_links(value.positions, links)


@EACH
def test_peer_reads_the_same_geometry(written: Written, peer: Peer) -> None:
    read, value = peer.call("read", path=str(written.path), reader=written.reader, kwargs={}), written.value
    if isinstance(value, Polylines):
        assert lines_in(read, written) == [keys_of(value.line(number)) for number in counted_lines(value)]
        return
    positions, links = read["vertices" if written.reader == "mesh" else "positions"], links_in(read)
    assert Counter(keys_of(positions)) == Counter(keys_of(value.positions))
    assert told_links(positions, links) == links_of(value, attributes=False)


def full_lines(value: Polylines) -> list[int]:
    """Numbers of the lines that have vertices, by id; 0.9.2 passes over the others."""
    order: list[int] = np.argsort(value.line_ids, kind="stable").tolist()
    return [number for number in order if value.lengths[number]]


def counted_lines(value: Polylines) -> list[int]:
    """Those that 0.9.2 finds without being told ids: it takes the numbers from 0 to the number of objects for ids."""
    count = value.line_count
    return [number for number in full_lines(value) if 0 <= value.line_ids[number] < count]


def lines_in(read: Mapping[str, Any], written: Written) -> list[list[tuple[float, ...]]]:
    if written.reader == "lines":
        return [keys_of(ends) for ends in read["endpoints"]]
    pieces = [np.concatenate(parts) for parts in read["polylines"] if len(parts)]
    return [keys_of(line) for line in pieces]


def links_in(read: Mapping[str, Any]) -> Any:
    return np.asarray(read["faces"] if "faces" in read else read["edges"])


@chosen(Polylines)
def test_peer_reads_the_same_objects(written: Written, peer: Peer) -> None:
    value = written.value
    full = full_lines(value)
    for some in (full[:1], full[::-1][::2], full):
        ids = value.line_ids[some].tolist()
        read = peer.call("read", path=str(written.path), reader=written.reader, kwargs={"object_ids": ids})
        assert lines_in(read, written) == [keys_of(value.line(number)) for number in some]


def boxes(value: Geometry) -> list[tuple[list[float], list[float]]]:
    assert value.bounds is not None
    low, high = np.asarray(value.bounds[0]), np.asarray(value.bounds[1])
    pairs = [(low, high), (low + (high - low) * 0.2, low + (high - low) * 0.7), (high + 1, high + 2)]
    return [(first.tolist(), last.tolist()) for first, last in pairs]


@chosen(Linked)
def test_peer_reads_the_same_boxes(written: Written, peer: Peer) -> None:
    """What we call ``mode="vertices"``: the vertices inside, and the links between them."""
    with zv.open(str(written.path)) as store:
        for box in boxes(written.value):
            read = peer.call("read", path=str(written.path), reader=written.reader, kwargs={"bbox": box})
            positions = read["vertices" if written.reader == "mesh" else "positions"]
            ours = store[0].read(box, mode="vertices")
            inside = ClosedBox.from_user(box, [axis.name for axis in store.axes]).mask(written.value.positions)
            assert vertices_of(ours) == vertices_of(written.value.within(inside))
            assert Counter(keys_of(positions)) == Counter(keys_of(ours.positions))
            assert told_links(positions, links_in(read)) == links_of(ours, attributes=False)


@chosen(Polylines)
def test_peer_finds_the_lines_of_a_box(written: Written, peer: Peer) -> None:
    """0.9.2 takes straight lines with an end in the box, and of others those with a vertex in a chunk that it meets."""
    value = written.value
    for box in boxes(value):
        read = peer.call("read", path=str(written.path), reader=written.reader, kwargs={"bbox": box})
        inside = ClosedBox.from_user(box, list("xyz"[: value.ndim])).mask(value.positions)
        hit = {n for n in full_lines(value) if inside[value.offsets[n] : value.offsets[n + 1]].any()}
        expected = [keys_of(value.line(number)) for number in counted_lines(value) if number in hit]
        got = lines_in(read, written)
        assert got == expected if written.reader == "lines" else [line for line in got if line in expected] == expected
        with zv.open(str(written.path)) as store:
            ours = list(map(keys_of, store[0].read(box).lines()))
        assert all(keys_of(value.line(number)) in ours for number in hit)


@EACH
def test_peer_sees_the_same_metadata_and_tables(written: Written, peer: Peer) -> None:
    described = peer.describe(written.path)
    with zv.open(str(written.path)) as store:
        read = store[0].read()
        assert_same_tables(described, {**tables_of(read), "groups": groups_of(read)})
        np.testing.assert_array_equal(described["bounds"], store.bounds)
        assert described["geometry_types"] == list(store.geometry_types)
        assert described["vertex_count"] == written.value.vertex_count


def groups_of(value: Geometry) -> list[list[int]]:
    return [np.asarray(members).tolist() for _, members in sorted(value.groups.items())]
