"""What the tests of writing and reading share: clouds, places, and ways to compare rows."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Hashable, Iterable
from itertools import count
from pathlib import Path
from typing import Any

import numpy as np

import zarr_vectors as zv
from zarr_vectors.geometry import Categorical, Column
from zarr_vectors.typing import AnyArray

_places = count()


def memory() -> str:
    """A place in memory that no other test uses."""
    return f"memory://test-{next(_places)}"


def read(target: Any, *args: Any, **options: Any) -> zv.Points:
    """Read level 0."""
    points: zv.Points = zv.open(target)[0].read(*args, **options)
    return points


def column_values(column: Column | None) -> list[Hashable]:
    """Each row as something that compares exactly: text as it is, numbers as their bytes."""
    if column is None:
        return []
    if isinstance(column, Categorical):
        return list(np.asarray(column).tolist())
    array = np.ascontiguousarray(column)
    return [row.tobytes() for row in array]


def rows_of(points: zv.Points) -> Counter[Any]:
    """All rows with all of their values, as a multiset."""
    columns = [column_values(points.positions)]
    columns += [column_values(points.attributes[name]) for name in sorted(points.attributes)]
    if points.object_ids is not None:
        columns.append(column_values(points.object_ids))
    return Counter(zip(*columns, strict=True))


def same_rows(left: zv.Points, right: zv.Points) -> bool:
    """Whether both have the same rows in any order."""
    return rows_of(left) == rows_of(right)


def assert_same_column(got: Column | None, expected: Column | None) -> None:
    """Equal values, dtype and shape; NaN equals NaN."""
    if expected is None or got is None:
        assert got is None
        assert expected is None
        return
    assert got.dtype == expected.dtype
    assert got.shape == expected.shape
    assert column_values(got) == column_values(expected)


def assert_same_cloud(got: zv.Points, expected: zv.Points) -> None:
    """Equal rows in the same order."""
    assert_same_column(got.positions, expected.positions)
    assert sorted(got.attributes) == sorted(expected.attributes)
    for name, column in expected.attributes.items():
        assert_same_column(got.attributes[name], column)
    assert_same_column(got.object_ids, expected.object_ids)


def in_input_order(points: zv.Points) -> zv.Points:
    """The rows of a store with ``keep_order`` as they were given."""
    assert points.row_ids is not None
    assert sorted(points.row_ids.tolist()) == list(range(points.vertex_count))
    return points.take(np.argsort(points.row_ids))


def cloud(positions: Any, attributes: Any = None, object_ids: Any = None, **options: Any) -> zv.Points:
    """``Points`` of whatever it takes; its signature asks for arrays."""
    return zv.Points(positions, attributes or {}, object_ids, **options)


def uniform(rows: int, seed: int = 0, *, low: float = 0, high: float = 10, ndim: int = 3, **options: Any) -> zv.Points:
    """Points at random in a box."""
    rng = np.random.default_rng(seed)
    return cloud(rng.uniform(low, high, (rows, ndim)), **options)


def joined(parts: Iterable[zv.Points]) -> zv.Points:
    """Rows of several clouds with the same columns; without their tables."""
    parts = list(parts)
    first = parts[0]
    attributes: dict[str, Any] = {}
    for name, column in first.attributes.items():
        columns = [part.attributes[name] for part in parts]
        text = isinstance(column, Categorical)
        rows = np.concatenate([np.asarray(column, dtype=object if text else None) for column in columns])
        attributes[name] = rows if text else rows.astype(columns[0].dtype, copy=False)
    ids = None if first.object_ids is None else np.concatenate([np.asarray(part.object_ids) for part in parts])
    return cloud(np.concatenate([part.positions for part in parts]), attributes, ids)


def inside(positions: AnyArray, low: Iterable[float], high: Iterable[float]) -> AnyArray:
    """``(N,)`` whether each position lies in a closed box; by Python's exact comparison of numbers."""
    low, high = list(low), list(high)
    rows = positions.tolist()
    return np.array([all(a <= v <= b for a, v, b in zip(low, row, high, strict=True)) for row in rows], dtype=bool)


def values_of(column: Column | None) -> list[Any]:
    """A column as plain values."""
    values: list[Any] = np.asarray(column).tolist()
    return values


def masked(values: Any, *rows: int) -> Any:
    """A masked array with these rows missing."""
    array = np.ma.MaskedArray(values)
    array[list(rows)] = np.ma.masked
    return array


def files_of(folder: Path) -> dict[str, bytes]:
    """Every file below a folder with its content, but for those that say when the others were written."""
    files = {str(path.relative_to(folder)): path for path in folder.rglob("*") if path.is_file()}
    return {name: path.read_bytes() for name, path in files.items() if "cell_index/stamps/c/" not in name}


def short(value: Any) -> str:
    """A test's name for a parameter, which may be a large array."""
    text = re.sub(" at 0x[0-9a-f]+", "", " ".join(repr(value).split()))
    return text if len(text) <= 60 else text[:57] + "..."
