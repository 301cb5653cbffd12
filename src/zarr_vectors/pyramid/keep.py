"""Which objects a coarser level keeps, by what the finer one tells of them."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np

from zarr_vectors.exceptions import InputError
from zarr_vectors.geometry import Geometry, Polylines, Skeleton
from zarr_vectors.pyramid.coarse import bin_numbers, clusters_of
from zarr_vectors.pyramid.options import PyramidOptions
from zarr_vectors.pyramid.plan import block_multiples
from zarr_vectors.pyramid.source import Finer
from zarr_vectors.pyramid.sparsity import Visits, choose_objects
from zarr_vectors.typing import AnyArray, FloatArray, IntArray

__all__ = ["kept_objects"]

_CELL_BINS = 8
"""Cells that objects are to cover are so many bins long."""


def kept_objects(finer: Finer, sparsity: float, options: PyramidOptions, bins: FloatArray) -> IntArray | None:
    """``(n,)`` ids of the objects that stay, in their order; None for all.

    Raises:
        InputError: There is no such object attribute, or its values have no order.
    """
    if sparsity == 1 or not finer.level.has_objects:
        return None
    ids, strategy = finer.present, options.sparsity_strategy
    if len(ids) < 2 and strategy != "attribute":
        # One object stays, however large it is to look at.
        return ids
    measures: AnyArray | Visits | None = None
    if strategy == "attribute":
        measures = _attribute(finer, options.sparsity_attribute or "")
    elif strategy == "length":
        measures = _lengths(finer, bins)
    elif strategy == "spatial_coverage":
        measures = _visits(finer, bins)
    return ids[choose_objects(ids, sparsity, strategy, options.seed, measures)]


def _attribute(finer: Finer, name: str) -> AnyArray:
    known = finer.tables.attributes
    if name not in known:
        raise InputError(
            "sparsity_attribute names an object attribute that the store does not have",
            got=repr(name),
            expected=f"one of {sorted(known)}",
        )
    order = np.argsort(finer.tables.ids, kind="stable")
    places = order[np.searchsorted(finer.tables.ids[order], finer.present)]
    values = known[name][places]
    # What is masked has no value, as NaN has not.
    return np.ma.filled(values.astype(np.float64), np.nan) if np.ma.isMaskedArray(values) else values


def _lengths(finer: Finer, bins: FloatArray) -> FloatArray:
    """Length of the lines and links of each object; of points, their number."""
    total = np.zeros(len(finer.present))
    for value, owners in _values(finer, bins):
        starts, ends = _segments(value)
        if starts is None or ends is None:
            np.add.at(total, owners, 1.0)
            continue
        places = value.positions.astype(np.float64)
        apart = places[starts] - places[ends]
        np.add.at(total, owners[starts], np.sqrt((apart * apart).sum(axis=1)))
    return total


def _segments(value: Geometry) -> tuple[IntArray | None, IntArray | None]:
    """Rows of both ends of everything that is drawn of a value; None where nothing is."""
    if isinstance(value, Polylines):
        rows = np.delete(np.arange(value.vertex_count), value.offsets[:-1][value.lengths > 0])
        return rows - 1, rows
    links = value.edges if isinstance(value, Skeleton) else getattr(value, "links", None)
    if links is None:
        return None, None
    around = np.concatenate([links, links[:, :1]], axis=1) if links.shape[1] > 2 else links
    return around[:, :-1].ravel(), around[:, 1:].ravel()


def _visits(finer: Finer, bins: FloatArray) -> Visits:
    """The cells of a coarse grid that each object has vertices in."""
    found = []
    for value, owners in _values(finer, bins):
        numbers = bin_numbers(value.positions, bins * _CELL_BINS)
        pairs = np.concatenate([owners[:, None], numbers], axis=1)
        clusters = clusters_of(pairs)
        found.append(pairs[clusters.order[clusters.starts]])
    pairs = np.unique(np.concatenate(found), axis=0)
    offsets = np.searchsorted(pairs[:, 0], np.arange(len(finer.present) + 1))
    return Visits(offsets, pairs[:, 1:])


def _values(finer: Finer, bins: FloatArray) -> Iterator[tuple[Geometry, IntArray]]:
    """The level, and the place among ``present`` of the owner of each vertex."""
    order = np.argsort(finer.present, kind="stable")
    ordered = finer.present[order]
    multiples = block_multiples(finer.root.metadata.chunk_shape, finer.level.chunk_shape, bins.tolist())
    for piece in finer.pieces(multiples, None, attributes=()):
        owners = piece.value.vertex_objects
        assert owners is not None
        owned = np.isin(owners, ordered)
        value = piece.value if owned.all() else piece.value.within(owned)
        yield value, order[np.searchsorted(ordered, owners[owned])]
