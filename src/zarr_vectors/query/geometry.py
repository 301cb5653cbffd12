"""Reading connected geometry: from a selection to vertices with lines or links.

Without a box this is a read of whole objects, or of everything. With one, the cells that the box touches are read,
and those that hold ends of links which may pass through it; what lies in the box is then decided exactly, in memory.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace

import numpy as np

from zarr_vectors import constants
from zarr_vectors.core.state import LevelState
from zarr_vectors.exceptions import CorruptionError, InputError
from zarr_vectors.query.block import Block
from zarr_vectors.query.cut import cut
from zarr_vectors.query.draco import check_unordered
from zarr_vectors.query.hits import vertices_hit
from zarr_vectors.query.lines import lines_of_block, lines_of_refs, owners_hit
from zarr_vectors.query.linked import linked_shape
from zarr_vectors.query.links import LinkPart, cells_passed_through, links_among
from zarr_vectors.query.objects import ObjectRefs, all_refs, read_ids
from zarr_vectors.query.rows import (
    attribute_arrays,
    attribute_names,
    cells_of,
    cells_touched,
    check_count,
    raise_errors,
    read_rows,
    wanted_refs,
)
from zarr_vectors.query.selection import MODES, Selection, choose_names
from zarr_vectors.query.shape import Shape, lines_within, links_within
from zarr_vectors.query.values import Rows, distinct_numbers, distinct_rows, find_rows
from zarr_vectors.query.where import met_by, narrow_cells
from zarr_vectors.spatial.box import ClosedBox
from zarr_vectors.spatial.grid import format_keys
from zarr_vectors.storage.cells import CellArray
from zarr_vectors.storage.storage import Storage
from zarr_vectors.typing import BoolArray, IntArray

__all__ = ["ReadPlan", "objects_selected", "read_connected", "read_shape"]

Within = Callable[[Shape, BoolArray], Shape]


@dataclass(frozen=True)
class ReadPlan:
    """How a kind of geometry is read.

    Args:
        connects: ``"nothing"``, ``"sequence"``, ``"tree"`` or ``"links"``.
        implied: Whether trees leave out links to the vertex before.
        mode: What a box selects: ``"vertices"``, ``"objects"`` or ``"clip"``.
        link_attributes: Attributes of links to bring along; None for all.
        strict: Whether what cannot be read raises.
        offset: What world coordinates have in addition to stored ones; None for nothing.
        counts_left: Whether a read by objects counts the links that lead out of them.
    """

    connects: str
    implied: bool
    mode: str
    link_attributes: Sequence[str] | None = None
    strict: bool = True
    offset: tuple[float, ...] | None = None
    counts_left: bool = False

    def is_by_row(self, selection: Selection) -> bool:
        """Whether what is selected can be told row by row, in stored coordinates."""
        by_row = self.mode == "vertices" or selection.box is None
        return self.connects == "nothing" and self.offset is None and by_row

    def __post_init__(self) -> None:
        if self.mode not in MODES:
            raise InputError("mode is not known", got=repr(self.mode), expected=f"one of {', '.join(MODES)}")


def read_shape(storage: Storage, level: LevelState, selection: Selection, plan: ReadPlan) -> Shape:
    """Read the vertices of a selection and what connects them.

    Raises:
        CorruptionError: With ``strict``, a cell is gone or corrupt.
        ObjectNotFoundError: An id or group does not exist.
        AttributeNotFoundError: An attribute does not exist.
        StoreError: The level holds several geometries in one, which nothing tells apart.
    """
    level.refuse_composite()
    if plan.connects == "nothing":
        return _read_points(storage, level, selection, plan)
    if selection.chunks is not None and (selection.box is not None or selection.by_object):
        raise InputError("chunks cannot be combined with a box or objects", hint="choose by one of them")
    names = choose_names(selection.attributes, attribute_names(level), store=level.store)
    beside = selection.names_beside(names)
    shape = _read_connected(storage, level, replace(selection, attributes=(*names, *beside)), plan)
    met = met_by(shape.rows, selection)
    if met is None:
        return shape
    kept = lines_within(shape, met) if shape.offsets is not None else links_within(shape, met)
    return replace(kept, rows=kept.rows.without(beside), links_left=shape.links_left)


def _read_connected(storage: Storage, level: LevelState, selection: Selection, plan: ReadPlan) -> Shape:
    reader = _Reader(storage, level, selection, plan)
    if selection.box is None or selection.by_object:
        shape = reader.whole()
        return shape if selection.box is None else reader.in_box(shape)
    return reader.objects_hit() if plan.mode == "objects" else reader.in_box(reader.near_box())


def _read_points(storage: Storage, level: LevelState, selection: Selection, plan: ReadPlan) -> Shape:
    """A point is cut by nothing; whole objects of which any point lies in the box are read by their ids."""
    if plan.mode != "objects" or selection.box is None or not level.has_objects:
        return Shape(_point_rows(storage, level, selection, plan))
    inside = _point_rows(storage, level, replace(selection, attributes=(), row_conditions=(), leads=None), plan)
    ids = distinct_numbers(inside.object_ids) if inside.object_ids is not None else np.zeros(0, dtype=np.int64)
    wanted = replace(selection, box=None, object_ids=ids, group_ids=None, lenient=True)
    rows = _point_rows(storage, level, wanted, plan)
    rows.errors = [*inside.errors, *rows.errors]
    return Shape(rows)


def _point_rows(storage: Storage, level: LevelState, selection: Selection, plan: ReadPlan) -> Rows:
    """Points in world coordinates."""
    if plan.offset is None:
        return read_rows(storage, level, selection, strict=plan.strict)
    box = selection.box
    stored = selection if box is None else replace(selection, box=_in_stored(box, plan.offset))
    rows = read_rows(storage, level, stored, strict=plan.strict)
    rows.positions = rows.positions + np.asarray(plan.offset, dtype=np.float64)
    return rows if box is None else rows.take(box.mask(rows.positions))


def read_connected(
    storage: Storage, level: LevelState, plan: ReadPlan, names: Sequence[str] = ()
) -> tuple[Block, Shape, list[LinkPart]]:
    """Everything with these attributes, and the cells that vertices and links come from.

    Raises:
        CorruptionError: A cell is gone or corrupt.
    """
    level.refuse_composite()
    return _Reader(storage, level, Selection(attributes=tuple(names)), plan).everything()


def objects_selected(storage: Storage, level: LevelState, selection: Selection, plan: ReadPlan) -> IntArray:
    """Ids of the objects of a selection, in reading order; of those asked for by id that exist."""
    bare = replace(selection, attributes=())
    reader = _Reader(storage, level, bare, replace(plan, link_attributes=()))
    if selection.box is None:
        if not selection.by_object:
            return read_ids(storage, level)
        refs = wanted_refs(storage, level, selection, strict=plan.strict)
        return np.zeros(0, dtype=np.int64) if refs is None else refs.asked
    local = reader.in_box(reader.whole()) if selection.by_object else reader.near_box()
    hit = vertices_hit(local, selection.box)
    owners = local.owners
    found = np.zeros(0, dtype=np.int64) if owners is None else distinct_numbers(owners[hit])
    return found[np.isin(found, read_ids(storage, level))]


class _Reader:
    """One read of connected geometry."""

    def __init__(self, storage: Storage, level: LevelState, selection: Selection, plan: ReadPlan) -> None:
        self.storage = storage
        self.level = level
        self.selection = selection
        self.plan = plan
        self.names = choose_names(selection.attributes, attribute_names(level), store=level.store)
        family = None if plan.connects == "sequence" else level.links
        known = [] if family is None else list(family.columns)
        self.family = family
        self.link_names = choose_names(plan.link_attributes, known, store=level.store, what="edge or face attribute")
        check_unordered(storage, level, self.names, family, self.link_names)

    @property
    def _ordered_by_attribute(self) -> bool:
        """Whether fragments themselves tell their place along their line."""
        return constants.FRAGMENT_OFFSET in self.level.cells and not self.level.metadata.shared_fragments

    def whole(self) -> Shape:
        """The objects asked for, or everything."""
        refs = wanted_refs(self.storage, self.level, self.selection, strict=self.plan.strict)
        if refs is not None:
            return self._of_objects(refs)
        chunks = self.selection.chunks
        if chunks is not None or self.selection.leads is not None:
            coords = self.level.vertices.present
            if chunks is not None:
                coords = coords[find_rows(chunks, coords) >= 0] if chunks.size else coords[:0]
            coords = narrow_cells(coords, self.selection)
            # A parent in a chunk that is not read must be known of, or the vertex before would pass for it.
            block, parts = self._read(coords, partly=self.plan.connects == "tree")
            return self._shape(block, parts, whole=False)
        return self.everything()[1]

    def everything(self) -> tuple[Block, Shape, list[LinkPart]]:
        """All vertices and what connects them, and the cells that they come from."""
        block, parts = self._read(self.level.vertices.present)
        shape = self._shape(block, parts, whole=True)
        if self.plan.connects != "sequence" or not self.level.metadata.shared_fragments:
            check_count(self.level, len(shape.rows.positions), shape.rows.errors, self.plan.strict)
        self._check_links(parts)
        return block, shape, parts

    def _of_objects(self, refs: ObjectRefs) -> Shape:
        coords = narrow_cells(cells_of(self.level, refs, None), self.selection)
        partly = self.plan.counts_left or (self.plan.connects == "tree" and self.selection.leads is not None)
        lines = self.plan.connects == "sequence"
        block, parts = self._read(coords, owned=False, partly=partly, packed=lines)
        block.errors.extend(refs.errors)
        refs = refs.readable()
        if lines:
            block.prepare(self.names, refs)
            # At coarser levels an object without fragments has been dropped.
            shape = lines_of_refs(block, refs, all_asked=self.level.number == 0)
            return self._finished(block, shape)
        block.prepare(self.names)
        return self._finished(block, self._linked(block, block.assemble(refs, None), parts))

    def near_box(self) -> Shape:
        """All that may lie in the box, with everything that connects it."""
        return self._shape(*self._near_box(), whole=False)

    def _near_box(self) -> tuple[Block, list[LinkPart]]:
        """The cells of all that may lie in the box."""
        level, box = self.level, self.selection.box
        assert box is not None
        coords, part = cells_touched(level, box if self.plan.offset is None else _in_stored(box, self.plan.offset))
        if self.plan.mode != "vertices" and level.links is not None:
            far = cells_passed_through(level.links, part)
            gone = far[~level.vertices.has(far)] if len(far) else far
            if len(gone):
                raise self._no_vertices(gone)
            coords = distinct_rows(np.concatenate([coords, far])) if len(far) else coords
        # A parent in a chunk that is not read must be known of, or the vertex before would pass for it.
        return self._read(coords, partly=self.plan.connects == "tree")

    def _no_vertices(self, chunks: IntArray) -> CorruptionError:
        return CorruptionError(
            "a link names a chunk that has no vertices",
            store=self.level.store,
            array=self.level.vertices.path,
            cell=format_keys(chunks[:1])[0],
        )

    def in_box(self, shape: Shape) -> Shape:
        """The part of a shape that the mode wants of the box."""
        box, mode = self.selection.box, self.plan.mode
        assert box is not None
        if mode == "clip":
            return cut(shape, box, tree=self.plan.connects == "tree")
        within: Within = links_within if shape.offsets is None else lines_within
        if mode == "vertices":
            return within(shape, box.mask(shape.rows.positions))
        return self._whole_objects(shape, within)

    def _whole_objects(self, shape: Shape, within: Within) -> Shape:
        """Of whole objects, those that the box meets; without objects, each link and vertex counts as one."""
        assert self.selection.box is not None
        hit = vertices_hit(shape, self.selection.box)
        owners = shape.owners
        if owners is None:
            return within(shape, hit)
        ids = distinct_numbers(owners[hit])
        if shape.offsets is not None and shape.ids is not None:
            return _lines_of(shape, ids)
        return within(shape, np.isin(owners, ids))

    def objects_hit(self) -> Shape:
        """Whole objects of which anything near the box meets it."""
        assert self.selection.box is not None
        block, parts = self._near_box()
        ids, errors = self._lines_hit(block)
        if ids is None:
            local = self._shape(block, parts, whole=False)
            owners = local.owners
            if owners is None or not self.level.has_objects:
                return self.in_box(local)
            ids = distinct_numbers(owners[vertices_hit(local, self.selection.box)])
            errors = local.rows.errors
        wanted = replace(self.selection, box=None, object_ids=ids, lenient=True)
        shape = _Reader(self.storage, self.level, wanted, self.plan).whole()
        shape.rows.errors = [*errors, *shape.rows.errors]
        return shape

    def _lines_hit(self, block: Block) -> tuple[IntArray | None, list[str]]:
        """Ids of the lines that meet the box, and what could not be read; None where lines must be put together."""
        assert self.selection.box is not None
        if self.plan.connects != "sequence" or self.plan.offset is not None:
            return None, []
        if not self._ordered_by_attribute or not self.level.has_objects:
            return None, []
        block.prepare(self.names)
        ids = owners_hit(block, self.selection.box)
        raise_errors(block, strict=self.plan.strict)
        return ids, [str(error) for error in block.errors]

    def _read(
        self, coords: IntArray, *, owned: bool = True, partly: bool = False, packed: bool = False
    ) -> tuple[Block, list[LinkPart]]:
        """Vertices and all that goes with them in these chunks, and the links among them, in one go."""
        level = self.level
        arrays: dict[str, CellArray] = {
            constants.VERTICES: level.vertices,
            constants.VERTEX_FRAGMENTS: level.cell_array(constants.VERTEX_FRAGMENTS),
        }
        extra = [constants.FRAGMENT_OWNER, constants.FRAGMENT_OFFSET] if owned else []
        arrays |= {name: level.cells[name] for name in extra if name in level.cells}
        arrays |= attribute_arrays(level, self.names)
        parts = [] if self.family is None else links_among(self.family, coords, partly=partly)
        also = [wanted for part in parts for wanted in part.arrays(self.link_names)]
        whole = packed and not self.selection.places
        block = Block.read(self.storage, level, coords, arrays, also, packed=whole)
        block.tells_places = self.selection.places
        return block, parts

    def _shape(self, block: Block, parts: list[LinkPart], *, whole: bool) -> Shape:
        level = self.level
        block.prepare(self.names)
        if self.plan.connects == "sequence":
            foreign = None if self._ordered_by_attribute else self._all_refs(block)
            ids = read_ids(self.storage, level) if whole and level.number == 0 else None
            return self._finished(block, lines_of_block(block, foreign, ids))
        tells = constants.FRAGMENT_OWNER in level.cells or not level.has_objects
        foreign = None if tells else self._all_refs(block)
        return self._finished(block, self._linked(block, block.assemble(None, foreign), parts))

    def _all_refs(self, block: Block) -> ObjectRefs:
        """The fragments of all objects; what cannot be read of them is noted with the block."""
        refs = all_refs(self.storage, self.level, strict=self.plan.strict)[1]
        block.errors.extend(refs.errors)
        return refs.readable()

    def _linked(self, block: Block, rows: Rows, parts: list[LinkPart]) -> Shape:
        return linked_shape(
            block,
            rows,
            self.family,
            parts,
            self.link_names,
            tree=self.plan.connects == "tree",
            implied=self.plan.implied,
            partly=self.plan.counts_left,
        )

    def _finished(self, block: Block, shape: Shape) -> Shape:
        raise_errors(block, strict=self.plan.strict)
        shape.rows.errors = [str(error) for error in block.errors]
        if self.plan.offset is not None:
            # As float64: what is stored may not be able to hold the sum.
            shape.rows.positions = shape.rows.positions + np.asarray(self.plan.offset, dtype=np.float64)
        return shape

    def _check_links(self, parts: list[LinkPart]) -> None:
        """Whether a read of everything had all cells of all segments."""
        if self.family is None or not self.plan.strict:
            return
        read = {part.segment.name: len(part.coords) for part in parts}
        for name, segment in self.family.segments.items():
            present = segment.array.present
            if read.get(name, 0) != len(present):
                ends = np.concatenate([present, *(present + offset for offset in segment.offsets)])
                raise self._no_vertices(ends[~self.level.vertices.has(ends)])


def _in_stored(box: ClosedBox, offset: Sequence[float]) -> ClosedBox:
    """A box of the world in stored coordinates, widened by what rounding may move; what lies in it is told later."""
    moved = np.asarray(offset, dtype=np.float64)
    slack = [(np.abs(corner) + np.abs(moved)) * (2 * np.finfo(np.float64).eps) for corner in (box.lo, box.hi)]
    return ClosedBox(box.lo - moved - slack[0], box.hi - moved + slack[1])


def _lines_of(shape: Shape, ids: IntArray) -> Shape:
    """Whole lines by their ids."""
    assert shape.offsets is not None
    assert shape.ids is not None
    keep = np.isin(shape.ids, ids)
    lengths = np.diff(shape.offsets)
    mask = np.repeat(keep, lengths)
    offsets = np.concatenate([[0], np.cumsum(lengths[keep])]).astype(np.int64)
    return Shape(shape.rows.take(mask), offsets, shape.ids[keep])
