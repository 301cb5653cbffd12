"""Graphs that are coarsened block by block."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, replace

import numpy as np

from zarr_vectors.geometry import Graph
from zarr_vectors.pyramid.coarse import Coarse, Policy
from zarr_vectors.pyramid.graph import MergedEdges, graph_error, merge_edges
from zarr_vectors.pyramid.large import CoarseLinks, Large, bucket_numbers
from zarr_vectors.pyramid.scratch import Buckets, RecordColumns
from zarr_vectors.typing import AnyArray, IntArray

__all__ = ["LargeGraph"]


@dataclass(frozen=True, eq=False)
class EdgeTask:
    """Bring together edges that become one.

    Args:
        ends: ``(n, 2)`` coarse ends, numbered in their order.
        places: ``(n, 2, D)`` positions of the finer ends; without axes where nothing hangs on them.
        records: The edges.
        columns: Their attributes.
        weighted: Whether edges stand for several of level 0.
        policy: How.
        directed: Whether the way back is another edge.
    """

    ends: IntArray
    places: AnyArray
    records: AnyArray
    columns: RecordColumns
    weighted: bool
    policy: Policy
    directed: bool

    def __call__(self) -> MergedEdges:
        """Do it."""
        weights = np.ascontiguousarray(self.records["weight"]) if self.weighted else None
        columns = self.columns.take(self.records)
        return merge_edges(self.ends, self.places, columns, self.policy, weights, directed=self.directed)


@dataclass(frozen=True, eq=False)
class GraphErrorTask:
    """Measure how far the nodes of a block are; the arguments are those of ``graph_error``."""

    fine: AnyArray
    labels: IntArray
    positions: AnyArray
    edges: IntArray
    least: float

    def __call__(self) -> float:
        """Do it."""
        return graph_error(self.fine, self.labels, self.positions, self.edges, least=self.least)


class LargeGraph(Large):
    """A graph that is coarsened block by block."""

    def vertices(self) -> Iterator[Coarse]:
        """As of ``Large``."""
        model, directed = self.merged_model(), self.directed
        for part in self.read_vertices(contracts=True):
            assert part.coarse is not None
            value = part.coarse.value
            assert isinstance(value, Graph)
            self.places.append(value.positions)
            yield replace(
                part.coarse,
                value=replace(value, edge_attributes=model, directed=directed),
                link_counts=np.zeros(0, dtype=np.int64),
            )

    @property
    def directed(self) -> bool:
        """Whether edges lead one way."""
        family = self.finer.level.links
        return family is not None and family.directed

    def links(self) -> Iterator[CoarseLinks]:
        """As of ``Large``."""
        count = self._scatter()
        self._final = Buckets(self.folder / "final", np.dtype(("i8", (2,))))
        ids = self.ids.rows()
        tasks = (self._edge_task(number) for number in range(count))
        for number, merged in enumerate(self.crew.in_order(tasks)):
            ends = self._order.pop(number)[merged.ends]
            own = ends[ids[ends[:, 0]] == ids[ends[:, 1]]]
            blocks = self.blocks_of(own)
            self._final.add(own, blocks[:, 0])
            across = blocks[:, 0] != blocks[:, 1]
            self._final.add(own[across], blocks[across, 1])
            yield CoarseLinks(ends, merged.columns, merged.counts)

    def _scatter(self) -> int:
        """Write edges between clusters to files, those that become one to the same; how many files."""
        self._columns, dtype = self.link_records()
        self._edges = Buckets(self.folder / "edges", dtype)
        self._order: dict[int, IntArray] = {}
        self._weighted = False
        labels, count = self.labels.rows(), self.bucket_count()
        for ends, columns, weights in self.read_links():
            coarse = np.sort(labels[ends], axis=1)
            between = coarse[:, 0] != coarse[:, 1]
            records = np.empty(len(ends), dtype=dtype)
            records["ends"] = ends
            records["weight"] = 1 if weights is None else weights
            self._weighted |= weights is not None
            self._columns.put(records, columns)
            self._edges.add(records[between], bucket_numbers([coarse[between]], count))
        return count

    def _edge_task(self, number: int) -> EdgeTask:
        records = self._edges.take(number)
        fine = np.ascontiguousarray(records["ends"])
        self._order[number], ends = self.ranked(self.labels.rows()[fine])
        places = self.positions.rows()[fine] if self.needs_places() else np.zeros((*fine.shape, 0))
        return EdgeTask(ends, places, records, self._columns, self._weighted, self.policy, self.directed)

    def error(self) -> float:
        """As of ``Large``."""
        return self.farthest(self._error_task)

    def _error_task(self, block: int, least: float) -> GraphErrorTask:
        edges = self._final.take(block)
        own = np.arange(self.firsts[block], self.firsts[block + 1])
        nodes = np.union1d(own, edges)
        fine = slice(self.starts[block], self.starts[block + 1])
        labels = self.labels.rows()[fine]
        kept = labels >= 0
        return GraphErrorTask(
            self.positions.rows()[fine][kept],
            np.searchsorted(nodes, labels[kept]),
            self.places.rows()[nodes],
            np.searchsorted(nodes, edges),
            least,
        )

    def stand_ins(self, block: int) -> IntArray:
        """As of ``Large``."""
        found: IntArray = np.array(self.labels.rows()[self.starts[block] : self.starts[block + 1]])
        return found
