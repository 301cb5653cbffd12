"""LAS and LAZ (ASPRS LAS 1.0 to 1.5), decoded and encoded by laspy and lazrs."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from itertools import chain
from pathlib import Path
from typing import Any

import numpy as np

from zarr_vectors.axes import Axis
from zarr_vectors.exceptions import ExportError, IngestError
from zarr_vectors.formats.base import ExportContext, Format, ReadOptions, Source
from zarr_vectors.formats.las_header import (
    check_points,
    crs_of,
    document_of,
    laspy_errors,
    load_laspy,
    load_lazrs,
    read_header,
    truncated,
    units_of,
)
from zarr_vectors.formats.las_plan import AXES, INT32, check_columns, plan_of
from zarr_vectors.geometry import Points
from zarr_vectors.typing import AnyArray, Bounds, JsonObject

__all__ = ["LAS"]


@dataclass(frozen=True, kw_only=True)
class _Selection:
    """Which dimensions of a record become what."""

    positions: tuple[str, ...]
    attributes: tuple[str, ...]
    object_ids: str | None
    axes: tuple[Axis, ...]

    def points(self, record: Any) -> Points:
        positions = np.empty((len(record), len(self.positions)), dtype=np.float64)
        for column, name in enumerate(self.positions):
            positions[:, column] = _values(record, name)
        return Points(
            positions,
            attributes={name: _values(record, name) for name in self.attributes},
            object_ids=None if self.object_ids is None else _values(record, self.object_ids),
            axes=self.axes,
        )


def _values(record: Any, name: str) -> AnyArray:
    """One dimension as a contiguous array, scaled as laspy scales it; ``(n,)`` or ``(n, channels)``."""
    if name in AXES:
        axis = AXES.index(name)
        values, scale, offset = record.array[name.upper()], record.scales[axis], record.offsets[axis]
    else:
        dimension = record.point_format.dimension_by_name(name)
        if dimension.dtype is None:
            bits = np.array(record[name])
            return bits.astype(np.bool_) if dimension.num_bits == 1 else bits
        values, scale, offset = record.array[name], dimension.scales, dimension.offsets
        if scale is None:
            return np.ascontiguousarray(values)
    with np.errstate(over="ignore", invalid="ignore"):
        return np.asarray(values * scale + offset)


def _open(path: Path, options: ReadOptions) -> Source:
    """Check a LAS or LAZ file and describe it.

    Positions are float64; flags of one bit are bool, wider bit fields uint8, everything else is as in the file.
    ``options.positions`` may name some of x, y and z; the others become attributes.

    Raises:
        IngestError: Not LAS, truncated, contradicting itself, or without a wanted dimension.
        MissingDependencyError: laspy, or for LAZ lazrs, is not installed.
    """
    laspy = load_laspy()
    header, vlrs, evlrs = read_header(path, laspy)
    parallel = check_points(path, laspy, header)
    grids = [(dim.scales, dim.offsets) for dim in header.point_format.extra_dimensions if dim.is_scaled]
    if not all(np.isfinite(grid).all() for grid in [(header.scales, header.offsets), *grids]) or 0 in header.scales:
        got = f"scales {header.scales.tolist()}, offsets {header.offsets.tolist()}"
        raise IngestError(f"{path} has scales or offsets that cannot be used", expected="finite numbers", got=got)
    crs = crs_of(vlrs + evlrs)
    selection = _selection(path, header, options, crs)
    return Source(
        batches=_batches(path, selection, header.point_count, options.batch_rows, parallel=parallel),
        rows=header.point_count,
        bounds=_bounds(header, selection.positions),
        axes=selection.axes,
        crs=crs,
        headers={"las": document_of(header, vlrs, evlrs)},
    )


def _selection(path: Path, header: Any, options: ReadOptions, crs: JsonObject | None) -> _Selection:
    dims = {d.name: d for d in header.point_format.dimensions if d.name not in {"X", "Y", "Z"} and d.num_elements}
    unusable = sorted(set(dims) & {*AXES, ""})
    if unusable and options.attributes is None:
        hint = "name the attributes to read, without these"
        raise IngestError(f"{path} has extra dimensions that cannot be told apart", got=unusable, hint=hint)
    dims = {name: dim for name, dim in dims.items() if name not in unusable}
    positions = options.positions or AXES
    if not set(positions) <= set(AXES) or len(set(positions)) != len(positions):
        raise IngestError(f"{path} cannot give these positions", expected="some of x, y and z", got=list(positions))
    owners = [name for name, dim in dims.items() if _is_whole_number(dim)]
    owner = options.owner_among(owners)
    if owner is not None and owner not in owners:
        raise IngestError(f"{path} has no integer dimension {owner!r} for object ids", expected=f"one of {owners}")
    available = [name for name in (*AXES, *dims) if name not in positions and name != owner]
    wanted = available if options.attributes is None else options.attributes
    if missing := [name for name in wanted if name not in available]:
        raise IngestError(f"{path} lacks wanted attributes", expected=f"some of {available}", got=missing)
    horizontal, vertical = units_of(crs)
    units = {"x": horizontal, "y": horizontal, "z": vertical}
    axes = tuple(Axis(name, unit=units[name]) for name in positions)
    return _Selection(positions=tuple(positions), attributes=tuple(wanted), object_ids=owner, axes=axes)


def _is_whole_number(dimension: Any) -> bool:
    if dimension.dtype is None:
        return bool(dimension.num_bits > 1)
    return dimension.num_elements == 1 and not dimension.is_scaled and dimension.dtype.kind in "iu"


def _bounds(header: Any, positions: Sequence[str]) -> Bounds | None:
    """The box that the header states, moved onto the grid of the points; None when it cannot be theirs."""
    columns = [AXES.index(name) for name in positions]
    scales, offsets = header.scales[columns], header.offsets[columns]
    sides = []
    for side in (header.mins, header.maxs):
        with np.errstate(over="ignore", invalid="ignore"):
            steps = np.rint((np.asarray(side)[columns] - offsets) / scales)
        if not ((steps >= INT32.min) & (steps <= INT32.max)).all():
            return None
        sides.append(steps * scales + offsets)
    if not header.point_count or (sides[0] > sides[1]).any():
        return None
    return sides[0].tolist(), sides[1].tolist()


def _batches(path: Path, selection: _Selection, rows: int, batch_rows: int, *, parallel: bool) -> Iterator[Points]:
    laspy = load_laspy()
    backend = laspy.LazBackend.LazrsParallel if parallel else laspy.LazBackend.Lazrs
    with laspy.open(path, read_evlrs=False, laz_backend=backend) as reader:
        done = 0
        while True:
            with laspy_errors(laspy, IngestError, f"{path} cannot be decoded after point {done}"):
                record = reader.read_points(batch_rows)
            if len(record) < min(batch_rows, rows - done):
                raise truncated(path, f"{rows} points", f"{done + len(record)} points")
            yield selection.points(record)
            done += len(record)
            if done >= rows:
                return


def _export(path: Path, batches: Iterator[Points], context: ExportContext) -> int:
    """Write a LAS file, or a LAZ file when that is the suffix; returns the number of points.

    Version, point format, scales, offsets, extra bytes and records come from ``headers["las"]`` where it is there.
    Otherwise the smallest point format that holds the standard dimensions is taken, and the finest scale that holds
    the bounds. Other attributes and the object ids become extra bytes: bool as uint8, float16 as float32. Missing axes
    are 0. Float coordinates are off by half a scale at most. A CRS that is neither WKT nor GeoTIFF keys is left out.

    Raises:
        ExportError: An attribute or a value that LAS cannot hold unchanged; no file is left.
        MissingDependencyError: laspy, or for LAZ lazrs, is not installed.
    """
    laspy = load_laspy()
    compress = path.suffix.lower() == ".laz"
    if compress:
        load_lazrs()
    first = next(batches)
    check_columns(first)
    with laspy_errors(laspy, ExportError, "headers/las is not what an ingest keeps, or LAS cannot hold this cloud"):
        plan = plan_of(laspy, first, context)
    if compress and plan.header.point_format.has_waveform_packet:
        # lazrs writes some of these fields wrong, and in a version that other readers refuse.
        waveforms = list(laspy.point.dims.WAVEFORM_FIELDS_NAMES)
        hint = "export to .las, or pass attributes without these"
        raise ExportError("LAZ cannot hold attributes that refer to waveforms", got=waveforms, hint=hint)
    rows, complete = 0, False
    file = path.open("xb+")
    try:
        with file:
            with laspy_errors(laspy, ExportError, f"the header of {path} cannot be written"):
                how = {"do_compress": compress, "closefd": False, "encoding_errors": "ignore"}
                writer = laspy.open(file, mode="w", header=plan.header, **how)
            for batch in chain([first], batches):
                record = plan.record(laspy, batch, rows)
                with laspy_errors(laspy, ExportError, f"{path} cannot be written after point {rows}"):
                    writer.write_points(record)
                rows += batch.vertex_count
            with laspy_errors(laspy, ExportError, f"the end of {path} cannot be written"):
                if plan.evlrs:
                    writer.write_evlrs(plan.evlrs)
                writer.close()
        complete = True
    finally:
        if not complete:
            path.unlink(missing_ok=True)
    return rows


LAS = Format(
    name="las",
    suffixes=(".las", ".laz"),
    description="LAS and LAZ point clouds (LiDAR)",
    open=_open,
    export=_export,
)
