"""Folders with a file for each object, or with several files of objects, as one source; and the way back.

Which formats may lie in a folder: those that hold skeletons, graphs, meshes or polylines.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np

from zarr_vectors.constants import GEOM_GRAPH, GEOM_MESH, GEOM_POLYLINE, GEOM_SKELETON, GEOM_STREAMLINE
from zarr_vectors.exceptions import ExportError, IngestError
from zarr_vectors.formats.base import ExportContext, Format, ReadOptions, Source, single
from zarr_vectors.formats.splitting import split_objects
from zarr_vectors.formats.survey import NAME, Survey, conformed, survey
from zarr_vectors.geometry import Categorical, Column, Geometry
from zarr_vectors.typing import IntArray

__all__ = ["files_in", "folder_of", "format_in", "names_of"]

_KINDS = {GEOM_SKELETON, GEOM_GRAPH, GEOM_MESH, GEOM_POLYLINE, GEOM_STREAMLINE}
_NOTES = {".txt", ".md", ".rst", ""}
"""Suffixes of files that tell about a folder and are not read."""
_UNSAFE = re.compile(r'[/\\:*?"<>|\x00-\x1f]|^\.|[. ]$')
_NAME_BYTES = 200


def format_in(folder: Path, formats: Iterable[Format], of_name: Callable[[Path], Format | None]) -> Format:
    """The format of a folder: its own, or that of the files in it.

    Args:
        folder: A folder that exists.
        formats: All formats.
        of_name: From a path to the format that its name stands for.

    Raises:
        IngestError: The folder is none of a known format, and has no files of exactly one format.
    """
    for fmt in formats:
        if any(told is not None and told(folder) for told in (fmt.recognises, fmt.unpacked)):
            return fmt
    named = of_name(folder)
    if named is not None and named.recognises is not None:
        raise IngestError(f"{folder} is not what its name says", expected=named.description)
    found: dict[str, Format] = {}
    for file in _visible(folder):
        fmt_of_file = of_name(file)
        if fmt_of_file is not None and file.suffix.lower() not in _NOTES and fmt_of_file.recognises is None:
            found[fmt_of_file.name] = fmt_of_file
    if len(found) != 1:
        raise IngestError(
            f"{folder} must hold files of one format",
            expected="skeletons, graphs, meshes or polylines, such as .swc",
            got=f"formats {', '.join(sorted(found))}" if found else "no file of a known format",
        )
    (chosen,) = found.values()
    if not _KINDS.intersection(chosen.kinds):
        raise IngestError(
            f"{folder} holds files of points, which are not one object each",
            got=f"format {chosen.name}",
            hint="convert one file, and append the others with mode='append' (--append)",
        )
    return folder_of(chosen)


def folder_of(fmt: Format) -> Format:
    """A folder of files of a format as a format of its own."""
    return replace(
        fmt,
        description=f"a folder with a file for each object: {fmt.description}",
        open=partial(_open, fmt),
        export=partial(_export, fmt),
        recognises=partial(_holds_only, fmt),
        parts=single,
    )


def names_of(ids: IntArray, column: Column | None) -> dict[int, str]:
    """Object id to name, where every object has a name that can be that of a file and that no other object has.

    Example:
        >>> names_of(np.array([4, 7]), Categorical.from_values(["DA1", "DL4"]))
        {4: 'DA1', 7: 'DL4'}
        >>> names_of(np.array([4, 7]), Categorical.from_values(["DA1", "da1"]))
        {}
    """
    if not isinstance(column, Categorical):
        return {}
    names = np.asarray(column).tolist()
    plain = [name for name in names if isinstance(name, str) and _is_file_name(name)]
    if len(plain) < len(names) or len({name.casefold() for name in plain}) < len(names):
        return {}
    return dict(zip(ids.tolist(), plain, strict=True))


def _is_file_name(name: str) -> bool:
    try:
        size = len(name.encode())
    except UnicodeEncodeError:
        return False
    return 0 < size <= _NAME_BYTES and not _UNSAFE.search(name)


def files_in(folder: Path, fmt: Format) -> list[Path]:
    """The files of a format in natural order: numbers in names count as numbers."""
    own = {fmt.parts(file)[0] for file in _visible(folder) if _stem_of(file, fmt) is not None}
    return sorted(sorted(own), key=_natural)


def _runs(name: str) -> list[str]:
    """Digits without leading zeros and what lies between, by turns."""
    return [run.lstrip("0") if run.isdecimal() else run.casefold() for run in re.split(r"([0-9]+)", name)]


def _visible(folder: Path) -> Iterator[Path]:
    return (file for file in sorted(folder.iterdir()) if file.is_file() and not file.name.startswith("."))


def _stem_of(file: Path, fmt: Format) -> str | None:
    """The file's name without the suffix of a format, or None where it has another one."""
    ends = [suffix for suffix in fmt.suffixes if file.name.lower().endswith(suffix)]
    return file.name[: -max(map(len, ends))] if ends else None


def _holds_only(fmt: Format, folder: Path) -> bool:
    return all(entry.is_file() and _stem_of(entry, fmt) is not None for entry in folder.iterdir())


def _open(fmt: Format, folder: Path, options: ReadOptions) -> Source:
    """Describe the files of a folder; every file is read once to find out what it holds, and once for its values.

    Objects are numbered in the natural order of the files' names, or by these names where each file is one object and
    all are named by different integers of 64 bits. The object attribute ``name`` is a file's name without suffix.

    Raises:
        IngestError: A file cannot be read, or does not go together with the others.
    """
    files = files_in(folder, fmt)
    stems = [str(_stem_of(file, fmt)) for file in files]
    found = survey(fmt, files, stems, options)
    kept = {stem: header for stem, header in zip(stems, found.headers, strict=True) if header}
    return Source(
        batches=_batches(fmt, files, found, options),
        rows=found.rows,
        bounds=found.bounds,
        axes=found.axes,
        crs=found.crs,
        headers={fmt.name: {"files": kept}} if kept else {},
    )


def _batches(fmt: Format, files: list[Path], found: Survey, options: ReadOptions) -> Iterator[Geometry]:
    for file, part in zip(files, found.parts, strict=True):
        for batch in fmt.open(file, replace(options, wide=options.wide or found.wide)).batches:
            yield conformed(batch, part, found)


def _export(fmt: Format, folder: Path, batches: Iterator[Geometry], context: ExportContext) -> int:
    """Write a file for each object to a new folder; returns the number of vertices.

    Files are called by ``context.names``, which then are no object attribute any more, or by object id.

    Raises:
        ExportError: The format cannot hold an object, or an object comes in two batches.
    """
    folder.mkdir()
    rows, done = 0, set()
    suffix = fmt.suffixes[0]
    for batch in batches:
        if not batch.vertex_count and batch.objects is None:
            continue
        for key, value in split_objects(batch):
            if key in done:
                raise ExportError("an object must come in one batch", got=f"object {key} in two")
            done.add(key)
            stem = context.names.get(key, str(key))
            if key in context.names:
                own = {name: column for name, column in value.object_attributes.items() if name != NAME}
                value = replace(value, object_attributes=own)  # noqa: PLW2901
            headers = {**context.headers, fmt.name: _header_of(context.headers.get(fmt.name), stem)}
            one = replace(context, headers=headers, bounds=value.bounds, names={})
            rows += fmt.export(folder / f"{stem}{suffix}", iter([value]), one)
    return rows


def _header_of(header: Any, stem: str) -> dict[str, Any]:
    """The part of a folder's header that is about one file."""
    files = header.get("files") if isinstance(header, Mapping) else None
    kept = files.get(stem) if isinstance(files, Mapping) else header
    return dict(kept) if isinstance(kept, Mapping) else {}


def _natural(file: Path) -> list[tuple[int, str]]:
    """What orders files by the numbers in their names."""
    return [(len(run), run) if run.isdecimal() else (0, run) for run in _runs(file.name)]
