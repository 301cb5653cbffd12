"""SWC: the trees of neurons as lines of node, type, position, radius and parent.

The columns are those of the format's usual description: ``id type x y z radius parent``, parent -1 for a root, lines
with ``#`` are comments. SWC states no units.
"""

from __future__ import annotations

from collections.abc import Iterator
from itertools import chain
from pathlib import Path
from typing import Any

import numpy as np

from zarr_vectors.axes import Axis
from zarr_vectors.constants import GEOM_SKELETON
from zarr_vectors.exceptions import ExportError, IngestError
from zarr_vectors.formats.base import ExportContext, Format, ReadOptions, Source
from zarr_vectors.formats.forest import depths, first_of_circle
from zarr_vectors.formats.graph_tables import NODE_ID
from zarr_vectors.formats.swc_reader import COLUMNS, WIDE_NOTE, SwcText, is_short, read_text
from zarr_vectors.formats.xyz_axes import xyz_columns
from zarr_vectors.geometry import Categorical, Skeleton
from zarr_vectors.typing import AnyArray, IntArray

__all__ = ["SWC"]

_XYZ = ("x", "y", "z")
_HEADING = " " + " ".join(COLUMNS)
_LATER = "leave it out with attributes= (--attributes)"
_EXACT = 2**53
_UNUSABLE_NAMES = {"", ".", "..", "zarr.json"}


def _open(path: Path, options: ReadOptions) -> Source:
    """Read an SWC file as one skeleton, whose rows are the lines in their order.

    Positions, radii and further columns with fractions are float32 where the shortest text of a float32 is the number
    in the file, and float64 otherwise. ``type`` is int32. Nodes whose ids do not count up one by one keep them in the
    attribute ``node_id``. Columns from the eighth on are called ``column_8`` and so on, or what a comment that starts
    with the seven names of the format calls them.

    Raises:
        IngestError: No text, a field that is no number, a wrong number of columns, an id twice, a parent that there is
            not, or parents in a circle; with the line.
    """
    text = read_text(path)
    ids, parents = text.integers("id"), _parents(text)
    xyz = np.stack(text.floats(_XYZ, wide=options.wide), axis=1)
    bad = ~np.isfinite(xyz).all(axis=1)
    if bad.any():
        row = int(np.argmax(bad))
        raise text.error("positions must be finite", row, str(xyz[row].tolist()))
    attributes = _attributes(text, ids, options)
    skeleton = Skeleton(xyz, parents, attributes=attributes, axes=_XYZ)
    header: dict[str, Any] = {"comments": text.comments} if text.comments else {}
    if text.encoding != "utf-8":
        header["encoding"] = text.encoding
    bounds = skeleton.bounds
    return Source(
        batches=[skeleton],
        rows=len(xyz),
        bounds=bounds,
        axes=tuple(Axis(name) for name in _XYZ),
        headers={"swc": header},
    )


def _parents(text: SwcText) -> IntArray:
    """``(N,)`` row of each node's parent."""
    ids, parents = text.integers("id"), text.integers("parent")
    if (ids == -1).any():
        raise text.error("-1 stands for no parent and cannot be a node's id", int(np.argmax(ids == -1)), "node -1")
    order = np.argsort(ids, kind="stable")
    ascending = ids[order]
    again = np.flatnonzero(ascending[1:] == ascending[:-1]) + 1
    if len(again):
        row = int(order[again].min())
        raise text.error("a node's id must not come twice", row, f"{ids[row]}")
    own = ids == parents
    if own.any():
        row = int(np.argmax(own))
        raise text.error("a node cannot be its own parent", row, f"node {ids[row]}")
    place = np.searchsorted(ascending, parents)
    found = np.zeros(len(ids), dtype=bool)
    inside = place < len(ids)
    found[inside] = ascending[place[inside]] == parents[inside]
    lost = ~found & (parents != -1)
    if lost.any():
        row = int(np.argmax(lost))
        raise text.error(
            "a node's parent is not in the file", row, f"parent {parents[row]}", hint="a root has the parent -1"
        )
    rows = np.full(len(ids), -1, dtype=np.int64)
    rows[found] = order[place[found]]
    circle = first_of_circle(rows)
    if circle is not None:
        raise text.error("parents lead in a circle", circle, f"node {ids[circle]}, whose parent is {parents[circle]}")
    return rows


def _attributes(text: SwcText, ids: IntArray, options: ReadOptions) -> dict[str, AnyArray]:
    types = text.integers("type")
    info = np.iinfo(np.int32)
    wrong = (types < info.min) | (types > info.max)
    if wrong.any():
        row = int(np.argmax(wrong))
        raise text.error("type must be an integer of 32 bits", row, str(types[row]))
    found = {"type": types.astype(np.int32), "radius": text.floats(("radius",), wide=options.wide)[0]}
    for name in text.names[len(COLUMNS) :]:
        if "/" in name or name in _UNUSABLE_NAMES or name in {NODE_ID, "row_id"}:
            raise IngestError(f"{text.path}: a column cannot have this name", got=repr(name))
        found[name] = text.integers(name) if text.is_integral(name) else text.floats((name,), wide=options.wide)[0]
    if len(ids) and ((np.diff(ids) != 1).any() or int(ids[-1]) - int(ids[0]) != len(ids) - 1):
        found[NODE_ID] = ids
    if options.attributes is None:
        return found
    unknown = [name for name in options.attributes if name not in {*found, NODE_ID}]
    if unknown:
        raise IngestError(f"{text.path} has no columns of these names", expected=f"of {sorted(found)}", got=unknown)
    return {name: found[name] for name in options.attributes if name in found}


def _export(path: Path, batches: Iterator[Skeleton], context: ExportContext) -> int:
    """Write one object as an SWC file; returns the number of its nodes.

    Rows stay in their order, unless a node comes before its parent: then nodes go by their distance from the root, as
    many readers ask for parents first. Nodes are numbered from 1, or by the attribute ``node_id`` where no value is
    missing. Without ``type`` or ``radius``, zeros are written. Numbers are written so that they come back as they
    were; float16 as float32, and integer positions as floats. Comments come from ``headers["swc"]``; object
    attributes and groups become comments; units and a CRS have no place in SWC.

    Raises:
        ExportError: More than one object, or something that SWC cannot hold.
    """
    columns = xyz_columns("SWC", context.axes)
    skeleton = _only_object(batches)
    rows = _table(skeleton, columns)
    header: Any = context.headers.get("swc") or {}
    comments = header.get("comments", []) if isinstance(header, dict) else None
    if not isinstance(comments, list) or not all(isinstance(comment, str) for comment in comments):
        raise ExportError("headers/swc is not what an ingest keeps", expected="a list of comments", got=repr(header))
    heading = " ".join([_HEADING, *list(rows)[len(COLUMNS) :]])
    if heading not in comments and (len(rows) > len(COLUMNS) or not comments):
        comments = [heading, *(comment for comment in comments if not comment.startswith(_HEADING))]
    comments = [*comments, *_described(skeleton), *_wide_note(rows)]
    lines = [f"#{line}" for comment in comments for line in comment.replace("\r", "\n").split("\n")]
    encoding = "latin-1" if header.get("encoding") == "latin-1" else "utf-8"
    texts = [values.astype(str) for values in rows.values()]
    lines += map(" ".join, zip(*texts, strict=True))
    with path.open("xb") as file:
        file.write("".join(f"{line}\n" for line in lines).encode(encoding, errors="backslashreplace"))
    return skeleton.vertex_count


def _only_object(batches: Iterator[Skeleton]) -> Skeleton:
    """The one object of all batches."""
    only = next(batches)
    owners = _objects_of(only)
    for batch in chain([only], batches):
        owners |= _objects_of(batch)
        if len(owners) > 1 or (batch is not only and batch.vertex_count and only.vertex_count):
            raise ExportError(
                "an SWC file holds one object",
                got=f"objects {sorted(owners)[:5]}" if len(owners) > 1 else "several values",
                hint="choose one with object_ids= (--object-ids), or export to a folder with format='swc' "
                "(--format swc)",
            )
        only = batch if batch.vertex_count else only
    return only


def _objects_of(batch: Skeleton) -> set[int]:
    return {int(key) for ids in (batch.object_ids, batch.objects) if ids is not None for key in np.unique(ids)}


def _table(skeleton: Skeleton, columns: list[int]) -> dict[str, AnyArray]:
    """The columns of the file, in their order."""
    if skeleton.edge_attributes:
        raise ExportError("SWC cannot hold edge attributes", got=sorted(skeleton.edge_attributes))
    circle = first_of_circle(skeleton.parents)
    if circle is not None:
        raise ExportError("the parents of a skeleton lead in a circle", got=f"vertex {circle}")
    found = {name: _numbers(name, column) for name, column in skeleton.attributes.items() if name != NODE_ID}
    rows = np.arange(skeleton.vertex_count)
    order = rows
    if (skeleton.parents >= rows).any():
        order = np.argsort(depths(skeleton.parents), kind="stable")
    ids = _node_ids(skeleton, order)
    parents = np.where(skeleton.parents < 0, -1, ids[skeleton.parents]) if len(rows) else rows
    zeros = np.zeros(len(rows), dtype=np.int32)
    types = found.pop("type", zeros)
    if types.dtype.kind not in "iub":
        raise ExportError("SWC types must be integers", got=f"dtype {types.dtype}")
    if types.size and (int(types.min()) < -(2**31) or int(types.max()) >= 2**31):
        raise ExportError("SWC types must be integers of 32 bits", got=f"{types.min()} to {types.max()}")
    xyz = [_numbers("positions", skeleton.positions[:, column]) for column in columns]
    table = {"id": ids, "type": types.astype(np.int64), **dict(zip(_XYZ, xyz, strict=True))}
    table |= {"radius": found.pop("radius", zeros), "parent": parents}
    clash = [name for name in found if name in table or name.split() != [name]]
    if clash:
        raise ExportError(f"SWC cannot have a column with the name {clash[0]!r}", hint=_LATER)
    return {name: values[order] for name, values in (table | found).items()}


def _numbers(name: str, column: Any) -> AnyArray:
    """Numbers whose text comes back as they are."""
    what = "the positions" if name == "positions" else f"attribute {name!r}"
    if isinstance(column, Categorical) or np.ndim(column) != 1 or column.dtype.kind not in "biuf":
        got = "text" if isinstance(column, Categorical) else f"{column.dtype} of shape {column.shape}"
        raise ExportError(f"SWC cannot hold {what}", expected="one number per node", got=got, hint=_LATER)
    if np.ma.is_masked(column):
        raise ExportError(f"SWC cannot hold missing values in {what}", hint=_LATER)
    values = np.asarray(column)
    if values.dtype.itemsize > 8:
        raise ExportError(f"SWC cannot hold {what}", expected="at most 64 bits", got=str(values.dtype), hint=_LATER)
    if name == "positions" and values.dtype.kind in "iu":
        if values.size and (int(values.max()) > _EXACT or int(values.min()) < -_EXACT):
            raise ExportError("SWC cannot hold these positions", expected=f"integers up to {_EXACT}")
        return values
    if values.dtype.kind == "b":
        return values.astype(np.int32)
    if values.dtype == np.uint64 and values.size and int(values.max()) >= 2**63:
        raise ExportError(f"SWC cannot hold {what}", expected="integers that fit in int64", hint=_LATER)
    return values.astype(np.float32) if values.dtype == np.float16 else values


def _node_ids(skeleton: Skeleton, order: IntArray) -> IntArray:
    """The number of each node in the file."""
    kept = skeleton.attributes.get(NODE_ID)
    if kept is not None and not np.ma.is_masked(kept):
        ids = np.asarray(kept)
        if ids.dtype.kind not in "iu" or ids.ndim != 1 or len(np.unique(ids)) < len(ids) or (ids == -1).any():
            raise ExportError(f"attribute {NODE_ID!r} must hold distinct integers other than -1", hint=_LATER)
        return ids.astype(np.int64)
    ids = np.empty(len(order), dtype=np.int64)
    ids[order] = np.arange(1, len(order) + 1)
    return ids


def _described(skeleton: Skeleton) -> list[str]:
    """What is known of the object, as comments."""
    notes = [f" {name}: {np.asarray(column)[0]}" for name, column in skeleton.object_attributes.items() if len(column)]
    groups = [str(group) for group, members in skeleton.groups.items() if len(members)]
    return notes + ([f" groups: {' '.join(groups)}"] if groups else [])


def _wide_note(rows: dict[str, AnyArray]) -> list[str]:
    """A comment that names the columns of float64 that would be read as float32."""
    groups = [_XYZ, *((name,) for name in rows if name not in {"id", "type", "parent", *_XYZ})]
    wide = [
        name
        for group in groups
        if all(rows[name].dtype == np.float64 for name in group)
        and all(is_short(rows[name]) for name in group)
        and len(rows["id"])
        for name in group
    ]
    return [f" {WIDE_NOTE}{' '.join(wide)}"] if wide else []


SWC = Format(
    name="swc",
    suffixes=(".swc",),
    description="SWC skeletons of neurons",
    open=_open,
    export=_export,
    kinds=(GEOM_SKELETON,),
)
