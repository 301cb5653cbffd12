"""Where lines of a store end, so that appended vertices can continue them."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from zarr_vectors.core.state import LevelState
from zarr_vectors.encoding.blobs import offsets_of
from zarr_vectors.query.fragments import read_fragments
from zarr_vectors.query.objects import refs_of
from zarr_vectors.query.values import distinct_rows, find_rows
from zarr_vectors.spatial.partition import stable_order
from zarr_vectors.storage.storage import Storage
from zarr_vectors.types.cell_plan import CellPlan
from zarr_vectors.types.encode import Fragments
from zarr_vectors.types.table import RowTable
from zarr_vectors.typing import IntArray

__all__ = ["LineTails", "line_tails"]


@dataclass(frozen=True)
class LineTails:
    """The ends of lines.

    Args:
        ids: ``(n,)`` object ids, ascending.
        lengths: ``(n,)`` vertices of each line.
        chunks: ``(n, K)`` chunk of the last vertex; undefined where there is none.
        rows: ``(n,)`` its row.
    """

    ids: IntArray
    lengths: IntArray
    chunks: IntArray
    rows: IntArray

    def continue_lines(self, table: RowTable) -> None:
        """Let the vertices of these lines count on from where the lines end."""
        if not len(self.ids) or table.object_ids is None or table.numbers is None:
            return
        place = np.minimum(np.searchsorted(self.ids, table.object_ids), len(self.ids) - 1)
        added = np.where(self.ids[place] == table.object_ids, self.lengths[place], 0)
        table.numbers = table.numbers + added

    def joints(self, plan: CellPlan, fragments: Fragments) -> tuple[IntArray, IntArray]:
        """``(m, 2)`` cells and rows of the last old and the first new vertex of lines that go on in another chunk."""
        order = stable_order([fragments.owners, fragments.offsets])
        owners = fragments.owners[order]
        first = np.ones(len(order), dtype=bool)
        first[1:] = owners[1:] != owners[:-1]
        starts = order[first]
        place = np.searchsorted(self.ids, fragments.owners[starts])
        known = place < len(self.ids)
        known[known] = self.ids[place[known]] == fragments.owners[starts[known]]
        starts, place = starts[known], place[known]
        some = self.lengths[place] > 0
        starts, place = starts[some], place[some]
        cells = np.stack([plan.cell_numbers(self.chunks[place]), fragments.cells[starts].astype(np.int64)], axis=1)
        rows = np.stack([self.rows[place], fragments.first_rows[starts].astype(np.int64)], axis=1)
        apart = cells[:, 0] != cells[:, 1]
        return cells[apart], rows[apart]


def line_tails(storage: Storage, level: LevelState, ids: IntArray) -> LineTails:
    """Find the ends of these lines from their manifests and fragments.

    Raises:
        CorruptionError: A fragment index cannot be read.
    """
    ids = np.sort(ids)
    lengths, rows = np.zeros(len(ids), dtype=np.int64), np.zeros(len(ids), dtype=np.int64)
    chunks = np.zeros((len(ids), level.vertices.ndim), dtype=np.int64)
    if not len(ids):
        return LineTails(ids, lengths, chunks, rows)
    refs = refs_of(storage, level, ids, np.ones(len(ids), dtype=bool))
    coords = distinct_rows(refs.chunks)
    table = read_fragments(storage, level, coords)
    fragment = offsets_of(table.per_cell)[find_rows(coords, refs.chunks)] + refs.fragments
    counts = table.counts[fragment]
    np.add.at(lengths, refs.numbers, counts)
    filled = np.flatnonzero(counts > 0)
    last = np.full(len(ids), -1, dtype=np.int64)
    last[refs.numbers[filled]] = filled
    ended = np.flatnonzero(last >= 0)
    chunks[ended] = refs.chunks[last[ended]]
    all_rows = table.rows(fragment[last[ended]])
    rows[ended] = all_rows[offsets_of(counts[last[ended]])[1:] - 1]
    return LineTails(ids, lengths, chunks, rows)
