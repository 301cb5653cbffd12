"""Graphs as trees, against walks vertex by vertex."""

from __future__ import annotations

import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from tests.formats.trees import random_parents
from zarr_vectors.formats.forest import components, depths, first_of_circle, is_forest, root_at_first
from zarr_vectors.typing import IntArray


def walked(edges: IntArray, count: int) -> tuple[list[int], list[int], bool]:
    """Parents, first vertices of the parts, and whether there is no circle."""
    near: list[list[tuple[int, int]]] = [[] for _ in range(count)]
    for number, (one, other) in enumerate(edges.tolist()):
        near[one].append((other, number))
        near[other].append((one, number))
    parents, first = [-2] * count, [-1] * count
    used: set[int] = set()
    for root in range(count):
        if parents[root] != -2:
            continue
        parents[root], first[root], queue = -1, root, [root]
        for vertex in queue:
            for other, number in near[vertex]:
                if parents[other] == -2:
                    parents[other], first[other] = vertex, root
                    used.add(number)
                    queue.append(other)
    return parents, first, len(used) == len(edges)


@st.composite
def forests(draw: st.DrawFn) -> tuple[IntArray, IntArray]:
    """Parents, and their edges in either direction and any order."""
    parents = random_parents(draw, draw(st.integers(0, 20)))
    children = np.flatnonzero(parents >= 0)
    edges = np.stack([children, parents[children]], axis=1)
    flips = np.array(draw(st.lists(st.booleans(), min_size=len(edges), max_size=len(edges))), dtype=bool)
    edges[flips] = edges[flips, ::-1]
    return parents, edges[draw(st.permutations(range(len(edges))))]


@given(forests())
def test_trees_are_rooted_at_their_first_vertex(forest: tuple[IntArray, IntArray]) -> None:
    parents, edges = forest
    want, first, _ = walked(edges, len(parents))
    assert is_forest(edges, len(parents))
    assert components(edges, len(parents)).tolist() == first
    assert root_at_first(edges, len(parents)).tolist() == want


@given(st.integers(1, 12), st.data())
def test_circles_are_found(count: int, data: st.DataObject) -> None:
    rows = st.integers(0, count - 1)
    edges = np.array(data.draw(st.lists(st.tuples(rows, rows), max_size=20)), dtype=np.int64).reshape(-1, 2)
    _, first, sound = walked(edges, count)
    assert components(edges, count).tolist() == first
    assert is_forest(edges, count) == sound


@given(forests())
def test_depth_is_the_way_to_the_root(forest: tuple[IntArray, IntArray]) -> None:
    parents, _ = forest
    assert first_of_circle(parents) is None
    found = depths(parents)
    roots = parents < 0
    assert (found[roots] == 0).all()
    assert (found[~roots] == found[parents[~roots]] + 1).all()


@given(st.lists(st.integers(-1, 8), min_size=9, max_size=9))
def test_a_vertex_of_a_circle_is_named(given_parents: list[int]) -> None:
    parents = np.array(given_parents)

    def returns(vertex: int) -> bool:
        up = vertex
        for _ in range(9):
            up = int(parents[up])
            if up in {-1, vertex}:
                return up == vertex
        return False

    on_circle = {vertex for vertex in range(9) if returns(vertex)}
    found = first_of_circle(parents)
    assert (found in on_circle) if on_circle else found is None


def test_long_paths_take_few_steps() -> None:
    count = 200_000
    edges = np.stack([np.arange(1, count), np.arange(count - 1)], axis=1)
    assert root_at_first(edges, count).tolist() == [-1, *range(count - 1)]
    assert depths(np.arange(count) - 1)[-1] == count - 1
