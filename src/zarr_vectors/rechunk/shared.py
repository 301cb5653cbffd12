"""Fragments that several objects name, or one of them several times: they are moved as they are.

Rows then belong to the fragment that they lie in, rather than to an object, and manifests are told anew from the old
ones, fragment by fragment, once it is known what has become of each.
"""

from __future__ import annotations

from dataclasses import dataclass, field

import numpy as np

from zarr_vectors import constants
from zarr_vectors.encoding.blobs import offsets_of
from zarr_vectors.encoding.manifests import ManifestTable
from zarr_vectors.exceptions import ConventionError
from zarr_vectors.query.block import Block
from zarr_vectors.query.objects import ObjectRefs
from zarr_vectors.query.values import distinct_rows, find_rows
from zarr_vectors.rechunk.parts import LineParts, LineRuns
from zarr_vectors.spatial.grid import format_keys
from zarr_vectors.spatial.partition import stable_order
from zarr_vectors.types.cell_plan import CellPlan
from zarr_vectors.types.encode import Fragments
from zarr_vectors.typing import BoolArray, IntArray

__all__ = ["SharedFragments", "names_twice"]


def names_twice(refs: ObjectRefs) -> bool:
    """Whether manifests name any fragment more than once."""
    if not len(refs.fragments):
        return False
    return len(distinct_rows(np.column_stack([refs.chunks, refs.fragments]))) < len(refs.fragments)


@dataclass(eq=False)
class SharedFragments:
    """The fragments of a level, numbered as they are read.

    Args:
        refs: Manifests of all objects.
        units: ``(M,)`` number of the fragment of each reference; -1 until it has been read.
        sizes: Rows of each fragment, batch after batch.
        lost: ``(M,)`` whether references are left out.
    """

    refs: ObjectRefs
    units: IntArray
    lost: BoolArray
    sizes: list[IntArray] = field(default_factory=list)

    @classmethod
    def of(cls, refs: ObjectRefs) -> SharedFragments:
        """Of manifests, before anything is read."""
        return cls(refs, np.full(len(refs.ids), -1, dtype=np.int64), np.zeros(len(refs.ids), dtype=bool))

    def add(self, block: Block, first: int) -> tuple[IntArray, IntArray]:
        """Take the fragments of a block, which are numbered from ``first``.

        Returns:
            References to them, and the number in the block of the fragment of each.
        """
        assert block.table is not None
        cell = find_rows(block.coords, self.refs.chunks)
        here = np.flatnonzero(cell >= 0)
        numbers = block.fragment_numbers(block.table, cell[here], self.refs.fragments[here])
        self.units[here] = first + numbers
        self.sizes.append(block.table.counts.astype(np.int64))
        return here, numbers

    def bins_of(self, block: Block, numbers: IntArray, bins: IntArray, none: int) -> IntArray:
        """``(F,)`` bin of each fragment of a block, which all objects that name it must share.

        Args:
            block: The block.
            numbers: ``(n,)`` number in the block of the fragment of each reference to it.
            bins: ``(n,)`` bin of the object of each reference.
            none: The bin of fragments that no object names.

        Raises:
            ConventionError: They do not.
        """
        assert block.table is not None
        count = len(block.table.counts)
        low, high = np.full(count, none + 1), np.full(count, -1)
        np.minimum.at(low, numbers, bins)
        np.maximum.at(high, numbers, bins)
        apart = np.flatnonzero(low < high)
        if len(apart):
            cell = int(block.table.cell_of[apart[0]])
            raise ConventionError(
                "objects of different bins share vertices, which cannot lie in the chunks of both",
                store=block.level.store,
                array=f"{block.level.number}/{constants.VERTEX_FRAGMENTS}",
                cell=format_keys(block.coords[cell : cell + 1])[0],
                hint="pass coarser='spatial' to cut coarser levels by space alone, or coarser='drop'"
                if block.level.number
                else "use bins that hold these objects together, or chunk by space",
            )
        return np.where(high < 0, none, low)

    def drop(self, objects: IntArray) -> IntArray:
        """Leave out all references of objects; the fragments that nothing names any more."""
        self.lost |= np.isin(self.refs.ids, objects)
        named = np.zeros(sum(map(len, self.sizes)), dtype=bool)
        named[self.units[~self.lost]] = True
        return np.setdiff1d(self.units[self.lost], np.flatnonzero(named))

    def objects_of(self, units: IntArray) -> IntArray:
        """Ids of the objects that name any of these fragments."""
        return np.unique(self.refs.ids[np.isin(self.units, units)])

    def runs(self, runs: LineRuns) -> LineRuns:
        """Runs of vertices along fragments as runs along the lines that name these."""
        order = stable_order([runs.lines, runs.starts])
        refs, which = self._expanded(runs.lines[order])
        picked = order[which]
        starts = self._places()[refs] + runs.starts[picked]
        return LineRuns(self.refs.ids[refs], starts, runs.counts[picked])

    def _places(self) -> IntArray:
        """``(M,)`` number along its line of the first vertex of each reference."""
        sizes = np.concatenate([*self.sizes, np.zeros(0, dtype=np.int64)])
        counts = sizes[self.units] if len(self.units) else sizes[:0]
        before = offsets_of(counts)[:-1]
        begins = np.ones(len(counts), dtype=bool)
        begins[1:] = self.refs.numbers[1:] != self.refs.numbers[:-1]
        return before - before[begins][np.cumsum(begins) - 1] if len(before) else before

    def _expanded(self, units: IntArray) -> tuple[IntArray, IntArray]:
        """For every reference what is filed under its fragment: the references, and the places in ``units``.

        Args:
            units: ``(n,)`` ascending.
        """
        kept = np.flatnonzero(~self.lost & (self.units >= 0))
        first = np.searchsorted(units, self.units[kept], side="left")
        times = np.searchsorted(units, self.units[kept], side="right") - first
        inside = np.arange(int(times.sum())) - np.repeat(offsets_of(times)[:-1], times)
        return np.repeat(kept, times), np.repeat(first, times) + inside

    def follow(self, fragments: Fragments, plan: CellPlan) -> tuple[IntArray, IntArray]:
        """New fragments in the order of manifests: the reference that each is for, and its place in ``fragments``."""
        along = fragments.offsets if plan.connects == "sequence" else fragments.cells
        order = stable_order([fragments.owners, along, fragments.numbers])
        refs, which = self._expanded(fragments.owners[order])
        return refs, order[which]

    def crossings(
        self, fragments: Fragments, plan: CellPlan, ids: IntArray, parts: LineParts | None
    ) -> tuple[IntArray, IntArray]:
        """Where lines go from a fragment in one chunk to one in another: ``(n, 2)`` cells and rows on both sides."""
        table, which = self.manifests(fragments, plan, ids, parts)
        cells = fragments.cells[which].astype(np.int64)
        first = fragments.first_rows[which].astype(np.int64)
        last = first + fragments.counts[which] - 1
        there = np.flatnonzero((table.objects[1:] == table.objects[:-1]) & (cells[1:] != cells[:-1])) + 1
        ends = np.stack([cells[there - 1], cells[there]], axis=1)
        rows = np.stack([last[there - 1], first[there]], axis=1)
        # Objects that share fragments share what connects these.
        once = np.unique(np.concatenate([ends, rows], axis=1), axis=0)
        return once[:, :2], once[:, 2:]

    def manifests(
        self, fragments: Fragments, plan: CellPlan, ids: IntArray, parts: LineParts | None
    ) -> tuple[ManifestTable, IntArray]:
        """Manifests by row of ``ids``, and the place in ``fragments`` of each of their references.

        Args:
            fragments: What has been written, whose owners are numbers of fragments.
            ids: ``(O,)`` object id of each row of the index.
            parts: What is left of lines; None where they are whole.
        """
        refs, which = self.follow(fragments, plan)
        owners = self.refs.ids[refs]
        if parts is not None:
            owners, _ = parts.of(owners, self._places()[refs] + fragments.offsets[which])
        by_id = np.argsort(ids, kind="stable")
        rows = by_id[np.searchsorted(ids[by_id], owners)] if len(owners) else owners
        order = stable_order([rows])
        which = which[order]
        chunks = plan.numbered_coords(fragments.cells[which])
        return ManifestTable(rows[order], chunks, fragments.numbers[which].astype(np.int64)), which
