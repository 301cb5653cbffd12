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
from zarr_vectors.formats.arrow_columns import LEAVE_OUT, Field, check_exact, decode, decode_text, field_of
from zarr_vectors.formats.base import OBJECT_ID, ExportContext, Format, ReadOptions, Source
from zarr_vectors.formats.columns import (
    OTHER_OBJECT_IDS,
    OTHER_POSITIONS,
    CategoryTable,
    ColumnPlan,
    check_columns,
    native_times,
    object_ids_of,
    peek,
    plan_columns,
    rows_per_batch,
)
from zarr_vectors.geometry import Categorical, Column, Points
from zarr_vectors.geometry.interchange.arrow_types import category_array, flat_array
from zarr_vectors.optional import require
from zarr_vectors.typing import AnyArray, Bounds, JsonObject

__all__ = ["PARQUET"]

_METADATA_KEY = b"zarr_vectors"
_LARGE_ROW_GROUP = 128 * 2**20
"""Above this a column is read page by page, not in one piece; a damaged page header may then ask for 2 GiB."""


@dataclass(frozen=True, kw_only=True)
class _Table:
    """A Parquet file whose columns are known."""

    path: Path
    plan: ColumnPlan
    fields: dict[str, Field]
    texts: tuple[str, ...]
    buffered: bool


def _open(path: Path, options: ReadOptions) -> Source:
    with _parquet(path) as file:
        schema, metadata = file.schema_arrow, file.metadata
        note = _note_of(metadata.metadata or {})
        axes = _noted_axes(note, schema.names) if options.positions is None else None
        if axes is not None:
            options = replace(options, positions=tuple(axis.name for axis in axes))
        plan = plan_columns(path, schema.names, options)
        fields = {name: field_of(path, name, schema.field(name).type) for name in plan.columns}
        texts = tuple(name for name in plan.attributes if fields[name].dtype is None)
        fields = _with_missing(path, file, plan, fields)
        largest = max(
            (metadata.row_group(index).total_byte_size for index in range(metadata.num_row_groups)), default=0
        )
        table = _Table(path=path, plan=plan, fields=fields, texts=texts, buffered=largest > _LARGE_ROW_GROUP)
        rows, bounds = metadata.num_rows, _bounds_of(file, plan.positions)
    crs = note.get("crs")
    return Source(
        batches=_batches(table, options),
        rows=rows,
        bounds=bounds,
        axes=axes or plan.axes,
        crs=crs if isinstance(crs, dict) else None,
    )


@contextmanager
def _parquet(path: Path, texts: tuple[str, ...] = (), *, buffered: bool = False) -> Iterator[Any]:
    """The open file; pyarrow's complaints become ``IngestError``, those of the system stay what they are."""
    buffer_size = 2**20 if buffered else 0
    pa, pq = require("pyarrow"), require("pyarrow.parquet")
    try:
        with pq.ParquetFile(
            path,
            read_dictionary=list(texts),
            pre_buffer=False,
            buffer_size=buffer_size,
            page_checksum_verification=True,
        ) as file:
            yield file
    except (pa.ArrowException, OSError, UnicodeDecodeError) as error:
        if isinstance(error, OSError) and error.errno is not None:
            raise
        raise IngestError(f"{path} is not a Parquet file, is truncated or is damaged", got=str(error)) from error


def _note_of(metadata: Mapping[bytes, bytes]) -> JsonObject:
    try:
        note = json.loads(metadata.get(_METADATA_KEY, b"{}"))
    except (ValueError, RecursionError):
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


def _with_missing(path: Path, file: Any, plan: ColumnPlan, fields: dict[str, Field]) -> dict[str, Field]:
    """Widen the integers that are missing somewhere, and refuse what has no way to be missing."""
    leaves = _leaves(file)
    widened = dict(fields)
    for name, field in fields.items():
        role = "coordinates" if name in plan.positions else "object ids" if name == plan.object_ids else None
        kind = "O" if field.dtype is None else field.dtype.kind
        if role and (kind not in ("iuf" if role == "coordinates" else "iu") or field.channels is not None):
            raise IngestError(
                f"{path}: {role} in column {name!r} must be {'numbers' if role == 'coordinates' else 'integers'}",
                got=str(file.schema_arrow.field(name).type),
                hint=OTHER_POSITIONS if role == "coordinates" else OTHER_OBJECT_IDS,
            )
        if not role and (kind not in "iub" or field.channels is not None):
            continue
        missing = _first_missing(file, name, leaves.get(name))
        if missing is None:
            continue
        if role or kind == "b":
            raise IngestError(
                f"{path}: column {name!r} must have a value in every row, because it holds {role or 'booleans'}",
                got=f"none in row {missing}",
                hint="drop those rows" if role else f"fill in a value, or {LEAVE_OUT}",
            )
        widened[name] = replace(field, dtype=np.dtype(np.float64), widened=True)
    return widened


def _first_missing(file: Any, name: str, leaf: int | None) -> int | None:
    """The first row without a value; read only where the statistics do not rule it out."""
    statistics = _statistics(file, leaf)
    if all(entry is not None and entry.has_null_count and not entry.null_count for entry in statistics):
        return None
    row = 0
    for batch in file.iter_batches(columns=[name]):
        values = batch.column(name)
        if values.null_count:
            return row + int(np.argmax(values.is_null().to_numpy(zero_copy_only=False)))
        row += len(values)
    return None


def _statistics(file: Any, leaf: int | None) -> list[Any]:
    """The statistics of a flat column in each row group; None where there are none."""
    groups = range(file.metadata.num_row_groups)
    # In a damaged footer the entry of a column ends the process when it is looked at, but not when the column is read.
    for group in groups if leaf is not None else ():
        next(file.iter_batches(1, [group], [file.schema.column(leaf).path], use_threads=False), None)
    return [None if leaf is None else file.metadata.row_group(group).column(leaf).statistics for group in groups]


def _leaves(file: Any) -> dict[str, int]:
    """Where the flat columns are among the columns that hold values; the paths of others are longer than a name."""
    return {file.schema.column(index).path: index for index in range(len(file.schema))}


def _bounds_of(file: Any, positions: tuple[str, ...]) -> Bounds | None:
    leaves = _leaves(file)
    low, high = [], []
    for name in positions:
        statistics = _statistics(file, leaves[name])
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
    with _parquet(table.path, table.texts, buffered=table.buffered) as file:
        for batch in file.iter_batches(batch_size=size, columns=list(plan.columns)):
            if batch.num_rows:
                yield _points(table, batch, texts, row)
                row += batch.num_rows
        if row != file.metadata.num_rows:
            raise IngestError(f"{table.path} is damaged", expected=f"{file.metadata.num_rows} rows", got=row)
        if not row:
            yield _points(table, file.schema_arrow.empty_table(), texts, 0)


def _points(table: _Table, batch: Any, texts: dict[str, CategoryTable], first_row: int) -> Points:
    path, plan, fields = table.path, table.plan, table.fields

    def column(name: str) -> AnyArray:
        values = batch.column(name)
        values = values.combine_chunks() if hasattr(values, "combine_chunks") else values
        if name in texts:
            return decode_text(values, texts[name])
        return decode(path, values, fields[name], first_row)

    coordinates = [column(name) for name in plan.positions]
    positions = np.empty((batch.num_rows, len(coordinates)), dtype=np.result_type(*coordinates))
    for axis, (name, values) in enumerate(zip(plan.positions, coordinates, strict=True)):
        if values.dtype.kind != "f" and positions.dtype.kind == "f":
            check_exact(path, name, values, first_row)
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


def _export(path: Path, batches: Iterator[Points], context: ExportContext) -> int:
    pa, pq = require("pyarrow"), require("pyarrow.parquet")
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
    pa = require("pyarrow")
    arrays = [pa.array(native_times(path, "positions", points.positions[:, axis])) for axis in range(points.ndim)]
    if points.object_ids is not None:
        arrays.append(pa.array(points.object_ids))
    arrays += [_arrow_of(path, name, column) for name, column in points.attributes.items()]
    return pa.RecordBatch.from_arrays(arrays, names=names)


def _arrow_of(path: Path, name: str, column: Column) -> Any:
    pa = require("pyarrow")
    if not isinstance(column, Categorical):
        values = native_times(path, name, column)
        flat = flat_array(values.reshape(-1))
        return flat if values.ndim == 1 else pa.FixedSizeListArray.from_arrays(flat, values.shape[1])
    try:
        return category_array(name, column)
    except InputError as error:
        raise ExportError(f"{path}: {error.message}", got=error.got) from error


PARQUET = Format(
    name="parquet",
    suffixes=(".parquet", ".pq"),
    description="Apache Parquet",
    open=_open,
    export=_export,
)
