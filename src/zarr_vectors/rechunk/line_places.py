"""Where the fragments of lines lie along them, where only manifests tell."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from zarr_vectors import constants
from zarr_vectors.core.state import LevelState
from zarr_vectors.encoding.blobs import offsets_of
from zarr_vectors.query.block import Block
from zarr_vectors.query.objects import ObjectRefs
from zarr_vectors.query.rows import raise_errors
from zarr_vectors.query.values import distinct_rows, find_rows
from zarr_vectors.storage.storage import Storage
from zarr_vectors.typing import IntArray

__all__ = ["LinePlaces"]

_BATCH_CELLS = 8192


@dataclass(frozen=True, eq=False)
class LinePlaces:
    """Where the fragments of lines lie along them, from manifests.

    Args:
        refs: Fragments of all objects.
        offsets: ``(M,)`` number of the first vertex of each along its line.
    """

    refs: ObjectRefs
    offsets: IntArray

    @classmethod
    def of(cls, storage: Storage, level: LevelState, refs: ObjectRefs) -> LinePlaces:
        """Read how long all fragments are."""
        counts = np.zeros(len(refs.ids), dtype=np.int64)
        coords = distinct_rows(refs.chunks)
        arrays = {
            constants.VERTICES: level.vertices,
            constants.VERTEX_FRAGMENTS: level.cell_array(constants.VERTEX_FRAGMENTS),
        }
        for start in range(0, len(coords), _BATCH_CELLS):
            part = coords[start : start + _BATCH_CELLS]
            block = Block.read(storage, level, part, arrays)
            block.prepare(())
            raise_errors(block, strict=True)
            assert block.table is not None
            cell = find_rows(part, refs.chunks)
            here = np.flatnonzero(cell >= 0)
            numbers = block.fragment_numbers(block.table, cell[here], refs.fragments[here])
            counts[here] = block.table.counts[numbers]
        before = offsets_of(counts)[:-1]
        begins = np.ones(len(counts), dtype=bool)
        begins[1:] = refs.numbers[1:] != refs.numbers[:-1]
        line = np.cumsum(begins) - 1
        return cls(refs, before - before[begins][line] if len(before) else before)

    def of_fragments(self, block: Block) -> IntArray:
        """``(F,)`` the same for the fragments of a block; 0 for those of no line."""
        assert block.table is not None
        offsets = np.zeros(len(block.table.counts), dtype=np.int64)
        cell = find_rows(block.coords, self.refs.chunks)
        here = np.flatnonzero(cell >= 0)
        numbers = block.fragment_numbers(block.table, cell[here], self.refs.fragments[here])
        offsets[numbers] = self.offsets[here]
        return offsets
