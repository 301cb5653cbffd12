"""The arrays below ``/parametric``: all that a store knows of its parametric objects."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from zarr_vectors import constants
from zarr_vectors.core.documents import group_document, typed_table_document, vlen_table_document
from zarr_vectors.core.parametric import BUILTIN_TYPES, TYPES_KEY, ParametricTypeDef, parse_types, types_json
from zarr_vectors.encoding.blobs import Blobs
from zarr_vectors.encoding.compression import cell_codecs, typed_codecs
from zarr_vectors.exceptions import CorruptionError
from zarr_vectors.geometry import Categorical, Column
from zarr_vectors.metadata.array import ArrayDocument
from zarr_vectors.metadata.base import dump_json
from zarr_vectors.storage.storage import ROOT, Put, Storage
from zarr_vectors.storage.tables import TableArray, read_tables
from zarr_vectors.types.objects import as_stored_column
from zarr_vectors.typing import AnyArray, IntArray, JsonObject

__all__ = ["ParametricTables", "parametric_puts", "read_tables_of"]


@dataclass(frozen=True, kw_only=True)
class ParametricTables:
    """All that is known of the parametric objects of a store.

    Args:
        types: The types that the store knows.
        type_ids: ``(n,)`` type of each object.
        coefficients: For each object its numbers.
        names: For each object its name.
        attributes: A row for each object.
        groups: Group id to object rows.
        group_attributes: A row for each group id from 0.
    """

    types: tuple[ParametricTypeDef, ...] = BUILTIN_TYPES
    type_ids: IntArray = field(default_factory=lambda: np.zeros(0, dtype=np.int64))
    coefficients: tuple[tuple[float, ...], ...] = ()
    names: tuple[str, ...] = ()
    attributes: Mapping[str, Column] = field(default_factory=dict)
    groups: Mapping[int, IntArray] = field(default_factory=dict)
    group_attributes: Mapping[str, Column] = field(default_factory=dict)

    def __len__(self) -> int:
        return len(self.type_ids)

    def as_dicts(self) -> list[dict[str, Any]]:
        """Each object as a dictionary, under the keys of 0.9.2."""
        known = {entry.type_id: entry for entry in self.types}
        return [
            {
                "type": known[type_id].name,
                "type_id": type_id,
                "coefficients": list(numbers),
                "coefficient_names": list(known[type_id].names),
                "name": name,
            }
            for type_id, numbers, name in zip(self.type_ids.tolist(), self.coefficients, self.names, strict=True)
        ]


def parametric_puts(tables: ParametricTables) -> Iterator[Put]:
    """The stored objects and documents of everything below ``/parametric``."""
    codecs, text_codecs = typed_codecs(None), cell_codecs(None)
    named = {TYPES_KEY: types_json(tables.types)}
    arrays: dict[str, tuple[ArrayDocument, Any]] = {}
    rows = len(tables)
    if rows:
        width = 1 + max(len(numbers) for numbers in tables.coefficients)
        values = np.full((rows, width), np.nan)
        values[:, 0] = tables.type_ids
        for row, numbers in enumerate(tables.coefficients):
            values[row, 1 : 1 + len(numbers)] = numbers
        said: JsonObject = {"zv_array": "parametric_objects", "num_objects": rows, "max_row_length": width}
        arrays["objects"] = (typed_table_document(values, rows, codecs, {**said, "dtype": "float64"}, 0), values)
        said = {"zv_array": "parametric_names", "num_objects": rows}
        texts = Blobs.from_list([name.encode() for name in tables.names])
        arrays["names"] = (vlen_table_document(rows, rows, text_codecs, said), texts)
    if tables.groups:
        count = max(tables.groups) + 1
        none = np.zeros(0, dtype=np.int64)
        lists = Blobs.from_list([tables.groups.get(group, none).astype("<i8").tobytes() for group in range(count)])
        arrays["groups"] = (vlen_table_document(count, count, text_codecs, {"num_groups": count}), lists)
    for family, columns in _families(tables):
        for name, column in columns.items():
            stored, _ = as_stored_column(name, column)
            fill: Any = "" if stored.dtype.kind == "U" else np.zeros(1, dtype=stored.dtype)[0]
            dtype = stored.dtype.str if stored.dtype.kind == "U" else stored.dtype.name
            said = {"dtype": dtype, "shape": list(stored.shape)}
            arrays[f"{family}/{name}"] = (typed_table_document(stored, len(stored), codecs, said, fill), stored)
    for family, columns in _families(tables):
        if columns:
            yield f"{constants.PARAMETRIC}/{family}/{ROOT}", dump_json(group_document())
    for name, (document, content) in arrays.items():
        table = TableArray(f"{constants.PARAMETRIC}/{name}", document)
        yield from table.encode(content)
        yield f"{table.path}/{ROOT}", dump_json(document.to_json())
    attributes = {**named, constants.ARRAYS_KEY: sorted(arrays)}
    yield f"{constants.PARAMETRIC}/{ROOT}", dump_json(group_document(attributes))


def _families(tables: ParametricTables) -> tuple[tuple[str, Mapping[str, Column]], ...]:
    return (
        (constants.OBJECT_ATTRIBUTES, tables.attributes),
        (constants.GROUP_ATTRIBUTES, tables.group_attributes),
    )


def read_tables_of(storage: Storage) -> ParametricTables:
    """Everything below ``/parametric``, in two rounds, or three where its arrays must be listed."""
    path = f"{constants.PARAMETRIC}/{ROOT}"
    document = storage.read_documents([path])[path]
    if document is None:
        return ParametricTables(types=())
    attributes = document.get("attributes") or {}
    types = tuple(parse_types(attributes, storage.url)) or BUILTIN_TYPES
    paths = [f"{constants.PARAMETRIC}/{name}/{ROOT}" for name in _array_names(storage, attributes)]
    found = {key: value for key, value in storage.read_documents(paths).items() if value is not None}
    tables = {
        key.removeprefix(constants.PARAMETRIC + "/").removesuffix("/" + ROOT): TableArray(
            key.removesuffix("/" + ROOT), ArrayDocument.parse(value, where=key), storage.url
        )
        for key, value in found.items()
        if value.get("node_type") == "array"
    }
    values = dict(zip(tables, read_tables(storage, [(table, None) for table in tables.values()]), strict=True))
    objects = values.get("objects", np.zeros((0, 1)))
    ids, numbers = _objects(objects, types, storage.url)
    names = tuple(bytes(name).decode() for name in values["names"].views()) if "names" in values else ()
    if len(names) != len(ids):
        raise CorruptionError(
            "parametric objects and their names differ in number",
            store=storage.url,
            array=f"{constants.PARAMETRIC}/names",
            expected=len(ids),
            got=len(names),
        )
    groups = {
        group: np.frombuffer(item, dtype="<i8").astype(np.int64)
        for group, item in enumerate(values["groups"].views() if "groups" in values else ())
    }
    return ParametricTables(
        types=types,
        type_ids=ids,
        coefficients=numbers,
        names=names,
        attributes=_columns(values, constants.OBJECT_ATTRIBUTES),
        groups=groups,
        group_attributes=_columns(values, constants.GROUP_ATTRIBUTES),
    )


def _array_names(storage: Storage, attributes: Mapping[str, Any]) -> list[str]:
    declared = attributes.get(constants.ARRAYS_KEY)
    if declared is not None:
        return list(declared)
    families = [constants.OBJECT_ATTRIBUTES, constants.GROUP_ATTRIBUTES]
    below = storage.list_children([f"{constants.PARAMETRIC}/{family}" for family in families])
    listed = [key for keys in below.values() for key in keys if key.endswith("/")]
    return ["objects", "names", "groups", *(key.removeprefix(constants.PARAMETRIC + "/").rstrip("/") for key in listed)]


def _objects(
    rows: AnyArray, types: Sequence[ParametricTypeDef], store: str
) -> tuple[IntArray, tuple[tuple[float, ...], ...]]:
    """Type and numbers of each row: ``[type id, numbers..., NaN padding]``."""
    sizes = {entry.type_id: len(entry.names) for entry in types}
    ids = np.where(np.isfinite(rows[:, 0]), rows[:, 0], -1).astype(np.int64)
    for row, type_id in enumerate(ids.tolist()):
        if sizes.get(type_id, rows.shape[1]) >= rows.shape[1]:
            raise CorruptionError(
                "a parametric object has a type that the store does not know, or too few numbers",
                store=store,
                array=f"{constants.PARAMETRIC}/objects",
                cell=row,
                got=f"type {type_id}, {rows.shape[1] - 1} numbers",
            )
    return ids, tuple(tuple(row[1 : 1 + sizes[t]].tolist()) for row, t in zip(rows, ids.tolist(), strict=True))


def _columns(values: Mapping[str, Any], family: str) -> dict[str, Column]:
    found: dict[str, Column] = {}
    for name, column in values.items():
        head, _, last = name.partition("/")
        if head == family:
            texts = column.dtype.kind == "U"
            found[last] = Categorical.from_values(column.astype(object)) if texts else column
    return found
