"""Lines from fragments: which fragment follows which, and the vertices in that order."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from zarr_vectors import constants
from zarr_vectors.encoding.blobs import offsets_of
from zarr_vectors.encoding.fragments import FragmentTable
from zarr_vectors.query.block import Block
from zarr_vectors.query.objects import ObjectRefs
from zarr_vectors.query.shape import Shape
from zarr_vectors.rowwise import RowPlaces
from zarr_vectors.spatial.partition import stable_order
from zarr_vectors.typing import BoolArray, IntArray

__all__ = ["lines_of_block", "lines_of_refs"]


@dataclass(frozen=True)
class _Chain:
    """Fragments in traversal order.

    Args:
        fragments: ``(M,)`` numbers in the block's table.
        owners: ``(M,)`` object id.
        begins: ``(M,)`` whether a fragment does not continue the one before.
    """

    fragments: IntArray
    owners: IntArray
    begins: BoolArray


def lines_of_refs(block: Block, refs: ObjectRefs, *, all_asked: bool) -> Shape:
    """Lines of objects in the order asked for.

    Args:
        all_asked: Whether an object without fragments is a line without vertices, rather than left out.
    """
    there, fragments = block.named_by(refs)
    numbers = refs.numbers[there]
    begins = np.ones(len(there), dtype=bool)
    # A fragment that could not be read leaves a gap, across which a line is not one.
    begins[1:] = (numbers[1:] != numbers[:-1]) | (there[1:] != there[:-1] + 1)
    shape = _assembled(block, _Chain(fragments, refs.ids[there], begins))
    if not all_asked:
        return shape
    empty = np.setdiff1d(np.arange(len(refs.asked)), refs.numbers)
    return _with_empty(shape, numbers[begins], empty, refs.asked)


def lines_of_block(block: Block, foreign: ObjectRefs | None, ids: IntArray | None) -> Shape:
    """Lines, and parts of lines, that lie in the cells of a block.

    Args:
        foreign: Manifests of all objects, where the level does not say how its fragments follow one another.
        ids: Ids of the objects of the level, in whose order lines come and of which those without fragments are
            lines without vertices; None for ascending ids, and only lines that have vertices.
    """
    table = block.table
    assert table is not None
    if foreign is not None:
        return lines_of_refs(block, foreign, all_asked=ids is not None)
    owners = block.owners(None)
    offsets = block.fragment_values(constants.FRAGMENT_OFFSET)
    assert owners is not None
    rank = owners if ids is None else _ranks(ids, owners)
    if ids is not None and not block.errors:
        whole = _whole_lines(block, table, rank, offsets, ids)
        if whole is not None:
            return whole
    order = stable_order([rank, offsets])
    counts, owners, offsets = table.counts[order], owners[order], offsets[order]
    begins = np.ones(len(order), dtype=bool)
    begins[1:] = (owners[1:] != owners[:-1]) | (offsets[1:] != offsets[:-1] + counts[:-1])
    # What a damaged cell does not tell connects nothing.
    begins[1:] |= (offsets[:-1] < 0) | (bool(block.errors) & (owners[1:] == constants.OWNER_NONE))
    shape = _assembled(block, _Chain(order, owners, begins))
    if ids is None:
        return shape
    empty = np.flatnonzero(~np.isin(ids, owners))
    return _with_empty(shape, rank[order][begins], empty, ids)


def _whole_lines(block: Block, table: FragmentTable, rank: IntArray, offsets: IntArray, ids: IntArray) -> Shape | None:
    """All lines, where the fragments fill each of them without gaps; None where they do not.

    Then each fragment's place along its line tells where its vertices go, and nothing need be sorted.

    Args:
        rank: ``(F,)`` place in ``ids`` of the line of each fragment.
        offsets: ``(F,)`` place of its first vertex along the line.
    """
    if not table.tiles(block.rows_per_cell) or (len(rank) and (int(rank.max()) >= len(ids) or int(offsets.min()) < 0)):
        return None
    lengths = np.bincount(rank, table.counts, minlength=len(ids)).astype(np.int64)
    if (offsets + table.counts > lengths.take(rank)).any():
        return None
    if not lengths.all() and len(np.unique(ids)) < len(ids):
        return None
    begins = offsets_of(lengths)
    places = RowPlaces(begins.take(rank) + offsets, table.counts)
    if not places.is_complete:
        return None
    return Shape(block.gathered(places, None), begins, ids)


def _ranks(ids: IntArray, owners: IntArray) -> IntArray:
    """Place of each owner in a list of ids; unknown ones come last."""
    if not len(ids):
        return np.zeros(len(owners), dtype=np.int64)
    if ids[-1] - ids[0] == len(ids) - 1 and (ids[1:] > ids[:-1]).all():
        rank = owners - ids[0]
        return np.where((rank >= 0) & (rank < len(ids)), rank, len(ids))
    order = np.argsort(ids, kind="stable")
    place = np.minimum(np.searchsorted(ids[order], owners), len(ids) - 1)
    return np.where(ids[order][place] == owners, order[place], len(ids))


def _assembled(block: Block, chain: _Chain) -> Shape:
    assert block.table is not None
    counts = block.table.counts[chain.fragments]
    rows = block.gathered(block.rows_of_fragments(chain.fragments), chain.fragments)
    starts = offsets_of(counts)[:-1][chain.begins]
    return Shape(rows, np.append(starts, counts.sum()).astype(np.int64), chain.owners[chain.begins])


def _with_empty(shape: Shape, numbers: IntArray, empty: IntArray, ids: IntArray) -> Shape:
    """The same with lines without vertices among the others.

    Args:
        numbers: ``(P,)`` place of each line in ``ids``, ascending.
        empty: Places in ``ids`` of lines without vertices.
    """
    if not len(empty):
        return shape
    assert shape.offsets is not None
    assert shape.ids is not None
    at = np.searchsorted(numbers, empty)
    offsets = np.append(np.insert(shape.offsets[:-1], at, shape.offsets[at]), shape.offsets[-1])
    return Shape(shape.rows, offsets, np.insert(shape.ids, at, ids[empty]))
