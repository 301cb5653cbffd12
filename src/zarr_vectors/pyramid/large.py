"""Graphs and meshes that are coarsened block by block, with what is known of all vertices in temporary files.

The coarse vertex of a bin follows from the vertices of the bin and the links at them, and a bin lies in one block of
chunks. So vertices are read block by block; which coarse vertex each has become is written to a file, by which links,
read some at a time, find their coarse ends. Links that become one are brought together in one of many files.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np

from zarr_vectors.encoding.blobs import offsets_of
from zarr_vectors.geometry import Column, Graph, take_column
from zarr_vectors.pyramid.aggregate import aggregate_all
from zarr_vectors.pyramid.coarse import Coarse, Policy, bin_numbers, clusters_of, hashes
from zarr_vectors.pyramid.graph import contract_nodes
from zarr_vectors.pyramid.linked import vertex_clusters
from zarr_vectors.pyramid.scratch import RecordColumns, Spool
from zarr_vectors.pyramid.source import Finer, weights_of
from zarr_vectors.pyramid.tasks import Crew, Reader
from zarr_vectors.query.stored import LinkCells, link_cells, read_link_cells, read_stored_rows
from zarr_vectors.query.values import find_rows
from zarr_vectors.typing import AnyArray, IntArray

__all__ = ["CoarseLinks", "Large", "VertexPart", "bucket_numbers"]

_MOST_BUCKETS = 1024
_SHARES = 4
"""Vertices with links take about so many times as much memory as those that are read for a piece."""


@dataclass(frozen=True, eq=False)
class VertexPart:
    """The stored vertices of a block, and the clusters that they fall into.

    Args:
        sizes: ``(C,)`` stored vertices of each chunk.
        positions: ``(n, D)`` of stored vertices.
        labels: ``(n,)`` int64 cluster of each; -1 for those that are left out.
        weights: ``(n,)`` int64 vertices of level 0 that each stands for; None for one.
        ids: ``(C,)`` object of each cluster.
        leads: ``(C,)`` as of ``Finer.leads``; None where there is no such axis.
        coarse: The clusters as vertices of a coarser graph; None for meshes.
    """

    sizes: IntArray
    positions: AnyArray
    labels: IntArray
    weights: IntArray | None
    ids: IntArray
    leads: IntArray | None
    coarse: Coarse | None


@dataclass(frozen=True, eq=False)
class VertexTask:
    """Read the vertices of a block, and tell which become one.

    Args:
        reader: Of the level.
        chunks: The block.
        objects: Those that stay; None for all.
        policy: How.
        contracts: Whether to make the coarse vertices, with their attributes.
    """

    reader: Reader
    chunks: IntArray
    objects: IntArray | None
    policy: Policy
    contracts: bool

    def __call__(self) -> VertexPart:
        """Do it."""
        finer = self.reader.finer()
        counts = (finer.counts,) if finer.counts else ()
        stored = read_stored_rows(finer.storage, finer.level, self.chunks, finer.names if self.contracts else counts)
        rows, at = stored.rows, stored.at
        owners = rows.object_ids
        assert owners is not None
        stay = np.flatnonzero(np.isin(owners, finer.present if self.objects is None else self.objects))
        count = int(stored.sizes.sum())
        positions = np.zeros((count, finer.root.metadata.ndim), dtype=rows.positions.dtype)
        labels = np.full(count, -1, dtype=np.int64)
        positions[at] = rows.positions
        told = weights_of(rows.columns.pop(finer.counts)) if finer.counts else None
        weights = None
        if told is not None:
            weights = np.ones(count, dtype=np.int64)
            weights[at] = told
        at, owners = at[stay], owners[stay]
        assert rows.places is not None
        leads = None if finer.lead is None else finer.leads(rows.places[stay])
        if not self.contracts:
            groups = owners if leads is None else clusters_of(owners, leads).labels
            clusters, _ = vertex_clusters(positions[at], groups, self.policy.bins)
            labels[at], first = clusters.labels, clusters.order[clusters.starts]
            leads = None if leads is None else leads[first]
            return VertexPart(stored.sizes, positions, labels, weights, owners[first], leads, None)
        columns = {name: take_column(column, stay) for name, column in rows.columns.items()}
        if finer.lead is not None and leads is not None:
            columns[finer.lead] = leads
        nodes = Graph(positions[at], np.zeros((0, 2), dtype=np.int64), object_ids=owners, attributes=columns)
        nodes = replace(nodes, axes=finer.root.axes)
        coarse = contract_nodes(nodes, self.policy, None if weights is None else weights[at])
        labels[at] = coarse.parents
        assert isinstance(coarse.value, Graph)
        assert coarse.value.object_ids is not None
        leads = None if finer.lead is None else np.asarray(coarse.value.attributes[finer.lead])
        return VertexPart(stored.sizes, positions, labels, weights, coarse.value.object_ids, leads, coarse)


@dataclass(frozen=True, eq=False)
class LinkTask:
    """Read some cells of links.

    Args:
        reader: Of the level.
        cells: Which.
        sizes: ``(C,)`` stored vertices of each of their chunks.
        starts: ``(C,)`` number of the first of these.
    """

    reader: Reader
    cells: LinkCells
    sizes: IntArray
    starts: IntArray

    def __call__(self) -> tuple[IntArray, dict[str, Column]]:
        """``(E, L)`` numbers of the ends of all links that have them, and attributes of these links."""
        finer = self.reader.finer()
        family = finer.level.links
        assert family is not None
        links = read_link_cells(finer.storage, family, self.cells, self.sizes, list(family.columns))
        links = links.where(np.asarray((links.ends >= 0).all(axis=1)))
        bases = offsets_of(self.sizes)
        chunk = np.searchsorted(bases, links.ends, side="right") - 1
        return links.ends + (self.starts - bases[:-1])[chunk], links.columns


@dataclass(frozen=True)
class CoarseLinks:
    """Links of a coarser level.

    Args:
        ends: ``(E, L)`` numbers of coarse vertices.
        columns: Attributes of each.
        counts: ``(E,)`` how many links of level 0 each stands for.
    """

    ends: IntArray
    columns: dict[str, Column]
    counts: IntArray


@dataclass
class Large(ABC):
    """A level that is coarsened block by block; kinds say how.

    Vertices are numbered as they are stored, block after block; clusters of vertices, which become one, as they are
    found.

    Args:
        finer: The finer level.
        policy: How.
        objects: Those that stay; None for all.
        multiples: ``(D,)`` chunks along each axis that are whole bins.
        folder: For temporary files of this alone.
        crew: Who reads and counts.
    """

    finer: Finer
    policy: Policy
    objects: IntArray | None
    multiples: IntArray
    folder: Path
    crew: Crew
    starts: list[int] = field(default_factory=lambda: [0])
    firsts: list[int] = field(default_factory=lambda: [0])
    read: int = 0

    def __post_init__(self) -> None:
        self.folder.mkdir()
        ndim, present = self.finer.root.metadata.ndim, self.finer.level.vertices.present
        dtype = self.finer.level.position_dtype
        self.block_rows = max(1, self.finer.batch_rows // _SHARES)
        self.blocks = self.finer.blocks(self.multiples, self.block_rows)
        self.reader = self.crew.reader(self.finer)
        self.positions = Spool(self.folder / "positions", dtype, (ndim,))
        self.labels = Spool(self.folder / "labels", np.dtype(np.int64))
        self.weights = Spool(self.folder / "weights", np.dtype(np.int64)) if self.finer.counts else None
        self.places = Spool(self.folder / "places", dtype, (ndim,))
        self.ids = Spool(self.folder / "ids", np.dtype(np.int64))
        self.leads = None if self.finer.lead is None else Spool(self.folder / "leads", np.dtype(np.int64))
        self.sizes = np.zeros(len(present), dtype=np.int64)
        self.bases = np.zeros(len(present), dtype=np.int64)

    # What comes out

    @abstractmethod
    def vertices(self) -> Iterator[Coarse]:
        """The coarse vertices, some at a time, with attributes of links of the types that will come, but no links."""

    @abstractmethod
    def links(self) -> Iterator[CoarseLinks]:
        """The links between them, some at a time."""

    @abstractmethod
    def error(self) -> float:
        """As of ``Coarse``, once all links have been taken."""

    @abstractmethod
    def stand_ins(self, block: int) -> IntArray:
        """``(n,)`` number of the coarse vertex that stands for each stored vertex of a block; -1 where none does."""

    def stored(self) -> Iterator[tuple[IntArray, IntArray]]:
        """For each block where its vertices are stored, as ``Piece.places``, and ``stand_ins``."""
        present = self.finer.level.vertices.present
        for block, chunks in enumerate(self.blocks):
            at = find_rows(present, chunks)
            sizes = self.sizes[at]
            rows = np.arange(int(sizes.sum())) - np.repeat(offsets_of(sizes)[:-1], sizes)
            yield np.stack([np.repeat(at, sizes), rows], axis=1), self.stand_ins(block)

    def farthest(self, task: Callable[[int, float], Callable[[], float]]) -> float:
        """The largest of the errors of all blocks.

        Args:
            task: From a block, and what is known to be reached elsewhere, to what measures it. However far others have
                come by then, the largest is the same.
        """
        worst = 0.0
        for found in self.crew.in_order(task(block, worst) for block in range(len(self.blocks))):
            worst = max(worst, found)
        return worst

    # Reading

    def read_vertices(self, *, contracts: bool) -> Iterator[VertexPart]:
        """The vertices of each block, once they have been written down."""
        present = self.finer.level.vertices.present
        tasks = (VertexTask(self.reader, chunks, self.objects, self.policy, contracts) for chunks in self.blocks)
        for chunks, part in zip(self.blocks, self.crew.in_order(tasks), strict=True):
            at = find_rows(present, chunks)
            self.sizes[at] = part.sizes
            self.bases[at] = len(self.positions) + offsets_of(part.sizes)[:-1]
            kept = part.labels >= 0
            self.finer.samples.append(self.finer.sampled(part.positions[kept]))
            self.read += int(kept.sum())
            self.positions.append(part.positions)
            self.labels.append(np.where(kept, part.labels + self.firsts[-1], -1))
            if self.weights is not None:
                self.weights.append(part.weights if part.weights is not None else np.ones(len(kept), np.int64))
            self.ids.append(part.ids)
            if self.leads is not None and part.leads is not None:
                self.leads.append(part.leads)
            self.starts.append(len(self.positions))
            self.firsts.append(len(self.ids))
            yield part

    def read_links(self) -> Iterator[tuple[IntArray, dict[str, Column], IntArray | None]]:
        """Numbers of the ends of links between vertices that are there, their attributes, and what each stands for."""
        family = self.finer.level.links
        if family is None:
            return
        labels = self.labels.rows()
        chunks = self.finer.level.vertices.present
        parts = link_cells(family, chunks, self.sizes, self.block_rows)
        tasks = (self._link_task(cells) for cells in parts)
        for ends, columns in self.crew.in_order(tasks):
            there = np.flatnonzero((labels[ends] >= 0).all(axis=1))
            taken = {name: take_column(column, there) for name, column in columns.items()}
            yield ends[there], *self._without_counts(taken)

    def _link_task(self, cells: LinkCells) -> LinkTask:
        at = find_rows(self.finer.level.vertices.present, cells.chunks)
        sizes = np.where(at >= 0, self.sizes[at], 0)
        return LinkTask(self.reader, cells, sizes, np.where(at >= 0, self.bases[at], 0))

    def _without_counts(self, columns: Mapping[str, Column]) -> tuple[dict[str, Column], IntArray | None]:
        rest, name = dict(columns), self.finer.link_counts
        counts = None if name is None else rest.pop(name, None)
        return rest, weights_of(counts)

    @cached_property
    def link_model(self) -> dict[str, Column]:
        """Attributes of links as they are read, of no link."""
        family = self.finer.level.links
        if family is None:
            return {}
        known: IntArray = self.finer.level.vertices.present
        cells = next(link_cells(family, known, np.ones(len(known), np.int64), 1), LinkCells((), known[:0]))
        # Only their types are looked at: which vertices there are need not be known.
        sizes = np.full(len(cells.chunks), 2**32, dtype=np.int64)
        links = read_link_cells(self.finer.storage, family, cells, sizes, list(family.columns))
        none = np.zeros(0, dtype=np.int64)
        return self._without_counts({name: take_column(column, none) for name, column in links.columns.items()})[0]

    @property
    def link_width(self) -> int:
        """Ends of each link of the finer level."""
        family = self.finer.level.links
        return 2 if family is None else family.width

    def merged_model(self) -> dict[str, Column]:
        """Attributes of coarse links, of no link."""
        none = np.zeros((0, 1), dtype=np.int64)
        return aggregate_all(self.link_model, clusters_of(none), self.policy.aggregations, None, none)

    # Records of links

    def link_records(self) -> tuple[RecordColumns, np.dtype[Any]]:
        """Attributes in records, and the type of the records: ``ends``, ``weight``, and the attributes."""
        columns = RecordColumns(self.link_model)
        width = min(self.link_width, 3)
        return columns, np.dtype([("ends", "i8", (width,)), ("weight", "i8"), *columns.fields()])

    def bucket_count(self) -> int:
        """Files over which links are scattered, so that each fits into memory."""
        family = self.finer.level.links
        links = 0 if family is None else (family.links or 4 * len(self.positions)) * max(1, self.link_width - 2)
        return min(_MOST_BUCKETS, max(1, -(-links // self.block_rows)))

    def needs_places(self) -> bool:
        """Whether attributes of links hang on where the links are."""
        return "first" in {self.policy.aggregations.get(name) for name in self.link_model}

    # Clusters

    def blocks_of(self, clusters: AnyArray) -> IntArray:
        """The block that each cluster lies in."""
        return np.searchsorted(np.asarray(self.firsts), clusters, side="right") - 1

    def ranked(self, clusters: IntArray) -> tuple[IntArray, IntArray]:
        """The distinct clusters in the order of their objects, then of their bins, and the place of each among them.

        The order does not depend on how the level is cut.
        """
        distinct, local = np.unique(clusters, return_inverse=True)
        numbers = bin_numbers(self.places.rows()[distinct], self.policy.bins)
        leads = [] if self.leads is None else [self.leads.rows()[distinct]]
        order = np.lexsort([*numbers.T[::-1], *leads, self.ids.rows()[distinct]])
        rank = np.empty(len(order), dtype=np.int64)
        rank[order] = np.arange(len(order))
        return distinct[order], rank[local].reshape(clusters.shape)


def bucket_numbers(keys: Sequence[IntArray], count: int) -> IntArray:
    """A file for each row, the same for equal keys."""
    return (hashes(0, *keys) % np.uint64(count)).astype(np.int64)
