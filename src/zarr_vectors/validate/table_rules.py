"""Level 3: tables of objects and groups."""

from __future__ import annotations

from collections.abc import Iterator
from functools import partial
from typing import Any

import numpy as np

from zarr_vectors import constants
from zarr_vectors.core.state import LevelState
from zarr_vectors.encoding.blobs import Blobs
from zarr_vectors.exceptions import CorruptionError
from zarr_vectors.storage.storage import Storage
from zarr_vectors.storage.tables import TableArray
from zarr_vectors.typing import IntArray
from zarr_vectors.validate.problems import Findings

__all__ = ["check_tables", "read_chunks"]

_AT_ONCE = 16
_MOST_MEMBERS = 2**40


def read_chunks(storage: Storage, table: TableArray, findings: Findings) -> Iterator[tuple[int, Any]]:
    """First row and rows of each stored chunk of a table; None in place of the rows of one that cannot be read."""
    starts = range(0, table.rows, max(1, table.chunk_rows))
    for first in range(0, len(starts), _AT_ONCE):
        parts = [np.arange(at, min(at + table.chunk_rows, table.rows)) for at in starts[first : first + _AT_ONCE]]
        found = storage.fetch(get for rows in parts for get in table.requests(rows[:1]))
        for rows in parts:
            start = int(rows[0])
            try:
                yield start, table.decode(found, rows)
            except CorruptionError as error:
                # Of a table, a cell is a stored chunk.
                findings.add("table_corrupt", table.path, str(error.got), cell=error.cell)
                yield start, None


def check_tables(storage: Storage, level: LevelState, ids: IntArray | None, findings: Findings) -> None:
    """Check everything about objects and groups but the index.

    Args:
        ids: ``(O,)`` ids of the objects; None where they are not known.
    """
    for name, table in level.tables.items():
        family = name.partition("/")[0]
        if family == constants.OBJECT_ATTRIBUTES:
            _check_object_attribute(level, table, findings)
        elif family == constants.GROUP_ATTRIBUTES:
            _check_group_attribute(level, table, findings)
        if name == constants.GROUPS:
            findings.attempt(table.path, partial(_check_groups, storage, table, ids, findings), "group_corrupt")
        elif name not in (constants.OBJECT_MANIFESTS, constants.OBJECT_IDS):
            for _ in read_chunks(storage, table, findings):
                pass


def _check_object_attribute(level: LevelState, table: TableArray, findings: Findings) -> None:
    if not level.has_objects:
        if table.rows:
            findings.add("table_rows", table.path, f"{table.rows} rows, and the level has no objects")
        return
    if table.rows > level.object_slots:
        findings.add("table_rows", table.path, f"{table.rows} rows for {level.object_slots} objects")
    elif table.rows < level.object_slots:
        findings.add("object_rows", table.path, f"{table.rows} rows for {level.object_slots} objects")


def _check_group_attribute(level: LevelState, table: TableArray, findings: Findings) -> None:
    groups = level.tables.get(constants.GROUPS)
    count = 0 if groups is None else groups.rows
    if table.rows != count:
        findings.add("table_rows", table.path, f"{table.rows} rows for {count} groups")


def _check_groups(storage: Storage, table: TableArray, ids: IntArray | None, findings: Findings) -> None:
    said = table.document.attributes
    stated = said.get("num_groups", table.rows)
    if stated != table.rows:
        findings.add("table_rows", table.path, f"num_groups is {stated}, there are {table.rows} rows")
    for start, blobs in read_chunks(storage, table, findings):
        if blobs is not None:
            _check_members(table, start, blobs, ids, findings)
    ranges = said.get("group_ranges") or {}
    for group, span in ranges.items():
        _check_range(table, group, span, ids, findings)


def _check_members(table: TableArray, start: int, blobs: Blobs, ids: IntArray | None, findings: Findings) -> None:
    torn = blobs.sizes % 8 != 0
    for group in np.flatnonzero(torn).tolist():
        findings.add("group_corrupt", table.path, f"{blobs.sizes[group]} bytes", cell=start + group)
    if ids is None:
        return
    good = np.flatnonzero(~torn)
    chosen = blobs.take(good)
    members = np.frombuffer(chosen.joined(), dtype="<i8").astype(np.int64)
    owner = np.repeat(good, chosen.sizes // 8)
    unknown = np.flatnonzero(~np.isin(members, ids))
    for group in np.unique(owner[unknown]).tolist():
        strangers = members[unknown[owner[unknown] == group]]
        text = f"{len(strangers)} members are no objects, the first is {strangers[0]}"
        findings.add("group_member", table.path, text, cell=start + group)


def _check_range(table: TableArray, group: Any, span: Any, ids: IntArray | None, findings: Findings) -> None:
    """A range of ids; not all of them need exist, but some must."""
    known = isinstance(group, str) and group.isdecimal() and int(group) < table.rows
    if not known:
        findings.add("group_corrupt", table.path, f"group_ranges names a group {group!r}", cell=str(group))
        return
    numbers = isinstance(span, list) and len(span) == 2 and all(type(end) is int for end in span)
    if not numbers or not 0 <= span[1] - span[0] <= _MOST_MEMBERS:
        findings.add("group_corrupt", table.path, f"its range is {span!r}", cell=group)
        return
    if ids is not None and span[1] > span[0]:
        there = int(((ids >= span[0]) & (ids < span[1])).sum())
        if there < span[1] - span[0]:
            text = f"of its ids from {span[0]} to {span[1] - 1}, {there} are objects"
            findings.add("group_member", table.path, text, cell=group, severity="warning" if there else "error")
