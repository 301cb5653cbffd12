"""What several files have in common, so that their values can follow one another."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any, TypeAlias

import numpy as np

from zarr_vectors.axes import Axis
from zarr_vectors.exceptions import IngestError
from zarr_vectors.formats.base import Format, ReadOptions, Source
from zarr_vectors.geometry import Categorical, Column, Geometry, Graph, Linked, Mesh, Points, Polylines, Skeleton
from zarr_vectors.geometry.interchange.arrow_types import first_inexact
from zarr_vectors.typing import AnyArray, Bounds, IntArray, JsonObject

__all__ = ["NAME", "Part", "Survey", "conformed", "survey"]

NAME = "name"
OWN_NAME = "own_name"
_LEAVE_OUT = "leave the column out with attributes= (--attributes)"

Spec: TypeAlias = "tuple[np.dtype[Any] | None, tuple[int, ...]]"
"""The dtype of a column, None for text, and the shape of a row."""


@dataclass(frozen=True, kw_only=True)
class Part:
    """One file.

    Args:
        file: Where it is.
        stem: Its name without suffix.
        old: ``(O,)`` the ids of its objects in the file, ascending; empty where it gives none.
        new: ``(O,)`` their ids among all files; one where the file gives none.
    """

    file: Path
    stem: str
    old: IntArray
    new: IntArray


@dataclass(kw_only=True)
class Survey:
    """What the files hold.

    Args:
        parts: The files.
        headers: What each file says about itself.
        rows: Vertices of all files.
        low, high: Corners of the box of all files; empty for no vertices.
        axes, crs: Of all files.
        dtype: Of the positions.
        wide: Whether floats of all files must be read as float64.
        specs: What each column of each table holds.
        kind: Of the values: geometry type, number of axes, and what else sets them apart.
    """

    parts: list[Part] = field(default_factory=list)
    headers: list[JsonObject] = field(default_factory=list)
    rows: int = 0
    low: list[float] = field(default_factory=list)
    high: list[float] = field(default_factory=list)
    axes: tuple[Axis, ...] | None = None
    crs: JsonObject | None = None
    dtype: np.dtype[Any] | None = None
    wide: bool = False
    specs: dict[str, dict[str, Spec]] = field(default_factory=dict)
    kind: tuple[Any, ...] | None = None

    @property
    def bounds(self) -> Bounds | None:
        """The box of all vertices, unless they will be read anew with more digits."""
        return (self.low, self.high) if self.low and not self.wide else None


def survey(fmt: Format, files: Sequence[Path], stems: Sequence[str], options: ReadOptions) -> Survey:
    """Read all files once; nothing but what they have in common is kept.

    Raises:
        IngestError: A file cannot be read, or does not go together with the others.
    """
    found = Survey()
    olds = [_look(fmt, file, found, options) for file in files]
    counts = [max(1, len(old)) for old in olds]
    numbers = [_as_id(stem) for stem in stems]
    distinct = len({*numbers}) == len(numbers) and None not in numbers
    if distinct and all(count == 1 for count in counts):
        news = [np.array([number], dtype=np.int64) for number in numbers]
    else:
        firsts = np.concatenate([[0], np.cumsum(counts)]).tolist()
        news = [np.arange(first, first + count) for first, count in zip(firsts, counts, strict=False)]
    found.parts = [
        Part(file=file, stem=stem, old=old, new=new)
        for file, stem, old, new in zip(files, stems, olds, news, strict=True)
    ]
    return found


def _as_id(stem: str) -> int | None:
    """A file's name as an object id."""
    if not (stem.removeprefix("-").isdecimal() and stem.isascii()) or len(stem) > 20:
        return None
    number = int(stem)
    return number if -(2**63) <= number < 2**63 else None


def _look(fmt: Format, file: Path, found: Survey, options: ReadOptions) -> IntArray:
    """Take a file into the survey; the ids of its objects, ascending."""
    source = fmt.open(file, options)
    ids: list[IntArray] = []
    for batch in source.batches:
        _check_like(file, batch, source, found)
        found.rows += batch.vertex_count
        owners = batch.vertex_objects
        if owners is not None:
            ids.append(np.unique(owners))
        if batch.objects is not None:
            ids.append(np.unique(batch.objects))
        if isinstance(batch, Polylines):
            ids.append(np.unique(batch.line_ids))
        if batch.bounds is not None:
            low, high = batch.bounds
            found.low = np.minimum(found.low or low, low).tolist()
            found.high = np.maximum(found.high or high, high).tolist()
        _take_dtype(batch, found)
        for table, columns in _tables(batch).items():
            specs = found.specs.setdefault(table, {})
            for name, column in columns.items():
                specs[name] = _merged(file, name, specs.get(name), _spec(column), found)
    found.headers.append(dict(source.headers.get(fmt.name) or {}))
    return np.unique(np.concatenate(ids)) if ids else np.zeros(0, dtype=np.int64)


def _check_like(file: Path, batch: Geometry, source: Source, found: Survey) -> None:
    """Refuse a file of another kind or reference than those before."""
    if isinstance(batch, Points):
        raise IngestError(f"{file} holds points, which are not one object", hint="convert it by itself")
    if batch.groups:
        raise IngestError(f"{file} has groups of its own, which cannot be told from those of other files")
    axes = source.axes or batch.axes
    detail = batch.directed if isinstance(batch, Graph) else batch.kind if isinstance(batch, Polylines) else None
    width = batch.faces.shape[1] if isinstance(batch, Mesh) and len(batch.faces) else None
    kind = (batch.geometry_type, batch.ndim, detail)
    if found.kind is None:
        found.kind, found.axes, found.crs = kind, axes, source.crs
    for what, given, wanted in (("kind", kind, found.kind), ("axes", axes, found.axes), ("crs", source.crs, found.crs)):
        if given != wanted:
            raise IngestError(f"{file} has another {what} than the files before it", expected=wanted, got=given)
    if width is not None:
        specs = found.specs.setdefault("corners", {})
        known = specs.setdefault("faces", (None, (width,)))
        if known[1] != (width,):
            raise IngestError(f"{file} has faces of another number of corners", expected=known[1][0], got=width)


def _take_dtype(batch: Geometry, found: Survey) -> None:
    dtype = batch.positions.dtype
    joint = dtype if found.dtype is None else np.result_type(found.dtype, dtype)
    found.wide |= found.dtype is not None and found.dtype != dtype
    found.dtype = joint


def _tables(batch: Geometry) -> dict[str, Any]:
    """The columns of a value, by the field that holds them."""
    tables: dict[str, Any] = {"attributes": batch.attributes, "object_attributes": batch.object_attributes}
    if isinstance(batch, (Graph, Skeleton)):
        tables["edge_attributes"] = batch.edge_attributes
    if isinstance(batch, Mesh):
        tables["face_attributes"] = batch.face_attributes
    return tables


def _spec(column: Column) -> Spec:
    return (None, ()) if isinstance(column, Categorical) else (column.dtype, column.shape[1:])


def _merged(file: Path, name: str, known: Spec | None, spec: Spec, found: Survey) -> Spec:
    """What holds the values of both."""
    if known is None:
        return spec
    (one, row), (other, other_row) = known, spec
    # numpy takes None for float64 where it compares dtypes.
    if row == other_row and (one is None) == (other is None) and one == other:
        return spec
    numbers = one is not None and other is not None and one.kind in "biuf" and other.kind in "biuf"
    if row != other_row or one is None or other is None or not numbers or "b" in one.kind + other.kind:
        raise IngestError(
            f"{file}: column {name!r} is of another type than in other files",
            expected=_word(known),
            got=_word(spec),
            hint=_LEAVE_OUT,
        )
    found.wide |= one.kind == other.kind == "f"
    return np.result_type(one, other), row


def _word(spec: Spec) -> str:
    return "text" if spec[0] is None else f"{spec[0]}{list(spec[1]) or ''}"


def conformed(batch: Geometry, part: Part, found: Survey) -> Geometry:
    """A batch of a file with the columns, types and object ids that all files share."""
    tables = _tables(batch)
    rows = {"attributes": batch.vertex_count}
    if isinstance(batch, Linked):
        rows |= dict.fromkeys(("edge_attributes", "face_attributes"), len(batch.links))
    changed: dict[str, Any] = {
        table: {
            name: _column(part.file, name, tables[table].get(name), spec, rows[table])
            for name, spec in found.specs.get(table, {}).items()
        }
        for table in tables
        if table != "object_attributes"
    }
    return replace(
        batch,
        positions=batch.positions.astype(found.dtype, copy=False),
        axes=found.axes,
        **changed,
        **_objects(batch, part, found),
    )


def _objects(batch: Geometry, part: Part, found: Survey) -> dict[str, Any]:
    """Ids and tables of the objects of a batch."""
    owners = batch.vertex_objects
    if owners is None:
        ids = {"object_ids": np.full(batch.vertex_count, part.new[0])}
        objects = part.new[:1]
    else:
        old = owners if batch.objects is None else batch.objects
        if isinstance(batch, Polylines):
            ids = {"ids": _renumbered(batch.line_ids, part)}
            old = batch.line_ids if batch.objects is None else batch.objects
        else:
            ids = {"object_ids": _renumbered(owners, part)}
        objects = _renumbered(old if batch.objects is not None else np.unique(old), part)
        if not len(objects) and not len(part.old):
            objects = part.new[:1]
    columns: dict[str, Column] = {
        name: _column(part.file, name, batch.object_attributes.get(name), spec, len(objects))
        for name, spec in found.specs.get("object_attributes", {}).items()
    }
    own = columns.pop(NAME, None)
    stems = Categorical(np.zeros(len(objects), dtype=np.int32), (part.stem,))
    if own is None:
        return ids | {"objects": objects, "object_attributes": columns | {NAME: stems}}
    # A file of one object is known by the file's name, whatever the object calls itself.
    columns[OWN_NAME] = own
    several = len(part.new) > 1 and NAME in batch.object_attributes
    columns[NAME] = own if several and isinstance(own, Categorical) else stems
    return ids | {"objects": objects, "object_attributes": columns}


def _renumbered(ids: IntArray, part: Part) -> IntArray:
    return part.new[np.searchsorted(part.old, ids)]


def _column(file: Path, name: str, column: Column | None, spec: Spec, rows: int) -> Column:
    """A column in the common type; one that the file lacks is missing in every row."""
    dtype, row = spec
    if dtype is None:
        return Categorical(np.full(rows, -1, dtype=np.int32), ()) if column is None else column
    if column is None:
        if dtype.kind in "fcmM":
            return np.full((rows, *row), np.nan if dtype.kind in "fc" else "NaT", dtype=dtype)
        empty: AnyArray = np.zeros((rows, *row), dtype=dtype)
        return np.ma.MaskedArray(empty, mask=True) if rows else empty
    if isinstance(column, Categorical) or column.dtype == dtype:
        return column
    if dtype.kind == "f" and column.dtype.kind in "iu" and first_inexact(np.ma.getdata(column).ravel()) is not None:
        raise IngestError(
            f"{file}: column {name!r} has integers that change as {dtype}, which other files call for", hint=_LEAVE_OUT
        )
    return column.astype(dtype)
