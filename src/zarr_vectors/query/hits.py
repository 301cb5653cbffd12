"""Which vertices belong to something that meets a box, or has a vertex in an area."""

from __future__ import annotations

import numpy as np

from zarr_vectors.query.shape import Shape
from zarr_vectors.query.values import distinct_numbers
from zarr_vectors.rowwise import take_rows
from zarr_vectors.spatial.area import Area
from zarr_vectors.spatial.box import ClosedBox
from zarr_vectors.spatial.meet import faces_meet, segments_meet
from zarr_vectors.typing import BoolArray, CodeArray, IntArray

__all__ = ["segments_of", "vertices_hit", "whole_objects"]


def segments_of(shape: Shape) -> IntArray:
    """``(S, 2)`` rows of the vertices that follow each other in the lines of a shape."""
    assert shape.offsets is not None
    follows = np.ones(len(shape.rows.positions), dtype=bool)
    starts = shape.offsets[:-1]
    follows[starts[starts < len(follows)]] = False
    ends = np.flatnonzero(follows)
    return np.stack([ends - 1, ends], axis=1)


def vertices_hit(shape: Shape, place: ClosedBox | Area) -> BoolArray:
    """``(N,)`` vertices in a box, and those of segments, edges and faces that meet it.

    In an area, which nobody can cut, lie only vertices; those that an edge or face connects with one of them count.

    Of a line that has a vertex in the box, no segments are looked at: the line meets it anyway.
    """
    if not isinstance(place, ClosedBox):
        return _in_area(shape, place)
    positions, box = shape.rows.positions, place
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


def _in_area(shape: Shape, area: Area) -> BoolArray:
    hit = area.mask(shape.rows.positions)
    if shape.links is not None:
        reached = shape.links.ends[hit[shape.links.ends].any(axis=1)]
        hit[reached.ravel()] = True
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


def whole_objects(shape: Shape, place: ClosedBox | Area) -> Shape:
    """Of whole objects, those that a place meets; without objects, each link and vertex counts as one."""
    hit = vertices_hit(shape, place)
    owners = shape.owners
    if owners is None:
        return shape.within(hit)
    ids = distinct_numbers(owners[hit])
    if shape.offsets is not None and shape.ids is not None:
        return _lines_of(shape, ids)
    return shape.within(np.isin(owners, ids))


def _lines_of(shape: Shape, ids: IntArray) -> Shape:
    """Whole lines by their ids."""
    assert shape.offsets is not None
    assert shape.ids is not None
    keep = np.isin(shape.ids, ids)
    lengths = np.diff(shape.offsets)
    mask = np.repeat(keep, lengths)
    offsets = np.concatenate([[0], np.cumsum(lengths[keep])]).astype(np.int64)
    return Shape(shape.rows.take(mask), offsets, shape.ids[keep])
