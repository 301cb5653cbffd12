"""Edits of points that move or change in place: only the chunks that they leave and enter are written anew."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np

from zarr_vectors import constants
from zarr_vectors.core.documents import ColumnSpec, presence_list, with_presence
from zarr_vectors.core.state import LevelState
from zarr_vectors.edit.draft import Draft, find_numbers, keys_of
from zarr_vectors.edit.operations import Operation, Update
from zarr_vectors.edit.which import Opened, Which, check_found
from zarr_vectors.encoding.blobs import Blobs
from zarr_vectors.encoding.manifests import ManifestTable, decode_manifests, encode_manifests
from zarr_vectors.exceptions import CorruptionError
from zarr_vectors.geometry import Points
from zarr_vectors.query.rows import read_rows
from zarr_vectors.query.selection import Selection
from zarr_vectors.query.values import Rows, distinct_rows, find_rows
from zarr_vectors.spatial.grid import chunk_coords
from zarr_vectors.storage.cells import CellArray
from zarr_vectors.types.append import append_rows
from zarr_vectors.types.append_columns import match_columns
from zarr_vectors.types.append_tables import TableMerge, merge_object_tables
from zarr_vectors.types.intake import First, MemoryIntake, memory_intake
from zarr_vectors.types.objects import table_codecs
from zarr_vectors.types.options import WriteOptions
from zarr_vectors.typing import IntArray

__all__ = ["edit_in_part"]

_ROWS_PER_CELL = 2**32


def edit_in_part(opened: Opened, operations: Sequence[Operation], out_of_bounds: str) -> bool:
    """Do all of it by writing some chunks anew, where that can be done and is worth it.

    Args:
        opened: The store as it is.

    Returns:
        Whether it is done; nothing has been written otherwise.

    Raises:
        InputError, ObjectNotFoundError: An operation cannot be done; nothing is written.
    """
    level = opened.level
    updates = [one for one in operations if isinstance(one, Update)]
    named = not any(one.which.is_everything for one in updates)
    if len(updates) < len(operations) or not named or not _is_plain(opened):
        return False
    finder = _Finder(opened)
    placed = [replace(one, which=Which(keys=finder.keys(one.which))) for one in updates]
    every = np.unique(np.concatenate([one.which.keys for one in placed if one.which.keys is not None]))
    left = level.vertices.present[np.unique(every // _ROWS_PER_CELL)]
    if not len(left) or 2 * len(left) > len(level.vertices.present):
        return False
    draft, touched = _moved(opened, placed, left)
    now = _cells_of(draft, level)
    emptied = bool((find_rows(now, touched) < 0).any())
    orphans = draft.owners is not None and bool((draft.owners < 0).any())
    return not emptied and not orphans and _write(opened, draft, touched, out_of_bounds)


def _is_plain(opened: Opened) -> bool:
    """Whether the store is one of points, stored as this library does, with nothing that ties rows together."""
    level = opened.level
    known = {constants.FRAGMENT_OWNER.partition("/")[2]}
    ties = {name for name in level.fragment_columns if name not in known}
    return opened.kind.connects == "nothing" and level.keeps_count and not level.is_draco and not ties


@dataclass
class _Finder:
    """Where the vertices lie that operations name.

    Args:
        opened: The store.
    """

    opened: Opened

    def keys(self, which: Which) -> IntArray:
        """Keys of these vertices, in their order.

        Raises:
            ObjectNotFoundError: There is no such object.
            InputError: There is no such vertex.
        """
        if which.vertices is not None:
            return self._addressed(which.vertices)
        if which.row_ids is not None:
            return self._numbered(which.row_ids)
        if which.objects is not None:
            return keys_of(self._read(Selection(object_ids=which.objects)).places)
        assert which.selection is not None
        return self.opened.selected(which.selection, which.mode)

    def _read(self, selection: Selection, attributes: tuple[str, ...] = ()) -> Rows:
        wanted = replace(selection, attributes=attributes, places=True)
        return read_rows(self.opened.storage, self.opened.level, wanted)

    def _addressed(self, addresses: IntArray) -> IntArray:
        ids = np.unique(addresses[:, 0])
        rows = self._read(Selection(object_ids=ids))
        assert rows.object_ids is not None
        # Objects come one after another, in the order of the ids.
        begins = np.searchsorted(rows.object_ids, addresses[:, 0])
        at = begins + addresses[:, 1]
        counts = np.searchsorted(rows.object_ids, addresses[:, 0], side="right") - begins
        gone = (addresses[:, 1] < 0) | (addresses[:, 1] >= counts)
        check_found([f"vertex {place} of object {owner}" for owner, place in addresses[gone]])
        keys: IntArray = keys_of(rows.places)[at]
        return keys

    def _numbered(self, row_ids: IntArray) -> IntArray:
        rows = self._read(Selection(owners=False), (constants.ROW_ID,))
        known = np.asarray(rows.columns[constants.ROW_ID]).astype(np.int64)
        at = find_numbers(known, np.argsort(known, kind="stable"), row_ids)
        check_found([f"row id {row_id}" for row_id in row_ids[at < 0].tolist()])
        return keys_of(rows.places)[at]


def _moved(opened: Opened, placed: Sequence[Update], left: IntArray) -> tuple[Draft, IntArray]:
    """All points of the chunks that points leave or enter, as they will be; and these chunks as they are."""
    draft = _draft(opened, left)
    for update in placed:
        update.apply(draft, opened)
    now, present = _cells_of(draft, opened.level), opened.level.vertices.present
    entered = now[(find_rows(left, now) < 0) & (find_rows(present, now) >= 0)]
    if not len(entered):
        return draft, left
    # Their points stay as they are: they are read after all has been done to the others.
    everything = distinct_rows(np.concatenate([left, entered]))
    whole = _draft(opened, everything)
    for update in placed:
        update.apply(whole, opened)
    return whole, everything


def _cells_of(draft: Draft, level: LevelState) -> IntArray:
    """``(n, K)`` chunks that the points lie in."""
    coords: IntArray = np.stack(chunk_coords(draft.positions, level.chunk_shape), axis=-1).astype(np.int64)
    return distinct_rows(coords)


def _draft(opened: Opened, chunks: IntArray) -> Draft:
    """The points of some chunks."""
    rows = read_rows(opened.storage, opened.level, Selection(chunks=chunks, places=True))
    columns = dict(rows.columns)
    row_ids = columns.pop(constants.ROW_ID, None)
    count = len(rows.positions)
    return Draft(
        kind=opened.kind,
        positions=rows.positions,
        columns=columns,
        owners=rows.object_ids,
        along=np.zeros(count, dtype=np.int64),
        born=np.zeros((count, 2), dtype=np.int64),
        keys=keys_of(rows.places),
        row_ids=None if row_ids is None else np.asarray(row_ids).astype(np.int64),
    )


def _write(opened: Opened, draft: Draft, touched: IntArray, out_of_bounds: str) -> bool:
    """Append the points to the level as it is without the chunks that they come from."""
    root, level, storage = opened.root, opened.level, opened.storage
    options = WriteOptions(mode="append", extend=True, out_of_bounds=out_of_bounds, axes=root.axes)
    value = Points(draft.positions, draft.columns, draft.owners, axes=root.axes)
    intake = memory_intake(value, opened.kind, options, lambda _: None, First())
    if draft.row_ids is not None:
        intake.table.columns[constants.ROW_ID] = draft.row_ids
        intake.columns[constants.ROW_ID] = ColumnSpec(dtype=np.dtype(np.int64))
    if match_columns(level, intake, options):
        # The stored type of an attribute must widen, everywhere.
        return False
    merge = merge_object_tables(storage, level, intake, options, table_codecs(level))
    if level.has_objects:
        merge = replace(merge, manifests=_manifests_without(merge, level, touched))
    append_rows(storage, root, _without(level, touched, intake), intake, options, merge, {}, opened.kind)
    return True


def _without(level: LevelState, chunks: IntArray, intake: MemoryIntake) -> LevelState:
    """The level as if it had not the rows of these chunks, which the rows that come are as many as."""
    count = intake.extent.rows
    facts = level.metadata.to_json()
    facts["vertex_count"] = level.metadata.vertex_count - count
    if constants.ROW_ID in intake.columns:
        facts["next_row_id"] = int(facts["next_row_id"]) - count
    left = level.vertices.present[find_rows(chunks, level.vertices.present) < 0]
    cells = {
        name: CellArray(array.path, with_presence(array.document, presence_list(left)), array.store)
        for name, array in level.cells.items()
    }
    return replace(level, metadata=type(level.metadata).parse(facts, where=f"{level.number}/zarr.json"), cells=cells)


def _manifests_without(merge: TableMerge, level: LevelState, chunks: IntArray) -> Blobs:
    """Manifests that name no fragment of these chunks."""
    table, errors = decode_manifests(merge.manifests, level.vertices.ndim)
    if errors:
        raise CorruptionError(
            "an object manifest is corrupt", store=level.store, cell=min(errors), got=errors[min(errors)]
        )
    kept = find_rows(chunks, table.chunks) < 0
    return encode_manifests(
        ManifestTable(table.objects[kept], table.chunks[kept], table.fragments[kept]), merge.old_rows
    )
