"""Which format a file has, and the way from files to stores and back."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import replace
from functools import reduce
from os import PathLike
from pathlib import Path
from typing import Any

import numpy as np

from zarr_vectors.api.level import ZVLevel
from zarr_vectors.api.store import ZVStore
from zarr_vectors.api.write import write
from zarr_vectors.exceptions import IngestError, InputError
from zarr_vectors.formats.base import ExportContext, Format, ReadOptions, Source
from zarr_vectors.formats.edge_list import EDGE_LIST
from zarr_vectors.formats.folder import folder_of, format_in, names_of
from zarr_vectors.formats.fresh import fresh
from zarr_vectors.formats.geff import GEFF
from zarr_vectors.formats.gltf import GLTF
from zarr_vectors.formats.graphml import GRAPHML
from zarr_vectors.formats.las import LAS
from zarr_vectors.formats.npy import NPY, NPZ
from zarr_vectors.formats.obj import OBJ
from zarr_vectors.formats.off import OFF
from zarr_vectors.formats.outgoing import check_kind, with_tables
from zarr_vectors.formats.parquet import PARQUET
from zarr_vectors.formats.picking import picked
from zarr_vectors.formats.ply import PLY
from zarr_vectors.formats.precomputed import PRECOMPUTED
from zarr_vectors.formats.stl import STL
from zarr_vectors.formats.swc import SWC
from zarr_vectors.formats.tck import TCK
from zarr_vectors.formats.text import CSV, XYZ
from zarr_vectors.formats.trk import TRK
from zarr_vectors.formats.trx import TRX
from zarr_vectors.geometry import Geometry
from zarr_vectors.rowwise import extremes
from zarr_vectors.spatial.area import areas_of
from zarr_vectors.spatial.box import ClosedBox
from zarr_vectors.spatial.layout import Layout
from zarr_vectors.storage.urls import StoreLike
from zarr_vectors.storage.whole import no_memory
from zarr_vectors.types.check import check_vertex_attribute_name
from zarr_vectors.types.report import WriteReport
from zarr_vectors.typing import Bounds

__all__ = ["FORMATS", "export", "format_at", "format_named", "format_of", "has_format", "ingest"]

FORMATS: tuple[Format, ...] = (
    *(LAS, PLY, CSV, XYZ, PARQUET, NPY, NPZ),
    *(TRK, TCK, TRX),
    *(OBJ, STL, OFF, GLTF),
    *(SWC, PRECOMPUTED, GEFF, EDGE_LIST, GRAPHML),
)
"""Every exchange format; a new one is added here."""

_BY_SUFFIX = {suffix: fmt for fmt in FORMATS for suffix in fmt.suffixes}
_EXPORT_ROWS = 500_000


def format_of(path: str | PathLike[str]) -> Format:
    """The format that a file's suffix names; of several that fit, the longest counts.

    Raises:
        InputError: The suffix belongs to no known format.

    Example:
        >>> format_of("scan.LAZ").name
        'las'
    """
    fmt = _by_name(Path(path))
    if fmt is None:
        suffix = Path(path).suffix
        raise InputError(
            "the file's suffix belongs to no known format",
            got=repr(suffix) if suffix else f"no suffix in {str(path)!r}",
            expected=f"one of {' '.join(sorted(_BY_SUFFIX))}",
        )
    return fmt


def has_format(path: str | PathLike[str]) -> bool:
    """Whether a file's suffix belongs to a known format.

    Example:
        >>> has_format("scan.las"), has_format("scan.zarrvectors")
        (True, False)
    """
    return _by_name(Path(path)) is not None


def format_at(path: str | PathLike[str]) -> Format:
    """The format of a file or folder that exists.

    Raises:
        InputError: A file's suffix belongs to no known format.
        IngestError: There is nothing, or a folder is none of a known format and holds no files of exactly one.
    """
    place = Path(path)
    if place.is_dir():
        return format_in(place, FORMATS, _by_name)
    fmt = format_of(place)
    if not fmt.parts(place)[0].is_file():
        raise IngestError("there is no such file", got=str(place))
    if fmt.recognises is not None:
        raise IngestError(f"{place} must be a folder", expected=fmt.description, got="a file")
    return fmt


def format_named(name: str, path: str | PathLike[str]) -> Format:
    """The format to write to a path under a name: a file where the path has one of its suffixes, otherwise a folder.

    Raises:
        InputError: There is no such format, or the path's suffix says another one.

    Example:
        >>> format_named("swc", "neurons").recognises is None, format_named("swc", "neuron.swc").recognises is None
        (False, True)
    """
    fmt = next((known for known in FORMATS if known.name == name), None)
    if fmt is None:
        raise InputError(
            "the format is not known", got=repr(name), expected=f"one of {', '.join(known.name for known in FORMATS)}"
        )
    said = _by_name(Path(path))
    if said is not None and said is not fmt:
        raise InputError("the path's suffix says another format", expected=name, got=said.name)
    return fmt if said is fmt or fmt.recognises is not None else folder_of(fmt)


def _by_name(path: Path) -> Format | None:
    suffixes = [suffix.lower() for suffix in path.suffixes]
    endings = ("".join(suffixes[start:]) for start in range(len(suffixes)))
    return next((_BY_SUFFIX[ending] for ending in endings if ending in _BY_SUFFIX), None)


def ingest(
    path: str | PathLike[str],
    target: StoreLike,
    *,
    options: ReadOptions | None = None,
    bbox: Any = None,
    object_ids: Any = None,
    mode: str = "create",
    layout: Layout | None = None,
    out_of_bounds: str = "raise",
    extend: bool = False,
    fill: Mapping[str, Any] | None = None,
    dtype: Any = None,
    per_fragment: Sequence[str] | str = (),
    storage_options: Mapping[str, Any] | None = None,
    progress: Callable[[int, int | None], None] | None = None,
) -> WriteReport:
    """Read a file, or a folder of files, batch by batch, into a store.

    Args:
        path: A file, whose suffix tells its format; a folder that is of a format by itself; or a folder with files
            of one format, each of which holds one object or several.
        target: A path, a URL, or an open zarr store.
        options: How to read the file.
        bbox: Only rows in this closed box, as in ``ZVLevel.read``.
        object_ids: Only rows of these objects.
        mode, layout, out_of_bounds, extend, fill, dtype, per_fragment, storage_options, progress: As in
            ``zarr_vectors.write``.

    Raises:
        InputError: The suffix is not known, or a value cannot be written.
        IngestError: The file is not what its suffix says, is truncated, or is empty.
        OutOfMemoryError: The file, or what it claims to hold, does not fit into memory.
    """
    file = Path(path)
    fmt = format_at(file)
    source = _opened(fmt, file, options or ReadOptions())

    def told(done: int, total: int | None) -> None:
        if progress is not None:
            progress(done, source.rows if total is None else total)

    if bbox is None:  # which leaves out what is nowhere
        source = replace(source, batches=_finite(source.batches, file))
    return write(
        target,
        picked(source, bbox, object_ids),
        mode=mode,
        layout=layout,
        out_of_bounds=out_of_bounds,
        axes=source.axes if mode != "append" else None,
        crs=source.crs,
        headers=source.headers,
        extend=extend,
        fill=fill,
        dtype=dtype,
        per_fragment=per_fragment,
        storage_options=storage_options,
        progress=told,
    )


def _opened(fmt: Format, file: Path, options: ReadOptions) -> Source:
    try:
        source = fmt.open(fmt.parts(file)[0], options)
    except MemoryError as error:
        raise no_memory(str(file), None, error) from error
    return replace(source, batches=_taken(source.batches, file))


def _finite(batches: Iterable[Geometry], file: Path) -> Iterator[Geometry]:
    """The batches, with rows of the file in the error for coordinates that are none."""
    first_row = 0
    for batch in batches:
        if batch.vertex_count and not all(np.isfinite(corner).all() for corner in extremes(batch.positions)):
            row, axis = (int(n) for n in np.argwhere(~np.isfinite(batch.positions))[0])
            raise IngestError(
                f"{file}: positions must be finite",
                got=f"{batch.positions[row, axis]} in row {first_row + row}, column {axis}",
                hint="remove these rows from the file, or take what lies in a box with bbox= (--bbox)",
            )
        first_row += batch.vertex_count
        yield batch


def _taken(batches: Iterable[Geometry], file: Path) -> Iterator[Geometry]:
    """The batches, with the name of the file in errors about what they are."""
    waiting = iter(batches)
    checked = False
    while True:
        try:
            batch = next(waiting)
        except StopIteration:
            return
        except MemoryError as error:
            raise no_memory(str(file), None, error) from error
        if not checked:
            _check_names(batch, file)
            checked = True
        yield batch


def _check_names(batch: Geometry, file: Path) -> None:
    for name in batch.attributes:
        try:
            check_vertex_attribute_name(name)
        except InputError as error:
            hint = "rename it in the file, or choose others with attributes= (--attributes)"
            raise IngestError(f"{file}: {error.message}", got=error.got, hint=hint) from error


def export(
    source: ZVStore | ZVLevel,
    path: str | PathLike[str],
    *,
    bbox: Any = None,
    object_ids: Any = None,
    group_ids: Any = None,
    where: Any = None,
    near: Any = None,
    within: Any = None,
    attributes: Sequence[str] | None = None,
    mode: str | None = None,
    object_attributes: Sequence[str] | None = None,
    groups: bool = True,
    level: int = 0,
    format: str | None = None,  # noqa: A002 (what the user calls it)
    overwrite: bool = False,
    progress: Callable[[int, int | None], None] | None = None,
    seen: Callable[[Geometry], None] | None = None,
) -> int:
    """Write a selection of a level to a file or folder, batch by batch; it appears when it is complete.

    Args:
        source: A store or one of its levels.
        path: A file; or, with ``format``, a folder to write a file for each object to. Files are called by the object
            attribute ``name`` where every object has one of its own, otherwise by object id.
        bbox, object_ids, group_ids, where, near, within, attributes, mode: As in ``ZVLevel.iter``.
        object_attributes: Those of connected kinds to write; None for all, ``[]`` for none.
        groups: Whether to write groups of connected kinds: not every format can hold them.
        level: Of a store.
        format: Name of a format; by default the path's suffix tells it.
        overwrite: Replace what is there; a folder only if it holds nothing but files of the format.
        progress: Told the rows written so far, and None for their unknown total.
        seen: Told every batch.

    Returns:
        The number of rows written.

    Raises:
        InputError: The suffix or the format is not known.
        ExportError: The file exists, or its format cannot hold the kind of geometry or the values.
    """
    file = Path(path)
    fmt = format_of(file) if format is None else format_named(format, file)
    chosen = source[level] if isinstance(source, ZVStore) else source
    with fresh(file, fmt, overwrite=overwrite) as temporary:
        check_kind(chosen, fmt, FORMATS)
        asked = {"bbox": bbox, "object_ids": object_ids, "group_ids": group_ids}
        asked |= {"where": where, "near": near, "within": within}
        batches = chosen.iter(**asked, attributes=attributes, mode=mode, batch_rows=_EXPORT_ROWS)
        batches = with_tables(chosen, batches, asked=asked, object_attributes=object_attributes, groups=groups)
        context = ExportContext(
            axes=chosen.axes,
            crs=chosen.crs,
            headers=chosen.headers,
            bounds=_bounds_of(chosen, bbox, near, within, mode),
            names=_names_of(chosen) if fmt.recognises is not None else {},
        )
        return fmt.export(temporary, _watched(batches, progress, seen), context)


def _bounds_of(level: ZVLevel, bbox: Any, near: Any, within: Any, mode: str | None) -> Bounds:
    """The part of the store's box that a selection can reach: formats choose their precision by it."""
    low, high = level.bounds
    names = [axis.name for axis in level.axes]
    boxes = [area.box for area in areas_of(near, within, names)]
    boxes += [] if bbox is None else [ClosedBox.from_user(bbox, names)]
    reach = [box for box in boxes if box is not None]
    # Whole objects reach out of the places by which they are selected.
    if not reach or (level.kind.mode if mode is None else mode) == "objects":
        return low, high
    box = reduce(ClosedBox.narrowed, reach)
    first = np.clip(box.lo, low, high)
    return first.tolist(), np.maximum(np.clip(box.hi, low, high), first).tolist()


def _names_of(level: ZVLevel) -> Mapping[int, str]:
    if not level.has_objects:
        return {}
    objects = level.objects
    return names_of(objects.ids, objects.attributes.get("name"))


def _watched(
    batches: Iterator[Geometry],
    progress: Callable[[int, int | None], None] | None,
    seen: Callable[[Geometry], None] | None,
) -> Iterator[Geometry]:
    done = 0
    for batch in batches:
        if seen is not None:
            seen(batch)
        yield batch
        done += batch.vertex_count
        if progress is not None:
            progress(done, None)
