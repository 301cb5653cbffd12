"""Text tables of any columns, such as edge lists: all of a file at once, and columns as a file."""

from __future__ import annotations

import csv
import io
from collections import Counter
from collections.abc import Mapping, Sequence
from contextlib import closing
from pathlib import Path

import numpy as np

from zarr_vectors.exceptions import ExportError, IngestError
from zarr_vectors.formats.base import ReadOptions
from zarr_vectors.formats.column_types import ColumnScan, Kind
from zarr_vectors.formats.columns import CategoryTable, listed, native_times
from zarr_vectors.formats.delimited import Dialect, line_of_row, sniff
from zarr_vectors.formats.text import as_text, decode_block, quoted, text_blocks, text_lines
from zarr_vectors.geometry import Categorical, Column
from zarr_vectors.optional import require
from zarr_vectors.typing import AnyArray

__all__ = ["read_table", "write_table"]

_WRITE_ROWS = 2**16


def read_table(path: Path, texts: Sequence[str]) -> tuple[Dialect, dict[str, Column]]:
    """Read all columns of a text table.

    Args:
        path: The file.
        texts: Columns that must be there; they are read as text whatever they hold.

    Raises:
        IngestError: A column is not there, two have one name, or an integer would change.
    """
    dialect = sniff(path, ReadOptions(positions=tuple(texts)))
    names = dialect.names
    gone = [name for name in texts if name not in names]
    if gone:
        raise IngestError(f"{path} has no column {listed(gone)}", got=f"columns {listed(names)}")
    repeated = [name for name, count in Counter(names).items() if count > 1]
    if repeated:
        raise IngestError(f"{path}: more than one column has the name {listed(repeated)}")
    scans = {name: ColumnScan() for name in names}
    rows = 0
    with closing(text_blocks(dialect, dict.fromkeys(names, Kind.TEXT.value))) as blocks:
        for block in blocks:
            for name in names:
                scans[name].add(block[name], rows)
            rows += len(block[names[0]])
    tables = {name: CategoryTable() for name in names if name in texts or scans[name].kind is Kind.TEXT}
    types = {}
    for name, scan in scans.items():
        if name not in tables and scan.kind is Kind.FLOAT and scan.inexact is not None and not scan.fraction:
            raise IngestError(
                f"{path}: column {name!r} has an integer that changes as float64, which other values call for",
                got=f"the one in line {line_of_row(dialect, scan.inexact)}",
            )
        types[name] = (scan.kind if scan.clean and name not in tables else Kind.TEXT).value
    parts: dict[str, list[AnyArray]] = {
        name: [np.empty(0, dtype=np.int32 if name in tables else scans[name].kind.value)] for name in names
    }
    for block in text_blocks(dialect, types):
        for name in names:
            parts[name].append(decode_block(block[name], scans[name], tables.get(name)))
    columns = {name: np.concatenate(arrays) for name, arrays in parts.items()}
    return dialect, {
        name: tables[name].categorical(values) if name in tables else values for name, values in columns.items()
    }


def write_table(path: Path, columns: Mapping[str, Column]) -> None:
    """Write columns as a new file with commas; one of C channels becomes ``name_0`` to ``name_{C-1}``.

    Raises:
        ExportError: Two columns have one name, or one is of a kind that text does not hold.
    """
    flat = list(_flat(path, columns))
    repeated = [name for name, count in Counter(name for name, _, _ in flat).items() if count > 1]
    if repeated:
        raise ExportError(f"{path}: more than one column would have the name {listed(repeated)}")
    header = io.StringIO()
    csv.writer(header, lineterminator="\n").writerow([name for name, _, _ in flat])
    with path.open("xb") as file:
        file.write(header.getvalue().encode())
        for start in range(0, len(flat[0][1]), _WRITE_ROWS):
            fields = [as_text(values[start : start + _WRITE_ROWS], words) for _, values, words in flat]
            file.write(text_lines(fields, ",", missing=""))


def _flat(path: Path, columns: Mapping[str, Column]) -> list[tuple[str, AnyArray, object]]:
    """Every column of the file: its name, its values, and the texts that they are codes of or None."""
    found: list[tuple[str, AnyArray, object]] = []
    for name, column in columns.items():
        if isinstance(column, Categorical):
            words = [quoted(path, name, category, spaced=False) for category in column.categories]
            codes = np.where(column.codes < 0, len(words), column.codes)
            found.append((name, codes, require("pyarrow").array([*words, ""], type=require("pyarrow").string())))
            continue
        if column.dtype.kind not in "biufM" or column.dtype.itemsize > 8 or column.ndim > 2:
            raise ExportError(
                f"{path}: attribute {name!r} cannot be written as text",
                got=f"{column.dtype} of shape {column.shape}",
                hint="choose others with attributes= (--attributes)",
            )
        values = native_times(path, name, column)
        if values.ndim == 1:
            found.append((name, values, None))
        else:
            found += [(f"{name}_{number}", channel, None) for number, channel in enumerate(values.T)]
    return found
