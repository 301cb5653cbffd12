"""GEFF, the graph exchange file format of cell tracking: a graph in a zarr group.

The layout is that of the GEFF specification 1.x: ``nodes/ids``, ``nodes/props/<name>/values`` and ``missing``,
``edges/ids`` and ``edges/props``, and a document under the group's attribute ``geff``, whose axes name the properties
that are coordinates. Zarr formats 2 and 3 are read; 2 is written, as geff itself does.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from zarr_vectors.axes import Axis
from zarr_vectors.constants import GEOM_GRAPH
from zarr_vectors.exceptions import ExportError, IngestError, StoreError
from zarr_vectors.formats.base import OBJECT_ID, ExportContext, Format, ReadOptions, Source
from zarr_vectors.formats.graph_tables import NODE_ID, join_graphs, rows_of
from zarr_vectors.geometry import Categorical, Column, Graph
from zarr_vectors.storage.foreign import ForeignGroup, open_foreign, write_foreign
from zarr_vectors.typing import AnyArray, JsonObject

__all__ = ["GEFF"]

VERSION = "1.1.2"
_LEAVE_OUT = "leave it out with attributes= (--attributes)"
_UNUSABLE = {"", ".", "..", "zarr.json", "row_id"}
_AXIS_TYPES = {"space", "time", "channel"}


def _recognises(folder: Path) -> bool:
    try:
        group = open_foreign(folder)
    except StoreError:
        return False
    return group is not None and "geff" in group.attributes


def _open(path: Path, options: ReadOptions) -> Source:
    """Read a graph.

    Positions are the properties that the axes name, in their order, or those of ``options.positions``. Node ids that
    are not 0 to N - 1 are kept in the attribute ``node_id``; a property ``object_id``, or the one that
    ``options.object_ids`` names, says which object a node belongs to. Values marked as missing are NaN where floats,
    and masked otherwise.

    Raises:
        IngestError: No GEFF, an unreadable chunk, an edge of unknown nodes, or a property of varying length.
    """
    try:
        group = open_foreign(path)
        meta = None if group is None else group.attributes.get("geff")
        if group is None or not isinstance(meta, dict):
            raise IngestError(f"{path} is no GEFF", expected="a zarr group with the attribute 'geff'")
        graph, axes = _Reader(path, group, meta).graph(options)
    except StoreError as error:
        raise IngestError(f"{path} cannot be read", got=f"{error.array or 'its documents'}: {error.got}") from error
    return Source(batches=[graph], rows=graph.vertex_count, bounds=graph.bounds, axes=axes, headers={"geff": meta})


class _Reader:
    """The parts of one GEFF."""

    def __init__(self, path: Path, group: ForeignGroup, meta: JsonObject) -> None:
        self._path, self._group, self._meta = path, group, meta

    def graph(self, options: ReadOptions) -> tuple[Graph, tuple[Axis, ...]]:
        ids = self._ids("nodes/ids", 1)
        if len(np.unique(ids)) < len(ids):
            raise IngestError(f"{self._path}: node ids must be distinct", got=f"{len(ids) - len(np.unique(ids))} again")
        ends = self._ids("edges/ids", 2) if "edges/ids" in self._group.arrays else np.zeros((0, 2), dtype=ids.dtype)
        edges = rows_of(ids, ends)
        lost = np.flatnonzero((edges < 0).any(axis=1))
        if len(lost):
            row = int(lost[0])
            got = f"edge {row} from {ends[row, 0]} to {ends[row, 1]}"
            raise IngestError(f"{self._path}: edges/ids names a node that there is not", got=got)
        axes = self._axes(options)
        names = self._names("nodes")
        columns = [self._coordinate(axis.name, len(ids)) for axis in axes]
        owner = options.object_ids or (OBJECT_ID if OBJECT_ID in names else None)
        object_ids = None if owner is None else self._owners(owner, len(ids), edges)
        kept = [name for name in names if name not in {owner, *(axis.name for axis in axes)}]
        if options.attributes is not None:
            unknown = [name for name in options.attributes if name not in names]
            if unknown:
                raise IngestError(f"{self._path} has no properties of these names", expected=f"of {names}", got=unknown)
            kept = [name for name in options.attributes if name in kept]
        attributes = {name: self._column("nodes", name, len(ids)) for name in kept}
        if len(ids) and not np.array_equal(ids, np.arange(len(ids))) and options.attributes is None:
            attributes[NODE_ID] = ids
        graph = Graph(
            np.stack(columns, axis=1),
            edges,
            directed=self._meta.get("directed") is not False,
            attributes=attributes,
            edge_attributes={name: self._column("edges", name, len(edges)) for name in self._names("edges")},
            object_ids=object_ids,
            axes=axes,
        )
        return graph, axes

    def _ids(self, name: str, ndim: int) -> AnyArray:
        if name not in self._group.arrays:
            raise IngestError(f"{self._path} has no array {name}", got=sorted(self._group.arrays)[:9])
        shape = self._group.shape(name)
        if len(shape) != ndim or (ndim == 2 and shape[1] != 2):
            raise IngestError(f"{self._path}: {name} must be ({'N, 2' if ndim == 2 else 'N'},)", got=f"shape {shape}")
        if not self._group.is_stored(name):
            raise IngestError(f"{self._path}: chunks of {name} are not there", expected=f"those of {shape[0]} rows")
        ids = self._group.read(name)
        if ids.dtype.kind not in "iu" or (ids.size and int(ids.max()) >= 2**63):
            raise IngestError(f"{self._path}: {name} must be integers that fit in int64", got=f"dtype {ids.dtype}")
        return ids

    def _axes(self, options: ReadOptions) -> tuple[Axis, ...]:
        """One for each coordinate, by the name of its property."""
        listed = self._meta.get("axes") or []
        sound = isinstance(listed, list) and all(isinstance(entry, Mapping) and "name" in entry for entry in listed)
        if not sound:
            raise IngestError(f"{self._path}: axes must be a list of objects with a name", got=repr(listed)[:80])
        known = {str(entry["name"]): entry for entry in listed}
        names = options.positions or tuple(known)
        if not 1 <= len(names) <= 4 or len(set(names)) < len(names):
            hint = None if known else "name the properties that are coordinates with positions= (--positions)"
            raise IngestError(f"{self._path} must have 1 to 4 axes", got=list(names), hint=hint)
        axes = []
        for name in names:
            entry = known.get(name, {})
            unit, kind = entry.get("unit"), entry.get("type")
            default = "time" if name in {"t", "time"} else "space"
            axes.append(Axis(name, unit if isinstance(unit, str) else None, kind if isinstance(kind, str) else default))
        return tuple(axes)

    def _names(self, of: str) -> list[str]:
        start = f"{of}/props/"
        found = {name.removeprefix(start).split("/")[0] for name in self._group.arrays if name.startswith(start)}
        listed = self._meta.get(f"{of.removesuffix('s')}_props_metadata")
        order = list(listed) if isinstance(listed, Mapping) else []
        return sorted(found, key=lambda name: (order.index(name) if name in order else len(order), name))

    def _values(self, of: str, name: str, rows: int) -> tuple[AnyArray, AnyArray | None]:
        """The values of a property, and which of them are missing."""
        values, missing = (f"{of}/props/{name}/{part}" for part in ("values", "missing"))
        if f"{of}/props/{name}/data" in self._group.arrays:
            raise IngestError(f"{self._path}: {of} property {name!r} varies in length", hint=_LEAVE_OUT)
        if values not in self._group.arrays:
            raise IngestError(f"{self._path} has no {of} property {name!r}", got=self._names(of))
        for part in (values, missing):
            shape = self._group.shape(part) if part in self._group.arrays else (rows,)
            if shape[:1] != (rows,) or len(shape) > (2 if part == values else 1):
                raise IngestError(
                    f"{self._path}: {part} must have a row for each of the {of}",
                    expected=f"{rows} rows of one or several values",
                    got=f"shape {shape}",
                )
        found = self._group.read(values)
        if missing not in self._group.arrays:
            return found, None
        marks = self._group.read(missing).astype(bool)
        return found, marks if marks.any() else None

    def _coordinate(self, name: str, rows: int) -> AnyArray:
        values, missing = self._values("nodes", name, rows)
        if values.ndim != 1 or values.dtype.kind not in "iuf" or missing is not None:
            got = f"{values.dtype} of shape {values.shape}" + (" with missing values" if missing is not None else "")
            raise IngestError(f"{self._path}: coordinate {name!r} must be one number per node", got=got)
        bad = np.flatnonzero(~np.isfinite(values))
        if len(bad):
            raise IngestError(f"{self._path}: coordinate {name!r} must be finite", got=f"{values[bad[0]]} at {bad[0]}")
        return values

    def _owners(self, name: str, rows: int, edges: AnyArray) -> AnyArray:
        ids, missing = self._values("nodes", name, rows)
        if ids.ndim != 1 or ids.dtype.kind not in "iu" or missing is not None or (ids.size and int(ids.max()) >= 2**63):
            raise IngestError(f"{self._path}: object ids in {name!r} must be integers for all nodes")
        mixed = np.flatnonzero(ids[edges[:, 0]] != ids[edges[:, 1]])
        if len(mixed):
            raise IngestError(
                f"{self._path}: an edge connects nodes of two objects in {name!r}", got=f"edge {mixed[0]}"
            )
        return ids.astype(np.int64)

    def _column(self, of: str, name: str, rows: int) -> Column:
        if "/" in name or name in _UNUSABLE or (of == "nodes" and name == NODE_ID):
            raise IngestError(f"{self._path}: a property cannot have this name", got=repr(name))
        values, missing = self._values(of, name, rows)
        if values.dtype.kind in "OUT":
            texts = values.astype(object)
            if texts.ndim != 1 or not all(isinstance(text, str) for text in texts):
                raise IngestError(f"{self._path}: property {name!r} holds other things than text", hint=_LEAVE_OUT)
            if missing is not None:
                texts[missing] = None
            return Categorical.from_values(texts, name=name)
        if values.dtype.kind not in "biuf":
            raise IngestError(
                f"{self._path}: property {name!r} is of a type that cannot be an attribute", got=values.dtype
            )
        values = values.astype(values.dtype.newbyteorder("="))
        if missing is None:
            return values
        if values.dtype.kind == "f":
            values[missing] = np.nan
            return values
        mask = np.broadcast_to(missing.reshape(-1, *[1] * (values.ndim - 1)), values.shape)
        masked: AnyArray = np.ma.MaskedArray(values, mask=mask)
        return masked


def _export(path: Path, batches: Iterator[Graph], context: ExportContext) -> int:
    """Write a graph; returns the number of nodes.

    Several objects become one graph with the property ``object_id``. Nodes are numbered from 0, or by the attribute
    ``node_id``. The document of an earlier ingest is kept where it still holds. Missing integers, booleans and text
    are marked as missing; NaN stays a value. float16 and times have no place in GEFF.

    Raises:
        ExportError: What is known of objects, or a column that GEFF cannot hold.
    """
    graph = join_graphs("GEFF", batches)
    nodes = dict(graph.attributes)
    ids = _node_ids(nodes.pop(NODE_ID, None), graph.vertex_count)
    names = [axis.name for axis in context.axes]
    clash = [name for name in names if name in nodes]
    if clash:
        raise ExportError(f"attribute {clash[0]!r} has the name of an axis", hint=_LEAVE_OUT)
    arrays: dict[str, AnyArray] = {"nodes/ids": ids, "edges/ids": ids[graph.edges].reshape(-1, 2)}
    coordinates = {name: graph.positions[:, column] for column, name in enumerate(names)}
    for of, columns in (("nodes", coordinates | nodes), ("edges", dict(graph.edge_attributes))):
        for name, column in columns.items():
            for part, values in _parts(name, column).items():
                arrays[f"{of}/props/{name}/{part}"] = values
    kept = context.headers.get("geff") or {}
    meta = {"geff_version": VERSION, **kept, "directed": graph.directed}
    meta["axes"] = [_axis(axis, column, kept) for axis, column in zip(context.axes, coordinates.values(), strict=True)]
    for of in ("node", "edge"):
        meta[f"{of}_props_metadata"] = _described(of, arrays, kept)
    write_foreign(path, {"geff": meta}, arrays)
    return graph.vertex_count


def _node_ids(kept: Column | None, rows: int) -> AnyArray:
    if kept is None or np.ma.is_masked(kept):
        return np.arange(rows, dtype=np.uint64)
    ids = np.asarray(kept)
    if ids.dtype.kind not in "iu" or ids.ndim != 1 or len(np.unique(ids)) < rows:
        raise ExportError(f"attribute {NODE_ID!r} must hold distinct integers", got=f"dtype {ids.dtype}")
    return ids


def _parts(name: str, column: Column) -> dict[str, AnyArray]:
    """The arrays of a property."""
    if "/" in name or name in _UNUSABLE:
        raise ExportError(f"GEFF cannot have a property {name!r}", hint=_LEAVE_OUT)
    if isinstance(column, Categorical):
        texts = [str(text) for text in column.categories]
        if any(text.endswith("\0") for text in texts):
            raise ExportError(f"GEFF cannot hold text that ends with a zero in {name!r}", hint=_LEAVE_OUT)
        # At least one character wide: a type of no width cannot be stored.
        found: dict[str, AnyArray] = {"values": np.array([*texts, " "], dtype=np.str_)[column.codes]}
        missing = np.less(column.codes, 0)
        return found | ({"missing": missing} if missing.any() else {})
    if column.dtype.kind not in "biuf" or column.dtype.itemsize > 8 or column.dtype == np.float16 or column.ndim > 2:
        got = f"{column.dtype} of shape {column.shape}"
        raise ExportError(f"GEFF cannot hold property {name!r}", expected="numbers or text", got=got, hint=_LEAVE_OUT)
    found = {"values": np.ascontiguousarray(np.ma.getdata(column))}
    if np.ma.is_masked(column):
        mask = np.ma.getmaskarray(column)
        rows = mask.reshape(len(mask), -1)
        some = np.logical_or.reduce(rows, axis=1)
        if (some != rows.all(axis=1)).any():
            raise ExportError(f"GEFF marks whole rows as missing, {name!r} lacks single channels", hint=_LEAVE_OUT)
        found["missing"] = some
    return found


def _axis(axis: Axis, values: AnyArray, kept: Mapping[str, Any]) -> JsonObject:
    known = [entry for entry in kept.get("axes") or [] if entry.get("name") == axis.name]
    kind = axis.type if axis.type in _AXIS_TYPES else None
    entry: JsonObject = {**(known[0] if known else {}), "name": axis.name, "type": kind, "unit": axis.unit}
    extent = {"min": float(values.min()), "max": float(values.max())} if len(values) else {"min": None, "max": None}
    return entry | extent


def _described(of: str, arrays: Mapping[str, AnyArray], kept: Mapping[str, Any]) -> JsonObject:
    """What the document says of each property."""
    known = kept.get(f"{of}_props_metadata") or {}
    found: JsonObject = {}
    for path, values in arrays.items():
        parts: Sequence[str] = path.split("/")
        if parts[0] == f"{of}s" and parts[-1] == "values":
            dtype = "str" if values.dtype.kind == "U" else values.dtype.name
            told = {"identifier": parts[2], "dtype": dtype, "varlength": False}
            found[parts[2]] = {**known.get(parts[2], {}), **told}
    return found


GEFF = Format(
    name="geff",
    suffixes=(".geff",),
    description="GEFF graphs of cell tracking, in a zarr folder",
    open=_open,
    export=_export,
    kinds=(GEOM_GRAPH,),
    recognises=_recognises,
)
