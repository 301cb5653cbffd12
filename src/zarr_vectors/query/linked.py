"""Links between the vertices of a block that a read brings, and the parents of trees."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from zarr_vectors import constants
from zarr_vectors.core.links import LinkFamily
from zarr_vectors.encoding.blobs import offsets_of
from zarr_vectors.exceptions import CorruptionError, InputError, MetadataError
from zarr_vectors.geometry import Column, check_forest
from zarr_vectors.query.block import Block
from zarr_vectors.query.links import LinkPart, Links, decode_links
from zarr_vectors.query.shape import Shape
from zarr_vectors.query.values import Rows, take_known
from zarr_vectors.rowwise import row_numbers
from zarr_vectors.typing import BoolArray, IntArray

__all__ = ["linked_shape"]


def linked_shape(
    block: Block,
    rows: Rows,
    family: LinkFamily | None,
    parts: Sequence[LinkPart],
    names: Sequence[str],
    *,
    tree: bool,
    implied: bool,
    partly: bool = False,
) -> Shape:
    """The rows of a block with the links between them.

    Args:
        rows: What ``block.assemble`` brought.
        family: Links of the level; None where it has none.
        parts: Cells of segments that were read with the block.
        names: Attributes of links to bring along.
        tree: Whether links lead from children to parents.
        implied: Whether each vertex of a fragment has the one before as its parent, unless a link says otherwise.
        partly: Whether ``parts`` hold links of which only some ends are there, to be counted as left out.
    """
    width = family.width if family is not None else 3 if block.cell_faces else 2
    links = Links(np.zeros((0, width), dtype=np.int64), {})
    if tree and width != 2:
        raise MetadataError(
            "links of a skeleton must have two ends",
            store=block.level.store,
            array=f"{block.level.number}/{constants.LINKS}/0",
            got=width,
        )
    if family is not None:
        links = decode_links(family, block, parts, names, partly=tree or partly)
        if tree and family.directed:
            links = _children_first(block, links)
    if block.cell_faces:
        links = Links(np.concatenate([links.ends, block.faces_in_cells()]), links.columns)
    new = None if block.picked is None else _new_rows(block)
    left = _count_cut(_moved(new, links.ends)) if partly else 0
    if tree:
        links = _as_tree(block, links, implied=implied)
    links = Links(_moved(new, links.ends), links.columns)
    links = links.where(_all_there(links.ends))
    if tree and block.level.written_here:
        _refuse_circles(block, links, len(rows.positions))
    return Shape(rows, links=links, links_left=left)


def _moved(new: IntArray | None, ends: IntArray) -> IntArray:
    """Ends by their new rows, or as they are where all rows stay; those that are not there stay -1."""
    return ends if new is None else np.append(new, -1).take(ends)


def _all_there(ends: IntArray) -> BoolArray:
    """``(E,)`` whether no end is -1; column by column, as numpy is slow along short rows."""
    there = ends[:, 0] >= 0
    for column in ends.T[1:]:
        there &= column >= 0
    return there


def _count_cut(ends: IntArray) -> int:
    there = ends >= 0
    return int((there.any(axis=1) & ~there.all(axis=1)).sum())


def _new_rows(block: Block) -> IntArray:
    """Row of the read for each place in the buffers; -1 for those left out, the first for those read twice."""
    new = np.full(len(block.positions), -1, dtype=np.int64)
    picks = block.picks()
    new[picks[::-1]] = np.arange(len(picks), dtype=np.int64)[::-1]
    return new


def _children_first(block: Block, links: Links) -> Links:
    """Links of a directed family of trees lead to the child where they cross chunks, and from it inside.

    Source: the two writers of skeletons in format 0.9.2 order the ends of crossing links differently.
    """
    cell = np.searchsorted(block.bases, links.ends, side="right")
    crossing = cell[:, 0] != cell[:, 1]
    ends = links.ends.copy()
    ends[crossing] = ends[crossing][:, ::-1]
    return Links(ends, links.columns, links.lost)


def _as_tree(block: Block, links: Links, *, implied: bool) -> Links:
    """One link from each vertex that has a parent, stored ones before implied ones.

    A stored link whose parent has not been read still says that the vertex before is not the parent; where links could
    not be read, nothing is implied.
    """
    lost = links.lost
    links = links.where(links.ends[:, 0] >= 0)
    parent = _vertices_before(block, lost) if implied else np.full(len(block.positions), -1, dtype=np.int64)
    parent[links.ends[:, 0]] = links.ends[:, 1]
    children = np.flatnonzero(parent >= 0)
    columns: dict[str, Column] = {}
    if links.columns:
        record = np.full(len(parent), -1, dtype=np.int64)
        record[links.ends[:, 0]] = np.arange(len(links.ends))
        columns = {name: take_known(column, record[children]) for name, column in links.columns.items()}
    return Links(np.stack([children, parent[children]], axis=1), columns)


def _vertices_before(block: Block, lost: IntArray) -> IntArray:
    """``(n,)`` for each place in the buffers the one before it in its fragment; -1 for the first of a fragment.

    Args:
        lost: Cells of which nothing is implied.
    """
    table, count = block.table, len(block.positions)
    if table is None:
        return np.full(count, -1, dtype=np.int64)
    starts = offsets_of(table.counts)[:-1]
    tiles = table.tiles(block.rows_per_cell)
    rows = np.arange(count) if tiles else row_numbers(block.rows_of_fragments())
    before = rows - 1
    if not tiles:
        before[1:] = rows[:-1]
    before[starts[starts < len(rows)]] = -1
    if len(lost):
        before[np.isin(np.searchsorted(block.bases, rows, side="right") - 1, lost)] = -1
    if tiles:
        return before
    # A row that several fragments name has the vertex before it in the last that has one.
    parent, named = np.full(count, -1, dtype=np.int64), before >= 0
    parent[rows[named]] = before[named]
    return parent


def _refuse_circles(block: Block, links: Links, rows: int) -> None:
    """Note that parents lead in a circle, which 0.9.2 writes where a chunk does not begin with a root.

    Only what is brought is looked at: of other trees in the same cells, not all links have been read.
    """
    parent = np.full(rows, -1, dtype=np.int64)
    parent[links.ends[:, 0]] = links.ends[:, 1]
    try:
        check_forest(parent)
    except InputError as error:
        block.errors.append(
            CorruptionError(
                error.message,
                store=block.level.store,
                array=f"{block.level.number}/{constants.LINKS}",
                got=error.got,
                hint="restore it from a copy, or read with strict=False to get the circle as it is",
            )
        )
