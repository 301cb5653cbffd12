"""Columns and tables of several values as one."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

from zarr_vectors.exceptions import InputError
from zarr_vectors.geometry import Categorical, Column, same_values
from zarr_vectors.types.objects import ObjectTables
from zarr_vectors.typing import AnyArray, IntArray

__all__ = ["concatenate_columns", "distinct", "merge_tables", "unite_categories"]

_BLOCK_ROWS = 1 << 15


def distinct(ids: IntArray) -> IntArray:
    """Sorted distinct ids; by marking where they are dense, which is much faster than sorting."""
    if not len(ids):
        return ids
    low, high = int(ids.min()), int(ids.max())
    if high - low <= 4 * len(ids) + 1024:
        seen = np.zeros(high - low + 1, dtype=bool)
        for start in range(0, len(ids), _BLOCK_ROWS):
            seen[ids[start : start + _BLOCK_ROWS] - low] = True
        return np.flatnonzero(seen).astype(np.int64) + low
    return np.unique(ids)


def merge_tables(parts: Sequence[ObjectTables]) -> ObjectTables:
    """The tables of several values as one.

    Raises:
        InputError: Two values describe one object or group differently, or not all have the same attributes.
    """
    described = [part for part in parts if len(part.ids)]
    if len(described) <= 1:
        return described[0] if described else parts[0]
    ids = distinct(np.concatenate([part.ids for part in described]))
    names = list(described[0].attributes)
    if any(set(part.attributes) != set(names) for part in described):
        raise InputError("all values must have the same object attributes", expected=sorted(names))
    attributes = {
        name: _merge_rows("object attribute", name, ids, [(part.ids, part.attributes[name]) for part in described])
        for name in names
    }
    groups: dict[int, IntArray] = {}
    for part in described:
        for group, members in part.groups.items():
            groups[group] = np.union1d(groups[group], members) if group in groups else members
    return ObjectTables(ids=ids, attributes=attributes, groups=groups, group_attributes=_merge_group_rows(described))


def _merge_group_rows(parts: Sequence[ObjectTables]) -> dict[str, Column]:
    """Group attributes of several values: each describes its own groups, and the longest the ids between them."""
    parts = [part for part in parts if part.groups]
    if not parts:
        return {}
    names = set(parts[0].group_attributes)
    if any(set(part.group_attributes) != names for part in parts):
        raise InputError("all values must have the same group attributes", expected=sorted(names))
    longest = max(parts, key=lambda part: max(part.groups))
    own = [np.array(sorted(part.groups), dtype=np.int64) for part in parts]
    holes = np.setdiff1d(np.arange(max(longest.groups) + 1), np.concatenate(own))
    merged: dict[str, Column] = {}
    for name in names:
        rows = [(ids, part.group_attributes[name][ids]) for ids, part in zip(own, parts, strict=True)]
        rows.append((holes, longest.group_attributes[name][holes]))
        merged[name] = _merge_rows("group attribute", name, np.arange(max(longest.groups) + 1), rows)
    return merged


def _merge_rows(what: str, name: str, ids: IntArray, parts: Sequence[tuple[IntArray, Column]]) -> Column:
    owner = np.concatenate([part_ids for part_ids, _ in parts])
    column = concatenate_columns(what, name, [values for _, values in parts])
    first = np.unique(owner, return_index=True)[1]
    merged: Column = column[first]
    again = merged[np.searchsorted(ids, owner)]
    if not same_values(again, column):
        raise InputError(f"{what} {name!r} has different values for one id in different values of the stream")
    return merged


def concatenate_columns(what: str, name: str, columns: Sequence[Column]) -> Column:
    """Columns after one another; categories that differ are united, sorted unless their order means something.

    Raises:
        InputError: Their types differ.
    """
    kinds = ["text" if isinstance(column, Categorical) else f"{column.dtype} {column.shape[1:]}" for column in columns]
    if len(set(kinds)) > 1:
        raise InputError(
            f"{what} {name!r} must be of one type throughout", got=f"{kinds[0]} and {set(kinds) - {kinds[0]}}"
        )
    texts = [column for column in columns if isinstance(column, Categorical)]
    if not texts:
        arrays = [column for column in columns if not isinstance(column, Categorical)]
        joined: AnyArray = (np.ma.concatenate if any(map(np.ma.is_masked, arrays)) else np.concatenate)(arrays)
        # numpy joins what is not in the machine's byte order to what is.
        return joined.astype(arrays[0].dtype, copy=False)
    categories = unite_categories([column.categories for column in texts], ordered=texts[0].ordered)
    place = {category: code for code, category in enumerate(categories)}
    codes = [
        np.array([*(place[category] for category in column.categories), -1], dtype=np.int32)[
            column.codes.astype(np.int64)
        ]
        for column in texts
    ]
    return Categorical(np.concatenate(codes), categories, texts[0].ordered)


def unite_categories(lists: Sequence[tuple[Any, ...]], *, ordered: bool) -> tuple[Any, ...]:
    """The categories of several columns: as they are where all agree, else in order of appearance or sorted.

    Example:
        >>> unite_categories([("b", "a"), ("b", "a")], ordered=False), unite_categories([("b",), ("a",)], ordered=False)
        (('b', 'a'), ('a', 'b'))
    """
    seen = tuple(dict.fromkeys(category for categories in lists for category in categories))
    return seen if ordered or all(categories == lists[0] for categories in lists) else tuple(sorted(seen, key=str))
