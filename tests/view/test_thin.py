"""Which objects, vertices and edges are left of very large values."""

from __future__ import annotations

import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from zarr_vectors.geometry import Graph, Mesh, Polylines, Skeleton
from zarr_vectors.view.links import link_colour, links_of, mean_over
from zarr_vectors.view.thin import object_count, thin


def test_what_is_small_stays() -> None:
    for value in (Polylines(np.zeros((3, 4, 2))), Graph(np.zeros((3, 2)), [[0, 1]]), Skeleton(np.zeros((3, 2)))):
        assert thin(value, 100).value is value
    mesh = Mesh(np.zeros((3, 2)), np.zeros((50, 3), dtype=int))
    assert thin(mesh, 10).value is mesh


def test_ends_of_lines_stay() -> None:
    lines = Polylines([np.arange(0.0, 31)[:, None], np.arange(100.0, 130)[:, None]])
    left = thin(lines, 6)
    assert left.step == 10
    assert isinstance(left.value, Polylines)
    assert [line.ravel().tolist() for line in left.value.lines()] == [[0, 10, 20, 30], [100, 110, 120, 129]]


def test_objects_of_a_skeleton() -> None:
    parents = np.tile([-1, 0, 1, 2, 3], 100) + np.where(np.arange(500) % 5, np.repeat(np.arange(100) * 5, 5), 0)
    forest = Skeleton(np.zeros((500, 3)), parents, object_ids=np.repeat(np.arange(100), 5))
    left = thin(forest, 100).value
    assert object_count(left) == 25
    assert len(links_of(left)) == 100


@given(st.integers(2, 200), st.integers(0, 10**6), st.integers(2, 40))
def test_a_thinned_tree_has_the_same_roots_tips_and_branches(count: int, seed: int, limit: int) -> None:
    random = np.random.default_rng(seed)
    parents = np.array([-1, *(random.integers(max(0, row - 3), row) for row in range(1, count))])
    order = random.permutation(count)
    moved = np.full(count, -1)
    moved[order] = np.where(parents < 0, -1, order[parents])
    tree = Skeleton(np.arange(float(count))[:, None], moved, edge_attributes={"child": np.flatnonzero(moved >= 0)})
    left = thin(tree, limit).value
    assert isinstance(left, Skeleton)

    def facts(value: Skeleton) -> tuple[set[float], set[float]]:
        children = np.bincount(value.parents[value.parents >= 0], minlength=value.vertex_count)
        names = value.positions[:, 0]
        return set(names[value.parents < 0].tolist()), set(names[children != 1].tolist())

    (roots, special), (roots_left, special_left) = facts(tree), facts(left)
    assert roots == roots_left
    assert special - roots <= special_left
    assert np.asarray(left.edge_attributes["child"]).tolist() == left.positions[left.edges[:, 0], 0].tolist()
    for child, parent in zip(*left.positions[left.edges, 0].astype(int).T, strict=True):
        ancestor = moved[child]
        while ancestor != parent:
            ancestor = moved[ancestor]
            assert ancestor >= 0


def test_means_ignore_what_is_missing() -> None:
    links = np.array([[0, 1], [1, 2], [2, 2]])
    np.testing.assert_array_equal(mean_over(np.array([1.0, 3.0, np.nan]), links), [2, 3, np.nan])
    assert link_colour(None, links) is None
