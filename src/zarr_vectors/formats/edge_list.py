"""Graphs as two text tables: ``<stem>.nodes.csv`` with ``id, x, y[, z]`` and ``<stem>.edges.csv`` with
``source, target``; further columns are attributes.

A column ``Type`` of the edges, as Gephi writes it, says ``Directed`` or ``Undirected`` in every row; without it edges
are directed, as their columns say.
"""  # noqa: D205 (two names of files need more than a line)

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np

from zarr_vectors.constants import GEOM_GRAPH
from zarr_vectors.exceptions import ExportError, IngestError
from zarr_vectors.formats.base import OBJECT_ID, ExportContext, Format, ReadOptions, Source
from zarr_vectors.formats.columns import object_ids_of
from zarr_vectors.formats.delimited import Dialect, line_of_row
from zarr_vectors.formats.graph_tables import NODE_ID, join_graphs, joined_columns, rows_of
from zarr_vectors.formats.text import CSV
from zarr_vectors.formats.text_table import read_table, write_table
from zarr_vectors.geometry import Categorical, Column, Graph, Points
from zarr_vectors.typing import AnyArray, IntArray

__all__ = ["EDGE_LIST"]

_NODES, _EDGES = ".nodes.csv", ".edges.csv"
_ID, _SOURCE, _TARGET, _TYPE = "id", "source", "target", "Type"
_DIRECTED, _UNDIRECTED = "Directed", "Undirected"
_UNUSABLE = {"", ".", "..", "zarr.json"}


def _parts(path: Path) -> tuple[Path, ...]:
    """The files of nodes and of edges."""
    for suffix in (_NODES, _EDGES):
        if path.name.lower().endswith(suffix):
            stem = path.name[: -len(suffix)]
            other = _EDGES if suffix == _NODES else _NODES
            pair = path, path.with_name(stem + other)
            return pair if suffix == _NODES else pair[::-1]
    return path.with_name(path.name + _NODES), path.with_name(path.name + _EDGES)


def _open(path: Path, options: ReadOptions) -> Source:
    """Read both files.

    Node ids are integers or text; those that are not 0 to N - 1 are kept in the attribute ``node_id``. Coordinates,
    their units and object ids are found by their names as in any text table.

    Raises:
        IngestError: One of the files is not there, a node comes twice or has no id, or an edge names an unknown node.
    """
    nodes, edges = _parts(path)
    for file in (nodes, edges):
        if not file.is_file():
            raise IngestError(f"{file} is not there", expected="a file of nodes and one of edges")
    wanted = options.attributes
    source = CSV.open(nodes, replace(options, attributes=None if wanted is None else (*wanted, _ID)))
    points = _all(source)
    if _ID not in points.attributes:
        raise IngestError(f"{nodes} has no column {_ID!r}", got=f"columns {', '.join(points.attributes)}")
    ids = _checked_ids(nodes, points.attributes[_ID])
    dialect, columns = read_table(edges, (_SOURCE, _TARGET))
    ends = np.stack([_ends(dialect, name, columns.pop(name), ids) for name in (_SOURCE, _TARGET)], axis=1)
    directed = _is_directed(edges, columns.pop(_TYPE, None))
    unusable = [name for name in columns if "/" in name or name in _UNUSABLE]
    if unusable:
        raise IngestError(f"{edges}: attributes cannot have these names", got=unusable)
    attributes = {name: column for name, column in points.attributes.items() if name != _ID}
    plain = not isinstance(ids, Categorical) and np.array_equal(ids, np.arange(len(ids)))
    if not plain and wanted is None:
        if NODE_ID in attributes:
            raise IngestError(f"{nodes}: a column cannot have the name {NODE_ID!r} beside {_ID!r}")
        attributes[NODE_ID] = ids
    owners = points.object_ids
    if owners is not None:
        mixed = np.flatnonzero(owners[ends[:, 0]] != owners[ends[:, 1]])
        if len(mixed):
            line = line_of_row(dialect, int(mixed[0]))
            raise IngestError(f"{edges}: an edge connects nodes of two objects", got=f"the one in line {line}")
    graph = Graph(
        points.positions,
        ends,
        directed=directed,
        attributes=attributes,
        edge_attributes=columns,
        object_ids=None if owners is None else object_ids_of(nodes, OBJECT_ID, owners),
        axes=points.axes,
    )
    return Source(batches=[graph], rows=source.rows, bounds=source.bounds, axes=source.axes)


def _all(source: Source) -> Points:
    """All rows of a table as one value."""
    parts = [part for part in source.batches if isinstance(part, Points)]
    first = parts[0]
    owners = [part.object_ids for part in parts if part.object_ids is not None]
    return Points(
        np.concatenate([part.positions for part in parts]),
        {name: joined_columns([part.attributes[name] for part in parts]) for name in first.attributes},
        np.concatenate(owners) if owners else None,
        axes=first.axes,
    )


def _checked_ids(path: Path, ids: Column) -> Column:
    """Node ids, each of them there once."""
    if isinstance(ids, Categorical):
        numbers, missing = ids.codes, ids.codes < 0
    else:
        numbers, missing = ids, ids != ids
        if ids.dtype.kind not in "iu" and not missing.any() and len(ids):
            raise IngestError(f"{path}: node ids must be integers or text", got=f"{ids.dtype} in column {_ID!r}")
    row, what = None, ""
    if missing.any():
        row, what = int(np.argmax(missing)), "no id"
    elif len(np.unique(numbers)) < len(numbers):
        _, first = np.unique(numbers, return_index=True)
        row = int(np.setdiff1d(np.arange(len(numbers)), first)[0])
        what = f"{ids[row]!s} again"
    if row is not None:
        raise IngestError(f"{path}: every node must have an id of its own", got=f"{what} in {_line(path, row)}")
    return ids if isinstance(ids, Categorical) or ids.dtype.kind in "iu" else ids.astype(np.int64)


def _line(path: Path, row: int) -> str:
    dialect, _ = read_table(path, (_ID,))
    return f"line {line_of_row(dialect, row)}"


def _ends(dialect: Dialect, name: str, column: Column, ids: Column) -> IntArray:
    """The rows of the nodes that one end of each edge names."""
    if not isinstance(column, Categorical):
        raise TypeError(name)
    if isinstance(ids, Categorical):
        row_of_code = dict(zip(ids.codes.tolist(), range(len(ids)), strict=True))
        row_of_text = {text: row_of_code.get(code, -1) for code, text in enumerate(ids.categories)}
        found = np.array([*(row_of_text.get(text, -1) for text in column.categories), -1], dtype=np.int64)
    else:
        numbers = [_as_integer(str(text), ids.dtype) for text in column.categories]
        plain = np.array([0 if number is None else number for number in numbers], dtype=ids.dtype)
        found = np.append(rows_of(ids, plain), -1)
        found[[number is None for number in numbers] + [False]] = -1
    rows: IntArray = found[column.codes]
    lost = np.flatnonzero(rows < 0)
    if len(lost):
        row = int(lost[0])
        text = column[row]
        raise IngestError(
            f"{dialect.path}: an edge names a node that there is not",
            expected=f"an id of {_parts(dialect.path)[0].name}",
            got=f"{'no value' if text is None else repr(text)} as {name} in line {line_of_row(dialect, row)}",
        )
    return rows


def _as_integer(text: str, dtype: np.dtype[Any]) -> int | None:
    """A text as an integer of a type, or None."""
    try:
        number = int(text) if text.isascii() and "_" not in text else None
    except ValueError:
        return None
    info = np.iinfo(dtype)
    return number if number is not None and info.min <= number <= info.max else None


def _is_directed(path: Path, column: Column | None) -> bool:
    if column is None:
        return True
    words = {*np.asarray(column).tolist()}
    if not words <= {_DIRECTED, _UNDIRECTED} or len(words) > 1:
        expected = f"{_DIRECTED} or {_UNDIRECTED} in every row"
        raise IngestError(
            f"{path}: edges must all be directed, or none", expected=expected, got=sorted(map(str, words))[:5]
        )
    return words == {_DIRECTED}


def _export(path: Path, batches: Iterator[Graph], context: ExportContext) -> int:
    """Write both files; returns the number of nodes.

    Several objects become one graph with the column ``object_id``. Nodes are numbered from 0, or by the attribute
    ``node_id``. Values are written as in any text table: missing integers come back as NaN, text that looks like
    numbers as numbers.

    Raises:
        ExportError: What is known of objects, or a column that text does not hold.
    """
    graph = join_graphs("an edge list", batches)
    nodes, edges = _parts(path)
    attributes = dict(graph.attributes)
    kept = attributes.pop(NODE_ID, None)
    ids = np.arange(graph.vertex_count) if kept is None or _is_missing(kept) else kept
    codes = ids.codes if isinstance(ids, Categorical) else ids
    if (not isinstance(ids, Categorical) and ids.dtype.kind not in "iu") or len(np.unique(codes)) < len(codes):
        raise ExportError(f"attribute {NODE_ID!r} must hold distinct integers or text")
    clash = [name for name in (_SOURCE, _TARGET, _TYPE) if name in graph.edge_attributes]
    if clash:
        raise ExportError(f"an edge list cannot have an edge attribute {clash[0]!r}", hint="rename it")
    places = {axis.name: graph.positions[:, column] for column, axis in enumerate(context.axes)}
    columns: list[tuple[str, Column]] = [(_ID, ids), *places.items(), *attributes.items()]
    names = [name for name, _ in columns]
    if len(set(names)) < len(names):
        raise ExportError(
            "an attribute has the name of another column", got=names, hint="leave it out with attributes="
        )
    write_table(nodes, dict(columns))
    ends: dict[str, Column] = {_SOURCE: ids[graph.edges[:, 0]], _TARGET: ids[graph.edges[:, 1]]}
    if not graph.directed:
        ends[_TYPE] = Categorical(np.zeros(graph.edge_count, dtype=np.int8), (_UNDIRECTED,))
    write_table(edges, ends | dict(graph.edge_attributes))
    return graph.vertex_count


def _is_missing(ids: Column) -> bool:
    missing: AnyArray | bool = ids.codes < 0 if isinstance(ids, Categorical) else np.ma.is_masked(ids)
    return bool(np.any(missing))


EDGE_LIST = Format(
    name="edge_list",
    suffixes=(_EDGES, _NODES),
    description="graphs as a pair of text tables of nodes and edges",
    open=_open,
    export=_export,
    kinds=(GEOM_GRAPH,),
    parts=_parts,
)
