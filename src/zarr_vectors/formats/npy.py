"""NumPy's own files: ``.npy`` with one array and ``.npz`` with several. Nothing that would need pickle is read.

An ``.npy`` holds an ``(N, D)`` array, whose columns are ``x, y, z, column_3`` and so on (all of up to four are
coordinates, otherwise the first three), or a structured array, whose fields are mapped like the columns of a table.
An ``.npz`` holds ``positions``, perhaps ``object_ids``, and attributes under their names.
"""

from __future__ import annotations

import tempfile
import zipfile
from collections.abc import Callable, Iterator, Mapping
from contextlib import ExitStack
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np

from zarr_vectors.axes import as_axes
from zarr_vectors.exceptions import ExportError, IngestError, InputError
from zarr_vectors.formats.base import OBJECT_ID, ExportContext, Format, ReadOptions, Source
from zarr_vectors.formats.columns import (
    OTHER_OBJECT_IDS,
    OTHER_POSITIONS,
    CategoryTable,
    ColumnPlan,
    check_columns,
    object_ids_of,
    peek,
    plan_columns,
    rows_per_batch,
)
from zarr_vectors.formats.npy_arrays import ArrayFile, Member, MemberReader, map_array, read_members, reading
from zarr_vectors.geometry import Categorical, Points
from zarr_vectors.geometry.interchange.arrow_types import first_inexact
from zarr_vectors.typing import AnyArray

__all__ = ["NPY", "NPZ"]

_POSITIONS = "positions"
_OBJECT_IDS = "object_ids"
_OTHERS = {
    "coordinates": OTHER_POSITIONS,
    "object ids": OTHER_OBJECT_IDS,
    "attributes": "choose other arrays with attributes= (--attributes)",
}
_WRITE_ROWS = 2**16
_KINDS = "biufcmM"


@dataclass(frozen=True, kw_only=True)
class _Table:
    """Arrays that have been mapped to what they are for."""

    path: Path
    plan: ColumnPlan
    members: Mapping[str, Member]

    @property
    def rows(self) -> int:
        """Number of points."""
        return self.members[self.plan.positions[0]].shape[0]


def _plan(path: Path, members: Mapping[str, Member], options: ReadOptions) -> _Table:
    """Map arrays by name, and refuse those that cannot be what they are mapped to."""
    if options.positions is None and _POSITIONS in members:
        options = replace(options, positions=(_POSITIONS,))
    if options.object_ids is None and _OBJECT_IDS in members and _OBJECT_IDS not in (options.attributes or ()):
        options = replace(options, object_ids=_OBJECT_IDS)
    plan = plan_columns(path, list(members), options)
    first = members[plan.positions[0]].shape
    together = len(plan.positions) == 1 and len(first) == 2
    if together and 1 <= first[1] <= 4:
        plan = replace(plan, axes=as_axes(None, first[1]))
    rows = first[0] if first else None
    for name in plan.columns:
        member = members[name]
        if not member.shape or member.shape[0] != rows:
            raise IngestError(
                f"{path}: array {name!r} must have one row per point",
                expected=f"{rows} rows",
                got=f"shape {member.shape}",
                hint="choose others with attributes= (--attributes)",
            )
        if name in plan.positions:
            _check_member(path, name, member, "coordinates", "iuf", 4 if together else 0)
        elif name == plan.object_ids:
            _check_member(path, name, member, "object ids", "iu", 0)
        else:
            _check_member(path, name, member, "attributes", _KINDS + "US", 0 if member.dtype.kind in "US" else None)
    return _Table(path=path, plan=plan, members=members)


def _check_member(path: Path, name: str, member: Member, role: str, kinds: str, most_channels: int | None) -> None:
    """Refuse dtypes of other kinds, more channels than that (0: no second axis), and a third axis."""
    channels = member.shape[1] if len(member.shape) > 1 else 0
    fits = len(member.shape) <= 2 and (most_channels is None or channels <= most_channels) and 0 not in member.shape[1:]
    is_long = member.dtype.kind in "fc" and member.dtype.itemsize > {"f": 8, "c": 16}[member.dtype.kind]
    if member.dtype.kind not in kinds or is_long or not fits:
        raise IngestError(
            f"{path}: array {name!r} cannot be {role}",
            got=f"dtype {member.dtype} of shape {member.shape}",
            hint=_OTHERS[role],
        )


def _batches(
    table: _Table, options: ReadOptions, reader: Callable[[ExitStack], Callable[[int], dict[str, AnyArray]]]
) -> Iterator[Points]:
    """Read so many rows at a time with what ``reader`` opens."""
    names = table.plan.columns
    size = rows_per_batch(options, sum(table.members[name].row_bytes for name in names))
    texts = {name: CategoryTable() for name in names if table.members[name].dtype.kind in "US"}
    with ExitStack() as stack:
        read = reader(stack)
        for start in range(0, max(1, table.rows), size):
            yield _points(table, read(min(size, table.rows - start)), texts, start)


def _points(table: _Table, arrays: dict[str, AnyArray], texts: dict[str, CategoryTable], first_row: int) -> Points:
    path, plan = table.path, table.plan
    coordinates = [arrays[name] for name in plan.positions]
    dtype = np.result_type(*coordinates).newbyteorder("=")
    for name, values in zip(plan.positions, coordinates, strict=True):
        row = first_inexact(values.reshape(-1)) if dtype.kind == "f" and values.dtype.kind != "f" else None
        if row is not None:
            raise IngestError(
                f"{path}: integer coordinates change as {dtype}, which the other coordinates call for",
                got=f"{values[row]} in row {first_row + row} of {name!r}",
                hint="give all coordinates one type",
            )
    joined = coordinates[0] if coordinates[0].ndim == 2 else np.stack(coordinates, axis=1)

    def column(name: str) -> AnyArray | Categorical:
        values = arrays[name]
        if name not in texts:
            return np.ascontiguousarray(values, dtype=values.dtype.newbyteorder("="))
        if values.dtype.kind == "U" and not _is_unicode(values):
            raise IngestError(f"{path}: array {name!r} has text with characters that do not exist")
        try:
            encoded = Categorical.from_values(values, name=name)
        except InputError as error:
            raise IngestError(f"{path}: {error}") from error
        return texts[name].categorical(texts[name].recode(encoded.codes, encoded.categories))

    return Points(
        np.ascontiguousarray(joined, dtype=dtype),
        attributes={name: column(name) for name in plan.attributes},
        object_ids=None
        if plan.object_ids is None
        else object_ids_of(path, plan.object_ids, arrays[plan.object_ids], first_row),
        axes=plan.axes,
    )


def _is_unicode(values: AnyArray) -> bool:
    characters = np.ascontiguousarray(values, dtype=values.dtype.newbyteorder("=")).view(np.uint32)
    return not ((characters > 0x10FFFF) | ((characters >= 0xD800) & (characters <= 0xDFFF))).any()


def _open_npy(path: Path, options: ReadOptions) -> Source:
    array = map_array(path)
    if array.dtype.names is not None:
        fields = {name: array.dtype[name] for name in array.dtype.names}
        members = {name: Member(dtype=field.base, shape=(*array.shape, *field.shape)) for name, field in fields.items()}
    elif array.ndim == 2 and array.shape[1] >= 2:
        count = array.shape[1]
        names = [axis.name for axis in as_axes(None, min(count, 4))] if count <= 4 else ["x", "y", "z"]
        names += [f"column_{index}" for index in range(len(names), count)]
        members = {name: Member(dtype=array.dtype, shape=array.shape[:1]) for name in names}
        if options.positions is None:
            options = replace(options, positions=tuple(names[:4] if count <= 4 else names[:3]))
    elif array.ndim == 2:
        members = {_POSITIONS: Member(dtype=array.dtype, shape=array.shape)}
    else:
        raise IngestError(
            f"{path} must hold an (N, D) array or a structured array",
            got=f"dtype {array.dtype} of shape {array.shape}",
        )
    table = _plan(path, members, options)
    fields_of = {name: index for index, name in enumerate(members)}

    def reader(_: ExitStack) -> Callable[[int], dict[str, AnyArray]]:
        done = 0

        def read(rows: int) -> dict[str, AnyArray]:
            nonlocal done
            # A map of its own for each batch, so that the pages read do not stay in memory.
            part = map_array(path)[done : done + rows]
            done += rows
            if part.dtype.names is not None:
                return {name: part[name] for name in table.plan.columns}
            if _POSITIONS in members:
                return {_POSITIONS: part}
            return {name: part[:, fields_of[name]] for name in table.plan.columns}

        return read

    return Source(batches=_batches(table, options, reader), rows=table.rows, axes=table.plan.axes)


def _open_npz(path: Path, options: ReadOptions) -> Source:
    members = read_members(path)
    table = _plan(path, members, options)

    def reader(stack: ExitStack) -> Callable[[int], dict[str, AnyArray]]:
        stack.enter_context(reading(path, "a .npz file"))
        archive = stack.enter_context(zipfile.ZipFile(path))
        columns = {
            name: MemberReader(path, name, members[name], archive, stack) for name in dict.fromkeys(table.plan.columns)
        }
        return lambda rows: {name: column.read(rows) for name, column in columns.items()}

    return Source(batches=_batches(table, options, reader), rows=table.rows, axes=table.plan.axes)


def _export_npy(path: Path, batches: Iterator[Points], context: ExportContext) -> int:
    first, batches = peek(batches)
    axes = [axis.name for axis in context.axes]
    names = [*axes, *([OBJECT_ID] if first.object_ids is not None else []), *first.attributes]
    check_columns(path, names, first, kinds=_KINDS)
    if names == axes:
        with ArrayFile(path, first.positions.dtype, (first.ndim,)) as file:
            for points in batches:
                file.write(points.positions)
        return file.rows
    fields: list[Any] = [(axis, first.positions.dtype.newbyteorder("=")) for axis in axes]
    if first.object_ids is not None:
        fields.append((OBJECT_ID, np.dtype(np.int64)))
    for name in first.attributes:
        dtype, shape = _type_of(path, name, first)
        fields.append((name, dtype, shape) if shape else (name, dtype))
    with ArrayFile(path, np.dtype(fields)) as file:
        for points in batches:
            words = _words_of(path, points, {name: file.dtype[name] for name in first.attributes})
            for start in range(0, points.vertex_count, _WRITE_ROWS):
                rows = slice(start, min(start + _WRITE_ROWS, points.vertex_count))
                block = np.empty(rows.stop - rows.start, dtype=file.dtype)
                for index, axis in enumerate(axes):
                    block[axis] = points.positions[rows, index]
                if points.object_ids is not None:
                    block[OBJECT_ID] = points.object_ids[rows]
                for name in points.attributes:
                    block[name] = _values(points, name, words, rows)
                file.write(block)
    return file.rows


def _export_npz(path: Path, batches: Iterator[Points], context: ExportContext) -> int:  # noqa: ARG001
    first, batches = peek(batches)
    names = [_POSITIONS, *([_OBJECT_IDS] if first.object_ids is not None else []), *first.attributes]
    check_columns(path, names, first, kinds=_KINDS)
    types = {name: _type_of(path, name, first) for name in first.attributes}
    types |= {_POSITIONS: (first.positions.dtype, (first.ndim,)), _OBJECT_IDS: (np.dtype(np.int64), ())}
    with tempfile.TemporaryDirectory(dir=path.parent, prefix=f".{path.name}-") as folder:
        parts = {name: Path(folder) / f"{index}.npy" for index, name in enumerate(names)}
        with ExitStack() as stack:
            files = {name: stack.enter_context(ArrayFile(parts[name], *types[name])) for name in names}
            for points in batches:
                words = _words_of(path, points, {name: files[name].dtype for name in first.attributes})
                for start in range(0, points.vertex_count, _WRITE_ROWS):
                    rows = slice(start, start + _WRITE_ROWS)
                    files[_POSITIONS].write(points.positions[rows])
                    if points.object_ids is not None:
                        files[_OBJECT_IDS].write(points.object_ids[rows])
                    for name in points.attributes:
                        files[name].write(_values(points, name, words, rows))
        with zipfile.ZipFile(path, "w") as archive:
            for name, part in parts.items():
                archive.write(part, f"{name}.npy")
    return files[_POSITIONS].rows


def _type_of(path: Path, name: str, points: Points) -> tuple[np.dtype[Any], tuple[int, ...]]:
    column = points.attributes[name]
    if isinstance(column, Categorical):
        return _words(path, name, column).dtype, ()
    return column.dtype.newbyteorder("="), column.shape[1:]


def _words_of(path: Path, points: Points, types: Mapping[str, np.dtype[Any]]) -> dict[str, AnyArray]:
    """The categories of each text column as an array that its codes index; refuses missing values."""
    found = {}
    for name, column in points.attributes.items():
        missing = column.codes < 0 if isinstance(column, Categorical) else np.ma.getmaskarray(column)
        if missing.any():
            raise ExportError(
                f"{path}: attribute {name!r} has missing values, for which its type has no mark in this format",
                got=f"row {int(np.argwhere(missing)[0, 0])}",
                hint="write .parquet or .csv, or choose attributes with attributes= (--attributes)",
            )
        if isinstance(column, Categorical):
            found[name] = _words(path, name, column)
            if found[name].dtype.itemsize > types[name].itemsize:
                raise ExportError(
                    f"{path}: attribute {name!r} has longer text in a later batch than in the first",
                    got=repr(max(column.categories, key=len)),
                    hint="write .parquet or .csv",
                )
    return found


def _words(path: Path, name: str, column: Categorical) -> AnyArray:
    words = np.array(column.categories or [""])
    is_text = all(isinstance(category, str) for category in column.categories)
    kept = words.tolist() == list(column.categories or [""]) and words.ndim == 1
    if words.dtype.kind not in ("U" if is_text else "biuf") or not kept:
        raise ExportError(
            f"{path}: attribute {name!r} has categories that this format cannot hold",
            hint="write .parquet, or choose attributes with attributes= (--attributes)",
        )
    return words.astype("U1") if words.dtype.itemsize == 0 else words


def _values(points: Points, name: str, words: Mapping[str, AnyArray], rows: slice) -> AnyArray:
    column = points.attributes[name]
    return words[name][column.codes[rows]] if isinstance(column, Categorical) else column[rows]


NPY = Format(
    name="npy",
    suffixes=(".npy",),
    description="one NumPy array: plain (N, D), or structured",
    open=_open_npy,
    export=_export_npy,
)

NPZ = Format(
    name="npz",
    suffixes=(".npz",),
    description="several NumPy arrays: positions, object_ids and attributes",
    open=_open_npz,
    export=_export_npz,
)
