"""What the formats of streamlines share: RAS+ millimetres, checks of batches, numbers as JSON, a new file."""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any, BinaryIO

import numpy as np

from zarr_vectors.axes import Axis
from zarr_vectors.constants import GEOM_LINE, GEOM_POLYLINE, GEOM_STREAMLINE
from zarr_vectors.exceptions import ExportError, IngestError
from zarr_vectors.formats.base import ExportContext, ReadOptions
from zarr_vectors.geometry import Column, Polylines
from zarr_vectors.typing import AnyArray, FloatArray, IntArray, JsonObject

__all__ = [
    "AXES",
    "KINDS",
    "Reference",
    "check_alike",
    "check_options",
    "empty_file",
    "first_of",
    "from_json",
    "header_of",
    "new_file",
    "object_rows",
    "reference_of",
    "to_json",
    "wanted_of",
    "world_positions",
]

AXES = tuple(Axis(name, unit="millimeter") for name in "xyz")
KINDS = (GEOM_STREAMLINE, GEOM_POLYLINE, GEOM_LINE)
MILLIMETRES = {
    "angstrom": 1e-7,
    "nanometer": 1e-6,
    "micrometer": 1e-3,
    "millimeter": 1.0,
    "centimeter": 10.0,
    "meter": 1e3,
}
"""The units of length that are converted; axes without a unit are taken to be in millimetres."""
LARGEST_DIMENSION = (1 << 15) - 1


def check_options(path: Path, options: ReadOptions) -> None:
    """Refuse choices that a file of streamlines does not leave.

    Raises:
        IngestError: Positions other than x, y, z, or a column for object ids.

    Example:
        >>> check_options(Path("a.trk"), ReadOptions(positions=("x", "y", "z")))
    """
    names = tuple(axis.name for axis in AXES)
    if options.positions is not None and tuple(options.positions) != names:
        got = list(options.positions)
        raise IngestError(f"{path} cannot give these positions", expected=f"{list(names)}", got=got)
    if options.object_ids is not None:
        raise IngestError(
            f"{path} has no column {options.object_ids!r} for object ids",
            hint="leave it out: every streamline is an object, numbered from 0",
        )


def wanted_of(path: Path, options: ReadOptions, names: Sequence[str]) -> set[str]:
    """Which of the attributes of vertices and streamlines to read.

    Raises:
        IngestError: A wanted one is not there.

    Example:
        >>> wanted_of(Path("a.trk"), ReadOptions(attributes=("fa",)), ["fa", "length"])
        {'fa'}
    """
    if options.attributes is None:
        return set(names)
    if missing := [name for name in options.attributes if name not in names]:
        raise IngestError(f"{path} lacks wanted attributes", expected=f"some of {list(names)}", got=missing)
    return set(options.attributes)


def empty_file(path: Path, what: str) -> IngestError:
    """The error for a file without a byte.

    Example:
        >>> print(empty_file(Path("a.tck"), "a TCK header"))
        a.tck is empty (expected a TCK header)
    """
    return IngestError(f"{path} is empty", expected=what)


def world_positions(batch: Polylines, axes: Sequence[Axis]) -> AnyArray:
    """Positions as formats of streamlines hold them.

    Axes named x, y and z are found by name, others are taken as x, y and z in order. Missing axes are 0, units of
    length become millimetres, integers become floats. Everything else stays as it is.

    Args:
        batch: The lines.
        axes: One for each column of the positions.

    Returns:
        ``(N, 3)`` floats, x, y and z in millimetres; the positions themselves where nothing is to be done.

    Raises:
        ExportError: More than three axes, one that is no space, or a unit that is no known length.

    Example:
        >>> lines = Polylines([[[1.0, 2.0]]])
        >>> world_positions(lines, [Axis("y", unit="micrometer"), Axis("x")]).tolist()
        [[2.0, 0.001, 0.0]]
    """
    positions = batch.positions
    factors = [_millimetres(axis) for axis in axes]
    if len(factors) > 3:
        got = [axis.name for axis in axes]
        raise ExportError("streamlines have three axes at most", expected="some of x, y and z", got=got)
    names = [axis.name.lower() for axis in axes]
    columns = ["xyz".index(name) for name in names] if set(names) <= set("xyz") else list(range(len(names)))
    dtype = positions.dtype
    if dtype.kind != "f":
        dtype = np.dtype(np.float32 if dtype.itemsize <= 2 else np.float64)
    if columns == [0, 1, 2] and set(factors) == {1.0}:
        return positions.astype(dtype, copy=False)
    world = np.zeros((len(positions), 3), dtype)
    for at, (column, factor) in enumerate(zip(columns, factors, strict=True)):
        world[:, column] = positions[:, at] if factor == 1.0 else positions[:, at].astype(np.float64) * factor
    return world


def _millimetres(axis: Axis) -> float:
    """The length of one unit of an axis."""
    factor = MILLIMETRES.get(axis.unit or "millimeter") if axis.type == "space" else None
    if factor is None:
        got = f"axis {axis.name!r} of type {axis.type!r} in {axis.unit or 'no unit'}"
        raise ExportError("streamlines are in millimetres", expected=f"space in one of {list(MILLIMETRES)}", got=got)
    return factor


def object_rows(batch: Polylines) -> Any:
    """The row of the object attributes that belongs to each line, as an index.

    Raises:
        ExportError: A line has no row.

    Example:
        >>> lines = Polylines([[[0.0]], [[1.0]]], ids=[7, 3], objects=[3, 7], object_attributes={"w": [1.0, 2.0]})
        >>> object_rows(lines).tolist()
        [1, 0]
    """
    objects = batch.objects
    if objects is None or np.array_equal(objects, batch.line_ids):
        return slice(None)
    order = np.argsort(objects, kind="stable")
    at = np.searchsorted(objects, batch.line_ids, sorter=order).clip(max=max(len(objects) - 1, 0))
    rows: IntArray = order[at] if len(objects) else np.zeros(len(batch.line_ids), np.int64)
    lost = batch.line_ids[objects[rows] != batch.line_ids] if len(objects) else batch.line_ids
    if len(lost):
        raise ExportError("object attributes lack a row", got=f"none for object {lost[0]}")
    return rows


def first_of(batches: Iterator[Any]) -> Polylines:
    """The first batch, which tells the columns of all.

    Raises:
        ExportError: It has no lines.

    Example:
        >>> first_of(iter([Polylines([[[0.0, 1]]])])).line_count
        1
    """
    first = next(batches)
    if not isinstance(first, Polylines):
        raise ExportError("files of streamlines hold lines", expected=f"one of {list(KINDS)}", got=first.geometry_type)
    return first


def check_alike(batch: Polylines, first: Polylines) -> None:
    """Refuse a batch with other columns than the first one.

    Raises:
        ExportError: Naming what differs.

    Example:
        >>> check_alike(Polylines([[[0.0, 1]]]), Polylines([[[2.0, 3]]]))
    """
    given, wanted = _layout(batch), _layout(first)
    if differing := [name for name in given.keys() | wanted.keys() if given.get(name) != wanted.get(name)]:
        raise ExportError("all batches must have the same columns", got=f"others for {sorted(differing)}")


def _layout(batch: Polylines) -> dict[str, tuple[Any, ...]]:
    def described(what: str, columns: Mapping[str, Column]) -> dict[str, tuple[Any, ...]]:
        return {f"{what} {name}": (column.dtype, column.shape[1:]) for name, column in columns.items()}

    return {
        "positions": (batch.positions.dtype, batch.ndim),
        **described("attribute", batch.attributes),
        **described("object attribute", batch.object_attributes),
    }


@dataclass(frozen=True)
class Reference:
    """The image that streamlines were tracked in.

    Args:
        affine: ``(4, 4)`` from voxels, whose centres are whole numbers, to RAS+ millimetres.
        dimensions: Voxels along each axis.
    """

    affine: FloatArray
    dimensions: tuple[int, int, int]


def reference_of(context: ExportContext) -> Reference:
    """The image that another format's header tells of; else one of 1 mm voxels from the origin to the largest corner.

    Raises:
        ExportError: A header is not what an ingest keeps.

    Example:
        >>> reference_of(ExportContext(axes=AXES, bounds=([-3, 0, 0], [9.5, 4, 0]))).dimensions
        (11, 5, 1)
    """
    trk, trx = context.headers.get("trk") or {}, context.headers.get("trx") or {}
    kept = trx.get("header") or {}
    affine, dimensions = kept.get("VOXEL_TO_RASMM"), kept.get("DIMENSIONS")
    if affine is None:
        affine, dimensions = trk.get("vox_to_ras"), trk.get("dim")
    if affine is not None:
        matrix = from_json(affine, np.dtype(np.float64), (4, 4), "a kept header")
        sizes = from_json(dimensions, np.dtype(np.int64), (3,), "a kept header").tolist()
        if np.isfinite(matrix).all() and np.linalg.det(matrix[:3, :3]) and matrix[3].tolist() == [0, 0, 0, 1]:
            return Reference(matrix, (sizes[0], sizes[1], sizes[2]))
    high = list(context.bounds[1]) if context.bounds is not None else []
    axes = {axis.name.lower(): at for at, axis in enumerate(context.axes)}
    columns = [axes.get(name, at) for at, name in enumerate("xyz")]
    tops = [high[at] * _millimetres(context.axes[at]) if at < len(high) else 0.0 for at in columns]
    x, y, z = (int(min(max(1, math.ceil(top) + 1), LARGEST_DIMENSION)) for top in tops)
    return Reference(np.eye(4), (x, y, z))


def to_json(array: AnyArray) -> Any:
    """Numbers as nested lists, with the words nan, inf and -inf for what JSON has no number for.

    Example:
        >>> to_json(np.array([[1.5, np.inf], [np.nan, 2.0]], np.float32))
        [[1.5, 'inf'], ['nan', 2.0]]
    """
    if array.dtype.kind == "f" and not np.isfinite(array).all():
        if array.ndim == 1:
            return [value if math.isfinite(value) else str(value) for value in array.tolist()]
        return [to_json(row) for row in array]
    return array.tolist()


def from_json(value: Any, dtype: np.dtype[Any], shape: tuple[int, ...], where: str) -> AnyArray:
    """The array that ``to_json`` was given.

    Raises:
        ExportError: Not numbers of this dtype and shape; ``where`` names the header that they come from.

    Example:
        >>> from_json([1.5, "inf"], np.dtype("float32"), (2,), "headers/trk").tolist()
        [1.5, inf]
    """
    try:
        items = np.array(value, dtype=object)
        if items.shape != shape:
            raise ValueError
        if dtype.kind == "f":
            with np.errstate(over="ignore"):
                return np.array([float(item) for item in items.flat]).astype(dtype).reshape(shape)
        array = np.array([int(item) for item in items.flat]).astype(dtype).reshape(shape)
        if array.astype(object).tolist() != items.astype(object).tolist():
            raise ValueError
    except (ValueError, TypeError, OverflowError) as error:
        expected = f"{dtype} numbers of shape {shape}"
        raise ExportError(f"{where} is not what an ingest keeps", expected=expected, got=repr(value)[:80]) from error
    return array


@contextmanager
def new_file(path: Path) -> Iterator[BinaryIO]:
    """A file to write, which is removed again when the block fails.

    Example:
        >>> import tempfile
        >>> with tempfile.TemporaryDirectory() as folder, new_file(Path(folder, "a.tck")) as file:
        ...     file.write(b"mrtrix tracks")
        13
    """
    complete = False
    file = path.open("xb+")
    try:
        with file:
            yield file
        complete = True
    finally:
        if not complete:
            path.unlink(missing_ok=True)


def header_of(context: ExportContext, name: str) -> JsonObject | None:
    """What an ingest of the format kept, or None.

    Raises:
        ExportError: It is no JSON object.

    Example:
        >>> header_of(ExportContext(axes=AXES, headers={"trk": {"version": 2}}), "trk")
        {'version': 2}
    """
    kept = context.headers.get(name)
    if kept is not None and not isinstance(kept, dict):
        raise ExportError(f"headers/{name} is not what an ingest keeps", expected="an object", got=repr(kept)[:80])
    return kept
