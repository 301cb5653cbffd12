"""What formats of one graph per file share: node names as rows, and several graphs as one."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import replace
from typing import Any

import numpy as np

from zarr_vectors.exceptions import ExportError
from zarr_vectors.formats.base import OBJECT_ID, WITHOUT_GROUPS, WITHOUT_OBJECT_ATTRIBUTES
from zarr_vectors.formats.columns import CategoryTable
from zarr_vectors.geometry import Categorical, Column, Graph
from zarr_vectors.typing import AnyArray, IntArray

__all__ = ["NODE_ID", "join_graphs", "joined_columns", "rows_of"]

NODE_ID = "node_id"
"""The attribute that keeps the ids of nodes that are not numbered from 0 in their order."""


def rows_of(ids: AnyArray, ends: AnyArray) -> IntArray:
    """The rows of nodes by their ids, -1 for one that there is not.

    Example:
        >>> rows_of(np.array([30, 10, 20]), np.array([[10, 30], [20, 7]])).tolist()
        [[1, 0], [2, -1]]
    """
    if not len(ids):
        return np.full(ends.shape, -1, dtype=np.int64)
    order = np.argsort(ids, kind="stable")
    place = np.minimum(np.searchsorted(ids, ends, sorter=order), len(ids) - 1)
    rows = order[place]
    return np.where(ids[rows] == ends, rows, -1).astype(np.int64)


def join_graphs(what: str, batches: Iterator[Graph]) -> Graph:
    """All batches as one graph; the ids of objects become the attribute ``object_id`` where one of them is not 0.

    Raises:
        ExportError: There are object attributes or groups, or the batches have not the same columns.
    """
    parts = list(batches)
    first = parts[0]
    for part in parts:
        if part.object_attributes or any(len(members) for members in part.groups.values()):
            held = f"attributes {sorted(part.object_attributes)}" if part.object_attributes else "groups"
            hint = WITHOUT_OBJECT_ATTRIBUTES if part.object_attributes else WITHOUT_GROUPS
            raise ExportError(f"{what} cannot hold what is known of objects", got=held, hint=hint)
        if part.directed != first.directed or _layout(part) != _layout(first):
            raise ExportError("all batches must have the same columns", got=_layout(part), expected=_layout(first))
    firsts = np.concatenate([[0], np.cumsum([part.vertex_count for part in parts])]).astype(np.int64)
    attributes = {name: joined_columns([part.attributes[name] for part in parts]) for name in first.attributes}
    owners = [part.object_ids for part in parts if part.object_ids is not None]
    if any(ids.any() for ids in owners):
        if OBJECT_ID in attributes:
            raise ExportError(f"there are object ids, and an attribute {OBJECT_ID!r}", hint="leave the attribute out")
        attributes[OBJECT_ID] = np.concatenate(owners)
    graph = Graph(
        np.concatenate([part.positions for part in parts]),
        np.concatenate([part.edges + start for part, start in zip(parts, firsts, strict=False)]),
        directed=first.directed,
        attributes=attributes,
        edge_attributes={
            name: joined_columns([part.edge_attributes[name] for part in parts]) for name in first.edge_attributes
        },
    )
    return replace(graph, axes=first.axes)


def _layout(part: Graph) -> dict[str, Any]:
    columns = {f"attribute {name}": column for name, column in part.attributes.items()}
    columns |= {f"edge attribute {name}": column for name, column in part.edge_attributes.items()}
    kinds = {
        name: "text" if isinstance(column, Categorical) else (str(column.dtype), column.shape[1:])
        for name, column in columns.items()
    }
    return {"object ids": part.object_ids is not None, "positions": str(part.positions.dtype)} | kinds


def joined_columns(columns: Sequence[Column]) -> Column:
    """Columns one after another; categories are united in order of appearance."""
    texts = [column for column in columns if isinstance(column, Categorical)]
    if texts:
        table = CategoryTable(ordered=texts[0].ordered)
        codes = [table.recode(column.codes, column.categories) for column in texts]
        return table.categorical(np.concatenate(codes))
    arrays = [column for column in columns if not isinstance(column, Categorical)]
    joined: AnyArray = (np.ma.concatenate if any(map(np.ma.is_masked, arrays)) else np.concatenate)(arrays)
    return joined
