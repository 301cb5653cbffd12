"""Which vertices belong to something that meets a box."""

from __future__ import annotations

import numpy as np

from zarr_vectors.query.shape import Shape
from zarr_vectors.rowwise import take_rows
from zarr_vectors.spatial.box import ClosedBox
from zarr_vectors.spatial.meet import faces_meet, segments_meet
from zarr_vectors.typing import BoolArray, CodeArray, IntArray

__all__ = ["segments_of", "vertices_hit"]


def segments_of(shape: Shape) -> IntArray:
    """``(S, 2)`` rows of the vertices that follow each other in the lines of a shape."""
    assert shape.offsets is not None
    follows = np.ones(len(shape.rows.positions), dtype=bool)
    starts = shape.offsets[:-1]
    follows[starts[starts < len(follows)]] = False
    ends = np.flatnonzero(follows)
    return np.stack([ends - 1, ends], axis=1)


def vertices_hit(shape: Shape, box: ClosedBox) -> BoolArray:
    """``(N,)`` vertices in the box, and those of segments, edges and faces that meet it.

    Of a line that has a vertex in the box, no segments are looked at: the line meets it anyway.
    """
    positions = shape.rows.positions
    codes = box.outcodes(positions)
    hit: BoolArray = codes == 0
    if shape.offsets is not None:
        links = _open_segments(shape, codes)
    elif shape.links is not None:
        links = shape.links.ends
        inside = hit[links].any(axis=1)
        hit[links[inside].ravel()] = True
        # What lies beyond one side with all of its corners cannot meet the box.
        links = links[~inside & (np.bitwise_and.reduce(codes[links], axis=1) == 0)]
    else:
        return hit
    if len(links):
        corners = [take_rows(positions, end) for end in links.T]
        if len(corners) == 2:
            meets = segments_meet(corners[0], corners[1], box)
        else:
            meets = faces_meet(np.stack(corners, axis=1), box)
        hit[links[meets].ravel()] = True
    return hit


def _open_segments(shape: Shape, codes: CodeArray) -> IntArray:
    """Segments that may pass through the box, of lines without a vertex in it."""
    assert shape.offsets is not None
    lengths = np.diff(shape.offsets)
    begins = shape.offsets[:-1][lengths > 0]
    missed = np.logical_and.reduceat(codes != 0, begins) if len(begins) else np.zeros(0, dtype=bool)
    crosses = np.zeros(len(codes), dtype=bool)
    crosses[1:] = (codes[1:] & codes[:-1]) == 0
    crosses[begins] = False
    crosses &= np.repeat(missed, lengths[lengths > 0])
    ends = np.flatnonzero(crosses)
    return np.stack([ends - 1, ends], axis=1)
