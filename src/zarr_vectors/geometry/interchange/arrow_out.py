"""Tables as Arrow record batches, coordinates as GeoArrow points and lines."""

from __future__ import annotations

import json
import re
from collections.abc import Sequence
from typing import Any

import numpy as np

from zarr_vectors.axes import Axis
from zarr_vectors.exceptions import InputError
from zarr_vectors.geometry.columns import Categorical
from zarr_vectors.geometry.interchange.arrow_types import category_array, first_inexact, flat_array, native_values
from zarr_vectors.geometry.interchange.tables import NOTE, Coordinates, Ragged, Table, TableColumn
from zarr_vectors.optional import require
from zarr_vectors.typing import AnyArray, Json, JsonObject

__all__ = ["record_batch", "stream_of", "struct_order", "without_halves"]

_LARGEST_OFFSET = 2**31 - 1
_PROJECTED, _GEOGRAPHIC = "3072", "2048"
"""GeoTIFF keys whose values are EPSG codes."""
_AUTHORITY_CODE = re.compile(r"[A-Za-z]+:[0-9A-Za-z]+")


def record_batch(table: Table, *, crs: Json = None) -> Any:
    """A table as one record batch.

    Args:
        table: Its note goes under ``zarr_vectors`` of the schema's metadata.
        crs: Coordinate reference system, for the metadata of columns of coordinates.

    Raises:
        InputError: Arrow has no type for a column.
        MissingDependencyError: pyarrow is not installed.

    Example:
        >>> batch = record_batch(Table({"x": np.array([1.5, 2.5]), "word": Categorical(np.array([0, -1]), ("a",))}))
        >>> batch.to_pylist()
        [{'x': 1.5, 'word': 'a'}, {'x': 2.5, 'word': None}]
    """
    pa = require("pyarrow")
    arrays = [_array_of(name, column) for name, column in table.columns.items()]
    fields = [
        pa.field(name, array.type, metadata=_geoarrow(column, crs))
        for (name, column), array in zip(table.columns.items(), arrays, strict=True)
    ]
    note = table.note if crs is None else table.note | {"crs": crs}
    return pa.RecordBatch.from_arrays(arrays, schema=pa.schema(fields, metadata={NOTE: json.dumps(note)}))


def stream_of(batches: Any, schema: Any, requested: object | None) -> Any:
    """The capsule of ``__arrow_c_stream__``.

    Halves become single floats unless a schema is asked for, as DuckDB refuses tables that have any.
    """
    pa = require("pyarrow")
    reader = pa.RecordBatchReader.from_batches(schema, batches)
    if requested is None:
        reader = without_halves(reader)
    return reader.__arrow_c_stream__(requested)


def without_halves(reader: Any) -> Any:
    """A reader with single floats for halves."""
    pa = require("pyarrow")
    schema = pa.schema([_widened(field) for field in reader.schema], metadata=reader.schema.metadata)
    return reader if schema.equals(reader.schema) else reader.cast(schema)


def _widened(field: Any) -> Any:
    return field.with_type(_wide_type(field.type))


def _wide_type(arrow_type: Any) -> Any:
    pa, types = require("pyarrow"), require("pyarrow.types")
    if types.is_float16(arrow_type):
        return pa.float32()
    if types.is_fixed_size_list(arrow_type):
        return pa.list_(_widened(arrow_type.value_field), arrow_type.list_size)
    if types.is_list(arrow_type) or types.is_large_list(arrow_type):
        make = pa.list_ if types.is_list(arrow_type) else pa.large_list
        return make(_widened(arrow_type.value_field))
    return arrow_type


def _array_of(name: str, column: TableColumn) -> Any:
    if isinstance(column, Coordinates):
        return _structs(name, column)
    if isinstance(column, Ragged):
        return _lists(name, column)
    if isinstance(column, Categorical):
        return category_array(name, column)
    return _numbers(name, column)


def _numbers(name: str, column: AnyArray) -> Any:
    """Values; those of several channels as lists of a fixed size."""
    pa = require("pyarrow")
    array = flat_array(native_values(name, column).reshape(-1))
    for size in reversed(column.shape[1:]):
        array = pa.FixedSizeListArray.from_arrays(array, size)
    return array


def _lists(name: str, column: Ragged) -> Any:
    pa = require("pyarrow")
    values = _array_of(name, column.values)
    child = "vertices" if isinstance(column.values, Coordinates) else "item"
    field = pa.field(child, values.type, nullable=not isinstance(column.values, Coordinates))
    # Readers of GeoArrow expect lists with offsets of 32 bits; only where these do not reach are there longer ones.
    if int(column.offsets[-1]) <= _LARGEST_OFFSET:
        return pa.ListArray.from_arrays(pa.array(column.offsets, pa.int32()), values, type=pa.list_(field))
    return pa.LargeListArray.from_arrays(pa.array(column.offsets, pa.int64()), values, type=pa.large_list(field))


def _structs(name: str, column: Coordinates) -> Any:
    pa = require("pyarrow")
    order = struct_order(column.axes)
    arrays = [pa.array(_as_double(name, column.positions[:, number])) for number in order.values()]
    fields = [pa.field(label, pa.float64(), nullable=False) for label in order]
    if not len(column.positions):
        return pa.array([], pa.struct(fields))
    return pa.StructArray.from_arrays(arrays, fields=fields)


def _as_double(name: str, values: AnyArray) -> AnyArray:
    row = first_inexact(values) if values.dtype.kind in "iu" else None
    if row is not None:
        raise InputError(
            f"GeoArrow holds coordinates as float64, and those of {name!r} would change",
            got=f"{values[row]} in row {row}",
            hint="take coordinates as columns, with geometry=False",
        )
    return np.ascontiguousarray(values, dtype=np.float64)


def struct_order(axes: Sequence[Axis]) -> dict[str, int]:
    """The names of coordinates in GeoArrow, and which column each is.

    Axes called x, y and z keep their names, and what is left is m; where there is no x or no y all are taken in order.

    Example:
        >>> struct_order([Axis("t"), Axis("y"), Axis("x")]), struct_order([Axis("a"), Axis("b")])
        ({'x': 2, 'y': 1, 'm': 0}, {'x': 0, 'y': 1})
        >>> struct_order([Axis("depth")])
        {'x': 0}
    """
    names = [axis.name.lower() for axis in axes]
    found = {letter: names.index(letter) for letter in "xyz" if letter in names}
    left = [number for number in range(len(axes)) if number not in found.values()]
    if not {"x", "y"} <= found.keys() or len(left) > 1:
        return dict(zip("xyzm", range(len(axes)), strict=False))
    return found | dict.fromkeys(["m"] * len(left), *left)


def _geoarrow(column: TableColumn, crs: Json) -> dict[str, str] | None:
    """The metadata of a field, by which others know points and lines; GeoArrow needs two axes at least."""
    inner = column.values if isinstance(column, Ragged) else column
    if not isinstance(inner, Coordinates) or len(inner.axes) < 2:
        return None
    name = "geoarrow.linestring" if isinstance(column, Ragged) else "geoarrow.point"
    about = _crs_metadata(crs)
    return {"ARROW:extension:name": name} | ({"ARROW:extension:metadata": json.dumps(about)} if about else {})


def _crs_metadata(crs: Json) -> JsonObject:
    """PROJJSON, or text, as GeoArrow takes it: the WKT or the code of what LAS files and GeoJSON say.

    What is in other terms stays out; it is in the note of the table.
    """
    if isinstance(crs, str) and crs:
        return {"crs": crs}
    if not isinstance(crs, dict):
        return {}
    if "projjson" in str(crs.get("$schema")):
        return {"crs": crs, "crs_type": "projjson"}
    if isinstance(crs.get("wkt"), str):
        return {"crs": crs["wkt"]}
    keys, properties = crs.get("geotiff_keys"), crs.get("properties")
    code = keys.get(_PROJECTED, keys.get(_GEOGRAPHIC)) if isinstance(keys, dict) else None
    named = properties.get("name") if isinstance(properties, dict) else None
    named = f"EPSG:{code}" if isinstance(code, int) else named
    is_code = isinstance(named, str) and _AUTHORITY_CODE.fullmatch(named)
    return {"crs": named, "crs_type": "authority_code"} if is_code else {}
