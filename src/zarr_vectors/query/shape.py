"""Connected vertices in memory, as a read brings them."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from zarr_vectors.encoding.blobs import offsets_of
from zarr_vectors.query.links import Links
from zarr_vectors.query.values import Rows
from zarr_vectors.typing import BoolArray, IntArray

__all__ = ["Shape", "lines_within", "links_within"]


@dataclass
class Shape:
    """Vertices and what connects them: lines, or links; neither for points.

    Args:
        rows: The vertices.
        offsets: ``(P + 1,)`` where each line, or part of one, begins.
        ids: ``(P,)`` object id of each line.
        links: Links by vertex row; a tree's lead from child to parent.
        links_left: Number of links that were left out because only some of their ends are among the vertices; counted
            where the plan asks for it.
    """

    rows: Rows
    offsets: IntArray | None = None
    ids: IntArray | None = None
    links: Links | None = None
    links_left: int = 0

    @property
    def owners(self) -> IntArray | None:
        """``(N,)`` object id of each vertex; None where the level has no objects."""
        if self.ids is None or self.offsets is None:
            return self.rows.object_ids
        return np.repeat(self.ids, np.diff(self.offsets))

    def within(self, mask: BoolArray) -> Shape:
        """The vertices of a mask, and what connects them with each other."""
        if self.offsets is not None:
            return lines_within(self, mask)
        return Shape(self.rows.take(mask)) if self.links is None else links_within(self, mask)


def lines_within(shape: Shape, mask: BoolArray) -> Shape:
    """The vertices of a mask; a line that leaves it falls into parts."""
    assert shape.offsets is not None
    assert shape.ids is not None
    rows = np.flatnonzero(mask)
    line = np.repeat(np.arange(len(shape.ids)), np.diff(shape.offsets))[rows]
    begins = np.ones(len(rows), dtype=bool)
    begins[1:] = (rows[1:] != rows[:-1] + 1) | (line[1:] != line[:-1])
    starts = np.flatnonzero(begins)
    return Shape(
        rows=shape.rows.take(rows),
        offsets=np.append(starts, len(rows)).astype(np.int64),
        ids=shape.ids[line[starts]],
    )


def links_within(shape: Shape, mask: BoolArray) -> Shape:
    """The vertices of a mask, and the links between them."""
    assert shape.links is not None
    new = offsets_of(mask.astype(np.int64))[:-1]
    whole: BoolArray = np.asarray(mask[shape.links.ends].all(axis=1))
    links = shape.links.take(whole)
    return Shape(rows=shape.rows.take(mask), links=Links(new[links.ends], links.columns))
