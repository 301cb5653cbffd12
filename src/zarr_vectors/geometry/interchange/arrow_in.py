"""Arrow tables as columns of NumPy."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from typing import Any

import numpy as np

from zarr_vectors.axes import Axis
from zarr_vectors.exceptions import InputError
from zarr_vectors.geometry.columns import Categorical, Column
from zarr_vectors.geometry.interchange.arrow_types import dtype_of, is_text
from zarr_vectors.geometry.interchange.tables import NOTE, Coordinates, Ragged, Table, TableColumn
from zarr_vectors.optional import require
from zarr_vectors.typing import AnyArray, BoolArray, IntArray, JsonObject

__all__ = ["column_of", "table_from_arrow"]

_EXTENSION = b"ARROW:extension:name"
_GEOARROW = {"geoarrow.point", "geoarrow.linestring"}
_LEAVE_OUT = "leave the column out with attributes="


def table_from_arrow(data: Any) -> Table:
    """Anything that Arrow takes for a table; a column is decoded when it is asked for.

    Args:
        data: An Arrow table, batch or reader, a data frame of pandas or polars, or any other object with
            ``__arrow_c_stream__`` or ``__arrow_c_array__``.

    Raises:
        InputError: It is no table.
        MissingDependencyError: pyarrow is not installed.

    Example:
        >>> import pyarrow as pa
        >>> table_from_arrow(pa.table({"n": [1, None]})).columns["n"].tolist()
        [1, None]
    """
    pa = require("pyarrow")
    if not any(hasattr(data, name) for name in ("__arrow_c_stream__", "__arrow_c_array__")):
        raise InputError(
            "this is no Arrow table, nor anything that can be made one",
            got=type(data).__name__,
            hint="give a table, a batch, a reader or a data frame",
        )
    table = data.read_all() if isinstance(data, pa.RecordBatchReader) else pa.table(data)
    geometry = next((field.name for field in table.schema if _extension_of(field) in _GEOARROW), None)
    return Table(_Decoded(table), _note_of(table.schema), geometry)


class _Decoded(Mapping[str, TableColumn]):
    """The columns of an Arrow table, decoded when they are asked for."""

    def __init__(self, table: Any) -> None:
        self._table = table
        self._known: dict[str, TableColumn] = {}

    def __iter__(self) -> Iterator[str]:
        return iter(dict.fromkeys(self._table.schema.names))

    def __len__(self) -> int:
        return len(set(self._table.schema.names))

    def __getitem__(self, name: str) -> TableColumn:
        if name not in self._known:
            times = self._table.schema.names.count(name)
            if times > 1:
                raise InputError("several columns have one name", got=f"{times} times {name!r}", hint="rename them")
            self._known[name] = _table_column(self._table, name)
        return self._known[name]


def _note_of(schema: Any) -> JsonObject:
    try:
        note = json.loads((schema.metadata or {}).get(NOTE.encode(), b"{}"))
    except (ValueError, RecursionError):
        # Metadata of others under our name: the table says the same without it.
        return {}
    return note if isinstance(note, dict) else {}


def _table_column(table: Any, name: str) -> TableColumn:
    values = table.column(name).unify_dictionaries().combine_chunks()
    extension = _extension_of(table.schema.field(name))
    values = getattr(values, "storage", values)
    types = require("pyarrow.types")
    if types.is_list(values.type) or types.is_large_list(values.type):
        _refuse_missing(name, values)
        offsets = np.concatenate([[0], np.cumsum(_lengths(values))]).astype(np.int64)
        inner = values.flatten()
        whole = _coordinates(name, inner) if _is_coordinates(inner.type, extension) else column_of(name, inner)
        return Ragged(offsets, whole)
    if _is_coordinates(values.type, extension):
        _refuse_missing(name, values)
        return _coordinates(name, values)
    return column_of(name, values)


def _extension_of(field: Any) -> str | None:
    known = getattr(field.type, "extension_name", None)
    if known is not None:
        return str(known)
    name = (field.metadata or {}).get(_EXTENSION)
    return None if name is None else name.decode()


def _lengths(lists: Any) -> AnyArray:
    lengths: AnyArray = require("pyarrow.compute").list_value_length(lists).to_numpy(zero_copy_only=False)
    return lengths


def _refuse_missing(name: str, values: Any) -> None:
    if values.null_count:
        row = int(np.argmax(values.is_null().to_numpy(zero_copy_only=False)))
        raise InputError(
            f"column {name!r} must have a value in every row", got=f"none in row {row}", hint="drop these rows"
        )


def _is_coordinates(arrow_type: Any, extension: str | None) -> bool:
    """Structs of numbers are; lists of a fixed size only where the column says that they are geometry."""
    types = require("pyarrow.types")
    if types.is_struct(arrow_type):
        return 0 < arrow_type.num_fields <= 4 and all(
            types.is_floating(arrow_type.field(number).type) or types.is_integer(arrow_type.field(number).type)
            for number in range(arrow_type.num_fields)
        )
    return extension in _GEOARROW and bool(types.is_fixed_size_list(arrow_type))


def _coordinates(name: str, values: Any) -> Coordinates:
    types = require("pyarrow.types")
    if types.is_struct(values.type):
        names = [values.type.field(number).name for number in range(values.type.num_fields)]
        parts = [column_of(name, part) for part in values.flatten()]
        positions = np.stack([np.asarray(part) for part in parts], axis=1)
        return Coordinates(positions, tuple(Axis(one) for one in names))
    label = values.type.value_field.name
    whole = np.asarray(column_of(name, values))
    named = label if len(label) == whole.shape[1] and set(label) <= set("xyzm") else "xyzm"[: whole.shape[1]]
    return Coordinates(whole, tuple(Axis(letter) for letter in named))


def column_of(name: str, values: Any) -> Column:
    """An Arrow array as an array or as categories.

    Missing floats are NaN, missing times NaT, missing integers and booleans masked.

    Raises:
        InputError: There is no dtype for its type.
    """
    types = require("pyarrow.types")
    values = getattr(values, "storage", values)
    if types.is_dictionary(values.type) or is_text(values.type):
        return _categories(values)
    rows, shape, absent = len(values), [len(values)], None
    while types.is_fixed_size_list(values.type):
        size = values.type.list_size
        here = _is_null(values)
        absent = here if absent is None else absent | here
        values = values.values.slice(values.offset * size, len(values) * size)
        absent = np.repeat(absent, size)
        shape.append(size)
        values = getattr(values, "storage", values)
    dtype = dtype_of(values.type)
    if dtype is None or 0 in shape[1:]:
        raise InputError(
            f"column {name!r} is of a type that cannot be an attribute",
            got=str(values.type),
            hint=f"cast it, or {_LEAVE_OUT}",
        )
    absent = _is_null(values) if absent is None else absent | _is_null(values)
    return _filled(values, dtype, absent).reshape(rows, *shape[1:])


def _is_null(values: Any) -> BoolArray:
    if not values.null_count:
        return np.zeros(len(values), dtype=bool)
    missing: BoolArray = values.is_null().to_numpy(zero_copy_only=False)
    return missing


def _filled(values: Any, dtype: np.dtype[Any], absent: BoolArray) -> AnyArray:
    """Flat values with what is missing as NaN, NaT or masked."""
    pa, types = require("pyarrow"), require("pyarrow.types")
    if types.is_null(values.type):
        values = values.cast(pa.float64())
    if values.null_count and dtype.kind in "biu":
        values = values.fill_null(pa.scalar(False if dtype.kind == "b" else 0, values.type))
    plain: AnyArray = values.to_numpy(zero_copy_only=False).astype(dtype, copy=False)
    if not absent.any():
        return plain
    if dtype.kind in "fmM":
        plain = plain.copy()
        plain[absent] = np.nan if dtype.kind == "f" else np.array("NaT", dtype)
        return plain
    masked: AnyArray = np.ma.MaskedArray(plain, mask=absent)
    return masked


def _categories(values: Any) -> Categorical:
    pa, types = require("pyarrow"), require("pyarrow.types")
    if not types.is_dictionary(values.type):
        values = values.cast(pa.large_string()).dictionary_encode()
    # The codes of other libraries may have no sign.
    codes = values.indices.cast(pa.int64()).fill_null(-1).to_numpy(zero_copy_only=False)
    words = values.dictionary.to_pylist()
    if None in words:
        # A dictionary may hold a null of its own.
        kept = [word for word in words if word is not None]
        table: IntArray = np.array([-1 if word is None else kept.index(word) for word in [*words, None]])
        codes, words = table[codes], kept
    return Categorical(codes.astype(np.int32), tuple(words), bool(values.type.ordered))
