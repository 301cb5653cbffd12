"""How TRX files are written: arrays grow in a folder beside the file, and are packed when all are complete."""

from __future__ import annotations

import json
import shutil
import zipfile
from collections.abc import Iterator, Mapping
from itertools import chain
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import numpy as np

from zarr_vectors.exceptions import ExportError
from zarr_vectors.formats.base import ExportContext
from zarr_vectors.formats.streamlines import (
    check_alike,
    first_of,
    from_json,
    header_of,
    new_file,
    object_rows,
    reference_of,
    world_positions,
)
from zarr_vectors.formats.trx_archive import COMPRESSIONS, DTYPES, HEADER, dtype_name
from zarr_vectors.geometry import Categorical, Column, Polylines
from zarr_vectors.typing import AnyArray, JsonObject

__all__ = ["GROUP_NAME", "export_trx"]

GROUP_NAME = "name"
"""The group attribute that holds the names of groups."""
WHERE = "headers/trx"
ENDS = "ends"
BLOCK = 1 << 20
LARGEST_DIMENSION = (1 << 16) - 1


class _Arrays:
    """Arrays that grow, each in a file of its own that is open only while it grows: groups may be many."""

    def __init__(self, folder: str) -> None:
        self._folder = Path(folder)
        self._files: dict[str, Path] = {}
        self._count = 0

    def add(self, name: str, values: AnyArray) -> None:
        """Append rows to an array, in little endian."""
        if name not in self._files:
            self._files[name] = self._folder / str(self._count)
            self._count += 1
        data = np.ascontiguousarray(values)
        with self._files[name].open("ab") as file:
            file.write(data.astype(data.dtype.newbyteorder("<"), copy=False).tobytes())

    def has(self, name: str) -> bool:
        """Whether there is an array of this name."""
        return name in self._files

    def blocks(self, name: str, dtype: str) -> Iterator[AnyArray]:
        """Take an array back, block by block."""
        with self._files.pop(name).open("rb") as file:
            while raw := file.read(BLOCK):
                yield np.frombuffer(raw, dtype)

    def pack(self, archive: zipfile.ZipFile) -> None:
        """Copy all arrays into an archive, under their names."""
        for name, path in self._files.items():
            entry = _entry(name, archive.compression)
            with path.open("rb") as file, archive.open(entry, "w", force_zip64=True) as target:
                shutil.copyfileobj(file, target, BLOCK)


def _entry(name: str, compression: int) -> zipfile.ZipInfo:
    """A member without a date, so that the same values give the same file."""
    info = zipfile.ZipInfo(name)
    info.compress_type = compression
    info.external_attr = 0o644 << 16
    return info


def export_trx(path: Path, batches: Iterator[Polylines], context: ExportContext) -> int:
    """Write a TRX file; returns the number of vertices.

    Affine, dimensions, all else in ``header.json``, the dtype of the offsets and compression come from
    ``headers["trx"]`` where it is there. Otherwise the affine is that of ``headers["trk"]`` or the identity, and
    members are stored. Floats and integers keep their dtypes, bool becomes bit; integer positions become floats.

    Names of groups come from the group attribute ``name``; groups without one are called ``group_`` and their id.
    Streamlines come in the order of the batches and are numbered by it when they are read again.

    Raises:
        ExportError: Text, times, arrays of more than two axes, or names that a path cannot hold; no file is left.

    Example:
        >>> import tempfile
        >>> from zarr_vectors.formats.streamlines import AXES
        >>> with tempfile.TemporaryDirectory() as folder:
        ...     lines = Polylines([[[1.0, 2, 3], [4, 5, 6]]], attributes={"fa": [0.5, 0.25]})
        ...     export_trx(Path(folder, "a.trx"), iter([lines]), ExportContext(axes=AXES))
        ...     zipfile.ZipFile(Path(folder, "a.trx")).namelist()
        2
        ['header.json', 'positions.3.float64', 'dpv/fa.float64', 'offsets.uint32']
    """
    first = first_of(batches)
    kept = header_of(context, "trx") or {}
    header = _header_from(kept, context)
    wanted = kept.get("compression", "stored")
    compression = next((number for number, name in COMPRESSIONS.items() if name == wanted), None)
    if compression is None:
        raise ExportError(f"{WHERE} is not what an ingest keeps", expected="a compression", got=repr(wanted)[:80])
    with TemporaryDirectory(prefix=f".{path.name}-", dir=path.parent) as folder:
        arrays = _Arrays(folder)
        vertices = lines = 0
        groups: dict[str, int] = {}
        for batch in chain([first], batches):
            check_alike(batch, first)
            _add(arrays, batch, context, vertices)
            _add_groups(arrays, batch, lines, groups)
            vertices += batch.vertex_count
            lines += batch.line_count
        _add_offsets(arrays, vertices, kept.get("offsets"))
        _add_kept_data(arrays, kept.get("data_per_group") or {}, groups)
        header |= {"NB_VERTICES": vertices, "NB_STREAMLINES": lines}
        with new_file(path) as file, zipfile.ZipFile(file, "w", compression) as archive:
            archive.writestr(_entry(HEADER, compression), json.dumps(header))
            arrays.pack(archive)
    return vertices


def _header_from(kept: JsonObject, context: ExportContext) -> JsonObject:
    header = kept.get("header")
    if header is not None and not isinstance(header, dict):
        raise ExportError(f"{WHERE} is not what an ingest keeps", expected="an object as header", got=repr(header)[:80])
    if header is None:
        reference = reference_of(context)
        sizes = np.clip(reference.dimensions, 1, LARGEST_DIMENSION).tolist()
        return {"VOXEL_TO_RASMM": reference.affine.tolist(), "DIMENSIONS": sizes}
    return dict(header)


def _add(arrays: _Arrays, batch: Polylines, context: ExportContext, vertices: int) -> None:
    """Positions, ends of streamlines, and data of vertices and streamlines."""
    positions = world_positions(batch, context.axes)
    arrays.add(_member("", "positions", positions), positions)
    arrays.add(ENDS, (batch.offsets[1:] + vertices).astype(np.uint64))
    for name, column in batch.attributes.items():
        values = _numbers(name, column)
        arrays.add(_member("dpv/", name, values), values)
    rows = object_rows(batch) if batch.object_attributes else slice(None)
    for name, column in batch.object_attributes.items():
        values = _numbers(name, column)
        arrays.add(_member("dps/", name, values), values[rows])


def _add_groups(arrays: _Arrays, batch: Polylines, lines: int, groups: dict[str, int]) -> None:
    """Members of groups, and data of those that come for the first time."""
    names = _group_names(batch)
    for number, name in names.items():
        members = np.flatnonzero(np.isin(batch.line_ids, batch.groups[number])) + lines
        if groups.setdefault(name, number) != number:
            raise ExportError("groups must have distinct names", got=f"{name!r} for {groups[name]} and {number}")
        is_new = not arrays.has(f"groups/{name}.uint32")
        arrays.add(f"groups/{name}.uint32", members.astype(np.uint32))
        for attribute, column in batch.group_attributes.items() if is_new else ():
            if attribute == GROUP_NAME and isinstance(column, Categorical):
                continue
            values = _numbers(attribute, column)
            arrays.add(_member(f"dpg/{name}/", attribute, values), values[number : number + 1])


def _group_names(batch: Polylines) -> dict[int, str]:
    names = batch.group_attributes.get(GROUP_NAME)
    given: dict[int, Any] = dict(enumerate(np.asarray(names).tolist())) if isinstance(names, Categorical) else {}
    found = {number: given.get(number) or f"group_{number}" for number in batch.groups}
    for name in found.values():
        _check_name(str(name))
    return {number: str(name) for number, name in found.items()}


def _add_offsets(arrays: _Arrays, vertices: int, wanted: Any) -> None:
    """The offsets, from the ends of the streamlines."""
    dtype = wanted if wanted in ("uint32", "uint64") else "uint32"
    if vertices > np.iinfo(np.uint32).max:
        dtype = "uint64"
    name = f"offsets.{dtype}"
    arrays.add(name, np.zeros(1, dtype))
    for block in arrays.blocks(ENDS, "<u8"):
        arrays.add(name, block.astype(dtype))


def _add_kept_data(arrays: _Arrays, kept: Mapping[str, Any], groups: Mapping[str, int]) -> None:
    """The data of groups that were no attributes, for the groups that are written."""
    try:
        entries = [
            (group, name, entry["dtype"], entry["values"]) for group in kept for name, entry in kept[group].items()
        ]
        entries = [(group, name, _dtype_of(dtype), values) for group, name, dtype, values in entries]
        shapes = [(len(values),) for *_, values in entries]
    except (TypeError, KeyError, AttributeError) as error:
        got = repr(error)[:80]
        raise ExportError(f"{WHERE} is not what an ingest keeps", expected="data of groups", got=got) from error
    for (group, name, dtype, values), shape in zip(entries, shapes, strict=True):
        row = from_json(values, dtype, shape, f"{WHERE}/data_per_group").reshape(1, -1)
        if group in groups:
            member = _member(f"dpg/{group}/", name, row)
            if not arrays.has(member):
                arrays.add(member, row)


def _dtype_of(name: str) -> np.dtype[Any]:
    return np.dtype(np.bool_) if name == "bit" else DTYPES[name]


def _numbers(name: str, column: Column) -> AnyArray:
    """A column as an array of a dtype that TRX has."""
    if isinstance(column, Categorical) or column.ndim > 2 or dtype_name(column.dtype) is None:
        got = "text" if isinstance(column, Categorical) else f"{column.dtype} of shape {column.shape}"
        raise ExportError(
            f"TRX cannot hold attribute {name!r}",
            expected="numbers of at most 64 bits",
            got=got,
            hint="pass attributes without it, or with its codes as integers",
        )
    return column


def _member(folder: str, name: str, values: AnyArray) -> str:
    """The path of an array, with the number of its columns where there are several."""
    _check_name(name)
    columns = f".{values.shape[1]}" if values.ndim == 2 and values.shape[1] > 1 else ""
    return f"{folder}{name}{columns}.{dtype_name(values.dtype)}"


def _check_name(name: str) -> None:
    if not name or set(name) & set("./\\:\0"):
        raise ExportError("TRX cannot hold a name", expected="letters that a path and a suffix allow", got=repr(name))
