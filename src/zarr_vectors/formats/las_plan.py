"""How a point cloud becomes LAS: the point format, the grid of the coordinates, and a place for each attribute."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from zarr_vectors.axes import Axis
from zarr_vectors.exceptions import ExportError
from zarr_vectors.formats.base import OBJECT_ID, ExportContext
from zarr_vectors.formats.las_header import ExtendedRecords, fill_header
from zarr_vectors.geometry import Categorical, Column, Points
from zarr_vectors.typing import AnyArray, JsonObject

__all__ = ["AXES", "INT32", "OMIT_ATTRIBUTE", "Plan", "check_columns", "plan_of"]

AXES = ("x", "y", "z")
OMIT_ATTRIBUTE = "pass attributes without it"
INT32 = np.iinfo(np.int32)


@dataclass(frozen=True, kw_only=True)
class _Slot:
    """Where a column of the cloud goes in a point record, and which values it may have there.

    ``dtype`` is None for a bit field, ``limits`` None for a float; scaled extra bytes have ``scales`` and ``offsets``.
    """

    column: str
    dtype: np.dtype[Any] | None
    limits: tuple[int, int] | None
    scales: AnyArray | None = None
    offsets: AnyArray | None = None

    def fill(self, record: Any, column: AnyArray, row: int) -> None:
        """Write one column, whose first value is row ``row`` of the file; raises ``ExportError`` for any change."""
        # float64 holds every float that may come and what it is compared with; uint8 does the same for bool.
        wide = {"f": np.float64, "b": np.uint8}.get(column.dtype.kind, column.dtype)
        values = column.astype(wide, copy=False)
        if self.dtype is None:
            record[self.column][:] = self._exact(values, np.dtype(np.uint8), row)
            return
        target = record.array[self.column]
        values = values.reshape(target.shape)
        if self.scales is not None:
            with np.errstate(all="ignore"):
                steps = np.rint((values - self.offsets) / self.scales)
                error = np.abs(steps * self.scales + self.offsets - values)
            tolerance = np.abs(self.scales) * 1e-6 + np.abs(values) * 1e-15
            self._require(error <= tolerance, values, row, f"multiples of {self.scales.tolist()}")
            values = steps
        target[...] = self._exact(values, self.dtype, row)

    def _exact(self, values: AnyArray, dtype: np.dtype[Any], row: int) -> AnyArray:
        if self.limits is None:
            with np.errstate(over="ignore"):
                cast = values.astype(dtype)
            whole = 2 ** (np.finfo(dtype).nmant + 1)
            is_float = values.dtype.kind == "f"
            same = (cast == values) | np.isnan(values) if is_float else (values >= -whole) & (values <= whole)
            self._require(same, values, row, str(dtype))
            return cast
        low, high = self.limits
        if values.dtype.kind == "f":
            # One above the limit is a power of two, which a float holds exactly; the limit itself may round up to it.
            fits = (values >= low) & (values < float(high + 1)) & (np.rint(values) == values)
        else:
            fits = (values >= low) & (values <= high)
        self._require(fits, values, row, f"whole numbers from {low} to {high}")
        return values.astype(dtype)

    def _require(self, fits: AnyArray, values: AnyArray, row: int, expected: str) -> None:
        if not fits.all():
            at = int(np.argwhere(~fits)[0][0])
            hint = f"{OMIT_ATTRIBUTE}, or rename it to have it written as extra bytes"
            got = f"{values[at]} in row {row + at}"
            raise ExportError(f"LAS cannot hold attribute {self.column!r}", expected=expected, got=got, hint=hint)


@dataclass(frozen=True, kw_only=True)
class Plan:
    """A laspy header, and how to fill records for it; ``axes`` gives the column of x, y and z."""

    header: Any
    evlrs: ExtendedRecords
    slots: tuple[_Slot, ...]
    axes: tuple[int | None, ...]
    attributes: frozenset[str]
    has_ids: bool

    def record(self, laspy: Any, batch: Points, row: int) -> Any:
        """The points of one batch as a laspy record."""
        if frozenset(batch.attributes) != self.attributes or (batch.object_ids is not None) != self.has_ids:
            raise ExportError("all batches must have the same attributes", got=sorted(batch.attributes))
        record = laspy.ScaleAwarePointRecord.zeros(batch.vertex_count, header=self.header)
        for axis, index in enumerate(self.axes):
            scale, offset = float(self.header.scales[axis]), float(self.header.offsets[axis])
            values = np.zeros(batch.vertex_count) if index is None else batch.positions[:, index]
            record.array[AXES[axis].upper()] = _steps(values, scale, offset, AXES[axis], row)
        for slot in self.slots:
            is_owner = self.has_ids and slot.column == OBJECT_ID
            slot.fill(record, np.asarray(batch.object_ids if is_owner else batch.attributes[slot.column]), row)
        return record


def check_columns(first: Points) -> None:
    """Refuse a cloud that has something LAS has no place for; raises ``ExportError`` naming it."""
    for name, column in first.attributes.items():
        text = isinstance(column, Categorical)
        if text or column.dtype.kind not in "biuf" or column.dtype.itemsize > 8 or len(column.shape) > 2:
            got = "text" if text else f"{column.dtype} of shape {column.shape}"
            hint = OMIT_ATTRIBUTE + (", or with its codes as integers" if text else "")
            raise ExportError(f"LAS cannot hold attribute {name!r}", expected="numbers", got=got, hint=hint)
    if first.ndim > len(AXES):
        raise ExportError("LAS holds x, y and z only", got=f"{first.ndim} axes")
    if first.object_ids is not None and OBJECT_ID in first.attributes:
        raise ExportError(f"attribute {OBJECT_ID!r} collides with the object ids", hint=OMIT_ATTRIBUTE)


def plan_of(laspy: Any, first: Points, context: ExportContext) -> Plan:
    """Decide how clouds like this one are written, from ``headers["las"]`` as far as it is there.

    Raises:
        ExportError: LAS cannot hold an attribute of this name or shape.
    """
    kept: JsonObject = dict(context.headers.get("las") or {})
    columns: dict[str, Column] = dict(first.attributes)
    if first.object_ids is not None:
        columns[OBJECT_ID] = first.object_ids
    number = _point_format(laspy, kept.get("point_format"), set(columns))
    point_format = laspy.PointFormat(number)
    standard = set(point_format.dimension_names) - {"X", "Y", "Z"}
    taken = {*AXES, *point_format.dtype().names} - standard
    described = {entry["name"]: entry for entry in kept.get("extra_bytes", ()) if entry["name"] != OBJECT_ID}
    for name, column in columns.items():
        if name not in standard:
            point_format.add_extra_dimension(_extra_bytes(laspy, name, column, described, taken))
        elif len(column.shape) > 1:
            got = f"shape {column.shape}"
            raise ExportError(f"LAS cannot hold attribute {name!r}", expected="one channel", got=got)
    versions, wanted = laspy.point.dims.VERSION_TO_POINT_FMT, str(kept.get("version", "1.4"))
    version = next((v for v in sorted(versions) if v >= wanted and number in versions[v]), "1.4")
    header = laspy.LasHeader(version=version, point_format=point_format)
    evlrs = fill_header(laspy, header, kept, context.crs)
    axes = _axis_columns(context.axes)
    box = context.bounds or first.bounds or ([0.0] * first.ndim, [0.0] * first.ndim)
    for axis, index in enumerate(axes):
        side = (0.0, 0.0) if index is None else (float(box[0][index]), float(box[1][index]))
        given = float(kept.get("scales", (0, 0, 0))[axis]), float(kept.get("offsets", (0, 0, 0))[axis])
        integral = index is not None and first.positions.dtype.kind in "iu"
        header.scales[axis], header.offsets[axis] = _grid(*side, integral, *given)
    return Plan(
        header=header,
        evlrs=evlrs,
        slots=tuple(_slot(point_format.dimension_by_name(name)) for name in columns),
        axes=axes,
        attributes=frozenset(first.attributes),
        has_ids=first.object_ids is not None,
    )


def _point_format(laspy: Any, kept: int | None, names: set[str]) -> int:
    """The point format that holds most of these dimensions, the smallest of those.

    A kept one only grows, except that it loses waveforms when no attribute needs them.
    """
    formats = {number: set(laspy.PointFormat(number).dimension_names) for number in range(11)}
    if kept is not None:
        needed = formats[kept] - (set(laspy.point.dims.WAVEFORM_FIELDS_NAMES) - names)
        formats = {number: dims for number, dims in formats.items() if dims >= needed}
    elif "scan_angle_rank" not in names and names & {"classification", "return_number", "number_of_returns"}:
        # Formats 0 to 5 have fewer bits for these.
        formats = {number: dims for number, dims in formats.items() if number >= 6}
    return max(formats, key=lambda number: (len(formats[number] & names), -laspy.PointFormat(number).size))


def _extra_bytes(laspy: Any, name: str, column: Column, kept: Mapping[str, JsonObject], taken: set[str]) -> Any:
    """How a column is described that no standard dimension holds."""
    values = np.asarray(column)
    channels = values.shape[1] if values.ndim == 2 else 1
    if not name or len(name.encode()) > 32 or "\0" in name or name in taken:
        expected, hint = "1 to 32 bytes, and no name of LAS itself", f"rename it, or {OMIT_ATTRIBUTE}"
        raise ExportError(f"LAS cannot have an attribute named {name!r}", expected=expected, hint=hint)
    wider: dict[str, np.dtype[Any]] = {"bool": np.dtype("u1"), "float16": np.dtype("f4")}
    dtype = wider.get(values.dtype.name, values.dtype)
    described = kept.get(name)
    if described is not None and described["channels"] == channels:
        kept_dtype = np.dtype(described["dtype"])
        is_scaled = described["scales"] is not None
        # Scaled floats are written as the floats that they mean: their unscaled values cannot be had back exactly.
        if kept_dtype.kind in "iu" if is_scaled else np.can_cast(dtype, kept_dtype, "safe"):
            facts = {key: described[key] for key in ("description", "scales", "offsets", "no_data")}
            return laspy.ExtraBytesParams(name, _field_type(kept_dtype, channels), **facts)
    if channels > 3 and (dtype != np.uint8 or channels > 255):
        got, hint = f"{channels} channels of {dtype}", f"split it, or {OMIT_ATTRIBUTE}"
        raise ExportError(f"LAS cannot hold attribute {name!r}", expected="at most 3 channels", got=got, hint=hint)
    return laspy.ExtraBytesParams(name, _field_type(dtype, channels))


def _field_type(dtype: np.dtype[Any], channels: int) -> str:
    return (str(channels) if channels > 1 else "") + f"{dtype.kind}{dtype.itemsize}"


def _slot(dimension: Any) -> _Slot:
    dtype = None if dimension.dtype is None else dimension.dtype.base
    limits: tuple[int, int] | None = None
    if dtype is None:
        limits = 0, int(dimension.max)
    elif dtype.kind in "iu":
        limits = int(np.iinfo(dtype).min), int(np.iinfo(dtype).max)
    scales, offsets = dimension.scales, dimension.offsets
    return _Slot(column=dimension.name, dtype=dtype, limits=limits, scales=scales, offsets=offsets)


def _axis_columns(axes: Sequence[Axis]) -> tuple[int | None, ...]:
    """For x, y and z the column of the positions: by name when all axes are named so, else in order."""
    names = [axis.name.lower() for axis in axes]
    if not set(names) <= set(AXES) or len(set(names)) != len(names):
        names = list(AXES[: len(names)])
    return tuple(names.index(name) if name in names else None for name in AXES)


def _grid(low: float, high: float, integral: bool, scale: float, offset: float) -> tuple[float, float]:
    """Scale and offset of one axis: those given when they hold ``low`` to ``high``, else the finest that do."""
    middle = low / 2 + high / 2
    if integral:
        return 1.0, 0.0 if INT32.min <= low and high <= INT32.max else float(round(middle))
    if scale > 0 and math.isfinite(scale) and math.isfinite(offset):
        for candidate in (offset, offset + float(np.rint((middle - offset) / scale)) * scale):
            if max(high - candidate, candidate - low) / scale < INT32.max:
                return scale, candidate
    offset = float(round(middle))
    half = max(high - offset, offset - low)
    exponent = math.ceil(math.log10(half / INT32.max)) if half > 1e-290 else -9
    while half >= float(f"1e{exponent}") * INT32.max:
        exponent += 1
    return float(f"1e{exponent}"), offset


def _steps(values: AnyArray, scale: float, offset: float, axis: str, row: int) -> AnyArray:
    """Coordinates as the integers that LAS stores, off by half a ``scale`` at most and exact for integers."""
    if values.dtype.kind in "iu":
        fits = (values >= -(2**53)) & (values <= 2**53)
        # An offset beyond what fits, for which a sum of int64 might overflow, comes with values that do not fit either.
        steps: AnyArray = np.where(fits, values, 0).astype(np.int64) - int(min(max(offset, -(2.0**62)), 2.0**62))
        fits &= (steps >= INT32.min) & (steps <= INT32.max)
    else:
        with np.errstate(over="ignore", invalid="ignore"):
            steps = np.rint((values.astype(np.float64) - offset) / scale)
        fits = (steps >= INT32.min) & (steps <= INT32.max)
    if not fits.all():
        at = int(np.argmin(fits))
        raise ExportError(
            f"LAS cannot hold this {axis} coordinate",
            expected=f"{offset} plus a 32-bit multiple of {scale}",
            got=f"{values[at]} in row {row + at}",
            hint="export a smaller box",
        )
    return steps.astype(np.int32)
