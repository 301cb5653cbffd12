"""Reading connected geometry: from a selection to vertices with lines or links.

Without a box this is a read of whole objects, or of everything. With one, the cells that the box touches are read,
and those that hold ends of links which may pass through it; what lies in the box is then decided exactly, in memory.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from functools import reduce

import numpy as np

from zarr_vectors import constants
from zarr_vectors.core.cell_reach import Reaching
from zarr_vectors.core.links import LinkFamily
from zarr_vectors.core.state import LevelState
from zarr_vectors.exceptions import CorruptionError, InputError
from zarr_vectors.query.block import Block
from zarr_vectors.query.cut import cut
from zarr_vectors.query.draco import check_unordered
from zarr_vectors.query.filtered import filtered, link_names_for
from zarr_vectors.query.hits import vertices_hit, whole_objects
from zarr_vectors.query.lines import lines_of_block, lines_of_refs, owners_hit
from zarr_vectors.query.linked import linked_shape
from zarr_vectors.query.links import LinkPart, cells_passed_through, links_among
from zarr_vectors.query.objects import ObjectRefs, all_refs, read_ids
from zarr_vectors.query.prune import narrowed, within_reach
from zarr_vectors.query.read_plan import ReadPlan
from zarr_vectors.query.rows import (
    attribute_arrays,
    attribute_names,
    cells_of,
    cells_touched,
    check_count,
    inside_of,
    raise_errors,
    read_rows,
    wanted_refs,
)
from zarr_vectors.query.selection import Selection, choose_names
from zarr_vectors.query.shape import Shape
from zarr_vectors.query.values import Rows, distinct_numbers, distinct_rows, find_rows
from zarr_vectors.query.where import narrow_cells
from zarr_vectors.spatial.area import Area
from zarr_vectors.spatial.box import ClosedBox
from zarr_vectors.spatial.grid import format_keys
from zarr_vectors.storage.cells import CellArray
from zarr_vectors.storage.storage import Storage
from zarr_vectors.typing import IntArray

__all__ = ["objects_selected", "read_connected", "read_shape"]


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
    if selection.chunks is not None and (selection.places_asked or selection.by_object):
        raise InputError("chunks cannot be combined with a box or objects", hint="choose by one of them")
    names = choose_names(selection.attributes, attribute_names(level), store=level.store)
    beside = selection.names_beside(names)
    wanted = replace(selection, attributes=(*names, *beside))
    links = link_names_for(level, selection, plan.connects, plan.link_attributes)
    shape = _read_connected(storage, level, wanted, replace(plan, link_attributes=links))
    return filtered(shape, selection, beside, plan.link_attributes)


def _read_connected(storage: Storage, level: LevelState, selection: Selection, plan: ReadPlan) -> Shape:
    reader = _Reader(storage, level, selection, plan)
    if not selection.places_asked or selection.by_object:
        return reader.inside(reader.whole())
    return reader.objects_hit() if plan.mode == "objects" else reader.inside(reader.nearby())


def _read_points(storage: Storage, level: LevelState, selection: Selection, plan: ReadPlan) -> Shape:
    """A point is cut by nothing; whole objects of which any point lies in a place are read by their ids."""
    if plan.mode != "objects" or not selection.places_asked or not level.has_objects:
        return Shape(_point_rows(storage, level, selection, plan))
    bare = replace(selection, attributes=(), rows_meet=None, leads=None, owners=True)
    inside = [_point_rows(storage, level, bare.at(place), plan) for place in selection.places_asked]
    ids = reduce(np.intersect1d, (_owners_among(rows) for rows in inside))
    wanted = replace(selection.at(None), object_ids=ids, group_ids=None, lenient=True)
    rows = _point_rows(storage, level, wanted, plan)
    rows.errors = [*(error for part in inside for error in part.errors), *rows.errors]
    return Shape(rows)


def _owners_among(rows: Rows) -> IntArray:
    return np.zeros(0, dtype=np.int64) if rows.object_ids is None else distinct_numbers(rows.object_ids)


def _point_rows(storage: Storage, level: LevelState, selection: Selection, plan: ReadPlan) -> Rows:
    """Points in world coordinates."""
    if plan.offset is None:
        return read_rows(storage, level, selection, strict=plan.strict)
    reach = selection.reach
    stored = selection.at(None if reach is None else _in_stored(reach, plan.offset))
    rows = read_rows(storage, level, stored, strict=plan.strict)
    rows.positions = rows.positions + np.asarray(plan.offset, dtype=np.float64)
    return inside_of(rows, selection)


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
    bare = replace(selection, attributes=(), rows_meet=None)
    reader = _Reader(storage, level, bare, replace(plan, link_attributes=()))
    if not selection.places_asked:
        if not selection.by_object:
            return read_ids(storage, level)
        refs = wanted_refs(storage, level, selection, strict=plan.strict)
        return np.zeros(0, dtype=np.int64) if refs is None else refs.asked
    if selection.by_object:
        owners = reader.inside(reader.whole()).owners
        found = np.zeros(0, dtype=np.int64) if owners is None else distinct_numbers(owners)
    else:
        found = reader.ids_hit()[0]
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

    def _meeting(self, coords: IntArray) -> IntArray:
        """Those of the cells that may hold vertices that conditions leave, where the places asked for say the same."""
        places = self.selection.places_asked
        counts_all = self.plan.counts_left or (places and self.plan.mode == "objects")
        if counts_all or (places and self.plan.mode == "clip"):
            return coords
        box = self._stored_reach
        return narrowed(self.storage, self.level, coords, self.selection.at(box))

    def _reaching(self, coords: IntArray) -> IntArray:
        """Those of the cells that something in the places asked for may have an end in."""
        box = self._stored_reach
        if box is None:
            return coords
        by: Reaching = "order" if self.plan.connects == "sequence" else "records"
        return within_reach(self.storage, self.level, coords, box, by)

    @property
    def _stored_reach(self) -> ClosedBox | None:
        """Outside of this box, in stored coordinates, lies nothing of the places asked for."""
        box = self.selection.reach
        return box if box is None or self.plan.offset is None else _in_stored(box, self.plan.offset)

    @property
    def _ordered_by_attribute(self) -> bool:
        """Whether fragments themselves tell their place along their line."""
        return self.level.tells_order

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
            coords = self._meeting(narrow_cells(coords, self.selection))
            # A parent in a chunk that is not read must be known of, or the vertex before would pass for it.
            block, parts = self._read(coords, partly=self.plan.connects == "tree")
            return self._shape(block, parts, whole=False)
        return self.everything()[1]

    def everything(self) -> tuple[Block, Shape, list[LinkPart]]:
        """All vertices and what connects them, and the cells that they come from."""
        present, lines = self.level.vertices.present, self.plan.connects == "sequence"
        coords = self._meeting(present)
        every = len(coords) == len(present)
        # A parent in a chunk that is not read must be known of, or the vertex before would pass for it.
        partly = not every and self.plan.connects == "tree"
        block, parts = self._read(coords, partly=partly, packed=lines and self._ordered_by_attribute)
        shape = self._shape(block, parts, whole=True)
        # Manifests may leave vertices out, and name some twice.
        if every and (not lines or self._ordered_by_attribute):
            check_count(self.level, len(shape.rows.positions), shape.rows.errors, self.plan.strict)
        if self.family is not None and self.plan.strict:
            self._check_links(self.family, parts if every else links_among(self.family, present))
        return block, shape, parts

    def _of_objects(self, refs: ObjectRefs) -> Shape:
        every = cells_of(self.level, refs, None)
        coords = self._meeting(narrow_cells(every, self.selection))
        if self.plan.mode == "clip":
            coords = self._reaching(coords)
        partly = self.plan.counts_left or (self.plan.connects == "tree" and len(coords) < len(every))
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

    def nearby(self) -> Shape:
        """All that may lie in the places asked for, with everything that connects it."""
        return self._shape(*self._nearby(), whole=False)

    def _nearby(self) -> tuple[Block, list[LinkPart]]:
        """The cells of all that may lie in the places asked for."""
        level, box = self.level, self._stored_reach
        if box is None:
            return self._read(level.vertices.present)
        coords, part = cells_touched(level, box)
        if self.plan.mode != "vertices" and level.links is not None:
            far = cells_passed_through(level.links, part)
            gone = far[~level.vertices.has(far)] if len(far) else far
            if len(gone):
                raise self._no_vertices(gone)
            coords = distinct_rows(np.concatenate([coords, far])) if len(far) else coords
        coords = self._meeting(coords) if self.plan.mode == "vertices" else self._reaching(coords)
        # A parent in a chunk that is not read must be known of, or the vertex before would pass for it.
        return self._read(coords, partly=self.plan.connects == "tree")

    def _no_vertices(self, chunks: IntArray) -> CorruptionError:
        return CorruptionError(
            "a link names a chunk that has no vertices",
            store=self.level.store,
            array=self.level.vertices.path,
            cell=format_keys(chunks[:1])[0],
            hint="zarr-vectors validate lists all that is wrong; restore the store from a copy",
        )

    def inside(self, shape: Shape) -> Shape:
        """The part of a shape that the mode wants of the places asked for."""
        for place in self.selection.places_asked:
            if self.plan.mode == "clip" and isinstance(place, ClosedBox):
                shape = cut(shape, place, tree=self.plan.connects == "tree")
            elif self.plan.mode == "vertices":
                shape = shape.within(place.mask(shape.rows.positions))
            else:
                shape = whole_objects(shape, place)
        return shape

    def objects_hit(self) -> Shape:
        """Whole objects of which anything meets the box, and any vertex lies in each area."""
        if not self.level.has_objects:
            # What the first place leaves holds all that the others may leave of it.
            first = self.selection.at(self.selection.places_asked[0])
            return self.inside(_Reader(self.storage, self.level, first, self.plan).nearby())
        ids, errors = self.ids_hit()
        wanted = replace(self.selection.at(None), object_ids=ids, lenient=True)
        shape = _Reader(self.storage, self.level, wanted, self.plan).whole()
        shape.rows.errors = [*errors, *shape.rows.errors]
        return shape

    def ids_hit(self) -> tuple[IntArray, list[str]]:
        """Ids of these objects in ascending order, and what could not be read to find them."""
        found: list[IntArray] = []
        errors: list[str] = []
        for place in self.selection.places_asked:
            reader = _Reader(self.storage, self.level, self.selection.at(place), self.plan)
            ids, told = reader.ids_at(place)
            found.append(ids)
            errors += told
        return reduce(np.intersect1d, found), errors

    def ids_at(self, place: ClosedBox | Area) -> tuple[IntArray, list[str]]:
        """The same for the only place that is asked for."""
        block, parts = self._nearby()
        simple = self.plan.connects == "sequence" and self.plan.offset is None and self._ordered_by_attribute
        if simple and isinstance(place, ClosedBox):
            block.prepare(self.names)
            ids = owners_hit(block, place)
            raise_errors(block, strict=self.plan.strict)
            if ids is not None:
                return ids, [str(error) for error in block.errors]
        local = self._shape(block, parts, whole=False)
        owners = local.owners
        if owners is None:
            return np.zeros(0, dtype=np.int64), local.rows.errors
        return distinct_numbers(owners[vertices_hit(local, place)]), local.rows.errors

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
        if self.plan.connects == "sequence":
            ids = read_ids(self.storage, level) if whole and level.number == 0 else None
            block.prepare(self.names, places=ids is not None and self._ordered_by_attribute)
            foreign = None if self._ordered_by_attribute else self._all_refs(block)
            return self._finished(block, lines_of_block(block, foreign, ids))
        block.prepare(self.names)
        tells = level.owner_array is not None or not level.has_objects
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

    def _check_links(self, family: LinkFamily, parts: list[LinkPart]) -> None:
        """Whether all cells of all segments are among those that have both of their ends."""
        read = {part.segment.name: len(part.coords) for part in parts}
        for name, segment in family.segments.items():
            present = segment.array.present
            if read.get(name, 0) != len(present):
                ends = np.concatenate([present, *(present + offset for offset in segment.offsets)])
                raise self._no_vertices(ends[~self.level.vertices.has(ends)])


def _in_stored(box: ClosedBox, offset: Sequence[float]) -> ClosedBox:
    """A box of the world in stored coordinates, widened by what rounding may move; what lies in it is told later."""
    moved = np.asarray(offset, dtype=np.float64)
    slack = [(np.abs(corner) + np.abs(moved)) * (2 * np.finfo(np.float64).eps) for corner in (box.lo, box.hi)]
    return ClosedBox(box.lo - moved - slack[0], box.hi - moved + slack[1])
