"""Coarser meshes: against plain loops, and on surfaces of which the answer is known."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.pyramid.surfaces import box, edge_counts, owners, quads, sheet, sphere, torus, true_error, volume
from zarr_vectors.geometry import Categorical, Mesh
from zarr_vectors.pyramid.coarse import Coarse, Policy, bin_numbers
from zarr_vectors.pyramid.mesh import coarsen_mesh
from zarr_vectors.typing import IntArray


def coarsened(mesh: Mesh, size: float, **policy: Any) -> tuple[Mesh, Coarse]:
    coarse = coarsen_mesh(mesh, Policy(bins=np.full(mesh.ndim, size), **policy))
    assert isinstance(coarse.value, Mesh)
    return coarse.value, coarse


@st.composite
def meshes(draw: st.DrawFn) -> tuple[Mesh, Policy, IntArray | None, IntArray | None]:
    rows = draw(st.integers(0, 16))
    random = np.random.default_rng(draw(st.integers(0, 2**32)))
    axes = draw(st.sampled_from([2, 3, 3, 3]))
    positions = random.uniform(0, 9, (rows, axes)).astype(draw(st.sampled_from(["f2", "f4", "f8", "i2", "u1", "u8"])))
    count = draw(st.integers(0, 24)) if rows else 0
    mesh = Mesh(
        positions,
        random.integers(0, max(rows, 1), (count, draw(st.sampled_from([3, 3, 4])))),
        face_attributes={"area": random.normal(size=count), "kind": random.integers(0, 3, count)},
        attributes={"size": random.normal(size=rows), "name": Categorical(random.integers(-1, 2, rows), ("a", "b"))},
        object_ids=random.integers(3, 6, rows) if draw(st.booleans()) else None,
    )
    policy = Policy(
        bins=np.array([draw(st.sampled_from([1.0, 3.0, 50.0])), 2.5, 4.1])[:axes],
        aggregations={"size": "max", "area": "sum"},
    )
    weighted = draw(st.booleans())
    weights = random.integers(1, 5, rows) if weighted else None
    return mesh, policy, weights, random.integers(1, 5, count) if weighted else None


@given(meshes())
def test_what_holds_of_any_mesh(case: tuple[Mesh, Policy, IntArray | None, IntArray | None]) -> None:
    mesh, policy, weights, link_weights = case
    coarse = coarsen_mesh(mesh, policy, weights, link_weights)
    value, parents = coarse.value, coarse.parents
    assert isinstance(value, Mesh)
    assert coarse.counts is not None
    assert coarse.link_counts is not None
    assert value.positions.dtype == mesh.positions.dtype
    assert ((parents >= 0) & (parents < value.vertex_count)).all()
    assert set(parents.tolist()) == set(range(value.vertex_count))
    assert np.array_equal(owners(value)[parents], owners(mesh))
    # One vertex at most for each object and bin, and one for each that has one with a face.
    keys = np.column_stack([owners(value), bin_numbers(value.positions, policy.bins)])
    assert len(np.unique(keys, axis=0)) == value.vertex_count
    amounts = np.ones(mesh.vertex_count, np.int64) if weights is None else weights
    assert coarse.counts.tolist() == np.bincount(parents, amounts, value.vertex_count).astype(int).tolist()
    for row in range(value.vertex_count):
        members = parents == row
        assert np.asarray(value.attributes["size"])[row] == np.asarray(mesh.attributes["size"])[members].max()
    assert true_error(mesh, value) <= coarse.error * (1 + 1e-9) + 1e-12
    # Faces: those of distinct bins, each once, in one of the windings that there were.
    fans = [(at, face[[0, k, k + 1]]) for at, face in enumerate(mesh.faces) for k in range(1, mesh.faces.shape[1] - 1)]
    own = np.column_stack([owners(mesh), bin_numbers(mesh.positions, policy.bins)])
    given: dict[frozenset[Any], list[Any]] = {}
    for at, fan in fans:
        corners = [tuple(corner) for corner in own[fan].tolist()]
        if len(set(corners)) == 3:
            given.setdefault(frozenset(corners), []).append((at, corners))
    found = [[tuple(corner) for corner in face] for face in keys[value.faces].tolist()]
    assert len({frozenset(face) for face in found}) == len(found)
    shares = np.ones(len(mesh.faces), np.int64) if link_weights is None else link_weights
    for row, face in enumerate(found):
        rows = given.pop(frozenset(face))
        turns = [[*corners[k:], *corners[:k]] for _, corners in rows for k in range(3)]
        assert face in turns
        assert coarse.link_counts[row] == sum(shares[at] for at, _ in rows)
        area = sum(mesh.face_attributes["area"][at] for at, _ in rows)
        assert np.asarray(value.face_attributes["area"])[row] == pytest.approx(area)
    # What is gone was seen from both sides alike.
    for rows in given.values():
        assert len(rows) % 2 == 0


@given(meshes())
def test_rows_may_come_in_any_order(case: tuple[Mesh, Policy, IntArray | None, IntArray | None]) -> None:
    mesh, policy, weights, link_weights = case
    policy = replace(policy, aggregations={"size": "mean", "area": "mean", "kind": "mode"})
    random = np.random.default_rng(mesh.vertex_count)
    places, order = random.permutation(mesh.vertex_count), random.permutation(mesh.face_count)
    new = np.argsort(places)
    faces = new[mesh.faces][order]
    other = Mesh(
        mesh.positions[places],
        faces if faces.shape[1] == 4 else np.roll(faces, 1, axis=1),
        face_attributes={name: column[order] for name, column in mesh.face_attributes.items()},
        attributes={name: column[places] for name, column in mesh.attributes.items()},
        object_ids=None if mesh.object_ids is None else mesh.object_ids[places],
    )
    one = coarsen_mesh(mesh, policy, weights, link_weights)
    two = coarsen_mesh(
        other,
        policy,
        None if weights is None else weights[places],
        None if link_weights is None else link_weights[order],
    )
    assert isinstance(one.value, Mesh)
    assert isinstance(two.value, Mesh)
    assert np.array_equal(two.parents, one.parents[places])
    assert np.array_equal(one.value.faces, two.value.faces)
    assert np.array_equal(np.asarray(one.link_counts), np.asarray(two.link_counts))
    within = 1e-2 if mesh.positions.dtype == np.float16 else 1 if mesh.positions.dtype.kind in "iu" else 1e-4
    np.testing.assert_allclose(one.value.positions.astype(float), two.value.positions.astype(float), atol=within)
    np.testing.assert_allclose(one.value.face_attributes["area"], two.value.face_attributes["area"])
    np.testing.assert_allclose(one.value.attributes["size"], two.value.attributes["size"])


@given(meshes())
def test_each_object_alone_gives_the_same(case: tuple[Mesh, Policy, IntArray | None, IntArray | None]) -> None:
    mesh, policy, _, _ = case
    own = owners(mesh)
    mesh = replace(mesh, object_ids=own, faces=mesh.faces[:0], face_attributes={}) if len(mesh.faces) == 0 else mesh
    inner = (own[mesh.faces] == own[mesh.faces[:, :1]]).all(axis=1)
    columns = {name: column[inner] for name, column in mesh.face_attributes.items()}
    mesh = replace(mesh, object_ids=own, faces=mesh.faces[inner], face_attributes=columns)
    whole = coarsen_mesh(mesh, policy)
    assert isinstance(whole.value, Mesh)
    rows = links = 0
    for owner in np.unique(own):
        part = coarsen_mesh(mesh.within(own == owner), policy)
        assert isinstance(part.value, Mesh)
        some = slice(rows, rows + part.value.vertex_count)
        np.testing.assert_allclose(
            part.value.positions.astype(float), whole.value.positions[some].astype(float), rtol=1e-6, atol=1e-6
        )
        assert (part.value.faces + rows).tolist() == whole.value.faces[links : links + part.value.face_count].tolist()
        assert np.array_equal(part.parents + rows, whole.parents[own == owner])
        rows, links = rows + part.value.vertex_count, links + part.value.face_count
    assert (rows, links) == (whole.value.vertex_count, whole.value.face_count)


@pytest.mark.parametrize("make", [torus, sphere, box])
@pytest.mark.parametrize("size", [0.9, 1.7, 3.1, 0.31])
def test_what_is_closed_stays_closed(make: Any, size: float) -> None:
    mesh = make()
    size *= 0.3 if make is box else 1
    for moved in (0.0, 0.21, 0.4, 0.77):
        there = replace(mesh, positions=mesh.positions + mesh.positions.dtype.type(moved * size))
        value, _ = coarsened(there, size)
        assert value.face_count > 0
        assert not [edge for edge, count in edge_counts(value.faces).items() if count % 2]
        assert volume(value) == pytest.approx(volume(mesh), rel=0.2)


@pytest.mark.parametrize("size", [0.23, 0.3, 0.41])
def test_a_box_keeps_its_corners(size: float) -> None:
    corners = {(x, y, z) for x in (0.0, 1.0) for y in (0.0, 1.0) for z in (0.0, 1.0)}
    value, coarse = coarsened(box(), size)
    assert corners <= {tuple((corner + 0.0).tolist()) for corner in value.positions.round(9)}
    assert coarse.error < 1e-9
    assert volume(value) == pytest.approx(1.0)
    soup = box()
    soup = Mesh(soup.positions[soup.faces].reshape(-1, 3), np.arange(soup.face_count * 3).reshape(-1, 3))
    apart, _ = coarsened(soup, size)
    np.testing.assert_allclose(apart.positions, value.positions, atol=1e-9)


@pytest.mark.parametrize("normal", [(0, 0, 1), (1, 2, 3), (1, -0.3, 0.01)])
def test_a_plane_stays_a_plane(normal: tuple[float, float, float]) -> None:
    flat = sheet()
    axis = np.array(normal) / np.linalg.norm(normal)
    first = np.linalg.svd(axis[None])[2][1:]
    plane = replace(flat, positions=flat.positions[:, :2] @ first)
    value, coarse = coarsened(plane, 3.3)
    assert np.abs(value.positions @ axis).max() < 1e-9
    assert 0 < value.face_count < plane.face_count / 3
    if normal[2] == 1:
        assert not value.positions[:, 2].any()
    assert coarse.error < 3.3


@pytest.mark.parametrize("bump", [0.0, 2.0])
def test_a_border_stays_in_place(bump: float) -> None:
    mesh = sheet(bump=bump)
    value, coarse = coarsened(mesh, 3.0)
    counts = edge_counts(value.faces)
    # No edge has a face too few but those of the border, which is a ring and spans what it did.
    ring = np.array([edge for edge, count in counts.items() if count % 2])
    assert set(np.bincount(ring.ravel()).tolist()) <= {0, 2}
    inside = np.minimum(value.positions, [29, 19, 99] - value.positions)[:, :2].min(axis=1)
    assert inside[ring].max() < (1.5 if bump else 1e-9)
    for axis, end in ((0, 29.0), (1, 19.0)):
        assert value.positions[:, axis].min() == pytest.approx(0, abs=0.1 if bump else 1e-9)
        assert value.positions[:, axis].max() == pytest.approx(end, abs=0.1 if bump else 1e-9)
    assert coarse.error < (0.8 if bump else 1e-9)


@pytest.mark.parametrize("make", [lambda: torus(40, 20), lambda: sphere(20, 30), lambda: sheet(bump=3.0)])
@pytest.mark.parametrize("size", [1.1, 2.3])
def test_the_error_is_an_upper_bound_and_near(make: Any, size: float) -> None:
    mesh = make()
    value, coarse = coarsened(mesh, size)
    true = true_error(mesh, value)
    assert true <= coarse.error * (1 + 1e-12)
    assert coarse.error <= 3 * true


def test_polygons_become_triangles_and_their_attributes_follow() -> None:
    cells = quads(20, 20, around=(False, False))
    mesh = replace(sheet(20, 20), faces=cells, face_attributes={"cell": cells[:, 0] % 20 < 10})
    value, _ = coarsened(mesh, 2.0)
    halves = replace(
        mesh, faces=np.stack([cells[:, [0, 1, 2]], cells[:, [0, 2, 3]]], 1).reshape(-1, 3), face_attributes={}
    )
    alike, _ = coarsened(halves, 2.0)
    assert np.array_equal(value.faces, alike.faces)
    assert np.array_equal(value.positions, alike.positions)
    left = value.positions[value.faces][:, :, 1].mean(axis=1) < 9
    assert np.asarray(value.face_attributes["cell"])[left].all()
    assert not np.asarray(value.face_attributes["cell"])[value.positions[value.faces][:, :, 1].min(axis=1) > 10].any()


def test_a_thin_plate_becomes_one_layer_that_looks_one_way() -> None:
    top = sheet(21, 21)
    under = top.faces[:, ::-1] + top.vertex_count
    plate = Mesh(
        np.concatenate([top.positions, top.positions + np.array([0, 0, 0.1])]), np.concatenate([top.faces, under])
    )
    value, coarse = coarsened(plate, 2.5)
    assert set(edge_counts(value.faces).values()) == {1, 2}
    one, two, three = (value.positions[corner] for corner in value.faces.T)
    up = np.cross(two - one, three - one)[:, 2]
    assert (up > 0).all()
    assert up.sum() / 2 == pytest.approx(400, rel=0.01)
    assert coarse.error < 0.2


def test_the_winding_is_that_of_most() -> None:
    corners = np.array([[0.0, 0, 0], [5, 0, 0], [0, 5, 0], [0.1, 0.1, 0], [5.1, 0, 0]])
    faces = np.array([[0, 1, 2], [3, 1, 2], [2, 3, 4], [0, 2, 1]])
    for fine, wanted in ((faces, [0, 2, 1]), (faces[:, ::-1], [0, 1, 2])):
        value, coarse = coarsened(Mesh(corners, fine), 1.0)
        assert value.faces.tolist() == [wanted]
        assert coarse.link_counts is not None
        assert coarse.link_counts.tolist() == [4]


def test_objects_and_vertices_without_faces_stay() -> None:
    small = np.array([[0.1, 0.1, 0.1], [0.2, 0.1, 0.1], [0.1, 0.3, 0.1]])
    long = np.array([[10.1 + step, 0.1 * (step % 2), 0.1] for step in range(6)])
    mesh = Mesh(
        np.concatenate([small, long, [[30.0, 30, 30]]]),
        np.arange(3) + np.array([0, 3, 4, 5, 6])[:, None],
        object_ids=[5] * 3 + [6] * 6 + [7],
    )
    value, coarse = coarsened(mesh, 3.0)
    assert value.object_ids is not None
    assert value.object_ids.tolist() == [5, 6, 6, 6, 7]
    assert value.face_count == 0
    assert (coarse.parents >= 0).all()
    assert true_error(mesh, value) <= coarse.error < 3


def test_a_vertex_whose_faces_are_gone_is_stood_for_by_its_neighbour() -> None:
    surface = sheet(10, 10)
    spike = [[13.0, 5.0, 0.0], [14.0, 5.1, 0.0]]
    faces = [[95, 100, 100], [100, 101, 101]]
    mesh = Mesh(
        np.concatenate([surface.positions, spike]),
        np.concatenate([surface.faces, faces]),
        attributes={"mass": np.ones(102)},
    )
    value, coarse = coarsened(mesh, 3.0, aggregations={"mass": "sum"})
    assert value.positions[:, 0].max() < 10
    assert coarse.parents[100] == coarse.parents[95] == coarse.parents[101]
    assert coarse.counts is not None
    assert coarse.counts.sum() == 102
    assert np.array_equal(np.asarray(value.attributes["mass"]), coarse.counts)
    true = true_error(mesh, value)
    assert true <= coarse.error <= 1.2 * true


@pytest.mark.parametrize("dtype", ["u1", "i4", "u8", "f2"])
def test_dtypes_are_kept(dtype: str) -> None:
    fine = torus(40, 20)
    mesh = replace(fine, positions=((fine.positions + 15) * 7).astype(dtype))
    value, coarse = coarsened(mesh, 12.0)
    assert value.positions.dtype == np.dtype(dtype)
    assert len(np.unique(bin_numbers(value.positions, np.full(3, 12.0)), axis=0)) == value.vertex_count
    assert volume(value) == pytest.approx(volume(mesh), rel=0.15)
    true = true_error(mesh, value)
    assert true <= coarse.error * (1 + 1e-12) <= 3 * true


def test_large_integers_lose_nothing() -> None:
    fine = torus()
    near = np.rint((fine.positions + 16) * 64).astype(np.int64)
    far = replace(fine, positions=near + 2**52)
    one, _ = coarsened(replace(fine, positions=near), 128.0)
    two, _ = coarsened(far, 128.0)
    assert np.array_equal(one.positions + 2**52, two.positions)
    assert np.array_equal(one.faces, two.faces)


def test_nothing() -> None:
    for width in (3, 5):
        value, coarse = coarsened(Mesh(np.zeros((0, 3), np.float32), np.zeros((0, width), int)), 1.0)
        assert (value.vertex_count, value.face_count, coarse.error) == (0, 0, 0.0)
        assert value.positions.dtype == np.float32


@pytest.mark.parametrize("bins", [2.6, 5.2, 10.4])
def test_a_tube_thinner_than_a_bin_leaves_vertices_where_its_faces_go(bins: float) -> None:
    around = np.linspace(0, 2 * np.pi, 8, endpoint=False)
    along = np.arange(0.0, 60.0)
    grid = [[x, np.cos(angle), np.sin(angle)] for x in along for angle in around]
    rows = np.arange(len(grid)).reshape(len(along), len(around))
    a, b = rows[:-1], np.roll(rows, -1, axis=1)[:-1]
    c, d = rows[1:], np.roll(rows, -1, axis=1)[1:]
    faces = np.concatenate([np.stack([a, c, b], -1).reshape(-1, 3), np.stack([b, c, d], -1).reshape(-1, 3)])
    value, coarse = coarsened(Mesh(np.array(grid), faces), bins)
    assert coarse.error <= 2 * np.sqrt(3) * bins
    assert np.ptp(value.positions[:, 0]) >= 59 - 2 * bins
    assert (coarse.parents >= 0).all()
