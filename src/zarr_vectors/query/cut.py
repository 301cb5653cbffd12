"""Geometry cut at a box: what lies inside, with new vertices where something leaves it."""

from __future__ import annotations

import numpy as np

from zarr_vectors import constants
from zarr_vectors.geometry import Categorical, Column
from zarr_vectors.query.hits import segments_of
from zarr_vectors.query.links import Links
from zarr_vectors.query.shape import Shape
from zarr_vectors.query.values import Rows
from zarr_vectors.rowwise import take_rows
from zarr_vectors.spatial.box import ClosedBox
from zarr_vectors.spatial.clip import clip_faces, clip_segments, cut_positions, interpolate
from zarr_vectors.typing import AnyArray, FloatArray, IntArray

__all__ = ["cut"]


def cut(shape: Shape, box: ClosedBox, *, tree: bool) -> Shape:
    """What a box leaves of a shape.

    Float attributes of new vertices are interpolated; others, and those of fragments, are those of the nearer end.

    Args:
        tree: Whether links lead from children to parents.
    """
    if shape.offsets is not None:
        return _cut_lines(shape, box)
    if shape.links is None:
        return Shape(shape.rows.take(box.mask(shape.rows.positions)))
    return _cut_edges(shape, box) if tree or shape.links.ends.shape[1] == 2 else _cut_faces(shape, box)


def _cut_lines(shape: Shape, box: ClosedBox) -> Shape:
    """Every segment gives the vertex at which its part in the box begins, unless the last one gave it, and its end."""
    assert shape.offsets is not None
    assert shape.ids is not None
    positions = shape.rows.positions
    segments = segments_of(shape)
    clipped = clip_segments(take_rows(positions, segments[:, 0]), take_rows(positions, segments[:, 1]), box)
    kept = np.flatnonzero(clipped.kept)
    t_in, t_out = clipped.t_in[kept], clipped.t_out[kept]
    ends = segments[kept]
    # A line goes on where it reaches a vertex in the box and the next segment starts from it.
    goes_on = np.zeros(len(kept), dtype=bool)
    goes_on[1:] = (ends[1:, 0] == ends[:-1, 1]) & (t_out[:-1] == 1) & (t_in[1:] == 0)
    only_touches = t_in == t_out
    entries = [
        _entries(ends, t_in, ~goes_on, place=0),
        _entries(ends, t_out, ~only_touches, place=1),
        _lone(shape, box, ends[(t_in == 0) | (t_out == 1)]),
    ]
    pair = np.concatenate([entry[0] for entry in entries])
    weight = np.concatenate([entry[1] for entry in entries])
    rank = np.concatenate([entry[2] for entry in entries])
    begins = np.concatenate([np.ones(len(entries[0][0]), bool), np.zeros(len(entries[1][0]), bool)])
    begins = np.concatenate([begins, np.ones(len(entries[2][0]), bool)])
    order = np.argsort(rank, kind="stable")
    pair, weight, begins = pair[order], weight[order], begins[order]
    line = np.repeat(np.arange(len(shape.ids)), np.diff(shape.offsets))
    owner = line[pair[:, 0]] if len(pair) else np.zeros(0, dtype=np.int64)
    starts = np.flatnonzero(begins)
    made = np.flatnonzero((weight > 0) & (weight < 1))
    rows = _mixed_rows(shape.rows, pair, np.stack([1 - weight, weight], axis=1), made, box)
    return Shape(rows, np.append(starts, len(pair)).astype(np.int64), shape.ids[owner[starts]])


def _entries(ends: IntArray, t: FloatArray, wanted: AnyArray, *, place: int) -> tuple[IntArray, FloatArray, IntArray]:
    """Vertices at one side of segments: between which rows, how far along, and where they come among all."""
    pair, along = ends[wanted], t[wanted]
    return pair, along, 2 * pair[:, 1] + place


def _lone(shape: Shape, box: ClosedBox, ends: IntArray) -> tuple[IntArray, FloatArray, IntArray]:
    """Vertices in the box that no segment in it leads to or from: lines of one vertex."""
    mask = box.mask(shape.rows.positions)
    mask[ends.ravel()] = False
    rows = np.flatnonzero(mask)
    return np.stack([rows, rows], axis=1), np.zeros(len(rows)), 2 * rows


def _cut_edges(shape: Shape, box: ClosedBox) -> Shape:
    """Vertices inside, then the places at which edges enter and leave, two for an edge that passes through."""
    assert shape.links is not None
    positions, ends = shape.rows.positions, shape.links.ends
    clipped = clip_segments(take_rows(positions, ends[:, 0]), take_rows(positions, ends[:, 1]), box)
    # An edge that only touches the box has no length in it.
    kept = np.flatnonzero(clipped.kept & (clipped.t_in < clipped.t_out))
    ends, t = ends[kept], np.stack([clipped.t_in[kept], clipped.t_out[kept]], axis=1)
    inside = np.flatnonzero(box.mask(positions))
    new_row = np.full(len(positions), -1, dtype=np.int64)
    new_row[inside] = np.arange(len(inside))
    at_end = np.stack([t[:, 0] == 0, t[:, 1] == 1], axis=1)
    made = np.flatnonzero(~at_end.ravel())
    links = new_row[ends].ravel()
    links[made] = len(inside) + np.arange(len(made))
    weight = t.ravel()[made]
    pair = ends[made // 2]
    old, new = _kept_rows(shape.rows, inside), _new_rows(shape.rows, pair, np.stack([1 - weight, weight], axis=1), box)
    columns = shape.links.take(kept).columns
    return Shape(_stacked(old, new), links=Links(links.reshape(-1, 2), columns))


def _cut_faces(shape: Shape, box: ClosedBox) -> Shape:
    """Vertices inside, then those at which edges are cut; faces become triangles."""
    assert shape.links is not None
    positions = shape.rows.positions
    clipped = clip_faces(positions, shape.links.ends, box)
    inside = np.flatnonzero(box.mask(positions))
    used = np.unique(clipped.triangles[clipped.triangles < len(positions)])
    inside = np.union1d(inside, used)
    new_row = np.full(len(positions) + len(clipped.corners), -1, dtype=np.int64)
    new_row[inside] = np.arange(len(inside))
    new_row[len(positions) :] = len(inside) + np.arange(len(clipped.corners))
    old, new = _kept_rows(shape.rows, inside), _new_rows(shape.rows, clipped.corners, clipped.weights, box)
    columns = shape.links.take(clipped.face_of).columns
    return Shape(_stacked(old, new), links=Links(new_row[clipped.triangles], columns))


def _kept_rows(rows: Rows, which: IntArray) -> Rows:
    """Rows as they are; integer positions become float64, as those of new vertices are."""
    kept = rows.take(which)
    if kept.positions.dtype.kind != "f":
        kept.positions = kept.positions.astype(np.float64)
    return kept


def _new_rows(rows: Rows, corners: IntArray, weights: FloatArray, box: ClosedBox) -> Rows:
    """Rows between several of the input."""
    return _mixed_rows(rows, corners, weights, np.arange(len(corners)), box)


def _mixed_rows(rows: Rows, corners: IntArray, weights: FloatArray, made: IntArray, box: ClosedBox) -> Rows:
    """The row of the corner with the greatest weight, but for those ``made``, which lie between several."""
    heaviest = np.take_along_axis(corners, weights.argmax(axis=1)[:, None], axis=1)[:, 0]
    mixed = _kept_rows(rows, heaviest)
    if len(made):
        mixed.positions = mixed.positions.copy()
        mixed.positions[made] = cut_positions(rows.positions, corners[made], weights[made], box)
        mixed.columns = {
            name: mixed.columns[name]
            if name in rows.per_fragment
            else _mixed_column(mixed.columns[name], column, made, corners, weights)
            for name, column in rows.columns.items()
        }
        ids = mixed.row_ids
        if ids is not None:
            mixed.columns[constants.ROW_ID] = np.where(np.isin(np.arange(len(ids)), made), -1, ids)
    return mixed


def _mixed_column(taken: Column, column: Column, made: IntArray, corners: IntArray, weights: FloatArray) -> Column:
    if isinstance(taken, Categorical) or isinstance(column, Categorical) or np.ma.isMaskedArray(column):
        return taken
    mixed = taken.copy()
    mixed[made] = interpolate(column, corners[made], weights[made])
    return mixed


def _stacked(first: Rows, second: Rows) -> Rows:
    columns: dict[str, Column] = {}
    for name, column in first.columns.items():
        other = second.columns[name]
        if isinstance(column, Categorical) and isinstance(other, Categorical):
            codes = np.concatenate([column.codes, other.codes])
            columns[name] = Categorical(codes, column.categories, column.ordered)
        else:
            joined = (np.ma.concatenate if np.ma.isMaskedArray(column) else np.concatenate)([column, other])
            # numpy joins what is not in the machine's byte order to what is.
            columns[name] = joined.astype(column.dtype, copy=False)
    ids = [rows.object_ids for rows in (first, second) if rows.object_ids is not None]
    return Rows(
        np.concatenate([first.positions, second.positions]).astype(first.positions.dtype, copy=False),
        columns,
        np.concatenate(ids) if ids else None,
        first.errors,
        first.per_fragment,
        numbered=first.numbered,
    )
