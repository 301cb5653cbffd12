"""A temporary file of records: fixed fields, then one field for each attribute."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import numpy as np

from zarr_vectors.core.documents import ColumnSpec
from zarr_vectors.geometry import Categorical, Column
from zarr_vectors.types.table import code_dtype
from zarr_vectors.typing import AnyArray

__all__ = ["ColumnFile"]

_READ_ROWS = 500_000


@dataclass
class ColumnFile:
    """Records of rows or links. Text is kept as codes into the list of all categories seen so far.

    Args:
        path: The file; it need not exist before the first record is written.
        record: Type of a record; attribute number ``n`` is the field ``a<n>``.
        names: The attributes, in order.
    """

    path: Path
    record: np.dtype[np.void]
    names: list[str]
    _categories: dict[str, dict[Any, int]] = field(default_factory=dict)
    _missing: set[str] = field(default_factory=set)
    _uneven: set[str] = field(default_factory=set)
    _ordered: dict[str, bool] = field(default_factory=dict)

    @classmethod
    def declared(cls, path: Path, fields: Sequence[Any], columns: Mapping[str, Column]) -> ColumnFile:
        """A file whose records have these fields, and attributes like these columns."""
        file = cls(path, np.dtype([]), list(columns))
        described = list(fields)
        for number, (name, column) in enumerate(columns.items()):
            if isinstance(column, Categorical):
                file._categories[name], file._ordered[name] = {}, column.ordered
                described.append((f"a{number}", "i4"))
            else:
                described.append((f"a{number}", column.dtype, column.shape[1:]))
        file.record = np.dtype(described)
        return file

    def append(self, rows: int, values: Mapping[str, AnyArray], columns: Mapping[str, Column]) -> None:
        """Write down records: values of the fixed fields, and columns of the attributes."""
        packed = np.empty(rows, dtype=self.record)
        for name, value in values.items():
            packed[name] = value
        for number, name in enumerate(self.names):
            packed[f"a{number}"] = self._numbers(name, columns[name])
        with self.path.open("ab") as out:
            packed.tofile(out)

    def _numbers(self, name: str, column: Column) -> AnyArray:
        if not isinstance(column, Categorical):
            return column
        known = self._categories[name]
        if known and column.categories != tuple(known):
            self._uneven.add(name)
        for category in column.categories:
            known.setdefault(category, len(known))
        lookup = np.array([*(known[category] for category in column.categories), -1], dtype=np.int32)
        codes = lookup[column.codes.astype(np.int64)]
        if (codes < 0).any():
            self._missing.add(name)
        return codes

    def specs(self) -> tuple[dict[str, ColumnSpec], dict[str, AnyArray]]:
        """The stored type of each attribute, and for text the lookup from codes in the file to stored ones."""
        columns: dict[str, ColumnSpec] = {}
        lookups: dict[str, AnyArray] = {}
        for number, name in enumerate(self.names):
            stored = self.record[f"a{number}"]
            if name not in self._categories:
                columns[name] = ColumnSpec(dtype=stored.base, row_shape=stored.shape)
                continue
            seen = list(self._categories[name])
            final = sorted(seen, key=str) if name in self._uneven and not self._ordered[name] else seen
            place = {category: code for code, category in enumerate(final)}
            lookups[name] = np.array([*(place[category] for category in seen), -1], dtype=np.int64)
            dtype = code_dtype(len(final), name in self._missing)
            columns[name] = ColumnSpec(dtype=dtype, categories=tuple(final), ordered=self._ordered[name])
        return columns, lookups

    def with_field(self, name: str, new: str) -> ColumnFile:
        """The same file with an attribute, of numbers, as a fixed field of a new name."""
        names = [one for one in self.names if one != name]
        renamed = {f"a{self.names.index(one)}": f"a{number}" for number, one in enumerate(names)}
        renamed[f"a{self.names.index(name)}"] = new
        fields: Mapping[str, Any] = self.record.fields or {}
        record = np.dtype([(renamed.get(field, field), fields[field][0]) for field in self.record.names or ()])
        return replace(self, record=record, names=names)

    def read(self) -> Iterator[AnyArray]:
        """The records, some hundred thousand at a time."""
        if not self.path.exists():
            return
        with self.path.open("rb") as source:
            while len(rows := np.fromfile(source, dtype=self.record, count=_READ_ROWS)):
                yield rows
