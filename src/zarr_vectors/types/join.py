"""Values of a stream as one value."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Any

import numpy as np

from zarr_vectors.encoding.blobs import offsets_of
from zarr_vectors.exceptions import InputError
from zarr_vectors.geometry import Categorical, Column, Geometry, Graph, Linked, Mesh, Points, Polylines, Skeleton
from zarr_vectors.types.check import tables_of
from zarr_vectors.types.intake import numbered
from zarr_vectors.types.kinds import Kind, kind_of_value
from zarr_vectors.types.objects import ObjectTables
from zarr_vectors.types.unite import concatenate_columns, merge_tables
from zarr_vectors.typing import AnyArray, IntArray

__all__ = ["check_apart", "check_like", "concatenate"]


def concatenate(values: Sequence[Geometry]) -> Geometry:
    """Values as one.

    Raises:
        InputError: A value does not match the first one, or two of them describe one object differently.
    """
    first = values[0]
    if len(values) == 1:
        return first
    for number, value in enumerate(values):
        check_like(first, value, number)
    if isinstance(first, Polylines):
        values = _numbered_on(values)
    parts = [tables_of(value) for value in values]
    check_apart(parts, kind_of_value(first))
    tables = merge_tables(parts)
    described = bool(tables.attributes) or bool(tables.groups)
    fields: dict[str, Any] = {
        "positions": np.concatenate([value.positions for value in values]),
        "attributes": _joined("attribute", [value.attributes for value in values]),
        "objects": tables.ids if described else None,
        "object_attributes": tables.attributes,
        "groups": tables.groups,
        "group_attributes": tables.group_attributes,
        "row_ids": None,
        **_connections(values),
    }
    return replace(first, **fields)


def _numbered_on(values: Sequence[Geometry]) -> list[Geometry]:
    """Lines without ids, numbered from value to value."""
    done, result = 0, []
    for value in values:
        result.append(numbered(value, done))
        done += value.line_count if isinstance(value, Polylines) else 0
    return result


def _connections(values: Sequence[Geometry]) -> dict[str, Any]:
    """The fields that a kind adds, with rows counted over all values."""
    first = values[0]
    starts = offsets_of(np.array([value.vertex_count for value in values], dtype=np.int64))[:-1].tolist()
    if isinstance(first, Polylines):
        lines = [value for value in values if isinstance(value, Polylines)]
        lengths = np.concatenate([value.lengths for value in lines])
        return {"offsets": offsets_of(lengths), "ids": np.concatenate([value.line_ids for value in lines])}
    owners = [value.vertex_objects for value in values]
    ids = None if owners[0] is None else np.concatenate([owner for owner in owners if owner is not None])
    if isinstance(first, Points) or not isinstance(first, Linked):
        return {"object_ids": ids}
    linked = [value for value in values if isinstance(value, Linked)]
    columns = _joined(f"{first.link_noun.removesuffix('s')} attribute", [value.link_attributes for value in linked])
    if isinstance(first, Skeleton):
        parents = [
            np.where(value.parents < 0, -1, value.parents + start)
            for value, start in zip(values, starts, strict=True)
            if isinstance(value, Skeleton)
        ]
        return {"object_ids": ids, "parents": np.concatenate(parents), "edge_attributes": columns}
    links: IntArray = np.concatenate([value.links + start for value, start in zip(linked, starts, strict=True)])
    if isinstance(first, Mesh):
        return {"object_ids": ids, "faces": links, "face_attributes": columns}
    return {"object_ids": ids, "edges": links, "edge_attributes": columns}


def _joined(what: str, columns: Sequence[Mapping[str, Column]]) -> dict[str, Column]:
    return {name: concatenate_columns(what, name, [one[name] for one in columns]) for name in columns[0]}


def check_apart(parts: Sequence[ObjectTables], kind: Kind) -> None:
    """Refuse a line that comes in two values: which part would come first?

    Raises:
        InputError: An id occurs in two of the tables.
    """
    if kind.connects != "sequence" or len(parts) < 2:
        return
    ids = np.sort(np.concatenate([part.ids for part in parts]))
    twice = ids[1:][ids[1:] == ids[:-1]]
    if len(twice):
        raise InputError(
            "a line must come in one value of the stream",
            got=f"id {twice[0]} in two of them",
            hint="join its parts before, or write the later ones with mode='append' and extend=True",
        )


def check_like(first: Geometry, value: Geometry, number: int) -> None:
    """Refuse a value that is of another kind than the first one, or has not its columns.

    Raises:
        InputError: Saying what differs, in which item.
    """
    expected, got = _shape_of(first), _shape_of(value)
    for what in {**expected, **got}:
        if expected.get(what) != got.get(what):
            raise InputError(
                f"{what} of item {number} of the stream differs from the first item",
                expected=expected.get(what, "none"),
                got=got.get(what, "none"),
                hint="give all items the same columns and types",
            )


def _shape_of(value: Geometry) -> dict[str, Any]:
    def type_of(column: Column | AnyArray) -> str:
        if isinstance(column, Categorical):
            return "text"
        channels = "".join(f"[{length}]" for length in column.shape[1:])
        return f"{column.dtype}{channels}"

    facts: dict[str, Any] = {
        "the kind": kind_of_value(value).geometry_type,
        "positions": f"{value.positions.dtype}[{value.ndim}]",
        "axes": None if value.axes is None else [axis.to_json() for axis in value.axes],
    }
    has_ids = value.ids is not None if isinstance(value, Polylines) else value.has_objects
    facts |= {"object ids": "ids of their own"} if has_ids else {}
    facts |= {f"attribute {name!r}": type_of(column) for name, column in value.attributes.items()}
    if isinstance(value, Linked):
        facts["number of corners"] = value.links.shape[1]
        noun = f"{value.link_noun.removesuffix('s')} attribute"
        facts |= {f"{noun} {name!r}": type_of(column) for name, column in value.link_attributes.items()}
    if isinstance(value, Graph):
        facts["directed"] = value.directed
    return facts
