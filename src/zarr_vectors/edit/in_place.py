"""Values that change where they are stored, in levels of every kind: no vertex comes, goes or leaves its chunk.

Rows stay what they are, and so do fragments, links and references from objects. Of each array of values only the cells
are written in which a value is another one, with the shards around them; of the tables of objects only the attributes
that change.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field, replace

import numpy as np

from zarr_vectors import constants
from zarr_vectors.core.documents import ColumnSpec
from zarr_vectors.core.state import RootState
from zarr_vectors.edit.cell_puts import cells_instead
from zarr_vectors.edit.draft import Draft
from zarr_vectors.edit.level_change import LevelChange
from zarr_vectors.edit.object_columns import ObjectColumns
from zarr_vectors.edit.operations import Update
from zarr_vectors.edit.scope import ROWS_PER_CELL, Scope
from zarr_vectors.edit.which import Opened
from zarr_vectors.encoding.blobs import Blobs, offsets_of
from zarr_vectors.geometry import Categorical, Column
from zarr_vectors.metadata.base import dump_json
from zarr_vectors.spatial.grid import bin_numbers, chunk_coords
from zarr_vectors.storage.cells import CellArray, read_cells
from zarr_vectors.storage.storage import Put
from zarr_vectors.types.append_columns import merge_categories
from zarr_vectors.types.cell_facts import CellFacts, can_index, facts_of_level, forget_reach
from zarr_vectors.types.encode import rows_as_cells
from zarr_vectors.types.intake import apply_lookup
from zarr_vectors.types.table import column_spec
from zarr_vectors.typing import AnyArray, BoolArray, IntArray, JsonObject

__all__ = ["write_in_place"]


def write_in_place(scope: Scope) -> bool:
    """Do all operations by putting values in the place of others, where that is possible.

    Args:
        scope: Of operations that leave all vertices and objects there.

    Returns:
        Whether it is done; nothing has been written otherwise.

    Raises:
        InputError: An operation cannot be done; nothing is written.
    """
    opened, level = scope.opened, scope.opened.level
    updates = [one for one in scope.operations if isinstance(one, Update)]
    names = {name for one in updates for name in one.attributes}
    if names & level.fragment_columns.keys():
        return False
    numbered = any(one.which.row_ids is not None for one in updates)
    draft = scope.draft(scope.chunks, {*names, constants.ROW_ID} if numbered else names)
    if draft is None:
        return False
    old = replace(draft, columns=dict(draft.columns))
    for operation in scope.operations:
        operation.apply(draft, opened)
    moved = (draft.positions != old.positions).any(axis=1)
    changed = {name: column for name, column in draft.columns.items() if old.columns[name] is not column}
    if not _stay(opened, draft, old, moved) or any(map(np.ma.isMaskedArray, changed.values())):
        return False
    patches = _Patches(scope, draft)
    if moved.any():
        patches.add(constants.VERTICES, _positions_spec(opened), draft.positions)
    for name, column in changed.items():
        patches.add(f"{constants.VERTEX_ATTRIBUTES}/{name}", *_stored(name, level.vertex_columns[name], column))
    if not patches.fit or (patches.of and scope.is_shared()):
        return False
    _change(scope, draft, patches, draft.positions[moved]).commit()
    return True


def _change(scope: Scope, draft: Draft, patches: _Patches, moved: AnyArray) -> LevelChange:
    """The patches as a change of the level, with the attributes of objects, and bounds around what has moved."""
    opened, level = scope.opened, scope.opened.level
    objects = None if scope.tables is None else ObjectColumns(level, scope.tables, draft)
    facts = None
    if can_index(opened.storage):
        facts = facts_of_level(opened.storage, level, {**level.vertex_columns, **patches.specs})
        if constants.VERTICES in patches.of:
            forget_reach(facts, level, patches.of[constants.VERTICES].coords)
    arrays = {**level.cells, **{path: patch.array for path, patch in patches.of.items()}}
    change = LevelChange(opened, objects, facts, arrays, puts=[patches.puts(facts)])
    if len(moved):
        change.root = lambda: _with_bounds(opened.root, moved)
    return change


def _with_bounds(root: RootState, moved: AnyArray) -> JsonObject:
    """The root document with bounds around positions."""
    low, high = (np.asarray(corner, dtype=np.float64) for corner in root.metadata.bounds)
    low, high = np.minimum(low, moved.min(axis=0)), np.maximum(high, moved.max(axis=0))
    metadata = root.metadata.replace(bounds=(tuple(low.tolist()), tuple(high.tolist())))
    return {**root.document, "attributes": {**root.attributes, constants.ROOT_KEY: metadata.to_json()}}


def _stay(opened: Opened, draft: Draft, old: Draft, moved: BoolArray) -> bool:
    """Whether vertices that have moved are still in their chunks, and points without objects in their bins."""
    level, root = opened.level, opened.root.metadata
    if not moved.any():
        return True
    now, before = draft.positions[moved], old.positions[moved]
    coords = np.stack(chunk_coords(now, level.chunk_shape), axis=-1).astype(np.int64)
    same = np.array_equal(coords, level.vertices.present[draft.keys[moved] // ROWS_PER_CELL])
    if level.is_draco or not same:
        return False
    if level.has_objects or int(np.prod(root.bins_per_chunk)) == 1:
        return True
    bin_now, bin_before = (
        bin_numbers(positions, level.chunk_shape, root.bin_shape, root.bins_per_chunk) for positions in (now, before)
    )
    return np.array_equal(bin_now, bin_before)


def _positions_spec(opened: Opened) -> ColumnSpec:
    return ColumnSpec(dtype=opened.level.position_dtype, row_shape=(opened.root.metadata.ndim,))


def _stored(name: str, old: ColumnSpec, column: Column) -> tuple[ColumnSpec, AnyArray]:
    """The type of an attribute, in which new categories come after those that there were, and values in it."""
    if not isinstance(column, Categorical):
        return old, column
    spec, lookup = merge_categories(name, old, column_spec(column))
    return spec, apply_lookup(column.codes, lookup, spec)


@dataclass(eq=False)
class _Patch:
    """Cells of an array with other values.

    Args:
        old, array: The array as it is, and as it will be.
        coords: ``(n, K)`` the cells.
        cells: Their payloads.
    """

    old: CellArray
    array: CellArray
    coords: IntArray
    cells: Blobs


@dataclass(eq=False)
class _Patches:
    """Patches of the arrays of a level.

    Args:
        scope: What is done.
        draft: The vertices of the chunks concerned, as they will be.
        of: By the name of the array below the level.
        specs: Types of vertex attributes that are others from now on.
        fit: Whether all arrays are stored as this library stores them.
    """

    scope: Scope
    draft: Draft
    of: dict[str, _Patch] = field(default_factory=dict)
    specs: dict[str, ColumnSpec] = field(default_factory=dict)
    fit: bool = True

    def add(self, path: str, spec: ColumnSpec, values: AnyArray) -> None:
        """Note the values of the draft's vertices, for an array of this type."""
        level = self.scope.opened.level
        array = level.cells[path]
        was = level.array_columns.get(path, spec)
        present, cell, row = level.vertices.present, *np.divmod(self.draft.keys, ROWS_PER_CELL)
        # Another type is one for all cells.
        widens = spec.dtype != was.dtype
        every, at = (np.arange(len(present)), cell) if widens else np.unique(cell, return_inverse=True)
        coords = present[every]
        if not array.has(coords).all() or values.shape[1:] != spec.row_shape:
            self.fit = False
            return
        (read,) = read_cells(self.scope.opened.storage, [(array, coords)])
        cells = read.check().cells
        counts = cells.sizes // was.row_bytes
        stored = np.frombuffer(cells.joined(), dtype=was.dtype).reshape(-1, *was.row_shape)
        place = offsets_of(counts)[:-1][at] + row
        fresh = stored.astype(spec.dtype)
        fresh[place] = values
        if spec != was:
            self.specs[path.partition("/")[2]] = spec
            said = {"_FillValue": None, **spec.attributes()}
            array = replace(array, document=array.document.with_attributes(**said))
        other = every if widens else np.unique(at[_differ(fresh[place], stored[place])])
        self.of[path] = _Patch(level.cells[path], array, coords[other], rows_as_cells(fresh, counts).take(other))

    def puts(self, facts: CellFacts | None) -> Iterator[Put]:
        """The stored objects of all patches, and documents of arrays that have another type.

        Args:
            facts: Is told what the cells hold.
        """
        for path, patch in self.of.items():
            if facts is not None:
                facts.note_array(path, patch.coords, patch.cells)
            every = np.arange(len(patch.coords))
            yield from cells_instead(self.scope.opened.storage, patch.array, patch.coords, every, patch.cells)
            if patch.array is not patch.old:
                yield f"{patch.array.path}/zarr.json", dump_json(patch.array.document.to_json())


def _differ(new: AnyArray, old: AnyArray) -> BoolArray:
    """``(n,)`` whether rows differ in any byte; NaN is itself."""
    if not len(new):
        return np.zeros(0, dtype=np.bool_)
    both = [np.ascontiguousarray(rows).view(np.uint8).reshape(len(new), -1) for rows in (new, old)]
    return np.asarray((both[0] != both[1]).any(axis=1))
