"""What every way of coarsening takes and gives: which vertices become one, and how far they were moved."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from functools import cached_property

import numpy as np

from zarr_vectors.geometry import Geometry
from zarr_vectors.typing import AnyArray, FloatArray, IntArray

__all__ = ["Clusters", "Coarse", "Piece", "Policy", "bin_numbers", "clusters_of", "hashes"]


@dataclass(frozen=True, kw_only=True)
class Policy:
    """How values are brought to a coarser level.

    Args:
        bins: ``(D,)`` edge lengths of the bins of the coarser level, in data units; bins begin at multiples of them.
        aggregations: ``{attribute: how}`` for attributes of vertices and links; others as their type has it.
        seed: Of choices that are made at random.
        method: The way of coarsening, of the ones that a kind has.
        lead: Attribute of vertices that no two which become one differ in; None for none.
    """

    bins: FloatArray
    aggregations: Mapping[str, str] = field(default_factory=dict)
    seed: int = 0
    method: str = ""
    lead: str | None = None


@dataclass(frozen=True)
class Piece:
    """Some of a finer level.

    Args:
        value: Whole objects, or points of whole bins.
        weights: ``(N,)`` int64 vertices of level 0 that each vertex stands for; None for one.
        link_weights: ``(E,)`` int64 the same of links.
        places: ``(N, 2)`` int64 place of each vertex's chunk among those of the level that hold vertices, and its row
            in there; None unless asked for.
    """

    value: Geometry
    weights: IntArray | None = None
    link_weights: IntArray | None = None
    places: IntArray | None = None


@dataclass(frozen=True, kw_only=True)
class Coarse:
    """A coarser value, and what has become of the finer one.

    Args:
        value: Of the same kind, with attributes of vertices and links, and the object of each vertex; without tables
            of objects and groups.
        parents: ``(N,)`` int64 row of ``value`` that stands for each vertex of the finer one; -1 where none does.
        counts: ``(M,)`` int64 vertices of level 0 that each vertex stands for; None where vertices are never merged.
        link_counts: ``(E,)`` int64 links of level 0 that each link stands for; None where links are never merged.
        error: No vertex of the finer value is farther from the coarser one of its object than this, in data units.
    """

    value: Geometry
    parents: IntArray
    counts: IntArray | None = None
    link_counts: IntArray | None = None
    error: float = 0.0


@dataclass(frozen=True)
class Clusters:
    """Rows that become one.

    Args:
        labels: ``(N,)`` int64 number of the cluster of each row, from 0 without gaps.
        order: ``(N,)`` int64 rows by cluster, those of one cluster in their order.
        starts: ``(C,)`` int64 place in ``order`` of the first row of each cluster.
    """

    labels: IntArray
    order: IntArray
    starts: IntArray

    def __len__(self) -> int:
        return len(self.starts)

    @cached_property
    def sizes(self) -> IntArray:
        """``(C,)`` rows of each cluster."""
        return np.diff(self.starts, append=len(self.order))

    def totals(self, weights: IntArray | None) -> IntArray:
        """``(C,)`` sum of the weights of each cluster; its size where there are none."""
        if weights is None or not len(self):
            return self.sizes.astype(np.int64)
        return np.add.reduceat(weights[self.order], self.starts)


def clusters_of(*keys: AnyArray) -> Clusters:
    """Rows with equal keys, in ascending order of the first key, then the second, and so on.

    Args:
        keys: Integer arrays of shape ``(N,)`` or ``(N, K)``, of which each column is a key.

    Example:
        >>> found = clusters_of(np.array([5, 2, 5]), np.array([[0, 1], [0, 0], [0, 1]]))
        >>> found.labels.tolist(), found.order.tolist(), found.starts.tolist()
        ([1, 0, 1], [1, 0, 2], [0, 1])
    """
    columns = [column for key in keys for column in (key.T if key.ndim == 2 else [key])]
    single = _as_one(columns)
    if single is not None:
        order = np.argsort(single, kind="stable")
        ordered = single[order]
        new = ordered[1:] != ordered[:-1]
    else:
        order = np.lexsort(columns[::-1])
        new = np.zeros(max(0, len(order) - 1), dtype=np.bool_)
        for column in columns:
            ordered = column[order]
            new |= ordered[1:] != ordered[:-1]
    first = np.ones(len(order), dtype=np.bool_)
    first[1:] = new
    labels = np.empty(len(order), dtype=np.int64)
    labels[order] = np.cumsum(first) - 1
    return Clusters(labels, order, np.flatnonzero(first))


def _as_one(columns: list[AnyArray]) -> IntArray | None:
    """Keys as one integer each that orders as they do; None where their ranges are too large."""
    total, spans = 1, []
    for column in columns:
        low, high = (int(column.min()), int(column.max())) if len(column) else (0, 0)
        spans.append((low, high - low + 1))
        total *= high - low + 1
    if total >= 2**63:
        return None
    joined = np.zeros(len(columns[0]), dtype=np.int64)
    for column, (low, span) in zip(columns, spans, strict=True):
        joined *= span
        # Differences from the least value fit, though the values themselves may not.
        joined += (column - column.dtype.type(low)).astype(np.int64)
    return joined


def bin_numbers(positions: AnyArray, bins: FloatArray) -> IntArray:
    """``(N, D)`` int64 number of the bin of each vertex, counted from the origin of the coordinates.

    Example:
        >>> bin_numbers(np.array([[-0.5, 3.0]]), np.array([1.0, 2.0])).tolist()
        [[-1, 1]]
    """
    numbers: IntArray = np.floor(positions.astype(np.float64) / bins).astype(np.int64)
    return numbers


def hashes(seed: int, *columns: AnyArray) -> AnyArray:
    """``(N,)`` uint64 numbers that look random, and depend on nothing but the seed and each row's own values.

    Args:
        columns: Arrays of shape ``(N,)`` or ``(N, K)`` of numbers; those of float go in by their value, so that both
            zeros are one.

    Example:
        >>> one = hashes(7, np.array([[1.0, 2.0], [3.0, 4.0]]))
        >>> bool((one[::-1] == hashes(7, np.array([[3.0, 4.0], [1.0, 2.0]]))).all())
        True
    """
    parts = [part for column in columns for part in (column.T if column.ndim == 2 else [column])]
    state = np.full(len(parts[0]), np.uint64(seed % 2**64), dtype=np.uint64)
    for part in parts:
        bits = (part.astype(np.float64) + 0.0).view(np.uint64) if part.dtype.kind == "f" else part.astype(np.uint64)
        state = _mixed(state ^ _mixed(bits))
    return state


def _mixed(values: AnyArray) -> AnyArray:
    """Every bit of each number spread over all of its bits: the finaliser of SplitMix64 (Steele et al., 2014)."""
    values = values + np.uint64(0x9E3779B97F4A7C15)
    values = (values ^ (values >> np.uint64(30))) * np.uint64(0xBF58476D1CE4E5B9)
    values = (values ^ (values >> np.uint64(27))) * np.uint64(0x94D049BB133111EB)
    mixed: AnyArray = values ^ (values >> np.uint64(31))
    return mixed
