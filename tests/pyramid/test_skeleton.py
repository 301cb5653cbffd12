"""Coarser skeletons, against a plain walk through each tree and the distance of every vertex to its coarse object."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from zarr_vectors.exceptions import InputError
from zarr_vectors.geometry import Categorical, Skeleton, check_forest
from zarr_vectors.pyramid.coarse import Coarse, Policy
from zarr_vectors.pyramid.distances import distance_to_segments
from zarr_vectors.pyramid.skeleton import coarsen_skeleton
from zarr_vectors.typing import AnyArray, FloatArray, IntArray


def policy(*bins: float, **aggregations: str) -> Policy:
    return Policy(bins=np.array(bins), aggregations=aggregations)


def walked(value: Skeleton, bins: FloatArray) -> tuple[set[int], dict[int, int]]:
    """The roots, branch points and ends that must be kept, and the branch point of each vertex of a short twig."""
    parents = value.parents.tolist()
    children: list[list[int]] = [[] for _ in parents]
    for row, parent in enumerate(parents):
        if parent >= 0:
            children[parent].append(row)
    joint: dict[int, int] = {}
    for row, own in enumerate(children):
        if len(own) < (3 if parents[row] < 0 else 2):
            continue
        twigs = [_twig(children, child) for child in own]
        size = [_extent(value.positions[[row, *twig]], bins) if twig else np.inf for twig in twigs]
        short = [twig for twig, extent in zip(twigs, size, strict=True) if extent < 1]
        if parents[row] < 0 and len(short) == len(own):
            stays = min(range(len(own)), key=lambda at: (-size[at], value.positions[twigs[at][-1]].tolist()))
            short = [twig for at, twig in enumerate(twigs) if at != stays]
        joint |= {vertex: row for twig in short for vertex in twig}
    left = [[child for child in own if child not in joint] for own in children]
    marks = {row for row, own in enumerate(left) if row not in joint and (parents[row] < 0 or len(own) != 1)}
    return marks, joint


def _twig(children: list[list[int]], row: int) -> list[int]:
    """The vertices from here to an end; none where there is a branch point between."""
    found = [row]
    while len(children[found[-1]]) == 1:
        found.append(children[found[-1]][0])
    return found if not children[found[-1]] else []


def _extent(positions: AnyArray, bins: FloatArray) -> float:
    wide = positions.astype(float)
    return float(((wide.max(axis=0) - wide.min(axis=0)) / bins).max())


def true_error(value: Skeleton, coarse: Skeleton) -> float:
    """The distance of the farthest vertex to the nearest edge or vertex of the coarse object."""
    ids = np.zeros(value.vertex_count, int) if value.object_ids is None else value.object_ids
    owners = np.zeros(coarse.vertex_count, int) if coarse.object_ids is None else coarse.object_ids
    ends = np.concatenate([np.repeat(coarse.roots, 2).reshape(-1, 2), coarse.edges])
    worst = 0.0
    for one in np.unique(ids):
        a, b = coarse.positions[ends[owners[ends[:, 0]] == one]].astype(float).swapaxes(0, 1)
        points = value.positions[ids == one].astype(float)
        point, edge = (grid.ravel() for grid in np.meshgrid(np.arange(len(points)), np.arange(len(a))))
        away = distance_to_segments(points[point], a[edge], b[edge]).reshape(len(a), len(points))
        worst = max(worst, float(away.min(axis=0).max()))
    return worst


def grown(rng: np.random.Generator, trees: int, vertices: int, branching: float, axes: int = 3) -> Skeleton:
    """Random trees whose branches wander; each is an object."""
    tree = np.repeat(np.arange(trees), vertices)
    number = np.tile(np.arange(vertices), trees)
    elsewhere = rng.random(len(tree)) < branching
    parents = np.where(elsewhere, (rng.random(len(tree)) * number).astype(int), number - 1)
    parents = np.where(number > 0, parents + tree * vertices, -1)
    steps = rng.normal(size=(len(tree), axes))
    positions = steps.copy()
    for at in range(1, vertices):
        rows = np.flatnonzero(number == at)
        positions[rows] = positions[parents[rows]] + steps[rows]
    return Skeleton(positions, parents, object_ids=tree, attributes={"row": np.arange(len(tree))})


@st.composite
def skeletons(draw: st.DrawFn) -> Skeleton:
    count = draw(st.integers(0, 25))
    axes = draw(st.integers(1, 3))
    dtype = draw(st.sampled_from([np.float64, np.float32, np.int16, np.uint8]))
    parents = [draw(st.integers(max(-1, row - 4), row - 1)) for row in range(count)]
    flat = draw(st.lists(st.integers(0, 9), min_size=count * axes, max_size=count * axes))
    order = np.array(draw(st.permutations(range(count))), dtype=np.int64)
    value = Skeleton(
        np.array(flat, dtype=dtype).reshape(count, axes),
        np.array(parents, dtype=np.int64),
        attributes={"row": np.arange(count, dtype=np.int32)},
    )
    return shuffled(value, order)


def shuffled(value: Skeleton, order: IntArray) -> Skeleton:
    """The same trees with their rows in another order; ``row`` tells the old one."""
    new = np.append(np.argsort(order), -1)
    edge = (np.cumsum(value.parents >= 0) - 1)[order[value.parents[order] >= 0]]
    return Skeleton(
        value.positions[order],
        new[value.parents[order]],
        attributes={name: np.asarray(column)[order] for name, column in value.attributes.items()},
        edge_attributes={name: np.asarray(column)[edge] for name, column in value.edge_attributes.items()},
        object_ids=None if value.object_ids is None else value.object_ids[order],
    )


def kept_rows(value: Skeleton, coarse: Coarse) -> IntArray:
    """The rows of the fine value that were kept, told by the attribute ``row``."""
    place = {int(row): at for at, row in enumerate(np.asarray(value.attributes["row"]))}
    return np.array([place[int(row)] for row in np.asarray(coarse.value.attributes["row"])], dtype=np.int64)


def check(value: Skeleton, coarse: Coarse, bins: FloatArray) -> None:
    """What holds for every coarser value of skeletons."""
    trees = coarse.value
    assert isinstance(trees, Skeleton)
    rows = kept_rows(value, coarse)
    kept = set(rows.tolist())
    marks, joint = walked(value, bins)
    assert marks <= kept
    assert not kept & joint.keys()
    assert trees.positions.dtype == value.positions.dtype
    np.testing.assert_array_equal(trees.positions, value.positions[rows])
    check_forest(trees.parents)
    steps = {}
    for new, row in enumerate(rows.tolist()):
        above = row
        steps[new] = 0
        while above >= 0 and (above == row or above not in kept):
            above = int(value.parents[above])
            steps[new] += 1
        assert trees.parents[new] == (-1 if above < 0 else rows.tolist().index(above))
    assert coarse.link_counts is not None
    assert coarse.link_counts.tolist() == [steps[child] for child in trees.edges[:, 0].tolist()]
    assert coarse.parents[rows].tolist() == list(range(len(rows)))
    assert all(coarse.parents[row] == coarse.parents[branch] for row, branch in joint.items())
    assert (coarse.parents >= 0).all()


@given(skeletons(), st.sampled_from([1.0, 3.0, 6.0]), st.booleans())
def test_against_a_walk(value: Skeleton, size: float, wide: bool) -> None:
    bins = np.full(value.ndim, size)
    bins[-1] *= 3 if wide else 1
    coarse = coarsen_skeleton(value, Policy(bins=bins))
    check(value, coarse, bins)
    assert isinstance(coarse.value, Skeleton)
    if value.vertex_count:
        assert coarse.error >= true_error(value, coarse.value) - 1e-9


@given(skeletons(), st.sampled_from([1.0, 3.0]), st.randoms(use_true_random=False))
def test_the_order_of_rows_changes_nothing(value: Skeleton, size: float, random: Any) -> None:
    order = list(range(value.vertex_count))
    random.shuffle(order)
    # Places are distinct: which of two twigs that end in one place is kept may depend on the order.
    apart = value.positions.astype(float) + np.asarray(value.attributes["row"]).reshape(-1, 1) / 64
    weight = np.asarray(value.attributes["row"])[value.parents >= 0] * 0.1
    value = Skeleton(apart, value.parents, attributes=value.attributes, edge_attributes={"w": weight})
    bins = np.full(value.ndim, size)
    told = []
    for one in (value, shuffled(value, np.array(order, dtype=np.int64))):
        coarse = coarsen_skeleton(one, Policy(bins=bins))
        assert isinstance(coarse.value, Skeleton)
        assert coarse.link_counts is not None
        names = np.append(np.asarray(coarse.value.attributes["row"]), -1).tolist()
        edges = coarse.value.edges.tolist()
        weights = np.asarray(coarse.value.edge_attributes["w"]).tolist()
        links = {
            (names[child], names[parent], count, mean)
            for (child, parent), count, mean in zip(edges, coarse.link_counts.tolist(), weights, strict=True)
        }
        fine = np.asarray(one.attributes["row"]).tolist()
        stand = {(row, names[parent]) for row, parent in zip(fine, coarse.parents.tolist(), strict=True)}
        told.append((set(names), links, stand, coarse.error))
    assert told[0] == told[1]


@pytest.mark.parametrize("branching", [0.0, 0.05, 0.3])
@pytest.mark.parametrize("size", [1.5, 6.0, 30.0])
def test_the_error_of_random_trees(branching: float, size: float) -> None:
    value = grown(np.random.default_rng(3), 5, 120, branching)
    bins = np.full(3, size)
    coarse = coarsen_skeleton(value, Policy(bins=bins))
    check(value, coarse, bins)
    trees = coarse.value
    assert isinstance(trees, Skeleton)
    true = true_error(value, trees)
    assert true * (1 - 1e-12) <= coarse.error <= 3 * true
    assert len(trees.roots) == 5
    assert (np.asarray(value.object_ids)[kept_rows(value, coarse)] == trees.object_ids).all()


def test_far_from_the_origin_and_as_float32() -> None:
    near = grown(np.random.default_rng(4), 2, 100, 0.1)
    rounded = Skeleton(np.round(near.positions), near.parents, attributes=near.attributes)
    far = Skeleton((rounded.positions + 1e6).astype(np.float32), near.parents, attributes=near.attributes)
    coarse, moved = (coarsen_skeleton(one, policy(4, 4, 4)) for one in (rounded, far))
    assert moved.value.positions.dtype == np.float32
    assert (coarse.parents == moved.parents).all()
    assert coarse.error == moved.error > 0


def test_twigs_and_the_line_that_they_leave() -> None:
    # A straight line with twigs to its side, the second one long, the third one forked and so no twig.
    line = [[float(x), 0.0] for x in range(10)]
    twigs = [[2.0, 0.4], [2.0, 0.7], [5.0, 1.5], [7.0, 0.2], [7.2, 0.4], [6.8, 0.4]]
    parents = [-1, *range(9), 2, 10, 5, 7, 13, 13]
    value = Skeleton(np.concatenate([line, twigs]), parents, attributes={"row": np.arange(16)})
    coarse = coarsen_skeleton(value, policy(1, 1))
    check(value, coarse, np.ones(2))
    # The branch point of the short twig is no more than a place on the line, that of the fork is an end.
    assert kept_rows(value, coarse).tolist() == [0, 5, 7, 9, 12, 13]
    assert coarse.parents.tolist() == [0, 0, 0, 1, 1, 1, 1, 2, 2, 3, 0, 0, 4, 5, 5, 5]
    assert coarse.error == 0.7
    assert coarse.link_counts is not None
    assert coarse.link_counts.tolist() == [5, 2, 2, 1, 1]


def test_what_is_smaller_than_a_bin_does_not_vanish() -> None:
    star = [[0.0, 0.0], [0.1, 0.0], [0.0, 0.3], [-0.1, 0.0]]
    positions = np.concatenate([star, [[5.0, 5.0], [7.0, 7.0], [7.1, 7.0]]])
    value = Skeleton(positions, [-1, 0, 0, 0, -1, -1, 5], object_ids=[0, 0, 0, 0, 1, 1, 1])
    coarse = coarsen_skeleton(value, policy(1, 1)).value
    assert isinstance(coarse, Skeleton)
    np.testing.assert_array_equal(coarse.positions, [[0, 0], [0, 0.3], [5, 5], [7, 7], [7.1, 7]])
    assert coarse.parents.tolist() == [-1, 0, -1, -1, 3]


def test_edges_are_aggregated_and_vertices_keep_their_values() -> None:
    value = Skeleton(
        np.array([[0.0, 0], [1, 0], [2, 0], [2, 5]]),
        [-1, 0, 1, 2],
        attributes={"radius": np.array([4, 3, 2, 1], np.float32), "type": Categorical.from_values(list("abca"))},
        edge_attributes={"w": [1.0, 2.0, 6.0], "first": [1, 2, 3], "k": np.array([7, 7, 9], np.int8)},
        object_ids=[5] * 4,
        object_attributes={"name": ["n"]},
    )
    coarse = coarsen_skeleton(value, policy(1, 1, first="first"), link_weights=np.array([1, 3, 2]))
    trees = coarse.value
    assert isinstance(trees, Skeleton)
    assert np.asarray(trees.attributes["radius"]).tolist() == [4, 2, 1]
    assert np.asarray(trees.attributes["type"]).tolist() == ["a", "c", "a"]
    assert np.asarray(trees.edge_attributes["w"]).tolist() == [1.75, 6]
    assert np.asarray(trees.edge_attributes["first"]).tolist() == [2, 3]
    assert trees.edge_attributes["k"].dtype == np.int8
    assert coarse.link_counts is not None
    assert coarse.link_counts.tolist() == [4, 2]
    assert not trees.object_attributes
    assert np.asarray(trees.object_ids).tolist() == [5, 5, 5]


@pytest.mark.parametrize("count", [0, 1])
def test_no_edges(count: int) -> None:
    coarse = coarsen_skeleton(Skeleton(np.ones((count, 3), np.float32), [-1] * count), policy(1, 1, 1))
    assert coarse.value.vertex_count == count
    assert coarse.parents.tolist() == list(range(count))
    assert coarse.link_counts is not None
    assert len(coarse.link_counts) == 0
    assert coarse.error == 0


def test_a_circle_is_refused() -> None:
    with pytest.raises(InputError, match="circle"):
        coarsen_skeleton(Skeleton(np.zeros((3, 2)), [1, 2, 0]), policy(1, 1))


def test_a_long_chain_in_any_order() -> None:
    count = 100_000
    order = np.random.default_rng(5).permutation(count)
    turn = np.linspace(0, 60, count)
    curve = np.stack([100 * np.cos(turn), 100 * np.sin(turn), turn], axis=1)
    value = shuffled(
        Skeleton(curve, np.arange(count) - 1, attributes={"row": np.arange(count)}), order.astype(np.int64)
    )
    coarse = coarsen_skeleton(value, policy(1, 1, 1))
    assert coarse.error <= 0.5
    assert coarse.value.vertex_count < 1000
    assert isinstance(coarse.value, Skeleton)
    names = np.asarray(coarse.value.attributes["row"])
    edges = names[coarse.value.edges]
    assert (edges[:, 0] > edges[:, 1]).all()
    assert sorted(names.tolist())[1:] == sorted(edges[:, 0].tolist())
