"""Coarser levels of meshes: the same however the store is cut, and what they carry."""

from __future__ import annotations

from collections import Counter
from typing import Any

import numpy as np
import pytest

import zarr_vectors as zv
from tests.pyramid.surfaces import edge_counts, sphere, torus
from tests.pyramid.test_build import with_rows
from tests.types.clouds import memory
from zarr_vectors.pyramid import source

BIN = 0.5


def two_surfaces(*, objects: bool) -> Any:
    """A torus with a sphere in its hole, with attributes of vertices and faces."""
    one, other = torus(36, 18), sphere(8, 12, radius=3.0)
    faces = np.concatenate([one.faces, other.faces + one.vertex_count])
    positions = np.concatenate([one.positions, other.positions.astype(np.float32)])
    owners = np.repeat([7, 3], [one.vertex_count, other.vertex_count])
    rng = np.random.default_rng(4)
    return zv.Mesh(
        positions,
        faces,
        attributes={"label": rng.integers(0, 5, len(positions))},
        face_attributes={"patch": rng.integers(0, 9, len(faces))},
        object_ids=owners if objects else None,
        object_attributes={"name": ["ring", "ball"]} if objects else {},
        objects=np.array([7, 3]) if objects else None,
    )


def built(value: Any, layout: zv.Layout) -> Any:
    target = memory()
    zv.write(target, value, layout=layout)
    root = zv.open_store(target, "r+")
    root.attrs["zarr_vectors"] = {**root.attrs["zarr_vectors"], "base_bin_shape": [BIN] * 3}
    store = zv.open(target, "r+")
    store.build_pyramid([(2, 1), (2, 1)])
    return store


def surface(level: Any) -> tuple[Counter[Any], Counter[Any]]:
    """Vertices with what is known of them, and faces by the places of their corners."""
    value = level.read()
    places = [tuple(row) for row in np.round(value.positions.astype(np.float64), 4).tolist()]
    owners = [None] * len(places) if value.object_ids is None else value.object_ids.tolist()
    rows = Counter(zip(places, owners, value.attributes["label"].tolist(), value.attributes["count"], strict=True))
    faces: Counter[Any] = Counter()
    for face, patch in zip(value.faces.tolist(), value.face_attributes["patch"].tolist(), strict=True):
        corners = [places[row] for row in face]
        turn = corners.index(min(corners))
        faces[(*corners[turn:], *corners[:turn], patch)] += 1
    return rows, faces


@pytest.mark.parametrize("objects", [False, True])
def test_surfaces_do_not_depend_on_chunks_or_batches(objects: bool, monkeypatch: pytest.MonkeyPatch) -> None:
    value = two_surfaces(objects=objects)
    whole = built(value, zv.Layout(chunk_shape=64))
    expected = [surface(level) for level in list(whole)[1:]]
    assert all(len(rows) and len(faces) for rows, faces in expected)
    for shape in (4, (2, 16, 8)):
        store = built(value, zv.Layout(chunk_shape=shape))
        assert [surface(level) for level in list(store)[1:]] == expected, shape
    monkeypatch.setattr(source.Finer, "__init__", with_rows(source.Finer.__init__, 50))
    store = built(value, zv.Layout(chunk_shape=4))
    assert [surface(level) for level in list(store)[1:]] == expected
    assert {problem.kind for problem in zv.validate(store.url).problems} <= {"ngff_scale"}
    for level in list(store)[1:]:
        got = level.read()
        assert got.attributes["count"].sum() == value.vertex_count
        assert set(edge_counts(got.faces).values()) == {2}, "there are no seams"
