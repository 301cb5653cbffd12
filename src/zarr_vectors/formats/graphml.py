"""GraphML: graphs in XML, as NetworkX, igraph, Gephi and yEd write them.

Reader and writer are our own, because the order and the direction of every edge are kept.
"""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any, TextIO
from xml.sax.saxutils import escape, quoteattr

import numpy as np

from zarr_vectors.constants import GEOM_GRAPH
from zarr_vectors.exceptions import ExportError, IngestError
from zarr_vectors.formats.base import ExportContext, Format, ReadOptions, Source
from zarr_vectors.formats.columns import object_ids_of, plan_columns
from zarr_vectors.formats.graph_tables import NODE_ID, join_graphs
from zarr_vectors.formats.graphml_reader import DTYPES, NAMESPACE, GraphText, Key, read_graphml
from zarr_vectors.geometry import Categorical, Column, Graph
from zarr_vectors.typing import AnyArray, IntArray

__all__ = ["GRAPHML"]

NAME = "name"
EDGE_ID = "edge_id"
_LEAVE_OUT = "leave it out with attributes= (--attributes)"
_TYPES = {dtype: name for name, dtype in DTYPES.items() if dtype is not None}
_UNUSABLE = {"", ".", "..", "zarr.json"}
_NO_XML = re.compile("[^\t\n\r\x20-\ud7ff\ue000-\ufffd\U00010000-\U0010ffff]")


def _open(path: Path, options: ReadOptions) -> Source:
    """Read a graph.

    Coordinates are the attributes x, y and z or whatever a text table would take for them, or those that
    ``options.positions`` names. Node ids other than 0 to N - 1, with or without an ``n`` before them, are kept in the
    attribute ``name``, or ``node_id`` where there is one of that name; edge ids in ``edge_id``. Keys without a name,
    which hold what another program draws, and the data of the graph as a whole are left out.

    Raises:
        IngestError: No GraphML, a value of another type than declared, a node without position, or an unknown node.
    """
    text = read_graphml(path)
    count = len(text.ids)
    names = _distinct(path, text.node_keys)
    plan = plan_columns(path, list(names), options)
    positions = np.stack([_coordinate(path, text, names[name]) for name in plan.positions], axis=1)
    attributes = {name: names[name].column(count) for name in plan.attributes}
    if not _is_plain(text.ids) and options.attributes is None:
        free = NAME if NAME not in names else NODE_ID
        if free in names:
            raise IngestError(f"{path} has ids of nodes, and keys {NAME!r} and {NODE_ID!r}", hint="rename one of them")
        attributes[free] = Categorical.from_values(text.ids)
    edges = _edges(path, text)
    edge_attributes = {name: key.column(len(edges)) for name, key in _distinct(path, text.edge_keys).items()}
    if any(ident is not None for ident in text.edge_ids):
        if EDGE_ID in edge_attributes:
            raise IngestError(f"{path} has ids of edges, and a key {EDGE_ID!r}", hint="rename it")
        edge_attributes[EDGE_ID] = Categorical.from_values(np.array([*text.edge_ids, None], dtype=object)[:-1])
    owners = None
    if plan.object_ids is not None:
        column = names[plan.object_ids].column(count)
        if isinstance(column, Categorical) or np.ma.is_masked(column):
            raise IngestError(f"{path}: object ids in {plan.object_ids!r} must be integers for all nodes")
        owners = object_ids_of(path, plan.object_ids, column)
        mixed = np.flatnonzero(owners[edges[:, 0]] != owners[edges[:, 1]])
        if len(mixed):
            got = f"the one in line {text.edge_lines[mixed[0]]}"
            raise IngestError(f"{path}: an edge connects nodes of two objects", got=got)
    graph = Graph(
        positions,
        edges,
        directed=text.directed,
        attributes=attributes,
        edge_attributes=edge_attributes,
        object_ids=owners,
        axes=plan.axes,
    )
    return Source(batches=[graph], rows=count, bounds=graph.bounds, axes=plan.axes)


def _distinct(path: Path, keys: Mapping[str, Key]) -> dict[str, Key]:
    """The keys by name."""
    counts = Counter(key.name for key in keys.values())
    repeated = [name for name, times in counts.items() if times > 1]
    unusable = [name for name in counts if "/" in name or name in _UNUSABLE]
    if repeated or unusable:
        what = "two keys have one name" if repeated else "a key cannot have this name"
        raise IngestError(f"{path}: {what}", got=repr((repeated or unusable)[0]))
    return {key.name: key for key in keys.values()}


def _coordinate(path: Path, text: GraphText, key: Key) -> AnyArray:
    """The values of a key as numbers that every node has."""
    column = key.column(len(text.ids))
    if isinstance(column, Categorical) or column.dtype.kind == "b":
        raise IngestError(f"{path}: coordinate {key.name!r} must be a number", got=f"type {key.kind}")
    bad = np.ma.getmaskarray(column) | ~np.isfinite(np.ma.getdata(column))
    if bad.any():
        row = int(np.argmax(bad))
        got = f"node {text.ids[row]!r} in line {text.node_lines[row]}"
        raise IngestError(f"{path}: every node must have a finite coordinate {key.name!r}", got=got)
    return np.ma.getdata(column)


def _is_plain(ids: list[str]) -> bool:
    """Whether ids only count the nodes."""
    return any(all(ident == f"{start}{row}" for row, ident in enumerate(ids)) for start in ("", "n"))


def _edges(path: Path, text: GraphText) -> IntArray:
    rows: dict[str, int] = {}
    for row, ident in enumerate(text.ids):
        if rows.setdefault(ident, row) != row:
            raise IngestError(
                f"{path}: a node's id must not come twice", got=f"{ident!r} in line {text.node_lines[row]}"
            )
    found = np.array([(rows.get(one, -1), rows.get(other, -1)) for one, other in text.ends], dtype=np.int64)
    found = found.reshape(-1, 2)
    lost = np.argwhere(found < 0)
    if len(lost):
        row, side = lost[0].tolist()
        got = f"{text.ends[row][side]!r} in line {text.edge_lines[row]}"
        raise IngestError(f"{path}: an edge names a node that there is not", got=got)
    return found


def _export(path: Path, batches: Iterator[Graph], context: ExportContext) -> int:
    """Write a graph; returns the number of nodes.

    Several objects become one graph with the attribute ``object_id``. Nodes get the ids of the attribute ``node_id``
    or else ``name`` where they are distinct texts, otherwise their numbers; edges those of ``edge_id``. Integers of up
    to 32 bits are written as int, others as long, float16 as float; an attribute of C channels becomes ``name_0`` to
    ``name_{C-1}``. Missing values are left out.

    Raises:
        ExportError: What is known of objects, or a column or text that GraphML cannot hold.
    """
    graph = join_graphs("GraphML", batches)
    places = {axis.name: graph.positions[:, column] for column, axis in enumerate(context.axes)}
    clash = [name for name in places if name in graph.attributes]
    if clash:
        raise ExportError(f"attribute {clash[0]!r} has the name of an axis", hint=_LEAVE_OUT)
    attributes, edge_attributes = dict(graph.attributes), dict(graph.edge_attributes)
    ids = [str(row) for row in range(graph.vertex_count)]
    for name in (NODE_ID, NAME):
        texts = _id_texts(attributes.get(name))
        if texts is not None and len(set(texts)) == graph.vertex_count:
            ids = texts
            del attributes[name]
            break
    edge_ids = _id_texts(edge_attributes.get(EDGE_ID))
    if edge_ids is not None:
        del edge_attributes[EDGE_ID]
    nodes, edges = _fields({**places, **attributes}), _fields(edge_attributes)
    with path.open("x", encoding="utf-8", newline="\n") as file:
        file.write(f'<?xml version="1.0" encoding="UTF-8"?>\n<graphml xmlns="{NAMESPACE}">\n')
        for domain, fields in (("node", nodes), ("edge", edges)):
            for number, (name, kind, _) in enumerate(fields):
                key = (
                    f'<key id="{domain[0]}{number}" for="{domain}" attr.name={_attribute(name)} attr.type="{kind}"/>\n'
                )
                file.write(key)
        file.write(f'<graph edgedefault="{"directed" if graph.directed else "undirected"}">\n')
        tags = [f"node id={_attribute(ident)}" for ident in ids]
        _write_elements(file, tags, nodes, "n")
        named = [
            "" if edge_ids is None else f" id={_attribute(ident)}" for ident in edge_ids or [""] * len(graph.edges)
        ]
        quoted = [_attribute(ident) for ident in ids]
        tags = [
            f"edge source={quoted[one]} target={quoted[other]}{ident}"
            for (one, other), ident in zip(graph.edges.tolist(), named, strict=True)
        ]
        _write_elements(file, tags, edges, "e")
        file.write("</graph>\n</graphml>\n")
    return graph.vertex_count


def _id_texts(column: Column | None) -> list[str] | None:
    """Ids as text, where a column has one in every row."""
    if column is None or np.ndim(column) != 1 or np.ma.is_masked(column):
        return None
    if isinstance(column, Categorical):
        return None if (column.codes < 0).any() else [str(text) for text in np.asarray(column).tolist()]
    return [str(number) for number in column.tolist()] if column.dtype.kind in "iu" else None


def _fields(columns: Mapping[str, Column]) -> list[tuple[str, str, list[str | None]]]:
    """The name, type and texts of every key; None where a value is missing."""
    found: list[tuple[str, str, list[str | None]]] = []
    for name, column in columns.items():
        if isinstance(column, Categorical):
            texts = [_content(str(text)) for text in column.categories]
            found.append((name, "string", [None if code < 0 else texts[code] for code in column.codes.tolist()]))
        elif column.ndim > 2 or column.dtype.kind not in "biuf" or column.dtype.itemsize > 8:
            got = f"{column.dtype} of shape {column.shape}"
            raise ExportError(f"GraphML cannot hold attribute {name!r}", got=got, hint=_LEAVE_OUT)
        elif column.ndim == 2:
            found += [(f"{name}_{number}", *_numbers(name, part)) for number, part in enumerate(column.T)]
        else:
            found.append((name, *_numbers(name, column)))
    counts = Counter(name for name, _, _ in found)
    repeated = [name for name, times in counts.items() if times > 1]
    if repeated:
        raise ExportError(f"two attributes would have the name {repeated[0]!r}", hint=_LEAVE_OUT)
    return found


def _numbers(name: str, column: AnyArray) -> tuple[str, list[str | None]]:
    dtype = column.dtype
    wide = next((known for known in _TYPES if np.can_cast(dtype, known, "safe") and known.kind in _kinds(dtype)), None)
    if wide is None:
        if column.size and int(column.max()) >= 2**63:
            raise ExportError(f"GraphML cannot hold {name!r}", expected="integers that fit in int64", hint=_LEAVE_OUT)
        wide = np.dtype(np.int64)
    mask = np.ma.getmaskarray(column)
    values = np.ma.getdata(column).astype(wide)
    texts = np.char.lower(values.astype(str)) if dtype.kind == "b" else values.astype(str)
    return _TYPES[wide], [None if gone else str(text) for text, gone in zip(texts, mask, strict=True)]


def _kinds(dtype: np.dtype[Any]) -> str:
    return {"b": "b", "i": "i", "u": "i", "f": "f"}[dtype.kind]


def _content(text: str) -> str:
    _check(text)
    return escape(text, {"\r": "&#13;"})


def _attribute(text: str) -> str:
    _check(text)
    return quoteattr(text)


def _check(text: str) -> None:
    if _NO_XML.search(text):
        raise ExportError("XML cannot hold some characters of a text", got=repr(text[:80]))


def _write_elements(file: TextIO, tags: list[str], fields: list[tuple[str, str, list[str | None]]], start: str) -> None:
    for row, tag in enumerate(tags):
        pairs = ((number, texts[row]) for number, (_, _, texts) in enumerate(fields))
        data = "".join(f'<data key="{start}{number}">{text}</data>' for number, text in pairs if text is not None)
        file.write(f"<{tag}>{data}</{tag.split(' ', 1)[0]}>\n" if data else f"<{tag}/>\n")


GRAPHML = Format(
    name="graphml",
    suffixes=(".graphml",),
    description="GraphML graphs whose nodes have coordinates",
    open=_open,
    export=_export,
    kinds=(GEOM_GRAPH,),
)
