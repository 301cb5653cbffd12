"""TRK, the streamlines of TrackVis: version 2 of the format (1 and 3 are read too), both byte orders."""

from __future__ import annotations

import struct
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from itertools import chain
from pathlib import Path
from typing import Any

import numpy as np

from zarr_vectors.exceptions import ExportError, IngestError
from zarr_vectors.formats.base import WITHOUT_GROUPS, ExportContext, Format, ReadOptions, Source
from zarr_vectors.formats.streamlines import (
    AXES,
    KINDS,
    check_alike,
    check_options,
    first_of,
    header_of,
    new_file,
    object_rows,
    reference_of,
    wanted_of,
    world_positions,
)
from zarr_vectors.formats.trk_header import (
    HEADER_SIZE,
    Channels,
    affine_of,
    channels_of,
    document_of,
    header_from,
    new_header,
    read_header,
    set_channels,
)
from zarr_vectors.geometry import Categorical, Column, Polylines
from zarr_vectors.typing import AnyArray, BoolArray, FloatArray, IntArray

__all__ = ["TRK"]

NEAR_CORNER = 1e-6


def _transformed(affine: FloatArray, points: AnyArray, *, inverse: bool = False) -> FloatArray:
    """``(N, 3)`` float64 points under an affine, or under its inverse.

    Column by column, as then no machine fuses or reorders the operations; and the inverse takes off the translation
    first, so that what was at 0 is at 0 again.
    """
    matrix = np.linalg.inv(affine[:3, :3]) if inverse else affine[:3, :3]
    columns = [points[:, at].astype(np.float64) - (affine[at, 3] if inverse else 0.0) for at in range(3)]
    out = np.empty((len(points), 3))
    for row in range(3):
        terms = [columns[at] * matrix[row, at] for at in range(3) if matrix[row, at]]
        # Adding 0 makes 0 of -0.
        out[:, row] = sum(terms[1:], terms[0]) + (0.0 if inverse else affine[row, 3])
    return out


def _restored(affine: FloatArray, world: AnyArray) -> AnyArray:
    """The float32 coordinates that a file had, from what ``_transformed`` made of them."""
    exact = _transformed(affine, world, inverse=True)
    with np.errstate(over="ignore"):
        points: AnyArray = exact.astype(np.float32)
    # Rounding leaves crumbs of a rotated 0; they are swept away where 0 leads to the very same place.
    rows = np.flatnonzero(((np.abs(exact) < NEAR_CORNER) & (exact != 0)).any(axis=1))
    swept = np.where(np.abs(exact[rows]) < NEAR_CORNER, np.float32(0), points[rows])
    same = (_transformed(affine, swept) == world[rows]).all(axis=1)
    points[rows[same]] = swept[same]
    return points


@dataclass(frozen=True, kw_only=True)
class _Layout:
    """How the values of a record are ordered: a count, for each point x, y, z and scalars, and properties."""

    order: str
    scalars: Channels
    properties: Channels
    affine: FloatArray

    @property
    def row(self) -> int:
        """Values of a point."""
        return 3 + sum(width for _, width in self.scalars)

    @property
    def tail(self) -> int:
        """Values of a streamline."""
        return sum(width for _, width in self.properties)

    def places(self, lengths: IntArray) -> tuple[IntArray, AnyArray, BoolArray]:
        """Where in the words of these records the counts and the properties are; true where points are."""
        sizes = 1 + lengths * self.row + self.tail
        ends = np.cumsum(sizes)
        counts = ends - sizes
        properties = (ends - self.tail)[:, None] + np.arange(self.tail)
        points = np.ones(int(sizes.sum()), np.bool_)
        points[counts] = False
        points[properties] = False
        return counts, properties, points


def _split(channels: Channels, table: AnyArray, wanted: set[str]) -> dict[str, AnyArray]:
    """The columns of a table by name; those of one value are 1-D."""
    columns, at = {}, 0
    for name, width in channels:
        if name in wanted:
            part = table[:, at] if width == 1 else table[:, at : at + width]
            columns[name] = np.ascontiguousarray(part)
        at += width
    return columns


@dataclass(frozen=True, kw_only=True)
class _Reader:
    """The records of a file, batch by batch; ``count`` is None where the header does not tell it."""

    path: Path
    layout: _Layout
    count: int | None
    size: int
    wanted: set[str]
    batch_rows: int

    def check(self) -> int | None:
        """The number of points, from the number of streamlines and the size of the file."""
        if self.count is None:
            return None if self.size else 0
        rows, rest = divmod(self.size // 4 - self.count * (1 + self.layout.tail), self.layout.row)
        if rest or rows < 0 or self.size % 4:
            for _ in self._records():
                pass
        return rows

    def batches(self) -> Iterator[Polylines]:
        """All streamlines; one batch without any where there are none."""
        first = 0
        for words, lengths in self._records():
            yield self._batch(words, lengths, first)
            first += len(lengths)
        if not first:
            yield self._batch(np.empty(0, "i4"), np.empty(0, np.int64), 0)

    def _records(self) -> Iterator[tuple[AnyArray, IntArray]]:
        """The words of whole records, and the points of each; raises ``IngestError`` for what does not fit."""
        words = np.empty(0, "i4")
        if self.size >= 4:
            shape = (self.size // 4,)
            words = np.memmap(self.path, f"{self.layout.order}i4", mode="r", offset=HEADER_SIZE, shape=shape)
        start, number = 0, 0
        while start < len(words) and number != self.count:
            lengths, end = self._walk(words, start, number)
            yield words[start:end], np.array(lengths, dtype=np.int64)
            start, number = end, number + len(lengths)
        if self.count is not None and number < self.count:
            raise self._truncated(number, start, "the end of the file")
        if 4 * start < self.size:
            if self.count is None:
                raise self._truncated(number, start, f"{self.size - 4 * start} bytes")
            got = f"{self.size - 4 * start} bytes at byte {HEADER_SIZE + 4 * start}"
            raise IngestError(f"{self.path} goes on after streamline {number - 1}", expected="the end", got=got)

    def _walk(self, words: AnyArray, start: int, number: int) -> tuple[list[int], int]:
        """The points of the next streamlines, as many as make a batch, and where these end."""
        count_at = struct.Struct(f"{self.layout.order}i").unpack_from
        row, fixed = self.layout.row, 1 + self.layout.tail
        size, left = len(words), self.batch_rows
        most = self.batch_rows if self.count is None else min(self.batch_rows, self.count - number)
        lengths: list[int] = []
        memory = words.data
        while start < size and len(lengths) < most:
            (points,) = count_at(memory, 4 * start)
            end = start + fixed + points * row
            if points < 0 or end > size:
                got = f"a count of {points} points with {self.size - 4 * start - 4} bytes after it"
                raise self._truncated(number + len(lengths), start, got)
            left -= points
            if left < 0 and lengths:
                break
            lengths.append(points)
            start = end
        return lengths, start

    def _truncated(self, number: int, start: int, got: str) -> IngestError:
        at = f"streamline {number} at byte {HEADER_SIZE + 4 * start}"
        return IngestError(f"{self.path} is truncated or a count is wrong", expected=at, got=got)

    def _batch(self, words: AnyArray, lengths: IntArray, first: int) -> Polylines:
        layout = self.layout
        values = words.view(f"{layout.order}f4").astype(np.float32)
        _, properties, points = layout.places(lengths)
        rows = values[points].reshape(-1, layout.row)
        return Polylines(
            _transformed(layout.affine, rows),
            np.concatenate([[0], np.cumsum(lengths)]),
            ids=np.arange(first, first + len(lengths)),
            kind="streamline",
            attributes=_split(layout.scalars, rows[:, 3:], self.wanted),
            object_attributes=_split(layout.properties, values[properties], self.wanted),
            axes=AXES,
        )


def _open(path: Path, options: ReadOptions) -> Source:
    """Check a TRK file and describe its streamlines.

    Positions are float64: in RAS+ millimetres the float32 numbers of the file would lose digits, and could not be
    written again as they were. Rounded to float32 they are what nibabel gives. Scalars are attributes and properties
    are object attributes, float32, ``(n, C)`` where a name has C values. Ids count from 0. ``options.attributes``
    picks among both.

    Raises:
        IngestError: Not TRK, truncated, contradicting itself, or without a wanted attribute.
    """
    check_options(path, options)
    header = read_header(path)
    order = header.dtype["n_count"].str[0]
    layout = _Layout(
        order=order,
        scalars=channels_of(header, "n_scalars", "scalar_name"),
        properties=channels_of(header, "n_properties", "property_name"),
        affine=affine_of(header, str(path), IngestError),
    )
    reader = _Reader(
        path=path,
        layout=layout,
        count=int(header["n_count"]) or None,
        size=path.stat().st_size - HEADER_SIZE,
        wanted=wanted_of(path, options, [name for name, _ in layout.scalars + layout.properties]),
        batch_rows=options.batch_rows,
    )
    return Source(batches=reader.batches(), rows=reader.check(), axes=AXES, headers={"trk": document_of(header)})


def _export(path: Path, batches: Iterator[Polylines], context: ExportContext) -> int:
    """Write a TRK file; returns the number of points.

    Everything in the header that the values do not tell comes from ``headers["trk"]`` where it is there, byte order
    and affine too: what was read is written again byte by byte. Exceptions are coordinates within some 1e-6 of the
    distance to the origin from a face of the image, of which the last bits may differ, and -0, which becomes 0.
    Otherwise voxels are those of ``headers["trx"]``, or of 1 mm. A count of 0 in a kept header, for unknown, stays.

    All values become float32: floats are rounded, bool is 0 and 1, integers must be exact. Streamlines come in the
    order of the batches and are numbered by it when they are read again.

    Raises:
        ExportError: Text, times, groups, names that are too many or too long, or a value that float32 cannot hold; no
            file is left.
    """
    first = first_of(batches)
    kept = header_of(context, "trk")
    header = new_header(reference_of(context)) if kept is None else header_from(kept)
    unknown_count = kept is not None and not header["n_count"]
    layout = _Layout(
        order=header.dtype["n_count"].str[0],
        scalars=set_channels(header, "n_scalars", "scalar_name", _widths(first.attributes)),
        properties=set_channels(header, "n_properties", "property_name", _widths(first.object_attributes)),
        affine=affine_of(header, "headers/trk", ExportError),
    )
    rows = lines = 0
    with new_file(path) as file:
        file.write(header.tobytes())
        for batch in chain([first], batches):
            check_alike(batch, first)
            file.write(_encoded(layout, batch, context).tobytes())
            rows += batch.vertex_count
            lines += batch.line_count
        if not unknown_count:
            header["n_count"] = lines
            file.seek(0)
            file.write(header.tobytes())
    return rows


def _widths(columns: Mapping[str, Column]) -> Channels:
    for name, column in columns.items():
        if isinstance(column, Categorical) or len(column.shape) > 2 or column.dtype.kind not in "biuf":
            got = "text" if isinstance(column, Categorical) else f"{column.dtype} of shape {column.shape}"
            raise ExportError(
                f"TRK cannot hold attribute {name!r}",
                expected="numbers",
                got=got,
                hint="pass attributes without it, or with its codes as integers",
            )
    return [(name, 1 if len(column.shape) == 1 else column.shape[1]) for name, column in columns.items()]


def _encoded(layout: _Layout, batch: Polylines, context: ExportContext) -> AnyArray:
    """The words of the records of a batch."""
    if batch.groups:
        got, hint = f"{len(batch.groups)} groups", f"export to .trx, which has groups, or {WITHOUT_GROUPS}"
        raise ExportError("TRK cannot hold groups", got=got, hint=hint)
    lengths = batch.lengths
    counts, properties, points = layout.places(lengths)
    rows = np.empty((batch.vertex_count, layout.row), np.float32)
    world = world_positions(batch, context.axes)
    rows[:, :3] = _restored(layout.affine, world)
    _refuse("the positions", world, np.isfinite(rows[:, :3]) | ~np.isfinite(world).all(axis=1, keepdims=True))
    _fill(rows[:, 3:], layout.scalars, batch.attributes)
    tails = np.empty((batch.line_count, layout.tail), np.float32)
    at = object_rows(batch) if layout.tail else slice(None)
    _fill(tails, layout.properties, {name: np.asarray(column)[at] for name, column in batch.object_attributes.items()})
    words = np.empty(len(points), f"{layout.order}f4")
    words[points] = rows.ravel()
    words[properties] = tails
    words.view(f"{layout.order}i4")[counts] = lengths
    return words


def _fill(table: AnyArray, channels: Channels, columns: Mapping[str, Any]) -> None:
    """Write columns as float32 side by side."""
    at = 0
    for name, width in channels:
        column = np.asarray(columns[name])
        with np.errstate(over="ignore"):
            values = column.astype(np.float32)
        good = _is_exact(column, values) if column.dtype.kind in "iu" else ~np.isinf(values) | np.isinf(column)
        _refuse(f"attribute {name!r}", column, good)
        table[:, at : at + width] = values.reshape(-1, width)
        at += width


def _is_exact(column: AnyArray, values: AnyArray) -> BoolArray:
    """Where float32 values are the integers that they were made of."""
    limits = np.iinfo(column.dtype)
    # As float32 the largest integers are rounded up to one that is too large.
    inside = (values >= limits.min) & (values < 2.0 ** (limits.bits - (column.dtype.kind == "i")))
    exact: BoolArray = inside & (np.where(inside, values, 0).astype(column.dtype) == column)
    return exact


def _refuse(what: str, given: AnyArray, good: BoolArray) -> None:
    """Raise for the first value that is not good."""
    if not good.all():
        row = int(np.argwhere(~good)[0, 0])
        hint = "cast it to float64 to have it rounded" if given.dtype.kind in "iu" else None
        got = f"{given[row]} in row {row} of a batch"
        raise ExportError(f"TRK cannot hold {what}", expected="values of float32", got=got, hint=hint)


TRK = Format(
    name="trk",
    suffixes=(".trk",),
    description="TRK streamlines (TrackVis)",
    open=_open,
    export=_export,
    kinds=KINDS,
)
