"""Graphs and meshes that are coarsened block by block become what they become when they are coarsened at once."""

from __future__ import annotations

from functools import partial
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

import zarr_vectors as zv
from tests.interop.across import links_between
from tests.pyramid.surfaces import halves, owners, quads, sheet, torus, true_error
from tests.types.clouds import memory
from zarr_vectors.core.state import open_level, open_root
from zarr_vectors.encoding.blobs import offsets_of
from zarr_vectors.geometry import Graph, Mesh
from zarr_vectors.pyramid import large_mesh, run
from zarr_vectors.pyramid.borders import border_edges
from zarr_vectors.pyramid.coarse import Coarse, Policy, bin_numbers
from zarr_vectors.pyramid.large_kinds import large_of
from zarr_vectors.pyramid.methods import coarsen
from zarr_vectors.pyramid.plan import block_multiples
from zarr_vectors.pyramid.source import Finer, PieceRead
from zarr_vectors.pyramid.tasks import Crew
from zarr_vectors.query.stored import link_cells
from zarr_vectors.types.kinds import kind_of_types
from zarr_vectors.typing import AnyArray, IntArray

BOUNDS = ([0.0] * 3, [64.0] * 3)
AGGREGATIONS = {"size": "max", "sort": "first", "area": "sum"}


def finer_of(url: Any, level: int, rows: int) -> Finer:
    storage = zv.open(url).storage
    root, _ = open_root(storage, [])
    kind = kind_of_types(root.metadata.geometry_types, storage.url)
    return Finer(storage, root, open_level(storage, root, level), kind, rows)


def at_once(finer: Finer, policy: Policy) -> tuple[Coarse, IntArray]:
    """The level coarsened as one piece, and where its vertices are stored."""
    piece, _ = finer.read(PieceRead(ids=finer.present, is_last=True), places=True)
    assert piece.places is not None
    return coarsen(piece, policy), piece.places


def by_blocks(finer: Finer, policy: Policy) -> tuple[Coarse, dict[tuple[int, ...], int]]:
    """The level coarsened block by block as one value, and what stands for each stored vertex."""
    multiples = block_multiples(finer.root.metadata.chunk_shape, finer.level.chunk_shape, policy.bins.tolist())
    with TemporaryDirectory() as folder:
        made = large_of(finer, policy, None, multiples, Path(folder) / "large", Crew())
        parts = list(made.vertices())
        links = list(made.links())
        error = made.error()
        stands = {
            tuple(place): number
            for places, numbers in made.stored()
            for place, number in zip(places.tolist(), numbers.tolist(), strict=True)
        }
    values: list[Any] = [part.value for part in parts]
    ends = np.concatenate([values[0].links[:0], *(some.ends for some in links)])
    common: dict[str, Any] = {
        "attributes": joined([value.attributes for value in values]),
        "object_ids": np.concatenate([value.object_ids for value in values]),
    }
    positions = np.concatenate([value.positions for value in values])
    columns = joined([values[0].link_attributes, *(some.columns for some in links)])
    for name, column in values[0].link_attributes.items():
        assert np.asarray(columns[name]).dtype == np.asarray(column).dtype
    value: Any = (
        Mesh(positions, ends, face_attributes=columns, **common)
        if isinstance(values[0], Mesh)
        else Graph(positions, ends, edge_attributes=columns, directed=values[0].directed, **common)
    )
    counts = [part.counts for part in parts if part.counts is not None]
    coarse = Coarse(
        value=value,
        parents=np.zeros(0, dtype=np.int64),
        counts=np.concatenate(counts),
        link_counts=np.concatenate([np.zeros(0, dtype=np.int64), *(some.counts for some in links)]),
        error=error,
    )
    return coarse, stands


def joined(columns: list[Any]) -> dict[str, Any]:
    return {name: np.concatenate([np.asarray(some[name]) for some in columns]) for name in columns[0]}


def keys_of(value: Any, bins: AnyArray) -> list[tuple[int, ...]]:
    """What tells a coarse vertex from others: its object, where it has one its place before the axes, and its bin."""
    lead = [value.attributes["lead"]] if "lead" in value.attributes else []
    return list(map(tuple, np.column_stack([value.object_ids, *lead, bin_numbers(value.positions, bins)]).tolist()))


def links_of(coarse: Coarse, keys: list[tuple[int, ...]]) -> dict[Any, list[Any]]:
    """Everything of each link, by its ends; faces from their least corner on."""
    value: Any = coarse.value
    counts: Any = coarse.link_counts
    found: dict[Any, list[Any]] = {}
    for row, ends in enumerate(value.links.tolist()):
        named = [keys[end] for end in ends]
        turn = named.index(min(named))
        turns = isinstance(value, Mesh) or not value.directed
        key = tuple(named[turn:] + named[:turn] if turns else named)
        columns = [np.asarray(column)[row] for _, column in sorted(value.link_attributes.items())]
        assert key not in found
        found[key] = [int(counts[row]), *columns]
    return found


def check_same(finer: Finer, policy: Policy) -> tuple[Coarse, Coarse]:
    """Whether both ways give the same, up to the order of their rows and the last digits of floats."""
    one, places = at_once(finer, policy)
    two, stands = by_blocks(finer, policy)
    a, b = keys_of(one.value, policy.bins), keys_of(two.value, policy.bins)
    assert len(set(a)) == len(a) == len(b)
    place = {key: row for row, key in enumerate(b)}
    other = np.array([place[key] for key in a], dtype=np.int64)
    np.testing.assert_allclose(
        one.value.positions.astype(float), two.value.positions[other].astype(float), rtol=1e-5, atol=1e-5
    )
    assert one.value.positions.dtype == two.value.positions.dtype
    assert one.counts is not None
    assert two.counts is not None
    assert one.counts.tolist() == two.counts[other].tolist()
    assert one.value.attributes.keys() == two.value.attributes.keys()
    for name, column in one.value.attributes.items():
        compare(np.asarray(column), np.asarray(two.value.attributes[name])[other])
    given, found = links_of(one, a), links_of(two, b)
    assert given.keys() == found.keys()
    for ends, said in given.items():
        for left, right in zip(said, found[ends], strict=True):
            compare(np.asarray(left), np.asarray(right))
    assert [a[parent] for parent in one.parents.tolist()] == [b[stands[tuple(p)]] for p in places.tolist()]
    assert two.error == pytest.approx(one.error, abs=2e-4 * float(policy.bins.min()))
    return one, two


def compare(left: AnyArray, right: AnyArray) -> None:
    if left.dtype.kind == "f":
        np.testing.assert_allclose(left, right, rtol=1e-5, atol=1e-6)
    else:
        assert left.tolist() == right.tolist()


def written(value: Any, chunk: Any) -> str:
    target = memory()
    zv.write(target, value, layout=zv.Layout(chunk_shape=chunk), bounds=([0.0] * value.ndim, [64.0] * value.ndim))
    return target


@st.composite
def cases(draw: st.DrawFn, kind: str) -> tuple[Any, Policy, Any, int]:
    """Vertices in few places, so that much collapses; links mostly between neighbours."""
    random = np.random.default_rng(draw(st.integers(0, 2**32)))
    ndim = draw(st.sampled_from([3, 3, 2]))
    rows, links = draw(st.integers(2, 40)), draw(st.integers(0, 60))
    middles = random.uniform(0, 63, (max(1, rows // 8), ndim))
    positions = np.clip(middles[random.integers(0, len(middles), rows)] + random.normal(0, 2, (rows, ndim)), 0, 63)
    positions = np.round(positions, draw(st.sampled_from([0, 2]))).astype(draw(st.sampled_from(["f4", "f8", "i4"])))
    positions = positions[np.argsort(positions[:, 0], kind="stable")]
    ids = random.integers(3, 6, rows) if draw(st.booleans()) else None
    width = 2 if kind == "graph" else draw(st.sampled_from([3, 3, 4]))
    near = np.clip(random.integers(0, rows, (links, 1)) + random.integers(-4, 5, (links, width)), 0, rows - 1)
    common: dict[str, Any] = {
        "attributes": {"size": random.normal(size=rows).astype("f4"), "name": random.choice(["a", "b"], rows)},
        "object_ids": ids,
    }
    columns = {"sort": random.integers(0, 9, links), "area": random.normal(size=links)}
    value: Any = (
        Graph(positions, near, edge_attributes=columns, directed=draw(st.booleans()), **common)
        if kind == "graph"
        else Mesh(positions, near, face_attributes=columns, **common)
    )
    named = dict(AGGREGATIONS)
    policy = Policy(bins=np.array([draw(st.sampled_from([2.0, 4.0, 16.0])), 2.0, 8.0])[:ndim], aggregations=named)
    chunk = draw(st.sampled_from([(8, 4, 16), (16, 16, 8), (4, 32, 64)]))[:ndim]
    return value, policy, chunk, draw(st.sampled_from([3, 15]))


@given(cases("graph"))
def test_a_graph_block_by_block(case: tuple[Any, Policy, Any, int]) -> None:
    value, policy, chunk, rows = case
    check_same(finer_of(written(value, chunk), 0, rows), policy)


@given(cases("mesh"))
def test_a_mesh_block_by_block(case: tuple[Any, Policy, Any, int]) -> None:
    value, policy, chunk, rows = case
    check_same(finer_of(written(value, chunk), 0, rows), policy)


def scene() -> Mesh:
    """Surfaces, a thin plate and a tube of which coarser bins leave no face, loose vertices, and specks."""
    random = np.random.default_rng(3)
    around, along = np.linspace(0, 2 * np.pi, 8, endpoint=False), np.arange(0.0, 50.0)
    ring = np.array([[x, np.cos(angle), np.sin(angle)] for x in along for angle in around])
    top = sheet(15, 15)
    parts = [
        (torus(30, 16).positions + 20, torus(30, 16).faces),
        (ring + np.array([3, 50, 50]), halves(quads(len(along), 8, around=(False, True)))),
        (top.positions + np.array([40, 5, 10]), top.faces),
        (top.positions + np.array([40, 5, 10.1]), top.faces[:, ::-1]),
        (random.uniform(1, 60, (30, 3)), np.zeros((0, 3), dtype=np.int64)),
        ((random.uniform(5, 35, (40, 1, 3)) + random.uniform(-0.3, 0.3, (40, 3, 3))).reshape(-1, 3), _threes(40)),
    ]
    offsets = offsets_of(np.array([len(places) for places, _ in parts]))
    faces = np.concatenate([corners + first for (_, corners), first in zip(parts, offsets.tolist(), strict=False)])
    positions = np.concatenate([places for places, _ in parts])
    return Mesh(
        positions,
        faces[random.permutation(len(faces))],
        attributes={"size": random.normal(size=len(positions)), "name": random.choice(["a", "b"], len(positions))},
        face_attributes={"sort": random.integers(0, 9, len(faces)), "area": random.uniform(size=len(faces))},
    )


def _threes(count: int) -> IntArray:
    return np.arange(3 * count).reshape(count, 3)


@pytest.mark.parametrize("objects", [1, 4])
@pytest.mark.parametrize(("chunk", "rows"), [((8, 8, 8), 300), ((16, 64, 8), 50)])
def test_what_collapses_in_a_scene(objects: int, chunk: Any, rows: int, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(large_mesh, "_BATCH_ROWS", 17)
    mesh = scene()
    ids = None if objects == 1 else (mesh.positions[:, 0] // 16).astype(np.int64) + 70
    mesh = Mesh(
        mesh.positions,
        mesh.faces,
        attributes=mesh.attributes,
        face_attributes=mesh.face_attributes,
        object_ids=ids,
    )
    finer = finer_of(written(mesh, chunk), 0, rows)
    settled: list[tuple[int, int]] = []
    stand_ins = large_mesh.LargeMesh._stand_ins

    def counted(self: Any, gone: IntArray) -> IntArray:
        stands = stand_ins(self, gone)
        settled.append((int((stands != gone).sum()), int((self.blocks_of(gone) != self.blocks_of(stands)).sum())))
        return stands

    monkeypatch.setattr(large_mesh.LargeMesh, "_stand_ins", counted)
    for bins in (2.0, 4.0):
        _, found = check_same(finer, Policy(bins=np.full(3, bins), aggregations=AGGREGATIONS))
        assert isinstance(found.value, Mesh)
        assert true_error(mesh if ids is not None else with_owner(mesh), found.value) <= found.error * (1 + 1e-9)
    # Some that have no face left are stood for, where blocks are small by vertices of other blocks, too.
    assert any(gone for gone, _ in settled)
    assert rows > 50 or any(abroad for _, abroad in settled)


def with_owner(mesh: Mesh) -> Mesh:
    return Mesh(mesh.positions, mesh.faces, object_ids=np.zeros(mesh.vertex_count, dtype=np.int64))


def test_objects_that_touch_end_where_they_touch() -> None:
    flat = sheet(4, 3)
    both = Mesh(
        np.concatenate([flat.positions, flat.positions + np.array([3, 0, 0])]),
        np.concatenate([flat.faces, flat.faces + flat.vertex_count]),
        object_ids=np.repeat([4, 6], flat.vertex_count),
    )
    alone = len(border_edges(flat.positions, flat.faces)[0])
    assert alone == 2 * (3 + 2)
    assert len(border_edges(both.positions, both.faces, both.object_ids)[0]) == 2 * alone
    assert len(border_edges(both.positions, both.faces)[0]) == 2 * alone - 2 * 2


def test_parts_of_links_are_all_of_them() -> None:
    finer = finer_of(written(lattice(), (16, 32, 8)), 0, 50)
    family, chunks = finer.level.links, finer.level.vertices.present
    assert family is not None
    cells = sorted((name, *cell) for name, one in family.segments.items() for cell in one.array.present.tolist())
    assert len(family.segments) > 10
    for at_once in (1, 3, 40, 10**6):
        parts = list(link_cells(family, chunks, np.full(len(chunks), 7), at_once))
        found = [[part.segment.name for part in some.parts] for some in parts]
        assert all(len(set(names)) == len(names) for names in found)
        every = [part for some in parts for part in some.parts]
        assert sorted((part.segment.name, *cell) for part in every for cell in part.coords.tolist()) == cells
        assert (len(parts) == 1) == (at_once == 10**6)


@pytest.mark.parametrize("kind", ["mesh", "graph"])
def test_chunks_with_an_axis_before_the_spatial_ones(kind: str, monkeypatch: pytest.MonkeyPatch) -> None:
    mesh = scene()
    sides = np.array(["left", "right"])[(mesh.positions[:, 1] > 25).astype(int)]
    ids = (mesh.positions[:, 0] // 32).astype(np.int64)
    value: Any = zv.Mesh(mesh.positions, mesh.faces, attributes={"side": sides}, object_ids=ids)
    if kind == "graph":
        value = zv.Graph(mesh.positions, mesh.faces[:, :2], attributes={"side": sides}, object_ids=ids)
    target = written(value, 16)
    zv.rechunk_by_attribute(target, "side")
    finer = finer_of(target, 0, 100)
    assert finer.lead == "lead"
    policy = Policy(bins=np.full(3, 4.0), aggregations={"lead": "min"}, lead="lead")
    _, found = check_same(finer, policy)
    assert len(np.unique(np.asarray(found.value.attributes["lead"]))) == 2
    monkeypatch.setattr(run, "Finer", partial(Finer, batch_rows=100))
    store = zv.open(target, "r+")
    store.build_pyramid([(2, 1)])
    assert zv.validate(target, level=5).ok
    made, given = store[1].read(), store[0].read()
    assert set(np.asarray(made.attributes["side"])) == {"left", "right"}
    for side in ("left", "right"):
        counted = made.attributes["count"][np.asarray(made.attributes["side"]) == side].sum()
        assert counted == (np.asarray(given.attributes["side"]) == side).sum()


# Whole stores


def level_of(store: Any, number: int) -> tuple[Any, Any]:
    """Vertices with their counts, and links with theirs, by rounded places."""
    value = store[number].read()
    places = [tuple(row) for row in (np.round(value.positions.astype(float), 3) + 0.0).tolist()]
    own = sorted(zip(places, owners(value).tolist(), value.attributes["count"].tolist(), strict=True))
    links = []
    for ends, count in zip(value.links.tolist(), value.link_attributes["count"].tolist(), strict=True):
        named = [places[end] for end in ends]
        turn = named.index(min(named))
        links.append((*named[turn:], *named[:turn], count))
    return own, sorted(links)


def pyramid_of(place: Any, value: Any, chunk: Any, **options: Any) -> Any:
    zv.write(place, value, layout=zv.Layout(chunk_shape=chunk), bounds=BOUNDS)
    root = zv.open_store(place, "r+")
    root.attrs["zarr_vectors"] = {**root.attrs["zarr_vectors"], "base_bin_shape": [1.0] * 3}
    entry = root.attrs["multiscales"]
    half = {"type": "translation", "translation": [0.5] * 3}
    entry[0]["datasets"][0]["coordinateTransformations"][1:] = [half]
    root.attrs["multiscales"] = entry
    store = zv.open(place, "r+")
    store.build_pyramid([(2, 1), (2, 1)], **options)
    return store


def lattice() -> Graph:
    """A graph of one object, with a few edges that lead far."""
    random = np.random.default_rng(0)
    places = random.uniform(0, 64, (400, 3))
    near = np.stack([np.arange(399), np.arange(1, 400)], axis=1)
    return Graph(places, np.concatenate([near, random.integers(0, 400, (25, 2))]))


@pytest.mark.parametrize("make", [scene, lattice])
def test_levels_and_links_between_them_are_the_same_for_any_blocks(
    make: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    both: dict[str, Any] = {"cross_level_storage": "explicit", "cross_level_depth": -1}
    whole = pyramid_of(tmp_path / "whole", make(), 32, **both)
    monkeypatch.setattr(run, "Finer", partial(Finer, batch_rows=100))
    monkeypatch.setattr("zarr_vectors.types.spill._GROUP_ROWS", 100)
    cut = pyramid_of(tmp_path / "cut", make(), (16, 8, 32), **both)
    assert zv.validate(tmp_path / "cut", level=5).ok
    for number in (1, 2):
        assert level_of(cut, number) == level_of(whole, number)
        assert cut[number].error_bound == pytest.approx(whole[number].error_bound, rel=1e-3)
        named = [
            sorted(
                tuple(np.round(np.array(end, dtype=float), 3).tolist())
                for ends in links_between(tmp_path / name, 0, f"+{number}").elements()
                for end in ends
            )
            for name in ("whole", "cut")
        ]
        assert named[0] == named[1]


def test_objects_that_are_left_out_and_a_second_level(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    mesh = scene()
    ids = (mesh.positions[:, 0] // 8).astype(np.int64) * 3
    mesh = Mesh(mesh.positions, mesh.faces, object_ids=ids)
    stores = []
    for name, rows in (("whole", 10**9), ("cut", 300)):
        monkeypatch.setattr(run, "Finer", partial(Finer, batch_rows=rows))
        zv.write(tmp_path / name, mesh, layout=zv.Layout(chunk_shape=8), bounds=BOUNDS)
        stores.append(zv.open(tmp_path / name, "r+"))
        stores[-1].build_pyramid([(2, 3), (2, 1)], sparsity_strategy="length")
    for number in (1, 2):
        assert level_of(stores[0], number) == level_of(stores[1], number)
        kept = stores[1][number].read()
        assert len(np.unique(kept.object_ids)) == 3
    assert zv.validate(tmp_path / "cut", level=5).ok
