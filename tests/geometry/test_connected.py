"""Lines, graphs, skeletons and meshes as values: what they take, what they refuse, and what is left of them."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as npst

import zarr_vectors as zv
from tests.query.connected import KINDS, induced, link_values, numbers, of_objects, parts_of, roots_of, values
from tests.types.clouds import files_of, masked, short
from zarr_vectors.exceptions import InputError, ZVError
from zarr_vectors.geometry import Categorical, Graph, Lines, Mesh, Polylines, Skeleton, check_forest

SQUARE: Any = [[0.0, 0], [1, 0], [1, 1], [0, 1]]
kinds = pytest.mark.parametrize("kind", KINDS)


def lines(*args: Any, **options: Any) -> Polylines:
    return Polylines(*args, **options)


@given(st.lists(st.integers(0, 4), min_size=1, max_size=8).filter(any), st.sampled_from(["f4", "i2"]))
def test_a_list_of_lines_becomes_positions_and_offsets(sizes: list[int], dtype: str) -> None:
    at = np.arange(2 * sum(sizes)).reshape(-1, 2).astype(dtype)
    ends = np.cumsum(sizes)
    parts = np.split(at, ends[:-1])
    words = [[f"w{row}" for row in part[:, 0]] for part in parts]
    given = [part.tolist() for part in parts], parts, tuple(parts)
    for one in given:
        got = lines(one, attributes={"v": [part[:, 0] for part in parts], "t": words, "xy": parts})
        assert got.offsets.tolist() == [0, *ends]
        assert got.positions.tolist() == at.tolist()
        assert np.asarray(got.attributes["v"]).tolist() == at[:, 0].tolist()
        assert np.asarray(got.attributes["t"]).tolist() == [f"w{row}" for row in at[:, 0]]
        assert np.asarray(got.attributes["xy"]).tolist() == at.tolist()
        assert [line.tolist() for line in got.lines()] == [part.tolist() for part in parts]
        assert got.object_ids.tolist() == np.repeat(np.arange(len(sizes)), sizes).tolist()
    assert lines(parts).positions.dtype == np.dtype(dtype)


def test_lines_take_ends_and_values_of_both() -> None:
    ends = np.arange(12.0).reshape(3, 2, 2)
    got = Lines(ends, attributes={"v": [[1, 2], [3, 4], [5, 6]], "w": np.arange(6), "rgb": np.zeros((3, 2, 4))})
    assert np.asarray(got.attributes["v"]).tolist() == [1, 2, 3, 4, 5, 6]
    assert np.asarray(got.attributes["w"]).tolist() == [0, 1, 2, 3, 4, 5]
    assert got.attributes["rgb"].shape == (6, 4)
    assert got.endpoints.tolist() == ends.tolist()
    with pytest.raises(InputError, match="two vertices"):
        _ = Lines(ends.reshape(6, 2), offsets=np.array([0, 1, 3, 6])).endpoints


@kinds
@given(st.data())
def test_what_is_between_the_vertices_of_a_mask_is_left(kind: str, data: st.DataObject) -> None:
    value = data.draw(values(kind))
    mask = data.draw(npst.arrays(bool, value.vertex_count))
    left = value.within(mask)
    if isinstance(value, Polylines):
        whole = [(one, rows) for one, rows in parts_of(value) if all(mask[row] for row in rows)]
        assert parts_of(left) == whole
        return
    assert numbers(left) == np.flatnonzero(mask).tolist()
    known = {tuple(ends): place for place, ends in enumerate(value.links.tolist()) if all(mask[row] for row in ends)}
    assert len(left.links) == sum(all(mask[row] for row in ends) for ends in value.links.tolist())
    assert {ends for ends, *_ in link_values(left)} == set(known)
    if left.link_attributes:
        assert left.link_attributes["link"].tolist() == [
            place for place, ends in enumerate(value.links.tolist()) if all(mask[row] for row in ends)
        ]
    assert left == induced(value, mask)


@kinds
@given(st.data())
def test_values_compare_by_what_they_hold(kind: str, data: st.DataObject) -> None:
    value = data.draw(values(kind, least=1))
    everything = np.ones(value.vertex_count, dtype=bool)
    assert value == value.within(everything) or (isinstance(value, Polylines) and value.ids is None)
    everything[data.draw(st.integers(0, value.vertex_count - 1))] = False
    assert value != value.within(everything)
    assert value != zv.Points(value.positions)
    assert set(value) >= {"positions", "attributes", "vertex_count"}
    assert value["row"] is value.attributes["row"]


@given(values("polyline"), st.data())
def test_lines_are_taken_by_number(value: Polylines, data: st.DataObject) -> None:
    which = data.draw(st.lists(st.integers(0, max(value.line_count - 1, 0)), max_size=6)) if value.line_count else []
    got = value.take(np.array(which, dtype=np.int64))
    assert parts_of(got) == [parts_of(value)[line] for line in which]
    assert parts_of(value.take(slice(1, 3))) == parts_of(value)[1:3]
    distinct = list(dict.fromkeys(value.line_ids.tolist()))[::-1]
    assert parts_of(of_objects(value, distinct)) == parts_of(value)[::-1]


@given(npst.arrays(np.int64, st.integers(0, 12), elements=st.integers(-1, 11)))
def test_circles_are_found_as_by_walking(parents: Any) -> None:
    parents = np.minimum(parents, len(parents) - 1)

    def reaches_a_root(row: int) -> bool:
        for _ in range(len(parents) + 1):
            if row < 0:
                return True
            row = int(parents[row])
        return False

    in_circles = [row for row in range(len(parents)) if not reaches_a_root(row)]
    if not in_circles:
        check_forest(parents)
        assert (parents[roots_of(parents)] == -1).all()
        return
    with pytest.raises(InputError, match="circle") as caught:
        check_forest(parents)
    named = int(str(caught.value).partition("vertex ")[2].partition(",")[0])
    assert named in in_circles


@given(st.integers(1, 40), st.integers(0, 2**32 - 1))
def test_trees_in_any_order_are_no_circles(rows: int, seed: int) -> None:
    random = np.random.default_rng(seed)
    parents = np.array([int(random.integers(-1, row)) if random.random() < 0.5 else row - 1 for row in range(rows)])
    place = random.permutation(rows) if rows > 1 else np.zeros(1, dtype=np.int64)
    moved = np.empty_like(parents)
    moved[place] = np.where(parents < 0, -1, place[parents])
    check_forest(moved)
    check_forest(np.array([-1, 2, 0]))


@pytest.mark.parametrize("length", [1, 2, 3, 1000, 1024, 1025])
def test_a_long_circle_below_a_long_chain_is_found(length: int) -> None:
    parents = np.roll(np.arange(length), -1)
    chain = np.concatenate([parents, [0], np.arange(length, 2 * length)])
    with pytest.raises(InputError, match="circle"):
        check_forest(chain)
    check_forest(np.arange(1, 100_001) % 100_000 - (np.arange(100_000) == 99_999))


def test_a_skeleton_is_made_of_edges_in_any_order() -> None:
    edges, radii = [[3, 1], [1, 0], [2, 1]], [30.0, 10.0, 20.0]
    tree = Skeleton.from_edges(SQUARE, edges, edge_attributes={"r": radii, "t": ["c", None, "b"]})
    assert tree.parents.tolist() == [-1, 0, 1, 1]
    assert tree.edges.tolist() == [[1, 0], [2, 1], [3, 1]]
    assert np.asarray(tree.edge_attributes["r"]).tolist() == [10.0, 20.0, 30.0]
    assert np.asarray(tree.edge_attributes["t"]).tolist() == [None, "b", "c"]
    assert Skeleton.from_edges(SQUARE, []).roots.tolist() == [0, 1, 2, 3]


RAGGED: Any = [[[0.0, 1.0], [2.0]], [[1.0, 1.0], [3.0, 3.0]]]
BAD: dict[str, tuple[Any, str]] = {
    "a missing vertex in an edge": (lambda: Graph(SQUARE, [[0, 1], [1, 4]]), r"\[1, 4\] in row 1"),
    "a negative edge": (lambda: Graph(SQUARE, [[0, -1]]), "do not count from the end"),
    "edges of three": (lambda: Graph(SQUARE, [[0, 1, 2]]), r"\(E, 2\)"),
    "edges in a row": (lambda: Graph(SQUARE, [0, 1]), r"\(E, 2\)"),
    "edges of no width": (lambda: Graph(SQUARE, [[], []]), r"\(E, 2\)"),
    "float edges": (lambda: Graph(SQUARE, [[0.0, 1.0]]), "integers"),
    "bool edges": (lambda: Graph(SQUARE, [[True, False]]), "integers"),
    "ragged edges": (lambda: Graph(SQUARE, [[0, 1], [2]]), "rectangular"),
    "huge edges": (lambda: Graph(SQUARE, np.array([[0, 2**63]], dtype="u8")), "9223372036854775808"),
    "masked edges": (lambda: Graph(SQUARE, masked([[0, 1], [2, 3]], 1)), "masked"),
    "edges of nothing": (lambda: Graph(np.zeros((0, 2)), [[0, 0]]), "vertex that there is not"),
    "too few edge values": (lambda: Graph(SQUARE, [[0, 1]], edge_attributes={"w": [1, 2]}), "edge attribute 'w'"),
    "too few owners": (lambda: Graph(SQUARE, object_ids=[1, 2]), "object_ids"),
    "a missing vertex in a face": (lambda: Mesh(SQUARE, [[0, 1, 2], [1, 2, 7]]), r"\[1, 2, 7\] in row 1"),
    "a negative face": (lambda: Mesh(SQUARE, [[0, 1, -1]]), "do not count from the end"),
    "faces of two": (lambda: Mesh(SQUARE, [[0, 1]]), "W from 3"),
    "faces of several widths": (lambda: Mesh(SQUARE, [[0, 1, 2], [0, 1, 2, 3]]), "rectangular"),
    "too few face values": (lambda: Mesh(SQUARE, [[0, 1, 2]], face_attributes={"w": []}), "face attribute 'w'"),
    "a missing parent": (lambda: Skeleton(SQUARE, [-1, 0, 9, 0]), "9 for vertex 2"),
    "a parent below -1": (lambda: Skeleton(SQUARE, [-1, -2, 0, 0]), "-2 for vertex 1"),
    "too few parents": (lambda: Skeleton(SQUARE, [-1, 0]), "parents"),
    "float parents": (lambda: Skeleton(SQUARE, [-1.0, 0, 0, 0]), "parents must be integers"),
    "several parents": (
        lambda: Skeleton.from_edges(SQUARE, [[2, 0], [1, 0], [2, 1]]),
        r"vertex 2 with parents \[0, 1\]",
    ),
    "negative edges of a tree": (lambda: Skeleton.from_edges(SQUARE, [[-1, 0]]), "do not count from the end"),
    "ragged nodes of a tree": (lambda: Skeleton.from_edges([[0.0, 1.0], [2.0]], []), "rectangular"),
    "values of another line": (
        lambda: lines([SQUARE, SQUARE[:2]], attributes={"v": [[1, 2], [1, 2, 3, 4]]}),
        "4 values for line 0",
    ),
    "too few lists of values": (lambda: lines([SQUARE, SQUARE], attributes={"v": [[1, 2, 3, 4]]}), "2 arrays"),
    "too few values": (lambda: lines([SQUARE, SQUARE], attributes={"v": np.arange(7)}), "8 rows"),
    "ragged values": (lambda: lines([SQUARE, SQUARE], attributes={"v": [[1, 2, 3, [4]], [1, 2, 3, 4]]}), "rectangular"),
    "masked values of a line": (lambda: lines([SQUARE], attributes={"v": [masked([1, 2, 3, 4], 2)]}), "masked"),
    "ragged lines": (lambda: lines(RAGGED), "line 0 must be rectangular"),
    "masked lines": (lambda: lines([SQUARE, masked(SQUARE, 2)]), "masked"),
    "lines of several widths": (lambda: lines([SQUARE, [[1.0, 2, 3]]]), "line 1"),
    "no lines at all": (lambda: lines([]), "np.empty"),
    "flat lines": (lambda: lines([[1.0, 2.0]]), r"\(n, D\)"),
    "text for lines": (lambda: lines("abc"), "list of"),
    "positions without offsets": (lambda: lines(np.zeros((4, 2))), "offsets"),
    "offsets that end early": (lambda: lines(SQUARE, [0, 3]), "0 to 4"),
    "offsets that end late": (lambda: lines(SQUARE, [0, 5]), "0 to 4"),
    "offsets that start late": (lambda: lines(SQUARE, [1, 4]), "0 to 4"),
    "offsets that fall": (lambda: lines(SQUARE, [0, 3, 2, 4]), "ascend"),
    "no offsets": (lambda: lines(SQUARE, []), "ascend"),
    "float offsets": (lambda: lines(SQUARE, [0.0, 4.0]), "offsets must be integers"),
    "too few ids": (lambda: lines([SQUARE, SQUARE], ids=[1]), "ids"),
    "another kind": (lambda: lines([SQUARE], kind="mesh"), "kind is not known"),
    "lines of three ends": (lambda: Lines(np.zeros((2, 3, 2))), r"\(M, 2, D\)"),
    "ragged ends": (lambda: Lines(RAGGED), "rectangular"),
    "masked ends": (lambda: Lines(masked(np.zeros((3, 2, 2)), 1)), "masked"),
    "ragged values of ends": (lambda: Lines([SQUARE[:2]], attributes={"v": [[1, [2, 3]]]}), "rectangular"),
}


@pytest.mark.parametrize(("make", "told"), BAD.values(), ids=BAD)
def test_what_cannot_be_meant_is_no_value(make: Any, told: str) -> None:
    with pytest.raises(InputError, match=told) as caught:
        make()
    assert len(str(caught.value)) < 500


UNWRITTEN: dict[str, tuple[Any, str]] = {
    "a circle": (Skeleton(SQUARE, [1, 2, 0, -1]), "circle"),
    "a vertex that is its own parent": (Skeleton(SQUARE, [-1, 1, 0, 0]), "circle"),
    "a parent in another object": (Skeleton(SQUARE, [-1, 0, 1, 2], object_ids=[1, 1, 2, 2]), "vertex 2 of object 2"),
    "a line twice": (lines([SQUARE, SQUARE, SQUARE], ids=[4, 5, 4]), "4 more than once"),
    "a flat mesh": (Mesh([[0.0], [1.0], [2.0]], [[0, 1, 2]]), "2 axes"),
    "a face of many corners": (Mesh(np.zeros((30, 2)), np.arange(21)[None]), "at most 20"),
    "an infinite vertex": (Graph([[0.0, 0], [np.inf, 0]], [[0, 1]]), "inf in row 1"),
    "masked edge values": (Graph(SQUARE, [[0, 1], [1, 2]], edge_attributes={"w": masked([1, 2], 1)}), "masked"),
    "a name with a slash": (Mesh(SQUARE, [[0, 1, 2]], face_attributes={"a/b": [1]}), "face attribute name"),
    "twice a category": (
        Graph(SQUARE, [[0, 1]], edge_attributes={"t": Categorical(np.array([0]), ("a", "a"))}),
        "distinct",
    ),
    "objects twice": (lines([SQUARE], ids=[1], objects=[1, 1]), "distinct"),
    "objects without a row": (
        lines([SQUARE, SQUARE], ids=[1, 2], objects=[1], object_attributes={"n": [3]}),
        "every object",
    ),
    "a group of no object": (Graph(SQUARE, groups={0: [7]}), "7"),
    "the name of row ids": (Graph(SQUARE, attributes={"row_id": [1, 2, 3, 4]}), "rename it"),
}


@pytest.mark.parametrize(("value", "told"), UNWRITTEN.values(), ids=UNWRITTEN)
@pytest.mark.parametrize("streamed", [False, True])
def test_what_cannot_be_stored_leaves_nothing(value: Any, told: str, streamed: bool, tmp_path: Path) -> None:
    with pytest.raises(InputError, match=told):
        zv.write(tmp_path / "s", iter([value]) if streamed else value)
    assert not (tmp_path / "s").exists()


@kinds
@pytest.mark.parametrize("other", ["point_cloud", *KINDS])
def test_a_store_of_one_kind_is_not_given_another(kind: str, other: str, tmp_path: Path) -> None:
    family = {"line": "line", "polyline": "line", "streamline": "line"}
    if family.get(kind, kind) == family.get(other, other):
        return
    zv.write(tmp_path / "s", small(kind), bounds=([0, 0], [2, 2]))
    before = files_of(tmp_path / "s")
    with pytest.raises(ZVError):
        zv.write(tmp_path / "s", small(other), mode="append")
    assert files_of(tmp_path / "s") == before


def small(kind: str) -> Any:
    if kind == "point_cloud":
        return zv.Points(np.array(SQUARE), object_ids=np.array([5] * 4))
    if kind == "line":
        return Lines([SQUARE[:2]], ids=np.array([5]))
    if kind in {"polyline", "streamline"}:
        return lines([SQUARE], ids=[5], kind=kind)
    if kind == "graph":
        return Graph(SQUARE, [[0, 1]])
    return Skeleton(SQUARE, [-1, 0, 1, 2]) if kind == "skeleton" else Mesh(SQUARE, [[0, 1, 2]])


@pytest.mark.parametrize("value", [small(kind) for kind in KINDS], ids=short)
def test_values_say_what_they_are(value: Any) -> None:
    text = repr(value)
    assert text.startswith(type(value).__name__)
    assert "2-D float64" in text
    with pytest.raises(TypeError):
        hash(value)
