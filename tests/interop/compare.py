"""Comparing point clouds row by row, whoever has read them, and finding by brute force what a read must return."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from zarr_vectors.typing import AnyArray

__all__ = [
    "Corners",
    "Keywords",
    "Rows",
    "assert_same_tables",
    "boxes",
    "expected_tables",
    "input_rows",
    "inside",
    "owned",
    "rows_of",
    "tables_of",
]

TEXT = "OUST"
Keywords = Mapping[str, Any]
Corners = tuple[list[float], list[float]]


@dataclass(frozen=True)
class Rows:
    """A table with one row per point: ``positions``, ``object_ids`` where known, and ``attribute <name>``."""

    columns: dict[str, AnyArray]

    def __len__(self) -> int:
        return len(self.columns["positions"])

    def take(self, mask: Any) -> Rows:
        """The rows of a mask."""
        return Rows({name: column[mask] for name, column in self.columns.items()})

    def without(self, name: str) -> Rows:
        """All columns but one."""
        return Rows({key: column for key, column in self.columns.items() if key != name})

    def keys(self) -> list[bytes]:
        """Each row as bytes; equal rows have equal bytes."""
        parts = [
            np.ascontiguousarray(column).view(np.uint8).reshape(len(self), -1)
            for _, column in sorted(self.columns.items())
        ]
        return [row.tobytes() for row in np.concatenate(parts, axis=1)]

    def show(self, row: int) -> str:
        return ", ".join(f"{name}={column[row]}" for name, column in self.columns.items())

    def assert_equals(self, other: Rows, *, ordered: bool) -> None:
        """Fail with the first row that differs. Where there is no row, nothing but that is compared."""
        assert len(self) == len(other), f"{len(self)} rows, expected {len(other)}"
        if not len(other):
            return
        assert {name: column.dtype for name, column in _plain(self).items()} == {
            name: column.dtype for name, column in _plain(other).items()
        }
        left, right = _same_width(self, other)
        got, expected = left.keys(), right.keys()
        if ordered:
            wrong = [row for row in range(len(got)) if got[row] != expected[row]]
            assert not wrong, f"row {wrong[0]} is {self.show(wrong[0])}, expected {other.show(wrong[0])}"
        elif sorted(got) != sorted(expected):
            missing = [row for row in range(len(expected)) if expected[row] not in set(got)]
            added = [row for row in range(len(got)) if got[row] not in set(expected)]
            raise AssertionError(
                f"{len(missing)} rows are missing, first {other.show(missing[0]) if missing else '-'}; "
                f"{len(added)} rows should not be there, first {self.show(added[0]) if added else '-'}"
            )


def rows_of(result: Mapping[str, Any], ndim: int, *, ids: bool = True) -> Rows:
    """The rows of what ``read_points`` returns, of either package, or of a ``Points``.

    Args:
        result: Has the keys ``positions``, ``vertex_attributes`` and maybe ``object_ids``.
        ndim: Number of axes, which 0.9.2 does not tell for one axis.
        ids: Whether to keep the object ids.
    """
    columns = {"positions": plain_column(np.asarray(result["positions"]).reshape(-1, ndim), squeeze=False)}
    columns |= {f"attribute {name}": plain_column(values) for name, values in result["vertex_attributes"].items()}
    object_ids = result.get("object_ids")
    if ids and object_ids is not None:
        columns["object_ids"] = plain_column(object_ids)
    return Rows(columns)


def input_rows(keywords: Keywords) -> Rows:
    """The rows that the keywords of ``write_points`` describe."""
    result = {"vertex_attributes": {}, **keywords}
    return rows_of(result, keywords["positions"].shape[1])


def plain_column(values: Any, *, squeeze: bool = True) -> AnyArray:
    """A column in native byte order; text as ``"=" + text``, so that a missing value, ``"-"``, is apart."""
    array = np.asarray(values)
    if array.dtype.kind in TEXT:
        return np.array(["-" if item is None else f"={_decoded(item)}" for item in array.tolist()], dtype=np.str_)
    native = array.astype(array.dtype.newbyteorder("="))
    if native.dtype.kind == "f":
        native = np.where(np.isnan(native), native.dtype.type(np.nan), native)
    # One channel and none are the same thing to 0.9.2.
    return native[:, 0] if squeeze and native.ndim == 2 and native.shape[1] == 1 else native


def assert_same_values(got: Any, expected: Any, *, what: str) -> None:
    """Compare two tables of objects or groups; no text and empty text are the same in them."""
    left, right = plain_column(got), plain_column(expected)
    if right.dtype.kind in TEXT:
        left, right = np.where(left == "-", "=", left), np.where(right == "-", "=", right)
        assert left.tolist() == right.tolist(), what
        return
    assert left.dtype == right.dtype, what
    np.testing.assert_array_equal(left, right, err_msg=what)


def expected_tables(keywords: Keywords) -> dict[str, Any]:
    """The tables that the keywords of ``write_points`` describe, under the names of ``peer_server.describe``."""
    groups = keywords.get("groups", {})
    count = max(groups, default=-1) + 1
    return {
        "object_ids": np.unique(keywords["object_ids"]) if "object_ids" in keywords else None,
        "object_attributes": keywords.get("object_attributes", {}),
        "groups": [list(groups.get(group, ())) for group in range(count)],
        "group_attributes": keywords.get("group_attributes", {}),
    }


def tables_of(points: Mapping[str, Any]) -> dict[str, Any]:
    """The tables that a ``Points`` carries."""
    groups = points["groups"]
    return {
        "object_ids": points["objects"],
        "object_attributes": points["object_attributes"],
        "groups": [groups.get(group, ()) for group in range(max(groups, default=-1) + 1)],
        "group_attributes": points["group_attributes"],
    }


def assert_same_tables(got: Mapping[str, Any], expected: Mapping[str, Any]) -> None:
    """Compare the tables of objects and groups of two descriptions."""
    ids = got["object_ids"]
    assert (None if ids is None else np.asarray(ids).tolist()) == (
        None if expected["object_ids"] is None else expected["object_ids"].tolist()
    )
    assert [[int(member) for member in members] for members in got["groups"]] == expected["groups"]
    for family in ("object_attributes", "group_attributes"):
        assert sorted(got[family]) == sorted(expected[family])
        for name, values in expected[family].items():
            assert_same_values(got[family][name], values, what=f"{family}/{name}")


def boxes(keywords: Keywords) -> dict[str, Corners]:
    """Boxes worth asking for; the sides of some of them go exactly through points or along chunk faces."""
    positions = keywords["positions"].astype(np.float64)
    if not len(positions):
        low, high = (np.asarray(corner, dtype=np.float64) for corner in keywords["bounds"])
    else:
        low, high = positions.min(axis=0), positions.max(axis=0)
    middle = np.floor((low + high) / 20.0) * 10.0
    found: dict[str, tuple[AnyArray, AnyArray]] = {
        "everything": (low, high),
        "beyond": (low - 1000.0, high + 1000.0),
        "outside": (high + 1.0, high + 2.0),
        "middle": (low + (high - low) * 0.3, low + (high - low) * 0.71),
        "one chunk": (middle, middle + 10.0),
        "a face": (np.where(np.arange(len(low)) == 0, middle, low), np.where(np.arange(len(low)) == 0, middle, high)),
    }
    if len(positions):
        first, last = positions[0], positions[-1]
        found["a point"] = (last, last)
        found["between points"] = (np.minimum(first, last), np.maximum(first, last))
    return {name: (corners[0].tolist(), corners[1].tolist()) for name, corners in found.items()}


def inside(rows: Rows, box: Corners) -> Any:
    """Which rows lie in a closed box."""
    positions = rows.columns["positions"].astype(np.float64)
    return np.logical_and(positions >= box[0], positions <= box[1]).all(axis=1)


def owned(rows: Rows, ids: Iterable[int]) -> Any:
    """Which rows belong to one of these objects."""
    return np.isin(rows.columns["object_ids"], list(ids))


def _decoded(item: Any) -> str:
    return item.decode("utf-8") if isinstance(item, bytes) else str(item)


def _plain(rows: Rows) -> dict[str, AnyArray]:
    return {name: column for name, column in rows.columns.items() if column.dtype.kind not in TEXT}


def _same_width(left: Rows, right: Rows) -> Sequence[Rows]:
    """Both with text columns of the same width, so that equal text has equal bytes."""
    assert left.columns.keys() == right.columns.keys()
    kinds = {name: np.promote_types(left.columns[name].dtype, right.columns[name].dtype) for name in left.columns}
    return [Rows({name: rows.columns[name].astype(kinds[name]) for name in kinds}) for rows in (left, right)]
