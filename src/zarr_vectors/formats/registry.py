"""Which format a file has, and the way from files to stores and back."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from os import PathLike
from pathlib import Path
from typing import Any
from uuid import uuid4

import numpy as np

from zarr_vectors.api.level import ZVLevel
from zarr_vectors.api.store import ZVStore
from zarr_vectors.api.write import write
from zarr_vectors.axes import as_axes
from zarr_vectors.exceptions import ExportError, IngestError, InputError
from zarr_vectors.formats.base import ExportContext, Format, ReadOptions, Source
from zarr_vectors.formats.gltf import GLTF
from zarr_vectors.formats.las import LAS
from zarr_vectors.formats.npy import NPY, NPZ
from zarr_vectors.formats.obj import OBJ
from zarr_vectors.formats.off import OFF
from zarr_vectors.formats.parquet import PARQUET
from zarr_vectors.formats.ply import PLY
from zarr_vectors.formats.stl import STL
from zarr_vectors.formats.tck import TCK
from zarr_vectors.formats.text import CSV, XYZ
from zarr_vectors.formats.trk import TRK
from zarr_vectors.formats.trx import TRX
from zarr_vectors.geometry import Geometry, as_ids
from zarr_vectors.spatial.box import ClosedBox
from zarr_vectors.spatial.layout import Layout
from zarr_vectors.storage.urls import StoreLike
from zarr_vectors.types.report import WriteReport
from zarr_vectors.typing import Bounds

__all__ = ["FORMATS", "export", "format_of", "has_format", "ingest"]

FORMATS: tuple[Format, ...] = (LAS, PLY, OBJ, STL, OFF, GLTF, TRK, TCK, TRX, CSV, XYZ, PARQUET, NPY, NPZ)
"""Every exchange format; a new one is added here."""

_BY_SUFFIX = {suffix: fmt for fmt in FORMATS for suffix in fmt.suffixes}
_EXPORT_ROWS = 500_000


def format_of(path: str | PathLike[str]) -> Format:
    """The format that a file's suffix names.

    Raises:
        InputError: The suffix belongs to no known format.

    Example:
        >>> format_of("scan.LAZ").name
        'las'
    """
    suffix = Path(path).suffix.lower()
    if suffix not in _BY_SUFFIX:
        raise InputError(
            "the file's suffix belongs to no known format",
            got=repr(suffix) if suffix else f"no suffix in {str(path)!r}",
            expected=f"one of {' '.join(sorted(_BY_SUFFIX))}",
        )
    return _BY_SUFFIX[suffix]


def has_format(path: str | PathLike[str]) -> bool:
    """Whether a file's suffix belongs to a known format.

    Example:
        >>> has_format("scan.las"), has_format("scan.zarrvectors")
        (True, False)
    """
    return Path(path).suffix.lower() in _BY_SUFFIX


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
    storage_options: Mapping[str, Any] | None = None,
    progress: Callable[[int, int | None], None] | None = None,
) -> WriteReport:
    """Read a file, batch by batch, into a store.

    Args:
        path: The file; its suffix tells its format.
        target: A path, a URL, or an open zarr store.
        options: How to read the file.
        bbox: Only rows in this closed box, as in ``ZVLevel.read``.
        object_ids: Only rows of these objects.
        mode, layout, out_of_bounds, extend, fill, dtype, storage_options, progress: As in ``zarr_vectors.write``.

    Raises:
        InputError: The suffix is not known, or a value cannot be written.
        IngestError: The file is not what its suffix says, is truncated, or is empty.
    """
    fmt = format_of(path)
    file = Path(path)
    if not file.is_file():
        raise IngestError("there is no such file", got=str(file))
    source = fmt.open(file, options or ReadOptions())

    def told(done: int, total: int | None) -> None:
        if progress is not None:
            progress(done, source.rows if total is None else total)

    return write(
        target,
        _picked(source, bbox, object_ids),
        mode=mode,
        layout=layout,
        out_of_bounds=out_of_bounds,
        axes=source.axes if mode != "append" else None,
        crs=source.crs,
        headers=source.headers,
        extend=extend,
        fill=fill,
        dtype=dtype,
        storage_options=storage_options,
        progress=told,
    )


def export(
    source: ZVStore | ZVLevel,
    path: str | PathLike[str],
    *,
    bbox: Any = None,
    object_ids: Any = None,
    group_ids: Any = None,
    attributes: Sequence[str] | None = None,
    level: int = 0,
    overwrite: bool = False,
    progress: Callable[[int, int | None], None] | None = None,
) -> int:
    """Write a selection of a level to a file, batch by batch; the file appears when it is complete.

    Returns:
        The number of rows written.

    Raises:
        InputError: The suffix is not known.
        ExportError: The file exists, or its format cannot hold the values.
    """
    fmt = format_of(path)
    file = Path(path)
    if file.exists() and not overwrite:
        raise ExportError("the file exists", got=str(file), hint="use overwrite=True to replace it")
    chosen = source[level] if isinstance(source, ZVStore) else source
    batches = chosen.iter(
        bbox, object_ids=object_ids, group_ids=group_ids, attributes=attributes, batch_rows=_EXPORT_ROWS
    )
    temporary = file.with_name(f".{uuid4().hex[:8]}-{file.name}")
    try:
        context = ExportContext(
            axes=chosen.axes, crs=chosen.crs, headers=chosen.headers, bounds=_bounds_of(chosen, bbox)
        )
        rows = fmt.export(temporary, _counted(batches, progress), context)
        temporary.replace(file)
    finally:
        temporary.unlink(missing_ok=True)
    return rows


def _picked(source: Source, bbox: Any, object_ids: Any) -> Iterator[Geometry]:
    """The rows of a file that a selection keeps."""
    wanted = None if object_ids is None else as_ids("object_ids", np.atleast_1d(object_ids))
    for batch in source.batches:
        keep = np.ones(batch.vertex_count, dtype=bool)
        if bbox is not None:
            names = [axis.name for axis in source.axes or batch.axes or as_axes(None, batch.ndim)]
            keep &= ClosedBox.from_user(bbox, names).mask(batch.positions)
        if wanted is not None:
            owners = batch.vertex_objects
            if owners is None:
                raise InputError(
                    "the file has no object ids",
                    hint="name their column: ReadOptions(object_ids=...), or --object-id-column",
                )
            keep &= np.isin(owners, wanted)
        yield batch if keep.all() else batch.within(keep)


def _bounds_of(level: ZVLevel, bbox: Any) -> Bounds:
    """The part of the store's box that a selection can reach: formats choose their precision by it."""
    low, high = level.bounds
    if bbox is None:
        return low, high
    box = ClosedBox.from_user(bbox, [axis.name for axis in level.axes])
    return np.clip(box.lo, low, high).tolist(), np.clip(box.hi, low, high).tolist()


def _counted(batches: Iterator[Geometry], progress: Callable[[int, int | None], None] | None) -> Iterator[Geometry]:
    done = 0
    for batch in batches:
        yield batch
        done += batch.vertex_count
        if progress is not None:
            progress(done, None)
