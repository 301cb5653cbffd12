"""Lines from fragments: which fragment follows which, the vertices in that order, and which lines meet a box."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from zarr_vectors import constants
from zarr_vectors.encoding.blobs import offsets_of
from zarr_vectors.encoding.fragments import FragmentTable
from zarr_vectors.query.block import Block
from zarr_vectors.query.objects import ObjectRefs
from zarr_vectors.query.shape import Shape
from zarr_vectors.query.values import distinct_numbers
from zarr_vectors.rowwise import RowPlaces, take_rows
from zarr_vectors.spatial.box import ClosedBox
from zarr_vectors.spatial.meet import segments_meet
from zarr_vectors.spatial.partition import stable_order
from zarr_vectors.typing import BoolArray, CodeArray, IntArray

__all__ = ["lines_of_block", "lines_of_refs", "owners_hit"]


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
    told = len(block.errors)
    owners = block.owners(None)
    offsets = block.fragment_values(constants.FRAGMENT_OFFSET)
    assert owners is not None
    rank = owners if ids is None else _ranks(ids, owners)
    if ids is not None and not block.errors:
        whole = _whole_lines(block, table, rank, offsets, ids)
        if whole is not None:
            return whole
    if block.waits:
        del block.errors[told:]
        block.decode_all()
        return lines_of_block(block, None, ids)
    chain = _chained(block, owners, rank, offsets)
    shape = _assembled(block, chain)
    if ids is None:
        return shape
    empty = np.flatnonzero(~np.isin(ids, owners))
    return _with_empty(shape, rank[chain.fragments][chain.begins], empty, ids)


def _chained(block: Block, owners: IntArray, rank: IntArray, offsets: IntArray) -> _Chain:
    """The fragments of a block one after another, line by line.

    Args:
        owners: ``(F,)`` object id of each fragment.
        rank: ``(F,)`` in which order lines come.
        offsets: ``(F,)`` place of the first vertex of each fragment along its line.
    """
    assert block.table is not None
    order = stable_order([rank, offsets])
    counts, owners, offsets = block.table.counts[order], owners[order], offsets[order]
    begins = np.ones(len(order), dtype=bool)
    begins[1:] = (owners[1:] != owners[:-1]) | (offsets[1:] != offsets[:-1] + counts[:-1])
    # What a damaged cell does not tell connects nothing.
    begins[1:] |= (offsets[:-1] < 0) | (bool(block.errors) & (owners[1:] == constants.OWNER_NONE))
    return _Chain(order, owners, begins)


def owners_hit(block: Block, box: ClosedBox) -> IntArray | None:
    """Ids of the lines that meet a box in the cells of a block; None where fragments share rows or have none.

    Nothing is put in order but the fragments: segments lie inside one, or lead from its last row to the first of the
    next.
    """
    table = block.table
    assert table is not None
    if not table.tiles(block.rows_per_cell) or not table.counts.all():
        return None
    owners, offsets = block.owners(None), block.fragment_values(constants.FRAGMENT_OFFSET)
    assert owners is not None
    codes = box.outcodes(block.positions)
    begins = offsets_of(table.counts)[:-1]
    fragment = np.repeat(np.arange(len(begins)), table.counts)
    inside = np.logical_or.reduceat(codes == 0, begins) if len(begins) else np.zeros(0, dtype=bool)
    hit = distinct_numbers(owners[inside])
    chain = _chained(block, owners, owners, offsets)
    within = np.flatnonzero(_crosses(codes[:-1], codes[1:]) & (fragment[:-1] == fragment[1:]))
    before, after = _segments_between(chain, begins, table.counts)
    between = _crosses(codes[before], codes[after])
    first, second = np.append(within, before[between]), np.append(within + 1, after[between])
    of = owners[fragment[first]]
    meets = segments_meet(take_rows(block.positions, first), take_rows(block.positions, second), box)
    return distinct_numbers(np.append(hit, of[meets]))


def _crosses(first: CodeArray, second: CodeArray) -> BoolArray:
    """Whether segments whose ends lie beyond these sides of a box may pass through it, with no end inside."""
    crosses: BoolArray = ((first & second) == 0) & (first != 0) & (second != 0)
    return crosses


def _segments_between(chain: _Chain, begins: IntArray, counts: IntArray) -> tuple[IntArray, IntArray]:
    """Rows that the segments begin and end at that lead from one fragment to the next.

    Args:
        begins: First row of each fragment.
        counts: Its rows.
    """
    follows = np.flatnonzero(~chain.begins)
    before, after = chain.fragments[follows - 1], chain.fragments[follows]
    return begins[before] + counts[before] - 1, begins[after]


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
    rows = block.placed(places) if places.is_complete else None
    return None if rows is None else Shape(rows, begins, ids)


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
