"""From object and group ids to the fragments they consist of."""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from typing import Any

import numpy as np

from zarr_vectors import constants
from zarr_vectors.core.documents import ID_RUN
from zarr_vectors.core.state import LevelState
from zarr_vectors.encoding.blobs import Blobs, Buffer
from zarr_vectors.encoding.manifests import ManifestTable, decode_manifests
from zarr_vectors.encoding.references import SEAL_BYTES, decode_references
from zarr_vectors.exceptions import CorruptionError, MetadataError, ObjectNotFoundError
from zarr_vectors.query.values import distinct_numbers
from zarr_vectors.storage.backend import Get
from zarr_vectors.storage.storage import Storage
from zarr_vectors.storage.tables import TableArray, read_tables
from zarr_vectors.typing import AnyArray, BoolArray, IntArray

__all__ = ["ObjectRefs", "all_refs", "check_ids", "id_run", "read_ids", "refs_of"]

_LARGEST_ID = 2**63 - 1


@dataclass(frozen=True, eq=False)
class ObjectRefs:
    """Fragments of objects, in the order asked for.

    Args:
        ids: ``(M,)`` object id of each reference.
        chunks: ``(M, K)`` chunk of each reference.
        fragments: ``(M,)`` fragment number inside its chunk.
        numbers: ``(M,)`` place of each reference's object among those asked for.
        asked: ``(n,)`` ids of the objects asked for, those without fragments included.
        lost: Ids of objects whose manifests cannot be read; they have no fragments here.
        errors: Why not.
    """

    ids: IntArray
    chunks: IntArray
    fragments: IntArray
    numbers: IntArray
    asked: IntArray
    lost: IntArray = field(default_factory=lambda: np.zeros(0, dtype=np.int64))
    errors: tuple[CorruptionError, ...] = ()

    def readable(self) -> ObjectRefs:
        """Without the objects whose manifests cannot be read, of which nothing else is known."""
        return self.among(self.asked[~np.isin(self.asked, self.lost)]) if len(self.lost) else self

    def among(self, ids: IntArray | None) -> ObjectRefs:
        """Those of the objects of these ids; all for None."""
        if ids is None:
            return self
        keep = np.isin(self.asked, ids)
        which = keep[self.numbers]
        numbers = (np.cumsum(keep) - 1)[self.numbers[which]]
        return replace(self.take(which), numbers=numbers, asked=self.asked[keep])

    def part(self, start: int, stop: int) -> ObjectRefs:
        """Those of the objects asked for from one place to before another; the first part tells what is lost."""
        first, last = np.searchsorted(self.numbers, [start, stop])
        refs = self.take(slice(first, last))
        refs = replace(refs, numbers=refs.numbers - start, asked=self.asked[start:stop])
        return refs if not start else replace(refs, lost=self.lost[:0], errors=())

    def take(self, which: AnyArray | slice) -> ObjectRefs:
        """These references, by mask, index or slice."""
        return replace(
            self,
            ids=self.ids[which],
            chunks=self.chunks[which],
            fragments=self.fragments[which],
            numbers=self.numbers[which],
        )


@dataclass
class _Faults:
    """Manifests that cannot be read, where that is no reason to stop.

    Args:
        rows: Their rows in the index.
        errors: What is wrong with them.
    """

    rows: list[IntArray] = field(default_factory=list)
    errors: list[CorruptionError] = field(default_factory=list)

    def add(self, rows: IntArray, error: CorruptionError) -> None:
        """Note what is wrong with manifests."""
        self.rows.append(np.asarray(rows, dtype=np.int64))
        self.errors.append(error)

    def told(self, refs: ObjectRefs, ids: IntArray) -> ObjectRefs:
        """References with what is missing among them; ``ids`` are those of the rows of the index."""
        rows = np.concatenate([np.zeros(0, dtype=np.int64), *self.rows])
        return replace(refs, lost=ids[rows], errors=tuple(self.errors))


def id_run(level: LevelState) -> IntArray | None:
    """The object ids where they are a run that needs no table; None where the table must be read."""
    header = level.object_index or {}
    slots = level.object_slots
    if constants.OBJECT_IDS not in level.tables:
        return np.arange(slots, dtype=np.int64)
    run = header.get(ID_RUN)
    if isinstance(run, list) and [type(number) for number in run] == [int, int] and run[1] == slots:
        if not -(2**63) <= run[0] < 2**63 - slots:
            raise MetadataError(
                "the run of object ids does not fit 64 bits",
                store=level.store,
                array=f"{level.number}/{constants.OBJECT_INDEX}",
                got=run,
            )
        return np.arange(run[0], run[0] + slots, dtype=np.int64)
    return None


def read_ids(storage: Storage, level: LevelState) -> IntArray:
    """``(O,)`` object id of each row of the index."""
    known = id_run(level)
    if known is not None:
        return known
    (ids,) = read_tables(storage, [(level.tables[constants.OBJECT_IDS], None)])
    return check_ids(level, ids)


def check_ids(level: LevelState, ids: Any) -> IntArray:
    """A table of ids, as one of int64.

    Raises:
        CorruptionError: It has not one id for each object, or ids beyond 64 bits.
    """
    slots = level.object_slots
    if len(ids) != slots:
        raise CorruptionError(
            "the id table and the manifests differ in length",
            store=level.store,
            array=f"{level.number}/{constants.OBJECT_IDS}",
            expected=slots,
            got=len(ids),
        )
    if not isinstance(ids, np.ndarray) or ids.ndim != 1 or ids.dtype.kind not in "iu" or (ids > _LARGEST_ID).any():
        raise CorruptionError(
            "the id table does not hold one 64-bit integer per object",
            store=level.store,
            array=f"{level.number}/{constants.OBJECT_IDS}",
        )
    return ids.astype(np.int64)


def all_refs(storage: Storage, level: LevelState, *, strict: bool = True) -> tuple[IntArray, ObjectRefs]:
    """The id of every row of the index, and the fragments of every object, in one round.

    Args:
        strict: Whether a manifest that cannot be read raises, rather than being told in the result.
    """
    faults = None if strict else _Faults()
    ids, blobs = _ids_and_manifests(storage, level, faults)
    table = _decode(level, blobs, np.arange(len(ids)), faults)
    refs = ObjectRefs(ids[table.objects], table.chunks, table.fragments, table.objects, ids)
    return ids, refs if faults is None else faults.told(refs, ids)


def refs_of(
    storage: Storage, level: LevelState, wanted: IntArray, required: BoolArray, *, strict: bool = True
) -> ObjectRefs:
    """Fragments of these objects, in this order; one round, or two where a long id table must be searched first.

    Args:
        wanted: ``(n,)`` object ids.
        required: ``(n,)`` whether each must exist; others are left out where they do not.
        strict: Whether a manifest that cannot be read raises, rather than being told in the result.

    Raises:
        ObjectNotFoundError: An id does not exist, or the level dropped the object.
    """
    table = level.tables[constants.OBJECT_MANIFESTS]
    ids = id_run(level)
    by_column = constants.FRAGMENT_REFS in level.tables
    faults = None if strict else _Faults()
    found: dict[Get, Buffer | None] = {}
    blobs: Blobs | None = None
    if ids is None and table.rows <= table.chunk_rows:
        if by_column:
            listed = level.tables[constants.OBJECT_IDS]
            found = storage.fetch([*listed.requests(), *_block_requests(level, np.zeros(1, dtype=np.int64))])
            ids = check_ids(level, listed.decode(found))
        else:
            ids, blobs = _ids_and_manifests(storage, level, faults)
    elif ids is None:
        ids = read_ids(storage, level)
    wanted, rows = _rows_of(level, ids, wanted, required)
    if by_column:
        refs = _references(storage, level, rows, found or storage.fetch(_block_requests(level, rows)), faults)
    elif blobs is None:
        refs = _decode(level, _manifests(storage, level, rows, faults), rows, faults)
    else:
        refs = _decode(level, blobs.take(rows), rows, faults)
    made = ObjectRefs(wanted[refs.objects], refs.chunks, refs.fragments, refs.objects, wanted)
    return made if faults is None else faults.told(made, ids)


def _manifests(storage: Storage, level: LevelState, rows: IntArray | None, faults: _Faults | None) -> Blobs:
    """The manifests of these rows of the index, or of all."""
    table = level.tables[constants.OBJECT_MANIFESTS]
    return _readable(table, storage.fetch(table.requests(rows)), rows, faults)


def _readable(
    table: TableArray, found: dict[Get, Buffer | None], rows: IntArray | None, faults: _Faults | None
) -> Blobs:
    """Manifests from what a round brought; where faults are noted, those that cannot be read are empty."""
    blobs: Blobs
    try:
        blobs = table.decode(found, rows)
    except CorruptionError:
        if faults is None:
            raise
    else:
        return blobs
    rows = np.arange(table.rows, dtype=np.int64) if rows is None else rows
    items: list[Any] = [b""] * len(rows)
    for chunk in distinct_numbers(rows // table.chunk_rows).tolist():
        which = np.flatnonzero(rows // table.chunk_rows == chunk)
        try:
            part = table.decode(found, rows[which])
        except CorruptionError as error:
            faults.add(rows[which], error)
            continue
        for place, item in zip(which.tolist(), part.to_list(), strict=True):
            items[place] = item
    return Blobs.from_list(items)


def _block_chunks(level: LevelState, rows: IntArray) -> IntArray:
    """Stored chunks of manifests of these rows that have a block, and a seal to hold it against."""
    manifests, blocks = level.tables[constants.OBJECT_MANIFESTS], level.tables[constants.FRAGMENT_REFS]
    chunks = distinct_numbers(rows // manifests.chunk_rows)
    return chunks[chunks < blocks.rows] if manifests.has_checksum else chunks[:0]


def _seal_requests(level: LevelState, chunks: IntArray) -> list[Get]:
    manifests = level.tables[constants.OBJECT_MANIFESTS]
    return [Get(get.path, -SEAL_BYTES) for get in manifests.requests(chunks * manifests.chunk_rows)]


def _block_requests(level: LevelState, rows: IntArray) -> list[Get]:
    chunks = _block_chunks(level, rows)
    return [*level.tables[constants.FRAGMENT_REFS].requests(chunks), *_seal_requests(level, chunks)]


def _references(
    storage: Storage, level: LevelState, rows: IntArray, found: dict[Get, Buffer | None], faults: _Faults | None
) -> ManifestTable:
    """References of these rows of the index: from the blocks that still hold, else from the manifests."""
    manifests, blocks = level.tables[constants.OBJECT_MANIFESTS], level.tables[constants.FRAGMENT_REFS]
    chunks = _block_chunks(level, rows)
    parts: list[ManifestTable] = []
    left = np.ones(len(rows), dtype=bool)
    for chunk, seal in zip(chunks.tolist(), _seal_requests(level, chunks), strict=True):
        asked = np.flatnonzero(rows // manifests.chunk_rows == chunk)
        block, current = _block(blocks, found, chunk), found[seal]
        if block is None or current is None:
            continue
        part = decode_references(block, current, rows[asked] % manifests.chunk_rows, level.vertices.ndim)
        if part is not None:
            parts.append(ManifestTable(asked[part.objects], part.chunks, part.fragments))
            left[asked] = False
    asked = np.flatnonzero(left)
    if len(asked) or not parts:
        part = _decode(level, _manifests(storage, level, rows[asked], faults), rows[asked], faults)
        parts.append(ManifestTable(asked[part.objects], part.chunks, part.fragments))
    return parts[0] if len(parts) == 1 else ManifestTable.joined(parts)


def _block(blocks: TableArray, found: dict[Get, Buffer | None], chunk: int) -> memoryview | None:
    """A block of references; None where it is damaged, as the manifests say the same."""
    try:
        block: memoryview = blocks.decode(found, np.array([chunk]))[0]
    except CorruptionError:
        return None
    return block


def _ids_and_manifests(storage: Storage, level: LevelState, faults: _Faults | None) -> tuple[IntArray, Blobs]:
    """All ids and all manifests, in one round."""
    ids = id_run(level)
    manifests = level.tables[constants.OBJECT_MANIFESTS]
    if ids is not None:
        return ids, _manifests(storage, level, None, faults)
    listed = level.tables[constants.OBJECT_IDS]
    found = storage.fetch([*listed.requests(), *manifests.requests()])
    return check_ids(level, listed.decode(found)), _readable(manifests, found, None, faults)


def _rows_of(level: LevelState, ids: IntArray, wanted: IntArray, required: BoolArray) -> tuple[IntArray, IntArray]:
    """The ids that exist, and their rows in the index."""
    ascending = bool((ids[1:] > ids[:-1]).all())
    order = np.arange(len(ids)) if ascending else np.argsort(ids, kind="stable")
    listed = ids if ascending else ids[order]
    place = np.searchsorted(listed, wanted)
    place = np.minimum(place, max(len(ids) - 1, 0))
    found = listed[place] == wanted if len(ids) else np.zeros(len(wanted), dtype=bool)
    unknown = wanted[~found & required]
    if len(unknown):
        raise ObjectNotFoundError(
            f"the level has no object {unknown[0]}",
            store=level.store,
            got=f"{len(unknown)} unknown of {len(wanted)} ids" if len(unknown) > 1 else None,
            hint=f"it has {len(ids)} ids from {ids.min()} to {ids.max()}" if len(ids) else "it has no objects",
        )
    return wanted[found], order[place][found]


def _decode(level: LevelState, blobs: Blobs, rows: IntArray, faults: _Faults | None) -> ManifestTable:
    """The references in the manifests of these rows of the index."""
    array = level.tables[constants.OBJECT_MANIFESTS].path
    if (level.object_index or {}).get("layout") not in (constants.MANIFEST_LAYOUT_V1, constants.MANIFEST_LAYOUT_V2):
        raise MetadataError(
            "the layout of the object index is not known",
            store=level.store,
            array=array,
            got=(level.object_index or {}).get("layout"),
        )
    table, errors = decode_manifests(blobs, level.vertices.ndim)
    for number, what in sorted(errors.items()):
        row = int(rows[number])
        error = CorruptionError("an object manifest is corrupt", store=level.store, array=array, cell=row, got=what)
        if faults is None:
            raise error
        faults.add(rows[number : number + 1], error)
    return table
