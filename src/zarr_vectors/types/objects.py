"""The tables of objects and groups on their way to disk."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from zarr_vectors import constants
from zarr_vectors.core.documents import (
    EVERY_ROW_PRESENT,
    absent_value,
    dtype_name,
    group_document,
    index_header,
    manifests_document,
    typed_table_document,
    vlen_table_document,
)
from zarr_vectors.core.object_index import manifest_puts
from zarr_vectors.core.state import LevelState
from zarr_vectors.encoding.blobs import Blobs
from zarr_vectors.encoding.compression import cell_codecs, typed_codecs
from zarr_vectors.encoding.manifests import ManifestTable
from zarr_vectors.exceptions import InputError
from zarr_vectors.geometry import Categorical, Column
from zarr_vectors.metadata.array import ArrayDocument
from zarr_vectors.metadata.base import dump_json
from zarr_vectors.spatial.partition import stable_order
from zarr_vectors.storage.storage import Put
from zarr_vectors.storage.tables import TableArray
from zarr_vectors.types.cell_plan import CellPlan
from zarr_vectors.types.encode import Fragments
from zarr_vectors.types.table import check_attribute_name, check_width
from zarr_vectors.typing import AnyArray, BoolArray, IntArray, JsonObject

__all__ = [
    "ObjectTables",
    "as_stored_column",
    "check_tables",
    "manifests_of",
    "object_attribute_puts",
    "table_codecs",
    "table_names",
    "table_puts",
    "worth_refs",
]

_WORTH_REFS = 1 << 20
"""Bytes of manifests from which on reading a few objects is mostly decoding the manifests of others."""


@dataclass(frozen=True, kw_only=True)
class ObjectTables:
    """Everything known by object or group.

    Args:
        ids: ``(O,)`` object ids in index order.
        attributes: A row for each of ``ids``.
        groups: Group id to object ids.
        group_attributes: A row for each group id from 0.
    """

    ids: IntArray
    attributes: Mapping[str, Column] = field(default_factory=dict)
    groups: Mapping[int, IntArray] = field(default_factory=dict)
    group_attributes: Mapping[str, Column] = field(default_factory=dict)


def check_tables(tables: ObjectTables, groups: Mapping[int, IntArray] | None = None) -> None:
    """Refuse what the tables cannot hold.

    Args:
        groups: The groups to look into, where others are stored already; by default all.

    Raises:
        InputError: A bad name, a group that names an unknown object, too many objects, or text that the format
            cannot tell from missing.
    """
    if len(tables.ids) > constants.MAX_OBJECTS:
        raise InputError("there are too many objects", got=len(tables.ids), expected=f"at most {constants.MAX_OBJECTS}")
    known = tables.ids
    for group, members in (tables.groups if groups is None else groups).items():
        unknown = members[~np.isin(members, known)]
        if len(unknown):
            raise InputError(
                f"group {group} names an object that does not exist",
                got=unknown[:5].tolist(),
                hint="remove it from the group, or give its points",
            )
    for what, columns in (("object attribute", tables.attributes), ("group attribute", tables.group_attributes)):
        for name, column in columns.items():
            check_attribute_name(name, what)
            as_stored_column(name, column)


def as_stored_column(name: str, column: Column) -> tuple[AnyArray, bool]:
    """The numbers or fixed-width text of a table column, and whether every row has a value."""
    if not isinstance(column, Categorical):
        check_width(name, column)
        return (_with_sentinels(name, column), False) if np.ma.is_masked(column) else (np.asarray(column), True)
    odd = next((c for c in column.categories if not isinstance(c, str) or c.endswith("\0")), None)
    if odd is not None:
        raise InputError(
            f"categories of attribute {name!r} must be text that does not end in NUL",
            got=repr(odd),
            hint="give numbers as numbers",
        )
    missing = column.codes < 0
    if missing.any() and "" in column.categories:
        raise InputError(
            f"attribute {name!r} has both missing and empty text, which the format cannot tell apart",
            got=f"missing in row {int(np.flatnonzero(missing)[0])}",
            hint="give one of them a word of its own",
        )
    texts = np.asarray(column)
    texts[missing] = ""
    stored = texts.astype(str)
    return (stored if stored.dtype.itemsize else stored.astype("<U1")), not bool(missing.any())


def _with_sentinels(name: str, column: AnyArray) -> AnyArray:
    """Integers with the value that means absence in masked rows."""
    mask = np.ma.getmaskarray(column).reshape(len(column), -1)
    values = np.ma.getdata(column).reshape(len(column), -1)
    partial = mask.any(axis=1) != mask.all(axis=1)
    if column.dtype.kind not in "iu" or partial.any():
        raise InputError(
            f"attribute {name!r} has a masked value, which {column.dtype} cannot mark as missing",
            got=f"row {int(np.flatnonzero(partial if partial.any() else mask.any(axis=1))[0])}",
            hint="fill it, convert the attribute to float, or mask whole rows of integers",
        )
    absent = absent_value(column.dtype)
    taken = ~mask.any(axis=1) & (values == absent).all(axis=1)
    if taken.any():
        raise InputError(
            f"attribute {name!r} has missing rows, so that no row may be {absent}, which stands for them",
            got=f"row {int(np.flatnonzero(taken)[0])}",
            hint="fill the missing rows, or store floats",
        )
    filled: AnyArray = np.ma.filled(column, absent)
    return filled


def manifests_of(ids: IntArray, fragments: Fragments, plan: CellPlan) -> ManifestTable:
    """Manifests by row of ``ids`` (ascending): along the line, or in order of chunks and fragments.

    Fragments of no object are in no manifest.

    Raises:
        InputError: A fragment belongs to an object that ``ids`` do not have.
    """
    rows = np.searchsorted(ids, fragments.owners)
    along = [fragments.offsets] if plan.connects == "sequence" else [fragments.cells, fragments.numbers]
    order = stable_order([rows, *along])
    order = order[_owned(ids, rows, fragments.owners)[order]]
    chunks = plan.numbered_coords(fragments.cells[order])
    return ManifestTable(rows[order], chunks, fragments.numbers[order].astype(np.int64))


def _owned(ids: IntArray, rows: IntArray, owners: AnyArray) -> BoolArray:
    """Which owners are among ``ids``; the others must be the mark of fragments that have none."""
    owned = np.zeros(len(owners), dtype=np.bool_)
    if len(ids):
        owned = ids[np.minimum(rows, len(ids) - 1)] == owners
    unknown = owners[~owned & (owners != constants.OWNER_NONE)]
    if len(unknown):
        raise InputError(
            "vertices belong to objects that the object index does not have",
            got=np.unique(unknown)[:5].tolist(),
            hint="validate tells where they are",
        )
    return owned


def table_puts(
    level: int,
    tables: ObjectTables,
    manifests: Blobs,
    ndim: int,
    compressor: Any,
    *,
    with_refs: bool,
    owners_agree: bool,
) -> Iterator[Put]:
    """The stored objects and documents of all tables.

    Args:
        with_refs: As ``table_names`` is told.
        owners_agree: Whether all fragments of the level state the objects of the manifests, where they state any.
    """
    codecs, text_codecs = typed_codecs(compressor), cell_codecs(compressor)
    ids = tables.ids
    yield (
        f"{level}/{constants.OBJECT_INDEX}/zarr.json",
        dump_json(group_document(index_header(ids, manifests.sizes, ndim, owners_agree=owners_agree))),
    )
    if len(ids):
        table = TableArray(f"{level}/{constants.OBJECT_MANIFESTS}", manifests_document(len(ids), text_codecs))
        yield from manifest_puts(table, manifests, ndim, with_refs=with_refs)
        yield from _table(level, constants.OBJECT_IDS, typed_table_document(ids, len(ids), codecs, {}, 0), ids)
    if tables.attributes:
        yield f"{level}/{constants.OBJECT_ATTRIBUTES}/zarr.json", dump_json(group_document())
    for name, column in tables.attributes.items():
        yield from object_attribute_puts(level, name, column, codecs)
    yield from _group_puts(level, tables, codecs, text_codecs)


def object_attribute_puts(level: int, name: str, column: Column, codecs: list[JsonObject]) -> Iterator[Put]:
    """The stored objects and the document of one object attribute."""
    values, complete = as_stored_column(name, column)
    said = _described("object_attribute", name, values) | {"fill_sentinel_meaning": "absent"}
    document = typed_table_document(
        values,
        min(constants.OBJECT_ATTRIBUTE_CHUNK, len(values)),
        codecs,
        said | ({EVERY_ROW_PRESENT: True} if complete else {}),
        False if values.dtype.kind == "b" else absent_value(values.dtype),
    )
    yield from _table(level, f"{constants.OBJECT_ATTRIBUTES}/{name}", document, values)


def table_codecs(level: LevelState) -> list[JsonObject]:
    """The bytes-to-bytes codecs of a level's cells, for its tables."""
    document = level.vertices.document
    codecs = document.codecs if document.sharding is None else document.sharding.inner
    return [dict(codec) for codec in codecs if codec.get("name") != "vlen-bytes"]


def _group_puts(
    level: int, tables: ObjectTables, codecs: list[JsonObject], text_codecs: list[JsonObject]
) -> Iterator[Put]:
    if not tables.groups:
        return
    count = max(tables.groups) + 1
    none = np.zeros(0, dtype=np.int64)
    lists = Blobs.from_list([tables.groups.get(group, none).astype("<i8").tobytes() for group in range(count)])
    document = vlen_table_document(count, count, text_codecs, {"zv_array": "groups", "num_groups": count})
    yield from _table(level, constants.GROUPS, document, lists)
    if tables.group_attributes:
        yield f"{level}/{constants.GROUP_ATTRIBUTES}/zarr.json", dump_json(group_document())
    for name, column in tables.group_attributes.items():
        values, complete = as_stored_column(name, column)
        said = _described("groupings_attribute", name, values)
        fill: Any = "" if values.dtype.kind == "U" else np.zeros(1, dtype=values.dtype)[0]
        if not complete:
            said, fill = said | {"fill_sentinel_meaning": "absent"}, absent_value(values.dtype)
        document = typed_table_document(values, len(values), codecs, said, fill)
        yield from _table(level, f"{constants.GROUP_ATTRIBUTES}/{name}", document, values)


def worth_refs(manifest_bytes: int) -> bool:
    """Whether an index with so many bytes of manifests is worth having their references by column as well."""
    return manifest_bytes >= _WORTH_REFS


def table_names(tables: ObjectTables, *, with_refs: bool) -> list[str]:
    """Names below the level of every array that ``table_puts`` writes."""
    names = [constants.OBJECT_INDEX]
    if len(tables.ids):
        names += [constants.OBJECT_MANIFESTS, constants.OBJECT_IDS]
        names += [constants.FRAGMENT_REFS] if with_refs else []
    names += [f"{constants.OBJECT_ATTRIBUTES}/{name}" for name in tables.attributes]
    if tables.groups:
        names += [constants.GROUPS, *(f"{constants.GROUP_ATTRIBUTES}/{name}" for name in tables.group_attributes)]
    return names


def _described(zv_array: str, name: str, values: AnyArray) -> JsonObject:
    dtype = values.dtype.str if values.dtype.kind == "U" else dtype_name(values.dtype)
    return {"zv_array": zv_array, "name": name, "dtype": dtype, "shape": list(values.shape)}


def _table(level: int, name: str, document: ArrayDocument, rows: Any) -> Iterator[Put]:
    table = TableArray(f"{level}/{name}", document)
    yield from table.encode(rows)
    yield f"{level}/{name}/zarr.json", dump_json(document.to_json())
