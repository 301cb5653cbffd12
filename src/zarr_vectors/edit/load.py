"""Reading a level, or some of its objects, into a draft.

Whose vertices are, and in which order, is taken from the manifests of the objects; a level that states something else
beside its fragments is not edited.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from zarr_vectors import constants
from zarr_vectors.core.state import LevelState, RootState
from zarr_vectors.edit.draft import NONE, Draft, find_numbers, keys_of, row_id_after
from zarr_vectors.edit.owned import SHARED_HINT, check_along, check_owners, fragments_named, owners_of, places_along
from zarr_vectors.exceptions import ConventionError
from zarr_vectors.query.block import Block
from zarr_vectors.query.geometry import read_connected, read_shape
from zarr_vectors.query.objects import all_refs
from zarr_vectors.query.rows import attribute_names, every_row, raise_errors, read_rows
from zarr_vectors.query.selection import Selection
from zarr_vectors.query.shape import Shape
from zarr_vectors.query.tables import read_level_tables
from zarr_vectors.query.values import find_rows
from zarr_vectors.storage.storage import Storage
from zarr_vectors.types.kinds import Kind
from zarr_vectors.types.value import plan_for
from zarr_vectors.typing import IntArray

__all__ = ["load_draft"]


@dataclass(frozen=True, eq=False)
class _Loaded:
    """Vertices that have been read.

    Args:
        shape: The vertices, and what connects them.
        keys: ``(N,)`` where each is stored, as ``keys_of`` says.
        owners: ``(N,)`` its object, -1 for none; None where the level has no objects.
        along: ``(N,)`` its place in the object, -1 for none.
    """

    shape: Shape
    keys: IntArray
    owners: IntArray | None
    along: IntArray


def load_draft(
    storage: Storage,
    root: RootState,
    level: LevelState,
    kind: Kind,
    only: IntArray | None = None,
    *,
    checked: bool = True,
) -> Draft:
    """Read a level from one end to the other, or the vertices of some objects and the links between these.

    Args:
        only: Ids of the objects, whose vertices nothing is checked of; None for everything.
        checked: Whether a level is refused whose fragments state something else than the manifests.

    Raises:
        CorruptionError: A cell is gone or corrupt, or fragments state something else than the manifests.
        ConventionError: Objects share vertices.
    """
    loaded = (
        _some(storage, root, level, kind, only) if only is not None else _every(storage, root, level, kind, checked)
    )
    shape, keys, owners = loaded.shape, loaded.keys, loaded.owners
    tables = read_level_tables(storage, level)
    row_ids = shape.rows.row_ids
    if owners is None and (level.has_objects or constants.FRAGMENT_OWNER in level.cells):
        owners = np.full(len(keys), constants.OWNER_NONE, dtype=np.int64)
    if len(np.unique(keys)) != len(keys):
        raise ConventionError(
            "objects of the level share vertices, which cannot be edited", store=level.store, hint=SHARED_HINT
        )
    draft = Draft(
        kind=kind,
        positions=shape.rows.positions,
        columns=shape.rows.attributes,
        owners=owners,
        along=loaded.along,
        born=np.stack([np.full(len(keys), -1) if owners is None else owners, loaded.along], axis=1),
        keys=keys,
        row_ids=row_ids,
        links=None if shape.links is None else shape.links.ends,
        link_columns={} if shape.links is None else dict(shape.links.columns),
        ids=tables.ids,
        object_columns=dict(tables.attributes),
        groups=dict(enumerate(tables.groups.members)),
        group_columns=dict(tables.group_attributes),
        per_fragment=set(level.fragment_columns),
        next_row_id=row_id_after(level, row_ids),
        read_keys=keys,
        read_ids=tables.ids,
    )
    draft.links_read = 0 if draft.links is None else len(draft.links)
    draft.link_born = np.arange(draft.links_read)
    return draft


def _every(storage: Storage, root: RootState, level: LevelState, kind: Kind, checked: bool) -> _Loaded:
    """All vertices of a level, in the order of a read."""
    names = attribute_names(level)
    if kind.connects == "nothing":
        block, rows = every_row(storage, level, names, owned=level.has_objects)
        shape = Shape(rows)
    else:
        block, shape, _ = read_connected(storage, level, plan_for(root, kind, None, None), names)
    picks = block.picks()
    cells = find_rows(level.vertices.present, block.coords)
    chunk = np.repeat(np.arange(len(cells)), block.rows_per_cell)[picks]
    keys = keys_of(np.stack([cells[chunk], picks - block.bases[:-1][chunk]], axis=1))
    if not level.has_objects or block.table is None:
        return _Loaded(shape, keys, shape.owners, _places_in_order(shape, len(keys)))
    refs = all_refs(storage, level)[1]
    numbers = fragments_named(level, block.coords, block.table, refs)
    if checked:
        check_owners(level, block.table, owners_of(block.table, numbers, refs), _stated(block))
    owners, along = (column[picks] for column in places_along(block.table, numbers, refs, block.bases))
    if checked and shape.offsets is not None:
        check_along(level, owners, along, _places_in_order(shape, len(keys)))
    return _Loaded(shape, keys, owners, along)


def _stated(block: Block) -> IntArray | None:
    """``(F,)`` object that each fragment of a block states to be of; None where they state nothing."""
    if constants.FRAGMENT_OWNER not in block.reads:
        return None
    stated = block.fragment_values(constants.FRAGMENT_OWNER)
    raise_errors(block, strict=True)
    return stated


def _places_in_order(shape: Shape, count: int) -> IntArray:
    """``(N,)`` place of each vertex in its line; -1 where there are no lines."""
    if shape.offsets is None:
        return np.full(count, -1, dtype=np.int64)
    return np.arange(count) - np.repeat(shape.offsets[:-1], np.diff(shape.offsets))


def _some(storage: Storage, root: RootState, level: LevelState, kind: Kind, ids: IntArray) -> _Loaded:
    """The vertices of some objects."""
    shape = read_shape(storage, level, Selection(places=True, object_ids=ids), plan_for(root, kind, None, None))
    keys = keys_of(shape.rows.places)
    along = _places_in_order(shape, len(keys))
    if shape.offsets is None and level.has_objects:
        rows = read_rows(storage, level, Selection(object_ids=ids, attributes=(), places=True))
        owners = NONE if rows.object_ids is None else rows.object_ids
        first = np.flatnonzero(np.concatenate([[True], owners[1:] != owners[:-1]])) if len(owners) else NONE
        places = np.arange(len(owners)) - np.repeat(first, np.diff(np.append(first, len(owners))))
        at = find_numbers(keys, np.argsort(keys, kind="stable"), keys_of(rows.places))
        along[at[at >= 0]] = places[at >= 0]
    return _Loaded(shape, keys, shape.owners, along)
