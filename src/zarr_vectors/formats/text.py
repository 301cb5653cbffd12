"""CSV and its kin: tables of text with a separator (``.csv``, ``.tsv``, ``.txt``) or with gaps (``.xyz``).

A file is read twice in blocks: once to find out what each column holds, so that the answer does not depend on where a
block happens to end, and once for the values. Integers, floats, booleans (``true``, ``false``) and text are told apart;
an empty field is missing, and so is ``NA``, ``NULL`` or the like in a column of numbers. Times stay text.
"""

from __future__ import annotations

import csv
import io
from collections.abc import Generator, Iterator
from contextlib import closing
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np

from zarr_vectors.exceptions import ExportError, IngestError
from zarr_vectors.formats.base import OBJECT_ID, ExportContext, Format, ReadOptions, Source
from zarr_vectors.formats.column_types import ColumnScan, Kind, parse_numbers
from zarr_vectors.formats.columns import (
    OTHER_OBJECT_IDS,
    CategoryTable,
    ColumnPlan,
    check_columns,
    listed,
    native_times,
    peek,
    plan_columns,
    rows_per_batch,
)
from zarr_vectors.formats.delimited import BLOCK_BYTES, Dialect, explain, line_of_row, sniff
from zarr_vectors.geometry import Categorical, Points
from zarr_vectors.geometry.interchange.arrow_types import flat_array
from zarr_vectors.optional import require
from zarr_vectors.typing import AnyArray, Bounds

__all__ = ["CSV", "XYZ", "as_text", "decode_block", "quoted", "text_blocks", "text_lines"]

_WRITE_ROWS = 2**16


@dataclass(frozen=True, kw_only=True)
class _Table:
    """A text table whose columns are known.

    Args:
        dialect: How it is written.
        plan: What each column becomes.
        scans: What each column of the plan holds.
        rows: Number of rows.
    """

    dialect: Dialect
    plan: ColumnPlan
    scans: dict[str, ColumnScan]
    rows: int

    @property
    def position_kind(self) -> Kind:
        """Integers where all coordinates are, otherwise float64."""
        kinds = {self.scans[name].kind for name in self.plan.positions}
        return kinds.pop() if len(kinds) == 1 else Kind.FLOAT

    @property
    def bounds(self) -> Bounds | None:
        """The box of all points, unless a coordinate is not finite."""
        low, high = ([getattr(self.scans[name], side) for name in self.plan.positions] for side in ("low", "high"))
        return (low, high) if np.isfinite(low).all() and np.isfinite(high).all() else None


def _open(path: Path, options: ReadOptions) -> Source:
    dialect = sniff(path, options)
    plan = plan_columns(path, dialect.names, options)
    table = _scan(dialect, plan)
    return Source(batches=_batches(table, options), rows=table.rows, bounds=table.bounds, axes=plan.axes)


def text_blocks(dialect: Dialect, types: dict[str, str]) -> Generator[dict[str, Any], None, None]:
    """The columns of each block of the file as Arrow arrays of these types."""
    pa, arrow_csv = require("pyarrow"), require("pyarrow.csv")
    if dialect.empty:
        return
    labels = {name: str(dialect.names.index(name)) for name in types}
    read = arrow_csv.ReadOptions(
        column_names=[str(index) for index in range(len(dialect.names))],
        skip_rows=dialect.skip,
        block_size=BLOCK_BYTES,
    )
    convert = arrow_csv.ConvertOptions(
        include_columns=list(labels.values()),
        column_types={labels[name]: pa.type_for_alias(alias) for name, alias in types.items()},
        null_values=[""],
        strings_can_be_null=True,
        # Where fields are separated by gaps, an empty one can only be written as "".
        quoted_strings_can_be_null=dialect.spaced,
    )
    parse = arrow_csv.ParseOptions(delimiter=dialect.separator, newlines_in_values=True)
    try:
        with dialect.open() as file, arrow_csv.open_csv(pa.PythonFile(file, mode="r"), read, parse, convert) as reader:
            for block in reader:
                yield {name: block.column(label) for name, label in labels.items()}
    except pa.ArrowException as error:
        raise explain(dialect, error) from error


def _scan(dialect: Dialect, plan: ColumnPlan) -> _Table:
    """Find out what the columns hold, and refuse what cannot be kept."""
    scans = {name: ColumnScan() for name in plan.columns}
    rows = 0
    with closing(text_blocks(dialect, dict.fromkeys(scans, Kind.TEXT.value))) as blocks:
        for block in blocks:
            for name, values in block.items():
                scans[name].add(values, rows)
            for name in plan.positions:
                _check_numbers(dialect, name, scans[name], block[name], rows, Kind.FLOAT)
            if plan.object_ids is not None:
                _check_numbers(dialect, plan.object_ids, scans[plan.object_ids], block[plan.object_ids], rows, Kind.INT)
            rows += len(block[plan.positions[0]])
    kept = tuple(name for name in plan.attributes if not (name in dialect.invented and scans[name].blank))
    table = _Table(dialect=dialect, plan=replace(plan, attributes=kept), scans=scans, rows=rows)
    for name in (*plan.positions, *kept):
        scan, kind = scans[name], table.position_kind if name in plan.positions else scans[name].kind
        if kind is Kind.FLOAT and scan.inexact is not None and not scan.fraction:
            raise IngestError(
                f"{dialect.path}: column {name!r} has an integer that changes as float64, which other values call for",
                got=f"the one in line {line_of_row(dialect, scan.inexact)}",
                hint="fill in missing values, or leave the column out with attributes= (--attributes)",
            )
    return table


def _check_numbers(dialect: Dialect, name: str, scan: ColumnScan, values: Any, first_row: int, kind: Kind) -> None:
    """Refuse the first row of a block that holds no number, or no integer where one must be."""
    what = f"{dialect.path}: coordinates in column {name!r} must be numbers"
    hint = f"correct the line, or name others of the columns {listed(dialect.names)} with positions= (--positions)"
    if kind is Kind.INT:
        what = f"{dialect.path}: object ids in column {name!r} must be integers of 64 bits"
        hint = f"correct the line, {OTHER_OBJECT_IDS}"
    if scan.missing is not None:
        raise IngestError(what, got=f"no value in line {line_of_row(dialect, scan.missing)}", hint=hint)
    if scan.kind in {kind, Kind.INT} or (scan.kind is Kind.UINT and kind is Kind.FLOAT):
        return
    for row in range(len(values)):
        number = parse_numbers(values[row : row + 1], kind, clean=False)
        if number is None or number.null_count:
            text = values[row].as_py()
            if "," in text and text.replace(",", "", 1).strip().lstrip("+-").isdecimal():
                hint = "write decimal points, not commas"
            raise IngestError(what, got=f"{text[:80]!r} in line {line_of_row(dialect, first_row + row)}", hint=hint)
    raise IngestError(what, hint=hint)


def _batches(table: _Table, options: ReadOptions) -> Iterator[Points]:
    plan, scans = table.plan, table.scans
    limit = rows_per_batch(options, 8 * len(plan.columns))
    texts = {name: CategoryTable() for name in plan.attributes if scans[name].kind is Kind.TEXT}
    types = {name: (scans[name].kind if scans[name].clean else Kind.TEXT).value for name in plan.columns}
    held, left = 0, table.rows
    batch = _Batch(table, texts, min(limit, left))
    for block in text_blocks(table.dialect, types):
        arrays = {name: decode_block(values, scans[name], texts.get(name)) for name, values in block.items()}
        size = len(arrays[plan.positions[0]])
        start = 0
        while start < size:
            if held == left:
                raise IngestError(f"{table.dialect.path} has changed while it was read", expected=f"{table.rows} rows")
            if held == batch.rows:
                left -= held
                yield batch.points()
                held, batch = 0, _Batch(table, texts, min(limit, left))
            count = min(size - start, batch.rows - held)
            batch.fill(held, {name: values[start : start + count] for name, values in arrays.items()})
            start, held = start + count, held + count
    if held != left:
        raise IngestError(f"{table.dialect.path} has changed while it was read", expected=f"{table.rows} rows")
    yield batch.points()


def decode_block(values: Any, scan: ColumnScan, texts: CategoryTable | None) -> AnyArray:
    """One column of a block as numbers, or as codes of a table of texts."""
    if texts is not None:
        encoded = values.dictionary_encode()
        codes = encoded.indices.fill_null(-1).to_numpy(zero_copy_only=False)
        return texts.recode(codes, encoded.dictionary.to_pylist())
    numbers = values if scan.clean else parse_numbers(values, scan.kind, clean=False)
    decoded: AnyArray = numbers.to_numpy(zero_copy_only=False)
    return decoded


class _Batch:
    """Arrays that are filled block by block."""

    def __init__(self, table: _Table, texts: dict[str, CategoryTable], rows: int) -> None:
        self.rows = rows
        self._plan = table.plan
        self._texts = texts
        self._positions = np.empty((rows, len(table.plan.positions)), dtype=table.position_kind.value)
        self._columns = {
            name: np.empty(rows, dtype=np.int32 if name in texts else table.scans[name].kind.value)
            for name in table.plan.columns
            if name not in table.plan.positions
        }

    def fill(self, start: int, arrays: dict[str, AnyArray]) -> None:
        """Put rows at their place."""
        for axis, name in enumerate(self._plan.positions):
            self._positions[start : start + len(arrays[name]), axis] = arrays[name]
        for name, column in self._columns.items():
            column[start : start + len(arrays[name])] = arrays[name]

    def points(self) -> Points:
        """The rows as a value."""
        plan, columns, texts = self._plan, self._columns, self._texts
        return Points(
            self._positions,
            attributes={
                name: texts[name].categorical(columns[name]) if name in texts else columns[name]
                for name in plan.attributes
            },
            object_ids=None if plan.object_ids is None else columns[plan.object_ids],
            axes=plan.axes,
        )


def _export(path: Path, batches: Iterator[Points], context: ExportContext, *, spaced: bool) -> int:
    first, batches = peek(batches)
    names = [axis.name for axis in context.axes] + [OBJECT_ID] * (first.object_ids is not None)
    for name, column in first.attributes.items():
        channels = 0 if isinstance(column, Categorical) or column.ndim == 1 else column.shape[1]
        names += [f"{name}_{channel}" for channel in range(channels)] if channels else [name]
    check_columns(path, names, first, kinds="biufM")
    separator = " " if spaced else "\t" if path.suffix.lower() == ".tsv" else ","
    header = io.StringIO()
    csv.writer(header, delimiter=separator, lineterminator="\n").writerow(names)
    rows = 0
    with path.open("wb") as file:
        file.write(header.getvalue().encode())
        for points in batches:
            columns = list(_columns_of(path, points, spaced=spaced))
            for start in range(0, points.vertex_count, _WRITE_ROWS):
                fields = [as_text(values[start : start + _WRITE_ROWS], words) for values, words in columns]
                file.write(text_lines(fields, separator, missing='""' if spaced else ""))
            rows += points.vertex_count
    return rows


def _columns_of(path: Path, points: Points, *, spaced: bool) -> Iterator[tuple[AnyArray, Any]]:
    """Each column, with the texts that its values are codes of, or None."""
    for axis in range(points.ndim):
        yield native_times(path, "positions", points.positions[:, axis]), None
    if points.object_ids is not None:
        yield points.object_ids, None
    for name, column in points.attributes.items():
        if isinstance(column, Categorical):
            words = [quoted(path, name, category, spaced=spaced) for category in column.categories]
            missing = '""' if spaced else ""
            codes = np.where(column.codes < 0, len(words), column.codes)
            yield codes, require("pyarrow").array([*words, missing], type=require("pyarrow").string())
        else:
            values = native_times(path, name, column)
            for channel in values.T if values.ndim > 1 else [values]:
                yield channel, None


def quoted(path: Path, name: str, category: Any, *, spaced: bool) -> str:
    """Text as a field in quotes."""
    text = str(category)
    if spaced and (not text or "\n" in text or "\r" in text):
        raise ExportError(
            f"{path}: attribute {name!r} has text that columns with spaces between them cannot hold",
            got=repr(text),
            hint="write .csv or .parquet",
        )
    return '"' + text.replace('"', '""') + '"'


def as_text(values: AnyArray, words: Any) -> Any:
    """Values as an Arrow array of strings; a float never looks like an integer, and comes back as it was."""
    pa, pc = require("pyarrow"), require("pyarrow.compute")
    if words is not None:
        return pc.take(words, pa.array(values))
    if values.dtype == np.float16:
        values = values.astype(np.float32)
    text = pc.cast(flat_array(values), pa.string())
    if values.dtype.kind == "M":
        return pc.replace_substring(text, pattern=" ", replacement="T")
    if values.dtype.kind == "f":
        whole = np.isfinite(values) & (values == np.trunc(values))
        if whole.any():
            bare = pc.and_(pa.array(whole), pc.invert(pc.match_substring(text, pattern="e")))
            text = pc.if_else(bare, pc.binary_join_element_wise(text, "0", "."), text)
    return text


def text_lines(fields: list[Any], separator: str, *, missing: str) -> memoryview:
    """Columns of Arrow strings as the bytes of lines."""
    pc = require("pyarrow.compute")
    rows = pc.binary_join_element_wise(*fields, separator, null_handling="replace", null_replacement=missing)
    lines = pc.binary_join_element_wise(rows, "", "\n")
    _, offsets, data = lines.buffers()
    return memoryview(data)[: int(np.frombuffer(offsets, np.int32)[len(lines)])]


CSV = Format(
    name="csv",
    suffixes=(".csv", ".tsv", ".txt"),
    description="text with commas, tabs or semicolons between the columns",
    open=_open,
    export=partial(_export, spaced=False),
)

XYZ = Format(
    name="xyz",
    suffixes=(".xyz",),
    description="text with spaces between the columns, with or without a header",
    open=_open,
    export=partial(_export, spaced=True),
)
