"""Parquet, read and written by pyarrow.

Lists of a fixed size are attributes with channels, dictionaries and text are categories, timestamps are times in UTC.
An export notes its axes and CRS under the key ``zarr_vectors`` of the file's metadata, from where they come back.
"""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np

from zarr_vectors.axes import Axis, as_axes
from zarr_vectors.exceptions import ExportError, IngestError, InputError
from zarr_vectors.formats.base import ExportContext, Format, ReadOptions, Source
from zarr_vectors.formats.columns import (
    OBJECT_ID,
    CategoryTable,
    ColumnPlan,
    check_columns,
    first_inexact,
    native_times,
    object_ids_of,
    peek,
    plan_columns,
    require_arrow,
    rows_per_batch,
)
from zarr_vectors.geometry import Categorical, Column, Points
from zarr_vectors.typing import AnyArray, Bounds, JsonObject

__all__ = ["PARQUET"]

_METADATA_KEY = b"zarr_vectors"
_LEAVE_OUT = "leave the column out with attributes= (--attributes)"


_NUMBERS = (
    "bool",
    "int8",
    "int16",
    "int32",
    "int64",
    "uint8",
    "uint16",
    "uint32",
    "uint64",
    "float16",
    "float32",
    "float64",
)


@dataclass(frozen=True, kw_only=True)
class _Field:
    """How one column becomes an array.

    Args:
        name: Of the column.
        dtype: Of the array; None for text.
        channels: None for one value per row.
        widened: Integers become float64, because some are missing.
        ordered: Whether the order of the categories means something.
    """

    name: str
    dtype: np.dtype[Any] | None
    channels: int | None = None
    widened: bool = False
    ordered: bool = False

    @property
    def row_bytes(self) -> int:
        """What a row takes in memory."""
        return 8 * (self.channels or 1)


@dataclass(frozen=True, kw_only=True)
class _Table:
    """A Parquet file whose columns are known."""

    path: Path
    plan: ColumnPlan
    fields: dict[str, _Field]
    texts: tuple[str, ...]


def _open(path: Path, options: ReadOptions) -> Source:
    with _parquet(path) as file:
        schema, metadata = file.schema_arrow, file.metadata
        note = _note_of(metadata.metadata or {})
        axes = _noted_axes(note, schema.names) if options.positions is None else None
        if axes is not None:
            options = replace(options, positions=tuple(axis.name for axis in axes))
        plan = plan_columns(path, schema.names, options)
        fields = {name: _field_of(path, name, schema.field(name).type) for name in plan.columns}
        texts = tuple(name for name in plan.attributes if fields[name].dtype is None)
        table = _Table(path=path, plan=plan, fields=_with_missing(path, file, plan, fields), texts=texts)
        rows, bounds = metadata.num_rows, _bounds_of(metadata, plan.positions)
    crs = note.get("crs")
    return Source(
        batches=_batches(table, options),
        rows=rows,
        bounds=bounds,
        axes=axes or plan.axes,
        crs=crs if isinstance(crs, dict) else None,
    )


@contextmanager
def _parquet(path: Path, texts: tuple[str, ...] = ()) -> Iterator[Any]:
    """The open file; pyarrow's complaints become ``IngestError``, those of the system stay what they are."""
    pa, pq = require_arrow(), require_arrow(".parquet")
    try:
        with pq.ParquetFile(
            path, read_dictionary=list(texts), pre_buffer=False, buffer_size=2**20, page_checksum_verification=True
        ) as file:
            yield file
    except (pa.ArrowException, OSError) as error:
        if isinstance(error, OSError) and error.errno is not None:
            raise
        raise IngestError(f"{path} is not a Parquet file, is truncated or is damaged", got=str(error)) from error


def _note_of(metadata: Mapping[bytes, bytes]) -> JsonObject:
    try:
        note = json.loads(metadata.get(_METADATA_KEY, b"{}"))
    except ValueError:
        return {}
    return note if isinstance(note, dict) else {}


def _noted_axes(note: JsonObject, names: list[str]) -> tuple[Axis, ...] | None:
    """The axes that an export of ours noted, if their columns are still there."""
    noted = note.get("axes")
    if not isinstance(noted, list) or not 1 <= len(noted) <= 4:
        return None
    try:
        axes = as_axes(noted, len(noted))
    except InputError:
        return None
    return axes if all(axis.name in names for axis in axes) else None


def _field_of(path: Path, name: str, arrow_type: Any) -> _Field:
    types = require_arrow(".types")
    arrow_type = getattr(arrow_type, "storage_type", arrow_type)
    channels = None
    if types.is_fixed_size_list(arrow_type):
        channels, arrow_type = arrow_type.list_size, arrow_type.value_type
    ordered = types.is_dictionary(arrow_type) and arrow_type.ordered
    if types.is_dictionary(arrow_type):
        arrow_type = arrow_type.value_type
    if channels is None and _is_text(arrow_type):
        return _Field(name=name, dtype=None, ordered=ordered)
    dtype = _dtype_of(arrow_type)
    if dtype is None or channels == 0:
        raise IngestError(
            f"{path}: column {name!r} is of a type that cannot be an attribute",
            got=str(arrow_type),
            hint=f"cast it, or {_LEAVE_OUT}",
        )
    return _Field(name=name, dtype=dtype, channels=channels)


def _is_text(arrow_type: Any) -> bool:
    types = require_arrow(".types")
    is_view = getattr(types, "is_string_view", lambda _: False)
    return bool(types.is_string(arrow_type) or types.is_large_string(arrow_type) or is_view(arrow_type))


def _dtype_of(arrow_type: Any) -> np.dtype[Any] | None:
    pa, types = require_arrow(), require_arrow(".types")
    for alias in _NUMBERS:
        if arrow_type.equals(pa.type_for_alias(alias)):
            return np.dtype(alias)
    if types.is_timestamp(arrow_type):
        return np.dtype(f"M8[{arrow_type.unit}]")
    if types.is_duration(arrow_type):
        return np.dtype(f"m8[{arrow_type.unit}]")
    if types.is_date(arrow_type):
        return np.dtype("M8[D]")
    return np.dtype(np.float64) if types.is_null(arrow_type) else None


def _with_missing(path: Path, file: Any, plan: ColumnPlan, fields: dict[str, _Field]) -> dict[str, _Field]:
    """Widen the integers that are missing somewhere, and refuse what has no way to be missing."""
    widened = dict(fields)
    for name, field in fields.items():
        role = "coordinates" if name in plan.positions else "object ids" if name == plan.object_ids else None
        kind = "O" if field.dtype is None else field.dtype.kind
        if role and (kind not in ("iuf" if role == "coordinates" else "iu") or field.channels is not None):
            raise IngestError(
                f"{path}: {role} in column {name!r} must be {'numbers' if role == 'coordinates' else 'integers'}",
                got=str(file.schema_arrow.field(name).type),
            )
        if not role and (kind not in "iub" or field.channels is not None):
            continue
        missing = _first_missing(file, name)
        if missing is None:
            continue
        if role or kind == "b":
            raise IngestError(
                f"{path}: column {name!r} must have a value in every row, because it holds {role or 'booleans'}",
                got=f"none in row {missing}",
                hint="drop those rows" if role else f"fill in a value, or {_LEAVE_OUT}",
            )
        widened[name] = replace(field, dtype=np.dtype(np.float64), widened=True)
    return widened


def _first_missing(file: Any, name: str) -> int | None:
    """The first row without a value; read only where the statistics do not rule it out."""
    statistics = _statistics(file.metadata, name)
    if all(entry is not None and entry.has_null_count and not entry.null_count for entry in statistics):
        return None
    row = 0
    for batch in file.iter_batches(columns=[name]):
        values = batch.column(name)
        if values.null_count:
            return row + int(np.argmax(values.is_null().to_numpy(zero_copy_only=False)))
        row += len(values)
    return None


def _statistics(metadata: Any, name: str) -> list[Any]:
    """The statistics of a flat column in each row group; None where there are none."""
    groups = [metadata.row_group(index) for index in range(metadata.num_row_groups)]
    found: list[Any] = []
    for group in groups:
        columns = (group.column(index) for index in range(group.num_columns))
        found.append(next((column.statistics for column in columns if column.path_in_schema == name), None))
    return found


def _bounds_of(metadata: Any, positions: tuple[str, ...]) -> Bounds | None:
    low, high = [], []
    for name in positions:
        statistics = _statistics(metadata, name)
        if not statistics or not all(entry is not None and entry.has_min_max for entry in statistics):
            return None
        low.append(min(entry.min for entry in statistics))
        high.append(max(entry.max for entry in statistics))
    usable = all(isinstance(side, (int, float)) and np.isfinite(side) for side in (*low, *high))
    return (low, high) if usable else None


def _batches(table: _Table, options: ReadOptions) -> Iterator[Points]:
    plan, fields = table.plan, table.fields
    texts = {name: CategoryTable(ordered=fields[name].ordered) for name in table.texts}
    size = rows_per_batch(options, sum(field.row_bytes for field in fields.values()))
    row = 0
    with _parquet(table.path, table.texts) as file:
        for batch in file.iter_batches(batch_size=size, columns=list(plan.columns)):
            if batch.num_rows:
                yield _points(table, batch, texts, row)
                row += batch.num_rows
        if not row:
            yield _points(table, file.schema_arrow.empty_table(), texts, 0)


def _points(table: _Table, batch: Any, texts: dict[str, CategoryTable], first_row: int) -> Points:
    path, plan, fields = table.path, table.plan, table.fields

    def column(name: str) -> AnyArray:
        values = batch.column(name)
        values = values.combine_chunks() if hasattr(values, "combine_chunks") else values
        if name in texts:
            return _codes(values, texts[name])
        return _decode(path, values, fields[name], first_row)

    coordinates = [column(name) for name in plan.positions]
    positions = np.empty((batch.num_rows, len(coordinates)), dtype=np.result_type(*coordinates))
    for axis, (name, values) in enumerate(zip(plan.positions, coordinates, strict=True)):
        if values.dtype.kind != "f" and positions.dtype.kind == "f":
            _check_exact(path, name, values, first_row)
        positions[:, axis] = values
    return Points(
        positions,
        attributes={
            name: texts[name].categorical(column(name)) if name in texts else column(name) for name in plan.attributes
        },
        object_ids=None
        if plan.object_ids is None
        else object_ids_of(path, plan.object_ids, column(plan.object_ids), first_row),
        axes=plan.axes,
    )


def _codes(values: Any, table: CategoryTable) -> AnyArray:
    pa, types = require_arrow(), require_arrow(".types")
    values = getattr(values, "storage", values)
    if not types.is_dictionary(values.type):
        values = values.cast(pa.large_string()).dictionary_encode()
    return table.recode(values.indices.fill_null(-1).to_numpy(zero_copy_only=False), values.dictionary.to_pylist())


def _decode(path: Path, values: Any, field: _Field, first_row: int) -> AnyArray:
    pa, types = require_arrow(), require_arrow(".types")
    values = getattr(values, "storage", values)
    rows = len(values)
    missing = values.is_null().to_numpy(zero_copy_only=False) if values.null_count else np.zeros(0, dtype=bool)
    if field.channels is not None:
        _check_channels(path, values, field, first_row)
        values = values.values.slice(values.offset * field.channels, rows * field.channels)
    if types.is_dictionary(values.type):
        values = values.dictionary_decode()
    if types.is_null(values.type):
        values = values.cast(pa.float64())
    if field.widened:
        values = values.fill_null(0)
    decoded: AnyArray = values.to_numpy(zero_copy_only=False)
    if field.widened:
        _check_exact(path, field.name, decoded, first_row)
    decoded = decoded.astype(field.dtype, copy=False)
    if field.channels is not None:
        decoded = decoded.reshape(rows, field.channels)
    if missing.any():
        decoded = decoded.copy()
        decoded[missing] = np.nan if decoded.dtype.kind == "f" else np.array("NaT", decoded.dtype)
    return decoded


def _check_channels(path: Path, values: Any, field: _Field, first_row: int) -> None:
    """Refuse lists that are missing, or that miss a channel, where the dtype has no value for that."""
    if field.dtype is None or field.dtype.kind in "fmM":
        return
    for row, channels in enumerate(values if values.null_count or values.flatten().null_count else ()):
        if not channels.is_valid or channels.values.null_count:
            raise IngestError(
                f"{path}: column {field.name!r} must have a value in every channel, because it holds {field.dtype}",
                got=f"none in row {first_row + row}",
                hint=f"fill in a value, or {_LEAVE_OUT}",
            )


def _check_exact(path: Path, name: str, integers: AnyArray, first_row: int) -> None:
    row = first_inexact(integers)
    if row is not None:
        raise IngestError(
            f"{path}: column {name!r} has integers that change as float64, which its other values call for",
            got=f"{integers[row]} in row {first_row + row}",
            hint=f"fill in missing values, give all coordinates one type, or {_LEAVE_OUT}",
        )


def _export(path: Path, batches: Iterator[Points], context: ExportContext) -> int:
    pa, pq = require_arrow(), require_arrow(".parquet")
    first, batches = peek(batches)
    names = [axis.name for axis in context.axes] + [OBJECT_ID] * (first.object_ids is not None) + list(first.attributes)
    check_columns(path, names, first, kinds="biufmM")
    note: JsonObject = {"axes": [axis.to_json() for axis in context.axes]}
    if context.crs is not None:
        note["crs"] = context.crs
    schema = _record_batch(path, names, first).schema.with_metadata({_METADATA_KEY: json.dumps(note).encode()})
    texts = [name for name, column in first.attributes.items() if isinstance(column, Categorical)]
    rows = 0
    with pq.ParquetWriter(path, schema, compression="zstd", use_dictionary=texts, write_page_checksum=True) as writer:
        for points in batches:
            if points.vertex_count:
                table = pa.Table.from_batches([_record_batch(path, names, points)]).cast(schema)
                writer.write_table(table, row_group_size=points.vertex_count)
                rows += points.vertex_count
    return rows


def _record_batch(path: Path, names: list[str], points: Points) -> Any:
    pa = require_arrow()
    arrays = [pa.array(native_times(path, "positions", points.positions[:, axis])) for axis in range(points.ndim)]
    if points.object_ids is not None:
        arrays.append(pa.array(points.object_ids))
    arrays += [_arrow_of(path, name, column) for name, column in points.attributes.items()]
    return pa.RecordBatch.from_arrays(arrays, names=names)


def _arrow_of(path: Path, name: str, column: Column) -> Any:
    pa = require_arrow()
    if not isinstance(column, Categorical):
        values = native_times(path, name, column)
        flat = pa.array(values.reshape(-1))
        return flat if values.ndim == 1 else pa.FixedSizeListArray.from_arrays(flat, values.shape[1])
    is_text = all(isinstance(category, str) for category in column.categories)
    try:
        words = pa.array(column.categories, type=pa.string() if is_text else None)
    except (pa.ArrowException, TypeError) as error:
        raise ExportError(f"{path}: attribute {name!r} has categories of several types", got=str(error)) from error
    codes = pa.array(column.codes.astype(np.int32, copy=False), mask=column.codes < 0)
    return pa.DictionaryArray.from_arrays(codes, words, ordered=column.ordered)


PARQUET = Format(
    name="parquet",
    suffixes=(".parquet", ".pq"),
    description="Apache Parquet",
    open=_open,
    export=_export,
)
