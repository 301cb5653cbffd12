"""Temporary files for what does not fit into memory: rows by their number, records by the bucket that they go to."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np

from zarr_vectors.exceptions import CorruptionError
from zarr_vectors.geometry import Categorical, Column
from zarr_vectors.pyramid.aggregate import check_complete
from zarr_vectors.spatial.partition import stable_order
from zarr_vectors.typing import AnyArray, IntArray

__all__ = ["Buckets", "RecordColumns", "Spool"]


@dataclass
class Spool:
    """Rows that are written one after another, and then read and changed anywhere.

    Args:
        path: The file, which need not exist yet.
        dtype: Of a number of a row.
        row_shape: Of a row.
    """

    path: Path
    dtype: np.dtype[Any]
    row_shape: tuple[int, ...] = ()
    count: int = 0

    def __len__(self) -> int:
        return self.count

    def append(self, rows: AnyArray) -> None:
        """Add rows to the end."""
        with self.path.open("ab") as out:
            np.ascontiguousarray(rows, dtype=self.dtype).tofile(out)
        self.count += len(rows)

    def fill(self, count: int) -> AnyArray:
        """So many rows of zeros, in place of what there was."""
        self.count = count
        with self.path.open("wb") as out:
            out.truncate(count * self._row_bytes)
        return self.rows()

    def rows(self) -> AnyArray:
        """All rows, as an array on the file."""
        shape = (self.count, *self.row_shape)
        if not self.count:
            return np.zeros(shape, dtype=self.dtype)
        # As a plain array, whose parts are cheap to make.
        return np.asarray(np.memmap(self.path, dtype=self.dtype, mode="r+", shape=shape))

    def batches(self, rows: int) -> Iterator[AnyArray]:
        """The rows, so many at a time, read from the file."""
        if not self.count:
            return
        size = max(1, rows) * int(np.prod(self.row_shape, dtype=np.int64))
        with self.path.open("rb") as source:
            while len(found := np.fromfile(source, dtype=self.dtype, count=size)):
                yield found.reshape(-1, *self.row_shape)

    @property
    def _row_bytes(self) -> int:
        return self.dtype.itemsize * int(np.prod(self.row_shape, dtype=np.int64))


@dataclass
class Buckets:
    """Records scattered to files by a number.

    Args:
        folder: For the files; it is made.
        dtype: Of a record.
    """

    folder: Path
    dtype: np.dtype[Any]

    def __post_init__(self) -> None:
        self.folder.mkdir()

    def add(self, records: AnyArray, numbers: IntArray) -> None:
        """Write records to the files of their numbers, after those that are there."""
        if not len(records):
            return
        order = stable_order([numbers])
        ordered = numbers[order]
        starts = np.flatnonzero(np.diff(ordered, prepend=-1))
        ends = np.append(starts[1:], len(ordered))
        for start, end in zip(starts.tolist(), ends.tolist(), strict=True):
            with self._path(int(ordered[start])).open("ab") as out:
                records[order[start:end]].tofile(out)

    def read(self, number: int) -> AnyArray:
        """All records of a number."""
        path = self._path(number)
        return np.fromfile(path, dtype=self.dtype) if path.exists() else np.zeros(0, dtype=self.dtype)

    def take(self, number: int) -> AnyArray:
        """All records of a number, whose file is removed."""
        records = self.read(number)
        self._path(number).unlink(missing_ok=True)
        return records

    def _path(self, number: int) -> Path:
        return self.folder / str(number)


@dataclass(frozen=True)
class RecordColumns:
    """Attributes as fields of records.

    Args:
        model: Columns of the same types, with any rows.
    """

    model: Mapping[str, Column] = field(default_factory=dict)

    def fields(self) -> list[Any]:
        """Descriptions of the fields, for a dtype."""
        return [
            (f"a{number}", np.dtype("i4") if isinstance(column, Categorical) else column.dtype, _row_shape(column))
            for number, column in enumerate(self.model.values())
        ]

    def put(self, records: AnyArray, columns: Mapping[str, Column]) -> None:
        """Write values to records.

        Raises:
            CorruptionError: An attribute has another width than before.
            InputError: Values are missing.
        """
        for number, (name, model) in enumerate(self.model.items()):
            column = columns[name]
            check_complete(name, column)
            if _row_shape(column) != _row_shape(model):
                raise CorruptionError(
                    f"the values of link attribute {name!r} differ in width",
                    expected=_row_shape(model),
                    got=_row_shape(column),
                )
            records[f"a{number}"] = column.codes if isinstance(column, Categorical) else np.asarray(column)

    def take(self, records: AnyArray) -> dict[str, Column]:
        """The values in records."""
        found: dict[str, Column] = {}
        for number, (name, model) in enumerate(self.model.items()):
            values = np.ascontiguousarray(records[f"a{number}"])
            found[name] = (
                Categorical(values, model.categories, model.ordered) if isinstance(model, Categorical) else values
            )
        return found


def _row_shape(column: Column) -> tuple[int, ...]:
    return () if isinstance(column, Categorical) else column.shape[1:]
