"""Merging the tables of objects and groups of a level, row by row: a row is known by its object id or group number."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from zarr_vectors import constants
from zarr_vectors.core.documents import (
    EVERY_ROW_PRESENT,
    ID_RUN,
    OWNERS_OF,
    absent_value,
    group_document,
    index_header,
    own_header,
    owners_agree,
    typed_table_document,
)
from zarr_vectors.core.merge_documents import conflict, merge_documents
from zarr_vectors.core.merge_rows import TableRows
from zarr_vectors.core.object_index import manifest_puts
from zarr_vectors.core.state import LevelState
from zarr_vectors.encoding.blobs import Blobs
from zarr_vectors.encoding.compression import typed_codecs
from zarr_vectors.exceptions import CorruptionError
from zarr_vectors.metadata.array import ArrayDocument, fill_value_json, fill_value_of, zarr_data_type
from zarr_vectors.metadata.base import dump_json
from zarr_vectors.storage.storage import Put, Storage
from zarr_vectors.storage.tables import TableArray, read_tables
from zarr_vectors.typing import AnyArray, BoolArray, IntArray, JsonObject

__all__ = ["Tables", "is_object_table", "merge_object_tables", "read_object_tables"]

_FAMILIES = (
    constants.OBJECT_INDEX,
    constants.OBJECT_ATTRIBUTES,
    constants.GROUPS,
    constants.GROUP_ATTRIBUTES,
)


def is_object_table(name: str) -> bool:
    """Whether a node below a level belongs to the tables of objects and groups."""
    return name.partition("/")[0] in _FAMILIES


@dataclass(frozen=True)
class Tables:
    """The tables of a level in one state of the store.

    Args:
        ids: ``(O,)`` object id of each row.
        header: Document of ``object_index``.
        id_table: The array of the ids.
        columns: By name below the level: the array, and its rows; byte strings as an array of objects.
        has_refs: Whether there are references by column, which follow from the manifests.
    """

    ids: IntArray
    header: JsonObject | None = None
    id_table: TableArray | None = None
    columns: Mapping[str, tuple[TableArray, AnyArray]] = field(default_factory=dict)
    has_refs: bool = False

    def keys(self, name: str) -> IntArray:
        """What the rows of a table are known by."""
        if _is_by_object(name):
            return self.ids[: len(self.columns[name][1])]
        return np.arange(len(self.columns[name][1]), dtype=np.int64)


def read_object_tables(storage: Storage, level: LevelState | None) -> Tables:
    """All tables of a level but that of the ids, whose rows become keys."""
    if level is None:
        return Tables(np.zeros(0, dtype=np.int64))
    has_refs = constants.FRAGMENT_REFS in level.tables
    names = [name for name in level.tables if is_object_table(name) and name != constants.FRAGMENT_REFS]
    values = dict(zip(names, read_tables(storage, [(level.tables[name], None) for name in names]), strict=True))
    rows = {name: _as_array(found) for name, found in values.items()}
    ids = rows.pop(constants.OBJECT_IDS, None)
    if ids is None:
        ids = np.arange(level.object_slots, dtype=np.int64)
    path = f"{level.number}/{constants.OBJECT_INDEX}/zarr.json"
    header = storage.read_documents([path])[path]
    columns = {name: (level.tables[name], found) for name, found in rows.items()}
    tables = Tables(ids, header, level.tables.get(constants.OBJECT_IDS), columns, has_refs)
    for name, found in rows.items():
        if _is_by_object(name) and len(found) > len(ids):
            raise CorruptionError("a table has more rows than there are ids", store=storage.url, array=name)
    return tables


def _is_by_object(name: str) -> bool:
    return name.partition("/")[0] in {constants.OBJECT_INDEX, constants.OBJECT_ATTRIBUTES}


def _as_array(rows: Any) -> AnyArray:
    if not isinstance(rows, Blobs):
        return np.asarray(rows)
    found = np.empty(len(rows), dtype=object)
    found[:] = rows.to_list()
    return found


def merge_object_tables(
    level: LevelState, base: Tables, ours: Tables, theirs: Tables, *, touched: tuple[IntArray, IntArray]
) -> Iterator[Put]:
    """Every stored object and document of the merged tables.

    Args:
        level: Ours.
        touched: ``(n, K)`` chunks whose rows or fragments have changed on our side, and on theirs.

    Raises:
        ConcurrentEditError: The same object, group or row of an attribute has changed on both sides, both have made
            an object with one id, or an object of one side refers to a chunk that the other has changed.
    """
    ids = _merged_keys(base.ids, ours.ids, theirs.ids, "object", level.number)
    sizes = np.zeros(len(ids), dtype=np.int64)
    for name in dict.fromkeys((*ours.columns, *theirs.columns)):
        path = f"{level.number}/{name}"
        sides = [side.columns.get(name) for side in (base, ours, theirs)]
        if sides[0] is not None and (sides[1] is None or sides[2] is None):
            raise conflict("a table was removed on one side", array=path)
        keys = [side.keys(name) if name in side.columns else ids[:0] for side in (base, ours, theirs)]
        wanted = ids if _is_by_object(name) else np.arange(max(map(len, keys)), dtype=np.int64)
        rows = TableRows(path, wanted, keys, [None if side is None else side[1] for side in sides])
        if name == constants.OBJECT_MANIFESTS:
            rows.check_references(touched, level.vertices.ndim)
        merged, lacking = rows.merged(members=name == constants.GROUPS)
        if name == constants.OBJECT_MANIFESTS:
            sizes = np.array([len(item) for item in merged.tolist()], dtype=np.int64)
        document = _document(path, [None if side is None else side[0].document for side in sides], merged)
        if lacking.any():
            merged, document = _marked_absent(path, document, merged, lacking)
        if name == constants.OBJECT_MANIFESTS:
            table, blobs = TableArray(path, document), Blobs.from_list(merged.tolist())
            with_refs = ours.has_refs or theirs.has_refs
            yield from manifest_puts(table, blobs, level.vertices.ndim, with_refs=with_refs)
        else:
            yield from _table(path, document, merged)
    yield from _index_puts(level, (base, ours, theirs), ids, sizes)


def _merged_keys(base: IntArray, ours: IntArray, theirs: IntArray, what: str, level: int) -> IntArray:
    """Our ids without those that they removed, then those that they added."""
    added = theirs[~np.isin(theirs, base)]
    twice = added[np.isin(added, ours)]
    if len(twice):
        raise conflict(
            f"both sides have made an {what} with the same id",
            array=f"{level}/{constants.OBJECT_IDS}",
            got=f"{len(twice)} ids, the first is {int(twice[0])}",
        )
    gone = base[~np.isin(base, theirs)]
    return np.concatenate([ours[~np.isin(ours, gone)], added])


def _document(path: str, documents: list[ArrayDocument | None], rows: AnyArray) -> ArrayDocument:
    """The merged document of a table with these rows."""
    sides = [None if document is None else document.to_json() for document in documents]
    mine, other = sides[1] or sides[2], sides[2] or sides[1]
    assert mine is not None
    assert other is not None
    leave = ("shape", "chunk_grid", "data_type", "num_groups", EVERY_ROW_PRESENT, "dtype")
    merged = ArrayDocument.parse(merge_documents(sides[0], mine, other, path=path, leave=leave), where=path)
    said: JsonObject = {}
    if "shape" in merged.attributes:
        said["shape"] = list(rows.shape)
    if "num_groups" in merged.attributes:
        said["num_groups"] = len(rows)
    if rows.dtype.kind == "U":
        said["dtype"] = rows.dtype.str
    complete = [document.attributes.get(EVERY_ROW_PRESENT) for document in documents[1:] if document is not None]
    said[EVERY_ROW_PRESENT] = all(complete) or None
    merged = merged.with_attributes(**said)
    chunk = _chunk_rows(path, merged, len(rows))
    grid = {"name": "regular", "configuration": {"chunk_shape": [chunk, *merged.chunk_shape[1:]]}}
    data_type = merged.data_type if rows.dtype == object else zarr_data_type(rows.dtype)
    return merged.replace(shape=tuple(int(n) for n in rows.shape), chunk_grid=grid, data_type=data_type)


def _chunk_rows(path: str, document: ArrayDocument, rows: int) -> int:
    name = path.partition("/")[2]
    most = {constants.OBJECT_MANIFESTS: constants.MANIFEST_CHUNK}.get(name, rows)
    if name.startswith(constants.OBJECT_ATTRIBUTES):
        most = max(document.chunk_shape[0], min(constants.OBJECT_ATTRIBUTE_CHUNK, rows))
    return max(1, min(most, rows) if most != document.chunk_shape[0] else most)


def _marked_absent(
    path: str, document: ArrayDocument, rows: AnyArray, lacking: BoolArray
) -> tuple[AnyArray, ArrayDocument]:
    """Rows that one side made without knowing of the column get the value that means absence."""
    if rows.dtype == object:
        return rows, document
    absent = absent_value(rows.dtype) if rows.dtype.kind != "b" else None
    fill = None if absent is None else fill_value_of(document)
    taken = absent is not None and rows.dtype.kind not in "fcmM" and bool((rows[~lacking] == absent).any())
    if absent is None or taken:
        raise conflict(
            "one side has added a column, the other rows, and no value of the column's type can mark them as absent",
            array=path,
            got=f"{rows.dtype}, fill value {fill!r}",
        )
    rows[lacking] = absent
    said = {"fill_sentinel_meaning": "absent", EVERY_ROW_PRESENT: None}
    document = document.replace(fill_value=fill_value_json(absent, rows.dtype)).with_attributes(**said)
    return rows, document


def _table(path: str, document: ArrayDocument, rows: AnyArray) -> Iterator[Put]:
    table = TableArray(path, document)
    yield from table.encode(Blobs.from_list(rows.tolist()) if rows.dtype == object else rows)
    yield f"{path}/zarr.json", dump_json(document.to_json())


def _index_puts(
    level: LevelState, sides: tuple[Tables, Tables, Tables], ids: IntArray, sizes: IntArray
) -> Iterator[Put]:
    """The index's header, and the table of the ids."""
    base, ours, theirs = sides
    path = f"{level.number}/{constants.OBJECT_INDEX}"
    counted = ("num_objects", "num_present", "object_ids_sorted", "layout", ID_RUN, OWNERS_OF)
    mine, other = ours.header or theirs.header, theirs.header or ours.header
    assert mine is not None
    assert other is not None
    header = merge_documents(base.header, mine, other, path=path, leave=counted)
    said = {key: value for key, value in header["attributes"].items() if key not in counted}
    agree = all(owners_agree(own_header(side.header)) for side in sides if side.header is not None)
    said |= index_header(ids, sizes, level.vertices.ndim, owners_agree=agree)
    yield f"{path}/zarr.json", dump_json({**group_document(), **header, "attributes": said})
    table = ours.id_table or theirs.id_table
    if len(ids):
        codecs = typed_codecs() if table is None else table.document.codecs
        document = typed_table_document(ids, len(ids), codecs, {}, 0)
        yield from _table(f"{level.number}/{constants.OBJECT_IDS}", document, ids)
