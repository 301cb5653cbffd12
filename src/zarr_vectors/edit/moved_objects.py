"""Connected objects of which vertices leave their chunks: cut out of these, and appended to the level where they go.

Both is one commit: the append finds the store as it will be when the objects have been cut out of it.
"""

from __future__ import annotations

from dataclasses import replace

import numpy as np

from zarr_vectors.core.state import LevelState, open_level
from zarr_vectors.edit.cut import cut_out, put_tables
from zarr_vectors.edit.draft import Draft, keys_of
from zarr_vectors.edit.load import load_draft
from zarr_vectors.edit.operations import Update
from zarr_vectors.edit.scope import Scope
from zarr_vectors.edit.shrunk_links import ShrunkLinks
from zarr_vectors.query.rows import read_rows
from zarr_vectors.query.selection import Selection
from zarr_vectors.storage.storage import Storage
from zarr_vectors.types.append import append_rows
from zarr_vectors.types.append_beside import Displaced
from zarr_vectors.types.append_columns import match_columns
from zarr_vectors.types.append_links import match_links
from zarr_vectors.types.append_tables import merge_object_tables
from zarr_vectors.types.intake import First, memory_intake
from zarr_vectors.types.objects import table_codecs
from zarr_vectors.types.options import WriteOptions
from zarr_vectors.typing import IntArray

__all__ = ["move_objects"]


def move_objects(scope: Scope, out_of_bounds: str) -> bool:
    """Do all operations by writing the objects anew that they touch, where that is possible and worth it.

    Args:
        scope: Of operations that leave all vertices and objects there.

    Returns:
        Whether it is done; nothing has been written otherwise.

    Raises:
        InputError: An operation cannot be done; nothing is written.
    """
    opened, level = scope.opened, scope.opened.level
    plain = scope.tables is not None and not level.fragment_columns and opened.kind.connects != "nothing"
    if not plain or scope.named is None or not all(isinstance(one, Update) for one in scope.operations):
        return False
    ids = _owners(scope)
    if ids is None or 2 * len(ids) > level.object_slots:
        return False
    draft = load_draft(opened.storage, opened.root, level, opened.kind, ids)
    for operation in scope.operations:
        operation.apply(draft, opened)
    cut = cut_out(opened, ids)
    if cut is None or cut.rows_gone != len(draft):
        return False
    links = ShrunkLinks(opened.storage, level, cut.chunks)
    count = level.metadata.vertex_count - cut.rows_gone
    if not count or not links.fit or links.torn or links.is_empty:
        return False
    change = cut.change(opened, count, links)
    if not put_tables(change, scope, draft, cut, ids):
        return False
    pending = change.pending()
    left = open_level(pending, opened.root, level.number)
    known = None if change.facts is None else change.facts.table(left.vertices.present)
    _append(scope, draft, ids, (pending, left), Displaced(known=known), out_of_bounds)
    return True


def _owners(scope: Scope) -> IntArray | None:
    """Ids of the objects whose vertices are named; None where some have no object, or manifests say another."""
    wanted = Selection(chunks=scope.chunks, attributes=(), places=True)
    rows = read_rows(scope.opened.storage, scope.opened.level, wanted)
    assert scope.named is not None
    if rows.object_ids is None:
        return None
    keys = keys_of(rows.places)
    owners: IntArray = np.unique(rows.object_ids[np.isin(keys, scope.named)])
    return None if (owners < 0).any() or not scope.agrees(keys, rows.object_ids) else owners


def _append(
    scope: Scope, draft: Draft, ids: IntArray, left: tuple[Storage, LevelState], displaced: Displaced, policy: str
) -> None:
    """Append the objects of a draft to what is left of the level."""
    (storage, level), root, kind = left, scope.opened.root, scope.opened.kind
    options = WriteOptions(mode="append", extend=True, out_of_bounds=policy, axes=root.axes)
    value, row_ids = replace(draft, ids=ids).value(root, level)
    intake = memory_intake(value, kind, options, lambda _: None, First(takes_row_id=level.takes_row_id))
    intake.keep_row_ids(row_ids, draft.next_row_id)
    displaced = replace(displaced, recoded=match_columns(level, intake, options))
    match_links(level, kind, intake, options)
    merge = merge_object_tables(storage, level, intake, options, table_codecs(level))
    append_rows(storage, root, level, intake, options, merge, displaced, kind)
