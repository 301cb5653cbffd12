"""Which vertices belong to something that meets a box."""

from __future__ import annotations

import numpy as np

from zarr_vectors.query.shape import Shape
from zarr_vectors.rowwise import take_rows
from zarr_vectors.spatial.box import ClosedBox
from zarr_vectors.spatial.meet import faces_meet, segments_meet
from zarr_vectors.typing import BoolArray, IntArray

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
    """``(N,)`` vertices in the box, and those of segments, edges and faces that meet it."""
    positions = shape.rows.positions
    hit = box.mask(positions)
    if shape.offsets is not None:
        links = segments_of(shape)
    elif shape.links is not None:
        links = shape.links.ends
    else:
        return hit
    # Links with an end inside meet the box anyway.
    open_links = links[~hit[links].any(axis=1)] if len(links) else links
    met = links[hit[links].any(axis=1)] if len(links) else links
    if len(open_links):
        if links.shape[1] == 2:
            meets = segments_meet(take_rows(positions, open_links[:, 0]), take_rows(positions, open_links[:, 1]), box)
        else:
            meets = faces_meet(take_rows(positions, open_links.ravel()).reshape(*open_links.shape, -1), box)
        hit[open_links[meets].ravel()] = True
    hit[met.ravel()] = True
    return hit
