"""Objects cut out of the chunks in which they have vertices: the cells and manifests that are left."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace

import numpy as np

from zarr_vectors import constants
from zarr_vectors.core.documents import presence_list, with_presence
from zarr_vectors.edit.cell_puts import cells_instead
from zarr_vectors.edit.described import described, descriptions_of
from zarr_vectors.edit.draft import Draft
from zarr_vectors.edit.level_change import LevelChange
from zarr_vectors.edit.owned import fragments_named, owners_of
from zarr_vectors.edit.scope import Scope
from zarr_vectors.edit.shrunk import Shrunk, kept_items
from zarr_vectors.edit.shrunk_links import ShrunkLinks
from zarr_vectors.edit.which import Opened
from zarr_vectors.encoding.blobs import Blobs
from zarr_vectors.encoding.fragments import decode_fragments
from zarr_vectors.encoding.manifests import ManifestTable, decode_manifests, encode_manifests
from zarr_vectors.exceptions import CorruptionError
from zarr_vectors.metadata.base import dump_json
from zarr_vectors.query.rows import wanted_refs
from zarr_vectors.query.selection import Selection
from zarr_vectors.query.values import distinct_rows, find_rows
from zarr_vectors.storage.cells import read_cells
from zarr_vectors.storage.tables import read_tables
from zarr_vectors.types.append_beside import objects_with
from zarr_vectors.types.cell_facts import can_index, facts_of_level, forget_reach
from zarr_vectors.types.objects import check_tables, table_codecs, table_names, table_puts, worth_refs
from zarr_vectors.typing import IntArray

__all__ = ["Cut", "cut_out", "put_tables"]


def cut_out(opened: Opened, ids: IntArray) -> Cut | None:
    """What becomes of the chunks in which objects have vertices that go; None where that is not plain.

    Args:
        ids: Of the objects.

    Raises:
        CorruptionError: A cell or a manifest is gone or corrupt.
    """
    storage, level = opened.storage, opened.level
    if not level.keeps_count or level.is_draco or constants.FRAGMENT_OWNER not in level.cells:
        return None
    refs = wanted_refs(storage, level, Selection(object_ids=ids, lenient=True))
    assert refs is not None
    coords = distinct_rows(refs.chunks)
    if not all(array.has(coords).all() for array in level.cells.values()):
        return None
    reads = read_cells(storage, [(array, coords) for array in level.cells.values()])
    cells = {name: read.check().cells for name, read in zip(level.cells, reads, strict=True)}
    table, errors = decode_fragments(cells[constants.VERTEX_FRAGMENTS])
    owned = cells[constants.FRAGMENT_OWNER]
    if errors or (table.starts < 0).any() or not np.array_equal(owned.sizes, 8 * table.per_cell):
        return None
    keep = ~np.isin(np.frombuffer(owned.joined(), dtype="<i8"), ids)
    rows = cells[constants.VERTICES].sizes // (level.position_dtype.itemsize * len(level.chunk_shape))
    beyond = table.starts + table.counts > np.repeat(rows, table.per_cell)
    owners = owners_of(table, fragments_named(level, coords, table, refs), refs)
    # What states to be of an object that goes must be of it, and the other way round.
    if not np.array_equal(np.isin(owners, ids) & (table.counts > 0), ~keep & (table.counts > 0)) or beyond.any():
        return None
    chunks = Shrunk(coords, rows, table, keep)
    return Cut.of(chunks, cells) if chunks.is_sound else None


@dataclass(frozen=True, eq=False)
class Cut:
    """Chunks without objects that go.

    Args:
        chunks: What becomes of their rows and fragments.
        cells: Payloads of each array as they will be, one for each chunk.
    """

    chunks: Shrunk
    cells: Mapping[str, Blobs]

    @classmethod
    def of(cls, chunks: Shrunk, cells: Mapping[str, Blobs]) -> Cut | None:
        """From the payloads as they are; None where they do not have a value for each row or fragment."""
        left: dict[str, Blobs] = {constants.VERTEX_FRAGMENTS: chunks.fragments()}
        for name, payload in cells.items():
            if name == constants.VERTEX_FRAGMENTS:
                continue
            if name.partition("/")[0] == constants.FRAGMENT_ATTRIBUTES:
                kept = kept_items(payload, chunks.table.per_cell, chunks.keep)
            else:
                kept = kept_items(payload, chunks.rows, chunks.keep_rows)
            if kept is None:
                return None
            left[name] = kept
        return cls(chunks, left)

    @property
    def rows_gone(self) -> int:
        """How many rows go."""
        return int((self.chunks.rows - self.chunks.rows_left).sum())

    def change(self, opened: Opened, count: int, links: ShrunkLinks) -> LevelChange:
        """A change of the level to these cells.

        Args:
            count: Vertices that the level has from now on.
            links: Of the level, without those that lead to what goes.
        """
        storage, level, coords = opened.storage, opened.level, self.chunks.coords
        full = np.flatnonzero(self.chunks.rows_left > 0)
        emptied = coords[self.chunks.rows_left == 0]
        kept = presence_list(level.vertices.present[find_rows(emptied, level.vertices.present) < 0])
        facts = facts_of_level(storage, level) if can_index(storage) else None
        if facts is not None:
            forget_reach(facts, level, coords)
        change = LevelChange(opened, None, facts, dict(level.cells))
        for name, old in level.cells.items():
            cells = self.cells[name]
            if facts is not None:
                facts.note(coords[full], {name: cells.take(full)})
            change.puts.append(cells_instead(storage, old, coords, full, cells))
            if len(emptied):
                array = replace(old, document=with_presence(old.document, kept))
                change.arrays[name] = array
                change.puts.append([(f"{array.path}/zarr.json", dump_json(array.document.to_json()))])
        change.puts.append(links.puts())
        change.gone |= links.gone
        change.deletes += [objects_with(level.cells.values(), coords), links.deletes]
        change.metadata = level.metadata.replace(vertex_count=count)
        return change


def put_tables(change: LevelChange, scope: Scope, draft: Draft, cut: Cut, gone: IntArray) -> bool:
    """Let a change write the tables of objects as a draft has them, with fragments as they are numbered now.

    Args:
        cut: What becomes of the chunks.
        gone: Ids of the objects that lose all their vertices.

    Returns:
        Whether that is possible: not where other objects name a fragment that goes, or that there is not.

    Raises:
        CorruptionError: A manifest cannot be read.
        InputError: The tables cannot hold what they are to.
    """
    level, old, chunks = scope.opened.level, scope.tables, cut.chunks
    assert old is not None
    tables = draft.tables()
    check_tables(tables, {})
    (blobs,) = read_tables(scope.opened.storage, [(level.tables[constants.OBJECT_MANIFESTS], None)])
    known, errors = decode_manifests(blobs, level.vertices.ndim)
    if errors:
        raise CorruptionError(
            "an object manifest is corrupt", store=level.store, cell=min(errors), got=errors[min(errors)]
        )
    owners = old.ids[known.objects]
    left = np.flatnonzero(~np.isin(owners, gone))
    rows = np.searchsorted(tables.ids, owners[left])
    left = left[np.argsort(rows, kind="stable")]
    cell, fragments = find_rows(chunks.coords, known.chunks[left]), known.fragments[left].copy()
    inside = cell >= 0
    if not chunks.stays(cell[inside], fragments[inside]).all():
        return False
    fragments[inside] = chunks.fragment(cell[inside], fragments[inside])
    manifests = encode_manifests(ManifestTable(np.sort(rows), known.chunks[left], fragments), len(tables.ids))
    with_refs = constants.FRAGMENT_REFS in level.tables or worth_refs(manifests.total)
    puts = table_puts(
        level.number,
        tables,
        manifests,
        level.vertices.ndim,
        table_codecs(level),
        with_refs=with_refs,
        owners_agree=level.owners_agree,
    )
    change.puts.append(described(puts, descriptions_of(level, draft)))
    change.gone |= level.tables.keys()
    change.more |= {*table_names(tables, with_refs=with_refs)}
    for table in level.tables.values():
        change.deletes.append([f"{table.path}/zarr.json", *(get.path for get in table.requests())])
    if old.attributes and not tables.attributes:
        change.deletes.append([f"{level.number}/{constants.OBJECT_ATTRIBUTES}/zarr.json"])
    return True
