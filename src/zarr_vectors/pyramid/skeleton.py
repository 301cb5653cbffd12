"""Coarser skeletons: roots, branch points and ends kept, what lies between simplified, short twigs left out."""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np

from zarr_vectors.geometry import Skeleton, check_forest, take_column
from zarr_vectors.pyramid.aggregate import aggregate_all
from zarr_vectors.pyramid.coarse import Coarse, Policy, clusters_of
from zarr_vectors.pyramid.distances import distance_to_segments
from zarr_vectors.pyramid.simplify import simplify
from zarr_vectors.rowwise import take_rows
from zarr_vectors.typing import AnyArray, BoolArray, FloatArray, IntArray

__all__ = ["coarsen_skeleton"]

_SHORT = 1.0
"""Extent in bins below which a twig is left out."""


def coarsen_skeleton(
    value: Skeleton,
    policy: Policy,
    weights: IntArray | None = None,  # noqa: ARG001 (as all kinds)
    link_weights: IntArray | None = None,
) -> Coarse:
    """Every tree with fewer vertices: it stays a tree, from the same root.

    A twig is what leads from a branch point to an end without another branch point. Twigs that span less than a bin
    along every axis are left out, but of a tree that has nothing else the largest stays. Of what is left then, roots,
    branch points and ends are kept; what lies between is simplified as lines are. The order of rows changes nothing.

    Args:
        value: Whole trees.
        policy: Its ``bins`` measure twigs and the tolerance along each axis, its ``aggregations`` are for attributes
            of edges; ``"first"`` is that of the edge at the child.
        weights: Not used, as no vertices are merged.
        link_weights: ``(E,)`` edges of level 0 that each edge stands for; 1 where None.

    Returns:
        A vertex that is left out has as parent the nearer end of the edge that stands for it; all vertices of a twig
        have that of the branch point. ``error`` is the distance, in data units, of the farthest vertex to that edge.

    Raises:
        InputError: The parents lead in a circle.

    Example:
        >>> neuron = Skeleton([[0.0, 0], [4, 0], [8, 0], [8, 0.5], [12, 0], [8, 9]], [-1, 0, 1, 2, 2, 2])
        >>> coarse = coarsen_skeleton(neuron, Policy(bins=np.array([1.0, 1.0])))
        >>> coarse.value.positions.tolist(), coarse.value.parents.tolist(), coarse.link_counts.tolist()
        ([[0.0, 0.0], [8.0, 0.0], [12.0, 0.0], [8.0, 9.0]], [-1, 0, 1, 1], [2, 1, 1])
        >>> coarse.parents.tolist(), coarse.error
        ([0, 0, 1, 1, 2, 3], 0.5)
    """
    check_forest(value.parents)
    stays, joint, chains = _pruned(value, policy.bins)
    rows = chains.rows
    done = simplify(take_rows(value.positions, rows), chains.offsets, policy.bins)
    ends = rows[done.kept]
    kept = stays & (value.parents < 0)
    kept[ends] = True
    # Every vertex of a chain but the first has an edge upward; ``at`` are the numbers of the coarse ends above and
    # below it, which are the same for a vertex that is kept.
    own = np.ones(len(rows), dtype=np.bool_)
    own[chains.offsets[:-1]] = False
    child, stayed = rows[own], done.kept[own]
    at = (np.cumsum(done.kept) - 1)[own]
    below = np.arange(len(kept))
    below[child] = ends[at + ~stayed]
    above = np.full(len(kept), -1, dtype=np.int64)
    above[child[stayed]] = ends[at[stayed] - 1]
    stands = np.arange(len(kept))
    stands[child] = ends[done.nearest[own]]
    error = max(done.error, _twig_error(value.positions, joint, below[joint], above))
    # From the lower end of each chain, so that the order of rows does not show in sums, nor in what is first.
    bundle = _Bundle(child[::-1], below[child[::-1]], link_weights)
    return _coarse(value, policy, kept, above, bundle, stands[joint], error)


@dataclass(frozen=True)
class _Chains:
    """The lines of a forest: each leads from a root or branch point to the next branch point or end.

    Args:
        rows: Vertices of all chains one after another, each from its upper end.
        offsets: ``(C + 1,)`` where each chain begins.
        children: ``(N,)`` how many children each vertex has.
    """

    rows: IntArray
    offsets: IntArray
    children: IntArray


@dataclass(frozen=True)
class _Bundle:
    """Edges that become one.

    Args:
        children: ``(K,)`` child of each edge.
        below: ``(K,)`` child of the coarser edge that stands for it.
        weights: As the ``link_weights`` of all edges.
    """

    children: IntArray
    below: IntArray
    weights: IntArray | None


def _chains(parents: IntArray, stays: BoolArray) -> _Chains:
    """The chains of a forest without some of its twigs."""
    child = np.flatnonzero(stays & (parents >= 0))
    children = np.bincount(parents[child], minlength=len(parents))
    ends_here = (parents < 0) | (children != 1)
    # Each vertex jumps upward twice as far with each round, until it is at the first one of its chain.
    first = np.zeros(len(parents), dtype=np.bool_)
    first[child] = ends_here[parents[child]]
    up = np.where(first, np.arange(len(parents)), parents)
    steps = (~first).astype(np.int64)
    moving = child[~first[child]]
    while len(moving):
        over = up[moving]
        moving, over = moving[~first[over]], over[~first[over]]
        steps[moving] += steps[over]
        up[moving] = up[over]
    begins = np.flatnonzero(first)
    number = (np.cumsum(first) - 1)[up[child]]
    sizes = np.bincount(number, minlength=len(begins)) + 1
    offsets = np.concatenate([[0], np.cumsum(sizes)]).astype(np.int64)
    rows = np.empty(int(offsets[-1]), dtype=np.int64)
    rows[offsets[:-1]] = parents[begins]
    rows[offsets[:-1][number] + 1 + steps[child]] = child
    return _Chains(rows, offsets, children)


def _pruned(value: Skeleton, bins: FloatArray) -> tuple[BoolArray, IntArray, _Chains]:
    """Which vertices are in no short twig, the branch point of each that is in one, and the chains that are left."""
    stays = np.ones(value.vertex_count, dtype=np.bool_)
    joint = np.arange(value.vertex_count)
    chains = _chains(value.parents, stays)
    begins = chains.offsets[:-1]
    top, bottom = chains.rows[begins], chains.rows[chains.offsets[1:] - 1]
    # A root with two children is a place on a line, no branch point.
    branches = (chains.children >= 3) | ((chains.children == 2) & (value.parents >= 0))
    twig = branches[top] & (chains.children[bottom] == 0)
    if not twig.any():
        return stays, joint, chains
    extent = _extents(value.positions, chains, bins)
    short = twig & (extent < _SHORT)
    short[_largest_of_lone(value, chains, short, extent)] = False
    gone = np.repeat(short, np.diff(chains.offsets))
    gone[begins] = False
    stays[chains.rows[gone]] = False
    joint[chains.rows[gone]] = np.repeat(top, np.diff(chains.offsets))[gone]
    return stays, joint, _chains(value.parents, stays) if short.any() else chains


def _extents(positions: AnyArray, chains: _Chains, bins: FloatArray) -> FloatArray:
    """``(C,)`` the longest side of the box around each chain, in bins."""
    longest = np.zeros(len(chains.offsets) - 1)
    for axis, size in enumerate(bins):
        column = positions[:, axis].astype(np.float64).take(chains.rows)
        high = np.maximum.reduceat(column, chains.offsets[:-1])
        low = np.minimum.reduceat(column, chains.offsets[:-1])
        np.maximum(longest, (high - low) / size, out=longest)
    return longest


def _largest_of_lone(value: Skeleton, chains: _Chains, short: BoolArray, extent: FloatArray) -> IntArray:
    """Of each root that has nothing but short twigs the largest one; of several, the one that ends first in space."""
    top, bottom = chains.rows[chains.offsets[:-1]], chains.rows[chains.offsets[1:] - 1]
    leaving = np.bincount(top[short], minlength=value.vertex_count)
    lone = np.flatnonzero(short & ((value.parents < 0) & (leaving == chains.children))[top])
    places = take_rows(value.positions, bottom[lone])
    order = lone[np.lexsort([*places.T[::-1], -extent[lone], top[lone]])]
    return order[np.flatnonzero(np.diff(top[order], prepend=-1))]


def _twig_error(positions: AnyArray, joint: IntArray, below: IntArray, above: IntArray) -> float:
    """How far at most the vertices of twigs are from the coarse edge at their branch point."""
    gone = np.flatnonzero(joint != np.arange(len(joint)))
    if not len(gone):
        return 0.0
    lower = below[gone]
    upper = np.where(above[lower] < 0, lower, above[lower])
    ends = (take_rows(positions, rows) for rows in (gone, lower, upper))
    return float(distance_to_segments(*ends).max())


def _coarse(
    value: Skeleton,
    policy: Policy,
    kept: BoolArray,
    above: IntArray,
    bundle: _Bundle,
    stands: IntArray,
    error: float,
) -> Coarse:
    rows = np.flatnonzero(kept)
    # The last entry is for the parents of roots.
    new = np.append(np.cumsum(kept) - 1, -1)
    edge = (np.cumsum(value.parents >= 0) - 1)[bundle.children]
    clusters = clusters_of(new[bundle.below])
    columns = {name: take_column(column, edge) for name, column in value.edge_attributes.items()}
    weights = None if bundle.weights is None else bundle.weights[edge]
    skeleton = replace(
        value,
        positions=take_rows(value.positions, rows),
        parents=new[above[rows]],
        attributes={name: take_column(column, rows) for name, column in value.attributes.items()},
        edge_attributes=aggregate_all(
            columns, clusters, policy.aggregations, weights, np.arange(len(edge)).reshape(-1, 1)
        ),
        object_ids=None if value.object_ids is None else take_rows(value.object_ids, rows),
        object_attributes={},
        objects=None,
        groups={},
        group_attributes={},
        row_ids=None,
        errors=(),
    )
    return Coarse(value=skeleton, parents=new[stands], link_counts=clusters.totals(weights), error=error)
