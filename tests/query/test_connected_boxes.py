"""Boxes of connected geometry, in every mode, against the same rule in plain Python and rational numbers."""

from __future__ import annotations

from collections import Counter
from fractions import Fraction
from itertools import pairwise
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

import zarr_vectors as zv
from tests.query.connected import (
    KINDS,
    LAYOUTS,
    LINKED,
    assert_same,
    induced,
    link_values,
    numbers,
    object_list,
    of_objects,
    owners_of,
    segments,
    stored,
    values,
)
from tests.spatial.exact import boxes, clipped_area, point, sides, span, triangle_meets
from tests.storage.stores import fewer_examples
from tests.types.clouds import inside
from zarr_vectors.geometry import Graph, Mesh, Polylines, Skeleton
from zarr_vectors.spatial.box import ClosedBox

kinds = pytest.mark.parametrize("kind", KINDS)
SOME = fewer_examples(6)
SIDES = st.integers(-13, 13).map(lambda n: n / 2)
"""On the lattice of the values, whose sides of chunks lie on it too."""


def told(box: ClosedBox) -> Any:
    """The box as a user says it."""
    return [None if v == -np.inf else v for v in box.lo], [None if v == np.inf else v for v in box.hi]


def mask_of(value: Any, box: ClosedBox) -> Any:
    return inside(value.positions, *box_sides(box))


def box_sides(box: ClosedBox) -> tuple[list[float], list[float]]:
    return box.lo.tolist(), box.hi.tolist()


def objects_met(value: Any, box: ClosedBox) -> list[int]:
    """Objects with a vertex, segment, edge or face in the box."""
    owners, lo, hi = owners_of(value), *sides(box)
    met = {owners[row] for row in np.flatnonzero(mask_of(value, box))}
    exact = [point(row) for row in value.positions]
    for ends in segments(value):
        corners = [exact[row] for row in ends]
        if len(ends) == 2:
            hit = span(corners[0], corners[1], lo, hi) is not None
        else:
            fan = pairwise(corners[1:])
            hit = any(triangle_meets([corners[0], a, b], lo, hi) for a, b in fan)
        if hit:
            met |= {owners[row] for row in ends}
    return [one for one in object_list(value) if one in met]


@kinds
@SOME
@given(st.data(), LAYOUTS)
def test_vertices_in_a_box_with_what_connects_them(kind: str, data: st.DataObject, layout: zv.Layout) -> None:
    value = data.draw(values(kind))
    box = data.draw(boxes(value.ndim, SIDES))
    level = stored(value, layout)
    got = level.read(told(box), mode="vertices")
    expected = induced(value, mask_of(value, box))
    assert_same(got, expected)
    assert level.count(told(box), mode="vertices") == expected.vertex_count
    some = object_list(value)[::2]
    assert_same(
        level.read(told(box), mode="vertices", object_ids=some),
        induced(value, mask_of(value, box) & np.isin(owners_of(value), some)),
    )


@kinds
@SOME
@given(st.data(), LAYOUTS)
def test_objects_that_meet_a_box_come_whole(kind: str, data: st.DataObject, layout: zv.Layout) -> None:
    value = data.draw(values(kind, most=14) if kind in LINKED else values(kind))
    box = data.draw(boxes(value.ndim, SIDES))
    level = stored(value, layout)
    met = objects_met(value, box)
    expected = of_objects(value, met)
    assert_same(level.read(told(box)), expected)
    assert level.count(told(box)) == expected.vertex_count
    batches = list(level.iter(told(box), batch_rows=3))
    assert sorted(n for batch in batches for n in numbers(batch)) == sorted(numbers(expected))
    wanted = object_list(value)[1:]
    # An edge to an object that was not asked for does not count.
    own = objects_met(of_objects(value, wanted), box)
    assert_same(level.read(told(box), object_ids=wanted), of_objects(value, own))


def pieces(value: Any, box: ClosedBox) -> list[list[tuple[int, int, Fraction]]]:
    """What a box leaves of the lines: runs of places, each between two rows."""
    lo, hi = sides(box)
    exact = [point(row) for row in value.positions]
    found: list[list[tuple[int, int, Fraction]]] = []
    for a, b in zip(value.offsets[:-1].tolist(), value.offsets[1:].tolist(), strict=True):
        if b - a == 1 and span(exact[a], exact[a], lo, hi):
            found.append([(a, a, Fraction(0))])
        reached = False
        for row in range(a, b - 1):
            part = span(exact[row], exact[row + 1], lo, hi)
            if part is None:
                reached = False
                continue
            if not (reached and part[0] == 0):
                found.append([(row, row + 1, part[0])])
            if part[1] > part[0]:
                found[-1].append((row, row + 1, part[1]))
            reached = part[1] == 1
    return found


def close(value: Any) -> Any:
    return pytest.approx(value, rel=2e-3 if np.asarray(value).dtype == np.float16 else 1e-6, abs=1e-6)


def assert_place(got: Any, row: int, value: Any, ends: tuple[int, int], t: Fraction, box: ClosedBox) -> None:
    """A vertex stands at a place between two vertices of the input, with attributes that follow."""
    one, other = ends
    whole = {Fraction(0): one, Fraction(1): other}.get(t)
    start, end = value.positions[one].astype(float), value.positions[other].astype(float)
    where = start + float(t) * (end - start)
    assert got.positions[row].astype(float) == pytest.approx(
        where, abs=5e-3 if got.positions.dtype.itemsize == 2 else 1e-5
    )
    assert inside(got.positions[row : row + 1], *box_sides(box)).all()
    near = one if t <= Fraction(1, 2) else other
    for name in ("row", "flag", "rgb", "when"):
        assert np.asarray(got.attributes[name][row]).tolist() == np.asarray(value.attributes[name][near]).tolist()
    assert got.attributes["t"][row] == value.attributes["t"][near]
    f = value.attributes["f"].astype(float)
    assert float(got.attributes["f"][row]) == pytest.approx(f[one] + float(t) * (f[other] - f[one]), abs=1e-5)
    if got.row_ids is not None:
        assert got.row_ids[row] == (-1 if whole is None else whole)
    if whole is not None:
        assert got.positions[row].tolist() == value.positions[whole].tolist()


def assert_clipped_dtypes(got: Any, value: Any) -> None:
    real = value.positions.dtype.kind == "f"
    assert got.positions.dtype.newbyteorder("=") == (value.positions.dtype.newbyteorder("=") if real else np.float64)
    for name, column in value.attributes.items():
        assert got.attributes[name].dtype == column.dtype


@pytest.mark.parametrize("kind", ["line", "polyline"])
@SOME
@given(st.data(), LAYOUTS)
def test_lines_are_cut_at_a_box(kind: str, data: st.DataObject, layout: zv.Layout) -> None:
    value = data.draw(values(kind))
    box = data.draw(boxes(value.ndim, SIDES))
    got = stored(value, layout).read(told(box), mode="clip")
    assert_clipped_dtypes(got, value)
    owners = owners_of(value)
    expected = sorted(pieces(value, box), key=lambda piece: (owners[piece[0][0]], piece[0]))
    assert got.line_ids.tolist() == [owners[piece[0][0]] for piece in expected]
    assert got.lengths.tolist() == [len(piece) for piece in expected]
    flat = [place for piece in expected for place in piece]
    for row, (one, other, t) in enumerate(flat):
        assert_place(got, row, value, (one, other), t, box)


@pytest.mark.parametrize("kind", ["graph", "skeleton"])
@SOME
@given(st.data(), LAYOUTS)
def test_edges_are_cut_at_a_box_and_keep_their_direction(kind: str, data: st.DataObject, layout: zv.Layout) -> None:
    value = data.draw(values(kind, least=1, named=True))
    box = data.draw(boxes(value.ndim, SIDES))
    got = stored(value, layout).read(told(box), mode="clip")
    assert_clipped_dtypes(got, value)
    lo, hi = sides(box)
    expected = {}
    for number, (one, other) in enumerate(segments(value)):
        part = span(point(value.positions[one]), point(value.positions[other]), lo, hi)
        if part is not None and part[0] < part[1]:
            expected[number] = (one, other, *part)
    assert sorted(got.link_attributes["link"].tolist()) == sorted(expected)
    for name, column in value.link_attributes.items():
        kept = got.link_attributes[name]
        assert kept.dtype == column.dtype
        assert np.asarray(kept).tolist() == np.asarray(column[got.link_attributes["link"]]).tolist()
    new = 0
    for (a, b), link in zip(got.links.tolist(), got.link_attributes["link"].tolist(), strict=True):
        one, other, t_in, t_out = expected[link]
        assert_place(got, a, value, (one, other), t_in, box)
        assert_place(got, b, value, (one, other), t_out, box)
        assert owners_of(got)[a] == owners_of(value)[one if t_in <= Fraction(1, 2) else other]
        new += (t_in > 0) + (t_out < 1)
    whole = np.flatnonzero(mask_of(value, box))
    assert got.vertex_count == len(whole) + new
    assert sorted(numbers(got)[: len(whole)]) == whole.tolist()


@pytest.mark.parametrize("ndim", [2, 3])
@SOME
@given(st.data(), LAYOUTS)
def test_faces_are_cut_at_a_box_and_keep_their_winding(ndim: int, data: st.DataObject, layout: zv.Layout) -> None:
    value = data.draw(values("mesh", ndim, least=1, most=14, named=True, dtypes=["f4", "f8", "i4"]))
    box = data.draw(boxes(ndim, SIDES))
    got = stored(value, layout).read(told(box), mode="clip")
    assert_clipped_dtypes(got, value)
    assert inside(got.positions, *box_sides(box)).all()
    assert got.faces.shape[1] == 3
    kept = np.flatnonzero(mask_of(value, box))
    assert sorted(numbers(got)[: len(kept)]) == kept.tolist()
    if got.row_ids is not None:
        assert sorted(got.row_ids[got.row_ids >= 0].tolist()) == kept.tolist()
    if len(got.positions):
        low, high = value.attributes["f"].min(), value.attributes["f"].max()
        assert ((got.attributes["f"] >= low) & (got.attributes["f"] <= high)).all()
    of_face = got.face_attributes["link"]
    assert np.asarray(got.face_attributes["t"]).tolist() == np.asarray(value.face_attributes["t"][of_face]).tolist()
    if ndim != 2:
        return
    lo, hi = sides(box)
    for number, face in enumerate(segments(value)):
        corners = [point(value.positions[row]) for row in face]
        fan = pairwise(corners[1:])
        area = sum(float(clipped_area([corners[0], a, b], lo, hi)) for a, b in fan)
        assert area_of(got.positions[got.faces[of_face == number]]) == pytest.approx(area, abs=1e-3)


def area_of(triangles: Any) -> float:
    """Twice the signed area."""
    u, v = (triangles[:, end].astype(float) - triangles[:, 0] for end in (1, 2))
    return float((u[:, 0] * v[:, 1] - u[:, 1] * v[:, 0]).sum())


def surface(triangles: Any) -> float:
    u, v = (triangles[:, end].astype(float) - triangles[:, 0] for end in (1, 2))
    return float(np.sqrt(((u**2).sum(1) * (v**2).sum(1) - (u * v).sum(1) ** 2).clip(0)).sum() / 2)


def length(ends: Any) -> float:
    return float(np.sqrt(((ends[:, 1].astype(float) - ends[:, 0]) ** 2).sum(axis=1)).sum())


def size_of(value: Any) -> float:
    """Total length of lines and edges, or total area of faces."""
    ends = np.array(segments(value), dtype=np.int64).reshape(-1, 3 if isinstance(value, Mesh) else 2)
    corners = value.positions[ends]
    return surface(corners) if isinstance(value, Mesh) else length(corners)


def random_value(kind: str, dtype: str) -> Any:
    """Long and short connections between vertices of no particular place, in 3-D."""
    rng = np.random.default_rng(11)
    at = np.cumsum(rng.normal(0, 3, (120, 3)), axis=0).astype(dtype)
    at[::17] *= 3
    columns = {"row": np.arange(120), "f": rng.normal(size=120)}
    if kind == "line":
        return zv.Lines(at.reshape(-1, 2, 3), attributes=columns)
    if kind in {"polyline", "streamline"}:
        return Polylines(at, [0, 40, 41, 120], kind=kind, attributes=columns)
    if kind == "skeleton":
        parents = [-1, *(int(rng.integers(max(0, row - 4), row)) for row in range(1, 120))]
        return Skeleton(at, parents, attributes=columns)
    links = rng.integers(0, 120, (50, 2 if kind == "graph" else 3))
    links = links[(np.diff(np.sort(links, axis=1), axis=1) > 0).all(axis=1)]
    return Graph(at, links, attributes=columns) if kind == "graph" else Mesh(at, links, attributes=columns)


@kinds
@pytest.mark.parametrize("dtype", ["f8", "f4"])
def test_boxes_that_tile_space_share_out_all_length_and_area(kind: str, dtype: str) -> None:
    value = random_value(kind, dtype)
    level = stored(value, zv.Layout(chunk_shape=9, shard_shape=2, keep_order=True))
    cuts = [None, -7.3, 5.1, None]
    total, rows = 0.0, Counter[int]()
    for x in range(3):
        for y in range(3):
            box = ([cuts[x], cuts[y], None], [cuts[x + 1], cuts[y + 1], None])
            got = level.read(box, mode="clip")
            mask = inside(got.positions, [side_of(v, -1) for v in box[0]], [side_of(v, 1) for v in box[1]])
            assert mask.all()
            total += size_of(got)
            rows.update(got.row_ids[got.row_ids >= 0].tolist())
    assert total == pytest.approx(size_of(value), rel=1e-9 if dtype == "f8" else 1e-5)
    assert rows == Counter(range(120))


def side_of(value: float | None, sign: int) -> float:
    return sign * np.inf if value is None else value


@kinds
@pytest.mark.parametrize("shard", [None, 2])
def test_what_passes_through_from_far_away_is_found(kind: str, shard: int | None) -> None:
    """Every connection is a hundred chunks long, and none has a vertex near the box."""
    at = np.array([[-50.0, -50.5, 1.0], [50.0, 50.5, 2.0], [-49.0, 51.0, -2.0], [50.5, -49.5, 0.0]])
    value: Any
    if kind == "line":
        value = zv.Lines(at.reshape(2, 2, 3), ids=[5, 3])
    elif kind in {"polyline", "streamline"}:
        value = Polylines([at[:2], at[2:]], ids=[5, 3], kind=kind)
    elif kind == "skeleton":
        value = Skeleton(at, [-1, 0, -1, 2], object_ids=[5, 5, 3, 3])
    elif kind == "graph":
        value = Graph(at, [[0, 1], [2, 3]], object_ids=[5, 5, 3, 3])
    else:
        faces = [[0, 1, 5], [2, 3, 7]]
        value = Mesh(np.concatenate([at, at + np.array([0, 0, 30])]), faces, object_ids=[5, 5, 3, 3] * 2)
    level = stored(value, zv.Layout(chunk_shape=1, shard_shape=shard))
    through = {5: at[0] + 0.7 * (at[1] - at[0]), 3: at[2] + 0.7 * (at[3] - at[2])}
    for one, place in through.items():
        low, high = place - 0.4, place + 0.4
        got = level.read((low, high))
        assert set(owners_of(got)) == {one}
        assert got.vertex_count == owners_of(value).count(one)
        cut = level.read((low, high), mode="clip")
        assert set(owners_of(cut)) == {one}
        assert size_of(cut) > 0
        assert level.read((low, high), mode="vertices").vertex_count == 0
        assert level.read((low - [0, 0, 4], high - [0, 0, 4])).vertex_count == 0


@kinds
def test_a_box_around_everything_changes_nothing(kind: str) -> None:
    value = random_value(kind, "f8")
    level = stored(value, zv.Layout(chunk_shape=5))
    for mode in ("vertices", "objects", "clip"):
        for box in (([-1e9] * 3, [1e9] * 3), ([None] * 3, [None] * 3)):
            got = level.read(box, mode=mode)
            assert_same(got, value)
            if kind in LINKED:
                assert Counter(link_values(got)) == Counter(link_values(value))


@kinds
@pytest.mark.parametrize("mode", ["vertices", "objects", "clip"])
def test_a_box_beside_everything_is_empty_with_the_right_types(kind: str, mode: str) -> None:
    level = stored(random_value(kind, "f4"), zv.Layout(chunk_shape=5))
    got = level.read(([500.0, 0, 0], [501.0, 1, 1]), mode=mode)
    assert (got.positions.shape, got.positions.dtype) == ((0, 3), np.float32)
    assert got.attributes["row"].dtype == np.int64
    assert segments(got) == []
    assert owners_of(got) == []


def test_a_parent_beyond_the_chunks_that_are_read_makes_a_root() -> None:
    """The vertex before it in its fragment must not pass for its parent."""
    value = Skeleton([[0.1], [0.2], [9.5], [0.3]], [-1, 0, 0, 2], attributes={"row": np.arange(4)})
    level = stored(value, zv.Layout(chunk_shape=1, keep_order=True))
    for mode in ("vertices", "clip"):
        got = level.read(([0.0], [0.9]), mode=mode)
        parents = {
            row: parent for row, parent in zip(got.row_ids.tolist(), got.parents.tolist(), strict=True) if row >= 0
        }
        rows = got.row_ids.tolist()
        assert parents[0] == -1
        assert rows[parents[1]] == 0
        assert parents[3] == -1 if mode == "vertices" else rows[parents[3]] == -1
