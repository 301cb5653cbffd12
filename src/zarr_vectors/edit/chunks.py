"""Points whose chunks are written anew: those that points leave, enter, come to or are removed from.

All points of these chunks are read into a draft, which is edited as that of a whole level would be. The level is then
taken for one without these chunks, and what the draft holds afterwards is appended to it. A chunk to which nothing
comes back goes, and with it its place in the shard around it.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field, replace

import numpy as np

from zarr_vectors import constants
from zarr_vectors.core.documents import presence_list, with_presence
from zarr_vectors.core.state import LevelState
from zarr_vectors.edit.checks import check_fewer
from zarr_vectors.edit.described import Descriptions, described, descriptions_of
from zarr_vectors.edit.draft import Draft
from zarr_vectors.edit.owned import check_chunks
from zarr_vectors.edit.scope import Scope
from zarr_vectors.edit.which import Opened
from zarr_vectors.encoding.blobs import Blobs
from zarr_vectors.encoding.manifests import ManifestTable, decode_manifests, encode_manifests
from zarr_vectors.exceptions import CorruptionError
from zarr_vectors.geometry import Points
from zarr_vectors.query.objects import ObjectRefs
from zarr_vectors.query.values import distinct_rows, find_rows
from zarr_vectors.spatial.grid import chunk_coords
from zarr_vectors.storage.storage import Put
from zarr_vectors.storage.tables import read_tables
from zarr_vectors.types.append import append_rows
from zarr_vectors.types.append_beside import Displaced, objects_with
from zarr_vectors.types.append_columns import match_columns
from zarr_vectors.types.append_tables import TableMerge
from zarr_vectors.types.cell_plan import CellPlan
from zarr_vectors.types.encode import Tally
from zarr_vectors.types.intake import First, memory_intake
from zarr_vectors.types.objects import ObjectTables, check_tables, table_codecs, table_names, worth_refs
from zarr_vectors.types.options import WriteOptions
from zarr_vectors.typing import IntArray

__all__ = ["can_write_chunks", "write_chunks"]


def can_write_chunks(opened: Opened) -> bool:
    """Whether the store is one of points, stored as this library does, with nothing that ties rows together."""
    level = opened.level
    shards = {(array.block, array.grid) for array in level.cells.values()}
    plain = level.keeps_count and not level.is_draco and not level.fragment_columns and len(shards) == 1
    return plain and opened.kind.connects == "nothing"


def write_chunks(scope: Scope, out_of_bounds: str, *, refresh: bool) -> bool:
    """Do all operations by writing some chunks anew, where that is possible and worth it.

    Args:
        refresh: Whether coarser levels are made anew right after.

    Returns:
        Whether it is done; nothing has been written otherwise.

    Raises:
        InputError, ConventionError: An operation cannot be done; nothing is written.
    """
    opened, present = scope.opened, scope.opened.level.vertices.present
    touched = scope.chunks
    draft = _edited(scope, touched)
    if draft is None:
        return False
    now = _cells_of(draft, opened.level)
    entered = now[(find_rows(touched, now) < 0) & (find_rows(present, now) >= 0)]
    if len(entered):
        # Their points stay as they are: they are read after all has been done to the others.
        touched = distinct_rows(np.concatenate([touched, entered]))
        draft = _edited(scope, touched)
    if draft is None or (draft.owners is not None and (not len(draft.ids) or bool((draft.owners < 0).any()))):
        return False
    count = opened.level.metadata.vertex_count - len(draft.read_keys) + len(draft)
    if not count:
        return False
    check_fewer(opened.storage, opened.root, opened.level, count, refresh=refresh)
    _write(scope, draft, touched, out_of_bounds)
    return True


def _edited(scope: Scope, chunks: IntArray) -> Draft | None:
    """The points of some chunks when all has been done to them; None where these are too many to be told apart."""
    if 2 * len(chunks) > len(scope.opened.level.vertices.present):
        return None
    draft = scope.draft(chunks)
    for operation in scope.operations if draft is not None else ():
        assert draft is not None
        operation.apply(draft, scope.opened)
    return draft


def _cells_of(draft: Draft, level: LevelState) -> IntArray:
    """``(n, K)`` chunks that the points lie in."""
    coords: IntArray = np.stack(chunk_coords(draft.positions, level.chunk_shape), axis=-1).astype(np.int64)
    return distinct_rows(coords)


def _write(scope: Scope, draft: Draft, touched: IntArray, out_of_bounds: str) -> None:
    """Append the points to the level as it is without the chunks that they come from."""
    opened = scope.opened
    root, level, storage = opened.root, opened.level, opened.storage
    options = WriteOptions(mode="append", extend=True, out_of_bounds=out_of_bounds, axes=root.axes)
    value = Points(draft.positions, draft.columns, draft.owners, axes=root.axes)
    intake = memory_intake(value, opened.kind, options, lambda _: None, First(takes_row_id=level.takes_row_id))
    intake.keep_row_ids(draft.row_ids, draft.next_row_id)
    recoded = match_columns(level, intake, options)
    paths = objects_with(level.cells.values(), touched)
    for table in level.tables.values():
        paths |= {f"{table.path}/zarr.json", *(get.path for get in table.requests())}
    merge = _tables(scope, draft, touched)
    rest = _without(level, touched, draft, merge)
    displaced = Displaced(recoded=recoded, cells=touched, paths=frozenset(paths))
    append_rows(storage, root, rest, intake, options, merge, displaced, opened.kind)


def _without(level: LevelState, chunks: IntArray, draft: Draft, merge: TableMerge) -> LevelState:
    """The level as if it had not the rows of these chunks, and as if the rows of a draft were still to be numbered."""
    facts = level.metadata.to_json()
    facts["vertex_count"] = level.metadata.vertex_count - len(draft.read_keys)
    left = level.vertices.present[find_rows(chunks, level.vertices.present) < 0]
    cells = {
        name: replace(array, document=with_presence(array.document, presence_list(left)))
        for name, array in level.cells.items()
    }
    known = table_names(merge.tables, with_refs=merge.with_refs)
    return replace(
        level,
        metadata=type(level.metadata).parse(facts, where=f"{level.number}/zarr.json"),
        cells=cells,
        tables={name: table for name, table in level.tables.items() if name in known},
    )


@dataclass(frozen=True)
class _Tables(TableMerge):
    """Tables of objects as a draft has them.

    Args:
        descriptions: What the documents of tables have said.
    """

    descriptions: Descriptions = field(default_factory=dict)

    def puts(self, tally: Tally, plan: CellPlan) -> Iterator[Put]:
        """All tables with the new references."""
        yield from described(super().puts(tally, plan), self.descriptions)


def _tables(scope: Scope, draft: Draft, touched: IntArray) -> TableMerge:
    """The tables of a draft, with references to all fragments but those of some chunks.

    Raises:
        CorruptionError: A manifest cannot be read, or fragments of the chunks state something else.
        ConventionError: Objects share vertices of the chunks.
        InputError: The tables cannot hold what they are to.
    """
    level, old = scope.opened.level, scope.tables
    codecs = table_codecs(level)
    none = ObjectTables(ids=np.zeros(0, dtype=np.int64))
    if old is None:
        return TableMerge(level.number, none, Blobs.from_list([]), 0, 0, none.ids, None, codecs)
    tables = draft.tables()
    check_tables(tables, {})
    (manifests,) = read_tables(scope.opened.storage, [(level.tables[constants.OBJECT_MANIFESTS], None)])
    known, errors = decode_manifests(manifests, level.vertices.ndim)
    if errors:
        raise CorruptionError(
            "an object manifest is corrupt", store=level.store, cell=min(errors), got=errors[min(errors)]
        )
    inside = find_rows(touched, known.chunks) >= 0
    of = known.objects[inside]
    named = ObjectRefs(old.ids[of], known.chunks[inside], known.fragments[inside], of, old.ids)
    check_chunks(scope.opened.storage, level, touched, named)
    # Objects that are gone have no fragments outside these chunks.
    kept = np.flatnonzero(~inside)
    rows = np.searchsorted(tables.ids, old.ids[known.objects[kept]])
    order = np.argsort(rows, kind="stable")
    kept = kept[order]
    left = encode_manifests(ManifestTable(rows[order], known.chunks[kept], known.fragments[kept]), len(tables.ids))
    return _Tables(
        level.number,
        tables,
        left,
        len(tables.ids),
        0,
        none.ids,
        None,
        codecs,
        with_refs=constants.FRAGMENT_REFS in level.tables or worth_refs(manifests.total),
        owners_agree=level.owners_agree,
        descriptions=descriptions_of(level, draft),
    )
